/*
 * A program that knows nothing of splitsock and does what it is told, a line at a time: "OPERATION COUNT [PORT]". It answers each line with
 * the descriptors it holds, so that who tells it can look at the counters in between.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MAX = 1000 };

static int fds[FDS_MAX], fd_count, listener = -1, datagram = -1;

static void
must(int result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(1);
}

static struct sockaddr_in
loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static void
add(int fd, const char *what)
{
	must(fd, what);
	must(fd_count < FDS_MAX ? 0 : -1, "room");
	fds[fd_count++] = fd;
}

static void
name(int fd, int (*get)(int, struct sockaddr *, socklen_t *), const char *what)
{
	struct sockaddr_in address;
	socklen_t len = sizeof address;

	must(get(fd, (struct sockaddr *)&address, &len), what);
}

/* Prints the port that the listener got. */
static void
serve(int count)
{
	struct sockaddr_in address = loopback(0);
	socklen_t len = sizeof address;

	must(listener = socket(AF_INET, SOCK_STREAM, 0), "socket");
	must(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
	must(listen(listener, count), "listen");
	must(getsockname(listener, (struct sockaddr *)&address, &len), "getsockname");
	printf("%d ", ntohs(address.sin_port));
}

static void
once(const char *operation, int i, int port)
{
	struct sockaddr_in address = loopback(port);
	char byte = 0;
	int one = 1;

	if (strcmp(operation, "socket") == 0)
		add(socket(AF_INET, SOCK_STREAM, 0), operation);
	else if (strcmp(operation, "connect") == 0)
		must(connect(fds[i], (struct sockaddr *)&address, sizeof address), operation);
	else if (strcmp(operation, "refused") == 0)
		must(connect(fds[i], (struct sockaddr *)&address, sizeof address) == 0 ? -1 : 0, operation);
	else if (strcmp(operation, "accept") == 0)
		add(accept(listener, NULL, NULL), operation);
	else if (strcmp(operation, "getsockname") == 0)
		name(fds[i], getsockname, operation);
	else if (strcmp(operation, "getpeername") == 0)
		name(fds[i], getpeername, operation);
	else if (strcmp(operation, "setsockopt") == 0)
		must(setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), operation);
	else if (strcmp(operation, "write") == 0)
		must(write(fds[i], &byte, 1) == 1 ? 0 : -1, operation);
	else if (strcmp(operation, "sendto") == 0)
		must(sendto(datagram, &byte, 1, 0, (struct sockaddr *)&address, sizeof address) == 1 ? 0 : -1, operation);
	else if (strcmp(operation, "close") == 0)
		must(close(fds[--fd_count]), operation);
	else
		must(-1, operation);
}

int
main(void)
{
	char operation[32];
	int count, port, got;
	char line[128];

	while (fgets(line, sizeof line, stdin)) {
		port = 0;
		got = sscanf(line, "%31s %d %d", operation, &count, &port);
		must(got >= 2 ? 0 : -1, "a line");
		if (strcmp(operation, "serve") == 0) {
			serve(count);
			count = 0;
		} else if (strcmp(operation, "datagram") == 0) {
			must(datagram = socket(AF_INET, SOCK_DGRAM, 0), operation);
			count = 0;
		}
		for (int i = 0; i < count; i++)
			once(operation, i, port);
		printf("%d\n", fd_count);
		fflush(stdout);
	}
	return 0;
}
