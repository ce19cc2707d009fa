/*
 * Frames between one of the host's interfaces and its like in a mirror.
 *
 *   host's packet socket ── received ──► checks ──► tap, or, if the host itself sent it, a packet socket in the mirror
 *        (no tap echoes it)                              so that the client's sockets see PACKET_OUTGOING
 *   host's packet socket ◄── sent ────── checks ◄── tap
 *
 * Each frame has a virtio_net_hdr in front on all of these, so that offloads (checksums to come, segments to be cut) stay as they are towards
 * the client. From it, frames are whole before they are judged: where a checksum goes is for the sender to say, and it might overwrite an address.
 * What we put into the mirror as outgoing carries a mark by which the tap's own filter drops it; a client cannot set marks.
 *
 * The loopback has no tap: the mirror's own `lo` sends back what is put on it, as the host's does. There and here, what comes in counts and
 * what goes out is passed over, and the mark tells what we have put there ourselves.
 *
 * Sending and receiving use one socket, since the kernel does not give a socket what it has sent itself.
 */
#include "gofer/port.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if_arp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "gofer/audit.h"
#include "gofer/capture_filter.h"

#define BATCH 64
/* Batches of one direction before others get their turn. */
#define ROUNDS_MAX 8
/* For frames that wait in a socket, not in a ring. */
#define SOCKET_RCVBUF (4 * 1024 * 1024)
#define MIRROR_TXQLEN 1000
#define OFFLOADS (unsigned long)(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define OFFLOADS_UDP 0x60ul /* TUN_F_USO4 and TUN_F_USO6 */
/* Looks, of MIRROR_LOOK_MS each, after which a ring that nobody wants goes. */
#define LOOKS_UNWANTED 10u
/* Rings of the gofer's own, of 8 MiB each, for one user's sessions. */
#define RINGS_OF_USER_MAX 64u

struct frame_batch {
	struct mmsghdr messages[BATCH];
	struct iovec iovs[BATCH];
	struct sockaddr_ll names[BATCH];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} controls[BATCH];
	struct sockaddr_ll to;
	uint8_t room[BATCH][FRAME_ROOM];
};

struct frame_batch *
frame_batch_new(void)
{
	return malloc(sizeof(struct frame_batch)); /* its pages come to be when frames of that size do */
}

void
frame_batch_free(struct frame_batch *batch)
{
	free(batch);
}

/* ---- what may pass ------------------------------------------------------------------------------ */

static void
count(struct port *port, enum counter_id id)
{
	if (port->mirror->session)
		count_session(port->mirror->session, id, 1);
}

/* Frames that the client was to see. */
static void
lose(struct port *port, uint32_t frames)
{
	port->drops += frames;
	if (port->mirror->session)
		count_session(port->mirror->session, COUNTER_PACKET_DROPPED, frames);
}

static void
tell_denied(struct port *port, int64_t now)
{
	if (!port->mirror->session || now < port->told_ms + 1000)
		return;
	port->told_ms = now;
	audit_denied(port->mirror->session, "packet", port->seen.name, "its packet grant does not cover frames that were sent on it");
}

static bool
may_pass(struct port *port, enum frame_direction direction, const struct framed *framed, bool for_others, int64_t now)
{
	const struct packet_grant *grant = port->grant;
	const uint8_t *frame = framed->data + sizeof(struct virtio_net_hdr);
	const struct host_interface *interface = interface_by_index(&port->mirror->gofer->interfaces, port->seen.index);
	size_t len = framed->len - sizeof(struct virtio_net_hdr);

	if (framed->len < sizeof(struct virtio_net_hdr) + ETH_HLEN || !interface ||
	    !policy_frame(grant, direction, frame, len, for_others, &interface->own)) {
		count(port, direction == FRAME_SEND ? COUNTER_PACKET_SENDS_DENIED : COUNTER_PACKET_RECEIVES_DENIED);
		if (direction == FRAME_SEND)
			tell_denied(port, now);
		return false;
	}
	if (!packet_rate_take(port->rate, direction, len, now)) {
		count(port, COUNTER_PACKET_OVER_RATE);
		return false;
	}
	return true;
}

/* ---- from the host ------------------------------------------------------------------------------ */

