/*
 * A client that has been granted a little of one interface, and wants more: it holds every descriptor that it was given, and says everything that
 * the protocol has. Who watches the wires judges by rules of his own.
 *
 * Of packet_host_make()'s interfaces gr0 is granted; gr1, no0, no1 and lo are not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/boundary/packet_client.h"
#include "tests/boundary/programs.h"

TestSuite(packet, .timeout = 120);

enum {
	OK = SPLITSOCK__STATUS__STATUS_OK,
	TRIES = 1000000 / SLOW,
	GRANTED_TYPE = 0x88b5, /* for local experiments */
	OTHER_TYPE = 0x88b6,
};

static const char policy_text[] =
	"version: 1\n"
	"foreign_rings: unlimited\n" /* not what is tested here, and not every kernel can refuse them */
	"clients:\n"
	"  - name: little\n"
	"    users: [65534]\n"
	"    packet_sockets: 8\n"
	"    packet:\n"
	"      - interface: gr0\n"
	"        receive: true\n"
	"        send: true\n"
	"        ethertypes: [0x88b5, ip]\n"
	"        protocols: [udp]\n";

static const uint8_t gr0_mac[6] = {2, 0, 0, 0, 0, 1}, gr1_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t own_ip[4] = {10, 78, 0, 1};

static struct gofer gofer;

static void
start(void)
{
	packet_host_make();
	packet_gofer_start(&gofer, policy_text);
}

static void
stop(void)
{
	gofer_stop(&gofer);
}

static void
clean(void)
{
	gofer_clean(&gofer);
}

/* ---- the wires ---------------------------------------------------------------------------------- */

static int
watch_interface(const char *name)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, size = 64 * 1024 * 1024;

	cr_assert_geq(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	cr_assert_eq(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one), 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

/* What gr1 may see of what gr0 sends, by this test's own reading of the policy. */
static bool
is_granted(const uint8_t *frame, size_t len, bool tagged)
{
	static const uint8_t nowhere[4];
	const uint8_t *ip = frame + ETH_HLEN;
	uint16_t type;

	if (len < ETH_HLEN || tagged || memcmp(frame + ETH_ALEN, gr0_mac, ETH_ALEN) != 0)
		return false;
	type = (uint16_t)(frame[12] << 8 | frame[13]);
	if (type == GRANTED_TYPE)
		return true;
	return type == ETH_P_IP && len >= ETH_HLEN + 20 && ip[0] >> 4 == 4 && ip[9] == IPPROTO_UDP &&
	       (memcmp(ip + 12, own_ip, 4) == 0 || memcmp(ip + 12, nowhere, 4) == 0);
}

struct wire {
	int fd;
	bool granted; /* else nothing may come */
	unsigned long passed, outside;
};

static void
drain(struct wire *wire)
{
	for (;;) {
		uint8_t frame[2048];
		_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct sockaddr_ll from;
		struct iovec iov = {frame, sizeof frame};
		struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1,
		                         .msg_control = control, .msg_controllen = sizeof control};
		ssize_t len = recvmsg(wire->fd, &message, 0);
		struct tpacket_auxdata aux = {0};

		if (len < 0)
			return;
		if (CMSG_FIRSTHDR(&message))
			memcpy(&aux, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof aux);
		/* What the test itself puts there it sends from these sockets, which do not see it. */
		if (from.sll_pkttype == PACKET_OUTGOING || memmem(frame, (size_t)len, "SECRET", 6))
			continue;
		if (wire->granted && is_granted(frame, (size_t)len, aux.tp_status & TP_STATUS_VLAN_VALID)) {
			wire->passed++;
			continue;
		}
		if (wire->outside++ < 5) {
			fprintf(stderr, "outside the grant, %zd bytes:", len);
			for (ssize_t i = 0; i < len && i < 48; i++)
				fprintf(stderr, " %02x", frame[i]);
			fprintf(stderr, "\n");
		}
	}
}

static void
put(int fd, const char *to, const uint8_t destination[6], const uint8_t source[6], uint16_t type, const char *text)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(to)};
	uint8_t frame[64] = {0};

	memcpy(frame, destination, ETH_ALEN);
	memcpy(frame + ETH_ALEN, source, ETH_ALEN);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	strcpy((char *)frame + 40, text);
	sendto(fd, frame, sizeof frame, 0, (struct sockaddr *)&at, sizeof at);
}

