/*
 * A hostile program behind splitsock-run --isolate tries to get at the host past the gofer. Each attempt is also made bare, to show that it
 * would succeed there: an attempt that fails everywhere proves nothing. All of it as root, whose uid is the gofer's, and as nobody.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/boundary/client.h"
#include "tests/boundary/programs.h"

TestSuite(escapes, .timeout = 60);

enum { ATTEMPT_MS = 10000 * SLOW };

static struct gofer gofer;
static char directory[64];
/* Of the host's, for the program to reach for. */
static char port[16], stream_name[64], datagram_name[64], gofer_pid[16], namespace_fd[16];
static int listener, local_stream, local_datagram, host_namespace;

static int
abstract_socket(int type, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path + 1, name);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))), 0);
	if (type == SOCK_STREAM)
		cr_assert_eq(listen(fd, 64), 0);
	return fd;
}

static void
start_with(const char *policy)
{
	uint16_t number;

	cr_assert_eq(geteuid(), 0, "this suite needs root: it is root and nobody in turn");
	gofer_start(&gofer, (const char *const[]){"--socket-mode", "0666", "--policy", policy, NULL});
	programs_copy(directory, "boundary-escapes");
	listener = host_listen(&number, 64);
	snprintf(port, sizeof port, "%d", number);
	snprintf(stream_name, sizeof stream_name, "splitsock-boundary-%d-stream", getpid());
	snprintf(datagram_name, sizeof datagram_name, "splitsock-boundary-%d-datagram", getpid());
	local_stream = abstract_socket(SOCK_STREAM, stream_name);
	local_datagram = abstract_socket(SOCK_DGRAM, datagram_name);
	snprintf(gofer_pid, sizeof gofer_pid, "%d", (int)gofer.pid);
	host_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	cr_assert_geq(host_namespace, 0);
	snprintf(namespace_fd, sizeof namespace_fd, "%d", host_namespace);
}

static void
start(void)
{
	start_with("open");
}

/* A gofer that grants neither raw nor packet sockets, though it could. */
static void
start_without_raw(void)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/tmp/splitsock-policy.%d.yaml", (int)getpid());
	file = fopen(path, "we");
	cr_assert_not_null(file);
	fputs("version: 1\nclients:\n  - name: everybody\n    users: [\"*\"]\n    sockets: open\n", file);
	fclose(file);
	start_with(path);
	unlink(path);
}

static void
stop(void)
{
	assert_serves(&gofer);
	close(listener);
	close(local_stream);
	close(local_datagram);
	close(host_namespace);
	gofer_stop(&gofer);
}

static void
clean(void)
{
	programs_remove(directory);
	gofer_clean(&gofer);
}

/* ---- running attempts --------------------------------------------------------------------------- */

enum who { BARE_ROOT, BARE_NOBODY, ROOT, NOBODY_ };
static const char *const whos[] = {"bare, as root", "bare, as nobody", "isolated, as root", "isolated, as nobody"};

static struct run
run_for(enum who who)
{
	return (struct run){
		.gofer = who == ROOT || who == NOBODY_ ? &gofer : NULL,
		.isolate = true,
		.as_nobody = who == BARE_NOBODY || who == NOBODY_,
		.directory = directory,
	};
}

/* The last line of what it has said, without its end. */
static char *
last_line(struct program *program)
{
	char *line;

	while (program->said_len && program->said[program->said_len - 1] == '\n')
		program->said[--program->said_len] = 0;
	line = strrchr(program->said, '\n');
	return line ? line + 1 : program->said;
}

