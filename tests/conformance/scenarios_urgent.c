/* Urgent data: MSG_OOB, SO_OOBINLINE, SIOCATMARK, SIGURG, POLLPRI. */
#include "tests/conformance/scenario.h"

static void
observe_mark(const char *what, int fd)
{
	int at = -1;

	if (ioctl(fd, SIOCATMARK, &at) < 0)
		OBSERVE("%s: SIOCATMARK = -1 %s", what, error_name(errno));
	else
		OBSERVE("%s: SIOCATMARK %d", what, at);
}

SCENARIO_V4_V6(urgent, between_data)
{
	struct pair pair = tcp_pair(family);

	observe_mark("nothing", pair.server);
	send_text(pair.client, "before");
	observe_call("send OOB", send(pair.client, "!", 1, MSG_OOB));
	send_text(pair.client, "after");
	observe_poll("urgent", pair.server, POLLIN | POLLPRI, POLLIN | POLLPRI);
	wait_queued(pair.server, 6);
	observe_mark("before", pair.server);
	/* A read stops at the mark. */
	observe_recv("first", pair.server, 64, MSG_DONTWAIT);
	observe_mark("at", pair.server);
	observe_recv("OOB", pair.server, 64, MSG_OOB);
	observe_recv("OOB again", pair.server, 64, MSG_OOB);
	observe_recv("second", pair.server, 64, 0);
	observe_mark("past", pair.server);
	observe_recv("OOB later", pair.server, 64, MSG_OOB);
	observe_poll("over", pair.server, POLLIN | POLLPRI | POLLOUT, POLLOUT);
}

SCENARIO_V4_V6(urgent, inline_)
{
	struct pair pair = tcp_pair(family);

	set_option(pair.server, SOL_SOCKET, SO_OOBINLINE, 1);
	send_text(pair.client, "before");
	must("send", send(pair.client, "!", 1, MSG_OOB));
	send_text(pair.client, "after");
	observe_poll("urgent", pair.server, POLLIN | POLLPRI, POLLIN | POLLPRI);
	wait_queued(pair.server, 12);
	observe_recv("OOB", pair.server, 64, MSG_OOB);
	observe_recv("first", pair.server, 64, MSG_DONTWAIT);
	observe_mark("at", pair.server);
	observe_recv("second", pair.server, 64, MSG_DONTWAIT);
	observe_mark("past", pair.server);
}

/* The last byte of what is sent is the urgent one. */
SCENARIO_V4_V6(urgent, last_byte_of_several)
{
	struct pair pair = tcp_pair(family);

	observe_call("send OOB", send(pair.client, "abc", 3, MSG_OOB));
	observe_poll("urgent", pair.server, POLLIN | POLLPRI, POLLIN | POLLPRI);
	wait_queued(pair.server, 2);
	observe_recv("OOB", pair.server, 64, MSG_OOB);
	observe_recv("data", pair.server, 64, MSG_DONTWAIT);
	observe_recv("data", pair.server, 64, MSG_DONTWAIT);
}

/* A second urgent byte takes the place of the first. */
SCENARIO_V4_V6(urgent, twice)
{
	struct pair pair = tcp_pair(family);
	int64_t end = now_ms() + WAIT_MS;
	char byte = 0;

	must("send", send(pair.client, "1", 1, MSG_OOB));
	wait_for(pair.server, POLLPRI);
	must("send", send(pair.client, "2", 1, MSG_OOB));
	while (byte != '2' && now_ms() < end && recv(pair.server, &byte, 1, MSG_OOB | MSG_PEEK) < 2)
		pause_ms(2);
	observe_recv("OOB", pair.server, 64, MSG_OOB);
	observe_recv("data", pair.server, 64, MSG_DONTWAIT);
	observe_recv("data", pair.server, 64, MSG_DONTWAIT);
}

SCENARIO_V4_V6(urgent, peeked)
{
	struct pair pair = tcp_pair(family);

	must("send", send(pair.client, "!", 1, MSG_OOB));
	wait_for(pair.server, POLLPRI);
	observe_recv("peek", pair.server, 64, MSG_OOB | MSG_PEEK);
	observe_recv("peek", pair.server, 64, MSG_OOB | MSG_PEEK);
	observe_recv("take", pair.server, 64, MSG_OOB);
	observe_recv("take", pair.server, 64, MSG_OOB | MSG_PEEK);
}

SCENARIO_V4_V6(urgent, none)
{
	struct pair pair = tcp_pair(family);
	int udp = udp_bound(family), listener = tcp_listener(family), fresh = tcp_socket(family);

	observe_recv("connected", pair.client, 1, MSG_OOB);
	observe_recv("fresh", fresh, 1, MSG_OOB);
	observe_recv("listener", listener, 1, MSG_OOB);
	observe_recv("datagram", udp, 1, MSG_OOB | MSG_DONTWAIT);
	observe_call("send, fresh", send(fresh, "!", 1, MSG_OOB | MSG_NOSIGNAL));
	observe_mark("fresh", fresh);
	observe_mark("listener", listener);
	observe_mark("datagram", udp);
	set_option(pair.client, SOL_SOCKET, SO_OOBINLINE, 1);
	observe_recv("inline", pair.client, 1, MSG_OOB);
}