static void
put_inside(struct port *port, const struct framed *framed, bool outgoing)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = port->seen.index};
	ssize_t n;

	if (outgoing || port->loopback)
		n = sendto(port->mirror->inject, framed->data, framed->len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
	else
		n = write(port->inside.fd, framed->data, framed->len);
	/* As outgoing, it has been seen when the tap drops it, which counts as an error. */
	if (n < 0 && !outgoing)
		lose(port, 1);
	else
		count(port, COUNTER_PACKET_FRAMES_TO_PROGRAM);
}

static void
host_ready(struct watch *watch, uint32_t events)
{
	struct port *port = (struct port *)((char *)watch - offsetof(struct port, host));
	uint8_t *room = port->mirror->gofer->frames->room[0];
	int64_t now = now_ms_coarse();
	int error;
	socklen_t len = sizeof error;

	/* That the interface went down shows as an error, too; it has to be taken, or epoll goes on telling. */
	if (events & EPOLLERR)
		getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	for (int round = 0; port->ring.map && round < ROUNDS_MAX * BATCH; round++) {
		struct framed framed;
		enum captured captured = capture_ring_next(&port->ring, watch->fd, room, &framed);

		if (captured == CAPTURED_NOTHING)
			break;
		if (captured == CAPTURED_CUT)
			lose(port, 1);
		else if (may_pass(port, FRAME_RECEIVE, &framed, framed.kind == PACKET_OTHERHOST, now))
			put_inside(port, &framed, framed.kind == PACKET_OUTGOING);
		capture_ring_done(&port->ring);
	}
}

/* ---- from the mirror ---------------------------------------------------------------------------- */

static void
send_out(struct port *port, struct frame_batch *batch, int count_wanted)
{
	for (int sent = 0; sent < count_wanted;) {
		int n = sendmmsg(port->host.fd, batch->messages + sent, (unsigned)(count_wanted - sent), MSG_DONTWAIT);

		if (n < 0) {
			count(port, COUNTER_PACKET_DROPPED);
			sent++;
		}
		for (; n > 0; n--, sent++)
			count(port, COUNTER_PACKET_FRAMES_TO_HOST);
	}
}

static void
queue_out(struct port *port, struct frame_batch *batch, int at, const struct framed *framed)
{
	batch->to = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_ifindex = port->seen.index};
	batch->iovs[at] = (struct iovec){framed->data, framed->len};
	batch->messages[at].msg_hdr = (struct msghdr){
		.msg_name = &batch->to, .msg_namelen = sizeof batch->to, .msg_iov = &batch->iovs[at], .msg_iovlen = 1};
}

/*
 * Makes a frame of the client's whole, as it will be on the wire: puts the checksum where its sender has said. False: it is to be cut
 * into segments, which nobody sends by himself, and is refused.
 */
