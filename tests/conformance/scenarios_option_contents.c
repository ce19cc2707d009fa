/* Options whose values are more than a number: programs, lists, structures, questions. */
#include "tests/conformance/scenario.h"

#include <linux/filter.h>

#ifndef SO_GET_FILTER
#define SO_GET_FILTER SO_ATTACH_FILTER
#endif

static int
attach(int fd, int option, struct sock_filter *instructions, size_t count)
{
	struct sock_fprog program = {.len = (unsigned short)count, .filter = instructions};

	return setsockopt(fd, SOL_SOCKET, option, &program, sizeof program);
}

/* Takes datagrams whose first byte of payload is this one; the UDP header is in front of it. */
static int
attach_first_byte(int fd, unsigned char byte)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 8),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, byte, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	return attach(fd, SO_ATTACH_FILTER, instructions, 4);
}

SCENARIO_V4_V6(option_contents, filter_udp)
{
	struct pair pair = udp_pair(family);

	observe_call("attach", attach_first_byte(pair.server, 'y'));
	send_text(pair.client, "no");
	send_text(pair.client, "yes");
	send_text(pair.client, "never");
	send_text(pair.client, "yet");
	observe_poll("server", pair.server, POLLIN, POLLIN);
	observe_recv("first", pair.server, 64, 0);
	observe_recv("second", pair.server, 64, 0);
	observe_recv("third", pair.server, 64, MSG_DONTWAIT);
	observe_call("detach", setsockopt(pair.server, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
	observe_call("detach again", setsockopt(pair.server, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
	send_text(pair.client, "no");
	observe_recv("without", pair.server, 64, 0);
}

SCENARIO_V4_V6(option_contents, filter_before_bind)
{
	int server = udp_socket(family), client = udp_socket(family);
	struct address at = loopback(family, 0);

	observe_call("attach", attach_first_byte(server, 'y'));
	must("bind", bind(server, SA(&at), at.length));
	at = local_of(server);
	must("sendto", (int)sendto(client, "no", 2, 0, SA(&at), at.length));
	must("sendto", (int)sendto(client, "yes", 3, 0, SA(&at), at.length));
	observe_recv("first", server, 64, 0);
	observe_recv("second", server, 64, MSG_DONTWAIT);
}

SCENARIO_V4_V6(option_contents, filter_cuts)
{
	struct sock_filter cut[] = {BPF_STMT(BPF_RET | BPF_K, 8 + 3)};
	struct pair pair = udp_pair(family);

	observe_call("attach", attach(pair.server, SO_ATTACH_FILTER, cut, 1));
	send_text(pair.client, "long");
	observe_recv("server", pair.server, 64, 0);
}

static void
observe_filter(const char *what, int fd, socklen_t room)
{
	struct sock_filter instructions[600];
	socklen_t length = room, written;
	int rc;

	memset(instructions, 0x55, sizeof instructions);
	rc = (int)observe_call(what, getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, instructions, &length));
	for (written = 600; written > 0 && instructions[written - 1].code == 0x5555; written--)
		;
	OBSERVE("length %u, %u written", length, written);
	for (socklen_t i = 0; rc == 0 && i < written && i < 4; i++)
		OBSERVE("%#x %u %u %#x", instructions[i].code, instructions[i].jt, instructions[i].jf, instructions[i].k);
}

SCENARIO_V4_V6(option_contents, filter_read_back)
{
	int fds[] = {udp_socket(family), tcp_socket(family)};

	for (int i = 0; i < 2; i++) {
		observe_filter("none", fds[i], 100);
		observe_call("attach", attach_first_byte(fds[i], 'x'));
		observe_filter("how long", fds[i], 0);
		observe_filter("too short", fds[i], 3);
		observe_filter("exactly", fds[i], 4);
		observe_filter("more than enough", fds[i], 600);
		observe_call("another", attach_first_byte(fds[i], 'z'));
		observe_filter("again", fds[i], 4);
		observe_set_option("SO_LOCK_FILTER", fds[i], SOL_SOCKET, SO_LOCK_FILTER, 1);
		observe_call("locked", attach_first_byte(fds[i], 'x'));
		observe_call("detach", setsockopt(fds[i], SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
	}
}

SCENARIO(option_contents, filters_that_are_none)
{
	static struct sock_filter many[5000];
	struct sock_filter good[] = {BPF_STMT(BPF_RET | BPF_K, 0xffff)}, bad_code[] = {BPF_STMT(0xff, 0)},
			   no_return[] = {BPF_STMT(BPF_LD | BPF_IMM, 0)},
			   far_jump[] = {BPF_STMT(BPF_JMP | BPF_JA, 1000), BPF_STMT(BPF_RET | BPF_K, 0)},
			   divided[] = {BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, 0)};
	struct sock_fprog program = {.len = 1, .filter = good};
	static const int options[] = {SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF};
	int fd = udp_socket(AF_INET);

	for (size_t i = 0; i < sizeof many / sizeof *many; i++)
		many[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, (unsigned)i);
	for (int i = 0; i < 2; i++) {
		set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
		observe_call("good", attach(fd, options[i], good, 1));
		observe_call("bad code", attach(fd, options[i], bad_code, 1));
		observe_call("no return", attach(fd, options[i], no_return, 1));
		observe_call("far jump", attach(fd, options[i], far_jump, 2));
		observe_call("division by zero", attach(fd, options[i], divided, 2));
		observe_call("none", attach(fd, options[i], good, 0));
		observe_call("nowhere", attach(fd, options[i], NULL, 1));
		observe_call("far away", attach(fd, options[i], (struct sock_filter *)16, 1));
		many[599] = many[4095] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0xffff);
		observe_call("600", attach(fd, options[i], many, 600));
		observe_call("4096", attach(fd, options[i], many, 4096));
		observe_call("4097", attach(fd, options[i], many, 4097));
		for (socklen_t length = 0; length <= sizeof program + 1; length += 3)
			observe_call("length", setsockopt(fd, SOL_SOCKET, options[i], &program, length));
	}
}

SCENARIO_V4_V6(option_contents, filter_tcp)
{
	struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
	int listener = tcp_listener(family), fd = tcp_socket(family);
	struct address at = local_of(listener);

	observe_call("attach", attach(listener, SO_ATTACH_FILTER, nothing, 1));
	set_nonblocking(fd, true);
	observe_call("connect", connect_fd(fd, &at));
	observe_quiet("listener", listener, POLLIN);
	observe_quiet("client", fd, POLLOUT);
	observe_call("detach", setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &(int){0}, sizeof(int)));
	close(fd); /* its SYN would come again only after a second */
	fd = tcp_socket(family);
	observe_call("connect", connect_fd(fd, &at));
	send_text(fd, "through");
	observe_recv("server", accept_from(listener), 64, 0);
}

/* All to the second of two sockets on one port. */
SCENARIO_V4_V6(option_contents, reuseport_program)
{
	struct sock_filter second[] = {BPF_STMT(BPF_RET | BPF_K, 1)};
	int first = udp_socket(family), other = udp_socket(family);
	struct address at = loopback(family, 0);

	observe_call("without SO_REUSEPORT", attach(first, SO_ATTACH_REUSEPORT_CBPF, second, 1));
	set_option(first, SOL_SOCKET, SO_REUSEPORT, 1);
	set_option(other, SOL_SOCKET, SO_REUSEPORT, 1);
	must("bind", bind(first, SA(&at), at.length));
	at = local_of(first);
	must("bind", bind(other, SA(&at), at.length));
	observe_call("attach", attach(first, SO_ATTACH_REUSEPORT_CBPF, second, 1));
	for (int i = 0; i < 8; i++)
		must("sendto", (int)sendto(udp_socket(family), "x", 1, 0, SA(&at), at.length));
	for (int i = 0; i < 8; i++)
		observe_recv("second", other, 8, 0);
	observe_recv("first", first, 8, MSG_DONTWAIT);
	observe_call("detach", setsockopt(first, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &(int){0}, sizeof(int)));
}

#define GROUP "239.255.77.78"

SCENARIO(option_contents, source_filter_v4)
{
	int fd = udp_socket(AF_INET);
	union {
		struct ip_msfilter filter;
		char bytes[IP_MSFILTER_SIZE(4)];
	} set = {0}, got;
	struct ip_mreqn join = {.imr_multiaddr.s_addr = inet_addr(GROUP), .imr_ifindex = 1};
	socklen_t length = sizeof got;

	set.filter.imsf_multiaddr.s_addr = inet_addr(GROUP);
	set.filter.imsf_interface.s_addr = htonl(INADDR_LOOPBACK);
	set.filter.imsf_fmode = MCAST_INCLUDE;
	set.filter.imsf_numsrc = 2;
	set.filter.imsf_slist[0].s_addr = inet_addr("10.0.0.1");
	((struct in_addr *)set.filter.imsf_slist)[1].s_addr = inet_addr("10.0.0.2");
	got = set;
	observe_call("get, not joined", getsockopt(fd, IPPROTO_IP, IP_MSFILTER, &got, &length));
	observe_call("join", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof join));
	for (int numsrc = 0; numsrc <= 4; numsrc += 2) {
		got = set;
		got.filter.imsf_numsrc = (uint32_t)numsrc;
		length = sizeof got;
		observe_call("get", getsockopt(fd, IPPROTO_IP, IP_MSFILTER, &got, &length));
		OBSERVE("mode %u, %u sources, length %u", got.filter.imsf_fmode, got.filter.imsf_numsrc, length);
		observe_call("set", setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &set, IP_MSFILTER_SIZE(2)));
	}
	for (uint32_t i = 0; i < got.filter.imsf_numsrc && i < 4; i++)
		OBSERVE("source %s", inet_ntoa(((struct in_addr *)got.filter.imsf_slist)[i]));
}

