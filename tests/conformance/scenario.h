/*
 * Conformance scenarios: plain socket code that prints what it observes.
 *
 * A scenario knows nothing of splitsock. test-conformance runs each one twice, on the bare kernel and
 * through splitsock-run, and compares standard output and exit status: the kernel is the oracle.
 *
 * So an observation must be the same on every run of a correct system. The rules:
 *  - no timings, pids, buffer sizes or raw port numbers (ports are printed P1, P2, … in order of appearance);
 *  - what another party causes (data, FIN, RST, a finished connect) is waited for before it is observed:
 *    the observe_*() helpers that take `want` wait for it, for at most WAIT_MS, and then print what there is;
 *  - nothing blocks for ever: a scenario is killed after SCENARIO_SECONDS.
 * A step that merely prepares goes through must(): its failure ends the scenario and shows in the output.
 */
#ifndef TESTS_CONFORMANCE_SCENARIO_H
#define TESTS_CONFORMANCE_SCENARIO_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/conformance/link.h"

enum {
	SCENARIO_SECONDS = 10, /* then the scenario prints TIMED OUT and exits 3 */
	QUIET_MS = 100,        /* for something that must not come */
};

struct scenario {
	const char *name; /* "area/name" */
	void (*run)(void);
	struct scenario *next; /* in the list of all scenarios, sorted by name */
};

void scenario_register(struct scenario *scenario);
const struct scenario *scenario_first(void);

#define SCENARIO_ENTRY_(symbol, title)                                                     \
	static void symbol(void);                                                          \
	__attribute__((constructor)) static void symbol##_register(void)                   \
	{                                                                                  \
		static struct scenario entry = {.name = title, .run = symbol};             \
		scenario_register(&entry);                                                 \
	}                                                                                  \
	static void symbol(void)

/* SCENARIO(area, name) { body }: one scenario, called "area/name". */
#define SCENARIO(area, name) SCENARIO_ENTRY_(scenario_##area##_##name, #area "/" #name)

