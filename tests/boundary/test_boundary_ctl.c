/*
 * The ctl socket: who is let in, and what somebody does there who should not be. Clients are served meanwhile, and afterwards nothing is held.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/boundary/client.h"

TestSuite(ctl, .timeout = 60);

/* gofer/admin.h, gofer/gofer.h */
enum { ADMIN_MS = 5000, TICK_MS = 1000, ADMIN_CONNECTIONS_MAX = 16, ADMIN_REQUEST_MAX = 8192 };

static struct gofer gofer;
static char path[128];
static int before; /* descriptors */

static void
start(void)
{
	gofer_start(&gofer, (const char *const[]){"--socket-mode", "0666", NULL});
	snprintf(path, sizeof path, "%s%s", gofer.path, LINK_ADMIN_SUFFIX);
	assert_serves(&gofer);
	before = fd_count(gofer.pid);
}

static void
stop(void)
{
	cr_assert_neq(wait_for_fds(gofer.pid, before, PATIENCE_MS), -1, "%d descriptors stay", fd_count(gofer.pid) - before);
	assert_serves(&gofer);
	gofer_stop(&gofer);
}

static void
clean(void)
{
	gofer_clean(&gofer);
}

static int
ctl_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

static struct client
ctl_open(void)
{
	struct client client = {.gofer = &gofer, .fd = ctl_connect()};

	cr_assert_geq(client.fd, 0, "%s: %s", path, strerror(errno));
	return client;
}

enum question { STATUS, SESSIONS, SOCKETS, STATS };

static bool
send_question(int fd, uint32_t id, enum question question, uint64_t session, uint64_t handle)
{
	Splitsock__AdminRequest request = SPLITSOCK__ADMIN_REQUEST__INIT;
	Splitsock__AdminNothing nothing = SPLITSOCK__ADMIN_NOTHING__INIT;
	Splitsock__AdminCursor cursor = SPLITSOCK__ADMIN_CURSOR__INIT;

	request.version = 1;
	cursor.session = session;
	cursor.handle = handle;
	switch (question) {
	case STATUS:
		request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_STATUS;
		request.status = &nothing;
		break;
	case SESSIONS:
		request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_SESSIONS;
		request.sessions = &cursor;
		break;
	case SOCKETS:
		request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_SOCKETS;
		request.sockets = &cursor;
		break;
	case STATS:
		request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_STATS;
		request.stats = &nothing;
		break;
	}
	return send_message(fd, FRAME_REQUEST, id, &request.base);
}

/* The next answer's status and how many entries it has, or -1 where there is none. */
struct told {
	int status;
	uint32_t id;
	size_t sessions, sockets;
	uint64_t values[COUNTER_COUNT];
};

static struct told
take(struct client *client)
{
	struct codec_arena arena = {0};
	struct told told = {.status = -1};
	struct frame frame;
	const Splitsock__AdminReply *reply;

	if (receive_frame(client, &frame, PATIENCE_MS) != 1)
		return told;
	cr_assert_eq(frame.kind, FRAME_REPLY);
	reply = decode_admin_reply(&arena, &frame);
	cr_assert_not_null(reply);
	told.status = (int)reply->status;
	told.id = frame.id;
	told.sessions = reply->n_sessions;
	told.sockets = reply->n_sockets;
	counters_from_message(told.values, reply->counters);
	codec_free(&arena);
	return told;
}

static uint64_t
counted(enum counter_id id)
{
	struct client client = ctl_open();
	struct told told;

	cr_assert(send_question(client.fd, 1, STATS, 0, 0));
	told = take(&client);
	cr_assert_eq(told.status, SPLITSOCK__STATUS__STATUS_OK);
	close(client.fd);
	return told.values[id];
}

/* ---- who ---------------------------------------------------------------------------------------- */

GOFER_TEST(ctl, its_mode_is_0600_whatever_the_clients_sockets_have, start)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0600, "%o", st.st_mode & 07777);
	cr_assert_eq(stat(gofer.path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0666);
}

