/*
 * What this architecture sends: the frames of a few calls, values with the layout of its structures, and its numbers, each with
 * its wire value. record-foreign.sh builds this for other architectures and keeps what it prints; test_foreign.c builds it for
 * this one, and compares.
 *
 * A line is a kind of thing, then fields. What is made from the machine's own structures and numbers says "host" there.
 */
#include "tests/unit/foreign.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <linux/filter.h>

#include "proto/codec.h"
#include "proto/values.pb-c.h"

static FILE *out;

static void
print_hex(const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(out, "%02x", ((const uint8_t *)bytes)[i]);
}

static void
print_frame(const char *name, enum frame_kind kind, uint32_t id, const ProtobufCMessage *message)
{
	size_t len;
	uint8_t *bytes = encode_frame(kind, id, message, &len);

	if (!bytes)
		abort();
	fprintf(out, "frame %s ", name);
	print_hex(bytes, len);
	fputc('\n', out);
	free(bytes);
}

/* ---- requests, as the sentry side makes them ------------------------------------------------------ */

struct value {
	Splitsock__SetOption set;
	uint8_t bytes[64];
};

static void
set_option(Splitsock__Op *op, struct value *value, int level, int name, const void *host, size_t len)
{
	const struct socket_option *option = option_by_host(level, name);
	ssize_t encoded = option ? option_encode(option, host, len, value->bytes, sizeof value->bytes) : -1;

	if (encoded < 0)
		abort();
	splitsock__set_option__init(&value->set);
	value->set.option = option->wire;
	value->set.value.data = value->bytes;
	value->set.value.len = (size_t)encoded;
	splitsock__op__init(op);
	op->op_case = SPLITSOCK__OP__OP_SET_OPTION;
	op->set_option = &value->set;
}

static void
print_request(const char *name, int family, const struct sockaddr *to, socklen_t to_len)
{
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	Splitsock__Op ops[5], *all[5];
	Splitsock__Open open = SPLITSOCK__OPEN__INIT;
	Splitsock__Connect connect = SPLITSOCK__CONNECT__INIT;
	Splitsock__Address message;
	struct wire_address wire;
	struct value values[3];
	/* As the C library passes them on; the second is that of a program whose time_t has 64 bits anyway. */
	struct {
		long seconds, microseconds;
	} words = {258, 500000};
	struct {
		int64_t seconds, microseconds;
	} wide = {0x100000002, 1};

	if (wire_address_from_host(&wire, to, to_len) != 0)
		abort();
	splitsock__op__init(&ops[0]);
	ops[0].op_case = SPLITSOCK__OP__OP_OPEN;
	ops[0].open = &open;
	open.family = wire_family(family);
	open.type = wire_socket_type(SOCK_STREAM);
	open.protocol = IPPROTO_TCP;
	set_option(&ops[1], &values[0], SOL_SOCKET, SO_RCVTIMEO_OLD, &words, sizeof words);
	set_option(&ops[2], &values[1], SOL_SOCKET, SO_SNDTIMEO_NEW, &wide, sizeof wide);
	set_option(&ops[3], &values[2], SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1, .l_linger = 258},
	           sizeof(struct linger));
	splitsock__op__init(&ops[4]);
	ops[4].op_case = SPLITSOCK__OP__OP_CONNECT;
	ops[4].connect = &connect;
	address_to_message(&message, &wire);
	connect.address = &message;
	connect.wait = true;
	for (int i = 0; i < 5; i++)
		all[i] = &ops[i];
	request.handle = 0x0102030405060708;
	request.ops = all;
	request.n_ops = 5;
	print_frame(name, FRAME_REQUEST, 0x01020304, &request.base);
}

static void
print_frames(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(0x1234), .sin_addr.s_addr = htonl(0x0a010203)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443), .sin6_flowinfo = htonl(0x000abcde),
	                           .sin6_scope_id = 0x01020304};
	Splitsock__Hello hello = SPLITSOCK__HELLO__INIT;
	Splitsock__Send send = SPLITSOCK__SEND__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT, *ops = &op;
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	Splitsock__Result result = SPLITSOCK__RESULT__INIT, *results = &result;
	Splitsock__Reply reply = SPLITSOCK__REPLY__INIT;

	hello.version = 1;
	hello.features = 0x8000000000000001;
	hello.software = "foreign";
	print_frame("hello", FRAME_HELLO, 0, &hello.base);
	print_request("connect4", AF_INET, (struct sockaddr *)&in, sizeof in);
	inet_pton(AF_INET6, "fe80::1:2:3", &in6.sin6_addr);
	print_request("connect6", AF_INET6, (struct sockaddr *)&in6, sizeof in6);
	send.flags = wire_message_flags(MSG_OOB | MSG_DONTROUTE | MSG_MORE | MSG_NOSIGNAL, NULL);
	send.payload.data = (uint8_t *)"payload";
	send.payload.len = 7;
	op.op_case = SPLITSOCK__OP__OP_SEND;
	op.send = &send;
	request.handle = 1;
	request.ops = &ops;
	request.n_ops = 1;
	print_frame("send", FRAME_REQUEST, 7, &request.base);
	result.status = SPLITSOCK__STATUS__STATUS_HOST_ERRNO;
	result.error = wire_errno(ECONNREFUSED);
	reply.results = &results;
	reply.n_results = 1;
	print_frame("refused", FRAME_REPLY, 0xfffefdfc, &reply.base);
}

/* ---- values --------------------------------------------------------------------------------------- */

