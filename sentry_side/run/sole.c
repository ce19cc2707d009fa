#include "sentry_side/run/sole.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sentry_side/run/supervisor.h"

/* Descriptors that are looked at, 4 µs each: of the calling process, and of all others. */
#define OWN_FDS_MAX 64
#define ALL_FDS_MAX 4096

unsigned
sole_last_pid(int loadavg)
{
	char text[128];
	unsigned pid = 0;
	ssize_t len = loadavg < 0 ? -1 : pread(loadavg, text, sizeof text - 1, 0);

	if (len <= 0)
		return 0;
	text[len] = 0;
	return sscanf(text, "%*s %*s %*s %*s %u", &pid) == 1 ? pid : 0;
}

/* Does the epoll set have the link's socket? */
static bool
watches(uint32_t pid, const char *number, const struct link *link)
{
	char path[64], line[256], ino[32];
	bool has = false;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%u/fdinfo/%d", pid, atoi(number));
	snprintf(ino, sizeof ino, "ino:%llx ", (unsigned long long)link->by_inode.key);
	file = fopen(path, "re");
	while (file && !has && fgets(line, sizeof line, file))
		has = strstr(line, ino) != NULL;
	if (file)
		fclose(file);
	return has;
}

/* Is there something in this process, beside the descriptor `but`, that keeps A? *left counts down what may be looked at. */
static bool
process_keeps(uint32_t pid, int but, const struct link *link, int *left)
{
	char path[64], target[64];
	struct dirent *entry;
	bool has = false;
	DIR *directory;

	snprintf(path, sizeof path, "/proc/%u/fd", pid);
	directory = opendir(path);
	while (directory && !has && (entry = readdir(directory))) {
		unsigned long long inode;
		ssize_t len;

		if (entry->d_name[0] == '.' || atoi(entry->d_name) == but)
			continue;
		len = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
		if (len < 0 && errno == EACCES)
			break; /* it does not run under us */
		if (len <= 0)
			continue;
		target[len] = 0;
		if ((*left)-- <= 0)
			has = true;
		else if (sscanf(target, "socket:[%llu]", &inode) == 1)
			has = inode == link->by_inode.key;
		else if (strcmp(target, "anon_inode:[eventpoll]") == 0)
			has = watches(pid, entry->d_name, link);
	}
	if (directory)
		closedir(directory);
	return has;
}

static bool
others_keep(uint32_t own, const struct link *link)
{
	int left = ALL_FDS_MAX;
	struct dirent *entry;
	bool has = false;
	DIR *directory = opendir("/proc");

	if (!directory)
		return true;
	while (!has && (entry = readdir(directory))) {
		int pid = atoi(entry->d_name);

		has = pid > 0 && pid != getpid() && pid != (int)own && process_keeps((uint32_t)pid, -1, link, &left);
	}
	closedir(directory);
	return has;
}

/* Since Linux 6.2 the directory's size says how many there are. */
static bool
has_many(uint32_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%u/fd", pid);
	return stat(path, &st) == 0 && st.st_size > OWN_FDS_MAX;
}

bool
sole_holder(const struct trap *trap, int loadavg)
{
	const struct link *link = trap->link;
	uint32_t tid = trap->call.pid;
	int left = OWN_FDS_MAX;

	/* Another of the program's calls waits for it. */
	for (const struct pending *at = trap->supervisor->pendings; at; at = at->next)
		if (at->trap.link == link)
			return false;
	if (has_many(tid) || process_keeps(tid, (int)trap->call.data.args[0], link, &left))
		return false;
	return (link->made_by == tid && link->made_after && link->made_after == sole_last_pid(loadavg)) ||
	       !others_keep((uint32_t)thread_group(tid), link);
}
