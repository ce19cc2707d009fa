/*
 * Load: many of everything at once, and after each the gofer is as it was. During it, one more client is served in time.
 *
 *   SPLITSOCK_LOAD=full     the figures of `make load`; without it, what the suite has the time for
 *   SPLITSOCK_SOAK=SECONDS  how long everything is mixed (`make soak`)
 *
 * What its limit of descriptors does not allow is done with fewer, and said.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/boundary/client.h"

TestSuite(load, .timeout = 86400);

enum {
	OK = SPLITSOCK__STATUS__STATUS_OK,
	SERVED_MS = 4000 * SLOW, /* one more client, at any time */
	FLAT_MS = 10000 * SLOW,  /* until all of them are forgotten */
	SPARE_KIB = 3 * 1024,    /* what the C library keeps when everything is freed */
	SESSION_KIB = 24,        /* per session with ten sockets */
	CONNECTION_KIB = 8,
};

static struct gofer gofer;

static int64_t load_began_ms;
static long memory_before, fds_before;

static bool
is_full(void)
{
	const char *load = getenv("SPLITSOCK_LOAD");

	return load && strcmp(load, "full") == 0;
}

/* So many, or as many as there are descriptors for, at this many of the gofer and at this many of our own for each. */
static size_t
afford(size_t wanted, size_t each)
{
	struct rlimit limit;
	size_t most;

	getrlimit(RLIMIT_NOFILE, &limit);
	most = limit.rlim_cur > 1000 ? (size_t)(limit.rlim_cur - 1000) / each : 1;
	if (most < wanted)
		fprintf(stderr, "load: %zu in place of %zu, as only %llu descriptors are allowed\n", most, wanted, (unsigned long long)limit.rlim_cur);
	return most < wanted ? most : wanted;
}

static void
start(void)
{
	struct rlimit limit = {1048576, 1048576};

	/* Root may have more than it was given; who is not takes what there is. */
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	gofer_start(&gofer, NULL);
	for (int i = 0; i < 20; i++)
		assert_serves(&gofer);
	sleep_ms(50);
	fds_before = fd_count(gofer.pid);
	memory_before = memory_now(gofer.pid);
	load_began_ms = now_ms();
}

static void
stop(void)
{
	gofer_stop(&gofer);
}

static void
clean(void)
{
	gofer_clean(&gofer);
}

static int
serve_one_more(void)
{
	int ms = good_client(&gofer);

	cr_assert(ms >= 0 && ms <= SERVED_MS, "one more client took %d ms", ms);
	return ms;
}

struct during {
	long memory, fds;
	int served_ms;
};

static struct during
look(void)
{
	struct during during = {.served_ms = serve_one_more(), .memory = memory_now(gofer.pid), .fds = fd_count(gofer.pid)};

	return during;
}

/* All clients are gone: so is what they held. Prints the row. */
static void
is_flat(const char *what, size_t count, const struct during *during)
{
	int ms = wait_for_fds(gofer.pid, (int)fds_before, FLAT_MS);
	int64_t end = now_ms() + 3 * 1000; /* memory goes back at a tick */
	/* Of what there was at most the C library keeps a part: pieces between others that are in use. */
	long memory, most = memory_before + SPARE_KIB + (during->memory > memory_before ? (during->memory - memory_before) / 8 : 0);

	while ((memory = memory_now(gofer.pid)) > most && now_ms() < end)
		sleep_ms(20);
	fprintf(stderr, "load: %-40s %8zu  RSS %6ld, then %6ld, then %6ld KiB (%+.2f each)  descriptors %3ld, %6ld, %3d  one more in %3d ms  %6.1f s\n", what,
	        count, memory_before, during->memory, memory, (double)(during->memory - memory_before) / (double)count, fds_before, during->fds,
	        fd_count(gofer.pid), during->served_ms, (double)(now_ms() - load_began_ms) / 1000);
	cr_assert_geq(ms, 0, "%ld descriptors more than before are left", fd_count(gofer.pid) - fds_before);
	if (MEASURES_MEMORY)
		cr_assert_leq(memory, most, "%ld KiB more than before are left", memory - memory_before);
}

static void
progress(const char *what, size_t done, size_t count)
{
	if (is_full() && count >= 100000 && done % (count / 10) == 0)
		fprintf(stderr, "load: %s: %zu of %zu\n", what, done, count);
}

/* ---- the loads ---------------------------------------------------------------------------------- */

enum { SOCKETS_EACH = 10 };

