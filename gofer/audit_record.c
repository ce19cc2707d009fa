/*
 * Texts come from clients, from the names of containers, from whoever wrote the policy: none of them is taken to be text. Each is made valid UTF-8
 * first (jansson refuses what is not), and written with escapes only, so that a line is printable ASCII, whatever a terminal would have
 * made of the text.
 */
#include "gofer/audit_record.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char *const event_names[] = {
	[AUDIT_SESSION_OPEN] = "session-open",
	[AUDIT_SESSION_CLOSE] = "session-close",
	[AUDIT_CONNECT] = "connect",
	[AUDIT_BIND] = "bind",
	[AUDIT_LISTEN] = "listen",
	[AUDIT_ACCEPT] = "accept",
	[AUDIT_DATAGRAM] = "datagram",
	[AUDIT_RAW] = "raw",
	[AUDIT_PACKET] = "packet",
	[AUDIT_CLOSE] = "close",
	[AUDIT_DENIED] = "denied",
	[AUDIT_SUPPRESSED] = "suppressed",
};
static_assert(sizeof event_names / sizeof *event_names == AUDIT_EVENTS, "every event has a name");

/* ---- life --------------------------------------------------------------------------------------- */

struct audit_who *
audit_who_new(const struct identity *identity)
{
	struct audit_who *who = malloc(sizeof *who);

	if (!who)
		return NULL;
	atomic_init(&who->holders, 1);
	if (identity_copy(&who->identity, identity) < 0) {
		free(who);
		return NULL;
	}
	return who;
}

struct audit_who *
audit_who_hold(struct audit_who *who)
{
	if (who)
		atomic_fetch_add(&who->holders, 1);
	return who;
}

void
audit_who_release(struct audit_who *who)
{
	if (!who || atomic_fetch_sub(&who->holders, 1) != 1)
		return;
	identity_free(&who->identity);
	free(who);
}

void
audit_record_free(struct audit_record *record)
{
	if (!record)
		return;
	audit_who_release(record->who);
	free(record->names);
	free(record);
}

/* ---- text --------------------------------------------------------------------------------------- */

void
audit_text(char to[AUDIT_TEXT_MAX], const char *from)
{
	size_t len = from ? strnlen(from, AUDIT_TEXT_MAX - 1) : 0;

	if (len)
		memcpy(to, from, len);
	to[len] = 0;
}

/* Bytes of the character that starts here, as Unicode's table 3-7 has it; 0: none does. */
static size_t
character(const unsigned char *at, size_t left)
{
	size_t len = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] <= 0xdf ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 : at[0] >= 0xf0 && at[0] <= 0xf4 ? 4 : 0;
	unsigned char low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
	unsigned char high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;

	if (len > left || at[0] == 0 || at[0] == 0x7f || (len > 1 && (at[1] < low || at[1] > high)))
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

size_t
audit_utf8(char to[AUDIT_UTF8_ROOM], const char *from, size_t len)
{
	const unsigned char *at = (const unsigned char *)from, *end = at + len;
	size_t written = 0;

	while (at < end && (size_t)(at - (const unsigned char *)from) < AUDIT_TEXT_MAX) {
		size_t size = character(at, (size_t)(end - at));

		if (size > AUDIT_TEXT_MAX - (size_t)(at - (const unsigned char *)from))
			break;
		memcpy(to + written, size ? (const char *)at : "\xef\xbf\xbd", size ? size : 3);
		written += size ? size : 3;
		at += size ? size : 1;
	}
	to[written] = 0;
	return written;
}

/* Nothing where there is no text. */
static void
set_text(json_t *object, const char *key, const char *text)
{
	char valid[AUDIT_UTF8_ROOM];

	if (text && *text)
		json_object_set_new(object, key, json_stringn_nocheck(valid, audit_utf8(valid, text, strnlen(text, AUDIT_TEXT_MAX))));
}

/* ---- values ------------------------------------------------------------------------------------- */

static void
set_number(json_t *object, const char *key, uint64_t number)
{
	json_object_set_new(object, key, json_integer((json_int_t)number));
}

/* Handles have all 64 bits, which is more than a JSON number holds everywhere. */
static void
set_handle(json_t *object, const char *key, uint64_t handle)
{
	if (handle)
		json_object_set_new(object, key, json_sprintf("%016llx", (unsigned long long)handle));
}

static void
set_time(json_t *object, const struct timespec *time)
{
	struct tm tm;

	gmtime_r(&time->tv_sec, &tm);
	json_object_set_new(object, "time", json_sprintf("%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
	                                                 tm.tm_hour, tm.tm_min, tm.tm_sec, time->tv_nsec / 1000000));
}

