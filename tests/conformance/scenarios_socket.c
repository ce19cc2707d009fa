/* socket(), bind(), listen() and what an fd is before anything else happened to it. */
#include "tests/conformance/scenario.h"

#include <sys/resource.h>

SCENARIO(socket, bad_family)
{
	observe_fd("family -1", socket(-1, SOCK_STREAM, 0));
	observe_fd("family 0", socket(AF_UNSPEC, SOCK_STREAM, 0));
	observe_fd("family 45", socket(45, SOCK_STREAM, 0));
	observe_fd("family 1000", socket(1000, SOCK_STREAM, 0));
}

SCENARIO_V4_V6(socket, bad_type)
{
	observe_fd("type 0", socket(family, 0, 0));
	observe_fd("type 7", socket(family, 7, 0));
	observe_fd("type 15", socket(family, 15, 0));
	observe_fd("SOCK_SEQPACKET", socket(family, SOCK_SEQPACKET, 0));
	observe_fd("SOCK_RDM", socket(family, SOCK_RDM, 0));
	observe_fd("SOCK_PACKET", socket(family, SOCK_PACKET, 0));
	observe_fd("unknown flag", socket(family, SOCK_STREAM | 0x100, 0));
	observe_fd("type -1", socket(family, -1, 0));
}

SCENARIO_V4_V6(socket, protocols)
{
	observe_fd("stream tcp", socket(family, SOCK_STREAM, IPPROTO_TCP));
	observe_fd("stream udp", socket(family, SOCK_STREAM, IPPROTO_UDP));
	observe_fd("stream 255", socket(family, SOCK_STREAM, IPPROTO_RAW));
	observe_fd("stream 1000", socket(family, SOCK_STREAM, 1000));
	observe_fd("stream -1", socket(family, SOCK_STREAM, -1));
	observe_fd("dgram udp", socket(family, SOCK_DGRAM, IPPROTO_UDP));
	observe_fd("dgram tcp", socket(family, SOCK_DGRAM, IPPROTO_TCP));
	observe_fd("dgram 1000", socket(family, SOCK_DGRAM, 1000));
	observe_fd("raw 0", socket(family, SOCK_RAW, 0));
}

