/*
 * The gofer as a process: its command line, its place in the file system, its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "tests/boundary/client.h"
#include "tests/boundary/programs.h"

TestSuite(daemon, .timeout = 30);

static struct gofer gofer;

/* Runs splitsock-gofer with these arguments to its end. Returns its exit status. */
static int
run_gofer(struct program *program, const char *const *arguments)
{
	int status;

	program_start(program, &(struct run){0}, arguments);
	status = program_end(program, 10000);
	cr_assert_neq(status, -1, "it does not end");
	cr_assert(WIFEXITED(status), "wait status %#x", status);
	return WEXITSTATUS(status);
}

static bool
is_socket(const char *suffix)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof path, "%s%s", gofer.path, suffix);
	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* ---- arguments ---------------------------------------------------------------------------------- */

Test(daemon, help_and_version)
{
	struct program program;

	cr_assert_eq(run_gofer(&program, (const char *[]){"splitsock-gofer", "--help", NULL}), 0);
	cr_assert(strstr(program.said, "--listen") && strstr(program.said, "--policy"));
	cr_assert_eq(run_gofer(&program, (const char *[]){"splitsock-gofer", "--version", NULL}), 0);
	cr_assert(strstr(program.said, "splitsock-gofer "));
	cr_assert_eq(run_gofer(&program, (const char *[]){"splitsock-run", "--help", NULL}), 0);
	cr_assert(strstr(program.said, "--isolate"));
	cr_assert_eq(run_gofer(&program, (const char *[]){"splitsock-run", "--version", NULL}), 0);
}

Test(daemon, wrong_usage_is_64)
{
	static const char *const wrong[][8] = {
		{"splitsock-gofer"},
		{"splitsock-gofer", "--policy", "open"},
		{"splitsock-gofer", "--listen", "ipc:///tmp/splitsock-boundary-unused.sock"},
		{"splitsock-gofer", "--listen", "ipc:///tmp/splitsock-boundary-unused.sock", "--policy", "open", "stray"},
		{"splitsock-gofer", "--listen", "ipc:///tmp/splitsock-boundary-unused.sock", "--policy", "open", "--max-sockets", "0"},
		{"splitsock-gofer", "--listen", "ipc:///tmp/splitsock-boundary-unused.sock", "--policy", "open", "--max-sockets", "x"},
		{"splitsock-gofer", "--listen", "ipc:///tmp/splitsock-boundary-unused.sock", "--policy", "open", "--socket-mode", "1777"},
		{"splitsock-gofer", "--no-such-option"},
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct program program;
		int status = run_gofer(&program, wrong[i]);

		cr_expect_eq(status, EX_USAGE, "case %zu: status %d", i, status);
		cr_expect_gt(program.complained_len, 0, "case %zu: says nothing", i);
	}
}

Test(daemon, policy_that_is_not_there_is_78)
{
	struct program program;
	int status;

	gofer_prepare(&gofer);
	status = run_gofer(&program, (const char *[]){"splitsock-gofer", "--listen", gofer.url, "--policy", "/nonexistent/policy", NULL});
	cr_expect_eq(status, EX_CONFIG, "status %d", status);
	cr_expect(strstr(program.complained, "/nonexistent/policy"), "%s", program.complained);
	cr_expect_not(is_socket(""));
	gofer_remove_files(&gofer);
}

Test(daemon, policy_that_is_wrong_is_78_and_says_where)
{
	char path[] = "/tmp/splitsock-policy-XXXXXX", where[64];
	int fd = mkstemp(path), status;
	static const char text[] = "version: 1\nclients:\n- name: a\n  usres: [0]\n";
	struct program program;

	cr_assert_eq(write(fd, text, sizeof text - 1), sizeof text - 1);
	close(fd);
	gofer_prepare(&gofer);
	status = run_gofer(&program, (const char *[]){"splitsock-gofer", "--listen", gofer.url, "--policy", path, NULL});
	cr_expect_eq(status, EX_CONFIG, "status %d", status);
	snprintf(where, sizeof where, "%s:4:3: unknown key \"usres\"; the nearest is \"users\"", path);
	cr_expect(strstr(program.complained, where), "%s", program.complained);
	cr_expect_not(is_socket(""));
	gofer_remove_files(&gofer);
	unlink(path);
}

Test(daemon, place_where_it_cannot_listen_is_refused)
{
	static const char *const urls[] = {"ipc:///nonexistent/gofer.sock", "ipc://relative", "tcp://127.0.0.1:1", "gofer.sock", "",
	                                   "ipc:///tmp/0123456789012345678901234567890123456789012345678901234567890123456789"
	                                   "01234567890123456789012345678901234567890123456789.sock"};

	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		struct program program;
		int status = run_gofer(&program, (const char *[]){"splitsock-gofer", "--listen", urls[i], "--policy", "open", NULL});

		cr_expect_neq(status, 0, "%s", urls[i]);
		cr_expect_gt(program.complained_len, 0, "%s: says nothing", urls[i]);
	}
}

/* ---- place -------------------------------------------------------------------------------------- */

Test(daemon, second_gofer_on_a_path_is_refused)
{
	struct program program;

	gofer_start(&gofer, NULL);
	for (int i = 0; i < 3; i++) {
		cr_assert_neq(run_gofer(&program, (const char *[]){"splitsock-gofer", "--listen", gofer.url, "--policy", "open", NULL}), 0);
		cr_assert(strstr(program.complained, gofer.url) && strstr(program.complained, "another gofer"), "%s", program.complained);
		/* It took nothing away from the first. */
		assert_serves(&gofer);
	}
	gofer_stop(&gofer);
}

