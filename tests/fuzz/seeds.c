/*
 * fuzz-seeds DIRECTORY: writes the seeds of the corpora, DIRECTORY/HARNESS/seed-NAME, with the encoders that the product uses. What else is
 * in the corpora was found by the fuzzers from these, and is there for its coverage.
 */
#include <arpa/nameser.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/control.h"

static const char *directory;

struct bytes {
	uint8_t data[8192];
	size_t len;
};

static void
put(struct bytes *bytes, const void *data, size_t len)
{
	if (len > sizeof bytes->data - bytes->len)
		abort();
	if (len)
		memcpy(bytes->data + bytes->len, data, len);
	bytes->len += len;
}

static void
put_byte(struct bytes *bytes, unsigned byte)
{
	put(bytes, &(uint8_t){(uint8_t)byte}, 1);
}

static void
write_seed(const char *harness, const char *name, const void *data, size_t len)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", directory, harness);
	if (mkdir(path, 0777) < 0 && errno != EEXIST)
		goto fail;
	snprintf(path, sizeof path, "%s/%s/seed-%s", directory, harness, name);
	file = fopen(path, "w");
	if (file && fwrite(data, 1, len, file) == len && fclose(file) == 0)
		return;
fail:
	perror(path);
	exit(1);
}

/* ---- messages ------------------------------------------------------------------------------------ */

/* As fuzz_message.c numbers them. */
enum { HELLO, WELCOME, REQUEST, REPLY, EVENT, ADMIN_REQUEST, ADMIN_REPLY };

static void
message_seed(unsigned number, enum frame_kind kind, const char *name, const ProtobufCMessage *message)
{
	struct bytes bytes = {0};
	size_t len;
	uint8_t *frame = encode_frame(kind, 1, message, &len);

	if (!frame)
		abort();
	write_seed("frame", name, frame, len);
	put_byte(&bytes, number);
	put(&bytes, frame + FRAME_HEADER_SIZE, len - FRAME_HEADER_SIZE);
	write_seed("message", name, bytes.data, bytes.len);
	free(frame);
}

static Splitsock__Address address = SPLITSOCK__ADDRESS__INIT;
static uint8_t ip[4] = {127, 0, 0, 1};

static void
op_seed(const char *name, Splitsock__Op__OpCase op_case, void *body)
{
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	Splitsock__Open open = SPLITSOCK__OPEN__INIT;
	Splitsock__Op first = SPLITSOCK__OP__INIT, op = SPLITSOCK__OP__INIT, *ops[] = {&first, &op};

	open.family = wire_family(AF_INET);
	open.type = wire_socket_type(SOCK_DGRAM);
	first.op_case = SPLITSOCK__OP__OP_OPEN;
	first.open = &open;
	op.op_case = op_case;
	op.open = body; /* members of a oneof share their place */
	request.handle = 5;
	request.ops = ops;
	request.n_ops = 2;
	message_seed(REQUEST, FRAME_REQUEST, name, &request.base);
}

