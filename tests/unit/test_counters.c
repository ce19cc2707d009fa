/*
 * The table of counters, what the gofer counts, and how it is asked: a session built by hand, and fixed texts for the host's files.
 */
#include "gofer/counters.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gofer/operations.h"

/* ---- the table ---------------------------------------------------------------------------------- */

static bool
is_metric_name(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_' && *name != ':')
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '_' && *name != ':')
			return false;
	return true;
}

/* key="value", once: no comma, no escape. */
static bool
is_label(const char *label)
{
	size_t key = strcspn(label, "="), len = strlen(label);

	for (size_t i = 0; i < key; i++)
		if (!islower((unsigned char)label[i]) && label[i] != '_')
			return false;
	return key && len > key + 3 && label[key + 1] == '"' && label[len - 1] == '"' && strcspn(label + key + 2, "\"\\,\n") == len - key - 3;
}

Test(counters, every_row_is_complete)
{
	for (int id = 0; id < COUNTER_COUNT; id++) {
		const struct counter *row = &counters[id];

		cr_assert_not_null(row->name, "row %d is missing", id);
		cr_expect(is_metric_name(row->name), "'%s' is no name for Prometheus", row->name);
		cr_expect_eq(strncmp(row->name, "splitsock_", 10), 0, "%s", row->name);
		cr_expect(!*row->labels || is_label(row->labels), "%s{%s}", row->name, row->labels);
		cr_expect(*row->help && isupper((unsigned char)*row->help) && !strpbrk(row->help, "\n\\"), "%s: help '%s'", row->name,
		          row->help);
		cr_expect(row->help[strlen(row->help) - 1] != '.', "%s: help '%s'", row->name, row->help);
		cr_expect(*row->unit, "%s has no unit", row->name);
		cr_expect(*row->source, "%s has no source", row->name);
		cr_expect_neq(row->number, 0, "%s has no number", row->name);
	}
}

Test(counters, only_totals_are_called_total)
{
	for (int id = 0; id < COUNTER_COUNT; id++) {
		const char *name = counters[id].name;
		size_t len = strlen(name);
		bool total = len > 6 && strcmp(name + len - 6, "_total") == 0;

		cr_expect_eq(total, counters[id].kind == COUNTER_TOTAL, "%s", name);
	}
}

Test(counters, names_and_numbers_are_unique)
{
	for (int a = 0; a < COUNTER_COUNT; a++)
		for (int b = a + 1; b < COUNTER_COUNT; b++) {
			bool same_name = strcmp(counters[a].name, counters[b].name) == 0;

			cr_expect(!same_name || strcmp(counters[a].labels, counters[b].labels) != 0, "%s{%s} is there twice", counters[a].name,
			          counters[a].labels);
			cr_expect_neq(counters[a].number, counters[b].number, "%s and %s", counters[a].name, counters[b].name);
			/* Prometheus has one HELP and TYPE a name, and wants its samples together. */
			if (!same_name)
				continue;
			cr_expect_str_eq(counters[a].help, counters[b].help, "%s", counters[a].name);
			cr_expect_eq(counters[a].kind, counters[b].kind, "%s", counters[a].name);
			cr_expect_str_eq(counters[a].unit, counters[b].unit, "%s", counters[a].name);
			cr_expect(*counters[a].labels && *counters[b].labels, "%s", counters[a].name);
			for (int between = a + 1; between < b; between++)
				cr_expect_str_eq(counters[between].name, counters[a].name, "%s is torn apart", counters[a].name);
		}
}

