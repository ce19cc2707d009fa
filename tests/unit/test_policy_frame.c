/*
 * Frames and headers that may pass. Every one is judged on an exact copy, so that a sanitizer sees a read behind it.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "gofer/policy.h"

#define OWN_MAC 2, 0, 0, 0, 0, 1
#define OTHER_MAC 2, 0, 0, 0, 0, 9
#define LISTED_MAC 2, 0, 0, 0, 0, 5
#define OWN_IP 192, 0, 2, 1
#define OTHER_IP 192, 0, 2, 9
#define LISTED_IP 10, 1, 2, 3
#define OWN_IP6 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
#define OTHER_IP6 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9
#define LISTED_IP6 0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9
#define NO_IP6 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
#define MAPPED 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff

#define ETHERNET_FROM(...) 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, __VA_ARGS__
#define ETHERNET ETHERNET_FROM(OWN_MAC)
#define IP 8, 0
#define ARP 8, 6
#define RARP 0x80, 0x35
#define IP6 0x86, 0xdd
#define VLAN 0x81, 0, 0, 7
#define QINQ 0x88, 0xa8, 0, 7
#define IP_HEADER(protocol, ...) 0x45, 0, 0, 20, 0, 0, 0, 0, 64, protocol, 0, 0, __VA_ARGS__, 192, 0, 2, 77
#define IP6_HEADER(next, ...) 0x60, 0, 0, 0, 0, 0, next, 64, __VA_ARGS__, OTHER_IP6
#define ARP_FROM(mac, ip) 0, 1, 8, 0, 6, 4, 0, 1, mac, ip, 0, 0, 0, 0, 0, 0, OTHER_IP

static const struct policy_network own_networks[] = {
	{{MAPPED, OWN_IP}, 120},
	{{OWN_IP6}, 64},
};
static const struct interface_own own = {.mac = {OWN_MAC}, .has_mac = true, .addresses = own_networks, .address_count = 2};

/* Everything of these types; udp, icmp and ICMPv6; its own sources and those listed. */
static uint16_t types[] = {0, 0x0800, 0x0806, 0x8035, 0x86dd, 0x8100, 0x88cc};
static uint16_t numbers[] = {IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6};
static uint8_t macs[][6] = {{LISTED_MAC}};
static struct policy_network networks[] = {{{MAPPED, 10}, 104}, {{0xfd}, 8}};

static struct packet_grant
limited(void)
{
	return (struct packet_grant){
		.interface = "veth0",
		.receive = true,
		.send = true,
		.ethertypes = {.numbers = types, .count = sizeof types / sizeof *types},
		.protocols = {.numbers = numbers, .count = sizeof numbers / sizeof *numbers},
		.source_macs = macs,
		.source_mac_count = 1,
		.source_ips = networks,
		.source_ip_count = 2,
	};
}

static bool
allowed_for(const struct packet_grant *grant, enum frame_direction direction, const uint8_t *frame, size_t len, bool for_others)
{
	uint8_t *exact = malloc(len ? len : 1);
	bool answer;

	cr_assert_not_null(exact);
	memcpy(exact, frame, len);
	answer = policy_frame(grant, direction, exact, len, for_others, &own);
	free(exact);
	return answer;
}

static bool
allowed(const struct packet_grant *grant, enum frame_direction direction, const uint8_t *frame, size_t len)
{
	return allowed_for(grant, direction, frame, len, false);
}

/* ---- the table ----------------------------------------------------------------------------------- */

struct row {
	const char *what;
	const uint8_t *frame;
	size_t len;
	bool receive, send;
	size_t judged; /* up to this length a cut one does not pass either; 0: as long as it is */
};

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__}

