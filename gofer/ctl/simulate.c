/*
 * splitsock-ctl policy simulate: decides anew what an audit log has on record, and shows what would be otherwise. Domain names are those of the log,
 * and where an address leads is what this host says now.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "gofer/ctl/ctl.h"
#include "gofer/policy_explain.h"

struct tally {
	size_t lines, decided, changed;
	json_t *changes; /* what is said of it: how often */
};

static bool
copy_text(const json_t *object, const char *key, char **into)
{
	const char *text = json_string_value(json_object_get(object, key));

	*into = text ? strdup(text) : NULL;
	return !text || *into;
}

static void
take_number(const json_t *object, const char *key, uint64_t *into)
{
	const json_t *number = json_object_get(object, key);

	if (json_is_integer(number) && json_integer_value(number) >= 0)
		*into = (uint64_t)json_integer_value(number);
}

static bool
take_identity(const json_t *object, struct identity *identity)
{
	const json_t *groups = json_object_get(object, "groups"), *labels = json_object_get(object, "labels"), *value;
	const char *key;
	bool good;

	*identity = IDENTITY_UNKNOWN;
	take_number(object, "uid", &identity->uid);
	take_number(object, "gid", &identity->gid);
	good = copy_text(object, "cgroup", &identity->cgroup) && copy_text(object, "container_id", &identity->container_id) &&
	       copy_text(object, json_object_get(object, "container_name") ? "container_name" : "container", &identity->container_name);
	identity->groups = calloc(json_array_size(groups) + 1, sizeof *identity->groups);
	identity->labels = calloc(json_object_size(labels) + 1, sizeof *identity->labels);
	if (!good || !identity->groups || !identity->labels)
		return false;
	for (size_t i = 0; i < json_array_size(groups); i++)
		identity->groups[identity->group_count++] = (uint64_t)json_integer_value(json_array_get(groups, i));
	json_object_foreach((json_t *)labels, key, value) {
		struct identity_label *label = &identity->labels[identity->label_count++];

		*label = (struct identity_label){strdup(key), strdup(json_string_value(value) ? json_string_value(value) : "")};
		good = good && label->key && label->value;
	}
	return good;
}

static bool
take_address(const char *text, uint8_t address[16])
{
	memset(address, 0, 16);
	address[10] = address[11] = 0xff;
	return text && (inet_pton(AF_INET, text, address + 12) == 1 || inet_pton(AF_INET6, text, address) == 1);
}

/* The question that the line is about. False: it is about none. */
static bool
take_question(const json_t *line, struct policy_question *question, const char **names)
{
	const char *operation = json_string_value(json_object_get(line, "operation"));
	const json_t *protocol = json_object_get(line, "protocol"), *list = json_object_get(line, "names");
	uint64_t port = 0;

	*question = (struct policy_question){.names = names};
	if (!operation || explain_operation(operation) < 0 ||
	    !take_address(json_string_value(json_object_get(line, "address")), question->address))
		return false;
	question->operation = (enum policy_operation)explain_operation(operation);
	question->protocol = json_is_integer(protocol) ? (int)json_integer_value(protocol)
	                     : json_is_string(protocol) ? explain_protocol(json_string_value(protocol)) : -1;
	take_number(line, "port", &port);
	question->port = (uint16_t)port;
	for (size_t i = 0; i < json_array_size(list) && question->name_count < CTL_NAMES_MAX; i++)
		if (json_is_string(json_array_get(list, i)))
			names[question->name_count++] = json_string_value(json_array_get(list, i));
	ctl_find_reach(question);
	return question->protocol > 0 && port <= UINT16_MAX;
}

static void
note_change(struct tally *tally, const json_t *line, const struct identity *identity, const struct policy_question *question,
            const struct policy_decision *decision)
{
	_cleanup_free_ char *who = identity_text(identity);
	const char *address = json_string_value(json_object_get(line, "address"));
	char text[2 * EXPLAIN_TEXT_MAX], plain[2 * EXPLAIN_TEXT_MAX];
	json_t *count;

	tally->changed++;
	snprintf(text, sizeof text, "%s: %s, %s protocol %d %s port %u: %s%s%s%s", decision->allowed ? "allowed now" : "denied now",
	         who && *who ? who : "unknown", explain_operation_name(question->operation), question->protocol, address, question->port,
	         decision->rule ? "rule \"" : "", decision->rule ? decision->rule : "", decision->rule ? "\": " : "", decision->why);
	/* The log says what clients have said. */
	ctl_plain(text, plain, sizeof plain);
	count = json_object_get(tally->changes, plain);
	if (count)
		json_integer_set(count, json_integer_value(count) + 1);
	else
		json_object_set_new(tally->changes, plain, json_integer(1));
}

static void
decide_line(const struct policy *policy, const json_t *line, struct tally *tally)
{
	/* A line each for what was done, and for what was denied; others speak of the same once more. */
	static const char *const events[] = {"connect", "bind", "listen", "datagram", "denied"};
	enum { EVENTS = sizeof events / sizeof *events };
	const char *event = json_string_value(json_object_get(line, "event")), *names[CTL_NAMES_MAX];
	size_t row = 0;
	struct policy_question question;
	struct policy_decision decision;
	struct identity identity;
	bool was_allowed;

	while (event && row < EVENTS && strcmp(events[row], event) != 0)
		row++;
	if (!event || row == EVENTS || !take_question(line, &question, names))
		return;
	was_allowed = row != EVENTS - 1;
	if (take_identity(json_object_get(line, "identity"), &identity)) {
		decision = policy_decide(policy_entry_for(policy, &identity), &question);
		tally->decided++;
		if (decision.allowed != was_allowed)
			note_change(tally, line, &identity, &question, &decision);
	}
	identity_free(&identity);
}

int
ctl_simulate(const struct policy *policy, const char *log_path)
{
	struct tally tally = {.changes = json_object()};
	FILE *log = strcmp(log_path, "-") == 0 ? stdin : fopen(log_path, "re");
	_cleanup_free_ char *text = NULL;
	size_t size = 0, number = 0;
	const char *key;
	json_t *value;

	if (!log || !tally.changes) {
		log_error("cannot read %s: %s", log_path, strerror(errno));
		json_decref(tally.changes);
		return EXIT_FAILURE;
	}
	for (ssize_t len; (len = getline(&text, &size, log)) >= 0;) {
		json_error_t error;
		json_t *line = json_loadb(text, (size_t)len, 0, &error);

		number++;
		if (json_is_object(line)) {
			tally.lines++;
			decide_line(policy, line, &tally);
		} else {
			fprintf(stderr, "%s:%zu: no JSON object: left out\n", log_path, number);
		}
		json_decref(line);
	}
	if (log != stdin)
		fclose(log);
	json_object_foreach(tally.changes, key, value)
		printf("%s (%lld times)\n", key, (long long)json_integer_value(value));
	printf("%zu of %zu decisions would be otherwise; %zu lines were read\n", tally.changed, tally.decided, tally.lines);
	json_decref(tally.changes);
	return tally.changed ? CTL_EXIT_CHANGES : EXIT_SUCCESS;
}
