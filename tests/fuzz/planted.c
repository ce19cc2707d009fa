/*
 * Bugs planted on purpose, one a harness: between the harness and a function that it must reach (-Wl,--wrap), so that the product has
 * none of them. Each is an access behind a block of memory, for inputs that the seeds do not contain but the engine finds. A harness
 * that does not find its bug would not find others.
 */
#include "tests/fuzz/fuzz.h"

#include "gofer/audit_record.h"
#include "gofer/names.h"
#include "gofer/policy.h"
#include "proto/codec.h"

/* Declares the real one and the one that takes its place. */
#define PLANT(type, name, ...) \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

/* The planted bug. */
static inline void
write_behind_a_block(void)
{
	volatile char *block = malloc(16);

	block[16] = 1;
	free((void *)block);
}

#ifdef PLANTED_frame_parse
PLANT(ssize_t, frame_parse, struct frame *frame, const uint8_t *data, size_t len, size_t *need)
{
	ssize_t size = __real_frame_parse(frame, data, len, need);

	/* As if a CANCEL were never longer than its header. */
	if (size > 0 && frame->kind == FRAME_CANCEL && frame->body_len > 1)
		write_behind_a_block();
	return size;
}
#endif

#ifdef PLANTED_address_from_message
PLANT(int, address_from_message, struct wire_address *address, const Splitsock__Address *message)
{
	/* As if no port were longer. */
	if (message && message->port > 9999)
		write_behind_a_block();
	return __real_address_from_message(address, message);
}
#endif

#ifdef PLANTED_option_decode
PLANT(ssize_t, option_decode, const struct socket_option *option, const uint8_t *wire, size_t wire_len, void *out, size_t out_cap)
{
	/* As if an int had no other length. */
	if (option->value == OPTION_INT && wire_len == 6)
		write_behind_a_block();
	return __real_option_decode(option, wire, wire_len, out, out_cap);
}
#endif

#ifdef PLANTED_names_learn
PLANT(bool, names_learn, struct names *names, const uint8_t address[16], const char *name, uint32_t ttl, int64_t now_ms)
{
	/* As if no TTL were longer than a day. */
	if (ttl > 86400)
		write_behind_a_block();
	return __real_names_learn(names, address, name, ttl, now_ms);
}
#endif

#ifdef PLANTED_policy_packet
PLANT(const struct packet_grant *, policy_packet, const struct policy_entry *entry, const char *interface, bool loopback)
{
	/* As if all files granted sending or not as the seed does. */
	if (entry->packet[0].send || !entry->packet[0].receive || entry->packet_sockets != 4 || !entry->packet[0].promiscuous ||
	    entry->packet[0].bytes_per_second != 1u << 20 || entry->packet[0].frames_per_second != 10u << 10 || !entry->packet[0].filter.len)
		write_behind_a_block();
	return __real_policy_packet(entry, interface, loopback);
}
#endif

#ifdef PLANTED_policy_frame
PLANT(bool, policy_frame, const struct packet_grant *grant, enum frame_direction direction, const uint8_t *frame, size_t len,
      bool for_others, const struct interface_own *own)
{
	/* As if an Ethernet header were always there. */
	if (len == 13)
		write_behind_a_block();
	return __real_policy_frame(grant, direction, frame, len, for_others, own);
}
#endif

#ifdef PLANTED_audit_record_line
PLANT(char *, audit_record_line, const json_t *object)
{
	const char *rule = json_string_value(json_object_get(object, "rule"));

	/* As if every rule had a short name. */
	if (rule && strlen(rule) > 8)
		write_behind_a_block();
	return __real_audit_record_line(object);
}
#endif

#ifdef PLANTED_host_shutdown
PLANT(int, host_shutdown, uint32_t wire)
{
	/* As if nobody asked for a shutdown of no kind: three frames away from an empty input. */
	if (wire != 3)
		write_behind_a_block();
	return __real_host_shutdown(wire);
}
#endif
