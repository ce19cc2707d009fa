#include "gofer/audit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/log.h"
#include "gofer/session.h"

#define TEXT_MAX 160

static int64_t
now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void
begin_second(struct audit *audit)
{
	int64_t now = now_seconds();

	if (audit->second == now)
		return;
	if (audit->left_out)
		log_warning("denied: … %llu more", (unsigned long long)audit->left_out);
	*audit = (struct audit){.second = now};
}

void
audit_tick(struct gofer *gofer)
{
	begin_second(&gofer->audit);
}

void
audit_denied(const struct session *session, const char *operation, const char *what, const char *missing)
{
	struct audit *audit = &session->gofer->audit;

	begin_second(audit);
	if (audit->lines >= AUDIT_LINES_MAX) {
		audit->left_out++;
		return;
	}
	audit->lines++;
	log_warning("session %016llx: denied: uid %llu: %s %s: %s", (unsigned long long)session->id, (unsigned long long)session->identity.uid,
	            operation, what, missing);
}

/* Whose entry it is, and which grant it has not. */
static void
say_missing(char text[TEXT_MAX], const struct session *session, const char *grant)
{
	if (session->entry)
		snprintf(text, TEXT_MAX, "client \"%s\" %s", session->entry->name, grant);
	else
		snprintf(text, TEXT_MAX, "no client of the policy has this user");
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
	char what[TEXT_MAX], missing[TEXT_MAX];

	snprintf(what, sizeof what, "%s %s protocol %d", name, kind, protocol);
	say_missing(missing, session, missing_for_socket(session->entry, family, type, protocol));
	audit_denied(session, "socket", what, by_host ? "this gofer has no CAP_NET_RAW" : missing);
}

static void
say_address(char text[TEXT_MAX], const struct wire_address *address)
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
	snprintf(text, TEXT_MAX, "%s port %u", ip, port);
}

void
audit_address(const struct session *session, const char *operation, const struct wire_address *address)
{
	char what[TEXT_MAX], missing[TEXT_MAX];

	say_address(what, address);
	if (address->netlink_pid || address->netlink_groups)
		snprintf(missing, sizeof missing, "a netlink peer is the kernel");
	else
		say_missing(missing, session, "has not sockets: open");
	audit_denied(session, operation, what, missing);
}

void
audit_decision(const struct session *session, enum policy_operation operation, const struct wire_address *address,
               const struct policy_decision *decision)
{
	static const char *const names[POLICY_OPERATIONS] = {
		[POLICY_CONNECT] = "connect", [POLICY_BIND] = "bind", [POLICY_LISTEN] = "listen", [POLICY_SEND] = "send"};
	char what[TEXT_MAX], missing[2 * TEXT_MAX];

	say_address(what, address);
	if (!session->entry)
		snprintf(missing, sizeof missing, "no client of the policy has this user");
	else
		snprintf(missing, sizeof missing, "client \"%s\"%s%s%s: %s", session->entry->name, decision->rule ? ", rule \"" : "",
		         decision->rule ? decision->rule : "", decision->rule ? "\"" : "", decision->why);
	audit_denied(session, names[operation], what, missing);
}

void
audit_option(const struct session *session, int level, int name)
{
	char what[TEXT_MAX], missing[TEXT_MAX];
	bool header = (level == IPPROTO_IP && name == IP_HDRINCL) || (level == IPPROTO_IPV6 && name == IPV6_HDRINCL);

	snprintf(what, sizeof what, "level %d name %d", level, name);
	say_missing(missing, session, header ? "has no headers: own in a raw grant" : "has not sockets: open");
	audit_denied(session, "option", what, missing);
}

void
audit_netlink(const struct session *session)
{
	audit_denied(session, "send", "a netlink request", "nobody may change the host's network");
}
