/*
 * Operations where they are not legal, and on what belongs to others. A refusal is an answer: the session and its other sockets live on.
 */
#include <errno.h>
#include <signal.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/boundary/client.h"

TestSuite(operations, .timeout = 30);

enum { OK = SPLITSOCK__STATUS__STATUS_OK, HOST_ERRNO = SPLITSOCK__STATUS__STATUS_HOST_ERRNO,
       DENIED = SPLITSOCK__STATUS__STATUS_DENIED, BAD_REQUEST = SPLITSOCK__STATUS__STATUS_BAD_REQUEST,
       CANCELLED = SPLITSOCK__STATUS__STATUS_CANCELLED };

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

/* ---- states ------------------------------------------------------------------------------------- */

enum { BYSTANDER = 1, SUBJECT = 2 };

/* A socket in some state, and what it takes to keep it there. */
struct subject {
	struct client client;
	int host[4], link;
};

static void
subject_init(struct subject *subject)
{
	for (int i = 0; i < 4; i++)
		subject->host[i] = -1;
	subject->link = -1;
	client_open(&subject->client, &gofer);
	cr_assert_eq(call_open(&subject->client, BYSTANDER, SOCK_STREAM, NULL).status, OK);
}

static void
subject_free(struct subject *subject)
{
	for (int i = 0; i < 4; i++)
		if (subject->host[i] >= 0)
			close(subject->host[i]);
	if (subject->link >= 0)
		close(subject->link);
	client_close(&subject->client);
}

static void
make_nothing(struct subject *subject)
{
	(void)subject;
}

/* A link that nothing has opened yet: it may overtake the control stream. */
static void
make_new_of(struct subject *subject, bool is_stream)
{
	int before = fd_count(gofer.pid);

	subject->link = link_open(&subject->client, is_stream, LINK_SOCKET, SUBJECT);
	for (int64_t end = now_ms() + PATIENCE_MS; fd_count(gofer.pid) <= before && now_ms() < end;)
		sleep_ms(1);
	sleep_ms(10 * SLOW); /* from its accept to its hello */
}

static void
make_new(struct subject *subject)
{
	make_new_of(subject, false);
}

static void
make_new_stream(struct subject *subject)
{
	make_new_of(subject, true);
}

static void
make_open_stream(struct subject *subject)
{
	cr_assert_eq(call_open(&subject->client, SUBJECT, SOCK_STREAM, NULL).status, OK);
}

/* A listener whose queue is full leaves connects pending. */
static void
make_connecting(struct subject *subject)
{
	struct operation op;
	struct outcome outcome;
	uint16_t port;

	subject->host[0] = host_listen(&port, 0);
	for (int i = 1; i < 4; i++) {
		struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		subject->host[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)!connect(subject->host[i], (struct sockaddr *)&address, sizeof address);
	}
	sleep_ms(10);
	outcome = call_open(&subject->client, SUBJECT, SOCK_STREAM, op_connect(&op, port, false));
	cr_assert(outcome.status == HOST_ERRNO && outcome.error == EINPROGRESS, "status %d, %s", outcome.status,
	          strerror(outcome.error));
}

static void
make_connected(struct subject *subject)
{
	struct operation connect;
	uint16_t port;

	subject->host[0] = host_listen(&port, 1);
	cr_assert_eq(call_open(&subject->client, SUBJECT, SOCK_STREAM, op_connect(&connect, port, true)).status, OK);
	subject->host[1] = host_accept(subject->host[0]);
	subject->link = link_open(&subject->client, true, LINK_SOCKET, SUBJECT);
}

static void
make_listening(struct subject *subject)
{
	struct operation listen;

	cr_assert_eq(call_open(&subject->client, SUBJECT, SOCK_STREAM, op_listen(&listen, 1)).status, OK);
	subject->link = link_open(&subject->client, true, LINK_SOCKET, SUBJECT);
}

