// fetch HOST PORT [PATH]: resolves HOST with AI_ADDRCONFIG, tries its addresses in turn, and writes the body of
// an HTTP/1.0 GET to standard output. Without PATH it only prints the addresses. Built with musl, static, and
// with glibc: the two libcs resolve and connect by different system calls. Exit 7 when refused.
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return -1;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

// Reads the whole answer, and copies to standard output what follows the empty line that ends the headers.
static int copy_body(int fd)
{
	static const char end[] = "\r\n\r\n";
	static char buf[65536];
	size_t matched = 0;
	for (;;) {
		ssize_t n = read(fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			return matched == 4 ? 0 : -1;
		size_t at = 0;
		for (; at < (size_t)n && matched < 4; at++)
			matched = buf[at] == end[matched] ? matched + 1 : buf[at] == '\r';
		if (write_all(STDOUT_FILENO, buf + at, (size_t)n - at) < 0)
			return -1;
	}
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: fetch HOST PORT [PATH]\n");
		return 2;
	}
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *list, *ai;
	int e = getaddrinfo(argv[1], argv[2], &hints, &list);
	if (e) {
		fprintf(stderr, "fetch: %s: %s\n", argv[1], gai_strerror(e));
		return 6;
	}
	if (argc == 3) {
		for (ai = list; ai; ai = ai->ai_next) {
			char host[64];
			if (getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), NULL, 0, NI_NUMERICHOST) == 0)
				puts(host);
		}
		freeaddrinfo(list);
		return 0;
	}
	int fd = -1;
	for (ai = list; ai; ai = ai->ai_next) {
		fd = socket(ai->ai_family, ai->ai_socktype, ai->ai_protocol);
		if (fd < 0)
			continue;
		if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
			break;
		int saved = errno;
		close(fd);
		errno = saved;
		fd = -1;
	}
	freeaddrinfo(list);
	if (fd < 0) {
		int saved = errno;
		perror("fetch: connect");
		return saved == ECONNREFUSED ? 7 : 1;
	}
	char request[512];
	int n = snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", argv[3], argv[1]);
	if (n < 0 || (size_t)n >= sizeof(request) || write_all(fd, request, (size_t)n) < 0 || copy_body(fd) < 0) {
		perror("fetch");
		return 1;
	}
	close(fd);
	return 0;
}
