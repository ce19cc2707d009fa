/*
 * splitsock-bench-frames: packet sockets, splitsock against the bare kernel, on a veth pair between two network namespaces that it makes.
 *
 * In each round the two run one after another. What is counted is what arrived, per second, while the sender sent as fast as it could.
 */
#include <errno.h>
#include <error.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 5, QUICK_ROUNDS = 2, ROUNDS_MAX = 51, FRAMES = 300000, LOSSLESS = 1000000, PINGS = 2000, ARGUMENTS_MAX = 24 };
enum way { NATIVE, SPLITSOCK, WAYS };

static const char *const way_names[WAYS] = {"native", "splitsock"};

static struct {
	char bin[256], host[64], peer[64], directory[64], gofer_url[96];
	pid_t gofer;
} bench;

static struct measure {
	const char *name, *unit, *what;
	double aim; /* of the ratio; 0: none */
	double value[WAYS][ROUNDS_MAX];
} measures[] = {
	{"rx ring 64", "k/s", "frames captured through a ring (TPACKET_V3)", 0, {{0}}},
	{"rx ring 1500", "k/s", "", 0.6, {{0}}},
	{"rx recvmmsg 64", "k/s", "frames received by system calls", 0, {{0}}},
	{"rx recvmmsg 1500", "k/s", "", 0, {{0}}},
	{"tx 64", "k/s", "frames sent by sendmmsg, as the peer counts them", 0, {{0}}},
	{"tx 1500", "k/s", "", 0, {{0}}},
	{"round trip", "us", "one frame to the peer and back", 0, {{0}}},
};
enum { MEASURES = sizeof measures / sizeof *measures };

/* ---- processes ---------------------------------------------------------------------------------- */

struct process {
	pid_t pid;
	FILE *output;
};

static void __attribute__((format(printf, 1, 2)))
run(const char *format, ...)
{
	char command[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof command, format, arguments);
	va_end(arguments);
	if (system(command) != 0)
		error(1, 0, "this failed: %s", command);
}

static struct process
start(const char *const *arguments)
{
	struct process process = {0};
	int fds[2];

	if (pipe(fds) < 0)
		error(1, errno, "pipe");
	process.pid = fork();
	if (process.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execvp(arguments[0], (char **)arguments);
		error(127, errno, "%s", arguments[0]);
	}
	close(fds[1]);
	process.output = fdopen(fds[0], "r");
	return process;
}

/* A load in the namespace of the host or of the peer, or, as `through`, behind splitsock-run. */
static struct process
load(const char *name_space, bool through, const char *const *what)
{
	char net[96], program[320], splitsock_run[320];
	const char *arguments[ARGUMENTS_MAX] = {"nsenter", net, NULL};
	int count = 2;

	snprintf(net, sizeof net, "--net=/run/netns/%s", name_space);
	snprintf(program, sizeof program, "%s/splitsock-bench-frames-load", bench.bin);
	snprintf(splitsock_run, sizeof splitsock_run, "%s/splitsock-run", bench.bin);
	if (through) {
		count = 0;
		arguments[count++] = splitsock_run;
		arguments[count++] = "--gofer";
		arguments[count++] = bench.gofer_url;
		arguments[count++] = "--isolate";
		arguments[count++] = "--";
	}
	arguments[count++] = program;
	while (*what)
		arguments[count++] = *what++;
	return start(arguments);
}

static void
finish(struct process *process)
{
	int status;

	fclose(process->output);
	if (waitpid(process->pid, &status, 0) < 0 || status)
		error(0, 0, "a load failed (wait status %#x)", status);
}

static void
await_ready(struct process *process)
{
	char line[64];

	if (!fgets(line, sizeof line, process->output) || strcmp(line, "ready\n") != 0)
		error(1, 0, "a load does not start");
}

/* ---- measuring ---------------------------------------------------------------------------------- */

struct count {
	unsigned long frames, bytes, drops;
	double seconds;
};

static struct count
read_count(struct process *process)
{
	struct count count = {0};

	if (fscanf(process->output, "%lu %lu %lf %lu", &count.frames, &count.bytes, &count.seconds, &count.drops) < 3)
		count = (struct count){0};
	finish(process);
	return count;
}

static const char *
number(char text[32], long value)
{
	snprintf(text, 32, "%ld", value);
	return text;
}

