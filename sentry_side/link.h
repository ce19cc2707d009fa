/*
 * One socket as the sentry side sees it: what the program's descriptor (A) stands for, and the operations on it.
 *
 * A link is found by A's inode number, which dup, fork and fd passing do not change. Functions that act on A itself take a
 * descriptor for it: the program's own in libsplitsock, a borrowed duplicate in splitsock-run.
 *
 * The link_<operation>() functions start a call and return 0 or a negative errno at once; `done` then gets the
 * result, on another thread. link_finish_<operation>() does what is left to do with A, in the caller's own time.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_LINK_H
#define SPLITSOCK_SENTRY_SIDE_LINK_H

#include <stdatomic.h>

#include "sentry_side/session.h"

enum link_state {
	LINK_FRESH,      /* neither bound nor anything else; A is not connected to the gofer if it is a stream */
	LINK_BOUND,
	LINK_CONNECTING, /* stream: A is plugged */
	LINK_CONNECTED,  /* stream: A carries the bytes. Datagram: there is a peer */
	LINK_LISTENING,  /* A carries link_accepted records */
	LINK_FAILED,     /* stream: its connect has failed, and A has hung up; the host socket remains */
	LINK_CLOSED,     /* the gofer has let go of it: A has hung up */
};

#define LINK_DEFERRED_MAX 8
#define LINK_VALUE_MAX 4096

struct link;

struct link_key {
	uint64_t key;
	struct link *link;
};

struct link_option {
	const struct socket_option *option;
	uint8_t value[16];
	size_t len;
};

struct link {
	struct link_key by_inode, by_handle;
	struct ss *ss;
	atomic_uint refs;
	int family, type, protocol;
	_Atomic(enum link_state) state; /* atomic, like what follows: looked at without the lock */
	atomic_bool opened;  /* the gofer has confirmed the host socket */
	atomic_bool queued;  /* a connection that is still in its listener's queue, too */
	atomic_bool linked;  /* A is connected to the gofer, which therefore sees it close */
	atomic_uint error_told; /* datagram: the number of the last error notice that the program has met */
	atomic_int error;    /* LINK_FAILED, LINK_CLOSED: why, for SO_ERROR */
	atomic_bool was_connected; /* LINK_CLOSED: it had been LINK_CONNECTED */
	atomic_bool connected_untold; /* connected, but a signal ended the call that waited for it */
	atomic_bool shut_down; /* datagram: by the program */
	atomic_bool dissolves; /* datagram: the connect under way is one to AF_UNSPEC */
	atomic_bool link_options; /* some whose place is OPTION_LINK were set */
	atomic_bool urgent;  /* the gofer looks out for urgent data */
	atomic_int stamp;    /* stream: the SO_TIMESTAMP* option that is on, or 0 */
	atomic_bool zerocopy; /* SO_ZEROCOPY is on */
	atomic_uint zerocopy_sent, zerocopy_told; /* sends with MSG_ZEROCOPY, and those whose completion was read */
	atomic_uint host_drops; /* packet socket: frames lost on the host, as last told of it */
	atomic_bool again;   /* the next connect is the first of this A, but not of the host socket */
	atomic_bool told;    /* LINK_FAILED, LINK_CLOSED: a connect has told that the one before failed */
	struct link_name local, peer;
	struct link_option deferred[LINK_DEFERRED_MAX]; /* set before there was a host socket */
	unsigned deferred_count;
	/*
	 * splitsock-run takes from A before it answers a trapped call; what it then cannot deliver, because a signal has ended the call,
	 * waits here for the next one.
	 */
	struct link *stashed;      /* a connection, with its A in stashed_fd */
	int stashed_fd;
	struct stash *stash;       /* datagrams or bytes, oldest first */
	/* splitsock-run: what the program has in place of A, and "A" means below; see run/surrogate.h. NULL: A itself. */
	struct surrogate *_Atomic surrogate;
	uint32_t made_by; /* splitsock-run: the thread that made a datagram socket, */
	unsigned made_after; /* and the last one started before */
	atomic_int pid, fd; /* where A was last seen: a process (0: our own) and a descriptor there */
};

