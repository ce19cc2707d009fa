/*
 * The operations that ask the gofer.
 *
 * Every request opens the host socket first until a reply has confirmed it, and takes along the options that were set before
 * there was one. So a fresh socket costs nothing, and a connect with its options one round trip.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/in6.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "proto/control.h"
#include "sentry_side/link.h"

struct call {
	struct link *link;
	size_t before; /* operations in front of the caller's */
	size_t asked;  /* the caller's */
	uint32_t sent_max; /* the longest payload among those, if they are sends */
	bool payload;
	link_done done;
	void *arg;
};

static void
name_from_message(struct link_name *name, const Splitsock__Address *message)
{
	struct wire_address wire;
	struct sockaddr_storage host;
	socklen_t len;

	name->len = 0;
	if (!message || address_from_message(&wire, message) != 0 || wire_address_to_host(&wire, &host, &len) != 0 ||
	    len > sizeof name->address)
		return;
	memcpy(&name->address, &host, len);
	name->len = len;
}

static void
on_reply(void *arg, size_t count, Splitsock__Result **results, int error)
{
	struct call *call = arg;
	struct link *link = call->link;
	struct link_result result = {.error = error};
	const Splitsock__Result *last = count ? results[count - 1] : NULL;
	ssize_t control_len;

	if (last) {
		result.error = result_errno(last);
		result.denied_open = call->before && count <= call->before;
		if (result.denied_open && last->status == SPLITSOCK__STATUS__STATUS_DENIED)
			result.error = EPERM;
		/* A packet that may not go out is one that a firewall drops. */
		if (call->payload && link_is_raw(link) && last->status == SPLITSOCK__STATUS__STATUS_DENIED)
			result.error = EPERM;
		name_from_message(&result.local, last->local);
		name_from_message(&result.peer, last->peer);
		/* Nothing comes back of more than was asked for. */
		result.count = last->count < call->sent_max ? last->count : call->sent_max;
		result.unsent = last->unsent;
		if (last->value.len && last->value.len <= sizeof result.value) {
			result.value_len = last->value.len;
			memcpy(result.value, last->value.data, last->value.len);
		}
		control_len = last->n_control <= CONTROL_MESSAGES_MAX
		                      ? control_to_host(last->control, last->n_control, result.control, sizeof result.control) : 0;
		if (control_len > 0)
			result.control_len = (size_t)control_len;
		result.completed = count > call->before ? count - call->before - (result.error ? 1 : 0) : 0;
		if (result.completed > call->asked)
			result.completed = call->asked;
	}
	pthread_mutex_lock(&link->ss->lock);
	if (last && last->status == SPLITSOCK__STATUS__STATUS_BAD_REQUEST && link->linked && link->opened) {
		/* The gofer has let go of it since A has hung up, after shutdown of both halves. */
		link_set_closed(link, 0);
	} else if (last && !result.denied_open && link->state != LINK_CLOSED) {
		link->opened = true;
	}
	/* Or for another reason, and said why in an event before this reply. */
	if (last && last->status == SPLITSOCK__STATUS__STATUS_BAD_REQUEST && link->state == LINK_CLOSED && link->error)
		result.error = link->error;
	if (result.local.len)
		link->local = result.local;
	if (result.peer.len)
		link->peer = result.peer;
	pthread_mutex_unlock(&link->ss->lock);
	call->done(call->arg, &result);
	link_unref(link);
	free(call);
}

static uint32_t
longest_payload(const Splitsock__Op *ops, size_t count)
{
	uint32_t longest = 0;

	for (size_t i = 0; i < count; i++) {
		if (ops[i].op_case != SPLITSOCK__OP__OP_SEND)
			return UINT32_MAX;
		if (ops[i].send->payload.len > longest)
			longest = (uint32_t)ops[i].send->payload.len;
	}
	return longest;
}

