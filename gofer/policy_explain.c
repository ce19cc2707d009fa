#include "gofer/policy_explain.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "gofer/policy_index.h"

__attribute__((format(printf, 2, 3))) static int
wrong(char error[EXPLAIN_TEXT_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, EXPLAIN_TEXT_MAX, format, args);
	va_end(args);
	return -EINVAL;
}

/* ---- identities --------------------------------------------------------------------------------- */

static bool
parse_id(const char *text, uint64_t *id)
{
	char *end;

	*id = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && !*end && *id < UINT32_MAX;
}

static int
take_user(struct identity *identity, const char *value, char error[EXPLAIN_TEXT_MAX])
{
	const struct passwd *user = parse_id(value, &identity->uid) ? NULL : getpwnam(value);

	if (user)
		identity->uid = user->pw_uid;
	else if (!parse_id(value, &identity->uid))
		return wrong(error, "there is no user \"%.60s\"", value);
	return 0;
}

static int
take_group(struct identity *identity, const char *value, char error[EXPLAIN_TEXT_MAX])
{
	uint64_t gid, *larger;
	const struct group *group = parse_id(value, &gid) ? NULL : getgrnam(value);

	if (group)
		gid = group->gr_gid;
	else if (!parse_id(value, &gid))
		return wrong(error, "there is no group \"%.60s\"", value);
	if (identity->gid == UINT64_MAX) {
		identity->gid = gid;
		return 0;
	}
	larger = reallocarray(identity->groups, identity->group_count + 1, sizeof *larger);
	if (!larger)
		return wrong(error, "no memory");
	identity->groups = larger;
	larger[identity->group_count++] = gid;
	return 0;
}

static int
take_label(struct identity *identity, const char *value, char error[EXPLAIN_TEXT_MAX])
{
	const char *equals = strchr(value, '=');
	struct identity_label *larger;

	if (!equals || equals == value)
		return wrong(error, "a label is written label=KEY=VALUE");
	larger = reallocarray(identity->labels, identity->label_count + 1, sizeof *larger);
	if (!larger)
		return wrong(error, "no memory");
	identity->labels = larger;
	larger += identity->label_count++;
	*larger = (struct identity_label){strndup(value, (size_t)(equals - value)), strdup(equals + 1)};
	return larger->key && larger->value ? 0 : wrong(error, "no memory");
}

static int
take_part(struct identity *identity, char *part, char error[EXPLAIN_TEXT_MAX])
{
	char *value = strchr(part, '=');

	if (!value || !value[1])
		return wrong(error, "\"%.60s\" is not KEY=VALUE: user, group, cgroup, container and label are the keys", part);
	*value++ = '\0';
	if (strcmp(part, "user") == 0)
		return take_user(identity, value, error);
	if (strcmp(part, "group") == 0)
		return take_group(identity, value, error);
	if (strcmp(part, "label") == 0)
		return take_label(identity, value, error);
	if (strcmp(part, "cgroup") == 0) {
		free(identity->cgroup);
		identity->cgroup = strdup(value);
		return identity->cgroup ? 0 : wrong(error, "no memory");
	}
	if (strcmp(part, "container") == 0) {
		free(identity->container_name);
		identity->container_name = strdup(value);
		return identity->container_name ? 0 : wrong(error, "no memory");
	}
	return wrong(error, "unknown key \"%.60s\": user, group, cgroup, container and label are the keys", part);
}

int
identity_parse(struct identity *identity, const char *text, char error[EXPLAIN_TEXT_MAX])
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy;
	int result = copy ? 0 : wrong(error, "no memory");

	*identity = IDENTITY_UNKNOWN;
	for (char *part; !result && (part = strsep(&rest, ","));)
		result = take_part(identity, part, error);
	if (result)
		identity_free(identity);
	return result;
}

char *
identity_text(const struct identity *identity)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	const char *comma = "";

	if (!out)
		return NULL;
	if (identity->uid != UINT64_MAX) {
		fprintf(out, "user=%llu", (unsigned long long)identity->uid);
		comma = ",";
	}
	if (identity->gid != UINT64_MAX) {
		fprintf(out, "%sgroup=%llu", comma, (unsigned long long)identity->gid);
		comma = ",";
	}
	for (size_t i = 0; i < identity->group_count; i++)
		fprintf(out, ",group=%llu", (unsigned long long)identity->groups[i]);
	if (identity->cgroup) {
		fprintf(out, "%scgroup=%s", comma, identity->cgroup);
		comma = ",";
	}
	if (identity->container_name || identity->container_id) {
		fprintf(out, "%scontainer=%s", comma, identity->container_name ? identity->container_name : identity->container_id);
		comma = ",";
	}
	for (size_t i = 0; i < identity->label_count; i++, comma = ",")
		fprintf(out, "%slabel=%s=%s", comma, identity->labels[i].key, identity->labels[i].value);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- questions ---------------------------------------------------------------------------------- */

