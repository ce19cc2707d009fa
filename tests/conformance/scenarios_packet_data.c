/* Packet sockets, packet(7): frames there and back. */
#include <linux/sockios.h>
#include <stdio.h>
#include <sys/time.h>

#include "tests/conformance/packet.h"

/* ---- who gets what ------------------------------------------------------------------------------ */

SCENARIO(packet, raw_to_raw)
{
	int a = packet_bound(SOCK_RAW, TEST_TYPE), b = packet_bound(SOCK_RAW, TEST_TYPE);

	frame_send(a, "hello");
	observe_packet("other", b);
	observe_packet("sender", a); /* it came back in, as it does on lo */
	observe_quiet("other", b, POLLIN);
	frame_send(b, "back");
	observe_packet("first", a);
}

SCENARIO(packet, dgram_to_dgram)
{
	int a = packet_bound(SOCK_DGRAM, TEST_TYPE), b = packet_bound(SOCK_DGRAM, TEST_TYPE);
	struct sockaddr_ll to = link_name(lo_index(), TEST_TYPE);
	uint8_t frame[FRAME_MAX];
	size_t len = frame_make(frame, NULL, TEST_TYPE, "hello");

	observe_call("to its address", sendto(a, frame + ETH_HLEN, len - ETH_HLEN, 0, (struct sockaddr *)&to, sizeof to));
	to.sll_halen = ETH_ALEN;
	observe_call("with an address", sendto(a, frame + ETH_HLEN, len - ETH_HLEN, 0, (struct sockaddr *)&to, sizeof to));
	observe_packet("other", b);
	observe_packet("other", b);
	to.sll_addr[0] = 2;
	to.sll_addr[5] = 7;
	observe_call("for another", sendto(a, frame + ETH_HLEN, len - ETH_HLEN, 0, (struct sockaddr *)&to, sizeof to));
	observe_packet("other", b);
}

SCENARIO(packet, raw_and_dgram)
{
	int raw = packet_bound(SOCK_RAW, TEST_TYPE), dgram = packet_bound(SOCK_DGRAM, TEST_TYPE);
	struct sockaddr_ll to = link_name(lo_index(), TEST_TYPE);
	uint8_t frame[FRAME_MAX];
	size_t len = frame_make(frame, NULL, TEST_TYPE, "from dgram");

	frame_send(raw, "from raw");
	observe_packet("dgram", dgram);
	observe_packet("raw", raw);
	to.sll_halen = ETH_ALEN;
	must("sendto", sendto(dgram, frame + ETH_HLEN, len - ETH_HLEN, 0, (struct sockaddr *)&to, sizeof to));
	observe_packet("dgram", dgram);
	observe_packet("raw", raw);
}

SCENARIO(packet, kinds)
{
	static const uint8_t to[][ETH_ALEN] = {
		{0, 0, 0, 0, 0, 0}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {1, 0, 0x5e, 0, 0, 1}, {2, 0, 0, 0, 0, 9}, {0x33, 0x33, 0, 0, 0, 1},
	};
	int raw = packet_bound(SOCK_RAW, TEST_TYPE), dgram = packet_bound(SOCK_DGRAM, TEST_TYPE), sender = packet_socket(SOCK_RAW);
	struct sockaddr_ll at = link_name(lo_index(), TEST_TYPE);
	uint8_t frame[FRAME_MAX];

	for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
		size_t len = frame_make(frame, to[i], TEST_TYPE, "hello");

		must("sendto", sendto(sender, frame, len, 0, (struct sockaddr *)&at, sizeof at));
		observe_packet("raw", raw);
		observe_text("dgram", dgram);
	}
}

SCENARIO(packet, all_sees_both_ways)
{
	int all = packet_bound(SOCK_RAW, ETH_P_ALL), one = packet_bound(SOCK_RAW, TEST_TYPE), sender = packet_socket(SOCK_RAW);

	frame_send(sender, "hello");
	observe_packet("all", all);
	observe_packet("all", all);
	observe_packet("one", one);
	observe_quiet("all", all, POLLIN);
	observe_quiet("one", one, POLLIN);
}

SCENARIO(packet, all_of_dgram)
{
	int all = packet_bound(SOCK_DGRAM, ETH_P_ALL), sender = packet_socket(SOCK_RAW);

	frame_send(sender, "hello");
	observe_packet("all", all);
	observe_packet("all", all);
	observe_quiet("all", all, POLLIN);
}

