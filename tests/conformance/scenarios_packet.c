/* Packet sockets, packet(7): what they are, their names, what they are bound to, and the calls that do nothing for them. */
#include "tests/conformance/packet.h"

#include <linux/sockios.h>
#include <stdio.h>

SCENARIO(packet, types)
{
	observe_fd("raw", socket(AF_PACKET, SOCK_RAW, htons(TEST_TYPE)));
	observe_fd("dgram", socket(AF_PACKET, SOCK_DGRAM, htons(TEST_TYPE)));
	observe_fd("protocol 0", socket(AF_PACKET, SOCK_RAW, 0));
	observe_fd("protocol above 16 bits", socket(AF_PACKET, SOCK_RAW, 0x12340000 | htons(TEST_TYPE)));
	observe_fd("protocol -1", socket(AF_PACKET, SOCK_RAW, -1));
	observe_fd("stream", socket(AF_PACKET, SOCK_STREAM, 0));
	observe_fd("seqpacket", socket(AF_PACKET, SOCK_SEQPACKET, 0));
	observe_fd("rdm", socket(AF_PACKET, SOCK_RDM, 0));
	observe_fd("type 0", socket(AF_PACKET, 0, 0));
	observe_fd("type 7", socket(AF_PACKET, 7, 0));
	observe_fd("type 11", socket(AF_PACKET, 11, 0));
	observe_fd("type 15", socket(AF_PACKET, 15, 0));
	observe_fd("type -1", socket(AF_PACKET, -1, 0));
	observe_fd("unknown flag", socket(AF_PACKET, SOCK_RAW | 0x100, 0));
	observe_fd("unknown flag, unknown type", socket(AF_PACKET, 7 | 0x100, 0));
}

