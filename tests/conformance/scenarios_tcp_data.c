/* Bytes over connected stream sockets: every call that moves them, and how they arrive. */
#include "tests/conformance/scenario.h"

#include <sys/mman.h>
#include <sys/sendfile.h>

#include <linux/sockios.h>

SCENARIO_V4_V6(tcp_data, send_recv)
{
	struct pair pair = tcp_pair(family);

	observe_call("send", send(pair.client, "hello", 5, 0));
	observe_recv("server", pair.server, 64, 0);
	observe_call("send", send(pair.server, "and back", 8, 0));
	observe_recv("client", pair.client, 64, 0);
}

SCENARIO(tcp_data, read_write)
{
	struct pair pair = tcp_pair(AF_INET);
	char buffer[64];

	observe_call("write", write(pair.client, "hello", 5));
	observe_bytes("read", buffer, read(pair.server, buffer, sizeof buffer));
	observe_call("write nothing", write(pair.client, "", 0));
	observe_call("read nothing", read(pair.server, buffer, 0));
	observe_quiet("server", pair.server, POLLIN);
}

SCENARIO(tcp_data, readv_writev)
{
	struct pair pair = tcp_pair(AF_INET);
	char a[4] = "", b[4] = "", c[64] = "";
	struct iovec out[] = {{"one", 3}, {"", 0}, {"two", 3}, {"three", 5}};
	struct iovec in[] = {{a, 4}, {b, 4}, {c, sizeof c}};

	observe_call("writev", writev(pair.client, out, 4));
	wait_queued(pair.server, 11);
	observe_call("readv", readv(pair.server, in, 3));
	observe_bytes("a", a, 4);
	observe_bytes("b", b, 4);
	observe_bytes("c", c, 3);
	observe_call("writev count 0", writev(pair.client, out, 0));
	observe_call("writev count -1", syscall(SYS_writev, pair.client, out, -1));
	observe_call("writev count 1025", syscall(SYS_writev, pair.client, out, 1025));
}

