/*
 * Attempts to get around splitsock-run. Each says in one word what came of it: "done", or the errno that stopped it.
 */
#ifndef SPLITSOCK_TESTS_BOUNDARY_ESCAPES_H
#define SPLITSOCK_TESTS_BOUNDARY_ESCAPES_H

#include <stddef.h>

struct attempt {
	const char *name;
	const char *(*run)(char **args); /* what follows the name on the command line, NULL-terminated */
};

extern const struct attempt call_attempts[], family_attempts[], netlink_attempts[], process_attempts[], race_attempts[];

/* "done" for a value that is not negative, else errno's name. */
const char *outcome(long value);
/* The same for a return value that carries a negative errno, as the bare system call does. */
const char *outcome_of_call(long value);

#endif
