/*
 * splitsock-ctl policy: what a file says, without a gofer; and what a gofer says of the policy that it has.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "gofer/ctl/ctl.h"
#include "gofer/policy_explain.h"
#include "gofer/policy_review.h"

#define EXIT_USAGE 2

static bool
load(struct policy *policy, const char *path)
{
	char message[EXPLAIN_TEXT_MAX];
	bool open = strcmp(path, "open") == 0;

	*policy = (struct policy){.references = 0};
	if ((open ? policy_open(policy) : policy_load(policy, path, message, sizeof message)) == 0)
		return true;
	fprintf(stderr, "%s\n", open ? "no memory" : message);
	return false;
}

/* ---- check -------------------------------------------------------------------------------------- */

static void
print_line(void *arg, const char *line)
{
	unsigned *lines = arg;

	++*lines;
	printf("%s\n", line);
}

static int
run_check(const struct ctl_policy_arguments *arguments)
{
	const char *path = arguments->words[1];
	struct policy policy;
	unsigned remarks = 0;
	size_t rules = 0;

	if (!load(&policy, path))
		return CTL_EXIT_POLICY;
	policy_review(&policy, path, SIZE_MAX, print_line, &remarks);
	for (size_t i = 0; i < policy.entry_count; i++)
		rules += policy.entries[i].rule_count;
	printf("%s: %zu clients, %zu rules; nothing is wrong%s\n", path, policy.entry_count, rules, remarks ? ", but see above" : "");
	policy_free(&policy);
	return EXIT_SUCCESS;
}

/* ---- explain ------------------------------------------------------------------------------------ */

static bool
has_address(const struct sockaddr *address, const uint8_t ip[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (address && address->sa_family == AF_INET)
		return memcmp(ip, mapped, sizeof mapped) == 0 && memcmp(ip + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4) == 0;
	return address && address->sa_family == AF_INET6 &&
	       memcmp(ip, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16) == 0;
}

/* The last address of an IPv4 network is all of it, whether or not the interface says so. */
static bool
has_all(const struct ifaddrs *interface, const uint8_t ip[16])
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)interface->ifa_addr,
	                         *mask = (const struct sockaddr_in *)(const void *)interface->ifa_netmask;
	struct sockaddr_in all = {.sin_family = AF_INET};

	if (!in || !mask || in->sin_family != AF_INET || mask->sin_addr.s_addr == 0xffffffff)
		return false;
	all.sin_addr.s_addr = in->sin_addr.s_addr | ~mask->sin_addr.s_addr;
	return has_address((const struct sockaddr *)&all, ip);
}

void
ctl_find_reach(struct policy_question *question)
{
	uint8_t forms[POLICY_FORMS_MAX][16];
	size_t count = policy_forms(question->operation, question->address, forms);
	struct ifaddrs *all;

	if (getifaddrs(&all) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
			if (has_address(at->ifa_addr, forms[i]))
				question->reach = REACH_OWN;
			else if (question->reach == REACH_AWAY && has_all(at, forms[i]))
				question->reach = REACH_BROADCAST;
		}
	freeifaddrs(all);
}

static int
explain_file(const struct ctl_policy_arguments *arguments, const struct identity *identity, struct explain_question *question)
{
	struct policy policy;
	bool allowed;

	if (!load(&policy, arguments->file))
		return CTL_EXIT_POLICY;
	question->question.names = arguments->names;
	question->question.name_count = arguments->name_count;
	ctl_find_reach(&question->question);
	allowed = explain(stdout, &policy, arguments->file, identity, question);
	policy_free(&policy);
	return allowed ? EXIT_SUCCESS : CTL_EXIT_DENIED;
}

/* The answer's text, valid until the gofer is asked again, or NULL. */
static const Splitsock__AdminText *
ask(struct ctl *ctl, const char *url, Splitsock__AdminRequest *request)
{
	const Splitsock__AdminReply *reply = ctl_open(ctl, url) ? ctl_ask(ctl, request) : NULL;

	return reply ? reply->text : NULL;
}

