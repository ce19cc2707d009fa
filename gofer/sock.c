#include "gofer/error_queue.h"
#include "gofer/listener.h"
#include "gofer/permission.h"
#include "gofer/resolver.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct sock *
sock_of_host(struct watch *watch)
{
	return (struct sock *)((char *)watch - offsetof(struct sock, host));
}

static struct sock *
sock_of_link(struct watch *watch)
{
	return (struct sock *)((char *)watch - offsetof(struct sock, link));
}

static void
host_ready(struct watch *watch, uint32_t events)
{
	struct sock *sock = sock_of_host(watch);
	struct session *session = sock->session;
	uint64_t handle = sock->handle;
	int error;
	bool alive;

	/* A connect that fails tells the program through its link, which was there first but may not have been accepted yet. */
	if (sock->state == SOCK_CONNECTING && sock->link.fd < 0 && !sock->waiters) {
		listeners_take_links(session->gofer);
		sock = table_find(&session->socks, handle);
		if (!sock)
			return;
	}
	error = events & EPOLLERR ? error_queue_take(sock) : 0;

	if (error && !sock_is_stream(sock))
		relay_datagram_note_error(sock, error);
	if (events & EPOLLPRI)
		sock->down_urgent = true;
	switch (sock->state) {
	case SOCK_CONNECTING:
		alive = sock_finish_connect(sock, NULL, 0, &error);
		break;
	case SOCK_CONNECTED:
		alive = relay_stream(sock, events & ~(uint32_t)EPOLLOUT);
		break;
	case SOCK_LISTENING:
		alive = relay_listener(sock);
		break;
	default:
		sock->host_full = false;
		alive = relay_datagram_down(sock) && (!(events & EPOLLOUT) || relay_datagram_up(sock));
		break;
	}
	if (alive)
		sock_update(sock);
}

static bool
link_has_unread(const struct sock *sock)
{
	int unread = 0;

	return ioctl(sock->link.fd, SIOCINQ, &unread) < 0 || unread > 0;
}

static void
link_ready(struct watch *watch, uint32_t events)
{
	struct sock *sock = sock_of_link(watch);
	bool was_reset = sock->state == SOCK_RESET, alive = true;

	if (events & (EPOLLHUP | EPOLLERR))
		sock->link_hung_up = true;
	if ((events & EPOLLOUT) && sock->state != SOCK_LISTENING)
		sock->link_full = false;
	if (sock->state == SOCK_CONNECTED)
		alive = relay_stream(sock, false);
	else if (sock->state == SOCK_LISTENING && (events & EPOLLOUT))
		alive = relay_listener(sock);
	else if (!sock_is_stream(sock))
		alive = relay_datagram_up(sock) && (!(events & EPOLLOUT) || relay_datagram_down(sock));
	if (!alive)
		return;
	/* In SOCK_RESET the awaited byte has come, or the program wrote or closed. Its FIN alone says nothing. */
	if (was_reset && !sock->link_hung_up && !link_has_unread(sock))
		return;
	if (was_reset || (sock->link_hung_up && sock->state != SOCK_CONNECTED)) {
		/* Of a listener that was shut down: with its filler unread, who is just being woken in accept would see a reset. */
		if (sock->state == SOCK_OPEN && sock_is_stream(sock))
			(void)!recv(sock->link.fd, sock->session->gofer->scratch, SCRATCH_SIZE, MSG_DONTWAIT);
		sock_free(sock);
	} else {
		sock_update(sock);
	}
}

struct sock *
sock_new(struct session *session, uint64_t handle)
{
	struct sock *sock;

	if (session->socks.count >= session->gofer->limits.sockets) {
		count_session(session, COUNTER_QUOTA_REFUSALS, 1);
		return NULL;
	}
	sock = calloc(1, sizeof *sock);
	if (!sock)
		return NULL;
	*sock = (struct sock){
		.handle = handle,
		.session = session,
		.host = {.fd = -1, .ready = host_ready},
		.link = {.fd = -1, .ready = link_ready},
	};
	if (!table_add(&session->socks, sock)) {
		free(sock);
		return NULL;
	}
	session->gofer->socks++;
	count_session(session, COUNTER_SOCKETS_OPENED, 1);
	return sock;
}

bool
gofer_has_room(const struct gofer *gofer)
{
	return !gofer->limits.descriptors ||
	       2 * (gofer->socks + gofer->sessions.count + gofer->pipes + gofer->ports + 2 * gofer->mirror_count) + DESCRIPTORS_SPARE <= gofer->limits.descriptors;
}

