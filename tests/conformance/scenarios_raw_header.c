/* Raw sockets: headers of the kernel's and of the program's, control messages, multicast. */
#include "tests/conformance/raw.h"

#include <stdio.h>

static int
header_socket(void)
{
	int fd = raw_socket(AF_INET, RAW_PROTOCOL);

	set_option(fd, IPPROTO_IP, IP_HDRINCL, 1);
	return fd;
}

static ssize_t
send_packet(int fd, const void *packet, size_t length)
{
	struct address to = loopback(AF_INET, 0);

	return sendto(fd, packet, length, 0, SA(&to), to.length);
}

SCENARIO(raw, header_option)
{
	int fd = raw_socket(AF_INET, IPPROTO_ICMP), all = raw_socket(AF_INET, IPPROTO_RAW), v6 = raw_socket(AF_INET6, IPPROTO_RAW);

	observe_option("fresh", fd, IPPROTO_IP, IP_HDRINCL);
	observe_set_option("on", fd, IPPROTO_IP, IP_HDRINCL, 1);
	observe_set_option("on", fd, IPPROTO_IP, IP_HDRINCL, 77);
	observe_set_option("off", fd, IPPROTO_IP, IP_HDRINCL, 0);
	observe_call("a byte", setsockopt(fd, IPPROTO_IP, IP_HDRINCL, "\1", 1));
	observe_option("a byte", fd, IPPROTO_IP, IP_HDRINCL);
	observe_call("nothing", setsockopt(fd, IPPROTO_IP, IP_HDRINCL, "", 0));
	observe_option("nothing", fd, IPPROTO_IP, IP_HDRINCL);
	observe_option("255", all, IPPROTO_IP, IP_HDRINCL);
	observe_set_option("255", all, IPPROTO_IP, IP_HDRINCL, 0);
	observe_option("255 v6", v6, IPPROTO_IPV6, IPV6_HDRINCL);
	observe_set_option("255 v6", v6, IPPROTO_IPV6, IPV6_HDRINCL, 0);
	observe_set_option("SOL_RAW", v6, SOL_RAW, IPV6_HDRINCL, 1);
	observe_call("short", setsockopt(v6, IPPROTO_IPV6, IPV6_HDRINCL, "\1", 1));
	observe_call("short", setsockopt(v6, SOL_RAW, IPV6_HDRINCL, "\1", 1));
	observe_set_option("IP_HDRINCL on v6", v6, IPPROTO_IP, IP_HDRINCL, 1);
}

/* Length, checksum and, if it is 0, the source and the id are filled in. */
SCENARIO(raw, header_filled_in)
{
	int fd = header_socket(), b = raw_own(AF_INET, RAW_PROTOCOL, 0);
	char packet[128];
	size_t length = raw_header(packet, RAW_PROTOCOL, "0.0.0.0", "127.0.0.1", 0);
	struct iphdr header;

	length += raw_payload(packet + length, "filled in");
	observe_call("sendto", send_packet(fd, packet, length));
	wait_for(b, POLLIN);
	must("peek", recv(b, &header, sizeof header, MSG_PEEK));
	OBSERVE("id %s", header.id ? "filled in" : "0");
	observe_received("b", AF_INET, b, 0);
}

SCENARIO(raw, header_kept)
{
	int fd = header_socket(), b = raw_own(AF_INET, RAW_PROTOCOL, 0);
	char packet[128];
	size_t length = raw_header(packet, RAW_PROTOCOL, "127.0.0.77", "127.0.0.1", 0);
	struct iphdr header;

	length += raw_payload(packet + length, "kept");
	memcpy(&header, packet, sizeof header);
	header.id = htons(4711);
	header.tos = 0x28;
	header.ttl = 3;
	header.frag_off = htons(IP_DF);
	header.check = 1;
	header.tot_len = htons(9);
	memcpy(packet, &header, sizeof header);
	observe_call("sendto", send_packet(fd, packet, length));
	wait_for(b, POLLIN);
	must("peek", recv(b, &header, sizeof header, MSG_PEEK));
	OBSERVE("id %d", ntohs(header.id));
	observe_received("b", AF_INET, b, 0);
}

