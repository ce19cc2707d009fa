/*
 * Datagrams, between P and A. Where one comes from, the gofer says in a struct link_source beside it. P cannot pass that along, so it stays here, under a
 * number that the datagram has in its TTL and TOS.
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/cleanup.h"
#include "sentry_side/run/surrogate_parts.h"

#define DATAGRAM_MAX 65536u
/* Datagrams of one direction before others get their turn. */
#define ROUNDS_MAX 64
/* The most that an IPv4 datagram carries. */
#define PAYLOAD_MAX 65507
/* U may have as much unread before we look. */
#define UNREAD_MAX (SURROGATE_BUFFER - 65536)

/* Handling a surrogate holds the lock, so one buffer serves all. */
static char buffer[DATAGRAM_MAX];

static bool
is_writable(int fd)
{
	struct pollfd room = {.fd = fd, .events = POLLOUT};

	return poll(&room, 1, 0) == 1 && room.revents & POLLOUT;
}

void
surrogate_move_up(struct surrogate *surrogate)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		ssize_t len;

		surrogate->a_full = !surrogate->ended && !is_writable(surrogate->a);
		if (surrogate->a_full)
			return;
		len = recv(surrogate->p, buffer, sizeof buffer, MSG_DONTWAIT);
		if (len < 0 && errno == EAGAIN)
			return;
		if (len >= 0)
			send(surrogate->a, buffer, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* Whether U has room for a datagram of this size. What it has no room for waits in the host's socket, as ever. */
static bool
has_room(struct surrogate *surrogate)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t info_len = sizeof info;
	_cleanup_close_ int u = -1;

	if (surrogate->unread < UNREAD_MAX)
		return true;
	u = surrogate_borrow(surrogate);
	if (u >= 0 && getsockopt(u, SOL_SOCKET, SO_MEMINFO, info, &info_len) == 0)
		surrogate->unread = info[SK_MEMINFO_RMEM_ALLOC];
	else
		surrogate->unread = 0; /* nobody has it any more */
	return surrogate->unread < UNREAD_MAX;
}

/* The program sees the end that it would see of A. */
static void
end(struct surrogate *surrogate)
{
	_cleanup_close_ int u = surrogate_borrow(surrogate);

	surrogate->ended = true;
	if (u >= 0)
		shutdown(u, SHUT_RDWR);
}

/* Keeps where the datagram is from, and returns the number for that. */
static unsigned
keep_source(struct surrogate *surrogate, const struct link_source *source)
{
	unsigned tag = surrogate->tag++ % SURROGATE_TAGS;
	size_t len = offsetof(struct link_source, control) + source->control_len;
	struct link_name peer;
	bool is_peer = !source->control_len && link_peer_name(surrogate->link, &peer) && peer.len == source->name.len &&
	               memcmp(&peer.address, &source->name.address, peer.len) == 0;

	free(surrogate->sources[tag]);
	surrogate->sources[tag] = is_peer ? NULL : malloc(len);
	if (surrogate->sources[tag])
		memcpy(surrogate->sources[tag], source, len);
	return tag;
}

