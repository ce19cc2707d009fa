#include "sentry_side/packet.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct asked {
	struct ss *ss;
	bool opens;
	link_done done;
	void *arg;
};

static void
on_reply(void *arg, size_t count, Splitsock__Result **results, int error)
{
	struct asked *asked = arg;
	struct link_result result = {.error = error, .passed_fd = -1};
	const Splitsock__Result *last = count ? results[count - 1] : NULL;

	if (last)
		result.count = last->count;
	if (last)
		result.error = last->status == SPLITSOCK__STATUS__STATUS_DENIED ? EPERM
		               : asked->opens && last->status == SPLITSOCK__STATUS__STATUS_QUOTA ? EMFILE : result_errno(last);
	if (last && !result.error && asked->opens) {
		result.passed_fd = session_take_fd(&asked->ss->session);
		/* It came, but there was no room for one more descriptor here. */
		if (result.passed_fd < 0)
			result.error = EMFILE;
	}
	asked->done(asked->arg, &result);
	free(asked);
}

static int
ask(struct ss *ss, Splitsock__Op *op, bool opens, link_done done, void *arg)
{
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	struct asked *asked = calloc(1, sizeof *asked);
	int error;

	if (!asked)
		return -ENOMEM;
	*asked = (struct asked){.ss = ss, .opens = opens, .done = done, .arg = arg};
	request.ops = &op;
	request.n_ops = 1;
	error = opens ? session_call_with_payload(&ss->session, &request, on_reply, asked)
	              : session_call(&ss->session, &request, on_reply, asked, NULL);
	if (error)
		free(asked);
	return error;
}

int
packet_open(struct ss *ss, int type, int protocol, link_done done, void *arg)
{
	Splitsock__PacketOpen open = SPLITSOCK__PACKET_OPEN__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;
	int base = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (base < 0 || base > SOCK_PACKET)
		return -EINVAL;
	if (base != SOCK_RAW && base != SOCK_DGRAM && base != SOCK_PACKET)
		return -ESOCKTNOSUPPORT;
	/* packet_create() takes 16 bits of it, in network order. */
	open.protocol = ntohs((uint16_t)protocol);
	open.type = wire_socket_type(base);
	op.op_case = SPLITSOCK__OP__OP_PACKET_OPEN;
	op.packet_open = &open;
	return ask(ss, &op, true, done, arg);
}

int
packet_sync(struct ss *ss, int interface, int drops_of, link_done done, void *arg)
{
	Splitsock__PacketSync sync = SPLITSOCK__PACKET_SYNC__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;

	sync.interface = (uint32_t)interface;
	sync.drops_of = (uint32_t)drops_of;
	op.op_case = SPLITSOCK__OP__OP_PACKET_SYNC;
	op.packet_sync = &sync;
	return ask(ss, &op, false, done, arg);
}

int
packet_interface(int fd)
{
	struct sockaddr_ll name = {0};
	socklen_t len = sizeof name;

	return getsockname(fd, (struct sockaddr *)&name, &len) == 0 ? name.sll_ifindex : 0;
}

int
packet_statistics(struct link *link, int fd, uint32_t count, void *value, socklen_t *len)
{
	struct tpacket_stats_v3 statistics = {0};
	socklen_t size = sizeof statistics;
	uint32_t before, lost;

	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) < 0)
		return -errno;
	before = atomic_exchange(&link->host_drops, count);
	lost = count - before;
	if (lost > INT32_MAX) /* the interface has gone, and another one come, which begins anew */
		lost = count;
	/* The kernel counts what it drops among the packets, too. */
	statistics.tp_packets += lost;
	statistics.tp_drops += lost;
	if (*len > size)
		*len = size;
	memcpy(value, &statistics, *len);
	return 0;
}

bool
packet_option_matters(int level, int name)
{
	return (level == SOL_PACKET && (name == PACKET_ADD_MEMBERSHIP || name == PACKET_DROP_MEMBERSHIP)) ||
	       (level == SOL_SOCKET && (name == SO_ATTACH_FILTER || name == SO_DETACH_FILTER));
}
