#include "gofer/counters.h"

#include <stdlib.h>
#include <string.h>

#include "gofer/operations.h"

/* Indexed by Splitsock__Op__OpCase. */
static const enum counter_id of_operation[] = {
	[SPLITSOCK__OP__OP_OPEN] = COUNTER_OPERATION_OPEN,
	[SPLITSOCK__OP__OP_BIND] = COUNTER_OPERATION_BIND,
	[SPLITSOCK__OP__OP_CONNECT] = COUNTER_OPERATION_CONNECT,
	[SPLITSOCK__OP__OP_LISTEN] = COUNTER_OPERATION_LISTEN,
	[SPLITSOCK__OP__OP_SET_OPTION] = COUNTER_OPERATION_SET_OPTION,
	[SPLITSOCK__OP__OP_GET_OPTION] = COUNTER_OPERATION_GET_OPTION,
	[SPLITSOCK__OP__OP_SHUTDOWN] = COUNTER_OPERATION_SHUTDOWN,
	[SPLITSOCK__OP__OP_QUERY] = COUNTER_OPERATION_QUERY,
	[SPLITSOCK__OP__OP_SEND] = COUNTER_OPERATION_SEND,
	[SPLITSOCK__OP__OP_RELEASE] = COUNTER_OPERATION_RELEASE,
	[SPLITSOCK__OP__OP_INTERFACE_IOCTL] = COUNTER_OPERATION_INTERFACE_IOCTL,
	[SPLITSOCK__OP__OP_POKE] = COUNTER_OPERATION_POKE,
	[SPLITSOCK__OP__OP_RECEIVE_ERROR] = COUNTER_OPERATION_RECEIVE_ERROR,
	[SPLITSOCK__OP__OP_URGENT] = COUNTER_OPERATION_URGENT,
	[SPLITSOCK__OP__OP_STATS] = COUNTER_OPERATION_STATS,
	[SPLITSOCK__OP__OP_PACKET_OPEN] = COUNTER_OPERATION_PACKET_OPEN,
	[SPLITSOCK__OP__OP_PACKET_SYNC] = COUNTER_OPERATION_PACKET_SYNC,
};

void
count_gofer(struct gofer *gofer, enum counter_id id)
{
	gofer->counters.value[id - COUNTERS_GOFER_FIRST]++;
}

void
count_session(struct session *session, enum counter_id id, uint64_t n)
{
	session->counters.value[id - COUNTERS_SESSION_FIRST] += n;
	session->gofer->counters.sessions.value[id - COUNTERS_SESSION_FIRST] += n;
}

void
count_stream(struct sock *sock, bool to_host, uint64_t bytes)
{
	*(to_host ? &sock->bytes_to_host : &sock->bytes_to_program) += bytes;
	count_session(sock->session, to_host ? COUNTER_STREAM_BYTES_UP : COUNTER_STREAM_BYTES_DOWN, bytes);
}

void
count_datagram(struct sock *sock, bool to_host, uint64_t bytes)
{
	*(to_host ? &sock->bytes_to_host : &sock->bytes_to_program) += bytes;
	if (sock->family == AF_NETLINK) {
		count_session(sock->session, to_host ? COUNTER_NETLINK_UP : COUNTER_NETLINK_DOWN, 1);
		return;
	}
	count_session(sock->session, to_host ? COUNTER_DATAGRAMS_UP : COUNTER_DATAGRAMS_DOWN, 1);
	count_session(sock->session, to_host ? COUNTER_DATAGRAM_BYTES_UP : COUNTER_DATAGRAM_BYTES_DOWN, bytes);
}

void
count_operation(struct session *session, Splitsock__Op__OpCase op)
{
	if ((size_t)op < sizeof of_operation / sizeof *of_operation && of_operation[op])
		count_session(session, of_operation[op], 1);
}

void
count_answer(struct session *session, Splitsock__Status status)
{
	switch (status) {
	case SPLITSOCK__STATUS__STATUS_DENIED:
		count_session(session, COUNTER_POLICY_DENIALS, 1);
		return;
	case SPLITSOCK__STATUS__STATUS_BAD_REQUEST:
		count_session(session, COUNTER_BAD_REQUESTS, 1);
		return;
	case SPLITSOCK__STATUS__STATUS_HOST_ERRNO:
		count_session(session, COUNTER_HOST_ERRORS, 1);
		return;
	default:
		return;
	}
}

void
counters_of_session(const struct session *session, uint64_t *values)
{
	memcpy(values + COUNTERS_SESSION_FIRST, session->counters.value, sizeof session->counters.value);
	values[COUNTER_SOCKETS] = session->socks.count;
	values[COUNTER_CONNECTS_WAITING] = session->calls;
}

static void
add_gauges(void *entry, void *arg)
{
	const struct session *session = entry;
	uint64_t *values = arg;

	values[COUNTER_SOCKETS] += session->socks.count;
	values[COUNTER_CONNECTS_WAITING] += session->calls;
}

void
counters_of_gofer(const struct gofer *gofer, uint64_t *values)
{
	memcpy(values + COUNTERS_GOFER_FIRST, gofer->counters.value, sizeof gofer->counters.value);
	memcpy(values + COUNTERS_SESSION_FIRST, gofer->counters.sessions.value, sizeof gofer->counters.sessions.value);
	values[COUNTER_START_TIME] = (uint64_t)gofer->start_time;
	values[COUNTER_SESSIONS] = gofer->sessions.count;
	values[COUNTER_LINKS_PENDING] = gofer->pending_links;
	table_visit(&gofer->sessions, add_gauges, values);
}

/* ---- asking ------------------------------------------------------------------------------------- */

bool
stats_wanted(const Splitsock__Request *request)
{
	for (size_t i = 0; i < request->n_ops; i++)
		if (request->ops[i]->op_case == SPLITSOCK__OP__OP_STATS)
			return true;
	return false;
}

bool
stats_run(const struct call *call, const Splitsock__Request *request)
{
	Splitsock__Counter messages[COUNTERS_HOST_COUNT + COUNTERS_SESSION_COUNT];
	Splitsock__Counter *pointers[COUNTERS_HOST_COUNT + COUNTERS_SESSION_COUNT];
	Splitsock__Counters told = SPLITSOCK__COUNTERS__INIT;
	Splitsock__Result result = SPLITSOCK__RESULT__INIT, *results = &result;
	Splitsock__Reply reply = SPLITSOCK__REPLY__INIT;
	uint64_t values[COUNTER_COUNT] = {0};

	if (request->n_ops != 1 || request->handle || request->no_reply || call->on_channel)
		return false;
	count_operation(call->session, request->ops[0]->op_case);
	if (request->ops[0]->stats->host && policy_allows_host_counters(call->session->entry))
		told.host = counters_of_host(call->session->gofer, values);
	counters_of_session(call->session, values);
	counters_to_message(&told, messages, pointers, COUNTERS_HOST_FIRST, COUNTERS_HOST_COUNT, values + COUNTERS_HOST_FIRST);
	counters_to_message(&told, messages, pointers, COUNTERS_SESSION_FIRST, COUNTERS_SESSION_COUNT,
	                    values + COUNTERS_SESSION_FIRST);
	result.counters = &told;
	reply.results = &results;
	reply.n_results = 1;
	session_send(call->session, FRAME_REPLY, call->id, &reply.base);
	return true;
}
