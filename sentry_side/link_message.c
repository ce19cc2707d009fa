/*
 * Messages: datagrams with their addresses and control messages, the error queue, urgent data, zero copy.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* After <time.h>, which it needs. */
#include <linux/errqueue.h>

#include "proto/control.h"
#include "sentry_side/link.h"

/* ---- sending ------------------------------------------------------------------------------------ */

/* Whether the kernel looks at control messages of this level on such a socket; others it ignores. */
static bool
level_applies(const struct link *link, int level)
{
	return level == SOL_SOCKET || (level == IPPROTO_UDP && !link_needs_leave(link)) ||
	       level == (link->family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP);
}

/* The program's control messages as the wire has them. Returns 0 or a negative errno. */
static int
take_control(struct link *link, const struct link_datagram *datagram, struct control_list *list)
{
	const struct cmsghdr *header;
	size_t at = 0;
	bool bad;

	while ((header = control_next(datagram->control, datagram->control_len, &at, &bad))) {
		int error;

		if (header->cmsg_level == SOL_SOCKET && (header->cmsg_type == SCM_RIGHTS || header->cmsg_type == SCM_CREDENTIALS))
			continue; /* mean nothing on an internet socket, and are no error */
		error = control_list_add(list, header->cmsg_level, header->cmsg_type, CMSG_DATA(header),
		                         header->cmsg_len - CMSG_LEN(0));
		if (error == -ENOENT)
			error = level_applies(link, header->cmsg_level) ? -EINVAL : 0;
		if (error)
			return error;
	}
	return bad ? -EINVAL : 0;
}

int
link_check_control(const void *control, size_t len)
{
	const struct cmsghdr *header;
	size_t at = 0;
	bool bad;

	while ((header = control_next(control, len, &at, &bad))) {
		uint8_t encoded[CONTROL_DATA_MAX];
		uint32_t wire;

		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type != SCM_RIGHTS && header->cmsg_type != SCM_CREDENTIALS &&
		    control_encode(header->cmsg_level, header->cmsg_type, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0), &wire,
		                   encoded) < 0)
			return -EINVAL;
	}
	return bad ? -EINVAL : 0;
}

static int
add_send(struct link *link, const struct link_datagram *datagram, uint32_t flags, Splitsock__Send *send, struct wire_address *wire,
         Splitsock__Address *message, struct control_list **control)
{
	int error;

	splitsock__send__init(send);
	if (datagram->address) {
		error = link_address(link, LINK_FOR_SEND, datagram->address, datagram->address_len, wire, message);
		if (error)
			return error;
		send->to = message;
	}
	if (datagram->control_len) {
		*control = calloc(1, sizeof **control);
		if (!*control)
			return -ENOBUFS;
		error = take_control(link, datagram, *control);
		if (error)
			return error;
		send->control = (*control)->list;
		send->n_control = (*control)->count;
	}
	send->flags = flags;
	send->payload.data = (uint8_t *)datagram->data;
	send->payload.len = datagram->size;
	return 0;
}

int
link_send(struct link *link, const struct link_datagram *datagrams, size_t count, int flags, link_done done, void *arg)
{
	Splitsock__Op ops[LINK_OPS_MAX];
	Splitsock__Send sends[LINK_OPS_MAX];
	Splitsock__Address messages[LINK_OPS_MAX];
	struct wire_address wires[LINK_OPS_MAX];
	struct control_list *controls[LINK_OPS_MAX] = {0};
	uint32_t wire_flags = wire_message_flags(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_ZEROCOPY), NULL);
	size_t size = 0, taken;
	ssize_t spare = 0;
	int error = 0;

	if (count > LINK_OPS_MAX)
		count = LINK_OPS_MAX;
	for (taken = 0; taken < count; taken++) {
		const struct link_datagram *datagram = &datagrams[taken];

		/* What does not fit one packet waits for the next call, as sendmmsg allows. */
		size += datagram->size + datagram->control_len + 128;
		if (taken && size > FRAME_BODY_MAX - 1024)
			break;
		error = datagram->size > 65535 ? -EMSGSIZE
		                               : add_send(link, datagram, wire_flags, &sends[taken], &wires[taken],
		                                          &messages[taken], &controls[taken]);
		if (error)
			break;
		spare += send_spare(&sends[taken]);
		if (taken && !sends_fit(taken + 1, spare))
			break;
		splitsock__op__init(&ops[taken]);
		ops[taken].op_case = SPLITSOCK__OP__OP_SEND;
		ops[taken].send = &sends[taken];
	}
	if (taken)
		error = link_call(link, ops, taken, LINK_CALL_PAYLOAD, done, arg, NULL);
	for (size_t i = 0; i < LINK_OPS_MAX; i++)
		free(controls[i]);
	return error;
}

