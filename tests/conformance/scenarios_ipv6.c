/* What only IPv6 has: mapped addresses, dual stack, scopes. */
#include "tests/conformance/scenario.h"

static int
dual_listener(bool v6only)
{
	int fd = tcp_socket(AF_INET6);
	struct address at = wildcard(AF_INET6, 0);

	set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
	must("bind", bind(fd, SA(&at), at.length));
	must("listen", listen(fd, 8));
	return fd;
}

SCENARIO(ipv6, dual_stack_listener)
{
	int listener = dual_listener(false), fd = tcp_socket(AF_INET), server;
	struct address at = loopback(AF_INET, port_of(listener)), from = {.length = sizeof from.storage};

	observe_local("listener", listener);
	observe_call("connect v4", connect_fd(fd, &at));
	observe_local("client", fd);
	wait_for(listener, POLLIN);
	server = observe_fd("accept", accept(listener, SA(&from), &from.length));
	observe_address("from", &from.storage, from.length);
	observe_local("server", server);
	observe_peer("server", server);
	observe_option("SO_DOMAIN", server, SOL_SOCKET, SO_DOMAIN);
	at = loopback(AF_INET6, port_of(listener));
	fd = tcp_socket(AF_INET6);
	observe_call("connect v6", connect_fd(fd, &at));
	server = accept_from(listener);
	observe_local("server", server);
	observe_peer("server", server);
}

SCENARIO(ipv6, v6only_listener)
{
	int listener = dual_listener(true);
	struct address v4 = loopback(AF_INET, port_of(listener)), v6 = loopback(AF_INET6, port_of(listener));

	observe_call("connect v4", connect_fd(tcp_socket(AF_INET), &v4));
	observe_call("connect v6", connect_fd(tcp_socket(AF_INET6), &v6));
	observe_set_option("after bind", listener, IPPROTO_IPV6, IPV6_V6ONLY, 0);
}

SCENARIO(ipv6, mapped_connect)
{
	int listener = tcp_listener(AF_INET), fd = tcp_socket(AF_INET6), server;
	struct address at = literal("::ffff:127.0.0.1", port_of(listener));

	observe_call("connect", connect_fd(fd, &at));
	observe_local("client", fd);
	observe_peer("client", fd);
	server = accept_from(listener);
	observe_peer("server", server);
	send_text(fd, "mapped");
	observe_recv("server", server, 10, 0);
}

SCENARIO(ipv6, mapped_connect_v6only)
{
	int fd = tcp_socket(AF_INET6);
	struct address at = literal("::ffff:127.0.0.1", port_of(tcp_listener(AF_INET)));

	set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	observe_call("connect", connect_fd(fd, &at));
	at = literal("::ffff:127.0.0.1", 0);
	observe_call("bind", bind(fd, SA(&at), at.length));
}

SCENARIO(ipv6, mapped_refused)
{
	int fd = tcp_socket(AF_INET6);
	struct address at = literal("::ffff:127.0.0.1", port_of(tcp_bound(AF_INET)));

	observe_call("connect", connect_fd(fd, &at));
}

SCENARIO(ipv6, mapped_bind)
{
	int fd = tcp_socket(AF_INET6), client = tcp_socket(AF_INET);
	struct address at = literal("::ffff:127.0.0.1", 0);

	observe_call("bind", bind(fd, SA(&at), at.length));
	observe_local("bound", fd);
	observe_call("listen", listen(fd, 4));
	at = loopback(AF_INET, port_of(fd));
	observe_call("connect v4", connect_fd(client, &at));
	at = loopback(AF_INET6, port_of(fd));
	observe_call("connect v6", connect_fd(tcp_socket(AF_INET6), &at));
	observe_peer("server", accept_from(fd));
}

