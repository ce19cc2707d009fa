/*
 * The loads of splitsock-bench-frames: packet sockets, by the plain system calls, so that the same program runs on the bare kernel
 * and behind splitsock-run.
 *
 *   capture INTERFACE ring|recv       says "ready", then counts until a second passes without a frame: frames bytes seconds drops
 *   send INTERFACE SIZE COUNT RATE    RATE 0: as fast as it goes. Says frames bytes seconds
 *   echo INTERFACE                    sends back what ping sends, until it is killed
 *   ping INTERFACE COUNT              one frame there and back: the median in microseconds
 */
#include <arpa/inet.h>
#include <error.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

enum {
	TYPE_LOAD = 0x88b5, /* IEEE 802, local experiments */
	TYPE_PING = 0x88b6,
	BATCH = 64,
	FRAME_MAX = 2048,
	BLOCK_SIZE = 1 << 20,
	BLOCKS = 16, /* as much as a client may have by default */
	IDLE_MS = 1000,
	START_MS = 10000,
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_ll
on_interface(const char *name, uint16_t protocol)
{
	unsigned index = if_nametoindex(name);

	if (!index)
		error(1, errno, "%s", name);
	return (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = (int)index};
}

static int
packet_socket(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0)
		error(1, errno, "a packet socket");
	return fd;
}

static void
bind_to(int fd, const char *interface, uint16_t protocol)
{
	struct sockaddr_ll at = on_interface(interface, protocol);

	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
		error(1, errno, "bind to %s", interface);
}

/* ---- capture ------------------------------------------------------------------------------------ */

struct tally {
	unsigned long frames, bytes;
	double first, last;
};

static void
tally(struct tally *tally, const uint8_t *frame, unsigned len)
{
	if (frame[12] != TYPE_LOAD >> 8 || frame[13] != (TYPE_LOAD & 255))
		return;
	tally->frames++;
	tally->bytes += len;
}

static char *
open_ring(int fd)
{
	struct tpacket_req3 request = {
		.tp_block_size = BLOCK_SIZE,
		.tp_block_nr = BLOCKS,
		.tp_frame_size = FRAME_MAX,
		.tp_frame_nr = BLOCKS * (BLOCK_SIZE / FRAME_MAX),
		.tp_retire_blk_tov = 10,
	};
	int version = TPACKET_V3;
	char *map;

	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
		error(1, errno, "a ring");
	map = mmap(NULL, (size_t)BLOCKS * BLOCK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		error(1, errno, "mmap of a ring");
	return map;
}

/* False: nothing is there. */
static bool
read_block(char *map, unsigned *at, struct tally *total)
{
	struct tpacket_block_desc *block = (void *)(map + (size_t)*at * BLOCK_SIZE);
	struct tpacket3_hdr *frame;

	if (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
		return false;
	frame = (void *)((char *)block + block->hdr.bh1.offset_to_first_pkt);
	for (unsigned i = 0; i < block->hdr.bh1.num_pkts; i++) {
		tally(total, (uint8_t *)frame + frame->tp_mac, frame->tp_len);
		frame = (void *)((char *)frame + frame->tp_next_offset);
	}
	__atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	*at = (*at + 1) % BLOCKS;
	return true;
}

static bool
read_messages(int fd, struct tally *total)
{
	static uint8_t frames[BATCH][FRAME_MAX];
	struct mmsghdr messages[BATCH];
	struct iovec iovs[BATCH];
	int n;

	for (int i = 0; i < BATCH; i++) {
		iovs[i] = (struct iovec){frames[i], FRAME_MAX};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iovs[i], .msg_iovlen = 1}};
	}
	n = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		tally(total, frames[i], messages[i].msg_len);
	return n > 0;
}

static void
capture(const char *interface, bool with_ring)
{
	int fd = packet_socket();
	char *map = with_ring ? open_ring(fd) : NULL;
	struct pollfd in = {.fd = fd, .events = POLLIN};
	struct tally total = {0};
	union {
		struct tpacket_stats plain;
		struct tpacket_stats_v3 v3;
	} statistics = {0};
	socklen_t len = sizeof statistics;
	unsigned block = 0;

	bind_to(fd, interface, ETH_P_ALL);
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (!(map ? read_block(map, &block, &total) : read_messages(fd, &total))) {
			if (poll(&in, 1, total.frames ? IDLE_MS : START_MS) <= 0)
				break;
			continue;
		}
		total.last = now();
		if (!total.first && total.frames)
			total.first = total.last;
	}
	getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &len);
	printf("%lu %lu %.6f %u\n", total.frames, total.bytes, total.last - total.first, statistics.plain.tp_drops);
}

/* ---- send, echo, ping --------------------------------------------------------------------------- */

static void
frame_header(uint8_t *frame, uint16_t type)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};

	memcpy(frame, all, 6);
	frame[6] = 2; /* an address of local meaning */
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
}

static void
send_frames(const char *interface, size_t size, long wanted, double rate)
{
	static uint8_t frame[FRAME_MAX];
	struct iovec iov = {frame, size};
	struct mmsghdr messages[BATCH];
	int fd = packet_socket();
	double start;
	long sent = 0;

	frame_header(frame, TYPE_LOAD);
	for (int i = 0; i < BATCH; i++)
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};
	bind_to(fd, interface, 0);
	start = now();
	while (sent < wanted) {
		int n = sendmmsg(fd, messages, wanted - sent < BATCH ? (unsigned)(wanted - sent) : BATCH, 0);

		if (n < 0 && errno != ENOBUFS)
			error(1, errno, "send");
		sent += n > 0 ? n : 0;
		while (rate > 0 && (double)sent / rate > now() - start)
			;
	}
	printf("%ld %ld %.6f\n", sent, sent * (long)size, now() - start);
}

static void
echo(const char *interface)
{
	int fd = packet_socket();

	bind_to(fd, interface, TYPE_PING);
	puts("ready");
	fflush(stdout);
	for (;;) {
		uint8_t frame[FRAME_MAX];
		ssize_t len = recv(fd, frame, sizeof frame, 0);

		if (len > 0)
			send(fd, frame, (size_t)len, 0);
	}
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
ping(const char *interface, int count)
{
	double *times = calloc((size_t)count, sizeof *times);
	int fd = packet_socket();
	uint8_t frame[64] = {0};

	frame_header(frame, TYPE_PING);
	bind_to(fd, interface, TYPE_PING);
	for (int i = 0; i < count; i++) {
		struct pollfd in = {.fd = fd, .events = POLLIN};
		double start = now();

		if (send(fd, frame, sizeof frame, 0) < 0 || poll(&in, 1, IDLE_MS) != 1)
			error(1, errno, "no answer");
		recv(fd, frame, sizeof frame, 0);
		times[i] = (now() - start) * 1e6;
	}
	qsort(times, (size_t)count, sizeof *times, compare);
	printf("%.1f\n", times[count / 2]);
	free(times);
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "capture") == 0)
		capture(argv[2], strcmp(argv[3], "ring") == 0);
	else if (argc == 6 && strcmp(argv[1], "send") == 0)
		send_frames(argv[2], (size_t)atoi(argv[3]), atol(argv[4]), atof(argv[5]));
	else if (argc == 3 && strcmp(argv[1], "echo") == 0)
		echo(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "ping") == 0)
		ping(argv[2], atoi(argv[3]));
	else
		error(2, 0, "see the head of bench_frames_load.c");
	return 0;
}
