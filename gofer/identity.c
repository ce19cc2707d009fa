#include "gofer/identity.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void
identity_free(struct identity *identity)
{
	for (size_t i = 0; i < identity->label_count; i++) {
		free(identity->labels[i].key);
		free(identity->labels[i].value);
	}
	free(identity->labels);
	free(identity->groups);
	free(identity->cgroup);
	free(identity->container_id);
	free(identity->container_name);
	free(identity->lsm_label);
	free(identity->certificate);
	*identity = IDENTITY_UNKNOWN;
}

static bool
copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return !from || *to;
}

int
identity_copy(struct identity *to, const struct identity *from)
{
	bool good;

	*to = (struct identity){.uid = from->uid, .gid = from->gid, .pid = from->pid};
	good = copy_text(&to->cgroup, from->cgroup) && copy_text(&to->container_id, from->container_id) &&
	       copy_text(&to->container_name, from->container_name) && copy_text(&to->lsm_label, from->lsm_label) &&
	       copy_text(&to->certificate, from->certificate);
	if (good && from->group_count) {
		to->groups = calloc(from->group_count, sizeof *to->groups);
		good = to->groups;
		if (good)
			memcpy(to->groups, from->groups, from->group_count * sizeof *to->groups);
		to->group_count = good ? from->group_count : 0;
	}
	if (good && from->label_count) {
		to->labels = calloc(from->label_count, sizeof *to->labels);
		good = to->labels;
	}
	for (size_t i = 0; good && i < from->label_count; i++) {
		to->label_count++;
		good = copy_text(&to->labels[i].key, from->labels[i].key) && copy_text(&to->labels[i].value, from->labels[i].value);
	}
	if (good)
		return 0;
	identity_free(to);
	return -ENOMEM;
}