SCENARIO(packet, no_echo_to_the_sender)
{
	int a = packet_bound(SOCK_RAW, ETH_P_ALL), b = packet_bound(SOCK_RAW, ETH_P_ALL);

	frame_send(a, "from a");
	observe_text("b", b);
	observe_text("b", b);
	observe_text("a", a);
	observe_quiet("a", a, POLLIN);
	frame_send(b, "from b");
	observe_text("a", a);
	observe_text("a", a);
	observe_text("b", b);
	observe_quiet("b", b, POLLIN);
}

/* What the name says is the frame's protocol on its way out, and what its header says on its way in. */
SCENARIO(packet, protocol_of_the_name)
{
	static const int protocols[] = {TEST_TYPE, 0, OTHER_TYPE, ETH_P_ALL};
	int all = packet_bound(SOCK_RAW, ETH_P_ALL), sender = packet_socket(SOCK_RAW);
	uint8_t frame[FRAME_MAX];
	size_t len = frame_make(frame, NULL, TEST_TYPE, "hello");

	for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
		struct sockaddr_ll to = link_name(lo_index(), protocols[i]);

		OBSERVE("sent as %#x", protocols[i]);
		must("sendto", sendto(sender, frame, len, 0, (struct sockaddr *)&to, sizeof to));
		observe_packet("out", all);
		observe_packet("in", all);
	}
}

/* ---- sending ------------------------------------------------------------------------------------ */

SCENARIO(packet, send_without_name)
{
	int bound = packet_bound(SOCK_RAW, TEST_TYPE), unbound = packet_socket(SOCK_RAW), any = packet_socket(SOCK_RAW);
	int dgram = packet_bound(SOCK_DGRAM, TEST_TYPE);
	uint8_t frame[FRAME_MAX];
	size_t len = frame_make(frame, NULL, TEST_TYPE, "hello");
	struct iovec parts[] = {{frame, 20}, {frame + 20, len - 20}};

	packet_bind(any, 0, TEST_TYPE);
	observe_call("send", send(bound, frame, len, 0));
	observe_call("write", write(bound, frame, len));
	observe_call("writev", writev(bound, parts, 2));
	observe_call("sendto", sendto(bound, frame, len, 0, NULL, 0));
	observe_call("sendmsg", sendmsg(bound, &(struct msghdr){.msg_iov = parts, .msg_iovlen = 2}, 0));
	for (int i = 0; i < 5; i++)
		observe_text("got", bound);
	observe_call("unbound send", send(unbound, frame, len, 0));
	observe_call("unbound write", write(unbound, frame, len));
	observe_call("any send", send(any, frame, len, 0));
	observe_call("dgram send", send(dgram, frame + ETH_HLEN, len - ETH_HLEN, 0));
	observe_packet("dgram", dgram);
}

SCENARIO(packet, send_names)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE);
	uint8_t frame[FRAME_MAX];
	size_t len = frame_make(frame, NULL, TEST_TYPE, "hello");
	static const int indexes[] = {0, -1, 99999}, lengths[] = {0, 1, 12, 19, 20, 128, 129, -1};
	struct sockaddr_storage storage[2] = {0};
	struct sockaddr_ll to = link_name(lo_index(), TEST_TYPE);

	for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
		to.sll_ifindex = indexes[i];
		OBSERVE("to interface %d", indexes[i]);
		observe_call("sendto", sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof to));
	}
	to = link_name(lo_index(), TEST_TYPE);
	memcpy(storage, &to, sizeof to);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		OBSERVE("length %d", lengths[i]);
		observe_call("sendto", sendto(fd, frame, len, 0, (struct sockaddr *)storage, (socklen_t)lengths[i]));
	}
	to.sll_family = AF_INET;
	observe_call("another family", sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof to));
	observe_call("bad name", sendto(fd, frame, len, 0, (struct sockaddr *)8, sizeof to));
	observe_call("bad data", sendto(fd, (char *)8, len, 0, (struct sockaddr *)storage, sizeof to));
	to = link_name(lo_index(), TEST_TYPE);
	to.sll_halen = 255;
	observe_call("long address", sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof to));
}

