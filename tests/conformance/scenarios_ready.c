/*
 * What poll, select and epoll say across each change of a socket: registered before it and after it, level- and edge-triggered,
 * once, exclusively. Bits that some systems add to OUT and HUP together are printed like all others.
 */
#include "tests/conformance/state.h"

#include <sys/select.h>

enum { ALL = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP };

static int
watch(int fd, uint32_t events)
{
	int epoll = must("epoll_create1", epoll_create1(0));
	struct epoll_event event = {.events = events};

	must("EPOLL_CTL_ADD", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	return epoll;
}

static void
observe_select(const char *what, int fd)
{
	struct timeval none = {0};
	fd_set sets[3];
	int n;

	for (int i = 0; i < 3; i++) {
		FD_ZERO(&sets[i]);
		FD_SET(fd, &sets[i]);
	}
	n = select(fd + 1, &sets[0], &sets[1], &sets[2], &none);
	OBSERVE("%s: select %d read %d write %d except %d", what, n, FD_ISSET(fd, &sets[0]), FD_ISSET(fd, &sets[1]),
	        FD_ISSET(fd, &sets[2]));
}

/* Everybody's view of a change that has the poll bits `want` at its end. */
struct views {
	int fd, level, edge, once;
};

static struct views
views_of(int fd)
{
	return (struct views){fd, watch(fd, ALL), watch(fd, ALL | EPOLLET), watch(fd, ALL | EPOLLONESHOT)};
}

static void
observe_views_after(const char *what, const struct views *views, short want, short edge)
{
	OBSERVE("%s", what);
	observe_poll("now", views->fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, want);
	observe_select("now", views->fd);
	observe_epoll("level", views->level, (uint16_t)want);
	observe_epoll("edge", views->edge, (uint16_t)edge);
	observe_epoll("edge, registered now", watch(views->fd, ALL | EPOLLET), (uint16_t)want);
}

static void
observe_views(const char *what, const struct views *views, short want)
{
	observe_views_after(what, views, want, want);
}

static void
rearm(struct views *views)
{
	struct epoll_event event = {.events = ALL | EPOLLONESHOT};
	struct epoll_event got;

	OBSERVE("once %d", epoll_wait(views->once, &got, 1, 0));
	OBSERVE("once more %d", epoll_wait(views->once, &got, 1, 0));
	must("EPOLL_CTL_MOD", epoll_ctl(views->once, EPOLL_CTL_MOD, views->fd, &event));
	OBSERVE("rearmed %d", epoll_wait(views->once, &got, 1, 0));
}

SCENARIO_V4_V6(ready, data_and_end)
{
	struct pair pair = tcp_pair(family);
	struct views views = views_of(pair.client);

	observe_views("connected", &views, POLLOUT);
	rearm(&views);
	send_text(pair.server, "data");
	observe_views("data", &views, POLLIN | POLLOUT);
	observe_recv("recv", pair.client, 10, 0);
	shutdown(pair.server, SHUT_WR);
	observe_views("end", &views, POLLIN | POLLOUT | POLLRDHUP);
	shutdown(pair.client, SHUT_WR);
	observe_views("over", &views, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	rearm(&views);
}

SCENARIO_V4_V6(ready, own_shutdown)
{
	struct pair pair = tcp_pair(family);
	struct views views = views_of(pair.client);

	shutdown(pair.client, SHUT_WR);
	observe_views("shut", &views, POLLOUT);
	send_text(pair.server, "data");
	observe_views("data", &views, POLLIN | POLLOUT);
	close(pair.server);
	observe_views("over", &views, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

SCENARIO_V4_V6(ready, reset)
{
	struct pair pair = tcp_pair(family);
	struct views views = views_of(pair.client);
	struct linger linger = {.l_onoff = 1};

	must("SO_LINGER", setsockopt(pair.server, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	close(pair.server);
	observe_views("reset", &views, POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
	observe_so_error("error", pair.client);
	observe_views_after("after", &views, POLLIN | POLLOUT | POLLRDHUP | POLLHUP, 0);
}

SCENARIO_V4_V6(ready, fresh_then_connected)
{
	int fd = tcp_socket(family), listener = tcp_listener(family);
	struct address at = local_of(listener);
	struct views views = views_of(fd);

	observe_views("fresh", &views, POLLOUT | POLLHUP);
	set_nonblocking(fd, true);
	observe_call("connect", connect_fd(fd, &at) < 0 && errno != EINPROGRESS ? -1 : 0);
	close(accept_from(listener));
	observe_views("connected and closed", &views, POLLIN | POLLOUT | POLLRDHUP);
}

SCENARIO_V4_V6(ready, fresh_then_refused)
{
	int fd = tcp_socket(family);
	struct address at = local_of(tcp_bound(family));
	struct views views = views_of(fd);

	set_nonblocking(fd, true);
	observe_call("connect", connect_fd(fd, &at) < 0 && errno != EINPROGRESS ? -1 : 0);
	observe_views("refused", &views, POLLIN | POLLOUT | POLLRDHUP | POLLERR | POLLHUP);
	observe_so_error("error", fd);
	observe_views_after("after", &views, POLLOUT | POLLHUP, 0);
}

SCENARIO_V4_V6(ready, fresh_then_listening)
{
	int fd = tcp_bound(family), one = tcp_socket(family);
	struct address at = local_of(fd);
	struct views views = views_of(fd);

	must("listen", listen(fd, 5));
	observe_select("listening", fd);
	must("connect", connect_fd(one, &at));
	observe_poll("waiting", fd, POLLIN | POLLOUT | POLLRDHUP, POLLIN);
	observe_select("waiting", fd);
	observe_epoll("level", views.level, EPOLLIN);
	close(accept_from(fd));
	observe_quiet("nobody", fd, POLLIN);
}

SCENARIO(ready, connecting)
{
	int fd = stream_connecting(AF_INET), epoll = watch(fd, ALL | EPOLLET);

	observe_quiet("connecting", fd, POLLIN | POLLOUT | POLLRDHUP);
	observe_select("connecting", fd);
	observe_epoll_quiet("connecting", epoll);
}

SCENARIO_V4_V6(ready, datagrams)
{
	struct pair pair = udp_pair(family);
	struct views views = views_of(pair.client);

	observe_views("nothing", &views, POLLOUT);
	send_text(pair.server, "one");
	observe_views("one", &views, POLLIN | POLLOUT);
	send_text(pair.server, "two");
	observe_epoll("edge again", views.edge, EPOLLIN);
	observe_recv("recv", pair.client, 10, 0);
	observe_views_after("one left", &views, POLLIN | POLLOUT, 0);
	observe_recv("recv", pair.client, 10, 0);
	observe_poll("nothing", pair.client, POLLIN | POLLOUT, POLLOUT);
}

SCENARIO_V4_V6(ready, datagram_shut)
{
	struct pair pair = udp_pair(family);
	struct views views = views_of(pair.client);

	must("shutdown", shutdown(pair.client, SHUT_RD));
	observe_poll("read", pair.client, POLLIN | POLLOUT | POLLRDHUP, POLLIN | POLLRDHUP);
	must("shutdown", shutdown(pair.client, SHUT_WR));
	observe_views("both", &views, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

/* Two sets that both wait for one listener, exclusively: each connection wakes somebody, and none is forgotten. */
static void *
wait_and_accept(void *argument)
{
	int *fds = argument, taken = 0;
	struct epoll_event event;

	/* fds: the epoll set, the listener */
	while (taken < 100 && epoll_wait(fds[0], &event, 1, 400) == 1) {
		int fd = accept4(fds[1], NULL, NULL, SOCK_NONBLOCK);

		if (fd >= 0) {
			close(fd);
			taken++;
		}
	}
	return (void *)(intptr_t)taken;
}

SCENARIO(ready, exclusive)
{
	int listener = tcp_listener(AF_INET), sets[2][2];
	struct address at = local_of(listener);
	struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT};
	pthread_t threads[2];
	intptr_t taken;

	set_nonblocking(listener, true);
	for (int i = 0; i < 2; i++) {
		sets[i][0] = watch(listener, EPOLLIN | EPOLLEXCLUSIVE);
		sets[i][1] = listener;
	}
	observe_call("once and exclusive", epoll_ctl(must("epoll_create1", epoll_create1(0)), EPOLL_CTL_ADD, listener, &event));
	event.events = EPOLLIN | EPOLLEXCLUSIVE;
	observe_call("exclusive, modified", epoll_ctl(sets[0][0], EPOLL_CTL_MOD, listener, &event));
	for (int i = 0; i < 2; i++)
		threads[i] = start_thread(wait_and_accept, sets[i]);
	for (int i = 0; i < 16; i++)
		must("connect", connect_fd(tcp_socket(AF_INET), &at));
	taken = (intptr_t)join_thread(threads[0]);
	taken += (intptr_t)join_thread(threads[1]);
	OBSERVE("taken %d", (int)taken);
}

SCENARIO(ready, registration_errors)
{
	int fd = tcp_socket(AF_INET), epoll = watch(fd, EPOLLIN);
	struct epoll_event event = {.events = EPOLLIN};

	observe_call("add again", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	observe_call("delete", epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL));
	observe_call("delete again", epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL));
	observe_call("modify", epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
	close(fd);
	observe_call("add closed", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

/* An edge for every arrival, although nothing was read. */
SCENARIO(ready, edge_for_each_arrival)
{
	struct pair pair = tcp_pair(AF_INET);
	int epoll = watch(pair.server, EPOLLIN | EPOLLET);

	for (int i = 0; i < 3; i++) {
		send_text(pair.client, "more");
		observe_epoll("arrival", epoll, EPOLLIN);
	}
	observe_epoll_quiet("nothing new", epoll);
	wait_queued(pair.server, 12);
	observe_recv("part", pair.server, 5, 0);
	observe_epoll_quiet("what is left is not new", epoll);
}

/* Room to write is an edge, too, once the peer has read. */
SCENARIO(ready, edge_for_room)
{
	struct pair pair = tcp_pair(AF_INET);
	int epoll = watch(pair.client, EPOLLOUT | EPOLLET);
	static char chunk[65536];
	size_t sent = 0;

	observe_epoll("room", epoll, EPOLLOUT);
	set_nonblocking(pair.client, true);
	/* Full is what stays full: on the way to the peer there may be buffers that move on a little later. */
	do {
		ssize_t n;

		while ((n = send(pair.client, chunk, sizeof chunk, 0)) > 0)
			sent += (size_t)n;
	} while (poll(&(struct pollfd){.fd = pair.client, .events = POLLOUT}, 1, 300) > 0);
	while (epoll_wait(epoll, &(struct epoll_event){0}, 1, 50) > 0)
		;
	observe_poll("full", pair.client, POLLOUT, 0);
	for (size_t got = 0; got < sent;)
		got += (size_t)must("recv", recv(pair.server, chunk, sizeof chunk, 0));
	observe_epoll("room again", epoll, EPOLLOUT);
}

/* --- SO_RCVLOWAT ---------------------------------------------------------------------------------- */

SCENARIO_V4_V6(ready, low_water)
{
	struct pair pair = tcp_pair(family);
	int level = watch(pair.server, EPOLLIN), edge = watch(pair.server, EPOLLIN | EPOLLET);

	set_option(pair.server, SOL_SOCKET, SO_RCVLOWAT, 10);
	send_text(pair.client, "five!");
	wait_queued(pair.server, 5);
	observe_quiet("five", pair.server, POLLIN);
	observe_epoll_quiet("level", level);
	observe_recv("what there is", pair.server, 3, MSG_DONTWAIT);
	observe_recv("what there is", pair.server, 64, MSG_DONTWAIT);
	send_text(pair.client, "ten bytes!");
	observe_epoll("edge", edge, EPOLLIN);
	observe_epoll("level", level, EPOLLIN);
	observe_recv("ten", pair.server, 64, 0);
}

/* A blocking read waits for as much as the mark says, or as it has room for. */
static void *
send_in_two(void *argument)
{
	int fd = *(int *)argument;

	/* The second part reaches the mark by itself: the kernel looks at what is queued, not at what was read already. */
	send_text(fd, "first ");
	pause_ms(100);
	send_text(fd, "second, and more");
	return NULL;
}

SCENARIO_V4_V6(ready, low_water_blocks)
{
	struct pair pair = tcp_pair(family);
	pthread_t thread;
	char text[32];

	set_option(pair.server, SOL_SOCKET, SO_RCVLOWAT, 12);
	thread = start_thread(send_in_two, &pair.client);
	observe_bytes("read", text, read(pair.server, text, sizeof text));
	join_thread(thread);
	thread = start_thread(send_in_two, &pair.client);
	observe_recv("less room than that", pair.server, 6, 0);
	join_thread(thread);
	wait_queued(pair.server, 16);
	observe_recv("the rest", pair.server, 32, 0);
	send_text(pair.client, "less");
	shutdown(pair.client, SHUT_WR);
	observe_recv("the end comes sooner", pair.server, 32, 0);
}

SCENARIO(ready, low_water_lowered)
{
	struct pair pair = tcp_pair(AF_INET);

	set_option(pair.server, SOL_SOCKET, SO_RCVLOWAT, 10);
	send_text(pair.client, "five!");
	wait_queued(pair.server, 5);
	observe_poll("high", pair.server, POLLIN, 0);
	set_option(pair.server, SOL_SOCKET, SO_RCVLOWAT, 1);
	observe_poll("lowered", pair.server, POLLIN, POLLIN);
}

/* --- Signals for readiness ------------------------------------------------------------------------ */

static void
observe_sigio(const char *what, int fd, int trigger)
{
	int before = signals_counted();

	send_text(trigger, "x");
	wait_for(fd, POLLIN);
	for (int64_t end = now_ms() + WAIT_MS; signals_counted() == before && now_ms() < end;)
		pause_ms(2);
	OBSERVE("%s: SIGIO came %d", what, signals_counted() > before);
	observe_recv("recv", fd, 10, MSG_DONTWAIT);
}

SCENARIO(ready, sigio_by_ioctl)
{
	struct pair tcp = tcp_pair(AF_INET), udp = udp_pair(AF_INET);
	int on = 1, owner = -1;

	count_signal(SIGIO, 0);
	for (int i = 0; i < 2; i++) {
		int fd = i ? udp.server : tcp.server;

		owner = getpid();
		observe_call("FIOSETOWN", ioctl(fd, FIOSETOWN, &owner));
		owner = -1;
		observe_call("FIOGETOWN", ioctl(fd, FIOGETOWN, &owner));
		OBSERVE("ours %d F_GETOWN %d", owner == getpid(), fcntl(fd, F_GETOWN) == getpid());
		observe_call("FIOASYNC", ioctl(fd, FIOASYNC, &on));
		OBSERVE("O_ASYNC %d", (fcntl(fd, F_GETFL) & O_ASYNC) != 0);
		observe_sigio("first", fd, i ? udp.client : tcp.client);
	}
}

SCENARIO(ready, sigio_of_listener)
{
	int listener = tcp_listener(AF_INET), fd = tcp_socket(AF_INET);
	struct address at = local_of(listener);

	count_signal(SIGIO, SA_RESTART);
	must("F_SETOWN", fcntl(listener, F_SETOWN, getpid()));
	must("F_SETFL", fcntl(listener, F_SETFL, O_ASYNC | O_NONBLOCK));
	must("connect", connect_fd(fd, &at));
	for (int64_t end = now_ms() + WAIT_MS; signals_counted() == 0 && now_ms() < end;)
		pause_ms(2);
	OBSERVE("SIGIO came %d", signals_counted() > 0);
	observe_fd("accept", accept_from(listener));
}