int
link_call(struct link *link, Splitsock__Op *ops, size_t count, enum link_call_flags flags, link_done done, void *arg, uint32_t *id)
{
	bool payload = flags & LINK_CALL_PAYLOAD, no_reply = flags & LINK_CALL_NO_REPLY;
	Splitsock__Open open = SPLITSOCK__OPEN__INIT;
	Splitsock__SetOption set[LINK_DEFERRED_MAX];
	struct link_option deferred[LINK_DEFERRED_MAX];
	Splitsock__Op before[LINK_DEFERRED_MAX + 1], *all[CODEC_OPS_MAX];
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	struct call *call = no_reply ? NULL : calloc(1, sizeof *call);
	size_t n = 0, deferred_count;
	int error;

	if (!no_reply && !call)
		return -ENOMEM;
	pthread_mutex_lock(&link->ss->lock);
	if (!link->opened) {
		splitsock__op__init(&before[n]);
		before[n].op_case = SPLITSOCK__OP__OP_OPEN;
		before[n].open = &open;
		open.family = wire_family(link->family);
		open.type = wire_socket_type(link->type);
		open.protocol = (uint32_t)link->protocol;
		all[n] = &before[n];
		n++;
	}
	deferred_count = link->deferred_count;
	memcpy(deferred, link->deferred, sizeof deferred);
	link->deferred_count = 0;
	pthread_mutex_unlock(&link->ss->lock);
	for (size_t i = 0; i < deferred_count; i++, n++) {
		splitsock__set_option__init(&set[i]);
		set[i].option = deferred[i].option->wire;
		set[i].value.data = deferred[i].value;
		set[i].value.len = deferred[i].len;
		splitsock__op__init(&before[n]);
		before[n].op_case = SPLITSOCK__OP__OP_SET_OPTION;
		before[n].set_option = &set[i];
		all[n] = &before[n];
	}
	for (size_t i = 0; i < count; i++)
		all[n + i] = &ops[i];
	request.handle = link->by_handle.key;
	request.ops = all;
	request.n_ops = n + count;
	request.no_reply = no_reply;
	request.error_told = link->error_told;
	if (call)
		*call = (struct call){.link = link_ref(link), .before = n, .asked = count, .sent_max = longest_payload(ops, count),
		                      .payload = payload, .done = done, .arg = arg};
	error = payload ? session_call_with_payload(&link->ss->session, &request, on_reply, call)
	                : session_call(&link->ss->session, &request, on_reply, call, id);
	if (error && call) {
		link_unref(link);
		free(call);
	}
	return error;
}

static int
call_one(struct link *link, Splitsock__Op *op, link_done done, void *arg, uint32_t *id)
{
	return link_call(link, op, 1, 0, done, arg, id);
}

/* What raw and ping sockets check of an address, each in its own way. Returns 0 or a negative errno. */
static int
check_address(const struct link *link, enum link_purpose purpose, const struct sockaddr *address, socklen_t len)
{
	bool v6 = link->family == AF_INET6, raw = link_is_raw(link);
	socklen_t least = !v6 ? sizeof(struct sockaddr_in) : raw ? offsetof(struct sockaddr_in6, sin6_scope_id) : sizeof(struct sockaddr_in6);

	if (purpose == LINK_FOR_CONNECT)
		return 0;
	if (len < least || len > sizeof(struct sockaddr_storage))
		return -EINVAL;
	if (address->sa_family == link->family || (raw && !v6 && purpose == LINK_FOR_BIND))
		return 0;
	if (raw && purpose == LINK_FOR_BIND)
		return -EINVAL;
	if (address->sa_family == AF_UNSPEC && (raw || (!v6 && purpose == LINK_FOR_BIND)))
		return 0;
	return -EAFNOSUPPORT;
}

