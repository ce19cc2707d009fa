/*
 * Starting the command under the filter, taking signals on its behalf, and ending as it has ended.
 */
#include "sentry_side/run/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "sentry_side/run/filter.h"
#include "sentry_side/run/isolate.h"

/* ---- the start ---------------------------------------------------------------------------------- */

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
run_command(const struct command *command, int report_fd, int go_fd)
{
	struct report report = {0};
	uint64_t go;
	int error = command->isolate ? isolate_enter() : 0;

	if (error)
		child_fail(report_fd, "new namespaces", error);
	report.procnet = -1;
	if (command->isolate && isolate_mounts() == 0)
		report.procnet = procnet_mount(open("/proc/self/net", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (command->files.rlim_max) /* it is known */
		setrlimit(RLIMIT_NOFILE, &command->files);
	sigprocmask(SIG_SETMASK, &command->mask, NULL);
	report.listener = filter_install(&report.killable);
	if (report.listener < 0)
		child_fail(report_fd, "the seccomp filter", report.listener);
	/* From here on socket calls are trapped, so nothing but read and write until the supervisor has the descriptor. */
	if (write(report_fd, &report, sizeof report) != sizeof report || read(go_fd, &go, sizeof go) != sizeof go)
		_exit(EXIT_OURS);
	close(report.listener);
	execvp(command->argv[0], command->argv);
	error = errno;
	log_error("cannot run '%s': %s", command->argv[0], strerror(error));
	_exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE);
}

bool
command_can_be_served(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0), fd;

	/* Of ourselves we may take anything, unless the call itself is refused. */
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, pidfd, 0);
	if (fd < 0) {
		log_error("pidfd_getfd is refused here (%s): run this container with --security-opt seccomp=" SPLITSOCK_DATADIR
		          "/splitsock-run-seccomp.json or --cap-add SYS_PTRACE, or serve it by splitsock-agent", strerror(errno));
		close(pidfd);
		return false;
	}
	close(fd);
	close(pidfd);
	return true;
}

bool
command_start(struct command *command, struct supervisor *supervisor)
{
	struct report report;
	int pipe_fds[2], go, pidfd;

	go = eventfd(0, EFD_CLOEXEC);
	if (go < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0) {
		log_error("cannot start the command: %s", strerror(errno));
		return false;
	}
	command->child = fork();
	if (command->child == 0)
		run_command(command, pipe_fds[1], go);
	close(pipe_fds[1]);
	if (command->child < 0 || read(pipe_fds[0], &report, sizeof report) != sizeof report) {
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
	pidfd = (int)syscall(SYS_pidfd_open, command->child, 0);
	supervisor->notify_fd = (int)syscall(SYS_pidfd_getfd, pidfd, report.listener, 0);
	if (supervisor->notify_fd < 0) {
		log_error("cannot take the command's notification descriptor: %s", strerror(errno));
		kill(command->child, SIGKILL);
		return false;
	}
	procnet_start(&supervisor->procnet, &supervisor->ss,
	              report.procnet < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, report.procnet, 0));
	close(pidfd);
	supervisor->starter = &command->starter;
	eventfd_write(go, 1);
	close(go);
	return true;
}

/* ---- signals ------------------------------------------------------------------------------------ */

/* So that the shell sees the job stopped, and by what. It continues us together with the child. */
static void
stop_as(int number)
{
	sigset_t set, before;

	if (number == SIGTSTP || number == SIGTTIN || number == SIGTTOU) {
		sigemptyset(&set);
		sigaddset(&set, number);
		raise(number);
		pthread_sigmask(SIG_UNBLOCK, &set, &before); /* stops here */
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	} else {
		raise(SIGSTOP);
	}
}

static void
reap(struct command *command)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (pid != command->child)
			continue;
		if (WIFSTOPPED(status)) {
			stop_as(WSTOPSIG(status));
		} else {
			command->status = status;
			command->starter.satisfied = true;
		}
	}
}

static bool
is_stopped(pid_t pid)
{
	char path[64], line[256];
	bool stopped = false;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		stopped |= strncmp(line, "State:\tT", 8) == 0;
	if (file)
		fclose(file);
	return stopped;
}

static void
take_signals(struct starter *starter)
{
	struct command *command = (struct command *)starter;
	struct signalfd_siginfo info;

	while (read(starter->fd, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGCHLD)
			continue;
		/* A shell continues the whole group, so the command has been; once more would only interrupt it. */
		else if (info.ssi_signo == SIGCONT && !is_stopped(command->child))
			continue;
		/* The terminal sends to the whole foreground group, which the command is in; what was sent to us alone is for it. */
		else if (info.ssi_code != SI_KERNEL && !starter->satisfied)
			kill(command->child, (int)info.ssi_signo);
		else if (info.ssi_signo == SIGHUP || info.ssi_signo == SIGTERM)
			kill(command->child, (int)info.ssi_signo);
	}
	reap(command);
}

void
command_prepare(struct command *command)
{
	static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGTSTP, SIGWINCH, SIGCHLD};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++)
		sigaddset(&set, forwarded[i]);
	sigprocmask(SIG_BLOCK, &set, &command->mask);
	command->starter = (struct starter){.hear = take_signals};
	command->starter.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	/* Who is orphaned below us is ours to reap: the filter counts its processes until they are reaped. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (getrlimit(RLIMIT_NOFILE, &command->files) == 0)
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){command->files.rlim_max, command->files.rlim_max});
}

/* ---- the end ---------------------------------------------------------------------------------- */

int
command_end(const struct command *command)
{
	int status = command->status;

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
