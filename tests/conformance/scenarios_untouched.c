/* What is not ours and has to work as if nobody were there: AF_UNIX, pipes, socketpair. */
#include "tests/conformance/scenario.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>

static struct address
abstract(const char *name)
{
	struct address at = {0};
	struct sockaddr_un *un = (struct sockaddr_un *)&at.storage;

	un->sun_family = AF_UNIX;
	snprintf(un->sun_path + 1, 60, "%s.%d", name, getpid());
	at.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(un->sun_path + 1));
	return at;
}

SCENARIO(untouched, unix_stream)
{
	int listener = must("socket", socket(AF_UNIX, SOCK_STREAM, 0)), fd = must("socket", socket(AF_UNIX, SOCK_STREAM, 0));
	struct address at = abstract("stream"), from = {.length = sizeof from.storage};
	int server;

	observe_call("connect too early", connect_fd(fd, &at));
	observe_call("bind", bind(listener, SA(&at), at.length));
	observe_call("listen", listen(listener, 4));
	observe_call("connect", connect_fd(fd, &at));
	server = observe_fd("accept", accept(listener, SA(&from), &from.length));
	observe_address("from", &from.storage, from.length);
	send_text(fd, "over AF_UNIX");
	observe_recv("server", server, 64, 0);
	observe_option("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
	observe_option("TCP_NODELAY", fd, IPPROTO_TCP, TCP_NODELAY);
	observe_call("close", close(fd));
	observe_poll("server", server, POLLIN | POLLOUT | POLLRDHUP, POLLHUP);
}

SCENARIO(untouched, unix_datagram)
{
	int a = must("socket", socket(AF_UNIX, SOCK_DGRAM, 0)), b = must("socket", socket(AF_UNIX, SOCK_DGRAM, 0));
	struct address at = abstract("datagram"), from = {.length = sizeof from.storage};
	char buffer[16];

	must("bind", bind(b, SA(&at), at.length));
	observe_call("sendto", sendto(a, "datagram", 8, 0, SA(&at), at.length));
	observe_bytes("recvfrom", buffer, recvfrom(b, buffer, sizeof buffer, 0, SA(&from), &from.length));
	OBSERVE("from length %u", from.length);
}

SCENARIO(untouched, peer_credentials)
{
	int pair[2];
	struct ucred credentials = {0};
	socklen_t length = sizeof credentials;

	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	observe_call("SO_PEERCRED", getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &credentials, &length));
	OBSERVE("own pid %d own uid %d", credentials.pid == getpid(), credentials.uid == getuid());
}

SCENARIO(untouched, socketpair)
{
	int pair[2];

	observe_call("stream", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	observe_local("end", pair[0]);
	observe_peer("end", pair[0]);
	send_text(pair[0], "across");
	observe_recv("other end", pair[1], 64, 0);
	observe_call("seqpacket", socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	send_text(pair[0], "record");
	observe_recv("other end", pair[1], 3, MSG_TRUNC);
	observe_call("shutdown", shutdown(pair[0], SHUT_WR));
	observe_recv("other end", pair[1], 64, 0);
	observe_call("AF_INET", socketpair(AF_INET, SOCK_STREAM, 0, pair));
	observe_call("AF_INET6", socketpair(AF_INET6, SOCK_DGRAM, 0, pair));
}

SCENARIO(untouched, control_data)
{
	int pair[2], pipes[2], got = -1;
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	must("pipe", pipe(pipes));
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &pipes[1], sizeof(int));
	observe_call("sendmsg", sendmsg(pair[0], &message, 0));
	memset(control, 0, sizeof control);
	message.msg_controllen = sizeof control;
	observe_call("recvmsg", recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC));
	OBSERVE("flags %s", msg_flags_name(message.msg_flags));
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
	observe_call("write", write(got, "through", 7));
	observe_recv("not a socket", pipes[0], 10, 0);
	OBSERVE("FD_CLOEXEC %d", fcntl(got, F_GETFD));
}

SCENARIO(untouched, pipe)
{
	int pipes[2], queued = -1;
	char buffer[16];

	must("pipe", pipe2(pipes, O_NONBLOCK));
	observe_call("read", read(pipes[0], buffer, sizeof buffer));
	observe_call("write", write(pipes[1], "pipe", 4));
	observe_call("FIONREAD", ioctl(pipes[0], FIONREAD, &queued));
	OBSERVE("queued %d", queued);
	observe_bytes("read", buffer, read(pipes[0], buffer, sizeof buffer));
	close(pipes[1]);
	observe_poll("read end", pipes[0], POLLIN, POLLHUP);
}

SCENARIO(untouched, unix_mmsg)
{
	int pair[2];
	char a[] = "one", b[] = "two";
	struct iovec iov[2] = {{a, 3}, {b, 3}};
	struct mmsghdr messages[2] = {
		{.msg_hdr = {.msg_iov = &iov[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_iov = &iov[1], .msg_iovlen = 1}},
	};

	must("socketpair", socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	observe_call("sendmmsg", sendmmsg(pair[0], messages, 2, 0));
	observe_call("recvmmsg", recvmmsg(pair[1], messages, 2, MSG_DONTWAIT, NULL));
	OBSERVE("%u %u", messages[0].msg_len, messages[1].msg_len);
}

SCENARIO(untouched, unix_blocking_accept)
{
	int listener = must("socket", socket(AF_UNIX, SOCK_STREAM, 0)), fd;
	struct address at = abstract("blocking");
	pid_t child;

	must("bind", bind(listener, SA(&at), at.length));
	must("listen", listen(listener, 4));
	child = must("fork", fork());
	if (child == 0) {
		alarm(SCENARIO_SECONDS);
		pause_ms(100);
		fd = must("socket", socket(AF_UNIX, SOCK_STREAM, 0));
		must("connect", connect_fd(fd, &at));
		send_text(fd, "child");
		_exit(0);
	}
	fd = observe_fd("accept", accept(listener, NULL, NULL));
	observe_recv("recv", fd, 64, 0);
	observe_child("child", child);
}
