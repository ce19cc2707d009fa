/*
 * The gofer's sessions, sockets, links and splitsock-ctl's connections: a whole gofer, its event loop included, on a kernel and on streams that
 * are simulated. The input is a list of what happens: clients connect, send frames and bytes, links arrive, host sockets have data and errors,
 * system calls fail, time passes. Afterwards all clients go, and nothing that they held may be left.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/log.h"
#include "gofer/admin.h"
#include "gofer/interfaces.h"
#include "gofer/listener.h"
#include "gofer/mirror.h"
#include "gofer/peer.h"
#include "gofer/session.h"
#include "tests/fuzz/kernel.h"
#include "tests/fuzz/streams.h"

static struct gofer gofer;
static struct input input;
static struct listener *listener;
static unsigned kept;
static int link_fds[2], ctl_fd; /* where links and splitsock-ctl connect */
static uint64_t tokens;

/* ---- what else is not simulated ------------------------------------------------------------------ */

ssize_t __wrap_getrandom(void *data, size_t len, unsigned flags);
ssize_t
__wrap_getrandom(void *data, size_t len, unsigned flags)
{
	(void)flags;
	memset(data, 0, len);
	tokens++;
	memcpy(data, &tokens, len < sizeof tokens ? len : sizeof tokens);
	return (ssize_t)len;
}

void __wrap_log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));
void
__wrap_log_line(int priority, const char *format, ...)
{
	static char line[1024];
	va_list args;

	(void)priority;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
}

/* A mirror is a network namespace: not here. */
int __wrap_mirror_open_socket(struct session *session, int type, int protocol);
int
__wrap_mirror_open_socket(struct session *session, int type, int protocol)
{
	(void)session;
	(void)type;
	return protocol & 1 ? -EMFILE : -EPERM;
}

/* The kernel that is asked who connected is the simulated one, and knows no more than NNG's streams. */
int __wrap_peer_identify(struct identity *identity, int fd);
int
__wrap_peer_identify(struct identity *identity, int fd)
{
	(void)fd;
	*identity = IDENTITY_UNKNOWN;
	return -EOPNOTSUPP;
}

int __wrap_interfaces_start(struct gofer *of);
int
__wrap_interfaces_start(struct gofer *of)
{
	(void)of;
	return 0;
}

/* ---- what happens -------------------------------------------------------------------------------- */

static void
client_connects(void)
{
	stream_connects(input_byte(&input) % 4);
}

/* A frame whose header is right, as far as length and reserved bytes go. */
static size_t
frame_in(uint8_t *frame)
{
	uint8_t kind = input_byte(&input), id = input_byte(&input);
	size_t len = input_byte(&input);

	if (len == 255)
		len = input_u32(&input) % 2048;
	if (len > input.len)
		len = input.len;
	frame_header_write(frame, kind % 8, id, len);
	if (len)
		memcpy(frame + FRAME_HEADER_SIZE, input_take(&input, len), len);
	return FRAME_HEADER_SIZE + len;
}

static void
client_sends_frame(void)
{
	nng_stream *stream = stream_nth(input_byte(&input));
	uint8_t frame[FRAME_HEADER_SIZE + 2048];
	size_t len = frame_in(frame);

	if (stream)
		stream_arrives(stream, frame, len);
}

static void
client_sends_bytes(void)
{
	nng_stream *stream = stream_nth(input_byte(&input));
	size_t len = input_byte(&input);

	if (len > input.len)
		len = input.len;
	if (stream)
		stream_arrives(stream, input_take(&input, len), len);
}

static void
client_goes(void)
{
	nng_stream *stream = stream_nth(input_byte(&input));

	if (stream)
		stream_hangs_up(stream);
}

static void
client_reads(void)
{
	nng_stream *stream = stream_nth(input_byte(&input));
	uint8_t how = input_byte(&input);

	if (stream)
		stream_stalls(stream, how & 1, how >> 1);
}

static struct session *
nth_session(unsigned n)
{
	struct session *session = NULL;
	uint64_t key = 0;

	n = gofer.sessions.count ? n % gofer.sessions.count : 0;
	do {
		session = table_after(&gofer.sessions, key);
		if (session)
			key = session->id;
	} while (session && n--);
	return session;
}