static int
explain_running(const struct ctl_policy_arguments *arguments, const struct identity *identity)
{
	Splitsock__AdminRequest request = SPLITSOCK__ADMIN_REQUEST__INIT;
	Splitsock__AdminExplain question = SPLITSOCK__ADMIN_EXPLAIN__INIT;
	_cleanup_free_ char *text = identity_text(identity);
	const Splitsock__AdminText *answer;
	struct ctl ctl;
	int status = EXIT_FAILURE;

	if (!text)
		return EXIT_FAILURE;
	question.identity = text;
	question.words = (char **)arguments->words + 1;
	question.n_words = arguments->word_count - 1;
	question.names = (char **)arguments->names;
	question.n_names = arguments->name_count;
	request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_EXPLAIN;
	request.explain = &question;
	answer = ask(&ctl, arguments->url, &request);
	if (answer) {
		fputs(answer->text, answer->wrong ? stderr : stdout);
		status = answer->wrong ? EXIT_USAGE : answer->good ? EXIT_SUCCESS : CTL_EXIT_DENIED;
	}
	ctl_close(&ctl);
	return status;
}

static int
run_explain(const struct ctl_policy_arguments *arguments)
{
	struct explain_question question;
	struct identity identity;
	char error[EXPLAIN_TEXT_MAX] = "--as is needed: policy explain --as user=nobody connect tcp 10.0.0.1:443";
	int status;

	if (!arguments->as || explain_parse(&question, arguments->words + 1, arguments->word_count - 1, error) < 0 ||
	    identity_parse(&identity, arguments->as, error) < 0) {
		log_error("%s", error);
		return EXIT_USAGE;
	}
	status = arguments->file ? explain_file(arguments, &identity, &question) : explain_running(arguments, &identity);
	identity_free(&identity);
	return status;
}

/* ---- simulate, reload --------------------------------------------------------------------------- */

static int
run_simulate(const struct ctl_policy_arguments *arguments)
{
	struct policy policy;
	int status;

	if (!arguments->file) {
		log_error("--policy is needed: policy simulate --policy FILE AUDITLOG");
		return EXIT_USAGE;
	}
	if (!load(&policy, arguments->file))
		return CTL_EXIT_POLICY;
	status = ctl_simulate(&policy, arguments->words[1]);
	policy_free(&policy);
	return status;
}

static int
run_reload(const struct ctl_policy_arguments *arguments)
{
	Splitsock__AdminRequest request = SPLITSOCK__ADMIN_REQUEST__INIT;
	Splitsock__AdminNothing nothing = SPLITSOCK__ADMIN_NOTHING__INIT;
	const Splitsock__AdminText *answer;
	struct ctl ctl;
	int status = EXIT_FAILURE;

	request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_RELOAD;
	request.reload = &nothing;
	answer = ask(&ctl, arguments->url, &request);
	if (answer && !answer->good)
		fprintf(stderr, "%s\n", answer->text);
	if (answer)
		status = answer->good ? EXIT_SUCCESS : CTL_EXIT_POLICY;
	ctl_close(&ctl);
	return status;
}

static const struct verb {
	const char *name;
	size_t words_min, words_max; /* with the verb */
	int (*run)(const struct ctl_policy_arguments *arguments);
} verbs[] = {
	{"check", 2, 2, run_check},
	{"explain", 3, 4, run_explain},
	{"simulate", 2, 2, run_simulate},
	{"reload", 1, 1, run_reload},
};

int
ctl_policy(const struct ctl_policy_arguments *arguments)
{
	const struct verb *verb = NULL;
	int status;

	for (size_t i = 0; arguments->word_count && i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(arguments->words[0], verbs[i].name) == 0)
			verb = &verbs[i];
	if (!verb || arguments->word_count < verb->words_min || arguments->word_count > verb->words_max) {
		log_error("policy check FILE, policy explain --as IDENTITY QUESTION, policy simulate --policy FILE AUDITLOG and policy reload are the commands");
		return EXIT_USAGE;
	}
	status = verb->run(arguments);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		log_error("cannot write the answer: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	return status;
}
