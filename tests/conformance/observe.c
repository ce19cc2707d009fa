/* How observations are printed. */
#include "tests/conformance/scenario.h"

#include <stdarg.h>
#include <stdio.h>

/* --- Names ---------------------------------------------------------------------------------------- */

struct bit_name {
	unsigned bit;
	const char *name;
};

static const struct bit_name poll_bits[] = {
	{POLLIN, "IN"},
	{POLLPRI, "PRI"},
	{POLLOUT, "OUT"},
	{POLLRDHUP, "RDHUP"},
	{POLLERR, "ERR"},
	{POLLHUP, "HUP"},
	{POLLNVAL, "NVAL"},
	{POLLRDNORM, "RDNORM"},
	{POLLRDBAND, "RDBAND"},
	{POLLWRNORM, "WRNORM"},
	{POLLWRBAND, "WRBAND"},
	{0, NULL},
};

static const struct bit_name msg_bits[] = {
	{MSG_OOB, "OOB"},
	{MSG_TRUNC, "TRUNC"},
	{MSG_CTRUNC, "CTRUNC"},
	{MSG_EOR, "EOR"},
	{MSG_ERRQUEUE, "ERRQUEUE"},
	{MSG_CMSG_CLOEXEC, "CMSG_CLOEXEC"},
	{0, NULL},
};

/* Valid until the fourth call after this one. */
static const char *
bit_names(const struct bit_name *names, unsigned bits)
{
	static _Thread_local char ring[4][160];
	static _Thread_local unsigned turn;
	char *text = ring[turn++ % 4];
	size_t used = 0;

	text[0] = '\0';
	for (; names->name; names++) {
		if (!(bits & names->bit))
			continue;
		used += (size_t)snprintf(text + used, sizeof ring[0] - used, "%s%s", used ? "|" : "", names->name);
		bits &= ~names->bit;
	}
	if (bits)
		snprintf(text + used, sizeof ring[0] - used, "%s%#x", used ? "|" : "", bits);
	else if (!used)
		strcpy(text, "none");
	return text;
}

const char *
msg_flags_name(int flags)
{
	return bit_names(msg_bits, (unsigned)flags);
}

const char *
error_name(int error)
{
	const char *name = strerrorname_np(error);

	return error ? name ? name : "E?" : "0";
}

static const char *
tcp_state_name(int state)
{
	static const char *const names[] = {
		"NONE",       "ESTABLISHED", "SYN_SENT",  "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2",
		"TIME_WAIT",  "CLOSE",       "CLOSE_WAIT", "LAST_ACK", "LISTEN",    "CLOSING",
	};

	return state >= 0 && state < (int)(sizeof names / sizeof *names) ? names[state] : "?";
}

/* P1, P2, … in order of first appearance in this process; a forked child goes on from its parent's names. */
static int
port_index(uint16_t port)
{
	static uint16_t seen[64];
	static int count;

	for (int i = 0; i < count; i++)
		if (seen[i] == port)
			return i + 1;
	if (count == (int)(sizeof seen / sizeof *seen))
		return 0;
	seen[count++] = port;
	return count;
}

static void
format_port(char *text, size_t size, uint16_t port)
{
	if (port)
		snprintf(text, size, "P%d", port_index(port));
	else
		snprintf(text, size, "0");
}

/* --- Observing ------------------------------------------------------------------------------------ */

void
observe(const char *format, ...)
{
	char line[1024];
	int saved = errno;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(line, sizeof line - 1, format, arguments);
	va_end(arguments);
	if (n > (int)sizeof line - 2)
		n = (int)sizeof line - 2;
	line[n++] = '\n';
	/* One write for one line: children and threads share this descriptor. */
	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		_exit(4);
	errno = saved;
}

long
observe_call(const char *what, long rc)
{
	if (rc < 0)
		OBSERVE("%s = %ld %s", what, rc, error_name(errno));
	else
		OBSERVE("%s = %ld", what, rc);
	return rc;
}

