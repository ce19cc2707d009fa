/*
 * The control messages of one datagram (cmsg(3)), between the host's buffer and the wire's list.
 */
#ifndef SPLITSOCK_PROTO_CONTROL_H
#define SPLITSOCK_PROTO_CONTROL_H

#include "proto/codec.h"

/* No datagram has use for more; with their data they fit one frame beside 64 KiB of payload. */
#define CONTROL_MESSAGES_MAX 16u
#define CONTROL_BYTES_MAX 2048u

struct control_list {
	size_t count;
	Splitsock__Control *list[CONTROL_MESSAGES_MAX]; /* for n_control and control of a message */
	Splitsock__Control items[CONTROL_MESSAGES_MAX];
	size_t used;
	uint8_t bytes[CONTROL_BYTES_MAX];
};

/*
 * Walks a buffer as the kernel does. *at starts at 0. Returns the next message, NULL at the end, or NULL with *bad set where a
 * message's length leads out of the buffer.
 */
const struct cmsghdr *control_next(const void *buffer, size_t len, size_t *at, bool *bad);

/* The errno of an error queue's entry that ICMP has brought, 0 of any other: those set the socket's pending error, too. The buffer is what came with it. */
int control_icmp_error(const void *buffer, size_t len);

/* Returns 0; -ENOENT for a type that does not travel, -EINVAL for a length that it cannot have, -ENOBUFS when the list is full. */
int control_list_add(struct control_list *list, int level, int type, const void *data, size_t len);
/* Adds all of a buffer that recvmsg(2) has filled; what does not travel is left out. */
void control_list_add_all(struct control_list *list, const void *buffer, size_t len);

/* Lays the messages out for sendmsg(2), or as recvmsg(2) does. Returns the length, or -EINVAL, -ENOBUFS. */
ssize_t control_to_host(Splitsock__Control *const *list, size_t count, void *buffer, size_t room);

#endif