/* ---- receiving ---------------------------------------------------------------------------------- */

int
link_drop_error_notice(struct link *link, int fd)
{
	struct link_source source;
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (link_is_stream(link))
		return 0;
	link_receive(link, fd, &message, MSG_PEEK | MSG_DONTWAIT, &source);
	return source.error;
}

/* Reads what the gofer says of a datagram. Nothing, if that is not what it seems. False: it cannot be read. */
static bool
read_source(int fd, struct link_source *source)
{
	ssize_t len = pread(fd, source, sizeof *source, 0);
	const size_t fixed = offsetof(struct link_source, control);

	if (len < (ssize_t)fixed || source->name.len > sizeof source->name.address || source->control_len != (size_t)len - fixed ||
	    source->error < 0 || source->error > 4095)
		*source = (struct link_source){0};
	return len >= 0;
}

/* When the program's read takes the bytes: TCP's own stamps stay on the host. */
static void
stamp_stream(struct link *link, struct link_source *source)
{
	int stamp = link->stamp;
	bool nanoseconds = stamp == SO_TIMESTAMPNS_OLD || stamp == SO_TIMESTAMPNS_NEW;
	struct timespec now;
	int64_t value[2];
	struct cmsghdr header = {.cmsg_len = CMSG_LEN(sizeof value), .cmsg_level = SOL_SOCKET, .cmsg_type = stamp};
	static_assert(sizeof(long) == sizeof(int64_t), "the old and the new form are laid out alike");

	clock_gettime(CLOCK_REALTIME, &now);
	value[0] = now.tv_sec;
	value[1] = nanoseconds ? now.tv_nsec : now.tv_nsec / 1000;
	memcpy(source->control, &header, sizeof header);
	memcpy(source->control + CMSG_LEN(0), value, sizeof value);
	source->control_len = CMSG_SPACE(sizeof value);
}

ssize_t
link_receive(struct link *link, int fd, struct msghdr *message, int flags, struct link_source *source)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr on_link = {
		.msg_iov = message->msg_iov,
		.msg_iovlen = message->msg_iovlen,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(sizeof(int)), /* for one: what more there is, the kernel closes */
	};
	struct pollfd end = {.fd = fd};
	ssize_t len = recvmsg(fd, &on_link, (flags & (MSG_PEEK | MSG_TRUNC | MSG_WAITALL | MSG_OOB | MSG_DONTWAIT)) | MSG_CMSG_CLOEXEC);

	source->name.len = 0;
	source->error = 0;
	source->control_len = 0;
	if (len < 0)
		return -errno;
	message->msg_flags = on_link.msg_flags & (MSG_TRUNC | MSG_OOB);
	if (link_is_stream(link)) {
		if (link->stamp && len > 0)
			stamp_stream(link, source);
		return len;
	}
	if (on_link.msg_controllen >= CMSG_LEN(sizeof(int)) && control.header.cmsg_type == SCM_RIGHTS) {
		int source_fd;
		bool read;

		memcpy(&source_fd, CMSG_DATA(&control.header), sizeof source_fd);
		read = read_source(source_fd, source);
		close(source_fd);
		if (!read)
			return -ENOMEM; /* rather than that it comes from address 0 */
		if (source->error) {
			/* Every request says so from here on, since which one comes first nobody knows; the gofer waits for it with the next notice. */
			link->error_told = source->error_number;
			link_open(link);
			if (flags & MSG_PEEK)
				recv(fd, NULL, 0, MSG_DONTWAIT);
			return -source->error;
		}
	} else if (on_link.msg_flags & MSG_CTRUNC) {
		return -ENOMEM; /* it had a source, and there was no descriptor left here for that */
	} else if (link->family == AF_NETLINK) {
		struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

		memcpy(&source->name.address, &kernel, sizeof kernel);
		source->name.len = sizeof kernel;
	}
	if (!source->name.len)
		link_peer_name(link, &source->name);
	if (len == 0 && (session_ended(&link->ss->session) || (!link->shut_down && poll(&end, 1, 0) == 1 && end.revents & POLLHUP)))
		return -ENETDOWN; /* an end that the program did not make */
	return len;
}

