#include "gofer/policy_decide.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "gofer/policy_index.h"

/* ---- forms -------------------------------------------------------------------------------------- */

/* Where an address has an IPv4 address in it. */
struct embedding {
	struct policy_network network;
	uint8_t bytes[4]; /* which ones */
	bool inverted;
};

static const struct embedding embeddings[] = {
	/* NAT64 (RFC 6052, RFC 8215): of the second, the network's own prefix may be as long as any of these */
	{{.address = {0x00, 0x64, 0xff, 0x9b}, .prefix = 96}, {12, 13, 14, 15}, false},
	{{.address = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, .prefix = 48}, {12, 13, 14, 15}, false},
	{{.address = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, .prefix = 48}, {6, 7, 9, 10}, false},
	{{.address = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, .prefix = 48}, {7, 9, 10, 11}, false},
	{{.address = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, .prefix = 48}, {9, 10, 11, 12}, false},
	/* 6to4 (RFC 3056) */
	{{.address = {0x20, 0x02}, .prefix = 16}, {2, 3, 4, 5}, false},
	/* Teredo (RFC 4380): the client's address */
	{{.address = {0x20, 0x01}, .prefix = 32}, {12, 13, 14, 15}, true},
	/* v4-compatible (RFC 4291), and translated (RFC 2765) */
	{{.prefix = 96}, {12, 13, 14, 15}, false},
	{{.address = {[8] = 0xff, 0xff}, .prefix = 96}, {12, 13, 14, 15}, false},
};

/* An interface's identifier that is made of an IPv4 address, in any network (RFC 5214). */
static bool
is_isatap(const uint8_t address[16])
{
	return (address[8] & ~0x03u) == 0 && address[9] == 0 && address[10] == 0x5e && address[11] == 0xfe;
}

static void
add_ip4(uint8_t forms[POLICY_FORMS_MAX][16], size_t *count, const uint8_t address[16], const struct embedding *embedding)
{
	uint8_t *form = forms[*count];

	memset(form, 0, 10);
	form[10] = form[11] = 0xff;
	for (size_t i = 0; i < 4; i++)
		form[12 + i] = (uint8_t)(address[embedding->bytes[i]] ^ (embedding->inverted ? 0xff : 0));
	for (size_t i = 0; i < *count; i++)
		if (memcmp(forms[i], form, 16) == 0)
			return;
	++*count;
}

size_t
policy_forms(enum policy_operation operation, const uint8_t address[16], uint8_t forms[POLICY_FORMS_MAX][16])
{
	static const uint8_t unspecified[16], loopback[16] = {[15] = 1};
	static const struct embedding plain = {.bytes = {12, 13, 14, 15}};
	bool outward = operation == POLICY_CONNECT || operation == POLICY_SEND;
	size_t count = 1;

	memcpy(forms[0], address, 16);
	/* Who goes to no address in particular comes to the loopback. */
	if (outward && policy_is_ip4(address) && memcmp(address + 12, unspecified, 4) == 0)
		memcpy(forms[0] + 12, (uint8_t[]){127, 0, 0, 1}, 4);
	else if (outward && memcmp(address, unspecified, 16) == 0)
		memcpy(forms[0], loopback, 16);
	if (policy_is_ip4(forms[0]) || memcmp(forms[0], loopback, 16) == 0)
		return count;
	/* Who binds to no IPv6 address in particular has every IPv4 address as well: :: and 0.0.0.0 are alike below. */
	for (size_t i = 0; i < sizeof embeddings / sizeof *embeddings; i++)
		if (policy_network_has(&embeddings[i].network, forms[0]))
			add_ip4(forms, &count, forms[0], &embeddings[i]);
	if (is_isatap(forms[0]))
		add_ip4(forms, &count, forms[0], &plain);
	return count;
}

/* ---- deciding ----------------------------------------------------------------------------------- */

static bool
is_bind(enum policy_operation operation)
{
	return operation == POLICY_BIND || operation == POLICY_LISTEN;
}

