/*
 * That no option of the headers was forgotten: each has a row in the table, under the number that the headers give it, or stands
 * here with the reason why it has none.
 */
#include "proto/values.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "proto/values.pb-c.h"

static const struct name {
	int level;
	const char *text;
	int option;
} names[] = {
#define OPTION_NAME(level, name, option) {level, name, option},
#include "tests/option_names.h"
};
#define NAMES (sizeof names / sizeof names[0])

/* What the program gets is the kernel's answer on a fresh socket of its own, or ENOPROTOOPT if that has nothing against it. */
static const struct {
	const char *text, *reason;
} left_out[] = {
	{"IPV6_AUTHHDR", "the kernel has only the number"},
	{"IPV6_HOPLIMIT", "a control message, not an option"},
	{"IPV6_IPSEC_POLICY", "IPsec policies are the host's"},
	{"IPV6_NEXTHOP", "the kernel has only the number"},
	{"IPV6_XFRM_POLICY", "IPsec policies are the host's"},
	{"IP_IPSEC_POLICY", "IPsec policies are the host's"},
	{"IP_XFRM_POLICY", "IPsec policies are the host's"},
	{"SO_ATTACH_BPF", "the value is a descriptor of the program's"},
	{"SO_ATTACH_REUSEPORT_EBPF", "the value is a descriptor of the program's"},
	{"SO_PEERSEC", "local sockets only"},
	{"SO_SECURITY_AUTHENTICATION", "the kernel has only the number"},
	{"SO_SECURITY_ENCRYPTION_NETWORK", "the kernel has only the number"},
	{"SO_SECURITY_ENCRYPTION_TRANSPORT", "the kernel has only the number"},
	{"TCP_COOKIE_TRANSACTIONS", "the kernel has only the number"},
	{"TCP_QUEUE_SEQ", "forges a connection's state"},
	{"TCP_REPAIR_OPTIONS", "forges a connection's state"},
	{"TCP_REPAIR_QUEUE", "forges a connection's state"},
	{"TCP_REPAIR_WINDOW", "forges a connection's state"},
	{"TCP_ZEROCOPY_RECEIVE", "maps the connection into the program's memory"},
};
#define LEFT_OUT (sizeof left_out / sizeof left_out[0])

static const char *
reason_for(const char *text)
{
	for (size_t i = 0; i < LEFT_OUT; i++)
		if (strcmp(left_out[i].text, text) == 0)
			return left_out[i].reason;
	return NULL;
}

Test(option_names, every_option_of_the_headers_has_a_row_or_a_reason)
{
	cr_assert_geq(NAMES, 200, "%zu names", NAMES);
	for (size_t i = 0; i < NAMES; i++) {
		const struct socket_option *option = option_by_host(names[i].level, names[i].option);
		const char *reason = reason_for(names[i].text);

		if (reason)
			cr_expect_null(option, "%s has a row: it is no longer left out since %s", names[i].text, reason);
		else
			cr_expect_not_null(option, "%s (level %d, %d) has no row", names[i].text, names[i].level, names[i].option);
	}
}

Test(option_names, rows_have_the_numbers_of_the_headers)
{
	unsigned found = 0;

	for (unsigned i = 1; i < splitsock__option__descriptor.n_values; i++) {
		const struct socket_option *option = option_by_wire((uint32_t)splitsock__option__descriptor.values[i].value);

		for (size_t n = 0; n < NAMES; n++) {
			if (strcmp(names[n].text, option->text) != 0)
				continue;
			cr_expect_eq(option->level, names[n].level, "%s", option->text);
			cr_expect_eq(option->name, names[n].option, "%s", option->text);
			found++;
		}
	}
	cr_expect_geq(found, 180, "%u", found);
}

Test(option_names, reasons_are_for_options_that_there_are)
{
	for (size_t i = 0; i < LEFT_OUT; i++) {
		bool named = false;

		for (size_t n = 0; n < NAMES; n++)
			named = named || strcmp(names[n].text, left_out[i].text) == 0;
		cr_expect(named, "no header names %s", left_out[i].text);
		cr_expect(i == 0 || strcmp(left_out[i - 1].text, left_out[i].text) < 0, "%s: not in order", left_out[i].text);
	}
}

/* One number, one option: what the headers call by two names is the same row. */
Test(option_names, aliases_lead_to_one_row)
{
	static const char *const aliases[][2] = {
		{"SO_GET_FILTER", "SO_ATTACH_FILTER"}, {"SO_DETACH_BPF", "SO_DETACH_FILTER"}, {"SO_RCVTIMEO", "SO_RCVTIMEO_OLD"},
		{"SO_TIMESTAMP", "SO_TIMESTAMP_OLD"},  {"IP_RECVRETOPTS", "IP_RETOPTS"},      {"IPV6_JOIN_GROUP", "IPV6_ADD_MEMBERSHIP"},
		{"TCP_CM_INQ", "TCP_INQ"},             {"IPV6_RXDSTOPTS", "IPV6_DSTOPTS"},
	};

	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
		for (size_t n = 0; n < NAMES; n++) {
			if (strcmp(names[n].text, aliases[i][0]) == 0)
				cr_expect_str_eq(option_by_host(names[n].level, names[n].option)->text, aliases[i][1]);
		}
	}
}
