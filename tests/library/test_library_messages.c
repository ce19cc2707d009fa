/*
 * What goes beside a message's bytes: control messages, the error queue, urgent data, through the public API.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h>
#include <linux/sockios.h>

#include "sentry_side/splitsock.h"
#include "tests/library/gofer_process.h"

#define OK(expression) cr_assert_geq((expression), 0, "%s: %s", #expression, strerror(errno))
#define A(address) ((struct sockaddr *)&(address))

static struct gofer_process gofer;
static struct ss *ss;

static void
setup(void)
{
	gofer_process_start(&gofer, NULL, NULL);
	cr_assert_not_null(ss = ss_open(gofer.url), "%s", strerror(errno));
}

static void
teardown(void)
{
	ss_close(ss);
	gofer_process_stop(&gofer);
}

TestSuite(messages, .init = setup, .fini = teardown, .timeout = 60);

/* A socket of the kernel's own, bound to loopback. */
static int
plain(int type, struct sockaddr_in *address)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof *address;

	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	OK(bind(fd, A(*address), sizeof *address));
	OK(getsockname(fd, A(*address), &len));
	return fd;
}

/* One of the library's, likewise. */
static int
ours(struct sockaddr_in *address)
{
	socklen_t len = sizeof *address;
	int fd;

	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	OK(ss_bind(ss, fd, A(*address), sizeof *address));
	OK(ss_getsockname(ss, fd, A(*address), &len));
	return fd;
}

static void
wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	cr_assert_eq(poll(&p, 1, 5000), 1);
}

struct received {
	char data[64];
	_Alignas(struct cmsghdr) char control[256];
	struct iovec iov;
	struct msghdr message;
};

static struct msghdr *
into(struct received *received)
{
	received->iov = (struct iovec){received->data, sizeof received->data};
	received->message = (struct msghdr){
		.msg_iov = &received->iov,
		.msg_iovlen = 1,
		.msg_control = received->control,
		.msg_controllen = sizeof received->control,
	};
	return &received->message;
}

Test(messages, packet_info_comes_with_a_datagram)
{
	struct sockaddr_in here, from;
	int fd = ours(&here), peer = plain(SOCK_DGRAM, &from);
	struct received received;
	struct in_pktinfo info;
	struct cmsghdr *header;

	OK(ss_setsockopt(ss, fd, IPPROTO_IP, IP_PKTINFO, &(int){1}, sizeof(int)));
	OK(sendto(peer, "hello", 5, 0, A(here), sizeof here));
	wait_for(fd, POLLIN);
	cr_assert_eq(ss_recvmsg(ss, fd, into(&received), 0), 5);
	header = CMSG_FIRSTHDR(&received.message);
	cr_assert_not_null(header);
	cr_assert(header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO && header->cmsg_len == CMSG_LEN(sizeof info));
	memcpy(&info, CMSG_DATA(header), sizeof info);
	cr_assert_eq(info.ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
	cr_assert_null(CMSG_NXTHDR(&received.message, header));
	/* Where there is no room, that is said. */
	OK(sendto(peer, "hello", 5, 0, A(here), sizeof here));
	wait_for(fd, POLLIN);
	into(&received)->msg_controllen = 20;
	cr_assert_eq(ss_recvmsg(ss, fd, &received.message, 0), 5);
	cr_assert(received.message.msg_flags & MSG_CTRUNC);
	cr_assert_eq(received.message.msg_controllen, 20);
	close(fd);
	close(peer);
}

Test(messages, a_time_to_live_goes_with_a_datagram)
{
	struct sockaddr_in there;
	int fd, ttl = 7, peer = plain(SOCK_DGRAM, &there);
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof ttl)] = "";
	struct iovec iov = {"x", 1};
	struct msghdr message = {.msg_name = &there, .msg_namelen = sizeof there, .msg_iov = &iov, .msg_iovlen = 1,
	                         .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	struct received received;

	*header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof ttl), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_TTL};
	memcpy(CMSG_DATA(header), &ttl, sizeof ttl);
	OK(setsockopt(peer, IPPROTO_IP, IP_RECVTTL, &(int){1}, sizeof(int)));
	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	cr_assert_eq(ss_sendmsg(ss, fd, &message, 0), 1);
	cr_assert_eq(recvmsg(peer, into(&received), 0), 1);
	memcpy(&ttl, CMSG_DATA(CMSG_FIRSTHDR(&received.message)), sizeof ttl);
	cr_assert_eq(ttl, 7);
	/* What the kernel refuses is refused: a length that the type cannot have, a type that the level does not know. */
	header->cmsg_len = CMSG_LEN(2);
	cr_assert(ss_sendmsg(ss, fd, &message, 0) < 0 && errno == EINVAL);
	header->cmsg_len = CMSG_LEN(sizeof ttl);
	header->cmsg_type = 200;
	cr_assert(ss_sendmsg(ss, fd, &message, 0) < 0 && errno == EINVAL);
	header->cmsg_len = 1000;
	cr_assert(ss_sendmsg(ss, fd, &message, 0) < 0 && errno == EINVAL);
	close(fd);
	close(peer);
}

