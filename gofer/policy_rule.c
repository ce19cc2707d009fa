#include "gofer/policy_rule.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gofer/policy_index.h"

#define GROUPS_MAX 1024u
#define GLOBS_MAX 256u
#define GLOB_LENGTH_MAX 1024u
#define LABELS_MAX 64u
#define NAME_LENGTH_MAX 64u
#define RULES_MAX 65536u
#define TARGETS_MAX 4096u
#define PORTS_MAX 1024u
#define PUBLISH_MAX 256u
#define RESOLVERS_MAX 16u
#define LABEL_LENGTH_MAX 63u /* of a domain name: RFC 1035 */
#define DOMAIN_LENGTH_MAX 253u

int
read_plain_name(struct reading *reading, const struct tree_node *node, char **name)
{
	int error = expect_kind(reading, node, TREE_SCALAR);

	if (error)
		return error;
	for (const char *at = node->text; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("._-", *at))
			return wrong(reading, node, "\"%.60s\": a name has letters, digits, \".\", \"_\" and \"-\"", node->text);
	if (!*node->text || strlen(node->text) > NAME_LENGTH_MAX)
		return wrong(reading, node, "a name has 1 to %u characters", NAME_LENGTH_MAX);
	*name = strdup(node->text);
	return *name ? 0 : no_memory(reading, node);
}

/* ---- whom it names ------------------------------------------------------------------------------ */

static int
read_group(struct reading *reading, const struct tree_node *node, void *into)
{
	uint64_t *gid = into;

	if (node->kind != TREE_SCALAR || !*node->text)
		return wrong(reading, node, "a group's name or number is needed here");
	if (!is_number(node, gid)) {
		const struct group *group = isdigit((unsigned char)*node->text) ? NULL : getgrnam(node->text);

		if (!group)
			return wrong(reading, node, "there is no group \"%.60s\"", node->text);
		*gid = group->gr_gid;
	}
	if (*gid >= UINT32_MAX)
		return wrong(reading, node, "a group's number is at most %u", UINT32_MAX - 1);
	return 0;
}

int
read_groups(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_entry *entry = into;

	return read_list(reading, node, "groups", GROUPS_MAX, &entry->gids, sizeof *entry->gids, &entry->gid_count, read_group);
}

static int
read_cgroup(struct reading *reading, const struct tree_node *node, void *into)
{
	int error = read_text(reading, node, GLOB_LENGTH_MAX, into);

	return error || *node->text == '/' ? error : wrong(reading, node, "the path of a cgroup begins with \"/\"");
}

int
read_cgroups(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_entry *entry = into;

	return read_list(reading, node, "cgroups", GLOBS_MAX, &entry->cgroups, sizeof *entry->cgroups, &entry->cgroup_count, read_cgroup);
}

static int
read_container(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_text(reading, node, GLOB_LENGTH_MAX, into);
}

int
read_containers(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_entry *entry = into;

	return read_list(reading, node, "containers", GLOBS_MAX, &entry->containers, sizeof *entry->containers, &entry->container_count,
	                 read_container);
}

int
read_labels(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_entry *entry = into;
	int error = expect_kind(reading, node, TREE_MAPPING);

	if (!error && !node->count)
		return wrong(reading, node, "this mapping of labels is empty");
	if (!error && node->count > 2 * LABELS_MAX)
		return wrong(reading, node, "more than %u labels", LABELS_MAX);
	if (error)
		return error;
	entry->labels = calloc(node->count / 2, sizeof *entry->labels);
	if (!entry->labels)
		return no_memory(reading, node);
	for (size_t i = 0; !error && i < node->count; i += 2) {
		struct identity_label *label = &entry->labels[entry->label_count++];

		error = read_text(reading, node->items[i], GLOB_LENGTH_MAX, &label->key);
		if (!error)
			error = read_text(reading, node->items[i + 1], GLOB_LENGTH_MAX, &label->value);
	}
	return error;
}

/* ---- words -------------------------------------------------------------------------------------- */

struct word {
	const char *name;
	unsigned bit;
};

