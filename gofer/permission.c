#include "gofer/permission.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "gofer/policy_index.h"
#include "gofer/route.h"

/* How long an answer of the routes is good for, for a socket that asks again and again. */
#define REACH_MS 1000

/* Replaced addresses that a socket remembers, to know senders by. The oldest makes room. */
#define REWRITES_MAX 16u

struct rewrite {
	struct sockaddr_storage asked, real;
	socklen_t asked_len;
};

struct rewrites {
	struct rewrite list[REWRITES_MAX];
	unsigned count, next;
};

/* ---- addresses ---------------------------------------------------------------------------------- */

/* As the policy has it. False: it is of no family that rules are about. */
static bool
take_apart(const struct sockaddr_storage *address, uint8_t ip[16], uint16_t *port, uint32_t *scope)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

	*scope = 0;
	if (address->ss_family == AF_INET) {
		memset(ip, 0, 10);
		ip[10] = ip[11] = 0xff;
		memcpy(ip + 12, &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
	} else if (address->ss_family == AF_INET6) {
		memcpy(ip, &in6->sin6_addr, 16);
		*port = ntohs(in6->sin6_port);
		*scope = in6->sin6_scope_id;
	}
	return address->ss_family == AF_INET || address->ss_family == AF_INET6;
}

/* For a socket of this family. Where IPv4's cannot have the address, the kernel will say so. */
static void
put_together(int family, const uint8_t ip[16], uint16_t port, struct sockaddr_storage *address, socklen_t *len)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	memset(address, 0, sizeof *address);
	if (family == AF_INET && policy_is_ip4(ip)) {
		memcpy(&in.sin_addr, ip + 12, 4);
		memcpy(address, &in, sizeof in);
		*len = sizeof in;
	} else {
		memcpy(&in6.sin6_addr, ip, 16);
		memcpy(address, &in6, sizeof in6);
		*len = sizeof in6;
	}
}

static bool
is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	uint8_t one[16], other[16];
	uint16_t port, other_port;
	uint32_t scope;

	return take_apart(a, one, &port, &scope) && take_apart(b, other, &other_port, &scope) && port == other_port &&
	       memcmp(one, other, sizeof one) == 0;
}

/* ---- asking ------------------------------------------------------------------------------------- */

static int
protocol_of(const struct sock *sock)
{
	if (sock->protocol)
		return sock->protocol;
	return sock->type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
}

/* Of the address and of all that it stands for, the nearest to the host. */
static enum policy_reach
reach_of(struct sock *sock, const struct policy_question *question, uint32_t scope)
{
	struct reach_seen *seen = &sock->reach_seen;
	int64_t now = now_ms_coarse();
	uint8_t forms[POLICY_FORMS_MAX][16];
	enum policy_reach reach = REACH_AWAY;
	size_t count;

	if (seen->until_ms > now && seen->scope == scope && memcmp(seen->address, question->address, sizeof seen->address) == 0)
		return seen->reach;
	count = policy_forms(question->operation, question->address, forms);
	for (size_t i = 0; i < count && reach != REACH_OWN; i++) {
		enum policy_reach of_form = route_reach(sock->session->gofer, sock->session->entry->network, forms[i], scope);

		if (of_form != REACH_AWAY)
			reach = of_form;
	}
	*seen = (struct reach_seen){.until_ms = now + REACH_MS, .scope = scope, .reach = reach};
	memcpy(seen->address, question->address, sizeof seen->address);
	return reach;
}

static struct policy_decision
ask(struct sock *sock, struct policy_question *question, uint32_t scope)
{
	const char *names[NAMES_OF_ADDRESS_MAX];

	question->names = names;
	question->name_count = names_of(&sock->session->names, question->address, now_ms_coarse(), names);
	if (question->operation == POLICY_CONNECT || question->operation == POLICY_SEND)
		question->reach = reach_of(sock, question, scope);
	return policy_decide(sock->session->entry, question);
}

