/*
 * Loaded into a program by LD_PRELOAD, this makes one of its calls fail: that of the point that the shared page names (points.h). Calls that
 * libraries make count, too: the C library's own for memory, NNG's for everything.
 *
 * Who called is told by unwinding, since one line of loop_watch() or of the codec serves everybody. That needs no memory.
 */
#include "tests/faults/points.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unwind.h>

#include "tests/faults/calls.h"

static struct points *points;
/* Unwinding may call what is injected. */
static _Thread_local bool inside __attribute__((tls_model("initial-exec")));

/* ---- which point this is ------------------------------------------------------------------------ */

struct walk {
	uint64_t key;
	uint32_t frame_count, own_frames, seen;
	struct point_frame frames[POINT_FRAMES];
};

static uint64_t
mix(uint64_t hash, const void *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ ((const uint8_t *)data)[i]) * 0x100000001b3;
	return hash;
}

static _Unwind_Reason_Code
walk_frame(struct _Unwind_Context *context, void *arg)
{
	struct walk *walk = arg;
	uintptr_t pc = _Unwind_GetIP(context);
	struct dl_find_object found;
	const char *name, *slash;
	uint64_t offset;

	if (!pc || _dl_find_object((void *)pc, &found) < 0 || ++walk->seen > 24)
		return _URC_END_OF_STACK;
	if ((const char *)&points >= (const char *)found.dlfo_map_start && (const char *)&points < (const char *)found.dlfo_map_end)
		return _URC_NO_REASON; /* this library */
	name = found.dlfo_link_map->l_name;
	slash = strrchr(name, '/');
	name = slash ? slash + 1 : name;
	offset = pc - (uintptr_t)found.dlfo_map_start;
	walk->key = mix(mix(walk->key, name, strlen(name)), &offset, sizeof offset);
	if (walk->frame_count < POINT_FRAMES) {
		struct point_frame *frame = &walk->frames[walk->frame_count++];

		strncpy(frame->module, name, sizeof frame->module - 1);
		frame->offset = offset;
	}
	return !*name && ++walk->own_frames >= points->depth ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static void
record(enum injected_call call, const struct walk *walk)
{
	for (uint32_t tries = 0, at = (uint32_t)walk->key; tries < POINTS_MAX; tries++, at++) {
		struct point *point = &points->table[at % POINTS_MAX];
		uint64_t free_place = 0;

		if (atomic_compare_exchange_strong(&point->key, &free_place, walk->key)) {
			point->call = call;
			memcpy(point->frames, walk->frames, sizeof point->frames);
			point->frame_count = walk->frame_count;
			free_place = walk->key;
		}
		if (free_place == walk->key) {
			atomic_fetch_add(&point->hits, 1);
			return;
		}
	}
	atomic_fetch_add(&points->dropped, 1);
}

/* The error with which this call is to fail, or 0. */
static int
fault(enum injected_call call)
{
	uint32_t mode = points && !inside ? atomic_load(&points->mode) : POINTS_PASS;
	struct walk walk = {0};
	int saved = errno, error = 0;
	uint32_t calls;

	if (mode == POINTS_PASS)
		return 0;
	inside = true;
	walk.key = mix(0xcbf29ce484222325, &call, sizeof call);
	_Unwind_Backtrace(walk_frame, &walk);
	if (mode == POINTS_COUNT) {
		record(call, &walk);
	} else if (walk.key == points->key) {
		calls = atomic_fetch_add(&points->calls, 1) + 1;
		if (calls >= points->first && (!points->times || calls < points->first + points->times)) {
			atomic_fetch_add(&points->fired, 1);
			error = points->error;
		}
	}
	inside = false;
	errno = saved;
	return error;
}

/* Not before the program's own libraries are up; and only in the program that is meant, not in those that it starts. */
__attribute__((constructor)) static void
attach(void)
{
	const char *path = getenv(POINTS_PAGE_VARIABLE), *program = getenv(POINTS_PROGRAM_VARIABLE);
	struct points *page;
	int fd;

	if (!path || !program || strcmp(program, program_invocation_short_name) != 0)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	unsetenv("LD_PRELOAD");
	unsetenv(POINTS_PAGE_VARIABLE);
	if (page != MAP_FAILED)
		points = page;
}

/* ---- the calls ---------------------------------------------------------------------------------- */

#define EXPORTED __attribute__((visibility("default")))

#define REAL(name)                                                       \
	static __typeof__(&name) real;                                   \
	if (!real)                                                       \
		real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define INJECT(type, name, parameters, arguments, failure) \
	EXPORTED type name parameters                      \
	{                                                  \
		int error = fault(CALL_##name);            \
		REAL(name);                                \
		if (error) {                               \
			errno = error;                     \
			return failure;                    \
		}                                          \
		return real arguments;                     \
	}

/* Those that do what they do even where they tell of an error. */
#define INJECT_AFTER(type, name, parameters, arguments, failure) \
	EXPORTED type name parameters                            \
	{                                                        \
		int error = fault(CALL_##name);                  \
		type value;                                      \
		REAL(name);                                      \
		value = real arguments;                          \
		if (error)                                       \
			errno = error;                           \
		return error ? failure : value;                  \
	}

INJECT(void *, malloc, (size_t size), (size), NULL)
INJECT(void *, calloc, (size_t count, size_t size), (count, size), NULL)
INJECT(void *, realloc, (void *old, size_t size), (old, size), NULL)
INJECT(void *, reallocarray, (void *old, size_t count, size_t size), (old, count, size), NULL)
INJECT(char *, strdup, (const char *text), (text), NULL)
INJECT(int, socket, (int family, int type, int protocol), (family, type, protocol), -1)
INJECT(int, accept, (int fd, struct sockaddr *address, socklen_t *len), (fd, address, len), -1)
INJECT(int, accept4, (int fd, struct sockaddr *address, socklen_t *len, int flags), (fd, address, len, flags), -1)
INJECT(int, connect, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len), -1)
INJECT(int, bind, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len), -1)
INJECT(int, listen, (int fd, int backlog), (fd, backlog), -1)
INJECT(int, getsockname, (int fd, struct sockaddr *address, socklen_t *len), (fd, address, len), -1)
INJECT(int, getpeername, (int fd, struct sockaddr *address, socklen_t *len), (fd, address, len), -1)
INJECT(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len), (fd, level, name, value, len), -1)
INJECT(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len), (fd, level, name, value, len), -1)
INJECT(ssize_t, recvfrom, (int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *len),
       (fd, data, size, flags, address, len), -1)
