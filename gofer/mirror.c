/*
 * Packet sockets.
 *
 * Only a real packet socket can be mapped into memory, and libpcap insists on that; but one of the host must not reach a client, since
 * whoever holds it may bind it to any interface. So a session gets a network namespace of its own, the mirror, which holds one
 * interface for each of the host's that policy grants (struct port), of the same name, index, address and MTU. Its packet sockets
 * are the mirror's: whatever a client does with one, there is nothing else in reach.
 *
 * The mirror has no addresses, no ARP, no IPv6 and no routes, so that its own stack never speaks.
 *
 * What the sockets ask of the host (to receive, for which protocol, promiscuous mode, groups, a filter) is read from the kernel, by
 * sock_diag(7): the client says only that something has changed, and is answered when it is in effect. That a socket was closed is found by
 * looking again every MIRROR_LOOK_MS.
 */
#include "gofer/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/packet_diag.h>
#include <linux/sock_diag.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/netlink.h"
#include "gofer/audit.h"
#include "gofer/capture_filter.h"
#include "gofer/packet_rate.h"
#include "gofer/port.h"
#include "gofer/ring_limit.h"

#define LEAVE_RETRY_NS 1000000

/* ---- namespaces --------------------------------------------------------------------------------- */

int
mirror_enter(const struct mirror *mirror)
{
	return setns(mirror->ns, CLONE_NEWNET) < 0 ? -errno : 0;
}

void
mirror_leave(const struct gofer *gofer)
{
	/* To go on in a client's namespace would be to serve everybody from there; the kernel may have to wait for memory first. */
	while (setns(gofer->host_ns, CLONE_NEWNET) < 0) {
		if (errno == ENOMEM) {
			nanosleep(&(struct timespec){.tv_nsec = LEAVE_RETRY_NS}, NULL);
			continue;
		}
		log_error("cannot return to the host's network namespace: %s", strerror(errno));
		abort();
	}
}

static bool
set_parameter(const char *path, const char *value)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, value, strlen(value)) > 0;
}

/* A kernel may have no IPv6. That IPv4's are there tells that from a /proc that has no such files. */
static bool
silence(void)
{
	return set_parameter("/proc/sys/net/ipv4/conf/all/arp_ignore", "8") && set_parameter("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1") &&
	       set_parameter("/proc/sys/net/ipv4/igmp_link_local_mcast_reports", "0") &&
	       (set_parameter("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1") || errno == ENOENT) &&
	       (set_parameter("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1") || errno == ENOENT);
}

/* In a new namespace. */
static int
make_inside(struct mirror *mirror)
{
	mirror->ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (mirror->ns < 0)
		return -errno;
	/* Its own stack is silent, or there is no mirror. */
	if (!silence())
		return -errno;
	mirror->diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	mirror->inject = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (mirror->diag < 0 || mirror->inject < 0 ||
	    setsockopt(mirror->inject, SOL_PACKET, PACKET_VNET_HDR, &(int){1}, sizeof(int)) < 0 ||
	    setsockopt(mirror->inject, SOL_SOCKET, SO_MARK, &(int){CAPTURE_MARK}, sizeof(int)) < 0)
		return -errno;
	return 0;
}

/* ---- what the sockets ask for ------------------------------------------------------------------- */

struct look {
	struct mirror *mirror;
	size_t sockets, detailed; /* all of them; those whose memberships and filters the kernel has told */
};

static uint64_t
inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

static bool
is_ours(const struct mirror *mirror, uint64_t inode)
{
	if (inode == inode_of(mirror->inject))
		return true;
	for (const struct port *port = mirror->ports; port; port = port->next)
		if (port->loopback && inode == inode_of(port->inside.fd))
			return true;
	return false;
}

static void
wish_membership(struct mirror *mirror, const struct packet_diag_mclist *entry)
{
	for (struct port *port = mirror->ports; port; port = port->next) {
		struct port_wish *wish = &port->wish;
		struct packet_mreq membership = {.mr_ifindex = (int)entry->pdmc_index, .mr_type = entry->pdmc_type};

		if (port->seen.index != (int)entry->pdmc_index || wish->membership_count == PORT_MEMBERSHIPS_MAX ||
		    entry->pdmc_alen > sizeof membership.mr_address)
			continue;
		membership.mr_alen = entry->pdmc_alen;
		memcpy(membership.mr_address, entry->pdmc_addr, entry->pdmc_alen);
		wish->memberships[wish->membership_count++] = membership;
	}
}

