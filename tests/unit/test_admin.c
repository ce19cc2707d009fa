/*
 * What splitsock-ctl is answered, from a gofer and sessions built by hand. Host sockets are real and stay on the loopback.
 */
#include "gofer/admin.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gofer/sock.h"

enum { SESSIONS = 150, SOCKETS = 450 };

static struct gofer gofer;
static struct session sessions[SESSIONS];

static void
setup(void)
{
	gofer = (struct gofer){
		.policy_name = "open",
		.limits = {.sockets = SOCKETS, .calls = 10, .sessions = SESSIONS},
		.scratch = malloc(SCRATCH_SIZE),
		.start_time = 1700000000,
	};
	cr_assert_eq(loop_init(&gofer.loop), 0);
}

static void
teardown(void)
{
	struct session *session;
	struct sock *sock;

	while ((session = table_any(&gofer.sessions))) {
		while ((sock = table_any(&session->socks)))
			sock_free(sock);
		table_remove(&gofer.sessions, session);
	}
	loop_free(&gofer.loop);
	free(gofer.scratch);
}

TestSuite(admin, .init = setup, .fini = teardown, .timeout = 60);

/* Ids far apart, and in no order. */
static struct session *
new_session(int i)
{
	sessions[i] = (struct session){
		.id = (uint64_t)(i + 1) * UINT64_C(0x9e3779b97f4a7c15),
		.gofer = &gofer,
		.state = SESSION_READY,
		.identity = {.uid = 1000, .pid = (uint64_t)getpid()},
		.software = "a test",
		.channel = {.fd = -1},
	};
	cr_assert(table_add(&gofer.sessions, &sessions[i]));
	return &sessions[i];
}

static Splitsock__AdminReply *
ask(struct codec_arena *arena, Splitsock__AdminRequest *request)
{
	static uint8_t packet[FRAME_HEADER_SIZE + FRAME_BODY_MAX];
	struct frame frame;
	Splitsock__AdminReply *reply;
	size_t len, need;
	uint8_t *bytes = admin_reply(&gofer, 5, request, &len);

	cr_assert_not_null(bytes);
	cr_assert_leq(len, sizeof packet);
	memcpy(packet, bytes, len);
	free(bytes);
	cr_assert_eq(frame_parse(&frame, packet, len, &need), (ssize_t)len);
	cr_assert(frame.kind == FRAME_REPLY && frame.id == 5);
	reply = decode_admin_reply(arena, &frame);
	cr_assert_not_null(reply, "a page of %zu bytes is not decoded", len);
	return reply;
}

static Splitsock__AdminRequest
request_for(Splitsock__AdminRequest__AskCase which, void *message)
{
	Splitsock__AdminRequest request = SPLITSOCK__ADMIN_REQUEST__INIT;

	request.version = 1;
	request.ask_case = which;
	request.status = message; /* every member of the oneof is a pointer, at one place */
	return request;
}

Test(admin, who_may_ask)
{
	cr_assert(admin_lets_in(1000, 1000));
	cr_assert(admin_lets_in(0, 1000));
	cr_assert(admin_lets_in(0, 0));
	cr_assert_not(admin_lets_in(1001, 1000));
	cr_assert_not(admin_lets_in(1000, 0));
	cr_assert_not(admin_lets_in((uid_t)-1, 1000));
}

Test(admin, unknown_questions_are_answered_as_such)
{
	Splitsock__AdminNothing nothing = SPLITSOCK__ADMIN_NOTHING__INIT;
	Splitsock__AdminRequest request = request_for(SPLITSOCK__ADMIN_REQUEST__ASK_STATUS, &nothing);
	struct codec_arena arena = {0};

	for (uint32_t version = 0; version < 4; version++) {
		request.version = version;
		cr_expect_eq(ask(&arena, &request)->status,
		             version == 1 ? SPLITSOCK__STATUS__STATUS_OK : SPLITSOCK__STATUS__STATUS_UNSUPPORTED);
	}
	request.version = 1;
	request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK__NOT_SET;
	cr_expect_eq(ask(&arena, &request)->status, SPLITSOCK__STATUS__STATUS_UNSUPPORTED);
	codec_free(&arena);
}

Test(admin, status_says_what_there_is)
{
	Splitsock__AdminNothing nothing = SPLITSOCK__ADMIN_NOTHING__INIT;
	Splitsock__AdminRequest request = request_for(SPLITSOCK__ADMIN_REQUEST__ASK_STATUS, &nothing);
	struct codec_arena arena = {0};
	const Splitsock__AdminStatus *status;

	sock_new(new_session(0), 1);
	sock_new(new_session(1), 1);
	status = ask(&arena, &request)->gofer;
	cr_assert_not_null(status);
	cr_expect_str_eq(status->software, "splitsock-gofer " SPLITSOCK_VERSION);
	cr_expect_eq(status->pid, getpid());
	cr_expect_eq(status->uid, geteuid());
	cr_expect_str_eq(status->policy, "open");
	cr_expect_eq(status->sessions, 2);
	cr_expect_eq(status->sockets, 2);
	cr_expect_eq(status->max_sessions, SESSIONS);
	cr_expect_eq(status->max_sockets, SOCKETS);
	cr_expect_eq(status->max_calls, 10);
	cr_expect_gt(status->max_descriptors, 0);
	cr_expect_gt(status->resident_bytes, 1 << 20);
	codec_free(&arena);
}

