/*
 * The socket filter of a host's packet socket, put together from what it is for. A pure function.
 */
#ifndef SPLITSOCK_GOFER_CAPTURE_FILTER_H
#define SPLITSOCK_GOFER_CAPTURE_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The mark of what the gofer itself has put on an interface, so that it does not take it for the client's, and of its own sockets. No client can set it. */
#define CAPTURE_MARK 0x73706c74u

/*
 * A frame passes if the policy's program and the client's both pass it; either may be empty. With `loopback`, each packet comes twice,
 * out and in: only what comes in passes, unless we have sent it. Returns the length, at most BPF_MAXINSNS, or -EINVAL if the
 * policy's program cannot be used; a client's that cannot is left out, since its own socket runs it, too.
 */
ssize_t capture_filter(struct sock_filter *out, const struct sock_fprog *policy, const struct sock_fprog *client, bool loopback);

#endif
