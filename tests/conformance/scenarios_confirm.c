/*
 * MSG_CONFIRM: the sender knows, from an answer that the neighbour gave, that it is there, and the kernel need not ask. And its kin MSG_PROBE,
 * which goes through all of a send but the sending, and MSG_DONTROUTE. A stream's send takes no notice of any.
 */
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>

#include "tests/conformance/raw.h"

#ifndef MSG_PROBE
#define MSG_PROBE 0x10
#endif

static const struct {
	const char *name;
	int flags;
} flag_sets[] = {
	{"confirm", MSG_CONFIRM},
	{"probe", MSG_PROBE},
	{"confirm and probe", MSG_CONFIRM | MSG_PROBE},
	{"dontroute", MSG_DONTROUTE},
	{"confirm and dontwait", MSG_CONFIRM | MSG_DONTWAIT},
};
#define EACH_FLAG_SET(i) (size_t i = 0; i < sizeof flag_sets / sizeof *flag_sets; i++)

static long
send_one_of_many(int fd, const struct address *to, int flags)
{
	struct iovec iov = {"mmsg", 4};
	struct mmsghdr many = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	if (to) {
		many.msg_hdr.msg_name = (void *)SA(to);
		many.msg_hdr.msg_namelen = to->length;
	}
	return sendmmsg(fd, &many, 1, flags);
}

/* Every call with every set of flags, with and without text; to a peer if `to` is NULL. */
static void
observe_sends(int fd, const struct address *to)
{
	struct iovec iov = {"msg", 3};
	struct msghdr message = {.msg_name = to ? (void *)SA(to) : NULL, .msg_namelen = to ? to->length : 0, .msg_iov = &iov, .msg_iovlen = 1};
	const struct sockaddr *name = to ? SA(to) : NULL;
	socklen_t length = to ? to->length : 0;

	for EACH_FLAG_SET(i) {
		int flags = flag_sets[i].flags;

		OBSERVE("%s", flag_sets[i].name);
		observe_call("sendto", sendto(fd, "text", 4, flags, name, length));
		observe_call("sendto nothing", sendto(fd, "", 0, flags, name, length));
		observe_call("sendmsg", sendmsg(fd, &message, flags));
		observe_call("sendmmsg", send_one_of_many(fd, to, flags));
	}
}

/* All there is; with a probe nothing came. */
static void
observe_arrivals(int fd)
{
	while (wait_for(fd, POLLIN)) {
		char text[64];
		ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);

		observe_bytes("recv", text, n);
		if (n == 4 && memcmp(text, "last", 4) == 0)
			return;
	}
	OBSERVE("the last did not come");
}

SCENARIO_V4_V6(confirm, datagrams_connected)
{
	struct pair pair = udp_pair(family);

	observe_sends(pair.client, NULL);
	send_text(pair.client, "last");
	observe_arrivals(pair.server);
}

SCENARIO_V4_V6(confirm, datagrams_to)
{
	int receiver = udp_bound(family), sender = udp_socket(family);
	struct address at = local_of(receiver);

	observe_sends(sender, &at);
	must("sendto", sendto(sender, "last", 4, 0, SA(&at), at.length));
	observe_arrivals(receiver);
}

/* What is said of no peer, of a refusing one, and of a name that is no good. */
SCENARIO_V4_V6(confirm, datagram_errors)
{
	int fd = udp_socket(family);
	struct address refusing = local_of(udp_refusing(family)), zero = loopback(family, 0);

	observe_call("no peer", send(fd, "x", 1, MSG_CONFIRM));
	observe_call("no peer, probe", send(fd, "", 0, MSG_PROBE));
	observe_call("port 0", sendto(fd, "x", 1, MSG_CONFIRM, SA(&zero), zero.length));
	observe_call("short name", sendto(fd, "x", 1, MSG_CONFIRM, SA(&zero), 2));
	must("connect", connect_fd(fd, &refusing));
	observe_call("probe of one that refuses", send(fd, "x", 1, MSG_PROBE));
	observe_call("again", send(fd, "x", 1, MSG_PROBE));
	observe_so_error("nothing went out", fd);
	observe_call("send", send(fd, "x", 1, MSG_CONFIRM));
	wait_for(fd, POLLERR);
	observe_call("told", send(fd, "x", 1, MSG_CONFIRM));
}

/* Corked: the flag is that of any part. */
SCENARIO_V4_V6(confirm, datagram_of_parts)
{
	struct pair pair = udp_pair(family);

	observe_call("more", send(pair.client, "two ", 4, MSG_CONFIRM | MSG_MORE));
	observe_call("no more", send(pair.client, "parts", 5, MSG_CONFIRM));
	wait_for(pair.server, POLLIN);
	observe_recv("recv", pair.server, 64, MSG_CONFIRM);
}

SCENARIO_V4_V6(confirm, raw)
{
	int receiver = raw_own(family, RAW_PROTOCOL, 0), sender = raw_socket(family, RAW_PROTOCOL);
	struct address at = loopback(family, 0);

	for EACH_FLAG_SET(i) {
		OBSERVE("%s", flag_sets[i].name);
		observe_call("sendto", raw_send(sender, flag_sets[i].name, &at, flag_sets[i].flags) > 0);
		observe_call("sendto nothing", sendto(sender, "", 0, flag_sets[i].flags, SA(&at), at.length));
	}
	must("connect", connect_fd(sender, &at));
	for EACH_FLAG_SET(i)
		observe_call(flag_sets[i].name, raw_send(sender, flag_sets[i].name, NULL, flag_sets[i].flags) > 0);
	must("send", raw_send(sender, "last", NULL, 0));
	/* Those that were no probes, three by name and three to the peer, and the last. */
	for (int i = 0; i < 7; i++)
		observe_received("receiver", family, receiver, 0);
}

