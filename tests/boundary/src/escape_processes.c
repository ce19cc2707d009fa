/*
 * Other processes and their namespaces: the supervisor, which is our parent, and any other, given by its pid.
 */
#include "escapes.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pid_t
target(char **args)
{
	return args[0] ? atoi(args[0]) : getppid();
}

static const char *
trace(char **args)
{
	return outcome(ptrace(PTRACE_SEIZE, target(args), NULL, NULL));
}

static int
open_of(char **args, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)target(args), name);
	return open(path, flags);
}

static const char *
memory(char **args)
{
	return outcome(open_of(args, "mem", O_RDWR));
}

static const char *
maps(char **args)
{
	char data[16];
	int fd = open_of(args, "maps", O_RDONLY);

	/* The check may come with the first read. */
	return outcome(fd < 0 ? fd : read(fd, data, sizeof data));
}

static const char *
environment(char **args)
{
	char data[16];
	int fd = open_of(args, "environ", O_RDONLY);

	return outcome(fd < 0 ? fd : read(fd, data, sizeof data));
}

/* Their numbers are no secret; what they are is. */
static const char *
descriptors(char **args)
{
	char path[64], text[64];

	snprintf(path, sizeof path, "/proc/%d/fd/0", (int)target(args));
	return outcome(readlink(path, text, sizeof text));
}

static const char *
take_descriptor(char **args)
{
	int pidfd = (int)syscall(SYS_pidfd_open, target(args), 0);

	if (pidfd < 0)
		return "no pidfd";
	/* The first that it has. */
	for (int fd = 0; fd < 16; fd++)
		if (syscall(SYS_pidfd_getfd, pidfd, fd, 0) >= 0)
			return "done";
		else if (errno != EBADF)
			break;
	return outcome(-1);
}

/* EFAULT would mean that access was granted. */
static const char *
read_memory(char **args)
{
	char data[16];
	struct iovec ours = {data, sizeof data}, theirs = {(void *)16, sizeof data};

	if (process_vm_readv(target(args), &ours, 1, &theirs, 1, 0) < 0 && errno == EFAULT)
		return "done";
	return outcome(-1);
}

static const char *
enter_namespace(char **args)
{
	int fd = open_of(args, "ns/net", O_RDONLY);

	return outcome(fd < 0 ? fd : setns(fd, CLONE_NEWNET));
}

/* A descriptor of the host's network namespace, which we have inherited. */
static const char *
enter_inherited_namespace(char **args)
{
	return outcome(setns(atoi(args[0]), CLONE_NEWNET));
}

/* A namespace of our own, in which we may do everything, is no way around the filter. */
static const char *
unshare_then_packet(char **args)
{
	(void)args;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return "no namespace";
	return outcome(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
}

static const char *
unshare_then_abstract(char **args)
{
	static char text[32];
	const struct attempt *at = family_attempts;

	if (unshare(CLONE_NEWUSER) < 0)
		return "no namespace";
	while (strcmp(at->name, "abstract-connect") != 0)
		at++;
	snprintf(text, sizeof text, "%s", at->run(args));
	return text;
}

/* With the supervisor dead, what was trapped fails, and does not go on unwatched. */
static const char *
kill_supervisor(char **args)
{
	(void)args;
	if (kill(getppid(), SIGKILL) < 0)
		return outcome(-1);
	for (int i = 0; i < 100; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd < 0 && errno == ENOSYS)
			return "ENOSYS";
		usleep(10000);
	}
	return "done";
}

/* What the program has been given: only what splitsock-run was given. */
static const char *
inherited(char **args)
{
	static char text[256];
	DIR *dir = opendir("/proc/self/fd");
	size_t len = 0;

	(void)args;
	for (struct dirent *entry; dir && (entry = readdir(dir));)
		if (entry->d_name[0] != '.' && atoi(entry->d_name) > 2 && atoi(entry->d_name) != dirfd(dir)) {
			char target_name[128];
			ssize_t n = readlinkat(dirfd(dir), entry->d_name, target_name, sizeof target_name - 1);

			len += (size_t)snprintf(text + len, sizeof text - len, "%.*s ", n > 0 ? (int)n : 0, target_name);
			if (len >= sizeof text)
				break;
		}
	return len ? text : "none";
}

const struct attempt process_attempts[] = {
	{"trace", trace},
	{"memory", memory},
	{"maps", maps},
	{"environment", environment},
	{"descriptors", descriptors},
	{"take-descriptor", take_descriptor},
	{"read-memory", read_memory},
	{"enter-namespace", enter_namespace},
	{"enter-inherited-namespace", enter_inherited_namespace},
	{"unshare-then-packet", unshare_then_packet},
	{"unshare-then-abstract", unshare_then_abstract},
	{"kill-supervisor", kill_supervisor},
	{"inherited", inherited},
	{0},
};
