// lives: programs whose sockets outlive a process image or pass from one process to another.
//   lives daemon PORT PIDFILE COUNT  double-forks, then echoes COUNT connections and exits
//   lives reexec PORT COUNT          listens, executes itself anew, and serves COUNT connections on the inherited fd
//  lives spawn HOST PORT            posix_spawn, vfork and fork children and threads: inherited sockets and new ones
//   lives pass HOST PORT             a parent connects and hands the fd to its child by SCM_RIGHTS
// The peer must echo.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void die(const char *what)
{
	fprintf(stderr, "lives: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static int listen_on(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0)
		die("listen");
	return fd;
}

static int connect_to(const char *host, const char *port, int flags)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	inet_pton(AF_INET, host, &a.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	return fd;
}

static void echo_connections(int listener, int count)
{
	for (int i = 0; i < count; i++) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0)
			die("accept");
		char buf[4096];
		ssize_t n;
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			if (write(fd, buf, (size_t)n) != n)
				die("write");
		close(fd);
	}
}

// Sends a line and reads it back; the fd stays open.
static void ask(int fd, const char *text)
{
	char buf[128];
	size_t want = strlen(text), have = 0;
	if (write(fd, text, want) != (ssize_t)want)
		die("write");
	while (have < want) {
		ssize_t n = read(fd, buf + have, want - have);
		if (n <= 0)
			die("read");
		have += (size_t)n;
	}
	if (memcmp(buf, text, want) != 0)
		die("the echo differs");
}

static void reap(pid_t pid, const char *what)
{
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die(what);
	printf("%s ok\n", what);
	fflush(stdout);
}

static int daemonize(int port, const char *pidfile, int count)
{
	int listener = listen_on(port);
	if (fork() != 0)
		_exit(0);
	setsid();
	if (fork() != 0)
		_exit(0);
	if (chdir("/") < 0)
		die("chdir");
	int null = open("/dev/null", O_RDWR);
	dup2(null, 0), dup2(null, 1), dup2(null, 2);
	FILE *f = fopen(pidfile, "w");
	fprintf(f, "%d\n", (int)getpid());
	fclose(f);
	echo_connections(listener, count);
	return 0;
}

static void *ask_in_thread(void *arg)
{
	char **argv = arg;
	int fd = connect_to(argv[2], argv[3], SOCK_CLOEXEC);
	for (int i = 0; i < 50; i++)
		ask(fd, "thread\n");
	close(fd);
	return NULL;
}

static int spawn_all(char **argv)
{
	int shared = connect_to(argv[2], argv[3], 0);
	int private = connect_to(argv[2], argv[3], SOCK_CLOEXEC);
	char number[16], closed[16];
	snprintf(number, sizeof(number), "%d", shared);
	snprintf(closed, sizeof(closed), "%d", private);
	char *child[] = { argv[0], "child", argv[2], argv[3], number, closed, NULL };
	pid_t pid;

	ask(shared, "before\n");
	if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, child, environ) != 0)
		die("posix_spawn");
	reap(pid, "posix_spawn");
	pid = vfork();
	if (pid == 0) {
		execv("/proc/self/exe", child);
		_exit(1);
	}
	reap(pid, "vfork");
	pid = fork();
	if (pid == 0) {
		ask(shared, "fork, inherited\n");
		ask(private, "fork, inherited, close-on-exec\n");
		ask(connect_to(argv[2], argv[3], 0), "fork, new\n");
		_exit(0);
	}
	reap(pid, "fork");
	FILE *p = popen("exit 0", "r");
	if (!p || pclose(p) != 0)
		die("popen");
	pthread_t t[4];
	for (int i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, ask_in_thread, argv) != 0)
			die("pthread_create");
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	puts("threads ok");
	ask(shared, "after\n");
	ask(private, "after\n");
	return 0;
}

// What the posix_spawn and vfork children run.
static int child(char **argv)
{
	ask(atoi(argv[4]), "inherited over exec\n");
	if (fcntl(atoi(argv[5]), F_GETFD) != -1)
		die("a close-on-exec socket survived exec");
	ask(connect_to(argv[2], argv[3], 0), "new\n");
	return 0;
}

static int pass(char **argv)
{
	int pair[2];
	char byte = 'x';
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf) };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	pid_t pid = fork();
	if (pid == 0) {
		if (recvmsg(pair[1], &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m))
			die("recvmsg");
		int fd;
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
		ask(fd, "passed\n");
		struct sockaddr_in a;
		socklen_t len = sizeof(a);
		if (getpeername(fd, (struct sockaddr *)&a, &len) < 0 || a.sin_family != AF_INET || ntohs(a.sin_port) != atoi(argv[3]))
			die("getpeername of a passed socket");
		_exit(0);
	}
	int fd = connect_to(argv[2], argv[3], 0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(pair[0], &m, 0) != 1)
		die("sendmsg");
	close(fd);
	reap(pid, "SCM_RIGHTS");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (strcmp(what, "daemon") == 0 && argc == 5)
		return daemonize(atoi(argv[2]), argv[3], atoi(argv[4]));
	if (strcmp(what, "reexec") == 0 && argc == 4) {
		char fd[16];
		snprintf(fd, sizeof(fd), "%d", listen_on(atoi(argv[2])));
		execl("/proc/self/exe", argv[0], "serve", fd, argv[3], (char *)NULL);
		die("exec");
	}
	if (strcmp(what, "serve") == 0 && argc == 4) {
		echo_connections(atoi(argv[2]), atoi(argv[3]));
		return 5;
	}
	if (strcmp(what, "spawn") == 0 && argc == 4)
		return spawn_all(argv);
	if (strcmp(what, "child") == 0 && argc == 6)
		return child(argv);
	if (strcmp(what, "pass") == 0 && argc == 4)
		return pass(argv);
	fprintf(stderr, "usage: lives daemon PORT PIDFILE COUNT | reexec PORT COUNT | spawn HOST PORT | pass HOST PORT\n");
	return 2;
}
