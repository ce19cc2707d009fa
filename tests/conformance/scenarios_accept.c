/* accept() and accept4(). */
#include "tests/conformance/scenario.h"

static int
connected_to(int listener, int family)
{
	struct address at = local_of(listener);
	int fd = tcp_socket(family);

	must("connect", connect_fd(fd, &at));
	wait_for(listener, POLLIN);
	return fd;
}

SCENARIO_V4_V6(accept, with_address)
{
	int listener = tcp_listener(family), fd = connected_to(listener, family), server;
	struct address from = {.length = sizeof from.storage};

	observe_local("client", fd);
	server = observe_fd("accept", accept(listener, SA(&from), &from.length));
	observe_address("from", &from.storage, from.length);
	observe_local("server", server);
	observe_peer("server", server);
	observe_fd_flags("server", server);
}

SCENARIO_V4_V6(accept, without_address)
{
	int listener = tcp_listener(family);
	socklen_t length = 100;

	connected_to(listener, family);
	observe_fd("accept", accept(listener, NULL, NULL));
	connected_to(listener, family);
	observe_fd("accept", accept(listener, NULL, &length));
	OBSERVE("length %u", length);
}

SCENARIO_V4_V6(accept, short_address)
{
	int listener = tcp_listener(family);
	struct address from = {.length = 6};

	memset(&from.storage, 0x55, sizeof from.storage);
	connected_to(listener, family);
	observe_fd("accept", accept(listener, SA(&from), &from.length));
	OBSERVE("family %d length %u byte 6 %#x", SA(&from)->sa_family, from.length, ((unsigned char *)&from)[6]);
	from.length = 0;
	memset(&from.storage, 0x55, sizeof from.storage);
	connected_to(listener, family);
	observe_fd("accept", accept(listener, SA(&from), &from.length));
	OBSERVE("length %u byte 0 %#x", from.length, ((unsigned char *)&from)[0]);
}

SCENARIO(accept, bad_address)
{
	int listener = tcp_listener(AF_INET), fd = connected_to(listener, AF_INET);
	struct address from = {.length = (socklen_t)-1};

	observe_fd("negative length", accept(listener, SA(&from), &from.length));
	/* The connection was taken all the same, and is gone. */
	observe_poll("client", fd, POLLIN | POLLRDHUP, POLLIN | POLLRDHUP);
	observe_recv("client", fd, 10, 0);
	set_nonblocking(listener, true);
	observe_fd("accept", accept(listener, NULL, NULL));
}