static const struct row rows[] = {
	/* Ether types. */
	{"LLDP", BYTES(ETHERNET, 0x88, 0xcc, 1), true, true, 14},
	{"a type that is not granted", BYTES(ETHERNET, 0x88, 0x8e, 1), false, false, 0},
	{"LLC", BYTES(ETHERNET, 0, 3, 0x42, 0x42, 3), true, true, 15},
	{"LLC with the largest length", BYTES(ETHERNET, 5, 0xff, 0x42, 0x42, 3), true, true, 15},
	{"the first type", BYTES(ETHERNET, 6, 0, 0x42, 0x42, 3), false, false, 0},
	{"SNAP with UDP", BYTES(ETHERNET, 0, 28, 0xaa, 0xaa, 3, 0, 0, 0, IP, IP_HEADER(17, OWN_IP)), true, true, 1000},
	{"SNAP with TCP", BYTES(ETHERNET, 0, 28, 0xaa, 0xaa, 3, 0, 0, 0, IP, IP_HEADER(6, OWN_IP)), false, false, 1000},
	{"802.1H with somebody's source", BYTES(ETHERNET, 0, 28, 0xab, 0xaa, 3, 0, 0, 0xf8, IP, IP_HEADER(17, OTHER_IP)), true, false, 1000},
	{"SNAP with a type that is not granted", BYTES(ETHERNET, 0, 8, 0xaa, 0xaa, 3, 0, 0, 0, 0x88, 0x8e), false, false, 1000},
	{"SNAP of somebody else", BYTES(ETHERNET, 0, 8, 0xaa, 0xaa, 3, 0, 0, 0xc, 0x20, 0), true, true, 20},
	{"SNAP in a tag", BYTES(ETHERNET, VLAN, 0, 8, 0xaa, 0xaa, 3, 0, 0, 0, IP, IP_HEADER(17, OTHER_IP)), true, false, 1000},
	/* Tags. */
	{"a tag", BYTES(ETHERNET, VLAN, IP, IP_HEADER(17, OWN_IP)), true, true, 38},
	{"three tags", BYTES(ETHERNET, VLAN, VLAN, VLAN, IP, IP_HEADER(17, OWN_IP)), true, true, 46},
	{"a tag that is not granted", BYTES(ETHERNET, QINQ, IP, IP_HEADER(17, OWN_IP)), false, false, 0},
	{"one inside another", BYTES(ETHERNET, VLAN, QINQ, IP, IP_HEADER(17, OWN_IP)), false, false, 0},
	{"a type in a tag that is not granted", BYTES(ETHERNET, VLAN, 0x88, 0x8e), false, false, 0},
	{"TCP in a tag", BYTES(ETHERNET, VLAN, IP, IP_HEADER(6, OWN_IP)), false, false, 0},
	{"somebody's source in a tag", BYTES(ETHERNET, VLAN, IP, IP_HEADER(17, OTHER_IP)), true, false, 38},
	{"ARP in a tag", BYTES(ETHERNET, VLAN, ARP, ARP_FROM(OTHER_MAC, OTHER_IP)), true, false, 18},
	{"eight tags", BYTES(ETHERNET, VLAN, VLAN, VLAN, VLAN, VLAN, VLAN, VLAN, VLAN, 0x88, 0xcc), true, true, 46},
	{"nine tags", BYTES(ETHERNET, VLAN, VLAN, VLAN, VLAN, VLAN, VLAN, VLAN, VLAN, VLAN, 0x88, 0xcc), false, false, 0},
	{"nothing in a tag", BYTES(ETHERNET, VLAN), false, false, 0},
	/* Hardware addresses. */
	{"a listed address", BYTES(ETHERNET_FROM(LISTED_MAC), IP, IP_HEADER(17, OWN_IP)), true, true, 34},
	{"somebody's address", BYTES(ETHERNET_FROM(OTHER_MAC), IP, IP_HEADER(17, OWN_IP)), true, false, 34},
	{"somebody's address with LLDP", BYTES(ETHERNET_FROM(OTHER_MAC), 0x88, 0xcc, 1), true, false, 14},
	/* IPv4. */
	{"UDP", BYTES(ETHERNET, IP, IP_HEADER(17, OWN_IP)), true, true, 34},
	{"TCP", BYTES(ETHERNET, IP, IP_HEADER(6, OWN_IP)), false, false, 0},
	{"4 in 4", BYTES(ETHERNET, IP, IP_HEADER(4, OWN_IP), IP_HEADER(17, OWN_IP)), false, false, 0},
	{"6 in 4", BYTES(ETHERNET, IP, IP_HEADER(41, OWN_IP)), false, false, 0},
	{"a listed source", BYTES(ETHERNET, IP, IP_HEADER(17, LISTED_IP)), true, true, 34},
	{"somebody's source", BYTES(ETHERNET, IP, IP_HEADER(17, OTHER_IP)), true, false, 34},
	{"behind the listed network", BYTES(ETHERNET, IP, IP_HEADER(17, 11, 0, 0, 1)), true, false, 34},
	{"no source: DHCP", BYTES(ETHERNET, IP, IP_HEADER(17, 0, 0, 0, 0)), true, true, 34},
	{"a fragment from behind", BYTES(ETHERNET, IP, 0x45, 0, 0, 20, 0, 0, 0x20, 9, 64, 17, 0, 0, OWN_IP, OTHER_IP), true, true, 34},
	{"a fragment of TCP from behind", BYTES(ETHERNET, IP, 0x45, 0, 0, 20, 0, 0, 0x20, 9, 64, 6, 0, 0, OWN_IP, OTHER_IP), false, false, 0},
	{"version 5", BYTES(ETHERNET, IP, 0x55, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, OWN_IP, OTHER_IP), false, false, 0},
	{"version 6 in IPv4", BYTES(ETHERNET, IP, IP6_HEADER(17, OWN_IP6)), false, false, 0},
	{"a header of 16 bytes", BYTES(ETHERNET, IP, 0x44, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, OWN_IP, OTHER_IP), false, false, 0},
	/* IPv6. */
	{"UDP 6", BYTES(ETHERNET, IP6, IP6_HEADER(17, OWN_IP6)), true, true, 54},
	{"TCP 6", BYTES(ETHERNET, IP6, IP6_HEADER(6, OWN_IP6)), false, false, 0},
	{"4 in 6", BYTES(ETHERNET, IP6, IP6_HEADER(4, OWN_IP6)), false, false, 0},
	{"version 4 in IPv6", BYTES(ETHERNET, IP6, IP_HEADER(17, OWN_IP), IP_HEADER(17, OWN_IP)), false, false, 0},
	{"a listed source 6", BYTES(ETHERNET, IP6, IP6_HEADER(17, LISTED_IP6)), true, true, 54},
	{"somebody's source 6", BYTES(ETHERNET, IP6, IP6_HEADER(17, OTHER_IP6)), true, false, 54},
	{"no source 6", BYTES(ETHERNET, IP6, IP6_HEADER(17, NO_IP6)), true, true, 54},
	{"a mapped own source", BYTES(ETHERNET, IP6, IP6_HEADER(17, MAPPED, OWN_IP)), true, false, 54},
	{"a mapped listed source", BYTES(ETHERNET, IP6, IP6_HEADER(17, MAPPED, LISTED_IP)), true, false, 54},
	{"hop-by-hop, UDP", BYTES(ETHERNET, IP6, IP6_HEADER(0, OWN_IP6), 17, 0, 0, 0, 0, 0, 0, 0), true, true, 62},
	{"hop-by-hop, TCP", BYTES(ETHERNET, IP6, IP6_HEADER(0, OWN_IP6), 6, 0, 0, 0, 0, 0, 0, 0), false, false, 0},
	{"a chain", BYTES(ETHERNET, IP6, IP6_HEADER(0, OWN_IP6), 43, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0,
	                  17, 0, 0, 0, 0, 0, 0, 0), true, true, 86},
	{"a chain with TCP", BYTES(ETHERNET, IP6, IP6_HEADER(0, OWN_IP6), 43, 1, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0,
	                           0, 6, 0, 0, 0, 0, 0, 0, 0), false, false, 0},
	{"a header longer than the frame", BYTES(ETHERNET, IP6, IP6_HEADER(60, OWN_IP6), 17, 1, 0, 0, 0, 0, 0, 0), false, false, 0},
	{"AH", BYTES(ETHERNET, IP6, IP6_HEADER(51, OWN_IP6), 17, 1, 0, 0, 0, 0, 0, 0), false, false, 0},
	{"no next header", BYTES(ETHERNET, IP6, IP6_HEADER(59, OWN_IP6)), false, false, 0},
	{"a first fragment", BYTES(ETHERNET, IP6, IP6_HEADER(44, OWN_IP6), 17, 0, 0, 1, 0, 0, 0, 1), true, true, 62},
	{"a first fragment with more headers", BYTES(ETHERNET, IP6, IP6_HEADER(44, OWN_IP6), 60, 0, 0, 1, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 0),
	 true, true, 70},
	{"a later fragment", BYTES(ETHERNET, IP6, IP6_HEADER(44, OWN_IP6), 17, 0, 0, 9, 0, 0, 0, 1), true, true, 62},
	{"a later fragment of TCP", BYTES(ETHERNET, IP6, IP6_HEADER(44, OWN_IP6), 6, 0, 0, 8, 0, 0, 0, 1), false, false, 0},
	{"a later fragment that hides what it is", BYTES(ETHERNET, IP6, IP6_HEADER(44, OWN_IP6), 60, 0, 0, 8, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 0),
	 false, false, 0},
	{"a fragment's reserved length", BYTES(ETHERNET, IP6, IP6_HEADER(44, OWN_IP6), 17, 255, 0, 1, 0, 0, 0, 1), true, true, 62},
	/* ICMPv6. */
	{"an echo request", BYTES(ETHERNET, IP6, IP6_HEADER(58, OWN_IP6), 128, 0), true, true, 1000},
	{"ICMPv6 of no type", BYTES(ETHERNET, IP6, IP6_HEADER(58, OWN_IP6)), true, false, 54},
	{"a solicitation", BYTES(ETHERNET, IP6, IP6_HEADER(58, NO_IP6), 135, 0, 0, 0, 0, 0, 0, 0, OTHER_IP6), true, true, 1000},
	{"an advertisement", BYTES(ETHERNET, IP6, IP6_HEADER(58, OWN_IP6), 136, 0, 0, 0, 0, 0, 0, 0, OWN_IP6), true, true, 1000},
	{"a listed one", BYTES(ETHERNET, IP6, IP6_HEADER(58, OWN_IP6), 136, 0, 0, 0, 0, 0, 0, 0, LISTED_IP6), true, true, 1000},
	{"somebody's", BYTES(ETHERNET, IP6, IP6_HEADER(58, OWN_IP6), 136, 0, 0, 0, 0, 0, 0, 0, OTHER_IP6), true, false, 54},
	{"somebody's from nobody", BYTES(ETHERNET, IP6, IP6_HEADER(58, NO_IP6), 136, 0, 0, 0, 0, 0, 0, 0, OTHER_IP6), true, false, 54},
	{"nobody's", BYTES(ETHERNET, IP6, IP6_HEADER(58, OWN_IP6), 136, 0, 0, 0, 0, 0, 0, 0, NO_IP6), true, false, 54},
	{"a cut one", BYTES(ETHERNET, IP6, IP6_HEADER(58, OWN_IP6), 136, 0, 0, 0, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8), true, false, 54},
	{"somebody's behind a header", BYTES(ETHERNET, IP6, IP6_HEADER(60, OWN_IP6), 58, 0, 0, 0, 0, 0, 0, 0, 136, 0, 0, 0, 0, 0, 0, 0, OTHER_IP6),
	 true, false, 62},
	{"somebody's in a first fragment", BYTES(ETHERNET, IP6, IP6_HEADER(44, OWN_IP6), 58, 0, 0, 1, 0, 0, 0, 0, 136, 0, 0, 0, 0, 0, 0, 0, OTHER_IP6),
	 true, false, 62},
	{"a router", BYTES(ETHERNET, IP6, IP6_HEADER(58, OWN_IP6), 134, 0, 0, 0), true, false, 54},
	{"a redirect", BYTES(ETHERNET, IP6, IP6_HEADER(58, OWN_IP6), 137, 0, 0, 0), true, false, 54},
	/* ARP and RARP. */
	{"ARP", BYTES(ETHERNET, ARP, ARP_FROM(OWN_MAC, OWN_IP)), true, true, 1000},
	{"ARP, listed", BYTES(ETHERNET, ARP, ARP_FROM(LISTED_MAC, LISTED_IP)), true, true, 1000},
	{"an ARP probe", BYTES(ETHERNET, ARP, 0, 1, 8, 0, 6, 4, 0, 1, OWN_MAC, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, OTHER_IP), true, true, 1000},
	{"ARP for somebody's address", BYTES(ETHERNET, ARP, 0, 1, 8, 0, 6, 4, 0, 2, OWN_MAC, OTHER_IP, OTHER_MAC, OTHER_IP), true, false, 14},
	{"ARP with somebody's hardware address", BYTES(ETHERNET, ARP, 0, 1, 8, 0, 6, 4, 0, 2, OTHER_MAC, OWN_IP, OTHER_MAC, OTHER_IP), true, false, 14},
	{"ARP for another hardware", BYTES(ETHERNET, ARP, 0, 6, 8, 0, 6, 4, 0, 1, OWN_MAC, OWN_IP, OTHER_MAC, OTHER_IP), true, false, 14},
	{"ARP for another protocol", BYTES(ETHERNET, ARP, 0, 1, 8, 1, 6, 4, 0, 1, OWN_MAC, OWN_IP, OTHER_MAC, OTHER_IP), true, false, 14},
	{"ARP with long addresses", BYTES(ETHERNET, ARP, 0, 1, 8, 0, 8, 4, 0, 1, OWN_MAC, OWN_IP, OTHER_MAC, OTHER_IP), true, false, 14},
	{"ARP that is cut", BYTES(ETHERNET, ARP, 0, 1, 8, 0, 6, 4, 0, 1, OWN_MAC, OWN_IP, OTHER_MAC, 1, 2, 3), true, false, 14},
	{"RARP", BYTES(ETHERNET, RARP, 0, 1, 8, 0, 6, 4, 0, 3, OWN_MAC, 0, 0, 0, 0, OWN_MAC, 0, 0, 0, 0), true, true, 1000},
	{"RARP with somebody's address", BYTES(ETHERNET, RARP, 0, 1, 8, 0, 6, 4, 0, 3, OTHER_MAC, 0, 0, 0, 0, OWN_MAC, 0, 0, 0, 0), true, false, 14},
	/* Hardly anything. */
	{"addresses alone", BYTES(ETHERNET), false, false, 0},
	{"half a type", BYTES(ETHERNET, 8), false, false, 0},
};

