/*
 * Which points fail, one after another: the page that is shared with the program, and a list made from what it has recorded.
 */
#ifndef SPLITSOCK_TESTS_FAULTS_PLAN_H
#define SPLITSOCK_TESTS_FAULTS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "tests/faults/points.h"

struct plan_entry {
	const struct point *point; /* of plan.points */
	int error;
	uint32_t first, times; /* as in struct points */
};

enum extent {
	EXTENT_QUICK, /* what the quick suite has the time for */
	EXTENT_EACH,  /* "each": every point fails once, with its likeliest error */
	EXTENT_ALL,   /* "all": by four frames in place of one, with every error, at the first three calls, and from the first on */
};

struct plan {
	char path[128]; /* of the page */
	struct points *page;
	const char *program; /* its binary, for names in reports */
	enum extent extent;

	struct point *points;
	size_t point_count;
	struct plan_entry *entries;
	size_t count, room;
	size_t calls; /* that were recorded */
};

/* Makes the page at this path. $SPLITSOCK_FAULTS says the extent. */
void plan_open(struct plan *plan, const char *path, const char *program);
void plan_close(struct plan *plan);

/* For a child, before it executes the program. */
void plan_preload(const struct plan *plan);

/* Records from here on, and until plan_make(). */
void plan_record(struct plan *plan);
/* Makes the list of what was recorded. */
void plan_make(struct plan *plan);

/*
 * NNG 1.5.2 has faults of its own when it is out of memory, threads or descriptors, which we cannot mend from outside: starting it (nni_init()) and
 * dialing (ipc_dialer_dial() unlocks a mutex that it has not locked) may hang, leak or panic, and a connection that it has accepted but then
 * cannot watch is never closed (ipc_listener_doaccept()). `starting`: whether it may be that; else only the last.
 */
bool point_is_nngs(const struct point *point, bool starting);

/* From here on this entry's point fails; or none, with NULL. */
void plan_arm(struct plan *plan, const struct plan_entry *entry);
/* How often it has since. */
unsigned plan_fired(const struct plan *plan);

/* One line: the call, the error, who called. */
void plan_describe(const struct plan *plan, const struct plan_entry *entry, FILE *out);

#endif
