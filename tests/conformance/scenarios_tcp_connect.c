/* connect() on stream sockets: success, refusal, waiting and interruption. */
#include "tests/conformance/scenario.h"

static const short all_events = POLLIN | POLLOUT | POLLRDHUP;

SCENARIO_V4_V6(tcp_connect, blocking)
{
	int listener = tcp_listener(family), fd = tcp_socket(family), server;
	struct address at = local_of(listener);

	observe_local("listener", listener);
	observe_call("connect", connect_fd(fd, &at));
	observe_peer("client", fd);
	observe_local("client", fd);
	server = accept_from(listener);
	observe_peer("server", server);
	observe_local("server", server);
	observe_poll("client", fd, all_events, POLLOUT);
	observe_poll("server", server, all_events, POLLOUT);
	observe_so_error("client", fd);
}

SCENARIO_V4_V6(tcp_connect, from_bound)
{
	int listener = tcp_listener(family), fd = tcp_bound(family);
	struct address at = local_of(listener);

	observe_local("before", fd);
	observe_call("connect", connect_fd(fd, &at));
	observe_local("after", fd);
	observe_peer("server", accept_from(listener));
}

SCENARIO_V4_V6(tcp_connect, nonblocking)
{
	int listener = tcp_listener(family), fd = must("socket", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct address at = local_of(listener);

	observe_call("connect", connect_fd(fd, &at));
	observe_poll("connected", fd, all_events, POLLOUT);
	observe_so_error("connected", fd);
	observe_call("connect", connect_fd(fd, &at));
	observe_call("connect", connect_fd(fd, &at));
	observe_peer("client", fd);
}

SCENARIO_V4_V6(tcp_connect, refused)
{
	int refusing = tcp_bound(family), fd = tcp_socket(family);
	struct address at = local_of(refusing);

	observe_call("connect", connect_fd(fd, &at));
	observe_so_error("after", fd);
	observe_poll("after", fd, all_events, POLLHUP);
	observe_peer("after", fd);
	observe_call("connect", connect_fd(fd, &at));
	count_signal(SIGPIPE, SA_RESTART);
	observe_call("send", send(fd, "x", 1, 0));
	observe_recv("recv", fd, 10, 0);
}

SCENARIO_V4_V6(tcp_connect, refused_nonblocking)
{
	int refusing = tcp_bound(family), fd = must("socket", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct address at = local_of(refusing);

	observe_call("connect", connect_fd(fd, &at));
	observe_poll("refused", fd, all_events, POLLOUT | POLLERR | POLLHUP);
	observe_so_error("first", fd);
	observe_so_error("second", fd);
	observe_poll("after", fd, all_events, POLLHUP);
	observe_call("connect", connect_fd(fd, &at));
	observe_call("connect", connect_fd(fd, &at));
}

SCENARIO_V4_V6(tcp_connect, refused_then_connect_tells)
{
	int refusing = tcp_bound(family), fd = must("socket", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct address at = local_of(refusing);

	observe_call("connect", connect_fd(fd, &at));
	wait_for(fd, POLLOUT);
	observe_call("connect", connect_fd(fd, &at));
	observe_so_error("after", fd);
}

SCENARIO_V4_V6(tcp_connect, refused_then_io_tells)
{
	int refusing = tcp_bound(family), fd = must("socket", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct address at = local_of(refusing);

	observe_call("connect", connect_fd(fd, &at));
	wait_for(fd, POLLOUT);
	observe_recv("recv", fd, 10, 0);
	observe_recv("recv", fd, 10, 0);
	observe_so_error("after", fd);
}

SCENARIO_V4_V6(tcp_connect, retry_after_refusal)
{
	int refusing = tcp_bound(family), fd = tcp_socket(family), server;
	struct address at = local_of(refusing);

	observe_call("connect", connect_fd(fd, &at));
	must("listen", listen(refusing, 4));
	observe_call("connect again", connect_fd(fd, &at));
	server = accept_from(refusing);
	send_text(fd, "hello");
	observe_recv("server", server, 10, 0);
	observe_so_error("client", fd);
}

SCENARIO_V4_V6(tcp_connect, retry_after_refusal_nonblocking)
{
	int refusing = tcp_bound(family), fd = must("socket", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct address at = local_of(refusing);

	observe_call("connect", connect_fd(fd, &at));
	wait_for(fd, POLLOUT);
	observe_call("connect tells", connect_fd(fd, &at));
	must("listen", listen(refusing, 4));
	observe_call("connect again", connect_fd(fd, &at));
	observe_poll("connected", fd, all_events, POLLOUT);
	observe_so_error("connected", fd);
	observe_peer("client", fd);
	send_text(fd, "hello");
	observe_recv("server", accept_from(refusing), 10, 0);
}

/* The socket is the same one: what was set on it holds, before the failure, after it, and for the connection. */
SCENARIO_V4_V6(tcp_connect, refusal_changes_nothing_else)
{
	int refusing = tcp_bound(family), fd = must("socket", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0)), accepted;
	struct address at = local_of(refusing), own = loopback(family, 0);
	struct timeval timeout = {.tv_sec = 3};

	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	must("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
	must("bind", bind(fd, SA(&own), own.length));
	own = local_of(fd);
	for (int round = 0; round < 2; round++) {
		observe_call("connect", connect_fd(fd, &at));
		wait_for(fd, POLLOUT);
		observe_so_error("refused", fd);
		observe_option("SO_KEEPALIVE", fd, SOL_SOCKET, SO_KEEPALIVE);
		observe_option("TCP_KEEPIDLE", fd, IPPROTO_TCP, TCP_KEEPIDLE);
		observe_set_option("TCP_NODELAY", fd, IPPROTO_TCP, TCP_NODELAY, 1);
		observe_call("connect tells", connect_fd(fd, &at));
	}
	must("listen", listen(refusing, 4));
	observe_call("connect again", connect_fd(fd, &at));
	wait_for(fd, POLLOUT);
	observe_so_error("connected", fd);
	observe_option("SO_KEEPALIVE", fd, SOL_SOCKET, SO_KEEPALIVE);
	observe_option("TCP_KEEPIDLE", fd, IPPROTO_TCP, TCP_KEEPIDLE);
	observe_option("TCP_NODELAY", fd, IPPROTO_TCP, TCP_NODELAY);
	must("SO_RCVTIMEO", getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &(socklen_t){sizeof timeout}));
	OBSERVE("SO_RCVTIMEO %ld", (long)timeout.tv_sec);
	accepted = accept_from(refusing);
	OBSERVE("from where it is bound %d", port_of(fd) == ntohs(((struct sockaddr_in *)&own.storage)->sin_port));
	send_text(fd, "hello");
	observe_recv("server", accepted, 10, 0);
}

SCENARIO_V4_V6(tcp_connect, unspec_while_listening)
{
	int listener = tcp_listener(family), fd = tcp_socket(family);
	struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	struct address at = local_of(listener);

	observe_call("disconnect", connect(listener, &unspec, sizeof unspec));
	observe_option("SO_ACCEPTCONN", listener, SOL_SOCKET, SO_ACCEPTCONN);
	observe_call("connect", connect_fd(fd, &at));
	observe_call("listen", listen(listener, 4));
	observe_call("disconnect fresh", connect(tcp_socket(family), &unspec, sizeof unspec));
}

SCENARIO_V4_V6(tcp_connect, already_connected)
{
	struct pair pair = tcp_pair(family);
	struct address at = local_of(tcp_listener(family)), same = peer_of(pair.client);

	observe_call("same", connect_fd(pair.client, &same));
	observe_call("another", connect_fd(pair.client, &at));
	observe_call("accepted", connect_fd(pair.server, &at));
	send_text(pair.client, "still here");
	observe_recv("server", pair.server, 20, 0);
}

SCENARIO_V4_V6(tcp_connect, unspec_disconnects)
{
	struct pair pair = tcp_pair(family);
	struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	struct address at = local_of(tcp_listener(family));

	observe_call("disconnect", connect(pair.client, &unspec, sizeof unspec));
	observe_peer("after", pair.client);
	observe_poll("server", pair.server, all_events, POLLHUP);
	observe_recv("server", pair.server, 10, 0);
	observe_call("connect", connect_fd(pair.client, &at));
	observe_peer("after", pair.client);
}

SCENARIO_V4_V6(tcp_connect, to_wildcard)
{
	int listener = tcp_listener(family), fd = tcp_socket(family);
	struct address at = wildcard(family, port_of(listener));

	observe_call("connect", connect_fd(fd, &at));
	observe_peer("client", fd);
	observe_local("client", fd);
	observe_peer("server", accept_from(listener));
}

SCENARIO(tcp_connect, to_no_host)
{
	struct address broadcast = literal("255.255.255.255", 80), multicast = literal("224.0.0.1", 80);
	struct address zero = loopback(AF_INET, 0);
	int fd = tcp_socket(AF_INET);

	observe_call("broadcast", connect_fd(fd, &broadcast));
	observe_call("multicast", connect_fd(fd, &multicast));
	observe_call("port 0", connect_fd(fd, &zero));
	observe_so_error("after", fd);
	observe_local("after", fd);
}

SCENARIO_V4_V6(tcp_connect, bad_addresses)
{
	struct address at = local_of(tcp_listener(family)), other = loopback(family == AF_INET ? AF_INET6 : AF_INET, 80);
	int fd = tcp_socket(family);

	observe_call("length 0", connect(fd, SA(&at), 0));
	observe_call("length 1", connect(fd, SA(&at), 1));
	observe_call("short", connect(fd, SA(&at), at.length - 5));
	observe_call("negative", connect(fd, SA(&at), (socklen_t)-1));
	observe_call("too long", connect(fd, SA(&at), sizeof at.storage + 1));
	observe_call("other family", connect_fd(fd, &other));
	other.length = sizeof(struct sockaddr_in6);
	observe_call("other family, long", connect_fd(fd, &other));
	SA(&other)->sa_family = 99;
	observe_call("family 99", connect_fd(fd, &other));
	observe_call("long", connect(fd, SA(&at), sizeof at.storage));
	observe_peer("client", fd);
}

SCENARIO(tcp_connect, to_itself)
{
	int fd = tcp_bound(AF_INET);
	struct address at = local_of(fd);

	/* TCP's simultaneous open, with itself. */
	observe_call("connect", connect_fd(fd, &at));
	observe_peer("itself", fd);
	send_text(fd, "echo");
	wait_queued(fd, 4);
	observe_recv("recv", fd, 10, 0);
}

SCENARIO_V4_V6(tcp_connect, still_connecting)
{
	struct pair stalled = tcp_stalled(family);
	struct address at = local_of(stalled.server);
	int fd = must("socket", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));

	observe_call("connect", connect_fd(fd, &at));
	observe_quiet("connecting", fd, all_events);
	observe_call("connect", connect_fd(fd, &at));
	observe_so_error("connecting", fd);
	observe_peer("connecting", fd);
	observe_call("send", send(fd, "x", 1, MSG_NOSIGNAL));
	observe_recv("recv", fd, 10, 0);
	observe_call("listen", listen(fd, 4));
	observe_tcp_state("connecting", fd, TCP_SYN_SENT);
	observe_call("close", close(fd));
}

SCENARIO(tcp_connect, stalled_then_room)
{
	struct pair stalled = tcp_stalled(AF_INET);
	struct address at = local_of(stalled.server);
	int fd = must("socket", socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	observe_call("connect", connect_fd(fd, &at));
	observe_quiet("connecting", fd, all_events);
	/* Now make room; the next SYN, a second later, gets through. */
	must("listen", listen(stalled.server, 64));
	accept_from(stalled.server);
	observe_poll("connected", fd, all_events, POLLOUT);
	observe_so_error("connected", fd);
	observe_peer("connected", fd);
}

SCENARIO(tcp_connect, shutdown_while_connecting)
{
	struct pair stalled = tcp_stalled(AF_INET);
	struct address at = local_of(stalled.server);
	int fd = must("socket", socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	observe_call("connect", connect_fd(fd, &at));
	observe_call("shutdown", shutdown(fd, SHUT_RDWR));
	observe_poll("after", fd, all_events, POLLHUP);
	observe_recv("recv", fd, 10, 0);
	observe_call("send", send(fd, "x", 1, MSG_NOSIGNAL));
	observe_so_error("after", fd);
}

SCENARIO(tcp_connect, send_timeout)
{
	struct pair stalled = tcp_stalled(AF_INET);
	struct address at = local_of(stalled.server);
	struct timeval timeout = {.tv_usec = 200000};
	int fd = tcp_socket(AF_INET);

	must("SO_SNDTIMEO", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout));
	observe_call("connect", connect_fd(fd, &at));
	observe_call("connect", connect_fd(fd, &at));
	observe_peer("after", fd);
}

SCENARIO(tcp_connect, interrupted)
{
	struct pair stalled = tcp_stalled(AF_INET);
	struct address at = local_of(stalled.server);
	int fd = tcp_socket(AF_INET);
	long rc;

	count_signal(SIGUSR1, 0);
	nudge_start();
	rc = connect_fd(fd, &at);
	nudge_stop();
	observe_call("connect", rc);
	/* The attempt goes on by itself. */
	set_nonblocking(fd, true);
	observe_call("connect", connect_fd(fd, &at));
	observe_quiet("connecting", fd, all_events);
	must("listen", listen(stalled.server, 64));
	accept_from(stalled.server);
	observe_poll("connected", fd, all_events, POLLOUT);
	observe_so_error("connected", fd);
	observe_call("connect", connect_fd(fd, &at));
}

struct room_later {
	int listener;
};

static void *
make_room(void *argument)
{
	struct room_later *later = argument;

	pause_ms(300);
	must("listen", listen(later->listener, 64));
	return NULL;
}

SCENARIO(tcp_connect, interrupted_but_restarted)
{
	struct pair stalled = tcp_stalled(AF_INET);
	struct address at = local_of(stalled.server);
	struct room_later later = {.listener = stalled.server};
	int fd = tcp_socket(AF_INET);
	pthread_t thread;
	long rc;

	count_signal(SIGUSR1, SA_RESTART);
	thread = start_thread(make_room, &later);
	nudge_start();
	rc = connect_fd(fd, &at);
	nudge_stop();
	observe_call("connect", rc);
	join_thread(thread);
	OBSERVE("signals came %d", signals_counted() > 0);
	observe_peer("client", fd);
}

SCENARIO_V4_V6(tcp_connect, fastopen_connect)
{
	int listener = tcp_listener(family), fd = tcp_socket(family);
	struct address at = local_of(listener);

	/* Without a cookie this is a common connect, and the data comes after it. */
	observe_call("sendto MSG_FASTOPEN", sendto(fd, "early", 5, MSG_FASTOPEN, SA(&at), at.length));
	observe_peer("client", fd);
	observe_recv("server", accept_from(listener), 10, 0);
}

SCENARIO(tcp_connect, many_at_once)
{
	enum { COUNT = 40 };
	int listener = tcp_listener(AF_INET), fds[COUNT], connected = 0, total = 0;
	struct address at = local_of(listener);

	must("listen", listen(listener, COUNT));
	for (int i = 0; i < COUNT; i++) {
		fds[i] = must("socket", socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		connect_fd(fds[i], &at);
	}
	for (int i = 0; i < COUNT; i++) {
		unsigned char byte = (unsigned char)i;

		if (wait_for(fds[i], POLLOUT) && send(fds[i], &byte, 1, MSG_NOSIGNAL) == 1)
			connected++;
	}
	for (int i = 0; i < COUNT; i++) {
		unsigned char byte;
		int fd = accept_from(listener);

		if (recv(fd, &byte, 1, 0) == 1)
			total += byte;
	}
	OBSERVE("connected %d, sum of the bytes %d", connected, total);
}

SCENARIO(tcp_connect, many_in_turn)
{
	int listener = tcp_listener(AF_INET), good = 0;
	struct address at = local_of(listener);

	for (int i = 0; i < 200; i++) {
		int fd = tcp_socket(AF_INET), server;
		char byte = 0;

		if (connect_fd(fd, &at) < 0)
			break;
		server = accept_from(listener);
		send_text(fd, "x");
		if (recv(server, &byte, 1, 0) == 1 && byte == 'x')
			good++;
		close(fd);
		close(server);
	}
	OBSERVE("good %d", good);
}
