/*
 * Frames: how messages are cut out of a byte stream. Layout in splitsock.proto. Pure functions over plain data.
 */
#ifndef SPLITSOCK_PROTO_FRAME_H
#define SPLITSOCK_PROTO_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAME_HEADER_SIZE 12u

/* The largest datagram (65,535 bytes) with its destination, in a batch of one, fits; nothing legitimate is larger. */
#define FRAME_BODY_MAX (68u * 1024u)

enum frame_kind {
	FRAME_HELLO = 1,
	FRAME_WELCOME = 2,
	FRAME_REQUEST = 3,
	FRAME_REPLY = 4,
	FRAME_EVENT = 5,
	FRAME_CANCEL = 6, /* no body: the call of this id is no longer wanted */
};

struct frame {
	enum frame_kind kind;
	uint32_t id;
	const uint8_t *body; /* points into the caller's buffer */
	size_t body_len;
};

/* Writes FRAME_HEADER_SIZE bytes. body_len must be at most FRAME_BODY_MAX. */
void frame_header_write(uint8_t *out, enum frame_kind kind, uint32_t id, size_t body_len);

/*
 * Looks for one frame at the start of data. Returns its whole size when it is complete, 0 when more bytes are
 * needed (*need then says how large the frame will be, or FRAME_HEADER_SIZE), and -EPROTO when no
 * continuation can make it valid.
 */
ssize_t frame_parse(struct frame *frame, const uint8_t *data, size_t len, size_t *need);

#endif
