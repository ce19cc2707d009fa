#include "proto/codec.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>

/* ---- helpers ------------------------------------------------------------------------------------- */

typedef void *(*decode_fn)(struct codec_arena *, const struct frame *);

static const struct {
	enum frame_kind kind;
	decode_fn decode;
} decoders[] = {
	{FRAME_HELLO, (decode_fn)decode_hello},     {FRAME_WELCOME, (decode_fn)decode_welcome},
	{FRAME_REQUEST, (decode_fn)decode_request}, {FRAME_REPLY, (decode_fn)decode_reply},
	{FRAME_EVENT, (decode_fn)decode_event},     {FRAME_REQUEST, (decode_fn)decode_admin_request},
};
enum { DECODERS = sizeof decoders / sizeof *decoders };

/* A message as a frame and back. The frame stays valid until the next call. */
static struct frame
packed(enum frame_kind kind, const ProtobufCMessage *message)
{
	static uint8_t *bytes;
	struct frame frame;
	size_t len = 0, need;

	free(bytes);
	bytes = encode_frame(kind, 42, message, &len);
	cr_assert_not_null(bytes);
	cr_assert_eq(frame_parse(&frame, bytes, len, &need), (ssize_t)len);
	cr_assert_eq(frame.kind, kind);
	cr_assert_eq(frame.id, 42);
	return frame;
}

/* That encoding what was decoded gives the same bytes: nothing was lost and nothing changed. */
static void
check_same(enum frame_kind kind, const ProtobufCMessage *decoded, const struct frame *frame)
{
	size_t len;
	uint8_t *again = encode_frame(kind, 42, decoded, &len);

	cr_assert_eq(len, FRAME_HEADER_SIZE + frame->body_len);
	cr_assert_arr_eq(again + FRAME_HEADER_SIZE, frame->body, frame->body_len);
	free(again);
}

/* Decodes a copy of exactly these bytes, so that a sanitizer sees a read behind them. Checks the cap. */
static bool
decodes(decode_fn decode, const uint8_t *body, size_t len)
{
	struct codec_arena arena = {0};
	uint8_t *exact = malloc(len ? len : 1);
	struct frame frame = {.body = exact, .body_len = len};
	bool good;

	memcpy(exact, body, len);
	good = decode(&arena, &frame) != NULL;
	cr_assert_leq(arena.used, arena.size);
	/* What a client sends gets 16 times its bytes on the wire, all told. */
	cr_assert_leq(arena.size,
	              (decode == (decode_fn)decode_hello || decode == (decode_fn)decode_request || decode == (decode_fn)decode_admin_request
	                       ? 0 : CODEC_REPLY_BASE) + 16 * (FRAME_HEADER_SIZE + len), "the cap is the cap");
	codec_free(&arena);
	cr_assert_null(arena.base);
	free(exact);
	return good;
}

