/*
 * Programs of src/, run bare or behind splitsock-run, as root or as nobody, with what they say collected.
 */
#ifndef SPLITSOCK_TESTS_BOUNDARY_PROGRAMS_H
#define SPLITSOCK_TESTS_BOUNDARY_PROGRAMS_H

#include "tests/boundary/gofer.h"

enum { NOBODY = 65534, ARGS_MAX = 16 };

struct run {
	const struct gofer *gofer; /* NULL: bare */
	bool isolate, as_nobody;
	const char *directory; /* where the binaries are copies; NULL: in place */
	int keep_fd;           /* a descriptor that the program inherits, or 0 */
};

struct program {
	pid_t pid; /* of splitsock-run, or of the program itself where it is bare */
	int out, err, in; /* -1: none */
	char said[16384], complained[16384];
	size_t said_len, complained_len;
};

/* Copies splitsock-run, the gofer and the program into a new directory that everybody may read. */
void programs_copy(char *directory, const char *program);
void programs_remove(const char *directory);

/* arguments[0] is the binary's name. */
void program_start(struct program *program, const struct run *run, const char *const *arguments);
/* Reads what it says until this line has come. False: it did not within timeout_ms. */
bool program_says(struct program *program, const char *line, int timeout_ms);
/* Its end and everything that it has said. Returns the wait status, or -1 after timeout_ms; it is then killed. */
int program_end(struct program *program, int timeout_ms);
/* The number behind `name ` at the start of a line of what it has said, or -1. */
long program_number(const struct program *program, const char *name);

#endif
