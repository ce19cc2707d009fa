/*
 * Everything fails once: each allocation and each system call of the gofer and of splitsock-run, at each place it is called from, while a scenario
 * runs (scenario.c). Never a crash or a leak, always an errno or a clear end, and whoever comes next is served.
 *
 *   SPLITSOCK_FAULTS=each|all     see enum extent; else what the quick suite has the time for
 *   SPLITSOCK_FAULTS_ONLY=KEY     this point alone, as a report names it
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/boundary/gofer.h"
#include "tests/faults/plan.h"
#include "tests/faults/question.h"
#include "tests/faults/scenario.h"

TestSuite(faults, .timeout = 7200);

enum {
	CLIENT_MS = 12000,
	START_MS = 10000,
	STOP_MS = 10000,
	RELEASED_MS = 100 * SLOW, /* after a client has gone, nothing of it is left */
	SANITIZER_STATUS = 99,
	FAILURES_MAX = 200,
};

static struct gofer gofer;
static struct plan plan;
static char policy_path[128];
static int failures, nngs;

/* Where clients write what they do. */
static char said_path[128];

/* ---- around the tests --------------------------------------------------------------------------- */

static void
write_policy(void)
{
	FILE *file = fopen(policy_path, "we");

	cr_assert_not_null(file);
	fputs("version: 1\n"
	      "foreign_rings: unlimited\n" /* not every kernel can refuse them */
	      "clients:\n"
	      "  - name: tested\n"
	      "    users: [root]\n"
	      "    sockets: open\n"
	      "    raw: {protocols: any}\n"
	      "    packet_sockets: 4\n"
	      "    packet:\n"
	      "      - interface: lo\n"
	      "        receive: true\n"
	      "        send: true\n"
	      "        ethertypes: any\n", file);
	fclose(file);
}

/* A network of the test's own, so that ports and interfaces are nobody else's. */
static void
start(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	const char *options = getenv("ASAN_OPTIONS");
	char text[1024], page[128];
	int fd;

	cr_assert_eq(unshare(CLONE_NEWNET), 0, "network namespaces need root: %s", strerror(errno));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(ioctl(fd, SIOCSIFFLAGS, &lo), 0);
	close(fd);
	snprintf(said_path, sizeof said_path, "/tmp/splitsock-faults.%d.said", (int)getpid());
	snprintf(policy_path, sizeof policy_path, "/tmp/splitsock-faults.%d.yaml", (int)getpid());
	snprintf(page, sizeof page, "/tmp/splitsock-faults.%d.points", (int)getpid());
	write_policy();
	snprintf(text, sizeof text, "%s:exitcode=%d", options ? options : "", SANITIZER_STATUS);
	setenv("ASAN_OPTIONS", text, 1);
	plan_open(&plan, page, "splitsock-gofer");
}

static void
stop(void)
{
	unlink(policy_path);
	unlink(said_path);
	plan_close(&plan);
	gofer_clean(&gofer);
}

static void
fails(const struct plan_entry *entry, const char *format, ...)
{
	va_list list;

	fprintf(stderr, "FAULT %zd (%llx): ", entry - plan.entries, (unsigned long long)entry->point->key);
	plan_describe(&plan, entry, stderr);
	fprintf(stderr, "\n      ");
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "\n");
	failures++;
	cr_assert_lt(failures, FAILURES_MAX, "too many");
}

/* The part of the list that is wanted. */
static void
wanted(size_t *first, size_t *end)
{
	const char *only = getenv("SPLITSOCK_FAULTS_ONLY");

	*first = 0;
	*end = plan.count;
	if (!only)
		return;
	for (size_t i = plan.count; i-- > 0;) {
		if (plan.entries[i].point->key == strtoull(only, NULL, 16)) {
			*first = i;
			*end = *end < plan.count ? *end : i + 1;
		}
	}
}

static void
ends_well(const char *what, size_t tried, size_t reached)
{
	fprintf(stderr, "%s: %zu points, %zu calls recorded; %zu faults tried, %zu of them reached; %d ended badly in NNG\n", what, plan.point_count,
	        plan.calls, tried, reached, nngs);
	cr_assert_eq(failures, 0, "%s: %d of %zu faults were not taken well", what, failures, tried);
	/* Some depend on timing; but a list that is mostly not reached tests nothing. */
	if (!getenv("SPLITSOCK_FAULTS_ONLY"))
		cr_assert(tried > 0 && reached * 10 >= tried * 8, "%s: only %zu of %zu faults were reached", what, reached, tried);
}

/* ---- clients ------------------------------------------------------------------------------------ */

