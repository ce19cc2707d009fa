/* Datagrams: boundaries, addresses, connected and not, and the errors that come back. */
#include "tests/conformance/scenario.h"

static const short all_events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP;

static ssize_t
send_to(int fd, const char *text, const struct address *to)
{
	return sendto(fd, text, strlen(text), 0, SA(to), to->length);
}

SCENARIO_V4_V6(udp, sendto_recvfrom)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);

	observe_local("a", a);
	observe_local("b", b);
	observe_call("sendto", send_to(a, "hello", &to));
	observe_poll("b", b, all_events, POLLIN | POLLOUT);
	observe_recvfrom("b", b, 64, 0);
	observe_poll("b", b, all_events, POLLOUT);
	observe_recvfrom("b", b, 64, MSG_DONTWAIT);
}

SCENARIO_V4_V6(udp, unbound_sender)
{
	int a = udp_socket(family), b = udp_bound(family);
	struct address to = local_of(b);

	observe_call("sendto", send_to(a, "hello", &to));
	OBSERVE("port chosen %d", port_of(a) != 0);
	observe_local("a", a);
	wait_for(b, POLLIN);
	observe_recvfrom("b", b, 64, 0);
}

SCENARIO_V4_V6(udp, several_peers)
{
	int server = udp_bound(family), clients[3];
	struct address at = local_of(server);

	for (int i = 0; i < 3; i++) {
		clients[i] = udp_bound(family);
		must("sendto", send_to(clients[i], i == 0 ? "zero" : i == 1 ? "one" : "two", &at));
		wait_for(server, POLLIN);
		observe_recvfrom("server", server, 64, 0);
	}
	for (int i = 2; i >= 0; i--) {
		struct address to = local_of(clients[i]);

		observe_call("reply", send_to(server, i ? "not the first" : "the first", &to));
		wait_for(clients[i], POLLIN);
		observe_recvfrom("client", clients[i], 64, 0);
	}
}

SCENARIO_V4_V6(udp, connected)
{
	int a = udp_socket(family), b = udp_bound(family);
	struct address at = local_of(b), from;
	char buffer[16];

	observe_call("connect", connect_fd(a, &at));
	observe_peer("a", a);
	observe_local("a", a);
	observe_call("send", send(a, "one", 3, 0));
	observe_call("write", write(a, "two", 3));
	observe_call("sendto NULL", sendto(a, "three", 5, 0, NULL, 0));
	wait_for(b, POLLIN);
	observe_recvfrom("b", b, 64, 0);
	wait_for(b, POLLIN);
	observe_bytes("b read", buffer, read(b, buffer, sizeof buffer));
	wait_for(b, POLLIN);
	observe_recv("b", b, 64, 0);
	from = local_of(a);
	must("sendto", send_to(b, "back", &from));
	wait_for(a, POLLIN);
	observe_recvfrom("a", a, 64, 0);
}

SCENARIO_V4_V6(udp, connected_sendto_other)
{
	struct pair pair = udp_pair(family);
	int other = udp_bound(family);
	struct address at = local_of(other);

	/* An address overrides the connection for one datagram. */
	observe_call("sendto", send_to(pair.client, "aside", &at));
	wait_for(other, POLLIN);
	observe_recv("other", other, 64, 0);
	observe_call("send", send(pair.client, "to the peer", 11, 0));
	wait_for(pair.server, POLLIN);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO_V4_V6(udp, connected_filters)
{
	struct pair pair = udp_pair(family);
	int stranger = udp_bound(family);
	struct address at = local_of(pair.server);

	must("sendto", send_to(stranger, "from a stranger", &at));
	observe_quiet("server", pair.server, POLLIN);
	send_text(pair.client, "from the peer");
	wait_for(pair.server, POLLIN);
	observe_recv("server", pair.server, 64, 0);
	observe_recv("server", pair.server, 64, MSG_DONTWAIT);
}

SCENARIO_V4_V6(udp, reconnect)
{
	int a = udp_socket(family), b = udp_bound(family), c = udp_bound(family);
	struct address to_b = local_of(b), to_c = local_of(c);
	struct sockaddr unspec = {.sa_family = AF_UNSPEC};

	observe_call("connect b", connect_fd(a, &to_b));
	observe_peer("a", a);
	send_text(a, "for b");
	observe_call("connect c", connect_fd(a, &to_c));
	observe_peer("a", a);
	send_text(a, "for c");
	observe_call("disconnect", connect(a, &unspec, sizeof unspec));
	observe_peer("a", a);
	observe_local("a", a);
	observe_call("send", send(a, "nobody", 6, 0));
	observe_call("disconnect again", connect(a, &unspec, sizeof unspec));
	observe_call("connect b again", connect_fd(a, &to_b));
	send_text(a, "for b again");
	wait_for(b, POLLIN);
	observe_recv("b", b, 64, 0);
	wait_for(b, POLLIN);
	observe_recv("b", b, 64, 0);
	wait_for(c, POLLIN);
	observe_recv("c", c, 64, 0);
}

SCENARIO_V4_V6(udp, disconnect_of_bound)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	struct sockaddr unspec = {.sa_family = AF_UNSPEC};

	observe_local("bound", a);
	must("connect", connect_fd(a, &to));
	/* The address stays, the port does not: it was the kernel's choice. */
	observe_call("disconnect", connect(a, &unspec, sizeof unspec));
	observe_local("after", a);
	observe_peer("after", a);
}

