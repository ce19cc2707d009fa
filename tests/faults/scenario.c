#include "tests/faults/scenario.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	PATIENCE_MS = 4000, /* what lacks descriptors is tried again every second */
	DATAGRAM_MS = 300,
	DATAGRAM_TRIES = 4,
	BULK = 400 * 1024, /* enough to fill buffers, and to be spliced */
	DESCRIPTORS = 16,
};

#define A(address) ((struct sockaddr *)&(address))

static int
kernel_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	return accept4(fd, address, len, flags);
}

static int
kernel_bind(int fd, const struct sockaddr *address, socklen_t len)
{
	return bind(fd, address, len);
}

static int
kernel_connect(int fd, const struct sockaddr *address, socklen_t len)
{
	return connect(fd, address, len);
}

static int
kernel_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
	return getsockname(fd, address, len);
}

static int
kernel_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
	return getpeername(fd, address, len);
}

static ssize_t
kernel_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t len)
{
	return sendto(fd, data, size, flags, address, len);
}

static ssize_t
kernel_recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *len)
{
	return recvfrom(fd, data, size, flags, address, len);
}

const struct socket_calls kernel_calls = {
	.socket = socket,
	.bind = kernel_bind,
	.connect = kernel_connect,
	.listen = listen,
	.accept4 = kernel_accept4,
	.getsockname = kernel_getsockname,
	.getpeername = kernel_getpeername,
	.getsockopt = getsockopt,
	.setsockopt = setsockopt,
	.shutdown = shutdown,
	.sendto = kernel_sendto,
	.recvfrom = kernel_recvfrom,
	.sendmsg = sendmsg,
	.recvmsg = recvmsg,
};

/* ---- one step's descriptors and clock ----------------------------------------------------------- */

static int held[DESCRIPTORS], held_count;

/* Closed when the step is over. */
static int
hold(int fd)
{
	if (fd >= 0 && held_count < DESCRIPTORS)
		held[held_count++] = fd;
	return fd;
}

static void
let_go(int fd)
{
	for (int i = 0; i < held_count; i++)
		if (held[i] == fd)
			held[i] = -1;
	close(fd);
}

static void
let_all_go(void)
{
	for (int i = 0; i < held_count; i++)
		if (held[i] >= 0)
			close(held[i]);
	held_count = 0;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What the descriptor is ready for; 0: nothing in time. */
static short
ready(int fd, short events, int ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t end = now_ms() + ms;
	int n;

	do
		n = poll(&p, 1, (int)(end > now_ms() ? end - now_ms() : 0));
	while (n < 0 && errno == EINTR);
	return n == 1 ? p.revents : 0;
}

#define TRY(expression)                          \
	do {                                     \
		if ((expression) < 0)            \
			return RESULT_ERROR;     \
	} while (0)

/* A socket of these calls, bound to a free port of loopback. -1 with errno. */
static int
bound(const struct socket_calls *calls, int type, struct sockaddr_in *address)
{
	socklen_t len = sizeof *address;
	int fd = hold(calls->socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	if (fd < 0 || calls->bind(fd, A(*address), sizeof *address) < 0 || calls->getsockname(fd, A(*address), &len) < 0)
		return -1;
	return fd;
}

/* ---- streams ------------------------------------------------------------------------------------ */

static uint8_t
byte_at(size_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7 + 1);
}

/* Sends `size` bytes from one end and reads them at the other. */
static enum result
carry(int from, int to, size_t size)
{
	size_t sent = 0, got = 0;
	uint8_t data[16384];
	int64_t end = now_ms() + PATIENCE_MS;

	while (got < size) {
		struct pollfd fds[] = {{.fd = sent < size ? from : -1, .events = POLLOUT}, {.fd = to, .events = POLLIN}};
		ssize_t n;

		if (now_ms() >= end)
			return RESULT_LOST;
		if (poll(fds, 2, 100) <= 0)
			continue;
		if (fds[0].revents) {
			size_t part = size - sent < sizeof data ? size - sent : sizeof data;

			for (size_t i = 0; i < part; i++)
				data[i] = byte_at(sent + i);
			n = send(from, data, part, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0 && errno != EAGAIN)
				return RESULT_ERROR;
			sent += n > 0 ? (size_t)n : 0;
		}
		if (fds[1].revents) {
			n = recv(to, data, sizeof data, MSG_DONTWAIT);
			if (n == 0 || (n < 0 && errno != EAGAIN))
				return RESULT_ERROR;
			for (ssize_t i = 0; i < n; i++)
				if (data[i] != byte_at(got + (size_t)i))
					return RESULT_WRONG;
			got += n > 0 ? (size_t)n : 0;
		}
	}
	return RESULT_OK;
}

/* The other side has closed: that is to be seen. */
static enum result
ends(int fd)
{
	uint8_t data[4096];
	int64_t end = now_ms() + PATIENCE_MS;

	while (now_ms() < end) {
		ssize_t n = ready(fd, POLLIN, 100) ? recv(fd, data, sizeof data, MSG_DONTWAIT) : 1;

		if (n == 0)
			return RESULT_OK;
		if (n < 0 && errno != EAGAIN)
			return errno == ECONNRESET ? RESULT_OK : RESULT_ERROR;
	}
	return RESULT_LOST;
}

/* Connects without waiting, then waits for it to be over. */
static enum result
connect_in_time(const struct socket_calls *calls, int fd, const struct sockaddr_in *to)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (calls->connect(fd, A(*to), sizeof *to) < 0 && errno != EINPROGRESS)
		return RESULT_ERROR;
	if (!ready(fd, POLLOUT, PATIENCE_MS))
		return RESULT_LOST;
	TRY(calls->getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
	errno = error;
	return error ? RESULT_ERROR : RESULT_OK;
}

static enum result
accept_in_time(const struct socket_calls *calls, int listener, int *fd)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof peer;

	if (!ready(listener, POLLIN, PATIENCE_MS))
		return RESULT_LOST;
	*fd = hold(calls->accept4(listener, A(peer), &len, SOCK_CLOEXEC | SOCK_NONBLOCK));
	return *fd < 0 ? RESULT_ERROR : RESULT_OK;
}

