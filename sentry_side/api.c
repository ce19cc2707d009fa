/*
 * The public calls: each starts the operation on its link and waits for the result on a semaphore, which signals interrupt.
 */
#include "sentry_side/splitsock.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/if_packet.h>

#include "common/cleanup.h"
#include "sentry_side/link.h"
#include "sentry_side/packet.h"

/* A caller that waits. It may leave before the reply (EINTR), so both hold a reference. */
struct wait {
	atomic_uint refs;
	sem_t done;
	struct link_result result;
};

static struct wait *
wait_new(void)
{
	struct wait *wait = calloc(1, sizeof *wait);

	if (wait) {
		wait->refs = 2;
		sem_init(&wait->done, 0, 0);
	}
	return wait;
}

static void
wait_unref(struct wait *wait)
{
	if (atomic_fetch_sub(&wait->refs, 1) != 1)
		return;
	sem_destroy(&wait->done);
	free(wait);
}

static void
wait_done(void *arg, const struct link_result *result)
{
	struct wait *wait = arg;

	wait->result = *result;
	sem_post(&wait->done);
	wait_unref(wait);
}

/* Waits out a call that was started with `error`. Returns 0 with the result in *wait, or a negative errno and frees it. */
static int
wait_for(struct wait *wait, int error)
{
	if (error) {
		wait_unref(wait);
		wait_unref(wait);
		return error;
	}
	while (sem_wait(&wait->done) < 0)
		; /* EINTR: the operation is done or not, but it does not take long */
	return 0;
}

static int
fail(int error)
{
	errno = error;
	return -1;
}

static int
answer(int error)
{
	return error ? fail(error) : 0;
}

static struct link *
link_of(struct ss *ss, int fd)
{
	struct stat st;
	struct link *link;

	if (fstat(fd, &st) < 0)
		return NULL;
	link = S_ISSOCK(st.st_mode) ? link_by_inode(ss, st.st_ino) : NULL;
	if (!link)
		errno = EBADF;
	else
		link->fd = fd;
	return link;
}

static void
cleanup_link(struct link **link)
{
	int saved = errno;

	link_unref(*link);
	errno = saved;
}

#define _cleanup_link_ __attribute__((cleanup(cleanup_link)))

/* What follows a call whose whole answer is an errno. */
static int
wait_for_error(struct wait *wait, int error)
{
	error = wait_for(wait, error);
	if (error)
		return fail(-error);
	error = wait->result.error;
	wait_unref(wait);
	return answer(error);
}

static int
borrow(struct ss *ss, const struct link *link)
{
	struct stat st;

	(void)ss;
	if (link->fd < 0 || fstat(link->fd, &st) < 0 || st.st_ino != link->by_inode.key)
		return -1;
	return fcntl(link->fd, F_DUPFD_CLOEXEC, 0);
}

struct ss *
ss_open(const char *url)
{
	struct ss *ss = calloc(1, sizeof *ss);
	int error;

	if (!ss)
		return NULL;
	ss->borrow = borrow;
	error = ss_init(ss, url, NULL);
	if (error) {
		free(ss);
		errno = -error;
		return NULL;
	}
	return ss;
}

void
ss_close(struct ss *ss)
{
	if (!ss)
		return;
	ss_destroy(ss);
	free(ss);
}

/* A packet socket is a real one: the kernel does what is asked of it. */
static bool
is_packet(const struct link *link)
{
	return link->family == AF_PACKET;
}

static int
packet_socket(struct ss *ss, int type, int protocol)
{
	_cleanup_link_ struct link *link = NULL;
	struct wait *wait = wait_new();
	uint32_t lost;
	int error, fd;

	if (!wait)
		return -1;
	error = wait_for(wait, packet_open(ss, type, protocol, wait_done, wait));
	if (error)
		return fail(-error);
	error = wait->result.error;
	fd = wait->result.passed_fd;
	lost = wait->result.count;
	wait_unref(wait);
	if (error)
		return fail(error);
	error = link_packet(ss, fd, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol, &link);
	if (error) {
		close(fd);
		return fail(-error);
	}
	link->fd = fd;
	link->host_drops = lost;
	if (type & SOCK_NONBLOCK)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	if (!(type & SOCK_CLOEXEC))
		fcntl(fd, F_SETFD, 0);
	return fd;
}

