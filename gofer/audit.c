#include "gofer/audit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "gofer/audit_record.h"
#include "gofer/audit_writer.h"
#include "gofer/sock.h"

/* What lines to come will say of a socket. */
struct audited {
	int64_t opened_ms; /* when it was made */
	bool told;         /* there was a line: its end is told, too */
	bool connecting;   /* a connect has begun */
	struct wire_address asked; /* by what was allowed last */
	struct wire_address peer, local;
	char rule[AUDIT_TEXT_MAX];
	struct wire_address destinations[AUDIT_DESTINATIONS]; /* the last ones; family 0: none */
	unsigned next_destination;
	bool new_destination; /* what was allowed last is to one that is not among them */
};

/* ---- records ------------------------------------------------------------------------------------ */

/* NULL: nothing is said, or there is no memory for it. */
static struct audit_record *
record_new(const struct session *session, enum audit_event event)
{
	struct audit_record *record = session->gofer->audit.writer ? calloc(1, sizeof *record) : NULL;

	if (!record) {
		session->gofer->audit.left_out += session->gofer->audit.writer != NULL;
		return NULL;
	}
	record->event = event;
	clock_gettime(CLOCK_REALTIME, &record->time);
	record->session = session->id;
	record->who = audit_who_hold(session->who);
	return record;
}

static void
put(struct gofer *gofer, struct audit_record *record)
{
	if (audit_writer_put(gofer->audit.writer, record))
		return;
	count_gofer(gofer, COUNTER_AUDIT_LINES_LOST);
	gofer->audit.left_out++;
}

/* As the policy has addresses. */
static bool
plain_address(const struct wire_address *wire, uint8_t address[16])
{
	bool ip4 = wire->family == wire_family(AF_INET);

	memset(address, 0, 16);
	if (ip4)
		memset(address + 10, 0xff, 2);
	memcpy(ip4 ? address + 12 : address, wire->ip, ip4 ? 4 : 16);
	return ip4 || wire->family == wire_family(AF_INET6);
}

/* The domain names that the client has learned for the peer. */
static void
say_names(struct audit_record *record, const struct session *session)
{
	const char *found[NAMES_OF_ADDRESS_MAX];
	uint8_t address[16];
	size_t count;

	if (!plain_address(&record->peer, address))
		return;
	count = names_of((struct names *)&session->names, address, now_ms_coarse(), found);
	if (count > AUDIT_NAMES_MAX)
		count = AUDIT_NAMES_MAX;
	record->names = count ? calloc(count, sizeof *record->names) : NULL;
	record->name_count = record->names ? count : 0;
	for (size_t i = 0; i < record->name_count; i++)
		audit_text(record->names[i], found[i]);
}

/* Of which kind of socket it is. */
static void
say_socket(struct audit_record *record, const struct sock *sock)
{
	record->socket = sock->handle;
	record->family = sock->family;
	record->type = sock->type;
	record->protocol = sock->protocol;
}

/* The rule, or, of who has none, the entry. */
static const char *
rule_of(const struct session *session, const struct policy_decision *decision)
{
	return decision && decision->rule ? decision->rule : session->entry ? session->entry->name : NULL;
}

static void
say_kept(struct audit_record *record, const struct sock *sock)
{
	record->peer = sock->audited->peer;
	record->local = sock->audited->local;
	memcpy(record->rule, sock->audited->rule, sizeof record->rule);
	say_names(record, sock->session);
}

static bool
is_of_interest(const struct sock *sock)
{
	return sock->session->gofer->audit.writer && (sock->family == AF_INET || sock->family == AF_INET6);
}

/* What is kept of the socket, made when it is wanted first. NULL: nothing is said of it. */
static struct audited *
keep(struct sock *sock)
{
	if (!is_of_interest(sock))
		return NULL;
	if (!sock->audited)
		sock->audited = calloc(1, sizeof *sock->audited);
	if (sock->audited && !sock->audited->opened_ms)
		sock->audited->opened_ms = now_ms();
	return sock->audited;
}

/* The host's name of the socket, or of its peer, whatever the program is told. */
static void
host_name(const struct sock *sock, int (*get)(int, struct sockaddr *, socklen_t *), struct wire_address *name)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof address;

	*name = (struct wire_address){0};
	if (get(sock->host.fd, (struct sockaddr *)&address, &len) == 0)
		wire_address_from_host(name, (struct sockaddr *)&address, len);
}

