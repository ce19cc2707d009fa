/*
 * /proc/net as the gofer's host has it.
 *
 * Programs read interfaces, routes and neighbours there, too, and an isolated one would see those of its own, empty namespace. So in the
 * program's mount namespace /proc/net, a symbolic link to self/net, is covered by one to a directory of files that the supervisor writes
 * from what the gofer answers. What it does not write is a link to /proc/self/net. /proc/PID/net itself stays as it is.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_RUN_PROCNET_H
#define SPLITSOCK_SENTRY_SIDE_RUN_PROCNET_H

#include "sentry_side/link.h"

struct procnet {
	struct ss *ss;
	int directory; /* -1: there is none, and nothing is done */
	int netlink;   /* a route socket of the gofer's that tells of changes; -1: none */
	int inotify;   /* tells that somebody reads */
	int64_t written_ms;
	int64_t deadline_ms; /* for the answers to what is being asked */
	bool stale, failed;
};

/*
 * In the program's namespaces: covers /proc/net. Each name in `names`, some process' /proc/PID/net, leads to the reader's own, until it is
 * written. Returns the directory, or -1 where that cannot be had.
 */
int procnet_mount(int names);

/* Takes over the directory and writes the files. */
void procnet_start(struct procnet *procnet, struct ss *ss, int directory);
/* The files are written anew, at most this often, after something has changed or somebody has read. */
#define PROCNET_MS 200
/* And so much later where the gofer did not answer. */
#define PROCNET_RETRY_MS 30000
/* One of its two descriptors is readable. */
void procnet_hear(struct procnet *procnet);
/* Writes them if it is time. */
void procnet_tick(struct procnet *procnet);
void procnet_stop(struct procnet *procnet);

#endif
