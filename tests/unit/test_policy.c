#include "gofer/policy.h"

#include <criterion/criterion.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const struct policy none = {POLICY_NONE}, open_policy = {POLICY_OPEN};

/* ---- sockets ------------------------------------------------------------------------------------- */

Test(policy, without_a_policy_nothing_is_allowed)
{
	struct policy zero;

	memset(&zero, 0, sizeof zero);
	cr_assert_eq(zero.mode, POLICY_NONE, "what nobody has set grants nothing");
	for (int family = -1; family < AF_MAX; family++)
		for (int type = 0; type <= SOCK_PACKET; type++)
			cr_assert_not(policy_allows_socket(&none, family, type, 0));
	cr_assert_not(policy_allows_socket(&none, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	for (int operation = POLICY_SOCKET; operation <= POLICY_SEND; operation++)
		cr_assert_not(policy_allows(&none, operation, &(struct wire_address){.family = wire_family(AF_INET)}));
}

Test(policy, open_grants_exactly_the_families_that_are_offered)
{
	for (int family = -1; family <= AF_MAX; family++)
		for (int type = -1; type <= SOCK_PACKET; type++)
			for (int protocol = 0; protocol < 260; protocol++) {
				bool inet = (family == AF_INET || family == AF_INET6) && (type == SOCK_STREAM || type == SOCK_DGRAM);
				bool route = family == AF_NETLINK && (type == SOCK_RAW || type == SOCK_DGRAM) && protocol == NETLINK_ROUTE;

				cr_assert_eq(policy_allows_socket(&open_policy, family, type, protocol), inet || route,
				             "family %d type %d protocol %d", family, type, protocol);
			}
}

Test(policy, raw_and_packet_sockets_are_refused_under_every_policy)
{
	for (int mode = POLICY_NONE; mode <= POLICY_OPEN; mode++) {
		struct policy policy = {mode};

		cr_assert_not(policy_allows_socket(&policy, AF_INET, SOCK_RAW, IPPROTO_ICMP));
		cr_assert_not(policy_allows_socket(&policy, AF_INET, SOCK_RAW, IPPROTO_RAW));
		cr_assert_not(policy_allows_socket(&policy, AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
		cr_assert_not(policy_allows_socket(&policy, AF_PACKET, SOCK_RAW, 0));
		cr_assert_not(policy_allows_socket(&policy, AF_PACKET, SOCK_DGRAM, 0));
		cr_assert_not(policy_allows_socket(&policy, AF_UNIX, SOCK_STREAM, 0));
		cr_assert_not(policy_allows_socket(&policy, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
		/* A type with flags is none that a client can name: they must have been taken off before. */
		cr_assert_not(policy_allows_socket(&policy, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	}
}

Test(policy, open_allows_every_operation)
{
	for (int operation = POLICY_SOCKET; operation <= POLICY_SEND; operation++)
		cr_assert(policy_allows(&open_policy, operation, &(struct wire_address){.family = wire_family(AF_INET6)}));
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
