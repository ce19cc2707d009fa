/*
 * The tables of proto/values.h. The values_kernel suite asks the running kernel, on fresh sockets that reach nothing and need
 * no rights, whether the tables tell the truth about it.
 */
#include "proto/values.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/netlink.h>

#include "proto/values.pb-c.h"

/* A generator with a fixed seed, so that a failure happens again. */
static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t
random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void
random_bytes(void *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)(random_number() >> 32);
}

/* ---- numbers --------------------------------------------------------------------------------------- */

/* FNV-1a over "NAME=number\n" of the enum's first `count` values. */
static uint64_t
fingerprint(const ProtobufCEnumDescriptor *descriptor, unsigned count)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (unsigned i = 0; i < count && i < descriptor->n_values; i++) {
		char line[128];

		snprintf(line, sizeof line, "%s=%d\n", descriptor->values[i].name, descriptor->values[i].value);
		for (const char *at = line; *at; at++)
			hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
	}
	return hash;
}

/* What version 1 says never changes. A new value goes to the end, and leaves these as they are. */
Test(values, wire_numbers_are_for_ever)
{
	static const struct {
		const ProtobufCEnumDescriptor *descriptor;
		unsigned count;
		uint64_t fingerprint;
	} version_1[] = {
		{&splitsock__errno__descriptor, 132, 0x5ca23e7abed95b93u},
		{&splitsock__family__descriptor, 7, 0x0e5f67cf8b354a7cu},
		{&splitsock__socket_type__descriptor, 8, 0x1d5163f1a32cd93du},
		{&splitsock__shutdown_how__descriptor, 4, 0xeeb7a9dfacf4c2cau},
		{&splitsock__message_flag__descriptor, 18, 0x6b2b67e429fcb769u},
		{&splitsock__option__descriptor, 219, 0x96b19ed831fc47f3u},
	};

	for (size_t i = 0; i < sizeof version_1 / sizeof version_1[0]; i++) {
		const ProtobufCEnumDescriptor *descriptor = version_1[i].descriptor;

		cr_expect_geq(descriptor->n_values, version_1[i].count, "%s lost values", descriptor->name);
		cr_expect_eq(fingerprint(descriptor, version_1[i].count), version_1[i].fingerprint, "%s: %u values, %#lx",
		             descriptor->name, descriptor->n_values, fingerprint(descriptor, version_1[i].count));
	}
}

Test(values, every_errno_of_the_host_has_a_wire_value_of_its_own)
{
	bool seen[134] = {false};

	for (int host = 1; host <= 133; host++) {
		uint32_t wire = wire_errno(host);

		if (host == 41 || host == 58) { /* Linux skips them */
			cr_expect_eq(wire, wire_errno(EIO), "%d", host);
			continue;
		}
		cr_assert(wire >= 1 && wire <= 131, "%d became %u", host, wire);
		cr_expect_not(seen[wire], "%d shares %u", host, wire);
		seen[wire] = true;
		cr_expect_eq(host_errno(wire), host);
	}
	cr_expect_eq(wire_errno(EWOULDBLOCK), SPLITSOCK__ERRNO__ERRNO_EAGAIN);
	cr_expect_eq(wire_errno(ENOTSUP), SPLITSOCK__ERRNO__ERRNO_EOPNOTSUPP);
	cr_expect_eq(wire_errno(ENOENT), SPLITSOCK__ERRNO__ERRNO_ENOENT);
	cr_expect_eq(host_errno(SPLITSOCK__ERRNO__ERRNO_ECONNREFUSED), ECONNREFUSED);
}

Test(values, an_unknown_errno_is_an_error_all_the_same)
{
	static const int hosts[] = {-1, -ENOENT, 134, 512, 4095, INT32_MAX, INT32_MIN};
	static const uint32_t wires[] = {132, 133, 255, 65536, INT32_MAX, 0x80000000u, UINT32_MAX};

	cr_expect_eq(wire_errno(0), 0);
	cr_expect_eq(host_errno(0), 0);
	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
		cr_expect_eq(wire_errno(hosts[i]), SPLITSOCK__ERRNO__ERRNO_EIO, "%d", hosts[i]);
	for (size_t i = 0; i < sizeof wires / sizeof wires[0]; i++)
		cr_expect_eq(host_errno(wires[i]), EIO, "%u", wires[i]);
}

/* Every value of the generated enum has one on the host, and back; `unknown` is what the host has for none. */
static void
expect_total(const ProtobufCEnumDescriptor *descriptor, uint32_t (*to_wire)(int), int (*to_host)(uint32_t), int unknown)
{
	for (unsigned i = 0; i < descriptor->n_values; i++) {
		uint32_t wire = (uint32_t)descriptor->values[i].value;
		int host = to_host(wire);

		if (wire == 0) {
			cr_expect_eq(host, unknown, "%s", descriptor->values[i].name);
			continue;
		}
		cr_expect_neq(host, unknown, "%s has no value on the host", descriptor->values[i].name);
		cr_expect_eq(to_wire(host), wire, "%s came back as %u", descriptor->values[i].name, to_wire(host));
	}
	/* And the other way: whatever the host's number is, what has a wire value comes back. */
	for (int host = -300; host <= 300; host++) {
		uint32_t wire = to_wire(host);

		if (wire != 0 && !(descriptor == &splitsock__errno__descriptor && wire == SPLITSOCK__ERRNO__ERRNO_EIO)) {
			cr_expect_eq(to_host(wire), host, "%s: %d", descriptor->name, host);
			cr_expect_not_null(protobuf_c_enum_descriptor_get_value(descriptor, (int)wire), "%s: %u", descriptor->name, wire);
		}
	}
}

