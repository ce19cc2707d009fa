/*
 * Datagrams, one packet of the SOCK_SEQPACKET link each, BATCH of them a system call.
 *
 * A socket with a connected peer and no options that ask for control messages needs no more. On any other, a datagram towards the
 * program carries its source: a sealed memfd with a struct link_source, passed by SCM_RIGHTS, which recvfrom() on the sentry side
 * looks at and a plain read() drops. The memfds are cached by content, because making one costs more than sending a datagram.
 *
 * Netlink sockets are datagram sockets whose requests are checked one by one (policy_allows_netlink).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gofer/permission.h"
#include "gofer/resolver.h"

#define BATCH 4
#define DATAGRAM_MAX 65536u
static_assert(BATCH * DATAGRAM_MAX <= SCRATCH_SIZE, "one batch fits the shared buffer");

/* A netlink dump is made as large as its reader's buffer has been; programs read with at least this much. */
#define NETLINK_READ 4096u

#define SOURCES_MAX 16

/* Batches of one direction before others get their turn. */
#define ROUNDS_MAX 16

struct source {
	struct source *next; /* sock.sources */
	int fd;
	size_t len;
	uint8_t content[]; /* of the memfd: the used part of a struct link_source */
};

static void
source_free(struct source *source)
{
	close(source->fd);
	free(source);
}

void
relay_datagram_free(struct sock *sock)
{
	while (sock->sources) {
		struct source *source = sock->sources;

		sock->sources = source->next;
		source_free(source);
	}
	sock->source_count = 0;
}

static size_t
source_len(const struct link_source *content)
{
	return offsetof(struct link_source, control) + content->control_len;
}

