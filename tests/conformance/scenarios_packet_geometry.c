/* Packet sockets, packet(7): what rings there can be, and what can be done while there is one. */
#include <stdio.h>
#include <sys/mman.h>

#include "tests/conformance/packet.h"

static const int versions[] = {TPACKET_V1, TPACKET_V2, TPACKET_V3};

SCENARIO(packet, ring_geometry)
{
	static const struct {
		const char *name;
		struct tpacket_req request;
	} requests[] = {
		{"nothing", {0, 0, 0, 0}},
		{"blocks of 0", {0, 2, 2048, 16}},
		{"blocks of half a page", {2048, 2, 2048, 2}},
		{"blocks of a page and a half", {6144, 2, 2048, 6}},
		{"slots of 0", {16384, 2, 0, 16}},
		{"slots of 16", {16384, 2, 16, 2048}},
		{"slots of 2047", {16384, 2, 2047, 16}},
		{"slots larger than blocks", {4096, 2, 8192, 1}},
		{"too many slots", {16384, 2, 2048, 17}},
		{"too few slots", {16384, 2, 2048, 15}},
		{"slots without blocks", {16384, 0, 2048, 16}},
		{"more than 32 bits", {0x80000000u, 0xffffffffu, 2048, 16}},
		{"blocks of a negative size", {0xfffff000u, 1, 2048, 2097150}},
		{"slots that do not divide a block", {16384, 2, 3008, 10}},
		{"a page each", {4096, 4, 4096, 4}},
	};

	for (size_t v = 0; v < 2; v++) {
		for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
			int fd = packet_socket(SOCK_RAW);

			set_option(fd, SOL_PACKET, PACKET_VERSION, versions[v]);
			OBSERVE("%s, version %zu", requests[i].name, v + 1);
			observe_call("rx", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &requests[i].request, sizeof requests[i].request));
			observe_call("tx", setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &requests[i].request, sizeof requests[i].request));
			close(fd);
		}
	}
}

SCENARIO(packet, ring_geometry_v3)
{
	static const struct {
		const char *name;
		unsigned tov, private, features, block_size;
	} changes[] = {
		{"plain", 0, 0, 0, RING_BLOCK},
		{"a time-out", 10, 0, 0, RING_BLOCK},
		{"a private area", 10, 64, 0, RING_BLOCK},
		{"a private area of all", 10, RING_BLOCK, 0, RING_BLOCK},
		{"a private area of nearly all", 10, RING_BLOCK - 48, 0, RING_BLOCK},
		{"a hash", 10, 0, TP_FT_REQ_FILL_RXHASH, RING_BLOCK},
		{"unknown features", 10, 0, 0x80000000u, RING_BLOCK},
		{"blocks of 0", 10, 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		int fd = packet_socket(SOCK_RAW);
		struct tpacket_req3 request = ring_request();

		set_option(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V3);
		request.tp_block_size = changes[i].block_size;
		request.tp_retire_blk_tov = changes[i].tov;
		request.tp_sizeof_priv = changes[i].private;
		request.tp_feature_req_word = changes[i].features;
		OBSERVE("%s", changes[i].name);
		observe_call("rx", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request));
		observe_call("tx", setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof request));
		observe_call("too short", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(struct tpacket_req)));
		close(fd);
	}
}

SCENARIO(packet, ring_sizes)
{
	static const unsigned sizes[] = {0, 4, 12, 15, 16, 17, 27, 28, 29, 64};
	struct tpacket_req3 request[4] = {ring_request()};

	for (size_t v = 0; v < 3; v++) {
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			int fd = packet_socket(SOCK_RAW);

			set_option(fd, SOL_PACKET, PACKET_VERSION, versions[v]);
			OBSERVE("version %zu, %u bytes", v + 1, sizes[i]);
			observe_call("rx", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, request, sizes[i]));
			close(fd);
		}
	}
	observe_option("PACKET_RX_RING", packet_socket(SOCK_RAW), SOL_PACKET, PACKET_RX_RING);
}