Test(values, tables_are_total_in_both_directions)
{
	expect_total(&splitsock__errno__descriptor, wire_errno, host_errno, 0);
	expect_total(&splitsock__family__descriptor, wire_family, host_family, -1);
	expect_total(&splitsock__socket_type__descriptor, wire_socket_type, host_socket_type, -1);
	expect_total(&splitsock__shutdown_how__descriptor, wire_shutdown, host_shutdown, -1);
}

Test(values, the_right_ones_and_not_just_some)
{
	cr_expect_eq(wire_family(AF_INET), SPLITSOCK__FAMILY__FAMILY_INET);
	cr_expect_eq(wire_family(AF_INET6), SPLITSOCK__FAMILY__FAMILY_INET6);
	cr_expect_eq(wire_family(AF_UNSPEC), SPLITSOCK__FAMILY__FAMILY_UNSPEC);
	cr_expect_eq(wire_socket_type(SOCK_STREAM), SPLITSOCK__SOCKET_TYPE__SOCKET_TYPE_STREAM);
	cr_expect_eq(wire_socket_type(SOCK_DGRAM), SPLITSOCK__SOCKET_TYPE__SOCKET_TYPE_DGRAM);
	cr_expect_eq(wire_shutdown(SHUT_RD), SPLITSOCK__SHUTDOWN_HOW__SHUTDOWN_HOW_RD);
	cr_expect_eq(wire_shutdown(SHUT_WR), SPLITSOCK__SHUTDOWN_HOW__SHUTDOWN_HOW_WR);
	cr_expect_eq(wire_message_flags(MSG_PEEK, NULL), SPLITSOCK__MESSAGE_FLAG__MESSAGE_FLAG_PEEK);
	cr_expect_eq(wire_message_flags(MSG_TRUNC | MSG_DONTWAIT, NULL),
	             SPLITSOCK__MESSAGE_FLAG__MESSAGE_FLAG_TRUNC | SPLITSOCK__MESSAGE_FLAG__MESSAGE_FLAG_DONTWAIT);
}

Test(values, unknown_numbers_have_no_value)
{
	static const int hosts[] = {-1, 99, INT32_MAX, INT32_MIN};
	static const uint32_t wires[] = {0, 8, 99, INT32_MAX, 0x80000000u, UINT32_MAX};

	for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
		cr_expect_eq(wire_family(hosts[i]), 0);
		cr_expect_eq(wire_socket_type(hosts[i]), 0);
		cr_expect_eq(wire_shutdown(hosts[i]), 0);
	}
	cr_expect_eq(wire_socket_type(SOCK_STREAM | SOCK_NONBLOCK), 0);
	for (size_t i = 0; i < sizeof wires / sizeof wires[0]; i++) {
		cr_expect_eq(host_family(wires[i]), -1);
		cr_expect_eq(host_socket_type(wires[i]), -1);
		cr_expect_eq(host_shutdown(wires[i]), -1);
		cr_expect_null(option_by_wire(wires[i] == 8 || wires[i] == 99 ? 999 : wires[i]));
	}
}

Test(values, every_message_flag_bit)
{
	int known = 0;

	for (unsigned i = 0; i < splitsock__message_flag__descriptor.n_values; i++) {
		const ProtobufCEnumValue *value = &splitsock__message_flag__descriptor.values[i];
		uint32_t unknown;
		int host = host_message_flags((uint32_t)value->value, &unknown), rest;

		cr_expect_eq(unknown, 0, "%s", value->name);
		cr_expect_eq(__builtin_popcount((unsigned)host), value->value == 0 ? 0 : 1, "%s", value->name);
		cr_expect_eq(wire_message_flags(host, &rest), (uint32_t)value->value, "%s", value->name);
		cr_expect_eq(rest, 0);
		known |= host;
	}
	for (int bit = 0; bit < 32; bit++) {
		int host = (int)(1u << bit), rest;
		uint32_t wire = wire_message_flags(host, &rest), unknown;

		cr_expect_eq(wire != 0, (known & host) != 0, "bit %d", bit);
		cr_expect_eq(rest, known & host ? 0 : host, "bit %d", bit);
		wire = 1u << bit;
		host = host_message_flags(wire, &unknown);
		cr_expect_eq(unknown, bit < 18 ? 0 : wire, "bit %d", bit);
		cr_expect_eq(host != 0, bit < 18, "bit %d", bit);
	}
	for (int i = 0; i < 10000; i++) {
		int host = (int)random_number(), rest;
		uint32_t wire = wire_message_flags(host, &rest);

		cr_assert_eq(host_message_flags(wire, NULL) | rest, host);
		cr_assert_eq(host_message_flags(wire, NULL) & rest, 0);
	}
}

/* ---- options --------------------------------------------------------------------------------------- */

#define OPTION_COUNT (splitsock__option__descriptor.n_values - 1)

static const struct socket_option *
option_at(unsigned i)
{
	return option_by_wire((uint32_t)splitsock__option__descriptor.values[i + 1].value);
}

static bool
is_int(const struct socket_option *option)
{
	return option->value == OPTION_INT || option->value == OPTION_INT_EXACT || option->value == OPTION_INT_SHORT ||
	       option->value == OPTION_INT_EMPTY || option->value == OPTION_INT_LAX;
}