/* ---- limits ------------------------------------------------------------------------------------- */

static void
tell_left_out(struct gofer *gofer)
{
	struct audit *audit = &gofer->audit;
	struct audit_record *record;

	if (audit->writer) {
		uint64_t lost = audit_writer_lost(audit->writer);

		gofer->counters.value[COUNTER_AUDIT_LINES_LOST - COUNTERS_GOFER_FIRST] += lost;
		audit->left_out += lost;
	}
	if (!audit->left_out)
		return;
	if (!audit->writer) {
		log_warning("denied: … %llu more", (unsigned long long)audit->left_out);
		audit->left_out = 0;
		return;
	}
	record = calloc(1, sizeof *record);
	if (!record)
		return;
	record->event = AUDIT_SUPPRESSED;
	clock_gettime(CLOCK_REALTIME, &record->time);
	record->lines = audit->left_out;
	/* If there is no room for this one either, it is told later. */
	if (audit_writer_put(audit->writer, record))
		audit->left_out = 0;
}

static void
begin_second(struct gofer *gofer)
{
	struct audit *audit = &gofer->audit;
	int64_t now = now_ms() / 1000;

	if (audit->second == now)
		return;
	audit->second = now;
	audit->denials = audit->datagrams = 0;
	tell_left_out(gofer);
}

/* Is there one more line in this second? */
static bool
within_limit(struct gofer *gofer, unsigned *lines)
{
	begin_second(gofer);
	if (*lines >= AUDIT_LINES_MAX) {
		gofer->audit.left_out++;
		count_gofer(gofer, COUNTER_AUDIT_LINES_OVER_RATE);
		return false;
	}
	++*lines;
	return true;
}

void
audit_tick(struct gofer *gofer)
{
	begin_second(gofer);
}

/* ---- what was done ------------------------------------------------------------------------------ */

void
audit_session_open(struct session *session)
{
	struct audit_record *record;

	if (!session->gofer->audit.writer || session->who)
		return;
	session->who = audit_who_new(&session->identity);
	record = record_new(session, AUDIT_SESSION_OPEN);
	if (!record)
		return;
	audit_text(record->software, session->software);
	put(session->gofer, record);
}

void
audit_identified(struct session *session)
{
	struct audit_who *who = session->who ? audit_who_new(&session->identity) : NULL;

	if (!who)
		return;
	audit_who_release(session->who);
	session->who = who;
}

void
audit_session_close(struct session *session)
{
	const uint64_t *counted = session->counters.value;
	struct audit_record *record = session->who ? record_new(session, AUDIT_SESSION_CLOSE) : NULL;

	if (record) {
		record->ended = true;
		record->bytes_in = counted[COUNTER_STREAM_BYTES_DOWN - COUNTERS_SESSION_FIRST] +
		                   counted[COUNTER_DATAGRAM_BYTES_DOWN - COUNTERS_SESSION_FIRST];
		record->bytes_out = counted[COUNTER_STREAM_BYTES_UP - COUNTERS_SESSION_FIRST] +
		                    counted[COUNTER_DATAGRAM_BYTES_UP - COUNTERS_SESSION_FIRST];
		record->duration_ms = (uint64_t)(now_ms() - session->opened_ms);
		put(session->gofer, record);
	}
	audit_who_release(session->who);
	session->who = NULL;
}

static bool
sent_there_before(struct audited *kept, const struct wire_address *address)
{
	for (unsigned i = 0; i < AUDIT_DESTINATIONS; i++)
		if (memcmp(&kept->destinations[i], address, sizeof *address) == 0)
			return true;
	return false;
}

void
audit_allowed(struct sock *sock, enum policy_operation operation, const struct wire_address *address, const struct policy_decision *decision)
{
	bool sends = operation == POLICY_SEND;
	struct audited *kept = (sends || operation == POLICY_BIND ? sock->type == SOCK_DGRAM : sock->state == SOCK_OPEN) ? keep(sock) : NULL;

	if (!kept)
		return;
	/* The quick way, of most datagrams. */
	kept->new_destination = sends && !sent_there_before(kept, address);
	if (sends && !kept->new_destination)
		return;
	kept->asked = *address;
	audit_text(kept->rule, rule_of(sock->session, decision));
}

