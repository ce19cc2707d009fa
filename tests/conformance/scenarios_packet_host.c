/*
 * Packet sockets, packet(7), and the host's own stack: what other sockets of the program send is seen, and what is made by hand reaches
 * them. Ports keep it apart from what others do on lo.
 */
#include <linux/virtio_net.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>

#include "tests/conformance/packet.h"

/* Passes IPv4 or IPv6 packets of this protocol from or to a port. */
static void
filter_port(int fd, int family, int protocol, uint16_t port)
{
	const uint32_t transport = (uint32_t)SKF_NET_OFF + (family == AF_INET ? 20 : 40);
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, family == AF_INET ? ETH_P_IP : ETH_P_IPV6, 0, 7),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_NET_OFF + (family == AF_INET ? 9 : 6))),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)protocol, 0, 5),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, transport),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 2, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, transport + 2),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = {sizeof program / sizeof *program, program};

	must("SO_ATTACH_FILTER", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter));
}

static int
ether_type(int family)
{
	return family == AF_INET ? ETH_P_IP : ETH_P_IPV6;
}

static size_t
udp_payload(int family)
{
	return (family == AF_INET ? 20u : 40u) + sizeof(struct udphdr);
}

/* A socket for what comes from or goes to a port. */
static int
watch_port(int type, int family, int transport, uint16_t port, int protocol)
{
	int fd = must("socket", socket(AF_PACKET, type, 0));

	filter_port(fd, family, transport, port);
	packet_bind(fd, lo_index(), protocol);
	return fd;
}

/* The next datagram as a packet socket sees it; of SOCK_RAW if there is a header to skip. */
static void
observe_datagram(const char *what, int fd, int family, size_t skip)
{
	static uint8_t frame[70000];
	struct sockaddr_ll name = {0};
	socklen_t len = sizeof name;
	size_t headers = skip + udp_payload(family);
	ssize_t n;

	wait_for(fd, POLLIN);
	n = recvfrom(fd, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&name, &len);
	if (n < (ssize_t)headers) {
		observe_call(what, n);
		return;
	}
	observe_link_name(what, &name, len);
	observe_bytes(what, frame + headers, n - (ssize_t)headers);
}

/* ---- seen --------------------------------------------------------------------------------------- */

SCENARIO_V4_V6(packet, sees_udp)
{
	struct pair pair = udp_pair(family);
	int all = watch_port(SOCK_RAW, family, IPPROTO_UDP, port_of(pair.server), ETH_P_ALL);
	int one = watch_port(SOCK_RAW, family, IPPROTO_UDP, port_of(pair.server), ether_type(family));
	int dgram = watch_port(SOCK_DGRAM, family, IPPROTO_UDP, port_of(pair.server), ether_type(family));

	send_text(pair.client, "hello");
	wait_for(pair.server, POLLIN);
	observe_recv("server", pair.server, 64, 0);
	observe_datagram("all", all, family, ETH_HLEN);
	observe_datagram("all", all, family, ETH_HLEN);
	observe_datagram("one", one, family, ETH_HLEN);
	observe_datagram("dgram", dgram, family, 0);
	observe_quiet("all", all, POLLIN);
	observe_quiet("one", one, POLLIN);
	observe_quiet("dgram", dgram, POLLIN);
	send_text(pair.server, "back");
	observe_datagram("one", one, family, ETH_HLEN);
}

/* Each once, in order, and counted. */
SCENARIO_V4_V6(packet, sees_many)
{
	struct pair pair = udp_pair(family);
	int fd = watch_port(SOCK_DGRAM, family, IPPROTO_UDP, port_of(pair.server), ether_type(family)), disorder = 0, n = 0;
	uint8_t packet[256];

	for (int i = 0; i < 200; i++) {
		uint8_t number[2] = {(uint8_t)i, 77};

		must("send", send(pair.client, number, sizeof number, 0));
		wait_for(fd, POLLIN);
		for (; recv(fd, packet, sizeof packet, MSG_DONTWAIT) > 0; n++)
			disorder += packet[udp_payload(family)] != n;
	}
	observe_quiet("no more", fd, POLLIN);
	OBSERVE("seen %d, out of order %d", n, disorder);
	observe_statistics("all", fd);
}

