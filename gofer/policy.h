/*
 * What a client may do. Decisions are pure functions over plain data and do no I/O.
 *
 * A policy is a list of entries; the first one that names a client is that client's, and who is named by none may do nothing.
 * The policy `open` is one entry that names everybody and grants whatever the gofer's own user could do.
 */
#ifndef SPLITSOCK_GOFER_POLICY_H
#define SPLITSOCK_GOFER_POLICY_H

#include <linux/filter.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/values.h"

/* A set of 16-bit (ether types) or 8-bit (IP protocols) numbers. Ether type 0: every frame that has a length there (802.3, LLC). */
struct policy_numbers {
	bool any;
	uint16_t *numbers;
	size_t count;
};

/* IPv4 as v4-mapped IPv6; `prefix` counts from the front of the 16 bytes. */
struct policy_network {
	uint8_t address[16];
	uint8_t prefix;
};

/* Raw access to one of the host's interfaces. */
struct packet_grant {
	char interface[IFNAMSIZ];         /* "*": every one */
	bool receive, send;
	bool promiscuous;                 /* frames that are for other stations, in and out of promiscuous mode */
	struct policy_numbers ethertypes; /* of every VLAN tag, too */
	struct policy_numbers protocols;  /* IP protocols, looked at in IPv4 and IPv6 frames */
	bool any_source_mac, any_source_ip; /* sending: otherwise the interface's own only */
	uint8_t (*source_macs)[6];        /* sending: these, too */
	size_t source_mac_count;
	struct policy_network *source_ips;
	size_t source_ip_count;
	struct sock_fprog filter;         /* len 0: none. Receiving: what passes it, before any filter of the client's */
	uint64_t frames_per_second, bytes_per_second; /* each way; 0: no limit */
};

/* Raw IP sockets. */
struct raw_grant {
	bool granted;
	struct policy_numbers protocols;  /* that sockets may be for, and headers of the client's own may name */
	bool header;                      /* headers of its own: IPPROTO_RAW, IP_HDRINCL, IPV6_HDRINCL */
	bool any_source_ip;               /* in them; otherwise 0 or an address of the host */
};

struct policy_entry {
	char *name;                       /* for the log: "open", or what the file calls it */
	bool any_user;
	uint64_t *uids;
	size_t uid_count;
	bool sockets;                     /* TCP, UDP and route reads: whatever the gofer's own user could do */
	struct raw_grant raw;
	struct packet_grant *packet;
	size_t packet_count;
	uint32_t packet_sockets;          /* packet sockets of one user at once */
};

struct policy {
	struct policy_entry *entries;
	size_t entry_count;
	bool open;                        /* it is `open` */
	uint64_t ring_bytes;              /* memory of one ring of a packet socket; 0: no rings */
};

/* Defaults of the file, and what `open` grants. */
#define POLICY_PACKET_SOCKETS 32u
#define POLICY_RING_BYTES (16u * 1024u * 1024u)

enum policy_operation { POLICY_SOCKET, POLICY_BIND, POLICY_CONNECT, POLICY_LISTEN, POLICY_SEND };

/* The policy `open`. Returns 0 or a negative errno. */
int policy_open(struct policy *policy);
/*
 * Reads policy.yaml, splitsock-policy(5). Returns 0, or a negative errno after writing "FILE:LINE:COLUMN: what is wrong, and the nearest valid key"
 * to message.
 */
int policy_load(struct policy *policy, const char *path, char *message, size_t message_size);
void policy_free(struct policy *policy);

/* The client's entry, or NULL: it may do nothing. */
const struct policy_entry *policy_entry_for(const struct policy *policy, uint64_t uid);

/* May the client open such a socket? `entry` may be NULL here and below. Packet sockets: if any interface is granted. */
bool policy_allows_socket(const struct policy_entry *entry, int family, int type, int protocol);

/* May it ask for the host's interfaces (SIOCGIF*, ethtool's reads)? Who may have packet or raw sockets needs their names and addresses. */
bool policy_allows_interfaces(const struct policy_entry *entry);

/* May it do this to or with this address? */
bool policy_allows(const struct policy_entry *entry, enum policy_operation operation, const struct wire_address *address);

/*
 * May it set this option, given by the host's numbers? `privileged`: as the table of options has it. Headers of its own need
 * raw.header; what the kernel may ask a capability for, and sources that are not the host's, are for who has `sockets`.
 */
bool policy_allows_option(const struct policy_entry *entry, int level, int name, bool privileged);

/* May it see what the host counts for its whole network namespace? Who has `sockets`: what the gofer's own user could read. */
bool policy_allows_host_counters(const struct policy_entry *entry);

/* Is every message that the kernel would read from this NETLINK_ROUTE request a read (RTM_GET*)? Changes to the host are never forwarded. */
bool policy_allows_netlink(const void *request, size_t len);

bool policy_has_number(const struct policy_numbers *numbers, uint16_t number);

/* What is granted on this interface, or NULL: the grant that names it, else the one for "*". */
const struct packet_grant *policy_packet(const struct policy_entry *entry, const char *interface);

/* The interface as its owner: what "own" means for sources. */
struct interface_own {
	uint8_t mac[6];
	bool has_mac;
	const struct policy_network *addresses; /* its addresses; prefixes are not looked at */
	size_t address_count;
};

enum frame_direction { FRAME_RECEIVE, FRAME_SEND };

/*
 * May this frame pass? `frame` starts with the Ethernet header, tags included, as on the wire; `for_others`: the kernel says PACKET_OTHERHOST.
 * Frames too short to be judged do not pass where something of them is limited.
 */
bool policy_frame(const struct packet_grant *grant, enum frame_direction direction, const uint8_t *frame, size_t len, bool for_others,
                  const struct interface_own *own);

/* May a raw socket send this IP packet, whose header is the client's? own: all addresses of the host. */
bool policy_raw_header(const struct raw_grant *grant, int family, const uint8_t *packet, size_t len,
                       const struct policy_network *own, size_t own_count);

/* Tokens for one second; plain data. Returns whether `amount` more fits at this time (monotonic, ms). rate 0: always. */
struct token_bucket {
	uint64_t tokens;  /* in thousandths */
	int64_t filled_ms;
};
bool bucket_take(struct token_bucket *bucket, uint64_t rate, uint64_t amount, int64_t now_ms);

#endif
