/*
 * Decisions in words: what a policy says of a question that a person has written down, and why.
 */
#ifndef SPLITSOCK_GOFER_POLICY_EXPLAIN_H
#define SPLITSOCK_GOFER_POLICY_EXPLAIN_H

#include <stdio.h>

#include "gofer/policy.h"

/* Texts beside an answer, and of an error. */
#define EXPLAIN_TEXT_MAX 512u

enum explain_kind {
	EXPLAIN_ADDRESS, /* connect, bind, listen or datagram, of `question` */
	EXPLAIN_RAW,     /* a raw socket for question.protocol */
	EXPLAIN_PACKET,  /* a packet socket on the interface */
};

struct explain_question {
	enum explain_kind kind;
	struct policy_question question; /* without names */
	char interface[IFNAMSIZ];
};

/*
 * "user=nobody,group=adm,cgroup=/a/b,container=web,label=app=web", in any order; group and label may be there several times, and the first group is
 * the primary one. Names are looked up. Returns 0, or -EINVAL after writing what is wrong to `error`.
 */
int identity_parse(struct identity *identity, const char *text, char error[EXPLAIN_TEXT_MAX]);
/* The same with numbers in place of names, malloc()ed, or NULL. */
char *identity_text(const struct identity *identity);

/* Words like "connect tcp 10.0.0.1:443", "raw icmp", "packet eth0". Returns as identity_parse() does. */
int explain_parse(struct explain_question *question, const char *const *words, size_t count, char error[EXPLAIN_TEXT_MAX]);

/* Names as the file has them; NULL and -1: there is no such. */
const char *explain_operation_name(enum policy_operation operation);
int explain_operation(const char *name);
int explain_protocol(const char *name);

/* Writes a few lines. Returns whether it is allowed. */
bool explain(FILE *out, const struct policy *policy, const char *path, const struct identity *identity, const struct explain_question *question);

#endif
