/*
 * Which bytes may pass. All of them are somebody's who may lie: nothing is read that is not there, every walk is bounded, and what cannot be
 * judged does not pass where a limit would have to be judged by it.
 *
 * A frame is looked at from the outside in. Each ether type on the way, those of VLAN tags and of SNAP headers included, must be
 * granted; what stands behind the last one is IPv4, IPv6, ARP or RARP, or none of our business. Tunnels are a protocol (4, 41, 47, …) or
 * an ether type (MPLS, PPPoE, …) that is granted or not; what is inside them is not looked at.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "gofer/policy.h"

#define MAC_SIZE 6u
#define ETHERNET_SIZE 14u
#define TYPE_OFFSET 12u
#define SNAP_SIZE 6u

/* Ether types. Below TYPE_MIN the field is a length, and the frame an 802.3 one. */
enum {
	TYPE_LLC = 0,
	TYPE_MIN = 0x600,
	TYPE_IP = 0x0800,
	TYPE_ARP = 0x0806,
	TYPE_RARP = 0x8035,
	TYPE_VLAN = 0x8100,
	TYPE_IP6 = 0x86dd,
	TYPE_QINQ = 0x88a8,
	TYPE_QINQ_OLD = 0x9100,
	TYPE_QINQ_OLDER = 0x9200,
	TYPE_QINQ_OLDEST = 0x9300,
};

/* Tags or SNAP headers of a frame, and extension headers of a packet: more than any that means well has. */
#define TAGS_MAX 8
#define EXTENSIONS_MAX 16

#define IP_SIZE 20u
#define IP6_SIZE 40u
#define ARP_SIZE 28u

enum { ICMP6_ROUTER_ADVERTISEMENT = 134, ICMP6_NEIGHBOUR_ADVERTISEMENT = 136, ICMP6_REDIRECT_MESSAGE = 137 };
#define ICMP6_TARGET 8u /* where a neighbour advertisement has it */

struct bytes {
	const uint8_t *at;
	size_t len;
};

static struct bytes
bytes_from(struct bytes bytes, size_t off)
{
	return off <= bytes.len ? (struct bytes){bytes.at + off, bytes.len - off} : (struct bytes){bytes.at + bytes.len, 0};
}

static uint16_t
read16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* ---- addresses ---------------------------------------------------------------------------------- */

static const uint8_t zeros[16], mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool
network_has(const struct policy_network *network, const uint8_t address[16])
{
	unsigned whole = network->prefix / 8, bits = network->prefix % 8;

	if (network->prefix > 128 || memcmp(network->address, address, whole) != 0)
		return false;
	return !bits || (network->address[whole] ^ address[whole]) >> (8 - bits) == 0;
}

/* In 16 bytes; an IPv4 address as a mapped one. A network of IPv6 holds no IPv4 address, were it ::/0, nor the other way. */
static bool
is_ip4_network(const struct policy_network *network)
{
	return network->prefix >= 96 && memcmp(network->address, mapped, sizeof mapped) == 0;
}

static bool
is_own_address(const struct policy_network *own, size_t count, bool ip4, const uint8_t address[16])
{
	for (size_t i = 0; i < count; i++)
		if ((memcmp(own[i].address, mapped, sizeof mapped) == 0) == ip4 && memcmp(own[i].address, address, 16) == 0)
			return true;
	return false;
}

static bool
allows_ip(const struct packet_grant *grant, const struct interface_own *own, bool ip4, const uint8_t address[16])
{
	if (grant->any_source_ip || is_own_address(own->addresses, own->address_count, ip4, address))
		return true;
	for (size_t i = 0; i < grant->source_ip_count; i++)
		if (is_ip4_network(&grant->source_ips[i]) == ip4 && network_has(&grant->source_ips[i], address))
			return true;
	return false;
}

/* 0.0.0.0 is nobody's: DHCP and ARP probes come from there. */
static bool
allows_source_ip4(const struct packet_grant *grant, const struct interface_own *own, const uint8_t source[4])
{
	uint8_t address[16];

	memcpy(address, mapped, sizeof mapped);
	memcpy(address + sizeof mapped, source, 4);
	return memcmp(source, zeros, 4) == 0 || allows_ip(grant, own, true, address);
}

/* So is ::, where duplicate address detection asks from. */
static bool
allows_source_ip6(const struct packet_grant *grant, const struct interface_own *own, const uint8_t source[16])
{
	return memcmp(source, zeros, 16) == 0 || allows_ip(grant, own, false, source);
}

static bool
allows_source_mac(const struct packet_grant *grant, const struct interface_own *own, const uint8_t mac[MAC_SIZE])
{
	if (grant->any_source_mac || (own->has_mac && memcmp(own->mac, mac, MAC_SIZE) == 0))
		return true;
	for (size_t i = 0; i < grant->source_mac_count; i++)
		if (memcmp(grant->source_macs[i], mac, MAC_SIZE) == 0)
			return true;
	return false;
}

