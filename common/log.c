#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *program_name = "splitsock";

void
log_open(const char *program)
{
	program_name = program;
}

void
log_line(int priority, const char *format, ...)
{
	char line[1024];
	int used;
	va_list args;

	if (getenv("JOURNAL_STREAM"))
		used = snprintf(line, sizeof line, "<%d>", priority);
	else
		used = snprintf(line, sizeof line, "%s: ", program_name);
	va_start(args, format);
	vsnprintf(line + used, sizeof line - (size_t)used - 1, format, args);
	va_end(args);
	/* Whatever is quoted in it, it is one line, and no terminal obeys it. */
	for (char *at = line; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	/* One write, so that lines of several processes do not mix. A terminal in raw mode has no say here. */
	dprintf(STDERR_FILENO, "%s\n", line);
}
