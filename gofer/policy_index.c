/*
 * For each operation and protocol there is a table of the rules that are about them. In it, everything that a rule can be for (a network, a domain name,
 * wherever, the host itself) is a place, and a place has its ports cut into intervals, each with the first of its rules that covers it. Networks lie
 * within each other, so an address is looked up by bisection in a list of where the innermost network changes, and the places around that are
 * visited from the inside out. What is found is the least of the rules at all those places: rules are numbered in their order.
 *
 * A visit ends early where all that is further out comes later in the file than what was found.
 *
 * Allowing rules match some addresses only where they name them (enum policy_special), denying rules always: so a place has two lists of intervals,
 * of all its rules and of those that deny.
 */
#include "gofer/policy_index.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define NO_TABLE UINT16_MAX
#define NO_PLACE UINT32_MAX
#define PROTOCOLS 256u
#define PORTS 65536u

struct interval {
	uint16_t first; /* it goes up to the next one's */
	uint32_t rule;  /* or POLICY_NO_RULE */
};

struct intervals {
	uint32_t at, count; /* in index.intervals */
};

struct place {
	struct intervals all, denials;
	uint32_t outer; /* the place around it, or NO_PLACE */
	uint32_t least; /* the first rule of it and of all around it */
	enum policy_special special; /* of a network: what all of it is */
	bool single;    /* a network of one address */
};

struct key {
	uint64_t high, low;
};

/* From this address on, up to the next boundary's, that is the innermost network. */
struct boundary {
	struct key from;
	uint32_t place;
};

struct boundaries {
	struct boundary *list;
	size_t count, room;
};

struct name_slot {
	const char *name; /* a rule's; NULL: free */
	bool suffix;
	uint32_t place;
};

struct table {
	struct place *places; /* 0: wherever; 1: the host's own addresses */
	size_t place_count;
	struct boundaries ip4, ip6;
	struct name_slot *names;
	size_t name_mask; /* 0: no names */
	struct interval *intervals;
	size_t interval_count, interval_room;
	bool local;       /* of bind or listen: ports below POLICY_LOW_PORTS have to be named */
	/* while it is being made */
	uint32_t *rules;  /* which ones are about its operation and protocol */
	size_t rule_count;
};

enum { PLACE_ANY, PLACE_OWN, PLACES_FIXED };

struct policy_index {
	struct table *tables;
	size_t table_count;
	uint16_t by_question[POLICY_OPERATIONS][PROTOCOLS];
};

/* ---- addresses ---------------------------------------------------------------------------------- */

const char *const policy_special_names[SPECIALS] = {
	[SPECIAL_LOOPBACK] = "loopback",
	[SPECIAL_METADATA] = "metadata",
	[SPECIAL_OWN] = "host",
	[SPECIAL_MULTICAST] = "multicast",
	[SPECIAL_BROADCAST] = "broadcast",
	[SPECIAL_LINK_LOCAL] = "link-local",
};

#define IP4(a, b, c, d, bits) {.address = {[10] = 0xff, 0xff, a, b, c, d}, .prefix = 96 + (bits)}

/* Before link-local: one of them is in there. */
static const struct special_network {
	enum policy_special special;
	struct policy_network network;
} special_networks[] = {
	{SPECIAL_LOOPBACK, IP4(127, 0, 0, 0, 8)},
	{SPECIAL_LOOPBACK, {.address = {[15] = 1}, .prefix = 128}},
	{SPECIAL_METADATA, IP4(169, 254, 169, 254, 32)},
	{SPECIAL_METADATA, {.address = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, 0x54}, .prefix = 128}},
	{SPECIAL_MULTICAST, IP4(224, 0, 0, 0, 4)},
	{SPECIAL_MULTICAST, {.address = {0xff}, .prefix = 8}},
	{SPECIAL_BROADCAST, IP4(255, 255, 255, 255, 32)},
	{SPECIAL_LINK_LOCAL, IP4(169, 254, 0, 0, 16)},
	{SPECIAL_LINK_LOCAL, {.address = {0xfe, 0x80}, .prefix = 10}},
};