/* A memfd with this content that nobody can change, or -1. */
static int
source_memfd(const struct link_source *content)
{
	ssize_t len = (ssize_t)source_len(content);
	int fd = memfd_create("splitsock-source", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && (write(fd, content, (size_t)len) != len ||
	                fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* The memfd that names this source, or -1. */
static int
source_fd(struct sock *sock, const struct link_source *content)
{
	size_t len = source_len(content);
	struct source *source, **at, **last = NULL;

	for (at = &sock->sources; (source = *at); at = &source->next) {
		if (source->len == len && memcmp(source->content, content, len) == 0) {
			*at = source->next;
			source->next = sock->sources;
			sock->sources = source;
			return source->fd;
		}
		last = at;
	}
	if (sock->source_count == SOURCES_MAX) {
		source_free(*last);
		*last = NULL;
		sock->source_count--;
	}
	source = calloc(1, sizeof *source + len);
	if (!source)
		return -1;
	source->len = len;
	memcpy(source->content, content, len);
	source->fd = source_memfd(content);
	if (source->fd < 0) {
		free(source);
		return -1;
	}
	source->next = sock->sources;
	sock->sources = source;
	sock->source_count++;
	return source->fd;
}

union passed_fd {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

static void
pass_fd(union passed_fd *control, struct msghdr *message, int fd)
{
	control->header = (struct cmsghdr){
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control->header), &fd, sizeof fd);
	message->msg_control = control;
	message->msg_controllen = sizeof *control;
}

void
relay_datagram_note_error(struct sock *sock, int error)
{
	struct link_source content = {.error = error};
	union passed_fd control;
	struct msghdr message = {0};
	bool noted = sock->error != 0;
	int fd;

	sock->error = error;
	if (noted || sock->link.fd < 0)
		return;
	sock->error_number = sock->error_number % UINT32_MAX + 1;
	content.error_number = sock->error_number;
	fd = source_memfd(&content);
	if (fd < 0)
		return;
	pass_fd(&control, &message, fd);
	sendmsg(sock->link.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

/*
 * The host's socket has failed to send or receive. An error that a datagram of earlier brought back (ICMP) the program is to notice.
 * One of the datagram at hand is lost with it: a plain send has no way to hear of it.
 */
static void
note_failure(struct sock *sock, int error)
{
	if (error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN || error == ENOPROTOOPT ||
	    error == EPROTO)
		relay_datagram_note_error(sock, error);
}

struct batch {
	struct mmsghdr messages[BATCH];
	struct iovec iovs[BATCH];
	struct sockaddr_storage names[BATCH];
	union {
		union passed_fd fd;
		char credentials[CMSG_SPACE(sizeof(struct ucred))];
		char received[LINK_CONTROL_MAX];
	} controls[BATCH];
};

static void
batch_prepare(struct batch *batch, uint8_t *scratch, size_t control_room)
{
	memset(batch->messages, 0, sizeof batch->messages);
	for (int i = 0; i < BATCH; i++) {
		batch->iovs[i] = (struct iovec){scratch + (size_t)i * DATAGRAM_MAX, DATAGRAM_MAX};
		batch->messages[i].msg_hdr = (struct msghdr){
			.msg_iov = &batch->iovs[i],
			.msg_iovlen = 1,
			.msg_control = &batch->controls[i],
			.msg_controllen = control_room,
		};
	}
}

static void
batch_ask_names(struct batch *batch)
{
	for (int i = 0; i < BATCH; i++) {
		batch->messages[i].msg_hdr.msg_name = &batch->names[i];
		batch->messages[i].msg_hdr.msg_namelen = sizeof batch->names[i];
	}
}

/* ---- towards the host --------------------------------------------------------------------------- */

static void
refuse_netlink(struct sock *sock, const void *request, size_t len)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = {
		.header = {.nlmsg_len = sizeof answer, .nlmsg_type = NLMSG_ERROR},
		.error = {.error = -EPERM},
	};

	if (len >= sizeof answer.error.msg) {
		memcpy(&answer.error.msg, request, sizeof answer.error.msg);
		answer.header.nlmsg_seq = answer.error.msg.nlmsg_seq;
	}
	send(sock->link.fd, &answer, sizeof answer, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
netlink_up(struct sock *sock, const void *request, size_t len)
{
	if (!policy_allows_netlink(request, len)) {
		count_session(sock->session, COUNTER_POLICY_DENIALS, 1);
		audit_netlink(sock->session);
		refuse_netlink(sock, request, len);
	} else if (send(sock->host.fd, request, len, MSG_DONTWAIT) >= 0) {
		count_datagram(sock, true, len);
	}
}

bool
raw_allows(struct sock *sock, const void *packet, size_t len)
{
	const struct policy_entry *entry = sock->session->entry;
	const struct interfaces *interfaces = &sock->session->gofer->interfaces;

	/* Of a socket for no protocol each packet names its own: in its header, or where IPv6 takes it from, as a port. */
	if (sock_is_raw(sock) && !sock->own_header && sock->protocol == IPPROTO_RAW)
		return entry && entry->raw.protocols.any;
	return !sock_is_raw(sock) || !sock->own_header ||
	       (entry && policy_raw_header(&entry->raw, sock->family, packet, len, interfaces->addresses, interfaces->address_count) &&
	        permission_for_packet(sock, packet, len));
}

/* Takes out of the batch what policy refuses: a plain send has no way to hear of it. Returns how many are left. */
static int
drop_refused(struct sock *sock, struct batch *batch, int count)
{
	int left = 0;

	for (int i = 0; i < count; i++) {
		if (!raw_allows(sock, batch->iovs[i].iov_base, batch->iovs[i].iov_len)) {
			count_session(sock->session, COUNTER_POLICY_DENIALS, 1);
			continue;
		}
		if (left != i) {
			batch->iovs[left] = batch->iovs[i];
			batch->messages[left].msg_len = batch->messages[i].msg_len;
		}
		left++;
	}
	return left;
}

bool
relay_datagram_up(struct sock *sock)
{
	struct batch batch;
	int received, count, allowed;

	if (sock->state != SOCK_OPEN || sock->host_full)
		return true;
	for (int round = 0; round < ROUNDS_MAX; round++) {
		batch_prepare(&batch, sock->session->gofer->scratch, sizeof batch.controls->credentials);
		received = recvmmsg(sock->link.fd, batch.messages, BATCH, MSG_DONTWAIT, NULL);
		/* A datagram of no bytes and the end of the link both read as 0; only a datagram has a sender's credentials. */
		for (count = 0; count < received && batch.messages[count].msg_hdr.msg_controllen; count++) {
			batch.messages[count].msg_hdr.msg_control = NULL;
			batch.messages[count].msg_hdr.msg_controllen = 0;
		}
		if (received > 0 && count < received)
			sock->up_ended = true;
		if (count <= 0)
			return true; /* EAGAIN, or the end */
		for (int i = 0; i < count; i++) {
			batch.iovs[i].iov_len = batch.messages[i].msg_len;
			if (sock->resolver)
				resolver_note_sent(sock, NULL, batch.iovs[i].iov_base, batch.iovs[i].iov_len);
			if (sock->family == AF_NETLINK)
				netlink_up(sock, batch.iovs[i].iov_base, batch.iovs[i].iov_len);
		}
		if (sock->family == AF_NETLINK)
			continue;
		allowed = sock_is_raw(sock) ? drop_refused(sock, &batch, count) : count;
		for (int sent = 0; sent < allowed;) {
			int n = sendmmsg(sock->host.fd, batch.messages + sent, (unsigned)(allowed - sent),
			                 MSG_DONTWAIT | MSG_NOSIGNAL);

			if (n < 0 && errno == EAGAIN) {
				count_session(sock->session, COUNTER_DROPPED_HOST_FULL, (uint64_t)(allowed - sent));
				break; /* a full socket buffer drops datagrams; so does UDP */
			}
			if (n < 0) {
				/* An asynchronous error of an earlier datagram comes back here, and this one was not sent. */
				bool again = errno == ECONNREFUSED && !sock->error;

				note_failure(sock, errno);
				if (!again) {
					count_session(sock->session, COUNTER_DROPPED_HOST_ERROR, 1);
					sent++;
				}
				continue;
			}
			while (n--)
				count_datagram(sock, true, batch.messages[sent++].msg_len);
		}
		if (count < BATCH)
			return true;
	}
	return true;
}

/* ---- towards the program ------------------------------------------------------------------------ */

static bool
netlink_down(struct sock *sock)
{
	for (int i = 0; i < BATCH; i++) {
		uint8_t *scratch = sock->session->gofer->scratch;
		ssize_t len;
		struct pollfd room = {.fd = sock->link.fd, .events = POLLOUT};

		if (poll(&room, 1, 0) != 1) {
			sock->link_full = true;
			return true;
		}
		len = recv(sock->host.fd, scratch, NETLINK_READ, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC);
		if (len < 0)
			return true;
		len = recv(sock->host.fd, scratch, len > NETLINK_READ ? SCRATCH_SIZE : NETLINK_READ, MSG_DONTWAIT);
		if (len > 0 && send(sock->link.fd, scratch, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			count_datagram(sock, false, (uint64_t)len);
	}
	return true;
}

/* Replaces what the host's socket tells of a datagram by the memfd that says so to the sentry side. False: there is none to be had. */
static bool
attach_source(struct sock *sock, struct batch *batch, int i)
{
	struct msghdr *message = &batch->messages[i].msg_hdr;
	struct link_source content = {.name.len = message->msg_namelen, .control_len = (uint32_t)message->msg_controllen};
	bool needed = message->msg_namelen || message->msg_controllen;
	int fd;

	permission_rename_peer(sock, (struct sockaddr *)&batch->names[i], &message->msg_namelen);
	content.name.len = message->msg_namelen;
	if (message->msg_namelen <= sizeof content.name.address)
		memcpy(&content.name.address, &batch->names[i], message->msg_namelen);
	else
		content.name.len = 0;
	memcpy(content.control, batch->controls[i].received, message->msg_controllen);
	*message = (struct msghdr){.msg_iov = message->msg_iov, .msg_iovlen = 1};
	fd = needed ? source_fd(sock, &content) : -1;
	if (fd >= 0)
		pass_fd(&batch->controls[i].fd, message, fd);
	return !needed || fd >= 0;
}

bool
relay_datagram_down(struct sock *sock)
{
	struct batch batch;

	if (sock->link.fd < 0 || sock->host.fd < 0)
		return true;
	if (sock->family == AF_NETLINK)
		return netlink_down(sock);
	for (int round = 0; round < ROUNDS_MAX; round++) {
		struct pollfd room = {.fd = sock->link.fd, .events = POLLOUT};
		int count, kept = 0, sent;

		/* While the program does not read, datagrams wait in the host's socket, and overflow there, as ever. */
		if (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT)) {
			sock->link_full = true;
			return true;
		}
		batch_prepare(&batch, sock->session->gofer->scratch, sizeof batch.controls->received);
		/* Of a raw or ping socket a packet's source is not what connect() was given: it has no port. */
		if (!sock->has_peer || sock_is_raw(sock) || sock_is_ping(sock))
			batch_ask_names(&batch);
		count = recvmmsg(sock->host.fd, batch.messages, BATCH, MSG_DONTWAIT, NULL);
		if (count < 0 && errno != EAGAIN && errno != EINTR) {
			note_failure(sock, errno);
			continue;
		}
		if (count <= 0)
			return true;
		for (int i = 0; i < count; i++) {
			batch.iovs[i].iov_len = batch.messages[i].msg_len;
			if (sock->resolver)
				resolver_note_received(sock, batch.messages[i].msg_hdr.msg_name, batch.iovs[i].iov_base, batch.iovs[i].iov_len);
			/* From nobody, it would be taken for one from address 0. It is lost, as any datagram may be. */
			if (attach_source(sock, &batch, i))
				batch.messages[kept++] = batch.messages[i];
		}
		count_session(sock->session, COUNTER_DROPPED_LINK_FULL, (uint64_t)(count - kept));
		for (sent = 0; sent < kept;) {
			int n = sendmmsg(sock->link.fd, batch.messages + sent, (unsigned)(kept - sent),
			                 MSG_DONTWAIT | MSG_NOSIGNAL);

			if (n <= 0) {
				count_session(sock->session, COUNTER_DROPPED_LINK_FULL, (uint64_t)(kept - sent));
				break; /* full after all: dropped, as a full receive buffer drops */
			}
			while (n--)
				count_datagram(sock, false, batch.messages[sent++].msg_len);
		}
		if (count < BATCH)
			return true;
	}
	return true;
}
