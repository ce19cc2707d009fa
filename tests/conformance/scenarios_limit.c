/* Limits: queues that are full, ports and descriptors that run out, datagrams as long as can be; and connections to oneself. */
#include "tests/conformance/message.h"

#include <stdio.h>
#include <sys/resource.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

SCENARIO_V4_V6(limit, backlog_full)
{
	struct pair stalled = tcp_stalled(family);
	struct address at = local_of(stalled.server);
	int fd = tcp_socket(family);

	set_nonblocking(fd, true);
	observe_call("connect", connect_fd(fd, &at));
	observe_quiet("stalls", fd, POLLOUT);
	observe_tcp_state("state", fd, TCP_SYN_SENT);
	observe_call("connect again", connect_fd(fd, &at));
	close(accept_from(stalled.server));
}

SCENARIO_V4_V6(limit, backlog_values)
{
	static const int backlogs[] = {-1, 0, 1, 4096, 100000, 2147483647, -2147483647};

	for (size_t i = 0; i < sizeof backlogs / sizeof *backlogs; i++) {
		int listener = tcp_bound(family), fd = tcp_socket(family);
		struct address at = local_of(listener);

		observe_call("listen", listen(listener, backlogs[i]));
		observe_call("connect", connect_fd(fd, &at));
		observe_call("listen again", listen(listener, 5));
		close(accept_from(listener));
		close(listener);
		close(fd);
	}
}

/* Many connections before the first accept: all of them are there, in order. */
SCENARIO(limit, queue_of_sixty_four)
{
	enum { COUNT = 64 };
	int listener = tcp_bound(AF_INET), right = 0;
	struct address at = local_of(listener);

	must("listen", listen(listener, COUNT));
	for (int i = 0; i < COUNT; i++) {
		int fd = tcp_socket(AF_INET);

		must("connect", connect_fd(fd, &at));
		must("send", send(fd, &i, sizeof i, 0));
	}
	for (int i = 0; i < COUNT; i++) {
		int fd = accept_from(listener), number = -1;

		must("recv", recv(fd, &number, sizeof number, MSG_WAITALL));
		right += number == i;
		close(fd);
	}
	OBSERVE("in order %d", right);
	set_nonblocking(listener, true);
	observe_fd("one more", accept(listener, NULL, NULL));
}

SCENARIO_V4_V6(limit, descriptors)
{
	int listener = tcp_listener(family), fd = tcp_socket(family), duplicate = dup(0);
	struct address at = local_of(listener);
	struct rlimit limit = {.rlim_cur = (rlim_t)duplicate + 1, .rlim_max = (rlim_t)duplicate + 1};

	must("connect", connect_fd(fd, &at));
	wait_for(listener, POLLIN);
	must("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
	observe_fd("socket", socket(family, SOCK_STREAM, 0));
	observe_fd("socket", socket(family, SOCK_DGRAM, 0));
	observe_fd("accept", accept(listener, NULL, NULL));
	observe_fd("dup", dup(fd));
	close(duplicate);
	/* The connection was not lost by the failure. */
	observe_fd("accept", accept(listener, NULL, NULL));
	observe_fd("socket", socket(family, SOCK_STREAM, 0));
}

/* A range of three ports; it is counted how many sockets can have one. */
static void
range(int fd, int family, unsigned low, unsigned high)
{
	unsigned value = high << 16 | low;

	(void)family;
	observe_call("IP_LOCAL_PORT_RANGE", setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &value, sizeof value));
}

static void
exhaust(int family, int type)
{
	unsigned low = 40000;

	for (int i = 0; i < 5; i++) {
		int fd = must("socket", socket(family, type, 0));
		struct address at = literal(family == AF_INET ? "127.9.8.7" : "::1", 0);

		range(fd, family, low, low + 2);
		/* Others on this host may hold some of them: not more than three can be had. */
		if (bind(fd, SA(&at), at.length) < 0)
			OBSERVE("%s", i < 3 && errno == EADDRINUSE ? "bound or taken" : error_name(errno));
		else
			OBSERVE("%s", i < 3 && port_of(fd) >= low && port_of(fd) <= low + 2 ? "bound or taken" : "bound");
	}
}