static void
operations(void)
{
	Splitsock__Bind bind = SPLITSOCK__BIND__INIT;
	Splitsock__Connect connect = SPLITSOCK__CONNECT__INIT;
	Splitsock__Listen listen = SPLITSOCK__LISTEN__INIT;
	Splitsock__SetOption set = SPLITSOCK__SET_OPTION__INIT;
	Splitsock__GetOption get = SPLITSOCK__GET_OPTION__INIT;
	Splitsock__Shutdown shutdown = SPLITSOCK__SHUTDOWN__INIT;
	Splitsock__Query query = SPLITSOCK__QUERY__INIT;
	Splitsock__Send send = SPLITSOCK__SEND__INIT;
	Splitsock__Release release = SPLITSOCK__RELEASE__INIT;
	Splitsock__InterfaceIoctl ioctl = SPLITSOCK__INTERFACE_IOCTL__INIT;
	Splitsock__Poke poke = SPLITSOCK__POKE__INIT;
	Splitsock__ReceiveError receive_error = SPLITSOCK__RECEIVE_ERROR__INIT;
	Splitsock__Urgent urgent = SPLITSOCK__URGENT__INIT;
	Splitsock__Stats stats = SPLITSOCK__STATS__INIT;
	Splitsock__PacketOpen packet_open = SPLITSOCK__PACKET_OPEN__INIT;
	Splitsock__PacketSync packet_sync = SPLITSOCK__PACKET_SYNC__INIT;
	Splitsock__Control control = SPLITSOCK__CONTROL__INIT, *controls[] = {&control};
	int on = 1;
	uint8_t value[4] = {1}, ttl[CONTROL_DATA_MAX], ifreq[40] = "lo";

	bind.address = connect.address = send.to = &address;
	connect.wait = true;
	listen.backlog = 16;
	set.option = get.option = option_by_host(SOL_SOCKET, SO_REUSEADDR)->wire;
	set.value = (ProtobufCBinaryData){sizeof value, value};
	get.length = 4;
	shutdown.how = wire_shutdown(2);
	control.data = (ProtobufCBinaryData){(size_t)control_encode(IPPROTO_IP, IP_TTL, &on, sizeof on, &control.type, ttl), ttl};
	send.control = controls;
	send.n_control = 1;
	send.payload = (ProtobufCBinaryData){5, (uint8_t *)"hello"};
	ioctl.request = 0x8913;
	ioctl.ifreq = (ProtobufCBinaryData){sizeof ifreq, ifreq};
	stats.host = true;
	packet_open.type = wire_socket_type(SOCK_RAW);
	packet_sync.interface = 1;
	op_seed("bind", SPLITSOCK__OP__OP_BIND, &bind);
	op_seed("connect", SPLITSOCK__OP__OP_CONNECT, &connect);
	op_seed("listen", SPLITSOCK__OP__OP_LISTEN, &listen);
	op_seed("set-option", SPLITSOCK__OP__OP_SET_OPTION, &set);
	op_seed("get-option", SPLITSOCK__OP__OP_GET_OPTION, &get);
	op_seed("shutdown", SPLITSOCK__OP__OP_SHUTDOWN, &shutdown);
	op_seed("query", SPLITSOCK__OP__OP_QUERY, &query);
	op_seed("send", SPLITSOCK__OP__OP_SEND, &send);
	op_seed("release", SPLITSOCK__OP__OP_RELEASE, &release);
	op_seed("interface-ioctl", SPLITSOCK__OP__OP_INTERFACE_IOCTL, &ioctl);
	op_seed("poke", SPLITSOCK__OP__OP_POKE, &poke);
	op_seed("receive-error", SPLITSOCK__OP__OP_RECEIVE_ERROR, &receive_error);
	op_seed("urgent", SPLITSOCK__OP__OP_URGENT, &urgent);
	op_seed("stats", SPLITSOCK__OP__OP_STATS, &stats);
	op_seed("packet-open", SPLITSOCK__OP__OP_PACKET_OPEN, &packet_open);
	op_seed("packet-sync", SPLITSOCK__OP__OP_PACKET_SYNC, &packet_sync);
}

