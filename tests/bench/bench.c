/*
 * splitsock-bench: what splitsock costs, next to no proxy and next to pasta.
 *
 * One measure at a time, and in each round one way right after the other, so that whatever else the machine does falls on
 * all of them; then medians. The figures are for people and for tracking: nothing here fails because it is slow.
 */
#include <errno.h>
#include <error.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/memory.h"
#include "tests/bench/report.h"
#include "tests/bench/ways.h"

#define ROUNDS 7
#define SECONDS 0.7
#define QUICK_ROUNDS 3
#define QUICK_SECONDS 0.25
#define MEMORY_ROUNDS 3 /* memory hardly varies */
#define FAILURES_MAX 2  /* then a way is left out for the rest of the measure: each may cost its whole time limit */
#define SETTLE_MS 50    /* between loads: what the last one left to close */
#define MEMORY_SETTLE_MS 500
#define IDLE_TIMEOUT 30.0
#define IDLE_CONNECTIONS 1000
#define STRING_(x) #x
#define STRING(x) STRING_(x)

static const struct timed {
	const char *name, *unit, *what;
	struct load_call call;
	enum place place;
	enum aim_kind aim_kind;
	double aim;
} timed[] = {
	{ "tcp-round-trip", "us", "1 byte there and back", { .measure = "tcp-round-trip" },
	  PLACE_APART, AIM_RATIO_AT_MOST, 1.6 },
	{ "tcp-up", "MB/s", "stream to the peer, 256 KiB writes", { .measure = "tcp-up" },
	  PLACE_FREE, AIM_RATIO_AT_LEAST, 0.65 },
	{ "tcp-down", "MB/s", "stream from the peer, 256 KiB reads", { .measure = "tcp-down" },
	  PLACE_FREE, AIM_RATIO_AT_LEAST, 0.65 },
	{ "tcp-connect", "/s", "connect, 1 byte there and back, close", { .measure = "tcp-connect" },
	  PLACE_APART, AIM_RATIO_AT_LEAST, 0.3 },
	{ "tcp-connect-8", "/s", "the same from 8 threads", { .measure = "tcp-connect", .threads = "8" },
	  PLACE_FREE, AIM_RATIO_AT_LEAST, 0.3 },
	{ "udp-connected", "us", "1 byte there and back, send and recv", { .measure = "udp-connected" },
	  PLACE_APART, AIM_RATIO_AT_MOST, 1.8 },
	{ "udp-unconnected", "us", "the same, sendto and recvfrom", { .measure = "udp-unconnected" },
	  PLACE_APART, AIM_NONE, 0 },
	{ "tcp-round-trip-1cpu", "us", "all on one CPU", { .measure = "tcp-round-trip" }, PLACE_ONE_CPU, AIM_NONE, 0 },
	{ "tcp-up-1cpu", "MB/s", "all on one CPU", { .measure = "tcp-up" }, PLACE_ONE_CPU, AIM_NONE, 0 },
	{ "tcp-down-1cpu", "MB/s", "all on one CPU", { .measure = "tcp-down" }, PLACE_ONE_CPU, AIM_NONE, 0 },
	{ "tcp-connect-1cpu", "/s", "all on one CPU", { .measure = "tcp-connect" }, PLACE_ONE_CPU, AIM_NONE, 0 },
	{ "udp-connected-1cpu", "us", "all on one CPU", { .measure = "udp-connected" }, PLACE_ONE_CPU, AIM_NONE, 0 },
	{ "udp-unconnected-1cpu", "us", "all on one CPU", { .measure = "udp-unconnected" }, PLACE_ONE_CPU, AIM_NONE, 0 },
};

/* Measured together, by name "memory". */
enum memory_row { GOFER_RSS, SUPERVISOR_RSS, CONNECTION, CONNECTION_GOFER, CONNECTION_SUPERVISOR, MEMORY_ROWS };

static const struct {
	const char *name, *what;
	enum aim_kind aim_kind;
	double aim;
} memory_rows[MEMORY_ROWS] = {
	[GOFER_RSS] = { "gofer-rss", "resident, before any session (pasta: idle)", AIM_VALUE_AT_MOST, 8192 },
	[SUPERVISOR_RSS] = { "run-rss", "splitsock-run, resident, idle", AIM_NONE, 0 },
	[CONNECTION] = { "connection", "private, each of " STRING(IDLE_CONNECTIONS) " idle TCP connections", AIM_VALUE_AT_MOST, 8 },
	[CONNECTION_GOFER] = { "connection-gofer", "of that", AIM_NONE, 0 },
	[CONNECTION_SUPERVISOR] = { "connection-run", "of that", AIM_NONE, 0 },
};

#define TIMED_COUNT ((int)(sizeof timed / sizeof *timed))
#define MEASURE_COUNT (TIMED_COUNT + 1)
#define MEMORY_NAME "memory"

struct options {
	int rounds;
	double seconds;
	bool json, with_pasta, any_only;
	bool only[MEASURE_COUNT];
};

