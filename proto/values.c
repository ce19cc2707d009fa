#include "proto/values.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/netlink.h>

#include "proto/values.pb-c.h"

/*
 * Each list holds a noun's values once. The switches made of it do not compile with a number named twice, or (-Wswitch) with
 * a wire value missing.
 */
#define FAMILIES(X) X(INET) X(INET6) X(NETLINK) X(PACKET) X(UNIX) X(UNSPEC)
#define SOCKET_TYPES(X) X(DCCP) X(DGRAM) X(PACKET) X(RAW) X(RDM) X(SEQPACKET) X(STREAM)
#define SHUTDOWNS(X) X(RD) X(RDWR) X(WR)
#define MESSAGE_FLAGS(X) \
	X(BATCH) X(CMSG_CLOEXEC) X(CONFIRM) X(CTRUNC) X(DONTROUTE) X(DONTWAIT) X(EOR) X(ERRQUEUE) X(FASTOPEN) X(MORE) \
	X(NOSIGNAL) X(OOB) X(PEEK) X(PROBE) X(TRUNC) X(WAITALL) X(WAITFORONE) X(ZEROCOPY)

#ifndef MSG_BATCH
#define MSG_BATCH 0x40000
#endif
#ifndef MSG_PROBE
#define MSG_PROBE 0x10
#endif

uint32_t
wire_family(int host)
{
	switch (host) {
#define TO_WIRE(name) \
	case AF_##name: \
		return SPLITSOCK__FAMILY__FAMILY_##name;
		FAMILIES(TO_WIRE)
#undef TO_WIRE
	}
	return SPLITSOCK__FAMILY__FAMILY_UNSPECIFIED;
}

int
host_family(uint32_t wire)
{
	switch ((Splitsock__Family)wire) {
#define TO_HOST(name) \
	case SPLITSOCK__FAMILY__FAMILY_##name: \
		return AF_##name;
		FAMILIES(TO_HOST)
#undef TO_HOST
	case SPLITSOCK__FAMILY__FAMILY_UNSPECIFIED:
	case _SPLITSOCK__FAMILY_IS_INT_SIZE:
		break;
	}
	return -1;
}

uint32_t
wire_socket_type(int host)
{
	switch (host) {
#define TO_WIRE(name) \
	case SOCK_##name: \
		return SPLITSOCK__SOCKET_TYPE__SOCKET_TYPE_##name;
		SOCKET_TYPES(TO_WIRE)
#undef TO_WIRE
	}
	return SPLITSOCK__SOCKET_TYPE__SOCKET_TYPE_UNSPECIFIED;
}

int
host_socket_type(uint32_t wire)
{
	switch ((Splitsock__SocketType)wire) {
#define TO_HOST(name) \
	case SPLITSOCK__SOCKET_TYPE__SOCKET_TYPE_##name: \
		return SOCK_##name;
		SOCKET_TYPES(TO_HOST)
#undef TO_HOST
	case SPLITSOCK__SOCKET_TYPE__SOCKET_TYPE_UNSPECIFIED:
	case _SPLITSOCK__SOCKET_TYPE_IS_INT_SIZE:
		break;
	}
	return -1;
}

uint32_t
wire_shutdown(int host)
{
	switch (host) {
#define TO_WIRE(name) \
	case SHUT_##name: \
		return SPLITSOCK__SHUTDOWN_HOW__SHUTDOWN_HOW_##name;
		SHUTDOWNS(TO_WIRE)
#undef TO_WIRE
	}
	return SPLITSOCK__SHUTDOWN_HOW__SHUTDOWN_HOW_UNSPECIFIED;
}

int
host_shutdown(uint32_t wire)
{
	switch ((Splitsock__ShutdownHow)wire) {
#define TO_HOST(name) \
	case SPLITSOCK__SHUTDOWN_HOW__SHUTDOWN_HOW_##name: \
		return SHUT_##name;
		SHUTDOWNS(TO_HOST)
#undef TO_HOST
	case SPLITSOCK__SHUTDOWN_HOW__SHUTDOWN_HOW_UNSPECIFIED:
	case _SPLITSOCK__SHUTDOWN_HOW_IS_INT_SIZE:
		break;
	}
	return -1;
}

static const struct message_flag {
	uint32_t wire;
	int host;
} message_flags[] = {
#define ROW(name) {SPLITSOCK__MESSAGE_FLAG__MESSAGE_FLAG_##name, MSG_##name},
	MESSAGE_FLAGS(ROW)
#undef ROW
};
#define MESSAGE_FLAG_COUNT (sizeof message_flags / sizeof message_flags[0])

#define OR_WIRE(name) | SPLITSOCK__MESSAGE_FLAG__MESSAGE_FLAG_##name
#define OR_HOST(name) | MSG_##name
static_assert((0u MESSAGE_FLAGS(OR_WIRE)) == (1u << MESSAGE_FLAG_COUNT) - 1, "a bit of its own for each, without gaps");
static_assert(__builtin_popcount(0u MESSAGE_FLAGS(OR_HOST)) == (int)MESSAGE_FLAG_COUNT, "one bit for each");

