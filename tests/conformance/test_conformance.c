/*
 * Runs every scenario on the bare kernel and through splitsock-run, and compares what they observed.
 *
 * SPLITSOCK_BIN          where the programs are (build/bin)
 * SPLITSOCK_TEST_GOFER   URL of the gofer to use; without it one is started for the run of the suite. Link-local addresses always have
 *                        one of the suite's own
 * SPLITSOCK_TEST_FILTER  only scenarios whose names contain this text
 */
#include "tests/conformance/compare.h"
#include "tests/conformance/gofer.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
	SCENARIOS_MIN = 1000,
	KNOWN_DIFFERENCES_MAX = 10,
	NAME_MAX_LEN = 95,
};

/* Criterion moves parameters to another process: no pointers in here. */
struct scenario_name {
	char text[NAME_MAX_LEN + 1];
};

static const char *
bin_directory(void)
{
	const char *bin = getenv("SPLITSOCK_BIN");

	return bin ? bin : "build/bin";
}

/* Whether it is one that runs in the namespace of link.h. */
static bool
on_link(const char *scenario)
{
	return strstr(scenario, "link_local") != NULL;
}

enum { ARGUMENTS_MAX = 20 };

struct command {
	char *arguments[ARGUMENTS_MAX + 1];
	size_t count;
};

static void
add(struct command *command, const char *argument)
{
	if (argument && command->count < ARGUMENTS_MAX)
		command->arguments[command->count++] = (char *)argument;
}

/* What starts a scenario, on either side: see link.h and outside.h. */
static void
add_surroundings(struct command *command, const char *scenario, const char *program, bool bare)
{
	if (on_link(scenario) && bare) {
		add(command, "/usr/bin/nsenter");
		add(command, "--target");
		add(command, getenv("SPLITSOCK_TEST_LINK_PID"));
		add(command, "--net");
		if (geteuid() != 0) {
			add(command, "--user");
			add(command, "--preserve-credentials");
		}
	}
	if (strncmp(scenario, "outside/", 8) == 0) {
		add(command, program);
		add(command, "--helper");
		add(command, "outside");
	}
}

static bool
run_bare(struct outcome *outcome, const char *first, const char *second, const char *third, const char *fourth)
{
	char program[512];
	struct command command = {0};

	snprintf(program, sizeof program, "%s/conformance-scenarios", bin_directory());
	add_surroundings(&command, first, program, true);
	add(&command, program);
	add(&command, first);
	add(&command, second);
	add(&command, third);
	add(&command, fourth);
	return outcome_of(outcome, command.arguments, RUN_SECONDS);
}

static bool
run_through(struct outcome *outcome, const char *first, const char *second)
{
	const char *url = getenv(on_link(first) ? "SPLITSOCK_TEST_LINK_GOFER" : "SPLITSOCK_TEST_GOFER");
	char run[512], program[512];
	struct command command = {0};

	snprintf(run, sizeof run, "%s/splitsock-run", bin_directory());
	snprintf(program, sizeof program, "%s/conformance-scenarios", bin_directory());
	add_surroundings(&command, first, program, false);
	add(&command, run);
	add(&command, "--isolate");
	add(&command, "--gofer");
	add(&command, url ? url : "");
	add(&command, "--");
	add(&command, program);
	add(&command, first);
	add(&command, second);
	return outcome_of(outcome, command.arguments, RUN_SECONDS);
}

/* --- Known differences ---------------------------------------------------------------------------- */

enum { KNOWN_SCENARIOS_MAX = 400 };

struct known_differences {
	struct scenario_name names[KNOWN_SCENARIOS_MAX];
	bool may_differ[KNOWN_SCENARIOS_MAX]; /* written with a question mark */
	int names_count, rows;
};

/* Reads the table's rows, one a cause: | `scenario` `scenario`... | cause | what would fix it | which real program notices |.
 * rows is -1 if one of them is not complete. */
