/*
 * Every number that an option may have, at every level, on every kind of socket, with every sort of length: a fresh socket each
 * time, and a line for each option, on which neighbouring lengths that come to the same stand together:
 *
 *     SO_KEEPALIVE 0-3 EINVAL, 4-8192 ok 4:01000000
 *
 * The scenarios of `set` are one for each value; what could be set is read back. Values that differ from run to run are not shown.
 */
#include "tests/conformance/scenario.h"

#include <stdio.h>

enum {
	TCP4,
	TCP6,
	UDP4,
	UDP6,
};

enum {
	BUFFER = 8192,
	READ_BACK = 64,
	OUTCOME = 256,
};

static const int lengths[] = {0, 1, 2, 3, 4, 5, 8, 12, 16, 20, 40, 64, 136, 1024, BUFFER, -1};
#define LENGTHS (int)(sizeof lengths / sizeof *lengths)

static const struct name {
	int level, option;
	const char *text;
} names[] = {
#define OPTION_NAME(level, name, option) {level, option, name},
#include "tests/option_names.h"
};

static const char *
name_of(int level, int option)
{
	static char number[32];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].level == level && names[i].option == option)
			return names[i].text;
	snprintf(number, sizeof number, "%d/%d", level, option);
	return number;
}

static int
fresh(int kind)
{
	return must("socket", socket(kind == TCP4 || kind == UDP4 ? AF_INET : AF_INET6,
	                             kind == TCP4 || kind == TCP6 ? SOCK_STREAM : SOCK_DGRAM, 0));
}

/* Clocks, counters and names that no two sockets share. */
static bool
is_volatile(int level, int option)
{
	return (level == SOL_SOCKET && (option == SO_COOKIE || option == SO_MEMINFO || option == SO_INCOMING_CPU)) ||
	       (level == IPPROTO_TCP && (option == TCP_TIMESTAMP || option == TCP_INFO));
}

/* Of the option numbers below these, all are looked at, but those of netfilter and of multicast routing. */
static int
options_end(int level)
{
	switch (level) {
	case SOL_SOCKET:
		return 100;
	case IPPROTO_TCP:
		return 60;
	case IPPROTO_UDP:
		return 110;
	case IPPROTO_IP:
		return 60;
	default:
		return 90;
	}
}

static bool
is_netfilter(int level, int option)
{
	return level == IPPROTO_IPV6 && (option == 64 || option == 65 || option == 68 || option == 69 || option == 80);
}

/* What splitsock refuses although the kernel has it; see the scenarios not_carried. */
static bool
is_not_carried(int level, int option, bool set)
{
	if (level == IPPROTO_TCP)
		return set ? option == TCP_REPAIR || option == TCP_INQ : option == TCP_ZEROCOPY_RECEIVE;
	return level == SOL_SOCKET && set && option == SO_ZEROCOPY;
}

static void
show_value(char *text, const unsigned char *value, socklen_t length, bool hidden)
{
	int at = sprintf(text, "%d:", (int)length);

	if (length > READ_BACK && length <= BUFFER)
		sprintf(text + at, "#%llx", hidden ? 0ull : (unsigned long long)hash_bytes(value, length));
	else
		for (socklen_t i = 0; i < length && length <= READ_BACK && !hidden; i++)
			at += sprintf(text + at, "%02x", value[i]);
}

/* Reads into so much room that is filled with a byte; also tells of a write beyond what was returned. */
static void
look(char *text, int fd, int level, int option, int room, unsigned char fill)
{
	static unsigned char value[BUFFER + 64];
	socklen_t length = (socklen_t)room;
	socklen_t end;

	memset(value, fill, sizeof value);
	if (getsockopt(fd, level, option, value, &length) < 0) {
		strcpy(text, error_name(errno));
		return;
	}
	if (length > BUFFER) {
		sprintf(text, "length %u", length);
		return;
	}
	for (end = sizeof value; end > length && value[end - 1] == fill; end--)
		;
	if (end > length)
		text += sprintf(text, "%d behind ", (int)(end - length));
	show_value(text, value, length, is_volatile(level, option));
}

static void
set_and_look(char *text, int fd, int level, int option, const unsigned char *value, int length)
{
	if (setsockopt(fd, level, option, value, (socklen_t)length) < 0) {
		strcpy(text, error_name(errno));
		return;
	}
	text += sprintf(text, "ok ");
	look(text, fd, level, option, READ_BACK, 0);
}

/* One option's line: the outcomes of all lengths, the same ones together. */
static void
print_line(const char *name, char outcomes[LENGTHS][OUTCOME])
{
	static char line[LENGTHS * (OUTCOME + 16)];
	int at = 0;

	for (int i = 0, last; i < LENGTHS; i = last + 1) {
		for (last = i; last + 1 < LENGTHS && strcmp(outcomes[last + 1], outcomes[i]) == 0; last++)
			;
		at += sprintf(line + at, "%s%d", i ? ", " : " ", lengths[i]);
		if (last > i)
			at += sprintf(line + at, "-%d", lengths[last]);
		at += sprintf(line + at, " %s", outcomes[i]);
	}
	OBSERVE("%s%s", name, line);
}

