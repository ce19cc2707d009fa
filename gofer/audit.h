/*
 * The log's lines about what the policy forbade, one a denial, and not more than a log can take.
 */
#ifndef SPLITSOCK_GOFER_AUDIT_H
#define SPLITSOCK_GOFER_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "gofer/policy_decide.h"
#include "proto/values.h"

/* Lines of one second. More are counted, and the count is a line. */
#define AUDIT_LINES_MAX 100u

struct gofer;
struct session;

struct audit {
	int64_t second;
	unsigned lines; /* in it */
	uint64_t left_out;
};

/* "session …: denied: uid …: OPERATION WHAT: MISSING". */
void audit_denied(const struct session *session, const char *operation, const char *what, const char *missing);

/* A socket that policy_allows_socket() refused, or that the host did (by_host) for want of CAP_NET_RAW. */
void audit_socket(const struct session *session, int family, int type, int protocol, bool by_host);
/* An address that policy_allows() refused. */
void audit_address(const struct session *session, const char *operation, const struct wire_address *address);
/* An address that the policy's rules are against. */
void audit_decision(const struct session *session, enum policy_operation operation, const struct wire_address *address,
                    const struct policy_decision *decision);
void audit_option(const struct session *session, int level, int name);
void audit_netlink(const struct session *session);

/* Says how many lines were left out, once their second is over. */
void audit_tick(struct gofer *gofer);

#endif
