/* Groups and broadcast. IPv4's over lo; lo has no IPv6 groups, so those are on the first interface with a link-local address. */
#include "tests/conformance/message.h"

#include <ifaddrs.h>
#include <net/if.h>

#define GROUP4 "239.255.77.78"
#define OTHER4 "239.255.77.79"
#define GROUP6 "ff01::7778"

/* Its index; 1 if there is none, and then nobody can be reached. */
static int
ipv6_interface(void)
{
	static int found;
	struct ifaddrs *list = NULL;

	if (found)
		return found;
	found = 1;
	must("getifaddrs", getifaddrs(&list));
	for (struct ifaddrs *i = list; i && found == 1; i = i->ifa_next) {
		const struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)i->ifa_addr;

		if (in6 && in6->sin6_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) &&
		    (i->ifa_flags & IFF_MULTICAST) && (i->ifa_flags & IFF_RUNNING))
			found = (int)if_nametoindex(i->ifa_name);
	}
	freeifaddrs(list);
	return found;
}

static int
group_interface(int family)
{
	return family == AF_INET ? 1 : ipv6_interface();
}

static struct address
group(int family, uint16_t port)
{
	struct address at = literal(family == AF_INET ? GROUP4 : GROUP6, port);

	if (family == AF_INET6)
		((struct sockaddr_in6 *)&at.storage)->sin6_scope_id = (uint32_t)ipv6_interface();
	return at;
}

static int
membership(int fd, int family, bool join)
{
	struct ip_mreqn request = {.imr_ifindex = 1};
	struct ipv6_mreq request6 = {.ipv6mr_interface = (unsigned)ipv6_interface()};

	inet_pton(AF_INET, GROUP4, &request.imr_multiaddr);
	inet_pton(AF_INET6, GROUP6, &request6.ipv6mr_multiaddr);
	if (family == AF_INET)
		return setsockopt(fd, IPPROTO_IP, join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP, &request, sizeof request);
	return setsockopt(fd, IPPROTO_IPV6, join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP, &request6, sizeof request6);
}

/* Bound to the group's own address, so that only what is sent to it comes. */
static int
member(int family)
{
	int fd = udp_socket(family);
	struct address at = group(family, 0);

	must("bind", bind(fd, SA(&at), at.length));
	must("join", membership(fd, family, true));
	return fd;
}

static int
sender(int family)
{
	int fd = udp_socket(family);
	struct ip_mreqn lo = {.imr_ifindex = 1, .imr_address.s_addr = htonl(INADDR_LOOPBACK)};

	if (family == AF_INET)
		must("IP_MULTICAST_IF", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo));
	else
		set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, ipv6_interface());
	/* It stays on this host. */
	if (family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 0);
	return fd;
}

/* Whether it could be sent; a host without such an interface can only refuse. */
static bool
tell(int fd, const char *text, const struct address *to)
{
	return observe_call("sendto", sendto(fd, text, strlen(text), 0, SA(to), to->length)) >= 0;
}

SCENARIO_V4_V6(multicast, delivered)
{
	int fd = member(family), from = sender(family);
	struct address to = group(family, port_of(fd));

	observe_local("member", fd);
	if (!tell(from, "to the group", &to))
		return;
	wait_message("member", fd, CONTROL_MAX, 0);
	observe_call("leave", membership(fd, family, false));
	observe_call("leave again", membership(fd, family, false));
	observe_call("join", membership(fd, family, true));
	observe_call("join again", membership(fd, family, true));
	if (!tell(from, "again", &to))
		return;
	wait_message("member", fd, CONTROL_MAX, 0);
}

