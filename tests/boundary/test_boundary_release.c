/*
 * Whoever dies, the other side lets go: of a killed client everything is freed, and of a killed gofer every blocked call hears.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/boundary/client.h"
#include "tests/boundary/programs.h"

TestSuite(release, .timeout = 40);

/* Freed within this, in the best of TRIES; none may take longer than HARD_MS. */
enum { FREED_MS = 100 * SLOW, HARD_MS = 1000 * SLOW, TRIES = 3 };

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

/* Whether this port of 127.0.0.1 can be had. TIME_WAIT of its connections is no obstacle, a listener is. */
static bool
can_have(long port, int type)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	bool got;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	got = bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && (type != SOCK_STREAM || listen(fd, 1) == 0);
	close(fd);
	return got;
}

/* ---- the client --------------------------------------------------------------------------------- */

enum victim { SUPERVISOR, PROGRAM };

/* Returns the milliseconds that the gofer took to free everything, or -1. */
static int
kill_holder(enum victim victim)
{
	char port[16];
	struct program program;
	uint16_t number;
	int listener = host_listen(&number, 64), before = fd_count_settled(gofer.pid), took;
	long pid;

	snprintf(port, sizeof port, "%d", number);
	program_start(&program, &(struct run){.gofer = &gofer, .isolate = true}, (const char *[]){"boundary-holds", port, NULL});
	cr_assert(program_says(&program, "ready", PATIENCE_MS * 2), "%s%s", program.said, program.complained);
	pid = program_number(&program, "pid");
	cr_assert_gt(pid, 1);
	/* It does hold what it says: 33 sockets, 3 of which listen. */
	cr_assert_geq(fd_count(gofer.pid), before + 33);
	for (int i = 0; i < 3; i++) {
		char name[32];

		snprintf(name, sizeof name, "listen%d", i);
		cr_assert_not(can_have(program_number(&program, name), SOCK_STREAM), "%s is not held", name);
	}
	cr_assert_not(can_have(program_number(&program, "datagram"), SOCK_DGRAM));

	kill(victim == SUPERVISOR ? program.pid : (pid_t)pid, SIGKILL);
	took = wait_for_fds(gofer.pid, before, HARD_MS);
	cr_expect_neq(took, -1, "%d descriptors remain", fd_count(gofer.pid) - before);
	for (int i = 0; i < 3 && took >= 0; i++) {
		char name[32];

		snprintf(name, sizeof name, "listen%d", i);
		cr_expect(can_have(program_number(&program, name), SOCK_STREAM), "%s is still held", name);
	}
	cr_expect(can_have(program_number(&program, "datagram"), SOCK_DGRAM), "the datagram socket's port is still held");
	if (victim == SUPERVISOR)
		kill((pid_t)pid, SIGKILL);
	took = took < 0 ? -1 : took;
	program_end(&program, PATIENCE_MS);
	close(listener);
	return took;
}

static void
assert_freed(enum victim victim)
{
	int best = -1;

	for (int try = 0; try < TRIES; try++) {
		int took = kill_holder(victim);

		cr_assert_geq(took, 0, "not freed within %d ms", HARD_MS);
		if (best < 0 || took < best)
			best = took;
	}
	cr_expect_lt(best, FREED_MS, "freed after %d ms at best", best);
	assert_serves(&gofer);
}

GOFER_TEST(release, killed_supervisor_holds_nothing, start)
{
	assert_freed(SUPERVISOR);
}

GOFER_TEST(release, killed_program_holds_nothing, start)
{
	assert_freed(PROGRAM);
}

/* ---- what it has closed ------------------------------------------------------------------------- */

/* gofer/gofer.h has DELIVERY_MS 15000 and TICK_MS 1000. */
enum { DELIVERY_MS = 15000, TICK_MS = 1000 };

struct stalled {
	struct client client;
	int link, host; /* the client's descriptor, and the peer's */
	size_t written;
};

