#include "tests/fuzz/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* After <time.h>, which it needs. */
#include <linux/errqueue.h>

#include "tests/fuzz/fuzz.h"

#define PACKETS_MAX 8
#define PACKET_MAX 4096
#define ANSWERS_MAX 256

struct file {
	bool open, is_socket, is_stream, is_unix, listening, connecting, connected, hung_up, full, urgent;
	bool read_shut, write_shut; /* by ourselves; a stream's peer's FIN is the former, too */
	int error;  /* pending */
	bool has_queued_error;
	struct {
		uint8_t *data;
		size_t len;
	} packets[PACKETS_MAX]; /* oldest first */
	unsigned packet_count;
	int connections[PACKETS_MAX];
	unsigned connection_count;
	int write_end_of;  /* a pipe's other end */
	size_t piped;      /* bytes in a pipe */
	uint64_t count;    /* of an eventfd */
	uint32_t events, told; /* told: by epoll */
	void *watch;
};

static struct file files[KERNEL_FDS];
static uint8_t answers[ANSWERS_MAX];
static size_t answer_count, answer_at;
static int64_t clock_ms = 1000000;

void
kernel_answers(const uint8_t *next, size_t count)
{
	answer_count = count < ANSWERS_MAX ? count : ANSWERS_MAX;
	answer_at = 0;
	if (answer_count)
		memcpy(answers, next, answer_count);
}

static uint8_t
answer(void)
{
	return answer_at < answer_count ? answers[answer_at++] : 0;
}

/* -1 and an errno, or 0. The answer itself in *how, where it is more than 127. */
static int
fails(uint8_t *how)
{
	static const int table[] = {
		EAGAIN, EINTR, ECONNREFUSED, ECONNRESET, EPIPE, EINPROGRESS, EALREADY, EMFILE, ENFILE, ENOMEM, ENOBUFS, EPERM, EACCES,
		EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL, ENOTCONN, EISCONN, EHOSTUNREACH, ENETUNREACH, EMSGSIZE, ENOPROTOOPT,
		EPROTONOSUPPORT, EOPNOTSUPP, ETIMEDOUT, ENODEV, EBADFD, EDESTADDRREQ, EPROTO, EHOSTDOWN, ENETDOWN,
	};
	uint8_t next = answer();

	*how = next > 127 ? next : 0;
	if (next == 0 || next > 127)
		return 0;
	errno = table[next % (sizeof table / sizeof *table)];
	return -1;
}

/* ---- descriptors --------------------------------------------------------------------------------- */

static bool
is_ours(int fd)
{
	return fd >= KERNEL_FD_FIRST && fd < KERNEL_FD_FIRST + KERNEL_FDS;
}

static struct file *
file_of(int fd)
{
	struct file *file = &files[fd - KERNEL_FD_FIRST];

	FUZZ_CHECK(is_ours(fd) && file->open);
	return file;
}

static int
file_new(bool is_socket, bool is_stream)
{
	for (int i = 0; i < KERNEL_FDS; i++) {
		if (files[i].open)
			continue;
		files[i] = (struct file){.open = true, .is_socket = is_socket, .is_stream = is_stream, .write_end_of = -1};
		return KERNEL_FD_FIRST + i;
	}
	errno = EMFILE;
	return -1;
}

unsigned
kernel_open_count(void)
{
	unsigned count = 0;

	for (int i = 0; i < KERNEL_FDS; i++)
		count += files[i].open;
	return count;
}

int
kernel_socket(unsigned n)
{
	unsigned sockets = 0;

	for (int i = 0; i < KERNEL_FDS; i++)
		sockets += files[i].open && files[i].is_socket;
	if (!sockets)
		return -1;
	n %= sockets;
	for (int i = 0; i < KERNEL_FDS; i++)
		if (files[i].open && files[i].is_socket && n-- == 0)
			return KERNEL_FD_FIRST + i;
	return -1;
}

void
kernel_keep(void)
{
	for (int i = 0; i < KERNEL_FDS; i++)
		files[i].is_socket = false;
}

/* A TCP socket without a peer: nobody sends to it, nor resets it. */
static bool
has_nobody(const struct file *file)
{
	return file->is_stream && !file->is_unix && !file->connected;
}