SCENARIO_V4_V6(multicast, several_members)
{
	int one = udp_socket(family), other = udp_socket(family), from = sender(family);
	struct address at = group(family, 0);

	set_option(one, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(other, SOL_SOCKET, SO_REUSEADDR, 1);
	must("bind", bind(one, SA(&at), at.length));
	at = group(family, port_of(one));
	must("bind", bind(other, SA(&at), at.length));
	must("join", membership(one, family, true));
	must("join", membership(other, family, true));
	if (!tell(from, "to both", &at))
		return;
	wait_message("one", one, 0, 0);
	wait_message("other", other, 0, 0);
}

SCENARIO_V4_V6(multicast, loop_off)
{
	int fd = member(family), from = sender(family);
	struct address to = group(family, port_of(fd));

	observe_set_option("LOOP", from, level_of(family), family == AF_INET ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP, 0);
	if (!tell(from, "while off", &to))
		return;
	observe_set_option("LOOP", from, level_of(family), family == AF_INET ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP, 1);
	if (!tell(from, "while on", &to))
		return;
	wait_message("member", fd, 0, 0);
}

SCENARIO_V4_V6(multicast, hops)
{
	int fd = member(family), from = sender(family), level = level_of(family);
	struct address to = group(family, port_of(fd));

	set_option(fd, level, family == AF_INET ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
	set_option(fd, level, family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, 1);
	observe_one_datagram("default", from, fd, &to, NULL);
	observe_set_option("HOPS", from, level, family == AF_INET ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, 9);
	observe_one_datagram("9", from, fd, &to, NULL);
	observe_set_option("HOPS", from, level, family == AF_INET ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, -1);
	observe_one_datagram("-1", from, fd, &to, NULL);
}

SCENARIO_V4_V6(multicast, interface_by_control)
{
	int fd = member(family), from = udp_socket(family);
	struct address to = group(family, port_of(fd));
	struct in_pktinfo info = {.ipi_ifindex = 1};
	struct in6_pktinfo info6 = {.ipi6_ifindex = (unsigned)ipv6_interface()};
	struct control control = {.length = 0};

	if (family == AF_INET)
		control_add(&control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
	else
		control_add(&control, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
	observe_one_datagram("by PKTINFO", from, fd, &to, &control);
}

SCENARIO_V4_V6(multicast, connected_to_group)
{
	int fd = member(family), from = sender(family);
	struct address to = group(family, port_of(fd));

	if (observe_call("connect", connect_fd(from, &to)) < 0)
		return;
	observe_peer("peer", from);
	send_text(from, "by a plain send");
	wait_message("member", fd, 0, 0);
	observe_call("tcp connect", connect_fd(tcp_socket(family), &to));
}

SCENARIO_V4_V6(multicast, not_a_member)
{
	int fd = member(family), other = udp_socket(family), from = sender(family);
	struct address to = group(family, port_of(fd)), any = wildcard(family, port_of(fd));

	/* On the wildcard it is given what others of the host have joined, as long as it may. */
	set_option(other, SOL_SOCKET, SO_REUSEADDR, 1);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	must("bind", bind(other, SA(&any), any.length));
	observe_set_option("MULTICAST_ALL", other, level_of(family), family == AF_INET ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL, 1);
	if (!tell(from, "x", &to))
		return;
	wait_message("member", fd, 0, 0);
	wait_message("other", other, 0, 0);
	observe_set_option("MULTICAST_ALL", other, level_of(family), family == AF_INET ? IP_MULTICAST_ALL : IPV6_MULTICAST_ALL, 0);
	if (!tell(from, "y", &to))
		return;
	wait_message("member", fd, 0, 0);
	observe_quiet("other", other, POLLIN);
}

SCENARIO_V4_V6(multicast, protocol_independent)
{
	int fd = udp_socket(family), from = sender(family);
	struct address at = group(family, 0);
	struct group_req request = {.gr_interface = (unsigned)group_interface(family)};

	must("bind", bind(fd, SA(&at), at.length));
	memcpy(&request.gr_group, &at.storage, at.length);
	observe_call("MCAST_JOIN_GROUP", setsockopt(fd, level_of(family), MCAST_JOIN_GROUP, &request, sizeof request));
	at = group(family, port_of(fd));
	if (!tell(from, "x", &at))
		return;
	wait_message("member", fd, 0, 0);
	observe_call("MCAST_LEAVE_GROUP", setsockopt(fd, level_of(family), MCAST_LEAVE_GROUP, &request, sizeof request));
	observe_call("again", setsockopt(fd, level_of(family), MCAST_LEAVE_GROUP, &request, sizeof request));
	request.gr_interface = 99999;
	observe_call("no interface", setsockopt(fd, level_of(family), MCAST_JOIN_GROUP, &request, sizeof request));
	request.gr_interface = 1;
	at = loopback(family, 0);
	memcpy(&request.gr_group, &at.storage, at.length);
	observe_call("no group", setsockopt(fd, level_of(family), MCAST_JOIN_GROUP, &request, sizeof request));
	observe_call("short", setsockopt(fd, level_of(family), MCAST_JOIN_GROUP, &request, 20));
}

SCENARIO(multicast, of_one_source_independent)
{
	int fd = udp_socket(AF_INET), good = sender(AF_INET), bad = sender(AF_INET);
	struct address at = group(AF_INET, 0), ours = loopback(AF_INET, 0), other = literal("127.0.0.2", 0);
	struct group_source_req request = {.gsr_interface = 1};

	must("bind", bind(fd, SA(&at), at.length));
	must("bind", bind(good, SA(&ours), ours.length));
	must("bind", bind(bad, SA(&other), other.length));
	memcpy(&request.gsr_group, &at.storage, at.length);
	memcpy(&request.gsr_source, &ours.storage, ours.length);
	observe_call("MCAST_JOIN_SOURCE_GROUP",
	             setsockopt(fd, IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &request, sizeof request));
	at = group(AF_INET, port_of(fd));
	must("sendto", sendto(bad, "bad", 3, 0, SA(&at), at.length));
	if (!tell(good, "good", &at))
		return;
	wait_message("member", fd, 0, 0);
	observe_quiet("nothing else", fd, POLLIN);
	observe_call("MCAST_LEAVE_SOURCE_GROUP",
	             setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &request, sizeof request));
	observe_call("again", setsockopt(fd, IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, &request, sizeof request));
}

SCENARIO(multicast, of_one_source_ipv4)
{
	int fd = udp_socket(AF_INET), good = sender(AF_INET), bad = sender(AF_INET);
	struct address at = group(AF_INET, 0), ours = loopback(AF_INET, 0), other = literal("127.0.0.2", 0);
	struct ip_mreq_source request = {.imr_interface.s_addr = htonl(INADDR_LOOPBACK), .imr_sourceaddr.s_addr = htonl(INADDR_LOOPBACK)};

	inet_pton(AF_INET, GROUP4, &request.imr_multiaddr);
	must("bind", bind(fd, SA(&at), at.length));
	must("bind", bind(good, SA(&ours), ours.length));
	must("bind", bind(bad, SA(&other), other.length));
	observe_call("join", setsockopt(fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &request, sizeof request));
	at = group(AF_INET, port_of(fd));
	must("sendto", sendto(bad, "bad", 3, 0, SA(&at), at.length));
	if (!tell(good, "good", &at))
		return;
	wait_message("member", fd, 0, 0);
	observe_call("block", setsockopt(fd, IPPROTO_IP, IP_BLOCK_SOURCE, &request, sizeof request));
	observe_call("unblock", setsockopt(fd, IPPROTO_IP, IP_UNBLOCK_SOURCE, &request, sizeof request));
	observe_call("leave", setsockopt(fd, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &request, sizeof request));
	observe_call("again", setsockopt(fd, IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, &request, sizeof request));
}

/* The three forms of IP_MULTICAST_IF and of a membership. */
SCENARIO(multicast, request_forms)
{
	int fd = udp_socket(AF_INET);
	struct in_addr lo = {.s_addr = htonl(INADDR_LOOPBACK)}, got = {0};
	struct ip_mreq plain = {.imr_interface = lo};
	struct ip_mreqn numbered = {.imr_ifindex = 99999};
	socklen_t length = sizeof got;

	inet_pton(AF_INET, OTHER4, &plain.imr_multiaddr);
	numbered.imr_multiaddr = plain.imr_multiaddr;
	observe_call("IF by address", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo));
	observe_call("get", getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &got, &length));
	OBSERVE("%s length %u", inet_ntoa(got), length);
	observe_call("IF by mreq", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &plain, sizeof plain));
	observe_call("IF by unknown index", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &numbered, sizeof numbered));
	observe_call("IF short", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &lo, 3));
	observe_call("join by mreq", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &plain, sizeof plain));
	observe_call("join by unknown index", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &numbered, sizeof numbered));
	observe_call("join short", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &plain, 7));
	observe_call("leave by mreq", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &plain, sizeof plain));
	numbered.imr_ifindex = 1;
	observe_call("leave what is not joined", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &numbered, sizeof numbered));
	observe_call("on a stream", setsockopt(tcp_socket(AF_INET), IPPROTO_IP, IP_ADD_MEMBERSHIP, &plain, sizeof plain));
}

