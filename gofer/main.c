/*
 * splitsock-gofer: the host daemon.
 */
#include <argp.h>
#include <malloc.h>
#include <nng/nng.h>
#include <nng/supplemental/util/platform.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "gofer/gofer.h"
#include "gofer/listener.h"
#include "gofer/mirror.h"
#include "gofer/reload.h"
#include "gofer/route.h"
#include "gofer/service.h"
#include "gofer/session.h"

#define LISTENERS_MAX 8

#define DEFAULT_SOCKETS 16384
#define DEFAULT_SESSIONS 16384
#define CALLS_MAX 4096
#define TEXT(x) TEXT_(x)
#define TEXT_(x) #x

/* argp(3) looks it up by name, so it must be visible. */
__attribute__((visibility("default"))) const char *argp_program_version = "splitsock-gofer " SPLITSOCK_VERSION;

enum { KEY_LISTEN = 'l', KEY_POLICY = 'p', KEY_MODE = 256, KEY_SOCKETS, KEY_SESSIONS, KEY_AUDIT };

static const struct argp_option options[] = {
	{"listen", KEY_LISTEN, "URL", 0, "Serve clients at URL: ipc:///absolute/path. May be repeated", 0},
	{"policy", KEY_POLICY, "FILE|open", 0,
	 "What clients may do: splitsock-policy(5). \"open\" grants what the gofer's own user could do. There is no default", 0},
	{"audit", KEY_AUDIT, "FILE|journald|stderr", 0,
	 "Write what clients do, a line of JSON each, splitsock-audit(5), there; by default, denials are lines of the log", 0},
	{"socket-mode", KEY_MODE, "OCTAL", 0, "Permissions of the ipc sockets; who may write may connect (default 0600)", 0},
	{"max-sockets", KEY_SOCKETS, "N", 0, "Sockets that one session may hold (default " TEXT(DEFAULT_SOCKETS) ")", 0},
	{"max-sessions", KEY_SESSIONS, "N", 0, "Sessions at once (default " TEXT(DEFAULT_SESSIONS) ")", 0},
	{0},
};

struct arguments {
	const char *urls[LISTENERS_MAX];
	int url_count;
	const char *policy;
	const char *audit; /* NULL: the log */
	mode_t mode;
	struct limits limits;
};

static uint32_t
parse_number(struct argp_state *state, const char *text, const char *what, int base, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, base);

	if (!*text || *end || value == 0 || value > max)
		argp_error(state, "%s: '%s' is not a number from 1 to %lu", what, text, max);
	return (uint32_t)value;
}

static error_t
parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case KEY_LISTEN:
		if (arguments->url_count == LISTENERS_MAX)
			argp_error(state, "at most %d --listen", LISTENERS_MAX);
		arguments->urls[arguments->url_count++] = arg;
		return 0;
	case KEY_POLICY:
		arguments->policy = arg;
		return 0;
	case KEY_AUDIT:
		arguments->audit = arg;
		return 0;
	case KEY_MODE:
		arguments->mode = parse_number(state, arg, "--socket-mode", 8, 0777);
		return 0;
	case KEY_SOCKETS:
		arguments->limits.sockets = parse_number(state, arg, "--max-sockets", 10, 1000000);
		return 0;
	case KEY_SESSIONS:
		arguments->limits.sessions = parse_number(state, arg, "--max-sessions", 10, 1000000);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument '%s'", arg);
		return 0;
	case ARGP_KEY_END:
		if (!arguments->url_count)
			argp_error(state, "--listen is needed");
		if (!arguments->policy)
			argp_error(state, "--policy is needed: without a policy nothing is granted, so there is nothing to start");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

struct daemon {
	struct gofer gofer;
	struct listener *listeners[LISTENERS_MAX];
	int listener_count;
	struct watch signals;
	bool stopping; /* by a signal; what clients had closed is still delivered */
	size_t kept; /* bytes free in the C library's heap when it was last asked to give them back */
};

static void
stop(struct daemon *daemon)
{
	service_stopping();
	log_info("stopping");
	daemon->stopping = true;
	sessions_leave(&daemon->gofer);
	while (daemon->listener_count)
		listener_free(daemon->listeners[--daemon->listener_count]);
	/* And who came in at the last moment. */
	daemon->gofer.loop.stop = !sessions_leave(&daemon->gofer);
}

static void
on_signal(struct watch *watch, uint32_t events)
{
	struct daemon *daemon = (struct daemon *)((char *)watch - offsetof(struct daemon, signals));
	struct signalfd_siginfo info;
	char message[RELOAD_MESSAGE_MAX];

	(void)events;
	if (read(watch->fd, &info, sizeof info) != sizeof info || daemon->stopping)
		return;
	switch (info.ssi_signo) {
	case SIGHUP:
		service_reloading();
		gofer_reload(&daemon->gofer, message, sizeof message);
		audit_reopen(&daemon->gofer);
		service_reloaded();
		return;
	case SIGUSR1:
		audit_reopen(&daemon->gofer);
		return;
	default:
		stop(daemon);
	}
}

