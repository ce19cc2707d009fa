/* Raw sockets: ICMP and what it says of other packets, filters, checksums. */
#include "tests/conformance/raw.h"

#include <stdio.h>
#include <sys/file.h>

#define ICMP_FILTER 1

static int
icmp_protocol(int family)
{
	return family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

static void
pass_only(int family, int fd, int type)
{
	struct icmp6_filter filter;
	uint32_t mask = ~(1u << (type & 31));

	if (family == AF_INET) {
		must("ICMP_FILTER", setsockopt(fd, SOL_RAW, ICMP_FILTER, &mask, sizeof mask));
		return;
	}
	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS((unsigned)type, &filter);
	must("ICMP6_FILTER", setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter));
}

static ssize_t
echo(int family, int fd, const char *text)
{
	struct address to = loopback(family, 0);
	char packet[256];
	size_t length = raw_echo(family, packet, 0x1234, 1, text);

	return sendto(fd, packet, length, 0, SA(&to), to.length);
}

/* On the loopback it hears its own question, and the answer. */
SCENARIO_V4_V6(raw, echo)
{
	int fd = raw_own(family, icmp_protocol(family), 8);

	observe_call("sendto", echo(family, fd, "hello"));
	observe_received("question", family, fd, 0);
	observe_received("answer", family, fd, 0);
	observe_recv("no more", fd, 10, MSG_DONTWAIT);
}

SCENARIO_V4_V6(raw, echo_connected)
{
	int fd = raw_own(family, icmp_protocol(family), 8);
	struct address to = loopback(family, 0);
	char packet[256];
	size_t length = raw_echo(family, packet, 0x1234, 2, "connected");

	pass_only(family, fd, family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
	must("connect", connect_fd(fd, &to));
	observe_call("send", send(fd, packet, length, 0));
	observe_received("answer", family, fd, 0);
}

SCENARIO_V4_V6(raw, echo_bound)
{
	int fd = raw_own(family, icmp_protocol(family), 8);
	struct address from = family == AF_INET ? literal("127.0.0.33", 0) : loopback(family, 0);

	pass_only(family, fd, family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
	must("bind", bind(fd, SA(&from), from.length));
	observe_call("sendto", echo(family, fd, "from 33"));
	observe_received("answer", family, fd, 0);
}

/* --- Filters -------------------------------------------------------------------------------------- */

static void
observe_filter(const char *what, int fd, int level, int name, size_t room)
{
	uint8_t value[64];
	socklen_t length = (socklen_t)room;
	int rc;

	memset(value, 0xaa, sizeof value);
	rc = getsockopt(fd, level, name, value, &length);
	observe_call(what, rc);
	if (rc == 0)
		observe_bytes(what, value, (ssize_t)(length < 40 ? length + 1 : 40));
}

SCENARIO(raw, filter_values)
{
	int fd = raw_socket(AF_INET, IPPROTO_ICMP), other = raw_socket(AF_INET, RAW_PROTOCOL);
	uint8_t bytes[64];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(0x11 * (i + 1));
	observe_filter("fresh", fd, SOL_RAW, ICMP_FILTER, 4);
	for (socklen_t length = 0; length <= 8; length++) {
		OBSERVE("length %u", length);
		bytes[0]++;
		observe_call("set", setsockopt(fd, SOL_RAW, ICMP_FILTER, bytes, length));
		observe_filter("get", fd, SOL_RAW, ICMP_FILTER, length);
		observe_filter("get", fd, SOL_RAW, ICMP_FILTER, 4);
	}
	observe_filter("room for more", fd, SOL_RAW, ICMP_FILTER, 64);
	observe_call("another protocol", setsockopt(other, SOL_RAW, ICMP_FILTER, bytes, 4));
	observe_filter("another protocol", other, SOL_RAW, ICMP_FILTER, 4);
	observe_call("short, another protocol", setsockopt(other, SOL_RAW, ICMP_FILTER, bytes, 1));
	observe_call("IPv6", setsockopt(raw_socket(AF_INET6, IPPROTO_ICMPV6), SOL_RAW, ICMP_FILTER, bytes, 4));
	observe_call("unknown", setsockopt(fd, SOL_RAW, 2, bytes, 4));
	observe_filter("unknown", fd, SOL_RAW, 2, 4);
}

SCENARIO(raw, filter6_values)
{
	static const socklen_t lengths[] = {0, 1, 3, 4, 5, 8, 30, 31, 32, 33, 64};
	int fd = raw_socket(AF_INET6, IPPROTO_ICMPV6), other = raw_socket(AF_INET6, RAW_PROTOCOL);
	uint8_t bytes[64];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(0x11 * (i + 1));
	observe_filter("fresh", fd, IPPROTO_ICMPV6, ICMP6_FILTER, 32);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		OBSERVE("length %u", lengths[i]);
		bytes[0]++;
		observe_call("set", setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, bytes, lengths[i]));
		observe_filter("get", fd, IPPROTO_ICMPV6, ICMP6_FILTER, lengths[i]);
		observe_filter("get", fd, IPPROTO_ICMPV6, ICMP6_FILTER, 32);
	}
	observe_call("another protocol", setsockopt(other, IPPROTO_ICMPV6, ICMP6_FILTER, bytes, 32));
	observe_filter("another protocol", other, IPPROTO_ICMPV6, ICMP6_FILTER, 32);
	observe_call("IPv4", setsockopt(raw_socket(AF_INET, IPPROTO_ICMP), IPPROTO_ICMPV6, ICMP6_FILTER, bytes, 32));
	observe_call("unknown", setsockopt(fd, IPPROTO_ICMPV6, 9, bytes, 4));
}

