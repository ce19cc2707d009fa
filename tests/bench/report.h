/* Figures and how they are shown. No measuring here. */
#ifndef SPLITSOCK_BENCH_REPORT_H
#define SPLITSOCK_BENCH_REPORT_H

#include <stdio.h>

#include "tests/bench/ways.h"

#define ROUNDS_MAX 51

enum aim_kind {
	AIM_NONE,
	AIM_RATIO_AT_MOST,  /* of splitsock's figure to the direct one: times */
	AIM_RATIO_AT_LEAST, /* the same: rates */
	AIM_VALUE_AT_MOST,  /* splitsock's figure itself */
};

struct row {
	const char *name, *unit, *what;
	enum aim_kind aim_kind;
	double aim;
	double value[WAY_COUNT][ROUNDS_MAX]; /* one a round; NaN: failed, or not tried */
	int failed[WAY_COUNT];               /* rounds */
	char why[WAY_COUNT][WHY_MAX];        /* the last failure */
};

struct report {
	struct row *rows;
	int row_count;
	int rounds;
	double seconds;
	const struct bench *bench;
};

void row_clear(struct row *row);
double row_median(const struct row *row, enum way way);

void report_table(const struct report *report, FILE *out);
void report_json(const struct report *report, FILE *out);

#endif
