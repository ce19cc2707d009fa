/*
 * Which sockets still exist: an epoll set watches them without holding any, and what is gone from its fdinfo is gone everywhere.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_ALIVE_H
#define SPLITSOCK_SENTRY_SIDE_ALIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct alive {
	uint64_t *inodes; /* in order */
	size_t count, size;
};

/* Takes up a socket. Returns 0 or a negative errno. */
int alive_watch(int epoll_fd, int fd);
/* Of those taken up, the ones that are left. False: that cannot be read now. To be freed in any case. */
bool alive_read(struct alive *alive, int epoll_fd);
bool alive_has(const struct alive *alive, uint64_t inode);
void alive_free(struct alive *alive);

#endif