Test(policy_frame, each_rule)
{
	const struct packet_grant grant = limited();

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cr_expect_eq(allowed(&grant, FRAME_RECEIVE, rows[i].frame, rows[i].len), rows[i].receive, "%s, received", rows[i].what);
		cr_expect_eq(allowed(&grant, FRAME_SEND, rows[i].frame, rows[i].len), rows[i].send, "%s, sent", rows[i].what);
	}
}

/* Cut at every length: what passes is long enough to be judged, and what was refused whole for what it says never gets better by it. */
Test(policy_frame, a_cut_frame)
{
	const struct packet_grant grant = limited();
	struct packet_grant any = {.receive = true, .send = true, .promiscuous = true, .ethertypes.any = true, .protocols.any = true,
	                           .any_source_mac = true, .any_source_ip = true};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t len = 0; len <= rows[i].len; len++) {
			size_t judged = rows[i].judged > rows[i].len ? rows[i].len : rows[i].judged;
			bool received = allowed(&grant, FRAME_RECEIVE, rows[i].frame, len), sent = allowed(&grant, FRAME_SEND, rows[i].frame, len);

			cr_assert(allowed(&any, FRAME_RECEIVE, rows[i].frame, len) && allowed(&any, FRAME_SEND, rows[i].frame, len));
			cr_assert(!sent || received, "%s at %zu: what is sent may be received under this grant", rows[i].what, len);
			cr_expect(!received || len >= 14, "%s at %zu", rows[i].what, len);
			if (rows[i].judged && rows[i].judged <= rows[i].len) {
				cr_expect_eq(received, rows[i].receive && len >= judged, "%s at %zu, received", rows[i].what, len);
				if (rows[i].send)
					cr_expect_eq(sent, len >= judged, "%s at %zu, sent", rows[i].what, len);
			}
			if (!rows[i].send && len < rows[i].len && sent)
				cr_expect(false, "%s passes when it is cut to %zu", rows[i].what, len);
		}
}

