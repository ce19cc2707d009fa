/* Scope-bound release, for functions that would otherwise need a goto. */
#ifndef SPLITSOCK_COMMON_CLEANUP_H
#define SPLITSOCK_COMMON_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void
cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void
cleanup_free(void *p)
{
	free(*(void **)p);
}

#define _cleanup_close_ __attribute__((cleanup(cleanup_close)))
#define _cleanup_free_ __attribute__((cleanup(cleanup_free)))

static inline int
take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#endif
