/*
 * Requests on a session that is built by hand: no daemon, no NNG, no loop that runs. Replies are read from the side channel, or from
 * the queue of the control stream, which looks busy for ever. Host sockets are real and stay on the loopback.
 */
#include "gofer/operations.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/in6.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

/* As gofer/session.c has it. */
struct outgoing {
	struct outgoing *next;
	uint8_t *data;
	size_t len, off;
};

static struct gofer gofer;
static struct session session;
static struct policy policy;
static int channel; /* the client's end */

static void
setup(void)
{
	int pair[2];

	gofer = (struct gofer){
		.limits = {.sockets = 100, .calls = 100, .sessions = 1},
		.scratch = malloc(SCRATCH_SIZE),
	};
	cr_assert_eq(policy_open(&policy), 0);
	gofer.policy = &policy;
	cr_assert_eq(loop_init(&gofer.loop), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	session = (struct session){
		.gofer = &gofer,
		.entry = policy.entries,
		.state = SESSION_READY,
		.sending = true, /* so that frames are queued and none is handed to NNG */
		.channel = {.fd = pair[0]},
	};
	pthread_mutex_init(&session.outbox_lock, NULL);
	session.outbox_tail = &session.outbox;
	channel = pair[1];
}

static void
drop_outbox(void)
{
	while (session.outbox) {
		struct outgoing *first = session.outbox;

		session.outbox = first->next;
		free(first->data);
		free(first);
	}
	session.outbox_tail = &session.outbox;
	session.outbox_bytes = 0;
}

static void
teardown(void)
{
	struct sock *sock;

	while ((sock = table_any(&session.socks)))
		sock_free(sock);
	drop_outbox();
	loop_close(&gofer.loop, &session.channel);
	close(channel);
	relay_free_idle_pipes(&gofer);
	loop_free(&gofer.loop);
	free(gofer.scratch);
	policy_free(&policy);
	pthread_mutex_destroy(&session.outbox_lock);
}

TestSuite(operations, .init = setup, .fini = teardown, .timeout = 60);

/* ---- asking -------------------------------------------------------------------------------------- */

enum { BATCH = 8 };

/* A batch under construction. */
struct batch {
	Splitsock__Op ops[BATCH], *pointers[BATCH];
	union {
		Splitsock__Open open;
		Splitsock__Bind bind;
		Splitsock__Connect connect;
		Splitsock__Listen listen;
		Splitsock__SetOption set;
		Splitsock__GetOption get;
		Splitsock__Shutdown shutdown;
		Splitsock__Query query;
		Splitsock__Send send;
		Splitsock__Release release;
		Splitsock__Poke poke;
		Splitsock__ReceiveError receive_error;
		Splitsock__Urgent urgent;
		Splitsock__InterfaceIoctl ioctl;
	} bodies[BATCH];
	Splitsock__Address addresses[BATCH];
	struct wire_address wires[BATCH];
	Splitsock__Request request;
};

static struct batch
batch_for(uint64_t handle)
{
	struct batch batch = {.request = SPLITSOCK__REQUEST__INIT};

	batch.request.handle = handle;
	return batch;
}

static Splitsock__Op *
next_op(struct batch *batch, Splitsock__Op__OpCase op_case)
{
	Splitsock__Op *op = &batch->ops[batch->request.n_ops];

	cr_assert_lt(batch->request.n_ops, BATCH);
	splitsock__op__init(op);
	op->op_case = op_case;
	/* Every member of the oneof is a pointer, at one place. */
	op->open = &batch->bodies[batch->request.n_ops].open;
	batch->request.n_ops++;
	return op;
}

static Splitsock__Address *
address_of(struct batch *batch, const struct sockaddr *address, socklen_t len)
{
	size_t i = batch->request.n_ops - 1;

	cr_assert_eq(wire_address_from_host(&batch->wires[i], address, len), 0);
	address_to_message(&batch->addresses[i], &batch->wires[i]);
	return &batch->addresses[i];
}

static void
add_open(struct batch *batch, int family, int type, int protocol)
{
	Splitsock__Op *op = next_op(batch, SPLITSOCK__OP__OP_OPEN);

	splitsock__open__init(op->open);
	op->open->family = wire_family(family);
	op->open->type = wire_socket_type(type);
	op->open->protocol = (uint32_t)protocol;
}

static struct sockaddr_in
loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static void
add_bind(struct batch *batch, struct sockaddr_in address)
{
	Splitsock__Op *op = next_op(batch, SPLITSOCK__OP__OP_BIND);

	splitsock__bind__init(op->bind);
	op->bind->address = address_of(batch, (struct sockaddr *)&address, sizeof address);
}

static void
add_connect(struct batch *batch, struct sockaddr_in address, bool wait)
{
	Splitsock__Op *op = next_op(batch, SPLITSOCK__OP__OP_CONNECT);

	splitsock__connect__init(op->connect);
	op->connect->address = address_of(batch, (struct sockaddr *)&address, sizeof address);
	op->connect->wait = wait;
}

static void
add_listen(struct batch *batch, int backlog)
{
	Splitsock__Op *op = next_op(batch, SPLITSOCK__OP__OP_LISTEN);

	splitsock__listen__init(op->listen);
	op->listen->backlog = backlog;
}

static void
add_set_option(struct batch *batch, int level, int name, uint8_t *value, size_t len)
{
	Splitsock__Op *op = next_op(batch, SPLITSOCK__OP__OP_SET_OPTION);

	splitsock__set_option__init(op->set_option);
	op->set_option->option = option_by_host(level, name)->wire;
	op->set_option->value.data = value;
	op->set_option->value.len = len;
}

static void
add_get_option(struct batch *batch, int level, int name)
{
	Splitsock__Op *op = next_op(batch, SPLITSOCK__OP__OP_GET_OPTION);

	splitsock__get_option__init(op->get_option);
	op->get_option->option = option_by_host(level, name)->wire;
	op->get_option->length = 4;
}

static void
add_send(struct batch *batch, const struct sockaddr_in *to, uint8_t *data, size_t len)
{
	Splitsock__Op *op = next_op(batch, SPLITSOCK__OP__OP_SEND);

	splitsock__send__init(op->send);
	if (to)
		op->send->to = address_of(batch, (const struct sockaddr *)to, sizeof *to);
	op->send->payload.data = data;
	op->send->payload.len = len;
}

static uint8_t one[4] = {1, 0, 0, 0};
static uint8_t ifreq_lo[sizeof(struct ifreq)] = "lo";

/* An operation that a client might send, whatever it is. */
static void
add_some(struct batch *batch, Splitsock__Op__OpCase which, int type)
{
	Splitsock__Op *op;

	switch (which) {
	case SPLITSOCK__OP__OP_OPEN:
		add_open(batch, AF_INET, type, 0);
		break;
	case SPLITSOCK__OP__OP_BIND:
		add_bind(batch, loopback(0));
		break;
	case SPLITSOCK__OP__OP_CONNECT:
		add_connect(batch, loopback(9), false);
		break;
	case SPLITSOCK__OP__OP_LISTEN:
		add_listen(batch, 1);
		break;
	case SPLITSOCK__OP__OP_SET_OPTION:
		add_set_option(batch, SOL_SOCKET, SO_KEEPALIVE, one, sizeof one);
		break;
	case SPLITSOCK__OP__OP_GET_OPTION:
		add_get_option(batch, SOL_SOCKET, SO_KEEPALIVE);
		break;
	case SPLITSOCK__OP__OP_SHUTDOWN:
		op = next_op(batch, which);
		splitsock__shutdown__init(op->shutdown);
		op->shutdown->how = wire_shutdown(SHUT_WR);
		break;
	case SPLITSOCK__OP__OP_QUERY:
		splitsock__query__init(next_op(batch, which)->query);
		break;
	case SPLITSOCK__OP__OP_SEND:
		add_send(batch, &(struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}}, one, 1);
		break;
	case SPLITSOCK__OP__OP_RELEASE:
		splitsock__release__init(next_op(batch, which)->release);
		break;
	case SPLITSOCK__OP__OP_INTERFACE_IOCTL:
		op = next_op(batch, which);
		splitsock__interface_ioctl__init(op->interface_ioctl);
		op->interface_ioctl->request = SIOCGIFINDEX;
		op->interface_ioctl->ifreq.data = ifreq_lo;
		op->interface_ioctl->ifreq.len = sizeof ifreq_lo;
		break;
	case SPLITSOCK__OP__OP_POKE:
		splitsock__poke__init(next_op(batch, which)->poke);
		break;
	case SPLITSOCK__OP__OP_RECEIVE_ERROR:
		splitsock__receive_error__init(next_op(batch, which)->receive_error);
		break;
	case SPLITSOCK__OP__OP_URGENT:
		splitsock__urgent__init(next_op(batch, which)->urgent);
		break;
	default:
		cr_assert_fail("operation %d: tell this test what it looks like", which);
	}
}