Test(values, every_option_is_found_by_both_its_names)
{
	cr_assert_geq(OPTION_COUNT, 200);
	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		const ProtobufCEnumValue *value = &splitsock__option__descriptor.values[i + 1];
		const struct socket_option *option = option_at(i);

		cr_assert_not_null(option, "%s", value->name);
		cr_expect_eq(option->wire, (uint32_t)value->value);
		cr_expect_str_eq(option->text, value->name + strlen("OPTION_"));
		cr_expect_eq(option_by_host(option->level, option->name), option, "%s", option->text);
		cr_expect(option->settable || option->gettable, "%s", option->text);
		cr_expect(!option->sure || (option->settable && option->place == OPTION_HOST && !option->privileged && is_int(option)),
		          "%s cannot be sure", option->text);
	}
	cr_expect_null(option_by_wire(OPTION_COUNT + 1));
}

Test(values, what_the_host_names_leads_to_the_wire_and_back)
{
	static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6, IPPROTO_ICMPV6, 255, 270};
	unsigned found = 0;

	for (size_t l = 0; l < sizeof levels / sizeof levels[0]; l++) {
		for (int name = -2; name < 70000; name++) {
			const struct socket_option *option = option_by_host(levels[l], name);

			if (!option)
				continue;
			found++;
			cr_expect_eq(option->level, levels[l]);
			cr_expect_eq(option->name, name);
			cr_expect_eq(option_by_wire(option->wire), option);
		}
	}
	cr_expect_eq(found, OPTION_COUNT);
	cr_expect_eq(option_by_host(SOL_SOCKET, SO_REUSEADDR), option_by_wire(SPLITSOCK__OPTION__OPTION_SO_REUSEADDR));
	cr_expect_eq(option_by_host(IPPROTO_TCP, TCP_NODELAY), option_by_wire(SPLITSOCK__OPTION__OPTION_TCP_NODELAY));
	cr_expect_eq(option_by_host(IPPROTO_IPV6, IPV6_V6ONLY), option_by_wire(SPLITSOCK__OPTION__OPTION_IPV6_V6ONLY));
	cr_expect_null(option_by_host(SOL_SOCKET, SO_ATTACH_BPF), "a descriptor is nothing at the other end");
	cr_expect_null(option_by_host(-1, -1));
	cr_expect_null(option_by_host(SOL_SOCKET, INT32_MIN));
	cr_expect_null(option_by_host(0x10000 + SOL_SOCKET, SO_REUSEADDR));
}

/* What a kind's host lengths are when it is read whole, and whether a length will do. */
static size_t
whole(const struct socket_option *option, unsigned round)
{
	switch (option->value) {
	case OPTION_INT:
	case OPTION_INT_EXACT:
	case OPTION_INT_SHORT:
	case OPTION_INT_EMPTY:
	case OPTION_INT_LAX:
	case OPTION_ERRNO:
		return sizeof(int);
	case OPTION_INTS:
		return sizeof(int) * (1 + round % 64);
	case OPTION_MASK:
		return round % 33;
	case OPTION_LONG:
		return round % 2 ? sizeof(unsigned) : sizeof(unsigned long);
	case OPTION_LINGER:
		return sizeof(struct linger);
	case OPTION_TIMEVAL:
	case OPTION_TIMEVAL_WORDS:
		return sizeof(struct timeval);
	case OPTION_FILTER:
		return 8 * (1 + round % 32);
	case OPTION_STRING:
	case OPTION_BYTES:
		break;
	}
	return round % 300;
}

#define FENCE 0xa5

Test(values, every_option_carries_every_value)
{
	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		const struct socket_option *option = option_at(i);

		for (unsigned round = 0; round < 300; round++) {
			uint8_t host[320], wire[320], back[320];
			size_t len = whole(option, round);
			ssize_t wire_len, back_len;

			random_bytes(host, len);
			if (option->value == OPTION_ERRNO) {
				int error = round % 134 == 41 || round % 134 == 58 ? 0 : (int)(round % 134);

				memcpy(host, &error, sizeof error);
			}
			memset(wire, FENCE, sizeof wire);
			memset(back, FENCE, sizeof back);
			wire_len = option_encode(option, host, len, wire, len);
			cr_assert_eq(wire_len, (ssize_t)len, "%s: %zd of %zu", option->text, wire_len, len);
			cr_assert_eq(wire[len], FENCE, "%s", option->text);
			back_len = option_decode(option, wire, len, back, len);
			cr_assert_eq(back_len, (ssize_t)len, "%s", option->text);
			cr_assert_arr_eq(back, host, len, "%s", option->text);
			cr_assert_eq(back[len], FENCE, "%s", option->text);
			if (len > 0) {
				cr_assert_eq(option_encode(option, host, len, wire, len - 1), -ENOBUFS, "%s", option->text);
				cr_assert_eq(option_decode(option, wire, len, back, len - 1), -ENOBUFS, "%s", option->text);
			}
		}
	}
}

Test(values, bytes_that_no_encoder_made_are_refused)
{
	uint8_t wire[2000], host[2000];

	random_bytes(wire, sizeof wire);
	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		const struct socket_option *option = option_at(i);

		if (option->value == OPTION_STRING || option->value == OPTION_BYTES) {
			cr_expect_eq(option_decode(option, wire, sizeof wire, host, sizeof host), (ssize_t)sizeof wire);
			continue;
		}
		for (size_t len = 0; len < sizeof wire; len++) {
			bool valid = len == whole(option, 0) || (option->value == OPTION_LONG && len == 4) ||
			             (option->value == OPTION_INTS && len > 0 && len <= 256 && len % 4 == 0) ||
			             (option->value == OPTION_MASK && len <= 32) ||
			             (option->value == OPTION_FILTER && len > 0 && len % 8 == 0);

			cr_assert_eq(option_decode(option, wire, len, host, sizeof host), valid ? (ssize_t)len : -EINVAL, "%s, %zu",
			             option->text, len);
		}
	}
}

