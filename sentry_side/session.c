#include "sentry_side/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"

#define INBOX_START 4096u

struct outgoing {
	struct outgoing *next; /* session.outbox */
	uint8_t *data;
	size_t len, off;
};

struct waiting_call {
	uint64_t id; /* key in session.calls */
	reply_fn done;
	void *arg;
};

static int
errno_of_nng(int result)
{
	if (result & NNG_ESYSERR)
		return result & ~NNG_ESYSERR;
	switch (result) {
	case NNG_ENOMEM:
		return ENOMEM;
	case NNG_ETIMEDOUT:
		return ETIMEDOUT;
	case NNG_ECONNREFUSED:
		return ECONNREFUSED;
	case NNG_ENOENT:
		return ENOENT;
	case NNG_EPERM:
		return EACCES;
	case NNG_EADDRINVAL:
	case NNG_EINVAL:
		return EINVAL;
	case NNG_ENOFILES:
		return EMFILE;
	default:
		return ECONNRESET;
	}
}

int
result_errno(const Splitsock__Result *result)
{
	switch (result->status) {
	case SPLITSOCK__STATUS__STATUS_OK:
		return 0;
	case SPLITSOCK__STATUS__STATUS_HOST_ERRNO:
		return host_errno(result->error);
	case SPLITSOCK__STATUS__STATUS_DENIED:
		return EACCES;
	case SPLITSOCK__STATUS__STATUS_QUOTA:
		return ENOBUFS;
	case SPLITSOCK__STATUS__STATUS_CANCELLED:
		return EINTR;
	case SPLITSOCK__STATUS__STATUS_UNSUPPORTED:
		return EOPNOTSUPP;
	default:
		return EINVAL;
	}
}

/* ---- the end ------------------------------------------------------------------------------------ */

/* The gofer is gone: everyone who waits hears it, once. */
static void
session_end(struct session *session)
{
	bool first;

	pthread_mutex_lock(&session->lock);
	first = !session->ended;
	session->ended = true;
	for (struct waiting_call *call; (call = table_any(&session->calls));) {
		table_remove(&session->calls, call);
		pthread_mutex_unlock(&session->lock);
		call->done(call->arg, 0, NULL, ENETDOWN);
		free(call);
		pthread_mutex_lock(&session->lock);
	}
	pthread_mutex_unlock(&session->lock);
	if (session->channel >= 0)
		shutdown(session->channel, SHUT_RDWR);
	if (first && session->events.ended)
		session->events.ended(session->events.arg);
}

bool
session_ended(struct session *session)
{
	bool ended;

	pthread_mutex_lock(&session->lock);
	ended = session->ended;
	pthread_mutex_unlock(&session->lock);
	return ended;
}

/* ---- receiving ---------------------------------------------------------------------------------- */

static bool
take_reply(struct session *session, const struct frame *frame)
{
	struct codec_arena arena = {0};
	Splitsock__Reply *reply = decode_reply(&arena, frame);
	struct waiting_call *call;

	if (!reply) {
		codec_free(&arena);
		return false;
	}
	pthread_mutex_lock(&session->lock);
	call = table_find(&session->calls, frame->id);
	if (call)
		table_remove(&session->calls, call);
	pthread_mutex_unlock(&session->lock);
	if (call)
		call->done(call->arg, reply->n_results, reply->results, 0);
	free(call);
	codec_free(&arena);
	return true;
}

static bool
take_event(struct session *session, const struct frame *frame)
{
	struct codec_arena arena = {0};
	Splitsock__Event *event = decode_event(&arena, frame);

	if (!event) {
		codec_free(&arena);
		return false;
	}
	if (event->reset && session->events.reset)
		session->events.reset(session->events.arg, event->reset);
	if (event->closed && session->events.closed)
		session->events.closed(session->events.arg, event->closed, host_errno(event->error));
	if (event->unlinked && session->events.unlinked)
		session->events.unlinked(session->events.arg, event->unlinked, host_errno(event->error));
	codec_free(&arena);
	return true;
}

