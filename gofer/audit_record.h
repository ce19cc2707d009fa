/*
 * One thing that happened, as the audit says it: plain data, and how it becomes JSON. What is said is in splitsock-audit(5), and in
 * deploy/splitsock-audit.schema.json for programs.
 */
#ifndef SPLITSOCK_GOFER_AUDIT_RECORD_H
#define SPLITSOCK_GOFER_AUDIT_RECORD_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "gofer/identity.h"
#include "proto/values.h"

/* Of one text, in bytes as it came: what is longer is cut. Cgroup paths and domain names of the usual lengths fit. */
#define AUDIT_TEXT_MAX 256u
/* Domain names of one address. */
#define AUDIT_NAMES_MAX 4u
/* Of one client. More are left out. */
#define AUDIT_GROUPS_MAX 32u
#define AUDIT_LABELS_MAX 8u
/* Of one line. A byte of a text becomes six at most, and besides those of labels there are not 18 texts as long as the longest, everything else included. */
#define AUDIT_LINE_MAX ((18u + 2u * AUDIT_LABELS_MAX) * 6u * AUDIT_TEXT_MAX)

enum audit_event {
	AUDIT_SESSION_OPEN,
	AUDIT_SESSION_CLOSE,
	AUDIT_CONNECT,
	AUDIT_BIND,
	AUDIT_LISTEN,
	AUDIT_ACCEPT,
	AUDIT_DATAGRAM,
	AUDIT_RAW,
	AUDIT_PACKET,
	AUDIT_CLOSE,
	AUDIT_DENIED,
	AUDIT_SUPPRESSED,
	AUDIT_EVENTS
};

/* Who, shared by all that is said of one session: the loop's thread and the writer's hold it. */
struct audit_who {
	atomic_uint holders;
	struct identity identity;
};

/* A copy of the identity, held once. NULL: no memory. */
struct audit_who *audit_who_new(const struct identity *identity);
struct audit_who *audit_who_hold(struct audit_who *who);
void audit_who_release(struct audit_who *who);

/* What is 0, NULL or "" is not known, and not said. */
struct audit_record {
	struct audit_record *next; /* audit_writer.first */
	struct timespec time;      /* CLOCK_REALTIME */
	enum audit_event event;
	struct audit_who *who;     /* held */
	uint64_t session, socket, listener;
	const char *operation;     /* a literal: as a policy calls it */
	int family, type, protocol; /* of the socket; family 0: there is none */
	struct wire_address peer, local; /* of family 0: none */
	char (*names)[AUDIT_TEXT_MAX]; /* malloc()ed: domain names of the peer's address */
	size_t name_count;
	char rule[AUDIT_TEXT_MAX]; /* of the policy: what allowed or denied it */
	char detail[AUDIT_TEXT_MAX]; /* denied: what of, in words */
	char reason[AUDIT_TEXT_MAX]; /* denied: why, in words */
	char software[AUDIT_TEXT_MAX]; /* session-open: what the client calls itself */
	int error;                 /* errno */
	bool ended;                /* the figures that follow are said */
	uint64_t bytes_in, bytes_out, duration_ms;
	uint64_t lines;            /* suppressed */
};

/* Copies a text, as far as there is room. */
void audit_text(char to[AUDIT_TEXT_MAX], const char *from);
void audit_record_free(struct audit_record *record);

/* The record as an object. NULL: no memory. */
json_t *audit_record_json(const struct audit_record *record);
/* The object as one line of printable ASCII, without its end; malloc()ed. NULL: no memory. */
char *audit_record_line(const json_t *object);

/*
 * UTF-8 out of any bytes: what is none, and NUL and DEL, become U+FFFD, and what is longer than AUDIT_TEXT_MAX is cut between two characters. `to` has
 * room for three times as much, and a NUL.
 */
#define AUDIT_UTF8_ROOM (3u * AUDIT_TEXT_MAX + 1u)
size_t audit_utf8(char to[AUDIT_UTF8_ROOM], const char *from, size_t len);

#endif
