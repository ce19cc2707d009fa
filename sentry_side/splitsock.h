/*
 * libsplitsock: sockets for a program that has no network, held by a gofer on the host.
 *
 * Every descriptor that these functions return is a real kernel descriptor. Use read(2), write(2), send(2), recv(2), poll(2),
 * select(2), epoll(7), dup(2), fcntl(2) and close(2) on it as on any socket. Only the calls below, which name addresses or
 * options, must go through this library, since the descriptor itself is an AF_UNIX socket.
 *
 * Addresses mean what they mean on the gofer's host: 127.0.0.1 is the host's loopback.
 *
 * Errors: as the system call of the same name does, each returns -1 and sets errno, with the host's own errno value. Beyond those:
 *   EACCES, EPERM  the gofer's policy forbids it
 *   ENOBUFS        a quota of the gofer is reached
 *   ENETDOWN       the gofer is gone; open a new session
 *   EBADF          the descriptor is not one of this session
 *
 * Threads: every function may be called by any number of threads at once. Blocking calls block only their caller and
 * can be interrupted by signals (EINTR) where their system calls can.
 *
 * fork(2): the child keeps the descriptors, and read(), write(), poll() and close() work there. The functions of this library
 * must not be called in the child before exec (they would speak on the parent's session): open a session of its own with
 * ss_open() after exec. close(2) in the parent and the child counts as for any shared socket.
 */
#ifndef SPLITSOCK_H
#define SPLITSOCK_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SS_API __attribute__((visibility("default")))

/* A session with a gofer. */
struct ss;

/*
 * Opens a session. `url` is ipc:///path of a gofer's control socket; NULL means $SPLITSOCK_GOFER, or
 * ipc:///run/splitsock/gofer.sock without that. Blocks for at most 5 s. Returns NULL with errno: ECONNREFUSED or ENOENT (no gofer
 * there), EACCES, ETIMEDOUT, EPROTO (no gofer of a version that we speak), EINVAL (no URL that we know), ENOMEM.
 */
SS_API struct ss *ss_open(const char *url);

/*
 * Ends the session and frees it. Sockets of the session that are still open lose their connection. No other thread may be in a
 * call on it. NULL is allowed.
 */
SS_API void ss_close(struct ss *ss);

/*
 * socket(2). Families: AF_INET, AF_INET6 (stream, datagram), AF_NETLINK (NETLINK_ROUTE, reads only): does not block. AF_PACKET, packet(7), where the
 * gofer's policy grants an interface (else EPERM): waits for the gofer's answer. EMFILE: as many packet sockets as its user may have.
 *
 * A packet socket is a real one. ss_bind() and ss_setsockopt() are needed on it, since they tell the gofer what to pass on, and wait until it does;
 * any other call may be the plain system call, rings (mmap(2)) included. It sees the interfaces that are granted, by the host's names and indexes.
 * EPERM, too: an interface or promiscuous mode that is not granted, a ring larger than the policy's ring_bytes.
 */
SS_API int ss_socket(struct ss *ss, int family, int type, int protocol);

/* bind(2). Waits for the gofer's answer. */
SS_API int ss_bind(struct ss *ss, int fd, const struct sockaddr *address, socklen_t len);

/* connect(2). With O_NONBLOCK: EINPROGRESS; poll for POLLOUT, then ask SO_ERROR through ss_getsockopt(). */
SS_API int ss_connect(struct ss *ss, int fd, const struct sockaddr *address, socklen_t len);

/* listen(2). The descriptor polls readable when there is a connection to accept. */
SS_API int ss_listen(struct ss *ss, int fd, int backlog);

/* accept(2), accept4(2): flags are SOCK_NONBLOCK and SOCK_CLOEXEC. */
SS_API int ss_accept(struct ss *ss, int fd, struct sockaddr *address, socklen_t *len);
SS_API int ss_accept4(struct ss *ss, int fd, struct sockaddr *address, socklen_t *len, int flags);

