/* Packet sockets, packet(7): options, without those of rings. */
#include <linux/virtio_net.h>
#include <stdio.h>

#include "tests/conformance/packet.h"

static const struct {
	const char *name;
	int option;
} options[] = {
	{"PACKET_RECV_OUTPUT", PACKET_RECV_OUTPUT},
	{"PACKET_COPY_THRESH", PACKET_COPY_THRESH},
	{"PACKET_AUXDATA", PACKET_AUXDATA},
	{"PACKET_ORIGDEV", PACKET_ORIGDEV},
	{"PACKET_VERSION", PACKET_VERSION},
	{"PACKET_HDRLEN", PACKET_HDRLEN},
	{"PACKET_RESERVE", PACKET_RESERVE},
	{"PACKET_LOSS", PACKET_LOSS},
	{"PACKET_VNET_HDR", PACKET_VNET_HDR},
	{"PACKET_TX_TIMESTAMP", PACKET_TX_TIMESTAMP},
	{"PACKET_TIMESTAMP", PACKET_TIMESTAMP},
	{"PACKET_TX_HAS_OFF", PACKET_TX_HAS_OFF},
	{"PACKET_QDISC_BYPASS", PACKET_QDISC_BYPASS},
	{"PACKET_FANOUT", PACKET_FANOUT},
	{"PACKET_IGNORE_OUTGOING", PACKET_IGNORE_OUTGOING},
	{"PACKET_ROLLOVER_STATS", PACKET_ROLLOVER_STATS},
	{"PACKET_VNET_HDR_SZ", 24},
	{"99", 99},
	{"-1", -1},
};

SCENARIO(packet, option_defaults)
{
	int fd = packet_socket(SOCK_RAW);

	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (options[i].option != PACKET_HDRLEN)
			observe_option(options[i].name, fd, SOL_PACKET, options[i].option);
	observe_statistics("fresh", fd);
}

SCENARIO(packet, option_values)
{
	static const int values[] = {1, 0, -1, 2, 0x7fffffff};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		int fd = packet_socket(SOCK_RAW);

		for (size_t j = 0; j < sizeof values / sizeof *values; j++)
			if (options[i].option != PACKET_HDRLEN && options[i].option != PACKET_FANOUT)
				observe_set_option(options[i].name, fd, SOL_PACKET, options[i].option, values[j]);
		close(fd);
	}
}

SCENARIO(packet, option_lengths)
{
	static const unsigned lengths[] = {0, 1, 3, 5, 8, 16, 64, 200};
	uint8_t value[256] = {0};
	int fd = packet_socket(SOCK_RAW);

	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
			if (options[i].option == PACKET_FANOUT)
				continue;
			OBSERVE("%s of %u", options[i].name, lengths[j]);
			observe_call("set", setsockopt(fd, SOL_PACKET, options[i].option, value, lengths[j]));
			if (options[i].option != PACKET_HDRLEN)
				observe_option_bytes("it", fd, SOL_PACKET, options[i].option, lengths[j]);
		}
		observe_call("negative length", setsockopt(fd, SOL_PACKET, options[i].option, value, (socklen_t)-1));
	}
}

SCENARIO(packet, option_bad_pointers)
{
	int fd = packet_socket(SOCK_RAW), value = 0;
	socklen_t len = sizeof value, negative = (socklen_t)-1;
	static const int valued[] = {PACKET_AUXDATA, PACKET_VERSION, PACKET_RESERVE, PACKET_FANOUT, PACKET_ADD_MEMBERSHIP,
	                             PACKET_DROP_MEMBERSHIP, PACKET_RX_RING, PACKET_TX_RING, PACKET_TIMESTAMP};

	for (size_t i = 0; i < sizeof valued / sizeof *valued; i++) {
		OBSERVE("option %d", valued[i]);
		observe_call("set", setsockopt(fd, SOL_PACKET, valued[i], (void *)8, valued[i] <= PACKET_DROP_MEMBERSHIP ? 16 : 4));
		observe_call("set more", setsockopt(fd, SOL_PACKET, valued[i], (void *)8, 28));
		observe_call("get", getsockopt(fd, SOL_PACKET, valued[i], (void *)8, &len));
		observe_call("get, no length", getsockopt(fd, SOL_PACKET, valued[i], &value, NULL));
		observe_call("get, negative length", getsockopt(fd, SOL_PACKET, valued[i], &value, &negative));
	}
	observe_call("filter", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, (void *)8, sizeof(struct sock_fprog)));
	observe_call("program", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &(struct sock_fprog){1, (struct sock_filter *)8},
	                                   sizeof(struct sock_fprog)));
	observe_call("another level", setsockopt(fd, IPPROTO_IP, 1, &value, sizeof value));
	observe_call("another level", getsockopt(fd, IPPROTO_IP, 1, &value, &len));
}

