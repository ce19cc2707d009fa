/*
 * The message is JSON on a stream socket, in one piece or several, with the descriptors that its "fds" names in front of the first byte. crun
 * keeps the connection open as long as the container's first process has not been started, so there is no time limit on it.
 */
#include "sentry_side/agent/container.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"

#define FDS_MAX 8

/* ---- the message -------------------------------------------------------------------------------- */

struct message {
	char *text;
	size_t len;
	int fds[FDS_MAX];
	size_t fd_count;
};

static void
take_control(struct message *message, struct msghdr *header)
{
	for (struct cmsghdr *at = CMSG_FIRSTHDR(header); at; at = CMSG_NXTHDR(header, at)) {
		if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (at->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(at) + i * sizeof fd, sizeof fd);
			if (message->fd_count < FDS_MAX)
				message->fds[message->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

/* Reads on until the text is a whole JSON object. NULL: it never will be. */
static json_t *
read_message(struct message *message, int connection)
{
	json_error_t error;

	message->text = malloc(CONTAINER_STATE_MAX);
	while (message->text && message->len < CONTAINER_STATE_MAX) {
		_Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct iovec iov = {message->text + message->len, CONTAINER_STATE_MAX - message->len};
		struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
		ssize_t n = recvmsg(connection, &header, MSG_CMSG_CLOEXEC);
		json_t *state;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return NULL;
		take_control(message, &header);
		message->len += (size_t)n;
		state = json_loadb(message->text, message->len, JSON_REJECT_DUPLICATES, &error);
		if (state)
			return state;
	}
	return NULL;
}

/* The descriptor that the message calls by this name, or -1. */
static int
take_named(struct message *message, const json_t *names, const char *name)
{
	for (size_t i = 0; i < json_array_size(names) && i < message->fd_count; i++) {
		const char *at = json_string_value(json_array_get(names, i));

		if (at && strcmp(at, name) == 0)
			return take_fd(&message->fds[i]);
	}
	return -1;
}

/* A runtime may name any descriptor so. */
static bool
is_notification(int fd)
{
	char path[64], target[64];
	ssize_t len;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof target - 1);
	if (len < 0)
		return false;
	target[len] = 0;
	return strcmp(target, "anon_inode:seccomp notify") == 0;
}

/* ---- what it says ------------------------------------------------------------------------------- */

static const char *
text_of(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value && strlen(value) <= CONTAINER_ID_MAX ? value : "";
}

/* podman has no annotation for its name of the container; the others are Kubernetes'. */
static const char *
name_of(const json_t *annotations)
{
	static const char *const keys[] = {"splitsock.name", "io.kubernetes.container.name", "io.kubernetes.cri-o.ContainerName"};
	const char *name = "";

	for (size_t i = 0; i < sizeof keys / sizeof *keys && !*name; i++)
		name = text_of(annotations, keys[i]);
	return name;
}

static void
take_labels(struct container *container, json_t *annotations)
{
	const char *key;
	json_t *value;

	json_object_foreach(annotations, key, value) {
		const char *text = json_string_value(value);

		if (!text || strlen(key) + strlen(text) > CONTAINER_LABEL_MAX || container->label_count == CONTAINER_LABELS_MAX) {
			log_warning("container %s: the gofer is not told of its annotation %.64s", container->id, key);
			continue;
		}
		container->labels[container->label_count][0] = key;
		container->labels[container->label_count++][1] = text;
	}
}

/*
 * Who the container is stands in its configuration. Its user is the configured one, not that of a process: it is still root's when the runtime
 * sends, and a container with the right to may change it later.
 */
static bool
take_config(struct container *container, const char *bundle)
{
	_cleanup_free_ char *path = NULL;
	json_t *user, *annotations;

	if (asprintf(&path, "%s/config.json", bundle) < 0)
		return false;
	container->config = json_load_file(path, 0, NULL);
	user = json_object_get(json_object_get(container->config, "process"), "user");
	annotations = json_object_get(container->config, "annotations");
	if (!json_is_integer(json_object_get(user, "uid")) || !json_is_integer(json_object_get(user, "gid"))) {
		log_error("container %s: its user cannot be read from %s", container->id, path);
		return false;
	}
	container->uid = (uid_t)json_integer_value(json_object_get(user, "uid"));
	container->gid = (gid_t)json_integer_value(json_object_get(user, "gid"));
	container->name = name_of(annotations);
	take_labels(container, annotations);
	return true;
}

/*
 * Where the configuration is, malloc()ed. Of what crun puts into a running container it does not tell that, so it is noted when the container is
 * created, in a symbolic link that has the container's id as its name.
 */
static char *
find_bundle(struct container *container, const json_t *state, const char *notes)
{
	const char *told = json_string_value(json_object_get(state, "bundle"));
	char bundle[PATH_MAX];
	ssize_t len;

	if (strchr(container->id, '/') || container->id[0] == '.' || asprintf(&container->note, "%s/%s", notes, container->id) < 0)
		return NULL;
	if (container->is_new && told && told[0] == '/') {
		unlink(container->note);
		if (symlink(told, container->note) < 0)
			log_warning("container %s: cannot note its bundle in %s: %s", container->id, notes, strerror(errno));
		return strdup(told);
	}
	len = readlink(container->note, bundle, sizeof bundle - 1);
	return len < 0 ? NULL : strndup(bundle, (size_t)len);
}

static bool
take_state(struct container *container, struct message *message, const char *notes)
{
	json_t *state = json_object_get(container->state, "state");
	_cleanup_free_ char *bundle = NULL;

	container->notify_fd = take_named(message, json_object_get(container->state, "fds"), "seccompFd");
	container->id = text_of(state, "id");
	if (!*container->id || container->notify_fd < 0 || !is_notification(container->notify_fd)) {
		log_error("a runtime's message has no container id or no seccomp notification descriptor");
		return false;
	}
	container->pid = (pid_t)json_integer_value(json_object_get(container->state, "pid"));
	container->is_new = strcmp(text_of(state, "status"), "creating") == 0 || strcmp(text_of(state, "status"), "created") == 0;
	container->killable = strstr(text_of(container->state, "metadata"), "wait-killable") != NULL;
	bundle = find_bundle(container, state, notes);
	if (!bundle) {
		log_error("container %s: its bundle is not known", container->id);
		return false;
	}
	return take_config(container, bundle);
}

bool
container_receive(struct container *container, int connection, const char *notes)
{
	struct message message = {0};
	bool good = false;

	*container = (struct container){.notify_fd = -1, .id = "", .name = ""};
	container->state = read_message(&message, connection);
	if (container->state)
		good = take_state(container, &message, notes);
	else if (message.len > 0)
		log_error("a runtime has sent %zu bytes that are no container state", message.len);
	for (size_t i = 0; i < message.fd_count; i++)
		if (message.fds[i] >= 0)
			close(message.fds[i]);
	free(message.text);
	return good;
}

void
container_release(struct container *container)
{
	if (container->notify_fd >= 0)
		close(container->notify_fd);
	if (container->is_new && container->note)
		unlink(container->note);
	json_decref(container->state);
	json_decref(container->config);
	free(container->note);
	free(container->cgroup);
	*container = (struct container){.notify_fd = -1};
}

/* ---- what the kernel says ----------------------------------------------------------------------- */

static FILE *
open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	return fopen(path, "re");
}

/* What a container's id is in our user namespace. False: it is nobody's. */
static bool
map_id(pid_t pid, const char *map, uint32_t *id)
{
	FILE *file = open_proc(pid, map);
	unsigned inside, outside, count;
	bool found = false;

	while (file && !found && fscanf(file, "%u %u %u", &inside, &outside, &count) == 3) {
		found = *id >= inside && *id - inside < count;
		if (found)
			*id = outside + (*id - inside);
	}
	if (file)
		fclose(file);
	return found;
}

bool
container_look(struct container *container, pid_t pid)
{
	FILE *cgroup = open_proc(pid, "cgroup");
	uid_t uid = container->uid;
	gid_t gid = container->gid;
	bool good = cgroup && map_id(pid, "uid_map", &uid) && map_id(pid, "gid_map", &gid);
	char line[4200];

	while (cgroup && fgets(line, sizeof line, cgroup)) {
		char *path = strncmp(line, "0::", 3) == 0 ? line + 3 : NULL;

		if (!path)
			continue;
		path[strcspn(path, "\n")] = 0;
		path = strdup(path);
		if (path) {
			free(container->cgroup);
			container->cgroup = path;
		}
	}
	if (cgroup)
		fclose(cgroup);
	if (good) {
		container->uid = uid;
		container->gid = gid;
	}
	return good;
}

struct session_serves
container_serves(const struct container *container)
{
	return (struct session_serves){
		.id = container->id,
		.name = container->name,
		.cgroup = container->cgroup ? container->cgroup : "",
		.label_count = container->label_count,
		.labels = (const char *(*)[2])container->labels,
		.uid = container->uid,
		.gid = container->gid,
	};
}