/*
 * A connection whose client's side is `client`'s and whose server's side is `server`'s. In a fault the one that the client has may not be
 * one that the server gets, if it has ended before.
 */
static enum result
connected(const struct socket_calls *client, const struct socket_calls *server, int *client_fd, int *server_fd)
{
	struct sockaddr_in address;
	int listener = bound(server, SOCK_STREAM, &address);
	enum result result;

	TRY(listener);
	TRY(server->setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)));
	TRY(server->listen(listener, 4));
	TRY(*client_fd = hold(client->socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
	result = connect_in_time(client, *client_fd, &address);
	if (result != RESULT_OK)
		return result;
	result = accept_in_time(server, listener, server_fd);
	/* Nothing to accept: then the connection must not be left standing. */
	if (result == RESULT_LOST && ready(*client_fd, POLLIN, 0))
		return RESULT_ERROR;
	return result;
}

static enum result
names(const struct socket_calls *calls, int fd)
{
	struct sockaddr_in name;
	socklen_t len = sizeof name;

	TRY(calls->getsockname(fd, A(name), &len));
	if (name.sin_family != AF_INET || name.sin_addr.s_addr != htonl(INADDR_LOOPBACK))
		return RESULT_WRONG;
	len = sizeof name;
	TRY(calls->getpeername(fd, A(name), &len));
	return name.sin_family == AF_INET ? RESULT_OK : RESULT_WRONG;
}

static enum result
stream_step(const struct socket_calls *near, const struct socket_calls *far, bool serves, size_t size)
{
	int client = -1, server = -1, here, there;
	enum result result = serves ? connected(far, near, &client, &server) : connected(near, far, &client, &server);

	here = serves ? server : client;
	there = serves ? client : server;
	if (result == RESULT_OK)
		result = names(near, here);
	if (result == RESULT_OK)
		result = carry(here, there, size);
	if (result == RESULT_OK)
		result = carry(there, here, size);
	if (result != RESULT_OK)
		return result;
	TRY(near->shutdown(here, SHUT_WR));
	result = ends(there);
	if (result != RESULT_OK)
		return result;
	let_go(there);
	return ends(here);
}

static enum result
step_connect(const struct socket_calls *near, const struct socket_calls *far)
{
	return stream_step(near, far, false, 100);
}

static enum result
step_serve(const struct socket_calls *near, const struct socket_calls *far)
{
	return stream_step(near, far, true, 100);
}

static enum result
step_bulk(const struct socket_calls *near, const struct socket_calls *far)
{
	return stream_step(near, far, false, BULK);
}

/* A reader that waits until all buffers are full. */
static enum result
step_slow_reader(const struct socket_calls *near, const struct socket_calls *far)
{
	static const uint8_t zeros[65536];
	int here, there;
	enum result result = connected(near, far, &here, &there);
	size_t sent = 0, got = 0;

	if (result != RESULT_OK)
		return result;
	for (int way = 0; way < 2; way++) {
		int from = way ? there : here, to = way ? here : there;
		int64_t end = now_ms() + PATIENCE_MS;
		ssize_t n;

		while (ready(from, POLLOUT, 20) && sent < 16u << 20) {
			n = send(from, zeros, sizeof zeros, MSG_NOSIGNAL | MSG_DONTWAIT);
			if (n < 0 && errno != EAGAIN)
				return RESULT_ERROR;
			sent += n > 0 ? (size_t)n : 0;
		}
		while (got < sent) {
			static uint8_t data[65536];

			if (now_ms() > end)
				return RESULT_LOST;
			n = ready(to, POLLIN, 100) ? recv(to, data, sizeof data, MSG_DONTWAIT) : -1;
			if (n == 0 || (n < 0 && errno != EAGAIN))
				return RESULT_ERROR;
			got += n > 0 ? (size_t)n : 0;
		}
	}
	return RESULT_OK;
}

static enum result
step_reset(const struct socket_calls *near, const struct socket_calls *far)
{
	int here, there;
	enum result result = connected(near, far, &here, &there);

	if (result != RESULT_OK)
		return result;
	TRY(far->setsockopt(there, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger)));
	let_go(there);
	return ends(here);
}