SCENARIO_V4_V6(packet, sees_large)
{
	static char text[9000];
	struct pair pair = udp_pair(family);
	int fd = watch_port(SOCK_RAW, family, IPPROTO_UDP, port_of(pair.server), ETH_P_ALL);

	fill_pattern(text, sizeof text, 3);
	for (size_t len = 1; len <= sizeof text; len = len * 3) {
		must("send", send(pair.client, text, len, 0));
		observe_datagram("out", fd, family, ETH_HLEN);
		observe_datagram("in", fd, family, ETH_HLEN);
	}
	observe_quiet("no more", fd, POLLIN);
}

/* What is set is in effect when the call ends. */
SCENARIO_V4_V6(packet, sees_what_it_asks_for)
{
	struct pair pair = udp_pair(family), other = udp_pair(family);
	int fd = must("socket", socket(AF_PACKET, SOCK_RAW, 0));

	filter_port(fd, family, IPPROTO_UDP, port_of(pair.server));
	send_text(pair.client, "before it is bound");
	wait_for(pair.server, POLLIN);
	observe_quiet("unbound", fd, POLLIN);
	for (int i = 0; i < 3; i++) {
		packet_bind(fd, i % 2 ? 0 : lo_index(), ether_type(family));
		filter_port(fd, family, IPPROTO_UDP, port_of(pair.server));
		send_text(other.client, "for the other");
		send_text(pair.client, "for the first");
		observe_datagram("got", fd, family, ETH_HLEN);
		filter_port(fd, family, IPPROTO_UDP, port_of(other.server));
		send_text(pair.client, "for the first again");
		send_text(other.client, "for the other again");
		observe_datagram("got", fd, family, ETH_HLEN);
		packet_bind(fd, lo_index(), OTHER_TYPE);
		send_text(other.client, "for another type");
		observe_quiet("of another type", fd, POLLIN);
	}
}

/* Two with filters of their own, of which the host can have neither. */
SCENARIO_V4_V6(packet, sees_by_two_filters)
{
	struct pair a = udp_pair(family), b = udp_pair(family);
	int first = watch_port(SOCK_RAW, family, IPPROTO_UDP, port_of(a.server), ether_type(family));
	int second = watch_port(SOCK_RAW, family, IPPROTO_UDP, port_of(b.server), ETH_P_ALL);

	send_text(a.client, "for a");
	send_text(b.client, "for b");
	observe_datagram("first", first, family, ETH_HLEN);
	observe_datagram("second", second, family, ETH_HLEN);
	observe_datagram("second", second, family, ETH_HLEN);
	observe_quiet("first", first, POLLIN);
	observe_quiet("second", second, POLLIN);
	close(second);
	send_text(a.client, "for a again");
	observe_datagram("first", first, family, ETH_HLEN);
}

SCENARIO(packet, sees_after_reopening)
{
	struct pair pair = udp_pair(AF_INET);

	for (int i = 0; i < 4; i++) {
		int fd = watch_port(SOCK_RAW, AF_INET, IPPROTO_UDP, port_of(pair.server), i % 2 ? ETH_P_ALL : ETH_P_IP);

		send_text(pair.client, i % 2 ? "odd" : "even");
		observe_datagram("got", fd, AF_INET, ETH_HLEN);
		close(fd);
		send_text(pair.client, "unseen");
	}
}