SCENARIO(multicast, ipv6_requests)
{
	int fd = udp_socket(AF_INET6), stream = tcp_socket(AF_INET6);
	struct ipv6_mreq request = {.ipv6mr_interface = 99999};
	struct ipv6_mreq unicast = {.ipv6mr_multiaddr = IN6ADDR_LOOPBACK_INIT, .ipv6mr_interface = 1};

	inet_pton(AF_INET6, GROUP6, &request.ipv6mr_multiaddr);
	observe_call("unknown index", setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request));
	observe_call("no group", setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &unicast, sizeof unicast));
	request.ipv6mr_interface = 1;
	observe_call("short", setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, 16));
	observe_call("on a stream", setsockopt(stream, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request));
	observe_set_option("IF", fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, 1);
	observe_set_option("IF", fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, 99999);
	observe_set_option("IF", fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, 0);
	observe_set_option("anycast", fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 2);
}

SCENARIO(multicast, membership_dies_with_socket)
{
	int keeper = udp_socket(AF_INET), fd = member(AF_INET), from = sender(AF_INET);
	struct address to = group(AF_INET, port_of(fd));

	close(fd);
	/* Its address is free again, and whoever takes it is no member. */
	for (int64_t end = now_ms() + WAIT_MS; bind(keeper, SA(&to), to.length) < 0 && now_ms() < end;)
		pause_ms(5);
	observe_set_option("MULTICAST_ALL", keeper, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	if (!tell(from, "x", &to))
		return;
	observe_quiet("nothing", keeper, POLLIN);
}

SCENARIO(broadcast, refused_without_option)
{
	int fd = udp_socket(AF_INET);
	struct address to = literal("127.255.255.255", 9), all = literal("255.255.255.255", 9);

	observe_call("sendto", sendto(fd, "x", 1, 0, SA(&to), to.length));
	observe_call("sendto all", sendto(fd, "x", 1, 0, SA(&all), all.length));
	observe_call("connect", connect_fd(fd, &to));
	observe_call("tcp connect", connect_fd(tcp_socket(AF_INET), &to));
	observe_call("tcp connect all", connect_fd(tcp_socket(AF_INET), &all));
}

SCENARIO(broadcast, delivered)
{
	int fd = udp_socket(AF_INET), from = udp_socket(AF_INET);
	struct address any = wildcard(AF_INET, 0), to;

	set_option(from, SOL_SOCKET, SO_BROADCAST, 1);
	set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
	must("bind", bind(fd, SA(&any), any.length));
	to = literal("127.255.255.255", port_of(fd));
	observe_one_datagram("broadcast", from, fd, &to, NULL);
	observe_call("connect", connect_fd(from, &to));
	send_text(from, "connected");
	wait_message("broadcast", fd, 0, 0);
}
