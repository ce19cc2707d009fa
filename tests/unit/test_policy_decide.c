/*
 * What rules come to: said by example, and compared with a walk over them for random policies and questions.
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gofer/policy_explain.h"
#include "gofer/policy_index.h"
#include "gofer/policy_review.h"
#include "tests/unit/naive.h"

TestSuite(policy_decide, .timeout = 120);

/* ---- the compiled rules and the walk ------------------------------------------------------------- */

#define SEEDS 400u
#define QUESTIONS 3000u

Test(policy_decide, compiled_rules_decide_as_a_walk_over_them)
{
	size_t compared = 0, allowed = 0, denied_by_rule = 0;

	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct naive_random random = {.state = seed * 1000003};
		struct policy_entry entry;
		const char *names[4];

		/* Many small ones, some with hundreds of rules. */
		naive_entry(&random, 1 + naive_number(&random, seed % 10 ? 20 : 600), &entry);
		for (size_t i = 0; i < QUESTIONS; i++) {
			struct policy_question question;
			struct naive_decision expected;
			struct policy_decision decision;
			char ip[INET6_ADDRSTRLEN];

			naive_question(&random, &entry, &question, names);
			expected = naive_decide(&entry, &question);
			decision = policy_decide(&entry, &question);
			compared++;
			allowed += expected.allowed;
			denied_by_rule += !expected.allowed && expected.rule;
			inet_ntop(AF_INET6, question.address, ip, sizeof ip);
			cr_assert(decision.allowed == expected.allowed && decision.error == (expected.allowed ? 0 : EACCES) &&
			                  decision.rule == (expected.rule ? expected.rule->name : NULL),
			          "seed %llu, question %zu: operation %d protocol %d %s port %u reach %d: %s by %s, not %s by %s",
			          (unsigned long long)seed, i, question.operation, question.protocol, ip, question.port, question.reach,
			          decision.allowed ? "allowed" : "denied", decision.rule ? decision.rule : "none",
			          expected.allowed ? "allowed" : "denied", expected.rule ? expected.rule->name : "none");
		}
		naive_free(&entry);
	}
	cr_assert_geq(compared, 1000000);
	/* The questions are about something. */
	cr_expect_gt(allowed, compared / 10, "%zu of %zu", allowed, compared);
	cr_expect_gt(denied_by_rule, compared / 20, "%zu of %zu", denied_by_rule, compared);
}

/* ---- by example ---------------------------------------------------------------------------------- */

static struct policy policy;
static char message[512];

static int
load(const char *text)
{
	int fd = memfd_create("policy", MFD_CLOEXEC), status;
	char path[64];

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	status = policy_load(&policy, path, message, sizeof message);
	close(fd);
	return status;
}

struct example {
	const char *as, *question; /* "connect tcp 10.0.0.1:443" */
	const char *name;          /* that was learned, or NULL */
	enum policy_reach reach;
	bool allowed;
	const char *rule;          /* NULL: none */
};

static struct policy_decision
decide(const struct example *example)
{
	struct identity identity;
	struct explain_question question;
	char error[EXPLAIN_TEXT_MAX], copy[128], *rest = copy;
	const char *words[4];
	struct policy_decision decision;
	size_t count = 0;

	snprintf(copy, sizeof copy, "%s", example->question);
	for (const char *word; count < 4 && (word = strsep(&rest, " "));)
		words[count++] = word;
	cr_assert_eq(identity_parse(&identity, example->as, error), 0, "%s", error);
	cr_assert_eq(explain_parse(&question, words, count, error), 0, "%s: %s", example->question, error);
	question.question.names = &example->name;
	question.question.name_count = example->name != NULL;
	question.question.reach = example->reach;
	decision = policy_decide(policy_entry_for(&policy, &identity), &question.question);
	identity_free(&identity);
	return decision;
}

static void
expect_all(const struct example *examples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct policy_decision decision = decide(&examples[i]);

		cr_expect(decision.allowed == examples[i].allowed && !decision.rule == !examples[i].rule &&
		                  (!decision.rule || strcmp(decision.rule, examples[i].rule) == 0),
		          "as %s %s%s%s: %s by %s: %s", examples[i].as, examples[i].question, examples[i].name ? " " : "",
		          examples[i].name ? examples[i].name : "", decision.allowed ? "allowed" : "denied",
		          decision.rule ? decision.rule : "no rule", decision.why);
	}
}

