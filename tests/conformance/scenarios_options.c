/* getsockopt(), setsockopt() and ioctl(): what curl, nginx, redis, Go and CPython set, and the odd uses. */
#include "tests/conformance/scenario.h"

#include <sys/time.h>

struct option {
	const char *name;
	int level, option;
};

#define OPTION(level, option) {#option, level, option}

static void
observe_defaults(int fd, const struct option *options, size_t count)
{
	for (size_t i = 0; i < count; i++)
		observe_option(options[i].name, fd, options[i].level, options[i].option);
}

static const struct option common_options[] = {
	OPTION(SOL_SOCKET, SO_REUSEADDR), OPTION(SOL_SOCKET, SO_REUSEPORT), OPTION(SOL_SOCKET, SO_KEEPALIVE),
	OPTION(SOL_SOCKET, SO_BROADCAST), OPTION(SOL_SOCKET, SO_OOBINLINE), OPTION(SOL_SOCKET, SO_DONTROUTE),
	OPTION(SOL_SOCKET, SO_RCVLOWAT),  OPTION(SOL_SOCKET, SO_SNDLOWAT),  OPTION(SOL_SOCKET, SO_TIMESTAMP),
	OPTION(SOL_SOCKET, SO_PRIORITY),  OPTION(SOL_SOCKET, SO_MARK),      OPTION(SOL_SOCKET, SO_ERROR),
	OPTION(SOL_SOCKET, SO_DEBUG),     OPTION(SOL_SOCKET, SO_PASSCRED),  OPTION(SOL_SOCKET, SO_NO_CHECK),
};

static const struct option tcp_options[] = {
	OPTION(IPPROTO_TCP, TCP_NODELAY),      OPTION(IPPROTO_TCP, TCP_CORK),       OPTION(IPPROTO_TCP, TCP_KEEPIDLE),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL),    OPTION(IPPROTO_TCP, TCP_KEEPCNT),    OPTION(IPPROTO_TCP, TCP_SYNCNT),
	OPTION(IPPROTO_TCP, TCP_LINGER2),      OPTION(IPPROTO_TCP, TCP_QUICKACK),   OPTION(IPPROTO_TCP, TCP_FASTOPEN),
	OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT), OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT),
	OPTION(IPPROTO_TCP, TCP_FASTOPEN_CONNECT), OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
};

static const struct option ip_options[] = {
	OPTION(IPPROTO_IP, IP_TTL),           OPTION(IPPROTO_IP, IP_TOS),            OPTION(IPPROTO_IP, IP_MULTICAST_TTL),
	OPTION(IPPROTO_IP, IP_MULTICAST_LOOP), OPTION(IPPROTO_IP, IP_PKTINFO),       OPTION(IPPROTO_IP, IP_RECVTTL),
	OPTION(IPPROTO_IP, IP_RECVTOS),       OPTION(IPPROTO_IP, IP_RECVERR),        OPTION(IPPROTO_IP, IP_MTU_DISCOVER),
	OPTION(IPPROTO_IP, IP_MTU),           OPTION(IPPROTO_IP, IP_FREEBIND),       OPTION(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
};

static const struct option ipv6_options[] = {
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY),         OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_HOPS), OPTION(IPPROTO_IPV6, IPV6_MULTICAST_LOOP),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_IF),   OPTION(IPPROTO_IPV6, IPV6_TCLASS),
	OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO),    OPTION(IPPROTO_IPV6, IPV6_RECVHOPLIMIT),
	OPTION(IPPROTO_IPV6, IPV6_RECVERR),        OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER),
};

#define DEFAULTS(fd, table) observe_defaults(fd, table, sizeof table / sizeof *table)

SCENARIO_V4_V6(options, tcp_defaults)
{
	int fd = tcp_socket(family);

	DEFAULTS(fd, common_options);
	DEFAULTS(fd, tcp_options);
	DEFAULTS(fd, ip_options);
	DEFAULTS(fd, ipv6_options);
}

SCENARIO_V4_V6(options, udp_defaults)
{
	int fd = udp_socket(family);

	DEFAULTS(fd, common_options);
	DEFAULTS(fd, tcp_options);
	DEFAULTS(fd, ip_options);
	DEFAULTS(fd, ipv6_options);
}