/* ---- memberships -------------------------------------------------------------------------------- */

static long
membership(int fd, int option, int index, int type, unsigned alen, socklen_t len)
{
	struct packet_mreq request = {
		.mr_ifindex = index, .mr_type = (unsigned short)type, .mr_alen = (unsigned short)alen, .mr_address = {1, 0, 0x5e, 0, 0, 7}};

	return setsockopt(fd, SOL_PACKET, option, &request, len);
}

SCENARIO(packet, memberships)
{
	static const struct {
		const char *name;
		int type;
		unsigned alen;
	} kinds[] = {
		{"PACKET_MR_MULTICAST", PACKET_MR_MULTICAST, 6}, {"PACKET_MR_PROMISC", PACKET_MR_PROMISC, 0},
		{"PACKET_MR_ALLMULTI", PACKET_MR_ALLMULTI, 0},   {"PACKET_MR_UNICAST", PACKET_MR_UNICAST, 6},
		{"multicast of 3", PACKET_MR_MULTICAST, 3},      {"promiscuous with an address", PACKET_MR_PROMISC, 6},
		{"multicast of 8", PACKET_MR_MULTICAST, 8},      {"multicast of 9", PACKET_MR_MULTICAST, 9},
		{"type 7", 7, 6},                                {"type -1", 0xffff, 0},
	};
	int fd = packet_socket(SOCK_RAW), lo = lo_index();
	socklen_t full = sizeof(struct packet_mreq);

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		OBSERVE("%s", kinds[i].name);
		observe_call("drop before", membership(fd, PACKET_DROP_MEMBERSHIP, lo, kinds[i].type, kinds[i].alen, full));
		observe_call("add", membership(fd, PACKET_ADD_MEMBERSHIP, lo, kinds[i].type, kinds[i].alen, full));
		observe_call("add again", membership(fd, PACKET_ADD_MEMBERSHIP, lo, kinds[i].type, kinds[i].alen, full));
		for (int j = 0; j < 3; j++)
			observe_call("drop", membership(fd, PACKET_DROP_MEMBERSHIP, lo, kinds[i].type, kinds[i].alen, full));
		observe_call("add for no interface", membership(fd, PACKET_ADD_MEMBERSHIP, 99999, kinds[i].type, kinds[i].alen, full));
		observe_call("drop for no interface", membership(fd, PACKET_DROP_MEMBERSHIP, 99999, kinds[i].type, kinds[i].alen, full));
		observe_call("add for interface 0", membership(fd, PACKET_ADD_MEMBERSHIP, 0, kinds[i].type, kinds[i].alen, full));
	}
}

SCENARIO(packet, membership_lengths)
{
	int fd = packet_socket(SOCK_RAW), lo = lo_index();
	struct {
		int index;
		unsigned short type, alen;
		uint8_t address[64];
	} longer = {lo, PACKET_MR_MULTICAST, 32, {1}};

	for (socklen_t len = 0; len <= 20; len += 4) {
		OBSERVE("length %u", len);
		observe_call("add", membership(fd, PACKET_ADD_MEMBERSHIP, lo, PACKET_MR_PROMISC, 0, len));
		observe_call("drop", membership(fd, PACKET_DROP_MEMBERSHIP, lo, PACKET_MR_PROMISC, 0, len));
	}
	/* An address may be as long as the longest there is: packet_mreq_max. */
	observe_call("address of 32", setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &longer, 40));
	observe_call("32 in 39 bytes", setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &longer, 39));
	longer.alen = 33;
	observe_call("address of 33", setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &longer, sizeof longer));
	longer.alen = 6;
	observe_call("far too long", setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &longer, sizeof longer));
	observe_call("and dropped", setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &longer, sizeof longer));
	observe_call("get", getsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &longer, &(socklen_t){sizeof longer}));
}

