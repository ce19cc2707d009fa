/* The list of scenarios, and what they prepare, wait for and talk to. */
#include "tests/conformance/scenario.h"

#include <net/if.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

static struct scenario *scenarios;

void
scenario_register(struct scenario *scenario)
{
	struct scenario **at = &scenarios;

	while (*at && strcmp((*at)->name, scenario->name) < 0)
		at = &(*at)->next;
	scenario->next = *at;
	*at = scenario;
}

const struct scenario *
scenario_first(void)
{
	return scenarios;
}

/* --- Preparing ------------------------------------------------------------------------------------ */

int
must(const char *what, long rc)
{
	if (rc < 0) {
		OBSERVE("CANNOT GO ON: %s = %ld %s", what, rc, error_name(errno));
		_exit(2);
	}
	return (int)rc;
}

struct address
literal(const char *host, uint16_t port)
{
	struct address result = {.length = sizeof(struct sockaddr_in)};
	struct sockaddr_in *in = (struct sockaddr_in *)&result.storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&result.storage;

	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		return result;
	}
	result.length = sizeof *in6;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	errno = EINVAL;
	must(host, inet_pton(AF_INET6, host, &in6->sin6_addr) - 1);
	return result;
}

struct address
link_local(const char *interface, uint16_t port)
{
	struct address result = literal(strcmp(interface, LINK_NAME) == 0 ? LINK_ADDRESS : LINK_OTHER_ADDRESS, port);
	unsigned index = if_nametoindex(interface);

	must(interface, index ? 0 : -1);
	((struct sockaddr_in6 *)&result.storage)->sin6_scope_id = index;
	return result;
}

enum loopback_kind loopback_kind;

struct address
loopback(int family, uint16_t port)
{
	if (family == AF_INET)
		return literal("127.0.0.1", port);
	if (loopback_kind == LOOPBACK_LINK_LOCAL)
		return link_local(LINK_NAME, port);
	return literal(loopback_kind == LOOPBACK_MAPPED ? "::ffff:127.0.0.1" : "::1", port);
}

struct address
wildcard(int family, uint16_t port)
{
	return literal(family == AF_INET ? "0.0.0.0" : "::", port);
}

struct address
local_of(int fd)
{
	struct address result = {.length = sizeof result.storage};

	must("getsockname", getsockname(fd, SA(&result), &result.length));
	return result;
}

struct address
peer_of(int fd)
{
	struct address result = {.length = sizeof result.storage};

	must("getpeername", getpeername(fd, SA(&result), &result.length));
	return result;
}

uint16_t
port_of(int fd)
{
	struct address local = local_of(fd);

	/* sin_port and sin6_port have the same place. */
	return ntohs(((struct sockaddr_in *)&local.storage)->sin_port);
}

int
tcp_socket(int family)
{
	return must("socket", socket(family, SOCK_STREAM, 0));
}

int
udp_socket(int family)
{
	return must("socket", socket(family, SOCK_DGRAM, 0));
}

static int
bound(int fd, int family)
{
	struct address at = loopback(family, 0);

	must("bind", bind(fd, SA(&at), at.length));
	return fd;
}

int
tcp_bound(int family)
{
	return bound(tcp_socket(family), family);
}

int
tcp_listener(int family)
{
	int fd = tcp_bound(family);

	must("listen", listen(fd, 16));
	return fd;
}

int
udp_bound(int family)
{
	return bound(udp_socket(family), family);
}

int
udp_refusing(int family)
{
	int fd = udp_bound(family);
	struct address discard = loopback(family, 9);

	/* A connected socket takes datagrams from its peer alone, and nobody else can bind its port. */
	must("connect", connect(fd, SA(&discard), discard.length));
	return fd;
}

int
connect_fd(int fd, const struct address *to)
{
	return connect(fd, SA(to), to->length);
}

int
accept_from(int listener)
{
	wait_for(listener, POLLIN);
	return must("accept", accept(listener, NULL, NULL));
}

struct pair
tcp_pair(int family)
{
	int listener = tcp_listener(family);
	struct address at = local_of(listener);
	struct pair pair = {.client = tcp_socket(family)};

	must("connect", connect_fd(pair.client, &at));
	pair.server = accept_from(listener);
	close(listener);
	return pair;
}

struct pair
udp_pair(int family)
{
	struct pair pair = {.client = udp_bound(family), .server = udp_bound(family)};
	struct address client = local_of(pair.client), server = local_of(pair.server);

	must("connect", connect_fd(pair.client, &server));
	must("connect", connect_fd(pair.server, &client));
	return pair;
}

