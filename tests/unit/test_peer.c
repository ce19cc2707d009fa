/*
 * Who is at the other end, with real processes and cgroups: the kernel is asked, nobody else.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gofer/peer.h"

#define CONTAINER "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A process that connects to us and waits until its pipe is closed. */
struct process {
	pid_t pid;
	int connection, go;
};

static void
write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0, "%s: %m", path);
}

static struct process
start(const char *cgroup_directory)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	socklen_t len = sizeof name;
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0), go[2];
	struct process process;

	/* An abstract name of the kernel's choice. */
	cr_assert(bind(listener, (struct sockaddr *)&name, sizeof name.sun_family) == 0 && listen(listener, 1) == 0 &&
	          getsockname(listener, (struct sockaddr *)&name, &len) == 0 && pipe(go) == 0);
	process.pid = fork();
	if (process.pid == 0) {
		char path[256], byte;
		static const gid_t groups[] = {7, 42};
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

		close(go[1]);
		if (cgroup_directory) {
			snprintf(path, sizeof path, "%s/cgroup.procs", cgroup_directory);
			write_text(path, "0");
		}
		if (geteuid() == 0 && (setgroups(2, groups) < 0 || setresgid(12, 12, 12) < 0 || setresuid(65534, 65534, 65534) < 0))
			_exit(1);
		if (connect(fd, (struct sockaddr *)&name, len) < 0)
			_exit(2);
		(void)!read(go[0], &byte, 1);
		_exit(0);
	}
	close(go[0]);
	process.go = go[1];
	process.connection = accept(listener, NULL, NULL);
	close(listener);
	cr_assert(ge(int, process.connection, 0));
	return process;
}

static void
end(struct process *process)
{
	int status;

	close(process->go);
	waitpid(process->pid, &status, 0);
	cr_expect(eq(int, status, 0));
}

/* Where the unified hierarchy is mounted. */
static const char *
mount_point(void)
{
	return access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
}

Test(peer, is_who_the_kernel_says)
{
	struct process process = start(NULL);
	struct identity identity = IDENTITY_UNKNOWN;
	bool root = geteuid() == 0;
	char line[512], own[512] = "";
	FILE *file = fopen("/proc/self/cgroup", "r");

	while (fgets(line, sizeof line, file))
		sscanf(line, "0::%511[^\n]", own);
	fclose(file);
	cr_assert(eq(int, peer_identify(&identity, process.connection), 0));
	cr_expect(eq(u64, identity.uid, root ? 65534 : getuid()));
	cr_expect(eq(u64, identity.gid, root ? 12 : getgid()));
	cr_expect(eq(u64, identity.pid, (uint64_t)process.pid));
	cr_assert(identity.cgroup != NULL);
	cr_expect(eq(str, identity.cgroup, own));
	if (root) {
		cr_assert(eq(sz, identity.group_count, 2));
		cr_expect(eq(u64, identity.groups[0], 7));
		cr_expect(eq(u64, identity.groups[1], 42));
	}
	identity_free(&identity);
	end(&process);
	/* What was so when it connected stays so; where it is now, nobody knows. */
	cr_assert(eq(int, peer_identify(&identity, process.connection), 0));
	cr_expect(eq(u64, identity.uid, root ? 65534 : getuid()));
	cr_expect(identity.cgroup == NULL);
	identity_free(&identity);
	close(process.connection);
}

Test(peer, a_container_is_known_by_a_cgroup_that_root_made)
{
	static const char *const names[] = {"libpod-" CONTAINER ".scope", "docker-" CONTAINER ".scope", CONTAINER, "libpod-" CONTAINER,
	                                    "docker-" CONTAINER ".service", "docker-0123.scope"};
	char parent[128], directory[256];

	cr_assert(geteuid() == 0, "run this as root: it makes cgroups");
	snprintf(parent, sizeof parent, "%s/splitsock-test-peer-%d", mount_point(), getpid());
	cr_assert(mkdir(parent, 0755) == 0, "%s: %m", parent);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		for (int users = 0; users < 2; users++) {
			struct identity identity = IDENTITY_UNKNOWN;
			struct process process;
			bool expected = i < 4 && !users;

			snprintf(directory, sizeof directory, "%s/%s", parent, names[i]);
			cr_assert(mkdir(directory, 0755) == 0 && chown(parent, users ? 65534 : 0, 0) == 0);
			process = start(directory);
			cr_assert(eq(int, peer_identify(&identity, process.connection), 0));
			cr_assert(identity.cgroup != NULL);
			cr_expect(eq(str, identity.cgroup, directory + strlen(mount_point())));
			cr_assert(eq(int, identity.container_id != NULL, expected), "%s, the parent %s", names[i], users ? "a user's" : "root's");
			if (expected)
				cr_expect(eq(str, identity.container_id, CONTAINER));
			identity_free(&identity);
			end(&process);
			close(process.connection);
			cr_assert(rmdir(directory) == 0, "%s: %m", directory);
		}
	rmdir(parent);
}
