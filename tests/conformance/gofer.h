/* The gofer that the whole suite talks to. */
#ifndef TESTS_CONFORMANCE_GOFER_H
#define TESTS_CONFORMANCE_GOFER_H

#include <stdbool.h>

/*
 * Starts BIN/splitsock-gofer with `--policy open` in a directory of its own, waits until it listens, and sets
 * SPLITSOCK_TEST_GOFER, unless that variable is set already. False (with a message) if it does not come up.
 */
bool gofer_start(const char *bin);
/* Stops it, if gofer_start() started it, and removes its directory. False if it did not survive the suite. */
bool gofer_stop(void);

#endif