/* What nobody's process comes to: 0: it cannot connect; 1: it is hung up on without a word; 2: it is answered. */
static int
as_nobody(void)
{
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		char byte;
		int fd;

		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(3);
		fd = ctl_connect();
		if (fd < 0)
			_exit(errno == EACCES ? 0 : 3);
		send_question(fd, 1, STATUS, 0, 0);
		_exit(read_exactly(fd, &byte, 1, PATIENCE_MS) ? 2 : ends_within(fd, PATIENCE_MS) ? 1 : 3);
	}
	return WEXITSTATUS(wait_for(pid, PATIENCE_MS * 3));
}

GOFER_TEST(ctl, another_user_is_turned_away, start)
{
	struct client client;

	cr_assert_eq(geteuid(), 0, "this suite needs root: it is root and nobody in turn");
	cr_expect_eq(as_nobody(), 0, "the file's mode keeps it out");
	/* Somebody changes the mode: the kernel still says who it is. */
	cr_assert_eq(chmod(path, 0666), 0);
	cr_expect_eq(as_nobody(), 1, "its credentials keep it out");
	cr_expect_eq(counted(COUNTER_ADMIN_REFUSED), 1);
	/* It may be a client, and is none here. */
	client_open(&client, &gofer);
	client_close(&client);
}

/* The same bytes from a client are an operation on a socket that it does not have. */
GOFER_TEST(ctl, clients_cannot_ask_on_their_own_socket, start)
{
	struct client client;

	client_open(&client, &gofer);
	cr_assert(send_question(client.fd, 1, STATUS, 0, 0));
	cr_expect_eq(wait_reply(&client, 1, PATIENCE_MS).status, SPLITSOCK__STATUS__STATUS_BAD_REQUEST);
	client_close(&client);
	client_open(&client, &gofer);
	cr_assert(send_question(client.fd, 1, SOCKETS, 0, 0));
	cr_expect(ends_within(client.fd, PATIENCE_MS), "it is answered, or hangs");
	client_close(&client);
	cr_expect_eq(counted(COUNTER_BAD_REQUESTS), 1);
	cr_expect_eq(counted(COUNTER_PROTOCOL_BREACHES), 1);
}

/* Nor is the operation Stats one of a socket, one without an answer, one of several, or one of the side channel. */
GOFER_TEST(ctl, stats_in_a_wrong_form_end_the_session, start)
{
	enum { OF_A_SOCKET, NO_REPLY, TWO, ON_CHANNEL, RIGHT, FORMS };
	Splitsock__Stats stats = SPLITSOCK__STATS__INIT;

	for (int form = 0; form < FORMS; form++) {
		Splitsock__Op op = SPLITSOCK__OP__INIT, *ops[] = {&op, &op};
		Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
		struct client client;
		int channel = -1;

		client_open(&client, &gofer);
		op.op_case = SPLITSOCK__OP__OP_STATS;
		op.stats = &stats;
		request.ops = ops;
		request.n_ops = form == TWO ? 2 : 1;
		request.handle = form == OF_A_SOCKET;
		request.no_reply = form == NO_REPLY;
		if (form == ON_CHANNEL)
			cr_assert_geq(channel = link_open(&client, false, LINK_CHANNEL, 0), 0);
		if (form == ON_CHANNEL) {
			size_t len;
			uint8_t *packet = encode_frame(FRAME_REQUEST, 9, &request.base, &len);

			cr_assert_eq(send(channel, packet, len, MSG_NOSIGNAL), (ssize_t)len);
			free(packet);
		} else {
			cr_assert(send_message(client.fd, FRAME_REQUEST, 9, &request.base));
		}
		if (form == RIGHT)
			cr_expect_eq(wait_reply(&client, 9, PATIENCE_MS).status, SPLITSOCK__STATUS__STATUS_OK);
		else
			cr_expect(ends_within(client.fd, PATIENCE_MS), "form %d is taken", form);
		close(channel);
		client_close(&client);
	}
	cr_expect_eq(counted(COUNTER_PROTOCOL_BREACHES), FORMS - 1);
}

