/*
 * Links: their table, their life, and what happens when the gofer lets go of one.
 *
 * Nobody tells us when a program closes A. The gofer sees it hang up, if it is connected; we look, now and then, which A's still exist:
 * see alive.h.
 * link_sweep() then forgets it, and tells the gofer if that holds a host socket whose A was not connected (one that was only bound).
 */
#include "sentry_side/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "sentry_side/alive.h"

#define SWEEP_START 256

struct link *
link_ref(struct link *link)
{
	atomic_fetch_add(&link->refs, 1);
	return link;
}

void
link_unref(struct link *link)
{
	if (!link || atomic_fetch_sub(&link->refs, 1) != 1)
		return;
	if (link->stashed)
		close(link->stashed_fd);
	link_unref(link->stashed);
	while (link->stash) {
		struct stash *first = link->stash;

		link->stash = first->next;
		free(first);
	}
	free(link);
}

/* With the lock held: the tables' reference goes. */
static void
link_forget(struct link *link)
{
	struct ss *ss = link->ss;

	if (table_find(&ss->by_handle, link->by_handle.key) != &link->by_handle)
		return;
	table_remove(&ss->by_handle, &link->by_handle);
	if (table_find(&ss->by_inode, link->by_inode.key) == &link->by_inode)
		table_remove(&ss->by_inode, &link->by_inode);
	link_unref(link);
}

struct link *
link_by_inode(struct ss *ss, uint64_t inode)
{
	struct link_key *key;
	struct link *link = NULL;

	pthread_mutex_lock(&ss->lock);
	key = table_find(&ss->by_inode, inode);
	if (key)
		link = link_ref(key->link);
	pthread_mutex_unlock(&ss->lock);
	return link;
}

static struct link *
link_by_handle(struct ss *ss, uint64_t handle)
{
	struct link_key *key;
	struct link *link = NULL;

	pthread_mutex_lock(&ss->lock);
	key = table_find(&ss->by_handle, handle);
	if (key)
		link = link_ref(key->link);
	pthread_mutex_unlock(&ss->lock);
	return link;
}

/* A new link for the socket fd, referenced for the caller. handle 0: the next free one. */
static int
link_new(struct ss *ss, int fd, uint64_t handle, const struct link *model, bool linked, struct link **out)
{
	struct link *link;
	struct link_key *stale;
	struct stat st;
	int error = alive_watch(ss->alive, fd);

	/* EEXIST: a connection that was looked at before, and could not be delivered. */
	if (error && error != -EEXIST)
		return error;
	if (fstat(fd, &st) < 0)
		return -errno;
	link = calloc(1, sizeof *link);
	if (!link)
		return -ENOMEM;
	*link = (struct link){
		.ss = ss, .refs = 2, .family = model->family, .type = model->type, .protocol = model->protocol, .linked = linked, .fd = -1};
	link->by_inode = (struct link_key){st.st_ino, link};
	pthread_mutex_lock(&ss->lock);
	/* A handle that comes again is that of a connection which was looked at and not delivered; else the gofer does as it should not. */
	stale = handle ? table_find(&ss->by_handle, handle) : NULL;
	if (stale && !stale->link->queued) {
		pthread_mutex_unlock(&ss->lock);
		free(link);
		return -ECONNABORTED;
	}
	if (stale)
		link_forget(stale->link);
	/* An inode number that comes again belongs to a socket that is gone. */
	stale = table_find(&ss->by_inode, st.st_ino);
	if (stale)
		link_forget(stale->link);
	link->by_handle = (struct link_key){handle ? handle : ++ss->next_handle, link};
	if (!table_add(&ss->by_inode, &link->by_inode)) {
		pthread_mutex_unlock(&ss->lock);
		free(link);
		return -ENOMEM;
	}
	if (!table_add(&ss->by_handle, &link->by_handle)) {
		table_remove(&ss->by_inode, &link->by_inode);
		pthread_mutex_unlock(&ss->lock);
		free(link);
		return -ENOMEM;
	}
	ss->made++;
	pthread_mutex_unlock(&ss->lock);
	*out = link;
	return 0;
}

/* What the kernel says of such a socket; most are known to be fine. */
static int
check_kind(int family, int type, int protocol)
{
	int base = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct link model = {.family = family, .type = base, .protocol = protocol};
	int fd;

	if ((family == AF_INET || family == AF_INET6) &&
	    ((base == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) ||
	     (base == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP))) &&
	    !(type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC | 0xf)))
		return 0;
	fd = socket(family, type, protocol);
	/* What is no good as such, the kernel says to everybody. That we may not have one is for the gofer to say: it may. */
	if (fd < 0 && !((errno == EPERM || errno == EACCES) && link_needs_leave(&model)))
		return -errno;
	if (fd >= 0)
		close(fd);
	if (family == AF_NETLINK || base == SOCK_STREAM || base == SOCK_DGRAM || base == SOCK_RAW)
		return family == AF_PACKET ? -EPERM : 0;
	return -EPERM; /* the gofer has none; a host without CAP_NET_RAW says the same */
}

