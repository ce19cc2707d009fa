/*
 * ss_stats(), in a program that links the shared library: what each call costs, and that counters move by exactly what was done.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sentry_side/splitsock.h"
#include "tests/library/gofer_process.h"

static struct gofer_process gofer;
static struct ss *ss;

static void
setup(void)
{
	gofer_process_start(&gofer, NULL, NULL);
	ss = ss_open(gofer.url);
	cr_assert_not_null(ss, "ss_open: %s", strerror(errno));
}

static void
teardown(void)
{
	ss_close(ss);
	gofer_process_stop(&gofer);
}

TestSuite(stats, .init = setup, .fini = teardown, .timeout = 60);

#define A(address) ((struct sockaddr *)&(address))
#define OK(call) cr_assert((call) >= 0, #call ": %s", strerror(errno))

enum { ROOM = 200 };
#define ALL (SS_STATS_HOST | SS_STATS_SESSION | SS_STATS_LIBRARY)

/* A counter of one's own session, by name and labels. */
static unsigned long long
value(unsigned scope, const char *name, const char *labels)
{
	struct ss_stat stats[ROOM];
	int count = ss_stats(ss, scope, stats, ROOM);

	cr_assert(count > 0 && count <= ROOM, "ss_stats: %s", strerror(errno));
	for (int i = 0; i < count; i++)
		if (strcmp(stats[i].name, name) == 0 && strcmp(stats[i].labels, labels) == 0)
			return stats[i].value;
	cr_assert_fail("there is no %s{%s}", name, labels);
	return 0;
}

static unsigned long long
session(const char *name, const char *labels)
{
	return value(SS_STATS_SESSION, name, labels);
}

/* What passes through the relays is counted a little later. */
static void
await_session(const char *name, const char *labels, unsigned long long wanted)
{
	unsigned long long is = 0;

	for (int i = 0; i < 1000; i++) {
		is = session(name, labels);
		if (is >= wanted)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	cr_assert_eq(is, wanted, "%s{%s} is %llu, not %llu", name, labels, is, wanted);
}

static struct sockaddr_in
loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* A socket of the kernel's own, bound and, if it is a stream, listening. */
static int
plain_bound(int type, int backlog, struct sockaddr_in *address)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof *address;

	*address = loopback(0);
	OK(bind(fd, A(*address), sizeof *address));
	if (type == SOCK_STREAM)
		OK(listen(fd, backlog));
	OK(getsockname(fd, A(*address), &len));
	return fd;
}

/* ---- the call ----------------------------------------------------------------------------------- */

Test(stats, what_is_told)
{
	struct ss_stat stats[ROOM], again[ROOM];
	int count = ss_stats(ss, ALL, stats, ROOM), host = 0, own = 0, library = 0;

	cr_assert(count > 21 && count < ROOM, "%d", count);
	for (int i = 0; i < count; i++) {
		host += stats[i].scope == SS_STATS_HOST;
		own += stats[i].scope == SS_STATS_SESSION;
		library += stats[i].scope == SS_STATS_LIBRARY;
		cr_expect_eq(strncmp(stats[i].name, "splitsock_", 10), 0);
		cr_expect(*stats[i].help && *stats[i].unit && stats[i].labels);
		cr_expect_null(strstr(stats[i].name, "splitsock_sessions"), "what there is of other clients is not told");
	}
	cr_expect_eq(host, 21);
	cr_expect_eq(host + own + library, count);
	/* The order stays, and less room is filled from the front. */
	memset(again, 0xff, sizeof again);
	cr_assert_eq(ss_stats(ss, ALL, again, 30), count);
	for (int i = 0; i < 30; i++)
		cr_expect_str_eq(again[i].name, stats[i].name);
	for (size_t i = 30 * sizeof *again; i < sizeof again; i++)
		cr_assert_eq(((unsigned char *)again)[i], 0xff, "more than the room was filled");
	cr_assert_eq(ss_stats(ss, ALL, NULL, 0), count);
	cr_assert_eq(ss_stats(ss, SS_STATS_LIBRARY, again, ROOM), library);
	cr_assert_eq(ss_stats(ss, SS_STATS_HOST, again, ROOM), host);
	cr_assert_eq(ss_stats(ss, SS_STATS_SESSION, again, ROOM), own);
}

