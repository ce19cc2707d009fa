/* Policy files: gofer/policy_file.c and what it reads with. The input is the file. */
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "gofer/identity.h"
#include "gofer/policy.h"

static char path[64];
static int file = -1;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	file = memfd_create("policy", 0);
	FUZZ_CHECK(file >= 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	return 0;
}

/* What was read can be asked. */
static void
ask(const struct policy *policy)
{
	static const uint8_t frame[64] = {[12] = 8};

	for (size_t i = 0; i < policy->entry_count; i++) {
		const struct policy_entry *entry = &policy->entries[i];
		struct interface_own own = {0};

		FUZZ_CHECK(entry->name);
		for (size_t j = 0; j < entry->uid_count; j++)
			policy_entry_for(policy, &(struct identity){.uid = entry->uids[j], .gid = UINT64_MAX});
		for (size_t j = 0; j < entry->packet_count; j++) {
			FUZZ_CHECK(policy_packet(entry, entry->packet[j].interface, false));
			policy_frame(&entry->packet[j], FRAME_SEND, frame, sizeof frame, false, &own);
		}
		policy_allows_socket(entry, AF_INET, SOCK_RAW, 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct policy policy;
	char message[512];
	int error;

	if (ftruncate(file, 0) < 0 || pwrite(file, data, len, 0) != (ssize_t)len)
		return 0;
	memset(message, 0xa5, sizeof message);
	error = policy_load(&policy, path, message, sizeof message);
	FUZZ_CHECK(error <= 0);
	if (error)
		FUZZ_CHECK(memchr(message, 0, sizeof message) && strncmp(message, path, strlen(path)) == 0);
	else
		ask(&policy);
	policy_free(&policy);
	return 0;
}
