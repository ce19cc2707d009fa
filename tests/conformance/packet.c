#include "tests/conformance/packet.h"

#include <stdio.h>
#include <sys/mman.h>

enum { RETIRE_MS = 20 }; /* then a block of version 3 is the program's, full or not */

int
lo_index(void)
{
	return (int)if_nametoindex("lo");
}

uint16_t
process_id(void)
{
	return (uint16_t)getpid();
}

/* Process ids repeat in other namespaces; these do not. A forked child has its parent's. */
static uint32_t
frame_id(void)
{
	static uint32_t id;

	while (!id)
		if (syscall(SYS_getrandom, &id, sizeof id, 0) < 0)
			must("getrandom", -1);
	return id;
}

void
packet_filter(int fd, uint32_t keep)
{
	/* Whether or not the link-level header is there. */
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(frame_id()), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, keep),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = {sizeof program / sizeof *program, program};

	must("SO_ATTACH_FILTER", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter));
}

int
packet_socket(int type)
{
	int fd = must("socket", socket(AF_PACKET, type, 0));

	packet_filter(fd, 0xffffffff);
	return fd;
}

struct sockaddr_ll
link_name(int index, int protocol)
{
	return (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_ifindex = index, .sll_protocol = htons((uint16_t)protocol)};
}

void
packet_bind(int fd, int index, int protocol)
{
	struct sockaddr_ll name = link_name(index, protocol);

	must("bind", bind(fd, (struct sockaddr *)&name, sizeof name));
}

int
packet_bound(int type, int protocol)
{
	int fd = packet_socket(type);

	packet_bind(fd, lo_index(), protocol);
	return fd;
}

size_t
frame_make(void *frame, const uint8_t *to, int protocol, const char *text)
{
	static const uint8_t from[ETH_ALEN] = {2, 0, 0, 0, 0, 1};
	struct ethhdr header = {.h_proto = htons((uint16_t)protocol)};
	uint32_t id = frame_id();
	size_t len = strlen(text);

	if (to)
		memcpy(header.h_dest, to, ETH_ALEN);
	memcpy(header.h_source, from, ETH_ALEN);
	memcpy(frame, &header, ETH_HLEN);
	memcpy((uint8_t *)frame + ETH_HLEN, &id, ID_LEN);
	memcpy((uint8_t *)frame + ETH_HLEN + ID_LEN, text, len);
	return ETH_HLEN + ID_LEN + len;
}

void
frame_send(int fd, const char *text)
{
	struct sockaddr_ll to = link_name(lo_index(), TEST_TYPE);
	uint8_t frame[FRAME_MAX];
	size_t len = frame_make(frame, NULL, TEST_TYPE, text);

	must("sendto", sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof to));
}

const char *
kind_name(int kind)
{
	static const char *const names[] = {"HOST", "BROADCAST", "MULTICAST", "OTHERHOST", "OUTGOING", "LOOPBACK", "USER", "KERNEL"};

	return kind >= 0 && kind < (int)(sizeof names / sizeof *names) ? names[kind] : "?";
}

/* Valid until the fourth call after this one. */
static const char *
text_of(const void *body, size_t len)
{
	static char texts[4][80];
	static unsigned turn;
	char *text = texts[turn++ % 4];
	uint32_t id = frame_id();

	if (len < ID_LEN || memcmp(body, &id, ID_LEN) != 0)
		snprintf(text, sizeof texts[0], "%zu bytes without id", len);
	else if (len > ID_LEN + 40)
		snprintf(text, sizeof texts[0], "id and %zu #%016llx", len - ID_LEN,
		         (unsigned long long)hash_bytes((const uint8_t *)body + ID_LEN, len - ID_LEN));
	else
		snprintf(text, sizeof texts[0], "id \"%.*s\"", (int)(len - ID_LEN), (const char *)body + ID_LEN);
	return text;
}

void
observe_body(const char *what, const void *body, size_t len)
{
	OBSERVE("%s: %s", what, text_of(body, len));
}

void
observe_frame(const char *what, const void *frame, size_t len)
{
	struct ethhdr header;

	if (len < ETH_HLEN) {
		OBSERVE("%s: %zu bytes", what, len);
		return;
	}
	memcpy(&header, frame, sizeof header);
	OBSERVE("%s: to …%02x%02x from …%02x%02x type %#x, %s", what, header.h_dest[0], header.h_dest[5], header.h_source[0],
	        header.h_source[5], ntohs(header.h_proto), text_of((const uint8_t *)frame + ETH_HLEN, len - ETH_HLEN));
}

