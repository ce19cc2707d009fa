#include "gofer/error_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control.h"

int
error_queue_take(struct sock *sock)
{
	int error = 0;

	if (sock->host.fd < 0)
		return 0;
	for (int round = 0; round < ERROR_ROUNDS_MAX; round++) {
		struct queued_error entry, *queued, **last = &sock->errors;
		uint8_t data[ERROR_DATA_MAX];
		struct iovec iov = {data, sizeof data};
		struct msghdr message = {
			.msg_name = &entry.name,
			.msg_namelen = sizeof entry.name,
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = entry.control,
			.msg_controllen = sizeof entry.control,
		};
		ssize_t n = recvmsg(sock->host.fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);

		if (n < 0)
			break;
		entry.icmp_error = control_icmp_error(message.msg_control, message.msg_controllen);
		if (entry.icmp_error)
			error = entry.icmp_error;
		if (sock->error_count == ERROR_QUEUE_MAX)
			continue;
		entry.next = NULL;
		entry.name_len = message.msg_namelen;
		entry.control_len = message.msg_controllen;
		entry.len = (size_t)n;
		queued = malloc(sizeof *queued + entry.len);
		if (!queued)
			continue;
		*queued = entry;
		memcpy(queued->data, data, entry.len);
		while (*last)
			last = &(*last)->next;
		*last = queued;
		sock->error_count++;
	}
	return error;
}

struct queued_error *
error_queue_pop(struct sock *sock)
{
	struct queued_error *first = sock->errors;

	if (first) {
		sock->errors = first->next;
		sock->error_count--;
	}
	return first;
}

void
error_queue_free(struct sock *sock)
{
	struct queued_error *first;

	while ((first = error_queue_pop(sock)))
		free(first);
}
