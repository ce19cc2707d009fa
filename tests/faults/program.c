/*
 * The scenario as a program that knows nothing of splitsock: faults-program [strict]. What the library has no calls for comes first.
 */
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/scenario.h"

/* Interfaces by ioctl, by netlink and by file; a child that has the parent's sockets. Any errno will do. */
static void
other_calls(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), copy = dup(fd);
	struct mmsghdr messages[2] = {0};
	struct if_nameindex *interfaces;
	char line[256];
	FILE *file;
	pid_t child;

	ioctl(fd, SIOCGIFINDEX, &request);
	recvmmsg(copy, messages, 2, MSG_DONTWAIT, NULL);
	if (getaddrinfo("127.0.0.1", "80", &hints, &found) == 0)
		freeaddrinfo(found);
	interfaces = if_nameindex();
	if (interfaces)
		if_freenameindex(interfaces);
	file = fopen("/proc/net/dev", "re");
	while (file && fgets(line, sizeof line, file))
		;
	if (file)
		fclose(file);
	child = fork();
	if (child == 0) {
		close(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
		setsockopt(copy, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
		_exit(0);
	}
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	close(fd);
	close(copy);
}

static void
begins(const char *name)
{
	printf("%s\n", name);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	bool strict = argc > 1 && strcmp(argv[1], "strict") == 0;
	const char *failed;

	begins("other calls");
	other_calls();
	return scenario_run(&kernel_calls, &kernel_calls, false, strict, begins, &failed);
}