static const char *
why_not(const struct policy_question *question, const uint8_t form[16])
{
	static const char *const why[SPECIALS] = {
		[SPECIAL_LOOPBACK] = "no rule allows it, and loopback addresses have to be named",
		[SPECIAL_METADATA] = "no rule allows it, and metadata addresses have to be named",
		[SPECIAL_OWN] = "no rule allows it, and addresses of the host itself have to be named",
		[SPECIAL_MULTICAST] = "no rule allows it, and multicast addresses have to be named",
		[SPECIAL_BROADCAST] = "no rule allows it, and broadcast addresses have to be named",
		[SPECIAL_LINK_LOCAL] = "no rule allows it, and link-local addresses have to be named",
	};
	enum policy_special special = policy_special_of(question, form);

	if (special != SPECIAL_NONE)
		return why[special];
	if (is_bind(question->operation) && question->port && question->port < POLICY_LOW_PORTS)
		return "no rule allows it, and ports below 1024 have to be named";
	return "no rule matches";
}

static bool
is_unspecified(const uint8_t address[16])
{
	static const uint8_t unspecified[16], unspecified4[16] = {[10] = 0xff, [11] = 0xff};

	return memcmp(address, unspecified, 16) == 0 || memcmp(address, unspecified4, 16) == 0;
}

/* The published port that this is, of the family that was asked for if there is one. */
static const struct policy_publish *
published(const struct policy_entry *entry, const struct policy_question *question)
{
	const struct policy_publish *found = NULL;

	for (size_t i = 0; is_bind(question->operation) && i < entry->publish_count; i++) {
		const struct policy_publish *publish = &entry->publish[i];
		bool same_family = policy_is_ip4(publish->address) == policy_is_ip4(question->address);

		/* IPv6's socket can be at an IPv4 address, and not the other way round. */
		if (publish->port == question->port && publish->protocol == question->protocol && is_unspecified(question->address) &&
		    (same_family || (!found && !policy_is_ip4(question->address))))
			found = publish;
	}
	return found;
}

/* What a bind to 0 does, the kernel does by itself when a socket is first used. */
static bool
is_nothing(const struct policy_question *question)
{
	return question->operation == POLICY_BIND && question->port == 0 && is_unspecified(question->address);
}

struct policy_decision
policy_decide(const struct policy_entry *entry, const struct policy_question *question)
{
	struct policy_decision decision = {.error = EACCES, .why = "the policy names no such client"};
	uint8_t forms[POLICY_FORMS_MAX][16];
	size_t count;

	memcpy(decision.as, question->address, sizeof decision.as);
	if (!entry)
		return decision;
	decision.network = entry->network;
	decision.publish = published(entry, question);
	if (decision.publish) {
		decision.allowed = true;
		decision.error = 0;
		decision.rule = "publish";
		decision.why = "the port is published";
		return decision;
	}
	if (entry->sockets || (policy_has_rules(entry) && is_nothing(question))) {
		decision.allowed = true;
		decision.error = 0;
		decision.why = entry->sockets ? "sockets: open" : "every socket may have a port of the host's choice";
		return decision;
	}
	decision.why = "the client has no rules";
	if (!entry->index)
		return decision;
	count = policy_forms(question->operation, question->address, forms);
	for (size_t i = 0; i < count; i++) {
		uint32_t number = policy_index_find(entry->index, question, forms[i]);
		const struct policy_rule *rule = number == POLICY_NO_RULE ? NULL : &entry->rules[number];

		if (!rule || !rule->allow) {
			decision.allowed = false;
			decision.error = EACCES;
			decision.rule = rule ? rule->name : NULL;
			decision.why = rule ? "it is the first rule that matches" : why_not(question, forms[i]);
			decision.egress = NULL;
			memcpy(decision.as, forms[i], sizeof decision.as);
			return decision;
		}
		/* How it is done says the rule for the address that was asked for. */
		if (i > 0)
			continue;
		decision.allowed = true;
		decision.error = 0;
		decision.rule = rule->name;
		decision.why = "it is the first rule that matches";
		decision.egress = rule->has_egress ? &rule->egress : NULL;
	}
	return decision;
}
