/*
 * A hostile client's bytes and frames: what is no protocol ends its session, at once and alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/boundary/client.h"

TestSuite(frames, .timeout = 30);

/* gofer/gofer.h has HANDSHAKE_MS 5000 and TICK_MS 1000. */
enum { HANDSHAKE_FLOOR_MS = 3500, HANDSHAKE_CEILING_MS = 8000, AT_ONCE_MS = 1000 * SLOW };

static struct gofer gofer;

static void
start(void)
{
	gofer_start(&gofer, NULL);
}

static void
stop(void)
{
	gofer_stop(&gofer);
}

static void
clean(void)
{
	gofer_clean(&gofer);
}

/* Sends this on a fresh connection, after a Hello if so wanted, and asserts that the gofer ends it, and nobody else. */
static void
assert_ends(const char *what, bool after_hello, const void *data, size_t len)
{
	struct client client;

	if (after_hello)
		client_open(&client, &gofer);
	else
		client = (struct client){.gofer = &gofer, .fd = raw_connect(&gofer)};
	cr_assert_geq(client.fd, 0);
	raw_send(client.fd, data, len); /* it may be cut short by the end */
	cr_expect(ends_within(client.fd, AT_ONCE_MS), "%s: the session goes on", what);
	client_close(&client);
	cr_assert(alive(gofer.pid), "%s: the gofer ended", what);
}

static size_t
frame_make(uint8_t *out, uint8_t kind, const void *body, size_t len)
{
	header_write(out, (uint32_t)len, kind, 0, 7);
	memcpy(out + FRAME_HEADER_SIZE, body, len);
	return FRAME_HEADER_SIZE + len;
}

static size_t
hello_make(uint8_t *out)
{
	return frame_make(out, FRAME_HELLO, "\x08\x01", 2);
}

/* ---- garbage ------------------------------------------------------------------------------------ */

GOFER_TEST(frames, garbage_ends_the_session, start)
{
	unsigned seed = 1;

	assert_ends("text", false, "GET / HTTP/1.1\r\nHost: gofer\r\n\r\n", 31);
	for (int round = 0; round < 100; round++) {
		uint8_t noise[4096];

		for (size_t i = 0; i < sizeof noise; i++)
			noise[i] = (uint8_t)(rand_r(&seed) >> 7);
		noise[5] |= 1; /* never a header, by chance, that asks for more */
		assert_ends("noise", round & 1, noise, sizeof noise);
	}
	assert_serves(&gofer);
}

GOFER_TEST(frames, header_that_breaks_a_rule_ends_the_session, start)
{
	static const struct {
		const char *what;
		uint32_t length;
		uint8_t kind, reserved;
	} bad[] = {
		{"4 GiB", UINT32_MAX, FRAME_HELLO, 0},
		{"2 GiB", 0x80000000u, FRAME_HELLO, 0},
		{"one byte too long", FRAME_BODY_MAX + 1, FRAME_HELLO, 0},
		{"kind 0", 0, 0, 0},
		{"kind 7", 0, FRAME_CANCEL + 1, 0},
		{"kind 255", 0, 255, 0},
		{"reserved byte", 2, FRAME_HELLO, 1},
	};
	int before = fd_count(gofer.pid);

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		for (int after_hello = 0; after_hello < 2; after_hello++) {
			uint8_t header[FRAME_HEADER_SIZE];

			header_write(header, bad[i].length, bad[i].kind, bad[i].reserved, 0);
			assert_ends(bad[i].what, after_hello, header, sizeof header);
		}
	for (int byte = 5; byte < 8; byte++) {
		uint8_t frame[FRAME_HEADER_SIZE + 2];

		hello_make(frame);
		frame[byte] = 1;
		assert_ends("reserved bytes", false, frame, sizeof frame);
	}
	cr_assert_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1, "descriptors stay");
	assert_serves(&gofer);
}

GOFER_TEST(frames, largest_frame_of_junk_ends_the_session, start)
{
	static uint8_t frame[FRAME_HEADER_SIZE + FRAME_BODY_MAX];

	for (int after_hello = 0; after_hello < 2; after_hello++) {
		memset(frame, 0xff, sizeof frame);
		header_write(frame, FRAME_BODY_MAX, after_hello ? FRAME_REQUEST : FRAME_HELLO, 0, 1);
		assert_ends("junk", after_hello, frame, sizeof frame);
	}
	assert_serves(&gofer);
}

/* ---- order -------------------------------------------------------------------------------------- */