SCENARIO_V4_V6(raw, filter_blocks)
{
	int a = raw_own(family, icmp_protocol(family), 8), b = raw_own(family, icmp_protocol(family), 8);

	pass_only(family, a, family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST);
	pass_only(family, b, family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
	must("sendto", echo(family, a, "filtered"));
	observe_received("b", family, b, 0);
	observe_received("a", family, a, 0);
	observe_quiet("a", a, POLLIN);
	observe_quiet("b", b, POLLIN);
}

/* --- IPV6_CHECKSUM -------------------------------------------------------------------------------- */

SCENARIO(raw, checksum_values)
{
	static const int values[] = {0, 2, 1, -1, -2, 3, 65534, 65536, INT32_MAX};
	static const int levels[] = {IPPROTO_IPV6, SOL_RAW};

	for (size_t l = 0; l < 2; l++) {
		int fd = raw_socket(AF_INET6, RAW_PROTOCOL), icmp = raw_socket(AF_INET6, IPPROTO_ICMPV6);

		OBSERVE("level %d", levels[l]);
		observe_option("fresh", fd, levels[l], IPV6_CHECKSUM);
		observe_option("fresh ICMPv6", icmp, levels[l], IPV6_CHECKSUM);
		for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
			observe_set_option("IPV6_CHECKSUM", fd, levels[l], IPV6_CHECKSUM, values[i]);
			observe_set_option("IPV6_CHECKSUM ICMPv6", icmp, levels[l], IPV6_CHECKSUM, values[i]);
		}
		observe_call("short", setsockopt(fd, levels[l], IPV6_CHECKSUM, "\2\0", 2));
		observe_call("nothing", setsockopt(fd, levels[l], IPV6_CHECKSUM, "", 0));
		observe_call("IPv4", setsockopt(raw_socket(AF_INET, RAW_PROTOCOL), levels[l], IPV6_CHECKSUM, &values[1], 4));
	}
}

/* It is put where it is said to be, and what comes with a bad one is dropped. */
SCENARIO(raw, checksum_at_work)
{
	int a = raw_socket(AF_INET6, RAW_PROTOCOL), b = raw_own(AF_INET6, RAW_PROTOCOL, 0), plain = raw_own(AF_INET6, RAW_PROTOCOL, 0);
	struct address to = loopback(AF_INET6, 0);
	char packet[64];
	ssize_t n;

	set_option(b, IPPROTO_IPV6, IPV6_CHECKSUM, 4);
	must("sendto", raw_send(a, "\0\0no sum", &to, 0));
	observe_quiet("b", b, POLLIN);
	wait_for(plain, POLLIN);
	observe_call("plain", recv(plain, packet, sizeof packet, MSG_DONTWAIT));
	set_option(a, IPPROTO_IPV6, IPV6_CHECKSUM, 4);
	observe_call("sendto", raw_send(a, "..summed", &to, 0));
	wait_for(b, POLLIN);
	n = recv(b, packet, sizeof packet, MSG_DONTWAIT);
	observe_call("b", n);
	OBSERVE("filled in %d", n == 12 && memcmp(packet + 4, "..", 2) != 0 && memcmp(packet + 6, "summed", 6) == 0);
	observe_call("too short for it", sendto(a, "12345", 5, 0, SA(&to), to.length));
	set_option(a, IPPROTO_IPV6, IPV6_CHECKSUM, -1);
	must("sendto", raw_send(a, "..no more", &to, 0));
	observe_quiet("b", b, POLLIN);
}