void
kernel_arrives(int fd, const uint8_t *data, size_t len)
{
	struct file *file = file_of(fd);

	if (has_nobody(file) || file->packet_count == PACKETS_MAX || (file->is_stream && !len))
		return;
	file->told = 0;
	file->packets[file->packet_count].data = malloc(len);
	if (len)
		memcpy(file->packets[file->packet_count].data, data, len);
	file->packets[file->packet_count++].len = len;
}

int
kernel_connects(int fd)
{
	struct file *file = file_of(fd);
	int connection;

	file->connected |= file->connecting;
	file->connecting = false;
	if (!file->listening || file->connection_count == PACKETS_MAX)
		return -1;
	connection = file_new(true, file->is_stream);
	if (connection >= 0) {
		file_of(connection)->is_unix = file->is_unix;
		file_of(connection)->connected = true;
		file->connections[file->connection_count++] = connection;
	}
	return connection;
}

void
kernel_hangs_up(int fd)
{
	struct file *file = file_of(fd);

	if (file->is_unix)
		file->hung_up = true;
	else if (file->is_stream && !has_nobody(file))
		file->read_shut = true;
}

void
kernel_fills(int fd, bool full)
{
	file_of(fd)->full = full;
}

void
kernel_fails(int fd, int error)
{
	struct file *file = file_of(fd);

	if (has_nobody(file) && !file->connecting)
		return;
	file->error = error;
	file->connecting = false;
	if (file->is_unix || file->is_stream)
		file->hung_up = file->read_shut = file->write_shut = true;
	else
		file->has_queued_error = true;
}

/* As unix_poll(), tcp_poll() and datagram_poll() have it. */
static uint32_t
readiness(const struct file *file)
{
	uint32_t ready = 0;

	if (file->connecting)
		return 0;
	if (file->listening)
		return file->connection_count ? EPOLLIN : 0;
	if (file->packet_count || file->connection_count || file->count || file->hung_up || file->read_shut)
		ready |= EPOLLIN;
	if (file->hung_up || file->read_shut)
		ready |= EPOLLRDHUP;
	if (file->hung_up || (file->read_shut && file->write_shut))
		ready |= EPOLLHUP;
	if (!file->full && !file->listening && (file->is_socket || file->write_end_of >= 0))
		ready |= EPOLLOUT;
	if (file->error || file->has_queued_error)
		ready |= EPOLLERR;
	if (file->urgent)
		ready |= EPOLLPRI;
	return ready;
}

int
kernel_ready(struct epoll_event *events, int max, unsigned skip)
{
	int count = 0;

	for (unsigned i = 0; i < KERNEL_FDS && count < max; i++) {
		struct file *file = &files[(i + skip) % KERNEL_FDS];
		uint32_t ready = readiness(file) & (file->events | EPOLLERR | EPOLLHUP), told = file->told;

		if (!file->open || !file->watch)
			continue;
		file->told = ready;
		if (file->events & EPOLLET)
			ready &= ~told; /* edges are changes, and news of a kind that was told already */
		if (ready)
			events[count++] = (struct epoll_event){.events = ready, .data.ptr = file->watch};
	}
	return count;
}

void
kernel_sleep(int64_t ms)
{
	clock_ms += ms;
}

/* No descriptor at all is none to use after its end: the kernel says EBADF, as to anybody. */
static bool
is_none(int fd)
{
	errno = EBADF;
	return fd == -1;
}

/* ---- calls --------------------------------------------------------------------------------------- */

/* Declares the real call and the one that takes its place. */
#define CALL(type, name, ...) \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

CALL(int, clock_gettime, clockid_t id, struct timespec *now)
{
	(void)id;
	*now = (struct timespec){.tv_sec = clock_ms / 1000, .tv_nsec = clock_ms % 1000 * 1000000};
	return 0;
}

CALL(int, close, int fd)
{
	struct file *file;

	if (!is_ours(fd))
		return __real_close(fd);
	file = file_of(fd);
	file->open = false;
	for (unsigned i = 0; i < file->packet_count; i++)
		free(file->packets[i].data);
	for (unsigned i = 0; i < file->connection_count; i++)
		__wrap_close(file->connections[i]);
	return 0;
}