#define EXPECT(...) \
	expect_all((const struct example[]){__VA_ARGS__}, sizeof((const struct example[]){__VA_ARGS__}) / sizeof(struct example))

static void
no_remark(void *arg, const char *line)
{
	(void)arg;
	cr_expect(false, "%s", line);
}

static void
load_example(const char *name)
{
	char path[512];

	snprintf(path, sizeof path, SOURCE_DIR "/deploy/policies/%s.yaml", name);
	cr_assert_eq(policy_load(&policy, path, message, sizeof message), 0, "%s", message);
	policy_review(&policy, path, SIZE_MAX, no_remark, NULL);
}

Test(policy_decide, example_web_egress)
{
	load_example("web-egress");
	EXPECT({"user=1000", "connect tcp 192.0.2.1:443", NULL, REACH_AWAY, true, "web"},
	       {"user=1000", "connect tcp [2001:db8::1]:80", NULL, REACH_AWAY, true, "web"},
	       {"user=1000", "datagram udp 192.0.2.1:443", NULL, REACH_AWAY, true, "quic"},
	       {"user=1000", "datagram udp 9.9.9.9:53", NULL, REACH_AWAY, true, "dns"},
	       {"user=1000", "datagram udp 8.8.8.8:53", NULL, REACH_AWAY, false, NULL},
	       {"user=1000", "connect tcp 10.1.2.3:443", NULL, REACH_AWAY, false, "not-inside"},
	       {"user=1000", "connect tcp [64:ff9b::10.1.2.3]:443", NULL, REACH_AWAY, false, "not-inside"},
	       {"user=1000", "connect tcp 192.0.2.1:22", NULL, REACH_AWAY, false, NULL},
	       {"user=1000", "connect tcp 192.0.2.1:443", NULL, REACH_OWN, false, NULL},
	       {"user=1000", "connect tcp 127.0.0.1:443", NULL, REACH_AWAY, false, NULL},
	       {"user=1000", "connect tcp 0.0.0.0:443", NULL, REACH_AWAY, false, NULL},
	       {"user=1000", "connect tcp 169.254.169.254:80", NULL, REACH_AWAY, false, NULL},
	       {"user=1000", "connect tcp [fd00:ec2::254]:80", NULL, REACH_AWAY, false, "not-inside"},
	       {"user=1000", "bind tcp 0.0.0.0:8080", NULL, REACH_AWAY, false, NULL},
	       {"user=1000", "bind udp 0.0.0.0:0", NULL, REACH_AWAY, true, NULL},
	       {"user=1000", "listen tcp 0.0.0.0:0", NULL, REACH_AWAY, false, NULL});
	policy_free(&policy);
}

Test(policy_decide, example_database_only)
{
	struct policy_decision decision;

	load_example("database-only");
	EXPECT({"container=app-1", "connect tcp 10.96.0.10:5432", NULL, REACH_AWAY, true, "database"},
	       {"container=app-1", "connect tcp 10.20.0.5:5432", NULL, REACH_AWAY, false, NULL},
	       {"container=app-1", "connect tcp 10.96.0.10:5433", NULL, REACH_AWAY, false, NULL},
	       {"container=apple", "connect tcp 10.96.0.10:5432", NULL, REACH_AWAY, false, NULL},
	       {"user=1", "connect tcp 127.0.0.1:5433", NULL, REACH_OWN, true, "replica"},
	       {"user=1", "connect tcp [::ffff:127.0.0.1]:5433", NULL, REACH_OWN, true, "replica"},
	       {"user=1", "connect tcp 127.0.0.1:5432", NULL, REACH_OWN, false, NULL},
	       {"user=1", "connect tcp 10.96.0.10:5432", NULL, REACH_AWAY, false, NULL});
	decision = decide(&(struct example){.as = "container=app-1", .question = "connect tcp 10.96.0.10:5432"});
	cr_assert(decision.egress && decision.egress->has_rewrite);
	cr_expect_eq(decision.egress->rewrite_port, 5432);
	cr_expect_arr_eq(decision.egress->rewrite + 12, ((uint8_t[]){10, 20, 0, 5}), 4);
	policy_free(&policy);
}