Test(stats, scopes_that_are_none)
{
	struct ss_stat stats[ROOM];
	static const unsigned wrong[] = {0, 8, ALL | 8, ~0u};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		cr_expect_eq(ss_stats(ss, wrong[i], stats, ROOM), -1);
		cr_expect_eq(errno, EINVAL);
	}
}

Test(stats, without_a_gofer)
{
	struct ss_stat stats[ROOM];

	gofer_process_kill(&gofer);
	for (int i = 0; i < 1000 && ss_stats(ss, SS_STATS_SESSION, stats, ROOM) >= 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	cr_assert_eq(ss_stats(ss, SS_STATS_SESSION, stats, ROOM), -1);
	cr_assert_eq(errno, ENETDOWN, "%s", strerror(errno));
	cr_assert_gt(ss_stats(ss, SS_STATS_LIBRARY, stats, ROOM), 0, "the library's own are still there");
}

static void *
ask_often(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++)
		cr_assert_gt(session("splitsock_operations_total", "operation=\"stats\""), 0);
	return NULL;
}

Test(stats, several_threads_ask)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, ask_often, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(session("splitsock_operations_total", "operation=\"stats\""), 401);
}

/* ---- what a call costs -------------------------------------------------------------------------- */

struct cost {
	unsigned long long round_trips, no_reply, channel, links;
};

static struct cost
costs(void)
{
	return (struct cost){
		value(SS_STATS_LIBRARY, "splitsock_client_round_trips_total", ""),
		value(SS_STATS_LIBRARY, "splitsock_client_requests_no_reply_total", ""),
		value(SS_STATS_LIBRARY, "splitsock_client_frames_sent_total", "path=\"side_channel\""),
		value(SS_STATS_LIBRARY, "splitsock_client_links_total", ""),
	};
}

static struct cost last;

/* `n` calls since the last look cost this much each. */
static void
each_costs(const char *what, unsigned n, struct cost each)
{
	struct cost now = costs();

	cr_expect_eq(now.round_trips - last.round_trips, n * each.round_trips, "%s: %llu round trips for %u", what,
	             now.round_trips - last.round_trips, n);
	cr_expect_eq(now.no_reply - last.no_reply, n * each.no_reply, "%s: %llu requests without a reply for %u", what,
	             now.no_reply - last.no_reply, n);
	cr_expect_eq(now.channel - last.channel, n * each.channel, "%s: %llu frames on the side channel for %u", what,
	             now.channel - last.channel, n);
	cr_expect_eq(now.links - last.links, n * each.links, "%s: %llu links for %u", what, now.links - last.links, n);
	last = now;
}

#define FREE ((struct cost){0})

enum { N = 20 };

