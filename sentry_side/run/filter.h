/*
 * The seccomp filter: which system calls the supervisor gets to see.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_RUN_FILTER_H
#define SPLITSOCK_SENTRY_SIDE_RUN_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#define FILTER_PROGRAM_MAX 256

struct filter_program {
	struct sock_filter code[FILTER_PROGRAM_MAX];
	size_t len; /* more than fits: there was no room */
};

/* Makes the filter's program of the rules. */
void filter_compile(struct filter_program *program);

/*
 * Installs the filter on the calling thread, for good, for it and all its descendants. Returns the notification descriptor or a
 * negative errno. *killable: once the supervisor has received a call, only a fatal signal ends it (Linux 5.19). -EBUSY when the process runs under a supervisor already, -EINVAL on a kernel without seccomp notification.
 */
int filter_install(bool *killable);

#endif
