/* Raw sockets: kinds, names, states, sizes, and what each of several gets. */
#include "tests/conformance/raw.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdio.h>

static const short all_events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP;

static struct address
at(const char *host)
{
	return literal(host, 0);
}

SCENARIO_V4_V6(raw, kinds)
{
	static const int protocols[] = {0, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6, 253, IPPROTO_RAW, 256, 262, 263, 1000, -1};

	close(raw_socket(family, RAW_PROTOCOL));
	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
		char what[32];
		int fd;

		snprintf(what, sizeof what, "protocol %d", protocols[i]);
		fd = observe_fd(what, socket(family, SOCK_RAW, protocols[i]));
		if (fd < 0)
			continue;
		observe_option("SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
		observe_option("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
		observe_option("SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
		observe_option("SO_ACCEPTCONN", fd, SOL_SOCKET, SO_ACCEPTCONN);
		observe_so_error("fresh", fd);
		close(fd);
	}
}

SCENARIO_V4_V6(raw, type_flags)
{
	close(raw_socket(family, RAW_PROTOCOL));
	observe_fd_flags("plain", socket(family, SOCK_RAW, 253));
	observe_fd_flags("cloexec", socket(family, SOCK_RAW | SOCK_CLOEXEC, 253));
	observe_fd_flags("nonblock", socket(family, SOCK_RAW | SOCK_NONBLOCK, 253));
	observe_fd("unknown flag", socket(family, SOCK_RAW | 0x100, 253));
}

SCENARIO(raw, lowest_number)
{
	int first = raw_socket(AF_INET, RAW_PROTOCOL), second = raw_socket(AF_INET6, RAW_PROTOCOL);

	close(first);
	OBSERVE("reused %d, next %d", raw_socket(AF_INET, RAW_PROTOCOL) == first, second - first);
}

SCENARIO_V4_V6(raw, names)
{
	int fd = raw_socket(family, RAW_PROTOCOL), unspecific = raw_socket(family, IPPROTO_RAW);
	struct address to = loopback(family, 0), with_port = loopback(family, 4242);

	observe_local("fresh", fd);
	observe_peer("fresh", fd);
	observe_local("fresh 255", unspecific);
	observe_call("bind", bind(fd, SA(&to), to.length));
	observe_local("bound", fd);
	observe_call("connect", connect_fd(fd, &to));
	observe_local("connected", fd);
	observe_peer("connected", fd);
	observe_call("connect with a port", connect_fd(fd, &with_port));
	observe_local("with a port", fd);
	observe_peer("with a port", fd);
}

SCENARIO_V4_V6(raw, connect_unbound)
{
	int fd = raw_socket(family, RAW_PROTOCOL);
	struct address to = loopback(family, 0);

	observe_call("connect", connect_fd(fd, &to));
	observe_local("connected", fd);
	observe_option("mtu", fd, level_of(family), family == AF_INET ? IP_MTU : IPV6_MTU);
}

SCENARIO_V4_V6(raw, dissolved)
{
	int fd = raw_socket(family, RAW_PROTOCOL);
	struct address to = loopback(family, 0);
	struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	struct control none = {.length = 0};

	must("connect", connect_fd(fd, &to));
	observe_call("sendmsg", send_control(fd, "x", NULL, &none, 0));
	observe_call("dissolve", connect(fd, &unspec, sizeof unspec));
	observe_local("dissolved", fd);
	observe_peer("dissolved", fd);
	observe_call("sendmsg", send_control(fd, "x", NULL, &none, 0));
	observe_call("dissolve", connect(fd, &unspec, sizeof unspec));
	observe_call("connect", connect_fd(fd, &to));
	observe_call("sendmsg", send_control(fd, "x", NULL, &none, 0));
}

SCENARIO_V4_V6(raw, connect_errors)
{
	int fd = raw_socket(family, RAW_PROTOCOL);
	struct address to = loopback(family, 0), other = loopback(family == AF_INET ? AF_INET6 : AF_INET, 0);

	observe_call("short", connect(fd, SA(&to), 8));
	observe_call("of no length", connect(fd, SA(&to), 0));
	observe_call("other family", connect_fd(fd, &other));
	to = family == AF_INET ? at("255.255.255.255") : at("ff02::1");
	to.storage.ss_family = 77;
	observe_call("no family", connect_fd(fd, &to));
	observe_peer("after", fd);
}

SCENARIO_V4_V6(raw, bind_errors)
{
	int fd = raw_socket(family, RAW_PROTOCOL);
	struct address own = loopback(family, 0), foreign = family == AF_INET ? at("192.0.2.1") : at("2001:db8::1");
	struct address other = loopback(family == AF_INET ? AF_INET6 : AF_INET, 0), odd = own, any = wildcard(family, 0);

	odd.storage.ss_family = 77;
	observe_call("short", bind(fd, SA(&own), 8));
	observe_call("RFC 2133", bind(fd, SA(&own), 24));
	observe_local("after", fd);
	observe_call("foreign", bind(fd, SA(&foreign), foreign.length));
	observe_call("other family", bind(fd, SA(&other), other.length));
	observe_call("no family", bind(fd, SA(&odd), odd.length));
	odd.storage.ss_family = AF_UNSPEC;
	observe_call("AF_UNSPEC", bind(fd, SA(&odd), odd.length));
	any.storage.ss_family = AF_UNSPEC;
	observe_call("AF_UNSPEC, any", bind(fd, SA(&any), any.length));
	observe_local("after", fd);
	observe_call("again", bind(fd, SA(&own), own.length));
	must("connect", connect_fd(fd, &own));
	observe_call("connected", bind(fd, SA(&own), own.length));
}

SCENARIO_V4_V6(raw, listen_and_accept)
{
	int fd = raw_socket(family, RAW_PROTOCOL);

	observe_call("listen", listen(fd, 1));
	observe_fd("accept", accept(fd, NULL, NULL));
	observe_fd("accept4", accept4(fd, NULL, NULL, SOCK_NONBLOCK));
}

SCENARIO_V4_V6(raw, exchange)
{
	int a = raw_socket(family, RAW_PROTOCOL), b = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);

	observe_poll("b", b, all_events, POLLOUT);
	observe_call("sendto", raw_send(a, "hello", &to, 0));
	observe_poll("b", b, all_events, POLLIN | POLLOUT);
	observe_received("b", family, b, 0);
	observe_poll("b", b, all_events, POLLOUT);
	observe_recvfrom("b", b, 64, MSG_DONTWAIT);
	observe_call("sendmsg", raw_send(b, "to itself", &to, 0));
	observe_received("b", family, b, 0);
}

SCENARIO_V4_V6(raw, each_gets_a_copy)
{
	int fds[3], other = raw_own(family, RAW_PROTOCOL + 1, 0);
	struct address to = loopback(family, 0);

	for (int i = 0; i < 3; i++)
		fds[i] = raw_own(family, RAW_PROTOCOL, 0);
	must("sendto", raw_send(fds[0], "for all", &to, 0));
	for (int i = 0; i < 3; i++)
		observe_received("one", family, fds[i], 0);
	observe_quiet("another protocol", other, POLLIN);
}

SCENARIO_V4_V6(raw, connected)
{
	int a = raw_socket(family, RAW_PROTOCOL), b = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);
	char packet[64];
	size_t length = raw_payload(packet, "plain");

	must("connect", connect_fd(a, &to));
	observe_call("send", send(a, packet, length, 0));
	observe_received("b", family, b, 0);
	observe_call("write", write(a, packet, length));
	observe_received("b", family, b, 0);
	observe_call("sendto NULL", sendto(a, packet, length, 0, NULL, 0));
	observe_received("b", family, b, 0);
	observe_call("sendto", raw_send(a, "named", &to, 0));
	observe_received("b", family, b, 0);
	must("connect b", connect_fd(b, &to));
	must("send", send(a, packet, length, 0));
	observe_received("b connected", family, b, 0);
}

