/*
 * Links and side channels of a hostile client: whoever cannot prove whose it is gets nothing, and takes nothing from others.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/boundary/client.h"

TestSuite(links, .timeout = 30);

enum { OK = SPLITSOCK__STATUS__STATUS_OK, AT_ONCE_MS = 1000 * SLOW };

/* gofer/gofer.h has PENDING_LINKS_MAX 1024. */
enum { MORE_THAN_PENDING = 1100 };

static struct gofer gofer;

static void
start(void)
{
	gofer_start(&gofer, NULL);
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

/* A session with a connected stream, handle 1, that waits for its link. */
struct victim {
	struct client client;
	int listener, host;
};

static void
victim_init(struct victim *victim)
{
	struct operation connect;
	uint16_t port;

	client_open(&victim->client, &gofer);
	victim->listener = host_listen(&port, 1);
	cr_assert_eq(call_open(&victim->client, 1, SOCK_STREAM, op_connect(&connect, port, true)).status, OK);
	victim->host = host_accept(victim->listener);
}

static void
victim_free(struct victim *victim)
{
	close(victim->host);
	close(victim->listener);
	client_close(&victim->client);
}

static bool
carries(int link, int host)
{
	char byte = 0;

	return raw_send(link, "x", 1) && read_exactly(host, &byte, 1, PATIENCE_MS) && byte == 'x' && raw_send(host, "y", 1) &&
	       read_exactly(link, &byte, 1, PATIENCE_MS) && byte == 'y';
}

/* Sends this as a hello on a new link, and asserts that the gofer closes it and the session lives. */
static void
assert_refused(struct client *owner, const char *what, bool is_stream, const void *hello, size_t len)
{
	int fd = link_connect(&gofer, is_stream);
	struct operation query;

	cr_assert_geq(fd, 0);
	cr_assert_eq(send(fd, hello, len, MSG_NOSIGNAL), (ssize_t)len);
	cr_expect(ends_within(fd, AT_ONCE_MS), "%s: the link was taken", what);
	close(fd);
	cr_assert_eq(call(owner, 1, op_query(&query)).status, OK, "%s: its session suffers", what);
}

/* ---- whose it is -------------------------------------------------------------------------------- */

GOFER_TEST(links, forged_token_is_refused, start)
{
	struct victim victim;
	struct link_hello hello;
	unsigned seed = 7;
	int link;

	victim_init(&victim);
	for (int bit = 0; bit < 8 * (int)LINK_TOKEN_SIZE; bit++) {
		hello = link_hello_for(&victim.client, LINK_SOCKET, 1);
		hello.token[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_refused(&victim.client, "one bit off", true, &hello, sizeof hello);
	}
	for (int round = 0; round < 100; round++) {
		hello = link_hello_for(&victim.client, round & 1 ? LINK_SOCKET : LINK_CHANNEL, round & 1);
		/* The half that names the session may be known; the other is the secret. */
		for (size_t i = round & 2 ? 0 : 8; i < LINK_TOKEN_SIZE; i++)
			hello.token[i] = (uint8_t)(rand_r(&seed) >> 7);
		assert_refused(&victim.client, "a guess", round & 1, &hello, sizeof hello);
	}
	memset(hello.token, 0, sizeof hello.token);
	assert_refused(&victim.client, "zeroes", true, &hello, sizeof hello);
	/* It can still be had by its owner. */
	link = link_open(&victim.client, true, LINK_SOCKET, 1);
	cr_assert(carries(link, victim.host));
	close(link);
	victim_free(&victim);
	assert_serves(&gofer);
}

GOFER_TEST(links, token_of_a_session_that_is_gone_is_refused, start)
{
	struct victim gone, other;
	struct link_hello hello;
	int before = fd_count(gofer.pid);

	victim_init(&gone);
	hello = link_hello_for(&gone.client, LINK_SOCKET, 1);
	victim_free(&gone);
	cr_assert_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1);
	victim_init(&other);
	assert_refused(&other.client, "replayed", true, &hello, sizeof hello);
	hello.kind = LINK_CHANNEL;
	hello.handle = 0;
	assert_refused(&other.client, "replayed", false, &hello, sizeof hello);
	victim_free(&other);
	assert_serves(&gofer);
}

GOFER_TEST(links, token_reaches_only_its_own_sessions_sockets, start)
{
	struct victim victim;
	struct client thief;
	struct operation query;
	char secret[6];
	int link, stolen;

	victim_init(&victim);
	client_open(&thief, &gofer);
	cr_assert_eq(call_open(&thief, 5, SOCK_STREAM, NULL).status, OK);
	/* The victim's handle, with the thief's token: a socket of the thief's own, that nothing has opened. */
	stolen = link_open(&thief, true, LINK_SOCKET, 1);
	cr_assert(raw_send(stolen, "stolen", 6));
	cr_assert_eq(call(&thief, 5, op_query(&query)).status, OK);
	link = link_open(&victim.client, true, LINK_SOCKET, 1);
	cr_assert(carries(link, victim.host), "the thief's link was taken for the victim's");
	cr_assert(raw_send(victim.host, "secret", 6));
	cr_assert(read_exactly(link, secret, sizeof secret, PATIENCE_MS));
	cr_assert_lt(recv(stolen, secret, sizeof secret, MSG_DONTWAIT), 1, "the thief reads the victim's bytes");
	close(stolen);
	close(link);
	client_close(&thief);
	victim_free(&victim);
	assert_serves(&gofer);
}

GOFER_TEST(links, second_link_of_a_handle_is_refused, start)
{
	struct victim victim;
	struct link_hello hello;
	int link;

	victim_init(&victim);
	link = link_open(&victim.client, true, LINK_SOCKET, 1);
	cr_assert(carries(link, victim.host));
	hello = link_hello_for(&victim.client, LINK_SOCKET, 1);
	assert_refused(&victim.client, "replayed", true, &hello, sizeof hello);
	cr_assert(carries(link, victim.host), "a replay took the first link's place");
	close(link);
	victim_free(&victim);
	assert_serves(&gofer);
}

GOFER_TEST(links, malformed_hello_is_refused, start)
{
	struct victim victim;
	struct link_hello hello, good;
	int link, before;

	victim_init(&victim);
	cr_assert_eq(call_open(&victim.client, 2, SOCK_DGRAM, NULL).status, OK);
	before = fd_count(gofer.pid);
	good = link_hello_for(&victim.client, LINK_SOCKET, 1);
	for (size_t len = 1; len < sizeof good; len++) {
		assert_refused(&victim.client, "cut short", true, &good, len);
		assert_refused(&victim.client, "cut short", false, &good, len);
	}
	for (uint32_t kind = 0; kind < 5; kind++) {
		hello = good;
		hello.kind = kind == 4 ? UINT32_MAX : kind;
		if (kind != LINK_SOCKET)
			assert_refused(&victim.client, "kind", true, &hello, sizeof hello);
	}
	hello = link_hello_for(&victim.client, LINK_CHANNEL, 1);
	assert_refused(&victim.client, "a channel with a handle", false, &hello, sizeof hello);
	hello.handle = 0;
	assert_refused(&victim.client, "a channel on a stream", true, &hello, sizeof hello);
	hello.kind = LINK_SOCKET;
	assert_refused(&victim.client, "handle 0", true, &hello, sizeof hello);
	assert_refused(&victim.client, "handle 0", false, &hello, sizeof hello);
	hello.handle = UINT64_C(1) << 63 | 1;
	assert_refused(&victim.client, "an accepted one's handle", true, &hello, sizeof hello);
	assert_refused(&victim.client, "an accepted one's handle", false, &hello, sizeof hello);
	hello = good;
	assert_refused(&victim.client, "a packet link of a stream", false, &hello, sizeof hello);
	hello.handle = 2;
	assert_refused(&victim.client, "a stream link of a datagram socket", true, &hello, sizeof hello);
	hello = good;
	hello.plug = LINK_PLUG_MAX + 1;
	assert_refused(&victim.client, "plug", true, &hello, sizeof hello);
	hello.plug = UINT32_MAX;
	assert_refused(&victim.client, "plug", true, &hello, sizeof hello);
	hello.handle = 3;
	assert_refused(&victim.client, "plug", false, &hello, sizeof hello);
	cr_expect_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1, "descriptors stay");
	link = link_open(&victim.client, true, LINK_SOCKET, 1);
	cr_assert(carries(link, victim.host));
	close(link);
	victim_free(&victim);
	assert_serves(&gofer);
}

