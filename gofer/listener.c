#include "gofer/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <nng/nng.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "gofer/admin.h"
#include "gofer/service.h"
#include "gofer/sock.h"

/* Links that may wait to be accepted; the kernel's default for net.core.somaxconn. */
#define LINK_BACKLOG 4096

struct accepted_stream {
	struct accepted_stream *next; /* listener.accepted */
	nng_stream *stream;
};

/* A link whose hello has not come yet. */
struct pending_link {
	struct pending_link *next, **prev; /* listener.pending */
	struct listener *listener;
	struct watch watch;
	int64_t deadline_ms;
	bool is_stream;
};

struct link_listener {
	struct watch watch;
	struct listener *listener;
	bool is_stream;
	bool passed; /* by the service manager: the file is not ours */
	char *path;
};

struct listener {
	struct listener *next; /* gofer.listeners */
	struct gofer *gofer;
	char *url, *path;
	int lock_fd;
	nng_stream_listener *control;
	nng_aio *aio;
	struct post post;
	pthread_mutex_t lock; /* guards accepted, failed */
	struct accepted_stream *accepted;
	bool failed;
	struct link_listener links[2];
	struct pending_link *pending;
	struct admin *admin;
};

/* ---- control ------------------------------------------------------------------------------------ */

/* On a thread of NNG's. */
static void
control_accepted(void *arg)
{
	struct listener *listener = arg;
	int result = nng_aio_result(listener->aio);
	struct accepted_stream *accepted = result == 0 ? malloc(sizeof *accepted) : NULL;

	if (result == NNG_ECLOSED || result == NNG_ECANCELED)
		return;
	if (result == 0 && !accepted)
		nng_stream_free(nng_aio_get_output(listener->aio, 0));
	pthread_mutex_lock(&listener->lock);
	if (accepted) {
		accepted->stream = nng_aio_get_output(listener->aio, 0);
		accepted->next = listener->accepted;
		listener->accepted = accepted;
	}
	listener->failed = result != 0;
	pthread_mutex_unlock(&listener->lock);
	loop_post(&listener->gofer->loop, &listener->post);
	if (result == 0)
		nng_stream_listener_accept(listener->control, listener->aio);
}

static void
take_accepted(struct post *post)
{
	struct listener *listener = (struct listener *)((char *)post - offsetof(struct listener, post));
	struct accepted_stream *accepted;

	pthread_mutex_lock(&listener->lock);
	accepted = listener->accepted;
	listener->accepted = NULL;
	pthread_mutex_unlock(&listener->lock);
	while (accepted) {
		struct accepted_stream *next = accepted->next;

		session_new(listener->gofer, accepted->stream);
		free(accepted);
		accepted = next;
	}
}

/* ---- links -------------------------------------------------------------------------------------- */

/* Frees the record; the descriptor is the caller's. */
static int
pending_take(struct pending_link *pending)
{
	struct gofer *gofer = pending->listener->gofer;
	int fd = pending->watch.fd;

	loop_watch(&gofer->loop, &pending->watch, 0);
	*pending->prev = pending->next;
	if (pending->next)
		pending->next->prev = pending->prev;
	gofer->pending_links--;
	free(pending);
	return fd;
}

static void
refuse_link(struct gofer *gofer, int fd)
{
	close(fd);
	count_gofer(gofer, COUNTER_LINKS_REFUSED);
}

/* Gives the descriptor to whom its hello names; closes it if that is nobody. */
static void
link_introduce(struct gofer *gofer, int fd, bool is_stream, const struct link_hello *hello)
{
	struct session *session = session_by_token(gofer, hello->token);
	struct sock *sock;

	if (!session || hello->plug > LINK_PLUG_MAX) {
		refuse_link(gofer, fd);
		return;
	}
	session_meet(session, fd);
	if (hello->kind == LINK_CHANNEL && !is_stream && hello->handle == 0) {
		session_attach_channel(session, fd);
		return;
	}
	if (hello->kind != LINK_SOCKET || hello->handle == 0) {
		refuse_link(gofer, fd);
		return;
	}
	sock = table_find(&session->socks, hello->handle);
	if (!sock && !(hello->handle >> 63) && gofer_has_room(gofer)) {
		/* A datagram socket's link comes before anything else; any other may overtake the control stream. */
		sock = sock_new(session, hello->handle);
		if (sock)
			sock->type = is_stream ? SOCK_STREAM : SOCK_DGRAM;
	}
	if (!sock || sock_is_stream(sock) != is_stream) {
		refuse_link(gofer, fd);
		return;
	}
	sock_attach_link(sock, fd, hello->plug);
}