/* In TTL, which is never 0, and in TOS without its ECN bits. */
static void
send_tagged(int p, const void *datagram, size_t len, unsigned tag)
{
	union {
		struct cmsghdr header;
		char space[2 * CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)datagram, len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int ttl = (int)(1 + tag % 128), tos = (int)(tag / 128 << 2);
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	*header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof ttl), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL};
	memcpy(CMSG_DATA(header), &ttl, sizeof ttl);
	header = CMSG_NXTHDR(&message, header);
	*header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof tos), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TOS};
	memcpy(CMSG_DATA(header), &tos, sizeof tos);
	/* Once more, if it was only told that U is no more, or was not. */
	if (sendmsg(p, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED)
		sendmsg(p, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
move_down(struct surrogate *surrogate)
{
	for (int round = 0; round < ROUNDS_MAX && !surrogate->ended; round++) {
		struct link_source source;
		struct iovec iov = {buffer, sizeof buffer};
		struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
		struct pollfd hang_up = {.fd = surrogate->a};
		ssize_t len;

		surrogate->full = !has_room(surrogate);
		if (surrogate->full)
			return;
		len = link_receive(surrogate->link, surrogate->a, &message, MSG_DONTWAIT, &source);
		if (source.error)
			surrogate_fetch_errors(surrogate, source.error);
		else if (len == -EAGAIN)
			return;
		else if (len < 0 || (len == 0 && poll(&hang_up, 1, 0) == 1 && hang_up.revents & POLLHUP))
			end(surrogate);
		else if (len <= PAYLOAD_MAX) {
			surrogate->unread += 2 * (size_t)len + 1024;
			send_tagged(surrogate->p, buffer, (size_t)len, keep_source(surrogate, &source));
		}
	}
}

static void
wait_for(struct surrogate *surrogate, int fd, uint32_t *now, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = surrogate};

	if (events != *now)
		epoll_ctl(surrogate->all->epoll_fd, EPOLL_CTL_MOD, fd, &event);
	*now = events;
}

static void
update(struct surrogate *surrogate, bool was_full)
{
	surrogate->all->full += surrogate->full;
	surrogate->all->full -= was_full;
	if (surrogate->ended) /* a hang-up is always told */
		epoll_ctl(surrogate->all->epoll_fd, EPOLL_CTL_DEL, surrogate->a, NULL);
	else
		wait_for(surrogate, surrogate->a, &surrogate->a_events, (surrogate->full ? 0 : EPOLLIN) | (surrogate->a_full ? EPOLLOUT : 0));
	wait_for(surrogate, surrogate->p, &surrogate->p_events, surrogate->a_full ? 0 : EPOLLIN);
}

void
surrogate_move(struct surrogate *surrogate)
{
	bool was_full = surrogate->full;

	surrogate_move_up(surrogate);
	move_down(surrogate);
	update(surrogate, was_full);
}

void
surrogate_flush(struct link *link)
{
	struct surrogate *surrogate = link->surrogate;

	pthread_mutex_lock(&surrogate->all->lock);
	surrogate_move_up(surrogate);
	update(surrogate, surrogate->full);
	pthread_mutex_unlock(&surrogate->all->lock);
}

ssize_t
surrogate_receive(struct link *link, int u, struct msghdr *message, int flags, struct link_source *source)
{
	struct surrogate *surrogate = link->surrogate;
	union {
		struct cmsghdr header;
		char space[4 * CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr on_u = {.msg_iov = message->msg_iov, .msg_iovlen = message->msg_iovlen, .msg_control = &control,
	                      .msg_controllen = sizeof control};
	const struct link_source *kept;
	int ttl = 0, error = link_is_raw(link) ? surrogate_error(link, u) : 0;
	uint8_t tos = 0;
	ssize_t len;

	source->name.len = 0;
	source->error = 0;
	source->control_len = 0;
	if (error)
		return -error;
	len = recvmsg(u, &on_u, flags & (MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT));
	if (len < 0 && errno == EAGAIN && session_ended(&link->ss->session))
		return -ENETDOWN; /* an end that the program did not make */
	if (len < 0)
		return -errno;
	message->msg_flags = on_u.msg_flags & MSG_TRUNC;
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&on_u); at; at = CMSG_NXTHDR(&on_u, at)) {
		if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TTL)
			memcpy(&ttl, CMSG_DATA(at), sizeof ttl);
		else if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_TOS)
			memcpy(&tos, CMSG_DATA(at), sizeof tos);
	}
	pthread_mutex_lock(&surrogate->all->lock);
	kept = surrogate->sources[((unsigned)ttl - 1 + (tos >> 2) * 128u) % SURROGATE_TAGS];
	if (kept)
		memcpy(source, kept, offsetof(struct link_source, control) + kept->control_len);
	pthread_mutex_unlock(&surrogate->all->lock);
	if (!source->name.len)
		link_peer_name(link, &source->name);
	return len;
}

void
surrogate_consume(int u)
{
	/* An error that comes in between is shown, but was not asked for. */
	while (recv(u, NULL, 0, MSG_DONTWAIT) < 0 && errno != EAGAIN)
		;
}
