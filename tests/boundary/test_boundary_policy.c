/*
 * Rules, from a file to the errno that a program gets: a real gofer in a network namespace of the test's, with a peer behind a veth pair, and
 * unmodified programs behind splitsock-run, as root and as nobody.
 *
 *   the test, the gofer: 10.79.0.1, 10.79.0.9, 10.79.1.1, fd79::1    the peer: 10.79.0.2, 10.79.0.66, fd79::2
 *
 * The peer tells everyone who comes to it, by TCP or UDP, at any of its ports, from which address.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/boundary/client.h"
#include "tests/boundary/programs.h"

TestSuite(policy, .timeout = 120);

enum { PROGRAM_MS = 20000 * SLOW };

static struct gofer gofer;
static char directory[64], policy_path[64];
static pid_t peer;

/* ---- the peer ------------------------------------------------------------------------------------ */

static const int peer_ports[] = {53, 80, 443, 8001};
enum { PEER_PORTS = sizeof peer_ports / sizeof *peer_ports };

static void
tell(int fd, const struct sockaddr_in6 *from, bool stream)
{
	char text[INET6_ADDRSTRLEN];
	const char *said = inet_ntop(AF_INET6, &from->sin6_addr, text, sizeof text);

	if (strncmp(said, "::ffff:", 7) == 0)
		said += 7;
	if (stream)
		send(fd, said, strlen(said), MSG_NOSIGNAL);
	else
		sendto(fd, said, strlen(said), 0, (const struct sockaddr *)from, sizeof *from);
}

/* In its own namespace. Its second address has a UDP socket of its own, so that answers come from there. */
static void
serve_as_peer(int ready)
{
	struct pollfd fds[3 * PEER_PORTS];
	char byte;

	for (int i = 0; i < PEER_PORTS; i++) {
		static const char *const addresses[] = {"::", "::", "::ffff:10.79.0.66"};

		for (int j = 0; j < 3; j++) {
			struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)peer_ports[i])};
			int fd = socket(AF_INET6, j == 0 ? SOCK_STREAM : SOCK_DGRAM, 0);

			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
			inet_pton(AF_INET6, addresses[j], &at.sin6_addr);
			if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || (j == 0 && listen(fd, 64) < 0))
				_exit(1);
			fds[3 * i + j] = (struct pollfd){.fd = fd, .events = POLLIN};
		}
	}
	if (write(ready, "r", 1) != 1)
		_exit(1);
	while (poll(fds, 3 * PEER_PORTS, -1) > 0)
		for (int i = 0; i < 3 * PEER_PORTS; i++) {
			struct sockaddr_in6 from;
			socklen_t len = sizeof from;
			int fd;

			if (!fds[i].revents)
				continue;
			if (i % 3) {
				if (recvfrom(fds[i].fd, &byte, 1, 0, (struct sockaddr *)&from, &len) >= 0)
					tell(fds[i].fd, &from, false);
				continue;
			}
			fd = accept(fds[i].fd, (struct sockaddr *)&from, &len);
			tell(fd, &from, true);
			close(fd);
		}
	_exit(1);
}

static void
run_commands(const char *const *commands, size_t count)
{
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(system(commands[i]), 0, "%s", commands[i]);
}