Test(daemon, files_of_a_dead_gofer_are_taken_over)
{
	gofer_start(&gofer, NULL);
	gofer_kill(&gofer);
	cr_assert(is_socket("") && is_socket(LINK_STREAM_SUFFIX) && is_socket(LINK_SEQPACKET_SUFFIX) && is_socket(LINK_ADMIN_SUFFIX), "a killed gofer leaves its files");
	gofer_launch(&gofer, NULL);
	assert_serves(&gofer);
	gofer_stop(&gofer);
}

/* A path is taken over only if it is a socket: never a file that somebody may want. */
Test(daemon, file_that_is_no_socket_is_left_alone)
{
	static const char *const suffixes[] = {"", LINK_STREAM_SUFFIX, LINK_SEQPACKET_SUFFIX, LINK_ADMIN_SUFFIX};

	for (size_t i = 0; i < 4; i++) {
		struct program program;
		char path[128], text[16];
		int fd, status;

		gofer_prepare(&gofer);
		snprintf(path, sizeof path, "%s%s", gofer.path, suffixes[i]);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		cr_assert_eq(write(fd, "precious", 8), 8);
		close(fd);
		program_start(&program, &(struct run){0}, (const char *[]){"splitsock-gofer", "--listen", gofer.url, "--policy", "open", NULL});
		status = program_end(&program, 1000 * SLOW);
		cr_expect(WIFEXITED(status) && WEXITSTATUS(status) != 0, "%s: it runs all the same", path);
		cr_expect(slurp(path, text, sizeof text) == 8 && strcmp(text, "precious") == 0, "%s was replaced", path);
		gofer_remove_files(&gofer);
	}
}

Test(daemon, sockets_have_the_mode_that_was_asked_for)
{
	static const char *const suffixes[] = {"", LINK_STREAM_SUFFIX, LINK_SEQPACKET_SUFFIX};
	static const struct {
		const char *option;
		mode_t mode;
	} modes[] = {{NULL, 0600}, {"0660", 0660}, {"666", 0666}};

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		gofer_start(&gofer, (const char *[]){modes[i].option ? "--socket-mode" : NULL, modes[i].option, NULL});
		for (size_t j = 0; j < 3; j++) {
			char path[128];
			struct stat st;

			snprintf(path, sizeof path, "%s%s", gofer.path, suffixes[j]);
			cr_assert_eq(stat(path, &st), 0);
			cr_expect_eq(st.st_mode & 07777, modes[i].mode, "%s: %o", path, st.st_mode & 07777);
		}
		gofer_stop(&gofer);
	}
}

/* ---- end ---------------------------------------------------------------------------------------- */

static void
assert_clean_end(int signal)
{
	int status;

	kill(gofer.pid, signal);
	status = wait_for(gofer.pid, 5000 * SLOW);
	gofer.pid = 0;
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "wait status %#x", status);
	cr_expect_not(is_socket(""), "the control socket stays");
	cr_expect_not(is_socket(LINK_STREAM_SUFFIX), "a link socket stays");
	cr_expect_not(is_socket(LINK_SEQPACKET_SUFFIX), "a link socket stays");
	cr_expect_not(is_socket(LINK_ADMIN_SUFFIX), "the ctl socket stays");
	gofer_remove_files(&gofer);
}

Test(daemon, sigterm_and_sigint_end_it_cleanly)
{
	gofer_start(&gofer, NULL);
	assert_serves(&gofer);
	assert_clean_end(SIGTERM);
	gofer_start(&gofer, NULL);
	assert_clean_end(SIGINT);
}

Test(daemon, sigterm_with_clients_of_every_kind)
{
	enum { CLIENTS = 20 };
	static struct client clients[CLIENTS];
	int links[CLIENTS], silent = -1, pending = -1, channel;
	uint16_t port;
	struct operation op;
	int listener, full;

	gofer_start(&gofer, NULL);
	listener = host_listen(&port, 64);
	for (int i = 0; i < CLIENTS; i++) {
		client_open(&clients[i], &gofer);
		cr_assert_eq(call_open(&clients[i], 1, SOCK_STREAM, op_connect(&op, port, true)).status, SPLITSOCK__STATUS__STATUS_OK);
		links[i] = link_open(&clients[i], true, LINK_SOCKET, 1);
		cr_assert(raw_send(links[i], "x", 1));
	}
	cr_assert_eq(call_open(&clients[0], 2, SOCK_STREAM, op_listen(&op, 5)).status, SPLITSOCK__STATUS__STATUS_OK);
	cr_assert_eq(call_open(&clients[0], 3, SOCK_DGRAM, op_bind(&op, 0)).status, SPLITSOCK__STATUS__STATUS_OK);
	channel = link_open(&clients[1], false, LINK_CHANNEL, 0);
	silent = raw_connect(&gofer);
	pending = link_connect(&gofer, true);
	/* one that waits for a connect that does not come */
	full = host_listen(&port, 0);
	for (uint64_t handle = 10; handle < 13; handle++) {
		struct operation open, connect, *ops[] = {op_open(&open, AF_INET, SOCK_STREAM, 0), op_connect(&connect, port, true)};

		cr_assert(send_request(&clients[2], (uint32_t)handle, handle, ops, 2));
	}
	sleep_ms(50);
	assert_clean_end(SIGTERM);
	for (int i = 0; i < CLIENTS; i++) {
		cr_expect(ends_within(clients[i].fd, PATIENCE_MS));
		cr_expect(ends_within(links[i], PATIENCE_MS));
		close(links[i]);
		client_close(&clients[i]);
	}
	cr_expect(ends_within(silent, PATIENCE_MS) && ends_within(pending, PATIENCE_MS) && ends_within(channel, PATIENCE_MS));
	close(silent);
	close(pending);
	close(channel);
	close(full);
	close(listener);
}