GOFER_TEST(frames, kind_that_is_not_its_turn_ends_the_session, start)
{
	static const struct {
		const char *what;
		bool after_hello;
		uint8_t kind;
	} bad[] = {
		{"Welcome first", false, FRAME_WELCOME}, {"Request first", false, FRAME_REQUEST},
		{"Reply first", false, FRAME_REPLY},     {"Event first", false, FRAME_EVENT},
		{"Cancel first", false, FRAME_CANCEL},   {"second Hello", true, FRAME_HELLO},
		{"Welcome", true, FRAME_WELCOME},        {"Reply", true, FRAME_REPLY},
		{"Event", true, FRAME_EVENT},
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint8_t frame[64];

		/* 08 01 is a good Hello, and harmless as anything else. */
		assert_ends(bad[i].what, bad[i].after_hello, frame, frame_make(frame, bad[i].kind, "\x08\x01", 2));
	}
	assert_serves(&gofer);
}

/* All in one write, so that the gofer finds the Request in its inbox before it has answered. */
GOFER_TEST(frames, request_on_the_heels_of_hello_is_served, start)
{
	struct client client = {.gofer = &gofer, .fd = raw_connect(&gofer)};
	struct operation open;
	Splitsock__Op *ops[] = {&op_open(&open, AF_INET, SOCK_STREAM, 0)->op};
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	uint8_t both[512];
	size_t len = hello_make(both), request_len;
	struct frame frame;
	uint8_t *packet;

	request.handle = 1;
	request.ops = ops;
	request.n_ops = 1;
	packet = encode_frame(FRAME_REQUEST, 9, &request.base, &request_len);
	memcpy(both + len, packet, request_len);
	cr_assert(raw_send(client.fd, both, len + request_len));
	free(packet);
	cr_assert_eq(receive_frame(&client, &frame, PATIENCE_MS), 1);
	cr_assert_eq(frame.kind, FRAME_WELCOME);
	cr_assert_eq(wait_reply(&client, 9, PATIENCE_MS).status, SPLITSOCK__STATUS__STATUS_OK);
	client_close(&client);
}

GOFER_TEST(frames, byte_by_byte_is_served, start)
{
	struct client client = {.gofer = &gofer, .fd = raw_connect(&gofer)};
	struct frame frame;
	uint8_t hello[64];
	size_t len = hello_make(hello);

	for (size_t i = 0; i < len; i++) {
		cr_assert(raw_send(client.fd, hello + i, 1));
		sleep_ms(2);
	}
	cr_assert_eq(receive_frame(&client, &frame, PATIENCE_MS), 1);
	cr_assert_eq(frame.kind, FRAME_WELCOME);
	client_close(&client);
}

/* splitsock.proto: "answered with status UNSUPPORTED and the end of the session". */
GOFER_TEST(frames, other_version_is_answered_unsupported_and_ended, start)
{
	static const uint32_t versions[] = {0, 2, UINT32_MAX};

	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		struct client client = {.gofer = &gofer, .fd = raw_connect(&gofer)};

		cr_assert_eq(shake_hands(&client, versions[i]), SPLITSOCK__STATUS__STATUS_UNSUPPORTED, "version %u", versions[i]);
		cr_expect_eq(shake_hands(&client, 1), -1, "version %u: the session takes another Hello", versions[i]);
		client_close(&client);

		client = (struct client){.gofer = &gofer, .fd = raw_connect(&gofer)};
		cr_assert_eq(shake_hands(&client, versions[i]), SPLITSOCK__STATUS__STATUS_UNSUPPORTED);
		cr_expect(ends_within(client.fd, AT_ONCE_MS), "version %u: the session goes on", versions[i]);
		client_close(&client);
	}
	assert_serves(&gofer);
}

/* ---- silence ------------------------------------------------------------------------------------ */

GOFER_TEST(frames, who_says_nothing_or_half_a_hello_is_dropped_in_time, start)
{
	enum { CLIENTS = 300 };
	static int fds[CLIENTS];
	int before = fd_count(gofer.pid), status;
	int64_t start_ms = now_ms();
	uint8_t hello[64];
	size_t len = hello_make(hello);

	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = raw_connect(&gofer);
		cr_assert_geq(fds[i], 0);
		/* a third each: silent, half a header, half a body */
		if (i % 3)
			cr_assert(raw_send(fds[i], hello, i % 3 == 1 ? 6 : len - 1));
	}
	assert_serves(&gofer);
	sleep_ms((int)(start_ms + HANDSHAKE_FLOOR_MS - now_ms()));
	for (int i = 0; i < CLIENTS; i++)
		cr_assert_not(ends_within(fds[i], 0), "client %d was dropped early", i);
	status = wait_for_fds(gofer.pid, before, (int)(start_ms + HANDSHAKE_CEILING_MS * SLOW - now_ms()));
	cr_assert_neq(status, -1, "%d descriptors remain of %d silent clients", fd_count(gofer.pid) - before, CLIENTS);
	for (int i = 0; i < CLIENTS; i++) {
		cr_assert(ends_within(fds[i], AT_ONCE_MS));
		close(fds[i]);
	}
	assert_serves(&gofer);
}