int
link_address(struct link *link, enum link_purpose purpose, const struct sockaddr *address, socklen_t len,
            struct wire_address *wire, Splitsock__Address *message)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6 = {0};
	bool unspec = len >= sizeof address->sa_family && address->sa_family == AF_UNSPEC;
	int error = link_needs_leave(link) ? check_address(link, purpose, address, len) : 0;

	if (error)
		return error;
	/* Raw sockets do not look at every family, and take what is not AF_INET for it. */
	if (link_is_raw(link) && link->family == AF_INET && purpose == LINK_FOR_BIND) {
		memcpy(&in, address, sizeof in);
		in.sin_family = AF_INET;
		address = (struct sockaddr *)&in;
		len = sizeof in;
	} else if (link_is_raw(link) && link->family == AF_INET6 && purpose == LINK_FOR_SEND && unspec) {
		memcpy(&in6, address, len < sizeof in6 ? len : sizeof in6);
		in6.sin6_family = AF_INET6;
		address = (struct sockaddr *)&in6;
		len = sizeof in6;
	}
	unspec = len >= sizeof address->sa_family && address->sa_family == AF_UNSPEC;
	if (link->family == AF_INET6 && !(purpose == LINK_FOR_CONNECT && unspec) && (purpose == LINK_FOR_BIND || link_is_stream(link))) {
		if (len < 24) /* SIN6_LEN_RFC2133 */
			return -EINVAL;
		if (address->sa_family != AF_INET6)
			return -EAFNOSUPPORT;
	}
	/* Linux takes AF_UNSPEC for AF_INET where a socket is of that family. */
	if (link->family == AF_INET && purpose != LINK_FOR_CONNECT && unspec && len >= sizeof in) {
		memcpy(&in, address, sizeof in);
		if (purpose == LINK_FOR_BIND && in.sin_addr.s_addr != INADDR_ANY)
			return -EAFNOSUPPORT;
		in.sin_family = AF_INET;
		address = (struct sockaddr *)&in;
		len = sizeof in;
	}
	error = wire_address_from_host(wire, address, len);
	if (error == -EAFNOSUPPORT && purpose == LINK_FOR_SEND && link->family == AF_INET6)
		error = -EINVAL; /* udpv6_sendmsg() has it so */
	if (!error)
		address_to_message(message, wire);
	return error;
}

int
link_open(struct link *link)
{
	Splitsock__Query query = SPLITSOCK__QUERY__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;

	op.op_case = SPLITSOCK__OP__OP_QUERY;
	op.query = &query;
	return link_call(link, &op, 1, LINK_CALL_NO_REPLY, NULL, NULL, NULL);
}

int
link_bind(struct link *link, const struct sockaddr *address, socklen_t len, link_done done, void *arg)
{
	Splitsock__Bind bind = SPLITSOCK__BIND__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;
	Splitsock__Address message;
	struct wire_address wire;
	int error = link_address(link, LINK_FOR_BIND, address, len, &wire, &message);

	if (error)
		return error;
	bind.address = &message;
	op.op_case = SPLITSOCK__OP__OP_BIND;
	op.bind = &bind;
	return call_one(link, &op, done, arg, NULL);
}

int
link_connect(struct link *link, const struct sockaddr *address, socklen_t len, bool wait, link_done done, void *arg,
             uint32_t *id)
{
	Splitsock__Connect connect = SPLITSOCK__CONNECT__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;
	Splitsock__Address message;
	struct wire_address wire;
	int error = link_address(link, LINK_FOR_CONNECT, address, len, &wire, &message);

	if (error)
		return error;
	link->dissolves = address->sa_family == AF_UNSPEC;
	connect.address = &message;
	connect.wait = wait;
	connect.again = atomic_exchange(&link->again, false);
	op.op_case = SPLITSOCK__OP__OP_CONNECT;
	op.connect = &connect;
	return call_one(link, &op, done, arg, id);
}

/* Connects A to the gofer, unless it is. */
static int
link_up(struct link *link, int fd, enum plug plug)
{
	bool linked;
	int error;

	pthread_mutex_lock(&link->ss->lock);
	linked = link->linked;
	link->linked = true;
	pthread_mutex_unlock(&link->ss->lock);
	if (linked)
		return 0;
	error = session_link(&link->ss->session, fd, link_is_stream(link), LINK_SOCKET, link->by_handle.key, plug);
	if (error) {
		pthread_mutex_lock(&link->ss->lock);
		link->linked = false;
		pthread_mutex_unlock(&link->ss->lock);
	}
	return error;
}

