/*
 * Who a client is, is the kernel's to say: its cgroup decides, and what it says of itself does not.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/boundary/client.h"

static struct gofer gofer;
static char cgroup[128]; /* of the jailed: its directory */

static const char policy_text[] =
	"version: 1\n"
	"clients:\n"
	"  - {name: jailed, cgroups: [%s], users: [\"*\"]}\n"
	"  - {name: container, containers: [served], sockets: open}\n"
	"  - {name: other-container, containers: [\"*\"]}\n"
	"  - {name: agent, users: [65534], agent: true}\n"
	"  - {name: others, users: [\"*\"], sockets: open}\n";

static const char *
mount_point(void)
{
	return access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
}

static void
start(void)
{
	char path[96];
	FILE *file;

	cr_assert_eq(geteuid(), 0, "run this as root: it makes cgroups, and is root and nobody in turn");
	snprintf(cgroup, sizeof cgroup, "%s/splitsock-test-identity-%d", mount_point(), (int)getpid());
	cr_assert_eq(mkdir(cgroup, 0755), 0, "%s: %s", cgroup, strerror(errno));
	snprintf(path, sizeof path, "/tmp/splitsock-policy.%d.yaml", (int)getpid());
	file = fopen(path, "we");
	cr_assert_not_null(file);
	fprintf(file, policy_text, cgroup + strlen(mount_point()));
	fclose(file);
	gofer_start(&gofer, (const char *const[]){"--socket-mode", "0666", "--policy", path, NULL});
	unlink(path);
}

static void
stop(void)
{
	gofer_stop(&gofer);
	cr_expect_eq(rmdir(cgroup), 0, "%s: %s", cgroup, strerror(errno));
}

static void
clean(void)
{
	gofer_clean(&gofer);
	rmdir(cgroup);
}

/* Whom a client says it serves; "": says nothing. */
static bool
open_for(struct client *client, const char *container)
{
	Splitsock__Serves serves = SPLITSOCK__SERVES__INIT;

	if (!*container)
		return client_try_open(client, &gofer);
	serves.id = (char *)container;
	serves.uid = serves.gid = 1000;
	*client = (struct client){.gofer = &gofer, .fd = raw_connect(&gofer)};
	return client->fd >= 0 && shake_hands_for(client, &serves) == SPLITSOCK__STATUS__STATUS_OK;
}

enum { ALLOWED, DENIED, BROKEN };

/* What a process gets that is this user's, in that cgroup, and serves whom it says; with its side channel or without. */
static int
in_process(uid_t uid, const char *directory, const char *container, bool with_channel)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct client client;
		struct outcome outcome;
		int channel = -1;
		FILE *procs = NULL;
		char path[160];

		if (directory) {
			snprintf(path, sizeof path, "%s/cgroup.procs", directory);
			procs = fopen(path, "we");
			if (!procs || fputs("0", procs) < 0 || fclose(procs) != 0)
				_exit(BROKEN);
		}
		if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0 || !open_for(&client, container))
			_exit(BROKEN);
		if (with_channel && (channel = link_open(&client, false, LINK_CHANNEL, 0)) < 0)
			_exit(BROKEN);
		outcome = call_open(&client, 1, SOCK_STREAM, NULL);
		_exit(outcome.status == SPLITSOCK__STATUS__STATUS_OK ? ALLOWED : outcome.status == SPLITSOCK__STATUS__STATUS_DENIED ? DENIED : BROKEN);
	}
	status = wait_for(pid, PATIENCE_MS);
	return WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN;
}

GOFER_TEST(identity, a_cgroup_decides, start)
{
	cr_expect_eq(in_process(1000, NULL, "", true), ALLOWED, "outside");
	cr_expect_eq(in_process(1000, cgroup, "", true), DENIED, "inside");
	cr_expect_eq(in_process(0, cgroup, "", true), DENIED, "root is jailed, too");
}

/* Who keeps the kernel from being asked has what everybody has who may be anybody: nothing. */
GOFER_TEST(identity, what_is_not_known_is_not_granted, start)
{
	cr_expect_eq(in_process(1000, cgroup, "", false), DENIED, "inside");
	cr_expect_eq(in_process(1000, NULL, "", false), DENIED, "outside");
}

GOFER_TEST(identity, a_token_is_not_an_identity, start)
{
	struct client client;
	pid_t pid;
	int channel;

	/* Somebody in the jail has a friend outside, who connects the side channel for him. */
	pid = fork();
	if (pid == 0) {
		char path[160];
		FILE *procs;

		snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
		procs = fopen(path, "we");
		if (!procs || fputs("0", procs) < 0 || fclose(procs) != 0 || !open_for(&client, ""))
			_exit(BROKEN);
		if (fork() == 0) {
			snprintf(path, sizeof path, "%s/cgroup.procs", mount_point());
			procs = fopen(path, "we");
			if (!procs || fputs("0", procs) < 0 || fclose(procs) != 0)
				_exit(BROKEN);
			channel = link_open(&client, false, LINK_CHANNEL, 0);
			_exit(channel >= 0 ? ALLOWED : BROKEN);
		}
		if (wait_for(-1, PATIENCE_MS) != 0)
			_exit(BROKEN);
		_exit(call_open(&client, 1, SOCK_STREAM, NULL).status == SPLITSOCK__STATUS__STATUS_DENIED ? DENIED : ALLOWED);
	}
	cr_expect_eq(WEXITSTATUS(wait_for(pid, 2 * PATIENCE_MS)), DENIED);
}

GOFER_TEST(identity, only_an_agent_serves_others, start)
{
	cr_expect_eq(in_process(65534, NULL, "", true), DENIED, "an agent has nothing of its own here");
	cr_expect_eq(in_process(65534, NULL, "served", true), ALLOWED, "an agent, for a container that may");
	cr_expect_eq(in_process(65534, NULL, "another", true), DENIED, "for one that may not");
	cr_expect_eq(in_process(1000, NULL, "served", true), DENIED, "who is no agent");
	cr_expect_eq(in_process(0, NULL, "served", true), DENIED, "nor is root");
	cr_expect_eq(in_process(65534, cgroup, "served", true), DENIED, "an agent in the jail is jailed");
	cr_expect_eq(in_process(1000, NULL, "", true), ALLOWED);
}

/* What a client says of others is limited, and nothing of it is left behind. */
GOFER_TEST(identity, who_says_too_much_is_sent_away, start)
{
	static char longest[8192];
	Splitsock__Label label = SPLITSOCK__LABEL__INIT, *labels[1000];
	Splitsock__Serves serves = SPLITSOCK__SERVES__INIT;
	int fds = fd_count(gofer.pid);

	memset(longest, 'x', sizeof longest - 1);
	for (int i = 0; i < 1000; i++)
		labels[i] = &label;
	for (int round = 0; round < 300; round++) {
		struct client client = {.gofer = &gofer, .fd = raw_connect(&gofer)};

		label.key = label.value = "k";
		serves = (Splitsock__Serves)SPLITSOCK__SERVES__INIT;
		serves.id = round % 3 == 0 ? longest : "x";
		serves.n_labels = round % 3 == 1 ? 65 : 1;
		serves.labels = labels;
		if (round % 3 == 2)
			label.value = longest;
		cr_assert_eq(shake_hands_for(&client, &serves), -1, "round %d", round);
		client_close(&client);
	}
	cr_expect_geq(wait_for_fds(gofer.pid, fds, PATIENCE_MS), 0);
}