bool
policy_is_ip4(const uint8_t address[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(address, mapped, sizeof mapped) == 0;
}

bool
policy_network_has(const struct policy_network *network, const uint8_t address[16])
{
	unsigned whole = network->prefix / 8, bits = network->prefix % 8;

	/* IPv6 networks have no IPv4 addresses, not even ::/0. */
	if (network->prefix < 96 && policy_is_ip4(address))
		return false;
	return memcmp(network->address, address, whole) == 0 &&
	       (!bits || ((network->address[whole] ^ address[whole]) & (0xff00 >> bits)) == 0);
}

enum policy_special
policy_special_of(const struct policy_question *question, const uint8_t form[16])
{
	bool outward = question->operation == POLICY_CONNECT || question->operation == POLICY_SEND;

	for (size_t i = 0; i < sizeof special_networks / sizeof *special_networks; i++) {
		enum policy_special special = special_networks[i].special;

		if (outward && special > SPECIAL_OWN && question->reach == REACH_OWN)
			break;
		if (policy_network_has(&special_networks[i].network, form))
			return special;
	}
	if (!outward || question->reach == REACH_AWAY)
		return SPECIAL_NONE;
	return question->reach == REACH_OWN ? SPECIAL_OWN : SPECIAL_BROADCAST;
}

enum policy_special
policy_network_special(const struct policy_network *network)
{
	for (size_t i = 0; i < sizeof special_networks / sizeof *special_networks; i++)
		if (network->prefix >= special_networks[i].network.prefix &&
		    policy_network_has(&special_networks[i].network, network->address))
			return special_networks[i].special;
	return SPECIAL_NONE;
}

size_t
policy_special_networks(enum policy_special special, struct policy_network out[2])
{
	size_t count = 0;

	for (size_t i = 0; i < sizeof special_networks / sizeof *special_networks; i++)
		if (special_networks[i].special == special)
			out[count++] = special_networks[i].network;
	return count;
}

static struct key
key_of(const uint8_t address[16])
{
	uint64_t words[2];

	memcpy(words, address, sizeof words);
	return (struct key){be64toh(words[0]), be64toh(words[1])};
}

static bool
key_less(struct key a, struct key b)
{
	return a.high != b.high ? a.high < b.high : a.low < b.low;
}

/* ---- finding ------------------------------------------------------------------------------------ */

static uint32_t
find_port(const struct table *table, struct intervals intervals, uint16_t port)
{
	const struct interval *list = table->intervals + intervals.at;
	size_t low = 0, high = intervals.count;

	if (!high)
		return POLICY_NO_RULE;
	/* The first one begins at 0. */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (list[middle].first <= port)
			low = middle;
		else
			high = middle;
	}
	return list[low].rule;
}

static void
visit(const struct table *table, const struct place *place, bool allowed, uint16_t port, uint32_t *best)
{
	uint32_t rule = find_port(table, allowed ? place->all : place->denials, port);

	if (rule < *best)
		*best = rule;
}

