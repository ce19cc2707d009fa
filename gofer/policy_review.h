/*
 * What is odd in a policy that is not wrong: rules that are never reached, clients that nobody is, names that nobody can learn.
 */
#ifndef SPLITSOCK_GOFER_POLICY_REVIEW_H
#define SPLITSOCK_GOFER_POLICY_REVIEW_H

#include "gofer/policy.h"

/* What a gofer has time for while it serves: some 10 ms. */
#define POLICY_REVIEW_QUICK 1000000u

/*
 * Tells each in a line, "PATH:LINE:COLUMN: …". Which rules are never reached takes a comparison of each with all before it: clients for whom there are not as many as that left of `pairs`
 * are told, and not looked at so. SIZE_MAX: all are.
 */
void policy_review(const struct policy *policy, const char *path, size_t pairs, void (*tell)(void *arg, const char *line), void *arg);

#endif
