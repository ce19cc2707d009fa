/*
 * What policy_decide() is to come to, said as simply as it can be: a walk over the rules in their order. It shares no code with it.
 */
#ifndef SPLITSOCK_TESTS_UNIT_NAIVE_H
#define SPLITSOCK_TESTS_UNIT_NAIVE_H

#include "gofer/policy.h"

struct naive_decision {
	bool allowed;
	const struct policy_rule *rule; /* that decided, or NULL */
};

/* Of an entry that has rules and does not publish. */
struct naive_decision naive_decide(const struct policy_entry *entry, const struct policy_question *question);

/* Random policies and questions, from this state alone, or from these bytes, of which there are always more: zeros. */
struct naive_random {
	uint64_t state;
	const uint8_t *bytes; /* NULL: from the state */
	size_t len;
};
uint64_t naive_number(struct naive_random *random, uint64_t below);
/* An entry with so many rules, compiled; freed by naive_free(). */
void naive_entry(struct naive_random *random, size_t rules, struct policy_entry *entry);
void naive_free(struct policy_entry *entry);
/* A question that has to do with the entry's rules more often than not. `names` has room for 4. */
void naive_question(struct naive_random *random, const struct policy_entry *entry, struct policy_question *question, const char **names);

#endif
