/*
 * splitsock-ctl: what a running gofer does.
 */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "gofer/ctl/ctl.h"

#define EXIT_USAGE 2

/* argp(3) looks it up by name, so it must be visible. */
__attribute__((visibility("default"))) const char *argp_program_version = "splitsock-ctl " SPLITSOCK_VERSION;

enum { KEY_GOFER = 'g', KEY_JSON = 'j', KEY_PROMETHEUS = 256, KEY_POLICY, KEY_AS, KEY_NAME };

static const struct argp_option options[] = {
	{"gofer", KEY_GOFER, "URL", 0, "The gofer's control socket. Without it: $SPLITSOCK_GOFER, else " LINK_DEFAULT_URL, 0},
	{"json", KEY_JSON, NULL, 0, "Write JSON", 0},
	{"prometheus", KEY_PROMETHEUS, NULL, 0, "Write Prometheus' text format (stats)", 0},
	{"policy", KEY_POLICY, "FILE", 0, "A policy file, in place of the running gofer's (policy explain, policy simulate)", 0},
	{"as", KEY_AS, "IDENTITY", 0, "Who asks: user=NAME,group=NAME,cgroup=PATH,container=NAME,label=KEY=VALUE (policy explain)", 0},
	{"name", KEY_NAME, "DOMAIN", 0, "A domain name that the client has learned for the address; may be repeated (policy explain)", 0},
	{0},
};

struct command;

struct arguments {
	const char *url;
	bool json, prometheus;
	const struct command *command;
	bool about_policy;
	struct ctl_policy_arguments policy;
};

static bool
run_status(struct ctl *ctl, const struct ctl_view *view)
{
	Splitsock__AdminRequest request = SPLITSOCK__ADMIN_REQUEST__INIT;
	Splitsock__AdminNothing nothing = SPLITSOCK__ADMIN_NOTHING__INIT;
	const Splitsock__AdminReply *reply;

	request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_STATUS;
	request.status = &nothing;
	reply = ctl_ask(ctl, &request);
	if (reply)
		view->status(reply->gofer);
	return reply;
}

static bool
run_stats(struct ctl *ctl, const struct ctl_view *view)
{
	Splitsock__AdminRequest request = SPLITSOCK__ADMIN_REQUEST__INIT;
	Splitsock__AdminNothing nothing = SPLITSOCK__ADMIN_NOTHING__INIT;
	uint64_t values[COUNTER_COUNT];
	const Splitsock__AdminReply *reply;

	request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_STATS;
	request.stats = &nothing;
	reply = ctl_ask(ctl, &request);
	if (!reply)
		return false;
	counters_from_message(values, reply->counters);
	view->stats(values, reply->counters->host);
	return true;
}

/* Lists, page after page. Nothing is written before the first page is there. */
static bool
run_list(struct ctl *ctl, const struct ctl_view *view, bool sockets)
{
	Splitsock__AdminRequest request = SPLITSOCK__ADMIN_REQUEST__INIT;
	Splitsock__AdminCursor cursor = SPLITSOCK__ADMIN_CURSOR__INIT;

	request.ask_case = sockets ? SPLITSOCK__ADMIN_REQUEST__ASK_SOCKETS : SPLITSOCK__ADMIN_REQUEST__ASK_SESSIONS;
	request.sessions = &cursor; /* and request.sockets */
	for (bool first = true;; first = false) {
		const Splitsock__AdminReply *reply = ctl_ask(ctl, &request);

		if (!reply)
			return false;
		if (first)
			(sockets ? view->sockets_begin : view->sessions_begin)();
		for (size_t i = 0; i < reply->n_sessions; i++)
			view->session(reply->sessions[i]);
		for (size_t i = 0; i < reply->n_sockets; i++)
			view->socket(reply->sockets[i]);
		/* A page that does not go on would never end. */
		if (!reply->next || (reply->next->session == cursor.session && reply->next->handle == cursor.handle))
			break;
		cursor.session = reply->next->session;
		cursor.handle = reply->next->handle;
	}
	view->list_end();
	return true;
}

