/*
 * Control messages: their data both ways, and whole lists of them.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <netinet/in.h>

#include <linux/errqueue.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/udp.h>

#include "proto/control.h"
#include "proto/values.h"

TestSuite(control, .timeout = 30);

/* What the kernel's sources say of each type: the length of its data, and whether it ends in an address. */
static const struct type {
	int level, type;
	size_t len;
	int family; /* of the address at the end */
} types[] = {
	{SOL_SOCKET, SO_MARK, 4, 0},
	{SOL_SOCKET, SO_PRIORITY, 4, 0},
	{SOL_SOCKET, SO_RXQ_OVFL, 4, 0},
	{SOL_SOCKET, SO_TIMESTAMPING_NEW, 4, 0},
	{SOL_SOCKET, SO_TIMESTAMPING_NEW, 48, 0},
	{SOL_SOCKET, SO_TIMESTAMPING_OLD, 4, 0},
	{SOL_SOCKET, SO_TIMESTAMPING_OLD, 3 * sizeof(struct timespec), 0},
	{SOL_SOCKET, SO_TIMESTAMPNS_NEW, 16, 0},
	{SOL_SOCKET, SO_TIMESTAMPNS_OLD, sizeof(struct timespec), 0},
	{SOL_SOCKET, SO_TIMESTAMP_NEW, 16, 0},
	{SOL_SOCKET, SO_TIMESTAMP_OLD, sizeof(struct timeval), 0},
	{SOL_SOCKET, SO_TXTIME, 8, 0},
	{IPPROTO_UDP, UDP_GRO, 4, 0},
	{IPPROTO_UDP, UDP_SEGMENT, 2, 0},
	{IPPROTO_IP, IP_CHECKSUM, 4, 0},
	{IPPROTO_IP, IP_ORIGDSTADDR, sizeof(struct sockaddr_in), AF_INET},
	{IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo), 0},
	{IPPROTO_IP, IP_PROTOCOL, 4, 0},
	{IPPROTO_IP, IP_RECVFRAGSIZE, 4, 0},
	{IPPROTO_IP, IP_RECVOPTS, 12, 0},
	{IPPROTO_IP, IP_RETOPTS, 40, 0},
	{IPPROTO_IP, IP_TOS, 1, 0},
	{IPPROTO_IP, IP_TOS, 4, 0},
	{IPPROTO_IP, IP_TTL, 4, 0},
	{IPPROTO_IPV6, IPV6_2292PKTINFO, sizeof(struct in6_pktinfo), 0},
	{IPPROTO_IPV6, IPV6_DONTFRAG, 4, 0},
	{IPPROTO_IPV6, IPV6_DSTOPTS, 16, 0},
	{IPPROTO_IPV6, IPV6_FLOWINFO, 4, 0},
	{IPPROTO_IPV6, IPV6_HOPLIMIT, 4, 0},
	{IPPROTO_IPV6, IPV6_HOPOPTS, 8, 0},
	{IPPROTO_IPV6, IPV6_ORIGDSTADDR, sizeof(struct sockaddr_in6), AF_INET6},
	{IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo), 0},
	{IPPROTO_IPV6, IPV6_RECVFRAGSIZE, 4, 0},
	{IPPROTO_IPV6, IPV6_RTHDR, 24, 0},
	{IPPROTO_IPV6, IPV6_TCLASS, 4, 0},
};
#define TYPES (sizeof types / sizeof *types)

static void
fill(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)random();
}

/* Random data that the kernel could have made. */
static void
fill_as(const struct type *type, uint8_t *bytes)
{
	fill(bytes, type->len);
	if (type->family == AF_INET) {
		struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)random())};

		in.sin_addr.s_addr = (in_addr_t)random();
		memcpy(bytes + type->len - sizeof in, &in, sizeof in);
	} else if (type->family == AF_INET6) {
		struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)random()), .sin6_scope_id = 7};

		fill(in6.sin6_addr.s6_addr, sizeof in6.sin6_addr);
		memcpy(bytes + type->len - sizeof in6, &in6, sizeof in6);
	}
}

Test(control, every_type_comes_back_as_it_was)
{
	srandom(1);
	for (size_t i = 0; i < TYPES; i++)
		for (int round = 0; round < 200; round++) {
			uint8_t host[CONTROL_DATA_MAX], wire[CONTROL_DATA_MAX], back[CONTROL_DATA_MAX];
			uint32_t wire_type;
			ssize_t wire_len, len;
			int level, type;

			fill_as(&types[i], host);
			wire_len = control_encode(types[i].level, types[i].type, host, types[i].len, &wire_type, wire);
			cr_assert_geq(wire_len, 1, "level %d type %d: %zd", types[i].level, types[i].type, wire_len);
			len = control_decode(wire_type, wire, (size_t)wire_len, &level, &type, back);
			cr_assert_eq(len, (ssize_t)types[i].len, "level %d type %d: %zd bytes", types[i].level, types[i].type, len);
			cr_assert(level == types[i].level && type == types[i].type);
			cr_assert_arr_eq(back, host, types[i].len, "level %d type %d", level, type);
		}
}

