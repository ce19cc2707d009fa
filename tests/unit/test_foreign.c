/*
 * Machines with another byte order, word size or numbers: what foreign.c printed on them (foreign.recorded) is on the wire what
 * it prints here, byte for byte and number for number, and says what it should.
 */
#include "tests/unit/foreign.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"
#include "proto/values.pb-c.h"

#define RECORDED SOURCE_DIR "/tests/unit/foreign.recorded"

static char *here; /* each line with a newline on both sides */

static void
setup(void)
{
	size_t size;
	FILE *file = open_memstream(&here, &size);

	cr_assert_not_null(file);
	fputc('\n', file);
	foreign_print(file);
	fclose(file);
}

static void
teardown(void)
{
	free(here);
}

TestSuite(foreign, .init = setup, .fini = teardown, .timeout = 30);

/* Whether one of the lines printed here begins with this text and ends there or with a space. */
static bool
said_here(const char *text)
{
	size_t len = strlen(text);

	for (const char *at = here; (at = strchr(at, '\n')) != NULL; at++)
		if (strncmp(at + 1, text, len) == 0 && (at[1 + len] == '\n' || at[1 + len] == ' '))
			return true;
	return false;
}

/* Calls for every line of the record, with the architecture that it belongs to. */
static void
each_line(void (*look)(const char *architecture, char *line))
{
	FILE *file = fopen(RECORDED, "re");
	char line[1024], architecture[32] = "";

	cr_assert_not_null(file, "%s", RECORDED);
	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		if (sscanf(line, "architecture %31s", architecture) != 1)
			look(architecture, line);
	}
	fclose(file);
}

static unsigned machines, big, small, frames, values, numbers;

static void
look_at_wire(const char *architecture, char *line)
{
	char *host = strstr(line, " host ");

	machines += strncmp(line, "machine ", 8) == 0;
	big += strncmp(line, "machine big-endian ", 19) == 0;
	small += strstr(line, "-endian 32 bit") != NULL;
	if (strncmp(line, "machine ", 8) == 0)
		return;
	frames += strncmp(line, "frame ", 6) == 0;
	values += strncmp(line, "value ", 6) == 0;
	/* The record of numbers is of those that are different there. */
	if (host && strncmp(line, "value ", 6) != 0) {
		cr_expect_not(said_here(line), "%s: %s is no different here", architecture, line);
		numbers++;
	}
	if (host)
		*host = '\0';
	cr_expect_null(strstr(line, "LOST"), "%s: %s", architecture, line);
	cr_expect(said_here(line), "%s: %s: not so here", architecture, line);
}

Test(foreign, the_wire_is_the_same_from_every_machine)
{
	each_line(look_at_wire);
	cr_expect_geq(machines, 7);
	cr_expect_geq(big, 5);
	cr_expect_geq(small, 4);
	cr_expect_eq(frames, 5 * machines);
	cr_expect_eq(values, 10 * machines);
	cr_expect_geq(numbers, 600);
}

/* A few that everybody can look up in the kernel's headers. */
static struct {
	const char *architecture, *line;
	bool found;
} landmarks[] = {
	{"mips", "errno ECONNREFUSED 23 host 146", false},
	{"mips", "errno EDQUOT 29 host 1133", false},
	{"mips", "errno EDEADLOCK 25 host 56", false},
	{"mips", "type STREAM 7 host 2", false},
	{"mips", "type DGRAM 2 host 1", false},
	{"mips", "option SO_REUSEADDR 159 host 65535 4", false},
	{"sparc64", "errno ECONNREFUSED 23 host 61", false},
	{"sparc64", "errno EINPROGRESS 38 host 36", false},
	{"sparc64", "option SO_RCVLOWAT 153 host 65535 2048", false},
	{"alpha", "errno EAGAIN 7 host 35", false},
	{"alpha", "errno EDEADLK 25 host 11", false},
	{"alpha", "option SO_RCVBUF 151 host 65535 4098", false},
	{"hppa", "errno ECONNREFUSED 23 host 239", false},
	{"hppa", "option SO_REUSEPORT 160 host 65535 512", false},
	{"powerpc", "errno EDEADLOCK 25 host 58", false},
	{"powerpc", "option SO_RCVLOWAT 153 host 1 16", false},
	{"armhf", "value SO_RCVTIMEO_OLD 258,999999 02010000000000003f420f0000000000 and-back host 020100003f420f00", false},
	{"mips", "value SO_RCVTIMEO_OLD 258,999999 02010000000000003f420f0000000000 and-back host 00000102000f423f", false},
	{"s390x", "value SO_LINGER 1,16909060 0100000004030201 and-back host 0000000101020304", false},
};

static void
look_for_landmarks(const char *architecture, char *line)
{
	for (size_t i = 0; i < sizeof landmarks / sizeof landmarks[0]; i++)
		if (strcmp(landmarks[i].architecture, architecture) == 0 && strcmp(landmarks[i].line, line) == 0)
			landmarks[i].found = true;
}

Test(foreign, numbers_that_are_different_there)
{
	each_line(look_for_landmarks);
	for (size_t i = 0; i < sizeof landmarks / sizeof landmarks[0]; i++)
		cr_expect(landmarks[i].found, "%s: %s", landmarks[i].architecture, landmarks[i].line);
}

/* ---- what a gofer here makes of the frames ------------------------------------------------------- */