Test(stats, a_client_s_calls_cost)
{
	struct sockaddr_in address, name;
	int listener = plain_bound(SOCK_STREAM, N, &address), fds[N], one = 1, error;
	socklen_t len;

	last = costs();
	for (int i = 0; i < N; i++)
		OK(fds[i] = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	each_costs("socket", N, FREE);
	for (int i = 0; i < N; i++)
		OK(ss_setsockopt(ss, fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
	each_costs("setsockopt before connect", N, FREE);
	for (int i = 0; i < N; i++)
		OK(ss_connect(ss, fds[i], A(address), sizeof address));
	each_costs("connect", N, (struct cost){.round_trips = 1, .links = 1});
	for (int i = 0; i < N; i++) {
		len = sizeof name;
		OK(ss_getsockname(ss, fds[i], A(name), &len));
		len = sizeof name;
		OK(ss_getpeername(ss, fds[i], A(name), &len));
	}
	each_costs("getsockname and getpeername", N, FREE);
	for (int i = 0; i < N; i++)
		OK(ss_setsockopt(ss, fds[i], SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
	each_costs("setsockopt after connect", N, (struct cost){.no_reply = 1});
	for (int i = 0; i < N; i++) {
		len = sizeof error;
		OK(ss_getsockopt(ss, fds[i], SOL_SOCKET, SO_TYPE, &error, &len));
	}
	each_costs("SO_TYPE", N, FREE);
	for (int i = 0; i < N; i++)
		cr_assert_eq(write(fds[i], "x", 1), 1);
	each_costs("write", N, FREE);
	for (int i = 0; i < N; i++)
		OK(ss_shutdown(ss, fds[i], SHUT_WR));
	each_costs("shutdown", N, FREE);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	each_costs("close", N, FREE);
	close(listener);
}

Test(stats, a_server_s_calls_cost)
{
	struct sockaddr_in address = loopback(0);
	socklen_t len = sizeof address;
	int listener, clients[N], fds[N];

	last = costs();
	OK(listener = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	each_costs("socket", 1, FREE);
	OK(ss_bind(ss, listener, A(address), sizeof address));
	each_costs("bind", 1, (struct cost){.round_trips = 1});
	OK(ss_listen(ss, listener, N));
	each_costs("listen", 1, (struct cost){.round_trips = 1, .links = 1});
	OK(ss_getsockname(ss, listener, A(address), &len));
	for (int i = 0; i < N; i++) {
		OK(clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
		OK(connect(clients[i], A(address), sizeof address));
	}
	for (int i = 0; i < N; i++)
		OK(fds[i] = ss_accept(ss, listener, NULL, NULL));
	each_costs("accept", N, (struct cost){.links = 1});
	for (int i = 0; i < N; i++) {
		close(fds[i]);
		close(clients[i]);
	}
	each_costs("close", N, FREE);
	close(listener);
}

Test(stats, a_datagram_s_calls_cost)
{
	struct sockaddr_in address;
	int plain = plain_bound(SOCK_DGRAM, 0, &address), fd, connected;

	last = costs();
	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	OK(connected = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	each_costs("socket", 2, (struct cost){.links = 1});
	OK(ss_sendto(ss, fd, "x", 1, 0, A(address), sizeof address));
	for (int i = 1; i < N; i++)
		OK(ss_sendto(ss, fd, "x", 1, 0, A(address), sizeof address));
	each_costs("sendto, the first as the others", N, (struct cost){.channel = 1});
	OK(ss_connect(ss, connected, A(address), sizeof address));
	each_costs("connect", 1, (struct cost){.round_trips = 1});
	for (int i = 0; i < N; i++)
		OK(ss_sendto(ss, connected, "x", 1, 0, NULL, 0));
	each_costs("send", N, FREE);
	close(fd);
	close(connected);
	each_costs("close", 2, FREE);
	close(plain);
}

/* Both ends count the same frames. Nothing of it is under way: each call before this one has been answered. */
Test(stats, both_ends_count_alike)
{
	struct sockaddr_in address;
	int plain = plain_bound(SOCK_DGRAM, 0, &address), fd, one = 1;
	unsigned long long sent, sent_on_channel;

	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	for (int i = 0; i < N; i++)
		OK(ss_sendto(ss, fd, "x", 1, 0, A(address), sizeof address));
	OK(ss_setsockopt(ss, fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one));
	sent = value(SS_STATS_LIBRARY, "splitsock_client_frames_sent_total", "path=\"control\"");
	sent_on_channel = value(SS_STATS_LIBRARY, "splitsock_client_frames_sent_total", "path=\"side_channel\"");
	cr_expect_eq(session("splitsock_frames_received_total", "path=\"control\""), sent + 1, "with the question itself");
	cr_expect_eq(session("splitsock_frames_received_total", "path=\"side_channel\""), sent_on_channel);
	cr_expect_eq(session("splitsock_frames_sent_total", "path=\"side_channel\""), sent_on_channel);
	cr_expect_eq(value(SS_STATS_LIBRARY, "splitsock_client_frames_received_total", "path=\"side_channel\""), sent_on_channel);
	cr_expect_eq(session("splitsock_links_total", ""), 1, "the side channel is none");
	close(fd);
	close(plain);
}

/* ---- real traffic ------------------------------------------------------------------------------- */

static void
swallow(int fd, size_t size)
{
	static char sink[65536];

	while (size) {
		ssize_t n = read(fd, sink, sizeof sink < size ? sizeof sink : size);

		cr_assert_gt(n, 0);
		size -= (size_t)n;
	}
}

struct pour {
	int fd;
	size_t size;
};

static void *
pour(void *arg)
{
	static const char full[65536];
	struct pour *p = arg;

	for (size_t left = p->size; left;) {
		ssize_t n = write(p->fd, full, sizeof full < left ? sizeof full : left);

		if (n <= 0)
			return "it does not take it";
		left -= (size_t)n;
	}
	return NULL;
}

static void
pass(int from, int to, size_t size)
{
	struct pour p = {from, size};
	pthread_t thread;
	void *failed;

	cr_assert_eq(pthread_create(&thread, NULL, pour, &p), 0);
	swallow(to, size);
	pthread_join(thread, &failed);
	cr_assert_null(failed);
}

Test(stats, streams_are_counted_exactly)
{
	enum { UP = 5000017, DOWN = 30000001 }; /* down goes by splice */
	struct sockaddr_in address, nobody;
	int listener = plain_bound(SOCK_STREAM, 3, &address), fds[3], plain[3], refused;

	close(plain_bound(SOCK_STREAM, 1, &nobody));
	for (int i = 0; i < 3; i++) {
		OK(fds[i] = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
		OK(ss_connect(ss, fds[i], A(address), sizeof address));
		OK(plain[i] = accept(listener, NULL, NULL));
	}
	OK(refused = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	cr_assert_eq(ss_connect(ss, refused, A(nobody), sizeof nobody), -1);
	cr_assert_eq(errno, ECONNREFUSED);
	cr_expect_eq(session("splitsock_connects_total", "result=\"ok\""), 3);
	cr_expect_eq(session("splitsock_connects_total", "result=\"failed\""), 1);
	cr_expect_eq(session("splitsock_connects_total", "result=\"denied\""), 0);
	cr_expect_eq(session("splitsock_host_errors_total", ""), 1);
	cr_expect_eq(session("splitsock_operations_total", "operation=\"connect\""), 4);
	cr_expect_eq(session("splitsock_operations_total", "operation=\"open\""), 4);
	cr_expect_eq(session("splitsock_sockets_opened_total", ""), 4);
	cr_expect_eq(session("splitsock_sockets", ""), 4);
	pass(fds[0], plain[0], UP);
	await_session("splitsock_stream_bytes_total", "direction=\"to_host\"", UP);
	cr_expect_eq(session("splitsock_stream_bytes_total", "direction=\"to_program\""), 0);
	pass(plain[1], fds[1], DOWN);
	await_session("splitsock_stream_bytes_total", "direction=\"to_program\"", DOWN);
	cr_expect_eq(session("splitsock_stream_bytes_total", "direction=\"to_host\""), UP);
	for (int i = 0; i < 3; i++) {
		close(fds[i]);
		close(plain[i]);
	}
	await_session("splitsock_sockets_closed_total", "", 3);
	close(refused);
	close(listener);
}

/* A connect without waiting counts when it is done, once, and its filler is none of the program's bytes. */
Test(stats, connects_without_waiting_are_counted_once)
{
	struct sockaddr_in address, nobody;
	int listener = plain_bound(SOCK_STREAM, 3, &address), fd, refused;

	close(plain_bound(SOCK_STREAM, 1, &nobody));
	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	OK(refused = ss_socket(ss, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	cr_assert(ss_connect(ss, fd, A(address), sizeof address) == -1 && errno == EINPROGRESS);
	cr_assert(ss_connect(ss, refused, A(nobody), sizeof nobody) == -1);
	cr_assert_eq(poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, 5000), 1);
	cr_assert_eq(poll(&(struct pollfd){.fd = refused, .events = POLLOUT}, 1, 5000), 1);
	await_session("splitsock_connects_total", "result=\"ok\"", 1);
	await_session("splitsock_connects_total", "result=\"failed\"", 1);
	cr_assert_eq(write(fd, "12345", 5), 5);
	await_session("splitsock_stream_bytes_total", "direction=\"to_host\"", 5);
	close(fd);
	close(refused);
	close(listener);
}

Test(stats, accepted_connections_are_counted)
{
	struct sockaddr_in address = loopback(0);
	socklen_t len = sizeof address;
	int listener, clients[5], fds[5];

	OK(listener = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(ss_bind(ss, listener, A(address), sizeof address));
	OK(ss_listen(ss, listener, 5));
	OK(ss_getsockname(ss, listener, A(address), &len));
	for (int i = 0; i < 5; i++) {
		OK(clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
		OK(connect(clients[i], A(address), sizeof address));
		OK(fds[i] = ss_accept(ss, listener, NULL, NULL));
		pass(clients[i], fds[i], 1000);
	}
	cr_expect_eq(session("splitsock_accepts_total", ""), 5);
	cr_expect_eq(session("splitsock_connects_total", "result=\"ok\""), 0);
	await_session("splitsock_stream_bytes_total", "direction=\"to_program\"", 5000);
	cr_expect_eq(session("splitsock_sockets", ""), 6);
	for (int i = 0; i < 5; i++) {
		close(clients[i]);
		close(fds[i]);
	}
	close(listener);
	await_session("splitsock_sockets_closed_total", "", 6);
	cr_expect_eq(session("splitsock_sockets", ""), 0);
	cr_expect_eq(session("splitsock_sockets_opened_total", ""), 6);
}

Test(stats, datagrams_are_counted_exactly)
{
	struct sockaddr_in address, own;
	socklen_t len = sizeof own;
	int plain = plain_bound(SOCK_DGRAM, 0, &address), fd, connected;
	char got[1000];

	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	OK(connected = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	for (int i = 0; i < 7; i++) {
		OK(ss_sendto(ss, fd, "12345", 5, 0, A(address), sizeof address));
		OK(recv(plain, got, sizeof got, 0));
	}
	OK(ss_connect(ss, connected, A(address), sizeof address));
	for (int i = 0; i < 3; i++) {
		OK(send(connected, got, 100, 0));
		OK(recv(plain, got, sizeof got, 0));
	}
	await_session("splitsock_datagrams_total", "direction=\"to_host\"", 10);
	cr_expect_eq(session("splitsock_datagram_bytes_total", "direction=\"to_host\""), 7 * 5 + 3 * 100);
	OK(ss_getsockname(ss, fd, A(own), &len));
	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < 4; i++) {
		OK(sendto(plain, got, 50, 0, A(own), sizeof own));
		OK(ss_recvfrom(ss, fd, got, sizeof got, 0, NULL, NULL));
	}
	await_session("splitsock_datagrams_total", "direction=\"to_program\"", 4);
	cr_expect_eq(session("splitsock_datagram_bytes_total", "direction=\"to_program\""), 200);
	cr_expect_eq(session("splitsock_datagrams_dropped_total", "reason=\"host_full\""), 0);
	cr_expect_eq(session("splitsock_datagrams_dropped_total", "reason=\"link_full\""), 0);
	close(fd);
	close(connected);
	close(plain);
}

/* What the host counts follows what we do, and others do on it meanwhile. */
Test(stats, the_host_counts_too)
{
	struct sockaddr_in address;
	int listener = plain_bound(SOCK_STREAM, 3, &address), fd;
	unsigned long long active = value(SS_STATS_HOST, "splitsock_host_tcp_active_connection_openings_total", "");
	unsigned long long sent = value(SS_STATS_HOST, "splitsock_host_tcp_segments_sent_total", "");

	for (int i = 0; i < 10; i++) {
		OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
		OK(ss_connect(ss, fd, A(address), sizeof address));
		close(fd);
		close(accept(listener, NULL, NULL));
	}
	nanosleep(&(struct timespec){.tv_nsec = 150000000}, NULL); /* the gofer reads them ten times a second */
	cr_expect_geq(value(SS_STATS_HOST, "splitsock_host_tcp_active_connection_openings_total", ""), active + 10);
	cr_expect_geq(value(SS_STATS_HOST, "splitsock_host_tcp_segments_sent_total", ""), sent + 30);
	close(listener);
}

/* Another session's counters are its own, and a new one starts with none. */
Test(stats, sessions_count_for_themselves)
{
	struct sockaddr_in address;
	int listener = plain_bound(SOCK_STREAM, 3, &address), fd;
	struct ss *first = ss;

	OK(fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(ss_connect(ss, fd, A(address), sizeof address));
	ss = ss_open(gofer.url);
	cr_assert_not_null(ss);
	cr_expect_eq(session("splitsock_connects_total", "result=\"ok\""), 0);
	cr_expect_eq(session("splitsock_sockets", ""), 0);
	ss_close(ss);
	ss = first;
	cr_expect_eq(session("splitsock_connects_total", "result=\"ok\""), 1);
	close(fd);
	close(listener);
}