static Splitsock__Address an_address = SPLITSOCK__ADDRESS__INIT;
static uint8_t ip[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

static void
setup(void)
{
	an_address.family = wire_family(AF_INET6);
	an_address.ip.data = ip;
	an_address.ip.len = sizeof ip;
	an_address.port = 65535;
	an_address.flow_info = 0xfffff;
	an_address.scope_id = UINT32_MAX;
	an_address.netlink_pid = 7;
	an_address.netlink_groups = 0x80000001;
}

TestSuite(codec, .init = setup, .timeout = 60);

/* ---- every message, there and back --------------------------------------------------------------- */

Test(codec, hello)
{
	Splitsock__Hello hello = SPLITSOCK__HELLO__INIT, *got;
	Splitsock__Serves serves = SPLITSOCK__SERVES__INIT;
	Splitsock__Label label = SPLITSOCK__LABEL__INIT, *labels = &label;
	struct codec_arena arena = {0};
	struct frame frame;

	hello.version = UINT32_MAX;
	hello.features = UINT64_MAX;
	hello.software = "somebody 1.2.3";
	label.key = "color";
	label.value = "blue";
	serves.id = "0123abcd";
	serves.name = "web";
	serves.n_labels = 1;
	serves.labels = &labels;
	serves.cgroup = "/machine.slice/web";
	serves.uid = UINT32_MAX;
	serves.gid = 33;
	hello.serves = &serves;
	frame = packed(FRAME_HELLO, &hello.base);
	got = decode_hello(&arena, &frame);
	cr_assert_not_null(got);
	cr_assert_eq(got->version, UINT32_MAX);
	cr_assert_eq(got->features, UINT64_MAX);
	cr_assert_str_eq(got->software, "somebody 1.2.3");
	cr_assert_not_null(got->serves);
	cr_assert_str_eq(got->serves->id, "0123abcd");
	cr_assert_str_eq(got->serves->labels[0]->value, "blue");
	cr_assert_eq(got->serves->uid, UINT32_MAX);
	check_same(FRAME_HELLO, &got->base, &frame);
	codec_free(&arena);
}

Test(codec, welcome)
{
	uint8_t token[LINK_TOKEN_SIZE] = {1, 2, 3, 0, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255};
	Splitsock__Welcome welcome = SPLITSOCK__WELCOME__INIT, *got;
	struct codec_arena arena = {0};
	struct frame frame;

	welcome.version = 1;
	welcome.features = 5;
	welcome.software = "gofer";
	welcome.link_token.data = token;
	welcome.link_token.len = sizeof token;
	welcome.max_sockets = 1000;
	welcome.max_calls = 2000;
	frame = packed(FRAME_WELCOME, &welcome.base);
	got = decode_welcome(&arena, &frame);
	cr_assert_not_null(got);
	cr_assert_eq(got->link_token.len, sizeof token);
	cr_assert_arr_eq(got->link_token.data, token, sizeof token);
	cr_assert_eq(got->max_sockets, 1000);
	cr_assert_eq(got->max_calls, 2000);
	check_same(FRAME_WELCOME, &got->base, &frame);
	codec_free(&arena);

	/* A client copies the token without asking for its length. */
	for (size_t len = 0; len <= LINK_TOKEN_SIZE + 1; len++) {
		uint8_t longer[LINK_TOKEN_SIZE + 1] = {0};

		welcome.link_token.data = longer;
		welcome.link_token.len = len;
		frame = packed(FRAME_WELCOME, &welcome.base);
		cr_assert_eq(decode_welcome(&arena, &frame) != NULL, len == LINK_TOKEN_SIZE, "a token of %zu bytes", len);
		codec_free(&arena);
	}
	/* A refusal has none. */
	welcome.status = SPLITSOCK__STATUS__STATUS_UNSUPPORTED;
	welcome.link_token.len = 0;
	frame = packed(FRAME_WELCOME, &welcome.base);
	cr_assert_not_null(decode_welcome(&arena, &frame));
	codec_free(&arena);
}

static Splitsock__Open an_open = SPLITSOCK__OPEN__INIT;
static Splitsock__Bind a_bind = SPLITSOCK__BIND__INIT;
static Splitsock__Connect a_connect = SPLITSOCK__CONNECT__INIT;
static Splitsock__Listen a_listen = SPLITSOCK__LISTEN__INIT;
static Splitsock__SetOption a_set = SPLITSOCK__SET_OPTION__INIT;
static Splitsock__GetOption a_get = SPLITSOCK__GET_OPTION__INIT;
static Splitsock__Shutdown a_shutdown = SPLITSOCK__SHUTDOWN__INIT;
static Splitsock__Query a_query = SPLITSOCK__QUERY__INIT;
static Splitsock__Send a_send = SPLITSOCK__SEND__INIT;
static Splitsock__Release a_release = SPLITSOCK__RELEASE__INIT;
static Splitsock__InterfaceIoctl an_ioctl = SPLITSOCK__INTERFACE_IOCTL__INIT;

/* Fills in the member of the oneof by its descriptor, so that an operation added later is tested, too. Returns its number. */
static int
an_op(Splitsock__Op *op, unsigned which, bool full)
{
	const ProtobufCFieldDescriptor *field = &splitsock__op__descriptor.fields[which];
	ProtobufCMessage *message = NULL;
	static uint8_t empty[32][256];

	splitsock__op__init(op);
	if (full) {
		switch (field->id) {
		case SPLITSOCK__OP__OP_OPEN:
			an_open.family = 1, an_open.type = 2, an_open.protocol = UINT32_MAX;
			message = &an_open.base;
			break;
		case SPLITSOCK__OP__OP_BIND:
			a_bind.address = &an_address;
			message = &a_bind.base;
			break;
		case SPLITSOCK__OP__OP_CONNECT:
			a_connect.address = &an_address, a_connect.wait = true;
			message = &a_connect.base;
			break;
		case SPLITSOCK__OP__OP_LISTEN:
			a_listen.backlog = INT32_MIN;
			message = &a_listen.base;
			break;
		case SPLITSOCK__OP__OP_SET_OPTION:
			a_set.option = 9, a_set.value.data = ip, a_set.value.len = 4;
			message = &a_set.base;
			break;
		case SPLITSOCK__OP__OP_GET_OPTION:
			a_get.option = 9, a_get.length = 4096;
			message = &a_get.base;
			break;
		case SPLITSOCK__OP__OP_SHUTDOWN:
			a_shutdown.how = 3;
			message = &a_shutdown.base;
			break;
		case SPLITSOCK__OP__OP_QUERY:
			message = &a_query.base;
			break;
		case SPLITSOCK__OP__OP_SEND:
			a_send.to = &an_address, a_send.flags = 4, a_send.payload.data = ip, a_send.payload.len = sizeof ip;
			message = &a_send.base;
			break;
		case SPLITSOCK__OP__OP_RELEASE:
			message = &a_release.base;
			break;
		case SPLITSOCK__OP__OP_INTERFACE_IOCTL:
			an_ioctl.request = 0x8912, an_ioctl.ifreq.data = ip, an_ioctl.ifreq.len = sizeof ip;
			message = &an_ioctl.base;
			break;
		default:
			break;
		}
	}
	if (!message) {
		const ProtobufCMessageDescriptor *descriptor = field->descriptor;

		cr_assert_lt(which, 32);
		cr_assert_leq(descriptor->sizeof_message, sizeof empty[which]);
		message = (ProtobufCMessage *)empty[which];
		protobuf_c_message_init(descriptor, message);
	}
	op->op_case = (int)field->id;
	memcpy((char *)op + field->offset, &message, sizeof message);
	return (int)field->id;
}

Test(codec, requests_of_every_operation)
{
	for (unsigned which = 0; which < splitsock__op__descriptor.n_fields; which++)
		for (int full = 0; full < 2; full++) {
			Splitsock__Op op, *ops = &op;
			Splitsock__Request request = SPLITSOCK__REQUEST__INIT, *got;
			struct codec_arena arena = {0};
			struct frame frame;
			int number = an_op(&op, which, full);

			request.handle = UINT64_MAX;
			request.ops = &ops;
			request.n_ops = 1;
			request.no_reply = full;
			frame = packed(FRAME_REQUEST, &request.base);
			got = decode_request(&arena, &frame);
			cr_assert_not_null(got);
			cr_assert_eq(got->handle, UINT64_MAX);
			cr_assert_eq(got->n_ops, 1);
			cr_assert_eq((int)got->ops[0]->op_case, number);
			cr_assert_eq(got->no_reply, full);
			check_same(FRAME_REQUEST, &got->base, &frame);
			codec_free(&arena);
		}
}

Test(codec, addresses_in_requests)
{
	Splitsock__Op op, *ops = &op;
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT, *got;
	struct codec_arena arena = {0};
	struct frame frame;
	const Splitsock__Address *to;

	an_op(&op, SPLITSOCK__OP__OP_SEND - 1, true);
	cr_assert_eq(op.op_case, SPLITSOCK__OP__OP_SEND);
	request.ops = &ops;
	request.n_ops = 1;
	frame = packed(FRAME_REQUEST, &request.base);
	got = decode_request(&arena, &frame);
	cr_assert_not_null(got);
	to = got->ops[0]->send->to;
	cr_assert_eq(to->family, an_address.family);
	cr_assert_arr_eq(to->ip.data, ip, 16);
	cr_assert_eq(to->port, 65535);
	cr_assert_eq(to->flow_info, 0xfffff);
	cr_assert_eq(to->scope_id, UINT32_MAX);
	cr_assert_eq(to->netlink_pid, 7);
	cr_assert_eq(to->netlink_groups, 0x80000001);
	codec_free(&arena);
}

Test(codec, replies)
{
	Splitsock__Result full = SPLITSOCK__RESULT__INIT, empty = SPLITSOCK__RESULT__INIT, *results[] = {&full, &empty};
	Splitsock__Reply reply = SPLITSOCK__REPLY__INIT, *got;
	struct codec_arena arena = {0};
	struct frame frame;

	full.status = SPLITSOCK__STATUS__STATUS_HOST_ERRNO;
	full.error = 23;
	full.local = full.peer = &an_address;
	full.value.data = ip;
	full.value.len = sizeof ip;
	full.count = 65535;
	reply.results = results;
	reply.n_results = 2;
	frame = packed(FRAME_REPLY, &reply.base);
	got = decode_reply(&arena, &frame);
	cr_assert_not_null(got);
	cr_assert_eq(got->n_results, 2);
	cr_assert_eq(got->results[0]->status, SPLITSOCK__STATUS__STATUS_HOST_ERRNO);
	cr_assert_eq(got->results[0]->error, 23);
	cr_assert_eq(got->results[0]->count, 65535);
	cr_assert_eq(got->results[0]->value.len, sizeof ip);
	cr_assert_eq(got->results[1]->status, SPLITSOCK__STATUS__STATUS_OK);
	cr_assert_null(got->results[1]->local);
	check_same(FRAME_REPLY, &got->base, &frame);
	codec_free(&arena);
}

Test(codec, events)
{
	Splitsock__Event event = SPLITSOCK__EVENT__INIT, *got;
	struct codec_arena arena = {0};
	struct frame frame;

	event.closed = UINT64_C(1) << 63;
	event.error = 5;
	frame = packed(FRAME_EVENT, &event.base);
	got = decode_event(&arena, &frame);
	cr_assert_not_null(got);
	cr_assert_eq(got->closed, UINT64_C(1) << 63);
	cr_assert_eq(got->error, 5);
	cr_assert_eq(got->reset, 0);
	check_same(FRAME_EVENT, &got->base, &frame);
	codec_free(&arena);
}

Test(codec, a_cancel_has_no_body)
{
	struct frame frame = packed(FRAME_CANCEL, NULL);

	cr_assert_eq(frame.body_len, 0);
}

/* ---- limits -------------------------------------------------------------------------------------- */

static bool
batch_decodes(unsigned which, size_t count, bool full)
{
	static Splitsock__Op ops[CODEC_OPS_MAX + 2];
	Splitsock__Op *pointers[CODEC_OPS_MAX + 2];
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	struct codec_arena arena = {0};
	struct frame frame;
	bool good;

	for (size_t i = 0; i < count; i++) {
		an_op(&ops[i], which, full);
		pointers[i] = &ops[i];
	}
	request.handle = 1;
	request.ops = pointers;
	request.n_ops = count;
	frame = packed(FRAME_REQUEST, &request.base);
	good = decode_request(&arena, &frame) != NULL;
	codec_free(&arena);
	return good;
}

/* splitsock.proto: "1 to 64, and together not more memory than 16 times the frame". Open, eight options and one more are what a client sends. */
Test(codec, a_batch_has_one_to_64_operations_whichever_they_are)
{
	for (unsigned which = 0; which < splitsock__op__descriptor.n_fields; which++) {
		const char *name = splitsock__op__descriptor.fields[which].name;
		size_t count = 1;

		while (count <= CODEC_OPS_MAX && batch_decodes(which, count, true))
			count++;
		cr_expect_gt(count, 10, "%zu operations '%s', full, are refused", count, name);
		for (int full = 0; full < 2; full++) {
			cr_expect(batch_decodes(which, 1, full), "one operation '%s'", name);
			cr_expect_not(batch_decodes(which, 0, full));
			cr_expect_not(batch_decodes(which, CODEC_OPS_MAX + 1, full));
		}
	}
}

/* Whatever a request may ask, its answer must fit what a client takes. */
Test(codec, a_reply_of_64_results_is_taken)
{
	for (int full = 0; full < 2; full++) {
		Splitsock__Result result = SPLITSOCK__RESULT__INIT, *results[CODEC_OPS_MAX];
		Splitsock__Reply reply = SPLITSOCK__REPLY__INIT;
		struct codec_arena arena = {0};
		struct frame frame;

		if (full)
			result.local = result.peer = &an_address;
		bool good = true;

		for (size_t count = 1; good && count <= CODEC_OPS_MAX; count++) {
			for (size_t i = 0; i < count; i++)
				results[i] = &result;
			reply.results = results;
			reply.n_results = count;
			frame = packed(FRAME_REPLY, &reply.base);
			good = decode_reply(&arena, &frame) != NULL;
			cr_expect(good, "%zu results, %s, are refused", count, full ? "full" : "empty");
			codec_free(&arena);
		}
	}
}

Test(codec, a_reply_has_a_result)
{
	cr_assert_not(decodes((decode_fn)decode_reply, (const uint8_t *)"", 0));
}

Test(codec, the_largest_datagram_fits_a_frame)
{
	static uint8_t payload[FRAME_BODY_MAX];
	Splitsock__Op op, *ops = &op;
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT, *got;
	struct codec_arena arena = {0};
	struct frame frame;
	size_t len;

	an_op(&op, SPLITSOCK__OP__OP_SEND - 1, true);
	a_send.payload.data = payload;
	a_send.payload.len = 65535;
	request.handle = UINT64_MAX;
	request.ops = &ops;
	request.n_ops = 1;
	frame = packed(FRAME_REQUEST, &request.base);
	got = decode_request(&arena, &frame);
	cr_assert_not_null(got);
	cr_assert_eq(got->ops[0]->send->payload.len, 65535);
	codec_free(&arena);

	/* At the very limit, and one byte above. */
	a_send.payload.len = FRAME_BODY_MAX;
	a_send.payload.len -= protobuf_c_message_get_packed_size(&request.base) - FRAME_BODY_MAX;
	cr_assert_eq(protobuf_c_message_get_packed_size(&request.base), FRAME_BODY_MAX);
	frame = packed(FRAME_REQUEST, &request.base);
	cr_assert_not_null(decode_request(&arena, &frame));
	codec_free(&arena);
	a_send.payload.len++;
	errno = 0;
	cr_assert_null(encode_frame(FRAME_REQUEST, 1, &request.base, &len));
	cr_assert_eq(errno, EMSGSIZE);
}

/* ---- amplification ------------------------------------------------------------------------------- */

/*
 * Repeats a pattern up to a whole frame. Whatever it is, no more than the cap is used; patterns whose structs need more
 * than the cap are refused.
 */
static void
amplify(const char *what, const uint8_t *pattern, size_t pattern_len, unsigned decoder, bool refused)
{
	static uint8_t body[FRAME_BODY_MAX];
	size_t len = 0;

	while (len + pattern_len <= sizeof body) {
		memcpy(body + len, pattern, pattern_len);
		len += pattern_len;
	}
	for (unsigned i = 0; i < DECODERS; i++)
		for (size_t part = 1; part <= 64; part *= 2) {
			size_t cut = len / part / pattern_len * pattern_len;
			bool good = decodes(decoders[i].decode, body, cut);

			if (refused && i == decoder && part <= 4)
				cr_expect_not(good, "%s: %zu bytes are taken", what, cut);
		}
}

enum { HELLO, WELCOME, REQUEST, REPLY, EVENT, ADMIN_REQUEST };

#define AMPLIFY(what, decoder, refused, ...) \
	amplify(what, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), decoder, refused)

