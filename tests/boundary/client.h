/*
 * A client that speaks the protocol by hand, so that it can also speak it wrong: raw bytes, raw frames, raw links.
 */
#ifndef SPLITSOCK_TESTS_BOUNDARY_CLIENT_H
#define SPLITSOCK_TESTS_BOUNDARY_CLIENT_H

#include "proto/link.h"
#include "tests/boundary/gofer.h"

enum { PATIENCE_MS = 3000 * SLOW };

struct client {
	const struct gofer *gofer;
	int fd; /* the control stream */
	uint8_t token[LINK_TOKEN_SIZE];
	uint32_t max_sockets;
	uint32_t next_call;
	uint8_t inbox[FRAME_HEADER_SIZE + FRAME_BODY_MAX];
	size_t inbox_len, consumed;
	/* the last events */
	uint64_t reset, closed;
	int resets; /* how many */
};

/* ---- bytes and frames --------------------------------------------------------------------------- */

/* Connects to the control socket and says nothing. */
int raw_connect(const struct gofer *gofer);
/* Sends all of it, waiting at most PATIENCE_MS. False: the gofer has closed, or does not read. */
bool raw_send(int fd, const void *data, size_t len);
/* Whether the other side ends this socket within timeout_ms; what it sends before is read and forgotten. */
bool ends_within(int fd, int timeout_ms);

/* A header with any length, kind and reserved bytes. */
void header_write(uint8_t out[FRAME_HEADER_SIZE], uint32_t length, uint8_t kind, uint8_t reserved, uint32_t id);
bool send_frame(int fd, enum frame_kind kind, uint32_t id, const void *body, size_t len);
bool send_message(int fd, enum frame_kind kind, uint32_t id, const ProtobufCMessage *message);
/* 1: a frame, valid until the next call. 0: the gofer has ended the session. -1: nothing within timeout_ms. */
int receive_frame(struct client *client, struct frame *frame, int timeout_ms);

/* ---- sessions ----------------------------------------------------------------------------------- */

bool send_hello(int fd, uint32_t version);
/* Sends Hello and takes the Welcome of an existing connection. Returns its status, or -1 when the session ended instead. */
int shake_hands(struct client *client, uint32_t version);
/* The same for a client that says that it serves somebody else. */
int shake_hands_for(struct client *client, Splitsock__Serves *serves);
/* Connects and shakes hands; asserts that it works. */
void client_open(struct client *client, const struct gofer *gofer);
/* The same, without asserting. */
bool client_try_open(struct client *client, const struct gofer *gofer);
void client_close(struct client *client);

/* ---- requests ----------------------------------------------------------------------------------- */

/* What one operation came to, taken out of the Reply. */
struct outcome {
	int status; /* Splitsock__Status; -1: the session ended; -2: no reply in time */
	uint32_t count; /* results in the reply; the others speak of the last */
	int error;      /* host errno */
	uint32_t sent;
	uint16_t port; /* local */
	uint8_t value[64];
	size_t value_len;
};

/* An operation with the members it points to. */
struct operation {
	Splitsock__Op op;
	union {
		Splitsock__Open open;
		Splitsock__Bind bind;
		Splitsock__Connect connect;
		Splitsock__Listen listen;
		Splitsock__SetOption set;
		Splitsock__GetOption get;
		Splitsock__Shutdown shutdown;
		Splitsock__Query query;
		Splitsock__Send send;
		Splitsock__Release release;
		Splitsock__InterfaceIoctl ioctl;
	};
	Splitsock__Address address;
	uint8_t ip[4], value[8];
};

struct operation *op_open(struct operation *op, int family, int type, int protocol);
struct operation *op_bind(struct operation *op, uint16_t port);
/* Addresses are of 127.0.0.1. */
struct operation *op_connect(struct operation *op, uint16_t port, bool wait);
struct operation *op_dissolve(struct operation *op); /* connect to AF_UNSPEC */
struct operation *op_listen(struct operation *op, int backlog);
struct operation *op_set_int(struct operation *op, int level, int name, int value);
struct operation *op_set_linger(struct operation *op, int seconds);
struct operation *op_get(struct operation *op, int level, int name);
struct operation *op_shutdown(struct operation *op, int how);
struct operation *op_query(struct operation *op);
struct operation *op_send(struct operation *op, uint16_t port, const char *payload); /* port 0: no address */
struct operation *op_release(struct operation *op);
struct operation *op_ioctl(struct operation *op, uint32_t request);

bool send_request(struct client *client, uint32_t id, uint64_t handle, struct operation *const *ops, size_t count);
/* Waits for the reply to this call; other replies are dropped, events remembered. */
struct outcome wait_reply(struct client *client, uint32_t id, int timeout_ms);
struct outcome call_batch(struct client *client, uint64_t handle, struct operation *const *ops, size_t count);
struct outcome call(struct client *client, uint64_t handle, struct operation *op);
/* Open, then this (or nothing when NULL). */
struct outcome call_open(struct client *client, uint64_t handle, int type, struct operation *then);

/* Waits until event.reset or event.closed has named this handle. */
bool wait_event(struct client *client, const uint64_t *which, uint64_t handle, int timeout_ms);

/* ---- links -------------------------------------------------------------------------------------- */

/* Connects to one of the link sockets and says nothing. */
int link_connect(const struct gofer *gofer, bool is_stream);
struct link_hello link_hello_for(const struct client *client, enum link_kind kind, uint64_t handle);
/* A whole link, as a correct client makes it. */
int link_open(const struct client *client, bool is_stream, enum link_kind kind, uint64_t handle);
/* Sends a packet or bytes with `count` duplicates of fd. */
bool send_with_fds(int socket, const void *data, size_t len, int fd, int count);
bool channel_request(int channel, uint32_t id, uint64_t handle, struct operation *const *ops, size_t count);

/* ---- the good one ------------------------------------------------------------------------------- */

/* A TCP listener on the host's 127.0.0.1. */
int host_listen(uint16_t *port, int backlog);
/* A bound UDP socket there. */
int host_datagram(uint16_t *port);
/* accept(), read() and so on of the host's side, bounded. */
int host_accept(int listener);
bool read_exactly(int fd, void *data, size_t len, int timeout_ms);

/* A whole life: Hello, open, connect, link, echo over TCP against a listener of our own, and close. Returns how long it took in ms, or -1. */
int good_client(const struct gofer *gofer);
/* Asserts that. */
#define assert_serves(gofer) cr_assert(alive((gofer)->pid) && good_client(gofer) >= 0, "a good client is not served any more")

#endif
