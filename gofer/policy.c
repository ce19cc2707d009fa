#include "gofer/policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* After <netinet/in.h>, these only add what the C library lacks. */
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/udp.h>

#include "gofer/policy_index.h"

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
		.loopback = true,
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
		.agent = true, /* whomever it serves may do the same */
		.sockets = true,
		.raw = {.granted = true, .protocols.any = true, .header = true, .any_source_ip = true},
		.packet = packet,
		.packet_count = 1,
		.packet_sockets = POLICY_PACKET_SOCKETS,
	};
	*policy = (struct policy){.entries = entry, .entry_count = 1, .open = true, .ring_bytes = POLICY_RING_BYTES, .foreign_rings = true};
	return 0;
}

static void
free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

static void
free_rules(struct policy_entry *entry)
{
	for (size_t i = 0; i < entry->rule_count; i++) {
		struct policy_rule *rule = &entry->rules[i];

		for (size_t j = 0; j < rule->to_count; j++)
			free(rule->to[j].name);
		free(rule->name);
		free(rule->protocols.numbers);
		free(rule->to);
		free(rule->ports);
	}
	free(entry->rules);
	policy_index_free(entry->index);
}

static void
free_entry(struct policy_entry *entry)
{
	for (size_t i = 0; i < entry->packet_count; i++) {
		struct packet_grant *grant = &entry->packet[i];

		free(grant->ethertypes.numbers);
		free(grant->protocols.numbers);
		free(grant->source_macs);
		free(grant->source_ips);
		free(grant->filter.filter);
	}
	for (size_t i = 0; i < entry->label_count; i++) {
		free(entry->labels[i].key);
		free(entry->labels[i].value);
	}
	free_texts(entry->cgroups, entry->cgroup_count);
	free_texts(entry->containers, entry->container_count);
	free_rules(entry);
	free(entry->name);
	free(entry->uids);
	free(entry->gids);
	free(entry->labels);
	free(entry->resolvers);
	free(entry->publish);
	free(entry->network);
	free(entry->raw.protocols.numbers);
	free(entry->packet);
}

void
policy_free(struct policy *policy)
{
	for (size_t i = 0; i < policy->entry_count; i++)
		free_entry(&policy->entries[i]);
	free(policy->entries);
	policy->entries = NULL;
	policy->entry_count = 0;
}

struct policy *
policy_take(struct policy *policy)
{
	policy->references++;
	return policy;
}

void
policy_drop(struct policy *policy)
{
	if (!policy || --policy->references)
		return;
	policy_free(policy);
	free(policy);
}

/* ---- whose entry -------------------------------------------------------------------------------- */