static bool
is_one_of(const char *word, const char *words)
{
	size_t len = strlen(word);

	for (const char *at = words; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
		if (strncmp(at, word, len) == 0 && (at[len] == 0 || at[len] == '|'))
			return true;
	return false;
}

/* Returns what the attempt came to; static. */
static const char *
attempt(enum who who, const char *const *arguments)
{
	static struct program program;
	struct run run = run_for(who);
	const char *all[ARGS_MAX] = {"boundary-escapes"};
	int status;

	for (int i = 0; arguments[i]; i++)
		all[i + 1] = arguments[i];
	if (strcmp(arguments[0], "enter-inherited-namespace") == 0)
		run.keep_fd = host_namespace;
	program_start(&program, &run, all);
	close(program.in);
	program.in = -1;
	status = program_end(&program, ATTEMPT_MS);
	cr_expect_neq(status, -1, "%s, %s: hangs", arguments[0], whos[who]);
	return last_line(&program);
}

struct expectation {
	const char *arguments[4];
	const char *bare_root, *bare_nobody; /* NULL: not tried */
	const char *isolated;                /* several are separated by | */
};

static void
check(const struct expectation *expectations, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct expectation *at = &expectations[i];
		const char *wanted[] = {at->bare_root, at->bare_nobody, at->isolated, at->isolated};

		for (enum who who = BARE_ROOT; who <= NOBODY_; who++) {
			const char *came;

			if (!wanted[who])
				continue;
			came = attempt(who, at->arguments);
			cr_expect(is_one_of(came, wanted[who]), "%s, %s: %s instead of %s", at->arguments[0], whos[who], came,
			          wanted[who]);
		}
	}
}

#define CHECK(...)                                                              \
	do {                                                                    \
		const struct expectation expectations[] = {__VA_ARGS__};        \
		check(expectations, sizeof expectations / sizeof *expectations); \
	} while (0)

/* ---- other ways to the same calls --------------------------------------------------------------- */

GOFER_TEST(escapes, i386_calls, start)
{
#if defined(__x86_64__)
	CHECK({{"i386-socketcall"}, "done", "done", "ENOSYS"}, {{"i386-socket"}, "done", "done", "ENOSYS"},
	      {{"i386-connect", port}, "done", "done", "ENOSYS"}, {{"i386-socketcall-connect", port}, "done", "done", "ENOSYS"});
#endif
}

/* Kernels without the x32 ABI, which are most, refuse it themselves. */
GOFER_TEST(escapes, x32_calls, start)
{
#if defined(__x86_64__)
	CHECK({{"x32-socket"}, "done|ENOSYS", NULL, "ENOSYS"}, {{"x32-connect", port}, "done|ENOSYS", NULL, "ENOSYS"});
#endif
}

/* EBADF: there is no such ring, but one may ask. */
GOFER_TEST(escapes, io_uring, start)
{
	CHECK({{"uring-setup"}, "done", NULL, "ENOSYS"}, {{"uring-enter"}, "EBADF", NULL, "ENOSYS"},
	      {{"uring-register"}, "EBADF|EINVAL", NULL, "ENOSYS"});
}

GOFER_TEST(escapes, filters_of_its_own, start)
{
	CHECK({{"second-listener"}, "done", "done", "EBUSY"}, {{"second-listener-tsync"}, "done", "done", "EBUSY"},
	      {{"own-filters-then-vsock"}, "done", "done", "EAFNOSUPPORT"}, {{"own-filters-then-uring"}, "done", NULL, "ENOSYS"},
#if defined(__x86_64__)
	      {{"own-filters-then-i386"}, "done", "done", "ENOSYS"},
#endif
	);
}

/* ---- other sockets ------------------------------------------------------------------------------ */

/* AF_UNIX 1, AF_INET 2, AF_INET6 10, AF_NETLINK 16, and AF_ALG 38 where the kernel has it: nothing else, whatever the kernel offers. */
GOFER_TEST(escapes, families_of_any_kind, start_without_raw)
{
	CHECK({{"families"}, NULL, NULL, "1 2 10 16|1 2 10 16 38"}, {{"pair-families"}, NULL, NULL, "1"},
	      {{"vsock"}, "done", "done", "EAFNOSUPPORT"}, {{"vsock-high-bits"}, "done", "done", "EAFNOSUPPORT"},
	      {{"xdp"}, "done", "EPERM", "EAFNOSUPPORT"});
	/* The list is longer where nobody stands in the way. */
	cr_expect(strstr(attempt(BARE_ROOT, (const char *[]){"families", NULL}), " 17"), "no AF_PACKET even bare");
}

