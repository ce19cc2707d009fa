/* Netlink dumps, rtnetlink(7) and sock_diag(7), that something has changed in the middle of. */
#ifndef SPLITSOCK_COMMON_NETLINK_H
#define SPLITSOCK_COMMON_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>

/* Dumps in a row that may be interrupted, before the last one has to do. */
#define NETLINK_TRIES_MAX 8

/*
 * Whether a message in these is marked NLM_F_DUMP_INTR. The marks are taken off: libmnl stops at the first, and the rest of the dump, which has to
 * be read before another one can begin, would be lost with it.
 */
static inline bool
netlink_interrupted(void *buffer, size_t len)
{
	bool interrupted = false;
	int left = (int)len;

	for (struct nlmsghdr *message = buffer; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
		interrupted |= (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		message->nlmsg_flags &= (__u16)~NLM_F_DUMP_INTR;
	}
	return interrupted;
}

#endif
