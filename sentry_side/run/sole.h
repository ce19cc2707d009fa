/*
 * Whether a descriptor of the program's is the only thing that keeps its socket.
 *
 * A duplicate would, another process that has it, or an epoll set: those of the calling process are looked at each time. All processes are
 * looked at where one was started since the socket was made, or the caller is not who made it. So a socket is missed that its maker has passed over
 * an AF_UNIX socket, and kept. A process with more than 64 descriptors is not looked through.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_RUN_SOLE_H
#define SPLITSOCK_SENTRY_SIDE_RUN_SOLE_H

#include <stdbool.h>

struct trap;

/* What changes whenever a process or thread is started; 0: not known. loadavg: /proc/loadavg. */
unsigned sole_last_pid(int loadavg);

/* Of the descriptor that the trapped call is about. False where looking would take too long, too. */
bool sole_holder(const struct trap *trap, int loadavg);

#endif