GOFER_TEST(load, idle_sessions, start)
{
	size_t count = afford(is_full() ? 10000 : 200 / SLOW, 2 * (SOCKETS_EACH + 1));
	struct client *clients = calloc(count, sizeof *clients); /* most of which is never touched */
	struct during during;

	cr_assert_not_null(clients);
	for (size_t i = 0; i < count; i++) {
		client_open(&clients[i], &gofer);
		for (uint64_t handle = 1; handle <= SOCKETS_EACH; handle++)
			cr_assert_eq(call_open(&clients[i], handle, handle % 2 ? SOCK_STREAM : SOCK_DGRAM, NULL).status, OK);
	}
	during = look();
	cr_assert_geq(during.fds, (long)(count * (SOCKETS_EACH + 1)));
	if (MEASURES_MEMORY)
		cr_assert_leq(during.memory, memory_before + SPARE_KIB + (long)count * SESSION_KIB);
	for (size_t i = 0; i < count; i++)
		client_close(&clients[i]);
	free(clients);
	is_flat("sessions of 10 idle sockets", count, &during);
}

struct relayed {
	int link, host;
};

/* A connection through the gofer to this listener of the host's. */
static struct relayed
relay(struct client *client, uint64_t handle, int listener, uint16_t port)
{
	struct operation connect;
	struct relayed relayed;

	cr_assert_eq(call_open(client, handle, SOCK_STREAM, op_connect(&connect, port, true)).status, OK);
	relayed.host = host_accept(listener);
	relayed.link = link_open(client, true, LINK_SOCKET, handle);
	cr_assert_geq(relayed.host, 0);
	return relayed;
}

static void
relayed_close(const struct relayed *relayed)
{
	close(relayed->link);
	close(relayed->host);
}

/* What travels: each place of each connection has a byte of its own. */
static void
fill(uint8_t *data, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)((seed + i) * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

static bool
arrives(int from, int to, size_t size, uint64_t seed)
{
	uint8_t sent[4096], got[4096];

	fill(sent, size, seed);
	return raw_send(from, sent, size) && read_exactly(to, got, size, PATIENCE_MS) && memcmp(sent, got, size) == 0;
}

GOFER_TEST(load, relayed_connections, start)
{
	size_t count = afford(is_full() ? 10000 : 1000 / SLOW, 4);
	struct relayed *relayed = calloc(count, sizeof *relayed);
	uint16_t port;
	int listener = host_listen(&port, 64);
	struct client client;
	struct during during;

	client_open(&client, &gofer);
	for (size_t i = 0; i < count; i++)
		relayed[i] = relay(&client, i + 1, listener, port);
	/* All of them at once, each way: what the last one has sent is on its way while the first one's is read. */
	for (size_t i = 0; i < count; i++) {
		uint8_t data[1024];

		fill(data, sizeof data, i);
		cr_assert(raw_send(relayed[i].link, data, sizeof data));
		fill(data, sizeof data, ~i);
		cr_assert(raw_send(relayed[i].host, data, sizeof data));
	}
	during = look();
	for (size_t i = 0; i < count; i++) {
		uint8_t data[1024], got[1024];

		fill(data, sizeof data, i);
		cr_assert(read_exactly(relayed[i].host, got, sizeof got, PATIENCE_MS) && memcmp(data, got, sizeof got) == 0);
		fill(data, sizeof data, ~i);
		cr_assert(read_exactly(relayed[i].link, got, sizeof got, PATIENCE_MS) && memcmp(data, got, sizeof got) == 0);
	}
	if (MEASURES_MEMORY)
		cr_assert_leq(during.memory, memory_before + SPARE_KIB + (long)count * CONNECTION_KIB);
	for (size_t i = 0; i < count; i++)
		relayed_close(&relayed[i]);
	client_close(&client);
	close(listener);
	free(relayed);
	is_flat("connections relayed", count, &during);
}

/* Accepts, and lets the other side end it. */
static void *
take_and_wait(void *arg)
{
	int listener = *(int *)arg, fd;
	char byte;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		while (recv(fd, &byte, 1, 0) > 0)
			;
		close(fd);
	}
	return NULL;
}