SCENARIO_V4_V6(option_contents, group_filter)
{
	int fd = udp_socket(family), level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	struct address group = literal(family == AF_INET ? GROUP : "ff05::7778", 0),
		       source = literal(family == AF_INET ? "10.0.0.1" : "2001:db8::1", 0);
	struct group_req join = {.gr_interface = 1};
	union {
		struct group_filter filter;
		char bytes[GROUP_FILTER_SIZE(4)];
	} set = {0}, got;
	socklen_t length = sizeof got;

	memcpy(&join.gr_group, &group.storage, group.length);
	set.filter.gf_interface = 1;
	memcpy(&set.filter.gf_group, &group.storage, group.length);
	set.filter.gf_fmode = MCAST_EXCLUDE;
	set.filter.gf_numsrc = 1;
	memcpy(&set.filter.gf_slist[0], &source.storage, source.length);
	got = set;
	observe_call("get, not joined", getsockopt(fd, level, MCAST_MSFILTER, &got, &length));
	observe_call("join", setsockopt(fd, level, MCAST_JOIN_GROUP, &join, sizeof join));
	observe_call("set", setsockopt(fd, level, MCAST_MSFILTER, &set, GROUP_FILTER_SIZE(1)));
	memset(&got.filter.gf_slist, 0, sizeof got.filter.gf_slist);
	got.filter.gf_numsrc = 4;
	length = sizeof got;
	observe_call("get", getsockopt(fd, level, MCAST_MSFILTER, &got, &length));
	OBSERVE("mode %u, %u sources, length %u", got.filter.gf_fmode, got.filter.gf_numsrc, length);
	observe_address("source", &got.filter.gf_slist[0], source.length);
	observe_call("leave", setsockopt(fd, level, MCAST_LEAVE_GROUP, &join, sizeof join));
}