/* ---- links that never say --------------------------------------------------------------------- */

/*
 * A client whose hello comes a moment after its connect, as it may on a busy machine, gets its link although more than the limit are silent.
 */
GOFER_TEST(links, silent_links_keep_nobody_else_out, start)
{
	static int silent[MORE_THAN_PENDING];
	struct victim victim;
	int before = fd_count(gofer.pid), refused = 0;
	int64_t connected_ms;

	for (int i = 0; i < MORE_THAN_PENDING; i++)
		silent[i] = link_connect(&gofer, i & 1);
	connected_ms = now_ms();
	assert_serves(&gofer);
	for (int i = 0; i < 20; i++) {
		struct link_hello hello;
		int link;

		victim_init(&victim);
		hello = link_hello_for(&victim.client, LINK_SOCKET, 1);
		link = link_connect(&gofer, true);
		sleep_ms(20);
		if (send(link, &hello, sizeof hello, MSG_NOSIGNAL) != sizeof hello || !carries(link, victim.host))
			refused++;
		close(link);
		victim_free(&victim);
	}
	cr_expect_eq(refused, 0, "%d of 20 good links were refused while others were silent", refused);
	cr_expect_neq(wait_for_fds(gofer.pid, before, (int)(connected_ms + 8000 * SLOW - now_ms())), -1,
	              "%d descriptors remain of %d silent links", fd_count(gofer.pid) - before, MORE_THAN_PENDING);
	for (int i = 0; i < MORE_THAN_PENDING; i++)
		if (silent[i] >= 0)
			close(silent[i]);
	assert_serves(&gofer);
}

