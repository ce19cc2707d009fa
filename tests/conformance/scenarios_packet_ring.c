/* Packet sockets, packet(7): rings, PACKET_RX_RING and PACKET_TX_RING, of all three versions. */
#include <stdio.h>
#include <sys/mman.h>

#include "tests/conformance/packet.h"

/* Frames are stamped by the stack while anybody on the machine wants that. */
static const unsigned chance = TP_STATUS_TS_SOFTWARE;

/* ---- receiving ---------------------------------------------------------------------------------- */

static void
observe_contents(const uint8_t *header, unsigned mac, unsigned net, unsigned len)
{
	if (mac == net) /* there is none: it is one of SOCK_DGRAM */
		observe_body("body", header + net, len);
	else
		observe_frame("frame", header + mac, len);
}

/* The next frame of one slot each. False: there is none. */
static bool
observe_slot(const char *what, int fd, uint8_t *map, unsigned slot, int version)
{
	union {
		struct tpacket_hdr *v1;
		struct tpacket2_hdr *v2;
		uint8_t *bytes;
	} at = {.bytes = map + (size_t)slot * RING_SLOT};
	const struct sockaddr_ll *name;
	unsigned status = 0;

	for (int64_t end = now_ms() + WAIT_MS; !(status & TP_STATUS_USER) && now_ms() < end;) {
		wait_for(fd, POLLIN);
		status = version == TPACKET_V1 ? (unsigned)__atomic_load_n(&at.v1->tp_status, __ATOMIC_ACQUIRE)
		                               : __atomic_load_n(&at.v2->tp_status, __ATOMIC_ACQUIRE);
	}
	if (!(status & TP_STATUS_USER)) {
		OBSERVE("%s: nothing", what);
		return false;
	}
	if (version == TPACKET_V1) {
		name = (const void *)(at.bytes + TPACKET_ALIGN(sizeof *at.v1));
		OBSERVE("%s: status %#x, %u of %u at %u and %u, stamped %d", what, status & ~chance, at.v1->tp_snaplen, at.v1->tp_len,
		        at.v1->tp_mac, at.v1->tp_net, at.v1->tp_sec != 0);
		observe_contents(at.bytes, at.v1->tp_mac, at.v1->tp_net, at.v1->tp_snaplen);
	} else {
		name = (const void *)(at.bytes + TPACKET_ALIGN(sizeof *at.v2));
		OBSERVE("%s: status %#x, %u of %u at %u and %u, stamped %d, vlan %u %#x", what, status & ~chance, at.v2->tp_snaplen,
		        at.v2->tp_len, at.v2->tp_mac, at.v2->tp_net, at.v2->tp_sec != 0, at.v2->tp_vlan_tci, at.v2->tp_vlan_tpid);
		observe_contents(at.bytes, at.v2->tp_mac, at.v2->tp_net, at.v2->tp_snaplen);
	}
	observe_link_name("from", name, sizeof *name);
	return true;
}

