#include "gofer/resolver.h"

#include <arpa/nameser.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "gofer/dns.h"

struct query {
	struct dns_question question;
	uint8_t server[16];
};

/* Of a socket that has to do with a trusted resolver. */
struct resolver {
	bool peer; /* the socket's peer is one */
	uint8_t peer_address[16];

	struct query queries[RESOLVER_QUERIES_MAX]; /* name[0] 0: none */
	unsigned next;

	/* stream: an answer that has not come whole: its two bytes of length, then itself */
	uint8_t *answer;
	size_t len;
};

static bool
split(const struct sockaddr *name, uint8_t address[16], uint16_t *port)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)name;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)name;

	if (name->sa_family != AF_INET && name->sa_family != AF_INET6)
		return false;
	memcpy(address, name->sa_family == AF_INET6 ? v6->sin6_addr.s6_addr : (uint8_t[16]){[10] = 0xff, [11] = 0xff}, 16);
	if (name->sa_family == AF_INET)
		memcpy(address + 12, &v4->sin_addr, 4);
	*port = ntohs(name->sa_family == AF_INET ? v4->sin_port : v6->sin6_port);
	return true;
}

/* Is this a name server's address that the client's policy trusts? Its 16 bytes, too. */
static bool
is_trusted(const struct sock *sock, const struct sockaddr *name, uint8_t address[16])
{
	uint16_t port;

	return name && split(name, address, &port) && port == NS_DEFAULTPORT &&
	       policy_trusts_resolver(sock->session->entry, address);
}

static struct resolver *
resolver_of(struct sock *sock)
{
	if (!sock->resolver)
		sock->resolver = calloc(1, sizeof *sock->resolver);
	return sock->resolver; /* NULL: out of memory, and nothing is learned */
}

static void
learn(struct sock *sock, const struct dns_answer *answer)
{
	struct session *session = sock->session;

	for (size_t i = 0; i < answer->count; i++)
		if (!names_learn(&session->names, answer->addresses[i].address, answer->question.name, answer->addresses[i].ttl, now_ms()))
			return;
}

void
resolver_note_peer(struct sock *sock, const struct sockaddr *peer)
{
	uint8_t address[16];
	bool trusted = is_trusted(sock, peer, address);

	if (!trusted && !sock->resolver)
		return;
	if (!resolver_of(sock))
		return;
	sock->resolver->peer = trusted;
	memcpy(sock->resolver->peer_address, address, sizeof address);
}

void
resolver_note_sent(struct sock *sock, const struct sockaddr *to, const uint8_t *data, size_t len)
{
	uint8_t server[16];
	struct query *query;

	if (to ? !is_trusted(sock, to, server) : !sock->resolver || !sock->resolver->peer)
		return;
	if (!resolver_of(sock))
		return;
	if (!to)
		memcpy(server, sock->resolver->peer_address, sizeof server);
	query = &sock->resolver->queries[sock->resolver->next];
	if (!dns_read_query(&query->question, data, len)) {
		query->question.name[0] = '\0';
		return;
	}
	memcpy(query->server, server, sizeof server);
	sock->resolver->next = (sock->resolver->next + 1) % RESOLVER_QUERIES_MAX;
}

void
resolver_note_received(struct sock *sock, const struct sockaddr *from, const uint8_t *data, size_t len)
{
	struct resolver *resolver = sock->resolver;
	struct dns_answer answer;
	uint8_t server[16];

	if (!resolver || (from ? !is_trusted(sock, from, server) : !resolver->peer) || !dns_read_answer(&answer, data, len))
		return;
	if (!from)
		memcpy(server, resolver->peer_address, sizeof server);
	for (int i = 0; i < RESOLVER_QUERIES_MAX; i++) {
		struct query *query = &resolver->queries[i];

		if (query->question.id != answer.question.id || query->question.type != answer.question.type ||
		    memcmp(query->server, server, sizeof server) != 0 || strcmp(query->question.name, answer.question.name) != 0)
			continue;
		query->question.name[0] = '\0'; /* it is answered */
		learn(sock, &answer);
		return;
	}
}

void
resolver_note_stream(struct sock *sock, const uint8_t *data, size_t len)
{
	struct resolver *resolver = sock->resolver;
	struct dns_answer answer;

	if (!resolver || !resolver->peer)
		return;
	if (!resolver->answer)
		resolver->answer = malloc(2 + UINT16_MAX);
	while (resolver->answer && len) {
		size_t whole = resolver->len < 2 ? 2 : 2u + ns_get16(resolver->answer), part = whole - resolver->len;

		if (part > len)
			part = len;
		memcpy(resolver->answer + resolver->len, data, part);
		resolver->len += part;
		data += part;
		len -= part;
		if (resolver->len < 2 || resolver->len < 2u + ns_get16(resolver->answer))
			continue;
		if (dns_read_answer(&answer, resolver->answer + 2, resolver->len - 2))
			learn(sock, &answer);
		resolver->len = 0;
	}
}

void
resolver_free(struct sock *sock)
{
	if (sock->resolver)
		free(sock->resolver->answer);
	free(sock->resolver);
	sock->resolver = NULL;
}
