/*
 * Too much of everything: clients, sockets, unread answers, data. Others are still served, and afterwards nothing is held.
 */
#include <arpa/inet.h>
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

TestSuite(limits, .timeout = 30);

enum { OK = SPLITSOCK__STATUS__STATUS_OK, HOST_ERRNO = SPLITSOCK__STATUS__STATUS_HOST_ERRNO,
       QUOTA = SPLITSOCK__STATUS__STATUS_QUOTA };

/* gofer/gofer.h: TICK_MS 1000. */
enum { TICK_MS = 1000 };

static struct gofer gofer;

static void
start(void)
{
	gofer_start(&gofer, NULL);
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

/* ---- crowds ------------------------------------------------------------------------------------- */

enum { CROWD = 10000 / SLOW, CROWD_THREADS = 4 };

static void *
come_and_go(void *arg)
{
	const char *hello = arg;

	for (int i = 0; i < CROWD / CROWD_THREADS; i++) {
		int fd = raw_connect(&gofer);

		if (fd < 0)
			return "refused";
		if (hello && !send_hello(fd, 1))
			return "deaf";
		close(fd);
	}
	return NULL;
}

static void
crowd(void *hello)
{
	pthread_t threads[CROWD_THREADS];
	int before = fd_count(gofer.pid);
	int64_t start_ms = now_ms();

	for (int i = 0; i < CROWD_THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, hello), 0);
	/* while they crowd */
	for (int i = 0; i < 5; i++)
		assert_serves(&gofer);
	for (int i = 0; i < CROWD_THREADS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		cr_expect_null(failed, "a client was %s", (char *)failed);
	}
	cr_assert_neq(wait_for_fds(gofer.pid, before, 10000 * SLOW), -1, "%d descriptors stay", fd_count(gofer.pid) - before);
	cr_expect_lt(now_ms() - start_ms, 10000 * SLOW, "it took %d ms", (int)(now_ms() - start_ms));
	assert_serves(&gofer);
}

/* The allocator keeps some of what the largest crowd took at once; a leak of one session each would be some 200 MiB. */
static void
crowds(void *hello)
{
	enum { CROWDS = 3, ALLOWED_KIB = 80 * 1024 };
	long before;

	assert_serves(&gofer);
	before = memory_now(gofer.pid);
	for (int i = 0; i < CROWDS; i++)
		crowd(hello);
	if (MEASURES_MEMORY)
		cr_expect_leq(memory_now(gofer.pid) - before, ALLOWED_KIB, "%ld KiB stay", memory_now(gofer.pid) - before);
}

GOFER_TEST(limits, ten_thousand_clients_come_and_go, start)
{
	crowds(NULL);
}

GOFER_TEST(limits, ten_thousand_clients_say_hello_and_go, start)
{
	crowds("hello");
}

GOFER_TEST(limits, a_thousand_sessions_at_once_are_served_and_released, start)
{
	enum { SESSIONS = 1000 };
	static int fds[SESSIONS];
	int before = fd_count(gofer.pid);

	for (int i = 0; i < SESSIONS; i++) {
		fds[i] = raw_connect(&gofer);
		cr_assert(fds[i] >= 0 && send_hello(fds[i], 1));
	}
	assert_serves(&gofer);
	for (int i = 0; i < SESSIONS; i++) {
		char byte;

		cr_assert(read_exactly(fds[i], &byte, 1, PATIENCE_MS), "client %d got no Welcome", i);
	}
	for (int i = 0; i < SESSIONS; i++)
		close(fds[i]);
	cr_assert_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1);
	assert_serves(&gofer);
}

/* ---- quotas ------------------------------------------------------------------------------------- */

static void
start_with_quotas(void)
{
	gofer_start(&gofer, (const char *const[]){"--max-sockets", "5", "--max-sessions", "3", NULL});
}