Test(counters, scopes_are_parts_of_the_table)
{
	static const struct {
		int first, count;
		enum counter_scope scope;
	} parts[] = {
		{COUNTERS_HOST_FIRST, COUNTERS_HOST_COUNT, COUNTER_HOST},
		{COUNTERS_GOFER_FIRST, COUNTERS_GOFER_COUNT, COUNTER_GOFER},
		{COUNTERS_SESSION_FIRST, COUNTERS_SESSION_COUNT, COUNTER_SESSION},
		{COUNTERS_CLIENT_FIRST, COUNTERS_CLIENT_COUNT, COUNTER_CLIENT},
	};
	int total = 0;

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		for (int id = parts[i].first; id < parts[i].first + parts[i].count; id++)
			cr_expect_eq(counters[id].scope, parts[i].scope, "%s", counters[id].name);
		total += parts[i].count;
	}
	cr_assert_eq(total, COUNTER_COUNT);
	cr_assert_eq(COUNTERS_HOST_COUNT, 21, "netstack has 21");
}

Test(counters, numbers_are_found)
{
	for (int id = 0; id < COUNTER_COUNT; id++)
		cr_expect_eq(counter_by_number(counters[id].number), id);
	cr_assert_eq(counter_by_number(0), -1);
	cr_assert_eq(counter_by_number(UINT32_MAX), -1);
}

/* A number is for ever. What was once published is listed here; add to it, never change it. */
Test(counters, numbers_stay)
{
	static const struct {
		uint32_t number;
		const char *name;
	} published[] = {
		{1, "splitsock_host_unknown_protocol_received_packets_total"},
		{21, "splitsock_host_udp_packets_sent_total"},
		{101, "splitsock_sessions"},
		{200, "splitsock_sockets"},
		{210, "splitsock_stream_bytes_total"},
		{225, "splitsock_round_trips_total"},
		{261, "splitsock_operations_total"},
		{304, "splitsock_client_round_trips_total"},
	};

	for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
		int id = counter_by_number(published[i].number);

		cr_assert_geq(id, 0);
		cr_expect_str_eq(counters[id].name, published[i].name);
	}
}

/* Whole words of the sources, so that a renamed function is noticed. */
static bool
defined_in(const char *folder, const char *function)
{
	char command[512];

	snprintf(command, sizeof command, "grep -rqE '^%s\\(|^(run|main)\\(.*%s' --include='*.c' '%s/%s'", function, function, SOURCE_DIR,
	         folder);
	return system(command) == 0;
}

Test(counters, sources_are_functions_that_there_are, .timeout = 60)
{
	for (int id = COUNTERS_GOFER_FIRST; id < COUNTER_COUNT; id++)
		cr_expect(defined_in(counters[id].scope == COUNTER_CLIENT ? "sentry_side" : "gofer", counters[id].source),
		          "%s: there is no %s()", counters[id].name, counters[id].source);
}

/* An operation that is added needs a counter. */
Test(counters, every_operation_has_one)
{
	static struct gofer gofer;
	static struct session session = {.gofer = &gofer};

	for (unsigned i = 0; i < splitsock__op__descriptor.n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &splitsock__op__descriptor.fields[i];
		uint64_t values[COUNTER_COUNT] = {0};
		char label[64];
		int counted = 0;

		session.counters = (struct session_counters){0};
		count_operation(&session, field->id);
		counters_of_session(&session, values);
		snprintf(label, sizeof label, "operation=\"%s\"", field->name);
		for (int id = 0; id < COUNTER_COUNT; id++) {
			if (!values[id])
				continue;
			counted++;
			cr_expect_str_eq(counters[id].name, "splitsock_operations_total");
			cr_expect_str_eq(counters[id].labels, label);
		}
		cr_expect_eq(counted, 1, "operation %s has %d counters: add a row to proto/counters.h and gofer/counters.c", field->name, counted);
	}
	session.counters = (struct session_counters){0};
	count_operation(&session, 0);
	count_operation(&session, 12345);
	for (int i = 0; i < COUNTERS_SESSION_COUNT; i++)
		cr_assert_eq(session.counters.value[i], 0, "no operation counts as none");
}

/* ---- the manual --------------------------------------------------------------------------------- */

