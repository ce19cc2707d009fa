/*
 * Sending and receiving with addresses. Without one the kernel does it on the link and nothing is trapped, but for the calls
 * that take a struct msghdr, in which the filter cannot see whether there is one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "sentry_side/run/supervisor.h"

#define DATA_MAX 65536u
#define MESSAGES_MAX 48

/* One message of the program, taken apart. */
struct message {
	struct iovec iov[64];
	size_t iov_count, size;
	uint64_t name_at;
	uint32_t name_len;
	uint64_t control_at, control_len;
};

/* Handling a trap holds the supervisor's lock, so one buffer serves all. */
static char data[DATA_MAX];
static _Alignas(struct cmsghdr) char control[4 * LINK_CONTROL_SENT_MAX];

static size_t
iov_size(const struct iovec *iov, size_t count)
{
	size_t size = 0;

	for (size_t i = 0; i < count; i++)
		size += iov[i].iov_len;
	return size;
}

/* Reads a msghdr and its iovec. Returns 0 or a positive errno. */
static int
take_msghdr(struct trap *trap, uint64_t at, struct message *message)
{
	struct msghdr header;

	if (!target_read(trap, at, &header, sizeof header))
		return EFAULT;
	if (header.msg_iovlen > IOV_MAX)
		return EMSGSIZE;
	message->iov_count = header.msg_iovlen > 64 ? 64 : header.msg_iovlen;
	if (!target_read(trap, (uint64_t)(uintptr_t)header.msg_iov, message->iov, message->iov_count * sizeof *message->iov))
		return EFAULT;
	message->size = iov_size(message->iov, message->iov_count);
	message->name_at = (uint64_t)(uintptr_t)header.msg_name;
	message->name_len = header.msg_namelen;
	message->control_at = (uint64_t)(uintptr_t)header.msg_control;
	message->control_len = header.msg_controllen;
	if ((int)message->name_len < 0)
		return EINVAL;
	return 0;
}

/* The name that a message is for. Returns 0 or a positive errno. */
static int
take_name(struct trap *trap, const struct message *message, struct sockaddr_storage *name, struct link_datagram *datagram)
{
	if (!message->name_at || !message->name_len)
		return 0;
	if (message->name_len > sizeof *name)
		return EINVAL;
	memset(name, 0, sizeof *name);
	if (!target_read(trap, message->name_at, name, message->name_len))
		return EFAULT;
	datagram->address = (struct sockaddr *)name;
	datagram->address_len = message->name_len;
	return 0;
}

/* A message's control messages, into the room that is left from *used on. Returns 0 or a positive errno. */
static int
take_control(struct trap *trap, const struct message *message, size_t *used, struct link_datagram *datagram)
{
	if (!message->control_len)
		return 0;
	if (message->control_len > LINK_CONTROL_SENT_MAX || message->control_len > sizeof control - *used)
		return ENOBUFS;
	datagram->control = control + *used;
	datagram->control_len = message->control_len;
	if (!target_read(trap, message->control_at, control + *used, message->control_len))
		return EFAULT;
	*used += CMSG_ALIGN(message->control_len);
	return 0;
}

static bool
is_nonblocking(const struct trap *trap, int flags)
{
	return (flags & MSG_DONTWAIT) || (fcntl(trap->a, F_GETFL) & O_NONBLOCK);
}

/* A stream that is not connected, and was not. */
static bool
not_connected(const struct trap *trap)
{
	return link_is_stream(trap->link) &&
	       ((!trap->link->linked && !link_is_over(trap->link)) || trap->link->state == LINK_LISTENING);
}

/* ---- sending ------------------------------------------------------------------------------------ */

/* A datagram socket without a peer needs a name; a netlink socket's peer is the kernel; of raw ones the host complains in its own order. */
static bool
lacks_destination(const struct trap *trap)
{
	return trap->link->state != LINK_CONNECTED && trap->link->family != AF_NETLINK && !link_needs_leave(trap->link);
}

