/* Messages with control data: built for sending, and taken apart and printed when received. */
#ifndef TESTS_CONFORMANCE_MESSAGE_H
#define TESTS_CONFORMANCE_MESSAGE_H

#include "tests/conformance/scenario.h"

enum { CONTROL_MAX = 1024 };

struct control {
	_Alignas(struct cmsghdr) char bytes[CONTROL_MAX];
	size_t length;
};

/* Adds one, padded as it should be. Returns its header, for those who want to spoil it. */
struct cmsghdr *control_add(struct control *control, int level, int type, const void *data, size_t length);
struct cmsghdr *control_add_int(struct control *control, int level, int type, int value);

/* One sendmsg() of `text`; `to` and `control` may be NULL. */
long send_control(int fd, const char *text, const struct address *to, const struct control *control, int flags);

/* Prints every control message there is, decoded; of stamps and counters only that they are plausible. */
void observe_control(struct msghdr *message);
/* One recvmsg() with room for `control_size` bytes of control data; prints data, name, flags and control data. */
ssize_t observe_message(const char *what, int fd, size_t control_size, int flags);
/* The same after something has come (POLLIN), or for the error queue (POLLERR). */
ssize_t wait_message(const char *what, int fd, size_t control_size, int flags);

/* IPPROTO_IP for AF_INET, IPPROTO_IPV6 for AF_INET6. */
int level_of(int family);
/* Sends one byte to `to` and receives it at fd, all printed. */
void observe_one_datagram(const char *what, int from, int fd, const struct address *to, const struct control *control);

#endif
