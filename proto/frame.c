#include "proto/frame.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

void
frame_header_write(uint8_t *out, enum frame_kind kind, uint32_t id, size_t body_len)
{
	uint32_t length = htole32((uint32_t)body_len);
	uint32_t id_le = htole32(id);

	memset(out, 0, FRAME_HEADER_SIZE);
	memcpy(out, &length, sizeof length);
	out[4] = (uint8_t)kind;
	memcpy(out + 8, &id_le, sizeof id_le);
}

ssize_t
frame_parse(struct frame *frame, const uint8_t *data, size_t len, size_t *need)
{
	uint32_t length, id;

	*need = FRAME_HEADER_SIZE;
	if (len < FRAME_HEADER_SIZE)
		return 0;
	memcpy(&length, data, sizeof length);
	memcpy(&id, data + 8, sizeof id);
	length = le32toh(length);
	if (length > FRAME_BODY_MAX || data[4] < FRAME_HELLO || data[4] > FRAME_CANCEL || data[5] || data[6] || data[7])
		return -EPROTO;
	*need = FRAME_HEADER_SIZE + length;
	if (len < *need)
		return 0;
	*frame = (struct frame){
		.kind = data[4],
		.id = le32toh(id),
		.body = data + FRAME_HEADER_SIZE,
		.body_len = length,
	};
	return (ssize_t)*need;
}