/* ---- what they carry -------------------------------------------------------------------------- */

static size_t
frame_make(uint8_t *out, uint8_t kind, const void *body, size_t len)
{
	header_write(out, (uint32_t)len, kind, 0, 7);
	memcpy(out + FRAME_HEADER_SIZE, body, len);
	return FRAME_HEADER_SIZE + len;
}

GOFER_TEST(links, garbage_on_the_channel_ends_its_session_alone, start)
{
	static uint8_t packet[FRAME_HEADER_SIZE + FRAME_BODY_MAX + 1];
	struct client bystander;
	struct operation query;
	int before;

	client_open(&bystander, &gofer);
	cr_assert_eq(call_open(&bystander, 1, SOCK_STREAM, NULL).status, OK);
	before = fd_count(gofer.pid);
	for (int i = 0; i < 10; i++) {
		struct client client;
		size_t len;
		int channel;

		client_open(&client, &gofer);
		channel = link_open(&client, false, LINK_CHANNEL, 0);
		memset(packet, 0xee, sizeof packet);
		switch (i) {
		case 0: /* no frame */
			len = 100;
			break;
		case 1: /* shorter than a header */
			len = 5;
			break;
		case 2: /* larger than any frame */
			len = sizeof packet;
			break;
		case 3: /* less than it says */
			len = frame_make(packet, FRAME_REQUEST, "\x08\x01\x12", 3) - 1;
			break;
		case 4: /* more than it says */
			len = frame_make(packet, FRAME_REQUEST, "\x08\x01\x12\x02\x42\x00", 6) + 1;
			break;
		case 5:
			len = frame_make(packet, FRAME_HELLO, "\x08\x01", 2);
			break;
		case 6:
			len = frame_make(packet, FRAME_REPLY, "\x0a\x00", 2);
			break;
		case 7: /* no operation */
			len = frame_make(packet, FRAME_REQUEST, "\x08\x01", 2);
			break;
		case 8: /* an unknown one, on a socket that is there */
			cr_assert_eq(call_open(&client, 1, SOCK_STREAM, NULL).status, OK);
			len = frame_make(packet, FRAME_REQUEST, "\x08\x01\x12\x03\x9a\x06\x00", 7);
			break;
		default: /* 4 GiB */
			len = FRAME_HEADER_SIZE;
			header_write(packet, UINT32_MAX, FRAME_REQUEST, 0, 0);
		}
		cr_assert_eq(send(channel, packet, len, MSG_NOSIGNAL), (ssize_t)len, "%d: %s", i, strerror(errno));
		cr_expect(ends_within(client.fd, AT_ONCE_MS), "case %d: the session goes on", i);
		cr_expect(ends_within(channel, AT_ONCE_MS), "case %d: the channel stays open", i);
		close(channel);
		client_close(&client);
		cr_assert_eq(call(&bystander, 1, op_query(&query)).status, OK);
	}
	cr_assert_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1, "descriptors stay");
	client_close(&bystander);
	assert_serves(&gofer);
}

