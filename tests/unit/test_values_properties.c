/*
 * What must hold for every number, every value and every address of proto/values.h, not just for those that somebody thought of.
 * The models in here are written from the kernel's side, not from ours.
 *
 * Inputs come from a generator whose seed every failure prints; SPLITSOCK_TEST_SEED=0x… runs with that one.
 */
#include "proto/values.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <linux/netlink.h>

#include "proto/codec.h"
#include "proto/values.pb-c.h"

static uint64_t seed = 0x5eed0f5011750c4b, random_state;

static void
setup(void)
{
	const char *given = getenv("SPLITSOCK_TEST_SEED");

	if (given)
		seed = strtoull(given, NULL, 0) | 1;
	random_state = seed;
}

TestSuite(values_properties, .init = setup, .timeout = 60);

static uint64_t
random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1du;
}

static void
random_bytes(void *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)(random_number() >> 40);
}

/* Criterion reports each assertion that holds, too; millions of them would take minutes. */
#define HOLDS(condition, ...) \
	do { \
		if (!(condition)) \
			does_not_hold(__LINE__, #condition, __VA_ARGS__); \
	} while (0)

__attribute__((format(printf, 3, 4), noreturn)) static void
does_not_hold(int line, const char *condition, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	cr_assert_fail("line %d: not %s: %s (SPLITSOCK_TEST_SEED=%#lx)", line, condition, text, seed);
	abort();
}

/* ---- numbers --------------------------------------------------------------------------------------- */

struct table {
	const char *noun;
	const ProtobufCEnumDescriptor *descriptor;
	uint32_t (*to_wire)(int);
	int (*to_host)(uint32_t);
	uint32_t other_wire; /* what an unknown host number becomes */
	int other_host;      /* what an unknown wire value becomes */
	int zero_host;       /* what zero on the wire is */
};

static const struct table tables[] = {
	{"errno", &splitsock__errno__descriptor, wire_errno, host_errno, SPLITSOCK__ERRNO__ERRNO_EIO, EIO, 0},
	{"family", &splitsock__family__descriptor, wire_family, host_family, 0, -1, -1},
	{"socket type", &splitsock__socket_type__descriptor, wire_socket_type, host_socket_type, 0, -1, -1},
	{"shutdown", &splitsock__shutdown_how__descriptor, wire_shutdown, host_shutdown, 0, -1, -1},
};
#define EACH_TABLE(table) \
	const struct table *table = tables; \
	table < tables + sizeof tables / sizeof tables[0]; \
	table++

/* A number of the host becomes a value that the wire has, and comes back; or it becomes the one for "other". */
static void
check_host_number(const struct table *table, int host)
{
	uint32_t wire = table->to_wire(host);

	HOLDS(protobuf_c_enum_descriptor_get_value(table->descriptor, (int)wire), "%s %d became %u", table->noun, host, wire);
	if (wire != table->other_wire)
		HOLDS(table->to_host(wire) == host, "%s %d became %u and then %d", table->noun, host, wire, table->to_host(wire));
	if (table->other_wire != 0)
		HOLDS((wire == 0) == (host == 0), "%s %d became %u", table->noun, host, wire);
}

/* A value of the wire becomes a number that the host has, and comes back; a value that no version has becomes "other". */
static void
check_wire_number(const struct table *table, uint32_t wire)
{
	bool exists = wire <= INT_MAX && protobuf_c_enum_descriptor_get_value(table->descriptor, (int)wire);
	int host = table->to_host(wire);

	if (wire == 0)
		HOLDS(host == table->zero_host, "%s 0 became %d", table->noun, host);
	else if (exists)
		HOLDS(table->to_wire(host) == wire, "%s: %u became %d and then %u", table->noun, wire, host, table->to_wire(host));
	else
		HOLDS(host == table->other_host, "%s: unknown %u became %d", table->noun, wire, host);
}

Test(values_properties, numbers_of_the_host)
{
	for (EACH_TABLE(table)) {
		unsigned known = 0;

		for (int host = -4096; host <= 70000; host++) {
			check_host_number(table, host);
			known += table->to_wire(host) != table->other_wire;
		}
		/* EIO is known, and is what others become, too. */
		HOLDS(known + (table->other_wire != 0) == table->descriptor->n_values - (table->zero_host == -1), "%s: %u known",
		      table->noun, known);
		for (int i = 0; i < 100000; i++) {
			int host = (int)random_number();

			check_host_number(table, host);
			check_host_number(table, host >> (i % 32));
		}
		for (int bit = 0; bit < 32; bit++) {
			check_host_number(table, (int)(1u << bit));
			check_host_number(table, (int)((1u << bit) - 1));
			check_host_number(table, (int)-(1u << bit));
		}
	}
}

Test(values_properties, numbers_of_the_wire)
{
	for (EACH_TABLE(table)) {
		for (uint32_t wire = 0; wire <= 0x10000; wire++)
			check_wire_number(table, wire);
		for (int i = 0; i < 100000; i++) {
			uint32_t wire = (uint32_t)random_number();

			check_wire_number(table, wire);
			check_wire_number(table, wire >> (i % 32));
			/* A value that is known, with bits above it that some narrow type might lose. */
			check_wire_number(table, (wire & 0x7f) | 1u << (8 + i % 24));
		}
		for (int bit = 0; bit < 32; bit++) {
			check_wire_number(table, 1u << bit);
			check_wire_number(table, -(1u << bit));
		}
	}
}

static void
check_host_flags(int host)
{
	int rest;
	uint32_t wire = wire_message_flags(host, &rest), unknown;
	int back = host_message_flags(wire, &unknown);

	HOLDS(wire == wire_message_flags(host, NULL), "%#x", host);
	HOLDS(unknown == 0, "%#x became %#x, of which %#x has no meaning", host, wire, unknown);
	HOLDS((back | rest) == host && (back & rest) == 0, "%#x became %#x and %#x", host, back, rest);
	HOLDS(__builtin_popcount(wire) == __builtin_popcount((unsigned)back), "%#x became %#x", host, wire);
	HOLDS(wire_message_flags(rest, NULL) == 0, "%#x left %#x", host, rest);
}

static void
check_wire_flags(uint32_t wire)
{
	uint32_t rest;
	int host = host_message_flags(wire, &rest), unknown;
	uint32_t back = wire_message_flags(host, &unknown);

	HOLDS(host == host_message_flags(wire, NULL), "%#x", wire);
	HOLDS(unknown == 0, "%#x became %#x, of which %#x has no meaning", wire, host, unknown);
	HOLDS((back | rest) == wire && (back & rest) == 0, "%#x became %#x and %#x", wire, back, rest);
	HOLDS(host_message_flags(rest, NULL) == 0, "%#x left %#x", wire, rest);
}

Test(values_properties, subsets_of_message_flags)
{
	for (int bit = 0; bit < 32; bit++) {
		for (int other = 0; other < 32; other++) {
			check_host_flags((int)(1u << bit | 1u << other));
			check_wire_flags(1u << bit | 1u << other);
			check_host_flags((int)~(1u << bit | 1u << other));
			check_wire_flags(~(1u << bit | 1u << other));
		}
	}
	for (uint32_t wire = 0; wire < 1u << 18; wire++)
		check_wire_flags(wire);
	for (int i = 0; i < 200000; i++) {
		check_host_flags((int)random_number());
		check_wire_flags((uint32_t)random_number());
		check_host_flags((int)(random_number() & random_number() & random_number()));
		check_wire_flags((uint32_t)(random_number() & random_number() & random_number()));
	}
}

/* ---- options --------------------------------------------------------------------------------------- */

#define OPTION_COUNT (splitsock__option__descriptor.n_values - 1)

static const struct socket_option *
option_at(unsigned i)
{
	return option_by_wire((uint32_t)splitsock__option__descriptor.values[i + 1].value);
}

Test(values_properties, options_of_the_wire)
{
	for (uint32_t wire = 0; wire <= 0x10000; wire++) {
		const struct socket_option *option = option_by_wire(wire);

		HOLDS((option != NULL) == (wire >= 1 && wire <= OPTION_COUNT), "%u", wire);
		HOLDS(!option || option->wire == wire, "%u became %s", wire, option ? option->text : "");
	}
	for (int i = 0; i < 100000; i++) {
		uint32_t wire = (uint32_t)random_number();

		HOLDS(wire <= OPTION_COUNT || !option_by_wire(wire), "%u", wire);
		HOLDS(!option_by_wire((wire & 0xff) | 1u << (8 + i % 24)), "%u", wire);
	}
}

Test(values_properties, options_of_the_host)
{
	unsigned found = 0;

	for (int level = -2; level <= 1024; level++) {
		for (int name = -2; name <= 1024; name++) {
			const struct socket_option *option = option_by_host(level, name);

			found += option != NULL;
			HOLDS(!option || (option->level == level && option->name == name), "%d, %d", level, name);
			HOLDS(!option || option_by_wire(option->wire) == option, "%d, %d", level, name);
		}
	}
	HOLDS(found == OPTION_COUNT, "%u of %u", found, OPTION_COUNT);
	for (int i = 0; i < 100000; i++) {
		const struct socket_option *known = option_at((unsigned)(random_number() % OPTION_COUNT));
		int high = (int)(1u << (10 + i % 22));

		HOLDS(!option_by_host((int)random_number() | high, (int)random_number() | high), "round %d", i);
		HOLDS(!option_by_host(known->level ^ high, known->name), "%s", known->text);
		HOLDS(!option_by_host(known->level, known->name ^ high), "%s", known->text);
	}
}

/* What the kernel takes a value that is set for: numbers, or bytes. */
struct seen {
	int error;
	bool numbers;
	size_t size, count;
	uint64_t number[64];
	size_t len; /* bytes */
};

static uint64_t
number_at(const uint8_t *host, size_t size)
{
	uint32_t small;
	uint64_t large;

	if (size == 8) {
		memcpy(&large, host, 8);
		return large;
	}
	memcpy(&small, host, 4);
	return small;
}

static struct seen
seen_numbers(const uint8_t *host, size_t len, size_t size, size_t least, size_t most)
{
	struct seen seen = {.numbers = true, .size = size, .count = len / size};

	if (seen.count < least)
		return (struct seen){.error = EINVAL};
	if (seen.count > most)
		seen.count = most;
	for (size_t i = 0; i < seen.count; i++)
		seen.number[i] = number_at(host + i * size, size);
	return seen;
}

static struct seen
kernel_sees(enum option_value value, const uint8_t *host, size_t len)
{
	struct seen byte = {.numbers = true, .size = 4, .count = 1};
	struct seen number;

	switch (value) {
	case OPTION_INT_EXACT:
		return len == 4 ? seen_numbers(host, len, 4, 1, 1) : (struct seen){.error = EINVAL};
	case OPTION_INT_LAX: /* if (optlen < sizeof(int)) val = 0 */
		return len < 4 ? byte : seen_numbers(host, len, 4, 1, 1);
	case OPTION_INT_EMPTY:
		if (len == 0)
			return byte;
		/* fallthrough */
	case OPTION_INT_SHORT:
		if (len >= 1 && len < 4) {
			byte.number[0] = host[0];
			return byte;
		}
		/* fallthrough */
	case OPTION_INT:
		return seen_numbers(host, len, 4, 1, 1);
	case OPTION_INTS:
		return seen_numbers(host, len, 4, 1, 64);
	case OPTION_MASK:
		return (struct seen){.len = len < 32 ? len : 32};
	case OPTION_LONG:
		return seen_numbers(host, len, len < 8 ? 4 : 8, 1, 1);
	case OPTION_ERRNO:
		number = seen_numbers(host, len, 4, 1, 1);
		if (!number.error)
			number.number[0] = (uint32_t)host_errno(wire_errno((int)number.number[0]));
		return number;
	case OPTION_LINGER:
		return seen_numbers(host, len, 4, 2, 2);
	case OPTION_TIMEVAL:
	case OPTION_TIMEVAL_WORDS:
		return seen_numbers(host, len, 8, 2, 2);
	case OPTION_FILTER: /* bpf_check_basics_ok() */
		return len == 0 || len % 8 || len > 8 * 4096 ? (struct seen){.error = EINVAL} : (struct seen){.len = len};
	case OPTION_STRING:
	case OPTION_BYTES:
		break;
	}
	return (struct seen){.len = len};
}

/* Exactly so many bytes, so that a sanitizer sees one that is read or written behind them. */
static uint8_t *
exactly(const void *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	if (bytes && len)
		memcpy(copy, bytes, len);
	return copy;
}

static void
check_value(const struct socket_option *option, const uint8_t *bytes, size_t len)
{
	struct seen before, after;
	uint8_t *host = exactly(bytes, len), *wire, *back, *shorter, room[4096];
	ssize_t wire_len = option_encode(option, host, len, room, sizeof room), back_len;

	before = kernel_sees(option->value, host, len);
	if (before.error) {
		HOLDS(wire_len == -before.error, "%s with %zu bytes: %zd", option->text, len, wire_len);
		free(host);
		return;
	}
	HOLDS(wire_len == (ssize_t)(before.numbers ? before.count * before.size : before.len), "%s with %zu bytes: %zd", option->text,
	      len, wire_len);
	wire = exactly(NULL, (size_t)wire_len);
	HOLDS(option_encode(option, host, len, wire, (size_t)wire_len) == wire_len, "%s", option->text);
	/* The wire's form, from its definition: little-endian, whatever the host. */
	for (size_t i = 0; before.numbers && i < before.count; i++) {
		uint64_t number = option->value == OPTION_ERRNO ? wire_errno((int)number_at(host, 4)) : before.number[i];

		for (size_t byte = 0; byte < before.size; byte++)
			HOLDS(wire[i * before.size + byte] == (uint8_t)(number >> 8 * byte), "%s, number %zu, byte %zu", option->text, i,
			      byte);
	}
	back_len = option_decode(option, wire, (size_t)wire_len, room, sizeof room);
	HOLDS(back_len >= 0, "%s with %zu bytes: %zd", option->text, len, back_len);
	back = exactly(NULL, (size_t)back_len);
	HOLDS(option_decode(option, wire, (size_t)wire_len, back, (size_t)back_len) == back_len, "%s", option->text);
	after = kernel_sees(option->value, back, (size_t)back_len);
	HOLDS(after.error == 0 && after.numbers == before.numbers && after.count == before.count && after.size == before.size &&
	      after.len == before.len && memcmp(after.number, before.number, sizeof after.number) == 0,
	      "%s with %zu bytes is something else at the other end", option->text, len);
	HOLDS(before.numbers || memcmp(back, host, before.len) == 0, "%s with %zu bytes", option->text, len);
	/* Any room that is too small says so, and is not written beyond. */
	if (wire_len) {
		size_t cap = random_number() % (size_t)wire_len;

		shorter = exactly(NULL, cap);
		HOLDS(option_encode(option, host, len, shorter, cap) == -ENOBUFS, "%s", option->text);
		free(shorter);
	}
	if (back_len) {
		size_t cap = random_number() % (size_t)back_len;

		shorter = exactly(NULL, cap);
		HOLDS(option_decode(option, wire, (size_t)wire_len, shorter, cap) == -ENOBUFS, "%s", option->text);
		free(shorter);
	}
	free(host);
	free(wire);
	free(back);
}

/* Lengths from nothing to far too much, bytes at random and at the edges. */
Test(values_properties, values_that_are_set)
{
	uint8_t bytes[1024];

	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		const struct socket_option *option = option_at(i);

		for (size_t len = 0; len <= 300; len++) {
			random_bytes(bytes, len);
			check_value(option, bytes, len);
		}
		for (size_t len = 0; len <= 32; len++) {
			memset(bytes, 0xff, len);
			check_value(option, bytes, len);
			memset(bytes, 0, len);
			check_value(option, bytes, len);
			memset(bytes, 0x80, len);
			check_value(option, bytes, len);
		}
		for (int round = 0; round < 200; round++) {
			size_t len = random_number() % sizeof bytes;

			random_bytes(bytes, len);
			check_value(option, bytes, len);
		}
		check_value(option, NULL, 0);
	}
}