/* Waits until the host does its part of what the kernel has just done. */
static int
packet_synced(struct ss *ss, int interface)
{
	struct wait *wait = wait_new();

	return wait ? wait_for_error(wait, packet_sync(ss, interface, 0, wait_done, wait)) : -1;
}

/* The same, and *count is what was lost on the host's interface that the socket is bound to, if that could be told. */
static int
packet_synced_count(struct ss *ss, int fd, uint32_t *count)
{
	struct wait *wait = wait_new();
	int error;

	if (!wait)
		return -1;
	error = wait_for(wait, packet_sync(ss, 0, packet_interface(fd), wait_done, wait));
	if (error)
		return fail(-error);
	error = wait->result.error;
	if (!error)
		*count = wait->result.count;
	wait_unref(wait);
	return error ? fail(error) : 0;
}

static int
packet_getsockopt(struct ss *ss, struct link *link, int fd, int level, int name, void *value, socklen_t *len)
{
	uint32_t count = link->host_drops;
	int error;

	if (level != SOL_PACKET || name != PACKET_STATISTICS || (int)*len < 0)
		return getsockopt(fd, level, name, value, len);
	packet_synced_count(ss, fd, &count);
	error = packet_statistics(link, fd, count, value, len);
	return error ? fail(-error) : 0;
}

static int
packet_bind(struct ss *ss, struct link *link, int fd, const struct sockaddr *address, socklen_t len)
{
	if (bind(fd, address, len) == 0) {
		uint32_t count = link->host_drops;
		int result = packet_synced_count(ss, fd, &count);

		link->host_drops = count;
		return result;
	}
	return errno == ENODEV ? packet_synced(ss, ((const struct sockaddr_ll *)address)->sll_ifindex) : -1;
}

static int
packet_setsockopt(struct ss *ss, int fd, int level, int name, const void *value, socklen_t len)
{
	int result = setsockopt(fd, level, name, value, len), error;

	if (result < 0 || !packet_option_matters(level, name))
		return result;
	result = packet_synced(ss, 0);
	error = errno;
	if (result < 0 && level == SOL_PACKET && name == PACKET_ADD_MEMBERSHIP)
		setsockopt(fd, level, PACKET_DROP_MEMBERSHIP, value, len);
	errno = error;
	return result;
}

int
ss_socket(struct ss *ss, int family, int type, int protocol)
{
	_cleanup_link_ struct link *link = NULL;
	struct wait *wait;
	int fd, error;

	if (family == AF_PACKET)
		return packet_socket(ss, type, protocol);
	error = link_socket(ss, family, type, protocol, &fd, &link);

	if (error)
		return fail(-error);
	if (link_needs_leave(link) && (!(wait = wait_new()) || wait_for_error(wait, link_query(link, wait_done, wait)) < 0)) {
		error = errno;
		link_discard(link_ref(link));
		close(fd);
		return fail(error);
	}
	link->fd = fd;
	if (!(type & SOCK_CLOEXEC))
		fcntl(fd, F_SETFD, 0);
	return fd;
}

int
ss_bind(struct ss *ss, int fd, const struct sockaddr *address, socklen_t len)
{
	_cleanup_link_ struct link *link = link_of(ss, fd);
	struct wait *wait;
	int error;

	if (link && is_packet(link))
		return packet_bind(ss, link, fd, address, len);
	if (!link || !(wait = wait_new()))
		return -1;
	error = wait_for(wait, link_bind(link, address, len, wait_done, wait));
	if (error)
		return fail(-error);
	error = wait->result.error;
	wait_unref(wait);
	/* The address may be held by a socket of ours that was closed, which nobody has noticed yet. */
	if (error == EADDRINUSE && link_sweep(ss)) {
		if (!(wait = wait_new()))
			return -1;
		return wait_for_error(wait, link_bind(link, address, len, wait_done, wait));
	}
	if (!error && link->state == LINK_FRESH)
		link->state = LINK_BOUND;
	return answer(error);
}

/* Puts another A under the program's number. */
static int
renew(struct link **link, int fd, bool nonblocking)
{
	_cleanup_close_ int a = -1;
	int error = link_renew(link, fd, nonblocking ? SOCK_NONBLOCK : 0, &a);

	if (error)
		return error;
	(*link)->fd = fd;
	return dup3(a, fd, fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0) < 0 ? -errno : 0;
}

