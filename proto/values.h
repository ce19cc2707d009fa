/*
 * Between this machine's numbers and those of the wire (values.proto). Pure functions over plain data.
 *
 * Wire values are taken and given as plain uint32_t, so that whatever arrived can be passed in. Here "host" means
 * the machine that runs this code, whichever side it is.
 */
#ifndef SPLITSOCK_PROTO_VALUES_H
#define SPLITSOCK_PROTO_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Zero is zero both ways. What the table does not know becomes EIO: an error must never turn into success. */
uint32_t wire_errno(int host);
int host_errno(uint32_t wire);

/* 0 on the wire and -1 on the host stand for unknown. AF_UNSPEC is known, and has a wire value that is not 0. */
uint32_t wire_family(int host);
int host_family(uint32_t wire);

/* Without SOCK_NONBLOCK and SOCK_CLOEXEC: the caller takes them off. Unknown as above. */
uint32_t wire_socket_type(int host);
int host_socket_type(uint32_t wire);

/* SHUT_RD is 0 on the host. Unknown as above. */
uint32_t wire_shutdown(int host);
int host_shutdown(uint32_t wire);

/* MSG_ flags, translated bit by bit. Bits without a counterpart are left out and returned in *unknown (may be NULL). */
uint32_t wire_message_flags(int host, int *unknown);
int host_message_flags(uint32_t wire, uint32_t *unknown);

/* ---- socket options -------------------------------------------------------------------------------- */

/*
 * What an option's value is. The five kinds of int travel alike; they differ in the host lengths that Linux takes
 * when the option is set.
 */
enum option_value {
	OPTION_INT,       /* int. Wire: 4 bytes, little-endian two's complement. Set: 4 host bytes or more, the rest is ignored */
	OPTION_INT_EXACT, /* int. Set: 4 host bytes and not one more. IP_LOCAL_PORT_RANGE */
	OPTION_INT_SHORT, /* int. Set: fewer than 4 host bytes mean their first one, unsigned; at least 1. IP_TTL */
	OPTION_INT_EMPTY, /* int. As before, and no byte at all means 0. IP_TOS */
	OPTION_INT_LAX,   /* int. Set: fewer than 4 host bytes mean 0, whatever they are. IPV6_DONTFRAG */
	OPTION_INTS,      /* one or more ints of 4 bytes. Wire: each as above */
	OPTION_MASK,      /* bits in words of 4 bytes, at most 8 of them. Set: any length. Wire: each word as above. ICMP_FILTER, ICMPV6_FILTER */
	OPTION_LONG,      /* unsigned int or unsigned long, as the length says. Wire: 4 or 8 bytes, little-endian */
	OPTION_ERRNO,     /* int, an errno. Wire: 4 bytes, little-endian, values.proto Errno. SO_ERROR */
	OPTION_LINGER,    /* struct linger. Wire: l_onoff and l_linger, each 4 bytes as above */
	OPTION_TIMEVAL,   /* seconds and microseconds of 8 bytes each. Wire: the same, little-endian two's complement */
	OPTION_TIMEVAL_WORDS, /* the same as two words, so of 4 bytes each on a 32-bit host. Wire: as OPTION_TIMEVAL */
	OPTION_FILTER,    /* struct sock_filter[], without its sock_fprog. Wire: code, jt, jf, k: 2, 1, 1, 4 bytes, little-endian */
	OPTION_STRING,    /* text, as given: a terminator and padding belong to it if the host gave them. Need not be terminated */
	OPTION_BYTES,     /* as it lies in memory: structures of Linux, for two ends with the same byte order and word size */
};

/* Who answers for an option. */
enum option_place {
	OPTION_HOST,  /* the host's socket: the option travels */
	OPTION_LINK,  /* the program's own descriptor, the AF_UNIX socket, where the kernel sees to it */
	OPTION_LOCAL, /* the sentry side, which knows the answer */
};

/* Not `struct option`: that is <getopt.h>'s. */
struct socket_option {
	uint32_t wire;    /* values.proto Option */
	const char *text; /* as values.proto names it, without OPTION_: "SO_REUSEADDR" */
	int level;
	int name;
	enum option_value value;
	enum option_place place;
	bool settable; /* else setting it is ENOPROTOOPT */
	bool gettable; /* else reading it is ENOPROTOOPT */
	bool asks;     /* reading it looks at what the program's buffer holds: a question, as the host lays it out */
	/* Setting it to any int fails on no fresh, connected or listening socket that option_is_sure_on() accepts. */
	bool sure;
	/*
	 * For some value or in some state, the kernel asks who sets it for a capability (CAP_NET_ADMIN, CAP_NET_RAW). Policy `open` grants
	 * what the gofer may do, these included; a policy that grants less must look here.
	 */
	bool privileged;
};