static void
start_peer(void)
{
	static const char *const before[] = {
		"ip link set lo up",
		"ip link add po0 type veth peer name po1",
		"ip addr add 10.79.0.1/24 dev po0",
		"ip addr add 10.79.0.9/24 dev po0",
		"ip addr add fd79::1/64 dev po0 nodad",
		"ip link set po0 up",
	};
	static const char *const within[] = {
		"ip link set lo up",
		"ip addr add 10.79.0.2/24 dev po1",
		"ip addr add 10.79.0.66/24 dev po1",
		"ip addr add fd79::2/64 dev po1 nodad",
		"ip link set po1 up",
	};
	int ready[2], go[2];
	char command[64], byte;

	cr_assert_eq(unshare(CLONE_NEWNET), 0, "network namespaces need root: %s", strerror(errno));
	run_commands(before, sizeof before / sizeof *before);
	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(go, O_CLOEXEC), 0);
	peer = fork();
	if (peer == 0) {
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], "n", 1) != 1 || read(go[0], &byte, 1) != 1)
			_exit(1);
		for (size_t i = 0; i < sizeof within / sizeof *within; i++)
			if (system(within[i]) != 0)
				_exit(1);
		serve_as_peer(ready[1]);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	snprintf(command, sizeof command, "ip link set po1 netns %d", (int)peer);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(write(go[1], "g", 1), 1);
	close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "the peer does not start");
	close(ready[0]);
	close(go[0]);
	close(go[1]);
}

/* ---- the gofer ----------------------------------------------------------------------------------- */

static void
write_policy(const char *text)
{
	FILE *file;

	snprintf(policy_path, sizeof policy_path, "/tmp/splitsock-policy.%d.yaml", (int)getpid());
	file = fopen(policy_path, "we");
	cr_assert_not_null(file);
	fputs(text, file);
	cr_assert_eq(fclose(file), 0);
}

static void
start_with(const char *text)
{
	cr_assert_eq(geteuid(), 0, "this suite needs root: it is root and nobody in turn");
	start_peer();
	write_policy(text);
	programs_copy(directory, "boundary-policed");
	gofer_start(&gofer, (const char *const[]){"--socket-mode", "0666", "--policy", policy_path, NULL});
}

static void
stop(void)
{
	kill(peer, SIGKILL);
	waitpid(peer, NULL, 0);
	peer = 0;
	unlink(policy_path);
	gofer_stop(&gofer);
}

static void
clean(void)
{
	if (peer > 0)
		kill(peer, SIGKILL);
	unlink(policy_path);
	programs_remove(directory);
	gofer_clean(&gofer);
}

struct attempt {
	const char *what;     /* an argument of boundary-policed */
	const char *expected; /* what it says behind that */
};

/* At most ARGS_MAX - 2. */
static void
attempt_some(const struct attempt *attempts, size_t count, bool as_nobody)
{
	const char *arguments[ARGS_MAX] = {"boundary-policed"};
	struct program program;
	const char *at;

	for (size_t i = 0; i < count; i++)
		arguments[1 + i] = attempts[i].what;
	program_start(&program, &(struct run){.gofer = &gofer, .isolate = true, .as_nobody = as_nobody, .directory = directory}, arguments);
	cr_assert_eq(program_end(&program, PROGRAM_MS), 0, "%s", program.complained);
	at = program.said;
	for (size_t i = 0; i < count; i++) {
		char line[256], expected[256];
		size_t len = strcspn(at, "\n");

		snprintf(line, sizeof line, "%.*s", (int)len, at);
		snprintf(expected, sizeof expected, "%s %s", attempts[i].what, attempts[i].expected);
		/* Names that only the host can tell are left out at the end. */
		cr_expect_eq(strncmp(line, expected, strlen(expected)), 0, "as %s: \"%s\", not \"%s\"", as_nobody ? "nobody" : "root", line, expected);
		at += len + (at[len] == '\n');
	}
}

static void
attempt_all(const struct attempt *attempts, size_t count, bool as_nobody)
{
	for (size_t done = 0, part; done < count; done += part) {
		part = count - done < ARGS_MAX - 2 ? count - done : ARGS_MAX - 2;
		attempt_some(attempts + done, part, as_nobody);
	}
}

#define ATTEMPT(as_nobody, ...) \
	attempt_all((const struct attempt[]){__VA_ARGS__}, sizeof((const struct attempt[]){__VA_ARGS__}) / sizeof(struct attempt), as_nobody)

