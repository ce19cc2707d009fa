/*
 * Trapped calls: which link they are about, and those that make, name and end sockets.
 *
 * Nothing is decided here that matters for security: the gofer decides, on its own copy of the arguments. A call on a descriptor that is no
 * link of ours continues in the kernel.
 */
#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "sentry_side/run/sole.h"
#include "sentry_side/run/supervisor.h"

struct trapped_call {
	int number;
	void (*handle)(struct trap *trap);
	bool needs_a; /* works on A, or must keep it from hanging up until the gofer has answered */
};

static const struct trapped_call trapped_calls[] = {
	{SYS_connect, trap_connect, true},
	{SYS_bind, trap_bind, true},
	{SYS_listen, trap_listen, true},
	{SYS_accept, trap_accept, true},
	{SYS_accept4, trap_accept, true},
	{SYS_getsockname, trap_getsockname, false},
	{SYS_getpeername, trap_getpeername, true},
	{SYS_shutdown, trap_shutdown, true},
	{SYS_setsockopt, trap_setsockopt, true},
	{SYS_getsockopt, trap_getsockopt, true},
	{SYS_ioctl, trap_ioctl, true},
	{SYS_sendto, trap_sendto, true},
	{SYS_sendmsg, trap_sendmsg, true},
	{SYS_sendmmsg, trap_sendmmsg, true},
	{SYS_recvfrom, trap_recvfrom, true},
	{SYS_recvmsg, trap_recvmsg, true},
	{SYS_recvmmsg, trap_recvmmsg, true},
};

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

pid_t
thread_group(uint32_t tid)
{
	char path[64], line[128];
	int tgid = (int)tid;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%u/status", tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "Tgid: %d", &tgid) == 1)
			break;
	if (file)
		fclose(file);
	return tgid;
}

/* A pidfd of the calling thread, kept, since opening one for each call costs. A stale one finds no process: see below. */
static struct pidfd *
pidfd_of(struct supervisor *supervisor, uint32_t tid, bool afresh)
{
	struct pidfd *slot = &supervisor->pidfds[tid % PIDFDS];

	if (slot->tid == tid && !afresh)
		return slot;
	if (slot->tid)
		close(slot->fd);
	slot->fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	if (slot->fd < 0 && errno == EINVAL) /* before 6.9 there are only those of whole processes */
		slot->fd = (int)syscall(SYS_pidfd_open, thread_group(tid), 0);
	slot->tid = slot->fd < 0 ? 0 : tid;
	return slot->tid ? slot : NULL;
}

static int
borrow_from_caller(struct trap *trap, int number)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		struct pidfd *pidfd = pidfd_of(trap->supervisor, trap->call.pid, attempt > 0);
		int fd = pidfd ? (int)syscall(SYS_pidfd_getfd, pidfd->fd, number, 0) : -1;

		if (fd >= 0 || errno != ESRCH)
			return fd;
	}
	return -1;
}

/* The inode of a socket among the caller's descriptors, or 0. */
static uint64_t
socket_inode(const struct trap *trap, int number)
{
	char path[64], target[64];
	unsigned long long inode;
	ssize_t len;

	snprintf(path, sizeof path, "/proc/%u/fd/%d", trap->call.pid, number);
	len = readlink(path, target, sizeof target - 1);
	if (len < 0 && errno == EACCES && !trap->supervisor->told_out_of_reach) {
		trap->supervisor->told_out_of_reach = true;
		log_warning("process %u cannot be served, since we may not look into it: it has become another user, which takes CAP_SYS_PTRACE or "
		            "--isolate here, or has made itself undumpable", trap->call.pid);
	}
	if (len <= 0)
		return 0;
	target[len] = 0;
	return sscanf(target, "socket:[%llu]", &inode) == 1 ? inode : 0;
}

/*
 * Interfaces may be asked for through any socket, and the C library's if_nametoindex() uses one of AF_UNIX: the program's own are in a
 * namespace that has none. Returns a referenced link, or NULL.
 */
static struct link *
link_for_interfaces(struct supervisor *supervisor)
{
	if (!supervisor->interfaces &&
	    link_socket(&supervisor->ss, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, &supervisor->interfaces_fd, &supervisor->interfaces) != 0)
		return NULL;
	return link_ref(supervisor->interfaces);
}

