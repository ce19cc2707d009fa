/*
 * What passes between a client and the name servers that its policy trusts: names are learned from answers to questions that the client asked
 * (session.names). The gofer reads along, and changes nothing.
 *
 * An answer by UDP counts if it has the source, the id and the question of a query that the same socket sent. Who can send packets with
 * a trusted resolver's source address to this host, and is in league with the client, can teach it what he likes: a resolver on the host
 * itself, or behind a network that drops such packets, is safe from that. A TCP connection's answers count as they come.
 */
#ifndef SPLITSOCK_GOFER_RESOLVER_H
#define SPLITSOCK_GOFER_RESOLVER_H

#include "gofer/sock.h"

/* Queries of one socket that may wait for their answers; the oldest makes room. */
#define RESOLVER_QUERIES_MAX 32

/* The socket has, or has no more, this address for its peer (NULL: none). */
void resolver_note_peer(struct sock *sock, const struct sockaddr *peer);
/* It sends this datagram to `to`, or to its peer (NULL). */
void resolver_note_sent(struct sock *sock, const struct sockaddr *to, const uint8_t *data, size_t len);
/* It receives this datagram from `from`, or from its peer (NULL). */
void resolver_note_received(struct sock *sock, const struct sockaddr *from, const uint8_t *data, size_t len);
/* Bytes of its stream come from the host. */
void resolver_note_stream(struct sock *sock, const uint8_t *data, size_t len);
void resolver_free(struct sock *sock);

#endif
