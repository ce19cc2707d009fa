/*
 * Empty namespaces.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_RUN_ISOLATE_H
#define SPLITSOCK_SENTRY_SIDE_RUN_ISOLATE_H

/*
 * Moves the calling process, which must have one thread, into a new user namespace, in which its ids keep their numbers, and a
 * new network namespace with nothing in it. Root keeps all ids, so that servers can drop to theirs. Returns 0 or a negative errno.
 */
int isolate_enter(void);

/* Then: a mount namespace of its own, in which what is mounted is seen by nobody else, while what others mount comes in. */
int isolate_mounts(void);

#endif