static void
others(void)
{
	Splitsock__Hello hello = SPLITSOCK__HELLO__INIT;
	Splitsock__Welcome welcome = SPLITSOCK__WELCOME__INIT;
	Splitsock__Reply reply = SPLITSOCK__REPLY__INIT;
	Splitsock__Result result = SPLITSOCK__RESULT__INIT, *results[] = {&result};
	Splitsock__Counter counter = SPLITSOCK__COUNTER__INIT, *counter_list[] = {&counter};
	Splitsock__Counters counted = SPLITSOCK__COUNTERS__INIT;
	Splitsock__Event event = SPLITSOCK__EVENT__INIT;
	Splitsock__AdminRequest ask = SPLITSOCK__ADMIN_REQUEST__INIT;
	Splitsock__AdminCursor cursor = SPLITSOCK__ADMIN_CURSOR__INIT;
	Splitsock__AdminReply answer = SPLITSOCK__ADMIN_REPLY__INIT;
	Splitsock__AdminSession session = SPLITSOCK__ADMIN_SESSION__INIT, *sessions[] = {&session};
	Splitsock__AdminSocket socket = SPLITSOCK__ADMIN_SOCKET__INIT, *sockets[] = {&socket};
	uint8_t token[LINK_TOKEN_SIZE] = "0123456789abcdef";

	hello.version = welcome.version = ask.version = 1;
	hello.features = welcome.features = FEATURE_STATS;
	hello.software = welcome.software = session.software = "seed";
	message_seed(HELLO, FRAME_HELLO, "hello", &hello.base);
	welcome.link_token = (ProtobufCBinaryData){sizeof token, token};
	message_seed(WELCOME, FRAME_WELCOME, "welcome", &welcome.base);
	counter.number = 3;
	counter.value = 7;
	counted.counters = counter_list;
	counted.n_counters = 1;
	result.local = result.peer = &address;
	result.counters = &counted;
	result.value = (ProtobufCBinaryData){4, token};
	reply.results = results;
	reply.n_results = 1;
	message_seed(REPLY, FRAME_REPLY, "reply", &reply.base);
	event.closed = 5;
	event.error = wire_errno(ECONNRESET);
	message_seed(EVENT, FRAME_EVENT, "event", &event.base);
	ask.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_SOCKETS;
	ask.sockets = &cursor;
	cursor.session = cursor.handle = 9;
	message_seed(ADMIN_REQUEST, FRAME_REQUEST, "admin-request", &ask.base);
	session.counters = answer.counters = &counted;
	socket.local = socket.peer = &address;
	socket.state = "open";
	answer.sessions = sessions;
	answer.sockets = sockets;
	answer.n_sessions = answer.n_sockets = 1;
	answer.next = &cursor;
	message_seed(ADMIN_REPLY, FRAME_REPLY, "admin-reply", &answer.base);
	message_seed(EVENT, FRAME_CANCEL, "cancel", NULL);
}

/* ---- what happens to a gofer --------------------------------------------------------------------- */

/* As fuzz_session.c numbers what happens. AT_ONCE: before the gofer looks. */
enum {
	CONNECTS, FRAME, BYTES, GOES, READS, LINK, CTL, ARRIVES, CHANNEL_FRAME, MUCH, PEER_CONNECTS, PEER_GOES, PEER_READS, FAILS, ANSWERS,
	TIME, ACCEPT_FAILS, AT_ONCE = 128
};

static void
put_message(struct bytes *story, enum frame_kind kind, unsigned id, const ProtobufCMessage *message)
{
	size_t len = 0;
	uint8_t *frame = message ? encode_frame(kind, id, message, &len) : NULL;

	put(story, (uint8_t[]){kind, (uint8_t)id}, 2);
	len = frame ? len - FRAME_HEADER_SIZE : 0;
	if (len >= 255)
		abort();
	put_byte(story, (unsigned)len);
	if (len)
		put(story, frame + FRAME_HEADER_SIZE, len);
	free(frame);
}

static void
client(struct bytes *story, unsigned uid)
{
	Splitsock__Hello hello = SPLITSOCK__HELLO__INIT;

	hello.version = 1;
	put(story, (uint8_t[]){CONNECTS, (uint8_t)uid, FRAME, 0}, 4);
	put_message(story, FRAME_HELLO, 0, &hello.base);
}

/* Opens the socket `handle` and does this to it, on the control stream or on the socket n of the kernel, the side channel. */
static void
request(struct bytes *story, unsigned handle, int type, int protocol, Splitsock__Op__OpCase op_case, void *body, int channel)
{
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	Splitsock__Open open = SPLITSOCK__OPEN__INIT;
	Splitsock__Op first = SPLITSOCK__OP__INIT, op = SPLITSOCK__OP__INIT, *ops[] = {&first, &op};

	open.family = wire_family(AF_INET);
	open.type = wire_socket_type(type);
	open.protocol = (uint32_t)protocol;
	first.op_case = SPLITSOCK__OP__OP_OPEN;
	first.open = &open;
	op.op_case = op_case;
	op.open = body;
	request.handle = handle;
	request.ops = handle ? ops : ops + 1;
	request.n_ops = handle ? 2 : 1;
	put(story, channel < 0 ? (uint8_t[]){FRAME, 0} : (uint8_t[]){CHANNEL_FRAME, (uint8_t)channel}, 2);
	put_message(story, FRAME_REQUEST, handle + 1, &request.base);
}

