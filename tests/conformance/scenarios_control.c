/* Ancillary data: what a datagram brings with it, and what can be given to one. */
#include "tests/conformance/message.h"

#include <netinet/udp.h>

#ifndef SO_RXQ_OVFL
#define SO_RXQ_OVFL 40
#endif

static struct control
packet_info(int family, const char *source, int interface)
{
	struct control control = {.length = 0};
	struct in_pktinfo info = {.ipi_ifindex = interface};
	struct in6_pktinfo info6 = {.ipi6_ifindex = (unsigned)interface};

	if (family == AF_INET) {
		inet_pton(AF_INET, source, &info.ipi_spec_dst);
		control_add(&control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
	} else {
		inet_pton(AF_INET6, source, &info6.ipi6_addr);
		control_add(&control, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
	}
	return control;
}

static struct control
one_int(int level, int type, int value)
{
	struct control control = {.length = 0};

	control_add_int(&control, level, type, value);
	return control;
}

/* Everything the kernel can tell of a datagram. */
static void
ask_for_all(int fd, int family)
{
	set_option(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
	if (family == AF_INET) {
		static const int options[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS, IP_RECVOPTS, IP_RETOPTS, IP_RECVORIGDSTADDR};

		for (size_t i = 0; i < sizeof options / sizeof *options; i++)
			set_option(fd, IPPROTO_IP, options[i], 1);
	} else {
		static const int options[] = {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_RECVRTHDR,
		                              IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS, IPV6_RECVORIGDSTADDR};

		for (size_t i = 0; i < sizeof options / sizeof *options; i++)
			set_option(fd, IPPROTO_IPV6, options[i], 1);
	}
}

SCENARIO_V4_V6(ancillary, all_in_order)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);

	ask_for_all(b, family);
	observe_one_datagram("everything", a, b, &to, NULL);
}

SCENARIO_V4_V6(ancillary, connected)
{
	struct pair pair = udp_pair(family);

	ask_for_all(pair.server, family);
	observe_one_datagram("everything", pair.client, pair.server, NULL, NULL);
}

/* Room for some of it: what fits comes, and MSG_CTRUNC tells of the rest. */
SCENARIO_V4_V6(ancillary, little_room)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	static const size_t sizes[] = {0, 1, 8, 15, 16, 17, 20, 24, 28, 32, 40, 56, 64, 100};

	ask_for_all(b, family);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		OBSERVE("room for %zu", sizes[i]);
		must("sendto", sendto(a, "x", 1, 0, SA(&to), to.length));
		wait_message("recvmsg", b, sizes[i], 0);
	}
}

SCENARIO_V4_V6(ancillary, control_pointer_without_room)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = NULL, .msg_controllen = 100};

	ask_for_all(b, family);
	must("sendto", sendto(a, "x", 1, 0, SA(&to), to.length));
	wait_for(b, POLLIN);
	observe_call("no pointer", recvmsg(b, &message, MSG_DONTWAIT));
	OBSERVE("flags %s length %zu", msg_flags_name(message.msg_flags), (size_t)message.msg_controllen);
	must("sendto", sendto(a, "y", 1, 0, SA(&to), to.length));
	message = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1, .msg_control = (void *)8, .msg_controllen = 100};
	wait_for(b, POLLIN);
	observe_call("wild pointer", recvmsg(b, &message, MSG_DONTWAIT));
	observe_quiet("then", b, POLLIN);
}

SCENARIO_V4_V6(ancillary, peeked)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);

	set_option(b, level_of(family), family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
	must("sendto", sendto(a, "x", 1, 0, SA(&to), to.length));
	wait_message("peek", b, CONTROL_MAX, MSG_PEEK);
	wait_message("peek", b, 4, MSG_PEEK);
	wait_message("take", b, CONTROL_MAX, 0);
	observe_message("again", b, CONTROL_MAX, MSG_DONTWAIT);
}