SCENARIO(ipv6, mapped_udp)
{
	int dual = udp_socket(AF_INET6), v4 = udp_bound(AF_INET);
	struct address at = wildcard(AF_INET6, 0);

	must("bind", bind(dual, SA(&at), at.length));
	at = loopback(AF_INET, port_of(dual));
	observe_local("v4", v4);
	observe_call("sendto", sendto(v4, "up", 2, 0, SA(&at), at.length));
	wait_for(dual, POLLIN);
	observe_recvfrom("dual", dual, 10, 0);
	at = literal("::ffff:127.0.0.1", port_of(v4));
	observe_call("sendto", sendto(dual, "down", 4, 0, SA(&at), at.length));
	wait_for(v4, POLLIN);
	observe_recvfrom("v4", v4, 10, 0);
	observe_call("connect", connect_fd(dual, &at));
	observe_local("dual", dual);
	observe_peer("dual", dual);
}

SCENARIO(ipv6, udp_v4_address)
{
	int fd = udp_socket(AF_INET6), v4 = udp_bound(AF_INET);
	struct address at = local_of(v4);

	/* A v6 datagram socket takes a plain AF_INET address as well. */
	observe_call("sendto", sendto(fd, "x", 1, 0, SA(&at), at.length));
	wait_for(v4, POLLIN);
	observe_recv("v4", v4, 10, MSG_DONTWAIT);
	observe_call("connect", connect_fd(fd, &at));
	observe_peer("fd", fd);
	observe_call("tcp connect", connect_fd(tcp_socket(AF_INET6), &at));
}

SCENARIO(ipv6, wildcard_conflict)
{
	int v4 = tcp_socket(AF_INET), dual = tcp_socket(AF_INET6), only = tcp_socket(AF_INET6), rc = -1;
	struct address at = wildcard(AF_INET, 0);

	must("bind", bind(v4, SA(&at), at.length));
	at = wildcard(AF_INET6, port_of(v4));
	observe_call("dual", bind(dual, SA(&at), at.length));
	set_option(only, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	/* Somebody else may have the port on IPv6, though not five times. */
	for (int i = 0; i < 5 && rc < 0; i++) {
		rc = bind(only, SA(&at), at.length);
		if (rc < 0) {
			v4 = tcp_socket(AF_INET);
			at = wildcard(AF_INET, 0);
			must("bind", bind(v4, SA(&at), at.length));
			at = wildcard(AF_INET6, port_of(v4));
		}
	}
	observe_call("v6only", rc);
}

SCENARIO(ipv6, short_sockaddr)
{
	int fd = tcp_socket(AF_INET6);
	struct address at = local_of(tcp_listener(AF_INET6));

	/* RFC 2133's sockaddr_in6 had no scope id: 24 bytes are enough. */
	observe_call("24", connect(fd, SA(&at), 24));
	observe_peer("client", fd);
	observe_call("23", connect(tcp_socket(AF_INET6), SA(&at), 23));
}

SCENARIO(ipv6, flow_label_and_scope_ignored)
{
	int fd = tcp_socket(AF_INET6);
	struct address at = local_of(tcp_listener(AF_INET6));

	((struct sockaddr_in6 *)&at.storage)->sin6_scope_id = 5;
	observe_call("connect", connect_fd(fd, &at));
	observe_peer("client", fd);
	observe_local("client", fd);
}

SCENARIO(ipv6, addrform)
{
	int fd = tcp_socket(AF_INET6), listener = tcp_listener(AF_INET);
	struct address at = literal("::ffff:127.0.0.1", port_of(listener));

	observe_set_option("IPV6_ADDRFORM unconnected", fd, IPPROTO_IPV6, IPV6_ADDRFORM, AF_INET);
	must("connect", connect_fd(fd, &at));
	observe_option("IPV6_ADDRFORM", fd, IPPROTO_IPV6, IPV6_ADDRFORM);
}

SCENARIO(ipv6, multicast_without_interface)
{
	int tcp = tcp_socket(AF_INET6);
	struct address at = literal("ff02::1", 80);

	observe_call("tcp connect", connect_fd(tcp, &at));
	observe_call("udp bind", bind(udp_socket(AF_INET6), SA(&at), at.length));
}
