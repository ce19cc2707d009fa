/*
 * One client: its control stream, its side channel, its sockets, and all it is charged for.
 */
#ifndef SPLITSOCK_GOFER_SESSION_H
#define SPLITSOCK_GOFER_SESSION_H

#include <nng/nng.h>

#include "gofer/gofer.h"
#include "gofer/names.h"
#include "proto/link.h"

enum session_state {
	SESSION_HELLO, /* connected; only a HELLO frame is legal */
	SESSION_READY, /* welcomed; REQUEST and CANCEL are legal */
	SESSION_ENDED, /* its client has gone, nothing is read or sent any more: being freed, or kept for what it had closed, see session_leave() */
};

/* Frames that wait to be sent on the stream: reading stops above the first figure, the session ends at the second. */
#define OUTBOX_PAUSE (256u * 1024u)
#define OUTBOX_MAX (4u * 1024u * 1024u)

struct session {
	uint64_t id; /* key in gofer.sessions; the first 8 bytes of the token */
	struct gofer *gofer;
	enum session_state state;
	int64_t deadline_ms; /* for the handshake; once delivering, for that */
	bool delivering;     /* ended, with bytes that the host has yet to take */
	bool overdue;        /* it has passed */
	uint8_t token[LINK_TOKEN_SIZE]; /* random: 8 bytes that name the session and 8 that prove it */
	struct identity peer;     /* who connected, as the kernel says */
	struct identity serves;   /* whom it says it serves; counts if the policy has it for an agent */
	bool is_agent;            /* it says so */
	struct identity identity; /* whose session it is, of those two: what the policy and the quotas go by */
	struct policy *policy; /* gofer.policy */
	const struct policy_entry *entry; /* of it: what the client may do. NULL: nothing */
	int64_t opened_ms; /* 0: turned away */
	struct names names; /* that it has learned from name servers which its policy trusts */
	struct audit_who *who; /* that it has opened was said; NULL otherwise */
	char software[65]; /* as its Hello says: for people, not to be trusted */

	nng_stream *stream;
	nng_aio *recv_aio, *send_aio;
	struct post received;
	uint8_t *inbox;
	size_t inbox_len, inbox_size;
	bool receiving;

	pthread_mutex_t outbox_lock; /* guards what follows: one send's end starts the next, on a thread of NNG */
	struct outgoing *outbox, **outbox_tail;
	size_t outbox_bytes;
	bool sending, refused; /* refused: end it once it has its Welcome */
	bool closed; /* the stream is */
	bool paused; /* paused: reading waits for the outbox to shrink */

	struct watch channel; /* SOCK_SEQPACKET, frames of sends */
	bool channel_full; /* it has been, and that was logged */

	struct table socks;  /* by handle */
	struct sock *listening; /* those of them that have listened */
	struct mirror *mirror; /* of its packet sockets, or NULL */
	uint64_t next_accepted;
	uint32_t calls;
	struct session_counters counters;
};

/* Takes over the stream, also when it returns NULL. */
struct session *session_new(struct gofer *gofer, nng_stream *stream);
/* Releases everything that the client held. */
void session_free(struct session *session);
/*
 * The client has gone. Streams that its programs had closed before, with bytes in them that the host is slow to take, are kept until it has, for
 * DELIVERY_MS at most: their programs were told that those were sent. All else is released.
 */
void session_leave(struct session *session);

/* The session that this token belongs to, or NULL. */
struct session *session_by_token(struct gofer *gofer, const uint8_t token[LINK_TOKEN_SIZE]);
/*
 * A local client has connected this socket: from it the kernel tells all of who it is (peer.h), of which NNG's stream tells only user, group and process. Whoever has the
 * session's token, but is another process, is not asked.
 */
void session_meet(struct session *session, int fd);
/* Whose session it is, and what that client may do, by its policy. */
void session_settle(struct session *session);
/* Takes over fd as the session's side channel, replacing an earlier one. */
void session_attach_channel(struct session *session, int fd);

/* Packs and queues a message on the control stream. The session may be ended, but not freed, by the time it returns. */
void session_send(struct session *session, enum frame_kind kind, uint32_t id, const ProtobufCMessage *message);
void session_send_closed(struct session *session, uint64_t handle, int error);
void session_send_unlinked(struct session *session, uint64_t handle, int error);
void session_send_reset(struct session *session, uint64_t handle);
/* Ends the session as soon as nothing on the stack holds it: its next receive fails. */
void session_end(struct session *session);

/* Drops sessions whose handshake is overdue, and those that have delivered or had their time for it. */
void sessions_tick(struct gofer *gofer);
/* All clients have to go. Returns whether a session delivers. */
bool sessions_leave(struct gofer *gofer);

#endif
