#include "tests/faults/plan.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/boundary/gofer.h"
#include "tests/faults/calls.h"

enum { ERRORS_MAX = 4 };

#define CALL_ROW(name, ...) {#name, {__VA_ARGS__}},
static const struct {
	const char *name;
	int errors[ERRORS_MAX];
} injected_calls[] = {INJECTED_CALLS(CALL_ROW)};

void
plan_open(struct plan *plan, const char *path, const char *program)
{
	const char *extent = getenv("SPLITSOCK_FAULTS");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	*plan = (struct plan){.program = program, .extent = !extent ? EXTENT_QUICK : strcmp(extent, "all") == 0 ? EXTENT_ALL : EXTENT_EACH};
	snprintf(plan->path, sizeof plan->path, "%s", path);
	cr_assert(fd >= 0 && ftruncate(fd, sizeof *plan->page) == 0, "%s: %s", path, strerror(errno));
	plan->page = mmap(NULL, sizeof *plan->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert_neq(plan->page, MAP_FAILED);
	close(fd);
	plan->page->depth = plan->extent == EXTENT_ALL ? 4 : 1;
}

void
plan_close(struct plan *plan)
{
	munmap(plan->page, sizeof *plan->page);
	unlink(plan->path);
	free(plan->points);
	free(plan->entries);
}

void
plan_preload(const struct plan *plan)
{
	const char *sanitizer = getenv("ASAN_OPTIONS");
	char library[512], program[512], options[1024];

	binary("faults-inject.so", library, sizeof library);
	binary(plan->program, program, sizeof program);
	/* It comes before the sanitizer's library, and calls it. */
	snprintf(options, sizeof options, "%s:verify_asan_link_order=0", sanitizer ? sanitizer : "");
	setenv("ASAN_OPTIONS", options, 1);
	setenv("LD_PRELOAD", library, 1);
	setenv(POINTS_PAGE_VARIABLE, plan->path, 1);
	setenv(POINTS_PROGRAM_VARIABLE, basename(program), 1);
}

void
plan_record(struct plan *plan)
{
	atomic_store(&plan->page->mode, POINTS_COUNT);
}

static void
add(struct plan *plan, const struct point *point, int error, uint32_t first, uint32_t times)
{
	if (plan->count == plan->room) {
		plan->room = plan->room ? 2 * plan->room : 256;
		plan->entries = realloc(plan->entries, plan->room * sizeof *plan->entries);
		cr_assert_not_null(plan->entries);
	}
	plan->entries[plan->count++] = (struct plan_entry){point, error, first, times};
}

/* Who is it that calls, before it is the program itself? */
static bool
comes_from(const struct point *point, const char *library)
{
	for (uint32_t i = 0; i < point->frame_count && *point->frames[i].module; i++)
		if (strncmp(point->frames[i].module, library, strlen(library)) == 0)
			return true;
	return false;
}

/* It makes threads in its own way, and has no way to do without memory. */
static bool
is_sanitizers(const struct point *point)
{
	return comes_from(point, "libasan.");
}

bool
point_is_nngs(const struct point *point, bool starting)
{
	bool ours = false;

	for (uint32_t i = 0; i < point->frame_count; i++)
		ours |= !*point->frames[i].module;
	return comes_from(point, "libnng.") && (starting || !ours);
}

/* In an order that does not depend on when a point was first reached. */
static int
by_key(const void *a, const void *b)
{
	uint64_t x = ((const struct point *)a)->key, y = ((const struct point *)b)->key;

	return (x > y) - (x < y);
}

/*
 * What makes something, for want of memory, room or descriptors. Others say that nothing can be read, or that whoever waits is to try again: for ever,
 * that is a wait that no program could end.
 */
static bool
may_fail_for_ever(uint32_t call)
{
	switch (call) {
	case CALL_accept: case CALL_accept4: /* connections wait for descriptors in the backlog */
	case CALL_recv: case CALL_recvfrom: case CALL_recvmsg: case CALL_recvmmsg: case CALL_read: case CALL_readv: case CALL_pread:
	case CALL_send: case CALL_sendto: case CALL_sendmsg: case CALL_sendmmsg: case CALL_write: case CALL_splice:
	case CALL_setns: case CALL_epoll_wait: case CALL_poll: case CALL_ioctl: case CALL_flock: case CALL_waitpid: case CALL_readdir:
		return false;
	default:
		return true;
	}
}

/* The quick suite has the time for every eighth point, always the same ones; NNG's own, which cost a client's 5 s, are not among them. */
enum { QUICK_STEP = 8 };

static bool
is_chosen(const struct plan *plan, size_t i)
{
	if (is_sanitizers(&plan->points[i]))
		return false;
	return plan->extent != EXTENT_QUICK || (i % QUICK_STEP == 0 && !point_is_nngs(&plan->points[i], false));
}

void
plan_make(struct plan *plan)
{
	atomic_store(&plan->page->mode, POINTS_PASS);
	cr_assert_eq(plan->page->dropped, 0, "more points than there is room for");
	plan->points = calloc(POINTS_MAX, sizeof *plan->points);
	cr_assert_not_null(plan->points);
	for (size_t i = 0; i < POINTS_MAX; i++) {
		const struct point *point = &plan->page->table[i];

		if (!point->key)
			continue;
		plan->points[plan->point_count++] = *point;
		plan->calls += point->hits;
	}
	qsort(plan->points, plan->point_count, sizeof *plan->points, by_key);
	for (size_t i = 0; i < plan->point_count; i++) {
		const struct point *point = &plan->points[i];
		const int *errors = injected_calls[point->call].errors;

		if (!is_chosen(plan, i))
			continue;
		add(plan, point, errors[0], 1, 1);
		if (plan->extent != EXTENT_ALL)
			continue;
		for (int k = 1; k < ERRORS_MAX && errors[k]; k++)
			add(plan, point, errors[k], 1, 1);
		for (uint32_t nth = 2; nth <= 3 && nth <= point->hits; nth++)
			add(plan, point, errors[0], nth, 1);
		if (may_fail_for_ever(point->call))
			add(plan, point, errors[0], 1, 0);
	}
}

void
plan_arm(struct plan *plan, const struct plan_entry *entry)
{
	atomic_store(&plan->page->mode, POINTS_PASS);
	if (!entry)
		return;
	plan->page->key = entry->point->key;
	plan->page->first = entry->first;
	plan->page->times = entry->times;
	plan->page->error = entry->error;
	atomic_store(&plan->page->calls, 0);
	atomic_store(&plan->page->fired, 0);
	atomic_store(&plan->page->mode, POINTS_FAIL);
}

unsigned
plan_fired(const struct plan *plan)
{
	return atomic_load(&plan->page->fired);
}

static void
describe_frame(const struct plan *plan, const struct point_frame *frame, FILE *out)
{
	char command[768], program[512], function[128] = "?", line[256] = "";
	FILE *names;

	if (*frame->module) {
		fprintf(out, " < %s+%#llx", frame->module, (unsigned long long)frame->offset);
		return;
	}
	binary(plan->program, program, sizeof program);
	snprintf(command, sizeof command, "addr2line -fse %s %#llx", program, (unsigned long long)frame->offset - 1);
	names = popen(command, "r");
	if (names && fscanf(names, "%127s %255s", function, line) < 1)
		strcpy(function, "?");
	if (names)
		pclose(names);
	fprintf(out, " < %s (%s)", function, line);
}

void
plan_describe(const struct plan *plan, const struct plan_entry *entry, FILE *out)
{
	fprintf(out, "%s: %s", injected_calls[entry->point->call].name, strerrorname_np(entry->error));
	if (entry->times == 0)
		fprintf(out, " from call %u on", entry->first);
	else if (entry->first > 1)
		fprintf(out, " at call %u", entry->first);
	for (uint32_t i = 0; i < entry->point->frame_count; i++)
		describe_frame(plan, &entry->point->frames[i], out);
}
