/* MSG_ERRQUEUE: refusals with their datagrams, notes of what was sent without copying, stamps of what was sent. */
#include "tests/conformance/message.h"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/udp.h>

#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif

static int
recverr(int family)
{
	return family == AF_INET ? IP_RECVERR : IPV6_RECVERR;
}

static int
told_udp(int family)
{
	int fd = udp_bound(family);

	set_option(fd, level_of(family), recverr(family), 1);
	return fd;
}

static struct address
refusing(int family)
{
	return local_of(udp_refusing(family));
}

SCENARIO_V4_V6(error_queue, empty)
{
	int fd = told_udp(family), plain = udp_bound(family);
	struct pair pair = tcp_pair(family);

	observe_message("told", fd, CONTROL_MAX, MSG_ERRQUEUE);
	observe_message("told, dontwait", fd, CONTROL_MAX, MSG_ERRQUEUE | MSG_DONTWAIT);
	observe_message("not told", plain, CONTROL_MAX, MSG_ERRQUEUE);
	observe_message("stream", pair.client, CONTROL_MAX, MSG_ERRQUEUE);
	observe_message("fresh stream", tcp_socket(family), CONTROL_MAX, MSG_ERRQUEUE);
	observe_message("listener", tcp_listener(family), CONTROL_MAX, MSG_ERRQUEUE);
	observe_recv("recv", fd, 10, MSG_ERRQUEUE);
	observe_recvfrom("recvfrom", fd, 10, MSG_ERRQUEUE);
}

SCENARIO_V4_V6(error_queue, unconnected)
{
	int fd = told_udp(family);
	struct address to = refusing(family);

	must("sendto", sendto(fd, "lost", 4, 0, SA(&to), to.length));
	observe_poll("refused", fd, POLLIN | POLLOUT, POLLERR);
	wait_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
	observe_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
	observe_so_error("after", fd);
	observe_poll("after", fd, POLLIN | POLLOUT, POLLOUT);
}

SCENARIO_V4_V6(error_queue, connected)
{
	int fd = told_udp(family);
	struct address to = refusing(family);

	must("connect", connect_fd(fd, &to));
	send_text(fd, "lost");
	wait_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
	observe_recv("plain", fd, 10, MSG_DONTWAIT);
	send_text(fd, "lost again");
	wait_for(fd, 0);
	observe_call("send tells", send(fd, "x", 1, 0));
	wait_message("the queue still has it", fd, CONTROL_MAX, MSG_ERRQUEUE);
}

/* Errors are told in order, one a call; SO_ERROR is that of the next. */
SCENARIO_V4_V6(error_queue, several)
{
	int fd = told_udp(family);
	struct address one = refusing(family), other = refusing(family);

	must("sendto", sendto(fd, "one", 3, 0, SA(&one), one.length));
	wait_for(fd, 0);
	must("sendto", sendto(fd, "", 0, 0, SA(&other), other.length) < 0 && errno != ECONNREFUSED ? -1 : 0);
	must("sendto", sendto(fd, "two", 3, 0, SA(&other), other.length) < 0 && errno != ECONNREFUSED ? -1 : 0);
	pause_ms(QUIET_MS);
	for (int i = 0; i < 4; i++)
		observe_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
	observe_so_error("after", fd);
}

SCENARIO_V4_V6(error_queue, truncated)
{
	int fd = told_udp(family);
	struct address to = refusing(family);
	static const size_t sizes[] = {0, 8, 16, 24, 32, 40, 48, 56};

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char byte;
		struct iovec iov = {&byte, 1};
		struct control control;
		struct msghdr message = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizes[i],
		};

		must("sendto", sendto(fd, "long enough", 11, 0, SA(&to), to.length));
		wait_for(fd, POLLIN); /* that poll says IN for it behind splitsock is known */
		OBSERVE("room for %zu", sizes[i]);
		observe_call("recvmsg", recvmsg(fd, &message, MSG_ERRQUEUE | (i & 1 ? MSG_TRUNC : 0)));
		OBSERVE("flags %s control %zu", msg_flags_name(message.msg_flags), (size_t)message.msg_controllen);
		observe_so_error("after", fd);
	}
}