/* No value is longer: the largest filter, of 4096 instructions. */
#define OPTION_VALUE_MAX 32768u

/* NULL: there is no such option, or splitsock does not carry it. For the program that is ENOPROTOOPT. */
const struct socket_option *option_by_host(int level, int name);
const struct socket_option *option_by_wire(uint32_t wire);

/*
 * Whether setting the option to a value that option_encode() accepts cannot fail on a socket of this kind (host numbers;
 * protocol may be 0), so that there is no need to wait for the answer. False for a kind that we know nothing about.
 */
bool option_is_sure_on(const struct socket_option *option, int family, int type, int protocol);

/* How many bytes of a value of this length Linux looks at when it is set: the rest need not even be readable. */
size_t option_reads(const struct socket_option *option, size_t host_len);

/*
 * A value, from host bytes to wire bytes. Returns the wire's length, -EINVAL for a host_len that Linux refuses, too, or
 * -ENOBUFS when out_cap is too small. host may be NULL when host_len is 0.
 */
ssize_t option_encode(const struct socket_option *option, const void *host, size_t host_len, uint8_t *out, size_t out_cap);

/* The other way. Returns the host's length, -EINVAL for bytes that option_encode() cannot have made, or -ENOBUFS. */
ssize_t option_decode(const struct socket_option *option, const uint8_t *wire, size_t wire_len, void *out, size_t out_cap);

/*
 * getsockopt() with less room than the value needs cuts it, and the IP level may return one byte for an int. So that only
 * whole values travel: the gofer asks the kernel for option_room() bytes when the program has room for `room`, and the
 * sentry side passes the decoded value through option_cut(), which changes it in place and returns the length that Linux
 * would have returned.
 */
size_t option_room(const struct socket_option *option, size_t room);
size_t option_cut(const struct socket_option *option, void *host, size_t host_len, size_t room);

/* ---- control messages ------------------------------------------------------------------------------- */

/* Room for the data of any one control message, in either form. */
#define CONTROL_DATA_MAX 512u

/*
 * The data of a control message (the host's level, type, bytes), to the wire's values. Integers are little-endian and as wide as on a
 * 64-bit host, an errno is a values.proto Errno, and a socket address takes 32 bytes: family, port, flow info and scope id, 4 bytes
 * each, then 16 of the address.
 *
 * Returns the length of `out`, which has CONTROL_DATA_MAX bytes; -ENOENT for a type that does not travel; -EINVAL for a length that
 * the type cannot have.
 */
ssize_t control_encode(int level, int type, const void *data, size_t len, uint32_t *wire_type, uint8_t *out);
/* The other way. -ENOENT and -EINVAL as above. */
ssize_t control_decode(uint32_t wire_type, const uint8_t *data, size_t len, int *level, int *type, void *out);

/* ---- addresses ------------------------------------------------------------------------------------- */

/* A socket address in the wire's values. What a family does not use is 0. */
struct wire_address {
	uint32_t family;         /* values.proto Family */
	uint8_t ip[16];          /* network byte order; IPv4 takes the first 4 */
	uint32_t port;           /* the number: 80 for HTTP */
	uint32_t flow_info;      /* IPv6: the number */
	uint32_t scope_id;       /* IPv6: an interface's index */
	uint32_t netlink_pid;    /* port id */
	uint32_t netlink_groups; /* bit mask */
};

/*
 * Return 0, or the negative errno that Linux's connect and bind have for it: -EINVAL for a length too short (or over 128, or
 * negative), -EAFNOSUPPORT for a family whose addresses do not travel (AF_UNIX and AF_PACKET are such), -EINVAL to_host for
 * a port over 65535.
 *
 * A sockaddr_in6 may end in front of sin6_scope_id (RFC 2133, 24 bytes).
 *
 * AF_UNSPEC travels as a bare family and arrives with a length of 2, which connect takes and everything else refuses. Where
 * Linux reads AF_UNSPEC as AF_INET (bind and sendto on an AF_INET socket), the sentry side must have said so before.
 */
int wire_address_from_host(struct wire_address *wire, const struct sockaddr *host, socklen_t len);
int wire_address_to_host(const struct wire_address *wire, struct sockaddr_storage *host, socklen_t *len);

#endif
