/*
 * Sockets that ask for their errors (IP_RECVERR) are datagram sockets like any others: they carry data, names and options, are shared, shut
 * down and closed.
 */
#include "tests/conformance/message.h"


static void
tell(int family, int fd)
{
	set_option(fd, level_of(family), family == AF_INET ? IP_RECVERR : IPV6_RECVERR, 1);
}

static int
told(int family)
{
	int fd = udp_bound(family);

	tell(family, fd);
	return fd;
}

/* Connected to each other; the client is told. */
static struct pair
told_pair(int family)
{
	struct pair pair = {told(family), udp_bound(family)};
	struct address client = local_of(pair.client), server = local_of(pair.server);

	must("connect", connect_fd(pair.client, &server));
	must("connect", connect_fd(pair.server, &client));
	return pair;
}

static void
observe_both_ways(const char *what, int here, int there)
{
	OBSERVE("%s", what);
	send_text(here, "up");
	wait_for(there, POLLIN);
	observe_recvfrom("there", there, 10, MSG_DONTWAIT);
	send_text(there, "down");
	wait_for(here, POLLIN);
	observe_recvfrom("here", here, 10, MSG_DONTWAIT);
}

SCENARIO_V4_V6(told, both_ways)
{
	struct pair pair = told_pair(family);

	observe_both_ways("connected", pair.client, pair.server);
	observe_fd_flags("flags", pair.client);
	observe_local("local", pair.client);
	observe_peer("peer", pair.client);
	observe_option("type", pair.client, SOL_SOCKET, SO_TYPE);
	observe_option("protocol", pair.client, SOL_SOCKET, SO_PROTOCOL);
	observe_option("domain", pair.client, SOL_SOCKET, SO_DOMAIN);
	observe_option("told", pair.client, level_of(family), family == AF_INET ? IP_RECVERR : IPV6_RECVERR);
}

/* Each datagram keeps its own sender, also when they wait. */
SCENARIO_V4_V6(told, several_senders)
{
	int fd = told(family), senders[3];
	struct address to = local_of(fd);

	for (int i = 0; i < 3; i++)
		senders[i] = udp_bound(family);
	for (int i = 0; i < 12; i++) {
		char text[] = {(char)('a' + i), 0};

		must("sendto", sendto(senders[i % 3], text, 1, 0, SA(&to), to.length));
	}
	pause_ms(QUIET_MS);
	for (int i = 0; i < 12; i++)
		if (i % 4 == 3)
			observe_recv("recv", fd, 10, MSG_DONTWAIT); /* takes its sender along */
		else
			observe_recvfrom("recvfrom", fd, 10, i % 4 == 2 ? MSG_DONTWAIT | MSG_PEEK : MSG_DONTWAIT);
}

/* What waited before it asked. */
SCENARIO_V4_V6(told, asks_late)
{
	int fd = udp_bound(family), other = udp_bound(family);
	struct address to = local_of(fd);

	for (int i = 0; i < 3; i++)
		must("sendto", sendto(other, "early", 5, 0, SA(&to), to.length));
	wait_for(fd, POLLIN);
	pause_ms(QUIET_MS);
	tell(family, fd);
	for (int i = 0; i < 3; i++) {
		observe_poll("poll", fd, POLLIN | POLLOUT, POLLIN | POLLOUT);
		observe_recvfrom("recvfrom", fd, 10, MSG_DONTWAIT);
	}
	observe_recvfrom("recvfrom", fd, 10, MSG_DONTWAIT);
}

SCENARIO_V4_V6(told, sizes)
{
	struct pair pair = told_pair(family);
	static const size_t sizes[] = {0, 1, 1472, 16384, 65507};
	static char data[65536];

	fill_pattern(data, sizeof data, 1);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		observe_call("send", send(pair.client, data, sizes[i], 0));
		wait_for(pair.server, POLLIN);
		observe_recv("there", pair.server, sizeof data, MSG_DONTWAIT);
		observe_call("send back", send(pair.server, data, sizes[i], 0));
		wait_for(pair.client, POLLIN);
		observe_recv("here", pair.client, sizeof data, MSG_DONTWAIT);
	}
}