static enum result
step_urgent(const struct socket_calls *near, const struct socket_calls *far)
{
	int here, there;
	enum result result = connected(near, far, &here, &there);
	char byte;

	if (result != RESULT_OK)
		return result;
	TRY(send(there, "!", 1, MSG_OOB | MSG_NOSIGNAL));
	if (!ready(here, POLLPRI, PATIENCE_MS))
		return RESULT_LOST;
	TRY(recv(here, &byte, 1, MSG_OOB | MSG_DONTWAIT));
	return byte == '!' ? RESULT_OK : RESULT_WRONG;
}

static enum result
step_refused(const struct socket_calls *near, const struct socket_calls *far)
{
	struct sockaddr_in address;
	int fd, nobody = bound(far, SOCK_STREAM, &address);
	enum result result;

	TRY(nobody);
	TRY(fd = hold(near->socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
	result = connect_in_time(near, fd, &address);
	if (result == RESULT_OK)
		return RESULT_WRONG;
	return result == RESULT_ERROR && errno == ECONNREFUSED ? RESULT_OK : result;
}

/* ---- datagrams ---------------------------------------------------------------------------------- */

/* One there and back; what is lost is sent again. `connected`: both with their peers set. */
static enum result
datagrams(const struct socket_calls *near, const struct socket_calls *far, bool connected)
{
	struct sockaddr_in here_name, there_name, from;
	int here = bound(near, SOCK_DGRAM, &here_name), there = bound(far, SOCK_DGRAM, &there_name);
	char data[32];

	TRY(here);
	TRY(there);
	if (connected)
		TRY(near->connect(here, A(there_name), sizeof there_name));
	for (int tries = 0; tries < DATAGRAM_TRIES; tries++) {
		socklen_t len = sizeof from;
		ssize_t n = connected ? send(here, "question", 8, MSG_NOSIGNAL)
		                      : near->sendto(here, "question", 8, MSG_NOSIGNAL, A(there_name), sizeof there_name);

		if (n < 0)
			return RESULT_ERROR;
		if (!ready(there, POLLIN, DATAGRAM_MS))
			continue;
		TRY(n = far->recvfrom(there, data, sizeof data, MSG_DONTWAIT, A(from), &len));
		if (n == 0) /* the socket has ended */
			return RESULT_ERROR;
		if (n != 8 || memcmp(data, "question", 8) != 0 || from.sin_port != here_name.sin_port)
			return RESULT_WRONG;
		TRY(far->sendto(there, "answer", 6, MSG_NOSIGNAL, A(from), sizeof from));
		if (!ready(here, POLLIN, DATAGRAM_MS))
			continue;
		len = sizeof from;
		TRY(n = near->recvfrom(here, data, sizeof data, MSG_DONTWAIT, A(from), &len));
		if (n == 0)
			return RESULT_ERROR;
		if (n != 6 || memcmp(data, "answer", 6) != 0 || from.sin_port != there_name.sin_port)
			return RESULT_WRONG;
		return RESULT_OK;
	}
	return RESULT_ERROR; /* a datagram may be lost, as often as it likes */
}

static enum result
step_datagrams(const struct socket_calls *near, const struct socket_calls *far)
{
	return datagrams(near, far, false);
}

static enum result
step_connected_datagrams(const struct socket_calls *near, const struct socket_calls *far)
{
	return datagrams(near, far, true);
}

static enum result
step_error_queue(const struct socket_calls *near, const struct socket_calls *far)
{
	struct sockaddr_in nobody, name;
	_Alignas(struct cmsghdr) char control[256];
	char data[64];
	struct iovec iov = {data, sizeof data};
	struct msghdr message = {.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &iov, .msg_iovlen = 1,
	                         .msg_control = control, .msg_controllen = sizeof control};
	struct sock_extended_err error;
	int fd, other = bound(far, SOCK_DGRAM, &nobody);

	TRY(other);
	let_go(other);
	TRY(fd = hold(near->socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
	TRY(near->setsockopt(fd, IPPROTO_IP, IP_RECVERR, &(int){1}, sizeof(int)));
	for (int tries = 0; tries < DATAGRAM_TRIES; tries++) {
		TRY(near->sendto(fd, "lost", 4, MSG_NOSIGNAL, A(nobody), sizeof nobody));
		if (!ready(fd, POLLIN, DATAGRAM_MS))
			continue;
		TRY(near->recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT));
		if (!CMSG_FIRSTHDR(&message))
			return RESULT_WRONG;
		memcpy(&error, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof error);
		return error.ee_errno == ECONNREFUSED ? RESULT_OK : RESULT_WRONG;
	}
	return RESULT_ERROR;
}

static enum result
step_control_messages(const struct socket_calls *near, const struct socket_calls *far)
{
	struct sockaddr_in here_name, there_name;
	int here = bound(near, SOCK_DGRAM, &here_name), there = bound(far, SOCK_DGRAM, &there_name), ttl = 9;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof ttl)] = "", received[256];
	char data[32];
	struct iovec iov = {"ttl", 3}, into = {data, sizeof data};
	struct msghdr out = {.msg_name = &there_name, .msg_namelen = sizeof there_name, .msg_iov = &iov, .msg_iovlen = 1,
	                     .msg_control = control, .msg_controllen = sizeof control};
	struct msghdr in = {.msg_iov = &into, .msg_iovlen = 1, .msg_control = received, .msg_controllen = sizeof received};
	struct cmsghdr *header = CMSG_FIRSTHDR(&out);

	TRY(here);
	TRY(there);
	*header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof ttl), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL};
	memcpy(CMSG_DATA(header), &ttl, sizeof ttl);
	TRY(near->setsockopt(here, IPPROTO_IP, IP_PKTINFO, &(int){1}, sizeof(int)));
	TRY(near->sendmsg(here, &out, MSG_NOSIGNAL));
	TRY(far->sendto(there, "info", 4, MSG_NOSIGNAL, A(here_name), sizeof here_name));
	if (!ready(here, POLLIN, DATAGRAM_MS))
		return RESULT_ERROR;
	TRY(near->recvmsg(here, &in, MSG_DONTWAIT));
	header = CMSG_FIRSTHDR(&in);
	if (!header) /* put_cmsg() leaves out what cannot be written */
		return RESULT_ERROR;
	return header->cmsg_type == IP_PKTINFO ? RESULT_OK : RESULT_WRONG;
}