static void
expect_wire(const struct socket_option *option, const void *host, size_t host_len, const void *expected, size_t expected_len)
{
	uint8_t wire[64];
	ssize_t len = option_encode(option, host, host_len, wire, sizeof wire);

	cr_assert_eq(len, (ssize_t)expected_len, "%s: %zd", option->text, len);
	cr_expect_arr_eq(wire, expected, expected_len, "%s", option->text);
}

Test(values, recorded_bytes)
{
	const struct socket_option *nodelay = option_by_host(IPPROTO_TCP, TCP_NODELAY), *ttl = option_by_host(IPPROTO_IP, IP_TTL),
				   *tos = option_by_host(IPPROTO_IP, IP_TOS), *error = option_by_host(SOL_SOCKET, SO_ERROR),
				   *pacing = option_by_host(SOL_SOCKET, SO_MAX_PACING_RATE);
	int refused = ECONNREFUSED;
	uint8_t wire[64];

	expect_wire(nodelay, &(int){0x01020304}, 4, "\4\3\2\1", 4);
	expect_wire(nodelay, &(int){-2}, 4, "\xfe\xff\xff\xff", 4);
	expect_wire(nodelay, (int[]){1, -1}, 8, "\1\0\0\0", 4); /* Linux ignores the rest */
	expect_wire(ttl, &(uint8_t){200}, 1, "\xc8\0\0\0", 4);
	expect_wire(ttl, &(int){64}, 4, "\x40\0\0\0", 4);
	expect_wire(option_by_host(SOL_RAW, 1), &(uint32_t){0x01020304}, 4, "\4\3\2\1", 4);
	expect_wire(option_by_host(SOL_RAW, 1), (uint8_t[]){1, 2}, 2, "\1\2", 2); /* Linux takes a part, and leaves the rest */
	expect_wire(option_by_host(IPPROTO_ICMPV6, 1), (uint32_t[9]){0x01020304, 5}, 36, "\4\3\2\1\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32);
	expect_wire(tos, NULL, 0, "\0\0\0\0", 4);
	expect_wire(tos, (uint8_t[]){0x10, 0xff, 0xff}, 3, "\x10\0\0\0", 4);
	expect_wire(option_by_host(IPPROTO_IPV6, IPV6_DONTFRAG), (uint8_t[]){1, 1}, 2, "\0\0\0\0", 4);
	expect_wire(option_by_host(SOL_SOCKET, SO_LINGER), &(struct linger){1, 258}, 8, "\1\0\0\0\2\1\0\0", 8);
	expect_wire(option_by_host(SOL_SOCKET, SO_RCVTIMEO), &(struct timeval){0x0102030405, 999999}, 16,
	            "\5\4\3\2\1\0\0\0\x3f\x42\x0f\0\0\0\0\0", 16);
	expect_wire(option_by_host(SOL_SOCKET, SO_TIMESTAMPING), (int[]){0x1234, 7}, 8, "\x34\x12\0\0\7\0\0\0", 8);
	expect_wire(pacing, &(unsigned){0x01020304}, 4, "\4\3\2\1", 4);
	expect_wire(pacing, &(unsigned long){0x0102030405060708}, 8, "\10\7\6\5\4\3\2\1", 8);
	expect_wire(option_by_host(IPPROTO_TCP, TCP_CONGESTION), "cubic\0\0", 7, "cubic\0\0", 7);
	expect_wire(option_by_host(SOL_SOCKET, SO_BINDTODEVICE), "lo", 2, "lo", 2);
	expect_wire(option_by_host(SOL_SOCKET, SO_BINDTODEVICE), NULL, 0, "", 0);
	expect_wire(error, &refused, 4, "\x17\0\0\0", 4);
	expect_wire(error, &(int){0}, 4, "\0\0\0\0", 4);
	cr_expect_eq(option_decode(error, (const uint8_t *)"\xff\xff\xff\xff", 4, wire, sizeof wire), 4);
	cr_expect_eq(*(int *)(void *)wire, EIO);

	expect_wire(option_by_host(SOL_SOCKET, SO_ATTACH_FILTER),
	            (struct sock_filter[]){{0x1234, 5, 6, 0x01020304}, {BPF_RET | BPF_K, 0, 0, 0xffff}}, 16,
	            "\x34\x12\5\6\4\3\2\1\6\0\0\0\xff\xff\0\0", 16);
	cr_expect_eq(option_encode(option_by_host(SOL_SOCKET, SO_ATTACH_FILTER), wire, 0, wire, sizeof wire), -EINVAL);
	cr_expect_eq(option_encode(option_by_host(SOL_SOCKET, SO_ATTACH_FILTER), wire, 12, wire, sizeof wire), -EINVAL);

	cr_expect_eq(option_encode(nodelay, "\1\1\1", 3, wire, sizeof wire), -EINVAL);
	cr_expect_eq(option_encode(nodelay, NULL, 0, wire, sizeof wire), -EINVAL);
	cr_expect_eq(option_encode(error, "\1", 1, wire, sizeof wire), -EINVAL);
	cr_expect_eq(option_encode(ttl, NULL, 0, wire, sizeof wire), -EINVAL);
	cr_expect_eq(option_encode(pacing, "\1\1\1", 3, wire, sizeof wire), -EINVAL);
	cr_expect_eq(option_encode(option_by_host(SOL_SOCKET, SO_LINGER), &(int){1}, 4, wire, sizeof wire), -EINVAL);
	cr_expect_eq(option_encode(option_by_host(SOL_SOCKET, SO_SNDTIMEO), &(long){1}, 8, wire, sizeof wire), -EINVAL);
}

Test(values, sure_only_on_the_right_kind_of_socket)
{
	const struct socket_option *nodelay = option_by_host(IPPROTO_TCP, TCP_NODELAY),
				   *reuse = option_by_host(SOL_SOCKET, SO_REUSEADDR),
				   *pktinfo = option_by_host(IPPROTO_IPV6, IPV6_RECVPKTINFO);

	cr_expect(option_is_sure_on(nodelay, AF_INET, SOCK_STREAM, 0));
	cr_expect(option_is_sure_on(nodelay, AF_INET6, SOCK_STREAM, IPPROTO_TCP));
	cr_expect_not(option_is_sure_on(nodelay, AF_INET, SOCK_DGRAM, 0));
	cr_expect_not(option_is_sure_on(nodelay, AF_INET, SOCK_STREAM, IPPROTO_SCTP));
	cr_expect(option_is_sure_on(reuse, AF_INET, SOCK_DGRAM, IPPROTO_UDP));
	cr_expect_not(option_is_sure_on(reuse, AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	cr_expect_not(option_is_sure_on(reuse, AF_NETLINK, SOCK_DGRAM, 0));
	cr_expect(option_is_sure_on(pktinfo, AF_INET6, SOCK_DGRAM, 0));
	cr_expect_not(option_is_sure_on(pktinfo, AF_INET, SOCK_DGRAM, 0));
	cr_expect_not(option_is_sure_on(option_by_host(SOL_SOCKET, SO_MARK), AF_INET, SOCK_STREAM, 0));
}

/* ---- addresses ------------------------------------------------------------------------------------- */

Test(values, ipv4_address)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(8080)}, *out;
	struct sockaddr_storage storage;
	struct wire_address wire;
	socklen_t len;

	in.sin_addr.s_addr = htonl(0xc0a80102);
	memset(in.sin_zero, 0xff, sizeof in.sin_zero); /* Linux does not look at it */
	cr_assert_eq(wire_address_from_host(&wire, (struct sockaddr *)&in, sizeof in), 0);
	cr_expect_eq(wire.family, SPLITSOCK__FAMILY__FAMILY_INET);
	cr_expect_arr_eq(wire.ip, "\xc0\xa8\1\2\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	cr_expect_eq(wire.port, 8080);
	cr_assert_eq(wire_address_to_host(&wire, &storage, &len), 0);
	cr_expect_eq(len, sizeof in);
	out = (struct sockaddr_in *)&storage;
	cr_expect_eq(out->sin_family, AF_INET);
	cr_expect_eq(out->sin_port, in.sin_port);
	cr_expect_eq(out->sin_addr.s_addr, in.sin_addr.s_addr);
	cr_expect_arr_eq(out->sin_zero, "\0\0\0\0\0\0\0\0", 8);
	for (len = 0; len < sizeof in; len++)
		cr_expect_eq(wire_address_from_host(&wire, (struct sockaddr *)&in, len), -EINVAL, "%u", len);
}

Test(values, ipv6_address)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
	                           .sin6_port = htons(443),
	                           .sin6_flowinfo = htonl(0x000abcde),
	                           .sin6_addr = IN6ADDR_LOOPBACK_INIT,
	                           .sin6_scope_id = 7},
				   *out;
	struct sockaddr_storage storage;
	struct wire_address wire;
	socklen_t len;

	in6.sin6_addr.s6_addr[0] = 0xfe;
	cr_assert_eq(wire_address_from_host(&wire, (struct sockaddr *)&in6, sizeof in6), 0);
	cr_expect_eq(wire.family, SPLITSOCK__FAMILY__FAMILY_INET6);
	cr_expect_arr_eq(wire.ip, "\xfe\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
	cr_expect_eq(wire.port, 443);
	cr_expect_eq(wire.flow_info, 0x000abcde);
	cr_expect_eq(wire.scope_id, 7);
	cr_assert_eq(wire_address_to_host(&wire, &storage, &len), 0);
	cr_expect_eq(len, sizeof in6);
	out = (struct sockaddr_in6 *)&storage;
	cr_expect_arr_eq(out, &in6, sizeof in6);
	for (len = 0; len < 24; len++)
		cr_expect_eq(wire_address_from_host(&wire, (struct sockaddr *)&in6, len), -EINVAL, "%u", len);
	for (len = 24; len < sizeof in6; len++) {
		cr_expect_eq(wire_address_from_host(&wire, (struct sockaddr *)&in6, len), 0, "%u", len);
		cr_expect_eq(wire.scope_id, 0, "%u", len);
		cr_expect_eq(wire.port, 443);
	}
}

Test(values, netlink_and_unspecified_addresses)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_pid = 4711, .nl_groups = 0x80000001};
	struct sockaddr_in unspecified = {.sin_family = AF_UNSPEC, .sin_port = htons(1), .sin_addr.s_addr = 0x7f000001};
	struct sockaddr_storage storage;
	struct wire_address wire;
	socklen_t len;

	cr_assert_eq(wire_address_from_host(&wire, (struct sockaddr *)&nl, sizeof nl), 0);
	cr_expect_eq(wire.family, SPLITSOCK__FAMILY__FAMILY_NETLINK);
	cr_expect_eq(wire.netlink_pid, 4711);
	cr_expect_eq(wire.netlink_groups, 0x80000001);
	cr_assert_eq(wire_address_to_host(&wire, &storage, &len), 0);
	cr_expect_eq(len, sizeof nl);
	cr_expect_arr_eq(&storage, &nl, sizeof nl);
	cr_expect_eq(wire_address_from_host(&wire, (struct sockaddr *)&nl, sizeof nl - 1), -EINVAL);

	/* Nothing of it but the family travels: no way to reach a host under a family that no policy looks at. */
	cr_assert_eq(wire_address_from_host(&wire, (struct sockaddr *)&unspecified, sizeof unspecified), 0);
	cr_expect_eq(wire.family, SPLITSOCK__FAMILY__FAMILY_UNSPEC);
	cr_expect_eq(wire.port, 0);
	wire.port = 80;
	wire.ip[0] = 127;
	cr_assert_eq(wire_address_to_host(&wire, &storage, &len), 0);
	cr_expect_eq(len, sizeof(sa_family_t));
	cr_expect_eq(storage.ss_family, AF_UNSPEC);
	cr_expect_arr_eq((char *)&storage + 2, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 14);
}