static void
tell(struct sock *sock, enum audit_event event, const char *operation, int error)
{
	struct audit_record *record = record_new(sock->session, event);

	if (!record)
		return;
	record->operation = operation;
	record->error = error;
	say_socket(record, sock);
	say_kept(record, sock);
	put(sock->session->gofer, record);
}

void
audit_connecting(struct sock *sock)
{
	struct audited *kept = sock->audited;
	uint8_t address[16];

	/* To dissolve a connection, one connects to no address. */
	if (!kept || sock->state != SOCK_OPEN || !plain_address(&kept->asked, address))
		return;
	kept->connecting = true;
	kept->peer = kept->asked;
}

void
audit_connected(struct sock *sock, int error)
{
	struct audited *kept = sock->audited;

	if (!kept || !kept->connecting)
		return;
	kept->connecting = false;
	if (!error)
		host_name(sock, getsockname, &kept->local);
	kept->told |= !error;
	tell(sock, AUDIT_CONNECT, "connect", error);
}

void
audit_bound(struct sock *sock)
{
	struct audited *kept = sock->type == SOCK_DGRAM ? sock->audited : NULL;

	if (!kept)
		return;
	host_name(sock, getsockname, &kept->local);
	kept->told = true;
	kept->peer = kept->asked;
	tell(sock, AUDIT_BIND, "bind", 0);
	kept->peer = (struct wire_address){0};
}

void
audit_listening(struct sock *sock, const struct policy_decision *decision, int error)
{
	/* A backlog may be changed as often as one likes. */
	struct audited *kept = error || sock->state != SOCK_LISTENING ? keep(sock) : NULL;

	if (!kept)
		return;
	host_name(sock, getsockname, &kept->local);
	audit_text(kept->rule, rule_of(sock->session, decision));
	kept->told |= !error;
	kept->peer = kept->local;
	if (sock->published) /* what the policy was asked about */
		kept->peer = (struct wire_address){.family = kept->local.family, .port = sock->published};
	tell(sock, AUDIT_LISTEN, "listen", error);
	kept->peer = (struct wire_address){0};
}

void
audit_accepted(struct sock *sock, const struct sock *listener)
{
	struct audited *kept = keep(sock);
	struct audit_record *record;

	if (!kept)
		return;
	host_name(sock, getpeername, &kept->peer);
	host_name(sock, getsockname, &kept->local);
	kept->told = true;
	if (listener->audited)
		memcpy(kept->rule, listener->audited->rule, sizeof kept->rule);
	record = record_new(sock->session, AUDIT_ACCEPT);
	if (!record)
		return;
	record->operation = "accept";
	record->listener = listener->handle;
	say_socket(record, sock);
	say_kept(record, sock);
	put(sock->session->gofer, record);
}

void
audit_sent(struct sock *sock)
{
	struct gofer *gofer = sock->session->gofer;
	struct audited *kept = sock->audited;
	struct audit_record *record;

	if (!kept || !kept->new_destination)
		return;
	kept->new_destination = false;
	kept->destinations[kept->next_destination++ % AUDIT_DESTINATIONS] = kept->asked;
	kept->told = true;
	record = within_limit(gofer, &gofer->audit.datagrams) ? record_new(sock->session, AUDIT_DATAGRAM) : NULL;
	if (!record)
		return;
	record->operation = "datagram";
	say_socket(record, sock);
	record->peer = kept->asked;
	host_name(sock, getsockname, &record->local);
	audit_text(record->rule, kept->rule);
	say_names(record, sock->session);
	put(gofer, record);
}

void
audit_raw(struct sock *sock)
{
	struct audited *kept = keep(sock);

	if (!kept)
		return;
	kept->told = true;
	audit_text(kept->rule, rule_of(sock->session, NULL));
	tell(sock, AUDIT_RAW, "raw", 0);
}

void
audit_packet(struct session *session, int type, int protocol)
{
	struct audit_record *record = record_new(session, AUDIT_PACKET);

	if (!record)
		return;
	record->operation = "packet";
	record->family = AF_PACKET;
	record->type = type;
	record->protocol = protocol;
	audit_text(record->rule, rule_of(session, NULL));
	put(session->gofer, record);
}

