/* Signals that meet a blocking call. (accept and connect have theirs in their own files.) */
#include "tests/conformance/scenario.h"

static void *
send_later(void *argument)
{
	pause_ms(250);
	send_text(*(int *)argument, "later");
	return NULL;
}

static void
observe_interrupted_recv(struct pair pair, int flags, bool from)
{
	char buffer[32];
	struct address name = {.length = sizeof name.storage};
	ssize_t n;

	count_signal(SIGUSR1, flags);
	nudge_start();
	if (from)
		n = recvfrom(pair.server, buffer, sizeof buffer, 0, SA(&name), &name.length);
	else
		n = recv(pair.server, buffer, sizeof buffer, 0);
	nudge_stop();
	observe_bytes("recv", buffer, n);
	OBSERVE("signals came %d", signals_counted() > 0);
}

SCENARIO(signals, tcp_recv)
{
	struct pair pair = tcp_pair(AF_INET);

	observe_interrupted_recv(pair, 0, false);
	send_text(pair.client, "not lost");
	observe_recv("recv", pair.server, 32, 0);
}

SCENARIO(signals, tcp_recv_restarted)
{
	struct pair pair = tcp_pair(AF_INET);
	pthread_t thread = start_thread(send_later, &pair.client);

	observe_interrupted_recv(pair, SA_RESTART, false);
	join_thread(thread);
}

SCENARIO(signals, udp_recvfrom)
{
	struct pair pair = udp_pair(AF_INET);

	observe_interrupted_recv(pair, 0, true);
	send_text(pair.client, "not lost");
	observe_recvfrom("recvfrom", pair.server, 32, 0);
}

SCENARIO(signals, udp_recvfrom_restarted)
{
	struct pair pair = udp_pair(AF_INET);
	pthread_t thread = start_thread(send_later, &pair.client);

	observe_interrupted_recv(pair, SA_RESTART, true);
	join_thread(thread);
}

SCENARIO(signals, recv_with_timeout)
{
	struct pair pair = tcp_pair(AF_INET);

	/* signal(7): with SO_RCVTIMEO set, SA_RESTART does not restart it. */
	set_receive_timeout(pair.server, 5000);
	observe_interrupted_recv(pair, SA_RESTART, false);
}

SCENARIO(signals, recvmsg)
{
	int fd = udp_bound(AF_INET);
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct mmsghdr many = {.msg_hdr = message};
	long rc;

	count_signal(SIGUSR1, 0);
	nudge_start();
	rc = recvmsg(fd, &message, 0);
	nudge_stop();
	observe_call("recvmsg", rc);
	nudge_start();
	rc = recvmmsg(fd, &many, 1, 0, NULL);
	nudge_stop();
	observe_call("recvmmsg", rc);
}

SCENARIO(signals, no_datagram_lost)
{
	struct pair pair = udp_pair(AF_INET);
	int wrong = 0, got = 0;

	/* Each datagram waits for its predecessor to be read, while signals rain on the reader. */
	count_signal(SIGUSR1, 0);
	nudge_start();
	for (int i = 0; i < 100; i++) {
		struct address name = {.length = sizeof name.storage};
		int value = -1;
		ssize_t n;

		must("send", send(pair.client, &i, sizeof i, 0));
		pause_ms(3);
		do
			n = recvfrom(pair.server, &value, sizeof value, 0, SA(&name), &name.length);
		while (n < 0 && errno == EINTR);
		got++;
		wrong += value != i;
	}
	nudge_stop();
	OBSERVE("got %d, wrong %d", got, wrong);
}

SCENARIO(signals, poll_and_epoll)
{
	struct pair pair = tcp_pair(AF_INET);
	int epoll = must("epoll_create1", epoll_create1(0));
	struct epoll_event event = {.events = EPOLLIN};
	long rc;

	must("EPOLL_CTL_ADD", epoll_ctl(epoll, EPOLL_CTL_ADD, pair.server, &event));
	count_signal(SIGUSR1, SA_RESTART);
	nudge_start();
	rc = poll(&(struct pollfd){pair.server, POLLIN, 0}, 1, 5000);
	nudge_stop();
	observe_call("poll", rc);
	nudge_start();
	rc = epoll_wait(epoll, &event, 1, 5000);
	nudge_stop();
	observe_call("epoll_wait", rc);
}

SCENARIO(signals, blocked_send)
{
	struct pair pair = tcp_pair(AF_INET);
	static char chunk[1 << 20];
	ssize_t n;

	count_signal(SIGUSR1, 0);
	nudge_start();
	/* Full after some partial writes; then a send that moved nothing is interrupted. */
	for (int i = 0; i < 1000; i++)
		if ((n = send(pair.client, chunk, sizeof chunk, 0)) < 0)
			break;
	nudge_stop();
	observe_call("send", n);
}

SCENARIO(signals, stop_and_continue)
{
	struct pair pair = tcp_pair(AF_INET);
	pid_t child = must("fork", fork());

	if (child == 0) {
		alarm(SCENARIO_SECONDS);
		observe_recv("child", pair.server, 32, 0);
		_exit(0);
	}
	wait_asleep(child);
	kill(child, SIGSTOP);
	pause_ms(50);
	kill(child, SIGCONT);
	pause_ms(50);
	send_text(pair.client, "after SIGCONT");
	observe_child("child", child);
}

static int
blocked_accept(void *argument)
{
	accept(*(int *)argument, NULL, NULL);
	return 1;
}

SCENARIO(signals, kill_blocked_accept)
{
	int listener = tcp_listener(AF_INET), fd = tcp_socket(AF_INET);
	struct address at = local_of(listener);
	pid_t child = start_child(blocked_accept, &listener);

	wait_asleep(child);
	kill(child, SIGKILL);
	observe_child("child", child);
	/* The connection that comes now is for us. */
	must("connect", connect_fd(fd, &at));
	observe_poll("listener", listener, POLLIN, POLLIN);
	set_nonblocking(listener, true);
	observe_fd("accept", accept(listener, NULL, NULL));
}

SCENARIO(signals, pending_before_call)
{
	struct pair pair = tcp_pair(AF_INET);
	sigset_t set, old;

	/* A signal that is pending but blocked interrupts nothing. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, &old);
	count_signal(SIGUSR2, 0);
	raise(SIGUSR2);
	set_receive_timeout(pair.server, 200);
	observe_recv("recv", pair.server, 10, 0);
	OBSERVE("signals %d", signals_counted());
	sigprocmask(SIG_SETMASK, &old, NULL);
	OBSERVE("signals %d", signals_counted());
}
