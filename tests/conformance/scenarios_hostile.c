/*
 * The same mistake 10,000 times: pointers to nowhere and lengths of nothing, in every call that takes one. The calls are made bare.
 * Each answer is counted; a wrong pointer must give what the kernel gives, every time, and the socket must work afterwards.
 */
#include "tests/conformance/scenario.h"

#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>

enum { TIMES = 10000 };

struct tally {
	const char *what;
	int counts[160];
	int successes;
};

static void
count(struct tally *tally, long rc)
{
	if (rc >= 0)
		tally->successes++;
	else
		tally->counts[errno < 160 ? errno : 159]++;
}

static void
observe_tally(const struct tally *tally)
{
	if (tally->successes)
		OBSERVE("%s: %d succeeded", tally->what, tally->successes);
	for (int i = 0; i < 160; i++)
		if (tally->counts[i])
			OBSERVE("%s: %d %s", tally->what, tally->counts[i], error_name(i));
}

static struct {
	char *null, *one, *wild, *read_only, *last; /* `last`: the last byte before memory that is not there */
	char *bad[4];
} places;

static void
find_places(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must("mmap", pages == MAP_FAILED ? -1 : 0);
	must("mprotect", mprotect(pages + page, page, PROT_NONE));
	places.last = pages + page - 1;
	places.read_only = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	places.one = (char *)1;
	places.wild = (char *)(uintptr_t)0x8000000000000010u; /* not canonical */
	places.bad[0] = places.one;
	places.bad[1] = places.wild;
	places.bad[2] = places.last;
	places.bad[3] = NULL;
}

/* TIMES calls in all, with one bad place after the other as BAD. */
#define TALLY(name, bads, call)                                                             \
	do {                                                                                \
		struct tally tally = {.what = name};                                        \
                                                                                            \
		for (int i = 0; i < TIMES; i++) {                                           \
			char *BAD = places.bad[i % (bads)];                                 \
                                                                                            \
			(void)BAD;                                                          \
			count(&tally, (call));                                              \
		}                                                                           \
		observe_tally(&tally);                                                      \
	} while (0)

SCENARIO(hostile, addresses_out)
{
	int fd = tcp_socket(AF_INET), udp = udp_bound(AF_INET);
	struct msghdr named = {.msg_namelen = 16};

	find_places();
	TALLY("bind", 4, syscall(SYS_bind, fd, BAD, 16));
	TALLY("connect", 4, syscall(SYS_connect, fd, BAD, 16));
	TALLY("sendto", 3, syscall(SYS_sendto, udp, "x", 1, 0, BAD, 16));
	TALLY("sendmsg name", 3, (named.msg_name = BAD, syscall(SYS_sendmsg, udp, &named, 0)));
	observe_local("still fresh", fd);
}

SCENARIO(hostile, addresses_in)
{
	struct pair pair = tcp_pair(AF_INET);
	struct sockaddr_storage name;
	socklen_t length;

	find_places();
	TALLY("getsockname", 4, (length = 16, syscall(SYS_getsockname, pair.client, BAD, &length)));
	TALLY("getpeername", 4, (length = 16, syscall(SYS_getpeername, pair.client, BAD, &length)));
	TALLY("getsockname length", 4, syscall(SYS_getsockname, pair.client, &name, BAD));
	TALLY("read-only", 4, (length = 16, syscall(SYS_getsockname, pair.client, places.read_only, &length)));
	send_text(pair.client, "works");
	observe_recv("server", pair.server, 10, 0);
}

SCENARIO(hostile, options)
{
	int fd = tcp_socket(AF_INET), value = 0;
	socklen_t length;

	find_places();
	TALLY("setsockopt", 4, syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, BAD, 4));
	TALLY("getsockopt", 4, (length = 4, syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, BAD, &length)));
	TALLY("getsockopt length", 4, syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &value, BAD));
	TALLY("read-only", 4, (length = 4, syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, places.read_only, &length)));
	observe_set_option("works", fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

SCENARIO(hostile, messages_out)
{
	struct pair pair = tcp_pair(AF_INET);
	struct iovec iov = {NULL, 8};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1}, vector = {.msg_iovlen = 1};
	struct msghdr control = {.msg_iov = &iov, .msg_iovlen = 1, .msg_controllen = 64};

	find_places();
	TALLY("sendmsg", 4, syscall(SYS_sendmsg, pair.client, BAD, MSG_NOSIGNAL));
	TALLY("sendmmsg", 4, syscall(SYS_sendmmsg, pair.client, BAD, 1, MSG_NOSIGNAL));
	TALLY("vector", 4, (vector.msg_iov = (void *)BAD, syscall(SYS_sendmsg, pair.client, &vector, MSG_NOSIGNAL)));
	/* Not the one of which a first byte could be sent. */
	TALLY("data", 2, (iov.iov_base = BAD, syscall(SYS_sendmsg, pair.client, &message, MSG_NOSIGNAL)));
	iov.iov_base = "12345678";
	TALLY("control", 3, (control.msg_control = BAD, syscall(SYS_sendmsg, pair.client, &control, MSG_NOSIGNAL)));
	observe_quiet("nothing sent", pair.server, POLLIN);
	send_text(pair.client, "works");
	observe_recv("server", pair.server, 10, 0);
}

