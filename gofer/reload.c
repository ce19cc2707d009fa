#include "gofer/reload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "gofer/mirror.h"
#include "gofer/permission.h"
#include "gofer/policy_review.h"
#include "gofer/ring_limit.h"

/* Lines about one policy; who wants them all has splitsock-ctl policy check. */
#define REVIEW_LINES_MAX 20u

static void
log_remark(void *arg, const char *line)
{
	unsigned *lines = arg;

	if (++*lines <= REVIEW_LINES_MAX)
		log_warning("%s", line);
	else if (*lines == REVIEW_LINES_MAX + 1)
		log_warning("there is more of that: splitsock-ctl policy check says it all");
}

struct policy *
policy_new(const char *name, char *message, size_t message_size)
{
	struct policy *policy = calloc(1, sizeof *policy);
	unsigned lines = 0;

	snprintf(message, message_size, "no memory");
	if (!policy || (strcmp(name, "open") == 0 ? policy_open(policy) : policy_load(policy, name, message, message_size)) < 0) {
		free(policy);
		return NULL;
	}
	policy_review(policy, name, POLICY_REVIEW_QUICK, log_remark, &lines);
	return policy_take(policy);
}

/* ---- sessions ----------------------------------------------------------------------------------- */

struct losses {
	uint64_t *handles;
	size_t count;
};

static bool
may_stay(struct sock *sock)
{
	const struct policy_entry *entry = sock->session->entry;
	struct sockaddr_storage local = {0};
	socklen_t len = sizeof local;

	if (sock->host.fd < 0)
		return true;
	if (sock->interfaces_only)
		return policy_allows_interfaces(entry);
	if (!policy_allows_socket(entry, sock->family, sock->type, sock->protocol))
		return false;
	return sock->state != SOCK_LISTENING ||
	       (getsockname(sock->host.fd, (struct sockaddr *)&local, &len) == 0 && permission_ask(sock, POLICY_LISTEN, &local).allowed);
}

static void
find_lost(void *entry, void *arg)
{
	struct sock *sock = entry;
	struct losses *losses = arg;

	if (!may_stay(sock))
		losses->handles[losses->count++] = sock->handle;
}

static void
lose(struct sock *sock)
{
	if (sock->state == SOCK_CONNECTED) {
		/* Both ends see a reset. */
		setsockopt(sock->host.fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
		if (sock_host_gone(sock, ECONNABORTED))
			sock_update(sock);
		return;
	}
	sock->error = ECONNABORTED;
	sock_free(sock);
}

static void
follow(void *entry, void *arg)
{
	struct session *session = entry;
	struct policy *policy = arg, *before = session->policy;
	struct losses losses = {.handles = calloc(session->socks.count + 1, sizeof *losses.handles)};

	session->policy = policy_take(policy);
	session_settle(session);
	/* Without memory to find out which, none stays. */
	if (losses.handles)
		table_visit(&session->socks, find_lost, &losses);
	for (size_t i = 0; i < losses.count; i++) {
		struct sock *sock = table_find(&session->socks, losses.handles[i]);

		if (sock)
			lose(sock);
	}
	for (struct sock *sock; !losses.handles && (sock = table_any(&session->socks));)
		sock_free(sock);
	free(losses.handles);
	policy_drop(before);
}

int
gofer_reload(struct gofer *gofer, char *message, size_t message_size)
{
	struct policy *policy = policy_new(gofer->policy_name, message, message_size), *before = gofer->policy;

	if (!policy) {
		log_error("the policy stays as it was: %s", message);
		return -EINVAL;
	}
	gofer->policy = policy;
	table_visit(&gofer->sessions, follow, policy);
	mirrors_follow_policy(gofer);
	if (policy->ring_bytes != before->ring_bytes)
		ring_limit_renew(gofer);
	policy_drop(before);
	log_info("policy %s: read again, %zu clients", gofer->policy_name, policy->entry_count);
	return 0;
}
