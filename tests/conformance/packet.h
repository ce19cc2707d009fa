/*
 * Packet sockets on lo, for scenarios. Others' frames pass there, too: ours are of an ether type for experiments and start with
 * four bytes that no other process has, and every socket has a filter for them before it is bound.
 */
#ifndef TESTS_CONFORMANCE_PACKET_H
#define TESTS_CONFORMANCE_PACKET_H

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>

#include "tests/conformance/scenario.h"

enum {
	TEST_TYPE = 0x88b5,  /* IEEE 802: local experiments */
	OTHER_TYPE = 0x88b6,
	ID_LEN = 4,
	TEXT_MAX = 2048,
	FRAME_MAX = ETH_HLEN + ID_LEN + TEXT_MAX,
};

int lo_index(void);
/* For a fanout group and the like: of this process only, while it lives. */
uint16_t process_id(void);

/* A socket for nothing yet, with the filter. */
int packet_socket(int type);
/* The filter for our frames, of which the socket gets `keep` bytes at most. */
void packet_filter(int fd, uint32_t keep);
/* bind(2) to an interface and a protocol (host order); must succeed. */
void packet_bind(int fd, int index, int protocol);
/* Both: for one protocol of lo. */
int packet_bound(int type, int protocol);

struct sockaddr_ll link_name(int index, int protocol);
/* A frame to `to` (NULL: lo's own address) of this type (host order) with our id. Returns its length. */
size_t frame_make(void *frame, const uint8_t *to, int protocol, const char *text);
/* Sends such a frame of TEST_TYPE to lo through a socket of SOCK_RAW, which may be unbound. Must succeed. */
void frame_send(int fd, const char *text);

/* "to 02:… from 02:… type 0x88b5 id "text"": the id is not printed, but that it is there. */
void observe_frame(const char *what, const void *frame, size_t len);
/* Of a SOCK_DGRAM socket: from the id on. */
void observe_body(const char *what, const void *body, size_t len);
void observe_link_name(const char *what, const struct sockaddr_ll *name, socklen_t len);
/* Waits for a frame and prints it with its sender's name. */
void observe_packet(const char *what, int fd);
/* Its text and kind only. */
void observe_text(const char *what, int fd);
/* Its first four bytes, and the length, with room for so many. */
void observe_option_bytes(const char *what, int fd, int level, int option, size_t room);
/* PACKET_STATISTICS, which it resets. */
void observe_statistics(const char *what, int fd);
/* Rings of a plain geometry, of more blocks than frames that wait at once: on a slow machine each may have a block of version 3. */
enum { RING_BLOCK = 4096, RING_SLOT = 2048, RING_SLOTS = 32 };
struct tpacket_req3 ring_request(void);
/* Sets one up, PACKET_RX_RING or PACKET_TX_RING, of this version, and maps it. */
uint8_t *ring_make(int fd, int option, int version);

const char *kind_name(int kind); /* "OUTGOING" */

#endif
