/*
 * Who a client is, as the kernel, or an agent that policy trusts, says. Plain data: decisions read it, and nothing of it is the client's word.
 */
#ifndef SPLITSOCK_GOFER_IDENTITY_H
#define SPLITSOCK_GOFER_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct identity_label {
	char *key, *value;
};

/* Strings and arrays are malloc()ed. What is not known is NULL, of a count 0, or the number that is said here. */
struct identity {
	uint64_t uid, gid;      /* UINT64_MAX: unknown */
	uint64_t *groups;       /* supplementary ones */
	size_t group_count;
	uint64_t pid;           /* 0: unknown */
	char *cgroup;           /* its path in the hierarchy of version 2, "/machine.slice/…" */
	char *container_id;
	char *container_name;
	struct identity_label *labels; /* the container's */
	size_t label_count;
	char *lsm_label;        /* SO_PEERSEC */
	char *certificate;      /* the name that a TLS client proved */
	bool partial;           /* only user, group and process are known so far */
};

/* Nobody: nothing is known. */
#define IDENTITY_UNKNOWN ((struct identity){.uid = UINT64_MAX, .gid = UINT64_MAX})

/* A copy of its own, in *to, which is taken to hold nothing. Returns 0, or -ENOMEM and leaves IDENTITY_UNKNOWN there. */
int identity_copy(struct identity *to, const struct identity *from);
/* Frees what it holds and leaves IDENTITY_UNKNOWN. */
void identity_free(struct identity *identity);

#endif
