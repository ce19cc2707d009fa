#include "tests/bench/ways.h"

#include <dirent.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/memory.h"

#define ARGS_MAX 48
#define PROCESSES_MAX 256
#define START_TIMEOUT 5.0
#define STOP_TIMEOUT 2.0
#define ORPHAN_TIMEOUT 0.1

volatile sig_atomic_t interrupted;

const char *const way_names[WAY_COUNT] = { "direct", "splitsock", "pasta" };

/* argv of one program, and the text that it had to be made from */
struct command {
	const char *argv[ARGS_MAX];
	int argc;
	char program[PATH_MAX + 64], load[PATH_MAX + 64], gofer[PATH_MAX + 64], seconds[32], cpu[16];
};

double
seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void
pause_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

static void
command_add(struct command *command, const char *arg)
{
	if (command->argc + 1 == ARGS_MAX)
		error(1, 0, "too many arguments");
	command->argv[command->argc++] = arg;
	command->argv[command->argc] = NULL;
}

static void
command_add_program(struct command *command, const struct bench *bench, const char *name)
{
	snprintf(command->program, sizeof command->program, "%s/%s", bench->bin, name);
	command_add(command, command->program);
}

static void
command_add_gofer(struct command *command, const struct bench *bench, const char *option)
{
	snprintf(command->gofer, sizeof command->gofer, "ipc://%s/gofer.sock", bench->dir);
	command_add(command, option);
	command_add(command, command->gofer);
}

static void
use_cpu(pid_t thread, int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	sched_setaffinity(thread, sizeof one, &one);
}

/* All threads of pid and of what descends from it; cpu -1: any. What cannot be moved stays: it costs steadiness only. */
static void
move_tree(const struct bench *bench, pid_t pid, int cpu)
{
	pid_t pids[PROCESSES_MAX];
	int count = process_tree(pid, pids, PROCESSES_MAX);

	for (int i = 0; i < count; i++) {
		char path[64];
		struct dirent *entry;
		DIR *threads;

		snprintf(path, sizeof path, "/proc/%d/task", (int)pids[i]);
		threads = opendir(path);
		while (threads && (entry = readdir(threads))) {
			pid_t thread = atoi(entry->d_name);

			if (thread > 0 && cpu >= 0)
				use_cpu(thread, cpu);
			else if (thread > 0)
				sched_setaffinity(thread, sizeof bench->cpus, &bench->cpus);
		}
		if (threads)
			closedir(threads);
	}
}

void
set_place(struct bench *bench, enum place place)
{
	bench->place = place;
	move_tree(bench, bench->peer, place == PLACE_FREE ? -1 : bench->peer_cpu);
	if (bench->gofer)
		move_tree(bench, bench->gofer, place == PLACE_ONE_CPU ? bench->peer_cpu : -1);
}

