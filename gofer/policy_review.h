/*
 * What is odd in a policy that is not wrong: rules that are never reached, clients that nobody is, names that nobody can learn.
 */
#ifndef SPLITSOCK_GOFER_POLICY_REVIEW_H
#define SPLITSOCK_GOFER_POLICY_REVIEW_H

#include "gofer/policy.h"

/* Tells each in a line, "PATH:LINE:COLUMN: …". */
void policy_review(const struct policy *policy, const char *path, void (*tell)(void *arg, const char *line), void *arg);

#endif