/* One of each that the client may not see, and one that it may. */
static void
put_all(const struct wire *wires)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, others[6] = {2, 0, 0, 0, 0, 9};

	put(wires[0].fd, "gr1", gr0_mac, gr1_mac, OTHER_TYPE, "SECRET ether type");
	put(wires[0].fd, "gr1", all, gr1_mac, ETH_P_ARP, "SECRET ether type");
	put(wires[0].fd, "gr1", all, gr1_mac, ETH_P_IP, "SECRET protocol");
	put(wires[0].fd, "gr1", others, gr1_mac, GRANTED_TYPE, "SECRET for others");
	put(wires[0].fd, "gr0", all, gr0_mac, OTHER_TYPE, "SECRET outgoing");
	put(wires[1].fd, "no0", all, gr0_mac, GRANTED_TYPE, "SECRET interface");
	put(wires[1].fd, "no1", all, gr0_mac, GRANTED_TYPE, "SECRET interface");
	put(wires[1].fd, "lo", all, gr0_mac, GRANTED_TYPE, "SECRET interface");
	put(wires[0].fd, "gr1", gr0_mac, gr1_mac, GRANTED_TYPE, "PUBLIC");
}

/* ---- a million tries ---------------------------------------------------------------------------- */

static uint64_t seed = 88172645463325252u;

static uint32_t
random_below(uint32_t limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % limit;
}

static size_t
random_frame(uint8_t frame[1600])
{
	static const uint16_t types[] = {GRANTED_TYPE, GRANTED_TYPE, ETH_P_IP, ETH_P_IP, OTHER_TYPE, ETH_P_ARP, ETH_P_IPV6, ETH_P_8021Q,
	                                 ETH_P_8021AD, ETH_P_PAE, 46};
	uint16_t type = types[random_below(sizeof types / sizeof *types)];
	size_t at = ETH_HLEN, len = 60 + random_below(1400);

	for (size_t i = 0; i < len; i += 4)
		memcpy(frame + i, &(uint32_t){random_below(UINT32_MAX)}, 4);
	memcpy(frame, gr1_mac, ETH_ALEN);
	memcpy(frame + ETH_ALEN, gr0_mac, ETH_ALEN);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	if (type == ETH_P_8021Q || type == ETH_P_8021AD) {
		at += 4;
		frame[16] = ETH_P_IP >> 8;
		frame[17] = ETH_P_IP & 255;
	}
	if (type != GRANTED_TYPE) {
		frame[at] = 0x45;
		frame[at + 9] = random_below(2) ? IPPROTO_UDP : (uint8_t)random_below(256);
		memcpy(frame + at + 12, own_ip, sizeof own_ip);
	}
	for (uint32_t changes = random_below(4); changes; changes--)
		frame[random_below(48)] = (uint8_t)random_below(256);
	return random_below(16) ? len : random_below(60);
}

/* In front of a frame: where the kernel is to put a checksum, or how to cut it. */
static size_t
random_offload(uint8_t *front)
{
	struct virtio_net_hdr header = {0};

	if (random_below(4)) {
		header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header.csum_start = (uint16_t)random_below(64);
		header.csum_offset = (uint16_t)random_below(32);
	}
	if (random_below(8) == 0) {
		header.gso_type = (uint8_t)(1 + random_below(5));
		header.gso_size = (uint16_t)(1 + random_below(700));
		header.hdr_len = (uint16_t)random_below(64);
	}
	memcpy(front, &header, sizeof header);
	return sizeof header;
}

static void
random_option(int fd)
{
	static const int options[][2] = {
		{SOL_SOCKET, SO_MARK}, {SOL_SOCKET, SO_BINDTODEVICE}, {SOL_SOCKET, SO_DETACH_FILTER}, {SOL_SOCKET, SO_PRIORITY},
		{SOL_SOCKET, SO_RCVBUFFORCE}, {SOL_SOCKET, SO_BROADCAST}, {SOL_PACKET, PACKET_ADD_MEMBERSHIP},
		{SOL_PACKET, PACKET_DROP_MEMBERSHIP}, {SOL_PACKET, PACKET_AUXDATA}, {SOL_PACKET, PACKET_ORIGDEV},
		{SOL_PACKET, PACKET_QDISC_BYPASS}, {SOL_PACKET, PACKET_LOSS},
	};
	const int *option = options[random_below(sizeof options / sizeof *options)];
	struct packet_mreq membership = {.mr_ifindex = (int)random_below(8), .mr_type = (unsigned short)random_below(4), .mr_alen = 6};
	int number = (int)random_below(3);

	if (option[1] == SO_BINDTODEVICE && option[0] == SOL_SOCKET)
		setsockopt(fd, option[0], option[1], "no0", 4);
	else if (option[0] == SOL_PACKET && option[1] <= PACKET_DROP_MEMBERSHIP)
		setsockopt(fd, option[0], option[1], &membership, sizeof membership);
	else
		setsockopt(fd, option[0], option[1], &number, sizeof number);
}