/* A checksum that is yet to be made stays so, and the frame says so. */
SCENARIO_V4_V6(packet, checksum_to_come)
{
	struct pair pair = udp_pair(family);
	int fd = watch_port(SOCK_RAW, family, IPPROTO_UDP, port_of(pair.server), ETH_P_ALL);
	union {
		struct cmsghdr header;
		char space[256];
	} control;
	uint8_t frame[256];
	struct iovec iov = {frame, sizeof frame};

	set_option(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	send_text(pair.client, "hello");
	for (int i = 0; i < 2; i++) {
		struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
		struct tpacket_auxdata aux;

		wait_for(fd, POLLIN);
		if (observe_call("recvmsg", recvmsg(fd, &message, MSG_DONTWAIT)) < 0 || !CMSG_FIRSTHDR(&message))
			continue;
		memcpy(&aux, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof aux);
		OBSERVE("status %#x length %u of %u", aux.tp_status, aux.tp_snaplen, aux.tp_len);
	}
}

SCENARIO_V4_V6(packet, virtio_header_of_udp)
{
	struct pair pair = udp_pair(family);
	int fd = must("socket", socket(AF_PACKET, SOCK_RAW, 0));
	uint8_t frame[256];

	filter_port(fd, family, IPPROTO_UDP, port_of(pair.server));
	set_option(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	packet_bind(fd, lo_index(), ETH_P_ALL);
	send_text(pair.client, "hello");
	for (int i = 0; i < 2; i++) {
		struct virtio_net_hdr header;

		wait_for(fd, POLLIN);
		if (observe_call("recv", recv(fd, frame, sizeof frame, MSG_DONTWAIT)) < (long)sizeof header)
			continue;
		memcpy(&header, frame, sizeof header);
		OBSERVE("flags %u segments %u start %u offset %u", header.flags, header.gso_type, header.csum_start, header.csum_offset);
	}
}

/* Only what does not depend on when who acknowledges what. */
SCENARIO_V4_V6(packet, sees_tcp)
{
	int listener = tcp_listener(family), client, server, fd;
	struct address to = local_of(listener);
	size_t transport = family == AF_INET ? 20 : 40, bytes = 0;
	bool syn = false, syn_ack = false, fin = false;
	static uint8_t packet[70000];
	char text[4000];

	fd = watch_port(SOCK_DGRAM, family, IPPROTO_TCP, port_of(listener), ether_type(family));
	client = tcp_socket(family);
	must("connect", connect_fd(client, &to));
	server = accept_from(listener);
	fill_pattern(text, sizeof text, 5);
	send_all(client, text, sizeof text);
	must("shutdown", shutdown(client, SHUT_WR));
	OBSERVE("server got %zu", read_all(server, text, sizeof text));
	while (!fin && wait_for(fd, POLLIN)) {
		ssize_t n = recv(fd, packet, sizeof packet, MSG_DONTWAIT);
		const uint8_t *tcp = packet + transport;
		bool from_client = n > 0 && (tcp[2] << 8 | tcp[3]) == port_of(listener);

		if (n < (ssize_t)transport + 20)
			continue;
		syn |= from_client && (tcp[13] & 0x12) == 0x02;
		syn_ack |= !from_client && (tcp[13] & 0x12) == 0x12;
		if (from_client)
			bytes += (size_t)n - transport - (size_t)(tcp[12] >> 4) * 4;
		fin |= from_client && tcp[13] & 0x01;
	}
	OBSERVE("SYN %d, answered %d, FIN %d, all bytes %d", syn, syn_ack, fin, bytes >= sizeof text); /* some may be sent twice */
}

/* ---- in rings ----------------------------------------------------------------------------------- */

SCENARIO_V4_V6(packet, ring_sees_udp)
{
	struct pair pair = udp_pair(family);
	struct tpacket_req request = {.tp_block_size = 16384, .tp_block_nr = 2, .tp_frame_size = 2048, .tp_frame_nr = 16};
	int fd = must("socket", socket(AF_PACKET, SOCK_RAW, 0));
	uint8_t *map;

	filter_port(fd, family, IPPROTO_UDP, port_of(pair.server));
	set_option(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
	must("ring", setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request));
	map = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must("mmap", map == MAP_FAILED ? -1 : 0);
	packet_bind(fd, lo_index(), ETH_P_ALL);
	for (unsigned i = 0; i < 20; i++) {
		struct tpacket2_hdr *header = (void *)(map + (size_t)(i % 16) * 2048);
		const struct sockaddr_ll *name = (const void *)((uint8_t *)header + TPACKET_ALIGN(sizeof *header));
		uint32_t status = 0;

		if (i % 2 == 0)
			send_text(pair.client, i % 4 ? "odd" : "even one");
		for (int64_t end = now_ms() + WAIT_MS; !(status & TP_STATUS_USER) && now_ms() < end;) {
			wait_for(fd, POLLIN);
			status = __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
		}
		OBSERVE("status %#x, %u of %u, %s", status & ~(uint32_t)TP_STATUS_TS_SOFTWARE, header->tp_snaplen, header->tp_len,
		        kind_name(name->sll_pkttype));
		if (status & TP_STATUS_USER && header->tp_snaplen > ETH_HLEN + udp_payload(family))
			observe_bytes("payload", (uint8_t *)header + header->tp_mac + ETH_HLEN + udp_payload(family),
			              (ssize_t)(header->tp_snaplen - ETH_HLEN - udp_payload(family)));
		__atomic_store_n(&header->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	}
	observe_statistics("all", fd);
}

/* The datagrams of one flow are for one socket. */
SCENARIO_V4_V6(packet, fanout_of_flows)
{
	struct pair pair = udp_pair(family);
	int a = watch_port(SOCK_RAW, family, IPPROTO_UDP, port_of(pair.server), ether_type(family));
	int b = watch_port(SOCK_RAW, family, IPPROTO_UDP, port_of(pair.server), ether_type(family));
	int value = process_id() | PACKET_FANOUT_HASH << 16, first = 0, second = 0;

	set_option(a, SOL_PACKET, PACKET_FANOUT, value);
	set_option(b, SOL_PACKET, PACKET_FANOUT, value);
	for (int i = 0; i < 20; i++)
		send_text(pair.client, "hello");
	for (int64_t end = now_ms() + WAIT_MS; first + second < 20 && now_ms() < end; pause_ms(2)) {
		first += recv(a, &(char){0}, 1, MSG_DONTWAIT) >= 0;
		second += recv(b, &(char){0}, 1, MSG_DONTWAIT) >= 0;
	}
	OBSERVE("%d, one has all %d", first + second, !first || !second);
	observe_quiet("first", a, POLLIN);
	observe_quiet("second", b, POLLIN);
}

/* ---- sent --------------------------------------------------------------------------------------- */

/* IPv4's 127.0.0.1 is refused from outside the stack; ::1 is not. */
struct datagram {
	struct virtio_net_hdr virtio; /* left out by most */
	struct ethhdr ethernet;
	struct ip6_hdr ip;
	struct udphdr udp;
	char text[6];
} __attribute__((packed));

static const size_t frame_len = sizeof(struct datagram) - offsetof(struct datagram, ethernet);

static const uint8_t *
frame_of(const struct datagram *datagram)
{
	return (const uint8_t *)datagram + offsetof(struct datagram, ethernet);
}

static uint16_t
sum_of(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static struct datagram
datagram_to(uint16_t port)
{
	struct datagram datagram = {
		.ethernet = {.h_proto = htons(ETH_P_IPV6)},
		.ip = {.ip6_src = IN6ADDR_LOOPBACK_INIT, .ip6_dst = IN6ADDR_LOOPBACK_INIT},
		.udp = {.uh_sport = htons(7), .uh_dport = htons(port), .uh_ulen = htons(14)},
	};

	memcpy(datagram.text, "made", 5);
	datagram.ip.ip6_flow = htonl(6u << 28);
	datagram.ip.ip6_plen = htons(14);
	datagram.ip.ip6_nxt = IPPROTO_UDP;
	datagram.ip.ip6_hlim = 64;
	datagram.udp.uh_sum = htons((uint16_t)~sum_of(14 + IPPROTO_UDP, frame_of(&datagram) + ETH_HLEN + 8, 32 + 14));
	return datagram;
}

SCENARIO(packet, reaches_udp)
{
	int server = udp_bound(AF_INET6), raw = packet_socket(SOCK_RAW), dgram = packet_socket(SOCK_DGRAM);
	struct datagram datagram = datagram_to(port_of(server));
	struct sockaddr_ll to = link_name(lo_index(), ETH_P_IPV6);

	observe_call("raw", sendto(raw, frame_of(&datagram), frame_len, 0, (struct sockaddr *)&to, sizeof to));
	observe_poll("server", server, POLLIN, POLLIN);
	observe_recv("server", server, 64, MSG_DONTWAIT);
	observe_call("dgram", sendto(dgram, frame_of(&datagram) + ETH_HLEN, frame_len - ETH_HLEN, 0, (struct sockaddr *)&to, sizeof to));
	observe_poll("server", server, POLLIN, POLLIN);
	observe_recv("server", server, 64, MSG_DONTWAIT);
	datagram.udp.uh_sum ^= 1;
	observe_call("a wrong checksum", sendto(raw, frame_of(&datagram), frame_len, 0, (struct sockaddr *)&to, sizeof to));
	observe_quiet("server", server, POLLIN);
}

SCENARIO(packet, reaches_udp_by_other_ways)
{
	int server = udp_bound(AF_INET6), bypass = packet_socket(SOCK_RAW), bound = packet_socket(SOCK_RAW);
	int virtio = packet_socket(SOCK_RAW);
	struct datagram datagram = datagram_to(port_of(server));
	struct sockaddr_ll to = link_name(lo_index(), ETH_P_IPV6);

	set_option(bypass, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
	observe_call("without a queue", sendto(bypass, frame_of(&datagram), frame_len, 0, (struct sockaddr *)&to, sizeof to));
	observe_poll("server", server, POLLIN, POLLIN);
	observe_recv("server", server, 64, MSG_DONTWAIT);
	packet_bind(bound, lo_index(), 0);
	observe_call("write", write(bound, frame_of(&datagram), frame_len));
	observe_poll("server", server, POLLIN, POLLIN);
	observe_recv("server", server, 64, MSG_DONTWAIT);
	/* Its checksum is left to whoever sends it: the field has that of the pseudo-header. */
	set_option(virtio, SOL_PACKET, PACKET_VNET_HDR, 1);
	datagram.virtio = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = ETH_HLEN + 40, .csum_offset = 6};
	datagram.udp.uh_sum = htons(sum_of(14 + IPPROTO_UDP, frame_of(&datagram) + ETH_HLEN + 8, 32));
	observe_call("checksum to come", sendto(virtio, &datagram, sizeof datagram, 0, (struct sockaddr *)&to, sizeof to));
	observe_poll("server", server, POLLIN, POLLIN);
	observe_recv("server", server, 64, MSG_DONTWAIT);
}

SCENARIO(packet, reaches_udp_by_ring)
{
	int server = udp_bound(AF_INET6), fd = packet_socket(SOCK_RAW);
	struct datagram datagram = datagram_to(port_of(server));
	struct tpacket_req request = {.tp_block_size = 16384, .tp_block_nr = 2, .tp_frame_size = 2048, .tp_frame_nr = 16};
	uint8_t *map;

	set_option(fd, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
	must("ring", setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof request));
	map = mmap(NULL, 32768, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must("mmap", map == MAP_FAILED ? -1 : 0);
	packet_bind(fd, lo_index(), 0);
	for (size_t i = 0; i < 16; i++) {
		struct tpacket2_hdr *header = (void *)(map + i * 2048);

		memcpy((uint8_t *)header + TPACKET2_HDRLEN - sizeof(struct sockaddr_ll), frame_of(&datagram), frame_len);
		header->tp_len = (uint32_t)frame_len;
		__atomic_store_n(&header->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	}
	observe_call("send", send(fd, NULL, 0, 0));
	for (int i = 0; i < 16; i++) {
		wait_for(server, POLLIN);
		observe_recv("server", server, 64, MSG_DONTWAIT);
	}
	observe_quiet("server", server, POLLIN);
}

/* There and back: an answer of the host's stack to what was made by hand. */
SCENARIO(packet, is_answered)
{
	int server = udp_bound(AF_INET6), fd = watch_port(SOCK_RAW, AF_INET6, IPPROTO_UDP, port_of(server), ETH_P_IPV6);
	struct datagram datagram = datagram_to(port_of(server));
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	char text[64];

	observe_call("send", send(fd, frame_of(&datagram), frame_len, 0));
	observe_datagram("its own", fd, AF_INET6, ETH_HLEN);
	wait_for(server, POLLIN);
	observe_call("recvfrom", recvfrom(server, text, sizeof text, MSG_DONTWAIT, (struct sockaddr *)&from, &len));
	must("sendto", sendto(server, "answer", 6, 0, (struct sockaddr *)&from, len));
	observe_datagram("the answer", fd, AF_INET6, ETH_HLEN);
	observe_quiet("no more", fd, POLLIN);
}
