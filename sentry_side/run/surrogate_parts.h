/*
 * What surrogate.c, surrogate_error.c and surrogate_datagram.c share. All of it is under surrogates.lock.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_RUN_SURROGATE_PARTS_H
#define SPLITSOCK_SENTRY_SIDE_RUN_SURROGATE_PARTS_H

#include "sentry_side/run/supervisor.h"

#define SURROGATE_BUFFER 212992 /* U's */
/* More than fit: an empty datagram takes more than 512 bytes of it. */
#define SURROGATE_TAGS 1024u

struct told_error {
	struct told_error *next; /* surrogate.errors */
	bool shown;              /* U has an entry for it */
	struct link_source source;
	size_t len;
	uint8_t data[];
};

struct surrogate {
	struct surrogate *next; /* surrogates.first, or gone */
	struct surrogates *all;
	struct link *link; /* referenced */
	int a, p;
	uint32_t a_events, p_events; /* what the thread waits for */
	uint64_t u_inode;
	struct sockaddr_in u_name, p_name;
	bool told[2];      /* IP_RECVERR, IPV6_RECVERR */
	bool gone;         /* its U; so are a and p */
	bool ended;        /* A has hung up */
	bool full;         /* U may have no room: A is not read */
	bool a_full;       /* P is not read */
	size_t unread;     /* U has at most so many bytes unread */
	struct told_error *errors; /* oldest first */
	unsigned error_count;
	bool fetching, fetch_again; /* entries are on their way from the gofer; there may be more afterwards */
	bool fetched;      /* some came */
	bool told_directly; /* the program was quicker than we, and got them from the gofer itself */
	int error;         /* raw: the pending error */
	int notice;        /* the error that the last notice was about */
	unsigned tag;
	struct link_source *sources[SURROGATE_TAGS]; /* by tag; cut to what is used; NULL: the peer */
};

/* surrogate_error.c. A duplicate of U, to be closed soon, or -1: nobody has it any more. */
int surrogate_borrow(struct surrogate *surrogate);
/* The gofer says that there is an error, or 0: that there may be more entries. */
void surrogate_fetch_errors(struct surrogate *surrogate, int error);
void surrogate_drop_errors(struct surrogate *surrogate);

/* surrogate_datagram.c. What the program has sent. */
void surrogate_move_up(struct surrogate *surrogate);
/* Both ways, and decides what to wait for. */
void surrogate_move(struct surrogate *surrogate);

#endif