static void
random_bind(int fd)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(random_below(4) ? ETH_P_ALL : (uint16_t)random_below(65536)),
	                         .sll_ifindex = (int)random_below(8)};

	bind(fd, (struct sockaddr *)&at, sizeof at);
}

/* Everything that the protocol has for this, and what it has for other kinds of sockets. */
static void
random_message(struct packet_client *packet)
{
	static const int families[] = {AF_INET, AF_INET6, AF_PACKET, AF_NETLINK, AF_UNIX};
	struct operation op;
	int fd = -1, status, family;
	uint64_t handle;

	switch (random_below(4)) {
	case 0:
		status = ask_open(packet, random_below(8), random_below(70000), &fd);
		if (fd >= 0)
			close(fd);
		if ((fd >= 0) != (status == OK))
			_exit(12);
		return;
	case 1:
		ask_sync(packet, random_below(10));
		return;
	default:
		family = families[random_below(5)];
		handle = ++packet->client.next_call;
		status = call(&packet->client, handle,
		              op_open(&op, family, 1 + (int)random_below(4), random_below(2) ? 0 : (int)random_below(256))).status;
		if (status != OK)
			return;
		/* Reads of routes, and a socket that may ask for interfaces and no more. */
		if (family != AF_NETLINK && (family != AF_INET || call(&packet->client, handle, op_bind(&op, 0)).status == OK ||
		                             call(&packet->client, handle, op_connect(&op, 9, false)).status == OK ||
		                             call(&packet->client, handle, op_send(&op, 9, "x")).status == OK ||
		                             call(&packet->client, handle, op_set_int(&op, SOL_SOCKET, SO_BROADCAST, 1)).status == OK))
			_exit(13);
		send_request(&packet->client, ++packet->client.next_call, handle, (struct operation *[]){op_release(&op)}, 1);
	}
}

/* Whether a frame that it may not see has come. */
static void
look_for_secrets(const int *fds, size_t count, unsigned long *public)
{
	uint8_t frame[2048];
	ssize_t len;

	for (size_t i = 0; i < count; i++) {
		while ((len = recv(fds[i], frame, sizeof frame, MSG_DONTWAIT)) >= 0 || errno == ENETDOWN) {
			if (len > 0 && memmem(frame, (size_t)len, "SECRET", 6)) {
				fprintf(stderr, "seen: %.40s\n", (char *)memmem(frame, (size_t)len, "SECRET", 6));
				_exit(14);
			}
			*public += len > 0 && memmem(frame, (size_t)len, "PUBLIC", 6);
		}
	}
}

static int
try_a_million_times(void)
{
	struct packet_client packet;
	unsigned long public = 0;
	int fds[4];

	packet_client_open(&packet, &gofer);
	for (size_t i = 0; i < 4; i++)
		fds[i] = open_packet_socket(&packet);
	if (setsockopt(fds[3], SOL_PACKET, PACKET_VNET_HDR, &(int){1}, sizeof(int)) < 0)
		return 16;
	for (int i = 0; i < TRIES; i++) {
		int fd = fds[random_below(4)];
		uint32_t what = random_below(1000);

		if (what < 2) {
			random_message(&packet);
		} else if (what < 30) {
			random_option(fd);
		} else if (what < 31) {
			random_bind(fd); /* the kernel waits for all processors each time */
		} else {
			struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = random_below(4) ? 2 + (int)random_below(6) : -1,
			                         .sll_protocol = (uint16_t)random_below(65536)};
			uint8_t frame[sizeof(struct virtio_net_hdr) + 1604];
			size_t front = fd == fds[3] ? random_offload(frame) : 0, len = front + random_frame(frame + front);

			/* gr0 is one of those; without an address it goes where the socket is bound to. */
			if (to.sll_ifindex < 0)
				(void)!send(fd, frame, len, MSG_DONTWAIT);
			else
				sendto(fd, frame, len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
		}
		if (i % 32 == 0) /* they see what the others send, too, and have little room */
			look_for_secrets(fds, 4, &public);
	}
	look_for_secrets(fds, 4, &public);
	packet_client_close(&packet);
	return public ? 0 : 15;
}

