/* Netlink: links, addresses and routes as `ip` and the C library read them. Only lo is looked at closely. */
#include "tests/conformance/scenario.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>

static int
netlink(void)
{
	int fd = must("socket", socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));

	set_receive_timeout(fd, WAIT_MS);
	return fd;
}

static long
ask(int fd, uint16_t type, uint16_t flags, const void *body, size_t length)
{
	struct {
		struct nlmsghdr header;
		char body[128];
	} request = {.header = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(length), .nlmsg_type = type,
	                        .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = 7}};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	memcpy(request.body, body, length);
	return sendto(fd, &request, request.header.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel);
}

static struct rtattr *
attribute(struct nlmsghdr *h, size_t skip, unsigned short type)
{
	int left = (int)(h->nlmsg_len - NLMSG_SPACE(skip));
	struct rtattr *a = (struct rtattr *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(skip));

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == type)
			return a;
	return NULL;
}

/* Reads until the end of the dump, or one answer; calls `each` for every message that is neither end nor error. */
static void
answers(int fd, bool dump, void (*each)(struct nlmsghdr *))
{
	static char buffer[65536];
	int messages = 0;

	for (;;) {
		ssize_t n = recv(fd, buffer, sizeof buffer, 0);
		unsigned left = (unsigned)n;

		if (n < 0) {
			observe_call("recv", n);
			return;
		}
		for (struct nlmsghdr *h = (struct nlmsghdr *)buffer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_seq != 7)
				OBSERVE("sequence %u", h->nlmsg_seq);
			if (h->nlmsg_type == NLMSG_DONE) {
				OBSERVE("done, some %d", messages > 0);
				return;
			}
			if (h->nlmsg_type == NLMSG_ERROR) {
				observe_errno("error", -((struct nlmsgerr *)NLMSG_DATA(h))->error);
				return;
			}
			messages++;
			if (dump && !(h->nlmsg_flags & NLM_F_MULTI))
				OBSERVE("no NLM_F_MULTI");
			each(h);
		}
		if (!dump)
			return;
	}
}

static void
one_link(struct nlmsghdr *h)
{
	struct ifinfomsg *link = NLMSG_DATA(h);
	struct rtattr *name = attribute(h, sizeof *link, IFLA_IFNAME), *mtu = attribute(h, sizeof *link, IFLA_MTU);

	OBSERVE("type %d link %d %s flags %#x kind %d mtu %u", h->nlmsg_type, link->ifi_index, name ? (char *)RTA_DATA(name) : "?",
	        link->ifi_flags, link->ifi_type, mtu ? *(unsigned *)RTA_DATA(mtu) : 0);
}

static void
one_address(struct nlmsghdr *h)
{
	struct ifaddrmsg *address = NLMSG_DATA(h);
	struct rtattr *a = attribute(h, sizeof *address, IFA_ADDRESS);
	char text[INET6_ADDRSTRLEN] = "?";

	if (a)
		inet_ntop(address->ifa_family, RTA_DATA(a), text, sizeof text);
	OBSERVE("type %d link %u %s/%d scope %d", h->nlmsg_type, address->ifa_index, text, address->ifa_prefixlen, address->ifa_scope);
}

static void
one_route(struct nlmsghdr *h)
{
	struct rtmsg *route = NLMSG_DATA(h);
	struct rtattr *to = attribute(h, sizeof *route, RTA_DST), *out = attribute(h, sizeof *route, RTA_OIF);
	struct rtattr *source = attribute(h, sizeof *route, RTA_PREFSRC);
	char text[INET6_ADDRSTRLEN] = "default", from[INET6_ADDRSTRLEN] = "none";

	if (to)
		inet_ntop(route->rtm_family, RTA_DATA(to), text, sizeof text);
	if (source)
		inet_ntop(route->rtm_family, RTA_DATA(source), from, sizeof from);
	OBSERVE("type %d %s/%d out %d source %s table %d kind %d", h->nlmsg_type, text, route->rtm_dst_len,
	        out ? *(int *)RTA_DATA(out) : 0, from, route->rtm_table, route->rtm_type);
}

SCENARIO(route, links)
{
	int fd = netlink();
	struct ifinfomsg all = {.ifi_family = AF_UNSPEC};

	observe_call("ask", ask(fd, RTM_GETLINK, NLM_F_DUMP, &all, sizeof all));
	answers(fd, true, one_link);
	observe_quiet("nothing more", fd, POLLIN);
}

SCENARIO(route, link_by_index)
{
	int fd = netlink();
	struct ifinfomsg lo = {.ifi_index = 1}, none = {.ifi_index = 99999};

	observe_call("ask", ask(fd, RTM_GETLINK, 0, &lo, sizeof lo));
	answers(fd, false, one_link);
	observe_call("ask", ask(fd, RTM_GETLINK, 0, &none, sizeof none));
	answers(fd, false, one_link);
}