#define HAPPENS(...) put(&story, (uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))
#define STORY(name) (write_seed("session", name, story.data, story.len), story.len = 0)

static void
stories(void)
{
	static struct bytes story;
	Splitsock__Bind bind = SPLITSOCK__BIND__INIT;
	Splitsock__Connect connect = SPLITSOCK__CONNECT__INIT;
	Splitsock__Listen listen = SPLITSOCK__LISTEN__INIT;
	Splitsock__Send send = SPLITSOCK__SEND__INIT;
	Splitsock__SetOption set = SPLITSOCK__SET_OPTION__INIT;
	Splitsock__GetOption get = SPLITSOCK__GET_OPTION__INIT;
	Splitsock__Shutdown shutdown = SPLITSOCK__SHUTDOWN__INIT;
	Splitsock__Stats stats = SPLITSOCK__STATS__INIT;
	Splitsock__PacketOpen packet = SPLITSOCK__PACKET_OPEN__INIT;
	Splitsock__InterfaceIoctl ioctl = SPLITSOCK__INTERFACE_IOCTL__INIT;
	Splitsock__ReceiveError receive_error = SPLITSOCK__RECEIVE_ERROR__INIT;
	Splitsock__Urgent urgent = SPLITSOCK__URGENT__INIT;
	Splitsock__Query query = SPLITSOCK__QUERY__INIT;
	Splitsock__Poke poke = SPLITSOCK__POKE__INIT;
	Splitsock__Release release = SPLITSOCK__RELEASE__INIT;
	Splitsock__AdminRequest ask = SPLITSOCK__ADMIN_REQUEST__INIT;
	Splitsock__AdminNothing nothing = SPLITSOCK__ADMIN_NOTHING__INIT;
	Splitsock__AdminCursor cursor = SPLITSOCK__ADMIN_CURSOR__INIT;
	Splitsock__Shutdown both = SPLITSOCK__SHUTDOWN__INIT;
	uint8_t value[4] = {1}, ifreq[40] = "lo", get_link[20] = {20, 0, 0, 0, RTM_GETLINK, 0, 1, 3};

	bind.address = connect.address = send.to = &address;
	connect.wait = true;
	listen.backlog = 8;
	send.payload = (ProtobufCBinaryData){5, (uint8_t *)"hello"};
	set.option = get.option = option_by_host(SOL_SOCKET, SO_REUSEADDR)->wire;
	set.value = (ProtobufCBinaryData){sizeof value, value};
	get.length = 4;
	shutdown.how = wire_shutdown(2);
	both.how = wire_shutdown(SHUT_RDWR);
	packet.type = wire_socket_type(SOCK_RAW);
	packet.protocol = 4;
	ioctl.request = 0x8913;
	ioctl.ifreq = (ProtobufCBinaryData){sizeof ifreq, ifreq};

	/* A stream: connected, linked, data both ways, the peer goes. Sockets: 0 is the host's, 1 the link. */
	client(&story, 0);
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_CONNECT, &connect, -1);
	HAPPENS(LINK, 0, 0, 5);
	HAPPENS(ARRIVES, 0, 3, 'a', 'b', 'c', ARRIVES, 1, 3, 'd', 'e', 'f');
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_QUERY, &query, -1);
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_URGENT, &urgent, -1);
	HAPPENS(PEER_GOES, 0, TIME, 10);
	STORY("stream");
	/* One that takes its time, and one that fails. */
	client(&story, 0);
	HAPPENS(ANSWERS | AT_ONCE, 3, 0, 0, 5);
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_CONNECT, &connect, -1);
	HAPPENS(LINK, 4, 0, 5, 3, ARRIVES, 1, 3, 'x', 'x', 'x', FAILS, 0, 1);
	put(&story, (uint8_t[]){FRAME, 0}, 2);
	put_message(&story, FRAME_CANCEL, 6, NULL);
	STORY("connecting");
	/* A listener, two connections, one is taken. */
	client(&story, 0);
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_LISTEN, &listen, -1);
	HAPPENS(LINK, 0, 0, 5, PEER_CONNECTS, 0, PEER_CONNECTS, 0, LINK, 128, 0, 1, MUCH, 2, PEER_READS, 3, 1, MUCH, 2, PEER_READS, 3, 0);
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_POKE, &poke, -1);
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_SHUTDOWN, &shutdown, -1);
	HAPPENS(PEER_GOES, 1);
	STORY("listener");
	/* Datagrams, by the link and by the side channel: 0 is the link, 1 the channel, 2 the host's. */
	client(&story, 0);
	HAPPENS(LINK, 1, 0, 5, LINK, 3, 0, 0);
	request(&story, 5, SOCK_DGRAM, 0, SPLITSOCK__OP__OP_SEND, &send, 1);
	HAPPENS(ARRIVES, 2, 4, 'p', 'o', 'n', 'g', ARRIVES, 0, 4, 'p', 'i', 'n', 'g', FAILS, 2, 1);
	request(&story, 5, SOCK_DGRAM, 0, SPLITSOCK__OP__OP_CONNECT, &connect, -1);
	request(&story, 5, SOCK_DGRAM, 0, SPLITSOCK__OP__OP_RECEIVE_ERROR, &receive_error, -1);
	HAPPENS(PEER_GOES, 0);
	STORY("datagrams");
	client(&story, 0);
	HAPPENS(LINK, 3, 0, 0);
	request(&story, 0, 0, 0, SPLITSOCK__OP__OP_PACKET_OPEN, &packet, 0);
	request(&story, 0, 0, 0, SPLITSOCK__OP__OP_PACKET_SYNC, &(Splitsock__PacketSync)SPLITSOCK__PACKET_SYNC__INIT, -1);
	stats.host = true;
	request(&story, 0, 0, 0, SPLITSOCK__OP__OP_STATS, &stats, -1);
	STORY("packet");
	/* A raw socket with a header of its own, whose sources are limited, and what it may not do. */
	client(&story, 1);
	HAPPENS(LINK, 3, 0, 0);
	set.option = option_by_host(IPPROTO_IP, IP_HDRINCL)->wire;
	request(&story, 5, SOCK_RAW, IPPROTO_ICMP, SPLITSOCK__OP__OP_SET_OPTION, &set, -1);
	send.payload = (ProtobufCBinaryData){20, (uint8_t *)"\x45\0\0\x14\0\0\0\0\x40\x01\0\0\x7f\0\0\1\x7f\0\0\1"};
	request(&story, 5, SOCK_RAW, IPPROTO_ICMP, SPLITSOCK__OP__OP_SEND, &send, 0);
	request(&story, 6, SOCK_RAW, IPPROTO_TCP, SPLITSOCK__OP__OP_BIND, &bind, -1);
	STORY("raw");
	client(&story, 2);
	request(&story, 5, SOCK_DGRAM, 0, SPLITSOCK__OP__OP_INTERFACE_IOCTL, &ioctl, -1);
	request(&story, 5, SOCK_DGRAM, 0, SPLITSOCK__OP__OP_BIND, &bind, -1);
	STORY("interfaces");
	client(&story, 0);
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_BIND, &bind, -1);
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_GET_OPTION, &get, -1);
	ask.version = 1;
	for (int question = SPLITSOCK__ADMIN_REQUEST__ASK_STATUS; question <= SPLITSOCK__ADMIN_REQUEST__ASK_STATS; question++) {
		ask.ask_case = (Splitsock__AdminRequest__AskCase)question;
		ask.status = &nothing;
		if (question == SPLITSOCK__ADMIN_REQUEST__ASK_SESSIONS || question == SPLITSOCK__ADMIN_REQUEST__ASK_SOCKETS)
			ask.sessions = &cursor;
		put_byte(&story, CTL);
		put_message(&story, FRAME_REQUEST, 1, &ask.base);
	}
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_RELEASE, &release, -1);
	STORY("ctl");
	/* Route netlink, by the link. */
	client(&story, 0);
	HAPPENS(LINK, 1, 0, 5, FRAME, 0);
	{
		Splitsock__Request opening = SPLITSOCK__REQUEST__INIT;
		Splitsock__Open open = SPLITSOCK__OPEN__INIT;
		Splitsock__Op op = SPLITSOCK__OP__INIT, *ops = &op;

		open.family = wire_family(AF_NETLINK);
		open.type = wire_socket_type(SOCK_RAW);
		op.op_case = SPLITSOCK__OP__OP_OPEN;
		op.open = &open;
		opening.handle = 5;
		opening.ops = &ops;
		opening.n_ops = 1;
		put_message(&story, FRAME_REQUEST, 1, &opening.base);
	}
	HAPPENS(ARRIVES, 0, sizeof get_link);
	put(&story, get_link, sizeof get_link);
	get_link[4] = RTM_NEWLINK;
	HAPPENS(ARRIVES, 0, sizeof get_link);
	put(&story, get_link, sizeof get_link);
	HAPPENS(ARRIVES, 1, 4, 1, 2, 3, 4);
	STORY("netlink");
	/* A client that does not read, one that breaks the protocol, and one that says nothing. */
	client(&story, 0);
	HAPPENS(READS, 0, 1, TIME, 20, READS, 0, 6, BYTES, 0, 3, 1, 2, 3, CONNECTS, 3, TIME, 60, ACCEPT_FAILS, TIME, 20, GOES, 0);
	STORY("rude");
	/* Shut down under the gofer: epoll then has something to say for ever. */
	client(&story, 0);
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_CONNECT, &connect, -1);
	HAPPENS(LINK, 0, 0, 5);
	request(&story, 5, SOCK_STREAM, 0, SPLITSOCK__OP__OP_SHUTDOWN, &both, -1);
	STORY("shutdown-stream");
	client(&story, 0);
	HAPPENS(LINK, 1, 0, 5);
	request(&story, 5, SOCK_DGRAM, 0, SPLITSOCK__OP__OP_SHUTDOWN, &both, -1);
	HAPPENS(ARRIVES, 1, 1, 'x');
	STORY("shutdown-datagram");
}