void
audit_closed(struct sock *sock)
{
	struct audited *kept = sock->audited;
	struct audit_record *record;

	if (!kept)
		return;
	/* Nobody waits for the connect under way any more. */
	audit_connected(sock, ECONNABORTED);
	record = kept->told ? record_new(sock->session, AUDIT_CLOSE) : NULL;
	if (record) {
		say_socket(record, sock);
		say_kept(record, sock);
		record->error = sock->error;
		record->ended = true;
		record->bytes_in = sock->bytes_to_program;
		record->bytes_out = sock->bytes_to_host;
		record->duration_ms = (uint64_t)(now_ms() - kept->opened_ms);
		put(sock->session->gofer, record);
	}
	free(kept);
	sock->audited = NULL;
}

/* ---- what was denied ---------------------------------------------------------------------------- */

struct denial {
	const char *operation, *what, *missing;
	const struct sock *sock;                /* NULL: it is of no socket */
	const struct wire_address *address;     /* likewise */
	const char *rule;                       /* that is against it; NULL: none */
	int family, type, protocol;             /* without sock: of the one that was wanted */
};

/* The line: in the log, where there is no other place for it. */
static void
deny(const struct session *session, const struct denial *denial)
{
	struct gofer *gofer = session->gofer;
	struct audit_record *record;

	if (!within_limit(gofer, &gofer->audit.denials))
		return;
	if (!gofer->audit.writer) {
		log_warning("session %016llx: denied: uid %llu: %s %s: %s", (unsigned long long)session->id,
		            (unsigned long long)session->identity.uid, denial->operation, denial->what, denial->missing);
		return;
	}
	record = record_new(session, AUDIT_DENIED);
	if (!record)
		return;
	record->operation = denial->operation;
	record->family = denial->family;
	record->type = denial->type;
	record->protocol = denial->protocol;
	if (denial->sock)
		say_socket(record, denial->sock);
	if (denial->address)
		record->peer = *denial->address;
	say_names(record, session);
	audit_text(record->rule, denial->rule);
	audit_text(record->detail, denial->what);
	audit_text(record->reason, denial->missing);
	put(gofer, record);
}

void
audit_denied(const struct session *session, const char *operation, const char *what, const char *missing)
{
	deny(session, &(struct denial){.operation = operation, .what = what, .missing = missing});
}

/* Whose entry it is, and which grant it has not. */
static void
say_missing(char text[AUDIT_TEXT_MAX], const struct session *session, const char *grant)
{
	if (session->entry)
		snprintf(text, AUDIT_TEXT_MAX, "client \"%s\" %s", session->entry->name, grant);
	else
		snprintf(text, AUDIT_TEXT_MAX, "no client of the policy has this user");
}

static const char *
missing_for_socket(const struct policy_entry *entry, int family, int type, int protocol)
{
	bool raw = (family == AF_INET || family == AF_INET6) && type == SOCK_RAW;

	if (family == AF_PACKET)
		return entry && entry->packet_count ? "has a packet grant, but asks for a socket without a mirror" : "has no packet grant";
	if (raw && entry && !entry->raw.granted)
		return "has no raw grant";
	if (raw)
		return protocol != IPPROTO_RAW ? "has a raw grant for other protocols" : "has no headers: own in its raw grant";
	if (family == AF_INET || family == AF_INET6 || (family == AF_NETLINK && protocol == 0))
		return "has not sockets: open";
	return "can be granted no such socket";
}

void
audit_socket(const struct session *session, int family, int type, int protocol, bool by_host)
{
	const char *name = family == AF_INET ? "AF_INET" : family == AF_INET6 ? "AF_INET6" : family == AF_NETLINK ? "AF_NETLINK" :
	                   family == AF_PACKET ? "AF_PACKET" : "of another family";
	const char *kind = type == SOCK_STREAM ? "SOCK_STREAM" : type == SOCK_DGRAM ? "SOCK_DGRAM" : type == SOCK_RAW ? "SOCK_RAW" :
	                   "of another type";
	bool raw = type == SOCK_RAW && (family == AF_INET || family == AF_INET6);
	char what[AUDIT_TEXT_MAX], missing[AUDIT_TEXT_MAX];

	snprintf(what, sizeof what, "%s %s protocol %d", name, kind, protocol);
	say_missing(missing, session, missing_for_socket(session->entry, family, type, protocol));
	deny(session, &(struct denial){
		.operation = family == AF_PACKET ? "packet" : raw ? "raw" : "socket",
		.what = what,
		.missing = by_host ? "this gofer has no CAP_NET_RAW" : missing,
		.family = family,
		.type = type,
		.protocol = protocol,
	});
}

