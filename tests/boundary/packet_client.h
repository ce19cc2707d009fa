/*
 * A client with packet sockets that speaks the protocol by hand, and a gofer on a host with a few interfaces for it.
 */
#ifndef SPLITSOCK_TESTS_BOUNDARY_PACKET_CLIENT_H
#define SPLITSOCK_TESTS_BOUNDARY_PACKET_CLIENT_H

#include "tests/boundary/client.h"
#include "tests/boundary/programs.h"

/*
 * The test moves into a network namespace of its own: gr0 (02:00:00:00:00:01, 10.78.0.1, without checksum offload) and gr1 (…:02) are each other's
 * ends, so are no0 and no1; all are up, as is lo, and nothing speaks by itself.
 */
void packet_host_make(void);
/* With this policy file; anybody may connect. */
void packet_gofer_start(struct gofer *gofer, const char *policy);
/* Another one in its place, which is read at the next SIGHUP. */
void packet_policy_write(const struct gofer *gofer, const char *policy);

struct packet_client {
	struct client client;
	int channel;
};

void packet_client_open(struct packet_client *packet, const struct gofer *gofer);
void packet_client_close(struct packet_client *packet);
/* Asks for a socket. Returns the reply's status, and the descriptor that came with it or -1. */
int ask_open(struct packet_client *packet, uint32_t type, uint32_t protocol, int *fd);
int ask_sync(struct packet_client *packet, uint32_t interface);
/* One that does not block, of SOCK_RAW and ETH_P_ALL, or the process exits with 10. */
int open_packet_socket(struct packet_client *packet);

/* As nobody, who has no capability, in a child, whose end says how it went. */
pid_t as_nobody(int (*run)(void));

#endif