SCENARIO(limit, ports_exhausted_by_streams)
{
	exhaust(AF_INET, SOCK_STREAM);
}

SCENARIO(limit, ports_exhausted_by_datagrams)
{
	exhaust(AF_INET, SOCK_DGRAM);
}

SCENARIO(limit, ports_exhausted_by_connects)
{
	int listener = tcp_listener(AF_INET);
	struct address at = local_of(listener);

	for (int i = 0; i < 4; i++) {
		int fd = tcp_socket(AF_INET);

		/* Two ports for connections to one place. */
		range(fd, AF_INET, 40010, 40011);
		if (connect_fd(fd, &at) < 0)
			OBSERVE("%s", i < 2 && errno == EADDRNOTAVAIL ? "connected or taken" : error_name(errno));
		else
			OBSERVE("%s", i < 2 ? "connected or taken" : "connected");
	}
}

SCENARIO(limit, port_range_values)
{
	int fd = tcp_socket(AF_INET);

	range(fd, AF_INET, 0, 0);
	range(fd, AF_INET, 2000, 1000);
	range(fd, AF_INET, 1000, 0);
	observe_option("range", fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE);
}

SCENARIO_V4_V6(limit, datagram_lengths)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	static const size_t lengths[] = {0, 1, 1472, 8192, 65000, 65507, 65508, 65527, 65528, 65535, 65536, 100000};
	static char big[100000];

	fill_pattern(big, sizeof big, 8);
	set_option(b, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		OBSERVE("%zu", lengths[i]);
		if (observe_call("sendto", sendto(a, big, lengths[i], 0, SA(&to), to.length)) < 0)
			continue;
		wait_for(b, POLLIN);
		observe_recvfrom("recvfrom", b, 65536, MSG_DONTWAIT);
	}
}

/* Of what is longer than the sender's buffer nothing is sent. */
SCENARIO_V4_V6(limit, datagram_longer_than_buffer)
{
	struct pair pair = udp_pair(family);
	struct address to = local_of(pair.server);
	static char big[60000];

	set_option(pair.client, SOL_SOCKET, SO_SNDBUF, 5000);
	observe_call("sendto", sendto(pair.client, big, sizeof big, MSG_DONTWAIT, SA(&to), to.length));
	observe_quiet("nothing", pair.server, POLLIN);
}

SCENARIO_V4_V6(limit, many_empty_datagrams)
{
	struct pair pair = udp_pair(family);
	int count = 0;

	for (int i = 0; i < 50; i++)
		must("send", send(pair.client, "", 0, 0));
	while (count < 50 && wait_for(pair.server, POLLIN) && recv(pair.server, NULL, 0, MSG_DONTWAIT) == 0)
		count++;
	OBSERVE("came %d", count);
	observe_recv("then", pair.server, 10, MSG_DONTWAIT);
}

/* --- With oneself --------------------------------------------------------------------------------- */

SCENARIO_V4_V6(limit, stream_to_itself)
{
	int fd = tcp_bound(family);
	struct address at = local_of(fd);

	observe_call("connect", connect_fd(fd, &at));
	observe_local("local", fd);
	observe_peer("peer", fd);
	observe_tcp_state("state", fd, TCP_ESTABLISHED);
	send_text(fd, "to myself");
	wait_queued(fd, 9);
	observe_recv("recv", fd, 20, MSG_DONTWAIT);
	observe_call("shutdown", shutdown(fd, SHUT_WR));
	observe_recv("end", fd, 20, 0);
	observe_poll("over", fd, POLLIN | POLLOUT | POLLRDHUP, POLLHUP | POLLRDHUP);
}

