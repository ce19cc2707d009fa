#include "gofer/policy.h"

#include <criterion/criterion.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static struct policy open_policy;
static const struct policy_entry *open_entry;

static const struct policy_entry *
entry_of(const struct policy *policy, uint64_t uid)
{
	return policy_entry_for(policy, &(struct identity){.uid = uid, .gid = UINT64_MAX});
}

static void
setup(void)
{
	cr_assert_eq(policy_open(&open_policy), 0);
	open_entry = open_policy.entries;
}

static void
teardown(void)
{
	policy_free(&open_policy);
}

TestSuite(policy, .init = setup, .fini = teardown);

/* ---- entries ------------------------------------------------------------------------------------- */

Test(policy, the_first_entry_that_names_a_client_is_its)
{
	uint64_t few[] = {1000, 0}, others[] = {1001, 1000}, nobody[] = {UINT64_MAX};
	struct policy_entry entries[] = {
		{.name = (char[]){"unknown"}, .uids = nobody, .uid_count = 1},
		{.name = (char[]){"few"}, .uids = few, .uid_count = 2},
		{.name = (char[]){"others"}, .uids = others, .uid_count = 2},
		{.name = (char[]){"all"}, .any_user = true},
	};
	struct policy policy = {.entries = entries, .entry_count = 3};

	cr_expect_eq(entry_of(&policy, 1000), &entries[1]);
	cr_expect_eq(entry_of(&policy, 0), &entries[1]);
	cr_expect_eq(entry_of(&policy, 1001), &entries[2]);
	cr_expect_null(entry_of(&policy, 1002));
	cr_expect_null(entry_of(&policy, UINT64_MAX), "whom the kernel does not name is no user");
	policy.entry_count = 4;
	cr_expect_eq(entry_of(&policy, 1000), &entries[1]);
	cr_expect_eq(entry_of(&policy, 1002), &entries[3]);
	cr_expect_eq(entry_of(&policy, UINT64_MAX), &entries[3]);
	cr_expect_null(entry_of(&(struct policy){0}, 0));
}

Test(policy, open_names_everybody_and_grants_everything)
{
	static const uint8_t nothing[1];
	const struct packet_grant *grant = policy_packet(open_entry, "eth0", false);
	const struct interface_own own = {.has_mac = false};

	cr_assert(open_policy.open);
	cr_assert_eq(open_policy.entry_count, 1);
	cr_assert_eq(open_policy.ring_bytes, POLICY_RING_BYTES);
	cr_assert(open_policy.foreign_rings);
	cr_assert_eq(open_entry->packet_sockets, POLICY_PACKET_SOCKETS);
	cr_assert_str_eq(open_entry->name, "open");
	cr_assert_eq(entry_of(&open_policy, 1), open_entry);
	cr_assert_eq(entry_of(&open_policy, UINT64_MAX), open_entry);
	cr_assert_not_null(grant);
	cr_assert_eq(policy_packet(open_entry, "lo", true), grant);
	cr_assert_eq(grant->filter.len, 0);
	cr_assert_eq(grant->frames_per_second + grant->bytes_per_second, 0);
	cr_expect(policy_frame(grant, FRAME_SEND, nothing, 0, false, &own));
	cr_expect(policy_frame(grant, FRAME_RECEIVE, nothing, 0, true, &own));
	cr_expect(policy_raw_header(&open_entry->raw, AF_INET, nothing, 0, NULL, 0));
	cr_expect(policy_raw_header(&open_entry->raw, AF_INET6, nothing, 0, NULL, 0));
}

Test(policy, an_interface_has_its_own_grant_or_the_one_for_all)
{
	struct packet_grant grants[] = {{.interface = "*"}, {.interface = "eth0"}, {.interface = "eth1"}};
	struct policy_entry entry = {.packet = grants, .packet_count = 3};

	cr_expect_eq(policy_packet(&entry, "eth1", false), &grants[2]);
	cr_expect_eq(policy_packet(&entry, "eth0", false), &grants[1]);
	cr_expect_eq(policy_packet(&entry, "eth", false), &grants[0]);
	/* The loopback is named, whatever it is called, or it is not granted. */
	cr_expect_null(policy_packet(&entry, "lo", true));
	cr_expect_eq(policy_packet(&entry, "eth0", true), &grants[1]);
	entry.packet = grants + 1;
	entry.packet_count = 2;
	cr_expect_null(policy_packet(&entry, "eth", false));
	cr_expect_null(policy_packet(&entry, "*", false));
	cr_expect_null(policy_packet(NULL, "eth0", false));
}

