#include "proto/frame.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint8_t buffer[FRAME_HEADER_SIZE + FRAME_BODY_MAX + 64];

/* Writes a frame whose body counts up from `first`; returns its size. */
static size_t
put(uint8_t *out, enum frame_kind kind, uint32_t id, size_t body_len, uint8_t first)
{
	frame_header_write(out, kind, id, body_len);
	for (size_t i = 0; i < body_len; i++)
		out[FRAME_HEADER_SIZE + i] = (uint8_t)(first + i);
	return FRAME_HEADER_SIZE + body_len;
}

Test(frame, the_header_is_laid_out_as_documented)
{
	static const uint8_t expected[FRAME_HEADER_SIZE] = {0x04, 0x03, 0x01, 0x00, 3, 0, 0, 0, 0x78, 0x56, 0x34, 0x12};
	uint8_t header[FRAME_HEADER_SIZE + 1];

	memset(header, 0xaa, sizeof header);
	frame_header_write(header, FRAME_REQUEST, 0x12345678, 0x10304);
	cr_assert_arr_eq(header, expected, sizeof expected);
	cr_assert_eq(header[FRAME_HEADER_SIZE], 0xaa, "it writes exactly a header");
}

Test(frame, every_kind_comes_back)
{
	for (int kind = FRAME_HELLO; kind <= FRAME_CANCEL; kind++) {
		struct frame frame;
		size_t need, size = put(buffer, kind, UINT32_MAX - (uint32_t)kind, 5, 7);

		cr_assert_eq(frame_parse(&frame, buffer, size, &need), (ssize_t)size);
		cr_assert_eq((int)frame.kind, kind);
		cr_assert_eq(frame.id, UINT32_MAX - (uint32_t)kind);
		cr_assert_eq(frame.body_len, 5);
		cr_assert_eq(frame.body, buffer + FRAME_HEADER_SIZE);
		cr_assert_eq(need, size);
	}
}

Test(frame, every_body_length_at_a_boundary)
{
	static const size_t lengths[] = {0, 1, 2, 255, 256, 65535, 65536, FRAME_BODY_MAX - 1, FRAME_BODY_MAX};

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct frame frame;
		size_t need, size = put(buffer, FRAME_EVENT, 1, lengths[i], 0);

		cr_assert_eq(frame_parse(&frame, buffer, size, &need), (ssize_t)size, "body of %zu", lengths[i]);
		cr_assert_eq(frame.body_len, lengths[i]);
		/* What follows belongs to the next frame. */
		cr_assert_eq(frame_parse(&frame, buffer, size + 9, &need), (ssize_t)size);
		cr_assert_eq(frame.body_len, lengths[i]);
		if (lengths[i]) {
			cr_assert_eq(frame_parse(&frame, buffer, size - 1, &need), 0);
			cr_assert_eq(need, size);
		}
	}
}

Test(frame, a_header_in_part_asks_for_a_header)
{
	put(buffer, FRAME_REPLY, 1, 100, 0);
	for (size_t len = 0; len < FRAME_HEADER_SIZE; len++) {
		struct frame frame;
		size_t need = 0;

		cr_assert_eq(frame_parse(&frame, buffer, len, &need), 0);
		cr_assert_eq(need, FRAME_HEADER_SIZE);
	}
	for (size_t len = FRAME_HEADER_SIZE; len < FRAME_HEADER_SIZE + 100; len++) {
		struct frame frame;
		size_t need = 0;

		cr_assert_eq(frame_parse(&frame, buffer, len, &need), 0);
		cr_assert_eq(need, FRAME_HEADER_SIZE + 100, "the whole size is known from the header on");
	}
}

Test(frame, nothing_to_parse_may_be_null)
{
	struct frame frame;
	size_t need = 0;

	cr_assert_eq(frame_parse(&frame, NULL, 0, &need), 0);
	cr_assert_eq(need, FRAME_HEADER_SIZE);
}

Test(frame, a_body_too_large_is_refused_at_once)
{
	static const uint32_t lengths[] = {FRAME_BODY_MAX + 1, FRAME_BODY_MAX + 2, 1u << 20, 1u << 31, UINT32_MAX - 11, UINT32_MAX};

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct frame frame;
		size_t need = 0;

		frame_header_write(buffer, FRAME_REQUEST, 1, lengths[i]);
		cr_assert_eq(frame_parse(&frame, buffer, FRAME_HEADER_SIZE, &need), -EPROTO, "%u", lengths[i]);
		cr_assert_eq(frame_parse(&frame, buffer, sizeof buffer, &need), -EPROTO, "%u", lengths[i]);
	}
}

Test(frame, every_kind_but_ours_is_refused)
{
	for (unsigned kind = 0; kind < 256; kind++) {
		struct frame frame;
		size_t need, size = put(buffer, FRAME_HELLO, 0, 3, 0);
		bool ours = kind >= FRAME_HELLO && kind <= FRAME_CANCEL;

		buffer[4] = (uint8_t)kind;
		cr_assert_eq(frame_parse(&frame, buffer, size, &need), ours ? (ssize_t)size : -EPROTO, "kind %u", kind);
		cr_assert_eq(frame_parse(&frame, buffer, FRAME_HEADER_SIZE, &need), ours ? 0 : -EPROTO, "kind %u", kind);
	}
}

