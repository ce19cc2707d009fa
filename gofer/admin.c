/*
 * The connections of splitsock-ctl. They are served by the loop itself, without NNG, and hold little: one request at a time is read
 * and answered, and nothing more is read before that answer has gone out. So a reader that is slow, or stops, holds one frame of
 * memory and its own connection, and for ADMIN_MS at most.
 */
#include "gofer/admin.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "proto/link.h"

struct admin_connection {
	struct admin_connection *next, **prev; /* admin.connections */
	struct admin *admin;
	struct watch watch;
	int64_t deadline_ms;
	uint8_t inbox[FRAME_HEADER_SIZE + ADMIN_REQUEST_MAX];
	size_t inbox_len;
	uint8_t *reply; /* NULL: none is under way */
	size_t reply_len, reply_off;
};

struct admin {
	struct gofer *gofer;
	struct watch watch;
	char *path;
	bool bound; /* the file is ours */
	struct admin_connection *connections;
};

bool
admin_lets_in(uid_t peer, uid_t own)
{
	return peer == own || peer == 0;
}

/* ---- one connection ----------------------------------------------------------------------------- */

static void
connection_free(struct admin_connection *connection)
{
	struct gofer *gofer = connection->admin->gofer;

	loop_close(&gofer->loop, &connection->watch);
	*connection->prev = connection->next;
	if (connection->next)
		connection->next->prev = connection->prev;
	gofer->admin_connections--;
	free(connection->reply);
	free(connection);
}

/* It broke the protocol, or took too long. */
static void
admin_end(struct admin_connection *connection, const char *why)
{
	log_warning("a connection to %s was ended: %s", connection->admin->path, why);
	count_gofer(connection->admin->gofer, COUNTER_ADMIN_BREACHES);
	connection_free(connection);
}

/* False: freed. */
static bool
connection_send(struct admin_connection *connection)
{
	while (connection->reply) {
		ssize_t n = send(connection->watch.fd, connection->reply + connection->reply_off,
		                 connection->reply_len - connection->reply_off, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) { /* it has gone */
			connection_free(connection);
			return false;
		}
		connection->reply_off += (size_t)n;
		if (connection->reply_off < connection->reply_len)
			continue;
		free(connection->reply);
		connection->reply = NULL;
		connection->deadline_ms = now_ms() + ADMIN_MS;
	}
	return true;
}

/* Is there something to parse at the start of the inbox, a request or a breach? */
static bool
connection_has_request(const struct admin_connection *connection)
{
	struct frame frame;
	size_t need;

	return frame_parse(&frame, connection->inbox, connection->inbox_len, &need) != 0 || need > sizeof connection->inbox;
}

/* Answers the request at the start of the inbox, if it is whole. False: freed. */
static bool
connection_answer(struct admin_connection *connection)
{
	struct codec_arena arena = {0};
	Splitsock__AdminRequest *request;
	struct frame frame;
	size_t need;
	ssize_t size = frame_parse(&frame, connection->inbox, connection->inbox_len, &need);

	if (size < 0 || need > sizeof connection->inbox) {
		admin_end(connection, "what it sent is no request");
		return false;
	}
	if (size == 0)
		return true;
	request = frame.kind == FRAME_REQUEST ? decode_admin_request(&arena, &frame) : NULL;
	if (!request) {
		codec_free(&arena);
		admin_end(connection, "what it sent is no request");
		return false;
	}
	connection->reply = admin_reply(connection->admin->gofer, frame.id, request, &connection->reply_len);
	connection->reply_off = 0;
	codec_free(&arena);
	if (!connection->reply) {
		admin_end(connection, "no memory for the answer");
		return false;
	}
	connection->inbox_len -= (size_t)size;
	memmove(connection->inbox, connection->inbox + size, connection->inbox_len);
	connection->deadline_ms = now_ms() + ADMIN_MS;
	return true;
}

static void
connection_ready(struct watch *watch, uint32_t events)
{
	struct admin_connection *connection =
		(struct admin_connection *)((char *)watch - offsetof(struct admin_connection, watch));
	struct loop *loop = &connection->admin->gofer->loop;
	ssize_t n;

	(void)events;
	if (!connection_send(connection))
		return;
	if (!connection->reply && !connection_has_request(connection)) {
		n = recv(watch->fd, connection->inbox + connection->inbox_len, sizeof connection->inbox - connection->inbox_len,
		         MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			connection_free(connection);
			return;
		}
		connection->inbox_len += n > 0 ? (size_t)n : 0;
	}
	/* One request a turn: the next one, if it is here already, gets its own as soon as the socket takes an answer. */
	if (!connection->reply && (!connection_answer(connection) || !connection_send(connection)))
		return;
	if (loop_watch(loop, watch, connection->reply || connection_has_request(connection) ? EPOLLOUT : EPOLLIN) < 0)
		connection_free(connection);
}

