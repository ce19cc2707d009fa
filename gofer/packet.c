#include "gofer/packet.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gofer/audit.h"
#include "gofer/interfaces.h"
#include "gofer/mirror.h"

bool
packet_wanted(const Splitsock__Request *request)
{
	for (size_t i = 0; i < request->n_ops; i++)
		if (request->ops[i]->op_case == SPLITSOCK__OP__OP_PACKET_OPEN || request->ops[i]->op_case == SPLITSOCK__OP__OP_PACKET_SYNC)
			return true;
	return false;
}

struct answer {
	Splitsock__Reply reply;
	Splitsock__Result result, *results;
};

static void
answer_init(struct answer *answer, const struct call *call, Splitsock__Status status, int error)
{
	splitsock__reply__init(&answer->reply);
	splitsock__result__init(&answer->result);
	answer->results = &answer->result;
	answer->result.status = status;
	answer->result.error = status == SPLITSOCK__STATUS__STATUS_HOST_ERRNO ? wire_errno(error) : 0;
	answer->reply.results = &answer->results;
	answer->reply.n_results = 1;
	count_answer(call->session, status);
}

/* On the side channel, with the descriptor if there is one. */
static void
answer_open(const struct call *call, Splitsock__Status status, int error, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct answer answer;
	struct iovec iov;
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	answer_init(&answer, call, status, error);
	if (fd >= 0)
		answer.result.count = mirror_drops(call->session->mirror, 0);
	iov.iov_base = encode_frame(FRAME_REPLY, call->id, &answer.reply.base, &iov.iov_len);
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
	}
	if (iov.iov_base && sendmsg(call->session->channel.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
		count_session(call->session, COUNTER_FRAMES_OUT_CHANNEL, 1);
	} else {
		count_session(call->session, COUNTER_REPLIES_DROPPED, 1);
		session_end(call->session); /* its caller would wait for ever */
	}
	free(iov.iov_base);
}

static void
handle_packet_open(const struct call *call, const Splitsock__PacketOpen *open)
{
	struct session *session = call->session;
	/* The type of old gives what SOCK_RAW does. */
	int asked = host_socket_type(open->type), type = asked == SOCK_PACKET ? SOCK_RAW : asked, fd;

	if ((type != SOCK_RAW && type != SOCK_DGRAM) || open->protocol > UINT16_MAX) {
		answer_open(call, SPLITSOCK__STATUS__STATUS_BAD_REQUEST, 0, -1);
		return;
	}
	if (!policy_allows_socket(session->entry, AF_PACKET, type, (int)open->protocol)) {
		audit_socket(session, AF_PACKET, type, (int)open->protocol, false);
		answer_open(call, SPLITSOCK__STATUS__STATUS_DENIED, 0, -1);
		return;
	}
	/* Its own rights decide first, and say so: an ordinary user's gofer has none. */
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		int error = errno;

		if (error == EPERM)
			audit_socket(session, AF_PACKET, type, (int)open->protocol, true);
		answer_open(call, SPLITSOCK__STATUS__STATUS_HOST_ERRNO, error, -1);
		return;
	}
	close(fd);
	fd = mirror_open_socket(session, asked, (int)open->protocol);
	if (fd >= 0)
		audit_packet(session, type, (int)open->protocol);
	if (fd < 0)
		answer_open(call, fd == -EMFILE ? SPLITSOCK__STATUS__STATUS_QUOTA : SPLITSOCK__STATUS__STATUS_HOST_ERRNO, -fd, -1);
	else
		answer_open(call, SPLITSOCK__STATUS__STATUS_OK, 0, fd);
	if (fd >= 0)
		close(fd);
}

static void
handle_packet_sync(const struct call *call, const Splitsock__PacketSync *sync)
{
	struct session *session = call->session;
	Splitsock__Status status = SPLITSOCK__STATUS__STATUS_OK;
	const struct host_interface *interface;
	struct answer answer;

	if (!session->mirror) {
		status = SPLITSOCK__STATUS__STATUS_BAD_REQUEST;
	} else if (sync->interface) {
		interface = interface_by_index(&session->gofer->interfaces, (int)sync->interface);
		status = interface && !policy_packet(session->entry, interface->name, interface->flags & IFF_LOOPBACK)
		                 ? SPLITSOCK__STATUS__STATUS_DENIED : SPLITSOCK__STATUS__STATUS_HOST_ERRNO;
		if (status == SPLITSOCK__STATUS__STATUS_DENIED)
			audit_denied(session, "packet", interface->name, "no packet grant for that interface");
	} else {
		mirror_sync(session->mirror);
		if (session->mirror->promiscuity_refused) {
			status = SPLITSOCK__STATUS__STATUS_DENIED;
			audit_denied(session, "packet", "promiscuous mode", "promiscuous is not granted on that interface");
		}
	}
	answer_init(&answer, call, status, ENODEV);
	if (session->mirror)
		answer.result.count = mirror_drops(session->mirror, (int)sync->drops_of);
	session_send(session, FRAME_REPLY, call->id, &answer.reply.base);
}

bool
packet_run(const struct call *call, const Splitsock__Request *request)
{
	const Splitsock__Op *op = request->ops[0];
	bool is_open = op->op_case == SPLITSOCK__OP__OP_PACKET_OPEN;

	if (request->n_ops != 1 || request->handle || request->no_reply || call->on_channel != is_open)
		return false;
	count_operation(call->session, op->op_case);
	if (is_open)
		handle_packet_open(call, op->packet_open);
	else
		handle_packet_sync(call, op->packet_sync);
	return true;
}
