#include "gofer/audit.h"

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "gofer/audit_record.h"
#include "gofer/audit_writer.h"
#include "gofer/sock.h"

static struct policy_entry entry = {.name = (char[]){"capture"}};
static struct gofer gofer;
static struct session session = {.gofer = &gofer, .id = 0x1234, .identity = {.uid = 1000}, .entry = &entry};
static struct sock sock = {.session = &session, .family = AF_INET, .type = SOCK_STREAM};

/* What the log has said since it was last asked. */
static const char *
said(void)
{
	static char text[65536];
	static int log = -1;
	static off_t read_to;
	ssize_t n;

	if (log < 0) {
		unsetenv("JOURNAL_STREAM");
		log_open("test");
		log = memfd_create("log", 0);
		cr_assert(log >= 0 && dup2(log, STDERR_FILENO) >= 0);
	}
	n = pread(log, text, sizeof text - 1, read_to);
	cr_assert_geq(n, 0);
	read_to += n;
	text[n] = 0;
	return text;
}

Test(audit, a_line_names_who_what_and_which_grant)
{
	struct wire_address address = {.family = wire_family(AF_INET), .ip = {192, 0, 2, 1}, .port = 80};

	said();
	audit_socket(&session, AF_INET, SOCK_RAW, IPPROTO_ICMP, false);
	cr_expect_str_eq(said(), "test: session 0000000000001234: denied: uid 1000: raw AF_INET SOCK_RAW protocol 1: "
	                         "client \"capture\" has no raw grant\n");
	entry.raw.granted = true;
	audit_socket(&session, AF_INET6, SOCK_RAW, IPPROTO_RAW, false);
	cr_expect(strstr(said(), ": client \"capture\" has no headers: own in its raw grant\n"));
	audit_socket(&session, AF_PACKET, SOCK_RAW, 3, false);
	cr_expect(strstr(said(), ": packet AF_PACKET SOCK_RAW protocol 3: client \"capture\" has no packet grant\n"));
	audit_socket(&session, AF_INET, SOCK_RAW, 1, true);
	cr_expect(strstr(said(), ": this gofer has no CAP_NET_RAW\n"));
	audit_address(&sock, POLICY_CONNECT, &address);
	cr_expect(strstr(said(), ": connect 192.0.2.1 port 80: client \"capture\" has not sockets: open\n"));
	audit_decision(&sock, POLICY_CONNECT, &address, &(struct policy_decision){.rule = "no metadata", .why = "a cloud's metadata"});
	cr_expect(strstr(said(), ": connect 192.0.2.1 port 80: client \"capture\", rule \"no metadata\": a cloud's metadata\n"));
	session.entry = NULL;
	audit_address(&sock, POLICY_BIND, &address);
	cr_expect(strstr(said(), ": bind 192.0.2.1 port 80: no client of the policy has this user\n"));
}

Test(audit, a_flood_is_counted)
{
	unsigned lines = 0;
	uint64_t left_out = 0;

	said();
	for (int i = 0; i < 1000; i++)
		audit_denied(&session, "socket", "x", "y");
	audit_tick(&gofer);
	sleep(1);
	audit_tick(&gofer);
	audit_tick(&gofer);
	for (const char *at = said(); *at; at = strchr(at, '\n') + 1) {
		unsigned long long more;

		if (sscanf(at, "test: denied: … %llu more\n", &more) == 1)
			left_out += more;
		else
			lines++;
	}
	/* It may have been in two seconds. */
	cr_expect(lines >= AUDIT_LINES_MAX && lines <= 2 * AUDIT_LINES_MAX, "%u lines", lines);
	cr_expect_eq(lines + left_out, 1000);
	audit_denied(&session, "socket", "x", "y");
	cr_expect(strstr(said(), "denied: uid 1000"), "the next second has its lines again");
}