/* ---- the listener ------------------------------------------------------------------------------- */

static void
admin_accept(struct watch *watch, uint32_t events)
{
	struct admin *admin = (struct admin *)((char *)watch - offsetof(struct admin, watch));
	struct gofer *gofer = admin->gofer;
	struct admin_connection *connection;
	struct ucred peer;
	socklen_t len = sizeof peer;
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		loop_watch(&gofer->loop, watch, 0); /* until the next tick */
		count_gofer(gofer, COUNTER_DESCRIPTOR_SHORTAGES);
	}
	if (fd < 0)
		return;
	/* Who it is, from the kernel, before anything is spent on it: the mode of a socket file can be changed. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || !admin_lets_in(peer.uid, geteuid())) {
		log_warning("uid %u was turned away from %s", (unsigned)peer.uid, admin->path);
		goto refuse;
	}
	if (gofer->admin_connections >= ADMIN_CONNECTIONS_MAX)
		goto refuse;
	connection = calloc(1, sizeof *connection);
	if (!connection)
		goto refuse;
	*connection = (struct admin_connection){
		.next = admin->connections,
		.prev = &admin->connections,
		.admin = admin,
		.watch = {.fd = fd, .ready = connection_ready},
		.deadline_ms = now_ms() + ADMIN_MS,
	};
	if (connection->next)
		connection->next->prev = &connection->next;
	admin->connections = connection;
	gofer->admin_connections++;
	count_gofer(gofer, COUNTER_ADMIN_CONNECTIONS);
	if (loop_watch(&gofer->loop, &connection->watch, EPOLLIN) < 0)
		connection_free(connection);
	return;
refuse:
	close(fd);
	count_gofer(gofer, COUNTER_ADMIN_REFUSED);
}

static int
admin_listen(struct admin *admin)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;

	if (strlen(admin->path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, admin->path);
	/* One that a dead gofer left is ours to replace: its path is locked. Anything else is somebody's file. */
	if (lstat(admin->path, &st) == 0 && (!S_ISSOCK(st.st_mode) || unlink(admin->path) < 0))
		return -EEXIST;
	admin->watch.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Nobody can connect before listen(). */
	if (admin->watch.fd < 0 || bind(admin->watch.fd, (struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	admin->bound = true;
	if (chmod(admin->path, 0600) < 0 || listen(admin->watch.fd, ADMIN_CONNECTIONS_MAX) < 0)
		return -errno;
	return loop_watch(&admin->gofer->loop, &admin->watch, EPOLLIN);
}

struct admin *
admin_new(struct gofer *gofer, const char *path)
{
	struct admin *admin = calloc(1, sizeof *admin);
	int error;

	if (!admin) {
		log_error("cannot listen on %s%s: %s", path, LINK_ADMIN_SUFFIX, strerror(errno));
		return NULL;
	}
	*admin = (struct admin){.gofer = gofer, .watch = {.fd = -1, .ready = admin_accept}};
	if (asprintf(&admin->path, "%s%s", path, LINK_ADMIN_SUFFIX) < 0)
		admin->path = NULL;
	error = admin->path ? admin_listen(admin) : -ENOMEM;
	if (!error)
		return admin;
	log_error("cannot listen on %s%s: %s", path, LINK_ADMIN_SUFFIX, strerror(-error));
	admin_free(admin);
	return NULL;
}

void
admin_free(struct admin *admin)
{
	if (!admin)
		return;
	while (admin->connections)
		connection_free(admin->connections);
	if (admin->bound)
		unlink(admin->path);
	loop_close(&admin->gofer->loop, &admin->watch);
	free(admin->path);
	free(admin);
}

void
admin_tick(struct admin *admin)
{
	int64_t now = now_ms();

	for (struct admin_connection *at = admin->connections, *next; at; at = next) {
		next = at->next;
		if (at->deadline_ms >= now)
			continue;
		/* One that has nothing under way is only idle. */
		if (at->reply || at->inbox_len)
			admin_end(at, at->reply ? "it does not read its answer" : "its request did not come in time");
		else
			connection_free(at);
	}
	loop_watch(&admin->gofer->loop, &admin->watch, EPOLLIN);
}
