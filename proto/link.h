/*
 * Links: how a program's file descriptor is tied to a socket that the gofer holds, where both share a kernel.
 *
 * The program's descriptor (A) is an AF_UNIX socket that the sentry side made. To tie it to a handle, the sentry side
 * connects A to one of two sockets beside the gofer's control socket PATH,
 *
 *     PATH.stream      SOCK_STREAM     for stream sockets
 *     PATH.seqpacket   SOCK_SEQPACKET  for datagram, raw and netlink sockets, and for the side channel
 *
 * and sends one struct link_hello. The gofer's end (B) comes from accept(), so that no client holds its file
 * description. Until then A is a fresh unconnected AF_UNIX socket, which behaves much like a fresh TCP socket.
 *
 * What A carries afterwards:
 *   stream, connected:  the bytes themselves, both ways. FIN is shutdown(SHUT_WR); the end of A is hang-up.
 *   stream, connecting: link_hello.plug bytes of filler, sent by the sentry side so that A does not poll writable.
 *                       The gofer reads them when the connect ends well and leaves them unread when it fails.
 *   stream, listening:  towards A, one struct link_accepted for each connection. Who takes it links a new A to its handle. Until then
 *                       the host's socket holds what the peer sends, and a listener that closes resets what was not taken.
 *   datagram:           the payloads. One that comes from a socket without a connected peer, or with control messages, carries by
 *                       SCM_RIGHTS a sealed memfd that holds a struct link_source. An empty one whose source has an error is no datagram: the host's socket
 *                       has met that error (ICMP), and the link polls readable for it.
 *   side channel:       frames (proto/frame.h), one a packet.
 *
 * These structs never leave the host, so they hold host values.
 */
#ifndef SPLITSOCK_PROTO_LINK_H
#define SPLITSOCK_PROTO_LINK_H

#include <assert.h>
#include <stdint.h>
#include <sys/socket.h>
#include <netinet/in.h>

#include "proto/codec.h"

#define LINK_STREAM_SUFFIX ".stream"
#define LINK_SEQPACKET_SUFFIX ".seqpacket"
#define LINK_DEFAULT_URL "ipc:///run/splitsock/gofer.sock" /* the gofer of who names none */
#define LINK_ADMIN_SUFFIX ".ctl" /* splitsock-ctl's: no link, but beside them */

enum link_kind {
	LINK_SOCKET = 1,  /* handle names the socket */
	LINK_CHANNEL = 2, /* the session's side channel; handle is 0 */
};

/* AF_UNIX polls writable while 4 × the memory queued is at most SO_SNDBUF; 53,248 is a quarter of the default. */
#define LINK_PLUG_POLL 53248u
/* Filler comes in pieces of this size; the first, which the hello is in front of, is LINK_PLUG_POLL. */
#define LINK_PLUG_PIECE (LINK_PLUG_POLL + 4096u)
/* More than a SO_SNDBUF that no privilege has raised. */
#define LINK_PLUG_MAX (1024u * 1024u)

struct link_hello {
	uint8_t token[LINK_TOKEN_SIZE];
	uint64_t handle;
	uint32_t kind; /* enum link_kind */
	uint32_t plug; /* bytes of filler that follow, at most LINK_PLUG_MAX */
};
static_assert(sizeof(struct link_hello) == 32, "the gofer reads exactly this much");

/* A name that fits every family of the protocol. */
struct link_name {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		char bytes[28];
	} address;
};

/* More than the control messages of all options of one socket take, but for IPv6 extension headers of unusual length. */
#define LINK_CONTROL_MAX 1024u

struct link_source {
	struct link_name name;
	int32_t error; /* an errno of this host, or 0 */
	uint32_t error_number; /* with an error: counts the socket's notices, from 1; see Request.error_told */
	uint32_t control_len;
	_Alignas(struct cmsghdr) uint8_t control[LINK_CONTROL_MAX]; /* struct cmsghdr and data, as recvmsg(2) gives them; the file ends behind them */
};

struct link_accepted {
	uint64_t handle;
	struct link_name local, peer;
};
static_assert(sizeof(struct link_accepted) == 72, "no padding that would leak");

#endif