static bool
settle(struct framed *framed)
{
	struct virtio_net_hdr header;
	uint8_t *frame = framed->data + sizeof header;
	size_t len = framed->len - sizeof header, at;
	uint32_t sum = 0;
	uint16_t folded;

	if (framed->len < sizeof header)
		return false;
	memcpy(&header, framed->data, sizeof header);
	if (header.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return false;
	if (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		at = (size_t)header.csum_start + header.csum_offset;
		if (at + sizeof folded > len)
			return false;
		for (size_t i = header.csum_start; i < len; i++)
			sum += (i - header.csum_start) % 2 ? frame[i] : (uint32_t)frame[i] << 8;
		while (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
		folded = htons((uint16_t)~sum);
		if (!folded && header.csum_offset == 6) /* UDP's 0 is no checksum */
			folded = 0xffff;
		memcpy(frame + at, &folded, sizeof folded);
	}
	memset(framed->data, 0, sizeof header);
	return true;
}

static void
tap_ready(struct watch *watch, uint32_t events)
{
	struct port *port = (struct port *)((char *)watch - offsetof(struct port, inside));
	struct frame_batch *batch = port->mirror->gofer->frames;
	int64_t now = now_ms_coarse();

	(void)events;
	for (int round = 0, read_count = BATCH; read_count == BATCH && round < ROUNDS_MAX; round++) {
		int queued = 0;

		for (read_count = 0; read_count < BATCH; read_count++) {
			struct framed framed = {.data = batch->room[queued]};
			ssize_t len = read(watch->fd, framed.data, FRAME_ROOM);

			if (len < 0)
				break;
			framed.len = (size_t)len;
			if (!settle(&framed))
				count(port, COUNTER_PACKET_DROPPED);
			else if (may_pass(port, FRAME_SEND, &framed, false, now))
				queue_out(port, batch, queued++, &framed);
		}
		send_out(port, batch, queued);
	}
}

/* Receives a batch from a packet socket. Returns how many, or a negative errno. */
static int
receive_batch(struct frame_batch *batch, int fd)
{
	int n;

	for (int i = 0; i < BATCH; i++) {
		batch->iovs[i] = (struct iovec){batch->room[i] + VLAN_LEN, FRAME_ROOM - VLAN_LEN};
		batch->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &batch->names[i],
			.msg_namelen = sizeof batch->names[i],
			.msg_iov = &batch->iovs[i],
			.msg_iovlen = 1,
			.msg_control = &batch->controls[i],
			.msg_controllen = sizeof batch->controls[i],
		};
	}
	n = recvmmsg(fd, batch->messages, BATCH, MSG_DONTWAIT, NULL);
	return n < 0 ? -errno : n;
}

/* The received frame with its tag. False: it was cut. */
static bool
whole_frame(struct frame_batch *batch, int i, struct framed *framed)
{
	const struct msghdr *message = &batch->messages[i].msg_hdr;
	const struct cmsghdr *control = CMSG_FIRSTHDR(message);
	struct tpacket_auxdata aux;

	if (message->msg_flags & MSG_TRUNC)
		return false;
	*framed = (struct framed){batch->room[i] + VLAN_LEN, batch->messages[i].msg_len, batch->names[i].sll_pkttype};
	if (control && control->cmsg_level == SOL_PACKET && control->cmsg_type == PACKET_AUXDATA) {
		memcpy(&aux, CMSG_DATA(control), sizeof aux);
		frame_restore_tag(framed, aux.tp_status, aux.tp_vlan_tci, aux.tp_vlan_tpid);
	}
	return true;
}

static void
loopback_ready(struct watch *watch, uint32_t events)
{
	struct port *port = (struct port *)((char *)watch - offsetof(struct port, inside));
	struct frame_batch *batch = port->mirror->gofer->frames;
	int64_t now = now_ms_coarse();

	(void)events;
	for (int round = 0, n = BATCH; n == BATCH && round < ROUNDS_MAX; round++) {
		int queued = 0;

		n = receive_batch(batch, watch->fd);
		for (int i = 0; i < n; i++) {
			struct framed framed;

			if (!whole_frame(batch, i, &framed) || !settle(&framed))
				count(port, COUNTER_PACKET_DROPPED);
			else if (may_pass(port, FRAME_SEND, &framed, false, now))
				queue_out(port, batch, queued++, &framed);
		}
		send_out(port, batch, queued);
	}
}

/* ---- the wish ----------------------------------------------------------------------------------- */

void
port_wish_clear(struct port *port)
{
	free(port->wish.filter.filter);
	port->wish = (struct port_wish){.protocol = 0};
}

static bool
has_membership(const struct port_wish *wish, const struct packet_mreq *membership)
{
	for (unsigned i = 0; i < wish->membership_count; i++)
		if (memcmp(&wish->memberships[i], membership, sizeof *membership) == 0)
			return true;
	return false;
}

/* Frames for other stations: promiscuous mode, and further addresses of its own. */
static bool
is_promiscuous(const struct packet_mreq *membership)
{
	return membership->mr_type == PACKET_MR_PROMISC || membership->mr_type == PACKET_MR_UNICAST;
}

static void
grant_memberships(struct port *port)
{
	struct port_wish *granted = &port->granted;

	for (unsigned i = 0; i < granted->membership_count;) {
		if (port->grant->receive && has_membership(&port->wish, &granted->memberships[i])) {
			i++;
			continue;
		}
		setsockopt(port->host.fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &granted->memberships[i], sizeof *granted->memberships);
		granted->memberships[i] = granted->memberships[--granted->membership_count];
	}
	for (unsigned i = 0; i < port->wish.membership_count; i++) {
		struct packet_mreq membership = port->wish.memberships[i];

		if (is_promiscuous(&membership) && !port->grant->promiscuous) {
			port->mirror->promiscuity_refused = true;
			continue;
		}
		if (!port->grant->receive || has_membership(granted, &membership))
			continue;
		if (setsockopt(port->host.fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) == 0)
			granted->memberships[granted->membership_count++] = membership;
	}
}

/* False: it could not be attached, and nothing may be received. */
static bool
attach_filter(struct port *port)
{
	static const struct sock_fprog none;
	struct sock_filter *filter = malloc(BPF_MAXINSNS * sizeof *filter);
	const struct packet_grant *grant = port->grant;
	/* The client's runs first, and what is counted then would tell it of frames that it may not see: only where there are none. */
	bool sees_all = grant->ethertypes.any && grant->protocols.any && grant->promiscuous;
	ssize_t len = filter ? capture_filter(filter, &grant->filter, sees_all ? &port->wish.filter : &none, port->loopback) : -1;
	struct sock_fprog program = {.len = (unsigned short)(len > 0 ? len : 0), .filter = filter};

	if (len > 0 && (size_t)len == port->filter_len && memcmp(filter, port->filter, (size_t)len * sizeof *filter) == 0) {
		free(filter);
		return true;
	}
	if (len <= 0 || setsockopt(port->host.fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0) {
		free(filter);
		return false;
	}
	free(port->filter);
	port->filter = filter;
	port->filter_len = (size_t)len;
	return true;
}

static void
bind_host(struct port *port, uint16_t protocol)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = port->seen.index};

	if (bind(port->host.fd, (struct sockaddr *)&at, sizeof at) == 0)
		port->granted.protocol = protocol;
}

