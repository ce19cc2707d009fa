/*
 * What is trapped, what is refused and what is left to the kernel, as data. splitsock-run makes its filter of it (filter.c), and the build a
 * profile for container runtimes (agent/profile.c), which can say less: see there.
 *
 * What is trapped: whatever names an address or an option, or makes a socket. What is not: read, write, send and recv
 * without an address, poll and close, which the kernel does on the link itself.
 *
 * What is refused: other families (some are not bound to a network namespace), and io_uring, which makes the same calls without a system call.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_RUN_FILTER_RULES_H
#define SPLITSOCK_SENTRY_SIDE_RUN_FILTER_RULES_H

#include <stddef.h>
#include <stdint.h>

enum filter_action {
	FILTER_ALLOW,
	FILTER_NOTIFY,
	FILTER_REFUSE, /* with the rule's errno */
};

/*
 * Of one argument: that (argument & mask) == value. The kernel looks at the low half only of what it takes for an int, so must we, and masks have no
 * more. FILTER_NULL is of a pointer: that it is one, all of it.
 */
struct filter_test {
	uint8_t arg;
	uint32_t mask, value; /* mask 0: no test, always true */
};

#define FILTER_NULL(number) {.arg = (number), .mask = FILTER_POINTER}
#define FILTER_POINTER 1u

#define FILTER_TESTS 2
#define FILTER_CASES 8

struct filter_case {
	struct filter_test test[FILTER_TESTS]; /* all of them */
	enum filter_action action;
	int error;
};

/* A system call: the first case that applies, or what `otherwise` says. */
struct filter_call {
	const char *name;
	int number;
	int pointer_arg; /* the argument that FILTER_NULL is about; -1: none */
	struct filter_case cases[FILTER_CASES];
	size_t case_count;
	struct filter_case otherwise;
};

extern const struct filter_call filter_calls[];
extern const size_t filter_call_count;

#endif