/* Reading the queue takes from it although told to peek. */
SCENARIO_V4_V6(error_queue, peeked)
{
	int fd = told_udp(family);
	struct address to = refusing(family);

	must("sendto", sendto(fd, "lost", 4, 0, SA(&to), to.length));
	wait_message("peek", fd, CONTROL_MAX, MSG_ERRQUEUE | MSG_PEEK);
	observe_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
}

SCENARIO_V4_V6(error_queue, by_recvfrom_and_recvmmsg)
{
	int fd = told_udp(family);
	struct address to = refusing(family);
	char texts[2][8];
	struct iovec iov[2] = {{texts[0], 8}, {texts[1], 8}};
	struct mmsghdr many[2] = {
		{.msg_hdr = {.msg_iov = &iov[0], .msg_iovlen = 1}}, {.msg_hdr = {.msg_iov = &iov[1], .msg_iovlen = 1}},
	};

	must("sendto", sendto(fd, "lost", 4, 0, SA(&to), to.length));
	wait_for(fd, 0);
	observe_recvfrom("recvfrom", fd, 10, MSG_ERRQUEUE);
	must("sendto", sendto(fd, "more", 4, 0, SA(&to), to.length));
	wait_for(fd, 0);
	observe_call("recvmmsg", recvmmsg(fd, many, 2, MSG_ERRQUEUE, NULL));
	observe_bytes("message", texts[0], many[0].msg_len);
	OBSERVE("flags %s", msg_flags_name(many[0].msg_hdr.msg_flags));
}

/* Data and an error at once: neither hides the other. */
SCENARIO_V4_V6(error_queue, beside_data)
{
	int fd = told_udp(family), other = udp_bound(family);
	struct address to = refusing(family), at = local_of(fd);

	must("sendto", sendto(fd, "lost", 4, 0, SA(&to), to.length));
	wait_for(fd, 0);
	must("sendto", sendto(other, "data", 4, 0, SA(&at), at.length));
	observe_poll("both", fd, POLLIN | POLLOUT, POLLIN | POLLERR);
	wait_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
	observe_poll("one", fd, POLLIN | POLLOUT, POLLIN);
	observe_recvfrom("recvfrom", fd, 10, MSG_DONTWAIT);
}

SCENARIO_V4_V6(error_queue, purged_by_option)
{
	int fd = told_udp(family);
	struct address to = refusing(family);

	must("sendto", sendto(fd, "lost", 4, 0, SA(&to), to.length));
	wait_for(fd, 0);
	set_option(fd, level_of(family), recverr(family), 0);
	observe_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
	observe_so_error("after", fd);
}

