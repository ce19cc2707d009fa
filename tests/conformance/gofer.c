/*
 * A gofer is not a child of this process but of a keeper, which is. Criterion's waiter looks at every child of
 * the process, and spins for ever on a dead one that is not its own; the keeper never ends before it is told to.
 * It is told by the end of file on a pipe, so that also a killed suite leaves no gofer behind. The keeper of the one in a
 * namespace makes that namespace, stays in it, and so is the process to find it by.
 */
#include "tests/conformance/gofer.h"
#include "tests/conformance/link.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	START_MS = 10000,
	STOP_MS = 5000,
	RESTARTS_MAX = 50,
};

struct gofer {
	const char *url_variable;
	bool on_link;
	pid_t keeper; /* 0: none, the gofer is not ours */
	int leash;    /* our end of the keeper's pipe */
	char directory[64], socket[96], log[96];
};

static struct gofer gofers[] = {
	{.url_variable = "SPLITSOCK_TEST_GOFER"},
	{.url_variable = "SPLITSOCK_TEST_LINK_GOFER", .on_link = true},
};

/* By ip(8): the addresses are the only ones, and a neighbour that is not there is given up after three fifths of a second. */
static const char link_commands[] =
	"set -e; PATH=$PATH:/usr/sbin:/sbin; ip link set lo up;"
	"ip link add " LINK_NAME " type veth peer name " LINK_OTHER_NAME ";"
	"for i in \"" LINK_NAME " " LINK_ADDRESS "\" \"" LINK_OTHER_NAME " " LINK_OTHER_ADDRESS "\"; do set -- $i;"
	"echo 0 >/proc/sys/net/ipv6/conf/$1/accept_ra; echo 200 >/proc/sys/net/ipv6/neigh/$1/retrans_time_ms;"
	"ip link set $1 addrgenmode none up; ip addr add $2/64 dev $1 nodad; done; ip addr add " LINK_QUIET_ADDRESS "/64 dev " LINK_NAME " nodad";

static void
pause_10_ms(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

static bool
listening(const struct gofer *gofer)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answer;

	snprintf(at.sun_path, sizeof at.sun_path, "%s", gofer->socket);
	answer = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
	close(fd);
	return answer;
}

static void
show_log(const struct gofer *gofer)
{
	char text[8000];
	int fd = open(gofer->log, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	if (lseek(fd, -(off_t)sizeof text, SEEK_END) < 0)
		lseek(fd, 0, SEEK_SET);
	n = read(fd, text, sizeof text);
	fprintf(stderr, "the gofer said:\n%.*s\n", n > 0 ? (int)n : 0, text);
	close(fd);
}

static bool
missing(const char *bin)
{
	char program[512];

	snprintf(program, sizeof program, "%s/splitsock-gofer", bin);
	return access(program, X_OK) < 0;
}

static pid_t
spawn_gofer(const struct gofer *gofer, const char *bin)
{
	pid_t child = fork();
	char program[512], url[128];
	int log;

	if (child != 0)
		return child;
	log = open(gofer->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	snprintf(program, sizeof program, "%s/splitsock-gofer", bin);
	snprintf(url, sizeof url, "ipc://%s", gofer->socket);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	execl(program, program, "--listen", url, "--policy", "open", (char *)NULL);
	dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

static void
describe_end(const struct gofer *gofer, int status)
{
	if (WIFSIGNALED(status))
		fprintf(stderr, "conformance: the gofer was killed by SIG%s\n", sigabbrev_np(WTERMSIG(status)));
	else
		fprintf(stderr, "conformance: the gofer ended with status %d\n", WEXITSTATUS(status));
	show_log(gofer);
}

/* Stops the gofer; whether it went as it should. */
static bool
stop(const struct gofer *gofer, pid_t child, int pidfd)
{
	int status;
	bool obeyed;

	kill(child, SIGTERM);
	obeyed = poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1, STOP_MS) == 1;
	if (!obeyed) {
		fprintf(stderr, "conformance: the gofer ignores SIGTERM\n");
		kill(child, SIGKILL);
	}
	waitpid(child, &status, 0);
	if (obeyed && WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM) {
		describe_end(gofer, status);
		return false;
	}
	return obeyed;
}

/*
 * Keeps a gofer running until the leash is dropped. One that dies is started again, so that one crash does not
 * hide all that comes after it; the suite fails all the same.
 */
static int
keep(const struct gofer *gofer, const char *bin, int leash)
{
	bool good = true;

	for (int restarts = 0;; restarts++) {
		pid_t child = spawn_gofer(gofer, bin);
		int pidfd = (int)syscall(SYS_pidfd_open, child, 0), status;
		struct pollfd items[] = {{leash, POLLIN, 0}, {pidfd, POLLIN, 0}};

		if (child < 0 || pidfd < 0)
			return 1;
		while (poll(items, 2, -1) < 0 && errno == EINTR)
			;
		if (items[0].revents) {
			good = stop(gofer, child, pidfd) && good;
			return good ? 0 : 1;
		}
		good = false;
		waitpid(child, &status, 0);
		close(pidfd);
		describe_end(gofer, status);
		if (restarts == RESTARTS_MAX || (WIFEXITED(status) && WEXITSTATUS(status) == 127))
			break;
	}
	while (poll(&(struct pollfd){leash, POLLIN, 0}, 1, -1) < 0 && errno == EINTR)
		;
	return 1;
}

static bool
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return written;
}

/* The keeper's: a namespace with the interfaces of link.h; where we are not root, in a user namespace in which we are. */
static bool
enter_link_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char users[32], groups[32];

	if (unshare(CLONE_NEWNET | (uid ? CLONE_NEWUSER : 0)) < 0) {
		fprintf(stderr, "conformance: cannot make a network namespace: %s: be root, or allow user namespaces\n", strerror(errno));
		return false;
	}
	snprintf(users, sizeof users, "0 %u 1", uid);
	snprintf(groups, sizeof groups, "0 %u 1", gid);
	if (uid && (!write_file("/proc/self/setgroups", "deny") || !write_file("/proc/self/uid_map", users) ||
	            !write_file("/proc/self/gid_map", groups))) {
		perror("conformance: the user namespace's ids");
		return false;
	}
	if (system(link_commands) != 0) {
		fprintf(stderr, "conformance: cannot make the interfaces for link-local addresses: is iproute2 installed, and veth in the kernel?\n");
		return false;
	}
	return true;
}

