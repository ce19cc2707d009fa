/* The audit: whatever bytes its texts are, a record becomes one line of printable ASCII that is one JSON object, no longer than is promised. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gofer/audit_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The next text of the input: a byte says how long it is. */
static void
take_text(char to[AUDIT_TEXT_MAX], const uint8_t **at, const uint8_t *end)
{
	size_t len = *at < end ? *(*at)++ : 0;

	if (len > (size_t)(end - *at))
		len = (size_t)(end - *at);
	memcpy(to, *at, len);
	to[len] = 0;
	*at += len;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *at = data, *end = data + len;
	char texts[8][AUDIT_TEXT_MAX], names[1][AUDIT_TEXT_MAX];
	struct identity_label label = {texts[5], texts[6]};
	struct audit_who who = {.identity = IDENTITY_UNKNOWN};
	struct audit_record record = {.event = AUDIT_DENIED, .who = &who, .operation = "connect", .names = names, .name_count = 1};
	json_error_t error;
	json_t *object, *again;
	char *line;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		take_text(texts[i], &at, end);
	take_text(names[0], &at, end);
	who.identity.cgroup = texts[0];
	who.identity.container_name = texts[1];
	who.identity.lsm_label = texts[2];
	who.identity.labels = &label;
	who.identity.label_count = 1;
	audit_text(record.rule, texts[3]);
	audit_text(record.reason, texts[4]);
	audit_text(record.software, texts[7]);
	object = audit_record_json(&record);
	line = audit_record_line(object);
	again = line ? json_loads(line, JSON_REJECT_DUPLICATES, &error) : NULL;
	if (!again || !json_equal(object, again) || strlen(line) > AUDIT_LINE_MAX)
		abort();
	for (const char *byte = line; *byte; byte++)
		if (*byte < 0x20 || *byte > 0x7e)
			abort();
	free(line);
	json_decref(object);
	json_decref(again);
	return 0;
}