GOFER_TEST(limits, socket_quota_is_exact, start_with_quotas)
{
	struct operation op, *release[] = {op_release(&op)};
	struct client client, other;
	int link, held;

	client_open(&client, &gofer);
	cr_assert_eq(client.max_sockets, 5);
	for (uint64_t handle = 1; handle <= 5; handle++)
		cr_assert_eq(call_open(&client, handle, handle & 1 ? SOCK_STREAM : SOCK_DGRAM, NULL).status, OK, "socket %d", (int)handle);
	cr_assert_eq(call_open(&client, 6, SOCK_STREAM, NULL).status, QUOTA);
	/* Opening one that is open is no new one. */
	cr_assert_eq(call_open(&client, 5, SOCK_STREAM, NULL).status, OK);
	/* Another session has its own. */
	held = fd_count(gofer.pid);
	client_open(&other, &gofer);
	cr_assert_eq(call_open(&other, 6, SOCK_STREAM, NULL).status, OK);
	client_close(&other);
	cr_assert_neq(wait_for_fds(gofer.pid, held, PATIENCE_MS), -1);
	/* A link that would make a socket counts like one. */
	link = link_open(&client, false, LINK_SOCKET, 7);
	cr_assert(ends_within(link, PATIENCE_MS), "a link over quota was taken");
	close(link);
	held = fd_count(gofer.pid);
	cr_assert(send_request(&client, 90, 3, release, 1));
	cr_assert_neq(wait_for_fds(gofer.pid, held - 1, PATIENCE_MS), -1);
	link = link_open(&client, false, LINK_SOCKET, 7);
	sleep_ms(50);
	cr_assert_not(ends_within(link, 0));
	cr_assert_eq(call_open(&client, 8, SOCK_STREAM, NULL).status, QUOTA, "a link without a socket is not charged");
	held = fd_count(gofer.pid);
	close(link);
	cr_assert_neq(wait_for_fds(gofer.pid, held - 1, PATIENCE_MS), -1);
	cr_assert_eq(call_open(&client, 8, SOCK_STREAM, NULL).status, OK);
	/* A refused open leaves nothing that is charged. */
	cr_assert(send_request(&client, 91, 8, release, 1));
	for (int i = 0; i < 20; i++)
		cr_assert_neq(call(&client, 9, op_open(&op, AF_UNIX, SOCK_STREAM, 0)).status, QUOTA);
	cr_assert_eq(call_open(&client, 9, SOCK_STREAM, NULL).status, OK);
	client_close(&client);
	assert_serves(&gofer);
}

static int
host_connect(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

static int
take_accepted(struct client *client, int link, int timeout_ms)
{
	struct link_accepted record;

	if (poll(&(struct pollfd){.fd = link, .events = POLLIN}, 1, timeout_ms) != 1 ||
	    recv(link, &record, sizeof record, MSG_DONTWAIT) != sizeof record)
		return -1;
	return link_open(client, true, LINK_SOCKET, record.handle);
}

/* Over quota, connections wait in the host's backlog; none is lost when there is room again. */
GOFER_TEST(limits, accepted_connections_count_and_wait, start_with_quotas)
{
	struct operation op;
	struct client client;
	struct outcome outcome;
	int link, peers[6], accepted[6];

	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, op_listen(&op, 4096)).status, OK);
	outcome = call(&client, 1, op_query(&op));
	link = link_open(&client, true, LINK_SOCKET, 1);
	for (int i = 0; i < 6; i++)
		cr_assert_geq(peers[i] = host_connect(outcome.port), 0);
	for (int i = 0; i < 4; i++)
		cr_assert_geq(accepted[i] = take_accepted(&client, link, PATIENCE_MS), 0, "connection %d", i);
	cr_assert_eq(take_accepted(&client, link, 300), -1, "a connection over quota");
	cr_assert_eq(call_open(&client, 2, SOCK_STREAM, NULL).status, QUOTA);
	close(accepted[0]);
	close(accepted[1]);
	for (int i = 4; i < 6; i++)
		cr_assert_geq(accepted[i] = take_accepted(&client, link, TICK_MS * 2 * SLOW), 0, "connection %d was lost", i);
	for (int i = 0; i < 6; i++) {
		close(peers[i]);
		if (i > 1)
			close(accepted[i]);
	}
	close(link);
	client_close(&client);
	assert_serves(&gofer);
}