static bool
take_frame(struct session *session, const struct frame *frame)
{
	switch (frame->kind) {
	case FRAME_REPLY:
		return take_reply(session, frame);
	case FRAME_EVENT:
		return take_event(session, frame);
	default:
		return false;
	}
}

/* Hands over every whole frame, makes room for the next. False: what came is no protocol of ours. */
static bool
take_inbox(struct session *session)
{
	size_t off = 0, need = 0;

	for (;;) {
		struct frame frame;
		ssize_t size = frame_parse(&frame, session->inbox + off, session->inbox_len - off, &need);

		if (size < 0)
			return false;
		if (size == 0)
			break;
		session_count(session, COUNTER_CLIENT_FRAMES_IN);
		if (!take_frame(session, &frame))
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
	}
	return true;
}

static void
receive_more(struct session *session)
{
	nng_iov iov = {session->inbox + session->inbox_len, session->inbox_size - session->inbox_len};

	nng_aio_set_iov(session->recv_aio, 1, &iov);
	nng_stream_recv(session->stream, session->recv_aio);
}

static void
on_received(void *arg)
{
	struct session *session = arg;

	if (nng_aio_result(session->recv_aio) != 0) {
		session_end(session);
		return;
	}
	session->inbox_len += nng_aio_count(session->recv_aio);
	if (take_inbox(session)) {
		receive_more(session);
	} else {
		nng_stream_close(session->stream);
		session_end(session);
	}
}

/* ---- sending ------------------------------------------------------------------------------------ */

/* With the lock held. */
static void
send_more(struct session *session)
{
	nng_iov iovs[8];
	unsigned count = 0;

	for (struct outgoing *at = session->outbox; at && count < 8; at = at->next)
		iovs[count++] = (nng_iov){at->data + at->off, at->len - at->off};
	if (!count)
		return;
	session->sending = true;
	nng_aio_set_iov(session->send_aio, count, iovs);
	nng_stream_send(session->stream, session->send_aio);
}

static void
on_sent(void *arg)
{
	struct session *session = arg;
	size_t count = nng_aio_count(session->send_aio);

	if (nng_aio_result(session->send_aio) != 0) {
		/* A receive that starts on a closed stream never ends, so it may not be left to that to say so. */
		nng_stream_close(session->stream);
		session_end(session);
		return;
	}
	pthread_mutex_lock(&session->lock);
	session->sending = false;
	while (count) {
		struct outgoing *first = session->outbox;
		size_t part = first->len - first->off < count ? first->len - first->off : count;

		count -= part;
		first->off += part;
		if (first->off < first->len)
			continue;
		session->outbox = first->next;
		if (!session->outbox)
			session->outbox_tail = &session->outbox;
		free(first->data);
		free(first);
	}
	send_more(session);
	pthread_mutex_unlock(&session->lock);
}

/* With the lock held. */
static int
send_frame(struct session *session, enum frame_kind kind, uint32_t id, const ProtobufCMessage *message)
{
	struct outgoing *outgoing = calloc(1, sizeof *outgoing);

	if (!outgoing)
		return -ENOMEM;
	outgoing->data = encode_frame(kind, id, message, &outgoing->len);
	if (!outgoing->data) {
		free(outgoing);
		return -errno;
	}
	session_count(session, COUNTER_CLIENT_FRAMES_OUT);
	*session->outbox_tail = outgoing;
	session->outbox_tail = &outgoing->next;
	if (!session->sending)
		send_more(session);
	return 0;
}

/* With the lock held. */
static struct waiting_call *
call_new(struct session *session, reply_fn done, void *arg)
{
	struct waiting_call *call = calloc(1, sizeof *call);

	if (!call)
		return NULL;
	do
		session->next_call = session->next_call % UINT32_MAX + 1;
	while (table_find(&session->calls, session->next_call));
	*call = (struct waiting_call){.id = session->next_call, .done = done, .arg = arg};
	if (table_add(&session->calls, call))
		return call;
	free(call);
	return NULL;
}

/* With the lock held. */
static void
call_drop(struct session *session, struct waiting_call *call)
{
	table_remove(&session->calls, call);
	free(call);
}

