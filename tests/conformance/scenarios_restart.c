/*
 * Signals, with SA_RESTART and without, in every call that blocks: what the call gives, and that nothing is lost by it. Without a
 * timeout a restarted call goes on; with SO_RCVTIMEO or SO_SNDTIMEO none does (signal(7)).
 */
#include "tests/conformance/scenario.h"

#include <stdio.h>
#include <sys/sendfile.h>

enum { DATA_MS = 220 }; /* after some nudges, which come every 50 ms */

static void *
send_late(void *argument)
{
	pause_ms(DATA_MS);
	send_text(*(int *)argument, "late");
	return NULL;
}

enum blocking { READ, READV, RECV, RECV_WAITALL, RECVFROM, RECVMSG, RECVMMSG, SPLICE };

static long
block_in(enum blocking call, int fd)
{
	static char text[16];
	struct iovec iov = {text, 4};
	struct mmsghdr many = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
	struct address from = {.length = sizeof from.storage};
	static int pipes[2];

	if (!pipes[1])
		must("pipe", pipe(pipes));
	switch (call) {
	case READ:
		return read(fd, text, 4);
	case READV:
		return readv(fd, &iov, 1);
	case RECV:
		return recv(fd, text, 4, 0);
	case RECV_WAITALL:
		return recv(fd, text, 4, MSG_WAITALL);
	case RECVFROM:
		return recvfrom(fd, text, 4, 0, SA(&from), &from.length);
	case RECVMSG:
		return recvmsg(fd, &many.msg_hdr, 0);
	case RECVMMSG:
		return recvmmsg(fd, &many, 1, 0, NULL);
	case SPLICE:
		return splice(fd, NULL, pipes[1], NULL, 4, 0);
	}
	return -1;
}

static const char *const names[] = {"read", "readv", "recv", "recv waitall", "recvfrom", "recvmsg", "recvmmsg", "splice"};

static void
without_restart(struct pair pair, enum blocking first, enum blocking last)
{
	count_signal(SIGUSR1, 0);
	for (enum blocking call = first; call <= last; call++) {
		long rc;

		nudge_start();
		rc = block_in(call, pair.server);
		nudge_stop();
		observe_call(names[call], rc);
	}
	send_text(pair.client, "kept");
	observe_recv("then", pair.server, 10, 0);
}

static void
with_restart(struct pair pair, enum blocking first, enum blocking last)
{
	count_signal(SIGUSR1, SA_RESTART);
	for (enum blocking call = first; call <= last; call++) {
		int before = signals_counted();
		pthread_t thread = start_thread(send_late, &pair.client);
		long rc;

		nudge_start();
		rc = block_in(call, pair.server);
		nudge_stop();
		observe_call(names[call], rc);
		OBSERVE("signals came %d", signals_counted() > before);
		join_thread(thread);
	}
}

SCENARIO(restart, stream_reads_interrupted)
{
	without_restart(tcp_pair(AF_INET), READ, RECV_WAITALL);
}

SCENARIO(restart, stream_receives_interrupted)
{
	without_restart(tcp_pair(AF_INET), RECVFROM, SPLICE);
}

SCENARIO(restart, stream_reads_restarted)
{
	with_restart(tcp_pair(AF_INET), READ, RECV_WAITALL);
}

SCENARIO(restart, stream_receives_restarted)
{
	with_restart(tcp_pair(AF_INET), RECVFROM, RECVMMSG);
}

SCENARIO(restart, datagram_reads_interrupted)
{
	without_restart(udp_pair(AF_INET), READ, RECV);
}

SCENARIO(restart, datagram_receives_interrupted)
{
	without_restart(udp_pair(AF_INET), RECVFROM, RECVMMSG);
}

SCENARIO(restart, datagram_reads_restarted)
{
	with_restart(udp_pair(AF_INET), READ, RECV);
}

SCENARIO(restart, datagram_receives_restarted)
{
	with_restart(udp_pair(AF_INET), RECVFROM, RECVMMSG);
}

static void *
signal_once(void *thread)
{
	pause_ms(60);
	pthread_kill(*(pthread_t *)thread, SIGUSR1);
	return NULL;
}

/* With a timeout, a handler ends the call whatever its flags. One signal, so that also a call that is restarted ends. */
static void
with_timeout(struct pair pair)
{
	pthread_t self = pthread_self();

	count_signal(SIGUSR1, SA_RESTART);
	set_receive_timeout(pair.server, 400);
	for (enum blocking call = READ; call <= RECVMMSG; call++) {
		pthread_t thread;
		int error;
		long rc;

		if (call == RECV_WAITALL)
			continue;
		thread = start_thread(signal_once, &self);
		rc = block_in(call, pair.server);
		error = errno;
		join_thread(thread);
		errno = error;
		observe_call(names[call], rc);
	}
}

