/*
 * PATH.ctl, where splitsock-ctl asks: for the gofer's own user and root alone. Unlike a client, who asks there sees every session.
 */
#ifndef SPLITSOCK_GOFER_ADMIN_H
#define SPLITSOCK_GOFER_ADMIN_H

#include "gofer/gofer.h"

/* At once, over all listeners. Each holds at most one reply, which is a frame. */
#define ADMIN_CONNECTIONS_MAX 16

/* A request asks for one thing. The longest is a question about an identity, with the path of its cgroup. */
#define ADMIN_REQUEST_MAX 8192u

/* From accept, or the last answer that was read, to a whole request; and from an answer to its having been read. */
#define ADMIN_MS 5000

struct admin;

/* Listens at PATH.ctl beside the control socket PATH, with mode 0600 whatever that one has. NULL after logging why. */
struct admin *admin_new(struct gofer *gofer, const char *path);
void admin_free(struct admin *admin);
/* Drops connections that take too long. */
void admin_tick(struct admin *admin);

/* May a process of this user ask? A pure function. */
bool admin_lets_in(uid_t peer, uid_t own);

/* From admin_reply.c: the whole frame that answers a request, malloc()ed, or NULL when out of memory. */
uint8_t *admin_reply(struct gofer *gofer, uint32_t id, const Splitsock__AdminRequest *request, size_t *len);

#endif