/* ---- filters ------------------------------------------------------------------------------------ */

static long
attach(int fd, struct sock_filter *program, size_t len)
{
	struct sock_fprog filter = {(unsigned short)len, program};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

SCENARIO(packet, filters)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE), sender = packet_socket(SOCK_RAW);
	struct sock_filter none[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	uint8_t frame[FRAME_MAX];
	struct iovec iov = {frame, sizeof frame};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	observe_call("none", attach(fd, none, 1));
	frame_send(sender, "unseen");
	observe_quiet("filtered", fd, POLLIN);
	packet_filter(fd, 0xffffffff);
	frame_send(sender, "seen");
	observe_text("got", fd);
	packet_filter(fd, 20);
	frame_send(sender, "cut off");
	wait_for(fd, POLLIN);
	observe_call("recvmsg", recvmsg(fd, &message, MSG_TRUNC));
	OBSERVE("flags %s", msg_flags_name(message.msg_flags));
	packet_filter(fd, 1);
	frame_send(sender, "cut off");
	wait_for(fd, POLLIN);
	observe_call("recv", recv(fd, frame, sizeof frame, 0));
	observe_call("detach", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, NULL, 0));
	observe_call("detach", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
	observe_call("detach again", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
}

SCENARIO(packet, filter_errors)
{
	int fd = packet_socket(SOCK_RAW);
	struct sock_filter pass[] = {BPF_STMT(BPF_RET | BPF_K, 1)}, fall[] = {BPF_STMT(BPF_LD | BPF_IMM, 1)};
	struct sock_filter unknown[] = {BPF_STMT(0xffff, 1), BPF_STMT(BPF_RET | BPF_K, 1)};
	struct sock_filter wild[] = {BPF_JUMP(BPF_JMP | BPF_JA, 7, 0, 0), BPF_STMT(BPF_RET | BPF_K, 1)};
	struct sock_filter divide[] = {BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, 1)};
	struct sock_filter memory[] = {BPF_STMT(BPF_LD | BPF_MEM, 3), BPF_STMT(BPF_RET | BPF_A, 0)};
	struct sock_fprog filter = {1, pass};

	observe_call("length 0", attach(fd, pass, 0));
	observe_call("no return", attach(fd, fall, 1));
	observe_call("unknown", attach(fd, unknown, 2));
	observe_call("jump outside", attach(fd, wild, 2));
	observe_call("division by 0", attach(fd, divide, 2));
	observe_call("memory not set", attach(fd, memory, 2));
	observe_call("longer than any", attach(fd, pass, BPF_MAXINSNS + 1));
	observe_call("nowhere", attach(fd, NULL, 1));
	observe_call("size 15", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, 15));
	observe_call("size 17", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, 17));
	observe_call("size 3", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, 3));
	observe_call("good", attach(fd, pass, 1));
}

/* The longest program there may be. */
SCENARIO(packet, filter_longest)
{
	static struct sock_filter program[BPF_MAXINSNS];
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);

	for (size_t i = 0; i + 1 < BPF_MAXINSNS; i++)
		program[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, (unsigned)i);
	program[BPF_MAXINSNS - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	observe_call("attach", attach(fd, program, BPF_MAXINSNS));
	packet_bind(fd, lo_index(), TEST_TYPE);
	frame_send(sender, "unseen");
	observe_quiet("filtered", fd, POLLIN);
	packet_filter(fd, 0xffffffff);
	frame_send(sender, "seen");
	observe_text("got", fd);
}

SCENARIO(packet, filter_locked)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE);
	struct sock_filter pass[] = {BPF_STMT(BPF_RET | BPF_K, 1)};

	observe_set_option("SO_LOCK_FILTER", fd, SOL_SOCKET, SO_LOCK_FILTER, 1);
	observe_call("attach", attach(fd, pass, 1));
	observe_call("detach", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
	observe_set_option("SO_LOCK_FILTER", fd, SOL_SOCKET, SO_LOCK_FILTER, 0);
	frame_send(fd, "hello");
	observe_text("got", fd);
}