Test(values_properties, errors_that_are_read)
{
	const struct socket_option *option = option_by_wire(SPLITSOCK__OPTION__OPTION_SO_ERROR);

	for (int error = -200; error <= 4096; error++)
		check_value(option, (uint8_t *)&error, sizeof error);
	for (int i = 0; i < 10000; i++) {
		int error = (int)random_number();

		check_value(option, (uint8_t *)&error, sizeof error);
	}
}

/* Whatever arrives is refused, or is what an encoder makes of what it was decoded to. */
Test(values_properties, wire_bytes_that_nobody_made)
{
	uint8_t bytes[700], host[1400], again[1400];
	unsigned taken = 0, refused = 0;

	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		const struct socket_option *option = option_at(i);

		for (size_t len = 0; len <= sizeof bytes; len += len < 280 ? 1 : 17) {
			uint8_t *wire;
			ssize_t host_len;

			random_bytes(bytes, len);
			wire = exactly(bytes, len);
			host_len = option_decode(option, wire, len, host, sizeof host);
			if (host_len < 0) {
				HOLDS(host_len == -EINVAL, "%s: %zd", option->text, host_len);
				refused++;
			} else if (option->value == OPTION_ERRNO) {
				HOLDS(number_at(host, 4) == EIO, "%s", option->text);
				taken++;
			} else {
				ssize_t again_len = option_encode(option, host, (size_t)host_len, again, sizeof again);

				HOLDS(again_len == (ssize_t)len && memcmp(again, wire, len) == 0, "%s with %zu bytes", option->text, len);
				taken++;
			}
			free(wire);
		}
	}
	HOLDS(taken > 1000 && refused > 10000, "%u, %u", taken, refused);
}

