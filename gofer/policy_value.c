#include "gofer/policy_value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 256u
#define SOURCES_MAX 256u

struct name {
	const char *name;
	uint16_t number;
};

static const struct name ethertypes[] = {
	{"llc", 0}, {"ip", 0x0800}, {"arp", 0x0806}, {"wol", 0x0842}, {"rarp", 0x8035}, {"vlan", 0x8100}, {"ip6", 0x86dd},
	{"mpls", 0x8847}, {"mpls-multicast", 0x8848}, {"pppoe-discovery", 0x8863}, {"pppoe", 0x8864}, {"eapol", 0x888e},
	{"qinq", 0x88a8}, {"lldp", 0x88cc}, {"macsec", 0x88e5}, {"ptp", 0x88f7},
};

static const struct name protocols[] = {
	{"icmp", 1}, {"igmp", 2}, {"ipip", 4}, {"tcp", 6}, {"egp", 8}, {"udp", 17}, {"dccp", 33}, {"ipv6", 41}, {"rsvp", 46},
	{"gre", 47}, {"esp", 50}, {"ah", 51}, {"ipv6-icmp", 58}, {"ipv6-nonxt", 59}, {"eigrp", 88}, {"ospf", 89}, {"pim", 103},
	{"vrrp", 112}, {"l2tp", 115}, {"sctp", 132}, {"udplite", 136}, {"mpls-in-ip", 137},
};

/* ---- errors ------------------------------------------------------------------------------------- */

/* What came from the file may hold anything; what is said of it is one line. */
static void
make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

int
wrong_at(struct reading *reading, size_t line, size_t column, const char *format, ...)
{
	int used = snprintf(reading->message, reading->message_size, "%s:%zu:%zu: ", reading->path, line, column);
	va_list args;

	va_start(args, format);
	if (used > 0 && (size_t)used < reading->message_size)
		vsnprintf(reading->message + used, reading->message_size - (size_t)used, format, args);
	va_end(args);
	make_printable(reading->message);
	return -EINVAL;
}

static const char *
kind_of(const struct tree_node *node)
{
	return node->kind == TREE_SCALAR ? "a single value" : node->kind == TREE_SEQUENCE ? "a list" : "a mapping";
}

#define NEAREST_MAX 40u

/* The number of characters to be inserted, removed or replaced, of at most NEAREST_MAX of each. */
static unsigned
edit_distance(const char *a, const char *b)
{
	size_t length = strnlen(b, NEAREST_MAX);
	unsigned row[NEAREST_MAX + 1];

	for (size_t j = 0; j <= length; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; a[i] && i < NEAREST_MAX; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < length; j++) {
			unsigned replaced = diagonal + (a[i] != b[j]), shorter = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;

			diagonal = row[j + 1];
			row[j + 1] = replaced < shorter ? replaced : shorter;
		}
	}
	return row[length];
}

/* Of a table whose rows begin with a name. */
const char *
nearest_name(const char *text, const void *rows, size_t size, size_t count)
{
	const char *best = "";
	unsigned best_distance = UINT_MAX;

	for (size_t i = 0; i < count; i++) {
		const char *name;
		unsigned distance;

		memcpy(&name, (const char *)rows + i * size, sizeof name);
		distance = edit_distance(text, name);
		if (distance < best_distance) {
			best_distance = distance;
			best = name;
		}
	}
	return best;
}

/* ---- values ------------------------------------------------------------------------------------- */

bool
is_word(const struct tree_node *node, const char *word)
{
	return node->kind == TREE_SCALAR && strcmp(node->text, word) == 0;
}

int
expect_kind(struct reading *reading, const struct tree_node *node, enum tree_kind kind)
{
	static const char *const names[] = {"a single value", "a list", "a mapping"};

	return node->kind == kind ? 0 : wrong(reading, node, "%s is needed here, not %s", names[kind], kind_of(node));
}

int
read_choice(struct reading *reading, const struct tree_node *node, const char *a, const char *b, bool *second)
{
	if (!is_word(node, a) && !is_word(node, b))
		return wrong(reading, node, "\"%s\" or \"%s\" is needed here, not %s%.60s%s", a, b, node->text ? "\"" : "",
		             node->text ? node->text : kind_of(node), node->text ? "\"" : "");
	*second = is_word(node, b);
	return 0;
}

int
read_bool(struct reading *reading, const struct tree_node *node, bool *value)
{
	if (node->kind == TREE_SCALAR && !node->plain)
		return wrong(reading, node, "true or false without quotes is needed here");
	return read_choice(reading, node, "false", "true", value);
}

