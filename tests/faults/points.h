/*
 * What the test and the library that it loads into a program (inject.c) share: a page of the points at which a call may fail, and the one that does.
 *
 * A point is a call and who called it: the innermost frames of the stack, so that one line that serves many is a point for each.
 */
#ifndef SPLITSOCK_TESTS_FAULTS_POINTS_H
#define SPLITSOCK_TESTS_FAULTS_POINTS_H

#include <stdatomic.h>
#include <stdint.h>

#define POINTS_PAGE_VARIABLE "SPLITSOCK_FAULTS_PAGE"       /* a file */
#define POINTS_PROGRAM_VARIABLE "SPLITSOCK_FAULTS_PROGRAM" /* the short name of the program that it is for */

enum {
	POINTS_MAX = 8192, /* a power of two */
	POINT_FRAMES = 8,
	POINT_MODULE = 24,
};

enum points_mode {
	POINTS_PASS,
	POINTS_COUNT, /* every call is recorded */
	POINTS_FAIL,  /* one point fails */
};

struct point_frame {
	char module[POINT_MODULE]; /* empty: the program itself */
	uint64_t offset;
};

struct point {
	_Atomic uint64_t key; /* 0: a free place */
	_Atomic uint32_t hits;
	uint32_t call; /* in injected_calls[] */
	uint32_t frame_count;
	struct point_frame frames[POINT_FRAMES];
};

struct points {
	_Atomic uint32_t mode;
	_Atomic uint32_t dropped; /* not recorded, for want of room */
	uint32_t depth;           /* frames of the program itself that tell points apart */

	/* the point that fails */
	uint64_t key;
	uint32_t first; /* which of its calls; 1 is the next */
	uint32_t times; /* how many from there on; 0: all */
	int error;
	_Atomic uint32_t calls, fired;

	struct point table[POINTS_MAX];
};

#endif