static void
set_state(struct link *link, enum link_state state)
{
	pthread_mutex_lock(&link->ss->lock);
	if (!link_is_over(link))
		link->state = state;
	pthread_mutex_unlock(&link->ss->lock);
}

int
link_finish_connect(struct link *link, int fd, bool nonblocking, const struct link_result *result)
{
	bool first = link->state == LINK_FRESH || link->state == LINK_BOUND;
	int error;

	if (!link_is_stream(link)) {
		/* With port 0, which is all that raw sockets have, the peer has no name and is one all the same. */
		if (!result->error && !result->peer.len) {
			pthread_mutex_lock(&link->ss->lock);
			link->peer.len = 0;
			pthread_mutex_unlock(&link->ss->lock);
		}
		if (!result->error)
			set_state(link, link->dissolves ? LINK_BOUND : LINK_CONNECTED);
		return result->error;
	}
	if (result->error == EISCONN && link->connected_untold) {
		/* A signal had ended the call that made this connection; this is that call again. */
		link->connected_untold = false;
		return 0;
	}
	if (link_is_over(link)) {
		int told;
		socklen_t len = sizeof told;

		link->told = true;
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &told, &len);
	}
	if (result->error && result->error != EINPROGRESS && result->error != EALREADY)
		return result->error;
	if (!result->error && !result->peer.len)
		return 0; /* AF_UNSPEC on a stream that has no connection */
	/* Who did not wait expects to become writable, once, now: reading the filler does that. */
	error = link_up(link, fd, result->error ? PLUG_FULL : nonblocking ? PLUG_POLL : PLUG_NONE);
	if (error)
		return -error;
	set_state(link, result->error ? LINK_CONNECTING : LINK_CONNECTED);
	if (nonblocking && first)
		return EINPROGRESS;
	return result->error;
}

int
link_reconnect(struct link *link, int fd)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (link->was_connected)
		return EISCONN;
	if (link->told)
		return 0;
	/* The first connect after one that failed tells of the failure, or, if SO_ERROR has, that there was one. */
	link->told = true;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return error ? link->error : ECONNABORTED;
}

void
link_detach_connect(struct link *link, int fd)
{
	if (link_is_stream(link) && (link->state == LINK_FRESH || link->state == LINK_BOUND) && link_up(link, fd, PLUG_FULL) == 0)
		set_state(link, LINK_CONNECTING);
}

int
link_listen(struct link *link, int backlog, link_done done, void *arg)
{
	Splitsock__Listen listen = SPLITSOCK__LISTEN__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;

	listen.backlog = backlog;
	op.op_case = SPLITSOCK__OP__OP_LISTEN;
	op.listen = &listen;
	return call_one(link, &op, done, arg, NULL);
}

int
link_finish_listen(struct link *link, int fd, const struct link_result *result)
{
	int error;

	if (result->error)
		return result->error;
	/* Plugged for ever: a listener never polls writable. */
	error = link_up(link, fd, PLUG_POLL);
	if (error)
		return -error;
	shutdown(fd, SHUT_WR); /* writing to a listener is EPIPE */
	set_state(link, LINK_LISTENING);
	return 0;
}

int
link_shutdown(struct link *link, int how, link_done done, void *arg)
{
	Splitsock__Shutdown shutdown = SPLITSOCK__SHUTDOWN__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;

	shutdown.how = wire_shutdown(how);
	if (!shutdown.how)
		return -EINVAL;
	op.op_case = SPLITSOCK__OP__OP_SHUTDOWN;
	op.shutdown = &shutdown;
	return call_one(link, &op, done, arg, NULL);
}