GOFER_TEST(escapes, raw_and_packet_sockets, start_without_raw)
{
	CHECK({{"raw4"}, "done", "EPERM", "EPERM"}, {{"raw6"}, "done", "EPERM", "EPERM"}, {{"raw4-all"}, "done", "EPERM", "EPERM"},
	      {{"packet"}, "done", "EPERM", "EPERM"}, {{"packet-datagram"}, "done", "EPERM", "EPERM"},
	      {{"packet-by-type"}, "done", "EPERM", "EPERM"}, {{"unshare-then-packet"}, "done", "done", "EPERM"});
}

/* What root's gofer gives away when it grants everything, to whoever may speak to it. */
GOFER_TEST(escapes, raw_and_packet_sockets_that_are_granted, start)
{
	CHECK({{"raw4"}, NULL, NULL, "done"}, {{"raw6"}, NULL, NULL, "done"}, {{"packet"}, NULL, NULL, "done"},
	      {{"packet-datagram"}, NULL, NULL, "done"}, {{"packet-by-type"}, NULL, NULL, "done"});
}

GOFER_TEST(escapes, local_sockets_of_the_host, start)
{
	CHECK({{"abstract-connect", stream_name}, "done", "done", "ECONNREFUSED"},
	      {{"abstract-sendto", datagram_name}, "done", "done", "ECONNREFUSED"},
	      {{"abstract-sendmsg", datagram_name}, "done", "done", "ECONNREFUSED"},
	      {{"abstract-connect-internet", stream_name}, "EAFNOSUPPORT", NULL, "EAFNOSUPPORT"},
	      {{"unshare-then-abstract", stream_name}, "done", "done", "ECONNREFUSED"});
}

/* ---- the host's network ------------------------------------------------------------------------- */

static bool
has_address(const char *text)
{
	struct ifaddrs *list, *at;
	bool found = false;

	cr_assert_eq(getifaddrs(&list), 0);
	for (at = list; at; at = at->ifa_next)
		if (at->ifa_addr && at->ifa_addr->sa_family == AF_INET)
			found |= ((struct sockaddr_in *)at->ifa_addr)->sin_addr.s_addr == inet_addr(text);
	freeifaddrs(list);
	return found;
}

static int
loopback_mtu(void)
{
	struct ifreq ifreq = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(ioctl(fd, SIOCGIFMTU, &ifreq), 0);
	close(fd);
	return ifreq.ifr_mtu;
}

GOFER_TEST(escapes, changes_of_the_network, start)
{
	static const char *const changes[] = {"address-by-send",       "address-by-sendto", "address-by-sendmsg", "address-by-write",
	                                      "address-behind-a-read", "link-up",           "link-set"};
	char routes[16384];
	int mtu = loopback_mtu();

	cr_assert_not(has_address("198.51.100.7"), "the host has our test address");
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		/* In a namespace of its own the same bytes do it. */
		const char *came = attempt(BARE_ROOT, (const char *[]){changes[i], "fresh", NULL});

		cr_expect_str_eq(came, "done", "%s, in a fresh namespace: %s", changes[i], came);
		CHECK({{changes[i]}, NULL, "EPERM", "EPERM|EACCES"});
	}
	CHECK({{"route"}, NULL, "EPERM", "EPERM|EACCES"}, {{"every-change"}, NULL, NULL, "96 refused, 0 not"},
	      {{"interface-change"}, NULL, "EPERM", "EPERM"});
	cr_expect_not(has_address("198.51.100.7"), "the host has a new address");
	cr_expect_eq(loopback_mtu(), mtu);
	slurp("/proc/net/route", routes, sizeof routes);
	cr_expect_not(strstr(routes, "086433C6"), "the host has a new route");
}

/* ---- processes and namespaces ------------------------------------------------------------------- */