struct pair
tcp_stalled(int family)
{
	struct pair pair = {.server = tcp_bound(family)};
	struct address at = local_of(pair.server);

	must("listen", listen(pair.server, 0));
	pair.client = tcp_socket(family);
	must("connect", connect_fd(pair.client, &at));
	wait_for(pair.server, POLLIN);
	/* Linux's backlog 0 holds one connection; a system that holds a few more may do so. */
	for (int i = 0; i < 32; i++) {
		int fd = must("socket", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
		struct pollfd item = {.fd = fd, .events = POLLOUT};

		if (connect_fd(fd, &at) < 0 && errno == EINPROGRESS && poll(&item, 1, 200) == 0) {
			close(fd);
			break;
		}
		/* The fd is left open: it is part of what fills the queue. */
	}
	return pair;
}

void
set_nonblocking(int fd, bool on)
{
	int flags = must("F_GETFL", fcntl(fd, F_GETFL));

	must("F_SETFL", fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

void
set_option(int fd, int level, int option, int value)
{
	must("setsockopt", setsockopt(fd, level, option, &value, sizeof value));
}

void
set_receive_timeout(int fd, int ms)
{
	struct timeval timeout = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	must("SO_RCVTIMEO", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
}

/* --- Waiting -------------------------------------------------------------------------------------- */

void
pause_ms(int ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

int
wait_ms(void)
{
	const char *set = getenv("SPLITSOCK_SCENARIO_WAIT_MS");

	return set ? atoi(set) : 3000;
}

bool
wait_for(int fd, short events)
{
	struct pollfd item = {.fd = fd, .events = events};

	return poll(&item, 1, WAIT_MS) == 1;
}

void
wait_queued(int fd, int bytes)
{
	int64_t end = now_ms() + WAIT_MS;
	int queued = 0;

	while (ioctl(fd, FIONREAD, &queued) == 0 && queued < bytes && now_ms() < end)
		pause_ms(2);
}

void
wait_asleep(pid_t tid)
{
	int64_t end = now_ms() + WAIT_MS;

	for (int in_a_row = 0; in_a_row < 5 && now_ms() < end; pause_ms(20)) {
		char path[64], text[256] = "";
		const char *state;
		int fd;
		ssize_t n;

		snprintf(path, sizeof path, "/proc/%d/stat", tid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
		if (fd >= 0)
			close(fd);
		state = n > 0 ? strrchr(text, ')') : NULL;
		in_a_row = state && state[1] == ' ' && state[2] == 'S' ? in_a_row + 1 : 0;
	}
}

/* --- Data ----------------------------------------------------------------------------------------- */

size_t
send_all(int fd, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = send(fd, (const char *)data + done, len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN && wait_for(fd, POLLOUT))
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

void
send_text(int fd, const char *text)
{
	size_t len = strlen(text);

	must("send", send_all(fd, text, len) == len ? 0 : -1);
}

size_t
read_all(int fd, void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (char *)data + done, len - done);

		if (n < 0 && errno == EAGAIN && wait_for(fd, POLLIN))
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

void
fill_pattern(void *data, size_t len, unsigned seed)
{
	unsigned char *bytes = data;
	uint32_t state = seed * 2654435761u + 1;

	for (size_t i = 0; i < len; i++) {
		state = state * 1664525u + 1013904223u;
		bytes[i] = (unsigned char)(state >> 24);
	}
}

uint64_t
hash_bytes(const void *data, size_t len)
{
	const unsigned char *bytes = data;
	uint64_t hash = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * 1099511628211u;
	return hash;
}

void *
must_alloc(size_t len)
{
	void *memory = calloc(1, len);

	must("calloc", memory ? 0 : -1);
	return memory;
}

/* --- Others to talk to ---------------------------------------------------------------------------- */

pthread_t
start_thread(void *(*run)(void *), void *argument)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, run, argument);
	must("pthread_create", errno ? -1 : 0);
	return thread;
}

void *
join_thread(pthread_t thread)
{
	void *result;

	errno = pthread_join(thread, &result);
	must("pthread_join", errno ? -1 : 0);
	return result;
}

pid_t
start_child(int (*run)(void *), void *argument)
{
	pid_t child = must("fork", fork());

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(SCENARIO_SECONDS);
		_exit(run(argument));
	}
	return child;
}

void
observe_child(const char *what, pid_t child)
{
	int status = 0;

	must("waitpid", waitpid(child, &status, 0));
	if (WIFSIGNALED(status))
		OBSERVE("%s killed by SIG%s", what, sigabbrev_np(WTERMSIG(status)));
	else
		OBSERVE("%s exited %d", what, WEXITSTATUS(status));
}

void
exec_helper(char *const arguments[])
{
	execv("/proc/self/exe", arguments);
	must("execv", -1);
	abort();
}

void
pass_fd(int over, int fd)
{
	char byte = 'f', control[CMSG_SPACE(sizeof fd)] = "";
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	must("sendmsg", sendmsg(over, &message, 0));
}

int
take_fd(int over)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	int fd = -1;

	must("recvmsg", recvmsg(over, &message, 0));
	must("SCM_RIGHTS", CMSG_FIRSTHDR(&message) ? 0 : -1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

static atomic_int signal_count;

static void
on_signal(int signal_number)
{
	(void)signal_number;
	atomic_fetch_add(&signal_count, 1);
}

void
count_signal(int signal_number, int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};

	must("sigaction", sigaction(signal_number, &action, NULL));
}

int
signals_counted(void)
{
	return atomic_load(&signal_count);
}

static struct {
	pthread_t thread, target;
	atomic_bool stop;
} nudger;

static void *
nudge(void *unused)
{
	(void)unused;
	while (!atomic_load(&nudger.stop)) {
		pause_ms(50);
		if (!atomic_load(&nudger.stop))
			pthread_kill(nudger.target, SIGUSR1);
	}
	return NULL;
}

void
nudge_start(void)
{
	atomic_store(&nudger.stop, false);
	nudger.target = pthread_self();
	nudger.thread = start_thread(nudge, NULL);
}

void
nudge_stop(void)
{
	int saved = errno;

	atomic_store(&nudger.stop, true);
	join_thread(nudger.thread);
	errno = saved;
}