/* The gofer's own, for what the user's sessions receive. */
static unsigned
rings_of(const struct gofer *gofer, uint64_t uid)
{
	unsigned count = 0;

	for (const struct mirror *mirror = gofer->mirrors; mirror; mirror = mirror->next)
		for (const struct port *port = mirror->ports; mirror->uid == uid && port; port = port->next)
			count += port->ring.map != NULL;
	return count;
}

/* By the mark the limit on clients' rings knows ours; what is sent on the host carries none. */
static bool
open_ring(struct port *port)
{
	int fd = port->host.fd, mark = CAPTURE_MARK, none = 0, error;

	if (port->ring.map)
		return true;
	if (rings_of(port->mirror->gofer, port->mirror->uid) >= RINGS_OF_USER_MAX) {
		count(port, COUNTER_QUOTA_REFUSALS);
		return false;
	}
	setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
	error = capture_ring_open(&port->ring, fd);
	if (!port->loopback)
		setsockopt(fd, SOL_SOCKET, SO_MARK, &none, sizeof none);
	if (error)
		log_warning("nothing can be received from %s: %s", port->seen.name, strerror(-error));
	return !error;
}

/* A packet socket with virtio headers and tags told beside. */
static int
open_packet(int index, uint16_t protocol, bool loopback)
{
	static const struct sock_fprog none;
	struct sock_filter filter[16];
	struct sock_fprog incoming = {.filter = filter};
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = index};
	_cleanup_close_ int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &(int){1}, sizeof(int)) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &(int){1}, sizeof(int)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &(int){SOCKET_RCVBUF}, sizeof(int)) < 0)
		return -1;
	if (loopback) {
		incoming.len = (unsigned short)capture_filter(filter, &none, &none, true);
		if (setsockopt(fd, SOL_SOCKET, SO_MARK, &(int){CAPTURE_MARK}, sizeof(int)) < 0 ||
		    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &incoming, sizeof incoming) < 0)
			return -1;
	}
	return bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ? -1 : take_fd(&fd);
}

/* The host's socket goes, with its ring, filter and memberships. */
static void
close_host(struct port *port)
{
	struct gofer *gofer = port->mirror->gofer;
	void *map = capture_ring_take(&port->ring);

	closer_take(&gofer->closer, loop_take(&gofer->loop, &port->host), map, CAPTURE_RING_SIZE);
	port->granted = (struct port_wish){.protocol = 0};
	free(port->filter);
	port->filter = NULL;
	port->filter_len = 0;
}