SCENARIO(raw, header_too_short)
{
	int fd = header_socket();
	char packet[64];

	for (size_t size = 0; size <= 21; size += size < 19 ? 19 : 1) {
		raw_header(packet, RAW_PROTOCOL, "0.0.0.0", "127.0.0.1", 0);
		OBSERVE("%zu", size);
		observe_call("sendto", send_packet(fd, packet, size));
	}
	for (int words = 0; words < 16; words += 5) {
		raw_header(packet, RAW_PROTOCOL, "0.0.0.0", "127.0.0.1", 0);
		packet[0] = (char)(0x40 | words);
		memset(packet + 20, 0, 20);
		OBSERVE("ihl %d", words);
		observe_call("sendto", send_packet(fd, packet, 40));
	}
	observe_so_error("after", fd);
}

SCENARIO(raw, header_sizes)
{
	static const size_t sizes[] = {1500, 65515, 65516, 65534, 65535, 65536, 70000};
	int fd = header_socket(), b = raw_own(AF_INET, RAW_PROTOCOL, 0);
	char *packet = must_alloc(70000), *back = must_alloc(PACKET_MAX);

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		memset(packet, 'x', 70000);
		raw_payload(packet + raw_header(packet, RAW_PROTOCOL, "127.0.0.1", "127.0.0.1", 0), "");
		OBSERVE("%zu", sizes[i]);
		if (observe_call("sendto", send_packet(fd, packet, sizes[i])) < 0)
			continue;
		wait_for(b, POLLIN);
		observe_packet_bytes("b", AF_INET, back, recv(b, back, PACKET_MAX, MSG_DONTWAIT));
	}
	observe_so_error("after", fd);
}

SCENARIO(raw, header_sizes_plain)
{
	static const size_t sizes[] = {1500, 65516, 65535};
	int fd = header_socket(), b = raw_own(AF_INET, RAW_PROTOCOL, 0);
	struct address to = loopback(AF_INET, 0);
	char *packet = must_alloc(PACKET_MAX), *back = must_alloc(PACKET_MAX);

	must("connect", connect_fd(fd, &to));
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		memset(packet, 'x', PACKET_MAX);
		raw_payload(packet + raw_header(packet, RAW_PROTOCOL, "127.0.0.1", "127.0.0.1", 0), "");
		observe_call("send", send(fd, packet, sizes[i], 0));
		wait_for(b, POLLIN);
		observe_packet_bytes("b", AF_INET, back, recv(b, back, PACKET_MAX, MSG_DONTWAIT));
	}
	/* A socket that no longer has the option takes no more than the others do. */
	set_option(fd, IPPROTO_IP, IP_HDRINCL, 0);
	observe_call("sendto", sendto(fd, packet, 65535, 0, SA(&to), to.length));
	observe_call("send", send(fd, packet, 65535, 0));
}

SCENARIO(raw, header_with_options)
{
	int fd = header_socket(), b = raw_own(AF_INET, RAW_PROTOCOL, 4);
	char packet[128];
	size_t length = raw_header(packet, RAW_PROTOCOL, "127.0.0.1", "127.0.0.1", 0);

	packet[0] = 0x46;
	memcpy(packet + length, "\1\1\1\0", 4);
	length += 4;
	length += raw_payload(packet + length, "behind options");
	observe_call("sendto", send_packet(fd, packet, length));
	observe_received("b", AF_INET, b, 0);
}

/* What the header says, and not the address, is where it goes once it is on its way. */
SCENARIO(raw, header_for_another)
{
	int fd = header_socket(), b = raw_own(AF_INET, RAW_PROTOCOL, 0);
	char packet[128];
	size_t length = raw_header(packet, RAW_PROTOCOL, "127.0.0.1", "127.0.0.5", 0);

	length += raw_payload(packet + length, "for 127.0.0.5");
	observe_call("sendto", send_packet(fd, packet, length));
	observe_received("b", AF_INET, b, 0);
}