SCENARIO(packet, filter_read_back)
{
	int fd = packet_socket(SOCK_RAW);
	struct sock_filter program[8];
	socklen_t len = 8;

	must("detach", setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
	observe_call("without one", getsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, &len));
	OBSERVE("length %u", len);
	packet_filter(fd, 77);
	len = 0;
	observe_call("its length", getsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, NULL, &len));
	OBSERVE("length %u", len);
	len = 2;
	observe_call("too little room", getsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, &len));
	len = 8;
	observe_call("all", getsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, &len));
	OBSERVE("length %u, third %#x %u", len, program[2].code, program[2].k);
}

/* ---- beside a frame ----------------------------------------------------------------------------- */

static void
observe_auxdata(const char *what, int fd, size_t room)
{
	union {
		struct cmsghdr header;
		char space[256];
	} control;
	uint8_t frame[FRAME_MAX];
	struct iovec iov = {frame, room};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	ssize_t n;

	wait_for(fd, POLLIN);
	n = recvmsg(fd, &message, MSG_DONTWAIT);
	observe_call(what, n);
	if (n < 0)
		return;
	OBSERVE("flags %s", msg_flags_name(message.msg_flags));
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
		struct tpacket_auxdata aux;

		if (at->cmsg_level != SOL_PACKET || at->cmsg_type != PACKET_AUXDATA || at->cmsg_len != CMSG_LEN(sizeof aux)) {
			OBSERVE("level %d type %d", at->cmsg_level, at->cmsg_type);
			continue;
		}
		memcpy(&aux, CMSG_DATA(at), sizeof aux);
		OBSERVE("status %#x length %u of %u mac %u net %u vlan %u %#x", aux.tp_status, aux.tp_snaplen, aux.tp_len, aux.tp_mac,
		        aux.tp_net, aux.tp_vlan_tci, aux.tp_vlan_tpid);
	}
}

SCENARIO(packet, auxdata)
{
	static const int types[] = {SOCK_RAW, SOCK_DGRAM};

	for (size_t i = 0; i < 2; i++) {
		int fd = packet_bound(types[i], TEST_TYPE), sender = packet_socket(SOCK_RAW);

		frame_send(sender, "without");
		observe_auxdata("without", fd, FRAME_MAX);
		observe_set_option("PACKET_AUXDATA", fd, SOL_PACKET, PACKET_AUXDATA, 1);
		frame_send(sender, "hello");
		observe_auxdata("whole", fd, FRAME_MAX);
		frame_send(sender, "hello");
		observe_auxdata("cut by the buffer", fd, 10);
		packet_filter(fd, 16);
		frame_send(sender, "hello");
		observe_auxdata("cut by the filter", fd, FRAME_MAX);
		close(fd);
	}
}

SCENARIO(packet, auxdata_of_all)
{
	int fd = packet_bound(SOCK_RAW, ETH_P_ALL), sender = packet_socket(SOCK_RAW);

	set_option(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	frame_send(sender, "hello");
	observe_auxdata("out", fd, FRAME_MAX);
	observe_auxdata("in", fd, FRAME_MAX);
}

SCENARIO(packet, auxdata_of_vlan)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);
	struct sockaddr_ll to = link_name(lo_index(), ETH_P_8021Q);
	uint8_t frame[FRAME_MAX], tag[] = {0x81, 0x00, 0x60, 0x2a};
	size_t len = frame_make(frame, NULL, TEST_TYPE, "tagged");

	/* Tagged: what the filter looks for begins behind the tag when it goes out, and in its place when the tag has been taken off. */
	memmove(frame + 16, frame + 12, len - 12);
	memcpy(frame + 12, tag, sizeof tag);
	set_option(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	packet_bind(fd, lo_index(), ETH_P_ALL);
	observe_call("sendto", sendto(sender, frame, len + 4, 0, (struct sockaddr *)&to, sizeof to));
	observe_auxdata("in", fd, FRAME_MAX);
	observe_quiet("no more", fd, POLLIN);
}

