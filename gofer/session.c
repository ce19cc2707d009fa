/*
 * A session's frames come in through NNG's aio callbacks, which run on NNG's threads: they post to the loop, and start the next send of
 * what the loop has queued (the outbox, which has a lock for that, since a hand-over for each reply would cost a wake-up). One
 * receive is under way at a time, and the next starts when the frames of the last are handled, so that a client that
 * asks faster than it is served is slowed by the kernel's socket buffer.
 */
#include "gofer/session.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "gofer/listener.h"
#include "gofer/mirror.h"
#include "gofer/operations.h"
#include "gofer/packet.h"
#include "gofer/peer.h"

#define INBOX_START 4096u

/* What a client may say of whom it serves: container_serves() says less. */
#define SERVES_TEXT_MAX 4096u
#define SERVES_LABELS_MAX 64u

struct outgoing {
	struct outgoing *next; /* session.outbox */
	uint8_t *data;
	size_t len, off;
};

static void
post_received(void *arg)
{
	struct session *session = arg;

	loop_post(&session->gofer->loop, &session->received);
}

void
session_end(struct session *session)
{
	session->state = SESSION_ENDED;
	if (!session->receiving)
		loop_post(&session->gofer->loop, &session->received);
	nng_stream_close(session->stream);
}

static void
receive_more(struct session *session)
{
	nng_iov iov = {session->inbox + session->inbox_len, session->inbox_size - session->inbox_len};

	session->receiving = true;
	nng_aio_set_iov(session->recv_aio, 1, &iov);
	nng_stream_recv(session->stream, session->recv_aio);
}

/* With the outbox locked. */
static void
send_more(struct session *session)
{
	nng_iov iovs[8];
	unsigned count = 0;

	for (struct outgoing *at = session->outbox; at && count < 8; at = at->next)
		iovs[count++] = (nng_iov){at->data + at->off, at->len - at->off};
	session->sending = count > 0;
	if (!count)
		return;
	nng_aio_set_iov(session->send_aio, count, iovs);
	nng_stream_send(session->stream, session->send_aio);
}

/*
 * With the outbox locked. The receive under way fails then, but NNG never ends one that starts on a stream that is closed already: see
 * receive_or_pause().
 */
static void
close_stream(struct session *session)
{
	session->closed = true;
	nng_stream_close(session->stream);
}

/* On a thread of NNG. */
static void
on_sent(void *arg)
{
	struct session *session = arg;
	size_t count = nng_aio_count(session->send_aio);
	bool resume;

	pthread_mutex_lock(&session->outbox_lock);
	if (nng_aio_result(session->send_aio) != 0) {
		/* An answer is lost, and its caller would wait for ever: the receive under way fails, too, and that ends the session; where none is, the tick starts one. */
		session->sending = false;
		close_stream(session);
		pthread_mutex_unlock(&session->outbox_lock);
		return;
	}
	while (count) {
		struct outgoing *first = session->outbox;
		size_t part = first->len - first->off < count ? first->len - first->off : count;

		count -= part;
		first->off += part;
		session->outbox_bytes -= part;
		if (first->off < first->len)
			continue;
		session->outbox = first->next;
		if (!session->outbox)
			session->outbox_tail = &session->outbox;
		free(first->data);
		free(first);
	}
	send_more(session);
	if (session->refused && !session->sending)
		close_stream(session);
	resume = session->paused && session->outbox_bytes < OUTBOX_PAUSE;
	if (resume)
		session->paused = false;
	pthread_mutex_unlock(&session->outbox_lock);
	if (resume)
		loop_post(&session->gofer->loop, &session->received);
}

void
session_send(struct session *session, enum frame_kind kind, uint32_t id, const ProtobufCMessage *message)
{
	struct outgoing *outgoing;
	bool full = true;

	if (session->state == SESSION_ENDED)
		return;
	outgoing = calloc(1, sizeof *outgoing);
	if (outgoing)
		outgoing->data = encode_frame(kind, id, message, &outgoing->len);
	if (outgoing && outgoing->data) {
		pthread_mutex_lock(&session->outbox_lock);
		full = session->outbox_bytes + outgoing->len > OUTBOX_MAX;
		if (!full) {
			*session->outbox_tail = outgoing;
			session->outbox_tail = &outgoing->next;
			session->outbox_bytes += outgoing->len;
			if (!session->sending)
				send_more(session);
		}
		pthread_mutex_unlock(&session->outbox_lock);
	}
	if (!full) {
		count_session(session, COUNTER_FRAMES_OUT, 1);
		return;
	}
	log_warning("session %016llx: ended, its client does not read its answers", (unsigned long long)session->id);
	count_gofer(session->gofer, COUNTER_SESSIONS_OVERRUN);
	if (outgoing)
		free(outgoing->data);
	free(outgoing);
	session_end(session);
}

