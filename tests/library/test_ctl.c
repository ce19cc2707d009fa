/*
 * splitsock-ctl against a gofer with real traffic: what it shows is compared with what was done and with ss(8). And what the calls of
 * an unmodified program behind splitsock-run cost, as the gofer counts them.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
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

TestSuite(ctl, .init = setup, .fini = teardown, .timeout = 60);

#define A(address) ((struct sockaddr *)&(address))
#define OK(call) cr_assert((call) >= 0, #call ": %s", strerror(errno))

static void
nap(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static struct sockaddr_in
loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

/* Runs a shell command with $CTL set to splitsock-ctl. Returns its exit status; what it writes (errors, too, with 2>&1) is in output. */
static char output[1 << 20];

static int
shell(const char *command)
{
	FILE *pipe;
	size_t len;
	int status;

	setenv("CTL", program_path("splitsock-ctl"), 1);
	setenv("SPLITSOCK_GOFER", gofer.url, 1);
	pipe = popen(command, "re");
	cr_assert_not_null(pipe);
	len = fread(output, 1, sizeof output - 1, pipe);
	output[len] = 0;
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What it shows as JSON, to be freed. */
static json_t *
ask(const char *what)
{
	char command[128];
	json_error_t error;
	json_t *json;

	snprintf(command, sizeof command, "$CTL %s --json", what);
	cr_assert_eq(shell(command), 0, "%s: %s", command, output);
	json = json_loads(output, JSON_REJECT_DUPLICATES, &error);
	cr_assert_not_null(json, "%s: line %d: %s\n%s", command, error.line, error.text, output);
	return json;
}

static long long
stat_of(const char *name)
{
	json_t *stats = ask("stats"), *value = json_object_get(stats, name);
	long long n;

	cr_assert(json_is_integer(value), "no %s", name);
	n = json_integer_value(value);
	json_decref(stats);
	return n;
}

static void
await_stat(const char *name, long long wanted)
{
	long long is = 0;

	for (int i = 0; i < 300 && (is = stat_of(name)) != wanted; i++)
		nap(10);
	cr_assert_eq(is, wanted, "%s is %lld, not %lld", name, is, wanted);
}

/* A pair of connected sockets, both ends behind the gofer. */
static void
pair_of(int *client, int *server, int *listener, uint16_t *port)
{
	struct sockaddr_in address = loopback(0);
	socklen_t len = sizeof address;

	OK(*listener = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(ss_bind(ss, *listener, A(address), sizeof address));
	OK(ss_listen(ss, *listener, 20));
	OK(ss_getsockname(ss, *listener, A(address), &len));
	OK(*client = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(ss_connect(ss, *client, A(address), sizeof address));
	OK(*server = ss_accept(ss, *listener, NULL, NULL));
	*port = ntohs(address.sin_port);
}

/* ---- what it shows ------------------------------------------------------------------------------ */

Test(ctl, status)
{
	json_t *status = ask("status");
	const char *software, *policy, *url;
	int pid, uid, sessions, max_sessions, sockets, max_sockets;
	double uptime;

	cr_assert_eq(json_unpack(status, "{s:s, s:i, s:i, s:F, s:[s], s:s, s:{s:i, s:i}, s:{s:i, s:i}}", "software", &software, "pid",
	                         &pid, "uid", &uid, "uptime_seconds", &uptime, "listeners", &url, "policy", &policy, "limits",
	                         "sessions", &max_sessions, "session_sockets", &max_sockets, "usage", "sessions", &sessions, "sockets",
	                         &sockets),
	             0);
	cr_expect_str_eq(software, "splitsock-gofer " SPLITSOCK_VERSION);
	cr_expect_eq(pid, gofer.pid);
	cr_expect_eq(uid, (int)geteuid());
	cr_expect(uptime > 0 && uptime < 60);
	cr_expect_str_eq(url, gofer.url);
	cr_expect_str_eq(policy, "open");
	cr_expect_eq(max_sessions, 16384);
	cr_expect_eq(max_sockets, 16384);
	cr_expect_eq(sessions, 1);
	cr_expect_eq(sockets, 0);
	json_decref(status);
	cr_assert_eq(shell("$CTL status"), 0);
	cr_expect(strstr(output, gofer.url) && strstr(output, "policy       open"), "%s", output);
}

Test(ctl, sessions)
{
	json_t *sessions, *session, *counters;
	const char *software, *command;
	int pid, uid, fd;

	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	sessions = ask("sessions");
	cr_assert_eq(json_array_size(sessions), 1);
	session = json_array_get(sessions, 0);
	cr_assert_eq(json_unpack(session, "{s:i, s:i, s:s, s:s, s:o}", "pid", &pid, "uid", &uid, "software", &software, "command",
	                         &command, "counters", &counters),
	             0);
	cr_expect_eq(pid, getpid());
	cr_expect_eq(uid, (int)geteuid());
	cr_expect_str_eq(software, "libsplitsock " SPLITSOCK_VERSION);
	cr_expect_eq(strncmp(command, "test-library", 12), 0, "%s", command);
	cr_expect_eq(json_integer_value(json_object_get(counters, "splitsock_sockets")), 1);
	json_decref(sessions);
	cr_assert_eq(shell("$CTL sessions | awk 'NR == 2 { print $2, $3, $4, $5 }'"), 0);
	{
		char expected[128];

		snprintf(expected, sizeof expected, "%u %d %s %d\n", (unsigned)geteuid(), (int)getpid(), "test-library", 1);
		cr_expect_str_eq(output, expected);
	}
	close(fd);
}

/*
 * State, queues and names of the sockets that have this port at either end, as each program shows them. A connection in TIME-WAIT is
 * the kernel's alone.
 */
#define ROWS_OF_SS "ss -Hna%c%d 'sport = :%d or dport = :%d' | awk '$1 != \"TIME-WAIT\" { print $1, $2, $3, $4, $5 }' | sort"
#define ROWS_OF_CTL "$CTL sockets | awk 'NR > 1 && ($5 ~ /:%d$/ || $6 ~ /:%d$/) { print $2, $3, $4, $5, $6 }' | sort"

static void
agrees_with_ss(char protocol, int version, int port, int count)
{
	static char ours[65536];
	char command[256];
	int lines = 0;

	snprintf(command, sizeof command, ROWS_OF_CTL, port, port);
	cr_assert_eq(shell(command), 0);
	strcpy(ours, output);
	snprintf(command, sizeof command, ROWS_OF_SS, protocol, version, port, port);
	cr_assert_eq(shell(command), 0);
	for (const char *at = ours; (at = strchr(at, '\n')); at++)
		lines++;
	cr_expect_eq(lines, count, "%d rows:\n%s", lines, ours);
	cr_expect_str_eq(ours, output, "splitsock-ctl:\n%s\nss:\n%s", ours, output);
}

Test(ctl, sockets_agree_with_ss)
{
	int listener, client, server, udp, connected, fresh, bytes = 0;
	struct sockaddr_in address = loopback(0), own;
	socklen_t len = sizeof own;
	static const char block[65536];
	uint16_t port;

	pair_of(&client, &server, &listener, &port);
	agrees_with_ss('t', 4, port, 3);
	/* Nobody reads: what the link and the host's sockets take is stuck there. */
	fcntl(client, F_SETFL, O_NONBLOCK);
	for (int quiet = 0; quiet < 20; quiet++) {
		ssize_t n = write(client, block, sizeof block);

		if (n > 0)
			quiet = 0, bytes += (int)n;
		else
			nap(20);
	}
	cr_expect_gt(bytes, 1 << 20);
	agrees_with_ss('t', 4, port, 3);
	cr_assert_eq(shell("$CTL sockets | awk '$2 == \"ESTAB\" { in_ += $3; out += $4 } END { print (in_ > 0 && out > 0) }'"), 0);
	cr_expect_str_eq(output, "1\n", "there is something in the queues");
	/* What the program wrote is somewhere on the way, and nowhere twice. */
	{
		json_t *sockets = ask("sockets"), *socket;
		size_t i;
		long long sent = 0, held = 0;

		json_array_foreach(sockets, i, socket) {
			sent += json_integer_value(json_object_get(socket, "bytes_to_host"));
			held += json_integer_value(json_object_get(socket, "held_to_host"));
		}
		cr_expect_leq(sent + held, bytes);
		cr_expect_gt(sent, 0);
		json_decref(sockets);
	}
	/* Other states. */
	close(server);
	nap(100);
	close(listener);
	close(client);
	await_stat("splitsock_sockets", 0);
	pair_of(&client, &server, &listener, &port);
	OK(ss_shutdown(ss, client, SHUT_WR));
	nap(100);
	agrees_with_ss('t', 4, port, 3);
	/* Datagrams. */
	OK(udp = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	OK(ss_bind(ss, udp, A(address), sizeof address));
	OK(ss_getsockname(ss, udp, A(own), &len));
	OK(connected = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	OK(ss_connect(ss, connected, A(own), sizeof own));
	agrees_with_ss('u', 4, ntohs(own.sin_port), 2);
	/* One that has no host socket yet is shown, too. */
	OK(fresh = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	cr_assert_eq(shell("$CTL sockets | awk '$1 == \"udp\" && $5 == \"*:*\"' | wc -l"), 0);
	cr_expect_str_eq(output, "1\n");
	close(fresh);
	close(udp);
	close(connected);
	close(client);
	close(server);
	close(listener);
}

Test(ctl, ipv6_sockets_agree_with_ss)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t len = sizeof address;
	int listener, client;

	OK(listener = ss_socket(ss, AF_INET6, SOCK_STREAM, 0));
	OK(ss_bind(ss, listener, A(address), sizeof address));
	OK(ss_listen(ss, listener, 20));
	OK(ss_getsockname(ss, listener, A(address), &len));
	OK(client = ss_socket(ss, AF_INET6, SOCK_STREAM, 0));
	OK(ss_connect(ss, client, A(address), sizeof address));
	nap(50);
	agrees_with_ss('t', 6, ntohs(address.sin6_port), 3);
	close(client);
	close(listener);
}

/* More than a page of them. */
Test(ctl, many_sockets)
{
	enum { MANY = 700 };
	static int fds[MANY];
	json_t *sockets;

	for (int i = 0; i < MANY; i++)
		OK(fds[i] = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	await_stat("splitsock_sockets", MANY);
	sockets = ask("sockets");
	cr_assert_eq(json_array_size(sockets), MANY);
	json_decref(sockets);
	cr_assert_eq(shell("$CTL sockets | awk 'NR > 1' | sort -u | wc -l"), 0);
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	await_stat("splitsock_sockets", 0);
	await_stat("splitsock_sockets_closed_total", MANY);
	sockets = ask("sockets");
	cr_assert_eq(json_array_size(sockets), 0, "an empty list is a list");
	json_decref(sockets);
}

Test(ctl, counters_of_all_sessions)
{
	struct ss *first = ss;
	int fds[3][3];
	uint16_t port;

	for (int i = 0; i < 3; i++) {
		ss = i ? ss_open(gofer.url) : first;
		cr_assert_not_null(ss);
		pair_of(&fds[i][0], &fds[i][1], &fds[i][2], &port);
		cr_assert_eq(write(fds[i][0], "1234567890", 10), 10);
		cr_assert_eq(recv(fds[i][1], output, 10, MSG_WAITALL), 10);
		for (int k = 0; k < 3; k++)
			close(fds[i][k]);
		if (i)
			ss_close(ss);
	}
	ss = first;
	await_stat("splitsock_sessions", 1);
	await_stat("splitsock_sockets", 0);
	cr_expect_eq(stat_of("splitsock_sessions_opened_total"), 3);
	cr_expect_eq(stat_of("splitsock_sessions_closed_total"), 2);
	cr_expect_eq(stat_of("splitsock_connects_total{result=\"ok\"}"), 3);
	cr_expect_eq(stat_of("splitsock_accepts_total"), 3);
	cr_expect_eq(stat_of("splitsock_sockets_opened_total"), 9);
	cr_expect_eq(stat_of("splitsock_sockets_closed_total"), 9);
	cr_expect_eq(stat_of("splitsock_stream_bytes_total{direction=\"to_host\"}"), 30, "sessions that are gone count, too");
	cr_expect_eq(stat_of("splitsock_stream_bytes_total{direction=\"to_program\"}"), 30);
}

/* What Prometheus' text format wants, line by line. */
Test(ctl, prometheus)
{
	static char seen[65536];
	char name[128] = "", kind[16];

	cr_assert_eq(shell("$CTL stats --prometheus"), 0);
	for (char *save = NULL, *line = strtok_r(output, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char found[128], quoted[160];
		unsigned long long value;
		int used = 0;

		if (sscanf(line, "# HELP %127s %n", found, &used) == 1 && used) {
			snprintf(quoted, sizeof quoted, " %s ", found);
			cr_expect_null(strstr(seen, quoted), "%s is there twice", found);
			cr_assert_lt(strlen(seen) + strlen(quoted), sizeof seen);
			strcat(seen, quoted);
			strcpy(name, found);
			cr_expect(line[used], "%s: no help", name);
			continue;
		}
		if (sscanf(line, "# TYPE %127s %15s", found, kind) == 2) {
			cr_expect_str_eq(found, name);
			cr_expect(strcmp(kind, "counter") == 0 || strcmp(kind, "gauge") == 0, "%s", kind);
			continue;
		}
		cr_assert_eq(sscanf(line, "%127[a-z_] %llu", found, &value) == 2 || sscanf(line, "%127[a-z_]{%*[a-z_]=\"%*[a-z_]\"} %llu", found, &value) == 2,
		             1, "'%s'", line);
		cr_expect_str_eq(found, name);
	}
	cr_expect(strstr(seen, " splitsock_operations_total ") && strstr(seen, " splitsock_host_udp_packets_sent_total "));
}

/* ---- what a call costs behind splitsock-run ----------------------------------------------------- */

struct told_program {
	pid_t pid;
	FILE *to, *from;
};

static struct told_program
program_start(void)
{
	struct told_program program;
	char run[PATH_MAX], counted[PATH_MAX];
	int to[2], from[2];

	strcpy(run, program_path("splitsock-run"));
	strcpy(counted, program_path("tests-counted"));
	OK(pipe2(to, O_CLOEXEC));
	OK(pipe2(from, O_CLOEXEC));
	program.pid = fork();
	OK(program.pid);
	if (program.pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		execl(run, run, "--gofer", gofer.url, "--isolate", "--", counted, (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	program.to = fdopen(to[1], "w");
	program.from = fdopen(from[0], "r");
	cr_assert(program.to && program.from);
	return program;
}

/* Tells it to do something; returns the first number that it answers. */
static int
tell(struct told_program *program, const char *operation, int count, int port)
{
	char line[64];

	fprintf(program->to, "%s %d %d\n", operation, count, port);
	fflush(program->to);
	cr_assert_not_null(fgets(line, sizeof line, program->from), "%s: the program has ended", operation);
	return atoi(line);
}

struct cost {
	long long round_trips, no_reply, channel, links;
};

static long long
counter_of_run(json_t *sessions, const char *name)
{
	size_t i;
	json_t *session;

	json_array_foreach(sessions, i, session)
		if (strcmp(json_string_value(json_object_get(session, "command")), "splitsock-run") == 0)
			return json_integer_value(json_object_get(json_object_get(session, "counters"), name));
	cr_assert_fail("splitsock-run has no session");
	return 0;
}

static struct cost last;

static void
look(struct cost *now)
{
	json_t *sessions = ask("sessions");

	*now = (struct cost){
		counter_of_run(sessions, "splitsock_round_trips_total"),
		counter_of_run(sessions, "splitsock_requests_no_reply_total"),
		counter_of_run(sessions, "splitsock_frames_received_total{path=\"side_channel\"}"),
		counter_of_run(sessions, "splitsock_links_total"),
	};
	json_decref(sessions);
}

static void
each_costs(const char *what, int n, struct cost each)
{
	struct cost now = {0};

	/* What nobody waits for may still be under way. */
	for (int i = 0; i < 100; i++) {
		look(&now);
		if (now.no_reply - last.no_reply >= n * each.no_reply && now.links - last.links >= n * each.links)
			break;
		nap(10);
	}
	cr_expect_eq(now.round_trips - last.round_trips, n * each.round_trips, "%s: %lld round trips for %d", what,
	             now.round_trips - last.round_trips, n);
	cr_expect_eq(now.no_reply - last.no_reply, n * each.no_reply, "%s: %lld requests without a reply for %d", what,
	             now.no_reply - last.no_reply, n);
	cr_expect_eq(now.channel - last.channel, n * each.channel, "%s: %lld frames on the side channel for %d", what,
	             now.channel - last.channel, n);
	cr_expect_eq(now.links - last.links, n * each.links, "%s: %lld links for %d", what, now.links - last.links, n);
	last = now;
}

#define FREE ((struct cost){0})

Test(ctl, what_calls_cost_behind_splitsock_run)
{
	enum { N = 20 };
	struct sockaddr_in address = loopback(0), datagrams = loopback(0);
	socklen_t len = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), plain = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), port, status;
	struct told_program program;
	int clients[N];

	OK(bind(listener, A(address), sizeof address));
	OK(listen(listener, N));
	OK(getsockname(listener, A(address), &len));
	OK(bind(plain, A(datagrams), sizeof datagrams));
	OK(getsockname(plain, A(datagrams), &len));
	program = program_start();
	tell(&program, "socket", 0, 0);
	look(&last);
	tell(&program, "socket", N, 0);
	each_costs("socket", N, FREE);
	tell(&program, "setsockopt", N, 0);
	each_costs("setsockopt before connect", N, FREE);
	tell(&program, "connect", N, ntohs(address.sin_port));
	each_costs("connect", N, (struct cost){.round_trips = 1, .links = 1});
	tell(&program, "getsockname", N, 0);
	tell(&program, "getpeername", N, 0);
	each_costs("getsockname and getpeername", N, FREE);
	tell(&program, "setsockopt", N, 0);
	each_costs("setsockopt after connect", N, (struct cost){.no_reply = 1});
	tell(&program, "write", N, 0);
	each_costs("write", N, FREE);
	tell(&program, "close", N, 0);
	each_costs("close", N, FREE);
	port = tell(&program, "serve", N, 0);
	each_costs("socket, bind, listen, getsockname", 1, (struct cost){.round_trips = 2, .links = 1});
	for (int i = 0; i < N; i++) {
		struct sockaddr_in served = loopback((uint16_t)port);

		OK(clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
		OK(connect(clients[i], A(served), sizeof served));
	}
	tell(&program, "accept", N, 0);
	each_costs("accept", N, (struct cost){.links = 1});
	tell(&program, "close", N, 0);
	each_costs("close of what was accepted", N, FREE);
	tell(&program, "datagram", 1, 0);
	each_costs("socket for datagrams", 1, (struct cost){.links = 1});
	tell(&program, "sendto", N, ntohs(datagrams.sin_port));
	each_costs("sendto", N, (struct cost){.channel = 1});
	/* All that went over NNG: Hello, and what is counted above. */
	{
		json_t *sessions = ask("sessions");

		cr_expect_eq(counter_of_run(sessions, "splitsock_frames_received_total{path=\"control\"}"),
		             1 + counter_of_run(sessions, "splitsock_round_trips_total") +
		                 counter_of_run(sessions, "splitsock_requests_no_reply_total"));
		json_decref(sessions);
	}
	fclose(program.to);
	OK(waitpid(program.pid, &status, 0));
	cr_expect_eq(status, 0);
	fclose(program.from);
	await_stat("splitsock_sessions", 1);
	await_stat("splitsock_sockets", 0);
	cr_expect_eq(stat_of("splitsock_sockets_opened_total"), stat_of("splitsock_sockets_closed_total"));
	cr_expect_eq(stat_of("splitsock_connects_waiting"), 0);
	cr_expect_eq(stat_of("splitsock_links_pending"), 0);
	for (int i = 0; i < N; i++)
		close(clients[i]);
	close(listener);
	close(plain);
}

/* The gofer that splitsock-run starts for one command has a ctl socket, too, and leaves nothing. */
Test(ctl, a_private_gofer)
{
	char url[128], run[PATH_MAX];

	strcpy(run, program_path("splitsock-run"));
	unsetenv("SPLITSOCK_GOFER");
	setenv("RUN", run, 1);
	setenv("CTL", program_path("splitsock-ctl"), 1);
	setenv("XDG_RUNTIME_DIR", gofer.directory, 1);
	/* Its URL is looked for, since a gofer of the machine's would be used instead of a private one. */
	snprintf(url, sizeof url, "%s/splitsock-*/gofer.sock.ctl", gofer.directory);
	setenv("FILES", url, 1);
	cr_assert_eq(system("env -u SPLITSOCK_GOFER $RUN --isolate -- sh -c 'set -- $FILES; [ -S \"$1\" ] || [ -S /run/splitsock/gofer.sock ] || exit 3; "
	                    "[ -S \"$1\" ] || exit 0; $CTL -g ipc://${1%.ctl} sessions | grep -q splitsock-run'"),
	             0);
	cr_assert_eq(system("set -- $FILES; ! [ -e \"$1\" ]"), 0, "its socket stays");
}

/* ---- what may go wrong -------------------------------------------------------------------------- */

static void
says(const char *command, int status, const char *message)
{
	int is = shell(command);

	cr_expect_eq(is, status, "%s: exit status %d: %s", command, is, output);
	cr_expect_not_null(strstr(output, message), "%s says: %s", command, output);
}

Test(ctl, usage)
{
	says("$CTL 2>&1", 2, "a command is needed");
	says("$CTL nonsense 2>&1", 2, "no command 'nonsense'");
	says("$CTL status stats 2>&1", 2, "'stats' is too much");
	says("$CTL --nonsense 2>&1", 2, "--nonsense");
	says("$CTL status --prometheus 2>&1", 2, "--prometheus is for stats");
	says("$CTL stats --prometheus --json 2>&1", 2, "--prometheus is for stats");
	says("$CTL --help", 0, "--gofer");
	says("$CTL --version", 0, "splitsock-ctl " SPLITSOCK_VERSION);
}

Test(ctl, no_gofer_there)
{
	says("$CTL --gofer ipc:///tmp/splitsock-nowhere/x status 2>&1", 1,
	     "no gofer answers at /tmp/splitsock-nowhere/x.ctl (No such file or directory): start splitsock-gofer, or name it with --gofer");
	says("$CTL -g tcp://127.0.0.1 status 2>&1", 1, "'tcp://127.0.0.1' is no gofer's URL: ipc:///absolute/path is one");
	says("$CTL -g ipc:///$(printf %0200d 1) status 2>&1", 1, "too long");
	says("$CTL status >/dev/full 2>/tmp/splitsock-full.$$; s=$?; cat /tmp/splitsock-full.$$; rm /tmp/splitsock-full.$$; exit $s", 1,
	     "cannot write the answer");
}

/* Something else at the ctl socket: it answers `answer` to whatever comes, and hangs up. */
static void
with_false_gofer(const void *answer, size_t len, const char *message)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status;
	char command[256];
	pid_t pid;

	snprintf(address.sun_path, sizeof address.sun_path, "%s/false.ctl", gofer.directory);
	unlink(address.sun_path);
	OK(bind(listener, A(address), sizeof address));
	OK(listen(listener, 1));
	pid = fork();
	if (pid == 0) {
		int fd = accept(listener, NULL, NULL);
		char request[64];

		if (read(fd, request, sizeof request) < 0 || write(fd, answer, len) < 0)
			_exit(1);
		shutdown(fd, SHUT_WR);
		while (read(fd, request, sizeof request) > 0)
			;
		_exit(0);
	}
	snprintf(command, sizeof command, "$CTL -g ipc://%s/false status 2>&1", gofer.directory);
	says(command, 1, message);
	waitpid(pid, &status, 0);
	close(listener);
}

Test(ctl, what_is_no_gofer)
{
	static const unsigned char other_id[] = {0, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0};
	static const unsigned char garbage[] = {2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff};
	static const unsigned char empty[] = {0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0};
	static const unsigned char unsupported[] = {2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 8, 6};
	static const unsigned char half[] = {200, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 8, 6};

	with_false_gofer("HTTP/1.1 400 Bad Request\r\n", 26, "its answer is no frame");
	with_false_gofer("", 0, "hung up");
	with_false_gofer(half, sizeof half, "hung up");
	with_false_gofer(other_id, sizeof other_id, "answers something else");
	with_false_gofer(garbage, sizeof garbage, "answers something else");
	with_false_gofer(unsupported, sizeof unsupported, "does not know this question");
	with_false_gofer(empty, sizeof empty, "answers something else");
}

Test(ctl, a_gofer_that_is_stopped)
{
	kill(gofer.pid, SIGSTOP);
	says("$CTL status 2>&1", 1, "did not answer within 5 s");
	kill(gofer.pid, SIGCONT);
	says("$CTL status", 0, "splitsock-gofer");
}

/* A client's own name is not to be trusted with a terminal. */
Test(ctl, names_are_made_plain)
{
	static const unsigned char hello[] = {11, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 1, 26, 7, 'e', 'v', 27, '[', '2', 'J', 0xff};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char welcome[64];

	strcpy(address.sun_path, gofer.url + strlen("ipc://"));
	OK(connect(fd, A(address), sizeof address));
	cr_assert_eq(write(fd, hello, sizeof hello), sizeof hello);
	cr_assert_gt(read(fd, welcome, sizeof welcome), 0);
	cr_assert_eq(shell("$CTL sessions"), 0);
	cr_expect_not_null(strstr(output, "ev?[2J?"), "%s", output);
	cr_expect_null(strchr(output, 27));
	json_decref(ask("sessions"));
	cr_expect_not_null(strstr(output, "\"ev?[2J?\""), "%s", output);
	close(fd);
}