GOFER_TEST(ctl, too_many_are_turned_away, start)
{
	int fds[ADMIN_CONNECTIONS_MAX], extra;
	struct client client;

	for (int i = 0; i < ADMIN_CONNECTIONS_MAX; i++)
		cr_assert_geq(fds[i] = ctl_connect(), 0);
	cr_assert_geq(extra = ctl_connect(), 0);
	cr_expect(ends_within(extra, PATIENCE_MS), "the 17th is kept");
	close(extra);
	assert_serves(&gofer);
	close(fds[3]);
	cr_assert_neq(wait_for_fds(gofer.pid, before + ADMIN_CONNECTIONS_MAX - 1, PATIENCE_MS), -1);
	client = ctl_open();
	cr_assert(send_question(client.fd, 1, STATUS, 0, 0));
	cr_expect_eq(take(&client).status, SPLITSOCK__STATUS__STATUS_OK);
	close(client.fd);
	fds[3] = -1;
	for (int i = 0; i < ADMIN_CONNECTIONS_MAX; i++)
		close(fds[i]);
}

/* ---- what --------------------------------------------------------------------------------------- */

GOFER_TEST(ctl, what_is_no_request_ends_the_connection, start)
{
	static const struct {
		uint32_t length;
		uint8_t kind, reserved;
		const char *what;
	} wrong[] = {
		{0, 0, 0, "kind 0"},
		{0, 99, 0, "kind 99"},
		{0, FRAME_HELLO, 0, "Hello"},
		{0, FRAME_REPLY, 0, "a reply"},
		{0, FRAME_CANCEL, 0, "a cancel"},
		{0, FRAME_REQUEST, 1, "reserved bytes"},
		{ADMIN_REQUEST_MAX + 1, FRAME_REQUEST, 0, "a length that no question has"},
		{FRAME_BODY_MAX, FRAME_REQUEST, 0, "the longest frame"},
		{FRAME_BODY_MAX + 1, FRAME_REQUEST, 0, "more than the longest frame"},
		{UINT32_MAX, FRAME_REQUEST, 0, "4 GiB"},
	};
	size_t count = sizeof wrong / sizeof *wrong;

	for (size_t i = 0; i < count; i++) {
		uint8_t header[FRAME_HEADER_SIZE];
		int fd = ctl_connect();

		header_write(header, wrong[i].length, wrong[i].kind, wrong[i].reserved, 1);
		cr_assert(raw_send(fd, header, sizeof header));
		cr_expect(ends_within(fd, PATIENCE_MS), "%s is taken", wrong[i].what);
		close(fd);
	}
	cr_expect_eq(counted(COUNTER_ADMIN_BREACHES), count);
}

GOFER_TEST(ctl, bodies_that_are_garbage, start)
{
	uint64_t state = 88172645463325252u;
	int ended = 0, answered = 0;

	for (int round = 0; round < 300; round++) {
		struct client client = ctl_open();
		uint8_t body[ADMIN_REQUEST_MAX];
		size_t len;
		struct told told;

		for (size_t i = 0; i < sizeof body; i++) {
			state ^= state << 13, state ^= state >> 7, state ^= state << 17;
			body[i] = (uint8_t)state;
		}
		/* Short ones are often well-formed, and then mostly of no version that there is. */
		len = round % 3 ? state % 6 : state % sizeof body;
		if (round % 5 == 0)
			memcpy(body, "\x08\x01", 2), len += 2;
		cr_assert(send_frame(client.fd, FRAME_REQUEST, 7, body, len < sizeof body ? len : sizeof body));
		told = take(&client);
		if (told.status == -1)
			cr_assert(ends_within(client.fd, PATIENCE_MS), "round %d hangs", round);
		told.status == -1 ? ended++ : answered++;
		close(client.fd);
	}
	cr_expect(ended > 20 && answered > 5, "%d ended, %d were answered", ended, answered);
}