SCENARIO_V4_V6(urgent, datagram)
{
	struct pair pair = udp_pair(family);
	struct address to = local_of(pair.server);

	observe_call("send", send(pair.client, "!", 1, MSG_OOB));
	observe_call("sendto", sendto(pair.client, "!", 1, MSG_OOB, SA(&to), to.length));
}

SCENARIO_V4_V6(urgent, before_end)
{
	struct pair pair = tcp_pair(family);

	must("send", send(pair.client, "!", 1, MSG_OOB));
	shutdown(pair.client, SHUT_WR);
	observe_poll("end", pair.server, POLLIN | POLLPRI | POLLRDHUP, POLLIN | POLLPRI | POLLRDHUP);
	observe_recv("OOB", pair.server, 1, MSG_OOB);
	observe_recv("data", pair.server, 64, 0);
	observe_recv("OOB at the end", pair.server, 1, MSG_OOB);
}

SCENARIO_V4_V6(urgent, after_shutdown)
{
	struct pair pair = tcp_pair(family);

	shutdown(pair.client, SHUT_WR);
	observe_call("send", send(pair.client, "!", 1, MSG_OOB | MSG_NOSIGNAL));
}

/* A busy line: the mark is where it was put, whatever the sizes. */
SCENARIO(urgent, mark_in_bulk)
{
	struct pair pair = tcp_pair(AF_INET);
	enum { BEFORE = 30000, AFTER = 20000 };
	char *data = must_alloc(BEFORE + AFTER);
	size_t before = 0, after = 0;
	int at = 0;

	must("send", send_all(pair.client, data, BEFORE) == BEFORE ? 0 : -1);
	must("send", send(pair.client, "!", 1, MSG_OOB));
	must("send", send_all(pair.client, data, AFTER) == AFTER ? 0 : -1);
	shutdown(pair.client, SHUT_WR);
	wait_for(pair.server, POLLPRI);
	for (;;) {
		ssize_t n;

		if (!at)
			must("SIOCATMARK", ioctl(pair.server, SIOCATMARK, &at));
		n = must("recv", recv(pair.server, data, BEFORE + AFTER, 0));
		if (n == 0)
			break;
		*(at ? &after : &before) += (size_t)n;
	}
	OBSERVE("before %zu after %zu", before, after);
}

SCENARIO(urgent, by_messages)
{
	struct pair pair = tcp_pair(AF_INET);
	char byte = '!';
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct mmsghdr many = {.msg_hdr = message};

	observe_call("sendmsg", sendmsg(pair.client, &message, MSG_OOB));
	wait_for(pair.server, POLLPRI);
	byte = '?';
	observe_call("recvmsg", recvmsg(pair.server, &message, MSG_OOB));
	OBSERVE("%c flags %s", byte, msg_flags_name(message.msg_flags));
	byte = '+';
	observe_call("sendmmsg", sendmmsg(pair.client, &many, 1, MSG_OOB));
	wait_for(pair.server, POLLPRI);
	byte = '?';
	observe_call("recvmmsg", recvmmsg(pair.server, &many, 1, MSG_OOB, NULL));
	OBSERVE("%c flags %s", byte, msg_flags_name(many.msg_hdr.msg_flags));
	observe_call("sendto", sendto(pair.client, "#", 1, MSG_OOB, NULL, 0));
	wait_for(pair.server, POLLPRI);
	observe_recvfrom("recvfrom", pair.server, 1, MSG_OOB);
}

static void
owned_urgent(bool owned)
{
	struct pair pair = tcp_pair(AF_INET);
	int64_t end = now_ms() + (owned ? WAIT_MS : QUIET_MS);

	count_signal(SIGURG, 0);
	if (owned)
		observe_call("F_SETOWN", fcntl(pair.server, F_SETOWN, getpid()));
	must("send", send(pair.client, "!", 1, MSG_OOB));
	while (signals_counted() == 0 && now_ms() < end)
		pause_ms(2);
	OBSERVE("SIGURG %d", signals_counted());
}

SCENARIO(urgent, signal)
{
	owned_urgent(true);
}

SCENARIO(urgent, signal_without_owner)
{
	owned_urgent(false);
}

SCENARIO(urgent, epoll)
{
	struct pair pair = tcp_pair(AF_INET);
	int epoll = must("epoll_create1", epoll_create1(0));
	struct epoll_event event = {.events = EPOLLPRI | EPOLLET};

	must("EPOLL_CTL_ADD", epoll_ctl(epoll, EPOLL_CTL_ADD, pair.server, &event));
	send_text(pair.client, "plain");
	observe_epoll_quiet("plain", epoll);
	must("send", send(pair.client, "!", 1, MSG_OOB));
	observe_epoll("urgent", epoll, EPOLLPRI);
	observe_recv("OOB", pair.server, 1, MSG_OOB);
	must("send", send(pair.client, "!", 1, MSG_OOB));
	observe_epoll("urgent again", epoll, EPOLLPRI);
}

SCENARIO(urgent, select)
{
	struct pair pair = tcp_pair(AF_INET);
	struct timeval timeout = {.tv_sec = 2};
	fd_set read_set, except_set;

	must("send", send(pair.client, "!", 1, MSG_OOB));
	FD_ZERO(&read_set);
	FD_ZERO(&except_set);
	FD_SET(pair.server, &except_set);
	observe_call("select", select(pair.server + 1, &read_set, NULL, &except_set, &timeout));
	OBSERVE("exceptional %d", FD_ISSET(pair.server, &except_set));
}