static void
known_differences(struct known_differences *known)
{
	FILE *file = fopen(KNOWN_DIFFERENCES_FILE, "re");
	static char line[32768];

	*known = (struct known_differences){.rows = file ? 0 : -1};
	while (file && fgets(line, sizeof line, file)) {
		char *cell, *rest = line + 1, *first = NULL;
		int cells = 0;

		if (strncmp(line, "| `", 3) != 0)
			continue;
		while ((cell = strsep(&rest, "|")) != NULL && rest != NULL) {
			if (!first)
				first = cell;
			cells += strspn(cell, " ") < strlen(cell);
		}
		if (cells != 4) {
			known->rows = -1;
			break;
		}
		known->rows++;
		for (char *at = strchr(first, '`'); at; at = strchr(at + 1, '`')) {
			size_t length = strcspn(at + 1, "`");

			if (known->names_count == KNOWN_SCENARIOS_MAX) {
				known->rows = -1;
				break;
			}
			known->may_differ[known->names_count] = length && at[length] == '?';
			snprintf(known->names[known->names_count].text, sizeof known->names->text, "%.*s",
			         (int)length - known->may_differ[known->names_count], at + 1);
			known->names_count++;
			at += length + 1;
		}
	}
	if (file)
		fclose(file);
}

enum known { UNKNOWN, MAY_DIFFER, MUST_DIFFER };

static enum known
known_to_differ(const char *name)
{
	struct known_differences known;

	known_differences(&known);
	for (int i = 0; i < known.names_count; i++)
		if (strcmp(known.names[i].text, name) == 0)
			return known.may_differ[i] ? MAY_DIFFER : MUST_DIFFER;
	return UNKNOWN;
}

/* --- The scenarios -------------------------------------------------------------------------------- */

ParameterizedTestParameters(conformance, scenario)
{
	const char *filter = getenv("SPLITSOCK_TEST_FILTER");
	struct outcome list;
	struct scenario_name *names;
	size_t count = 0, capacity = 0;

	if (!run_bare(&list, "--list", NULL, NULL, NULL))
		abort();
	for (const char *c = list.output; *c; c++)
		capacity += *c == '\n';
	names = cr_calloc(capacity + 1, sizeof *names);
	for (char *line = strtok(list.output, "\n"); line; line = strtok(NULL, "\n"))
		if (!filter || strstr(line, filter))
			strncpy(names[count++].text, line, NAME_MAX_LEN);
	outcome_clear(&list);
	return cr_make_param_array(struct scenario_name, names, count);
}

ParameterizedTest(struct scenario_name *name, conformance, scenario, .timeout = 2 * RUN_SECONDS + 10)
{
	struct outcome bare, through;
	enum known known = known_to_differ(name->text);
	bool alike;
	char *table;

	cr_assert(run_bare(&bare, name->text, NULL, NULL, NULL), "%s: cannot run it", name->text);
	/* What is known not to come need not be waited for. */
	if (known == MUST_DIFFER)
		setenv("SPLITSOCK_SCENARIO_WAIT_MS", "400", 1);
	table = outcomes_side_by_side(&bare, &bare);
	/* The kernel's word must be sound before anything is measured by it. */
	cr_assert(!bare.timed_out && WIFEXITED(bare.status) && WEXITSTATUS(bare.status) == 0, "%s fails on the bare kernel:\n%s",
	          name->text, table);
	free(table);
	cr_assert(run_through(&through, name->text, NULL), "%s: cannot run it through splitsock", name->text);
	alike = outcomes_alike(&bare, &through);
	table = outcomes_side_by_side(&bare, &through);
	if (known == MUST_DIFFER)
		cr_expect(!alike, "%s differs no longer: take it out of KNOWN_DIFFERENCES.md", name->text);
	else if (known == UNKNOWN)
		cr_expect(alike, "%s differs:\n%s", name->text, table);
	free(table);
	outcome_clear(&bare);
	outcome_clear(&through);
}

/* --- The suite itself ----------------------------------------------------------------------------- */