Test(policy_decide, example_build_sandbox)
{
	static const char build[] = "cgroup=/machine.slice/build-7/container";

	load_example("build-sandbox");
	EXPECT({build, "datagram udp 10.0.0.53:53", NULL, REACH_AWAY, true, "dns"},
	       {build, "datagram udp 10.0.0.54:53", NULL, REACH_AWAY, false, NULL},
	       {build, "connect tcp 192.0.2.1:443", "deb.debian.org", REACH_AWAY, true, "mirrors"},
	       {build, "connect tcp 192.0.2.1:443", "security.debian.org", REACH_AWAY, true, "mirrors"},
	       {build, "connect tcp 192.0.2.1:443", "debian.org", REACH_AWAY, false, NULL},
	       {build, "connect tcp 192.0.2.1:443", "evildebian.org", REACH_AWAY, false, NULL},
	       {build, "connect tcp 192.0.2.1:443", NULL, REACH_AWAY, false, NULL},
	       {build, "connect tcp 192.0.2.1:22", "deb.debian.org", REACH_AWAY, false, NULL},
	       /* A name that leads inside does not open what has to be named. */
	       {build, "connect tcp 127.0.0.1:80", "deb.debian.org", REACH_AWAY, false, NULL},
	       {build, "connect tcp 169.254.169.254:80", "deb.debian.org", REACH_AWAY, false, NULL},
	       {build, "connect tcp 192.0.2.1:80", "deb.debian.org", REACH_OWN, false, NULL},
	       {"cgroup=/machine.slice/other", "connect tcp 192.0.2.1:443", "deb.debian.org", REACH_AWAY, false, NULL},
	       {"cgroup=/machine.slice/build-7", "connect tcp 192.0.2.1:443", "deb.debian.org", REACH_AWAY, true, "mirrors"},
	       {"cgroup=/user.slice/machine.slice/build-7", "connect tcp 192.0.2.1:443", "deb.debian.org", REACH_AWAY, false, NULL});
	cr_assert_eq(policy.entries[0].resolver_count, 1);
	cr_expect_arr_eq(policy.entries[0].resolvers[0] + 12, ((uint8_t[]){10, 0, 0, 53}), 4);
	policy_free(&policy);
}

Test(policy_decide, example_capture_only)
{
	struct identity identity;
	const struct policy_entry *entry;
	char error[EXPLAIN_TEXT_MAX];

	load_example("capture-only");
	EXPECT({"group=adm", "connect tcp 192.0.2.1:443", NULL, REACH_AWAY, false, NULL},
	       {"group=adm", "bind udp 0.0.0.0:0", NULL, REACH_AWAY, false, NULL});
	cr_assert_eq(identity_parse(&identity, "user=7,group=users,group=adm", error), 0);
	entry = policy_entry_for(&policy, &identity);
	cr_assert_not_null(entry, "a supplementary group counts");
	cr_expect(policy_allows_socket(entry, AF_PACKET, SOCK_RAW, 0));
	cr_expect_not(policy_allows_socket(entry, AF_INET, SOCK_STREAM, 0));
	cr_expect_not(policy_allows_socket(entry, AF_INET, SOCK_RAW, IPPROTO_ICMP));
	cr_expect(policy_packet(entry, "eth0", false)->receive);
	cr_expect_not(policy_packet(entry, "eth0", false)->send);
	cr_expect_null(policy_packet(entry, "eth1", false));
	identity_free(&identity);
	cr_assert_eq(identity_parse(&identity, "user=7,group=users", error), 0);
	cr_expect_null(policy_entry_for(&policy, &identity));
	identity_free(&identity);
	policy_free(&policy);
}

