/* The end of a connection: shutdown, close, reset, and what each side sees of it. */
#include "tests/conformance/scenario.h"

static const short all_events = POLLIN | POLLOUT | POLLRDHUP;

static void
set_linger(int fd, int on, int seconds)
{
	struct linger linger = {.l_onoff = on, .l_linger = seconds};

	must("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

SCENARIO_V4_V6(tcp_close, close)
{
	struct pair pair = tcp_pair(family);

	observe_call("close", close(pair.client));
	observe_poll("server", pair.server, all_events, POLLIN | POLLRDHUP);
	observe_recv("server", pair.server, 10, 0);
	observe_recv("server", pair.server, 10, 0);
	observe_peer("server", pair.server);
	observe_so_error("server", pair.server);
	observe_tcp_state("server", pair.server, TCP_CLOSE_WAIT);
}

SCENARIO_V4_V6(tcp_close, shutdown_write)
{
	struct pair pair = tcp_pair(family);

	observe_call("shutdown", shutdown(pair.client, SHUT_WR));
	observe_poll("client", pair.client, all_events, POLLOUT);
	observe_poll("server", pair.server, all_events, POLLIN | POLLRDHUP);
	observe_recv("server", pair.server, 10, 0);
	observe_call("client send", send(pair.client, "x", 1, MSG_NOSIGNAL));
	observe_tcp_state("client", pair.client, TCP_FIN_WAIT2);
	observe_tcp_state("server", pair.server, TCP_CLOSE_WAIT);
	observe_call("shutdown again", shutdown(pair.client, SHUT_WR));
	observe_peer("client", pair.client);
}

SCENARIO_V4_V6(tcp_close, half_close_transfer)
{
	struct pair pair = tcp_pair(family);
	enum { LEN = 300000 };
	char *data = must_alloc(LEN), *back = must_alloc(LEN);

	send_text(pair.client, "request");
	shutdown(pair.client, SHUT_WR);
	wait_queued(pair.server, 7);
	observe_recv("server", pair.server, 64, 0);
	observe_recv("server", pair.server, 64, 0);
	fill_pattern(data, LEN, 5);
	OBSERVE("sent %zu", send_all(pair.server, data, LEN));
	close(pair.server);
	observe_bytes("client", back, (ssize_t)read_all(pair.client, back, LEN));
	observe_recv("client", pair.client, 64, 0);
	observe_poll("client", pair.client, all_events, POLLHUP);
}

SCENARIO_V4_V6(tcp_close, shutdown_read)
{
	struct pair pair = tcp_pair(family);

	observe_call("shutdown", shutdown(pair.client, SHUT_RD));
	observe_poll("client", pair.client, all_events, POLLIN | POLLRDHUP);
	observe_recv("client", pair.client, 10, 0);
	observe_poll("server", pair.server, all_events, POLLOUT);
	/* The other side is told nothing, and what it sends still arrives. */
	observe_call("server send", send(pair.server, "late", 4, MSG_NOSIGNAL));
	wait_queued(pair.client, 4);
	observe_recv("client", pair.client, 10, 0);
	observe_recv("client", pair.client, 10, 0);
	observe_call("client send", send(pair.client, "ok", 2, MSG_NOSIGNAL));
	observe_recv("server", pair.server, 10, 0);
}

SCENARIO_V4_V6(tcp_close, shutdown_both)
{
	struct pair pair = tcp_pair(family);

	observe_call("shutdown", shutdown(pair.client, SHUT_RDWR));
	observe_poll("client", pair.client, all_events, POLLHUP);
	observe_recv("client", pair.client, 10, 0);
	observe_call("client send", send(pair.client, "x", 1, MSG_NOSIGNAL));
	observe_poll("server", pair.server, all_events, POLLIN | POLLRDHUP);
	observe_recv("server", pair.server, 10, 0);
	observe_peer("client", pair.client);
	close(pair.server);
	observe_poll("client", pair.client, all_events, POLLHUP);
	observe_tcp_state("client", pair.client, TCP_CLOSE);
	observe_peer("client", pair.client);
	observe_call("shutdown again", shutdown(pair.client, SHUT_RDWR));
}

SCENARIO_V4_V6(tcp_close, both_shut_write)
{
	struct pair pair = tcp_pair(family);

	shutdown(pair.client, SHUT_WR);
	observe_recv("server", pair.server, 10, 0);
	shutdown(pair.server, SHUT_WR);
	observe_recv("client", pair.client, 10, 0);
	observe_poll("client", pair.client, all_events, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	observe_poll("server", pair.server, all_events, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	observe_so_error("client", pair.client);
	observe_call("server send", send(pair.server, "x", 1, MSG_NOSIGNAL));
	observe_peer("server", pair.server);
}

SCENARIO(tcp_close, shutdown_arguments)
{
	struct pair pair = tcp_pair(AF_INET);

	observe_call("3", shutdown(pair.client, 3));
	observe_call("-1", shutdown(pair.client, -1));
	observe_call("bound", shutdown(tcp_bound(AF_INET), SHUT_RD));
	send_text(pair.client, "unharmed");
	observe_recv("server", pair.server, 10, 0);
}

SCENARIO_V4_V6(tcp_close, close_with_data_on_its_way)
{
	struct pair pair = tcp_pair(family);
	enum { LEN = 60000 };
	char *data = must_alloc(LEN), *back = must_alloc(LEN + 1);

	fill_pattern(data, LEN, 6);
	OBSERVE("sent %zu", send_all(pair.client, data, LEN));
	close(pair.client);
	observe_bytes("server", back, (ssize_t)read_all(pair.server, back, LEN + 1));
	observe_recv("server", pair.server, 10, 0);
}

SCENARIO_V4_V6(tcp_close, linger_then_close)
{
	struct pair pair = tcp_pair(family);

	set_linger(pair.client, 1, 2);
	send_text(pair.client, "before the end");
	observe_call("close", close(pair.client));
	wait_queued(pair.server, 14);
	observe_recv("server", pair.server, 64, 0);
	observe_recv("server", pair.server, 64, 0);
}

/* Its peer has taken nothing, and can take no more. */
static struct pair
full_pair(int family)
{
	struct pair pair = tcp_pair(family);
	enum { LEN = 65536 };
	char *data = must_alloc(LEN);

	set_nonblocking(pair.client, true);
	for (int64_t quiet_since = now_ms(); now_ms() - quiet_since < QUIET_MS;)
		if (send(pair.client, data, LEN, 0) > 0)
			quiet_since = now_ms();
		else
			pause_ms(5);
	set_nonblocking(pair.client, false);
	free(data);
	return pair;
}

/* Whether the call that began then took the time that a peer leaves it waiting, give or take. */
static void
observe_waited(const char *what, int64_t began, int ms)
{
	int64_t took = now_ms() - began;

	OBSERVE("%s: %s", what, took < ms / 2 ? "at once" : took < ms - 20 ? "early" : "waited");
}

SCENARIO_V4_V6(tcp_close, linger_in_vain)
{
	struct pair pair = full_pair(family);
	int64_t began;

	set_linger(pair.client, 1, 1);
	began = now_ms();
	observe_call("close", close(pair.client));
	observe_waited("close", began, 1000);
}

enum { READ_AFTER_MS = 500 };

static void *
read_later(void *argument)
{
	char *data = must_alloc(65536);

	pause_ms(READ_AFTER_MS);
	while (recv(*(int *)argument, data, 65536, 0) > 0)
		;
	free(data);
	return NULL;
}

SCENARIO_V4_V6(tcp_close, linger_until_taken)
{
	struct pair pair = full_pair(family);
	pthread_t reader = start_thread(read_later, &pair.server);
	int64_t began = now_ms();

	set_linger(pair.client, 1, 5);
	observe_call("close", close(pair.client));
	observe_waited("close", began, READ_AFTER_MS);
	join_thread(reader);
}

static int
exit_when_told(void *argument)
{
	const int *told = argument;
	char byte;

	close(told[1]);
	return (int)read(told[0], &byte, 1);
}

/* Neither closing a descriptor that is not the last nor an exit waits. */
SCENARIO_V4_V6(tcp_close, linger_not_yet)
{
	struct pair pair = full_pair(family);
	int told[2];
	pid_t child;
	int64_t began;

	set_linger(pair.client, 1, 3);
	must("pipe", pipe(told));
	child = start_child(exit_when_told, told);
	began = now_ms();
	observe_call("close", close(pair.client));
	observe_waited("not the last", began, 3000);
	began = now_ms();
	close(told[1]);
	observe_child("child", child);
	observe_waited("the last, by an exit", began, 3000);
}

SCENARIO_V4_V6(tcp_close, reset)
{
	struct pair pair = tcp_pair(family);

	set_linger(pair.client, 1, 0);
	observe_call("close", close(pair.client));
	observe_poll("server", pair.server, all_events, POLLIN | POLLERR | POLLHUP);
	observe_recv("server", pair.server, 10, 0);
	observe_recv("server", pair.server, 10, 0);
	observe_poll("server", pair.server, all_events, POLLHUP);
	count_signal(SIGPIPE, SA_RESTART);
	observe_call("send", send(pair.server, "x", 1, 0));
	OBSERVE("SIGPIPE %d", signals_counted());
	observe_peer("server", pair.server);
	observe_tcp_state("server", pair.server, TCP_CLOSE);
}

SCENARIO_V4_V6(tcp_close, reset_after_data)
{
	struct pair pair = tcp_pair(family);

	send_text(pair.client, "queued");
	wait_queued(pair.server, 6);
	set_linger(pair.client, 1, 0);
	close(pair.client);
	observe_poll("server", pair.server, all_events, POLLIN | POLLERR | POLLHUP);
	observe_recv("server", pair.server, 3, 0);
	observe_recv("server", pair.server, 64, 0);
	observe_recv("server", pair.server, 64, 0);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO_V4_V6(tcp_close, reset_and_so_error)
{
	struct pair pair = tcp_pair(family);

	set_linger(pair.client, 1, 0);
	close(pair.client);
	observe_poll("server", pair.server, all_events, POLLIN | POLLERR | POLLHUP);
	observe_so_error("first", pair.server);
	observe_so_error("second", pair.server);
	observe_poll("server", pair.server, all_events, POLLIN | POLLHUP);
	observe_recv("server", pair.server, 10, 0);
}

SCENARIO_V4_V6(tcp_close, reset_and_send)
{
	struct pair pair = tcp_pair(family);

	set_linger(pair.client, 1, 0);
	close(pair.client);
	observe_poll("server", pair.server, all_events, POLLIN | POLLERR | POLLHUP);
	observe_call("send", send(pair.server, "x", 1, MSG_NOSIGNAL));
	observe_call("send", send(pair.server, "x", 1, MSG_NOSIGNAL));
	observe_recv("server", pair.server, 10, 0);
}

SCENARIO_V4_V6(tcp_close, reset_by_unread_data)
{
	struct pair pair = tcp_pair(family);

	send_text(pair.client, "never read");
	wait_queued(pair.server, 10);
	close(pair.server);
	observe_poll("client", pair.client, all_events, POLLIN | POLLERR | POLLHUP);
	observe_recv("client", pair.client, 10, 0);
	observe_recv("client", pair.client, 10, 0);
}

SCENARIO_V4_V6(tcp_close, reset_by_late_data)
{
	struct pair pair = tcp_pair(family);

	close(pair.server);
	observe_poll("client", pair.client, all_events, POLLIN | POLLRDHUP);
	observe_call("send", send(pair.client, "x", 1, MSG_NOSIGNAL));
	observe_poll("client", pair.client, all_events, POLLERR | POLLHUP);
	count_signal(SIGPIPE, SA_RESTART);
	observe_call("send", send(pair.client, "x", 1, 0));
	OBSERVE("SIGPIPE %d", signals_counted());
	observe_recv("recv", pair.client, 10, 0);
	observe_recv("recv", pair.client, 10, 0);
}

SCENARIO(tcp_close, reset_wakes_blocked_recv)
{
	struct pair pair = tcp_pair(AF_INET);
	struct linger linger = {.l_onoff = 1};
	pid_t child = must("fork", fork());

	if (child == 0) {
		close(pair.client);
		alarm(SCENARIO_SECONDS);
		observe_recv("child", pair.server, 10, 0);
		_exit(0);
	}
	wait_asleep(child);
	close(pair.server);
	must("SO_LINGER", setsockopt(pair.client, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	close(pair.client);
	observe_child("child", child);
}

SCENARIO(tcp_close, reset_wakes_blocked_send)
{
	struct pair pair = tcp_pair(AF_INET);
	pid_t child = must("fork", fork());

	if (child == 0) {
		static char chunk[65536];
		ssize_t n;

		close(pair.server);
		alarm(SCENARIO_SECONDS);
		while ((n = send(pair.client, chunk, sizeof chunk, MSG_NOSIGNAL)) > 0)
			;
		observe_call("child send", n);
		_exit(0);
	}
	close(pair.client);
	wait_asleep(child);
	close(pair.server); /* with unread data: a reset */
	observe_child("child", child);
}

SCENARIO(tcp_close, sigpipe_kills)
{
	struct pair pair = tcp_pair(AF_INET);
	pid_t child = must("fork", fork());

	if (child == 0) {
		alarm(SCENARIO_SECONDS);
		shutdown(pair.client, SHUT_WR);
		observe_call("child", write(pair.client, "x", 1));
		_exit(0);
	}
	observe_child("child", child);
}

SCENARIO(tcp_close, sigpipe_ignored)
{
	struct pair pair = tcp_pair(AF_INET);

	signal(SIGPIPE, SIG_IGN);
	shutdown(pair.client, SHUT_WR);
	observe_call("write", write(pair.client, "x", 1));
	observe_call("send", send(pair.client, "x", 1, 0));
	observe_call("sendto", sendto(pair.client, "x", 1, 0, NULL, 0));
}

SCENARIO(tcp_close, unaccepted_connection)
{
	int listener = tcp_listener(AF_INET), fd = tcp_socket(AF_INET);
	struct address at = local_of(listener);

	must("connect", connect_fd(fd, &at));
	wait_for(listener, POLLIN);
	close(listener);
	observe_poll("client", fd, all_events, POLLIN | POLLERR | POLLHUP);
	observe_recv("client", fd, 10, 0);
	observe_call("connect again", connect_fd(fd, &at));
}

SCENARIO(tcp_close, process_death)
{
	struct pair pair = tcp_pair(AF_INET);
	pid_t child = must("fork", fork());

	if (child == 0) {
		close(pair.server);
		send_text(pair.client, "last words");
		raise(SIGKILL);
	}
	close(pair.client);
	observe_child("child", child);
	observe_poll("server", pair.server, all_events, POLLIN | POLLRDHUP);
	wait_queued(pair.server, 10);
	observe_recv("server", pair.server, 64, 0);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO(tcp_close, close_twice)
{
	struct pair pair = tcp_pair(AF_INET);

	observe_call("close", close(pair.client));
	observe_call("close", close(pair.client));
	observe_call("send", send(pair.client, "x", 1, MSG_NOSIGNAL));
	observe_local("closed", pair.client);
	observe_poll("closed", pair.client, all_events, POLLNVAL);
}