Test(codec, unknown_fields_do_not_amplify)
{
	AMPLIFY("unknown varints", HELLO, true, 0x78, 0x00);                /* field 15 */
	AMPLIFY("unknown varints", EVENT, true, 0x78, 0x00);
	AMPLIFY("unknown varints", REQUEST, true, 0x78, 0x00);
	AMPLIFY("unknown empty strings", REPLY, true, 0x7a, 0x00);
	AMPLIFY("unknown empty strings", WELCOME, true, 0x7a, 0x00);
	AMPLIFY("unknown fixed32", EVENT, false, 0x7d, 0, 0, 0, 0);
	AMPLIFY("unknown fixed64", EVENT, false, 0x79, 0, 0, 0, 0, 0, 0, 0, 0);
	AMPLIFY("unknown with a large number", EVENT, false, 0xf8, 0xff, 0xff, 0xff, 0x0f, 0x00);
}

/* The sentry side asks sends_fit() before it makes a batch longer: what it then sends, a gofer can unpack, whatever goes in front. */
Test(codec, sends_that_fit_are_unpacked)
{
	for (unsigned kind = 0; kind < 16; kind++) {
		Splitsock__Address to = SPLITSOCK__ADDRESS__INIT;
		Splitsock__Send send = SPLITSOCK__SEND__INIT;
		Splitsock__Op op = SPLITSOCK__OP__INIT, *ops[CODEC_OPS_MAX];
		Splitsock__Open open = SPLITSOCK__OPEN__INIT;
		Splitsock__Op first = SPLITSOCK__OP__INIT;
		size_t count;

		to.family = kind & 1 ? wire_family(AF_INET) : wire_family(AF_NETLINK);
		to.ip = (ProtobufCBinaryData){kind & 1 ? 4 : 0, ip};
		send.to = kind & 2 ? &to : NULL;
		send.payload = (ProtobufCBinaryData){kind & 4 ? 1 : 0, ip};
		op.op_case = SPLITSOCK__OP__OP_SEND;
		op.send = &send;
		first.op_case = SPLITSOCK__OP__OP_OPEN;
		first.open = &open;
		open.family = wire_family(AF_INET);
		open.type = wire_socket_type(SOCK_DGRAM);
		for (count = 1; count < 54 && sends_fit(count + 1, (ssize_t)(count + 1) * send_spare(&send)); count++)
			;
		for (size_t before = 0; before <= 9; before++) {
			Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
			struct codec_arena arena = {0};
			struct frame frame;

			for (size_t i = 0; i < before + count; i++)
				ops[i] = i < before ? &first : &op;
			request.handle = 1;
			request.ops = ops;
			request.n_ops = before + count;
			frame = packed(FRAME_REQUEST, &request.base);
			cr_expect_not_null(decode_request(&arena, &frame), "kind %u: %zu sends behind %zu", kind, count, before);
			codec_free(&arena);
		}
	}
}

