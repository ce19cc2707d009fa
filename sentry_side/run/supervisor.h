/*
 * The supervisor: answers the trapped system calls of the program and its descendants, for splitsock-run and splitsock-agent alike.
 *
 * One thread receives notifications; replies of the gofer are handled on the threads that bring them, so that a trapped call
 * is answered without another hand-over. One lock covers all of it. No trapped call is ever waited for with the lock held: a
 * call that cannot be answered at once becomes a struct pending.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_RUN_SUPERVISOR_H
#define SPLITSOCK_SENTRY_SIDE_RUN_SUPERVISOR_H

#include <linux/seccomp.h>

#include "sentry_side/link.h"
#include "sentry_side/run/procnet.h"
#include "sentry_side/run/surrogate.h"

struct pidfd {
	uint32_t tid;
	int fd;
};

#define PIDFDS 64

/* Who has started the program here and has to do with its end and its signals. */
struct starter {
	int fd; /* readable when there is something for hear() */
	void (*hear)(struct starter *starter);
	bool satisfied; /* nothing is left to wait for */
};

struct supervisor {
	struct ss ss;
	int notify_fd, epoll_fd;
	struct starter *starter; /* NULL: nobody here; the program's end is that of its last process */
	struct procnet procnet;
	struct surrogates surrogates;
	bool ends_with_session; /* the loop does, so that another session can be opened */
	atomic_bool session_over;
	bool gofer_is_private; /* started for this command, with its user's rights */
	bool killable;    /* signals do not end a call that we have received: we see to that */
	pthread_mutex_t lock; /* guards what follows, and the handling of a trap */
	struct pending *pendings;
	atomic_size_t pending_count; /* of them; looked at without the lock */
	struct pidfd pidfds[PIDFDS];
	bool told_down, told_refused, told_out_of_reach; /* on standard error */
	struct link *interfaces; /* a socket of our own that asks for interfaces on behalf of AF_UNIX sockets */
	int interfaces_fd; /* its A, kept open */
};

/* One trapped system call. */
struct trap {
	struct supervisor *supervisor;
	struct seccomp_notif call;
	struct link *link; /* what its descriptor stands for, referenced */
	int a;             /* a duplicate of that descriptor, given back just before the answer: -1 afterwards */
	bool watched;      /* supervisor.epoll_fd waits for it */
};

/* A trapped call that waits: for a reply of the gofer, or for its A to become ready. */
struct pending {
	struct pending *next, **prev; /* supervisor.pendings */
	struct trap trap;
	int64_t deadline_ms; /* 0: none */
	int deadline_error;  /* what the call returns then */
	bool may_have_signal; /* at the check before */
	bool abandoned;      /* the program no longer waits: a signal, or its end */

	/* Waiting for A: tried again when it is ready; true when the call is answered. NULL: waiting for the gofer. */
	bool (*retry)(struct pending *pending);

	/* Waiting for the gofer. */
	void (*abandon)(struct pending *pending);
	void (*finish)(struct pending *pending, const struct link_result *result);
	uint32_t call_id;

	/* What the call needs to remember. */
	bool nonblocking;
	bool retried;
	int level, name;
	struct sockaddr_storage address;
	socklen_t address_len;
	uint64_t value_at, len_at; /* in the program */
	uint32_t room;
	size_t count;
	size_t let_go; /* surrogates.let_go when it was asked */
	int socket_fd; /* A that the program does not have yet */
};

/* Exactly one of these ends a trap's handling. */
bool trap_return(struct trap *trap, int64_t value); /* false: the program did not wait any more */
bool trap_error(struct trap *trap, int error);
void trap_continue(struct trap *trap);
/* 0 or a negative errno gives value 0 or that errno. */
bool trap_answer(struct trap *trap, int error);

/* Whether the program still waits for the answer: checked after its memory was read, and before it is written. */
bool trap_valid(struct trap *trap);

/* Puts fd into the program. Returns its number there and answers the call with it, or a negative errno. */
/* Closes *fd first where it can, so that the program alone holds it; *fd is then -1. */
int trap_add_fd(struct trap *trap, int *fd, bool cloexec);
/* Replaces the program's descriptor number by fd. */
int trap_replace_fd(struct trap *trap, int number, int fd);

