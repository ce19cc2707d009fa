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
#include <sys/mman.h>

enum kind {
	TCP4,
	TCP6,
	UDP4,
	UDP6,
	KINDS,
	CONNECTED = KINDS, /* to be added to a kind */
	LISTENING = 2 * KINDS,
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

#ifndef IP_PROTOCOL
#define IP_PROTOCOL 52
#endif
#define TCP_AO_REPAIR 42

struct subject {
	int fd, peer; /* peer is -1 if there is none */
};

static struct subject
subject(int kind)
{
	int family = kind % KINDS == TCP4 || kind % KINDS == UDP4 ? AF_INET : AF_INET6;
	bool tcp = kind % KINDS == TCP4 || kind % KINDS == TCP6;
	struct pair pair;

	if (kind >= LISTENING)
		return (struct subject){tcp_listener(family), -1};
	if (kind < CONNECTED)
		return (struct subject){tcp ? tcp_socket(family) : udp_socket(family), -1};
	pair = tcp ? tcp_pair(family) : udp_pair(family);
	return (struct subject){pair.client, pair.server};
}

static void
done_with(struct subject subject)
{
	close(subject.fd);
	if (subject.peer >= 0)
		close(subject.peer);
}

/* Clocks, counters and names that no two sockets share. */
static bool
is_volatile(int level, int option)
{
	return (level == SOL_SOCKET && (option == SO_COOKIE || option == SO_MEMINFO || option == SO_INCOMING_CPU ||
	                                option == SO_PEERNAME)) ||
	       (level == IPPROTO_TCP && (option == TCP_TIMESTAMP || option == TCP_INFO || option == TCP_CC_INFO)) ||
	       (level == IPPROTO_IP && option == IP_PROTOCOL); /* the port, where it is not a raw socket */
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
		return option == TCP_QUEUE_SEQ || option == TCP_AO_REPAIR || (!set && option == TCP_ZEROCOPY_RECEIVE) ||
		       (set && (option == TCP_REPAIR || option == TCP_INQ));
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
		text += sprintf(text, "%s", error_name(errno));
		if (length != (socklen_t)room)
			sprintf(text, " wants %u", length);
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
		struct subject on;

		if (is_netfilter(level, option) || is_not_carried(level, option, false))
			continue;
		/* Reading changes nothing, but for what it returns once only; so one socket will do. */
		on = subject(kind);
		for (int i = 0; i < LENGTHS; i++)
			look(outcomes[i], on.fd, level, option, lengths[i], fill);
		done_with(on);
		print_line(name_of(level, option), outcomes);
	}
}

static void
set_all(int kind, int level, const unsigned char *value)
{
	for (int option = 0; option < options_end(level); option++) {
		char outcomes[LENGTHS][OUTCOME];
		struct subject on;

		if (is_netfilter(level, option) || is_not_carried(level, option, true))
			continue;
		/* A connection is dear, so that what one length did stays for the next. */
		if (kind >= CONNECTED)
			on = subject(kind);
		for (int i = 0; i < LENGTHS; i++) {
			if (kind < CONNECTED)
				on = subject(kind);
			set_and_look(outcomes[i], on.fd, level, option, value, lengths[i]);
			if (kind < CONNECTED)
				done_with(on);
		}
		if (kind >= CONNECTED)
			done_with(on);
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
	}                                                                                 \
	SCENARIO(option_matrix, nowhere_##kind##_##level)                                 \
	{                                                                                 \
		nowhere(KIND, LEVEL);                                                     \
	}                                                                                 \
	SCENARIO(option_matrix, get_connected_##kind##_##level)                           \
	{                                                                                 \
		get_all(CONNECTED + KIND, LEVEL, 0);                                      \
	}                                                                                 \
	SCENARIO(option_matrix, set_connected_##kind##_##level)                           \
	{                                                                                 \
		set_all(CONNECTED + KIND, LEVEL, one());                                  \
	}

/* From and to where nothing is, and where what there is ends. */
static void
nowhere(int kind, int level)
{
	long page = sysconf(_SC_PAGESIZE);
	unsigned char *pages = mmap(NULL, 2 * (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	socklen_t *length = (socklen_t *)(void *)(pages + page - sizeof *length);

	must("munmap", munmap(pages + page, (size_t)page));
	for (int option = 0; option < options_end(level); option++) {
		char what[10][64];
		struct subject on;
		int rc[10], n = 0;

		if (is_netfilter(level, option) || is_not_carried(level, option, true) || is_not_carried(level, option, false))
			continue;
		on = subject(kind);
#define TRY(name, call)                                                                   \
	do {                                                                              \
		rc[n] = (call) < 0 ? errno : 0;                                           \
		snprintf(what[n], sizeof *what, "%s %s", name, error_name(rc[n]));        \
		n++;                                                                      \
	} while (0)
		TRY("set NULL 4", setsockopt(on.fd, level, option, NULL, 4));
		TRY("3", setsockopt(on.fd, level, option, NULL, 3));
		TRY("16", setsockopt(on.fd, level, option, NULL, 16));
		memset(pages + page - 4, 0, 4);
		TRY("set end 4", setsockopt(on.fd, level, option, pages + page - 4, 4));
		TRY("8", setsockopt(on.fd, level, option, pages + page - 4, 8));
		TRY("200", setsockopt(on.fd, level, option, pages + page - 4, 200));
		*length = 4;
		TRY("get NULL 4", getsockopt(on.fd, level, option, NULL, length));
		*length = 0;
		TRY("0", getsockopt(on.fd, level, option, NULL, length));
		*length = 200;
		TRY("200", getsockopt(on.fd, level, option, pages + page, length));
		TRY("without length", getsockopt(on.fd, level, option, pages, NULL));
#undef TRY
		OBSERVE("%s %s %s %s, %s %s %s, %s %s %s, %s", name_of(level, option), what[0], what[1], what[2], what[3], what[4],
		        what[5], what[6], what[7], what[8], what[9]);
		done_with(on);
	}
}

#define MATRIX(kind, KIND)                                                                \
	MATRIX_OF(kind, KIND, socket, SOL_SOCKET)                                         \
	MATRIX_OF(kind, KIND, tcp, IPPROTO_TCP)                                           \
	MATRIX_OF(kind, KIND, udp, IPPROTO_UDP)                                           \
	MATRIX_OF(kind, KIND, ip, IPPROTO_IP)                                             \
	MATRIX_OF(kind, KIND, ipv6, IPPROTO_IPV6)

#define MATRIX_LISTENING(kind, KIND, level, LEVEL)                                        \
	SCENARIO(option_matrix, get_listening_##kind##_##level)                           \
	{                                                                                 \
		get_all(LISTENING + KIND, LEVEL, 0);                                      \
	}                                                                                 \
	SCENARIO(option_matrix, set_listening_##kind##_##level)                           \
	{                                                                                 \
		set_all(LISTENING + KIND, LEVEL, one());                                  \
	}

MATRIX_LISTENING(tcp4, TCP4, socket, SOL_SOCKET)
MATRIX_LISTENING(tcp4, TCP4, tcp, IPPROTO_TCP)
MATRIX_LISTENING(tcp4, TCP4, ip, IPPROTO_IP)
MATRIX_LISTENING(tcp6, TCP6, socket, SOL_SOCKET)
MATRIX_LISTENING(tcp6, TCP6, tcp, IPPROTO_TCP)
MATRIX_LISTENING(tcp6, TCP6, ipv6, IPPROTO_IPV6)

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
