#include "gofer/operations.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/in6.h>

#include "common/log.h"
#include "gofer/error_queue.h"
#include "gofer/interface.h"
#include "gofer/interfaces.h"
#include "gofer/listener.h"
#include "gofer/permission.h"
#include "gofer/resolver.h"
#include "gofer/route.h"
#include "proto/control.h"

/* Room for one getsockopt. */
#define VALUE_MAX 4096

struct answer {
	Splitsock__Result result;
	Splitsock__Address local_message, peer_message;
	struct wire_address local, peer;
	uint8_t *value; /* malloc()ed, freed once the reply is packed */
	struct control_list *control; /* likewise */
};

enum outcome {
	OUTCOME_OK,      /* the next operation of the batch runs */
	OUTCOME_FAILED,  /* answered; the batch ends */
	OUTCOME_PENDING, /* the answer comes later; the batch ends */
	OUTCOME_FATAL,   /* a correct client never sends this */
};

static enum outcome
refuse(struct answer *answer, Splitsock__Status status)
{
	answer->result.status = status;
	return OUTCOME_FAILED;
}

static enum outcome
fail(struct answer *answer, int error)
{
	if (!error)
		return OUTCOME_OK;
	answer->result.error = wire_errno(error);
	return refuse(answer, SPLITSOCK__STATUS__STATUS_HOST_ERRNO);
}

/* The name as the program knows it, where policy has put another in its place. */
static int
told_name(const struct sock *sock, bool peer, struct wire_address *name)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;

	if ((peer ? getpeername : getsockname)(sock->host.fd, (struct sockaddr *)&address, &len) < 0)
		return errno;
	if (peer)
		permission_rename_peer(sock, (struct sockaddr *)&address, &len);
	else
		permission_rename_local(sock, (struct sockaddr *)&address, len);
	return -wire_address_from_host(name, (struct sockaddr *)&address, len);
}

/* 0 or an errno. An operation that succeeds and cannot tell the name that it gave has failed: the program would see none. */
static int
answer_local(struct sock *sock, struct answer *answer)
{
	int error = told_name(sock, false, &answer->local);

	if (!error) {
		address_to_message(&answer->local_message, &answer->local);
		answer->result.local = &answer->local_message;
	}
	return error;
}

static int
answer_peer(struct sock *sock, struct answer *answer)
{
	int error = told_name(sock, true, &answer->peer);

	if (!error) {
		address_to_message(&answer->peer_message, &answer->peer);
		answer->result.peer = &answer->peer_message;
	}
	return error;
}

/* Decodes an address, puts it to the policy, and sets the host's socket up as that says. *publish, unless NULL: the port that is published. */
static enum outcome
take_address(struct sock *sock, enum policy_operation operation, const Splitsock__Address *message,
             struct sockaddr_storage *address, socklen_t *len, uint16_t *publish, struct answer *answer)
{
	struct policy_decision decision = {.allowed = true};
	struct wire_address wire;
	int error = address_from_message(&wire, message);

	if (error)
		return refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
	error = wire_address_to_host(&wire, address, len);
	if (error)
		return fail(answer, -error);
	if (!policy_allows(sock->session->entry, operation, &wire)) {
		audit_address(sock, operation, &wire);
		return refuse(answer, SPLITSOCK__STATUS__STATUS_DENIED);
	}
	if (publish)
		*publish = 0;
	if (sock->family == AF_NETLINK)
		return OUTCOME_OK;
	decision = permission_ask(sock, operation, address);
	if (!decision.allowed) {
		audit_decision(sock, operation, &wire, &decision);
		return refuse(answer, SPLITSOCK__STATUS__STATUS_DENIED);
	}
	audit_allowed(sock, operation, &wire, &decision);
	error = permission_apply(sock, operation, &decision, address, len);
	if (error)
		return fail(answer, -error);
	if (publish)
		*publish = decision.publish ? decision.publish->port : 0;
	return OUTCOME_OK;
}