GOFER_TEST(limits, session_quota_is_exact, start_with_quotas)
{
	struct client clients[3], more;
	int before = fd_count(gofer.pid);

	for (int i = 0; i < 3; i++)
		client_open(&clients[i], &gofer);
	for (int i = 0; i < 50; i++)
		cr_assert_not(client_try_open(&more, &gofer), "a fourth session");
	for (int i = 0; i < 3; i++)
		cr_assert_eq(call_open(&clients[i], 1, SOCK_STREAM, NULL).status, OK);
	client_close(&clients[1]);
	cr_assert_neq(wait_for_fds(gofer.pid, before + 4, PATIENCE_MS), -1);
	client_open(&clients[1], &gofer);
	for (int i = 0; i < 3; i++)
		client_close(&clients[i]);
	cr_assert_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1);
	assert_serves(&gofer);
}

/* ---- answers that nobody reads ------------------------------------------------------------------ */

GOFER_TEST(limits, client_that_never_reads_is_slowed_not_fed, start)
{
	struct client client;
	struct operation query;
	Splitsock__Op *ops[] = {&op_query(&query)->op};
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	uint8_t *packet;
	size_t len, off = 0;
	uint32_t sent = 0, got = 0;
	int64_t stalled = 0, end = now_ms() + 20000 * SLOW;
	long before;

	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, NULL).status, OK);
	before = memory_now(gofer.pid);
	memory_reset_peak(gofer.pid);
	request.handle = 1;
	request.ops = ops;
	request.n_ops = 1;
	packet = encode_frame(FRAME_REQUEST, 5, &request.base, &len);
	/* Until nothing more is taken for half a second. */
	for (;;) {
		ssize_t n = send(client.fd, packet + off, len - off, MSG_DONTWAIT | MSG_NOSIGNAL);

		cr_assert(n > 0 || errno == EAGAIN, "the session ended: %s", strerror(errno));
		cr_assert_lt(now_ms(), end, "the gofer takes requests for ever (%u)", sent);
		if (n < 0) {
			if (!stalled)
				stalled = now_ms();
			if (now_ms() - stalled > 500 * SLOW)
				break;
			sleep_ms(1);
			continue;
		}
		stalled = 0;
		off += (size_t)n;
		if (off == len) {
			off = 0;
			sent++;
		}
	}
	assert_serves(&gofer);
	if (MEASURES_MEMORY)
		cr_expect_leq(memory_peak(gofer.pid) - before, 8 * 1024, "%ld KiB for unread answers", memory_peak(gofer.pid) - before);
	/* Then it reads, and nothing was lost. */
	for (;;) {
		struct frame frame;

		if (off) {
			ssize_t n = send(client.fd, packet + off, len - off, MSG_DONTWAIT | MSG_NOSIGNAL);

			if (n > 0)
				off += (size_t)n;
			if (off == len) {
				off = 0;
				sent++;
			}
		}
		if (!off && got == sent)
			break;
		cr_assert_eq(receive_frame(&client, &frame, PATIENCE_MS), 1, "%u answers to %u requests", got, sent);
		got++;
	}
	free(packet);
	client_close(&client);
}

/* Each link makes a socket, and its end frees it. Where that is told in events, nobody reads them. */
GOFER_TEST(limits, links_that_come_and_go_leave_nothing, start)
{
	struct client client;
	long before;
	int fds;

	client_open(&client, &gofer);
	fds = fd_count(gofer.pid);
	assert_serves(&gofer);
	before = memory_now(gofer.pid);
	memory_reset_peak(gofer.pid);
	for (int i = 0; i < 40000 / SLOW; i++) {
		struct link_hello hello = link_hello_for(&client, LINK_SOCKET, (uint64_t)i + 1);
		int link = link_connect(&gofer, false);

		if (link < 0)
			continue;
		(void)!send(link, &hello, sizeof hello, MSG_NOSIGNAL);
		close(link);
	}
	cr_assert_neq(wait_for_fds(gofer.pid, fds, PATIENCE_MS), -1, "%d descriptors stay", fd_count(gofer.pid) - fds);
	assert_serves(&gofer);
	if (MEASURES_MEMORY)
		cr_expect_leq(memory_peak(gofer.pid) - before, 12 * 1024, "%ld KiB stay", memory_peak(gofer.pid) - before);
	client_close(&client);
}

