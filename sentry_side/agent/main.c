/*
 * splitsock-agent: the supervisor of splitsock-run for containers, behind an OCI runtime's listenerPath.
 *
 * The agent only accepts: each connection gets a process at once, which reads the runtime's message and serves that container. So none of them, nor a
 * runtime that stalls, is in another's way, and they live on when the agent ends.
 */
#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "common/log.h"
#include "sentry_side/agent/serve.h"
#include "sentry_side/session.h"

#define DEFAULT_LISTEN "/run/splitsock/agent.sock"

/* argp(3) looks it up by name, so it must be visible. */
__attribute__((visibility("default"))) const char *argp_program_version = "splitsock-agent " SPLITSOCK_VERSION;

static const struct argp_option options[] = {
	{"listen", 'l', "PATH", 0, "The socket that the seccomp profile names as listenerPath: " DEFAULT_LISTEN " by default", 0},
	{"gofer", 'g', "URL", 0, "The gofer's control socket. Without it: $SPLITSOCK_GOFER, else " DEFAULT_URL, 0},
	{0},
};

struct arguments {
	const char *path, *url;
};

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'l':
		arguments->path = arg;
		return 0;
	case 'g':
		arguments->url = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- the socket --------------------------------------------------------------------------------- */

/* Is somebody listening there? */
static bool
answers(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answered = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;

	if (fd >= 0)
		close(fd);
	return answered;
}

static int
listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mode_t mask = umask(0177);
	bool good = fd >= 0 && strlen(path) < sizeof address.sun_path;

	if (fd >= 0 && !good)
		errno = ENAMETOOLONG;
	memcpy(address.sun_path, path, strnlen(path, sizeof address.sun_path - 1));
	/* One that was left by an agent that was killed. */
	if (good && bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		good = errno == EADDRINUSE && !answers(&address) && unlink(path) == 0 &&
		       bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
	umask(mask);
	if (!good || listen(fd, SOMAXCONN) < 0) {
		log_error("cannot listen at %s: %s", path, strerror(errno));
		return -1;
	}
	return fd;
}

/* systemd's, if it has one for us. */
static int
open_socket(const struct arguments *arguments, bool *ours)
{
	int count = sd_listen_fds(1);

	*ours = count == 0;
	if (count < 0 || count > 1) {
		log_error("not one socket has been passed, as socket activation does it, but %d", count);
		return -1;
	}
	return count == 1 ? SD_LISTEN_FDS_START : listen_at(arguments->path);
}

/* PATH.d beside the socket: what is to be known of containers that outlive the agent. */
static bool
make_notes(int listener, char *notes, size_t size)
{
	struct sockaddr_un address;
	socklen_t len = sizeof address;

	if (getsockname(listener, (struct sockaddr *)&address, &len) < 0 || len <= sizeof(sa_family_t) || address.sun_path[0] != '/') {
		log_error("the listening socket has no path that starts with a slash");
		return false;
	}
	snprintf(notes, size, "%.*s.d", (int)sizeof address.sun_path, address.sun_path);
	if (mkdir(notes, 0700) < 0 && errno != EEXIST) {
		log_error("cannot make %s: %s", notes, strerror(errno));
		return false;
	}
	return true;
}

/* ---- runtimes ----------------------------------------------------------------------------------- */

/* Whoever may speak here says what container a process is: root, or who runs the agent. */
static bool
is_trusted(int connection)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void
take_runtime(int listener, int signal_fd, const sigset_t *mask, const char *url, const char *notes)
{
	int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	pid_t pid;

	if (connection < 0)
		return;
	if (!is_trusted(connection)) {
		log_warning("a connection from another user was refused");
		close(connection);
		return;
	}
	pid = fork();
	if (pid == 0) {
		close(listener);
		close(signal_fd);
		/* What ends the agent, a terminal's signals among it, does not end those. */
		setsid();
		sigprocmask(SIG_SETMASK, mask, NULL);
		exit(serve(connection, url, notes));
	}
	if (pid < 0) /* the runtime gets a reset, and its container does not start */
		log_error("cannot serve another container: %s", strerror(errno));
	close(connection);
}

static void
reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (WIFSIGNALED(status))
			log_warning("process %d, which served a container, was ended by signal %d: that container's socket calls fail with ENOSYS now",
			            (int)pid, WTERMSIG(status));
}

/* False: a signal says to end. */
static bool
take_signals(int signal_fd)
{
	struct signalfd_siginfo info;
	bool go_on = true;

	while (read(signal_fd, &info, sizeof info) == sizeof info)
		go_on &= info.ssi_signo == SIGCHLD;
	reap();
	return go_on;
}

static int
run(const struct arguments *arguments)
{
	sigset_t set, mask;
	int signal_fd, listener;
	char notes[sizeof(struct sockaddr_un) + 3];
	bool ours;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, &mask);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	listener = open_socket(arguments, &ours);
	if (listener < 0 || signal_fd < 0 || !make_notes(listener, notes, sizeof notes))
		return EXIT_FAILURE;
	log_info("listening on %.*s, for the gofer at %s", (int)strlen(notes) - 2, notes, arguments->url);
	sd_notify(0, "READY=1");
	for (;;) {
		struct pollfd in[2] = {{.fd = listener, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};

		if (poll(in, 2, -1) < 0 && errno != EINTR)
			return EXIT_FAILURE;
		if (in[1].revents && !take_signals(signal_fd))
			break;
		if (in[0].revents)
			take_runtime(listener, signal_fd, &mask, arguments->url, notes);
	}
	if (ours)
		unlink(arguments->path);
	rmdir(notes); /* unless there is something in it */
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Serves the sockets of containers whose seccomp profile names this agent.\v"
		       "Each container is served by a process of its own, which lives on when the agent ends. See splitsock-agent(8).",
	};
	struct arguments arguments = {.path = DEFAULT_LISTEN, .url = getenv("SPLITSOCK_GOFER")};

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (!arguments.url || !*arguments.url)
		arguments.url = DEFAULT_URL;
	log_open("splitsock-agent");
	return run(&arguments);
}