SCENARIO_V4_V6(error_queue, epoll)
{
	int fd = told_udp(family), epoll = must("epoll_create1", epoll_create1(0));
	struct address to = refusing(family);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	must("EPOLL_CTL_ADD", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	must("sendto", sendto(fd, "lost", 4, 0, SA(&to), to.length));
	observe_epoll("first", epoll, EPOLLERR);
	observe_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
	must("sendto", sendto(fd, "lost", 4, 0, SA(&to), to.length));
	observe_epoll("second", epoll, EPOLLERR);
}

/* A blocked reader is woken, and told. */
static void *
refuse_later(void *argument)
{
	int *fds = argument;
	struct address to = refusing(AF_INET);

	pause_ms(50);
	must("sendto", sendto(fds[0], "lost", 4, 0, SA(&to), to.length));
	return NULL;
}

SCENARIO(error_queue, wakes_blocked_recvfrom)
{
	int fd = told_udp(AF_INET);
	pthread_t thread = start_thread(refuse_later, &fd);

	set_receive_timeout(fd, WAIT_MS);
	observe_recvfrom("recvfrom", fd, 10, 0);
	join_thread(thread);
	observe_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
}

/* A connect() that is refused leaves an ICMP-less error: TCP's queue stays empty. */
SCENARIO_V4_V6(error_queue, of_refused_stream)
{
	int fd = tcp_socket(family);
	struct address to = local_of(tcp_bound(family));

	set_option(fd, level_of(family), recverr(family), 1);
	observe_call("connect", connect_fd(fd, &to));
	observe_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
}

/* Too big to be sent, with fragmenting forbidden: IPv6 puts that into the queue, too. */
SCENARIO_V4_V6(error_queue, too_big)
{
	int fd = told_udp(family);
	struct address to = local_of(udp_bound(family));
	static const size_t sizes[] = {65000, 65507, 65508, 65527, 65528, 65535, 65536};
	static char big[65536];

	set_option(fd, level_of(family), family == AF_INET ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, IP_PMTUDISC_DO);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		OBSERVE("%zu", sizes[i]);
		observe_call("sendto", sendto(fd, big, sizes[i], 0, SA(&to), to.length));
		observe_so_error("after", fd);
		observe_message("queue", fd, CONTROL_MAX, MSG_ERRQUEUE);
	}
}

/* --- MSG_ZEROCOPY --------------------------------------------------------------------------------- */