/* Who writes the IP header: asked of the host's socket, as several options and protocols decide it. */
static void
note_own_header(struct sock *sock)
{
	bool v6 = sock->family == AF_INET6;
	int on = 0;
	socklen_t len = sizeof on;

	if (!sock_is_raw(sock))
		return;
	if (getsockopt(sock->host.fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_HDRINCL : IP_HDRINCL, &on, &len) < 0)
		on = true;
	sock->own_header = on;
	/* Where only the host's own addresses may be in it, they have to be known; else there are none. */
	if (on && !sock->session->entry->raw.any_source_ip)
		interfaces_start(sock->session->gofer);
}

static enum outcome
handle_open(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	int family = host_family(op->open->family), type = host_socket_type(op->open->type);
	int protocol = (int)op->open->protocol, fd;

	if (sock->state != SOCK_NEW && (sock->family != family || sock->type != type || sock->protocol != protocol))
		return refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
	if (sock->state != SOCK_NEW)
		return OUTCOME_OK;
	if (family < 0 || type < 0 || (sock->link.fd >= 0 && (type == SOCK_STREAM) != sock_is_stream(sock)))
		return refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
	/* The plainest socket there is, for who may ask for interfaces and nothing else: see run_operation(). */
	sock->interfaces_only = !policy_allows_socket(sock->session->entry, family, type, protocol) && family == AF_INET &&
	                        type == SOCK_DGRAM && protocol == 0 && policy_allows_interfaces(sock->session->entry);
	if ((!sock->interfaces_only && !policy_allows_socket(sock->session->entry, family, type, protocol)) ||
	    family == AF_PACKET) { /* those are for packet_run() */
		audit_socket(sock->session, family, type, protocol, false);
		return refuse(answer, SPLITSOCK__STATUS__STATUS_DENIED);
	}
	if (!gofer_has_room(sock->session->gofer)) {
		count_gofer(sock->session->gofer, COUNTER_DESCRIPTOR_SHORTAGES);
		return fail(answer, EMFILE);
	}
	fd = socket_in(sock->session->gofer, sock->session->entry->network, family, type, protocol);
	if (fd < 0) {
		int error = -fd;

		if (error == EPERM && (type == SOCK_RAW || family == AF_PACKET))
			audit_socket(sock->session, family, type, protocol, true);
		return fail(answer, error);
	}
	sock->host.fd = fd;
	sock->family = family;
	sock->type = type;
	sock->protocol = protocol;
	sock->state = SOCK_OPEN;
	note_own_header(sock);
	if (sock_is_raw(sock))
		audit_raw(sock);
	return OUTCOME_OK;
}

static enum outcome
handle_bind(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	struct sockaddr_storage address;
	socklen_t len;
	uint16_t publish;
	enum outcome outcome = take_address(sock, POLICY_BIND, op->bind->address, &address, &len, &publish, answer);

	if (outcome != OUTCOME_OK)
		return outcome;
	if (bind(sock->host.fd, (struct sockaddr *)&address, len) < 0) {
		int error = errno;

		/* A socket of the client's that it has closed, and whose hang-up we have not looked at yet, is not in use. */
		if (error != EADDRINUSE || !sock_reap_hung_up(sock->session, sock))
			return fail(answer, error);
		if (bind(sock->host.fd, (struct sockaddr *)&address, len) < 0)
			return fail(answer, errno);
	}
	sock->published = publish;
	audit_bound(sock);
	return fail(answer, answer_local(sock, answer));
}

static enum outcome
connect_datagram(struct sock *sock, const struct sockaddr_storage *address, socklen_t len, struct answer *answer)
{
	int error, unnamed;

	audit_connecting(sock);
	error = connect(sock->host.fd, (const struct sockaddr *)address, len) < 0 ? errno : 0;
	audit_connected(sock, error);
	if (error) {
		count_session(sock->session, COUNTER_CONNECTS_FAILED, 1);
		answer_local(sock, answer); /* it has got a port all the same */
		return fail(answer, error);
	}
	sock->has_peer = address->ss_family != AF_UNSPEC;
	resolver_note_peer(sock, sock->has_peer ? (const struct sockaddr *)address : NULL);
	count_session(sock->session, COUNTER_CONNECTS_OK, sock->has_peer);
	sock->error = 0;
	unnamed = answer_peer(sock, answer);
	/* One that was dissolved has no peer, and a raw socket's that has no port is not told: ENOTCONN. */
	if (!unnamed || unnamed == ENOTCONN)
		unnamed = answer_local(sock, answer);
	return fail(answer, unnamed);
}

