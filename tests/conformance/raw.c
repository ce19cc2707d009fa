#include "tests/conformance/raw.h"

#include <linux/filter.h>
#include <stdio.h>

uint32_t
raw_tag(void)
{
	return 0x53000000u | ((uint32_t)getpid() & 0xffffffu);
}

int
raw_socket(int family, int protocol)
{
	int fd = socket(family, SOCK_RAW, protocol);

	if (fd < 0 && errno == EPERM) {
		observe_call("socket", fd);
		_exit(0);
	}
	return must("socket", fd);
}

void
raw_take_only(int fd, unsigned offset, uint32_t number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {sizeof code / sizeof *code, code};

	must("SO_ATTACH_FILTER", setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
	/* What came before the filter, and may still be on its way. */
	for (int i = 0; i < 3; i++) {
		int priority;
		socklen_t length = sizeof priority;
		char drop;

		must("SO_PRIORITY", getsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, &length));
		while (recv(fd, &drop, sizeof drop, MSG_DONTWAIT) >= 0)
			;
	}
}

int
raw_own(int family, int protocol, unsigned skip)
{
	int fd = raw_socket(family, protocol);

	raw_take_only(fd, (family == AF_INET ? sizeof(struct iphdr) : 0) + skip, raw_tag());
	return fd;
}

size_t
raw_payload(char *out, const char *text)
{
	uint32_t tag = htonl(raw_tag());

	memcpy(out, &tag, sizeof tag);
	memcpy(out + sizeof tag, text, strlen(text));
	return sizeof tag + strlen(text);
}

ssize_t
raw_send(int fd, const char *text, const struct address *to, int flags)
{
	char packet[256];
	size_t length = raw_payload(packet, text);

	return sendto(fd, packet, length, flags, to ? SA(to) : NULL, to ? to->length : 0);
}

uint16_t
raw_checksum(const void *data, size_t length)
{
	const uint8_t *bytes = data;
	uint32_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

size_t
raw_echo(int family, char *out, uint16_t id, uint16_t sequence, const char *text)
{
	struct icmphdr header = {
		.type = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST,
		.un.echo = {.id = htons(id), .sequence = htons(sequence)},
	};
	size_t length = sizeof header + raw_payload(out + sizeof header, text);

	memcpy(out, &header, sizeof header);
	if (family == AF_INET) {
		header.checksum = raw_checksum(out, length);
		memcpy(out, &header, sizeof header);
	}
	return length;
}

size_t
raw_header(char *out, int protocol, const char *from, const char *to, size_t payload)
{
	struct iphdr header = {.version = 4, .ihl = 5, .ttl = 9, .protocol = (uint8_t)protocol};

	header.tot_len = htons((uint16_t)(sizeof header + payload));
	must(from, inet_pton(AF_INET, from, &header.saddr) - 1);
	must(to, inet_pton(AF_INET, to, &header.daddr) - 1);
	memcpy(out, &header, sizeof header);
	return sizeof header;
}

size_t
raw_header6(char *out, int protocol, size_t payload)
{
	struct ip6_hdr header = {.ip6_src = IN6ADDR_LOOPBACK_INIT, .ip6_dst = IN6ADDR_LOOPBACK_INIT};

	header.ip6_flow = htonl(6u << 28);
	header.ip6_plen = htons((uint16_t)payload);
	header.ip6_nxt = (uint8_t)protocol;
	header.ip6_hlim = 9;
	memcpy(out, &header, sizeof header);
	return sizeof header;
}

size_t
raw_udp(char *out, uint16_t from, uint16_t to, const char *text)
{
	struct udphdr header = {.source = htons(from), .dest = htons(to)};
	size_t length = sizeof header + raw_payload(out + sizeof header, text);

	header.len = htons((uint16_t)length);
	memcpy(out, &header, sizeof header);
	return length;
}

static size_t
observe_header(const char *what, const uint8_t *data, size_t length)
{
	char from[INET_ADDRSTRLEN], to[INET_ADDRSTRLEN];
	struct iphdr header;
	size_t size;

	memcpy(&header, data, sizeof header);
	size = header.ihl * 4u;
	inet_ntop(AF_INET, &header.saddr, from, sizeof from);
	inet_ntop(AF_INET, &header.daddr, to, sizeof to);
	OBSERVE("%s: header %zu total %s tos %#x fragment %#x ttl %d protocol %d checksum %s from %s to %s", what, size,
	        ntohs(header.tot_len) == length ? "right" : "other", header.tos, ntohs(header.frag_off), header.ttl, header.protocol,
	        size <= length && raw_checksum(data, size) == 0 ? "good" : "bad", from, to);
	return size <= length ? size : length;
}

void
observe_packet_bytes(const char *what, int family, const void *data, ssize_t n)
{
	uint8_t *copy = must_alloc(PACKET_MAX);
	uint32_t tag = htonl(raw_tag());
	size_t header = 0;

	if (n < 0) {
		observe_bytes(what, data, n);
		return;
	}
	memcpy(copy, data, (size_t)n);
	if (family == AF_INET && (size_t)n >= sizeof(struct iphdr))
		header = observe_header(what, copy, (size_t)n);
	/* Whatever depends on the tag. */
	for (size_t i = header; i + sizeof tag <= (size_t)n && i < header + 120; i++) {
		if (memcmp(copy + i, &tag, sizeof tag) != 0)
			continue;
		memcpy(copy + i, "TAG!", sizeof tag);
		if (i >= header + 8)
			memset(copy + header + 2, 0, 2); /* of an ICMP message, the checksum */
	}
	observe_bytes(what, copy + header, n - (ssize_t)header);
	free(copy);
}

ssize_t
observe_received(const char *what, int family, int fd, int flags)
{
	char *data = must_alloc(PACKET_MAX);
	struct sockaddr_storage from = {0};
	socklen_t length = sizeof from;
	ssize_t n;

	if (!wait_for(fd, POLLIN))
		OBSERVE("%s: nothing came", what);
	n = recvfrom(fd, data, PACKET_MAX, flags | MSG_DONTWAIT, (struct sockaddr *)&from, &length);
	observe_packet_bytes(what, family, data, n);
	if (n >= 0)
		observe_address(what, &from, length);
	free(data);
	return n;
}
