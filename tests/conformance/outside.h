/*
 * A process that stays outside. Scenarios of the area "outside" are started by it, on the bare kernel and through splitsock-run, with one end of a
 * Unix socket; it goes on when they, and splitsock-run, have ended.
 */
#ifndef TESTS_CONFORMANCE_OUTSIDE_H
#define TESTS_CONFORMANCE_OUTSIDE_H

/* Its variable, with the scenario's descriptor. */
#define OUTSIDE_VARIABLE "SPLITSOCK_SCENARIO_OUTSIDE"

/* Runs the command, and observes what it passes. Returns the exit status. */
int outside_run(char **command);

#endif