/* Without a peer, where only the host knows what it makes of it. */
static bool
needs_host(const struct trap *trap)
{
	return link_needs_leave(trap->link) && trap->link->state != LINK_CONNECTED;
}

/* An error is told to the program: the notice of it is not to be met again. A surrogate has none in its queue. */
static int
drop_error_notice(struct trap *trap)
{
	return trap->link->surrogate ? 0 : link_drop_error_notice(trap->link, trap->a);
}

/* The pending error of a surrogate, which the program's call is to tell. Of raw sockets receiving tells of it. */
static int
take_surrogate_error(struct trap *trap)
{
	return trap->link->surrogate && !link_is_raw(trap->link) ? surrogate_error(trap->link, trap->a) : 0;
}

static int
send_flags(const struct trap *trap)
{
	return (int)trap->call.data.args[trap->call.data.nr == SYS_sendmsg ? 2 : 3];
}

static void
finish_send(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;

	/* An error of earlier, that is now told, is not to be met again. */
	if (result->error)
		drop_error_notice(trap);
	if (!result->error && send_flags(trap) & MSG_ZEROCOPY && trap->link->zerocopy)
		link_count_zerocopy(trap->link);
	if (result->error)
		trap_error(trap, result->error);
	else
		trap_return(trap, result->count);
}

/* Takes a stream's message apart. Returns 0 or a positive errno. */
static int
take_stream_message(struct trap *trap, struct message *message)
{
	const __u64 *args = trap->call.data.args;
	struct link_datagram checked = {0};
	size_t used = 0;
	int error;

	if (trap->call.data.nr == SYS_sendto) {
		*message = (struct message){.iov = {{(void *)(uintptr_t)args[1], args[2]}}, .iov_count = 1, .size = args[2],
		                            .name_at = args[4], .name_len = (uint32_t)args[5]};
		return 0;
	}
	error = take_msghdr(trap, args[1], message);
	if (!error)
		error = take_control(trap, message, &used, &checked);
	return error ? error : -link_check_control(checked.control, checked.control_len);
}

/* EPIPE, with the signal that goes with it. */
static void
trap_broken_pipe(struct trap *trap, int flags)
{
	if (!(flags & MSG_NOSIGNAL) && trap_valid(trap))
		syscall(SYS_tgkill, thread_group(trap->call.pid), trap->call.pid, SIGPIPE);
	trap_error(trap, EPIPE);
}

/* A stream takes no address and carries no control messages: the kernel ignores them, the link would not. */
static bool
try_send_stream(struct trap *trap)
{
	struct message message;
	int flags = send_flags(trap), error = take_stream_message(trap, &message);
	ssize_t sent;

	if (!error && not_connected(trap)) {
		trap_broken_pipe(trap, flags);
		return true;
	}
	if (message.size > sizeof data)
		message.size = sizeof data;
	if (!error && !target_gather(trap, message.iov, message.iov_count, data, message.size))
		error = EFAULT;
	if (error) {
		trap_error(trap, error);
		return true;
	}
	sent = send(trap->a, data, message.size, (flags & MSG_OOB) | MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno == EAGAIN && !is_nonblocking(trap, flags))
		return false;
	if (sent < 0 && errno == EPIPE) {
		trap_broken_pipe(trap, flags);
		return true;
	}
	if (sent < 0) {
		trap_error(trap, errno);
		return true;
	}
	if (flags & MSG_ZEROCOPY && trap->link->zerocopy && sent)
		link_count_zerocopy(trap->link);
	if (trap->call.data.nr == SYS_sendmmsg) {
		unsigned len = (unsigned)sent;

		/* One of many, which the kernel would also say of the first if the second failed: the program comes again for the rest. */
		target_write(trap, trap->call.data.args[1] + offsetof(struct mmsghdr, msg_len), &len, sizeof len);
		sent = 1;
	}
	trap_return(trap, sent);
	return true;
}

static bool
retry_send_stream(struct pending *pending)
{
	return try_send_stream(&pending->trap);
}