static bool
has_id(const uint64_t *ids, size_t count, uint64_t id)
{
	/* Whom the kernel did not name is nobody in particular. */
	for (size_t i = 0; i < count && id != UINT64_MAX; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static bool
fits_groups(const struct policy_entry *entry, const struct identity *identity)
{
	bool fits = !entry->gid_count || has_id(entry->gids, entry->gid_count, identity->gid);

	for (size_t i = 0; !fits && i < identity->group_count; i++)
		fits = has_id(entry->gids, entry->gid_count, identity->groups[i]);
	return fits;
}

/* Who is in a group of processes below is in those above, too; and * is part of one name, which whoever is below cannot make up. */
static bool
fits_cgroup(const char *glob, const char *cgroup)
{
	char path[4096];

	if (strlen(cgroup) >= sizeof path)
		return false;
	strcpy(path, cgroup);
	for (char *end; *path;) {
		if (fnmatch(glob, path, FNM_PATHNAME) == 0)
			return true;
		end = strrchr(path, '/');
		if (!end)
			break;
		*end = '\0';
	}
	return strcmp(glob, "/") == 0;
}

static bool
fits_cgroups(const struct policy_entry *entry, const struct identity *identity)
{
	bool fits = !entry->cgroup_count;

	for (size_t i = 0; !fits && identity->cgroup && i < entry->cgroup_count; i++)
		fits = fits_cgroup(entry->cgroups[i], identity->cgroup);
	return fits;
}

static bool
fits_glob(const char *glob, const char *text)
{
	return text && fnmatch(glob, text, 0) == 0;
}

static bool
fits_containers(const struct policy_entry *entry, const struct identity *identity)
{
	bool fits = !entry->container_count;

	for (size_t i = 0; !fits && i < entry->container_count; i++)
		fits = fits_glob(entry->containers[i], identity->container_id) || fits_glob(entry->containers[i], identity->container_name);
	return fits;
}

static bool
fits_labels(const struct policy_entry *entry, const struct identity *identity)
{
	for (size_t i = 0; i < entry->label_count; i++) {
		bool fits = false;

		for (size_t j = 0; !fits && j < identity->label_count; j++)
			fits = strcmp(entry->labels[i].key, identity->labels[j].key) == 0 &&
			       fits_glob(entry->labels[i].value, identity->labels[j].value);
		if (!fits)
			return false;
	}
	return true;
}

bool
policy_names(const struct policy_entry *entry, const struct identity *identity)
{
	return (entry->any_user || has_id(entry->uids, entry->uid_count, identity->uid)) && fits_groups(entry, identity) &&
	       fits_cgroups(entry, identity) && fits_containers(entry, identity) && fits_labels(entry, identity);
}

static bool
asks_for_more_than_the_user(const struct policy_entry *entry)
{
	return entry->gid_count || entry->cgroup_count || entry->container_count || entry->label_count;
}

const struct policy_entry *
policy_entry_for(const struct policy *policy, const struct identity *identity)
{
	for (size_t i = 0; i < policy->entry_count; i++) {
		const struct policy_entry *entry = &policy->entries[i];

		/* It may be this one's: until that is known, nothing is granted. */
		if (identity->partial && asks_for_more_than_the_user(entry))
			return NULL;
		if (policy_names(entry, identity))
			return entry;
	}
	return NULL;
}

bool
policy_grants_anything(const struct policy_entry *entry)
{
	bool allows = false;

	for (size_t i = 0; entry && !allows && i < entry->rule_count; i++)
		allows = entry->rules[i].allow;
	return entry && (entry->sockets || allows || entry->publish_count || entry->raw.granted || entry->packet_count);
}

bool
policy_trusts_resolver(const struct policy_entry *entry, const uint8_t address[16])
{
	for (size_t i = 0; entry && i < entry->resolver_count; i++)
		if (memcmp(entry->resolvers[i], address, sizeof entry->resolvers[i]) == 0)
			return true;
	return false;
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
		if (type != SOCK_STREAM && type != SOCK_DGRAM)
			return false;
		/* Others go elsewhere than they are told to, if their peer says so: Multipath TCP, SCTP. */
		return entry->sockets || (policy_has_rules(entry) && (protocol == 0 || protocol == IPPROTO_TCP || protocol == IPPROTO_UDP ||
		                                                      protocol == IPPROTO_UDPLITE || protocol == IPPROTO_ICMP ||
		                                                      protocol == IPPROTO_ICMPV6));
	case AF_NETLINK:
		/* Names of interfaces, addresses and routes: who may send packets needs them. */
		return policy_allows_interfaces(entry) && (type == SOCK_RAW || type == SOCK_DGRAM) && protocol == NETLINK_ROUTE;
	case AF_PACKET:
		return entry->packet_count && (type == SOCK_RAW || type == SOCK_DGRAM);
	default:
		return false;
	}
}

bool
policy_has_rules(const struct policy_entry *entry)
{
	return entry && (entry->rule_count || entry->publish_count);
}

bool
policy_allows_interfaces(const struct policy_entry *entry)
{
	return entry && !entry->no_interfaces &&
	       (entry->sockets || policy_has_rules(entry) || entry->raw.granted || entry->packet_count);
}

bool
policy_allows(const struct policy_entry *entry, enum policy_operation operation, const struct wire_address *address)
{
	/* A netlink peer is the kernel, never another process of the host. */
	if (operation != POLICY_BIND && (address->netlink_pid || address->netlink_groups))
		return false;
	/* What sockets it has was decided when they were opened. */
	return entry && (entry->sockets || policy_has_rules(entry) || entry->raw.granted || entry->packet_count);
}

/* ---- options ------------------------------------------------------------------------------------ */

/* Every level and name that is of a class; `control`: as a control message of a datagram alone, the option of that name only asks. */
static const struct option_class {
	int level, name;
	enum policy_option_class class;
	bool control;
} option_classes[] = {
	{IPPROTO_IP, IP_FREEBIND, OPTIONS_SOURCE, false},
	{IPPROTO_IP, IP_TRANSPARENT, OPTIONS_SOURCE, false},
	{IPPROTO_IPV6, IPV6_FREEBIND, OPTIONS_SOURCE, false},
	{IPPROTO_IPV6, IPV6_TRANSPARENT, OPTIONS_SOURCE, false},
	{IPPROTO_IP, IP_PKTINFO, OPTIONS_SOURCE, true},
	{IPPROTO_IPV6, IPV6_2292PKTINFO, OPTIONS_SOURCE, true},
	{IPPROTO_IPV6, IPV6_PKTINFO, OPTIONS_SOURCE, false},
	{SOL_SOCKET, SO_BINDTODEVICE, OPTIONS_INTERFACE, false},
	{SOL_SOCKET, SO_BINDTOIFINDEX, OPTIONS_INTERFACE, false},
	{IPPROTO_IP, IP_UNICAST_IF, OPTIONS_INTERFACE, false},
	{IPPROTO_IPV6, IPV6_UNICAST_IF, OPTIONS_INTERFACE, false},
	{SOL_SOCKET, SO_MARK, OPTIONS_ROUTE, false},
	{IPPROTO_IP, IP_OPTIONS, OPTIONS_ROUTE, false},
	{IPPROTO_IP, IP_RETOPTS, OPTIONS_ROUTE, true},
	{IPPROTO_IPV6, IPV6_RTHDR, OPTIONS_ROUTE, false},
	{IPPROTO_IPV6, IPV6_2292RTHDR, OPTIONS_ROUTE, true},
	{IPPROTO_IPV6, IPV6_2292PKTOPTIONS, OPTIONS_ROUTE, false},
	{IPPROTO_IPV6, IPV6_2292HOPOPTS, OPTIONS_ROUTE, true},
	{IPPROTO_IPV6, IPV6_2292DSTOPTS, OPTIONS_ROUTE, true},
	{IPPROTO_IPV6, IPV6_HOPOPTS, OPTIONS_ROUTE, false},
	{IPPROTO_IPV6, IPV6_DSTOPTS, OPTIONS_ROUTE, false},
	{IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, OPTIONS_ROUTE, false},
	{IPPROTO_IP, IP_MULTICAST_IF, OPTIONS_GROUPS, false},
	{IPPROTO_IP, IP_ADD_MEMBERSHIP, OPTIONS_GROUPS, false},
	{IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, OPTIONS_GROUPS, false},
	{IPPROTO_IP, IP_MSFILTER, OPTIONS_GROUPS, false},
	{IPPROTO_IP, MCAST_JOIN_GROUP, OPTIONS_GROUPS, false},
	{IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, OPTIONS_GROUPS, false},
	{IPPROTO_IP, MCAST_MSFILTER, OPTIONS_GROUPS, false},
	{IPPROTO_IPV6, IPV6_MULTICAST_IF, OPTIONS_GROUPS, false},
	{IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, OPTIONS_GROUPS, false},
	{IPPROTO_IPV6, IPV6_JOIN_ANYCAST, OPTIONS_GROUPS, false},
	{IPPROTO_IPV6, MCAST_JOIN_GROUP, OPTIONS_GROUPS, false},
	{IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, OPTIONS_GROUPS, false},
	{IPPROTO_IPV6, MCAST_MSFILTER, OPTIONS_GROUPS, false},
	{IPPROTO_UDP, UDP_ENCAP, OPTIONS_PRIVILEGED, false},
};

static enum policy_option_class
class_of(int level, int name, bool privileged, bool control)
{
	for (size_t i = 0; i < sizeof option_classes / sizeof *option_classes; i++)
		if (option_classes[i].level == level && option_classes[i].name == name && (control || !option_classes[i].control))
			return option_classes[i].class;
	return privileged ? OPTIONS_PRIVILEGED : OPTIONS_PLAIN;
}

static bool
allows_option(const struct policy_entry *entry, int level, int name, bool privileged, bool control)
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
	/* Where rules say which addresses, what goes around them has to be granted. */
	if (policy_has_rules(entry))
		return (class_of(level, name, privileged, control) & ~entry->options) == 0;
	/* Who has raw sockets alone: of what needs a capability, this only narrows what a socket is for. */
	if (level == SOL_SOCKET && (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX))
		return true;
	return !privileged && !foreign;
}

bool
policy_allows_option(const struct policy_entry *entry, int level, int name, bool privileged)
{
	return allows_option(entry, level, name, privileged, false);
}

bool
policy_allows_control(const struct policy_entry *entry, int level, int name, bool privileged)
{
	return allows_option(entry, level, name, privileged, true);
}

bool
policy_allows_host_counters(const struct policy_entry *entry)
{
	return entry && entry->sockets;
}

const struct packet_grant *
policy_packet(const struct policy_entry *entry, const char *interface, bool loopback)
{
	const struct packet_grant *every = NULL;

	for (size_t i = 0; entry && i < entry->packet_count; i++) {
		if (strcmp(entry->packet[i].interface, interface) == 0)
			return &entry->packet[i];
		/* What processes of the host say to each other is more than its networks: somebody has to grant that by its name. */
		if (strcmp(entry->packet[i].interface, "*") == 0 && (!loopback || entry->packet[i].loopback))
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