GOFER_TEST(load, connect_then_close, start)
{
	size_t count = is_full() ? 1000000 : 20000 / SLOW, done = 0;
	uint16_t port;
	int listener = host_listen(&port, 4096);
	struct operation open, linger, connect, release;
	struct client client;
	struct during during;
	pthread_t peer;

	cr_assert_eq(pthread_create(&peer, NULL, take_and_wait, &listener), 0);
	client_open(&client, &gofer);
	for (size_t i = 0; i < count; i++) {
		/* With a reset, so that no port stays in TIME_WAIT. */
		struct operation *ops[] = {op_open(&open, AF_INET, SOCK_STREAM, 0), op_set_linger(&linger, 0), op_connect(&connect, port, true)};

		done += call_batch(&client, i + 1, ops, 3).status == OK;
		cr_assert(send_request(&client, 0, i + 1, (struct operation *[]){op_release(&release)}, 1)); /* it has no reply */
		progress("connect, then close", i, count);
	}
	during = look();
	cr_assert_eq(done, count, "only %zu of %zu connected", done, count);
	client_close(&client);
	shutdown(listener, SHUT_RDWR);
	pthread_join(peer, NULL);
	close(listener);
	is_flat("connected, then closed", count, &during);
}

GOFER_TEST(load, clients_that_come_and_go, start)
{
	size_t count = is_full() ? 1000000 : 20000 / SLOW;
	struct during during;

	for (size_t i = 0; i < count; i++) {
		int fd = raw_connect(&gofer);

		cr_assert_geq(fd, 0, "%s", strerror(errno));
		if (i % 2)
			cr_assert(send_hello(fd, 1));
		close(fd);
		progress("clients", i, count);
	}
	during = look();
	is_flat("clients that come and go", count, &during);
}

/* In every way in which somebody may begin and not go on. */
GOFER_TEST(load, half_open, start)
{
	enum { MAX = 1000 };
	size_t count = is_full() ? MAX : 200 / SLOW;
	static int silent[MAX], links[MAX], connects;
	uint16_t port;
	int full = host_listen(&port, 0);
	struct operation connect;
	struct client client;
	struct during during;

	client_open(&client, &gofer);
	for (size_t i = 0; i < count; i++) {
		silent[i] = raw_connect(&gofer);
		links[i] = link_connect(&gofer, i % 2);
		cr_assert(silent[i] >= 0 && links[i] >= 0);
		if (i % 2)
			cr_assert(raw_send(silent[i], "\5\0\0", 3));
		/* A host that does not answer: its backlog is full. */
		connects += call_open(&client, i + 1, SOCK_STREAM, op_connect(&connect, port, false)).status != OK;
	}
	cr_assert_geq(connects, (int)count - 8, "they are to be under way");
	during = look();
	/* They are not waited for: the handshakes that are overdue end by themselves. */
	if (is_full())
		for (size_t i = 0; i < count; i++)
			cr_assert(ends_within(silent[i], 10000) && ends_within(links[i], 10000));
	for (size_t i = 0; i < count; i++) {
		close(silent[i]);
		close(links[i]);
	}
	client_close(&client);
	close(full);
	is_flat("half-open, of three kinds each", count, &during);
}

