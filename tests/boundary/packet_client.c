#include "tests/boundary/packet_client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* As on a card without offloads: a checksum is filled in before the frame is on the wire, wherever its sender has said. */
static void
without_checksum_offload(const char *name)
{
	struct ethtool_value off = {.cmd = ETHTOOL_STXCSUM};
	struct ifreq ifreq = {.ifr_data = (char *)&off};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(ifreq.ifr_name, name);
	cr_assert_eq(ioctl(fd, SIOCETHTOOL, &ifreq), 0, "%s", strerror(errno));
	close(fd);
}

void
packet_host_make(void)
{
	static const char *const commands[] = {
		"sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
		"ip link add gr0 address 02:00:00:00:00:01 type veth peer name gr1 address 02:00:00:00:00:02",
		"ip link add no0 type veth peer name no1",
		"ip addr add 10.78.0.1/24 dev gr0",
		"for i in gr0 gr1 no0 no1; do ip link set $i arp off up; done",
		"ip link set lo up",
	};

	cr_assert_eq(unshare(CLONE_NEWNET), 0, "network namespaces need root: %s", strerror(errno));
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		cr_assert_eq(system(commands[i]), 0, "%s", commands[i]);
	without_checksum_offload("gr0");
}

static void
policy_path(const struct gofer *gofer, char path[128])
{
	snprintf(path, 128, "%s/policy.yaml", gofer->directory);
}

void
packet_policy_write(const struct gofer *gofer, const char *policy)
{
	char path[128];
	FILE *file;

	policy_path(gofer, path);
	file = fopen(path, "we");
	cr_assert_not_null(file);
	fputs(policy, file);
	fclose(file);
}

void
packet_gofer_start(struct gofer *gofer, const char *policy)
{
	char path[128];

	gofer_prepare(gofer);
	packet_policy_write(gofer, policy);
	policy_path(gofer, path);
	gofer_launch(gofer, (const char *const[]){"--policy", path, "--socket-mode", "0666", NULL});
}

/* ---- what the client says ----------------------------------------------------------------------- */

void
packet_client_open(struct packet_client *packet, const struct gofer *gofer)
{
	client_open(&packet->client, gofer);
	packet->channel = link_open(&packet->client, false, LINK_CHANNEL, 0);
}

void
packet_client_close(struct packet_client *packet)
{
	client_close(&packet->client);
	close(packet->channel);
}

/* One session's request, on the side channel. Returns the reply's status, and the descriptor that came with it or -1. */
static int
ask_on_channel(struct packet_client *packet, Splitsock__Op *op, int *fd)
{
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	uint8_t reply[512];
	struct iovec iov = {reply, sizeof reply};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	struct pollfd in = {.fd = packet->channel, .events = POLLIN};
	struct codec_arena arena = {0};
	Splitsock__Reply *decoded;
	struct frame frame;
	size_t len, need;
	uint8_t *wire;
	ssize_t got;
	int status = -1;

	request.ops = &op;
	request.n_ops = 1;
	wire = encode_frame(FRAME_REQUEST, ++packet->client.next_call, &request.base, &len);
	*fd = -1;
	got = send(packet->channel, wire, len, MSG_NOSIGNAL);
	free(wire);
	if (got < 0 || poll(&in, 1, PATIENCE_MS) != 1 || (got = recvmsg(packet->channel, &message, MSG_CMSG_CLOEXEC)) <= 0)
		return -1;
	if (CMSG_FIRSTHDR(&message))
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof *fd);
	if (frame_parse(&frame, reply, (size_t)got, &need) == got && (decoded = decode_reply(&arena, &frame)) && decoded->n_results)
		status = (int)decoded->results[0]->status;
	codec_free(&arena);
	return status;
}

int
ask_open(struct packet_client *packet, uint32_t type, uint32_t protocol, int *fd)
{
	Splitsock__PacketOpen open = SPLITSOCK__PACKET_OPEN__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT;

	open.type = type;
	open.protocol = protocol;
	op.op_case = SPLITSOCK__OP__OP_PACKET_OPEN;
	op.packet_open = &open;
	return ask_on_channel(packet, &op, fd);
}

int
ask_sync(struct packet_client *packet, uint32_t interface)
{
	Splitsock__PacketSync sync = SPLITSOCK__PACKET_SYNC__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT, *ops = &op;
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	uint32_t id = ++packet->client.next_call;

	sync.interface = interface;
	op.op_case = SPLITSOCK__OP__OP_PACKET_SYNC;
	op.packet_sync = &sync;
	request.ops = &ops;
	request.n_ops = 1;
	if (!send_message(packet->client.fd, FRAME_REQUEST, id, &request.base))
		return -1;
	return wait_reply(&packet->client, id, PATIENCE_MS).status;
}

int
open_packet_socket(struct packet_client *packet)
{
	int fd, status = ask_open(packet, wire_socket_type(SOCK_RAW), ETH_P_ALL, &fd);

	if (status != SPLITSOCK__STATUS__STATUS_OK || fd < 0) {
		fprintf(stderr, "a packet socket: status %d\n", status);
		_exit(10);
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

pid_t
as_nobody(int (*run)(void))
{
	pid_t child = fork();

	if (child)
		return child;
	/* Out of the host's network, too: what it can reach, it reaches through what it was given. */
	if (unshare(CLONE_NEWNET) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(11);
	_exit(run());
}