Test(codec, empty_repeated_messages_do_not_amplify)
{
	AMPLIFY("empty operations", REQUEST, true, 0x12, 0x00);
	AMPLIFY("empty results", REPLY, true, 0x0a, 0x00);
	AMPLIFY("operations with an empty open", REQUEST, true, 0x12, 0x02, 0x0a, 0x00);
	AMPLIFY("operations with an empty query", REQUEST, true, 0x12, 0x02, 0x42, 0x00);
	AMPLIFY("results with empty addresses", REPLY, true, 0x0a, 0x04, 0x1a, 0x00, 0x22, 0x00);
	AMPLIFY("operations with an unknown field", REQUEST, true, 0x12, 0x02, 0x78, 0x00);
}

Test(codec, a_member_that_comes_again_and_again_does_not_amplify)
{
	AMPLIFY("handles", REQUEST, false, 0x08, 0x01);
	AMPLIFY("events", EVENT, false, 0x08, 0x01);
	AMPLIFY("software", HELLO, false, 0x1a, 0x01, 'x');
	AMPLIFY("tokens", WELCOME, false, 0x2a, 0x01, 'x');
	/* One operation whose oneof is set over and over: the last counts, the ones before are freed, which an arena cannot. */
	{
		static uint8_t body[FRAME_BODY_MAX];
		size_t inner = 0, len;

		for (; inner + 2 <= FRAME_BODY_MAX - 8; inner += 2)
			memcpy(body + 4 + inner, "\x42\x00", 2);
		body[0] = 0x12; /* ops, length as a varint of 3 bytes */
		body[1] = (uint8_t)(0x80 | (inner & 0x7f));
		body[2] = (uint8_t)(0x80 | (inner >> 7 & 0x7f));
		body[3] = (uint8_t)(inner >> 14);
		len = inner + 4;
		decodes((decode_fn)decode_request, body, len);
	}
}

