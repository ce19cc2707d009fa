#include "gofer/policy.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ---- policies ----------------------------------------------------------------------------------- */

int
policy_open(struct policy *policy)
{
	struct policy_entry *entry = calloc(1, sizeof *entry);
	struct packet_grant *packet = calloc(1, sizeof *packet);
	char *name = strdup("open");

	if (!entry || !packet || !name) {
		free(entry);
		free(packet);
		free(name);
		return -ENOMEM;
	}
	*packet = (struct packet_grant){
		.interface = "*",
		.receive = true,
		.send = true,
		.promiscuous = true,
		.ethertypes.any = true,
		.protocols.any = true,
		.any_source_mac = true,
		.any_source_ip = true,
	};
	*entry = (struct policy_entry){
		.name = name,
		.any_user = true,
		.sockets = true,
		.raw = {.granted = true, .protocols.any = true, .header = true, .any_source_ip = true},
		.packet = packet,
		.packet_count = 1,
		.packet_sockets = POLICY_PACKET_SOCKETS,
	};
	*policy = (struct policy){.entries = entry, .entry_count = 1, .open = true, .ring_bytes = POLICY_RING_BYTES};
	return 0;
}

void
policy_free(struct policy *policy)
{
	for (size_t i = 0; i < policy->entry_count; i++) {
		struct policy_entry *entry = &policy->entries[i];

		for (size_t j = 0; j < entry->packet_count; j++) {
			struct packet_grant *grant = &entry->packet[j];

			free(grant->ethertypes.numbers);
			free(grant->protocols.numbers);
			free(grant->source_macs);
			free(grant->source_ips);
			free(grant->filter.filter);
		}
		free(entry->name);
		free(entry->uids);
		free(entry->raw.protocols.numbers);
		free(entry->packet);
	}
	free(policy->entries);
	*policy = (struct policy){0};
}

const struct policy_entry *
policy_entry_for(const struct policy *policy, uint64_t uid)
{
	for (size_t i = 0; i < policy->entry_count; i++) {
		const struct policy_entry *entry = &policy->entries[i];

		if (entry->any_user)
			return entry;
		/* Whom the kernel did not name is nobody in particular. */
		for (size_t j = 0; j < entry->uid_count && uid != UINT64_MAX; j++)
			if (entry->uids[j] == uid)
				return entry;
	}
	return NULL;
}

bool
policy_has_number(const struct policy_numbers *numbers, uint16_t number)
{
	if (numbers->any)
		return true;
	for (size_t i = 0; i < numbers->count; i++)
		if (numbers->numbers[i] == number)
			return true;
	return false;
}

/* ---- sockets ------------------------------------------------------------------------------------ */

static bool
allows_raw(const struct policy_entry *entry, int protocol)
{
	if (!entry->raw.granted)
		return false;
	/* What is no protocol is for the kernel to say, in its own way. */
	if (protocol < 0 || protocol > UINT8_MAX)
		return entry->raw.protocols.any;
	/* Nothing is ever received there, and each packet names its own protocol: policy_raw_header(). */
	if (protocol == IPPROTO_RAW)
		return entry->raw.header;
	return policy_has_number(&entry->raw.protocols, (uint16_t)protocol);
}

bool
policy_allows_socket(const struct policy_entry *entry, int family, int type, int protocol)
{
	if (!entry)
		return false;
	switch (family) {
	case AF_INET:
	case AF_INET6:
		if (type == SOCK_RAW)
			return allows_raw(entry, protocol);
		/* Echo requests alone: less than the raw socket that is granted. */
		if (type == SOCK_DGRAM && protocol == (family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6) && allows_raw(entry, protocol))
			return true;
		return entry->sockets && (type == SOCK_STREAM || type == SOCK_DGRAM);
	case AF_NETLINK:
		/* Names of interfaces, addresses and routes: who may send packets needs them. */
		return (entry->sockets || entry->raw.granted || entry->packet_count) && (type == SOCK_RAW || type == SOCK_DGRAM) &&
		       protocol == NETLINK_ROUTE;
	case AF_PACKET:
		return entry->packet_count && (type == SOCK_RAW || type == SOCK_DGRAM);
	default:
		return false;
	}
}

bool
policy_allows_interfaces(const struct policy_entry *entry)
{
	return entry && (entry->sockets || entry->raw.granted || entry->packet_count);
}

bool
policy_allows(const struct policy_entry *entry, enum policy_operation operation, const struct wire_address *address)
{
	/* A netlink peer is the kernel, never another process of the host. */
	if (operation != POLICY_BIND && (address->netlink_pid || address->netlink_groups))
		return false;
	/* What sockets it has was decided when they were opened. */
	return entry && (entry->sockets || entry->raw.granted || entry->packet_count);
}

bool
policy_allows_option(const struct policy_entry *entry, int level, int name, bool privileged)
{
	bool header = (level == IPPROTO_IP && name == IP_HDRINCL) || ((level == IPPROTO_IPV6 || level == SOL_RAW) && name == IPV6_HDRINCL);
	bool foreign = (level == IPPROTO_IP && (name == IP_FREEBIND || name == IP_TRANSPARENT)) ||
	               (level == IPPROTO_IPV6 && (name == IPV6_FREEBIND || name == IPV6_TRANSPARENT));

	if (!entry)
		return false;
	if (header)
		return entry->raw.granted && entry->raw.header;
	if (entry->sockets)
		return true;
	/* Of what needs a capability, this only narrows what a socket is for. */
	if (level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX))
		return true;
	return !privileged && !foreign;
}

bool
policy_allows_host_counters(const struct policy_entry *entry)
{
	return entry && entry->sockets;
}

const struct packet_grant *
policy_packet(const struct policy_entry *entry, const char *interface)
{
	const struct packet_grant *every = NULL;

	for (size_t i = 0; entry && i < entry->packet_count; i++) {
		if (strcmp(entry->packet[i].interface, interface) == 0)
			return &entry->packet[i];
		if (strcmp(entry->packet[i].interface, "*") == 0)
			every = &entry->packet[i];
	}
	return every;
}

/* ---- netlink ------------------------------------------------------------------------------------ */

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