/* A client with a stream that takes no more, since its peer takes nothing. */
static void
stall(struct stalled *stalled)
{
	static char data[65536];
	struct operation connect;
	uint16_t port;
	int listener = host_listen(&port, 1);

	client_open(&stalled->client, &gofer);
	cr_assert_eq(call_open(&stalled->client, 1, SOCK_STREAM, op_connect(&connect, port, true)).status, SPLITSOCK__STATUS__STATUS_OK);
	cr_assert_geq(stalled->host = host_accept(listener), 0);
	cr_assert_geq(stalled->link = link_open(&stalled->client, true, LINK_SOCKET, 1), 0);
	close(listener);
	stalled->written = 0;
	for (int64_t quiet_since = now_ms(); now_ms() - quiet_since < 200 * SLOW;) {
		ssize_t n = send(stalled->link, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			stalled->written += (size_t)n;
			quiet_since = now_ms();
		} else {
			sleep_ms(5);
		}
	}
}

/* What the peer reads up to its end; -1 if that is no orderly one. */
static ssize_t
read_to_the_end(int fd)
{
	static char data[65536];
	size_t total = 0;
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 5 * SLOW}, sizeof(struct timeval));
	while ((n = recv(fd, data, sizeof data, 0)) > 0)
		total += (size_t)n;
	return n < 0 ? -1 : (ssize_t)total;
}

static void
start_with_two_sessions(void)
{
	gofer_start(&gofer, (const char *const[]){"--max-sessions", "2", NULL});
}

GOFER_TEST(release, what_was_closed_is_delivered_and_charged_until_then, start_with_two_sessions)
{
	int before = fd_count_settled(gofer.pid);
	struct stalled stalled[2];
	struct client other;

	for (int i = 0; i < 2; i++)
		stall(&stalled[i]);
	for (int i = 0; i < 2; i++) {
		close(stalled[i].link);
		client_close(&stalled[i].client);
	}
	sleep_ms(2 * TICK_MS);
	cr_expect_not(client_try_open(&other, &gofer), "sessions that deliver do not count");
	for (int i = 0; i < 2; i++) {
		cr_expect_eq(read_to_the_end(stalled[i].host), (ssize_t)stalled[i].written, "not all has come");
		close(stalled[i].host);
	}
	cr_expect_neq(wait_for_fds(gofer.pid, before, 2 * TICK_MS + HARD_MS), -1, "%d descriptors remain", fd_count(gofer.pid) - before);
	assert_serves(&gofer);
}

GOFER_TEST(release, what_nobody_takes_has_its_time, start)
{
	int before = fd_count_settled(gofer.pid), took;
	struct stalled stalled;

	stall(&stalled);
	close(stalled.link);
	client_close(&stalled.client);
	took = wait_for_fds(gofer.pid, before, DELIVERY_MS + 2 * TICK_MS + HARD_MS);
	cr_expect_neq(took, -1, "%d descriptors remain", fd_count(gofer.pid) - before);
	cr_expect_geq(took, DELIVERY_MS - TICK_MS);
	assert_serves(&gofer);
	close(stalled.host);
}

/* The program may write on for ever: what it has not closed ends with its client. */
GOFER_TEST(release, what_was_not_closed_is_released_at_once, start)
{
	int before = fd_count_settled(gofer.pid);
	struct stalled stalled;

	stall(&stalled);
	client_close(&stalled.client);
	cr_expect_neq(wait_for_fds(gofer.pid, before, HARD_MS), -1, "%d descriptors remain", fd_count(gofer.pid) - before);
	close(stalled.link);
	close(stalled.host);
	assert_serves(&gofer);
}

/* Nor does one that broke the protocol have time. */
GOFER_TEST(release, a_breach_delivers_nothing, start)
{
	int before = fd_count_settled(gofer.pid);
	struct stalled stalled;

	stall(&stalled);
	close(stalled.link);
	cr_assert(raw_send(stalled.client.fd, "\377\377\377\377\377\377\377\377\377\377\377\377", 12));
	cr_expect_neq(wait_for_fds(gofer.pid, before, HARD_MS), -1, "%d descriptors remain", fd_count(gofer.pid) - before);
	client_close(&stalled.client);
	close(stalled.host);
	assert_serves(&gofer);
}

