/*
 * frames_per_second and bytes_per_second are a user's, however many sessions he opens, at once or one after the other.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/boundary/packet_client.h"

TestSuite(packet_rate, .timeout = 60);

enum { TYPE = 0x88b5, RATE = 100, FRAME = 100, SESSIONS = 4, SECONDS = 3 };

#define POLICY(limit)                                                                                                                  \
	"version: 1\n"                                                                                                                 \
	"foreign_rings: unlimited\n"                                                                                                   \
	"clients:\n"                                                                                                                   \
	"  - name: slow\n"                                                                                                             \
	"    users: [65534]\n"                                                                                                         \
	"    packet:\n"                                                                                                                \
	"      - {interface: gr0, receive: true, send: true, ethertypes: any, " limit "}\n"

static struct gofer gofer;
/* The client is not in the host's network, where the number is from. */
static int gr0;

static void
start_frames(void)
{
	packet_host_make();
	packet_gofer_start(&gofer, POLICY("frames_per_second: 100"));
}

static void
start_bytes(void)
{
	packet_host_make();
	packet_gofer_start(&gofer, POLICY("bytes_per_second: 10000")); /* RATE of FRAME bytes each */
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

static void
put(int fd, int interface, uint8_t from)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = interface};
	uint8_t frame[FRAME] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, from, TYPE >> 8, TYPE & 255};

	sendto(fd, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
}

static int
send_from_all_at_once(void)
{
	struct packet_client packets[SESSIONS];
	int fds[SESSIONS];

	for (int i = 0; i < SESSIONS; i++) {
		packet_client_open(&packets[i], &gofer);
		fds[i] = open_packet_socket(&packets[i]);
	}
	for (int64_t end = now_ms() + SECONDS * 1000; now_ms() < end; sleep_ms(2))
		for (int i = 0; i < SESSIONS; i++)
			put(fds[i], gr0, 1);
	return 0;
}

static int
send_from_one_after_the_other(void)
{
	struct packet_client packet;

	for (int64_t end = now_ms() + SECONDS * 1000; now_ms() < end;) {
		packet_client_open(&packet, &gofer);
		int fd = open_packet_socket(&packet);

		for (int i = 0; i < 2 * RATE; i++)
			put(fd, gr0, 1);
		/* Its mirror passes them on; with a socket that is still held it is not the next session's. */
		sleep_ms(150);
		packet_client_close(&packet);
	}
	return 0;
}

static int
receive_in_all_at_once(void)
{
	struct packet_client packets[SESSIONS];
	int fds[SESSIONS], received = 0;
	uint8_t frame[2048];

	for (int i = 0; i < SESSIONS; i++) {
		packet_client_open(&packets[i], &gofer);
		fds[i] = open_packet_socket(&packets[i]);
	}
	for (int64_t end = now_ms() + SECONDS * 1000; now_ms() < end; sleep_ms(2))
		for (int i = 0; i < SESSIONS; i++)
			while (recv(fds[i], frame, sizeof frame, 0) > 0)
				received += frame[12] == TYPE >> 8 && frame[13] == (TYPE & 255);
	/* a bucket that was full, and what runs in */
	return received > RATE * (SECONDS + 1) + RATE / 2 ? 1 : received < RATE * SECONDS / 2 ? 2 : 0;
}

static int
watch_gr1(void)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(TYPE), .sll_ifindex = (int)if_nametoindex("gr1")};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

/* While the client runs. Returns how long that took, in milliseconds. */
static int64_t
count_until_it_ends(int fd, pid_t child, int *seen)
{
	int64_t begin = now_ms();
	uint8_t frame[2048];
	int status = -1;
	bool ended = false;

	*seen = 0;
	while (!ended && now_ms() < begin + 30000) {
		ended = waitpid(child, &status, WNOHANG) == child;
		sleep_ms(5);
		while (recv(fd, frame, sizeof frame, 0) > 0)
			++*seen;
	}
	cr_assert(ended && status == 0, "%#x", status);
	return now_ms() - begin;
}

static void
sends_no_more(int (*client)(void))
{
	int fd = watch_gr1(), seen;
	int64_t took;

	gr0 = (int)if_nametoindex("gr0");
	took = count_until_it_ends(fd, as_nobody(client), &seen);
	cr_expect_leq(seen, RATE + RATE * took / 1000 + RATE / 10, "%d frames in %lld ms", seen, (long long)took);
	cr_expect_geq(seen, RATE * SECONDS / 2, "only %d frames: the test proves nothing", seen);
	close(fd);
}

GOFER_TEST(packet_rate, is_for_all_sessions_that_send, start_frames)
{
	sends_no_more(send_from_all_at_once);
}

GOFER_TEST(packet_rate, of_bytes_is_for_all_sessions_that_send, start_bytes)
{
	sends_no_more(send_from_all_at_once);
}

GOFER_TEST(packet_rate, does_not_begin_again_with_a_session, start_frames)
{
	sends_no_more(send_from_one_after_the_other);
}

GOFER_TEST(packet_rate, is_for_all_sessions_that_receive, start_frames)
{
	int fd = watch_gr1(), interface = (int)if_nametoindex("gr1"), status;
	pid_t child = as_nobody(receive_in_all_at_once);

	while (waitpid(child, &status, WNOHANG) == 0) {
		put(fd, interface, 2);
		sleep_ms(2);
	}
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%#x", status);
	close(fd);
}