SCENARIO_V4_V6(accept, flags)
{
	int listener = tcp_listener(family);

	connected_to(listener, family);
	observe_fd_flags("none", accept4(listener, NULL, NULL, 0));
	connected_to(listener, family);
	observe_fd_flags("cloexec", accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	connected_to(listener, family);
	observe_fd_flags("nonblock", accept4(listener, NULL, NULL, SOCK_NONBLOCK));
	connected_to(listener, family);
	observe_fd_flags("both", accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
	connected_to(listener, family);
	observe_fd("unknown", accept4(listener, NULL, NULL, 1));
	/* O_NONBLOCK is not inherited. */
	set_nonblocking(listener, true);
	observe_fd_flags("from nonblocking", accept(listener, NULL, NULL));
}

SCENARIO_V4_V6(accept, nothing_there)
{
	int listener = tcp_listener(family);

	set_nonblocking(listener, true);
	observe_fd("accept", accept(listener, NULL, NULL));
	observe_quiet("listener", listener, POLLIN);
	connected_to(listener, family);
	observe_poll("listener", listener, POLLIN | POLLOUT, POLLIN);
	observe_fd("accept", accept(listener, NULL, NULL));
	observe_quiet("listener", listener, POLLIN);
	observe_fd("accept", accept(listener, NULL, NULL));
}

SCENARIO_V4_V6(accept, not_a_listener)
{
	struct pair pair = tcp_pair(family);

	observe_fd("fresh", accept(tcp_socket(family), NULL, NULL));
	observe_fd("bound", accept(tcp_bound(family), NULL, NULL));
	observe_fd("connected", accept(pair.client, NULL, NULL));
	observe_fd("accepted", accept(pair.server, NULL, NULL));
	observe_fd("udp", accept(udp_bound(family), NULL, NULL));
	observe_fd("udp connected", accept(udp_pair(family).client, NULL, NULL));
}

SCENARIO(accept, receive_timeout)
{
	int listener = tcp_listener(AF_INET);

	set_receive_timeout(listener, 200);
	observe_fd("accept", accept(listener, NULL, NULL));
	connected_to(listener, AF_INET);
	observe_fd("accept", accept(listener, NULL, NULL));
}

static void *
connect_later(void *argument)
{
	struct address at = local_of(*(int *)argument);
	int fd;

	pause_ms(200);
	fd = tcp_socket(AF_INET);
	must("connect", connect_fd(fd, &at));
	return NULL;
}

SCENARIO(accept, blocks_until_connected)
{
	int listener = tcp_listener(AF_INET);
	pthread_t thread = start_thread(connect_later, &listener);

	observe_fd("accept", accept(listener, NULL, NULL));
	join_thread(thread);
}

SCENARIO(accept, interrupted)
{
	int listener = tcp_listener(AF_INET), fd;

	count_signal(SIGUSR1, 0);
	nudge_start();
	fd = accept(listener, NULL, NULL);
	nudge_stop();
	observe_fd("accept", fd);
	/* Nothing is lost by it. */
	connected_to(listener, AF_INET);
	observe_fd("accept", accept(listener, NULL, NULL));
}

SCENARIO(accept, interrupted_but_restarted)
{
	int listener = tcp_listener(AF_INET), fd;
	pthread_t thread;

	count_signal(SIGUSR1, SA_RESTART);
	thread = start_thread(connect_later, &listener);
	nudge_start();
	fd = accept(listener, NULL, NULL);
	nudge_stop();
	observe_fd("accept", fd);
	join_thread(thread);
}

SCENARIO(accept, interrupted_with_timeout)
{
	int listener = tcp_listener(AF_INET), fd;

	/* signal(7): with SO_RCVTIMEO set, SA_RESTART does not restart it. */
	set_receive_timeout(listener, 5000);
	count_signal(SIGUSR1, SA_RESTART);
	nudge_start();
	fd = accept(listener, NULL, NULL);
	nudge_stop();
	observe_fd("accept", fd);
}

SCENARIO(accept, nothing_lost_under_signals)
{
	enum { COUNT = 30 };
	int listener = tcp_listener(AF_INET), fds[COUNT], sum = 0, interrupted = 0;
	struct address at = local_of(listener);

	must("listen", listen(listener, COUNT));
	count_signal(SIGUSR1, 0);
	nudge_start();
	for (int i = 0; i < COUNT; i++) {
		unsigned char byte = (unsigned char)i;

		/* Through splitsock a signal may end any call, see KNOWN_DIFFERENCES.md; this is about what must not be lost. */
		while ((fds[i] = socket(AF_INET, SOCK_STREAM, 0)) < 0 && errno == EINTR)
			;
		while (connect_fd(must("socket", fds[i]), &at) < 0 && errno != EISCONN && interrupted++ < 1000)
			;
		must("send", send(fds[i], &byte, 1, 0));
		pause_ms(10);
	}
	for (int i = 0; i < COUNT; i++) {
		unsigned char byte;
		int fd;

		do
			fd = accept(listener, NULL, NULL);
		while (fd < 0 && errno == EINTR);
		while (recv(must("accept", fd), &byte, 1, 0) < 0 && errno == EINTR)
			;
		sum += byte;
	}
	nudge_stop();
	OBSERVE("sum of the bytes %d", sum);
}

SCENARIO(accept, data_before_accept)
{
	int listener = tcp_listener(AF_INET), fd = connected_to(listener, AF_INET), server;

	send_text(fd, "early");
	shutdown(fd, SHUT_WR);
	server = accept_from(listener);
	wait_queued(server, 5);
	observe_recv("server", server, 64, 0);
	observe_recv("server", server, 64, 0);
}

SCENARIO(accept, closed_before_accept)
{
	int listener = tcp_listener(AF_INET), fd = connected_to(listener, AF_INET), server;

	observe_local("client", fd);
	send_text(fd, "gone");
	close(fd);
	pause_ms(50);
	server = observe_fd("accept", accept(listener, NULL, NULL));
	observe_peer("server", server);
	wait_queued(server, 4);
	observe_recv("server", server, 64, 0);
	observe_recv("server", server, 64, 0);
}

SCENARIO(accept, reset_before_accept)
{
	int listener = tcp_listener(AF_INET), fd = connected_to(listener, AF_INET), server;
	struct linger linger = {.l_onoff = 1};

	must("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	close(fd);
	pause_ms(50);
	server = observe_fd("accept", accept(listener, NULL, NULL));
	observe_poll("server", server, POLLIN | POLLOUT, POLLERR | POLLHUP);
	observe_recv("server", server, 64, 0);
	observe_peer("server", server);
}

SCENARIO(accept, several)
{
	enum { COUNT = 5 };
	int listener = tcp_listener(AF_INET), sum = 0;

	for (int i = 0; i < COUNT; i++) {
		unsigned char byte = (unsigned char)(1 << i);

		must("send", send(connected_to(listener, AF_INET), &byte, 1, 0));
	}
	for (int i = 0; i < COUNT; i++) {
		unsigned char byte = 0;

		must("recv", recv(accept_from(listener), &byte, 1, 0));
		sum += byte;
	}
	set_nonblocking(listener, true);
	observe_fd("one more", accept(listener, NULL, NULL));
	OBSERVE("each once %#x", (unsigned)sum);
}

SCENARIO_V4_V6(accept, inherited_options)
{
	int listener = tcp_listener(family), server;
	struct linger linger = {.l_onoff = 1, .l_linger = 7};
	socklen_t length = sizeof linger;

	set_option(listener, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(listener, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(listener, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(listener, SOL_SOCKET, SO_OOBINLINE, 1);
	must("SO_LINGER", setsockopt(listener, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	connected_to(listener, family);
	server = accept_from(listener);
	observe_option("TCP_NODELAY", server, IPPROTO_TCP, TCP_NODELAY);
	observe_option("SO_KEEPALIVE", server, SOL_SOCKET, SO_KEEPALIVE);
	observe_option("TCP_KEEPIDLE", server, IPPROTO_TCP, TCP_KEEPIDLE);
	observe_option("SO_REUSEADDR", server, SOL_SOCKET, SO_REUSEADDR);
	observe_option("SO_OOBINLINE", server, SOL_SOCKET, SO_OOBINLINE);
	observe_option("SO_ACCEPTCONN", server, SOL_SOCKET, SO_ACCEPTCONN);
	memset(&linger, 0, sizeof linger);
	observe_call("SO_LINGER", getsockopt(server, SOL_SOCKET, SO_LINGER, &linger, &length));
	OBSERVE("linger %d %d", linger.l_onoff, linger.l_linger);
}

SCENARIO(accept, wildcard_listener_names)
{
	int listener = tcp_socket(AF_INET), fd = tcp_socket(AF_INET), server;
	struct address at = wildcard(AF_INET, 0);

	must("bind", bind(listener, SA(&at), at.length));
	must("listen", listen(listener, 4));
	observe_local("listener", listener);
	at = literal("127.0.0.5", port_of(listener));
	must("connect", connect_fd(fd, &at));
	server = accept_from(listener);
	observe_local("server", server);
	observe_peer("client", fd);
}

SCENARIO(accept, in_forked_workers)
{
	int listener = tcp_listener(AF_INET), answers = 0;
	struct address at = local_of(listener);
	pid_t children[3];

	for (int i = 0; i < 3; i++) {
		children[i] = must("fork", fork());
		if (children[i] == 0) {
			alarm(SCENARIO_SECONDS);
			send_text(must("accept", accept(listener, NULL, NULL)), "served");
			_exit(0);
		}
	}
	for (int i = 0; i < 3; i++) {
		char text[8] = "";
		int fd = tcp_socket(AF_INET);

		must("connect", connect_fd(fd, &at));
		answers += read_all(fd, text, 6) == 6 && strcmp(text, "served") == 0;
	}
	for (int i = 0; i < 3; i++)
		observe_child("worker", children[i]);
	OBSERVE("answers %d", answers);
}
