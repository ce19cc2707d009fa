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