struct policy_decision
permission_ask(struct sock *sock, enum policy_operation operation, const struct sockaddr_storage *address)
{
	const struct policy_entry *entry = sock->session->entry;
	struct policy_question question = {.operation = operation, .protocol = protocol_of(sock)};
	struct policy_decision granted = {.allowed = true, .why = "no rules are about it"};
	uint32_t scope;

	/* Whoever has no rules has what its sockets were granted as: all addresses, or, of raw ones, all destinations. */
	if (entry && !policy_has_rules(entry) && (entry->sockets || sock_is_raw(sock) || sock_is_ping(sock)))
		return granted;
	/* To dissolve a connection. */
	if (address->ss_family == AF_UNSPEC)
		return granted;
	if (!take_apart(address, question.address, &question.port, &scope))
		return policy_decide(NULL, &question);
	if (sock_is_raw(sock) || sock_is_ping(sock))
		question.port = 0; /* what stands there is none */
	/* It was published when it was bound, and is where no client has asked to be. */
	if (sock->published && (operation == POLICY_BIND || operation == POLICY_LISTEN)) {
		memset(question.address, 0, sizeof question.address);
		question.port = sock->published;
		if (sock->family == AF_INET)
			question.address[10] = question.address[11] = 0xff;
	}
	return ask(sock, &question, scope);
}

bool
permission_for_packet(struct sock *sock, const uint8_t *packet, size_t len)
{
	struct policy_question question = {.operation = POLICY_SEND};
	bool v6 = sock->family == AF_INET6;

	if (!policy_has_rules(sock->session->entry))
		return true;
	if (len < (v6 ? 40u : 20u))
		return false;
	question.protocol = packet[v6 ? 6 : 9];
	if (v6) {
		memcpy(question.address, packet + 24, 16);
	} else {
		question.address[10] = question.address[11] = 0xff;
		memcpy(question.address + 12, packet + 16, 4);
	}
	return ask(sock, &question, 0).allowed;
}

/* ---- doing -------------------------------------------------------------------------------------- */

/* Binds to the source that the policy wants, unless the program has chosen one. */
static int
bind_source(struct sock *sock, const uint8_t source[16])
{
	struct sockaddr_storage local = {0}, wanted;
	socklen_t len = sizeof local;
	uint8_t ip[16];
	uint16_t port;
	uint32_t scope;
	static const uint8_t unspecified[16];
	bool any;

	if (getsockname(sock->host.fd, (struct sockaddr *)&local, &len) < 0)
		return -errno;
	if (!take_apart(&local, ip, &port, &scope))
		return -EAFNOSUPPORT;
	any = memcmp(policy_is_ip4(ip) ? ip + 12 : ip, unspecified, policy_is_ip4(ip) ? 4 : 16) == 0;
	if (!any)
		return 0; /* where it is, bind was allowed */
	/* At a port already, and so at every address: that cannot be changed any more. */
	if (port)
		return -EADDRNOTAVAIL;
	put_together(sock->family, source, 0, &wanted, &len);
	if (sock_is_stream(sock))
		setsockopt(sock->host.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
	return bind(sock->host.fd, (struct sockaddr *)&wanted, len) < 0 ? -errno : 0;
}

/* Marks and interfaces are the socket's until another rule says otherwise. */
static int
apply_egress(struct sock *sock, const struct policy_egress *egress)
{
	static const struct policy_egress plain;
	const struct policy_egress *before = &sock->egress, *now = egress ? egress : &plain;
	int fd = sock->host.fd;

	if ((now->has_mark || before->has_mark) && (now->has_mark != before->has_mark || now->mark != before->mark) &&
	    setsockopt(fd, SOL_SOCKET, SO_MARK, &now->mark, sizeof now->mark) < 0)
		return -errno;
	if (strcmp(now->interface, before->interface) != 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, now->interface, (socklen_t)strlen(now->interface) + 1) < 0)
		return -errno;
	sock->egress = *now;
	return now->has_source ? bind_source(sock, now->source) : 0;
}