GOFER_TEST(escapes, the_supervisor_and_the_gofer, start)
{
	static const char *const attempts[] = {"trace", "memory", "maps", "environment", "descriptors", "take-descriptor", "read-memory"};

	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
		/* bare, the parent is this test */
		CHECK({{attempts[i]}, "done", "EPERM|EACCES", "EPERM|EACCES"}, {{attempts[i], gofer_pid}, "done", NULL, "EPERM|EACCES"});
	CHECK({{"kill-supervisor"}, NULL, NULL, "ENOSYS"});
}

GOFER_TEST(escapes, namespaces_of_the_host, start)
{
	CHECK({{"enter-namespace"}, "done", NULL, "EPERM|EACCES"}, {{"enter-namespace", gofer_pid}, "done", NULL, "EPERM|EACCES"},
	      {{"enter-inherited-namespace", namespace_fd}, "done", "EPERM", "EPERM"},
	      {{"namespace-of-fresh"}, "done", "EPERM", "EPERM"}, {{"namespace-of-datagram"}, "done", "EPERM", "EPERM"},
	      {{"namespace-of-told"}, "done", "EPERM", "EPERM"},
	      {{"namespace-of-connected"}, "done", "EPERM", "EPERM"}, {{"namespace-of-accepted"}, "done", "EPERM", "EPERM"},
	      {{"inherited"}, "none", NULL, "none"});
}

/* ---- races -------------------------------------------------------------------------------------- */

/* Each gives up after 1.5 s, and comes to an end much sooner where it can succeed. */
GOFER_TEST(escapes, native_connect_on_a_link, start)
{
	CHECK({{"race-connect", stream_name, "local"}, "done", NULL, NULL}, {{"race-connect", stream_name}, NULL, NULL, "never"},
	      {{"race-connect-datagram", datagram_name, "local"}, "done", NULL, NULL},
	      {{"race-connect-datagram", datagram_name}, NULL, NULL, "never"});
	/* Nobody has come but the one that was let in. */
	while (accept4(local_stream, NULL, NULL, SOCK_CLOEXEC) >= 0)
		;
	cr_expect_eq(recv(local_datagram, (char[1]){0}, 1, MSG_DONTWAIT), -1);
}

GOFER_TEST(escapes, namespace_of_a_link_in_a_race, start)
{
	struct stat st;
	char inode[24];

	cr_assert_eq(fstat(host_namespace, &st), 0);
	snprintf(inode, sizeof inode, "%lu", (unsigned long)st.st_ino);
	CHECK({{"race-namespace", inode, "bare"}, "done", NULL, NULL}, {{"race-namespace", inode}, NULL, NULL, "never"});
}

static bool
host_has_name(const char *name)
{
	static char text[1 << 20];
	char want[80];

	slurp("/proc/net/unix", text, sizeof text);
	snprintf(want, sizeof want, "@%s\n", name);
	return strstr(text, want) != NULL;
}

/* The accepted end of a connection is a socket of the host's network namespace: it must not take a name there. */
GOFER_TEST(escapes, native_bind_on_an_accepted_link, start)
{
	static struct program program;
	char name[64];

	for (enum who who = BARE_ROOT; who <= NOBODY_; who++) {
		struct run run = run_for(who);
		bool taken;

		snprintf(name, sizeof name, "splitsock-boundary-%d-name%d", getpid(), who);
		program_start(&program, &run,
		              (const char *[]){"boundary-escapes", "race-bind-accepted", name, run.gofer ? NULL : "local", NULL});
		cr_assert(program_says(&program, "look now", ATTEMPT_MS), "%s: %s%s", whos[who], program.said, program.complained);
		taken = host_has_name(name);
		if (run.gofer)
			cr_expect_not(taken, "%s: a name of the host's was taken", whos[who]);
		else
			cr_expect(taken, "%s: the name was not taken even bare", whos[who]);
		(void)!write(program.in, "x", 1);
		program_end(&program, ATTEMPT_MS);
	}
}