Test(policy_frame, directions_and_stations)
{
	static const uint8_t frame[] = {ETHERNET, IP, IP_HEADER(17, OWN_IP)};

	for (int bits = 0; bits < 8; bits++) {
		struct packet_grant grant = limited();

		grant.receive = bits & 1;
		grant.send = bits & 2;
		grant.promiscuous = bits & 4;
		for (int any = 0; any < 2; any++) {
			if (any) {
				grant.ethertypes.any = grant.protocols.any = grant.any_source_mac = grant.any_source_ip = true;
			}
			cr_expect_eq(allowed_for(&grant, FRAME_RECEIVE, frame, sizeof frame, false), grant.receive);
			cr_expect_eq(allowed_for(&grant, FRAME_RECEIVE, frame, sizeof frame, true), grant.receive && grant.promiscuous);
			cr_expect_eq(allowed_for(&grant, FRAME_SEND, frame, sizeof frame, false), grant.send);
			cr_expect_eq(allowed_for(&grant, FRAME_SEND, frame, sizeof frame, true), grant.send);
		}
	}
}

/* One limit at a time, all else granted. */
Test(policy_frame, each_limit_alone)
{
	static const uint8_t tcp[] = {ETHERNET_FROM(OTHER_MAC), IP, IP_HEADER(6, OTHER_IP)}, eapol[] = {ETHERNET, 0x88, 0x8e};
	static const uint8_t arp_ip[] = {ETHERNET, ARP, ARP_FROM(OWN_MAC, OTHER_IP)}, arp_mac[] = {ETHERNET, ARP, ARP_FROM(OTHER_MAC, OWN_IP)};
	static const uint8_t router[] = {ETHERNET, IP6, IP6_HEADER(58, OWN_IP6), 134};
	struct packet_grant any = {.receive = true, .send = true, .ethertypes.any = true, .protocols.any = true, .any_source_mac = true,
	                           .any_source_ip = true};
	struct packet_grant grant = any;

	grant.ethertypes = limited().ethertypes;
	cr_expect(allowed(&grant, FRAME_SEND, tcp, sizeof tcp));
	cr_expect_not(allowed(&grant, FRAME_SEND, eapol, sizeof eapol));
	grant = any;
	grant.protocols = limited().protocols;
	cr_expect(allowed(&grant, FRAME_SEND, eapol, sizeof eapol));
	cr_expect_not(allowed(&grant, FRAME_SEND, tcp, sizeof tcp));
	cr_expect(allowed(&grant, FRAME_SEND, router, sizeof router));
	grant = any;
	grant.any_source_mac = false;
	cr_expect_not(allowed(&grant, FRAME_SEND, tcp, sizeof tcp));
	cr_expect(allowed(&grant, FRAME_SEND, arp_ip, sizeof arp_ip));
	cr_expect_not(allowed(&grant, FRAME_SEND, arp_mac, sizeof arp_mac));
	cr_expect(allowed(&grant, FRAME_SEND, router, sizeof router));
	grant = any;
	grant.any_source_ip = false;
	cr_expect_not(allowed(&grant, FRAME_SEND, tcp, sizeof tcp));
	cr_expect(allowed(&grant, FRAME_RECEIVE, tcp, sizeof tcp));
	cr_expect_not(allowed(&grant, FRAME_SEND, arp_ip, sizeof arp_ip));
	cr_expect(allowed(&grant, FRAME_SEND, arp_mac, sizeof arp_mac));
	cr_expect_not(allowed(&grant, FRAME_SEND, router, sizeof router));
	cr_expect(allowed(&any, FRAME_SEND, router, sizeof router));
}

