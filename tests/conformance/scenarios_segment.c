/* UDP_SEGMENT and UDP_GRO: many datagrams in one call. */
#include "tests/conformance/message.h"

#include <netinet/udp.h>

static char data[65507];

static void
drain(const char *what, int fd, int count)
{
	for (int i = 0; i < count; i++) {
		wait_for(fd, POLLIN);
		observe_recv(what, fd, 65507, MSG_DONTWAIT);
	}
	observe_quiet("then", fd, POLLIN);
}

static long
send_segments(int fd, const struct address *to, size_t len, int level, int type, const void *value, size_t value_len)
{
	struct control control = {.length = 0};
	struct iovec iov = {data, len};
	struct msghdr message = {
		.msg_name = to ? SA(to) : NULL, .msg_namelen = to ? to->length : 0, .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes,
	};

	control_add(&control, level, type, value, value_len);
	message.msg_controllen = control.length;
	return sendmsg(fd, &message, 0);
}

SCENARIO_V4_V6(segment, by_control)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	uint16_t size = 700;

	fill_pattern(data, sizeof data, 5);
	observe_call("sendmsg", send_segments(a, &to, 2000, SOL_UDP, UDP_SEGMENT, &size, sizeof size));
	drain("recv", b, 3);
	/* That call alone. */
	observe_call("sendto", sendto(a, data, 2000, 0, SA(&to), to.length));
	drain("recv", b, 1);
}

SCENARIO_V4_V6(segment, by_control_connected)
{
	struct pair pair = udp_pair(family);
	uint16_t size = 500;

	fill_pattern(data, sizeof data, 5);
	observe_call("sendmsg", send_segments(pair.client, NULL, 1500, SOL_UDP, UDP_SEGMENT, &size, sizeof size));
	drain("recv", pair.server, 3);
}

SCENARIO_V4_V6(segment, control_over_option)
{
	struct pair pair = udp_pair(family);
	uint16_t size = 400, none = 0;

	set_option(pair.client, SOL_UDP, UDP_SEGMENT, 300);
	observe_call("sendmsg", send_segments(pair.client, NULL, 800, SOL_UDP, UDP_SEGMENT, &size, sizeof size));
	drain("400", pair.server, 2);
	observe_call("sendmsg", send_segments(pair.client, NULL, 800, SOL_UDP, UDP_SEGMENT, &none, sizeof none));
	drain("none", pair.server, 1);
	observe_call("send", send(pair.client, data, 600, 0));
	drain("300", pair.server, 2);
}

SCENARIO_V4_V6(segment, option_values)
{
	int fd = udp_socket(family), stream = tcp_socket(family);
	static const int values[] = {1, 1472, 65535, 65536, -1, 0};

	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		observe_set_option("UDP_SEGMENT", fd, SOL_UDP, UDP_SEGMENT, values[i]);
	observe_set_option("UDP_GRO", fd, SOL_UDP, UDP_GRO, 1);
	observe_set_option("UDP_GRO", fd, SOL_UDP, UDP_GRO, 0);
	observe_set_option("on a stream", stream, SOL_UDP, UDP_SEGMENT, 100);
}

SCENARIO_V4_V6(segment, errors)
{
	int a = udp_bound(family), b = udp_bound(family);
	struct address to = local_of(b);
	uint16_t size = 1, big = 65500;
	uint32_t wide = 100;
	unsigned char narrow = 100;

	/* Too many pieces; a piece too long to be one, or longer than the whole; a value of the wrong size. */
	observe_call("many pieces", send_segments(a, &to, 2000, SOL_UDP, UDP_SEGMENT, &size, sizeof size));
	observe_quiet("nothing", b, POLLIN);
	observe_call("big piece", send_segments(a, &to, 1000, SOL_UDP, UDP_SEGMENT, &big, sizeof big));
	drain("whole", b, 1);
	observe_call("32 bits", send_segments(a, &to, 1000, SOL_UDP, UDP_SEGMENT, &wide, sizeof wide));
	observe_call("8 bits", send_segments(a, &to, 1000, SOL_UDP, UDP_SEGMENT, &narrow, sizeof narrow));
	observe_call("unknown type", send_segments(a, &to, 1000, SOL_UDP, 9999, &size, sizeof size));
	observe_quiet("nothing", b, POLLIN);
}

/* Pieces that came together are read together, and UDP_GRO tells their size. */
SCENARIO_V4_V6(segment, received_together)
{
	struct pair pair = udp_pair(family);
	uint16_t size = 400;

	fill_pattern(data, sizeof data, 6);
	set_option(pair.server, SOL_UDP, UDP_GRO, 1);
	observe_call("sendmsg", send_segments(pair.client, NULL, 1000, SOL_UDP, UDP_SEGMENT, &size, sizeof size));
	wait_message("together", pair.server, CONTROL_MAX, 0);
	send_text(pair.client, "alone");
	wait_message("alone", pair.server, CONTROL_MAX, 0);
}

SCENARIO(segment, largest)
{
	struct pair pair = udp_pair(AF_INET);
	uint16_t size = 1400;
	size_t total = 0;

	fill_pattern(data, sizeof data, 7);
	set_option(pair.server, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	observe_call("sendmsg", send_segments(pair.client, NULL, 1400 * 40, SOL_UDP, UDP_SEGMENT, &size, sizeof size));
	for (int i = 0; i < 40 && wait_for(pair.server, POLLIN); i++) {
		char piece[1500];
		ssize_t n = recv(pair.server, piece, sizeof piece, MSG_DONTWAIT);

		if (n != 1400 || memcmp(piece, data + total, (size_t)n) != 0)
			break;
		total += (size_t)n;
	}
	OBSERVE("came in order %zu", total);
}
