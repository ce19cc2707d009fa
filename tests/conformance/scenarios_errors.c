/* Every call on what is no descriptor, no socket, or with pointers to nowhere. */
#include "tests/conformance/scenario.h"

#include <sys/mman.h>

/* The calls are made bare: the C library, or a sanitizer, might look at the arguments first. */
#define CALL(name, ...) observe_call(#name, syscall(SYS_##name, __VA_ARGS__))

static void
call_everything(int fd)
{
	struct address name = loopback(AF_INET, 9);
	socklen_t length = sizeof name.storage, size = sizeof(int);
	char byte = 'x';
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct mmsghdr many = {.msg_hdr = message};
	int value = 0;

	CALL(bind, fd, SA(&name), name.length);
	CALL(connect, fd, SA(&name), name.length);
	CALL(listen, fd, 1);
	CALL(accept, fd, NULL, NULL);
	CALL(accept4, fd, NULL, NULL, 0);
	CALL(accept4, fd, NULL, NULL, 1);
	CALL(getsockname, fd, SA(&name), &length);
	CALL(getpeername, fd, SA(&name), &length);
	CALL(getsockopt, fd, SOL_SOCKET, SO_TYPE, &value, &size);
	CALL(setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &value, size);
	CALL(shutdown, fd, SHUT_RD);
	CALL(shutdown, fd, 77);
	CALL(sendto, fd, &byte, 1, MSG_NOSIGNAL, SA(&name), name.length);
	CALL(sendto, fd, &byte, 1, MSG_NOSIGNAL, NULL, 0);
	CALL(recvfrom, fd, &byte, 1, MSG_DONTWAIT, SA(&name), &length);
	CALL(recvfrom, fd, &byte, 1, MSG_DONTWAIT, NULL, NULL);
	CALL(sendmsg, fd, &message, MSG_NOSIGNAL);
	CALL(recvmsg, fd, &message, MSG_DONTWAIT);
	CALL(sendmmsg, fd, &many, 1, MSG_NOSIGNAL);
	CALL(recvmmsg, fd, &many, 1, MSG_DONTWAIT, NULL);
}

SCENARIO(errors, bad_descriptor)
{
	int closed = tcp_socket(AF_INET), value;

	close(closed);
	OBSERVE("-1");
	call_everything(-1);
	OBSERVE("closed");
	call_everything(closed);
	OBSERVE("1000000");
	call_everything(1000000);
	CALL(ioctl, closed, FIONREAD, &value);
}

SCENARIO(errors, not_a_socket)
{
	int pipes[2], file = must("open", open("/dev/null", O_RDWR));

	must("pipe", pipe(pipes));
	OBSERVE("/dev/null");
	call_everything(file);
	OBSERVE("pipe");
	call_everything(pipes[0]);
	OBSERVE("epoll");
	call_everything(must("epoll_create1", epoll_create1(0)));
}

SCENARIO(errors, path_descriptor)
{
	OBSERVE("O_PATH");
	call_everything(must("open", open("/", O_PATH)));
}

static char *
nowhere(void)
{
	char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must("mmap", page == MAP_FAILED ? -1 : 0);
	return page;
}

SCENARIO_V4_V6(errors, bad_pointers_tcp)
{
	struct pair pair = tcp_pair(family);
	char *bad = nowhere(), byte = 'x';
	struct address name = loopback(family, 9);
	struct iovec iov = {bad, 1}, good = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct mmsghdr many = {.msg_hdr = message};
	socklen_t length = sizeof name.storage;
	int fd = tcp_socket(family), value = 1;

	CALL(bind, fd, bad, name.length);
	CALL(connect, fd, bad, name.length);
	CALL(getsockname, pair.client, bad, &length);
	CALL(getsockname, pair.client, SA(&name), bad);
	CALL(getpeername, pair.client, bad, &length);
	CALL(getpeername, pair.client, SA(&name), bad);
	CALL(getsockopt, pair.client, SOL_SOCKET, SO_TYPE, bad, &length);
	CALL(getsockopt, pair.client, SOL_SOCKET, SO_TYPE, &value, bad);
	CALL(setsockopt, pair.client, SOL_SOCKET, SO_KEEPALIVE, bad, sizeof value);
	CALL(setsockopt, pair.client, IPPROTO_TCP, TCP_NODELAY, bad, sizeof value);
	CALL(ioctl, pair.client, FIONREAD, bad);
	CALL(sendto, pair.client, bad, 1, MSG_NOSIGNAL, NULL, 0);
	CALL(sendmsg, pair.client, bad, MSG_NOSIGNAL);
	CALL(sendmsg, pair.client, &message, MSG_NOSIGNAL);
	CALL(recvmsg, pair.client, bad, MSG_DONTWAIT);
	CALL(sendmmsg, pair.client, bad, 1, MSG_NOSIGNAL);
	CALL(recvmmsg, pair.client, bad, 1, MSG_DONTWAIT, NULL);
	send_text(pair.server, "queued");
	wait_queued(pair.client, 6);
	CALL(recvfrom, pair.client, bad, 1, MSG_DONTWAIT, NULL, NULL);
	CALL(recvmsg, pair.client, &message, MSG_DONTWAIT);
	CALL(recvmmsg, pair.client, &many, 1, MSG_DONTWAIT, NULL);
	message = (struct msghdr){.msg_iov = (struct iovec *)bad, .msg_iovlen = 1};
	CALL(sendmsg, pair.client, &message, MSG_NOSIGNAL);
	CALL(recvmsg, pair.client, &message, MSG_DONTWAIT);
	message = (struct msghdr){.msg_iov = &good, .msg_iovlen = 1, .msg_control = bad, .msg_controllen = 64};
	CALL(sendmsg, pair.client, &message, MSG_NOSIGNAL);
	observe_recv("still there", pair.client, 64, 0);
}

