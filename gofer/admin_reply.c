/*
 * What splitsock-ctl is told. Everything is taken at the moment of asking, and a page at a time, so that no answer is larger than a
 * frame nor takes long.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "gofer/admin.h"
#include "gofer/listener.h"
#include "gofer/policy_explain.h"
#include "gofer/reload.h"
#include "gofer/route.h"
#include "gofer/sock.h"

#define COMMAND_MAX 16 /* TASK_COMM_LEN */
#define LISTENERS_TOLD 16

/*
 * Entries of one page. The longest: a session's counters (16 bytes each), its software (64), command and five numbers (11 each); a socket's
 * two addresses (50 each), state (12) and a dozen numbers.
 */
#define SESSION_SIZE (COUNTERS_SESSION_COUNT * 16 + 64 + COMMAND_MAX + 5 * 12 + 16)
#define SOCKET_SIZE (2 * 50 + 12 + 14 * 12)
#define SESSIONS_PAGE 64
#define SOCKETS_PAGE 200
static_assert(SESSIONS_PAGE * SESSION_SIZE < FRAME_BODY_MAX, "a page of sessions fits a frame");
static_assert(SOCKETS_PAGE * SOCKET_SIZE < FRAME_BODY_MAX, "a page of sockets fits a frame");

/* ---- status ------------------------------------------------------------------------------------- */

static uint64_t
resident_bytes(void)
{
	_cleanup_close_ int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128] = "";
	unsigned long pages = 0;

	if (fd >= 0 && read(fd, text, sizeof text - 1) > 0)
		sscanf(text, "%*u %lu", &pages);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint8_t *
reply_status(struct gofer *gofer, uint32_t id, size_t *len)
{
	Splitsock__AdminReply reply = SPLITSOCK__ADMIN_REPLY__INIT;
	Splitsock__AdminStatus status = SPLITSOCK__ADMIN_STATUS__INIT;
	char *urls[LISTENERS_TOLD];
	uint64_t values[COUNTER_COUNT] = {0};
	struct rlimit descriptors = {0};
	struct stat st = {0};

	counters_of_gofer(gofer, values);
	getrlimit(RLIMIT_NOFILE, &descriptors);
	/* Since Linux 6.2 it tells how many there are; before, it is 0. */
	stat("/proc/self/fd", &st);
	status.software = "splitsock-gofer " SPLITSOCK_VERSION;
	status.pid = (uint64_t)getpid();
	status.uid = geteuid();
	status.uptime_ms = (uint64_t)(now_ms() - gofer->started_ms);
	status.n_listeners = listeners_urls(gofer, urls, LISTENERS_TOLD);
	status.listeners = urls;
	status.policy = (char *)gofer->policy_name;
	status.max_sockets = gofer->limits.sockets;
	status.max_calls = gofer->limits.calls;
	status.max_sessions = gofer->limits.sessions;
	status.sessions = values[COUNTER_SESSIONS];
	status.sockets = values[COUNTER_SOCKETS];
	status.max_descriptors = descriptors.rlim_cur;
	status.descriptors = (uint64_t)st.st_size;
	status.resident_bytes = resident_bytes();
	reply.gofer = &status;
	return encode_frame(FRAME_REPLY, id, &reply.base, len);
}

/* ---- counters ----------------------------------------------------------------------------------- */

static uint8_t *
reply_stats(struct gofer *gofer, uint32_t id, size_t *len)
{
	enum { ALL = COUNTERS_CLIENT_FIRST }; /* the client's own are the last part of the table */
	Splitsock__AdminReply reply = SPLITSOCK__ADMIN_REPLY__INIT;
	Splitsock__Counters told = SPLITSOCK__COUNTERS__INIT;
	Splitsock__Counter messages[ALL], *pointers[ALL];
	uint64_t values[COUNTER_COUNT] = {0};

	told.host = counters_of_host(gofer, values);
	counters_of_gofer(gofer, values);
	counters_to_message(&told, messages, pointers, 0, ALL, values);
	reply.counters = &told;
	return encode_frame(FRAME_REPLY, id, &reply.base, len);
}

/* ---- sessions ----------------------------------------------------------------------------------- */

struct session_entry {
	Splitsock__AdminSession message;
	Splitsock__Counters told;
	Splitsock__Counter counters[COUNTERS_SESSION_COUNT], *pointers[COUNTERS_SESSION_COUNT];
	char command[COMMAND_MAX];
};