Test(admin, sessions_come_in_pages_none_twice)
{
	Splitsock__AdminCursor cursor = SPLITSOCK__ADMIN_CURSOR__INIT;
	Splitsock__AdminRequest request = request_for(SPLITSOCK__ADMIN_REQUEST__ASK_SESSIONS, &cursor);
	struct codec_arena arena = {0};
	const Splitsock__AdminReply *reply;
	size_t count = 0, pages = 0;
	uint64_t last = 0;

	/* As large as they come. */
	for (int i = 0; i < SESSIONS; i++) {
		struct session *session = new_session(i);

		memset(session->counters.value, 0xff, sizeof session->counters.value);
		memset(session->software, 'x', sizeof session->software - 1);
		session->identity.uid = session->identity.pid = UINT64_MAX;
	}
	do {
		reply = ask(&arena, &request);
		pages++;
		for (size_t i = 0; i < reply->n_sessions; i++, count++) {
			cr_assert_gt(reply->sessions[i]->id, last, "in order, each once");
			last = reply->sessions[i]->id;
			cr_assert_eq(reply->sessions[i]->counters->n_counters, COUNTERS_SESSION_COUNT - 2, "all but two gauges");
		}
		if (reply->next)
			cursor.session = reply->next->session;
	} while (reply->next);
	cr_assert_eq(count, SESSIONS);
	cr_assert_eq(pages, 3);
	codec_free(&arena);
}

/* The sockets of one listing; `change` is called after each page. */
static size_t
list_sockets(size_t *pages, void (*change)(size_t page))
{
	Splitsock__AdminCursor cursor = SPLITSOCK__ADMIN_CURSOR__INIT;
	Splitsock__AdminRequest request = request_for(SPLITSOCK__ADMIN_REQUEST__ASK_SOCKETS, &cursor);
	struct codec_arena arena = {0};
	size_t count = 0;
	uint64_t last_session = 0, last_handle = 0;

	for (*pages = 0;;) {
		const Splitsock__AdminReply *reply = ask(&arena, &request);

		for (size_t i = 0; i < reply->n_sockets; i++, count++) {
			const Splitsock__AdminSocket *sock = reply->sockets[i];

			cr_assert(sock->session > last_session || (sock->session == last_session && sock->handle > last_handle));
			last_session = sock->session;
			last_handle = sock->handle;
		}
		++*pages;
		if (!reply->next)
			break;
		cursor.session = reply->next->session;
		cursor.handle = reply->next->handle;
		if (change)
			change(*pages);
	}
	codec_free(&arena);
	return count;
}

Test(admin, sockets_come_in_pages_none_twice)
{
	size_t pages;

	cr_assert_eq(list_sockets(&pages, NULL), 0);
	cr_assert_eq(pages, 1);
	for (int i = 0; i < 20; i++)
		new_session(i);
	for (uint64_t handle = 1; handle <= SOCKETS; handle++)
		cr_assert_not_null(sock_new(&sessions[3], handle));
	for (int i = 5; i < 15; i++)
		cr_assert_not_null(sock_new(&sessions[i], UINT64_C(1) << 63 | 1));
	cr_assert_eq(list_sockets(&pages, NULL), SOCKETS + 10);
	cr_assert_eq(pages, 3);
}

static void
end_the_large_one(size_t page)
{
	struct sock *sock;

	if (page != 1)
		return;
	while ((sock = table_any(&sessions[3].socks)))
		sock_free(sock);
	table_remove(&gofer.sessions, &sessions[3]);
}

/* A session that goes between two pages takes its entries along, and no other's. */
Test(admin, sessions_may_go_between_two_pages)
{
	size_t pages, before = 0;

	for (int i = 0; i < 20; i++)
		new_session(i);
	for (uint64_t handle = 1; handle <= SOCKETS; handle++)
		cr_assert_not_null(sock_new(&sessions[3], handle));
	for (int i = 5; i < 15; i++) {
		cr_assert_not_null(sock_new(&sessions[i], 1));
		before += sessions[i].id < sessions[3].id;
	}
	cr_assert_eq(list_sockets(&pages, end_the_large_one), 200 + 10 - before, "one page, and those of the others that come after it");
}

Test(admin, a_socket_is_told_as_it_is)
{
	Splitsock__AdminCursor cursor = SPLITSOCK__ADMIN_CURSOR__INIT;
	Splitsock__AdminRequest request = request_for(SPLITSOCK__ADMIN_REQUEST__ASK_SOCKETS, &cursor);
	struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct codec_arena arena = {0};
	const Splitsock__AdminSocket *told;
	socklen_t len = sizeof loopback;
	struct sock *sock = sock_new(new_session(0), 9);

	sock->family = AF_INET;
	sock->type = SOCK_STREAM;
	sock->state = SOCK_LISTENING;
	sock->host.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(sock->host.fd, (struct sockaddr *)&loopback, sizeof loopback), 0);
	cr_assert_eq(listen(sock->host.fd, 7), 0);
	cr_assert_eq(getsockname(sock->host.fd, (struct sockaddr *)&loopback, &len), 0);
	sock->bytes_to_host = 11;
	told = ask(&arena, &request)->sockets[0];
	cr_expect_eq(told->session, sessions[0].id);
	cr_expect_eq(told->handle, 9);
	cr_expect_eq(told->family, AF_INET);
	cr_expect_eq(told->type, SOCK_STREAM);
	cr_expect_str_eq(told->state, "listening");
	cr_expect_eq(told->tcp_state, TCP_LISTEN);
	cr_expect_eq(told->receive_queue, 0);
	cr_expect_eq(told->send_queue, 7, "as ss shows the backlog");
	cr_expect(told->local && told->local->port == ntohs(loopback.sin_port));
	cr_expect_null(told->peer);
	cr_expect_eq(told->bytes_to_host, 11);
	cr_expect_eq(told->uid, 1000);
	cr_expect_not(told->linked);
	codec_free(&arena);
}