static void
wait_for_log(const char *text)
{
	char log[32768];

	for (int i = 0; i < 100 * SLOW; i++) {
		slurp(gofer.log, log, sizeof log);
		if (strstr(log, text))
			return;
		sleep_ms(50);
	}
	cr_assert(false, "\"%s\" is not in the log: %s", text, log);
}

/* ---- who may go where ---------------------------------------------------------------------------- */

static void
start_users(void)
{
	start_with("version: 1\n"
	           "clients:\n"
	           "  - name: little\n"
	           "    users: [65534]\n"
	           "    rules:\n"
	           "      - {name: never, deny: any, to: [10.79.0.66]}\n"
	           "      - {name: web, allow: [connect], protocols: [tcp], ports: [80, 8000-8099]}\n"
	           "      - {name: dns, allow: [connect, datagram], protocols: [udp], to: [10.79.0.0/24], ports: [53]}\n"
	           "      - {name: server, allow: [bind, listen], protocols: [tcp], ports: [8080, 81]}\n"
	           "  - name: large\n"
	           "    users: [root]\n"
	           "    rules:\n"
	           "      - {name: local, allow: any, to: [loopback, host]}\n"
	           "      - {name: one, allow: [connect], to: [10.79.0.66], ports: [443]}\n"
	           "    options: [interface]\n");
}

GOFER_TEST(policy, each_user_may_do_what_its_rules_say, start_users)
{
	uint16_t port;
	int listener = host_listen(&port, 5);
	char local[64];

	ATTEMPT(true,
	        {"tcp/10.79.0.2/80", "ok said=10.79.0.1 local=10.79.0.1/"},
	        {"tcp/10.79.0.2/8001", "ok said=10.79.0.1"},
	        {"tcp/10.79.0.2/443", "EACCES"},
	        {"tcp/fd79::2/80", "ok said=fd79::1"},
	        {"tcp/10.79.0.66/80", "EACCES"},
	        {"udp/10.79.0.2/53", "ok said=10.79.0.1"},
	        {"udpc/10.79.0.2/53", "ok said=10.79.0.1"},
	        {"udp/10.79.0.2/80", "EACCES"},
	        {"udpc/10.79.0.2/80", "EACCES"},
	        {"udp/fd79::2/53", "EACCES"},
	        {"udp/10.79.0.255/53", "EACCES"},
	        {"udp/255.255.255.255/53", "EACCES"},
	        {"udp/224.0.0.1/53", "EACCES"},
	        {"listen/0.0.0.0/8080", "ok local=0.0.0.0/8080"},
	        {"listen/0.0.0.0/81", "ok local=0.0.0.0/81"},
	        {"listen/0.0.0.0/82", "EACCES"},
	        {"listen/127.0.0.1/8080", "EACCES"},
	        {"listen/0.0.0.0/0", "EACCES"},
	        {"ubind/0.0.0.0/0", "ok"},
	        {"ubind/0.0.0.0/8080", "EACCES"},
	        {"raw/1", "EPERM"},
	        {"packet", "EPERM"},
	        {"option/1/6", "ok"},      /* SO_BROADCAST */
	        {"option/1/36", "EPERM"},  /* SO_MARK */
	        {"option/1/62", "EPERM"},  /* SO_BINDTOIFINDEX */
	        {"option/0/15", "EPERM"}); /* IP_FREEBIND */
	snprintf(local, sizeof local, "tcp/127.0.0.1/%u", port);
	ATTEMPT(false,
	        {"tcp/10.79.0.2/80", "EACCES"},
	        {"tcp/10.79.0.66/443", "ok said=10.79.0.1"},
	        {"tcp/10.79.0.66/80", "EACCES"},
	        {"listen/127.0.0.1/8080", "ok local=127.0.0.1/8080"},
	        {"listen/0.0.0.0/8080", "EACCES"},
	        {"option/1/62", "ok"},
	        {"option/1/36", "EPERM"});
	ATTEMPT(true, {local, "EACCES"});
	close(listener);
}

