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

#include "gofer/identity.h"
#include "gofer/policy_decide.h"
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
	char interface[IFNAMSIZ];         /* "*": every one but the loopback */
	bool loopback;                    /* with "*": that one, too */
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

/* What a rule's `to` names. */
enum policy_target_kind {
	TARGET_NETWORK,
	TARGET_NAME,   /* a domain name that the client has learned */
	TARGET_SUFFIX, /* likewise: any name that ends in it, behind a dot */
	TARGET_OWN,    /* the host's own addresses */
};

struct policy_target {
	enum policy_target_kind kind;
	struct policy_network network;
	char *name; /* lower case; of a suffix, what is behind "*." */
};

struct policy_ports {
	uint16_t first, last;
};

struct policy_rule {
	char *name;
	bool allow;
	unsigned operations;             /* 1 << enum policy_operation */
	struct policy_numbers protocols;
	struct policy_target *to;        /* none: wherever, except (allow) where a rule has to name it */
	size_t to_count;
	struct policy_ports *ports;      /* none: all, except (allow) those that a rule has to name */
	size_t port_count;
	bool has_egress;
	struct policy_egress egress;
	size_t line, column;             /* in the file */
};

/* A bind to this port, at no address in particular, means that address and port of the host. */
struct policy_publish {
	uint16_t port;
	uint8_t protocol;                /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t address[16];
	uint16_t host_port;
};

/* Kinds of options that have to be granted where rules say which addresses. */
enum policy_option_class {
	OPTIONS_PLAIN = 0,      /* everybody's */
	OPTIONS_SOURCE = 1,     /* other addresses of the host's, and other hosts', as a source */
	OPTIONS_INTERFACE = 2,  /* which interface */
	OPTIONS_ROUTE = 4,      /* where packets go on their way: marks, source routes, what extension headers say */
	OPTIONS_GROUPS = 8,     /* groups to receive */
	OPTIONS_PRIVILEGED = 16, /* the rest of what the kernel may ask a capability for */
};

struct policy_entry {
	char *name;                       /* for the log: "open", or what the file calls it */
	/* whom it names: who fits all of these that say anything */
	bool any_user;
	uint64_t *uids;
	size_t uid_count;
	uint64_t *gids;
	size_t gid_count;
	char **cgroups;                   /* globs; of a cgroup or one above it */
	size_t cgroup_count;
	char **containers;                /* globs; of a container's id or name */
	size_t container_count;
	struct identity_label *labels;    /* values are globs; all of them */
	size_t label_count;

	bool agent;                       /* it may say whom it serves */
	uint8_t (*resolvers)[16];         /* DNS servers whose answers it is trusted to have names from */
	size_t resolver_count;
	bool sockets;                     /* TCP, UDP and route reads: whatever the gofer's own user could do */
	struct policy_rule *rules;        /* or as far as these allow */
	size_t rule_count;
	struct policy_index *index;       /* the rules, compiled: policy_index_new(). NULL: no rules */
	struct policy_publish *publish;
	size_t publish_count;
	unsigned options;                 /* enum policy_option_class */
	char *network;                    /* the network namespace of its sockets, a path; NULL: the gofer's */
	bool no_interfaces;               /* it may not see the host's interfaces */
	struct raw_grant raw;
	struct packet_grant *packet;
	size_t packet_count;
	uint32_t packet_sockets;          /* packet sockets of one user at once */
};

struct policy {
	unsigned references;              /* 0: not counted */
	struct policy_entry *entries;
	size_t entry_count;
	bool open;                        /* it is `open` */
	uint64_t ring_bytes;              /* memory of one ring of a packet socket; 0: no rings */
	bool foreign_rings;               /* packet sockets also where that cannot hold in system calls of another ABI: see ring_guard.c */
};

/* Defaults of the file, and what `open` grants. */
#define POLICY_PACKET_SOCKETS 32u
#define POLICY_RING_BYTES (16u * 1024u * 1024u)

/* The policy `open`. Returns 0 or a negative errno. */
int policy_open(struct policy *policy);
/*
 * Reads policy.yaml, splitsock-policy(5). Returns 0, or a negative errno after writing "FILE:LINE:COLUMN: what is wrong, and the nearest valid key"
 * to message.
 */
int policy_load(struct policy *policy, const char *path, char *message, size_t message_size);
void policy_free(struct policy *policy);

/*
 * One that is shared: in memory of its own, and freed when nobody holds it any more. policy_take() counts one more holder; policy_drop() one less, and
 * takes NULL.
 */
struct policy *policy_take(struct policy *policy);
void policy_drop(struct policy *policy);

/* The client's entry, or NULL: it may do nothing. Of who is known in part, one of those before the first that asks for what is not known. */
const struct policy_entry *policy_entry_for(const struct policy *policy, const struct identity *identity);

/* Does the entry name this client? */
bool policy_names(const struct policy_entry *entry, const struct identity *identity);

/* May who has this entry do anything at all? */
bool policy_grants_anything(const struct policy_entry *entry);
/* Does it have rules, which are then asked about every address? */
bool policy_has_rules(const struct policy_entry *entry);

/* May the client open such a socket? `entry` may be NULL here and below. Packet sockets: if any interface is granted. */
bool policy_allows_socket(const struct policy_entry *entry, int family, int type, int protocol);

/* May it ask for the host's interfaces (SIOCGIF*, ethtool's reads)? Who may have packet or raw sockets needs their names and addresses. */
bool policy_allows_interfaces(const struct policy_entry *entry);

/* May it do this to or with this address, whatever address of a network it is? That is for the rules to say: policy_decide(). */
bool policy_allows(const struct policy_entry *entry, enum policy_operation operation, const struct wire_address *address);

/*
 * May it set this option, given by the host's numbers? `privileged`: as the table of options has it. Headers of its own need
 * raw.header; what the kernel may ask a capability for, and sources that are not the host's, are for who has `sockets`, or a grant of that class.
 */
bool policy_allows_option(const struct policy_entry *entry, int level, int name, bool privileged);
/* The same of what a control message of a datagram sets. */
bool policy_allows_control(const struct policy_entry *entry, int level, int name, bool privileged);

/* May it see what the host counts for its whole network namespace? Who has `sockets`: what the gofer's own user could read. */
bool policy_allows_host_counters(const struct policy_entry *entry);

/* Is every message that the kernel would read from this NETLINK_ROUTE request a read (RTM_GET*)? Changes to the host are never forwarded. */
bool policy_allows_netlink(const void *request, size_t len);

/* Is this a name server that the client's names may be learned from? IPv4 as v4-mapped. */
bool policy_trusts_resolver(const struct policy_entry *entry, const uint8_t address[16]);

bool policy_has_number(const struct policy_numbers *numbers, uint16_t number);

/* What is granted on this interface, or NULL: the grant that names it, else the one for "*". loopback: it has IFF_LOOPBACK. */
const struct packet_grant *policy_packet(const struct policy_entry *entry, const char *interface, bool loopback);

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
