/*
 * The corpora: each of their files through each harness, under sanitizers, without mutation. And the harnesses themselves: each finds the bug
 * that planted.c has for it, with the fuzzer's engine, from the seeds.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const harnesses[] = {FUZZ_HARNESSES};
#define HARNESSES (sizeof harnesses / sizeof *harnesses)

/* What the shell says, and its status. */
__attribute__((format(printf, 3, 4))) static int
run(char *said, size_t size, const char *format, ...)
{
	char command[4096];
	va_list args;
	FILE *pipe;
	size_t len = 0;

	va_start(args, format);
	vsnprintf(command, sizeof command, format, args);
	va_end(args);
	pipe = popen(command, "r");
	cr_assert_not_null(pipe);
	/* The end of what is long: what failed is told there. */
	while (!feof(pipe)) {
		if (len > size / 2) {
			memmove(said, said + len / 2, len - len / 2);
			len -= len / 2;
		}
		len += fread(said + len, 1, size - 1 - len, pipe);
	}
	said[len] = '\0';
	return pclose(pipe);
}

static unsigned
files_in(const char *harness)
{
	char path[4096];
	unsigned count = 0;
	DIR *directory;

	snprintf(path, sizeof path, "%s/%s", FUZZ_CORPUS, harness);
	directory = opendir(path);
	cr_assert_not_null(directory, "%s is not there", path);
	for (struct dirent *entry; (entry = readdir(directory));)
		count += *entry->d_name != '.';
	closedir(directory);
	return count;
}

static struct criterion_test_params
each_harness(void)
{
	static char names[HARNESSES][32];

	for (size_t i = 0; i < HARNESSES; i++)
		snprintf(names[i], sizeof names[i], "%s", harnesses[i]);
	return cr_make_param_array(char[32], names, HARNESSES);
}

static const char *
bin(void)
{
	const char *given = getenv("SPLITSOCK_BIN");

	return given ? given : FUZZ_BIN;
}

ParameterizedTestParameters(fuzz, corpora)
{
	return each_harness();
}

ParameterizedTest(char (*harness)[32], fuzz, corpora, .timeout = 120)
{
	static char said[65536];
	char expected[64];
	unsigned files = 0;
	int status;

	for (size_t i = 0; i < HARNESSES; i++)
		files += files_in(harnesses[i]);
	cr_assert_geq(files_in(*harness), 1, "%s has no corpus", *harness);
	/* Named one by one: of a directory the engine would choose. Each says that it was executed. */
	status = run(said, sizeof said, "cd %s && %s/fuzz-%s -timeout=10 -rss_limit_mb=2048 */* 2>&1 | awk '/^Executed /{ n++; next } /^Running: /{ next } "
	             "{ print } END { print \"executed\", n }'", FUZZ_CORPUS, bin(), *harness);
	snprintf(expected, sizeof expected, "executed %u\n", files);
	cr_assert_eq(status, 0);
	cr_assert(strstr(said, expected), "%s: not all of %u files\n%s", *harness, files, said);
}

ParameterizedTestParameters(fuzz, a_planted_bug_is_found)
{
	return each_harness();
}

ParameterizedTest(char (*harness)[32], fuzz, a_planted_bug_is_found, .timeout = 120)
{
	static char said[65536];
	int status;

	/* From the seeds alone, always the same way. */
	status = run(said, sizeof said,
	             "set -e; d=$(mktemp -d); trap 'rm -rf \"$d\"' EXIT; cp %s/%s/seed-* \"$d\"; mkdir \"$d/new\"; cd \"$d\";"
	             " %s/fuzz-%s-planted -seed=1 -use_value_profile=0 -max_total_time=90 -artifact_prefix=\"$d/\" new . 2>&1",
	             FUZZ_CORPUS, *harness, bin(), *harness);
	cr_assert_neq(status, 0, "%s found nothing\n%s", *harness, said);
	cr_assert(strstr(said, "AddressSanitizer: heap-buffer-overflow"), "%s\n%s", *harness, said);
	cr_assert(strstr(said, "in write_behind_a_block "), "%s: not the planted one\n%s", *harness, said);
}
