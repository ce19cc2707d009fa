/* sendmsg(), recvmsg() and their many-at-once forms: vectors, addresses, flags, control data. */
#include "tests/conformance/scenario.h"

#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <stdio.h>

/* recvmsg() into two buffers of `first` and 64 bytes, with everything it tells printed. */
static ssize_t
observe_recvmsg(const char *what, int fd, size_t first, size_t control_size, int flags)
{
	static char a[65536], b[64], control[512];
	struct iovec iov[] = {{a, first}, {b, sizeof b}};
	struct sockaddr_storage name = {0};
	struct msghdr message = {
		.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = iov, .msg_iovlen = 2,
		.msg_control = control_size ? control : NULL, .msg_controllen = control_size,
	};
	ssize_t n = recvmsg(fd, &message, flags);

	if (n < 0) {
		observe_call(what, n);
		return n;
	}
	OBSERVE("%s = %zd flags %s control %d", what, n, msg_flags_name(message.msg_flags), message.msg_controllen != 0);
	observe_bytes("first", a, n < (ssize_t)first ? n : (ssize_t)first);
	if (n > (ssize_t)first)
		observe_bytes("second", b, n - (ssize_t)first);
	observe_address("name", &name, message.msg_namelen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		OBSERVE("control level %d type %d length %zu", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len);
	return n;
}

static long
send_message(int fd, const char *one, const char *two, const struct address *to, int flags)
{
	struct iovec iov[] = {{(char *)one, strlen(one)}, {(char *)two, strlen(two)}};
	struct msghdr message = {
		.msg_name = to ? SA(to) : NULL, .msg_namelen = to ? to->length : 0, .msg_iov = iov, .msg_iovlen = 2,
	};

	return sendmsg(fd, &message, flags);
}

SCENARIO_V4_V6(msg, tcp)
{
	struct pair pair = tcp_pair(family);
	struct address other = loopback(family, 9);

	observe_call("sendmsg", send_message(pair.client, "hel", "lo", NULL, 0));
	wait_queued(pair.server, 5);
	observe_recvmsg("recvmsg", pair.server, 3, 0, 0);
	observe_call("sendmsg with a name", send_message(pair.client, "na", "me", &other, 0));
	wait_queued(pair.server, 4);
	observe_recvmsg("recvmsg peek", pair.server, 64, 256, MSG_PEEK);
	observe_recvmsg("recvmsg", pair.server, 64, 256, 0);
	observe_recvmsg("recvmsg", pair.server, 64, 256, MSG_DONTWAIT);
	close(pair.client);
	observe_recvmsg("recvmsg", pair.server, 64, 256, 0);
}

SCENARIO_V4_V6(msg, udp)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);

	observe_call("sendmsg", send_message(a, "data", "gram", &to, 0));
	wait_for(b, POLLIN);
	observe_recvmsg("recvmsg peek", b, 6, 256, MSG_PEEK);
	observe_recvmsg("recvmsg", b, 6, 256, 0);
	observe_recvmsg("recvmsg", b, 6, 256, MSG_DONTWAIT);
	observe_call("sendmsg no name", send_message(a, "data", "gram", NULL, 0));
}

SCENARIO_V4_V6(msg, udp_connected)
{
	struct pair pair = udp_pair(family);
	int other = udp_bound(family);
	struct address to = local_of(other);

	observe_call("sendmsg", send_message(pair.client, "to", " the peer", NULL, 0));
	wait_for(pair.server, POLLIN);
	observe_recvmsg("recvmsg", pair.server, 64, 0, 0);
	observe_call("sendmsg", send_message(pair.client, "to", " another", &to, 0));
	wait_for(other, POLLIN);
	observe_recvmsg("recvmsg", other, 64, 0, 0);
}

SCENARIO_V4_V6(msg, udp_truncation)
{
	struct pair pair = udp_pair(family);
	static char big[200];
	int i;

	fill_pattern(big, sizeof big, 9);
	for (i = 0; i < 2; i++)
		must("send", send(pair.client, big, sizeof big, 0));
	wait_for(pair.server, POLLIN);
	for (i = 0; i < 2; i++) {
		char buffer[50];
		struct iovec iov = {buffer, sizeof buffer};
		struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

		observe_call("recvmsg", recvmsg(pair.server, &message, i ? MSG_TRUNC : 0));
		OBSERVE("flags %s", msg_flags_name(message.msg_flags));
		pause_ms(20);
	}
}