/* The last step that a client or program has told. */
static const char *
last_step(void)
{
	static char text[4096];
	char *line;

	slurp(said_path, text, sizeof text);
	while ((line = strrchr(text, '\n')) && !line[1])
		*line = 0;
	line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

/* Its output goes to that file; what it complains of as well, unless that is to be seen. */
static void
become(char *const *arguments, const char *output, bool shown)
{
	int said = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	dup2(said, STDOUT_FILENO);
	if (!shown)
		dup2(said, STDERR_FILENO);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* Criterion's own */
	execv(arguments[0], arguments);
	_exit(127);
}

/* The wait status of a client of libsplitsock; -1: it hung, and was killed. */
static int
run_client(bool brief, bool strict)
{
	char program[512];
	char *arguments[] = {program, gofer.directory, brief ? "brief" : "full", strict ? "strict" : "any", NULL};
	pid_t child;

	binary("faults-client", program, sizeof program);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0)
		become(arguments, said_path, strict);
	return wait_for(child, CLIENT_MS);
}

static const char *
meaning(int status)
{
	static char text[64];

	if (status == -1)
		return "hangs";
	if (WIFSIGNALED(status)) {
		snprintf(text, sizeof text, "is killed by %s", strsignal(WTERMSIG(status)));
		return text;
	}
	switch (WEXITSTATUS(status)) {
	case SCENARIO_OK: return "is well";
	case SCENARIO_LOST: return "waits in vain";
	case SCENARIO_WRONG: return "gets what cannot be";
	case SCENARIO_ERROR: return "has an error";
	case SANITIZER_STATUS: return "has a sanitizer's report";
	default:
		snprintf(text, sizeof text, "ends with status %d", WEXITSTATUS(status));
		return text;
	}
}

/* What a sanitizer has said of a client or of splitsock-run. */
static void
show_report(int status)
{
	static char text[20000];

	if (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) != SANITIZER_STATUS)
		return;
	slurp(said_path, text, sizeof text);
	fprintf(stderr, "%s\n", text);
}

/* ---- the gofer ---------------------------------------------------------------------------------- */

static const char *const gofer_arguments[] = {"--policy", policy_path, NULL};

static void
gofer_start_watched(void)
{
	char options[1024];
	const char *before = getenv("ASAN_OPTIONS");

	snprintf(options, sizeof options, "%s", before ? before : "");
	plan_preload(&plan);
	gofer_start(&gofer, gofer_arguments);
	unsetenv("LD_PRELOAD");
	setenv("ASAN_OPTIONS", options, 1);
}