#define PAGE SOURCE_DIR "/deploy/man/splitsock-counters.7"
#define BEGIN ".\\\" begin: "
#define END ".\\\" end\n"

static void
write_sources(FILE *out, const char *source)
{
	const char *plus = "From";

	while (*source) {
		size_t len = strcspn(source, " "), minus = *source == '-';

		fprintf(out, "%s %.*s", minus ? " \\-" : plus, (int)(len - minus), source + minus);
		plus = " +";
		source += len + (source[len] == ' ');
	}
	fprintf(out, ".\n");
}

static void
write_section(FILE *out, const char *heading, const char *introduction, int first, int count)
{
	fprintf(out, ".Ss %s\n%s\n.Bl -tag -width Ds\n", heading, introduction);
	for (int id = first; id < first + count; id++) {
		const struct counter *row = &counters[id];
		bool more = id > first && strcmp(row->name, row[-1].name) == 0;

		if (!more)
			fprintf(out, ".It Li %s\n%s.\n", row->name, row->help);
		if (*row->labels)
			fprintf(out, more ? ".Li {%s}\n" : "With\n.Li {%s}\n", row->labels);
		if (row->scope == COUNTER_HOST)
			write_sources(out, row->source);
	}
	fprintf(out, ".El\n");
}

/* What the page has to say between its marks, malloc()ed. */
static char *
manual(void)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	write_section(out, "The host's",
	              "Those of the network namespace that the gofer is in, out of\n.Pa /proc/net/snmp ,\n.Pa netstat\nand\n.Pa snmp6 :\n"
	              "the counters of gVisor's netstack, from the fields that come closest.\n"
	              "A client may read them where the policy grants it\n.Li sockets: open .",
	              COUNTERS_HOST_FIRST, COUNTERS_HOST_COUNT);
	write_section(out, "The gofer's", "For\n.Xr splitsock-ctl 1\nalone.", COUNTERS_GOFER_FIRST, COUNTERS_GOFER_COUNT);
	write_section(out, "A session's", "Each session has its own, and the gofer adds them up, those of sessions that have ended, too.",
	              COUNTERS_SESSION_FIRST, COUNTERS_SESSION_COUNT);
	write_section(out, "The library's", "For\n.Fn ss_stats\nalone.", COUNTERS_CLIENT_FIRST, COUNTERS_CLIENT_COUNT);
	fclose(out);
	return text;
}

Test(counters, the_manual_lists_them)
{
	static char page[1 << 18];
	FILE *file = fopen(PAGE, "re");
	size_t len = file ? fread(page, 1, sizeof page - 1, file) : 0;
	char *expected = manual(), *begin, *end;

	cr_assert_gt(len, 0, PAGE);
	fclose(file);
	begin = strstr(page, BEGIN);
	cr_assert_not_null(begin);
	begin = strchr(begin, '\n') + 1;
	end = strstr(begin, END);
	cr_assert_not_null(end);
	if (getenv("SPLITSOCK_TEST_WRITE")) {
		file = fopen(PAGE, "we");
		cr_assert_not_null(file);
		fprintf(file, "%.*s%s%s", (int)(begin - page), page, expected, end);
		fclose(file);
	} else {
		cr_assert(strlen(expected) == (size_t)(end - begin) && memcmp(expected, begin, strlen(expected)) == 0,
		          "%s is not what proto/counters.h says: write it as its comment says", PAGE);
	}
	free(expected);
}

/* ---- the host's --------------------------------------------------------------------------------- */

static const char snmp[] =
	"Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes\n"
	"Ip: 2 64 100 3 5 7 11 90 80 13 17\n"
	"Icmp: InMsgs InErrors\n"
	"Icmp: 1 2\n"
	"Tcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors\n"
	"Tcp: 1 -1 19 23 29 31 2 1000 2000 37 41 43 1\n"
	"Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n"
	"Udp: 400 47 60 500 50 0 1 0 4\n"
	"UdpLite: InDatagrams NoPorts\n"
	"UdpLite: 9999 9999\n";