/* Port 80 is allowed to everyone: what is denied here is denied for its address. */
GOFER_TEST(policy, a_denied_address_is_denied_in_every_form, start_users)
{
	ATTEMPT(true,
	        {"tcp/::ffff:10.79.0.2/80", "ok said=10.79.0.1"},
	        {"tcp/::ffff:10.79.0.66/80", "EACCES"},
	        {"tcp/64:ff9b::10.79.0.66/80", "EACCES"},
	        {"tcp/64:ff9b::10.79.0.2/80", "ENETUNREACH"}, /* the control: allowed, and nobody translates it here */
	        {"tcp/64:ff9b:1::10.79.0.66/80", "EACCES"},
	        {"tcp/2002:a4f:42::1/80", "EACCES"},
	        {"tcp/2002:a4f:2::1/80", "ENETUNREACH"},
	        {"tcp/::10.79.0.66/80", "EACCES"},
	        {"tcp/fd79::200:5efe:10.79.0.66/80", "EACCES"},
	        {"tcp/127.0.0.1/80", "EACCES"},
	        {"tcp/127.8.9.10/80", "EACCES"},
	        {"tcp/0.0.0.0/80", "EACCES"},
	        {"tcp/::/80", "EACCES"},
	        {"tcp/::1/80", "EACCES"},
	        {"tcp/::ffff:127.0.0.1/80", "EACCES"},
	        {"tcp/::ffff:0.0.0.0/80", "EACCES"},
	        {"tcp/64:ff9b::127.0.0.1/80", "EACCES"},
	        {"tcp/169.254.169.254/80", "EACCES"},
	        {"tcp/fd00:ec2::254/80", "EACCES"},
	        {"tcp/64:ff9b::169.254.169.254/80", "EACCES"},
	        {"tcp/169.254.1.1/80", "EACCES"},
	        {"tcp/fe80::1/80", "EACCES"},
	        {"tcp/10.79.0.1/80", "EACCES"},  /* the host's own */
	        {"tcp/10.79.0.9/80", "EACCES"},
	        {"tcp/fd79::1/80", "EACCES"},
	        {"tcp/::ffff:10.79.0.1/80", "EACCES"});
}

/* ---- how ------------------------------------------------------------------------------------------ */

static void
start_egress(void)
{
	start_with("version: 1\n"
	           "clients:\n"
	           "  - name: all\n"
	           "    users: '*'\n"
	           "    rules:\n"
	           "      - {name: from, allow: [connect, datagram], to: [10.79.0.2], ports: [80], source: 10.79.0.9}\n"
	           "      - {name: through, allow: [connect], to: [10.79.0.2], ports: [443], interface: po0}\n"
	           "      - {name: nowhere, allow: [connect], to: [10.79.0.66], ports: [443], interface: none0}\n"
	           "      - {name: marked, allow: [connect], to: [10.79.0.66], ports: [80], mark: 7}\n"
	           "      - {name: service, allow: [connect, datagram], to: [10.96.0.1], rewrite: '10.79.0.2:8001'}\n"
	           "      - {name: plain, allow: [connect, datagram], to: [10.79.0.66], ports: [53]}\n"
	           "    publish:\n"
	           "      - {port: 80, on: '10.79.0.1:8088'}\n"
	           "      - {port: 53, protocol: udp, on: '10.79.0.1:5353'}\n");
	/* What is marked so leads nowhere, which shows that it is. */
	cr_assert_eq(system("ip rule add fwmark 7 unreachable"), 0);
}