static void
show_log(void)
{
	static char text[400000];
	char *rest = NULL;

	slurp(gofer.log, text, sizeof text);
	for (const char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (!strstr(line, ": denied: "))
			fprintf(stderr, "      | %s\n", line);
}

/* Ends it, and says what is wrong with that. */
static const char *
gofer_end(void)
{
	int status;

	kill(gofer.pid, SIGTERM);
	status = wait_for(gofer.pid, STOP_MS);
	gofer.pid = 0;
	if (status == 0)
		return NULL;
	show_log();
	return meaning(status);
}

/* Sessions are gone and descriptors are as before, soon after the last client. */
static bool
gofer_is_empty(int descriptors, char *why, size_t size)
{
	int64_t end = now_ms() + RELEASED_MS + 1000;
	int sessions = 0, fds = 0;

	do {
		fds = fd_count(gofer.pid);
		sessions = ask_gofer(gofer.path, QUESTION_SESSIONS);
		if (fds <= descriptors && sessions == 0)
			return true;
		sleep_ms(5);
	} while (now_ms() < end);
	snprintf(why, size, "%d sessions and %d descriptors more are left", sessions, fds - descriptors);
	return false;
}

static int
gofer_warm(void)
{
	gofer_start_watched();
	for (int i = 0; i < 2; i++) {
		int status = run_client(false, true);

		cr_assert_eq(status, 0, "without a fault, a client %s in step '%s'", meaning(status), last_step());
	}
	sleep_ms(RELEASED_MS);
	return fd_count(gofer.pid);
}

/* One fault. False: the gofer is no longer good for another. */
static bool
try_gofer(const struct plan_entry *entry, int descriptors, size_t *reached)
{
	char why[128], step[128];
	int status;

	plan_arm(&plan, entry);
	status = run_client(false, false);
	snprintf(step, sizeof step, "%s", last_step());
	plan_arm(&plan, NULL);
	*reached += plan_fired(&plan) > 0;
	if (!alive(gofer.pid)) {
		int ended = wait_for(gofer.pid, 0);

		gofer.pid = 0;
		/* It cannot return from a client's namespace: that is the end, and it says so. */
		if (entry->times == 0 && WIFEXITED(ended) && WEXITSTATUS(ended) == EX_OSERR)
			return false;
		fails(entry, "the gofer %s, in step '%s'", meaning(ended), step);
		show_log();
		return false;
	}
	if (status != 0) {
		fails(entry, "the client %s in step '%s'", meaning(status), step);
		show_report(status);
	}
	status = run_client(true, true);
	if (status != 0) {
		fails(entry, "the next client %s in step '%s'", meaning(status), last_step());
		return false;
	}
	if (point_is_nngs(entry->point, false))
		return plan_fired(&plan) == 0;
	if (!gofer_is_empty(descriptors, why, sizeof why)) {
		fails(entry, "%s", why);
		return false;
	}
	return true;
}

Test(faults, the_gofer_serves, .init = start, .fini = stop)
{
	size_t first, end, reached = 0, since = 0, tried = 0;
	int descriptors = gofer_warm();
	const char *why;

	plan_record(&plan);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(run_client(false, true), 0);
	sleep_ms(1200); /* a tick */
	plan_make(&plan);
	wanted(&first, &end);
	for (size_t i = first; i < end; i++, tried++, since++) {
		if (since == 200 || !gofer.pid) {
			why = gofer.pid ? gofer_end() : NULL;
			if (why)
				fails(&plan.entries[i - 1], "at its end, the gofer %s; one of the %zu faults before", why, since);
			gofer_remove_files(&gofer);
			descriptors = gofer_warm();
			since = 0;
		}
		if (!try_gofer(&plan.entries[i], descriptors, &reached) && gofer.pid) {
			if ((why = gofer_end()) != NULL)
				fails(&plan.entries[i], "then, at its end, the gofer %s", why);
		}
	}
	why = gofer.pid ? gofer_end() : NULL;
	if (why)
		fails(&plan.entries[end - 1], "at its end, the gofer %s; one of the %zu faults before", why, since);
	ends_well("the gofer serves", tried, reached);
}

/* ---- how the gofer starts and stops ------------------------------------------------------------- */

/* A gofer that is not waited for. */
static void
launch(void)
{
	char program[512];
	char *arguments[] = {program, "--listen", gofer.url, "--policy", policy_path, NULL};

	binary("splitsock-gofer", program, sizeof program);
	gofer_prepare(&gofer);
	gofer.pid = fork();
	cr_assert_geq(gofer.pid, 0);
	if (gofer.pid == 0) {
		plan_preload(&plan);
		become(arguments, gofer.log, false);
	}
}

/* Waits until it answers, or ends. */
static bool
comes_up(void)
{
	for (int64_t end = now_ms() + START_MS; now_ms() < end && alive(gofer.pid); sleep_ms(5))
		if (ask_gofer(gofer.path, QUESTION_STATUS) >= 0)
			return true;
	return false;
}

/* A status with which a program may end that could not do what it was to. */
static bool
is_refusal(int status)
{
	return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != SANITIZER_STATUS;
}

static void
try_start(const struct plan_entry *entry, size_t *reached)
{
	char text[4096];
	const char *why;
	int status;

	plan_arm(&plan, entry);
	launch();
	if (comes_up()) {
		plan_arm(&plan, NULL);
		status = run_client(true, true);
		if (status != 0)
			fails(entry, "a client %s in step '%s'", meaning(status), last_step());
		why = gofer_end();
		if (why)
			fails(entry, "at its end, the gofer %s", why);
	} else {
		plan_arm(&plan, NULL);
		status = wait_for(gofer.pid, 0);
		gofer.pid = 0;
		if (point_is_nngs(entry->point, true))
			nngs += !is_refusal(status);
		else if (!is_refusal(status))
			fails(entry, "the gofer %s", meaning(status));
		else if (!slurp(gofer.log, text, sizeof text))
			fails(entry, "the gofer %s, and does not say why", meaning(status));
		if (!is_refusal(status) && !point_is_nngs(entry->point, true))
			show_log();
	}
	*reached += plan_fired(&plan) > 0;
	gofer_remove_files(&gofer);
}

Test(faults, the_gofer_starts, .init = start, .fini = stop)
{
	size_t first, end, reached = 0;

	plan_record(&plan);
	launch();
	cr_assert(comes_up());
	plan_make(&plan);
	cr_assert_null(gofer_end());
	gofer_remove_files(&gofer);
	wanted(&first, &end);
	for (size_t i = first; i < end; i++)
		try_start(&plan.entries[i], &reached);
	ends_well("the gofer starts", end - first, reached);
}

/* A client that holds something of everything. */
static pid_t
start_holder(void)
{
	char program[512];
	char *arguments[] = {program, gofer.directory, "hold", "any", NULL};
	pid_t child;

	binary("faults-client", program, sizeof program);
	unlink(said_path);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0)
		become(arguments, said_path, false);
	for (int64_t end = now_ms() + START_MS; strcmp(last_step(), "held") != 0; sleep_ms(5))
		cr_assert(now_ms() < end && alive(child), "the client that holds is at '%s'", last_step());
	return child;
}

