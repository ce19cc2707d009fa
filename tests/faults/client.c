/*
 * The scenario through libsplitsock: faults-client DIRECTORY-OF-THE-GOFER full|brief strict|any. Prints each step as it begins.
 * Or, in place of it, what a client holds in the midst of its life: faults-client DIRECTORY-OF-THE-GOFER hold any, until it is killed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sentry_side/splitsock.h"
#include "tests/faults/question.h"
#include "tests/faults/scenario.h"

static struct ss *ss;

static int our_socket(int family, int type, int protocol) { return ss_socket(ss, family, type, protocol); }
static int our_bind(int fd, const struct sockaddr *address, socklen_t len) { return ss_bind(ss, fd, address, len); }
static int our_connect(int fd, const struct sockaddr *address, socklen_t len) { return ss_connect(ss, fd, address, len); }
static int our_listen(int fd, int backlog) { return ss_listen(ss, fd, backlog); }
static int our_shutdown(int fd, int how) { return ss_shutdown(ss, fd, how); }
static ssize_t our_sendmsg(int fd, const struct msghdr *message, int flags) { return ss_sendmsg(ss, fd, message, flags); }
static ssize_t our_recvmsg(int fd, struct msghdr *message, int flags) { return ss_recvmsg(ss, fd, message, flags); }

static int
our_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	return ss_accept4(ss, fd, address, len, flags);
}

static int
our_getsockname(int fd, struct sockaddr *address, socklen_t *len)
{
	return ss_getsockname(ss, fd, address, len);
}

static int
our_getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
	return ss_getpeername(ss, fd, address, len);
}

static int
our_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return ss_getsockopt(ss, fd, level, name, value, len);
}

static int
our_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return ss_setsockopt(ss, fd, level, name, value, len);
}

static ssize_t
our_sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t len)
{
	return ss_sendto(ss, fd, data, size, flags, address, len);
}

static ssize_t
our_recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *address, socklen_t *len)
{
	return ss_recvfrom(ss, fd, data, size, flags, address, len);
}

static const struct socket_calls our_calls = {
	our_socket, our_bind, our_connect, our_listen, our_accept4, our_getsockname, our_getpeername,
	our_getsockopt, our_setsockopt, our_shutdown, our_sendto, our_recvfrom, our_sendmsg, our_recvmsg,
};

static void
says(const char *step)
{
	printf("%s\n", step);
	fflush(stdout);
}

static int
run(const char *directory, bool brief, bool strict)
{
	struct ss_stat stats[4];
	char path[160], url[sizeof path + 6];
	const char *failed;
	int status;

	snprintf(path, sizeof path, "%s/gofer.sock", directory);
	snprintf(url, sizeof url, "ipc://%s", path);
	says("open");
	ss = ss_open(url);
	if (!ss)
		return strict ? SCENARIO_ERROR : SCENARIO_OK; /* ETIMEDOUT, too: that it waits for 5 s at most is what it promises */
	status = scenario_run(&our_calls, &kernel_calls, brief, strict, says, &failed);
	if (status == SCENARIO_OK && !brief) {
		says("stats");
		ss_stats(ss, SS_STATS_HOST | SS_STATS_SESSION, stats, 4);
		for (enum question question = 0; question < QUESTIONS && status == SCENARIO_OK; question++) {
			says("ctl");
			if (ask_gofer(path, question) == -2)
				status = SCENARIO_LOST;
		}
	}
	if (status == SCENARIO_OK)
		says("close");
	ss_close(ss);
	return status;
}

static int
hold(const char *directory)
{
	static const char bytes[65536];
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof name;
	int listener, stream, datagrams;
	char url[160];

	snprintf(url, sizeof url, "ipc://%s/gofer.sock", directory);
	ss = ss_open(url);
	if (!ss)
		return SCENARIO_ERROR;
	listener = ss_socket(ss, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	stream = ss_socket(ss, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	datagrams = ss_socket(ss, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* A connection that nobody accepts, with bytes that nobody reads; a datagram to itself. */
	if (ss_bind(ss, listener, (struct sockaddr *)&name, sizeof name) < 0 || ss_getsockname(ss, listener, (struct sockaddr *)&name, &len) < 0 ||
	    ss_listen(ss, listener, 4) < 0 || ss_connect(ss, stream, (struct sockaddr *)&name, sizeof name) < 0 ||
	    ss_bind(ss, datagrams, (struct sockaddr *)&name, sizeof name) < 0 ||
	    ss_sendto(ss, datagrams, "self", 4, 0, (struct sockaddr *)&name, sizeof name) < 0 ||
	    ss_socket(ss, AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)) < 0)
		return SCENARIO_ERROR;
	for (int i = 0; i < 100 && send(stream, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0; i++)
		;
	says("held");
	pause();
	return SCENARIO_OK;
}

int
main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	if (strcmp(argv[2], "hold") == 0)
		return hold(argv[1]);
	return run(argv[1], strcmp(argv[2], "brief") == 0, strcmp(argv[3], "strict") == 0);
}
