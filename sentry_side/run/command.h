/*
 * The command of splitsock-run: a child under the filter.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_RUN_COMMAND_H
#define SPLITSOCK_SENTRY_SIDE_RUN_COMMAND_H

#include <sys/resource.h>

#include "sentry_side/run/supervisor.h"

/* As env(1) and timeout(1) have them. */
#define EXIT_OURS 125
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND 127

struct command {
	struct starter starter;
	char **argv;
	bool isolate; /* in new namespaces */
	pid_t child;
	int status; /* of the child, as waitpid(2) has it */
	sigset_t mask; /* as we were started, and so is the child */
	struct rlimit files;
};

/* Signals are held for the command from here on, before any thread is made. We may open as many files as we are let. */
void command_prepare(struct command *command);

/*
 * Whether descriptors can be taken out of other processes, without which nothing can be served: Docker's default seccomp profile, under which we may
 * be a container's entrypoint, refuses it. False after saying so.
 */
bool command_can_be_served(void);

/* Starts the command, and gives the supervisor its notification descriptor. False after saying why not. */
bool command_start(struct command *command, struct supervisor *supervisor);

/* Ends as the command has ended: returns its status, or ends by its signal, so that a shell sees the same. */
int command_end(const struct command *command);

#endif