/* What cannot be changed while there is a ring. */
SCENARIO(packet, ring_holds_options)
{
	int fd = packet_socket(SOCK_RAW);
	struct tpacket_req3 request = ring_request();
	uint8_t *map = ring_make(fd, PACKET_RX_RING, TPACKET_V2);

	observe_set_option("PACKET_VERSION", fd, SOL_PACKET, PACKET_VERSION, TPACKET_V1);
	observe_set_option("PACKET_RESERVE", fd, SOL_PACKET, PACKET_RESERVE, 64);
	observe_set_option("PACKET_VNET_HDR", fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	observe_set_option("PACKET_LOSS", fd, SOL_PACKET, PACKET_LOSS, 1);
	observe_set_option("PACKET_TX_HAS_OFF", fd, SOL_PACKET, PACKET_TX_HAS_OFF, 1);
	observe_set_option("PACKET_COPY_THRESH", fd, SOL_PACKET, PACKET_COPY_THRESH, 1);
	observe_set_option("PACKET_TIMESTAMP", fd, SOL_PACKET, PACKET_TIMESTAMP, 8);
	observe_call("a second ring", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(struct tpacket_req)));
	observe_call("one to send while it is mapped", setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof(struct tpacket_req)));
	must("munmap", munmap(map, (size_t)RING_SLOTS * RING_SLOT));
	observe_call("a second ring", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(struct tpacket_req)));
	observe_call("one to send", setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof(struct tpacket_req)));
}

SCENARIO(packet, ring_mappings)
{
	enum { all = RING_SLOTS * RING_SLOT };
	static const struct {
		const char *name;
		size_t len;
		off_t offset;
		int flags;
	} maps[] = {
		{"all", all, 0, MAP_SHARED},         {"half", all / 2, 0, MAP_SHARED},
		{"more", all + 4096, 0, MAP_SHARED}, {"from the second page", all - 4096, 4096, MAP_SHARED},
		{"of its own", all, 0, MAP_PRIVATE},
	};
	int fd = packet_socket(SOCK_RAW);
	struct tpacket_req3 request = ring_request();

	OBSERVE("without a ring %d", mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? errno : 0);
	must("ring", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof(struct tpacket_req)));
	for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
		void *map = mmap(NULL, maps[i].len, PROT_READ | PROT_WRITE, maps[i].flags, fd, maps[i].offset);

		OBSERVE("%s: %s", maps[i].name, map == MAP_FAILED ? error_name(errno) : "mapped");
		if (map != MAP_FAILED)
			munmap(map, maps[i].len);
	}
	/* Both rings are one mapping. */
	must("ring", setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof(struct tpacket_req)));
	for (size_t i = 1; i <= 2; i++) {
		void *map = mmap(NULL, i * all, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		OBSERVE("%zu rings: %s", i, map == MAP_FAILED ? error_name(errno) : "mapped");
		if (map != MAP_FAILED)
			munmap(map, i * all);
	}
}

SCENARIO(packet, ring_versions)
{
	int fd = packet_socket(SOCK_RAW);
	static const int values[] = {TPACKET_V3, TPACKET_V1, 3, -1, TPACKET_V2}, asked[] = {0, 1, 2, 3, -1};

	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		observe_set_option("PACKET_VERSION", fd, SOL_PACKET, PACKET_VERSION, values[i]);
	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
		int value = asked[i];
		socklen_t len = sizeof value;

		OBSERVE("version %d", asked[i]);
		if (observe_call("PACKET_HDRLEN", getsockopt(fd, SOL_PACKET, PACKET_HDRLEN, &value, &len)) == 0)
			OBSERVE("%d length %u", value, len);
	}
	for (socklen_t room = 0; room < 10; room += 3) {
		int value[4] = {1};
		socklen_t len = room;

		OBSERVE("room for %u", room);
		if (observe_call("PACKET_HDRLEN", getsockopt(fd, SOL_PACKET, PACKET_HDRLEN, value, &len)) == 0)
			OBSERVE("%d length %u", value[0], len);
	}
}