struct ss {
	struct session session;
	pthread_mutex_t lock; /* guards the tables and every link's members */
	struct table by_inode, by_handle;
	uint64_t next_handle;
	int alive; /* an epoll set of all A's: its fdinfo tells which still exist */
	size_t made, sweep_at; /* links since the last sweep, and how many of them call for one */
	/* Returns a duplicate of A that the caller closes, or -1. */
	int (*borrow)(struct ss *ss, const struct link *link);
	void (*ended)(struct ss *ss);
	void *owner;
};

struct stash {
	struct stash *next; /* link.stash */
	struct link_source source;
	size_t len;
	char data[];
};

struct link_result {
	int error; /* 0 or an errno of this host */
	bool denied_open; /* the failure is that of the socket itself */
	struct link_name local, peer; /* len 0: not told */
	size_t completed; /* operations that succeeded, of those the caller asked for */
	uint32_t count, unsent; /* packet_open(), packet_sync(): frames lost on the host */
	size_t value_len;
	uint8_t value[LINK_VALUE_MAX]; /* wire form */
	int passed_fd; /* packet_open() alone: the socket, now the callback's */
	size_t control_len;
	_Alignas(struct cmsghdr) uint8_t control[LINK_CONTROL_MAX]; /* host form */
};

typedef void (*link_done)(void *arg, const struct link_result *result);

/* `serves` may be NULL: see session.h. */
int ss_init(struct ss *ss, const char *url, const struct session_serves *serves);
void ss_destroy(struct ss *ss);

static inline bool
link_is_stream(const struct link *link)
{
	return link->type == SOCK_STREAM;
}

/* A raw socket of the internet families. */
static inline bool
link_is_raw(const struct link *link)
{
	return link->type == SOCK_RAW && link->family != AF_NETLINK;
}

/* An ICMP datagram socket. */
static inline bool
link_is_ping(const struct link *link)
{
	return link->type == SOCK_DGRAM && link->family != AF_NETLINK &&
	       (link->protocol == IPPROTO_ICMP || link->protocol == IPPROTO_ICMPV6);
}

/* Whether the program may have such a socket only the gofer knows, so socket(2) waits for its answer: see link_socket(). */
static inline bool
link_needs_leave(const struct link *link)
{
	return link_is_raw(link) || link_is_ping(link);
}

/* A has hung up, by the gofer's doing. */
static inline bool
link_is_over(const struct link *link)
{
	return link->state == LINK_FAILED || link->state == LINK_CLOSED;
}

/* With ss->lock held: the gofer has let go of it. */
void link_set_closed(struct link *link, int error);

/*
 * Takes note of a packet socket that the gofer has passed us. It is a real one, of a network namespace of the gofer's: the kernel does
 * most of what it is asked, and only changes of what it receives are told (packet.h). Returns 0 and the link, referenced for the caller, or
 * a negative errno.
 */
int link_packet(struct ss *ss, int fd, int type, int protocol, struct link **link);

/* A referenced link, or NULL. */
struct link *link_by_inode(struct ss *ss, uint64_t inode);
struct link *link_ref(struct link *link);
void link_unref(struct link *link);

/*
 * socket(2). `type` may carry SOCK_NONBLOCK and SOCK_CLOEXEC. On success *fd is A, always close-on-exec here, and the link is
 * referenced for the caller. Returns 0 or a negative errno. Then, if link_needs_leave(), link_query() opens the host socket, and if that
 * fails, link_discard() takes the link back.
 */
int link_socket(struct ss *ss, int family, int type, int protocol, int *fd, struct link **link);
/* The caller's reference goes, too. A is the caller's to close. */
void link_discard(struct link *link);
/* Lets A take packets as long as the socket's own kind allows. own_header: the program writes the IP header. */
void link_bound_packets(const struct link *link, int fd, bool own_header);
/* A local socket that has the link's options, to ask the kernel about them; of another kind where we have no right to its own. */
int link_probe(const struct link *link);