static void
reset_by_peer(struct subject *subject)
{
	struct linger linger = {.l_onoff = 1};

	setsockopt(subject->host[1], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	close(subject->host[1]);
	subject->host[1] = -1;
}

static void
make_reset(struct subject *subject)
{
	char byte;

	make_connected(subject);
	cr_assert(raw_send(subject->link, "x", 1) && read_exactly(subject->host[1], &byte, 1, PATIENCE_MS));
	reset_by_peer(subject);
	cr_assert(wait_event(&subject->client, &subject->client.reset, SUBJECT, PATIENCE_MS), "no reset event");
}

static void
make_datagram(struct subject *subject)
{
	cr_assert_eq(call_open(&subject->client, SUBJECT, SOCK_DGRAM, NULL).status, OK);
}

/* Bits of the operations below, in their order. */
enum { OPEN = 1, BIND = 2, CONNECT = 4, LISTEN = 8, SET = 16, GET = 32, SHUTDOWN = 64, QUERY = 128, SEND = 256, RELEASE = 512,
       IOCTL = 1024, ALL = 2047, OPERATIONS = 11 };

static struct operation *
operation_by_bit(struct operation *op, unsigned bit)
{
	switch (bit) {
	case OPEN:
		return op_open(op, AF_INET6, SOCK_STREAM, 0); /* what none of the subjects is */
	case BIND:
		return op_bind(op, 0);
	case CONNECT:
		return op_connect(op, 9, false);
	case LISTEN:
		return op_listen(op, 1);
	case SET:
		return op_set_int(op, SOL_SOCKET, SO_KEEPALIVE, 1);
	case GET:
		return op_get(op, SOL_SOCKET, SO_TYPE);
	case SHUTDOWN:
		return op_shutdown(op, SHUT_WR);
	case QUERY:
		return op_query(op);
	case SEND:
		return op_send(op, 9, "x");
	case RELEASE:
		return op_release(op);
	default:
		return op_ioctl(op, SIOCGIFFLAGS);
	}
}

GOFER_TEST(operations, out_of_state_is_a_bad_request_and_ends_nothing, start)
{
	static const struct {
		const char *name;
		void (*make)(struct subject *);
		unsigned illegal;
	} states[] = {
		{"no such handle", make_nothing, ALL & ~OPEN},
		{"new", make_new, ALL & ~(OPEN | RELEASE)},
		{"new, opened as a stream", make_new, OPEN},
		{"new stream", make_new_stream, ALL & ~(OPEN | RELEASE)},
		{"open stream", make_open_stream, OPEN | SEND},
		{"open datagram", make_datagram, OPEN},
		{"connecting", make_connecting, OPEN | SEND},
		{"connected", make_connected, OPEN | SEND},
		{"listening", make_listening, OPEN | SEND},
		{"reset", make_reset, ALL & ~RELEASE},
	};

	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		struct subject subject;
		struct operation op;

		subject_init(&subject);
		states[i].make(&subject);
		for (unsigned bit = 1; bit <= IOCTL; bit <<= 1) {
			struct outcome outcome;

			if (!(states[i].illegal & bit))
				continue;
			outcome = call(&subject.client, SUBJECT, operation_by_bit(&op, bit));
			cr_expect_eq(outcome.status, BAD_REQUEST, "%s: operation %#x came to status %d (%s)", states[i].name, bit,
			             outcome.status, strerror(outcome.error));
			outcome = call(&subject.client, BYSTANDER, op_query(&op));
			cr_assert_eq(outcome.status, OK, "%s: operation %#x: another socket of the session suffers (%d)",
			             states[i].name, bit, outcome.status);
		}
		subject_free(&subject);
	}
	assert_serves(&gofer);
}

/* Whatever is legal in the table is the host kernel's to judge: every operation in every state must come to some answer, twice. */
GOFER_TEST(operations, every_operation_in_every_state_is_answered, start)
{
	static void (*const make[])(struct subject *) = {make_nothing,  make_new,        make_new_stream, make_open_stream,
	                                                 make_datagram, make_connecting, make_connected,  make_listening, make_reset};

	for (size_t i = 0; i < sizeof make / sizeof *make; i++)
		for (unsigned bit = 1; bit <= IOCTL; bit <<= 1) {
			struct subject subject;
			struct operation op;

			if (bit == RELEASE) /* has no reply */
				continue;
			subject_init(&subject);
			make[i](&subject);
			for (int twice = 0; twice < 2; twice++) {
				struct outcome outcome = call(&subject.client, SUBJECT, operation_by_bit(&op, bit));

				cr_expect_geq(outcome.status, 0, "state %zu, operation %#x: %d", i, bit, outcome.status);
				cr_expect_eq(call(&subject.client, BYSTANDER, op_query(&op)).status, OK);
			}
			subject_free(&subject);
		}
	assert_serves(&gofer);
}