static void
give_back(uint8_t *map, unsigned slot, int version)
{
	uint8_t *at = map + (size_t)slot * RING_SLOT;

	if (version == TPACKET_V1)
		__atomic_store_n(&((struct tpacket_hdr *)(void *)at)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	else
		__atomic_store_n(&((struct tpacket2_hdr *)(void *)at)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

static void
receive_by_slots(int version, int type, int protocol)
{
	int fd = packet_socket(type), sender = packet_socket(SOCK_RAW);
	uint8_t *map = ring_make(fd, PACKET_RX_RING, version);
	unsigned copies = protocol == ETH_P_ALL ? 2 : 1, slot = 0;

	packet_bind(fd, lo_index(), protocol);
	observe_poll("nothing", fd, POLLIN, 0);
	/* Once around, and some more. */
	for (unsigned i = 0; i < RING_SLOTS / copies + 2; i++) {
		frame_send(sender, i % 2 ? "odd" : "even one");
		for (unsigned copy = 0; copy < copies; copy++) {
			if (observe_slot("slot", fd, map, slot, version))
				give_back(map, slot, version);
			slot = (slot + 1) % RING_SLOTS;
		}
	}
	observe_quiet("nothing more", fd, POLLIN);
	observe_statistics("all", fd);
	observe_call("munmap", munmap(map, (size_t)RING_SLOTS * RING_SLOT));
}

SCENARIO(packet, ring_v1)
{
	receive_by_slots(TPACKET_V1, SOCK_RAW, TEST_TYPE);
}

SCENARIO(packet, ring_v2)
{
	receive_by_slots(TPACKET_V2, SOCK_RAW, TEST_TYPE);
}

SCENARIO(packet, ring_v2_of_all)
{
	receive_by_slots(TPACKET_V2, SOCK_RAW, ETH_P_ALL);
}

SCENARIO(packet, ring_v1_of_dgram)
{
	receive_by_slots(TPACKET_V1, SOCK_DGRAM, TEST_TYPE);
}

SCENARIO(packet, ring_v2_of_dgram)
{
	receive_by_slots(TPACKET_V2, SOCK_DGRAM, TEST_TYPE);
}

/* Prints up to `wanted` frames of version 3, in whatever blocks they are. */
static void
observe_blocks(int fd, uint8_t *map, unsigned *block, unsigned wanted)
{
	const unsigned blocks = RING_SLOTS * RING_SLOT / RING_BLOCK;

	for (int64_t end = now_ms() + WAIT_MS; wanted && now_ms() < end;) {
		struct tpacket_block_desc *desc = (void *)(map + (size_t)*block * RING_BLOCK);
		const uint8_t *at = (uint8_t *)desc + desc->hdr.bh1.offset_to_first_pkt;

		wait_for(fd, POLLIN);
		if (!(__atomic_load_n(&desc->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			continue;
		at = (uint8_t *)desc + desc->hdr.bh1.offset_to_first_pkt;
		for (unsigned i = 0; i < desc->hdr.bh1.num_pkts; i++) {
			const struct tpacket3_hdr *header = (const void *)at;
			const struct sockaddr_ll *name = (const void *)(at + TPACKET_ALIGN(sizeof *header));

			OBSERVE("status %#x, %u of %u at %u and %u, stamped %d, vlan %u", header->tp_status & ~chance, header->tp_snaplen,
			        header->tp_len, header->tp_mac, header->tp_net, header->tp_sec != 0, header->hv1.tp_vlan_tci);
			observe_frame("frame", at + header->tp_mac, header->tp_snaplen);
			observe_link_name("from", name, sizeof *name);
			at += header->tp_next_offset;
			wanted -= wanted > 0;
		}
		__atomic_store_n(&desc->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		*block = (*block + 1) % blocks;
	}
	OBSERVE("missing %u", wanted);
}

static void
receive_by_blocks(int protocol)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);
	uint8_t *map = ring_make(fd, PACKET_RX_RING, TPACKET_V3);
	unsigned block = 0;

	packet_bind(fd, lo_index(), protocol);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 5; i++)
			frame_send(sender, i % 2 ? "odd" : "even one");
		observe_blocks(fd, map, &block, protocol == ETH_P_ALL ? 10 : 5);
	}
	observe_quiet("nothing more", fd, POLLIN);
	observe_statistics("all", fd);
}

SCENARIO(packet, ring_v3)
{
	receive_by_blocks(TEST_TYPE);
}

SCENARIO(packet, ring_v3_of_all)
{
	receive_by_blocks(ETH_P_ALL);
}

/* Frames that have no slot are dropped and counted, and the next that has one says so. */
static void
overflow(int version)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW), last = packet_bound(SOCK_RAW, TEST_TYPE);
	uint8_t *map = ring_make(fd, PACKET_RX_RING, version);

	set_option(last, SOL_SOCKET, SO_RCVBUF, 1 << 17);
	packet_bind(fd, lo_index(), TEST_TYPE);
	for (int i = 0; i < RING_SLOTS + 5; i++) {
		frame_send(sender, "one of many");
		wait_for(last, POLLIN);
		recv(last, &(char){0}, 1, 0);
	}
	observe_poll("full", fd, POLLIN | POLLOUT, POLLIN);
	for (unsigned i = 0; i < RING_SLOTS; i++) {
		observe_slot("slot", fd, map, i, version);
		give_back(map, i, version);
	}
	frame_send(sender, "after");
	observe_slot("after the drops", fd, map, 0, version);
	observe_statistics("all", fd);
	observe_statistics("then", fd);
}

SCENARIO(packet, ring_overflow_v1)
{
	overflow(TPACKET_V1);
}

SCENARIO(packet, ring_overflow_v2)
{
	overflow(TPACKET_V2);
}

/* What is longer than a slot is cut, or, if asked for, comes whole through the socket's queue. */
SCENARIO(packet, ring_copy)
{
	static char text[RING_SLOT + 500];
	uint8_t *map, frame[RING_SLOT * 2];
	struct sockaddr_ll to = link_name(lo_index(), TEST_TYPE);
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);
	size_t len;

	memset(text, 'x', sizeof text - 1);
	len = frame_make(frame, NULL, TEST_TYPE, text);
	map = ring_make(fd, PACKET_RX_RING, TPACKET_V2);
	packet_bind(fd, lo_index(), TEST_TYPE);
	must("sendto", sendto(sender, frame, len, 0, (struct sockaddr *)&to, sizeof to));
	observe_slot("cut", fd, map, 0, TPACKET_V2);
	observe_call("queue", recv(fd, frame, sizeof frame, MSG_DONTWAIT));
	observe_set_option("PACKET_COPY_THRESH", fd, SOL_PACKET, PACKET_COPY_THRESH, 5000);
	must("sendto", sendto(sender, frame, len, 0, (struct sockaddr *)&to, sizeof to));
	observe_slot("copied", fd, map, 1, TPACKET_V2);
	observe_call("queue", recv(fd, frame, sizeof frame, MSG_DONTWAIT));
}

