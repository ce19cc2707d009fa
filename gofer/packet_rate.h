/*
 * What a user's packet sockets have had of a grant's rates: on one interface, in all of the user's sessions together.
 */
#ifndef SPLITSOCK_GOFER_PACKET_RATE_H
#define SPLITSOCK_GOFER_PACKET_RATE_H

#include "gofer/policy.h"

struct gofer;

struct packet_rate {
	struct packet_rate *next; /* gofer.packet_rates */
	const struct packet_grant *grant; /* which; it may be gone */
	uint64_t frames_per_second, bytes_per_second; /* its; 0: no limit */
	uint64_t uid;
	int interface;
	unsigned holders;
	int64_t left_ms; /* when the last one went */
	struct token_bucket frames[2], bytes[2]; /* by frame_direction */
};

/* To be released. NULL: no memory. */
struct packet_rate *packet_rate_hold(struct gofer *gofer, const struct packet_grant *grant, uint64_t uid, int interface);
/* It is kept until its second is over, so that a new session does not begin with a new one. Takes NULL. */
void packet_rate_release(struct packet_rate *rate);
/* When no mirror is left. */
void packet_rates_free(struct gofer *gofer);

/* May a frame of this length pass? now_ms: monotonic. */
bool packet_rate_take(struct packet_rate *rate, enum frame_direction direction, size_t len, int64_t now_ms);

#endif
