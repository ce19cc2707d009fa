/* What processes hold in memory, as /proc tells. */
#ifndef SPLITSOCK_BENCH_MEMORY_H
#define SPLITSOCK_BENCH_MEMORY_H

#include <stdbool.h>
#include <sys/types.h>

struct memory {
	double rss_kib;
	double private_kib; /* Private_Clean + Private_Dirty: what would be free again without the process */
};

/* 0 if there is no such process. */
pid_t process_parent(pid_t pid);

/* pid and all that descends from it, at most max; returns how many. */
int process_tree(pid_t pid, pid_t *pids, int max);

/*
 * The sum over pid and its descendants, without those that run a program called except (at most 15 bytes of it count, as
 * in /proc/PID/comm; NULL: all count). False if one could not be read, which takes the rights of ptrace.
 */
bool memory_of_tree(pid_t pid, const char *except, struct memory *memory);

#endif