/* The header's protocol may be another than the socket's. */
SCENARIO(raw, header_of_another_protocol)
{
	int fd = header_socket(), all = raw_socket(AF_INET, IPPROTO_RAW), udp = udp_bound(AF_INET), own = udp_bound(AF_INET);
	char packet[128], data[64];
	size_t length = raw_header(packet, IPPROTO_UDP, "127.0.0.1", "127.0.0.1", 0);

	length += raw_udp(packet + length, port_of(own), port_of(udp), "by hand");
	for (int i = 0; i < 2; i++) {
		observe_call("sendto", send_packet(i ? all : fd, packet, length));
		wait_for(udp, POLLIN);
		observe_packet_bytes("datagram", AF_INET6, data, recv(udp, data, sizeof data, MSG_DONTWAIT));
	}
}

/* Fragments that a program has made come together at the other end. */
SCENARIO(raw, header_fragments)
{
	int fd = header_socket(), b = raw_own(AF_INET, RAW_PROTOCOL, 0);
	char packet[128];
	struct iphdr header;

	for (int part = 1; part >= 0; part--) {
		size_t length = raw_header(packet, RAW_PROTOCOL, "127.0.0.1", "127.0.0.1", 0);

		memcpy(&header, packet, sizeof header);
		header.id = htons((uint16_t)(getpid() | 1));
		header.frag_off = part ? htons(1) : htons(IP_MF);
		memcpy(packet, &header, sizeof header);
		if (part) {
			memcpy(packet + length, "together", 8);
			length += 8;
		} else {
			length += raw_payload(packet + length, "come");
		}
		observe_call("sendto", send_packet(fd, packet, length));
	}
	observe_received("b", AF_INET, b, 0);
}

/* Longer than a packet may be: the kernel fragments what it makes a header for, if it may. */
SCENARIO_V4_V6(raw, fragmenting)
{
	int fd = raw_socket(family, RAW_PROTOCOL), b = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);
	char *data = must_alloc(65535), *back = must_alloc(PACKET_MAX);

	fill_pattern(data, 65535, 5);
	raw_payload(data, "");
	must("connect", connect_fd(fd, &to));
	if (family == AF_INET6)
		observe_set_option("IPV6_MTU", fd, IPPROTO_IPV6, IPV6_MTU, 1300);
	observe_call("sendto", sendto(fd, data, 5000, 0, SA(&to), to.length));
	wait_for(b, POLLIN);
	observe_packet_bytes("b", family, back, recv(b, back, PACKET_MAX, MSG_DONTWAIT));
	if (family == AF_INET6)
		observe_set_option("IPV6_DONTFRAG", fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
	set_option(fd, level_of(family), family == AF_INET ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, IP_PMTUDISC_DO);
	observe_call("sendto", sendto(fd, data, 5000, 0, SA(&to), to.length));
	observe_call("sendto", sendto(fd, data, 65535, 0, SA(&to), to.length));
}

SCENARIO(raw, header_v6)
{
	int fd = raw_socket(AF_INET6, IPPROTO_RAW), b = raw_own(AF_INET6, RAW_PROTOCOL, 0);
	struct address to = loopback(AF_INET6, 0);
	char packet[256];
	size_t length = raw_header6(packet, RAW_PROTOCOL, 0);

	set_option(b, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	length += raw_payload(packet + length, "with a header");
	raw_header6(packet, RAW_PROTOCOL, length - sizeof(struct ip6_hdr));
	observe_call("sendto", sendto(fd, packet, length, 0, SA(&to), to.length));
	observe_received("b", AF_INET6, b, MSG_PEEK);
	/* The kernel does not mend the length here: what is too short is not received. */
	raw_header6(packet, RAW_PROTOCOL, length);
	observe_call("too long", sendto(fd, packet, length, 0, SA(&to), to.length));
	observe_call("39", sendto(fd, packet, 39, 0, SA(&to), to.length));
	observe_call("0", sendto(fd, packet, 0, 0, SA(&to), to.length));
	must("first", recv(b, packet, 0, MSG_DONTWAIT));
	observe_quiet("b", b, POLLIN);
	set_option(fd, IPPROTO_IPV6, IPV6_HDRINCL, 0);
	to = loopback(AF_INET6, RAW_PROTOCOL);
	observe_call("without", raw_send(fd, "by port", &to, 0));
	observe_received("b", AF_INET6, b, 0);
}

SCENARIO(raw, header_sizes_v6)
{
	static const size_t sizes[] = {1500, 65534, 65535};
	int fd = raw_socket(AF_INET6, IPPROTO_RAW), b = raw_own(AF_INET6, RAW_PROTOCOL, 0);
	struct address to = loopback(AF_INET6, 0);
	char *packet = must_alloc(PACKET_MAX), *back = must_alloc(PACKET_MAX);

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		memset(packet, 'x', PACKET_MAX);
		raw_payload(packet + raw_header6(packet, RAW_PROTOCOL, sizes[i] - sizeof(struct ip6_hdr)), "");
		observe_call("sendto", sendto(fd, packet, sizes[i], 0, SA(&to), to.length));
		wait_for(b, POLLIN);
		observe_packet_bytes("b", AF_INET6, back, recv(b, back, PACKET_MAX, MSG_DONTWAIT));
	}
}