SCENARIO_V4_V6(confirm, stream)
{
	struct pair pair = tcp_pair(family);
	struct address other = loopback(family, 9);
	char text[200] = "";

	observe_sends(pair.client, NULL);
	observe_sends(pair.client, &other);
	send_text(pair.client, "last");
	shutdown(pair.client, SHUT_WR);
	observe_bytes("read", text, (ssize_t)read_all(pair.server, text, sizeof text));
	observe_call("fresh", send(tcp_socket(family), "x", 1, MSG_CONFIRM | MSG_NOSIGNAL));
	observe_recv("recv", pair.server, 1, MSG_CONFIRM);
}

/* --- What it does --------------------------------------------------------------------------------- */

enum {
	TICKS_A_SECOND = 100, /* of what the kernel tells */
	LONG_AGO = 30,
};

/* How long ago the kernel was last sure of the neighbour with that address, in its ticks; -1 if it does not know it. */
static int
confirmed_ago(const struct address *neighbour)
{
	const struct in6_addr *wanted = &((const struct sockaddr_in6 *)&neighbour->storage)->sin6_addr;
	struct {
		struct nlmsghdr header;
		struct ndmsg message;
	} request = {
		.header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETNEIGH, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.message = {.ndm_family = AF_INET6},
	};
	int fd = must("netlink", socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), ago = -1;
	static _Alignas(struct nlmsghdr) char answer[16384];
	bool done = false;

	must("send", send(fd, &request, sizeof request, 0));
	while (!done) {
		int left = must("recv", recv(fd, answer, sizeof answer, 0));

		for (struct nlmsghdr *h = (struct nlmsghdr *)answer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			struct ndmsg *message = NLMSG_DATA(h);
			int rest = (int)NLMSG_PAYLOAD(h, sizeof *message);
			struct nda_cacheinfo info = {0};
			bool same = false;

			done |= h->nlmsg_type != RTM_NEWNEIGH;
			if (done)
				break;
			for (struct rtattr *a = (struct rtattr *)(message + 1); RTA_OK(a, rest); a = RTA_NEXT(a, rest)) {
				same |= a->rta_type == NDA_DST && memcmp(RTA_DATA(a), wanted, sizeof *wanted) == 0;
				if (a->rta_type == NDA_CACHEINFO)
					memcpy(&info, RTA_DATA(a), sizeof info);
			}
			if (same)
				ago = (int)info.ndm_confirmed;
		}
	}
	close(fd);
	return ago;
}

static void
observe_confirmed(const char *what, const struct address *neighbour)
{
	int ago = confirmed_ago(neighbour);

	OBSERVE("%s: the neighbour is %s", what, ago < 0 ? "unknown" : ago < LONG_AGO ? "confirmed" : "as it was");
}

/* Once to learn the neighbour, once without the flag after a while, and once with it. */
static void
observe_effect(int fd, const struct address *to, const struct address *neighbour)
{
	const struct sockaddr *name = to ? SA(to) : NULL;
	socklen_t length = to ? to->length : 0;

	must("send", sendto(fd, "first", 5, 0, name, length));
	for (int64_t end = now_ms() + WAIT_MS; confirmed_ago(neighbour) < 0 && now_ms() < end;)
		pause_ms(10);
	pause_ms((LONG_AGO + LONG_AGO / 2) * 1000 / TICKS_A_SECOND);
	must("send", sendto(fd, "without", 7, 0, name, length));
	pause_ms(QUIET_MS / 2);
	observe_confirmed("without", neighbour);
	must("send", sendto(fd, "with", 4, MSG_CONFIRM, name, length));
	for (int64_t end = now_ms() + WAIT_MS; confirmed_ago(neighbour) >= LONG_AGO && now_ms() < end;)
		pause_ms(10);
	observe_confirmed("with", neighbour);
}

SCENARIO(confirm, effect_link_local)
{
	struct address there = literal(LINK_QUIET_ADDRESS, 0), near;
	int receiver = udp_socket(AF_INET6), sender = udp_socket(AF_INET6), raw_receiver;

	((struct sockaddr_in6 *)&there.storage)->sin6_scope_id = if_nametoindex(LINK_NAME);
	must("bind", bind(receiver, SA(&there), there.length));
	near = local_of(receiver);
	((struct sockaddr_in6 *)&near.storage)->sin6_scope_id = if_nametoindex(LINK_OTHER_NAME);
	OBSERVE("by name");
	observe_effect(sender, &near, &near);
	OBSERVE("to the peer");
	must("connect", connect_fd(sender, &near));
	observe_effect(sender, NULL, &near);
	OBSERVE("raw");
	raw_receiver = raw_socket(AF_INET6, RAW_PROTOCOL); /* so that nobody complains of the protocol */
	((struct sockaddr_in6 *)&near.storage)->sin6_port = 0;
	observe_effect(raw_socket(AF_INET6, RAW_PROTOCOL), &near, &near);
	close(raw_receiver);
}