/* ---- sockets ------------------------------------------------------------------------------------- */

Test(policy, who_has_no_entry_may_do_nothing)
{
	const struct policy_entry empty = {.name = (char[]){"empty"}};
	const struct policy_entry *entries[] = {NULL, &empty};

	for (int i = 0; i < 2; i++) {
		for (int family = -1; family < AF_MAX; family++)
			for (int type = 0; type <= SOCK_PACKET; type++)
				for (int protocol = 0; protocol < 256; protocol++)
					cr_assert_not(policy_allows_socket(entries[i], family, type, protocol));
		for (int operation = POLICY_CONNECT; operation <= POLICY_SEND; operation++)
			cr_assert_not(policy_allows(entries[i], operation, &(struct wire_address){.family = wire_family(AF_INET)}));
		cr_assert_not(policy_allows_host_counters(entries[i]));
	}
	cr_assert_not(policy_allows_option(NULL, SOL_SOCKET, SO_REUSEADDR, false));
}

static bool
is_inet(int family)
{
	return family == AF_INET || family == AF_INET6;
}

Test(policy, open_grants_exactly_the_families_that_are_offered)
{
	for (int family = -1; family <= AF_MAX; family++)
		for (int type = -1; type <= SOCK_PACKET; type++)
			for (int protocol = -1; protocol < 260; protocol++) {
				bool inet = is_inet(family) && (type == SOCK_STREAM || type == SOCK_DGRAM);
				bool raw = is_inet(family) && type == SOCK_RAW;
				bool route = family == AF_NETLINK && (type == SOCK_RAW || type == SOCK_DGRAM) && protocol == NETLINK_ROUTE;
				bool packet = family == AF_PACKET && (type == SOCK_RAW || type == SOCK_DGRAM);

				cr_assert_eq(policy_allows_socket(open_entry, family, type, protocol), inet || raw || route || packet,
				             "family %d type %d protocol %d", family, type, protocol);
			}
	/* A type with flags is none that a client can name: they must have been taken off before. */
	cr_assert_not(policy_allows_socket(open_entry, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
}

Test(policy, each_grant_is_for_its_own_sockets)
{
	struct packet_grant grant = {.interface = "eth0"};
	uint16_t numbers[] = {IPPROTO_ICMP, 89};
	const struct policy_entry entries[] = {
		{.sockets = true},
		{.raw = {.granted = true, .protocols = {.numbers = numbers, .count = 2}}},
		{.raw = {.granted = true, .protocols = {.numbers = numbers, .count = 2}, .header = true}},
		{.packet = &grant, .packet_count = 1},
	};

	for (int i = 0; i < 4; i++)
		for (int family = -1; family <= AF_MAX; family++)
			for (int type = -1; type <= SOCK_PACKET; type++)
				for (int protocol = -1; protocol < 260; protocol++) {
					bool number = protocol == IPPROTO_ICMP || protocol == 89, expected = false;

					if (is_inet(family) && (type == SOCK_STREAM || type == SOCK_DGRAM))
						expected = i == 0 ||
						           ((i == 1 || i == 2) && type == SOCK_DGRAM && family == AF_INET && protocol == IPPROTO_ICMP);
					else if (is_inet(family) && type == SOCK_RAW)
						expected = (i == 1 && number) || (i == 2 && (number || protocol == IPPROTO_RAW));
					else if (family == AF_NETLINK)
						expected = (type == SOCK_RAW || type == SOCK_DGRAM) && protocol == NETLINK_ROUTE;
					else if (family == AF_PACKET)
						expected = i == 3 && (type == SOCK_RAW || type == SOCK_DGRAM);
					cr_assert_eq(policy_allows_socket(&entries[i], family, type, protocol), expected,
					             "entry %d family %d type %d protocol %d", i, family, type, protocol);
				}
	cr_expect(policy_allows_host_counters(&entries[0]));
	for (int i = 1; i < 4; i++)
		cr_expect_not(policy_allows_host_counters(&entries[i]));
}

Test(policy, options_that_need_more_than_the_socket)
{
	uint16_t icmp = IPPROTO_ICMP;
	const struct policy_entry sockets = {.sockets = true}, raw = {.raw = {.granted = true, .protocols = {.numbers = &icmp, .count = 1}}};
	const struct policy_entry headers = {.raw = {.granted = true, .protocols.any = true, .header = true}};
	static const struct {
		int level, name;
		bool privileged, sockets, raw, headers;
	} rows[] = {
		{IPPROTO_IP, IP_HDRINCL, false, false, false, true},
		{IPPROTO_IPV6, 36 /* IPV6_HDRINCL */, false, false, false, true},
		{IPPROTO_IP, IP_FREEBIND, false, true, false, false},
		{IPPROTO_IPV6, 78 /* IPV6_FREEBIND */, false, true, false, false},
		{IPPROTO_IP, IP_TRANSPARENT, true, true, false, false},
		{IPPROTO_IPV6, IPV6_TRANSPARENT, true, true, false, false},
		{SOL_SOCKET, SO_MARK, true, true, false, false},
		{SOL_SOCKET, SO_BINDTODEVICE, true, true, true, true},
		{SOL_SOCKET, SO_RCVBUF, false, true, true, true},
		{IPPROTO_IP, IP_TTL, false, true, true, true},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cr_expect_eq(policy_allows_option(&sockets, rows[i].level, rows[i].name, rows[i].privileged), rows[i].sockets, "row %zu", i);
		cr_expect_eq(policy_allows_option(&raw, rows[i].level, rows[i].name, rows[i].privileged), rows[i].raw, "row %zu", i);
		cr_expect_eq(policy_allows_option(&headers, rows[i].level, rows[i].name, rows[i].privileged), rows[i].headers, "row %zu", i);
		cr_expect(policy_allows_option(open_entry, rows[i].level, rows[i].name, rows[i].privileged), "row %zu", i);
	}
}

Test(policy, addresses_are_for_who_has_any_sockets_but_no_netlink_peer_is)
{
	struct packet_grant grant = {.interface = "eth0"};
	const struct policy_entry entries[] = {{.sockets = true}, {.raw.granted = true}, {.packet = &grant, .packet_count = 1}};

	for (int i = 0; i < 3; i++)
		for (int operation = POLICY_CONNECT; operation <= POLICY_SEND; operation++) {
			bool bind = operation == POLICY_BIND;

			cr_assert(policy_allows(&entries[i], operation, &(struct wire_address){.family = wire_family(AF_INET6)}));
			cr_assert_eq(policy_allows(&entries[i], operation, &(struct wire_address){.netlink_pid = 7}), bind);
			cr_assert_eq(policy_allows(&entries[i], operation, &(struct wire_address){.netlink_groups = 1}), bind);
		}
}

/* ---- rates --------------------------------------------------------------------------------------- */

Test(policy, a_bucket_holds_one_second)
{
	struct token_bucket bucket = {0};

	for (int i = 0; i < 10; i++)
		cr_assert(bucket_take(&bucket, 10, 1, 5000));
	cr_assert_not(bucket_take(&bucket, 10, 1, 5000));
	cr_assert_not(bucket_take(&bucket, 10, 1, 5099));
	cr_assert(bucket_take(&bucket, 10, 1, 5100));
	cr_assert_not(bucket_take(&bucket, 10, 1, 5100));
	cr_assert_not(bucket_take(&bucket, 10, 1, 4000), "a clock that goes back gives nothing");
	cr_assert(bucket_take(&bucket, 10, 10, 3600000));
	cr_assert_not(bucket_take(&bucket, 10, 1, 3600000), "an hour's worth is not kept");
}

Test(policy, a_large_frame_passes_a_small_rate_in_time)
{
	struct token_bucket bucket = {.filled_ms = 1000};

	for (int64_t now = 1000; now < 16000; now += 100)
		cr_assert_not(bucket_take(&bucket, 100, 1500, now), "%lld", (long long)now);
	cr_assert(bucket_take(&bucket, 100, 1500, 16000));
	cr_assert_not(bucket_take(&bucket, 100, 1500, 16001));
}

Test(policy, a_bucket_knows_extremes)
{
	static const uint64_t values[] = {1, 2, 999, 1000, UINT64_MAX / 1000, UINT64_MAX / 1000 + 1, UINT64_MAX - 1, UINT64_MAX};
	static const int64_t times[] = {INT64_MIN, -1, 0, 1, 1000, INT64_MAX};

	cr_assert(bucket_take(&(struct token_bucket){0}, 0, UINT64_MAX, 0));
	for (int rate = 0; rate < 8; rate++)
		for (int amount = 0; amount < 8; amount++)
			for (int from = 0; from < 6; from++)
				for (int to = 0; to < 6; to++) {
					struct token_bucket bucket = {.filled_ms = times[from]};
					bool taken = bucket_take(&bucket, values[rate], values[amount], times[to]);

					if (to <= from)
						cr_assert_not(taken);
					else
						cr_assert(bucket.filled_ms == times[to]);
					if (from == 0 && to == 5 && amount <= rate)
						cr_assert(taken);
				}
}

/* ---- netlink ------------------------------------------------------------------------------------- */

struct request {
	_Alignas(8) uint8_t bytes[512];
	size_t len;
};

/* Appends a message that claims `claimed` bytes and has `body` of them behind its header, padded as netlink pads. */
static void
add(struct request *request, uint16_t type, uint32_t claimed, size_t body)
{
	struct nlmsghdr header = {.nlmsg_len = claimed, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP};

	memset(request->bytes + request->len, 0, NLMSG_ALIGN(sizeof header + body));
	memcpy(request->bytes + request->len, &header, sizeof header);
	request->len += NLMSG_ALIGN(sizeof header + body);
}

static void
add_good(struct request *request, uint16_t type, size_t body)
{
	add(request, type, (uint32_t)(sizeof(struct nlmsghdr) + body), body);
}

/* On an exact copy, so that a sanitizer sees a read behind it. */
static bool
allowed(const struct request *request, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);
	bool answer;

	memcpy(exact, request->bytes, len);
	answer = policy_allows_netlink(exact, len);
	free(exact);
	return answer;
}

Test(netlink, every_message_type)
{
	for (unsigned type = 0; type <= UINT16_MAX; type++) {
		struct request request = {.len = 0};

		add_good(&request, (uint16_t)type, 16);
		/* rtnetlink.h: from RTM_BASE on, types come in fours, NEW DEL GET SET. */
		cr_assert_eq(allowed(&request, request.len), type >= RTM_BASE && (type - RTM_BASE) % 4 == 2, "type %u", type);
	}
}

Test(netlink, the_dumps_that_programs_make)
{
	static const uint16_t types[] = {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH, RTM_GETRULE, RTM_GETQDISC,
	                                 RTM_GETSTATS, RTM_GETNSID, RTM_GETNETCONF};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		struct request request = {.len = 0};

		add_good(&request, types[i], sizeof(struct rtgenmsg));
		cr_assert(allowed(&request, request.len), "type %u", types[i]);
	}
}

