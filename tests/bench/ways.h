/*
 * The ways in which a load can reach the peer, and the processes behind them.
 *
 * Everything is started by us, on the loopback and in a directory of our own, with a deadline, and ended by its pid.
 */
#ifndef SPLITSOCK_BENCH_WAYS_H
#define SPLITSOCK_BENCH_WAYS_H

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

enum way {
	WAY_DIRECT,    /* bare kernel */
	WAY_SPLITSOCK, /* splitsock-run --isolate, and a private gofer */
	WAY_PASTA,     /* pasta's namespace, with the peer's ports forwarded to the host's loopback */
	WAY_COUNT
};

/*
 * Where the processes run. A wake-up on another CPU costs many times what the socket calls themselves do (seen: a round
 * trip of 4 us on one CPU and 70 us on two), and the scheduler changes its mind from run to run; so whatever waits for
 * answers is measured with the placement fixed, either way.
 */
enum place {
	PLACE_FREE,    /* where the scheduler puts them */
	PLACE_APART,   /* load and peer on CPUs of their own, what is in between free: as with a real peer */
	PLACE_ONE_CPU, /* all on one: the processor time that an operation takes, without wake-ups of idle CPUs */
};

#define RUN_PREFIX_MAX 16
#define WHY_MAX 256

struct bench {
	char bin[PATH_MAX];        /* where the programs are: $SPLITSOCK_BIN, else build/bin */
	char dir[PATH_MAX];        /* ours alone; holds the gofer's sockets and what the programs say on standard error */
	char prefix_text[PATH_MAX];
	char *prefix[RUN_PREFIX_MAX]; /* $SPLITSOCK_BENCH_RUN, split at blanks: runs instead of splitsock-run and gofer */
	int prefix_len;
	bool usable[WAY_COUNT];
	char why_not[WAY_COUNT][WHY_MAX]; /* if not usable */
	pid_t peer, gofer;                /* 0 if not running */
	cpu_set_t cpus;                   /* that we may use */
	int peer_stdin;                   /* the peer ends with it; -1 */
	enum place place;
	int load_cpu, peer_cpu; /* the same if there is only one */
	char tcp_ports[64], udp_port[8];
};

/* Set by SIGINT and SIGTERM: finish, and leave nothing behind. */
extern volatile sig_atomic_t interrupted;

extern const char *const way_names[WAY_COUNT];

/* A load that runs, with pipes to it. */
struct load_process {
	pid_t pid;
	int in, out;
};

/* What a load is to measure. A NULL thread or connection count leaves the load's default. */
struct load_call {
	const char *measure, *threads, *count;
	double seconds;
};

/* Starts the peer and finds out which ways are usable. Exits if there is no peer, since then nothing can be measured. */
void bench_start(struct bench *bench, bool with_pasta);
void bench_end(struct bench *bench);

/* A private gofer, new and without a session; ends one that runs. False, with why_not set, if it cannot be had. */
bool gofer_restart(struct bench *bench);

/* Says where the peer, the gofer and the loads started from now on run. */
void set_place(struct bench *bench, enum place place);

bool load_start(struct bench *bench, enum way way, const struct load_call *call, struct load_process *load);

/* Reads one line into text, without its newline; false at the end of the output or after timeout seconds. */
bool load_line(struct load_process *load, double timeout, char *text, size_t size);

/* Ends the load if it still runs after timeout seconds, with all that it started; true if it ended well by itself. */
bool load_finish(struct load_process *load, double timeout);

/* Runs a load to its end: its number, or NaN, with the reason in why. */
double load_run(struct bench *bench, enum way way, const struct load_call *call, char why[static WHY_MAX]);

/* The last line that who ("load", "gofer" or "peer") said on standard error, for messages; if none, otherwise. */
void last_words(struct bench *bench, const char *who, const char *otherwise, char why[static WHY_MAX]);

void pause_ms(int ms);
double seconds_now(void);

#endif