SCENARIO_V4_V6(msg, udp_zero_length)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);

	observe_call("sendmsg", send_message(a, "", "", &to, 0));
	wait_for(b, POLLIN);
	observe_recvmsg("recvmsg", b, 6, 0, 0);
}

SCENARIO_V4_V6(msg, short_name)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b), name;
	char byte;
	struct iovec iov = {&byte, 1};
	static const int lengths[] = {0, 3, 16, -1};

	for (int i = 0; i < 4; i++) {
		struct msghdr message = {
			.msg_name = &name.storage, .msg_namelen = (socklen_t)lengths[i], .msg_iov = &iov, .msg_iovlen = 1,
		};

		must("sendto", sendto(a, "x", 1, 0, SA(&to), to.length));
		wait_for(b, POLLIN);
		observe_call("recvmsg", recvmsg(b, &message, MSG_DONTWAIT));
		OBSERVE("given %d returned %d", lengths[i], (int)message.msg_namelen);
	}
	observe_recv("left", b, 10, MSG_DONTWAIT);
	for (int i = 0; i < 3; i++) {
		name.length = (socklen_t)lengths[i];
		must("sendto", sendto(a, "x", 1, 0, SA(&to), to.length));
		wait_for(b, POLLIN);
		observe_call("recvfrom", recvfrom(b, &byte, 1, MSG_DONTWAIT, SA(&name), &name.length));
		OBSERVE("given %d returned %d", lengths[i], (int)name.length);
	}
}

SCENARIO(msg, vector_limits)
{
	struct pair pair = tcp_pair(AF_INET);
	static struct iovec iov[1025];
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = 1024};

	for (int i = 0; i < 1025; i++)
		iov[i] = (struct iovec){"x", 1};
	observe_call("sendmsg 1024", sendmsg(pair.client, &message, 0));
	message.msg_iovlen = 1025;
	observe_call("sendmsg 1025", sendmsg(pair.client, &message, 0));
	observe_call("recvmsg 1025", recvmsg(pair.server, &message, MSG_DONTWAIT));
	message.msg_iovlen = 0;
	observe_call("sendmsg 0", sendmsg(pair.client, &message, 0));
	wait_queued(pair.server, 1024);
	observe_recv("server", pair.server, 2000, 0);
	iov[0].iov_len = (size_t)-1;
	message.msg_iovlen = 1;
	observe_call("sendmsg negative", sendmsg(pair.client, &message, 0));
}

SCENARIO(msg, bulk)
{
	struct pair pair = tcp_pair(AF_INET);
	enum { LEN = 50000 };
	char *data = must_alloc(LEN), *back = must_alloc(LEN);
	struct iovec iov[] = {{data, 10000}, {data + 10000, 1}, {data + 10001, LEN - 10001}};
	struct iovec in[] = {{back, 20000}, {back + 20000, LEN - 20000}};
	struct msghdr out_message = {.msg_iov = iov, .msg_iovlen = 3}, in_message = {.msg_iov = in, .msg_iovlen = 2};

	fill_pattern(data, LEN, 10);
	observe_call("sendmsg", sendmsg(pair.client, &out_message, 0));
	observe_call("recvmsg", recvmsg(pair.server, &in_message, MSG_WAITALL));
	OBSERVE("alike %d flags %s", memcmp(data, back, LEN) == 0, msg_flags_name(in_message.msg_flags));
}