/* What the session has counted. */
static uint64_t
counted(enum counter_id id)
{
	return session.counters.value[id - COUNTERS_SESSION_FIRST];
}

/* ---- answers ------------------------------------------------------------------------------------- */

/* What a reply said, out of the frame. */
struct told {
	bool replied;
	uint32_t id;
	size_t count;
	Splitsock__Status status[BATCH];
	int error[BATCH];
	size_t value_len;   /* of the last */
	uint8_t value[4096];
	uint32_t sent;
	int local_port, peer_port; /* of the last; -1: not told */
};

static int
port_of(const Splitsock__Address *address)
{
	return address ? (int)address->port : -1;
}

static struct told
take(const uint8_t *bytes, size_t len)
{
	struct told told = {.replied = true};
	struct codec_arena arena = {0};
	struct frame frame;
	size_t need;
	Splitsock__Reply *reply;
	const Splitsock__Result *last;

	cr_assert_eq(frame_parse(&frame, bytes, len, &need), (ssize_t)len);
	cr_assert_eq(frame.kind, FRAME_REPLY);
	reply = decode_reply(&arena, &frame);
	cr_assert_not_null(reply, "a client takes it");
	told.id = frame.id;
	told.count = reply->n_results;
	cr_assert_leq(reply->n_results, BATCH);
	for (size_t i = 0; i < reply->n_results; i++) {
		told.status[i] = reply->results[i]->status;
		told.error[i] = host_errno(reply->results[i]->error);
		cr_assert_eq(told.status[i] == SPLITSOCK__STATUS__STATUS_HOST_ERRNO, told.error[i] != 0);
		if (i + 1 < reply->n_results)
			cr_assert_eq(told.status[i], SPLITSOCK__STATUS__STATUS_OK, "only the last may have failed");
	}
	last = reply->results[reply->n_results - 1];
	told.value_len = last->value.len;
	cr_assert_leq(last->value.len, sizeof told.value);
	if (last->value.len)
		memcpy(told.value, last->value.data, last->value.len);
	told.sent = last->count;
	told.local_port = port_of(last->local);
	told.peer_port = port_of(last->peer);
	codec_free(&arena);
	return told;
}

static struct told
take_from_channel(void)
{
	static uint8_t packet[FRAME_HEADER_SIZE + FRAME_BODY_MAX];
	ssize_t len = recv(channel, packet, sizeof packet, 0);

	if (len < 0) {
		cr_assert_eq(errno, EAGAIN);
		return (struct told){0};
	}
	return take(packet, (size_t)len);
}

/* The oldest frame of the control stream's queue; kind 0 when it is empty. */
static enum frame_kind
take_from_stream(struct told *told, Splitsock__Event *event)
{
	struct outgoing *first = session.outbox;
	struct frame frame;
	size_t need;

	if (!first)
		return 0;
	cr_assert_eq(frame_parse(&frame, first->data, first->len, &need), (ssize_t)first->len);
	if (frame.kind == FRAME_REPLY && told) {
		*told = take(first->data, first->len);
	} else if (frame.kind == FRAME_EVENT) {
		struct codec_arena arena = {0};
		Splitsock__Event *got = decode_event(&arena, &frame);

		cr_assert_not_null(got);
		if (event)
			*event = *got;
		codec_free(&arena);
	}
	session.outbox = first->next;
	session.outbox_bytes -= first->len;
	if (!session.outbox)
		session.outbox_tail = &session.outbox;
	free(first->data);
	free(first);
	return frame.kind;
}

static uint32_t last_id;

/* Asks on the side channel, whose replies can be read. False: the session is to end. */
static bool
ask_(struct batch *batch, struct told *told)
{
	struct call call = {.session = &session, .id = ++last_id, .on_channel = true, .no_reply = batch->request.no_reply};
	bool good;

	for (size_t i = 0; i < batch->request.n_ops; i++)
		batch->pointers[i] = &batch->ops[i];
	batch->request.ops = batch->pointers;
	good = request_run(&call, &batch->request);
	*told = take_from_channel();
	if (told->replied)
		cr_assert_eq(told->id, last_id);
	cr_assert_not(take_from_channel().replied, "a request has one reply");
	return good;
}

static struct told
ask(struct batch *batch)
{
	struct told told;

	cr_assert(ask_(batch, &told), "a request that a correct client may send");
	return told;
}

/* Asks on the control stream, for connects that wait. Returns the call's id. */
static uint32_t
ask_on_stream(struct batch *batch)
{
	struct call call = {.session = &session, .id = ++last_id, .no_reply = batch->request.no_reply};

	for (size_t i = 0; i < batch->request.n_ops; i++)
		batch->pointers[i] = &batch->ops[i];
	batch->request.ops = batch->pointers;
	cr_assert(request_run(&call, &batch->request));
	return last_id;
}

static void
check_ok(const struct told *told, size_t count)
{
	cr_assert(told->replied);
	cr_assert_eq(told->count, count, "%zu results", told->count);
	cr_assert_eq(told->status[count - 1], SPLITSOCK__STATUS__STATUS_OK, "status %d, %s", told->status[count - 1],
	             strerror(told->error[count - 1]));
}

static void
check_status(const struct told *told, size_t count, Splitsock__Status status, int error)
{
	cr_assert(told->replied);
	cr_assert_eq(told->count, count, "%zu results", told->count);
	cr_assert_eq(told->status[count - 1], status, "status %d", told->status[count - 1]);
	cr_assert_eq(told->error[count - 1], error, "%s", strerror(told->error[count - 1]));
}

static struct sock *
sock_of(uint64_t handle)
{
	return table_find(&session.socks, handle);
}

static struct sock *
open_socket(uint64_t handle, int family, int type, int protocol)
{
	struct batch batch = batch_for(handle);
	struct told told;

	add_open(&batch, family, type, protocol);
	told = ask(&batch);
	check_ok(&told, 1);
	cr_assert_not_null(sock_of(handle));
	cr_assert_eq(sock_of(handle)->state, SOCK_OPEN);
	return sock_of(handle);
}

/* ---- sockets in every state ---------------------------------------------------------------------- */

static int peers[16], peer_count;

static uint16_t
port_of_fd(int fd)
{
	struct sockaddr_in address;
	socklen_t len = sizeof address;

	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	return ntohs(address.sin_port);
}

