/*
 * Text, for people and for awk: one line an entry, and a heading. And Prometheus' text format, version 0.0.4.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gofer/ctl/ctl.h"

/* 93784 s are 1d02h03m. */
static const char *
duration(uint64_t ms, char *out, size_t size)
{
	uint64_t s = ms / 1000;

	if (s >= 86400)
		snprintf(out, size, "%" PRIu64 "d%02" PRIu64 "h%02" PRIu64 "m", s / 86400, s / 3600 % 24, s / 60 % 60);
	else if (s >= 3600)
		snprintf(out, size, "%" PRIu64 "h%02" PRIu64 "m%02" PRIu64 "s", s / 3600, s / 60 % 60, s % 60);
	else if (s >= 60)
		snprintf(out, size, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else
		snprintf(out, size, "%" PRIu64 ".%" PRIu64 "s", s, ms % 1000 / 100);
	return out;
}

static const char *
number_or_dash(uint64_t number, bool known, char *out, size_t size)
{
	if (known)
		snprintf(out, size, "%" PRIu64, number);
	else
		snprintf(out, size, "-");
	return out;
}

static void
show_status(const Splitsock__AdminStatus *status)
{
	char text[128], uptime[32];

	printf("%s, pid %" PRIu64 ", uid %" PRIu64 ", up %s\n", ctl_plain(status->software, text, sizeof text), status->pid,
	       status->uid, duration(status->uptime_ms, uptime, sizeof uptime));
	for (size_t i = 0; i < status->n_listeners; i++) {
		char url[256];

		printf("listener     %s\n", ctl_plain(status->listeners[i], url, sizeof url));
	}
	printf("policy       %s\n", ctl_plain(status->policy, text, sizeof text));
	printf("sessions     %" PRIu64 " of %" PRIu64 "\n", status->sessions, status->max_sessions);
	printf("sockets      %" PRIu64 "; of one session at most %" PRIu64 ", and %" PRIu64 " connects that wait\n", status->sockets,
	       status->max_sockets, status->max_calls);
	if (status->descriptors)
		printf("descriptors  %" PRIu64 " of %" PRIu64 "\n", status->descriptors, status->max_descriptors);
	else
		printf("descriptors  at most %" PRIu64 "\n", status->max_descriptors);
	printf("memory       %.1f MiB resident\n", (double)status->resident_bytes / (1 << 20));
}

/* ---- sessions ----------------------------------------------------------------------------------- */

static void
show_sessions_heading(void)
{
	printf("%-16s %10s %10s %-15s %8s %14s %14s %10s %s\n", "Session", "Uid", "Pid", "Command", "Sockets", "Bytes-To-Host",
	       "Bytes-To-Prog", "Age", "Software");
}

static void
show_session(const Splitsock__AdminSession *session)
{
	uint64_t values[COUNTER_COUNT];
	char uid[24], pid[24], command[32], age[32], software[80];

	counters_from_message(values, session->counters);
	printf("%016" PRIx64 " %10s %10s %-15s %8" PRIu64 " %14" PRIu64 " %14" PRIu64 " %10s %s%s\n", session->id,
	       number_or_dash(session->uid, session->uid != UINT64_MAX, uid, sizeof uid),
	       number_or_dash(session->pid, session->pid, pid, sizeof pid),
	       *session->command ? ctl_plain(session->command, command, sizeof command) : "-", values[COUNTER_SOCKETS],
	       values[COUNTER_STREAM_BYTES_UP] + values[COUNTER_DATAGRAM_BYTES_UP],
	       values[COUNTER_STREAM_BYTES_DOWN] + values[COUNTER_DATAGRAM_BYTES_DOWN],
	       duration(session->age_ms, age, sizeof age), ctl_plain(session->software, software, sizeof software),
	       session->ready ? "" : "(no Hello yet)");
}

/* ---- sockets ------------------------------------------------------------------------------------ */

static void
show_sockets_heading(void)
{
	printf("%-5s %-10s %-8s %-8s %28s %28s  %-16s %10s %10s\n", "Netid", "State", "Recv-Q", "Send-Q", "Local Address:Port",
	       "Peer Address:Port", "Session", "Pid", "Uid");
}

/* As ss(8) has it: without a name it is the unspecified address. */
static const char *
endpoint(const Splitsock__AdminSocket *sock, const Splitsock__Address *address, char *out, size_t size)
{
	char text[64], port[16] = "*";
	bool brackets;

	if (address)
		ctl_address(address, text, sizeof text);
	else
		strcpy(text, sock->family == AF_INET ? "0.0.0.0" : sock->family == AF_INET6 ? "::" : "*");
	brackets = strchr(text, ':');
	if (ctl_port(address) >= 0)
		snprintf(port, sizeof port, "%d", ctl_port(address));
	snprintf(out, size, "%s%s%s:%s", brackets ? "[" : "", text, brackets ? "]" : "", port);
	return out;
}

static void
show_socket(const Splitsock__AdminSocket *sock)
{
	char local[96], peer[96], pid[24], uid[24];

	printf("%-5s %-10s %-8" PRIu64 " %-8" PRIu64 " %28s %28s  %016" PRIx64 " %10s %10s\n", ctl_netid(sock), ctl_state(sock),
	       sock->receive_queue, sock->send_queue, endpoint(sock, sock->local, local, sizeof local),
	       endpoint(sock, sock->peer, peer, sizeof peer), sock->session, number_or_dash(sock->pid, sock->pid, pid, sizeof pid),
	       number_or_dash(sock->uid, sock->uid != UINT64_MAX, uid, sizeof uid));
}

static void
no_end(void)
{
}

/* ---- counters ----------------------------------------------------------------------------------- */

static void
show_stats(const uint64_t *values, bool host)
{
	for (int id = host ? 0 : COUNTERS_GOFER_FIRST; id < COUNTERS_CLIENT_FIRST; id++) {
		const struct counter *counter = &counters[id];

		printf("%s%s%s%s %" PRIu64 "\n", counter->name, *counter->labels ? "{" : "", counter->labels,
		       *counter->labels ? "}" : "", values[id]);
	}
}

static void
show_prometheus(const uint64_t *values, bool host)
{
	const char *last = "";

	for (int id = host ? 0 : COUNTERS_GOFER_FIRST; id < COUNTERS_CLIENT_FIRST; id++) {
		const struct counter *counter = &counters[id];

		/* Those of one name follow each other in the table. */
		if (strcmp(counter->name, last) != 0)
			printf("# HELP %s %s\n# TYPE %s %s\n", counter->name, counter->help, counter->name,
			       counter->kind == COUNTER_GAUGE ? "gauge" : "counter");
		last = counter->name;
		printf("%s%s%s%s %" PRIu64 "\n", counter->name, *counter->labels ? "{" : "", counter->labels,
		       *counter->labels ? "}" : "", values[id]);
	}
}

const struct ctl_view view_text = {
	.status = show_status,
	.sessions_begin = show_sessions_heading,
	.session = show_session,
	.sockets_begin = show_sockets_heading,
	.socket = show_socket,
	.list_end = no_end,
	.stats = show_stats,
};

const struct ctl_view view_prometheus = {.stats = show_prometheus};