int
observe_fd(const char *what, int fd)
{
	if (fd < 0)
		observe_call(what, fd);
	else
		OBSERVE("%s = fd", what);
	return fd;
}

void
observe_errno(const char *what, int error)
{
	OBSERVE("%s = %s", what, error_name(error));
}

void
observe_bytes(const char *what, const void *data, ssize_t n)
{
	const unsigned char *bytes = data;
	char text[200];
	size_t used = 0;

	if (n < 0) {
		observe_call(what, n);
		return;
	}
	if (n > 40) {
		OBSERVE("%s = %zd #%016llx", what, n, (unsigned long long)hash_bytes(data, (size_t)n));
		return;
	}
	text[0] = '\0';
	for (ssize_t i = 0; i < n; i++) {
		bool plain = bytes[i] >= ' ' && bytes[i] < 127 && bytes[i] != '"';

		used += (size_t)snprintf(text + used, sizeof text - used, plain ? "%c" : "\\x%02x", bytes[i]);
	}
	OBSERVE("%s = %zd \"%s\"", what, n, text);
}

void
observe_address(const char *what, const void *address, socklen_t length)
{
	const struct sockaddr *sa = address;
	char host[INET6_ADDRSTRLEN], port[16];

	if (length < sizeof sa->sa_family) {
		OBSERVE("%s: address of length %u", what, length);
	} else if (sa->sa_family == AF_INET && length >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = address;
		const char zero[sizeof in->sin_zero] = {0};

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
		format_port(port, sizeof port, ntohs(in->sin_port));
		OBSERVE("%s: %s:%s length %u%s", what, host, port, length,
		        memcmp(in->sin_zero, zero, sizeof zero) ? " sin_zero not zero" : "");
	} else if (sa->sa_family == AF_INET6 && length >= sizeof(struct sockaddr_in6)) {
		const struct sockaddr_in6 *in6 = address;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
		format_port(port, sizeof port, ntohs(in6->sin6_port));
		OBSERVE("%s: [%s]:%s length %u scope %u flow %#x", what, host, port, length, in6->sin6_scope_id,
		        ntohl(in6->sin6_flowinfo));
	} else if (sa->sa_family == AF_UNIX) {
		OBSERVE("%s: AF_UNIX length %u", what, length);
	} else {
		OBSERVE("%s: family %d length %u", what, sa->sa_family, length);
	}
}

static void
observe_name(const char *what, const char *call, int rc, const struct sockaddr_storage *storage, socklen_t length)
{
	if (rc < 0)
		OBSERVE("%s: %s = -1 %s", what, call, error_name(errno));
	else
		observe_address(what, storage, length);
}

void
observe_local(const char *what, int fd)
{
	struct sockaddr_storage storage = {0};
	socklen_t length = sizeof storage;
	int rc = getsockname(fd, (struct sockaddr *)&storage, &length);

	observe_name(what, "getsockname", rc, &storage, length);
}

void
observe_peer(const char *what, int fd)
{
	struct sockaddr_storage storage = {0};
	socklen_t length = sizeof storage;
	int rc = getpeername(fd, (struct sockaddr *)&storage, &length);

	observe_name(what, "getpeername", rc, &storage, length);
}

void
observe_poll(const char *what, int fd, short events, short want)
{
	int64_t end = now_ms() + WAIT_MS;
	struct pollfd item = {.fd = fd, .events = events};

	for (;;) {
		if (poll(&item, 1, 0) < 0)
			must("poll", -1);
		if ((item.revents & want) == want || now_ms() >= end)
			break;
		pause_ms(2);
	}
	OBSERVE("%s: poll %s", what, bit_names(poll_bits, (unsigned short)item.revents));
}

void
observe_quiet(const char *what, int fd, short events)
{
	struct pollfd item = {.fd = fd, .events = events};

	must("poll", poll(&item, 1, QUIET_MS));
	OBSERVE("%s: poll %s", what, bit_names(poll_bits, (unsigned short)item.revents));
}