/* struct tcp_md5sig, of which two headers have different ideas. */
SCENARIO_V4_V6(option_contents, md5_key)
{
	int listener = tcp_listener(family), fd = tcp_socket(family), plain = tcp_socket(family);
	struct address at = local_of(listener), from = loopback(family, 0);
	struct tcp_md5sig key = {.tcpm_keylen = 6};

	memcpy(key.tcpm_key, "secret", 6);
	memcpy(&key.tcpm_addr, &from.storage, from.length);
	observe_call("listener", setsockopt(listener, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof key));
	observe_call("client", setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof key));
	observe_call("short", setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, &key, sizeof key - 1));
	observe_call("connect", connect_fd(fd, &at));
	send_text(fd, "signed");
	observe_recv("server", accept_from(listener), 64, 0);
	set_nonblocking(plain, true);
	observe_call("connect without", connect_fd(plain, &at));
	observe_quiet("without", plain, POLLOUT);
}

SCENARIO(option_contents, ip_options)
{
	struct pair pair = tcp_pair(AF_INET);
	unsigned char got[40] = {0};
	socklen_t length = sizeof got;

	/* A time stamp option of one slot, and padding. */
	observe_call("set", setsockopt(pair.client, IPPROTO_IP, IP_OPTIONS, "\x44\x08\x05\x00\0\0\0\0", 8));
	observe_call("get", getsockopt(pair.client, IPPROTO_IP, IP_OPTIONS, got, &length));
	observe_bytes("got", got, length);
	observe_call("nonsense", setsockopt(pair.client, IPPROTO_IP, IP_OPTIONS, "\x44\x01\x05\x00", 4));
	observe_call("too long", setsockopt(pair.client, IPPROTO_IP, IP_OPTIONS, got, 41));
	observe_call("clear", setsockopt(pair.client, IPPROTO_IP, IP_OPTIONS, NULL, 0));
	length = sizeof got;
	observe_call("get", getsockopt(pair.client, IPPROTO_IP, IP_OPTIONS, got, &length));
	OBSERVE("length %u", length);
}