GOFER_TEST(load, slow_readers, start)
{
	enum { MAX = 300 };
	static uint8_t chunk[65536];
	static struct relayed relayed[MAX];
	size_t count = is_full() ? 300 : 20 / SLOW, sent = 0;
	uint16_t port;
	int listener = host_listen(&port, 64);
	struct client client;
	struct during during;

	client_open(&client, &gofer);
	for (size_t i = 0; i < count; i++)
		relayed[i] = relay(&client, i + 1, listener, port);
	/* The host's side sends, and the program's, until nothing goes any more. */
	for (int quiet = 0; quiet < 5; quiet++) {
		for (size_t i = 0; i < 2 * count; i++) {
			int fd = i % 2 ? relayed[i / 2].host : relayed[i / 2].link;
			ssize_t n;

			while ((n = send(fd, chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
				sent += (size_t)n;
				quiet = 0;
			}
		}
		sleep_ms(20);
	}
	during = look();
	cr_assert_gt(sent, count * sizeof chunk);
	/* What one holds is a read each way, not all that is sent. */
	if (MEASURES_MEMORY)
		cr_assert_leq(during.memory, memory_before + SPARE_KIB + (long)count * 400);
	for (size_t i = 0; i < count; i++)
		relayed_close(&relayed[i]);
	client_close(&client);
	close(listener);
	is_flat("streams that nobody reads", count, &during);
}

/* ---- everything, for long ----------------------------------------------------------------------- */

static int
threads_of(pid_t pid)
{
	char path[64], text[4096];
	const char *at;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	slurp(path, text, sizeof text);
	at = strstr(text, "Threads:");
	return at ? atoi(at + strlen("Threads:")) : 0;
}

/* One turn: a session that does a little of everything and goes in one of three ways. */
static void
turn(uint64_t number, uint64_t *bytes)
{
	struct operation bind, send, listen;
	uint16_t port, udp_port;
	int listener = host_listen(&port, 16), udp = host_datagram(&udp_port), silent = raw_connect(&gofer), link = link_connect(&gofer, number % 2);
	struct relayed relayed[4];
	struct client client;
	char datagram[16];

	client_open(&client, &gofer);
	for (uint64_t i = 0; i < 4; i++) {
		size_t size = (size_t)((number * 4 + i) * 2654435761u % 4096) + 1;

		relayed[i] = relay(&client, i + 1, listener, port);
		cr_assert(arrives(relayed[i].link, relayed[i].host, size, number) && arrives(relayed[i].host, relayed[i].link, size, ~number),
		          "wrong bytes in turn %llu", (unsigned long long)number);
		*bytes += 2 * size;
	}
	cr_assert_eq(call_open(&client, 10, SOCK_DGRAM, op_send(&send, udp_port, "datagram")).status, OK);
	cr_assert(read_exactly(udp, datagram, 8, PATIENCE_MS) && memcmp(datagram, "datagram", 8) == 0);
	cr_assert_eq(call_open(&client, 11, SOCK_STREAM, op_bind(&bind, 0)).status, OK);
	cr_assert_eq(call(&client, 11, op_listen(&listen, 8)).status, OK);
	/* The session ends before its connections, between them, or after them. */
	if (number % 3 == 0)
		client_close(&client);
	for (int i = 0; i < 4; i++) {
		relayed_close(&relayed[i]);
		if (number % 3 == 1 && i == 1)
			client_close(&client);
	}
	if (number % 3 == 2)
		client_close(&client);
	close(silent);
	close(link);
	close(udp);
	close(listener);
}

GOFER_TEST(load, soak, start)
{
	const char *asked = getenv("SPLITSOCK_SOAK");
	int64_t length = asked ? strtoll(asked, NULL, 10) * 1000 : 2000, told = now_ms(), every = length / 20 > 1000 ? length / 20 : 1000;
	int threads = threads_of(gofer.pid), slowest = 0;
	uint64_t turns = 0, bytes = 0;
	long settled = 0;

	while (now_ms() - load_began_ms < length) {
		turn(turns++, &bytes);
		if (now_ms() - told < every)
			continue;
		told = now_ms();
		int ms = serve_one_more();
		slowest = ms > slowest ? ms : slowest;
		cr_assert_geq(wait_for_fds(gofer.pid, (int)fds_before, FLAT_MS), 0, "descriptors are left: %ld more", fd_count(gofer.pid) - fds_before);
		/* Drift is measured from where the first tenth has brought it. */
		if (!settled && now_ms() - load_began_ms > length / 10)
			settled = memory_now(gofer.pid);
		if (asked)
			fprintf(stderr, "soak: %5lld s  %8llu turns  %8.1f MB checked  RSS %6ld KiB (%+ld)  descriptors %d (%+ld)  threads %d (%+d)\n",
			        (long long)(now_ms() - load_began_ms) / 1000, (unsigned long long)turns, (double)bytes / 1e6, memory_now(gofer.pid),
			        memory_now(gofer.pid) - (settled ? settled : memory_before), fd_count(gofer.pid), fd_count(gofer.pid) - fds_before,
			        threads_of(gofer.pid), threads_of(gofer.pid) - threads);
	}
	cr_assert_gt(turns, 5);
	cr_assert_geq(wait_for_fds(gofer.pid, (int)fds_before, FLAT_MS), 0, "descriptors are left: %ld more", fd_count(gofer.pid) - fds_before);
	cr_assert_eq(threads_of(gofer.pid), threads);
	if (MEASURES_MEMORY)
		cr_assert_leq(memory_now(gofer.pid), (settled ? settled : memory_before) + SPARE_KIB);
	fprintf(stderr, "soak: %llu turns, %.1f MB checked; drift: RSS %+ld KiB, descriptors %+ld, threads %+d; one more client in at most %d ms\n",
	        (unsigned long long)turns, (double)bytes / 1e6, memory_now(gofer.pid) - (settled ? settled : memory_before),
	        fd_count(gofer.pid) - fds_before, threads_of(gofer.pid) - threads, slowest);
}