SCENARIO(restart, stream_with_timeout)
{
	with_timeout(tcp_pair(AF_INET));
}

SCENARIO(restart, datagram_with_timeout)
{
	with_timeout(udp_pair(AF_INET));
}

/* A part that was received is the result, and not an error. */
static void *
send_part(void *argument)
{
	send_text(*(int *)argument, "part");
	return NULL;
}

SCENARIO(restart, waitall_with_a_part)
{
	struct pair pair = tcp_pair(AF_INET);
	static char text[16];
	pthread_t thread;
	ssize_t n;

	send_part(&pair.client);
	wait_queued(pair.server, 4);
	count_signal(SIGUSR1, 0);
	nudge_start();
	n = recv(pair.server, text, 10, MSG_WAITALL);
	nudge_stop();
	observe_bytes("interrupted", text, n);
	count_signal(SIGUSR1, SA_RESTART);
	send_part(&pair.client);
	wait_queued(pair.server, 4);
	thread = start_thread(send_late, &pair.client);
	nudge_start();
	n = recv(pair.server, text, 8, MSG_WAITALL);
	nudge_stop();
	observe_bytes("with SA_RESTART", text, n);
	join_thread(thread);
}

/* --- Writers -------------------------------------------------------------------------------------- */

/* Until not one byte more has gone in for longer than the kernel waits before it tries a closed window. */
static void
fill(struct pair pair)
{
	static char chunk[65536];

	/* Sizes that are set do not grow. */
	set_option(pair.client, SOL_SOCKET, SO_SNDBUF, 16384);
	set_option(pair.server, SOL_SOCKET, SO_RCVBUF, 16384);
	set_nonblocking(pair.client, true);
	for (int idle = 0; idle < 15;)
		if (send(pair.client, chunk, sizeof chunk, MSG_NOSIGNAL) > 0) {
			idle = 0;
		} else {
			idle++;
			pause_ms(20);
		}
	set_nonblocking(pair.client, false);
}

SCENARIO(restart, full_sends_interrupted)
{
	struct pair pair = tcp_pair(AF_INET);
	static char chunk[65536];
	struct iovec iov = {chunk, sizeof chunk};
	struct mmsghdr many = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	fill(pair);
	count_signal(SIGUSR1, 0);
	for (int i = 0; i < 5; i++) {
		static const char *const calls[] = {"write", "writev", "send", "sendmsg", "sendmmsg"};
		long rc;

		nudge_start();
		rc = i == 0   ? write(pair.client, chunk, sizeof chunk)
		     : i == 1 ? writev(pair.client, &iov, 1)
		     : i == 2 ? send(pair.client, chunk, sizeof chunk, 0)
		     : i == 3 ? sendmsg(pair.client, &many.msg_hdr, 0)
		              : sendmmsg(pair.client, &many, 1, 0);
		nudge_stop();
		observe_call(calls[i], rc);
	}
}

static void *
drain_late(void *argument)
{
	static char chunk[65536];

	pause_ms(DATA_MS);
	while (recv(*(int *)argument, chunk, sizeof chunk, 0) > 0)
		;
	return NULL;
}

SCENARIO(restart, full_send_restarted)
{
	struct pair pair = tcp_pair(AF_INET);
	pthread_t thread;
	long rc;

	fill(pair);
	count_signal(SIGUSR1, SA_RESTART);
	thread = start_thread(drain_late, &pair.server);
	nudge_start();
	rc = send(pair.client, "more", 4, 0);
	nudge_stop();
	observe_call("send", rc);
	OBSERVE("signals came %d", signals_counted() > 0);
	close(pair.client);
	join_thread(thread);
}

