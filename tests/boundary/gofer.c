#include "tests/boundary/gofer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 10000, STOP_MS = 5000, ARGUMENTS_MAX = 16 };

#if defined(__SANITIZE_ADDRESS__)
/* Criterion's own. The gofer's are looked for in the gofer, and make it end with an error. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libcriterion\n";
}
#endif

void
sleep_ms(int ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

size_t
slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	if (fd >= 0)
		close(fd);
	text[len] = 0;
	return len;
}

void
binary(const char *name, char *path, size_t size)
{
	const char *bin = getenv("SPLITSOCK_BIN");

	snprintf(path, size, "%s/%s", bin ? bin : "build/bin", name);
	cr_assert(access(path, X_OK) == 0, "%s: %s; set SPLITSOCK_BIN", path, strerror(errno));
}

/* ---- life --------------------------------------------------------------------------------------- */

int
wait_for(pid_t pid, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	int status;

	do {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		sleep_ms(1);
	} while (now_ms() < end);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

static void
show_log(const struct gofer *gofer)
{
	char text[8000];

	slurp(gofer->log, text, sizeof text);
	fprintf(stderr, "the gofer said:\n%s\n", text);
}

static void __attribute__((noreturn))
become_gofer(const struct gofer *gofer, const char *program, const char *const *more)
{
	const char *arguments[ARGUMENTS_MAX] = {program, "--listen", gofer->url, "--policy", "open"};
	char notify[112];
	int count = 5, log = open(gofer->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(notify, sizeof notify, "%s/notify", gofer->directory);
	setenv("NOTIFY_SOCKET", notify, 1);
	unsetenv("JOURNAL_STREAM");
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* Criterion's own */
	while (more && *more && count < ARGUMENTS_MAX - 1)
		arguments[count++] = *more++;
	execv(program, (char **)arguments);
	dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

void
gofer_prepare(struct gofer *gofer)
{
	*gofer = (struct gofer){0};
	strcpy(gofer->directory, "/tmp/splitsock-boundary.XXXXXX");
	cr_assert_not_null(mkdtemp(gofer->directory));
	chmod(gofer->directory, 0755);
	snprintf(gofer->path, sizeof gofer->path, "%s/gofer.sock", gofer->directory);
	snprintf(gofer->url, sizeof gofer->url, "ipc://%s", gofer->path);
	snprintf(gofer->log, sizeof gofer->log, "%s/gofer.log", gofer->directory);
}

void
gofer_launch(struct gofer *gofer, const char *const *more)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct pollfd ready = {.events = POLLIN};
	char program[512], message[256];
	ssize_t len = 0;

	binary("splitsock-gofer", program, sizeof program);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", gofer->directory);
	unlink(address.sun_path);
	ready.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(ready.fd, (struct sockaddr *)&address, sizeof address), 0);
	gofer->pid = fork();
	cr_assert_geq(gofer->pid, 0);
	if (gofer->pid == 0)
		become_gofer(gofer, program, more);
	for (int64_t end = now_ms() + START_MS; now_ms() < end && alive(gofer->pid);) {
		if (poll(&ready, 1, 50) > 0 && (len = recv(ready.fd, message, sizeof message - 1, MSG_DONTWAIT)) > 0)
			break;
	}
	close(ready.fd);
	unlink(address.sun_path);
	message[len > 0 ? len : 0] = 0;
	if (!strstr(message, "READY=1"))
		show_log(gofer);
	cr_assert(strstr(message, "READY=1"), "the gofer does not come up");
}

void
gofer_start(struct gofer *gofer, const char *const *more)
{
	gofer_prepare(gofer);
	gofer_launch(gofer, more);
}

void
gofer_remove_files(struct gofer *gofer)
{
	DIR *dir = opendir(gofer->directory);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(gofer->directory);
	gofer->directory[0] = 0;
}

void
gofer_stop(struct gofer *gofer)
{
	int status;

	if (gofer->pid) {
		kill(gofer->pid, SIGTERM);
		status = wait_for(gofer->pid, STOP_MS * SLOW);
		gofer->pid = 0;
		if (status != 0) {
			show_log(gofer);
			gofer_remove_files(gofer);
		}
		cr_assert_neq(status, -1, "the gofer ignores SIGTERM");
		cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the gofer ended with wait status %#x", status);
	}
	gofer_remove_files(gofer);
}

void
gofer_kill(struct gofer *gofer)
{
	kill(gofer->pid, SIGKILL);
	waitpid(gofer->pid, NULL, 0);
	gofer->pid = 0;
}

void
gofer_clean(struct gofer *gofer)
{
	if (gofer->pid) {
		gofer_kill(gofer);
		show_log(gofer);
	}
	if (gofer->directory[0])
		gofer_remove_files(gofer);
}

/* ---- from outside ------------------------------------------------------------------------------- */

bool
alive(pid_t pid)
{
	siginfo_t info = {0};

	return pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

int
fd_count(pid_t pid)
{
	char path[64];
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

int
fd_count_settled(pid_t pid)
{
	int count = fd_count(pid);

	for (int same = 0; same < 10; same++) {
		int now;

		sleep_ms(20);
		now = fd_count(pid);
		if (now != count)
			same = 0;
		count = now;
	}
	return count;
}

int
wait_for_fds(pid_t pid, int count, int timeout_ms)
{
	int64_t start = now_ms();

	while (fd_count(pid) > count) {
		if (now_ms() - start >= timeout_ms)
			return -1;
		sleep_ms(1);
	}
	return (int)(now_ms() - start);
}

static long
status_value(pid_t pid, const char *name)
{
	char path[64], text[4096];
	const char *at;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	slurp(path, text, sizeof text);
	at = strstr(text, name);
	cr_assert(at, "the gofer is gone");
	return strtol(at + strlen(name), NULL, 10);
}

long
memory_now(pid_t pid)
{
	return status_value(pid, "VmRSS:");
}

long
memory_peak(pid_t pid)
{
	return status_value(pid, "VmHWM:");
}

long
memory_allocated(pid_t pid)
{
	return status_value(pid, "VmData:");
}

void
memory_reset_peak(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof path, "/proc/%d/clear_refs", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	cr_assert_eq(write(fd, "5", 1), 1);
	close(fd);
}

int64_t
cpu_ms(pid_t pid)
{
	clockid_t clock;
	struct timespec t;

	cr_assert_eq(clock_getcpuclockid(pid, &clock), 0);
	cr_assert_eq(clock_gettime(clock, &t), 0);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