/* Moves the trap into a pending one: the trap is no longer the caller's. NULL: out of memory, and answered so. */
struct pending *pending_new(struct trap *trap);
void pending_free(struct pending *pending);
/* For link_<operation>(): calls pending->finish with the lock held, and frees it, unless finish has set pending->finish anew. */
void pending_done(void *arg, const struct link_result *result);
/* After a link_<operation>() that returned error: answers the trap if it failed to start. */
void pending_started(struct pending *pending, int error);
/* Waits for A to be ready for `events`, then retries. `timeout_option` names the SO_*TIMEO that bounds it. */
void pending_wait(struct pending *pending, uint32_t events, int timeout_option);
/* The same from within finish(). */
void pending_wait_on(struct pending *pending, uint32_t events, int timeout_option);

/* A thread that makes a call waits for no other. */
void pending_drop_of(struct supervisor *supervisor, uint32_t tid);

enum supervisor_end {
	SUPERVISOR_FAILED,       /* said why */
	SUPERVISOR_DONE,         /* no process is left */
	SUPERVISOR_SESSION_OVER, /* with ends_with_session: no call is pending either */
};

void supervisor_init(struct supervisor *supervisor);
/*
 * Serves the program, with supervisor->ss initialized and the notification descriptor in place, until no process is left under the filter and
 * its starter is satisfied. `first` is a call that has been received already, or NULL.
 */
enum supervisor_end supervisor_run(struct supervisor *supervisor, const struct seccomp_notif *first);
/* Lets go of everything but the notification descriptor, ending the session. */
void supervisor_release(struct supervisor *supervisor);

/* The process that a thread belongs to. */
pid_t thread_group(uint32_t tid);

/* From trap.c: handles one notification, with the lock held. */
void trap_handle(struct supervisor *supervisor, const struct seccomp_notif *call);

/* memory.c: the program's memory. False: EFAULT. */
bool target_read(struct trap *trap, uint64_t address, void *buffer, size_t len);
/* How much could be read: up to the first page that is not there. */
size_t target_read_some(struct trap *trap, uint64_t address, void *buffer, size_t len);
bool target_write(struct trap *trap, uint64_t address, const void *buffer, size_t len);
/* Scatters or gathers over the program's iovec, as far as it reaches. */
bool target_gather(struct trap *trap, const struct iovec *iov, size_t count, void *buffer, size_t len);
bool target_scatter(struct trap *trap, const struct iovec *iov, size_t count, const void *buffer, size_t len);

/* The handlers, by what they are about. */
void trap_socket(struct trap *trap);
/* A raw or packet socket was not to be had: says why, once, where that is the caller's own lack of rights. */
void say_why_refused(struct trap *trap, int error);
void trap_packet_socket(struct trap *trap);
/* Any call on a packet socket. */
void trap_packet(struct trap *trap);
void trap_connect(struct trap *trap);
void trap_bind(struct trap *trap);
void trap_listen(struct trap *trap);
void trap_accept(struct trap *trap);
void trap_getsockname(struct trap *trap);
void trap_getpeername(struct trap *trap);
void trap_shutdown(struct trap *trap);
void trap_setsockopt(struct trap *trap);
void trap_getsockopt(struct trap *trap);
void trap_ioctl(struct trap *trap);
/* Whether the ioctl asks about network interfaces, which any socket may. */
bool is_interface_ioctl(uint32_t request);
void trap_sendto(struct trap *trap);
void trap_sendmsg(struct trap *trap);
void trap_sendmmsg(struct trap *trap);
void trap_recvfrom(struct trap *trap);
void trap_recvmsg(struct trap *trap);
void trap_recvmmsg(struct trap *trap);

/* Writes a name where accept, getsockname or recvfrom want it. Returns 0 or a positive errno. */
int give_name(struct trap *trap, const struct link_name *name, uint64_t address_at, uint64_t len_at);

#endif