static const char netstat[] = "TcpExt: SyncookiesSent EmbryonicRsts PruneCalled\nTcpExt: 1 53 2\n"
			      "IpExt: InNoRoutes InTruncatedPkts\nIpExt: 1 59\n";
static const char snmp6[] = "Ip6InReceives                   \t1000\nIp6InDelivers\t900\nIp6OutRequests 800\nIp6InHdrErrors 1\n"
			    "Udp6InDatagrams  6\nUdp6InErrors 5\nUdp6RcvbufErrors 3\nUdpLite6InDatagrams 7777\n";

Test(counters, fields_of_the_host)
{
	static const struct {
		enum counter_id id;
		int64_t value;
	} expected[] = {
		{COUNTER_HOST_UNKNOWN_PROTOCOL, 7},
		{COUNTER_HOST_MALFORMED, 3 + 59 + 1},
		{COUNTER_HOST_DROPPED, 11},
		{COUNTER_HOST_IP_RECEIVED, 1100},
		{COUNTER_HOST_IP_INVALID_ADDRESSES, 5},
		{COUNTER_HOST_IP_DELIVERED, 990},
		{COUNTER_HOST_IP_SENT, 880},
		{COUNTER_HOST_IP_SEND_ERRORS, 30},
		{COUNTER_HOST_TCP_ACTIVE, 19},
		{COUNTER_HOST_TCP_PASSIVE, 23},
		{COUNTER_HOST_TCP_FAILED, 29},
		{COUNTER_HOST_TCP_VALID, 1000 - 41},
		{COUNTER_HOST_TCP_INVALID, 41},
		{COUNTER_HOST_TCP_SENT, 2037},
		{COUNTER_HOST_TCP_RESETS_SENT, 43},
		{COUNTER_HOST_TCP_RESETS_RECEIVED, 31 + 53},
		{COUNTER_HOST_UDP_RECEIVED, 406},
		{COUNTER_HOST_UDP_UNKNOWN_PORT, 47},
		{COUNTER_HOST_UDP_BUFFER_ERRORS, 53},
		{COUNTER_HOST_UDP_MALFORMED, 60 - 50 - 4 + 5 - 3},
		{COUNTER_HOST_UDP_SENT, 500},
	};
	int64_t host[COUNTERS_HOST_COUNT] = {0};

	cr_assert_eq(sizeof expected / sizeof *expected, COUNTERS_HOST_COUNT, "all are looked at");
	counters_parse_host(host, HOST_SNMP, snmp);
	counters_parse_host(host, HOST_NETSTAT, netstat);
	counters_parse_host(host, HOST_SNMP6, snmp6);
	for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
		cr_expect_eq(host[expected[i].id], expected[i].value, "%s: %lld", counters[expected[i].id].name, (long long)host[expected[i].id]);
}

/* Cut anywhere, and with a byte of it changed to anything. */
Test(counters, any_text_is_parsed_without_harm, .timeout = 60)
{
	static const char *const texts[HOST_FILES] = {snmp, netstat, snmp6};

	for (int file = 0; file < HOST_FILES; file++)
		for (int as = 0; as < HOST_FILES; as++)
			for (size_t cut = 0; cut <= strlen(texts[file]); cut++) {
				int64_t host[COUNTERS_HOST_COUNT] = {0};
				char *text = strndup(texts[file], cut);

				counters_parse_host(host, as, text);
				if (cut) {
					text[cut * 7 % cut] = "\n: -.\t\0x\xff"[cut % 9];
					text[cut / 2] = "\n: -.\t\0x\xff"[cut % 8];
					counters_parse_host(host, as, text);
				}
				free(text);
			}
}