/* Reading never needs more than it says, and never gives more than there is room for, nor more than there is. */
Test(values_properties, room_for_values_that_are_read)
{
	for (unsigned i = 0; i < OPTION_COUNT; i++) {
		const struct socket_option *option = option_at(i);

		for (size_t room = 0; room <= 300; room++) {
			size_t asked = option_room(option, room), len;
			uint8_t *host;

			HOLDS(asked >= room || asked >= 4, "%s: %zu for %zu", option->text, asked, room);
			HOLDS(asked <= (room > 16 ? room + 7 : 16), "%s: %zu for %zu", option->text, asked, room);
			for (size_t given = 0; given <= asked; given++) {
				host = exactly(NULL, given);
				random_bytes(host, given);
				if (given)
					host[given - 1] &= (uint8_t)(random_number() & 1 ? 0xff : 0);
				len = option_cut(option, host, given, room);
				HOLDS(len <= room && len <= given, "%s: %zu of %zu for %zu", option->text, len, given, room);
				free(host);
			}
			host = exactly(NULL, asked);
			memset(host, 0, asked);
			HOLDS(option_cut(option, host, asked, asked) == asked, "%s", option->text);
			free(host);
		}
	}
}

/* ---- addresses ------------------------------------------------------------------------------------- */

/* What the kernel makes of an address: the members that count, each in its place, all others 0. Returns its length or -errno. */
static int
kernel_address(struct sockaddr_storage *out, const uint8_t *bytes, size_t len)
{
	sa_family_t family;

	memset(out, 0, sizeof *out);
	if (len < sizeof family || len > sizeof *out)
		return -EINVAL;
	memcpy(&family, bytes, sizeof family);
	out->ss_family = family;
	switch (family) {
	case AF_UNSPEC:
		return sizeof family;
	case AF_INET:
		if (len < sizeof(struct sockaddr_in))
			return -EINVAL;
		memcpy(out, bytes, 8); /* not sin_zero */
		return sizeof(struct sockaddr_in);
	case AF_INET6:
		if (len < 24)
			return -EINVAL;
		memcpy(out, bytes, len < 28 ? 24 : 28);
		return sizeof(struct sockaddr_in6);
	case AF_NETLINK:
		if (len < 12)
			return -EINVAL;
		memcpy(out, bytes, 2);
		memcpy((char *)out + 4, bytes + 4, 8); /* not nl_pad */
		return sizeof(struct sockaddr_nl);
	}
	return len < sizeof(struct sockaddr_in) ? -EINVAL : -EAFNOSUPPORT;
}

