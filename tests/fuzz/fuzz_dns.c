/* DNS messages: gofer/dns.c, and the table of names that it feeds. The first byte says which way the message went. */
#include "tests/fuzz/fuzz.h"

#include "gofer/dns.h"
#include "gofer/names.h"

/* What a line of a log or a rule may be compared with. */
static void
check_name(const char *name)
{
	size_t len = strnlen(name, DNS_NAME_MAX);

	FUZZ_CHECK(len < DNS_NAME_MAX);
	for (size_t i = 0; i < len; i++)
		FUZZ_CHECK((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') || strchr("-_.", name[i]));
}

static void
learn(const struct dns_answer *answer)
{
	struct names names = {.seed = 1};
	const char *found[NAMES_OF_ADDRESS_MAX];

	for (size_t i = 0; i < answer->count; i++)
		FUZZ_CHECK(names_learn(&names, answer->addresses[i].address, answer->question.name, answer->addresses[i].ttl, 1000));
	for (size_t i = 0; i < answer->count; i++) {
		FUZZ_CHECK(names_of(&names, answer->addresses[i].address, 1000, found) == 1);
		FUZZ_CHECK(strcmp(found[0], answer->question.name) == 0);
	}
	names_free(&names);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input input = {data, len};
	bool is_answer = input_byte(&input) & 1;
	size_t size;
	uint8_t *message = input_copy(&input, SIZE_MAX, &size);
	static struct dns_answer answer;
	struct dns_question question;

	memset(&answer, 0xa5, sizeof answer);
	memset(&question, 0xa5, sizeof question);
	if (is_answer && dns_read_answer(&answer, message, size)) {
		FUZZ_CHECK(answer.count <= DNS_ADDRESSES_MAX);
		check_name(answer.question.name);
		learn(&answer);
	}
	if (!is_answer && dns_read_query(&question, message, size))
		check_name(question.name);
	free(message);
	return 0;
}
