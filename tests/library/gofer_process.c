#include "tests/library/gofer_process.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 10000, STOP_MS = 10000 };

static void
nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

const char *
program_path(const char *name)
{
	static char path[PATH_MAX + 64];
	static char directory[PATH_MAX];
	const char *given = getenv("SPLITSOCK_BIN");
	ssize_t n = readlink("/proc/self/exe", directory, sizeof directory - 1);

	directory[n > 0 ? n : 0] = 0;
	if (strrchr(directory, '/'))
		*strrchr(directory, '/') = 0;
	snprintf(path, sizeof path, "%s/%s", given ? given : directory, name);
	return path;
}

static bool
answers(const struct gofer_process *gofer)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool good;

	/* The last of the three sockets that it listens on. */
	snprintf(at.sun_path, sizeof at.sun_path, "%s/gofer.sock.seqpacket", gofer->directory);
	good = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
	close(fd);
	return good;
}

static void
show_log(const struct gofer_process *gofer)
{
	char text[4096];
	FILE *file = fopen(gofer->log, "re");
	size_t n = file ? fread(text, 1, sizeof text, file) : 0;

	fprintf(stderr, "the gofer said:\n%.*s\n", (int)n, text);
	if (file)
		fclose(file);
}

static void
remove_directory(struct gofer_process *gofer)
{
	DIR *directory = opendir(gofer->directory);

	for (struct dirent *entry; directory && (entry = readdir(directory));)
		unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		closedir(directory);
	rmdir(gofer->directory);
}

void
gofer_process_start(struct gofer_process *gofer, const char *argument, const char *value)
{
	const char *program = program_path("splitsock-gofer");

	*gofer = (struct gofer_process){.directory = "/tmp/splitsock-library.XXXXXX"};
	cr_assert_not_null(mkdtemp(gofer->directory));
	snprintf(gofer->url, sizeof gofer->url, "ipc://%s/gofer.sock", gofer->directory);
	snprintf(gofer->log, sizeof gofer->log, "%s/log", gofer->directory);
	gofer->pid = fork();
	cr_assert_geq(gofer->pid, 0);
	if (gofer->pid == 0) {
		int log = open(gofer->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		close_range(3, ~0u, 0); /* criterion's own */
		execl(program, program, "--listen", gofer->url, "--policy", "open", argument, value, (char *)NULL);
		dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
		_exit(127);
	}
	for (int waited = 0; waited < START_MS; waited += 5) {
		int status;

		if (answers(gofer))
			return;
		if (waitpid(gofer->pid, &status, WNOHANG) == gofer->pid)
			break;
		nap();
	}
	show_log(gofer);
	cr_assert_fail("%s does not come up", program);
}

void
gofer_process_stop(struct gofer_process *gofer)
{
	int status = 0;
	pid_t ended = 0;

	if (!gofer->pid)
		return;
	kill(gofer->pid, SIGTERM);
	for (int waited = 0; ended == 0 && waited < STOP_MS; waited += 5) {
		ended = waitpid(gofer->pid, &status, WNOHANG);
		if (!ended)
			nap();
	}
	if (!ended) {
		kill(gofer->pid, SIGKILL);
		waitpid(gofer->pid, &status, 0);
	}
	if (!ended || status)
		show_log(gofer);
	gofer->pid = 0;
	remove_directory(gofer);
	cr_assert_eq(status, 0, "the gofer ended with status %#x%s", status, ended ? "" : ", killed: SIGTERM did not end it");
}

void
gofer_process_kill(struct gofer_process *gofer)
{
	kill(gofer->pid, SIGKILL);
	waitpid(gofer->pid, NULL, 0);
	gofer->pid = 0;
	remove_directory(gofer);
}

int
gofer_process_descriptors(const struct gofer_process *gofer)
{
	char path[64];
	DIR *directory;
	int count = 0;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)gofer->pid);
	directory = opendir(path);
	cr_assert_not_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count - 2;
}

void
gofer_process_await(const struct gofer_process *gofer, int descriptors)
{
	for (int i = 0; i < 1000 && gofer_process_descriptors(gofer) < descriptors; i++)
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	cr_assert_geq(gofer_process_descriptors(gofer), descriptors);
}