Test(counters, this_kernel_has_every_field)
{
	uint64_t values[COUNTER_COUNT] = {0};

	cr_assert(counters_read_host(values));
	cr_assert_gt(values[COUNTER_HOST_IP_RECEIVED], 0, "this host has never received a packet?");
	for (int id = 0; id < COUNTERS_HOST_COUNT; id++) {
		char fields[512], *save = NULL;

		snprintf(fields, sizeof fields, "%s", counters[id].source);
		for (char *field = strtok_r(fields, " ", &save); field; field = strtok_r(NULL, " ", &save)) {
			char command[256], *dot = strchr(field, '.');

			if (*field == '-')
				field++;
			if (dot)
				*dot = 0;
			if (dot)
				snprintf(command, sizeof command, "grep -hqw '^%s: .*%s' /proc/net/snmp /proc/net/netstat", field, dot + 1);
			else
				snprintf(command, sizeof command, "grep -qw '^%s' /proc/net/snmp6", field);
			cr_expect_eq(system(command), 0, "%s: %s: %s", counters[id].name, field, command);
		}
	}
}

/* However often it is asked for, it is read ten times a second. */
Test(counters, the_host_s_files_are_not_read_for_every_question)
{
	static struct gofer asked;
	uint64_t values[COUNTER_COUNT] = {0};

	cr_assert(counters_of_host(&asked, values));
	asked.host_counters.value[COUNTER_HOST_IP_RECEIVED] = 7;
	cr_assert(counters_of_host(&asked, values));
	cr_assert_eq(values[COUNTER_HOST_IP_RECEIVED], 7, "it was read again");
	asked.host_counters.read_ms -= HOST_AGE_MS;
	cr_assert(counters_of_host(&asked, values));
	cr_assert_gt(values[COUNTER_HOST_IP_RECEIVED], 7, "it is too old");
}

/* ---- asking ------------------------------------------------------------------------------------- */

/* As gofer/session.c has it. */
struct outgoing {
	struct outgoing *next;
	uint8_t *data;
	size_t len, off;
};

static struct gofer gofer;
static struct session session;
static const struct policy_entry open_entry = {.name = "open", .sockets = true};

static void
setup(void)
{
	gofer = (struct gofer){0};
	session = (struct session){.gofer = &gofer, .entry = &open_entry, .state = SESSION_READY, .sending = true, .channel = {.fd = -1}};
	pthread_mutex_init(&session.outbox_lock, NULL);
	session.outbox_tail = &session.outbox;
}

static bool want_host = true;

/* Asks with `ops` Stats operations; fills values if there is a reply. */
static bool
ask(struct call *call, size_t ops, uint64_t handle, bool no_reply, uint64_t *values, bool *host)
{
	Splitsock__Stats stats = SPLITSOCK__STATS__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT, *pointers[2] = {&op, &op};
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	struct codec_arena arena = {0};
	struct frame frame;
	size_t need;
	Splitsock__Reply *reply;
	struct outgoing *first;
	bool good;

	op.op_case = SPLITSOCK__OP__OP_STATS;
	op.stats = &stats;
	stats.host = want_host;
	request.ops = pointers;
	request.n_ops = ops;
	request.handle = handle;
	request.no_reply = no_reply;
	cr_assert(stats_wanted(&request));
	good = stats_run(call, &request);
	first = session.outbox;
	cr_assert_eq(good, first != NULL);
	if (!first)
		return false;
	cr_assert_eq(frame_parse(&frame, first->data, first->len, &need), (ssize_t)first->len);
	cr_assert_eq(frame.id, call->id);
	reply = decode_reply(&arena, &frame);
	cr_assert(reply && reply->n_results == 1 && reply->results[0]->counters);
	counters_from_message(values, reply->results[0]->counters);
	*host = reply->results[0]->counters->host;
	codec_free(&arena);
	free(first->data);
	free(first);
	session.outbox = NULL;
	session.outbox_tail = &session.outbox;
	return true;
}

