/*
 * The program has U; we keep A, and P, which U talks to:
 *
 *     program: U ⇄ P :supervisor: A ⇄ B :gofer
 *
 * A thread of its own moves datagrams between P and A, so that the gofer knows nothing of it; calls with an address do not pass here at all. U is connected
 * when the host's socket is, and shows its errors, so that what poll, recv and send make of them is the kernel's doing.
 *
 * U must not be held here, or the program's close would not end it. The kernel tells when UDP sockets end (sock_diag(7)); which one did, an epoll set that
 * holds none of them shows (alive.h).
 *
 * A descriptor is only replaced if it is the one and only, since a duplicate, another process that has it, or an epoll set would keep A: see sole.h.
 */
#include "sentry_side/run/surrogate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/net_tstamp.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "sentry_side/alive.h"
#include "sentry_side/run/sole.h"
#include "sentry_side/run/surrogate_parts.h"

/* How often we look whether a U that had no room has some. */
#define FULL_MS 2

#define SWEEP_MS 100
/* Where the kernel tells, only in case that it did not. */
#define SWEEP_HEARD_MS 2000

/* ---- the thread --------------------------------------------------------------------------------- */

static void
surrogate_free(struct surrogate *surrogate)
{
	surrogate_drop_errors(surrogate);
	for (size_t i = 0; i < SURROGATE_TAGS; i++)
		free(surrogate->sources[i]);
	link_unref(surrogate->link);
	free(surrogate);
}

/* Passes on what was sent just before the close. */
static bool
is_drained(struct surrogate *surrogate)
{
	struct pollfd more = {.fd = surrogate->p, .events = POLLIN};

	surrogate_move_up(surrogate);
	return surrogate->ended || poll(&more, 1, 0) == 0;
}

/* With the lock held: lets go of those whose U is gone. */
static void
sweep(struct surrogates *surrogates)
{
	struct alive alive;
	bool known = alive_read(&alive, surrogates->alive);

	surrogates->sweep_soon = false;
	for (struct surrogate **at = &surrogates->first; known && *at;) {
		struct surrogate *surrogate = *at;

		if (alive_has(&alive, surrogate->u_inode)) {
			at = &surrogate->next;
			continue;
		}
		if (surrogate->fetching || !is_drained(surrogate)) {
			surrogates->sweep_soon = true;
			at = &surrogate->next;
			continue;
		}
		*at = surrogate->next;
		surrogates->count--;
		surrogates->full -= surrogate->full;
		close(surrogate->a);
		close(surrogate->p);
		surrogate->link->surrogate = NULL;
		/* The thread may still have events of it. */
		surrogate->gone = true;
		surrogate->next = surrogates->gone;
		surrogates->gone = surrogate;
		surrogates->let_go++;
	}
	alive_free(&alive);
}

size_t
surrogates_sweep(struct surrogates *surrogates)
{
	if (surrogates->running) {
		pthread_mutex_lock(&surrogates->lock);
		sweep(surrogates);
		pthread_mutex_unlock(&surrogates->lock);
	}
	return surrogates->let_go;
}

static bool
hear(struct surrogates *surrogates)
{
	bool any = false;

	while (recv(surrogates->diag, NULL, 0, MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
		any = true;
	surrogates->heard |= any;
	return any;
}

static void *
run(void *arg)
{
	struct surrogates *surrogates = arg;
	int64_t swept_ms = now_ms();

	for (;;) {
		struct epoll_event events[16];
		int64_t since = now_ms() - swept_ms, period;
		bool ended = false;
		int count, wait;

		pthread_mutex_lock(&surrogates->lock);
		period = surrogates->heard && !surrogates->sweep_soon ? SWEEP_HEARD_MS : SWEEP_MS;
		/* A new surrogate does not wake us, but its end does, where we know that it is told. */
		wait = surrogates->full ? FULL_MS : surrogates->heard && !surrogates->first ? -1 : since < period ? (int)(period - since) : 0;
		pthread_mutex_unlock(&surrogates->lock);
		count = epoll_wait(surrogates->epoll_fd, events, sizeof events / sizeof *events, wait);
		pthread_mutex_lock(&surrogates->lock);
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == &surrogates->stop) {
				pthread_mutex_unlock(&surrogates->lock);
				return NULL;
			}
			if (events[i].data.ptr == &surrogates->diag)
				ended |= hear(surrogates);
			else if (!((struct surrogate *)events[i].data.ptr)->gone)
				surrogate_move(events[i].data.ptr);
		}
		for (struct surrogate *at = surrogates->first; at && surrogates->full; at = at->next)
			if (at->full)
				surrogate_move(at);
		if (ended || now_ms() - swept_ms >= period) {
			sweep(surrogates);
			swept_ms = now_ms();
		}
		/* No event of this round is left. */
		while (surrogates->gone) {
			struct surrogate *first = surrogates->gone;

			surrogates->gone = first->next;
			surrogate_free(first);
		}
		pthread_mutex_unlock(&surrogates->lock);
	}
}