SCENARIO_V4_V6(route, addresses)
{
	int fd = netlink();
	struct ifaddrmsg all = {.ifa_family = (unsigned char)family};

	observe_call("ask", ask(fd, RTM_GETADDR, NLM_F_DUMP, &all, sizeof all));
	answers(fd, true, one_address);
}

SCENARIO_V4_V6(route, routes)
{
	int fd = netlink();
	struct rtmsg all = {.rtm_family = (unsigned char)family};

	observe_call("ask", ask(fd, RTM_GETROUTE, NLM_F_DUMP, &all, sizeof all));
	answers(fd, true, one_route);
}

SCENARIO_V4_V6(route, to_loopback)
{
	int fd = netlink();
	size_t length = family == AF_INET ? 4 : 16;
	struct {
		struct rtmsg route;
		struct rtattr attribute;
		char address[16];
	} request = {.route = {.rtm_family = (unsigned char)family, .rtm_dst_len = (unsigned char)(length * 8)}};

	request.attribute.rta_type = RTA_DST;
	request.attribute.rta_len = (unsigned short)RTA_LENGTH(length);
	inet_pton(family, family == AF_INET ? "127.0.0.1" : "::1", request.address);
	observe_call("ask", ask(fd, RTM_GETROUTE, 0, &request, sizeof request.route + RTA_LENGTH(length)));
	answers(fd, false, one_route);
}

SCENARIO(route, bad_requests)
{
	int fd = netlink();
	struct ifinfomsg link = {.ifi_family = AF_UNSPEC};

	observe_call("unknown type", ask(fd, 9999, 0, &link, sizeof link));
	answers(fd, false, one_link);
	observe_call("short", ask(fd, RTM_GETLINK, 0, &link, 1));
	answers(fd, false, one_link);
}

/* Root may be told something else than that it may not; nobody is told that it worked. */
SCENARIO(route, changes_are_refused)
{
	int fd = netlink();
	char buffer[4096];
	struct nlmsghdr *h = (struct nlmsghdr *)buffer;
	struct ifinfomsg link = {.ifi_index = 99999};
	static const uint16_t types[] = {RTM_NEWADDR, RTM_DELADDR, RTM_DELROUTE, RTM_DELLINK, RTM_SETLINK};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (ask(fd, types[i], NLM_F_ACK, &link, sizeof link) < 0) {
			OBSERVE("%d refused", types[i]);
			continue;
		}
		must("recv", recv(fd, buffer, sizeof buffer, 0));
		OBSERVE("%d %s", types[i],
		        h->nlmsg_type == NLMSG_ERROR && ((struct nlmsgerr *)NLMSG_DATA(h))->error ? "refused" : "worked");
	}
}

SCENARIO(route, names_of_socket)
{
	int fd = netlink();
	struct sockaddr_nl name = {0}, any = {.nl_family = AF_NETLINK};
	socklen_t length = sizeof name;

	observe_call("getsockname", getsockname(fd, (struct sockaddr *)&name, &length));
	OBSERVE("family %d length %u port %d", name.nl_family, length, name.nl_pid != 0);
	observe_call("bind", bind(fd, (struct sockaddr *)&any, sizeof any));
	length = sizeof name;
	observe_call("getsockname", getsockname(fd, (struct sockaddr *)&name, &length));
	OBSERVE("family %d length %u port %d", name.nl_family, length, name.nl_pid != 0);
	observe_option("SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
	observe_option("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
	observe_option("SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
}

/* As `ip` does: recvmsg() with MSG_PEEK | MSG_TRUNC to learn the size first. */
SCENARIO(route, peeked)
{
	int fd = netlink();
	struct ifinfomsg lo = {.ifi_index = 1};
	struct sockaddr_nl name = {0};
	static char buffer[32768];
	struct iovec iov = {buffer, 0};
	struct msghdr message = {.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t size, n;

	must("ask", ask(fd, RTM_GETLINK, 0, &lo, sizeof lo));
	size = recvmsg(fd, &message, MSG_PEEK | MSG_TRUNC);
	OBSERVE("size %d flags %s", size > 0, msg_flags_name(message.msg_flags));
	iov.iov_len = sizeof buffer;
	n = recvmsg(fd, &message, 0);
	OBSERVE("alike %d flags %s from %u length %u", n == size, msg_flags_name(message.msg_flags), name.nl_pid, message.msg_namelen);
	observe_recv("empty", fd, 10, MSG_DONTWAIT);
}