static int
host_listener(int backlog)
{
	struct sockaddr_in address = loopback(0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	cr_assert_eq(listen(fd, backlog), 0);
	return peers[peer_count++] = fd;
}

/* A listener whose queue is full: connecting to it takes until somebody makes room, or it goes away. */
static int
host_listener_full(void)
{
	int fd = host_listener(0);
	struct sockaddr_in address = loopback(port_of_fd(fd));

	for (int i = 0; i < 3; i++) {
		int filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		connect(filler, (struct sockaddr *)&address, sizeof address);
		peers[peer_count++] = filler;
	}
	return fd;
}

/* Ties an AF_UNIX pair to the socket; returns the program's end. */
static int
attach(struct sock *sock)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, (sock_is_stream(sock) ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	cr_assert(sock_attach_link(sock, pair[0], 0));
	return peers[peer_count++] = pair[1];
}

enum kind { NEW_DATAGRAM, OPEN_STREAM, OPEN_DATAGRAM, CONNECTING, CONNECTED, LISTENING, RESET, KINDS };

static const char *const kind_names[KINDS] = {"new", "open stream", "open datagram", "connecting", "connected", "listening", "reset"};
static const enum sock_state kind_states[KINDS] = {SOCK_NEW,       SOCK_OPEN,      SOCK_OPEN, SOCK_CONNECTING,
                                                   SOCK_CONNECTED, SOCK_LISTENING, SOCK_RESET};

static struct sock *
socket_in(enum kind kind, uint64_t handle)
{
	struct batch batch = batch_for(handle);
	struct sock *sock;
	struct told told;

	if (kind == NEW_DATAGRAM) {
		sock = sock_new(&session, handle);
		cr_assert_not_null(sock);
		sock->type = SOCK_DGRAM;
		attach(sock);
		return sock;
	}
	sock = open_socket(handle, AF_INET, kind == OPEN_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM, 0);
	switch (kind) {
	case CONNECTING:
		add_connect(&batch, loopback(port_of_fd(host_listener_full())), false);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EINPROGRESS);
		break;
	case CONNECTED:
	case RESET:
		add_connect(&batch, loopback(port_of_fd(host_listener(5))), true);
		told = ask(&batch);
		check_ok(&told, 1);
		attach(sock);
		if (kind == RESET)
			cr_assert(sock_host_gone(sock, ECONNRESET));
		break;
	case LISTENING:
		add_bind(&batch, loopback(0));
		add_listen(&batch, 5);
		told = ask(&batch);
		check_ok(&told, 2);
		attach(sock);
		break;
	default:
		break;
	}
	sock_update(sock);
	cr_assert_eq(sock->state, kind_states[kind], "%s", kind_names[kind]);
	return sock;
}

static void
close_peers(void)
{
	while (peer_count)
		close(peers[--peer_count]);
}

/* ---- which operation is legal where -------------------------------------------------------------- */

/* From the comments of sock.h and splitsock.proto, not from the table. */
static bool
legal(int op, enum kind kind)
{
	switch (kind) {
	case NEW_DATAGRAM: /* "a link, but no host socket yet: only open is legal", and letting go always is */
		return op == SPLITSOCK__OP__OP_OPEN || op == SPLITSOCK__OP__OP_RELEASE;
	case RESET: /* "the host's side is gone" */
		return op == SPLITSOCK__OP__OP_RELEASE;
	case OPEN_DATAGRAM:
		return op != SPLITSOCK__OP__OP_POKE && op != SPLITSOCK__OP__OP_URGENT;
	case LISTENING: /* "Makes a listener's link readable" */
		return op != SPLITSOCK__OP__OP_SEND && op != SPLITSOCK__OP__OP_URGENT;
	case CONNECTED: /* urgent data is for a stream that has a connection */
		return op != SPLITSOCK__OP__OP_SEND && op != SPLITSOCK__OP__OP_POKE;
	default: /* a datagram is not for streams */
		return op != SPLITSOCK__OP__OP_SEND && op != SPLITSOCK__OP__OP_POKE && op != SPLITSOCK__OP__OP_URGENT;
	}
}

Test(operations, every_operation_in_every_state)
{
	uint64_t handle = 0;

	for (int kind = 0; kind < KINDS; kind++)
		for (unsigned i = 0; i < splitsock__op__descriptor.n_fields; i++) {
			int op = (int)splitsock__op__descriptor.fields[i].id;
			const char *name = splitsock__op__descriptor.fields[i].name;
			struct sock *sock = NULL;
			struct batch batch = batch_for(++handle);
			enum sock_state state;
			struct told told;

			if (op >= SPLITSOCK__OP__OP_STATS) /* the session's: see test_counters.c and the boundary suite */
				continue;
			sock = socket_in(kind, handle);
			state = sock->state;
			add_some(&batch, op, kind == NEW_DATAGRAM || kind == OPEN_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM);
			told = ask(&batch);
			if (op == SPLITSOCK__OP__OP_RELEASE) {
				cr_expect_not(told.replied, "release has no result");
				cr_expect_null(sock_of(handle), "%s: release lets go", kind_names[kind]);
			} else if (legal(op, kind)) {
				cr_expect(told.replied && told.count == 1, "%s, %s: no reply", name, kind_names[kind]);
				cr_expect(told.status[0] == SPLITSOCK__STATUS__STATUS_OK ||
				              told.status[0] == SPLITSOCK__STATUS__STATUS_HOST_ERRNO,
				          "%s, %s: status %d", name, kind_names[kind], told.status[0]);
			} else {
				cr_expect(told.replied && told.count == 1, "%s, %s: no reply", name, kind_names[kind]);
				cr_expect_eq(told.status[0], SPLITSOCK__STATUS__STATUS_BAD_REQUEST, "%s, %s: status %d", name, kind_names[kind],
				             told.status[0]);
				sock = sock_of(handle);
				cr_expect_not_null(sock, "%s, %s: a refusal leaves the socket alone", name, kind_names[kind]);
				if (sock)
					cr_expect_eq(sock->state, state, "%s, %s: the state changed", name, kind_names[kind]);
			}
			if ((sock = sock_of(handle)))
				sock_free(sock);
			drop_outbox();
			close_peers();
		}
}

Test(operations, unknown_operations_end_the_session)
{
	static const int unknown[] = {0, -1, 1000, INT32_MAX, INT32_MIN};

	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
		for (int position = 0; position < 2; position++) {
			struct batch batch = batch_for(1 + i);
			struct told told;

			add_open(&batch, AF_INET, SOCK_STREAM, 0);
			if (position)
				splitsock__query__init(next_op(&batch, SPLITSOCK__OP__OP_QUERY)->query);
			/* A handle that exists, so that it is not refused for that. */
			open_socket(1 + i, AF_INET, SOCK_STREAM, 0);
			batch.ops[position].op_case = (Splitsock__Op__OpCase)unknown[i];
			cr_assert_not(ask_(&batch, &told), "operation %d at %d", unknown[i], position);
			cr_assert_not(told.replied);
			sock_free(sock_of(1 + i));
		}
}

/* ---- handles ------------------------------------------------------------------------------------- */

Test(operations, unknown_handles_are_refused)
{
	for (unsigned i = 0; i < splitsock__op__descriptor.n_fields; i++) {
		int op = (int)splitsock__op__descriptor.fields[i].id;
		struct batch batch = batch_for(77);
		struct told told;

		if (op == SPLITSOCK__OP__OP_OPEN || op >= SPLITSOCK__OP__OP_STATS)
			continue;
		add_some(&batch, op, SOCK_STREAM);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
		cr_assert_eq(session.socks.count, 0);
	}
}

Test(operations, a_client_chooses_handles_below_2_63_only)
{
	static const uint64_t handles[] = {0, UINT64_C(1) << 63, UINT64_MAX, (UINT64_C(1) << 63) | 1};
	struct batch batch;
	struct told told;

	for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
		batch = batch_for(handles[i]);
		add_open(&batch, AF_INET, SOCK_STREAM, 0);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
	}
	cr_assert_eq(session.socks.count, 0);
	open_socket((UINT64_C(1) << 63) - 1, AF_INET, SOCK_STREAM, 0);
}

/* ---- open ---------------------------------------------------------------------------------------- */

Test(operations, opening_again_changes_nothing)
{
	struct sock *sock = open_socket(1, AF_INET, SOCK_STREAM, 0);
	int fd = sock->host.fd;

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(open_socket(1, AF_INET, SOCK_STREAM, 0), sock);
		cr_assert_eq(sock->host.fd, fd);
	}
	cr_assert_eq(session.socks.count, 1);
	for (int kind = CONNECTING; kind <= LISTENING; kind++) {
		struct batch batch = batch_for(10 + (uint64_t)kind);
		struct told told;

		sock = socket_in(kind, 10 + (uint64_t)kind);
		fd = sock->host.fd;
		add_open(&batch, AF_INET, SOCK_STREAM, 0);
		told = ask(&batch);
		check_ok(&told, 1);
		cr_assert_eq(sock->state, kind_states[kind], "also later on: %s", kind_names[kind]);
		cr_assert_eq(sock->host.fd, fd);
	}
	close_peers();
}