/* ---- bytes that are no message ------------------------------------------------------------------- */

static uint64_t random_state = 11;

static uint32_t
random_below(uint32_t bound)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % bound;
}

Test(codec, truncated_messages_are_refused)
{
	Splitsock__Op op, *ops = &op;
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	struct frame frame;
	uint8_t copy[512];

	an_op(&op, SPLITSOCK__OP__OP_CONNECT - 1, true);
	request.ops = &ops;
	request.n_ops = 1;
	frame = packed(FRAME_REQUEST, &request.base);
	cr_assert_lt(frame.body_len, sizeof copy);
	memcpy(copy, frame.body, frame.body_len);
	for (size_t len = 0; len < frame.body_len; len++)
		cr_assert_not(decodes((decode_fn)decode_request, copy, len), "the first %zu bytes", len);
	cr_assert(decodes((decode_fn)decode_request, copy, frame.body_len));
}

Test(codec, random_bytes)
{
	for (int round = 0; round < 100000; round++) {
		uint8_t body[64];
		size_t len = random_below(sizeof body);

		for (size_t i = 0; i < len; i++)
			body[i] = (uint8_t)(random_below(3) ? random_below(128) : random_below(256));
		decodes(decoders[round % DECODERS].decode, body, len);
	}
}

Test(codec, messages_with_a_few_bytes_changed)
{
	static Splitsock__Op ops[4];
	Splitsock__Op *pointers[4];
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	struct frame frame;
	uint8_t body[1024];

	for (int round = 0; round < 40000; round++) {
		size_t len;

		for (int i = 0; i < 4; i++) {
			an_op(&ops[i], random_below(splitsock__op__descriptor.n_fields), true);
			pointers[i] = &ops[i];
		}
		request.handle = 3;
		request.ops = pointers;
		request.n_ops = 4;
		frame = packed(FRAME_REQUEST, &request.base);
		len = frame.body_len;
		cr_assert_leq(len, sizeof body);
		memcpy(body, frame.body, len);
		for (unsigned i = 0; i <= random_below(4); i++)
			body[random_below((uint32_t)len)] = (uint8_t)random_below(256);
		decodes((decode_fn)decode_request, body, len - random_below(3));
	}
}