void
trap_handle(struct supervisor *supervisor, const struct seccomp_notif *call)
{
	struct trap trap = {.supervisor = supervisor, .call = *call, .a = -1};
	const struct trapped_call *trapped = NULL;
	int number = (int)call->data.args[0];
	struct stat st;
	uint64_t inode;

	if (supervisor->pendings)
		pending_drop_of(supervisor, call->pid);
	if (call->data.nr == SYS_socket) {
		trap_socket(&trap);
		return;
	}
	for (size_t i = 0; i < sizeof trapped_calls / sizeof *trapped_calls && !trapped; i++)
		if (trapped_calls[i].number == call->data.nr)
			trapped = &trapped_calls[i];
	inode = trapped ? socket_inode(&trap, number) : 0;
	trap.link = inode ? link_by_inode(&supervisor->ss, inode) : NULL;
	if ((!trap.link || trap.link->family == AF_PACKET) && inode && call->data.nr == SYS_ioctl && is_interface_ioctl((uint32_t)call->data.args[1])) {
		link_unref(trap.link);
		trap.link = link_for_interfaces(supervisor);
		if (trap.link) {
			trap_ioctl(&trap);
			link_unref(trap.link);
			return;
		}
	}
	if (!trap.link) {
		trap_continue(&trap);
		return;
	}
	if (trapped->needs_a) {
		trap.a = borrow_from_caller(&trap, number);
		/* Another thread may have put something else under that number since. */
		if (trap.a >= 0 && (fstat(trap.a, &st) < 0 || st.st_ino != inode)) {
			close(trap.a);
			trap.a = -1;
			errno = EBADF;
		}
		if (trap.a < 0) {
			if (errno == EPERM)
				log_warning("process %u cannot be served: pidfd_getfd is not permitted here", call->pid);
			trap_error(&trap, errno == EPERM ? EPERM : EBADF);
			link_unref(trap.link);
			return;
		}
	}
	trap.link->pid = (int)call->pid;
	trap.link->fd = number;
	if (trap.link->surrogate && trap.a >= 0)
		surrogate_flush(trap.link);
	if (trap_valid(&trap) && trap.link->family == AF_PACKET)
		trap_packet(&trap);
	else if (trap_valid(&trap))
		trapped->handle(&trap);
	if (trap.a >= 0)
		close(trap.a);
	link_unref(trap.link);
}

static bool
is_nonblocking(const struct trap *trap)
{
	return fcntl(trap->a, F_GETFL) & O_NONBLOCK;
}

/* ---- socket ------------------------------------------------------------------------------------- */

static void
say_why_down(struct trap *trap)
{
	if (!trap->supervisor->told_down)
		log_warning("the gofer is gone: new sockets fail with ENETDOWN");
	trap->supervisor->told_down = true;
}

/* Gives the program its A, and the trap its answer. Takes over fd and the link. */
static void
give_socket(struct trap *trap, int fd)
{
	int number;

	trap->link->pid = (int)trap->call.pid;
	if (!link_is_stream(trap->link)) {
		trap->link->made_by = trap->call.pid;
		trap->link->made_after = sole_last_pid(trap->supervisor->surrogates.loadavg);
	}
	number = trap_add_fd(trap, &fd, (int)trap->call.data.args[1] & SOCK_CLOEXEC);
	if (number >= 0)
		trap->link->fd = number;
	else if (number != -ENOENT)
		trap_answer(trap, number);
	if (fd >= 0)
		close(fd);
	link_unref(trap->link);
	trap->link = NULL;
}

static void
refuse_socket(struct trap *trap, int fd, int error)
{
	link_discard(trap->link);
	trap->link = NULL;
	close(fd);
	trap_answer(trap, error);
}

void
say_why_refused(struct trap *trap, int error)
{
	if (error != EPERM || !trap->supervisor->gofer_is_private || trap->supervisor->told_refused)
		return;
	trap->supervisor->told_refused = true;
	log_warning("raw and packet sockets are refused: the private gofer has your own rights, and you have no CAP_NET_RAW; "
	            "--gofer names one that has it");
}

static void
finish_socket(struct pending *pending, const struct link_result *result)
{
	say_why_refused(&pending->trap, result->error);
	if (result->error)
		refuse_socket(&pending->trap, pending->socket_fd, result->error);
	else
		give_socket(&pending->trap, pending->socket_fd);
}