/* ---- processor time ----------------------------------------------------------------------------- */

/* Nothing happens: the gofer should not be busy. */
static void
assert_idle(const char *what)
{
	int64_t cpu;

	sleep_ms(50);
	cpu = cpu_ms(gofer.pid);
	sleep_ms(400);
	cpu = cpu_ms(gofer.pid) - cpu;
	cr_expect_lt(cpu, 150, "%s: %d ms of processor time in 400", what, (int)cpu);
}

GOFER_TEST(limits, listener_without_a_link_does_not_spin, start)
{
	struct operation op;
	struct client client;
	struct outcome outcome;
	int peer;

	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, op_listen(&op, 16)).status, OK);
	outcome = call(&client, 1, op_query(&op));
	cr_assert_geq(peer = host_connect(outcome.port), 0);
	assert_idle("a connection for a listener that has no link");
	close(peer);
	client_close(&client);
	assert_serves(&gofer);
}

GOFER_TEST(limits, listener_that_is_dissolved_does_not_spin, start)
{
	struct operation op;
	struct client client;
	int link;

	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, op_listen(&op, 16)).status, OK);
	link = link_open(&client, true, LINK_SOCKET, 1);
	cr_assert_geq(call(&client, 1, op_dissolve(&op)).status, 0);
	assert_idle("a listener after connect to AF_UNSPEC");
	cr_assert_geq(call(&client, 1, op_query(&op)).status, 0);
	close(link);
	client_close(&client);
	assert_serves(&gofer);
}

GOFER_TEST(limits, link_of_a_dissolved_listener_does_not_spin, start)
{
	struct operation op;
	struct client client;
	int link;

	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, op_listen(&op, 16)).status, OK);
	cr_assert_geq(call(&client, 1, op_dissolve(&op)).status, 0);
	link = link_open(&client, true, LINK_SOCKET, 1);
	assert_idle("a link that comes after connect to AF_UNSPEC");
	close(link);
	client_close(&client);
	assert_serves(&gofer);
}

GOFER_TEST(limits, datagrams_for_a_socket_without_a_link_do_not_spin, start)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct operation op;
	struct client client;
	struct outcome outcome;
	uint16_t port;
	int host = host_datagram(&port);

	client_open(&client, &gofer);
	outcome = call_open(&client, 1, SOCK_DGRAM, op_bind(&op, 0));
	cr_assert_eq(outcome.status, OK);
	to.sin_port = htons(outcome.port);
	cr_assert_eq(sendto(host, "x", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
	assert_idle("a datagram for a socket that has no link");
	close(host);
	client_close(&client);
	assert_serves(&gofer);
}

/* An ICMP error on a socket that nobody reads. */
GOFER_TEST(limits, refused_datagrams_without_a_link_do_not_spin, start)
{
	struct operation op;
	struct client client;
	uint16_t port;

	close(host_datagram(&port));
	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_DGRAM, op_connect(&op, port, false)).status, OK);
	cr_assert_eq(call(&client, 1, op_send(&op, 0, "x")).status, OK);
	assert_idle("a refused datagram on a socket that has no link");
	client_close(&client);
	assert_serves(&gofer);
}

/* The program is gone, its last bytes do not fit the peer's window, and the peer goes on sending. */
GOFER_TEST(limits, closed_link_with_bytes_to_deliver_does_not_spin, start)
{
	static char data[64 * 1024];
	struct operation op;
	struct client client;
	uint16_t port;
	int listener = host_listen(&port, 1), host, link;
	ssize_t n;

	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, op_connect(&op, port, true)).status, OK);
	host = host_accept(listener);
	link = link_open(&client, true, LINK_SOCKET, 1);
	for (int64_t stalled = now_ms(); now_ms() - stalled < 200;) {
		n = send(link, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			stalled = now_ms();
	}
	close(link);
	sleep_ms(50);
	cr_assert(raw_send(host, data, 1000));
	assert_idle("a closed link whose bytes the peer does not take");
	close(host);
	close(listener);
	client_close(&client);
	assert_serves(&gofer);
}