/* Whatever is passed is closed at once: a pipe whose only other end was passed ends. */
GOFER_TEST(links, descriptors_passed_on_links_are_dropped, start)
{
	enum { PASSED = 60 };
	struct victim victim;
	struct operation op, bind;
	struct outcome outcome;
	struct link_hello hello;
	uint16_t port;
	int link, datagram, channel, host, before, fds[2];
	char byte;

	victim_init(&victim);
	host = host_datagram(&port);
	before = fd_count(gofer.pid);
	cr_assert_eq(pipe(fds), 0);

	/* With the hello, of a stream and a packet link, and with the control stream's bytes. */
	hello = link_hello_for(&victim.client, LINK_SOCKET, 1);
	link = link_connect(&gofer, true);
	cr_assert(send_with_fds(link, &hello, sizeof hello, fds[1], PASSED));
	hello = link_hello_for(&victim.client, LINK_SOCKET, 2);
	datagram = link_connect(&gofer, false);
	cr_assert(send_with_fds(datagram, &hello, sizeof hello, fds[1], PASSED));
	hello = link_hello_for(&victim.client, LINK_CHANNEL, 0);
	channel = link_connect(&gofer, false);
	cr_assert(send_with_fds(channel, &hello, sizeof hello, fds[1], PASSED));
	header_write((uint8_t *)&hello, 0, FRAME_CANCEL, 0, 0);
	cr_assert(send_with_fds(victim.client.fd, &hello, FRAME_HEADER_SIZE, fds[1], PASSED));
	/* With the data of each. */
	outcome = call_open(&victim.client, 2, SOCK_DGRAM, op_connect(&op, port, false));
	cr_assert_eq(outcome.status, OK);
	for (int i = 0; i < 20; i++) {
		cr_assert(send_with_fds(link, "x", 1, fds[1], PASSED));
		cr_assert(send_with_fds(datagram, "y", 1, fds[1], PASSED));
		cr_assert(send_with_fds(channel, &hello, FRAME_HEADER_SIZE, fds[1], PASSED));
		cr_assert(read_exactly(victim.host, &byte, 1, PATIENCE_MS) && byte == 'x');
		cr_assert(read_exactly(host, &byte, 1, PATIENCE_MS) && byte == 'y');
	}
	/* two links, a channel and the datagram socket */
	cr_expect_leq(fd_count(gofer.pid), before + 4, "the gofer holds %d descriptors more", fd_count(gofer.pid) - before);
	cr_assert_eq(call(&victim.client, 2, op_query(&bind)).status, OK);
	close(fds[1]);
	cr_assert_eq(poll(&(struct pollfd){.fd = fds[0], .events = POLLIN}, 1, AT_ONCE_MS), 1, "what was passed is still open");
	cr_assert_eq(read(fds[0], &byte, 1), 0);
	close(fds[0]);
	close(link);
	close(datagram);
	close(channel);
	close(host);
	victim_free(&victim);
	assert_serves(&gofer);
}