static void
check_address(const uint8_t *bytes, size_t len)
{
	uint8_t *host = exactly(bytes, len <= 200 ? len : 200);
	struct sockaddr_storage expected, got;
	struct wire_address wire, again, through;
	Splitsock__Address message;
	int kernel = kernel_address(&expected, bytes, len);
	int error = wire_address_from_host(&wire, (struct sockaddr *)(void *)host, (socklen_t)len);
	socklen_t got_len;

	free(host);
	if (kernel < 0) {
		HOLDS(error == kernel, "family %d, %zu bytes: %d", expected.ss_family, len, error);
		return;
	}
	HOLDS(error == 0, "family %d, %zu bytes: %d", expected.ss_family, len, error);
	HOLDS(wire.port <= 65535, "%u", wire.port);
	HOLDS(wire_address_to_host(&wire, &got, &got_len) == 0, "family %d", expected.ss_family);
	HOLDS(got_len == (socklen_t)kernel && memcmp(&got, &expected, sizeof got) == 0, "family %d, %zu bytes", expected.ss_family,
	      len);
	HOLDS(wire_address_from_host(&again, (struct sockaddr *)&got, got_len) == 0 && memcmp(&again, &wire, sizeof again) == 0,
	      "family %d, %zu bytes", expected.ss_family, len);
	/* As a message, and back. */
	address_to_message(&message, &wire);
	HOLDS(address_from_message(&through, &message) == 0 && memcmp(&through, &wire, sizeof through) == 0, "family %d",
	      expected.ss_family);
}

