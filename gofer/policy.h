/*
 * What a client may do. Decisions are pure functions over plain data and do no I/O.
 */
#ifndef SPLITSOCK_GOFER_POLICY_H
#define SPLITSOCK_GOFER_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/values.h"

/* `open`: whatever the gofer's own user could do. There is no default: a gofer without a policy does not start. */
enum policy_mode { POLICY_NONE, POLICY_OPEN };

struct policy {
	enum policy_mode mode;
};

enum policy_operation { POLICY_SOCKET, POLICY_BIND, POLICY_CONNECT, POLICY_LISTEN, POLICY_SEND };

/*
 * May the client open such a socket? Only INET and INET6 stream and datagram sockets and NETLINK_ROUTE exist for clients
 * so far; raw and packet sockets are refused under every policy.
 */
bool policy_allows_socket(const struct policy *policy, int family, int type, int protocol);

/* May it do this to or with this address? */
bool policy_allows(const struct policy *policy, enum policy_operation operation, const struct wire_address *address);

/* May it see what the host counts for its whole network namespace? */
bool policy_allows_host_counters(const struct policy *policy);

/* Is every message that the kernel would read from this NETLINK_ROUTE request a read (RTM_GET*)? Changes to the host are never forwarded. */
bool policy_allows_netlink(const void *request, size_t len);

#endif