GOFER_TEST(operations, release_frees_in_every_state, start)
{
	static void (*const make[])(struct subject *) = {make_new,        make_new_stream, make_open_stream, make_datagram,
	                                                 make_connecting, make_connected,  make_listening,   make_reset};

	for (size_t i = 0; i < sizeof make / sizeof *make; i++) {
		struct subject subject;
		struct operation op, *ops[] = {op_release(&op)};
		int before;

		subject_init(&subject);
		before = fd_count(gofer.pid);
		make[i](&subject);
		cr_assert(send_request(&subject.client, 77, SUBJECT, ops, 1));
		cr_expect_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1, "state %zu: descriptors stay after release", i);
		cr_expect_eq(call(&subject.client, SUBJECT, op_query(&op)).status, BAD_REQUEST);
		subject_free(&subject);
	}
	assert_serves(&gofer);
}

/*
 * A reset is found out on this way or that: as the link is attached, as it is read, or as the host's side is. However it is, the socket
 * must wait for the byte that makes it a reset for the program, too, and say so once. The gofer is stopped while both are made ready.
 */
GOFER_TEST(operations, reset_waits_for_its_byte_and_is_told_once, start)
{
	enum way { ATTACHED, LINK_FIRST, HOST_FIRST, WAYS, ROUNDS = 15 };
	static const char *const names[] = {"as the link is attached", "as the link is read", "as the host is read"};

	for (enum way way = ATTACHED; way < WAYS; way++) {
		int gone = 0, told_again = 0, ends = 0;

		for (int round = 0; round < ROUNDS; round++) {
			struct subject subject;
			struct operation op;
			char byte;

			subject_init(&subject);
			if (way == ATTACHED) {
				make_reset(&subject);
			} else {
				make_connected(&subject);
				cr_assert(raw_send(subject.link, "x", 1) && read_exactly(subject.host[1], &byte, 1, PATIENCE_MS));
				sleep_ms(5 * SLOW);
				kill(gofer.pid, SIGSTOP);
				if (way == HOST_FIRST)
					reset_by_peer(&subject);
				cr_assert(raw_send(subject.link, "y", 1));
				if (way == LINK_FIRST)
					reset_by_peer(&subject);
				kill(gofer.pid, SIGCONT);
				wait_event(&subject.client, &subject.client.reset, SUBJECT, PATIENCE_MS / 10);
			}
			/* It would make a new socket, if the handle were free. */
			gone += call(&subject.client, SUBJECT, op_open(&op, AF_INET6, SOCK_STREAM, 0)).status != BAD_REQUEST;
			told_again += subject.client.resets > 1;
			raw_send(subject.link, "", 1);
			ends += recv(subject.link, &byte, 1, 0) >= 0;
			subject_free(&subject);
		}
		/* Where the program's bytes were still unread, the gofer may close at once: that is a reset, too. */
		cr_expect_eq(ends, 0, "%s: %d of %d programs see an end and no reset (%d sockets were gone)", names[way], ends, ROUNDS, gone);
		cr_expect_eq(told_again, 0, "%s: %d of %d resets were told twice", names[way], told_again, ROUNDS);
	}
	assert_serves(&gofer);
}

GOFER_TEST(operations, first_failure_ends_the_batch, start)
{
	struct operation ops[4], *batch[] = {op_open(&ops[0], AF_INET, SOCK_STREAM, 0), op_send(&ops[1], 9, "x"),
	                                     op_listen(&ops[2], 1), op_query(&ops[3])};
	struct client client;
	struct outcome outcome;

	client_open(&client, &gofer);
	outcome = call_batch(&client, 1, batch, 4);
	cr_assert_eq(outcome.status, BAD_REQUEST);
	cr_assert_eq(outcome.count, 2);
	client_close(&client);
}