/* ---- IP ----------------------------------------------------------------------------------------- */

/* The protocol of an IPv4 packet, or -1: this is none. */
static int
protocol_of_ip4(struct bytes packet)
{
	if (packet.len < IP_SIZE || packet.at[0] >> 4 != 4 || (packet.at[0] & 15) < 5)
		return -1;
	return packet.at[9];
}

/*
 * The protocol of an IPv6 packet behind its extension headers, or -1 where it does not show. *payload is what it carries; in a fragment
 * that is not the first, *later_fragment is set, and the payload is a part of its middle.
 */
static int
protocol_of_ip6(struct bytes packet, struct bytes *payload, bool *later_fragment)
{
	uint8_t next;

	*later_fragment = false;
	if (packet.len < IP6_SIZE || packet.at[0] >> 4 != 6)
		return -1;
	next = packet.at[6];
	*payload = bytes_from(packet, IP6_SIZE);
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		switch (next) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_FRAGMENT:
			break;
		default:
			return next;
		}
		/* These would be at the front of the first fragment, and where they end only that one tells. */
		if (*later_fragment || payload->len < 8)
			return -1;
		*later_fragment = next == IPPROTO_FRAGMENT && read16(payload->at + 2) >> 3 != 0;
		size_t size = next == IPPROTO_FRAGMENT ? 8 : 8 + (size_t)payload->at[1] * 8;

		if (size > payload->len)
			return -1;
		next = payload->at[0];
		*payload = bytes_from(*payload, size);
	}
	return -1;
}

static bool
allows_frame_ip4(const struct packet_grant *grant, bool sending, struct bytes packet, const struct interface_own *own)
{
	bool sources = sending && !grant->any_source_ip;
	int protocol;

	if (grant->protocols.any && !sources)
		return true;
	protocol = protocol_of_ip4(packet);
	return protocol >= 0 && policy_has_number(&grant->protocols, (uint16_t)protocol) &&
	       (!sources || allows_source_ip4(grant, own, packet.at + 12));
}

/* Who says so claims a neighbour's address, or to be the router. */
static bool
claims_others(const struct packet_grant *grant, struct bytes icmp6, const struct interface_own *own)
{
	if (icmp6.len < 1)
		return true;
	switch (icmp6.at[0]) {
	case ICMP6_ROUTER_ADVERTISEMENT:
	case ICMP6_REDIRECT_MESSAGE:
		return true;
	case ICMP6_NEIGHBOUR_ADVERTISEMENT:
		return icmp6.len < ICMP6_TARGET + 16 || !allows_ip(grant, own, false, icmp6.at + ICMP6_TARGET);
	default:
		return false;
	}
}

static bool
allows_frame_ip6(const struct packet_grant *grant, bool sending, struct bytes packet, const struct interface_own *own)
{
	bool sources = sending && !grant->any_source_ip, later_fragment;
	struct bytes payload;
	int protocol;

	if (grant->protocols.any && !sources)
		return true;
	protocol = protocol_of_ip6(packet, &payload, &later_fragment);
	if (protocol < 0 || !policy_has_number(&grant->protocols, (uint16_t)protocol))
		return false;
	if (!sources)
		return true;
	return allows_source_ip6(grant, own, packet.at + 8) &&
	       (protocol != IPPROTO_ICMPV6 || later_fragment || !claims_others(grant, payload, own));
}

/* ---- frames ------------------------------------------------------------------------------------- */

/* ARP and RARP: the sender speaks of itself. Of anything but IPv4 over Ethernet we could not tell of whom it speaks. */
static bool
allows_arp(const struct packet_grant *grant, struct bytes arp, const struct interface_own *own)
{
	static const uint8_t ethernet_ip[] = {0, 1, TYPE_IP >> 8, TYPE_IP & 0xff, MAC_SIZE, 4};

	if (grant->any_source_mac && grant->any_source_ip)
		return true;
	return arp.len >= ARP_SIZE && memcmp(arp.at, ethernet_ip, sizeof ethernet_ip) == 0 &&
	       allows_source_mac(grant, own, arp.at + 8) && allows_source_ip4(grant, own, arp.at + 14);
}

static bool
is_tag(uint16_t type)
{
	return type == TYPE_VLAN || type == TYPE_QINQ || type == TYPE_QINQ_OLD || type == TYPE_QINQ_OLDER || type == TYPE_QINQ_OLDEST;
}

/* Of an 802.3 frame: may it be an ether type in LLC's clothes? One that is cut may. */
static bool
may_be_snap(struct bytes llc)
{
	for (size_t i = 0; i < 2 && i < llc.len; i++)
		if ((llc.at[i] & 0xfe) != 0xaa)
			return false;
	return true;
}