/* 1: read, 0: not there yet, -1: no hello of ours. */
static int
read_hello(int fd, struct link_hello *hello)
{
	ssize_t len = recv(fd, hello, sizeof *hello, MSG_DONTWAIT);

	if (len < 0 && errno == EAGAIN)
		return 0;
	return len == sizeof *hello ? 1 : -1;
}

static void
pending_ready(struct watch *watch, uint32_t events)
{
	struct pending_link *pending = (struct pending_link *)((char *)watch - offsetof(struct pending_link, watch));
	struct gofer *gofer = pending->listener->gofer;
	bool is_stream = pending->is_stream;
	struct link_hello hello;
	int got = read_hello(watch->fd, &hello);

	(void)events;
	if (got == 0)
		return;
	if (got > 0)
		link_introduce(gofer, pending_take(pending), is_stream, &hello);
	else
		refuse_link(gofer, pending_take(pending));
}

/* Room for one more: the one that has been silent for longest makes it. */
static void
pending_evict(struct listener *listener)
{
	struct pending_link *oldest = listener->pending;

	while (oldest && oldest->next)
		oldest = oldest->next;
	if (!oldest)
		return;
	close(pending_take(oldest));
	count_gofer(listener->gofer, COUNTER_LINKS_OVERDUE);
}

static void
take_links(struct link_listener *links, int rounds)
{
	struct watch *watch = &links->watch;
	struct listener *listener = links->listener;
	struct gofer *gofer = listener->gofer;

	for (int round = 0; round < rounds; round++) {
		struct pending_link *pending;
		struct link_hello hello;
		int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		int got;

		if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
			loop_watch(&gofer->loop, watch, 0); /* until the next tick */
			count_gofer(gofer, COUNTER_DESCRIPTOR_SHORTAGES);
		}
		if (fd < 0)
			return;
		got = read_hello(fd, &hello);
		if (got > 0) {
			link_introduce(gofer, fd, links->is_stream, &hello);
			continue;
		}
		if (got == 0 && gofer->pending_links >= PENDING_LINKS_MAX)
			pending_evict(listener);
		pending = got == 0 && gofer->pending_links < PENDING_LINKS_MAX ? calloc(1, sizeof *pending) : NULL;
		if (!pending) {
			refuse_link(gofer, fd);
			continue;
		}
		*pending = (struct pending_link){
			.listener = listener,
			.next = listener->pending,
			.prev = &listener->pending,
			.watch = {.fd = fd, .ready = pending_ready},
			.deadline_ms = now_ms() + HANDSHAKE_MS,
			.is_stream = links->is_stream,
		};
		if (pending->next)
			pending->next->prev = &pending->next;
		listener->pending = pending;
		gofer->pending_links++;
		if (loop_watch(&gofer->loop, &pending->watch, EPOLLIN) < 0)
			close(pending_take(pending));
	}
}

static void
links_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	take_links((struct link_listener *)((char *)watch - offsetof(struct link_listener, watch)), 16);
}

/* Removes the socket that a dead gofer left: ours, by the lock. Anything else is somebody's file. */
static int
remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	return S_ISSOCK(st.st_mode) ? unlink(path) : -1;
}

