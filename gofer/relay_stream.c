/*
 * Streams and listeners.
 *
 * A stream is copied, SCRATCH_SIZE at a time towards the host and SPLICE_FROM at a time towards the program, through one buffer that all sockets share: bytes are read only when the other
 * side took everything before, so that only a blocked side holds memory of its own (struct held). Towards the program, once
 * a read came back full, the bulk goes by splice through a pipe instead, which saves both copies. A socket is spliced only
 * right after epoll has reported it readable: without that, splice was seen to hang. FIN is passed on as FIN. A reset by the
 * peer becomes one for the program (sock_host_gone); a program that closes with bytes unread resets its peer, as the kernel does. Urgent
 * data (MSG_OOB), which AF_UNIX streams have had since Linux 5.15, stays urgent, at its place in the stream.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "gofer/listener.h"
#include "gofer/permission.h"
#include "gofer/resolver.h"

/* Reads of one direction before others get their turn. */
#define ROUNDS_MAX 4

/* A read this large starts a bulk transfer. */
#define SPLICE_FROM (64u * 1024u)
#define SPLICE_PIPE_SIZE (1024 * 1024)
#define SPLICE_LINK_SNDBUF (1024 * 1024)
#define IDLE_PIPES_MAX 8

/* Connections that wait in a listener's link, so that accept finds them without the gofer's help. */
#define LISTEN_AHEAD 16

struct splice_pipe {
	struct splice_pipe *next; /* gofer.idle_pipes */
	int read_fd, write_fd;
	size_t len;
};

enum moved { MOVED_ALL, MOVED_BLOCKED, MOVED_FAILED };

/* Where bytes go to: the host's socket, or the program's link. */
static enum moved
send_all(struct sock *sock, bool to_host, const uint8_t *data, size_t len, bool urgent)
{
	int fd = to_host ? sock->host.fd : sock->link.fd, flags = MSG_DONTWAIT | MSG_NOSIGNAL | (urgent ? MSG_OOB : 0);
	struct held *held = to_host ? &sock->up : &sock->down;
	size_t off = 0;

	while (off < len) {
		ssize_t n = send(fd, data + off, len - off, flags);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return MOVED_FAILED;
		off += (size_t)n;
		count_stream(sock, to_host, (size_t)n);
	}
	if (off == len)
		return MOVED_ALL;
	held->data = malloc(len - off);
	if (!held->data) {
		errno = ENOMEM;
		return MOVED_FAILED;
	}
	memcpy(held->data, data + off, len - off);
	held->off = 0;
	held->len = len - off;
	held->urgent = urgent;
	return MOVED_BLOCKED;
}

static enum moved
send_held(struct sock *sock, bool to_host)
{
	int fd = to_host ? sock->host.fd : sock->link.fd;
	struct held *held = to_host ? &sock->up : &sock->down;
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (held->urgent ? MSG_OOB : 0);

	while (held->len) {
		ssize_t n = send(fd, held->data + held->off, held->len, flags);

		if (n < 0 && errno == EAGAIN)
			return MOVED_BLOCKED;
		if (n < 0) {
			free(held->data);
			*held = (struct held){0};
			return MOVED_FAILED;
		}
		held->off += (size_t)n;
		held->len -= (size_t)n;
		count_stream(sock, to_host, (size_t)n);
	}
	free(held->data);
	*held = (struct held){0};
	return MOVED_ALL;
}

/*
 * recv, but where urgent data may come (`careful`), so that none is passed over: without SO_OOBINLINE, a read that starts at the mark
 * drops the urgent byte, and one that starts before stops there. *urgent: what was read is that byte.
 */
static ssize_t
receive(int fd, uint8_t *data, size_t size, bool careful, bool *urgent)
{
	ssize_t n = 1;
	int at_mark = 0, error = 0;

	*urgent = false;
	if (careful) {
		/* In this order: if there is something to read and the mark is not here, then ordinary data comes first. */
		n = recv(fd, data, 1, MSG_PEEK | MSG_DONTWAIT);
		error = errno;
		if (ioctl(fd, SIOCATMARK, &at_mark) == 0 && at_mark) {
			n = recv(fd, data, 1, MSG_OOB | MSG_DONTWAIT);
			*urgent = n == 1;
			/* EINVAL: that byte was read before. */
			if (*urgent || (n < 0 && errno != EINVAL && errno != EAGAIN))
				return n;
		}
	}
	if (n <= 0 && !at_mark) {
		errno = error;
		return n;
	}
	return recv(fd, data, size, MSG_DONTWAIT);
}

static void
pipe_free(struct gofer *gofer, struct splice_pipe *pipe)
{
	gofer->pipes--;
	close(pipe->read_fd);
	close(pipe->write_fd);
	free(pipe);
}

