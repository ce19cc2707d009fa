/*
 * The domain names that a client has learned for addresses, while they live: what a policy's rules by name look at.
 */
#ifndef SPLITSOCK_GOFER_NAMES_H
#define SPLITSOCK_GOFER_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pairs of address and name of one client; the one that ends first makes room. */
#define NAMES_MAX 1024u

/* Names of one address that a decision looks at; those learned last. */
#define NAMES_OF_ADDRESS_MAX 16

/*
 * A name lives as long as its record's TTL says, but at least this long, as a program connects a while after it has resolved, and not for ever.
 */
#define NAMES_TTL_MIN 30u
#define NAMES_TTL_MAX 86400u

#define NAMES_BUCKETS 256u

struct names {
	struct name *buckets[NAMES_BUCKETS];
	size_t count;
	uint64_t seed; /* so that a client cannot choose addresses of one bucket */
};

/* Times are the monotonic clock's, in ms. `address`: IPv4 as v4-mapped. False when out of memory. */
bool names_learn(struct names *names, const uint8_t address[16], const char *name, uint32_t ttl, int64_t now_ms);
/* Those of the address that live. They are the table's own and stay until the next names_learn(). Returns how many. */
size_t names_of(struct names *names, const uint8_t address[16], int64_t now_ms, const char *found[NAMES_OF_ADDRESS_MAX]);
void names_free(struct names *names);

#endif