static void
link_connects(void)
{
	uint8_t how = input_byte(&input);
	struct session *session = nth_session(input_byte(&input));
	int fd = kernel_connects(link_fds[how & 1]);
	struct link_hello hello = {.handle = input_byte(&input), .kind = how & 2 ? LINK_CHANNEL : LINK_SOCKET};

	if (hello.kind == LINK_CHANNEL)
		hello.handle = 0;
	hello.plug = how & 4 ? input_byte(&input) : 0;
	hello.handle |= (uint64_t)(how >> 7) << 63;
	if (session)
		memcpy(hello.token, session->token, sizeof hello.token);
	hello.token[how & 8 ? 15 : 0] ^= how & 16; /* a wrong one */
	if (fd >= 0 && !(how & 32))
		kernel_arrives(fd, (const uint8_t *)&hello, how & 64 ? sizeof hello - 1 : sizeof hello);
}

static void
ctl_connects(void)
{
	uint8_t frame[FRAME_HEADER_SIZE + 2048];
	int fd = kernel_connects(ctl_fd);
	size_t len = frame_in(frame);

	if (fd >= 0)
		kernel_arrives(fd, frame, len);
}

static void
bytes_arrive(void)
{
	int fd = kernel_socket(input_byte(&input));
	size_t len = input_byte(&input);

	if (len > input.len)
		len = input.len;
	if (fd >= 0)
		kernel_arrives(fd, input_take(&input, len), len);
}

static void
frame_arrives(void)
{
	int fd = kernel_socket(input_byte(&input));
	uint8_t frame[FRAME_HEADER_SIZE + 2048];
	size_t len = frame_in(frame);

	if (fd >= 0)
		kernel_arrives(fd, frame, len);
}

static void
much_arrives(void)
{
	static const uint8_t much[4096];
	int fd = kernel_socket(input_byte(&input));

	for (int i = 0; fd >= 0 && i < 8; i++)
		kernel_arrives(fd, much, sizeof much);
}

static void
peer_connects(void)
{
	int fd = kernel_socket(input_byte(&input));

	if (fd >= 0)
		kernel_connects(fd);
}

static void
peer_goes(void)
{
	int fd = kernel_socket(input_byte(&input));

	if (fd >= 0)
		kernel_hangs_up(fd);
}

static void
peer_reads(void)
{
	int fd = kernel_socket(input_byte(&input));

	if (fd >= 0)
		kernel_fills(fd, input_byte(&input) & 1);
}

static void
socket_fails(void)
{
	int fd = kernel_socket(input_byte(&input));
	uint8_t error = input_byte(&input);

	if (fd >= 0)
		kernel_fails(fd, error & 1 ? ECONNREFUSED : ECONNRESET);
}

static void
calls_answer(void)
{
	size_t count = input_byte(&input) % 32;

	if (count > input.len)
		count = input.len;
	kernel_answers(input_take(&input, count), count);
}

static void
time_passes(void)
{
	kernel_sleep(input_byte(&input) * 100);
}

static void
accept_fails(void)
{
	stream_accept_fails(NNG_ENOFILES);
}

static void (*const happenings[])(void) = {
	client_connects, client_sends_frame, client_sends_bytes, client_goes, client_reads, link_connects, ctl_connects, bytes_arrive,
	frame_arrives, much_arrives, peer_connects, peer_goes, peer_reads, socket_fails, calls_answer, time_passes, accept_fails,
};
#define HAPPENINGS (sizeof happenings / sizeof *happenings)

/* The upper bit of a happening's number: the next one happens before the gofer looks. */
int
kernel_wait(struct epoll_event *events, int max)
{
	uint8_t what;

	if (!input.len) {
		gofer.loop.stop = true;
		return 0;
	}
	do {
		what = input_byte(&input);
		happenings[(what & 127) % HAPPENINGS]();
	} while (what & 128 && input.len);
	streams_step();
	return kernel_ready(events, max, what);
}

/* ---- the gofer ----------------------------------------------------------------------------------- */

/* As main.c has it. */
static void
tick(void *arg)
{
	(void)arg;
	sessions_tick(&gofer);
	audit_tick(&gofer);
	listener_tick(listener);
}

