#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gofer/dns.h"

/* ---- messages ------------------------------------------------------------------------------------ */

struct message {
	uint8_t bytes[4096];
	size_t len;
};

static void
put16(struct message *message, unsigned value)
{
	ns_put16(value, message->bytes + message->len);
	message->len += 2;
}

static void
put_name(struct message *message, const char *name)
{
	int n = ns_name_compress(name, message->bytes + message->len, sizeof message->bytes - message->len, NULL, NULL);

	cr_assert(ge(int, n, 0));
	message->len += (size_t)n;
}

static struct message
begin(unsigned id, unsigned flags, const char *name, unsigned type)
{
	struct message message = {.len = 0};

	put16(&message, id);
	put16(&message, flags);
	put16(&message, 1);
	put16(&message, 0);
	put16(&message, 0);
	put16(&message, 0);
	put_name(&message, name);
	put16(&message, type);
	put16(&message, ns_c_in);
	return message;
}

static void
put_record(struct message *message, const char *owner, unsigned type, uint32_t ttl, const void *data, size_t len)
{
	unsigned count = ns_get16(message->bytes + 6);

	put_name(message, owner);
	put16(message, type);
	put16(message, ns_c_in);
	put16(message, ttl >> 16);
	put16(message, ttl & 0xffff);
	put16(message, (unsigned)len);
	memcpy(message->bytes + message->len, data, len);
	message->len += len;
	ns_put16(count + 1, message->bytes + 6);
}

static void
put_a(struct message *message, const char *owner, uint32_t ttl, const char *address)
{
	uint8_t bytes[16];
	bool v6 = strchr(address, ':');

	cr_assert(eq(int, inet_pton(v6 ? AF_INET6 : AF_INET, address, bytes), 1));
	put_record(message, owner, v6 ? ns_t_aaaa : ns_t_a, ttl, bytes, v6 ? 16 : 4);
}

static void
put_cname(struct message *message, const char *owner, uint32_t ttl, const char *target)
{
	uint8_t name[NS_MAXCDNAME];
	int n = ns_name_compress(target, name, sizeof name, NULL, NULL);

	put_record(message, owner, ns_t_cname, ttl, name, (size_t)n);
}

#define ANSWER 0x8180

/* "1.2.3.4/60 ::1/5": the addresses and their TTLs, or "none". */
static char *
learned(const struct message *message)
{
	static char text[1024];
	static struct dns_answer answer;
	size_t len = 0;

	if (!dns_read_answer(&answer, message->bytes, message->len))
		return (char *)"none";
	text[0] = '\0';
	for (size_t i = 0; i < answer.count; i++) {
		const uint8_t *bytes = answer.addresses[i].address;
		char address[INET6_ADDRSTRLEN];
		bool mapped = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)bytes);

		inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? bytes + 12 : bytes, address, sizeof address);
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s/%u", i ? " " : "", address, answer.addresses[i].ttl);
	}
	return text;
}

/* ---- tests --------------------------------------------------------------------------------------- */

Test(dns, a_query_has_one_question)
{
	struct message message = begin(7, 0x0100, "WWW.Example.Com", ns_t_a);
	struct dns_question question;

	cr_assert(dns_read_query(&question, message.bytes, message.len));
	cr_expect(eq(str, question.name, "www.example.com"));
	cr_expect(eq(int, question.id, 7));
	cr_expect(eq(int, question.type, ns_t_a));
	message.bytes[2] |= 0x80; /* an answer */
	cr_expect(not(dns_read_query(&question, message.bytes, message.len)));
	message.bytes[2] &= 0x7f;
	ns_put16(2, message.bytes + 4); /* two questions, of which one is there */
	cr_expect(not(dns_read_query(&question, message.bytes, message.len)));
}

Test(dns, addresses_of_the_name_that_was_asked_for)
{
	struct message message = begin(1, ANSWER, "a.example", ns_t_a);

	put_a(&message, "A.Example", 60, "192.0.2.1");
	put_a(&message, "a.example", 5, "2001:db8::1");
	put_a(&message, "b.example", 60, "192.0.2.2");
	cr_expect(eq(str, learned(&message), "192.0.2.1/60 2001:db8::1/5"));
}

