/*
 * Every message, from bytes to what the handlers see: proto/codec.c, and what is read out of a message (addresses, control messages,
 * counters). The first byte of the input says which message, the rest is its body.
 */
#include "tests/fuzz/fuzz.h"

#include "proto/control.h"

struct message {
	void *(*decode)(struct codec_arena *, const struct frame *);
	enum frame_kind kind;
	bool to_gofer; /* its memory is bounded by its bytes alone */
};

#define DECODER(name) \
	static void * \
	message_##name(struct codec_arena *arena, const struct frame *frame) \
	{ \
		return decode_##name(arena, frame); \
	}
DECODER(hello)
DECODER(welcome)
DECODER(request)
DECODER(reply)
DECODER(event)
DECODER(admin_request)
DECODER(admin_reply)

static const struct message messages[] = {
	{message_hello, FRAME_HELLO, true},
	{message_welcome, FRAME_WELCOME, false},
	{message_request, FRAME_REQUEST, true},
	{message_reply, FRAME_REPLY, false},
	{message_event, FRAME_EVENT, false},
	{message_admin_request, FRAME_REQUEST, true},
	{message_admin_reply, FRAME_REPLY, false},
};

static void
check_address(const Splitsock__Address *message)
{
	struct wire_address address, again;
	Splitsock__Address back;
	struct sockaddr_storage host;
	socklen_t len = 0;

	if (address_from_message(&address, message) != 0)
		return;
	address_to_message(&back, &address);
	FUZZ_CHECK(address_from_message(&again, &back) == 0);
	FUZZ_CHECK(memcmp(&address, &again, sizeof address) == 0);
	if (wire_address_to_host(&address, &host, &len) == 0)
		FUZZ_CHECK(len <= sizeof host);
}

static void
check_control(Splitsock__Control *const *list, size_t count)
{
	_Alignas(struct cmsghdr) char exact[CONTROL_BYTES_MAX];
	struct control_list back = {0};
	ssize_t len = count > CONTROL_MESSAGES_MAX ? -1 : control_to_host(list, count, exact, sizeof exact);

	if (len >= 0)
		control_list_add_all(&back, exact, (size_t)len);
}

static void
check_request(const Splitsock__Request *request)
{
	FUZZ_CHECK(request->n_ops >= 1 && request->n_ops <= CODEC_OPS_MAX);
	for (size_t i = 0; i < request->n_ops; i++) {
		const Splitsock__Op *op = request->ops[i];

		if (op->op_case == SPLITSOCK__OP__OP_BIND)
			check_address(op->bind->address);
		if (op->op_case == SPLITSOCK__OP__OP_CONNECT)
			check_address(op->connect->address);
		if (op->op_case == SPLITSOCK__OP__OP_SEND) {
			check_address(op->send->to);
			check_control(op->send->control, op->send->n_control);
		}
	}
}

static void
check_reply(const Splitsock__Reply *reply)
{
	FUZZ_CHECK(reply->n_results >= 1);
	for (size_t i = 0; i < reply->n_results; i++) {
		uint64_t values[COUNTER_COUNT];

		check_address(reply->results[i]->local);
		check_address(reply->results[i]->peer);
		check_control(reply->results[i]->control, reply->results[i]->n_control);
		counters_from_message(values, reply->results[i]->counters);
	}
}

static void
check_admin_reply(const Splitsock__AdminReply *reply)
{
	uint64_t values[COUNTER_COUNT];

	counters_from_message(values, reply->counters);
	for (size_t i = 0; i < reply->n_sessions; i++)
		counters_from_message(values, reply->sessions[i]->counters);
	for (size_t i = 0; i < reply->n_sockets; i++)
		check_address(reply->sockets[i]->local);
}

/* What was understood can be said again; and who understands that understands the same. */
static void
check_again(const struct message *message, const ProtobufCMessage *decoded)
{
	size_t len, need;
	uint8_t *packet = encode_frame(message->kind, 7, decoded, &len);
	struct codec_arena arena = {0};
	ProtobufCMessage *again;
	struct frame frame;

	if (!packet)
		return; /* too long: a negative enum takes more bytes than it may have come in */
	FUZZ_CHECK(len == FRAME_HEADER_SIZE + encoded_size(decoded));
	FUZZ_CHECK(frame_parse(&frame, packet, len, &need) == (ssize_t)len && frame.kind == message->kind && frame.id == 7);
	again = message->decode(&arena, &frame);
	if (again)
		FUZZ_CHECK(encoded_size(again) == frame.body_len);
	codec_free(&arena);
	free(packet);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input input = {data, len};
	const struct message *message = &messages[input_byte(&input) % (sizeof messages / sizeof *messages)];
	struct frame frame = {.kind = message->kind};
	uint8_t *body = input_copy(&input, FRAME_BODY_MAX, &frame.body_len);
	struct codec_arena arena = {0};
	void *decoded;

	frame.body = body;
	decoded = message->decode(&arena, &frame);
	FUZZ_CHECK(arena.used <= arena.size);
	FUZZ_CHECK(arena.size <= (message->to_gofer ? 0 : CODEC_REPLY_BASE) + CODEC_AMPLIFICATION_MAX * (FRAME_HEADER_SIZE + frame.body_len));
	if (decoded) {
		if (message->decode == message_request)
			check_request(decoded);
		if (message->decode == message_reply)
			check_reply(decoded);
		if (message->decode == message_admin_reply)
			check_admin_reply(decoded);
		check_again(message, decoded);
	}
	codec_free(&arena);
	free(body);
	return 0;
}