/*
 * connect on a stream that is over. Returns a positive errno to tell, or 0: the program's descriptor needs another A, and then connect
 * may go on.
 */
int link_reconnect(struct link *link, int fd);
/*
 * Makes another A for the stream whose A is old_fd, with what was set on that one. *link becomes another one if the host socket is gone,
 * and the caller's reference moves along. `type` may carry SOCK_NONBLOCK. Returns 0 or a negative errno.
 */
int link_renew(struct link **link, int old_fd, int type, int *fd);

/* The program has fd in place of the A it had: the link is found by its inode. Returns 0 or a negative errno. */
int link_move(struct link *link, int fd);

/* Has the gofer open the host socket now, without waiting. */
int link_open(struct link *link);
int link_bind(struct link *link, const struct sockaddr *address, socklen_t len, link_done done, void *arg);
int link_connect(struct link *link, const struct sockaddr *address, socklen_t len, bool wait, link_done done, void *arg,
                 uint32_t *id);
/* What connect returns: 0 or a positive errno. Connects A to the gofer if need be. */
int link_finish_connect(struct link *link, int fd, bool nonblocking, const struct link_result *result);
/* The caller no longer waits for the connect: A becomes what it is after a non-blocking one. */
void link_detach_connect(struct link *link, int fd);
int link_listen(struct link *link, int backlog, link_done done, void *arg);
int link_finish_listen(struct link *link, int fd, const struct link_result *result);
int link_shutdown(struct link *link, int how, link_done done, void *arg);
int link_query(struct link *link, link_done done, void *arg);
/* data: what the request's pointer points to, for SIOCETHTOOL; else NULL and 0. */
int link_interface_ioctl(struct link *link, uint32_t request, const void *ifreq, size_t len, const void *data, size_t data_len,
                         link_done done, void *arg);

/* Returns 1 when the option is dealt with and `done` will not be called. */
/*
 * What the kernel says of an option on a fresh socket of the link's kind that is in no network: for options that we do not carry,
 * sockets that the gofer has let go of, and arguments that are no good. Return 0 or a negative errno.
 */
int link_kernel_on_set(const struct link *link, int level, int name, const void *value, socklen_t len);
int link_kernel_on_get(const struct link *link, int level, int name, void *value, socklen_t *len);
/*
 * A filter (OPTION_FILTER) is given as its instructions alone. What is read of one is at most LINK_VALUE_MAX bytes long, and its
 * length and room count instructions. `value` must hold the question of an option that asks.
 */
int link_set_option(struct link *link, int fd, int level, int name, const void *value, socklen_t len, link_done done,
                    void *arg);
/* Returns 1 when the value was found here (value and *len are set, len being the room before), else as the others. */
int link_get_option(struct link *link, int fd, int level, int name, void *value, socklen_t *len, link_done done, void *arg);
/* From a result to what getsockopt returns: 0 or a positive errno; value has the room *len. */
int link_finish_get_option(struct link *link, int fd, int level, int name, const struct link_result *result, void *value,
                           socklen_t *len);

/* Room for the control messages of one datagram that the program sends. The kernel's limit, net.core.optmem_max, is higher. */
#define LINK_CONTROL_SENT_MAX 4096u
#ifndef MSG_PROBE
#define MSG_PROBE 0x10
#endif
/* With one of these a datagram goes to the gofer as a message: only the host's socket can do what it says, and a link ignores it. */
#define LINK_SEND_FLAGS (MSG_CONFIRM | MSG_DONTROUTE | MSG_MORE | MSG_OOB | MSG_PROBE | MSG_ZEROCOPY)

/* Checks the control messages of a stream, which carries none, as tcp_sendmsg() does. Returns 0 or a negative errno. */
int link_check_control(const void *control, size_t len);

