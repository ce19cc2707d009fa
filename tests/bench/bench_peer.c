/*
 * splitsock-bench-peer: the far end of every benchmark, bare on the host's loopback.
 *
 * One epoll loop accepts and answers single bytes, so that connections a second and idle connections cost no thread here;
 * a connection that asks for round trips or a stream moves to a thread of its own with blocking calls, so that the loop
 * adds nothing to what is measured. UDP is echoed by one more thread.
 *
 * It prints "P1,P2,… U", its TCP ports and its UDP port, and serves until its standard input ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench_wire.h"

struct job {
	int fd;
	char kind; /* PEER_ROUND_TRIP, PEER_SINK or PEER_SOURCE */
};

static int
bound_socket(int type, uint16_t *port)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof name;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0 ||
	    getsockname(fd, (struct sockaddr *)&name, &len) < 0)
		error(1, errno, "cannot bind to the loopback");
	*port = ntohs(name.sin_port);
	return fd;
}

static void
serve_round_trips(int fd)
{
	char byte[64];
	ssize_t n;

	while ((n = recv(fd, byte, sizeof byte, 0)) > 0)
		if (send(fd, byte, (size_t)n, MSG_NOSIGNAL) != n)
			return;
}

static void
serve_sink(int fd, char *chunk)
{
	uint64_t total = 0;
	ssize_t n;

	while ((n = recv(fd, chunk, STREAM_CHUNK, 0)) > 0)
		total += (uint64_t)n;
	if (n == 0)
		send(fd, &total, sizeof total, MSG_NOSIGNAL);
}

static void
serve_source(int fd, const char *chunk)
{
	while (send(fd, chunk, STREAM_CHUNK, MSG_NOSIGNAL) > 0)
		;
}

static void *
job_thread(void *arg)
{
	struct job *job = arg;
	char *chunk = calloc(1, STREAM_CHUNK);

	if (chunk) {
		if (job->kind == PEER_ROUND_TRIP)
			serve_round_trips(job->fd);
		else if (job->kind == PEER_SINK)
			serve_sink(job->fd, chunk);
		else
			serve_source(job->fd, chunk);
	}
	free(chunk);
	close(job->fd);
	free(job);
	return NULL;
}

/* Takes fd over; false if it could not. */
static bool
job_start(int fd, char kind)
{
	struct job *job = malloc(sizeof *job);
	pthread_t thread;
	int on = 1;

	if (!job)
		return false;
	*job = (struct job){ fd, kind };
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (pthread_create(&thread, NULL, job_thread, job) != 0) {
		free(job);
		return false;
	}
	pthread_detach(thread);
	return true;
}

static void *
udp_thread(void *arg)
{
	int fd = *(int *)arg;
	struct sockaddr_in from;
	char datagram[2048];

	for (;;) {
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(fd, datagram, sizeof datagram, 0, (struct sockaddr *)&from, &len);

		if (n >= 0)
			sendto(fd, datagram, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
	return NULL;
}

static void
connection_ready(int epoll, int fd)
{
	char command;
	ssize_t n = recv(fd, &command, 1, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == 1 && command == PEER_ONE_BYTE && send(fd, &command, 1, MSG_NOSIGNAL) == 1)
		return;
	if (n == 1 && (command == PEER_ROUND_TRIP || command == PEER_SINK || command == PEER_SOURCE)) {
		epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
		if (job_start(fd, command))
			return;
	}
	close(fd);
}

static void
watch(int epoll, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		error(1, errno, "epoll_ctl");
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	struct epoll_event events[64];
	int listeners[PEER_TCP_PORTS], first, last, udp, n;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint16_t port;
	pthread_t thread;

	if (argc > 1) {
		printf("usage: %s   (serves splitsock-bench-load until standard input ends)\n", argv[0]);
		return strcmp(argv[1], "--help") == 0 ? 0 : 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (epoll < 0)
		error(1, errno, "epoll_create1");
	for (int i = 0; i < PEER_TCP_PORTS; i++) {
		listeners[i] = bound_socket(SOCK_STREAM | SOCK_NONBLOCK, &port);
		if (listen(listeners[i], 1024) < 0)
			error(1, errno, "listen");
		watch(epoll, listeners[i]);
		printf("%s%u", i ? "," : "", port);
	}
	first = listeners[0];
	last = listeners[PEER_TCP_PORTS - 1];
	udp = bound_socket(SOCK_DGRAM, &port);
	printf(" %u\n", port);
	fflush(stdout);
	if (pthread_create(&thread, NULL, udp_thread, &udp) != 0)
		error(1, 0, "pthread_create");
	watch(epoll, STDIN_FILENO);

	while ((n = epoll_wait(epoll, events, 64, -1)) >= 0 || errno == EINTR) {
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == STDIN_FILENO) {
				char ignored[64];

				if (read(STDIN_FILENO, ignored, sizeof ignored) <= 0)
					return 0;
			} else if (fd >= first && fd <= last) { /* opened one after another, so they are consecutive */
				int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

				if (accepted >= 0)
					watch(epoll, accepted);
			} else {
				connection_ready(epoll, fd);
			}
		}
	}
	error(1, errno, "epoll_wait");
}