INJECT(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), -1)
INJECT(int, recvmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout),
       (fd, messages, count, flags, timeout), -1)
INJECT(ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags), -1)
INJECT(ssize_t, sendto, (int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t len),
       (fd, data, size, flags, address, len), -1)
INJECT(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), -1)
INJECT(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags), (fd, messages, count, flags), -1)
INJECT(ssize_t, readv, (int fd, const struct iovec *iov, int count), (fd, iov, count), -1)
INJECT(ssize_t, pread, (int fd, void *data, size_t size, off_t offset), (fd, data, size, offset), -1)
INJECT(ssize_t, splice, (int in, loff_t *in_at, int out, loff_t *out_at, size_t size, unsigned flags),
       (in, in_at, out, out_at, size, flags), -1)
INJECT(int, epoll_create1, (int flags), (flags), -1)
INJECT(int, epoll_wait, (int set, struct epoll_event *events, int room, int timeout), (set, events, room, timeout), -1)
INJECT(int, poll, (struct pollfd *fds, nfds_t count, int timeout), (fds, count, timeout), -1)
INJECT(int, pipe, (int fds[2]), (fds), -1)
INJECT(int, pipe2, (int fds[2], int flags), (fds, flags), -1)
INJECT(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1)
INJECT(int, ftruncate, (int fd, off_t size), (fd, size), -1)
INJECT(int, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags), -1)
INJECT(int, timerfd_create, (int clock, int flags), (clock, flags), -1)
INJECT(int, inotify_init1, (int flags), (flags), -1)
INJECT(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask), -1)
INJECT(int, dup, (int fd), (fd), -1)
INJECT(int, dup2, (int fd, int to), (fd, to), -1)
INJECT(int, dup3, (int fd, int to, int flags), (fd, to, flags), -1)
INJECT(FILE *, fopen, (const char *path, const char *mode), (path, mode), NULL)
INJECT(FILE *, fdopen, (int fd, const char *mode), (fd, mode), NULL)
INJECT(DIR *, opendir, (const char *path), (path), NULL)
INJECT(DIR *, fdopendir, (int fd), (fd), NULL)
INJECT(struct dirent *, readdir, (DIR *dir), (dir), NULL)
INJECT(ssize_t, readlink, (const char *path, char *text, size_t size), (path, text, size), -1)
INJECT(ssize_t, readlinkat, (int at, const char *path, char *text, size_t size), (at, path, text, size), -1)
INJECT(int, lstat, (const char *path, struct stat *st), (path, st), -1)
INJECT(int, stat, (const char *path, struct stat *st), (path, st), -1)
INJECT(int, access, (const char *path, int mode), (path, mode), -1)
INJECT(int, chmod, (const char *path, mode_t mode), (path, mode), -1)
INJECT(int, flock, (int fd, int how), (fd, how), -1)
INJECT(int, unlink, (const char *path), (path), -1)
INJECT(int, unlinkat, (int at, const char *path, int flags), (at, path, flags), -1)
INJECT(int, mkdir, (const char *path, mode_t mode), (path, mode), -1)
INJECT(int, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), -1)
INJECT(char *, mkdtemp, (char *path), (path), NULL)
INJECT(int, symlink, (const char *to, const char *path), (to, path), -1)
INJECT(int, symlinkat, (const char *to, int at, const char *path), (to, at, path), -1)
INJECT(int, renameat, (int from_at, const char *from, int to_at, const char *to), (from_at, from, to_at, to), -1)
INJECT(void *, mmap, (void *address, size_t size, int protection, int flags, int fd, off_t offset),
       (address, size, protection, flags, fd, offset), MAP_FAILED)