int
link_query(struct link *link, link_done done, void *arg)
{
	Splitsock__Query query = SPLITSOCK__QUERY__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;

	op.op_case = SPLITSOCK__OP__OP_QUERY;
	op.query = &query;
	return call_one(link, &op, done, arg, NULL);
}

int
link_interface_ioctl(struct link *link, uint32_t request, const void *ifreq, size_t len, const void *data, size_t data_len,
                     link_done done, void *arg)
{
	Splitsock__InterfaceIoctl ioctl = SPLITSOCK__INTERFACE_IOCTL__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;

	ioctl.request = request;
	ioctl.ifreq.data = (uint8_t *)ifreq;
	ioctl.ifreq.len = len;
	ioctl.data.data = (uint8_t *)data;
	ioctl.data.len = data_len;
	op.op_case = SPLITSOCK__OP__OP_INTERFACE_IOCTL;
	op.interface_ioctl = &ioctl;
	return call_one(link, &op, done, arg, NULL);
}

/* ---- options ------------------------------------------------------------------------------------ */

/*
 * These numbers are netfilter's and IPVS's, whose tables belong to a whole namespace: the kernel would look at our privileges
 * where it should look at the program's. So it is asked about a number that is nobody's.
 */
static int
harmless(int level, int name)
{
	bool tables = (level == IPPROTO_IP || level == IPPROTO_IPV6) && name >= 64 && !option_by_host(level, name);

	return tables ? INT_MAX : name;
}

/* Options that other sockets do not have. */
static bool
is_raw_option(int family, int level, int name)
{
	return level == SOL_RAW || (level == IPPROTO_ICMPV6 && family == AF_INET6) || (level == IPPROTO_IP && (name == IP_HDRINCL || name == IP_NODEFRAG)) ||
	       (level == IPPROTO_IPV6 && (name == IPV6_CHECKSUM || name == IPV6_HDRINCL || name == IPV6_ROUTER_ALERT));
}