/* A SEQPACKET socket refuses more than twice its SO_SNDBUF less 32, an even number where those of IPv4 are odd. */
void
link_bound_packets(const struct link *link, int fd, bool own_header)
{
	bool v6 = link->family == AF_INET6;
	int udp = v6 ? 65528 : 65508;                   /* 65,527 and 65,507 */
	int packet = v6 || own_header ? 65536 : 65516; /* 65,535; with a header of the kernel's 65,515 */
	int size = ((link_needs_leave(link) ? packet : udp) + 32) / 2;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

void
link_discard(struct link *link)
{
	struct ss *ss = link->ss;

	pthread_mutex_lock(&ss->lock);
	link_forget(link);
	pthread_mutex_unlock(&ss->lock);
	link_unref(link);
}

int
link_socket(struct ss *ss, int family, int type, int protocol, int *fd, struct link **out)
{
	struct link model = {.family = family, .type = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), .protocol = protocol};
	bool stream = model.type == SOCK_STREAM;
	_cleanup_close_ int a = -1;
	int error = check_kind(family, type, protocol);

	if (error)
		return error;
	if (session_ended(&ss->session))
		return -ENETDOWN;
	if (ss->made >= ss->sweep_at)
		link_sweep(ss);
	a = socket(AF_UNIX, (stream ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC | (type & SOCK_NONBLOCK), 0);
	if (a < 0)
		return -errno;
	error = link_new(ss, a, 0, &model, !stream, out);
	if (error)
		return error;
	if (!stream) {
		if (family != AF_NETLINK)
			link_bound_packets(*out, a, link_is_raw(&model) && protocol == IPPROTO_RAW);
		error = session_link(&ss->session, a, false, LINK_SOCKET, (*out)->by_handle.key, PLUG_NONE);
		/* A netlink socket is used without any call that we see. */
		if (!error && family == AF_NETLINK)
			error = link_open(*out);
	}
	if (error) {
		link_discard(*out);
		return error;
	}
	*fd = take_fd(&a);
	return 0;
}

int
link_packet(struct ss *ss, int fd, int type, int protocol, struct link **out)
{
	struct link model = {.family = AF_PACKET, .type = type, .protocol = protocol};

	return link_new(ss, fd, 0, &model, true, out);
}

/* ---- what the gofer says ------------------------------------------------------------------------ */

/* An operation without arguments or answer. */
static void
send_bare_op(struct ss *ss, uint64_t handle, Splitsock__Op__OpCase which)
{
	Splitsock__Release release = SPLITSOCK__RELEASE__INIT;
	Splitsock__Poke poke = SPLITSOCK__POKE__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT, *ops = &op;
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;

	op.op_case = which;
	if (which == SPLITSOCK__OP__OP_RELEASE)
		op.release = &release;
	else
		op.poke = &poke;
	request.handle = handle;
	request.ops = &ops;
	request.n_ops = 1;
	request.no_reply = true;
	session_call(&ss->session, &request, NULL, NULL, NULL);
}

/* Tells the gofer to let go of a socket. */
static void
release(struct ss *ss, uint64_t handle)
{
	send_bare_op(ss, handle, SPLITSOCK__OP__OP_RELEASE);
}

/* An AF_UNIX socket whose peer closes with bytes unread fails with ECONNRESET, once it has read what is queued. */
static void
poison(struct ss *ss, int a, uint64_t handle)
{
	if (a < 0 || send(a, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		release(ss, handle);
}

static void
on_reset(void *arg, uint64_t handle)
{
	struct ss *ss = arg;
	struct link *link = link_by_handle(ss, handle);
	_cleanup_close_ int a = -1;

	if (!link)
		return;
	a = ss->borrow(ss, link);
	poison(ss, a, handle);
	link_unref(link);
}

void
link_set_closed(struct link *link, int error)
{
	link->was_connected = link->state == LINK_CONNECTED;
	link->error = error;
	/* Before what follows: who sees it closed finds all of why. */
	link->state = LINK_CLOSED;
	link->opened = link->linked = false;
}

static void
on_closed(void *arg, uint64_t handle, int error)
{
	struct ss *ss = arg;
	struct link_key *key;

	pthread_mutex_lock(&ss->lock);
	key = table_find(&ss->by_handle, handle);
	if (key) {
		/* The program may still have A, after shutdown or an error, and ask about it. If not, the next sweep forgets it. */
		link_set_closed(key->link, error);
	}
	pthread_mutex_unlock(&ss->lock);
}

static void
on_unlinked(void *arg, uint64_t handle, int error)
{
	struct ss *ss = arg;
	struct link_key *key;

	pthread_mutex_lock(&ss->lock);
	key = table_find(&ss->by_handle, handle);
	if (key) {
		key->link->was_connected = false;
		key->link->error = error;
		key->link->state = LINK_FAILED;
		key->link->linked = false;
	}
	pthread_mutex_unlock(&ss->lock);
}

static void
on_ended(void *arg)
{
	struct ss *ss = arg;

	if (ss->ended)
		ss->ended(ss);
}

/* ---- accept ------------------------------------------------------------------------------------- */

/* What the kernel's connections inherit from their listener, and ours keep in their own descriptor. */
static void
inherit(const struct link *listener, int listener_fd, struct link *accepted, int fd)
{
	static const int names[] = {SO_OOBINLINE, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO};

	accepted->stamp = listener->stamp;
	accepted->zerocopy = listener->zerocopy;
	for (size_t i = 0; listener->link_options && i < sizeof names / sizeof *names; i++) {
		char value[sizeof(struct timeval)];
		socklen_t len = sizeof value;

		if (getsockopt(listener_fd, SOL_SOCKET, names[i], value, &len) == 0)
			setsockopt(fd, SOL_SOCKET, names[i], value, len);
	}
}

/* A record as a gofer sends it: what it says is believed from here on. */
static bool
record_is_sound(const struct link_accepted *record, ssize_t len)
{
	return len == sizeof *record && record->handle >> 63 && record->local.len <= sizeof record->local.address &&
	       record->peer.len <= sizeof record->peer.address;
}

int
link_accept(struct link *link, int fd, bool peek, int *accepted_fd, struct link **accepted)
{
	struct link_accepted record;
	_cleanup_close_ int a = -1;
	bool is_poke;
	ssize_t len;
	int error;

	if (!link_is_stream(link))
		return -EOPNOTSUPP;
	if (link->stashed) {
		*accepted = link->stashed;
		*accepted_fd = link->stashed_fd;
		link->stashed = NULL;
		return 0;
	}
	if (link->state != LINK_LISTENING)
		return session_ended(&link->ss->session) ? -ENETDOWN : -EINVAL;
	do {
		len = recv(fd, &record, sizeof record, peek ? MSG_PEEK | MSG_DONTWAIT : 0);
		if (len < 0) /* only a gofer that dies leaves a listener's filler unread */
			return errno == ECONNRESET ? -ENETDOWN : -errno;
		if (len == 0)
			return session_ended(&link->ss->session) ? -ENETDOWN : -EINVAL;
		/* What it was for has been taken. */
		is_poke = len == sizeof record && record.handle == 0;
		if (peek && (is_poke || !record_is_sound(&record, len)))
			link_accept_commit(fd);
	} while (is_poke);
	if (!record_is_sound(&record, len))
		return -ECONNABORTED;
	a = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (a < 0)
		return -errno;
	error = link_new(link->ss, a, record.handle, link, true, accepted);
	if (error)
		return error;
	error = session_link(&link->ss->session, a, true, LINK_SOCKET, record.handle, PLUG_NONE);
	if (error) {
		/* The next sweep forgets it; the caller has none. */
		link_unref(*accepted);
		*accepted = NULL;
		return error;
	}
	(*accepted)->opened = true;
	(*accepted)->state = LINK_CONNECTED;
	(*accepted)->local = record.local;
	(*accepted)->peer = record.peer;
	(*accepted)->queued = peek;
	inherit(link, fd, *accepted, a);
	*accepted_fd = take_fd(&a);
	return 0;
}

void
link_accept_commit(int fd)
{
	char record[sizeof(struct link_accepted)];

	while (recv(fd, record, sizeof record, MSG_DONTWAIT) < 0 && errno == EINTR)
		;
}

void
link_accept_stash(struct link *link, int accepted_fd, struct link *accepted)
{
	link->stashed = accepted;
	link->stashed_fd = accepted_fd;
	send_bare_op(link->ss, link->by_handle.key, SPLITSOCK__OP__OP_POKE);
}

/* ---- another A ---------------------------------------------------------------------------------- */

/* The link is found by another inode from now on. With the lock held. */
static int
link_rekey(struct link *link, uint64_t inode)
{
	struct ss *ss = link->ss;
	struct link_key *stale = table_find(&ss->by_inode, inode);

	if (stale)
		link_forget(stale->link);
	if (table_find(&ss->by_inode, link->by_inode.key) == &link->by_inode)
		table_remove(&ss->by_inode, &link->by_inode);
	link->by_inode.key = inode;
	return table_add(&ss->by_inode, &link->by_inode) ? 0 : -ENOMEM;
}

/* Gives the stream another A. With the lock held. */
static int
link_start_again(struct link *link, uint64_t inode)
{
	int error = link_rekey(link, inode);

	if (error)
		return error;
	link->state = LINK_BOUND;
	link->error = 0;
	link->told = link->urgent = false;
	link->again = true;
	link->ss->made++;
	return 0;
}

int
link_renew(struct link **link, int old_fd, int type, int *fd)
{
	struct ss *ss = (*link)->ss;
	_cleanup_close_ int a = -1;
	struct link *other;
	struct stat st;
	int error;

	if ((*link)->state != LINK_FAILED) {
		error = link_socket(ss, (*link)->family, (*link)->type | type, (*link)->protocol, fd, &other);
		if (error)
			return error;
		link_unref(*link);
		*link = other;
		return 0;
	}
	a = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | type, 0);
	if (a < 0 || fstat(a, &st) < 0)
		return -errno;
	error = alive_watch(ss->alive, a);
	if (error)
		return error;
	pthread_mutex_lock(&ss->lock);
	error = link_start_again(*link, st.st_ino);
	pthread_mutex_unlock(&ss->lock);
	if (error)
		return error;
	inherit(*link, old_fd, *link, a);
	*fd = take_fd(&a);
	return 0;
}

int
link_move(struct link *link, int fd)
{
	struct stat st;
	int error = alive_watch(link->ss->alive, fd);

	if (error)
		return error;
	if (fstat(fd, &st) < 0)
		return -errno;
	pthread_mutex_lock(&link->ss->lock);
	error = link_rekey(link, st.st_ino);
	pthread_mutex_unlock(&link->ss->lock);
	return error;
}

/* ---- sweeping ----------------------------------------------------------------------------------- */

struct sweep {
	struct alive alive;
	struct link *gone[64];
	size_t gone_count;
};

static void
sweep_link(void *entry, void *arg)
{
	struct link *link = ((struct link_key *)entry)->link;
	struct sweep *sweep = arg;

	if (sweep->gone_count < sizeof sweep->gone / sizeof *sweep->gone && !alive_has(&sweep->alive, link->by_inode.key))
		sweep->gone[sweep->gone_count++] = link_ref(link);
}

static void
find_wanted(void *entry, void *arg)
{
	const struct link *link = ((struct link_key *)entry)->link;

	if (!link->linked && link->opened)
		*(bool *)arg = true;
}

bool
link_sweep_wanted(struct ss *ss)
{
	bool wanted = false;

	pthread_mutex_lock(&ss->lock);
	if (ss->made >= ss->sweep_at)
		wanted = true;
	else
		table_visit(&ss->by_inode, find_wanted, &wanted);
	pthread_mutex_unlock(&ss->lock);
	return wanted;
}

bool
link_sweep(struct ss *ss)
{
	struct sweep sweep = {0};
	bool held = false;

	pthread_mutex_lock(&ss->lock);
	if (alive_read(&sweep.alive, ss->alive)) {
		do {
			sweep.gone_count = 0;
			table_visit(&ss->by_inode, sweep_link, &sweep);
			for (size_t i = 0; i < sweep.gone_count; i++) {
				struct link *link = sweep.gone[i];

				if (link->opened && !link->linked) {
					held = true;
					release(ss, link->by_handle.key);
				}
				link_forget(link);
				link_unref(link);
			}
		} while (sweep.gone_count == sizeof sweep.gone / sizeof *sweep.gone);
	}
	/* A sweep costs what all links cost: spread it. */
	ss->made = 0;
	ss->sweep_at = ss->by_handle.count + SWEEP_START;
	pthread_mutex_unlock(&ss->lock);
	alive_free(&sweep.alive);
	return held;
}

/* ---- the session's --------------------------------------------------------------------------- */

int
ss_init(struct ss *ss, const char *url, const struct session_serves *serves)
{
	struct session_events events = {.reset = on_reset, .closed = on_closed, .unlinked = on_unlinked, .ended = on_ended, .arg = ss};
	int error;

	pthread_mutex_init(&ss->lock, NULL);
	ss->sweep_at = SWEEP_START;
	ss->alive = epoll_create1(EPOLL_CLOEXEC);
	if (ss->alive < 0)
		return -errno;
	error = session_open(&ss->session, url, serves, &events);
	if (error)
		close(ss->alive);
	return error;
}

void
ss_destroy(struct ss *ss)
{
	struct link_key *key;

	session_close(&ss->session);
	pthread_mutex_lock(&ss->lock);
	while ((key = table_any(&ss->by_handle)))
		link_forget(key->link);
	pthread_mutex_unlock(&ss->lock);
	pthread_mutex_destroy(&ss->lock);
	close(ss->alive);
}