int
ss_connect(struct ss *ss, int fd, const struct sockaddr *address, socklen_t len)
{
	_cleanup_link_ struct link *link = link_of(ss, fd);
	struct wait *wait;
	uint32_t id = 0;
	bool nonblocking;
	int error;

	if (!link)
		return -1;
	if (is_packet(link))
		return connect(fd, address, len);
	nonblocking = fcntl(fd, F_GETFL) & O_NONBLOCK;
	if (link_is_stream(link) && link_is_over(link)) {
		error = link_reconnect(link, fd);
		if (!error)
			error = -renew(&link, fd, nonblocking);
		if (error)
			return fail(error);
	}
	if (!(wait = wait_new()))
		return -1;
	error = link_connect(link, address, len, !nonblocking, wait_done, wait, &id);
	if (error) {
		wait_for(wait, error);
		return fail(-error);
	}
	if (sem_wait(&wait->done) < 0) {
		/* As the kernel does: the connection goes on being made. */
		session_cancel(&ss->session, id);
		link_detach_connect(link, fd);
		wait_unref(wait);
		return fail(EINTR);
	}
	error = link_finish_connect(link, fd, nonblocking, &wait->result);
	wait_unref(wait);
	return answer(error);
}

int
ss_listen(struct ss *ss, int fd, int backlog)
{
	_cleanup_link_ struct link *link = link_of(ss, fd);
	struct wait *wait;
	int error;

	if (link && is_packet(link))
		return listen(fd, backlog);
	if (!link || !(wait = wait_new()))
		return -1;
	error = wait_for(wait, link_listen(link, backlog, wait_done, wait));
	if (error)
		return fail(-error);
	error = link_finish_listen(link, fd, &wait->result);
	wait_unref(wait);
	return answer(error);
}

/* Copies a name as the kernel does: what fits, and the whole length. */
static int
give_name(const struct link_name *name, struct sockaddr *address, socklen_t *len)
{
	if (!address)
		return 0;
	if ((int)*len < 0)
		return fail(EINVAL);
	memcpy(address, &name->address, *len < name->len ? *len : name->len);
	*len = name->len;
	return 0;
}

int
ss_accept4(struct ss *ss, int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	_cleanup_link_ struct link *link = link_of(ss, fd), *accepted = NULL;
	int accepted_fd, error;

	if (!link)
		return -1;
	if (is_packet(link))
		return accept4(fd, address, len, flags);
	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return fail(EINVAL);
	error = link_accept(link, fd, false, &accepted_fd, &accepted);
	if (error)
		return fail(-error);
	accepted->fd = accepted_fd;
	if (give_name(&accepted->peer, address, len) < 0) {
		close(accepted_fd);
		return fail(EINVAL);
	}
	if (flags & SOCK_NONBLOCK)
		fcntl(accepted_fd, F_SETFL, O_NONBLOCK);
	if (!(flags & SOCK_CLOEXEC))
		fcntl(accepted_fd, F_SETFD, 0);
	return accepted_fd;
}

int
ss_accept(struct ss *ss, int fd, struct sockaddr *address, socklen_t *len)
{
	return ss_accept4(ss, fd, address, len, 0);
}

int
ss_getsockname(struct ss *ss, int fd, struct sockaddr *address, socklen_t *len)
{
	_cleanup_link_ struct link *link = link_of(ss, fd);
	struct link_name name;

	if (!link)
		return -1;
	if (is_packet(link))
		return getsockname(fd, address, len);
	link_local_name(link, &name);
	return give_name(&name, address, len);
}

int
ss_getpeername(struct ss *ss, int fd, struct sockaddr *address, socklen_t *len)
{
	_cleanup_link_ struct link *link = link_of(ss, fd);
	struct link_name name;

	if (!link)
		return -1;
	if (is_packet(link))
		return getpeername(fd, address, len);
	if (link->state == LINK_CONNECTING) {
		struct wait *wait = wait_new();

		if (!wait || wait_for_error(wait, link_query(link, wait_done, wait)) < 0)
			return fail(errno == EINPROGRESS ? ENOTCONN : errno);
		link->state = LINK_CONNECTED;
	}
	if (!link_peer_name(link, &name))
		return fail(ENOTCONN);
	return give_name(&name, address, len);
}