static int
remember_rewrite(struct sock *sock, const struct rewrite *rewrite)
{
	struct rewrites *rewrites = sock->rewrites;

	if (!rewrites)
		rewrites = sock->rewrites = calloc(1, sizeof *rewrites);
	if (!rewrites)
		return -ENOBUFS;
	for (unsigned i = 0; i < rewrites->count; i++)
		if (is_same(&rewrites->list[i].real, &rewrite->real)) {
			rewrites->list[i] = *rewrite; /* two names of one address: the last one counts */
			return 0;
		}
	rewrites->list[rewrites->next] = *rewrite;
	rewrites->next = (rewrites->next + 1) % REWRITES_MAX;
	rewrites->count += rewrites->count < REWRITES_MAX;
	return 0;
}

/* What was replaced under this address before is now meant itself. */
static void
forget_rewrite(struct sock *sock, const struct sockaddr_storage *real)
{
	struct rewrites *rewrites = sock->rewrites;

	for (unsigned i = 0; rewrites && i < rewrites->count; i++)
		if (is_same(&rewrites->list[i].real, real))
			rewrites->list[i] = (struct rewrite){.asked_len = 0};
}

int
permission_apply(struct sock *sock, enum policy_operation operation, const struct policy_decision *decision,
                 struct sockaddr_storage *address, socklen_t *len)
{
	const struct policy_egress *egress = decision->egress;
	struct rewrite rewrite = {.asked = *address, .asked_len = *len};
	int error;

	if (operation == POLICY_BIND && decision->publish) {
		put_together(sock->family, decision->publish->address, decision->publish->host_port, address, len);
		return 0;
	}
	if (operation != POLICY_CONNECT && operation != POLICY_SEND)
		return 0;
	if (address->ss_family == AF_UNSPEC)
		return 0;
	error = apply_egress(sock, egress);
	if (error) {
		log_warning("session %016llx: what rule \"%s\" of client \"%s\" says of source, mark or interface cannot be done: %s",
		            (unsigned long long)sock->session->id, decision->rule ? decision->rule : "", sock->session->entry->name,
		            strerror(-error));
		return error;
	}
	if (!egress || !egress->has_rewrite) {
		forget_rewrite(sock, address);
		return 0;
	}
	put_together(sock->family, egress->rewrite, egress->rewrite_port, &rewrite.real, len);
	*address = rewrite.real;
	return remember_rewrite(sock, &rewrite);
}

/* ---- names -------------------------------------------------------------------------------------- */

void
rewrites_free(struct sock *sock)
{
	free(sock->rewrites);
	sock->rewrites = NULL;
}

void
permission_rename_peer(const struct sock *sock, struct sockaddr *name, socklen_t *len)
{
	struct sockaddr_storage real = {0};
	const struct rewrites *rewrites = sock->rewrites;

	if (!rewrites || *len > sizeof real)
		return;
	memcpy(&real, name, *len);
	for (unsigned i = 0; i < rewrites->count; i++)
		if (is_same(&rewrites->list[i].real, &real)) {
			*len = rewrites->list[i].asked_len;
			memcpy(name, &rewrites->list[i].asked, *len);
			return;
		}
}

void
permission_rename_local(const struct sock *sock, struct sockaddr *name, socklen_t len)
{
	bool everywhere = !sock->listener; /* connections that came in are at one address */
	struct sockaddr_storage local = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&local;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&local;

	if (!sock->published || len > sizeof local)
		return;
	memcpy(&local, name, len);
	if (local.ss_family == AF_INET) {
		in->sin_port = htons(sock->published);
		if (everywhere)
			in->sin_addr.s_addr = INADDR_ANY;
	} else if (local.ss_family == AF_INET6) {
		in6->sin6_port = htons(sock->published);
		if (everywhere)
			in6->sin6_addr = (struct in6_addr)IN6ADDR_ANY_INIT;
	}
	memcpy(name, &local, len);
}