static const char *const operation_names[POLICY_OPERATIONS] = {
	[POLICY_CONNECT] = "connect", [POLICY_BIND] = "bind", [POLICY_LISTEN] = "listen", [POLICY_SEND] = "datagram"};

const char *
explain_operation_name(enum policy_operation operation)
{
	return operation_names[operation];
}

int
explain_operation(const char *name)
{
	for (int i = 0; i < POLICY_OPERATIONS; i++)
		if (strcmp(operation_names[i], name) == 0)
			return i;
	return strcmp(name, "send") == 0 ? POLICY_SEND : -1;
}

int
explain_protocol(const char *name)
{
	static const struct {
		const char *name;
		int number;
	} known[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"icmp", IPPROTO_ICMP}, {"ipv6-icmp", IPPROTO_ICMPV6}, {"icmpv6", IPPROTO_ICMPV6}, {"udplite", IPPROTO_UDPLITE},
	             {"igmp", IPPROTO_IGMP}, {"gre", IPPROTO_GRE}, {"esp", IPPROTO_ESP}, {"ah", IPPROTO_AH}, {"sctp", IPPROTO_SCTP}};
	char *end;
	unsigned long number = strtoul(name, &end, 10);

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].number;
	return isdigit((unsigned char)*name) && !*end && number > 0 && number <= UINT8_MAX ? (int)number : -1;
}

/* 192.0.2.1:80, [2001:db8::1]:80, or an address alone. */
static int
parse_endpoint(struct policy_question *question, const char *text, char error[EXPLAIN_TEXT_MAX])
{
	const char *colon = strrchr(text, ':'), *end = text + strlen(text);
	char address[INET6_ADDRSTRLEN], *stop;
	unsigned long port = 0;

	if (*text == '[' && end[-1] == ']')
		colon = NULL;
	else if (*text != '[' && colon && strchr(text, ':') != colon)
		colon = NULL; /* an IPv6 address */
	if (colon) {
		port = strtoul(colon + 1, &stop, 10);
		if (!isdigit((unsigned char)colon[1]) || *stop || port > UINT16_MAX)
			return wrong(error, "\"%.60s\" is no port", colon + 1);
		end = colon;
	}
	if (*text == '[') {
		text++;
		end--;
	}
	if (end <= text || end - text >= (ptrdiff_t)sizeof address)
		return wrong(error, "an address is needed: 192.0.2.1:80 or [2001:db8::1]:80");
	memcpy(address, text, (size_t)(end - text));
	address[end - text] = '\0';
	question->port = (uint16_t)port;
	memset(question->address, 0, 16);
	question->address[10] = question->address[11] = 0xff;
	if (inet_pton(AF_INET, address, question->address + 12) == 1 || inet_pton(AF_INET6, address, question->address) == 1)
		return 0;
	return wrong(error, "\"%.60s\" is no address: 192.0.2.1:80 or [2001:db8::1]:80 would be one; a name is given by --name", address);
}

int
explain_parse(struct explain_question *question, const char *const *words, size_t count, char error[EXPLAIN_TEXT_MAX])
{
	int operation = count ? explain_operation(words[0]) : -1;

	*question = (struct explain_question){.kind = EXPLAIN_ADDRESS};
	if (count == 2 && strcmp(words[0], "packet") == 0) {
		question->kind = EXPLAIN_PACKET;
		if (strlen(words[1]) >= sizeof question->interface)
			return wrong(error, "\"%.60s\" cannot be the name of an interface", words[1]);
		strcpy(question->interface, words[1]);
		return 0;
	}
	if (count == 2 && strcmp(words[0], "raw") == 0)
		question->kind = EXPLAIN_RAW;
	else if (count != 3 || operation < 0)
		return wrong(error, "the question is \"connect|bind|listen|datagram PROTOCOL ADDRESS:PORT\", \"raw PROTOCOL\" or \"packet INTERFACE\"");
	question->question.protocol = explain_protocol(words[1]);
	if (question->question.protocol < 0)
		return wrong(error, "\"%.60s\" is no protocol: tcp, udp, icmp and ipv6-icmp are some, and numbers up to 255", words[1]);
	if (question->kind == EXPLAIN_RAW)
		return 0;
	question->question.operation = (enum policy_operation)operation;
	return parse_endpoint(&question->question, words[2], error);
}

