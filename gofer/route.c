/*
 * One netlink socket asks for the gofer's own namespace, for as long as it runs; another namespace is entered for each question. The kernel answers
 * a request for one route before send() returns.
 */
#include "gofer/route.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "gofer/mirror.h"
#include "gofer/policy_index.h"

int
socket_in(struct gofer *gofer, const char *network, int family, int type, int protocol)
{
	_cleanup_close_ int ns = -1;
	int fd;

	type |= SOCK_CLOEXEC | SOCK_NONBLOCK;
	if (!network) {
		fd = socket(family, type, protocol);
		return fd < 0 ? -errno : fd;
	}
	if (gofer->host_ns <= 0)
		gofer->host_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ns = open(network, O_RDONLY | O_CLOEXEC);
	if (gofer->host_ns < 0 || ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(family, type, protocol);
	if (fd < 0)
		fd = -errno;
	mirror_leave(gofer);
	return fd;
}

struct ask {
	struct nlmsghdr header;
	struct rtmsg route;
	char attributes[64];
};

static void
put(struct ask *ask, unsigned short type, const void *data, size_t len)
{
	struct rtattr attribute = {.rta_len = (unsigned short)RTA_LENGTH(len), .rta_type = type};
	char *at = (char *)ask + NLMSG_ALIGN(ask->header.nlmsg_len);

	memcpy(at, &attribute, sizeof attribute);
	memcpy(at + RTA_LENGTH(0), data, len);
	ask->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(ask->header.nlmsg_len) + RTA_ALIGN(attribute.rta_len));
}

static enum policy_reach
ask_kernel(int fd, uint32_t sequence, const uint8_t address[16], uint32_t scope)
{
	bool ip4 = policy_is_ip4(address);
	struct ask ask = {
		.header = {.nlmsg_len = NLMSG_LENGTH(sizeof ask.route), .nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST,
		           .nlmsg_seq = sequence},
		.route = {.rtm_family = ip4 ? AF_INET : AF_INET6, .rtm_dst_len = ip4 ? 32 : 128},
	};
	_Alignas(struct nlmsghdr) char answer[4096];
	struct nlmsghdr header;
	struct rtmsg route;
	ssize_t len;

	put(&ask, RTA_DST, ip4 ? address + 12 : address, ip4 ? 4 : 16);
	if (scope)
		put(&ask, RTA_OIF, &scope, sizeof scope);
	if (send(fd, &ask, ask.header.nlmsg_len, 0) < 0)
		return REACH_OWN;
	do {
		len = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
		if (len < (ssize_t)sizeof header)
			return REACH_OWN;
		memcpy(&header, answer, sizeof header);
	} while (header.nlmsg_seq != sequence);
	if (header.nlmsg_type == NLMSG_ERROR)
		return REACH_AWAY; /* no route: it is for the kernel to say so */
	if (header.nlmsg_type != RTM_NEWROUTE || len < (ssize_t)NLMSG_LENGTH(sizeof route))
		return REACH_OWN;
	memcpy(&route, NLMSG_DATA(answer), sizeof route);
	if (route.rtm_type == RTN_LOCAL || route.rtm_type == RTN_ANYCAST)
		return REACH_OWN;
	return route.rtm_type == RTN_BROADCAST ? REACH_BROADCAST : REACH_AWAY;
}

enum policy_reach
route_reach(struct gofer *gofer, const char *network, const uint8_t address[16], uint32_t scope)
{
	enum policy_reach reach;
	int fd;

	if (!network && gofer->route_fd > 0)
		return ask_kernel(gofer->route_fd, ++gofer->route_sequence, address, scope);
	fd = socket_in(gofer, network, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	if (fd < 0)
		return REACH_OWN;
	reach = ask_kernel(fd, ++gofer->route_sequence, address, scope);
	if (network)
		close(fd);
	else
		gofer->route_fd = fd;
	return reach;
}

void
route_stop(struct gofer *gofer)
{
	if (gofer->route_fd > 0)
		close(gofer->route_fd);
	gofer->route_fd = 0;
}