void
session_send_closed(struct session *session, uint64_t handle, int error)
{
	Splitsock__Event event = SPLITSOCK__EVENT__INIT;

	event.closed = handle;
	event.error = wire_errno(error);
	session_send(session, FRAME_EVENT, 0, &event.base);
}

void
session_send_unlinked(struct session *session, uint64_t handle, int error)
{
	Splitsock__Event event = SPLITSOCK__EVENT__INIT;

	event.unlinked = handle;
	event.error = wire_errno(error);
	session_send(session, FRAME_EVENT, 0, &event.base);
}

void
session_send_reset(struct session *session, uint64_t handle)
{
	Splitsock__Event event = SPLITSOCK__EVENT__INIT;

	event.reset = handle;
	session_send(session, FRAME_EVENT, 0, &event.base);
}

/* ---- frames ------------------------------------------------------------------------------------- */

static char *
copy_text(const char *text, bool *good)
{
	char *copy = *text ? strdup(text) : NULL;

	*good = *good && (copy || !*text) && strlen(text) <= SERVES_TEXT_MAX;
	return copy;
}

/* Whom the client says it serves. False: it says too much, or there is no memory. */
static bool
session_serves(struct session *session, const Splitsock__Serves *serves)
{
	struct identity *identity = &session->serves;
	bool good = serves->n_labels <= SERVES_LABELS_MAX;

	session->is_agent = true;
	identity->uid = serves->uid;
	identity->gid = serves->gid;
	identity->container_id = copy_text(serves->id, &good);
	identity->container_name = copy_text(serves->name, &good);
	identity->cgroup = copy_text(serves->cgroup, &good);
	identity->labels = good ? calloc(serves->n_labels + 1, sizeof *identity->labels) : NULL;
	good = good && identity->labels;
	for (size_t i = 0; good && i < serves->n_labels; i++) {
		identity->labels[i].key = copy_text(serves->labels[i]->key, &good);
		identity->labels[i].value = copy_text(serves->labels[i]->value, &good);
		identity->label_count++;
		good = good && identity->labels[i].key && identity->labels[i].value;
	}
	session_settle(session);
	return good;
}

void
session_settle(struct session *session)
{
	const struct policy_entry *entry = policy_entry_for(session->policy, &session->peer);
	const struct identity *whose = session->is_agent && entry && entry->agent ? &session->serves : &session->peer;

	identity_free(&session->identity);
	session->entry = NULL;
	/* Who says that he serves somebody else, and may not, has nothing in his own name either. */
	if (identity_copy(&session->identity, whose) < 0 || (session->is_agent && whose == &session->peer))
		return;
	/* The process is the agent's: there is no other that could be asked. */
	session->identity.pid = session->peer.pid;
	session->entry = whose == &session->peer ? entry : policy_entry_for(session->policy, whose);
	audit_identified(session);
}

void
session_meet(struct session *session, int fd)
{
	struct identity met = IDENTITY_UNKNOWN;

	if (!session->peer.partial)
		return;
	if (peer_identify(&met, fd) == 0 && met.uid == session->peer.uid && met.gid == session->peer.gid && met.pid == session->peer.pid) {
		identity_free(&session->peer);
		session->peer = met;
		session_settle(session);
	} else {
		identity_free(&met);
	}
}

static bool
handle_hello(struct session *session, const struct frame *frame)
{
	struct codec_arena arena = {0};
	Splitsock__Hello *hello = decode_hello(&arena, frame);
	Splitsock__Welcome welcome = SPLITSOCK__WELCOME__INIT;
	bool spoken = hello && hello->version == 1;
	uint64_t features = hello ? hello->features : 0;
	bool good;

	if (hello)
		snprintf(session->software, sizeof session->software, "%s", hello->software);
	good = hello && (!hello->serves || session_serves(session, hello->serves));
	codec_free(&arena);
	if (!good)
		return false;
	welcome.status = spoken ? SPLITSOCK__STATUS__STATUS_OK : SPLITSOCK__STATUS__STATUS_UNSUPPORTED;
	welcome.version = 1;
	welcome.features = features & FEATURE_STATS;
	welcome.software = "splitsock-gofer " SPLITSOCK_VERSION;
	welcome.link_token.data = session->token;
	welcome.link_token.len = sizeof session->token;
	welcome.max_sockets = session->gofer->limits.sockets;
	welcome.max_calls = session->gofer->limits.calls;
	pthread_mutex_lock(&session->outbox_lock);
	session->refused = !spoken;
	pthread_mutex_unlock(&session->outbox_lock);
	session_send(session, FRAME_WELCOME, 0, &welcome.base);
	if (session->state == SESSION_HELLO && spoken) {
		session->state = SESSION_READY;
		audit_session_open(session);
	}
	return true;
}

