/*
 * Control messages: one table, and how their data travels.
 *
 * A type's data is one of a few layouts, each a string with a letter for each member. The same string, read on either side, lays
 * out the host's structure and the wire's bytes:
 *
 *     b 1 byte             i an int, 4 bytes         h an unsigned short, 2 bytes   q 8 bytes
 *     l a long             e an errno, an int        a 4 bytes as they are          A 16 bytes as they are
 *     s a sockaddr_in      S a sockaddr_in6          r the rest, as it is
 *
 * No structure here has padding. Where a type has two layouts (sent and received differ), the data's length tells which it is.
 */
#include "proto/values.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* After <netinet/in.h>, these only add what the C library lacks. */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/udp.h>

#include "proto/values.pb-c.h"

#define TIMES "llllll" /* three of struct timespec */
#define TIMES_64 "qqqqqq"
#define EXTENDED_ERROR "ebbbbii" /* struct sock_extended_err; the offender's address follows */

static const struct control_type {
	uint32_t wire;
	int level, type;
	const char *layouts[2];
} types[] = {
#define ROW(LEVEL, NAME, ...) {SPLITSOCK__CONTROL_TYPE__CONTROL_TYPE_##NAME, LEVEL, NAME, {__VA_ARGS__}}
	ROW(SOL_SOCKET, SO_MARK, "i"),
	ROW(SOL_SOCKET, SO_PRIORITY, "i"),
	ROW(SOL_SOCKET, SO_RXQ_OVFL, "i"),
	ROW(SOL_SOCKET, SO_TIMESTAMPING_NEW, "i", TIMES_64),
	ROW(SOL_SOCKET, SO_TIMESTAMPING_OLD, "i", TIMES),
	ROW(SOL_SOCKET, SO_TIMESTAMPNS_NEW, "qq"),
	ROW(SOL_SOCKET, SO_TIMESTAMPNS_OLD, "ll"),
	ROW(SOL_SOCKET, SO_TIMESTAMP_NEW, "qq"),
	ROW(SOL_SOCKET, SO_TIMESTAMP_OLD, "ll"),
	ROW(SOL_SOCKET, SO_TXTIME, "q"),
	ROW(IPPROTO_UDP, UDP_GRO, "i"),
	ROW(IPPROTO_UDP, UDP_SEGMENT, "h"),
	ROW(IPPROTO_IP, IP_CHECKSUM, "i"),
	ROW(IPPROTO_IP, IP_ORIGDSTADDR, "s"),
	ROW(IPPROTO_IP, IP_PKTINFO, "iaa"),
	ROW(IPPROTO_IP, IP_PROTOCOL, "i"),
	ROW(IPPROTO_IP, IP_RECVERR, EXTENDED_ERROR "s"),
	ROW(IPPROTO_IP, IP_RECVFRAGSIZE, "i"),
	ROW(IPPROTO_IP, IP_RECVOPTS, "r"),
	ROW(IPPROTO_IP, IP_RETOPTS, "r"),
	ROW(IPPROTO_IP, IP_TOS, "b", "i"),
	ROW(IPPROTO_IP, IP_TTL, "i"),
	ROW(IPPROTO_IPV6, IPV6_2292PKTINFO, "Ai"),
	ROW(IPPROTO_IPV6, IPV6_DONTFRAG, "i"),
	ROW(IPPROTO_IPV6, IPV6_DSTOPTS, "r"),
	ROW(IPPROTO_IPV6, IPV6_FLOWINFO, "a"),
	ROW(IPPROTO_IPV6, IPV6_HOPLIMIT, "i"),
	ROW(IPPROTO_IPV6, IPV6_HOPOPTS, "r"),
	ROW(IPPROTO_IPV6, IPV6_ORIGDSTADDR, "S"),
	ROW(IPPROTO_IPV6, IPV6_PATHMTU, "Si"),
	ROW(IPPROTO_IPV6, IPV6_PKTINFO, "Ai"),
	ROW(IPPROTO_IPV6, IPV6_RECVERR, EXTENDED_ERROR "S"),
	ROW(IPPROTO_IPV6, IPV6_RECVFRAGSIZE, "i"),
	ROW(IPPROTO_IPV6, IPV6_RTHDR, "r"),
	ROW(IPPROTO_IPV6, IPV6_TCLASS, "i"),
#undef ROW
};
#define TYPES (sizeof types / sizeof *types)

#define WIRE_SOCKADDR 32u

struct width {
	size_t host, wire;
};

static struct width
width_of(char member)
{
	switch (member) {
	case 'b':
		return (struct width){1, 1};
	case 'h':
		return (struct width){sizeof(unsigned short), 2};
	case 'q':
		return (struct width){8, 8};
	case 'l':
		return (struct width){sizeof(long), 8};
	case 'A':
		return (struct width){16, 16};
	case 's':
		return (struct width){sizeof(struct sockaddr_in), WIRE_SOCKADDR};
	case 'S':
		return (struct width){sizeof(struct sockaddr_in6), WIRE_SOCKADDR};
	default: /* a, e, i */
		return (struct width){4, 4};
	}
}

static void
put_u32(uint8_t *out, uint32_t value)
{
	value = htole32(value);
	memcpy(out, &value, sizeof value);
}