SCENARIO(packet, type_flags)
{
	observe_fd_flags("plain", must("socket", socket(AF_PACKET, SOCK_RAW, 0)));
	observe_fd_flags("nonblock", must("socket", socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0)));
	observe_fd_flags("cloexec", must("socket", socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
	observe_fd_flags("both", must("socket", socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
}

SCENARIO(packet, lowest_number)
{
	int first = packet_socket(SOCK_RAW), second = packet_socket(SOCK_DGRAM), third;

	close(first);
	third = packet_socket(SOCK_RAW);
	OBSERVE("reused %d, next %d", third == first, second - first);
}

/* The type of old: its names, struct sockaddr_pkt, say the interface by name. */
SCENARIO(packet, old_type)
{
	struct {
		unsigned short family;
		char device[14];
		uint16_t protocol;
	} name = {.family = AF_PACKET, .device = "lo", .protocol = htons(TEST_TYPE)}, from = {0};
	int fd = observe_fd("packet", socket(AF_PACKET, SOCK_PACKET, htons(TEST_TYPE))), sender = packet_socket(SOCK_RAW);
	uint8_t frame[FRAME_MAX];
	socklen_t len = sizeof from;
	ssize_t n;

	if (fd < 0)
		return;
	observe_option("SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
	/* It had no filter until now. */
	packet_filter(fd, 0xffffffff);
	while (recv(fd, frame, sizeof frame, MSG_DONTWAIT) >= 0)
		;
	observe_call("bind, a longer name", bind(fd, (struct sockaddr *)&name, sizeof name));
	strcpy(name.device, "nonsense0");
	observe_call("bind to nothing", bind(fd, (struct sockaddr *)&name, sizeof(struct sockaddr)));
	strcpy(name.device, "lo");
	observe_call("bind", bind(fd, (struct sockaddr *)&name, sizeof(struct sockaddr)));
	frame_send(sender, "hello");
	wait_for(fd, POLLIN);
	n = recvfrom(fd, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
	if (n < 0)
		observe_call("recvfrom", n);
	else
		observe_frame("recvfrom", frame, (size_t)n);
	OBSERVE("from %.13s protocol %#x family %d length %u", from.device, ntohs(from.protocol), from.family, len);
	n = (ssize_t)frame_make(frame, NULL, TEST_TYPE, "by name");
	observe_call("sendto", sendto(fd, frame, (size_t)n, 0, (struct sockaddr *)&name, sizeof name));
	wait_for(fd, POLLIN);
	observe_call("recv", recv(fd, frame, sizeof frame, MSG_DONTWAIT));
	observe_frame("recv", frame, (size_t)n);
	observe_call("send", send(fd, frame, (size_t)n, 0));
	len = sizeof from;
	observe_call("getsockname", getsockname(fd, (struct sockaddr *)&from, &len));
	OBSERVE("%.13s length %u", from.device, len);
	observe_fd("of inet", socket(AF_INET, SOCK_PACKET, 0));
	observe_fd("of inet6", socket(AF_INET6, SOCK_PACKET, 0));
}

SCENARIO(packet, identity)
{
	static const int protocols[] = {0, TEST_TYPE, ETH_P_ALL};

	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
		int fd = must("socket", socket(AF_PACKET, i % 2 ? SOCK_DGRAM : SOCK_RAW, htons((uint16_t)protocols[i])));

		observe_option("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN);
		observe_option("SO_TYPE", fd, SOL_SOCKET, SO_TYPE);
		observe_option("SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
		observe_option("SO_ACCEPTCONN", fd, SOL_SOCKET, SO_ACCEPTCONN);
		observe_so_error("fresh", fd);
		packet_bind(fd, lo_index(), OTHER_TYPE);
		observe_option("SO_PROTOCOL", fd, SOL_SOCKET, SO_PROTOCOL);
		close(fd);
	}
}

/* ---- names -------------------------------------------------------------------------------------- */

static void
observe_own_name(const char *what, int fd)
{
	struct sockaddr_ll name = {0};
	socklen_t len = sizeof name;

	if (observe_call(what, getsockname(fd, (struct sockaddr *)&name, &len)) == 0)
		observe_link_name(what, &name, len);
}

SCENARIO(packet, names)
{
	int fd = must("socket", socket(AF_PACKET, SOCK_RAW, 0));

	observe_own_name("fresh", fd);
	packet_bind(fd, lo_index(), TEST_TYPE);
	observe_own_name("bound", fd);
	packet_bind(fd, lo_index(), 0);
	observe_own_name("bound for 0", fd);
	packet_bind(fd, 0, OTHER_TYPE);
	observe_own_name("bound to any", fd);
	packet_bind(fd, 0, ETH_P_ALL);
	observe_own_name("bound to any for all", fd);
	observe_own_name("with a protocol", must("socket", socket(AF_PACKET, SOCK_DGRAM, htons(TEST_TYPE))));
}

SCENARIO(packet, name_lengths)
{
	static const int rooms[] = {0, 1, 2, 8, 11, 12, 18, 20, 100, -1};
	int fd = packet_bound(SOCK_RAW, TEST_TYPE);

	for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
		uint8_t name[128];
		socklen_t len = (socklen_t)rooms[i];
		size_t written = 0;

		memset(name, 0xaa, sizeof name);
		observe_call("getsockname", getsockname(fd, (struct sockaddr *)name, &len));
		while (written < sizeof name && name[written] != 0xaa)
			written++;
		OBSERVE("room for %d: length %d, %zu written", rooms[i], (int)len, written);
	}
	observe_call("no length", getsockname(fd, (struct sockaddr *)&(struct sockaddr_ll){0}, NULL));
	observe_call("no room", getsockname(fd, (struct sockaddr *)8, &(socklen_t){20}));
}

SCENARIO(packet, no_connections)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE), two[2];
	struct sockaddr_ll name = link_name(lo_index(), TEST_TYPE);
	struct sockaddr_storage peer;
	socklen_t len = sizeof peer;

	observe_call("connect", connect(fd, (struct sockaddr *)&name, sizeof name));
	observe_call("connect to nothing", connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)));
	observe_call("connect by a bad pointer", connect(fd, (struct sockaddr *)8, sizeof name));
	observe_call("listen", listen(fd, 1));
	observe_call("accept", accept(fd, NULL, NULL));
	observe_call("accept4", accept4(fd, NULL, NULL, SOCK_CLOEXEC));
	observe_call("accept4 with a bad flag", accept4(fd, NULL, NULL, 1));
	observe_call("getpeername", getpeername(fd, (struct sockaddr *)&peer, &len));
	observe_call("shutdown", shutdown(fd, SHUT_RDWR));
	observe_call("shutdown 7", shutdown(fd, 7));
	observe_call("socketpair", socketpair(AF_PACKET, SOCK_RAW, 0, two));
	frame_send(fd, "still there");
	observe_text("after all that", fd);
}

/* ---- bind --------------------------------------------------------------------------------------- */

SCENARIO(packet, bind_errors)
{
	int fd = packet_socket(SOCK_RAW);
	struct sockaddr_ll name = link_name(lo_index(), TEST_TYPE);
	static const int lengths[] = {0, 2, 12, 19, 20, 21, 128, 129, -1};
	static const int families[] = {AF_UNSPEC, AF_INET, AF_UNIX, 1000};
	static const int indexes[] = {99999, -1, 0x7fffffff};

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct sockaddr_storage storage[2] = {0};

		memcpy(storage, &name, sizeof name);
		OBSERVE("length %d", lengths[i]);
		observe_call("bind", bind(fd, (struct sockaddr *)storage, (socklen_t)lengths[i]));
	}
	for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
		name.sll_family = (unsigned short)families[i];
		observe_call("of another family", bind(fd, (struct sockaddr *)&name, sizeof name));
	}
	for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
		name = link_name(indexes[i], TEST_TYPE);
		observe_call("no such interface", bind(fd, (struct sockaddr *)&name, sizeof name));
	}
	observe_call("bad pointer", bind(fd, (struct sockaddr *)8, sizeof name));
	observe_call("bad pointer, bad length", bind(fd, (struct sockaddr *)8, 4));
	observe_call("nothing", bind(fd, NULL, 0));
	observe_own_name("after all that", fd);
}

