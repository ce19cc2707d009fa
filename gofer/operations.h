/*
 * The operations of a request, as a table: what each is called, in which states it is legal, and who handles it.
 */
#ifndef SPLITSOCK_GOFER_OPERATIONS_H
#define SPLITSOCK_GOFER_OPERATIONS_H

#include "gofer/sock.h"

/* How the answer to a request goes back: on the control stream, or on the side channel it came from. */
struct call {
	struct session *session;
	uint32_t id;
	bool on_channel;
	bool no_reply;
};

/*
 * Runs the request's operations and answers it, at once or when its connect has ended. Returns false when the request is
 * one that a correct client never sends: the session is to end.
 */
bool request_run(const struct call *call, const Splitsock__Request *request);

/* The client no longer wants this call: it is answered with STATUS_CANCELLED if it still waits. */
void request_cancel(struct session *session, uint32_t id);

#endif