CALL(int, socket, int family, int type, int protocol)
{
	uint8_t how;

	int fd = fails(&how) < 0 ? -1 : file_new(true, (type & 15) == SOCK_STREAM);

	(void)protocol;
	if (fd >= 0)
		file_of(fd)->is_unix = family == AF_UNIX;
	return fd;
}

#pragma GCC diagnostic ignored "-Wunused-parameter"
/* Success, or an errno. */
#define PLAIN(name, ...) \
	CALL(int, name, int fd, __VA_ARGS__) \
	{ \
		uint8_t how; \
\
		if (is_none(fd)) \
			return -1; \
		file_of(fd); \
		return fails(&how); \
	}
PLAIN(bind, const struct sockaddr *address, socklen_t len)
PLAIN(setsockopt, int level, int name, const void *value, socklen_t len)

/* As tcp_disconnect() leaves it. */
static void
disconnect(struct file *file)
{
	while (file->connection_count)
		__wrap_close(file->connections[--file->connection_count]);
	file->listening = file->connecting = file->connected = file->read_shut = file->write_shut = file->hung_up = false;
	file->error = 0;
}

CALL(int, connect, int fd, const struct sockaddr *address, socklen_t len)
{
	uint8_t how;

	if (is_none(fd))
		return -1;
	if (fails(&how) == 0) {
		if (address->sa_family == AF_UNSPEC) {
			disconnect(file_of(fd));
			return 0;
		}
		errno = EISCONN;
		if (file_of(fd)->is_stream && (file_of(fd)->listening || file_of(fd)->connected || file_of(fd)->connecting))
			return -1;
		file_of(fd)->connected = true;
		return 0;
	}
	if (errno == EINPROGRESS && file_of(fd)->is_stream && !file_of(fd)->connected && !file_of(fd)->listening)
		file_of(fd)->connecting = true;
	return -1;
}

CALL(int, shutdown, int fd, int direction)
{
	uint8_t how;

	if (is_none(fd))
		return -1;
	/* As inet_shutdown() does: of a listener, reading is all; what has no peer is shut down, too, and ENOTCONN said. */
	if (file_of(fd)->listening && direction == SHUT_WR)
		return 0;
	if (file_of(fd)->listening) {
		disconnect(file_of(fd));
		return 0;
	}
	file_of(fd)->read_shut |= direction != SHUT_WR;
	file_of(fd)->write_shut |= direction != SHUT_RD;
	return fails(&how);
}

CALL(int, listen, int fd, int backlog)
{
	uint8_t how;

	if (is_none(fd))
		return -1;
	if (fails(&how) < 0)
		return -1;
	errno = EINVAL;
	if (file_of(fd)->connected || file_of(fd)->connecting)
		return -1;
	file_of(fd)->listening = true;
	return 0;
}

CALL(int, chmod, const char *path, mode_t mode)
{
	(void)path;
	(void)mode;
	return 0;
}

CALL(int, accept4, int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	struct file *file;
	uint8_t how;
	int connection;

	if (is_none(fd))
		return -1;
	file = file_of(fd);
	(void)flags;
	if (address && len && *len >= sizeof(struct sockaddr_in)) {
		*(struct sockaddr_in *)(void *)address = (struct sockaddr_in){.sin_family = AF_INET};
		*len = sizeof(struct sockaddr_in);
	}
	if (fails(&how) < 0)
		return -1;
	if (!file->connection_count) {
		errno = EAGAIN;
		return -1;
	}
	connection = file->connections[0];
	memmove(file->connections, file->connections + 1, --file->connection_count * sizeof *file->connections);
	return connection;
}

static int
name_of(int fd, struct sockaddr *address, socklen_t *len)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
	uint8_t how;
	socklen_t size;

	if (is_none(fd))
		return -1;
	file_of(fd);
	if (fails(&how) < 0)
		return -1;
	size = how ? sizeof in6 : sizeof in;
	memcpy(address, how ? (void *)&in6 : (void *)&in, *len < size ? *len : size);
	*len = size;
	return 0;
}

CALL(int, getsockname, int fd, struct sockaddr *address, socklen_t *len)
{
	return name_of(fd, address, len);
}

CALL(int, getpeername, int fd, struct sockaddr *address, socklen_t *len)
{
	return name_of(fd, address, len);
}