/* RFC 1042 or 802.1H: what follows is an ether type, not a number of some company's. */
static bool
has_ether_type(struct bytes snap)
{
	static const uint8_t rfc1042[] = {0, 0, 0}, bridged[] = {0, 0, 0xf8};

	return memcmp(snap.at + 3, rfc1042, 3) == 0 || memcmp(snap.at + 3, bridged, 3) == 0;
}

/* The innermost ether type, with *payload behind it; or -1: one on the way is not granted, or does not show. */
static int
innermost_type(const struct policy_numbers *granted, struct bytes frame, struct bytes *payload)
{
	struct bytes at = bytes_from(frame, TYPE_OFFSET);

	for (int i = 0; i <= TAGS_MAX; i++) {
		uint16_t type;

		if (at.len < 2)
			return -1;
		type = read16(at.at);
		if (!policy_has_number(granted, type < TYPE_MIN ? TYPE_LLC : type))
			return -1;
		*payload = bytes_from(at, 2);
		if (is_tag(type)) {
			at = bytes_from(*payload, 2);
		} else if (type < TYPE_MIN && may_be_snap(*payload)) {
			if (payload->len < SNAP_SIZE)
				return -1;
			if (!has_ether_type(*payload))
				return type;
			at = bytes_from(*payload, SNAP_SIZE);
		} else {
			return type;
		}
	}
	return -1;
}

bool
policy_frame(const struct packet_grant *grant, enum frame_direction direction, const uint8_t *frame, size_t len, bool for_others,
             const struct interface_own *own)
{
	bool sending = direction == FRAME_SEND;
	struct bytes payload;

	if (sending ? !grant->send : !grant->receive || (for_others && !grant->promiscuous))
		return false;
	if (grant->ethertypes.any && grant->protocols.any && (!sending || (grant->any_source_mac && grant->any_source_ip)))
		return true;
	if (len < ETHERNET_SIZE || (sending && !allows_source_mac(grant, own, frame + MAC_SIZE)))
		return false;
	switch (innermost_type(&grant->ethertypes, (struct bytes){frame, len}, &payload)) {
	case -1:
		return false;
	case TYPE_IP:
		return allows_frame_ip4(grant, sending, payload, own);
	case TYPE_IP6:
		return allows_frame_ip6(grant, sending, payload, own);
	case TYPE_ARP:
	case TYPE_RARP:
		return !sending || allows_arp(grant, payload, own);
	default:
		return true;
	}
}

/* ---- raw sockets -------------------------------------------------------------------------------- */

bool
policy_raw_header(const struct raw_grant *grant, int family, const uint8_t *packet, size_t len,
                  const struct policy_network *own, size_t own_count)
{
	struct bytes bytes = {packet, len}, payload;
	uint8_t source[16];
	bool later_fragment;
	int protocol;

	if (!grant->granted || !grant->header || (family != AF_INET && family != AF_INET6))
		return false;
	/* What is wrong with it the kernel then says as it would say it to anybody. */
	if (grant->protocols.any && grant->any_source_ip)
		return true;
	protocol = family == AF_INET ? protocol_of_ip4(bytes) : protocol_of_ip6(bytes, &payload, &later_fragment);
	if (protocol < 0 || !policy_has_number(&grant->protocols, (uint16_t)protocol))
		return false;
	if (family == AF_INET) {
		if ((packet[0] & 15u) * 4 > len)
			return false;
		memcpy(source, mapped, sizeof mapped);
		memcpy(source + sizeof mapped, packet + 12, 4);
		/* The kernel fills in a source of 0. */
		return grant->any_source_ip || memcmp(packet + 12, zeros, 4) == 0 || is_own_address(own, own_count, true, source);
	}
	return grant->any_source_ip || memcmp(packet + 8, zeros, 16) == 0 || is_own_address(own, own_count, false, packet + 8);
}

/* ---- rates -------------------------------------------------------------------------------------- */

static uint64_t
times(uint64_t a, uint64_t b)
{
	uint64_t product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

bool
bucket_take(struct token_bucket *bucket, uint64_t rate, uint64_t amount, int64_t now_ms)
{
	uint64_t capacity = times(rate > amount ? rate : amount, 1000), cost = times(amount, 1000);
	uint64_t elapsed = now_ms > bucket->filled_ms ? (uint64_t)now_ms - (uint64_t)bucket->filled_ms : 0;
	uint64_t more = times(elapsed, rate); /* one a millisecond of `rate` a second is one in thousandths */

	if (!rate)
		return true;
	if (elapsed)
		bucket->filled_ms = now_ms;
	if (bucket->tokens > capacity || more > capacity - bucket->tokens)
		bucket->tokens = capacity;
	else
		bucket->tokens += more;
	if (cost > bucket->tokens)
		return false;
	bucket->tokens -= cost;
	return true;
}