static void
progress(const char *measure, int round, int rounds, enum way way)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%s, round %d of %d, %s", measure, round + 1, rounds, way_names[way]);
}

static void
progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

static void
run_timed(struct bench *bench, const struct timed *measure, const struct options *options, struct row *row)
{
	struct load_call call = measure->call;

	call.seconds = measure->place == PLACE_ONE_CPU ? options->seconds / 2 : options->seconds; /* much steadier */
	set_place(bench, measure->place);
	for (int round = 0; round < options->rounds; round++) {
		for (int way = 0; way < WAY_COUNT; way++) {
			if (!bench->usable[way] || row->failed[way] >= FAILURES_MAX || interrupted)
				continue;
			progress(measure->name, round, options->rounds, way);
			row->value[way][round] = load_run(bench, way, &call, row->why[way]);
			if (isnan(row->value[way][round]))
				row->failed[way]++;
			pause_ms(SETTLE_MS);
		}
	}
}

/* What stands between the load and the host, in two parts; pasta and the override have only the first. */
static bool
sample_memory(const struct bench *bench, enum way way, pid_t run, struct memory *middle, struct memory *supervisor)
{
	static const char load_comm[] = "splitsock-bench-load";

	*supervisor = (struct memory){ 0 };
	if (way == WAY_SPLITSOCK && bench->gofer)
		return memory_of_tree(bench->gofer, NULL, middle) && memory_of_tree(run, load_comm, supervisor);
	return memory_of_tree(run, load_comm, middle);
}

static void
idle_round(struct bench *bench, enum way way, int round, struct row *rows)
{
	struct load_call call = { .measure = "idle", .count = STRING(IDLE_CONNECTIONS), .seconds = 1 };
	struct memory middle[2], supervisor[2], fresh;
	struct load_process load;
	char line[32];
	bool sampled = false;

	if (way == WAY_SPLITSOCK) {
		if (!gofer_restart(bench))
			return;
		pause_ms(MEMORY_SETTLE_MS);
		if (bench->gofer && memory_of_tree(bench->gofer, NULL, &fresh))
			rows[GOFER_RSS].value[way][round] = fresh.rss_kib;
	}
	if (!load_start(bench, way, &call, &load))
		return;
	if (load_line(&load, IDLE_TIMEOUT, line, sizeof line)) {
		pause_ms(MEMORY_SETTLE_MS);
		sampled = sample_memory(bench, way, load.pid, &middle[0], &supervisor[0]);
		if (write(load.in, "open\n", 5) == 5 && load_line(&load, IDLE_TIMEOUT, line, sizeof line) &&
		    atoi(line) == IDLE_CONNECTIONS) {
			pause_ms(MEMORY_SETTLE_MS);
			sampled = sampled && sample_memory(bench, way, load.pid, &middle[1], &supervisor[1]);
		} else {
			sampled = false;
		}
	}
	if (!load_finish(&load, IDLE_TIMEOUT) || !sampled) {
		rows[CONNECTION].failed[way]++;
		last_words(bench, "load", sampled ? "it did not end well" : "no sample of the memory", rows[CONNECTION].why[way]);
		return;
	}
	if (way == WAY_SPLITSOCK && bench->gofer) {
		rows[SUPERVISOR_RSS].value[way][round] = supervisor[0].rss_kib;
		rows[CONNECTION_GOFER].value[way][round] = (middle[1].private_kib - middle[0].private_kib) / IDLE_CONNECTIONS;
		rows[CONNECTION_SUPERVISOR].value[way][round] =
			(supervisor[1].private_kib - supervisor[0].private_kib) / IDLE_CONNECTIONS;
	} else {
		rows[GOFER_RSS].value[way][round] = middle[0].rss_kib;
	}
	rows[CONNECTION].value[way][round] =
		(middle[1].private_kib - middle[0].private_kib + supervisor[1].private_kib - supervisor[0].private_kib) /
		IDLE_CONNECTIONS;
}

static void
run_memory(struct bench *bench, const struct options *options, struct row *rows)
{
	int rounds = options->rounds < MEMORY_ROUNDS ? options->rounds : MEMORY_ROUNDS;

	set_place(bench, PLACE_FREE);
	for (int round = 0; round < rounds; round++) {
		for (int way = WAY_SPLITSOCK; way < WAY_COUNT; way++) {
			if (!bench->usable[way] || rows[CONNECTION].failed[way] >= FAILURES_MAX || interrupted)
				continue;
			if (way == WAY_SPLITSOCK && bench->prefix_len > 0)
				continue; /* nobody knows which processes an override stands for */
			progress(MEMORY_NAME, round, rounds, way);
			idle_round(bench, way, round, rows);
		}
	}
}

