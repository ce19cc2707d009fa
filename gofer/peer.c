#include "gofer/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>


#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define GROUPS_MAX 1024
#define LABEL_MAX 1024
#define CONTAINER_ID_LEN 64

static int
take_groups(struct identity *identity, int fd)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof groups;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return errno == ERANGE ? -E2BIG : -errno;
	identity->groups = calloc(len / sizeof *groups + 1, sizeof *identity->groups);
	if (!identity->groups)
		return -ENOMEM;
	identity->group_count = len / sizeof *groups;
	for (size_t i = 0; i < identity->group_count; i++)
		identity->groups[i] = groups[i];
	return 0;
}

static void
take_label(struct identity *identity, int fd)
{
	char label[LABEL_MAX];
	socklen_t len = sizeof label;

	/* ENOPROTOOPT: no security module has labels here. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERSEC, label, &len) == 0)
		identity->lsm_label = strndup(label, len);
}

static bool
has_ended(int pidfd)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};

	return poll(&end, 1, 0) != 0;
}

/* The path in the unified hierarchy, malloc()ed, or NULL. */
static char *
read_cgroup(pid_t pid)
{
	char path[64], line[PATH_MAX + 16];
	char *cgroup = NULL;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
	file = fopen(path, "re");
	while (file && !cgroup && fgets(line, sizeof line, file))
		if (strncmp(line, "0::", 3) == 0 && strchr(line, '\n'))
			cgroup = strndup(line + 3, strcspn(line + 3, "\n"));
	if (file)
		fclose(file);
	return cgroup;
}

/* Root's, in whichever place the unified hierarchy is mounted. */
static bool
parent_is_roots(const char *cgroup)
{
	static const char *const mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	const char *last = strrchr(cgroup, '/');

	for (size_t i = 0; last && i < sizeof mounts / sizeof *mounts; i++) {
		char path[PATH_MAX];
		struct stat st;

		/* Both names are looked up: only under the right mount is there such a cgroup at all. */
		if (snprintf(path, sizeof path, "%s%s", mounts[i], cgroup) >= (int)sizeof path || stat(path, &st) < 0)
			continue;
		snprintf(path, sizeof path, "%s%.*s", mounts[i], (int)(last - cgroup), cgroup);
		return stat(path, &st) == 0 && st.st_uid == 0;
	}
	return false;
}

char *
peer_container_of(const char *cgroup)
{
	/* "docker-ID.scope", "libpod-ID.scope", "crio-ID.scope", "cri-containerd-ID.scope"; with cgroupfs plain "ID" or "libpod-ID". */
	const char *name = strrchr(cgroup, '/');
	const char *id, *end;

	if (!name)
		return NULL;
	id = strrchr(++name, '-');
	id = id ? id + 1 : name;
	end = id + strspn(id, "0123456789abcdef");
	if (end - id != CONTAINER_ID_LEN || (*end && strcmp(end, ".scope") != 0) || !parent_is_roots(cgroup))
		return NULL;
	return strndup(id, CONTAINER_ID_LEN);
}

int
peer_identify(struct identity *identity, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof cred;
	int error, pidfd = -1;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	identity->uid = cred.uid;
	identity->gid = cred.gid;
	identity->pid = (uint64_t)cred.pid; /* 0: it has none in our namespace */
	error = take_groups(identity, fd);
	if (error)
		return error;
	take_label(identity, fd);
	len = sizeof pidfd;
	if (!cred.pid || getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) < 0)
		return 0;
	identity->cgroup = read_cgroup(cred.pid);
	/* Had it ended, another may have had its id by now. */
	if (has_ended(pidfd)) {
		free(identity->cgroup);
		identity->cgroup = NULL;
	}
	close(pidfd);
	if (identity->cgroup)
		identity->container_id = peer_container_of(identity->cgroup);
	return 0;
}