void
trap_socket(struct trap *trap)
{
	struct pending *pending;
	int type = (int)trap->call.data.args[1];
	int fd, error;

	/* Of old, packet sockets were AF_INET's. */
	if ((int)trap->call.data.args[0] == AF_PACKET ||
	    ((int)trap->call.data.args[0] == AF_INET && (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_PACKET)) {
		trap_packet_socket(trap);
		return;
	}
	error = link_socket(&trap->supervisor->ss, (int)trap->call.data.args[0], type, (int)trap->call.data.args[2], &fd,
	                    &trap->link);
	if (error == -ENETDOWN)
		say_why_down(trap);
	if (error) {
		trap_answer(trap, error);
		return;
	}
	if (!link_needs_leave(trap->link)) {
		give_socket(trap, fd);
		return;
	}
	pending = pending_new(trap);
	if (!pending) {
		link_discard(trap->link);
		close(fd);
		return;
	}
	pending->socket_fd = fd;
	pending->finish = finish_socket;
	error = link_query(pending->trap.link, pending_done, pending);
	if (error) {
		refuse_socket(&pending->trap, fd, error);
		pending_free(pending);
	}
}

/* ---- connect, bind, listen ---------------------------------------------------------------------- */

/* Reads a sockaddr argument as the kernel does. Returns 0 or a positive errno. */
static int
take_address(struct trap *trap, uint64_t address_at, uint64_t len, struct sockaddr_storage *address)
{
	if ((int)len < 0 || (int)len > (int)sizeof *address)
		return EINVAL;
	memset(address, 0, sizeof *address);
	return target_read(trap, address_at, address, (size_t)(int)len) ? 0 : EFAULT;
}

static void
finish_connect(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;
	int error = link_finish_connect(trap->link, trap->a, pending->nonblocking, result);

	if (!error && trap->link->surrogate)
		surrogate_connected(trap->link, trap->a);
	if ((pending->abandoned || !trap_answer(trap, error)) && !error && link_is_stream(trap->link))
		trap->link->connected_untold = true;
}

static void
abandon_connect(struct pending *pending)
{
	link_detach_connect(pending->trap.link, pending->trap.a);
	session_cancel(&pending->trap.supervisor->ss.session, pending->call_id);
}

/*
 * The stream's A has hung up, when its connect failed or was dissolved. The kernel would let the program connect the same descriptor
 * again, so it gets a fresh A under the same number.
 */
static int
renew(struct trap *trap)
{
	int number = (int)trap->call.data.args[0], fd;
	int error = link_renew(&trap->link, trap->a, is_nonblocking(trap) ? SOCK_NONBLOCK : 0, &fd);

	if (error)
		return error;
	error = trap_replace_fd(trap, number, fd);
	if (error) {
		close(fd);
		return error;
	}
	close(trap->a);
	trap->link->pid = (int)trap->call.pid;
	trap->link->fd = number;
	trap->a = fd;
	return 0;
}

/* AF_UNSPEC: the connection is dissolved, with a reset, and the descriptor as fresh as if there had been none. */
static void
finish_dissolve(struct pending *pending, const struct link_result *result)
{
	trap_answer(&pending->trap, result->error ? result->error : renew(&pending->trap));
}

void
trap_connect(struct trap *trap)
{
	struct sockaddr_storage address;
	struct timeval timeout;
	socklen_t timeout_len = sizeof timeout;
	struct pending *pending;
	int error = take_address(trap, trap->call.data.args[1], trap->call.data.args[2], &address);

	if (!error && link_is_stream(trap->link) && link_is_over(trap->link) && address.ss_family == AF_UNSPEC) {
		trap_answer(trap, renew(trap));
		return;
	}
	if (!error && link_is_stream(trap->link) && link_is_over(trap->link)) {
		error = link_reconnect(trap->link, trap->a);
		if (!error)
			error = -renew(trap);
	}
	if (error) {
		trap_error(trap, error);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->nonblocking = is_nonblocking(&pending->trap);
	if (link_is_stream(pending->trap.link) && pending->trap.link->linked && address.ss_family == AF_UNSPEC) {
		pending->finish = finish_dissolve;
		pending_started(pending, link_connect(pending->trap.link, (struct sockaddr *)&address,
		                                      (socklen_t)trap->call.data.args[2], false, pending_done, pending, NULL));
		return;
	}
	pending->finish = finish_connect;
	pending->abandon = abandon_connect;
	if (getsockopt(pending->trap.a, SOL_SOCKET, SO_SNDTIMEO, &timeout, &timeout_len) == 0 &&
	    (timeout.tv_sec || timeout.tv_usec)) {
		pending->deadline_ms = now_ms() + timeout.tv_sec * 1000 + (timeout.tv_usec + 999) / 1000;
		pending->deadline_error = pending->trap.link->state == LINK_CONNECTING ? EALREADY : EINPROGRESS;
	}
	pending_started(pending, link_connect(pending->trap.link, (struct sockaddr *)&address,
	                                      (socklen_t)trap->call.data.args[2], !pending->nonblocking, pending_done, pending,
	                                      &pending->call_id));
}

static void
finish_bind(struct pending *pending, const struct link_result *result)
{
	struct link *link = pending->trap.link;
	int error = result->error;
	/* The address may be held by a socket that the program has closed, which nobody has noticed yet, or only just. */
	bool again = error == EADDRINUSE && !pending->retried &&
	             (surrogates_sweep(&pending->trap.supervisor->surrogates) != pending->let_go || link_sweep(link->ss));

	if (again) {
		pending->retried = true;
		pending->finish = finish_bind;
		error = -link_bind(link, (struct sockaddr *)&pending->address, pending->address_len, pending_done, pending);
		if (!error)
			return;
		pending->finish = NULL;
	}
	if (!error && link->state == LINK_FRESH)
		link->state = LINK_BOUND;
	trap_answer(&pending->trap, error);
}

void
trap_bind(struct trap *trap)
{
	struct sockaddr_storage address;
	struct pending *pending;
	int error = take_address(trap, trap->call.data.args[1], trap->call.data.args[2], &address);

	if (error) {
		trap_error(trap, error);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->address = address;
	pending->address_len = (socklen_t)trap->call.data.args[2];
	pending->let_go = pending->trap.supervisor->surrogates.let_go;
	pending->finish = finish_bind;
	pending_started(pending, link_bind(pending->trap.link, (struct sockaddr *)&address, pending->address_len, pending_done,
	                                   pending));
}

static void
finish_listen(struct pending *pending, const struct link_result *result)
{
	trap_answer(&pending->trap, link_finish_listen(pending->trap.link, pending->trap.a, result));
}

void
trap_listen(struct trap *trap)
{
	struct pending *pending;

	if (!link_is_stream(trap->link)) {
		trap_error(trap, EOPNOTSUPP);
		return;
	}
	if (trap->link->state == LINK_CLOSED) {
		trap_error(trap, EINVAL);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->finish = finish_listen;
	pending_started(pending,
	                link_listen(pending->trap.link, (int)trap->call.data.args[1], pending_done, pending));
}

/* ---- accept ------------------------------------------------------------------------------------- */

/*
 * True: answered. False: nothing to accept yet.
 *
 * The connection leaves the queue before the answer, since the program may look at the listener as soon as it is answered. What then
 * cannot be delivered is stashed.
 */
static bool
try_accept(struct trap *trap)
{
	int flags = trap->call.data.nr == SYS_accept4 ? (int)trap->call.data.args[3] : 0;
	struct link *accepted;
	int fd, number, error = link_accept(trap->link, trap->a, true, &fd, &accepted);

	if (error == -EAGAIN)
		return false;
	if (error) {
		trap_answer(trap, error);
		return true;
	}
	if (trap->call.data.args[1])
		error = give_name(trap, &accepted->peer, trap->call.data.args[1], trap->call.data.args[2]);
	if (accepted->queued)
		link_accept_commit(trap->a);
	accepted->queued = false;
	if (error) { /* the connection is lost, as it is when the kernel cannot write the name */
		trap_error(trap, error);
		close(fd);
		link_unref(accepted);
		return true;
	}
	if (flags & SOCK_NONBLOCK)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	number = trap_add_fd(trap, &fd, flags & SOCK_CLOEXEC);
	if (number < 0) {
		link_accept_stash(trap->link, fd, accepted);
		if (number != -ENOENT)
			trap_answer(trap, number);
		return true;
	}
	accepted->pid = (int)trap->call.pid;
	accepted->fd = number;
	if (fd >= 0)
		close(fd);
	link_unref(accepted);
	return true;
}

static bool
retry_accept(struct pending *pending)
{
	return try_accept(&pending->trap);
}

void
trap_accept(struct trap *trap)
{
	struct pending *pending;

	if (trap->call.data.nr == SYS_accept4 && (int)trap->call.data.args[3] & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) {
		trap_error(trap, EINVAL);
		return;
	}
	if (try_accept(trap))
		return;
	if (is_nonblocking(trap)) {
		trap_error(trap, EAGAIN);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->retry = retry_accept;
	pending_wait(pending, EPOLLIN, SO_RCVTIMEO);
}

/* ---- names -------------------------------------------------------------------------------------- */

int
give_name(struct trap *trap, const struct link_name *name, uint64_t address_at, uint64_t len_at)
{
	int room, len = (int)name->len;

	if (!target_read(trap, len_at, &room, sizeof room))
		return EFAULT;
	if (room < 0)
		return EINVAL;
	if (!target_write(trap, address_at, &name->address, (size_t)(room < len ? room : len)) ||
	    !target_write(trap, len_at, &len, sizeof len))
		return EFAULT;
	return 0;
}

void
trap_getsockname(struct trap *trap)
{
	struct link_name name;

	link_local_name(trap->link, &name);
	trap_answer(trap, give_name(trap, &name, trap->call.data.args[1], trap->call.data.args[2]));
}

static void
answer_peer_name(struct trap *trap)
{
	struct link_name name;

	struct pollfd both_ends = {.fd = trap->a};

	/* When both halves have ended, there is no peer any more. */
	if (link_peer_name(trap->link, &name) &&
	    !(link_is_stream(trap->link) && poll(&both_ends, 1, 0) == 1 && both_ends.revents & POLLHUP))
		trap_answer(trap, give_name(trap, &name, trap->call.data.args[1], trap->call.data.args[2]));
	else
		trap_error(trap, ENOTCONN);
}

static void
finish_getpeername(struct pending *pending, const struct link_result *result)
{
	/* The connect may have ended since; whether it has, only the gofer knows. */
	if (!result->error && pending->trap.link->state == LINK_CONNECTING)
		pending->trap.link->state = LINK_CONNECTED;
	if (trap_valid(&pending->trap))
		answer_peer_name(&pending->trap);
}

void
trap_getpeername(struct trap *trap)
{
	struct pending *pending;

	if (trap->link->state != LINK_CONNECTING) {
		answer_peer_name(trap);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->finish = finish_getpeername;
	pending_started(pending, link_query(pending->trap.link, pending_done, pending));
}

/* ---- shutdown ----------------------------------------------------------------------------------- */

static void
finish_shutdown(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;

	/* What the host's datagram socket will not do any more, A must not do either. */
	if (!result->error && !link_is_stream(trap->link)) {
		trap->link->shut_down = true;
		shutdown(trap->a, (int)trap->call.data.args[1]);
		if (trap->link->surrogate)
			surrogate_shutdown(trap->link, (int)trap->call.data.args[1]);
	} else if (!result->error && (int)trap->call.data.args[1] != SHUT_WR) {
		trap->link->state = LINK_BOUND;
	}
	trap_answer(trap, result->error);
}

void
trap_shutdown(struct trap *trap)
{
	struct pending *pending;
	int how = (int)trap->call.data.args[1];

	if (how < SHUT_RD || how > SHUT_RDWR) {
		trap_error(trap, EINVAL);
		return;
	}
	if (trap->link->state == LINK_CLOSED) {
		trap_error(trap, ENOTCONN);
		return;
	}
	if (link_is_stream(trap->link) && trap->link->state != LINK_LISTENING) {
		/* The link carries it, behind the data. */
		if (trap->link->linked)
			trap_answer(trap, shutdown(trap->a, how) < 0 ? errno : 0);
		else
			trap_error(trap, ENOTCONN);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->finish = finish_shutdown;
	pending_started(pending, link_shutdown(pending->trap.link, how, pending_done, pending));
}