SCENARIO(packet, ring_filtered)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);
	uint8_t *map = ring_make(fd, PACKET_RX_RING, TPACKET_V2);

	packet_filter(fd, 18);
	packet_bind(fd, lo_index(), TEST_TYPE);
	frame_send(sender, "cut to the id");
	observe_slot("cut", fd, map, 0, TPACKET_V2);
	packet_filter(fd, 0xffffffff);
	frame_send(sender, "whole");
	observe_slot("whole", fd, map, 1, TPACKET_V2);
}

/* A ring that comes after the bind, goes, and comes back. */
SCENARIO(packet, ring_after_bind)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE), sender = packet_socket(SOCK_RAW);
	struct tpacket_req none = {0};
	uint8_t *map;

	frame_send(sender, "without");
	observe_text("queue", fd);
	map = ring_make(fd, PACKET_RX_RING, TPACKET_V2);
	frame_send(sender, "with");
	observe_slot("ring", fd, map, 0, TPACKET_V2);
	observe_call("to take it away while it is mapped", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &none, sizeof none));
	must("munmap", munmap(map, (size_t)RING_SLOTS * RING_SLOT));
	observe_call("to take it away", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &none, sizeof none));
	frame_send(sender, "without again");
	observe_text("queue", fd);
	map = ring_make(fd, PACKET_RX_RING, TPACKET_V1);
	frame_send(sender, "with again");
	observe_slot("ring", fd, map, 0, TPACKET_V1);
}

SCENARIO(packet, ring_poll)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW), epoll = must("epoll_create", epoll_create1(0));
	uint8_t *map = ring_make(fd, PACKET_RX_RING, TPACKET_V2);
	struct epoll_event event = {.events = EPOLLIN};

	packet_bind(fd, lo_index(), TEST_TYPE);
	must("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	observe_epoll_quiet("nothing", epoll);
	frame_send(sender, "hello");
	observe_epoll("one", epoll, EPOLLIN);
	observe_poll("one", fd, POLLIN | POLLOUT, POLLIN | POLLOUT);
	observe_slot("one", fd, map, 0, TPACKET_V2);
	give_back(map, 0, TPACKET_V2);
	observe_epoll_quiet("given back", epoll);
}

static int
child_reads(void *argument)
{
	uint8_t *map = argument;

	for (int64_t end = now_ms() + WAIT_MS; !(__atomic_load_n(&((struct tpacket2_hdr *)argument)->tp_status, __ATOMIC_ACQUIRE) &
	     TP_STATUS_USER) && now_ms() < end;)
		pause_ms(2);
	observe_frame("child", map + ((struct tpacket2_hdr *)argument)->tp_mac, ((struct tpacket2_hdr *)argument)->tp_snaplen);
	return 0;
}

SCENARIO(packet, ring_forked)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);
	uint8_t *map = ring_make(fd, PACKET_RX_RING, TPACKET_V2);
	pid_t child;

	packet_bind(fd, lo_index(), TEST_TYPE);
	child = start_child(child_reads, map);
	frame_send(sender, "hello");
	observe_child("child", child);
	/* The mapping holds the socket. */
	close(fd);
	give_back(map, 0, TPACKET_V2);
	frame_send(sender, "closed");
	for (int64_t end = now_ms() + WAIT_MS; now_ms() < end && !((volatile struct tpacket2_hdr *)(map + RING_SLOT))->tp_status;)
		pause_ms(2);
	observe_frame("after close", map + RING_SLOT + ((struct tpacket2_hdr *)(map + RING_SLOT))->tp_mac,
	              ((struct tpacket2_hdr *)(map + RING_SLOT))->tp_snaplen);
}

