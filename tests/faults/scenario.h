/*
 * What a client does while something fails: each part of a program's life with sockets once. It runs behind libsplitsock (the gofer's points) and
 * as a program behind splitsock-run (the supervisor's).
 *
 * Any errno is a fair answer to a fault, and so is a connection's end. What is not: an answer that never comes, and wrong bytes.
 */
#ifndef SPLITSOCK_TESTS_FAULTS_SCENARIO_H
#define SPLITSOCK_TESTS_FAULTS_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* The calls that do not go to the kernel. All others are the plain ones. */
struct socket_calls {
	int (*socket)(int family, int type, int protocol);
	int (*bind)(int fd, const struct sockaddr *address, socklen_t len);
	int (*connect)(int fd, const struct sockaddr *address, socklen_t len);
	int (*listen)(int fd, int backlog);
	int (*accept4)(int fd, struct sockaddr *address, socklen_t *len, int flags);
	int (*getsockname)(int fd, struct sockaddr *address, socklen_t *len);
	int (*getpeername)(int fd, struct sockaddr *address, socklen_t *len);
	int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *len);
	int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t len);
	int (*shutdown)(int fd, int how);
	ssize_t (*sendto)(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t len);
	ssize_t (*recvfrom)(int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *len);
	ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
	ssize_t (*recvmsg)(int fd, struct msghdr *message, int flags);
};

extern const struct socket_calls kernel_calls;

enum result {
	RESULT_OK,
	RESULT_ERROR, /* an errno, or a clear end */
	RESULT_LOST,  /* nothing came, in PATIENCE_MS */
	RESULT_WRONG, /* something that cannot be */
};

struct step {
	const char *name;
	enum result (*run)(const struct socket_calls *near, const struct socket_calls *far);
	bool brief; /* in the short form, too */
};

/* Ends with an entry without a name. */
extern const struct step scenario_steps[];

/* Exit statuses of who runs a scenario. */
enum { SCENARIO_OK, SCENARIO_LOST = 10, SCENARIO_WRONG, SCENARIO_ERROR };

/*
 * Runs them all, or the brief ones. `strict`: nothing fails, so that an error is one, too. `begins` is told each step's name. Returns an
 * exit status, and in *failed the step that it is about.
 */
int scenario_run(const struct socket_calls *near, const struct socket_calls *far, bool brief, bool strict,
                 void (*begins)(const char *name), const char **failed);

#endif
