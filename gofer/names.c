#include "gofer/names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct name {
	struct name *next; /* in its bucket */
	uint8_t address[16];
	int64_t until_ms;
	char text[];
};

static struct name **
bucket_of(struct names *names, const uint8_t address[16])
{
	uint64_t halves[2];

	memcpy(halves, address, sizeof halves);
	return &names->buckets[(((halves[0] ^ names->seed) * 0x9e3779b97f4a7c15 ^ halves[1] ^ names->seed >> 32) * 0x9e3779b97f4a7c15) >> 56];
}

static void
remove_at(struct names *names, struct name **at)
{
	struct name *name = *at;

	*at = name->next;
	free(name);
	names->count--;
}

static void
remove_earliest(struct names *names)
{
	struct name **earliest = NULL;

	for (size_t i = 0; i < NAMES_BUCKETS; i++)
		for (struct name **at = &names->buckets[i]; *at; at = &(*at)->next)
			if (!earliest || (*at)->until_ms < (*earliest)->until_ms)
				earliest = at;
	remove_at(names, earliest);
}

bool
names_learn(struct names *names, const uint8_t address[16], const char *text, uint32_t ttl, int64_t now_ms)
{
	int64_t until_ms = now_ms + 1000 * (int64_t)(ttl < NAMES_TTL_MIN ? NAMES_TTL_MIN : ttl > NAMES_TTL_MAX ? NAMES_TTL_MAX : ttl);
	size_t len = strlen(text);
	struct name **bucket, *name;

	if (!names->count)
		(void)!getrandom(&names->seed, sizeof names->seed, 0); /* an unlucky seed costs time, no more */
	bucket = bucket_of(names, address);
	for (name = *bucket; name; name = name->next)
		if (memcmp(name->address, address, sizeof name->address) == 0 && strcmp(name->text, text) == 0) {
			/* Each answer stands on its own: an earlier one that gave it longer still does. */
			if (name->until_ms < until_ms)
				name->until_ms = until_ms;
			return true;
		}
	if (names->count == NAMES_MAX)
		remove_earliest(names);
	name = malloc(sizeof *name + len + 1);
	if (!name)
		return false;
	name->until_ms = until_ms;
	memcpy(name->address, address, sizeof name->address);
	memcpy(name->text, text, len + 1);
	name->next = *bucket;
	*bucket = name;
	names->count++;
	return true;
}

size_t
names_of(struct names *names, const uint8_t address[16], int64_t now_ms, const char *found[NAMES_OF_ADDRESS_MAX])
{
	size_t count = 0;

	for (struct name **at = bucket_of(names, address); *at;) {
		if ((*at)->until_ms <= now_ms) {
			remove_at(names, at);
			continue;
		}
		if (memcmp((*at)->address, address, 16) == 0 && count < NAMES_OF_ADDRESS_MAX)
			found[count++] = (*at)->text;
		at = &(*at)->next;
	}
	return count;
}

void
names_free(struct names *names)
{
	for (size_t i = 0; i < NAMES_BUCKETS; i++)
		while (names->buckets[i])
			remove_at(names, &names->buckets[i]);
}