/* A connected one hears of its peer alone, a bound one what is for its address. */
SCENARIO(raw, connect_filters)
{
	int a = raw_socket(AF_INET, RAW_PROTOCOL), stranger = raw_socket(AF_INET, RAW_PROTOCOL), b = raw_own(AF_INET, RAW_PROTOCOL, 0);
	struct address to = loopback(AF_INET, 0), from = at("127.0.0.9"), strange = at("127.0.0.8");

	must("bind", bind(a, SA(&from), from.length));
	must("bind", bind(stranger, SA(&strange), strange.length));
	observe_call("connect", connect_fd(b, &from));
	must("sendto", raw_send(stranger, "from a stranger", &to, 0));
	observe_quiet("b", b, POLLIN);
	must("sendto", raw_send(a, "from the peer", &to, 0));
	observe_received("b", AF_INET, b, 0);
	observe_call("connect", connect_fd(b, &strange));
	must("sendto", raw_send(a, "from the former peer", &to, 0));
	observe_quiet("b", b, POLLIN);
}

SCENARIO(raw, bind_filters)
{
	int a = raw_socket(AF_INET, RAW_PROTOCOL), b = raw_own(AF_INET, RAW_PROTOCOL, 0);
	struct address one = at("127.0.0.7"), other = at("127.0.0.6");

	must("bind", bind(b, SA(&one), one.length));
	must("sendto", raw_send(a, "for another", &other, 0));
	observe_quiet("b", b, POLLIN);
	must("sendto", raw_send(a, "for b", &one, 0));
	observe_received("b", AF_INET, b, 0);
	must("sendto", raw_send(b, "from b", &one, 0));
	observe_received("b", AF_INET, b, 0);
}