GOFER_TEST(operations, nonsense_arguments_are_refused, start)
{
	struct operation op;
	struct client client;
	struct outcome outcome;

	client_open(&client, &gofer);
	/* Handles that a client may not choose. */
	cr_expect_eq(call_open(&client, 0, SOCK_STREAM, NULL).status, BAD_REQUEST, "handle 0");
	cr_expect_eq(call_open(&client, UINT64_C(1) << 63, SOCK_STREAM, NULL).status, BAD_REQUEST, "an accepted one's handle");
	cr_expect_eq(call_open(&client, UINT64_MAX, SOCK_STREAM, NULL).status, BAD_REQUEST, "the last handle");
	/* Families and types. */
	op_open(&op, AF_INET, SOCK_STREAM, 0)->open.family = 0;
	cr_expect_eq(call(&client, 5, &op).status, BAD_REQUEST, "family 0");
	op_open(&op, AF_INET, SOCK_STREAM, 0)->open.family = UINT32_MAX;
	cr_expect_eq(call(&client, 5, &op).status, BAD_REQUEST, "family unknown");
	op_open(&op, AF_INET, SOCK_STREAM, 0)->open.type = UINT32_MAX;
	cr_expect_eq(call(&client, 5, &op).status, BAD_REQUEST, "type unknown");
	cr_expect_eq(call(&client, 5, op_open(&op, AF_UNIX, SOCK_STREAM, 0)).status, DENIED, "a local socket");
	cr_expect_eq(call(&client, 5, op_open(&op, AF_PACKET, SOCK_RAW, 0)).status, DENIED, "a packet socket");
	cr_expect_eq(call(&client, 5, op_open(&op, AF_NETLINK, SOCK_RAW, 9)).status, DENIED, "the audit's netlink");
	outcome = call(&client, 5, op_open(&op, AF_INET, SOCK_STREAM, 0x7fffffff));
	cr_expect(outcome.status == HOST_ERRNO || outcome.status == DENIED, "protocol unknown: status %d", outcome.status);
	/* None of them has left a socket. */
	cr_expect_eq(call(&client, 5, op_query(&op)).status, BAD_REQUEST);

	cr_assert_eq(call_open(&client, 6, SOCK_STREAM, NULL).status, OK);
	op_bind(&op, 0)->address.port = 65536;
	cr_expect_eq(call(&client, 6, &op).status, BAD_REQUEST, "port 65536");
	op_bind(&op, 0)->bind.address = NULL;
	cr_expect_eq(call(&client, 6, &op).status, BAD_REQUEST, "no address");
	op_bind(&op, 0)->address.ip.len = 3;
	outcome = call(&client, 6, &op);
	cr_expect(outcome.status == BAD_REQUEST || outcome.status == OK || outcome.status == HOST_ERRNO, "3 bytes of address: %d",
	          outcome.status);
	op_bind(&op, 0)->address.family = 12345;
	outcome = call(&client, 6, &op);
	cr_expect(outcome.status == HOST_ERRNO || outcome.status == BAD_REQUEST, "an address of no family: %d", outcome.status);
	op_shutdown(&op, SHUT_WR)->shutdown.how = 99;
	cr_expect_eq(call(&client, 6, &op).status, BAD_REQUEST, "shutdown how");
	op_get(&op, SOL_SOCKET, SO_TYPE)->get.option = UINT32_MAX;
	outcome = call(&client, 6, &op);
	cr_expect(outcome.status == HOST_ERRNO && outcome.error == ENOPROTOOPT, "option unknown: %d", outcome.status);
	op_get(&op, SOL_SOCKET, SO_TYPE)->get.length = UINT32_MAX;
	cr_expect_geq(call(&client, 6, &op).status, 0, "4 GiB of option");
	op_set_int(&op, SOL_SOCKET, SO_KEEPALIVE, 1)->set.value.len = 3;
	outcome = call(&client, 6, &op);
	cr_expect(outcome.status == HOST_ERRNO && outcome.error == EINVAL, "3 bytes of int: %d", outcome.status);
	op_ioctl(&op, SIOCGIFFLAGS)->ioctl.ifreq.len = 39;
	cr_expect_eq(call(&client, 6, &op).status, BAD_REQUEST, "a short ifreq");
	static const uint32_t changes[] = {SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFMTU, SIOCSIFNAME, SIOCADDRT, SIOCDELRT, TIOCSTI, 0};
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		outcome = call(&client, 6, op_ioctl(&op, changes[i]));
		cr_expect(outcome.status == HOST_ERRNO && outcome.error == EPERM, "ioctl %#x: status %d, %s", changes[i],
		          outcome.status, strerror(outcome.error));
	}
	cr_expect_eq(call(&client, 6, op_query(&op)).status, OK, "the socket is gone");
	client_close(&client);
	assert_serves(&gofer);
}

