/* Rules: what policy_decide() makes of them, against a walk over them (tests/unit/naive.c). The input says rules and questions. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/naive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define RULES_MAX 12u
#define QUESTIONS 8u

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct naive_random random = {.bytes = data, .len = len};
	struct policy_entry entry;
	const char *names[4];

	if (!len)
		return 0;
	naive_entry(&random, 1 + naive_number(&random, RULES_MAX), &entry);
	for (size_t i = 0; i < QUESTIONS; i++) {
		struct policy_question question;
		struct naive_decision expected;
		struct policy_decision decision;

		naive_question(&random, &entry, &question, names);
		expected = naive_decide(&entry, &question);
		decision = policy_decide(&entry, &question);
		if (decision.allowed != expected.allowed || decision.rule != (expected.rule ? expected.rule->name : NULL)) {
			fprintf(stderr, "question %zu: %d, not %d\n", i, decision.allowed, expected.allowed);
			abort();
		}
	}
	naive_free(&entry);
	return 0;
}