Test(values, addresses_that_do_not_travel)
{
	struct sockaddr_storage storage = {.ss_family = AF_UNIX};
	struct wire_address wire = {.family = SPLITSOCK__FAMILY__FAMILY_INET, .port = 65536};
	socklen_t len;

	cr_expect_eq(wire_address_from_host(&wire, (struct sockaddr *)&storage, 110), -EAFNOSUPPORT);
	storage.ss_family = 77;
	cr_expect_eq(wire_address_from_host(&wire, (struct sockaddr *)&storage, sizeof storage), -EAFNOSUPPORT);
	storage.ss_family = AF_INET;
	cr_expect_eq(wire_address_from_host(&wire, (struct sockaddr *)&storage, sizeof storage), 0);
	cr_expect_eq(wire_address_from_host(&wire, (struct sockaddr *)&storage, sizeof storage + 1), -EINVAL);
	cr_expect_eq(wire_address_from_host(&wire, (struct sockaddr *)&storage, (socklen_t)-1), -EINVAL);

	wire = (struct wire_address){.family = SPLITSOCK__FAMILY__FAMILY_INET, .port = 65535};
	cr_expect_eq(wire_address_to_host(&wire, &storage, &len), 0);
	wire.port = 65536;
	cr_expect_eq(wire_address_to_host(&wire, &storage, &len), -EINVAL);
	wire = (struct wire_address){.family = SPLITSOCK__FAMILY__FAMILY_UNIX};
	cr_expect_eq(wire_address_to_host(&wire, &storage, &len), -EAFNOSUPPORT);
	for (uint32_t family = 7; family < 100; family++) {
		wire.family = family;
		cr_expect_eq(wire_address_to_host(&wire, &storage, &len), -EAFNOSUPPORT);
	}
	wire.family = 0;
	cr_expect_eq(wire_address_to_host(&wire, &storage, &len), -EAFNOSUPPORT);
}