SCENARIO_V4_V6(limit, datagram_to_itself)
{
	int fd = udp_bound(family);
	struct address at = local_of(fd);

	observe_call("connect", connect_fd(fd, &at));
	send_text(fd, "to myself");
	wait_for(fd, POLLIN);
	observe_recvfrom("recvfrom", fd, 20, MSG_DONTWAIT);
	observe_call("sendto", sendto(fd, "again", 5, 0, SA(&at), at.length));
	wait_for(fd, POLLIN);
	observe_recvfrom("recvfrom", fd, 20, MSG_DONTWAIT);
}

/* Both connect to each other at once: one connection, and nobody listens. */
SCENARIO_V4_V6(limit, simultaneous_open)
{
	int one = tcp_bound(family), other = tcp_bound(family), right = 0;
	struct address at_one = local_of(one), at_other = local_of(other);

	/* On one host the second SYN always meets a socket that has sent its own, or a port that refuses. */
	set_nonblocking(one, true);
	set_nonblocking(other, true);
	right = connect_fd(one, &at_other) < 0 && errno == EINPROGRESS;
	OBSERVE("in progress %d", right);
	wait_for(one, POLLOUT);
	observe_so_error("refused", one);
	observe_call("the other", connect_fd(other, &at_one) < 0 && errno == EINPROGRESS ? 0 : -1);
	wait_for(other, POLLOUT);
	observe_so_error("refused", other);
}

SCENARIO_V4_V6(limit, simultaneous_close)
{
	struct pair pair = tcp_pair(family);

	must("shutdown", shutdown(pair.client, SHUT_WR));
	must("shutdown", shutdown(pair.server, SHUT_WR));
	observe_poll("client", pair.client, POLLIN | POLLOUT | POLLRDHUP, POLLHUP | POLLRDHUP | POLLIN);
	observe_poll("server", pair.server, POLLIN | POLLOUT | POLLRDHUP, POLLHUP | POLLRDHUP | POLLIN);
	observe_recv("client", pair.client, 10, 0);
	observe_recv("server", pair.server, 10, 0);
	observe_call("close", close(pair.client));
	observe_call("close", close(pair.server));
}

SCENARIO_V4_V6(limit, bind_any_port_twice)
{
	int fd = tcp_socket(family), udp = udp_socket(family);
	struct address any = loopback(family, 0);

	observe_call("bind", bind(fd, SA(&any), any.length));
	observe_call("bind again", bind(fd, SA(&any), any.length));
	observe_call("udp bind", bind(udp, SA(&any), any.length));
	observe_call("udp bind again", bind(udp, SA(&any), any.length));
	/* Two sockets never get the same one. */
	for (int i = 0; i < 20; i++) {
		int more = tcp_bound(family);

		if (port_of(more) == port_of(fd))
			OBSERVE("the same port");
	}
}

/* --- Timeouts ------------------------------------------------------------------------------------- */

/* The peer does not read: with TCP_USER_TIMEOUT that ends the connection. */
SCENARIO(limit, user_timeout)
{
	struct pair pair = tcp_pair(AF_INET);
	static char chunk[65536];

	set_option(pair.client, IPPROTO_TCP, TCP_USER_TIMEOUT, 300);
	set_nonblocking(pair.client, true);
	/* Fills whatever there is between the two, until nothing has moved for a while. */
	for (int idle = 0; idle < 3;)
		if (send(pair.client, chunk, sizeof chunk, MSG_NOSIGNAL) < 0) {
			if (errno != EAGAIN)
				break;
			idle++;
			pause_ms(20);
		} else {
			idle = 0;
		}
	observe_poll("timed out", pair.client, POLLIN, POLLERR | POLLHUP);
	observe_so_error("error", pair.client);
	observe_call("send", send(pair.client, "x", 1, MSG_NOSIGNAL));
}

/* Nobody answers a SYN; one second, and one more attempt, is the least that can be had. */
SCENARIO(limit, connect_timeout)
{
	struct pair stalled = tcp_stalled(AF_INET);
	struct address at = local_of(stalled.server);
	int fd = tcp_socket(AF_INET);

	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 500);
	observe_call("connect", connect_fd(fd, &at));
	observe_so_error("error", fd);
	observe_poll("poll", fd, POLLIN | POLLOUT, POLLHUP);
}
