#include "proto/counters.h"

#define ROW(counter_scope_, id, number_, name_, labels_, unit_, kind_, source_, help_) \
	[COUNTER_##id] = {                             \
		.number = number_,                     \
		.name = name_,                         \
		.labels = labels_,                     \
		.unit = unit_,                         \
		.kind = COUNTER_##kind_,               \
		.scope = counter_scope_,               \
		.source = source_,                     \
		.help = help_,                         \
	},
#define ROW_HOST(...) ROW(COUNTER_HOST, __VA_ARGS__)
#define ROW_GOFER(...) ROW(COUNTER_GOFER, __VA_ARGS__)
#define ROW_SESSION(...) ROW(COUNTER_SESSION, __VA_ARGS__)
#define ROW_CLIENT(...) ROW(COUNTER_CLIENT, __VA_ARGS__)

const struct counter counters[COUNTER_COUNT] = {
	COUNTERS_HOST(ROW_HOST) COUNTERS_GOFER(ROW_GOFER) COUNTERS_SESSION(ROW_SESSION) COUNTERS_CLIENT(ROW_CLIENT)};

int
counter_by_number(uint32_t number)
{
	for (int id = 0; id < COUNTER_COUNT; id++)
		if (counters[id].number == number)
			return id;
	return -1;
}
