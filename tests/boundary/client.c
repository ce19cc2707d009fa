#include "tests/boundary/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- bytes and frames --------------------------------------------------------------------------- */

static int
connect_unix(const char *path, const char *suffix, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s%s", path, suffix);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int
raw_connect(const struct gofer *gofer)
{
	return connect_unix(gofer->path, "", SOCK_STREAM);
}

bool
raw_send(int fd, const void *data, size_t len)
{
	const char *at = data;
	int64_t end = now_ms() + PATIENCE_MS;

	while (len) {
		struct pollfd room = {.fd = fd, .events = POLLOUT};
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0 && (now_ms() >= end || poll(&room, 1, 100) < 0))
			return false;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return true;
}

bool
ends_within(int fd, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	char data[4096];

	for (;;) {
		struct pollfd in = {.fd = fd, .events = POLLIN};
		int64_t left = end - now_ms();
		ssize_t n;

		if (left < 0 || poll(&in, 1, (int)left) == 0)
			return false;
		n = recv(fd, data, sizeof data, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
	}
}

void
header_write(uint8_t out[FRAME_HEADER_SIZE], uint32_t length, uint8_t kind, uint8_t reserved, uint32_t id)
{
	frame_header_write(out, FRAME_HELLO, id, 0);
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(length >> (8 * i));
	out[4] = kind;
	out[5] = reserved;
}

bool
send_frame(int fd, enum frame_kind kind, uint32_t id, const void *body, size_t len)
{
	uint8_t header[FRAME_HEADER_SIZE];

	header_write(header, (uint32_t)len, (uint8_t)kind, 0, id);
	return raw_send(fd, header, sizeof header) && raw_send(fd, body, len);
}

bool
send_message(int fd, enum frame_kind kind, uint32_t id, const ProtobufCMessage *message)
{
	size_t len;
	uint8_t *packet = encode_frame(kind, id, message, &len);
	bool sent = packet && raw_send(fd, packet, len);

	free(packet);
	return sent;
}

int
receive_frame(struct client *client, struct frame *frame, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;

	memmove(client->inbox, client->inbox + client->consumed, client->inbox_len - client->consumed);
	client->inbox_len -= client->consumed;
	client->consumed = 0;
	for (;;) {
		struct pollfd in = {.fd = client->fd, .events = POLLIN};
		int64_t left = end - now_ms();
		size_t need;
		ssize_t n = frame_parse(frame, client->inbox, client->inbox_len, &need);

		cr_assert_geq(n, 0, "the gofer's frames are malformed");
		if (n > 0) {
			client->consumed = (size_t)n;
			return 1;
		}
		if (poll(&in, 1, left > 0 ? (int)left : 0) == 0)
			return -1;
		n = recv(client->fd, client->inbox + client->inbox_len, sizeof client->inbox - client->inbox_len, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return 0;
		if (n > 0)
			client->inbox_len += (size_t)n;
	}
}

/* ---- sessions ----------------------------------------------------------------------------------- */

bool
send_hello(int fd, uint32_t version)
{
	Splitsock__Hello hello = SPLITSOCK__HELLO__INIT;

	hello.version = version;
	hello.software = "boundary";
	return send_message(fd, FRAME_HELLO, 0, &hello.base);
}

static int
take_welcome(struct client *client)
{
	struct codec_arena arena = {0};
	Splitsock__Welcome *welcome;
	struct frame frame;
	int status;

	if (receive_frame(client, &frame, PATIENCE_MS) != 1)
		return -1;
	cr_assert_eq(frame.kind, FRAME_WELCOME);
	welcome = decode_welcome(&arena, &frame);
	cr_assert_not_null(welcome);
	status = (int)welcome->status;
	if (status == SPLITSOCK__STATUS__STATUS_OK)
		memcpy(client->token, welcome->link_token.data, sizeof client->token);
	client->max_sockets = welcome->max_sockets;
	codec_free(&arena);
	return status;
}

int
shake_hands(struct client *client, uint32_t version)
{
	return send_hello(client->fd, version) ? take_welcome(client) : -1;
}

int
shake_hands_for(struct client *client, Splitsock__Serves *serves)
{
	Splitsock__Hello hello = SPLITSOCK__HELLO__INIT;

	hello.version = 1;
	hello.software = "test";
	hello.serves = serves;
	return send_message(client->fd, FRAME_HELLO, 0, &hello.base) ? take_welcome(client) : -1;
}

bool
client_try_open(struct client *client, const struct gofer *gofer)
{
	*client = (struct client){.gofer = gofer, .fd = raw_connect(gofer)};
	if (client->fd >= 0 && shake_hands(client, 1) == SPLITSOCK__STATUS__STATUS_OK)
		return true;
	client_close(client);
	return false;
}

void
client_open(struct client *client, const struct gofer *gofer)
{
	cr_assert(client_try_open(client, gofer), "no session");
}

void
client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

/* ---- requests ----------------------------------------------------------------------------------- */

static struct operation *
op_init(struct operation *op, Splitsock__Op__OpCase which)
{
	*op = (struct operation){0};
	splitsock__op__init(&op->op);
	op->op.op_case = which;
	return op;
}

static Splitsock__Address *
loopback(struct operation *op, uint16_t port)
{
	splitsock__address__init(&op->address);
	memcpy(op->ip, (uint8_t[]){127, 0, 0, 1}, 4);
	op->address.family = wire_family(AF_INET);
	op->address.ip.data = op->ip;
	op->address.ip.len = 4;
	op->address.port = port;
	return &op->address;
}

struct operation *
op_open(struct operation *op, int family, int type, int protocol)
{
	op_init(op, SPLITSOCK__OP__OP_OPEN);
	splitsock__open__init(&op->open);
	op->open.family = wire_family(family);
	op->open.type = wire_socket_type(type);
	op->open.protocol = (uint32_t)protocol;
	op->op.open = &op->open;
	return op;
}

struct operation *
op_bind(struct operation *op, uint16_t port)
{
	op_init(op, SPLITSOCK__OP__OP_BIND);
	splitsock__bind__init(&op->bind);
	op->bind.address = loopback(op, port);
	op->op.bind = &op->bind;
	return op;
}

struct operation *
op_connect(struct operation *op, uint16_t port, bool wait)
{
	op_init(op, SPLITSOCK__OP__OP_CONNECT);
	splitsock__connect__init(&op->connect);
	op->connect.address = loopback(op, port);
	op->connect.wait = wait;
	op->op.connect = &op->connect;
	return op;
}

struct operation *
op_dissolve(struct operation *op)
{
	op_connect(op, 0, false);
	splitsock__address__init(&op->address);
	op->address.family = wire_family(AF_UNSPEC);
	return op;
}

struct operation *
op_listen(struct operation *op, int backlog)
{
	op_init(op, SPLITSOCK__OP__OP_LISTEN);
	splitsock__listen__init(&op->listen);
	op->listen.backlog = backlog;
	op->op.listen = &op->listen;
	return op;
}

struct operation *
op_set_int(struct operation *op, int level, int name, int value)
{
	const struct socket_option *option = option_by_host(level, name);

	op_init(op, SPLITSOCK__OP__OP_SET_OPTION);
	splitsock__set_option__init(&op->set);
	op->set.option = option->wire;
	op->set.value.data = op->value;
	op->set.value.len = (size_t)option_encode(option, &value, sizeof value, op->value, sizeof op->value);
	op->op.set_option = &op->set;
	return op;
}

struct operation *
op_set_linger(struct operation *op, int seconds)
{
	const struct socket_option *option = option_by_host(SOL_SOCKET, SO_LINGER);
	struct linger linger = {.l_onoff = 1, .l_linger = seconds};

	op_set_int(op, SOL_SOCKET, SO_KEEPALIVE, 0);
	op->set.option = option->wire;
	op->set.value.len = (size_t)option_encode(option, &linger, sizeof linger, op->value, sizeof op->value);
	return op;
}

struct operation *
op_get(struct operation *op, int level, int name)
{
	op_init(op, SPLITSOCK__OP__OP_GET_OPTION);
	splitsock__get_option__init(&op->get);
	op->get.option = option_by_host(level, name)->wire;
	op->get.length = 64;
	op->op.get_option = &op->get;
	return op;
}

struct operation *
op_shutdown(struct operation *op, int how)
{
	op_init(op, SPLITSOCK__OP__OP_SHUTDOWN);
	splitsock__shutdown__init(&op->shutdown);
	op->shutdown.how = wire_shutdown(how);
	op->op.shutdown = &op->shutdown;
	return op;
}

struct operation *
op_query(struct operation *op)
{
	op_init(op, SPLITSOCK__OP__OP_QUERY);
	splitsock__query__init(&op->query);
	op->op.query = &op->query;
	return op;
}

struct operation *
op_send(struct operation *op, uint16_t port, const char *payload)
{
	op_init(op, SPLITSOCK__OP__OP_SEND);
	splitsock__send__init(&op->send);
	op->send.to = port ? loopback(op, port) : NULL;
	op->send.payload.data = (uint8_t *)payload;
	op->send.payload.len = strlen(payload);
	op->op.send = &op->send;
	return op;
}

struct operation *
op_release(struct operation *op)
{
	op_init(op, SPLITSOCK__OP__OP_RELEASE);
	splitsock__release__init(&op->release);
	op->op.release = &op->release;
	return op;
}

struct operation *
op_ioctl(struct operation *op, uint32_t request)
{
	static uint8_t ifreq[40] = "lo";

	op_init(op, SPLITSOCK__OP__OP_INTERFACE_IOCTL);
	splitsock__interface_ioctl__init(&op->ioctl);
	op->ioctl.request = request;
	op->ioctl.ifreq.data = ifreq;
	op->ioctl.ifreq.len = sizeof ifreq;
	op->op.interface_ioctl = &op->ioctl;
	return op;
}

static size_t
request_init(Splitsock__Request *request, Splitsock__Op **pointers, uint64_t handle, struct operation *const *ops, size_t count)
{
	splitsock__request__init(request);
	for (size_t i = 0; i < count; i++)
		pointers[i] = &ops[i]->op;
	request->handle = handle;
	request->ops = pointers;
	request->n_ops = count;
	return count;
}

bool
send_request(struct client *client, uint32_t id, uint64_t handle, struct operation *const *ops, size_t count)
{
	Splitsock__Request request;
	Splitsock__Op *pointers[256];

	cr_assert_leq(count, 256);
	request_init(&request, pointers, handle, ops, count);
	return send_message(client->fd, FRAME_REQUEST, id, &request.base);
}

static struct outcome
take_reply(const struct frame *frame)
{
	struct codec_arena arena = {0};
	Splitsock__Reply *reply = decode_reply(&arena, frame);
	struct outcome outcome = {0};
	const Splitsock__Result *last;

	cr_assert_not_null(reply, "a reply is malformed");
	last = reply->results[reply->n_results - 1];
	outcome.count = (uint32_t)reply->n_results;
	outcome.status = (int)last->status;
	outcome.error = host_errno(last->error);
	outcome.sent = last->count;
	outcome.port = last->local ? (uint16_t)last->local->port : 0;
	outcome.value_len = last->value.len < sizeof outcome.value ? last->value.len : sizeof outcome.value;
	if (outcome.value_len)
		memcpy(outcome.value, last->value.data, outcome.value_len);
	codec_free(&arena);
	return outcome;
}

static void
take_event(struct client *client, const struct frame *frame)
{
	struct codec_arena arena = {0};
	Splitsock__Event *event = decode_event(&arena, frame);

	cr_assert_not_null(event, "an event is malformed");
	if (event->reset) {
		client->reset = event->reset;
		client->resets++;
	}
	if (event->closed)
		client->closed = event->closed;
	codec_free(&arena);
}

struct outcome
wait_reply(struct client *client, uint32_t id, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;

	for (;;) {
		int64_t left = end - now_ms();
		struct frame frame;
		int got = receive_frame(client, &frame, left > 0 ? (int)left : 0);

		if (got <= 0)
			return (struct outcome){.status = got == 0 ? -1 : -2};
		if (frame.kind == FRAME_EVENT)
			take_event(client, &frame);
		else if (frame.kind == FRAME_REPLY && frame.id == id)
			return take_reply(&frame);
	}
}

bool
wait_event(struct client *client, const uint64_t *which, uint64_t handle, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;

	while (*which != handle) {
		int64_t left = end - now_ms();
		struct frame frame;

		if (receive_frame(client, &frame, left > 0 ? (int)left : 0) != 1)
			return false;
		if (frame.kind == FRAME_EVENT)
			take_event(client, &frame);
	}
	return true;
}

struct outcome
call_batch(struct client *client, uint64_t handle, struct operation *const *ops, size_t count)
{
	uint32_t id = ++client->next_call;

	if (!send_request(client, id, handle, ops, count))
		return (struct outcome){.status = -1};
	return wait_reply(client, id, PATIENCE_MS);
}

struct outcome
call(struct client *client, uint64_t handle, struct operation *op)
{
	return call_batch(client, handle, &op, 1);
}

struct outcome
call_open(struct client *client, uint64_t handle, int type, struct operation *then)
{
	struct operation open;

	return call_batch(client, handle, (struct operation *[]){op_open(&open, AF_INET, type, 0), then}, then ? 2 : 1);
}

/* ---- links -------------------------------------------------------------------------------------- */

int
link_connect(const struct gofer *gofer, bool is_stream)
{
	return connect_unix(gofer->path, is_stream ? LINK_STREAM_SUFFIX : LINK_SEQPACKET_SUFFIX,
	                    is_stream ? SOCK_STREAM : SOCK_SEQPACKET);
}

struct link_hello
link_hello_for(const struct client *client, enum link_kind kind, uint64_t handle)
{
	struct link_hello hello = {.handle = handle, .kind = kind};

	memcpy(hello.token, client->token, sizeof hello.token);
	return hello;
}

int
link_open(const struct client *client, bool is_stream, enum link_kind kind, uint64_t handle)
{
	struct link_hello hello = link_hello_for(client, kind, handle);
	int fd = link_connect(client->gofer, is_stream);

	cr_assert_geq(fd, 0, "no link: %s", strerror(errno));
	cr_assert_eq(send(fd, &hello, sizeof hello, MSG_NOSIGNAL), (ssize_t)sizeof hello);
	return fd;
}

bool
send_with_fds(int socket, const void *data, size_t len, int fd, int count)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(64 * sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)data, len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};

	cr_assert_leq(count, 64);
	control.header.cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
	message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
	for (int i = 0; i < count; i++)
		memcpy(CMSG_DATA(&control.header) + (size_t)i * sizeof fd, &fd, sizeof fd);
	return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)len;
}