SCENARIO(packet, send_long_address_of_dgram)
{
	int fd = packet_bound(SOCK_DGRAM, TEST_TYPE);
	uint8_t frame[FRAME_MAX];
	size_t len = frame_make(frame, NULL, TEST_TYPE, "hello");
	struct sockaddr_ll to = link_name(lo_index(), TEST_TYPE);

	for (unsigned halen = 0; halen < 12; halen += 3) {
		to.sll_halen = (unsigned char)halen;
		OBSERVE("address of %u", halen);
		observe_call("sendto", sendto(fd, frame + ETH_HLEN, len - ETH_HLEN, 0, (struct sockaddr *)&to, sizeof to));
	}
}

SCENARIO(packet, send_sizes)
{
	static uint8_t frame[80000];
	int raw = packet_bound(SOCK_RAW, TEST_TYPE), dgram = packet_bound(SOCK_DGRAM, TEST_TYPE);
	int mtu;
	struct ifreq request = {.ifr_name = "lo"};

	must("SIOCGIFMTU", ioctl(raw, SIOCGIFMTU, &request));
	mtu = request.ifr_mtu;
	set_option(raw, SOL_SOCKET, SO_SNDBUF, 200000);
	set_option(dgram, SOL_SOCKET, SO_SNDBUF, 200000);
	frame_make(frame, NULL, TEST_TYPE, "");
	for (size_t len = 0; len <= 20; len++)
		if (len < 2 || len > 11)
			observe_call("raw", send(raw, frame, len, 0));
	OBSERVE("MTU %d", mtu);
	for (int more = -1; more <= 2; more++) {
		observe_call("raw", send(raw, frame, (size_t)(mtu + ETH_HLEN + more), 0));
		observe_call("dgram", send(dgram, frame + ETH_HLEN, (size_t)(mtu + more), 0));
	}
	observe_call("dgram, nothing", send(dgram, frame, 0, 0));
	observe_call("raw, far too long", send(raw, frame, sizeof frame, 0));
}

SCENARIO(packet, largest_frame)
{
	static uint8_t frame[70000], got[70000];
	int fd = packet_bound(SOCK_RAW, TEST_TYPE), other = packet_bound(SOCK_DGRAM, TEST_TYPE);
	size_t len = 60000;
	ssize_t n;

	set_option(fd, SOL_SOCKET, SO_SNDBUF, 200000);
	fill_pattern(frame, len, 7);
	frame_make(frame, NULL, TEST_TYPE, "");
	observe_call("send", send(fd, frame, len, 0));
	wait_for(fd, POLLIN);
	n = recv(fd, got, sizeof got, MSG_DONTWAIT);
	OBSERVE("raw %zd, alike %d", n, memcmp(got, frame, len) == 0);
	wait_for(other, POLLIN);
	n = recv(other, got, sizeof got, MSG_DONTWAIT);
	OBSERVE("dgram %zd, alike %d", n, memcmp(got, frame + ETH_HLEN, len - ETH_HLEN) == 0);
}

SCENARIO(packet, flags)
{
	static const struct {
		const char *name;
		int flag;
	} flags[] = {
		{"MSG_OOB", MSG_OOB},         {"MSG_DONTROUTE", MSG_DONTROUTE}, {"MSG_CONFIRM", MSG_CONFIRM}, {"MSG_MORE", MSG_MORE},
		{"MSG_EOR", MSG_EOR},         {"MSG_NOSIGNAL", MSG_NOSIGNAL},   {"MSG_WAITALL", MSG_WAITALL}, {"MSG_FASTOPEN", MSG_FASTOPEN},
		{"MSG_DONTWAIT", MSG_DONTWAIT},
	};
	int fd = packet_bound(SOCK_RAW, TEST_TYPE);
	struct sockaddr_ll to = link_name(lo_index(), TEST_TYPE);
	uint8_t frame[FRAME_MAX];
	size_t len = frame_make(frame, NULL, TEST_TYPE, "hello");

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		OBSERVE("%s", flags[i].name);
		observe_call("send", send(fd, frame, len, flags[i].flag));
		observe_call("sendto", sendto(fd, frame, len, flags[i].flag, (struct sockaddr *)&to, sizeof to));
		wait_for(fd, POLLIN);
		observe_call("recv", recv(fd, frame, sizeof frame, flags[i].flag));
	}
}

