/* Readiness: poll, select, epoll; registered early or late, level and edge. */
#include "tests/conformance/scenario.h"

#include <sys/select.h>

static int
epoll_with(int fd, uint32_t events)
{
	int epoll = must("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event event = {.events = events, .data.fd = fd};

	must("EPOLL_CTL_ADD", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	return epoll;
}

static void
rearm(int epoll, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	observe_call("EPOLL_CTL_MOD", epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
}

SCENARIO_V4_V6(poll, all_bits)
{
	struct pair pair = tcp_pair(family);
	short bits = POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND;

	observe_poll("idle", pair.server, bits, POLLOUT);
	send_text(pair.client, "x");
	observe_poll("data", pair.server, bits, POLLIN | POLLOUT);
	observe_poll("nothing asked", pair.server, 0, 0);
	close(pair.client);
	observe_poll("data and end", pair.server, bits, POLLIN | POLLOUT | POLLRDHUP);
	observe_poll("nothing asked", pair.server, 0, 0);
	observe_recv("server", pair.server, 10, 0);
	observe_poll("end", pair.server, bits, POLLIN | POLLOUT | POLLRDHUP);
}

SCENARIO(poll, udp_bits)
{
	struct pair pair = udp_pair(AF_INET);
	short bits = POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND;

	observe_poll("idle", pair.server, bits, POLLOUT);
	send_text(pair.client, "x");
	observe_poll("data", pair.server, bits, POLLIN | POLLOUT);
}

SCENARIO(poll, several_fds)
{
	struct pair one = tcp_pair(AF_INET), two = udp_pair(AF_INET);
	int listener = tcp_listener(AF_INET);
	struct pollfd items[] = {{one.server, POLLIN, 0}, {two.server, POLLIN, 0}, {listener, POLLIN, 0}, {-1, POLLIN, 0},
	                         {one.client, POLLOUT, 0}};

	observe_call("poll", poll(items, 5, 0));
	send_text(two.client, "x");
	wait_for(two.server, POLLIN);
	observe_call("poll", poll(items, 5, 0));
	OBSERVE("revents %d %d %d %d %d", items[0].revents, items[1].revents, items[2].revents, items[3].revents,
	        items[4].revents);
}

static void *
send_later(void *argument)
{
	pause_ms(150);
	send_text(*(int *)argument, "later");
	return NULL;
}

SCENARIO(poll, wakes)
{
	struct pair tcp = tcp_pair(AF_INET), udp = udp_pair(AF_INET);
	pthread_t thread = start_thread(send_later, &tcp.client);

	observe_call("poll tcp", poll(&(struct pollfd){tcp.server, POLLIN, 0}, 1, WAIT_MS));
	join_thread(thread);
	thread = start_thread(send_later, &udp.client);
	observe_call("poll udp", poll(&(struct pollfd){udp.server, POLLIN, 0}, 1, WAIT_MS));
	join_thread(thread);
	observe_call("poll timeout", poll(&(struct pollfd){tcp.client, POLLIN, 0}, 1, 50));
}

SCENARIO_V4_V6(poll, select)
{
	struct pair pair = tcp_pair(family);
	struct timeval timeout = {.tv_sec = 3}, none = {0};
	fd_set readable, writable, except;
	int most = pair.server + 1;

	FD_ZERO(&readable);
	FD_SET(pair.server, &readable);
	writable = except = readable;
	observe_call("select", select(most, &readable, &writable, &except, &none));
	OBSERVE("read %d write %d except %d", FD_ISSET(pair.server, &readable), FD_ISSET(pair.server, &writable),
	        FD_ISSET(pair.server, &except));
	send_text(pair.client, "x");
	FD_SET(pair.server, &readable);
	observe_call("select", select(most, &readable, NULL, NULL, &timeout));
	OBSERVE("read %d", FD_ISSET(pair.server, &readable));
	observe_recv("server", pair.server, 10, 0);
	must("send", send(pair.client, "!", 1, MSG_OOB));
	FD_ZERO(&except);
	FD_SET(pair.server, &except);
	observe_call("select", select(most, NULL, NULL, &except, &timeout));
	OBSERVE("except %d", FD_ISSET(pair.server, &except));
}

SCENARIO(poll, select_refused)
{
	int fd = must("socket", socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct address at = local_of(tcp_bound(AF_INET));
	struct timeval timeout = {.tv_sec = 3};
	fd_set readable, writable, except;

	connect_fd(fd, &at);
	wait_for(fd, POLLOUT);
	FD_ZERO(&readable);
	FD_SET(fd, &readable);
	writable = except = readable;
	observe_call("select", select(fd + 1, &readable, &writable, &except, &timeout));
	OBSERVE("read %d write %d except %d", FD_ISSET(fd, &readable), FD_ISSET(fd, &writable), FD_ISSET(fd, &except));
	observe_so_error("refused", fd);
}

SCENARIO_V4_V6(epoll, level)
{
	struct pair pair = tcp_pair(family);
	int epoll = epoll_with(pair.server, EPOLLIN);

	observe_epoll_quiet("idle", epoll);
	send_text(pair.client, "two");
	observe_epoll("data", epoll, EPOLLIN);
	observe_epoll("still", epoll, EPOLLIN);
	observe_recv("part", pair.server, 1, 0);
	observe_epoll("still", epoll, EPOLLIN);
	observe_recv("rest", pair.server, 10, 0);
	observe_epoll_quiet("read", epoll);
	rearm(epoll, pair.server, EPOLLIN | EPOLLOUT);
	observe_epoll("writable", epoll, EPOLLOUT);
}

SCENARIO_V4_V6(epoll, edge)
{
	struct pair pair = tcp_pair(family);
	int epoll = epoll_with(pair.server, EPOLLIN | EPOLLET);

	send_text(pair.client, "one");
	observe_epoll("data", epoll, EPOLLIN);
	observe_epoll_quiet("not again", epoll);
	send_text(pair.client, "two");
	observe_epoll("more data", epoll, EPOLLIN);
	wait_queued(pair.server, 6);
	observe_recv("all", pair.server, 64, 0);
	observe_epoll_quiet("read", epoll);
	send_text(pair.client, "three");
	observe_epoll("more data", epoll, EPOLLIN);
}

SCENARIO(epoll, edge_rearmed)
{
	struct pair pair = tcp_pair(AF_INET);
	int epoll = epoll_with(pair.server, EPOLLIN | EPOLLET);

	send_text(pair.client, "one");
	observe_epoll("data", epoll, EPOLLIN);
	observe_epoll_quiet("not again", epoll);
	rearm(epoll, pair.server, EPOLLIN | EPOLLET);
	observe_epoll("after MOD", epoll, EPOLLIN);
}

SCENARIO(epoll, edge_udp)
{
	struct pair pair = udp_pair(AF_INET);
	int epoll = epoll_with(pair.server, EPOLLIN | EPOLLET);

	send_text(pair.client, "one");
	observe_epoll("data", epoll, EPOLLIN);
	observe_epoll_quiet("not again", epoll);
	send_text(pair.client, "two");
	observe_epoll("more data", epoll, EPOLLIN);
	observe_recv("one", pair.server, 64, 0);
	observe_recv("two", pair.server, 64, 0);
}

SCENARIO_V4_V6(epoll, oneshot)
{
	struct pair pair = tcp_pair(family);
	int epoll = epoll_with(pair.server, EPOLLIN | EPOLLONESHOT);

	send_text(pair.client, "one");
	observe_epoll("data", epoll, EPOLLIN);
	observe_epoll_quiet("disarmed", epoll);
	send_text(pair.client, "two");
	observe_epoll_quiet("disarmed", epoll);
	rearm(epoll, pair.server, EPOLLIN | EPOLLONESHOT);
	observe_epoll("rearmed", epoll, EPOLLIN);
}

SCENARIO_V4_V6(epoll, registered_before_connect)
{
	int listener = tcp_listener(family), fd = must("socket", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct address at = local_of(listener);
	int epoll = epoll_with(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP), server;

	observe_epoll("fresh", epoll, EPOLLOUT | EPOLLHUP);
	observe_call("connect", connect_fd(fd, &at));
	wait_for(fd, POLLOUT);
	observe_epoll("connected", epoll, EPOLLOUT);
	server = accept_from(listener);
	send_text(server, "hello");
	observe_epoll("data", epoll, EPOLLIN | EPOLLOUT);
	close(server);
	observe_epoll("end", epoll, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
}

SCENARIO_V4_V6(epoll, edge_connect)
{
	int listener = tcp_listener(family), fd = must("socket", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct address at = local_of(listener);
	int epoll, server;

	/* As Go's runtime does: registered once, edge triggered, before the connection is there. */
	observe_call("connect", connect_fd(fd, &at));
	epoll = epoll_with(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	observe_epoll("connected", epoll, EPOLLOUT);
	observe_so_error("connected", fd);
	observe_epoll_quiet("not again", epoll);
	server = accept_from(listener);
	send_text(server, "hello");
	observe_epoll("data", epoll, EPOLLIN | EPOLLOUT);
	observe_recv("client", fd, 64, 0);
	close(server);
	observe_epoll("end", epoll, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	observe_recv("client", fd, 64, 0);
}

SCENARIO_V4_V6(epoll, edge_refused)
{
	int fd = must("socket", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	struct address at = local_of(tcp_bound(family));
	int epoll;

	observe_call("connect", connect_fd(fd, &at));
	epoll = epoll_with(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	observe_epoll("refused", epoll, EPOLLERR | EPOLLHUP);
	observe_so_error("refused", fd);
}

SCENARIO(epoll, edge_stalled_connect)
{
	struct pair stalled = tcp_stalled(AF_INET);
	struct address at = local_of(stalled.server);
	int fd = must("socket", socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	int epoll = epoll_with(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);

	observe_epoll("fresh", epoll, EPOLLOUT | EPOLLHUP);
	observe_call("connect", connect_fd(fd, &at));
	observe_epoll_quiet("connecting", epoll);
	must("listen", listen(stalled.server, 64));
	accept_from(stalled.server);
	observe_epoll("connected", epoll, EPOLLOUT);
	observe_so_error("connected", fd);
}

SCENARIO_V4_V6(epoll, listener)
{
	int listener = tcp_socket(family), fd = tcp_socket(family);
	struct address at = loopback(family, 0);
	int epoll = epoll_with(listener, EPOLLIN);

	/* Registered before bind and listen. */
	must("bind", bind(listener, SA(&at), at.length));
	must("listen", listen(listener, 4));
	observe_epoll_quiet("listening", epoll);
	at = local_of(listener);
	must("connect", connect_fd(fd, &at));
	observe_epoll("connection", epoll, EPOLLIN);
	observe_fd("accept", accept(listener, NULL, NULL));
	observe_epoll_quiet("accepted", epoll);
}

SCENARIO(epoll, edge_listener)
{
	int listener = tcp_listener(AF_INET), epoll;
	struct address at = local_of(listener);

	set_nonblocking(listener, true);
	epoll = epoll_with(listener, EPOLLIN | EPOLLET);
	must("connect", connect_fd(tcp_socket(AF_INET), &at));
	observe_epoll("connection", epoll, EPOLLIN);
	observe_epoll_quiet("not again", epoll);
	must("connect", connect_fd(tcp_socket(AF_INET), &at));
	observe_epoll("another", epoll, EPOLLIN);
	observe_fd("accept", accept(listener, NULL, NULL));
	observe_fd("accept", accept(listener, NULL, NULL));
	observe_fd("accept", accept(listener, NULL, NULL));
}

SCENARIO_V4_V6(epoll, rdhup)
{
	struct pair pair = tcp_pair(family);
	int epoll = epoll_with(pair.server, EPOLLRDHUP);

	send_text(pair.client, "x");
	observe_epoll_quiet("data", epoll);
	shutdown(pair.client, SHUT_WR);
	observe_epoll("half closed", epoll, EPOLLRDHUP);
	shutdown(pair.server, SHUT_WR);
	observe_epoll("closed", epoll, EPOLLRDHUP | EPOLLHUP);
}

SCENARIO(epoll, edge_write)
{
	struct pair pair = tcp_pair(AF_INET);
	static char chunk[65536];
	int epoll;

	set_nonblocking(pair.client, true);
	set_nonblocking(pair.server, true);
	do {
		while (send(pair.client, chunk, sizeof chunk, 0) > 0)
			;
	} while (poll(&(struct pollfd){.fd = pair.client, .events = POLLOUT}, 1, 300) == 1);
	epoll = epoll_with(pair.client, EPOLLOUT | EPOLLET);
	observe_epoll_quiet("full", epoll);
	while (poll(&(struct pollfd){.fd = pair.server, .events = POLLIN}, 1, 300) == 1)
		while (recv(pair.server, chunk, sizeof chunk, 0) > 0)
			;
	observe_epoll("drained", epoll, EPOLLOUT);
}

SCENARIO(epoll, close_unregisters)
{
	struct pair pair = tcp_pair(AF_INET);
	int epoll = epoll_with(pair.server, EPOLLIN);
	struct epoll_event event = {.events = EPOLLIN};

	send_text(pair.client, "x");
	observe_epoll("data", epoll, EPOLLIN);
	observe_call("add again", epoll_ctl(epoll, EPOLL_CTL_ADD, pair.server, &event));
	observe_call("del", epoll_ctl(epoll, EPOLL_CTL_DEL, pair.server, NULL));
	observe_call("del again", epoll_ctl(epoll, EPOLL_CTL_DEL, pair.server, NULL));
	observe_call("add", epoll_ctl(epoll, EPOLL_CTL_ADD, pair.server, &event));
	close(pair.server);
	observe_epoll_quiet("closed", epoll);
}

SCENARIO(epoll, reset)
{
	struct pair pair = tcp_pair(AF_INET);
	int epoll = epoll_with(pair.server, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
	struct linger linger = {.l_onoff = 1};

	observe_epoll("idle", epoll, EPOLLOUT);
	must("SO_LINGER", setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	close(pair.client);
	observe_epoll("reset", epoll, EPOLLIN | EPOLLERR | EPOLLHUP);
	observe_recv("server", pair.server, 10, 0);
}

SCENARIO(epoll, nested)
{
	struct pair pair = tcp_pair(AF_INET);
	int inner = epoll_with(pair.server, EPOLLIN), outer = epoll_with(inner, EPOLLIN);

	observe_epoll_quiet("idle", outer);
	send_text(pair.client, "x");
	observe_epoll("data", outer, EPOLLIN);
	observe_recv("server", pair.server, 10, 0);
	observe_epoll_quiet("read", outer);
}

SCENARIO(epoll, udp_refused)
{
	int fd = udp_socket(AF_INET), epoll;
	struct address at = local_of(udp_refusing(AF_INET));

	must("connect", connect_fd(fd, &at));
	epoll = epoll_with(fd, EPOLLIN);
	send_text(fd, "x");
	observe_epoll("refused", epoll, EPOLLERR);
	observe_so_error("refused", fd);
	observe_epoll_quiet("after", epoll);
}

SCENARIO(epoll, sigio)
{
	struct pair pair = tcp_pair(AF_INET);
	struct timespec timeout = {.tv_sec = 3};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	observe_call("F_SETOWN", fcntl(pair.server, F_SETOWN, getpid()));
	OBSERVE("owner %d", fcntl(pair.server, F_GETOWN) == getpid());
	observe_call("F_SETFL", fcntl(pair.server, F_SETFL, O_ASYNC | O_NONBLOCK));
	send_text(pair.client, "x");
	OBSERVE("SIGIO %d", sigtimedwait(&set, NULL, &timeout) == SIGIO);
	observe_recv("server", pair.server, 10, 0);
}