Test(values, any_address_comes_back)
{
	static const uint32_t families[] = {SPLITSOCK__FAMILY__FAMILY_INET, SPLITSOCK__FAMILY__FAMILY_INET6,
	                                    SPLITSOCK__FAMILY__FAMILY_NETLINK};

	for (unsigned round = 0; round < 30000; round++) {
		struct wire_address wire = {.family = families[round % 3]}, back;
		struct sockaddr_storage storage;
		socklen_t len;

		if (round % 3 == 2) {
			wire.netlink_pid = (uint32_t)random_number();
			wire.netlink_groups = (uint32_t)random_number();
		} else {
			random_bytes(wire.ip, round % 3 ? 16 : 4);
			wire.port = (uint16_t)random_number();
		}
		if (round % 3 == 1) {
			wire.flow_info = (uint32_t)random_number();
			wire.scope_id = (uint32_t)random_number();
		}
		cr_assert_eq(wire_address_to_host(&wire, &storage, &len), 0);
		cr_assert_eq(wire_address_from_host(&back, (struct sockaddr *)&storage, len), 0);
		cr_assert_arr_eq(&back, &wire, sizeof wire);
	}
}

/* ---- the kernel as the oracle ---------------------------------------------------------------------- */

enum socket_kind { TCP4, UDP4, TCP6, UDP6, TCP4_LISTENING, SOCKET_KINDS };

static int
kind_family(enum socket_kind kind)
{
	return kind == TCP6 || kind == UDP6 ? AF_INET6 : AF_INET;
}

static int
kind_type(enum socket_kind kind)
{
	return kind == UDP4 || kind == UDP6 ? SOCK_DGRAM : SOCK_STREAM;
}

/* -1 where the machine has no such family. */
static int
fresh(enum socket_kind kind)
{
	int fd = socket(kind_family(kind), kind_type(kind) | SOCK_CLOEXEC, 0);

	if (fd < 0 && errno == EAFNOSUPPORT)
		return -1;
	cr_assert_geq(fd, 0, "socket: %s", strerror(errno));
	if (kind == TCP4_LISTENING)
		cr_assert_eq(listen(fd, 1), 0);
	return fd;
}

