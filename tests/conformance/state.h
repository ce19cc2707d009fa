/* Stream sockets in each state, non-blocking. What the state needs (a peer, a listener) stays open; sockets are never closed. */
#ifndef TESTS_CONFORMANCE_STATE_H
#define TESTS_CONFORMANCE_STATE_H

#include "tests/conformance/scenario.h"

int stream_fresh(int family);
int stream_bound(int family);
int stream_listening(int family);
int stream_connecting(int family); /* to a listener whose queue is full */
int stream_connected(int family);
int stream_shut_write(int family); /* our FIN has been taken */
int stream_peer_shut(int family);  /* the peer's FIN is here */
int stream_both_shut(int family);
int stream_reset(int family);      /* by the peer; nobody has been told */
int stream_refused(int family);    /* a blocking connect has failed */
int stream_timed_out(int family);  /* a blocking connect has, after a second */
int stream_dissolved(int family);  /* connected, and then to AF_UNSPEC */

#endif