int
link_probe(const struct link *link)
{
	int fd = socket(link->family, link->type | SOCK_CLOEXEC, link->protocol);

	/* Where we may not have one, a UDP socket does for all that is not about raw ones. */
	if (fd < 0 && (errno == EPERM || errno == EACCES))
		fd = socket(link->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd;
}

/* Is the probe of another kind than the link? */
static bool
is_stand_in(const struct link *link, int probe)
{
	int protocol = link->protocol;
	socklen_t len = sizeof protocol;

	return link_needs_leave(link) && getsockopt(probe, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol != link->protocol;
}

/* The error as the link's own kind would have it: 0 where the probe is of another kind and does not know. */
static int
probe_error(const struct link *link, int probe, int level, int name, int error)
{
	if (!is_stand_in(link, probe))
		return error;
	if (level == SOL_SOCKET && name == SO_ZEROCOPY)
		return -EOPNOTSUPP;
	return link_is_raw(link) && is_raw_option(link->family, level, name) ? 0 : error;
}

/* UDP's own level is nobody's on other sockets. */
static int
probe_level(const struct link *link, int probe, int level)
{
	return level == IPPROTO_UDP && is_stand_in(link, probe) ? INT_MAX : level;
}

int
link_kernel_on_set(const struct link *link, int level, int name, const void *value, socklen_t len)
{
	int fd = link_probe(link);
	const struct socket_option *option = option_by_host(level, name);
	struct sock_fprog filter = {
		.len = (unsigned short)(len / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)value,
	};
	int error;

	if (option && option->value == OPTION_FILTER) {
		value = &filter;
		len = sizeof filter;
	}
	error = fd < 0 || setsockopt(fd, probe_level(link, fd, level), harmless(level, name), value, len) < 0 ? -errno : 0;
	error = probe_error(link, fd, level, name, error);
	if (fd >= 0)
		close(fd);
	return error;
}

int
link_kernel_on_get(const struct link *link, int level, int name, void *value, socklen_t *len)
{
	int fd = link_probe(link);
	int error = fd < 0 || getsockopt(fd, probe_level(link, fd, level), harmless(level, name), value, len) < 0 ? -errno : 0;

	error = probe_error(link, fd, level, name, error);
	if (fd >= 0)
		close(fd);
	return error;
}

/* What a stream socket makes of the value depends on the system's limits, of which A knows nothing. */
static int
set_low_water(const struct link *link, int fd, const void *value, socklen_t len)
{
	int probe = link_probe(link), number, error = 1;
	socklen_t number_len = sizeof number;

	if (probe < 0 || setsockopt(probe, SOL_SOCKET, SO_RCVLOWAT, value, len) < 0 ||
	    getsockopt(probe, SOL_SOCKET, SO_RCVLOWAT, &number, &number_len) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &number, sizeof number) < 0)
		error = -errno;
	if (probe >= 0)
		close(probe);
	return error;
}

static int
set_zerocopy(struct link *link, const void *value, socklen_t len)
{
	int on, error = link_kernel_on_set(link, SOL_SOCKET, SO_ZEROCOPY, value, len);

	if (error)
		return error;
	memcpy(&on, value, sizeof on);
	link->zerocopy = on;
	return 1;
}

/* Keeps an option until there is a host socket. False: no room, or there is one. */
static bool
defer(struct link *link, const struct socket_option *option, const uint8_t *value, size_t len)
{
	struct link_option *slot = NULL;

	if (len > sizeof slot->value)
		return false;
	pthread_mutex_lock(&link->ss->lock);
	if (!link->opened && link->state == LINK_FRESH) {
		for (unsigned i = 0; i < link->deferred_count && !slot; i++)
			if (link->deferred[i].option == option)
				slot = &link->deferred[i];
		if (!slot && link->deferred_count < LINK_DEFERRED_MAX)
			slot = &link->deferred[link->deferred_count++];
		if (slot) {
			slot->option = option;
			slot->len = len;
			memcpy(slot->value, value, len);
		}
	}
	pthread_mutex_unlock(&link->ss->lock);
	return slot != NULL;
}

static bool
is_stamp(const struct socket_option *option)
{
	return option->level == SOL_SOCKET && (option->name == SO_TIMESTAMP_OLD || option->name == SO_TIMESTAMP_NEW ||
	                                       option->name == SO_TIMESTAMPNS_OLD || option->name == SO_TIMESTAMPNS_NEW);
}

/* A has an offset at which it peeks, and raw and ping sockets have none. */
static bool
lacks_peek_off(const struct link *link, int level, int name)
{
	return link_needs_leave(link) && level == SOL_SOCKET && name == SO_PEEK_OFF;
}

int
link_set_option(struct link *link, int fd, int level, int name, const void *value, socklen_t len, link_done done,
                void *arg)
{
	const struct socket_option *option = option_by_host(level, name);
	Splitsock__SetOption set = SPLITSOCK__SET_OPTION__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;
	uint8_t encoded[OPTION_VALUE_MAX];
	socklen_t carried = len;
	ssize_t encoded_len;
	bool sure;

	if (level == SOL_SOCKET && name == SO_ZEROCOPY)
		return set_zerocopy(link, value, len);
	if (lacks_peek_off(link, level, name))
		return len < sizeof(int) ? -EINVAL : -EOPNOTSUPP;
	if (!option || !option->settable || option->place == OPTION_LOCAL) {
		int error = link_kernel_on_set(link, level, name, value, len);

		return error ? error : -ENOPROTOOPT;
	}
	if (option->place == OPTION_LINK)
		link->link_options = true;
	if (level == SOL_SOCKET && name == SO_RCVLOWAT)
		return set_low_water(link, fd, value, len);
	if (option->place == OPTION_LINK)
		return setsockopt(fd, level, name, value, len) < 0 ? -errno : 1;
	if (link->state == LINK_CLOSED) {
		int error = link_kernel_on_set(link, level, name, value, len);

		return error ? error : 1;
	}
	if (option->value != OPTION_FILTER && carried > LINK_VALUE_MAX)
		carried = LINK_VALUE_MAX;
	encoded_len = option_encode(option, value, carried, encoded, sizeof encoded);
	if (encoded_len < 0) {
		/* There may be something else that the kernel complains of first. */
		int error = link_kernel_on_set(link, level, name, value, len);

		return error ? error : (int)encoded_len;
	}
	if (link_is_stream(link) && is_stamp(option) && (size_t)encoded_len == sizeof(uint32_t)) {
		uint32_t on;

		memcpy(&on, encoded, sizeof on);
		link->stamp = on ? name : 0;
	}
	sure = option_is_sure_on(option, link->family, link->type, link->protocol);
	if (sure && defer(link, option, encoded, (size_t)encoded_len))
		return 1;
	if (link_is_raw(link) && level == IPPROTO_IP && name == IP_HDRINCL)
		link_bound_packets(link, fd, encoded[0] | encoded[1] | encoded[2] | encoded[3]);
	set.option = option->wire;
	set.value.data = encoded;
	set.value.len = (size_t)encoded_len;
	op.op_case = SPLITSOCK__OP__OP_SET_OPTION;
	op.set_option = &set;
	/* A stream's data and control share an order that the gofer keeps; a datagram's side channel does not, so wait there. */
	if (sure && link_is_stream(link) && link->opened) {
		int error = link_call(link, &op, 1, LINK_CALL_NO_REPLY, NULL, NULL, NULL);

		return error ? error : 1;
	}
	return call_one(link, &op, done, arg, NULL);
}

/* Returns 0 or a negative errno. Unlike others, this option is not cut, and refuses room that it cannot fill. */
static int
peer_name_option(struct link *link, void *value, socklen_t len)
{
	struct link_name name;

	if (!link_peer_name(link, &name))
		return -ENOTCONN;
	if (len > name.len)
		return -EINVAL;
	memcpy(value, &name.address, len);
	return 0;
}

/* Values that the sentry side knows. False: it does not. */
static bool
local_option(struct link *link, int fd, int level, int name, int *value)
{
	bool closed, opened;

	if (level != SOL_SOCKET)
		return false;
	switch (name) {
	case SO_TYPE:
		*value = link->type;
		return true;
	case SO_DOMAIN:
		*value = link->family;
		return true;
	case SO_PROTOCOL:
		*value = link->protocol ? link->protocol
		         : link->family == AF_NETLINK ? 0
		         : link_is_stream(link) ? IPPROTO_TCP : IPPROTO_UDP;
		return true;
	case SO_ZEROCOPY:
		*value = link->zerocopy;
		return true;
	case SO_ACCEPTCONN:
		*value = link->state == LINK_LISTENING;
		return true;
	case SO_ERROR:
		/* Together: a link that is closed between two looks would seem to be one that has no host socket yet. */
		pthread_mutex_lock(&link->ss->lock);
		closed = link_is_over(link);
		opened = link->opened;
		pthread_mutex_unlock(&link->ss->lock);
		if (closed) {
			socklen_t len = sizeof *value;

			/* The kernel's own ECONNRESET says whether the program has met it yet; we know what it stands for. */
			if (getsockopt(fd, SOL_SOCKET, SO_ERROR, value, &len) == 0 && *value)
				*value = link->error;
			return true;
		}
		*value = 0;
		return !opened;
	default:
		return false;
	}
}

int
link_get_option(struct link *link, int fd, int level, int name, void *value, socklen_t *len, link_done done, void *arg)
{
	const struct socket_option *option = option_by_host(level, name);
	Splitsock__GetOption get = SPLITSOCK__GET_OPTION__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;
	int local;

	if (*len > LINK_VALUE_MAX)
		*len = LINK_VALUE_MAX;
	if (!option || !option->gettable) {
		int error = link_kernel_on_get(link, level, name, value, len);

		return error ? error : -ENOPROTOOPT;
	}
	if (lacks_peek_off(link, level, name))
		return -EOPNOTSUPP;
	if (option->place == OPTION_LINK)
		return getsockopt(fd, level, name, value, len) < 0 ? -errno : 1;
	if (local_option(link, fd, level, name, &local)) {
		uint8_t whole[sizeof local];

		memcpy(whole, &local, sizeof local);
		*len = (socklen_t)option_cut(option, whole, sizeof whole, *len);
		memcpy(value, whole, *len);
		return 1;
	}
	if (level == SOL_SOCKET && name == SO_PEERNAME) {
		int error = peer_name_option(link, value, *len);

		return error ? error : 1;
	}
	if (option->place == OPTION_LOCAL || link->state == LINK_CLOSED) {
		int error = link_kernel_on_get(link, level, name, value, len);

		return error ? error : 1;
	}
	get.option = option->wire;
	get.length = *len;
	if (option->asks) {
		get.question.data = value;
		get.question.len = *len;
	}
	op.op_case = SPLITSOCK__OP__OP_GET_OPTION;
	op.get_option = &get;
	return call_one(link, &op, done, arg, NULL);
}

/* A filter's length and the room for it count instructions, and no room asks for the length alone. */
static int
finish_get_filter(const struct socket_option *option, const struct link_result *result, void *value, socklen_t *len)
{
	socklen_t room = *len, count = (socklen_t)(result->value_len / sizeof(struct sock_filter));

	if (room && room < count)
		return EINVAL;
	*len = count;
	if (room == 0 || count == 0)
		return 0;
	return option_decode(option, result->value, result->value_len, value, LINK_VALUE_MAX) < 0 ? EPROTO : 0;
}

int
link_finish_get_option(struct link *link, int fd, int level, int name, const struct link_result *result, void *value,
                       socklen_t *len)
{
	const struct socket_option *option = option_by_host(level, name);
	uint8_t host[LINK_VALUE_MAX];
	ssize_t host_len;

	if ((result->error && link->state == LINK_CLOSED) || (level == SOL_SOCKET && name == SO_ERROR && link_is_over(link)))
		return link_get_option(link, fd, level, name, value, len, NULL, NULL) == 1 ? 0 : result->error;
	if (result->error) {
		if (result->count)
			*len = result->count;
		return result->error;
	}
	if (option->value == OPTION_FILTER)
		return finish_get_filter(option, result, value, len);
	host_len = option_decode(option, result->value, result->value_len, host, sizeof host);
	if (host_len < 0)
		return EPROTO;
	if (level == SOL_SOCKET && name == SO_ERROR && host_len == sizeof(int) && *(int *)host)
		link_drop_error_notice(link, fd);
	*len = (socklen_t)option_cut(option, host, (size_t)host_len, *len);
	memcpy(value, host, *len);
	/* A connect that has ended well is known as such from here on. */
	if (level == SOL_SOCKET && name == SO_ERROR && link->state == LINK_CONNECTING && *len == sizeof(int) && !*(int *)host &&
	    result->peer.len)
		set_state(link, LINK_CONNECTED);
	return 0;
}

/* ---- names -------------------------------------------------------------------------------------- */

bool
link_local_name(struct link *link, struct link_name *name)
{
	pthread_mutex_lock(&link->ss->lock);
	*name = link->local;
	pthread_mutex_unlock(&link->ss->lock);
	if (name->len)
		return true;
	/* What a socket that is not bound has. */
	memset(name, 0, sizeof *name);
	name->address.any.sa_family = (sa_family_t)link->family;
	name->len = link->family == AF_INET6 ? sizeof(struct sockaddr_in6)
	            : link->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_nl);
	return true;
}

bool
link_peer_name(struct link *link, struct link_name *name)
{
	bool connected;

	pthread_mutex_lock(&link->ss->lock);
	*name = link->peer;
	connected = link->state == LINK_CONNECTED;
	pthread_mutex_unlock(&link->ss->lock);
	return connected && name->len;
}