/* An option that is set while a datagram waits already. */
SCENARIO_V4_V6(ancillary, option_set_after_arrival)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);

	must("sendto", sendto(a, "first", 5, 0, SA(&to), to.length));
	must("sendto", sendto(a, "second", 6, 0, SA(&to), to.length));
	wait_for(b, POLLIN);
	pause_ms(20);
	set_option(b, level_of(family), family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
	wait_message("first", b, CONTROL_MAX, 0);
	set_option(b, level_of(family), family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 0);
	wait_message("second", b, CONTROL_MAX, 0);
}

/* Datagrams read by calls that have no room for control data: it is dropped, and nothing else is. */
SCENARIO_V4_V6(ancillary, other_calls)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	char text[16];
	struct iovec iov = {text, sizeof text};

	ask_for_all(b, family);
	for (int i = 0; i < 5; i++)
		must("sendto", sendto(a, "payload", (size_t)i + 1, 0, SA(&to), to.length));
	for (int i = 0; i < 5; i++) {
		wait_for(b, POLLIN);
		if (i == 0)
			observe_bytes("read", text, read(b, text, sizeof text));
		else if (i == 1)
			observe_bytes("readv", text, readv(b, &iov, 1));
		else if (i == 2)
			observe_recv("recv", b, 16, 0);
		else if (i == 3)
			observe_recvfrom("recvfrom", b, 16, 0);
		else
			observe_message("recvmsg", b, 0, 0);
	}
}

SCENARIO_V4_V6(ancillary, several_at_once)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	struct control controls[3];
	char bytes[3];
	struct iovec iov[3];
	struct mmsghdr many[3] = {0};

	set_option(b, level_of(family), family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
	for (int i = 0; i < 3; i++) {
		struct control control = one_int(level_of(family), family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, 40 + i);

		must("sendmsg", send_control(a, i == 0 ? "a" : i == 1 ? "b" : "c", &to, &control, 0));
		iov[i] = (struct iovec){&bytes[i], 1};
		many[i].msg_hdr = (struct msghdr){
			.msg_iov = &iov[i], .msg_iovlen = 1, .msg_control = controls[i].bytes,
			.msg_controllen = i == 1 ? 4 : CONTROL_MAX,
		};
	}
	wait_for(b, POLLIN);
	pause_ms(QUIET_MS);
	observe_call("recvmmsg", recvmmsg(b, many, 3, MSG_DONTWAIT, NULL));
	for (int i = 0; i < 3; i++) {
		OBSERVE("%c length %u flags %s control %zu", bytes[i], many[i].msg_len, msg_flags_name(many[i].msg_hdr.msg_flags),
		        (size_t)many[i].msg_hdr.msg_controllen);
		observe_control(&many[i].msg_hdr);
	}
}

SCENARIO_V4_V6(ancillary, sent_in_bulk)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	struct control controls[3];
	struct iovec iov = {"x", 1};
	struct mmsghdr many[3] = {0};

	set_option(b, level_of(family), family == AF_INET ? IP_RECVTOS : IPV6_RECVTCLASS, 1);
	for (int i = 0; i < 3; i++) {
		controls[i] = one_int(level_of(family), family == AF_INET ? IP_TOS : IPV6_TCLASS, i == 2 ? 1000 : 8 * i + 8);
		many[i].msg_hdr = (struct msghdr){
			.msg_name = SA(&to), .msg_namelen = to.length, .msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = controls[i].bytes, .msg_controllen = controls[i].length,
		};
	}
	/* The last is wrong: the two before it go out. */
	observe_call("sendmmsg", sendmmsg(a, many, 3, 0));
	wait_message("first", b, CONTROL_MAX, 0);
	wait_message("second", b, CONTROL_MAX, 0);
	observe_call("sendmmsg", sendmmsg(a, many + 2, 1, 0));
}