/* --- Control messages ----------------------------------------------------------------------------- */

/* One packet, and the control messages that come with it. */
static void
observe_told(const char *what, int family, int fd)
{
	char data[256];
	struct iovec iov = {data, sizeof data};
	struct control control;
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	ssize_t n;

	if (!wait_for(fd, POLLIN))
		OBSERVE("%s: nothing came", what);
	n = recvmsg(fd, &message, MSG_DONTWAIT);
	observe_packet_bytes(what, family, data, n);
	if (n < 0)
		return;
	OBSERVE("flags %s control %zu", msg_flags_name(message.msg_flags), (size_t)message.msg_controllen);
	observe_control(&message);
}

static void
want_told(int family, int fd)
{
	static const int v4[] = {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS}, v6[] = {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS};

	for (int i = 0; i < 3; i++)
		set_option(fd, level_of(family), family == AF_INET ? v4[i] : v6[i], 1);
}

SCENARIO_V4_V6(raw, told_of_each)
{
	int a = raw_socket(family, RAW_PROTOCOL), b = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);

	want_told(family, b);
	must("sendto", raw_send(a, "plain", &to, 0));
	observe_told("plain", family, b);
	set_option(a, level_of(family), family == AF_INET ? IP_TTL : IPV6_UNICAST_HOPS, 7);
	set_option(a, level_of(family), family == AF_INET ? IP_TOS : IPV6_TCLASS, 0x48);
	must("sendto", raw_send(a, "by option", &to, 0));
	observe_told("by option", family, b);
	must("connect", connect_fd(b, &to));
	must("sendto", raw_send(a, "connected", &to, 0));
	observe_told("connected", family, b);
}

static ssize_t
send_told(int fd, const char *text, const struct address *to, const struct control *control)
{
	char packet[128];
	struct iovec iov = {packet, raw_payload(packet, text)};
	struct msghdr message = {.msg_name = SA(to), .msg_namelen = to->length, .msg_iov = &iov, .msg_iovlen = 1,
	                         .msg_control = (char *)control->bytes, .msg_controllen = control->length};

	return sendmsg(fd, &message, 0);
}