static const char *const operation_names[POLICY_OPERATIONS] = {
	[POLICY_CONNECT] = "connect", [POLICY_BIND] = "bind", [POLICY_LISTEN] = "listen", [POLICY_SEND] = "datagram"};

static void
say_address(char text[AUDIT_TEXT_MAX], const struct wire_address *address)
{
	char ip[INET6_ADDRSTRLEN] = "an address";
	struct sockaddr_storage host;
	socklen_t len;
	uint16_t port = 0;

	if (wire_address_to_host(address, &host, &len) == 0 && host.ss_family == AF_INET) {
		inet_ntop(AF_INET, &((struct sockaddr_in *)&host)->sin_addr, ip, sizeof ip);
		port = ntohs(((struct sockaddr_in *)&host)->sin_port);
	} else if (host.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&host)->sin6_addr, ip, sizeof ip);
		port = ntohs(((struct sockaddr_in6 *)&host)->sin6_port);
	}
	snprintf(text, AUDIT_TEXT_MAX, "%s port %u", ip, port);
}

void
audit_address(const struct sock *sock, enum policy_operation operation, const struct wire_address *address)
{
	char what[AUDIT_TEXT_MAX], missing[AUDIT_TEXT_MAX];

	say_address(what, address);
	if (address->netlink_pid || address->netlink_groups)
		snprintf(missing, sizeof missing, "a netlink peer is the kernel");
	else
		say_missing(missing, sock->session, "has not sockets: open");
	deny(sock->session, &(struct denial){
		.operation = operation_names[operation], .what = what, .missing = missing, .sock = sock, .address = address});
}

void
audit_decision(const struct sock *sock, enum policy_operation operation, const struct wire_address *address,
               const struct policy_decision *decision)
{
	const struct policy_entry *entry = sock->session->entry;
	char what[AUDIT_TEXT_MAX], missing[2 * AUDIT_TEXT_MAX];

	say_address(what, address);
	if (!entry)
		snprintf(missing, sizeof missing, "no client of the policy has this user");
	else
		snprintf(missing, sizeof missing, "client \"%s\"%s%s%s: %s", entry->name, decision->rule ? ", rule \"" : "",
		         decision->rule ? decision->rule : "", decision->rule ? "\"" : "", decision->why);
	deny(sock->session, &(struct denial){
		.operation = operation_names[operation], .what = what, .missing = missing, .sock = sock, .address = address, .rule = decision->rule});
}

void
audit_option(const struct session *session, int level, int name)
{
	char what[AUDIT_TEXT_MAX], missing[AUDIT_TEXT_MAX];
	bool header = (level == IPPROTO_IP && name == IP_HDRINCL) || (level == IPPROTO_IPV6 && name == IPV6_HDRINCL);

	snprintf(what, sizeof what, "level %d name %d", level, name);
	say_missing(missing, session, header ? "has no headers: own in a raw grant" : "has not sockets: open");
	audit_denied(session, "option", what, missing);
}

void
audit_netlink(const struct session *session)
{
	audit_denied(session, "netlink", "request", "nobody may change the host's network");
}

/* ---- life --------------------------------------------------------------------------------------- */

int
audit_start(struct gofer *gofer, const char *destination, char *message, size_t message_size)
{
	gofer->audit.writer = destination ? audit_writer_new(destination, message, message_size) : NULL;
	return !destination || gofer->audit.writer ? 0 : -1;
}

void
audit_reopen(struct gofer *gofer)
{
	if (gofer->audit.writer)
		audit_writer_reopen(gofer->audit.writer);
}

void
audit_stop(struct gofer *gofer)
{
	tell_left_out(gofer);
	audit_writer_free(gofer->audit.writer);
	gofer->audit.writer = NULL;
}
