#include "common/table.h"

#include <search.h>

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void *
table_find(const struct table *table, uint64_t key)
{
	void *node = tfind(&key, &table->root, compare);

	return node ? *(void **)node : NULL;
}

bool
table_add(struct table *table, void *entry)
{
	if (!tsearch(entry, &table->root, compare))
		return false;
	table->count++;
	return true;
}

void
table_remove(struct table *table, void *entry)
{
	if (tdelete(entry, &table->root, compare))
		table->count--;
}

static int
compare_none(const void *a, const void *b)
{
	(void)a;
	(void)b;
	return 0;
}

void *
table_any(const struct table *table)
{
	void *node = tfind("", &table->root, compare_none);

	return node ? *(void **)node : NULL;
}

struct above {
	uint64_t key; /* first, as in an entry */
	void *best;
};

/* Finds nothing: on its way down it passes the entry that is wanted, where it last turned left. */
static int
compare_above(const void *a, const void *b)
{
	struct above *above = (struct above *)a;

	if (*(const uint64_t *)b <= above->key)
		return 1;
	above->best = (void *)b;
	return -1;
}

void *
table_after(const struct table *table, uint64_t key)
{
	struct above above = {.key = key};

	tfind(&above, &table->root, compare_above);
	return above.best;
}

struct visit {
	void (*visit)(void *entry, void *arg);
	void *arg;
};

static void
visit_node(const void *node, VISIT which, void *closure)
{
	struct visit *v = closure;

	if (which == postorder || which == leaf)
		v->visit(*(void *const *)node, v->arg);
}

void
table_visit(const struct table *table, void (*visit)(void *entry, void *arg), void *arg)
{
	twalk_r(table->root, visit_node, &(struct visit){visit, arg});
}
