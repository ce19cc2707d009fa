#include "sentry_side/run/gofer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
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

#include "common/cleanup.h"
#include "common/log.h"

#define START_MS 10000
#define STOP_MS 500

static const char *const socket_files[] = {"gofer.sock.lock", "gofer.sock.stream", "gofer.sock.seqpacket", "gofer.sock.ctl",
                                           "gofer.sock", "notify"};

bool
gofer_answers(const char *url)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", url + strlen("ipc://"));
	return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

/* splitsock-gofer beside us, where the build has it, or in the sbin beside our bin, or wherever $PATH says. */
static void
find_gofer(char *path, size_t size)
{
	static const char *const places[] = {"", "../sbin/"};
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash;

	if (len > 0) {
		self[len] = 0;
		slash = strrchr(self, '/');
		for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
			snprintf(path, size, "%.*s%ssplitsock-gofer", (int)(slash + 1 - self), self, places[i]);
			if (access(path, X_OK) == 0)
				return;
		}
	}
	snprintf(path, size, "splitsock-gofer");
}

static bool
make_directory(char *directory, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (runtime && (size_t)snprintf(directory, size, "%s/splitsock-XXXXXX", runtime) < size && mkdtemp(directory))
		return true;
	snprintf(directory, size, "/tmp/splitsock-XXXXXX");
	return mkdtemp(directory) != NULL;
}

/* sd_notify(3)'s receiving end. */
static int
notify_socket(const struct private_gofer *gofer, struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof address->sun_path, "%s/notify", gofer->directory);
	if (fd >= 0 && bind(fd, (struct sockaddr *)address, sizeof *address) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

char *
private_gofer_start(struct private_gofer *gofer)
{
	struct sockaddr_un address;
	_cleanup_close_ int notify = -1;
	char path[PATH_MAX + 32], message[128], *url = NULL;
	pid_t self = getpid();
	struct pollfd wait;
	int status;

	if (!make_directory(gofer->directory, sizeof gofer->directory)) {
		log_error("cannot make a directory for a private gofer: %s", strerror(errno));
		return NULL;
	}
	notify = notify_socket(gofer, &address);
	if (notify < 0 || asprintf(&url, "ipc://%s/gofer.sock", gofer->directory) < 0) {
		log_error("cannot prepare a private gofer: %s", strerror(errno));
		return NULL;
	}
	find_gofer(path, sizeof path);
	gofer->pid = fork();
	if (gofer->pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		sigset_t none;

		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != self)
			_exit(EXIT_FAILURE);
		/* Out of the terminal's reach: Ctrl-C is the command's. */
		setsid();
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setenv("NOTIFY_SOCKET", address.sun_path, 1);
		unsetenv("JOURNAL_STREAM");
		if (null >= 0) {
			dup2(null, STDIN_FILENO);
			dup2(null, STDOUT_FILENO);
			if (!getenv("SPLITSOCK_DEBUG"))
				dup2(null, STDERR_FILENO);
		}
		execlp(path, "splitsock-gofer", "--listen", url, "--policy", "open", (char *)NULL);
		_exit(127);
	}
	wait = (struct pollfd){.fd = notify, .events = POLLIN};
	for (int waited = 0; gofer->pid > 0 && waited < START_MS; waited += 50) {
		if (poll(&wait, 1, 50) > 0 && recv(notify, message, sizeof message, MSG_DONTWAIT) > 0)
			return url;
		if (waitpid(gofer->pid, &status, WNOHANG) == gofer->pid) {
			gofer->pid = 0;
			break;
		}
	}
	log_error("no private gofer could be started (%s); is splitsock-gofer installed beside splitsock-run?", path);
	free(url);
	return NULL;
}

void
private_gofer_stop(struct private_gofer *gofer)
{
	char path[128];

	if (gofer->pid > 0) {
		kill(gofer->pid, SIGTERM);
		/* One that has something to deliver to a slow peer ends by itself, later. */
		for (int waited = 0; waited < STOP_MS && waitpid(gofer->pid, NULL, WNOHANG) != gofer->pid; waited += 5)
			nanosleep(&(struct timespec){.tv_nsec = 5 * 1000000}, NULL);
		gofer->pid = 0;
	}
	if (!gofer->directory[0])
		return;
	for (size_t i = 0; i < sizeof socket_files / sizeof *socket_files; i++) {
		snprintf(path, sizeof path, "%s/%s", gofer->directory, socket_files[i]);
		unlink(path);
	}
	rmdir(gofer->directory);
}