size_t
link_give_control(const struct link_source *source, void *room, size_t room_len, int *flags)
{
	const struct cmsghdr *header;
	size_t at = 0, used = 0;
	bool bad;

	/* put_cmsg() */
	while ((header = control_next(source->control, source->control_len, &at, &bad))) {
		struct cmsghdr written = *header;
		size_t left = room_len - used, space = CMSG_SPACE(header->cmsg_len - CMSG_LEN(0));

		if (!room || left < sizeof written) {
			*flags |= MSG_CTRUNC;
			continue;
		}
		if (left < written.cmsg_len) {
			*flags |= MSG_CTRUNC;
			written.cmsg_len = left;
		}
		memcpy((char *)room + used, &written, sizeof written);
		memcpy((char *)room + used + sizeof written, header + 1, written.cmsg_len - sizeof written);
		used += space < left ? space : left;
	}
	return used;
}

/* ---- the error queue ---------------------------------------------------------------------------- */

int
link_receive_error(struct link *link, link_done done, void *arg)
{
	Splitsock__ReceiveError receive = SPLITSOCK__RECEIVE_ERROR__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;

	op.op_case = SPLITSOCK__OP__OP_RECEIVE_ERROR;
	op.receive_error = &receive;
	return link_call(link, &op, 1, 0, done, arg, NULL);
}

void
link_count_zerocopy(struct link *link)
{
	link->zerocopy_sent++;
}

bool
link_zerocopy_completion(struct link *link, struct link_source *completion)
{
	unsigned first = link->zerocopy_told, next = link->zerocopy_sent;
	struct {
		struct sock_extended_err error;
		union {
			struct sockaddr_in in;
			struct sockaddr_in6 in6;
		} offender;
	} data = {.error = {.ee_origin = SO_EE_ORIGIN_ZEROCOPY, .ee_code = SO_EE_CODE_ZEROCOPY_COPIED, .ee_info = first, .ee_data = next - 1}};
	bool v6 = link->family == AF_INET6;
	size_t len = sizeof data.error + (v6 ? sizeof data.offender.in6 : sizeof data.offender.in);
	struct cmsghdr header = {
		.cmsg_len = CMSG_LEN(len),
		.cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP,
		.cmsg_type = v6 ? IPV6_RECVERR : IP_RECVERR,
	};

	if (first == next)
		return false;
	link->zerocopy_told = next;
	*completion = (struct link_source){.control_len = (uint32_t)CMSG_SPACE(len)};
	memcpy(completion->control, &header, sizeof header);
	memcpy(completion->control + CMSG_LEN(0), &data, len);
	return true;
}

/* ---- urgent data -------------------------------------------------------------------------------- */

int
link_urgent(struct link *link, link_done done, void *arg)
{
	Splitsock__Urgent urgent = SPLITSOCK__URGENT__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;

	op.op_case = SPLITSOCK__OP__OP_URGENT;
	op.urgent = &urgent;
	return link_call(link, &op, 1, 0, done, arg, NULL);
}