SCENARIO_V4_V6(udp, queued_before_connect)
{
	int a = udp_bound(family), b = udp_bound(family), c = udp_bound(family);
	struct address to_a = local_of(a), to_c = local_of(c);

	must("sendto", send_to(b, "was here first", &to_a));
	wait_for(a, POLLIN);
	must("connect", connect_fd(a, &to_c));
	observe_recvfrom("a", a, 64, MSG_DONTWAIT);
}

SCENARIO_V4_V6(udp, truncation)
{
	struct pair pair = udp_pair(family);
	char buffer[4];

	for (int i = 0; i < 4; i++)
		send_text(pair.client, "longer than that");
	wait_for(pair.server, POLLIN);
	observe_recv("recv", pair.server, 6, 0);
	wait_for(pair.server, POLLIN);
	observe_recv("recv MSG_TRUNC", pair.server, 6, MSG_TRUNC);
	wait_for(pair.server, POLLIN);
	observe_bytes("read", buffer, read(pair.server, buffer, sizeof buffer));
	wait_for(pair.server, POLLIN);
	observe_recvfrom("recvfrom MSG_TRUNC", pair.server, 3, MSG_TRUNC);
	observe_recv("recv", pair.server, 6, MSG_DONTWAIT);
}

SCENARIO_V4_V6(udp, zero_length)
{
	struct pair pair = udp_pair(family);
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	char buffer[4];

	observe_call("sendto", send_to(a, "", &to));
	observe_poll("b", b, all_events, POLLIN);
	observe_recvfrom("b", b, 64, 0);
	observe_call("send", send(pair.client, "", 0, 0));
	observe_poll("server", pair.server, all_events, POLLIN);
	observe_recv("server", pair.server, 64, 0);
	observe_call("send", send(pair.client, "", 0, 0));
	observe_poll("server", pair.server, all_events, POLLIN);
	observe_call("read", read(pair.server, buffer, sizeof buffer));
	observe_call("write", write(pair.client, "", 0));
	observe_poll("server", pair.server, all_events, POLLIN);
	observe_recv("server", pair.server, 64, MSG_DONTWAIT);
	observe_recv("server", pair.server, 64, MSG_DONTWAIT);
}

SCENARIO_V4_V6(udp, peek)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);

	must("sendto", send_to(a, "first", &to));
	must("sendto", send_to(a, "second", &to));
	wait_for(b, POLLIN);
	observe_recvfrom("peek", b, 64, MSG_PEEK);
	observe_recv("peek", b, 2, MSG_PEEK | MSG_TRUNC);
	observe_recvfrom("recv", b, 64, 0);
	wait_for(b, POLLIN);
	observe_recv("recv", b, 64, 0);
	observe_recv("peek", b, 64, MSG_PEEK | MSG_DONTWAIT);
}