static bool
start(struct gofer *gofer, const char *bin)
{
	char url[128];
	int leash[2];

	if (getenv(gofer->url_variable))
		return true;
	snprintf(gofer->directory, sizeof gofer->directory, "/tmp/splitsock-conformance.XXXXXX");
	if (!mkdtemp(gofer->directory) || pipe2(leash, O_CLOEXEC) < 0) {
		perror("conformance");
		return false;
	}
	snprintf(gofer->socket, sizeof gofer->socket, "%s/gofer.sock", gofer->directory);
	snprintf(gofer->log, sizeof gofer->log, "%s/gofer.log", gofer->directory);
	gofer->keeper = fork();
	if (gofer->keeper < 0) {
		perror("fork");
		return false;
	}
	if (gofer->keeper == 0) {
		/* A terminal's interrupt is for the suite; the keeper sees the leash drop. */
		setpgid(0, 0);
		close(leash[1]);
		for (const struct gofer *other = gofers; other < gofer; other++)
			if (other->keeper)
				close(other->leash);
		_exit(gofer->on_link && !enter_link_namespace() ? 1 : keep(gofer, bin, leash[0]));
	}
	close(leash[0]);
	gofer->leash = leash[1];
	for (int waited = 0; waited < START_MS; waited += 10) {
		siginfo_t ended = {0};

		if (listening(gofer)) {
			snprintf(url, sizeof url, "ipc://%s", gofer->socket);
			setenv(gofer->url_variable, url, 1);
			return true;
		}
		if (missing(bin) || (waitid(P_PID, (id_t)gofer->keeper, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid))
			break;
		pause_10_ms();
	}
	fprintf(stderr, "conformance: %s/splitsock-gofer does not come up\n", bin);
	return false;
}

bool
gofers_start(const char *bin)
{
	char pid[16];

	for (size_t i = 0; i < sizeof gofers / sizeof *gofers; i++) {
		if (!start(&gofers[i], bin)) {
			gofers_stop();
			return false;
		}
		if (gofers[i].on_link && gofers[i].keeper) {
			snprintf(pid, sizeof pid, "%d", gofers[i].keeper);
			setenv("SPLITSOCK_TEST_LINK_PID", pid, 1);
		}
	}
	return true;
}

static void
remove_directory(const struct gofer *gofer)
{
	DIR *directory = opendir(gofer->directory);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)) != NULL)
		unlinkat(dirfd(directory), entry->d_name, 0); /* "." and ".." refuse */
	if (directory)
		closedir(directory);
	rmdir(gofer->directory);
}

bool
gofers_stop(void)
{
	bool good = true;

	for (size_t i = 0; i < sizeof gofers / sizeof *gofers; i++) {
		struct gofer *gofer = &gofers[i];
		int status = 0;

		if (!gofer->keeper)
			continue;
		close(gofer->leash);
		waitpid(gofer->keeper, &status, 0);
		gofer->keeper = 0;
		remove_directory(gofer);
		good = good && status == 0;
	}
	return good;
}