SCENARIO(packet, stamps_beside)
{
	static const int stamps[] = {SO_TIMESTAMP, SO_TIMESTAMPNS};
	int sender = packet_socket(SOCK_RAW);

	for (size_t i = 0; i < 2; i++) {
		int fd = packet_bound(SOCK_RAW, TEST_TYPE);

		set_option(fd, SOL_SOCKET, stamps[i], 1);
		frame_send(sender, "hello");
		observe_auxdata("stamped", fd, FRAME_MAX);
		set_option(fd, SOL_PACKET, PACKET_AUXDATA, 1);
		frame_send(sender, "hello");
		observe_auxdata("both", fd, FRAME_MAX);
		close(fd);
	}
}

/* ---- counts ------------------------------------------------------------------------------------- */

SCENARIO(packet, statistics)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);

	observe_statistics("fresh", fd);
	packet_bind(fd, lo_index(), TEST_TYPE);
	for (int i = 0; i < 7; i++)
		frame_send(sender, "counted");
	for (int i = 0; i < 7; i++)
		observe_text("got", fd);
	observe_statistics("seven", fd);
	observe_statistics("none", fd);
	frame_send(sender, "one");
	observe_text("got", fd);
	observe_option_bytes("PACKET_STATISTICS", fd, SOL_PACKET, PACKET_STATISTICS, 4);
	observe_option_bytes("PACKET_STATISTICS", fd, SOL_PACKET, PACKET_STATISTICS, 8);
	observe_call("set", setsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &(uint64_t){0}, 8));
}

/* A socket that nobody reads counts what it has no room for. */
SCENARIO(packet, statistics_of_drops)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW), last = packet_bound(SOCK_RAW, OTHER_TYPE), got = 0;
	struct tpacket_stats statistics;
	struct sockaddr_ll to = link_name(lo_index(), OTHER_TYPE);
	socklen_t len = sizeof statistics;
	uint8_t frame[FRAME_MAX];
	size_t frame_len = frame_make(frame, NULL, OTHER_TYPE, "last");

	set_option(fd, SOL_SOCKET, SO_RCVBUF, 4096);
	packet_bind(fd, lo_index(), TEST_TYPE);
	for (int i = 0; i < 100; i++)
		frame_send(sender, "there is no room for all of these");
	must("sendto", sendto(sender, frame, frame_len, 0, (struct sockaddr *)&to, sizeof to));
	observe_text("last", last);
	must("PACKET_STATISTICS", getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &len));
	while (recv(fd, frame, sizeof frame, MSG_DONTWAIT) > 0)
		got++;
	OBSERVE("packets %u, some dropped %d, the others are there %d", statistics.tp_packets, statistics.tp_drops > 0,
	        got + (int)statistics.tp_drops == 100);
	observe_statistics("then", fd);
}

SCENARIO(packet, ignore_outgoing)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);

	observe_set_option("PACKET_IGNORE_OUTGOING", fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	packet_bind(fd, lo_index(), ETH_P_ALL);
	frame_send(sender, "hello");
	observe_text("in", fd);
	observe_quiet("only", fd, POLLIN);
	observe_set_option("PACKET_IGNORE_OUTGOING", fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 0);
	frame_send(sender, "hello");
	observe_text("out", fd);
	observe_text("in", fd);
}

SCENARIO(packet, original_device)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE);

	observe_set_option("PACKET_ORIGDEV", fd, SOL_PACKET, PACKET_ORIGDEV, 1);
	frame_send(fd, "hello");
	observe_packet("got", fd);
}

SCENARIO(packet, qdisc_bypass)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE), all = packet_bound(SOCK_RAW, ETH_P_ALL);

	observe_set_option("PACKET_QDISC_BYPASS", fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
	frame_send(fd, "hello");
	observe_text("in", fd);
	/* It is not shown to others on its way out. */
	observe_text("all", all);
	observe_quiet("all", all, POLLIN);
}

/* ---- virtio headers ----------------------------------------------------------------------------- */

