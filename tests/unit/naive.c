#include "tests/unit/naive.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gofer/policy_index.h"

/* ---- the walk ----------------------------------------------------------------------------------- */

static bool
is4(const uint8_t *a)
{
	for (int i = 0; i < 10; i++)
		if (a[i])
			return false;
	return a[10] == 0xff && a[11] == 0xff;
}

static uint32_t
word(const uint8_t *a, int i0, int i1, int i2, int i3)
{
	return (uint32_t)a[i0] << 24 | (uint32_t)a[i1] << 16 | (uint32_t)a[i2] << 8 | a[i3];
}

static bool
starts(const uint8_t *a, const char *bytes, int count)
{
	for (int i = 0; i < count; i++)
		if (a[i] != (uint8_t)bytes[i])
			return false;
	return true;
}

enum kind { PLAIN, LOOPBACK, METADATA, OWN, MULTICAST, BROADCAST, LINK_LOCAL };

/* Of every address that begins with `bits` bits of this one, if they are all of one kind. */
static enum kind
kind_of_all(const uint8_t *a, unsigned bits)
{
	if (is4(a) && bits >= 96) {
		uint32_t ip = word(a, 12, 13, 14, 15);

		bits -= 96;
		if (bits >= 8 && ip >> 24 == 127)
			return LOOPBACK;
		if (bits == 32 && ip == 0xa9fea9fe)
			return METADATA;
		if (bits >= 4 && ip >> 28 == 14)
			return MULTICAST;
		if (bits == 32 && ip == 0xffffffff)
			return BROADCAST;
		return bits >= 16 && ip >> 16 == 0xa9fe ? LINK_LOCAL : PLAIN;
	}
	if (bits == 128 && starts(a, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16))
		return LOOPBACK;
	if (bits == 128 && starts(a, "\xfd\0\x0e\xc2\0\0\0\0\0\0\0\0\0\0\x02\x54", 16))
		return METADATA;
	if (bits >= 8 && a[0] == 0xff)
		return MULTICAST;
	return bits >= 10 && a[0] == 0xfe && (a[1] & 0xc0) == 0x80 ? LINK_LOCAL : PLAIN;
}

static enum kind
kind_of(const struct policy_question *q, const uint8_t *a)
{
	enum kind kind = kind_of_all(a, 128);

	if (q->operation == POLICY_BIND || q->operation == POLICY_LISTEN || kind == LOOPBACK || kind == METADATA)
		return kind;
	if (q->reach == REACH_OWN)
		return OWN;
	return kind == PLAIN && q->reach == REACH_BROADCAST ? BROADCAST : kind;
}