static bool
watch(struct surrogates *surrogates, int fd, void *tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};

	return epoll_ctl(surrogates->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool
raise_loopback(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

/* A socket that takes whatever is sent to it, and keeps nothing. */
static int
make_sink(struct sockaddr_in *name)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog filter = {.len = 1, .filter = &nothing};
	socklen_t len = sizeof *name;
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*name = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ||
	    bind(fd, (struct sockaddr *)name, len) < 0 || getsockname(fd, (struct sockaddr *)name, &len) < 0)
		return -1;
	return take_fd(&fd);
}

/* Sets up what is shared, with the first surrogate. */
static bool
start(struct surrogates *surrogates)
{
	struct rlimit files;
	struct sockaddr_nl groups = {.nl_family = AF_NETLINK, .nl_groups = 1u << (SKNLGRP_INET_UDP_DESTROY - 1)};

	if (!raise_loopback() || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return false;
	surrogates->limit = files.rlim_cur / 8;
	surrogates->icmp = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	surrogates->sink = make_sink(&surrogates->sink_name);
	surrogates->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	surrogates->alive = epoll_create1(EPOLL_CLOEXEC);
	surrogates->stop = eventfd(0, EFD_CLOEXEC);
	surrogates->diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (surrogates->diag >= 0 && bind(surrogates->diag, (struct sockaddr *)&groups, sizeof groups) == 0)
		watch(surrogates, surrogates->diag, &surrogates->diag);
	/* It only sends. */
	setsockopt(surrogates->icmp, SOL_RAW, ICMP_FILTER, &(struct icmp_filter){~0u}, sizeof(struct icmp_filter));
	if (surrogates->icmp < 0 || surrogates->sink < 0 || surrogates->epoll_fd < 0 || surrogates->alive < 0 || surrogates->stop < 0 ||
	    !watch(surrogates, surrogates->stop, &surrogates->stop))
		return false;
	return pthread_create(&surrogates->thread, NULL, run, surrogates) == 0;
}

void
surrogates_init(struct surrogates *surrogates, struct ss *ss)
{
	*surrogates = (struct surrogates){.ss = ss, .loadavg = -1, .icmp = -1, .sink = -1, .epoll_fd = -1, .diag = -1, .stop = -1, .alive = -1};
	pthread_mutex_init(&surrogates->lock, NULL);
}

void
surrogates_allow(struct surrogates *surrogates)
{
	surrogates->loadavg = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	surrogates->possible = surrogates->loadavg >= 0;
}

void
surrogates_stop(struct surrogates *surrogates)
{
	if (!surrogates->running)
		return;
	eventfd_write(surrogates->stop, 1);
	pthread_join(surrogates->thread, NULL);
}

/* ---- making one --------------------------------------------------------------------------------- */

static bool
bound_pair(struct surrogate *surrogate, int u)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof name;
	int on = 1, size = SURROGATE_BUFFER / 2, more = 4 * SURROGATE_BUFFER, stamps = SOF_TIMESTAMPING_OPT_TSONLY;

	setsockopt(u, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	setsockopt(surrogate->p, SOL_SOCKET, SO_RCVBUF, &more, sizeof more);
	return bind(u, (struct sockaddr *)&name, sizeof name) == 0 && bind(surrogate->p, (struct sockaddr *)&name, sizeof name) == 0 &&
	       getsockname(u, (struct sockaddr *)&surrogate->u_name, &len) == 0 &&
	       getsockname(surrogate->p, (struct sockaddr *)&surrogate->p_name, &len) == 0 &&
	       connect(surrogate->p, (struct sockaddr *)&surrogate->u_name, len) == 0 &&
	       setsockopt(u, IPPROTO_IP, IP_RECVTTL, &on, sizeof on) == 0 && setsockopt(u, IPPROTO_IP, IP_RECVTOS, &on, sizeof on) == 0 &&
	       setsockopt(u, SOL_SOCKET, SO_TIMESTAMPING_OLD, &stamps, sizeof stamps) == 0;
}

/* What was set on A. */
static void
inherit(int a, int u)
{
	static const int names[] = {SO_RCVTIMEO, SO_SNDTIMEO};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct timeval value;
		socklen_t len = sizeof value;

		if (getsockopt(a, SOL_SOCKET, names[i], &value, &len) == 0)
			setsockopt(u, SOL_SOCKET, names[i], &value, len);
	}
}

