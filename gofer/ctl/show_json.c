/*
 * JSON: one value on standard output. Identifiers are strings in hexadecimal, since readers of JSON lose digits of large numbers. Lists are
 * written an entry at a time, so that a gofer with many sockets needs no more memory here than one with few.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "gofer/ctl/ctl.h"

#define TEXT_MAX 256

static json_t *
plain(const char *text)
{
	char out[TEXT_MAX];

	return json_string(ctl_plain(text, out, sizeof out));
}

static json_t *
identifier(uint64_t id)
{
	return json_sprintf("%016" PRIx64, id);
}

/* Null for what is not known. */
static json_t *
number(uint64_t value, bool known)
{
	return known ? json_integer((json_int_t)value) : json_null();
}

static void
write_value(json_t *value, size_t flags)
{
	json_dumpf(value, stdout, flags | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(12));
	json_decref(value);
}

static bool first_of_list;

static void
list_begin(void)
{
	first_of_list = true;
	printf("[");
}

static void
list_add(json_t *entry)
{
	printf(first_of_list ? "\n" : ",\n");
	first_of_list = false;
	write_value(entry, JSON_COMPACT);
}

static void
list_end(void)
{
	printf("\n]\n");
}

/* {"name": 1, "name{label=\"x\"}": 2, ...} for this part of the table. */
static json_t *
counters_object(const uint64_t *values, int first, int end)
{
	json_t *object = json_object();

	for (int id = first; id < end; id++) {
		const struct counter *counter = &counters[id];
		char name[TEXT_MAX];

		snprintf(name, sizeof name, "%s%s%s%s", counter->name, *counter->labels ? "{" : "", counter->labels,
		         *counter->labels ? "}" : "");
		json_object_set_new(object, name, json_integer((json_int_t)values[id]));
	}
	return object;
}

static void
json_status(const Splitsock__AdminStatus *status)
{
	json_t *listeners = json_array();

	for (size_t i = 0; i < status->n_listeners; i++)
		json_array_append_new(listeners, plain(status->listeners[i]));
	write_value(json_pack("{s:o, s:I, s:I, s:f, s:o, s:o, s:{s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:o, s:I}}",
	                      "software", plain(status->software), "pid", (json_int_t)status->pid, "uid", (json_int_t)status->uid,
	                      "uptime_seconds", (double)status->uptime_ms / 1000, "listeners", listeners, "policy",
	                      plain(status->policy), "limits", "sessions", (json_int_t)status->max_sessions, "session_sockets",
	                      (json_int_t)status->max_sockets, "session_connects_waiting", (json_int_t)status->max_calls,
	                      "descriptors", (json_int_t)status->max_descriptors, "usage", "sessions",
	                      (json_int_t)status->sessions, "sockets", (json_int_t)status->sockets, "descriptors",
	                      number(status->descriptors, status->descriptors), "resident_bytes",
	                      (json_int_t)status->resident_bytes),
	            JSON_INDENT(2));
	printf("\n");
}

static void
json_session(const Splitsock__AdminSession *session)
{
	uint64_t values[COUNTER_COUNT];

	counters_from_message(values, session->counters);
	list_add(json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:f, s:o}", "session", identifier(session->id), "uid",
	                   number(session->uid, session->uid != UINT64_MAX), "pid", number(session->pid, session->pid), "command",
	                   plain(session->command), "software", plain(session->software), "ready", session->ready,
	                   "age_seconds", (double)session->age_ms / 1000, "counters",
	                   counters_object(values, COUNTERS_SESSION_FIRST, COUNTERS_CLIENT_FIRST)));
}

static json_t *
endpoint(const Splitsock__Address *address)
{
	char text[64];
	int port = ctl_port(address);

	if (!address)
		return json_null();
	return json_pack("{s:s, s:i}", "address", ctl_address(address, text, sizeof text), "port", port < 0 ? 0 : port);
}

static void
json_socket(const Splitsock__AdminSocket *sock)
{
	list_add(json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:I, s:I, s:I, s:I}",
	                   "netid", ctl_netid(sock), "state", ctl_state(sock), "recv_q", (json_int_t)sock->receive_queue, "send_q",
	                   (json_int_t)sock->send_queue, "local", endpoint(sock->local), "peer", endpoint(sock->peer), "session",
	                   identifier(sock->session), "handle", identifier(sock->handle), "uid",
	                   number(sock->uid, sock->uid != UINT64_MAX), "pid", number(sock->pid, sock->pid), "gofer_state",
	                   plain(sock->state), "linked", sock->linked, "held_to_host", (json_int_t)sock->held_to_host,
	                   "held_to_program", (json_int_t)sock->held_to_program, "bytes_to_host", (json_int_t)sock->bytes_to_host,
	                   "bytes_to_program", (json_int_t)sock->bytes_to_program));
}

static void
json_stats(const uint64_t *values, bool host)
{
	write_value(counters_object(values, host ? 0 : COUNTERS_GOFER_FIRST, COUNTERS_CLIENT_FIRST),
	            JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	printf("\n");
}

const struct ctl_view view_json = {
	.status = json_status,
	.sessions_begin = list_begin,
	.session = json_session,
	.sockets_begin = list_begin,
	.socket = json_socket,
	.list_end = list_end,
	.stats = json_stats,
};