SCENARIO(told, too_long)
{
	struct pair pair = told_pair(AF_INET);
	static char data[65536];

	observe_call("send", send(pair.client, data, 65508, 0));
	observe_call("write", write(pair.client, data, 65508));
	send_text(pair.server, "afterwards");
	pause_ms(QUIET_MS); /* it is in the error queue, too, and would end a wait */
	observe_recv("here", pair.client, 20, MSG_DONTWAIT);
}

SCENARIO_V4_V6(told, peek_and_truncate)
{
	struct pair pair = told_pair(family);
	int queued = -1;

	send_text(pair.server, "a long one");
	send_text(pair.server, "next");
	wait_for(pair.client, POLLIN);
	pause_ms(QUIET_MS);
	observe_call("FIONREAD", ioctl(pair.client, FIONREAD, &queued));
	OBSERVE("queued %d", queued);
	observe_recv("peek", pair.client, 4, MSG_PEEK);
	observe_recv("peek, whole length", pair.client, 4, MSG_PEEK | MSG_TRUNC);
	observe_message("cut", pair.client, CONTROL_MAX, MSG_DONTWAIT);
	observe_recvfrom("next", pair.client, 2, MSG_TRUNC);
	observe_recvfrom("nothing", pair.client, 2, MSG_DONTWAIT);
}

/* As many as fit wait, in order. */
SCENARIO_V4_V6(told, many_wait)
{
	struct pair pair = told_pair(family);
	unsigned next = 0, wrong = 0, got;

	for (unsigned i = 0; i < 60; i++)
		must("send", send(pair.server, &i, sizeof i, 0));
	pause_ms(QUIET_MS);
	for (; recv(pair.client, &got, sizeof got, MSG_DONTWAIT) == sizeof got; next++)
		wrong += got != next;
	OBSERVE("%u came, %u wrong", next, wrong);
	for (unsigned i = 0; i < 60; i++)
		must("send", send(pair.client, &i, sizeof i, 0));
	pause_ms(QUIET_MS);
	for (next = wrong = 0; recv(pair.server, &got, sizeof got, MSG_DONTWAIT) == sizeof got; next++)
		wrong += got != next;
	OBSERVE("%u went, %u wrong", next, wrong);
}

SCENARIO_V4_V6(told, unconnected)
{
	int fd = told(family), other = udp_bound(family);
	struct address to = local_of(other), at = local_of(fd);
	struct iovec iov = {"plain", 5};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	observe_call("send", send(fd, "x", 1, 0));
	observe_call("write", write(fd, "x", 1));
	observe_call("sendmsg", sendmsg(fd, &message, 0));
	observe_call("sendto", sendto(fd, "named", 5, 0, SA(&to), to.length));
	wait_for(other, POLLIN);
	observe_recvfrom("there", other, 10, MSG_DONTWAIT);
	must("sendto", sendto(other, "back", 4, 0, SA(&at), at.length));
	wait_for(fd, POLLIN);
	observe_message("here", fd, CONTROL_MAX, MSG_DONTWAIT);
}

/* Connected, connected elsewhere, dissolved, connected again. */
SCENARIO_V4_V6(told, reconnects)
{
	int fd = told(family), one = udp_bound(family), two = udp_bound(family);
	struct address at = local_of(fd), to_one = local_of(one), to_two = local_of(two);
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	must("connect", connect_fd(one, &at));
	must("connect", connect_fd(two, &at));
	observe_call("connect", connect_fd(fd, &to_one));
	observe_both_ways("one", fd, one);
	observe_call("connect", connect_fd(fd, &to_two));
	observe_both_ways("two", fd, two);
	observe_call("dissolve", connect(fd, &nobody, sizeof nobody));
	observe_call("send", send(fd, "x", 1, 0));
	send_text(one, "for it");
	wait_for(fd, POLLIN);
	observe_recvfrom("one", fd, 10, MSG_DONTWAIT);
	observe_call("connect", connect_fd(fd, &to_one));
	observe_both_ways("one again", fd, one);
}

