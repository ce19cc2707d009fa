#include "proto/control.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* After <time.h>, which it needs. */
#include <linux/errqueue.h>

#include "proto/values.h"

const struct cmsghdr *
control_next(const void *buffer, size_t len, size_t *at, bool *bad)
{
	const struct cmsghdr *header;

	*bad = false;
	if (*at >= len || len - *at < sizeof *header)
		return NULL;
	header = (const struct cmsghdr *)((const char *)buffer + *at);
	*bad = header->cmsg_len < sizeof *header || header->cmsg_len > len - *at;
	if (*bad)
		return NULL;
	*at += CMSG_ALIGN(header->cmsg_len);
	return header;
}

int
control_icmp_error(const void *buffer, size_t len)
{
	const struct cmsghdr *header;
	struct sock_extended_err error;
	size_t at = 0;
	bool bad;

	while ((header = control_next(buffer, len, &at, &bad))) {
		if (header->cmsg_len < CMSG_LEN(sizeof error) ||
		    !((header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_RECVERR) ||
		      (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_RECVERR)))
			continue;
		memcpy(&error, CMSG_DATA(header), sizeof error);
		if (error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6)
			return (int)error.ee_errno;
	}
	return 0;
}

int
control_list_add(struct control_list *list, int level, int type, const void *data, size_t len)
{
	Splitsock__Control *item = &list->items[list->count];
	uint8_t encoded[CONTROL_DATA_MAX];
	uint32_t wire;
	ssize_t encoded_len = control_encode(level, type, data, len, &wire, encoded);

	if (encoded_len < 0)
		return (int)encoded_len;
	if (list->count == CONTROL_MESSAGES_MAX || list->used + (size_t)encoded_len > sizeof list->bytes)
		return -ENOBUFS;
	splitsock__control__init(item);
	item->type = wire;
	item->data.data = memcpy(list->bytes + list->used, encoded, (size_t)encoded_len);
	item->data.len = (size_t)encoded_len;
	list->used += (size_t)encoded_len;
	list->list[list->count++] = item;
	return 0;
}

void
control_list_add_all(struct control_list *list, const void *buffer, size_t len)
{
	const struct cmsghdr *header;
	size_t at = 0;
	bool bad;

	while ((header = control_next(buffer, len, &at, &bad)))
		control_list_add(list, header->cmsg_level, header->cmsg_type, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
}

ssize_t
control_to_host(Splitsock__Control *const *list, size_t count, void *buffer, size_t room)
{
	size_t at = 0;

	memset(buffer, 0, room);
	for (size_t i = 0; i < count; i++) {
		struct cmsghdr header = {0};
		uint8_t data[CONTROL_DATA_MAX];
		ssize_t len = control_decode(list[i]->type, list[i]->data.data, list[i]->data.len, &header.cmsg_level, &header.cmsg_type,
		                             data);

		if (len < 0)
			return -EINVAL;
		if (CMSG_SPACE((size_t)len) > room - at)
			return -ENOBUFS;
		header.cmsg_len = CMSG_LEN((size_t)len);
		memcpy((char *)buffer + at, &header, sizeof header);
		memcpy((char *)buffer + at + CMSG_LEN(0), data, (size_t)len);
		at += CMSG_SPACE((size_t)len);
	}
	return (ssize_t)at;
}