GOFER_TEST(release, a_gofer_that_is_told_to_stop_delivers_first, start)
{
	struct stalled stalled;

	stall(&stalled);
	close(stalled.link);
	kill(gofer.pid, SIGTERM);
	sleep_ms(500 * SLOW);
	cr_expect(alive(gofer.pid), "it has not waited");
	kill(gofer.pid, SIGTERM); /* once more is no news */
	cr_expect_eq(read_to_the_end(stalled.host), (ssize_t)stalled.written, "not all has come");
	close(stalled.host);
	client_close(&stalled.client);
}

/* ---- the gofer ---------------------------------------------------------------------------------- */

static bool
is_one_of(const char *said, const char *what, const char *const *answers)
{
	char line[64];

	for (; *answers; answers++) {
		snprintf(line, sizeof line, "%s: %s\n", what, *answers);
		if (strstr(said, line))
			return true;
	}
	return false;
}

static int
count_of(const char *text, const char *what)
{
	int count = 0;

	for (const char *at = text; (at = strstr(at, what)); at++)
		count++;
	return count;
}

Test(release, killed_gofer_is_heard_by_every_blocked_call)
{
	/* What accept(2), connect(2), recv(2) and send(2) know of. 0 is the end of a stream. */
	static const struct {
		const char *what;
		const char *answers[5];
	} calls[] = {
		{"read", {"0", "ECONNRESET"}},
		{"write", {"EPIPE", "ECONNRESET"}},
		{"accept", {"ENETDOWN", "ECONNABORTED"}},
		{"connect", {"ENETDOWN", "ECONNRESET", "ECONNABORTED"}},
		{"recvfrom", {"ENETDOWN"}},
		{"recvmsg", {"ENETDOWN"}},
	};
	struct program program;
	char port[16], full_port[16];
	uint16_t number, full_number;
	int listener, full, fillers[4], status;
	int64_t killed_ms, took;
	long poll_events, epoll_events;

	gofer_start(&gofer, NULL);
	listener = host_listen(&number, 64);
	full = host_listen(&full_number, 0);
	for (int i = 0; i < 4; i++) {
		struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(full_number)};

		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)!connect(fillers[i], (struct sockaddr *)&address, sizeof address);
	}
	snprintf(port, sizeof port, "%d", number);
	snprintf(full_port, sizeof full_port, "%d", full_number);
	program_start(&program, &(struct run){.gofer = &gofer, .isolate = true},
	              (const char *[]){"boundary-blocked", port, full_port, NULL});
	cr_assert(program_says(&program, "ready", PATIENCE_MS * 2), "%s%s", program.said, program.complained);
	sleep_ms(200 * SLOW);
	cr_assert_not(program_says(&program, "nothing yet", 0));
	cr_assert_str_eq(program.said, "ready\n", "something was not blocked");
	killed_ms = now_ms();
	gofer_kill(&gofer);
	status = program_end(&program, 10000);
	took = now_ms() - killed_ms;
	cr_expect_eq(status, 0, "splitsock-run ended with wait status %#x\n%s%s", status, program.said, program.complained);
	cr_expect_leq(took, 1000 * SLOW, "it took %d ms", (int)took);
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		cr_expect(is_one_of(program.said, calls[i].what, calls[i].answers), "%s:\n%s", calls[i].what, program.said);
	poll_events = program_number(&program, "poll:");
	epoll_events = program_number(&program, "epoll:");
	cr_expect(poll_events > 0 && poll_events & (POLLIN | POLLHUP), "poll:\n%s", program.said);
	cr_expect(epoll_events > 0 && epoll_events & (POLLIN | POLLHUP), "epoll:\n%s", program.said);
	cr_expect_eq(count_of(program.said, "socket: ENETDOWN\n"), 4, "%s", program.said);
	cr_expect(strstr(program.said, "local: 0\n"), "%s", program.said);
	cr_expect_eq(count_of(program.complained, "gofer is gone"), 1, "it says why %d times:\n%s",
	             count_of(program.complained, "gofer is gone"), program.complained);
	for (int i = 0; i < 4; i++)
		close(fillers[i]);
	close(full);
	close(listener);
	gofer_remove_files(&gofer);
}