static char name_open[] = "open", name_some[] = "some", name_packet[] = "packet";
static uint64_t uids[] = {0, 1, 2};
static uint16_t icmp[] = {1};
static struct packet_grant any_interface = {.interface = "*", .receive = true, .ethertypes.any = true};
static struct policy_entry entries[] = {
	{.name = name_open, .uids = uids, .uid_count = 1, .sockets = true,
	 .raw = {.granted = true, .protocols.any = true, .header = true, .any_source_ip = true},
	 .packet = &any_interface, .packet_count = 1, .packet_sockets = 4},
	{.name = name_some, .uids = uids + 1, .uid_count = 1, .sockets = true,
	 .raw = {.granted = true, .protocols = {.numbers = icmp, .count = 1}, .header = true}},
	{.name = name_packet, .uids = uids + 2, .uid_count = 1, .packet = &any_interface, .packet_count = 1, .packet_sockets = 4},
};

static struct policy policy = {.references = 1, .entries = entries, .entry_count = 3};

/* The gofer lives as long as the fuzzer: making one for each input would be most of the work. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char directory[] = "/tmp/splitsock-fuzz.XXXXXX", url[64], lock[64];
	const int first = KERNEL_FD_FIRST;

	(void)argc;
	(void)argv;
	gofer = (struct gofer){
		.limits = {.sockets = 6, .calls = 2, .sessions = 4, .descriptors = 64},
		.scratch = malloc(SCRATCH_SIZE),
		.policy = &policy,
		.policy_name = "fuzz",
	};
	FUZZ_CHECK(loop_init(&gofer.loop) == 0);
	closer_init(&gofer.closer);
	FUZZ_CHECK(mkdtemp(directory));
	snprintf(url, sizeof url, "ipc://%s/g", directory);
	snprintf(lock, sizeof lock, "%s/g.lock", directory);
	listener = listener_new(&gofer, url, 0600);
	FUZZ_CHECK(listener);
	unlink(lock);
	rmdir(directory);
	/* The loop's two come first; then the listener's, in the order in which it opens them. */
	link_fds[0] = first + 2;
	link_fds[1] = first + 3;
	ctl_fd = first + 4;
	kept = kernel_open_count();
	FUZZ_CHECK(kept == 5);
	kernel_keep();
	return 0;
}

/* All that an input can bring has been handled by then. */
#define ROUNDS_MAX 1000

/* Until nothing is ready any more. */
static void
run_ready(void)
{
	for (int round = 0;; round++) {
		struct epoll_event *events = gofer.loop.batch;
		bool moved = streams_step();

		FUZZ_CHECK(round < ROUNDS_MAX); /* a loop that spins serves nobody */
		gofer.loop.batch_len = kernel_ready(events, LOOP_BATCH, 0);
		for (int i = 0; i < gofer.loop.batch_len; i++) {
			struct watch *watch = events[i].data.ptr;

			if (watch)
				watch->ready(watch, events[i].events);
		}
		if (!moved && !gofer.loop.batch_len)
			break;
	}
	gofer.loop.batch_len = 0;
}

static void
all_go(void)
{
	kernel_answers(NULL, 0);
	run_ready();
	for (unsigned i = 0; i < STREAMS_MAX; i++) {
		nng_stream *stream = stream_nth(i);

		if (stream)
			stream_hangs_up(stream);
	}
	for (int i = 0; i < 3; i++) {
		run_ready();
		kernel_sleep(HANDSHAKE_MS + TICK_MS);
		tick(NULL);
	}
	run_ready();
	relay_free_idle_pipes(&gofer);
	FUZZ_CHECK(gofer.sessions.count == 0);
	FUZZ_CHECK(gofer.socks == 0);
	FUZZ_CHECK(gofer.pending_links == 0);
	FUZZ_CHECK(gofer.admin_connections == 0);
	FUZZ_CHECK(gofer.pipes == 0);
	FUZZ_CHECK(kernel_open_count() == kept);
	FUZZ_CHECK(!stream_nth(0));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	input = (struct input){data, len};
	tokens = 0;
	gofer.loop.stop = false;
	gofer.audit = (struct audit){0};
	loop_run(&gofer.loop, TICK_MS, tick, NULL);
	all_go();
	return 0;
}