GOFER_TEST(frames, half_a_frame_in_a_session_waits_and_harms_nobody, start)
{
	struct client client;
	uint8_t header[FRAME_HEADER_SIZE];
	int before = fd_count(gofer.pid);

	client_open(&client, &gofer);
	header_write(header, FRAME_BODY_MAX, FRAME_REQUEST, 0, 1);
	cr_assert(raw_send(client.fd, header, sizeof header) && raw_send(client.fd, "\x08\x01\x12", 3));
	assert_serves(&gofer);
	client_close(&client);
	cr_assert_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1, "half a frame keeps its session");
	assert_serves(&gofer);
}

GOFER_TEST(frames, half_a_frame_then_close_is_released, start)
{
	int before = fd_count(gofer.pid);
	uint8_t hello[64];
	size_t len = hello_make(hello);

	for (size_t cut = 0; cut < len; cut++)
		for (int round = 0; round < 10; round++) {
			int fd = raw_connect(&gofer);

			cr_assert_geq(fd, 0);
			cr_assert(raw_send(fd, hello, cut));
			if (round & 1)
				shutdown(fd, SHUT_WR);
			close(fd);
		}
	cr_assert_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1, "descriptors stay");
	assert_serves(&gofer);
}

/* ---- requests ----------------------------------------------------------------------------------- */

/* On a socket that is there, so that there is nothing else to complain of. */
static void
assert_request_ends(const char *what, const void *body, size_t len)
{
	struct client client;
	uint8_t frame[128];

	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, NULL).status, SPLITSOCK__STATUS__STATUS_OK);
	cr_assert(raw_send(client.fd, frame, frame_make(frame, FRAME_REQUEST, body, len)));
	cr_expect(ends_within(client.fd, AT_ONCE_MS), "%s: the session goes on", what);
	client_close(&client);
	cr_assert(alive(gofer.pid), "%s: the gofer ended", what);
}

GOFER_TEST(frames, malformed_requests_end_the_session, start)
{
	static const struct {
		const char *what;
		const char *body;
		size_t len;
	} bad[] = {
		{"no body", "", 0},
		{"no operation", "\x08\x01", 2},
		{"an operation that says nothing", "\x08\x01\x12\x00", 4},
		{"an unknown operation", "\x08\x01\x12\x03\x9a\x06\x00", 7},
		{"an unknown operation behind a good one", "\x08\x01\x12\x02\x42\x00\x12\x03\x9a\x06\x00", 11},
		{"a varint without end", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12},
		{"a length beyond the body", "\x08\x01\x12\x7f\x0a", 5},
		{"a length of 4 GiB", "\x08\x01\x12\xff\xff\xff\xff\x0f", 8},
		{"a group", "\x08\x01\x13\x14", 4},
		{"field number 0", "\x08\x01\x02\x00", 4},
		{"wire type 7", "\x0f", 1},
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_request_ends(bad[i].what, bad[i].body, bad[i].len);
	assert_serves(&gofer);
}

GOFER_TEST(frames, batch_of_64_is_served_and_of_65_ends_the_session, start)
{
	static struct operation operations[CODEC_OPS_MAX + 1];
	struct operation *ops[CODEC_OPS_MAX + 1];
	struct client client;
	struct outcome outcome;

	ops[0] = op_open(&operations[0], AF_INET, SOCK_STREAM, 0);
	for (size_t i = 1; i <= CODEC_OPS_MAX; i++)
		ops[i] = op_set_int(&operations[i], SOL_SOCKET, SO_KEEPALIVE, 1);
	client_open(&client, &gofer);
	outcome = call_batch(&client, 1, ops, CODEC_OPS_MAX);
	cr_assert_eq(outcome.status, SPLITSOCK__STATUS__STATUS_OK, "status %d, %u results, %s", outcome.status, outcome.count,
	             strerror(outcome.error));
	cr_assert_eq(outcome.count, CODEC_OPS_MAX);
	outcome = call_batch(&client, 2, ops, CODEC_OPS_MAX + 1);
	cr_assert_eq(outcome.status, -1, "65 operations came to %d", outcome.status);
	client_close(&client);
	assert_serves(&gofer);
}

/* Two bytes on the wire can cost a whole struct: memory must stay bounded by the frame's size, whatever is in it. */
GOFER_TEST(frames, bombs_cost_little_memory, start)
{
	static const struct {
		const char *what;
		uint8_t kind;
		const char *unit;
		size_t len;
	} bombs[] = {
		{"empty operations", FRAME_REQUEST, "\x12\x00", 2},
		{"operations of an empty query", FRAME_REQUEST, "\x12\x02\x42\x00", 4},
		{"operations with an empty open, again and again", FRAME_REQUEST, "\x12\x04\x0a\x00\x0a\x00", 6},
		{"unknown fields in a request", FRAME_REQUEST, "\x78\x00", 2},
		{"unknown empty strings in a request", FRAME_REQUEST, "\x7a\x00", 2},
		{"unknown fields in a hello", FRAME_HELLO, "\x78\x00", 2},
		{"software again and again", FRAME_HELLO, "\x1a\x00", 2},
		{"version again and again", FRAME_HELLO, "\x08\x02", 2},
	};
	static uint8_t frame[FRAME_HEADER_SIZE + FRAME_BODY_MAX];
	enum { AT_ONCE = 16, ALLOWED_KIB = 24 * 1024 };

	assert_serves(&gofer);
	for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
		size_t len = FRAME_BODY_MAX / bombs[i].len * bombs[i].len;
		long before = memory_now(gofer.pid);
		int fds[AT_ONCE];

		for (size_t at = 0; at < len; at += bombs[i].len)
			memcpy(frame + FRAME_HEADER_SIZE + at, bombs[i].unit, bombs[i].len);
		header_write(frame, (uint32_t)len, bombs[i].kind, 0, 0);
		memory_reset_peak(gofer.pid);
		for (int j = 0; j < AT_ONCE; j++) {
			struct client client = {.fd = raw_connect(&gofer)};

			if (bombs[i].kind == FRAME_REQUEST)
				cr_assert_eq(shake_hands(&client, 1), SPLITSOCK__STATUS__STATUS_OK);
			fds[j] = client.fd;
			raw_send(fds[j], frame, FRAME_HEADER_SIZE + len);
		}
		for (int j = 0; j < AT_ONCE; j++) {
			/* A hello that ends in a version that nobody speaks is a fair one, however long. */
			if (bombs[i].kind == FRAME_REQUEST)
				cr_expect(ends_within(fds[j], AT_ONCE_MS), "%s: the session goes on", bombs[i].what);
			close(fds[j]);
		}
		assert_serves(&gofer);
		if (MEASURES_MEMORY)
			cr_expect_leq(memory_peak(gofer.pid) - before, ALLOWED_KIB, "%s: %ld KiB", bombs[i].what,
			              memory_peak(gofer.pid) - before);
	}
}

