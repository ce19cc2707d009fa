#include "gofer/packet_rate.h"

#include <stdlib.h>

#include "common/clock.h"
#include "gofer/gofer.h"

/* After so long a bucket is full, as a new one is. */
#define FULL_MS 1000

static void
forget_full_ones(struct gofer *gofer)
{
	int64_t now = now_ms();

	for (struct packet_rate **at = &gofer->packet_rates; *at;) {
		struct packet_rate *rate = *at;

		if (rate->holders || now - rate->left_ms <= FULL_MS) {
			at = &rate->next;
			continue;
		}
		*at = rate->next;
		free(rate);
	}
}

struct packet_rate *
packet_rate_hold(struct gofer *gofer, const struct packet_grant *grant, uint64_t uid, int interface)
{
	struct packet_rate *rate;

	forget_full_ones(gofer);
	for (rate = gofer->packet_rates; rate; rate = rate->next)
		if (rate->grant == grant && rate->uid == uid && rate->interface == interface)
			break;
	if (!rate) {
		rate = calloc(1, sizeof *rate);
		if (!rate)
			return NULL;
		*rate = (struct packet_rate){.next = gofer->packet_rates, .grant = grant, .uid = uid, .interface = interface,
		                             .frames_per_second = grant->frames_per_second, .bytes_per_second = grant->bytes_per_second};
		gofer->packet_rates = rate;
	}
	rate->holders++;
	return rate;
}

void
packet_rate_release(struct packet_rate *rate)
{
	if (rate && --rate->holders == 0)
		rate->left_ms = now_ms();
}

void
packet_rates_free(struct gofer *gofer)
{
	while (gofer->packet_rates) {
		struct packet_rate *rate = gofer->packet_rates;

		gofer->packet_rates = rate->next;
		free(rate);
	}
}

bool
packet_rate_take(struct packet_rate *rate, enum frame_direction direction, size_t len, int64_t now_ms)
{
	return bucket_take(&rate->frames[direction], rate->frames_per_second, 1, now_ms) &&
	       bucket_take(&rate->bytes[direction], rate->bytes_per_second, len, now_ms);
}