/* ---- options, raw, netlink, packets ------------------------------------------------------------- */

static enum result
step_options(const struct socket_calls *near, const struct socket_calls *far)
{
	int fd = hold(near->socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), value = 0;
	struct tcp_info info;
	socklen_t len = sizeof value;

	(void)far;
	TRY(fd);
	TRY(near->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
	TRY(near->setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){65536}, sizeof(int)));
	TRY(near->setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)));
	TRY(near->getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len));
	if (value != 1)
		return RESULT_WRONG;
	len = sizeof info;
	TRY(near->getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	len = sizeof value;
	TRY(near->getsockopt(fd, IPPROTO_IP, IP_TTL, &value, &len));
	return value > 0 ? RESULT_OK : RESULT_WRONG;
}

static enum result
step_raw(const struct socket_calls *near, const struct socket_calls *far)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct icmphdr echo = {.type = ICMP_ECHO, .checksum = htons(0xf7ff)};
	int fd = hold(near->socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMP));
	uint8_t packet[128];

	(void)far;
	TRY(fd);
	for (int tries = 0; tries < DATAGRAM_TRIES; tries++) {
		TRY(near->sendto(fd, &echo, sizeof echo, MSG_NOSIGNAL, A(to), sizeof to));
		if (!ready(fd, POLLIN, DATAGRAM_MS))
			continue;
		TRY(recv(fd, packet, sizeof packet, MSG_DONTWAIT) - 1); /* 0: the socket has ended */
		return packet[0] >> 4 == 4 ? RESULT_OK : RESULT_WRONG;
	}
	return RESULT_ERROR;
}