void
observe_epoll(const char *what, int epoll, uint32_t want)
{
	int64_t end = now_ms() + WAIT_MS;
	uint32_t seen = 0;

	do {
		struct epoll_event event;

		if (must("epoll_wait", epoll_wait(epoll, &event, 1, 20)) == 1)
			seen |= event.events;
	} while ((seen & want) != want && now_ms() < end);
	OBSERVE("%s: epoll %s", what, bit_names(poll_bits, seen));
}

void
observe_epoll_quiet(const char *what, int epoll)
{
	struct epoll_event event = {0};

	must("epoll_wait", epoll_wait(epoll, &event, 1, QUIET_MS));
	OBSERVE("%s: epoll %s", what, bit_names(poll_bits, event.events));
}

void
observe_so_error(const char *what, int fd)
{
	int error = -1;
	socklen_t length = sizeof error;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
		observe_call(what, -1);
	else
		OBSERVE("%s: SO_ERROR %s", what, error_name(error));
}

void
observe_option(const char *what, int fd, int level, int option)
{
	int value = -12345;
	socklen_t length = sizeof value;

	if (getsockopt(fd, level, option, &value, &length) < 0)
		OBSERVE("get %s = -1 %s", what, error_name(errno));
	else
		OBSERVE("get %s = %d length %u", what, value, length);
}

void
observe_set_option(const char *what, int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof value) < 0)
		OBSERVE("set %s %d = -1 %s", what, value, error_name(errno));
	else
		OBSERVE("set %s %d = 0", what, value);
	observe_option(what, fd, level, option);
}

ssize_t
observe_recv(const char *what, int fd, size_t size, int flags)
{
	static _Thread_local char buffer[65536];
	ssize_t n = recv(fd, buffer, size < sizeof buffer ? size : sizeof buffer, flags);

	/* With MSG_TRUNC the result may exceed what was written. */
	if (n > (ssize_t)size)
		OBSERVE("%s = %zd of which %zu were asked for", what, n, size);
	else
		observe_bytes(what, buffer, n);
	return n;
}

ssize_t
observe_recvfrom(const char *what, int fd, size_t size, int flags)
{
	static _Thread_local char buffer[65536];
	struct sockaddr_storage from = {0};
	socklen_t length = sizeof from;
	ssize_t n = recvfrom(fd, buffer, size < sizeof buffer ? size : sizeof buffer, flags, (struct sockaddr *)&from,
	                     &length);

	if (n > (ssize_t)size)
		OBSERVE("%s = %zd of which %zu were asked for", what, n, size);
	else
		observe_bytes(what, buffer, n);
	if (n >= 0)
		observe_address(what, &from, length);
	return n;
}

void
observe_tcp_state(const char *what, int fd, int want)
{
	int64_t end = now_ms() + WAIT_MS;
	struct tcp_info info;
	socklen_t length;

	for (;;) {
		memset(&info, 0, sizeof info);
		length = sizeof info;
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) {
			OBSERVE("%s: TCP_INFO = -1 %s", what, error_name(errno));
			return;
		}
		if (info.tcpi_state == want || now_ms() >= end)
			break;
		pause_ms(2);
	}
	OBSERVE("%s: TCP_INFO state %s", what, tcp_state_name(info.tcpi_state));
}

void
observe_fd_flags(const char *what, int fd)
{
	int status = fcntl(fd, F_GETFL), descriptor = fcntl(fd, F_GETFD);

	if (status < 0 || descriptor < 0)
		OBSERVE("%s: fcntl = -1 %s", what, error_name(errno));
	else
		OBSERVE("%s: O_NONBLOCK=%d FD_CLOEXEC=%d access %s", what, !!(status & O_NONBLOCK),
		        !!(descriptor & FD_CLOEXEC), (status & O_ACCMODE) == O_RDWR ? "O_RDWR" : "other");
}
