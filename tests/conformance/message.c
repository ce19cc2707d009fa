#include "tests/conformance/message.h"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <time.h>

#ifndef SO_RXQ_OVFL
#define SO_RXQ_OVFL 40
#endif

struct cmsghdr *
control_add(struct control *control, int level, int type, const void *data, size_t length)
{
	struct cmsghdr *header = (struct cmsghdr *)(control->bytes + control->length);

	must("room for control data", control->length + CMSG_SPACE(length) <= sizeof control->bytes ? 0 : -1);
	header->cmsg_level = level;
	header->cmsg_type = type;
	header->cmsg_len = CMSG_LEN(length);
	if (length)
		memcpy(CMSG_DATA(header), data, length);
	control->length += CMSG_SPACE(length);
	return header;
}

struct cmsghdr *
control_add_int(struct control *control, int level, int type, int value)
{
	return control_add(control, level, type, &value, sizeof value);
}

long
send_control(int fd, const char *text, const struct address *to, const struct control *control, int flags)
{
	struct iovec iov = {(char *)text, strlen(text)};
	struct msghdr message = {
		.msg_name = to ? SA(to) : NULL, .msg_namelen = to ? to->length : 0, .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control && control->length ? (char *)control->bytes : NULL,
		.msg_controllen = control ? control->length : 0,
	};

	return sendmsg(fd, &message, flags);
}

static const char *
plausible(int64_t seconds)
{
	int64_t away = seconds - time(NULL);

	return seconds == 0 ? "zero" : away >= -20 && away <= 1 ? "now" : "some other time";
}

static void
observe_extended_error(const struct cmsghdr *c, const char *level)
{
	struct sock_extended_err error;
	const char *data = (const char *)CMSG_DATA(c);
	size_t length = c->cmsg_len - CMSG_LEN(0);

	memcpy(&error, data, sizeof error);
	OBSERVE("control %s error length %zu: %s origin %d type %d code %d info %u data %u", level, length,
	        error_name((int)error.ee_errno), error.ee_origin, error.ee_type, error.ee_code, error.ee_info, error.ee_data);
	if (length >= sizeof error + sizeof(struct sockaddr_in) && error.ee_origin >= SO_EE_ORIGIN_ICMP &&
	    error.ee_origin <= SO_EE_ORIGIN_ICMP6)
		observe_address("offender", data + sizeof error, (socklen_t)(length - sizeof error));
}

static void
observe_packet_info(const struct cmsghdr *c)
{
	char one[INET6_ADDRSTRLEN], other[INET6_ADDRSTRLEN];
	struct in_pktinfo info;
	struct in6_pktinfo info6;

	if (c->cmsg_level == IPPROTO_IP) {
		memcpy(&info, CMSG_DATA(c), sizeof info);
		OBSERVE("control IP_PKTINFO length %zu: interface %d to %s local %s", (size_t)c->cmsg_len, info.ipi_ifindex,
		        inet_ntop(AF_INET, &info.ipi_addr, one, sizeof one),
		        inet_ntop(AF_INET, &info.ipi_spec_dst, other, sizeof other));
	} else {
		memcpy(&info6, CMSG_DATA(c), sizeof info6);
		OBSERVE("control IPV6_PKTINFO length %zu: interface %u to %s", (size_t)c->cmsg_len, info6.ipi6_ifindex,
		        inet_ntop(AF_INET6, &info6.ipi6_addr, one, sizeof one));
	}
}

static void
observe_stamps(const struct cmsghdr *c)
{
	struct scm_timestamping stamps;

	if (c->cmsg_len < CMSG_LEN(sizeof stamps)) {
		OBSERVE("control SCM_TIMESTAMPING length %zu", (size_t)c->cmsg_len);
		return;
	}
	memcpy(&stamps, CMSG_DATA(c), sizeof stamps);
	OBSERVE("control SCM_TIMESTAMPING length %zu: %s %s %s", (size_t)c->cmsg_len, plausible(stamps.ts[0].tv_sec),
	        plausible(stamps.ts[1].tv_sec), plausible(stamps.ts[2].tv_sec));
}