/*
 * The C library keeps what many sessions have had for the next ones, unless it lies at the end of its heap. From this much on, the kernel gets it
 * back: after a crowd the daemon is to be as small as before.
 */
#define KEPT_MAX (1024u * 1024u)

static void
give_back_memory(struct daemon *daemon)
{
	size_t kept = mallinfo2().fordblks;

	/* Pages that were given back still count as free. */
	if (kept < daemon->kept)
		daemon->kept = kept;
	if (kept < daemon->kept + KEPT_MAX)
		return;
	malloc_trim(0);
	daemon->kept = mallinfo2().fordblks;
}

static void
tick(void *arg)
{
	struct daemon *daemon = arg;

	sessions_tick(&daemon->gofer);
	daemon->gofer.loop.stop |= daemon->stopping && !daemon->gofer.sessions.count;
	audit_tick(&daemon->gofer);
	service_tick();
	for (int i = 0; i < daemon->listener_count; i++)
		listener_tick(daemon->listeners[i]);
	give_back_memory(daemon);
}

/* Every connection costs two descriptors: take what we may have. Returns how many that is. */
static uint64_t
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

static int
run(const struct arguments *arguments, struct policy *policy)
{
	static struct daemon daemon;
	struct gofer *gofer = &daemon.gofer;
	sigset_t signals;
	char message[RELOAD_MESSAGE_MAX];
	int status = EXIT_FAILURE;

	gofer->policy = policy_take(policy);
	gofer->policy_name = arguments->policy;
	gofer->limits = arguments->limits;
	gofer->start_time = time(NULL);
	gofer->started_ms = now_ms();
	gofer->scratch = malloc(SCRATCH_SIZE);
	closer_init(&gofer->closer);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR1);
	/* Before NNG makes threads, so that they inherit it. */
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	daemon.signals = (struct watch){.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), .ready = on_signal};
	if (!gofer->scratch || loop_init(&gofer->loop) < 0 || daemon.signals.fd < 0 ||
	    loop_watch(&gofer->loop, &daemon.signals, EPOLLIN) < 0) {
		log_error("cannot start: %s", strerror(errno));
		return EX_OSERR;
	}
	if (audit_start(gofer, arguments->audit, message, sizeof message) < 0) {
		log_error("--audit %s", message);
		status = EX_CANTCREAT;
		goto out;
	}
	for (int i = 0; i < arguments->url_count; i++) {
		struct listener *listener = listener_new(gofer, arguments->urls[i], arguments->mode);

		if (!listener)
			goto out;
		daemon.listeners[daemon.listener_count++] = listener;
		log_info("listening on %s", arguments->urls[i]);
	}
	if (!service_took_all()) {
		status = EX_CONFIG;
		goto out;
	}
	if (policy->open)
		log_warning("policy open: clients may do whatever uid %u may do on this host's network", geteuid());
	else
		log_info("policy %s: %zu clients", arguments->policy, policy->entry_count);
	service_ready();
	loop_run(&gofer->loop, TICK_MS, tick, &daemon);
	status = EXIT_SUCCESS;
out:
	for (int i = 0; i < daemon.listener_count; i++)
		listener_free(daemon.listeners[i]);
	while (gofer->sessions.count)
		session_free(table_any(&gofer->sessions));
	audit_stop(gofer);
	mirrors_free(gofer);
	route_stop(gofer);
	policy_drop(gofer->policy);
	closer_free(&gofer->closer);
	loop_close(&gofer->loop, &daemon.signals);
	relay_free_idle_pipes(gofer);
	loop_free(&gofer->loop);
	free(gofer->scratch);
	nng_fini();
	return status;
}

int
main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Holds the host's sockets for programs that have no network.\v"
		       "SIGTERM or SIGINT ends it cleanly, SIGHUP makes it read its policy again. See splitsock-gofer(8).",
	};
	struct arguments arguments = {
		.mode = 0600, .limits = {.sockets = DEFAULT_SOCKETS, .calls = CALLS_MAX, .sessions = DEFAULT_SESSIONS}};
	struct policy *policy;
	char message[RELOAD_MESSAGE_MAX];
	error_t error;
	int status;

	argp_err_exit_status = EX_USAGE;
	error = argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	log_open("splitsock-gofer");
	if (error) {
		log_error("cannot start: %s", strerror(error));
		return EX_OSERR;
	}
	policy = policy_new(arguments.policy, message, sizeof message);
	if (!policy) {
		log_error("%s", message);
		return EX_CONFIG;
	}
	arguments.limits.descriptors = raise_descriptor_limit();
	/* Large buffers go back to the kernel when they are freed; by default the C library comes to keep them. */
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	signal(SIGPIPE, SIG_IGN);
	status = run(&arguments, policy);
	policy_drop(policy);
	return status;
}
