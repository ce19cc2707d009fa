/* Ancillary data that is wrong, or for another kind of socket: the errno, and that nothing was sent. */
#include "tests/conformance/message.h"

#include <netinet/udp.h>
#include <stdio.h>

/* Sends with it; what comes is printed, and that nothing comes if the call has failed. */
static void
try_control(const char *what, int from, int fd, const struct address *to, const struct control *control)
{
	char label[80];

	snprintf(label, sizeof label, "%s: sendmsg", what);
	if (observe_call(label, send_control(from, "x", to, control, MSG_NOSIGNAL)) >= 0)
		wait_message(what, fd, CONTROL_MAX, 0);
}

static struct control
one(int level, int type, const void *data, size_t length)
{
	struct control control = {.length = 0};

	control_add(&control, level, type, data, length);
	return control;
}

SCENARIO_V4_V6(ancillary_bad, lengths)
{
	int a = udp_bound(family), b = udp_bound(family), level = level_of(family);
	int type = family == AF_INET ? IP_TTL : IPV6_HOPLIMIT;
	struct address to = local_of(b);
	static const size_t lengths[] = {0, 1, 12, 15, 16, 17, 18, 19, 20, 21, 24, 25, 1000, (size_t)-1};

	/* The header's own length. */
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct control control = {.length = 0};

		control_add_int(&control, level, type, 9)->cmsg_len = lengths[i];
		OBSERVE("cmsg_len %zd", (ssize_t)lengths[i]);
		try_control("datagram", a, b, &to, &control);
	}
	observe_quiet("nothing else", b, POLLIN);
}

SCENARIO_V4_V6(ancillary_bad, whole_lengths)
{
	int a = udp_bound(family), b = udp_bound(family), level = level_of(family);
	struct address to = local_of(b);
	static const size_t lengths[] = {1, 8, 15, 16, 19, 20, 23, 24};

	/* msg_controllen; less than a header is as if there were none. */
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct control control = {.length = 0};

		control_add_int(&control, level, family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, 9);
		control.length = lengths[i];
		OBSERVE("msg_controllen %zu", lengths[i]);
		try_control("datagram", a, b, &to, &control);
	}
}

SCENARIO_V4_V6(ancillary_bad, huge_whole_length)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	struct control control = {.length = 0};
	struct iovec iov = {"x", 1};
	static const size_t lengths[] = {(size_t)1 << 20, 0x7fffffff, 0x80000000, 0xffffffff, (size_t)-1, (size_t)-16};

	control_add_int(&control, level_of(family), family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, 9);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct msghdr message = {
			.msg_name = SA(&to), .msg_namelen = to.length, .msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = control.bytes, .msg_controllen = lengths[i],
		};

		/* The kernel has a limit for a megabyte, net.core.optmem_max, and asks for room first. */
		if (i == 0)
			continue;
		observe_call("sendmsg", sendmsg(a, &message, 0));
	}
	observe_quiet("nothing sent", b, POLLIN);
}

SCENARIO_V4_V6(ancillary_bad, levels_and_types)
{
	int a = udp_bound(family), b = udp_bound(family), value = 9;
	struct address to = local_of(b);
	static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, 255, 12345, -1};

	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		static const int types[] = {0, 9999, -1};

		for (size_t j = 0; j < sizeof types / sizeof *types; j++) {
			struct control control = one(levels[i], types[j], &value, sizeof value);

			OBSERVE("level %d type %d", levels[i], types[j]);
			try_control("datagram", a, b, &to, &control);
		}
	}
}

