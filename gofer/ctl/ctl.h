/*
 * splitsock-ctl: asks a gofer at its ctl socket, and shows what it says.
 */
#ifndef SPLITSOCK_GOFER_CTL_CTL_H
#define SPLITSOCK_GOFER_CTL_CTL_H

#include <stdbool.h>

#include "proto/link.h"

/* ---- asking (ask.c) ----------------------------------------------------------------------------- */

/* How long a gofer may take to answer. */
#define CTL_PATIENCE_MS 5000

struct ctl {
	int fd;
	char path[108]; /* of the ctl socket */
	uint32_t next_id;
	uint8_t *inbox; /* room for one frame */
	struct codec_arena arena; /* holds the last answer */
};

/* Connects. False after saying why not. */
bool ctl_open(struct ctl *ctl, const char *url);
void ctl_close(struct ctl *ctl);
/* The answer lives until the next call. NULL after saying why there is none. */
const Splitsock__AdminReply *ctl_ask(struct ctl *ctl, Splitsock__AdminRequest *request);

/* ---- policies (policy.c, simulate.c) ------------------------------------------------------------ */

#define CTL_WORDS_MAX 8
#define CTL_NAMES_MAX 16

struct ctl_policy_arguments {
	const char *words[CTL_WORDS_MAX]; /* behind "policy" */
	size_t word_count;
	const char *file, *as;            /* --policy, --as */
	const char *names[CTL_NAMES_MAX]; /* --name */
	size_t name_count;
	const char *url;
	bool json;
};

/* Exit statuses of its own. */
#define CTL_EXIT_DENIED 3   /* explain */
#define CTL_EXIT_CHANGES 4  /* simulate */
#define CTL_EXIT_POLICY 78  /* check, explain, simulate: EX_CONFIG, as the gofer has it */

/* splitsock-ctl policy …; returns the exit status. */
int ctl_policy(const struct ctl_policy_arguments *arguments);
/* What the policy would have decided otherwise than the log says. */
struct policy;
int ctl_simulate(const struct policy *policy, const char *log_path);
/* Is it an address of this host? As far as its interfaces tell. */
struct policy_question;
void ctl_find_reach(struct policy_question *question);

/* ---- showing (show.c, show_json.c) -------------------------------------------------------------- */

/* One way to show everything. `begin` and `end` enclose a list. */
struct ctl_view {
	void (*status)(const Splitsock__AdminStatus *status);
	void (*sessions_begin)(void);
	void (*session)(const Splitsock__AdminSession *session);
	void (*sockets_begin)(void);
	void (*socket)(const Splitsock__AdminSocket *sock);
	void (*list_end)(void);
	/* `host`: the host's counters are among them. */
	void (*stats)(const uint64_t *values, bool host);
};

extern const struct ctl_view view_text, view_json, view_prometheus;

/* ---- what both views need (names.c) ------------------------------------------------------------- */

/*
 * What a client or another process says of itself, made fit for a terminal and for JSON: anything but printable ASCII becomes '?'. Returns
 * `out`.
 */
const char *ctl_plain(const char *text, char *out, size_t size);
/* ss(8)'s column Netid, and its State. */
const char *ctl_netid(const Splitsock__AdminSocket *sock);
const char *ctl_state(const Splitsock__AdminSocket *sock);
/* An address without its port, as text, "*" where there is none; and its port, or -1. */
const char *ctl_address(const Splitsock__Address *address, char *out, size_t size);
int ctl_port(const Splitsock__Address *address);

#endif