SCENARIO_V4_V6(raw, bound_to_device)
{
	int a = raw_socket(family, RAW_PROTOCOL), b = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);
	char name[16];
	socklen_t length = sizeof name;

	observe_call("SO_BINDTODEVICE", setsockopt(b, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	observe_call("get", getsockopt(b, SOL_SOCKET, SO_BINDTODEVICE, name, &length));
	observe_bytes("name", name, (ssize_t)length);
	observe_call("none", setsockopt(a, SOL_SOCKET, SO_BINDTODEVICE, "no such", 8));
	must("sendto", raw_send(a, "over lo", &to, 0));
	observe_received("b", family, b, 0);
	observe_call("sendto", raw_send(b, "over lo, too", &to, 0));
	observe_received("b", family, b, 0);
}

SCENARIO_V4_V6(raw, send_errors)
{
	int fd = raw_socket(family, RAW_PROTOCOL);
	struct address to = loopback(family, 0), other = loopback(family == AF_INET ? AF_INET6 : AF_INET, 0);
	struct control none = {.length = 0};
	char text[8] = "x";

	observe_call("nowhere", send_control(fd, "x", NULL, &none, 0));
	observe_call("no length", sendto(fd, text, 1, 0, SA(&to), 0));
	observe_call("length 8", sendto(fd, text, 1, 0, SA(&to), 8));
	observe_call("length 15", sendto(fd, text, 1, 0, SA(&to), 15));
	observe_call("length 24", sendto(fd, text, 1, 0, SA(&to), 24));
	observe_call("length 200", sendto(fd, text, 1, 0, SA(&to), 200));
	observe_call("other family", sendto(fd, text, 1, 0, SA(&other), sizeof(struct sockaddr_in6)));
	to.storage.ss_family = 77;
	observe_call("no family", sendto(fd, text, 1, 0, SA(&to), to.length));
	to.storage.ss_family = AF_UNSPEC;
	observe_call("AF_UNSPEC", sendto(fd, text, 1, 0, SA(&to), to.length));
	to = loopback(family, 0);
	observe_call("MSG_OOB", sendto(fd, text, 1, MSG_OOB, SA(&to), to.length));
	observe_call("MSG_OOB, nowhere", sendto(fd, text, 1, MSG_OOB, NULL, 0));
	observe_call("bad buffer", sendto(fd, (void *)8, 1, 0, SA(&to), to.length));
	observe_so_error("after", fd);
}

/* The port means the protocol in IPv6, and nothing in IPv4. */
SCENARIO_V4_V6(raw, send_ports)
{
	static const uint16_t ports[] = {0, 1, RAW_PROTOCOL, 254, 255, 256, 65535};
	int kinds[] = {raw_socket(family, RAW_PROTOCOL), raw_socket(family, IPPROTO_RAW)};
	int b = raw_own(family, RAW_PROTOCOL, 0);

	set_option(kinds[1], level_of(family), family == AF_INET ? IP_HDRINCL : IPV6_HDRINCL, 0);
	for (size_t kind = 0; kind < 2; kind++) {
		for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
			struct address to = loopback(family, ports[i]);

			OBSERVE("port %d", ports[i]);
			if (observe_call("sendto", raw_send(kinds[kind], "x", &to, 0)) > 0 && (kind == 0 || ports[i] == RAW_PROTOCOL))
				observe_received("b", family, b, 0);
		}
	}
}