static void
command_of(uint64_t pid, char command[COMMAND_MAX])
{
	char path[64];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	command[0] = 0;
	if (!pid)
		return;
	snprintf(path, sizeof path, "/proc/%llu/comm", (unsigned long long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, command, COMMAND_MAX - 1) : 0;
	command[n > 0 ? n : 0] = 0;
	command[strcspn(command, "\n")] = 0;
}

static void
tell_session(struct session_entry *entry, const struct session *session)
{
	uint64_t values[COUNTER_COUNT] = {0};

	splitsock__admin_session__init(&entry->message);
	splitsock__counters__init(&entry->told);
	command_of(session->identity.pid, entry->command);
	counters_of_session(session, values);
	counters_to_message(&entry->told, entry->counters, entry->pointers, COUNTERS_SESSION_FIRST, COUNTERS_SESSION_COUNT,
	                    values + COUNTERS_SESSION_FIRST);
	entry->message.id = session->id;
	entry->message.uid = session->identity.uid;
	entry->message.pid = session->identity.pid;
	entry->message.command = entry->command;
	entry->message.software = (char *)session->software;
	entry->message.ready = session->state == SESSION_READY;
	entry->message.age_ms = (uint64_t)(now_ms() - session->opened_ms);
	entry->message.counters = &entry->told;
}

static uint8_t *
reply_sessions(struct gofer *gofer, uint32_t id, const Splitsock__AdminCursor *cursor, size_t *len)
{
	Splitsock__AdminReply reply = SPLITSOCK__ADMIN_REPLY__INIT;
	Splitsock__AdminCursor next = SPLITSOCK__ADMIN_CURSOR__INIT;
	Splitsock__AdminSession *pointers[SESSIONS_PAGE];
	_cleanup_free_ struct session_entry *entries = calloc(SESSIONS_PAGE, sizeof *entries);
	const struct session *session;

	if (!entries)
		return NULL;
	reply.sessions = pointers;
	next.session = cursor->session;
	while (reply.n_sessions < SESSIONS_PAGE && (session = table_after(&gofer->sessions, next.session))) {
		struct session_entry *entry = &entries[reply.n_sessions];

		tell_session(entry, session);
		pointers[reply.n_sessions++] = &entry->message;
		next.session = session->id;
	}
	if (reply.n_sessions == SESSIONS_PAGE)
		reply.next = &next;
	return encode_frame(FRAME_REPLY, id, &reply.base, len);
}

/* ---- sockets ------------------------------------------------------------------------------------ */

static char *const state_names[SOCK_STATES] = {
	[SOCK_NEW] = "new",
	[SOCK_OPEN] = "open",
	[SOCK_CONNECTING] = "connecting",
	[SOCK_CONNECTED] = "connected",
	[SOCK_LISTENING] = "listening",
	[SOCK_RESET] = "reset",
};

struct socket_entry {
	Splitsock__AdminSocket message;
	Splitsock__Address local, peer;
	struct wire_address wire_local, wire_peer;
};

/* State and queues as ss(8) shows them. */
static void
tell_queues(Splitsock__AdminSocket *message, const struct sock *sock)
{
	struct tcp_info tcp;
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof tcp;
	int in = 0, out = 0;

	if (!sock_is_stream(sock)) {
		len = sizeof memory;
		getsockopt(sock->host.fd, SOL_SOCKET, SO_MEMINFO, memory, &len);
		message->receive_queue = memory[SK_MEMINFO_RMEM_ALLOC];
		message->send_queue = memory[SK_MEMINFO_WMEM_ALLOC];
		return;
	}
	if (getsockopt(sock->host.fd, IPPROTO_TCP, TCP_INFO, &tcp, &len) < 0)
		return;
	message->tcp_state = tcp.tcpi_state;
	if (tcp.tcpi_state == TCP_LISTEN) { /* connections that wait, and how many may */
		message->receive_queue = tcp.tcpi_unacked;
		message->send_queue = tcp.tcpi_sacked;
		return;
	}
	ioctl(sock->host.fd, SIOCINQ, &in);
	ioctl(sock->host.fd, SIOCOUTQ, &out);
	message->receive_queue = (uint64_t)in;
	message->send_queue = tcp.tcpi_state == TCP_SYN_SENT ? 1 : (uint64_t)out; /* the SYN */
}

static void
tell_socket(struct socket_entry *entry, const struct sock *sock)
{
	Splitsock__AdminSocket *message = &entry->message;

	splitsock__admin_socket__init(message);
	message->session = sock->session->id;
	message->handle = sock->handle;
	message->family = (uint32_t)sock->family;
	message->type = (uint32_t)sock->type;
	message->protocol = (uint32_t)sock->protocol;
	message->state = state_names[sock->state];
	message->held_to_host = sock->up.len;
	message->held_to_program = sock->down.len + relay_stream_piped_bytes(sock);
	message->bytes_to_host = sock->bytes_to_host;
	message->bytes_to_program = sock->bytes_to_program;
	message->linked = sock->link.fd >= 0;
	message->uid = sock->session->identity.uid;
	message->pid = sock->session->identity.pid;
	if (sock->host.fd < 0)
		return;
	tell_queues(message, sock);
	if (sock_name(sock, getsockname, &entry->wire_local) == 0) {
		address_to_message(&entry->local, &entry->wire_local);
		message->local = &entry->local;
	}
	if (sock_name(sock, getpeername, &entry->wire_peer) == 0) {
		address_to_message(&entry->peer, &entry->wire_peer);
		message->peer = &entry->peer;
	}
}

static uint8_t *
reply_sockets(struct gofer *gofer, uint32_t id, const Splitsock__AdminCursor *cursor, size_t *len)
{
	Splitsock__AdminReply reply = SPLITSOCK__ADMIN_REPLY__INIT;
	Splitsock__AdminCursor next = SPLITSOCK__ADMIN_CURSOR__INIT;
	Splitsock__AdminSocket *pointers[SOCKETS_PAGE];
	_cleanup_free_ struct socket_entry *entries = calloc(SOCKETS_PAGE, sizeof *entries);
	const struct session *session = table_find(&gofer->sessions, cursor->session);
	uint64_t handle = session ? cursor->handle : 0;

	if (!entries)
		return NULL;
	if (!session)
		session = table_after(&gofer->sessions, cursor->session);
	reply.sockets = pointers;
	for (; session; session = table_after(&gofer->sessions, session->id), handle = 0) {
		const struct sock *sock;

		while (reply.n_sockets < SOCKETS_PAGE && (sock = table_after(&session->socks, handle))) {
			struct socket_entry *entry = &entries[reply.n_sockets];

			tell_socket(entry, sock);
			pointers[reply.n_sockets++] = &entry->message;
			handle = sock->handle;
			next.session = session->id;
			next.handle = handle;
		}
		if (reply.n_sockets == SOCKETS_PAGE) {
			reply.next = &next;
			break;
		}
	}
	return encode_frame(FRAME_REPLY, id, &reply.base, len);
}

/* ---- the policy --------------------------------------------------------------------------------- */

static uint8_t *
reply_text(uint32_t id, char *text, bool good, bool wrong, size_t *len)
{
	Splitsock__AdminReply reply = SPLITSOCK__ADMIN_REPLY__INIT;
	Splitsock__AdminText told = SPLITSOCK__ADMIN_TEXT__INIT;

	told.text = text;
	told.good = good;
	told.wrong = wrong;
	reply.text = &told;
	return encode_frame(FRAME_REPLY, id, &reply.base, len);
}

static uint8_t *
reply_reload(struct gofer *gofer, uint32_t id, size_t *len)
{
	char message[RELOAD_MESSAGE_MAX] = "";
	bool good = gofer_reload(gofer, message, sizeof message) == 0;

	return reply_text(id, good ? "" : message, good, false, len);
}

static uint8_t *
reply_explain(struct gofer *gofer, uint32_t id, const Splitsock__AdminExplain *ask, size_t *len)
{
	struct identity identity;
	struct explain_question question;
	const struct policy_entry *entry;
	char error[EXPLAIN_TEXT_MAX];
	uint8_t forms[POLICY_FORMS_MAX][16], *reply;
	char *text = NULL;
	size_t size, count;
	FILE *out;
	bool allowed;

	if (identity_parse(&identity, ask->identity, error) < 0)
		return reply_text(id, error, false, true, len);
	if (explain_parse(&question, (const char *const *)ask->words, ask->n_words, error) < 0 || !(out = open_memstream(&text, &size))) {
		identity_free(&identity);
		return reply_text(id, error, false, true, len);
	}
	question.question.names = (const char *const *)ask->names;
	question.question.name_count = ask->n_names;
	entry = policy_entry_for(gofer->policy, &identity);
	count = policy_forms(question.question.operation, question.question.address, forms);
	for (size_t i = 0; i < count && question.kind == EXPLAIN_ADDRESS && question.question.reach == REACH_AWAY; i++)
		question.question.reach = route_reach(gofer, entry ? entry->network : NULL, forms[i], 0);
	allowed = explain(out, gofer->policy, gofer->policy_name, &identity, &question);
	identity_free(&identity);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	reply = reply_text(id, text, allowed, false, len);
	free(text);
	return reply;
}

/* ---- the questions ------------------------------------------------------------------------------ */

uint8_t *
admin_reply(struct gofer *gofer, uint32_t id, const Splitsock__AdminRequest *request, size_t *len)
{
	Splitsock__AdminReply unsupported = SPLITSOCK__ADMIN_REPLY__INIT;

	if (request->version == 1) {
		switch (request->ask_case) {
		case SPLITSOCK__ADMIN_REQUEST__ASK_STATUS:
			return reply_status(gofer, id, len);
		case SPLITSOCK__ADMIN_REQUEST__ASK_SESSIONS:
			return reply_sessions(gofer, id, request->sessions, len);
		case SPLITSOCK__ADMIN_REQUEST__ASK_SOCKETS:
			return reply_sockets(gofer, id, request->sockets, len);
		case SPLITSOCK__ADMIN_REQUEST__ASK_STATS:
			return reply_stats(gofer, id, len);
		case SPLITSOCK__ADMIN_REQUEST__ASK_RELOAD:
			return reply_reload(gofer, id, len);
		case SPLITSOCK__ADMIN_REQUEST__ASK_EXPLAIN:
			return reply_explain(gofer, id, request->explain, len);
		default:
			break;
		}
	}
	unsupported.status = SPLITSOCK__STATUS__STATUS_UNSUPPORTED;
	return encode_frame(FRAME_REPLY, id, &unsupported.base, len);
}