Test(values_properties, addresses_of_the_host)
{
	static const sa_family_t families[] = {AF_INET, AF_INET6, AF_NETLINK, AF_UNSPEC, AF_UNIX, AF_PACKET};
	uint8_t bytes[200];

	for (int round = 0; round < 400; round++) {
		for (size_t len = 0; len <= 140; len++) {
			sa_family_t family = round % 8 < 6 ? families[round % 8] : (sa_family_t)random_number();

			random_bytes(bytes, sizeof bytes);
			memcpy(bytes, &family, sizeof family);
			check_address(bytes, len);
		}
	}
	check_address(bytes, INT32_MAX);
	check_address(bytes, (size_t)(uint32_t)-1);
	check_address(bytes, (size_t)(uint32_t)INT32_MIN);
}

/* Whatever a message says, what comes out of it is an address of the kernel's form, or nothing. */
Test(values_properties, addresses_of_the_wire)
{
	unsigned taken = 0, refused = 0;

	for (int round = 0; round < 200000; round++) {
		Splitsock__Address message = SPLITSOCK__ADDRESS__INIT;
		struct sockaddr_storage host, expected;
		struct wire_address wire, back;
		uint8_t ip[40];
		socklen_t len;

		random_bytes(ip, sizeof ip);
		message.family = round % 8 ? (uint32_t)(random_number() % 8) : (uint32_t)random_number();
		message.ip.len = round % 4 == 0 ? random_number() % sizeof ip
		                 : message.family == SPLITSOCK__FAMILY__FAMILY_INET ? 4
		                 : message.family == SPLITSOCK__FAMILY__FAMILY_INET6 ? 16 : 0;
		message.ip.data = exactly(ip, message.ip.len);
		message.port = (uint32_t)random_number() >> (round % 32);
		message.flow_info = (uint32_t)random_number();
		message.scope_id = (uint32_t)random_number();
		message.netlink_pid = (uint32_t)random_number();
		message.netlink_groups = (uint32_t)random_number();
		if (address_from_message(&wire, &message) == 0) {
			HOLDS(message.port <= 65535, "%u", message.port);
			if (wire_address_to_host(&wire, &host, &len) == 0) {
				HOLDS(kernel_address(&expected, (uint8_t *)&host, len) == (int)len &&
				          memcmp(&expected, &host, sizeof host) == 0, "family %u", wire.family);
				HOLDS(wire_address_from_host(&back, (struct sockaddr *)&host, len) == 0, "family %u", wire.family);
				HOLDS(back.family == wire.family, "family %u", wire.family);
				HOLDS(back.port == wire.port || wire.family > SPLITSOCK__FAMILY__FAMILY_INET6, "family %u", wire.family);
				taken++;
			} else {
				HOLDS(host_family(wire.family) == -1 || wire.family == SPLITSOCK__FAMILY__FAMILY_PACKET ||
				          wire.family == SPLITSOCK__FAMILY__FAMILY_UNIX, "family %u", wire.family);
				refused++;
			}
		} else {
			refused++;
		}
		free(message.ip.data);
	}
	HOLDS(taken > 10000 && refused > 10000, "%u, %u", taken, refused);
}