SCENARIO_V4_V6(ancillary, hop_limit_out)
{
	int a = udp_bound(family), b = udp_bound(family), level = level_of(family);
	int type = family == AF_INET ? IP_TTL : IPV6_HOPLIMIT;
	struct address to = local_of(b);
	static const int values[] = {1, 42, 255, 0, 256, -1, -2};

	set_option(b, level, family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct control control = one_int(level, type, values[i]);

		OBSERVE("hop limit %d", values[i]);
		observe_one_datagram("datagram", a, b, &to, &control);
	}
	/* It was for that datagram alone. */
	observe_one_datagram("without", a, b, &to, NULL);
}

SCENARIO_V4_V6(ancillary, traffic_class_out)
{
	int a = udp_bound(family), b = udp_bound(family), level = level_of(family);
	int type = family == AF_INET ? IP_TOS : IPV6_TCLASS;
	struct address to = local_of(b);
	static const int values[] = {0, 0x10, 0xb8, 0xff, 256, -1, -2};
	unsigned char byte = 0x20;
	struct control control = {.length = 0};

	set_option(b, level, family == AF_INET ? IP_RECVTOS : IPV6_RECVTCLASS, 1);
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		struct control one = one_int(level, type, values[i]);

		OBSERVE("class %d", values[i]);
		observe_one_datagram("datagram", a, b, &to, &one);
	}
	control_add(&control, level, type, &byte, 1);
	observe_one_datagram("one byte", a, b, &to, &control);
}

SCENARIO_V4_V6(ancillary, packet_info_out)
{
	int a = udp_socket(family), b = udp_bound(family);
	struct address to = local_of(b);
	const char *ours = family == AF_INET ? "127.0.0.44" : "::1";
	const char *none = family == AF_INET ? "0.0.0.0" : "::";
	const char *not_ours = family == AF_INET ? "203.0.113.5" : "2001:db8::5";
	struct control control = packet_info(family, ours, 0);

	observe_one_datagram("our address", a, b, &to, &control);
	control = packet_info(family, ours, 1);
	observe_one_datagram("our address and lo", a, b, &to, &control);
	control = packet_info(family, none, 1);
	observe_one_datagram("lo", a, b, &to, &control);
	control = packet_info(family, none, 0);
	observe_one_datagram("nothing", a, b, &to, &control);
	control = packet_info(family, not_ours, 0);
	observe_one_datagram("not our address", a, b, &to, &control);
	control = packet_info(family, none, 99999);
	observe_one_datagram("no such interface", a, b, &to, &control);
}