Test(codec, an_arena_may_be_used_again)
{
	Splitsock__Hello hello = SPLITSOCK__HELLO__INIT;
	struct codec_arena arena = {0};
	struct frame frame = packed(FRAME_HELLO, &hello.base);

	for (int i = 0; i < 3; i++)
		cr_assert_not_null(decode_hello(&arena, &frame)); /* without a free between: it must not leak */
	codec_free(&arena);
	codec_free(&arena);
	cr_assert_eq(arena.size, 0);
	cr_assert_eq(arena.used, 0);
}

/* ---- addresses ----------------------------------------------------------------------------------- */

static void
check_address(const struct sockaddr *host, socklen_t len, size_t ip_len)
{
	struct wire_address out, back;
	struct sockaddr_storage again = {0};
	socklen_t again_len;
	Splitsock__Address message;

	cr_assert_eq(wire_address_from_host(&out, host, len), 0);
	address_to_message(&message, &out);
	cr_assert_eq(message.ip.len, ip_len);
	cr_assert_eq(address_from_message(&back, &message), 0);
	cr_assert_eq(memcmp(&out, &back, sizeof out), 0);
	cr_assert_eq(wire_address_to_host(&back, &again, &again_len), 0);
	cr_assert_eq(again_len, len);
	cr_assert_arr_eq(&again, host, len);
}