Test(netlink, changes_are_refused)
{
	static const uint16_t types[] = {RTM_NEWLINK, RTM_DELLINK, RTM_SETLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE, RTM_DELROUTE,
	                                 RTM_NEWNEIGH, RTM_DELNEIGH, RTM_NEWRULE, RTM_NEWQDISC, RTM_NEWNSID, NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		struct request request = {.len = 0};

		add_good(&request, types[i], 16);
		cr_assert_not(allowed(&request, request.len), "type %u", types[i]);
	}
}

Test(netlink, one_change_among_reads_refuses_all)
{
	for (int position = 0; position < 5; position++)
		for (size_t body = 0; body < 9; body++) {
			struct request request = {.len = 0}, reads = {.len = 0};

			for (int i = 0; i < 5; i++) {
				add_good(&request, i == position ? RTM_DELADDR : RTM_GETADDR, body);
				add_good(&reads, RTM_GETADDR, body);
			}
			cr_assert_not(allowed(&request, request.len), "position %d, bodies of %zu", position, body);
			cr_assert(allowed(&reads, reads.len), "bodies of %zu", body);
		}
}

/*
 * What the kernel reads of a request (netlink_rcv_skb() in net/netlink/af_netlink.c): it stops at a message that is cut or whose
 * length lies, and goes on at the aligned length.
 */