static void
get_all(int kind, int level, unsigned char fill)
{
	for (int option = 0; option < options_end(level); option++) {
		char outcomes[LENGTHS][OUTCOME];
		int fd;

		if (is_netfilter(level, option) || is_not_carried(level, option, false))
			continue;
		/* Reading changes nothing, but for what it returns once only; so one socket will do. */
		fd = fresh(kind);
		for (int i = 0; i < LENGTHS; i++)
			look(outcomes[i], fd, level, option, lengths[i], fill);
		close(fd);
		print_line(name_of(level, option), outcomes);
	}
}

static void
set_all(int kind, int level, const unsigned char *value)
{
	for (int option = 0; option < options_end(level); option++) {
		char outcomes[LENGTHS][OUTCOME];

		if (is_netfilter(level, option) || is_not_carried(level, option, true))
			continue;
		for (int i = 0; i < LENGTHS; i++) {
			int fd = fresh(kind);

			set_and_look(outcomes[i], fd, level, option, value, lengths[i]);
			close(fd);
		}
		print_line(name_of(level, option), outcomes);
	}
}

/* The same 4 bytes all over, as an int in this machine's order. */
static const unsigned char *
ints(int number)
{
	static int value[BUFFER / sizeof(int)];

	for (size_t i = 0; i < sizeof value / sizeof *value; i++)
		value[i] = number;
	return (unsigned char *)value;
}

/* One, and nothing behind it. */
static const unsigned char *
one(void)
{
	static unsigned char value[BUFFER];

	memcpy(value, &(int){1}, sizeof(int));
	return value;
}

static const unsigned char *
text(void)
{
	static unsigned char value[BUFFER] = "lo";

	return value;
}

#define MATRIX_OF(kind, KIND, level, LEVEL)                                               \
	SCENARIO(option_matrix, get_##kind##_##level)                                     \
	{                                                                                 \
		get_all(KIND, LEVEL, 0x55);                                               \
	}                                                                                 \
	SCENARIO(option_matrix, get_into_zeros_##kind##_##level)                          \
	{                                                                                 \
		get_all(KIND, LEVEL, 0);                                                  \
	}                                                                                 \
	SCENARIO(option_matrix, set_zero_##kind##_##level)                                \
	{                                                                                 \
		set_all(KIND, LEVEL, ints(0));                                            \
	}                                                                                 \
	SCENARIO(option_matrix, set_one_##kind##_##level)                                 \
	{                                                                                 \
		set_all(KIND, LEVEL, one());                                              \
	}                                                                                 \
	SCENARIO(option_matrix, set_minus_one_##kind##_##level)                           \
	{                                                                                 \
		set_all(KIND, LEVEL, ints(-1));                                           \
	}                                                                                 \
	SCENARIO(option_matrix, set_many_##kind##_##level)                                \
	{                                                                                 \
		set_all(KIND, LEVEL, ints(0x00010007));                                   \
	}                                                                                 \
	SCENARIO(option_matrix, set_text_##kind##_##level)                                \
	{                                                                                 \
		set_all(KIND, LEVEL, text());                                             \
	}

#define MATRIX(kind, KIND)                                                                \
	MATRIX_OF(kind, KIND, socket, SOL_SOCKET)                                         \
	MATRIX_OF(kind, KIND, tcp, IPPROTO_TCP)                                           \
	MATRIX_OF(kind, KIND, udp, IPPROTO_UDP)                                           \
	MATRIX_OF(kind, KIND, ip, IPPROTO_IP)                                             \
	MATRIX_OF(kind, KIND, ipv6, IPPROTO_IPV6)

MATRIX(tcp4, TCP4)
MATRIX(tcp6, TCP6)
MATRIX(udp4, UDP4)
MATRIX(udp6, UDP6)

/* Their answers would be promises: of notices about sent buffers, of control messages, of another way to read and to connect. */
SCENARIO_V4_V6(option_matrix, not_carried)
{
	int fd = tcp_socket(family);
	unsigned char question[64] = {0};
	socklen_t length = sizeof question;

	observe_set_option("SO_ZEROCOPY", fd, SOL_SOCKET, SO_ZEROCOPY, 1);
	observe_set_option("TCP_INQ", fd, IPPROTO_TCP, TCP_INQ, 1);
	observe_set_option("TCP_REPAIR", fd, IPPROTO_TCP, TCP_REPAIR, 1);
	observe_call("TCP_ZEROCOPY_RECEIVE", getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, question, &length));
}