void
sock_dont_linger(int host_fd)
{
	struct linger linger;
	socklen_t len = sizeof linger;

	if (host_fd < 0 || getsockopt(host_fd, SOL_SOCKET, SO_LINGER, &linger, &len) < 0 || !linger.l_onoff || !linger.l_linger)
		return;
	linger.l_onoff = 0;
	setsockopt(host_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static void
wake_waiters(struct sock *sock, int error)
{
	while (sock->waiters) {
		struct waiter *waiter = sock->waiters;

		sock->waiters = waiter->next;
		answer_waiter(sock, waiter, error);
		free(waiter);
	}
}

static void
stop_listening(struct sock *sock)
{
	if (!sock->prev_listening)
		return;
	*sock->prev_listening = sock->next_listening;
	if (sock->next_listening)
		sock->next_listening->prev_listening = sock->prev_listening;
	sock->prev_listening = NULL;
}

void
sock_free(struct sock *sock)
{
	struct session *session = sock->session;
	struct loop *loop = &session->gofer->loop;
	/* Who closed the link knows. */
	bool tell = sock->link.fd >= 0 && (sock->error || !sock->link_hung_up);

	stop_listening(sock);
	wake_waiters(sock, ECONNABORTED);
	if (sock->ahead)
		relay_listener_free(sock);
	audit_closed(sock);
	relay_stream_free(sock);
	relay_datagram_free(sock);
	resolver_free(sock);
	error_queue_free(sock);
	rewrites_free(sock);
	loop_close(loop, &sock->link);
	sock_dont_linger(sock->host.fd);
	loop_close(loop, &sock->host);
	table_remove(&session->socks, sock);
	session->gofer->socks--;
	count_session(session, COUNTER_SOCKETS_CLOSED, 1);
	if (tell)
		session_send_closed(session, sock->handle, sock->error);
	free(sock);
}

bool
sock_attach_link(struct sock *sock, int fd, uint32_t plug)
{
	if (sock->link.fd >= 0) {
		close(fd); /* one descriptor, one link: the client is confused */
		return true;
	}
	sock->link.fd = fd;
	sock->plug = plug;
	count_session(sock->session, COUNTER_LINKS, 1);
	if (!sock_is_stream(sock))
		setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int)); /* see relay_datagram_up() */
	if (sock->state == SOCK_CONNECTED ? !relay_stream(sock, false)
	                                  : sock->state == SOCK_RESET && sock->host.fd < 0 && !sock_host_gone(sock, sock->error))
		return false;
	if (sock->state == SOCK_RESET && sock->host.fd >= 0)
		sock_unlink(sock, sock->error);
	sock_update(sock);
	return true;
}

bool
sock_drain(struct sock *sock)
{
	if (sock->link.fd < 0 || sock->host.fd < 0)
		return true;
	if (sock->state == SOCK_CONNECTED)
		return relay_stream(sock, false);
	if (!sock_is_stream(sock) && sock->state == SOCK_OPEN)
		return relay_datagram_up(sock);
	return true;
}

static uint32_t
host_events(const struct sock *sock)
{
	switch (sock->state) {
	case SOCK_CONNECTING:
		return EPOLLOUT;
	case SOCK_CONNECTED:
		if (sock->link.fd < 0 || (sock->up_ended && sock->down_ended))
			return 0;
		if (sock->link_hung_up) /* what still comes is nobody's */
			return sock->up.len ? EPOLLOUT : 0;
		/* While the program does not read, the host's hang-up is no news: it would only spin. */
		if (sock->down.len || relay_stream_piped(sock))
			return sock->up.len ? EPOLLOUT : 0;
		return EPOLLHUP | (sock->down_ended ? 0 : EPOLLIN | EPOLLPRI) | (sock->up.len ? EPOLLOUT : 0);
	case SOCK_LISTENING:
		return sock->link.fd < 0 || sock->link_full || sock->starved ? 0 : EPOLLIN;
	case SOCK_OPEN:
		if (sock_is_stream(sock) || sock->link.fd < 0)
			return 0;
		/* Shut down for reading it polls readable for ever, but what comes is still delivered: told once each time. */
		return (sock->link_full ? 0 : EPOLLIN) | (sock->host_full ? EPOLLOUT : 0) | (sock->down_ended ? EPOLLET : 0);
	default:
		return 0;
	}
}

