/* Dumps that were interrupted: libmnl stops at such a message, so that what follows it would be lost. */
#include "common/netlink.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <string.h>

TestSuite(netlink);

enum { MESSAGES = 3, KIND = NLMSG_MIN_TYPE };

/* The last ends the dump. */
static size_t
dump_of(char *buffer, unsigned marked)
{
	size_t len = 0;

	for (unsigned i = 0; i <= MESSAGES; i++) {
		struct nlmsghdr *message = mnl_nlmsg_put_header(buffer + len);

		message->nlmsg_type = i < MESSAGES ? KIND : NLMSG_DONE;
		message->nlmsg_flags = (uint16_t)(NLM_F_MULTI | (marked & 1u << i ? NLM_F_DUMP_INTR : 0));
		message->nlmsg_seq = 7;
		if (i == MESSAGES)
			memset(mnl_nlmsg_put_extra_header(message, sizeof(int)), 0, sizeof(int));
		len += MNL_ALIGN(message->nlmsg_len);
	}
	return len;
}

static int
count(const struct nlmsghdr *message, void *arg)
{
	(void)message;
	++*(int *)arg;
	return MNL_CB_OK;
}

Test(netlink, an_interrupted_dump_is_told_and_read_to_its_end)
{
	_Alignas(struct nlmsghdr) char buffer[512];

	for (unsigned marked = 0; marked < 1u << (MESSAGES + 1); marked++) {
		size_t len = dump_of(buffer, marked);
		int seen = 0;

		cr_assert_eq(mnl_cb_run(buffer, len, 7, 0, count, &seen), marked ? -1 : MNL_CB_STOP, "libmnl has changed");
		seen = 0;
		cr_assert_eq(netlink_interrupted(buffer, len), marked != 0);
		cr_assert_eq(mnl_cb_run(buffer, len, 7, 0, count, &seen), MNL_CB_STOP);
		cr_assert_eq(seen, MESSAGES);
		cr_assert_not(netlink_interrupted(buffer, len));
	}
}

Test(netlink, what_is_no_message_is_not_looked_at)
{
	_Alignas(struct nlmsghdr) char buffer[512];
	size_t len = dump_of(buffer, 1);

	for (size_t cut = 0; cut < NLMSG_HDRLEN; cut++)
		cr_assert_not(netlink_interrupted(buffer, cut));
	((struct nlmsghdr *)(void *)buffer)->nlmsg_len = (uint32_t)len + 1;
	cr_assert_not(netlink_interrupted(buffer, len));
	((struct nlmsghdr *)(void *)buffer)->nlmsg_len = 0;
	cr_assert_not(netlink_interrupted(buffer, len));
}