SCENARIO_V4_V6(msg, sendmmsg_recvmmsg_udp)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	static char texts[4][16] = {"one", "two", "", "four"};
	char buffers[6][8];
	struct sockaddr_storage names[6] = {0};
	struct mmsghdr out[4] = {0}, in[6] = {0};
	struct iovec out_iov[4], in_iov[6];

	for (int i = 0; i < 4; i++) {
		out_iov[i] = (struct iovec){texts[i], strlen(texts[i])};
		out[i].msg_hdr = (struct msghdr){
			.msg_name = SA(&to), .msg_namelen = to.length, .msg_iov = &out_iov[i], .msg_iovlen = 1,
		};
	}
	for (int i = 0; i < 6; i++) {
		in_iov[i] = (struct iovec){buffers[i], 3};
		in[i].msg_hdr = (struct msghdr){
			.msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &in_iov[i], .msg_iovlen = 1,
		};
	}
	observe_local("a", a);
	observe_call("sendmmsg", sendmmsg(a, out, 4, 0));
	for (int i = 0; i < 4; i++)
		OBSERVE("sent %u", out[i].msg_len);
	wait_for(b, POLLIN);
	pause_ms(QUIET_MS);
	observe_call("recvmmsg", recvmmsg(b, in, 6, MSG_DONTWAIT, NULL));
	for (int i = 0; i < 4; i++) {
		observe_bytes("message", buffers[i], in[i].msg_len);
		observe_address("name", &names[i], in[i].msg_hdr.msg_namelen);
		OBSERVE("flags %s", msg_flags_name(in[i].msg_hdr.msg_flags));
	}
	observe_call("recvmmsg", recvmmsg(b, in, 6, MSG_DONTWAIT, NULL));
	observe_call("sendmmsg 0", sendmmsg(a, out, 0, 0));
	observe_call("recvmmsg 0", recvmmsg(b, in, 0, MSG_DONTWAIT, NULL));
}

SCENARIO(msg, recvmmsg_waits)
{
	struct pair pair = udp_pair(AF_INET);
	char buffers[3][8];
	struct mmsghdr in[3] = {0};
	struct iovec iov[3];
	struct timespec timeout = {.tv_sec = -1}, zero = {0};

	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){buffers[i], sizeof buffers[i]};
		in[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	send_text(pair.client, "one");
	wait_for(pair.server, POLLIN);
	observe_call("MSG_WAITFORONE", recvmmsg(pair.server, in, 3, MSG_WAITFORONE, NULL));
	observe_call("bad timeout", recvmmsg(pair.server, in, 3, 0, &timeout));
	send_text(pair.client, "two");
	wait_for(pair.server, POLLIN);
	/* The timeout is looked at only after a datagram. */
	observe_call("zero timeout", recvmmsg(pair.server, in, 3, 0, &zero));
}

SCENARIO(msg, mmsg_tcp)
{
	struct pair pair = tcp_pair(AF_INET);
	char a[] = "one", b[] = "two";
	struct iovec iov[2] = {{a, 3}, {b, 3}};
	struct mmsghdr messages[2] = {
		{.msg_hdr = {.msg_iov = &iov[0], .msg_iovlen = 1}},
		{.msg_hdr = {.msg_iov = &iov[1], .msg_iovlen = 1}},
	};

	observe_call("sendmmsg", sendmmsg(pair.client, messages, 2, 0));
	wait_queued(pair.server, 6);
	observe_call("recvmmsg", recvmmsg(pair.server, messages, 2, MSG_DONTWAIT, NULL));
	OBSERVE("%.3s %u %.3s %u", a, messages[0].msg_len, b, messages[1].msg_len);
	close(pair.client);
	wait_for(pair.server, POLLIN);
	observe_call("recvmmsg", recvmmsg(pair.server, messages, 2, MSG_DONTWAIT, NULL));
	OBSERVE("%u", messages[0].msg_len);
}

SCENARIO(msg, sendmmsg_stops_at_error)
{
	int a = udp_bound(AF_INET), b = udp_bound(AF_INET);
	struct address good = local_of(b), bad = loopback(AF_INET, 0);
	struct iovec iov = {"x", 1};
	struct mmsghdr messages[3] = {
		{.msg_hdr = {.msg_name = SA(&good), .msg_namelen = good.length, .msg_iov = &iov, .msg_iovlen = 1}},
		{.msg_hdr = {.msg_name = SA(&bad), .msg_namelen = bad.length, .msg_iov = &iov, .msg_iovlen = 1}},
		{.msg_hdr = {.msg_name = SA(&good), .msg_namelen = good.length, .msg_iov = &iov, .msg_iovlen = 1}},
	};

	observe_call("sendmmsg", sendmmsg(a, messages, 3, 0));
	observe_call("sendmmsg", sendmmsg(a, messages + 1, 2, 0));
	wait_for(b, POLLIN);
	observe_recv("b", b, 10, MSG_DONTWAIT);
	observe_quiet("b", b, POLLIN);
}