Test(operations, a_socket_does_not_change_its_kind)
{
	static const struct {
		int family, type, protocol;
	} others[] = {{AF_INET6, SOCK_STREAM, 0}, {AF_INET, SOCK_DGRAM, 0}, {AF_INET, SOCK_STREAM, IPPROTO_TCP}, {AF_NETLINK, SOCK_RAW, 0}};
	struct sock *sock = open_socket(1, AF_INET, SOCK_STREAM, 0);
	int fd = sock->host.fd;

	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct batch batch = batch_for(1);
		struct told told;

		add_open(&batch, others[i].family, others[i].type, others[i].protocol);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
		cr_assert_eq(sock->host.fd, fd);
		cr_assert_eq(sock->state, SOCK_OPEN);
	}
}

Test(operations, a_datagram_link_does_not_become_a_stream)
{
	struct batch batch = batch_for(1);
	struct told told;

	socket_in(NEW_DATAGRAM, 1);
	add_open(&batch, AF_INET, SOCK_STREAM, 0);
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
	cr_assert_eq(sock_of(1)->state, SOCK_NEW);
	cr_assert_eq(sock_of(1)->host.fd, -1);
	close_peers();
}

Test(operations, what_cannot_be_opened_leaves_nothing_behind)
{
	const uint32_t inet = wire_family(AF_INET), stream = wire_socket_type(SOCK_STREAM);
	const struct {
		uint32_t family, type, protocol;
		Splitsock__Status status;
		int error;
	} cases[] = {
		{0, stream, 0, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0},
		{UINT32_MAX, stream, 0, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0},
		{inet, 0, 0, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0},
		{inet, UINT32_MAX, 0, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0},
		{inet, stream, 255, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EPROTONOSUPPORT},
		{inet, stream, UINT32_MAX, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EINVAL},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct batch batch = batch_for(1);
		struct told told;

		add_open(&batch, AF_INET, SOCK_STREAM, 0);
		batch.bodies[0].open.family = cases[i].family;
		batch.bodies[0].open.type = cases[i].type;
		batch.bodies[0].open.protocol = cases[i].protocol;
		add_listen(&batch, 1);
		told = ask(&batch);
		check_status(&told, 1, cases[i].status, cases[i].error);
		cr_assert_eq(session.socks.count, 0, "case %zu", i);
	}
}

Test(operations, without_a_policy_nothing_happens)
{
	struct batch batch = batch_for(1);
	struct told told;
	uint64_t handle = 10;

	session.entry = NULL;
	add_open(&batch, AF_INET, SOCK_STREAM, 0);
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_DENIED, 0);
	cr_assert_eq(session.socks.count, 0);

	/* And on a socket that is there already: what it may do is asked each time. */
	for (int op = SPLITSOCK__OP__OP_BIND; op <= SPLITSOCK__OP__OP_SEND; op++) {
		if (op != SPLITSOCK__OP__OP_BIND && op != SPLITSOCK__OP__OP_CONNECT && op != SPLITSOCK__OP__OP_LISTEN &&
		    op != SPLITSOCK__OP__OP_SEND)
			continue;
		session.entry = policy.entries;
		socket_in(op == SPLITSOCK__OP__OP_SEND ? OPEN_DATAGRAM : OPEN_STREAM, ++handle);
		session.entry = NULL;
		batch = batch_for(handle);
		add_some(&batch, op, SOCK_STREAM);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_DENIED, 0);
		cr_assert_eq(sock_of(handle)->state, SOCK_OPEN);
		cr_assert_eq(port_of_fd(sock_of(handle)->host.fd), 0, "nothing was done before policy was asked");
	}
	cr_assert_eq(counted(COUNTER_POLICY_DENIALS), 5);
	cr_assert_eq(counted(COUNTER_CONNECTS_DENIED), 1);
	cr_assert_eq(counted(COUNTER_CONNECTS_OK) + counted(COUNTER_CONNECTS_FAILED), 0);
}

Test(operations, packet_and_other_netlink_sockets_are_denied)
{
	static const struct {
		int family, type, protocol;
	} kinds[] = {{AF_PACKET, SOCK_RAW, 0}, {AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER}, {AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG}, {AF_UNIX, SOCK_STREAM, 0}};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct batch batch = batch_for(1);
		struct told told;

		add_open(&batch, kinds[i].family, kinds[i].type, kinds[i].protocol);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_DENIED, 0);
		cr_assert_eq(session.socks.count, 0);
	}
}

/* With a raw grant alone: what the kernel would ask a capability for, the gofer's own must not answer. */
Test(operations, a_raw_grant_gives_its_sockets_and_no_capabilities)
{
	static uint16_t icmp = IPPROTO_ICMP;
	struct policy_entry entry = {.name = (char[]){"ping"}, .raw = {.granted = true, .header = true, .protocols = {.numbers = &icmp, .count = 1}}};
	static const struct {
		int family, type, protocol;
		bool granted;
	} kinds[] = {{AF_INET, SOCK_STREAM, 0, false}, {AF_INET, SOCK_DGRAM, IPPROTO_UDP, false}, {AF_INET, SOCK_RAW, IPPROTO_ICMP, true},
	             {AF_INET, SOCK_RAW, IPPROTO_UDP, false}, {AF_INET, SOCK_RAW, IPPROTO_RAW, true}, {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, true}};
	uint8_t one[4] = {1};

	open_socket(20, AF_INET, SOCK_DGRAM, 0);
	session.entry = &entry;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct batch batch = batch_for(i + 1);
		struct told told;

		add_open(&batch, kinds[i].family, kinds[i].type, kinds[i].protocol);
		told = ask(&batch);
		if (kinds[i].granted && kinds[i].family == AF_INET && geteuid() != 0)
			check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EPERM);
		else
			check_status(&told, 1, kinds[i].granted ? SPLITSOCK__STATUS__STATUS_OK : SPLITSOCK__STATUS__STATUS_DENIED, 0);
	}
	static const struct {
		int level, name, error;
	} options[] = {{SOL_SOCKET, SO_MARK, EPERM}, {IPPROTO_IP, IP_TRANSPARENT, EPERM}, {IPPROTO_IP, IP_FREEBIND, EPERM},
	               {IPPROTO_IP, IP_TTL, 0}};

	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		struct batch batch = batch_for(20);
		struct told told;

		add_set_option(&batch, options[i].level, options[i].name, one, sizeof one);
		told = ask(&batch);
		check_status(&told, 1, options[i].error ? SPLITSOCK__STATUS__STATUS_HOST_ERRNO : SPLITSOCK__STATUS__STATUS_OK, options[i].error);
	}
}

/* The host's kernel has the last word on who may have one; whose header is sent the gofer knows from it, and from nobody else. */
Test(operations, raw_sockets_are_the_hosts_to_refuse)
{
	static const struct {
		int family, protocol;
		bool own_header;
	} kinds[] = {{AF_INET, IPPROTO_ICMP, false}, {AF_INET, IPPROTO_RAW, true}, {AF_INET6, IPPROTO_ICMPV6, false}, {AF_INET6, IPPROTO_RAW, true}};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		int probe = socket(kinds[i].family, SOCK_RAW, kinds[i].protocol), error = probe < 0 ? errno : 0;
		bool v6 = kinds[i].family == AF_INET6;
		struct batch batch = batch_for(i + 1);
		struct told told;

		add_open(&batch, kinds[i].family, SOCK_RAW, kinds[i].protocol);
		told = ask(&batch);
		if (error) {
			check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, error);
			continue;
		}
		close(probe);
		check_ok(&told, 1);
		cr_assert_eq(sock_of(i + 1)->own_header, kinds[i].own_header);
		for (uint8_t on = 0; on < 2; on++) {
			batch = batch_for(i + 1);
			add_set_option(&batch, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_HDRINCL : IP_HDRINCL, (uint8_t[4]){on}, 4);
			told = ask(&batch);
			check_ok(&told, 1);
			cr_assert_eq(sock_of(i + 1)->own_header, on);
		}
	}
	for (int protocol = 0; protocol <= 1000; protocol += 1000) {
		struct batch batch = batch_for(100);
		struct told told;

		add_open(&batch, AF_INET, SOCK_RAW, protocol);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, protocol ? EINVAL : EPROTONOSUPPORT);
	}
}