int
session_call(struct session *session, Splitsock__Request *request, reply_fn done, void *arg, uint32_t *id)
{
	struct waiting_call *call = NULL;
	int error = 0;

	pthread_mutex_lock(&session->lock);
	if (session->ended)
		error = -ENETDOWN;
	else if (!request->no_reply && !(call = call_new(session, done, arg)))
		error = -ENOMEM;
	if (!error) {
		if (id)
			*id = call ? (uint32_t)call->id : 0;
		error = send_frame(session, FRAME_REQUEST, call ? (uint32_t)call->id : 0, &request->base);
		if (error && call)
			call_drop(session, call);
		if (!error)
			session_count(session, call ? COUNTER_CLIENT_ROUND_TRIPS : COUNTER_CLIENT_NO_REPLY);
	}
	pthread_mutex_unlock(&session->lock);
	return error;
}

void
session_cancel(struct session *session, uint32_t id)
{
	pthread_mutex_lock(&session->lock);
	if (!session->ended && table_find(&session->calls, id) && send_frame(session, FRAME_CANCEL, id, NULL) == 0)
		session_count(session, COUNTER_CLIENT_CANCELS);
	pthread_mutex_unlock(&session->lock);
}

/* ---- the side channel --------------------------------------------------------------------------- */

int
session_take_fd(struct session *session)
{
	/* A reply on the other path has none. */
	return pthread_equal(pthread_self(), session->channel_thread) ? take_fd(&session->channel_fd) : -1;
}