GOFER_TEST(policy, rules_say_how_it_leaves, start_egress)
{
	for (int as_nobody = 0; as_nobody < 2; as_nobody++)
		ATTEMPT(as_nobody,
		        {"tcp/10.79.0.2/80", "ok said=10.79.0.9 local=10.79.0.9/"},
		        {"udpc/10.79.0.2/80", "ok said=10.79.0.9"},
		        {"udp/10.79.0.2/80", "ok said=10.79.0.9"},
		        {"tcp/10.79.0.2/443", "ok said=10.79.0.1"},
		        {"tcp/10.79.0.66/443", "ENODEV"},
		        {"tcp/10.79.0.66/80", "ENETUNREACH"},
		        {"udp/10.79.0.66/53", "ok said=10.79.0.1"});
}

GOFER_TEST(policy, a_service_address_means_its_backend, start_egress)
{
	ATTEMPT(true,
	        {"tcp/10.96.0.1/443", "ok said=10.79.0.1 local=10.79.0.1/"},
	        {"tcp/::ffff:10.96.0.1/443", "ok said=10.79.0.1 local=::ffff:10.79.0.1/"},
	        {"tcp/10.79.0.2/8001", "EACCES"});
	/* The program knows its peer by the address that it asked for. */
	for (int as_nobody = 0; as_nobody < 2; as_nobody++) {
		static const char *const asked[] = {"tcp/10.96.0.1/443", "udpc/10.96.0.1/443", "udp/10.96.0.1/443"};

		for (int i = 0; i < 3; i++) {
			struct program program;

			program_start(&program, &(struct run){.gofer = &gofer, .isolate = true, .as_nobody = as_nobody, .directory = directory},
			              (const char *[]){"boundary-policed", asked[i], NULL});
			cr_assert_eq(program_end(&program, PROGRAM_MS), 0, "%s", program.complained);
			cr_expect(strstr(program.said, i < 2 ? "peer=10.96.0.1/443" : "from=10.96.0.1/443"), "%s", program.said);
		}
	}
}

GOFER_TEST(policy, a_server_is_published_where_policy_says, start_egress)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(8088)};
	struct program program;
	char hello[6] = "";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, "10.79.0.1", &to.sin_addr);
	cr_assert_lt(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	program_start(&program, &(struct run){.gofer = &gofer, .isolate = true, .as_nobody = true, .directory = directory},
	              (const char *[]){"boundary-policed", "ubind/0.0.0.0/53", "listen/0.0.0.0/8088", "listen/10.79.0.1/80", "serve/::/80", NULL});
	cr_assert(program_says(&program, "ready", PROGRAM_MS), "%s %s", program.said, program.complained);
	cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0, "%s", strerror(errno));
	cr_assert(read_exactly(fd, hello, 5, PROGRAM_MS));
	cr_expect_str_eq(hello, "hello");
	close(fd);
	cr_assert_eq(program_end(&program, PROGRAM_MS), 0);
	cr_expect(strstr(program.said, "ubind/0.0.0.0/53 ok local=0.0.0.0/53\n"), "%s", program.said);
	cr_expect(strstr(program.said, "listen/0.0.0.0/8088 EACCES\n"), "%s", program.said);
	cr_expect(strstr(program.said, "listen/10.79.0.1/80 EACCES\n"), "%s", program.said);
	cr_expect(strstr(program.said, "serve/::/80 ok local=::/80\n"), "%s", program.said);
	cr_expect(strstr(program.said, "served local=::ffff:10.79.0.1/80 peer=::ffff:10.79.0.1/"), "%s", program.said);
}

static void
start_namespace(void)
{
	char text[512];

	start_with("version: 1\nclients: [{name: all, users: '*', rules: [{name: none, deny: any}]}]\n");
	snprintf(text, sizeof text,
	         "version: 1\n"
	         "clients:\n"
	         "  - name: there\n"
	         "    users: '*'\n"
	         "    namespace: /proc/%d/ns/net\n"
	         "    rules:\n"
	         "      - {name: there, allow: [connect], ports: [80]}\n"
	         "      - {name: local, allow: [connect], to: [127.0.0.1], ports: [8001]}\n", (int)peer);
	write_policy(text);
	kill(gofer.pid, SIGHUP);
	wait_for_log("read again");
}

