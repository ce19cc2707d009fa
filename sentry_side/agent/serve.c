/*
 * The end is the notification descriptor's hang-up: no process is left under the filter. A gofer that is not there yet is looked for again at
 * every call that is trapped meanwhile.
 */
#include "sentry_side/agent/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "sentry_side/agent/container.h"
#include "sentry_side/run/supervisor.h"

/* ---- namespaces --------------------------------------------------------------------------------- */

/* Where the container's user namespace is one of our user's, we have rights over the container's others only from within. */
static bool
join(int pidfd, int kind)
{
	return setns(pidfd, kind) == 0 || (errno == EPERM && setns(pidfd, CLONE_NEWUSER) == 0 && setns(pidfd, kind) == 0);
}

static void
send_fd(int to, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
	struct iovec iov = {"", 1};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(rights), &fd, sizeof fd);
	sendmsg(to, &header, MSG_NOSIGNAL);
}

static int
receive_fd(int from)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *rights;
	int fd = -1;

	if (recvmsg(from, &header, MSG_CMSG_CLOEXEC) == 1 && (rights = CMSG_FIRSTHDR(&header)) && rights->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(rights), sizeof fd);
	return fd;
}

/* /proc/net of a container whose program has not been started yet. -1: it cannot be had, and the container sees its own. */
static int
cover_procnet(int pidfd)
{
	int pair[2], fd;
	pid_t helper;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	helper = fork();
	if (helper == 0) {
		/* In the container's mount namespace there is nothing of ours but this: it ends at once. */
		int names = open("/proc/self/net", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* there, we have no /proc/self */

		fd = join(pidfd, CLONE_NEWNS) ? procnet_mount(names) : -1;
		if (fd >= 0)
			send_fd(pair[1], fd);
		_exit(0);
	}
	close(pair[1]);
	fd = helper < 0 ? -1 : receive_fd(pair[0]);
	close(pair[0]);
	while (helper > 0 && waitpid(helper, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

/*
 * What is left is what serving takes: looking into other users' processes (/proc/PID/fd, their memory) and reaching the gofer's socket. In the
 * namespaces of an unprivileged agent there is nothing to drop.
 */
static void
drop_rights(void)
{
	static const uint64_t kept = UINT64_C(1) << CAP_SYS_PTRACE | UINT64_C(1) << CAP_DAC_READ_SEARCH | UINT64_C(1) << CAP_DAC_OVERRIDE;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_capget, &header, data) < 0)
		return;
	for (size_t i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(kept >> (32 * i));
		data[i].effective &= data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data) < 0)
		log_warning("cannot give up capabilities: %s", strerror(errno));
}

/* ---- the container ------------------------------------------------------------------------------ */

/* Waits for a trapped call. False: no process is left that could make one. */
static bool
next_call(int notify_fd, struct seccomp_notif *call)
{
	struct pollfd in = {.fd = notify_fd, .events = POLLIN};

	for (;;) {
		if (poll(&in, 1, -1) < 0 && errno != EINTR)
			return false;
		*call = (struct seccomp_notif){0};
		if (in.revents & POLLIN && ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_RECV, call) == 0)
			return true;
		if (!(in.revents & POLLIN) && in.revents & (POLLHUP | POLLERR))
			return false;
	}
}

/* While there is no gofer, the container has no sockets either, so whatever else it calls is about others. */
static void
answer_without_gofer(int notify_fd, const struct seccomp_notif *call)
{
	struct seccomp_notif_resp response = {.id = call->id};

	if (call->data.nr == SYS_socket)
		response.error = -ENETDOWN;
	else
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* Everything that takes rights. The process is the container's first, or one that makes a call. */
static bool
prepare(const struct container *container, int pidfd)
{
	/*
	 * The links that the program gets belong to the network namespace that they are made in, and it must not be ours: who holds one may race a
	 * bind() past the filter, and would take abstract names there.
	 */
	if (!join(pidfd, CLONE_NEWNET)) {
		log_error("container %s cannot be served: its network namespace: %s", container->id, strerror(errno));
		return false;
	}
	drop_rights();
	return true;
}

/* By the process that the runtime names. */
static bool
prepare_by_pid(struct container *container, int *procnet)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, container->pid, 0);

	if (pidfd < 0 || !container_look(container, container->pid)) {
		log_warning("container %s: its process %d cannot be looked at: %s", container->id, (int)container->pid, strerror(errno));
		return false;
	}
	if (container->is_new)
		*procnet = cover_procnet(pidfd);
	return prepare(container, pidfd);
}

/* By one that makes a call, where the runtime names none: crun does not for those that it puts into a running container. */
static bool
prepare_by_call(struct container *container, const struct seccomp_notif *call)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, thread_group(call->pid), 0);

	if (pidfd < 0 || !container_look(container, (pid_t)call->pid)) {
		log_warning("container %s: process %u cannot be looked at: %s", container->id, call->pid, strerror(errno));
		return false;
	}
	return prepare(container, pidfd);
}

static bool
call_valid(int notify_fd, const struct seccomp_notif *call)
{
	return ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id) == 0;
}

/* Opens the session, if need be after calls that find no gofer. True: it is open, and *call the first to serve, if *called. */
static bool
open_session(struct supervisor *supervisor, struct container *container, const char *url, bool prepared, struct seccomp_notif *call,
             bool *called)
{
	int told = 0;

	for (*called = false;; *called = true) {
		struct session_serves serves;
		int error;

		if (*called && !prepared) {
			prepared = prepare_by_call(container, call);
			if (!prepared && call_valid(container->notify_fd, call))
				return false;
		}
		supervisor_init(supervisor);
		serves = container_serves(container);
		error = prepared ? ss_init(&supervisor->ss, url, &serves) : -EAGAIN;
		if (!error)
			return true;
		if (prepared && error != told)
			log_warning("container %s: no gofer at %s: %s; its sockets fail with ENETDOWN", container->id, url, strerror(-error));
		told = error;
		if (*called)
			answer_without_gofer(container->notify_fd, call);
		if (!next_call(container->notify_fd, call))
			return false;
	}
}

static bool
serve_container(struct container *container, const char *url)
{
	static struct supervisor supervisor;
	enum supervisor_end end = SUPERVISOR_SESSION_OVER;
	struct seccomp_notif call;
	int procnet = -1;
	bool prepared = container->pid && prepare_by_pid(container, &procnet), called;

	/* When the gofer has gone, what the container had of it is lost, but not what it opens when there is one again. */
	while (end == SUPERVISOR_SESSION_OVER) {
		if (!open_session(&supervisor, container, url, prepared, &call, &called))
			return false;
		prepared = true;
		supervisor.notify_fd = container->notify_fd;
		supervisor.killable = container->killable;
		supervisor.ends_with_session = true;
		procnet_start(&supervisor.procnet, &supervisor.ss, procnet < 0 ? -1 : fcntl(procnet, F_DUPFD_CLOEXEC, 0));
		end = supervisor_run(&supervisor, called ? &call : NULL);
		supervisor_release(&supervisor);
	}
	return end == SUPERVISOR_DONE;
}

int
serve(int connection, const char *url, const char *notes)
{
	struct container container;
	struct rlimit files;
	bool good;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	good = container_receive(&container, connection, notes);
	close(connection);
	if (good) {
		log_info("container %.12s: served by process %d", container.id, (int)getpid());
		good = serve_container(&container, url);
	}
	container_release(&container);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
