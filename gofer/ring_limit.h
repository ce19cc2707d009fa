/*
 * A limit on the memory of packet sockets' rings (PACKET_RX_RING, PACKET_TX_RING), which the kernel charges to nobody.
 *
 * A socket belongs to the cgroup of who made it, whoever holds it later, and a BPF program on that cgroup sees every setsockopt(2) on it. So
 * the gofer moves into a cgroup below its own, with a program that refuses larger rings (EPERM). What that program does not see,
 * ring_guard.c refuses.
 */
#ifndef SPLITSOCK_GOFER_RING_LIMIT_H
#define SPLITSOCK_GOFER_RING_LIMIT_H

struct gofer;

/* The policy has another limit now. */
void ring_limit_renew(struct gofer *gofer);
/*
 * Sets it up, once, and returns 0 if it holds, or need not hold everywhere by the policy (foreign_rings). Else a negative errno, and the
 * log says what stands in the way.
 */
int ring_limit_start(struct gofer *gofer);
void ring_limit_stop(struct gofer *gofer);

#endif
