/* The ethtool commands that the kernel answers anybody, and how long the structure of each is. */
#ifndef SPLITSOCK_PROTO_ETHTOOL_H
#define SPLITSOCK_PROTO_ETHTOOL_H

#include <stddef.h>

/* The longest structure that is carried, and as much of one as tells how long it is. */
enum { ETHTOOL_SIZE_MAX = 4096, ETHTOOL_HEAD = 16 };

/*
 * How many bytes a command's caller provides; `head` holds the first `len` bytes of them, ETHTOOL_HEAD or as many as there are.
 * 0 for what only changes something, needs privileges, is unknown, or would be longer than ETHTOOL_SIZE_MAX.
 */
size_t ethtool_size(const void *head, size_t len);
/* How many of the bytes of an answered one mean something: more than were provided for those that the kernel fills as it likes. */
size_t ethtool_answer_size(const void *head, size_t len);

#endif