Test(suite, has_enough_scenarios)
{
	struct outcome list;
	int count = 0;

	cr_assert(run_bare(&list, "--list", NULL, NULL, NULL));
	for (const char *c = list.output; *c; c++)
		count += *c == '\n';
	cr_assert_geq(count, SCENARIOS_MIN, "only %d scenarios", count);
	outcome_clear(&list);
}

Test(suite, known_differences_are_few_and_complete)
{
	struct known_differences known;
	struct outcome list;

	known_differences(&known);
	cr_assert_geq(known.rows, 0, "KNOWN_DIFFERENCES.md: missing, too long, or a row without its four cells");
	cr_assert_leq(known.rows, KNOWN_DIFFERENCES_MAX, "KNOWN_DIFFERENCES.md: %d rows", known.rows);
	cr_assert(run_bare(&list, "--list", NULL, NULL, NULL));
	for (int i = 0; i < known.names_count; i++) {
		char line[NAME_MAX_LEN + 2];

		snprintf(line, sizeof line, "%.*s\n", NAME_MAX_LEN, known.names[i].text);
		cr_expect(strstr(list.output, line) != NULL, "KNOWN_DIFFERENCES.md: no scenario %s", known.names[i].text);
	}
	outcome_clear(&list);
}

/* A comparison that cannot fail proves nothing. */
Test(suite, sees_different_output)
{
	struct outcome one, other;
	char *table;

	cr_assert(run_bare(&one, "--helper", "echo", "0", "alpha"));
	cr_assert(run_bare(&other, "--helper", "echo", "0", "omega"));
	cr_assert_str_eq(one.output, "alpha\n");
	cr_assert(outcomes_alike(&one, &one));
	cr_assert(!outcomes_alike(&one, &other));
	table = outcomes_side_by_side(&one, &other);
	cr_assert(strstr(table, "! alpha") && strstr(table, "| omega"), "%s", table);
	free(table);
	outcome_clear(&one);
	outcome_clear(&other);
}

Test(suite, sees_different_status)
{
	struct outcome one, other;

	cr_assert(run_bare(&one, "--helper", "echo", "0", "same"));
	cr_assert(run_bare(&other, "--helper", "echo", "7", "same"));
	cr_assert(!outcomes_alike(&one, &other));
	outcome_clear(&one);
	outcome_clear(&other);
}

Test(suite, sees_a_hang)
{
	char *arguments[] = {"/bin/sleep", "30", NULL};
	struct outcome one;

	cr_assert(outcome_of(&one, arguments, 1));
	cr_assert(one.timed_out);
	cr_assert(!outcomes_alike(&one, &one), "a hang on both sides is no agreement");
	outcome_clear(&one);
}

/* Were the isolated run to share our network, all scenarios would pass without splitsock doing anything. */
Test(suite, isolated_run_is_isolated)
{
	struct outcome bare, through;

	cr_assert(run_bare(&bare, "--helper", "netns", NULL, NULL));
	cr_assert(run_through(&through, "--helper", "netns"));
	cr_assert(WIFEXITED(through.status) && WEXITSTATUS(through.status) == 0, "%s%s", through.output, through.errors);
	cr_assert(strncmp(through.output, "net:[", 5) == 0, "%s", through.output);
	cr_assert_str_neq(bare.output, through.output);
	outcome_clear(&bare);
	outcome_clear(&through);
}

/* Exported (see ENABLE_EXPORTS), because criterion's workers have to find it: they put their own in its place. */
__attribute__((visibility("default"))) int
main(int argc, char **argv)
{
	struct criterion_test_set *tests = criterion_initialize();
	int result = 0;

	if (criterion_handle_args(argc, argv, true)) {
		if (!gofers_start(bin_directory())) {
			criterion_finalize(tests);
			return 1;
		}
		result = !criterion_run_all_tests(tests);
		if (!gofers_stop())
			result = 1;
	}
	criterion_finalize(tests);
	return result;
}
