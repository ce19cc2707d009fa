#include "sentry_side/alive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

int
alive_watch(int epoll_fd, int fd)
{
	struct epoll_event event = {.events = EPOLLONESHOT};

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int
compare_inodes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

bool
alive_read(struct alive *alive, int epoll_fd)
{
	char path[64], line[256];
	FILE *file;

	*alive = (struct alive){0};
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", epoll_fd);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, sizeof line, file)) {
		unsigned long inode;
		char *at = strstr(line, "ino:");

		if (!at || sscanf(at, "ino:%lx", &inode) != 1)
			continue;
		if (alive->count == alive->size) {
			size_t size = alive->size ? 2 * alive->size : 64;
			uint64_t *inodes = realloc(alive->inodes, size * sizeof *inodes);

			if (!inodes) {
				fclose(file);
				return false;
			}
			alive->inodes = inodes;
			alive->size = size;
		}
		alive->inodes[alive->count++] = inode;
	}
	fclose(file);
	if (alive->count)
		qsort(alive->inodes, alive->count, sizeof *alive->inodes, compare_inodes);
	return true;
}

bool
alive_has(const struct alive *alive, uint64_t inode)
{
	return alive->count && bsearch(&inode, alive->inodes, alive->count, sizeof *alive->inodes, compare_inodes);
}

void
alive_free(struct alive *alive)
{
	free(alive->inodes);
	*alive = (struct alive){0};
}