static size_t
bytes_of(const char *hex, uint8_t *bytes, size_t cap)
{
	size_t len = strlen(hex) / 2;

	cr_assert_leq(len, cap);
	for (size_t i = 0; i < len; i++) {
		unsigned byte;

		cr_assert_eq(sscanf(hex + 2 * i, "%2x", &byte), 1);
		bytes[i] = (uint8_t)byte;
	}
	return len;
}

static void
expect_option(const char *architecture, const Splitsock__Op *op, int level, int name, const void *value, size_t len)
{
	const struct socket_option *option;
	uint8_t host[64];

	cr_assert_eq(op->op_case, SPLITSOCK__OP__OP_SET_OPTION, "%s", architecture);
	option = option_by_wire(op->set_option->option);
	cr_assert_not_null(option, "%s", architecture);
	cr_expect_eq(option, option_by_host(level, name), "%s: %s", architecture, option->text);
	cr_assert_eq(option_decode(option, op->set_option->value.data, op->set_option->value.len, host, sizeof host), (ssize_t)len,
	             "%s: %s", architecture, option->text);
	cr_expect_arr_eq(host, value, len, "%s: %s", architecture, option->text);
}

static void
expect_connect(const char *architecture, const Splitsock__Request *request, const struct sockaddr *to, socklen_t to_len)
{
	struct sockaddr_storage host;
	struct wire_address wire;
	socklen_t len;

	cr_expect_eq(request->handle, 0x0102030405060708, "%s", architecture);
	cr_assert_eq(request->n_ops, 5, "%s", architecture);
	cr_assert_eq(request->ops[0]->op_case, SPLITSOCK__OP__OP_OPEN, "%s", architecture);
	cr_expect_eq(host_family(request->ops[0]->open->family), to->sa_family, "%s", architecture);
	cr_expect_eq(host_socket_type(request->ops[0]->open->type), SOCK_STREAM, "%s", architecture);
	cr_expect_eq(request->ops[0]->open->protocol, IPPROTO_TCP, "%s", architecture);
	expect_option(architecture, request->ops[1], SOL_SOCKET, SO_RCVTIMEO_OLD, (long[]){258, 500000}, 2 * sizeof(long));
	expect_option(architecture, request->ops[2], SOL_SOCKET, SO_SNDTIMEO_NEW, (int64_t[]){0x100000002, 1}, 16);
	expect_option(architecture, request->ops[3], SOL_SOCKET, SO_LINGER, (int[]){1, 258}, 8);
	cr_assert_eq(request->ops[4]->op_case, SPLITSOCK__OP__OP_CONNECT, "%s", architecture);
	cr_expect(request->ops[4]->connect->wait, "%s", architecture);
	cr_assert_eq(address_from_message(&wire, request->ops[4]->connect->address), 0, "%s", architecture);
	cr_assert_eq(wire_address_to_host(&wire, &host, &len), 0, "%s", architecture);
	cr_expect_eq(len, to_len, "%s", architecture);
	cr_expect_arr_eq(&host, to, to_len, "%s", architecture);
}

static void
look_at_frame(const char *architecture, char *line)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(0x1234), .sin_addr.s_addr = htonl(0x0a010203)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443), .sin6_flowinfo = htonl(0x000abcde),
	                           .sin6_scope_id = 0x01020304};
	struct codec_arena arena = {0};
	uint8_t bytes[400];
	char name[16];
	int hex = 0;
	size_t len, need;
	struct frame frame;

	if (sscanf(line, "frame %15s %n", name, &hex) != 1)
		return;
	len = bytes_of(line + hex, bytes, sizeof bytes);
	cr_assert_eq(frame_parse(&frame, bytes, len, &need), (ssize_t)len, "%s: %s", architecture, name);
	frames++;
	if (strcmp(name, "hello") == 0) {
		Splitsock__Hello *hello = decode_hello(&arena, &frame);

		cr_assert(frame.kind == FRAME_HELLO && hello, "%s", architecture);
		cr_expect_eq(hello->version, 1);
		cr_expect_eq(hello->features, 0x8000000000000001);
		cr_expect_str_eq(hello->software, "foreign");
	} else if (strcmp(name, "refused") == 0) {
		Splitsock__Reply *reply = decode_reply(&arena, &frame);

		cr_assert(frame.kind == FRAME_REPLY && frame.id == 0xfffefdfc && reply, "%s", architecture);
		cr_expect_eq(reply->results[0]->status, SPLITSOCK__STATUS__STATUS_HOST_ERRNO);
		cr_expect_eq(host_errno(reply->results[0]->error), ECONNREFUSED, "%s", architecture);
	} else {
		Splitsock__Request *request = decode_request(&arena, &frame);

		cr_assert(frame.kind == FRAME_REQUEST && request, "%s: %s", architecture, name);
		inet_pton(AF_INET6, "fe80::1:2:3", &in6.sin6_addr);
		if (strcmp(name, "connect4") == 0) {
			cr_expect_eq(frame.id, 0x01020304, "%s", architecture);
			expect_connect(architecture, request, (struct sockaddr *)&in, sizeof in);
		} else if (strcmp(name, "connect6") == 0) {
			expect_connect(architecture, request, (struct sockaddr *)&in6, sizeof in6);
		} else {
			cr_assert_str_eq(name, "send");
			cr_expect_eq(host_message_flags(request->ops[0]->send->flags, NULL),
			             MSG_OOB | MSG_DONTROUTE | MSG_MORE | MSG_NOSIGNAL, "%s", architecture);
		}
	}
	codec_free(&arena);
}

Test(foreign, frames_say_what_was_meant)
{
	each_line(look_at_frame);
	cr_expect_geq(frames, 35);
}