SCENARIO(packet, virtio_headers)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);
	struct sockaddr_ll to = link_name(lo_index(), TEST_TYPE);
	struct virtio_net_hdr header = {0};
	uint8_t buffer[FRAME_MAX];
	size_t len = frame_make(buffer + sizeof header, NULL, TEST_TYPE, "hello, hello, hello, hello, hello") + sizeof header;
	ssize_t n;

	observe_set_option("PACKET_VNET_HDR", fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	observe_set_option("PACKET_VNET_HDR", sender, SOL_PACKET, PACKET_VNET_HDR, 1);
	packet_bind(fd, lo_index(), TEST_TYPE);
	memcpy(buffer, &header, sizeof header);
	observe_call("sendto", sendto(sender, buffer, len, 0, (struct sockaddr *)&to, sizeof to));
	wait_for(fd, POLLIN);
	n = observe_call("recv", recv(fd, buffer, sizeof buffer, MSG_DONTWAIT));
	if (n > (ssize_t)sizeof header) {
		memcpy(&header, buffer, sizeof header);
		OBSERVE("flags %u segments %u size %u header %u", header.flags, header.gso_type, header.gso_size, header.hdr_len);
		observe_frame("frame", buffer + sizeof header, (size_t)n - sizeof header);
	}
	observe_call("shorter than one", sendto(sender, buffer, 5, 0, (struct sockaddr *)&to, sizeof to));
	header = (struct virtio_net_hdr){.gso_type = 77, .gso_size = 100};
	memcpy(buffer, &header, sizeof header);
	observe_call("unknown segments", sendto(sender, buffer, len, 0, (struct sockaddr *)&to, sizeof to));
	header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 60000, .csum_offset = 16};
	memcpy(buffer, &header, sizeof header);
	observe_call("checksum outside", sendto(sender, buffer, len, 0, (struct sockaddr *)&to, sizeof to));
	header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6};
	memcpy(buffer, &header, sizeof header);
	observe_call("checksum to come", sendto(sender, buffer, len, 0, (struct sockaddr *)&to, sizeof to));
	wait_for(fd, POLLIN);
	n = observe_call("recv", recv(fd, buffer, sizeof buffer, MSG_DONTWAIT));
	if (n > (ssize_t)sizeof header) {
		memcpy(&header, buffer, sizeof header);
		OBSERVE("flags %u start %u offset %u", header.flags, header.csum_start, header.csum_offset);
	}
	observe_call("into too little", recv(fd, buffer, 4, MSG_DONTWAIT));
	observe_set_option("of dgram", packet_socket(SOCK_DGRAM), SOL_PACKET, PACKET_VNET_HDR, 1);
}

/* ---- fanout ------------------------------------------------------------------------------------- */

static long
fanout(int fd, int id, int mode)
{
	return setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &(unsigned){(unsigned)id | (unsigned)mode << 16}, sizeof(unsigned));
}

SCENARIO(packet, fanout_modes)
{
	static const struct {
		const char *name;
		int mode;
	} modes[] = {
		{"hash", PACKET_FANOUT_HASH},         {"balance", PACKET_FANOUT_LB}, {"cpu", PACKET_FANOUT_CPU},
		{"rollover", PACKET_FANOUT_ROLLOVER}, {"random", PACKET_FANOUT_RND}, {"queue", PACKET_FANOUT_QM},
		{"cbpf", PACKET_FANOUT_CBPF},         {"mode 77", 77},
	};
	int unbound = packet_socket(SOCK_RAW);

	observe_call("unbound", fanout(unbound, process_id(), PACKET_FANOUT_HASH));
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		int a = packet_bound(SOCK_RAW, TEST_TYPE), b = packet_bound(SOCK_RAW, TEST_TYPE), value = 0;
		socklen_t len = sizeof value;

		OBSERVE("%s", modes[i].name);
		observe_call("first", fanout(a, process_id(), modes[i].mode));
		observe_call("second", fanout(b, process_id(), modes[i].mode));
		observe_call("again", fanout(a, process_id(), modes[i].mode));
		must("PACKET_FANOUT", getsockopt(a, SOL_PACKET, PACKET_FANOUT, &value, &len));
		OBSERVE("its id %d, mode %d", (value & 0xffff) == process_id(), value >> 16);
		close(a);
		close(b);
	}
}