CALL(int, getsockopt, int fd, int level, int name, void *value, socklen_t *len)
{
	struct file *file;
	uint8_t how;

	if (is_none(fd))
		return -1;
	file = file_of(fd);
	if (level == SOL_SOCKET && name == SO_ERROR && *len >= sizeof(int)) {
		memcpy(value, &file->error, sizeof(int));
		*len = sizeof(int);
		file->error = 0;
		return 0;
	}
	if (level == SOL_SOCKET && name == SO_PEERCRED && *len >= sizeof(struct ucred)) {
		memcpy(value, &(struct ucred){.uid = geteuid()}, sizeof(struct ucred));
		return 0;
	}
	if (fails(&how) < 0)
		return -1;
	memset(value, how, *len);
	if (how & 1 && *len)
		*len = how % *len;
	return 0;
}

CALL(int, ioctl, int fd, unsigned long request, ...)
{
	struct file *file;
	va_list args;
	void *argument;
	size_t queued;
	uint8_t how;

	if (is_none(fd))
		return -1;
	file = file_of(fd);
	queued = file->piped;
	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	for (unsigned i = 0; i < file->packet_count; i++)
		queued += file->packets[i].len;
	if (request == SIOCINQ) {
		*(int *)argument = (int)queued;
		return 0;
	}
	if (fails(&how) < 0)
		return -1;
	if (request == SIOCOUTQ || request == SIOCATMARK)
		*(int *)argument = how;
	return 0;
}

CALL(int, fcntl, int fd, int command, ...)
{
	va_list args;
	long argument;

	va_start(args, command);
	argument = va_arg(args, long);
	va_end(args);
	if (!is_ours(fd))
		return __real_fcntl(fd, command, argument);
	file_of(fd);
	return 0;
}

CALL(int, memfd_create, const char *name, unsigned flags)
{
	uint8_t how;

	(void)name;
	(void)flags;
	return fails(&how) < 0 ? -1 : file_new(false, false);
}

CALL(int, pipe2, int fds[2], int flags)
{
	uint8_t how;

	(void)flags;
	if (fails(&how) < 0)
		return -1;
	fds[0] = file_new(false, true);
	fds[1] = fds[0] < 0 ? -1 : file_new(false, true);
	if (fds[1] < 0) {
		if (fds[0] >= 0)
			__wrap_close(fds[0]);
		return -1;
	}
	file_of(fds[1])->write_end_of = fds[0];
	return 0;
}

CALL(int, eventfd, unsigned count, int flags)
{
	int fd = file_new(false, false);

	(void)flags;
	if (fd >= 0)
		file_of(fd)->count = count;
	return fd;
}

CALL(int, eventfd_write, int fd, eventfd_t count)
{
	if (is_none(fd))
		return -1;
	file_of(fd)->count += count;
	return 0;
}

CALL(ssize_t, read, int fd, void *data, size_t len)
{
	if (is_none(fd))
		return -1;
	if (!is_ours(fd))
		return __real_read(fd, data, len);
	FUZZ_CHECK(len == sizeof(uint64_t)); /* eventfds alone are read */
	memcpy(data, &file_of(fd)->count, sizeof(uint64_t));
	file_of(fd)->count = 0;
	return sizeof(uint64_t);
}

CALL(ssize_t, write, int fd, const void *data, size_t len)
{
	uint8_t how;

	if (is_none(fd))
		return -1;
	if (!is_ours(fd))
		return __real_write(fd, data, len);
	file_of(fd);
	return fails(&how) < 0 ? -1 : (ssize_t)(how ? len / 2 : len);
}

CALL(int, epoll_create1, int flags)
{
	(void)flags;
	return file_new(false, false);
}

CALL(int, epoll_ctl, int epoll, int op, int fd, struct epoll_event *event)
{
	struct file *file = file_of(fd);
	uint8_t how;

	file_of(epoll);
	if (op != EPOLL_CTL_DEL && fails(&how) < 0)
		return -1;
	if (op == EPOLL_CTL_ADD)
		FUZZ_CHECK(!file->watch);
	else
		FUZZ_CHECK(file->watch);
	file->events = op == EPOLL_CTL_DEL ? 0 : event->events;
	file->told = 0;
	file->watch = op == EPOLL_CTL_DEL ? NULL : event->data.ptr;
	return 0;
}