/* Sends once what had to come first is done. */
static void
go_on_sending(struct pending *pending)
{
	if (try_send_stream(&pending->trap))
		return;
	pending->retry = retry_send_stream;
	pending_wait_on(pending, EPOLLOUT, SO_SNDTIMEO);
}

static void
finish_urgent(struct pending *pending, const struct link_result *result)
{
	/* An error means that there is no connection: the send will tell. */
	pending->trap.link->urgent = !result->error;
	if (trap_valid(&pending->trap))
		go_on_sending(pending);
}

static void
finish_fastopen(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;
	int error = link_finish_connect(trap->link, trap->a, pending->nonblocking, result);

	if (error)
		trap_error(trap, error);
	else if (trap_valid(trap))
		go_on_sending(pending);
}

/* MSG_FASTOPEN: connect and send in one, as the kernel does it without a cookie: the data follows the handshake. */
static void
send_fastopen(struct trap *trap)
{
	struct sockaddr_storage name;
	struct link_datagram to = {0};
	struct message message;
	struct pending *pending;
	int error = take_stream_message(trap, &message);

	if (!error)
		error = take_name(trap, &message, &name, &to);
	if (!error && to.address && to.address_len >= sizeof name.ss_family && name.ss_family == AF_UNSPEC)
		error = EOPNOTSUPP;
	if (!error && !to.address)
		error = EINVAL;
	if (error) {
		trap_error(trap, error);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->nonblocking = is_nonblocking(&pending->trap, send_flags(&pending->trap));
	pending->finish = finish_fastopen;
	pending_started(pending, link_connect(pending->trap.link, to.address, to.address_len, !pending->nonblocking, pending_done,
	                                      pending, &pending->call_id));
}

static void
send_stream(struct trap *trap)
{
	bool first_urgent = send_flags(trap) & MSG_OOB && !trap->link->urgent && trap->link->state == LINK_CONNECTED;
	struct pending *pending;

	if (send_flags(trap) & MSG_FASTOPEN) {
		send_fastopen(trap);
		return;
	}
	if (!first_urgent && try_send_stream(trap))
		return;
	pending = pending_new(trap);
	if (!pending)
		return;
	if (first_urgent) {
		pending->finish = finish_urgent;
		pending_started(pending, link_urgent(pending->trap.link, pending_done, pending));
	} else {
		pending->retry = retry_send_stream;
		pending_wait(pending, EPOLLOUT, SO_SNDTIMEO);
	}
}

/* What a link does not do by itself. */
static bool
is_special(const struct trap *trap, int flags)
{
	if (not_connected(trap))
		return true; /* EPIPE, where the link would say something else */
	return flags & (MSG_OOB | MSG_FASTOPEN) || (flags & MSG_ZEROCOPY && trap->link->zerocopy);
}

/* An IPv6 socket that speaks IPv4: to this address, or without one to its peer. */
static bool
speaks_ipv4(struct link *link, const struct sockaddr *address)
{
	struct link_name peer;

	if (link->family != AF_INET6)
		return false;
	if (!address && link_peer_name(link, &peer))
		address = &peer.address.any;
	return address && address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static void
send_datagram(struct trap *trap, const struct message *message, int flags)
{
	struct sockaddr_storage name;
	struct link_datagram datagram = {.data = data, .size = message->size};
	struct pending *pending;
	size_t used = 0;
	int error = message->size > 65535 ? EMSGSIZE : flags & MSG_OOB && trap->link->family == AF_INET ? EOPNOTSUPP : 0;

	if (!error)
		error = take_control(trap, message, &used, &datagram);
	if (!error)
		error = take_name(trap, message, &name, &datagram);
	/* As for IPv4: before a pending error is looked at. */
	if (!error && flags & MSG_OOB && speaks_ipv4(trap->link, datagram.address))
		error = EOPNOTSUPP;
	if (!error && !datagram.address && lacks_destination(trap))
		error = EDESTADDRREQ;
	if (!error && message->size > 65535)
		error = EMSGSIZE;
	if (!error && !target_gather(trap, message->iov, message->iov_count, data, message->size))
		error = EFAULT;
	if (!error && trap_valid(trap))
		error = take_surrogate_error(trap);
	if (error || !trap_valid(trap)) {
		trap_error(trap, error);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->finish = finish_send;
	pending_started(pending, link_send(pending->trap.link, &datagram, 1, flags, pending_done, pending));
}

void
trap_sendto(struct trap *trap)
{
	const __u64 *args = trap->call.data.args;
	struct message message = {
		.iov = {{(void *)(uintptr_t)args[1], args[2]}},
		.iov_count = 1,
		.size = args[2],
		.name_at = args[4],
		.name_len = (uint32_t)args[5],
	};

	/* Without an address it is trapped for its flags only. */
	if (link_is_stream(trap->link) && !args[4] && !is_special(trap, (int)args[3]))
		trap_continue(trap);
	else if (link_is_stream(trap->link))
		send_stream(trap);
	else if ((int)args[5] < 0 || (args[4] && !args[5] && !(link_is_raw(trap->link) && trap->link->family == AF_INET)))
		trap_error(trap, EINVAL);
	else
		send_datagram(trap, &message, (int)args[3]);
}

void
trap_sendmsg(struct trap *trap)
{
	struct message message;
	int flags = send_flags(trap), error = take_msghdr(trap, trap->call.data.args[1], &message);

	if (error) {
		trap_error(trap, error);
		return;
	}
	if ((!message.name_at || !message.name_len) && !message.control_len && !is_special(trap, flags)) {
		if (!link_is_stream(trap->link) && lacks_destination(trap))
			trap_error(trap, EDESTADDRREQ);
		else if (!link_is_stream(trap->link) && (flags & LINK_SEND_FLAGS || needs_host(trap)))
			send_datagram(trap, &message, flags);
		else if (!link_is_stream(trap->link) && !link_is_raw(trap->link) && (error = drop_error_notice(trap)))
			trap_error(trap, error);
		else
			trap_continue(trap);
	} else if (link_is_stream(trap->link)) {
		send_stream(trap);
	} else {
		send_datagram(trap, &message, flags);
	}
}

static void
finish_sendmmsg(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;

	if (!result->completed) {
		trap_error(trap, result->error ? result->error : EIO);
		return;
	}
	if (!trap_valid(trap))
		return;
	/* Datagrams are sent whole. */
	for (size_t i = 0; i < result->completed; i++) {
		uint64_t at = trap->call.data.args[1] + i * sizeof(struct mmsghdr);
		struct message message;
		unsigned len;

		if (take_msghdr(trap, at, &message) != 0)
			break;
		len = (unsigned)message.size;
		target_write(trap, at + offsetof(struct mmsghdr, msg_len), &len, sizeof len);
	}
	trap_return(trap, (int64_t)result->completed);
}

void
trap_sendmmsg(struct trap *trap)
{
	struct link_datagram datagrams[MESSAGES_MAX] = {0};
	struct sockaddr_storage names[MESSAGES_MAX];
	struct pending *pending;
	size_t count = (uint32_t)trap->call.data.args[2], taken = 0, used = 0, control_used = 0;
	bool native = !(send_flags(trap) & LINK_SEND_FLAGS) && !needs_host(trap);
	int error = 0;

	if (not_connected(trap) && count) {
		trap_broken_pipe(trap, send_flags(trap));
		return;
	}
	if (link_is_stream(trap->link)) {
		struct message first;

		/* What the link would not take of a later message ends the call before it. */
		if (count && take_msghdr(trap, trap->call.data.args[1], &first) == 0 &&
		    (is_special(trap, send_flags(trap)) || (first.name_at && first.name_len) || first.control_len))
			send_stream(trap);
		else
			trap_continue(trap);
		return;
	}
	for (; taken < count && taken < MESSAGES_MAX && !error; taken++) {
		struct link_datagram *datagram = &datagrams[taken];
		struct message message;

		error = take_msghdr(trap, trap->call.data.args[1] + taken * sizeof(struct mmsghdr), &message);
		if (!error)
			error = take_name(trap, &message, &names[taken], datagram);
		if (!error && !datagram->address && lacks_destination(trap))
			error = EDESTADDRREQ;
		if (!error && message.size > 65535)
			error = EMSGSIZE;
		if (!error && used + message.size > sizeof data)
			break; /* the rest is for the next call */
		if (!error)
			error = take_control(trap, &message, &control_used, datagram);
		if (!error && !target_gather(trap, message.iov, message.iov_count, data + used, message.size))
			error = EFAULT;
		if (error)
			break;
		native &= !datagram->address && !datagram->control_len;
		datagram->data = data + used;
		datagram->size = message.size;
		used += message.size;
	}
	if (taken == 0) {
		trap_answer(trap, error);
		return;
	}
	if (native) {
		trap_continue(trap);
		return;
	}
	error = take_surrogate_error(trap);
	if (error) {
		trap_error(trap, error);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->finish = finish_sendmmsg;
	pending_started(pending, link_send(pending->trap.link, datagrams, taken, (int)trap->call.data.args[3], pending_done,
	                                   pending));
}

/* ---- receiving ---------------------------------------------------------------------------------- */

/*
 * A message is copied to the program, then taken from the queue, then the call is answered, since the program may look at the
 * queue as soon as it is answered. What was taken for a call that a signal ended is stashed for the next.
 */
struct received {
	ssize_t len;   /* what the call returns for this message, or a negative errno */
	size_t copied, whole;
	int flags;     /* msg_flags */
	struct link_source source;
};

/* Looks at the next message and copies it to the program; it stays queued. */
static void
receive_one(struct trap *trap, const struct iovec *iov, size_t iov_count, int flags, struct received *received)
{
	bool stream = link_is_stream(trap->link);
	struct stash *stash = trap->link->stash;
	size_t room = iov_size(iov, iov_count);
	struct iovec whole = {data, stream && room < sizeof data ? room : sizeof data};
	struct msghdr message = {.msg_iov = &whole, .msg_iovlen = 1};

	*received = (struct received){0};
	if (stash) {
		memcpy(data, stash->data, stash->len);
		received->len = (ssize_t)stash->len;
		received->source = stash->source;
	} else {
		received->len = (trap->link->surrogate ? surrogate_receive : link_receive)(
			trap->link, trap->a, &message, (stream ? flags & MSG_OOB : MSG_TRUNC) | MSG_PEEK | MSG_DONTWAIT, &received->source);
	}
	if (received->len < 0)
		return;
	received->whole = (size_t)received->len < sizeof data ? (size_t)received->len : sizeof data;
	received->copied = received->whole < room ? received->whole : room;
	if (!stream && received->copied < (size_t)received->len)
		received->flags = MSG_TRUNC;
	if (stream && (flags & MSG_TRUNC))
		return; /* discards, as tcp(7) says */
	if (!target_scatter(trap, iov, iov_count, data, received->copied))
		received->len = -EFAULT;
	else if (!(flags & MSG_TRUNC))
		received->len = (ssize_t)received->copied;
}

static void
consume(struct trap *trap, const struct received *received, int flags)
{
	struct stash *stash = trap->link->stash;

	if (flags & MSG_PEEK)
		return;
	if (stash) {
		trap->link->stash = stash->next;
		free(stash);
	} else if (link_is_stream(trap->link)) {
		recv(trap->a, data, received->copied, MSG_DONTWAIT | (flags & MSG_OOB));
	} else if (trap->link->surrogate) {
		surrogate_consume(trap->a);
	} else {
		recv(trap->a, NULL, 0, MSG_DONTWAIT);
	}
}

/* A copy of the message that was received last. */
static struct stash *
stash_new(struct trap *trap, const struct received *received)
{
	size_t len = link_is_stream(trap->link) ? received->copied : received->whole;
	struct stash *stash = malloc(sizeof *stash + len);

	if (!stash)
		return NULL;
	stash->next = NULL;
	stash->source = received->source;
	stash->len = len;
	memcpy(stash->data, data, len);
	return stash;
}

/* Puts messages back in front. */
static void
stash_back(struct trap *trap, struct stash *first)
{
	struct stash **end = &first;

	while (*end)
		end = &(*end)->next;
	*end = trap->link->stash;
	trap->link->stash = first;
}

/* Ends a call that received one message. */
static void
answer_received(struct trap *trap, const struct received *received, int error, int flags)
{
	consume(trap, received, flags);
	if (error)
		trap_error(trap, error);
	else if (!trap_return(trap, received->len) && !(flags & MSG_PEEK))
		stash_back(trap, stash_new(trap, received));
}

/* Each try_…() returns false when there is nothing to receive yet. */
static bool
try_recvfrom(struct trap *trap)
{
	const __u64 *args = trap->call.data.args;
	struct iovec iov = {(void *)(uintptr_t)args[1], args[2] > INT_MAX ? INT_MAX : args[2]};
	struct received received;
	int flags = (int)args[3];

	receive_one(trap, &iov, 1, flags, &received);
	if (received.len == -EAGAIN)
		return false;
	if (received.len < 0 && received.len != -EFAULT)
		trap_answer(trap, (int)received.len);
	else if (received.len < 0)
		answer_received(trap, &received, EFAULT, flags);
	else
		answer_received(trap, &received, args[4] ? give_name(trap, &received.source.name, args[4], args[5]) : 0, flags);
	return true;
}

/* Writes back what recvmsg changes in a msghdr. */
static int
give_msghdr(struct trap *trap, uint64_t at, const struct message *message, const struct received *received)
{
	_Alignas(struct cmsghdr) char given[LINK_CONTROL_MAX];
	const struct link_name *name = &received->source.name;
	uint32_t name_len = name->len, room = message->name_len;
	int flags = received->flags;
	uint64_t control_len = message->control_len < sizeof given ? message->control_len : sizeof given;

	if (message->name_at) {
		if (!target_write(trap, message->name_at, &name->address, name_len < room ? name_len : room) ||
		    !target_write(trap, at + offsetof(struct msghdr, msg_namelen), &name_len, sizeof name_len))
			return EFAULT;
	}
	control_len = link_give_control(&received->source, message->control_at ? given : NULL, control_len, &flags);
	/* put_cmsg() leaves out what cannot be written. */
	if (!target_write(trap, message->control_at, given, control_len))
		control_len = 0;
	if (!target_write(trap, at + offsetof(struct msghdr, msg_controllen), &control_len, sizeof control_len) ||
	    !target_write(trap, at + offsetof(struct msghdr, msg_flags), &flags, sizeof flags))
		return EFAULT;
	return 0;
}

static bool
try_recvmsg(struct trap *trap)
{
	const __u64 *args = trap->call.data.args;
	struct message message;
	struct received received;
	int flags = (int)args[2], error = take_msghdr(trap, args[1], &message);

	if (error) {
		trap_error(trap, error);
		return true;
	}
	receive_one(trap, message.iov, message.iov_count, flags, &received);
	if (received.len == -EAGAIN)
		return false;
	if (received.len < 0 && received.len != -EFAULT)
		trap_answer(trap, (int)received.len);
	else if (received.len < 0)
		answer_received(trap, &received, EFAULT, flags);
	else
		answer_received(trap, &received, give_msghdr(trap, args[1], &message, &received), flags);
	return true;
}

static bool
try_recvmmsg(struct trap *trap)
{
	const __u64 *args = trap->call.data.args;
	struct stash *taken = NULL, **end = &taken;
	struct timespec timeout;
	size_t wanted = (uint32_t)args[2] < MESSAGES_MAX ? (uint32_t)args[2] : MESSAGES_MAX, count = 0;
	int flags = (int)args[3], error = 0;

	if (args[4] && !target_read(trap, args[4], &timeout, sizeof timeout))
		error = EFAULT;
	else if (args[4] && (timeout.tv_sec < 0 || timeout.tv_nsec < 0 || timeout.tv_nsec > 999999999))
		error = EINVAL;
	for (; count < wanted && !error; count++) {
		uint64_t at = args[1] + count * sizeof(struct mmsghdr);
		struct message message;
		struct received received;
		unsigned len;

		error = take_msghdr(trap, at, &message);
		if (error)
			break;
		receive_one(trap, message.iov, message.iov_count, flags, &received);
		if (received.len < 0) {
			error = (int)-received.len;
			break;
		}
		error = give_msghdr(trap, at, &message, &received);
		len = (unsigned)received.len;
		if (!error && !target_write(trap, at + offsetof(struct mmsghdr, msg_len), &len, sizeof len))
			error = EFAULT;
		if (!(flags & MSG_PEEK) && (*end = stash_new(trap, &received)))
			end = &(*end)->next;
		consume(trap, &received, flags);
		if (error)
			break;
	}
	if (count == 0 && error == EAGAIN)
		return false;
	if (count == 0)
		trap_answer(trap, error);
	else if (!trap_return(trap, (int64_t)count)) {
		stash_back(trap, taken);
		return true;
	}
	while (taken) {
		struct stash *first = taken;

		taken = first->next;
		free(first);
	}
	return true;
}

/* ---- the error queue ---------------------------------------------------------------------------- */

/* Answers a call with MSG_ERRQUEUE. One entry a call is enough for recvmmsg, too. */
static void
give_error_entry(struct trap *trap, struct received *received, const void *datagram, size_t len)
{
	const __u64 *args = trap->call.data.args;
	struct message message = {.iov = {{(void *)(uintptr_t)args[1], args[2]}}, .iov_count = 1, .size = args[2]};
	unsigned copied;
	int error = trap->call.data.nr == SYS_recvfrom ? 0 : take_msghdr(trap, args[1], &message);

	copied = (unsigned)(len < message.size ? len : message.size);
	received->flags = MSG_ERRQUEUE | (copied < len ? MSG_TRUNC : 0);
	if (!error && !target_scatter(trap, message.iov, message.iov_count, datagram, copied))
		error = EFAULT;
	if (!error && trap->call.data.nr == SYS_recvfrom)
		error = args[4] ? give_name(trap, &received->source.name, args[4], args[5]) : 0;
	else if (!error)
		error = give_msghdr(trap, args[1], &message, received);
	if (!error && trap->call.data.nr == SYS_recvmmsg &&
	    !target_write(trap, args[1] + offsetof(struct mmsghdr, msg_len), &copied, sizeof copied))
		error = EFAULT;
	if (error)
		trap_error(trap, error);
	else
		trap_return(trap, trap->call.data.nr == SYS_recvmmsg ? 1 : (int64_t)copied);
}

static void
finish_receive_error(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;
	struct received received = {0};

	if (!result->error && trap->link->surrogate)
		surrogate_error_told(trap->link);
	else if (!result->error)
		drop_error_notice(trap);
	if (result->error || !trap_valid(trap)) {
		trap_error(trap, result->error ? result->error : EINTR);
		return;
	}
	received.source.name = result->peer;
	received.source.control_len = (uint32_t)result->control_len;
	memcpy(received.source.control, result->control, result->control_len);
	give_error_entry(trap, &received, result->value, result->value_len);
}

static void
receive_error(struct trap *trap)
{
	struct received received = {0};
	struct pending *pending;
	char datagram[LINK_VALUE_MAX];
	size_t len;

	if (trap->link->surrogate && surrogate_take_error(trap->link, trap->a, &received.source, datagram, &len)) {
		give_error_entry(trap, &received, datagram, len);
		return;
	}
	if (link_zerocopy_completion(trap->link, &received.source)) {
		give_error_entry(trap, &received, "", 0);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->finish = finish_receive_error;
	pending_started(pending, link_receive_error(pending->trap.link, pending_done, pending));
}

/* ---- the calls ---------------------------------------------------------------------------------- */

/* A blocking call on a UDP socket that was shut down returns 0; one that does not block finds nothing. */
static bool
try_end(struct trap *trap)
{
	const __u64 *args = trap->call.data.args;
	struct pollfd end = {.fd = trap->a, .events = POLLRDHUP};
	struct received nothing = {0};
	struct message message;
	int error = 0;

	if (!trap->link->surrogate || poll(&end, 1, 0) != 1 || !(end.revents & POLLRDHUP))
		return false;
	if (trap->call.data.nr == SYS_recvfrom && args[4])
		error = give_name(trap, &nothing.source.name, args[4], args[5]);
	else if (trap->call.data.nr == SYS_recvmsg && !(error = take_msghdr(trap, args[1], &message)))
		error = give_msghdr(trap, args[1], &message, &nothing);
	trap_answer(trap, error);
	return true;
}

static bool
retry_receive(struct pending *pending)
{
	switch (pending->trap.call.data.nr) {
	case SYS_recvfrom:
		return try_recvfrom(&pending->trap) || try_end(&pending->trap);
	case SYS_recvmsg:
		return try_recvmsg(&pending->trap) || try_end(&pending->trap);
	default:
		return try_recvmmsg(&pending->trap) || try_end(&pending->trap);
	}
}

static void
receive(struct trap *trap, bool (*try)(struct trap *), int flags)
{
	struct pending *pending;

	if (try(trap))
		return;
	if (is_nonblocking(trap, flags)) {
		trap_error(trap, EAGAIN);
		return;
	}
	if (try_end(trap))
		return;
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->retry = retry_receive;
	pending_wait(pending, EPOLLIN, SO_RCVTIMEO);
}

void
trap_recvfrom(struct trap *trap)
{
	const __u64 *args = trap->call.data.args;
	int flags = (int)args[3];

	if (flags & MSG_OOB && link_needs_leave(trap->link))
		trap_error(trap, EOPNOTSUPP);
	else if (flags & MSG_ERRQUEUE)
		receive_error(trap);
	else if (not_connected(trap))
		trap_error(trap, flags & MSG_OOB && trap->link->state != LINK_LISTENING ? EINVAL : ENOTCONN);
	else if (link_is_stream(trap->link) && !args[4] && !(flags & MSG_TRUNC))
		trap_continue(trap); /* its flags mean to a stream what they mean to its link */
	else
		receive(trap, try_recvfrom, flags);
}

void
trap_recvmsg(struct trap *trap)
{
	struct message message;
	int flags = (int)trap->call.data.args[2], error = take_msghdr(trap, trap->call.data.args[1], &message);

	if (error)
		trap_error(trap, error);
	else if (flags & MSG_OOB && link_needs_leave(trap->link))
		trap_error(trap, EOPNOTSUPP);
	else if (flags & MSG_ERRQUEUE)
		receive_error(trap);
	else if (not_connected(trap))
		trap_error(trap, ENOTCONN);
	else if (link_is_stream(trap->link) && !message.name_at && !trap->link->stamp)
		trap_continue(trap);
	else
		receive(trap, try_recvmsg, flags);
}

void
trap_recvmmsg(struct trap *trap)
{
	int flags = (int)trap->call.data.args[3];

	if (flags & MSG_OOB && link_needs_leave(trap->link) && (uint32_t)trap->call.data.args[2])
		trap_error(trap, EOPNOTSUPP);
	else if (flags & MSG_ERRQUEUE)
		receive_error(trap);
	else if (not_connected(trap) && (uint32_t)trap->call.data.args[2])
		trap_error(trap, ENOTCONN);
	else if (link_is_stream(trap->link))
		trap_continue(trap);
	else
		receive(trap, try_recvmmsg, flags);
}