GOFER_TEST(packet, nothing_outside_the_grant_in_a_million_tries, start)
{
	struct wire wires[] = {
		{.fd = watch_interface("gr1"), .granted = true},
		{.fd = watch_interface("no0")},
		{.fd = watch_interface("no1")},
		{.fd = watch_interface("lo")},
	};
	pid_t child = as_nobody(try_a_million_times);
	int status = 0;
	bool ended = false;

	for (int64_t end = now_ms() + 90000; !ended && now_ms() < end;) {
		struct pollfd in = {.fd = wires[0].fd, .events = POLLIN};

		put_all(wires);
		ended = waitpid(child, &status, WNOHANG) == child;
		poll(&in, 1, 5);
		for (size_t i = 0; i < 4; i++)
			drain(&wires[i]);
	}
	if (!ended) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
	}
	cr_assert(ended, "it takes too long");
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the client ended with %#x", status);
	for (size_t i = 0; i < 4; i++)
		cr_assert_eq(wires[i].outside, 0, "%lu frames outside the grant on wire %zu", wires[i].outside, i);
	cr_assert_gt(wires[0].passed, TRIES / 1000, "only %lu frames passed: the test proves nothing", wires[0].passed);
	fprintf(stderr, "%d tries, %lu granted frames passed, none outside\n", TRIES, wires[0].passed);
	cr_assert(alive(gofer.pid));
}

/* ---- the loopback ------------------------------------------------------------------------------- */

static void
start_every_interface(void)
{
	packet_host_make();
	packet_gofer_start(&gofer, "version: 1\n"
	                           "foreign_rings: unlimited\n"
	                           "clients:\n"
	                           "  - name: every\n"
	                           "    users: [65534]\n"
	                           "    packet:\n"
	                           "      - {interface: \"*\", receive: true, send: true, ethertypes: any}\n");
}

static int
try_the_loopback(void)
{
	static const uint8_t nobody[6] = {2, 0, 0, 0, 0, 1};
	struct packet_client packet;
	unsigned long public = 0;
	int fd;

	packet_client_open(&packet, &gofer);
	fd = open_packet_socket(&packet);
	if (ask_sync(&packet, 1) != SPLITSOCK__STATUS__STATUS_DENIED)
		return 1;
	for (int i = 0; i < 200; i++) {
		struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = 1 + i % 2};
		uint8_t frame[60] = {[12] = GRANTED_TYPE >> 8, GRANTED_TYPE & 255};

		memcpy(frame + ETH_ALEN, nobody, ETH_ALEN);
		sendto(fd, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
		look_for_secrets(&fd, 1, &public);
		sleep_ms(5);
	}
	return public ? 0 : 2;
}

GOFER_TEST(packet, every_interface_is_not_the_loopback, start_every_interface)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	struct wire lo = {.fd = watch_interface("lo")}, gr1 = {.fd = watch_interface("gr1"), .granted = true};
	pid_t child = as_nobody(try_the_loopback);
	int status;

	while (waitpid(child, &status, WNOHANG) == 0) {
		put(lo.fd, "lo", all, gr0_mac, GRANTED_TYPE, "SECRET loopback");
		put(gr1.fd, "gr1", gr0_mac, gr1_mac, GRANTED_TYPE, "PUBLIC");
		drain(&lo);
		drain(&gr1);
		sleep_ms(5);
	}
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", status);
	cr_expect_eq(lo.outside, 0);
}

/* ---- sessions, namespaces ----------------------------------------------------------------------- */

static int
try_more_sockets_than_granted(void)
{
	struct packet_client packet[2];
	int fds[8], fd;

	packet_client_open(&packet[0], &gofer);
	packet_client_open(&packet[1], &gofer);
	for (int i = 0; i < 8; i++)
		fds[i] = open_packet_socket(&packet[i & 1]);
	/* They are the user's, not a session's. */
	for (int i = 0; i < 2; i++)
		if (ask_open(&packet[i], wire_socket_type(SOCK_RAW), 0, &fd) != SPLITSOCK__STATUS__STATUS_QUOTA || fd >= 0)
			return 1;
	close(fds[3]);
	if (ask_open(&packet[0], wire_socket_type(SOCK_RAW), 0, &fd) != OK)
		return 2;
	/* A session that ends leaves those that are still held on the bill. */
	packet_client_close(&packet[0]);
	packet_client_open(&packet[0], &gofer);
	for (int64_t end = now_ms() + 500; now_ms() < end; sleep_ms(20))
		if (ask_open(&packet[0], wire_socket_type(SOCK_RAW), 0, &fd) == OK)
			return 3;
	return 0;
}