/* Standard error goes to DIR/who.err. in and out may be NULL: then /dev/null. Negative: errno. */
static pid_t
spawn(const struct bench *bench, const struct command *command, const char *who, int *in, int *out)
{
	int to[2] = { -1, -1 }, from[2] = { -1, -1 }, null, err;
	char path[PATH_MAX + 64];
	pid_t parent = getpid(), pid;

	snprintf(path, sizeof path, "%s/%s.err", bench->dir, who);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	err = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (null < 0 || err < 0 || (in && pipe2(to, O_CLOEXEC) < 0) || (out && pipe2(from, O_CLOEXEC) < 0))
		error(1, errno, "cannot start %s", command->argv[0]);
	pid = fork();
	if (pid < 0)
		error(1, errno, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
		dup2(in ? to[0] : null, STDIN_FILENO);
		dup2(out ? from[1] : null, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		signal(SIGPIPE, SIG_DFL);
		if (bench->place == PLACE_ONE_CPU)
			use_cpu(0, bench->peer_cpu);
		setpgid(0, 0); /* ^C on the terminal is for the driver, which ends the rest in order */
		execvp(command->argv[0], (char *const *)command->argv);
		dprintf(STDERR_FILENO, "%s: %s\n", command->argv[0], strerror(errno));
		_exit(127);
	}
	close(null);
	close(err);
	if (in) {
		close(to[0]);
		*in = to[1];
	}
	if (out) {
		close(from[1]);
		*out = from[0];
	}
	return pid;
}

/* True once pid is reaped; waits for at most timeout seconds. */
static bool
reap(pid_t pid, double timeout, int *status)
{
	double end = seconds_now() + timeout;

	for (;;) {
		pid_t got = waitpid(pid, status, WNOHANG);

		if (got == pid || (got < 0 && errno != EINTR))
			return true;
		if (seconds_now() >= end)
			return false;
		pause_ms(2);
	}
}

/* Ends a process and all that descends from it: politely, then not. */
static void
end_tree(pid_t pid)
{
	pid_t pids[PROCESSES_MAX];
	int count = process_tree(pid, pids, PROCESSES_MAX), status;

	kill(pid, SIGTERM);
	if (!reap(pid, STOP_TIMEOUT, &status)) {
		kill(pid, SIGKILL);
		reap(pid, STOP_TIMEOUT, &status);
	}
	for (int i = 0; i < count; i++) { /* what is left is an orphan, and so our child: PR_SET_CHILD_SUBREAPER */
		if (pids[i] == pid || process_parent(pids[i]) != getpid())
			continue;
		kill(pids[i], SIGKILL);
		reap(pids[i], STOP_TIMEOUT, &status);
	}
}

void
last_words(struct bench *bench, const char *who, const char *otherwise, char why[static WHY_MAX])
{
	char path[PATH_MAX + 64], line[WHY_MAX];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s.err", bench->dir, who);
	snprintf(why, WHY_MAX, "%s", otherwise);
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = '\0';
		/* pasta says this, about its own logging, at every start */
		if (line[0] && strncmp(line, "Failed to send ", 15) != 0)
			snprintf(why, WHY_MAX, "%s", line);
	}
	fclose(file);
}

static bool
on_path(const char *name)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	while (path && *path) {
		int len = (int)strcspn(path, ":");

		if (snprintf(file, sizeof file, "%.*s/%s", len, path, name) < (int)sizeof file && access(file, X_OK) == 0)
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

static bool
in_bin(const struct bench *bench, const char *name)
{
	char file[PATH_MAX + 64];

	snprintf(file, sizeof file, "%s/%s", bench->bin, name);
	return access(file, X_OK) == 0;
}

static void
peer_start(struct bench *bench)
{
	struct command command = { .argc = 0 };
	struct load_process peer = { .in = -1 };
	char line[128], why[WHY_MAX];

	command_add_program(&command, bench, "splitsock-bench-peer");
	bench->peer = peer.pid = spawn(bench, &command, "peer", &peer.in, &peer.out);
	bench->peer_stdin = peer.in;
	if (!load_line(&peer, START_TIMEOUT, line, sizeof line) ||
	    sscanf(line, "%63s %7s", bench->tcp_ports, bench->udp_port) != 2) {
		last_words(bench, "peer", "it did not say its ports", why);
		bench_end(bench);
		error(1, 0, "no peer: %s", why);
	}
	close(peer.out);
}

static void
find_programs(struct bench *bench)
{
	const char *bin = getenv("SPLITSOCK_BIN"), *prefix = getenv("SPLITSOCK_BENCH_RUN"), *tmp = getenv("TMPDIR");
	char *rest = NULL;

	if (!realpath(bin ? bin : "build/bin", bench->bin))
		error(1, errno, "%s (SPLITSOCK_BIN says where the programs are)", bin ? bin : "build/bin");
	if (snprintf(bench->dir, sizeof bench->dir, "%s/splitsock-bench.XXXXXX", tmp ? tmp : "/tmp") >= 80)
		error(1, ENAMETOOLONG, "TMPDIR"); /* a socket's path has 107 bytes */
	if (!mkdtemp(bench->dir))
		error(1, errno, "%s", bench->dir);
	if (prefix) {
		snprintf(bench->prefix_text, sizeof bench->prefix_text, "%s", prefix);
		for (char *word = strtok_r(bench->prefix_text, " ", &rest); word && bench->prefix_len < RUN_PREFIX_MAX;
		     word = strtok_r(NULL, " ", &rest))
			bench->prefix[bench->prefix_len++] = word;
	}
}

static void
find_cpus(struct bench *bench)
{
	if (sched_getaffinity(0, sizeof bench->cpus, &bench->cpus) < 0)
		error(1, errno, "sched_getaffinity");
	bench->peer_cpu = -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET((size_t)cpu, &bench->cpus))
			continue;
		bench->load_cpu = cpu;
		if (bench->peer_cpu < 0)
			bench->peer_cpu = cpu;
	}
}

