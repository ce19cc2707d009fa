/*
 * A YAML document as a tree that knows where everything stood. Strict: one document, no anchors, aliases or tags, no key twice.
 */
#ifndef SPLITSOCK_GOFER_POLICY_TREE_H
#define SPLITSOCK_GOFER_POLICY_TREE_H

#include <stdbool.h>
#include <stddef.h>

enum tree_kind { TREE_SCALAR, TREE_SEQUENCE, TREE_MAPPING };

struct tree_node {
	enum tree_kind kind;
	size_t line, column; /* from 1, in characters */
	char *text;          /* of a scalar */
	bool plain;          /* without quotes: may be a number, true or false */
	struct tree_node **items; /* of a sequence; of a mapping: keys, which are scalars, and values in turn */
	size_t count;
};

struct tree_error {
	size_t line, column;
	char text[200];
};

/* The document in these bytes, or NULL after filling in *error. */
struct tree_node *tree_read(const char *bytes, size_t len, struct tree_error *error);
/* Takes NULL. */
void tree_free(struct tree_node *node);

#endif