static bool
kernel_meets_a_change(const uint8_t *at, size_t len)
{
	while (len >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr header;
		size_t step;

		memcpy(&header, at, sizeof header);
		if (header.nlmsg_len < sizeof header || len < header.nlmsg_len)
			return false;
		if (header.nlmsg_type < RTM_BASE || (header.nlmsg_type & 3) != 2)
			return true;
		step = ((size_t)header.nlmsg_len + 3) & ~(size_t)3;
		step = step > len ? len : step;
		at += step;
		len -= step;
	}
	return false;
}

/* Refusing what the kernel would ignore anyway is allowed; passing on what it would act upon is not. */
static void
check_safe(const struct request *request, size_t len, const char *what)
{
	if (kernel_meets_a_change(request->bytes, len))
		cr_assert_not(allowed(request, len), "%s: a change would pass", what);
}

Test(netlink, cut_anywhere_no_change_passes)
{
	for (int second = 0; second < 2; second++) {
		struct request request = {.len = 0};

		add_good(&request, RTM_GETLINK, 16);
		add_good(&request, second ? RTM_NEWADDR : RTM_GETADDR, 13);
		add_good(&request, RTM_GETROUTE, 3);
		for (size_t len = 0; len <= request.len; len++) {
			check_safe(&request, len, "cut");
			if (!second && len == request.len)
				cr_assert(allowed(&request, len));
		}
	}
}