Test(codec, addresses_of_every_family)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(65535), .sin_addr = {htonl(0x7f010203)}};
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(1), .sin6_flowinfo = htonl(0xabcde), .sin6_scope_id = 77};
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_pid = UINT32_MAX, .nl_groups = 0x80000000};

	memcpy(&in6.sin6_addr, ip, sizeof ip);
	check_address((struct sockaddr *)&in, sizeof in, 4);
	check_address((struct sockaddr *)&in6, sizeof in6, 16);
	check_address((struct sockaddr *)&nl, sizeof nl, 0);
}

Test(codec, addresses_that_are_none)
{
	Splitsock__Address message = SPLITSOCK__ADDRESS__INIT;
	struct wire_address address;
	uint8_t bytes[17] = {0};

	cr_assert_eq(address_from_message(&address, NULL), -EINVAL);
	message.family = wire_family(AF_INET6);
	message.ip.data = bytes;
	message.ip.len = 17;
	cr_assert_eq(address_from_message(&address, &message), -EINVAL);
	message.ip.len = 16;
	cr_assert_eq(address_from_message(&address, &message), 0);
	message.port = 65535;
	cr_assert_eq(address_from_message(&address, &message), 0);
	message.port = 65536;
	cr_assert_eq(address_from_message(&address, &message), -EINVAL);
	message.port = UINT32_MAX;
	cr_assert_eq(address_from_message(&address, &message), -EINVAL);
}

/* splitsock.proto: "4 or 16 bytes in network order". An address of 3 bytes must not be filled up with zeros. */
Test(codec, an_address_has_the_length_of_its_family)
{
	Splitsock__Address message = SPLITSOCK__ADDRESS__INIT;
	struct wire_address address;

	message.ip.data = ip;
	for (size_t len = 0; len <= 16; len++) {
		message.ip.len = len;
		message.family = wire_family(AF_INET);
		cr_assert_eq(address_from_message(&address, &message) == 0, len == 4, "IPv4 with %zu bytes", len);
		message.family = wire_family(AF_INET6);
		cr_assert_eq(address_from_message(&address, &message) == 0, len == 16, "IPv6 with %zu bytes", len);
		message.family = wire_family(AF_NETLINK);
		cr_assert_eq(address_from_message(&address, &message) == 0, len == 0, "netlink with %zu bytes", len);
	}
}