Test(dns, a_chain_of_names_has_the_least_ttl)
{
	struct message message = begin(1, ANSWER, "a.example", ns_t_a);

	/* Out of order: the address comes before the names that lead to it. */
	put_a(&message, "c.example", 60, "192.0.2.1");
	put_cname(&message, "b.example", 7, "c.example");
	put_cname(&message, "a.example", 9, "B.example");
	put_a(&message, "x.example", 60, "192.0.2.2");
	cr_expect(eq(str, learned(&message), "192.0.2.1/7"));
}

Test(dns, a_loop_of_names_ends)
{
	struct message message = begin(1, ANSWER, "a.example", ns_t_a);

	put_cname(&message, "a.example", 9, "b.example");
	put_cname(&message, "b.example", 9, "a.example");
	cr_expect(eq(str, learned(&message), ""));
}

Test(dns, errors_and_other_names_teach_nothing)
{
	struct message message = begin(1, ANSWER | ns_r_nxdomain, "a.example", ns_t_a);

	put_a(&message, "a.example", 60, "192.0.2.1");
	cr_expect(eq(str, learned(&message), "none"), "NXDOMAIN");
	message = begin(1, ANSWER, "a\\.b.example", ns_t_a);
	put_a(&message, "a\\.b.example", 60, "192.0.2.1");
	cr_expect(eq(str, learned(&message), "none"), "a dot in a label");
	message = begin(1, ANSWER, "a\\032b.example", ns_t_a);
	cr_expect(eq(str, learned(&message), "none"), "a space in a label");
	message = begin(1, ANSWER, ".", ns_t_a);
	cr_expect(eq(str, learned(&message), "none"), "the root");
	message = begin(1, ANSWER, "a.example", ns_t_a);
	put_a(&message, "a.example", 0x80000000, "192.0.2.1");
	cr_expect(eq(str, learned(&message), "192.0.2.1/0"), "a TTL with its first bit set is 0");
	message = begin(1, ANSWER, "a.example", ns_t_a);
	put_record(&message, "a.example", ns_t_a, 60, "abcde", 5);
	put_record(&message, "a.example", ns_t_aaaa, 60, "abcd", 4);
	cr_expect(eq(str, learned(&message), ""), "addresses of another length");
}

Test(dns, a_truncated_message_is_read_nowhere_beyond_its_end)
{
	struct message message = begin(1, ANSWER, "a.example", ns_t_a);

	put_cname(&message, "a.example", 9, "b.example");
	put_a(&message, "b.example", 60, "192.0.2.1");
	for (size_t len = 0; len < message.len; len++) {
		uint8_t *exact = malloc(len ? len : 1);
		struct dns_answer answer;
		struct dns_question question;

		memcpy(exact, message.bytes, len);
		cr_expect(not(dns_read_answer(&answer, exact, len)), "%zu bytes", len);
		cr_expect(not(dns_read_query(&question, exact, len)));
		free(exact);
	}
}

Test(dns, bytes_at_random_do_no_harm)
{
	struct message good = begin(1, ANSWER, "a.example", ns_t_a);
	unsigned read = 0;

	put_cname(&good, "a.example", 9, "b.example");
	put_a(&good, "b.example", 60, "192.0.2.1");
	srand(1);
	for (int i = 0; i < 200000; i++) {
		uint8_t *bytes = malloc(good.len);
		struct dns_answer answer;

		memcpy(bytes, good.bytes, good.len);
		for (int changes = 1 + rand() % 4; changes--;)
			bytes[(size_t)rand() % good.len] = rand() % 4 ? (uint8_t)rand() : (uint8_t)(0xc0 | rand() % 4);
		if (dns_read_answer(&answer, bytes, good.len)) {
			read++;
			cr_assert(le(sz, answer.count, (size_t)DNS_ADDRESSES_MAX));
		}
		free(bytes);
	}
	cr_expect(gt(uint, read, 1000u), "%u of them are messages still", read);
}

Test(dns, more_records_than_are_looked_at)
{
	struct message message = begin(1, ANSWER, "a.example", ns_t_a);

	for (int i = 0; i < DNS_ADDRESSES_MAX + 10; i++)
		put_a(&message, "a.example", 60, "192.0.2.1");
	cr_expect(ne(str, learned(&message), "none"));
	{
		struct dns_answer answer;

		cr_assert(dns_read_answer(&answer, message.bytes, message.len));
		cr_expect(eq(sz, answer.count, (size_t)DNS_ADDRESSES_MAX));
	}
	ns_put16(DNS_RECORDS_MAX + 1, message.bytes + 6);
	cr_expect(eq(str, learned(&message), "none"));
}