/* What comes to a socket that was bound once more is what it is bound to now. */
SCENARIO(packet, rebind)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);
	struct sockaddr_ll to = link_name(lo_index(), OTHER_TYPE);
	uint8_t frame[FRAME_MAX];
	static const int protocols[] = {TEST_TYPE, OTHER_TYPE, ETH_P_ALL, 0, OTHER_TYPE};

	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
		size_t len = frame_make(frame, NULL, OTHER_TYPE, "other");

		OBSERVE("bound for %#x", protocols[i]);
		packet_bind(fd, i % 2 ? 0 : lo_index(), protocols[i]);
		frame_send(sender, "test");
		must("sendto", sendto(sender, frame, len, 0, (struct sockaddr *)&to, sizeof to));
		do
			observe_text("got", fd);
		while (poll(&(struct pollfd){fd, POLLIN, 0}, 1, QUIET_MS) == 1);
	}
}

SCENARIO(packet, unbound_gets_nothing)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW);

	frame_send(sender, "before");
	observe_quiet("unbound", fd, POLLIN);
	packet_bind(fd, lo_index(), TEST_TYPE);
	frame_send(sender, "after");
	observe_text("bound", fd);
	observe_quiet("bound", fd, POLLIN);
}

SCENARIO(packet, protocol_at_socket)
{
	int fd = must("socket", socket(AF_PACKET, SOCK_RAW, htons(TEST_TYPE))), sender = packet_socket(SOCK_RAW);

	/* Others' frames of this type may have come before the filter. */
	packet_filter(fd, 0xffffffff);
	while (recv(fd, &(char){0}, 1, MSG_DONTWAIT) >= 0)
		;
	frame_send(sender, "to any");
	observe_packet("got", fd);
	packet_bind(fd, 0, 0);
	frame_send(sender, "to any still");
	observe_text("got", fd);
}

SCENARIO(packet, other_interface)
{
	struct if_nameindex *all = if_nameindex();
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW), index = 0;

	for (struct if_nameindex *at = all; at && at->if_index; at++)
		if ((int)at->if_index != lo_index() && (strncmp(at->if_name, "eth", 3) == 0 || strncmp(at->if_name, "en", 2) == 0))
			index = (int)at->if_index;
	OBSERVE("there is one %d", index != 0);
	if (!index)
		return;
	packet_bind(fd, index, ETH_P_ALL);
	frame_send(sender, "on lo");
	observe_quiet("bound elsewhere", fd, POLLIN);
	packet_bind(fd, 0, ETH_P_ALL);
	frame_send(sender, "on lo again");
	observe_packet("bound to any", fd);
}

SCENARIO(packet, interface_that_is_down)
{
	int index = (int)if_nametoindex("ifb0"), fd = packet_socket(SOCK_RAW);
	struct sockaddr_ll name = link_name(index, TEST_TYPE);
	struct ifreq request = {.ifr_name = "ifb0"};
	uint8_t frame[FRAME_MAX];
	size_t len = frame_make(frame, NULL, TEST_TYPE, "nowhere");

	OBSERVE("there is one %d", index != 0);
	if (!index || ioctl(fd, SIOCGIFFLAGS, &request) < 0 || request.ifr_flags & IFF_UP)
		return;
	observe_call("sendto", sendto(fd, frame, len, 0, (struct sockaddr *)&name, sizeof name));
	observe_call("bind", bind(fd, (struct sockaddr *)&name, sizeof name));
	observe_poll("bound", fd, POLLIN | POLLOUT, POLLERR);
	observe_so_error("bound", fd);
	observe_so_error("once more", fd);
	observe_poll("then", fd, POLLIN | POLLOUT, POLLOUT);
	observe_call("send", send(fd, frame, len, 0));
	observe_call("bind to lo", bind(fd, (struct sockaddr *)&(struct sockaddr_ll){.sll_family = AF_PACKET, .sll_ifindex = lo_index(),
	                                .sll_protocol = htons(TEST_TYPE)}, sizeof name));
	observe_so_error("on lo", fd);
}

