/*
 * Where the audit's records go: a bounded queue, and a thread of its own that writes them.
 */
#ifndef SPLITSOCK_GOFER_AUDIT_WRITER_H
#define SPLITSOCK_GOFER_AUDIT_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Records that wait: some 10 MB. At 100,000 a second, which is more than there are connects, they last for 80 ms of a disk that does not answer. */
#define AUDIT_QUEUE_MAX 8192u

struct audit_record;
struct audit_writer;

/*
 * destination: "journald", "stderr", or the path of a file, which is made (mode 0640) or appended to. NULL after writing what is wrong to message.
 * Its thread takes the caller's signal mask.
 */
struct audit_writer *audit_writer_new(const char *destination, char *message, size_t message_size);

/* Queues the record and takes it over; never waits. False: the queue is full, and the record is freed. From one thread alone. */
bool audit_writer_put(struct audit_writer *writer, struct audit_record *record);

/* Opens the file again, which has been renamed: the thread does, before it writes on. The old one stays when that fails. */
void audit_writer_reopen(struct audit_writer *writer);

/* Records that could not be written since this was asked last. */
uint64_t audit_writer_lost(struct audit_writer *writer);

/* Writes what waits, for AUDIT_END_SECONDS at most, and ends. Takes NULL. */
#define AUDIT_END_SECONDS 2
void audit_writer_free(struct audit_writer *writer);

#endif
