/*
 * Empty namespaces.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_RUN_ISOLATE_H
#define SPLITSOCK_SENTRY_SIDE_RUN_ISOLATE_H

/*
 * Moves the calling process, which must have one thread, into a new user namespace, in which its ids keep their numbers, and a
 * new network namespace with nothing in it. Root keeps all ids, so that servers can drop to theirs. Returns 0 or a negative errno.
 */
int isolate_enter(void);

/*
 * Gives lo, which stays down, the address ::1, before the filter is there. It carries nothing: /proc/net/if_inet6 shows it, and where that is empty,
 * Java takes the machine for one without IPv6.
 */
void isolate_show_ipv6(void);

#endif
