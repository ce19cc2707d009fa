/*
 * Raw and ping sockets. All of them see what others on the loopback do, so a packet here carries this process's tag, and a socket made by
 * raw_own() takes only packets that have it.
 */
#ifndef TESTS_CONFORMANCE_RAW_H
#define TESTS_CONFORMANCE_RAW_H

#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

#include "tests/conformance/message.h"

enum {
	RAW_PROTOCOL = 253, /* for experiments: nobody's */
	TAG_SIZE = 4,
	PACKET_MAX = 65536,
};

/* A raw socket. Where there may be none, the scenario says so and ends: both sides then have to. */
int raw_socket(int family, int protocol);
/* One that takes packets with our tag right behind the IP header, or behind `skip` more bytes. */
int raw_own(int family, int protocol, unsigned skip);
/* Only packets with this number at this offset: of the IP header in IPv4, of what is behind it in IPv6. */
void raw_take_only(int fd, unsigned offset, uint32_t number);
uint32_t raw_tag(void); /* host byte order */

/* Tag and text. Returns the length. */
size_t raw_payload(char *out, const char *text);
ssize_t raw_send(int fd, const char *text, const struct address *to, int flags);

uint16_t raw_checksum(const void *data, size_t length);
/* An echo request with our tag, checksum and all for ICMP. Returns its length. */
size_t raw_echo(int family, char *out, uint16_t id, uint16_t sequence, const char *text);
/* A header as a program writes it; what the kernel fills in is 0. Returns its length. */
size_t raw_header(char *out, int protocol, const char *from, const char *to, size_t payload);
size_t raw_header6(char *out, int protocol, size_t payload);
/* A UDP packet with our tag. Returns its length. */
size_t raw_udp(char *out, uint16_t from, uint16_t to, const char *text);

/* Waits for a packet and prints it: the IPv4 header taken apart, the tag by that name. */
ssize_t observe_received(const char *what, int family, int fd, int flags);
void observe_packet_bytes(const char *what, int family, const void *data, ssize_t n);

#endif