/* Sends from one side, captures on the other. */
static struct count
transfer(bool receives, enum way way, const char *how, int size, long frames, double rate, struct count *sent)
{
	char sizes[32], counts[32], rates[32];
	struct process capture = load(receives ? bench.host : bench.peer, receives && way == SPLITSOCK,
	                              (const char *const[]){"capture", receives ? "h0" : "p0", how, NULL});
	struct process sender;

	await_ready(&capture);
	sender = load(receives ? bench.peer : bench.host, !receives && way == SPLITSOCK,
	              (const char *const[]){"send", receives ? "p0" : "h0", number(sizes, size), number(counts, frames),
	                                    number(rates, (long)rate), NULL});
	*sent = read_count(&sender);
	return read_count(&capture);
}

static double
ping(enum way way)
{
	char count[32], answer[64] = "";
	struct process echo = load(bench.peer, false, (const char *const[]){"echo", "p0", NULL}), pinger;

	await_ready(&echo);
	pinger = load(bench.host, way == SPLITSOCK, (const char *const[]){"ping", "h0", number(count, PINGS), NULL});
	if (!fgets(answer, sizeof answer, pinger.output))
		answer[0] = 0;
	finish(&pinger);
	kill(echo.pid, SIGKILL);
	fclose(echo.output);
	waitpid(echo.pid, NULL, 0);
	return answer[0] ? atof(answer) : NAN;
}

static double
measure(int which, enum way way)
{
	struct count sent, got;

	if (which == MEASURES - 1)
		return ping(way);
	got = transfer(which < 4, way, which < 2 || which >= 4 ? "ring" : "recv", which % 2 ? 1500 : 64, FRAMES, 0, &sent);
	return got.seconds > 0 ? (double)got.frames / (sent.seconds > got.seconds ? sent.seconds : got.seconds) / 1000 : NAN;
}

