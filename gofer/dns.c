#include "gofer/dns.h"

#include <arpa/nameser.h>
#include <ctype.h>
#include <string.h>

/*
 * A label's bytes are free; a policy's names are host names (RFC 1123, and the underscore that services have). What has others is not learned:
 * a dot inside a label would look like two labels.
 */
static bool
take_name(char to[DNS_NAME_MAX], const char *name)
{
	size_t len = strlen(name);

	while (len && name[len - 1] == '.')
		len--;
	if (!len || len >= DNS_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c >= 0x80 || (!isalnum(c) && c != '-' && c != '_' && c != '.'))
			return false;
		to[i] = (char)tolower(c);
	}
	to[len] = '\0';
	return true;
}

static bool
read_question(struct dns_question *question, ns_msg *message, bool answer)
{
	ns_rr record;

	if (ns_msg_getflag(*message, ns_f_qr) != answer || ns_msg_getflag(*message, ns_f_opcode) != ns_o_query ||
	    ns_msg_count(*message, ns_s_qd) != 1 || ns_parserr(message, ns_s_qd, 0, &record) < 0 ||
	    ns_rr_class(record) != ns_c_in || !take_name(question->name, ns_rr_name(record)))
		return false;
	question->id = ns_msg_id(*message);
	question->type = (uint16_t)ns_rr_type(record);
	return true;
}

bool
dns_read_query(struct dns_question *question, const uint8_t *bytes, size_t len)
{
	ns_msg message;

	return len <= UINT16_MAX && ns_initparse(bytes, (int)len, &message) == 0 && read_question(question, &message, false);
}

/* The record of this section that has the name and the type, from `*at` on, or false. */
static bool
next_record(ns_msg *message, int *at, const char *name, ns_rr *record)
{
	char owner[DNS_NAME_MAX];

	for (; *at < ns_msg_count(*message, ns_s_an); ++*at) {
		if (ns_parserr(message, ns_s_an, *at, record) < 0)
			return false;
		if (ns_rr_class(*record) == ns_c_in && take_name(owner, ns_rr_name(*record)) && strcmp(owner, name) == 0) {
			++*at;
			return true;
		}
	}
	return false;
}

static void
take_address(struct dns_answer *answer, const ns_rr *record, uint32_t ttl)
{
	struct dns_address *address = &answer->addresses[answer->count];
	bool v4 = ns_rr_type(*record) == ns_t_a && ns_rr_rdlen(*record) == 4;

	if ((!v4 && (ns_rr_type(*record) != ns_t_aaaa || ns_rr_rdlen(*record) != 16)) || answer->count == DNS_ADDRESSES_MAX)
		return;
	*address = (struct dns_address){.address = {[10] = 0xff, [11] = 0xff}, .ttl = ttl};
	memcpy(v4 ? address->address + 12 : address->address, ns_rr_rdata(*record), v4 ? 4 : 16);
	answer->count++;
}

bool
dns_read_answer(struct dns_answer *answer, const uint8_t *bytes, size_t len)
{
	ns_msg message;
	char name[DNS_NAME_MAX], target[NS_MAXDNAME];
	uint32_t ttl = UINT32_MAX;

	answer->count = 0;
	if (len > UINT16_MAX || ns_initparse(bytes, (int)len, &message) < 0 || !read_question(&answer->question, &message, true) ||
	    ns_msg_getflag(message, ns_f_rcode) != ns_r_noerror || ns_msg_count(message, ns_s_an) > DNS_RECORDS_MAX)
		return false;
	memcpy(name, answer->question.name, sizeof name);
	/* Records may come in any order, so each name of the chain looks through all of them. */
	for (int link = 0; link <= DNS_CHAIN_MAX; link++) {
		bool moved = false;
		ns_rr record;

		for (int at = 0; next_record(&message, &at, name, &record);) {
			/* RFC 2181: a TTL with its first bit set is 0. */
			uint32_t own_ttl = ns_rr_ttl(record) > INT32_MAX ? 0 : ns_rr_ttl(record), least = own_ttl < ttl ? own_ttl : ttl;

			if (ns_rr_type(record) != ns_t_cname) {
				take_address(answer, &record, least);
				continue;
			}
			if (ns_name_uncompress(ns_msg_base(message), ns_msg_end(message), ns_rr_rdata(record), target, sizeof target) < 0 ||
			    !take_name(name, target))
				return true;
			ttl = least;
			moved = true;
			break;
		}
		if (!moved)
			return true;
	}
	return true;
}
