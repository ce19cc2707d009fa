/*
 * The policy that the gofer has, from its start on and when it is read again.
 */
#ifndef SPLITSOCK_GOFER_RELOAD_H
#define SPLITSOCK_GOFER_RELOAD_H

#include "gofer/gofer.h"

#define RELOAD_MESSAGE_MAX 512u

/* The policy of that name, "open" or a file's, with one holder. NULL after writing what is wrong, in a line. What is odd in it goes to the log. */
struct policy *policy_new(const char *name, char *message, size_t message_size);

/*
 * Reads the gofer's policy again and puts it in force, or leaves everything as it is. Returns 0, or a negative errno after writing what is wrong,
 * and logging it.
 *
 * Every session gets the entry that the new policy has for it, and from then on is asked about that. What it has stays: connections and bound
 * sockets, wherever they lead. It does not where the new entry would not let it open such a socket at all, and listeners where it may not
 * listen any more; those are closed, and connections are reset.
 */
int gofer_reload(struct gofer *gofer, char *message, size_t message_size);

#endif