static void
set_identity(json_t *object, const struct identity *identity)
{
	json_t *who = json_object(), *groups = json_array(), *labels = json_object();

	if (identity->uid != UINT64_MAX)
		set_number(who, "uid", identity->uid);
	if (identity->gid != UINT64_MAX)
		set_number(who, "gid", identity->gid);
	if (identity->pid)
		set_number(who, "pid", identity->pid);
	set_text(who, "cgroup", identity->cgroup);
	set_text(who, "container", identity->container_name);
	set_text(who, "container_id", identity->container_id);
	set_text(who, "lsm_label", identity->lsm_label);
	set_text(who, "certificate", identity->certificate);
	for (size_t i = 0; i < identity->group_count && i < AUDIT_GROUPS_MAX; i++)
		json_array_append_new(groups, json_integer((json_int_t)identity->groups[i]));
	for (size_t i = 0; i < identity->label_count && i < AUDIT_LABELS_MAX; i++) {
		char key[AUDIT_UTF8_ROOM];

		audit_utf8(key, identity->labels[i].key, strnlen(identity->labels[i].key, AUDIT_TEXT_MAX));
		set_text(labels, key, identity->labels[i].value);
	}
	if (json_array_size(groups))
		json_object_set(who, "groups", groups);
	if (json_object_size(labels))
		json_object_set(who, "labels", labels);
	json_decref(groups);
	json_decref(labels);
	json_object_set_new(object, "identity", who);
}

/* As a policy names it; a number where nothing has a name for it. */
static void
set_protocol(json_t *object, const struct audit_record *record)
{
	int protocol = record->protocol;
	const char *name = NULL;

	if (!record->family)
		return;
	if (record->family == AF_PACKET) {
		json_object_set_new(object, "protocol", json_sprintf("0x%04x", (unsigned)protocol & 0xffff));
		return;
	}
	if (protocol == 0 && record->type == SOCK_STREAM)
		protocol = IPPROTO_TCP;
	if (protocol == 0 && record->type == SOCK_DGRAM)
		protocol = IPPROTO_UDP;
	name = record->family == AF_NETLINK ? "netlink" : protocol == IPPROTO_TCP ? "tcp" : protocol == IPPROTO_UDP ? "udp" :
	       protocol == IPPROTO_ICMP ? "icmp" : protocol == IPPROTO_ICMPV6 ? "icmpv6" : protocol == IPPROTO_SCTP ? "sctp" :
	       protocol == IPPROTO_UDPLITE ? "udplite" : NULL;
	json_object_set_new(object, "protocol", name ? json_string(name) : json_sprintf("%d", protocol));
}

static void
set_address(json_t *object, const struct wire_address *address, int type)
{
	char text[INET6_ADDRSTRLEN];
	struct sockaddr_storage host;
	socklen_t len;

	if (!address->family || wire_address_to_host(address, &host, &len) != 0)
		return;
	if (host.ss_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&host)->sin_addr, text, sizeof text);
	else if (host.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&host)->sin6_addr, text, sizeof text);
	else
		return;
	json_object_set_new(object, "address", json_string(text));
	if (type != SOCK_RAW)
		set_number(object, "port", address->port);
}

json_t *
audit_record_json(const struct audit_record *record)
{
	json_t *object = json_object(), *local, *names;

	if (!object)
		return NULL;
	set_time(object, &record->time);
	json_object_set_new(object, "event", json_string(event_names[record->event]));
	set_handle(object, "session", record->session);
	set_handle(object, "socket", record->socket);
	set_handle(object, "listener", record->listener);
	if (record->who)
		set_identity(object, &record->who->identity);
	set_text(object, "software", record->software);
	set_text(object, "operation", record->operation);
	set_protocol(object, record);
	set_address(object, &record->peer, record->type);
	if (record->local.family) {
		local = json_object();
		set_address(local, &record->local, record->type);
		json_object_set_new(object, "local", local);
	}
	if (record->name_count) {
		names = json_array();
		for (size_t i = 0; i < record->name_count; i++) {
			char valid[AUDIT_UTF8_ROOM];

			json_array_append_new(names, json_stringn_nocheck(valid, audit_utf8(valid, record->names[i],
			                                                                    strnlen(record->names[i], AUDIT_TEXT_MAX))));
		}
		json_object_set_new(object, "names", names);
	}
	set_text(object, "rule", record->rule);
	set_text(object, "detail", record->detail);
	set_text(object, "reason", record->reason);
	if (record->error) {
		const char *name = strerrorname_np(record->error);

		json_object_set_new(object, "errno", name ? json_string(name) : json_sprintf("%d", record->error));
	}
	if (record->ended) {
		set_number(object, "bytes_in", record->bytes_in);
		set_number(object, "bytes_out", record->bytes_out);
		set_number(object, "duration_ms", record->duration_ms);
	}
	if (record->event == AUDIT_SUPPRESSED)
		set_number(object, "lines", record->lines);
	return object;
}

char *
audit_record_line(const json_t *object)
{
	return json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER);
}