uint32_t
wire_message_flags(int host, int *unknown)
{
	uint32_t wire = 0;

	for (size_t i = 0; i < MESSAGE_FLAG_COUNT; i++) {
		if (host & message_flags[i].host)
			wire |= message_flags[i].wire;
		host &= ~message_flags[i].host;
	}
	if (unknown)
		*unknown = host;
	return wire;
}

int
host_message_flags(uint32_t wire, uint32_t *unknown)
{
	int host = 0;

	for (size_t i = 0; i < MESSAGE_FLAG_COUNT; i++) {
		if (wire & message_flags[i].wire)
			host |= message_flags[i].host;
		wire &= ~message_flags[i].wire;
	}
	if (unknown)
		*unknown = wire;
	return host;
}

/* ---- addresses ------------------------------------------------------------------------------------- */

#define SIN6_LEN_RFC2133 24u /* the kernel's name for a sockaddr_in6 without sin6_scope_id */
static_assert(offsetof(struct sockaddr_in6, sin6_scope_id) == SIN6_LEN_RFC2133, "as in the kernel");

static int
inet_from_host(struct wire_address *wire, const struct sockaddr *host, socklen_t len)
{
	struct sockaddr_in in;

	if (len < sizeof in)
		return -EINVAL;
	memcpy(&in, host, sizeof in);
	memcpy(wire->ip, &in.sin_addr, sizeof in.sin_addr);
	wire->port = ntohs(in.sin_port);
	return 0;
}

static int
inet6_from_host(struct wire_address *wire, const struct sockaddr *host, socklen_t len)
{
	struct sockaddr_in6 in6 = {0};

	if (len < SIN6_LEN_RFC2133)
		return -EINVAL;
	memcpy(&in6, host, len < sizeof in6 ? SIN6_LEN_RFC2133 : sizeof in6);
	memcpy(wire->ip, &in6.sin6_addr, sizeof in6.sin6_addr);
	wire->port = ntohs(in6.sin6_port);
	wire->flow_info = ntohl(in6.sin6_flowinfo);
	wire->scope_id = in6.sin6_scope_id;
	return 0;
}

static int
netlink_from_host(struct wire_address *wire, const struct sockaddr *host, socklen_t len)
{
	struct sockaddr_nl nl;

	if (len < sizeof nl)
		return -EINVAL;
	memcpy(&nl, host, sizeof nl);
	wire->netlink_pid = nl.nl_pid;
	wire->netlink_groups = nl.nl_groups;
	return 0;
}

int
wire_address_from_host(struct wire_address *wire, const struct sockaddr *host, socklen_t len)
{
	sa_family_t family;

	*wire = (struct wire_address){0};
	/* A negative length is a huge socklen_t. */
	if (len < sizeof family || len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	memcpy(&family, host, sizeof family);
	wire->family = wire_family(family);
	switch (family) {
	case AF_UNSPEC:
		return 0;
	case AF_INET:
		return inet_from_host(wire, host, len);
	case AF_INET6:
		return inet6_from_host(wire, host, len);
	case AF_NETLINK:
		return netlink_from_host(wire, host, len);
	}
	/* Linux looks at the length first, and then at the family. */
	return len < sizeof(struct sockaddr_in) ? -EINVAL : -EAFNOSUPPORT;
}

int
wire_address_to_host(const struct wire_address *wire, struct sockaddr_storage *host, socklen_t *len)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK};

	memset(host, 0, sizeof *host);
	*len = 0;
	if (wire->port > UINT16_MAX)
		return -EINVAL;
	switch (host_family(wire->family)) {
	case AF_UNSPEC:
		host->ss_family = AF_UNSPEC;
		*len = sizeof host->ss_family;
		return 0;
	case AF_INET:
		memcpy(&in.sin_addr, wire->ip, sizeof in.sin_addr);
		in.sin_port = htons((uint16_t)wire->port);
		*len = sizeof in;
		memcpy(host, &in, sizeof in);
		return 0;
	case AF_INET6:
		memcpy(&in6.sin6_addr, wire->ip, sizeof in6.sin6_addr);
		in6.sin6_port = htons((uint16_t)wire->port);
		in6.sin6_flowinfo = htonl(wire->flow_info);
		in6.sin6_scope_id = wire->scope_id;
		*len = sizeof in6;
		memcpy(host, &in6, sizeof in6);
		return 0;
	case AF_NETLINK:
		nl.nl_pid = wire->netlink_pid;
		nl.nl_groups = wire->netlink_groups;
		*len = sizeof nl;
		memcpy(host, &nl, sizeof nl);
		return 0;
	}
	return -EAFNOSUPPORT;
}
