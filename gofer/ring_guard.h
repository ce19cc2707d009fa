/*
 * Refuses packet rings where the limit on them (ring_limit.h) is not asked: in system calls of another ABI, and through io_uring.
 */
#ifndef SPLITSOCK_GOFER_RING_GUARD_H
#define SPLITSOCK_GOFER_RING_GUARD_H

#include <stdbool.h>
#include <stdint.h>

struct ring_guard {
	int links[2]; /* programs that are attached; 0: none */
	bool holds;   /* they are, or the kernel has no other ABI than our own */
};

/* For the sockets of one cgroup, by its number. Logs what stands in the way, if it does not come to hold. */
void ring_guard_start(struct ring_guard *guard, uint64_t cgroup);
void ring_guard_stop(struct ring_guard *guard);

#endif
