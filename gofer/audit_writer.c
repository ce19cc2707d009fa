/*
 * The loop's thread puts records into the queue and goes on; this thread encodes and writes them, and may wait for a disk or a journal as long as
 * those take. The queue is bounded, and who finds it full counts.
 *
 * Waking a thread costs more than queueing a record. So the thread, once it has been woken, lets more records come together before it takes them all:
 * it wakes a hundred times a second at most.
 */
#include "gofer/audit_writer.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "common/log.h"
#include "gofer/audit_record.h"

#define GATHER_MS 10
/* Lines that are written by one call. */
#define BUFFER_SIZE (64u * 1024u)
/* A record of the journal has no more fields; splitsock-audit(5) lists them. */
#define FIELDS_MAX 48

static_assert(AUDIT_LINE_MAX < BUFFER_SIZE, "a line fits the buffer");

struct audit_writer {
	pthread_mutex_t lock; /* guards what follows, down to lost */
	pthread_cond_t changed;
	struct audit_record *first, **last;
	size_t waiting;
	bool stop, reopen;
	uint64_t lost;

	/* the thread's own */
	pthread_t thread;
	char *path; /* NULL: no file */
	bool journal;
	int fd;
	bool torn;  /* what was written last has no end of line */
	time_t told; /* when an error was logged last */
	size_t used, lines; /* in the buffer */
	char buffer[BUFFER_SIZE];
};

/* ---- files -------------------------------------------------------------------------------------- */

/* A FIFO that nobody reads is refused (ENXIO), not waited for. */
static int
open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	/* This thread may wait. */
	if (fd >= 0 && fcntl(fd, F_SETFL, O_APPEND) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
lose(struct audit_writer *writer, size_t lines, int error)
{
	time_t now = time(NULL);

	pthread_mutex_lock(&writer->lock);
	writer->lost += lines;
	pthread_mutex_unlock(&writer->lock);
	if (!error || writer->told == now)
		return;
	writer->told = now;
	log_error("audit: %zu lines are lost: %s", lines, strerror(error));
}

static void
flush(struct audit_writer *writer)
{
	size_t off = 0;

	while (off < writer->used) {
		ssize_t n = write(writer->fd, writer->buffer + off, writer->used - off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			size_t ends = 0;
			int error = errno;

			for (size_t i = 0; i < off; i++)
				ends += writer->buffer[i] == '\n';
			writer->torn = off ? writer->buffer[off - 1] != '\n' : writer->torn;
			lose(writer, writer->lines - ends, error);
			writer->used = writer->lines = 0;
			return;
		}
		off += (size_t)n;
	}
	if (off)
		writer->torn = false;
	writer->used = writer->lines = 0;
}

static void
write_line(struct audit_writer *writer, const char *line)
{
	size_t len = strlen(line);

	if (len > AUDIT_LINE_MAX) {
		lose(writer, 1, EMSGSIZE);
		return;
	}
	if (writer->used + len + 2 > BUFFER_SIZE)
		flush(writer);
	/* What an error has cut short stays a line of its own. */
	if (writer->torn && !writer->used)
		writer->buffer[writer->used++] = '\n';
	memcpy(writer->buffer + writer->used, line, len);
	writer->used += len;
	writer->buffer[writer->used++] = '\n';
	writer->lines++;
}

static void
reopen_file(struct audit_writer *writer)
{
	int fd = writer->path ? open_file(writer->path) : -1;

	if (!writer->path)
		return;
	flush(writer);
	if (fd < 0) {
		log_error("audit: %s cannot be opened again, the old file stays: %s", writer->path, strerror(errno));
		return;
	}
	close(writer->fd);
	writer->fd = fd;
	writer->torn = false;
}

/* ---- the journal -------------------------------------------------------------------------------- */

struct fields {
	struct iovec iovs[FIELDS_MAX];
	int count;
	bool failed;
};

__attribute__((format(printf, 2, 3))) static void
add_field(struct fields *fields, const char *format, ...)
{
	char *text;
	va_list args;
	int len;

	va_start(args, format);
	len = fields->count < FIELDS_MAX ? vasprintf(&text, format, args) : -1;
	va_end(args);
	if (len < 0)
		fields->failed = true;
	else
		fields->iovs[fields->count++] = (struct iovec){text, (size_t)len};
}

/* SPLITSOCK_KEY=value; of an object within, SPLITSOCK_KEY_KEY; of an array, the field several times, which the journal allows. */
static void
add_value(struct fields *fields, const char *name, json_t *value)
{
	json_t *member;
	const char *key;
	char inner[64];
	size_t i;

	if (json_is_integer(value))
		add_field(fields, "%s=%lld", name, (long long)json_integer_value(value));
	else if (json_is_string(value))
		add_field(fields, "%s=%s", name, json_string_value(value));
	json_array_foreach(value, i, member)
		add_value(fields, name, member);
	json_object_foreach(value, key, member) {
		snprintf(inner, sizeof inner, "%s_%s", name, key);
		for (char *at = inner; *at; at++)
			*at = (char)toupper((unsigned char)*at);
		add_value(fields, inner, member);
	}
}

static void
write_journal(struct audit_writer *writer, enum audit_event event, json_t *object, const char *line)
{
	struct fields fields = {.count = 0};
	int error;

	add_field(&fields, "MESSAGE=%s", line);
	add_field(&fields, "PRIORITY=%d", event == AUDIT_DENIED || event == AUDIT_SUPPRESSED ? LOG_WARNING : LOG_INFO);
	add_field(&fields, "SYSLOG_IDENTIFIER=splitsock-gofer");
	add_value(&fields, "SPLITSOCK", object);
	error = fields.failed ? -ENOMEM : sd_journal_sendv(fields.iovs, fields.count);
	if (error < 0)
		lose(writer, 1, -error);
	for (int i = 0; i < fields.count; i++)
		free(fields.iovs[i].iov_base);
}

/* ---- the thread --------------------------------------------------------------------------------- */

static void
write_record(struct audit_writer *writer, const struct audit_record *record)
{
	json_t *object = audit_record_json(record);
	char *line = object ? audit_record_line(object) : NULL;

	if (!line)
		lose(writer, 1, ENOMEM);
	else if (writer->journal)
		write_journal(writer, record->event, object, line);
	else
		write_line(writer, line);
	free(line);
	json_decref(object);
}

static void
gather(struct audit_writer *writer)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += GATHER_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	/* Who is told of a full queue half way does not lose what comes meanwhile. */
	while (!writer->stop && writer->waiting < AUDIT_QUEUE_MAX / 2)
		if (pthread_cond_timedwait(&writer->changed, &writer->lock, &until) == ETIMEDOUT)
			return;
}