Test(policy_frame, an_ip6_network_holds_no_ip4_nor_the_other_way)
{
	static const uint8_t four[] = {ETHERNET, IP, IP_HEADER(17, OTHER_IP)}, six[] = {ETHERNET, IP6, IP6_HEADER(17, OTHER_IP6)};
	static const uint8_t mapped[] = {ETHERNET, IP6, IP6_HEADER(17, MAPPED, OTHER_IP)};
	struct policy_network every6 = {{0}, 0}, every4 = {{MAPPED}, 96};
	struct packet_grant grant = limited();

	grant.source_ips = &every6;
	grant.source_ip_count = 1;
	cr_expect_not(allowed(&grant, FRAME_SEND, four, sizeof four));
	cr_expect(allowed(&grant, FRAME_SEND, six, sizeof six));
	cr_expect(allowed(&grant, FRAME_SEND, mapped, sizeof mapped));
	grant.source_ips = &every4;
	cr_expect(allowed(&grant, FRAME_SEND, four, sizeof four));
	cr_expect_not(allowed(&grant, FRAME_SEND, six, sizeof six));
	cr_expect_not(allowed(&grant, FRAME_SEND, mapped, sizeof mapped));
}

Test(policy_frame, every_prefix_is_as_long_as_it_says)
{
	for (unsigned prefix = 0; prefix <= 32; prefix++)
		for (unsigned bit = 0; bit < 32; bit++) {
			uint8_t frame[] = {ETHERNET, IP, IP_HEADER(17, 0xac, 0x15, 0x5b, 0x77)};
			struct policy_network network = {{MAPPED, 0xac, 0x15, 0x5b, 0x77}, (uint8_t)(96 + prefix)};
			struct packet_grant grant = limited();

			grant.source_ips = &network;
			grant.source_ip_count = 1;
			cr_assert(allowed(&grant, FRAME_SEND, frame, sizeof frame));
			frame[26 + bit / 8] ^= 0x80 >> bit % 8;
			cr_assert_eq(allowed(&grant, FRAME_SEND, frame, sizeof frame), bit >= prefix, "/%u with bit %u changed", prefix, bit);
		}
}

