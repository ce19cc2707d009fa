/*
 * Packet sockets (packet(7)) for a client: see mirror.c.
 */
#ifndef SPLITSOCK_GOFER_MIRROR_H
#define SPLITSOCK_GOFER_MIRROR_H

#include "gofer/session.h"

/* What a client's packet sockets may hold together once it is gone: so many mirrors of one user, whose sockets still count. */
#define MIRRORS_OF_USER_MAX 64u

/* Mirrors that wait for a user's next session, since the kernel takes long to make and unmake interfaces; and for how long. */
#define MIRRORS_IDLE_MAX 8u
#define MIRROR_IDLE_MS 5000

/* Descriptors of mirrors that are being unmade, beyond which no new ones are made: the kernel takes some 10 ms for each. */
#define CLOSING_MAX 1024u

/* How soon it is noticed that a packet socket was closed. */
#define MIRROR_LOOK_MS 100

struct mirror {
	struct mirror *next; /* gofer.mirrors */
	struct gofer *gofer;
	struct session *session; /* NULL: it has ended. Either its client still holds sockets, or the mirror waits for another one of the same user */
	struct policy *policy;
	const struct policy_entry *entry; /* of it, the user's */
	uint64_t uid;
	int64_t idle_ms; /* since when it waits; 0: it does not */
	int ns;      /* the network namespace */
	int diag;    /* NETLINK_SOCK_DIAG in it */
	uint32_t sequence; /* of the last question there */
	int inject;  /* a packet socket in it, for what the host itself sends */
	struct port *ports;
	size_t sockets; /* the client's, when last looked at */
	bool promiscuity_refused; /* by the last sync: one of them asks for it and may not have it */
};

/*
 * Opens a packet socket for the session, in its mirror, and makes the mirror with the first. Returns the descriptor, to be passed
 * to the client and closed, or a negative errno (-EPERM: policy or the gofer's own rights, and the log says which; -EMFILE: quota).
 */
int mirror_open_socket(struct session *session, int type, int protocol);

/* Acts on what the client's packet sockets are now. */
void mirror_sync(struct mirror *mirror);
/* Frames for it that were lost on an interface, by index, or on all (0). */
uint32_t mirror_drops(const struct mirror *mirror, int interface);
/* The host's interfaces have changed, and have been read. */
void mirrors_sync(struct gofer *gofer);

/* The sessions have the entries of a new policy. */
void mirrors_follow_policy(struct gofer *gofer);

/* The session ends: nothing more passes either way. */
void mirror_end(struct mirror *mirror);
/* The gofer ends. */
void mirrors_free(struct gofer *gofer);

/* Enters the mirror's namespace; leaves for the gofer's own. Returns 0 or a negative errno. */
int mirror_enter(const struct mirror *mirror);
void mirror_leave(const struct gofer *gofer);

#endif