static void
wish_capture(struct port *port, uint16_t protocol, const struct nlattr *filter)
{
	struct port_wish *wish = &port->wish;

	wish->protocol = wish->captures == 0 || wish->protocol == protocol ? protocol : ETH_P_ALL;
	free(wish->filter.filter);
	wish->filter = (struct sock_fprog){0};
	wish->captures++;
	/* The host's socket can have the filter of one. */
	if (wish->captures > 1 || !filter)
		return;
	wish->filter.filter = malloc(mnl_attr_get_payload_len(filter));
	if (!wish->filter.filter)
		return;
	wish->filter.len = (unsigned short)(mnl_attr_get_payload_len(filter) / sizeof(struct sock_filter));
	memcpy(wish->filter.filter, mnl_attr_get_payload(filter), wish->filter.len * sizeof(struct sock_filter));
}

static int
take_socket(const struct nlmsghdr *header, void *arg)
{
	struct look *look = arg;
	const struct packet_diag_msg *message = mnl_nlmsg_get_payload(header);
	const struct packet_diag_info *info = NULL;
	const struct nlattr *attribute, *filter = NULL, *memberships = NULL;

	if (is_ours(look->mirror, message->pdiag_ino))
		return MNL_CB_OK;
	look->detailed++;
	mnl_attr_for_each(attribute, header, sizeof *message) {
		if (mnl_attr_get_type(attribute) == PACKET_DIAG_INFO)
			info = mnl_attr_get_payload(attribute);
		else if (mnl_attr_get_type(attribute) == PACKET_DIAG_FILTER)
			filter = attribute;
		else if (mnl_attr_get_type(attribute) == PACKET_DIAG_MCLIST)
			memberships = attribute;
	}
	if (memberships) {
		const struct packet_diag_mclist *entries = mnl_attr_get_payload(memberships);

		for (size_t i = 0; i < mnl_attr_get_payload_len(memberships) / sizeof *entries; i++)
			wish_membership(look->mirror, &entries[i]);
	}
	for (struct port *port = look->mirror->ports; info && message->pdiag_num && port; port = port->next)
		if (info->pdi_index == 0 || (int)info->pdi_index == port->seen.index)
			/* Without link-level headers a filter counts from elsewhere than the host's socket does. */
			wish_capture(port, message->pdiag_num, message->pdiag_type == SOCK_RAW ? filter : NULL);
	return MNL_CB_OK;
}

static int
count_socket(const struct nlmsghdr *header, void *arg)
{
	struct look *look = arg;
	const struct packet_diag_msg *message = mnl_nlmsg_get_payload(header);

	look->sockets += !is_ours(look->mirror, message->pdiag_ino);
	return MNL_CB_OK;
}

static int
dump(struct mirror *mirror, uint32_t show, mnl_cb_t take, struct look *look)
{
	struct {
		struct nlmsghdr header;
		struct packet_diag_req request;
	} ask = {
		.header = {.nlmsg_len = sizeof ask, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		           .nlmsg_seq = ++mirror->sequence},
		.request = {.sdiag_family = AF_PACKET, .pdiag_show = show},
	};
	char answer[65536];
	int result = MNL_CB_OK;
	bool interrupted = false;

	if (send(mirror->diag, &ask, sizeof ask, 0) < 0)
		return -errno;
	while (result > MNL_CB_STOP) {
		ssize_t len = recv(mirror->diag, answer, sizeof answer, 0);

		if (len < (ssize_t)sizeof(struct nlmsghdr))
			return len < 0 ? -errno : -EIO;
		/* What an answer before this one has left. */
		if (((struct nlmsghdr *)(void *)answer)->nlmsg_seq != mirror->sequence)
			continue;
		interrupted |= netlink_interrupted(answer, (size_t)len);
		result = mnl_cb_run(answer, (size_t)len, mirror->sequence, 0, take, look);
	}
	return result < 0 ? (errno ? -errno : -EIO) : interrupted ? -EINTR : 0;
}