struct flood {
	int link;
	atomic_bool stop;
};

static void *
run_flood(void *arg)
{
	struct flood *flood = arg;
	struct iovec iov = {"flood", 5};
	struct mmsghdr messages[64];

	memset(messages, 0, sizeof messages);
	for (int i = 0; i < 64; i++)
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov, .msg_iovlen = 1};
	while (!flood->stop)
		if (sendmmsg(flood->link, messages, 64, MSG_NOSIGNAL) < 0)
			break;
	return NULL;
}

static void
start_with_few_descriptors(void)
{
	struct rlimit limit = {.rlim_cur = 120, .rlim_max = 120};

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	start();
}

/* Host sockets may not take the descriptors that links and side channels need: who waits for one would wait for ever. */
GOFER_TEST(limits, without_descriptors_calls_fail_and_do_not_hang, start_with_few_descriptors)
{
	struct operation op, *ops[] = {&op};
	struct client client;
	struct outcome outcome;
	uint64_t opened = 0;
	char reply[512];
	int channel, link, links[16];

	client_open(&client, &gofer);
	do
		outcome = call_open(&client, ++opened, SOCK_STREAM, NULL);
	while (outcome.status == OK && opened < 120);
	cr_assert_eq(outcome.error, EMFILE, "status %d, error %d after %d sockets", outcome.status, outcome.error, (int)opened);
	cr_assert_geq(opened, 20);
	channel = link_open(&client, false, LINK_CHANNEL, 0);
	op_query(&op);
	cr_assert(channel_request(channel, 1, 1, ops, 1));
	cr_assert_eq(poll(&(struct pollfd){.fd = channel, .events = POLLIN}, 1, PATIENCE_MS), 1, "the side channel is not served");
	cr_assert_gt(recv(channel, reply, sizeof reply, MSG_DONTWAIT), 0);
	/* A datagram socket's link comes first, and takes a descriptor itself. There may be room for one, which could not be opened. */
	for (int i = 0; i < 16; i++)
		cr_assert_geq(links[i] = link_open(&client, false, LINK_SOCKET, 1000 + (uint64_t)i), 0);
	for (int i = 1; i < 16; i++)
		cr_assert(ends_within(links[i], PATIENCE_MS), "link %d", i);
	for (uint64_t handle = 1; handle <= 5; handle++)
		cr_assert(send_request(&client, 0, handle, (struct operation *[]){op_release(&op)}, 1));
	cr_assert_eq(call(&client, 6, op_query(&op)).status, OK); /* they are released by now */
	link = link_open(&client, false, LINK_SOCKET, 2000);
	cr_assert_eq(call_open(&client, 2000, SOCK_DGRAM, NULL).status, OK);
	assert_serves(&gofer);
	for (int i = 0; i < 16; i++)
		close(links[i]);
	close(link);
	close(channel);
	client_close(&client);
}

/* close() waits for as long as SO_LINGER says while a peer takes nothing. That must not be the gofer's time. */
GOFER_TEST(limits, lingering_sockets_stall_nobody, start)
{
	static const char data[60000];
	struct operation size, linger, connect, *ops[] = {op_set_linger(&linger, 30), &connect};
	struct client client;
	uint16_t port;
	int listener = host_listen(&port, 1), host, link, before = fd_count(gofer.pid);

	cr_assert_eq(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int)), 0);
	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, op_set_int(&size, SOL_SOCKET, SO_SNDBUF, 200000)).status, OK);
	op_connect(&connect, port, true);
	cr_assert_eq(call_batch(&client, 1, ops, 2).status, OK);
	cr_assert_geq(host = host_accept(listener), 0);
	link = link_open(&client, true, LINK_SOCKET, 1);
	cr_assert_eq(send(link, data, sizeof data, MSG_NOSIGNAL), (ssize_t)sizeof data);
	close(link);
	for (int i = 0; i < 3; i++) {
		int took = good_client(&gofer);

		cr_assert(took >= 0 && took < 1000 * SLOW, "a good client took %d ms", took);
	}
	/* It is closed already, although the peer has taken next to nothing. */
	cr_expect_neq(wait_for_fds(gofer.pid, before + 1, PATIENCE_MS), -1);
	close(host);
	close(listener);
	client_close(&client);
}