static void
try_stop(const struct plan_entry *entry, size_t *reached)
{
	pid_t holder;
	int status;

	launch();
	cr_assert(comes_up());
	holder = start_holder();
	if (entry)
		plan_arm(&plan, entry);
	else
		plan_record(&plan);
	kill(gofer.pid, SIGTERM);
	status = wait_for(gofer.pid, STOP_MS);
	gofer.pid = 0;
	if (!entry)
		plan_make(&plan);
	else if (status != 0 && !is_refusal(status)) {
		fails(entry, "the gofer %s", meaning(status));
		show_log();
	}
	*reached += entry && plan_fired(&plan) > 0;
	plan_arm(&plan, NULL);
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
	gofer_remove_files(&gofer);
}

Test(faults, the_gofer_stops, .init = start, .fini = stop)
{
	size_t first, end, reached = 0;

	try_stop(NULL, &reached);
	wanted(&first, &end);
	for (size_t i = first; i < end; i++)
		try_stop(&plan.entries[i], &reached);
	ends_well("the gofer stops", end - first, reached);
}

/* ---- splitsock-run ------------------------------------------------------------------------------ */

/* Its wait status; -1: it hung. Nothing of what it started is left. */
static int
run_supervised(bool strict)
{
	char run[512], program[512];
	char *arguments[] = {run, "--gofer", gofer.url, "--isolate", "--", program, strict ? "strict" : "any", NULL};
	pid_t child;
	int status;

	binary("splitsock-run", run, sizeof run);
	binary("faults-program", program, sizeof program);
	child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		plan_preload(&plan);
		become(arguments, said_path, strict);
	}
	status = wait_for(child, CLIENT_MS * 2);
	kill(-child, SIGKILL);
	return status;
}

static bool
said_has(const char *text)
{
	static char said[100000];

	slurp(said_path, said, sizeof said);
	return strstr(said, text) != NULL;
}

/* A gofer without faults, and how many descriptors it has when it has done all there is to do. */
static int
gofer_for_supervisor(void)
{
	int status;

	gofer_start(&gofer, gofer_arguments);
	status = run_supervised(true);
	cr_assert_eq(status, 0, "without a fault, it %s in step '%s'", meaning(status), last_step());
	sleep_ms(RELEASED_MS);
	return fd_count(gofer.pid);
}

static void
try_supervisor(const struct plan_entry *entry, int *descriptors, size_t *reached)
{
	char why[128];
	int status;

	plan_arm(&plan, entry);
	status = run_supervised(false);
	if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == SANITIZER_STATUS && said_has("LeakSanitizer has encountered a fatal error"))
		status = run_supervised(false); /* it looks at the process with ptrace, which may fail by itself */
	plan_arm(&plan, NULL);
	*reached += plan_fired(&plan) > 0;
	/* 125 to 127 are its own: it could not begin. */
	if (status != 0 && (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) < 125) && point_is_nngs(entry->point, !said_has("other calls\n"))) {
		nngs++;
	} else if (status != 0 && (status == -1 || !WIFEXITED(status) || WEXITSTATUS(status) < 125)) {
		fails(entry, "it %s in step '%s'", meaning(status), last_step());
		show_report(status);
	}
	if (!gofer_is_empty(*descriptors, why, sizeof why)) {
		fails(entry, "%s", why);
		gofer_stop(&gofer);
		*descriptors = gofer_for_supervisor();
	}
}

Test(faults, splitsock_run_supervises, .init = start, .fini = stop)
{
	size_t first, end, reached = 0;
	int descriptors;

	plan.program = "splitsock-run";
	descriptors = gofer_for_supervisor();
	plan_record(&plan);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(run_supervised(true), 0);
	plan_make(&plan);
	wanted(&first, &end);
	for (size_t i = first; i < end; i++)
		try_supervisor(&plan.entries[i], &descriptors, &reached);
	cr_assert_null(gofer_end());
	ends_well("splitsock-run supervises", end - first, reached);
}
