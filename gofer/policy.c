#include "gofer/policy.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

bool
policy_allows_socket(const struct policy *policy, int family, int type, int protocol)
{
	if (policy->mode != POLICY_OPEN)
		return false;
	switch (family) {
	case AF_INET:
	case AF_INET6:
		return type == SOCK_STREAM || type == SOCK_DGRAM;
	case AF_NETLINK:
		return (type == SOCK_RAW || type == SOCK_DGRAM) && protocol == NETLINK_ROUTE;
	default:
		return false;
	}
}

bool
policy_allows(const struct policy *policy, enum policy_operation operation, const struct wire_address *address)
{
	/* A netlink peer is the kernel, never another process of the host. */
	if (operation != POLICY_BIND && (address->netlink_pid || address->netlink_groups))
		return false;
	return policy->mode == POLICY_OPEN;
}

bool
policy_allows_host_counters(const struct policy *policy)
{
	return policy->mode == POLICY_OPEN;
}

bool
policy_allows_netlink(const void *request, size_t len)
{
	const char *at = request;

	while (len > 0) {
		struct nlmsghdr header;

		/* Here the kernel stops reading, and so does iproute2's padding. */
		if (len < sizeof header)
			return true;
		memcpy(&header, at, sizeof header);
		if (header.nlmsg_len < sizeof header || header.nlmsg_len > len)
			return true;
		/* Since RTM_BASE, message types come in fours: NEW, DEL, GET, SET. */
		if (header.nlmsg_type < RTM_BASE || (header.nlmsg_type & 3) != 2)
			return false;
		if (NLMSG_ALIGN(header.nlmsg_len) >= len)
			return true;
		at += NLMSG_ALIGN(header.nlmsg_len);
		len -= NLMSG_ALIGN(header.nlmsg_len);
	}
	return true;
}