SCENARIO(option_contents, ipv6_extension_headers)
{
	static const struct {
		const char *name;
		int option;
	} options[] = {{"IPV6_HOPOPTS", IPV6_HOPOPTS}, {"IPV6_DSTOPTS", IPV6_DSTOPTS}, {"IPV6_RTHDRDSTOPTS", IPV6_RTHDRDSTOPTS}};
	int fd = udp_socket(AF_INET6);

	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		unsigned char got[64] = {0};
		socklen_t length = sizeof got;

		/* Next header, length 0 (of 8 bytes), PadN with 4 bytes. */
		observe_call(options[i].name, setsockopt(fd, IPPROTO_IPV6, options[i].option, "\0\0\1\4\0\0\0\0", 8));
		observe_call("get", getsockopt(fd, IPPROTO_IPV6, options[i].option, got, &length));
		observe_bytes("got", got, length);
		observe_call("nonsense", setsockopt(fd, IPPROTO_IPV6, options[i].option, "\0\7\1\4\0\0\0\0", 8));
		observe_call("clear", setsockopt(fd, IPPROTO_IPV6, options[i].option, NULL, 0));
		length = sizeof got;
		observe_call("get", getsockopt(fd, IPPROTO_IPV6, options[i].option, got, &length));
		OBSERVE("length %u", length);
	}
}

SCENARIO(option_contents, packet_options_of_the_syn)
{
	struct pair pair = tcp_pair(AF_INET);
	unsigned char got[256] = {0}; /* the kernel leaves out what only aligns */
	socklen_t length = sizeof got;

	set_option(pair.server, IPPROTO_IP, IP_RECVTTL, 1);
	set_option(pair.server, IPPROTO_IP, IP_RECVTOS, 1);
	observe_call("get", getsockopt(pair.server, IPPROTO_IP, IP_PKTOPTIONS, got, &length));
	observe_bytes("got", got, length);
	length = 20;
	observe_call("too little room", getsockopt(pair.server, IPPROTO_IP, IP_PKTOPTIONS, got, &length));
	OBSERVE("length %u", length);
}

SCENARIO(option_contents, bound_to_a_device)
{
	int fd = udp_socket(AF_INET);

	observe_call("lo", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
	for (socklen_t room = 0; room <= 20; room += 4) {
		char name[32] = "";
		socklen_t length = room;

		observe_call("get", getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length));
		OBSERVE("room %u: \"%.*s\" length %u", room, (int)sizeof name, name, length);
	}
	observe_option("SO_BINDTOIFINDEX", fd, SOL_SOCKET, SO_BINDTOIFINDEX);
	observe_call("none", setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
	observe_option("SO_BINDTOIFINDEX", fd, SOL_SOCKET, SO_BINDTOIFINDEX);
	observe_set_option("SO_BINDTOIFINDEX", fd, SOL_SOCKET, SO_BINDTOIFINDEX, 1);
	observe_set_option("SO_BINDTOIFINDEX", fd, SOL_SOCKET, SO_BINDTOIFINDEX, 0x7fffffff);
}

SCENARIO_V4_V6(option_contents, saved_syn)
{
	int listener = tcp_listener(family), fd = tcp_socket(family), server;
	struct address at = local_of(listener);
	unsigned char got[256];
	socklen_t length = 4;

	observe_set_option("TCP_SAVE_SYN", listener, IPPROTO_TCP, TCP_SAVE_SYN, 1);
	must("connect", connect_fd(fd, &at));
	server = accept_from(listener);
	observe_call("too little room", getsockopt(server, IPPROTO_TCP, TCP_SAVED_SYN, got, &length));
	OBSERVE("needs %u", length);
	length = sizeof got;
	observe_call("get", getsockopt(server, IPPROTO_TCP, TCP_SAVED_SYN, got, &length));
	OBSERVE("%u bytes, version %u", length, got[0] >> 4);
	length = sizeof got;
	observe_call("get again", getsockopt(server, IPPROTO_TCP, TCP_SAVED_SYN, got, &length));
	OBSERVE("%u bytes", length);
}

/* SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST, which transparent proxies ask for. */
SCENARIO_V4_V6(option_contents, original_destination)
{
	struct pair pair = tcp_pair(family);
	int fds[] = {tcp_socket(family), pair.server, udp_socket(family)}, level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;

	for (int i = 0; i < 3; i++) {
		for (int room = 0; room <= 40; room += 14) {
			struct sockaddr_storage got;
			socklen_t length = (socklen_t)room;

			if (observe_call("get", getsockopt(fds[i], level, 80, &got, &length)) == 0)
				observe_address("original", &got, length);
		}
	}
}