/*
 * Reads what the client's sockets ask for. Returns 0 or a negative errno.
 *
 * The kernel ends a dump at a socket whose memberships and filter do not fit the answer, and says nothing. So the sockets are counted in a dump of
 * their own, and where the other one has fewer, the rest is taken to ask for everything.
 */
static int
look_once(struct mirror *mirror)
{
	struct look look = {.mirror = mirror};
	int error;

	for (struct port *port = mirror->ports; port; port = port->next)
		port_wish_clear(port);
	error = dump(mirror, PACKET_SHOW_INFO, count_socket, &look);
	if (!error)
		error = dump(mirror, PACKET_SHOW_INFO | PACKET_SHOW_MCLIST | PACKET_SHOW_FILTER, take_socket, &look);
	if (error)
		return error;
	mirror->sockets = look.sockets;
	for (struct port *port = mirror->ports; look.detailed < look.sockets && port; port = port->next)
		for (int i = 0; i < 2; i++) /* as if by two, so that no filter is one's alone */
			wish_capture(port, ETH_P_ALL, NULL);
	return 0;
}

static int
look(struct mirror *mirror)
{
	int error = look_once(mirror);

	for (int tries = 1; error == -EINTR && tries < NETLINK_TRIES_MAX; tries++)
		error = look_once(mirror);
	return error;
}

static void
look_and_grant(struct mirror *mirror)
{
	int error = look(mirror);

	mirror->promiscuity_refused = false;
	if (error) {
		log_warning("packet sockets cannot be looked at: %s", strerror(-error));
		return;
	}
	for (struct port *port = mirror->ports; port; port = port->next)
		port_grant_wish(port);
}

/* ---- interfaces --------------------------------------------------------------------------------- */

static const struct packet_grant *
granted(const struct mirror *mirror, const struct host_interface *interface)
{
	bool like_ethernet = interface->type == ARPHRD_ETHER || interface->type == ARPHRD_LOOPBACK;

	return like_ethernet && interface->own.has_mac ? policy_packet(mirror->entry, interface->name, interface->flags & IFF_LOOPBACK) : NULL;
}

static void
sync_ports(struct mirror *mirror)
{
	const struct interfaces *interfaces = &mirror->gofer->interfaces;

	if (mirror_enter(mirror) < 0)
		return;
	for (struct port **at = &mirror->ports; *at;) {
		struct port *port = *at;
		const struct host_interface *interface = interface_by_index(interfaces, port->seen.index);

		const struct packet_grant *grant = interface ? granted(mirror, interface) : NULL;

		if (grant) {
			port_regrant(port, grant);
			port_follow(port, interface);
			at = &port->next;
			continue;
		}
		*at = port->next;
		port_free(port);
	}
	mirror_leave(mirror->gofer);
	for (size_t i = 0; i < interfaces->count; i++) {
		const struct host_interface *interface = &interfaces->all[i];
		const struct packet_grant *grant = granted(mirror, interface);
		struct port *port = mirror->ports;

		while (port && port->seen.index != interface->index)
			port = port->next;
		if (!grant || port)
			continue;
		port = port_new(mirror, interface, grant);
		if (!port) {
			log_warning("uid %llu: no mirror of %s: %s", (unsigned long long)mirror->uid, interface->name, strerror(errno));
			continue;
		}
		port->next = mirror->ports;
		mirror->ports = port;
	}
}

/* ---- life --------------------------------------------------------------------------------------- */

static void
mirror_free(struct mirror *mirror)
{
	struct mirror **at = &mirror->gofer->mirrors;

	while (*at && *at != mirror)
		at = &(*at)->next;
	if (*at) {
		*at = mirror->next;
		mirror->gofer->mirror_count--;
	}
	while (mirror->ports) {
		struct port *port = mirror->ports;

		mirror->ports = port->next;
		port_free(port);
	}
	for (size_t i = 0; i < 3; i++) {
		int fd = (int[]){mirror->ns, mirror->diag, mirror->inject}[i];

		closer_take(&mirror->gofer->closer, fd, NULL, 0);
	}
	policy_drop(mirror->policy);
	free(mirror);
}

/*
 * Nobody holds a socket of it any more. Clients can leave nothing behind in it: they have no rights there, and what their sockets had asked for has gone
 * with those.
 */