void
bench_start(struct bench *bench, bool with_pasta)
{
	static const char *const needed[] = { "splitsock-run", "splitsock-gofer" };
	struct rlimit files;

	memset(bench, 0, sizeof *bench);
	bench->peer_stdin = -1;
	find_programs(bench);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* A thousand connections take some thousand descriptors in the gofer; it inherits our limit. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	find_cpus(bench);
	peer_start(bench);

	bench->usable[WAY_DIRECT] = true;
	bench->usable[WAY_SPLITSOCK] = true;
	for (size_t i = 0; i < sizeof needed / sizeof *needed && bench->prefix_len == 0; i++) {
		if (!in_bin(bench, needed[i])) {
			bench->usable[WAY_SPLITSOCK] = false;
			snprintf(bench->why_not[WAY_SPLITSOCK], WHY_MAX, "no %s in $SPLITSOCK_BIN", needed[i]);
		}
	}
	bench->usable[WAY_PASTA] = with_pasta && on_path("pasta");
	snprintf(bench->why_not[WAY_PASTA], WHY_MAX, "%s", with_pasta ? "no pasta here (package passt)" : "not asked for");
	if (bench->usable[WAY_PASTA]) {
		struct load_call probe = { .measure = "tcp-round-trip", .seconds = 0.05 };

		bench->usable[WAY_PASTA] = !isnan(load_run(bench, WAY_PASTA, &probe, bench->why_not[WAY_PASTA]));
	}
}

void
bench_end(struct bench *bench)
{
	static const char *const files[] = { "peer.err", "gofer.err", "load.err", "gofer.sock" };
	char path[PATH_MAX + 64];

	if (bench->gofer)
		end_tree(bench->gofer);
	if (bench->peer_stdin >= 0)
		close(bench->peer_stdin);
	if (bench->peer)
		end_tree(bench->peer);
	bench->gofer = bench->peer = 0;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "%s/%s", bench->dir, files[i]);
		unlink(path);
	}
	if (rmdir(bench->dir) < 0)
		error(0, errno, "%s", bench->dir);
}

bool
gofer_restart(struct bench *bench)
{
	struct command command = { .argc = 0 };
	char path[PATH_MAX + 64];
	struct stat st;
	double end = seconds_now() + START_TIMEOUT;
	int status;

	if (bench->gofer)
		end_tree(bench->gofer);
	bench->gofer = 0;
	if (!bench->usable[WAY_SPLITSOCK])
		return false;
	if (bench->prefix_len > 0)
		return true;
	snprintf(path, sizeof path, "%s/gofer.sock", bench->dir);
	unlink(path);
	command_add_program(&command, bench, "splitsock-gofer");
	command_add_gofer(&command, bench, "--listen");
	command_add(&command, "--policy");
	command_add(&command, "open");
	if (getenv("SPLITSOCK_BENCH_AUDIT")) {
		command_add(&command, "--audit");
		command_add(&command, getenv("SPLITSOCK_BENCH_AUDIT"));
	}
	bench->gofer = spawn(bench, &command, "gofer", NULL, NULL);
	while (stat(path, &st) < 0) {
		if (waitpid(bench->gofer, &status, WNOHANG) == bench->gofer) {
			bench->gofer = 0;
		} else if (seconds_now() < end && !interrupted) {
			pause_ms(5);
			continue;
		}
		bench->usable[WAY_SPLITSOCK] = false;
		last_words(bench, "gofer", "the gofer has no socket", bench->why_not[WAY_SPLITSOCK]);
		return false;
	}
	pause_ms(200); /* bound is not yet listening */
	return true;
}

