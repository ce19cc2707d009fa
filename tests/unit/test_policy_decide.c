/*
 * What rules come to: said by example, and compared with a walk over them for random policies and questions.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gofer/policy_index.h"
#include "gofer/policy_review.h"
#include "tests/unit/naive.h"

TestSuite(policy_decide, .timeout = 120);

/* ---- the compiled rules and the walk ------------------------------------------------------------- */

#define SEEDS 400u
#define QUESTIONS 3000u

Test(policy_decide, compiled_rules_decide_as_a_walk_over_them)
{
	size_t compared = 0, allowed = 0, denied_by_rule = 0;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct naive_random random = {.state = seed * 1000003};
		struct policy_entry entry;
		const char *names[4];

		/* Many small ones, some with hundreds of rules. */
		naive_entry(&random, 1 + naive_number(&random, seed % 10 ? 20 : 600), &entry);
		for (size_t i = 0; i < QUESTIONS; i++) {
			struct policy_question question;
			struct naive_decision expected;
			struct policy_decision decision;
			char ip[INET6_ADDRSTRLEN];

			naive_question(&random, &entry, &question, names);
			expected = naive_decide(&entry, &question);
			decision = policy_decide(&entry, &question);
			compared++;
			allowed += expected.allowed;
			denied_by_rule += !expected.allowed && expected.rule;
			inet_ntop(AF_INET6, question.address, ip, sizeof ip);
			cr_assert(decision.allowed == expected.allowed && decision.error == (expected.allowed ? 0 : EACCES) &&
			                  decision.rule == (expected.rule ? expected.rule->name : NULL),
			          "seed %llu, question %zu: operation %d protocol %d %s port %u reach %d: %s by %s, not %s by %s",
			          (unsigned long long)seed, i, question.operation, question.protocol, ip, question.port, question.reach,
			          decision.allowed ? "allowed" : "denied", decision.rule ? decision.rule : "none",
			          expected.allowed ? "allowed" : "denied", expected.rule ? expected.rule->name : "none");
		}
		naive_free(&entry);
	}
	cr_assert_geq(compared, 1000000);
	/* The questions are about something. */
	cr_expect_gt(allowed, compared / 10, "%zu of %zu", allowed, compared);
	cr_expect_gt(denied_by_rule, compared / 20, "%zu of %zu", denied_by_rule, compared);
}
