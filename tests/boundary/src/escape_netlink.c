/*
 * Changes to the host's network by way of netlink. With "fresh" as an argument the attempt is made in a network namespace of its own,
 * to show that it would succeed.
 */
#include "escapes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	struct nlmsghdr header;
	char body[256];
};

static void
add_attribute(struct request *request, unsigned short type, const void *value, size_t len)
{
	struct rtattr *attribute = (struct rtattr *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(attribute), value, len);
	request->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len));
}

/* 198.51.100.7/32 on lo: of TEST-NET-2, so nobody's. */
static void
new_address(struct request *request, uint16_t type)
{
	struct ifaddrmsg body = {.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 1};
	uint32_t ip = inet_addr("198.51.100.7");

	*request = (struct request){.header = {.nlmsg_len = NLMSG_LENGTH(sizeof body), .nlmsg_type = type, .nlmsg_seq = 1,
	                                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE}};
	memcpy(request->body, &body, sizeof body);
	add_attribute(request, IFA_LOCAL, &ip, sizeof ip);
	add_attribute(request, IFA_ADDRESS, &ip, sizeof ip);
}

static void
new_route(struct request *request, uint16_t type)
{
	struct rtmsg body = {.rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
	                     .rtm_scope = RT_SCOPE_LINK, .rtm_type = RTN_UNICAST};
	uint32_t ip = inet_addr("198.51.100.8");
	int lo = 1;

	*request = (struct request){.header = {.nlmsg_len = NLMSG_LENGTH(sizeof body), .nlmsg_type = type, .nlmsg_seq = 1,
	                                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE}};
	memcpy(request->body, &body, sizeof body);
	add_attribute(request, RTA_DST, &ip, sizeof ip);
	add_attribute(request, RTA_OIF, &lo, sizeof lo);
}

/* lo up: it is. */
static void
new_link(struct request *request, uint16_t type)
{
	struct ifinfomsg body = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	*request = (struct request){.header = {.nlmsg_len = NLMSG_LENGTH(sizeof body), .nlmsg_type = type, .nlmsg_seq = 1,
	                                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
	memcpy(request->body, &body, sizeof body);
}

/* The first error, or what is said of sequence number 1. */
static const char *
answer(int fd)
{
	char data[65536];
	struct timeval patience = {.tv_sec = 10};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	for (;;) {
		ssize_t len = recv(fd, data, sizeof data, 0);

		if (len < 0)
			return outcome(-1);
		for (struct nlmsghdr *at = (struct nlmsghdr *)data; NLMSG_OK(at, len); at = NLMSG_NEXT(at, len)) {
			struct nlmsgerr *error = NLMSG_DATA(at);

			if (at->nlmsg_type == NLMSG_ERROR && (error->error || at->nlmsg_seq == 1))
				return outcome_of_call(error->error);
		}
	}
}

enum way { BY_SEND, BY_SENDTO, BY_SENDMSG, BY_WRITE };

static const char *
ask(char **args, enum way way, const void *request, size_t len)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct iovec iov = {(void *)request, len};
	struct msghdr message = {.msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;
	int fd;

	if (args[0] && strcmp(args[0], "fresh") == 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return "no namespace";
	fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	if (fd < 0)
		return "no socket";
	switch (way) {
	case BY_SENDTO:
		sent = sendto(fd, request, len, 0, (struct sockaddr *)&kernel, sizeof kernel);
		break;
	case BY_SENDMSG:
		sent = sendmsg(fd, &message, 0);
		break;
	case BY_WRITE:
		sent = write(fd, request, len);
		break;
	default:
		sent = send(fd, request, len, 0);
	}
	return sent < 0 ? outcome(-1) : answer(fd);
}

#define ASK(function, make, type, way)                                     \
	static const char *function(char **args)                           \
	{                                                                  \
		struct request request;                                    \
                                                                           \
		make(&request, type);                                      \
		return ask(args, way, &request, request.header.nlmsg_len); \
	}

ASK(address_by_send, new_address, RTM_NEWADDR, BY_SEND)
ASK(address_by_sendto, new_address, RTM_NEWADDR, BY_SENDTO)
ASK(address_by_sendmsg, new_address, RTM_NEWADDR, BY_SENDMSG)
ASK(address_by_write, new_address, RTM_NEWADDR, BY_WRITE)
ASK(route, new_route, RTM_NEWROUTE, BY_SEND)
ASK(link_up, new_link, RTM_NEWLINK, BY_SEND)
ASK(link_set, new_link, RTM_SETLINK, BY_SENDTO)

/* A read first, and the change behind it in the same datagram. */
static const char *
address_behind_a_read(char **args)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg body;
		struct request request;
	} both = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof both.body), .nlmsg_type = RTM_GETLINK, .nlmsg_seq = 2,
	                     .nlmsg_flags = NLM_F_REQUEST},
	          .body = {.ifi_index = 1}};

	new_address(&both.request, RTM_NEWADDR);
	return ask(args, BY_SEND, &both, offsetof(typeof(both), request) + both.request.header.nlmsg_len);
}

/* Every message type that is no read, with a body of nothing: how many are not refused with EPERM. */
static const char *
every_change(char **args)
{
	static char text[64];
	int refused = 0, other = 0;

	(void)args;
	for (uint16_t type = RTM_BASE; type < RTM_BASE + 128; type++) {
		struct request request = {.header = {.nlmsg_len = NLMSG_LENGTH(64), .nlmsg_type = type, .nlmsg_seq = 1,
		                                     .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
		const char *came;

		if ((type & 3) == 2)
			continue;
		came = ask((char *[]){NULL}, type & 1 ? BY_SEND : BY_SENDTO, &request, request.header.nlmsg_len);
		if (strcmp(came, "EPERM") == 0 || strcmp(came, "EACCES") == 0)
			refused++;
		else
			other++;
	}
	snprintf(text, sizeof text, "%d refused, %d not", refused, other);
	return text;
}

const struct attempt netlink_attempts[] = {
	{"address-by-send", address_by_send},
	{"address-by-sendto", address_by_sendto},
	{"address-by-sendmsg", address_by_sendmsg},
	{"address-by-write", address_by_write},
	{"address-behind-a-read", address_behind_a_read},
	{"route", route},
	{"link-up", link_up},
	{"link-set", link_set},
	{"every-change", every_change},
	{0},
};