static int
links_listen(struct link_listener *links, const char *path, const char *suffix, int type, mode_t mode)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (asprintf(&links->path, "%s%s", path, suffix) < 0) {
		links->path = NULL;
		return -ENOMEM;
	}
	if (strlen(links->path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, links->path);
	links->watch.fd = service_take_socket(type, links->path);
	links->passed = links->watch.fd >= 0;
	if (links->passed)
		return loop_watch(&links->listener->gofer->loop, &links->watch, EPOLLIN);
	if (remove_stale(links->path) < 0)
		return -EEXIST;
	links->watch.fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (links->watch.fd < 0 || bind(links->watch.fd, (struct sockaddr *)&address, sizeof address) < 0 ||
	    chmod(links->path, mode) < 0 || listen(links->watch.fd, LINK_BACKLOG) < 0)
		return -errno;
	return loop_watch(&links->listener->gofer->loop, &links->watch, EPOLLIN);
}

/* ---- life --------------------------------------------------------------------------------------- */

static int
open_lock(const char *path)
{
	struct stat ours, there;
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return -EBUSY;
	}
	/* Its last holder may have removed it while we waited for it. */
	if (fstat(fd, &ours) < 0 || lstat(path, &there) < 0 || ours.st_ino != there.st_ino || ours.st_dev != there.st_dev) {
		close(fd);
		return -EAGAIN;
	}
	return fd;
}

/* Holds PATH.lock for as long as the gofer lives, so that two never share a path, and files of a dead one are known as such. */
static int
lock_path(const char *path)
{
	char *lock;
	int fd;

	if (asprintf(&lock, "%s.lock", path) < 0)
		return -ENOMEM;
	do
		fd = open_lock(lock);
	while (fd == -EAGAIN);
	free(lock);
	return fd;
}

static void
unlock_path(const char *path, int fd)
{
	char *lock;

	if (asprintf(&lock, "%s.lock", path) >= 0) {
		unlink(lock);
		free(lock);
	}
	close(fd);
}

struct listener *
listener_new(struct gofer *gofer, const char *url, mode_t mode)
{
	static const char scheme[] = "ipc://";
	struct listener *listener;
	mode_t old_mask;
	int error, passed;

	if (strncmp(url, scheme, sizeof scheme - 1) != 0 || url[sizeof scheme - 1] != '/') {
		log_error("--listen %s: only ipc:///absolute/path is supported", url);
		return NULL;
	}
	listener = calloc(1, sizeof *listener);
	if (!listener) {
		log_error("cannot listen on %s: %s", url, strerror(errno));
		return NULL;
	}
	listener->gofer = gofer;
	listener->url = strdup(url);
	listener->path = strdup(url + sizeof scheme - 1);
	listener->post.run = take_accepted;
	pthread_mutex_init(&listener->lock, NULL);
	for (int i = 0; i < 2; i++)
		listener->links[i] = (struct link_listener){
			.watch = {.fd = -1, .ready = links_ready}, .listener = listener, .is_stream = i == 0};
	listener->lock_fd = listener->url && listener->path ? lock_path(listener->path) : -ENOMEM;
	if (listener->lock_fd < 0) {
		log_error("cannot listen on %s: %s", url,
		          listener->lock_fd == -EBUSY ? "another gofer runs there" : strerror(-listener->lock_fd));
		goto fail;
	}
	passed = service_take_socket(SOCK_STREAM, listener->path);
	if (passed < 0 && remove_stale(listener->path) < 0) {
		log_error("cannot listen on %s: a file that is no socket is in the way", url);
		goto fail;
	}
	/* The socket must never be there with wider permissions than it ends with. */
	old_mask = umask(0777 & ~mode);
	if (passed >= 0) {
		error = service_listen(&listener->control, passed);
	} else {
		error = nng_stream_listener_alloc(&listener->control, url);
		if (!error)
			error = nng_stream_listener_listen(listener->control);
	}
	umask(old_mask);
	if (!error)
		error = nng_aio_alloc(&listener->aio, control_accepted, listener);
	if (error) {
		log_error("cannot listen on %s: %s", url, nng_strerror(error));
		goto fail;
	}
	error = links_listen(&listener->links[0], listener->path, LINK_STREAM_SUFFIX, SOCK_STREAM, mode);
	if (!error)
		error = links_listen(&listener->links[1], listener->path, LINK_SEQPACKET_SUFFIX, SOCK_SEQPACKET, mode);
	if (error) {
		log_error("cannot listen beside %s: %s", url, strerror(-error));
		goto fail;
	}
	listener->admin = admin_new(gofer, listener->path);
	if (!listener->admin)
		goto fail;
	nng_stream_listener_accept(listener->control, listener->aio);
	listener->next = gofer->listeners;
	gofer->listeners = listener;
	return listener;
fail:
	listener_free(listener);
	return NULL;
}

