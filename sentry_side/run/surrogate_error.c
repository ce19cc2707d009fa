/*
 * Errors. For each that the gofer has for us U gets an ICMP message about a datagram it never sent, which sets its pending error, and puts an entry into its
 * queue, so that poll says ERR, until the program reads our copy of the true entry; then we take U's.
 */
#include <errno.h>
#include <linux/icmp.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* After <time.h>, which it needs. */
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#include "common/cleanup.h"
#include "proto/control.h"
#include "sentry_side/run/surrogate_parts.h"

/* Entries that wait for the program, as in the gofer. */
#define ERRORS_MAX 32u

static const struct icmp_kind {
	int error;
	uint8_t type, code;
} icmp_kinds[] = {
	{ECONNREFUSED, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH}, {EHOSTUNREACH, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH},
	{ENETUNREACH, ICMP_DEST_UNREACH, ICMP_NET_UNREACH},   {ENOPROTOOPT, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH},
	{EHOSTDOWN, ICMP_DEST_UNREACH, ICMP_HOST_UNKNOWN},    {ENONET, ICMP_DEST_UNREACH, ICMP_HOST_ISOLATED},
	{EOPNOTSUPP, ICMP_DEST_UNREACH, ICMP_SR_FAILED},      {EMSGSIZE, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED},
	{EPROTO, ICMP_PARAMETERPROB, 0},
	/* IPv6 alone has it; what is not in the table comes as this, too. */
	{EACCES, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH},
};

static uint16_t
checksum(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

int
surrogate_borrow(struct surrogate *surrogate)
{
	return surrogate->all->ss->borrow(surrogate->all->ss, surrogate->link);
}

/*
 * Puts an entry into U's queue that sets no pending error: the transmit time stamp of a datagram to a socket that drops it. For raw
 * sockets, whose sends do not fail for a pending error, as U's would.
 */
static bool
show_entry(struct surrogate *surrogate)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(uint32_t))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(uint32_t)), .cmsg_level = SOL_SOCKET, .cmsg_type = SO_TIMESTAMPING_OLD}};
	struct msghdr message = {.msg_name = &surrogate->all->sink_name, .msg_namelen = sizeof surrogate->all->sink_name,
	                         .msg_control = &control, .msg_controllen = sizeof control};
	uint32_t stamps = SOF_TIMESTAMPING_TX_SCHED;
	_cleanup_close_ int u = surrogate_borrow(surrogate);

	memcpy(CMSG_DATA(&control.header), &stamps, sizeof stamps);
	return u >= 0 && sendmsg(u, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* Makes the kernel tell U of the error, as of an answer to a datagram of U's to P. */
static bool
show_error(struct surrogate *surrogate, int error)
{
	struct {
		struct icmphdr icmp;
		struct iphdr ip;
		struct udphdr udp;
	} packet = {
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .tot_len = htons(sizeof packet.ip + sizeof packet.udp),
		       .saddr = surrogate->u_name.sin_addr.s_addr, .daddr = surrogate->p_name.sin_addr.s_addr},
		.udp = {.source = surrogate->u_name.sin_port, .dest = surrogate->p_name.sin_port, .len = htons(sizeof packet.udp)},
	};
	const struct icmp_kind *kind = icmp_kinds, *end = icmp_kinds + sizeof icmp_kinds / sizeof *icmp_kinds - 1;

	if (link_is_raw(surrogate->link)) {
		surrogate->error = error;
		return show_entry(surrogate);
	}
	while (kind < end && kind->error != error)
		kind++;
	packet.icmp.type = kind->type;
	packet.icmp.code = kind->code;
	if (error == EMSGSIZE)
		packet.icmp.un.frag.mtu = htons(UINT16_MAX); /* what the loopback takes all the same */
	packet.ip.check = checksum(&packet.ip, sizeof packet.ip);
	packet.icmp.checksum = checksum(&packet, sizeof packet);
	return sendto(surrogate->all->icmp, &packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&surrogate->u_name,
	              sizeof surrogate->u_name) >= 0;
}