Test(policy_frame, a_chain_of_headers_has_an_end)
{
	for (int headers = 0; headers < 40; headers++) {
		uint8_t frame[54 + 40 * 8] = {ETHERNET, IP6, IP6_HEADER(60, OWN_IP6)};
		const struct packet_grant grant = limited();

		for (int i = 0; i < headers; i++)
			frame[54 + i * 8] = 60;
		frame[headers ? 54 + (headers - 1) * 8 : 20] = 17;
		cr_expect_eq(allowed(&grant, FRAME_SEND, frame, 54 + (size_t)headers * 8), headers < 16, "%d headers", headers);
	}
}

Test(policy_frame, an_interface_without_hardware_address_owns_none)
{
	static const uint8_t frame[] = {ETHERNET_FROM(0, 0, 0, 0, 0, 0), 0x88, 0xcc};
	const struct packet_grant grant = limited();

	cr_expect_not(policy_frame(&grant, FRAME_SEND, frame, sizeof frame, false, &(struct interface_own){.has_mac = false}));
	cr_expect(policy_frame(&grant, FRAME_SEND, frame, sizeof frame, false, &(struct interface_own){.has_mac = true}));
}

/* ---- an oracle ----------------------------------------------------------------------------------- */

/*
 * The rules once more, as one would say them, without the code's own structure: a frame has layers, each a type and where it begins. Says
 * only what must not pass; what it lets through the code may still refuse.
 */
static bool
listed(const struct policy_numbers *set, unsigned number)
{
	bool found = set->any;

	for (size_t i = 0; i < set->count; i++)
		found |= set->numbers[i] == number;
	return found;
}

static bool
oracle_mac(const struct packet_grant *grant, const uint8_t *mac)
{
	static const uint8_t own_mac[] = {OWN_MAC}, listed_mac[] = {LISTED_MAC};

	return grant->any_source_mac || !memcmp(mac, own_mac, 6) || (grant->source_mac_count && !memcmp(mac, listed_mac, 6));
}

static bool
oracle_ip4(const struct packet_grant *grant, const uint8_t *ip, bool zero)
{
	static const uint8_t own_ip[] = {OWN_IP};

	return grant->any_source_ip || (zero && !(ip[0] | ip[1] | ip[2] | ip[3])) || !memcmp(ip, own_ip, 4) ||
	       (grant->source_ip_count && ip[0] == 10);
}

static bool
oracle_ip6(const struct packet_grant *grant, const uint8_t *ip, bool zero)
{
	static const uint8_t own_ip[] = {OWN_IP6}, none[16];

	return grant->any_source_ip || (zero && !memcmp(ip, none, 16)) || !memcmp(ip, own_ip, 16) || (grant->source_ip_count && ip[0] == 0xfd);
}

/* A reader that gives 0 behind the end and remembers that it was there. */
struct probe {
	const uint8_t *bytes;
	size_t len;
	bool beyond;
};

static unsigned
byte(struct probe *probe, size_t off)
{
	if (off >= probe->len) {
		probe->beyond = true;
		return 0;
	}
	return probe->bytes[off];
}