/* The host's connect is under way: it may be done already, or the caller waits for it, or hears EINPROGRESS or EALREADY. */
static enum outcome
await_connect(struct sock *sock, const Splitsock__Op *op, const struct sockaddr_storage *address, socklen_t len, int error,
              struct answer *answer)
{
	struct waiter *waiter;
	bool linked = sock->link.fd >= 0, wait = op->connect->wait;
	int failed, unnamed;

	sock->state = SOCK_CONNECTING;
	/* On loopback the host is done before we ask. */
	if (!sock_finish_connect(sock, wait ? (const struct sockaddr *)address : NULL, len, &failed))
		return refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST); /* the event before this says why */
	if (failed && !linked && !wait) {
		/* Who does not wait hears of the failure through the link, once it is there. */
		sock->state = SOCK_RESET;
		sock->error = failed;
		return fail(answer, error);
	}
	unnamed = answer_local(sock, answer);
	if (failed) {
		if (!linked)
			sock->error = 0;
		return fail(answer, failed);
	}
	if (sock->state == SOCK_CONNECTED) {
		answer_peer(sock, answer);
		return fail(answer, unnamed);
	}
	if (!op->connect->wait)
		return fail(answer, error);
	if (sock->session->calls >= sock->session->gofer->limits.calls) {
		count_session(sock->session, COUNTER_QUOTA_REFUSALS, 1);
		return refuse(answer, SPLITSOCK__STATUS__STATUS_QUOTA);
	}
	waiter = calloc(1, sizeof *waiter);
	if (!waiter)
		return fail(answer, ENOBUFS);
	waiter->next = sock->waiters;
	sock->waiters = waiter;
	return OUTCOME_PENDING;
}

static enum outcome
handle_connect(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	struct session *session = sock->session;
	uint64_t handle = sock->handle;
	struct sockaddr_storage address;
	socklen_t len;
	enum outcome outcome = take_address(sock, POLICY_CONNECT, op->connect->address, &address, &len, NULL, answer);
	int error;

	if (answer->result.status == SPLITSOCK__STATUS__STATUS_DENIED)
		count_session(sock->session, COUNTER_CONNECTS_DENIED, 1);
	if (outcome != OUTCOME_OK)
		return outcome;
	if (!sock_is_stream(sock))
		return connect_datagram(sock, &address, len, answer);
	resolver_note_peer(sock, (const struct sockaddr *)&address);
	/* What is dissolved includes a link that was connected before this was sent. */
	if (address.ss_family == AF_UNSPEC && sock->link.fd < 0)
		listeners_take_links(session->gofer);
	/* A listener that the program has closed before this refuses. */
	sock_reap_listeners(session, sock);
	sock = table_find(&session->socks, handle);
	if (!sock)
		return refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
	if (op->connect->again)
		sock->error = 0;
	if (sock->error) { /* what the connect before this one came to */
		error = sock->error;
		sock->error = 0;
		return fail(answer, error);
	}
	audit_connecting(sock);
	error = connect(sock->host.fd, (struct sockaddr *)&address, len) < 0 ? errno : 0;
	if (error && error != EINPROGRESS && error != EALREADY) {
		answer_local(sock, answer);
		if (sock->state != SOCK_CONNECTING) {
			count_session(sock->session, COUNTER_CONNECTS_FAILED, 1);
			audit_connected(sock, error);
		}
		/* The kernel has handed out the pending connect's failure: it will not tell it again. */
		if (sock->state == SOCK_CONNECTING)
			sock_connect_failed(sock, error);
		return fail(answer, error);
	}
	if (!error && address.ss_family != AF_UNSPEC && sock->state == SOCK_OPEN) {
		sock->state = SOCK_CONNECTED;
		count_session(sock->session, COUNTER_CONNECTS_OK, 1);
		audit_connected(sock, 0);
	}
	if (!error && address.ss_family == AF_UNSPEC)
		sock_unlink(sock, 0);
	if (error)
		return await_connect(sock, op, &address, len, error, answer);
	answer_peer(sock, answer);
	return fail(answer, answer_local(sock, answer));
}