INJECT_AFTER(int, munmap, (void *address, size_t size), (address, size), -1)
INJECT(int, getrlimit, (__rlimit_resource_t what, struct rlimit *limit), (what, limit), -1)
INJECT(int, setrlimit, (__rlimit_resource_t what, const struct rlimit *limit), (what, limit), -1)
INJECT(pid_t, fork, (void), (), -1)
INJECT(pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options), -1)
INJECT(int, kill, (pid_t pid, int number), (pid, number), -1)
INJECT(int, execvp, (const char *file, char *const *arguments), (file, arguments), -1)
INJECT(int, setns, (int fd, int kind), (fd, kind), -1)
INJECT(int, unshare, (int flags), (flags), -1)
INJECT(int, mount, (const char *source, const char *target, const char *type, unsigned long flags, const void *data),
       (source, target, type, flags, data), -1)
INJECT(int, fsopen, (const char *name, unsigned flags), (name, flags), -1)
INJECT(int, fsconfig, (int fd, unsigned command, const char *key, const void *value, int more), (fd, command, key, value, more), -1)
INJECT(int, fsmount, (int fd, unsigned flags, unsigned attributes), (fd, flags, attributes), -1)
INJECT(int, open_tree, (int at, const char *path, unsigned flags), (at, path, flags), -1)
INJECT(int, move_mount, (int from_at, const char *from, int to_at, const char *to, unsigned flags), (from_at, from, to_at, to, flags), -1)
INJECT(ssize_t, process_vm_readv, (pid_t pid, const struct iovec *here, unsigned long here_count, const struct iovec *there,
       unsigned long there_count, unsigned long flags), (pid, here, here_count, there, there_count, flags), -1)
INJECT(ssize_t, process_vm_writev, (pid_t pid, const struct iovec *here, unsigned long here_count, const struct iovec *there,
       unsigned long there_count, unsigned long flags), (pid, here, here_count, there, there_count, flags), -1)

EXPORTED int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *arg)
{
	int error = fault(CALL_pthread_create);

	REAL(pthread_create);
	return error ? error : real(thread, attributes, start, arg);
}

/* Only what makes something can lack memory for it: a registration that changes or ends is there already. */
EXPORTED int
epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
	int error = op == EPOLL_CTL_ADD ? fault(CALL_epoll_ctl) : 0;

	REAL(epoll_ctl);
	if (error) {
		errno = error;
		return -1;
	}
	return real(set, op, fd, event);
}

/* Reads and writes of an eventfd add to a number, which cannot fail. */
enum { DESCRIPTORS = 65536 };
static _Atomic bool is_eventfd[DESCRIPTORS];

static bool
can_fail(int fd)
{
	return fd < 0 || fd >= DESCRIPTORS || !is_eventfd[fd];
}

EXPORTED int
eventfd(unsigned initial, int flags)
{
	int error = fault(CALL_eventfd), fd;

	REAL(eventfd);
	if (error) {
		errno = error;
		return -1;
	}
	fd = real(initial, flags);
	if (fd >= 0 && fd < DESCRIPTORS)
		is_eventfd[fd] = true;
	return fd;
}