/* Digits alone, or 0x and hexadecimal ones. */
static bool
parse_number(const char *text, uint64_t *number, const char **end)
{
	int base = strncmp(text, "0x", 2) == 0 ? 16 : 10;
	const char *digits = base == 16 ? text + 2 : text;
	char *stop;

	if (base == 16 ? !isxdigit((unsigned char)*digits) : !isdigit((unsigned char)*digits))
		return false;
	/* As YAML readers differ on what 010 is. */
	if (base == 10 && digits[0] == '0' && isdigit((unsigned char)digits[1]))
		return false;
	errno = 0;
	*number = strtoull(digits, &stop, base);
	*end = stop;
	return errno == 0;
}

bool
is_number(const struct tree_node *node, uint64_t *number)
{
	const char *end;

	return node->kind == TREE_SCALAR && node->plain && parse_number(node->text, number, &end) && !*end;
}

int
read_size(struct reading *reading, const struct tree_node *node, bool suffixes, uint64_t min, uint64_t max, uint64_t *number)
{
	static const char letters[] = "KMG";
	const char *end = "", *letter;
	bool good = node->kind == TREE_SCALAR && node->plain && parse_number(node->text, number, &end);

	if (good && *end && suffixes && (letter = strchr(letters, *end)) && !end[1])
		good = !__builtin_mul_overflow(*number, UINT64_C(1024) << 10 * (letter - letters), number);
	else if (good)
		good = !*end;
	if (!good || *number < min || *number > max)
		return wrong(reading, node, "a number from %llu to %llu%s is needed here", (unsigned long long)min, (unsigned long long)max,
		             suffixes ? ", perhaps with K, M or G," : "");
	return 0;
}

int
expect_list(struct reading *reading, const struct tree_node *node, size_t max, const char *what)
{
	int error = expect_kind(reading, node, TREE_SEQUENCE);

	if (error)
		return error;
	if (!node->count)
		return wrong(reading, node, "this list of %s is empty", what);
	return node->count > max ? wrong(reading, node->items[max], "more than %zu %s", max, what) : 0;
}

int
no_memory(struct reading *reading, const struct tree_node *node)
{
	wrong(reading, node, "no memory");
	return -ENOMEM;
}

int
read_mapping(struct reading *reading, const struct tree_node *node, const char *what, const struct key *keys, size_t count, void *into)
{
	int error = expect_kind(reading, node, TREE_MAPPING);

	/* Unknown keys first: a misspelt one is better called that than missing. */
	for (size_t i = 0; !error && i < node->count; i += 2) {
		size_t row = 0;

		while (row < count && strcmp(keys[row].name, node->items[i]->text) != 0)
			row++;
		if (row == count)
			error = wrong(reading, node->items[i], "unknown key \"%.60s\"; the nearest is \"%s\"", node->items[i]->text,
			              nearest_name(node->items[i]->text, keys, sizeof *keys, count));
	}
	for (size_t row = 0; !error && row < count; row++) {
		size_t i = 0;

		while (i < node->count && strcmp(keys[row].name, node->items[i]->text) != 0)
			i += 2;
		if (i == node->count && keys[row].required)
			error = wrong(reading, node, "%s needs \"%s\"", what, keys[row].name);
	}
	for (size_t i = 0; !error && i < node->count; i += 2)
		for (size_t row = 0; !error && row < count; row++)
			if (strcmp(keys[row].name, node->items[i]->text) == 0)
				error = keys[row].read(reading, node->items[i + 1], into);
	return error;
}