static enum outcome
handle_listen(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	struct wire_address local;
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof address;
	struct policy_decision decision;
	int error;

	if (sock_name(sock, getsockname, &local) != 0)
		return fail(answer, EINVAL);
	getsockname(sock->host.fd, (struct sockaddr *)&address, &len);
	decision = permission_ask(sock, POLICY_LISTEN, &address);
	if (!decision.allowed) {
		audit_decision(sock, POLICY_LISTEN, &local, &decision);
		return refuse(answer, SPLITSOCK__STATUS__STATUS_DENIED);
	}
	error = listen(sock->host.fd, sock_split_backlog(sock, op->listen->backlog)) < 0 ? errno : 0;
	audit_listening(sock, &decision, error);
	if (error)
		return fail(answer, error);
	sock_listens(sock);
	return fail(answer, answer_local(sock, answer));
}

static bool
allows_option(const struct sock *sock, int level, int name)
{
	const struct socket_option *option = option_by_host(level, name);

	return policy_allows_option(sock->session->entry, level, name, option && option->privileged);
}

/* The same for what a control message of this type sets. */
static bool
allows_control(const struct sock *sock, int level, int name)
{
	const struct socket_option *option = option_by_host(level, name);

	return policy_allows_control(sock->session->entry, level, name, option && option->privileged);
}

static enum outcome
handle_set_option(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	const struct socket_option *option = option_by_wire(op->set_option->option);
	uint8_t host[OPTION_VALUE_MAX];
	const void *value = host;
	struct sock_fprog filter;
	ssize_t len;

	if (!option || option->place != OPTION_HOST || !option->settable)
		return fail(answer, ENOPROTOOPT);
	len = option_decode(option, op->set_option->value.data, op->set_option->value.len, host, sizeof host);
	if (len < 0)
		return fail(answer, (int)-len);
	if (!allows_option(sock, option->level, option->name)) {
		audit_option(sock->session, option->level, option->name);
		count_session(sock->session, COUNTER_POLICY_DENIALS, 1);
		return fail(answer, EPERM); /* as the kernel has it for who lacks a capability */
	}
	if (option->value == OPTION_FILTER) {
		filter.len = (unsigned short)((size_t)len / sizeof(struct sock_filter));
		filter.filter = (struct sock_filter *)(void *)host;
		value = &filter;
		len = sizeof filter;
	}
	if (setsockopt(sock->host.fd, option->level, option->name, value, (socklen_t)len) < 0)
		return fail(answer, errno);
	note_own_header(sock);
	return OUTCOME_OK;
}