static void
add_way(struct bench *bench, enum way way, struct command *command)
{
	switch (way) {
	case WAY_DIRECT:
	case WAY_COUNT:
		break;
	case WAY_SPLITSOCK:
		for (int i = 0; i < bench->prefix_len; i++)
			command_add(command, bench->prefix[i]);
		if (bench->prefix_len == 0) {
			command_add_program(command, bench, "splitsock-run");
			command_add_gofer(command, bench, "--gofer");
			command_add(command, "--isolate");
			command_add(command, "--");
		}
		break;
	case WAY_PASTA:
		command_add(command, "pasta");
		command_add(command, "--quiet");
		command_add(command, "--foreground");
		if (geteuid() == 0) { /* else it becomes nobody, and Debian 12's version then spins on its user namespace */
			command_add(command, "--runas");
			command_add(command, "0");
		}
		command_add(command, "--config-net");
		command_add(command, "--tcp-ports");
		command_add(command, "none");
		command_add(command, "--udp-ports");
		command_add(command, "none");
		command_add(command, "--tcp-ns");
		command_add(command, bench->tcp_ports);
		command_add(command, "--udp-ns");
		command_add(command, bench->udp_port);
		command_add(command, "--");
		break;
	}
}

bool
load_start(struct bench *bench, enum way way, const struct load_call *call, struct load_process *load)
{
	struct command command = { .argc = 0 };

	if (!bench->usable[way])
		return false;
	add_way(bench, way, &command);
	snprintf(command.load, sizeof command.load, "%s/splitsock-bench-load", bench->bin);
	snprintf(command.seconds, sizeof command.seconds, "%.3f", call->seconds);
	command_add(&command, command.load);
	command_add(&command, "--tcp");
	command_add(&command, bench->tcp_ports);
	command_add(&command, "--udp");
	command_add(&command, bench->udp_port);
	command_add(&command, "--seconds");
	command_add(&command, command.seconds);
	if (bench->place == PLACE_APART && bench->load_cpu != bench->peer_cpu) {
		snprintf(command.cpu, sizeof command.cpu, "%d", bench->load_cpu);
		command_add(&command, "--cpu");
		command_add(&command, command.cpu);
	}
	if (call->threads) {
		command_add(&command, "--threads");
		command_add(&command, call->threads);
	}
	if (call->count) {
		command_add(&command, "--count");
		command_add(&command, call->count);
	}
	command_add(&command, call->measure);
	load->pid = spawn(bench, &command, "load", &load->in, &load->out);
	return true;
}

bool
load_line(struct load_process *load, double timeout, char *text, size_t size)
{
	double end = seconds_now() + timeout;
	size_t len = 0;

	while (len + 1 < size && !interrupted) {
		struct pollfd wait = { .fd = load->out, .events = POLLIN };
		double left = end - seconds_now();

		if (left <= 0)
			return false;
		if (poll(&wait, 1, left < 0.1 ? (int)(left * 1000) + 1 : 100) <= 0)
			continue;
		if (read(load->out, text + len, 1) != 1)
			return false;
		if (text[len] == '\n') {
			text[len] = '\0';
			return true;
		}
		len++;
	}
	return false;
}

/* What a load that has ended left running: orphans, now our children, in the process group that spawn() made. */
static void
end_orphans(pid_t group)
{
	pid_t pids[PROCESSES_MAX];
	int count = process_tree(getpid(), pids, PROCESSES_MAX), status;

	for (int i = 0; i < count; i++) {
		if (getpgid(pids[i]) != group || reap(pids[i], ORPHAN_TIMEOUT, &status))
			continue;
		kill(pids[i], SIGKILL);
		reap(pids[i], STOP_TIMEOUT, &status);
	}
}

bool
load_finish(struct load_process *load, double timeout)
{
	int status = 0;
	bool ended;

	close(load->in);
	ended = reap(load->pid, timeout, &status);
	if (!ended)
		end_tree(load->pid);
	end_orphans(load->pid);
	close(load->out);
	return ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

double
load_run(struct bench *bench, enum way way, const struct load_call *call, char why[static WHY_MAX])
{
	struct load_process load;
	char text[64], *end;
	double value = NAN, patience = 10 + 4 * call->seconds;
	bool in_time;

	if (!load_start(bench, way, call, &load)) {
		snprintf(why, WHY_MAX, "%s", bench->why_not[way]);
		return NAN;
	}
	in_time = load_line(&load, patience, text, sizeof text);
	if (in_time) {
		value = strtod(text, &end);
		if (end == text || *end)
			value = NAN;
	}
	if (!load_finish(&load, in_time ? STOP_TIMEOUT : 0.0) || isnan(value)) {
		last_words(bench, "load", in_time ? "it did not end well" : "no figure in time", why);
		return NAN;
	}
	return value;
}