Test(counters, a_client_reads_its_own_and_the_hosts, .init = setup)
{
	struct session other = {.gofer = &gofer};
	struct call call = {.session = &session, .id = 77};
	uint64_t values[COUNTER_COUNT];
	bool host;

	count_session(&session, COUNTER_STREAM_BYTES_UP, 5);
	count_session(&other, COUNTER_STREAM_BYTES_UP, 1000);
	count_gofer(&gofer, COUNTER_SESSIONS_OPENED);
	cr_assert(ask(&call, 1, 0, false, values, &host));
	cr_assert(host);
	cr_expect_gt(values[COUNTER_HOST_IP_RECEIVED], 0);
	cr_expect_eq(values[COUNTER_STREAM_BYTES_UP], 5, "another session's bytes are not told");
	cr_expect_eq(values[COUNTER_SESSIONS_OPENED], 0, "nor what there is of other sessions");
	cr_expect_eq(values[COUNTER_OPERATION_STATS], 1);
	/* Only who asks for them gets the host's. */
	want_host = false;
	cr_assert(ask(&call, 1, 0, false, values, &host));
	cr_expect_not(host);
	cr_expect_eq(values[COUNTER_HOST_IP_RECEIVED], 0);
	cr_expect_eq(values[COUNTER_STREAM_BYTES_UP], 5);
	/* The gofer's own view has both. */
	memset(values, 0, sizeof values);
	counters_of_gofer(&gofer, values);
	cr_expect_eq(values[COUNTER_STREAM_BYTES_UP], 1005);
	cr_expect_eq(values[COUNTER_SESSIONS_OPENED], 1);
}

Test(counters, without_policy_the_host_is_not_told, .init = setup)
{
	struct call call = {.session = &session, .id = 78};
	uint64_t values[COUNTER_COUNT];
	bool host;

	session.entry = NULL;
	cr_assert(ask(&call, 1, 0, false, values, &host));
	cr_assert_not(host);
	for (int id = 0; id < COUNTERS_HOST_COUNT; id++)
		cr_assert_eq(values[id], 0);
}

Test(counters, any_other_form_is_a_breach, .init = setup)
{
	struct call call = {.session = &session, .id = 79}, channel = {.session = &session, .id = 80, .on_channel = true};
	uint64_t values[COUNTER_COUNT];
	bool host;

	cr_expect_not(ask(&call, 2, 0, false, values, &host), "two");
	cr_expect_not(ask(&call, 1, 7, false, values, &host), "of a socket");
	cr_expect_not(ask(&call, 1, 0, true, values, &host), "without an answer");
	cr_expect_not(ask(&channel, 1, 0, false, values, &host), "on the side channel");
}

/* Values of all sizes, and numbers that this version does not know. */
Test(counters, messages_carry_every_value)
{
	static uint64_t sent[COUNTER_COUNT], got[COUNTER_COUNT];
	static Splitsock__Counter messages[COUNTER_COUNT + 1], *pointers[COUNTER_COUNT + 1];
	Splitsock__Counters told = SPLITSOCK__COUNTERS__INIT;

	for (int id = 0; id < COUNTER_COUNT; id++)
		sent[id] = id % 3 ? UINT64_MAX >> (id % 64) : 0;
	counters_to_message(&told, messages, pointers, 0, COUNTER_COUNT, sent);
	cr_assert_lt(told.n_counters, COUNTER_COUNT, "zeroes are left out");
	splitsock__counter__init(&messages[told.n_counters]);
	messages[told.n_counters].number = 4000000;
	messages[told.n_counters].value = 1;
	pointers[told.n_counters] = &messages[told.n_counters];
	told.n_counters++;
	memset(got, 0xff, sizeof got);
	counters_from_message(got, &told);
	cr_assert_arr_eq(got, sent, sizeof sent);
	counters_from_message(got, NULL);
	for (int id = 0; id < COUNTER_COUNT; id++)
		cr_assert_eq(got[id], 0);
}
