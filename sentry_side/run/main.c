/*
 * splitsock-run: runs an unmodified program behind libsplitsock.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "sentry_side/run/command.h"
#include "sentry_side/run/gofer.h"
#include "sentry_side/run/isolate.h"

/* argp(3) looks it up by name, so it must be visible. */
__attribute__((visibility("default"))) const char *argp_program_version = "splitsock-run " SPLITSOCK_VERSION;

static const struct argp_option options[] = {
	{"gofer", 'g', "URL", 0,
	 "The gofer's control socket. Without it: $SPLITSOCK_GOFER, else " DEFAULT_URL
	 " if a gofer answers there, else a private gofer with your own rights",
	 0},
	{"isolate", 'i', NULL, 0,
	 "Give COMMAND new user and network namespaces with nothing in them, so that whatever works, works through the gofer", 0},
	{0},
};

struct arguments {
	const char *url;
	bool isolate;
	char **command;
};

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'g':
		arguments->url = arg;
		return 0;
	case 'i':
		arguments->isolate = true;
		return 0;
	case ARGP_KEY_ARG:
		arguments->command = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!arguments->command)
			argp_error(state, "COMMAND is needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The gofer to use, malloc()ed; a private one is started if there is none. NULL after saying why. */
static char *
choose_gofer(const struct arguments *arguments, struct private_gofer *gofer)
{
	const char *url = arguments->url ? arguments->url : getenv("SPLITSOCK_GOFER");

	if (url && *url)
		return strdup(url); /* NULL: no memory; whoever lacks that much has trouble enough to see why */
	if (gofer_answers(DEFAULT_URL))
		return strdup(DEFAULT_URL);
	return private_gofer_start(gofer);
}

static int
run(const struct arguments *arguments)
{
	static struct supervisor supervisor;
	struct command command = {.argv = arguments->command, .isolate = arguments->isolate, .status = EXIT_OURS << 8};
	struct private_gofer gofer = {0};
	char *url;
	int error;

	if (!command_can_be_served())
		return EXIT_OURS;
	supervisor_init(&supervisor);
	command_prepare(&command);
	url = choose_gofer(arguments, &gofer);
	if (!url)
		goto out;
	/* Links belong to our network namespace: in an empty one they lead nowhere but to the gofer. */
	error = arguments->isolate ? isolate_enter() : 0;
	if (error) {
		log_error("cannot make new namespaces: %s%s", strerror(-error),
		          error == -EPERM ? " (are unprivileged user namespaces switched off here?)" : "");
		goto out;
	}
	error = ss_init(&supervisor.ss, url, NULL);
	if (error) {
		log_error("no gofer at %s: %s", url, strerror(-error));
		goto out;
	}
	if (arguments->isolate)
		surrogates_allow(&supervisor.surrogates);
	supervisor.gofer_is_private = gofer.pid > 0;
	if (command_start(&command, &supervisor) && supervisor_run(&supervisor, NULL) == SUPERVISOR_FAILED)
		command.status = EXIT_OURS << 8;
	supervisor_release(&supervisor);
out:
	private_gofer_stop(&gofer);
	free(url);
	return command_end(&command);
}

int
main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "COMMAND [ARG...]",
		.doc = "Runs COMMAND with the sockets of a gofer in place of a network of its own.\v"
		       "The exit status is COMMAND's; 125 if splitsock-run itself fails, 126 if COMMAND cannot be run, 127 if there is "
		       "none. See splitsock-run(1).",
	};
	struct arguments arguments = {0};
	error_t error;

	argp_err_exit_status = EXIT_OURS;
	error = argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
	log_open("splitsock-run");
	if (error) {
		log_error("cannot read the arguments: %s", strerror(error));
		return EXIT_OURS;
	}
	return run(&arguments);
}