static void *
write_all(void *arg)
{
	struct audit_writer *writer = arg;
	struct audit_record *record;
	bool stop, reopen;

	do {
		pthread_mutex_lock(&writer->lock);
		while (!writer->first && !writer->stop && !writer->reopen)
			pthread_cond_wait(&writer->changed, &writer->lock);
		gather(writer);
		record = writer->first;
		writer->first = NULL;
		writer->last = &writer->first;
		writer->waiting = 0;
		stop = writer->stop;
		reopen = writer->reopen;
		writer->reopen = false;
		pthread_mutex_unlock(&writer->lock);
		if (reopen)
			reopen_file(writer);
		while (record) {
			struct audit_record *next = record->next;

			write_record(writer, record);
			audit_record_free(record);
			record = next;
		}
		flush(writer);
	} while (!stop);
	return NULL;
}

/* ---- the loop's side ---------------------------------------------------------------------------- */

bool
audit_writer_put(struct audit_writer *writer, struct audit_record *record)
{
	bool room;

	record->next = NULL;
	pthread_mutex_lock(&writer->lock);
	room = writer->waiting < AUDIT_QUEUE_MAX;
	if (room) {
		*writer->last = record;
		writer->last = &record->next;
		writer->waiting++;
		if (writer->waiting == 1 || writer->waiting == AUDIT_QUEUE_MAX / 2)
			pthread_cond_signal(&writer->changed);
	}
	pthread_mutex_unlock(&writer->lock);
	if (!room)
		audit_record_free(record);
	return room;
}

void
audit_writer_reopen(struct audit_writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	writer->reopen = true;
	pthread_cond_signal(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
}

uint64_t
audit_writer_lost(struct audit_writer *writer)
{
	uint64_t lost;

	pthread_mutex_lock(&writer->lock);
	lost = writer->lost;
	writer->lost = 0;
	pthread_mutex_unlock(&writer->lock);
	return lost;
}

/* ---- life --------------------------------------------------------------------------------------- */

static void
writer_destroy(struct audit_writer *writer)
{
	if (writer->path)
		close(writer->fd);
	pthread_cond_destroy(&writer->changed);
	pthread_mutex_destroy(&writer->lock);
	free(writer->path);
	free(writer);
}

struct audit_writer *
audit_writer_new(const char *destination, char *message, size_t message_size)
{
	struct audit_writer *writer = calloc(1, sizeof *writer);
	pthread_condattr_t monotonic;
	int error;

	if (!writer) {
		snprintf(message, message_size, "no memory");
		return NULL;
	}
	writer->last = &writer->first;
	writer->fd = STDERR_FILENO;
	writer->journal = strcmp(destination, "journald") == 0;
	pthread_mutex_init(&writer->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&writer->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (!writer->journal && strcmp(destination, "stderr") != 0) {
		writer->path = strdup(destination);
		writer->fd = writer->path ? open_file(destination) : -1;
	}
	if (writer->fd < 0) {
		snprintf(message, message_size, "%s: %s", destination, strerror(errno));
		free(writer->path);
		writer->path = NULL;
		writer_destroy(writer);
		return NULL;
	}
	error = pthread_create(&writer->thread, NULL, write_all, writer);
	if (error) {
		snprintf(message, message_size, "no thread for it: %s", strerror(error));
		writer_destroy(writer);
		return NULL;
	}
	return writer;
}

void
audit_writer_free(struct audit_writer *writer)
{
	struct timespec until;

	if (!writer)
		return;
	pthread_mutex_lock(&writer->lock);
	writer->stop = true;
	pthread_cond_signal(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += AUDIT_END_SECONDS;
	if (pthread_timedjoin_np(writer->thread, NULL, &until) == 0) {
		writer_destroy(writer);
		return;
	}
	/* It still has the writer: what it waits for may come yet. */
	log_error("audit: what was waiting is lost: it could not be written in %d s", AUDIT_END_SECONDS);
	pthread_detach(writer->thread);
}