static bool
forbidden(const struct packet_grant *grant, bool sending, const uint8_t *frame, size_t len)
{
	struct probe probe = {frame, len, false};
	bool all = grant->ethertypes.any && grant->protocols.any;
	bool limit_mac = sending && !grant->any_source_mac, limit_ip = sending && !grant->any_source_ip;
	size_t at = 12;
	unsigned type = 0;
	bool known = false;

	if (sending ? !grant->send : !grant->receive)
		return true;
	if (all && !limit_mac && !limit_ip)
		return false;
	if (len < 14 || (limit_mac && !oracle_mac(grant, frame + 6)))
		return true;
	for (int tags = 0; tags <= 8; tags++) {
		type = byte(&probe, at) << 8 | byte(&probe, at + 1);
		at += 2;
		if (probe.beyond || !listed(&grant->ethertypes, type < 1536 ? 0 : type))
			return true;
		if (type == 0x8100 || type == 0x88a8 || type == 0x9100 || type == 0x9200 || type == 0x9300) {
			at += 2;
		} else if (type < 1536 && len >= at + 6 && (frame[at] & 254) == 170 && (frame[at + 1] & 254) == 170 && !frame[at + 3] &&
		           !frame[at + 4] && (!frame[at + 5] || frame[at + 5] == 0xf8)) {
			at += 6;
		} else {
			/* Cut, so that it may have been one. */
			if (type < 1536 && len < at + 6 && (len <= at || (frame[at] & 254) == 170) && (len <= at + 1 || (frame[at + 1] & 254) == 170))
				return true;
			known = true;
			break;
		}
	}
	if (!known)
		return true;
	if (type == 0x0806 || type == 0x8035) {
		static const uint8_t start[] = {0, 1, 8, 0, 6, 4};

		if (!limit_mac && !limit_ip)
			return false;
		if (len < at + 28 || memcmp(frame + at, start, 6))
			return true;
		return (limit_mac && !oracle_mac(grant, frame + at + 8)) || (limit_ip && !oracle_ip4(grant, frame + at + 14, true));
	}
	if (grant->protocols.any && !limit_ip)
		return false;
	if (type == 0x0800)
		return len < at + 20 || frame[at] < 0x45 || frame[at] > 0x4f || !listed(&grant->protocols, frame[at + 9]) ||
		       (limit_ip && !oracle_ip4(grant, frame + at + 12, true));
	if (type == 0x86dd) {
		unsigned next;
		bool later = false;
		size_t ip = at;

		if (len < at + 40 || frame[at] >> 4 != 6)
			return true;
		next = frame[at + 6];
		at += 40;
		while (next == 0 || next == 43 || next == 44 || next == 60) {
			unsigned this = next;

			next = byte(&probe, at);
			if (later)
				return true;
			if (this == 44)
				later = (byte(&probe, at + 2) << 8 | byte(&probe, at + 3)) >= 8;
			at += this == 44 ? 8 : 8 * (1 + byte(&probe, at + 1));
			if (probe.beyond || at > len)
				return true;
		}
		if (!listed(&grant->protocols, next) || (limit_ip && !oracle_ip6(grant, frame + ip + 8, true)))
			return true;
		if (limit_ip && next == 58 && !later) {
			unsigned message = byte(&probe, at);

			if (probe.beyond || message == 134 || message == 137)
				return true;
			if (message == 136)
				return len < at + 24 || !oracle_ip6(grant, frame + at + 8, false);
		}
	}
	return false;
}

static uint64_t random_state = 1;

static uint32_t
random_number(uint32_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((random_state >> 33) % below);
}

/* Something that is likely to matter. */
static uint8_t
random_byte(void)
{
	static const uint8_t likely[] = {0, 1, 2, 4, 6, 8, 10, 17, 43, 44, 45, 58, 60, 0x45, 0x60, 0x81, 0x86, 0xdd, 0x88, 0xa8, 0xaa, 134, 136, 137, 0xfd};

	return random_number(3) ? likely[random_number(sizeof likely)] : (uint8_t)random_number(256);
}

Test(policy_frame, random_frames_pass_within_the_grant_alone, .timeout = 300)
{
	unsigned passed = 0, refused = 0, strict = 0;

	for (int round = 0; round < 1000000; round++) {
		const struct row *row = &rows[random_number(sizeof rows / sizeof *rows)];
		uint8_t frame[256];
		size_t len = row->len;
		struct packet_grant grant = limited();
		uint32_t open = random_number(64);
		bool sending = random_number(2), answer, wrong;

		memcpy(frame, row->frame, len);
		if (round % 16 == 0)
			for (len = random_number(120), frame[0] = 0; frame[0] < len; frame[0]++)
				frame[frame[0]] = random_byte();
		for (uint32_t changes = random_number(5); changes && len; changes--) {
			uint32_t what = random_number(6), at = random_number((uint32_t)len);

			if (what == 0) { /* cut */
				len = at;
			} else if (what == 1 && len + 8 <= sizeof frame) { /* something put in between */
				uint32_t more = random_number(3) ? 4 : 8;

				memmove(frame + at + more, frame + at, len - at);
				for (uint32_t i = 0; i < more; i++)
					frame[at + i] = random_byte();
				len += more;
			} else {
				frame[at] = random_byte();
			}
		}
		grant.ethertypes.any = (open & 3) == 3;
		grant.protocols.any = open & 4;
		grant.any_source_mac = open & 8;
		grant.any_source_ip = open & 16;
		if (open & 32)
			grant.source_mac_count = grant.source_ip_count = 0;
		answer = allowed(&grant, sending ? FRAME_SEND : FRAME_RECEIVE, frame, len);
		wrong = forbidden(&grant, sending, frame, len);
		cr_assert_not(answer && wrong, "round %d: %s, changed to %zu bytes, passes", round, row->what, len);
		passed += answer;
		refused += !answer;
		strict += !answer && !wrong;
	}
	/* The generator makes enough of both, and the code does not refuse what it should not. */
	cr_assert_gt(passed, 200000);
	cr_assert_gt(refused, 200000);
	cr_assert_lt(strict, 100, "%u are refused without need", strict);
}