Test(control, recorded_bytes)
{
	struct in_pktinfo info = {.ipi_ifindex = 0x0102, .ipi_spec_dst.s_addr = htonl(0x7f000001), .ipi_addr.s_addr = htonl(0x0a000203)};
	static const uint8_t info_wire[] = {2, 1, 0, 0, 127, 0, 0, 1, 10, 0, 2, 3};
	struct {
		struct sock_extended_err error;
		struct sockaddr_in6 offender;
	} error = {
		.error = {.ee_errno = ECONNREFUSED, .ee_origin = SO_EE_ORIGIN_ICMP6, .ee_type = 1, .ee_code = 4, .ee_info = 5, .ee_data = 6},
		.offender = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT, .sin6_scope_id = 9},
	};
	uint8_t error_wire[] = {0, 0, 0, 0, 3, 1, 4, 0, 5, 0, 0, 0, 6, 0, 0, 0, /* the offender */ 0, 0, 0, 0, 0, 0, 0, 0,
	                        0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
	uint8_t out[CONTROL_DATA_MAX];
	uint32_t type;

	cr_assert_eq(control_encode(IPPROTO_IP, IP_PKTINFO, &info, sizeof info, &type, out), (ssize_t)sizeof info_wire);
	cr_assert_arr_eq(out, info_wire, sizeof info_wire);
	/* The errno and the family have values of their own on the wire. */
	error_wire[0] = (uint8_t)wire_errno(ECONNREFUSED);
	error_wire[16] = (uint8_t)wire_family(AF_INET6);
	cr_assert_eq(control_encode(IPPROTO_IPV6, IPV6_RECVERR, &error, sizeof error, &type, out), (ssize_t)sizeof error_wire);
	cr_assert_arr_eq(out, error_wire, sizeof error_wire);
}

/* Whatever arrives. */
Test(control, hostile_data_is_refused)
{
	srandom(2);
	for (int round = 0; round < 200000; round++) {
		uint8_t wire[CONTROL_DATA_MAX + 64], out[CONTROL_DATA_MAX];
		size_t len = (size_t)random() % sizeof wire;
		int level, type;
		ssize_t n;

		fill(wire, len < 64 ? len : 64);
		n = control_decode((uint32_t)(random() % 40), wire, len, &level, &type, out);
		cr_assert(n == -ENOENT || n == -EINVAL || (n >= 0 && n <= (ssize_t)sizeof out), "%zd", n);
	}
	for (size_t i = 0; i < TYPES; i++)
		for (size_t len = 0; len < 70; len++) {
			uint8_t host[128] = {0}, out[CONTROL_DATA_MAX];
			uint32_t type;
			ssize_t n = control_encode(types[i].level, types[i].type, host, len, &type, out);

			cr_assert(n == -EINVAL || (n >= 0 && n <= (ssize_t)sizeof out), "%zd", n);
		}
}

static size_t
put(char *buffer, size_t at, int level, int type, const void *data, size_t len)
{
	struct cmsghdr header = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};

	memcpy(buffer + at, &header, sizeof header);
	memcpy(buffer + at + CMSG_LEN(0), data, len);
	return at + CMSG_SPACE(len);
}

Test(control, lists)
{
	_Alignas(struct cmsghdr) char buffer[256] = "", back[CONTROL_BYTES_MAX];
	struct control_list *list = calloc(1, sizeof *list);
	size_t len = 0;
	int ttl = 64, odd = 1;

	len = put(buffer, len, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
	len = put(buffer, len, 250, 1, &odd, sizeof odd); /* does not travel */
	len = put(buffer, len, IPPROTO_IP, IP_TOS, "\x10", 1);
	control_list_add_all(list, buffer, len);
	cr_assert_eq(list->count, 2);
	cr_assert_eq(control_to_host(list->list, list->count, back, sizeof back), (ssize_t)(CMSG_SPACE(4) + CMSG_SPACE(1)));
	cr_assert_arr_eq(back, buffer, CMSG_LEN(4));
	cr_assert_arr_eq(back + CMSG_SPACE(4), buffer + 2 * CMSG_SPACE(4), CMSG_LEN(1));
	cr_assert_eq(control_to_host(list->list, list->count, back, CMSG_SPACE(4)), -ENOBUFS);
	while (list->count < CONTROL_MESSAGES_MAX)
		cr_assert_eq(control_list_add(list, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl), 0);
	cr_assert_eq(control_list_add(list, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl), -ENOBUFS);
	free(list);
}

Test(control, a_walk_stays_inside)
{
	srandom(3);
	for (int round = 0; round < 100000; round++) {
		size_t len = (size_t)random() % 64, at = 0, steps = 0;
		_Alignas(struct cmsghdr) uint8_t buffer[64];
		const struct cmsghdr *header;
		bool bad;

		fill(buffer, sizeof buffer);
		if (len >= sizeof *header)
			*(size_t *)buffer = (size_t)random() % 80;
		while ((header = control_next(buffer, len, &at, &bad))) {
			cr_assert((const uint8_t *)header + header->cmsg_len <= buffer + len);
			cr_assert_leq(++steps, 4);
		}
	}
}
