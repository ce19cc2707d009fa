/*
 * splitsock-run: runs an unmodified program behind libsplitsock.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "sentry_side/run/filter.h"
#include "sentry_side/run/gofer.h"
#include "sentry_side/run/isolate.h"
#include "sentry_side/run/supervisor.h"

/* As env(1) and timeout(1) have them. */
#define EXIT_OURS 125
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND 127

/* argp(3) looks it up by name, so it must be visible. */
__attribute__((visibility("default"))) const char *argp_program_version = "splitsock-run " SPLITSOCK_VERSION;

static const struct argp_option options[] = {
	{"gofer", 'g', "URL", 0,
	 "The gofer's control socket. Without it: $SPLITSOCK_GOFER, else " DEFAULT_URL
	 " if a gofer answers there, else a private gofer with your own rights",
	 0},
	{"isolate", 'i', NULL, 0,
	 "Give COMMAND new user and network namespaces with nothing in them, so that whatever works, works through the gofer", 0},
	{0},
};

struct arguments {
	const char *url;
	bool isolate;
	char **command;
};

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'g':
		arguments->url = arg;
		return 0;
	case 'i':
		arguments->isolate = true;
		return 0;
	case ARGP_KEY_ARG:
		arguments->command = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->command)
			argp_error(state, "COMMAND is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- the command -------------------------------------------------------------------------------- */

/* What the child tells before it runs the command: where the notification descriptor is, or what failed. */
struct report {
	int listener; /* a descriptor of the child, or a negative errno */
	int procnet;  /* another, or -1 */
	bool killable;
	char step[32];
};

static void __attribute__((noreturn))
child_fail(int pipe, const char *step, int error)
{
	struct report report = {.listener = error};

	strncpy(report.step, step, sizeof report.step - 1);
	if (write(pipe, &report, sizeof report) < 0)
		_exit(EXIT_OURS);
	_exit(EXIT_OURS);
}

static void __attribute__((noreturn))
run_command(const struct arguments *arguments, const sigset_t *mask, const struct rlimit *files, int report_fd, int go_fd)
{
	struct report report = {0};
	uint64_t go;
	int error = arguments->isolate ? isolate_enter() : 0;

	if (error)
		child_fail(report_fd, "new namespaces", error);
	report.procnet = -1;
	if (arguments->isolate && isolate_mounts() == 0)
		report.procnet = procnet_mount();
	setrlimit(RLIMIT_NOFILE, files);
	sigprocmask(SIG_SETMASK, mask, NULL);
	report.listener = filter_install(&report.killable);
	if (report.listener < 0)
		child_fail(report_fd, "the seccomp filter", report.listener);
	/* From here on socket calls are trapped, so nothing but read and write until the supervisor has the descriptor. */
	if (write(report_fd, &report, sizeof report) != sizeof report || read(go_fd, &go, sizeof go) != sizeof go)
		_exit(EXIT_OURS);
	close(report.listener);
	execvp(arguments->command[0], arguments->command);
	error = errno;
	log_error("cannot run '%s': %s", arguments->command[0], strerror(error));
	_exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
}

/* Starts the command and takes its notification descriptor. False after saying why not. */
static bool
start_command(struct supervisor *supervisor, const struct arguments *arguments, const sigset_t *mask,
              const struct rlimit *files)
{
	struct report report;
	int pipe_fds[2], go, pidfd;

	go = eventfd(0, EFD_CLOEXEC);
	if (go < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0) {
		log_error("cannot start the command: %s", strerror(errno));
		return false;
	}
	supervisor->child = fork();
	if (supervisor->child == 0)
		run_command(arguments, mask, files, pipe_fds[1], go);
	close(pipe_fds[1]);
	if (supervisor->child < 0 || read(pipe_fds[0], &report, sizeof report) != sizeof report) {
		log_error("cannot start the command: it ended early");
		return false;
	}
	close(pipe_fds[0]);
	if (report.listener == -EBUSY)
		log_error("this program runs under splitsock-run already: run the command without it");
	else if (report.listener == -EINVAL && strstr(report.step, "filter"))
		log_error("this kernel has no seccomp user notification with SECCOMP_ADDFD_FLAG_SEND: Linux 5.14 is needed");
	else if (report.listener < 0)
		log_error("cannot set up %s: %s%s", report.step, strerror(-report.listener),
		          report.listener == -EPERM ? " (are unprivileged user namespaces switched off here?)" : "");
	if (report.listener < 0)
		return false;
	supervisor->killable = report.killable;
	pidfd = (int)syscall(SYS_pidfd_open, supervisor->child, 0);
	supervisor->notify_fd = (int)syscall(SYS_pidfd_getfd, pidfd, report.listener, 0);
	if (supervisor->notify_fd < 0) {
		log_error("cannot take the command's notification descriptor: %s", strerror(errno));
		kill(supervisor->child, SIGKILL);
		return false;
	}
	procnet_start(&supervisor->procnet, &supervisor->ss,
	              report.procnet < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, report.procnet, 0));
	close(pidfd);
	eventfd_write(go, 1);
	close(go);
	return true;
}

