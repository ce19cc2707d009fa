/* The gofers that the whole suite talks to. */
#ifndef TESTS_CONFORMANCE_GOFER_H
#define TESTS_CONFORMANCE_GOFER_H

#include <stdbool.h>

/*
 * Starts two BIN/splitsock-gofer with `--policy open`, each in a directory of its own, and waits until they listen: one on this host's
 * network, whose URL is then in SPLITSOCK_TEST_GOFER, unless that variable is set already, and one in the network namespace of link.h, whose URL
 * is in SPLITSOCK_TEST_LINK_GOFER, and a process in that namespace in SPLITSOCK_TEST_LINK_PID. False (with a message) if one does not come up.
 */
bool gofers_start(const char *bin);
/* Stops those that gofers_start() started, and removes their directories. False if one did not survive the suite. */
bool gofers_stop(void);

#endif
