/*
 * The service manager: what it is told, sd_notify(3), and the sockets that it passes, sd_listen_fds(3). Without one, nothing of this does anything.
 */
#ifndef SPLITSOCK_GOFER_SERVICE_H
#define SPLITSOCK_GOFER_SERVICE_H

#include <nng/nng.h>

/* The passed listening socket of this type that is bound to this path, or -1. It is then the caller's. */
int service_take_socket(int type, const char *path);
/* Have all been taken? If not, logs those that nobody took. */
bool service_took_all(void);

/* Has NNG's listener, which is none yet, listen on this socket, which is bound and listens. It then belongs to NNG. Returns as NNG's functions do. */
int service_listen(nng_stream_listener **listener, int fd);

void service_ready(void);
/* Between these two what was configured is read again. */
void service_reloading(void);
void service_reloaded(void);
void service_stopping(void);
/* It lives: for WatchdogSec=. To be called at least once a second by what is to live. */
void service_tick(void);

#endif
