#include "tests/faults/question.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/codec.h"
#include "proto/link.h"

static bool
send_question(int fd, enum question question)
{
	Splitsock__AdminRequest request = SPLITSOCK__ADMIN_REQUEST__INIT;
	Splitsock__AdminNothing nothing = SPLITSOCK__ADMIN_NOTHING__INIT;
	Splitsock__AdminCursor cursor = SPLITSOCK__ADMIN_CURSOR__INIT;
	size_t len;
	uint8_t *packet;
	bool sent;

	request.version = 1;
	switch (question) {
	case QUESTION_STATUS:
		request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_STATUS;
		request.status = &nothing;
		break;
	case QUESTION_SESSIONS:
		request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_SESSIONS;
		request.sessions = &cursor;
		break;
	case QUESTION_SOCKETS:
		request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_SOCKETS;
		request.sockets = &cursor;
		break;
	default:
		request.ask_case = SPLITSOCK__ADMIN_REQUEST__ASK_STATS;
		request.stats = &nothing;
		break;
	}
	packet = encode_frame(FRAME_REQUEST, 1, &request.base, &len);
	sent = packet && send(fd, packet, len, MSG_NOSIGNAL) == (ssize_t)len;
	free(packet);
	return sent;
}

int
ask_gofer(const char *gofer_path, enum question question)
{
	static uint8_t inbox[FRAME_HEADER_SIZE + FRAME_BODY_MAX];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), answer = -1;
	struct pollfd in = {.fd = fd, .events = POLLIN};
	struct codec_arena arena = {0};
	size_t len = 0, need;
	struct frame frame;

	snprintf(address.sun_path, sizeof address.sun_path, "%s%s", gofer_path, LINK_ADMIN_SUFFIX);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && send_question(fd, question)) {
		for (;;) {
			ssize_t n;

			if (frame_parse(&frame, inbox, len, &need) > 0) {
				const Splitsock__AdminReply *reply = decode_admin_reply(&arena, &frame);

				answer = !reply ? -1 : question == QUESTION_SESSIONS ? (int)reply->n_sessions : (int)reply->n_sockets;
				break;
			}
			if (poll(&in, 1, 4000) <= 0) {
				answer = -2;
				break;
			}
			n = recv(fd, inbox + len, sizeof inbox - len, 0);
			if (n <= 0)
				break;
			len += (size_t)n;
		}
	}
	codec_free(&arena);
	close(fd);
	return answer;
}