CALL(int, epoll_wait, int epoll, struct epoll_event *events, int max, int timeout)
{
	file_of(epoll);
	(void)timeout;
	return kernel_wait(events, max);
}

CALL(int, poll, struct pollfd *fds, nfds_t count, int timeout)
{
	int ready = 0;

	(void)timeout;
	for (nfds_t i = 0; i < count; i++) {
		fds[i].revents = 0;
		if (fds[i].fd < 0)
			continue;
		fds[i].revents = (short)(readiness(file_of(fds[i].fd)) & ((uint32_t)fds[i].events | POLLERR | POLLHUP));
		ready += fds[i].revents != 0;
	}
	return ready;
}

/* ---- data ---------------------------------------------------------------------------------------- */

static void
drop_packet(struct file *file)
{
	free(file->packets[0].data);
	memmove(file->packets, file->packets + 1, --file->packet_count * sizeof *file->packets);
}

/* What a read of one packet, or of a stream's oldest bytes, gives. */
static ssize_t
receive(struct file *file, void *data, size_t len, int flags)
{
	size_t whole, part;
	uint8_t how;

	if (fails(&how) < 0)
		return -1;
	if (flags & MSG_OOB) {
		errno = EINVAL;
		if (!file->urgent)
			return -1;
		file->urgent = false;
		*(uint8_t *)data = how;
		return 1;
	}
	if (!file->packet_count && file->error) {
		errno = file->error;
		file->error = 0;
		return -1;
	}
	if (!file->packet_count) {
		errno = EAGAIN;
		return file->hung_up || (file->read_shut && file->is_stream) ? 0 : -1;
	}
	whole = file->packets[0].len;
	part = whole < len ? whole : len;
	if (file->is_stream && how && part > 1)
		part = 1 + how % (part - 1);
	if (part)
		memcpy(data, file->packets[0].data, part);
	if (flags & MSG_PEEK)
		return (ssize_t)(flags & MSG_TRUNC && !file->is_stream ? whole : part);
	if (file->is_stream && part < whole) {
		memmove(file->packets[0].data, file->packets[0].data + part, whole - part);
		file->packets[0].len -= part;
		return (ssize_t)part;
	}
	drop_packet(file);
	return (ssize_t)(flags & MSG_TRUNC && !file->is_stream ? whole : part);
}

CALL(ssize_t, recv, int fd, void *data, size_t len, int flags)
{
	if (is_none(fd))
		return -1;
	return receive(file_of(fd), data, len, flags);
}

/* The control messages that the host's kernel adds: a TTL, or an ICMP error. */
static void
add_control(struct msghdr *message, bool error)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in))];
	} control = {.header = {.cmsg_level = IPPROTO_IP, .cmsg_type = error ? IP_RECVERR : IP_TTL}};
	size_t len = error ? sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in) : sizeof(int);

	control.header.cmsg_len = CMSG_LEN(len);
	if (error)
		memcpy(CMSG_DATA(&control.header), &(struct sock_extended_err){.ee_errno = ECONNREFUSED, .ee_origin = SO_EE_ORIGIN_ICMP},
		       sizeof(struct sock_extended_err));
	if (message->msg_controllen < CMSG_SPACE(len)) {
		message->msg_controllen = 0;
		message->msg_flags |= MSG_CTRUNC;
		return;
	}
	memcpy(message->msg_control, &control, CMSG_SPACE(len));
	message->msg_controllen = CMSG_SPACE(len);
}

static ssize_t
receive_message(struct file *file, struct msghdr *message, int flags)
{
	bool error = flags & MSG_ERRQUEUE, was_packet = file->packet_count;
	ssize_t n;

	if (error && !file->has_queued_error) {
		errno = EAGAIN;
		return -1;
	}
	if (error)
		file->has_queued_error = false;
	n = error ? 1 : receive(file, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len, flags | MSG_TRUNC);
	if (n < 0)
		return n;
	message->msg_flags = (size_t)n > message->msg_iov[0].iov_len ? MSG_TRUNC : 0;
	if (error)
		*(char *)message->msg_iov[0].iov_base = 'x';
	if ((size_t)n > message->msg_iov[0].iov_len && !(flags & MSG_TRUNC))
		n = (ssize_t)message->msg_iov[0].iov_len;
	if (message->msg_name && message->msg_namelen >= sizeof(struct sockaddr_in)) {
		*(struct sockaddr_in *)message->msg_name = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)n)};
		message->msg_namelen = sizeof(struct sockaddr_in);
	}
	/* A packet of a link has its sender's credentials, and only a packet. */
	if (message->msg_control && (error || (file->is_unix ? was_packet : answer() & 1)))
		add_control(message, error);
	else
		message->msg_controllen = 0;
	return n;
}

