/* Every state of a datagram socket × every call, as scenarios_state.c does for streams. Nothing here blocks. */
#include "tests/conformance/scenario.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

static int
datagram_fresh(int family)
{
	return udp_socket(family);
}

static int
datagram_bound(int family)
{
	return udp_bound(family);
}

static int
datagram_connected(int family)
{
	return udp_pair(family).client;
}

/* Connected, and its peer's port has refused one datagram; the error is still to be told. */
static int
datagram_refused(int family)
{
	int fd = udp_socket(family);
	struct address at = local_of(udp_refusing(family));

	must("connect", connect_fd(fd, &at));
	must("send", send(fd, "lost", 4, 0));
	wait_for(fd, POLLIN);
	return fd;
}

static int
datagram_dissolved(int family)
{
	int fd = udp_pair(family).client;
	struct address unspec = {.storage.ss_family = AF_UNSPEC, .length = 16};

	must("connect to AF_UNSPEC", connect_fd(fd, &unspec));
	return fd;
}

static int
datagram_shut(int family)
{
	int fd = udp_pair(family).client;

	must("shutdown", shutdown(fd, SHUT_RDWR));
	return fd;
}

/* A datagram waits. */
static int
datagram_readable(int family)
{
	struct pair pair = udp_pair(family);

	send_text(pair.server, "a datagram");
	wait_for(pair.client, POLLIN);
	return pair.client;
}

#define STATES(X, calls)                                                                    \
	X(calls, fresh)                                                                     \
	X(calls, bound)                                                                     \
	X(calls, connected)                                                                 \
	X(calls, refused)                                                                   \
	X(calls, dissolved)                                                                 \
	X(calls, shut)                                                                      \
	X(calls, readable)

#define STATE_SCENARIO(calls, which)                                                        \
	SCENARIO_EVERY_ADDRESS(datagram_state, calls##_##which)                     \
	{                                                                                   \
		int fd = datagram_##which(family);                                          \
                                                                                            \
		set_nonblocking(fd, true);                                                  \
		calls(fd, family);                                                          \
	}

static void
reads(int fd, int family)
{
	char text[16];
	struct iovec iov[] = {{text, 8}, {text + 8, 8}};

	(void)family;
	observe_bytes("read", text, read(fd, text, sizeof text));
	observe_call("readv", readv(fd, iov, 2));
	observe_recv("recv", fd, 16, 0);
	observe_call("read 0", read(fd, text, 0));
	observe_call("recv 0", recv(fd, text, 0, 0));
	observe_call("pread", pread(fd, text, 1, 0));
	observe_call("preadv", preadv(fd, iov, 2, 0));
}
STATES(STATE_SCENARIO, reads)

static void
receives(int fd, int family)
{
	char text[16];
	struct iovec iov = {text, sizeof text};
	struct mmsghdr many = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	(void)family;
	observe_recvfrom("recvfrom peek", fd, 4, MSG_PEEK);
	observe_recvfrom("recvfrom", fd, 4, MSG_TRUNC);
	observe_call("recvmsg", recvmsg(fd, &many.msg_hdr, 0));
	observe_call("recvmmsg", recvmmsg(fd, &many, 1, 0, NULL));
	observe_recvfrom("recvfrom OOB", fd, 4, MSG_OOB);
}
STATES(STATE_SCENARIO, receives)

static void
writes(int fd, int family)
{
	char text[] = "abcdef";
	struct iovec iov[] = {{text, 2}, {text + 2, 2}};

	(void)family;
	signal(SIGPIPE, SIG_IGN);
	observe_call("write", write(fd, text, 2));
	observe_call("writev", writev(fd, iov, 2));
	observe_call("send", send(fd, text, 1, 0));
	observe_call("pwrite", pwrite(fd, text, 1, 0));
}
STATES(STATE_SCENARIO, writes)

static void
sends(int fd, int family)
{
	struct address other = local_of(udp_bound(family));
	struct iovec iov = {"abc", 3};
	struct mmsghdr many = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	signal(SIGPIPE, SIG_IGN);
	observe_call("sendmsg", sendmsg(fd, &many.msg_hdr, 0));
	observe_call("sendto", sendto(fd, "abc", 3, 0, SA(&other), other.length));
	observe_call("sendmmsg", sendmmsg(fd, &many, 1, 0));
	observe_call("send OOB", send(fd, "abc", 3, MSG_OOB));
	observe_call("sendto short name", sendto(fd, "abc", 3, 0, SA(&other), 2));
	observe_call("sendto long name", sendto(fd, "abc", 3, 0, SA(&other), 129));
	observe_call("sendto no length", sendto(fd, "abc", 3, 0, SA(&other), 0));
}
STATES(STATE_SCENARIO, sends)

static void
tells(int fd, int family)
{
	int value = -1;

	(void)family;
	observe_local("local", fd);
	observe_peer("peer", fd);
	observe_call("FIONREAD", ioctl(fd, FIONREAD, &value));
	OBSERVE("%d", value);
	observe_call("TIOCOUTQ", ioctl(fd, TIOCOUTQ, &value));
	observe_call("SIOCATMARK", ioctl(fd, SIOCATMARK, &value));
	observe_so_error("error", fd);
	observe_so_error("error again", fd);
	observe_fd_flags("flags", fd);
	observe_poll("poll", fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0);
}
STATES(STATE_SCENARIO, tells)

static void
changes(int fd, int family)
{
	struct address any = loopback(family, 0), to = local_of(udp_bound(family));

	observe_fd("accept", accept(fd, NULL, NULL));
	observe_call("listen", listen(fd, 1));
	observe_call("connect", connect_fd(fd, &to));
	observe_peer("peer", fd);
	observe_call("bind", bind(fd, SA(&any), any.length));
	observe_call("SHUT_WR", shutdown(fd, SHUT_WR));
	observe_call("bad", shutdown(fd, 3));
}
STATES(STATE_SCENARIO, changes)

/* io_uring, or what programs do without it. */
SCENARIO(datagram_state, ring_or_fallback)
{
	struct pair pair = udp_pair(AF_INET);
	char parameters[120] = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 4, parameters);

	if (ring >= 0)
		close(ring);
	else if (errno != ENOSYS && errno != EPERM)
		observe_call("io_uring_setup", ring);
	send_text(pair.client, "by the old way");
	wait_for(pair.server, POLLIN);
	observe_recv("recv", pair.server, 64, 0);
}

SCENARIO_V4_V6(datagram_state, splices)
{
	struct pair pair = udp_pair(family);
	int pipes[2], file = must("memfd_create", memfd_create("file", 0));

	must("pipe", pipe2(pipes, O_NONBLOCK));
	must("write", write(file, "file", 4));
	must("lseek", lseek(file, 0, SEEK_SET));
	must("write", write(pipes[1], "pipe", 4));
	observe_call("sendfile", sendfile(pair.client, file, NULL, 4));
	wait_for(pair.server, POLLIN);
	observe_recv("recv", pair.server, 16, MSG_DONTWAIT);
	observe_call("splice out", splice(pipes[0], NULL, pair.client, NULL, 4, SPLICE_F_NONBLOCK));
	wait_for(pair.server, POLLIN);
	observe_recv("recv", pair.server, 16, MSG_DONTWAIT);
	send_text(pair.client, "to a pipe");
	wait_for(pair.server, POLLIN);
	observe_call("splice in", splice(pair.server, NULL, pipes[1], NULL, 16, SPLICE_F_NONBLOCK));
}