SCENARIO_V4_V6(raw, control_sent)
{
	int a = raw_socket(family, RAW_PROTOCOL), b = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);
	struct control control = {.length = 0};
	struct in_pktinfo info = {.ipi_ifindex = 1, .ipi_spec_dst.s_addr = htonl(0x7f000003)};
	struct in6_pktinfo info6 = {.ipi6_ifindex = 1, .ipi6_addr = IN6ADDR_LOOPBACK_INIT};

	want_told(family, b);
	control_add_int(&control, level_of(family), family == AF_INET ? IP_TTL : IPV6_HOPLIMIT, 5);
	observe_call("ttl", send_told(a, "ttl", &to, &control));
	observe_told("ttl", family, b);
	control_add_int(&control, level_of(family), family == AF_INET ? IP_TOS : IPV6_TCLASS, 0x20);
	observe_call("tos", send_told(a, "tos", &to, &control));
	observe_told("tos", family, b);
	if (family == AF_INET)
		control_add(&control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
	else
		control_add(&control, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
	observe_call("source", send_told(a, "source", &to, &control));
	observe_told("source", family, b);
}

SCENARIO_V4_V6(raw, control_bad)
{
	static const int levels[] = {IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, SOL_RAW, SOL_SOCKET, 99};
	int fd = raw_socket(family, RAW_PROTOCOL);
	struct address to = loopback(family, 0);

	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		struct control control = {.length = 0}, segment = {.length = 0};

		OBSERVE("level %d", levels[i]);
		control_add_int(&control, levels[i], 93, 1);
		observe_call("unknown type", send_told(fd, "x", &to, &control));
		control_add(&segment, levels[i], 103 /* UDP_SEGMENT */, "\1", 2);
		observe_call("type 103", send_told(fd, "x", &to, &segment));
	}
}

SCENARIO_V4_V6(raw, stamped)
{
	int a = raw_socket(family, RAW_PROTOCOL), b = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);

	observe_set_option("SO_TIMESTAMP", b, SOL_SOCKET, SO_TIMESTAMP, 1);
	must("sendto", raw_send(a, "stamped", &to, 0));
	observe_told("microseconds", family, b);
	observe_set_option("SO_TIMESTAMPNS", b, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	must("sendto", raw_send(a, "stamped", &to, 0));
	observe_told("nanoseconds", family, b);
}

SCENARIO(raw, received_options)
{
	int fd = header_socket(), b = raw_own(AF_INET, RAW_PROTOCOL, 4);
	char packet[128];
	size_t length = raw_header(packet, RAW_PROTOCOL, "127.0.0.1", "127.0.0.1", 0);

	set_option(b, IPPROTO_IP, IP_RECVOPTS, 1);
	packet[0] = 0x46;
	memcpy(packet + length, "\1\1\1\0", 4);
	length += 4;
	length += raw_payload(packet + length, "behind options");
	observe_call("sendto", send_packet(fd, packet, length));
	observe_told("b", AF_INET, b);
}

/* --- Multicast ------------------------------------------------------------------------------------ */

SCENARIO(raw, multicast)
{
	int a = raw_socket(AF_INET, RAW_PROTOCOL), b = raw_own(AF_INET, RAW_PROTOCOL, 0);
	struct address group = literal("239.255.7.9", 0);
	struct ip_mreqn join = {.imr_multiaddr.s_addr = inet_addr("239.255.7.9"), .imr_ifindex = 1};

	observe_call("IP_MULTICAST_IF", setsockopt(a, IPPROTO_IP, IP_MULTICAST_IF, &join, sizeof join));
	observe_call("join", setsockopt(b, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join));
	observe_set_option("IP_MULTICAST_TTL", a, IPPROTO_IP, IP_MULTICAST_TTL, 4);
	observe_call("sendto", raw_send(a, "to a group", &group, 0));
	observe_received("b", AF_INET, b, 0);
	observe_set_option("IP_MULTICAST_LOOP", a, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	observe_call("leave", setsockopt(b, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof join));
	observe_call("leave", setsockopt(b, IPPROTO_IP, IP_DROP_MEMBERSHIP, &join, sizeof join));
}

SCENARIO(raw, multicast_v6)
{
	int a = raw_socket(AF_INET6, RAW_PROTOCOL), b = raw_own(AF_INET6, RAW_PROTOCOL, 0);
	struct address group = literal("ff01::4747", 0);
	struct ipv6_mreq join = {.ipv6mr_interface = 1};

	inet_pton(AF_INET6, "ff01::4747", &join.ipv6mr_multiaddr);
	observe_set_option("IPV6_MULTICAST_IF", a, IPPROTO_IPV6, IPV6_MULTICAST_IF, 1);
	observe_call("join", setsockopt(b, IPPROTO_IPV6, IPV6_JOIN_GROUP, &join, sizeof join));
	observe_call("sendto", raw_send(a, "to a group", &group, 0));
	observe_received("b", AF_INET6, b, 0);
}