Test(policy_decide, example_published_service)
{
	static const char web[] = "container=web,label=tier=frontend";
	struct policy_decision decision;

	load_example("published-service");
	EXPECT({web, "bind tcp 0.0.0.0:80", NULL, REACH_AWAY, true, "publish"},
	       {web, "listen tcp [::]:443", NULL, REACH_AWAY, true, "publish"},
	       {web, "bind tcp 0.0.0.0:8080", NULL, REACH_AWAY, false, NULL},
	       {web, "bind tcp 127.0.0.1:80", NULL, REACH_AWAY, false, NULL},
	       {web, "bind udp 0.0.0.0:80", NULL, REACH_AWAY, false, NULL},
	       {web, "connect tcp 192.0.2.1:80", NULL, REACH_AWAY, false, NULL},
	       {"container=web,label=tier=back", "bind tcp 0.0.0.0:80", NULL, REACH_AWAY, false, NULL},
	       {"container=web", "bind tcp 0.0.0.0:80", NULL, REACH_AWAY, false, NULL});
	decision = decide(&(struct example){.as = web, .question = "bind tcp 0.0.0.0:80"});
	cr_assert(decision.publish);
	cr_expect_eq(decision.publish->host_port, 8080);
	cr_expect(policy_is_ip4(decision.publish->address));
	decision = decide(&(struct example){.as = web, .question = "bind tcp [::]:80"});
	cr_expect_not(policy_is_ip4(decision.publish->address), "of its own family");
	policy_free(&policy);
}

#define RULES "version: 1\nclients:\n- name: a\n  users: '*'\n  rules:\n"

Test(policy_decide, what_has_to_be_named_is_not_in_a_network_around_it)
{
	static const char *const denied[] = {"connect tcp 127.0.0.1:80", "connect tcp [::1]:80", "connect tcp 0.0.0.0:80", "connect tcp [::]:80",
	                                     "connect tcp 169.254.1.1:80", "connect tcp [fe80::1]:80", "connect tcp 169.254.169.254:80",
	                                     "connect tcp [fd00:ec2::254]:80", "datagram udp 224.0.0.1:80", "datagram udp [ff02::1]:80",
	                                     "datagram udp 255.255.255.255:80", "bind tcp 0.0.0.0:80", "bind tcp 127.0.0.1:8080"};
	static const struct {
		const char *to;
		struct example example;
	} named[] = {
		{"loopback", {"user=0", "connect tcp 127.9.9.9:80", NULL, REACH_OWN, true, "r"}},
		{"loopback", {"user=0", "connect tcp [::]:80", NULL, REACH_AWAY, true, "r"}},
		{"loopback", {"user=0", "connect tcp 10.0.0.1:80", NULL, REACH_OWN, false, NULL}},
		{"127.0.0.0/8", {"user=0", "connect tcp 0.0.0.0:80", NULL, REACH_AWAY, true, "r"}},
		{"127.0.0.0/8", {"user=0", "connect tcp [::1]:80", NULL, REACH_AWAY, false, NULL}},
		{"126.0.0.0/7", {"user=0", "connect tcp 127.0.0.1:80", NULL, REACH_AWAY, false, NULL}},
		{"link-local", {"user=0", "connect tcp 169.254.1.1:80", NULL, REACH_AWAY, true, "r"}},
		{"link-local", {"user=0", "connect tcp 169.254.169.254:80", NULL, REACH_AWAY, false, NULL}},
		{"link-local", {"user=0", "connect tcp [fe80::1]:80", NULL, REACH_OWN, false, NULL}},
		{"169.254.0.0/16", {"user=0", "connect tcp 169.254.169.254:80", NULL, REACH_AWAY, false, NULL}},
		{"metadata", {"user=0", "connect tcp 169.254.169.254:80", NULL, REACH_AWAY, true, "r"}},
		{"metadata", {"user=0", "connect tcp [fd00:ec2::254]:80", NULL, REACH_AWAY, true, "r"}},
		{"169.254.169.254", {"user=0", "connect tcp 169.254.169.254:80", NULL, REACH_AWAY, true, "r"}},
		{"host", {"user=0", "connect tcp 10.0.0.1:80", NULL, REACH_OWN, true, "r"}},
		{"host", {"user=0", "connect tcp 10.0.0.1:80", NULL, REACH_AWAY, false, NULL}},
		{"host", {"user=0", "connect tcp 127.0.0.1:80", NULL, REACH_OWN, false, NULL}},
		{"10.0.0.1", {"user=0", "connect tcp 10.0.0.1:80", NULL, REACH_OWN, true, "r"}},
		{"10.0.0.0/31", {"user=0", "connect tcp 10.0.0.1:80", NULL, REACH_OWN, false, NULL}},
		{"multicast", {"user=0", "datagram udp 239.1.1.1:80", NULL, REACH_AWAY, true, "r"}},
		{"broadcast", {"user=0", "datagram udp 255.255.255.255:80", NULL, REACH_BROADCAST, true, "r"}},
		{"broadcast", {"user=0", "datagram udp 10.0.0.255:80", NULL, REACH_BROADCAST, false, NULL}},
		{"10.0.0.255", {"user=0", "datagram udp 10.0.0.255:80", NULL, REACH_BROADCAST, true, "r"}},
		{"'::/0'", {"user=0", "connect tcp 10.0.0.1:80", NULL, REACH_AWAY, false, NULL}},
		{"0.0.0.0/0", {"user=0", "connect tcp [2001:db8::1]:80", NULL, REACH_AWAY, false, NULL}},
		{"'::/0'", {"user=0", "connect tcp [64:ff9b::10.0.0.1]:80", NULL, REACH_AWAY, false, NULL}},
		{"'::/0'", {"user=0", "bind tcp [::]:8080", NULL, REACH_AWAY, false, NULL}},
		{"'::/0', 0.0.0.0/0", {"user=0", "bind tcp [::]:8080", NULL, REACH_AWAY, true, "r"}},
	};

	cr_assert_eq(load(RULES "  - {name: r, allow: any, to: [0.0.0.0/0, '::/0']}\n  - {name: s, allow: any}\n"), 0, "%s", message);
	for (size_t i = 0; i < sizeof denied / sizeof *denied; i++)
		EXPECT({"user=0", denied[i], NULL, REACH_AWAY, false, NULL});
	policy_free(&policy);
	for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
		char text[256];

		snprintf(text, sizeof text, RULES "  - {name: r, allow: any, to: [%s]}\n", named[i].to);
		cr_assert_eq(load(text), 0, "%s", message);
		expect_all(&named[i].example, 1);
		policy_free(&policy);
	}
}