SCENARIO(hostile, messages_in)
{
	struct pair pair = tcp_pair(AF_INET);
	struct iovec iov = {NULL, 8};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1}, vector = {.msg_iovlen = 1};

	find_places();
	send_text(pair.server, "queued");
	wait_queued(pair.client, 6);
	TALLY("recvmsg", 4, syscall(SYS_recvmsg, pair.client, BAD, MSG_DONTWAIT));
	TALLY("recvmmsg", 4, syscall(SYS_recvmmsg, pair.client, BAD, 1, MSG_DONTWAIT, NULL));
	TALLY("vector", 4, (vector.msg_iov = (void *)BAD, syscall(SYS_recvmsg, pair.client, &vector, MSG_DONTWAIT)));
	TALLY("data", 2, (iov.iov_base = BAD, syscall(SYS_recvmsg, pair.client, &message, MSG_DONTWAIT)));
	TALLY("recvfrom", 2, syscall(SYS_recvfrom, pair.client, BAD, 8, MSG_DONTWAIT, NULL, NULL));
	TALLY("read-only", 4, (iov.iov_base = places.read_only, syscall(SYS_recvmsg, pair.client, &message, MSG_DONTWAIT)));
	observe_recv("still there", pair.client, 10, 0);
}

SCENARIO(hostile, accepts)
{
	int listener = tcp_listener(AF_INET);

	/* With nobody to accept, the addresses are not even looked at. */
	find_places();
	set_nonblocking(listener, true);
	TALLY("accept", 4, syscall(SYS_accept, listener, BAD, BAD));
	TALLY("accept4", 4, syscall(SYS_accept4, listener, BAD, BAD, SOCK_CLOEXEC));
	TALLY("accept4 flags", 4, syscall(SYS_accept4, listener, NULL, NULL, -1));
}

SCENARIO(hostile, ioctls)
{
	int fd = udp_bound(AF_INET);

	find_places();
	TALLY("FIONREAD", 3, syscall(SYS_ioctl, fd, FIONREAD, places.bad[i & 1]));
	TALLY("SIOCGIFINDEX", 4, syscall(SYS_ioctl, fd, 0x8933, BAD));
	TALLY("SIOCGIFCONF", 4, syscall(SYS_ioctl, fd, 0x8912, BAD));
	TALLY("SIOCETHTOOL", 4, syscall(SYS_ioctl, fd, 0x8946, BAD));
}

SCENARIO(hostile, lengths_of_addresses)
{
	int fd = tcp_socket(AF_INET), udp = udp_bound(AF_INET);
	struct address at = loopback(AF_INET, 9);
	static const long lengths[] = {-1, INT_MIN, INT_MAX, 129, 0x100000010, 0, 1, 15};

	find_places();
	for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
		OBSERVE("length %ld", lengths[j]);
		observe_call("bind", syscall(SYS_bind, tcp_socket(AF_INET), SA(&at), lengths[j]) < 0 ? -1 : 0);
		observe_call("connect", syscall(SYS_connect, tcp_socket(AF_INET), SA(&at), lengths[j]));
		observe_call("sendto", syscall(SYS_sendto, udp, "x", 1, 0, SA(&at), lengths[j]));
	}
	TALLY("bind", 4, syscall(SYS_bind, fd, SA(&at), lengths[i % 4]));
	TALLY("connect", 4, syscall(SYS_connect, fd, SA(&at), lengths[i % 4]));
	TALLY("sendto", 4, syscall(SYS_sendto, udp, "x", 1, 0, SA(&at), lengths[i % 4]));
}

SCENARIO(hostile, lengths_of_data)
{
	struct pair pair = tcp_pair(AF_INET), udp = udp_pair(AF_INET);
	char byte = 'x';
	struct iovec iov = {&byte, 0};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1}, many = {.msg_iov = &iov};
	static const size_t lengths[] = {SIZE_MAX, (size_t)SSIZE_MAX + 1};

	find_places();
	TALLY("sendmsg", 2, (iov.iov_len = lengths[i & 1], syscall(SYS_sendmsg, pair.client, &message, MSG_NOSIGNAL)));
	TALLY("recvmsg", 2, (iov.iov_len = lengths[i & 1], syscall(SYS_recvmsg, pair.client, &message, MSG_DONTWAIT)));
	TALLY("vector", 2, (many.msg_iovlen = i & 1 ? 1025 : SIZE_MAX, syscall(SYS_sendmsg, pair.client, &many, MSG_NOSIGNAL)));
	TALLY("datagram", 2, syscall(SYS_sendto, udp.client, places.last, i & 1 ? 65508 : 0x7fffffff, MSG_OOB, NULL, 0));
	observe_quiet("nothing sent", pair.server, POLLIN);
}

SCENARIO(hostile, lengths_of_options)
{
	int fd = tcp_socket(AF_INET), value = 1;
	socklen_t length;
	static const int lengths[] = {-1, INT_MIN, 0, 3};

	find_places();
	TALLY("setsockopt", 4, syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &value, lengths[i % 4]));
	TALLY("getsockopt", 2, (length = (socklen_t)lengths[i % 2], syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &value, &length)));
	TALLY("setsockopt unknown", 4, syscall(SYS_setsockopt, fd, i, i, &value, 4) < 0 && errno != ENOPROTOOPT ? -1 : 0);
}

SCENARIO(hostile, sockets)
{
	TALLY("family", 1, syscall(SYS_socket, 100 + i, SOCK_STREAM, 0));
	TALLY("type", 1, syscall(SYS_socket, AF_INET, 11 + i % 200, 0));
	TALLY("protocol", 1, syscall(SYS_socket, AF_INET, SOCK_STREAM, 1000 + i));
	TALLY("opened and closed", 1, close(must("socket", socket(AF_INET, i & 1 ? SOCK_STREAM : SOCK_DGRAM, 0))));
}