static int
run_all(struct bench *bench, const struct options *options, struct row *rows)
{
	int count = 0;

	gofer_restart(bench);
	for (int i = 0; i < TIMED_COUNT && !interrupted; i++) {
		struct row *row = &rows[count];

		if (options->any_only && !options->only[i])
			continue;
		*row = (struct row){ .name = timed[i].name, .unit = timed[i].unit, .what = timed[i].what,
			             .aim_kind = timed[i].aim_kind, .aim = timed[i].aim };
		row_clear(row);
		count++;
		run_timed(bench, &timed[i], options, row);
	}
	if (interrupted || (options->any_only && !options->only[TIMED_COUNT]))
		return count;
	for (int i = 0; i < MEMORY_ROWS; i++) {
		struct row *row = &rows[count + i];

		*row = (struct row){ .name = memory_rows[i].name, .unit = "KiB", .what = memory_rows[i].what,
			             .aim_kind = memory_rows[i].aim_kind, .aim = memory_rows[i].aim };
		row_clear(row);
	}
	run_memory(bench, options, &rows[count]);
	return count + MEMORY_ROWS;
}

static void
usage(int status)
{
	FILE *out = status ? stderr : stdout;

	fprintf(out,
	        "usage: splitsock-bench [--quick] [--json] [--no-pasta] [--rounds N] [--seconds S] [--only MEASURE]...\n"
	        "Measures splitsock against the bare kernel and against pasta, on the loopback.\n\n"
	        "  --quick         %d rounds of %g s in place of %d of %g s\n"
	        "  --rounds N      1 to %d\n"
	        "  --seconds S     for each figure of a round, 0.05 to 10\n"
	        "  --only MEASURE  one of these:\n                 ",
	        QUICK_ROUNDS, QUICK_SECONDS, ROUNDS, SECONDS, ROUNDS_MAX);
	for (int i = 0; i < TIMED_COUNT; i++)
		fprintf(out, "%s %s", i && i % 4 == 0 ? "\n                 " : "", timed[i].name);
	fputs(" " MEMORY_NAME "\n"
	      "  --no-pasta      leave pasta out\n"
	      "  --json          for machines\n\n"
	      "SPLITSOCK_BIN        where the programs are; build/bin if unset\n"
	      "SPLITSOCK_BENCH_RUN  a command that runs the load in place of splitsock-run and gofer, such as \"env\" to see\n"
	      "                     how far two direct runs lie apart\n"
	      "SPLITSOCK_BENCH_AUDIT  a file for the gofer's --audit; unset, there is none. See bench_audit.sh\n\n"
	      "Exits 0 whether or not the aims are met, 1 if something could not be measured, 2 for wrong usage.\n",
	      out);
	exit(status);
}

static void
select_measure(struct options *options, const char *name)
{
	int i = 0;

	while (i < TIMED_COUNT && strcmp(name, timed[i].name) != 0)
		i++;
	if (i == TIMED_COUNT && strcmp(name, MEMORY_NAME) != 0) {
		fprintf(stderr, "splitsock-bench: no measure %s\n", name);
		usage(2);
	}
	options->only[i] = options->any_only = true;
}

static double
number_within(const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= least && value <= most))
		usage(2);
	return value;
}

static void
parse_options(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{ "quick", no_argument, NULL, 'q' },       { "json", no_argument, NULL, 'j' },
		{ "no-pasta", no_argument, NULL, 'p' },    { "rounds", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 's' }, { "only", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },        { NULL, 0, NULL, 0 },
	};
	int c;

	*options = (struct options){ .rounds = ROUNDS, .seconds = SECONDS, .with_pasta = true };
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'q':
			options->rounds = QUICK_ROUNDS;
			options->seconds = QUICK_SECONDS;
			break;
		case 'j':
			options->json = true;
			break;
		case 'p':
			options->with_pasta = false;
			break;
		case 'r':
			options->rounds = (int)number_within(optarg, 1, ROUNDS_MAX);
			break;
		case 's':
			options->seconds = number_within(optarg, 0.05, 10);
			break;
		case 'o':
			select_measure(options, optarg);
			break;
		default:
			usage(c == 'h' ? 0 : 2);
		}
	}
	if (optind != argc)
		usage(2);
}

static void
on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static void
catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* All that was wanted of direct and splitsock has a figure; pasta is a guest. */
static bool
complete(const struct report *report)
{
	for (int i = 0; i < report->row_count; i++)
		for (int way = 0; way < WAY_PASTA; way++)
			if (report->rows[i].failed[way])
				return false;
	return report->bench->usable[WAY_SPLITSOCK];
}

int
main(int argc, char **argv)
{
	static struct row rows[TIMED_COUNT + MEMORY_ROWS];
	struct options options;
	struct bench bench;
	struct report report = { .rows = rows, .bench = &bench };

	parse_options(argc, argv, &options);
	report.rounds = options.rounds;
	report.seconds = options.seconds;
	catch_signals();
	bench_start(&bench, options.with_pasta);
	report.row_count = run_all(&bench, &options, rows);
	bench_end(&bench);
	progress_end();
	if (interrupted) {
		fputs("splitsock-bench: interrupted\n", stderr);
		return 1;
	}
	if (options.json)
		report_json(&report, stdout);
	else
		report_table(&report, stdout);
	return complete(&report) ? 0 : 1;
}
