/* Link-local addresses, which mean something only with an interface: the scope id that a name is given, and the one that is told. */
#include "tests/conformance/message.h"

#include <net/if.h>

enum { NO_SUCH_INTERFACE = 99999 };

static struct address
scoped(struct address at, uint32_t scope)
{
	((struct sockaddr_in6 *)&at.storage)->sin6_scope_id = scope;
	return at;
}

static uint32_t
scope_of(const struct address *at)
{
	return ((const struct sockaddr_in6 *)&at->storage)->sin6_scope_id;
}

/* Each scope id that bind() may be given with our own address. */
static void
observe_binds(int (*new_socket)(int family))
{
	struct address at = link_local(LINK_NAME, 0);
	struct {
		const char *what;
		uint32_t scope;
	} cases[] = {
		{"bind, no scope", 0},
		{"bind, no such scope", NO_SUCH_INTERFACE},
		{"bind, lo's scope", if_nametoindex("lo")},
		{"bind, the other's scope", if_nametoindex(LINK_OTHER_NAME)},
		{"bind", scope_of(&at)},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct address with = scoped(at, cases[i].scope);
		int fd = new_socket(AF_INET6);

		observe_call(cases[i].what, bind(fd, SA(&with), with.length));
		observe_local(cases[i].what, fd);
	}
}

SCENARIO(link_local, binds)
{
	observe_binds(tcp_socket);
	observe_binds(udp_socket);
}

/* One socket that is refused meets the right scope afterwards. */
SCENARIO(link_local, bound_at_last)
{
	struct address at = link_local(LINK_NAME, 0), without = scoped(at, 0), wrong = scoped(at, NO_SUCH_INTERFACE);
	int fd = tcp_socket(AF_INET6);

	observe_call("no scope", bind(fd, SA(&without), without.length));
	observe_call("no such scope", bind(fd, SA(&wrong), wrong.length));
	observe_call("24 bytes", bind(fd, SA(&at), 24));
	observe_call("bind", bind(fd, SA(&at), at.length));
	observe_option("SO_BINDTOIFINDEX", fd, SOL_SOCKET, SO_BINDTOIFINDEX);
	observe_local("local", fd);
}

SCENARIO(link_local, stream)
{
	int listener, client = tcp_socket(AF_INET6), server;
	struct address at, from = {.length = sizeof from.storage}, other;

	loopback_kind = LOOPBACK_LINK_LOCAL;
	listener = tcp_listener(AF_INET6);
	observe_local("listener", listener);
	at = local_of(listener);
	other = scoped(at, 0);
	observe_call("connect, no scope", connect_fd(client, &other));
	other = scoped(at, NO_SUCH_INTERFACE);
	observe_call("connect, no such scope", connect_fd(tcp_socket(AF_INET6), &other));
	observe_call("connect", connect_fd(client, &at));
	observe_local("client", client);
	observe_peer("client", client);
	wait_for(listener, POLLIN);
	server = observe_fd("accept", accept(listener, SA(&from), &from.length));
	observe_address("from", &from.storage, from.length);
	observe_local("server", server);
	observe_peer("server", server);
	send_text(client, "scoped");
	observe_recv("server", server, 10, 0);
	observe_option("SO_BINDTOIFINDEX of the client", client, SOL_SOCKET, SO_BINDTOIFINDEX);
	observe_option("SO_BINDTOIFINDEX of the server", server, SOL_SOCKET, SO_BINDTOIFINDEX);
}

/* A socket that is bound to a device has its scope, and no other. */
static void
observe_device(const char *what, int fd, const struct address *at)
{
	struct address without = scoped(*at, 0), other = scoped(*at, if_nametoindex(LINK_OTHER_NAME));

	observe_set_option(what, fd, SOL_SOCKET, SO_BINDTOIFINDEX, (int)scope_of(at));
	observe_call("connect, the other's scope", connect_fd(fd, &other));
	observe_call("connect, the device says it", connect_fd(fd, &without));
	observe_local("local", fd);
	observe_peer("peer", fd);
}

/* A connect that fails for its scope binds the socket to that all the same. */
SCENARIO(link_local, wrong_scope_stays)
{
	struct address at, wrong;
	int fds[] = {tcp_socket(AF_INET6), udp_socket(AF_INET6)};

	loopback_kind = LOOPBACK_LINK_LOCAL;
	for (int i = 0; i < 2; i++) {
		at = local_of(i ? udp_bound(AF_INET6) : tcp_listener(AF_INET6));
		wrong = scoped(at, NO_SUCH_INTERFACE);
		observe_call("connect, no such scope", connect_fd(fds[i], &wrong));
		observe_option("SO_BINDTOIFINDEX", fds[i], SOL_SOCKET, SO_BINDTOIFINDEX);
		observe_call("connect", connect_fd(fds[i], &at));
		observe_local("local", fds[i]);
		observe_peer("peer", fds[i]);
	}
}

SCENARIO(link_local, device_says_it)
{
	struct address stream, datagram;

	loopback_kind = LOOPBACK_LINK_LOCAL;
	stream = local_of(tcp_listener(AF_INET6));
	datagram = local_of(udp_bound(AF_INET6));
	observe_device("stream", tcp_socket(AF_INET6), &stream);
	observe_device("datagram", udp_socket(AF_INET6), &datagram);
}