/* What a client does to its own ends of links is its own affair: the gofer neither spins nor leaks. */
GOFER_TEST(links, shutting_down_a_datagram_link_does_not_spin, start)
{
	static const int hows[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};

	for (size_t i = 0; i < 3; i++) {
		struct client client;
		struct operation connect;
		uint16_t port;
		int host = host_datagram(&port), link;
		int64_t cpu;

		client_open(&client, &gofer);
		link = link_open(&client, false, LINK_SOCKET, 1);
		cr_assert_eq(call_open(&client, 1, SOCK_DGRAM, op_connect(&connect, port, false)).status, OK);
		shutdown(link, hows[i]);
		sleep_ms(50);
		cpu = cpu_ms(gofer.pid);
		sleep_ms(400);
		cpu = cpu_ms(gofer.pid) - cpu;
		cr_expect_lt(cpu, 150, "shutdown %d: %d ms of processor time in 400", hows[i], (int)cpu);
		close(link);
		close(host);
		client_close(&client);
	}
	assert_serves(&gofer);
}

/* FIN one way, FIN the other way, then close: the end of every connection that was shut down politely. */
GOFER_TEST(links, connection_that_ended_both_ways_is_released, start)
{
	for (int peer_first = 0; peer_first < 2; peer_first++) {
		struct victim victim;
		int link, before = fd_count(gofer.pid), held;
		char byte;

		victim_init(&victim);
		held = fd_count(gofer.pid);
		link = link_open(&victim.client, true, LINK_SOCKET, 1);
		cr_assert(carries(link, victim.host));
		shutdown(peer_first ? victim.host : link, SHUT_WR);
		cr_assert_eq(recv(peer_first ? link : victim.host, &byte, 1, 0), 0);
		shutdown(peer_first ? link : victim.host, SHUT_WR);
		cr_assert_eq(recv(peer_first ? victim.host : link, &byte, 1, 0), 0);
		close(link);
		/* the session's own stays; the socket goes */
		cr_expect_neq(wait_for_fds(gofer.pid, held - 1, AT_ONCE_MS), -1,
		              "%s: the gofer holds the socket of a closed link", peer_first ? "peer first" : "program first");
		victim_free(&victim);
		cr_assert_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1);
	}
	assert_serves(&gofer);
}

/* The side channel's replies are read by nobody: the client loses them, the gofer nothing. */
GOFER_TEST(links, channel_that_is_never_read_harms_nobody, start)
{
	struct client client;
	struct operation query, *ops[] = {op_query(&query)};
	int channel, sent = 0;

	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, NULL).status, OK);
	channel = link_open(&client, false, LINK_CHANNEL, 0);
	memory_reset_peak(gofer.pid);
	long before = memory_now(gofer.pid);
	for (; sent < 20000; sent++)
		if (!channel_request(channel, 1, 1, ops, 1))
			break;
	cr_assert_eq(sent, 20000, "the channel broke after %d requests", sent);
	assert_serves(&gofer);
	if (MEASURES_MEMORY)
		cr_expect_leq(memory_peak(gofer.pid) - before, 8192);
	cr_assert_eq(call(&client, 1, op_query(&query)).status, OK);
	close(channel);
	client_close(&client);
}

GOFER_TEST(links, ten_thousand_channels_replace_each_other, start)
{
	struct client client;
	struct operation query;
	int before, channel = -1;

	client_open(&client, &gofer);
	cr_assert_eq(call_open(&client, 1, SOCK_STREAM, NULL).status, OK);
	before = fd_count(gofer.pid);
	for (int i = 0; i < 10000 / SLOW; i++) {
		if (channel >= 0)
			close(channel);
		channel = link_open(&client, false, LINK_CHANNEL, 0);
	}
	cr_assert_neq(wait_for_fds(gofer.pid, before + 1, PATIENCE_MS), -1, "channels that were replaced stay");
	cr_assert_eq(call(&client, 1, op_query(&query)).status, OK);
	close(channel);
	client_close(&client);
	assert_serves(&gofer);
}
