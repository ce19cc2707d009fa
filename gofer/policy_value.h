/*
 * Values of a policy file: what each kind of them may be, and what is said of one that is not.
 */
#ifndef SPLITSOCK_GOFER_POLICY_VALUE_H
#define SPLITSOCK_GOFER_POLICY_VALUE_H

#include "gofer/policy.h"
#include "gofer/policy_tree.h"

struct reading {
	const char *path;
	char *message;
	size_t message_size;
};

/* A row of the table of a mapping's keys. */
struct key {
	const char *name;
	bool required;
	/* Returns 0, or what wrong() returned. */
	int (*read)(struct reading *, const struct tree_node *value, void *into);
};

/* Writes what is wrong at this place, and returns -EINVAL. */
int wrong_at(struct reading *reading, size_t line, size_t column, const char *format, ...) __attribute__((format(printf, 4, 5)));
#define wrong(reading, node, ...) wrong_at(reading, (node)->line, (node)->column, __VA_ARGS__)
/* Likewise, but -ENOMEM. */
int no_memory(struct reading *reading, const struct tree_node *node);

bool is_word(const struct tree_node *node, const char *word);
/* Is it a number, in decimal or after 0x, without quotes? */
bool is_number(const struct tree_node *node, uint64_t *number);

/* These return 0, or what wrong() returned. */
int expect_kind(struct reading *reading, const struct tree_node *node, enum tree_kind kind);
/* A list with 1 to max items. */
int expect_list(struct reading *reading, const struct tree_node *node, size_t max, const char *what);
/* Every key is one of the table's, and those that are required are there. */
int read_mapping(struct reading *reading, const struct tree_node *node, const char *what, const struct key *keys, size_t count, void *into);
#define READ_MAPPING(reading, node, what, keys, into) read_mapping(reading, node, what, keys, sizeof(keys) / sizeof *(keys), into)
/* One of two words: is it the second? */
int read_choice(struct reading *reading, const struct tree_node *node, const char *a, const char *b, bool *second);
int read_bool(struct reading *reading, const struct tree_node *node, bool *value);
/* A number from min to max, perhaps with K, M or G. */
int read_size(struct reading *reading, const struct tree_node *node, bool suffixes, uint64_t min, uint64_t max, uint64_t *number);
/* "any", or a list of names and numbers. */
int read_ethertype_list(struct reading *reading, const struct tree_node *node, struct policy_numbers *numbers);
int read_protocols(struct reading *reading, const struct tree_node *node, struct policy_numbers *numbers);
/*
 * "own", "any", or a list that begins with "own": read_one() stores each of the others into an element, `size` bytes, of an array that
 * *items is set to.
 */
int read_sources(struct reading *reading, const struct tree_node *node, const char *what, bool *any, void *items, size_t size,
                 size_t *count, int (*read_one)(struct reading *, const struct tree_node *, void *));
/* A list of 1 to `max` items, each read into an element, `size` bytes, of an array that *items is set to. */
int read_list(struct reading *reading, const struct tree_node *node, const char *what, size_t max, void *items, size_t size, size_t *count,
              int (*read_one)(struct reading *, const struct tree_node *, void *));
int read_mac(struct reading *reading, const struct tree_node *node, void *mac);
int read_network(struct reading *reading, const struct tree_node *node, void *network);
/* An address without a prefix, into 16 bytes, IPv4 as v4-mapped. */
int read_address(struct reading *reading, const struct tree_node *node, void *address);
/* Likewise with a port, 192.0.2.1:80 or "[2001:db8::1]:80". */
int read_endpoint(struct reading *reading, const struct tree_node *node, uint8_t address[16], uint16_t *port);
/* As the kernel has it; into IFNAMSIZ bytes. */
int read_interface_name(struct reading *reading, const struct tree_node *node, char *name);
/* Text of 1 to `max` printable ASCII characters, malloc()ed. */
int read_text(struct reading *reading, const struct tree_node *node, size_t max, char **text);
/* The row of the table, whose rows begin with a name, that has the name nearest to this. */
const char *nearest_name(const char *text, const void *rows, size_t size, size_t count);

#endif
