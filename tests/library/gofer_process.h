/*
 * A gofer of the test's own, as a process.
 *
 * SPLITSOCK_BIN says where the programs are; without it, beside the test.
 */
#ifndef SPLITSOCK_TESTS_GOFER_PROCESS_H
#define SPLITSOCK_TESTS_GOFER_PROCESS_H

#include <sys/types.h>

struct gofer_process {
	pid_t pid; /* 0: none */
	char directory[64];
	char url[128];
	char log[128];
};

/* Starts it, with `argument` and `value` behind the usual ones unless NULL, and waits until it answers. Fails the test otherwise. */
void gofer_process_start(struct gofer_process *gofer, const char *argument, const char *value);

/* Ends it with SIGTERM and fails the test unless it ends in time, with status 0 and no complaint of a sanitizer. */
void gofer_process_stop(struct gofer_process *gofer);

/* Kills it: as a crash would. */
void gofer_process_kill(struct gofer_process *gofer);

/* How many descriptors it has. */
int gofer_process_descriptors(const struct gofer_process *gofer);
/* Waits until it has at least so many. A session is there with its stream's and its side channel's, which the gofer takes a moment later. */
void gofer_process_await(const struct gofer_process *gofer, int descriptors);

/* The full name of one of the programs. */
const char *program_path(const char *name);

#endif