static enum outcome
handle_get_option(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	const struct socket_option *option = option_by_wire(op->get_option->option);
	const ProtobufCBinaryData *question = &op->get_option->question;
	uint8_t host[VALUE_MAX] = {0};
	socklen_t len, asked;
	ssize_t encoded;

	if (!option || option->place != OPTION_HOST || !option->gettable)
		return fail(answer, ENOPROTOOPT);
	len = (socklen_t)option_room(option, op->get_option->length);
	if (len > VALUE_MAX)
		len = VALUE_MAX;
	if (option->value == OPTION_FILTER)
		len = VALUE_MAX / sizeof(struct sock_filter); /* it counts instructions */
	if (option->asks && question->len)
		memcpy(host, question->data, question->len < sizeof host ? question->len : sizeof host);
	if (option->level == SOL_SOCKET && option->name == SO_ERROR && sock->state == SOCK_CONNECTING) {
		/* The host may be done already, and the loop not have looked. This may free the sock, and then the event says why. */
		int failed;

		if (!sock_finish_connect(sock, NULL, 0, &failed))
			return refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
	}
	if (sock->host.fd < 0)
		return refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
	asked = len;
	if (getsockopt(sock->host.fd, option->level, option->name, host, &len) < 0) {
		if (len != asked)
			answer->result.count = len;
		return fail(answer, errno);
	}
	if (option->value == OPTION_FILTER) {
		if (len == 0)
			return OUTCOME_OK; /* no filter, no bytes */
		len *= sizeof(struct sock_filter);
	}
	if (option->level == SOL_SOCKET && option->name == SO_ERROR && sock->error && len == sizeof(int)) {
		memcpy(host, &sock->error, sizeof(int));
		sock->error = 0;
	}
	answer->value = malloc(VALUE_MAX);
	if (!answer->value)
		return fail(answer, ENOBUFS);
	encoded = option_encode(option, host, len, answer->value, VALUE_MAX);
	if (encoded < 0)
		return fail(answer, (int)-encoded);
	answer->result.value.data = answer->value;
	answer->result.value.len = (size_t)encoded;
	return OUTCOME_OK;
}

static enum outcome
handle_shutdown(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	int how = host_shutdown(op->shutdown->how);

	if (how < 0)
		return refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
	/* The kernel does it also where it says ENOTCONN. */
	if (!sock_is_stream(sock) && how != SHUT_WR)
		sock->down_ended = true;
	if (shutdown(sock->host.fd, how) < 0)
		return fail(answer, errno);
	if (sock->state == SOCK_LISTENING && how != SHUT_WR) {
		sock->state = SOCK_OPEN;
		shutdown(sock->link.fd, SHUT_WR); /* wakes who waits in accept */
	}
	return OUTCOME_OK;
}

static enum outcome
handle_query(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	(void)op;
	answer_local(sock, answer);
	answer_peer(sock, answer);
	answer->result.count = (uint32_t)sock_unacknowledged(sock);
	answer->result.unsent = (uint32_t)sock_unsent(sock);
	return sock->state == SOCK_CONNECTING ? fail(answer, EINPROGRESS) : OUTCOME_OK;
}

static enum outcome
handle_send(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	struct sockaddr_storage address;
	struct iovec iov = {op->send->payload.data, op->send->payload.len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	_Alignas(struct cmsghdr) char control[2 * CONTROL_BYTES_MAX];
	uint32_t unknown;
	int flags = host_message_flags(op->send->flags, &unknown);
	ssize_t n;

	if (unknown || sock_is_stream(sock))
		return refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
	if (op->send->to) {
		enum outcome outcome =
			take_address(sock, POLICY_SEND, op->send->to, &address, &message.msg_namelen, NULL, answer);

		if (outcome != OUTCOME_OK)
			return outcome;
		message.msg_name = &address;
	}
	if (op->send->n_control) {
		n = op->send->n_control > CONTROL_MESSAGES_MAX
		            ? -EINVAL : control_to_host(op->send->control, op->send->n_control, control, sizeof control);
		if (n < 0)
			return refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
		message.msg_control = control;
		message.msg_controllen = (size_t)n;
		for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at))
			if (!allows_control(sock, at->cmsg_level, at->cmsg_type)) {
				audit_option(sock->session, at->cmsg_level, at->cmsg_type);
				return refuse(answer, SPLITSOCK__STATUS__STATUS_DENIED);
			}
	}
	if (sock->family == AF_NETLINK && !policy_allows_netlink(iov.iov_base, iov.iov_len)) {
		audit_netlink(sock->session);
		return refuse(answer, SPLITSOCK__STATUS__STATUS_DENIED);
	}
	if (!raw_allows(sock, iov.iov_base, iov.iov_len))
		return refuse(answer, SPLITSOCK__STATUS__STATUS_DENIED);
	/* A raw socket's send tells of it only with a header of the client's own. */
	if (sock->error && (!sock_is_raw(sock) || sock->own_header)) {
		int error = sock->error;

		sock->error = 0;
		return fail(answer, error);
	}
	resolver_note_sent(sock, message.msg_name, iov.iov_base, iov.iov_len);
	n = sendmsg(sock->host.fd, &message, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return fail(answer, errno);
	count_datagram(sock, true, (uint64_t)n);
	if (message.msg_name)
		audit_sent(sock);
	answer->result.count = (uint32_t)n;
	answer_local(sock, answer);
	return OUTCOME_OK;
}