GOFER_TEST(packet, sockets_are_the_users, start)
{
	int before = fd_count(gofer.pid);
	int status = wait_for(as_nobody(try_more_sockets_than_granted), PATIENCE_MS * 4);

	cr_assert(WIFEXITED(status), "%#x", status);
	cr_assert_eq(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
	/*
	 * Mirrors wait for their user's next session, MIRROR_IDLE_MS (gofer/mirror.h). What is kept for all of them stays open for as long as the
	 * gofer runs: the namespace, the list of interfaces, the cgroup.
	 */
	cr_assert_neq(wait_for_fds(gofer.pid, before + 4, 5000 + 2 * PATIENCE_MS), -1, "%d descriptors stay", fd_count(gofer.pid) - before);
}

static int
try_the_other_mirror(void)
{
	struct packet_client one, other;
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("gr0")};
	uint8_t frame[100] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, OTHER_TYPE >> 8, OTHER_TYPE & 255};
	int sender, listener, same;
	unsigned long public = 0;

	packet_client_open(&one, &gofer);
	packet_client_open(&other, &gofer);
	sender = open_packet_socket(&one);
	same = open_packet_socket(&one);
	listener = open_packet_socket(&other);
	/* Of the namespace that a socket is of, its holder gets no hold. */
	if (ioctl(sender, SIOCGSKNS) >= 0 || errno != EPERM)
		return 1;
	strcpy((char *)frame + 20, "SECRET of this mirror");
	for (int i = 0; i < 1000; i++) {
		to.sll_ifindex = 1 + i % 8;
		sendto(sender, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
	}
	sleep_ms(100);
	look_for_secrets(&listener, 1, &public);
	/* It was sent: the session's own other socket has seen it. */
	if (recv(same, frame, sizeof frame, MSG_DONTWAIT) < 0)
		return 2;
	return 0;
}

GOFER_TEST(packet, mirrors_are_apart, start)
{
	int status = wait_for(as_nobody(try_the_other_mirror), PATIENCE_MS * 4);

	cr_assert(WIFEXITED(status), "%#x", status);
	cr_assert_eq(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
}

/* ---- what stays on the host --------------------------------------------------------------------- */

static int
promiscuity(const char *name)
{
	char command[128], text[16] = "";
	FILE *output;

	snprintf(command, sizeof command, "ip -d link show %s | sed -n 's/.*promiscuity \\([0-9]*\\).*/\\1/p'", name);
	output = popen(command, "re");
	(void)!fgets(text, sizeof text, output);
	pclose(output);
	return text[0] ? atoi(text) : -1;
}

static int
ask_for_promiscuity_and_stay(void)
{
	struct packet_client packet;
	struct packet_mreq membership = {.mr_ifindex = 0, .mr_type = PACKET_MR_PROMISC};
	int fd;

	packet_client_open(&packet, &gofer);
	fd = open_packet_socket(&packet);
	for (membership.mr_ifindex = 1; membership.mr_ifindex < 10; membership.mr_ifindex++)
		setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership);
	if (ask_sync(&packet, 0) != SPLITSOCK__STATUS__STATUS_DENIED)
		return 1;
	kill(getpid(), SIGSTOP);
	return 0;
}

