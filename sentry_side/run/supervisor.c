/*
 * The loop, and what becomes of a trapped call.
 *
 * Signals. A call that the kernel would answer at once must not be ended by a signal, or socket() would fail with EINTR. So the filter
 * asks the kernel to let only fatal signals end a call that we have received (WAIT_KILLABLE_RECV), and for those that block, we look
 * every CHECK_MS whether the thread has a signal to handle. If so, the call is answered with ERESTARTSYS, which the kernel turns into
 * EINTR or a restart, as the handler wants it. Kernels before 5.19 let any signal end any call. There, what was taken from a queue
 * for a call that is gone is stashed for the next, and a connect that nobody waits for goes on.
 */
#include "sentry_side/run/supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#define CHECK_MS 20
#define SWEEP_MS 100

#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

/* ---- answers ------------------------------------------------------------------------------------ */

/* Once it is answered, the program may close its descriptor and expect the kernel to notice: so ours goes first. */
static void
give_back(struct trap *trap)
{
	if (trap->watched)
		epoll_ctl(trap->supervisor->epoll_fd, EPOLL_CTL_DEL, trap->a, NULL);
	if (trap->a >= 0)
		close(trap->a);
	trap->watched = false;
	trap->a = -1;
}

/* A signal to us may end the kernel's wait for its lock: an answer that did not go out would leave the program waiting. */
static int
notify_ioctl(const struct supervisor *supervisor, unsigned long request, void *arg)
{
	int result;

	do
		result = ioctl(supervisor->notify_fd, request, arg);
	while (result < 0 && errno == EINTR);
	return result;
}