Test(policy_decide, ports_below_1024_have_to_be_named_to_be_bound)
{
	cr_assert_eq(load(RULES "  - {name: r, allow: [bind, listen, connect], ports: [80, 500-2000, 1000-1023]}\n"), 0, "%s", message);
	EXPECT({"user=0", "bind tcp 0.0.0.0:80", NULL, REACH_AWAY, true, "r"},
	       {"user=0", "listen tcp 0.0.0.0:80", NULL, REACH_AWAY, true, "r"},
	       {"user=0", "bind tcp 0.0.0.0:500", NULL, REACH_AWAY, false, NULL},
	       {"user=0", "bind tcp 0.0.0.0:1010", NULL, REACH_AWAY, true, "r"},
	       {"user=0", "bind tcp 0.0.0.0:1024", NULL, REACH_AWAY, true, "r"},
	       {"user=0", "connect tcp 192.0.2.1:500", NULL, REACH_AWAY, true, "r"},
	       {"user=0", "listen tcp 0.0.0.0:0", NULL, REACH_AWAY, false, NULL});
	policy_free(&policy);
}

/* ---- what is wrong, and what is odd --------------------------------------------------------------- */

Test(policy_decide, each_error_says_where_and_what)
{
	static const struct {
		const char *rule, *said; /* a rule's line, and what is said behind the file's name */
	} cases[] = {
		{"{name: r}", ":6:5: a rule has to say what it allows or denies"},
		{"{name: r, allow: any, deny: any}", ":6:33: a rule allows or denies, not both"},
		{"{name: r, alow: any}", ":6:15: unknown key \"alow\"; the nearest is \"allow\""},
		{"{allow: any}", ":6:5: a rule needs \"name\""},
		{"{name: r, allow: [conect]}", ":6:23: \"conect\" is not known here; the nearest is \"connect\""},
		{"{name: r, allow: [bind, bind]}", ":6:29: \"bind\" for the second time"},
		{"{name: r, allow: any, to: [loopbak]}", ":6:32: \"loopbak\" is no kind of address, the nearest is \"loopback\"; a domain name of one label ends in a dot"},
		{"{name: r, allow: any, to: [10.0.0.1/8]}", ":6:32: \"10.0.0.1/8\" has bits set behind its prefix"},
		{"{name: r, allow: any, to: [10.0.0]}", ":6:32: \"10.0.0\" is no network"},
		{"{name: r, allow: any, to: [a.*.example.com]}", ":6:32: \"a.*.example.com\" is no domain name"},
		{"{name: r, allow: any, to: [a..b]}", ":6:32: \"a..b\" is no domain name"},
		{"{name: r, allow: any, to: [-a.b]}", ":6:32: \"-a.b\" is no domain name"},
		{"{name: r, allow: any, to: ['*.']}", ":6:32: \"*.\" is no domain name"},
		{"{name: r, allow: any, to: [bücher.example]}", ":6:32: a domain name is written in ASCII here"},
		{"{name: r, allow: any, to: []}", ":6:31: this list of addresses is empty"},
		{"{name: r, allow: any, ports: [65536]}", ":6:35: a port from 0 to 65535"},
		{"{name: r, allow: any, ports: [9-8]}", ":6:35: a port from 0 to 65535"},
		{"{name: r, allow: any, ports: [8-]}", ":6:35: a port from 0 to 65535"},
		{"{name: r, allow: any, ports: ['80']}", ":6:35: a port from 0 to 65535"},
		{"{name: r, allow: any, protocols: [tpc]}", ":6:39: \"tpc\" is no name that is known here; the nearest is \"tcp\""},
		{"{name: r, allow: any, source: 10.0.0.1}", ":6:5: source, interface, mark and rewrite are for rules that allow connect and datagram"},
		{"{name: r, allow: [connect], source: 10.0.0.1/8}", ":6:41: an address is needed here"},
		{"{name: r, allow: [connect], rewrite: 10.0.0.1}", ":6:42: an address and a port are needed here"},
		{"{name: r, allow: [connect], rewrite: '::1:80'}", ":6:42: an address and a port are needed here"},
		{"{name: r, allow: [connect], mark: 0}", ":6:39: a number from 1 to 4294967295 is needed here"},
		{"{name: r, allow: [connect], interface: a/b}", ":6:44: \"a/b\" cannot be the name of an interface"},
		{"{name: r, allow: any}\n  - {name: r, deny: any}", ":7:5: name \"r\" for the second time"},
		{"{name: r, allow: any}\n  sockets: open", ":3:3: \"sockets: open\" grants everything"},
		{"{name: r, allow: any}\n  publish: [{port: 80}]", ":7:13: a published port needs \"on\""},
		{"{name: r, allow: any}\n  publish: [{port: 80, on: '10.0.0.1:1'}, {port: 80, on: '10.0.0.2:1'}]", ":7:43: port 80 for the second time"},
		{"{name: r, allow: any}\n  options: [rout]", ":7:13: \"rout\" is not known here; the nearest is \"route\""},
		{"{name: r, allow: any}\n  namespace: a/b", ":7:14: a name of ip-netns(8), or a path"},
		{"{name: r, allow: any}\n  namespace: a\n  packet: [{interface: a, ethertypes: any}]", ":3:3: \"namespace\" does not go together"},
		{"{name: r, allow: any}\n  resolvers: [example.com]", ":7:15: an address is needed here"},
		{"{name: r, allow: any}\n  cgroups: [a]", ":7:13: the path of a cgroup begins with \"/\""},
		{"{name: r, allow: any}\n  labels: [a]", ":7:11: a mapping is needed here, not a list"},
		{"{name: r, allow: any}\n  labels: {a: [b]}", ":7:15: a single value is needed here, not a list"},
		{"{name: r, allow: any}\n  groups: [no-such-group]", ":7:12: there is no group \"no-such-group\""},
		{"{name: r, allow: any}\n  agent: maybe", ":7:10: \"false\" or \"true\" is needed here, not \"maybe\""},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[512];

		snprintf(text, sizeof text, RULES "  - %s\n", cases[i].rule);
		cr_expect_lt(load(text), 0, "%s", text);
		cr_expect(strstr(message, cases[i].said), "case %zu: \"%s\", not \"%s\"", i, message, cases[i].said);
		cr_expect_null(policy.entries);
	}
}