SCENARIO(packet, ring_reserve)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);
	uint8_t *map;

	observe_set_option("PACKET_RESERVE", fd, SOL_PACKET, PACKET_RESERVE, 64);
	map = ring_make(fd, PACKET_RX_RING, TPACKET_V2);
	packet_bind(fd, lo_index(), TEST_TYPE);
	frame_send(sender, "hello");
	observe_slot("with room in front", fd, map, 0, TPACKET_V2);
}

SCENARIO(packet, ring_time_stamps)
{
	static const int kinds[] = {1 << 4, 1 << 6, (1 << 4) | (1 << 6), 0}; /* SOF_TIMESTAMPING_SOFTWARE, _RAW_HARDWARE */
	int sender = packet_socket(SOCK_RAW);

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		int fd = packet_socket(SOCK_RAW);
		uint8_t *map = ring_make(fd, PACKET_RX_RING, TPACKET_V2);

		observe_set_option("PACKET_TIMESTAMP", fd, SOL_PACKET, PACKET_TIMESTAMP, kinds[i]);
		packet_bind(fd, lo_index(), TEST_TYPE);
		frame_send(sender, "hello");
		observe_slot("stamped", fd, map, 0, TPACKET_V2);
		munmap(map, (size_t)RING_SLOTS * RING_SLOT);
		close(fd);
	}
}

/* ---- sending ------------------------------------------------------------------------------------ */

/* Where a slot's frame is, and the slot's status. */
static uint8_t *
slot_data(uint8_t *map, unsigned slot, int version)
{
	static const size_t headers[] = {TPACKET_HDRLEN, TPACKET2_HDRLEN, TPACKET3_HDRLEN};

	return map + (size_t)slot * RING_SLOT + headers[version] - sizeof(struct sockaddr_ll);
}

