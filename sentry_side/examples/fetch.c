/*
 * Fetches a page over HTTP/1.0 through a gofer:
 *
 *     splitsock-fetch [--gofer URL] ADDRESS PORT [PATH]
 *
 * The program needs no network of its own. Only socket(), connect() and the like go through the library: the descriptor is
 * real, so read() and write() are the kernel's.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "splitsock.h"

static void
die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

int
main(int argc, char **argv)
{
	const char *url = NULL, *path = "/";
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct ss *ss;
	char buffer[4096];
	ssize_t len;
	int fd;

	if (argc > 2 && strcmp(argv[1], "--gofer") == 0) {
		url = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc < 3 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
		fprintf(stderr, "usage: splitsock-fetch [--gofer URL] ADDRESS PORT [PATH]\n");
		return 2;
	}
	address.sin_port = htons((in_port_t)atoi(argv[2]));
	if (argc > 3)
		path = argv[3];

	ss = ss_open(url);
	if (!ss)
		die("ss_open");
	fd = ss_socket(ss, AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		die("ss_socket");
	if (ss_connect(ss, fd, (struct sockaddr *)&address, sizeof address) < 0)
		die("ss_connect");
	dprintf(fd, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, argv[1]);
	while ((len = read(fd, buffer, sizeof buffer)) > 0)
		fwrite(buffer, 1, (size_t)len, stdout);
	if (len < 0)
		die("read");
	close(fd);
	ss_close(ss);
	return 0;
}