static void
keep_error(struct surrogate *surrogate, const struct link_result *result)
{
	struct told_error **last = &surrogate->errors, *entry;
	int error;

	entry = malloc(sizeof *entry + result->value_len);
	if (!entry)
		return;
	*entry = (struct told_error){.len = result->value_len, .source = {.name = result->peer, .control_len = (uint32_t)result->control_len}};
	memcpy(entry->source.control, result->control, result->control_len);
	memcpy(entry->data, result->value, result->value_len);
	while (*last)
		last = &(*last)->next;
	*last = entry;
	surrogate->error_count++;
	error = control_icmp_error(entry->source.control, entry->source.control_len);
	entry->shown = error && show_error(surrogate, error);
}

static void
fetch_done(void *arg, const struct link_result *result)
{
	struct surrogate *surrogate = arg;
	pthread_mutex_t *lock = &surrogate->all->lock;
	bool more = true;

	pthread_mutex_lock(lock);
	if (!result->error) {
		keep_error(surrogate, result);
		surrogate->fetched = true;
		/* The rest waits for the program to read these. */
		more = surrogate->error_count < ERRORS_MAX;
		surrogate->fetch_again |= !more;
	} else {
		more = surrogate->fetch_again && result->error == EAGAIN;
		surrogate->fetch_again = false;
		/* An error that no entry goes with: of a send that had no other way to tell. */
		if (!more && result->error == EAGAIN && surrogate->notice && !surrogate->fetched && !surrogate->told_directly)
			show_error(surrogate, surrogate->notice);
	}
	surrogate->fetching = more && link_receive_error(surrogate->link, fetch_done, surrogate) == 0;
	pthread_mutex_unlock(lock);
}

void
surrogate_fetch_errors(struct surrogate *surrogate, int error)
{
	surrogate->notice = error;
	if (surrogate->fetching) {
		surrogate->fetch_again = true;
		return;
	}
	surrogate->fetch_again = surrogate->fetched = surrogate->told_directly = false;
	surrogate->fetching = link_receive_error(surrogate->link, fetch_done, surrogate) == 0;
}

void
surrogate_drop_errors(struct surrogate *surrogate)
{
	while (surrogate->errors) {
		struct told_error *first = surrogate->errors;

		surrogate->errors = first->next;
		free(first);
	}
	surrogate->error_count = 0;
}

int
surrogate_error(struct link *link, int u)
{
	struct surrogate *surrogate = link->surrogate;
	socklen_t len = sizeof(int);
	int error = 0;

	pthread_mutex_lock(&surrogate->all->lock);
	if (link_is_raw(link)) {
		error = surrogate->error;
		surrogate->error = 0;
	} else {
		getsockopt(u, SOL_SOCKET, SO_ERROR, &error, &len);
	}
	pthread_mutex_unlock(&surrogate->all->lock);
	return error;
}

bool
surrogate_take_error(struct link *link, int u, struct link_source *source, void *datagram, size_t *len)
{
	struct surrogate *surrogate = link->surrogate;
	struct told_error *first;
	struct msghdr none = {0};

	pthread_mutex_lock(&surrogate->all->lock);
	first = surrogate->errors;
	if (first) {
		surrogate->errors = first->next;
		surrogate->error_count--;
		if (first->shown)
			recvmsg(u, &none, MSG_ERRQUEUE);
		*source = first->source;
		*len = first->len;
		memcpy(datagram, first->data, first->len);
		/* sock_dequeue_err_skb() */
		if (control_icmp_error(source->control, source->control_len))
			surrogate->error = surrogate->errors ? control_icmp_error(surrogate->errors->source.control, surrogate->errors->source.control_len) : 0;
		free(first);
		if (surrogate->fetch_again && !surrogate->fetching)
			surrogate_fetch_errors(surrogate, 0);
	}
	/* What else U shows has nothing to go with it. */
	while (!surrogate->errors && recvmsg(u, &none, MSG_ERRQUEUE) >= 0)
		;
	pthread_mutex_unlock(&surrogate->all->lock);
	return first != NULL;
}

void
surrogate_error_told(struct link *link)
{
	struct surrogate *surrogate = link->surrogate;

	pthread_mutex_lock(&surrogate->all->lock);
	surrogate->told_directly = true;
	pthread_mutex_unlock(&surrogate->all->lock);
}
