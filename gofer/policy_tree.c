#include "gofer/policy_tree.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* A policy needs 7 levels; the walk over the tree is recursive. */
#define DEPTH_MAX 16
/* For some 50,000 rules. */
#define NODES_MAX (1u << 20)
/* No mapping has more than a dozen; that each key is compared with all before it then costs nothing. */
#define KEYS_MAX 64u

struct reader {
	yaml_parser_t parser;
	struct tree_error *error;
	const char *bytes;
	size_t nodes;
};

static struct tree_node *read_node(struct reader *reader, yaml_event_t *event, int depth);

void
tree_free(struct tree_node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->count; i++)
		tree_free(node->items[i]);
	free(node->items);
	free(node->text);
	free(node);
}

__attribute__((format(printf, 4, 5))) static void
fail_at(struct reader *reader, size_t line, size_t column, const char *format, ...)
{
	va_list args;

	reader->error->line = line;
	reader->error->column = column;
	va_start(args, format);
	vsnprintf(reader->error->text, sizeof reader->error->text, format, args);
	va_end(args);
}

static void
fail_event(struct reader *reader, const yaml_event_t *event, const char *what)
{
	fail_at(reader, event->start_mark.line + 1, event->start_mark.column + 1, "%s", what);
}

/* The next event; false after saying what is wrong. */
static bool
next_event(struct reader *reader, yaml_event_t *event)
{
	yaml_parser_t *parser = &reader->parser;
	size_t line = 1, start = 0;

	if (yaml_parser_parse(parser, event))
		return true;
	/* What cannot even be read has an offset and no mark. */
	if (parser->error != YAML_READER_ERROR) {
		fail_at(reader, parser->problem_mark.line + 1, parser->problem_mark.column + 1, "%s",
		        parser->problem ? parser->problem : "no memory");
		return false;
	}
	for (size_t i = 0; i < parser->problem_offset; i++)
		if (reader->bytes[i] == '\n') {
			line++;
			start = i + 1;
		}
	fail_at(reader, line, parser->problem_offset - start + 1, "%s", parser->problem);
	return false;
}

static bool
has_key(const struct tree_node *mapping, const char *key)
{
	for (size_t i = 0; i < mapping->count; i += 2)
		if (strcmp(mapping->items[i]->text, key) == 0)
			return true;
	return false;
}

/* Takes the item over, also when it fails. */
static bool
add_item(struct reader *reader, struct tree_node *node, struct tree_node *item)
{
	bool is_key = node->kind == TREE_MAPPING && node->count % 2 == 0;
	const char *wrong = NULL;

	if (is_key && item->kind != TREE_SCALAR)
		wrong = "a key must be a word";
	else if (is_key && strcmp(item->text, "<<") == 0)
		wrong = "merge keys are not supported";
	else if (is_key && node->count == (size_t)2 * KEYS_MAX)
		wrong = "too many keys";
	if (wrong) {
		fail_at(reader, item->line, item->column, "%s", wrong);
	} else if (is_key && has_key(node, item->text)) {
		wrong = "";
		fail_at(reader, item->line, item->column, "key \"%.60s\" for the second time", item->text);
	} else if ((node->count & (node->count - 1)) == 0) {
		/* Grown at powers of two. */
		struct tree_node **items = reallocarray(node->items, node->count ? node->count * 2 : 1, sizeof *items);

		if (items)
			node->items = items;
		else
			fail_at(reader, item->line, item->column, "%s", wrong = "no memory");
	}
	if (wrong) {
		tree_free(item);
		return false;
	}
	node->items[node->count++] = item;
	return true;
}

static bool
read_items(struct reader *reader, struct tree_node *node, yaml_event_type_t end, int depth)
{
	for (;;) {
		yaml_event_t event;
		struct tree_node *item;

		if (!next_event(reader, &event))
			return false;
		if (event.type == end) {
			yaml_event_delete(&event);
			return true;
		}
		item = read_node(reader, &event, depth + 1);
		yaml_event_delete(&event);
		if (!item || !add_item(reader, node, item))
			return false;
	}
}

static bool
read_scalar(struct reader *reader, struct tree_node *node, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;

	if (memchr(value, 0, event->data.scalar.length)) {
		fail_event(reader, event, "a character of value 0");
		return false;
	}
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->text = strdup(value);
	if (!node->text)
		fail_event(reader, event, "no memory");
	return node->text;
}

/* The node that this event begins, or NULL. */
static struct tree_node *
read_node(struct reader *reader, yaml_event_t *event, int depth)
{
	struct tree_node *node;
	const void *anchor = NULL, *tag = NULL;
	bool good;

	switch (event->type) {
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
		break;
	default:
		fail_event(reader, event, "aliases are not supported (an asterisk needs quotes: \"*\")");
		return NULL;
	}
	if (anchor || tag || depth == DEPTH_MAX || ++reader->nodes > NODES_MAX) {
		fail_event(reader, event, anchor ? "anchors are not supported" : tag ? "tags are not supported" :
		           depth == DEPTH_MAX ? "too deep" : "too much in it");
		return NULL;
	}
	node = calloc(1, sizeof *node);
	if (!node) {
		fail_event(reader, event, "no memory");
		return NULL;
	}
	node->line = event->start_mark.line + 1;
	node->column = event->start_mark.column + 1;
	if (event->type == YAML_SCALAR_EVENT) {
		node->kind = TREE_SCALAR;
		good = read_scalar(reader, node, event);
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		node->kind = TREE_SEQUENCE;
		good = read_items(reader, node, YAML_SEQUENCE_END_EVENT, depth);
	} else {
		node->kind = TREE_MAPPING;
		good = read_items(reader, node, YAML_MAPPING_END_EVENT, depth);
	}
	if (!good) {
		tree_free(node);
		return NULL;
	}
	return node;
}

/* Takes the next event, which must be of this type. */
static bool
expect(struct reader *reader, yaml_event_type_t type, const char *otherwise)
{
	yaml_event_t event;
	bool good;

	if (!next_event(reader, &event))
		return false;
	good = event.type == type;
	if (!good)
		fail_event(reader, &event, otherwise);
	yaml_event_delete(&event);
	return good;
}

struct tree_node *
tree_read(const char *bytes, size_t len, struct tree_error *error)
{
	struct reader reader = {.error = error, .bytes = bytes};
	struct tree_node *root = NULL;
	yaml_event_t event;

	*error = (struct tree_error){.line = 1, .column = 1, .text = "no memory"};
	if (!yaml_parser_initialize(&reader.parser))
		return NULL;
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, len);
	if (expect(&reader, YAML_STREAM_START_EVENT, "not YAML") && expect(&reader, YAML_DOCUMENT_START_EVENT, "nothing in it") &&
	    next_event(&reader, &event)) {
		root = read_node(&reader, &event, 0);
		yaml_event_delete(&event);
	}
	if (root && (!expect(&reader, YAML_DOCUMENT_END_EVENT, "more than one document") ||
	             !expect(&reader, YAML_STREAM_END_EVENT, "more than one document"))) {
		tree_free(root);
		root = NULL;
	}
	yaml_parser_delete(&reader.parser);
	return root;
}