/* The same body for IPv4 and IPv6: "area/name_v4" and "area/name_v6", with `family` as a parameter. */
#define SCENARIO_V4_V6(area, name)                                                         \
	static void scenario_##area##_##name(int family);                                  \
	SCENARIO_ENTRY_(scenario_##area##_##name##_v4, #area "/" #name "_v4")              \
	{                                                                                  \
		scenario_##area##_##name(AF_INET);                                         \
	}                                                                                  \
	SCENARIO_ENTRY_(scenario_##area##_##name##_v6, #area "/" #name "_v6")              \
	{                                                                                  \
		scenario_##area##_##name(AF_INET6);                                        \
	}                                                                                  \
	static void scenario_##area##_##name(int family)

/*
 * And twice more, of IPv6 sockets with other addresses: as "area/name_mapped", where loopback(AF_INET6) is ::ffff:127.0.0.1, so that they speak
 * IPv4, and as "area/name_link_local", where it is LINK_ADDRESS with its scope id.
 */
#define SCENARIO_EVERY_ADDRESS(area, name)                                                 \
	static void scenario_##area##_##name(int family);                                  \
	SCENARIO_ENTRY_(scenario_##area##_##name##_mapped, #area "/" #name "_mapped")      \
	{                                                                                  \
		loopback_kind = LOOPBACK_MAPPED;                                           \
		scenario_##area##_##name(AF_INET6);                                        \
	}                                                                                  \
	SCENARIO_ENTRY_(scenario_##area##_##name##_link_local, #area "/" #name "_link_local") \
	{                                                                                  \
		loopback_kind = LOOPBACK_LINK_LOCAL;                                       \
		scenario_##area##_##name(AF_INET6);                                        \
	}                                                                                  \
	SCENARIO_V4_V6(area, name)

/* --- Observing ------------------------------------------------------------------------------------ */

/* One line of output. */
void observe(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define OBSERVE(...) observe(__VA_ARGS__)

/* "connect = 0" or "connect = -1 ECONNREFUSED" (from errno, which is kept). Returns rc. */
long observe_call(const char *what, long rc);
/* For calls that return an fd: "accept = fd", as the number may vary. Returns fd. */
int observe_fd(const char *what, int fd);
/* "what = ECONNREFUSED", or "what = 0". */
void observe_errno(const char *what, int error);
/* n bytes as recv returned them: `what = 5 "hello"`, a hash if they are many, the errno name if n is -1. */
void observe_bytes(const char *what, const void *data, ssize_t n);
void observe_address(const char *what, const void *address, socklen_t length);
void observe_local(const char *what, int fd); /* getsockname */
void observe_peer(const char *what, int fd);  /* getpeername */
/* Waits until the poll bits `want` are all there, then prints all the bits that are. */
void observe_poll(const char *what, int fd, short events, short want);
/* Prints the bits there are after QUIET_MS in which none of `events` came, or as soon as one does. */
void observe_quiet(const char *what, int fd, short events);
/* The same for an epoll instance with one fd in it; bits of several reports are collected. */
void observe_epoll(const char *what, int epoll, uint32_t want);
void observe_epoll_quiet(const char *what, int epoll);
void observe_so_error(const char *what, int fd);
/* An int-sized option: its value and length, or the error. */
void observe_option(const char *what, int fd, int level, int option);
void observe_set_option(const char *what, int fd, int level, int option, int value);
/* One recv() of at most `size` (≤ 64 KiB) bytes, printed as observe_bytes() does. Returns what recv returned. */
ssize_t observe_recv(const char *what, int fd, size_t size, int flags);
/* One recvfrom() with the address. */
ssize_t observe_recvfrom(const char *what, int fd, size_t size, int flags);
/* Waits until TCP_INFO reports `want`, prints the state it reports then. */
void observe_tcp_state(const char *what, int fd, int want);
/* "O_NONBLOCK=0 FD_CLOEXEC=1" */
void observe_fd_flags(const char *what, int fd);

const char *error_name(int error); /* "ECONNREFUSED"; "0" for 0 */
const char *msg_flags_name(int flags);

/* --- Preparing ------------------------------------------------------------------------------------ */

/* Ends the scenario, visibly, if rc is negative; returns it otherwise. */
int must(const char *what, long rc);

struct address {
	struct sockaddr_storage storage;
	socklen_t length;
};
#define SA(address) ((struct sockaddr *)&(address)->storage)

/* What loopback(AF_INET6) gives. */
extern enum loopback_kind {
	LOOPBACK_PLAIN,  /* ::1 */
	LOOPBACK_MAPPED, /* ::ffff:127.0.0.1 */
	LOOPBACK_LINK_LOCAL,
} loopback_kind;
struct address loopback(int family, uint16_t port);
/* Of link.h, on the named end of the cable, with that end's scope id. */
struct address link_local(const char *interface, uint16_t port);
struct address wildcard(int family, uint16_t port);
struct address literal(const char *host, uint16_t port); /* numeric host */
struct address local_of(int fd);
struct address peer_of(int fd);
uint16_t port_of(int fd);

int tcp_socket(int family);
int udp_socket(int family);
int tcp_bound(int family);    /* bound to loopback, any port; not listening, so it refuses connections */
int tcp_listener(int family); /* bound to loopback, any port; backlog 16 */
int udp_bound(int family);
int udp_refusing(int family); /* its port is taken, but answers others with "port unreachable" */
int connect_fd(int fd, const struct address *to); /* connect(fd, to), not checked */
int accept_from(int listener);                    /* waits, then accepts; must succeed */

struct pair {
	int client, server;
};
struct pair tcp_pair(int family); /* connected, accepted; the listener is closed */
struct pair udp_pair(int family); /* connected to each other */

/* A listener whose queue is full, and so a place where connect() stalls; .client holds the queue. */
struct pair tcp_stalled(int family);

void set_nonblocking(int fd, bool on);
void set_option(int fd, int level, int option, int value);
void set_receive_timeout(int fd, int ms);

/* --- Waiting -------------------------------------------------------------------------------------- */

/* How long to wait for something that must come. $SPLITSOCK_SCENARIO_WAIT_MS shortens it where it is known not to come. */
int wait_ms(void);
#define WAIT_MS wait_ms()

bool wait_for(int fd, short events);        /* at most WAIT_MS; true if one of the events came */
void wait_queued(int fd, int bytes);        /* until FIONREAD reports as much, or WAIT_MS have passed */
void wait_asleep(pid_t tid);                /* until that thread or process sleeps, and stays so */
void pause_ms(int ms);

/* --- Data ----------------------------------------------------------------------------------------- */

void send_text(int fd, const char *text); /* all of it; must succeed */
size_t send_all(int fd, const void *data, size_t len);
size_t read_all(int fd, void *data, size_t len); /* until len, end of file or an error */
void fill_pattern(void *data, size_t len, unsigned seed);
uint64_t hash_bytes(const void *data, size_t len);
void *must_alloc(size_t len);

/* --- Others to talk to ---------------------------------------------------------------------------- */

pthread_t start_thread(void *(*run)(void *), void *argument);
void *join_thread(pthread_t thread);
/* Forks; the child runs `run` and exits with its result, and dies with its parent. */
pid_t start_child(int (*run)(void *), void *argument);
/* Prints "what exited 0" or "what killed by SIGPIPE". */
void observe_child(const char *what, pid_t child);
/* Starts this program's own helper ("--helper" in main.c) in a child by fork and exec. */
void exec_helper(char *const arguments[]) __attribute__((noreturn));

/* Descriptors, over a Unix socket; must succeed. */
void pass_fd(int over, int fd);
int take_fd(int over);

/* Counts a signal; flags are those of sigaction (SA_RESTART). */
void count_signal(int signal_number, int flags);
int signals_counted(void);
/* Sends SIGUSR1 to the calling thread every 50 ms until stopped; stopping keeps errno. */
void nudge_start(void);
void nudge_stop(void);

#endif
