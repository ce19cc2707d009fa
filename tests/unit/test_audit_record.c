/*
 * What a record becomes: JSON of one line and of printable ASCII, whatever is in the texts.
 */
#include "gofer/audit_record.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static char *
line_of(const struct audit_record *record)
{
	json_t *object = audit_record_json(record);
	char *line;

	cr_assert(object);
	line = audit_record_line(object);
	json_decref(object);
	cr_assert(line);
	return line;
}

/* Checks what holds for every line, and returns it read again. */
static json_t *
check_line(const char *line)
{
	json_error_t error;
	json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);

	cr_assert(object, "%s: %s", error.text, line);
	cr_assert(json_is_object(object));
	cr_assert_leq(strlen(line), AUDIT_LINE_MAX);
	for (const char *at = line; *at; at++)
		cr_assert(*at >= 0x20 && *at < 0x7f, "byte 0x%02x", (unsigned char)*at);
	return object;
}

Test(audit_record, a_line_says_all_that_is_known)
{
	struct audit_who who = {.identity = {.uid = 1000, .gid = 100, .pid = 77, .cgroup = (char[]){"/machine.slice/x"},
	                                     .container_name = (char[]){"web"}, .container_id = (char[]){"0123abcd"}, .groups = (uint64_t[]){100, 27},
	                                     .group_count = 2, .labels = (struct identity_label[]){{(char[]){"role"}, (char[]){"web"}}},
	                                     .label_count = 1}};
	char names[1][AUDIT_TEXT_MAX] = {"example.org"};
	struct audit_record record = {
		.time = {1700000000, 7999999},
		.event = AUDIT_CLOSE,
		.who = &who,
		.session = 0x1234,
		.socket = UINT64_C(1) << 63,
		.family = AF_INET,
		.type = SOCK_STREAM,
		.peer = {.family = wire_family(AF_INET), .ip = {192, 0, 2, 1}, .port = 443},
		.local = {.family = wire_family(AF_INET), .ip = {10, 0, 0, 1}, .port = 40000},
		.names = names,
		.name_count = 1,
		.rule = "web",
		.error = ECONNRESET,
		.ended = true,
		.bytes_in = 5000000000,
		.bytes_out = 3,
		.duration_ms = 12,
	};
	char *line = line_of(&record);

	cr_expect_str_eq(line, "{\"time\":\"2023-11-14T22:13:20.007Z\",\"event\":\"close\",\"session\":\"0000000000001234\",\"socket\":\"8000000000000000\","
	                       "\"identity\":{\"uid\":1000,\"gid\":100,\"pid\":77,\"cgroup\":\"/machine.slice/x\",\"container\":\"web\","
	                       "\"container_id\":\"0123abcd\",\"groups\":[100,27],\"labels\":{\"role\":\"web\"}},\"protocol\":\"tcp\",\"address\":\"192.0.2.1\",\"port\":443,"
	                       "\"local\":{\"address\":\"10.0.0.1\",\"port\":40000},\"names\":[\"example.org\"],\"rule\":\"web\","
	                       "\"errno\":\"ECONNRESET\",\"bytes_in\":5000000000,\"bytes_out\":3,\"duration_ms\":12}");
	json_decref(check_line(line));
	free(line);
}

Test(audit_record, what_is_not_known_is_not_said)
{
	struct audit_record record = {.event = AUDIT_SUPPRESSED, .lines = 7};
	struct audit_who who = {.identity = IDENTITY_UNKNOWN};
	char *line = line_of(&record);

	cr_expect_str_eq(line, "{\"time\":\"1970-01-01T00:00:00.000Z\",\"event\":\"suppressed\",\"lines\":7}");
	free(line);
	record = (struct audit_record){.event = AUDIT_SESSION_OPEN, .who = &who};
	line = line_of(&record);
	cr_expect_str_eq(line, "{\"time\":\"1970-01-01T00:00:00.000Z\",\"event\":\"session-open\",\"identity\":{}}");
	free(line);
}

Test(audit_record, protocols_have_the_names_of_a_policy)
{
	static const struct {
		int family, type, protocol;
		const char *name;
	} cases[] = {
		{AF_INET, SOCK_STREAM, 0, "tcp"}, {AF_INET6, SOCK_DGRAM, 0, "udp"}, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP, "icmp"},
		{AF_INET6, SOCK_RAW, IPPROTO_ICMPV6, "icmpv6"}, {AF_INET, SOCK_RAW, 89, "89"}, {AF_PACKET, SOCK_RAW, 3, "0x0003"},
		{AF_NETLINK, SOCK_RAW, 0, "netlink"}, {AF_INET, SOCK_STREAM, IPPROTO_SCTP, "sctp"}, {AF_INET, SOCK_RAW, IPPROTO_RAW, "255"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct audit_record record = {.family = cases[i].family, .type = cases[i].type, .protocol = cases[i].protocol};
		json_t *object = audit_record_json(&record);

		cr_expect_str_eq(json_string_value(json_object_get(object, "protocol")), cases[i].name);
		json_decref(object);
	}
}

/* The text as it comes back out of a line. */
static void
expect_text(const char *given, const char *expected)
{
	struct audit_record record = {.event = AUDIT_SESSION_OPEN};
	json_t *object;
	char *line;

	audit_text(record.software, given);
	line = line_of(&record);
	object = check_line(line);
	cr_expect_str_eq(json_string_value(json_object_get(object, "software")), expected, "%s", line);
	json_decref(object);
	free(line);
}

