#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>

#include "gofer/names.h"

static const uint8_t one[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}, two[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 2};

Test(names, live_as_long_as_their_ttl)
{
	struct names names = {.count = 0};
	const char *found[NAMES_OF_ADDRESS_MAX];

	cr_assert(names_learn(&names, one, "a.example", 60, 1000));
	cr_assert(names_learn(&names, one, "b.example", 3600, 1000));
	cr_assert(names_learn(&names, two, "b.example", 0, 1000));
	cr_expect(eq(sz, names_of(&names, one, 1000, found), 2));
	cr_expect(eq(sz, names_of(&names, one, 60999, found), 2));
	cr_assert(eq(sz, names_of(&names, one, 61000, found), 1));
	cr_expect(eq(str, (char *)found[0], "b.example"));
	/* A program connects a while after it has resolved. */
	cr_expect(eq(sz, names_of(&names, two, 1000 + 1000 * NAMES_TTL_MIN - 1, found), 1));
	cr_expect(eq(sz, names_of(&names, two, 1000 + 1000 * NAMES_TTL_MIN, found), 0));
	names_free(&names);
	cr_expect(eq(sz, names.count, 0));
}

Test(names, the_longest_of_several_answers_counts)
{
	struct names names = {.count = 0};
	const char *found[NAMES_OF_ADDRESS_MAX];

	cr_assert(names_learn(&names, one, "a.example", 100, 0));
	cr_assert(names_learn(&names, one, "a.example", 40, 0));
	cr_expect(eq(sz, names.count, 1));
	cr_expect(eq(sz, names_of(&names, one, 99999, found), 1));
	cr_assert(names_learn(&names, one, "a.example", UINT32_MAX, 0));
	cr_expect(eq(sz, names_of(&names, one, 1000 * (int64_t)NAMES_TTL_MAX - 1, found), 1));
	cr_expect(eq(sz, names_of(&names, one, 1000 * (int64_t)NAMES_TTL_MAX, found), 0));
	names_free(&names);
}

Test(names, are_limited_and_the_first_to_end_goes)
{
	struct names names = {.count = 0};
	const char *found[NAMES_OF_ADDRESS_MAX];

	cr_assert(names_learn(&names, two, "kept.example", 7200, 0));
	cr_assert(names_learn(&names, two, "goes.example", 60, 0));
	for (unsigned i = 0; i < NAMES_MAX - 1; i++) {
		char name[32];
		uint8_t address[16] = {0x20, 0x01, 0x0d, 0xb8, [14] = (uint8_t)(i >> 8), (uint8_t)i};

		snprintf(name, sizeof name, "n%u.example", i);
		cr_assert(names_learn(&names, address, name, 3600, 0));
	}
	cr_expect(eq(sz, names.count, NAMES_MAX));
	cr_assert(eq(sz, names_of(&names, two, 0, found), 1));
	cr_expect(eq(str, (char *)found[0], "kept.example"));
	for (unsigned i = 0; i < 2 * NAMES_OF_ADDRESS_MAX; i++) {
		char name[32];

		snprintf(name, sizeof name, "m%u.example", i);
		cr_assert(names_learn(&names, one, name, 7200, 0));
	}
	cr_assert(eq(sz, names_of(&names, one, 0, found), NAMES_OF_ADDRESS_MAX));
	cr_expect(eq(str, (char *)found[0], "m31.example"), "the last one is the first");
	names_free(&names);
}