bool
channel_request(int channel, uint32_t id, uint64_t handle, struct operation *const *ops, size_t count)
{
	Splitsock__Request request;
	Splitsock__Op *pointers[64];
	size_t len;
	uint8_t *packet;
	bool sent;

	request_init(&request, pointers, handle, ops, count);
	packet = encode_frame(FRAME_REQUEST, id, &request.base, &len);
	sent = packet && send(channel, packet, len, MSG_NOSIGNAL) == (ssize_t)len;
	free(packet);
	return sent;
}

/* ---- the good one ------------------------------------------------------------------------------- */

static int
host_socket(int type, uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

int
host_listen(uint16_t *port, int backlog)
{
	int fd = host_socket(SOCK_STREAM, port);

	cr_assert_eq(listen(fd, backlog), 0);
	return fd;
}

int
host_datagram(uint16_t *port)
{
	return host_socket(SOCK_DGRAM, port);
}

int
host_accept(int listener)
{
	struct pollfd in = {.fd = listener, .events = POLLIN};

	return poll(&in, 1, PATIENCE_MS) == 1 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
}

bool
read_exactly(int fd, void *data, size_t len, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	char *at = data;

	while (len) {
		struct pollfd in = {.fd = fd, .events = POLLIN};
		int64_t left = end - now_ms();
		ssize_t n;

		if (left < 0 || poll(&in, 1, (int)left) == 0)
			return false;
		n = recv(fd, at, len, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static bool
echo(int link, int host)
{
	static const char question[] = "is anybody there?";
	char answer[sizeof question];

	return raw_send(link, question, sizeof question) && read_exactly(host, answer, sizeof answer, PATIENCE_MS) &&
	       raw_send(host, answer, sizeof answer) && read_exactly(link, answer, sizeof answer, PATIENCE_MS) &&
	       memcmp(answer, question, sizeof answer) == 0;
}

int
good_client(const struct gofer *gofer)
{
	int64_t start = now_ms();
	struct client client;
	struct operation connect;
	uint16_t port;
	int listener = host_listen(&port, 1), link = -1, host = -1;
	bool good = client_try_open(&client, gofer);

	if (good)
		good = call_open(&client, 1, SOCK_STREAM, op_connect(&connect, port, true)).status == SPLITSOCK__STATUS__STATUS_OK;
	if (good) {
		host = host_accept(listener);
		link = link_open(&client, true, LINK_SOCKET, 1);
		good = host >= 0 && echo(link, host);
	}
	if (link >= 0)
		close(link);
	/* The peer sees the end. */
	good = good && ends_within(host, PATIENCE_MS);
	if (host >= 0)
		close(host);
	close(listener);
	client_close(&client);
	return good ? (int)(now_ms() - start) : -1;
}