/* Through the wire and back to where it came from. */
static void
print_value(int level, int name, const void *host, size_t len, const char *numbers)
{
	const struct socket_option *option = option_by_host(level, name);
	uint8_t wire[64], back[64];
	ssize_t wire_len = option ? option_encode(option, host, len, wire, sizeof wire) : -1;
	bool good = wire_len >= 0 && option_decode(option, wire, (size_t)wire_len, back, sizeof back) == (ssize_t)len &&
	            memcmp(back, host, len) == 0;

	fprintf(out, "value %s %s ", option ? option->text : "?", numbers);
	print_hex(wire, wire_len < 0 ? 0 : (size_t)wire_len);
	fprintf(out, " %s host ", good ? "and-back" : "LOST");
	print_hex(host, len);
	fputc('\n', out);
}

static void
print_values(void)
{
	struct {
		long seconds, microseconds;
	} words = {258, 999999}, past = {-1, 0};
	struct {
		int64_t seconds, microseconds;
	} wide = {0x0102030405060708, 999999};
	int refused = ECONNREFUSED, pair[] = {0x01020304, -2};

	print_value(SOL_SOCKET, SO_RCVTIMEO_OLD, &words, sizeof words, "258,999999");
	print_value(SOL_SOCKET, SO_SNDTIMEO_OLD, &past, sizeof past, "-1,0");
	print_value(SOL_SOCKET, SO_RCVTIMEO_NEW, &wide, sizeof wide, "72623859790382856,999999");
	print_value(SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1, .l_linger = 0x01020304}, sizeof(struct linger),
	            "1,16909060");
	print_value(SOL_SOCKET, SO_ERROR, &refused, sizeof refused, "ECONNREFUSED");
	print_value(SOL_SOCKET, SO_TIMESTAMPING_OLD, pair, sizeof pair, "16909060,-2");
	print_value(SOL_SOCKET, SO_MAX_PACING_RATE, &(unsigned){0x01020304}, sizeof(unsigned), "16909060");
	print_value(IPPROTO_TCP, TCP_NODELAY, &(int){-2}, sizeof(int), "-2");
	print_value(IPPROTO_TCP, TCP_CONGESTION, "cubic", 5, "cubic");
	print_value(SOL_SOCKET, SO_ATTACH_FILTER, (struct sock_filter[]){{0x15, 1, 2, 0x01020304}, {6, 0, 0, 0xffff}}, 16,
	            "0x15,1,2,0x01020304,6,0,0,0xffff");
}

/* ---- numbers -------------------------------------------------------------------------------------- */

static void
print_table(const char *noun, const ProtobufCEnumDescriptor *descriptor, const char *prefix, uint32_t (*to_wire)(int),
            int (*to_host)(uint32_t))
{
	for (unsigned i = 1; i < descriptor->n_values; i++) {
		uint32_t wire = (uint32_t)descriptor->values[i].value;
		int host = to_host(wire);

		fprintf(out, "%s %s %u%s host %d\n", noun, descriptor->values[i].name + strlen(prefix), wire,
		        to_wire(host) == wire ? "" : " LOST", host);
	}
}

static uint32_t
wire_flags(int host)
{
	return wire_message_flags(host, NULL);
}

static int
host_flags(uint32_t wire)
{
	return host_message_flags(wire, NULL);
}

static void
print_numbers(void)
{
	/* The C library's own opinion of its numbers' names, so that not only our table speaks. */
	for (int host = 1; host < 4096; host++) {
		const char *name = strerrorname_np(host);

		if (name && wire_errno(host) != wire_errno(EIO))
			fprintf(out, "errno %s %u%s host %d\n", name, wire_errno(host),
			        host_errno(wire_errno(host)) == host || host == EDEADLOCK ? "" : " LOST", host);
	}
	fprintf(out, "errno EIO %u host %d\n", wire_errno(EIO), EIO);
	fprintf(out, "errno EDEADLOCK %u host %d\n", wire_errno(EDEADLOCK), EDEADLOCK);
	fprintf(out, "errno EWOULDBLOCK %u host %d\n", wire_errno(EWOULDBLOCK), EWOULDBLOCK);
	fprintf(out, "errno ENOTSUP %u host %d\n", wire_errno(ENOTSUP), ENOTSUP);
	print_table("family", &splitsock__family__descriptor, "FAMILY_", wire_family, host_family);
	print_table("type", &splitsock__socket_type__descriptor, "SOCKET_TYPE_", wire_socket_type, host_socket_type);
	print_table("shutdown", &splitsock__shutdown_how__descriptor, "SHUTDOWN_HOW_", wire_shutdown, host_shutdown);
	print_table("flag", &splitsock__message_flag__descriptor, "MESSAGE_FLAG_", wire_flags, host_flags);
	for (unsigned i = 1; i < splitsock__option__descriptor.n_values; i++) {
		const struct socket_option *option = option_by_wire((uint32_t)splitsock__option__descriptor.values[i].value);

		fprintf(out, "option %s %u%s host %d %d\n", option->text, option->wire,
		        option_by_host(option->level, option->name) == option ? "" : " LOST", option->level, option->name);
	}
}

void
foreign_print(FILE *file)
{
	union {
		uint32_t number;
		uint8_t first;
	} one = {1};

	out = file;
	fprintf(out, "machine %s-endian %zu bit\n", one.first ? "little" : "big", 8 * sizeof(long));
	print_frames();
	print_values();
	print_numbers();
}

#ifdef FOREIGN_MAIN
int
main(void)
{
	foreign_print(stdout);
	return 0;
}
#endif
