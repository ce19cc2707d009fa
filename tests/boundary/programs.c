#include "tests/boundary/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
copy_binary(const char *directory, const char *name)
{
	char from[512], to[512];
	struct stat st;
	int in, out;

	binary(name, from, sizeof from);
	snprintf(to, sizeof to, "%s/%s", directory, name);
	in = open(from, O_RDONLY | O_CLOEXEC);
	out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	cr_assert(in >= 0 && out >= 0 && fstat(in, &st) == 0);
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(out, in, NULL, (size_t)left);

		cr_assert_gt(n, 0);
		left -= n;
	}
	fchmod(out, 0755);
	close(in);
	close(out);
}

void
programs_copy(char *directory, const char *program)
{
	strcpy(directory, "/tmp/splitsock-boundary-bin.XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	chmod(directory, 0755);
	copy_binary(directory, "splitsock-run");
	copy_binary(directory, "splitsock-gofer");
	copy_binary(directory, program);
}

void
programs_remove(const char *directory)
{
	struct gofer files = {0};

	snprintf(files.directory, sizeof files.directory, "%s", directory);
	gofer_remove_files(&files);
}

static void
find(const struct run *run, const char *name, char *path, size_t size)
{
	if (run->directory)
		snprintf(path, size, "%s/%s", run->directory, name);
	else
		binary(name, path, size);
}

static void __attribute__((noreturn))
become(const struct run *run, const char *const *arguments)
{
	char runner[512], path[512];
	const char *all[ARGS_MAX + 8];
	int count = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (run->as_nobody && (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		_exit(124);
	find(run, arguments[0], path, sizeof path);
	if (run->gofer) {
		find(run, "splitsock-run", runner, sizeof runner);
		all[count++] = runner;
		all[count++] = "--gofer";
		all[count++] = run->gofer->url;
		if (run->isolate)
			all[count++] = "--isolate";
		all[count++] = "--";
	}
	all[count++] = path;
	for (int i = 1; arguments[i] && i < ARGS_MAX; i++)
		all[count++] = arguments[i];
	all[count] = NULL;
	execv(all[0], (char **)all);
	_exit(124);
}

void
program_start(struct program *program, const struct run *run, const char *const *arguments)
{
	int out[2], err[2], in[2];

	*program = (struct program){0};
	cr_assert(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0 && pipe2(in, O_CLOEXEC) == 0);
	program->pid = fork();
	cr_assert_geq(program->pid, 0);
	if (program->pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* Criterion's own */
		if (run->keep_fd)
			fcntl(run->keep_fd, F_SETFD, 0);
		become(run, arguments);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	program->in = in[1];
	program->out = out[0];
	program->err = err[0];
}

static void
take(int *fd, char *text, size_t size, size_t *len)
{
	ssize_t n = read(*fd, text + *len, size - 1 - *len);

	if (n <= 0) {
		close(*fd);
		*fd = -1;
		return;
	}
	*len += (size_t)n;
	text[*len] = 0;
}

/* False: nothing came. */
static bool
collect(struct program *program, int timeout_ms)
{
	struct pollfd fds[] = {{program->out, POLLIN, 0}, {program->err, POLLIN, 0}};

	if ((program->out < 0 && program->err < 0) || poll(fds, 2, timeout_ms) <= 0)
		return false;
	if (fds[0].revents)
		take(&program->out, program->said, sizeof program->said, &program->said_len);
	if (fds[1].revents)
		take(&program->err, program->complained, sizeof program->complained, &program->complained_len);
	return true;
}

bool
program_says(struct program *program, const char *line, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	char want[128];

	snprintf(want, sizeof want, "%s\n", line);
	while (!strstr(program->said, want)) {
		int64_t left = end - now_ms();

		if (left <= 0 || program->out < 0 || !collect(program, (int)left))
			return strstr(program->said, want) != NULL;
	}
	return true;
}

int
program_end(struct program *program, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	int status = -1, got = 0;

	for (;;) {
		int64_t left = end - now_ms();

		if (!got)
			got = waitpid(program->pid, &status, WNOHANG) == program->pid;
		if (got && program->out < 0 && program->err < 0)
			break;
		/* What outlives it may hold its pipes. */
		if (left <= 0 || (got && !collect(program, 200)))
			break;
		if (!got)
			collect(program, 5);
		if (!got && program->out < 0 && program->err < 0)
			sleep_ms(1);
	}
	if (!got) {
		kill(program->pid, SIGKILL);
		waitpid(program->pid, NULL, 0);
		status = -1;
	}
	if (program->out >= 0)
		close(program->out);
	if (program->err >= 0)
		close(program->err);
	if (program->in >= 0)
		close(program->in);
	program->out = program->err = program->in = -1;
	return status;
}

long
program_number(const struct program *program, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = program->said; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
		if (strncmp(at, name, len) == 0 && at[len] == ' ')
			return strtol(at + len, NULL, 10);
	return -1;
}