GOFER_TEST(policy, sockets_of_a_client_are_in_its_namespace, start_namespace)
{
	ATTEMPT(true,
	        {"tcp/127.0.0.1/8001", "ok said=127.0.0.1 local=127.0.0.1/"}, /* the peer's loopback */
	        {"tcp/127.0.0.1/80", "EACCES"},
	        {"tcp/10.79.0.2/80", "EACCES"},       /* there, its own */
	        {"tcp/10.79.0.1/80", "ECONNREFUSED"}); /* there, somebody else's */
}

static void
start_raw(void)
{
	start_with("version: 1\n"
	           "clients:\n"
	           "  - name: ping\n"
	           "    users: '*'\n"
	           "    raw: {protocols: [icmp, udp], headers: own}\n"
	           "    rules:\n"
	           "      - {name: icmp, allow: [connect, datagram], protocols: [icmp, 255], to: [10.79.0.2]}\n");
}

GOFER_TEST(policy, packets_of_raw_sockets_go_where_rules_say, start_raw)
{
	for (int as_nobody = 0; as_nobody < 2; as_nobody++)
		ATTEMPT(as_nobody,
		        {"echo/10.79.0.2", "ok from=10.79.0.2/0"},
		        {"echo/10.79.0.66", "EPERM"},
		        {"echo/127.0.0.1", "EPERM"},
		        {"echo/10.79.0.1", "EPERM"},
		        /* By the address that sendto is told, and the one in the header. */
		        {"header/10.79.0.2/10.79.0.2", "ok from=10.79.0.2/0"},
		        {"header/10.79.0.66/10.79.0.2", "EPERM"},
		        {"header/10.79.0.2/10.79.0.66", "EPERM"},
		        {"header/10.79.0.2/127.0.0.1", "EPERM"},
		        {"tcp/10.79.0.2/80", "EACCES"},
		        {"raw/6", "EPERM"});
}

/* ---- again ---------------------------------------------------------------------------------------- */

#define LOOPBACK_POLICY "version: 1\nclients:\n  - name: all\n    users: '*'\n    rules:\n      - {name: r, allow: any, to: [loopback]}\n"

static void
start_loopback(void)
{
	start_with(LOOPBACK_POLICY);
}

static void
reload(const char *text, const char *logged)
{
	write_policy(text);
	kill(gofer.pid, SIGHUP);
	wait_for_log(logged);
}

static struct outcome
connect_anew(struct client *client, uint64_t handle, uint16_t port)
{
	struct operation connect_op;

	return call_open(client, handle, SOCK_STREAM, op_connect(&connect_op, port, true));
}

