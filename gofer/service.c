/*
 * NNG 1.5 can make listening sockets and cannot take one over. So it makes one of no name (abstract://), and in the moment when it calls listen(2), before it
 * has told epoll of it, the passed socket takes its descriptor's place. And when it is to close, it calls shutdown(2), which would end the socket for the
 * service manager, too. So this program has a listen() and a shutdown() of its own, which the dynamic linker prefers to the C library's, for
 * libraries as well.
 */
#include "gofer/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"

/* ---- passed sockets ----------------------------------------------------------------------------- */

/* A --listen has three, and there are eight of those. */
#define PASSED_MAX 24

static struct {
	int count;           /* -1: not asked for yet */
	bool taken[PASSED_MAX];
	bool nngs[PASSED_MAX]; /* NNG listens on it: by another descriptor, which is in `fds` */
	int fds[PASSED_MAX];
} passed = {.count = -1};

static int
passed_count(void)
{
	if (passed.count < 0)
		passed.count = sd_listen_fds(0) < 0 ? 0 : sd_listen_fds(0);
	return passed.count < PASSED_MAX ? passed.count : PASSED_MAX;
}

int
service_take_socket(int type, const char *path)
{
	for (int i = 0; i < passed_count(); i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (passed.taken[i] || sd_is_socket_unix(fd, type, 1, path, 0) <= 0)
			continue;
		passed.taken[i] = true;
		passed.fds[i] = fd;
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		return fd;
	}
	return -1;
}

bool
service_took_all(void)
{
	bool all = passed.count <= PASSED_MAX;

	if (!all)
		log_error("%d sockets were passed, which is more than there can be --listen", passed.count);
	for (int i = 0; i < passed_count(); i++) {
		struct sockaddr_un address = {0};
		socklen_t len = sizeof address - 1;

		if (passed.taken[i])
			continue;
		all = false;
		getsockname(SD_LISTEN_FDS_START + i, (struct sockaddr *)&address, &len);
		log_error("a socket was passed that no --listen names: %s",
		          address.sun_family == AF_UNIX && address.sun_path[0] ? address.sun_path : "one without a path");
	}
	return all;
}

static _Thread_local int replacement = -1;

/* See above. Otherwise it is the system call. */
__attribute__((visibility("default"))) int
listen(int fd, int backlog)
{
	int from = replacement;

	if (from < 0)
		return (int)syscall(SYS_listen, fd, backlog);
	replacement = -1;
	for (int i = 0; i < passed_count(); i++) {
		if (!passed.taken[i] || passed.fds[i] != from)
			continue;
		passed.fds[i] = fd;
		passed.nngs[i] = true;
	}
	return dup3(from, fd, O_CLOEXEC) < 0 ? -1 : 0;
}

/* Likewise. NNG closes its descriptor next. */
__attribute__((visibility("default"))) int
shutdown(int fd, int how)
{
	for (int i = 0; passed.count > 0 && i < passed_count(); i++)
		if (passed.nngs[i] && passed.fds[i] == fd)
			return 0;
	return (int)syscall(SYS_shutdown, fd, how);
}

int
service_listen(nng_stream_listener **listener, int fd)
{
	int error = nng_stream_listener_alloc(listener, "abstract://");

	if (error)
		return error;
	replacement = fd;
	error = nng_stream_listener_listen(*listener);
	if (replacement >= 0) { /* nobody has asked us */
		replacement = -1;
		return error ? error : NNG_ENOTSUP;
	}
	if (!error)
		close(fd);
	return error;
}

/* ---- notices ------------------------------------------------------------------------------------ */

void
service_ready(void)
{
	sd_notify(0, "READY=1");
}

void
service_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	/* The time is for managers from 253 on, with Type=notify-reload. */
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

void
service_reloaded(void)
{
	sd_notify(0, "READY=1");
}

void
service_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

void
service_tick(void)
{
	static int wanted = -1;

	if (wanted < 0)
		wanted = sd_watchdog_enabled(0, NULL) > 0;
	if (wanted)
		sd_notify(0, "WATCHDOG=1");
}