static uint32_t
innermost(const struct boundaries *boundaries, struct key key)
{
	const struct boundary *list = boundaries->list;
	size_t low = 0, high = boundaries->count;

	/* The first whose start is beyond it; what is before that one has it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (key_less(key, list[middle].from))
			high = middle;
		else
			low = middle + 1;
	}
	return low ? list[low - 1].place : NO_PLACE;
}

static size_t
hash_name(const char *name, bool suffix)
{
	uint64_t hash = suffix ? UINT64_C(0x9e3779b97f4a7c15) : UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return (size_t)(hash ^ hash >> 29);
}

static struct name_slot *
name_slot(const struct table *table, const char *name, bool suffix)
{
	for (size_t at = hash_name(name, suffix);; at++) {
		struct name_slot *slot = &table->names[at & table->name_mask];

		if (!slot->name || (slot->suffix == suffix && strcmp(slot->name, name) == 0))
			return slot;
	}
}

static void
visit_names(const struct table *table, const struct policy_question *question, bool allowed, uint32_t *best)
{
	for (size_t i = 0; i < question->name_count; i++) {
		const char *name = question->names[i];
		const struct name_slot *slot = name_slot(table, name, false);

		if (slot->name)
			visit(table, &table->places[slot->place], allowed, question->port, best);
		for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
			slot = name_slot(table, dot + 1, true);
			if (slot->name)
				visit(table, &table->places[slot->place], allowed, question->port, best);
		}
	}
}

uint32_t
policy_index_find(const struct policy_index *index, const struct policy_question *question, const uint8_t form[16])
{
	enum policy_special special = policy_special_of(question, form);
	uint32_t best = POLICY_NO_RULE;
	const struct table *table;
	uint16_t number;

	if (question->protocol <= 0 || question->protocol >= (int)PROTOCOLS)
		return POLICY_NO_RULE;
	number = index->by_question[question->operation][question->protocol];
	if (number == NO_TABLE)
		return POLICY_NO_RULE;
	table = &index->tables[number];
	visit(table, &table->places[PLACE_ANY], special == SPECIAL_NONE, question->port, &best);
	if (special == SPECIAL_OWN)
		visit(table, &table->places[PLACE_OWN], true, question->port, &best);
	if (table->name_mask)
		visit_names(table, question, special == SPECIAL_NONE, &best);
	for (uint32_t at = innermost(policy_is_ip4(form) ? &table->ip4 : &table->ip6, key_of(form)); at != NO_PLACE;) {
		const struct place *place = &table->places[at];

		if (best <= place->least)
			break;
		visit(table, place, special == SPECIAL_NONE || special == place->special || place->single, question->port, &best);
		at = place->outer;
	}
	return best;
}

/* ---- making: which rules ------------------------------------------------------------------------ */

static bool
is_about(const struct policy_rule *rule, unsigned operation, unsigned protocol)
{
	return rule->operations & 1u << operation && policy_has_number(&rule->protocols, (uint16_t)protocol);
}

/* A table with these rules, made by an earlier question, or a new one. NO_TABLE: no memory. */
static uint16_t
table_for(struct policy_index *index, const uint32_t *rules, size_t count, bool local)
{
	struct table *larger;

	for (size_t i = 0; i < index->table_count; i++)
		if (index->tables[i].local == local && index->tables[i].rule_count == count &&
		    memcmp(index->tables[i].rules, rules, count * sizeof *rules) == 0)
			return (uint16_t)i;
	larger = reallocarray(index->tables, index->table_count + 1, sizeof *larger);
	if (!larger)
		return NO_TABLE;
	index->tables = larger;
	larger[index->table_count] = (struct table){.local = local, .rules = malloc(count * sizeof *rules), .rule_count = count};
	if (!larger[index->table_count].rules)
		return NO_TABLE;
	memcpy(larger[index->table_count].rules, rules, count * sizeof *rules);
	return (uint16_t)index->table_count++;
}

static bool
make_tables(struct policy_index *index, const struct policy_rule *rules, size_t count)
{
	bool named[PROTOCOLS] = {false};
	uint32_t *list = malloc((count + 1) * sizeof *list);

	if (!list)
		return false;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; !rules[i].protocols.any && j < rules[i].protocols.count; j++)
			named[rules[i].protocols.numbers[j] % PROTOCOLS] = true;
	for (unsigned operation = 0; operation < POLICY_OPERATIONS; operation++) {
		uint16_t rest = NO_TABLE;
		bool rest_made = false, local = operation == POLICY_BIND || operation == POLICY_LISTEN;

		for (unsigned protocol = 0; protocol < PROTOCOLS; protocol++) {
			size_t found = 0;
			uint16_t *number = &index->by_question[operation][protocol];

			*number = rest;
			if (!named[protocol] && rest_made)
				continue;
			for (size_t i = 0; i < count; i++)
				if (is_about(&rules[i], operation, protocol))
					list[found++] = (uint32_t)i;
			*number = found ? table_for(index, list, found, local) : NO_TABLE;
			if (found && *number == NO_TABLE) {
				free(list);
				return false;
			}
			/* All that are not named have the same rules. */
			if (!named[protocol]) {
				rest = *number;
				rest_made = true;
			}
		}
	}
	free(list);
	return true;
}

/* ---- making: ports ------------------------------------------------------------------------------ */

/* One range of ports of a rule at a place. */
struct claim {
	uint32_t place, rule;
	uint16_t first, last;
	bool denies;
};

struct claims {
	struct claim *list;
	size_t count, room;
};

static bool
claim(struct claims *claims, struct claim new)
{
	if (claims->count == claims->room) {
		size_t room = claims->room ? claims->room * 2 : 64;
		struct claim *larger = reallocarray(claims->list, room, sizeof *larger);

		if (!larger)
			return false;
		claims->list = larger;
		claims->room = room;
	}
	claims->list[claims->count++] = new;
	return true;
}

