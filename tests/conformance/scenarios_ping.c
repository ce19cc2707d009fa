/* ICMP datagram sockets: who may have one the host says (net.ipv4.ping_group_range), and where nobody may, both sides say so. */
#include "tests/conformance/raw.h"

#include <stdio.h>

static int
icmp_protocol(int family)
{
	return family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

static int
ping_socket(int family)
{
	int fd = socket(family, SOCK_DGRAM, icmp_protocol(family));

	if (fd < 0 && errno == EACCES) {
		observe_call("socket", fd);
		_exit(0);
	}
	return must("socket", fd);
}

static ssize_t
ping(int family, int fd, const char *text, const struct address *to)
{
	char packet[256];
	size_t length = raw_echo(family, packet, 0x7777, 1, text);

	return sendto(fd, packet, length, 0, to ? SA(to) : NULL, to ? to->length : 0);
}

/* The id is the socket's port, and none that could be printed. */
static void
observe_answer(const char *what, int fd, int flags)
{
	char data[512];
	struct sockaddr_storage from = {0};
	socklen_t length = sizeof from;
	struct icmphdr header = {0};
	ssize_t n;

	if (!wait_for(fd, POLLIN))
		OBSERVE("%s: nothing came", what);
	n = recvfrom(fd, data, sizeof data, flags | MSG_DONTWAIT, (struct sockaddr *)&from, &length);
	observe_call(what, n);
	if (n < (ssize_t)sizeof header)
		return;
	memcpy(&header, data, sizeof header);
	OBSERVE("type %d code %d id %s sequence %d", header.type, header.code, ntohs(header.un.echo.id) == port_of(fd) ? "the port" : "other",
	        ntohs(header.un.echo.sequence));
	observe_bytes("text", data + sizeof header + TAG_SIZE, n - (ssize_t)sizeof header - TAG_SIZE);
	observe_address("from", &from, length);
}

SCENARIO_V4_V6(ping, kinds)
{
	observe_fd("other's protocol", socket(family, SOCK_DGRAM, icmp_protocol(family == AF_INET ? AF_INET6 : AF_INET)));
	observe_fd("stream", socket(family, SOCK_STREAM, icmp_protocol(family)));
	observe_fd("unknown flag", socket(family, SOCK_DGRAM | 0x100, icmp_protocol(family)));
	close(ping_socket(family));
	observe_fd_flags("both", socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, icmp_protocol(family)));
}

