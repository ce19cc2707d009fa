/* conformance-scenarios: runs one scenario and prints its observations. See scenario.h. */
#include "tests/conformance/outside.h"
#include "tests/conformance/scenario.h"

#include <stdio.h>

static void
on_alarm(int signal_number)
{
	static const char text[] = "TIMED OUT\n";

	(void)signal_number;
	if (write(STDOUT_FILENO, text, sizeof text - 1) < 0)
		_exit(4);
	_exit(3);
}

/* What a scenario runs in a child that it execs: a new program image, which inherits no state but its fds. */
static int
helper(int argc, char **argv)
{
	const char *what = argc > 0 ? argv[0] : "";
	int number = argc > 1 ? atoi(argv[1]) : -1;

	alarm(SCENARIO_SECONDS);
	if (strcmp(what, "connect") == 0) { /* connect PORT: speaks first */
		struct address at = loopback(AF_INET, (uint16_t)number);
		int fd = tcp_socket(AF_INET);

		observe_call("helper: connect", connect_fd(fd, &at));
		send_text(fd, "from the helper");
		observe_recv("helper: recv", fd, 64, 0);
		return 0;
	}
	if (strcmp(what, "talk") == 0) { /* talk FD: over a connected socket it was given */
		observe_fd_flags("helper", number);
		observe_option("helper: SO_TYPE", number, SOL_SOCKET, SO_TYPE);
		observe_peer("helper: peer", number);
		send_text(number, "from the helper");
		observe_recv("helper: recv", number, 64, 0);
		return 0;
	}
	if (strcmp(what, "accept") == 0) { /* accept FD: on a listener it was given */
		int fd = accept_from(number);

		send_text(fd, "from the helper");
		observe_recv("helper: recv", fd, 64, 0);
		return 0;
	}
	if (strcmp(what, "is-open") == 0) { /* is-open FD: is it open? */
		observe_call("helper: F_GETFD", fcntl(number, F_GETFD));
		return 0;
	}
	if (strcmp(what, "echo") == 0) { /* echo STATUS TEXT: for the tests of the test itself */
		OBSERVE("%s", argc > 2 ? argv[2] : "");
		return number;
	}
	if (strcmp(what, "outside") == 0) /* outside COMMAND...: what stays outside */
		return outside_run(argv + 1);
	if (strcmp(what, "netns") == 0) {
		char name[64] = "";

		must("readlink", readlink("/proc/self/ns/net", name, sizeof name - 1));
		OBSERVE("%s", name);
		return 0;
	}
	return 64;
}

/* Those of the Go program beside this one: it becomes that program. */
static int
become_go(char *argument)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "conformance-go");
	char *name;

	must("readlink", n);
	path[n] = '\0';
	name = strrchr(path, '/') + 1;
	strcpy(name, "conformance-go");
	execv(path, (char *[]){path, argument, NULL});
	must(path, -1);
	return 4;
}

int
main(int argc, char **argv)
{
	struct sigaction alarmed = {.sa_handler = on_alarm};

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (const struct scenario *s = scenario_first(); s; s = s->next)
			puts(s->name);
		fflush(stdout);
		return become_go(argv[1]);
	}
	if (argc >= 3 && strcmp(argv[1], "--helper") == 0)
		return helper(argc - 2, argv + 2);
	if (argc != 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: %s --list | SCENARIO\n", argv[0]);
		return 64;
	}
	if (strncmp(argv[1], "go/", 3) == 0)
		return become_go(argv[1]);
	for (const struct scenario *s = scenario_first(); s; s = s->next) {
		if (strcmp(s->name, argv[1]) != 0)
			continue;
		sigaction(SIGALRM, &alarmed, NULL);
		alarm(SCENARIO_SECONDS);
		s->run();
		_exit(0); /* threads may still run, and what a scenario allocated is nobody's leak */
	}
	fprintf(stderr, "%s: no scenario %s\n", argv[0], argv[1]);
	return 64;
}