/* All ranges of the rule. Of ports that a rule has to name, those that it does not name are left out. */
static bool
claim_ports(struct claims *claims, const struct policy_rule *rule, uint32_t number, uint32_t place, bool local)
{
	struct claim new = {.place = place, .rule = number, .denies = !rule->allow, .last = UINT16_MAX};
	size_t count = rule->port_count ? rule->port_count : 1;

	for (size_t i = 0; i < count; i++) {
		if (rule->port_count) {
			new.first = rule->ports[i].first;
			new.last = rule->ports[i].last;
		}
		if (local && rule->allow && new.last >= POLICY_LOW_PORTS) {
			/* 0 is no low port, but whichever the host chooses. */
			if (new.first == 0 && !claim(claims, (struct claim){place, number, 0, 0, false}))
				return false;
			if (new.first < POLICY_LOW_PORTS)
				new.first = POLICY_LOW_PORTS;
		}
		if (!claim(claims, new))
			return false;
		new.first = 0;
	}
	return true;
}

static int
compare_claims(const void *a, const void *b)
{
	const struct claim *one = a, *other = b;

	if (one->place != other->place)
		return one->place < other->place ? -1 : 1;
	return one->rule != other->rule ? (one->rule < other->rule ? -1 : 1) : 0;
}

static int
compare_cuts(const void *a, const void *b)
{
	return *(const int32_t *)a - *(const int32_t *)b;
}

