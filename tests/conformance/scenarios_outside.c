/* Sockets that are passed to a process outside. */
#include "tests/conformance/outside.h"
#include "tests/conformance/scenario.h"

#include <stdio.h>

/* --- Outside -------------------------------------------------------------------------------------- */

static void
observe_talk(const char *when, int passed, int server)
{
	OBSERVE("%s", when);
	observe_call("passed: send", send(passed, "from outside", 12, MSG_NOSIGNAL));
	wait_for(server, POLLIN);
	observe_recv("server", server, 64, MSG_DONTWAIT);
	observe_call("server: send", send(server, "to outside", 10, MSG_NOSIGNAL));
	wait_for(passed, POLLIN);
	observe_recv("passed", passed, 64, MSG_DONTWAIT);
}

/* A program's last words: it wrote as much as could be, and ended; its peer reads only then. */
static int
run_writer(int channel, int server, pid_t child)
{
	size_t written = 0, got = 0;
	char *data = must_alloc(65536);
	int status = 0;
	ssize_t n;

	must("recv", recv(channel, &written, sizeof written, 0));
	must("waitpid", waitpid(child, &status, 0));
	pause_ms(1500); /* longer than anybody waits for its gofer to end */
	while ((n = recv(server, data, 65536, 0)) > 0)
		got += (size_t)n;
	free(data);
	observe_call("the end", n);
	OBSERVE("%s of what was written has come", got == written ? "all" : "a part");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int
outside_run(char **command)
{
	const char *scenario = command[0];
	int channel[2], listener = tcp_listener(AF_INET), passed, server, status = 0;
	struct address at = local_of(listener);
	char number[16];
	pid_t child;

	must("socketpair", socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel));
	child = must("fork", fork());
	if (child == 0) {
		close(channel[0]);
		snprintf(number, sizeof number, "%d", channel[1]);
		setenv(OUTSIDE_VARIABLE, number, 1);
		execv(command[0], command);
		must(command[0], -1);
	}
	close(channel[1]);
	for (char **word = command; *word; word++)
		scenario = *word;
	must("send", send(channel[0], &at, sizeof at, 0));
	if (strcmp(scenario, "outside/last_words") == 0)
		return run_writer(channel[0], accept_from(listener), child);
	passed = take_fd(channel[0]);
	server = accept_from(listener);
	observe_talk("while the program lives", passed, server);
	must("send", send(channel[0], "go", 2, 0));
	must("waitpid", waitpid(child, &status, 0));
	observe_talk("when it has ended", passed, server);
	close(passed);
	wait_for(server, POLLIN);
	observe_recv("closed, server", server, 64, MSG_DONTWAIT);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* --- Inside --------------------------------------------------------------------------------------- */

/* A connection to the process outside; *channel is ours with it. */
static int
connect_outside(int *channel)
{
	const char *number = getenv(OUTSIDE_VARIABLE);
	int fd = tcp_socket(AF_INET);
	struct address at;

	must("a process outside", number ? 0 : -1);
	*channel = atoi(number);
	must("recv", recv(*channel, &at, sizeof at, 0));
	must("connect", connect_fd(fd, &at));
	return fd;
}

SCENARIO(outside, connected)
{
	int channel, fd = connect_outside(&channel);
	char go[2];

	pass_fd(channel, fd);
	must("recv", recv(channel, go, sizeof go, 0));
}

SCENARIO(outside, last_words)
{
	int channel, fd = connect_outside(&channel);
	size_t written = 0;
	char *data = must_alloc(65536);

	set_nonblocking(fd, true);
	for (int64_t quiet_since = now_ms(); now_ms() - quiet_since < QUIET_MS;) {
		ssize_t n = send(fd, data, 65536, 0);

		if (n > 0) {
			written += (size_t)n;
			quiet_since = now_ms();
		} else {
			pause_ms(5);
		}
	}
	must("send", send(channel, &written, sizeof written, 0));
}
