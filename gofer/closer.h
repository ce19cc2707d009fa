/*
 * Closes descriptors on a thread of its own: the kernel takes tens of milliseconds to let go of an interface, a ring or a namespace,
 * and nobody else is to wait for that.
 */
#ifndef SPLITSOCK_GOFER_CLOSER_H
#define SPLITSOCK_GOFER_CLOSER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct closer {
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	struct closing *first, **last;
	bool started, stop;
	size_t waiting; /* descriptors that are still open */
};

void closer_init(struct closer *closer);
/* Starts the thread, in the network namespace of the caller, which is not to be a client's. */
void closer_start(struct closer *closer);
size_t closer_waiting(struct closer *closer);
/* Takes over fd, and a mapping of it that goes first (NULL: none). -1 is nothing to close. Without memory it is closed at once. */
void closer_take(struct closer *closer, int fd, void *map, size_t map_size);
/* Waits until all is closed. */
void closer_free(struct closer *closer);

#endif