/* Each end of the cable names the other by its own interface. */
SCENARIO(link_local, stream_over_the_cable)
{
	struct address at, from = {.length = sizeof from.storage};
	int listener, client = tcp_socket(AF_INET6), server;

	loopback_kind = LOOPBACK_LINK_LOCAL;
	listener = tcp_listener(AF_INET6);
	at = local_of(listener);
	at = scoped(at, if_nametoindex(LINK_OTHER_NAME));
	observe_call("connect", connect_fd(client, &at));
	observe_local("client", client);
	observe_peer("client", client);
	wait_for(listener, POLLIN);
	server = observe_fd("accept", accept(listener, SA(&from), &from.length));
	observe_address("from", &from.storage, from.length);
	observe_local("server", server);
	observe_peer("server", server);
	send_text(client, "over the cable");
	observe_recv("server", server, 20, 0);
}

SCENARIO(link_local, datagrams)
{
	int receiver, sender = udp_socket(AF_INET6);
	struct address at, other, from = {.length = sizeof from.storage};
	char text[20];

	loopback_kind = LOOPBACK_LINK_LOCAL;
	receiver = udp_bound(AF_INET6);
	observe_local("receiver", receiver);
	at = local_of(receiver);
	other = scoped(at, 0);
	observe_call("sendto, no scope", sendto(sender, "x", 1, 0, SA(&other), other.length));
	observe_call("connect, no scope", connect_fd(sender, &other));
	other = scoped(at, NO_SUCH_INTERFACE);
	observe_call("sendto, no such scope", sendto(sender, "x", 1, 0, SA(&other), other.length));
	observe_call("connect, no such scope", connect_fd(udp_socket(AF_INET6), &other));
	observe_call("sendto", sendto(sender, "scoped", 6, 0, SA(&at), at.length));
	wait_for(receiver, POLLIN);
	must("recvfrom", recvfrom(receiver, text, sizeof text, 0, SA(&from), &from.length));
	observe_address("from", &from.storage, from.length);
	observe_call("sendto, back", sendto(receiver, "back", 4, 0, SA(&from), from.length));
	wait_for(sender, POLLIN);
	observe_recvfrom("sender", sender, 10, 0);
	observe_call("connect", connect_fd(sender, &at));
	observe_local("sender", sender);
	observe_peer("sender", sender);
	send_text(sender, "connected");
	wait_for(receiver, POLLIN);
	observe_recvfrom("receiver", receiver, 20, 0);
	other = scoped(at, if_nametoindex(LINK_OTHER_NAME));
	observe_call("sendto, the other's scope", sendto(sender, "cable", 5, 0, SA(&other), other.length));
}

SCENARIO(link_local, datagram_over_the_cable)
{
	int receiver, sender = udp_socket(AF_INET6);
	struct address at;

	loopback_kind = LOOPBACK_LINK_LOCAL;
	receiver = udp_bound(AF_INET6);
	at = local_of(receiver);
	at = scoped(at, if_nametoindex(LINK_OTHER_NAME));
	observe_call("sendto", sendto(sender, "over the cable", 14, 0, SA(&at), at.length));
	wait_for(receiver, POLLIN);
	observe_recvfrom("receiver", receiver, 20, 0);
	observe_local("sender", sender);
}

/* Options and control messages that name the interface, in place of a scope id. */
SCENARIO(link_local, interface_by_option)
{
	int receiver, sender = udp_socket(AF_INET6), scope;
	struct address at, without;

	loopback_kind = LOOPBACK_LINK_LOCAL;
	receiver = udp_bound(AF_INET6);
	at = local_of(receiver);
	without = scoped(at, 0);
	scope = (int)scope_of(&at);
	observe_set_option("IPV6_UNICAST_IF", sender, IPPROTO_IPV6, IPV6_UNICAST_IF, (int)htonl((uint32_t)scope));
	observe_call("sendto, IPV6_UNICAST_IF says it", sendto(sender, "if", 2, 0, SA(&without), without.length));
	observe_quiet("receiver", receiver, POLLIN);
}

/* Of one that listens everywhere: the scope is the interface that a packet came by. */
SCENARIO(link_local, wildcard)
{
	int listener = tcp_socket(AF_INET6), client = tcp_socket(AF_INET6), receiver = udp_socket(AF_INET6), sender = udp_socket(AF_INET6), server;
	struct address any = wildcard(AF_INET6, 0), at, from = {.length = sizeof from.storage};

	must("bind", bind(listener, SA(&any), any.length));
	must("listen", listen(listener, 5));
	must("bind", bind(receiver, SA(&any), any.length));
	at = link_local(LINK_NAME, port_of(listener));
	observe_call("connect", connect_fd(client, &at));
	wait_for(listener, POLLIN);
	server = observe_fd("accept4", accept4(listener, SA(&from), &from.length, SOCK_CLOEXEC));
	observe_address("from", &from.storage, from.length);
	observe_local("server", server);
	observe_peer("server", server);
	at = link_local(LINK_NAME, port_of(receiver));
	observe_call("sendto", sendto(sender, "scoped", 6, 0, SA(&at), at.length));
	wait_for(receiver, POLLIN);
	observe_recvfrom("receiver", receiver, 10, 0);
}

/* Of no interface of ours: nobody answers for it on the cable. */
SCENARIO(link_local, nobody_there)
{
	struct address nobody = link_local(LINK_NAME, 9);
	int fd = tcp_socket(AF_INET6);

	((struct sockaddr_in6 *)&nobody.storage)->sin6_addr.s6_addr[15] = 0xcc;
	/* The least that can be had is one second. */
	set_option(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 500);
	observe_call("connect", connect_fd(fd, &nobody));
	observe_peer("peer", fd);
	observe_so_error("error", fd);
}