static uint32_t
link_events(const struct sock *sock)
{
	switch (sock->state) {
	case SOCK_CONNECTED:
		/* Hung up, but the host is slow to take the rest: hang-up would only spin. */
		if (sock->link_hung_up)
			return 0;
		return EPOLLHUP | (sock->up_ended || sock->up.len ? 0 : EPOLLIN) |
		       (sock->down.len || relay_stream_piped(sock) ? EPOLLOUT : 0);
	case SOCK_RESET:
		return EPOLLHUP | EPOLLIN | EPOLLET;
	case SOCK_LISTENING:
		/* A listener's link is full by count and always writable: what we wait for is the next record to be taken. */
		return EPOLLHUP | (sock->link_full ? EPOLLOUT | EPOLLET : 0);
	default:
		return EPOLLHUP | (sock->link_full ? EPOLLOUT : 0) |
		       (sock_is_stream(sock) || sock->host_full || sock->up_ended || sock->state == SOCK_NEW ? 0 : EPOLLIN);
	}
}

void
sock_update(struct sock *sock)
{
	struct loop *loop = &sock->session->gofer->loop;

	if (loop_watch(loop, &sock->host, host_events(sock)) < 0 || loop_watch(loop, &sock->link, link_events(sock)) < 0) {
		sock->error = ENOMEM;
		sock_free(sock);
	}
}

struct reap {
	const struct sock *other;
	struct sock *found;
};

static void
find_hung_up(void *entry, void *arg)
{
	struct sock *sock = entry;
	struct reap *reap = arg;
	struct pollfd link = {.fd = sock->link.fd};
	int unread = 0;

	if (reap->found || sock == reap->other || sock->link.fd < 0 || sock->up.len || poll(&link, 1, 0) != 1 ||
	    !(link.revents & POLLHUP) || ioctl(sock->link.fd, SIOCINQ, &unread) < 0)
		return;
	/* A listener's filler stays unread. */
	if (!unread || sock->state == SOCK_LISTENING)
		reap->found = sock;
}

bool
sock_reap_hung_up(struct session *session, const struct sock *other)
{
	bool any = false;

	for (;;) {
		struct reap reap = {.other = other};

		table_visit(&session->socks, find_hung_up, &reap);
		if (!reap.found)
			return any;
		any = true;
		reap.found->link_hung_up = true;
		sock_free(reap.found);
	}
}

static bool
link_is_gone(const struct sock *sock)
{
	struct pollfd link = {.fd = sock->link.fd};

	return sock->link_hung_up || (poll(&link, 1, 0) == 1 && link.revents & POLLHUP);
}

void
sock_leave(struct sock *sock)
{
	sock->link_hung_up = link_is_gone(sock);
	if (!sock_drain(sock))
		return;
	if (sock->state == SOCK_CONNECTED && sock->link_hung_up && sock->up.len && !sock->up_ended)
		sock_update(sock);
	else
		sock_free(sock);
}

void
sock_listens(struct sock *sock)
{
	struct session *session = sock->session;

	sock->state = SOCK_LISTENING;
	if (sock->prev_listening)
		return;
	sock->next_listening = session->listening;
	sock->prev_listening = &session->listening;
	if (sock->next_listening)
		sock->next_listening->prev_listening = &sock->next_listening;
	session->listening = sock;
}

void
sock_reap_listeners(struct session *session, const struct sock *other)
{
	for (struct sock *sock = session->listening, *next; sock; sock = next) {
		next = sock->next_listening;
		if (sock == other || sock->state != SOCK_LISTENING || sock->link.fd < 0 || !link_is_gone(sock))
			continue;
		sock->link_hung_up = true;
		sock_free(sock);
		/* That may have freed others: links that were waiting are taken. */
		next = session->listening;
	}
}

int
sock_name(const struct sock *sock, int (*get)(int, struct sockaddr *, socklen_t *), struct wire_address *name)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;

	*name = (struct wire_address){0};
	if (get(sock->host.fd, (struct sockaddr *)&address, &len) < 0)
		return errno;
	return -wire_address_from_host(name, (struct sockaddr *)&address, len);
}

static int
waiting(const struct sock *sock, unsigned long request)
{
	int host = 0, link = 0;

	ioctl(sock->host.fd, request, &host);
	if (sock_is_stream(sock) && sock->state == SOCK_CONNECTED)
		ioctl(sock->link.fd, SIOCINQ, &link);
	return host + link + (int)(sock->up.len);
}

int
sock_unacknowledged(const struct sock *sock)
{
	return waiting(sock, SIOCOUTQ);
}

int
sock_unsent(const struct sock *sock)
{
	return waiting(sock, SIOCOUTQNSD);
}