static double
median(const double *values, int count)
{
	double sorted[ROUNDS_MAX];
	int n = 0;

	for (int i = 0; i < count; i++) {
		int at = n;

		if (isnan(values[i]))
			continue;
		for (; at > 0 && sorted[at - 1] > values[i]; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = values[i];
		n++;
	}
	return n ? (sorted[(n - 1) / 2] + sorted[n / 2]) / 2 : NAN;
}

static double
ratio(const struct measure *measure, int rounds)
{
	double ratios[ROUNDS_MAX];

	for (int i = 0; i < rounds; i++)
		ratios[i] = measure->value[SPLITSOCK][i] / measure->value[NATIVE][i];
	return median(ratios, rounds);
}

/* ---- the two hosts ------------------------------------------------------------------------------ */

static void
tear_down(void)
{
	char command[256];

	if (bench.gofer > 0) {
		kill(bench.gofer, SIGTERM);
		waitpid(bench.gofer, NULL, 0);
	}
	snprintf(command, sizeof command, "ip netns del %s; ip netns del %s; rm -rf %s", bench.host, bench.peer, bench.directory);
	if (bench.directory[0] && system(command) != 0)
		error(0, 0, "this failed: %s", command);
}

static void
on_signal(int signal_number)
{
	exit(128 + signal_number);
}

static void
set_up(void)
{
	const char *bin = getenv("SPLITSOCK_BIN");
	char path[PATH_MAX], net[96], gofer[320], socket[128];

	if (geteuid() != 0)
		error(1, 0, "network namespaces and packet sockets need root");
	if (!realpath(bin ? bin : "build/bin", path) || (size_t)snprintf(bench.bin, sizeof bench.bin, "%s", path) >= sizeof bench.bin)
		error(1, errno, "%s", bin ? bin : "build/bin");
	snprintf(bench.host, sizeof bench.host, "splitsock-bench-h%d", (int)getpid());
	snprintf(bench.peer, sizeof bench.peer, "splitsock-bench-p%d", (int)getpid());
	snprintf(bench.directory, sizeof bench.directory, "/tmp/splitsock-bench.XXXXXX");
	if (!mkdtemp(bench.directory))
		error(1, errno, "%s", bench.directory);
	atexit(tear_down);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	run("ip netns add %s && ip netns add %s", bench.host, bench.peer);
	run("ip -n %s link add h0 type veth peer name p0 netns %s", bench.host, bench.peer);
	run("ip netns exec %s sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip -n %s link set p0 up", bench.peer, bench.peer);
	run("ip netns exec %s sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip -n %s link set h0 up", bench.host, bench.host);
	snprintf(bench.gofer_url, sizeof bench.gofer_url, "ipc://%s/gofer.sock", bench.directory);
	snprintf(net, sizeof net, "--net=/run/netns/%s", bench.host);
	snprintf(gofer, sizeof gofer, "%s/splitsock-gofer", bench.bin);
	bench.gofer = start((const char *const[]){"nsenter", net, gofer, "--listen", bench.gofer_url, "--policy", "open", NULL}).pid;
	snprintf(socket, sizeof socket, "%s/gofer.sock.seqpacket", bench.directory);
	for (int i = 0; i < 500 && access(socket, F_OK) < 0; i++)
		usleep(10000);
}

static void
show_json(int rounds, double half, unsigned long lost)
{
	json_t *list = json_array(), *all;
	char *text;

	for (int i = 0; i < MEASURES; i++) {
		json_t *one = json_pack("{s:s, s:s, s:f, s:f, s:f}", "name", measures[i].name, "unit", measures[i].unit, "native",
		                        median(measures[i].value[NATIVE], rounds), "splitsock",
		                        median(measures[i].value[SPLITSOCK], rounds), "ratio", ratio(&measures[i], rounds));

		json_array_append_new(list, one);
	}
	all = json_pack("{s:i, s:o, s:{s:i, s:f, s:i}}", "rounds", rounds, "measures", list, "lossless", "frames", LOSSLESS, "rate", half,
	                "lost", (int)lost);
	text = json_dumps(all, JSON_INDENT(1));
	puts(text);
	free(text);
	json_decref(all);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"quick", no_argument, NULL, 'q'}, {"json", no_argument, NULL, 'j'},
	                                        {"rounds", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'}, {0}};
	int rounds = ROUNDS, c;
	struct count sent, got;
	bool json = false;
	double half;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'q')
			rounds = QUICK_ROUNDS;
		else if (c == 'j')
			json = true;
		else if (c == 'r' && atoi(optarg) >= 1 && atoi(optarg) <= ROUNDS_MAX)
			rounds = atoi(optarg);
		else
			error(c == 'h' ? 0 : 2, 0, "[--quick] [--rounds N] [--json]: packet sockets, against the bare kernel. Needs root");
	}
	set_up();
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < MEASURES; i++) {
			if (isatty(STDERR_FILENO))
				fprintf(stderr, "\rround %d of %d: %-20s", round + 1, rounds, measures[i].name);
			for (enum way way = 0; way < WAYS; way++)
				measures[i].value[way][round] = measure(i, way);
		}
	}
	/* Half of what the bare kernel's ring takes, behind splitsock: is any frame lost? */
	half = median(measures[1].value[NATIVE], rounds) * 1000 / 2;
	got = transfer(true, SPLITSOCK, "ring", 1500, LOSSLESS, half, &sent);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%40s\r", "");
	if (json) {
		show_json(rounds, half, sent.frames - got.frames);
		return 0;
	}
	printf("%-18s %-5s %10s %10s %7s  %s\n", "measure", "unit", way_names[NATIVE], way_names[SPLITSOCK], "ratio", "aim");
	for (int i = 0; i < MEASURES; i++) {
		double r = ratio(&measures[i], rounds);
		char aim[32] = "-";

		if (measures[i].aim > 0)
			snprintf(aim, sizeof aim, ">= %.2f %s", measures[i].aim, r >= measures[i].aim ? "met" : "missed");
		printf("%-18s %-5s %10.1f %10.1f %6.2fx  %-12s %s\n", measures[i].name, measures[i].unit,
		       median(measures[i].value[NATIVE], rounds), median(measures[i].value[SPLITSOCK], rounds), r, aim, measures[i].what);
	}
	printf("%lu of %d frames of 1500 bytes lost at %.0f a second, half of what a ring takes on the bare kernel; %lu of them by the program's own ring\n",
	       sent.frames - got.frames, LOSSLESS, half, got.drops);
	printf("\nmedians of %d rounds, one way after the other in each; what arrived, per second, while %d frames were sent as fast as they went\n",
	       rounds, FRAMES);
	return 0;
}