/* The place in `cuts` of one that is there. */
static size_t
cut_at(const int32_t *cuts, size_t count, int32_t cut)
{
	size_t low = 0, high = count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (cuts[middle] <= cut)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* The next piece from here that no rule has taken yet. */
static size_t
next_free(uint32_t *taken, size_t at)
{
	size_t end = at;

	while (taken[end] != end)
		end = taken[end];
	while (taken[at] != end) {
		size_t next = taken[at];

		taken[at] = (uint32_t)end;
		at = next;
	}
	return end;
}

/* Cuts the ports where claims begin and end, and gives each piece to the first rule that claims it: claims are in the order of rules. */
static bool
add_intervals(struct table *table, const struct claim *claims, size_t count, bool denials_only, struct intervals *out)
{
	int32_t *cuts = malloc((2 * count + 2) * sizeof *cuts);
	uint32_t *rules = malloc((2 * count + 2) * sizeof *rules), *taken = malloc((2 * count + 3) * sizeof *taken);
	size_t cut_count = 0, kept = 0;
	bool good = cuts && rules && taken;

	if (good) {
		cuts[cut_count++] = 0;
		for (size_t i = 0; i < count; i++) {
			if (denials_only && !claims[i].denies)
				continue;
			cuts[cut_count++] = claims[i].first;
			if (claims[i].last < PORTS - 1)
				cuts[cut_count++] = claims[i].last + 1;
		}
		qsort(cuts, cut_count, sizeof *cuts, compare_cuts);
		for (size_t i = 0; i < cut_count; i++)
			if (i == 0 || cuts[i] != cuts[kept - 1])
				cuts[kept++] = cuts[i];
		for (size_t i = 0; i <= kept; i++)
			taken[i] = (uint32_t)i;
		for (size_t i = 0; i < kept; i++)
			rules[i] = POLICY_NO_RULE;
		for (size_t i = 0; i < count; i++) {
			size_t end = claims[i].last == PORTS - 1 ? kept : cut_at(cuts, kept, claims[i].last + 1);

			if (denials_only && !claims[i].denies)
				continue;
			for (size_t at = next_free(taken, cut_at(cuts, kept, claims[i].first)); at < end; at = next_free(taken, at)) {
				rules[at] = claims[i].rule;
				taken[at] = (uint32_t)at + 1;
			}
		}
		*out = (struct intervals){.at = (uint32_t)table->interval_count};
	}
	for (size_t i = 0; good && i < kept; i++) {
		if (i && rules[i] == rules[i - 1])
			continue;
		if (kept == 1 && rules[0] == POLICY_NO_RULE)
			break;
		if (table->interval_count == table->interval_room) {
			size_t room = table->interval_room ? 2 * table->interval_room : 64;
			struct interval *larger = reallocarray(table->intervals, room, sizeof *larger);

			good = larger;
			if (!good)
				break;
			table->intervals = larger;
			table->interval_room = room;
		}
		table->intervals[table->interval_count++] = (struct interval){(uint16_t)cuts[i], rules[i]};
		out->count++;
	}
	free(cuts);
	free(rules);
	free(taken);
	return good;
}

/* ---- making: places ----------------------------------------------------------------------------- */

struct network_use {
	struct policy_network network;
	uint32_t rule;
};

static int
compare_uses(const void *a, const void *b)
{
	const struct network_use *one = a, *other = b;
	int order = memcmp(one->network.address, other->network.address, 16);

	return order ? order : one->network.prefix - other->network.prefix;
}

static struct key
last_of(const struct policy_network *network)
{
	uint8_t last[16];

	memcpy(last, network->address, sizeof last);
	for (unsigned bit = network->prefix; bit < 128; bit++)
		last[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return key_of(last);
}

static bool
add_boundary(struct boundaries *boundaries, struct key from, uint32_t place)
{
	/* What begins where another one begins, or ends, counts from there. */
	if (boundaries->count && !key_less(boundaries->list[boundaries->count - 1].from, from)) {
		boundaries->list[boundaries->count - 1].place = place;
		return true;
	}
	if (boundaries->count == boundaries->room) {
		size_t room = boundaries->room ? 2 * boundaries->room : 16;
		struct boundary *larger = reallocarray(boundaries->list, room, sizeof *larger);

		if (!larger)
			return false;
		boundaries->list = larger;
		boundaries->room = room;
	}
	boundaries->list[boundaries->count++] = (struct boundary){from, place};
	return true;
}

struct open_network {
	uint32_t place;
	struct key last;
};

/* Leaves the networks that end before `from`, or all of them. */
static bool
leave(struct boundaries *boundaries, struct open_network *stack, size_t *depth, const struct key *from)
{
	while (*depth && (!from || key_less(stack[*depth - 1].last, *from))) {
		struct key after = stack[*depth - 1].last;

		--*depth;
		after.low++;
		after.high += after.low == 0;
		if (after.low == 0 && after.high == 0)
			continue; /* there is nothing behind it */
		if (!add_boundary(boundaries, after, *depth ? stack[*depth - 1].place : NO_PLACE))
			return false;
	}
	return true;
}

/* Makes a place of each network, in the order of addresses, outer ones first. */
static bool
place_networks(struct table *table, struct network_use *uses, size_t count, const struct policy_rule *rules, struct claims *claims)
{
	/* Nested networks have prefixes of their own, and IPv4's are apart from IPv6's. */
	struct open_network stack[130];
	size_t depth = 0;
	struct boundaries *boundaries = &table->ip6;

	qsort(uses, count, sizeof *uses, compare_uses);
	for (int family = 0; family < 2; family++) {
		const struct network_use *last = NULL;

		for (size_t i = 0; i < count; i++) {
			const struct policy_network *network = &uses[i].network;
			struct key from = key_of(network->address);
			bool ip4 = network->prefix >= 96 && policy_is_ip4(network->address);

			if (ip4 != family)
				continue;
			if (!last || compare_uses(last, &uses[i]) != 0) {
				if (!leave(boundaries, stack, &depth, &from))
					return false;
				table->places[table->place_count] = (struct place){
					.outer = depth ? stack[depth - 1].place : NO_PLACE,
					.special = policy_network_special(network),
					.single = network->prefix == 128,
				};
				stack[depth++] = (struct open_network){(uint32_t)table->place_count, last_of(network)};
				if (!add_boundary(boundaries, from, (uint32_t)table->place_count))
					return false;
				table->place_count++;
			}
			last = &uses[i];
			if (!claim_ports(claims, &rules[uses[i].rule], uses[i].rule, (uint32_t)table->place_count - 1, table->local))
				return false;
		}
		if (!leave(boundaries, stack, &depth, NULL))
			return false;
		boundaries = &table->ip4;
	}
	return true;
}

static bool
make_names(struct table *table, size_t count)
{
	size_t slots = 4;

	while (slots < 2 * count)
		slots *= 2;
	table->names = count ? calloc(slots, sizeof *table->names) : NULL;
	table->name_mask = table->names ? slots - 1 : 0;
	return !count || table->names;
}

/* Finds the places that its rules are about, and what they claim there. */
static bool
place_rules(struct table *table, const struct policy_rule *rules, struct claims *claims)
{
	size_t targets = 0, names = 0, use_count = 0;
	struct network_use *uses;
	bool good;

	for (size_t i = 0; i < table->rule_count; i++) {
		const struct policy_rule *rule = &rules[table->rules[i]];

		targets += rule->to_count;
		for (size_t j = 0; j < rule->to_count; j++)
			names += rule->to[j].kind == TARGET_NAME || rule->to[j].kind == TARGET_SUFFIX;
	}
	uses = calloc(targets + 1, sizeof *uses);
	table->places = calloc(targets + PLACES_FIXED, sizeof *table->places);
	good = uses && table->places && make_names(table, names);
	if (good) {
		table->places[PLACE_ANY].outer = table->places[PLACE_OWN].outer = NO_PLACE;
		table->place_count = PLACES_FIXED;
	}
	for (size_t i = 0; good && i < table->rule_count; i++) {
		uint32_t number = table->rules[i];
		const struct policy_rule *rule = &rules[number];

		if (!rule->to_count)
			good = claim_ports(claims, rule, number, PLACE_ANY, table->local);
		for (size_t j = 0; good && j < rule->to_count; j++) {
			const struct policy_target *target = &rule->to[j];
			struct name_slot *slot;

			switch (target->kind) {
			case TARGET_NETWORK:
				uses[use_count++] = (struct network_use){target->network, number};
				break;
			case TARGET_OWN:
				good = claim_ports(claims, rule, number, PLACE_OWN, table->local);
				break;
			case TARGET_NAME:
			case TARGET_SUFFIX:
				slot = name_slot(table, target->name, target->kind == TARGET_SUFFIX);
				if (!slot->name) {
					*slot = (struct name_slot){target->name, target->kind == TARGET_SUFFIX, (uint32_t)table->place_count};
					table->places[table->place_count++] = (struct place){.outer = NO_PLACE};
				}
				good = claim_ports(claims, rule, number, slot->place, table->local);
				break;
			}
		}
	}
	good = good && place_networks(table, uses, use_count, rules, claims);
	free(uses);
	return good;
}

static bool
make_table(struct table *table, const struct policy_rule *rules)
{
	struct claims claims = {0};
	bool good = place_rules(table, rules, &claims);

	if (good && claims.count)
		qsort(claims.list, claims.count, sizeof *claims.list, compare_claims);
	for (size_t i = 0; good && i < table->place_count; i++)
		table->places[i].least = POLICY_NO_RULE;
	for (size_t i = 0, end; good && i < claims.count; i = end) {
		struct place *place = &table->places[claims.list[i].place];

		for (end = i; end < claims.count && claims.list[end].place == claims.list[i].place; end++)
			;
		place->least = claims.list[i].rule;
		good = add_intervals(table, claims.list + i, end - i, false, &place->all) &&
		       add_intervals(table, claims.list + i, end - i, true, &place->denials);
	}
	/* Outer places come before inner ones. */
	for (size_t i = 0; good && i < table->place_count; i++) {
		struct place *place = &table->places[i];

		if (place->outer != NO_PLACE && table->places[place->outer].least < place->least)
			place->least = table->places[place->outer].least;
	}
	free(claims.list);
	free(table->rules);
	table->rules = NULL;
	return good;
}

struct policy_index *
policy_index_new(const struct policy_rule *rules, size_t count)
{
	struct policy_index *index = calloc(1, sizeof *index);
	bool good = index && count < POLICY_NO_RULE && make_tables(index, rules, count);

	for (size_t i = 0; good && i < index->table_count; i++)
		good = make_table(&index->tables[i], rules);
	if (good)
		return index;
	policy_index_free(index);
	return NULL;
}

void
policy_index_free(struct policy_index *index)
{
	for (size_t i = 0; index && i < index->table_count; i++) {
		struct table *table = &index->tables[i];

		free(table->places);
		free(table->ip4.list);
		free(table->ip6.list);
		free(table->names);
		free(table->intervals);
		free(table->rules);
	}
	if (index)
		free(index->tables);
	free(index);
}