SCENARIO_V4_V6(control, packet_info)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);

	if (family == AF_INET)
		set_option(b, IPPROTO_IP, IP_PKTINFO, 1);
	else
		set_option(b, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	must("sendto", sendto(a, "x", 1, 0, SA(&to), to.length));
	wait_for(b, POLLIN);
	observe_recvmsg("recvmsg", b, 64, 256, 0);
	/* Too little room for it. */
	must("sendto", sendto(a, "x", 1, 0, SA(&to), to.length));
	wait_for(b, POLLIN);
	observe_recvmsg("recvmsg", b, 64, 8, 0);
	/* And a plain recv gets the payload alone. */
	must("sendto", sendto(a, "x", 1, 0, SA(&to), to.length));
	wait_for(b, POLLIN);
	observe_recv("recv", b, 64, 0);
}

SCENARIO(control, packet_info_contents)
{
	int a = udp_bound(AF_INET), b = udp_socket(AF_INET);
	struct address at = wildcard(AF_INET, 0);
	char byte, control[256] = "";
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct in_pktinfo info;
	char host[INET_ADDRSTRLEN];

	set_option(b, IPPROTO_IP, IP_PKTINFO, 1);
	must("bind", bind(b, SA(&at), at.length));
	at = literal("127.0.0.9", port_of(b));
	must("sendto", sendto(a, "x", 1, 0, SA(&at), at.length));
	wait_for(b, POLLIN);
	observe_call("recvmsg", recvmsg(b, &message, 0));
	must("IP_PKTINFO", CMSG_FIRSTHDR(&message) ? 0 : -1);
	memcpy(&info, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof info);
	OBSERVE("interface %d", info.ipi_ifindex);
	OBSERVE("destination %s", inet_ntop(AF_INET, &info.ipi_addr, host, sizeof host));
	OBSERVE("local %s", inet_ntop(AF_INET, &info.ipi_spec_dst, host, sizeof host));
}

SCENARIO(control, send_packet_info)
{
	int a = udp_socket(AF_INET), b = udp_bound(AF_INET);
	struct address to = local_of(b);
	char control[CMSG_SPACE(sizeof(struct in_pktinfo))] = "";
	struct iovec iov = {"x", 1};
	struct msghdr message = {
		.msg_name = SA(&to), .msg_namelen = to.length, .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof control,
	};
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = inet_addr("127.0.0.44")};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = IPPROTO_IP;
	header->cmsg_type = IP_PKTINFO;
	header->cmsg_len = CMSG_LEN(sizeof info);
	memcpy(CMSG_DATA(header), &info, sizeof info);
	observe_call("sendmsg", sendmsg(a, &message, 0));
	wait_for(b, POLLIN);
	observe_recvfrom("b", b, 10, MSG_DONTWAIT);
	header->cmsg_len = 3;
	observe_call("sendmsg bad control", sendmsg(a, &message, 0));
}