Test(messages, the_error_queue_tells_what_was_lost)
{
	struct sockaddr_in there, name;
	int fd;
	struct received received;
	struct sock_extended_err error;

	close(plain(SOCK_DGRAM, &there));
	OK(fd = ss_socket(ss, AF_INET, SOCK_DGRAM, 0));
	OK(ss_setsockopt(ss, fd, IPPROTO_IP, IP_RECVERR, &(int){1}, sizeof(int)));
	cr_assert(ss_recvmsg(ss, fd, into(&received), MSG_ERRQUEUE) < 0 && errno == EAGAIN);
	cr_assert_eq(ss_sendto(ss, fd, "lost", 4, 0, A(there), sizeof there), 4);
	wait_for(fd, POLLIN);
	into(&received)->msg_name = &name;
	received.message.msg_namelen = sizeof name;
	cr_assert_eq(ss_recvmsg(ss, fd, &received.message, MSG_ERRQUEUE), 4);
	cr_assert_arr_eq(received.data, "lost", 4);
	cr_assert_eq(name.sin_port, there.sin_port);
	memcpy(&error, CMSG_DATA(CMSG_FIRSTHDR(&received.message)), sizeof error);
	cr_assert_eq(error.ee_errno, ECONNREFUSED);
	cr_assert_eq(error.ee_origin, SO_EE_ORIGIN_ICMP);
	cr_assert(ss_recvmsg(ss, fd, into(&received), MSG_ERRQUEUE) < 0 && errno == EAGAIN);
	close(fd);
}

static void
connected_pair(int *fd, int *peer)
{
	struct sockaddr_in address;
	int listener = plain(SOCK_STREAM, &address);

	OK(listen(listener, 1));
	OK(*fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0));
	OK(ss_connect(ss, *fd, A(address), sizeof address));
	OK(*peer = accept(listener, NULL, NULL));
	close(listener);
}

Test(messages, urgent_data_both_ways)
{
	int fd, peer, mark = 0;
	char byte;

	connected_pair(&fd, &peer);
	for (int round = 0; round < 100; round++) {
		char text[16];

		OK(write(fd, "before", 6));
		cr_assert_eq(ss_sendto(ss, fd, "!", 1, MSG_OOB, NULL, 0), 1);
		OK(write(fd, "after", 5));
		wait_for(peer, POLLPRI);
		cr_assert_eq(recv(peer, &byte, 1, MSG_OOB), 1);
		cr_assert_eq(byte, '!');
		/* A read stops at the mark. */
		cr_assert_eq(recv(peer, text, 6, MSG_WAITALL), 6);
		cr_assert_arr_eq(text, "before", 6);
		OK(ioctl(peer, SIOCATMARK, &mark));
		cr_assert(mark);
		cr_assert_eq(recv(peer, text, 5, MSG_WAITALL), 5);
		cr_assert_arr_eq(text, "after", 5);

		OK(write(peer, "before", 6));
		cr_assert_eq(send(peer, "?", 1, MSG_OOB), 1);
		OK(write(peer, "after", 5));
		wait_for(fd, POLLPRI);
		cr_assert_eq(recv(fd, &byte, 1, MSG_OOB), 1);
		cr_assert_eq(byte, '?');
		cr_assert_eq(recv(fd, text, 6, MSG_WAITALL), 6);
		cr_assert_arr_eq(text, "before", 6);
		cr_assert_eq(recv(fd, text, 5, MSG_WAITALL), 5);
		cr_assert_arr_eq(text, "after", 5);
	}
	close(fd);
	close(peer);
}

Test(messages, zero_copy_completes)
{
	int fd, peer, on = 0;
	socklen_t len = sizeof on;
	struct received received;
	struct sock_extended_err error;

	connected_pair(&fd, &peer);
	OK(ss_setsockopt(ss, fd, SOL_SOCKET, SO_ZEROCOPY, &(int){1}, sizeof(int)));
	OK(ss_getsockopt(ss, fd, SOL_SOCKET, SO_ZEROCOPY, &on, &len));
	cr_assert_eq(on, 1);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(ss_sendto(ss, fd, "data", 4, MSG_ZEROCOPY, NULL, 0), 4);
	cr_assert_eq(ss_recvmsg(ss, fd, into(&received), MSG_ERRQUEUE), 0);
	memcpy(&error, CMSG_DATA(CMSG_FIRSTHDR(&received.message)), sizeof error);
	cr_assert_eq(error.ee_origin, SO_EE_ORIGIN_ZEROCOPY);
	cr_assert(error.ee_info == 0 && error.ee_data == 2, "sends %u to %u", error.ee_info, error.ee_data);
	cr_assert(ss_recvmsg(ss, fd, into(&received), MSG_ERRQUEUE) < 0 && errno == EAGAIN);
	cr_assert_eq(recv(peer, received.data, 12, MSG_WAITALL), 12);
	close(fd);
	close(peer);
}