static int
read_numbers(struct reading *reading, const struct tree_node *node, const char *what, const struct name *names, size_t name_count,
             uint64_t min, uint64_t max, struct policy_numbers *numbers)
{
	int error;

	if (is_word(node, "any")) {
		numbers->any = true;
		return 0;
	}
	if (node->kind == TREE_SCALAR)
		return wrong(reading, node, "\"any\" or a list of %s is needed here, not \"%.60s\"", what, node->text);
	error = expect_list(reading, node, NUMBERS_MAX, what);
	if (error)
		return error;
	numbers->numbers = calloc(node->count, sizeof *numbers->numbers);
	if (!numbers->numbers)
		return no_memory(reading, node);
	for (size_t i = 0; i < node->count; i++) {
		const struct tree_node *item = node->items[i];
		uint64_t number = 0;
		size_t row = 0;

		error = expect_kind(reading, item, TREE_SCALAR);
		if (error)
			return error;
		while (row < name_count && strcmp(names[row].name, item->text) != 0)
			row++;
		if (row < name_count)
			number = names[row].number;
		else if (item->plain && isdigit((unsigned char)*item->text)) {
			if (!is_number(item, &number) || number < min || number > max)
				return wrong(reading, item, "a number from %llu to %llu is needed here", (unsigned long long)min,
				             (unsigned long long)max);
		} else if (is_word(item, "any"))
			return wrong(reading, item, "\"any\" stands alone, not in a list");
		else
			return wrong(reading, item, "\"%.60s\" is no name that is known here; the nearest is \"%s\"", item->text,
			             nearest_name(item->text, names, sizeof *names, name_count));
		if (policy_has_number(numbers, (uint16_t)number))
			return wrong(reading, item, "\"%.60s\" for the second time", item->text);
		numbers->numbers[numbers->count++] = (uint16_t)number;
	}
	return 0;
}

int
read_ethertype_list(struct reading *reading, const struct tree_node *node, struct policy_numbers *numbers)
{
	return read_numbers(reading, node, "ether types", ethertypes, sizeof ethertypes / sizeof *ethertypes, 0x600, 0xffff, numbers);
}

int
read_protocols(struct reading *reading, const struct tree_node *node, struct policy_numbers *numbers)
{
	return read_numbers(reading, node, "protocols", protocols, sizeof protocols / sizeof *protocols, 0, 255, numbers);
}

/* ---- lists -------------------------------------------------------------------------------------- */

int
read_list(struct reading *reading, const struct tree_node *node, const char *what, size_t max, void *items, size_t size, size_t *count,
          int (*read_one)(struct reading *, const struct tree_node *, void *))
{
	int error = expect_list(reading, node, max, what);
	char *array;

	if (error)
		return error;
	array = calloc(node->count, size);
	if (!array)
		return no_memory(reading, node);
	memcpy(items, &array, sizeof array);
	/* Counted before it is read: what an element holds by then is freed with it. */
	for (size_t i = 0; !error && i < node->count; i++) {
		++*count;
		error = read_one(reading, node->items[i], array + i * size);
	}
	return error;
}

/* ---- sources ------------------------------------------------------------------------------------ */

int
read_sources(struct reading *reading, const struct tree_node *node, const char *what, bool *any, void *items, size_t size,
             size_t *count, int (*read_one)(struct reading *, const struct tree_node *, void *))
{
	void *array;
	int error;

	if (node->kind == TREE_SCALAR) {
		if (!is_word(node, "own") && !is_word(node, "any"))
			return wrong(reading, node, "\"own\", \"any\" or a list of %s is needed here, not \"%.60s\"", what, node->text);
		*any = is_word(node, "any");
		return 0;
	}
	error = expect_list(reading, node, SOURCES_MAX, what);
	if (error)
		return error;
	if (!is_word(node->items[0], "own"))
		return wrong(reading, node->items[0], "this list begins with \"own\", which is always granted");
	array = calloc(node->count, size);
	if (!array)
		return no_memory(reading, node);
	memcpy(items, &array, sizeof array);
	for (size_t i = 1; i < node->count; i++) {
		error = expect_kind(reading, node->items[i], TREE_SCALAR);
		if (!error && (is_word(node->items[i], "any") || is_word(node->items[i], "own")))
			error = wrong(reading, node->items[i], "\"%s\" is out of place in this list", node->items[i]->text);
		if (!error)
			error = read_one(reading, node->items[i], (char *)array + *count * size);
		if (error)
			return error;
		++*count;
	}
	return 0;
}

int
read_mac(struct reading *reading, const struct tree_node *node, void *into)
{
	uint8_t *mac = into;
	size_t len = strlen(node->text);

	for (size_t i = 0; i < 6; i++) {
		const char *digits = node->text + 3 * i;

		if (len != 17 || !isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]) || (i < 5 && digits[2] != ':'))
			return wrong(reading, node, "\"%.60s\" is no hardware address: 02:00:5e:00:53:01 would be one", node->text);
		mac[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	if (mac[0] & 1)
		return wrong(reading, node, "\"%s\" is a group's address, which no frame comes from", node->text);
	return 0;
}