SCENARIO_V4_V6(ancillary_bad, of_the_other_family)
{
	int a = udp_bound(family), b = udp_bound(family), value = 9;
	struct address to = local_of(b);
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK)};
	struct in6_pktinfo info6 = {.ipi6_addr = IN6ADDR_LOOPBACK_INIT};
	struct control control = one(IPPROTO_IP, IP_TTL, &value, sizeof value);

	try_control("IP_TTL", a, b, &to, &control);
	control = one(IPPROTO_IPV6, IPV6_HOPLIMIT, &value, sizeof value);
	try_control("IPV6_HOPLIMIT", a, b, &to, &control);
	control = one(IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
	try_control("IP_PKTINFO", a, b, &to, &control);
	control = one(IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
	try_control("IPV6_PKTINFO", a, b, &to, &control);
}

SCENARIO_V4_V6(ancillary_bad, good_before_bad)
{
	int a = udp_bound(family), b = udp_bound(family), level = level_of(family);
	struct address to = local_of(b);
	struct control control = {.length = 0};

	set_option(b, level, family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
	control_add_int(&control, level, family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, 9);
	control_add_int(&control, level, 9999, 9);
	try_control("bad last", a, b, &to, &control);
	control.length = 0;
	control_add_int(&control, 12345, 1, 9);
	control_add_int(&control, level, family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, 9);
	try_control("unknown level first", a, b, &to, &control);
	control.length = 0;
	control_add_int(&control, level, family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, 9);
	control_add_int(&control, level, family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, 10)->cmsg_len = 3;
	try_control("short last", a, b, &to, &control);
	observe_quiet("nothing else", b, POLLIN);
}

SCENARIO_V4_V6(ancillary_bad, descriptors_and_credentials)
{
	int a = udp_bound(family), b = udp_bound(family), pipes[2];
	struct pair tcp = tcp_pair(family);
	struct address to = local_of(b);
	struct ucred ourselves = {getpid(), getuid(), getgid()};
	struct control control;

	must("pipe", pipe(pipes));
	control = one(SOL_SOCKET, SCM_RIGHTS, pipes, sizeof pipes);
	try_control("rights over UDP", a, b, &to, &control);
	try_control("rights over TCP", tcp.client, tcp.server, NULL, &control);
	control = one(SOL_SOCKET, SCM_CREDENTIALS, &ourselves, sizeof ourselves);
	try_control("credentials over UDP", a, b, &to, &control);
	try_control("credentials over TCP", tcp.client, tcp.server, NULL, &control);
	observe_set_option("SO_PASSCRED", b, SOL_SOCKET, SO_PASSCRED, 1);
	observe_set_option("SO_PASSCRED", tcp.server, SOL_SOCKET, SO_PASSCRED, 1);
	try_control("with SO_PASSCRED over UDP", a, b, &to, NULL);
	try_control("with SO_PASSCRED over TCP", tcp.client, tcp.server, NULL, NULL);
	/* The pipe is still ours alone. */
	close(pipes[1]);
	observe_bytes("pipe", "", read(pipes[0], &control, 1));
}

SCENARIO_V4_V6(ancillary_bad, on_streams)
{
	struct pair pair = tcp_pair(family);
	int value = 9;
	struct control control = one(12345, 1, &value, sizeof value);

	try_control("unknown level", pair.client, pair.server, NULL, &control);
	control = one(SOL_SOCKET, 9999, &value, sizeof value);
	try_control("unknown type", pair.client, pair.server, NULL, &control);
	control = one(IPPROTO_IP, 9999, &value, sizeof value);
	try_control("unknown IP type", pair.client, pair.server, NULL, &control);
	control = one(SOL_SOCKET, 9999, &value, sizeof value);
	((struct cmsghdr *)control.bytes)->cmsg_len = 3;
	try_control("short", pair.client, pair.server, NULL, &control);
	control = one(IPPROTO_UDP, UDP_SEGMENT, &value, 2);
	try_control("UDP_SEGMENT", pair.client, pair.server, NULL, &control);
	observe_quiet("nothing else", pair.server, POLLIN);
}

/* With control data, a wrong destination, no peer, or an oversized payload are still told first or last as the kernel does. */
SCENARIO_V4_V6(ancillary_bad, with_other_errors)
{
	int fd = udp_bound(family), stream = tcp_socket(family), value = 9;
	struct address nowhere = loopback(family, 0);
	struct control bad = one(level_of(family), 9999, &value, sizeof value);
	struct control good = one(level_of(family), family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, &value, sizeof value);
	static char big[65530];

	observe_call("good, no destination", send_control(fd, "x", NULL, &good, 0));
	observe_call("bad, no destination", send_control(fd, "x", NULL, &bad, 0));
	observe_call("good, port 0", send_control(fd, "x", &nowhere, &good, 0));
	observe_call("bad, port 0", send_control(fd, "x", &nowhere, &bad, 0));
	nowhere = loopback(family, 9);
	memset(big, 'x', sizeof big - 1);
	observe_call("good, too long", send_control(fd, big, &nowhere, &good, 0));
	observe_call("bad, too long", send_control(fd, big, &nowhere, &bad, 0));
	observe_call("good, fresh stream", send_control(stream, "x", NULL, &good, MSG_NOSIGNAL));
	observe_call("bad, fresh stream", send_control(stream, "x", NULL, &bad, MSG_NOSIGNAL));
}

/* Options that ask for it: their values and lengths. */
SCENARIO_V4_V6(ancillary, options)
{
	static const int v4[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVOPTS, IP_RETOPTS, IP_RECVORIGDSTADDR, IP_PASSSEC,
	                         IP_RECVFRAGSIZE, IP_CHECKSUM, IP_RECVERR, IP_RECVERR_RFC4884};
	static const int v6[] = {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVRTHDR, IPV6_RECVHOPOPTS,
	                         IPV6_RECVDSTOPTS, IPV6_RECVORIGDSTADDR, IPV6_RECVPATHMTU, IPV6_RECVFRAGSIZE, IPV6_RECVERR,
	                         IPV6_2292PKTINFO, IPV6_2292HOPLIMIT};
	int fds[] = {udp_socket(family), tcp_socket(family)};

	for (int i = 0; i < 2; i++) {
		const int *options = family == AF_INET ? v4 : v6;
		size_t count = family == AF_INET ? sizeof v4 / sizeof *v4 : sizeof v6 / sizeof *v6;

		for (size_t j = 0; j < count; j++) {
			char label[32];

			snprintf(label, sizeof label, "%s option %d", i ? "TCP" : "UDP", options[j]);
			observe_set_option(label, fds[i], level_of(family), options[j], 1);
			observe_set_option(label, fds[i], level_of(family), options[j], 0);
		}
	}
}