static bool
respond(struct trap *trap, int64_t value, int error, uint32_t flags)
{
	struct seccomp_notif_resp response = {.id = trap->call.id, .val = value, .error = -error, .flags = flags};

	give_back(trap);
	return notify_ioctl(trap->supervisor, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0;
}

bool
trap_return(struct trap *trap, int64_t value)
{
	return respond(trap, value, 0, 0);
}

bool
trap_error(struct trap *trap, int error)
{
	return respond(trap, 0, error, 0);
}

void
trap_continue(struct trap *trap)
{
	respond(trap, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

bool
trap_answer(struct trap *trap, int error)
{
	return error ? trap_error(trap, error < 0 ? -error : error) : trap_return(trap, 0);
}

bool
trap_valid(struct trap *trap)
{
	return notify_ioctl(trap->supervisor, SECCOMP_IOCTL_NOTIF_ID_VALID, &trap->call.id) == 0;
}

int
trap_add_fd(struct trap *trap, int *fd, bool cloexec)
{
	/* Where a signal may end the call at any time, only both in one step loses nothing. */
	bool two_steps = trap->supervisor->killable;
	struct seccomp_notif_addfd add = {
		.id = trap->call.id,
		.flags = two_steps ? 0 : SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)*fd,
		.newfd_flags = cloexec ? O_CLOEXEC : 0,
	};
	int number;

	give_back(trap);
	number = notify_ioctl(trap->supervisor, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	if (number < 0)
		return -errno;
	if (two_steps) {
		close(*fd);
		*fd = -1;
		trap_return(trap, number);
	}
	return number;
}

int
trap_replace_fd(struct trap *trap, int number, int fd)
{
	struct seccomp_notif_addfd add = {
		.id = trap->call.id, .flags = SECCOMP_ADDFD_FLAG_SETFD, .srcfd = (uint32_t)fd, .newfd = (uint32_t)number};
	char path[64], line[128];
	FILE *file;
	unsigned flags = 0;

	snprintf(path, sizeof path, "/proc/%u/fdinfo/%d", trap->call.pid, number);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		sscanf(line, "flags: %o", &flags);
	if (file)
		fclose(file);
	add.newfd_flags = flags & O_CLOEXEC;
	return notify_ioctl(trap->supervisor, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? -errno : 0;
}

/* ---- pending calls ------------------------------------------------------------------------------ */

struct pending *
pending_new(struct trap *trap)
{
	struct supervisor *supervisor = trap->supervisor;
	struct pending *pending = calloc(1, sizeof *pending);

	if (!pending) {
		trap_error(trap, ENOMEM);
		return NULL;
	}
	pending->trap = *trap;
	trap->link = NULL;
	trap->a = -1;
	pending->next = supervisor->pendings;
	pending->prev = &supervisor->pendings;
	if (pending->next)
		pending->next->prev = &pending->next;
	supervisor->pendings = pending;
	supervisor->pending_count++;
	return pending;
}

void
pending_free(struct pending *pending)
{
	*pending->prev = pending->next;
	if (pending->next)
		pending->next->prev = pending->prev;
	pending->trap.supervisor->pending_count--;
	give_back(&pending->trap);
	link_unref(pending->trap.link);
	free(pending);
}

void
pending_done(void *arg, const struct link_result *result)
{
	struct pending *pending = arg;
	struct supervisor *supervisor = pending->trap.supervisor;
	void (*finish)(struct pending *, const struct link_result *) = pending->finish;

	pthread_mutex_lock(&supervisor->lock);
	pending->finish = NULL;
	finish(pending, result);
	if (!pending->finish && !pending->retry)
		pending_free(pending);
	pthread_mutex_unlock(&supervisor->lock);
}

void
pending_started(struct pending *pending, int error)
{
	if (!error)
		return;
	trap_answer(&pending->trap, error);
	pending_free(pending);
}

void
pending_wait_on(struct pending *pending, uint32_t events, int timeout_option)
{
	struct supervisor *supervisor = pending->trap.supervisor;
	/* What a UDP socket has in its error queue would not let us sleep. */
	struct epoll_event event = {.events = events | (pending->trap.link->surrogate ? EPOLLET : 0), .data.ptr = pending};
	struct timeval timeout;
	socklen_t len = sizeof timeout;

	if (getsockopt(pending->trap.a, SOL_SOCKET, timeout_option, &timeout, &len) == 0 && (timeout.tv_sec || timeout.tv_usec)) {
		pending->deadline_ms = now_ms() + timeout.tv_sec * 1000 + (timeout.tv_usec + 999) / 1000;
		pending->deadline_error = EAGAIN;
	}
	if (epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_ADD, pending->trap.a, &event) == 0) {
		pending->trap.watched = true;
	} else {
		trap_error(&pending->trap, errno);
		pending->retry = NULL;
	}
}

void
pending_wait(struct pending *pending, uint32_t events, int timeout_option)
{
	pending_wait_on(pending, events, timeout_option);
	if (!pending->retry)
		pending_free(pending);
}

/* The program has gone away from this call, or its time is up. */
static void
pending_drop(struct pending *pending)
{
	if (pending->retry) {
		pending_free(pending);
		return;
	}
	if (!pending->abandoned && pending->abandon)
		pending->abandon(pending);
	pending->abandoned = true; /* freed when the gofer answers */
}

void
pending_drop_of(struct supervisor *supervisor, uint32_t tid)
{
	for (struct pending *at = supervisor->pendings, *next; at; at = next) {
		next = at->next;
		if (at->trap.call.pid == tid && !at->abandoned)
			pending_drop(at);
	}
}

#define ERESTARTSYS 512

enum signalled { NO_SIGNAL, HAS_SIGNAL, MAY_HAVE_SIGNAL };

/* Has the thread a signal to handle, or to stop for? One sent to the whole process may be for another of its threads. */
static enum signalled
signalled(uint32_t tid)
{
	unsigned long long own = 0, shared = 0, blocked = 0;
	unsigned threads = 1;
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%u/status", tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file)) {
		sscanf(line, "Threads: %u", &threads);
		sscanf(line, "SigPnd: %llx", &own);
		sscanf(line, "ShdPnd: %llx", &shared);
		sscanf(line, "SigBlk: %llx", &blocked);
	}
	if (file)
		fclose(file);
	if ((own & ~blocked) || (threads == 1 && (shared & ~blocked)))
		return HAS_SIGNAL;
	return shared & ~blocked ? MAY_HAVE_SIGNAL : NO_SIGNAL;
}

/* Ends a call that blocks for a signal. Calls that wait for the gofer alone are over soon. */
static void
interrupt(struct pending *pending)
{
	enum signalled is = pending->retry || pending->abandon ? signalled(pending->trap.call.pid) : NO_SIGNAL;
	bool again = is == MAY_HAVE_SIGNAL && !pending->may_have_signal;

	pending->may_have_signal = is == MAY_HAVE_SIGNAL;
	if (is == NO_SIGNAL || again)
		return;
	if (!pending->retry)
		pending->abandon(pending);
	/* sock_intr_errno(); and ERESTARTSYS would show if the signal were not for this thread after all. */
	trap_error(&pending->trap, is == HAS_SIGNAL && !pending->deadline_ms ? ERESTARTSYS : EINTR);
	if (pending->retry)
		pending_free(pending);
	else
		pending->abandoned = true;
}

static void
check_pendings(struct supervisor *supervisor)
{
	int64_t now = now_ms();

	for (struct pending *at = supervisor->pendings, *next; at; at = next) {
		next = at->next;
		if (at->abandoned)
			continue;
		if (at->deadline_ms && at->deadline_ms <= now) {
			if (!at->retry && at->abandon)
				at->abandon(at);
			trap_error(&at->trap, at->deadline_error);
			at->abandon = NULL;
		} else if (trap_valid(&at->trap)) {
			if (supervisor->killable)
				interrupt(at);
			continue;
		}
		pending_drop(at);
	}
}

/* ---- borrowing A -------------------------------------------------------------------------------- */

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

/* Finds a process that has A open, and which of its descriptors that is: where A was last seen, or anywhere under us. */
static int
take_from(pid_t pid, int number, uint64_t inode)
{
	struct stat st;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), fd;

	if (pidfd < 0)
		return -1;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	close(pidfd);
	if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_ino != inode)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int
search_process(pid_t pid, uint64_t inode)
{
	char path[64], want[64], link[64];
	struct dirent *entry;
	int fd = -1;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return -1;
	snprintf(want, sizeof want, "socket:[%llu]", (unsigned long long)inode);
	while (fd < 0 && (entry = readdir(dir))) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1);

		if (len > 0 && (link[len] = 0, strcmp(link, want) == 0))
			fd = take_from(pid, atoi(entry->d_name), inode);
	}
	closedir(dir);
	return fd;
}

