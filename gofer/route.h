/*
 * Where an address leads, as the host's routes have it, and network namespaces other than the gofer's own.
 */
#ifndef SPLITSOCK_GOFER_ROUTE_H
#define SPLITSOCK_GOFER_ROUTE_H

#include "gofer/gofer.h"

/*
 * Whether the address is the host's own. `network`: in that namespace, as policy_entry.network has it. `scope`: an interface's index, or 0.
 * What cannot be found out counts as the host's own; what no route leads to does not. It takes some 10 µs.
 */
enum policy_reach route_reach(struct gofer *gofer, const char *network, const uint8_t address[16], uint32_t scope);
/* The gofer ends. */
void route_stop(struct gofer *gofer);

/* socket(2), close-on-exec and non-blocking, in that namespace; NULL: the gofer's own. Returns the descriptor or a negative errno. */
int socket_in(struct gofer *gofer, const char *network, int family, int type, int protocol);

#endif