static char remarks[8192];

static void
take_remark(void *arg, const char *line)
{
	(void)arg;
	strncat(remarks, line, sizeof remarks - strlen(remarks) - 1);
	strncat(remarks, "\n", sizeof remarks - strlen(remarks) - 1);
}

Test(policy_decide, what_is_odd_is_said)
{
	static const struct {
		const char *text, *said; /* NULL: nothing */
	} cases[] = {
		{RULES "  - {name: r, allow: any}\n  - {name: s, allow: [connect], to: [10.0.0.0/8]}\n", "p:7:5: rule \"s\" of client \"a\" changes nothing: \"r\", line 6, allows"},
		{RULES "  - {name: r, allow: any}\n  - {name: s, deny: [connect], to: [a.b]}\n  resolvers: [10.0.0.1]\n", "rule \"s\""},
		{RULES "  - {name: r, allow: any}\n  - {name: s, allow: [connect], to: [loopback]}\n", NULL},
		{RULES "  - {name: r, deny: any}\n  - {name: s, allow: [connect], to: [loopback]}\n", "\"r\", line 6, denies all of it"},
		{RULES "  - {name: r, allow: any}\n  - {name: s, allow: [bind], ports: [80]}\n", NULL},
		{RULES "  - {name: r, allow: [connect]}\n  - {name: s, allow: [connect, bind]}\n", NULL},
		{RULES "  - {name: r, allow: any, protocols: [tcp]}\n  - {name: s, allow: any}\n", NULL},
		{RULES "  - {name: r, allow: any, ports: [1-100]}\n  - {name: s, allow: [connect], ports: [50-60, 70]}\n", "rule \"s\""},
		{RULES "  - {name: r, allow: any, ports: [1-100]}\n  - {name: s, allow: [connect], ports: [50-60, 170]}\n", NULL},
		{RULES "  - {name: r, deny: any, to: ['*.b']}\n  - {name: s, allow: any, to: [a.b]}\n  resolvers: [10.0.0.1]\n", "rule \"s\""},
		{RULES "  - {name: r, allow: any, to: [a.b]}\n", "has a domain name, and the client no \"resolvers\""},
		{RULES "  - {name: r, allow: [bind], ports: [1000-2000]}\n", "of 1000-2000, bind and listen are allowed from 1024 on"},
		{RULES "  - {name: r, deny: any}\n", "this policy grants nothing that anyone can use"},
		{"version: 1\nclients:\n- {name: a, users: '*', sockets: open}\n- {name: b, users: [0], sockets: open}\n", "nobody is client \"b\""},
		{"version: 1\nclients:\n- {name: a, users: [0]}\n- {name: b, users: [1], sockets: open}\n", "client \"a\" may do nothing"},
		{"version: 1\nclients:\n- {name: b, users: [1], sockets: open}\n", NULL},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_assert_eq(load(cases[i].text), 0, "%s", message);
		*remarks = 0;
		policy_review(&policy, "p", SIZE_MAX, take_remark, NULL);
		cr_expect(cases[i].said ? strstr(remarks, cases[i].said) != NULL : !*remarks, "case %zu: %s", i, remarks);
		policy_free(&policy);
	}
}

/* A gofer that serves does not compare thousands of rules with each other, and says so. */
Test(policy_decide, a_quick_look_leaves_out_what_takes_long)
{
	cr_assert_eq(load(RULES "  - {name: r, allow: any}\n  - {name: s, allow: [connect], to: [10.0.0.0/8]}\n"), 0, "%s", message);
	*remarks = 0;
	policy_review(&policy, "p", 1, take_remark, NULL);
	cr_expect(strstr(remarks, "has 2 rules, which are not compared with each other here"), "%s", remarks);
	cr_expect_not(strstr(remarks, "changes nothing"), "%s", remarks);
	*remarks = 0;
	policy_review(&policy, "p", 2, take_remark, NULL);
	cr_expect(strstr(remarks, "changes nothing"), "%s", remarks);
	policy_free(&policy);
}