GOFER_TEST(ctl, other_versions_and_no_question, start)
{
	struct client client = ctl_open();
	Splitsock__AdminRequest request = SPLITSOCK__ADMIN_REQUEST__INIT;

	for (request.version = 0; request.version < 3; request.version++) {
		cr_assert(send_message(client.fd, FRAME_REQUEST, request.version, &request.base));
		cr_expect_eq(take(&client).status, SPLITSOCK__STATUS__STATUS_UNSUPPORTED);
	}
	close(client.fd);
}

GOFER_TEST(ctl, cursors_that_lead_nowhere, start)
{
	static const uint64_t places[] = {0, 1, 1000, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX};
	struct client client = ctl_open();
	uint32_t id = 0;

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		for (size_t j = 0; j < sizeof places / sizeof *places; j++)
			for (enum question question = SESSIONS; question <= SOCKETS; question++) {
				struct told told;

				cr_assert(send_question(client.fd, ++id, question, places[i], places[j]));
				told = take(&client);
				cr_expect_eq(told.status, SPLITSOCK__STATUS__STATUS_OK);
				cr_expect_eq(told.id, id);
				cr_expect(told.sessions == 0 && told.sockets == 0);
			}
	close(client.fd);
}

/* A byte at a time, and many in one piece: more than the gofer reads at once. */
GOFER_TEST(ctl, questions_in_pieces_and_in_heaps, start)
{
	enum { HEAP = 1000 };
	static uint8_t heap[HEAP * 32];
	Splitsock__AdminRequest request = SPLITSOCK__ADMIN_REQUEST__INIT;
	Splitsock__AdminNothing nothing = SPLITSOCK__ADMIN_NOTHING__INIT;
	struct client client = ctl_open();
	size_t len, total = 0;

	request.version = 1;
	request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_STATUS;
	request.status = &nothing;
	for (uint32_t id = 1; id <= HEAP; id++) {
		uint8_t *packet = encode_frame(FRAME_REQUEST, id, &request.base, &len);

		memcpy(heap + total, packet, len);
		total += len;
		free(packet);
	}
	for (size_t i = 0; i < len; i++) {
		cr_assert(raw_send(client.fd, heap + i, 1));
		sleep_ms(2);
	}
	cr_expect_eq(take(&client).status, SPLITSOCK__STATUS__STATUS_OK);
	cr_assert(raw_send(client.fd, heap, total));
	for (uint32_t id = 1; id <= HEAP; id++) {
		struct told told = take(&client);

		cr_assert_eq(told.status, SPLITSOCK__STATUS__STATUS_OK);
		cr_assert_eq(told.id, id);
	}
	close(client.fd);
}

/* Descriptors that come along are nobody's. */
GOFER_TEST(ctl, descriptors_are_not_kept, start)
{
	struct client client = ctl_open();
	uint8_t header[FRAME_HEADER_SIZE];
	int held;

	cr_assert(send_question(client.fd, 1, STATUS, 0, 0));
	cr_assert_eq(take(&client).status, SPLITSOCK__STATUS__STATUS_OK);
	held = fd_count(gofer.pid);
	header_write(header, 0, FRAME_REQUEST, 0, 5);
	cr_assert(send_with_fds(client.fd, header, sizeof header, client.fd, 50));
	cr_expect_eq(take(&client).status, SPLITSOCK__STATUS__STATUS_UNSUPPORTED);
	cr_expect_eq(fd_count(gofer.pid), held);
	close(client.fd);
}

/* ---- when --------------------------------------------------------------------------------------- */

GOFER_TEST(ctl, half_a_question_does_not_last, start)
{
	uint8_t header[FRAME_HEADER_SIZE];
	int fd = ctl_connect(), silent = ctl_connect();
	int64_t began = now_ms(), used = cpu_ms(gofer.pid);

	header_write(header, 100, FRAME_REQUEST, 0, 1);
	cr_assert(raw_send(fd, header, sizeof header) && raw_send(fd, "half", 4));
	assert_serves(&gofer);
	cr_expect(ends_within(fd, ADMIN_MS + 3 * TICK_MS));
	cr_expect_geq(now_ms() - began, ADMIN_MS - TICK_MS, "it has its time");
	cr_expect(ends_within(silent, 3 * TICK_MS), "nor does silence");
	cr_expect_lt(cpu_ms(gofer.pid) - used, 500 * SLOW, "waiting for it costs nothing");
	cr_expect_eq(counted(COUNTER_ADMIN_BREACHES), 1, "silence is no breach");
	close(fd);
	close(silent);
}

