/*
 * Blocks in every way while the gofer goes: boundary-blocked PORT FULL, a TCP listener of the host's that accepts and one whose queue is full.
 * Each thread prints what ended its call; then new sockets are tried.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in
loopback(const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static struct sockaddr_in peer, full;

static void
say(const char *what, long value)
{
	if (value < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
	else
		printf("%s: %ld\n", what, value);
	fflush(stdout);
}

static int
connected(int type)
{
	int fd = socket(AF_INET, type, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0) {
		perror("connect");
		exit(1);
	}
	return fd;
}

static int
bound(int type)
{
	struct sockaddr_in any = loopback("0");
	int fd = socket(AF_INET, type, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0 || (type == SOCK_STREAM && listen(fd, 1) < 0)) {
		perror("bind");
		exit(1);
	}
	return fd;
}

static void *
block_read(void *arg)
{
	char data[16];

	say("read", read(*(int *)arg, data, sizeof data));
	return NULL;
}

static void *
block_write(void *arg)
{
	static char data[65536];
	ssize_t n;

	while ((n = send(*(int *)arg, data, sizeof data, MSG_NOSIGNAL)) > 0)
		;
	say("write", n);
	return NULL;
}

static void *
block_accept(void *arg)
{
	say("accept", accept(*(int *)arg, NULL, NULL));
	return NULL;
}

static void *
block_connect(void *arg)
{
	say("connect", connect(*(int *)arg, (struct sockaddr *)&full, sizeof full));
	return NULL;
}

static void *
block_recvfrom(void *arg)
{
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	char data[16];

	say("recvfrom", recvfrom(*(int *)arg, data, sizeof data, 0, (struct sockaddr *)&from, &len));
	return NULL;
}

static void *
block_recvmsg(void *arg)
{
	struct sockaddr_in from;
	char data[16];
	struct iovec iov = {data, sizeof data};
	struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1};

	say("recvmsg", recvmsg(*(int *)arg, &message, 0));
	return NULL;
}

static void *
block_poll(void *arg)
{
	struct pollfd in = {.fd = *(int *)arg, .events = POLLIN};
	int n = poll(&in, 1, -1);

	say("poll", n < 0 ? n : in.revents);
	return NULL;
}

static void *
block_epoll(void *arg)
{
	struct epoll_event event = {.events = EPOLLIN};
	int set = epoll_create1(0), n;

	epoll_ctl(set, EPOLL_CTL_ADD, *(int *)arg, &event);
	n = epoll_wait(set, &event, 1, -1);
	say("epoll", n < 0 ? n : (long)event.events);
	return NULL;
}

int
main(int argc, char **argv)
{
	static void *(*const blocks[])(void *) = {block_read,     block_write,   block_accept, block_connect,
	                                          block_recvfrom, block_recvmsg, block_poll,   block_epoll};
	enum { COUNT = sizeof blocks / sizeof *blocks };
	pthread_t threads[COUNT];
	int fds[COUNT];

	if (argc != 3)
		return 2;
	alarm(30);
	peer = loopback(argv[1]);
	full = loopback(argv[2]);
	fds[0] = connected(SOCK_STREAM);
	fds[1] = connected(SOCK_STREAM);
	fds[2] = bound(SOCK_STREAM);
	fds[3] = socket(AF_INET, SOCK_STREAM, 0);
	fds[4] = bound(SOCK_DGRAM);
	fds[5] = bound(SOCK_DGRAM);
	fds[6] = connected(SOCK_STREAM);
	fds[7] = connected(SOCK_STREAM);
	for (int i = 0; i < COUNT; i++)
		pthread_create(&threads[i], NULL, blocks[i], &fds[i]);
	printf("ready\n");
	fflush(stdout);
	for (int i = 0; i < COUNT; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 3; i++)
		say("socket", socket(AF_INET, SOCK_STREAM, 0));
	say("datagram socket", socket(AF_INET6, SOCK_DGRAM, 0));
	/* What is not ours goes on. */
	say("local", socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? 0 : -1);
	return 0;
}