GOFER_TEST(policy, sessions_follow_a_policy_that_is_read_again, start_loopback)
{
	struct client client;
	uint16_t port;
	int listener = host_listen(&port, 16), link, accepted;
	struct operation listen_op;
	char byte = 0;

	client_open(&client, &gofer);
	cr_assert_eq(connect_anew(&client, 1, port).status, SPLITSOCK__STATUS__STATUS_OK);
	link = link_open(&client, true, LINK_SOCKET, 1);
	accepted = host_accept(listener);
	cr_assert_eq(call_open(&client, 2, SOCK_STREAM, op_listen(&listen_op, 5)).status, SPLITSOCK__STATUS__STATUS_DENIED,
	             "at no address in particular it is no loopback");
	/* One that is wrong changes nothing. */
	reload("version: 1\nclients:\n  - name: all\n    usres: '*'\n", "the policy stays as it was: ");
	wait_for_log(":4:5: unknown key \"usres\"; the nearest is \"users\"");
	cr_assert_eq(connect_anew(&client, 3, port).status, SPLITSOCK__STATUS__STATUS_OK);
	close(host_accept(listener));
	/* One that denies: new ones are denied, and those there are stay. */
	reload("version: 1\nclients:\n  - {name: all, users: '*', rules: [{name: away, allow: any, to: [192.0.2.1]}]}\n", "read again");
	cr_assert_eq(connect_anew(&client, 4, port).status, SPLITSOCK__STATUS__STATUS_DENIED);
	cr_assert_eq(send(accepted, "x", 1, 0), 1);
	cr_assert(read_exactly(link, &byte, 1, PATIENCE_MS));
	cr_expect_eq(byte, 'x');
	/* One that grants nothing ends them. */
	reload("version: 1\nclients:\n  - {name: all, users: '*'}\n", "grants nothing that anyone can use");
	cr_assert(ends_within(accepted, PATIENCE_MS), "the peer sees the end");
	cr_expect_eq(connect_anew(&client, 5, port).status, SPLITSOCK__STATUS__STATUS_DENIED);
	/* And back. */
	write_policy(LOOPBACK_POLICY);
	kill(gofer.pid, SIGHUP);
	for (int i = 0; i < 100 && connect_anew(&client, (uint64_t)(6 + i), port).status != SPLITSOCK__STATUS__STATUS_OK; i++) {
		cr_assert_lt(i, 99, "it is not granted again");
		sleep_ms(20);
	}
	close(link);
	close(accepted);
	close(listener);
	client_close(&client);
}

/* ---- splitsock-ctl -------------------------------------------------------------------------------- */

static int
run_ctl(struct program *program, const char *const *arguments)
{
	int status;

	program_start(program, &(struct run){0}, arguments);
	status = program_end(program, PROGRAM_MS);
	cr_assert(WIFEXITED(status), "wait status %#x", status);
	return WEXITSTATUS(status);
}

GOFER_TEST(policy, ctl_explains_what_the_gofer_would_decide, start_users)
{
	static const struct {
		const char *as, *words[3], *name;
		int status;
		const char *said;
	} cases[] = {
		{"user=nobody", {"connect", "tcp", "10.79.0.2:80"}, NULL, 0, "allowed: rule \"web\" of client \"little\""},
		{"user=nobody", {"connect", "tcp", "10.79.0.66:80"}, NULL, 3, "denied: rule \"never\" of client \"little\""},
		{"user=nobody", {"connect", "tcp", "[64:ff9b::10.79.0.66]:80"}, NULL, 3, "stands for 10.79.0.66"},
		{"user=nobody", {"connect", "tcp", "10.79.0.1:80"}, NULL, 3, "of the kind \"host\""},
		{"user=nobody", {"datagram", "udp", "10.79.0.255:53"}, NULL, 3, "of the kind \"broadcast\""},
		{"user=nobody", {"bind", "tcp", "0.0.0.0:82"}, NULL, 3, "ports below 1024"},
		{"user=root", {"connect", "tcp", "10.79.0.1:80"}, NULL, 0, "rule \"local\" of client \"large\""},
		{"user=daemon", {"connect", "tcp", "10.79.0.2:80"}, NULL, 3, "names no such client"},
		{"user=nobody", {"raw", "icmp", NULL}, NULL, 3, "no raw grant"},
		{"user=nobody", {"packet", "po0", NULL}, NULL, 3, "no packet grant"},
		{"user=nobody", {"connect", "tcp", "name:80"}, NULL, 2, ""},
		{"usre=nobody", {"connect", "tcp", "10.79.0.2:80"}, NULL, 2, ""},
		{"user=nobody", {"conect", "tcp", "10.79.0.2:80"}, NULL, 2, ""},
	};
	struct program program;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int file = 0; file < 2; file++) { /* the running gofer, and the file it has read */
			int status = run_ctl(&program, (const char *[]){"splitsock-ctl", file ? "--policy" : "--gofer", file ? policy_path : gofer.url,
			                                                "policy", "explain", "--as", cases[i].as, cases[i].words[0],
			                                                cases[i].words[1], cases[i].words[2], NULL});

			cr_expect_eq(status, cases[i].status, "case %zu: status %d: %s%s", i, status, program.said, program.complained);
			cr_expect(strstr(program.said, cases[i].said), "case %zu: %s%s", i, program.said, program.complained);
			cr_expect_eq(program.complained_len > 0, cases[i].status == 2, "case %zu: %s", i, program.complained);
		}
}

