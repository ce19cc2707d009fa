#include "sentry_side/run/procnet.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/netlink.h"

/* An empty directory that the kernel keeps for something to be mounted on, and nothing of an isolated program's is. */
#define MOUNT_POINT "/proc/fs/nfsd"
#define ANSWER_MS 1000
#define NAMES_MAX 4096u

#ifndef RTF_ANYCAST
#define RTF_ANYCAST 0x00100000
#endif

/* ---- mounting ----------------------------------------------------------------------------------- */

/* All of it leads to the reader's own: what is not written stays so. */
static void
link_all(int directory, int names)
{
	DIR *own = fdopendir(fcntl(names, F_DUPFD_CLOEXEC, 0));
	char path[300];

	for (struct dirent *entry; own && (entry = readdir(own));) {
		snprintf(path, sizeof path, "/proc/self/net/%s", entry->d_name);
		if (entry->d_name[0] != '.')
			(void)!symlinkat(path, directory, entry->d_name);
	}
	if (own)
		closedir(own);
}

int
procnet_mount(int names)
{
	_cleanup_close_ int link = -1, target = -1, directory = -1;

	if (mount("splitsock", MOUNT_POINT, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=4m") < 0)
		return -1;
	if (mkdir(MOUNT_POINT "/net", 0755) < 0 || symlink(MOUNT_POINT "/net", MOUNT_POINT "/link") < 0)
		return -1;
	directory = open(MOUNT_POINT "/net", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return -1;
	link_all(directory, names);
	link = open_tree(AT_FDCWD, MOUNT_POINT "/link", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
	target = open("/proc/net", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (link < 0 || target < 0 || move_mount(link, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -1;
	return take_fd(&directory);
}

/* ---- what the gofer answers --------------------------------------------------------------------- */

struct names {
	struct {
		int index;
		char name[IFNAMSIZ];
	} all[NAMES_MAX];
	size_t count;
};

struct writing {
	FILE *file;
	struct names *names;
};

static const char *
name_of(const struct names *names, int index)
{
	for (size_t i = 0; i < names->count; i++)
		if (names->all[i].index == index)
			return names->all[i].name;
	return "*";
}

static void
attributes(const struct nlmsghdr *header, size_t fixed, const struct nlattr **table, unsigned max)
{
	const struct nlattr *attribute;

	if (mnl_nlmsg_get_payload_len(header) < fixed)
		return;

	mnl_attr_for_each(attribute, header, fixed)
		if (mnl_attr_get_type(attribute) <= max)
			table[mnl_attr_get_type(attribute)] = attribute;
}

/* The payload if it is so long, else zeroes. */
static const void *
payload(const struct nlattr *attribute, size_t len)
{
	static const char zeroes[256];

	return attribute && mnl_attr_get_payload_len(attribute) >= len ? mnl_attr_get_payload(attribute) : zeroes;
}

static int
write_dev(const struct nlmsghdr *header, void *arg)
{
	struct writing *to = arg;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
	const struct nlattr *table[IFLA_MAX + 1] = {0};
	struct rtnl_link_stats64 s = {0};
	const char *name;

	attributes(header, sizeof *info, table, IFLA_MAX);
	if (!table[IFLA_IFNAME] || to->names->count == NAMES_MAX || mnl_attr_validate(table[IFLA_IFNAME], MNL_TYPE_NUL_STRING) < 0)
		return MNL_CB_OK;
	name = mnl_attr_get_str(table[IFLA_IFNAME]);
	to->names->all[to->names->count].index = info->ifi_index;
	strncpy(to->names->all[to->names->count++].name, name, IFNAMSIZ - 1);
	/* An older kernel's are shorter. */
	if (table[IFLA_STATS64])
		memcpy(&s, mnl_attr_get_payload(table[IFLA_STATS64]),
		       mnl_attr_get_payload_len(table[IFLA_STATS64]) < sizeof s ? mnl_attr_get_payload_len(table[IFLA_STATS64]) : sizeof s);
	fprintf(to->file, "%6.15s: %7llu %7llu %4llu %4llu %4llu %5llu %10llu %9llu %8llu %7llu %4llu %4llu %4llu %5llu %7llu %10llu\n", name,
	        s.rx_bytes, s.rx_packets, s.rx_errors, s.rx_dropped + s.rx_missed_errors, s.rx_fifo_errors,
	        s.rx_length_errors + s.rx_over_errors + s.rx_crc_errors + s.rx_frame_errors, s.rx_compressed, s.multicast, s.tx_bytes,
	        s.tx_packets, s.tx_errors, s.tx_dropped, s.tx_fifo_errors, s.collisions,
	        s.tx_carrier_errors + s.tx_aborted_errors + s.tx_window_errors + s.tx_heartbeat_errors, s.tx_compressed);
	return MNL_CB_OK;
}

static void
write_hex(FILE *file, const void *bytes)
{
	for (size_t i = 0; i < 16; i++)
		fprintf(file, "%02x", ((const uint8_t *)bytes)[i]);
}

static int
write_if_inet6(const struct nlmsghdr *header, void *arg)
{
	struct writing *to = arg;
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(header);
	const struct nlattr *table[IFA_MAX + 1] = {0};
	const struct nlattr *address;
	unsigned scope = info->ifa_scope == RT_SCOPE_LINK ? 0x20 : info->ifa_scope == RT_SCOPE_HOST ? 0x10 : info->ifa_scope == RT_SCOPE_SITE ? 0x40 : 0;

	attributes(header, sizeof *info, table, IFA_MAX);
	address = table[IFA_LOCAL] ? table[IFA_LOCAL] : table[IFA_ADDRESS];
	if (info->ifa_family != AF_INET6 || !address)
		return MNL_CB_OK;
	write_hex(to->file, payload(address, 16));
	fprintf(to->file, " %02x %02x %02x %02x %8s\n", info->ifa_index, info->ifa_prefixlen, scope, info->ifa_flags,
	        name_of(to->names, (int)info->ifa_index));
	return MNL_CB_OK;
}

static int
write_route(const struct nlmsghdr *header, void *arg)
{
	struct writing *to = arg;
	const struct rtmsg *info = mnl_nlmsg_get_payload(header);
	const struct nlattr *table[RTA_MAX + 1] = {0};
	uint32_t destination, gateway, device, priority, which;
	uint32_t mask = info->rtm_dst_len && info->rtm_dst_len <= 32 ? htonl(UINT32_MAX << (32 - info->rtm_dst_len)) : 0;
	unsigned flags = RTF_UP;
	char line[160];

	attributes(header, sizeof *info, table, RTA_MAX);
	memcpy(&which, payload(table[RTA_TABLE], 4), 4);
	if (info->rtm_family != AF_INET || (which ? which : info->rtm_table) != RT_TABLE_MAIN || info->rtm_type == RTN_BROADCAST ||
	    info->rtm_type == RTN_MULTICAST || info->rtm_flags & RTM_F_CLONED)
		return MNL_CB_OK;
	memcpy(&destination, payload(table[RTA_DST], 4), 4);
	memcpy(&gateway, payload(table[RTA_GATEWAY], 4), 4);
	memcpy(&device, payload(table[RTA_OIF], 4), 4);
	memcpy(&priority, payload(table[RTA_PRIORITY], 4), 4);
	flags |= gateway ? RTF_GATEWAY : 0;
	flags |= info->rtm_dst_len == 32 ? RTF_HOST : 0;
	flags |= info->rtm_type == RTN_UNREACHABLE || info->rtm_type == RTN_PROHIBIT ? RTF_REJECT : 0;
	snprintf(line, sizeof line, "%s\t%08X\t%08X\t%04X\t%d\t%u\t%u\t%08X\t%d\t%u\t%u", name_of(to->names, (int)device), destination, gateway,
	         flags, 0, 0, priority, mask, 0, 0, 0);
	fprintf(to->file, "%-127s\n", line);
	return MNL_CB_OK;
}

static int
write_ipv6_route(const struct nlmsghdr *header, void *arg)
{
	struct writing *to = arg;
	const struct rtmsg *info = mnl_nlmsg_get_payload(header);
	const struct nlattr *table[RTA_MAX + 1] = {0};
	uint32_t device, priority, flags = RTF_UP;

	attributes(header, sizeof *info, table, RTA_MAX);
	if (info->rtm_family != AF_INET6 || info->rtm_flags & RTM_F_CLONED)
		return MNL_CB_OK;
	memcpy(&device, payload(table[RTA_OIF], 4), 4);
	memcpy(&priority, payload(table[RTA_PRIORITY], 4), 4);
	flags |= table[RTA_GATEWAY] ? RTF_GATEWAY : 0;
	flags |= info->rtm_type == RTN_LOCAL ? RTF_LOCAL | RTF_NONEXTHOP : info->rtm_type == RTN_ANYCAST ? RTF_ANYCAST : 0;
	flags |= info->rtm_type == RTN_UNREACHABLE || info->rtm_type == RTN_PROHIBIT ? RTF_REJECT | RTF_NONEXTHOP : 0;
	flags |= info->rtm_dst_len == 128 && info->rtm_type == RTN_UNICAST ? RTF_HOST : 0;
	flags |= info->rtm_protocol == RTPROT_RA ? RTF_ADDRCONF : 0;
	write_hex(to->file, payload(table[RTA_DST], 16));
	fprintf(to->file, " %02x ", info->rtm_dst_len);
	write_hex(to->file, payload(table[RTA_SRC], 16));
	fprintf(to->file, " %02x ", info->rtm_src_len);
	write_hex(to->file, payload(table[RTA_GATEWAY], 16));
	fprintf(to->file, " %08x %08x %08x %08x %8s\n", priority, 1, 0, flags, name_of(to->names, (int)device));
	return MNL_CB_OK;
}

static int
write_arp(const struct nlmsghdr *header, void *arg)
{
	struct writing *to = arg;
	const struct ndmsg *info = mnl_nlmsg_get_payload(header);
	const struct nlattr *table[NDA_MAX + 1] = {0};
	char address[INET_ADDRSTRLEN];
	const uint8_t *mac;

	attributes(header, sizeof *info, table, NDA_MAX);
	if (info->ndm_family != AF_INET || info->ndm_state & NUD_NOARP || info->ndm_state == NUD_NONE || !table[NDA_DST])
		return MNL_CB_OK;
	inet_ntop(AF_INET, payload(table[NDA_DST], 4), address, sizeof address);
	mac = payload(table[NDA_LLADDR], 6);
	fprintf(to->file, "%-16s 0x%-10x0x%-10x%02x:%02x:%02x:%02x:%02x:%02x     *        %s\n", address, ARPHRD_ETHER,
	        info->ndm_state & (NUD_PERMANENT | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY) ?
	        (info->ndm_state & NUD_PERMANENT ? ATF_COM | ATF_PERM : ATF_COM) : 0, mac[0], mac[1], mac[2], mac[3],
	        mac[4], mac[5], name_of(to->names, info->ndm_ifindex));
	return MNL_CB_OK;
}

/* Asks for one dump. False: no whole answer came in time. */
static bool
dump(struct procnet *procnet, uint16_t type, uint8_t family, mnl_cb_t take, void *arg)
{
	static unsigned sequence; /* one thread does this */
	char buffer[65536];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct pollfd in = {.fd = procnet->netlink, .events = POLLIN};
	int result = MNL_CB_OK;

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = ++sequence;
	/* Larger than any of them, and the family is the first byte of each. */
	*(uint8_t *)mnl_nlmsg_put_extra_header(header, sizeof(struct ifinfomsg)) = family;
	if (send(procnet->netlink, header, header->nlmsg_len, MSG_NOSIGNAL) < 0)
		return false;
	while (result > MNL_CB_STOP) {
		int64_t left = procnet->deadline_ms - now_ms();
		ssize_t len = left > 0 && poll(&in, 1, (int)left) == 1 ? recv(procnet->netlink, buffer, sizeof buffer - 16, MSG_DONTWAIT) : -1;

		if (len < (ssize_t)sizeof *header)
			return false;
		/* Behind a message that is too short for its kind there is nothing, and zeroes. */
		memset(buffer + len, 0, 16);
		/* What is told of changes meanwhile has no number, and is passed over: all is being read anyway. */
		if (((struct nlmsghdr *)(void *)buffer)->nlmsg_seq != sequence)
			continue;
		/* What has changed meanwhile is told of, and all is read again then. */
		netlink_interrupted(buffer, (size_t)len);
		result = mnl_cb_run(buffer, (size_t)len, sequence, 0, take, arg);
	}
	return result == MNL_CB_STOP;
}

/* Writes one file anew, and puts it in the place of the old one. */
static void
write_file(struct procnet *procnet, struct names *names, const char *name, const char *head, uint16_t type, uint8_t family, mnl_cb_t take)
{
	/* The directory is the program's, too: whatever it has put there is not to be followed, waited for or written to. */
	int fd = unlinkat(procnet->directory, ".new", 0) < 0 && errno != ENOENT
	                 ? -1 : openat(procnet->directory, ".new", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	struct writing to = {.file = fd < 0 ? NULL : fdopen(fd, "w"), .names = names};
	char own[64];
	bool good;

	if (!to.file) {
		if (fd >= 0)
			close(fd);
		return;
	}
	fputs(head, to.file);
	good = dump(procnet, type, family, take, &to);
	procnet->failed |= !good;
	if (fclose(to.file) == 0 && good)
		renameat(procnet->directory, ".new", procnet->directory, name);
	else if (unlinkat(procnet->directory, ".new", 0) == 0) {
		/* The policy may have nothing to say of it. */
		snprintf(own, sizeof own, "/proc/self/net/%s", name);
		(void)!symlinkat(own, procnet->directory, name);
	}
}

static void
write_all(struct procnet *procnet)
{
	static struct names names; /* one thread does this */
	char route_head[132];

	names.count = 0;
	/* For all of them together: nobody inside is answered meanwhile. */
	procnet->deadline_ms = now_ms() + ANSWER_MS;
	procnet->failed = false;
	snprintf(route_head, sizeof route_head, "%-127s\n",
	         "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT");
	write_file(procnet, &names, "dev",
	           "Inter-|   Receive                                                |  Transmit\n"
	           " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n",
	           RTM_GETLINK, AF_UNSPEC, write_dev);
	write_file(procnet, &names, "if_inet6", "", RTM_GETADDR, AF_INET6, write_if_inet6);
	write_file(procnet, &names, "route", route_head, RTM_GETROUTE, AF_INET, write_route);
	write_file(procnet, &names, "ipv6_route", "", RTM_GETROUTE, AF_INET6, write_ipv6_route);
	write_file(procnet, &names, "arp", "IP address       HW type     Flags       HW address            Mask     Device\n", RTM_GETNEIGH,
	           AF_INET, write_arp);
}

/* ---- life --------------------------------------------------------------------------------------- */

static void
forget_news(struct procnet *procnet)
{
	char news[4096];

	while (recv(procnet->netlink, news, sizeof news, MSG_DONTWAIT) > 0)
		;
	while (read(procnet->inotify, news, sizeof news) > 0)
		;
}

static void
bound(void *arg, const struct link_result *result)
{
	(void)arg;
	(void)result; /* without it, changes are seen when somebody reads */
}

void
procnet_start(struct procnet *procnet, struct ss *ss, int directory)
{
	struct sockaddr_nl changes = {.nl_family = AF_NETLINK,
	                              .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE};
	struct link *link = NULL;

	*procnet = (struct procnet){.ss = ss, .directory = directory, .netlink = -1, .inotify = -1};
	if (directory < 0)
		return;
	if (link_socket(ss, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE, &procnet->netlink, &link) != 0)
		return;
	link_bind(link, (struct sockaddr *)&changes, sizeof changes, bound, NULL);
	link_unref(link);
	write_all(procnet);
	procnet->written_ms = now_ms();
	procnet->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (procnet->inotify >= 0) {
		char path[64];

		snprintf(path, sizeof path, "/proc/self/fd/%d", directory);
		inotify_add_watch(procnet->inotify, path, IN_OPEN | IN_ONLYDIR);
	}
}

void
procnet_hear(struct procnet *procnet)
{
	forget_news(procnet);
	procnet->stale = true;
}

void
procnet_tick(struct procnet *procnet)
{
	if (!procnet->stale || now_ms() - procnet->written_ms < PROCNET_MS)
		return;
	procnet->stale = false;
	write_all(procnet);
	/* Writing is heard, too. */
	forget_news(procnet);
	procnet->written_ms = now_ms() + (procnet->failed ? PROCNET_RETRY_MS : 0);
}

void
procnet_stop(struct procnet *procnet)
{
	for (size_t i = 0; i < 3; i++) {
		int fd = (int[]){procnet->directory, procnet->netlink, procnet->inotify}[i];

		if (fd >= 0)
			close(fd);
	}
	procnet->directory = procnet->netlink = procnet->inotify = -1;
}
