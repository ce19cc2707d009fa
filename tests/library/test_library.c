/*
 * libsplitsock's public API, in a program that links the shared library, with a gofer of each test's own. The other end of every
 * connection is the kernel's plain loopback, so what the library says is compared with what really happened.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/if_packet.h>

#include "sentry_side/splitsock.h"
#include "tests/library/gofer_process.h"

static struct gofer_process gofer;
static struct ss *ss;

static void
setup(void)
{
	int descriptors;

	gofer_process_start(&gofer, NULL, NULL);
	descriptors = gofer_process_descriptors(&gofer);
	ss = ss_open(gofer.url);
	cr_assert_not_null(ss, "ss_open: %s", strerror(errno));
	gofer_process_await(&gofer, descriptors + 2);
}

static void
teardown(void)
{
	ss_close(ss);
	gofer_process_stop(&gofer);
}

TestSuite(library, .init = setup, .fini = teardown, .timeout = 60);

#define A(address) ((struct sockaddr *)&(address))

/* Fails the test with errno's text. */
#define OK(call) cr_assert((call) >= 0, #call ": %s", strerror(errno))
#define FAILS(call, error) \
	do { \
		long result_ = (long)(call); \
		int errno_ = errno; \
		cr_assert_eq(result_, -1, #call " succeeds"); \
		cr_assert_eq(errno_, error, #call ": %s", strerror(errno_)); \
	} while (0)

static void
nap(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in
loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static struct sockaddr_in
name_of_plain(int fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof address;

	OK(getsockname(fd, A(address), &len));
	return address;
}

static struct sockaddr_in
name_of(int fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof address;

	OK(ss_getsockname(ss, fd, A(address), &len));
	cr_assert_eq(len, sizeof address);
	return address;
}

/* A listener of the kernel's own. */
static int
plain_listener(int backlog, struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = loopback(0);
	OK(bind(fd, A(*address), sizeof *address));
	OK(listen(fd, backlog));
	*address = name_of_plain(fd);
	return fd;
}

/* A port that nobody listens on. */
static struct sockaddr_in
closed_port(void)
{
	struct sockaddr_in address;

	close(plain_listener(1, &address));
	return address;
}

static int
poll_one(int fd, short events, int ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n = poll(&p, 1, ms);

	cr_assert_geq(n, 0);
	return n ? p.revents : 0;
}

static int
error_of(int fd)
{
	int error = -1;
	socklen_t len = sizeof error;

	OK(ss_getsockopt(ss, fd, SOL_SOCKET, SO_ERROR, &error, &len));
	cr_assert_eq(len, sizeof error);
	return error;
}

static int
own_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* The gofer is back at what it held before. */
static void
await_descriptors(int count)
{
	int is = 0;

	for (int i = 0; i < 1000; i++) {
		is = gofer_process_descriptors(&gofer);
		if (is <= count)
			return;
		nap(5);
	}
	cr_assert_fail("the gofer holds %d descriptors, not %d", is, count);
}

/* A connection from the library to a plain socket. */
static void
connected_pair(int *ours, int *plain)
{
	struct sockaddr_in address;
	int listener = plain_listener(1, &address);

	OK(*ours = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(ss_connect(ss, *ours, A(address), sizeof address));
	OK(*plain = accept(listener, NULL, NULL));
	close(listener);
}

/* ---- sessions ------------------------------------------------------------------------------------ */

Test(library, the_version_is_the_build_s)
{
	cr_assert_str_eq(ss_version(), SPLITSOCK_VERSION);
}

Test(library, no_gofer_there)
{
	char path[128], url[200];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	cr_assert_null(ss_open("ipc:///tmp/splitsock-nowhere/gofer.sock"));
	cr_assert(errno == ENOENT || errno == ECONNREFUSED, "%s", strerror(errno));
	/* A socket file that nobody listens on any more. */
	snprintf(path, sizeof path, "%s/stale", gofer.directory);
	snprintf(url, sizeof url, "ipc://%s", path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	OK(bind(fd, A(address), sizeof address));
	close(fd);
	cr_assert_null(ss_open(url));
	cr_assert_eq(errno, ECONNREFUSED, "%s", strerror(errno));
}

Test(library, urls_that_are_none)
{
	static const char *const urls[] = {"", "ipc://", "tcp://127.0.0.1:1", "/tmp/gofer.sock", "ipc:/tmp/x", "http://x/", "inproc://x",
	                                   "abstract://x"};
	char longer[300] = "ipc:///";

	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		cr_expect_null(ss_open(urls[i]), "%s", urls[i]);
		cr_expect_eq(errno, EINVAL, "'%s': %s", urls[i], strerror(errno));
	}
	memset(longer + 7, 'x', 200);
	cr_assert_null(ss_open(longer));
	cr_assert_eq(errno, EINVAL);
}

Test(library, the_environment_names_the_gofer)
{
	struct ss *other;

	OK(setenv("SPLITSOCK_GOFER", gofer.url, 1));
	other = ss_open(NULL);
	cr_assert_not_null(other);
	ss_close(other);
	OK(setenv("SPLITSOCK_GOFER", "ipc:///tmp/splitsock-nowhere/gofer.sock", 1));
	cr_assert_null(ss_open(NULL));
	cr_assert(errno == ENOENT || errno == ECONNREFUSED, "%s", strerror(errno));
}

struct false_gofer {
	int listener;
	const char *answer;
	size_t len;
};

static void *
answer_falsely(void *arg)
{
	struct false_gofer *f = arg;
	int fd = accept(f->listener, NULL, NULL);
	char hello[256];

	if (fd >= 0 && read(fd, hello, sizeof hello) > 0) {
		if (f->len && write(fd, f->answer, f->len) != (ssize_t)f->len)
			perror("write");
		if (f->len)
			nap(200);
		else
			while (read(fd, hello, sizeof hello) > 0)
				;
	}
	close(fd);
	return NULL;
}

/* errno of ss_open() when the other end answers like this; len 0: with silence. */
static int
errno_of_answer(const char *answer, size_t len)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct false_gofer f = {.answer = answer, .len = len};
	pthread_t thread;
	char url[200];
	int error;

	snprintf(address.sun_path, sizeof address.sun_path, "%s/false", gofer.directory);
	snprintf(url, sizeof url, "ipc://%s", address.sun_path);
	unlink(address.sun_path);
	f.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	OK(bind(f.listener, A(address), sizeof address));
	OK(listen(f.listener, 1));
	cr_assert_eq(pthread_create(&thread, NULL, answer_falsely, &f), 0);
	cr_assert_null(ss_open(url));
	error = errno;
	pthread_join(thread, NULL);
	close(f.listener);
	return error;
}

Test(library, what_is_no_gofer)
{
	static const char welcome_without_token[] = "\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00";
	static const char wrong_kind[] = "\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00";
	static const char unsupported[] = "\x04\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x08\x06\x10\x02";
	static const char too_large[] = "\xff\xff\xff\xff\x02\x00\x00\x00\x00\x00\x00\x00";
	double began;

	cr_expect_eq(errno_of_answer("HTTP/1.1 400 Bad Request\r\n\r\n", 28), EPROTO);
	cr_expect_eq(errno_of_answer(welcome_without_token, sizeof welcome_without_token - 1), EPROTO);
	cr_expect_eq(errno_of_answer(wrong_kind, sizeof wrong_kind - 1), EPROTO);
	cr_expect_eq(errno_of_answer(unsupported, sizeof unsupported - 1), EPROTO, "a version that we do not speak");
	cr_expect_eq(errno_of_answer(too_large, sizeof too_large - 1), EPROTO);
	began = now();
	cr_expect_eq(errno_of_answer(NULL, 0), ETIMEDOUT);
	cr_expect(now() - began > 4.5 && now() - began < 15, "\"Blocks for at most 5 s\": %.1f s", now() - began);
}

Test(library, closing_nothing_is_allowed)
{
	ss_close(NULL);
}

Test(library, sessions_leave_nothing)
{
	int before = gofer_process_descriptors(&gofer), own = own_descriptors();

	for (int i = 0; i < 50; i++) {
		struct ss *other = ss_open(gofer.url);
		int stream, datagram;

		cr_assert_not_null(other);
		stream = ss_socket(other, AF_INET, SOCK_STREAM, 0);
		datagram = ss_socket(other, AF_INET, SOCK_DGRAM, 0);
		OK(stream);
		OK(datagram);
		if (i % 2) {
			struct sockaddr_in address = loopback(0);

			OK(ss_bind(other, stream, A(address), sizeof address));
			OK(ss_listen(other, stream, 5));
			OK(ss_bind(other, datagram, A(address), sizeof address));
			address = loopback(9);
			cr_assert_eq(ss_sendto(other, datagram, "", 0, 0, A(address), sizeof address), 0);
		}
		if (i % 3)
			close(stream);
		ss_close(other);
		if (i % 3 == 0)
			close(stream);
		close(datagram);
	}
	await_descriptors(before);
	for (int i = 0; i < 400 && own_descriptors() > own; i++) /* NNG closes its own a little later */
		nap(5);
	cr_assert_eq(own_descriptors(), own);
}

Test(library, the_end_of_a_session_ends_its_connections)
{
	struct ss *other = ss_open(gofer.url);
	struct sockaddr_in address;
	int listener = plain_listener(1, &address), fd, plain;
	char byte;

	OK(fd = ss_socket(other, AF_INET, SOCK_STREAM, 0));
	OK(ss_connect(other, fd, A(address), sizeof address));
	OK(plain = accept(listener, NULL, NULL));
	ss_close(other);
	cr_assert(poll_one(plain, POLLIN, 5000) & POLLIN, "the peer hears of it");
	cr_assert(poll_one(fd, POLLIN, 5000) & (POLLIN | POLLHUP), "so does the program");
	cr_assert_leq(read(fd, &byte, 1), 0);
	close(fd);
	close(plain);
	close(listener);
}

/* ---- TCP ----------------------------------------------------------------------------------------- */

Test(library, a_tcp_client)
{
	struct sockaddr_in address, name;
	int listener = plain_listener(1, &address), fd, plain;
	socklen_t len = sizeof name;
	char got[64];

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(ss_connect(ss, fd, A(address), sizeof address));
	OK(plain = accept(listener, A(name), &len));
	cr_assert_eq(name.sin_port, name_of(fd).sin_port, "getsockname is what the peer sees");
	len = sizeof name;
	OK(ss_getpeername(ss, fd, A(name), &len));
	cr_assert_arr_eq(&name, &address, sizeof name);

	cr_assert_eq(write(fd, "to the server", 13), 13);
	cr_assert_eq(recv(plain, got, sizeof got, 0), 13);
	cr_assert_arr_eq(got, "to the server", 13);
	cr_assert_eq(send(plain, "to the client", 13, 0), 13);
	cr_assert_eq(read(fd, got, sizeof got), 13);
	cr_assert_arr_eq(got, "to the client", 13);
	/* Half-closed, then closed. */
	OK(ss_shutdown(ss, fd, SHUT_WR));
	cr_assert_eq(recv(plain, got, sizeof got, 0), 0);
	cr_assert_eq(send(plain, "late", 4, 0), 4);
	cr_assert_eq(read(fd, got, sizeof got), 4);
	close(plain);
	cr_assert_eq(read(fd, got, sizeof got), 0);
	close(fd);
	close(listener);
}

Test(library, a_tcp_server)
{
	struct sockaddr_in address = loopback(0), name, plain_name;
	int listener, plain, fd;
	socklen_t len = sizeof name;
	char got[64];

	OK(listener = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(ss_bind(ss, listener, A(address), sizeof address));
	address = name_of(listener);
	cr_assert_neq(address.sin_port, 0);
	OK(ss_listen(ss, listener, 5));
	cr_assert_eq(poll_one(listener, POLLIN, 20), 0);
	plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	OK(connect(plain, A(address), sizeof address));
	plain_name = name_of_plain(plain);
	cr_assert_eq(poll_one(listener, POLLIN, 5000), POLLIN, "a connection makes it readable");
	OK(fd = ss_accept(ss, listener, A(name), &len));
	cr_assert_eq(len, sizeof name);
	cr_assert_arr_eq(&name, &plain_name, sizeof name);
	cr_assert_eq(name_of(fd).sin_port, address.sin_port);
	len = sizeof name;
	OK(ss_getpeername(ss, fd, A(name), &len));
	cr_assert_arr_eq(&name, &plain_name, sizeof name);
	cr_assert_eq(send(plain, "hello", 5, 0), 5);
	cr_assert_eq(read(fd, got, sizeof got), 5);
	cr_assert_eq(write(fd, "world", 5), 5);
	cr_assert_eq(recv(plain, got, sizeof got, 0), 5);
	close(fd);
	cr_assert_eq(recv(plain, got, sizeof got, 0), 0, "close is a FIN");
	close(plain);
	close(listener);
	/* And the port is closed, too. */
	for (int i = 0; i < 400; i++) {
		plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(plain, A(address), sizeof address) < 0 && errno == ECONNREFUSED)
			break;
		close(plain);
		plain = -1;
		nap(5);
	}
	cr_assert_neq(plain, -1);
	close(plain);
}

Test(library, both_ends)
{
	struct sockaddr_in address = loopback(0);
	int listener, client, server;
	char got[16];

	OK(listener = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(ss_bind(ss, listener, A(address), sizeof address));
	OK(ss_listen(ss, listener, 5));
	address = name_of(listener);
	OK(client = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(ss_connect(ss, client, A(address), sizeof address));
	OK(server = ss_accept(ss, listener, NULL, NULL));
	cr_assert_eq(write(client, "x", 1), 1);
	cr_assert_eq(read(server, got, sizeof got), 1);
	close(client);
	close(server);
	close(listener);
}

Test(library, ipv6)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, name;
	int plain = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	socklen_t len = sizeof address;

	cr_assert(plain >= 0 && bind(plain, A(address), sizeof address) == 0,
	          "no IPv6 on this host's loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0, in a container --sysctl");
	OK(listen(plain, 1));
	OK(getsockname(plain, A(address), &len));
	OK(fd = ss_socket(ss, AF_INET6, SOCK_STREAM, 0));
	OK(ss_connect(ss, fd, A(address), sizeof address));
	len = sizeof name;
	OK(ss_getpeername(ss, fd, A(name), &len));
	cr_assert_eq(len, sizeof name);
	cr_assert_arr_eq(&name, &address, sizeof name);
	close(fd);
	close(plain);
}

static void
fill(uint8_t *data, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		data[i] = (uint8_t)(seed >> 24);
	}
}

struct transfer {
	int fd;
	size_t size;
	bool good;
};

enum { PIECE = 100000 };

static void *
send_much(void *arg)
{
	struct transfer *t = arg;
	uint8_t *data = malloc(PIECE);

	for (size_t done = 0; done < t->size; done += PIECE) {
		fill(data, PIECE, (uint32_t)done);
		for (size_t off = 0; off < PIECE;) {
			ssize_t n = write(t->fd, data + off, PIECE - off);

			if (n <= 0)
				goto out;
			off += (size_t)n;
		}
	}
	t->good = true;
out:
	free(data);
	return NULL;
}

static void
receive_much(int fd, size_t size)
{
	uint8_t *expected = malloc(PIECE), *data = malloc(PIECE);

	for (size_t done = 0; done < size; done += PIECE) {
		for (size_t off = 0; off < PIECE;) {
			ssize_t n = read(fd, data + off, PIECE - off);

			cr_assert_gt(n, 0, "after %zu: %s", done + off, n ? strerror(errno) : "the end");
			off += (size_t)n;
		}
		fill(expected, PIECE, (uint32_t)done);
		cr_assert_eq(memcmp(data, expected, PIECE), 0, "at %zu", done);
	}
	free(expected);
	free(data);
}

Test(library, bulk_data_both_ways)
{
	enum { SIZE = 40 * PIECE };
	int ours, plain;

	connected_pair(&ours, &plain);
	for (int direction = 0; direction < 2; direction++) {
		struct transfer t = {.fd = direction ? ours : plain, .size = SIZE};
		pthread_t thread;

		cr_assert_eq(pthread_create(&thread, NULL, send_much, &t), 0);
		receive_much(direction ? plain : ours, SIZE);
		pthread_join(thread, NULL);
		cr_assert(t.good);
	}
	close(ours);
	close(plain);
}

/* ---- accept -------------------------------------------------------------------------------------- */

static int
our_listener(int type_flags, struct sockaddr_in *address)
{
	int fd = ss_socket(ss, AF_INET, SOCK_STREAM | type_flags, 0);

	OK(fd);
	*address = loopback(0);
	OK(ss_bind(ss, fd, A(*address), sizeof *address));
	OK(ss_listen(ss, fd, 64));
	*address = name_of(fd);
	return fd;
}

Test(library, accept_flags)
{
	struct sockaddr_in address;
	int listener = our_listener(SOCK_NONBLOCK, &address);

	FAILS(ss_accept(ss, listener, NULL, NULL), EAGAIN);
	for (int i = 0; i < 4; i++) {
		int flags = (i & 1 ? SOCK_NONBLOCK : 0) | (i & 2 ? SOCK_CLOEXEC : 0), plain, fd;

		plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		OK(connect(plain, A(address), sizeof address));
		cr_assert(poll_one(listener, POLLIN, 5000));
		OK(fd = ss_accept4(ss, listener, NULL, NULL, flags));
		cr_assert_eq(!!(fcntl(fd, F_GETFL) & O_NONBLOCK), !!(flags & SOCK_NONBLOCK));
		cr_assert_eq(!!(fcntl(fd, F_GETFD) & FD_CLOEXEC), !!(flags & SOCK_CLOEXEC));
		close(fd);
		close(plain);
	}
	FAILS(ss_accept4(ss, listener, NULL, NULL, 0x1000000), EINVAL);
	close(listener);
}

Test(library, names_are_cut_as_the_kernel_cuts_them)
{
	struct sockaddr_in address, expected;
	int listener = our_listener(0, &address);

	for (socklen_t room = 0; room <= 20; room++) {
		int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
		uint8_t name[32];
		socklen_t len = room;

		OK(connect(plain, A(address), sizeof address));
		expected = name_of_plain(plain);
		memset(name, 0xaa, sizeof name);
		OK(fd = ss_accept(ss, listener, A(name), &len));
		cr_assert_eq(len, sizeof expected, "the whole length is told");
		cr_assert_arr_eq(name, &expected, room < sizeof expected ? room : sizeof expected);
		cr_assert_eq(name[room < sizeof expected ? room : sizeof expected], 0xaa, "nothing beyond the room");
		close(fd);
		close(plain);
	}
	close(listener);
}

Test(library, accept_where_nobody_listens)
{
	int fd;

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	FAILS(ss_accept(ss, fd, NULL, NULL), EINVAL);
	close(fd);
	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	FAILS(ss_accept(ss, fd, NULL, NULL), EOPNOTSUPP);
	close(fd);
}

struct acceptor {
	int listener, fd, error;
	atomic_bool done;
};

static void *
accept_blocking(void *arg)
{
	struct acceptor *a = arg;

	a->fd = ss_accept(ss, a->listener, NULL, NULL);
	a->error = errno;
	a->done = true;
	return NULL;
}

Test(library, accept_blocks_until_there_is_one)
{
	struct sockaddr_in address;
	struct acceptor a = {.listener = our_listener(0, &address)};
	pthread_t thread;
	int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(pthread_create(&thread, NULL, accept_blocking, &a), 0);
	nap(100);
	cr_assert_not(a.done);
	/* And blocks its caller alone. */
	close(ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(connect(plain, A(address), sizeof address));
	pthread_join(thread, NULL);
	cr_assert_geq(a.fd, 0);
	close(a.fd);
	close(plain);
	close(a.listener);
}

Test(library, several_threads_accept)
{
	enum { COUNT = 6 };
	struct sockaddr_in address;
	int listener = our_listener(0, &address), plain[COUNT];
	struct acceptor a[COUNT];
	pthread_t threads[COUNT];

	for (int i = 0; i < COUNT; i++) {
		a[i] = (struct acceptor){.listener = listener};
		cr_assert_eq(pthread_create(&threads[i], NULL, accept_blocking, &a[i]), 0);
	}
	for (int i = 0; i < COUNT; i++) {
		plain[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		OK(connect(plain[i], A(address), sizeof address));
	}
	for (int i = 0; i < COUNT; i++) {
		pthread_join(threads[i], NULL);
		cr_assert_geq(a[i].fd, 0, "%s", strerror(a[i].error));
		for (int j = 0; j < i; j++)
			cr_assert_neq(a[i].fd, a[j].fd);
	}
	for (int i = 0; i < COUNT; i++) {
		close(a[i].fd);
		close(plain[i]);
	}
	close(listener);
}

Test(library, shutdown_wakes_a_blocked_accept)
{
	struct sockaddr_in address;
	struct acceptor a = {.listener = our_listener(0, &address)};
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, accept_blocking, &a), 0);
	nap(100);
	OK(ss_shutdown(ss, a.listener, SHUT_RD));
	pthread_join(thread, NULL);
	cr_assert_eq(a.fd, -1);
	cr_assert_eq(a.error, EINVAL, "%s", strerror(a.error));
	close(a.listener);
}

/* ---- connect ------------------------------------------------------------------------------------- */

Test(library, connect_without_blocking)
{
	struct sockaddr_in address, name;
	int listener = plain_listener(1, &address), fd, plain;
	socklen_t len = sizeof name;

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	FAILS(ss_connect(ss, fd, A(address), sizeof address), EINPROGRESS);
	cr_assert_eq(poll_one(fd, POLLOUT, 5000), POLLOUT);
	cr_assert_eq(error_of(fd), 0);
	OK(ss_getpeername(ss, fd, A(name), &len));
	cr_assert_arr_eq(&name, &address, sizeof name);
	OK(plain = accept(listener, NULL, NULL));
	cr_assert_eq(write(fd, "x", 1), 1);
	cr_assert_eq(poll_one(plain, POLLIN, 5000), POLLIN);
	close(plain);
	close(fd);
	close(listener);
}

Test(library, connect_refused)
{
	struct sockaddr_in address = closed_port();
	int fd;

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	FAILS(ss_connect(ss, fd, A(address), sizeof address), ECONNREFUSED);
	/* The same socket may be connected elsewhere. */
	{
		struct sockaddr_in good;
		int listener = plain_listener(1, &good);

		OK(ss_connect(ss, fd, A(good), sizeof good));
		FAILS(ss_connect(ss, fd, A(good), sizeof good), EISCONN);
		close(listener);
	}
	close(fd);

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	if (ss_connect(ss, fd, A(address), sizeof address) < 0 && errno == EINPROGRESS) {
		cr_assert(poll_one(fd, POLLOUT, 5000) & (POLLERR | POLLHUP), "the failure wakes poll");
		cr_assert_eq(error_of(fd), ECONNREFUSED);
		cr_assert_eq(error_of(fd), 0, "asking clears it");
	} else {
		cr_assert_eq(errno, ECONNREFUSED);
	}
	close(fd);
}

/* A listener whose queue is full, so that connecting takes. */
static int
busy_listener(struct sockaddr_in *address, int fillers[3])
{
	int listener = plain_listener(0, address);

	for (int i = 0; i < 3; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(fillers[i], A(*address), sizeof *address);
	}
	return listener;
}

Test(library, a_pending_connect_is_not_writable)
{
	struct sockaddr_in address, name;
	int fillers[3], listener = busy_listener(&address, fillers), fd;
	socklen_t len = sizeof name;

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	FAILS(ss_connect(ss, fd, A(address), sizeof address), EINPROGRESS);
	cr_assert_eq(poll_one(fd, POLLOUT | POLLIN, 100), 0);
	FAILS(ss_connect(ss, fd, A(address), sizeof address), EALREADY);
	FAILS(ss_getpeername(ss, fd, A(name), &len), ENOTCONN);
	cr_assert_eq(error_of(fd), 0);
	cr_assert_neq(name_of(fd).sin_port, 0, "but it has a name already");
	/* Closing it ends the attempt: nobody is ever accepted. */
	close(fd);
	for (int i = 0; i < 3; i++)
		close(fillers[i]);
	close(listener);
}

static void
on_signal(int signal)
{
	(void)signal;
}

struct connector {
	int fd, result, error;
	struct sockaddr_in address;
	atomic_bool done;
};

static void *
connect_blocking(void *arg)
{
	struct connector *c = arg;

	c->result = ss_connect(ss, c->fd, A(c->address), sizeof c->address);
	c->error = errno;
	c->done = true;
	return NULL;
}

Test(library, a_signal_interrupts_connect)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct connector c = {0};
	int fillers[3], listener = busy_listener(&c.address, fillers);
	pthread_t thread;

	sigaction(SIGUSR1, &action, NULL);
	OK(c.fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	cr_assert_eq(pthread_create(&thread, NULL, connect_blocking, &c), 0);
	nap(100);
	cr_assert_not(c.done);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	cr_assert_eq(c.result, -1);
	cr_assert_eq(c.error, EINTR, "%s", strerror(c.error));
	/* As the kernel does, the attempt goes on. */
	cr_assert_eq(poll_one(c.fd, POLLOUT, 50), 0);
	close(c.fd);
	for (int i = 0; i < 3; i++)
		close(fillers[i]);
	close(listener);
}

/* ---- names and options --------------------------------------------------------------------------- */

Test(library, names_of_a_fresh_socket)
{
	struct sockaddr_in name;
	socklen_t len = sizeof name;
	int fd;

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	name = name_of(fd);
	cr_assert_eq(name.sin_family, AF_INET);
	cr_assert_eq(name.sin_port, 0);
	cr_assert_eq(name.sin_addr.s_addr, 0);
	FAILS(ss_getpeername(ss, fd, A(name), &len), ENOTCONN);
	close(fd);
}

static int
get_int(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;

	OK(ss_getsockopt(ss, fd, level, name, &value, &len));
	cr_assert_eq(len, sizeof value);
	return value;
}

Test(library, options)
{
	int fd, datagram, on = 1;
	struct linger linger = {1, 7};
	socklen_t len = sizeof linger;

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(datagram = ss_socket(ss, AF_INET6, SOCK_DGRAM, 0));
	cr_assert_eq(get_int(fd, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	cr_assert_eq(get_int(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
	cr_assert_eq(get_int(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
	cr_assert_eq(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
	cr_assert_eq(get_int(fd, SOL_SOCKET, SO_ERROR), 0);
	cr_assert_eq(get_int(datagram, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	cr_assert_eq(get_int(datagram, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	cr_assert_eq(get_int(datagram, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
	/* Set before there is a host socket, and after. */
	for (int round = 0; round < 2; round++) {
		OK(ss_setsockopt(ss, fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
		OK(ss_setsockopt(ss, fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
		OK(ss_setsockopt(ss, fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
		cr_assert_eq(get_int(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
		cr_assert_eq(get_int(fd, IPPROTO_TCP, TCP_NODELAY), 1);
		memset(&linger, 0, sizeof linger);
		OK(ss_getsockopt(ss, fd, SOL_SOCKET, SO_LINGER, &linger, &len));
		cr_assert(linger.l_onoff == 1 && linger.l_linger == 7);
	}
	FAILS(ss_setsockopt(ss, fd, SOL_SOCKET, 9999, &on, sizeof on), ENOPROTOOPT);
	FAILS(ss_setsockopt(ss, fd, IPPROTO_TCP, TCP_NODELAY, &on, 1), EINVAL);
	FAILS(ss_setsockopt(ss, fd, SOL_SOCKET, SO_TYPE, &on, sizeof on), ENOPROTOOPT);
	len = sizeof on;
	FAILS(ss_getsockopt(ss, fd, SOL_SOCKET, 9999, &on, &len), ENOPROTOOPT);
	close(fd);
	close(datagram);
}

Test(library, filters)
{
	struct sock_filter all[] = {BPF_STMT(BPF_LD | BPF_IMM, 7), BPF_STMT(BPF_RET | BPF_K, 0xffff)}, got[4];
	struct sock_fprog program = {.len = 2, .filter = all}, none = {.len = 0, .filter = all}, nowhere = {.len = 2};
	socklen_t len = 0;
	int fd;

	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	FAILS(ss_setsockopt(ss, fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program - 1), EINVAL);
	FAILS(ss_setsockopt(ss, fd, SOL_SOCKET, SO_ATTACH_FILTER, &none, sizeof none), EINVAL);
	FAILS(ss_setsockopt(ss, fd, SOL_SOCKET, SO_ATTACH_FILTER, &nowhere, sizeof nowhere), EINVAL);
	OK(ss_setsockopt(ss, fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
	/* Lengths of filters count instructions. */
	OK(ss_getsockopt(ss, fd, SOL_SOCKET, SO_ATTACH_FILTER, NULL, &len));
	cr_assert_eq(len, 2);
	len = 1;
	FAILS(ss_getsockopt(ss, fd, SOL_SOCKET, SO_ATTACH_FILTER, got, &len), EINVAL);
	len = 4;
	OK(ss_getsockopt(ss, fd, SOL_SOCKET, SO_ATTACH_FILTER, got, &len));
	cr_assert_eq(len, 2);
	cr_assert_arr_eq(got, all, sizeof all);
	close(fd);
}

Test(library, many_options_before_there_is_a_host_socket)
{
	static const struct {
		int level, name;
	} options[] = {{SOL_SOCKET, SO_KEEPALIVE},    {SOL_SOCKET, SO_REUSEADDR},    {SOL_SOCKET, SO_OOBINLINE},
	               {IPPROTO_TCP, TCP_NODELAY},    {IPPROTO_TCP, TCP_QUICKACK},   {SOL_SOCKET, SO_BROADCAST},
	               {IPPROTO_IP, IP_FREEBIND},     {IPPROTO_IP, IP_RECVTTL},      {IPPROTO_IP, IP_RECVTOS},
	               {SOL_SOCKET, SO_DONTROUTE},    {SOL_SOCKET, SO_TIMESTAMP},    {IPPROTO_IP, IP_PKTINFO}};
	struct sockaddr_in address;
	int listener = plain_listener(1, &address), fd, on = 1;

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		OK(ss_setsockopt(ss, fd, options[i].level, options[i].name, &on, sizeof on));
	OK(ss_connect(ss, fd, A(address), sizeof address));
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (options[i].name != TCP_QUICKACK)
			cr_expect_eq(get_int(fd, options[i].level, options[i].name), 1, "option %zu", i);
	close(fd);
	close(listener);
}

/* ---- UDP ----------------------------------------------------------------------------------------- */

static int
plain_datagram(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*address = loopback(0);
	OK(bind(fd, A(*address), sizeof *address));
	*address = name_of_plain(fd);
	return fd;
}

Test(library, datagrams_with_addresses)
{
	struct sockaddr_in address, from, ours = loopback(0);
	int plain = plain_datagram(&address), fd;
	socklen_t len = sizeof from;
	char got[64];

	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	OK(ss_bind(ss, fd, A(ours), sizeof ours));
	ours = name_of(fd);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(ss_sendto(ss, fd, "question", 8, 0, A(address), sizeof address), 8);
		len = sizeof from;
		cr_assert_eq(recvfrom(plain, got, sizeof got, 0, A(from), &len), 8);
		cr_assert_arr_eq(&from, &ours, sizeof from);
		cr_assert_eq(sendto(plain, "answer", 6, 0, A(ours), sizeof ours), 6);
		memset(&from, 0, sizeof from);
		len = sizeof from;
		cr_assert_eq(ss_recvfrom(ss, fd, got, sizeof got, 0, A(from), &len), 6);
		cr_assert_eq(len, sizeof from);
		cr_assert_arr_eq(&from, &address, sizeof from);
		cr_assert_arr_eq(got, "answer", 6);
	}
	/* A plain read of the same descriptor is the payload alone. */
	cr_assert_eq(sendto(plain, "plain", 5, 0, A(ours), sizeof ours), 5);
	cr_assert_eq(read(fd, got, sizeof got), 5);
	cr_assert_arr_eq(got, "plain", 5);
	/* No bytes at all are a datagram, too. */
	cr_assert_eq(ss_sendto(ss, fd, "", 0, 0, A(address), sizeof address), 0);
	cr_assert_eq(recv(plain, got, sizeof got, 0), 0);
	cr_assert_eq(sendto(plain, "", 0, 0, A(ours), sizeof ours), 0);
	len = sizeof from;
	cr_assert_eq(ss_recvfrom(ss, fd, got, sizeof got, 0, A(from), &len), 0);
	cr_assert_arr_eq(&from, &address, sizeof from);
	close(fd);
	close(plain);
}

Test(library, sending_binds)
{
	struct sockaddr_in address, from;
	int plain = plain_datagram(&address), fd;
	socklen_t len = sizeof from;
	char got[8];

	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	cr_assert_eq(ss_sendto(ss, fd, "x", 1, 0, A(address), sizeof address), 1);
	cr_assert_eq(recvfrom(plain, got, sizeof got, 0, A(from), &len), 1);
	cr_assert_eq(name_of(fd).sin_port, from.sin_port);
	close(fd);
	close(plain);
}

Test(library, connected_datagrams)
{
	struct sockaddr_in address, name;
	int plain = plain_datagram(&address), fd;
	socklen_t len = sizeof name;
	char got[64];

	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	FAILS(ss_sendto(ss, fd, "x", 1, 0, NULL, 0), EDESTADDRREQ);
	OK(ss_connect(ss, fd, A(address), sizeof address));
	OK(ss_getpeername(ss, fd, A(name), &len));
	cr_assert_arr_eq(&name, &address, sizeof name);
	cr_assert_eq(write(fd, "by write", 8), 8);
	cr_assert_eq(recv(plain, got, sizeof got, 0), 8);
	cr_assert_eq(ss_sendto(ss, fd, "by sendto", 9, 0, NULL, 0), 9);
	cr_assert_eq(recv(plain, got, sizeof got, 0), 9);
	name = name_of(fd);
	cr_assert_eq(sendto(plain, "back", 4, 0, A(name), sizeof name), 4);
	len = sizeof name;
	cr_assert_eq(ss_recvfrom(ss, fd, got, sizeof got, 0, A(name), &len), 4);
	cr_assert_arr_eq(&name, &address, sizeof name, "the peer's name, though none was sent along");
	/* And no longer connected. */
	OK(ss_connect(ss, fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)));
	len = sizeof name;
	FAILS(ss_getpeername(ss, fd, A(name), &len), ENOTCONN);
	close(fd);
	close(plain);
}

Test(library, datagrams_and_their_size)
{
	static char data[70000], got[70000];
	struct sockaddr_in address, ours = loopback(0);
	int plain = plain_datagram(&address), fd, size = 1 << 20;
	struct iovec iov = {got, 10};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	OK(setsockopt(plain, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	OK(ss_bind(ss, fd, A(ours), sizeof ours));
	ours = name_of(fd);
	fill((uint8_t *)data, sizeof data, 5);
	cr_assert_eq(ss_sendto(ss, fd, data, 65507, 0, A(address), sizeof address), 65507, "the largest: %s", strerror(errno));
	cr_assert_eq(recv(plain, got, sizeof got, 0), 65507);
	cr_assert_eq(memcmp(got, data, 65507), 0);
	FAILS(ss_sendto(ss, fd, data, 65508, 0, A(address), sizeof address), EMSGSIZE);
	FAILS(ss_sendto(ss, fd, data, 65536, 0, A(address), sizeof address), EMSGSIZE);
	cr_assert_eq(sendto(plain, data, 65507, 0, A(ours), sizeof ours), 65507);
	cr_assert_eq(ss_recvfrom(ss, fd, got, sizeof got, 0, NULL, NULL), 65507);
	cr_assert_eq(memcmp(got, data, 65507), 0);
	/* Cut, and said so. */
	cr_assert_eq(sendto(plain, data, 100, 0, A(ours), sizeof ours), 100);
	cr_assert_eq(ss_recvmsg(ss, fd, &message, 0), 10);
	cr_assert(message.msg_flags & MSG_TRUNC);
	cr_assert_eq(sendto(plain, data, 100, 0, A(ours), sizeof ours), 100);
	cr_assert_eq(ss_recvmsg(ss, fd, &message, MSG_TRUNC), 100);
	cr_assert_eq(sendto(plain, data, 5, 0, A(ours), sizeof ours), 5);
	cr_assert_eq(ss_recvmsg(ss, fd, &message, MSG_PEEK), 5);
	cr_assert_eq(ss_recvmsg(ss, fd, &message, 0), 5);
	cr_assert_eq(message.msg_flags & MSG_TRUNC, 0);
	FAILS(ss_recvmsg(ss, fd, &message, MSG_DONTWAIT), EAGAIN);
	close(fd);
	close(plain);
}

Test(library, sendmsg_gathers)
{
	struct sockaddr_in address;
	int plain = plain_datagram(&address), fd;
	struct iovec iovs[] = {{"one ", 4}, {"", 0}, {"two ", 4}, {"three", 5}};
	struct msghdr message = {.msg_name = &address, .msg_namelen = sizeof address, .msg_iov = iovs, .msg_iovlen = 4};
	char got[64];

	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	cr_assert_eq(ss_sendmsg(ss, fd, &message, 0), 13);
	cr_assert_eq(recv(plain, got, sizeof got, 0), 13);
	cr_assert_arr_eq(got, "one two three", 13);
	message.msg_iovlen = 0;
	cr_assert_eq(ss_sendmsg(ss, fd, &message, 0), 0);
	cr_assert_eq(recv(plain, got, sizeof got, 0), 0);
	close(fd);
	close(plain);
}

Test(library, a_refused_datagram_is_told)
{
	struct sockaddr_in address;
	int fd;

	close(plain_datagram(&address));
	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	OK(ss_connect(ss, fd, A(address), sizeof address));
	cr_assert_eq(write(fd, "x", 1), 1);
	cr_assert_neq(poll_one(fd, POLLIN, 5000), 0, "poll wakes");
	cr_assert_eq(error_of(fd), ECONNREFUSED);
	cr_assert_eq(error_of(fd), 0, "asking clears it");
	close(fd);
}

/* ---- errors -------------------------------------------------------------------------------------- */

Test(library, descriptors_that_are_not_ours)
{
	struct sockaddr_in address = loopback(1), name;
	socklen_t len = sizeof name;
	int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), pipes[2], none[4];
	char byte;

	OK(pipe(pipes));
	none[0] = -1;
	none[1] = 1000000;
	none[2] = plain;
	none[3] = pipes[0];
	for (int i = 0; i < 4; i++) {
		FAILS(ss_bind(ss, none[i], A(address), sizeof address), EBADF);
		FAILS(ss_connect(ss, none[i], A(address), sizeof address), EBADF);
		FAILS(ss_listen(ss, none[i], 1), EBADF);
		FAILS(ss_accept(ss, none[i], NULL, NULL), EBADF);
		FAILS(ss_getsockname(ss, none[i], A(name), &len), EBADF);
		FAILS(ss_getpeername(ss, none[i], A(name), &len), EBADF);
		FAILS(ss_getsockopt(ss, none[i], SOL_SOCKET, SO_TYPE, &name, &len), EBADF);
		FAILS(ss_setsockopt(ss, none[i], SOL_SOCKET, SO_KEEPALIVE, &len, sizeof len), EBADF);
		FAILS(ss_shutdown(ss, none[i], SHUT_RD), EBADF);
		FAILS(ss_sendto(ss, none[i], "", 1, 0, A(address), sizeof address), EBADF);
		FAILS(ss_recvfrom(ss, none[i], &byte, 1, 0, NULL, NULL), EBADF);
	}
	close(plain);
	close(pipes[0]);
	close(pipes[1]);
}

Test(library, sockets_that_are_none)
{
	FAILS(ss_socket(ss, 9999, SOCK_STREAM, 0), EAFNOSUPPORT);
	FAILS(ss_socket(ss, AF_INET, 77, 0), EINVAL);
	FAILS(ss_socket(ss, AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	FAILS(ss_socket(ss, AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
	FAILS(ss_socket(ss, AF_INET6, SOCK_RAW, 1000), EINVAL);
	FAILS(ss_socket(ss, AF_PACKET, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
	FAILS(ss_socket(ss, AF_PACKET, 77, 0), EINVAL);
}

/* Between two packet sockets on the host's lo, frames of a type that nobody else sends. */
Test(library, packet_sockets)
{
	enum { TYPE = 0x88b5 };
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(TYPE), .sll_ifindex = (int)if_nametoindex("lo")}, name;
	struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	struct sock_fprog filter = {1, nothing};
	struct packet_mreq membership = {.mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_ALLMULTI};
	char frame[64] = {[12] = TYPE >> 8, [13] = (char)(TYPE & 255)}, got[64];
	socklen_t len = sizeof name;
	int one, other, zero = 0;

	snprintf(frame + 14, sizeof frame - 14, "%d", (int)getpid());
	if (geteuid() != 0) {
		FAILS(ss_socket(ss, AF_PACKET, SOCK_RAW, 0), EPERM);
		return;
	}
	one = ss_socket(ss, AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	other = ss_socket(ss, AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
	cr_assert(one >= 0 && other >= 0, "%s", strerror(errno));
	cr_assert(fcntl(one, F_GETFD) & FD_CLOEXEC && !(fcntl(other, F_GETFD) & FD_CLOEXEC));
	cr_assert(!(fcntl(one, F_GETFL) & O_NONBLOCK) && fcntl(other, F_GETFL) & O_NONBLOCK);
	cr_assert_eq(ss_bind(ss, one, A(at), sizeof at), 0);
	cr_assert_eq(ss_bind(ss, other, A(at), sizeof at), 0);
	cr_assert_eq(ss_getsockname(ss, one, A(name), &len), 0);
	cr_assert_eq(name.sll_ifindex, at.sll_ifindex);
	cr_assert_eq(ss_setsockopt(ss, one, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership), 0);
	cr_assert_eq(send(other, frame, sizeof frame, 0), (ssize_t)sizeof frame);
	do
		cr_assert_eq(recv(one, got, sizeof got, 0), (ssize_t)sizeof got);
	while (memcmp(got, frame, sizeof frame) != 0);
	cr_assert_eq(ss_setsockopt(ss, one, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter), 0);
	while (recv(one, got, sizeof got, MSG_DONTWAIT) > 0)
		;
	cr_assert_eq(send(other, frame, sizeof frame, 0), (ssize_t)sizeof frame);
	cr_expect_eq(poll(&(struct pollfd){.fd = one, .events = POLLIN}, 1, 100), 0);
	cr_assert_eq(ss_setsockopt(ss, one, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero), 0);
	at.sll_ifindex = 12345;
	FAILS(ss_bind(ss, one, A(at), sizeof at), ENODEV);
	FAILS(ss_listen(ss, one, 1), EOPNOTSUPP);
	close(one);
	close(other);
}

/* What a gofer that does not run lets be lost, on the host's lo. */
Test(library, packet_statistics_count_what_the_host_has_lost)
{
	enum { TYPE = 0x88b6, FRAMES = 6000 };
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(TYPE), .sll_ifindex = (int)if_nametoindex("lo")};
	char frame[64] = {[12] = TYPE >> 8, [13] = (char)(TYPE & 255)};
	struct tpacket_stats statistics = {0};
	socklen_t len = sizeof statistics;
	int fd, plain;

	if (geteuid() != 0)
		return; /* there are none */
	OK(fd = ss_socket(ss, AF_PACKET, SOCK_RAW, 0));
	OK(plain = socket(AF_PACKET, SOCK_RAW, 0));
	OK(ss_bind(ss, fd, A(at), sizeof at));
	kill(gofer.pid, SIGSTOP);
	for (int i = 0; i < FRAMES; i++)
		OK(sendto(plain, frame, sizeof frame, 0, A(at), sizeof at));
	kill(gofer.pid, SIGCONT);
	for (int i = 0; i < 100 && statistics.tp_packets < FRAMES; i++) {
		struct tpacket_stats more;

		OK(ss_getsockopt(ss, fd, SOL_PACKET, PACKET_STATISTICS, &more, &len));
		cr_assert_eq(len, sizeof more);
		statistics.tp_packets += more.tp_packets;
		statistics.tp_drops += more.tp_drops;
		usleep(20000);
	}
	cr_assert_eq(statistics.tp_packets, FRAMES);
	cr_assert_gt(statistics.tp_drops, 0);
	close(fd);
	close(plain);
}

/* The gofer here runs as we do, so the kernel's answer to us is its answer, too. */
Test(library, raw_and_ping_sockets_are_as_the_hosts)
{
	static const struct {
		int family, type, protocol;
	} kinds[] = {{AF_INET, SOCK_RAW, IPPROTO_ICMP}, {AF_INET6, SOCK_RAW, IPPROTO_ICMPV6}, {AF_INET, SOCK_RAW, IPPROTO_RAW},
	             {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}, {AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6}};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		int plain = socket(kinds[i].family, kinds[i].type, kinds[i].protocol), error = errno, fd, value;
		struct sockaddr_storage name = {0}, plain_name = {0};
		socklen_t len = sizeof name, plain_len = sizeof plain_name, value_len = sizeof value;

		if (plain < 0) {
			FAILS(ss_socket(ss, kinds[i].family, kinds[i].type, kinds[i].protocol), error);
			continue;
		}
		OK(fd = ss_socket(ss, kinds[i].family, kinds[i].type, kinds[i].protocol));
		OK(ss_getsockname(ss, fd, (struct sockaddr *)&name, &len));
		OK(getsockname(plain, (struct sockaddr *)&plain_name, &plain_len));
		cr_assert_eq(len, plain_len);
		cr_assert_arr_eq(&name, &plain_name, len);
		OK(ss_getsockopt(ss, fd, SOL_SOCKET, SO_TYPE, &value, &value_len));
		cr_assert_eq(value, kinds[i].type);
		FAILS(ss_sendto(ss, fd, "12345678", 8, 0, NULL, 0), EDESTADDRREQ);
		close(fd);
		close(plain);
	}
}

Test(library, bind_fails_as_the_kernel_s_does)
{
	struct sockaddr_in address, elsewhere = {.sin_family = AF_INET, .sin_addr = {htonl(0xcb007101)}};
	int plain = plain_listener(1, &address), fd;

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	FAILS(ss_bind(ss, fd, A(address), sizeof address), EADDRINUSE);
	FAILS(ss_bind(ss, fd, A(elsewhere), sizeof elsewhere), EADDRNOTAVAIL);
	FAILS(ss_bind(ss, fd, A(address), 3), EINVAL);
	close(plain);
	address = loopback(0);
	OK(ss_bind(ss, fd, A(address), sizeof address));
	FAILS(ss_bind(ss, fd, A(address), sizeof address), EINVAL);
	close(fd);
}

/* As a server that restarts does: close is noticed by nobody, and yet the port must be free. */
Test(library, a_closed_socket_s_port_is_free_at_once)
{
	struct sockaddr_in address = loopback(0);

	for (int i = 0; i < 20; i++) {
		int fd;

		OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
		OK(ss_bind(ss, fd, A(address), sizeof address));
		if (i % 2)
			OK(ss_listen(ss, fd, 1));
		address = name_of(fd);
		close(fd);
	}
}

Test(library, shutdown_without_a_connection)
{
	int fd;

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	FAILS(ss_shutdown(ss, fd, SHUT_WR), ENOTCONN);
	close(fd);
	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	FAILS(ss_shutdown(ss, fd, SHUT_WR), ENOTCONN);
	FAILS(ss_shutdown(ss, fd, 77), EINVAL);
	close(fd);
}

Test(library, writing_to_who_is_gone)
{
	int ours, plain;
	ssize_t n = 0;

	connected_pair(&ours, &plain);
	close(plain);
	for (int i = 0; i < 400 && n >= 0; i++) {
		n = send(ours, "x", 1, MSG_NOSIGNAL);
		nap(5);
	}
	cr_assert_eq(n, -1);
	cr_assert(errno == EPIPE || errno == ECONNRESET, "%s", strerror(errno));
	close(ours);
}

Test(library, a_reset_is_a_reset)
{
	struct linger linger = {1, 0};
	int ours, plain;
	char byte;

	connected_pair(&ours, &plain);
	OK(setsockopt(plain, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	close(plain);
	cr_assert(poll_one(ours, POLLIN, 5000));
	cr_assert_eq(read(ours, &byte, 1), -1);
	cr_assert_eq(errno, ECONNRESET, "%s", strerror(errno));
	close(ours);
}

/* ---- quotas -------------------------------------------------------------------------------------- */

Test(library_quota, sockets, .timeout = 60)
{
	struct sockaddr_in address = loopback(0);
	int fds[5];

	gofer_process_start(&gofer, "--max-sockets", "4");
	ss = ss_open(gofer.url);
	cr_assert_not_null(ss);
	for (int i = 0; i < 4; i++) {
		OK(fds[i] = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
		OK(ss_bind(ss, fds[i], A(address), sizeof address));
	}
	OK(fds[4] = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	FAILS(ss_bind(ss, fds[4], A(address), sizeof address), ENOBUFS);
	OK(ss_listen(ss, fds[0], 1)); /* what is there goes on */
	close(fds[0]);
	/* The gofer hears of it by itself. */
	for (int i = 0; i < 400; i++) {
		if (ss_bind(ss, fds[4], A(address), sizeof address) == 0)
			break;
		cr_assert_eq(errno, ENOBUFS);
		cr_assert_lt(i, 399, "a closed socket is given back");
		nap(5);
	}
	for (int i = 1; i < 5; i++)
		close(fds[i]);
	ss_close(ss);
	gofer_process_stop(&gofer);
}

Test(library_quota, sessions, .timeout = 60)
{
	struct ss *first, *second;

	gofer_process_start(&gofer, "--max-sessions", "1");
	first = ss_open(gofer.url);
	cr_assert_not_null(first);
	second = ss_open(gofer.url);
	cr_assert_null(second);
	ss_close(first);
	for (int i = 0; i < 400 && !second; i++, nap(5))
		second = ss_open(gofer.url);
	cr_assert_not_null(second);
	ss_close(second);
	gofer_process_stop(&gofer);
}

/* ---- many at once -------------------------------------------------------------------------------- */

enum { THREADS = 8, CONNECTS = 200 };

static struct sockaddr_in echo_address;
static int echo_listener;

/* Sends back one byte to each of so many connections. */
static void *
echo_server(void *arg)
{
	(void)arg;
	for (int i = 0; i < THREADS * CONNECTS; i++) {
		int fd = accept4(echo_listener, NULL, NULL, SOCK_CLOEXEC);
		char byte;

		if (fd < 0)
			return "accept";
		if (read(fd, &byte, 1) != 1 || write(fd, &byte, 1) != 1)
			return "echo";
		close(fd);
	}
	return NULL;
}

static void *
connect_many(void *arg)
{
	char number = (char)(intptr_t)arg;

	for (int i = 0; i < CONNECTS; i++) {
		char sent = (char)(number * 16 + i % 16), got = 0;
		int on = 1, fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0);

		if (fd < 0)
			return "ss_socket";
		if (ss_setsockopt(ss, fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
			return "ss_setsockopt";
		if (ss_connect(ss, fd, A(echo_address), sizeof echo_address) < 0)
			return strerror(errno);
		if (write(fd, &sent, 1) != 1 || read(fd, &got, 1) != 1)
			return "one byte there and back";
		if (got != sent)
			return "another connection's byte";
		close(fd);
	}
	return NULL;
}

Test(library, many_threads_connect)
{
	pthread_t threads[THREADS], server;
	void *complaint;
	int own = own_descriptors() + 1, before = gofer_process_descriptors(&gofer);

	echo_listener = plain_listener(1024, &echo_address);
	cr_assert_eq(pthread_create(&server, NULL, echo_server, NULL), 0);
	for (intptr_t i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, connect_many, (void *)i), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &complaint);
		cr_assert_null(complaint, "thread %d: %s", i, (char *)complaint);
	}
	pthread_join(server, &complaint);
	cr_assert_null(complaint, "server: %s", (char *)complaint);
	cr_assert_leq(own_descriptors(), own);
	await_descriptors(before + 8); /* it keeps some pipes */
	close(echo_listener);
}

static atomic_bool stop_churning;

static void *
churn_datagrams(void *arg)
{
	struct sockaddr_in address = loopback(9);

	(void)arg;
	while (!stop_churning) {
		int fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0);

		if (fd < 0)
			return "ss_socket";
		if (ss_sendto(ss, fd, "x", 1, 0, A(address), sizeof address) != 1)
			return "ss_sendto";
		close(fd);
	}
	return NULL;
}

static void *
churn_listeners(void *arg)
{
	(void)arg;
	while (!stop_churning) {
		struct sockaddr_in address = loopback(0);
		int fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0);
		socklen_t len = sizeof address;

		if (fd < 0 || ss_bind(ss, fd, A(address), sizeof address) < 0 || ss_listen(ss, fd, 3) < 0 ||
		    ss_getsockname(ss, fd, A(address), &len) < 0 || !address.sin_port)
			return "a listener";
		close(fd);
	}
	return NULL;
}

Test(library, many_kinds_at_once)
{
	pthread_t threads[6];
	int before = gofer_process_descriptors(&gofer);
	void *complaint;

	for (int i = 0; i < 6; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, i % 2 ? churn_datagrams : churn_listeners, NULL), 0);
	nap(1500);
	stop_churning = true;
	for (int i = 0; i < 6; i++) {
		pthread_join(threads[i], &complaint);
		cr_assert_null(complaint, "thread %d: %s", i, (char *)complaint);
	}
	await_descriptors(before + 1); /* the side channel */
}

/* ---- the gofer's death --------------------------------------------------------------------------- */

Test(library, without_its_gofer_every_call_says_so)
{
	struct sockaddr_in address = loopback(0), target = loopback(9), name;
	int fresh, bound, datagram, on = 1;
	socklen_t len = sizeof name;

	OK(fresh = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(bound = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(ss_bind(ss, bound, A(address), sizeof address));
	OK(datagram = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	OK(ss_bind(ss, datagram, A(address), sizeof address));
	gofer_process_kill(&gofer);
	nap(200);
	FAILS(ss_socket(ss, AF_INET, SOCK_STREAM, 0), ENETDOWN);
	FAILS(ss_socket(ss, AF_INET, SOCK_DGRAM, 0), ENETDOWN);
	FAILS(ss_connect(ss, fresh, A(target), sizeof target), ENETDOWN);
	FAILS(ss_bind(ss, fresh, A(address), sizeof address), ENETDOWN);
	FAILS(ss_listen(ss, bound, 1), ENETDOWN);
	FAILS(ss_setsockopt(ss, bound, IPPROTO_TCP, TCP_MAXSEG, &on, sizeof on), ENETDOWN);
	FAILS(ss_sendto(ss, datagram, "x", 1, 0, A(target), sizeof target), ENETDOWN);
	FAILS(ss_recvfrom(ss, datagram, &name, sizeof name, 0, NULL, NULL), ENETDOWN);
	OK(ss_getsockname(ss, bound, A(name), &len)); /* known here */
	close(fresh);
	close(bound);
	close(datagram);
}

Test(library, the_gofer_s_death_wakes_everybody)
{
	struct sockaddr_in address;
	struct acceptor a = {.listener = our_listener(0, &address)};
	struct connector c = {0};
	int fillers[3], busy = busy_listener(&c.address, fillers), ours, plain;
	pthread_t accepting, connecting;
	char byte;

	connected_pair(&ours, &plain);
	OK(c.fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	cr_assert_eq(pthread_create(&accepting, NULL, accept_blocking, &a), 0);
	cr_assert_eq(pthread_create(&connecting, NULL, connect_blocking, &c), 0);
	nap(150);
	cr_assert(!a.done && !c.done);
	gofer_process_kill(&gofer);
	pthread_join(accepting, NULL);
	pthread_join(connecting, NULL);
	cr_expect_eq(a.fd, -1);
	cr_expect_eq(a.error, ENETDOWN, "accept: %s", strerror(a.error));
	cr_expect_eq(c.result, -1);
	cr_expect_eq(c.error, ENETDOWN, "connect: %s", strerror(c.error));
	cr_assert(poll_one(ours, POLLIN, 5000), "a reader wakes");
	cr_assert_leq(read(ours, &byte, 1), 0);
	cr_assert(poll_one(plain, POLLIN, 5000), "and the peer");
	FAILS(ss_accept(ss, a.listener, NULL, NULL), ENETDOWN);
	close(a.listener);
	close(c.fd);
	close(ours);
	close(plain);
	close(busy);
	for (int i = 0; i < 3; i++)
		close(fillers[i]);
}

Test(library, another_session_works_after_the_first_gofer_s_death)
{
	struct sockaddr_in address;
	int ours, plain, listener = plain_listener(1, &address);

	gofer_process_kill(&gofer);
	nap(100);
	ss_close(ss);
	gofer_process_start(&gofer, NULL, NULL);
	ss = ss_open(gofer.url);
	cr_assert_not_null(ss);
	connected_pair(&ours, &plain);
	close(ours);
	close(plain);
	close(listener);
}

/* ---- fork ---------------------------------------------------------------------------------------- */

Test(library, a_child_keeps_the_descriptors)
{
	int ours, plain, status;
	char got[16];
	pid_t child;

	connected_pair(&ours, &plain);
	child = fork();
	OK(child);
	if (child == 0) {
		/* read, write, poll and close; none of the library's calls. */
		struct pollfd p = {.fd = ours, .events = POLLIN};

		if (write(ours, "child", 5) != 5 || poll(&p, 1, 5000) != 1 || read(ours, got, sizeof got) != 6)
			_exit(1);
		_exit(0);
	}
	cr_assert_eq(recv(plain, got, sizeof got, 0), 5);
	close(ours); /* the child's copy keeps the connection */
	cr_assert_eq(poll_one(plain, POLLIN | POLLRDHUP, 100), 0);
	cr_assert_eq(send(plain, "parent", 6, MSG_NOSIGNAL), 6);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert_eq(recv(plain, got, sizeof got, 0), 0, "the last close ends it");
	close(plain);
}

Test(library, a_child_s_close_is_not_the_parent_s)
{
	int ours, plain, listener, status, fd;
	struct sockaddr_in address;
	char got[16];
	pid_t child;

	connected_pair(&ours, &plain);
	listener = our_listener(0, &address);
	child = fork();
	OK(child);
	if (child == 0)
		_exit(close(ours) || close(listener));
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert_eq(write(ours, "still", 5), 5);
	cr_assert_eq(recv(plain, got, sizeof got, 0), 5);
	close(plain);
	plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	OK(connect(plain, A(address), sizeof address));
	OK(fd = ss_accept(ss, listener, NULL, NULL));
	close(fd);
	close(plain);
	close(listener);
	close(ours);
}

Test(library, exec_opens_a_session_of_its_own)
{
	/* splitsock-fetch is such a program; without a connection it fails, with one it works: see below. */
	char command[600], got[64] = "";
	struct sockaddr_in address = closed_port();
	FILE *out;

	snprintf(command, sizeof command, "%s --gofer %s 127.0.0.1 %d 2>&1", program_path("splitsock-fetch"), gofer.url,
	         ntohs(address.sin_port));
	out = popen(command, "re");
	cr_assert_not_null(out);
	cr_assert_not_null(fgets(got, sizeof got, out));
	cr_assert_str_eq(got, "ss_connect: Connection refused\n");
	cr_assert_neq(pclose(out), 0);
}

/* ---- events -------------------------------------------------------------------------------------- */

Test(library, epoll_sees_what_poll_sees)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET}, got;
	int ours, plain, set = epoll_create1(EPOLL_CLOEXEC);
	char buffer[16];

	connected_pair(&ours, &plain);
	OK(epoll_ctl(set, EPOLL_CTL_ADD, ours, &event));
	cr_assert_eq(epoll_wait(set, &got, 1, 50), 0);
	cr_assert_eq(send(plain, "x", 1, 0), 1);
	cr_assert_eq(epoll_wait(set, &got, 1, 5000), 1);
	cr_assert_eq(epoll_wait(set, &got, 1, 50), 0, "edge-triggered: once");
	cr_assert_eq(read(ours, buffer, sizeof buffer), 1);
	close(plain);
	cr_assert_eq(epoll_wait(set, &got, 1, 5000), 1);
	close(ours);
	close(set);
}

/* ---- the example --------------------------------------------------------------------------------- */

static void *
serve_page(void *arg)
{
	int listener = *(int *)arg, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	static char page[200000];
	char request[1024] = "";
	size_t len = 0;

	while (fd >= 0 && len + 1 < sizeof request && !strstr(request, "\r\n\r\n")) {
		ssize_t n = read(fd, request + len, sizeof request - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
		request[len] = 0;
	}
	memset(page, 'p', sizeof page);
	dprintf(fd, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof page);
	for (size_t off = 0; off < sizeof page;) {
		ssize_t n = send(fd, page + off, sizeof page - off, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		off += (size_t)n;
	}
	close(fd);
	return strncmp(request, "GET /page HTTP/1.0\r\n", 20) == 0 ? NULL : "not the request that was expected";
}

Test(library, the_example_fetches_a_page)
{
	struct sockaddr_in address;
	int listener = plain_listener(1, &address);
	static char got[300000];
	char command[600];
	pthread_t server;
	void *complaint;
	size_t len;
	FILE *out;

	cr_assert_eq(pthread_create(&server, NULL, serve_page, &listener), 0);
	snprintf(command, sizeof command, "%s --gofer %s 127.0.0.1 %d /page", program_path("splitsock-fetch"), gofer.url,
	         ntohs(address.sin_port));
	out = popen(command, "re");
	cr_assert_not_null(out);
	len = fread(got, 1, sizeof got, out);
	cr_assert_eq(pclose(out), 0);
	pthread_join(server, &complaint);
	cr_assert_null(complaint, "%s", (char *)complaint);
	cr_assert(strncmp(got, "HTTP/1.0 200 OK\r\n", 17) == 0);
	cr_assert_gt(len, 200000);
	for (size_t i = len - 200000; i < len; i++)
		cr_assert_eq(got[i], 'p');
	close(listener);
}
