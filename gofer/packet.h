/*
 * The two requests that are about packet sockets.
 */
#ifndef SPLITSOCK_GOFER_PACKET_H
#define SPLITSOCK_GOFER_PACKET_H

#include "gofer/operations.h"

/* Is it one of them, well-formed or not? */
bool packet_wanted(const Splitsock__Request *request);
/* Answers it. False: it is not well-formed, and the session is to end. */
bool packet_run(const struct call *call, const Splitsock__Request *request);

#endif
