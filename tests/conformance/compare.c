#include "tests/conformance/compare.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *
read_back(int fd)
{
	char *text = calloc(1, RUN_OUTPUT_MAX + 1);
	ssize_t n = text ? pread(fd, text, RUN_OUTPUT_MAX, 0) : -1;

	if (n >= 0)
		text[n] = '\0';
	return text;
}

static void
become(char *const arguments[], int output, int errors)
{
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	dup2(output, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	execv(arguments[0], arguments);
	dprintf(STDERR_FILENO, "%s: %s\n", arguments[0], strerror(errno));
	_exit(127);
}

bool
outcome_of(struct outcome *outcome, char *const arguments[], int seconds)
{
	/* Memory files, not pipes: a descendant that outlives the program must not hold us up. */
	int output = memfd_create("output", MFD_CLOEXEC), errors = memfd_create("errors", MFD_CLOEXEC), pidfd;
	struct pollfd ended;
	pid_t child;

	*outcome = (struct outcome){0};
	if (output < 0 || errors < 0 || (child = fork()) < 0)
		return false;
	if (child == 0)
		become(arguments, output, errors);
	setpgid(child, child);
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	ended = (struct pollfd){.fd = pidfd, .events = POLLIN};
	if (poll(&ended, 1, seconds * 1000) != 1)
		outcome->timed_out = true;
	/* Whatever is left of its group goes, too. The child is not reaped yet, so the number is still its own. */
	kill(-child, SIGKILL);
	if (outcome->timed_out)
		kill(child, SIGKILL);
	waitpid(child, &outcome->status, 0);
	close(pidfd);
	outcome->output = read_back(output);
	outcome->errors = read_back(errors);
	close(output);
	close(errors);
	return outcome->output && outcome->errors;
}

void
outcome_clear(struct outcome *outcome)
{
	free(outcome->output);
	free(outcome->errors);
	*outcome = (struct outcome){0};
}

bool
outcomes_alike(const struct outcome *bare, const struct outcome *through)
{
	return !bare->timed_out && !through->timed_out && bare->status == through->status &&
	       strcmp(bare->output, through->output) == 0;
}

/* --- Side by side --------------------------------------------------------------------------------- */

enum { LINES_MAX = 400, WIDTH = 58 };

struct lines {
	const char *at[LINES_MAX];
	int length[LINES_MAX];
	int count;
};

static void
split(struct lines *lines, const char *text)
{
	lines->count = 0;
	while (*text && lines->count < LINES_MAX) {
		const char *end = strchrnul(text, '\n');

		lines->at[lines->count] = text;
		lines->length[lines->count++] = (int)(end - text);
		text = *end ? end + 1 : end;
	}
}

static bool
same_line(const struct lines *a, int i, const struct lines *b, int j)
{
	return a->length[i] == b->length[j] && memcmp(a->at[i], b->at[j], (size_t)a->length[i]) == 0;
}

static void
print_row(FILE *out, char mark, const struct lines *a, int i, const struct lines *b, int j)
{
	fprintf(out, "%c %-*.*s | %.*s\n", mark, WIDTH, i < 0 ? 0 : a->length[i], i < 0 ? "" : a->at[i],
	        j < 0 ? 0 : b->length[j], j < 0 ? "" : b->at[j]);
}

/* The longest common subsequence decides which lines belong together. */
static void
print_lines(FILE *out, const struct lines *a, const struct lines *b)
{
	static uint16_t common[LINES_MAX + 1][LINES_MAX + 1];
	int i, j;

	memset(common, 0, sizeof common);
	for (i = a->count - 1; i >= 0; i--) {
		for (j = b->count - 1; j >= 0; j--) {
			uint16_t down = common[i + 1][j], right = common[i][j + 1];

			common[i][j] = same_line(a, i, b, j) ? (uint16_t)(common[i + 1][j + 1] + 1) : down > right ? down : right;
		}
	}
	for (i = j = 0; i < a->count || j < b->count;) {
		if (i < a->count && j < b->count && same_line(a, i, b, j))
			print_row(out, ' ', a, i++, b, j++);
		else if (i < a->count && j < b->count && common[i + 1][j + 1] == common[i][j])
			print_row(out, '!', a, i++, b, j++); /* neither has a partner: one changed line */
		else if (j == b->count || (i < a->count && common[i + 1][j] >= common[i][j + 1]))
			print_row(out, '<', a, i++, b, -1);
		else
			print_row(out, '>', a, -1, b, j++);
	}
}

static void
describe_end(char *text, size_t size, const struct outcome *outcome)
{
	if (outcome->timed_out)
		snprintf(text, size, "did not end in time, killed");
	else if (WIFSIGNALED(outcome->status))
		snprintf(text, size, "killed by SIG%s", sigabbrev_np(WTERMSIG(outcome->status)));
	else
		snprintf(text, size, "exit status %d", WEXITSTATUS(outcome->status));
}

char *
outcomes_side_by_side(const struct outcome *bare, const struct outcome *through)
{
	static struct lines a, b;
	char *text = NULL, bare_end[64], through_end[64];
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	split(&a, bare->output);
	split(&b, through->output);
	describe_end(bare_end, sizeof bare_end, bare);
	describe_end(through_end, sizeof through_end, through);
	fprintf(out, "  %-*s | %s\n", WIDTH, "BARE KERNEL", "THROUGH SPLITSOCK");
	print_lines(out, &a, &b);
	fprintf(out, "%c %-*s | %s\n", strcmp(bare_end, through_end) ? '!' : ' ', WIDTH, bare_end, through_end);
	if (*through->errors)
		fprintf(out, "standard error through splitsock:\n%.4000s", through->errors);
	fclose(out);
	return text;
}