SCENARIO(raw, broadcast)
{
	int fd = raw_socket(AF_INET, RAW_PROTOCOL), b = raw_own(AF_INET, RAW_PROTOCOL, 0);
	struct address to = at("127.255.255.255");

	observe_call("sendto", raw_send(fd, "x", &to, 0));
	observe_call("connect", connect_fd(fd, &to));
	set_option(fd, SOL_SOCKET, SO_BROADCAST, 1);
	observe_call("sendto", raw_send(fd, "x", &to, 0));
	observe_received("b", AF_INET, b, 0);
	observe_call("connect", connect_fd(fd, &to));
}

SCENARIO_V4_V6(raw, nothing_to_receive)
{
	int fd = raw_own(family, RAW_PROTOCOL, 0);

	observe_recv("recv", fd, 10, MSG_DONTWAIT);
	observe_recvfrom("recvfrom", fd, 10, MSG_DONTWAIT);
	observe_message("recvmsg", fd, CONTROL_MAX, MSG_DONTWAIT);
	observe_message("error queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
	observe_recv("MSG_OOB", fd, 10, MSG_OOB | MSG_DONTWAIT);
	observe_recvfrom("MSG_OOB", fd, 10, MSG_OOB | MSG_DONTWAIT);
	observe_message("MSG_OOB", fd, CONTROL_MAX, MSG_OOB | MSG_DONTWAIT);
	set_receive_timeout(fd, 50);
	observe_recv("recv", fd, 10, 0);
	observe_recvfrom("recvfrom", fd, 10, 0);
	set_nonblocking(fd, true);
	observe_recvfrom("O_NONBLOCK", fd, 10, 0);
}

SCENARIO_V4_V6(raw, truncated)
{
	int fd = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);
	size_t header = family == AF_INET ? 2 : TAG_SIZE + 2;
	char buffer[16];
	struct iovec iov = {buffer, header};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	must("connect", connect_fd(fd, &to));
	for (int i = 0; i < 5; i++)
		must("sendto", raw_send(fd, "longer than that", &to, 0));
	wait_for(fd, POLLIN);
	observe_call("recv", recv(fd, buffer, header, 0));
	wait_for(fd, POLLIN);
	observe_call("MSG_TRUNC", recv(fd, buffer, header, MSG_TRUNC));
	wait_for(fd, POLLIN);
	observe_call("recvmsg", recvmsg(fd, &message, 0));
	OBSERVE("flags %s", msg_flags_name(message.msg_flags));
	wait_for(fd, POLLIN);
	observe_call("read", read(fd, buffer, 3));
	observe_call("MSG_TRUNC of none", recv(fd, buffer, 0, MSG_TRUNC | MSG_PEEK));
	observe_received("the last", family, fd, 0);
	observe_recv("none left", fd, 10, MSG_DONTWAIT);
}

