/*
 * What the gofer's parts share: the loop, the policy, the limits, the sessions.
 */
#ifndef SPLITSOCK_GOFER_GOFER_H
#define SPLITSOCK_GOFER_GOFER_H

#include "common/table.h"
#include "gofer/audit.h"
#include "gofer/closer.h"
#include "gofer/counters.h"
#include "gofer/interfaces.h"
#include "gofer/loop.h"
#include "gofer/policy.h"
#include "gofer/ring_guard.h"

/* A client that has not said Hello by then, or a link that has not named its socket, is dropped. */
#define HANDSHAKE_MS 5000
#define TICK_MS 1000
/* What a client had closed when it left may take as long to go out: at most a link's buffer a stream, and peers that stall are not waited for. */
#define DELIVERY_MS 15000

/* Links and channels that have connected but not yet said whose they are. Beyond that the oldest make room. */
#define PENDING_LINKS_MAX 1024

/* One read of a relay: larger ones gained nothing, smaller ones cost system calls. */
#define SCRATCH_SIZE (256u * 1024u)

struct limits {
	uint32_t sockets;  /* per session */
	uint32_t calls;    /* connects that wait for the host, per session */
	uint32_t sessions; /* at once */
	uint64_t descriptors; /* of this process; 0: nobody counts */
};

/* Descriptors that are not for clients' sockets: the gofer's own, splitsock-ctl's, links that have not said whose they are. */
#define DESCRIPTORS_SPARE 32

struct gofer {
	struct loop loop;
	struct closer closer;
	struct policy *policy;
	const char *policy_name; /* "open", or where it was read */
	struct audit audit;
	struct limits limits;
	struct table sessions; /* by session id */
	size_t socks;          /* of all sessions */
	struct listener *listeners;
	size_t pending_links;
	uint8_t *scratch; /* SCRATCH_SIZE bytes, for one read at a time */
	struct splice_pipe *idle_pipes;
	size_t pipes; /* idle ones, too */
	struct gofer_counters counters;
	struct host_counters host_counters;
	int64_t start_time, started_ms; /* Unix time in seconds, and the monotonic clock's */
	unsigned admin_connections;

	/* packet sockets: see mirror.c */
	struct mirror *mirrors;
	size_t mirror_count, ports;
	struct packet_rate *packet_rates; /* see packet_rate.c */
	struct watch mirror_timer;
	struct interfaces interfaces;
	struct frame_batch *frames; /* for one read at a time */
	int route_fd;  /* netlink; 0: not opened. See route.c */
	uint32_t route_sequence;
	int host_ns; /* our own network namespace; 0: not opened */
	int own_cgroup; /* a directory; 0: not left. See ring_limit.c */
	struct ring_guard ring_guard;
};

/*
 * Whether there are descriptors for one more host socket. Each socket and each session is counted with the two that it may come to have: were
 * the last one spent on a host socket, links and side channels could not be accepted, and who waits for one would hang.
 */
bool gofer_has_room(const struct gofer *gofer);

/* Closes the pipes that no transfer uses. */
void relay_free_idle_pipes(struct gofer *gofer);

#endif