int
read_network(struct reading *reading, const struct tree_node *node, void *into)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct policy_network *network = into;
	const char *slash = strchr(node->text, '/'), *end = "";
	char address[INET6_ADDRSTRLEN];
	size_t len = slash ? (size_t)(slash - node->text) : strlen(node->text);
	bool good = len < sizeof address, ip4;
	uint64_t prefix, bits;

	snprintf(address, sizeof address, "%.*s", good ? (int)len : 0, node->text);
	ip4 = good && inet_pton(AF_INET, address, network->address + sizeof mapped) == 1;
	bits = prefix = ip4 ? 32 : 128;
	if (ip4)
		memcpy(network->address, mapped, sizeof mapped);
	else
		good = good && inet_pton(AF_INET6, address, network->address) == 1;
	if (slash)
		good = good && isdigit((unsigned char)slash[1]) && slash[2] != 'x' && parse_number(slash + 1, &prefix, &end) && !*end &&
		       prefix <= bits;
	if (!good)
		return wrong(reading, node, "\"%.60s\" is no network: 192.0.2.0/24, 2001:db8::/32 or an address would be one", node->text);
	if (!ip4 && memcmp(network->address, mapped, sizeof mapped) == 0)
		return wrong(reading, node, "write \"%.60s\" as an IPv4 address", node->text);
	network->prefix = (uint8_t)(prefix + 128 - bits);
	for (unsigned bit = network->prefix; bit < 128; bit++)
		if (network->address[bit / 8] & 0x80 >> bit % 8)
			return wrong(reading, node, "\"%.60s\" has bits set behind its prefix", node->text);
	return 0;
}

/* Of `len` characters. */
static bool
parse_address(const char *text, size_t len, uint8_t address[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char copy[INET6_ADDRSTRLEN];

	if (len >= sizeof copy)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET, copy, address + sizeof mapped) == 1) {
		memcpy(address, mapped, sizeof mapped);
		return true;
	}
	return inet_pton(AF_INET6, copy, address) == 1 && memcmp(address, mapped, sizeof mapped) != 0;
}

int
read_address(struct reading *reading, const struct tree_node *node, void *into)
{
	if (node->kind == TREE_SCALAR && parse_address(node->text, strlen(node->text), into))
		return 0;
	return wrong(reading, node, "an address is needed here, 192.0.2.1 or \"2001:db8::1\"%s%.60s%s", node->text ? ", not \"" : "",
	             node->text ? node->text : "", node->text ? "\"" : "");
}

int
read_endpoint(struct reading *reading, const struct tree_node *node, uint8_t address[16], uint16_t *port)
{
	const char *text = node->kind == TREE_SCALAR ? node->text : "", *colon = strrchr(text, ':'), *end = "";
	size_t len = colon ? (size_t)(colon - text) : 0;
	bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
	uint64_t number = 0;

	if (colon && parse_number(colon + 1, &number, &end) && !*end && number > 0 && number <= UINT16_MAX &&
	    (brackets ? memchr(text, '.', len) == NULL && parse_address(text + 1, len - 2, address)
	              : memchr(text, ':', len) == NULL && parse_address(text, len, address))) {
		*port = (uint16_t)number;
		return 0;
	}
	return wrong(reading, node, "an address and a port are needed here, 192.0.2.1:80 or \"[2001:db8::1]:80\"%s%.60s%s",
	             *text ? ", not \"" : "", text, *text ? "\"" : "");
}

int
read_interface_name(struct reading *reading, const struct tree_node *node, char *name)
{
	int error = expect_kind(reading, node, TREE_SCALAR);
	size_t len;

	if (error)
		return error;
	len = strlen(node->text);
	/* As the kernel's dev_valid_name(). */
	for (const char *at = node->text; *at; at++)
		if (*at == '/' || *at == ':' || *at <= ' ' || *at == 0x7f)
			len = 0;
	if (len == 0 || len >= IFNAMSIZ || strcmp(node->text, ".") == 0 || strcmp(node->text, "..") == 0)
		return wrong(reading, node, "\"%.60s\" cannot be the name of an interface", node->text);
	memcpy(name, node->text, len + 1);
	return 0;
}

int
read_text(struct reading *reading, const struct tree_node *node, size_t max, char **text)
{
	int error = expect_kind(reading, node, TREE_SCALAR);

	if (error)
		return error;
	for (const char *at = node->text; *at; at++)
		if (*at < ' ' || *at == 0x7f)
			return wrong(reading, node, "printable ASCII is needed here");
	if (!*node->text || strlen(node->text) > max)
		return wrong(reading, node, "1 to %zu characters are needed here", max);
	*text = strdup(node->text);
	return *text ? 0 : no_memory(reading, node);
}