SCENARIO_V4_V6(raw, peeked)
{
	int fd = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);

	must("sendto", raw_send(fd, "once", &to, 0));
	observe_received("peek", family, fd, MSG_PEEK);
	observe_received("peek again", family, fd, MSG_PEEK | MSG_TRUNC);
	observe_received("recv", family, fd, 0);
	observe_recv("none left", fd, 10, MSG_DONTWAIT);
}

SCENARIO_V4_V6(raw, zero_length)
{
	int fd = raw_socket(family, RAW_PROTOCOL), own = raw_socket(family, 143 + getpid() % 100);
	struct address to = loopback(family, 0);

	observe_call("sendto", sendto(fd, "", 0, 0, SA(&to), to.length));
	observe_call("sendto", sendto(own, "", 0, 0, SA(&to), to.length));
	wait_for(own, POLLIN);
	observe_call("FIONREAD", ioctl(own, FIONREAD, &(int){0}));
	observe_call("recv", recv(own, (char[64]){0}, 64, MSG_DONTWAIT));
	must("connect", connect_fd(own, &to));
	observe_call("send", send(own, "", 0, 0));
	wait_for(own, POLLIN);
	observe_call("recv", recv(own, (char[64]){0}, 64, MSG_DONTWAIT));
}

static void
send_sizes(int family, bool plain)
{
	static const size_t sizes[] = {8, 1500, 65507, 65508, 65515, 65516, 65527, 65535, 65536, 100000};
	int a = raw_socket(family, RAW_PROTOCOL), b = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);
	char *data = must_alloc(100000), *back = must_alloc(PACKET_MAX);

	fill_pattern(data, 100000, 7);
	raw_payload(data, "");
	must("connect", connect_fd(a, &to));
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		/* The link takes one byte too many: see raw/one_too_long. */
		if (plain && sizes[i] == (family == AF_INET ? 65516 : 65536))
			continue;
		OBSERVE("%zu", sizes[i]);
		if (observe_call("send", plain ? send(a, data, sizes[i], 0) : sendto(a, data, sizes[i], 0, SA(&to), to.length)) < 0)
			continue;
		wait_for(b, POLLIN);
		observe_packet_bytes("recv", family, back, recv(b, back, PACKET_MAX, MSG_DONTWAIT));
	}
}

SCENARIO_V4_V6(raw, sizes)
{
	send_sizes(family, false);
}

SCENARIO_V4_V6(raw, sizes_plain)
{
	send_sizes(family, true);
}

SCENARIO_V4_V6(raw, one_too_long)
{
	int fd = raw_socket(family, RAW_PROTOCOL);
	struct address to = loopback(family, 0);
	char *data = must_alloc(PACKET_MAX);

	must("connect", connect_fd(fd, &to));
	observe_call("send", send(fd, data, family == AF_INET ? 65516 : 65536, 0));
}

/* Plain calls on one that has no peer. */
SCENARIO_V4_V6(raw, plain_send_unconnected)
{
	int fd = raw_socket(family, RAW_PROTOCOL);

	observe_call("send", send(fd, "x", 1, 0));
	observe_call("write", write(fd, "x", 1));
	observe_call("sendto NULL", sendto(fd, "x", 1, 0, NULL, 0));
}