static void
slot_fill(uint8_t *map, unsigned slot, int version, const char *text, size_t pretended)
{
	uint8_t *at = map + (size_t)slot * RING_SLOT;
	size_t len = frame_make(slot_data(map, slot, version), NULL, TEST_TYPE, text);

	if (pretended)
		len = pretended;
	if (version == TPACKET_V1) {
		((struct tpacket_hdr *)(void *)at)->tp_len = (unsigned)len;
		__atomic_store_n(&((struct tpacket_hdr *)(void *)at)->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	} else if (version == TPACKET_V2) {
		((struct tpacket2_hdr *)(void *)at)->tp_len = (unsigned)len;
		__atomic_store_n(&((struct tpacket2_hdr *)(void *)at)->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	} else {
		((struct tpacket3_hdr *)(void *)at)->tp_len = (unsigned)len;
		((struct tpacket3_hdr *)(void *)at)->tp_next_offset = 0;
		__atomic_store_n(&((struct tpacket3_hdr *)(void *)at)->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	}
}

/* After it has been sent, and let go of. */
static unsigned
slot_status(uint8_t *map, unsigned slot, int version)
{
	uint8_t *at = map + (size_t)slot * RING_SLOT;
	unsigned status = TP_STATUS_SENDING;

	for (int64_t end = now_ms() + WAIT_MS; status & TP_STATUS_SENDING && now_ms() < end; sched_yield()) {
		status = version == TPACKET_V1   ? (unsigned)__atomic_load_n(&((struct tpacket_hdr *)(void *)at)->tp_status, __ATOMIC_ACQUIRE)
		         : version == TPACKET_V2 ? __atomic_load_n(&((struct tpacket2_hdr *)(void *)at)->tp_status, __ATOMIC_ACQUIRE)
		                                 : __atomic_load_n(&((struct tpacket3_hdr *)(void *)at)->tp_status, __ATOMIC_ACQUIRE);
		status &= ~chance;
	}
	return status;
}

static void
send_by_slots(int version)
{
	int fd = packet_socket(SOCK_RAW), other = packet_bound(SOCK_RAW, TEST_TYPE);
	uint8_t *map = ring_make(fd, PACKET_TX_RING, version);
	struct sockaddr_ll to = link_name(lo_index(), TEST_TYPE);

	packet_bind(fd, lo_index(), 0);
	observe_poll("fresh", fd, POLLOUT, POLLOUT);
	observe_call("nothing to send", send(fd, NULL, 0, 0));
	for (unsigned i = 0; i < RING_SLOTS + 3; i++) {
		slot_fill(map, i % RING_SLOTS, version, i % 2 ? "odd" : "even one", 0);
		observe_call("send", send(fd, NULL, 0, 0));
		observe_text("other", other);
		OBSERVE("status %#x", slot_status(map, i % RING_SLOTS, version));
	}
	for (unsigned i = 3; i < 6; i++)
		slot_fill(map, i, version, "together", 0);
	observe_call("sendto", sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof to));
	for (unsigned i = 3; i < 6; i++)
		observe_text("other", other);
	observe_call("with bytes beside it", send(fd, "beside", 6, 0));
	observe_quiet("other", other, POLLIN);
}

SCENARIO(packet, send_ring_v1)
{
	send_by_slots(TPACKET_V1);
}

SCENARIO(packet, send_ring_v2)
{
	send_by_slots(TPACKET_V2);
}

SCENARIO(packet, send_ring_v3)
{
	send_by_slots(TPACKET_V3);
}

/* A slot that cannot be sent stops the ring, or, with PACKET_LOSS, is passed over. */
static void
bad_slots(int version, int loss)
{
	static const size_t lengths[] = {5, 13, RING_SLOT, 100000, 0xffffffff};
	int other = packet_bound(SOCK_RAW, TEST_TYPE);

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		int fd = packet_socket(SOCK_RAW);
		uint8_t *map;

		set_option(fd, SOL_PACKET, PACKET_LOSS, loss);
		map = ring_make(fd, PACKET_TX_RING, version);
		packet_bind(fd, lo_index(), TEST_TYPE);
		OBSERVE("length %zu", lengths[i]);
		slot_fill(map, 0, version, "bad", lengths[i]);
		slot_fill(map, 1, version, "good", 0);
		observe_call("send", send(fd, NULL, 0, 0));
		OBSERVE("status %#x", slot_status(map, 0, version));
		if (slot_status(map, 1, version) == TP_STATUS_AVAILABLE)
			observe_text("other", other);
		else
			OBSERVE("second status %#x", slot_status(map, 1, version));
		munmap(map, (size_t)RING_SLOTS * RING_SLOT);
		close(fd);
	}
}

SCENARIO(packet, send_ring_bad_v1)
{
	bad_slots(TPACKET_V1, 0);
	bad_slots(TPACKET_V1, 1);
}

SCENARIO(packet, send_ring_bad_v2)
{
	bad_slots(TPACKET_V2, 0);
	bad_slots(TPACKET_V2, 1);
}

SCENARIO(packet, send_ring_bad_v3)
{
	bad_slots(TPACKET_V3, 0);
	bad_slots(TPACKET_V3, 1);
}

SCENARIO(packet, send_ring_unbound)
{
	int fd = packet_socket(SOCK_RAW), other = packet_bound(SOCK_RAW, TEST_TYPE);
	uint8_t *map = ring_make(fd, PACKET_TX_RING, TPACKET_V2);
	struct sockaddr_ll to = link_name(lo_index(), TEST_TYPE);

	slot_fill(map, 0, TPACKET_V2, "hello", 0);
	observe_call("send", send(fd, NULL, 0, 0));
	observe_call("sendto", sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof to));
	observe_text("other", other);
	to.sll_ifindex = 99999;
	slot_fill(map, 1, TPACKET_V2, "nowhere", 0);
	observe_call("to no interface", sendto(fd, NULL, 0, 0, (struct sockaddr *)&to, sizeof to));
}

/* Both in one mapping: the ring to receive first. */
SCENARIO(packet, both_rings)
{
	int fd = packet_socket(SOCK_RAW);
	struct tpacket_req3 request = ring_request();
	uint8_t *map;

	set_option(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
	must("rx", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(struct tpacket_req)));
	must("tx", setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof(struct tpacket_req)));
	map = mmap(NULL, (size_t)2 * RING_SLOTS * RING_SLOT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must("mmap", map == MAP_FAILED ? -1 : 0);
	packet_bind(fd, lo_index(), TEST_TYPE);
	slot_fill(map + RING_SLOTS * RING_SLOT, 0, TPACKET_V2, "round trip", 0);
	observe_call("send", send(fd, NULL, 0, 0));
	observe_slot("came back", fd, map, 0, TPACKET_V2);
	OBSERVE("status %#x", slot_status(map + RING_SLOTS * RING_SLOT, 0, TPACKET_V2));
}