static uint32_t
get_u32(const uint8_t *in)
{
	uint32_t value;

	memcpy(&value, in, sizeof value);
	return le32toh(value);
}

static bool
sockaddr_encode(const uint8_t *host, size_t len, uint8_t *out)
{
	struct sockaddr_storage aligned = {0};
	struct wire_address wire;

	memcpy(&aligned, host, len);
	if (wire_address_from_host(&wire, (struct sockaddr *)&aligned, (socklen_t)len) != 0)
		return false;
	put_u32(out, wire.family);
	put_u32(out + 4, wire.port);
	put_u32(out + 8, wire.flow_info);
	put_u32(out + 12, wire.scope_id);
	memcpy(out + 16, wire.ip, sizeof wire.ip);
	return true;
}

static bool
sockaddr_decode(const uint8_t *in, uint8_t *host, size_t len)
{
	struct wire_address wire = {
		.family = get_u32(in), .port = get_u32(in + 4), .flow_info = get_u32(in + 8), .scope_id = get_u32(in + 12)};
	struct sockaddr_storage address;
	socklen_t used;

	memcpy(wire.ip, in + 16, sizeof wire.ip);
	if (wire_address_to_host(&wire, &address, &used) != 0 || used > len)
		return false;
	memcpy(host, &address, len); /* what it does not use is 0 */
	return true;
}

static bool
member_encode(char member, const uint8_t *host, uint8_t *out)
{
	uint32_t u32;
	uint64_t u64;
	uint16_t u16;
	long number;

	switch (member) {
	case 'h':
		memcpy(&u16, host, sizeof u16);
		u16 = htole16(u16);
		memcpy(out, &u16, sizeof u16);
		return true;
	case 'e':
	case 'i':
		memcpy(&u32, host, sizeof u32);
		put_u32(out, member == 'e' ? wire_errno((int)u32) : u32);
		return true;
	case 'l':
		memcpy(&number, host, sizeof number);
		u64 = htole64((uint64_t)(int64_t)number);
		memcpy(out, &u64, sizeof u64);
		return true;
	case 'q':
		memcpy(&u64, host, sizeof u64);
		u64 = htole64(u64);
		memcpy(out, &u64, sizeof u64);
		return true;
	case 's':
	case 'S':
		return sockaddr_encode(host, width_of(member).host, out);
	default:
		memcpy(out, host, width_of(member).host);
		return true;
	}
}

static bool
member_decode(char member, const uint8_t *in, uint8_t *host)
{
	uint32_t u32;
	uint64_t u64;
	uint16_t u16;
	long number;

	switch (member) {
	case 'h':
		memcpy(&u16, in, sizeof u16);
		u16 = le16toh(u16);
		memcpy(host, &u16, sizeof u16);
		return true;
	case 'e':
	case 'i':
		u32 = get_u32(in);
		if (member == 'e')
			u32 = (uint32_t)host_errno(u32);
		memcpy(host, &u32, sizeof u32);
		return true;
	case 'l':
		memcpy(&u64, in, sizeof u64);
		number = (long)le64toh(u64);
		memcpy(host, &number, sizeof number);
		return true;
	case 'q':
		memcpy(&u64, in, sizeof u64);
		u64 = le64toh(u64);
		memcpy(host, &u64, sizeof u64);
		return true;
	case 's':
	case 'S':
		return sockaddr_decode(in, host, width_of(member).host);
	default:
		memcpy(host, in, width_of(member).host);
		return true;
	}
}

/* Converts by the layout that has this length; `encode` says which way. */
static ssize_t
convert(const struct control_type *type, const uint8_t *in, size_t len, uint8_t *out, bool encode)
{
	for (size_t i = 0; i < 2 && type->layouts[i]; i++) {
		const char *layout = type->layouts[i];
		size_t from = 0, to = 0;

		if (*layout == 'r') {
			if (len > CONTROL_DATA_MAX)
				return -EINVAL;
			if (len) /* no bytes need not be anywhere */
				memcpy(out, in, len);
			return (ssize_t)len;
		}
		for (const char *member = layout; *member; member++)
			from += encode ? width_of(*member).host : width_of(*member).wire;
		if (from != len)
			continue;
		for (const char *member = layout; *member; member++) {
			struct width width = width_of(*member);

			if (!(encode ? member_encode(*member, in, out + to) : member_decode(*member, in, out + to)))
				return -EINVAL;
			in += encode ? width.host : width.wire;
			to += encode ? width.wire : width.host;
		}
		return (ssize_t)to;
	}
	return -EINVAL;
}

ssize_t
control_encode(int level, int type, const void *data, size_t len, uint32_t *wire_type, uint8_t *out)
{
	for (size_t i = 0; i < TYPES; i++) {
		if (types[i].level != level || types[i].type != type)
			continue;
		*wire_type = types[i].wire;
		return convert(&types[i], data, len, out, true);
	}
	return -ENOENT;
}

ssize_t
control_decode(uint32_t wire_type, const uint8_t *data, size_t len, int *level, int *type, void *out)
{
	for (size_t i = 0; i < TYPES; i++) {
		if (types[i].wire != wire_type)
			continue;
		*level = types[i].level;
		*type = types[i].type;
		return convert(&types[i], data, len, out, false);
	}
	return -ENOENT;
}