static void
mirror_idle(struct mirror *mirror)
{
	size_t idle = 0;

	for (struct mirror *other = mirror->gofer->mirrors; other; other = other->next)
		idle += other->idle_ms != 0;
	if (idle >= MIRRORS_IDLE_MAX)
		mirror_free(mirror);
	else
		mirror->idle_ms = now_ms();
}

static struct mirror *
idle_mirror(const struct session *session)
{
	for (struct mirror *mirror = session->gofer->mirrors; mirror; mirror = mirror->next)
		if (mirror->idle_ms && mirror->uid == session->identity.uid && mirror->entry == session->entry)
			return mirror;
	return NULL;
}

static void
look_again(struct watch *watch, uint32_t events)
{
	struct gofer *gofer = (struct gofer *)((char *)watch - offsetof(struct gofer, mirror_timer));
	uint64_t expirations;

	(void)events;
	if (read(watch->fd, &expirations, sizeof expirations) < 0)
		return;
	if (interfaces_refresh(&gofer->interfaces))
		mirrors_sync(gofer);
	for (struct mirror *mirror = gofer->mirrors, *next; mirror; mirror = next) {
		next = mirror->next;
		look_and_grant(mirror);
		if (mirror->idle_ms && now_ms() - mirror->idle_ms > MIRROR_IDLE_MS)
			mirror_free(mirror);
		else if (!mirror->session && !mirror->idle_ms && mirror->sockets == 0)
			mirror_idle(mirror);
	}
	if (!gofer->mirrors)
		loop_close(&gofer->loop, watch);
}

static int
start_timer(struct gofer *gofer)
{
	struct itimerspec every = {{.tv_nsec = MIRROR_LOOK_MS * 1000000}, {.tv_nsec = MIRROR_LOOK_MS * 1000000}};
	struct watch *timer = &gofer->mirror_timer;

	if (timer->fd > 0)
		return 0;
	*timer = (struct watch){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), .ready = look_again};
	if (timer->fd < 0 || timerfd_settime(timer->fd, 0, &every, NULL) < 0 || loop_watch(&gofer->loop, timer, EPOLLIN) < 0) {
		int error = -errno;

		loop_close(&gofer->loop, timer);
		return error;
	}
	return 0;
}

/* What all mirrors need, once. */
static int
prepare(struct gofer *gofer)
{
	int error;

	closer_start(&gofer->closer);
	if (!gofer->frames)
		gofer->frames = frame_batch_new();
	if (gofer->host_ns <= 0)
		gofer->host_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (!gofer->frames || gofer->host_ns < 0)
		return -ENOMEM;
	error = interfaces_start(gofer);
	return error ? error : start_timer(gofer);
}

static struct mirror *
mirror_new(struct session *session, int *error)
{
	struct gofer *gofer = session->gofer;
	struct mirror *mirror = idle_mirror(session);

	interfaces_refresh(&gofer->interfaces);
	if (mirror) {
		mirror->session = session;
		mirror->idle_ms = 0;
		sync_ports(mirror);
		return mirror;
	}
	mirror = calloc(1, sizeof *mirror);
	*error = !mirror ? -ENOMEM : !gofer_has_room(gofer) || closer_waiting(&gofer->closer) > CLOSING_MAX ? -EMFILE : prepare(gofer);
	if (*error) {
		free(mirror);
		return NULL;
	}
	*mirror = (struct mirror){
		.next = gofer->mirrors, .gofer = gofer, .session = session, .policy = policy_take(session->policy), .entry = session->entry,
		.uid = session->identity.uid, .ns = -1, .diag = -1, .inject = -1};
	gofer->mirrors = mirror;
	gofer->mirror_count++;
	*error = unshare(CLONE_NEWNET) < 0 ? -errno : 0;
	if (!*error) {
		*error = make_inside(mirror);
		mirror_leave(gofer);
	}
	if (*error) {
		mirror_free(mirror);
		return NULL;
	}
	sync_ports(mirror);
	return mirror;
}

/* Those of all mirrors of this user. */
static size_t
sockets_of(struct gofer *gofer, uint64_t uid, size_t *mirrors)
{
	size_t sockets = 0;

	*mirrors = 0;
	for (struct mirror *mirror = gofer->mirrors; mirror; mirror = mirror->next) {
		if (mirror->uid != uid || mirror->idle_ms)
			continue;
		++*mirrors;
		sockets += mirror->sockets;
	}
	return sockets;
}