static bool
handle_frame(struct session *session, const struct frame *frame, bool on_channel)
{
	struct codec_arena arena = {0};
	Splitsock__Request *request;
	struct call call = {.session = session, .id = frame->id, .on_channel = on_channel};
	bool good;

	count_session(session, on_channel ? COUNTER_FRAMES_IN_CHANNEL : COUNTER_FRAMES_IN, 1);
	if (session->state == SESSION_HELLO)
		return frame->kind == FRAME_HELLO && !on_channel && !session->refused && handle_hello(session, frame);
	if (session->state != SESSION_READY)
		return false;
	if (frame->kind == FRAME_CANCEL) {
		count_session(session, COUNTER_CANCELS, 1);
		request_cancel(session, frame->id);
		return true;
	}
	/* Its socket comes before its first request, and may not have been looked at yet. */
	if (session->peer.partial)
		listeners_take_links(session->gofer);
	if (frame->kind != FRAME_REQUEST)
		return false;
	request = decode_request(&arena, frame);
	call.no_reply = request && request->no_reply;
	if (request && call.no_reply)
		count_session(session, COUNTER_NO_REPLY, 1);
	else if (request && !on_channel)
		count_session(session, COUNTER_ROUND_TRIPS, 1);
	good = request && (stats_wanted(request) ? stats_run(&call, request)
	                   : packet_wanted(request) ? packet_run(&call, request) : request_run(&call, request));
	codec_free(&arena);
	return good;
}

/* The client has sent what a correct one never sends: says so. Ending the session is the caller's. */
static void
session_breach(struct session *session, const char *where)
{
	log_warning("session %016llx: ended, its client (uid %llu) broke the protocol%s", (unsigned long long)session->id,
	            (unsigned long long)session->identity.uid, where);
	count_gofer(session->gofer, COUNTER_PROTOCOL_BREACHES);
}

/* Handles every whole frame in the inbox. False: the bytes are no protocol of ours. */
static bool
handle_inbox(struct session *session)
{
	size_t off = 0, need = 0;

	while (session->state != SESSION_ENDED) {
		struct frame frame;
		ssize_t size = frame_parse(&frame, session->inbox + off, session->inbox_len - off, &need);

		if (size < 0)
			return false;
		if (size == 0)
			break;
		if (!handle_frame(session, &frame, false))
			return false;
		off += (size_t)size;
	}
	memmove(session->inbox, session->inbox + off, session->inbox_len - off);
	session->inbox_len -= off;
	if (need > session->inbox_size) {
		uint8_t *larger = realloc(session->inbox, need);

		if (!larger)
			return false;
		session->inbox = larger;
		session->inbox_size = need;
	} else if (session->inbox_len == 0 && session->inbox_size > INBOX_START) {
		uint8_t *smaller = realloc(session->inbox, INBOX_START);

		if (smaller) {
			session->inbox = smaller;
			session->inbox_size = INBOX_START;
		}
	}
	return true;
}

/* Receives again, unless the client is to read its answers first. Frees a session whose stream is closed. */
static void
receive_or_pause(struct session *session)
{
	bool closed;

	pthread_mutex_lock(&session->outbox_lock);
	closed = session->closed;
	session->paused = !closed && session->outbox_bytes >= OUTBOX_PAUSE;
	if (!closed && !session->paused)
		receive_more(session);
	pthread_mutex_unlock(&session->outbox_lock);
	if (closed)
		session_free(session);
}

static void
on_received(struct post *post)
{
	struct session *session = (struct session *)((char *)post - offsetof(struct session, received));
	bool resumed = !session->receiving;

	session->receiving = false;
	if (session->state == SESSION_ENDED) {
		session_free(session);
		return;
	}
	if (!resumed && nng_aio_result(session->recv_aio) != 0) {
		session_leave(session);
		return;
	}
	if (!resumed)
		session->inbox_len += nng_aio_count(session->recv_aio);
	if (!handle_inbox(session)) {
		if (session->state != SESSION_ENDED)
			session_breach(session, "");
		session_free(session);
		return;
	}
	if (session->state == SESSION_ENDED)
		session_free(session);
	else
		receive_or_pause(session);
}