/* One client sends as fast as it can: the others get their turn. */
static void
flood(int family, const char *what)
{
	struct flood floods[3];
	pthread_t threads[3];
	struct operation op, open, *ops[2];
	struct client client;
	uint16_t port;
	int host = host_datagram(&port), slowest = 0;

	client_open(&client, &gofer);
	for (int i = 0; i < 3; i++) {
		uint64_t handle = (uint64_t)i + 1;

		ops[0] = op_open(&open, family, family == AF_INET ? SOCK_DGRAM : SOCK_RAW, 0);
		ops[1] = family == AF_INET ? op_connect(&op, port, false) : op_query(&op);
		cr_assert_eq(call_batch(&client, handle, ops, 2).status, OK);
		floods[i].link = link_open(&client, false, LINK_SOCKET, handle);
		floods[i].stop = false;
	}
	for (int i = 0; i < 3; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, run_flood, &floods[i]), 0);
	sleep_ms(100);
	for (int i = 0; i < 5; i++) {
		int took = good_client(&gofer);

		cr_expect_geq(took, 0, "%s: a good client is not served while it lasts", what);
		if (took < 0)
			break;
		if (took > slowest)
			slowest = took;
	}
	cr_expect_lt(slowest, 1000 * SLOW, "%s: a good client took %d ms", what, slowest);
	for (int i = 0; i < 3; i++) {
		floods[i].stop = true;
		shutdown(floods[i].link, SHUT_RDWR);
		pthread_join(threads[i], NULL);
		close(floods[i].link);
	}
	close(host);
	client_close(&client);
	sleep_ms(50);
	assert_serves(&gofer);
}

GOFER_TEST(limits, flood_of_datagrams_starves_nobody, start)
{
	flood(AF_INET, "datagrams");
}

GOFER_TEST(limits, flood_of_refused_netlink_requests_starves_nobody, start)
{
	flood(AF_NETLINK, "netlink");
}

struct requests {
	int fd;
	uint8_t *packet;
	size_t len;
	atomic_bool stop;
};

static void *
send_requests(void *arg)
{
	struct requests *requests = arg;

	while (!requests->stop && raw_send(requests->fd, requests->packet, requests->len))
		;
	return NULL;
}

static void *
drop_replies(void *arg)
{
	struct requests *requests = arg;
	char data[65536];

	while (recv(requests->fd, data, sizeof data, 0) > 0)
		;
	return NULL;
}

GOFER_TEST(limits, flood_of_requests_starves_nobody, start)
{
	static struct operation operations[CODEC_OPS_MAX];
	Splitsock__Op *ops[CODEC_OPS_MAX];
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	struct requests requests = {0};
	struct client client;
	pthread_t sender, reader;
	int slowest = 0;

	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, NULL).status, OK);
	for (int i = 0; i < (int)CODEC_OPS_MAX; i++)
		ops[i] = &op_query(&operations[i])->op;
	request.handle = 1;
	request.ops = ops;
	request.n_ops = CODEC_OPS_MAX;
	requests.fd = client.fd;
	requests.packet = encode_frame(FRAME_REQUEST, 1, &request.base, &requests.len);
	cr_assert_eq(pthread_create(&sender, NULL, send_requests, &requests), 0);
	cr_assert_eq(pthread_create(&reader, NULL, drop_replies, &requests), 0);
	sleep_ms(100);
	for (int i = 0; i < 5; i++) {
		int took = good_client(&gofer);

		cr_expect_geq(took, 0);
		if (took > slowest)
			slowest = took;
	}
	cr_expect_lt(slowest, 1000 * SLOW, "a good client took %d ms", slowest);
	requests.stop = true;
	shutdown(client.fd, SHUT_RDWR);
	pthread_join(sender, NULL);
	pthread_join(reader, NULL);
	free(requests.packet);
	client_close(&client);
	assert_serves(&gofer);
}
