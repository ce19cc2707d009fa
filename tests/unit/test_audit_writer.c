/*
 * That the writer writes all that it took, never keeps its caller waiting, and counts what it could not write.
 */
#include "gofer/audit_writer.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gofer/audit_record.h"

static char directory[] = "/tmp/splitsock-audit.XXXXXX";

static void
make_directory(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the gofer does */
	cr_assert(mkdtemp(directory) && chdir(directory) == 0);
}

static void
remove_directory(void)
{
	(void)!chdir("/");
	for (size_t i = 0; i < 3; i++) {
		char path[64];

		snprintf(path, sizeof path, "%s/%s", directory, (const char *[]){"audit.log", "audit.log.1", "fifo"}[i]);
		unlink(path);
	}
	rmdir(directory);
}

TestSuite(audit_writer, .init = make_directory, .fini = remove_directory, .timeout = 30);

static struct audit_writer *
start(const char *destination)
{
	char message[256] = "";
	struct audit_writer *writer = audit_writer_new(destination, message, sizeof message);

	cr_assert(writer, "%s", message);
	return writer;
}

static bool
put(struct audit_writer *writer, uint64_t lines)
{
	struct audit_record *record = calloc(1, sizeof *record);

	record->event = AUDIT_SUPPRESSED;
	record->lines = lines;
	return audit_writer_put(writer, record);
}

/* The numbers of a file's lines. */
static size_t
read_numbers(const char *path, uint64_t *numbers, size_t max)
{
	FILE *file = fopen(path, "re");
	char line[256];
	size_t count = 0;

	cr_assert(file, "%s", path);
	while (fgets(line, sizeof line, file)) {
		const char *at = strstr(line, "\"lines\":");

		cr_assert(at && line[0] == '{' && strcmp(at + strlen(at) - 2, "}\n") == 0, "%s", line);
		cr_assert(count < max);
		numbers[count++] = strtoull(at + 8, NULL, 10);
	}
	fclose(file);
	return count;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

Test(audit_writer, all_lines_come_in_order)
{
	static uint64_t numbers[20000];
	struct audit_writer *writer = start("audit.log");
	struct stat st;
	uint64_t put_count = 0, refused = 0;

	while (put_count + refused < 20000) {
		if (put(writer, put_count))
			put_count++;
		else
			refused++;
	}
	audit_writer_free(writer);
	cr_assert_eq(read_numbers("audit.log", numbers, 20000), put_count);
	for (uint64_t i = 0; i < put_count; i++)
		cr_assert_eq(numbers[i], i);
	cr_assert(stat("audit.log", &st) == 0);
	cr_expect_eq(st.st_mode & 0777 & ~0640u, 0);
}

Test(audit_writer, a_renamed_file_is_left_for_a_new_one)
{
	uint64_t numbers[4];
	struct audit_writer *writer = start("audit.log");

	put(writer, 1);
	/* Lines come within some 10 ms. */
	for (double end = now() + 5; now() < end && read_numbers("audit.log", numbers, 4) < 1;)
		usleep(1000);
	cr_assert(rename("audit.log", "audit.log.1") == 0);
	audit_writer_reopen(writer);
	for (double end = now() + 5; now() < end && access("audit.log", F_OK) < 0;)
		usleep(1000);
	put(writer, 2);
	audit_writer_free(writer);
	cr_assert_eq(read_numbers("audit.log.1", numbers, 4), 1);
	cr_assert_eq(numbers[0], 1);
	cr_assert_eq(read_numbers("audit.log", numbers, 4), 1);
	cr_assert_eq(numbers[0], 2);
}

Test(audit_writer, what_is_there_is_appended_to)
{
	uint64_t numbers[4];

	for (uint64_t i = 1; i <= 2; i++) {
		struct audit_writer *writer = start("audit.log");

		put(writer, i);
		audit_writer_free(writer);
	}
	cr_assert_eq(read_numbers("audit.log", numbers, 4), 2);
}

/* Whoever reads the FIFO does not: its 64 KiB fill up, and then the queue. */
Test(audit_writer, a_reader_that_stalls_holds_nobody_up)
{
	struct audit_writer *writer;
	unsigned refused = 0, taken = 0;
	double began, longest = 0;
	int reader;

	cr_assert(mkfifo("fifo", 0600) == 0);
	reader = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	writer = start("fifo");
	for (int i = 0; i < 3 * (int)AUDIT_QUEUE_MAX; i++) {
		double before = now(), took;

		*(put(writer, 1) ? &taken : &refused) += 1;
		took = now() - before;
		longest = took > longest ? took : longest;
	}
	cr_expect_gt(refused, 0);
	cr_expect_geq(taken, AUDIT_QUEUE_MAX);
	cr_expect_lt(longest, 1.0, "one put took %g s", longest);
	began = now();
	audit_writer_free(writer); /* does not wait for ever, either */
	cr_expect_lt(now() - began, AUDIT_END_SECONDS + 2.0);
	close(reader);
}

Test(audit_writer, what_a_full_disk_does_not_take_is_counted)
{
	struct audit_writer *writer = start("/dev/full");
	uint64_t lost = 0;

	for (int i = 0; i < 10; i++)
		put(writer, 1);
	for (double end = now() + 5; now() < end && lost < 10;)
		lost += audit_writer_lost(writer);
	cr_expect_eq(lost, 10);
	audit_writer_free(writer);
}

Test(audit_writer, a_place_that_is_none_is_refused)
{
	char message[256];

	cr_expect_null(audit_writer_new("no/such/directory", message, sizeof message));
	cr_expect(strstr(message, "no/such/directory: No such file or directory"), "%s", message);
	cr_assert(mkfifo("fifo", 0600) == 0);
	cr_expect_null(audit_writer_new("fifo", message, sizeof message), "a FIFO that nobody reads");
	cr_expect(strstr(message, "fifo: No such device or address"), "%s", message);
}
