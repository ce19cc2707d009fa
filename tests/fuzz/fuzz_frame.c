/* Frames out of a byte stream: proto/frame.c. The input is the stream. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>

#include "proto/frame.h"

/* A frame that parses is the same however its bytes arrived: no beginning of it is anything but "more is needed". */
static void
check_beginnings(const uint8_t *data, size_t size)
{
	size_t parts[] = {0, 1, FRAME_HEADER_SIZE - 1, FRAME_HEADER_SIZE, size / 2, size - 1};

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		uint8_t *part;
		struct frame frame;
		size_t need;

		if (parts[i] >= size)
			continue;
		part = malloc(parts[i]);
		memcpy(part, data, parts[i]);
		FUZZ_CHECK(frame_parse(&frame, part, parts[i], &need) == 0);
		FUZZ_CHECK(need == (parts[i] < FRAME_HEADER_SIZE ? FRAME_HEADER_SIZE : size));
		free(part);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input input = {data, len};

	for (;;) {
		size_t rest, need = 0;
		struct input at = input;
		uint8_t header[FRAME_HEADER_SIZE], *copy = input_copy(&at, SIZE_MAX, &rest);
		struct frame frame = {0};
		ssize_t size = frame_parse(&frame, copy, rest, &need);

		FUZZ_CHECK(size == -EPROTO || size >= 0);
		FUZZ_CHECK(size < 0 || (need >= FRAME_HEADER_SIZE && need <= FRAME_HEADER_SIZE + FRAME_BODY_MAX));
		FUZZ_CHECK(size != 0 || need > rest);
		if (size > 0) {
			FUZZ_CHECK((size_t)size <= rest && (size_t)size == FRAME_HEADER_SIZE + frame.body_len);
			FUZZ_CHECK(frame.body == copy + FRAME_HEADER_SIZE);
			frame_header_write(header, frame.kind, frame.id, frame.body_len);
			FUZZ_CHECK(memcmp(header, copy, sizeof header) == 0);
			check_beginnings(copy, (size_t)size);
			input_take(&input, (size_t)size);
		}
		free(copy);
		if (size <= 0)
			return 0;
	}
}
