#include "common/table.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct entry {
	uint64_t key;
	bool in;
};

Test(table, an_empty_one_has_nothing)
{
	struct table table = {0};

	cr_assert_null(table_find(&table, 0));
	cr_assert_null(table_find(&table, UINT64_MAX));
	cr_assert_null(table_any(&table));
	cr_assert_eq(table.count, 0);
}

Test(table, extreme_keys_are_keys)
{
	static const uint64_t keys[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX};
	struct entry entries[sizeof keys / sizeof *keys];
	struct table table = {0};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		entries[i].key = keys[i];
		cr_assert(table_add(&table, &entries[i]));
	}
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		cr_assert_eq(table_find(&table, keys[i]), &entries[i]);
	cr_assert_null(table_find(&table, 2));
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		table_remove(&table, &entries[i]);
	cr_assert_eq(table.count, 0);
}

Test(table, removing_what_is_not_there_changes_nothing)
{
	struct entry a = {.key = 5}, b = {.key = 6};
	struct table table = {0};

	cr_assert(table_add(&table, &a));
	table_remove(&table, &b);
	cr_assert_eq(table.count, 1);
	cr_assert_eq(table_find(&table, 5), &a);
	table_remove(&table, &a);
	table_remove(&table, &a);
	cr_assert_eq(table.count, 0);
}

struct order {
	uint64_t last;
	size_t seen;
};

static void
check_order(void *entry, void *arg)
{
	struct order *order = arg;
	const struct entry *e = entry;

	cr_assert(e->in, "a visited entry is in the table");
	cr_assert(!order->seen || e->key > order->last, "entries come in key order");
	order->last = e->key;
	order->seen++;
}

/* Against a plain array, with keys that come and go. */
Test(table, it_is_a_set)
{
	enum { KEYS = 500 };
	static struct entry entries[KEYS];
	struct table table = {0};
	size_t in = 0;
	uint64_t random = 99;

	for (int i = 0; i < KEYS; i++)
		entries[i].key = (uint64_t)i * 0x9e3779b97f4a7c15u;
	for (int round = 0; round < 50000; round++) {
		struct entry *e;

		random = random * 6364136223846793005u + 1442695040888963407u;
		e = &entries[(random >> 33) % KEYS];
		cr_assert_eq(table_find(&table, e->key), e->in ? e : NULL);
		if (e->in) {
			table_remove(&table, e);
			in--;
		} else {
			cr_assert(table_add(&table, e));
			in++;
		}
		e->in = !e->in;
		cr_assert_eq(table.count, in);
		if (round % 1000 == 0) {
			struct order order = {0};

			table_visit(&table, check_order, &order);
			cr_assert_eq(order.seen, in);
		}
	}
	while (in) {
		struct entry *e = table_any(&table);

		cr_assert_not_null(e);
		cr_assert(e->in);
		e->in = false;
		table_remove(&table, e);
		in--;
	}
	cr_assert_null(table_any(&table));
	cr_assert_null(table.root, "an empty table holds no memory");
}

Test(table, keys_in_ascending_order_do_not_make_it_slow)
{
	enum { KEYS = 200000 };
	struct entry *entries = calloc(KEYS, sizeof *entries);
	struct table table = {0};

	/* Handles are counted up: a tree without balance would need 20 billion steps here. */
	for (uint64_t i = 0; i < KEYS; i++) {
		entries[i].key = i;
		cr_assert(table_add(&table, &entries[i]));
	}
	for (uint64_t i = 0; i < KEYS; i++)
		cr_assert_eq(table_find(&table, i), &entries[i]);
	for (uint64_t i = 0; i < KEYS; i++)
		table_remove(&table, &entries[i]);
	cr_assert_eq(table.count, 0);
	free(entries);
}

Test(table, what_comes_after_a_key)
{
	enum { MANY = 1000 };
	static struct entry entries[MANY];
	struct table table = {0};
	uint64_t key = 0;
	size_t seen = 0;
	struct entry *entry;

	cr_assert_null(table_after(&table, 0));
	/* Every third key from 3 on, added in no order. */
	for (size_t i = 0; i < MANY; i++) {
		entries[i].key = (i * 617 % MANY + 1) * 3;
		cr_assert(table_add(&table, &entries[i]));
	}
	for (; (entry = table_after(&table, key)); seen++) {
		cr_assert_eq(entry->key, (seen + 1) * 3);
		for (uint64_t below = key; below < entry->key; below++)
			cr_assert_eq(table_after(&table, below), entry);
		key = entry->key;
	}
	cr_assert_eq(seen, MANY);
	cr_assert_null(table_after(&table, UINT64_MAX));
	for (size_t i = 0; i < MANY; i++)
		table_remove(&table, &entries[i]);
}