SCENARIO_V4_V6(udp, largest)
{
	struct pair pair = udp_pair(family);
	struct address to = local_of(pair.server);
	size_t largest = family == AF_INET ? 65507 : 65527;
	static char data[70000];
	int a = udp_bound(family);

	fill_pattern(data, sizeof data, 7);
	set_option(pair.server, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	observe_call("send one too many", send(pair.client, data, largest + 1, 0));
	observe_call("send 70000", send(pair.client, data, sizeof data, 0));
	observe_call("sendto one too many", sendto(a, data, largest + 1, 0, SA(&to), to.length));
	observe_call("send largest", send(pair.client, data, largest, 0));
	observe_poll("server", pair.server, POLLIN, POLLIN);
	observe_recv("server", pair.server, 65536, 0);
	observe_so_error("client", pair.client);
}

SCENARIO(udp, fionread)
{
	struct pair pair = udp_pair(AF_INET);
	int queued = -1;

	observe_call("FIONREAD", ioctl(pair.server, FIONREAD, &queued));
	OBSERVE("queued %d", queued);
	send_text(pair.client, "twelve bytes");
	send_text(pair.client, "and more");
	wait_for(pair.server, POLLIN);
	pause_ms(20);
	/* The first datagram's length, not the sum. */
	observe_call("FIONREAD", ioctl(pair.server, FIONREAD, &queued));
	OBSERVE("queued %d", queued);
	observe_recv("recv", pair.server, 64, 0);
	wait_for(pair.server, POLLIN);
	observe_call("FIONREAD", ioctl(pair.server, FIONREAD, &queued));
	OBSERVE("queued %d", queued);
}

SCENARIO_V4_V6(udp, send_errors)
{
	int fd = udp_socket(family);
	struct address at = local_of(udp_bound(family)), zero = loopback(family, 0);
	struct address other = loopback(family == AF_INET ? AF_INET6 : AF_INET, 9);

	observe_call("send unconnected", send(fd, "x", 1, 0));
	observe_call("write unconnected", write(fd, "x", 1));
	observe_call("port 0", send_to(fd, "x", &zero));
	observe_call("short", sendto(fd, "x", 1, 0, SA(&at), 3));
	observe_call("negative", sendto(fd, "x", 1, 0, SA(&at), (socklen_t)-1));
	observe_call("other family", send_to(fd, "x", &other));
	observe_call("MSG_OOB", sendto(fd, "x", 1, MSG_OOB, SA(&at), at.length));
	SA(&at)->sa_family = 99;
	observe_call("family 99", send_to(fd, "x", &at));
	observe_call("connect port 0", connect_fd(fd, &zero));
}

SCENARIO(udp, broadcast)
{
	int fd = udp_bound(AF_INET);
	struct address at = literal("127.255.255.255", 9);

	observe_call("sendto", send_to(fd, "x", &at));
	observe_call("connect", connect_fd(fd, &at));
	observe_set_option("SO_BROADCAST", fd, SOL_SOCKET, SO_BROADCAST, 1);
	observe_call("sendto", send_to(fd, "x", &at));
}

SCENARIO_V4_V6(udp, shutdown)
{
	int fresh = udp_bound(family);
	struct pair pair = udp_pair(family);

	observe_call("unconnected", shutdown(fresh, SHUT_RD));
	observe_call("read", shutdown(pair.server, SHUT_RD));
	observe_poll("server", pair.server, all_events, POLLIN | POLLRDHUP);
	observe_recv("server", pair.server, 64, 0);
	observe_call("write", shutdown(pair.client, SHUT_WR));
	observe_call("send", send(pair.client, "x", 1, MSG_NOSIGNAL));
	observe_poll("client", pair.client, all_events, POLLOUT);
	observe_call("both", shutdown(pair.client, SHUT_RDWR));
	observe_poll("client", pair.client, all_events, POLLHUP);
}

SCENARIO_V4_V6(udp, receive_timeout)
{
	int fd = udp_bound(family);

	set_receive_timeout(fd, 150);
	observe_recv("recv", fd, 64, 0);
	observe_recvfrom("recvfrom", fd, 64, 0);
}

SCENARIO(udp, nonblocking)
{
	int fd = udp_bound(AF_INET);
	char buffer[8];

	set_nonblocking(fd, true);
	observe_recv("recv", fd, 64, 0);
	observe_recvfrom("recvfrom", fd, 64, 0);
	observe_call("read", read(fd, buffer, sizeof buffer));
}

SCENARIO_V4_V6(udp, many_in_order)
{
	struct pair pair = udp_pair(family);
	int wrong = 0, got = 0;

	set_option(pair.server, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	for (unsigned i = 0; i < 500; i++) {
		unsigned value = 0;

		must("send", send(pair.client, &i, sizeof i, 0));
		if (i % 10 != 9)
			continue;
		for (unsigned j = i - 9; j <= i; j++) {
			if (!wait_for(pair.server, POLLIN))
				break;
			got++;
			wrong += recv(pair.server, &value, sizeof value, 0) != sizeof value || value != j;
		}
	}
	OBSERVE("got %d, wrong %d", got, wrong);
}

SCENARIO_V4_V6(udp, close_is_not_seen)
{
	struct pair pair = udp_pair(family);

	close(pair.client);
	observe_quiet("server", pair.server, POLLIN | POLLRDHUP);
	observe_peer("server", pair.server);
}

SCENARIO_V4_V6(udp, receiver_buffer_full)
{
	struct pair pair = udp_pair(family);
	static char data[1000];
	int failed = 0;

	/* Nobody reads: datagrams are lost, and the sender is never told. */
	set_option(pair.server, SOL_SOCKET, SO_RCVBUF, 4096);
	for (int i = 0; i < 3000; i++)
		failed += send(pair.client, data, sizeof data, 0) != sizeof data;
	OBSERVE("failed %d", failed);
	observe_poll("client", pair.client, POLLOUT, POLLOUT);
	observe_recv("server", pair.server, 2000, 0);
}

/* --- Errors that come back from the network ------------------------------------------------------- */

static int
refused(int family)
{
	int fd = udp_socket(family);
	struct address at = local_of(udp_refusing(family));

	must("connect", connect_fd(fd, &at));
	observe_call("send", send(fd, "x", 1, 0));
	observe_poll("refused", fd, POLLIN | POLLOUT, POLLERR);
	return fd;
}

SCENARIO_V4_V6(udp_error, so_error)
{
	int fd = refused(family);

	observe_so_error("first", fd);
	observe_so_error("second", fd);
	observe_poll("after", fd, POLLIN | POLLOUT, POLLOUT);
	observe_recv("recv", fd, 10, MSG_DONTWAIT);
}

SCENARIO_V4_V6(udp_error, recvfrom)
{
	int fd = refused(family);

	observe_recvfrom("recvfrom", fd, 10, 0);
	observe_recvfrom("recvfrom", fd, 10, MSG_DONTWAIT);
}

SCENARIO_V4_V6(udp_error, sendto)
{
	int fd = refused(family), b = udp_bound(family);
	struct address at = local_of(b);

	observe_call("sendto", send_to(fd, "x", &at));
	observe_call("sendto", send_to(fd, "y", &at));
	wait_for(b, POLLIN);
	observe_recv("b", b, 10, 0);
}

SCENARIO_V4_V6(udp_error, plain_recv)
{
	int fd = refused(family);

	observe_recv("recv", fd, 10, MSG_DONTWAIT);
	observe_recv("recv", fd, 10, MSG_DONTWAIT);
}

SCENARIO_V4_V6(udp_error, plain_send)
{
	int fd = refused(family);

	observe_call("send", send(fd, "x", 1, 0));
	observe_recv("recv", fd, 10, MSG_DONTWAIT);
}

SCENARIO_V4_V6(udp_error, unconnected_is_not_told)
{
	int fd = udp_bound(family);
	struct address at = local_of(udp_refusing(family));

	observe_call("sendto", send_to(fd, "x", &at));
	observe_quiet("after", fd, POLLIN);
	observe_so_error("after", fd);
	observe_call("sendto", send_to(fd, "x", &at));
}

SCENARIO_V4_V6(udp_error, then_works)
{
	int refusing = udp_refusing(family), fd = udp_socket(family);
	struct address at = local_of(refusing);

	must("connect", connect_fd(fd, &at));
	must("send", send(fd, "x", 1, 0));
	observe_poll("refused", fd, POLLIN | POLLOUT, POLLERR);
	observe_so_error("refused", fd);
	at = local_of(fd);
	must("connect", connect_fd(refusing, &at));
	observe_call("send", send(fd, "now", 3, 0));
	wait_for(refusing, POLLIN);
	observe_recv("peer", refusing, 10, 0);
}