/* One packet, and the descriptor that it may carry. */
static ssize_t
channel_read(struct session *session, uint8_t *packet, size_t size)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {packet, size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
	ssize_t len = recvmsg(session->channel, &message, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *header = len >= 0 ? CMSG_FIRSTHDR(&message) : NULL;

	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(&session->channel_fd, CMSG_DATA(header), sizeof session->channel_fd);
	return len;
}

static void *
channel_receive(void *arg)
{
	static const size_t packet_max = FRAME_HEADER_SIZE + FRAME_BODY_MAX;
	struct session *session = arg;
	uint8_t *packet = malloc(packet_max);
	bool good = packet != NULL;

	while (good) {
		ssize_t len = channel_read(session, packet, packet_max);
		struct frame frame;
		size_t need;

		if (len < 0 && errno == EINTR)
			continue;
		if (len > 0)
			session_count(session, COUNTER_CLIENT_FRAMES_IN_CHANNEL);
		good = len > 0 && frame_parse(&frame, packet, (size_t)len, &need) == len && frame.kind == FRAME_REPLY &&
		       take_reply(session, &frame);
		if (session->channel_fd >= 0)
			close(session_take_fd(session));
	}
	free(packet);
	/* Who waits for an answer on this path has nothing to wait for. */
	nng_stream_close(session->stream);
	session_end(session);
	return NULL;
}

/* Before the first call: by it the gofer learns from the kernel who we are (SO_PEERPIDFD), which NNG's stream does not tell. */
static int
channel_open(struct session *session)
{
	int error, fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	error = session_link(session, fd, false, LINK_CHANNEL, 0, PLUG_NONE);
	if (!error) {
		session->channel = fd;
		error = -pthread_create(&session->channel_thread, NULL, channel_receive, session);
	}
	if (error) {
		session->channel = -1;
		close(fd);
	}
	return error;
}

int
session_call_with_payload(struct session *session, Splitsock__Request *request, reply_fn done, void *arg)
{
	struct waiting_call *call = NULL;
	uint8_t *packet = NULL;
	size_t len;
	int error = 0;

	pthread_mutex_lock(&session->lock);
	if (session->ended)
		error = -ENETDOWN;
	if (!error && !(call = call_new(session, done, arg)))
		error = -ENOMEM;
	if (!error && !(packet = encode_frame(FRAME_REQUEST, (uint32_t)call->id, &request->base, &len)))
		error = -errno;
	if (!error && send(session->channel, packet, len, MSG_NOSIGNAL) < 0)
		error = errno == EPIPE ? -ENETDOWN : -errno;
	if (error && call)
		call_drop(session, call);
	if (!error)
		session_count(session, COUNTER_CLIENT_FRAMES_OUT_CHANNEL);
	pthread_mutex_unlock(&session->lock);
	free(packet);
	return error;
}

/* ---- links -------------------------------------------------------------------------------------- */

/*
 * The filler of a plug goes out by splice, as pages of one memfd that is never written: that costs no copy, and makes pieces of up to
 * 16 pages, larger than a write makes. It matters that the last piece alone keeps A from being writable: AF_UNIX wakes who waits
 * for that each time a piece is read while A is writable, and a program with EPOLLET must be woken once.
 */
#define FILLER_SIZE LINK_PLUG_PIECE
#define FILLER_FIRST LINK_PLUG_POLL /* it shares its piece with the hello */
static_assert(FILLER_SIZE % 4096 == 0, "whole pages");

static int
filler_open(struct session *session)
{
	session->filler = memfd_create("splitsock-filler", MFD_CLOEXEC);
	if (session->filler < 0 || ftruncate(session->filler, FILLER_SIZE) < 0 ||
	    pipe2(session->filler_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static void
filler_close(struct session *session)
{
	int fds[] = {session->filler, session->filler_pipe[0], session->filler_pipe[1]};

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* How many pieces leave A's send buffer no room. 0 with errno: that cannot be told, and without a plug A would pass for connected. */
static uint32_t
pieces_to_fill(int fd)
{
	int size = 0;
	socklen_t len = sizeof size;

	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &len) < 0)
		return 0;
	/* A piece is charged with up to half a page of its own; one more than fits would block. */
	return ((uint32_t)size + FILLER_SIZE + 2047) / (FILLER_SIZE + 2048);
}

/* splice has no MSG_NOSIGNAL: a SIGPIPE that it raises is taken back, unless one was pending anyway. */
struct no_sigpipe {
	sigset_t before;
	bool was_pending;
};

static void
sigpipe_hold(struct no_sigpipe *no)
{
	sigset_t set;

	sigpending(&set);
	no->was_pending = sigismember(&set, SIGPIPE);
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &set, &no->before);
}

static void
sigpipe_release(const struct no_sigpipe *no)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	if (!no->was_pending)
		sigtimedwait(&set, NULL, &(struct timespec){0});
	pthread_sigmask(SIG_SETMASK, &no->before, NULL);
}

/* Sends the hello and its filler, with the lock of the pipe held. */
static int
send_plugged(struct session *session, int fd, const struct link_hello *hello, uint32_t pieces)
{
	ssize_t piece = sizeof *hello + FILLER_FIRST;
	char rest[4096];
	int error = 0;

	if (write(session->filler_pipe[1], hello, sizeof *hello) != sizeof *hello)
		return -errno;
	for (uint32_t i = 0; i < pieces && !error; i++, piece = FILLER_SIZE) {
		ssize_t filler = i ? piece : FILLER_FIRST;
		struct pollfd a = {.fd = fd};
		loff_t from = 0;

		/* The gofer has read the hello and hung up already: writing would take the error that the program is to find. */
		if (i && poll(&a, 1, 0) == 1)
			break;
		if (splice(session->filler, &from, session->filler_pipe[1], NULL, (size_t)filler, 0) != filler)
			error = -ENOBUFS;
		else if (splice(session->filler_pipe[0], NULL, fd, NULL, (size_t)piece, 0) <= 0)
			error = -errno;
	}
	while (error && read(session->filler_pipe[0], rest, sizeof rest) > 0)
		;
	/* The gofer has read the hello and hung up, since the connect has failed. That is for the program to see. */
	return error == -EPIPE || error == -ECONNRESET ? 0 : error;
}

int
session_link(struct session *session, int fd, bool is_stream, enum link_kind kind, uint64_t handle, enum plug plug)
{
	uint32_t pieces = plug == PLUG_FULL ? pieces_to_fill(fd) : plug == PLUG_POLL ? 1 : 0;
	struct link_hello hello = {
		.handle = handle, .kind = kind, .plug = pieces ? FILLER_FIRST + (pieces - 1) * FILLER_SIZE : 0};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct no_sigpipe sigpipe;
	int error;

	if (plug == PLUG_FULL && !pieces)
		return -errno;
	memcpy(hello.token, session->token, sizeof hello.token);
	/* session_open() has checked that this fits. */
	stpcpy(stpcpy(address.sun_path, session->path), is_stream ? LINK_STREAM_SUFFIX : LINK_SEQPACKET_SUFFIX);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return errno == EAGAIN ? -ENOBUFS : -ENETDOWN;
	session_count(session, COUNTER_CLIENT_LINKS);
	if (!pieces)
		return send(fd, &hello, sizeof hello, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof hello ? 0 : -ENETDOWN;
	pthread_mutex_lock(&session->filler_lock);
	sigpipe_hold(&sigpipe);
	error = send_plugged(session, fd, &hello, pieces);
	sigpipe_release(&sigpipe);
	pthread_mutex_unlock(&session->filler_lock);
	return error;
}

/* ---- opening and closing ------------------------------------------------------------------------ */

/* Waits for an aio that was started, at most until its time-out. */
static int
aio_wait(nng_aio *aio)
{
	nng_aio_wait(aio);
	return nng_aio_result(aio);
}

static int
dial(struct session *session, const char *url)
{
	nng_stream_dialer *dialer = NULL;
	nng_aio *aio = NULL;
	int result = nng_stream_dialer_alloc(&dialer, url);

	if (!result)
		result = nng_aio_alloc(&aio, NULL, NULL);
	if (!result) {
		nng_aio_set_timeout(aio, HANDSHAKE_MS);
		nng_stream_dialer_dial(dialer, aio);
		result = aio_wait(aio);
	}
	if (!result)
		session->stream = nng_aio_get_output(aio, 0);
	nng_aio_free(aio);
	nng_stream_dialer_free(dialer);
	return result ? -errno_of_nng(result) : 0;
}

/* Moves len bytes in one direction, blocking. */
static int
transfer(struct session *session, void (*start)(nng_stream *, nng_aio *), uint8_t *data, size_t len)
{
	nng_aio *aio;
	int result = nng_aio_alloc(&aio, NULL, NULL);

	if (result)
		return -errno_of_nng(result);
	nng_aio_set_timeout(aio, HANDSHAKE_MS);
	while (len && !result) {
		nng_iov iov = {data, len};

		nng_aio_set_iov(aio, 1, &iov);
		start(session->stream, aio);
		result = aio_wait(aio);
		if (!result) {
			data += nng_aio_count(aio);
			len -= nng_aio_count(aio);
		}
	}
	nng_aio_free(aio);
	return result ? -errno_of_nng(result) : 0;
}

/* A whole HELLO frame, malloc()ed, or NULL with errno. */
static uint8_t *
encode_hello(const struct session_serves *from, size_t *len)
{
	Splitsock__Hello hello = SPLITSOCK__HELLO__INIT;
	Splitsock__Serves serves = SPLITSOCK__SERVES__INIT;
	size_t count = from ? from->label_count : 0;
	_cleanup_free_ Splitsock__Label *labels = calloc(count + 1, sizeof *labels);
	_cleanup_free_ Splitsock__Label **pointers = calloc(count + 1, sizeof *pointers);

	if (!labels || !pointers)
		return NULL;
	hello.version = 1;
	hello.features = FEATURE_STATS;
	hello.software = "libsplitsock " SPLITSOCK_VERSION;
	if (!from)
		return encode_frame(FRAME_HELLO, 0, &hello.base, len);
	for (size_t i = 0; i < count; i++) {
		splitsock__label__init(&labels[i]);
		labels[i].key = (char *)from->labels[i][0];
		labels[i].value = (char *)from->labels[i][1];
		pointers[i] = &labels[i];
	}
	serves.id = (char *)from->id;
	serves.name = (char *)from->name;
	serves.n_labels = count;
	serves.labels = pointers;
	serves.cgroup = (char *)from->cgroup;
	serves.uid = from->uid;
	serves.gid = from->gid;
	hello.serves = &serves;
	return encode_frame(FRAME_HELLO, 0, &hello.base, len);
}

static int
shake_hands(struct session *session, const struct session_serves *serves)
{
	Splitsock__Welcome *welcome;
	struct codec_arena arena = {0};
	struct frame frame;
	size_t len, need;
	uint8_t *packet;
	int error;

	packet = encode_hello(serves, &len);
	if (!packet)
		return -errno;
	error = transfer(session, nng_stream_send, packet, len);
	free(packet);
	if (!error)
		error = transfer(session, nng_stream_recv, session->inbox, FRAME_HEADER_SIZE);
	if (error)
		return error;
	if (frame_parse(&frame, session->inbox, FRAME_HEADER_SIZE, &need) < 0 || need > session->inbox_size)
		return -EPROTO;
	error = transfer(session, nng_stream_recv, session->inbox + FRAME_HEADER_SIZE, need - FRAME_HEADER_SIZE);
	if (error)
		return error;
	if (frame_parse(&frame, session->inbox, need, &need) <= 0 || frame.kind != FRAME_WELCOME)
		return -EPROTO;
	welcome = decode_welcome(&arena, &frame);
	if (!welcome || welcome->status != SPLITSOCK__STATUS__STATUS_OK || welcome->version != 1)
		error = -EPROTO;
	else
		memcpy(session->token, welcome->link_token.data, sizeof session->token);
	if (!error)
		session->features = welcome->features;
	codec_free(&arena);
	session_count(session, COUNTER_CLIENT_FRAMES_OUT);
	session_count(session, COUNTER_CLIENT_FRAMES_IN);
	return error;
}

int
session_open(struct session *session, const char *url, const struct session_serves *serves, const struct session_events *events)
{
	static const char scheme[] = "ipc://";
	pthread_mutexattr_t adaptive;
	int error;

	if (!url)
		url = getenv("SPLITSOCK_GOFER");
	if (!url || (!*url && url == getenv("SPLITSOCK_GOFER")))
		url = DEFAULT_URL;
	if (strncmp(url, scheme, sizeof scheme - 1) != 0 ||
	    strlen(url + sizeof scheme - 1) + sizeof LINK_SEQPACKET_SUFFIX > sizeof((struct sockaddr_un *)0)->sun_path)
		return -EINVAL;
	*session = (struct session){
		.path = strdup(url + sizeof scheme - 1),
		.events = *events,
		.inbox = malloc(INBOX_START),
		.inbox_size = INBOX_START,
		.channel = -1,
		.channel_fd = -1,
		.filler = -1,
		.filler_pipe = {-1, -1},
	};
	pthread_mutex_init(&session->filler_lock, NULL);
	session->outbox_tail = &session->outbox;
	/* The end of one send starts the next on another thread: spinning for that beats a futex. */
	pthread_mutexattr_init(&adaptive);
	pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&session->lock, &adaptive);
	error = session->path && session->inbox ? 0 : -ENOMEM;
	if (!error)
		error = filler_open(session);
	if (!error)
		error = dial(session, url);
	if (!error)
		error = shake_hands(session, serves);
	if (!error && (nng_aio_alloc(&session->recv_aio, on_received, session) != 0 ||
	               nng_aio_alloc(&session->send_aio, on_sent, session) != 0))
		error = -ENOMEM;
	if (!error)
		error = channel_open(session);
	if (error)
		session_close(session);
	else
		receive_more(session);
	return error;
}

void
session_close(struct session *session)
{
	if (session->stream)
		nng_stream_close(session->stream);
	if (session->recv_aio)
		nng_aio_stop(session->recv_aio);
	if (session->send_aio)
		nng_aio_stop(session->send_aio);
	session_end(session);
	if (session->channel >= 0) {
		pthread_join(session->channel_thread, NULL);
		close(session->channel);
	}
	nng_aio_free(session->recv_aio);
	nng_aio_free(session->send_aio);
	nng_stream_free(session->stream);
	while (session->outbox) {
		struct outgoing *first = session->outbox;

		session->outbox = first->next;
		free(first->data);
		free(first);
	}
	filler_close(session);
	pthread_mutex_destroy(&session->filler_lock);
	pthread_mutex_destroy(&session->lock);
	free(session->inbox);
	free(session->path);
	explicit_bzero(session->token, sizeof session->token);
}