void
observe_link_name(const char *what, const struct sockaddr_ll *name, socklen_t len)
{
	const uint8_t *address = name->sll_addr;

	OBSERVE("%s: family %d %s protocol %#x hardware %d %s address %u …%02x%02x, length %u", what, name->sll_family,
	        name->sll_ifindex == lo_index() ? "lo" : name->sll_ifindex ? "another interface" : "no interface",
	        ntohs(name->sll_protocol), name->sll_hatype, kind_name(name->sll_pkttype), name->sll_halen, address[0], address[5], len);
}

static ssize_t
receive(int fd, void *frame, size_t size, struct sockaddr_ll *name, socklen_t *len)
{
	*len = sizeof *name;
	memset(name, 0, sizeof *name);
	wait_for(fd, POLLIN);
	return recvfrom(fd, frame, size, MSG_DONTWAIT, (struct sockaddr *)name, len);
}

void
observe_packet(const char *what, int fd)
{
	uint8_t frame[FRAME_MAX];
	struct sockaddr_ll name;
	int type = 0;
	socklen_t len, type_len = sizeof type;
	ssize_t n = receive(fd, frame, sizeof frame, &name, &len);

	if (n < 0) {
		observe_call(what, n);
		return;
	}
	must("SO_TYPE", getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len));
	if (type != SOCK_DGRAM)
		observe_frame(what, frame, (size_t)n);
	else
		observe_body(what, frame, (size_t)n);
	observe_link_name(what, &name, len);
}

void
observe_text(const char *what, int fd)
{
	uint8_t frame[FRAME_MAX];
	struct sockaddr_ll name;
	int type = 0;
	socklen_t len, type_len = sizeof type;
	ssize_t n = receive(fd, frame, sizeof frame, &name, &len);
	size_t skip;

	must("SO_TYPE", getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len));
	skip = type == SOCK_DGRAM ? 0 : ETH_HLEN;
	if (n < (ssize_t)skip)
		observe_call(what, n);
	else
		OBSERVE("%s: %s %#x %s", what, kind_name(name.sll_pkttype), ntohs(name.sll_protocol), text_of(frame + skip, (size_t)n - skip));
}

void
observe_option_bytes(const char *what, int fd, int level, int option, size_t room)
{
	uint8_t value[256] = {0};
	socklen_t len = (socklen_t)room;
	int rc = getsockopt(fd, level, option, value, &len);

	if (rc < 0)
		OBSERVE("get %s with room for %zu = -1 %s", what, room, error_name(errno));
	else
		OBSERVE("get %s with room for %zu = %d length %u", what, room, value[0] | value[1] << 8 | value[2] << 16 | value[3] << 24, len);
}

void
observe_statistics(const char *what, int fd)
{
	struct tpacket_stats_v3 statistics = {0};
	socklen_t len = sizeof statistics;

	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &len) < 0)
		OBSERVE("%s: PACKET_STATISTICS = -1 %s", what, error_name(errno));
	else
		OBSERVE("%s: PACKET_STATISTICS %u packets, %u drops, %u freezes, length %u", what, statistics.tp_packets,
		        statistics.tp_drops, statistics.tp_freeze_q_cnt, len);
}

struct tpacket_req3
ring_request(void)
{
	return (struct tpacket_req3){
		.tp_block_size = RING_BLOCK,
		.tp_block_nr = RING_SLOTS * RING_SLOT / RING_BLOCK,
		.tp_frame_size = RING_SLOT,
		.tp_frame_nr = RING_SLOTS,
	};
}

uint8_t *
ring_make(int fd, int option, int version)
{
	struct tpacket_req3 request = ring_request();
	socklen_t size = version == TPACKET_V3 ? sizeof(struct tpacket_req3) : sizeof(struct tpacket_req);
	void *map;

	if (version == TPACKET_V3 && option == PACKET_RX_RING)
		request.tp_retire_blk_tov = RETIRE_MS;
	must("PACKET_VERSION", setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version));
	must("ring", setsockopt(fd, SOL_PACKET, option, &request, size));
	map = mmap(NULL, (size_t)RING_SLOTS * RING_SLOT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must("mmap", map == MAP_FAILED ? -1 : 0);
	return map;
}