/* One who asks for the longest answers and reads none: it holds one of them, and stops nobody. */
GOFER_TEST(ctl, a_slow_reader_stalls_nobody, start)
{
	enum { HELD = 500, READERS = 5, QUESTIONS = 2000, ALLOWED_KIB = 4096 };
	static struct client holder, readers[READERS];
	int64_t used;
	long memory;

	client_open(&holder, &gofer);
	for (uint64_t handle = 1; handle <= HELD; handle++)
		cr_assert_eq(call_open(&holder, handle, SOCK_DGRAM, NULL).status, SPLITSOCK__STATUS__STATUS_OK);
	memory = memory_now(gofer.pid);
	for (int i = 0; i < READERS; i++) {
		readers[i] = ctl_open();
		for (int k = 0; k < QUESTIONS; k++) {
			uint8_t question[] = {4, 0, 0, 0, FRAME_REQUEST, 0, 0, 0, 1, 0, 0, 0, 8, 1, 0x22, 0}; /* sockets, from the start */

			if (send(readers[i].fd, question, sizeof question, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
				break; /* the gofer does not read on: as it should */
		}
	}
	sleep_ms(200);
	used = cpu_ms(gofer.pid);
	for (int i = 0; i < 20; i++) {
		int took = good_client(&gofer);

		cr_expect(took >= 0 && took < 500 * SLOW, "a client took %d ms", took);
	}
	if (MEASURES_MEMORY)
		cr_expect_lt(memory_now(gofer.pid) - memory, ALLOWED_KIB, "%ld KiB for readers", memory_now(gofer.pid) - memory);
	sleep_ms(500);
	cr_expect_lt(cpu_ms(gofer.pid) - used, 400 * SLOW, "%d ms for who does not read", (int)(cpu_ms(gofer.pid) - used));
	/* They end by themselves, and the session that they asked about is as it was. */
	cr_assert_neq(wait_for_fds(gofer.pid, before + 1 + HELD, ADMIN_MS + 3 * TICK_MS), -1);
	cr_expect_eq(counted(COUNTER_ADMIN_BREACHES), READERS);
	cr_expect_eq(counted(COUNTER_SOCKETS), HELD);
	for (int i = 0; i < READERS; i++)
		close(readers[i].fd);
	client_close(&holder);
}

/* One who reads slowly but does read gets whole answers. */
GOFER_TEST(ctl, a_patient_reader_gets_everything, start)
{
	enum { HELD = 200 };
	static struct client holder;
	struct client client;
	static uint8_t answer[FRAME_HEADER_SIZE + FRAME_BODY_MAX];
	struct codec_arena arena = {0};
	struct frame frame;
	const Splitsock__AdminReply *reply;
	size_t len = 0, need;

	client_open(&holder, &gofer);
	for (uint64_t handle = 1; handle <= HELD; handle++)
		cr_assert_eq(call_open(&holder, handle, SOCK_DGRAM, NULL).status, SPLITSOCK__STATUS__STATUS_OK);
	client = ctl_open();
	cr_assert(send_question(client.fd, 1, SOCKETS, 0, 0));
	while (frame_parse(&frame, answer, len, &need) == 0) {
		cr_assert(read_exactly(client.fd, answer + len, 1, PATIENCE_MS));
		len++;
		if (len % 1000 == 0)
			sleep_ms(10);
	}
	cr_assert_gt(frame_parse(&frame, answer, len, &need), 0);
	reply = decode_admin_reply(&arena, &frame);
	cr_assert_not_null(reply);
	cr_expect_eq(reply->n_sockets, HELD);
	codec_free(&arena);
	close(client.fd);
	client_close(&holder);
}

/* ---- what goes wrong elsewhere is counted ------------------------------------------------------- */

static void
start_small(void)
{
	gofer_start(&gofer, (const char *const[]){"--max-sessions", "2", "--max-sockets", "3", NULL});
	snprintf(path, sizeof path, "%s%s", gofer.path, LINK_ADMIN_SUFFIX);
	assert_serves(&gofer);
	before = fd_count(gofer.pid);
}

static void
await_count(enum counter_id id, uint64_t wanted, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	uint64_t is;

	while ((is = counted(id)) != wanted && now_ms() < end)
		sleep_ms(20);
	cr_expect_eq(is, wanted, "%s is %llu", counters[id].name, (unsigned long long)is);
}

GOFER_TEST(ctl, refusals_are_counted, start_small)
{
	struct client client, silent = {.fd = raw_connect(&gofer)}, third;
	struct link_hello hello;
	uint64_t refused = counted(COUNTER_LINKS_REFUSED);
	int link, pending;

	client_open(&client, &gofer);
	cr_expect_not(client_try_open(&third, &gofer), "a third session");
	await_count(COUNTER_SESSIONS_REFUSED, 1, PATIENCE_MS);
	cr_expect_eq(counted(COUNTER_SESSIONS), 2);
	for (uint64_t handle = 1; handle <= 3; handle++)
		cr_assert_eq(call_open(&client, handle, SOCK_STREAM, NULL).status, SPLITSOCK__STATUS__STATUS_OK);
	cr_assert_eq(call_open(&client, 4, SOCK_STREAM, NULL).status, SPLITSOCK__STATUS__STATUS_QUOTA);
	cr_expect_eq(counted(COUNTER_QUOTA_REFUSALS), 1);
	cr_expect_eq(counted(COUNTER_SOCKETS), 3);
	/* A link over quota is one more, and refused as a link. */
	link = link_open(&client, false, LINK_SOCKET, 5);
	cr_expect(ends_within(link, PATIENCE_MS));
	close(link);
	cr_expect_eq(counted(COUNTER_QUOTA_REFUSALS), 2);
	await_count(COUNTER_LINKS_REFUSED, refused + 1, PATIENCE_MS);
	/* So is one with a token that nobody has. */
	hello = link_hello_for(&client, LINK_SOCKET, 1);
	hello.token[15] ^= 1;
	link = link_connect(&gofer, true);
	cr_assert(raw_send(link, &hello, sizeof hello));
	cr_expect(ends_within(link, PATIENCE_MS));
	close(link);
	await_count(COUNTER_LINKS_REFUSED, refused + 2, PATIENCE_MS);
	/* Silence takes longer. */
	pending = link_connect(&gofer, true);
	await_count(COUNTER_LINKS_PENDING, 1, PATIENCE_MS);
	await_count(COUNTER_HANDSHAKES_OVERDUE, 1, ADMIN_MS + 3 * TICK_MS);
	await_count(COUNTER_LINKS_OVERDUE, 1, ADMIN_MS + 3 * TICK_MS);
	cr_expect_eq(counted(COUNTER_LINKS_PENDING), 0);
	cr_expect_eq(counted(COUNTER_SESSIONS), 1);
	client_close(&client);
	await_count(COUNTER_SESSIONS, 0, PATIENCE_MS);
	cr_expect_eq(counted(COUNTER_SOCKETS), 0);
	cr_expect_eq(counted(COUNTER_SOCKETS_OPENED), counted(COUNTER_SOCKETS_CLOSED));
	cr_expect_eq(counted(COUNTER_SESSIONS_OPENED), counted(COUNTER_SESSIONS_CLOSED));
	close(pending);
	close(silent.fd);
}

GOFER_TEST(ctl, the_end_of_the_gofer_ends_its_connections, start)
{
	int fds[5];

	for (int i = 0; i < 5; i++) {
		cr_assert_geq(fds[i] = ctl_connect(), 0);
		cr_assert(i % 2 == 0 || send_question(fds[i], 1, STATS, 0, 0));
	}
	gofer_stop(&gofer);
	for (int i = 0; i < 5; i++) {
		cr_expect(ends_within(fds[i], PATIENCE_MS));
		close(fds[i]);
	}
	start();
}
