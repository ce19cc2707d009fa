/*
 * One socket of a client: the host's socket, the link to the program's descriptor, and the relay between them.
 */
#ifndef SPLITSOCK_GOFER_SOCK_H
#define SPLITSOCK_GOFER_SOCK_H

#include <netinet/in.h>

#include "gofer/session.h"

enum sock_state {
	SOCK_NEW,        /* a link, but no host socket yet: only open is legal */
	SOCK_OPEN,       /* a host socket: every operation is legal; datagram sockets stay here */
	SOCK_CONNECTING, /* a stream connect is under way */
	SOCK_CONNECTED,  /* a stream that relays */
	SOCK_LISTENING,  /* host connections become records on the link */
	SOCK_RESET,      /* the host's side is gone, or its connect has failed: the link waits for a byte to leave unread, or is awaited */
	SOCK_STATES
};

/* Bytes read from one side that the other would not take yet. */
struct held {
	uint8_t *data;
	size_t off, len;
	bool urgent; /* it is one byte of urgent data */
};

/* The last address that the host's routes were asked about. */
struct reach_seen {
	int64_t until_ms;
	uint32_t scope;
	uint8_t address[16];
	enum policy_reach reach;
};

/* A call that waits for a connect to end. */
struct waiter {
	struct waiter *next; /* sock.waiters */
	uint32_t call;
	uint32_t done; /* operations of its batch that ran before */
	bool on_channel, no_reply;
};

struct sock {
	uint64_t handle; /* key in session.socks */
	struct session *session;
	enum sock_state state;
	int family, type, protocol;
	struct watch host, link; /* fd -1 where there is none */
	bool interfaces_only;    /* policy grants no socket, but questions about interfaces */
	int error;               /* a failure the host told us and the program has not asked for yet */
	uint32_t error_number;   /* of the last notice of one (datagram) */
	struct waiter *waiters;
	struct queued_error *errors; /* see error_queue.h; oldest first */
	unsigned error_count;

	/* stream */
	bool up_urgent, down_urgent; /* urgent data may come that way: look where in the stream it is */
	uint32_t plug;           /* filler still to be read from the link before the program's own bytes */
	uint64_t listener;       /* of a connection: the handle of who announced it */
	struct sock *next_listening, **prev_listening; /* session.listening; NULL: not there */
	int ahead;               /* listener: records that may wait in the link; the rest of the backlog waits in the host */
	int record_cost;         /* listener: what one record adds to SIOCOUTQ */
	struct held up, down;    /* towards the host; towards the program */
	struct splice_pipe *pipe; /* holds bytes towards the program instead of `down` while a bulk transfer runs */
	bool up_ended;           /* the program's FIN was passed on, or the host takes no more; datagram: the link's end was read */
	bool down_ended;         /* the peer's FIN was passed on; datagram: the program has shut it down for reading */

	/* both: what the relays found */
	bool link_hung_up;
	bool link_full; /* it refused a record or datagram; wait until it takes more */
	bool host_full;
	bool starved;   /* a listener that has no descriptors or quota left to accept with; retried every TICK_MS */

	uint64_t bytes_to_host, bytes_to_program; /* passed on */
	struct audited *audited; /* for audit.c; NULL: nothing was said of it */

	/* what policy made of it: see permission.h */
	struct policy_egress egress; /* as the host's socket is set up */
	struct rewrites *rewrites;
	uint16_t published;      /* the port that the program bound, where the host has another; 0: none */
	struct reach_seen reach_seen;

	/* datagram */
	bool has_peer;           /* connected */
	bool own_header;         /* raw: the client writes the IP header; as the host's socket has it, not as the client says */
	struct source *sources;  /* memfds that name senders, most recent first */
	unsigned source_count;

	struct resolver *resolver; /* NULL: it has nothing to do with name servers */
};

/* A raw socket; netlink's are called so, too. */
static inline bool
sock_is_raw(const struct sock *sock)
{
	return sock->type == SOCK_RAW && (sock->family == AF_INET || sock->family == AF_INET6);
}

/* An ICMP datagram socket: the host's ping_group_range says who may have one. */
static inline bool
sock_is_ping(const struct sock *sock)
{
	return sock->type == SOCK_DGRAM && (sock->protocol == IPPROTO_ICMP || sock->protocol == IPPROTO_ICMPV6);
}