static enum result
step_netlink(const struct socket_calls *near, const struct socket_calls *far)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg body;
	} question = {{.nlmsg_len = sizeof question, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = 7}, {0}};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int fd = hold(near->socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
	_Alignas(struct nlmsghdr) char answer[8192];
	const struct nlmsghdr *first = (const struct nlmsghdr *)answer;

	(void)far;
	TRY(fd);
	TRY(near->bind(fd, A(kernel), sizeof kernel));
	TRY(near->sendto(fd, &question, sizeof question, MSG_NOSIGNAL, A(kernel), sizeof kernel));
	if (!ready(fd, POLLIN, DATAGRAM_MS))
		return RESULT_ERROR;
	TRY(recv(fd, answer, sizeof answer, MSG_DONTWAIT) - 1);
	return first->nlmsg_seq == 7 ? RESULT_OK : RESULT_WRONG;
}

/* Policy says no: in an errno, whatever fails. */
static enum result
step_denied(const struct socket_calls *near, const struct socket_calls *far)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg body;
	} question = {{.nlmsg_len = sizeof question, .nlmsg_type = RTM_NEWLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}, {.ifi_index = 1}};
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	int fd = hold(near->socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
	_Alignas(struct nlmsghdr) char answer[8192];
	const struct nlmsghdr *first = (const struct nlmsghdr *)answer;

	(void)far;
	TRY(fd);
	if (near->sendto(fd, &question, sizeof question, MSG_NOSIGNAL, A(kernel), sizeof kernel) < 0)
		return errno == EPERM || errno == EACCES ? RESULT_OK : RESULT_ERROR;
	if (!ready(fd, POLLIN, DATAGRAM_MS))
		return RESULT_ERROR;
	TRY(recv(fd, answer, sizeof answer, MSG_DONTWAIT) - 1);
	return first->nlmsg_type == NLMSG_ERROR && ((const struct nlmsgerr *)NLMSG_DATA(first))->error == -EPERM ? RESULT_OK : RESULT_WRONG;
}

/* A frame of the host's loopback, seen in a packet socket of `near`; and one sent. */
static enum result
step_packet(const struct socket_calls *near, const struct socket_calls *far)
{
	struct sockaddr_ll lo = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = 1};
	struct sockaddr_in address;
	int fd = hold(near->socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_IP))), other = bound(far, SOCK_DGRAM, &address);
	uint8_t frame[2048] = {[12] = 0x88, [13] = 0xb5};

	TRY(fd);
	TRY(other);
	TRY(near->bind(fd, A(lo), sizeof lo));
	TRY(send(fd, frame, 60, MSG_NOSIGNAL));
	for (int tries = 0; tries < DATAGRAM_TRIES; tries++) {
		TRY(far->sendto(other, "captured", 8, MSG_NOSIGNAL, A(address), sizeof address));
		if (!ready(fd, POLLIN, DATAGRAM_MS))
			continue;
		TRY(recv(fd, frame, sizeof frame, MSG_DONTWAIT) - 1);
		return frame[12] == 0x08 && frame[13] == 0 ? RESULT_OK : RESULT_WRONG;
	}
	return RESULT_ERROR;
}

/* ---- all of them -------------------------------------------------------------------------------- */

const struct step scenario_steps[] = {
	{"connect", step_connect, true},
	{"serve", step_serve, true},
	{"datagrams", step_datagrams, true},
	{"connected datagrams", step_connected_datagrams, false},
	{"options", step_options, false},
	{"refused", step_refused, false},
	{"reset", step_reset, false},
	{"urgent", step_urgent, false},
	{"error queue", step_error_queue, false},
	{"control messages", step_control_messages, false},
	{"raw", step_raw, false},
	{"netlink", step_netlink, false},
	{"denied", step_denied, false},
	{"packet", step_packet, false},
	{"bulk", step_bulk, false},
	{"slow reader", step_slow_reader, false},
	{0},
};

int
scenario_run(const struct socket_calls *near, const struct socket_calls *far, bool brief, bool strict,
             void (*begins)(const char *name), const char **failed)
{
	for (const struct step *step = scenario_steps; step->name; step++) {
		enum result result;

		if (brief && !step->brief)
			continue;
		*failed = step->name;
		if (begins)
			begins(step->name);
		result = step->run(near, far);
		if (result == RESULT_ERROR && strict)
			fprintf(stderr, "%s: %s\n", step->name, strerror(errno));
		let_all_go();
		if (result == RESULT_LOST)
			return SCENARIO_LOST;
		if (result == RESULT_WRONG)
			return SCENARIO_WRONG;
		if (result == RESULT_ERROR && strict)
			return SCENARIO_ERROR;
	}
	*failed = NULL;
	return SCENARIO_OK;
}
