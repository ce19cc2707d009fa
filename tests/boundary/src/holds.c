/*
 * Holds sockets of every kind until it is killed: boundary-holds PORT, where a TCP listener and a UDP socket of the host's are.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in
loopback(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static int
must(int value, const char *what)
{
	if (value >= 0)
		return value;
	perror(what);
	exit(1);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in peer = loopback(argc > 1 ? atoi(argv[1]) : 0), address;
	socklen_t len;

	alarm(60);
	printf("pid %d\n", (int)getpid());
	for (int i = 0; i < 3; i++) {
		int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");

		address = loopback(0);
		must(bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
		must(listen(fd, 8), "listen");
		len = sizeof address;
		must(getsockname(fd, (struct sockaddr *)&address, &len), "getsockname");
		printf("listen%d %d\n", i, ntohs(address.sin_port));
	}
	for (int i = 0; i < 20; i++) {
		int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");

		must(connect(fd, (struct sockaddr *)&peer, sizeof peer), "connect");
		must((int)write(fd, "x", 1), "write");
	}
	for (int i = 0; i < 10; i++) {
		int fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

		address = loopback(0);
		must(bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
		len = sizeof address;
		must(getsockname(fd, (struct sockaddr *)&address, &len), "getsockname");
		if (i == 0)
			printf("datagram %d\n", ntohs(address.sin_port));
		if (i & 1)
			must(connect(fd, (struct sockaddr *)&peer, sizeof peer), "connect");
		must((int)sendto(fd, "x", 1, 0, (struct sockaddr *)&peer, sizeof peer), "sendto");
	}
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}