static enum outcome
handle_release(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	struct session *session = sock->session;
	uint64_t handle = sock->handle;

	(void)op;
	(void)answer;
	/* A link that waits to be accepted must not come to a socket that is gone. */
	listeners_take_links(session->gofer);
	sock = table_find(&session->socks, handle);
	if (sock)
		sock_free(sock);
	return OUTCOME_PENDING; /* it has no reply */
}

static enum outcome
handle_interface_ioctl(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	int error;

	answer->value = calloc(1, INTERFACE_VALUE_MAX);
	if (!answer->value)
		return fail(answer, ENOBUFS);
	answer->result.value.data = answer->value;
	error = interface_ioctl(sock->host.fd, op->interface_ioctl, answer->value, &answer->result.value.len);
	return error == -EBADMSG ? refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST) : fail(answer, -error);
}

static enum outcome
handle_poke(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	(void)op;
	(void)answer;
	relay_listener_poke(sock);
	return OUTCOME_OK;
}

static enum outcome
handle_receive_error(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	struct queued_error *error;
	struct wire_address *name = &answer->peer;

	(void)op;
	error_queue_take(sock);
	error = error_queue_pop(sock);
	if (!error)
		return fail(answer, EAGAIN);
	/* Who has seen the entry has been told. */
	if (error->icmp_error)
		sock->error = sock->errors ? sock->errors->icmp_error : 0;
	answer->value = malloc(error->len + 1);
	answer->control = calloc(1, sizeof *answer->control);
	if (!answer->value || !answer->control) {
		free(error);
		return fail(answer, ENOBUFS);
	}
	memcpy(answer->value, error->data, error->len);
	answer->result.value.data = answer->value;
	answer->result.value.len = error->len;
	answer->result.count = (uint32_t)error->len;
	control_list_add_all(answer->control, error->control, error->control_len);
	answer->result.control = answer->control->list;
	answer->result.n_control = answer->control->count;
	if (wire_address_from_host(name, (struct sockaddr *)&error->name, error->name_len) == 0) {
		address_to_message(&answer->peer_message, name);
		answer->result.peer = &answer->peer_message;
	}
	free(error);
	return OUTCOME_OK;
}

static enum outcome
handle_urgent(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	(void)op;
	(void)answer;
	relay_stream_expect_urgent(sock);
	return OUTCOME_OK;
}

/* ---- the table ---------------------------------------------------------------------------------- */

#define IN(state) (1u << (state))
#define IN_HOST (IN(SOCK_OPEN) | IN(SOCK_CONNECTING) | IN(SOCK_CONNECTED) | IN(SOCK_LISTENING))

struct operation {
	const char *name;
	unsigned states; /* where it is legal; elsewhere it is answered with STATUS_BAD_REQUEST */
	enum outcome (*handle)(struct sock *, const Splitsock__Op *, struct answer *);
	bool for_interfaces; /* legal on a socket that may do no more than ask for them */
};