SCENARIO_V4_V6(socket, type_flags)
{
	observe_fd_flags("plain", tcp_socket(family));
	observe_fd_flags("cloexec", socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	observe_fd_flags("nonblock", socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0));
	observe_fd_flags("both", socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

SCENARIO(socket, lowest_number)
{
	int first = tcp_socket(AF_INET), second = udp_socket(AF_INET), third;

	close(first);
	third = tcp_socket(AF_INET6);
	OBSERVE("reused %d, next %d", third == first, second - first);
}

SCENARIO(socket, too_many_files)
{
	int last = tcp_socket(AF_INET);
	struct rlimit limit = {.rlim_cur = (rlim_t)last + 1, .rlim_max = (rlim_t)last + 1};

	must("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
	observe_fd("socket", socket(AF_INET, SOCK_STREAM, 0));
	observe_fd("udp socket", socket(AF_INET6, SOCK_DGRAM, 0));
	close(last);
	observe_fd("socket after close", socket(AF_INET, SOCK_STREAM, 0));
}

SCENARIO_V4_V6(accept, too_many_files)
{
	int listener = tcp_listener(family), fd = tcp_socket(family);
	struct address at = local_of(listener);
	struct rlimit limit = {.rlim_cur = (rlim_t)fd + 1, .rlim_max = (rlim_t)fd + 1};

	must("connect", connect_fd(fd, &at));
	wait_for(listener, POLLIN);
	must("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
	observe_fd("accept", accept(listener, NULL, NULL));
	/* The connection stays in the queue. */
	observe_poll("listener", listener, POLLIN, POLLIN);
	close(fd);
	observe_fd("accept after close", accept(listener, NULL, NULL));
}

SCENARIO_V4_V6(socket, identity_options)
{
	int tcp = tcp_socket(family), udp = udp_socket(family);

	observe_option("tcp SO_TYPE", tcp, SOL_SOCKET, SO_TYPE);
	observe_option("tcp SO_DOMAIN", tcp, SOL_SOCKET, SO_DOMAIN);
	observe_option("tcp SO_PROTOCOL", tcp, SOL_SOCKET, SO_PROTOCOL);
	observe_option("tcp SO_ACCEPTCONN", tcp, SOL_SOCKET, SO_ACCEPTCONN);
	observe_option("udp SO_TYPE", udp, SOL_SOCKET, SO_TYPE);
	observe_option("udp SO_DOMAIN", udp, SOL_SOCKET, SO_DOMAIN);
	observe_option("udp SO_PROTOCOL", udp, SOL_SOCKET, SO_PROTOCOL);
	observe_option("udp SO_ACCEPTCONN", udp, SOL_SOCKET, SO_ACCEPTCONN);
}

SCENARIO_V4_V6(socket, fresh_names)
{
	int tcp = tcp_socket(family), udp = udp_socket(family);

	observe_local("tcp", tcp);
	observe_peer("tcp", tcp);
	observe_local("udp", udp);
	observe_peer("udp", udp);
}

SCENARIO_V4_V6(socket, fresh_poll)
{
	short all = POLLIN | POLLPRI | POLLOUT | POLLRDHUP;

	observe_poll("tcp", tcp_socket(family), all, POLLHUP);
	observe_poll("udp", udp_socket(family), all, POLLOUT);
	observe_poll("tcp bound", tcp_bound(family), all, POLLHUP);
	observe_poll("udp bound", udp_bound(family), all, POLLOUT);
	observe_poll("tcp listening", tcp_listener(family), all, 0);
}

SCENARIO_V4_V6(socket, fresh_io)
{
	int fd = tcp_socket(family);

	count_signal(SIGPIPE, SA_RESTART);
	observe_recv("recv", fd, 10, 0);
	observe_recv("recv MSG_DONTWAIT", fd, 10, MSG_DONTWAIT);
	observe_call("send", send(fd, "x", 1, 0));
	OBSERVE("SIGPIPE %d", signals_counted());
	observe_call("send MSG_NOSIGNAL", send(fd, "x", 1, MSG_NOSIGNAL));
	OBSERVE("SIGPIPE %d", signals_counted());
	observe_call("shutdown", shutdown(fd, SHUT_RDWR));
	observe_so_error("fresh", fd);
}

SCENARIO_V4_V6(bind, any_port)
{
	struct address at = loopback(family, 0);
	int fd = tcp_socket(family);

	observe_call("bind", bind(fd, SA(&at), at.length));
	observe_local("bound", fd);
	observe_peer("bound", fd);
	OBSERVE("port chosen %d", port_of(fd) != 0);
}

SCENARIO_V4_V6(bind, wildcard)
{
	struct address at = wildcard(family, 0);
	int tcp = tcp_socket(family), udp = udp_socket(family);

	observe_call("tcp bind", bind(tcp, SA(&at), at.length));
	observe_local("tcp", tcp);
	observe_call("udp bind", bind(udp, SA(&at), at.length));
	observe_local("udp", udp);
}

SCENARIO_V4_V6(bind, chosen_port)
{
	int first = tcp_bound(family), second = tcp_socket(family);
	struct address at = local_of(first);

	observe_local("first", first);
	close(first);
	set_option(second, SOL_SOCKET, SO_REUSEADDR, 1);
	observe_call("bind", bind(second, SA(&at), at.length));
	observe_local("second", second);
}

SCENARIO_V4_V6(bind, in_use)
{
	struct address tcp_at = local_of(tcp_bound(family)), udp_at = local_of(udp_bound(family));
	int tcp = tcp_socket(family), udp = udp_socket(family);

	observe_call("tcp bind", bind(tcp, SA(&tcp_at), tcp_at.length));
	observe_local("tcp after", tcp);
	observe_call("udp bind", bind(udp, SA(&udp_at), udp_at.length));
	observe_local("udp after", udp);
	/* The socket is none the worse for it. */
	tcp_at = loopback(family, 0);
	observe_call("tcp bind", bind(tcp, SA(&tcp_at), tcp_at.length));
}

SCENARIO_V4_V6(bind, twice)
{
	struct address at = loopback(family, 0);
	int tcp = tcp_bound(family), udp = udp_bound(family);

	observe_call("tcp", bind(tcp, SA(&at), at.length));
	observe_call("udp", bind(udp, SA(&at), at.length));
}

SCENARIO_V4_V6(bind, not_our_address)
{
	struct address at = literal(family == AF_INET ? "198.51.100.7" : "2001:db8::7", 0);
	int tcp = tcp_socket(family), udp = udp_socket(family);

	observe_call("tcp", bind(tcp, SA(&at), at.length));
	observe_call("udp", bind(udp, SA(&at), at.length));
	observe_local("tcp", tcp);
}

SCENARIO_V4_V6(bind, address_lengths)
{
	struct address at = loopback(family, 0);

	observe_call("0", bind(tcp_socket(family), SA(&at), 0));
	observe_call("1", bind(tcp_socket(family), SA(&at), 1));
	observe_call("short", bind(tcp_socket(family), SA(&at), at.length - 5));
	observe_call("long", bind(tcp_socket(family), SA(&at), sizeof at.storage));
	observe_call("too long", bind(tcp_socket(family), SA(&at), sizeof at.storage + 1));
	observe_call("negative", bind(tcp_socket(family), SA(&at), (socklen_t)-1));
	observe_call("udp short", bind(udp_socket(family), SA(&at), at.length - 5));
}

SCENARIO_V4_V6(bind, wrong_family)
{
	struct address other = loopback(family == AF_INET ? AF_INET6 : AF_INET, 0), same = loopback(family, 0);

	observe_call("other", bind(tcp_socket(family), SA(&other), other.length));
	observe_call("udp other", bind(udp_socket(family), SA(&other), other.length));
	other.length = sizeof(struct sockaddr_in6);
	observe_call("other, long", bind(tcp_socket(family), SA(&other), other.length));
	SA(&same)->sa_family = AF_UNIX;
	observe_call("AF_UNIX", bind(tcp_socket(family), SA(&same), same.length));
	SA(&same)->sa_family = AF_UNSPEC;
	observe_call("AF_UNSPEC loopback", bind(tcp_socket(family), SA(&same), same.length));
	same = wildcard(family, 0);
	SA(&same)->sa_family = AF_UNSPEC;
	observe_call("AF_UNSPEC wildcard", bind(tcp_socket(family), SA(&same), same.length));
}

SCENARIO_V4_V6(bind, after_connect)
{
	struct pair pair = tcp_pair(family);
	struct address at = loopback(family, 0);

	observe_call("client", bind(pair.client, SA(&at), at.length));
	observe_call("server", bind(pair.server, SA(&at), at.length));
}

SCENARIO(bind, multicast_address)
{
	struct address at = literal("224.0.0.251", 0);

	observe_call("tcp", bind(tcp_socket(AF_INET), SA(&at), at.length));
	observe_call("udp", bind(udp_socket(AF_INET), SA(&at), at.length));
}

SCENARIO(bind, other_loopback_addresses)
{
	struct address at = literal("127.1.2.3", 0);
	int listener = tcp_socket(AF_INET), fd = tcp_socket(AF_INET);

	observe_call("bind", bind(listener, SA(&at), at.length));
	must("listen", listen(listener, 4));
	at = literal("127.9.9.9", 0);
	observe_call("bind client", bind(fd, SA(&at), at.length));
	at = local_of(listener);
	observe_call("connect", connect_fd(fd, &at));
	observe_local("client", fd);
	observe_peer("client", fd);
	fd = accept_from(listener);
	observe_local("server", fd);
	observe_peer("server", fd);
}

SCENARIO_V4_V6(bind, reuseaddr)
{
	int first = tcp_socket(family), second = tcp_socket(family), third = tcp_socket(family);
	struct address at = loopback(family, 0);

	set_option(first, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(second, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(third, SOL_SOCKET, SO_REUSEADDR, 1);
	must("bind", bind(first, SA(&at), at.length));
	at = local_of(first);
	observe_call("bind second", bind(second, SA(&at), at.length));
	observe_call("listen first", listen(first, 4));
	observe_call("listen second", listen(second, 4));
	observe_call("bind third", bind(third, SA(&at), at.length));
}

SCENARIO_V4_V6(bind, reuseport)
{
	int first = tcp_socket(family), second = tcp_socket(family), third = tcp_socket(family);
	struct address at = loopback(family, 0);

	set_option(first, SOL_SOCKET, SO_REUSEPORT, 1);
	set_option(second, SOL_SOCKET, SO_REUSEPORT, 1);
	must("bind", bind(first, SA(&at), at.length));
	at = local_of(first);
	observe_call("bind second", bind(second, SA(&at), at.length));
	observe_call("listen first", listen(first, 4));
	observe_call("listen second", listen(second, 4));
	observe_call("bind third", bind(third, SA(&at), at.length));
}

SCENARIO_V4_V6(bind, udp_reuse)
{
	int first = udp_socket(family), second = udp_socket(family), third = udp_socket(family);
	struct address at = loopback(family, 0);

	set_option(first, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(second, SOL_SOCKET, SO_REUSEADDR, 1);
	must("bind", bind(first, SA(&at), at.length));
	at = local_of(first);
	observe_call("bind second", bind(second, SA(&at), at.length));
	observe_call("bind third", bind(third, SA(&at), at.length));
}

SCENARIO_V4_V6(bind, reuseaddr_after_time_wait)
{
	int listener = tcp_listener(family), again = tcp_socket(family), fd = tcp_socket(family), server;
	struct address at = local_of(listener);

	must("connect", connect_fd(fd, &at));
	server = accept_from(listener);
	/* The server closes first, so that the port is left in TIME_WAIT. */
	close(server);
	observe_recv("client", fd, 10, 0);
	close(fd);
	close(listener);
	pause_ms(50);
	observe_call("bind", bind(again, SA(&at), at.length));
	set_option(again, SOL_SOCKET, SO_REUSEADDR, 1);
	observe_call("bind with SO_REUSEADDR", bind(again, SA(&at), at.length));
	observe_call("listen", listen(again, 4));
}

SCENARIO_V4_V6(listen, unbound)
{
	int listener = tcp_socket(family), fd = tcp_socket(family);
	struct address at;

	observe_call("listen", listen(listener, 4));
	observe_local("listening", listener);
	at = loopback(family, port_of(listener));
	observe_call("connect", connect_fd(fd, &at));
	observe_peer("client", fd);
}

SCENARIO_V4_V6(listen, states)
{
	struct pair pair = tcp_pair(family);
	int listener = tcp_listener(family);
	struct address at = local_of(listener);

	observe_call("again", listen(listener, 5));
	observe_call("zero", listen(listener, 0));
	observe_call("negative", listen(listener, -1));
	observe_option("SO_ACCEPTCONN", listener, SOL_SOCKET, SO_ACCEPTCONN);
	observe_call("connected", listen(pair.client, 4));
	observe_call("accepted", listen(pair.server, 4));
	observe_call("udp", listen(udp_bound(family), 4));
	observe_call("connect a listener", connect_fd(listener, &at));
	observe_peer("listener", listener);
	observe_recv("recv", listener, 10, 0);
	observe_call("send", send(listener, "x", 1, MSG_NOSIGNAL));
	observe_tcp_state("listener", listener, TCP_LISTEN);
}

SCENARIO_V4_V6(listen, shutdown_listener)
{
	int listener = tcp_listener(family), fd = tcp_socket(family);
	struct address at = local_of(listener);

	observe_call("shutdown SHUT_WR", shutdown(listener, SHUT_WR));
	observe_call("shutdown SHUT_RD", shutdown(listener, SHUT_RD));
	observe_poll("after", listener, POLLIN | POLLOUT | POLLRDHUP, POLLHUP);
	observe_fd("accept", accept(listener, NULL, NULL));
	observe_call("connect", connect_fd(fd, &at));
	observe_option("SO_ACCEPTCONN", listener, SOL_SOCKET, SO_ACCEPTCONN);
	observe_call("listen again", listen(listener, 4));
	observe_call("connect", connect_fd(fd, &at));
}