SCENARIO(restart, full_send_times_out)
{
	struct pair pair = tcp_pair(AF_INET);
	struct timeval timeout = {.tv_usec = 100000};
	struct iovec iov = {"x", 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	fill(pair);
	must("SO_SNDTIMEO", setsockopt(pair.client, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout));
	observe_call("send", send(pair.client, "x", 1, 0));
	observe_call("sendmsg", sendmsg(pair.client, &message, 0));
	observe_call("write", write(pair.client, "x", 1));
}

/* --- accept and connect --------------------------------------------------------------------------- */

struct caller {
	struct address at;
	int count, every_ms;
};

static void *
connect_many(void *argument)
{
	struct caller *caller = argument;

	for (int i = 0; i < caller->count; i++) {
		int fd = tcp_socket(AF_INET);

		pause_ms(caller->every_ms);
		must("connect", connect_fd(fd, &caller->at));
		must("send", send(fd, &i, sizeof i, 0));
	}
	return NULL;
}

/* Signals rain on a reader that accepts and receives: every connection and every byte comes, in order. */
static void
nothing_lost(int flags)
{
	int listener = tcp_listener(AF_INET), wrong = 0, interrupted = 0;
	struct caller caller = {local_of(listener), 40, 4};
	pthread_t thread;

	count_signal(SIGUSR1, flags);
	thread = start_thread(connect_many, &caller);
	nudge_start();
	for (int i = 0; i < caller.count; i++) {
		struct address from = {.length = sizeof from.storage};
		int fd, number = -1;
		ssize_t n;

		while ((fd = accept(listener, SA(&from), &from.length)) < 0 && errno == EINTR)
			interrupted++;
		must("accept", fd);
		while ((n = recvfrom(fd, &number, sizeof number, 0, SA(&from), &from.length)) < 0 && errno == EINTR)
			interrupted++;
		wrong += n != sizeof number || number != i;
		close(fd);
	}
	nudge_stop();
	join_thread(thread);
	OBSERVE("wrong %d, interrupted %s", wrong, flags ? interrupted ? "although restarted" : "never" : "perhaps");
}

SCENARIO(restart, nothing_lost_when_interrupted)
{
	nothing_lost(0);
}

SCENARIO(restart, nothing_lost_when_restarted)
{
	nothing_lost(SA_RESTART);
}

SCENARIO(restart, connect_with_timeout)
{
	struct pair stalled = tcp_stalled(AF_INET);
	struct address at = local_of(stalled.server);
	struct timeval timeout = {.tv_usec = 400000};
	pthread_t self = pthread_self(), thread;
	int fd = tcp_socket(AF_INET), error;
	long rc;

	must("SO_SNDTIMEO", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout));
	count_signal(SIGUSR1, SA_RESTART);
	thread = start_thread(signal_once, &self);
	rc = connect_fd(fd, &at);
	error = errno;
	join_thread(thread);
	errno = error;
	observe_call("connect", rc);
	set_nonblocking(fd, true);
	observe_call("again", connect(fd, SA(&at), at.length) < 0 && (errno == EALREADY || errno == EINPROGRESS) ? 0 : -1);
}

/* ppoll and epoll_pwait let a signal in for the wait alone. */
SCENARIO(restart, masked_waits)
{
	struct pair pair = tcp_pair(AF_INET);
	int epoll = must("epoll_create1", epoll_create1(0));
	struct epoll_event event = {.events = EPOLLIN};
	struct pollfd item = {pair.server, POLLIN, 0};
	struct timespec timeout = {.tv_sec = 3};
	sigset_t blocked, none;

	must("EPOLL_CTL_ADD", epoll_ctl(epoll, EPOLL_CTL_ADD, pair.server, &event));
	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR2);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	count_signal(SIGUSR2, SA_RESTART);
	raise(SIGUSR2);
	observe_call("ppoll", ppoll(&item, 1, &timeout, &none));
	raise(SIGUSR2);
	observe_call("epoll_pwait", epoll_pwait(epoll, &event, 1, 3000, &none));
	OBSERVE("signals %d", signals_counted());
	send_text(pair.client, "x");
	observe_call("ppoll", ppoll(&item, 1, &timeout, &none));
}

/* --- SIGPIPE -------------------------------------------------------------------------------------- */

static void
observe_pipe_signal(const char *what, int fd, int flags, bool message)
{
	struct iovec iov = {"x", 1};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
	int before = signals_counted();

	observe_call(what, message ? sendmsg(fd, &header, flags) : send(fd, "x", 1, flags));
	OBSERVE("SIGPIPE %d", signals_counted() - before);
}

SCENARIO_V4_V6(restart, pipe_signals)
{
	struct pair pair = tcp_pair(family);
	int fresh = tcp_socket(family);

	count_signal(SIGPIPE, 0);
	must("shutdown", shutdown(pair.client, SHUT_WR));
	observe_pipe_signal("send", pair.client, 0, false);
	observe_pipe_signal("send, no signal", pair.client, MSG_NOSIGNAL, false);
	observe_pipe_signal("sendmsg", pair.client, 0, true);
	observe_pipe_signal("sendmsg, no signal", pair.client, MSG_NOSIGNAL, true);
	observe_pipe_signal("fresh", fresh, 0, false);
	observe_pipe_signal("fresh, no signal", fresh, MSG_NOSIGNAL, false);
}

SCENARIO_V4_V6(restart, pipe_signals_of_datagrams)
{
	struct pair pair = udp_pair(family);
	struct address to = local_of(pair.server);

	count_signal(SIGPIPE, 0);
	must("shutdown", shutdown(pair.client, SHUT_WR));
	observe_pipe_signal("send", pair.client, 0, false);
	observe_pipe_signal("sendmsg", pair.client, 0, true);
	observe_call("sendto", sendto(pair.client, "x", 1, 0, SA(&to), to.length));
	OBSERVE("SIGPIPE %d", signals_counted());
}