static const struct operation operations[] = {
	[SPLITSOCK__OP__OP_OPEN] = {"open", IN_HOST | IN(SOCK_NEW), handle_open, true},
	[SPLITSOCK__OP__OP_BIND] = {"bind", IN_HOST, handle_bind},
	[SPLITSOCK__OP__OP_CONNECT] = {"connect", IN_HOST, handle_connect},
	[SPLITSOCK__OP__OP_LISTEN] = {"listen", IN_HOST, handle_listen},
	[SPLITSOCK__OP__OP_SET_OPTION] = {"set_option", IN_HOST, handle_set_option},
	[SPLITSOCK__OP__OP_GET_OPTION] = {"get_option", IN_HOST, handle_get_option},
	[SPLITSOCK__OP__OP_SHUTDOWN] = {"shutdown", IN_HOST, handle_shutdown},
	[SPLITSOCK__OP__OP_QUERY] = {"query", IN_HOST, handle_query, true},
	[SPLITSOCK__OP__OP_SEND] = {"send", IN(SOCK_OPEN), handle_send},
	[SPLITSOCK__OP__OP_RELEASE] = {"release", IN_HOST | IN(SOCK_NEW) | IN(SOCK_RESET), handle_release, true},
	[SPLITSOCK__OP__OP_INTERFACE_IOCTL] = {"interface_ioctl", IN_HOST, handle_interface_ioctl, true},
	[SPLITSOCK__OP__OP_POKE] = {"poke", IN(SOCK_LISTENING), handle_poke},
	[SPLITSOCK__OP__OP_RECEIVE_ERROR] = {"receive_error", IN_HOST, handle_receive_error},
	[SPLITSOCK__OP__OP_URGENT] = {"urgent", IN(SOCK_CONNECTED), handle_urgent},
};
static_assert(sizeof operations / sizeof *operations == SPLITSOCK__OP__OP_URGENT + 1, "every operation has a row");

/* ---- requests and replies ----------------------------------------------------------------------- */