/* ---- answers ------------------------------------------------------------------------------------ */

static const char *
address_text(const uint8_t address[16], char out[INET6_ADDRSTRLEN])
{
	if (policy_is_ip4(address))
		inet_ntop(AF_INET, address + 12, out, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, address, out, INET6_ADDRSTRLEN);
	return out;
}

static void
say_endpoint(FILE *out, const uint8_t address[16], unsigned port)
{
	char text[INET6_ADDRSTRLEN];
	bool brackets = !policy_is_ip4(address);

	fprintf(out, "%s%s%s:%u", brackets ? "[" : "", address_text(address, text), brackets ? "]" : "", port);
}

static void
say_egress(FILE *out, const struct policy_decision *decision)
{
	const struct policy_egress *egress = decision->egress;
	char text[INET6_ADDRSTRLEN];

	if (decision->publish) {
		fprintf(out, "  it is published at ");
		say_endpoint(out, decision->publish->address, decision->publish->host_port);
		fprintf(out, "\n");
	}
	if (egress && egress->has_rewrite) {
		fprintf(out, "  it goes to ");
		say_endpoint(out, egress->rewrite, egress->rewrite_port);
		fprintf(out, "\n");
	}
	if (egress && egress->has_source)
		fprintf(out, "  from the address %s\n", address_text(egress->source, text));
	if (egress && *egress->interface)
		fprintf(out, "  through the interface %s\n", egress->interface);
	if (egress && egress->has_mark)
		fprintf(out, "  with the mark 0x%x\n", egress->mark);
	if (decision->network)
		fprintf(out, "  in the network namespace %s\n", decision->network);
}

static bool
explain_address(FILE *out, const char *path, const struct policy_entry *entry, const struct policy_question *question)
{
	struct policy_decision decision = policy_decide(entry, question);
	enum policy_special special = policy_special_of(question, decision.as);
	const struct policy_rule *rule = NULL;
	char as[INET6_ADDRSTRLEN];

	fprintf(out, "%s: ", decision.allowed ? "allowed" : "denied");
	for (size_t i = 0; decision.rule && !decision.publish && i < entry->rule_count; i++)
		if (entry->rules[i].name == decision.rule)
			rule = &entry->rules[i];
	if (rule)
		fprintf(out, "rule \"%s\" of client \"%s\" (%s:%zu:%zu): ", rule->name, entry->name, path, rule->line, rule->column);
	else if (entry)
		fprintf(out, "client \"%s\": ", entry->name);
	fprintf(out, "%s\n", decision.why);
	if (!decision.allowed && memcmp(decision.as, question->address, 16) != 0)
		fprintf(out, "  the address stands for %s, and it is that which is denied\n", address_text(decision.as, as));
	if (special != SPECIAL_NONE)
		fprintf(out, "  the address is of the kind \"%s\"\n", policy_special_names[special]);
	if (!decision.allowed)
		fprintf(out, "  the program gets %s\n", decision.error == EACCES ? "EACCES" : "EPERM");
	say_egress(out, &decision);
	return decision.allowed;
}

bool
explain(FILE *out, const struct policy *policy, const char *path, const struct identity *identity, const struct explain_question *question)
{
	const struct policy_entry *entry = policy_entry_for(policy, identity);
	const struct packet_grant *grant;
	bool allowed;

	switch (question->kind) {
	case EXPLAIN_RAW:
		allowed = policy_allows_socket(entry, AF_INET, SOCK_RAW, question->question.protocol);
		fprintf(out, "%s: %s%s%s%s\n", allowed ? "allowed" : "denied", entry ? "client \"" : "", entry ? entry->name : "",
		        entry ? "\": " : "", !entry ? "the policy names no such client" : allowed ? "its raw grant has the protocol" :
		        entry->raw.granted ? "its raw grant has not the protocol" : "it has no raw grant");
		return allowed;
	case EXPLAIN_PACKET:
		/* Linux' loopback has one name; the policy's host need not be this one, which could be asked. */
		grant = policy_packet(entry, question->interface, strcmp(question->interface, "lo") == 0);
		fprintf(out, "%s: %s%s%s%s\n", grant ? "allowed" : "denied", entry ? "client \"" : "", entry ? entry->name : "",
		        entry ? "\": " : "", !entry ? "the policy names no such client" : !grant ? "it has no packet grant for the interface" :
		        grant->receive && grant->send ? "it may receive and send, as far as the grant says" :
		        grant->receive ? "it may receive, as far as the grant says" : "it may send, as far as the grant says");
		return grant && (grant->receive || grant->send);
	default:
		return explain_address(out, path, entry, &question->question);
	}
}