Test(netlink, padding_of_the_last_message_may_be_missing)
{
	struct request request = {.len = 0};

	add_good(&request, RTM_GETLINK, 1);
	cr_assert_eq(request.len, 20);
	for (size_t len = 17; len <= 20; len++)
		cr_assert(allowed(&request, len), "%zu bytes", len);
}

Test(netlink, a_length_that_lies_hides_nothing)
{
	static const uint32_t claims[] = {0, 1, 4, 15, 16, 17, 20, 32, 33, 36, 64, 512, 1u << 31, UINT32_MAX - 3, UINT32_MAX - 2, UINT32_MAX};

	for (size_t i = 0; i < sizeof claims / sizeof *claims; i++)
		for (int first = 0; first < 2; first++)
			for (int type = RTM_BASE; type < RTM_BASE + 4; type++) {
				struct request request = {.len = 0};

				if (first)
					add_good(&request, RTM_GETADDR, 4);
				add(&request, (uint16_t)type, claims[i], 16);
				add_good(&request, RTM_DELLINK, 4);
				check_safe(&request, request.len, "a length that lies");
			}
}

/* The kernel goes on at NLMSG_ALIGN(nlmsg_len): a change must not hide where a reader without rounding would not look. */
Test(netlink, a_change_cannot_hide_behind_an_unaligned_length)
{
	for (uint32_t claimed = 17; claimed <= 20; claimed++) {
		struct request request = {.len = 0};

		add(&request, RTM_GETLINK, claimed, 4);
		add_good(&request, RTM_NEWADDR, 8);
		cr_assert_not(allowed(&request, request.len), "claims %u", claimed);
	}
}

Test(netlink, no_change_passes_in_random_requests)
{
	uint64_t random = 3;
	unsigned changes = 0, passed = 0;

	for (int round = 0; round < 300000; round++) {
		struct request request = {.len = 0};
		unsigned messages;
		size_t len;

		random = random * 6364136223846793005u + 1442695040888963407u;
		messages = (random >> 60) % 4;
		for (unsigned i = 0; i < messages; i++) {
			uint64_t r = (random ^ i * 0x9e3779b97f4a7c15u) * 0x2545f4914f6cdd1du;
			size_t body = (r >> 50) % 32;

			add(&request, (uint16_t)((r >> 40) % 8 ? 18 + 4 * ((r >> 32) % 4) : (r >> 40) % 40),
			    (uint32_t)((r >> 20) % 3 ? 16 + body : (r >> 8) % 64), body);
		}
		len = request.len > 3 ? request.len - (random >> 33) % 4 : 0;
		check_safe(&request, len, "random");
		changes += kernel_meets_a_change(request.bytes, len);
		passed += allowed(&request, len);
	}
	/* The generator makes enough of both. */
	cr_assert_gt(changes, 10000);
	cr_assert_gt(passed, 10000);
}
