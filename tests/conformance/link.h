/*
 * Scenarios with "link_local" in their names run in a network namespace of the suite's making, and so does the gofer that they are compared with:
 * lo, and a cable between two interfaces with link-local addresses, which are there at once (no duplicate address detection).
 */
#ifndef TESTS_CONFORMANCE_LINK_H
#define TESTS_CONFORMANCE_LINK_H

#define LINK_NAME "link0"
#define LINK_ADDRESS "fe80::a"
#define LINK_QUIET_ADDRESS "fe80::c" /* another of the same interface, which one scenario has for itself */
#define LINK_OTHER_NAME "link1"
#define LINK_OTHER_ADDRESS "fe80::b"

#endif