/* ---- what a gofer says to a client --------------------------------------------------------------- */

/* As fuzz_client.c numbers what happens. The first of the gofer's ends is the side channel. */
enum { MAKES_SOCKET, ASKS, FINISHES, RECEIVES, ACCEPTS, CLOSES, SENDS_FRAME, SENDS_BYTES, SENDS_DATAGRAM, SENDS_SOURCE, SENDS_RECORD, SENDS_ON_CHANNEL };
enum { ASK_BIND, ASK_CONNECT, ASK_LISTEN, ASK_GET = 6, ASK_SEND = 8, ASK_PACKET = 12 };

static void
answer(struct bytes *story, unsigned id, size_t count, bool on_channel)
{
	Splitsock__Reply reply = SPLITSOCK__REPLY__INIT;
	Splitsock__Result result = SPLITSOCK__RESULT__INIT, *results[] = {&result, &result};
	uint8_t value[4] = {1};

	result.local = result.peer = &address;
	result.count = 5;
	result.value = (ProtobufCBinaryData){sizeof value, value};
	reply.results = results;
	reply.n_results = count;
	put(story, on_channel ? (uint8_t[]){SENDS_ON_CHANNEL, 0, 0} : (uint8_t[]){SENDS_FRAME}, on_channel ? 3 : 1);
	put_message(story, FRAME_REPLY, id, &reply.base);
}