/* ---- the side channel --------------------------------------------------------------------------- */

static void
channel_ready(struct watch *watch, uint32_t events)
{
	struct session *session = (struct session *)((char *)watch - offsetof(struct session, channel));
	uint8_t *scratch = session->gofer->scratch;

	(void)events;
	for (int round = 0; round < 16; round++) {
		ssize_t len = recv(watch->fd, scratch, SCRATCH_SIZE, MSG_DONTWAIT | MSG_TRUNC);
		struct frame frame;
		size_t need;
		uint8_t *packet;
		bool good;

		if (len < 0 && errno == EAGAIN)
			return;
		/* The client has closed it; or what it has asked there is lost, and it would wait for an answer. */
		if (len < 0)
			session_end(session);
		if (len <= 0) {
			loop_close(&session->gofer->loop, watch);
			return;
		}
		/* Handling it drains links through the same buffer. */
		packet = len <= (ssize_t)(FRAME_HEADER_SIZE + FRAME_BODY_MAX) ? malloc((size_t)len) : NULL;
		if (packet)
			memcpy(packet, scratch, (size_t)len);
		good = packet && frame_parse(&frame, packet, (size_t)len, &need) == len && handle_frame(session, &frame, true);
		free(packet);
		if (session->state == SESSION_ENDED)
			return;
		if (!good) {
			session_breach(session, " on the side channel");
			session_end(session);
			loop_close(&session->gofer->loop, watch);
			return;
		}
	}
}

void
session_attach_channel(struct session *session, int fd)
{
	loop_close(&session->gofer->loop, &session->channel);
	session->channel.fd = fd;
	if (loop_watch(&session->gofer->loop, &session->channel, EPOLLIN) < 0) {
		session_end(session);
		loop_close(&session->gofer->loop, &session->channel);
	}
}

/* ---- life --------------------------------------------------------------------------------------- */

struct session *
session_new(struct gofer *gofer, nng_stream *stream)
{
	struct session *session = calloc(1, sizeof *session);

	if (!session) {
		nng_stream_free(stream);
		return NULL;
	}
	*session = (struct session){
		.gofer = gofer,
		.state = SESSION_HELLO,
		.deadline_ms = now_ms() + HANDSHAKE_MS,
		.peer = IDENTITY_UNKNOWN,
		.serves = IDENTITY_UNKNOWN,
		.identity = IDENTITY_UNKNOWN,
		.policy = policy_take(gofer->policy),
		.stream = stream,
		.received = {.run = on_received},
		.channel = {.fd = -1, .ready = channel_ready},
		.inbox = malloc(INBOX_START),
		.inbox_size = INBOX_START,
	};
	session->outbox_tail = &session->outbox;
	pthread_mutex_init(&session->outbox_lock, NULL);
	/* Who it is, from the kernel, before anything else is spent on it. */
	nng_stream_get_uint64(stream, NNG_OPT_IPC_PEER_UID, &session->peer.uid);
	nng_stream_get_uint64(stream, NNG_OPT_IPC_PEER_PID, &session->peer.pid);
	nng_stream_get_uint64(stream, NNG_OPT_IPC_PEER_GID, &session->peer.gid);
	session->peer.partial = true;
	session_settle(session);
	if (!session->inbox || getrandom(session->token, sizeof session->token, 0) != sizeof session->token ||
	    (memcpy(&session->id, session->token, sizeof session->id), table_find(&gofer->sessions, session->id)) ||
	    nng_aio_alloc(&session->recv_aio, post_received, session) != 0 ||
	    nng_aio_alloc(&session->send_aio, on_sent, session) != 0 ||
	    gofer->sessions.count >= gofer->limits.sessions || !table_add(&gofer->sessions, session)) {
		log_warning("a client (uid %llu) was turned away: no memory, or %u sessions already",
		            (unsigned long long)session->identity.uid, gofer->limits.sessions);
		count_gofer(gofer, COUNTER_SESSIONS_REFUSED);
		session_free(session);
		return NULL;
	}
	session->opened_ms = now_ms();
	count_gofer(gofer, COUNTER_SESSIONS_OPENED);
	receive_more(session);
	return session;
}