static int
borrow(struct ss *ss, const struct link *link)
{
	int fd = link->pid > 0 ? take_from(link->pid, link->fd, link->by_inode.key) : -1;
	struct dirent *entry;
	DIR *dir;

	(void)ss;
	if (fd >= 0)
		return fd;
	dir = opendir("/proc");
	while (dir && fd < 0 && (entry = readdir(dir)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && atoi(entry->d_name) != getpid())
			fd = search_process(atoi(entry->d_name), link->by_inode.key);
	if (dir)
		closedir(dir);
	return fd;
}

/* ---- the loop ----------------------------------------------------------------------------------- */

static void
handle(struct supervisor *supervisor, const struct seccomp_notif *call)
{
	pthread_mutex_lock(&supervisor->lock);
	trap_handle(supervisor, call);
	pthread_mutex_unlock(&supervisor->lock);
}

static void
take_notification(struct supervisor *supervisor)
{
	struct seccomp_notif call = {0};

	/* ENOENT: the call ended before we saw it. */
	if (ioctl(supervisor->notify_fd, SECCOMP_IOCTL_NOTIF_RECV, &call) == 0)
		handle(supervisor, &call);
}

static void
session_gone(struct ss *ss)
{
	struct supervisor *supervisor = ss->owner;

	pthread_mutex_lock(&supervisor->lock);
	if (!supervisor->told_down)
		log_warning("the gofer is gone: connections are lost, and new sockets fail with ENETDOWN");
	supervisor->told_down = true;
	pthread_mutex_unlock(&supervisor->lock);
	supervisor->session_over = true;
}

/* Tries those pending calls again whose A is ready. The batch may hold pendings that an earlier retry has freed. */
static void
retry_ready(struct supervisor *supervisor, struct pending *ready)
{
	pthread_mutex_lock(&supervisor->lock);
	for (struct pending *at = supervisor->pendings; at; at = at->next) {
		if (at == ready) {
			if (at->retry(at))
				pending_free(at);
			break;
		}
	}
	pthread_mutex_unlock(&supervisor->lock);
}

static bool
watch(struct supervisor *supervisor, int fd, void *tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};

	return epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

void
supervisor_init(struct supervisor *supervisor)
{
	pthread_mutexattr_t adaptive;

	*supervisor = (struct supervisor){
		.ss.owner = supervisor, .notify_fd = -1, .epoll_fd = -1, .procnet = {.directory = -1, .netlink = -1, .inotify = -1}};
	/* Held for a few microseconds at a time by threads that answer each other: spinning beats a futex. */
	pthread_mutexattr_init(&adaptive);
	pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&supervisor->lock, &adaptive);
	surrogates_init(&supervisor->surrogates, &supervisor->ss);
}