bool
sock_finish_connect(struct sock *sock, const struct sockaddr *address, socklen_t len, int *failed)
{
	struct pollfd poll_fd = {.fd = sock->host.fd, .events = POLLOUT};
	struct sockaddr_storage peer;
	socklen_t error_len = sizeof(int), peer_len = sizeof peer;
	int error = 0;

	*failed = 0;
	/*
	 * After a connect that did not wait, the kernel lets one more connect succeed before it says EISCONN; after one that waited
	 * it does not. Ours never waits. So for a program that does, asking by connect() comes to the same.
	 */
	if (address) {
		if (connect(sock->host.fd, address, len) < 0)
			error = errno;
		if (error == EALREADY || error == EINPROGRESS)
			return true;
	} else {
		if (poll(&poll_fd, 1, 0) <= 0)
			return true;
		if (getsockopt(sock->host.fd, SOL_SOCKET, SO_ERROR, &error, &error_len) < 0)
			error = errno;
		if (!error && sock->waiters && getpeername(sock->host.fd, (struct sockaddr *)&peer, &peer_len) == 0)
			connect(sock->host.fd, (struct sockaddr *)&peer, peer_len);
	}
	*failed = error;
	if (error)
		return sock_connect_failed(sock, error);
	sock->state = SOCK_CONNECTED;
	count_session(sock->session, COUNTER_CONNECTS_OK, 1);
	audit_connected(sock, 0);
	wake_waiters(sock, 0);
	return relay_stream(sock, false);
}

/*
 * The kernel wakes the program before it frees what is unread, and A is not writable until then: the less there is, the surer the
 * program sees all of its events at once. One piece keeps A from being writable meanwhile.
 */
static void
read_most_filler(struct sock *sock)
{
	uint8_t *scratch = sock->session->gofer->scratch;
	int unread = 0;

	/* Only if all of it is there: what is left must not be what is still to come. */
	if (ioctl(sock->link.fd, SIOCINQ, &unread) < 0 || unread != (int)sock->plug)
		return;
	while (sock->plug > LINK_PLUG_PIECE) {
		size_t wanted = sock->plug - LINK_PLUG_PIECE < SCRATCH_SIZE ? sock->plug - LINK_PLUG_PIECE : SCRATCH_SIZE;
		ssize_t n = recv(sock->link.fd, scratch, wanted, MSG_DONTWAIT);

		if (n <= 0)
			return;
		sock->plug -= (uint32_t)n;
	}
}

void
sock_unlink(struct sock *sock, int error)
{
	bool linked = sock->link.fd >= 0;

	if (error)
		read_most_filler(sock);
	if (sock->ahead)
		relay_listener_free(sock);
	wake_waiters(sock, ECONNABORTED);
	relay_stream_free(sock);
	loop_close(&sock->session->gofer->loop, &sock->link);
	sock->state = SOCK_OPEN;
	sock->error = error; /* for a request that has crossed the event */
	sock->plug = 0;
	sock->ahead = sock->record_cost = 0;
	sock->up_urgent = sock->down_urgent = sock->up_ended = sock->down_ended = false;
	sock->link_hung_up = sock->link_full = sock->starved = false;
	if (linked)
		session_send_unlinked(sock->session, sock->handle, error);
}

bool
sock_connect_failed(struct sock *sock, int error)
{
	bool told = sock->waiters != NULL;

	count_session(sock->session, COUNTER_CONNECTS_FAILED, 1);
	audit_connected(sock, error);
	/* Makes the host's socket fresh again, so that the program may connect it once more. */
	connect(sock->host.fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr));
	sock->state = SOCK_OPEN;
	wake_waiters(sock, error);
	if (sock->link.fd >= 0 && link_is_gone(sock)) {
		sock_free(sock);
		return false;
	}
	/* Its filler stays unread, so that closing it shows the program an error, a hang-up and SO_ERROR. */
	if (sock->link.fd >= 0)
		sock_unlink(sock, error);
	else if (!told)
		sock->error = error;
	return true;
}

bool
sock_host_gone(struct sock *sock, int error)
{
	if (sock->state == SOCK_CONNECTED)
		count_session(sock->session, COUNTER_RESETS, 1);
	sock->state = SOCK_RESET;
	sock->error = error;
	sock_dont_linger(sock->host.fd);
	loop_close(&sock->session->gofer->loop, &sock->host);
	if (sock->link.fd < 0)
		return true;
	if (link_has_unread(sock) || sock->link_hung_up) {
		sock_free(sock);
		return false;
	}
	if (!sock->plug)
		session_send_reset(sock->session, sock->handle);
	return true;
}