EXPORTED ssize_t
read(int fd, void *data, size_t size)
{
	int error = can_fail(fd) ? fault(CALL_read) : 0;

	REAL(read);
	if (error) {
		errno = error;
		return -1;
	}
	return real(fd, data, size);
}

EXPORTED ssize_t
write(int fd, const void *data, size_t size)
{
	int error = can_fail(fd) ? fault(CALL_write) : 0;

	REAL(write);
	if (error) {
		errno = error;
		return -1;
	}
	return real(fd, data, size);
}

EXPORTED int
close(int fd)
{
	int error = fault(CALL_close), value;

	REAL(close);
	if (fd >= 0 && fd < DESCRIPTORS)
		is_eventfd[fd] = false;
	value = real(fd);
	if (error)
		errno = error;
	return error ? -1 : value;
}

/* Flags are only set; the other commands make something. */
EXPORTED int
fcntl(int fd, int command, ...)
{
	bool makes = command != F_GETFD && command != F_SETFD && command != F_GETFL && command != F_SETFL;
	int error = makes ? fault(CALL_fcntl) : 0;
	unsigned long more;
	va_list list;

	REAL(fcntl);
	va_start(list, command);
	more = va_arg(list, unsigned long);
	va_end(list);
	if (error) {
		errno = error;
		return -1;
	}
	return real(fd, command, more);
}

/* Urgent data that was announced is there. */
EXPORTED ssize_t
recv(int fd, void *data, size_t size, int flags)
{
	int error = flags & MSG_OOB ? 0 : fault(CALL_recv);

	REAL(recv);
	if (error) {
		errno = error;
		return -1;
	}
	return real(fd, data, size, flags);
}

/* To the kernel's answers for seccomp nothing can happen but a signal. */
EXPORTED int
ioctl(int fd, unsigned long request, ...)
{
	int error = fault(CALL_ioctl);
	unsigned long more;
	va_list list;

	REAL(ioctl);
	va_start(list, request);
	more = va_arg(list, unsigned long);
	va_end(list);
	if (error) {
		errno = request == SECCOMP_IOCTL_NOTIF_SEND || request == SECCOMP_IOCTL_NOTIF_RECV || request == SECCOMP_IOCTL_NOTIF_ID_VALID ? EINTR : error;
		return -1;
	}
	return real(fd, request, more);
}

/* With arguments of which the kernel takes as many as it needs. */
#define INJECT_VARIADIC(name, first, first_name, second, second_name)           \
	EXPORTED int name(first first_name, second second_name, ...)            \
	{                                                                       \
		int error = fault(CALL_##name);                                 \
		unsigned long more[3];                                          \
		va_list list;                                                   \
		REAL(name);                                                     \
		va_start(list, second_name);                                    \
		for (int i = 0; i < 3; i++)                                     \
			more[i] = va_arg(list, unsigned long);                  \
		va_end(list);                                                   \
		if (error) {                                                    \
			errno = error;                                          \
			return -1;                                              \
		}                                                               \
		return real(first_name, second_name, more[0], more[1], more[2]); \
	}

INJECT_VARIADIC(open, const char *, path, int, flags)

EXPORTED int
openat(int at, const char *path, int flags, ...)
{
	int error = fault(CALL_openat);
	va_list list;
	mode_t mode;

	REAL(openat);
	va_start(list, flags);
	mode = va_arg(list, mode_t);
	va_end(list);
	if (error) {
		errno = error;
		return -1;
	}
	return real(at, path, flags, mode);
}

EXPORTED int
prctl(int option, ...)
{
	int error = fault(CALL_prctl);
	unsigned long more[4];
	va_list list;

	REAL(prctl);
	va_start(list, option);
	for (int i = 0; i < 4; i++)
		more[i] = va_arg(list, unsigned long);
	va_end(list);
	if (error) {
		errno = error;
		return -1;
	}
	return real(option, more[0], more[1], more[2], more[3]);
}

EXPORTED long
syscall(long number, ...)
{
	int error = number != SYS_shutdown ? fault(CALL_syscall) : 0;
	unsigned long more[6];
	va_list list;

	REAL(syscall);
	va_start(list, number);
	for (int i = 0; i < 6; i++)
		more[i] = va_arg(list, unsigned long);
	va_end(list);
	if (error) {
		errno = error;
		return -1;
	}
	return real(number, more[0], more[1], more[2], more[3], more[4], more[5]);
}
