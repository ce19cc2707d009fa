/*
 * The gofer's tallies, for the counters of proto/counters.h. Only the loop's thread counts and reads, so they are plain numbers.
 */
#ifndef SPLITSOCK_GOFER_COUNTERS_H
#define SPLITSOCK_GOFER_COUNTERS_H

#include <stdbool.h>

#include "proto/codec.h"

/* A session has one of these, and the gofer, for all sessions there ever were. */
struct session_counters {
	uint64_t value[COUNTERS_SESSION_COUNT];
};

struct gofer_counters {
	uint64_t value[COUNTERS_GOFER_COUNT];
	struct session_counters sessions;
};

#define HOST_AGE_MS 100

struct host_counters {
	uint64_t value[COUNTERS_HOST_COUNT];
	int64_t read_ms; /* 0: never */
	bool known;
};

struct gofer;
struct session;
struct sock;

/* For counters of the gofer's and of a session's scope; the latter are counted for the gofer, too. */
void count_gofer(struct gofer *gofer, enum counter_id id);
void count_session(struct session *session, enum counter_id id, uint64_t n);
/* Bytes or a datagram passed on: also for the socket. */
void count_stream(struct sock *sock, bool to_host, uint64_t bytes);
void count_datagram(struct sock *sock, bool to_host, uint64_t bytes);
void count_operation(struct session *session, Splitsock__Op__OpCase op);
void count_answer(struct session *session, Splitsock__Status status);

/* The values now, gauges included, each in its part of values[COUNTER_COUNT]. */
void counters_of_session(const struct session *session, uint64_t *values);
void counters_of_gofer(const struct gofer *gofer, uint64_t *values);

/* ---- the host's --------------------------------------------------------------------------------- */

enum host_file { HOST_SNMP, HOST_NETSTAT, HOST_SNMP6, HOST_FILES };

/*
 * Adds the fields of one file of /proc/net to host[COUNTERS_HOST_COUNT], which starts as zeroes and is signed since a field may
 * be taken off before what it is taken from was added. A pure function: anything may be in the text.
 */
void counters_parse_host(int64_t *host, enum host_file file, const char *text);

/* Reads them all for the network namespace that the gofer is in. False, with all 0: there is no /proc to read. */
bool counters_read_host(uint64_t *values);
/* The same, at most HOST_AGE_MS old: reading takes the loop some 300 us, and how often is the clients' choice. */
bool counters_of_host(struct gofer *gofer, uint64_t *values);

/* ---- asking ------------------------------------------------------------------------------------- */

struct call;

/* Is it the Stats request, well-formed or not? */
bool stats_wanted(const Splitsock__Request *request);
/* Answers it. False: it is not well-formed, and the session is to end. */
bool stats_run(const struct call *call, const Splitsock__Request *request);

#endif
