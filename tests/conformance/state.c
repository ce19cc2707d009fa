#include "tests/conformance/state.h"

static int
quick(int fd)
{
	set_nonblocking(fd, true);
	return fd;
}

int
stream_fresh(int family)
{
	return quick(tcp_socket(family));
}

int
stream_bound(int family)
{
	return quick(tcp_bound(family));
}

int
stream_listening(int family)
{
	return quick(tcp_listener(family));
}

int
stream_connecting(int family)
{
	struct pair stalled = tcp_stalled(family);
	struct address at = local_of(stalled.server);
	int fd = quick(tcp_socket(family));

	if (connect_fd(fd, &at) == 0 || errno != EINPROGRESS)
		must("a connect that stalls", -1);
	return fd;
}

int
stream_connected(int family)
{
	return quick(tcp_pair(family).client);
}

int
stream_shut_write(int family)
{
	struct pair pair = tcp_pair(family);

	must("shutdown", shutdown(pair.client, SHUT_WR));
	wait_for(pair.server, POLLRDHUP);
	return quick(pair.client);
}

int
stream_peer_shut(int family)
{
	struct pair pair = tcp_pair(family);

	must("shutdown", shutdown(pair.server, SHUT_WR));
	wait_for(pair.client, POLLRDHUP);
	return quick(pair.client);
}

int
stream_both_shut(int family)
{
	struct pair pair = tcp_pair(family);

	must("shutdown", shutdown(pair.client, SHUT_WR));
	wait_for(pair.server, POLLRDHUP);
	must("shutdown", shutdown(pair.server, SHUT_WR));
	wait_for(pair.client, POLLHUP);
	return quick(pair.client);
}

int
stream_reset(int family)
{
	struct pair pair = tcp_pair(family);
	struct linger linger = {.l_onoff = 1};

	must("SO_LINGER", setsockopt(pair.server, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	close(pair.server);
	wait_for(pair.client, POLLHUP);
	return quick(pair.client);
}

int
stream_refused(int family)
{
	int fd = tcp_socket(family);
	struct address at = local_of(tcp_bound(family));

	if (connect_fd(fd, &at) == 0 || errno != ECONNREFUSED)
		must("a connect that is refused", -1);
	return quick(fd);
}

int
stream_timed_out(int family)
{
	struct pair stalled = tcp_stalled(family);
	struct address at = local_of(stalled.server);
	int fd = tcp_socket(family);

	/* The least that can be had is one second. */
	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 500);
	if (connect_fd(fd, &at) == 0 || errno != ETIMEDOUT)
		must("a connect that times out", -1);
	return quick(fd);
}

int
stream_dissolved(int family)
{
	struct pair pair = tcp_pair(family);
	struct address unspec = {.storage.ss_family = AF_UNSPEC, .length = 16};

	must("connect to AF_UNSPEC", connect_fd(pair.client, &unspec));
	return quick(pair.client);
}
