#include "gofer/policy_review.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gofer/policy_index.h"

#define LINE_MAX_SIZE 512

struct review {
	const char *path;
	void (*tell)(void *arg, const char *line);
	void *arg;
};

__attribute__((format(printf, 4, 5))) static void
remark(const struct review *review, size_t line, size_t column, const char *format, ...)
{
	char text[LINE_MAX_SIZE];
	int used = line ? snprintf(text, sizeof text, "%s:%zu:%zu: ", review->path, line, column) : snprintf(text, sizeof text, "%s: ", review->path);
	va_list args;

	va_start(args, format);
	if (used > 0 && (size_t)used < sizeof text)
		vsnprintf(text + used, sizeof text - (size_t)used, format, args);
	va_end(args);
	review->tell(review->arg, text);
}

/* ---- rules that come too late -------------------------------------------------------------------- */

static bool
covers_protocols(const struct policy_rule *early, const struct policy_rule *late)
{
	if (early->protocols.any)
		return true;
	for (size_t i = 0; i < late->protocols.count; i++)
		if (!policy_has_number(&early->protocols, late->protocols.numbers[i]))
			return false;
	return !late->protocols.any;
}

/* Both ends of each range in one range of the other's; ranges that only together cover it are not looked for. */
static bool
covers_ports(const struct policy_rule *early, const struct policy_rule *late)
{
	static const struct policy_ports all = {0, UINT16_MAX};
	size_t count = late->port_count ? late->port_count : 1;

	for (size_t i = 0; i < count; i++) {
		struct policy_ports wanted = late->port_count ? late->ports[i] : all;
		bool covered = !early->port_count;

		for (size_t j = 0; !covered && j < early->port_count; j++)
			covered = early->ports[j].first <= wanted.first && wanted.last <= early->ports[j].last;
		if (!covered)
			return false;
	}
	return true;
}

static bool
covers_target(const struct policy_target *early, bool denies, const struct policy_target *late)
{
	size_t early_len, late_len;

	if (early->kind == TARGET_NETWORK && late->kind == TARGET_NETWORK)
		return early->network.prefix <= late->network.prefix && policy_network_has(&early->network, late->network.address) &&
		       (denies || policy_network_special(&early->network) == policy_network_special(&late->network));
	if (early->kind == TARGET_OWN || late->kind == TARGET_OWN)
		return early->kind == late->kind;
	if (early->kind == TARGET_NETWORK || late->kind == TARGET_NETWORK)
		return false;
	if (early->kind == TARGET_NAME)
		return late->kind == TARGET_NAME && strcmp(early->name, late->name) == 0;
	if (late->kind == TARGET_SUFFIX && strcmp(early->name, late->name) == 0)
		return true;
	early_len = strlen(early->name);
	late_len = strlen(late->name);
	return late_len > early_len && late->name[late_len - early_len - 1] == '.' && strcmp(late->name + late_len - early_len, early->name) == 0;
}

static bool
covers_targets(const struct policy_rule *early, const struct policy_rule *late)
{
	if (!early->to_count && !early->allow)
		return true;
	for (size_t i = 0; i < late->to_count; i++) {
		const struct policy_target *target = &late->to[i];
		/* Where nothing is named, what has to be is not allowed. */
		bool covered = !early->to_count && target->kind != TARGET_OWN &&
		               (target->kind != TARGET_NETWORK || policy_network_special(&target->network) == SPECIAL_NONE);

		for (size_t j = 0; !covered && j < early->to_count; j++)
			covered = covers_target(&early->to[j], !early->allow, target);
		if (!covered)
			return false;
	}
	return late->to_count || !early->to_count;
}

/* Ports that a rule has to name: of those, an allowing rule that does not name them covers none. */
static bool
names_low_ports(const struct policy_rule *rule)
{
	for (size_t i = 0; i < rule->port_count; i++)
		if (rule->ports[i].first && rule->ports[i].last < POLICY_LOW_PORTS)
			return true;
	return false;
}

static bool
covers(const struct policy_rule *early, const struct policy_rule *late)
{
	unsigned local = 1u << POLICY_BIND | 1u << POLICY_LISTEN;

	if (late->operations & ~early->operations || !covers_protocols(early, late) || !covers_ports(early, late) || !covers_targets(early, late))
		return false;
	return !early->allow || !(late->operations & local) || !names_low_ports(late) || names_low_ports(early);
}

static void
review_order(const struct review *review, const struct policy_entry *entry)
{
	for (size_t late = 1; late < entry->rule_count; late++) {
		const struct policy_rule *rule = &entry->rules[late];

		for (size_t early = 0; early < late; early++) {
			const struct policy_rule *before = &entry->rules[early];

			if (!covers(before, rule))
				continue;
			remark(review, rule->line, rule->column, "rule \"%s\" of client \"%s\" changes nothing: \"%s\", line %zu, %s all of it before",
			       rule->name, entry->name, before->name, before->line, before->allow ? "allows" : "denies");
			break;
		}
	}
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static void
review_rules(const struct review *review, const struct policy_entry *entry)
{
	unsigned local = 1u << POLICY_BIND | 1u << POLICY_LISTEN;

	for (size_t i = 0; i < entry->rule_count; i++) {
		const struct policy_rule *rule = &entry->rules[i];

		for (size_t j = 0; j < rule->to_count; j++)
			if (rule->to[j].name && !entry->resolver_count) {
				remark(review, rule->line, rule->column,
				       "rule \"%s\" of client \"%s\" has a domain name, and the client no \"resolvers\" to learn it from", rule->name,
				       entry->name);
				break;
			}
		for (size_t j = 0; rule->allow && rule->operations & local && j < rule->port_count; j++)
			if (rule->ports[j].first && rule->ports[j].first < POLICY_LOW_PORTS && rule->ports[j].last >= POLICY_LOW_PORTS)
				remark(review, rule->line, rule->column,
				       "rule \"%s\" of client \"%s\": of %u-%u, bind and listen are allowed from 1024 on; ports below need a range of their own",
				       rule->name, entry->name, rule->ports[j].first, rule->ports[j].last);
	}
}

static bool
is_everybody(const struct policy_entry *entry)
{
	return entry->any_user && !entry->gid_count && !entry->cgroup_count && !entry->container_count && !entry->label_count;
}

void
policy_review(const struct policy *policy, const char *path, size_t pairs, void (*tell)(void *arg, const char *line), void *arg)
{
	struct review review = {path, tell, arg};
	const struct policy_entry *everybody = NULL;
	bool any = false;

	for (size_t i = 0; i < policy->entry_count; i++) {
		const struct policy_entry *entry = &policy->entries[i];

		any |= !everybody && policy_grants_anything(entry);
		if (everybody)
			remark(&review, 0, 0, "nobody is client \"%s\": client \"%s\" before it is everybody", entry->name, everybody->name);
		else if (!policy_grants_anything(entry))
			remark(&review, 0, 0, "client \"%s\" may do nothing", entry->name);
		if (is_everybody(entry) && !everybody)
			everybody = entry;
		/* At most 65,536 rules: that is no overflow. */
		if (entry->rule_count * entry->rule_count / 2 <= pairs) {
			pairs -= entry->rule_count * entry->rule_count / 2;
			review_order(&review, entry);
		} else {
			remark(&review, 0, 0, "client \"%s\" has %zu rules, which are not compared with each other here: splitsock-ctl policy check does that",
			       entry->name, entry->rule_count);
		}
		review_rules(&review, entry);
	}
	if (!any)
		remark(&review, 0, 0, "this policy grants nothing that anyone can use");
}
