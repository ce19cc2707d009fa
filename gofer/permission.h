/*
 * The policy's answer for a socket, and what follows from it: how the host's socket is set up, and what the program is told of addresses that
 * were replaced.
 */
#ifndef SPLITSOCK_GOFER_PERMISSION_H
#define SPLITSOCK_GOFER_PERMISSION_H

#include "gofer/sock.h"

/*
 * May the socket's client do this, at this address of the host's? Whoever is granted every address is not asked about.
 * The decision's texts live as long as the session's policy.
 */
struct policy_decision permission_ask(struct sock *sock, enum policy_operation operation, const struct sockaddr_storage *address);

/* The same of a packet whose header the client has written; allowed, too, where there are no rules. */
bool permission_for_packet(struct sock *sock, const uint8_t *packet, size_t len);

/*
 * Sets the host's socket up as the decision says, and puts the address there that it is really about. Returns 0 or a negative errno: it cannot
 * be done as the policy wants it, and so must not be done.
 */
int permission_apply(struct sock *sock, enum policy_operation operation, const struct policy_decision *decision,
                     struct sockaddr_storage *address, socklen_t *len);

/* What took the place of an address, under the address that the program knows. */
struct rewrites;
void rewrites_free(struct sock *sock);
/* Gives the name of a peer, or a sender, as the program knows it. `len`: of `name`, and afterwards of what it became. */
void permission_rename_peer(const struct sock *sock, struct sockaddr *name, socklen_t *len);
/* Likewise the socket's own name. */
void permission_rename_local(const struct sock *sock, struct sockaddr *name, socklen_t len);

#endif
