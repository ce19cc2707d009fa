#include "tests/fuzz/streams.h"

#include "tests/fuzz/fuzz.h"

struct nng_aio {
	void (*done)(void *);
	void *arg;
	nng_aio *next; /* aios */
	int result;
	size_t count;
	nng_iov iovs[8];
	unsigned iov_count;
	void *output;
	nng_stream *stream;
	enum { IDLE, RECEIVING, SENDING, ACCEPTING } busy;
	bool stopped;
};

struct nng_stream {
	bool open, hung_up, closed, stalled;
	size_t part;
	uint64_t uid;
	uint8_t *incoming;
	size_t incoming_len;
};

volatile uint8_t stream_looked_at;

static nng_stream streams[STREAMS_MAX];
static nng_stream *dialed;
static nng_aio *aios;
static nng_aio *accepting;

nng_stream *
stream_new(uint64_t uid)
{
	for (int i = 0; i < STREAMS_MAX; i++)
		if (!streams[i].open) {
			streams[i] = (nng_stream){.open = true, .uid = uid};
			return &streams[i];
		}
	return NULL;
}

nng_stream *
stream_nth(unsigned n)
{
	unsigned open = 0;

	for (int i = 0; i < STREAMS_MAX; i++)
		open += streams[i].open;
	n = open ? n % open : 0;
	for (int i = 0; open && i < STREAMS_MAX; i++)
		if (streams[i].open && n-- == 0)
			return &streams[i];
	return NULL;
}

static void
finish(nng_aio *aio, int result, size_t count)
{
	aio->busy = IDLE;
	aio->result = result;
	aio->count = count;
	if (aio->done)
		aio->done(aio->arg);
}

void
stream_connects(uint64_t uid)
{
	nng_aio *aio = accepting;
	nng_stream *stream = aio ? stream_new(uid) : NULL;

	if (!stream)
		return;
	accepting = NULL;
	aio->output = stream;
	finish(aio, 0, 0);
}

void
stream_accept_fails(int result)
{
	nng_aio *aio = accepting;

	accepting = NULL;
	if (aio)
		finish(aio, result, 0);
}

void
stream_arrives(nng_stream *stream, const uint8_t *data, size_t len)
{
	if (!len)
		return;
	stream->incoming = realloc(stream->incoming, stream->incoming_len + len);
	memcpy(stream->incoming + stream->incoming_len, data, len);
	stream->incoming_len += len;
}

void
stream_hangs_up(nng_stream *stream)
{
	stream->hung_up = true;
}

void
stream_stalls(nng_stream *stream, bool stalled, size_t part)
{
	stream->stalled = stalled;
	stream->part = part;
}

void
stream_to_dial(nng_stream *stream)
{
	dialed = stream;
}

static bool
step_receive(nng_aio *aio)
{
	nng_stream *stream = aio->stream;
	size_t len = aio->iovs[0].iov_len < stream->incoming_len ? aio->iovs[0].iov_len : stream->incoming_len;

	if (!len || stream->closed) {
		if (stream->closed || stream->hung_up)
			finish(aio, stream->closed ? NNG_ECLOSED : NNG_ECONNSHUT, 0);
		return stream->closed || stream->hung_up;
	}
	memcpy(aio->iovs[0].iov_buf, stream->incoming, len);
	memmove(stream->incoming, stream->incoming + len, stream->incoming_len - len);
	stream->incoming_len -= len;
	finish(aio, 0, len);
	return true;
}

static bool
step_send(nng_aio *aio)
{
	nng_stream *stream = aio->stream;
	size_t len = 0;

	if (stream->closed || stream->hung_up) {
		finish(aio, stream->closed ? NNG_ECLOSED : NNG_ECONNSHUT, 0);
		return true;
	}
	if (stream->stalled)
		return false;
	for (unsigned i = 0; i < aio->iov_count; i++) {
		for (size_t j = 0; j < aio->iovs[i].iov_len; j++)
			stream_looked_at = ((const uint8_t *)aio->iovs[i].iov_buf)[j];
		len += aio->iovs[i].iov_len;
	}
	finish(aio, 0, stream->part && stream->part < len ? stream->part : len);
	return true;
}

bool
streams_step(void)
{
	bool moved = false;

	/* Callbacks start others, but free none. */
	for (nng_aio *aio = aios; aio; aio = aio->next) {
		if (aio->busy == RECEIVING)
			moved |= step_receive(aio);
		else if (aio->busy == SENDING)
			moved |= step_send(aio);
	}
	return moved;
}