SCENARIO(packet, bind_to_device)
{
	int fd = packet_socket(SOCK_RAW);
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof name;

	observe_call("nonsense", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nonsense0", 10));
	observe_call("lo", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	observe_call("get", getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	OBSERVE("\"%s\" length %u", name, len);
	observe_own_name("its name", fd);
	packet_bind(fd, 0, TEST_TYPE);
	frame_send(fd, "hello");
	observe_text("got", fd);
}

/* ---- who has it --------------------------------------------------------------------------------- */

SCENARIO(packet, close_and_reopen)
{
	int sender = packet_socket(SOCK_RAW);

	for (int i = 0; i < 5; i++) {
		int fd = packet_bound(i % 2 ? SOCK_DGRAM : SOCK_RAW, TEST_TYPE);

		frame_send(sender, i % 2 ? "odd" : "even");
		observe_packet("got", fd);
		close(fd);
		observe_call("closed", send(fd, "", 0, 0));
	}
}

SCENARIO(packet, duplicates)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE), twin = must("dup", dup(fd)), sender = packet_socket(SOCK_RAW);

	frame_send(sender, "one");
	observe_text("twin", twin);
	close(fd);
	frame_send(sender, "two");
	observe_text("twin", twin);
	packet_bind(twin, lo_index(), ETH_P_ALL);
	frame_send(sender, "three");
	observe_text("twin", twin);
	observe_text("twin", twin);
}

static int
child_talks(void *argument)
{
	int fd = *(int *)argument;

	observe_text("child", fd);
	packet_bind(fd, lo_index(), OTHER_TYPE);
	observe_own_name("child", fd);
	frame_send(fd, "from the child");
	return 0;
}

SCENARIO(packet, forked)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE), sender = packet_socket(SOCK_RAW), other = packet_bound(SOCK_RAW, TEST_TYPE);
	pid_t child;

	frame_send(sender, "for the child");
	observe_text("parent", other);
	child = start_child(child_talks, &fd);
	observe_child("child", child);
	observe_own_name("parent", fd);
	observe_text("parent", other);
	observe_quiet("parent", fd, POLLIN);
}

SCENARIO(packet, passed)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW), two[2];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec iov = {(char[]){"x"}, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int passed;

	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, two));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	must("sendmsg", sendmsg(two[0], &message, 0));
	close(fd);
	must("recvmsg", recvmsg(two[1], &message, 0));
	memcpy(&passed, CMSG_DATA(&control.header), sizeof passed);
	packet_bind(passed, lo_index(), TEST_TYPE);
	frame_send(sender, "hello");
	observe_packet("passed", passed);
	observe_own_name("passed", passed);
}

/* ---- interfaces --------------------------------------------------------------------------------- */

SCENARIO(packet, interface_requests)
{
	static const struct {
		const char *name;
		unsigned long request;
	} gets[] = {
		{"SIOCGIFINDEX", SIOCGIFINDEX}, {"SIOCGIFFLAGS", SIOCGIFFLAGS}, {"SIOCGIFHWADDR", SIOCGIFHWADDR},
		{"SIOCGIFMTU", SIOCGIFMTU},     {"SIOCGIFADDR", SIOCGIFADDR},   {"SIOCGIFTXQLEN", SIOCGIFTXQLEN},
	};
	static const char *const names[] = {"lo", "eth0", "nonsense0"};
	int fd = packet_bound(SOCK_RAW, TEST_TYPE);
	struct ifreq request;

	for (size_t i = 0; i < sizeof gets / sizeof *gets; i++) {
		for (size_t j = 0; j < sizeof names / sizeof *names; j++) {
			memset(&request, 0, sizeof request);
			strcpy(request.ifr_name, names[j]);
			if (observe_call(gets[i].name, ioctl(fd, gets[i].request, &request)) == 0)
				OBSERVE("%s %#llx", names[j],
				        (unsigned long long)hash_bytes(&request.ifr_ifru, sizeof request.ifr_ifru));
		}
	}
	request = (struct ifreq){.ifr_ifindex = lo_index()};
	observe_call("SIOCGIFNAME", ioctl(fd, SIOCGIFNAME, &request));
	OBSERVE("%s", request.ifr_name);
	observe_call("bad pointer", ioctl(fd, SIOCGIFINDEX, (void *)8));
	observe_call("unknown", ioctl(fd, 0x89ff, &request));
}