/* ---- headers of one's own ------------------------------------------------------------------------ */

static bool
header_allowed(const struct raw_grant *grant, int family, const uint8_t *packet, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);
	bool answer;

	cr_assert_not_null(exact);
	memcpy(exact, packet, len);
	answer = policy_raw_header(grant, family, exact, len, own_networks, 2);
	free(exact);
	return answer;
}

static const struct {
	const char *what;
	int family;
	const uint8_t *packet;
	size_t len;
	bool own, any_source;
	size_t judged;
} headers[] = {
	{"UDP", AF_INET, BYTES(IP_HEADER(17, OWN_IP), 1, 2), true, true, 20},
	{"no source", AF_INET, BYTES(IP_HEADER(17, 0, 0, 0, 0)), true, true, 20},
	{"somebody's source", AF_INET, BYTES(IP_HEADER(17, OTHER_IP)), false, true, 20},
	{"TCP", AF_INET, BYTES(IP_HEADER(6, OWN_IP)), false, false, 0},
	{"version 6", AF_INET, BYTES(IP6_HEADER(17, OWN_IP6)), false, false, 0},
	{"16 bytes of header", AF_INET, BYTES(0x44, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, OWN_IP, OTHER_IP), false, false, 0},
	{"options", AF_INET, BYTES(0x46, 0, 0, 24, 0, 0, 0, 0, 64, 17, 0, 0, OWN_IP, OTHER_IP, 1, 1, 1, 1), true, true, 24},
	{"UDP 6", AF_INET6, BYTES(IP6_HEADER(17, OWN_IP6)), true, true, 40},
	{"no source 6", AF_INET6, BYTES(IP6_HEADER(17, NO_IP6)), true, true, 40},
	{"somebody's source 6", AF_INET6, BYTES(IP6_HEADER(17, OTHER_IP6)), false, true, 40},
	{"a mapped source", AF_INET6, BYTES(IP6_HEADER(17, MAPPED, OWN_IP)), false, true, 40},
	{"TCP behind a header", AF_INET6, BYTES(IP6_HEADER(0, OWN_IP6), 6, 0, 0, 0, 0, 0, 0, 0), false, false, 0},
	{"UDP behind a header", AF_INET6, BYTES(IP6_HEADER(0, OWN_IP6), 17, 0, 0, 0, 0, 0, 0, 0), true, true, 48},
	{"version 4", AF_INET6, BYTES(IP_HEADER(17, OWN_IP), IP_HEADER(17, OWN_IP)), false, false, 0},
	{"no family of ours", AF_PACKET, BYTES(IP_HEADER(17, OWN_IP)), false, false, 0},
};

Test(policy_frame, headers_of_ones_own)
{
	struct raw_grant grant = {.granted = true, .header = true, .protocols = limited().protocols};

	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
		for (size_t len = 0; len <= headers[i].len; len++) {
			bool enough = headers[i].judged && len >= headers[i].judged;

			grant.any_source_ip = false;
			cr_expect_eq(header_allowed(&grant, headers[i].family, headers[i].packet, len), headers[i].own && enough, "%s at %zu",
			             headers[i].what, len);
			grant.any_source_ip = true;
			cr_expect_eq(header_allowed(&grant, headers[i].family, headers[i].packet, len), headers[i].any_source && enough, "%s at %zu",
			             headers[i].what, len);
		}
	grant = (struct raw_grant){.granted = true, .header = true, .protocols.any = true};
	cr_expect_not(header_allowed(&grant, AF_INET, headers[0].packet, 19), "the source cannot be judged");
	grant.any_source_ip = true;
	cr_expect(header_allowed(&grant, AF_INET, headers[0].packet, 19), "there is nothing to judge");
	grant.header = false;
	cr_expect_not(header_allowed(&grant, AF_INET, headers[0].packet, headers[0].len));
	grant = (struct raw_grant){.header = true, .protocols.any = true, .any_source_ip = true};
	cr_expect_not(header_allowed(&grant, AF_INET, headers[0].packet, headers[0].len));
}