SCENARIO_V4_V6(errors, bad_pointers_udp)
{
	int fd = udp_bound(family), sender = udp_bound(family);
	char *bad = nowhere(), byte = 'x';
	struct address to = local_of(fd);
	struct iovec iov = {bad, 1}, good = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_name = SA(&to), .msg_namelen = to.length};
	socklen_t length = sizeof to.storage;

	CALL(sendto, sender, bad, 1, 0, SA(&to), to.length);
	CALL(sendto, sender, &byte, 1, 0, bad, to.length);
	CALL(sendmsg, sender, &message, 0);
	message = (struct msghdr){.msg_iov = &good, .msg_iovlen = 1, .msg_name = bad, .msg_namelen = to.length};
	CALL(sendmsg, sender, &message, 0);
	observe_quiet("nothing sent", fd, POLLIN);
	for (int i = 0; i < 3; i++) {
		must("sendto", sendto(sender, "x", 1, 0, SA(&to), to.length));
		wait_for(fd, POLLIN);
		if (i == 0)
			CALL(recvfrom, fd, bad, 1, MSG_DONTWAIT, SA(&to), &length);
		else if (i == 1)
			CALL(recvfrom, fd, &byte, 1, MSG_DONTWAIT, bad, &length);
		else
			CALL(recvfrom, fd, &byte, 1, MSG_DONTWAIT, SA(&to), bad);
		length = sizeof to.storage;
		to = local_of(fd);
	}
	observe_recv("left", fd, 10, MSG_DONTWAIT);
}

SCENARIO(errors, bad_pointers_accept)
{
	int listener = tcp_listener(AF_INET), fd = tcp_socket(AF_INET);
	struct address at = local_of(listener);
	socklen_t length = sizeof at.storage;

	must("connect", connect_fd(fd, &at));
	wait_for(listener, POLLIN);
	CALL(accept, listener, nowhere(), &length);
	observe_poll("client", fd, POLLIN | POLLRDHUP, POLLIN | POLLRDHUP);
	fd = tcp_socket(AF_INET);
	must("connect", connect_fd(fd, &at));
	wait_for(listener, POLLIN);
	CALL(accept, listener, SA(&at), nowhere());
	observe_poll("client", fd, POLLIN | POLLRDHUP, POLLIN | POLLRDHUP);
	set_nonblocking(listener, true);
	observe_fd("nothing left", accept(listener, NULL, NULL));
}

SCENARIO(errors, half_a_page)
{
	struct pair pair = tcp_pair(AF_INET);
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov = {pages + 4096 - 10, 20};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	must("mprotect", mprotect(pages + 4096, 4096, PROT_NONE));
	memset(pages, 'y', 4096);
	/* The first half could be sent; the kernel sends nothing of it, or what it could copy. */
	CALL(sendmsg, pair.client, &message, MSG_NOSIGNAL);
	CALL(bind, tcp_socket(AF_INET), pages + 4096 - 8, 16);
	send_text(pair.server, "twelve bytes");
	wait_queued(pair.client, 12);
	CALL(recvmsg, pair.client, &message, MSG_DONTWAIT);
}

SCENARIO(errors, unknown_ioctl)
{
	int fd = tcp_socket(AF_INET), udp = udp_socket(AF_INET), value = 0;

	observe_call("ioctl 0", ioctl(fd, 0, &value));
	observe_call("ioctl 0x1234", ioctl(fd, 0x1234, &value));
	observe_call("TCGETS", ioctl(fd, TCGETS, &value));
	observe_call("FIONREAD fresh", ioctl(fd, FIONREAD, &value));
	observe_call("FIONREAD listener", ioctl(tcp_listener(AF_INET), FIONREAD, &value));
	observe_call("SIOCATMARK udp", ioctl(udp, SIOCATMARK, &value));
	observe_call("TIOCOUTQ udp", ioctl(udp, TIOCOUTQ, &value));
	OBSERVE("unsent %d", value);
}

SCENARIO(errors, unknown_message_flags)
{
	struct pair tcp = tcp_pair(AF_INET), udp = udp_pair(AF_INET);

	observe_call("tcp send", send(tcp.client, "x", 1, 0x800000));
	wait_queued(tcp.server, 1);
	observe_recv("tcp recv", tcp.server, 10, 0x800000);
	observe_call("udp send", send(udp.client, "x", 1, 0x800000));
	wait_for(udp.server, POLLIN);
	observe_recv("udp recv", udp.server, 10, 0x800000);
	observe_call("send MSG_EOR", send(tcp.client, "x", 1, MSG_EOR));
	observe_call("send MSG_CONFIRM", send(udp.client, "x", 1, MSG_CONFIRM));
	observe_recv("recv MSG_ERRQUEUE", tcp.server, 10, MSG_ERRQUEUE | MSG_DONTWAIT);
	wait_for(udp.server, POLLIN);
	observe_recv("recv MSG_OOB udp", udp.server, 10, MSG_OOB | MSG_DONTWAIT);
}