/* One word, or a list of words, or "any": the sum of their bits. */
static int
read_words(struct reading *reading, const struct tree_node *node, const char *what, const struct word *words, size_t count, unsigned *bits)
{
	int error;

	if (is_word(node, "any")) {
		for (size_t i = 0; i < count; i++)
			*bits |= words[i].bit;
		return 0;
	}
	error = expect_list(reading, node, count, what);
	for (size_t i = 0; !error && i < node->count; i++) {
		const struct tree_node *item = node->items[i];
		size_t row = 0;

		error = expect_kind(reading, item, TREE_SCALAR);
		if (error)
			return error;
		while (row < count && strcmp(words[row].name, item->text) != 0)
			row++;
		if (row == count)
			return wrong(reading, item, "\"%.60s\" is not known here; the nearest is \"%s\"", item->text,
			             nearest_name(item->text, words, sizeof *words, count));
		if (*bits & words[row].bit)
			return wrong(reading, item, "\"%s\" for the second time", item->text);
		*bits |= words[row].bit;
	}
	return error;
}

static const struct word operation_words[] = {
	{"connect", 1u << POLICY_CONNECT},
	{"bind", 1u << POLICY_BIND},
	{"listen", 1u << POLICY_LISTEN},
	{"datagram", 1u << POLICY_SEND},
};

static const struct word option_words[] = {
	{"source", OPTIONS_SOURCE},
	{"interface", OPTIONS_INTERFACE},
	{"route", OPTIONS_ROUTE},
	{"groups", OPTIONS_GROUPS},
	{"privileged", OPTIONS_PRIVILEGED},
};

int
read_options(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_words(reading, node, "options", option_words, sizeof option_words / sizeof *option_words,
	                  &((struct policy_entry *)into)->options);
}

/* ---- where to ----------------------------------------------------------------------------------- */

/* A special kind by its name, or SPECIALS. */
static enum policy_special
special_by_name(const char *name)
{
	enum policy_special special = SPECIAL_NONE + 1;

	while (special < SPECIALS && strcmp(policy_special_names[special], name) != 0)
		special++;
	return special;
}

static bool
looks_like_address(const char *text)
{
	return strchr(text, ':') || strchr(text, '/') || !text[strspn(text, "0123456789.")];
}

