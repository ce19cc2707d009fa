/*
 * A real gofer under test: started, looked at from outside (/proc), ended. Every failure is an assertion of the test that runs.
 */
#ifndef SPLITSOCK_TESTS_BOUNDARY_GOFER_H
#define SPLITSOCK_TESTS_BOUNDARY_GOFER_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/clock.h"

/* Sanitizers slow everything down and keep freed memory: times are stretched, and memory is not measured. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOW 4
#define MEASURES_MEMORY 0
#else
#define SLOW 1
#define MEASURES_MEMORY 1
#endif

struct gofer {
	pid_t pid; /* 0: none runs */
	char directory[64];
	char path[96]; /* of the control socket */
	char url[112];
	char log[96]; /* where its stderr goes */
};

/* $SPLITSOCK_BIN/name, or build/bin/name. */
void binary(const char *name, char *path, size_t size);

/* A new directory with the paths in it; starts nothing. */
void gofer_prepare(struct gofer *gofer);
/* Runs one with --listen and --policy open and these further arguments (NULL-terminated, or NULL), and waits until it is ready. */
void gofer_launch(struct gofer *gofer, const char *const *more);
/* Both. */
void gofer_start(struct gofer *gofer, const char *const *more);
/* SIGTERM; asserts a clean end, which a sanitizer's report would not be. Removes the directory. */
void gofer_stop(struct gofer *gofer);
/* Ends it the hard way, and leaves its files. */
void gofer_kill(struct gofer *gofer);
void gofer_remove_files(struct gofer *gofer);
/* What a failed test has left: its gofer, of which the log is shown, and its files. */
void gofer_clean(struct gofer *gofer);

/*
 * A test around a gofer, for files with functions stop() and clean(). A failed assertion in .fini would not fail the test, so the gofer's
 * end is looked at in the body.
 */
#define GOFER_TEST(suite, name, start)                   \
	static void name##_body(void);                   \
	Test(suite, name, .init = start, .fini = clean)  \
	{                                                \
		name##_body();                           \
		stop();                                  \
	}                                                \
	static void name##_body(void)

/* Runs until the child ends, at most timeout_ms. Returns its wait status, or -1 after killing it. */
int wait_for(pid_t pid, int timeout_ms);

void sleep_ms(int ms);

bool alive(pid_t pid);
int fd_count(pid_t pid);
/* The same once it has not changed for a while: what a gofer had for the client that looked whether it is ready goes a moment later. */
int fd_count_settled(pid_t pid);
/* Waits until the process has at most `count` descriptors. Returns the milliseconds that took, or -1 after timeout_ms. */
int wait_for_fds(pid_t pid, int count, int timeout_ms);
/* In KiB. The peak is since the last memory_reset_peak(). */
long memory_now(pid_t pid);
long memory_peak(pid_t pid);
void memory_reset_peak(pid_t pid);
/* Of data that is allocated, touched or not. */
long memory_allocated(pid_t pid);
/* Processor time that it has used, in milliseconds. */
int64_t cpu_ms(pid_t pid);

/* The whole file, or as much as fits. Terminated. */
size_t slurp(const char *path, char *text, size_t size);

#endif
