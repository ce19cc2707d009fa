/*
 * Packet sockets, packet(7), as their owner sees them: real ones, which the gofer makes and passes to us.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_PACKET_H
#define SPLITSOCK_SENTRY_SIDE_PACKET_H

#include "sentry_side/link.h"

/* Asks for one. `done` gets it as result->passed_fd, close-on-exec and blocking, or an errno. Returns 0 or a negative errno. */
int packet_open(struct ss *ss, int type, int protocol, link_done done, void *arg);

/*
 * Something of what a packet socket receives has changed: `done` when that is in effect on the host. result->error EPERM: it is not granted,
 * and should be undone. interface: 0, or the index of one that bind(2) has not found (ENODEV, or EPERM if there is one). drops_of: the
 * interface that result->count is told of, or 0 for all. Returns 0 or a negative errno.
 */
int packet_sync(struct ss *ss, int interface, int drops_of, link_done done, void *arg);

/* The interface that a packet socket is bound to, or 0. */
int packet_interface(int fd);

/* PACKET_STATISTICS: the socket's own, and since they were asked for last, what was lost on the host (count, of packet_sync()). Returns 0 or a negative errno. */
int packet_statistics(struct link *link, int fd, uint32_t count, void *value, socklen_t *len);

/* Does setting this option change what the socket receives? */
bool packet_option_matters(int level, int name);

#endif