SCENARIO_V4_V6(control, hop_limit_and_class)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	char byte, control[256] = "";
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

	if (family == AF_INET) {
		set_option(b, IPPROTO_IP, IP_RECVTTL, 1);
		set_option(b, IPPROTO_IP, IP_RECVTOS, 1);
		set_option(a, IPPROTO_IP, IP_TTL, 37);
		set_option(a, IPPROTO_IP, IP_TOS, 0x28);
	} else {
		set_option(b, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
		set_option(b, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		set_option(a, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 37);
		set_option(a, IPPROTO_IPV6, IPV6_TCLASS, 0x28);
	}
	must("sendto", sendto(a, "x", 1, 0, SA(&to), to.length));
	wait_for(b, POLLIN);
	observe_call("recvmsg", recvmsg(b, &message, 0));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		OBSERVE("level %d type %d length %zu value %d", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len,
		        *(unsigned char *)CMSG_DATA(c));
}

SCENARIO_V4_V6(control, timestamp)
{
	struct pair pair = udp_pair(family);

	set_option(pair.server, SOL_SOCKET, SO_TIMESTAMP, 1);
	send_text(pair.client, "x");
	wait_for(pair.server, POLLIN);
	observe_recvmsg("recvmsg", pair.server, 64, 256, 0);
	set_option(pair.server, SOL_SOCKET, SO_TIMESTAMPNS, 1);
	send_text(pair.client, "x");
	wait_for(pair.server, POLLIN);
	observe_recvmsg("recvmsg", pair.server, 64, 256, 0);
	set_option(pair.server, SOL_SOCKET, SO_TIMESTAMPNS, 0);
	send_text(pair.client, "x");
	wait_for(pair.server, POLLIN);
	observe_recvmsg("recvmsg", pair.server, 64, 256, 0);
}

SCENARIO(control, timestamp_stream)
{
	struct pair pair = tcp_pair(AF_INET);

	set_option(pair.server, SOL_SOCKET, SO_TIMESTAMP, 1);
	/* The kernel turns stamping on by deferred work; a segment before that has none. */
	pause_ms(200);
	send_text(pair.client, "stamped");
	wait_queued(pair.server, 7);
	observe_recvmsg("recvmsg", pair.server, 64, 256, 0);
}

SCENARIO(control, rights_over_tcp)
{
	struct pair pair = tcp_pair(AF_INET);
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = {"x", 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	/* Must mean nothing, least of all on a link that could carry it. */
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	observe_call("sendmsg", sendmsg(pair.client, &message, 0));
	send_text(pair.client, "y");
	wait_queued(pair.server, 1);
	pause_ms(50);
	observe_recvmsg("recvmsg", pair.server, 64, 256, 0);
}

SCENARIO_V4_V6(control, error_queue)
{
	int fd = udp_socket(family);
	struct address at = local_of(udp_refusing(family)), name = {.length = sizeof name.storage};
	char data[16] = "", control[512] = "";
	struct iovec iov = {data, sizeof data};
	struct msghdr message = {
		.msg_name = SA(&name), .msg_namelen = name.length, .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof control,
	};
	ssize_t n;

	set_option(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, family == AF_INET ? IP_RECVERR : IPV6_RECVERR, 1);
	observe_call("empty", recvmsg(fd, &message, MSG_ERRQUEUE));
	/* With this option an unconnected socket is told, too. */
	must("sendto", sendto(fd, "lost", 4, 0, SA(&at), at.length));
	observe_poll("refused", fd, POLLIN | POLLOUT, POLLERR);
	message.msg_namelen = name.length;
	message.msg_controllen = sizeof control;
	n = recvmsg(fd, &message, MSG_ERRQUEUE);
	observe_bytes("lost datagram", data, n);
	if (n >= 0) {
		OBSERVE("flags %s", msg_flags_name(message.msg_flags));
		observe_address("it was for", &name.storage, message.msg_namelen);
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
			struct sock_extended_err error;

			memcpy(&error, CMSG_DATA(c), sizeof error);
			OBSERVE("level %d type %d: %s origin %d type %d code %d", c->cmsg_level, c->cmsg_type,
			        strerrorname_np((int)error.ee_errno), error.ee_origin, error.ee_type, error.ee_code);
		}
	}
	observe_so_error("after", fd);
}

SCENARIO(control, segmentation)
{
	struct pair pair = udp_pair(AF_INET);
	static char data[3000];

	fill_pattern(data, sizeof data, 11);
	observe_set_option("UDP_SEGMENT", pair.client, SOL_UDP, UDP_SEGMENT, 1000);
	observe_call("send", send(pair.client, data, 2500, 0));
	for (int i = 0; i < 3; i++) {
		wait_for(pair.server, POLLIN);
		observe_recv("recv", pair.server, 3000, MSG_DONTWAIT);
	}
}
