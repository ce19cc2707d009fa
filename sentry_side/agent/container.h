/*
 * One container, or one process that was put into a running one, as the runtime and the kernel describe it. Nothing here is the container's
 * own word.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_AGENT_CONTAINER_H
#define SPLITSOCK_SENTRY_SIDE_AGENT_CONTAINER_H

#include <stdbool.h>
#include <sys/types.h>

#include "sentry_side/session.h"

/* What the gofer is told at most. Annotations beyond that are left out. */
#define CONTAINER_ID_MAX 256u
#define CONTAINER_LABELS_MAX 64u
#define CONTAINER_LABEL_MAX 512u
/* The runtime's message. */
#define CONTAINER_STATE_MAX (256u * 1024u)

struct container {
	int notify_fd;
	bool killable; /* the filter has SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV */
	bool is_new;   /* the container is being created; otherwise it runs already */
	pid_t pid;     /* of the process that has the filter, in our pid namespace; 0: the runtime does not tell */
	const char *id, *name; /* "": none */
	char *cgroup; /* NULL: unknown */
	const char *labels[CONTAINER_LABELS_MAX][2];
	size_t label_count;
	uid_t uid; /* that it is configured to run as; after container_look() in our user namespace, before in its own */
	gid_t gid;
	struct json_t *state, *config; /* what the others point into */
	char *note; /* the symbolic link that says where the configuration is */
};

/*
 * Waits for a runtime's message (OCI runtime specification, "Container Process State") on its connection, and reads the container's
 * configuration. `notes` is a directory that outlives us, for where that was. Returns false after saying why; then too container_release().
 */
bool container_receive(struct container *container, int connection, const char *notes);

/* Once: takes from /proc what it tells of a process of the container: its cgroup, and who its users are to us. False: it is gone. */
bool container_look(struct container *container, pid_t pid);

/* What a session is opened with. It points into the container. */
struct session_serves container_serves(const struct container *container);

void container_release(struct container *container);

#endif