static bool
open_host(struct port *port)
{
	if (port->host.fd < 0)
		port->host.fd = open_packet(port->seen.index, 0, port->loopback);
	return port->host.fd >= 0 && loop_watch(&port->mirror->gofer->loop, &port->host, EPOLLIN) == 0;
}

/* What did not fit the ring. */
static void
count_drops(struct port *port)
{
	struct tpacket_stats statistics;
	socklen_t len = sizeof statistics;

	if (port->ring.map && port->mirror->session &&
	    getsockopt(port->host.fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &len) == 0)
		lose(port, statistics.tp_drops);
}

void
port_grant_wish(struct port *port)
{
	uint16_t protocol = port->grant->receive && port->wish.captures ? port->wish.protocol : 0;

	count_drops(port);
	/* Rings cost the kernel milliseconds, and a client may change its mind as often as it likes: one that is not wanted stays a while. */
	port->unwanted_looks = protocol || !port->ring.map ? 0 : port->unwanted_looks + 1;
	if (port->unwanted_looks > LOOKS_UNWANTED)
		close_host(port);
	if (!open_host(port))
		return;
	grant_memberships(port);
	/* The filter first: nothing that it stops may be in the socket. */
	if (protocol && (!attach_filter(port) || !open_ring(port)))
		protocol = 0;
	/* Another protocol makes the kernel wait for all processors: at most once, for all of them. */
	if (protocol && port->granted.protocol && protocol != port->granted.protocol)
		protocol = ETH_P_ALL;
	if (protocol && protocol != port->granted.protocol)
		bind_host(port, protocol);
}

/* ---- life --------------------------------------------------------------------------------------- */

static int
interface_request(unsigned long request, const char *name, struct ifreq *ifreq)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(ifreq->ifr_name, name, sizeof ifreq->ifr_name);
	return fd < 0 ? -1 : ioctl(fd, request, ifreq);
}

static void
set_up_or_down(const char *name, bool up)
{
	struct ifreq ifreq = {0};

	interface_request(SIOCGIFFLAGS, name, &ifreq);
	ifreq.ifr_flags &= (short)~IFF_UP;
	/* Without ARP, and IPv6 is switched off: the mirror's own stack neither asks nor answers. */
	ifreq.ifr_flags |= (short)(IFF_NOARP | (up ? IFF_UP : 0));
	interface_request(SIOCSIFFLAGS, name, &ifreq);
}

void
port_follow(struct port *port, const struct host_interface *interface)
{
	struct host_interface *seen = &port->seen;
	struct ifreq ifreq;

	if (strcmp(seen->name, interface->name) != 0) {
		memset(&ifreq, 0, sizeof ifreq);
		memcpy(ifreq.ifr_newname, interface->name, sizeof ifreq.ifr_newname);
		if (interface_request(SIOCSIFNAME, seen->name, &ifreq) < 0) {
			/* Older kernels rename what is down only. */
			set_up_or_down(seen->name, false);
			seen->flags &= ~(uint32_t)IFF_UP;
			if (interface_request(SIOCSIFNAME, seen->name, &ifreq) < 0)
				return; /* two that change names: the other's turn comes first, and then ours, with the next change */
		}
		memcpy(seen->name, interface->name, sizeof seen->name);
	}
	if (!port->loopback && memcmp(seen->own.mac, interface->own.mac, sizeof seen->own.mac) != 0) {
		memset(&ifreq, 0, sizeof ifreq);
		ifreq.ifr_hwaddr.sa_family = ARPHRD_ETHER;
		memcpy(ifreq.ifr_hwaddr.sa_data, interface->own.mac, sizeof interface->own.mac);
		ioctl(port->inside.fd, SIOCSIFHWADDR, &ifreq);
		memcpy(seen->own.mac, interface->own.mac, sizeof seen->own.mac);
	}
	if (seen->mtu != interface->mtu) {
		ifreq = (struct ifreq){.ifr_mtu = (int)interface->mtu};
		interface_request(SIOCSIFMTU, seen->name, &ifreq);
		seen->mtu = interface->mtu;
	}
	if ((seen->flags ^ interface->flags) & IFF_UP) {
		set_up_or_down(seen->name, interface->flags & IFF_UP);
		if (port->loopback) {
			ifreq = (struct ifreq){.ifr_addr.sa_family = AF_INET};
			interface_request(SIOCSIFADDR, seen->name, &ifreq); /* 0.0.0.0: takes 127.0.0.1, which comes by itself, away */
		}
		seen->flags = interface->flags;
	}
}