Test(frame, every_reserved_bit_is_refused)
{
	for (int at = 5; at < 8; at++)
		for (int bit = 0; bit < 8; bit++) {
			struct frame frame;
			size_t need, size = put(buffer, FRAME_HELLO, 0, 3, 0);

			buffer[at] = (uint8_t)(1 << bit);
			cr_assert_eq(frame_parse(&frame, buffer, size, &need), -EPROTO, "byte %d bit %d", at, bit);
		}
}

/* ---- a stream, cut anywhere ---------------------------------------------------------------------- */

static uint64_t random_state;

static uint32_t
random_below(uint32_t bound)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % bound;
}

/* What a reader saw of a stream, as one number. */
struct digest {
	uint64_t hash;
	unsigned frames;
	bool refused;
};

static void
digest_byte(struct digest *digest, uint8_t byte)
{
	digest->hash = (digest->hash ^ byte) * 0x100000001b3u;
}

static void
digest_frame(struct digest *digest, const struct frame *frame)
{
	digest->frames++;
	digest_byte(digest, (uint8_t)frame->kind);
	for (int i = 0; i < 4; i++)
		digest_byte(digest, (uint8_t)(frame->id >> (8 * i)));
	for (size_t i = 0; i < frame->body_len; i++)
		digest_byte(digest, frame->body[i]);
	digest_byte(digest, 0xff);
}

/*
 * Reads the stream as both sides do, in pieces of at most `piece` bytes (0: of random size), never more at once than was
 * said to be needed.
 */
static struct digest
read_in_pieces(const uint8_t *stream, size_t len, size_t piece)
{
	struct digest digest = {.hash = 0xcbf29ce484222325u};
	uint8_t *inbox = malloc(FRAME_HEADER_SIZE);
	size_t inbox_len = 0, inbox_size = FRAME_HEADER_SIZE, at = 0;

	for (;;) {
		struct frame frame;
		size_t need, want;
		ssize_t size = frame_parse(&frame, inbox, inbox_len, &need);

		cr_assert(need <= FRAME_HEADER_SIZE + FRAME_BODY_MAX, "asks for no more than a frame may have");
		if (size < 0) {
			digest.refused = true;
			break;
		}
		if (size > 0) {
			digest_frame(&digest, &frame);
			memmove(inbox, inbox + size, inbox_len - (size_t)size);
			inbox_len -= (size_t)size;
			continue;
		}
		cr_assert(need > inbox_len, "an incomplete frame needs more than there is");
		if (need > inbox_size)
			inbox = realloc(inbox, inbox_size = need);
		if (at == len)
			break;
		want = piece ? piece : 1 + random_below(300);
		if (want > inbox_size - inbox_len)
			want = inbox_size - inbox_len;
		if (want > len - at)
			want = len - at;
		memcpy(inbox + inbox_len, stream + at, want);
		inbox_len += want;
		at += want;
	}
	free(inbox);
	return digest;
}

Test(frame, any_split_of_a_stream_parses_alike)
{
	static uint8_t stream[400000];

	for (unsigned seed = 1; seed <= 40; seed++) {
		size_t len = 0;
		unsigned frames = 1 + seed % 13;
		struct digest whole, part;
		bool broken = seed % 4 == 0;

		random_state = seed;
		for (unsigned i = 0; i < frames; i++) {
			size_t body = random_below(5) == 0 ? random_below(FRAME_BODY_MAX / 4) : random_below(40);

			len += put(stream + len, 1 + (int)random_below(6), random_below(UINT32_MAX), body, (uint8_t)i);
		}
		if (broken) { /* and then something that is no frame */
			len += put(stream + len, FRAME_EVENT, 1, 10, 0);
			stream[len - 10 - FRAME_HEADER_SIZE + 4 + random_below(4)] = 0xee;
		}
		whole = read_in_pieces(stream, len, len);
		cr_assert_eq(whole.frames, frames);
		cr_assert_eq(whole.refused, broken);
		for (size_t piece = 0; piece < 30; piece++) {
			part = read_in_pieces(stream, len, piece);
			cr_assert_eq(part.hash, whole.hash, "seed %u, pieces of %zu", seed, piece);
			cr_assert_eq(part.frames, whole.frames, "seed %u, pieces of %zu", seed, piece);
			cr_assert_eq(part.refused, whole.refused, "seed %u, pieces of %zu", seed, piece);
		}
	}
}

Test(frame, random_bytes_never_lead_outside)
{
	random_state = 7;
	for (int round = 0; round < 200000; round++) {
		uint8_t *exact;
		size_t len = random_below(40), need;
		struct frame frame;
		ssize_t size;

		exact = malloc(len ? len : 1); /* so that the sanitizer sees a read behind it */
		for (size_t i = 0; i < len; i++)
			exact[i] = random_below(3) ? 0 : (uint8_t)random_below(256);
		size = frame_parse(&frame, exact, len, &need);
		if (size > 0) {
			cr_assert((size_t)size <= len && frame.body_len == (size_t)size - FRAME_HEADER_SIZE);
		} else if (size == 0) {
			cr_assert(need > len);
		} else {
			cr_assert_eq(size, -EPROTO);
		}
		free(exact);
	}
}
