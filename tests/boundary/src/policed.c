/*
 * A program that tries what its arguments say, one after the other, and says a line of each: the argument, and what it came to.
 *
 *   tcp/ADDRESS/PORT     connect, read what the server says
 *   udp/ADDRESS/PORT     sendto on an unconnected socket, recvfrom
 *   udpc/ADDRESS/PORT    connect, send, recv
 *   listen/ADDRESS/PORT  bind and listen
 *   serve/ADDRESS/PORT   the same; says "ready", and takes one connection
 *   ubind/ADDRESS/PORT   bind a datagram socket
 *   option/LEVEL/NAME    setsockopt with the int 1
 *   raw/PROTOCOL, packet open such a socket
 *   echo/ADDRESS         an ICMP echo request by a raw socket, and its answer
 *   header/TO/INSIDE     the same, sent to one address with a header of its own that has another
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static socklen_t
parse(const char *text, const char *port, struct sockaddr_storage *address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

	memset(address, 0, sizeof *address);
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)atoi(port));
		return sizeof *in;
	}
	if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1)
		exit(99);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)atoi(port));
	return sizeof *in6;
}

static void
say_name(const char *what, const struct sockaddr_storage *name)
{
	char text[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in *in = (const struct sockaddr_in *)name;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)name;
	int port = ntohs(name->ss_family == AF_INET6 ? in6->sin6_port : in->sin_port);

	inet_ntop(name->ss_family, name->ss_family == AF_INET6 ? (const void *)&in6->sin6_addr : (const void *)&in->sin_addr, text, sizeof text);
	printf(" %s=%s/%d", what, text, port);
}

static void
say_names(int fd)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof name;

	if (getsockname(fd, (struct sockaddr *)&name, &len) == 0)
		say_name("local", &name);
	len = sizeof name;
	if (getpeername(fd, (struct sockaddr *)&name, &len) == 0)
		say_name("peer", &name);
}

static void
try_exchange(const char *verb, const struct sockaddr_storage *address, socklen_t len)
{
	int type = strcmp(verb, "tcp") == 0 ? SOCK_STREAM : SOCK_DGRAM, fd = socket(address->ss_family, type, 0);
	struct timeval patience = {.tv_sec = 5};
	struct sockaddr_storage from = {0};
	socklen_t from_len = sizeof from;
	char said[64];
	ssize_t n;

	if (fd < 0)
		goto failed;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (strcmp(verb, "udp") != 0 && connect(fd, (const struct sockaddr *)address, len) < 0)
		goto failed;
	if (strcmp(verb, "udp") == 0 && sendto(fd, "x", 1, 0, (const struct sockaddr *)address, len) < 0)
		goto failed;
	if (strcmp(verb, "udpc") == 0 && send(fd, "x", 1, 0) < 0)
		goto failed;
	n = recvfrom(fd, said, sizeof said - 1, 0, (struct sockaddr *)&from, &from_len);
	if (n < 0)
		goto failed;
	said[n] = 0;
	printf(" ok said=%s", said);
	say_names(fd);
	if (type == SOCK_DGRAM)
		say_name("from", &from);
	printf("\n");
	close(fd);
	return;
failed:
	printf(" %s\n", strerrorname_np(errno));
	close(fd);
}

static void
try_bind(const char *verb, const struct sockaddr_storage *address, socklen_t len)
{
	int type = strcmp(verb, "ubind") == 0 ? SOCK_DGRAM : SOCK_STREAM, fd = socket(address->ss_family, type, 0), connection;

	if (fd < 0 || bind(fd, (const struct sockaddr *)address, len) < 0 || (type == SOCK_STREAM && listen(fd, 5) < 0)) {
		printf(" %s\n", strerrorname_np(errno));
		close(fd);
		return;
	}
	printf(" ok");
	say_names(fd);
	printf("\n");
	if (strcmp(verb, "serve") == 0) {
		printf("ready\n");
		fflush(stdout);
		connection = accept(fd, NULL, NULL);
		printf("served");
		say_names(connection);
		printf("\n");
		if (write(connection, "hello", 5) != 5)
			printf("cannot answer\n");
		close(connection);
	}
	close(fd);
}

static void
try_socket(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);

	printf(" %s\n", fd < 0 ? strerrorname_np(errno) : "ok");
	close(fd);
}

static unsigned short
checksum(const unsigned char *data, size_t len)
{
	unsigned sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (unsigned)data[i] << 8 | data[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (unsigned short)~sum;
}

static void
try_echo(const char *to, const char *inside)
{
	unsigned char packet[28] = {[0] = 0x45, [3] = 28, [8] = 64, [9] = IPPROTO_ICMP, [20] = 8}, answer[256];
	size_t skipped = inside ? 0 : 20;
	struct sockaddr_storage at, from = {0};
	socklen_t len = parse(to, "0", &at), from_len = sizeof from;
	struct timeval patience = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), on = 1;
	unsigned short sum = checksum(packet + 20, 8);

	packet[22] = (unsigned char)(sum >> 8);
	packet[23] = (unsigned char)sum;
	if (inside)
		inet_pton(AF_INET, inside, packet + 16);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (fd < 0 || (inside && setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &on, sizeof on) < 0) ||
	    sendto(fd, packet + skipped, sizeof packet - skipped, 0, (struct sockaddr *)&at, len) < 0 ||
	    recvfrom(fd, answer, sizeof answer, 0, (struct sockaddr *)&from, &from_len) < 0) {
		printf(" %s\n", strerrorname_np(errno));
	} else {
		printf(" ok");
		say_name("from", &from);
		printf("\n");
	}
	close(fd);
}

static void
try_option(int level, int name)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;

	printf(" %s\n", setsockopt(fd, level, name, &on, sizeof on) < 0 ? strerrorname_np(errno) : "ok");
	close(fd);
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char copy[128], *rest = copy;
		const char *verb, *one, *other;
		struct sockaddr_storage address;
		socklen_t len;

		snprintf(copy, sizeof copy, "%s", argv[i]);
		verb = strsep(&rest, "/");
		one = rest ? strsep(&rest, "/") : "";
		other = rest ? rest : "0";
		printf("%s", argv[i]);
		if (strcmp(verb, "raw") == 0) {
			try_socket(AF_INET, SOCK_RAW, atoi(one));
		} else if (strcmp(verb, "echo") == 0) {
			try_echo(one, NULL);
		} else if (strcmp(verb, "header") == 0) {
			try_echo(one, other);
		} else if (strcmp(verb, "packet") == 0) {
			try_socket(AF_PACKET, SOCK_RAW, 0);
		} else if (strcmp(verb, "option") == 0) {
			try_option(atoi(one), atoi(other));
		} else {
			len = parse(one, other, &address);
			if (strcmp(verb, "listen") == 0 || strcmp(verb, "serve") == 0 || strcmp(verb, "ubind") == 0)
				try_bind(verb, &address, len);
			else
				try_exchange(verb, &address, len);
		}
		fflush(stdout);
	}
	return 0;
}
