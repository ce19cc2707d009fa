/*
 * Received frames of a packet socket, in memory shared with the kernel (PACKET_RX_RING, TPACKET_V2): no copy, no system call a frame.
 *
 * Each frame has a slot of its own, so that one is seen as soon as it comes; TPACKET_V3 holds them back until a block is full or its time
 * is up. Frames longer than a slot (segments that are yet to be cut) come through the socket's queue.
 */
#ifndef SPLITSOCK_GOFER_CAPTURE_RING_H
#define SPLITSOCK_GOFER_CAPTURE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAPTURE_SLOT_SIZE 2048u
#define CAPTURE_SLOTS 4096u
#define CAPTURE_RING_SIZE ((size_t)CAPTURE_SLOTS * CAPTURE_SLOT_SIZE)

/* The largest frame, with a tag and a virtio header, and room for one more tag in front. */
#define FRAME_ROOM (65536u + 128u)
#define VLAN_LEN 4u

struct capture_ring {
	uint8_t *map; /* NULL: there is none */
	unsigned next;
};

/* A virtio_net_hdr and the frame behind it, VLAN tags in their place. */
struct framed {
	uint8_t *data;
	size_t len;
	unsigned char kind; /* PACKET_HOST and so on */
};

/* The socket has PACKET_VNET_HDR set, and is not bound yet. Returns 0 or a negative errno. */
int capture_ring_open(struct capture_ring *ring, int fd);
/* Its memory, CAPTURE_RING_SIZE bytes to be unmapped before the socket is closed; there is no ring any more. NULL: there was none. */
void *capture_ring_take(struct capture_ring *ring);

enum captured { CAPTURED_NOTHING, CAPTURED_FRAME, CAPTURED_CUT };
/*
 * The next frame: valid until capture_ring_done(), which gives its slot back. CUT: it was too long, and there was no room for it elsewhere.
 * room: FRAME_ROOM bytes, for one that was longer than its slot.
 */
enum captured capture_ring_next(struct capture_ring *ring, int fd, uint8_t *room, struct framed *framed);
void capture_ring_done(struct capture_ring *ring);

/* Puts a VLAN tag that the kernel tells beside the frame back into it; there are VLAN_LEN bytes in front. */
void frame_restore_tag(struct framed *framed, uint32_t status, uint16_t tci, uint16_t tpid);

#endif
