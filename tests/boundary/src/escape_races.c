/*
 * The supervisor looks at a descriptor, finds that it is none of its own, and lets the call go on; meanwhile another thread has put one
 * of its own in that place. The call then runs natively on a link.
 */
#include "escapes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif

enum { RACE_MS = 1500, SPOT = 100 };

static atomic_bool stop;
static int sides[2];

static void *
flip(void *arg)
{
	(void)arg;
	while (!stop) {
		dup2(sides[0], SPOT);
		dup2(sides[1], SPOT);
	}
	return NULL;
}

static pthread_t
start_flipping(int a, int b)
{
	pthread_t thread;

	sides[0] = a;
	sides[1] = b;
	dup2(a, SPOT);
	pthread_create(&thread, NULL, flip, NULL);
	return thread;
}

static void
stop_flipping(pthread_t thread)
{
	stop = true;
	pthread_join(thread, NULL);
}

static socklen_t
abstract(struct sockaddr_un *address, const char *name)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "%s", name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

/* The first is a local socket that is not ours to trap; the second an internet socket, or for a run without splitsock a local one. */
static const char *
race_connect(char **args)
{
	struct sockaddr_un address;
	socklen_t len = abstract(&address, args[0]);
	int link = socket(args[1] ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
	pthread_t thread = start_flipping(socket(AF_UNIX, SOCK_STREAM, 0), link);
	const char *came = "never";

	for (long end = now_ms() + RACE_MS; now_ms() < end;)
		if (connect(SPOT, (struct sockaddr *)&address, len) == 0) {
			came = "done";
			break;
		}
	stop_flipping(thread);
	return came;
}

/* A datagram link is connected to the gofer already; could it be pointed elsewhere? */
static const char *
race_connect_datagram(char **args)
{
	struct sockaddr_un address;
	socklen_t len = abstract(&address, args[0]);
	int link = socket(args[1] ? AF_UNIX : AF_INET, SOCK_DGRAM, 0);
	pthread_t thread = start_flipping(socket(AF_UNIX, SOCK_DGRAM, 0), link);
	const char *came = "never";

	for (long end = now_ms() + RACE_MS; now_ms() < end;)
		if (connect(SPOT, (struct sockaddr *)&address, len) == 0) {
			came = "done";
			break;
		}
	stop_flipping(thread);
	return came;
}

/* A connection of our own: its accepted end was made by the gofer, in the host's network namespace. */
static int
accepted_end(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0), peer = socket(AF_INET, SOCK_STREAM, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (struct sockaddr *)&address, len) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &len) < 0 || connect(peer, (struct sockaddr *)&address, len) < 0)
		return -1;
	return accept(listener, NULL, NULL);
}

/* Whether the name is taken in the host's namespace, only the host can see: it looks while we wait. */
static const char *
race_bind_accepted(char **args)
{
	struct sockaddr_un address;
	socklen_t len = abstract(&address, args[0]);
	int link = args[1] ? socket(AF_UNIX, SOCK_STREAM, 0) : accepted_end();
	pthread_t thread;
	long tries = 0;
	char byte;

	if (link < 0)
		return "no connection";
	thread = start_flipping(socket(AF_UNIX, SOCK_STREAM, 0), link);
	for (long end = now_ms() + RACE_MS; now_ms() < end; tries++)
		(void)!bind(SPOT, (struct sockaddr *)&address, len);
	stop_flipping(thread);
	printf("tries %ld\nlook now\n", tries);
	fflush(stdout);
	(void)!read(STDIN_FILENO, &byte, 1);
	return "tried";
}

/* Done: it is the namespace of this inode number, the host's. That of a local socket of the program's own is no secret. */
static const char *
race_namespace(char **args)
{
	unsigned long host = strtoul(args[0], NULL, 10);
	int link = args[1] ? socket(AF_INET, SOCK_STREAM, 0) : accepted_end();
	pthread_t thread;
	const char *came = "never";

	if (link < 0)
		return "no connection";
	thread = start_flipping(socket(AF_UNIX, SOCK_STREAM, 0), link);
	for (long end = now_ms() + RACE_MS; now_ms() < end;) {
		int fd = ioctl(SPOT, SIOCGSKNS);
		struct stat st;

		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && st.st_ino == host) {
			came = "done";
			break;
		}
		close(fd);
	}
	stop_flipping(thread);
	return came;
}

const struct attempt race_attempts[] = {
	{"race-connect", race_connect},
	{"race-connect-datagram", race_connect_datagram},
	{"race-bind-accepted", race_bind_accepted},
	{"race-namespace", race_namespace},
	{0},
};
