#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "gofer/ctl/ctl.h"

#define INBOX_SIZE (FRAME_HEADER_SIZE + FRAME_BODY_MAX)

static void
explain_connect(const char *path, int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		log_error("no gofer answers at %s (%s): start splitsock-gofer, or name it with --gofer", path, strerror(error));
		return;
	case EACCES:
	case EPERM:
		log_error("%s: %s: only the gofer's own user and root may ask it", path, strerror(error));
		return;
	default:
		log_error("cannot connect to %s: %s", path, strerror(error));
		return;
	}
}

bool
ctl_open(struct ctl *ctl, const char *url)
{
	static const char scheme[] = "ipc://";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = CTL_PATIENCE_MS / 1000};

	*ctl = (struct ctl){.fd = -1};
	if (strncmp(url, scheme, sizeof scheme - 1) != 0 || url[sizeof scheme - 1] != '/') {
		log_error("'%s' is no gofer's URL: ipc:///absolute/path is one", url);
		return false;
	}
	if ((size_t)snprintf(ctl->path, sizeof ctl->path, "%s%s", url + sizeof scheme - 1, LINK_ADMIN_SUFFIX) >=
	    sizeof address.sun_path) {
		log_error("'%s' is too long for a socket's path", url);
		return false;
	}
	strcpy(address.sun_path, ctl->path);
	ctl->inbox = malloc(INBOX_SIZE);
	ctl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!ctl->inbox || ctl->fd < 0) {
		log_error("cannot make a socket: %s", strerror(errno));
		return false;
	}
	setsockopt(ctl->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(ctl->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(ctl->fd, (struct sockaddr *)&address, sizeof address) < 0) {
		explain_connect(ctl->path, errno);
		return false;
	}
	return true;
}

void
ctl_close(struct ctl *ctl)
{
	if (ctl->fd >= 0)
		close(ctl->fd);
	codec_free(&ctl->arena);
	free(ctl->inbox);
}

/* Receives a whole frame. False after saying why there is none. */
static bool
receive_frame(struct ctl *ctl, struct frame *frame)
{
	size_t len = 0, need = FRAME_HEADER_SIZE;

	for (;;) {
		ssize_t size = frame_parse(frame, ctl->inbox, len, &need), n;

		if (size > 0)
			return true;
		if (size < 0) {
			log_error("what answers at %s is no gofer of this version: its answer is no frame", ctl->path);
			return false;
		}
		n = recv(ctl->fd, ctl->inbox + len, need - len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			log_error("the gofer at %s did not answer within %d s: is it stopped?", ctl->path, CTL_PATIENCE_MS / 1000);
		else if (n < 0)
			log_error("the gofer at %s was lost: %s", ctl->path, strerror(errno));
		else if (n == 0)
			log_error("the gofer at %s hung up: only its own user and root may ask it, and only %s", ctl->path,
			          "some at once; its log says more");
		if (n <= 0)
			return false;
		len += (size_t)n;
	}
}

const Splitsock__AdminReply *
ctl_ask(struct ctl *ctl, Splitsock__AdminRequest *request)
{
	const Splitsock__AdminReply *reply;
	struct frame frame;
	uint8_t *packet;
	size_t len = 0;
	ssize_t sent;

	request->version = 1;
	packet = encode_frame(FRAME_REQUEST, ++ctl->next_id, &request->base, &len);
	sent = packet ? send(ctl->fd, packet, len, MSG_NOSIGNAL) : -1;
	free(packet);
	/* A gofer that has hung up says why best by its end, which receiving tells. */
	if (sent != (ssize_t)len && errno != EPIPE && errno != ECONNRESET) {
		log_error("cannot ask the gofer at %s: %s", ctl->path, strerror(errno));
		return NULL;
	}
	if (!receive_frame(ctl, &frame))
		return NULL;
	reply = frame.kind == FRAME_REPLY && frame.id == ctl->next_id ? decode_admin_reply(&ctl->arena, &frame) : NULL;
	/* A list may be empty; these are there or the answer is none. */
	if (reply && reply->status == SPLITSOCK__STATUS__STATUS_OK &&
	    ((request->ask_case == SPLITSOCK__ADMIN_REQUEST__ASK_STATUS && !reply->gofer) ||
	     (request->ask_case == SPLITSOCK__ADMIN_REQUEST__ASK_STATS && !reply->counters) ||
	     ((request->ask_case == SPLITSOCK__ADMIN_REQUEST__ASK_RELOAD || request->ask_case == SPLITSOCK__ADMIN_REQUEST__ASK_EXPLAIN) &&
	      !reply->text)))
		reply = NULL;
	if (!reply || reply->status != SPLITSOCK__STATUS__STATUS_OK) {
		log_error("the gofer at %s %s: is it of another version than splitsock-ctl " SPLITSOCK_VERSION "?", ctl->path,
		          reply ? "does not know this question" : "answers something else");
		return NULL;
	}
	return reply;
}