Test(operations, a_header_of_the_clients_own_needs_the_policys_leave)
{
	static uint8_t packet[28] = {0x45, [9] = IPPROTO_UDP, [12] = 127, 0, 0, 1, 127, 0, 0, 1};
	static uint16_t icmp = IPPROTO_ICMP;
	struct policy_entry entry = {.name = (char[]){"ping"}, .raw = {.granted = true, .header = true, .any_source_ip = true, .protocols = {.numbers = &icmp, .count = 1}}};
	struct batch batch = batch_for(1);
	struct told told;

	if (geteuid() != 0)
		return;
	open_socket(1, AF_INET, SOCK_RAW, IPPROTO_RAW);
	session.entry = &entry;
	add_send(&batch, NULL, packet, sizeof packet);
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_DENIED, 0);
	sock_of(1)->own_header = false;
	batch = batch_for(1);
	add_send(&batch, NULL, packet, sizeof packet);
	told = ask(&batch);
	/* Each packet may name its protocol without a header, too: for IPv6 as a port. */
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_DENIED, 0);
	entry.raw.protocols.any = true;
	batch = batch_for(1);
	add_send(&batch, NULL, packet, sizeof packet);
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EDESTADDRREQ);
}

/* ---- options that are more than a number -------------------------------------------------------- */

Test(operations, a_filter_has_whole_instructions_and_is_the_kernels_to_judge)
{
	static uint8_t bytes[OPTION_VALUE_MAX + 8];
	static const size_t bad[] = {0, 1, 7, 9, 8 * 4096 + 8};
	struct batch batch;
	struct told told;

	open_socket(1, AF_INET, SOCK_DGRAM, 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		batch = batch_for(1);
		add_set_option(&batch, SOL_SOCKET, SO_ATTACH_FILTER, bytes, bad[i]);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EINVAL);
	}
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 37);
	batch = batch_for(1);
	add_set_option(&batch, SOL_SOCKET, SO_ATTACH_FILTER, bytes, 8 * 4096);
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EINVAL);
	/* Take everything: BPF_RET | BPF_K. */
	batch = batch_for(1);
	add_set_option(&batch, SOL_SOCKET, SO_ATTACH_FILTER, (uint8_t[]){6, 0, 0, 0, 0xff, 0xff, 0, 0}, 8);
	add_get_option(&batch, SOL_SOCKET, SO_ATTACH_FILTER);
	told = ask(&batch);
	check_status(&told, 2, SPLITSOCK__STATUS__STATUS_OK, 0);
}

/* A question is cut to the room that there is, and missing bytes of it are 0. */
Test(operations, questions_of_any_length)
{
	static uint8_t question[20000];
	static const size_t lengths[] = {0, 1, 16, 4095, 4096, 4097, sizeof question};

	memset(question, 0x55, sizeof question);
	open_socket(1, AF_INET, SOCK_DGRAM, 0);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct batch batch = batch_for(1);
		struct told told;

		add_get_option(&batch, IPPROTO_IP, IP_MSFILTER);
		batch.ops[0].get_option->length = UINT32_MAX;
		batch.ops[0].get_option->question.data = question;
		batch.ops[0].get_option->question.len = lengths[i];
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EINVAL);
	}
}

/* ---- batches ------------------------------------------------------------------------------------- */

Test(operations, a_batch_runs_in_order)
{
	struct batch batch = batch_for(1);
	struct told told;

	add_open(&batch, AF_INET, SOCK_STREAM, 0);
	add_set_option(&batch, SOL_SOCKET, SO_REUSEADDR, one, sizeof one);
	add_bind(&batch, loopback(0));
	add_listen(&batch, 7);
	add_get_option(&batch, SOL_SOCKET, SO_ACCEPTCONN);
	told = ask(&batch);
	/* SO_ACCEPTCONN is the sentry side's own answer, and not to be had here. */
	check_status(&told, 5, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, ENOPROTOOPT);
	cr_assert_eq(sock_of(1)->state, SOCK_LISTENING);
}

Test(operations, a_batch_stops_at_its_first_failure)
{
	struct sockaddr_in elsewhere = {.sin_family = AF_INET, .sin_addr = {htonl(0xcb007101)}}; /* 203.0.113.1 */
	struct batch batch = batch_for(1);
	struct told told;

	add_open(&batch, AF_INET, SOCK_STREAM, 0);
	add_bind(&batch, elsewhere);
	add_listen(&batch, 7);
	add_set_option(&batch, SOL_SOCKET, SO_KEEPALIVE, one, sizeof one);
	told = ask(&batch);
	check_status(&told, 2, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EADDRNOTAVAIL);
	cr_assert_eq(sock_of(1)->state, SOCK_OPEN, "listen did not run");

	/* An illegal one stops it, too. */
	batch = batch_for(1);
	add_send(&batch, NULL, one, 1);
	add_bind(&batch, loopback(0));
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
	cr_assert_eq(port_of_fd(sock_of(1)->host.fd), 0, "bind did not run");
}

Test(operations, what_follows_a_release_does_not_run)
{
	struct batch batch = batch_for(1);
	struct told told;

	open_socket(1, AF_INET, SOCK_STREAM, 0);
	splitsock__release__init(next_op(&batch, SPLITSOCK__OP__OP_RELEASE)->release);
	add_bind(&batch, loopback(0));
	told = ask(&batch);
	cr_assert_not(told.replied);
	cr_assert_eq(session.socks.count, 0);
}

Test(operations, no_reply_means_none)
{
	struct sockaddr_in elsewhere = {.sin_family = AF_INET, .sin_addr = {htonl(0xcb007101)}};
	struct batch batch = batch_for(1);
	struct told told;
	int value;
	socklen_t len = sizeof value;

	open_socket(1, AF_INET, SOCK_STREAM, 0);
	add_set_option(&batch, SOL_SOCKET, SO_KEEPALIVE, one, sizeof one);
	batch.request.no_reply = true;
	told = ask(&batch);
	cr_assert_not(told.replied);
	cr_assert_eq(getsockopt(sock_of(1)->host.fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
	cr_assert_eq(value, 1, "and yet it was done");

	batch = batch_for(1);
	add_bind(&batch, elsewhere);
	batch.request.no_reply = true;
	told = ask(&batch);
	cr_assert_not(told.replied, "nor of a failure");

	/* Who does not wait may have closed the socket meanwhile: nothing is opened for nobody. */
	batch = batch_for(2);
	add_open(&batch, AF_INET, SOCK_STREAM, 0);
	batch.request.no_reply = true;
	ask(&batch);
	cr_assert_eq(session.socks.count, 1);
	cr_assert_null(session.outbox);
}

/* ---- quotas -------------------------------------------------------------------------------------- */

Test(operations, the_quota_of_sockets)
{
	struct batch batch;
	struct told told;

	gofer.limits.sockets = 3;
	for (uint64_t handle = 1; handle <= 3; handle++)
		open_socket(handle, AF_INET, SOCK_STREAM, 0);
	for (int i = 0; i < 2; i++) {
		batch = batch_for(4);
		add_open(&batch, AF_INET, SOCK_STREAM, 0);
		add_bind(&batch, loopback(0));
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_QUOTA, 0);
		cr_assert_eq(session.socks.count, 3);
	}
	cr_assert_eq(counted(COUNTER_QUOTA_REFUSALS), 2);
	cr_assert_eq(counted(COUNTER_SOCKETS_OPENED), 3);
	open_socket(2, AF_INET, SOCK_STREAM, 0); /* one that is there costs nothing */
	batch = batch_for(2);
	splitsock__release__init(next_op(&batch, SPLITSOCK__OP__OP_RELEASE)->release);
	ask(&batch);
	open_socket(4, AF_INET, SOCK_STREAM, 0);
	/* What policy or the host refuses is not charged. */
	batch = batch_for(4);
	splitsock__release__init(next_op(&batch, SPLITSOCK__OP__OP_RELEASE)->release);
	ask(&batch);
	for (int i = 0; i < 10; i++) {
		batch = batch_for(100 + (uint64_t)i);
		add_open(&batch, AF_PACKET, SOCK_RAW, 0);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_DENIED, 0);
	}
	open_socket(5, AF_INET, SOCK_STREAM, 0);
}