/* One datagram, or several to be sent in order; result.completed says how many went out. */
struct link_datagram {
	const void *data;
	size_t size;
	const struct sockaddr *address; /* NULL: to the peer */
	socklen_t address_len;
	const void *control; /* struct cmsghdr and data, as for sendmsg(2) */
	size_t control_len;
};
int link_send(struct link *link, const struct link_datagram *datagrams, size_t count, int flags, link_done done, void *arg);

/*
 * Takes the next datagram from A into the message's iov, without blocking. Returns its length (the whole length with MSG_TRUNC) or a
 * negative errno. *source is where it came from (name.len 0: nobody), and its control messages. msg_flags is set; name and control
 * are left alone.
 */
ssize_t link_receive(struct link *link, int fd, struct msghdr *message, int flags, struct link_source *source);
/*
 * The program is told of the host socket's error: the notice of it, if it is next in A's queue, is not to be met again. Returns that
 * error, a positive errno, or 0.
 */
int link_drop_error_notice(struct link *link, int fd);

/*
 * Writes control messages to a buffer as the kernel does: cut where the room ends, and MSG_CTRUNC set in *flags. Returns how much was
 * written.
 */
size_t link_give_control(const struct link_source *source, void *room, size_t room_len, int *flags);

/* recvmsg(2) with MSG_ERRQUEUE. The result's value, count, peer and control are what it returns. */
int link_receive_error(struct link *link, link_done done, void *arg);
/*
 * The same for completions of MSG_ZEROCOPY, which need no call: sends are copied, as the kernel does on loopback, and are therefore
 * complete at once. False: there is none.
 */
bool link_zerocopy_completion(struct link *link, struct link_source *completion);
/* A send with MSG_ZEROCOPY has gone out. */
void link_count_zerocopy(struct link *link);

/* To be called, and waited for, before a stream's first send with MSG_OOB; link->urgent then says that it was. */
int link_urgent(struct link *link, link_done done, void *arg);

/*
 * Takes the next connection from a listening A. Returns 0 and the new A with its link, or a negative errno (-EAGAIN: none yet).
 * With `peek`, it does not block, and the connection stays queued until link_accept_commit().
 */
int link_accept(struct link *link, int fd, bool peek, int *accepted_fd, struct link **accepted);
void link_accept_commit(int fd);
/* Keeps a connection that could not be delivered, and has the gofer make the listener readable again. Takes over both. */
void link_accept_stash(struct link *link, int accepted_fd, struct link *accepted);

/* What getsockname and getpeername tell without a call; false: unknown (ask with link_query), or there is none. */
bool link_local_name(struct link *link, struct link_name *name);
bool link_peer_name(struct link *link, struct link_name *name);

/* ---- for link_call.c and link_message.c ---- */

/* An operation's results may not be more than fit one batch, beside what goes in front. */
#define LINK_OPS_MAX (CODEC_OPS_MAX - LINK_DEFERRED_MAX - 1)

enum link_call_flags {
	LINK_CALL_PAYLOAD = 1,  /* on the side channel */
	LINK_CALL_NO_REPLY = 2, /* done, arg and id are not used */
};
/* Sends the operations on this link, at most LINK_OPS_MAX. */
int link_call(struct link *link, Splitsock__Op *ops, size_t count, enum link_call_flags flags, link_done done, void *arg, uint32_t *id);

enum link_purpose { LINK_FOR_BIND, LINK_FOR_CONNECT, LINK_FOR_SEND };
/* The address as the wire has it. What Linux checks by the socket's family is checked here, since lengths do not travel. */
int link_address(struct link *link, enum link_purpose purpose, const struct sockaddr *address, socklen_t len,
                 struct wire_address *wire, Splitsock__Address *message);

/* Drops links whose A no longer exists anywhere. Returns whether any held a host socket. */
bool link_sweep(struct ss *ss);
/* Whether there is any reason to sweep: host sockets whose end nobody would see. */
bool link_sweep_wanted(struct ss *ss);

#endif