static int
open_tap(const struct host_interface *interface)
{
	static const struct sock_filter unmarked[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CAPTURE_MARK, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
	};
	struct sock_fprog filter = {sizeof unmarked / sizeof *unmarked, (struct sock_filter *)unmarked};
	struct ifreq ifreq = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR}, queue = {.ifr_qlen = MIRROR_TXQLEN};
	_cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	unsigned index = (unsigned)interface->index;

	memcpy(ifreq.ifr_name, interface->name, sizeof ifreq.ifr_name);
	if (fd < 0 || ioctl(fd, TUNSETIFINDEX, &index) < 0 || ioctl(fd, TUNSETIFF, &ifreq) < 0 ||
	    ioctl(fd, TUNATTACHFILTER, &filter) < 0 ||
	    /* All there are, so that what the host sends is seen as it is there. Before 6.2 there was none for UDP. */
	    (ioctl(fd, TUNSETOFFLOAD, OFFLOADS | OFFLOADS_UDP) < 0 && ioctl(fd, TUNSETOFFLOAD, OFFLOADS) < 0))
		return -1;
	interface_request(SIOCSIFTXQLEN, interface->name, &queue);
	return take_fd(&fd);
}

struct port *
port_new(struct mirror *mirror, const struct host_interface *interface, const struct packet_grant *grant)
{
	struct port *port = gofer_has_room(mirror->gofer) ? calloc(1, sizeof *port) : NULL;
	struct loop *loop = &mirror->gofer->loop;
	bool loopback = interface->flags & IFF_LOOPBACK;
	int error;

	if (!port) {
		errno = EMFILE;
		return NULL;
	}
	mirror->gofer->ports++;
	*port = (struct port){
		.mirror = mirror,
		.grant = grant,
		.loopback = loopback,
		.seen = {.index = interface->index, .own = {.has_mac = true}},
		.host = {.fd = -1, .ready = host_ready},
		.inside = {.fd = -1, .ready = loopback ? loopback_ready : tap_ready},
	};
	memcpy(port->seen.name, interface->name, sizeof port->seen.name);
	port->rate = packet_rate_hold(mirror->gofer, grant, mirror->uid, interface->index);
	if (port->rate && open_host(port) && mirror_enter(mirror) == 0) {
		port->inside.fd = loopback ? open_packet(interface->index, ETH_P_ALL, true) : open_tap(interface);
		error = errno;
		if (port->inside.fd >= 0)
			port_follow(port, interface);
		mirror_leave(mirror->gofer);
		errno = error;
	}
	if (port->inside.fd < 0 || (grant->send && loop_watch(loop, &port->inside, EPOLLIN) < 0)) {
		error = errno;
		port_free(port);
		errno = error;
		return NULL;
	}
	return port;
}

void
port_regrant(struct port *port, const struct packet_grant *grant)
{
	struct packet_rate *rate;

	if (port->grant == grant)
		return;
	port->grant = grant;
	rate = packet_rate_hold(port->mirror->gofer, grant, port->mirror->uid, port->seen.index);
	/* Without memory the rates stay as they were. */
	if (rate) {
		packet_rate_release(port->rate);
		port->rate = rate;
	}
	/* What the host's socket was set up for is granted anew with the next look. */
	close_host(port);
	if (loop_watch(&port->mirror->gofer->loop, &port->inside, grant->send ? EPOLLIN : 0) < 0)
		log_warning("nothing can be sent to %s: %s", port->seen.name, strerror(errno));
}

void
port_free(struct port *port)
{
	struct gofer *gofer;

	if (!port)
		return;
	gofer = port->mirror->gofer;
	close_host(port);
	closer_take(&gofer->closer, loop_take(&gofer->loop, &port->inside), NULL, 0);
	port_wish_clear(port);
	packet_rate_release(port->rate);
	gofer->ports--;
	free(port);
}
