/* Running a program, and comparing what two runs of it observed. */
#ifndef TESTS_CONFORMANCE_COMPARE_H
#define TESTS_CONFORMANCE_COMPARE_H

#include <stdbool.h>
#include <stdio.h>

enum {
	RUN_SECONDS = 20,        /* for one run of a scenario: twice what a scenario allows itself */
	RUN_OUTPUT_MAX = 262144, /* of each stream; more is cut off */
};

struct outcome {
	char *output; /* standard output; owned */
	char *errors; /* standard error; owned */
	int status;   /* as waitpid() gave it */
	bool timed_out;
};

/*
 * Runs arguments[0], with its own process group and default signal dispositions, and kills it after so many
 * seconds. False: it could not be run.
 */
bool outcome_of(struct outcome *outcome, char *const arguments[], int seconds);
void outcome_clear(struct outcome *outcome);

/* Whether output and exit status are the same; standard error does not count. */
bool outcomes_alike(const struct outcome *bare, const struct outcome *through);

/* Prints both, side by side, with the lines that differ marked; the caller frees the text. */
char *outcomes_side_by_side(const struct outcome *bare, const struct outcome *through);

#endif