static int
set(enum socket_kind kind, const struct socket_option *option, const void *value, size_t len, int *after)
{
	int fd = fresh(kind), error = 0;
	socklen_t after_len = sizeof *after;

	if (setsockopt(fd, option->level, option->name, value, (socklen_t)len) < 0)
		error = errno;
	if (after) {
		*after = 0;
		getsockopt(fd, option->level, option->name, after, &after_len);
	}
	close(fd);
	return error;
}

static bool
kind_exists(enum socket_kind kind)
{
	int fd = fresh(kind);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

Test(values_kernel, what_is_sure_does_not_fail)
{
	static const int numbers[] = {0, 1, -1, 2, 7, 255, 256, 65536, 0x40000000, INT32_MAX, INT32_MIN};
	unsigned tried = 0;

	for (enum socket_kind kind = 0; kind < SOCKET_KINDS; kind++) {
		for (unsigned i = 0; i < OPTION_COUNT && kind_exists(kind); i++) {
			const struct socket_option *option = option_at(i);

			if (!option_is_sure_on(option, kind_family(kind), kind_type(kind), 0))
				continue;
			for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++, tried++)
				cr_expect_eq(set(kind, option, &numbers[n], sizeof(int), NULL), 0, "%s to %d on kind %d", option->text,
				             numbers[n], kind);
		}
	}
	cr_expect_gt(tried, 500);
}

/* Setting with any length does the same, directly and through the wire. */
Test(values_kernel, lengths_given_to_setsockopt)
{
	static const uint8_t value[16] = {1};
	unsigned tried = 0, refused = 0;

	for (enum socket_kind kind = 0; kind < SOCKET_KINDS; kind++) {
		for (unsigned i = 0; i < OPTION_COUNT && kind_exists(kind); i++) {
			const struct socket_option *option = option_at(i);

			if (!option->settable || (!is_int(option) && option->value != OPTION_LINGER && option->value != OPTION_TIMEVAL &&
			                          option->value != OPTION_TIMEVAL_WORDS &&
			                          option->value != OPTION_LONG))
				continue;
			for (size_t len = 0; len <= sizeof value; len++) {
				uint8_t wire[16], host[16];
				ssize_t n = option_encode(option, value, len, wire, sizeof wire);
				int after_direct, after_wire = 0, direct = set(kind, option, value, len, &after_direct), through = EINVAL;

				if (n >= 0) {
					n = option_decode(option, wire, (size_t)n, host, sizeof host);
					cr_assert_geq(n, 0);
					through = set(kind, option, host, (size_t)n, &after_wire);
				}
				/* Not for this kind of socket, or kernel, or user: then the order of complaints differs. */
				if (direct == ENOPROTOOPT || direct == EOPNOTSUPP || through == ENOPROTOOPT || through == EOPNOTSUPP ||
				    through == EPERM)
					continue;
				tried++;
				refused += direct == EINVAL;
				cr_expect_eq(through, direct, "%s with %zu bytes on kind %d: %s, through the wire: %s", option->text, len, kind,
				             strerrorname_np(direct), strerrorname_np(through));
				if (direct == 0)
					cr_expect_eq(after_wire, after_direct, "%s with %zu bytes", option->text, len);
			}
		}
	}
	cr_expect_gt(tried, 1000);
	cr_expect_gt(refused, 100);
}

/* Reading into any room does the same. */
Test(values_kernel, room_given_to_getsockopt)
{
	unsigned tried = 0;

	for (enum socket_kind kind = 0; kind < SOCKET_KINDS; kind++) {
		int fd = fresh(kind);

		if (fd < 0)
			continue;
		/* The IP level treats numbers that fit a byte in a way of their own. Old kernels have no port range. */
		cr_assert_eq(setsockopt(fd, IPPROTO_IP, IP_TTL, &(int){255}, sizeof(int)), 0);
		setsockopt(fd, IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE */, &(int){0x40004000}, sizeof(int));
		for (unsigned i = 0; i < OPTION_COUNT; i++) {
			const struct socket_option *option = option_at(i);

			if (!option->gettable || option->value == OPTION_BYTES || option->value == OPTION_STRING ||
			    option->value == OPTION_FILTER)
				continue;
			if (strcmp(option->text, "TCP_TIMESTAMP") == 0) /* a clock: never twice the same */
				continue;
			for (socklen_t room = 0; room < 48; room++) {
				uint8_t direct[64] = {0}, whole_value[64] = {0}, wire[64], through[64] = {0};
				socklen_t direct_len = room, whole_len = (socklen_t)option_room(option, room);
				ssize_t n;

				if (getsockopt(fd, option->level, option->name, direct, &direct_len) < 0)
					continue;
				cr_assert_leq(whole_len, sizeof whole_value, "%s", option->text);
				cr_assert_eq(getsockopt(fd, option->level, option->name, whole_value, &whole_len), 0, "%s", option->text);
				n = option_encode(option, whole_value, whole_len, wire, sizeof wire);
				cr_assert_geq(n, 0, "%s: %u bytes came back", option->text, whole_len);
				n = option_decode(option, wire, (size_t)n, through, sizeof through);
				cr_assert_geq(n, 0);
				n = (ssize_t)option_cut(option, through, (size_t)n, room);
				cr_expect_eq(n, (ssize_t)direct_len, "%s into %u bytes: %u, through the wire: %zd", option->text, room,
				             direct_len, n);
				cr_expect_arr_eq(through, direct, direct_len, "%s into %u bytes", option->text, room);
				tried++;
			}
		}
		close(fd);
	}
	cr_expect_gt(tried, 10000);
}