SCENARIO(packet, fanout_errors)
{
	int a = packet_bound(SOCK_RAW, TEST_TYPE), other_mode = packet_bound(SOCK_RAW, TEST_TYPE);
	int other_protocol = packet_bound(SOCK_RAW, OTHER_TYPE), dgram = packet_bound(SOCK_DGRAM, TEST_TYPE);
	int any = packet_socket(SOCK_RAW);
	struct sockaddr_ll name = link_name(0, OTHER_TYPE);

	packet_bind(any, 0, TEST_TYPE);
	observe_call("first", fanout(a, process_id(), PACKET_FANOUT_HASH));
	observe_call("another mode", fanout(other_mode, process_id(), PACKET_FANOUT_LB));
	observe_call("another flag", fanout(other_mode, process_id(), PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_DEFRAG));
	observe_call("another protocol", fanout(other_protocol, process_id(), PACKET_FANOUT_HASH));
	observe_call("another interface", fanout(any, process_id(), PACKET_FANOUT_HASH));
	observe_call("another type", fanout(dgram, process_id(), PACKET_FANOUT_HASH));
	observe_call("bind within a group", bind(a, (struct sockaddr *)&name, sizeof name));
	observe_call("a size of 2", setsockopt(a, SOL_PACKET, PACKET_FANOUT, &(int){0}, 2));
	observe_call("a size of 16", setsockopt(a, SOL_PACKET, PACKET_FANOUT, (int[4]){0}, 16));
	observe_call("data without a program", setsockopt(a, SOL_PACKET, PACKET_FANOUT_DATA, &(int){0}, sizeof(int)));
	observe_call("an id of the kernel's, not 0",
	             fanout(other_mode, process_id() | 1, PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID));
	observe_call("an id of the kernel's", fanout(other_mode, 0, PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID));
}

static int
drain(int fd)
{
	uint8_t frame[FRAME_MAX];
	int n = 0;

	while (recv(fd, frame, sizeof frame, MSG_DONTWAIT) > 0)
		n++;
	return n;
}

/* Each frame comes to one of them; which one is not chance for some. */
SCENARIO(packet, fanout_shares)
{
	static const struct {
		int mode;
		bool chance;
	} modes[] = {
		{PACKET_FANOUT_LB, false}, {PACKET_FANOUT_HASH, false}, {PACKET_FANOUT_QM, false}, {PACKET_FANOUT_RND, true},
		{PACKET_FANOUT_CPU, true},
	};
	int sender = packet_socket(SOCK_RAW);

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		int a = packet_bound(SOCK_RAW, TEST_TYPE), b = packet_bound(SOCK_RAW, TEST_TYPE), first = 0, second = 0;

		must("first", fanout(a, process_id(), modes[i].mode));
		must("second", fanout(b, process_id(), modes[i].mode));
		for (int j = 0; j < 20; j++)
			frame_send(sender, "shared");
		for (int64_t end = now_ms() + WAIT_MS; first + second < 20 && now_ms() < end; pause_ms(2)) {
			first += drain(a);
			second += drain(b);
		}
		OBSERVE("mode %d: %d", modes[i].mode, first + second);
		if (!modes[i].chance)
			OBSERVE("the more busy had %d", first > second ? first : second);
		observe_quiet("first", a, POLLIN);
		observe_quiet("second", b, POLLIN);
		close(a);
		close(b);
	}
}

SCENARIO(packet, fanout_by_program)
{
	int a = packet_bound(SOCK_RAW, TEST_TYPE), b = packet_bound(SOCK_RAW, TEST_TYPE), sender = packet_socket(SOCK_RAW);
	struct sock_filter second[] = {BPF_STMT(BPF_RET | BPF_K, 1)};
	struct sock_fprog program = {1, second};

	must("first", fanout(a, process_id(), PACKET_FANOUT_CBPF));
	must("second", fanout(b, process_id(), PACKET_FANOUT_CBPF));
	observe_call("program", setsockopt(a, SOL_PACKET, PACKET_FANOUT_DATA, &program, sizeof program));
	frame_send(sender, "for the second");
	observe_text("second", b);
	observe_quiet("first", a, POLLIN);
}
