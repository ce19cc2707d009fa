/*
 * NNG's streams without NNG, its threads and its sockets: linked in place of those functions that the gofer and the sentry side call
 * (-Wl,--wrap). What was started ends when the harness says so, and callbacks run from there, as they do on NNG's threads.
 */
#ifndef SPLITSOCK_TESTS_FUZZ_STREAMS_H
#define SPLITSOCK_TESTS_FUZZ_STREAMS_H

#include <nng/nng.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STREAMS_MAX 8

/* NULL: too many are open. */
nng_stream *stream_new(uint64_t uid);
/* A client of this user connects, if an accept is under way. */
void stream_connects(uint64_t uid);
/* The accept under way fails. */
void stream_accept_fails(int result);
/* The n-th open one, modulo their number, or NULL. */
nng_stream *stream_nth(unsigned n);
/* Bytes that the other side has sent; it closes behind them; it takes nothing more, or at most `part` bytes at a time (0: all). */
void stream_arrives(nng_stream *stream, const uint8_t *data, size_t len);
void stream_hangs_up(nng_stream *stream);
void stream_stalls(nng_stream *stream, bool stalled, size_t part);
/* Ends what can end. False: nothing could. */
bool streams_step(void);
/* The byte of what was sent that was read last. */
extern volatile uint8_t stream_looked_at;
/* What the next dial gives. */
void stream_to_dial(nng_stream *stream);

#endif