/* Letters in lower case, and no dot at the end. */
static int
read_domain(struct reading *reading, const struct tree_node *node, struct policy_target *target)
{
	const char *text = node->text, *example = "www.example.com or \"*.example.com\" would be one";
	bool suffix = strncmp(text, "*.", 2) == 0, dot = false;
	size_t len, label = 0;

	text += suffix ? 2 : 0;
	len = strlen(text);
	if (len == 0 || len > DOMAIN_LENGTH_MAX + 1)
		return wrong(reading, node, "\"%.60s\" is no domain name: %s", node->text, example);
	for (size_t i = 0; i < len; i++) {
		bool end = text[i + 1] == '.' || text[i + 1] == '\0';

		if ((unsigned char)text[i] > 0x7f)
			return wrong(reading, node, "a domain name is written in ASCII here: xn--…");
		if (text[i] == '.') {
			dot = true;
			if (label == 0)
				return wrong(reading, node, "\"%.60s\" is no domain name: %s", node->text, example);
			label = 0;
		} else if ((!isalnum((unsigned char)text[i]) && text[i] != '_' && (text[i] != '-' || label == 0 || end)) ||
		           ++label > LABEL_LENGTH_MAX)
			return wrong(reading, node, "\"%.60s\" is no domain name: %s", node->text, example);
	}
	if (!dot && !suffix)
		return wrong(reading, node, "\"%.60s\" is no kind of address, the nearest is \"%s\"; a domain name of one label ends in a dot",
		             node->text, nearest_name(node->text, policy_special_names + 1, sizeof *policy_special_names, SPECIALS - 1));
	target->kind = suffix ? TARGET_SUFFIX : TARGET_NAME;
	target->name = strdup(text);
	if (!target->name)
		return no_memory(reading, node);
	if (text[len - 1] == '.')
		target->name[len - 1] = '\0';
	for (char *at = target->name; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	return 0;
}

static int
read_target(struct reading *reading, const struct tree_node *node, struct policy_rule *rule)
{
	struct policy_target *target = &rule->to[rule->to_count];
	enum policy_special special;
	struct policy_network networks[2];
	size_t count;
	int error = expect_kind(reading, node, TREE_SCALAR);

	if (error)
		return error;
	special = special_by_name(node->text);
	if (special == SPECIAL_OWN) {
		target->kind = TARGET_OWN;
		rule->to_count++;
		return 0;
	}
	if (special < SPECIALS) {
		count = policy_special_networks(special, networks);
		for (size_t i = 0; i < count; i++)
			rule->to[rule->to_count++] = (struct policy_target){.kind = TARGET_NETWORK, .network = networks[i]};
		return 0;
	}
	error = looks_like_address(node->text) ? read_network(reading, node, &target->network) : read_domain(reading, node, target);
	rule->to_count += !error || target->name;
	return error;
}

static int
read_to(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_rule *rule = into;
	int error;

	if (is_word(node, "any"))
		return 0;
	error = expect_list(reading, node, TARGETS_MAX, "addresses");
	if (error)
		return error;
	/* A kind of address may be two networks. */
	rule->to = calloc(node->count, 2 * sizeof *rule->to);
	if (!rule->to)
		return no_memory(reading, node);
	for (size_t i = 0; !error && i < node->count; i++)
		error = read_target(reading, node->items[i], rule);
	return error;
}

/* ---- ports -------------------------------------------------------------------------------------- */

static int
read_port_range(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_ports *ports = into;
	unsigned first, last;
	int end = 0;

	if (node->kind == TREE_SCALAR && node->plain && isdigit((unsigned char)*node->text)) {
		if (sscanf(node->text, "%5u%n-%5u%n", &first, &end, &last, &end) == 1)
			last = first;
		if (!node->text[end] && first <= last && last <= UINT16_MAX) {
			*ports = (struct policy_ports){(uint16_t)first, (uint16_t)last};
			return 0;
		}
	}
	return wrong(reading, node, "a port from 0 to 65535, or a range like 8000-8099, is needed here");
}

static int
read_ports(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_rule *rule = into;

	if (is_word(node, "any"))
		return 0;
	return read_list(reading, node, "ports", PORTS_MAX, &rule->ports, sizeof *rule->ports, &rule->port_count, read_port_range);
}

/* ---- a rule ------------------------------------------------------------------------------------- */

static int
read_rule_name(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_plain_name(reading, node, &((struct policy_rule *)into)->name);
}

static int
read_verdict(struct reading *reading, const struct tree_node *node, struct policy_rule *rule, bool allow)
{
	if (rule->operations)
		return wrong(reading, node, "a rule allows or denies, not both");
	rule->allow = allow;
	return read_words(reading, node, "operations", operation_words, sizeof operation_words / sizeof *operation_words, &rule->operations);
}

static int
read_allow(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_verdict(reading, node, into, true);
}

static int
read_deny(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_verdict(reading, node, into, false);
}

static int
read_rule_protocols(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_rule *rule = into;

	rule->protocols.any = false;
	return read_protocols(reading, node, &rule->protocols);
}

static int
read_source(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_rule *rule = into;

	rule->has_egress = rule->egress.has_source = true;
	return read_address(reading, node, rule->egress.source);
}

static int
read_egress_interface(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_rule *rule = into;

	rule->has_egress = true;
	return read_interface_name(reading, node, rule->egress.interface);
}

static int
read_mark(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_rule *rule = into;
	uint64_t mark = 0;
	int error = read_size(reading, node, false, 1, UINT32_MAX, &mark);

	rule->has_egress = rule->egress.has_mark = true;
	rule->egress.mark = (uint32_t)mark;
	return error;
}

static int
read_rewrite(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_rule *rule = into;

	rule->has_egress = rule->egress.has_rewrite = true;
	return read_endpoint(reading, node, rule->egress.rewrite, &rule->egress.rewrite_port);
}

static const struct key rule_keys[] = {
	{"name", true, read_rule_name},
	{"allow", false, read_allow},
	{"deny", false, read_deny},
	{"protocols", false, read_rule_protocols},
	{"to", false, read_to},
	{"ports", false, read_ports},
	{"source", false, read_source},
	{"interface", false, read_egress_interface},
	{"mark", false, read_mark},
	{"rewrite", false, read_rewrite},
};

static int
read_rule(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_rule *rule = into;
	int error;

	*rule = (struct policy_rule){.protocols.any = true, .line = node->line, .column = node->column};
	error = READ_MAPPING(reading, node, "a rule", rule_keys, rule);
	if (error)
		return error;
	if (!rule->operations)
		return wrong(reading, node, "a rule has to say what it allows or denies");
	if (rule->has_egress && (!rule->allow || rule->operations & ~(1u << POLICY_CONNECT | 1u << POLICY_SEND)))
		return wrong(reading, node, "source, interface, mark and rewrite are for rules that allow connect and datagram, and nothing else");
	return 0;
}

static int
compare_names(const void *a, const void *b)
{
	const struct policy_rule *const *one = a, *const *other = b;
	int order = strcmp((*one)->name, (*other)->name);

	return order ? order : (*one < *other ? -1 : 1);
}

static int
check_names(struct reading *reading, const struct tree_node *node, const struct policy_entry *entry)
{
	const struct policy_rule **sorted = calloc(entry->rule_count, sizeof *sorted), *twice = NULL;

	if (!sorted)
		return no_memory(reading, node);
	for (size_t i = 0; i < entry->rule_count; i++)
		sorted[i] = &entry->rules[i];
	qsort(sorted, entry->rule_count, sizeof *sorted, compare_names);
	for (size_t i = 1; i < entry->rule_count; i++)
		if (strcmp(sorted[i]->name, sorted[i - 1]->name) == 0 && (!twice || sorted[i] < twice))
			twice = sorted[i];
	free(sorted);
	return twice ? wrong_at(reading, twice->line, twice->column, "name \"%s\" for the second time", twice->name) : 0;
}

int
read_rules(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_entry *entry = into;
	int error = read_list(reading, node, "rules", RULES_MAX, &entry->rules, sizeof *entry->rules, &entry->rule_count, read_rule);

	if (!error)
		error = check_names(reading, node, entry);
	if (error)
		return error;
	entry->index = policy_index_new(entry->rules, entry->rule_count);
	return entry->index ? 0 : no_memory(reading, node);
}

/* ---- the rest ----------------------------------------------------------------------------------- */

static int
read_published_port(struct reading *reading, const struct tree_node *node, void *into)
{
	uint64_t port = 0;
	int error = read_size(reading, node, false, 1, UINT16_MAX, &port);

	((struct policy_publish *)into)->port = (uint16_t)port;
	return error;
}

static int
read_published_protocol(struct reading *reading, const struct tree_node *node, void *into)
{
	bool udp;
	int error = read_choice(reading, node, "tcp", "udp", &udp);

	if (!error)
		((struct policy_publish *)into)->protocol = udp ? IPPROTO_UDP : IPPROTO_TCP;
	return error;
}

static int
read_published_on(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_publish *publish = into;

	return read_endpoint(reading, node, publish->address, &publish->host_port);
}

static const struct key publish_keys[] = {
	{"port", true, read_published_port},
	{"protocol", false, read_published_protocol},
	{"on", true, read_published_on},
};

static int
read_published(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_publish *publish = into;

	publish->protocol = IPPROTO_TCP;
	return READ_MAPPING(reading, node, "a published port", publish_keys, publish);
}

int
read_publish(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_entry *entry = into;
	int error = read_list(reading, node, "published ports", PUBLISH_MAX, &entry->publish, sizeof *entry->publish, &entry->publish_count,
	                      read_published);

	for (size_t i = 0; !error && i < entry->publish_count; i++)
		for (size_t j = 0; !error && j < i; j++)
			if (entry->publish[i].port == entry->publish[j].port && entry->publish[i].protocol == entry->publish[j].protocol &&
			    policy_is_ip4(entry->publish[i].address) == policy_is_ip4(entry->publish[j].address))
				error = wrong(reading, node->items[i], "port %u for the second time", entry->publish[i].port);
	return error;
}

int
read_resolvers(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_entry *entry = into;

	return read_list(reading, node, "addresses", RESOLVERS_MAX, &entry->resolvers, sizeof *entry->resolvers, &entry->resolver_count,
	                 read_address);
}

int
read_namespace(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_entry *entry = into;
	char *text = NULL, *path;
	int error = read_text(reading, node, GLOB_LENGTH_MAX, &text);

	if (error)
		return error;
	if (*text == '/') {
		entry->network = text;
		return 0;
	}
	if (strchr(text, '/') || strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		error = wrong(reading, node, "a name of ip-netns(8), or a path that begins with \"/\", is needed here");
	else if (asprintf(&path, "/run/netns/%s", text) < 0)
		error = no_memory(reading, node);
	else
		entry->network = path;
	free(text);
	return error;
}
