/*
 * Every state of a stream socket × every call: state/CALLS_STATE_v4, …_v6, …_mapped and …_link_local. Each group of calls meets
 * the state afresh, since an error is often told once. Nothing here blocks: the socket is non-blocking.
 */
#include "tests/conformance/state.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#define STATES(X, calls)                                                                    \
	X(calls, fresh)                                                                     \
	X(calls, bound)                                                                     \
	X(calls, listening)                                                                 \
	X(calls, connecting)                                                                \
	X(calls, connected)                                                                 \
	X(calls, shut_write)                                                                \
	X(calls, peer_shut)                                                                 \
	X(calls, both_shut)                                                                 \
	X(calls, reset)                                                                     \
	X(calls, refused)                                                                   \
	X(calls, timed_out)                                                                 \
	X(calls, dissolved)

#define STATE_SCENARIO(calls, which)                                                        \
	SCENARIO_EVERY_ADDRESS(state, calls##_##which)                              \
	{                                                                                   \
		calls(stream_##which(family), family);                                      \
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
	observe_recv("recv peek", fd, 16, MSG_PEEK);
	observe_recv("recv waitall", fd, 16, MSG_WAITALL);
	observe_call("read 0", read(fd, text, 0));
	observe_call("recv 0", recv(fd, text, 0, 0));
	observe_call("pread", pread(fd, text, 1, 0));
	observe_call("preadv", preadv(fd, iov, 2, 0));
	observe_call("lseek", lseek(fd, 0, SEEK_CUR));
}
STATES(STATE_SCENARIO, reads)

static void
receives(int fd, int family)
{
	char text[16];
	struct iovec iov = {text, sizeof text};
	struct mmsghdr many = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	(void)family;
	observe_recvfrom("recvfrom", fd, 16, 0);
	observe_recvfrom("recvfrom", fd, 16, 0);
	observe_recvfrom("recvfrom peek", fd, 16, MSG_PEEK);
	observe_call("recvmsg", recvmsg(fd, &many.msg_hdr, 0));
	observe_call("recvmmsg", recvmmsg(fd, &many, 1, 0, NULL));
	observe_call("recvmmsg 0", recvmmsg(fd, &many, 0, 0, NULL));
	observe_recv("recv trunc", fd, 16, MSG_TRUNC);
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
	observe_call("send dontwait", send(fd, text, 1, MSG_DONTWAIT));
	observe_call("write 0", write(fd, text, 0));
	observe_call("send 0", send(fd, text, 0, 0));
	observe_call("pwrite", pwrite(fd, text, 1, 0));
	observe_call("pwritev", pwritev(fd, iov, 2, 0));
}
STATES(STATE_SCENARIO, writes)

static void
sends(int fd, int family)
{
	struct address other = loopback(family, 9);
	struct iovec iov = {"abc", 3};
	struct mmsghdr many = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	signal(SIGPIPE, SIG_IGN);
	observe_call("sendto", sendto(fd, "abc", 3, 0, SA(&other), other.length));
	observe_call("sendmsg", sendmsg(fd, &many.msg_hdr, 0));
	observe_call("sendmmsg", sendmmsg(fd, &many, 1, 0));
	observe_call("sendmmsg 0", sendmmsg(fd, &many, 0, 0));
	observe_call("send more", send(fd, "abc", 3, MSG_MORE));
	observe_call("sendto short name", sendto(fd, "abc", 3, 0, SA(&other), 2));
}
STATES(STATE_SCENARIO, sends)

static void
splices(int fd, int family)
{
	int pipes[2], file = must("memfd_create", memfd_create("file", 0));
	struct iovec iov = {"xyz", 3};

	(void)family;
	signal(SIGPIPE, SIG_IGN);
	must("pipe", pipe2(pipes, O_NONBLOCK));
	must("write", write(file, "file", 4));
	must("write", write(pipes[1], "pipe", 4));
	must("lseek", lseek(file, 0, SEEK_SET));
	observe_call("splice in", splice(fd, NULL, pipes[1], NULL, 16, SPLICE_F_NONBLOCK));
	observe_call("splice in", splice(fd, NULL, pipes[1], NULL, 16, SPLICE_F_NONBLOCK));
	observe_call("sendfile", sendfile(fd, file, NULL, 4));
	observe_call("splice out", splice(pipes[0], NULL, fd, NULL, 4, SPLICE_F_NONBLOCK));
	observe_call("sendfile from", sendfile(file, fd, NULL, 4));
	observe_call("tee from", tee(fd, pipes[1], 4, SPLICE_F_NONBLOCK));
	observe_call("tee to", tee(pipes[0], fd, 4, SPLICE_F_NONBLOCK));
	observe_call("vmsplice", vmsplice(fd, &iov, 1, SPLICE_F_NONBLOCK));
	observe_call("splice with offset", splice(fd, &(loff_t){0}, pipes[1], NULL, 4, SPLICE_F_NONBLOCK));
}
STATES(STATE_SCENARIO, splices)

static void
tells(int fd, int family)
{
	int value = -1;

	(void)family;
	observe_poll("poll", fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0);
	observe_local("local", fd);
	observe_peer("peer", fd);
	observe_option("SO_ACCEPTCONN", fd, SOL_SOCKET, SO_ACCEPTCONN);
	observe_call("FIONREAD", ioctl(fd, FIONREAD, &value));
	OBSERVE("%d", value);
	observe_call("SIOCOUTQ", ioctl(fd, TIOCOUTQ, &value));
	observe_call("SIOCOUTQNSD", ioctl(fd, 0x894B, &value));
	observe_call("SIOCATMARK", ioctl(fd, SIOCATMARK, &value));
	observe_so_error("error", fd);
	observe_so_error("error again", fd);
	observe_fd_flags("flags", fd);
}
STATES(STATE_SCENARIO, tells)

static void
changes(int fd, int family)
{
	struct address any = loopback(family, 0), unspec = {.storage.ss_family = AF_UNSPEC, .length = 16};
	int listener = tcp_listener(family);
	struct address at = local_of(listener);

	observe_call("bind", bind(fd, SA(&any), any.length));
	observe_fd("accept", accept(fd, NULL, NULL));
	observe_fd("accept4 bad flags", accept4(fd, NULL, NULL, 1));
	observe_call("connect", connect_fd(fd, &at));
	observe_call("listen", listen(fd, 1));
	observe_call("unspec", connect_fd(fd, &unspec));
	observe_tcp_state("then", fd, TCP_CLOSE);
}
STATES(STATE_SCENARIO, changes)

static void
shuts(int fd, int family)
{
	(void)family;
	observe_call("SHUT_WR", shutdown(fd, SHUT_WR));
	observe_call("SHUT_WR again", shutdown(fd, SHUT_WR));
	observe_call("bad", shutdown(fd, 3));
	observe_call("negative", shutdown(fd, -1));
}
STATES(STATE_SCENARIO, shuts)

static void
shuts_read(int fd, int family)
{
	(void)family;
	observe_call("SHUT_RD", shutdown(fd, SHUT_RD));
	observe_poll("poll", fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	observe_call("SHUT_RDWR", shutdown(fd, SHUT_RDWR));
}
STATES(STATE_SCENARIO, shuts_read)