#define CLIENT_STORY(name) (write_seed("client", name, story.data, story.len), story.len = 0)

static void
client_stories(void)
{
	static struct bytes story;
	Splitsock__Event event = SPLITSOCK__EVENT__INIT;

	HAPPENS(0, MAKES_SOCKET, 0, ASKS, 0, 1, ASK_CONNECT);
	answer(&story, 1, 2, false);
	HAPPENS(FINISHES, 0, ASKS, 0, 3, ASK_GET);
	answer(&story, 2, 1, false);
	HAPPENS(FINISHES, 1);
	event.reset = 1;
	put_byte(&story, SENDS_FRAME);
	put_message(&story, FRAME_EVENT, 0, &event.base);
	event = (Splitsock__Event)SPLITSOCK__EVENT__INIT;
	event.unlinked = 1;
	event.error = wire_errno(ECONNREFUSED);
	put_byte(&story, SENDS_FRAME);
	put_message(&story, FRAME_EVENT, 0, &event.base);
	event = (Splitsock__Event)SPLITSOCK__EVENT__INIT;
	event.closed = 1;
	put_byte(&story, SENDS_FRAME);
	put_message(&story, FRAME_EVENT, 0, &event.base);
	CLIENT_STORY("stream");
	HAPPENS(0, MAKES_SOCKET, 0, ASKS, 0, 0, ASK_LISTEN);
	answer(&story, 1, 2, false);
	HAPPENS(FINISHES, 0, SENDS_RECORD, 1, 0, 1, 0, ACCEPTS, 0, CLOSES);
	CLIENT_STORY("listener");
	HAPPENS(0, MAKES_SOCKET, 1, SENDS_SOURCE, 1, 16, 0, 0, RECEIVES, 0, 8, 0, SENDS_SOURCE, 1, 0, 111, 0, RECEIVES, 0, 0, 0);
	HAPPENS(ASKS, 0, 1, ASK_SEND);
	answer(&story, 1, 2, true);
	CLIENT_STORY("datagrams");
	HAPPENS(0, MAKES_SOCKET, 0, ASKS, 0, 1, ASK_PACKET);
	put(&story, (uint8_t[]){SENDS_ON_CHANNEL, 0, 1}, 3);
	{
		Splitsock__Reply reply = SPLITSOCK__REPLY__INIT;
		Splitsock__Result result = SPLITSOCK__RESULT__INIT, *results[] = {&result};

		reply.results = results;
		reply.n_results = 1;
		put_message(&story, FRAME_REPLY, 1, &reply.base);
	}
	CLIENT_STORY("packet");
}