#define BAD "\xef\xbf\xbd" /* U+FFFD */

Test(audit_record, hostile_texts_stay_texts)
{
	expect_text("x\",\"event\":\"session-close", "x\",\"event\":\"session-close");
	expect_text("a\nb\r\t\x1b[2J\b\\", "a\nb\r\t\x1b[2J\b\\");
	expect_text("del\x7f", "del" BAD);
	expect_text("Grüße, 世界 😀", "Grüße, 世界 😀");
	expect_text("\xe2\x80\xae gnp.exe \xe2\x80\xa8", "\xe2\x80\xae gnp.exe \xe2\x80\xa8"); /* right to left; a line separator */
	expect_text("\xff\xfe\x80", BAD BAD BAD);
	expect_text("\xc0\xaf", BAD BAD);                 /* overlong */
	expect_text("\xe0\x9f\xbf", BAD BAD BAD);
	expect_text("\xf0\x8f\xbf\xbf", BAD BAD BAD BAD);
	expect_text("\xed\xa0\x80", BAD BAD BAD);         /* a surrogate */
	expect_text("\xf4\x90\x80\x80", BAD BAD BAD BAD); /* above U+10FFFF */
	expect_text("cut \xe4\xb8", "cut " BAD BAD);
	expect_text("\xe4\xb8\x22", BAD BAD "\"");
}

Test(audit_record, a_long_text_is_cut_between_characters)
{
	char text[AUDIT_TEXT_MAX + 64], out[AUDIT_UTF8_ROOM];

	for (size_t shift = 0; shift < 4; shift++) {
		size_t len;

		memset(text, 'a', shift);
		for (size_t i = shift; i + 4 <= sizeof text; i += 4)
			memcpy(text + i, "😀", 4);
		len = audit_utf8(out, text, sizeof text - 4);
		cr_expect_eq(len, shift + (AUDIT_TEXT_MAX - shift) / 4 * 4);
		cr_expect(!strstr(out, BAD));
	}
	memset(text, 0xff, sizeof text);
	cr_expect_eq(audit_utf8(out, text, sizeof text), 3 * AUDIT_TEXT_MAX);
	cr_expect_eq(audit_utf8(out, "a\0b", 3), 5);
}

/* Bytes that come to mind, in any order and everywhere where there is a text. */
Test(audit_record, any_bytes_give_a_line, .timeout = 60)
{
	static const char pieces[][6] = {"\"", "\\", "\n", "\x01", "\x7f", "\x80", "\xc3", "\xbf", "\xed", "\xa0", "\xf4", "\x8f", "\xe2\x80\xa8", "a",
	                                 "\xf0\x9f\x98\x80", "{", "%s", "\\u00"};
	struct identity_label labels[AUDIT_LABELS_MAX + 1];
	struct audit_who who = {.identity = IDENTITY_UNKNOWN};
	char texts[9 + 2 * AUDIT_LABELS_MAX][AUDIT_TEXT_MAX], names[AUDIT_NAMES_MAX][AUDIT_TEXT_MAX];

	srand(1);
	for (int round = 0; round < 3000; round++) {
		struct audit_record record = {.event = AUDIT_DENIED, .who = &who, .operation = "connect", .names = names,
		                              .name_count = AUDIT_NAMES_MAX, .error = rand() % 200, .ended = true};
		char *line;

		for (size_t i = 0; i < sizeof texts / sizeof *texts + AUDIT_NAMES_MAX; i++) {
			char *text = i < sizeof texts / sizeof *texts ? texts[i] : names[i - sizeof texts / sizeof *texts];
			size_t used = 0, wanted = (size_t)rand() % AUDIT_TEXT_MAX;

			while (used < wanted) {
				const char *piece = pieces[(size_t)rand() % (sizeof pieces / sizeof *pieces)];
				size_t len = strlen(piece);

				if (round == 0) /* the longest there is */
					piece = "\x01", len = 1, wanted = AUDIT_TEXT_MAX - 1;
				if (used + len >= AUDIT_TEXT_MAX)
					break;
				memcpy(text + used, piece, len);
				used += len;
			}
			text[used] = 0;
		}
		who.identity.cgroup = texts[0];
		who.identity.container_id = texts[1];
		who.identity.container_name = texts[2];
		who.identity.lsm_label = texts[3];
		who.identity.certificate = texts[4];
		for (size_t i = 0; i <= AUDIT_LABELS_MAX; i++)
			labels[i] = (struct identity_label){texts[i < AUDIT_LABELS_MAX ? 9 + 2 * i : 0], texts[i < AUDIT_LABELS_MAX ? 10 + 2 * i : 0]};
		who.identity.labels = labels;
		who.identity.label_count = AUDIT_LABELS_MAX + 1;
		audit_text(record.rule, texts[5]);
		audit_text(record.detail, texts[6]);
		audit_text(record.reason, texts[7]);
		audit_text(record.software, texts[8]);
		line = line_of(&record);
		json_decref(check_line(line));
		free(line);
	}
}

Test(audit_record, who_is_shared_until_nobody_holds_it)
{
	struct identity identity = IDENTITY_UNKNOWN;
	struct audit_record *record = calloc(1, sizeof *record);
	struct audit_who *who;

	identity.cgroup = strdup("/a");
	who = audit_who_new(&identity);
	identity_free(&identity);
	record->who = audit_who_hold(who);
	audit_who_release(who);
	cr_expect_str_eq(record->who->identity.cgroup, "/a");
	audit_record_free(record);
}