static bool
over_quota(const struct session *session)
{
	struct gofer *gofer = session->gofer;
	size_t mirrors, sockets = sockets_of(gofer, session->identity.uid, &mirrors);

	if (sockets >= session->entry->packet_sockets) {
		/* Some may have been closed since. */
		for (struct mirror *mirror = gofer->mirrors; mirror; mirror = mirror->next)
			if (mirror->uid == session->identity.uid)
				look_and_grant(mirror);
		sockets = sockets_of(gofer, session->identity.uid, &mirrors);
	}
	return sockets >= session->entry->packet_sockets || (!session->mirror && mirrors >= MIRRORS_OF_USER_MAX);
}

int
mirror_open_socket(struct session *session, int type, int protocol)
{
	struct gofer *gofer = session->gofer;
	int fd, error = 0;

	if (over_quota(session)) {
		count_session(session, COUNTER_QUOTA_REFUSALS, 1);
		return -EMFILE;
	}
	/* Rings are memory that the kernel charges to nobody: without a limit on them no packet socket leaves this process. */
	error = ring_limit_start(gofer);
	if (error) {
		audit_denied(session, "packet", "socket with rings", "their memory cannot be limited here, and foreign_rings does not grant that");
		return error;
	}
	if (!session->mirror)
		session->mirror = mirror_new(session, &error);
	if (!session->mirror)
		return error;
	error = mirror_enter(session->mirror);
	if (error)
		return error;
	fd = socket(AF_PACKET, type | SOCK_CLOEXEC, htons((uint16_t)protocol));
	error = -errno;
	mirror_leave(gofer);
	if (fd < 0)
		return error;
	count_session(session, COUNTER_PACKET_SOCKETS, 1);
	mirror_sync(session->mirror);
	return fd;
}

void
mirror_sync(struct mirror *mirror)
{
	look_and_grant(mirror);
}

uint32_t
mirror_drops(const struct mirror *mirror, int interface)
{
	uint32_t drops = 0;

	for (const struct port *port = mirror->ports; port; port = port->next)
		if (!interface || port->seen.index == interface)
			drops += port->drops;
	return drops;
}

void
mirrors_sync(struct gofer *gofer)
{
	for (struct mirror *mirror = gofer->mirrors; mirror; mirror = mirror->next) {
		if (!mirror->session)
			continue;
		sync_ports(mirror);
		look_and_grant(mirror);
	}
}

void
mirrors_follow_policy(struct gofer *gofer)
{
	for (struct mirror *mirror = gofer->mirrors, *next; mirror; mirror = next) {
		struct policy *before = mirror->policy;

		next = mirror->next;
		if (mirror->idle_ms) {
			mirror_free(mirror);
			continue;
		}
		/* Of one whose session has ended nothing is left that the policy is asked about. */
		if (!mirror->session)
			continue;
		mirror->policy = policy_take(mirror->session->policy);
		mirror->entry = mirror->session->entry;
		sync_ports(mirror);
		look_and_grant(mirror);
		policy_drop(before);
	}
}

void
mirror_end(struct mirror *mirror)
{
	if (!mirror)
		return;
	mirror->session = NULL;
	/* Sockets that somebody still holds see nothing more. */
	if (look(mirror) < 0) {
		mirror_free(mirror);
		return;
	}
	if (mirror->sockets == 0) {
		for (struct port *port = mirror->ports; port; port = port->next)
			port_grant_wish(port);
		mirror_idle(mirror);
		return;
	}
	while (mirror->ports) {
		struct port *port = mirror->ports;

		mirror->ports = port->next;
		port_free(port);
	}
}

void
mirrors_free(struct gofer *gofer)
{
	while (gofer->mirrors)
		mirror_free(gofer->mirrors);
	packet_rates_free(gofer);
	if (gofer->mirror_timer.fd > 0)
		loop_close(&gofer->loop, &gofer->mirror_timer);
	interfaces_stop(&gofer->interfaces);
	frame_batch_free(gofer->frames);
	if (gofer->host_ns > 0)
		close(gofer->host_ns);
	ring_limit_stop(gofer);
}
