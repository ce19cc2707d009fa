#include "tests/bench/memory.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREE_MAX 256

static FILE *
open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	return fopen(path, "re");
}

pid_t
process_parent(pid_t pid)
{
	FILE *file = open_proc(pid, "stat");
	char line[512], *after_name;
	int parent = 0;

	if (!file)
		return 0;
	if (fgets(line, sizeof line, file) && (after_name = strrchr(line, ')')) && sscanf(after_name, ") %*c %d", &parent) != 1)
		parent = 0;
	fclose(file);
	return parent;
}

static bool
descends(pid_t pid, pid_t from)
{
	for (int depth = 0; pid > 1 && depth < 64; depth++) {
		if (pid == from)
			return true;
		pid = process_parent(pid);
	}
	return false;
}

int
process_tree(pid_t pid, pid_t *pids, int max)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	if (!proc)
		return 0;
	while (count < max && (entry = readdir(proc))) {
		pid_t found = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;

		if (found > 0 && descends(found, pid))
			pids[count++] = found;
	}
	closedir(proc);
	return count;
}

static bool
runs(pid_t pid, const char *program)
{
	FILE *file = open_proc(pid, "comm");
	char comm[32] = "";
	bool same;

	if (!file)
		return false;
	same = fgets(comm, sizeof comm, file) != NULL;
	fclose(file);
	comm[strcspn(comm, "\n")] = '\0';
	return same && strncmp(comm, program, 15) == 0;
}

static bool
memory_add(pid_t pid, struct memory *memory)
{
	FILE *file = open_proc(pid, "smaps_rollup");
	char line[256];
	double kib;
	int seen = 0;

	if (!file)
		return false;
	while (fgets(line, sizeof line, file)) {
		if (sscanf(line, "Rss: %lf", &kib) == 1) {
			memory->rss_kib += kib;
			seen++;
		} else if (sscanf(line, "Private_Clean: %lf", &kib) == 1 || sscanf(line, "Private_Dirty: %lf", &kib) == 1) {
			memory->private_kib += kib;
			seen++;
		}
	}
	fclose(file);
	return seen == 3;
}

bool
memory_of_tree(pid_t pid, const char *except, struct memory *memory)
{
	pid_t pids[TREE_MAX];
	int count = process_tree(pid, pids, TREE_MAX), counted = 0;

	*memory = (struct memory){ 0 };
	for (int i = 0; i < count; i++) {
		if (except && runs(pids[i], except))
			continue;
		if (!memory_add(pids[i], memory))
			return false;
		counted++;
	}
	return counted > 0;
}
