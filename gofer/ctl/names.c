#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "gofer/ctl/ctl.h"

const char *
ctl_plain(const char *text, char *out, size_t size)
{
	size_t len = 0;

	for (; text[len] && len < size - 1; len++)
		out[len] = text[len] >= ' ' && text[len] <= '~' ? text[len] : '?';
	out[len] = 0;
	return out;
}

const char *
ctl_netid(const Splitsock__AdminSocket *sock)
{
	if (sock->family == AF_NETLINK)
		return "nl";
	if (sock->type == SOCK_RAW)
		return "raw";
	if (sock->type == SOCK_DGRAM && (sock->protocol == IPPROTO_ICMP || sock->protocol == IPPROTO_ICMPV6))
		return sock->protocol == IPPROTO_ICMP ? "icmp" : "icmp6";
	return sock->type == SOCK_STREAM ? "tcp" : "udp";
}

const char *
ctl_state(const Splitsock__AdminSocket *sock)
{
	static const char *const tcp[] = {
		[TCP_ESTABLISHED] = "ESTAB",     [TCP_SYN_SENT] = "SYN-SENT",   [TCP_SYN_RECV] = "SYN-RECV",
		[TCP_FIN_WAIT1] = "FIN-WAIT-1",  [TCP_FIN_WAIT2] = "FIN-WAIT-2", [TCP_TIME_WAIT] = "TIME-WAIT",
		[TCP_CLOSE] = "UNCONN",          [TCP_CLOSE_WAIT] = "CLOSE-WAIT", [TCP_LAST_ACK] = "LAST-ACK",
		[TCP_LISTEN] = "LISTEN",         [TCP_CLOSING] = "CLOSING",
	};

	if (sock->tcp_state && sock->tcp_state < sizeof tcp / sizeof *tcp && tcp[sock->tcp_state])
		return tcp[sock->tcp_state];
	return sock->peer && sock->type != SOCK_STREAM && sock->family != AF_NETLINK ? "ESTAB" : "UNCONN";
}

const char *
ctl_address(const Splitsock__Address *address, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN];
	int family = address ? host_family(address->family) : -1;

	if (family == AF_NETLINK)
		snprintf(out, size, "rtnl");
	else if (family == AF_INET && address->ip.len == 4 && inet_ntop(AF_INET, address->ip.data, text, sizeof text))
		snprintf(out, size, "%s", text);
	else if (family == AF_INET6 && address->ip.len == 16 && inet_ntop(AF_INET6, address->ip.data, text, sizeof text))
		snprintf(out, size, "%s", text);
	else
		snprintf(out, size, "*");
	return out;
}

int
ctl_port(const Splitsock__Address *address)
{
	if (!address)
		return -1;
	if (host_family(address->family) == AF_NETLINK)
		return (int)address->netlink_pid;
	return address->port ? (int)address->port : -1;
}