/* --- Errors that come back ------------------------------------------------------------------------ */

static int
recverr(int family)
{
	return family == AF_INET ? IP_RECVERR : IPV6_RECVERR;
}

/*
 * Raw sockets hear of what was refused to others, too. So the errors here are those of UDP-Lite, which nobody else speaks, and one scenario
 * at a time causes them.
 */
#define UDP_LITE 136

static int
error_socket(int family)
{
	int fd, lock = must("open", open("/tmp/splitsock-raw-errors.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0666));

	static bool locked;

	if (!locked)
		must("flock", flock(lock, LOCK_EX));
	locked = true;
	fd = raw_socket(family, UDP_LITE);
	raw_take_only(fd, 0, 0);
	return fd;
}

/* A packet to a closed port; IPv6's checksum is the kernel's to fill in. */
static size_t
refused_packet(int family, char *packet)
{
	struct udphdr header;
	char sum[160];
	size_t length = raw_udp(packet, 9, 9, "refused");
	uint32_t pseudo[3] = {htonl(INADDR_LOOPBACK), htonl(INADDR_LOOPBACK), htonl((uint32_t)(UDP_LITE << 16) | (uint32_t)length)};

	memcpy(&header, packet, sizeof header);
	header.len = 0; /* the checksum covers all */
	memcpy(packet, &header, sizeof header);
	memcpy(sum, pseudo, sizeof pseudo);
	memcpy(sum + sizeof pseudo, packet, length);
	if (family == AF_INET)
		header.check = raw_checksum(sum, sizeof pseudo + length);
	memcpy(packet, &header, sizeof header);
	return length;
}

static void
send_refused(const char *what, int family, int fd)
{
	struct address to = loopback(family, 0);
	char packet[128];
	size_t length = refused_packet(family, packet);

	if (family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_CHECKSUM, 6);
	observe_call(what, sendto(fd, packet, length, 0, SA(&to), to.length));
}

/* An entry of the error queue: the datagram's ports are not the same twice, so only the errors are printed. */
static void
observe_entry(const char *what, int family, int fd)
{
	char data[256];
	struct sockaddr_storage name = {0};
	struct iovec iov = {data, sizeof data};
	struct control control;
	struct msghdr message = {.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &iov, .msg_iovlen = 1,
	                         .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	int64_t end = now_ms() + WAIT_MS;
	ssize_t n;

	while ((n = recvmsg(fd, &message, MSG_ERRQUEUE)) < 0 && errno == EAGAIN && now_ms() < end)
		pause_ms(2);
	observe_call(what, n);
	if (n < 0)
		return;
	OBSERVE("flags %s control %zu name length %u family %d", msg_flags_name(message.msg_flags), (size_t)message.msg_controllen,
	        message.msg_namelen, name.ss_family == family);
	observe_control(&message);
}

SCENARIO_V4_V6(raw, refused_and_queued)
{
	int fd = error_socket(family);
	struct address to = loopback(family, 0);

	set_option(fd, level_of(family), recverr(family), 1);
	must("connect", connect_fd(fd, &to));
	send_refused("sendto", family, fd);
	observe_entry("queue", family, fd);
	observe_so_error("after", fd);
	observe_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
}

SCENARIO_V4_V6(raw, refused_unconnected)
{
	int told = error_socket(family), plain = error_socket(family);
	char packet[128];

	set_option(told, level_of(family), recverr(family), 1);
	send_refused("told", family, told);
	observe_entry("told", family, told);
	send_refused("plain", family, plain);
	pause_ms(QUIET_MS);
	observe_so_error("plain", plain);
	observe_recvfrom("plain", plain, sizeof packet, MSG_DONTWAIT);
	observe_message("plain", plain, CONTROL_MAX, MSG_ERRQUEUE);
}

/* Without IP_RECVERR a connected one still hears of what is final. */
SCENARIO_V4_V6(raw, refused_connected)
{
	int fd = error_socket(family);
	struct address to = loopback(family, 0);

	must("connect", connect_fd(fd, &to));
	send_refused("sendto", family, fd);
	pause_ms(QUIET_MS);
	observe_recvfrom("recvfrom", fd, 10, MSG_DONTWAIT);
	observe_so_error("after", fd);
	send_refused("sendto", family, fd);
	pause_ms(QUIET_MS);
	observe_so_error("SO_ERROR", fd);
	observe_so_error("again", fd);
	send_refused("sendto", family, fd);
	pause_ms(QUIET_MS);
	send_refused("sendto tells", family, fd);
}

SCENARIO_V4_V6(raw, refused_polls)
{
	int fd = error_socket(family);
	struct address to = loopback(family, 0);

	must("connect", connect_fd(fd, &to));
	send_refused("sendto", family, fd);
	observe_poll("refused", fd, POLLIN | POLLOUT, POLLERR);
	observe_recv("recv", fd, 10, MSG_DONTWAIT);
}

/* Who asked sees it as a poll's error; receiving tells of it once, sending does not. */
SCENARIO_V4_V6(raw, told_polls)
{
	int fd = error_socket(family);
	struct address to = loopback(family, 0);

	set_option(fd, level_of(family), recverr(family), 1);
	must("connect", connect_fd(fd, &to));
	send_refused("sendto", family, fd);
	observe_poll("refused", fd, POLLIN | POLLOUT, POLLERR);
	send_refused("sendto", family, fd);
	pause_ms(QUIET_MS);
	observe_call("recvmsg", recvmsg(fd, &(struct msghdr){0}, MSG_DONTWAIT));
	observe_call("again", recvmsg(fd, &(struct msghdr){0}, MSG_DONTWAIT));
	for (int i = 0; i < 3; i++) {
		struct msghdr message = {0};

		observe_call("queue", recvmsg(fd, &message, MSG_ERRQUEUE) < 0 ? -1 : 0);
	}
	observe_poll("after", fd, POLLIN | POLLOUT, POLLOUT);
	observe_so_error("after", fd);
}

/* The ICMP error itself is seen by a raw ICMP socket. */
SCENARIO_V4_V6(raw, error_seen)
{
	int icmp = raw_socket(family, icmp_protocol(family)), udp = error_socket(family);
	char data[512];
	uint8_t *message = (uint8_t *)data + (family == AF_INET ? 20 : 0);
	ssize_t n;

	pass_only(family, icmp, family == AF_INET ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH);
	raw_take_only(icmp, family == AF_INET ? 20 + 8 + 20 + 8 : 8 + 40 + 8, raw_tag());
	send_refused("sendto", family, udp);
	wait_for(icmp, POLLIN);
	n = recv(icmp, data, sizeof data, MSG_DONTWAIT);
	observe_call("recv", n);
	OBSERVE("type %d code %d", message[0], message[1]);
}

/* A protocol that nobody has. */
SCENARIO_V4_V6(raw, protocol_unreachable)
{
	int protocol = 143 + getpid() % 100, fd = raw_socket(family, IPPROTO_RAW);
	struct address to = loopback(family, (uint16_t)(family == AF_INET ? 0 : protocol));
	char packet[128];
	size_t length = raw_header(packet, protocol, "127.0.0.1", "127.0.0.1", 0);

	length += raw_payload(packet + length, "nobody's");
	set_option(fd, level_of(family), recverr(family), 1);
	if (family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_HDRINCL, 0);
	observe_call("sendto", sendto(fd, packet, length, 0, SA(&to), to.length));
	pause_ms(QUIET_MS);
	/* The error is for sockets of that protocol. */
	observe_so_error("after", fd);
	observe_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
}

/* One that gives a time to live of 1 on the loopback has arrived all the same. */
SCENARIO_V4_V6(raw, short_lived)
{
	int fd = raw_own(family, icmp_protocol(family), 8);

	set_option(fd, level_of(family), family == AF_INET ? IP_TTL : IPV6_UNICAST_HOPS, 1);
	pass_only(family, fd, family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
	observe_call("sendto", echo(family, fd, "short-lived"));
	observe_received("answer", family, fd, 0);
}
