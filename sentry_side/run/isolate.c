#include "sentry_side/run/isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"

static int
write_file(pid_t pid, const char *name, const char *text)
{
	char path[64];
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

/* Maps each id to itself: every id that the parent namespace has, if we may, else our own. */
static int
write_maps(pid_t pid, uid_t uid, gid_t gid)
{
	char map[64];
	int error;

	if (uid == 0 && write_file(pid, "uid_map", "0 0 4294967295") == 0)
		return write_file(pid, "gid_map", "0 0 4294967295");
	snprintf(map, sizeof map, "%u %u 1", uid, uid);
	error = write_file(pid, "uid_map", map);
	if (error)
		return error;
	error = write_file(pid, "setgroups", "deny");
	if (error)
		return error;
	snprintf(map, sizeof map, "%u %u 1", gid, gid);
	return write_file(pid, "gid_map", map);
}

int
isolate_enter(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	pid_t self = getpid(), helper;
	int gate[2], status, error = 0;
	char byte;

	/* Who writes a map of many ids must be privileged in the parent namespace, which we are about to leave. */
	if (pipe2(gate, O_CLOEXEC) < 0)
		return -errno;
	helper = fork();
	if (helper < 0)
		return -errno;
	if (helper == 0) {
		close(gate[1]);
		while (read(gate[0], &byte, 1) < 0 && errno == EINTR)
			;
		_exit(-write_maps(self, uid, gid));
	}
	close(gate[0]);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		error = -errno;
	close(gate[1]);
	while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
	if (!error && (!WIFEXITED(status) || WEXITSTATUS(status)))
		error = WIFEXITED(status) ? -WEXITSTATUS(status) : -EPERM;
	return error;
}

int
isolate_mounts(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return -errno;
	return 0;
}
