/*
 * Families that are none of ours, raw and packet sockets, and local sockets of the host.
 */
#include "escapes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <linux/sockios.h>
#include <unistd.h>

enum { FAMILIES = 64, TYPES = 11 };

/* Which families give a socket, of any type. */
static const char *
families(char **args)
{
	static char list[512];
	size_t len = 0;

	(void)args;
	for (int family = 0; family < FAMILIES; family++)
		for (int type = 1; type < TYPES; type++) {
			int fd = socket(family, type, 0);

			if (fd < 0)
				continue;
			close(fd);
			len += (size_t)snprintf(list + len, sizeof list - len, " %d", family);
			break;
		}
	return list + (len > 0);
}

static const char *
pair_families(char **args)
{
	static char list[512];
	size_t len = 0;

	(void)args;
	for (int family = 0; family < FAMILIES; family++)
		for (int type = 1; type < TYPES; type++) {
			int fds[2];

			if (socketpair(family, type, 0, fds) < 0)
				continue;
			close(fds[0]);
			close(fds[1]);
			len += (size_t)snprintf(list + len, sizeof list - len, " %d", family);
			break;
		}
	return list + (len > 0);
}

static const char *
vsock(char **args)
{
	(void)args;
	return outcome(socket(AF_VSOCK, SOCK_STREAM, 0));
}

/* The kernel looks at 32 bits of what is in the register. */
static const char *
vsock_with_high_bits(char **args)
{
	(void)args;
	return outcome(syscall(SYS_socket, 0xdeadbeef00000000ul | AF_VSOCK, 0xdeadbeef00000000ul | SOCK_STREAM, 0ul));
}

static const char *
xdp(char **args)
{
	(void)args;
	return outcome(socket(AF_XDP, SOCK_RAW, 0));
}

static const char *
raw4(char **args)
{
	(void)args;
	return outcome(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static const char *
raw6(char **args)
{
	(void)args;
	return outcome(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
}

static const char *
raw4_all(char **args)
{
	(void)args;
	return outcome(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
}

static const char *
packet(char **args)
{
	(void)args;
	return outcome(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
}

static const char *
packet_datagram(char **args)
{
	(void)args;
	return outcome(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL)));
}

/* The obsolete way: a packet socket by type. */
static const char *
packet_by_type(char **args)
{
	(void)args;
	return outcome(socket(AF_INET, SOCK_PACKET, htons(ETH_P_ALL)));
}

/* ---- local sockets ------------------------------------------------------------------------------ */

static socklen_t
abstract(struct sockaddr_un *address, const char *name)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "%s", name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static const char *
abstract_connect(char **args)
{
	struct sockaddr_un address;
	socklen_t len = abstract(&address, args[0]);

	return outcome(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, len));
}

static const char *
abstract_sendto(char **args)
{
	struct sockaddr_un address;
	socklen_t len = abstract(&address, args[0]);

	return outcome(sendto(socket(AF_UNIX, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr *)&address, len));
}

static const char *
abstract_sendmsg(char **args)
{
	struct sockaddr_un address;
	struct iovec iov = {"x", 1};
	struct msghdr message = {.msg_name = &address, .msg_iov = &iov, .msg_iovlen = 1};

	message.msg_namelen = abstract(&address, args[0]);
	return outcome(sendmsg(socket(AF_UNIX, SOCK_DGRAM, 0), &message, 0));
}

/* An internet socket is a local one underneath: what does it do with a local address? */
static const char *
abstract_connect_of_internet_socket(char **args)
{
	struct sockaddr_un address;
	socklen_t len = abstract(&address, args[0]);

	return outcome(connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&address, len));
}

/* ---- ioctls ------------------------------------------------------------------------------------- */

#ifndef SIOCGSKNS
#define SIOCGSKNS 0x894C
#endif
#define SIOCUNIXFILE_ (SIOCPROTOPRIVATE + 0)

/* A connection of our own, both ends ours: [0] connected, [1] accepted. */
static int
connection(int fds[2])
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, len) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &len) < 0 || connect(fds[0], (struct sockaddr *)&address, len) < 0)
		return -1;
	fds[1] = accept(listener, NULL, NULL);
	return fds[1];
}

static const char *
namespace_of_fresh(char **args)
{
	(void)args;
	return outcome(ioctl(socket(AF_INET, SOCK_STREAM, 0), SIOCGSKNS));
}

static const char *
namespace_of_datagram(char **args)
{
	(void)args;
	return outcome(syscall(SYS_ioctl, socket(AF_INET, SOCK_DGRAM, 0), 0xdeadbeef00000000ul | SIOCGSKNS, 0));
}

/* Which is in splitsock-run's own network namespace, as the others, but a UDP socket. */
static const char *
namespace_of_told(char **args)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)args;
	return setsockopt(fd, IPPROTO_IP, IP_RECVERR, &(int){1}, sizeof(int)) < 0 ? "not told" : outcome(ioctl(fd, SIOCGSKNS));
}

static const char *
namespace_of_connected(char **args)
{
	int fds[2];

	(void)args;
	return connection(fds) < 0 ? "no connection" : outcome(ioctl(fds[0], SIOCGSKNS));
}

/* This end was made by the gofer, in the host's network namespace. */
static const char *
namespace_of_accepted(char **args)
{
	int fds[2];

	(void)args;
	return connection(fds) < 0 ? "no connection" : outcome(ioctl(fds[1], SIOCGSKNS));
}

static const char *
interface_change(char **args)
{
	struct ifreq ifreq = {.ifr_name = "lo", .ifr_mtu = 65000};

	(void)args;
	return outcome(ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFMTU, &ifreq));
}

const struct attempt family_attempts[] = {
	{"families", families},
	{"pair-families", pair_families},
	{"vsock", vsock},
	{"vsock-high-bits", vsock_with_high_bits},
	{"xdp", xdp},
	{"raw4", raw4},
	{"raw6", raw6},
	{"raw4-all", raw4_all},
	{"packet", packet},
	{"packet-datagram", packet_datagram},
	{"packet-by-type", packet_by_type},
	{"abstract-connect", abstract_connect},
	{"abstract-sendto", abstract_sendto},
	{"abstract-sendmsg", abstract_sendmsg},
	{"abstract-connect-internet", abstract_connect_of_internet_socket},
	{"namespace-of-fresh", namespace_of_fresh},
	{"namespace-of-datagram", namespace_of_datagram},
	{"namespace-of-told", namespace_of_told},
	{"namespace-of-connected", namespace_of_connected},
	{"namespace-of-accepted", namespace_of_accepted},
	{"interface-change", interface_change},
	{0},
};
