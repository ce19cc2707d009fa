/*
 * The host's network interfaces and their addresses, as rtnetlink(7) tells them, kept up to date while somebody needs them.
 */
#ifndef SPLITSOCK_GOFER_INTERFACES_H
#define SPLITSOCK_GOFER_INTERFACES_H

#include "gofer/loop.h"
#include "gofer/policy.h"

struct host_interface {
	int index;
	char name[IFNAMSIZ];
	uint16_t type; /* ARPHRD_* */
	uint32_t flags, mtu;
	struct interface_own own; /* own.addresses: malloc()ed */
};

struct gofer;

struct interfaces {
	struct gofer *gofer;
	struct watch watch; /* fd -1: not started */
	struct host_interface *all;
	size_t count;
	struct policy_network *addresses; /* of all of them */
	size_t address_count;
	bool stale; /* changes were heard of, and are read with the next look at the mirrors */
};

/* Starts watching, unless it has been started. Returns 0 or a negative errno. */
int interfaces_start(struct gofer *gofer);
/* Reads them again if they have changed. True: they have. */
bool interfaces_refresh(struct interfaces *interfaces);
void interfaces_stop(struct interfaces *interfaces);

const struct host_interface *interface_by_index(const struct interfaces *interfaces, int index);

#endif
