/* One socket, several holders: dup, fork, exec, fd passing, threads. */
#include "tests/conformance/scenario.h"

#include <spawn.h>
#include <stdio.h>
#include <sys/un.h>

extern char **environ;

SCENARIO_V4_V6(sharing, dup)
{
	struct pair pair = tcp_pair(family);
	int copy = must("dup", dup(pair.client));

	observe_peer("copy", copy);
	send_text(copy, "by the copy");
	wait_queued(pair.server, 11);
	observe_recv("server", pair.server, 64, 0);
	close(pair.client);
	observe_quiet("server", pair.server, POLLIN | POLLRDHUP);
	send_text(copy, "after close");
	observe_recv("server", pair.server, 64, 0);
	observe_peer("copy", copy);
	close(copy);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO(sharing, dup2_over)
{
	struct pair one = tcp_pair(AF_INET), two = tcp_pair(AF_INET);

	observe_local("one", one.client);
	observe_local("two", two.client);
	/* Takes the place of the other, which is thereby closed. */
	must("dup2", dup2(two.client, one.client));
	observe_local("one", one.client);
	observe_recv("one's server", one.server, 10, 0);
	send_text(one.client, "via two");
	observe_recv("two's server", two.server, 10, 0);
	observe_fd_flags("dup2", one.client);
	must("dup3", dup3(two.client, one.client, O_CLOEXEC));
	observe_fd_flags("dup3", one.client);
	observe_fd_flags("F_DUPFD_CLOEXEC", fcntl(two.client, F_DUPFD_CLOEXEC, 50));
}

SCENARIO(sharing, dup_before_connect)
{
	int listener = tcp_listener(AF_INET), fd = tcp_socket(AF_INET), copy = must("dup", dup(fd));
	struct address at = local_of(listener);

	observe_call("connect", connect_fd(copy, &at));
	observe_peer("fd", fd);
	observe_call("connect", connect_fd(fd, &at));
	send_text(fd, "hello");
	observe_recv("server", accept_from(listener), 10, 0);
}

SCENARIO(sharing, nonblocking_is_shared)
{
	struct pair pair = tcp_pair(AF_INET);
	int copy = must("dup", dup(pair.client)), on = 1, off = 0;

	set_nonblocking(pair.client, true);
	observe_fd_flags("copy", copy);
	observe_recv("copy", copy, 10, 0);
	observe_call("FIONBIO", ioctl(copy, FIONBIO, &off));
	observe_fd_flags("original", pair.client);
	observe_call("FIONBIO", ioctl(copy, FIONBIO, &on));
	observe_fd_flags("original", pair.client);
	observe_call("FIOCLEX", ioctl(copy, FIOCLEX));
	observe_fd_flags("copy", copy);
	observe_fd_flags("original", pair.client);
	observe_call("F_SETFD", fcntl(copy, F_SETFD, 0));
	observe_fd_flags("copy", copy);
}

SCENARIO(sharing, options_are_shared)
{
	struct pair pair = tcp_pair(AF_INET);
	int copy = must("dup", dup(pair.client));

	observe_set_option("TCP_NODELAY", pair.client, IPPROTO_TCP, TCP_NODELAY, 1);
	observe_option("copy TCP_NODELAY", copy, IPPROTO_TCP, TCP_NODELAY);
	observe_call("shutdown", shutdown(copy, SHUT_WR));
	observe_call("send", send(pair.client, "x", 1, MSG_NOSIGNAL));
	observe_recv("server", pair.server, 10, 0);
}

SCENARIO_V4_V6(sharing, fork_both_use)
{
	struct pair pair = tcp_pair(family);
	pid_t child = must("fork", fork());

	if (child == 0) {
		alarm(SCENARIO_SECONDS);
		observe_peer("child", pair.client);
		send_text(pair.client, "from the child");
		_exit(0);
	}
	observe_child("child", child);
	observe_peer("parent", pair.client);
	wait_queued(pair.server, 14);
	observe_recv("server", pair.server, 64, 0);
	/* The child's exit has closed nothing. */
	observe_quiet("server", pair.server, POLLIN | POLLRDHUP);
	send_text(pair.client, "from the parent");
	observe_recv("server", pair.server, 64, 0);
	close(pair.client);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO(sharing, child_keeps_open)
{
	struct pair pair = tcp_pair(AF_INET);
	pid_t child = must("fork", fork());

	if (child == 0) {
		alarm(SCENARIO_SECONDS);
		close(pair.server);
		observe_recv("child", pair.client, 64, 0);
		send_text(pair.client, "still here");
		_exit(0);
	}
	close(pair.client);
	observe_quiet("server", pair.server, POLLIN | POLLRDHUP);
	send_text(pair.server, "anyone?");
	observe_child("child", child);
	wait_queued(pair.server, 10);
	observe_recv("server", pair.server, 64, 0);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO_V4_V6(sharing, child_creates)
{
	int listener = tcp_listener(family);
	struct address at = local_of(listener);
	pid_t child = must("fork", fork());

	if (child == 0) {
		int fd;

		alarm(SCENARIO_SECONDS);
		close(listener);
		fd = tcp_socket(family);
		observe_call("child connect", connect_fd(fd, &at));
		send_text(fd, "child");
		_exit(0);
	}
	observe_child("child", child);
	observe_recv("server", accept_from(listener), 64, 0);
}

SCENARIO(sharing, exec_keeps)
{
	struct pair pair = tcp_pair(AF_INET);
	char number[16];
	pid_t child;

	snprintf(number, sizeof number, "%d", pair.client);
	send_text(pair.server, "for the helper");
	wait_queued(pair.client, 14);
	child = must("fork", fork());
	if (child == 0) {
		char *arguments[] = {"helper", "--helper", "talk", number, NULL};

		close(pair.server);
		exec_helper(arguments);
	}
	close(pair.client);
	observe_child("helper", child);
	wait_queued(pair.server, 15);
	observe_recv("server", pair.server, 64, 0);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO(sharing, exec_closes_cloexec)
{
	int fd = must("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), kept = tcp_socket(AF_INET);
	char number[16];

	for (int i = 0; i < 2; i++) {
		pid_t child;

		snprintf(number, sizeof number, "%d", i ? kept : fd);
		child = must("fork", fork());
		if (child == 0) {
			char *arguments[] = {"helper", "--helper", "is-open", number, NULL};

			exec_helper(arguments);
		}
		observe_child("helper", child);
	}
}

SCENARIO(sharing, exec_listener)
{
	int listener = tcp_listener(AF_INET), fd = tcp_socket(AF_INET);
	struct address at = local_of(listener);
	char number[16];
	pid_t child;

	snprintf(number, sizeof number, "%d", listener);
	child = must("fork", fork());
	if (child == 0) {
		char *arguments[] = {"helper", "--helper", "accept", number, NULL};

		exec_helper(arguments);
	}
	close(listener);
	observe_call("connect", connect_fd(fd, &at));
	send_text(fd, "to the helper");
	observe_child("helper", child);
	observe_recv("client", fd, 64, 0);
}

static void
observe_spawned_connect(bool spawn)
{
	int listener = tcp_listener(AF_INET), server;
	char port[16];
	char *arguments[] = {"helper", "--helper", "connect", port, NULL};
	pid_t child;

	snprintf(port, sizeof port, "%d", port_of(listener));
	if (spawn) {
		errno = posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ);
		must("posix_spawn", errno ? -1 : 0);
	} else {
		child = must("vfork", vfork());
		if (child == 0) {
			execv("/proc/self/exe", arguments);
			_exit(127);
		}
	}
	server = accept_from(listener);
	observe_recv("server", server, 64, 0);
	send_text(server, "welcome");
	observe_child("helper", child);
}

SCENARIO(sharing, posix_spawn)
{
	observe_spawned_connect(true);
}

SCENARIO(sharing, vfork)
{
	observe_spawned_connect(false);
}

SCENARIO_V4_V6(sharing, pass_connected)
{
	struct pair pair;
	int channel[2];
	pid_t child;

	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
	child = must("fork", fork());
	if (child == 0) {
		int fd;

		alarm(SCENARIO_SECONDS);
		fd = take_fd(channel[1]);
		observe_peer("child", fd);
		observe_option("child SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
		send_text(fd, "from the child");
		observe_recv("child", fd, 64, 0);
		_exit(0);
	}
	/* Made after the fork: the child has only what was passed. */
	pair = tcp_pair(family);
	send_text(pair.server, "for the child");
	wait_queued(pair.client, 13);
	pass_fd(channel[0], pair.client);
	close(pair.client);
	observe_child("child", child);
	wait_queued(pair.server, 14);
	observe_recv("server", pair.server, 64, 0);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO(sharing, pass_listener_and_udp)
{
	int channel[2], listener, udp, fd = tcp_socket(AF_INET);
	struct address at;
	pid_t child;

	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
	child = must("fork", fork());
	if (child == 0) {
		alarm(SCENARIO_SECONDS);
		listener = take_fd(channel[1]);
		udp = take_fd(channel[1]);
		send_text(accept_from(listener), "accepted by the child");
		wait_for(udp, POLLIN);
		observe_recvfrom("child", udp, 64, 0);
		_exit(0);
	}
	listener = tcp_listener(AF_INET);
	udp = udp_bound(AF_INET);
	pass_fd(channel[0], listener);
	pass_fd(channel[0], udp);
	at = local_of(listener);
	observe_call("connect", connect_fd(fd, &at));
	observe_recv("client", fd, 64, 0);
	at = local_of(udp);
	must("sendto", sendto(udp_bound(AF_INET), "datagram", 8, 0, SA(&at), at.length));
	observe_child("child", child);
}

struct talk {
	int fd;
	size_t len;
	uint64_t hash;
};

static void *
read_side(void *argument)
{
	struct talk *talk = argument;
	char *data = must_alloc(talk->len);

	talk->len = read_all(talk->fd, data, talk->len);
	talk->hash = hash_bytes(data, talk->len);
	free(data);
	return NULL;
}

SCENARIO(sharing, threads_read_and_write)
{
	struct pair pair = tcp_pair(AF_INET);
	enum { LEN = 1 << 20 };
	struct talk client = {.fd = pair.client, .len = LEN}, server = {.fd = pair.server, .len = LEN};
	pthread_t threads[2] = {start_thread(read_side, &client), start_thread(read_side, &server)};
	char *data = must_alloc(LEN);

	/* Each fd is read by one thread while another writes it. */
	fill_pattern(data, LEN, 8);
	for (size_t done = 0; done < LEN; done += 65536) {
		send_all(pair.client, data + done, 65536);
		send_all(pair.server, data + done, 65536);
	}
	join_thread(threads[0]);
	join_thread(threads[1]);
	OBSERVE("client %zu server %zu alike %d %d", client.len, server.len, client.hash == hash_bytes(data, LEN),
	        server.hash == hash_bytes(data, LEN));
}

struct blocked {
	int fd;
	pid_t tid;
	bool accepting;
	ssize_t rc;
	int error;
	char data[32];
};

static void *
block_on(void *argument)
{
	struct blocked *blocked = argument;

	__atomic_store_n(&blocked->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	blocked->rc = blocked->accepting ? accept(blocked->fd, NULL, NULL)
	                                 : recv(blocked->fd, blocked->data, sizeof blocked->data, 0);
	blocked->error = errno;
	return NULL;
}

static pthread_t
start_blocked(struct blocked *blocked)
{
	pthread_t thread = start_thread(block_on, blocked);
	pid_t tid;

	while ((tid = __atomic_load_n(&blocked->tid, __ATOMIC_SEQ_CST)) == 0)
		pause_ms(1);
	wait_asleep(tid);
	return thread;
}

SCENARIO(sharing, close_under_blocked_recv)
{
	struct pair pair = tcp_pair(AF_INET);
	struct blocked blocked = {.fd = pair.client};
	pthread_t thread = start_blocked(&blocked);

	/* The call in progress holds the socket: it goes on, and gets what comes. */
	observe_call("close", close(pair.client));
	send_text(pair.server, "late");
	join_thread(thread);
	errno = blocked.error;
	observe_bytes("recv", blocked.data, blocked.rc);
	observe_poll("server", pair.server, POLLIN | POLLRDHUP, POLLIN | POLLRDHUP);
}

SCENARIO(sharing, shutdown_wakes_recv)
{
	struct pair pair = tcp_pair(AF_INET);
	struct blocked blocked = {.fd = pair.client};
	pthread_t thread = start_blocked(&blocked);

	observe_call("shutdown", shutdown(pair.client, SHUT_RDWR));
	join_thread(thread);
	errno = blocked.error;
	observe_bytes("recv", blocked.data, blocked.rc);
}

SCENARIO(sharing, shutdown_wakes_accept)
{
	int listener = tcp_listener(AF_INET);
	struct blocked blocked = {.fd = listener, .accepting = true};
	pthread_t thread = start_blocked(&blocked);

	observe_call("shutdown", shutdown(listener, SHUT_RDWR));
	join_thread(thread);
	errno = blocked.error;
	observe_fd("accept", (int)blocked.rc);
}

SCENARIO(sharing, close_under_blocked_accept)
{
	int listener = tcp_listener(AF_INET), fd = tcp_socket(AF_INET);
	struct address at = local_of(listener);
	struct blocked blocked = {.fd = listener, .accepting = true};
	pthread_t thread = start_blocked(&blocked);

	observe_call("close", close(listener));
	observe_call("connect", connect_fd(fd, &at));
	join_thread(thread);
	errno = blocked.error;
	observe_fd("accept", (int)blocked.rc);
	observe_call("connect", connect_fd(tcp_socket(AF_INET), &at));
}

SCENARIO(sharing, shutdown_wakes_udp_recv)
{
	struct pair pair = udp_pair(AF_INET);
	struct blocked blocked = {.fd = pair.client};
	pthread_t thread = start_blocked(&blocked);

	observe_call("shutdown", shutdown(pair.client, SHUT_RD));
	join_thread(thread);
	errno = blocked.error;
	observe_bytes("recv", blocked.data, blocked.rc);
}

static void *
connect_and_talk(void *argument)
{
	struct address *at = argument;
	int good = 0;

	for (int i = 0; i < 20; i++) {
		int fd = tcp_socket(AF_INET);
		char reply[4] = "";

		if (connect_fd(fd, at) == 0 && send(fd, "ping", 4, 0) == 4 && read_all(fd, reply, 4) == 4)
			good += memcmp(reply, "pong", 4) == 0;
		close(fd);
	}
	return (void *)(intptr_t)good;
}

static void *
serve_all(void *argument)
{
	int listener = *(int *)argument;

	for (int i = 0; i < 80; i++) {
		int fd = accept_from(listener);
		char request[4];

		if (read_all(fd, request, 4) == 4)
			send_text(fd, "pong");
		close(fd);
	}
	return NULL;
}

SCENARIO(sharing, threads_connect_at_once)
{
	int listener = tcp_listener(AF_INET);
	struct address at = local_of(listener);
	pthread_t server, clients[4];
	intptr_t good = 0;

	must("listen", listen(listener, 64));
	server = start_thread(serve_all, &listener);
	for (int i = 0; i < 4; i++)
		clients[i] = start_thread(connect_and_talk, &at);
	for (int i = 0; i < 4; i++)
		good += (intptr_t)join_thread(clients[i]);
	join_thread(server);
	OBSERVE("good %d", (int)good);
}

SCENARIO(sharing, same_fd_number_again)
{
	int listener = tcp_listener(AF_INET);
	struct address at = local_of(listener);

	/* What a number meant before must not stick to it. */
	for (int i = 0; i < 3; i++) {
		int fd = tcp_socket(AF_INET), number = fd, pipes[2];

		must("connect", connect_fd(fd, &at));
		close(fd);
		must("pipe", pipe(pipes));
		OBSERVE("number again %d", pipes[0] == number);
		observe_local("pipe", pipes[0]);
		close(pipes[0]);
		fd = udp_socket(AF_INET);
		observe_option("SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
		observe_peer("udp", fd);
		close(fd);
		close(pipes[1]);
	}
}