SCENARIO_V4_V6(tcp_data, sendto_recvfrom)
{
	struct pair pair = tcp_pair(family);
	struct address other = loopback(family, 9);

	/* A stream socket ignores the address given, and gives none back. */
	observe_call("sendto", sendto(pair.client, "hello", 5, 0, SA(&other), other.length));
	wait_queued(pair.server, 5);
	observe_recvfrom("server", pair.server, 64, 0);
	observe_call("sendto NULL", sendto(pair.client, "again", 5, 0, NULL, 0));
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO(tcp_data, write_coalescing)
{
	struct pair pair = tcp_pair(AF_INET);

	send_text(pair.client, "one ");
	send_text(pair.client, "two ");
	send_text(pair.client, "three");
	wait_queued(pair.server, 13);
	observe_recv("server", pair.server, 6, 0);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO_V4_V6(tcp_data, peek)
{
	struct pair pair = tcp_pair(family);

	send_text(pair.client, "peekaboo");
	wait_queued(pair.server, 8);
	observe_recv("peek", pair.server, 4, MSG_PEEK);
	observe_recv("peek", pair.server, 64, MSG_PEEK);
	observe_poll("still", pair.server, POLLIN, POLLIN);
	observe_recv("recv", pair.server, 4, 0);
	observe_recv("peek", pair.server, 64, MSG_PEEK | MSG_DONTWAIT);
	observe_recv("recv", pair.server, 64, 0);
	observe_recv("peek", pair.server, 64, MSG_PEEK | MSG_DONTWAIT);
}

SCENARIO(tcp_data, dontwait)
{
	struct pair pair = tcp_pair(AF_INET);
	char buffer[8];

	observe_recv("recv", pair.server, 64, MSG_DONTWAIT);
	set_nonblocking(pair.server, true);
	observe_recv("recv", pair.server, 64, 0);
	observe_call("read", read(pair.server, buffer, sizeof buffer));
	observe_recvfrom("recvfrom", pair.server, 64, 0);
	set_nonblocking(pair.server, false);
	send_text(pair.client, "now");
	observe_recv("recv", pair.server, 64, 0);
}

static void *
send_in_two(void *argument)
{
	int fd = *(int *)argument;

	send_text(fd, "first ");
	pause_ms(100);
	send_text(fd, "second");
	return NULL;
}

SCENARIO_V4_V6(tcp_data, waitall)
{
	struct pair pair = tcp_pair(family);
	pthread_t thread = start_thread(send_in_two, &pair.client);

	observe_recv("waitall", pair.server, 12, MSG_WAITALL);
	join_thread(thread);
	send_text(pair.client, "short");
	shutdown(pair.client, SHUT_WR);
	observe_recv("waitall", pair.server, 12, MSG_WAITALL);
	observe_recv("waitall", pair.server, 12, MSG_WAITALL);
}

SCENARIO(tcp_data, trunc_discards)
{
	struct pair pair = tcp_pair(AF_INET);

	send_text(pair.client, "discarded, kept");
	wait_queued(pair.server, 15);
	/* On TCP MSG_TRUNC throws the bytes away without copying them. */
	observe_call("recv MSG_TRUNC", recv(pair.server, NULL, 11, MSG_TRUNC));
	observe_recv("recv", pair.server, 64, 0);
}

SCENARIO(tcp_data, more)
{
	struct pair pair = tcp_pair(AF_INET);

	observe_call("send MSG_MORE", send(pair.client, "head ", 5, MSG_MORE));
	observe_call("send", send(pair.client, "tail", 4, 0));
	wait_queued(pair.server, 9);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO(tcp_data, zero_length)
{
	struct pair pair = tcp_pair(AF_INET);
	char byte;

	observe_call("send", send(pair.client, "", 0, 0));
	observe_quiet("server", pair.server, POLLIN);
	send_text(pair.client, "x");
	wait_queued(pair.server, 1);
	observe_call("recv 0", recv(pair.server, &byte, 0, 0));
	observe_recv("recv", pair.server, 64, 0);
}

SCENARIO_V4_V6(tcp_data, fionread)
{
	struct pair pair = tcp_pair(family);
	int queued = -1;

	observe_call("FIONREAD", ioctl(pair.server, FIONREAD, &queued));
	OBSERVE("queued %d", queued);
	send_text(pair.client, "twelve bytes");
	wait_queued(pair.server, 12);
	observe_call("FIONREAD", ioctl(pair.server, FIONREAD, &queued));
	OBSERVE("queued %d", queued);
	observe_recv("recv", pair.server, 7, 0);
	observe_call("FIONREAD", ioctl(pair.server, FIONREAD, &queued));
	OBSERVE("queued %d", queued);
	observe_recv("recv", pair.server, 7, 0);
	queued = -1;
	for (int i = 0; i < 300 && ioctl(pair.client, TIOCOUTQ, &queued) == 0 && queued; i++)
		pause_ms(10);
	OBSERVE("unacknowledged %d", queued);
}

/* What one side has not had acknowledged and the other has not read is what was sent. */
SCENARIO_V4_V6(tcp_data, unacknowledged)
{
	struct pair pair = tcp_pair(family);
	int listener = tcp_listener(family), fresh = tcp_socket(family), bytes = -1, unread = -1;
	static char data[300000];
	ssize_t sent;

	observe_call("fresh", ioctl(fresh, SIOCOUTQ, &bytes));
	OBSERVE("%d", bytes);
	observe_call("listener", ioctl(listener, SIOCOUTQ, &bytes));
	sent = send(pair.client, data, sizeof data, MSG_DONTWAIT);
	for (int i = 0; i < 300 && unread + bytes != sent; i++) {
		ioctl(pair.client, SIOCOUTQ, &bytes);
		ioctl(pair.server, SIOCINQ, &unread);
		pause_ms(10);
	}
	OBSERVE("all there %d", sent > 0 && bytes + unread == sent);
}

SCENARIO_V4_V6(tcp_data, urgent)
{
	struct pair pair = tcp_pair(family);
	int mark = -1;

	observe_call("send", send(pair.client, "abc", 3, 0));
	observe_call("send MSG_OOB", send(pair.client, "!", 1, MSG_OOB));
	observe_poll("server", pair.server, POLLIN | POLLPRI | POLLRDHUP, POLLIN | POLLPRI);
	observe_recv("oob", pair.server, 8, MSG_OOB);
	observe_recv("oob again", pair.server, 8, MSG_OOB);
	observe_recv("normal", pair.server, 8, 0);
	observe_call("SIOCATMARK", ioctl(pair.server, SIOCATMARK, &mark));
	OBSERVE("at mark %d", mark);
	send_text(pair.client, "def");
	observe_poll("server", pair.server, POLLIN | POLLPRI, POLLIN);
	observe_recv("normal", pair.server, 8, 0);
	observe_recv("oob none", pair.server, 8, MSG_OOB);
}

SCENARIO(tcp_data, urgent_inline)
{
	struct pair pair = tcp_pair(AF_INET);

	set_option(pair.server, SOL_SOCKET, SO_OOBINLINE, 1);
	observe_call("send MSG_OOB", send(pair.client, "ab!", 3, MSG_OOB));
	observe_poll("server", pair.server, POLLIN | POLLPRI, POLLIN | POLLPRI);
	wait_queued(pair.server, 3);
	observe_recv("normal", pair.server, 8, 0);
	observe_recv("from the mark", pair.server, 8, MSG_DONTWAIT);
	observe_recv("oob", pair.server, 8, MSG_OOB);
}

struct flow {
	int fd;
	unsigned char *data;
	size_t len, done;
};

static void *
send_flow(void *argument)
{
	struct flow *flow = argument;

	flow->done = send_all(flow->fd, flow->data, flow->len);
	return NULL;
}

static void
exchange_bulk(struct pair pair, size_t len)
{
	struct flow up = {.fd = pair.client, .data = must_alloc(len), .len = len};
	struct flow down = {.fd = pair.server, .data = must_alloc(len), .len = len};
	struct flow in = {.fd = pair.client, .data = must_alloc(len), .len = len};
	unsigned char *received = must_alloc(len);
	pthread_t sender, replier;
	size_t n;

	fill_pattern(up.data, len, 1);
	fill_pattern(down.data, len, 2);
	sender = start_thread(send_flow, &up);
	replier = start_thread(send_flow, &down);
	/* One direction first: the other fills up and has to wait, without harm. */
	n = read_all(pair.server, received, len);
	observe_bytes("up", received, (ssize_t)n);
	n = read_all(in.fd, in.data, len);
	observe_bytes("down", in.data, (ssize_t)n);
	join_thread(sender);
	join_thread(replier);
	OBSERVE("sent %zu and %zu, alike %d %d", up.done, down.done, memcmp(up.data, received, len) == 0,
	        memcmp(down.data, in.data, len) == 0);
}

SCENARIO_V4_V6(tcp_data, bulk_both_ways)
{
	exchange_bulk(tcp_pair(family), 4 << 20);
}

SCENARIO(tcp_data, bulk_small_buffers)
{
	struct pair pair = tcp_pair(AF_INET);

	set_option(pair.client, SOL_SOCKET, SO_SNDBUF, 16384);
	set_option(pair.server, SOL_SOCKET, SO_RCVBUF, 32768);
	exchange_bulk(pair, 256 << 10);
}

SCENARIO(tcp_data, bulk_nonblocking)
{
	struct pair pair = tcp_pair(AF_INET);

	set_nonblocking(pair.client, true);
	set_nonblocking(pair.server, true);
	exchange_bulk(pair, 2 << 20);
}

SCENARIO_V4_V6(tcp_data, fill_then_drain)
{
	struct pair pair = tcp_pair(family);
	static char chunk[65536];
	size_t sent = 0, received = 0;
	ssize_t n;

	set_nonblocking(pair.client, true);
	fill_pattern(chunk, sizeof chunk, 3);
	for (;;) {
		n = send(pair.client, chunk, sizeof chunk, 0);
		if (n > 0)
			sent += (size_t)n;
		else if (errno != EAGAIN || !(poll(&(struct pollfd){.fd = pair.client, .events = POLLOUT}, 1, 300) == 1))
			break;
	}
	observe_call("send", n);
	observe_quiet("full", pair.client, POLLOUT);
	shutdown(pair.client, SHUT_WR);
	while ((n = recv(pair.server, chunk, sizeof chunk, 0)) > 0)
		received += (size_t)n;
	observe_call("recv", n);
	OBSERVE("all came %d, more than 64 KiB %d", sent == received, sent > 65536);
}

SCENARIO(tcp_data, writable_again)
{
	struct pair pair = tcp_pair(AF_INET);
	static char chunk[65536];

	set_nonblocking(pair.client, true);
	do {
		while (send(pair.client, chunk, sizeof chunk, 0) > 0)
			;
	} while (poll(&(struct pollfd){.fd = pair.client, .events = POLLOUT}, 1, 300) == 1);
	set_nonblocking(pair.server, true);
	while (poll(&(struct pollfd){.fd = pair.server, .events = POLLIN}, 1, 300) == 1)
		while (recv(pair.server, chunk, sizeof chunk, 0) > 0)
			;
	observe_poll("client", pair.client, POLLOUT, POLLOUT);
	observe_call("send", send(pair.client, "x", 1, 0));
}

SCENARIO(tcp_data, send_timeout)
{
	struct pair pair = tcp_pair(AF_INET);
	struct timeval timeout = {.tv_usec = 200000};
	static char chunk[65536];

	must("SO_SNDTIMEO", setsockopt(pair.client, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout));
	for (int i = 0; i < 10000; i++)
		if (send(pair.client, chunk, sizeof chunk, 0) < 0)
			break;
	observe_call("send", send(pair.client, chunk, sizeof chunk, 0));
}

static int
pattern_file(size_t len)
{
	int fd = must("memfd_create", memfd_create("pattern", MFD_CLOEXEC));
	char *data = must_alloc(len);

	fill_pattern(data, len, 4);
	must("write", write(fd, data, len) == (ssize_t)len ? 0 : -1);
	free(data);
	return fd;
}

struct file_flow {
	int from, to;
	size_t len;
	bool splice;
};

static void *
send_file(void *argument)
{
	struct file_flow *flow = argument;
	size_t left = flow->len;
	int pipes[2];

	must("pipe", pipe2(pipes, O_CLOEXEC));
	lseek(flow->from, 0, SEEK_SET);
	while (left) {
		ssize_t n;

		if (flow->splice) {
			n = must("splice in", splice(flow->from, NULL, pipes[1], NULL, left < 65536 ? left : 65536, 0));
			for (ssize_t m = n; m > 0;)
				m -= must("splice out", splice(pipes[0], NULL, flow->to, NULL, (size_t)m, 0));
		} else {
			n = must("sendfile", sendfile(flow->to, flow->from, NULL, left));
		}
		if (n == 0)
			break;
		left -= (size_t)n;
	}
	shutdown(flow->to, SHUT_WR);
	return NULL;
}

static void
observe_file(bool splice)
{
	struct pair pair = tcp_pair(AF_INET);
	struct file_flow flow = {.to = pair.client, .len = 1 << 20, .splice = splice};
	char *received = must_alloc(flow.len + 1);
	pthread_t thread;

	flow.from = pattern_file(flow.len);
	thread = start_thread(send_file, &flow);
	observe_bytes("received", received, (ssize_t)read_all(pair.server, received, flow.len + 1));
	join_thread(thread);
}

SCENARIO(tcp_data, sendfile)
{
	observe_file(false);
}

SCENARIO(tcp_data, splice_into)
{
	observe_file(true);
}

SCENARIO(tcp_data, splice_out_of)
{
	struct pair pair = tcp_pair(AF_INET);
	int pipes[2];
	char buffer[32] = "";

	must("pipe", pipe2(pipes, O_CLOEXEC));
	/* It is the socket's flag that counts: SPLICE_F_NONBLOCK alone would block here. */
	set_nonblocking(pair.server, true);
	observe_call("splice", splice(pair.server, NULL, pipes[1], NULL, 100, 0));
	set_nonblocking(pair.server, false);
	send_text(pair.client, "through a pipe");
	wait_queued(pair.server, 14);
	observe_call("splice", splice(pair.server, NULL, pipes[1], NULL, 100, 0));
	observe_bytes("read", buffer, read(pipes[0], buffer, sizeof buffer));
	shutdown(pair.client, SHUT_WR);
	observe_call("splice", splice(pair.server, NULL, pipes[1], NULL, 100, 0));
}

SCENARIO(tcp_data, lseek_and_pread)
{
	struct pair pair = tcp_pair(AF_INET);
	char byte;

	observe_call("lseek", lseek(pair.client, 0, SEEK_SET));
	observe_call("pread", pread(pair.client, &byte, 1, 0));
	observe_call("pwrite", pwrite(pair.client, "x", 1, 0));
	observe_call("ftruncate", ftruncate(pair.client, 0));
	observe_call("fsync", fsync(pair.client));
	observe_call("isatty", isatty(pair.client));
	OBSERVE("errno %s", strerrorname_np(errno));
}