SCENARIO_V4_V6(ancillary, packet_info_of_connected)
{
	struct pair pair = udp_pair(family);
	struct control control = packet_info(family, family == AF_INET ? "127.0.0.1" : "::1", 1);

	set_option(pair.server, level_of(family), family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
	observe_one_datagram("connected", pair.client, pair.server, NULL, &control);
}

/* A server on the wildcard answers from the address it was asked at. */
SCENARIO_V4_V6(ancillary, packet_info_answers)
{
	int client = udp_bound(family), server = udp_socket(family);
	struct address any = wildcard(family, 0), to;
	struct sockaddr_storage from;
	char byte;
	struct control control = {.length = 0};
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
		.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof control.bytes,
	};

	set_option(server, level_of(family), family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
	must("bind", bind(server, SA(&any), any.length));
	to = literal(family == AF_INET ? "127.0.0.31" : "::1", port_of(server));
	must("sendto", sendto(client, "?", 1, 0, SA(&to), to.length));
	wait_for(server, POLLIN);
	must("recvmsg", recvmsg(server, &message, 0));
	observe_control(&message);
	/* Sent back just as it came. */
	observe_call("answer", sendmsg(server, &message, 0));
	wait_message("client", client, 0, 0);
}

SCENARIO_V4_V6(ancillary, several_out)
{
	int a = udp_socket(family), b = udp_bound(family), level = level_of(family);
	struct address to = local_of(b);
	struct control control = packet_info(family, family == AF_INET ? "127.0.0.45" : "::1", 0);

	ask_for_all(b, family);
	control_add_int(&control, level, family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, 77);
	control_add_int(&control, level, family == AF_INET ? IP_TOS : IPV6_TCLASS, 0x48);
	observe_one_datagram("three", a, b, &to, &control);
	/* The last one counts. */
	control_add_int(&control, level, family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, 78);
	observe_one_datagram("twice", a, b, &to, &control);
}

SCENARIO(ancillary, hop_limit_on_stream)
{
	struct pair pair = tcp_pair(AF_INET);
	struct control control = one_int(IPPROTO_IP, IP_TTL, 9);

	observe_call("sendmsg", send_control(pair.client, "x", NULL, &control, 0));
	control = packet_info(AF_INET, "127.0.0.44", 1);
	observe_call("sendmsg", send_control(pair.client, "y", NULL, &control, 0));
	wait_queued(pair.server, 2);
	set_option(pair.server, IPPROTO_IP, IP_RECVTTL, 1);
	wait_message("server", pair.server, CONTROL_MAX, 0);
}

/* IPv4 through an IPv6 socket. */
SCENARIO(ancillary, mapped)
{
	int a = udp_bound(AF_INET), b = udp_socket(AF_INET6);
	struct address any = wildcard(AF_INET6, 0), to;

	ask_for_all(b, AF_INET6);
	set_option(b, IPPROTO_IP, IP_PKTINFO, 1);
	set_option(b, IPPROTO_IP, IP_RECVTTL, 1);
	set_option(b, IPPROTO_IP, IP_RECVTOS, 1);
	must("bind", bind(b, SA(&any), any.length));
	to = loopback(AF_INET, port_of(b));
	observe_one_datagram("mapped", a, b, &to, NULL);
}

SCENARIO(ancillary, mapped_out)
{
	int a = udp_socket(AF_INET6), b = udp_bound(AF_INET);
	struct address to = literal("::ffff:127.0.0.1", port_of(b));
	struct control control = one_int(IPPROTO_IP, IP_TTL, 9);

	set_option(b, IPPROTO_IP, IP_RECVTTL, 1);
	observe_one_datagram("IP_TTL", a, b, &to, &control);
	control = one_int(IPPROTO_IPV6, IPV6_HOPLIMIT, 9);
	observe_one_datagram("IPV6_HOPLIMIT", a, b, &to, &control);
	control = packet_info(AF_INET6, "::ffff:127.0.0.46", 0);
	observe_one_datagram("IPV6_PKTINFO", a, b, &to, &control);
	control = packet_info(AF_INET, "127.0.0.47", 0);
	observe_one_datagram("IP_PKTINFO", a, b, &to, &control);
}

SCENARIO_V4_V6(ancillary, original_destination)
{
	int a = udp_bound(family), b = udp_socket(family);
	struct address any = wildcard(family, 0), to;

	set_option(b, level_of(family), family == AF_INET ? IP_RECVORIGDSTADDR : IPV6_RECVORIGDSTADDR, 1);
	must("bind", bind(b, SA(&any), any.length));
	to = literal(family == AF_INET ? "127.0.0.32" : "::1", port_of(b));
	observe_address("sent to", &to.storage, to.length);
	observe_one_datagram("recvmsg", a, b, &to, NULL);
}

/* A counter of datagrams dropped for want of room: there, if any were. */
SCENARIO_V4_V6(ancillary, overflow)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);

	observe_set_option("SO_RXQ_OVFL", b, SOL_SOCKET, SO_RXQ_OVFL, 1);
	observe_one_datagram("none dropped", a, b, &to, NULL);
}

SCENARIO_V4_V6(ancillary, fragment_size)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);

	observe_set_option("RECVFRAGSIZE", b, level_of(family), family == AF_INET ? IP_RECVFRAGSIZE : IPV6_RECVFRAGSIZE, 1);
	observe_one_datagram("whole", a, b, &to, NULL);
}
