/*
 * What the host's socket has put into its error queue (recvmsg(2) with MSG_ERRQUEUE), until the program asks for it.
 *
 * It is taken off the host's socket at once, because epoll reports an error for as long as something is queued there.
 */
#ifndef SPLITSOCK_GOFER_ERROR_QUEUE_H
#define SPLITSOCK_GOFER_ERROR_QUEUE_H

#include "gofer/sock.h"

/* Entries that wait for the program, and how much of each one's datagram is kept. What is over is dropped, as the kernel does it. */
#define ERROR_QUEUE_MAX 32u
#define ERROR_DATA_MAX 2048u
/* Entries moved before others get their turn. */
#define ERROR_ROUNDS_MAX 64

struct queued_error {
	struct queued_error *next; /* sock.errors */
	struct sockaddr_storage name;
	socklen_t name_len;
	int icmp_error; /* the errno that ICMP has brought, 0 for an entry of another kind */
	size_t control_len;
	_Alignas(struct cmsghdr) uint8_t control[LINK_CONTROL_MAX];
	size_t len; /* of the datagram's beginning */
	uint8_t data[];
};

/* Moves what the host's socket has queued, ERROR_ROUNDS_MAX entries at most. Returns the errno that ICMP has brought last, or 0. */
int error_queue_take(struct sock *sock);
/* The oldest entry, which the caller frees, or NULL. */
struct queued_error *error_queue_pop(struct sock *sock);
void error_queue_free(struct sock *sock);

#endif