/* ---- what is called in place of NNG --------------------------------------------------------------- */

#define CALL(type, name, ...) \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

CALL(int, nng_aio_alloc, nng_aio **aio, void (*done)(void *), void *arg)
{
	*aio = calloc(1, sizeof **aio);
	**aio = (nng_aio){.done = done, .arg = arg, .next = aios};
	aios = *aio;
	return 0;
}

CALL(void, nng_aio_stop, nng_aio *aio)
{
	aio->stopped = true;
	if (aio == accepting)
		accepting = NULL;
	if (aio->busy != IDLE)
		finish(aio, NNG_ECANCELED, 0);
}

CALL(void, nng_aio_free, nng_aio *aio)
{
	if (!aio)
		return;
	FUZZ_CHECK(aio->busy == IDLE);
	for (nng_aio **at = &aios; *at; at = &(*at)->next)
		if (*at == aio) {
			*at = aio->next;
			break;
		}
	free(aio);
}

CALL(int, nng_aio_result, nng_aio *aio)
{
	return aio->result;
}

CALL(size_t, nng_aio_count, nng_aio *aio)
{
	return aio->count;
}

CALL(void *, nng_aio_get_output, nng_aio *aio, unsigned index)
{
	(void)index;
	return aio->output;
}

CALL(int, nng_aio_set_iov, nng_aio *aio, unsigned count, const nng_iov *iovs)
{
	FUZZ_CHECK(count <= 8);
	memcpy(aio->iovs, iovs, count * sizeof *iovs);
	aio->iov_count = count;
	return 0;
}

CALL(void, nng_aio_set_timeout, nng_aio *aio, nng_duration timeout)
{
	(void)aio;
	(void)timeout;
}

/* Of the handshake: what has not arrived by now does not arrive in time. */
CALL(void, nng_aio_wait, nng_aio *aio)
{
	if (aio->busy == RECEIVING && !step_receive(aio))
		finish(aio, NNG_ETIMEDOUT, 0);
	if (aio->busy == SENDING && !step_send(aio))
		finish(aio, NNG_ETIMEDOUT, 0);
}

static void
start(nng_stream *stream, nng_aio *aio, int what)
{
	FUZZ_CHECK(aio->busy == IDLE && stream->open);
	aio->stream = stream;
	aio->busy = what;
	if (aio->stopped)
		finish(aio, NNG_ECANCELED, 0);
}

CALL(void, nng_stream_recv, nng_stream *stream, nng_aio *aio)
{
	FUZZ_CHECK(aio->iovs[0].iov_len > 0);
	start(stream, aio, RECEIVING);
}

CALL(void, nng_stream_send, nng_stream *stream, nng_aio *aio)
{
	start(stream, aio, SENDING);
}

CALL(void, nng_stream_close, nng_stream *stream)
{
	FUZZ_CHECK(stream->open);
	stream->closed = true;
}

CALL(void, nng_stream_free, nng_stream *stream)
{
	if (!stream)
		return;
	FUZZ_CHECK(stream->open);
	free(stream->incoming);
	*stream = (nng_stream){0};
}

CALL(int, nng_stream_get_uint64, nng_stream *stream, const char *option, uint64_t *value)
{
	*value = strcmp(option, NNG_OPT_IPC_PEER_UID) == 0 ? stream->uid : 4242;
	return 0;
}

CALL(int, nng_stream_listener_alloc, nng_stream_listener **listener, const char *url)
{
	(void)url;
	*listener = malloc(1);
	return 0;
}

CALL(int, nng_stream_listener_listen, nng_stream_listener *listener)
{
	(void)listener;
	return 0;
}

CALL(void, nng_stream_listener_accept, nng_stream_listener *listener, nng_aio *aio)
{
	(void)listener;
	FUZZ_CHECK(!accepting);
	accepting = aio;
}

CALL(void, nng_stream_listener_close, nng_stream_listener *listener)
{
	(void)listener;
}

CALL(void, nng_stream_listener_free, nng_stream_listener *listener)
{
	free(listener);
}

CALL(int, nng_stream_dialer_alloc, nng_stream_dialer **dialer, const char *url)
{
	(void)url;
	*dialer = malloc(1);
	return 0;
}

CALL(void, nng_stream_dialer_dial, nng_stream_dialer *dialer, nng_aio *aio)
{
	(void)dialer;
	aio->output = dialed;
	finish(aio, 0, 0);
}

CALL(void, nng_stream_dialer_free, nng_stream_dialer *dialer)
{
	free(dialer);
}
