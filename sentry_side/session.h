/*
 * The client's end of a session: frames to and from the gofer, and who waits for which reply.
 *
 * Replies arrive on threads of NNG (control stream) or of the session (side channel) and are handed to a callback there.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_SESSION_H
#define SPLITSOCK_SENTRY_SIDE_SESSION_H

#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/table.h"
#include "proto/link.h"

#define HANDSHAKE_MS 5000
#define DEFAULT_URL LINK_DEFAULT_URL

/*
 * The answer to a call: `results` of the reply, or none and the errno that says why there is no reply (ENETDOWN when the session
 * has ended). Valid during the callback only.
 */
typedef void (*reply_fn)(void *arg, size_t result_count, Splitsock__Result **results, int error);

/* What the gofer says unasked. All may run on any thread, without locks held. */
struct session_events {
	void (*reset)(void *arg, uint64_t handle);
	void (*closed)(void *arg, uint64_t handle, int error);
	void (*unlinked)(void *arg, uint64_t handle, int error);
	void (*ended)(void *arg);
	void *arg;
};

/* Whom the session is for, if not for this process itself: an agent says so, and the gofer may believe it. */
struct session_serves {
	const char *id, *name, *cgroup; /* "": unknown */
	size_t label_count;
	const char *(*labels)[2]; /* keys and values */
	uint32_t uid, gid;
};

struct session {
	char *path; /* of the control socket */
	uint8_t token[LINK_TOKEN_SIZE];
	struct session_events events;

	nng_stream *stream;
	nng_aio *recv_aio, *send_aio;
	uint8_t *inbox;
	size_t inbox_len, inbox_size;

	pthread_mutex_t lock; /* guards what follows */
	struct table calls;   /* by id */
	uint64_t next_call;
	struct outgoing *outbox, **outbox_tail;
	bool sending, ended;

	pthread_mutex_t filler_lock; /* guards the pipe */
	int filler, filler_pipe[2];

	uint64_t features; /* of those in codec.h that both sides have */
	atomic_uint_fast64_t counted[COUNTERS_CLIENT_COUNT]; /* several threads send and receive */

	int channel; /* -1 until the first datagram that names a destination */
	pthread_t channel_thread;
	int channel_fd; /* came with the reply that is being handled; -1: none, or taken */
};

/* Counts one, for a counter of the client's part of the table. */
static inline void
session_count(struct session *session, enum counter_id id)
{
	atomic_fetch_add_explicit(&session->counted[id - COUNTERS_CLIENT_FIRST], 1, memory_order_relaxed);
}

/* Dials and shakes hands. `serves` may be NULL. Returns 0 or a negative errno. */
int session_open(struct session *session, const char *url, const struct session_serves *serves, const struct session_events *events);
void session_close(struct session *session);
bool session_ended(struct session *session);

/*
 * Sends a request; `done` is called exactly once, unless this returns a negative errno. *id, if wanted, is for session_cancel().
 * With request->no_reply, `done` is not called.
 */
int session_call(struct session *session, Splitsock__Request *request, reply_fn done, void *arg, uint32_t *id);
/* The same on the side channel, for requests with payload. */
int session_call_with_payload(struct session *session, Splitsock__Request *request, reply_fn done, void *arg);
/* For `done` of a call on the side channel: the descriptor that came with the reply, now the caller's, or -1. */
int session_take_fd(struct session *session);
void session_cancel(struct session *session, uint32_t id);

/* The errno of a result, 0 for none. */
int result_errno(const Splitsock__Result *result);

enum plug {
	PLUG_NONE,
	PLUG_POLL, /* A does not poll writable */
	PLUG_FULL, /* and takes not a byte */
};

/* Connects fd, an AF_UNIX socket of the right type, to the gofer as this handle's link. Returns 0 or a negative errno. */
int session_link(struct session *session, int fd, bool is_stream, enum link_kind kind, uint64_t handle, enum plug plug);

#endif