CALL(ssize_t, recvmsg, int fd, struct msghdr *message, int flags)
{
	if (is_none(fd))
		return -1;
	return receive_message(file_of(fd), message, flags);
}

CALL(int, recvmmsg, int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
	int received = 0;

	if (is_none(fd))
		return -1;
	(void)timeout;
	for (; (unsigned)received < count; received++) {
		ssize_t n = receive_message(file_of(fd), &messages[received].msg_hdr, flags);

		if (n < 0)
			return received ? received : -1;
		messages[received].msg_len = (unsigned)n;
		/* The end of a link is an empty packet again and again. */
		if (n == 0 && file_of(fd)->hung_up && !file_of(fd)->packet_count)
			return received + 1;
	}
	return received;
}

static ssize_t
accept_bytes(struct file *file, size_t len)
{
	uint8_t how;

	if (fails(&how) < 0)
		return -1;
	if (file->write_shut || file->hung_up) {
		errno = EPIPE;
		return -1;
	}
	if (file->full) {
		errno = EAGAIN;
		return -1;
	}
	return (ssize_t)(file->is_stream && how && len > 1 ? 1 + how % (len - 1) : len);
}

/* A sanitizer's look at what is sent. */
volatile uint8_t kernel_looked_at;

static size_t
look_at(const struct msghdr *message)
{
	size_t len = 0;

	for (size_t i = 0; i < message->msg_iovlen; i++) {
		for (size_t j = 0; j < message->msg_iov[i].iov_len; j++)
			kernel_looked_at = ((const uint8_t *)message->msg_iov[i].iov_base)[j];
		len += message->msg_iov[i].iov_len;
	}
	for (size_t j = 0; j < message->msg_controllen; j++)
		kernel_looked_at = ((const uint8_t *)message->msg_control)[j];
	for (size_t j = 0; message->msg_name && j < message->msg_namelen; j++)
		kernel_looked_at = ((const uint8_t *)message->msg_name)[j];
	return len;
}

CALL(ssize_t, send, int fd, const void *data, size_t len, int flags)
{
	struct iovec iov = {(void *)data, len};

	if (is_none(fd))
		return -1;
	(void)flags;
	look_at(&(struct msghdr){.msg_iov = &iov, .msg_iovlen = 1});
	return accept_bytes(file_of(fd), len);
}

CALL(ssize_t, sendmsg, int fd, const struct msghdr *message, int flags)
{
	if (is_none(fd))
		return -1;
	(void)flags;
	return accept_bytes(file_of(fd), look_at(message));
}

CALL(int, sendmmsg, int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	int sent = 0;

	if (is_none(fd))
		return -1;
	(void)flags;
	for (; (unsigned)sent < count; sent++) {
		ssize_t n = accept_bytes(file_of(fd), look_at(&messages[sent].msg_hdr));

		if (n < 0)
			return sent ? sent : -1;
		messages[sent].msg_len = (unsigned)n;
	}
	return sent;
}

CALL(ssize_t, splice, int from, off64_t *from_off, int to, off64_t *to_off, size_t len, unsigned flags)
{
	struct file *in, *out;
	ssize_t n;

	if (is_none(from) || is_none(to))
		return -1;
	in = file_of(from);
	out = file_of(to);
	(void)from_off;
	(void)to_off;
	(void)flags;
	if (out->write_end_of >= 0) { /* into a pipe */
		static uint8_t bytes[PACKET_MAX];

		n = receive(in, bytes, len < sizeof bytes ? len : sizeof bytes, 0);
		if (n > 0)
			file_of(out->write_end_of)->piped += (size_t)n;
		return n;
	}
	n = accept_bytes(out, len < in->piped ? len : in->piped);
	if (n > 0)
		in->piped -= (size_t)n;
	return n;
}