/* ---- main --------------------------------------------------------------------------------------- */

static void
block_signals(struct supervisor *supervisor, sigset_t *before)
{
	static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGTSTP, SIGWINCH, SIGCHLD};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, before);
	supervisor->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Ends as the command ended: with its status, or by its signal, so that a shell sees the same. */
static int
end_as(int status)
{
	if (WIFSIGNALED(status)) {
		struct rlimit no_core = {0, 0};
		sigset_t set;

		setrlimit(RLIMIT_CORE, &no_core);
		signal(WTERMSIG(status), SIG_DFL);
		sigfillset(&set);
		raise(WTERMSIG(status));
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		return 128 + WTERMSIG(status);
	}
	return WEXITSTATUS(status);
}

/* The gofer to use, malloc()ed; a private one is started if there is none. NULL after saying why. */
static char *
choose_gofer(const struct arguments *arguments, struct private_gofer *gofer)
{
	const char *url = arguments->url ? arguments->url : getenv("SPLITSOCK_GOFER");

	if (url && *url)
		return strdup(url);
	if (gofer_answers(DEFAULT_URL))
		return strdup(DEFAULT_URL);
	return private_gofer_start(gofer);
}

static int
run(const struct arguments *arguments)
{
	static struct supervisor supervisor = {.notify_fd = -1, .procnet = {.directory = -1, .netlink = -1, .inotify = -1}};
	struct private_gofer gofer = {0};
	struct rlimit files, more_files;
	pthread_mutexattr_t adaptive;
	sigset_t mask;
	char *url;
	int error, status;

	supervisor.ss.owner = &supervisor;
	/* Held for a few microseconds at a time by threads that answer each other: spinning beats a futex. */
	pthread_mutexattr_init(&adaptive);
	pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&supervisor.lock, &adaptive);
	block_signals(&supervisor, &mask);
	/* Who is orphaned below us is ours to reap: the filter counts its processes until they are reaped. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	getrlimit(RLIMIT_NOFILE, &files);
	more_files = (struct rlimit){files.rlim_max, files.rlim_max};
	setrlimit(RLIMIT_NOFILE, &more_files);

	url = choose_gofer(arguments, &gofer);
	if (!url) {
		private_gofer_stop(&gofer);
		return EXIT_OURS;
	}
	/* Links belong to our network namespace: in an empty one they lead nowhere but to the gofer. */
	error = arguments->isolate ? isolate_enter() : 0;
	if (error) {
		log_error("cannot make new namespaces: %s%s", strerror(-error),
		          error == -EPERM ? " (are unprivileged user namespaces switched off here?)" : "");
		private_gofer_stop(&gofer);
		return EXIT_OURS;
	}
	error = ss_init(&supervisor.ss, url);
	if (error) {
		log_error("no gofer at %s: %s", url, strerror(-error));
		private_gofer_stop(&gofer);
		return EXIT_OURS;
	}
	supervisor.gofer_is_private = gofer.pid > 0;
	status = EXIT_OURS << 8;
	if (start_command(&supervisor, arguments, &mask, &files))
		status = supervisor_run(&supervisor);
	supervisor.ss.ended = NULL; /* ending it is our doing */
	procnet_stop(&supervisor.procnet);
	ss_destroy(&supervisor.ss);
	private_gofer_stop(&gofer);
	free(url);
	return end_as(status);
}

int
main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "COMMAND [ARG...]",
		.doc = "Runs COMMAND with the sockets of a gofer in place of a network of its own.\v"
		       "The exit status is COMMAND's; 125 if splitsock-run itself fails, 126 if COMMAND cannot be run, 127 if there is "
		       "none. See splitsock-run(1).",
	};
	struct arguments arguments = {0};

	argp_err_exit_status = EXIT_OURS;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
	log_open("splitsock-run");
	return run(&arguments);
}