SCENARIO_V4_V6(options, connected_defaults)
{
	struct pair pair = tcp_pair(family);

	DEFAULTS(pair.server, common_options);
	DEFAULTS(pair.server, tcp_options);
	observe_option("TCP_MAXSEG", pair.server, IPPROTO_TCP, TCP_MAXSEG);
	observe_option("IP_MTU", pair.server, IPPROTO_IP, IP_MTU);
}

SCENARIO_V4_V6(options, socket_level)
{
	int fd = tcp_socket(family);

	observe_set_option("SO_REUSEADDR", fd, SOL_SOCKET, SO_REUSEADDR, 1);
	observe_set_option("SO_REUSEADDR", fd, SOL_SOCKET, SO_REUSEADDR, 7);
	observe_set_option("SO_REUSEADDR", fd, SOL_SOCKET, SO_REUSEADDR, 0);
	observe_set_option("SO_REUSEPORT", fd, SOL_SOCKET, SO_REUSEPORT, 1);
	observe_set_option("SO_KEEPALIVE", fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	observe_set_option("SO_BROADCAST", fd, SOL_SOCKET, SO_BROADCAST, 1);
	observe_set_option("SO_OOBINLINE", fd, SOL_SOCKET, SO_OOBINLINE, 1);
	observe_set_option("SO_DONTROUTE", fd, SOL_SOCKET, SO_DONTROUTE, 1);
	observe_set_option("SO_RCVLOWAT", fd, SOL_SOCKET, SO_RCVLOWAT, 10);
	observe_set_option("SO_RCVLOWAT", fd, SOL_SOCKET, SO_RCVLOWAT, 0);
	observe_set_option("SO_SNDLOWAT", fd, SOL_SOCKET, SO_SNDLOWAT, 10);
	observe_set_option("SO_TIMESTAMP", fd, SOL_SOCKET, SO_TIMESTAMP, 1);
	observe_set_option("SO_PRIORITY", fd, SOL_SOCKET, SO_PRIORITY, 3);
	observe_set_option("SO_PASSCRED", fd, SOL_SOCKET, SO_PASSCRED, 1);
}

SCENARIO(options, read_only)
{
	int fd = tcp_socket(AF_INET);

	observe_set_option("SO_TYPE", fd, SOL_SOCKET, SO_TYPE, 2);
	observe_set_option("SO_ERROR", fd, SOL_SOCKET, SO_ERROR, 5);
	observe_set_option("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN, 5);
	observe_set_option("SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL, 5);
	observe_set_option("SO_ACCEPTCONN", fd, SOL_SOCKET, SO_ACCEPTCONN, 1);
}

SCENARIO_V4_V6(options, buffer_sizes)
{
	int fds[] = {tcp_socket(family), udp_socket(family)};

	for (int i = 0; i < 2; i++) {
		for (int value = 4096; value <= 65536; value *= 4) {
			int sends = 0, receives = 0;
			socklen_t length = sizeof sends;

			observe_call("set SO_SNDBUF", setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
			observe_call("set SO_RCVBUF", setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &value, sizeof value));
			getsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &sends, &length);
			getsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &receives, &length);
			OBSERVE("%d: enough %d %d", value, sends >= value, receives >= value);
		}
	}
}

SCENARIO_V4_V6(options, tcp_level)
{
	int fd = tcp_socket(family);

	observe_set_option("TCP_NODELAY", fd, IPPROTO_TCP, TCP_NODELAY, 1);
	observe_set_option("TCP_NODELAY", fd, IPPROTO_TCP, TCP_NODELAY, 2);
	observe_set_option("TCP_CORK", fd, IPPROTO_TCP, TCP_CORK, 1);
	observe_set_option("TCP_CORK", fd, IPPROTO_TCP, TCP_CORK, 0);
	observe_set_option("TCP_KEEPIDLE", fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
	observe_set_option("TCP_KEEPIDLE", fd, IPPROTO_TCP, TCP_KEEPIDLE, 0);
	observe_set_option("TCP_KEEPIDLE", fd, IPPROTO_TCP, TCP_KEEPIDLE, 32768);
	observe_set_option("TCP_KEEPINTVL", fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
	observe_set_option("TCP_KEEPINTVL", fd, IPPROTO_TCP, TCP_KEEPINTVL, -1);
	observe_set_option("TCP_KEEPCNT", fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	observe_set_option("TCP_KEEPCNT", fd, IPPROTO_TCP, TCP_KEEPCNT, 128);
	observe_set_option("TCP_SYNCNT", fd, IPPROTO_TCP, TCP_SYNCNT, 2);
	observe_set_option("TCP_LINGER2", fd, IPPROTO_TCP, TCP_LINGER2, 5);
	observe_set_option("TCP_DEFER_ACCEPT", fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
	observe_set_option("TCP_USER_TIMEOUT", fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
	observe_set_option("TCP_USER_TIMEOUT", fd, IPPROTO_TCP, TCP_USER_TIMEOUT, -1);
	observe_set_option("TCP_MAXSEG", fd, IPPROTO_TCP, TCP_MAXSEG, 1000);
	observe_set_option("TCP_MAXSEG", fd, IPPROTO_TCP, TCP_MAXSEG, 10);
	observe_set_option("TCP_QUICKACK", fd, IPPROTO_TCP, TCP_QUICKACK, 1);
	observe_set_option("TCP_NOTSENT_LOWAT", fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384);
	observe_set_option("TCP_FASTOPEN", fd, IPPROTO_TCP, TCP_FASTOPEN, 5);
	observe_set_option("TCP 999", fd, IPPROTO_TCP, 999, 1);
}

SCENARIO_V4_V6(options, ip_level)
{
	int fd = udp_socket(family);

	observe_set_option("IP_TTL", fd, IPPROTO_IP, IP_TTL, 17);
	observe_set_option("IP_TTL", fd, IPPROTO_IP, IP_TTL, 0);
	observe_set_option("IP_TTL", fd, IPPROTO_IP, IP_TTL, 256);
	observe_set_option("IP_TTL", fd, IPPROTO_IP, IP_TTL, -1);
	observe_set_option("IP_TOS", fd, IPPROTO_IP, IP_TOS, 0x10);
	observe_set_option("IP_TOS", fd, IPPROTO_IP, IP_TOS, 0xff);
	observe_set_option("IP_MULTICAST_TTL", fd, IPPROTO_IP, IP_MULTICAST_TTL, 4);
	observe_set_option("IP_MULTICAST_TTL", fd, IPPROTO_IP, IP_MULTICAST_TTL, 300);
	observe_set_option("IP_MULTICAST_LOOP", fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
	observe_set_option("IP_PKTINFO", fd, IPPROTO_IP, IP_PKTINFO, 1);
	observe_set_option("IP_RECVTTL", fd, IPPROTO_IP, IP_RECVTTL, 1);
	observe_set_option("IP_RECVTOS", fd, IPPROTO_IP, IP_RECVTOS, 1);
	observe_set_option("IP_RECVERR", fd, IPPROTO_IP, IP_RECVERR, 1);
	observe_set_option("IP_MTU_DISCOVER", fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	observe_set_option("IP_MTU_DISCOVER", fd, IPPROTO_IP, IP_MTU_DISCOVER, 99);
	observe_set_option("IP_FREEBIND", fd, IPPROTO_IP, IP_FREEBIND, 1);
	observe_set_option("IP_BIND_ADDRESS_NO_PORT", fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	observe_set_option("IP 999", fd, IPPROTO_IP, 999, 1);
}

SCENARIO_V4_V6(options, tcp_tos)
{
	int fd = tcp_socket(family);

	/* On a stream socket the two congestion bits are the kernel's own. */
	observe_set_option("IP_TOS", fd, IPPROTO_IP, IP_TOS, 0xff);
	observe_set_option("IP_TTL", fd, IPPROTO_IP, IP_TTL, 33);
	observe_set_option("IPV6_TCLASS", fd, IPPROTO_IPV6, IPV6_TCLASS, 0xff);
}

SCENARIO_V4_V6(options, ipv6_level)
{
	int fd = udp_socket(family);

	observe_set_option("IPV6_V6ONLY", fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	observe_set_option("IPV6_V6ONLY", fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	observe_set_option("IPV6_UNICAST_HOPS", fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 12);
	observe_set_option("IPV6_UNICAST_HOPS", fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, -2);
	observe_set_option("IPV6_UNICAST_HOPS", fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256);
	observe_set_option("IPV6_MULTICAST_HOPS", fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 3);
	observe_set_option("IPV6_MULTICAST_LOOP", fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
	observe_set_option("IPV6_TCLASS", fd, IPPROTO_IPV6, IPV6_TCLASS, 0x20);
	observe_set_option("IPV6_TCLASS", fd, IPPROTO_IPV6, IPV6_TCLASS, 256);
	observe_set_option("IPV6_RECVPKTINFO", fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	observe_set_option("IPV6_RECVHOPLIMIT", fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
	observe_set_option("IPV6_RECVTCLASS", fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
	observe_set_option("IPV6_RECVERR", fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	observe_set_option("IPV6_MTU_DISCOVER", fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
	observe_set_option("IPV6 999", fd, IPPROTO_IPV6, 999, 1);
}

SCENARIO_V4_V6(options, bad_level)
{
	int tcp = tcp_socket(family), udp = udp_socket(family);

	observe_set_option("tcp level 12345", tcp, 12345, 1, 1);
	observe_set_option("tcp level -1", tcp, -1, 1, 1);
	observe_set_option("tcp IPPROTO_UDP", tcp, IPPROTO_UDP, 1, 1);
	observe_set_option("udp level 12345", udp, 12345, 1, 1);
	observe_set_option("udp IPPROTO_TCP", udp, IPPROTO_TCP, TCP_NODELAY, 1);
	observe_set_option("SOL_SOCKET 999", tcp, SOL_SOCKET, 999, 1);
	observe_set_option("SOL_SOCKET -1", tcp, SOL_SOCKET, -1, 1);
}

SCENARIO(options, lengths_of_get)
{
	static const struct option options[] = {
		OPTION(SOL_SOCKET, SO_TYPE), OPTION(IPPROTO_TCP, TCP_NODELAY), OPTION(IPPROTO_IP, IP_TTL),
		OPTION(SOL_SOCKET, SO_RCVTIMEO), OPTION(SOL_SOCKET, SO_LINGER),
	};
	int fd = tcp_socket(AF_INET);

	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		static const int lengths[] = {0, 1, 3, 4, 8, 16, 40, -1};

		OBSERVE("%s", options[i].name);
		for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
			unsigned char value[40];
			socklen_t length = (socklen_t)lengths[j];
			int written = 0;

			memset(value, 0x55, sizeof value);
			observe_call("get", getsockopt(fd, options[i].level, options[i].option, value, &length));
			for (size_t k = 0; k < sizeof value; k++)
				if (value[k] != 0x55)
					written = (int)k + 1;
			OBSERVE("given %d, returned %d, written %d, first %d", lengths[j], (int)length, written,
			        written ? value[0] : 0);
		}
	}
}

SCENARIO(options, lengths_of_set)
{
	static const struct option options[] = {
		OPTION(SOL_SOCKET, SO_KEEPALIVE), OPTION(IPPROTO_TCP, TCP_NODELAY), OPTION(IPPROTO_IP, IP_TTL),
		OPTION(SOL_SOCKET, SO_RCVTIMEO), OPTION(SOL_SOCKET, SO_LINGER), OPTION(IPPROTO_IP, IP_MULTICAST_TTL),
	};
	int fd = udp_socket(AF_INET), tcp = tcp_socket(AF_INET);

	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		static const int lengths[] = {0, 1, 3, 4, 8, 16, 40, -1};

		OBSERVE("%s", options[i].name);
		for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
			unsigned char value[40] = {1};
			int on = options[i].level == IPPROTO_TCP ? tcp : fd;

			OBSERVE("length %d", lengths[j]);
			observe_call("set", setsockopt(on, options[i].level, options[i].option, value, (socklen_t)lengths[j]));
		}
	}
}

SCENARIO_V4_V6(options, linger)
{
	int fd = tcp_socket(family);
	struct linger linger = {.l_onoff = 1, .l_linger = 30};
	socklen_t length = sizeof linger;

	observe_call("set", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	memset(&linger, 0, sizeof linger);
	observe_call("get", getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
	OBSERVE("%d %d length %u", linger.l_onoff, linger.l_linger, length);
	linger.l_onoff = 0;
	observe_call("set", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	observe_call("get", getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
	OBSERVE("%d %d", linger.l_onoff, linger.l_linger);
}

SCENARIO_V4_V6(options, timeouts)
{
	int fd = tcp_socket(family);
	static const struct timeval values[] = {{2, 500000}, {0, 0}, {0, 1000000}, {-1, 0}, {100000, 0}, {0, -1}};

	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		static const int names[] = {SO_RCVTIMEO, SO_SNDTIMEO};

		for (int j = 0; j < 2; j++) {
			struct timeval value = values[i];
			socklen_t length = sizeof value;

			observe_call("set", setsockopt(fd, SOL_SOCKET, names[j], &value, sizeof value));
			memset(&value, 0x55, sizeof value);
			observe_call("get", getsockopt(fd, SOL_SOCKET, names[j], &value, &length));
			OBSERVE("%ld.%06ld length %u", (long)value.tv_sec, (long)value.tv_usec, length);
		}
	}
}

SCENARIO_V4_V6(options, receive_timeout)
{
	struct pair pair = tcp_pair(family);
	char byte;

	set_receive_timeout(pair.server, 150);
	observe_recv("recv", pair.server, 10, 0);
	observe_call("read", read(pair.server, &byte, 1));
	observe_recvfrom("recvfrom", pair.server, 10, 0);
	send_text(pair.client, "part");
	wait_queued(pair.server, 4);
	observe_recv("waitall", pair.server, 10, MSG_WAITALL);
}

SCENARIO_V4_V6(options, congestion)
{
	int fd = tcp_socket(family);
	char name[32] = "";
	socklen_t length = sizeof name;

	observe_call("get", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length));
	OBSERVE("%s length %u", name, length);
	observe_call("set reno", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
	length = sizeof name;
	observe_call("get", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length));
	OBSERVE("%s length %u", name, length);
	length = 3;
	memset(name, 0, sizeof name);
	observe_call("get 3", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length));
	OBSERVE("%s length %u", name, length);
	observe_call("set nonsense", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
	observe_call("set empty", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "", 0));
}

SCENARIO_V4_V6(options, tcp_info)
{
	struct pair pair = tcp_pair(family);
	struct tcp_info info;
	socklen_t length = 8;

	observe_tcp_state("fresh", tcp_socket(family), TCP_CLOSE);
	observe_tcp_state("bound", tcp_bound(family), TCP_CLOSE);
	observe_tcp_state("listening", tcp_listener(family), TCP_LISTEN);
	observe_tcp_state("connected", pair.client, TCP_ESTABLISHED);
	observe_tcp_state("accepted", pair.server, TCP_ESTABLISHED);
	shutdown(pair.client, SHUT_WR);
	observe_tcp_state("half closed", pair.client, TCP_FIN_WAIT2);
	observe_tcp_state("other half", pair.server, TCP_CLOSE_WAIT);
	shutdown(pair.server, SHUT_WR);
	observe_tcp_state("closed", pair.server, TCP_CLOSE);
	observe_call("short", getsockopt(pair.client, IPPROTO_TCP, TCP_INFO, &info, &length));
	OBSERVE("length %u", length);
	observe_tcp_state("udp", udp_socket(family), 0);
}

SCENARIO(options, tcp_info_counters)
{
	struct pair pair = tcp_pair(AF_INET);
	struct tcp_info info = {0};
	socklen_t length = sizeof info;

	send_text(pair.client, "counted");
	wait_queued(pair.server, 7);
	observe_recv("server", pair.server, 64, 0);
	observe_call("TCP_INFO", getsockopt(pair.client, IPPROTO_TCP, TCP_INFO, &info, &length));
	OBSERVE("state %d options %#x mss %u", info.tcpi_state, (unsigned)info.tcpi_options, info.tcpi_snd_mss);
	OBSERVE("rtt known %d, pmtu %u, retransmits %u", info.tcpi_rtt > 0, info.tcpi_pmtu, info.tcpi_total_retrans);
}

SCENARIO_V4_V6(options, defer_accept)
{
	int listener = tcp_listener(family), fd = tcp_socket(family);
	struct address at = local_of(listener);

	observe_set_option("TCP_DEFER_ACCEPT", listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
	observe_call("connect", connect_fd(fd, &at));
	observe_quiet("before data", listener, POLLIN);
	send_text(fd, "data");
	observe_poll("after data", listener, POLLIN, POLLIN);
	observe_recv("server", accept_from(listener), 64, 0);
}

SCENARIO_V4_V6(options, cork)
{
	struct pair pair = tcp_pair(family);

	observe_set_option("TCP_CORK", pair.client, IPPROTO_TCP, TCP_CORK, 1);
	send_text(pair.client, "head ");
	send_text(pair.client, "body");
	observe_quiet("corked", pair.server, POLLIN);
	observe_set_option("TCP_CORK", pair.client, IPPROTO_TCP, TCP_CORK, 0);
	wait_queued(pair.server, 9);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO(options, receive_low_water)
{
	struct pair pair = tcp_pair(AF_INET);

	observe_set_option("SO_RCVLOWAT", pair.server, SOL_SOCKET, SO_RCVLOWAT, 10);
	send_text(pair.client, "five!");
	observe_quiet("five", pair.server, POLLIN);
	send_text(pair.client, "ten!!");
	observe_poll("ten", pair.server, POLLIN, POLLIN);
	observe_recv("server", pair.server, 64, 0);
}

SCENARIO_V4_V6(options, peer_credentials)
{
	struct pair pair = tcp_pair(family);
	struct ucred credentials = {1, 2, 3};
	socklen_t length = sizeof credentials;

	observe_call("SO_PEERCRED", getsockopt(pair.client, SOL_SOCKET, SO_PEERCRED, &credentials, &length));
	OBSERVE("pid %d uid %d gid %d", credentials.pid, (int)credentials.uid, (int)credentials.gid);
}

SCENARIO(options, bind_to_device)
{
	int fd = udp_socket(AF_INET);
	char name[32] = "";
	socklen_t length = sizeof name;

	observe_call("get", getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length));
	OBSERVE("\"%s\" length %u", name, length);
	observe_call("set", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nosuchdevice", 12));
}

SCENARIO(options, multicast_membership)
{
	int fd = udp_socket(AF_INET), sender = udp_socket(AF_INET);
	struct ip_mreqn request = {.imr_multiaddr.s_addr = inet_addr("239.255.77.77"), .imr_ifindex = 1};
	struct address at = wildcard(AF_INET, 0);

	must("bind", bind(fd, SA(&at), at.length));
	at = literal("239.255.77.77", port_of(fd));
	observe_call("join", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
	observe_call("join again", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
	request.imr_multiaddr.s_addr = 0;
	request.imr_address.s_addr = inet_addr("127.0.0.1");
	observe_call("interface", setsockopt(sender, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request));
	observe_call("sendto", sendto(sender, "to the group", 12, 0, SA(&at), at.length));
	observe_poll("member", fd, POLLIN, POLLIN);
	observe_recv("member", fd, 64, MSG_DONTWAIT);
	request.imr_multiaddr.s_addr = inet_addr("239.255.77.77");
	observe_call("leave", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &request, sizeof request));
	observe_call("leave again", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &request, sizeof request));
	request.imr_multiaddr.s_addr = inet_addr("127.0.0.1");
	observe_call("join nonsense", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
}

SCENARIO_V4_V6(options, timeout_is_inherited_by_calls)
{
	int fd = udp_bound(family);
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct mmsghdr messages = {.msg_hdr = message};

	set_receive_timeout(fd, 120);
	observe_call("recvmsg", recvmsg(fd, &message, 0));
	observe_call("recvmmsg", recvmmsg(fd, &messages, 1, 0, NULL));
	observe_call("readv", readv(fd, &iov, 1));
}