GOFER_TEST(packet, promiscuity_is_not_granted, start)
{
	pid_t child = as_nobody(ask_for_promiscuity_and_stay);
	int status;

	cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
	cr_assert(WIFSTOPPED(status), "%#x", status);
	for (int i = 0; i < 3; i++) {
		cr_expect_eq(promiscuity("gr0"), 0);
		cr_expect_eq(promiscuity("no0"), 0);
		sleep_ms(60);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
}

GOFER_TEST(packet, a_user_without_a_grant_gets_none, start)
{
	struct packet_client packet;
	char log[4096];
	int fd;

	/* Root: the policy names nobody alone. */
	packet_client_open(&packet, &gofer);
	cr_assert_eq(ask_open(&packet, wire_socket_type(SOCK_RAW), ETH_P_ALL, &fd), SPLITSOCK__STATUS__STATUS_DENIED);
	cr_assert_eq(fd, -1);
	slurp(gofer.log, log, sizeof log);
	cr_assert(strstr(log, "denied: uid 0"), "%s", log);
	packet_client_close(&packet);
}

/* ---- another policy ------------------------------------------------------------------------------ */

static void
reload_for_root(const char *packet)
{
	struct timespec before, after;
	struct stat log;
	char policy[512];

	snprintf(policy, sizeof policy, "version: 1\nforeign_rings: unlimited\nclients:\n  - {name: root, users: [0], sockets: open%s%s}\n",
	         *packet ? ", packet: " : "", packet);
	packet_policy_write(&gofer, policy);
	cr_assert_eq(stat(gofer.log, &log), 0);
	before = log.st_mtim;
	kill(gofer.pid, SIGHUP);
	for (int i = 0; i < 200 * SLOW; i++) {
		cr_assert_eq(stat(gofer.log, &log), 0);
		after = log.st_mtim;
		if (after.tv_sec != before.tv_sec || after.tv_nsec != before.tv_nsec)
			return;
		sleep_ms(10);
	}
	cr_assert(false, "it is not read again");
}

/* Which of two frames from gr1 the socket sees: 1 for GRANTED_TYPE, 2 for OTHER_TYPE. */
static int
types_seen(int fd)
{
	struct wire wire = {.fd = watch_interface("gr1")};
	uint8_t frame[2048];
	int seen = 0;

	while (recv(fd, frame, sizeof frame, MSG_DONTWAIT) >= 0 || errno == ENETDOWN)
		;
	put(wire.fd, "gr1", gr0_mac, gr1_mac, GRANTED_TYPE, "one");
	put(wire.fd, "gr1", gr0_mac, gr1_mac, OTHER_TYPE, "other");
	for (int i = 0; i < 30 * SLOW; i++) {
		ssize_t len;

		while ((len = recv(fd, frame, sizeof frame, MSG_DONTWAIT)) > ETH_HLEN)
			seen |= frame[12] == GRANTED_TYPE >> 8 && frame[13] == (GRANTED_TYPE & 0xff) ? 1 :
			        frame[12] == OTHER_TYPE >> 8 && frame[13] == (OTHER_TYPE & 0xff) ? 2 : 0;
		sleep_ms(10);
	}
	close(wire.fd);
	return seen;
}

GOFER_TEST(packet, mirrors_follow_a_policy_that_is_read_again, start)
{
	struct packet_client packet;
	int fd;

	reload_for_root("[{interface: gr0, receive: true, ethertypes: [0x88b5]}]");
	packet_client_open(&packet, &gofer);
	fd = open_packet_socket(&packet);
	cr_assert_eq(ask_sync(&packet, 0), OK);
	cr_expect_eq(types_seen(fd), 1);
	reload_for_root("[{interface: gr0, receive: true, ethertypes: [0x88b6]}]");
	cr_expect_eq(types_seen(fd), 2);
	reload_for_root("[{interface: gr0, send: true, ethertypes: any}]");
	cr_expect_eq(types_seen(fd), 0);
	reload_for_root("[{interface: '*', receive: true, ethertypes: any}]");
	cr_expect_eq(types_seen(fd), 3);
	reload_for_root("");
	cr_expect_eq(types_seen(fd), 0);
	cr_expect_eq(ask_open(&packet, wire_socket_type(SOCK_RAW), ETH_P_ALL, &(int){-1}), SPLITSOCK__STATUS__STATUS_DENIED);
	reload_for_root("[{interface: gr0, receive: true, ethertypes: [0x88b5]}]");
	cr_assert_eq(ask_sync(&packet, 0), OK);
	cr_expect_eq(types_seen(fd), 1);
	close(fd);
	client_close(&packet.client);
	close(packet.channel);
}

/* A private gofer has nobody's rights: what the program gets, and what splitsock-run says about it. */
Test(packet, a_private_gofer_says_what_it_lacks)
{
	char directory[64], command[256], text[4096];
	FILE *output;
	size_t len;

	cr_assert_eq(geteuid(), 0, "this suite needs root");
	programs_copy(directory, "boundary-escapes");
	snprintf(command, sizeof command,
	         "cd /; setpriv --reuid=%d --regid=%d --clear-groups %s/splitsock-run --isolate -- %s/boundary-escapes packet 2>&1", NOBODY,
	         NOBODY, directory, directory);
	output = popen(command, "re");
	len = fread(text, 1, sizeof text - 1, output);
	text[len] = 0;
	pclose(output);
	programs_remove(directory);
	cr_expect(strstr(text, "EPERM"), "%s", text);
	cr_expect(strstr(text, "no CAP_NET_RAW"), "%s", text);
}