SCENARIO_V4_V6(raw, queue_sizes)
{
	int fd = raw_own(family, RAW_PROTOCOL, 0), queued = -1;
	struct address to = loopback(family, 0);

	observe_call("FIONREAD", ioctl(fd, FIONREAD, &queued));
	OBSERVE("queued %d", queued);
	must("sendto", raw_send(fd, "first", &to, 0));
	must("sendto", raw_send(fd, "the second", &to, 0));
	wait_for(fd, POLLIN);
	pause_ms(20);
	observe_call("SIOCINQ", ioctl(fd, SIOCINQ, &queued));
	OBSERVE("queued %d", queued);
	observe_received("first", family, fd, 0);
	observe_call("SIOCINQ", ioctl(fd, SIOCINQ, &queued));
	OBSERVE("queued %d", queued);
	observe_call("SIOCOUTQ", ioctl(fd, SIOCOUTQ, &queued));
	OBSERVE("unsent %d", queued);
	observe_call("SIOCOUTQNSD", ioctl(fd, SIOCOUTQNSD, &queued));
	observe_call("SIOCATMARK", ioctl(fd, SIOCATMARK, &queued));
}

SCENARIO_V4_V6(raw, shut_down)
{
	int fd = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);

	observe_call("SHUT_RD unconnected", shutdown(raw_socket(family, RAW_PROTOCOL), SHUT_RD));
	observe_call("SHUT_WR unconnected", shutdown(raw_socket(family, RAW_PROTOCOL), SHUT_WR));
	observe_call("how 3", shutdown(fd, 3));
	must("connect", connect_fd(fd, &to));
	observe_call("SHUT_WR", shutdown(fd, SHUT_WR));
	observe_call("sendto", raw_send(fd, "x", &to, MSG_NOSIGNAL));
}

SCENARIO_V4_V6(raw, many_at_once)
{
	int fd = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);
	char texts[4][64], back[4][128];
	struct iovec out[4], in[4];
	struct mmsghdr many[4] = {0};
	struct sockaddr_storage from[4];

	for (int i = 0; i < 4; i++) {
		char text[16];

		snprintf(text, sizeof text, "number %d", i);
		out[i] = (struct iovec){texts[i], raw_payload(texts[i], text)};
		many[i].msg_hdr = (struct msghdr){.msg_name = SA(&to), .msg_namelen = to.length, .msg_iov = &out[i], .msg_iovlen = 1};
	}
	observe_call("sendmmsg", sendmmsg(fd, many, 4, 0));
	OBSERVE("sent %u %u", many[0].msg_len, many[3].msg_len);
	pause_ms(50);
	for (int i = 0; i < 4; i++) {
		in[i] = (struct iovec){back[i], sizeof back[i]};
		many[i].msg_hdr =
			(struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &in[i], .msg_iovlen = 1};
	}
	observe_call("recvmmsg", recvmmsg(fd, many, 4, MSG_DONTWAIT, NULL));
	for (int i = 0; i < 4; i++) {
		observe_packet_bytes("packet", family, back[i], (ssize_t)many[i].msg_len);
		observe_address("from", &from[i], many[i].msg_hdr.msg_namelen);
	}
}

SCENARIO_V4_V6(raw, corked)
{
	int fd = raw_own(family, RAW_PROTOCOL, 0);
	struct address to = loopback(family, 0);

	observe_call("MSG_MORE", raw_send(fd, "one and ", &to, MSG_MORE));
	observe_quiet("held", fd, POLLIN);
	observe_call("the rest", sendto(fd, "another", 7, 0, SA(&to), to.length));
	observe_received("together", family, fd, 0);
}

static void *
send_later(void *argument)
{
	int *family = argument, fd = raw_socket(*family, RAW_PROTOCOL);
	struct address to = loopback(*family, 0);

	pause_ms(50);
	must("sendto", raw_send(fd, "late", &to, 0));
	return NULL;
}

SCENARIO_V4_V6(raw, wakes_who_waits)
{
	int fd = raw_own(family, RAW_PROTOCOL, 0);
	char data[128];
	pthread_t thread = start_thread(send_later, &family);
	ssize_t n = recvfrom(fd, data, sizeof data, 0, NULL, NULL);

	observe_packet_bytes("recvfrom", family, data, n);
	join_thread(thread);
	thread = start_thread(send_later, &family);
	n = recv(fd, data, sizeof data, 0);
	observe_packet_bytes("recv", family, data, n);
	join_thread(thread);
}

