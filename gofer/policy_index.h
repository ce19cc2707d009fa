/*
 * Rules, compiled: which is the first one that matches, in a time that hardly grows with their number.
 */
#ifndef SPLITSOCK_GOFER_POLICY_INDEX_H
#define SPLITSOCK_GOFER_POLICY_INDEX_H

#include "gofer/policy.h"

/* Addresses that a rule has to name before it allows them. Each address is of one kind. */
enum policy_special {
	SPECIAL_NONE,
	SPECIAL_LOOPBACK,
	SPECIAL_METADATA,  /* where clouds tell a machine who it is, keys included */
	SPECIAL_OWN,       /* the host's own, REACH_OWN */
	SPECIAL_MULTICAST,
	SPECIAL_BROADCAST,
	SPECIAL_LINK_LOCAL,
	SPECIALS
};

/* Names of them in the file; NULL for none. */
extern const char *const policy_special_names[SPECIALS];

struct policy_index;

/* NULL: no memory. The rules stay where they are and as they are. */
struct policy_index *policy_index_new(const struct policy_rule *rules, size_t count);
/* Takes NULL. */
void policy_index_free(struct policy_index *index);

#define POLICY_NO_RULE UINT32_MAX
/* The first rule that matches the question with this form of its address, or POLICY_NO_RULE. */
uint32_t policy_index_find(const struct policy_index *index, const struct policy_question *question, const uint8_t form[16]);

/* What kind of address it is; for bind and listen, addresses of the host are nothing special. */
enum policy_special policy_special_of(const struct policy_question *question, const uint8_t form[16]);
/* The kind that all addresses of the network are of. */
enum policy_special policy_network_special(const struct policy_network *network);
/* Networks that the named kind consists of: appends them to `out`, which has room for 2. Returns how many. */
size_t policy_special_networks(enum policy_special special, struct policy_network out[2]);

bool policy_is_ip4(const uint8_t address[16]);
bool policy_network_has(const struct policy_network *network, const uint8_t address[16]);

/* Bind and listen: ports below need a rule that names them, in a range that ends below, too. */
#define POLICY_LOW_PORTS 1024u

#endif