/* An option that is set after a send is for the next one. */
SCENARIO(told, options_in_order)
{
	struct pair pair = told_pair(AF_INET);

	set_option(pair.server, IPPROTO_IP, IP_RECVTTL, 1);
	for (int ttl = 1; ttl <= 20; ttl++) {
		set_option(pair.client, IPPROTO_IP, IP_TTL, ttl);
		send_text(pair.client, "x");
	}
	for (int ttl = 1; ttl <= 20; ttl++)
		wait_message("came", pair.server, CONTROL_MAX, MSG_DONTWAIT);
}

SCENARIO_V4_V6(told, control_messages)
{
	struct pair pair = told_pair(family);

	set_option(pair.client, level_of(family), family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
	set_option(pair.client, level_of(family), family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
	send_text(pair.server, "with control");
	wait_message("here", pair.client, CONTROL_MAX, 0);
}

static void *
send_later(void *argument)
{
	int *fd = argument;

	pause_ms(50);
	send_text(*fd, "late");
	return NULL;
}

SCENARIO_V4_V6(told, blocks)
{
	struct pair pair = told_pair(family);
	pthread_t thread;

	set_receive_timeout(pair.client, 50);
	observe_recv("recv", pair.client, 10, 0);
	observe_recvfrom("recvfrom", pair.client, 10, 0);
	set_receive_timeout(pair.client, WAIT_MS);
	thread = start_thread(send_later, &pair.server);
	observe_recv("recv", pair.client, 10, 0);
	join_thread(thread);
	thread = start_thread(send_later, &pair.server);
	observe_message("recvmsg", pair.client, CONTROL_MAX, 0);
	join_thread(thread);
}

/* What was set before it asked, stays. */
SCENARIO_V4_V6(told, keeps_what_was_set)
{
	int fd = must("socket", socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), other = udp_socket(family);

	set_receive_timeout(other, 50);
	tell(family, fd);
	tell(family, other);
	observe_fd_flags("flags", fd);
	observe_recv("nonblocking", fd, 10, 0);
	observe_recv("with a timeout", other, 10, 0);
	observe_fd_flags("flags", other);
	set_nonblocking(fd, false);
	observe_fd_flags("flags", fd);
}

SCENARIO_V4_V6(told, shut_down)
{
	static const int ways[] = {SHUT_WR, SHUT_RDWR};

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct pair pair = told_pair(family);

		send_text(pair.client, "before");
		observe_call("shutdown", shutdown(pair.client, ways[i]));
		wait_for(pair.server, POLLIN);
		observe_recv("there", pair.server, 10, MSG_DONTWAIT);
		observe_call("send", send(pair.client, "x", 1, MSG_NOSIGNAL));
		observe_poll("poll", pair.client, POLLIN | POLLOUT | POLLRDHUP, i ? POLLIN | POLLHUP : POLLOUT);
		observe_recvfrom("told not to wait", pair.client, 10, MSG_DONTWAIT);
		if (i)
			observe_recvfrom("recvfrom", pair.client, 10, 0);
	}
}

/* What was sent before the close goes out, and the port is free. */
SCENARIO_V4_V6(told, closes)
{
	struct pair pair = told_pair(family);
	struct address at = local_of(pair.client);
	unsigned came = 0;
	char byte;

	for (int i = 0; i < 20; i++)
		send_text(pair.client, "x");
	must("close", close(pair.client));
	while (wait_for(pair.server, POLLIN) && ++came < 20)
		recv(pair.server, &byte, 1, MSG_DONTWAIT);
	OBSERVE("%u came", came);
	for (int i = 0; i < 3; i++) {
		int fd = udp_socket(family);

		observe_call("bind", bind(fd, SA(&at), at.length));
		tell(family, fd);
		must("close", close(fd));
	}
}

/* Many that live shortly, as a resolver's. */
SCENARIO_V4_V6(told, many)
{
	int server = udp_bound(family), lost = 0;
	struct address to = local_of(server);

	for (int i = 0; i < 100; i++) {
		int fd = udp_socket(family);
		struct sockaddr_storage from;
		socklen_t length = sizeof from;
		char byte = (char)i, back = 0;

		tell(family, fd);
		must("connect", connect_fd(fd, &to));
		must("send", send(fd, &byte, 1, 0));
		wait_for(server, POLLIN);
		must("recvfrom", recvfrom(server, &back, 1, 0, (struct sockaddr *)&from, &length));
		must("sendto", sendto(server, &back, 1, 0, (struct sockaddr *)&from, length));
		wait_for(fd, POLLIN);
		back = (char)~back;
		lost += recvfrom(fd, &back, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &length) != 1 || back != byte;
		must("close", close(fd));
	}
	OBSERVE("%d lost", lost);
}

/* ---- shared ------------------------------------------------------------------------------------- */

/* A duplicate made before it asked is the same socket. */
SCENARIO_V4_V6(told, duplicate)
{
	struct pair pair = udp_pair(family);
	int early = must("dup", dup(pair.client)), late;

	tell(family, pair.client);
	late = must("dup", dup(pair.client));
	observe_both_ways("itself", pair.client, pair.server);
	observe_both_ways("made before", early, pair.server);
	observe_both_ways("made afterwards", late, pair.server);
	must("close", close(pair.client));
	observe_both_ways("made before", early, pair.server);
	observe_both_ways("made afterwards", late, pair.server);
}

/* An epoll set that had it before goes on. */
SCENARIO_V4_V6(told, epoll_before)
{
	struct pair pair = udp_pair(family);
	int epoll = must("epoll_create1", epoll_create1(0));
	struct epoll_event event = {.events = EPOLLIN};

	must("EPOLL_CTL_ADD", epoll_ctl(epoll, EPOLL_CTL_ADD, pair.client, &event));
	tell(family, pair.client);
	send_text(pair.server, "one");
	observe_epoll("one", epoll, EPOLLIN);
	observe_recv("one", pair.client, 10, MSG_DONTWAIT);
	observe_epoll_quiet("none", epoll);
	observe_call("EPOLL_CTL_MOD", epoll_ctl(epoll, EPOLL_CTL_MOD, pair.client, &event));
	observe_call("EPOLL_CTL_DEL", epoll_ctl(epoll, EPOLL_CTL_DEL, pair.client, NULL));
}

static int
take_turns(void *argument)
{
	struct pair *pair = argument;

	observe_both_ways("child", pair->client, pair->server);
	return 0;
}

/* A child that has it from before, and one from afterwards. */
static int
wait_then_take_turns(void *argument)
{
	struct pair *pair = argument;
	char byte;

	must("recv", recv(pair->server, &byte, 1, 0)); /* it was told */
	return take_turns(argument);
}

SCENARIO_V4_V6(told, child_after)
{
	struct pair pair = told_pair(family);

	observe_child("child", start_child(take_turns, &pair));
	observe_both_ways("parent", pair.client, pair.server);
}

SCENARIO_V4_V6(told, child_before)
{
	struct pair pair = udp_pair(family);
	pid_t child = start_child(wait_then_take_turns, &pair);

	tell(family, pair.client);
	send_text(pair.client, "x");
	observe_child("child", child);
	observe_both_ways("parent", pair.client, pair.server);
}

/* A child that asks for what it has from its parent. */
static int
tell_child(void *argument)
{
	struct pair *pair = argument;
	struct sockaddr_storage name;
	socklen_t length = sizeof name;

	must("getsockname", getsockname(pair->client, (struct sockaddr *)&name, &length));
	tell(name.ss_family, pair->client);
	return take_turns(argument);
}

SCENARIO_V4_V6(told, child_asks)
{
	struct pair pair = udp_pair(family);

	observe_child("child", start_child(tell_child, &pair));
	observe_both_ways("parent", pair.client, pair.server);
}

/* Passed on, and closed here. */
SCENARIO_V4_V6(told, passed)
{
	struct pair pair = told_pair(family);
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int ends[2], passed;

	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	memcpy(CMSG_DATA(&control.header), &pair.client, sizeof(int));
	must("sendmsg", sendmsg(ends[0], &message, 0));
	must("close", close(pair.client));
	pause_ms(2 * QUIET_MS);
	must("recvmsg", recvmsg(ends[1], &message, 0));
	memcpy(&passed, CMSG_DATA(&control.header), sizeof(int));
	observe_both_ways("passed", passed, pair.server);
}