static void
send_reply(const struct call *call, struct answer *answers, size_t count)
{
	Splitsock__Reply reply = SPLITSOCK__REPLY__INIT;
	Splitsock__Result *results[CODEC_OPS_MAX];
	size_t len;
	uint8_t *packet;

	for (size_t i = 0; i < count; i++)
		results[i] = &answers[i].result;
	count_answer(call->session, answers[count - 1].result.status);
	reply.results = results;
	reply.n_results = count;
	if (call->no_reply)
		return;
	if (!call->on_channel) {
		session_send(call->session, FRAME_REPLY, call->id, &reply.base);
		return;
	}
	/* A client that lets its own channel fill up does without the answer: it has asked for too much at once. */
	packet = encode_frame(FRAME_REPLY, call->id, &reply.base, &len);
	if (packet && send(call->session->channel.fd, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
		count_session(call->session, COUNTER_FRAMES_OUT_CHANNEL, 1);
	} else if (packet && errno == EAGAIN) {
		count_session(call->session, COUNTER_REPLIES_DROPPED, 1);
		if (!call->session->channel_full)
			log_warning("session %016llx: its side channel is full; replies are dropped, and counted", (unsigned long long)call->session->id);
		call->session->channel_full = true;
	} else {
		session_end(call->session); /* its caller would wait for ever */
	}
	free(packet);
}

/* The socket a request names. NULL with *answer set, or with FATAL. */
static struct sock *
request_sock(const struct call *call, const Splitsock__Request *request, struct answer *answer, enum outcome *outcome)
{
	struct sock *sock = table_find(&call->session->socks, request->handle);

	*outcome = OUTCOME_FAILED;
	if (!sock) {
		/* Its link was connected before the request was sent, but may still wait to be accepted. */
		listeners_take_links(call->session->gofer);
		sock = table_find(&call->session->socks, request->handle);
	}
	if (sock)
		return sock;
	/* Closed meanwhile, or never there. Who does not wait for the answer may have closed it meanwhile, too. */
	if (request->ops[0]->op_case != SPLITSOCK__OP__OP_OPEN || request->handle == 0 || request->handle >> 63 || call->no_reply) {
		refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
		return NULL;
	}
	sock = sock_new(call->session, request->handle);
	if (!sock)
		refuse(answer, SPLITSOCK__STATUS__STATUS_QUOTA);
	return sock;
}

static enum outcome
run_operation(struct sock *sock, const Splitsock__Op *op, struct answer *answer)
{
	const struct operation *operation;

	if (op->op_case <= 0 || (size_t)op->op_case >= sizeof operations / sizeof *operations)
		return OUTCOME_FATAL;
	operation = &operations[op->op_case];
	count_operation(sock->session, op->op_case);
	if (!(operation->states & IN(sock->state)))
		return refuse(answer, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
	if (sock->interfaces_only && !operation->for_interfaces) {
		audit_socket(sock->session, sock->family, sock->type, sock->protocol, false);
		return refuse(answer, SPLITSOCK__STATUS__STATUS_DENIED);
	}
	return operation->handle(sock, op, answer);
}

bool
request_run(const struct call *call, const Splitsock__Request *request)
{
	struct session *session = call->session;
	struct answer *answers = calloc(request->n_ops, sizeof *answers);
	enum outcome outcome = OUTCOME_OK;
	struct sock *sock;
	size_t count = 0;

	if (!answers)
		return false;
	for (size_t i = 0; i < request->n_ops; i++)
		splitsock__result__init(&answers[i].result);
	sock = request_sock(call, request, &answers[0], &outcome);
	if (sock && request->error_told && request->error_told == sock->error_number)
		sock->error = 0;
	if (!sock) {
		count = 1;
	} else if (!sock_drain(sock)) {
		sock = NULL;
		outcome = refuse(&answers[0], SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
		count = 1;
	} else {
		for (outcome = OUTCOME_OK; outcome == OUTCOME_OK && count < request->n_ops; count++)
			outcome = run_operation(sock, request->ops[count], &answers[count]);
		/* A handler may have freed it. */
		sock = table_find(&session->socks, request->handle);
	}
	if (outcome == OUTCOME_PENDING && sock && sock->waiters) {
		sock->waiters->call = call->id;
		sock->waiters->done = (uint32_t)count - 1;
		sock->waiters->on_channel = call->on_channel;
		sock->waiters->no_reply = call->no_reply;
		session->calls++;
	} else if (outcome != OUTCOME_PENDING && outcome != OUTCOME_FATAL) {
		send_reply(call, answers, count);
	}
	/* A host socket that never came to be leaves nothing to hold. */
	if (sock && sock->state == SOCK_NEW && sock->link.fd < 0)
		sock_free(sock);
	else if (sock)
		sock_update(sock);
	for (size_t i = 0; i < request->n_ops; i++) {
		free(answers[i].value);
		free(answers[i].control);
	}
	free(answers);
	return outcome != OUTCOME_FATAL;
}

static void
answer_waiter_as(struct sock *sock, const struct waiter *waiter, struct answer *last)
{
	struct call call = {.session = sock->session,
	                    .id = waiter->call,
	                    .on_channel = waiter->on_channel,
	                    .no_reply = waiter->no_reply};
	struct answer answers[CODEC_OPS_MAX];

	for (uint32_t i = 0; i < waiter->done; i++)
		splitsock__result__init(&answers[i].result);
	answers[waiter->done] = *last;
	sock->session->calls--;
	send_reply(&call, answers, waiter->done + 1);
}

void
answer_waiter(struct sock *sock, const struct waiter *waiter, int error)
{
	struct answer answer = {.result = SPLITSOCK__RESULT__INIT};

	if (fail(&answer, error) == OUTCOME_OK)
		answer_peer(sock, &answer);
	answer_local(sock, &answer);
	answer_waiter_as(sock, waiter, &answer);
}

struct cancel {
	uint32_t id;
};

static void
cancel_in_sock(void *entry, void *arg)
{
	struct sock *sock = entry;
	const struct cancel *cancel = arg;

	for (struct waiter **at = &sock->waiters; *at;) {
		struct waiter *waiter = *at;

		if (waiter->call != cancel->id) {
			at = &waiter->next;
			continue;
		}
		struct answer answer = {.result = SPLITSOCK__RESULT__INIT};

		*at = waiter->next;
		refuse(&answer, SPLITSOCK__STATUS__STATUS_CANCELLED);
		answer_waiter_as(sock, waiter, &answer);
		free(waiter);
	}
}

void
request_cancel(struct session *session, uint32_t id)
{
	table_visit(&session->socks, cancel_in_sock, &(struct cancel){id});
}