int
ss_getsockopt(struct ss *ss, int fd, int level, int name, void *value, socklen_t *len)
{
	_cleanup_link_ struct link *link = link_of(ss, fd);
	struct wait *wait;
	int error;

	if (link && is_packet(link))
		return packet_getsockopt(ss, link, fd, level, name, value, len);
	if (!link || !(wait = wait_new()))
		return -1;
	error = link_get_option(link, fd, level, name, value, len, wait_done, wait);
	if (error == 1) {
		wait_for(wait, error);
		return 0;
	}
	error = wait_for(wait, error);
	if (error)
		return fail(-error);
	error = link_finish_get_option(link, fd, level, name, &wait->result, value, len);
	wait_unref(wait);
	return answer(error);
}

int
ss_setsockopt(struct ss *ss, int fd, int level, int name, const void *value, socklen_t len)
{
	_cleanup_link_ struct link *link = link_of(ss, fd);
	const struct socket_option *option = option_by_host(level, name);
	struct sock_fprog filter;
	struct wait *wait;
	int error;

	if (!link)
		return -1;
	if (is_packet(link))
		return packet_setsockopt(ss, fd, level, name, value, len);
	if (option && option->value == OPTION_FILTER) {
		if (len != sizeof filter)
			return fail(EINVAL);
		memcpy(&filter, value, sizeof filter);
		if (!filter.filter || filter.len == 0 || filter.len > BPF_MAXINSNS)
			return fail(EINVAL);
		value = filter.filter;
		len = (socklen_t)(filter.len * sizeof *filter.filter);
	}
	if (!(wait = wait_new()))
		return -1;
	error = link_set_option(link, fd, level, name, value, len, wait_done, wait);
	if (error == 1) {
		wait_for(wait, error);
		return 0;
	}
	return wait_for_error(wait, error);
}

int
ss_shutdown(struct ss *ss, int fd, int how)
{
	_cleanup_link_ struct link *link = link_of(ss, fd);
	struct wait *wait;

	if (!link)
		return -1;
	if (is_packet(link))
		return shutdown(fd, how);
	if (link_is_stream(link) && link->state != LINK_LISTENING) {
		if (!link->linked)
			return fail(ENOTCONN);
		return shutdown(fd, how); /* the gofer sees it, after the data */
	}
	if (!(wait = wait_new()) || wait_for_error(wait, link_shutdown(link, how, wait_done, wait)) < 0)
		return -1;
	if (link_is_stream(link))
		return 0;
	link->shut_down = true;
	return shutdown(fd, how);
}

static ssize_t
send_stream(struct link *link, int fd, const struct msghdr *message, int flags)
{
	struct msghdr plain = {.msg_iov = message->msg_iov, .msg_iovlen = message->msg_iovlen};
	int error = link_check_control(message->msg_control, message->msg_controllen);
	struct wait *wait;
	ssize_t sent;

	if (error)
		return fail(-error);
	if (flags & MSG_FASTOPEN && ss_connect(link->ss, fd, message->msg_name, message->msg_namelen) < 0)
		return -1;
	if (flags & MSG_OOB && !link->urgent && link->state == LINK_CONNECTED) {
		if (!(wait = wait_new()))
			return -1;
		error = wait_for(wait, link_urgent(link, wait_done, wait));
		if (error)
			return fail(-error);
		link->urgent = !wait->result.error;
		wait_unref(wait);
	}
	sent = sendmsg(fd, &plain, flags & ~(MSG_FASTOPEN | MSG_MORE | MSG_ZEROCOPY));
	if (sent > 0 && flags & MSG_ZEROCOPY && link->zerocopy)
		link_count_zerocopy(link);
	return sent;
}

