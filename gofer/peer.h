/*
 * Who is at the other end of a local socket, as the kernel says it: never what the client says.
 */
#ifndef SPLITSOCK_GOFER_PEER_H
#define SPLITSOCK_GOFER_PEER_H

#include "gofer/identity.h"

/*
 * Fills in what the kernel tells of the process that connected this AF_UNIX socket: user, group, supplementary groups (SO_PEERCRED, SO_PEERGROUPS), the label of its
 * security module (SO_PEERSEC), and its cgroup. The cgroup is read from /proc by process id, while a pidfd from the kernel (SO_PEERPIDFD, Linux 6.5) shows that the process still
 * has that id; where there is none, or the process has ended, the cgroup stays unknown, and no rule by cgroup fits.
 * Returns 0 or a negative errno; what is unknown is left out.
 */
int peer_identify(struct identity *identity, int fd);

/*
 * The container that this cgroup is of, 64 hexadecimal digits as Docker, podman, containerd and CRI-O have in its name, malloc()ed; or NULL. A cgroup whose parent is not root's does not
 * count: there, a user may name cgroups as he likes.
 */
char *peer_container_of(const char *cgroup);

#endif