SCENARIO(packet, many_at_once)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE);
	uint8_t frames[8][64] = {0};
	struct iovec iovs[8];
	struct mmsghdr messages[8] = {0};
	struct sockaddr_ll names[8];
	int got = 0;

	for (unsigned i = 0; i < 8; i++) {
		char text[] = {'n', (char)('0' + i), 0};

		iovs[i] = (struct iovec){frames[i], frame_make(frames[i], NULL, TEST_TYPE, text)};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &iovs[i], .msg_iovlen = 1};
	}
	observe_call("sendmmsg", sendmmsg(fd, messages, 8, 0));
	memset(frames, 0, sizeof frames);
	while (got < 8 && wait_for(fd, POLLIN)) {
		int n;

		for (int i = got; i < 8; i++) {
			iovs[i].iov_len = sizeof frames[i];
			messages[i].msg_hdr.msg_name = &names[i];
			messages[i].msg_hdr.msg_namelen = sizeof names[i];
		}
		n = must("recvmmsg", recvmmsg(fd, messages + got, (unsigned)(8 - got), MSG_DONTWAIT, NULL));
		got += n;
	}
	for (int i = 0; i < got; i++) {
		observe_frame("got", frames[i], messages[i].msg_len);
		observe_link_name("from", &names[i], messages[i].msg_hdr.msg_namelen);
	}
	observe_call("nothing more", recvmmsg(fd, messages, 8, MSG_DONTWAIT, NULL));
	iovs[1].iov_len = 3;
	observe_call("the second too short", sendmmsg(fd, messages, 3, 0));
}

/* ---- receiving ---------------------------------------------------------------------------------- */

SCENARIO(packet, peek_and_truncate)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE);
	uint8_t frame[64];
	struct iovec iov = {frame, 20};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	frame_send(fd, "hello");
	frame_send(fd, "world");
	wait_for(fd, POLLIN);
	observe_call("peek", recv(fd, frame, sizeof frame, MSG_PEEK));
	observe_frame("peeked", frame, 23);
	observe_call("peek 16", recv(fd, frame, 16, MSG_PEEK));
	observe_call("peek 16, all of the length", recv(fd, frame, 16, MSG_PEEK | MSG_TRUNC));
	observe_call("peek 0", recv(fd, frame, 0, MSG_PEEK | MSG_TRUNC));
	observe_call("recvmsg", recvmsg(fd, &message, 0));
	OBSERVE("flags %s", msg_flags_name(message.msg_flags));
	wait_for(fd, POLLIN);
	observe_call("recvmsg with MSG_TRUNC", recvmsg(fd, &message, MSG_TRUNC));
	OBSERVE("flags %s", msg_flags_name(message.msg_flags));
	observe_call("nothing more", recv(fd, frame, sizeof frame, MSG_DONTWAIT));
	observe_call("nor to peek", recv(fd, frame, sizeof frame, MSG_DONTWAIT | MSG_PEEK));
	frame_send(fd, "third");
	wait_for(fd, POLLIN);
	observe_call("into a bad buffer", recv(fd, (char *)8, 64, 0));
	observe_call("and then", recv(fd, frame, sizeof frame, MSG_DONTWAIT));
}

SCENARIO(packet, blocking_and_not)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE);
	uint8_t frame[64];
	int64_t start;

	observe_call("MSG_DONTWAIT", recv(fd, frame, sizeof frame, MSG_DONTWAIT));
	set_nonblocking(fd, true);
	observe_call("O_NONBLOCK", read(fd, frame, sizeof frame));
	observe_call("recvmsg", recvmsg(fd, &(struct msghdr){0}, 0));
	set_nonblocking(fd, false);
	set_receive_timeout(fd, 50);
	start = now_ms();
	observe_call("timeout", recv(fd, frame, sizeof frame, 0));
	OBSERVE("waited %d", now_ms() - start >= 40);
	observe_call("unbound", recv(packet_socket(SOCK_RAW), frame, sizeof frame, MSG_DONTWAIT));
	observe_call("error queue", recv(fd, frame, sizeof frame, MSG_ERRQUEUE));
}

static void *
send_later(void *argument)
{
	pause_ms(50);
	frame_send(*(int *)argument, "late");
	return NULL;
}

SCENARIO(packet, blocked_until_it_comes)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE), sender = packet_socket(SOCK_RAW);
	pthread_t thread = start_thread(send_later, &sender);
	uint8_t frame[64];
	ssize_t n = recv(fd, frame, sizeof frame, 0);

	join_thread(thread);
	if (n < 0)
		observe_call("recv", n);
	else
		observe_frame("recv", frame, (size_t)n);
}

