/*
 * Ten thousand processes, each killed in the middle of some call: neither the gofer nor the supervisor keeps anything of them.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/boundary/client.h"
#include "tests/boundary/programs.h"

TestSuite(killed, .timeout = 200);

/* Sanitizers make a fork several times as long. */
#define KILLS (SLOW == 1 ? "10000" : "2500")

/* Handshakes that never came and sockets that were never linked are looked for from time to time. */
enum { LET_GO_MS = 15000 * SLOW };

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

/* Descriptors but pidfds and memfds: of those, each side keeps up to a fixed number for later. */
static int
held_count(pid_t pid)
{
	char path[64];
	DIR *directory;
	struct dirent *entry;
	int count = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	directory = opendir(path);
	cr_assert_not_null(directory);
	while ((entry = readdir(directory)) != NULL) {
		char target[256] = "";

		if (readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1) < 0)
			continue;
		count += strncmp(target, "anon_inode:[pidfd]", 18) != 0 && strncmp(target, "/memfd:", 7) != 0;
	}
	closedir(directory);
	return count;
}

/* The count once it has been the same for a second. */
static int
settled_count(pid_t pid)
{
	int count = held_count(pid);

	for (int same = 0; same < 10; same++) {
		int now;

		sleep_ms(100);
		now = held_count(pid);
		if (now != count)
			same = 0;
		count = now;
	}
	return count;
}

/* The count once it is `most`, or LET_GO_MS later. */
static int
remaining_count(pid_t pid, int most)
{
	int64_t began = now_ms();
	int count;

	while ((count = held_count(pid)) > most && now_ms() - began < LET_GO_MS)
		sleep_ms(20);
	fprintf(stderr, "%s let go in %d ms\n", pid == gofer.pid ? "gofer" : "supervisor", (int)(now_ms() - began));
	return count;
}

GOFER_TEST(killed, in_the_middle_of_every_call, start)
{
	struct program program;
	int gofer_before, supervisor_before, gofer_after, supervisor_after;
	long pid, memory_before;
	int64_t began;

	program_start(&program, &(struct run){.gofer = &gofer, .isolate = true}, (const char *[]){"boundary-killed", KILLS, NULL});
	cr_assert(program_says(&program, "ready", PATIENCE_MS * 4), "%s%s", program.said, program.complained);
	pid = program_number(&program, "pid");
	cr_assert_gt(pid, 1);
	gofer_before = settled_count(gofer.pid);
	supervisor_before = settled_count(program.pid);
	memory_before = memory_now(gofer.pid);
	began = now_ms();
	kill((pid_t)pid, SIGUSR1);
	cr_assert(program_says(&program, "done", 150000), "not done: %s%s", program.said, program.complained);
	fprintf(stderr, "%s killed in %d ms\n", KILLS, (int)(now_ms() - began));
	gofer_after = remaining_count(gofer.pid, gofer_before);
	supervisor_after = remaining_count(program.pid, supervisor_before);
	cr_expect_leq(gofer_after, gofer_before, "the gofer has %d descriptors more", gofer_after - gofer_before);
	cr_expect_leq(supervisor_after, supervisor_before, "the supervisor has %d descriptors more",
	              supervisor_after - supervisor_before);
	cr_expect_leq(fd_count(gofer.pid) + fd_count(program.pid), gofer_before + supervisor_before + 200, "pidfds or memfds pile up");
	if (MEASURES_MEMORY)
		cr_expect_leq(memory_now(gofer.pid) - memory_before, 4096, "the gofer has grown by %ld KiB",
		              memory_now(gofer.pid) - memory_before);
	assert_serves(&gofer);
	kill((pid_t)pid, SIGUSR1);
	cr_expect_eq(program_end(&program, PATIENCE_MS * 2), 0, "%s", program.complained);
}
