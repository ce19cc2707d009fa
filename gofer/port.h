/*
 * One of the host's interfaces in a mirror: frames pass between the host's packet socket and the mirror's interface of the same name.
 */
#ifndef SPLITSOCK_GOFER_PORT_H
#define SPLITSOCK_GOFER_PORT_H

#include <linux/if_packet.h>

#include "gofer/capture_ring.h"
#include "gofer/interfaces.h"
#include "gofer/mirror.h"
#include "gofer/packet_rate.h"

#define PORT_MEMBERSHIPS_MAX 256u

/* What the client's packet sockets ask of an interface. */
struct port_wish {
	unsigned captures;   /* sockets that receive from it */
	uint16_t protocol;   /* what all of them are for, or ETH_P_ALL */
	struct packet_mreq memberships[PORT_MEMBERSHIPS_MAX];
	unsigned membership_count;
	struct sock_fprog filter; /* of the only one; malloc()ed */
};

struct port {
	struct port *next; /* mirror.ports */
	struct mirror *mirror;
	const struct packet_grant *grant;
	struct host_interface seen; /* as the mirror's has been set up; its addresses are not used */
	bool loopback;
	struct watch host;   /* a packet socket on the host, bound to the interface */
	struct capture_ring ring; /* of `host`, while something is received */
	struct watch inside; /* the mirror's end: a tap's descriptor, or, of the loopback, a packet socket in the mirror */
	struct port_wish wish, granted; /* wish: as collected by a look; granted: as the host's socket is set up */
	unsigned unwanted_looks; /* during which nobody wanted to receive, though `host` does */
	struct sock_filter *filter; /* as attached to the host's socket */
	size_t filter_len;
	uint32_t drops; /* frames from the host that did not come to the mirror for want of room */
	int64_t told_ms; /* when a denial was logged last */
	struct packet_rate *rate;
};

/* Makes the mirror's interface. NULL, and errno is set, if that fails. */
struct port *port_new(struct mirror *mirror, const struct host_interface *interface, const struct packet_grant *grant);
void port_free(struct port *port);
/* What is granted on it has changed, perhaps. */
void port_regrant(struct port *port, const struct packet_grant *grant);
/* Follows the host's interface: name, MTU, address, up or down. Within the mirror's namespace. */
void port_follow(struct port *port, const struct host_interface *interface);

void port_wish_clear(struct port *port);
/* Sets the host's socket up for the wish, as far as it is granted. */
void port_grant_wish(struct port *port);

struct frame_batch *frame_batch_new(void);
void frame_batch_free(struct frame_batch *batch);

#endif