static bool
take_over(struct surrogate *surrogate, struct trap *trap, int u)
{
	struct surrogates *surrogates = surrogate->all;
	struct epoll_event readable = {.events = EPOLLIN, .data.ptr = surrogate};
	struct stat st;

	if (fstat(u, &st) < 0 || !bound_pair(surrogate, u) || alive_watch(surrogates->alive, u) != 0)
		return false;
	surrogate->u_inode = st.st_ino;
	surrogate->a_events = surrogate->p_events = EPOLLIN;
	inherit(trap->a, u);
	if (trap->link->state == LINK_CONNECTED)
		connect(u, (struct sockaddr *)&surrogate->p_name, sizeof surrogate->p_name);
	if (trap_replace_fd(trap, (int)trap->call.data.args[0], u) < 0)
		return false;
	/* From here on there is no way back, but none of this fails for lack of anything but memory. */
	link_move(trap->link, u);
	surrogate->next = surrogates->first;
	surrogates->first = surrogate;
	surrogates->count++;
	trap->link->surrogate = surrogate;
	epoll_ctl(surrogates->epoll_fd, EPOLL_CTL_ADD, surrogate->p, &readable);
	epoll_ctl(surrogates->epoll_fd, EPOLL_CTL_ADD, surrogate->a, &readable);
	return true;
}

static void
surrogate_make(struct trap *trap)
{
	struct surrogates *surrogates = &trap->supervisor->surrogates;
	int flags = fcntl(trap->a, F_GETFL);
	struct surrogate *surrogate;
	_cleanup_close_ int u = -1;

	if (!surrogates->possible || !trap->link->linked || trap->link->shut_down || flags & O_ASYNC ||
	    !sole_holder(trap, surrogates->loadavg))
		return;
	if (!surrogates->running) {
		surrogates->running = surrogates->possible = start(surrogates);
		if (!surrogates->running)
			return;
	}
	u = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | (flags & O_NONBLOCK ? SOCK_NONBLOCK : 0), 0);
	surrogate = calloc(1, sizeof *surrogate);
	if (u < 0 || !surrogate) {
		free(surrogate);
		return;
	}
	surrogate->all = surrogates;
	surrogate->link = link_ref(trap->link);
	surrogate->a = trap->a;
	surrogate->p = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	pthread_mutex_lock(&surrogates->lock);
	if (surrogate->p >= 0 && surrogates->count < surrogates->limit && take_over(surrogate, trap, u)) {
		trap->a = take_fd(&u);
		surrogate = NULL;
	}
	pthread_mutex_unlock(&surrogates->lock);
	if (!surrogate)
		return;
	if (surrogate->p >= 0)
		close(surrogate->p);
	link_unref(surrogate->link);
	free(surrogate);
}

void
surrogate_set_told(struct trap *trap, bool v6, bool on)
{
	struct surrogate *surrogate;
	int any;

	if (on && !trap->link->surrogate)
		surrogate_make(trap);
	surrogate = trap->link->surrogate;
	if (!surrogate)
		return;
	pthread_mutex_lock(&surrogate->all->lock);
	surrogate->told[v6] = on;
	/* Switching it off empties the queue, of both. */
	any = 0;
	if (!on) {
		surrogate_drop_errors(surrogate);
		setsockopt(trap->a, IPPROTO_IP, IP_RECVERR, &any, sizeof any);
	}
	any = surrogate->told[0] || surrogate->told[1];
	setsockopt(trap->a, IPPROTO_IP, IP_RECVERR, &any, sizeof any);
	pthread_mutex_unlock(&surrogate->all->lock);
}

/* ---- calls on one ------------------------------------------------------------------------------- */

void
surrogate_connected(struct link *link, int u)
{
	struct surrogate *surrogate = link->surrogate;
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	if (link->state == LINK_CONNECTED) {
		connect(u, (struct sockaddr *)&surrogate->p_name, sizeof surrogate->p_name);
	} else {
		/* Which takes its port away. */
		connect(u, &nobody, sizeof nobody);
		bind(u, (struct sockaddr *)&surrogate->u_name, sizeof surrogate->u_name);
	}
}

void
surrogate_shutdown(struct link *link, int how)
{
	shutdown(link->surrogate->a, how);
}

