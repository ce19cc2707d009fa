/*
 * The only caller of protobuf-c. Messages are unpacked into an arena under a hard cap, because unknown fields and
 * empty repeated messages make a small input allocate much (a 2-byte element costs a whole struct).
 */
#ifndef SPLITSOCK_PROTO_CODEC_H
#define SPLITSOCK_PROTO_CODEC_H

#include <stdbool.h>

#include "proto/counters.h"
#include "proto/frame.h"
#include "proto/splitsock.pb-c.h"
#include "proto/values.h"

#define LINK_TOKEN_SIZE 16u

/* Bits of Hello.features and Welcome.features. */
#define FEATURE_STATS (UINT64_C(1) << 20) /* the operation Stats */

/*
 * Memory that unpacking may take: 16 bytes for one on the wire, the frame's header included. What a client sends (Hello, Request,
 * AdminRequest) gets no more. A reply, in which an empty result takes 2 bytes, gets room for a batch of those.
 */
#define CODEC_AMPLIFICATION_MAX 16u
#define CODEC_REPLY_BASE 16384u
#define CODEC_OPS_MAX 64u

/* Holds what one decoded message points into. Zero-initialise; codec_free() when done with the message. */
struct codec_arena {
	char *base;
	size_t size, used;
};

void codec_free(struct codec_arena *arena);

/* Each returns NULL when the bytes are no such message, or the cap is hit. The message lives as long as the arena. */
Splitsock__Hello *decode_hello(struct codec_arena *arena, const struct frame *frame);
Splitsock__Welcome *decode_welcome(struct codec_arena *arena, const struct frame *frame);
Splitsock__Request *decode_request(struct codec_arena *arena, const struct frame *frame);
Splitsock__Reply *decode_reply(struct codec_arena *arena, const struct frame *frame);
Splitsock__Event *decode_event(struct codec_arena *arena, const struct frame *frame);
/* On PATH.ctl. */
Splitsock__AdminRequest *decode_admin_request(struct codec_arena *arena, const struct frame *frame);
Splitsock__AdminReply *decode_admin_reply(struct codec_arena *arena, const struct frame *frame);

/*
 * Whether a request with these sends, and with what goes in front of them, can be unpacked: empty ones take few bytes, so that not many fit
 * a batch. send_spare() is what one leaves of the memory that its bytes give, or what it takes of the others'; `spare` is their sum.
 */
ssize_t send_spare(const Splitsock__Send *send);
bool sends_fit(size_t count, ssize_t spare);

/* How long a message will be on the wire. */
size_t encoded_size(const ProtobufCMessage *message);
/*
 * Packs a message as a whole frame into a malloc()ed buffer that the caller frees. Returns NULL on ENOMEM, or with
 * EMSGSIZE when it is larger than a frame may be.
 */
uint8_t *encode_frame(enum frame_kind kind, uint32_t id, const ProtobufCMessage *message, size_t *len);

/* One message for each value that is not 0, of `count` counters from `first` on. `messages` and `pointers` have room for all. */
void counters_to_message(Splitsock__Counters *out, Splitsock__Counter *messages, Splitsock__Counter **pointers, size_t first,
                         size_t count, const uint64_t *values);
/* Fills values[COUNTER_COUNT], 0 where nothing was told. NULL is no message. */
void counters_from_message(uint64_t *values, const Splitsock__Counters *message);

/* Addresses between messages and the plain form of values.h. address_from_message() returns 0 or -EINVAL. */
int address_from_message(struct wire_address *address, const Splitsock__Address *message);
/* `message` borrows its ip bytes from `address`. */
void address_to_message(Splitsock__Address *message, struct wire_address *address);

#endif