SCENARIO_V4_V6(ping, names)
{
	int fd = ping_socket(family), other = ping_socket(family);
	struct address to = loopback(family, 0), own;

	observe_option("SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
	observe_option("SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
	observe_local("fresh", fd);
	observe_peer("fresh", fd);
	observe_call("bind", bind(fd, SA(&to), to.length));
	observe_local("bound", fd);
	own = local_of(fd);
	observe_call("the same id", bind(other, SA(&own), own.length));
	observe_call("again", bind(fd, SA(&to), to.length));
	observe_call("connect", connect_fd(fd, &to));
	observe_peer("connected", fd);
	to = loopback(family, 99);
	observe_call("connect with a port", connect_fd(fd, &to));
	observe_peer("with a port", fd);
}

SCENARIO_V4_V6(ping, exchange)
{
	int fd = ping_socket(family);
	struct address to = loopback(family, 0);

	observe_call("sendto", ping(family, fd, "hello", &to));
	observe_answer("peek", fd, MSG_PEEK);
	observe_answer("answer", fd, 0);
	observe_recv("no more", fd, 10, MSG_DONTWAIT);
	observe_local("after", fd);
}

SCENARIO_V4_V6(ping, connected)
{
	int fd = ping_socket(family);
	struct address to = loopback(family, 0);
	char packet[128];
	size_t length = raw_echo(family, packet, 1, 2, "connected");

	must("connect", connect_fd(fd, &to));
	observe_call("sendto NULL", ping(family, fd, "one", NULL));
	observe_answer("answer", fd, 0);
	observe_call("write", write(fd, packet, length));
	observe_answer("answer", fd, 0);
}

SCENARIO_V4_V6(ping, each_its_own)
{
	int one = ping_socket(family), other = ping_socket(family);
	struct address to = loopback(family, 0);

	must("sendto", ping(family, one, "one", &to));
	must("sendto", ping(family, other, "other", &to));
	observe_answer("one", one, 0);
	observe_answer("other", other, 0);
	observe_quiet("one", one, POLLIN);
}

SCENARIO_V4_V6(ping, send_errors)
{
	int fd = ping_socket(family);
	struct address to = loopback(family, 0), other = loopback(family == AF_INET ? AF_INET6 : AF_INET, 0);
	struct control none = {.length = 0};
	char packet[128];
	size_t length = raw_echo(family, packet, 1, 1, "x");

	observe_call("nowhere", send_control(fd, "12345678", NULL, &none, 0));
	observe_call("short", sendto(fd, packet, 7, 0, SA(&to), to.length));
	observe_call("no length", sendto(fd, packet, length, 0, SA(&to), 0));
	observe_call("length 8", sendto(fd, packet, length, 0, SA(&to), 8));
	observe_call("length 24", sendto(fd, packet, length, 0, SA(&to), 24));
	observe_call("other family", sendto(fd, packet, length, 0, SA(&other), sizeof(struct sockaddr_in6)));
	observe_call("MSG_OOB", sendto(fd, packet, length, MSG_OOB, SA(&to), to.length));
	packet[0] = 0;
	packet[0] += family == AF_INET ? ICMP_ECHOREPLY : (char)ICMP6_ECHO_REPLY;
	observe_call("no question", sendto(fd, packet, length, 0, SA(&to), to.length));
	length = raw_echo(family, packet, 1, 1, "x");
	to.storage.ss_family = AF_UNSPEC;
	observe_call("AF_UNSPEC", sendto(fd, packet, length, 0, SA(&to), to.length));
}

SCENARIO_V4_V6(ping, bind_errors)
{
	int fd = ping_socket(family);
	struct address own = loopback(family, 0), foreign = family == AF_INET ? literal("192.0.2.1", 0) : literal("2001:db8::1", 0), odd = own;

	observe_call("short", bind(fd, SA(&own), 8));
	observe_call("RFC 2133", bind(fd, SA(&own), 24));
	observe_call("foreign", bind(fd, SA(&foreign), foreign.length));
	odd.storage.ss_family = 77;
	observe_call("no family", bind(fd, SA(&odd), odd.length));
	odd.storage.ss_family = AF_UNSPEC;
	observe_call("AF_UNSPEC", bind(fd, SA(&odd), odd.length));
	observe_call("listen", listen(fd, 1));
	observe_fd("accept", accept(fd, NULL, NULL));
}

SCENARIO_V4_V6(ping, sizes)
{
	static const size_t sizes[] = {8, 1000, 65507, 65508, 65515, 65516, 65535, 65536};
	int fd = ping_socket(family);
	struct address to = loopback(family, 0);
	char *packet = must_alloc(PACKET_MAX), *back = must_alloc(PACKET_MAX);

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		memset(packet, 0, PACKET_MAX);
		packet[0] = family == AF_INET ? ICMP_ECHO : (char)ICMP6_ECHO_REQUEST;
		OBSERVE("%zu", sizes[i]);
		if (observe_call("sendto", sendto(fd, packet, sizes[i], 0, SA(&to), to.length)) < 0)
			continue;
		wait_for(fd, POLLIN);
		observe_call("recv", recv(fd, back, PACKET_MAX, MSG_DONTWAIT));
	}
}

SCENARIO_V4_V6(ping, ioctls)
{
	int fd = ping_socket(family), value = -1;

	observe_call("FIONREAD", ioctl(fd, FIONREAD, &value));
	observe_call("SIOCOUTQ", ioctl(fd, TIOCOUTQ, &value));
	OBSERVE("value %d", value);
}

SCENARIO_V4_V6(ping, options_read)
{
	static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP, SOL_RAW, IPPROTO_ICMPV6};
	int fd = ping_socket(family);

	for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
		OBSERVE("level %d", levels[l]);
		for (int option = 0; option < 54; option++) {
			char what[16];

			if (levels[l] == SOL_SOCKET && option == SO_INCOMING_CPU)
				continue;
			snprintf(what, sizeof what, "%d", option);
			observe_option(what, fd, levels[l], option);
		}
	}
}

SCENARIO_V4_V6(ping, told_of_each)
{
	int fd = ping_socket(family);
	struct address to = loopback(family, 0);
	char data[256];
	struct iovec iov = {data, sizeof data};
	struct control control;
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};

	set_option(fd, level_of(family), family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
	set_option(fd, level_of(family), family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
	set_option(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
	must("sendto", ping(family, fd, "told", &to));
	wait_for(fd, POLLIN);
	observe_call("recvmsg", recvmsg(fd, &message, MSG_DONTWAIT));
	OBSERVE("flags %s control %zu", msg_flags_name(message.msg_flags), (size_t)message.msg_controllen);
	observe_control(&message);
}