static void
pipe_take(struct sock *sock)
{
	struct gofer *gofer = sock->session->gofer;
	struct splice_pipe *pipe = gofer->idle_pipes;
	int size = SPLICE_LINK_SNDBUF, fds[2];

	if (pipe) {
		gofer->idle_pipes = pipe->next;
	} else {
		pipe = calloc(1, sizeof *pipe);
		if (!pipe)
			return;
		if (!gofer_has_room(gofer) || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
			free(pipe);
			return;
		}
		pipe->read_fd = fds[0];
		pipe->write_fd = fds[1];
		gofer->pipes++;
		fcntl(pipe->write_fd, F_SETPIPE_SZ, SPLICE_PIPE_SIZE);
	}
	setsockopt(sock->link.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	sock->pipe = pipe;
}

static void
pipe_release(struct sock *sock)
{
	struct gofer *gofer = sock->session->gofer;
	struct splice_pipe *pipe = sock->pipe, *at = gofer->idle_pipes;
	int idle = 0;

	sock->pipe = NULL;
	if (!pipe)
		return;
	for (; at; at = at->next)
		idle++;
	if (pipe->len == 0 && idle < IDLE_PIPES_MAX) {
		pipe->next = gofer->idle_pipes;
		gofer->idle_pipes = pipe;
		return;
	}
	pipe_free(gofer, pipe);
}

void
relay_free_idle_pipes(struct gofer *gofer)
{
	while (gofer->idle_pipes) {
		struct splice_pipe *pipe = gofer->idle_pipes;

		gofer->idle_pipes = pipe->next;
		pipe_free(gofer, pipe);
	}
}

size_t
relay_stream_piped_bytes(const struct sock *sock)
{
	return sock->pipe ? sock->pipe->len : 0;
}

bool
relay_stream_piped(const struct sock *sock)
{
	return relay_stream_piped_bytes(sock) > 0;
}

void
relay_stream_free(struct sock *sock)
{
	if (sock->pipe)
		pipe_release(sock);
	free(sock->up.data);
	free(sock->down.data);
	sock->up = sock->down = (struct held){0};
}

static void
reset_host(struct sock *sock)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	setsockopt(sock->host.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

/*
 * Bytes are lost, since this side lacks memory or the like: both ends hear of a reset. An end that looks like FIN would pass for
 * the whole stream, and to wait would be to wait for ever, as nothing is to come that would tell. False: sock was freed.
 */
static bool
break_off(struct sock *sock, int error)
{
	reset_host(sock);
	return sock_host_gone(sock, error);
}

/* Whether a failed send says that the other side takes no more. */
static bool
other_side_ended(int error)
{
	return error == EPIPE || error == ECONNRESET || error == ENOTCONN || error == ETIMEDOUT || error == ECONNABORTED || error == EHOSTUNREACH ||
	       error == ENETUNREACH || error == ENETDOWN || error == EHOSTDOWN || error == EACCES || error == EPERM;
}

static bool
hung_up(int fd)
{
	struct pollfd poll_fd = {.fd = fd};

	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLHUP);
}

enum pumped {
	PUMPED,
	PUMPED_ENDED, /* the program has closed, and there is nothing left to pass on */
	PUMPED_BROKEN, /* *error says why */
};

/* Towards the host. */
static enum pumped
pump_up(struct sock *sock, int *error)
{
	uint8_t *scratch = sock->session->gofer->scratch;
	enum moved moved;

	if (sock->up_ended)
		return sock->link_hung_up ? PUMPED_ENDED : PUMPED;
	moved = send_held(sock, true);
	for (int round = 0; moved == MOVED_ALL && !sock->up_ended && round < ROUNDS_MAX; round++) {
		uint32_t skip = 0;
		bool urgent;
		ssize_t n = receive(sock->link.fd, scratch, SCRATCH_SIZE, sock->up_urgent, &urgent);

		if (n < 0 && errno == EAGAIN)
			return PUMPED;
		if (n < 0 && errno == ECONNRESET) { /* the program closed with bytes unread */
			reset_host(sock);
			return PUMPED_ENDED;
		}
		if (n < 0)
			goto broken;
		if (n == 0) {
			sock->up_ended = true;
			/* Closed, not half-closed: closing the host's socket then sends what SO_LINGER says, a FIN or a reset. */
			if (!sock->link_hung_up)
				sock->link_hung_up = hung_up(sock->link.fd);
			if (sock->link_hung_up)
				return PUMPED_ENDED;
			shutdown(sock->host.fd, SHUT_WR);
			return PUMPED;
		}
		if (sock->plug) {
			skip = (size_t)n < sock->plug ? (uint32_t)n : sock->plug;
			sock->plug -= skip;
		}
		moved = send_all(sock, true, scratch + skip, (size_t)n - skip, urgent);
		if (moved == MOVED_ALL && (size_t)n < SCRATCH_SIZE && !sock->link_hung_up && !sock->up_urgent)
			return PUMPED;
		if (sock->link_hung_up)
			round = 0; /* drain it: its end comes */
	}
	if (moved == MOVED_FAILED && !other_side_ended(errno))
		goto broken;
	if (moved == MOVED_FAILED) {
		/* The host takes no more. Reading it tells why, and what the peer still sent. */
		sock->error = errno;
		sock->up_ended = true;
		return sock->link_hung_up ? PUMPED_ENDED : PUMPED;
	}
	return PUMPED;
broken:
	*error = errno;
	return PUMPED_BROKEN;
}

/* Moves the pipe's content on. */
static enum moved
pipe_drain(struct sock *sock)
{
	struct splice_pipe *pipe = sock->pipe;

	while (pipe->len) {
		ssize_t n = splice(pipe->read_fd, NULL, sock->link.fd, NULL, pipe->len, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

		if (n < 0 && errno == EAGAIN)
			return MOVED_BLOCKED;
		if (n <= 0)
			return MOVED_FAILED;
		pipe->len -= (size_t)n;
		count_stream(sock, false, (size_t)n);
	}
	return MOVED_ALL;
}

/* Towards the program. False: sock was freed. */
static bool
pump_down(struct sock *sock, bool host_readable)
{
	uint8_t *scratch = sock->session->gofer->scratch;
	enum moved moved = send_held(sock, false);
	int error;

	if (moved == MOVED_ALL && sock->pipe)
		moved = pipe_drain(sock);
	/*
	 * Otherwise epoll will say when there is something, and at that moment it tells whether urgent data is next. In later rounds
	 * that is old news.
	 */
	for (int round = 0; moved == MOVED_ALL && host_readable && !sock->down_ended && round < ROUNDS_MAX; round++) {
		bool urgent;
		ssize_t n;

		if (sock->pipe) {
			int queued = 0;

			/* Only a socket that is known to have bytes may be spliced. */
			if (ioctl(sock->host.fd, SIOCINQ, &queued) == 0 && queued >= (int)SPLICE_FROM / 4) {
				n = splice(sock->host.fd, NULL, sock->pipe->write_fd, NULL, SPLICE_PIPE_SIZE,
				           SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
				if (n > 0) {
					sock->pipe->len = (size_t)n;
					moved = pipe_drain(sock);
					continue;
				}
			}
			pipe_release(sock);
		}
		n = receive(sock->host.fd, scratch, SPLICE_FROM, sock->down_urgent || round, &urgent);
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0)
			return sock_host_gone(sock, errno);
		if (n == 0 && sock->error)
			return sock_host_gone(sock, sock->error);
		if (n == 0) {
			sock->down_ended = true;
			shutdown(sock->link.fd, SHUT_WR);
			return true;
		}
		if (sock->resolver && !urgent)
			resolver_note_stream(sock, scratch, (size_t)n);
		moved = send_all(sock, false, scratch, (size_t)n, urgent);
		if (moved == MOVED_ALL && (size_t)n < SPLICE_FROM && !sock->down_urgent)
			return true;
		if ((size_t)n == SPLICE_FROM && !sock->pipe && !sock->resolver && moved == MOVED_ALL)
			pipe_take(sock);
	}
	if (moved == MOVED_FAILED) {
		error = errno;
		/* The program reads no more (SHUT_RD): take and drop, as the kernel does. */
		if (sock->pipe) {
			sock->pipe->len = SIZE_MAX; /* not reusable */
			pipe_release(sock);
		}
		if (!other_side_ended(error))
			return break_off(sock, error);
	}
	return true;
}

void
relay_stream_expect_urgent(struct sock *sock)
{
	sock->up_urgent = true;
}

bool
relay_stream(struct sock *sock, bool host_readable)
{
	int error;

	if (sock->link.fd < 0)
		return true;
	switch (pump_up(sock, &error)) {
	case PUMPED_ENDED:
		sock_free(sock);
		return false;
	case PUMPED_BROKEN:
		return break_off(sock, error);
	default:
		break;
	}
	/* Nobody is left to read: what comes is the kernel's to refuse, once the host took the rest. */
	if (sock->link_hung_up)
		return true;
	if (!sock->down_ended)
		return pump_down(sock, host_readable);
	if (sock->up_ended && sock->error)
		return sock_host_gone(sock, sock->error);
	if (!sock->up_ended) {
		socklen_t len = sizeof error;

		error = 0;
		/* After the peer's FIN only its reset can still come. */
		if (getsockopt(sock->host.fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error)
			return sock_host_gone(sock, error);
		/* Who asked for SO_ERROR has taken the reset's error: writes are refused from here on, and epoll is not to say so for ever. */
		if (host_readable && hung_up(sock->host.fd)) {
			sock->up_ended = true;
			shutdown(sock->link.fd, SHUT_RD);
		}
	}
	return true;
}

/* ---- listeners ---------------------------------------------------------------------------------- */

static bool
name_of(int fd, int (*get)(int, struct sockaddr *, socklen_t *), struct link_name *name)
{
	name->len = sizeof name->address;
	return get(fd, &name->address.any, &name->len) == 0 && name->len <= sizeof name->address;
}

/* Announces a new host connection. Returns 0 or a negative errno; the connection is then gone. */
static int
announce(struct sock *listener, int host_fd)
{
	struct session *session = listener->session;
	struct link_accepted record = {.handle = (UINT64_C(1) << 63) | ++session->next_accepted};
	struct sock *sock;

	sock = sock_new(session, record.handle);
	if (!sock) {
		sock_dont_linger(host_fd); /* it has its listener's */
		close(host_fd);
		return -EMFILE;
	}
	sock->family = listener->family;
	sock->type = listener->type;
	sock->protocol = listener->protocol;
	sock->listener = listener->handle;
	sock->published = listener->published;
	sock->state = SOCK_CONNECTED;
	sock->host.fd = host_fd;
	if (!name_of(host_fd, getsockname, &record.local) || !name_of(host_fd, getpeername, &record.peer)) {
		sock_free(sock); /* reset before it was accepted */
		return -ECONNABORTED;
	}
	permission_rename_local(sock, &record.local.address.any, record.local.len);
	if (send(listener->link.fd, &record, sizeof record, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof record) {
		int error = errno;

		reset_host(sock);
		sock_free(sock);
		return -error;
	}
	count_session(session, COUNTER_ACCEPTS, 1);
	audit_accepted(sock, listener);
	if (!listener->record_cost)
		ioctl(listener->link.fd, SIOCOUTQ, &listener->record_cost);
	return 0;
}

int
sock_split_backlog(struct sock *sock, int backlog)
{
	sock->ahead = backlog < 0 || backlog > LISTEN_AHEAD ? LISTEN_AHEAD : backlog < 1 ? 1 : backlog;
	/* The host's own stays whole: a burst has to wait there until this loop comes to it, and where a listener is full the kernel
	 * drops connections that their clients think they have, or resets them (with a backlog of 0, from SYN cookies on). */
	return backlog;
}

/* Records that the program has not taken yet. The kernel tells the memory they take, and all are alike. */
static int
records_waiting(const struct sock *sock)
{
	int queued = 0;

	ioctl(sock->link.fd, SIOCOUTQ, &queued);
	return sock->record_cost ? queued / sock->record_cost : 0;
}

struct orphan {
	uint64_t listener;
	struct sock *found;
};

static void
find_orphan(void *entry, void *arg)
{
	struct sock *sock = entry;
	struct orphan *orphan = arg;

	if (sock->listener == orphan->listener && sock->link.fd < 0)
		orphan->found = sock;
}

void
relay_listener_free(struct sock *listener)
{
	/* One that was accepted a moment ago may have said so in a hello that nobody has read yet. */
	listeners_take_links(listener->session->gofer);
	for (;;) {
		struct orphan orphan = {.listener = listener->handle};

		table_visit(&listener->session->socks, find_orphan, &orphan);
		if (!orphan.found)
			return;
		reset_host(orphan.found);
		sock_free(orphan.found);
	}
}

void
relay_listener_poke(struct sock *sock)
{
	struct link_accepted nothing = {0};

	if (sock->link.fd >= 0)
		send(sock->link.fd, &nothing, sizeof nothing, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool
relay_listener(struct sock *sock)
{
	if (sock->link.fd < 0)
		return true;
	for (int round = 0; round < LISTEN_AHEAD; round++) {
		int fd;

		/* Connections wait in the host's own backlog while the program does not take them. */
		sock->link_full = records_waiting(sock) >= sock->ahead;
		if (sock->link_full)
			return true;
		if (sock->session->socks.count >= sock->session->gofer->limits.sockets) {
			sock->starved = true;
			return true;
		}
		if (!gofer_has_room(sock->session->gofer)) {
			sock->starved = true;
			count_gofer(sock->session->gofer, COUNTER_DESCRIPTOR_SHORTAGES);
			return true;
		}
		fd = accept4(sock->host.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
			sock->starved = true;
			count_gofer(sock->session->gofer, COUNTER_DESCRIPTOR_SHORTAGES);
		}
		if (fd < 0)
			return true;
		announce(sock, fd);
	}
	return true;
}