static inline bool
sock_is_stream(const struct sock *sock)
{
	return sock->type == SOCK_STREAM;
}

/* Adds a socket to its session, charged to its quota. NULL when over quota or out of memory. */
struct sock *sock_new(struct session *session, uint64_t handle);
/* Closes both sides and tells the client, unless the session is ending. */
void sock_free(struct sock *sock);

/*
 * Before a host socket is closed: the kernel makes close() wait for as long as SO_LINGER says, be the socket blocking or not, and here one thread
 * serves everybody. What is queued goes out all the same. A linger of 0, which resets, stays.
 */
void sock_dont_linger(int host_fd);

/* Takes over fd, the gofer's end of a link. */
bool sock_attach_link(struct sock *sock, int fd, uint32_t plug); /* false: freed */

/* Passes on what the program has written so far, as far as the host takes it, so that control comes after data. False: freed. */
bool sock_drain(struct sock *sock);

/* Frees the sockets, other than this one, whose links have hung up with nothing left to deliver. Returns whether there were any. */
bool sock_reap_hung_up(struct session *session, const struct sock *other);

/*
 * The client has gone. Passes on what the host takes at once, and frees the sock, unless it is a stream that its program had closed and
 * that has more: the host's socket gets that as it makes room.
 */
void sock_leave(struct sock *sock);

/* It listens from now on. */
void sock_listens(struct sock *sock);
/* The same as sock_reap_hung_up() for listeners alone, which is quick: who connects must not meet one that its program has closed. */
void sock_reap_listeners(struct session *session, const struct sock *other);

/* Sets what both watches wait for, from the sock's state alone. */
void sock_update(struct sock *sock);

/* The name getter's result as a message's address; zeroed when it fails. Returns 0 or an errno. */
int sock_name(const struct sock *sock, int (*get)(int, struct sockaddr *, socklen_t *), struct wire_address *name);

/* What the program has written and the peer has not acknowledged, SIOCOUTQ: in the host's socket, in our hands, in the link. */
int sock_unacknowledged(const struct sock *sock);
/* What of that was not even sent, SIOCOUTQNSD. */
int sock_unsent(const struct sock *sock);

/*
 * Ends the connect under way, if the host has an answer, and tells whoever waits. With the address, for a caller who waits, too.
 * *error: it has failed. False: freed.
 */
bool sock_finish_connect(struct sock *sock, const struct sockaddr *address, socklen_t len, int *error);

/* Ends the link, if there is one, in a way that shows as an error if the program has not read all; the host's socket may be connected again. */
void sock_unlink(struct sock *sock, int error);

/* The connect under way has failed. False: freed. */
bool sock_connect_failed(struct sock *sock, int error);

/* The host's side has failed: lets the program see a reset. False: freed. */
bool sock_host_gone(struct sock *sock, int error);

/* The program is about to send urgent data. */
void relay_stream_expect_urgent(struct sock *sock);

/* May the client send this packet through its raw socket? Always asked before one goes to the host, whichever way it came. */
bool raw_allows(struct sock *sock, const void *packet, size_t len);

/* The relays move what can be moved now. Each returns false when it has freed the sock. */
bool relay_stream(struct sock *sock, bool host_readable); /* host_readable: epoll has just said so */
void relay_stream_free(struct sock *sock);
bool relay_stream_piped(const struct sock *sock); /* the pipe holds bytes for the program */
size_t relay_stream_piped_bytes(const struct sock *sock);
bool relay_listener(struct sock *sock);
void relay_listener_poke(struct sock *sock);
/* Resets the listener's connections that the program has not taken. */
void relay_listener_free(struct sock *listener);
/* Decides how many records of a backlog may wait in the link; returns the backlog of the host's socket. */
int sock_split_backlog(struct sock *sock, int backlog);
bool relay_datagram_up(struct sock *sock);
bool relay_datagram_down(struct sock *sock);
/* The host's socket has an error that a datagram of earlier brought back (ICMP): the program is to notice, for which one notice is enough. */
void relay_datagram_note_error(struct sock *sock, int error);
void relay_datagram_free(struct sock *sock);

/* From operations.c: answers the waiter's call with the outcome of its connect. */
void answer_waiter(struct sock *sock, const struct waiter *waiter, int error);

#endif
