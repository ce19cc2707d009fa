/*
 * A set of structs keyed by a uint64_t that is each struct's first member, on POSIX's tsearch(3).
 */
#ifndef SPLITSOCK_COMMON_TABLE_H
#define SPLITSOCK_COMMON_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table {
	void *root;
	size_t count;
};

/* The entry with this key, or NULL. */
void *table_find(const struct table *table, uint64_t key);
/* Adds an entry whose key is not there yet. Returns false when out of memory. The table does not own entries. */
bool table_add(struct table *table, void *entry);
void table_remove(struct table *table, void *entry);
/* Any entry, or NULL when empty: for emptying a table while its entries remove themselves. */
void *table_any(const struct table *table);
/* The entry with the smallest key above this one, or NULL. */
void *table_after(const struct table *table, uint64_t key);
/* Visits every entry in key order. The visitor must not change the table. */
void table_visit(const struct table *table, void (*visit)(void *entry, void *arg), void *arg);

#endif