enum supervisor_end
supervisor_run(struct supervisor *supervisor, const struct seccomp_notif *first)
{
	int64_t next_sweep = now_ms() + SWEEP_MS, next_check = 0;
	bool sweep = false, ended = false;

	supervisor->ss.borrow = borrow;
	supervisor->ss.ended = session_gone;
	supervisor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	/* Wakes the program on the processor that it waits on: faster, where the kernel knows it (6.6). */
	ioctl(supervisor->notify_fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	if (supervisor->epoll_fd < 0 || !watch(supervisor, supervisor->notify_fd, &supervisor->notify_fd) ||
	    (supervisor->starter && !watch(supervisor, supervisor->starter->fd, supervisor->starter))) {
		log_error("cannot watch the program: %s", strerror(errno));
		return SUPERVISOR_FAILED;
	}
	if (supervisor->procnet.netlink >= 0)
		watch(supervisor, supervisor->procnet.netlink, &supervisor->procnet);
	if (supervisor->procnet.inotify >= 0)
		watch(supervisor, supervisor->procnet.inotify, &supervisor->procnet);
	if (first)
		handle(supervisor, first);
	while (!ended || (supervisor->starter && !supervisor->starter->satisfied)) {
		struct epoll_event event;
		int count = epoll_wait(supervisor->epoll_fd, &event, 1, supervisor->pending_count ? CHECK_MS : sweep ? SWEEP_MS : 1000);

		/* What is ready is met again by the next session. */
		if (supervisor->ends_with_session && supervisor->session_over && !supervisor->pending_count)
			return SUPERVISOR_SESSION_OVER;
		if (count == 1 && event.data.ptr == &supervisor->notify_fd) {
			if (event.events & EPOLLIN)
				take_notification(supervisor);
			else if (event.events & EPOLLHUP) {
				ended = true;
				epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_DEL, supervisor->notify_fd, NULL);
				if (supervisor->starter)
					supervisor->starter->hear(supervisor->starter);
			}
		} else if (count == 1 && event.data.ptr == supervisor->starter) {
			supervisor->starter->hear(supervisor->starter);
		} else if (count == 1 && event.data.ptr == &supervisor->procnet) {
			if (event.events & (EPOLLHUP | EPOLLERR)) /* the gofer is gone */
				procnet_stop(&supervisor->procnet);
			else
				procnet_hear(&supervisor->procnet);
		} else if (count == 1) {
			retry_ready(supervisor, event.data.ptr);
		}
		if (supervisor->pending_count && now_ms() >= next_check) {
			pthread_mutex_lock(&supervisor->lock);
			check_pendings(supervisor);
			pthread_mutex_unlock(&supervisor->lock);
			next_check = now_ms() + CHECK_MS;
		}
		procnet_tick(&supervisor->procnet);
		if (now_ms() >= next_sweep) {
			sweep = link_sweep_wanted(&supervisor->ss);
			if (sweep)
				link_sweep(&supervisor->ss);
			next_sweep = now_ms() + SWEEP_MS;
		}
	}
	return SUPERVISOR_DONE;
}

void
supervisor_release(struct supervisor *supervisor)
{
	supervisor->ss.ended = NULL; /* ending it is our doing */
	if (supervisor->interfaces) {
		link_unref(supervisor->interfaces);
		close(supervisor->interfaces_fd);
	}
	procnet_stop(&supervisor->procnet);
	surrogates_stop(&supervisor->surrogates);
	ss_destroy(&supervisor->ss);
	for (size_t i = 0; i < PIDFDS; i++)
		if (supervisor->pidfds[i].tid)
			close(supervisor->pidfds[i].fd);
	if (supervisor->epoll_fd >= 0)
		close(supervisor->epoll_fd);
	pthread_mutex_destroy(&supervisor->lock);
}
