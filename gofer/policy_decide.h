/*
 * May a client do this, at this address? A pure function over plain data: it does no I/O, and what it is told is all it knows.
 *
 * A client's rules are in order, the first one that matches decides, and where none does the answer is no. What counts as a match, and
 * what is off unless a rule names it, is in splitsock-policy(5). A question about an address that stands for another (NAT64, 6to4 and so on) is a
 * question about each of them, and all the answers must be yes.
 */
#ifndef SPLITSOCK_GOFER_POLICY_DECIDE_H
#define SPLITSOCK_GOFER_POLICY_DECIDE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct policy_entry;
struct policy_publish;

enum policy_operation {
	POLICY_CONNECT, /* also of a datagram socket */
	POLICY_BIND,
	POLICY_LISTEN,  /* at the address that the socket is bound to */
	POLICY_SEND,    /* a datagram to an address of its own: `datagram` in the file */
	POLICY_OPERATIONS
};

/* Where the address leads, which only the host's routes tell. */
enum policy_reach {
	REACH_AWAY,      /* or not known to be anything else */
	REACH_OWN,       /* an address of the host itself: the host's services answer */
	REACH_BROADCAST, /* all of a network */
};

struct policy_question {
	enum policy_operation operation;
	int protocol;          /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP …, never 0 */
	uint8_t address[16];   /* IPv4 as v4-mapped */
	uint16_t port;         /* in host order; 0: none, or (bind, listen) one that the host is to choose */
	enum policy_reach reach; /* of the address or any that it stands for; looked at for POLICY_CONNECT and POLICY_SEND alone */
	const char *const *names; /* domain names that the client learned for the address: lower case, no dot at the end */
	size_t name_count;
};

/* How it is done instead of plainly. */
struct policy_egress {
	bool has_source, has_mark, has_rewrite;
	uint8_t source[16];           /* the local address, unless the client has bound one */
	char interface[IFNAMSIZ];     /* "": any */
	uint32_t mark;
	uint8_t rewrite[16];          /* go there instead: an address and a port; port 0: the one that was asked for */
	uint16_t rewrite_port;
};

struct policy_decision {
	bool allowed;
	int error;                    /* what the program is told: EACCES or EPERM; 0: allowed */
	const char *rule;             /* the rule that decided, or NULL: none matched. Lives as long as the entry */
	const char *why;              /* in a few words, for people; static */
	uint8_t as[16];               /* the form of the address that was denied, or the address itself */
	const struct policy_egress *egress; /* NULL: plainly. Lives as long as the entry */
	const struct policy_publish *publish; /* bind and listen: it is to be there instead. Likewise */
	const char *network;          /* the network namespace of all of the client's sockets; NULL: the gofer's own */
};

/* entry NULL: nothing is allowed. */
struct policy_decision policy_decide(const struct policy_entry *entry, const struct policy_question *question);

/* Forms of an address: the addresses that it stands for, itself first. At most POLICY_FORMS_MAX. Returns how many. */
#define POLICY_FORMS_MAX 8u
size_t policy_forms(enum policy_operation operation, const uint8_t address[16], uint8_t forms[POLICY_FORMS_MAX][16]);

#endif
