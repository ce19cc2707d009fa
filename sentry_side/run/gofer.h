/*
 * Which gofer a command gets, and a private one when there is none.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_RUN_GOFER_H
#define SPLITSOCK_SENTRY_SIDE_RUN_GOFER_H

#include <stdbool.h>
#include <sys/types.h>

struct private_gofer {
	char directory[64];
	pid_t pid; /* 0: none */
};

/* Does a gofer answer at the default place? */
bool gofer_answers(const char *url);

/*
 * Starts splitsock-gofer with our own rights, for us alone, and waits until it serves. Returns its URL, malloc()ed, or NULL after saying
 * why. It ends when we do.
 */
char *private_gofer_start(struct private_gofer *gofer);
void private_gofer_stop(struct private_gofer *gofer);

#endif