Test(operations, accepted_connections_count)
{
	struct sock *listener;
	struct sockaddr_in address;

	gofer.limits.sockets = 3;
	listener = socket_in(LISTENING, 1);
	address = loopback(port_of_fd(listener->host.fd));
	for (int i = 0; i < 4; i++) {
		int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		connect(client, (struct sockaddr *)&address, sizeof address);
		peers[peer_count++] = client;
	}
	for (int i = 0; i < 40 && !listener->starved; i++) {
		poll(&(struct pollfd){.fd = listener->host.fd, .events = POLLIN}, 1, 100);
		listener->host.ready(&listener->host, EPOLLIN);
	}
	cr_assert_eq(session.socks.count, 3, "the listener and two connections, not %zu", session.socks.count);
	cr_assert(listener->starved);
	cr_assert_eq(listener->host.events, 0, "it does not spin");
	close_peers();
}

Test(operations, the_quota_of_calls)
{
	struct sockaddr_in address = loopback(port_of_fd(host_listener_full()));
	struct batch batch;
	struct told told;
	uint32_t first;

	gofer.limits.calls = 2;
	for (uint64_t handle = 1; handle <= 3; handle++)
		open_socket(handle, AF_INET, SOCK_STREAM, 0);
	batch = batch_for(1);
	add_connect(&batch, address, true);
	first = ask_on_stream(&batch);
	batch = batch_for(2);
	add_connect(&batch, address, true);
	ask_on_stream(&batch);
	cr_assert_null(session.outbox, "both wait");
	cr_assert_eq(session.calls, 2);
	batch = batch_for(3);
	add_connect(&batch, address, true);
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_QUOTA, 0);
	cr_assert_eq(session.calls, 2);
	cr_assert_eq(counted(COUNTER_QUOTA_REFUSALS), 1);
	request_cancel(&session, first);
	cr_assert_eq(session.calls, 1);
	close_peers();
}

/* ---- connects that wait -------------------------------------------------------------------------- */

Test(operations, a_connect_that_waits_is_answered_when_it_ends)
{
	int listener = host_listener_full();
	struct batch batch = batch_for(1);
	struct told told;
	struct pollfd writable;
	uint32_t id;

	add_open(&batch, AF_INET, SOCK_STREAM, 0);
	add_set_option(&batch, SOL_SOCKET, SO_KEEPALIVE, one, sizeof one);
	add_connect(&batch, loopback(port_of_fd(listener)), true);
	id = ask_on_stream(&batch);
	cr_assert_null(session.outbox);
	cr_assert_eq(sock_of(1)->state, SOCK_CONNECTING);
	cr_assert_eq(sock_of(1)->host.events, EPOLLOUT);
	/* Room in the queue: the kernel tries again after a second. */
	for (int i = 0; i < 3; i++) {
		struct pollfd readable = {.fd = listener, .events = POLLIN};

		if (poll(&readable, 1, 100) == 1)
			peers[peer_count++] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	}
	writable = (struct pollfd){.fd = sock_of(1)->host.fd, .events = POLLOUT};
	cr_assert_eq(poll(&writable, 1, 20000), 1);
	sock_of(1)->host.ready(&sock_of(1)->host, EPOLLOUT);
	cr_assert_eq(take_from_stream(&told, NULL), FRAME_REPLY);
	cr_assert_eq(told.id, id);
	check_ok(&told, 3);
	cr_assert_eq(told.peer_port, port_of_fd(listener));
	cr_assert_eq(told.local_port, port_of_fd(sock_of(1)->host.fd));
	cr_assert_eq(session.calls, 0);
	cr_assert_null(session.outbox, "once");
	close_peers();
}

Test(operations, a_connect_that_fails_says_so_once)
{
	int listener = host_listener(5);
	struct sockaddr_in address = loopback(port_of_fd(listener));
	struct batch batch = batch_for(1);
	struct told told;

	close_peers(); /* nobody listens there now */
	add_open(&batch, AF_INET, SOCK_STREAM, 0);
	add_connect(&batch, address, true);
	ask_on_stream(&batch);
	if (!session.outbox) {
		struct pollfd writable = {.fd = sock_of(1)->host.fd, .events = POLLOUT};

		cr_assert_eq(poll(&writable, 1, 5000), 1);
		sock_of(1)->host.ready(&sock_of(1)->host, EPOLLOUT);
	}
	cr_assert_eq(take_from_stream(&told, NULL), FRAME_REPLY);
	check_status(&told, 2, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, ECONNREFUSED);
	cr_assert_eq(session.calls, 0);
	cr_assert_null(session.outbox);
	/* And the socket may be used once more. */
	cr_assert_eq(sock_of(1)->state, SOCK_OPEN);
	batch = batch_for(1);
	add_get_option(&batch, SOL_SOCKET, SO_ERROR);
	told = ask(&batch);
	check_ok(&told, 1);
	cr_assert_eq(host_errno((uint32_t)told.value[0]), 0, "told already");
	address = loopback(port_of_fd(host_listener(5)));
	batch = batch_for(1);
	add_connect(&batch, address, true);
	told = ask(&batch);
	check_ok(&told, 1);
	close_peers();
}

Test(operations, a_cancelled_call_is_answered_and_the_connect_goes_on)
{
	struct sockaddr_in address = loopback(port_of_fd(host_listener_full()));
	struct batch batch = batch_for(1);
	struct told told;
	uint32_t id;

	add_open(&batch, AF_INET, SOCK_STREAM, 0);
	add_connect(&batch, address, true);
	id = ask_on_stream(&batch);
	request_cancel(&session, id + 1);
	request_cancel(&session, 0);
	cr_assert_null(session.outbox, "another call's cancellation is none of its business");
	request_cancel(&session, id);
	cr_assert_eq(take_from_stream(&told, NULL), FRAME_REPLY);
	cr_assert_eq(told.id, id);
	check_status(&told, 2, SPLITSOCK__STATUS__STATUS_CANCELLED, 0);
	cr_assert_eq(session.calls, 0);
	cr_assert_eq(sock_of(1)->state, SOCK_CONNECTING);
	request_cancel(&session, id);
	cr_assert_null(session.outbox, "cancelling twice says nothing");
	batch = batch_for(1);
	splitsock__query__init(next_op(&batch, SPLITSOCK__OP__OP_QUERY)->query);
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EINPROGRESS);
	close_peers();
}

Test(operations, several_may_wait_for_one_connect)
{
	struct sockaddr_in address = loopback(port_of_fd(host_listener_full()));
	uint32_t ids[3];
	struct told told;
	bool seen[3] = {false};

	open_socket(1, AF_INET, SOCK_STREAM, 0);
	for (int i = 0; i < 3; i++) {
		struct batch batch = batch_for(1);

		add_connect(&batch, address, true);
		ids[i] = ask_on_stream(&batch);
	}
	cr_assert_eq(session.calls, 3);
	request_cancel(&session, ids[1]);
	cr_assert_eq(take_from_stream(&told, NULL), FRAME_REPLY);
	cr_assert_eq(told.id, ids[1]);
	/* The socket goes: both others hear of it. */
	sock_free(sock_of(1));
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(take_from_stream(&told, NULL), FRAME_REPLY);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, ECONNABORTED);
		for (int j = 0; j < 3; j++)
			if (told.id == ids[j])
				seen[j] = true;
	}
	cr_assert(seen[0] && seen[2]);
	cr_assert_eq(session.calls, 0);
	close_peers();
}

Test(operations, a_release_ends_who_waits)
{
	struct sockaddr_in address = loopback(port_of_fd(host_listener_full()));
	struct batch batch = batch_for(1);
	struct told told;

	add_open(&batch, AF_INET, SOCK_STREAM, 0);
	add_connect(&batch, address, true);
	ask_on_stream(&batch);
	batch = batch_for(1);
	splitsock__release__init(next_op(&batch, SPLITSOCK__OP__OP_RELEASE)->release);
	ask(&batch);
	cr_assert_eq(take_from_stream(&told, NULL), FRAME_REPLY);
	check_status(&told, 2, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, ECONNABORTED);
	cr_assert_eq(session.socks.count, 0);
	cr_assert_eq(session.calls, 0);
	close_peers();
}

