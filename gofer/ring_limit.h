/*
 * A limit on the memory of packet sockets' rings (PACKET_RX_RING, PACKET_TX_RING), which the kernel charges to nobody.
 *
 * A socket belongs to the cgroup of who made it, whoever holds it later, and a BPF program on that cgroup sees every setsockopt(2) on it. So
 * the gofer moves into a cgroup below its own, with a program that refuses larger rings (EPERM).
 */
#ifndef SPLITSOCK_GOFER_RING_LIMIT_H
#define SPLITSOCK_GOFER_RING_LIMIT_H

struct gofer;

/* Once; later calls return at once. Returns 0, or a negative errno after logging what stands in the way. */
/* The policy has another limit now. */
void ring_limit_renew(struct gofer *gofer);
int ring_limit_start(struct gofer *gofer);
void ring_limit_stop(struct gofer *gofer);

#endif
