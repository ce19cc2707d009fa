/*
 * What clients did, what they were denied, one line each: splitsock-audit(5).
 *
 * Without a place to write to, denials are lines of the log, and nothing else is said. Denials, and destinations of datagrams, are limited; what is left out is
 * counted, and the count is a line.
 */
#ifndef SPLITSOCK_GOFER_AUDIT_H
#define SPLITSOCK_GOFER_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gofer/policy_decide.h"
#include "proto/values.h"

/* Lines of one second of each of the events that a client can cause without end and at no cost: denied, datagram. More are counted, and the count is a line. */
#define AUDIT_LINES_MAX 100u

/* Destinations of a datagram socket that are remembered, so that one is said once and not for every datagram. */
#define AUDIT_DESTINATIONS 4u

struct gofer;
struct session;
struct sock;

struct audit {
	struct audit_writer *writer; /* NULL: the log */
	int64_t second;
	unsigned denials, datagrams; /* lines in it */
	uint64_t left_out;           /* in it, or not yet told */
};

/* destination: as audit_writer_new() takes it; NULL: the log. Returns 0, or -1 after writing what is wrong to message. */
int audit_start(struct gofer *gofer, const char *destination, char *message, size_t message_size);
/* The file has been renamed. */
void audit_reopen(struct gofer *gofer);
/* Tells how many lines were left out, once their second is over. */
void audit_tick(struct gofer *gofer);
void audit_stop(struct gofer *gofer);

/* ---- what was done ------------------------------------------------------------------------------ */

void audit_session_open(struct session *session);
/* Who it is has become known, or is known better. */
void audit_identified(struct session *session);
void audit_session_close(struct session *session);

/*
 * The policy allows this socket to connect, bind or send, to the address that the client has asked for. What follows says whether it came to that, and goes by
 * what was allowed last.
 */
void audit_allowed(struct sock *sock, enum policy_operation operation, const struct wire_address *address, const struct policy_decision *decision);

/* A connect begins; audit_connected() says how it ended. Of a stream that is connecting, or connected, nothing is noted. */
void audit_connecting(struct sock *sock);
void audit_connected(struct sock *sock, int error);
/* A datagram socket has been bound: it may be sent to. */
void audit_bound(struct sock *sock);
void audit_listening(struct sock *sock, const struct policy_decision *decision, int error);
void audit_accepted(struct sock *sock, const struct sock *listener);
/* A datagram was sent to an address of its own. */
void audit_sent(struct sock *sock);
void audit_raw(struct sock *sock);
void audit_packet(struct session *session, int type, int protocol);
/* The socket goes: says so, if anything was said of it before, and frees what was kept for that. */
void audit_closed(struct sock *sock);

/* ---- what was denied ---------------------------------------------------------------------------- */

/* "session …: denied: uid …: OPERATION WHAT: MISSING". */
void audit_denied(const struct session *session, const char *operation, const char *what, const char *missing);

/* A socket that policy_allows_socket() refused, or that the host did (by_host) for want of CAP_NET_RAW. */
void audit_socket(const struct session *session, int family, int type, int protocol, bool by_host);
/* An address that policy_allows() refused. */
void audit_address(const struct sock *sock, enum policy_operation operation, const struct wire_address *address);
/* An address that the policy's rules are against. */
void audit_decision(const struct sock *sock, enum policy_operation operation, const struct wire_address *address,
                    const struct policy_decision *decision);
void audit_option(const struct session *session, int level, int name);
void audit_netlink(const struct session *session);

#endif