/* ---- others' ------------------------------------------------------------------------------------ */

GOFER_TEST(operations, handles_of_another_session_are_unknown, start)
{
	struct subject victim;
	struct client thief;
	struct operation op, *release[] = {op_release(&op)};
	char byte;

	subject_init(&victim);
	make_connected(&victim);
	client_open(&thief, &gofer);
	for (unsigned bit = BIND; bit <= IOCTL; bit <<= 1) {
		struct operation theft;

		cr_expect_eq(call(&thief, SUBJECT, operation_by_bit(&theft, bit)).status, BAD_REQUEST, "operation %#x", bit);
	}
	cr_assert(send_request(&thief, 1000, SUBJECT, release, 1));
	/* The same number is another socket here. */
	cr_expect_eq(call_open(&thief, SUBJECT, SOCK_DGRAM, NULL).status, OK);
	client_close(&thief);
	cr_assert(raw_send(victim.link, "x", 1) && read_exactly(victim.host[1], &byte, 1, PATIENCE_MS), "the victim's connection broke");
	subject_free(&victim);
	assert_serves(&gofer);
}

/* ---- waiting ------------------------------------------------------------------------------------ */

GOFER_TEST(operations, waiting_connect_can_be_cancelled_once, start)
{
	struct subject subject;
	struct operation op, *wait[] = {op_connect(&op, 9, true)};
	int before;

	subject_init(&subject);
	make_connecting(&subject);
	before = fd_count(gofer.pid);
	/* Its address is not looked at: one is under way. */
	cr_assert(send_request(&subject.client, 500, SUBJECT, wait, 1));
	sleep_ms(20);
	cr_assert(send_frame(subject.client.fd, FRAME_CANCEL, 500, "", 0) && send_frame(subject.client.fd, FRAME_CANCEL, 500, "", 0));
	cr_assert_eq(wait_reply(&subject.client, 500, PATIENCE_MS).status, CANCELLED);
	cr_assert_eq(wait_reply(&subject.client, 500, 100).status, -2, "a second answer");
	cr_assert_eq(fd_count(gofer.pid), before);
	subject_free(&subject);
	assert_serves(&gofer);
}

GOFER_TEST(operations, client_that_leaves_while_it_waits_is_released, start)
{
	int before = fd_count(gofer.pid);

	for (int round = 0; round < 20; round++) {
		struct subject subject;
		struct operation op, *wait[] = {op_connect(&op, 9, true)};

		subject_init(&subject);
		make_connecting(&subject);
		for (uint32_t id = 500; id < 510; id++)
			cr_assert(send_request(&subject.client, id, SUBJECT, wait, 1));
		subject_free(&subject);
	}
	cr_assert_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1, "descriptors stay");
	assert_serves(&gofer);
}

/*
 * The request finds the link's end still unread: draining it first frees the socket under the request. The gofer is stopped meanwhile, so
 * that it sees both at once, the request first.
 */
GOFER_TEST(operations, request_for_a_socket_whose_link_has_just_ended, start)
{
	for (int round = 0; round < 5; round++) {
		struct subject subject;
		struct operation op, *query[] = {op_query(&op)};
		int channel;

		subject_init(&subject);
		make_connected(&subject);
		channel = link_open(&subject.client, false, LINK_CHANNEL, 0);
		cr_assert(channel_request(channel, 1, BYSTANDER, query, 1));
		sleep_ms(20);
		/* Unread in the link when it closes: the gofer's next read of it fails. */
		cr_assert(raw_send(subject.host[1], "unread", 6));
		sleep_ms(20);
		kill(gofer.pid, SIGSTOP);
		cr_assert(channel_request(channel, 2, SUBJECT, query, 1));
		close(subject.link);
		subject.link = -1;
		kill(gofer.pid, SIGCONT);
		cr_assert_eq(call(&subject.client, BYSTANDER, op_query(&op)).status, OK, "round %d: the session is gone", round);
		close(channel);
		subject_free(&subject);
	}
	assert_serves(&gofer);
}
