/*
 * The host's counters, out of /proc. snmp and netstat are pairs of lines,
 *
 *     Udp: InDatagrams NoPorts ...
 *     Udp: 4196 75 ...
 *
 * and snmp6 has a name and a value a line. Which fields a counter is made of, its row in proto/counters.h says.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "gofer/gofer.h"

/* Some 20 KiB on a kernel of today. */
#define FILE_MAX (256u * 1024u)

/* thread-self: the namespace is the one of who asks, whatever thread that is. */
static const char *const paths[HOST_FILES] = {
	[HOST_SNMP] = "/proc/thread-self/net/snmp",
	[HOST_NETSTAT] = "/proc/thread-self/net/netstat",
	[HOST_SNMP6] = "/proc/thread-self/net/snmp6",
};

struct word {
	const char *text;
	size_t len;
};

/* The next word of a line, of length 0 at its end. */
static struct word
next_word(const char **at)
{
	struct word word;

	*at += strspn(*at, " \t");
	word = (struct word){*at, strcspn(*at, " \t\n")};
	*at += word.len;
	return word;
}

static bool
is_word(struct word word, const char *text, size_t len)
{
	return word.len == len && memcmp(word.text, text, len) == 0;
}

/* Adds the field to every counter that is made of it. `group` is "Udp:" with the colon, or empty. */
static void
add_field(int64_t *host, struct word group, struct word field, struct word value)
{
	/* A few fields (MaxConn) are negative: none of ours. */
	int64_t n = value.len && isdigit((unsigned char)*value.text) ? (int64_t)strtoull(value.text, NULL, 10) : 0;

	for (int id = 0; id < COUNTERS_HOST_COUNT; id++) {
		const char *at = counters[id].source;

		for (struct word source = next_word(&at); source.len; source = next_word(&at)) {
			bool minus = *source.text == '-';
			const char *name = source.text + minus, *dot = memchr(source.text, '.', source.len);
			size_t len = source.len - minus, group_len = dot ? (size_t)(dot - name) : 0;

			if (group.len ? dot && is_word((struct word){group.text, group.len - 1}, name, group_len) &&
			                    is_word(field, dot + 1, len - group_len - 1)
			              : !dot && is_word(field, name, len))
				host[id] += minus ? -n : n;
		}
	}
}

static const char *
next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end ? end + 1 : line + strlen(line);
}

void
counters_parse_host(int64_t *host, enum host_file file, const char *text)
{
	for (const char *line = text, *names, *values; *line;) {
		struct word group, values_group;

		names = line;
		line = next_line(line);
		if (file == HOST_SNMP6) {
			struct word field = next_word(&names);

			add_field(host, (struct word){"", 0}, field, next_word(&names));
			continue;
		}
		values = line;
		line = next_line(line);
		group = next_word(&names);
		values_group = next_word(&values);
		/* Lines that are no such pair are none of ours. */
		if (group.len < 2 || group.text[group.len - 1] != ':' || !is_word(values_group, group.text, group.len))
			continue;
		for (struct word field = next_word(&names); field.len; field = next_word(&names))
			add_field(host, group, field, next_word(&values));
	}
}

/* The whole file, malloc()ed, or NULL. */
static char *
read_file(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = fd >= 0 ? malloc(FILE_MAX) : NULL;
	size_t len = 0;
	ssize_t n;

	while (text && len < FILE_MAX - 1 && (n = read(fd, text + len, FILE_MAX - 1 - len)) > 0)
		len += (size_t)n;
	if (text)
		text[len] = 0;
	return text;
}

bool
counters_read_host(uint64_t *values)
{
	int64_t host[COUNTERS_HOST_COUNT] = {0};
	bool any = false;

	for (int file = 0; file < HOST_FILES; file++) {
		_cleanup_free_ char *text = read_file(paths[file]); /* a host without IPv6 has no snmp6 */

		if (text)
			counters_parse_host(host, file, text);
		any |= text != NULL;
	}
	/* They are not read at one instant, so what is left of a difference may for once be below 0. */
	for (int id = 0; id < COUNTERS_HOST_COUNT; id++)
		values[id] = host[id] > 0 ? (uint64_t)host[id] : 0;
	return any;
}

bool
counters_of_host(struct gofer *gofer, uint64_t *values)
{
	struct host_counters *host = &gofer->host_counters;
	int64_t now = now_ms();

	if (!host->read_ms || now - host->read_ms >= HOST_AGE_MS) {
		host->known = counters_read_host(host->value);
		host->read_ms = now;
	}
	memcpy(values + COUNTERS_HOST_FIRST, host->value, sizeof host->value);
	return host->known;
}