SCENARIO_V4_V6(raw, edges)
{
	int fd = raw_own(family, RAW_PROTOCOL, 0), epoll = must("epoll_create1", epoll_create1(0));
	struct address to = loopback(family, 0);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	must("EPOLL_CTL_ADD", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	observe_epoll_quiet("fresh", epoll);
	must("sendto", raw_send(fd, "one", &to, 0));
	observe_epoll("one", epoll, EPOLLIN);
	observe_received("one", family, fd, 0);
	must("sendto", raw_send(fd, "two", &to, 0));
	observe_epoll("two", epoll, EPOLLIN);
}

static int
use_in_child(void *argument)
{
	int *fd = argument;
	struct address to = loopback(AF_INET, 0);

	observe_local("child", *fd);
	/* The tag is the parent's: it differs in the child. */
	observe_call("child sendto", sendto(*fd, "x", 1, 0, SA(&to), to.length));
	return 0;
}

SCENARIO(raw, shared_with_child)
{
	int fd = raw_own(AF_INET, RAW_PROTOCOL, 0), copy = must("dup", dup(fd));
	struct address to = loopback(AF_INET, 0);

	observe_child("child", start_child(use_in_child, &fd));
	must("sendto", raw_send(copy, "by the copy", &to, 0));
	close(fd);
	observe_received("copy", AF_INET, copy, 0);
}

/* --- UDP and TCP by hand -------------------------------------------------------------------------- */

SCENARIO_V4_V6(raw, udp_by_hand)
{
	int raw = raw_socket(family, IPPROTO_UDP), udp = udp_bound(family), own = udp_bound(family);
	struct address to = loopback(family, 0), from = local_of(own);
	char packet[128];
	size_t length = raw_udp(packet, port_of(own), port_of(udp), "by hand");

	if (family == AF_INET6)
		observe_set_option("IPV6_CHECKSUM", raw, IPPROTO_IPV6, IPV6_CHECKSUM, 6);
	observe_call("sendto", sendto(raw, packet, length, 0, SA(&to), to.length));
	wait_for(udp, POLLIN);
	length = (size_t)must("recv", recv(udp, packet, sizeof packet, MSG_PEEK | MSG_DONTWAIT));
	observe_packet_bytes("datagram", AF_INET6, packet, (ssize_t)length);
	observe_recvfrom("from", udp, 0, 0);
	raw_take_only(raw, family == AF_INET ? 28 : 8, raw_tag());
	length = raw_payload(packet, "back");
	must("sendto", sendto(udp, packet, length, 0, SA(&from), from.length));
	wait_for(raw, POLLIN);
	observe_call("the raw one sees it, too", recv(raw, packet, sizeof packet, MSG_DONTWAIT));
}

/* A SYN to a closed port is reset; both pass by. */
SCENARIO(raw, tcp_by_hand)
{
	int raw = raw_socket(AF_INET, IPPROTO_TCP), closed = tcp_bound(AF_INET), mine = tcp_bound(AF_INET);
	struct address to = loopback(AF_INET, 0);
	struct {
		struct tcphdr tcp;
		struct {
			uint32_t from, to;
			uint16_t protocol, length;
		} pseudo;
	} packet = {0};
	struct tcphdr answer;
	char data[128];

	packet.tcp.source = htons(port_of(mine));
	packet.tcp.dest = htons(port_of(closed));
	packet.tcp.seq = htonl(raw_tag());
	packet.tcp.doff = 5;
	packet.tcp.syn = 1;
	packet.pseudo.from = packet.pseudo.to = htonl(INADDR_LOOPBACK);
	packet.pseudo.protocol = htons(IPPROTO_TCP);
	packet.pseudo.length = htons(sizeof packet.tcp);
	packet.tcp.check = raw_checksum(&packet, sizeof packet);
	raw_take_only(raw, 28, raw_tag() + 1); /* what the reset acknowledges */
	observe_call("sendto", sendto(raw, &packet.tcp, sizeof packet.tcp, 0, SA(&to), to.length));
	wait_for(raw, POLLIN);
	observe_call("recv", recv(raw, data, sizeof data, MSG_DONTWAIT));
	memcpy(&answer, data + sizeof(struct iphdr), sizeof answer);
	OBSERVE("syn %d ack %d rst %d to me %d", answer.syn, answer.ack, answer.rst, answer.dest == packet.tcp.source);
}

/* --- Options -------------------------------------------------------------------------------------- */

static bool
is_volatile(int level, int option)
{
	return level == SOL_SOCKET && (option == SO_COOKIE || option == SO_MEMINFO || option == SO_INCOMING_CPU ||
	                               option == SO_ATTACH_FILTER);
}

static void
observe_options(int family, int level, int end, bool set)
{
	int fd = raw_socket(family, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);

	for (int option = 0; option < end; option++) {
		char what[32];

		snprintf(what, sizeof what, "%d", option);
		if (is_volatile(level, option) || (set && level == SOL_SOCKET && (option == SO_RESERVE_MEM || option == SO_TXTIME)))
			continue;
		/* Of netfilter's the answer depends on what the host has loaded. */
		if (level != SOL_SOCKET && option >= 64 && option < 75)
			continue;
		if (set) {
			int fresh = raw_socket(family, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);

			observe_set_option(what, fresh, level, option, 1);
			close(fresh);
		} else {
			observe_option(what, fd, level, option);
		}
	}
}

SCENARIO_V4_V6(raw, options_read)
{
	observe_options(family, SOL_SOCKET, 80, false);
	observe_options(family, IPPROTO_IP, 54, false);
	observe_options(family, IPPROTO_IPV6, 84, false);
	observe_options(family, IPPROTO_UDP, 12, false);
	observe_options(family, SOL_RAW, 40, false);
	observe_options(family, IPPROTO_ICMPV6, 4, false);
}

SCENARIO_V4_V6(raw, options_set_socket)
{
	observe_options(family, SOL_SOCKET, 76, true);
}

SCENARIO_V4_V6(raw, options_set_ip)
{
	observe_options(family, IPPROTO_IP, 54, true);
	observe_options(family, SOL_RAW, 40, true);
	observe_options(family, IPPROTO_UDP, 12, true);
}

SCENARIO_V4_V6(raw, options_set_ipv6)
{
	observe_options(family, IPPROTO_IPV6, 84, true);
	observe_options(family, IPPROTO_ICMPV6, 4, true);
}

SCENARIO(raw, options_of_others)
{
	int udp = udp_socket(AF_INET), udp6 = udp_socket(AF_INET6), tcp = tcp_socket(AF_INET);

	observe_set_option("IP_HDRINCL UDP", udp, IPPROTO_IP, IP_HDRINCL, 1);
	observe_set_option("IP_HDRINCL TCP", tcp, IPPROTO_IP, IP_HDRINCL, 1);
	observe_set_option("ICMP_FILTER UDP", udp, SOL_RAW, 1, 1);
	observe_set_option("IPV6_CHECKSUM UDP", udp6, IPPROTO_IPV6, IPV6_CHECKSUM, 2);
	observe_set_option("IPV6_CHECKSUM UDP", udp6, SOL_RAW, IPV6_CHECKSUM, 2);
	observe_set_option("IPV6_HDRINCL UDP", udp6, IPPROTO_IPV6, IPV6_HDRINCL, 1);
	observe_set_option("ICMPV6_FILTER UDP", udp6, IPPROTO_ICMPV6, ICMP6_FILTER, 1);
}
