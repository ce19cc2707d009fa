#include "proto/codec.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* For all that a message consists of: numbers of at most 8 bytes and pointers. */
#define ARENA_ALIGN sizeof(uint64_t)
static_assert(alignof(ProtobufCMessage) <= ARENA_ALIGN && alignof(void *) <= ARENA_ALIGN, "nothing needs more");

static size_t
arena_aligned(size_t size)
{
	return (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
}

static void *
arena_alloc(void *data, size_t size)
{
	struct codec_arena *arena = data;
	size_t aligned = arena_aligned(size);
	void *p;

	if (aligned < size || aligned > arena->size - arena->used)
		return NULL;
	p = arena->base + arena->used;
	arena->used += aligned;
	return p;
}

static void
arena_release(void *data, void *p)
{
	(void)data;
	(void)p;
}

void
codec_free(struct codec_arena *arena)
{
	free(arena->base);
	*arena = (struct codec_arena){0};
}

static void *
decode(struct codec_arena *arena, const ProtobufCMessageDescriptor *descriptor, const struct frame *frame, size_t base)
{
	ProtobufCAllocator allocator = {.alloc = arena_alloc, .free = arena_release, .allocator_data = arena};

	codec_free(arena);
	arena->size = base + CODEC_AMPLIFICATION_MAX * (FRAME_HEADER_SIZE + frame->body_len);
	arena->base = malloc(arena->size);
	if (!arena->base)
		return NULL;
	return protobuf_c_message_unpack(descriptor, &allocator, frame->body_len, frame->body);
}

/* protobuf-c notes a message's members as it meets them: the first 16 on its stack, then in blocks of 32 and 64 notes. */
#define MEMBER_NOTE_SIZE 32u

static size_t
notes_size(size_t members)
{
	return MEMBER_NOTE_SIZE * (members > 48 ? 96u : members > 16 ? 32u : 0u);
}

ssize_t
send_spare(const Splitsock__Send *send)
{
	Splitsock__Op op = SPLITSOCK__OP__INIT;
	size_t memory = sizeof(void *) + arena_aligned(sizeof op) + arena_aligned(sizeof *send) + arena_aligned(send->payload.len) +
	                notes_size(send->n_control + 3);

	if (send->to)
		memory += arena_aligned(sizeof *send->to) + arena_aligned(send->to->ip.len);
	for (size_t i = 0; i < send->n_control; i++)
		memory += sizeof(void *) + arena_aligned(sizeof *send->control[i]) + arena_aligned(send->control[i]->data.len);
	op.op_case = SPLITSOCK__OP__OP_SEND;
	op.send = (Splitsock__Send *)send;
	/* Its own tag and length take 2 bytes at least. */
	return (ssize_t)(CODEC_AMPLIFICATION_MAX * (2 + encoded_size(&op.base))) - (ssize_t)memory;
}

bool
sends_fit(size_t count, ssize_t spare)
{
	const ssize_t request = CODEC_AMPLIFICATION_MAX * FRAME_HEADER_SIZE - sizeof(Splitsock__Request);

	/* What goes in front, Open and options, has this to spare at least, each; but each is a member, too. */
	for (size_t before = 0; before <= CODEC_OPS_MAX - count; before++)
		if (request + spare + 64 * (ssize_t)before < (ssize_t)notes_size(2 + before + count))
			return false;
	return true;
}

Splitsock__Hello *
decode_hello(struct codec_arena *arena, const struct frame *frame)
{
	return decode(arena, &splitsock__hello__descriptor, frame, 0);
}

Splitsock__Welcome *
decode_welcome(struct codec_arena *arena, const struct frame *frame)
{
	Splitsock__Welcome *welcome = decode(arena, &splitsock__welcome__descriptor, frame, CODEC_REPLY_BASE);

	if (welcome && welcome->status == SPLITSOCK__STATUS__STATUS_OK && welcome->link_token.len != LINK_TOKEN_SIZE)
		return NULL;
	return welcome;
}

Splitsock__Request *
decode_request(struct codec_arena *arena, const struct frame *frame)
{
	Splitsock__Request *request = decode(arena, &splitsock__request__descriptor, frame, 0);

	if (request && (request->n_ops == 0 || request->n_ops > CODEC_OPS_MAX))
		return NULL;
	return request;
}

Splitsock__Reply *
decode_reply(struct codec_arena *arena, const struct frame *frame)
{
	Splitsock__Reply *reply = decode(arena, &splitsock__reply__descriptor, frame, CODEC_REPLY_BASE);

	if (reply && reply->n_results == 0)
		return NULL;
	return reply;
}

Splitsock__Event *
decode_event(struct codec_arena *arena, const struct frame *frame)
{
	return decode(arena, &splitsock__event__descriptor, frame, CODEC_REPLY_BASE);
}

Splitsock__AdminRequest *
decode_admin_request(struct codec_arena *arena, const struct frame *frame)
{
	return decode(arena, &splitsock__admin_request__descriptor, frame, 0);
}

Splitsock__AdminReply *
decode_admin_reply(struct codec_arena *arena, const struct frame *frame)
{
	return decode(arena, &splitsock__admin_reply__descriptor, frame, CODEC_REPLY_BASE);
}

size_t
encoded_size(const ProtobufCMessage *message)
{
	return protobuf_c_message_get_packed_size(message);
}

uint8_t *
encode_frame(enum frame_kind kind, uint32_t id, const ProtobufCMessage *message, size_t *len)
{
	size_t body_len = message ? protobuf_c_message_get_packed_size(message) : 0;
	uint8_t *buffer;

	if (body_len > FRAME_BODY_MAX) {
		errno = EMSGSIZE;
		return NULL;
	}
	buffer = malloc(FRAME_HEADER_SIZE + body_len);
	if (!buffer)
		return NULL;
	frame_header_write(buffer, kind, id, body_len);
	if (message)
		protobuf_c_message_pack(message, buffer + FRAME_HEADER_SIZE);
	*len = FRAME_HEADER_SIZE + body_len;
	return buffer;
}

void
counters_to_message(Splitsock__Counters *out, Splitsock__Counter *messages, Splitsock__Counter **pointers, size_t first,
                    size_t count, const uint64_t *values)
{
	out->counters = pointers;
	for (size_t i = 0; i < count; i++) {
		Splitsock__Counter *message = &messages[out->n_counters];

		if (!values[i])
			continue;
		splitsock__counter__init(message);
		message->number = counters[first + i].number;
		message->value = values[i];
		pointers[out->n_counters++] = message;
	}
}

void
counters_from_message(uint64_t *values, const Splitsock__Counters *message)
{
	memset(values, 0, COUNTER_COUNT * sizeof *values);
	for (size_t i = 0; message && i < message->n_counters; i++) {
		int id = counter_by_number(message->counters[i]->number);

		if (id >= 0)
			values[id] = message->counters[i]->value;
	}
}

static size_t
ip_size(uint32_t family)
{
	switch (host_family(family)) {
	case AF_INET:
		return 4;
	case AF_INET6:
		return 16;
	default:
		return 0;
	}
}

int
address_from_message(struct wire_address *address, const Splitsock__Address *message)
{
	*address = (struct wire_address){0};
	if (!message || message->ip.len != ip_size(message->family) || message->port > 65535)
		return -EINVAL;
	address->family = message->family;
	if (message->ip.len)
		memcpy(address->ip, message->ip.data, message->ip.len);
	address->port = message->port;
	address->flow_info = message->flow_info;
	address->scope_id = message->scope_id;
	address->netlink_pid = message->netlink_pid;
	address->netlink_groups = message->netlink_groups;
	return 0;
}

void
address_to_message(Splitsock__Address *message, struct wire_address *address)
{
	splitsock__address__init(message);
	message->family = address->family;
	message->ip.data = address->ip;
	message->ip.len = ip_size(address->family);
	message->port = address->port;
	message->flow_info = address->flow_info;
	message->scope_id = address->scope_id;
	message->netlink_pid = address->netlink_pid;
	message->netlink_groups = address->netlink_groups;
}
