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

int
outside_run(char **command)
{
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
	must("send", send(channel[0], &at, sizeof at, 0));
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

SCENARIO(outside, connected)
{
	const char *number = getenv(OUTSIDE_VARIABLE);
	int channel, fd = tcp_socket(AF_INET);
	struct address at;
	char go[2];

	must("a process outside", number ? 0 : -1);
	channel = atoi(number);
	must("recv", recv(channel, &at, sizeof at, 0));
	must("connect", connect_fd(fd, &at));
	pass_fd(channel, fd);
	must("recv", recv(channel, go, sizeof go, 0));
}