SCENARIO(packet, poll)
{
	static const short all = POLLIN | POLLPRI | POLLOUT | POLLRDHUP;
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW), epoll = must("epoll_create", epoll_create1(0));
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};

	observe_poll("fresh", fd, all, POLLOUT);
	packet_bind(fd, lo_index(), TEST_TYPE);
	observe_poll("bound", fd, all, POLLOUT);
	must("epoll_ctl", epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	observe_epoll_quiet("nothing", epoll);
	frame_send(sender, "one");
	observe_epoll("one", epoll, EPOLLIN);
	observe_poll("one", fd, all, POLLIN | POLLOUT);
	observe_epoll_quiet("no edge", epoll);
	frame_send(sender, "two");
	observe_epoll("two", epoll, EPOLLIN);
	observe_text("one", fd);
	observe_poll("two", fd, all, POLLIN | POLLOUT);
	observe_text("two", fd);
	observe_poll("nothing", fd, all, POLLOUT);
}

SCENARIO(packet, signal_io)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE), sender = packet_socket(SOCK_RAW);

	count_signal(SIGIO, SA_RESTART);
	must("F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
	must("F_SETFL", fcntl(fd, F_SETFL, O_ASYNC));
	frame_send(sender, "hello");
	wait_for(fd, POLLIN);
	for (int waited = 0; !signals_counted() && waited < WAIT_MS; waited += 5)
		pause_ms(5);
	OBSERVE("signalled %d", signals_counted() > 0);
}

SCENARIO(packet, queued)
{
	int fd = packet_socket(SOCK_RAW), sender = packet_socket(SOCK_RAW), queued = -1;

	observe_call("FIONREAD of an unbound one", ioctl(fd, FIONREAD, &queued));
	OBSERVE("queued %d", queued);
	packet_bind(fd, lo_index(), TEST_TYPE);
	frame_send(sender, "hello");
	frame_send(sender, "hello, world");
	wait_for(fd, POLLIN);
	observe_call("FIONREAD", ioctl(fd, FIONREAD, &queued));
	OBSERVE("queued %d", queued);
	observe_text("got", fd);
	wait_for(fd, POLLIN);
	observe_call("SIOCINQ", ioctl(fd, SIOCINQ, &queued));
	OBSERVE("queued %d", queued);
	observe_text("got", fd);
	observe_call("FIONREAD", ioctl(fd, FIONREAD, &queued));
	OBSERVE("queued %d", queued);
	observe_call("SIOCOUTQ", ioctl(fd, SIOCOUTQ, &queued));
	OBSERVE("unsent %d", queued);
	for (int waited = 0; queued = -1, ioctl(sender, SIOCOUTQ, &queued) == 0 && queued && waited < WAIT_MS; waited += 5)
		pause_ms(5);
	OBSERVE("unsent by the sender %d", queued);
	observe_call("bad pointer", ioctl(fd, FIONREAD, (void *)8));
	observe_call("bad pointer", ioctl(fd, SIOCOUTQ, (void *)8));
}

SCENARIO(packet, time_stamp)
{
	int fd = packet_bound(SOCK_RAW, TEST_TYPE), sender = packet_socket(SOCK_RAW);
	struct timeval stamp = {0}, now;
	struct timespec fine = {0};

	observe_call("before SIOCGSTAMP", ioctl(fd, SIOCGSTAMP, &stamp));
	frame_send(sender, "one");
	observe_text("got", fd);
	observe_call("SIOCGSTAMP", ioctl(fd, SIOCGSTAMP, &stamp));
	frame_send(sender, "two");
	observe_text("got", fd);
	observe_call("SIOCGSTAMP", ioctl(fd, SIOCGSTAMP, &stamp));
	gettimeofday(&now, NULL);
	OBSERVE("plausible %d", stamp.tv_sec <= now.tv_sec && stamp.tv_sec > now.tv_sec - 30);
	observe_call("SIOCGSTAMPNS", ioctl(fd, SIOCGSTAMPNS, &fine));
	OBSERVE("the same %d", fine.tv_sec == stamp.tv_sec && fine.tv_nsec / 1000 == stamp.tv_usec);
}