/* Nothing comes from its client any more, and nothing goes there. */
static void
hang_up(struct session *session)
{
	session->state = SESSION_ENDED;
	nng_stream_close(session->stream);
	/* Stopping waits for a callback that runs; callbacks only post. */
	if (session->recv_aio)
		nng_aio_stop(session->recv_aio);
	if (session->send_aio)
		nng_aio_stop(session->send_aio);
	loop_cancel(&session->gofer->loop, &session->received);
	loop_close(&session->gofer->loop, &session->channel);
}

void
session_leave(struct session *session)
{
	struct sock *sock;

	if (session->socks.count) {
		/* A link that was connected before the end counts. */
		listeners_take_links(session->gofer);
		hang_up(session);
	}
	mirror_end(session->mirror);
	session->mirror = NULL;
	for (uint64_t handle = 0; (sock = table_after(&session->socks, handle));) {
		handle = sock->handle;
		sock_leave(sock);
	}
	session->deadline_ms = now_ms() + DELIVERY_MS;
	session->delivering = session->socks.count > 0;
	if (!session->delivering)
		session_free(session);
}

void
session_free(struct session *session)
{
	struct gofer *gofer = session->gofer;
	struct sock *sock;

	hang_up(session);
	while ((sock = table_any(&session->socks)))
		sock_free(sock);
	audit_session_close(session);
	mirror_end(session->mirror);
	names_free(&session->names);
	nng_stream_free(session->stream);
	nng_aio_free(session->recv_aio);
	nng_aio_free(session->send_aio);
	while (session->outbox) {
		struct outgoing *first = session->outbox;

		session->outbox = first->next;
		free(first->data);
		free(first);
	}
	table_remove(&gofer->sessions, session);
	/* Kept for the next transfer, but not for nobody: what clients have used is gone when they are. */
	if (!gofer->sessions.count)
		relay_free_idle_pipes(gofer);
	if (session->opened_ms)
		count_gofer(gofer, COUNTER_SESSIONS_CLOSED);
	pthread_mutex_destroy(&session->outbox_lock);
	free(session->inbox);
	identity_free(&session->peer);
	identity_free(&session->serves);
	identity_free(&session->identity);
	policy_drop(session->policy);
	explicit_bzero(session->token, sizeof session->token);
	free(session);
}

struct session *
session_by_token(struct gofer *gofer, const uint8_t token[LINK_TOKEN_SIZE])
{
	struct session *session;
	uint64_t id;
	uint8_t difference = 0;

	memcpy(&id, token, sizeof id);
	session = table_find(&gofer->sessions, id);
	if (!session || session->state != SESSION_READY)
		return NULL;
	/* The rest is the secret: compared in constant time, so that a guess learns nothing. */
	for (size_t i = sizeof id; i < LINK_TOKEN_SIZE; i++)
		difference |= session->token[i] ^ token[i];
	return difference ? NULL : session;
}

struct tick {
	int64_t now;
};

static void
tick_sock(void *entry, void *arg)
{
	struct sock *sock = entry;

	(void)arg;
	if (sock->starved) {
		sock->starved = false;
		loop_watch(&sock->session->gofer->loop, &sock->host, EPOLLIN);
	}
}

static void
tick_session(void *entry, void *arg)
{
	struct session *session = entry;
	const struct tick *tick = arg;

	/* A paused session whose client has gone has no receive under way that would tell. */
	pthread_mutex_lock(&session->outbox_lock);
	if (session->paused && !session->sending) {
		session->paused = false;
		loop_post(&session->gofer->loop, &session->received);
	}
	pthread_mutex_unlock(&session->outbox_lock);
	/* The receive under way then fails, and that frees it. */
	if (session->state == SESSION_HELLO && session->deadline_ms < tick->now) {
		if (!session->overdue)
			count_gofer(session->gofer, COUNTER_HANDSHAKES_OVERDUE);
		session->overdue = true;
		nng_stream_close(session->stream);
	}
	table_visit(&session->socks, tick_sock, NULL);
}

void
sessions_tick(struct gofer *gofer)
{
	struct tick tick = {now_ms()};
	struct session *session;

	table_visit(&gofer->sessions, tick_session, &tick);
	for (uint64_t id = 0; (session = table_after(&gofer->sessions, id));) {
		id = session->id;
		if (session->delivering && (session->socks.count == 0 || session->deadline_ms < tick.now))
			session_free(session);
	}
}

bool
sessions_leave(struct gofer *gofer)
{
	struct session *session;

	for (uint64_t id = 0; (session = table_after(&gofer->sessions, id));) {
		id = session->id;
		if (!session->delivering)
			session_leave(session);
	}
	return gofer->sessions.count > 0;
}