ssize_t
ss_sendmsg(struct ss *ss, int fd, const struct msghdr *message, int flags)
{
	_cleanup_link_ struct link *link = link_of(ss, fd);
	struct msghdr plain = {.msg_iov = message->msg_iov, .msg_iovlen = message->msg_iovlen};
	struct link_datagram datagram = {
		.address = message->msg_name,
		.address_len = message->msg_namelen,
		.control = message->msg_control,
		.control_len = message->msg_controllen,
	};
	_cleanup_free_ char *data = NULL;
	struct wait *wait;
	ssize_t sent;
	char *at;
	bool needs_host;
	int error;

	if (!link)
		return -1;
	if (is_packet(link))
		return sendmsg(fd, message, flags);
	/* Raw and ping sockets have an order of their own in which they complain. */
	needs_host = link_needs_leave(link) && link->state != LINK_CONNECTED;
	if (!link_is_stream(link) && !message->msg_name && link->state != LINK_CONNECTED && link->family != AF_NETLINK && !needs_host)
		return fail(EDESTADDRREQ);
	if (link_is_stream(link))
		return send_stream(link, fd, message, flags);
	if (!message->msg_name && !message->msg_controllen && !(flags & LINK_SEND_FLAGS) && !needs_host)
		return sendmsg(fd, &plain, flags);
	for (size_t i = 0; i < message->msg_iovlen; i++)
		datagram.size += message->msg_iov[i].iov_len;
	if (datagram.size > 65535)
		return fail(EMSGSIZE);
	if (datagram.control_len > LINK_CONTROL_SENT_MAX)
		return fail(ENOBUFS);
	data = at = malloc(datagram.size + 1);
	if (!data || !(wait = wait_new()))
		return -1;
	for (size_t i = 0; i < message->msg_iovlen; i++)
		at = mempcpy(at, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
	datagram.data = data;
	error = wait_for(wait, link_send(link, &datagram, 1, flags, wait_done, wait));
	if (error)
		return fail(-error);
	error = wait->result.error;
	sent = wait->result.count;
	wait_unref(wait);
	if (!error && flags & MSG_ZEROCOPY && link->zerocopy)
		link_count_zerocopy(link);
	return error ? fail(error) : sent;
}

ssize_t
ss_sendto(struct ss *ss, int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t len)
{
	struct iovec iov = {(void *)data, size};
	struct msghdr message = {
		.msg_name = (void *)address, .msg_namelen = len, .msg_iov = &iov, .msg_iovlen = 1};

	return ss_sendmsg(ss, fd, &message, flags);
}

/* An entry of the error queue. Returns its length or a negative errno. */
static ssize_t
receive_error(struct link *link, int fd, struct msghdr *message, struct link_source *source)
{
	struct wait *wait;
	size_t copied = 0;
	int error;

	if (link_zerocopy_completion(link, source))
		return 0;
	*source = (struct link_source){0};
	if (!(wait = wait_new()))
		return -errno;
	error = wait_for(wait, link_receive_error(link, wait_done, wait));
	if (error)
		return error;
	error = wait->result.error;
	if (!error) {
		link_drop_error_notice(link, fd);
		source->name = wait->result.peer;
		source->control_len = (uint32_t)wait->result.control_len;
		memcpy(source->control, wait->result.control, wait->result.control_len);
		for (size_t i = 0; i < message->msg_iovlen && copied < wait->result.value_len; i++) {
			const struct iovec *iov = &message->msg_iov[i];
			size_t part = wait->result.value_len - copied < iov->iov_len ? wait->result.value_len - copied : iov->iov_len;

			memcpy(iov->iov_base, wait->result.value + copied, part);
			copied += part;
		}
		if (copied < wait->result.value_len)
			message->msg_flags |= MSG_TRUNC;
	}
	wait_unref(wait);
	return error ? -error : (ssize_t)copied;
}

ssize_t
ss_recvmsg(struct ss *ss, int fd, struct msghdr *message, int flags)
{
	_cleanup_link_ struct link *link = link_of(ss, fd);
	struct link_source source;
	ssize_t len;

	if (!link)
		return -1;
	if (is_packet(link))
		return recvmsg(fd, message, flags);
	if (flags & MSG_OOB && link_needs_leave(link))
		return fail(EOPNOTSUPP);
	if (flags & MSG_ERRQUEUE) {
		message->msg_flags = MSG_ERRQUEUE;
		len = receive_error(link, fd, message, &source);
	} else {
		len = link_receive(link, fd, message, flags, &source);
	}
	if (len < 0)
		return fail((int)-len);
	message->msg_controllen = link_give_control(&source, message->msg_control, message->msg_controllen, &message->msg_flags);
	if (message->msg_name) {
		memcpy(message->msg_name, &source.name.address,
		       source.name.len < message->msg_namelen ? source.name.len : message->msg_namelen);
		message->msg_namelen = source.name.len;
	}
	return len;
}

ssize_t
ss_recvfrom(struct ss *ss, int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *len)
{
	struct iovec iov = {data, size};
	struct msghdr message = {
		.msg_name = address, .msg_namelen = address && len ? *len : 0, .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t got = ss_recvmsg(ss, fd, &message, flags);

	if (got >= 0 && address && len)
		*len = message.msg_namelen;
	return got;
}

const char *
ss_version(void)
{
	return SPLITSOCK_VERSION;
}