static bool
run_sessions(struct ctl *ctl, const struct ctl_view *view)
{
	return run_list(ctl, view, false);
}

static bool
run_sockets(struct ctl *ctl, const struct ctl_view *view)
{
	return run_list(ctl, view, true);
}

static const struct command {
	const char *name;
	bool (*run)(struct ctl *ctl, const struct ctl_view *view); /* false after saying what failed */
} commands[] = {
	{"status", run_status},
	{"sessions", run_sessions},
	{"sockets", run_sockets},
	{"stats", run_stats},
};

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case KEY_GOFER:
		arguments->url = arg;
		return 0;
	case KEY_JSON:
		arguments->json = true;
		return 0;
	case KEY_PROMETHEUS:
		arguments->prometheus = true;
		return 0;
	case KEY_POLICY:
		arguments->policy.file = arg;
		return 0;
	case KEY_AS:
		arguments->policy.as = arg;
		return 0;
	case KEY_NAME:
		if (arguments->policy.name_count == CTL_NAMES_MAX)
			argp_error(state, "at most %d --name", CTL_NAMES_MAX);
		arguments->policy.names[arguments->policy.name_count++] = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->about_policy) {
			if (arguments->policy.word_count == CTL_WORDS_MAX)
				argp_error(state, "'%s' is too much", arg);
			arguments->policy.words[arguments->policy.word_count++] = arg;
			return 0;
		}
		if (!arguments->command && strcmp(arg, "policy") == 0) {
			arguments->about_policy = true;
			return 0;
		}
		if (arguments->command)
			argp_error(state, "one command is enough: '%s' is too much", arg);
		for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
			if (strcmp(arg, commands[i].name) == 0)
				arguments->command = &commands[i];
		if (!arguments->command)
			argp_error(state, "no command '%s': status, sessions, sockets, stats and policy are the commands", arg);
		return 0;
	case ARGP_KEY_END:
		if (arguments->about_policy && (arguments->prometheus || arguments->json))
			argp_error(state, "policy has no --json and no --prometheus");
		if (arguments->about_policy)
			return 0;
		if (arguments->policy.file || arguments->policy.as || arguments->policy.name_count)
			argp_error(state, "--policy, --as and --name are for policy");
		if (!arguments->command)
			argp_error(state, "a command is needed: status, sessions, sockets, stats or policy");
		if (arguments->prometheus && (arguments->json || arguments->command->run != run_stats))
			argp_error(state, "--prometheus is for stats, without --json");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int
main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "status|sessions|sockets|stats\n"
			    "policy check FILE\n"
			    "policy explain [--policy FILE] --as IDENTITY OPERATION PROTOCOL ADDRESS:PORT\n"
			    "policy simulate --policy FILE AUDITLOG\n"
			    "policy reload",
		.doc = "Asks a running splitsock-gofer what it does: only its own user and root may.\v"
		       "The exit status is 0, 1 if the gofer cannot be asked, 2 for wrong usage; policy has more of them. See splitsock-ctl(1).",
	};
	struct arguments arguments = {0};
	struct ctl ctl;
	bool good;

	argp_err_exit_status = EXIT_USAGE;
	if (argp_parse(&argp, argc, argv, 0, NULL, &arguments) != 0)
		return EXIT_FAILURE;
	log_open("splitsock-ctl");
	if (!arguments.url)
		arguments.url = getenv("SPLITSOCK_GOFER");
	if (!arguments.url || !*arguments.url)
		arguments.url = LINK_DEFAULT_URL;
	if (arguments.about_policy) {
		arguments.policy.url = arguments.url;
		return ctl_policy(&arguments.policy);
	}
	good = ctl_open(&ctl, arguments.url) &&
	       arguments.command->run(&ctl, arguments.json ? &view_json : arguments.prometheus ? &view_prometheus : &view_text);
	ctl_close(&ctl);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		log_error("cannot write the answer: %s", strerror(errno));
		good = false;
	}
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