/* getsockname(2), getpeername(2): answered here, without asking the gofer, once the name is known. */
SS_API int ss_getsockname(struct ss *ss, int fd, struct sockaddr *address, socklen_t *len);
SS_API int ss_getpeername(struct ss *ss, int fd, struct sockaddr *address, socklen_t *len);

/* getsockopt(2), setsockopt(2). Options that cannot fail are sent without waiting for the answer. */
SS_API int ss_getsockopt(struct ss *ss, int fd, int level, int name, void *value, socklen_t *len);
SS_API int ss_setsockopt(struct ss *ss, int fd, int level, int name, const void *value, socklen_t len);

/* shutdown(2). */
SS_API int ss_shutdown(struct ss *ss, int fd, int how);

/*
 * sendto(2), recvfrom(2): for datagrams with an address. Without an address they are send(2) and recv(2). At most 65,535 bytes.
 */
SS_API ssize_t ss_sendto(struct ss *ss, int fd, const void *data, size_t size, int flags, const struct sockaddr *address,
                         socklen_t len);
SS_API ssize_t ss_recvfrom(struct ss *ss, int fd, void *data, size_t size, int flags, struct sockaddr *address,
                           socklen_t *len);

/*
 * sendmsg(2), recvmsg(2), with control messages (cmsg(3)) on datagram sockets: those of ip(7), ipv6(7), udp(7) and socket(7), at most 16
 * and 4,096 bytes a datagram (ENOBUFS). A stream's SO_TIMESTAMP is the time at which its bytes are read.
 *
 * MSG_ERRQUEUE reads the socket's error queue, of which the gofer keeps 32 entries and 2,048 bytes of each one's datagram. That something
 * is queued there, poll shows as POLLIN. MSG_ZEROCOPY copies, and completes at once.
 */
SS_API ssize_t ss_sendmsg(struct ss *ss, int fd, const struct msghdr *message, int flags);
SS_API ssize_t ss_recvmsg(struct ss *ss, int fd, struct msghdr *message, int flags);

/* Whose counters: bits that may be or-ed. */
#define SS_STATS_HOST 1u    /* the gofer's host, its whole network: packets, segments, datagrams */
#define SS_STATS_SESSION 2u /* this session, as the gofer sees it: sockets, bytes, operations by kind, frames */
#define SS_STATS_LIBRARY 4u /* this session, as the library sees it: frames sent, round trips, links */

/* One counter. All strings are constants of the library. */
struct ss_stat {
	const char *name;   /* as Prometheus has it: splitsock_stream_bytes_total */
	const char *labels; /* "", or one more part of the name: direction="to_host" */
	const char *unit;   /* bytes, datagrams, frames, ... */
	const char *help;   /* one line for people */
	unsigned scope;     /* one of SS_STATS_* */
	int gauge;          /* 0: only grows, from 0 at the host's or the session's start. 1: what is now */
	unsigned long long value;
};

/*
 * Reads the counters of these scopes into stats[room], in an order that does not change, values of 0 included. Returns how many there
 * are, which may be more than `room`: then the first `room` are filled, none with a room of 0. The caller owns the array.
 *
 * SS_STATS_HOST and SS_STATS_SESSION together cost one round trip to the gofer, and block for it; SS_STATS_LIBRARY alone neither asks
 * nor blocks. The call's own round trip is in the next call's numbers of the library, and in this call's of the session. All values of one scope are
 * of one moment, but for the library's, which other threads may change meanwhile; the host's are up to 100 ms old. SS_STATS_HOST is left out where the gofer's policy does
 * not grant it: the policy `open` does. The host's UDP datagrams are counted as programs take them, and its resets received as connections
 * that a reset of either side ended (RFC 4022, RFC 4113 and RFC 4293, proc_pid_net(5)).
 *
 * Errors: EINVAL (no scope, or one that is not known), EOPNOTSUPP (this gofer does not tell), ENETDOWN, ENOMEM.
 */
SS_API int ss_stats(struct ss *ss, unsigned scopes, struct ss_stat *stats, size_t room);

/* The library's version, "MAJOR.MINOR.PATCH". */
SS_API const char *ss_version(void);

#ifdef __cplusplus
}
#endif

#endif
