/*
 * A UDP socket in the program's hands in place of A.
 *
 * An AF_UNIX socket can show neither a pending error nor an error queue. So when a program asks a datagram or raw socket for its errors
 * (IP_RECVERR, IPV6_RECVERR), its descriptor becomes a UDP socket, U, on the loopback of the supervisor's own network namespace, which
 * leads nowhere else. See surrogate.c.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_RUN_SURROGATE_H
#define SPLITSOCK_SENTRY_SIDE_RUN_SURROGATE_H

#include "sentry_side/link.h"

struct trap;

struct surrogates {
	bool possible;   /* the supervisor has a network namespace to itself, and nothing has failed there */
	struct ss *ss;
	int loadavg;     /* for sole.h */
	bool running;    /* what follows is set up */
	int icmp;        /* a raw socket, which makes errors */
	int sink;        /* what takes datagrams that are sent for their time stamps */
	struct sockaddr_in sink_name;
	int epoll_fd;    /* of the thread: every A, every P, and the next two */
	int diag;        /* tells of UDP sockets that end; -1: none */
	int stop;        /* an eventfd */
	int alive;       /* an epoll set of all U's, which holds none of them */
	pthread_t thread;
	atomic_size_t let_go; /* how many surrogates there were that are no more */
	bool heard;      /* something from diag: it works here */
	pthread_mutex_t lock; /* guards what follows, and every surrogate */
	struct surrogate *first, *gone; /* those without a U are freed by the thread alone */
	size_t count, limit; /* of surrogates: each takes two descriptors of ours */
	bool sweep_soon; /* some that are gone could not be let go of */
	size_t full;     /* surrogates that wait for the program to read */
};

void surrogates_init(struct surrogates *surrogates, struct ss *ss);
/* The network namespace is ours alone. */
void surrogates_allow(struct surrogates *surrogates);
void surrogates_stop(struct surrogates *surrogates);
/* Lets go of the sockets that the program has closed, which otherwise takes a moment. Returns surrogates.let_go. */
size_t surrogates_sweep(struct surrogates *surrogates);

/*
 * The program sets IP_RECVERR (v6: IPV6_RECVERR) to `on`. Gives it a U where it may have one: where its descriptor is the only one for this
 * socket, and in no epoll set yet. trap->a is a duplicate of U from then on.
 */
void surrogate_set_told(struct trap *trap, bool v6, bool on);

/* What follows is for links that have a surrogate, with u a duplicate of U. */

/* Passes on what the program has sent, so that control comes after data. */
void surrogate_flush(struct link *link);
/* The link was connected, or its connection dissolved. */
void surrogate_connected(struct link *link, int u);
void surrogate_shutdown(struct link *link, int how);
/* The pending error, which is then no more: a positive errno, or 0. */
int surrogate_error(struct link *link, int u);
/* As link_receive(). */
ssize_t surrogate_receive(struct link *link, int u, struct msghdr *message, int flags, struct link_source *source);
/* Takes the datagram that was looked at last. */
void surrogate_consume(int u);
/* The oldest entry of the error queue, into a buffer of LINK_VALUE_MAX; *len bytes of the datagram it is about. False: none is here. */
bool surrogate_take_error(struct link *link, int u, struct link_source *source, void *datagram, size_t *len);
/* The program was told of an entry that only the gofer had. */
void surrogate_error_told(struct link *link);

#endif
