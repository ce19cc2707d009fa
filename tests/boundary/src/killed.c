/*
 * Children that are killed in the middle of every trapped call: boundary-killed KILLS. Says "pid N" and "ready" after a few, waits for
 * SIGUSR1, kills as many as it was told, says "done", and waits for another SIGUSR1, holding what it held when it was ready.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 16 };

static struct sockaddr_in stream_at, datagram_at;
static socklen_t len = sizeof stream_at;

#define AT(address) ((struct sockaddr *)&(address))

static int
must(int value, const char *what)
{
	if (value >= 0)
		return value;
	perror(what);
	exit(1);
}

static int
bound(int type, struct sockaddr_in *at)
{
	int fd = must(socket(AF_INET, type, 0), "socket");

	*at = (struct sockaddr_in){.sin_family = AF_INET};
	at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	len = sizeof *at;
	must(bind(fd, AT(*at), sizeof *at), "bind");
	must(getsockname(fd, AT(*at), &len), "getsockname");
	return fd;
}

/* Sockets that one round makes, and others wait in. The child never leaves. */
static void
be(unsigned kind)
{
	char byte = 'x';
	struct iovec iov = {&byte, 1};
	struct sockaddr_in name;
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1}, named = message;
	struct mmsghdr many = {.msg_hdr = message};
	struct ifreq ifreq = {.ifr_name = "lo"};
	int fd, value = 1;

	named.msg_name = &datagram_at;
	named.msg_namelen = sizeof datagram_at;
	fd = bound(kind % 2 ? SOCK_STREAM : SOCK_DGRAM, &name);
	for (;;) {
		socklen_t room = sizeof name, size = sizeof value;

		switch (kind) {
		case 0:
			sendto(fd, &byte, 1, 0, AT(datagram_at), sizeof datagram_at);
			break;
		case 1: case 3: {
			int one = socket(AF_INET, SOCK_STREAM, 0);

			connect(one, AT(stream_at), sizeof stream_at);
			(void)!write(one, &byte, 1);
			close(one);
			break;
		}
		case 2:
			sendmsg(fd, &named, 0);
			break;
		case 4:
			recvfrom(fd, &byte, 1, 0, AT(name), &room);
			break;
		case 5:
			listen(fd, 5);
			accept(fd, AT(name), &room);
			break;
		case 6:
			recvmsg(fd, &message, 0);
			break;
		case 7:
			close(bound(SOCK_STREAM, &name));
			break;
		case 8:
			recvmmsg(fd, &many, 1, 0, NULL);
			break;
		case 9:
			setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value);
			getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &size);
			break;
		case 10:
			connect(fd, AT(datagram_at), sizeof datagram_at);
			getpeername(fd, AT(name), &room);
			break;
		case 11:
			ioctl(fd, SIOCGIFADDR, &ifreq);
			break;
		case 12:
			sendmmsg(fd, &(struct mmsghdr){.msg_hdr = named}, 1, 0);
			break;
		default:
			listen(fd, 5);
			poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
		}
	}
}

enum { KINDS = 14 };

static pid_t
born(unsigned kind)
{
	pid_t child = must(fork(), "fork");

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		be(kind);
	}
	return child;
}

static void
kill_some(int kills)
{
	pid_t children[AT_ONCE] = {0};

	/* The oldest of AT_ONCE dies for each that is born; now and then a little later. */
	for (int i = 0; i < kills + AT_ONCE; i++) {
		pid_t *place = &children[i % AT_ONCE];

		if (*place) {
			must(kill(*place, SIGKILL), "kill");
			must(waitpid(*place, NULL, 0), "waitpid");
			*place = 0;
		}
		if (i < kills)
			*place = born((unsigned)i % KINDS);
		if (i % 97 == 0)
			nanosleep(&(struct timespec){.tv_nsec = rand() % 2000000}, NULL);
	}
}

int
main(int argc, char **argv)
{
	int kills = argc > 1 ? atoi(argv[1]) : 0, listener, datagrams, got;
	pid_t drain;
	sigset_t go;

	alarm(300);
	sigemptyset(&go);
	sigaddset(&go, SIGUSR1);
	sigprocmask(SIG_BLOCK, &go, NULL);
	listener = bound(SOCK_STREAM, &stream_at);
	datagrams = bound(SOCK_DGRAM, &datagram_at);
	must(listen(listener, 128), "listen");
	drain = must(fork(), "fork");
	if (drain == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			struct pollfd items[] = {{listener, POLLIN, 0}, {datagrams, POLLIN, 0}};
			char byte;

			poll(items, 2, -1);
			if (items[0].revents)
				close(accept(listener, NULL, NULL));
			if (items[1].revents)
				(void)!recv(datagrams, &byte, 1, MSG_DONTWAIT);
		}
	}
	/* Enough to fill what the other side keeps a bounded number of: pidfds, names of senders. */
	kill_some(1000);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	sigwait(&go, &got);
	kill_some(kills);
	printf("done\n");
	fflush(stdout);
	sigwait(&go, &got);
	kill(drain, SIGKILL);
	return 0;
}