/* splitsock.proto: "no_reply: the client does not want a REPLY". */
Test(operations, a_connect_that_waits_without_reply_has_none)
{
	struct sockaddr_in address = loopback(port_of_fd(host_listener_full()));
	struct batch batch = batch_for(1);

	open_socket(1, AF_INET, SOCK_STREAM, 0);
	add_connect(&batch, address, true);
	batch.request.no_reply = true;
	ask_on_stream(&batch);
	sock_free(sock_of(1));
	cr_assert_null(session.outbox);
	cr_assert_eq(session.calls, 0);
	close_peers();
}

/* A reply belongs where its request came from: ids of the two are counted together only by our own client. */
Test(operations, a_connect_that_waits_is_answered_on_its_own_channel)
{
	struct sockaddr_in address = loopback(port_of_fd(host_listener_full()));
	struct batch batch = batch_for(1);
	struct told told;

	open_socket(1, AF_INET, SOCK_STREAM, 0);
	add_connect(&batch, address, true);
	told = ask(&batch);
	cr_assert_not(told.replied);
	sock_free(sock_of(1));
	cr_expect_null(session.outbox);
	told = take_from_channel();
	cr_expect(told.replied);
	close_peers();
}

/* ---- single operations --------------------------------------------------------------------------- */

Test(operations, bind_tells_the_address)
{
	struct batch batch = batch_for(1);
	struct told told;

	add_open(&batch, AF_INET, SOCK_STREAM, 0);
	add_bind(&batch, loopback(0));
	told = ask(&batch);
	check_ok(&told, 2);
	cr_assert_gt(told.local_port, 0);
	cr_assert_eq(told.local_port, port_of_fd(sock_of(1)->host.fd));
}

Test(operations, addresses_are_checked)
{
	struct batch batch;
	struct told told;

	open_socket(1, AF_INET, SOCK_STREAM, 0);
	batch = batch_for(1);
	add_bind(&batch, loopback(0));
	batch.bodies[0].bind.address = NULL;
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
	batch = batch_for(1);
	add_bind(&batch, loopback(0));
	batch.addresses[0].port = 65536;
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
	batch = batch_for(1);
	add_connect(&batch, loopback(1), false);
	batch.addresses[0].ip.len = 100;
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
	batch = batch_for(1);
	add_connect(&batch, loopback(1), false);
	batch.addresses[0].family = 0;
	batch.addresses[0].ip.len = 0;
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EAFNOSUPPORT);
	cr_assert_eq(sock_of(1)->state, SOCK_OPEN);
}

Test(operations, options)
{
	struct batch batch = batch_for(1);
	struct told told;

	open_socket(1, AF_INET, SOCK_STREAM, 0);
	add_set_option(&batch, IPPROTO_TCP, TCP_NODELAY, one, sizeof one);
	add_get_option(&batch, IPPROTO_TCP, TCP_NODELAY);
	told = ask(&batch);
	check_ok(&told, 2);
	cr_assert_eq(told.value_len, 4);
	cr_assert_arr_eq(told.value, one, 4);
	/* Values of the wrong length, and options that are none. */
	for (size_t len = 0; len < 4; len++) {
		batch = batch_for(1);
		add_set_option(&batch, IPPROTO_TCP, TCP_NODELAY, one, len);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EINVAL);
	}
	for (int i = 0; i < 3; i++) {
		static const uint32_t none[] = {0, 60000, UINT32_MAX};

		batch = batch_for(1);
		add_set_option(&batch, IPPROTO_TCP, TCP_NODELAY, one, 4);
		batch.bodies[0].set.option = none[i];
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, ENOPROTOOPT);
		batch = batch_for(1);
		add_get_option(&batch, IPPROTO_TCP, TCP_NODELAY);
		batch.bodies[0].get.option = none[i];
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, ENOPROTOOPT);
	}
	/* Any length may be asked for. */
	for (int i = 0; i < 4; i++) {
		static const uint32_t lengths[] = {0, 1, 4096, UINT32_MAX};

		batch = batch_for(1);
		add_get_option(&batch, IPPROTO_TCP, TCP_INFO);
		batch.bodies[0].get.length = lengths[i];
		told = ask(&batch);
		cr_assert(told.replied);
	}
}

Test(operations, datagrams)
{
	int receiver = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in address = loopback(0);
	struct batch batch = batch_for(1);
	struct told told;
	uint8_t data[] = "payload", got[64];

	cr_assert_eq(bind(receiver, (struct sockaddr *)&address, sizeof address), 0);
	address = loopback(port_of_fd(receiver));
	add_open(&batch, AF_INET, SOCK_DGRAM, 0);
	add_send(&batch, &address, data, 7);
	add_send(&batch, &address, data, 0);
	add_send(&batch, &address, data, 3);
	told = ask(&batch);
	check_ok(&told, 4);
	cr_assert_eq(told.sent, 3);
	cr_assert_gt(told.local_port, 0);
	cr_assert_eq(recv(receiver, got, sizeof got, 0), 7);
	cr_assert_arr_eq(got, data, 7);
	cr_assert_eq(recv(receiver, got, sizeof got, 0), 0);
	cr_assert_eq(recv(receiver, got, sizeof got, 0), 3);
	/* Without an address and without a peer. */
	batch = batch_for(1);
	add_send(&batch, NULL, data, 7);
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EDESTADDRREQ);
	/* Flags that are none. */
	batch = batch_for(1);
	add_send(&batch, &address, data, 7);
	batch.bodies[0].send.flags = 0x80000000;
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
	cr_assert_eq(recv(receiver, got, sizeof got, 0), -1);
	close(receiver);
}

Test(operations, netlink_changes_are_denied)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg body;
	} request = {.header = {.nlmsg_len = sizeof request, .nlmsg_flags = NLM_F_REQUEST}};
	struct batch batch;
	struct told told;

	open_socket(1, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	for (int type = RTM_NEWLINK; type < RTM_NEWLINK + 12; type++) {
		if ((type & 3) == 2)
			continue;
		request.header.nlmsg_type = (uint16_t)type;
		batch = batch_for(1);
		add_send(&batch, NULL, (uint8_t *)&request, sizeof request);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_DENIED, 0);
	}
	cr_assert_eq(counted(COUNTER_POLICY_DENIALS), 9);
	cr_assert_eq(counted(COUNTER_NETLINK_UP), 0);
	request.header.nlmsg_type = RTM_GETLINK;
	request.header.nlmsg_flags |= NLM_F_DUMP;
	batch = batch_for(1);
	add_send(&batch, NULL, (uint8_t *)&request, sizeof request);
	told = ask(&batch);
	check_ok(&told, 1);
	cr_assert_eq(counted(COUNTER_NETLINK_UP), 1);
	cr_assert_eq(counted(COUNTER_DATAGRAMS_UP), 0, "it is no datagram of the network's");
}

Test(operations, interface_ioctls)
{
	struct ifreq ifreq = {.ifr_name = "lo"};
	struct batch batch = batch_for(1);
	struct told told;
	static const uint32_t changes[] = {SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFMTU, SIOCSIFNAME, SIOCADDRT, SIOCDELRT, SIOCSARP,
	                                   SIOCDARP, 0, UINT32_MAX, FIONBIO, SIOCETHTOOL};

	open_socket(1, AF_INET, SOCK_DGRAM, 0);
	add_some(&batch, SPLITSOCK__OP__OP_INTERFACE_IOCTL, 0);
	told = ask(&batch);
	check_ok(&told, 1);
	cr_assert_eq(told.value_len, sizeof ifreq);
	memcpy(&ifreq, told.value, sizeof ifreq);
	cr_assert_eq(ifreq.ifr_ifindex, (int)if_nametoindex("lo"));
	for (size_t len = 0; len <= sizeof ifreq; len += sizeof ifreq / 4) {
		batch = batch_for(1);
		add_some(&batch, SPLITSOCK__OP__OP_INTERFACE_IOCTL, 0);
		batch.bodies[0].ioctl.ifreq.len = len;
		told = ask(&batch);
		cr_assert_eq(told.status[0], len == sizeof ifreq ? SPLITSOCK__STATUS__STATUS_OK : SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
	}
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		batch = batch_for(1);
		add_some(&batch, SPLITSOCK__OP__OP_INTERFACE_IOCTL, 0);
		batch.bodies[0].ioctl.request = changes[i];
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, EPERM);
	}
	batch = batch_for(1);
	add_some(&batch, SPLITSOCK__OP__OP_INTERFACE_IOCTL, 0);
	batch.bodies[0].ioctl.request = SIOCGIFCONF;
	batch.bodies[0].ioctl.ifreq.len = 0;
	told = ask(&batch);
	check_ok(&told, 1);
	cr_assert_eq(told.value_len % sizeof ifreq, 0);
	cr_assert_geq(told.value_len, sizeof ifreq);
}