static bool
for_raw_sockets(const struct socket_option *option)
{
	static const char *const names[] = {"IP_HDRINCL", "IP_NODEFRAG", "IP_ROUTER_ALERT", "IPV6_ROUTER_ALERT", "IPV6_HDRINCL",
	                                    "IPV6_CHECKSUM",         "RAW_IPV6_CHECKSUM", "RAW_IPV6_HDRINCL", "UDPLITE_SEND_CSCOV", "UDPLITE_RECV_CSCOV"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strcmp(option->text, names[i]) == 0)
			return true;
	}
	return false;
}

/* An int that some kind of socket has, and that we call settable, can be set on one of them. */
Test(values_kernel, settable_options)
{
	unsigned tried = 0;

	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		const struct socket_option *option = option_at(i);
		bool readable = false, settable = false;

		if (!option->settable || !is_int(option) || for_raw_sockets(option))
			continue;
		for (enum socket_kind kind = 0; kind < SOCKET_KINDS; kind++) {
			int fd = fresh(kind), value, error;
			socklen_t len = sizeof value;

			if (fd < 0)
				continue;
			readable = readable || getsockopt(fd, option->level, option->name, &value, &len) == 0;
			close(fd);
			error = set(kind, option, &(int){0}, sizeof(int), NULL);
			settable = settable || (error != ENOPROTOOPT && error != EOPNOTSUPP);
		}
		/* The kernel lets nobody reserve memory that no cgroup is charged for, and then calls it unsupported. */
		if (readable && strcmp(option->text, "SO_RESERVE_MEM") != 0 && strncmp(option->text, "SO_PASS", 7) != 0) {
			tried++;
			cr_expect(settable, "%s cannot be set", option->text);
		}
	}
	cr_expect_gt(tried, 90);
}

Test(values_kernel, read_only_and_write_only_options)
{
	for (enum socket_kind kind = 0; kind < SOCKET_KINDS; kind++) {
		for (unsigned i = 0; i < OPTION_COUNT && kind_exists(kind); i++) {
			const struct socket_option *option = option_at(i);

			if (!option->settable && strcmp(option->text, "TCP_ULP") != 0 && strcmp(option->text, "IPV6_ADDRFORM") != 0 &&
			    strcmp(option->text, "TCP_REPAIR") != 0)
				cr_expect_eq(set(kind, option, (int[16]){1}, 64, NULL), ENOPROTOOPT, "%s can be set", option->text);
			if (!option->gettable && option->value == OPTION_INT) {
				int fd = fresh(kind), value;
				socklen_t len = sizeof value;

				cr_expect_eq(getsockopt(fd, option->level, option->name, &value, &len), -1, "%s can be read", option->text);
				close(fd);
			}
		}
	}
}

Test(values_kernel, lengths_given_to_connect_and_bind)
{
	static const struct {
		enum socket_kind kind;
		int family;
	} cases[] = {{UDP4, AF_INET}, {UDP4, AF_UNIX}, {UDP4, 77}, {UDP6, AF_INET6}};
	unsigned refused = 0;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (socklen_t len = 0; len <= sizeof(struct sockaddr_storage) + 1; len++) {
			/* No address and port: bind takes it, and connect sends nothing. */
			struct sockaddr_storage storage[2] = {{.ss_family = (sa_family_t)cases[i].family}};
			struct wire_address wire;
			int ours = -wire_address_from_host(&wire, (struct sockaddr *)storage, len);
			int fd = fresh(cases[i].kind), kernel;

			if (fd < 0)
				continue;
			kernel = bind(fd, (struct sockaddr *)storage, len) < 0 ? errno : 0;
			cr_expect_eq(ours, kernel, "bind to family %d, %u bytes: %s, ours %s", cases[i].family, len,
			             strerrorname_np(kernel), strerrorname_np(ours));
			kernel = connect(fd, (struct sockaddr *)storage, len) < 0 ? errno : 0;
			if (kernel != EINVAL && kernel != EAFNOSUPPORT)
				kernel = 0; /* the address was understood */
			cr_expect_eq(ours, kernel, "connect to family %d, %u bytes: %s, ours %s", cases[i].family, len,
			             strerrorname_np(kernel), strerrorname_np(ours));
			refused += ours != 0;
			close(fd);
		}
	}
	cr_expect_gt(refused, 50);
}

Test(values_kernel, an_unspecified_address_is_good_for_disconnecting_only)
{
	static const enum socket_kind kinds[] = {UDP4, UDP6, TCP4, TCP6};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct wire_address wire = {.family = SPLITSOCK__FAMILY__FAMILY_UNSPEC};
		struct sockaddr_storage storage;
		socklen_t len;
		int fd = fresh(kinds[i]);

		if (fd < 0)
			continue;
		cr_assert_eq(wire_address_to_host(&wire, &storage, &len), 0);
		cr_expect_eq(connect(fd, (struct sockaddr *)&storage, len), 0, "%s", strerror(errno));
		cr_expect_eq(bind(fd, (struct sockaddr *)&storage, len), -1);
		cr_expect_eq(errno, EINVAL);
		cr_expect_eq(sendto(fd, "", 1, MSG_NOSIGNAL, (struct sockaddr *)&storage, len), -1);
		close(fd);
	}
}
