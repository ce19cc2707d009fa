/*
 * The sentry side against a hostile gofer: sentry_side/session.c, link*.c, packet.c. Control streams are simulated; links, the side channel
 * and memfds are real. The input is a list of what the program asks and what the gofer says: frames, packets with descriptors, records of
 * accepted connections. Whatever it says, each call ends once, no descriptor is left, and what the program gets lies within its bounds.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <unistd.h>

#include "sentry_side/link.h"
#include "sentry_side/packet.h"
#include "tests/fuzz/streams.h"

#define SOCKETS_MAX 6
#define CALLS_MAX 16
#define GOFER_ENDS_MAX 16

enum asked { BIND, CONNECT, LISTEN, SHUTDOWN, QUERY, SET_OPTION, GET_OPTION, IOCTL, SEND, SEND_TWO, RECEIVE_ERROR, URGENT, PACKET, ASKED };

struct asked_call {
	bool used, ended, finished;
	enum asked what;
	unsigned socket;
	struct link_result result;
};

static struct ss ss;
static struct input input;
static struct {
	int fd;
	struct link *link;
} sockets[SOCKETS_MAX];
static unsigned socket_count;
static struct asked_call calls[CALLS_MAX];
static unsigned call_count;
static int listeners[2]; /* stream, seqpacket */
static int gofer_ends[GOFER_ENDS_MAX];
static unsigned end_count;
static void *(*channel_run)(void *);
static void *channel_arg;

/* ---- what is not real ---------------------------------------------------------------------------- */

/* The links' sockets have no files: the suffix of the path chooses one. */
int __real_connect(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);
int
__wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
	const char *path = ((const struct sockaddr_un *)(const void *)address)->sun_path;
	struct sockaddr_un listener;
	socklen_t listener_len = sizeof listener;

	(void)len;
	getsockname(listeners[strstr(path, LINK_SEQPACKET_SUFFIX) != NULL], (struct sockaddr *)&listener, &listener_len);
	return __real_connect(fd, (struct sockaddr *)&listener, listener_len);
}

/* The side channel's thread runs at the end, when all that it will get is there. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg);
int
__wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
	(void)attributes;
	*thread = pthread_self();
	channel_run = run;
	channel_arg = arg;
	return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result);
int
__wrap_pthread_join(pthread_t thread, void **result)
{
	(void)thread;
	(void)result;
	return 0;
}

/* ---- the program --------------------------------------------------------------------------------- */