/* ---- domain names -------------------------------------------------------------------------------- */

static void
put16(struct bytes *bytes, unsigned value)
{
	put_byte(bytes, value >> 8);
	put_byte(bytes, value & 0xff);
}

static void
dns_message(struct bytes *bytes, bool answer, unsigned type, unsigned records)
{
	static const char name[] = "\3www\7example\3org";

	*bytes = (struct bytes){0};
	put_byte(bytes, answer);
	put16(bytes, 0x1234);
	put16(bytes, answer ? 0x8180 : 0x0100);
	put16(bytes, 1);
	put16(bytes, records);
	put16(bytes, 0);
	put16(bytes, 0);
	put(bytes, name, sizeof name);
	put16(bytes, type);
	put16(bytes, ns_c_in);
}

static void
dns_record(struct bytes *bytes, unsigned owner, unsigned type, const void *data, size_t len)
{
	put16(bytes, 0xc000 | owner);
	put16(bytes, type);
	put16(bytes, ns_c_in);
	put16(bytes, 0);
	put16(bytes, 300);
	put16(bytes, (unsigned)len);
	put(bytes, data, len);
}

static void
domain_names(void)
{
	static const char target[] = "\4host\7example\3net";
	static struct bytes bytes;
	uint8_t ip6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
	unsigned at;

	dns_message(&bytes, false, ns_t_a, 0);
	write_seed("dns", "query", bytes.data, bytes.len);
	dns_message(&bytes, true, ns_t_a, 1);
	dns_record(&bytes, 12, ns_t_a, ip, sizeof ip);
	write_seed("dns", "answer", bytes.data, bytes.len);
	dns_message(&bytes, true, ns_t_aaaa, 2);
	at = (unsigned)bytes.len - 1 + 12; /* where the CNAME's target will be, without the first byte of the input */
	dns_record(&bytes, 12, ns_t_cname, target, sizeof target);
	dns_record(&bytes, at, ns_t_aaaa, ip6, sizeof ip6);
	write_seed("dns", "chain", bytes.data, bytes.len);
}

/* ---- policy -------------------------------------------------------------------------------------- */

static void
policy_files(void)
{
	static const char small[] = "version: 1\n"
				    "clients:\n"
				    "  - name: all\n"
				    "    users: \"*\"\n"
				    "    sockets: open\n";
	static const char full[] = "version: 1\n"
				   "ring_bytes: 8M\n"
				   "clients:\n"
				   "  - name: capture\n"
				   "    users: [0, root, 1000]\n"
				   "    sockets: none\n"
				   "    packet_sockets: 4\n"
				   "    raw: {protocols: [icmp, 47], headers: own, source_ip: own}\n"
				   "    packet:\n"
				   "      - interface: veth0\n"
				   "        receive: true\n"
				   "        send: false\n"
				   "        promiscuous: true\n"
				   "        ethertypes: [ip, 0x0806]\n"
				   "        protocols: any\n"
				   "        source_mac: [own, 02:00:00:00:00:05]\n"
				   "        source_ip: [own, 10.0.0.0/8, \"fd00::/8\"]\n"
				   "        filter: udp port 53\n"
				   "        frames_per_second: 10K\n"
				   "        bytes_per_second: 1M\n";

	write_seed("policy-file", "small", small, sizeof small - 1);
	write_seed("policy-file", "full", full, sizeof full - 1);
}