void
listener_free(struct listener *listener)
{
	if (!listener)
		return;
	for (struct listener **at = &listener->gofer->listeners; *at; at = &(*at)->next) {
		if (*at == listener) {
			*at = listener->next;
			break;
		}
	}
	if (listener->control)
		nng_stream_listener_close(listener->control);
	if (listener->aio)
		nng_aio_stop(listener->aio);
	loop_cancel(&listener->gofer->loop, &listener->post);
	take_accepted(&listener->post);
	nng_stream_listener_free(listener->control);
	nng_aio_free(listener->aio);
	while (listener->pending)
		close(pending_take(listener->pending));
	admin_free(listener->admin);
	for (int i = 0; i < 2; i++) {
		loop_close(&listener->gofer->loop, &listener->links[i].watch);
		if (listener->links[i].path && !listener->links[i].passed)
			remove_stale(listener->links[i].path);
		free(listener->links[i].path);
	}
	if (listener->lock_fd >= 0)
		unlock_path(listener->path, listener->lock_fd);
	pthread_mutex_destroy(&listener->lock);
	free(listener->url);
	free(listener->path);
	free(listener);
}

size_t
listeners_urls(const struct gofer *gofer, char **urls, size_t room)
{
	size_t count = 0;

	for (const struct listener *listener = gofer->listeners; listener && count < room; listener = listener->next)
		urls[count++] = listener->url;
	return count;
}

static struct pending_link *
pending_with_hello(struct listener *listener)
{
	struct pollfd fds[PENDING_LINKS_MAX];
	nfds_t count = 0, at = 0;

	for (struct pending_link *pending = listener->pending; pending; pending = pending->next)
		fds[count++] = (struct pollfd){.fd = pending->watch.fd, .events = POLLIN};
	if (poll(fds, count, 0) <= 0)
		return NULL;
	for (struct pending_link *pending = listener->pending; pending; pending = pending->next, at++)
		if (fds[at].revents & POLLIN)
			return pending;
	return NULL;
}

void
listeners_take_links(struct gofer *gofer)
{
	for (struct listener *listener = gofer->listeners; listener; listener = listener->next) {
		struct pending_link *pending;

		for (int i = 0; i < 2; i++)
			take_links(&listener->links[i], LINK_BACKLOG);
		/* Those accepted between connect and hello. Introducing one may come back here and take others: look anew each time. */
		while (listener->pending && (pending = pending_with_hello(listener)) != NULL)
			pending_ready(&pending->watch, EPOLLIN);
	}
}

void
listener_tick(struct listener *listener)
{
	int64_t now = now_ms();
	bool failed;

	for (struct pending_link *at = listener->pending, *next; at; at = next) {
		next = at->next;
		if (at->deadline_ms < now) {
			close(pending_take(at));
			count_gofer(listener->gofer, COUNTER_LINKS_OVERDUE);
		}
	}
	for (int i = 0; i < 2; i++)
		loop_watch(&listener->gofer->loop, &listener->links[i].watch, EPOLLIN);
	admin_tick(listener->admin);
	pthread_mutex_lock(&listener->lock);
	failed = listener->failed;
	listener->failed = false;
	pthread_mutex_unlock(&listener->lock);
	if (!failed)
		return;
	count_gofer(listener->gofer, COUNTER_DESCRIPTOR_SHORTAGES);
	nng_stream_listener_accept(listener->control, listener->aio);
}