static void
accept_links(void)
{
	for (int i = 0; i < 2; i++) {
		int fd;

		/* Those over the limit hang up at once: what nobody has accepted would be waited for. */
		while ((fd = accept4(listeners[i], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
			if (end_count < GOFER_ENDS_MAX)
				gofer_ends[end_count++] = fd;
			else
				close(fd);
		}
	}
}

/* struct ss, borrow. */
static int
borrow(struct ss *of, const struct link *link)
{
	(void)of;
	for (unsigned i = 0; i < socket_count; i++)
		if (sockets[i].link == link)
			return dup(sockets[i].fd);
	return -1;
}

static void
makes_socket(void)
{
	static const int kinds[][3] = {{AF_INET, SOCK_STREAM, 0},         {AF_INET, SOCK_DGRAM, 0},     {AF_INET6, SOCK_STREAM, 0},
				       {AF_INET6, SOCK_DGRAM, 0},         {AF_INET, SOCK_RAW, 1},       {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
				       {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}};
	const int *kind = kinds[input_byte(&input) % (sizeof kinds / sizeof *kinds)];
	unsigned n = socket_count;

	if (n < SOCKETS_MAX && link_socket(&ss, kind[0], kind[1] | SOCK_NONBLOCK, kind[2], &sockets[n].fd, &sockets[n].link) == 0)
		socket_count++;
	accept_links();
}

static void
done(void *arg, const struct link_result *result)
{
	struct asked_call *call = arg;

	FUZZ_CHECK(call->used && !call->ended);
	FUZZ_CHECK(result->local.len <= sizeof result->local.address && result->peer.len <= sizeof result->peer.address);
	FUZZ_CHECK(result->value_len <= sizeof result->value && result->control_len <= sizeof result->control);
	FUZZ_CHECK(result->error >= 0 && result->error < 4096);
	FUZZ_CHECK(result->completed <= (call->what == SEND_TWO ? 2 : 1));
	if (call->what == SEND)
		FUZZ_CHECK(result->error || result->count <= 5);
	call->ended = true;
	call->result = *result;
	if (call->what == PACKET && !result->error)
		close(result->passed_fd);
}

static const struct sockaddr_in somewhere = {.sin_family = AF_INET, .sin_port = 0x5000, .sin_addr = {0x0100007f}};

static int
start(struct asked_call *call, struct link *link, int fd, unsigned detail)
{
	static const int options[][2] = {{SOL_SOCKET, SO_ERROR}, {SOL_SOCKET, SO_RCVBUF}, {SOL_SOCKET, SO_ATTACH_FILTER}, {IPPROTO_IP, IP_TTL},
					 {SOL_SOCKET, SO_PEERNAME}, {IPPROTO_IP, IP_MTU}, {IPPROTO_TCP, 11}, {SOL_SOCKET, SO_LINGER}};
	const int *option = options[detail % (sizeof options / sizeof *options)];
	const struct sockaddr *address = (const struct sockaddr *)&somewhere;
	struct link_datagram datagrams[2] = {{.data = "hello", .size = 5}, {.data = "again", .size = 5}};
	int value[16] = {1};
	socklen_t len = sizeof value;
	char ifreq[40] = "lo";
	uint32_t id;

	if (detail & 1)
		datagrams[0].address = datagrams[1].address = address;
	datagrams[0].address_len = datagrams[1].address_len = sizeof somewhere;
	switch (call->what) {
	case BIND:
		return link_bind(link, address, sizeof somewhere, done, call);
	case CONNECT:
		return link_connect(link, address, sizeof somewhere, detail & 1, done, call, &id);
	case LISTEN:
		return link_listen(link, 4, done, call);
	case SHUTDOWN:
		return link_shutdown(link, (int)detail % 3, done, call);
	case QUERY:
		return link_query(link, done, call);
	case SET_OPTION:
		return link_set_option(link, fd, option[0], option[1], value, sizeof(int), done, call);
	case GET_OPTION:
		return link_get_option(link, fd, option[0], option[1], value, &len, done, call);
	case IOCTL:
		return link_interface_ioctl(link, 0x8913, ifreq, sizeof ifreq, NULL, 0, done, call);
	case SEND:
		return link_send(link, datagrams, 1, 0, done, call);
	case SEND_TWO:
		return link_send(link, datagrams, 2, 0, done, call);
	case RECEIVE_ERROR:
		return link_receive_error(link, done, call);
	case URGENT:
		return link_urgent(link, done, call);
	default:
		return detail & 1 ? packet_open(&ss, SOCK_RAW, 0x300, done, call) : packet_sync(&ss, 0, 0, done, call);
	}
}

static void
asks(void)
{
	unsigned n = input_byte(&input), detail = input_byte(&input);
	struct asked_call *call = &calls[call_count];

	if (!socket_count || call_count == CALLS_MAX)
		return;
	*call = (struct asked_call){.used = true, .socket = n % socket_count, .what = input_byte(&input) % ASKED};
	if (call->what == PACKET && !(detail & 1))
		call->finished = true;
	call_count++;
	call->result.passed_fd = -1;
	if (start(call, sockets[call->socket].link, sockets[call->socket].fd, detail) != 0)
		call->used = false; /* done will not be called */
	if (call->what == PACKET)
		call->finished = true;
	accept_links();
}

/* What is left to do in the program's own time. */
static void
finishes(void)
{
	struct asked_call *call = call_count ? &calls[input_byte(&input) % call_count] : NULL;
	uint8_t *value;
	socklen_t len = 64;

	if (!call || !call->used || !call->ended || call->finished)
		return;
	call->finished = true;
	if (call->what == CONNECT)
		link_finish_connect(sockets[call->socket].link, sockets[call->socket].fd, true, &call->result);
	if (call->what == LISTEN)
		link_finish_listen(sockets[call->socket].link, sockets[call->socket].fd, &call->result);
	if (call->what == GET_OPTION) {
		value = malloc(len);
		if (link_finish_get_option(sockets[call->socket].link, sockets[call->socket].fd, IPPROTO_IP, IP_TTL, &call->result, value, &len) == 0)
			FUZZ_CHECK(len <= 64);
		free(value);
	}
	accept_links();
}

static void
receives(void)
{
	unsigned n = input_byte(&input);
	size_t room = input_byte(&input) * 4u;
	int flags = input_byte(&input) & 1 ? MSG_PEEK | MSG_DONTWAIT : MSG_DONTWAIT, given = 0;
	char data[64];
	struct iovec iov = {data, sizeof data};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct link_source source;
	char *control;

	if (!socket_count)
		return;
	link_receive(sockets[n % socket_count].link, sockets[n % socket_count].fd, &message, flags, &source);
	FUZZ_CHECK(source.name.len <= sizeof source.name.address);
	FUZZ_CHECK(source.control_len <= sizeof source.control);
	control = malloc(room);
	FUZZ_CHECK(link_give_control(&source, control, room, &given) <= room);
	free(control);
	link_drop_error_notice(sockets[n % socket_count].link, sockets[n % socket_count].fd);
}

static void
accepts(void)
{
	unsigned n = input_byte(&input), at = socket_count;
	struct link_name name;

	if (!socket_count || at == SOCKETS_MAX)
		return;
	n %= socket_count;
	if (link_accept(sockets[n].link, sockets[n].fd, true, &sockets[at].fd, &sockets[at].link) != 0)
		return;
	link_accept_commit(sockets[n].fd);
	socket_count++;
	if (link_local_name(sockets[at].link, &name))
		FUZZ_CHECK(name.len <= sizeof name.address);
	if (link_peer_name(sockets[at].link, &name))
		FUZZ_CHECK(name.len <= sizeof name.address);
	accept_links();
}

static void
closes(void)
{
	if (!socket_count)
		return;
	socket_count--;
	close(sockets[socket_count].fd);
	link_unref(sockets[socket_count].link);
	for (unsigned i = 0; i < call_count; i++)
		if (calls[i].socket == socket_count)
			calls[i].finished = true;
	link_sweep(&ss);
}

/* ---- the gofer ----------------------------------------------------------------------------------- */

static size_t
frame_in(uint8_t *frame)
{
	uint8_t kind = input_byte(&input), id = input_byte(&input);
	size_t len = input_byte(&input);

	if (len > input.len)
		len = input.len;
	frame_header_write(frame, kind % 8, id, len);
	if (len)
		memcpy(frame + FRAME_HEADER_SIZE, input_take(&input, len), len);
	return FRAME_HEADER_SIZE + len;
}

static void
sends_frame(void)
{
	uint8_t frame[FRAME_HEADER_SIZE + 256];
	size_t len = frame_in(frame);
	nng_stream *stream = stream_nth(0);

	if (stream)
		stream_arrives(stream, frame, len);
}

static void
sends_bytes(void)
{
	size_t len = input_byte(&input);
	nng_stream *stream = stream_nth(0);

	if (len > input.len)
		len = input.len;
	if (stream)
		stream_arrives(stream, input_take(&input, len), len);
}

/* A packet on a link or the side channel, with up to two descriptors: memfds of these bytes, or something else. */
static void
sends_packet(int end, const void *packet, size_t len, uint8_t how)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)packet, len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	unsigned count = how % 3;
	int fds[2] = {-1, -1};
	size_t size;
	uint8_t *content = how & 8 ? NULL : input_copy(&input, sizeof(struct link_source) + 8, &size);

	for (unsigned i = 0; i < count; i++) {
		fds[i] = content ? memfd_create("hostile", MFD_CLOEXEC) : open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (content && write(fds[i], content, size) < 0)
			abort();
	}
	if (count) {
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	sendmsg(end, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	free(content);
}

static void
sends_datagram(void)
{
	unsigned n = input_byte(&input);
	uint8_t how = input_byte(&input);

	if (end_count)
		sends_packet(gofer_ends[n % end_count], "datagram", how >> 4 & 8, how);
}

static void
sends_source(void)
{
	unsigned n = input_byte(&input);
	struct link_source source = {.name.len = input_byte(&input), .error = input_byte(&input), .error_number = 1};
	struct input with = {(const uint8_t *)&source, offsetof(struct link_source, control)}, rest = input;

	source.control_len = input_byte(&input);
	rest = input;
	if (source.control_len) {
		memcpy(source.control, rest.data, rest.len < source.control_len ? rest.len : source.control_len);
		with.len += source.control_len;
	}
	if (!end_count)
		return;
	input = with;
	sends_packet(gofer_ends[n % end_count], "", 0, 1);
	input = rest;
}

static void
sends_record(void)
{
	unsigned n = input_byte(&input);
	size_t len = input_byte(&input) % (sizeof(struct link_accepted) + 1);
	struct link_accepted record = {.handle = UINT64_C(1) << 63 | input_byte(&input)};
	uint8_t how = input_byte(&input);

	record.local.len = how & 1 ? input_u32(&input) : sizeof(struct sockaddr_in);
	record.peer.len = how & 2 ? input_u32(&input) : sizeof(struct sockaddr_in6);
	if (how & 4)
		record.handle = input_byte(&input);
	if (end_count)
		send(gofer_ends[n % end_count], &record, len ? len : sizeof record, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
sends_on_channel(void)
{
	unsigned n = input_byte(&input);
	uint8_t how = input_byte(&input), frame[FRAME_HEADER_SIZE + 256];
	size_t len = frame_in(frame);

	if (end_count)
		sends_packet(gofer_ends[n % end_count], frame, len, how | 8);
}

static void
hangs_up(void)
{
	unsigned n = input_byte(&input);

	if (end_count)
		shutdown(gofer_ends[n % end_count], (int)input_byte(&input) % 3);
}

static void (*const happenings[])(void) = {
	makes_socket, asks, finishes, receives, accepts, closes, sends_frame, sends_bytes, sends_datagram, sends_source, sends_record,
	sends_on_channel, hangs_up,
};

/* ---- one session --------------------------------------------------------------------------------- */

/* A Welcome: the usual one, or what the input has. */
static void
welcome(nng_stream *stream)
{
	static uint8_t token[LINK_TOKEN_SIZE] = "0123456789abcdef";
	Splitsock__Welcome message = SPLITSOCK__WELCOME__INIT;
	uint8_t *frame;
	size_t len;

	if (input_byte(&input) == 255) {
		sends_bytes();
		return;
	}
	message.version = 1;
	message.link_token = (ProtobufCBinaryData){sizeof token, token};
	frame = encode_frame(FRAME_WELCOME, 0, &message.base, &len);
	stream_arrives(stream, frame, len);
	free(frame);
}

static int
listener_new(int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	/* A name that the kernel chooses. */
	FUZZ_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address.sun_family) == 0 && listen(fd, 64) == 0);
	return fd;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	listeners[0] = listener_new(SOCK_STREAM);
	listeners[1] = listener_new(SOCK_SEQPACKET);
	return 0;
}

/* The lowest number that is free: the same before and after, if no descriptor is left. */
static int
lowest_free(void)
{
	int fd = dup(listeners[0]);

	close(fd);
	return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int lowest = lowest_free();
	nng_stream *stream = stream_new(0);

	input = (struct input){data, len};
	socket_count = call_count = end_count = 0;
	channel_run = NULL;
	stream_to_dial(stream);
	welcome(stream);
	ss = (struct ss){.borrow = borrow};
	if (ss_init(&ss, "ipc:///fuzz", NULL) != 0)
		goto over;
	accept_links();
	while (input.len) {
		happenings[input_byte(&input) % (sizeof happenings / sizeof *happenings)]();
		while (streams_step())
			;
	}
	for (unsigned i = 0; i < end_count; i++)
		shutdown(gofer_ends[i], SHUT_RDWR);
	if (channel_run)
		channel_run(channel_arg);
	stream_hangs_up(stream);
	while (streams_step())
		;
	FUZZ_CHECK(session_ended(&ss.session));
	for (unsigned i = 0; i < call_count; i++)
		FUZZ_CHECK(!calls[i].used || calls[i].ended);
	while (socket_count)
		closes();
	ss_destroy(&ss);
over:
	accept_links();
	while (end_count)
		close(gofer_ends[--end_count]);
	FUZZ_CHECK(lowest_free() == lowest);
	FUZZ_CHECK(!stream_nth(0));
	return 0;
}
