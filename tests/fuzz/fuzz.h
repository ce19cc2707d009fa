/*
 * What the harnesses share: cutting an input into pieces, and checks that end the run as a crash does.
 */
#ifndef SPLITSOCK_TESTS_FUZZ_FUZZ_H
#define SPLITSOCK_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libFuzzer's entry points. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Something that must hold for every input. */
#define FUZZ_CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* What is left of an input. At its end, everything reads as 0. */
struct input {
	const uint8_t *data;
	size_t len;
};

static inline const uint8_t *
input_take(struct input *input, size_t len)
{
	const uint8_t *taken = input->data;

	input->data += len;
	input->len -= len;
	return taken;
}

static inline uint8_t
input_byte(struct input *input)
{
	return input->len ? *input_take(input, 1) : 0;
}

/* Little-endian, of 4 bytes. */
static inline uint32_t
input_u32(struct input *input)
{
	uint32_t value = 0;

	for (unsigned shift = 0; shift < 32; shift += 8)
		value |= (uint32_t)input_byte(input) << shift;
	return value;
}

/* At most max bytes in a block of exactly their length, so that a sanitizer sees a read behind them; NULL: none. The caller frees it. */
static inline uint8_t *
input_copy(struct input *input, size_t max, size_t *len)
{
	uint8_t *copy;

	*len = input->len < max ? input->len : max;
	if (!*len)
		return NULL;
	copy = malloc(*len);
	return memcpy(copy, input_take(input, *len), *len);
}

#endif