#define ETHERNET 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1

static void
frames(void)
{
	static const uint8_t udp[] = {0, 0xff, 1, ETHERNET, 8, 0, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 7};
	static const uint8_t arp[] = {0, 0x1f, 1, ETHERNET, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 9};
	static const uint8_t tagged[] = {0, 0x3f, 1, ETHERNET, 0x81, 0, 0, 7, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 0, 64,
					 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
					 17, 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t raw[] = {1, 3, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 7};
	struct {
		uint8_t kind;
		struct nlmsghdr header __attribute__((packed));
		struct rtgenmsg body __attribute__((packed));
	} netlink = {2, {.nlmsg_len = NLMSG_LENGTH(1), .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}, {AF_INET}};
	static const uint8_t bucket[] = {3, 10, 0, 0, 0, 5, 0, 0, 0, 100, 9, 0, 0, 0, 50};

	write_seed("policy-frame", "udp", udp, sizeof udp);
	write_seed("policy-frame", "arp", arp, sizeof arp);
	write_seed("policy-frame", "tagged", tagged, sizeof tagged);
	write_seed("policy-frame", "raw", raw, sizeof raw);
	write_seed("policy-frame", "netlink", &netlink, sizeof netlink);
	write_seed("policy-frame", "bucket", bucket, sizeof bucket);
}

/* ---- values -------------------------------------------------------------------------------------- */

static void
values(void)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80), .sin6_scope_id = 2};
	uint32_t len = sizeof in6;
	struct bytes bytes = {0};
	char name[32];

	put_byte(&bytes, 0);
	put(&bytes, &len, sizeof len);
	put(&bytes, &in6, sizeof in6);
	write_seed("values", "sockaddr", bytes.data, bytes.len);
	/* An option of each number, both ways, and a control message of each type. */
	for (uint32_t number = 1; number < 400; number++) {
		static const uint8_t zeros[16];

		for (unsigned way = 2; way <= 3 && option_by_wire(number); way++) {
			bytes.len = 0;
			put_byte(&bytes, way);
			put(&bytes, (uint8_t[]){number & 0xff, (uint8_t)(number >> 8), 0, 1, 0, 0, 4, 0, 0, 0}, way == 2 ? 6 : 10);
			put(&bytes, zeros, number % 4 * 4 + 4);
			snprintf(name, sizeof name, "option-%u-%u", number, way);
			if (number % 8 == 0)
				write_seed("values", name, bytes.data, bytes.len);
		}
	}
	bytes.len = 0;
	put_byte(&bytes, 4);
	{
		union {
			struct cmsghdr header;
			char space[CMSG_SPACE(sizeof(int))];
		} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL}};

		put(&bytes, &control, sizeof control);
		put(&bytes, &control, sizeof control);
	}
	write_seed("values", "control", bytes.data, bytes.len);
}

static void
denials(void)
{
	static const uint8_t socket[] = {1, 0, 0, 0, 232, 3, 0, 0, 6, 0, 2, 80, 0, 0, 0, 127, 0, 0, 1, [32] = 0, 0, 2, 3, 1, 0, 0, 0, 0};

	write_seed("audit", "socket", socket, sizeof socket);
}

int
main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: fuzz-seeds DIRECTORY\n", stderr);
		return 2;
	}
	directory = argv[1];
	address.family = wire_family(AF_INET);
	address.ip = (ProtobufCBinaryData){sizeof ip, ip};
	address.port = 4000;
	operations();
	others();
	stories();
	client_stories();
	domain_names();
	policy_files();
	frames();
	values();
	denials();
	return 0;
}