GOFER_TEST(policy, ctl_makes_it_read_its_policy_again, start_loopback)
{
	struct program program;

	cr_expect_eq(run_ctl(&program, (const char *[]){"splitsock-ctl", "--gofer", gofer.url, "policy", "reload", NULL}), 0);
	write_policy("version: 1\nclients: []\n");
	cr_expect_eq(run_ctl(&program, (const char *[]){"splitsock-ctl", "--gofer", gofer.url, "policy", "reload", NULL}), 78);
	cr_expect(strstr(program.complained, ":2:10: this list of clients is empty"), "%s", program.complained);
	cr_expect_eq(run_ctl(&program, (const char *[]){"splitsock-ctl", "policy", "check", policy_path, NULL}), 78);
	write_policy("version: 1\nclients:\n  - {name: a, users: '*', rules: [\n"
	             "      {name: all, allow: [connect]},\n      {name: late, deny: [connect], to: [10.0.0.0/8]}]}\n");
	cr_expect_eq(run_ctl(&program, (const char *[]){"splitsock-ctl", "policy", "check", policy_path, NULL}), 0);
	cr_expect(strstr(program.said, ":5:7: rule \"late\" of client \"a\" changes nothing: \"all\", line 4, allows all of it before"), "%s",
	          program.said);
	cr_expect_eq(run_ctl(&program, (const char *[]){"splitsock-ctl", "policy", "what", NULL}), 2);
}

GOFER_TEST(policy, ctl_says_what_another_policy_would_change, start_users)
{
	char log_path[64];
	struct program program;
	FILE *log;

	snprintf(log_path, sizeof log_path, "/tmp/splitsock-audit.%d.json", (int)getpid());
	log = fopen(log_path, "we");
	cr_assert_not_null(log);
	for (int i = 0; i < 3; i++)
		fputs("{\"event\": \"connect\", \"identity\": {\"uid\": 65534}, \"operation\": \"connect\", \"protocol\": \"tcp\","
		      " \"address\": \"10.79.0.2\", \"port\": 443}\n", log);
	fputs("{\"event\": \"connect\", \"identity\": {\"uid\": 65534}, \"operation\": \"connect\", \"protocol\": \"tcp\","
	      " \"address\": \"10.79.0.2\", \"port\": 80}\n"
	      "{\"event\": \"denied\", \"identity\": {\"uid\": 0}, \"operation\": \"connect\", \"protocol\": \"tcp\","
	      " \"address\": \"10.79.0.66\", \"port\": 443}\n"
	      "{\"event\": \"close\", \"identity\": {\"uid\": 65534}, \"operation\": \"connect\", \"protocol\": \"tcp\","
	      " \"address\": \"10.79.0.2\", \"port\": 443}\n"
	      "no JSON\n", log);
	fclose(log);
	cr_expect_eq(run_ctl(&program, (const char *[]){"splitsock-ctl", "policy", "simulate", "--policy", policy_path, log_path, NULL}), 4);
	cr_expect(strstr(program.said, "denied now: user=65534, connect protocol 6 10.79.0.2 port 443: no rule matches (3 times)\n"), "%s",
	          program.said);
	cr_expect(strstr(program.said, "allowed now: user=0, connect protocol 6 10.79.0.66 port 443: rule \"one\""), "%s", program.said);
	cr_expect(strstr(program.said, "4 of 5 decisions would be otherwise; 6 lines were read\n"), "%s", program.said);
	cr_expect(strstr(program.complained, ":7: no JSON object"), "%s", program.complained);
	unlink(log_path);
}