static bool
within(const struct policy_network *network, const uint8_t *a)
{
	if (is4(a) && !(is4(network->address) && network->prefix >= 96))
		return false;
	for (unsigned i = 0; i < network->prefix; i++)
		if ((network->address[i / 8] ^ a[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static bool
has_name(const struct policy_question *q, const struct policy_target *target)
{
	for (size_t i = 0; i < q->name_count; i++) {
		size_t len = strlen(q->names[i]), target_len = strlen(target->name);

		if (target->kind == TARGET_NAME && strcmp(q->names[i], target->name) == 0)
			return true;
		if (target->kind == TARGET_SUFFIX && len > target_len && q->names[i][len - target_len - 1] == '.' &&
		    strcmp(q->names[i] + len - target_len, target->name) == 0)
			return true;
	}
	return false;
}

static bool
target_matches(const struct policy_rule *rule, const struct policy_question *q, const uint8_t *a)
{
	enum kind kind = kind_of(q, a);
	bool unnamed = !rule->allow || kind == PLAIN;

	if (!rule->to_count)
		return unnamed;
	for (size_t i = 0; i < rule->to_count; i++) {
		const struct policy_target *target = &rule->to[i];

		switch (target->kind) {
		case TARGET_OWN:
			if (kind == OWN)
				return true;
			break;
		case TARGET_NETWORK:
			if (within(&target->network, a) &&
			    (unnamed || target->network.prefix == 128 ||
			     kind == kind_of_all(target->network.address, target->network.prefix)))
				return true;
			break;
		case TARGET_NAME:
		case TARGET_SUFFIX:
			if (unnamed && has_name(q, target))
				return true;
			break;
		}
	}
	return false;
}

static bool
port_matches(const struct policy_rule *rule, const struct policy_question *q)
{
	bool low = rule->allow && (q->operation == POLICY_BIND || q->operation == POLICY_LISTEN) && q->port > 0 && q->port < 1024;

	if (!rule->port_count)
		return !low;
	for (size_t i = 0; i < rule->port_count; i++)
		if (rule->ports[i].first <= q->port && q->port <= rule->ports[i].last && (!low || rule->ports[i].last < 1024))
			return true;
	return false;
}

static bool
protocol_matches(const struct policy_rule *rule, const struct policy_question *q)
{
	for (size_t i = 0; i < rule->protocols.count; i++)
		if (rule->protocols.numbers[i] == q->protocol)
			return true;
	return rule->protocols.any;
}

static const struct policy_rule *
first_rule(const struct policy_entry *entry, const struct policy_question *q, const uint8_t *a)
{
	for (size_t i = 0; i < entry->rule_count; i++) {
		const struct policy_rule *rule = &entry->rules[i];

		if (rule->operations >> q->operation & 1 && protocol_matches(rule, q) && port_matches(rule, q) && target_matches(rule, q, a))
			return rule;
	}
	return NULL;
}

/* IPv4 addresses that are in an IPv6 one. */
static size_t
hidden(const uint8_t *a, uint32_t *out)
{
	size_t count = 0;

	if (starts(a, "\0\x64\xff\x9b\0\0\0\0\0\0\0\0", 12))
		out[count++] = word(a, 12, 13, 14, 15);
	if (starts(a, "\0\x64\xff\x9b\0\1", 6)) {
		out[count++] = word(a, 12, 13, 14, 15);
		out[count++] = word(a, 6, 7, 9, 10);
		out[count++] = word(a, 7, 9, 10, 11);
		out[count++] = word(a, 9, 10, 11, 12);
	}
	if (starts(a, "\x20\x02", 2))
		out[count++] = word(a, 2, 3, 4, 5);
	if (starts(a, "\x20\x01\0\0", 4))
		out[count++] = ~word(a, 12, 13, 14, 15);
	if (starts(a, "\0\0\0\0\0\0\0\0\0\0\0\0", 12))
		out[count++] = word(a, 12, 13, 14, 15);
	if (starts(a, "\0\0\0\0\0\0\0\0\xff\xff\0\0", 12))
		out[count++] = word(a, 12, 13, 14, 15);
	if (a[8] <= 3 && starts(a + 9, "\0\x5e\xfe", 3))
		out[count++] = word(a, 12, 13, 14, 15);
	return count;
}

struct naive_decision
naive_decide(const struct policy_entry *entry, const struct policy_question *question)
{
	uint8_t address[16], four[16] = {[10] = 0xff, 0xff};
	uint32_t words[8];
	size_t count = 0;
	bool outward = question->operation == POLICY_CONNECT || question->operation == POLICY_SEND;
	const struct policy_rule *rule;

	memcpy(address, question->address, 16);
	if (is4(address) && word(address, 12, 13, 14, 15) == 0) {
		if (question->operation == POLICY_BIND && question->port == 0)
			return (struct naive_decision){true, NULL};
		if (outward)
			memcpy(address + 12, "\x7f\0\0\1", 4);
	} else if (starts(address, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16)) {
		if (question->operation == POLICY_BIND && question->port == 0)
			return (struct naive_decision){true, NULL};
		address[15] = outward;
	}
	rule = first_rule(entry, question, address);
	if (!rule || !rule->allow)
		return (struct naive_decision){false, rule};
	if (!is4(address) && !starts(address, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16))
		count = hidden(address, words);
	for (size_t i = 0; i < count; i++) {
		const struct policy_rule *of_hidden;

		for (int j = 0; j < 4; j++)
			four[12 + j] = (uint8_t)(words[i] >> (24 - 8 * j));
		of_hidden = first_rule(entry, question, four);
		if (!of_hidden || !of_hidden->allow)
			return (struct naive_decision){false, of_hidden};
	}
	return (struct naive_decision){true, rule};
}

/* ---- random ones --------------------------------------------------------------------------------- */

static uint64_t
take_number(struct naive_random *random, uint64_t below)
{
	uint64_t number = 0;

	for (uint64_t reach = 1; reach < below && random->len; reach <<= 8, random->len--)
		number = number << 8 | *random->bytes++;
	return number % below;
}

/* splitmix64 */
uint64_t
naive_number(struct naive_random *random, uint64_t below)
{
	uint64_t z;

	if (random->bytes)
		return take_number(random, below);
	z = random->state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static const char *const words[] = {"a", "b", "example.com", "www.example.com", "a.b", "b.example.com", "x.www.example.com", "com"};
#define WORDS (sizeof words / sizeof *words)

static void
random_address(struct naive_random *random, uint8_t *a)
{
	static const char *const starts4[] = {"\x0a\0\0\0", "\x7f\0\0\1", "\xa9\xfe\xa9\xfe", "\xa9\xfe\1\1", "\xe0\0\0\1",
	                                      "\xff\xff\xff\xff", "\0\0\0\0", "\xc0\0\2\1", "\x0a\0\1\0", "\x0a\1\0\0"};
	static const char *const starts6[] = {
		"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1",
		"\xfd\0\x0e\xc2\0\0\0\0\0\0\0\0\0\0\x02\x54", "\xff\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1", "\0\x64\xff\x9b\0\0\0\0\0\0\0\0\0\0\0\0",
		"\0\x64\xff\x9b\0\1\0\0\0\0\0\0\0\0\0\0", "\x20\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "\x20\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
		"\0\0\0\0\0\0\0\0\xff\xff\0\0\0\0\0\0", "\x20\1\x0d\xb8\0\0\0\0\2\0\x5e\xfe\0\0\0\0", "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"};
	static const int places[][4] = {{12, 13, 14, 15}, {2, 3, 4, 5}, {6, 7, 9, 10}, {7, 9, 10, 11}, {9, 10, 11, 12}};
	uint8_t four[4];

	memcpy(four, starts4[naive_number(random, sizeof starts4 / sizeof *starts4)], 4);
	if (naive_number(random, 3) == 0)
		four[naive_number(random, 4)] ^= (uint8_t)(1u << naive_number(random, 8));
	if (naive_number(random, 2)) {
		memcpy(a, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
		memcpy(a + 12, four, 4);
		return;
	}
	memcpy(a, starts6[naive_number(random, sizeof starts6 / sizeof *starts6)], 16);
	if (naive_number(random, 2)) {
		const int *place = places[naive_number(random, sizeof places / sizeof *places)];
		uint8_t inverted = naive_number(random, 8) ? 0 : 0xff;

		for (int i = 0; i < 4; i++)
			a[place[i]] = four[i] ^ inverted;
	}
	if (naive_number(random, 4) == 0)
		a[naive_number(random, 16)] ^= (uint8_t)(1u << naive_number(random, 8));
}

static void
random_network(struct naive_random *random, struct policy_network *network)
{
	uint8_t address[16];
	unsigned prefix;

	random_address(random, address);
	/* Whole, or cut somewhere: as files have them, what is behind the prefix is 0, and IPv4's are cut within IPv4. */
	prefix = naive_number(random, 3) ? 128 - (unsigned)naive_number(random, is4(address) ? 33 : 129) : 128;
	*network = (struct policy_network){.prefix = (uint8_t)prefix};
	for (unsigned i = 0; i < prefix; i++)
		network->address[i / 8] |= (uint8_t)(address[i / 8] & 0x80 >> i % 8);
	/* Short prefixes of IPv6 addresses may end as an IPv4 network would begin. */
	if (!is4(address) && is4(network->address))
		network->address[0] = 0x20;
}

static uint16_t
random_port(struct naive_random *random)
{
	static const uint16_t ports[] = {0, 1, 80, 443, 1023, 1024, 8080, 65534, 65535};

	return naive_number(random, 4) ? ports[naive_number(random, sizeof ports / sizeof *ports)] : (uint16_t)naive_number(random, 65536);
}

static void
random_rule(struct naive_random *random, struct policy_rule *rule)
{
	static const uint16_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 200};
	size_t count;

	*rule = (struct policy_rule){.allow = naive_number(random, 3) != 0, .operations = 1 + (unsigned)naive_number(random, 15)};
	rule->protocols.any = naive_number(random, 2);
	if (!rule->protocols.any) {
		rule->protocols.numbers = calloc(2, sizeof *rule->protocols.numbers);
		rule->protocols.count = 1 + naive_number(random, 2);
		for (size_t i = 0; i < rule->protocols.count; i++)
			rule->protocols.numbers[i] = protocols[naive_number(random, 4)];
	}
	count = naive_number(random, 4);
	rule->to = calloc(count + 1, sizeof *rule->to);
	for (; rule->to_count < count; rule->to_count++) {
		struct policy_target *target = &rule->to[rule->to_count];

		target->kind = naive_number(random, 8) < 5 ? TARGET_NETWORK : (enum policy_target_kind)(TARGET_NAME + naive_number(random, 3));
		if (target->kind == TARGET_NETWORK)
			random_network(random, &target->network);
		else if (target->kind != TARGET_OWN)
			target->name = strdup(words[naive_number(random, WORDS)]);
	}
	count = naive_number(random, 3);
	rule->ports = calloc(count + 1, sizeof *rule->ports);
	for (; rule->port_count < count; rule->port_count++) {
		uint16_t one = random_port(random), other = naive_number(random, 2) ? one : random_port(random);

		rule->ports[rule->port_count] = (struct policy_ports){one < other ? one : other, one < other ? other : one};
	}
}

void
naive_entry(struct naive_random *random, size_t rules, struct policy_entry *entry)
{
	*entry = (struct policy_entry){.rules = calloc(rules, sizeof *entry->rules)};
	for (; entry->rule_count < rules; entry->rule_count++) {
		random_rule(random, &entry->rules[entry->rule_count]);
		if (asprintf(&entry->rules[entry->rule_count].name, "r%zu", entry->rule_count) < 0)
			abort();
	}
	entry->index = policy_index_new(entry->rules, entry->rule_count);
	if (!entry->index)
		abort();
}

void
naive_free(struct policy_entry *entry)
{
	struct policy policy = {.entries = malloc(sizeof *entry), .entry_count = 1};

	policy.entries[0] = *entry;
	policy_free(&policy);
}

void
naive_question(struct naive_random *random, const struct policy_entry *entry, struct policy_question *question, const char **names)
{
	static const int protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 200, 1};
	const struct policy_rule *rule = &entry->rules[naive_number(random, entry->rule_count)];

	*question = (struct policy_question){
		.operation = (enum policy_operation)naive_number(random, POLICY_OPERATIONS),
		.protocol = protocols[naive_number(random, 5)],
		.port = random_port(random),
		.reach = naive_number(random, 4) ? REACH_AWAY : (enum policy_reach)naive_number(random, 3),
		.names = names,
		.name_count = naive_number(random, 3) ? 0 : 1 + naive_number(random, 4),
	};
	for (size_t i = 0; i < question->name_count; i++)
		names[i] = words[naive_number(random, WORDS)];
	random_address(random, question->address);
	/* At the edges of a rule. */
	if (rule->to_count && naive_number(random, 2)) {
		const struct policy_target *target = &rule->to[naive_number(random, rule->to_count)];

		if (target->kind == TARGET_NETWORK)
			memcpy(question->address, target->network.address, 16);
		for (unsigned bit = target->network.prefix; target->kind == TARGET_NETWORK && naive_number(random, 2) && bit < 128; bit++)
			question->address[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		if (naive_number(random, 3) == 0) /* one beside */
			question->address[naive_number(random, 16)] ^= (uint8_t)(1u << naive_number(random, 8));
	}
	if (rule->port_count && naive_number(random, 2)) {
		const struct policy_ports *ports = &rule->ports[naive_number(random, rule->port_count)];

		question->port = (uint16_t)((naive_number(random, 2) ? ports->first : ports->last) + naive_number(random, 3) - 1);
	}
}