static void
observe_socket_level(const struct cmsghdr *c)
{
	struct timeval time;
	struct timespec precise;

	/* What was cut off cannot be looked at. */
	switch (c->cmsg_len < CMSG_LEN(sizeof precise) && c->cmsg_type != SO_RXQ_OVFL && c->cmsg_type != SCM_CREDENTIALS ? -1 : c->cmsg_type) {
	case SO_TIMESTAMP:
		memcpy(&time, CMSG_DATA(c), sizeof time);
		OBSERVE("control SO_TIMESTAMP length %zu: %s", (size_t)c->cmsg_len, plausible(time.tv_sec));
		return;
	case SO_TIMESTAMPNS:
		memcpy(&precise, CMSG_DATA(c), sizeof precise);
		OBSERVE("control SO_TIMESTAMPNS length %zu: %s", (size_t)c->cmsg_len, plausible(precise.tv_sec));
		return;
	case SO_TIMESTAMPING:
		observe_stamps(c);
		return;
	case SO_RXQ_OVFL:
		OBSERVE("control SO_RXQ_OVFL length %zu", (size_t)c->cmsg_len);
		return;
	case SCM_CREDENTIALS:
		OBSERVE("control SCM_CREDENTIALS length %zu", (size_t)c->cmsg_len);
		return;
	default:
		OBSERVE("control SOL_SOCKET %d length %zu", c->cmsg_type, (size_t)c->cmsg_len);
	}
}

void
observe_control(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		int level = c->cmsg_level, type = c->cmsg_type, value = 0;
		size_t length = c->cmsg_len - CMSG_LEN(0);

		memcpy(&value, CMSG_DATA(c), length < sizeof value ? length : sizeof value);
		if (level == SOL_SOCKET) {
			observe_socket_level(c);
		} else if ((level == IPPROTO_IP && type == IP_PKTINFO && length == sizeof(struct in_pktinfo)) ||
		           (level == IPPROTO_IPV6 && type == IPV6_PKTINFO && length == sizeof(struct in6_pktinfo))) {
			observe_packet_info(c);
		} else if (level == IPPROTO_IP && type == IP_RECVERR && length >= sizeof(struct sock_extended_err)) {
			observe_extended_error(c, "IP");
		} else if (level == IPPROTO_IPV6 && type == IPV6_RECVERR && length >= sizeof(struct sock_extended_err)) {
			observe_extended_error(c, "IPV6");
		} else if ((level == IPPROTO_IP && type == IP_ORIGDSTADDR) ||
		           (level == IPPROTO_IPV6 && type == IPV6_ORIGDSTADDR)) {
			observe_address("control ORIGDSTADDR", CMSG_DATA(c), (socklen_t)length);
		} else {
			OBSERVE("control level %d type %d length %zu value %d", level, type, (size_t)c->cmsg_len, value);
		}
	}
}

ssize_t
observe_message(const char *what, int fd, size_t control_size, int flags)
{
	static _Thread_local char data[65536];
	struct control control = {.length = 0};
	struct sockaddr_storage name = {0};
	struct iovec iov = {data, sizeof data};
	struct msghdr message = {
		.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control_size ? control.bytes : NULL,
		.msg_controllen = control_size < CONTROL_MAX ? control_size : CONTROL_MAX,
	};
	ssize_t n = recvmsg(fd, &message, flags);

	observe_bytes(what, data, n);
	if (n < 0)
		return n;
	OBSERVE("flags %s control %zu", msg_flags_name(message.msg_flags), (size_t)message.msg_controllen);
	if (message.msg_namelen)
		observe_address("name", &name, message.msg_namelen);
	observe_control(&message);
	return n;
}

ssize_t
wait_message(const char *what, int fd, size_t control_size, int flags)
{
	if (!wait_for(fd, flags & MSG_ERRQUEUE ? 0 : POLLIN))
		OBSERVE("%s: nothing came", what);
	return observe_message(what, fd, control_size, flags | MSG_DONTWAIT);
}

int
level_of(int family)
{
	return family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
}

void
observe_one_datagram(const char *what, int from, int fd, const struct address *to, const struct control *control)
{
	char label[80];

	snprintf(label, sizeof label, "%s: sendmsg", what);
	if (observe_call(label, send_control(from, "x", to, control, 0)) >= 0)
		wait_message(what, fd, CONTROL_MAX, 0);
}
