/*
 * Where clients arrive: one control URL, and for ipc:// the two link sockets beside it.
 */
#ifndef SPLITSOCK_GOFER_LISTENER_H
#define SPLITSOCK_GOFER_LISTENER_H

#include <sys/types.h>

#include "gofer/gofer.h"

struct listener;

/*
 * Listens on ipc://PATH, with `mode` as the sockets' permissions. A live gofer on the same path is refused; socket files that a
 * dead one left are replaced. Returns NULL after logging why.
 */
struct listener *listener_new(struct gofer *gofer, const char *url, mode_t mode);
void listener_free(struct listener *listener);
/* The URLs of the gofer's listeners, at most `room` of them. Returns how many; they belong to the listeners. */
size_t listeners_urls(const struct gofer *gofer, char **urls, size_t room);
/* Takes the links that have connected, of all listeners, without waiting for epoll to say so. */
void listeners_take_links(struct gofer *gofer);
/* Drops links that have not said whose they are in time, and accepts again after a lack of descriptors. */
void listener_tick(struct listener *listener);

#endif
