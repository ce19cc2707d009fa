#include "gofer/capture_ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define BLOCK_SIZE (64u * 1024u)

int
capture_ring_open(struct capture_ring *ring, int fd)
{
	struct tpacket_req request = {
		.tp_block_size = BLOCK_SIZE,
		.tp_block_nr = CAPTURE_RING_SIZE / BLOCK_SIZE,
		.tp_frame_size = CAPTURE_SLOT_SIZE,
		.tp_frame_nr = CAPTURE_SLOTS,
	};
	void *map;

	if (ring->map)
		return 0;
	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &(int){TPACKET_V2}, sizeof(int)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_COPY_THRESH, &(int){FRAME_ROOM}, sizeof(int)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
		return -errno;
	map = mmap(NULL, CAPTURE_RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*ring = (struct capture_ring){.map = map};
	return 0;
}

void *
capture_ring_take(struct capture_ring *ring)
{
	void *map = ring->map;

	ring->map = NULL;
	return map;
}

void
frame_restore_tag(struct framed *framed, uint32_t status, uint16_t tci, uint16_t tpid)
{
	size_t addresses = sizeof(struct virtio_net_hdr) + 2 * ETH_ALEN;
	uint16_t tag[2] = {htons(status & TP_STATUS_VLAN_TPID_VALID ? tpid : ETH_P_8021Q), htons(tci)};

	if (!(status & TP_STATUS_VLAN_VALID) || framed->len < addresses)
		return;
	memmove(framed->data - VLAN_LEN, framed->data, addresses);
	framed->data -= VLAN_LEN;
	framed->len += VLAN_LEN;
	memcpy(framed->data + addresses, tag, sizeof tag);
}

static struct tpacket2_hdr *
slot(const struct capture_ring *ring)
{
	return (struct tpacket2_hdr *)(void *)(ring->map + (size_t)ring->next * CAPTURE_SLOT_SIZE);
}

enum captured
capture_ring_next(struct capture_ring *ring, int fd, uint8_t *room, struct framed *framed)
{
	struct tpacket2_hdr *header = slot(ring);
	const struct sockaddr_ll *name = (void *)((char *)header + TPACKET_ALIGN(sizeof *header));
	uint32_t status = __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
	ssize_t len;

	if (!(status & TP_STATUS_USER))
		return CAPTURED_NOTHING;
	framed->kind = name->sll_pkttype;
	framed->data = (uint8_t *)header + header->tp_mac - sizeof(struct virtio_net_hdr);
	framed->len = header->tp_snaplen + sizeof(struct virtio_net_hdr);
	if (status & TP_STATUS_COPY) {
		len = recv(fd, room + VLAN_LEN, FRAME_ROOM - VLAN_LEN, MSG_DONTWAIT | MSG_TRUNC);
		if (len < 0 && errno != EAGAIN) /* an error of the socket's, which is told once, was in front of it */
			len = recv(fd, room + VLAN_LEN, FRAME_ROOM - VLAN_LEN, MSG_DONTWAIT | MSG_TRUNC);
		if (len < 0 || len > (ssize_t)(FRAME_ROOM - VLAN_LEN))
			return CAPTURED_CUT;
		framed->data = room + VLAN_LEN;
		framed->len = (size_t)len;
	} else if (header->tp_snaplen < header->tp_len) {
		return CAPTURED_CUT;
	}
	frame_restore_tag(framed, status, header->tp_vlan_tci, header->tp_vlan_tpid);
	return CAPTURED_FRAME;
}

void
capture_ring_done(struct capture_ring *ring)
{
	__atomic_store_n(&slot(ring)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	ring->next = (ring->next + 1) % CAPTURE_SLOTS;
}