Test(operations, ethtool_reads_at_their_own_length)
{
	struct ethtool_value link = {.cmd = ETHTOOL_GLINK}, change = {.cmd = ETHTOOL_STSO};
	struct {
		struct ethtool_gstrings head;
		uint8_t more[16];
	} strings = {.head = {.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES}};
	struct ethtool_gfeatures features = {.cmd = ETHTOOL_GFEATURES, .size = UINT32_MAX};
	const struct {
		void *data;
		size_t len;
		int error; /* -1: answered */
		bool bad;
	} cases[] = {
		{&link, sizeof link, -1, false},     {&link, sizeof link - 1, 0, true}, {&link, 3, EPERM, false},
		{&link, 0, EPERM, false},            {&change, sizeof change, EPERM, false},
		{&strings, sizeof strings, 0, true}, {&features, sizeof features, EPERM, false},
		{&strings, sizeof strings.head, -1, false},
	};

	open_socket(1, AF_INET, SOCK_DGRAM, 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct batch batch = batch_for(1);
		struct told told;

		add_some(&batch, SPLITSOCK__OP__OP_INTERFACE_IOCTL, 0);
		batch.bodies[0].ioctl.request = SIOCETHTOOL;
		batch.bodies[0].ioctl.data.data = cases[i].data;
		batch.bodies[0].ioctl.data.len = cases[i].len;
		told = ask(&batch);
		if (cases[i].bad)
			check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
		else if (cases[i].error >= 0)
			check_status(&told, 1, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, cases[i].error);
		else
			check_ok(&told, 1);
	}
}

Test(operations, shutdown_of_a_listener_wakes_who_accepts)
{
	struct sock *listener = socket_in(LISTENING, 1);
	int program = peers[peer_count - 1];
	struct batch batch = batch_for(1);
	struct told told;
	char byte;

	add_some(&batch, SPLITSOCK__OP__OP_SHUTDOWN, SOCK_STREAM);
	batch.bodies[0].shutdown.how = wire_shutdown(SHUT_RD);
	told = ask(&batch);
	check_ok(&told, 1);
	cr_assert_eq(listener->state, SOCK_OPEN);
	cr_assert_eq(recv(program, &byte, 1, MSG_DONTWAIT), 0);
	batch = batch_for(1);
	add_some(&batch, SPLITSOCK__OP__OP_SHUTDOWN, SOCK_STREAM);
	batch.bodies[0].shutdown.how = 99;
	told = ask(&batch);
	check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
	close_peers();
}

/* ---- what the client hears unasked --------------------------------------------------------------- */

Test(operations, the_end_of_a_link_is_the_end_of_its_socket)
{
	struct sock *sock = socket_in(CONNECTED, 5);
	Splitsock__Event event;

	close_peers();
	sock->link.ready(&sock->link, EPOLLIN | EPOLLHUP);
	cr_assert_null(sock_of(5));
	/* Who closed it knows; if it is told, then rightly. */
	while (take_from_stream(NULL, &event) == FRAME_EVENT) {
		cr_assert_eq(event.closed, 5);
		cr_assert_eq(event.error, 0);
		cr_assert_eq(event.reset, 0);
	}
}

Test(operations, a_reset_is_told_and_waits_for_its_byte)
{
	struct sock *sock = socket_in(CONNECTED, 5);
	int program = peers[peer_count - 1];
	Splitsock__Event event;
	char byte;

	cr_assert(sock_host_gone(sock, ECONNRESET));
	cr_assert_eq(take_from_stream(NULL, &event), FRAME_EVENT);
	cr_assert_eq(event.reset, 5);
	cr_assert_eq(sock_of(5)->state, SOCK_RESET);
	cr_assert_eq(counted(COUNTER_RESETS), 1);
	cr_assert_eq(counted(COUNTER_FRAMES_OUT), 1);
	sock_update(sock);
	cr_assert_eq(send(program, "", 1, MSG_NOSIGNAL), 1);
	sock->link.ready(&sock->link, EPOLLIN);
	cr_assert_null(sock_of(5));
	cr_assert_eq(take_from_stream(NULL, &event), FRAME_EVENT);
	cr_assert_eq(event.closed, 5);
	cr_assert_eq(host_errno(event.error), ECONNRESET);
	cr_assert_eq(recv(program, &byte, 1, 0), -1);
	cr_assert_eq(errno, ECONNRESET, "the program sees a reset");
	close_peers();
}

/* Data that the program wrote before a control operation reaches the host before it. */
Test(operations, control_comes_after_data)
{
	struct sock *sock = socket_in(CONNECTED, 5);
	int program = peers[peer_count - 1], listener = peers[peer_count - 2], host;
	struct batch batch = batch_for(5);
	struct told told;
	char got[16];

	host = peers[peer_count++] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_eq(send(program, "before", 6, MSG_NOSIGNAL), 6);
	add_some(&batch, SPLITSOCK__OP__OP_SHUTDOWN, SOCK_STREAM);
	told = ask(&batch);
	check_ok(&told, 1);
	cr_assert_eq(recv(host, got, sizeof got, 0), 6);
	cr_assert_eq(recv(host, got, sizeof got, 0), 0, "and then the FIN");
	(void)sock;
	close_peers();
}

/* Draining its data finds that the program has closed: the socket goes in the middle of the request. */
Test(operations, a_request_for_a_socket_whose_link_has_just_ended)
{
	for (int op = SPLITSOCK__OP__OP_OPEN; op <= SPLITSOCK__OP__OP_INTERFACE_IOCTL; op++) {
		struct batch batch = batch_for(5);
		struct told told;

		socket_in(CONNECTED, 5);
		close_peers();
		add_some(&batch, op, SOCK_STREAM);
		add_some(&batch, op, SOCK_STREAM);
		told = ask(&batch);
		check_status(&told, 1, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0);
		cr_assert_null(sock_of(5));
		drop_outbox();
	}
}

/* A client whose side channel is full loses replies, not the gofer's time or memory. */
Test(operations, a_full_side_channel_does_not_block)
{
	int said = memfd_create("said", MFD_CLOEXEC), stderr_was = dup(STDERR_FILENO);
	char text[4096] = "";

	dup2(said, STDERR_FILENO);
	open_socket(1, AF_INET, SOCK_STREAM, 0);
	for (int i = 0; i < 2000; i++) {
		struct batch batch = batch_for(1);
		struct call call = {.session = &session, .id = 1, .on_channel = true};

		splitsock__query__init(next_op(&batch, SPLITSOCK__OP__OP_QUERY)->query);
		batch.pointers[0] = &batch.ops[0];
		batch.request.ops = batch.pointers;
		cr_assert(request_run(&call, &batch.request));
	}
	dup2(stderr_was, STDERR_FILENO);
	close(stderr_was);
	/* Nor the log's: it is told once. */
	cr_assert_gt(pread(said, text, sizeof text - 1, 0), 0);
	cr_assert(strstr(text, "side channel is full"), "%s", text);
	cr_assert_eq(strchr(text, '\n')[1], 0, "%s", text);
	close(said);
	cr_assert_null(session.outbox);
	cr_assert(counted(COUNTER_REPLIES_DROPPED) > 0 && counted(COUNTER_REPLIES_DROPPED) < 2000);
	cr_assert_eq(counted(COUNTER_FRAMES_OUT_CHANNEL), 2001 - counted(COUNTER_REPLIES_DROPPED));
}
