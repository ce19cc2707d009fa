/*
 * Parts of a client in a policy file: whom it names, its rules and what it publishes. See policy_file.c.
 */
#ifndef SPLITSOCK_GOFER_POLICY_RULE_H
#define SPLITSOCK_GOFER_POLICY_RULE_H

#include "gofer/policy_value.h"

/* Readers of the keys of a client, into a struct policy_entry; they return 0, or what wrong() returned. */
int read_groups(struct reading *reading, const struct tree_node *node, void *into);
int read_cgroups(struct reading *reading, const struct tree_node *node, void *into);
int read_containers(struct reading *reading, const struct tree_node *node, void *into);
int read_labels(struct reading *reading, const struct tree_node *node, void *into);
int read_rules(struct reading *reading, const struct tree_node *node, void *into);
int read_publish(struct reading *reading, const struct tree_node *node, void *into);
int read_resolvers(struct reading *reading, const struct tree_node *node, void *into);
int read_options(struct reading *reading, const struct tree_node *node, void *into);
int read_namespace(struct reading *reading, const struct tree_node *node, void *into);

/* A name that goes into lines of the log, malloc()ed. */
int read_plain_name(struct reading *reading, const struct tree_node *node, char **name);

#endif