/* Each would take its arena with it, more than a mebibyte, if a refusal forgot to free it. */
GOFER_TEST(frames, refused_bombs_leave_no_memory, start)
{
	enum { BOMBS = 200, ALLOWED_KIB = 64 * 1024 };
	static uint8_t frame[FRAME_HEADER_SIZE + FRAME_BODY_MAX];
	long before;

	assert_serves(&gofer);
	before = memory_allocated(gofer.pid);
	for (int kind = FRAME_HELLO; kind <= FRAME_REQUEST; kind += FRAME_REQUEST - FRAME_HELLO) {
		for (size_t at = 0; at < FRAME_BODY_MAX; at += 2)
			memcpy(frame + FRAME_HEADER_SIZE + at, "\x78\x00", 2);
		header_write(frame, FRAME_BODY_MAX, (uint8_t)kind, 0, 0);
		for (int i = 0; i < BOMBS; i++) {
			struct client client = {.fd = raw_connect(&gofer)};

			if (kind == FRAME_REQUEST)
				cr_assert_eq(shake_hands(&client, 1), SPLITSOCK__STATUS__STATUS_OK);
			cr_assert(raw_send(client.fd, frame, sizeof frame));
			ends_within(client.fd, AT_ONCE_MS);
			client_close(&client);
		}
	}
	assert_serves(&gofer);
	if (MEASURES_MEMORY)
		cr_expect_leq(memory_allocated(gofer.pid) - before, ALLOWED_KIB, "%ld KiB stay of %d refused frames",
		              memory_allocated(gofer.pid) - before, 2 * BOMBS);
}

/* What is new in a later version must not end a session of this one: unknown fields are skipped. */
GOFER_TEST(frames, a_few_unknown_fields_are_skipped, start)
{
	struct client client = {.gofer = &gofer, .fd = raw_connect(&gofer)};
	struct frame frame;
	uint8_t hello[64];

	cr_assert(raw_send(client.fd, hello, frame_make(hello, FRAME_HELLO, "\x08\x01\x78\x05\x7a\x03" "abc", 9)));
	cr_assert_eq(receive_frame(&client, &frame, PATIENCE_MS), 1);
	cr_assert_eq(frame.kind, FRAME_WELCOME);
	client_close(&client);
}

GOFER_TEST(frames, cancel_of_nothing_is_no_offence, start)
{
	struct client client;

	client_open(&client, &gofer);
	for (uint32_t id = 0; id < 1000; id++)
		cr_assert(send_frame(client.fd, FRAME_CANCEL, id * 4294967, "", 0));
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, NULL).status, SPLITSOCK__STATUS__STATUS_OK);
	client_close(&client);
	assert_serves(&gofer);
}