static void
observe_completions(const char *what, int fd, unsigned count)
{
	int64_t end = now_ms() + WAIT_MS;
	unsigned next = 0, wrong = 0;

	/* The kernel merges notes of neighbours as it likes; together they cover everything, in order. */
	while (next < count && now_ms() < end) {
		struct control control;
		struct msghdr message = {.msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
		struct sock_extended_err error;

		if (recvmsg(fd, &message, MSG_ERRQUEUE) < 0) {
			if (errno != EAGAIN)
				must("recvmsg", -1);
			pause_ms(2);
			continue;
		}
		if (!CMSG_FIRSTHDR(&message))
			must("a control message", -1);
		memcpy(&error, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof error);
		wrong += error.ee_errno != 0 || error.ee_origin != SO_EE_ORIGIN_ZEROCOPY || error.ee_info != next ||
		         error.ee_data < error.ee_info || !(message.msg_flags & MSG_ERRQUEUE);
		next = error.ee_data + 1;
	}
	OBSERVE("%s: %u completions, %u wrong", what, next, wrong);
}

SCENARIO_V4_V6(zerocopy, option)
{
	int tcp = tcp_socket(family), udp = udp_socket(family);

	observe_set_option("TCP", tcp, SOL_SOCKET, SO_ZEROCOPY, 1);
	observe_set_option("UDP", udp, SOL_SOCKET, SO_ZEROCOPY, 1);
	observe_set_option("TCP", tcp, SOL_SOCKET, SO_ZEROCOPY, 2);
	observe_set_option("TCP", tcp, SOL_SOCKET, SO_ZEROCOPY, -1);
	observe_set_option("TCP", tcp, SOL_SOCKET, SO_ZEROCOPY, 0);
}

SCENARIO_V4_V6(zerocopy, stream)
{
	struct pair pair = tcp_pair(family);
	static char data[3][10000];
	char *back = must_alloc(sizeof data);

	set_option(pair.client, SOL_SOCKET, SO_ZEROCOPY, 1);
	fill_pattern(data, sizeof data, 3);
	for (int i = 0; i < 3; i++)
		observe_call("send", send(pair.client, data[i], sizeof data[i], MSG_ZEROCOPY));
	read_all(pair.server, back, sizeof data);
	OBSERVE("alike %d", memcmp(back, data, sizeof data) == 0);
	observe_completions("stream", pair.client, 3);
	observe_message("queue", pair.client, CONTROL_MAX, MSG_ERRQUEUE);
	observe_so_error("after", pair.client);
	observe_poll("after", pair.client, POLLIN | POLLOUT, POLLOUT);
}

SCENARIO_V4_V6(zerocopy, datagrams)
{
	struct pair pair = udp_pair(family);
	static char data[5000];

	set_option(pair.client, SOL_SOCKET, SO_ZEROCOPY, 1);
	fill_pattern(data, sizeof data, 4);
	for (int i = 0; i < 3; i++) {
		observe_call("send", send(pair.client, data, sizeof data, MSG_ZEROCOPY));
		wait_for(pair.server, POLLIN);
		observe_recv("recv", pair.server, 6000, MSG_DONTWAIT);
	}
	observe_completions("datagrams", pair.client, 3);
}

SCENARIO_V4_V6(zerocopy, one_note)
{
	struct pair pair = tcp_pair(family);
	static char data[20000];
	char *back = must_alloc(sizeof data);

	set_option(pair.client, SOL_SOCKET, SO_ZEROCOPY, 1);
	must("send", send(pair.client, data, sizeof data, MSG_ZEROCOPY));
	read_all(pair.server, back, sizeof data);
	observe_poll("note", pair.client, POLLIN | POLLOUT, POLLERR | POLLOUT);
	/* On loopback everything is copied in the end, and the note says so: code 1. */
	wait_message("queue", pair.client, CONTROL_MAX, MSG_ERRQUEUE);
}

/* Without the option the flag means nothing. */
SCENARIO_V4_V6(zerocopy, flag_without_option)
{
	struct pair tcp = tcp_pair(family), udp = udp_pair(family);

	observe_call("tcp", send(tcp.client, "x", 1, MSG_ZEROCOPY));
	observe_call("udp", send(udp.client, "x", 1, MSG_ZEROCOPY));
	wait_queued(tcp.server, 1);
	observe_recv("tcp", tcp.server, 10, MSG_DONTWAIT);
	wait_for(udp.server, POLLIN);
	observe_recv("udp", udp.server, 10, MSG_DONTWAIT);
	observe_message("tcp queue", tcp.client, CONTROL_MAX, MSG_ERRQUEUE);
	observe_message("udp queue", udp.client, CONTROL_MAX, MSG_ERRQUEUE);
}

SCENARIO_V4_V6(zerocopy, option_without_flag)
{
	struct pair pair = tcp_pair(family);

	set_option(pair.client, SOL_SOCKET, SO_ZEROCOPY, 1);
	send_text(pair.client, "copied");
	observe_recv("server", pair.server, 10, 0);
	observe_message("queue", pair.client, CONTROL_MAX, MSG_ERRQUEUE);
}

SCENARIO(zerocopy, not_connected)
{
	int tcp = tcp_socket(AF_INET), udp = udp_socket(AF_INET);

	set_option(tcp, SOL_SOCKET, SO_ZEROCOPY, 1);
	set_option(udp, SOL_SOCKET, SO_ZEROCOPY, 1);
	observe_call("tcp", send(tcp, "x", 1, MSG_ZEROCOPY | MSG_NOSIGNAL));
	observe_call("udp", send(udp, "x", 1, MSG_ZEROCOPY));
	observe_message("tcp queue", tcp, CONTROL_MAX, MSG_ERRQUEUE);
	observe_message("udp queue", udp, CONTROL_MAX, MSG_ERRQUEUE);
}

/* --- Stamps of what was sent ---------------------------------------------------------------------- */

SCENARIO_V4_V6(error_queue, transmit_stamps)
{
	struct pair pair = udp_pair(family);

	set_option(pair.client, SOL_SOCKET, SO_TIMESTAMPING,
	           SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |
	                   SOF_TIMESTAMPING_OPT_TSONLY);
	for (int i = 0; i < 2; i++) {
		send_text(pair.client, "stamped");
		wait_message("queue", pair.client, CONTROL_MAX, MSG_ERRQUEUE);
	}
	observe_message("queue", pair.client, CONTROL_MAX, MSG_ERRQUEUE);
}
