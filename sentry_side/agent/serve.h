/*
 * A process of its own for each filter that a runtime hands over: it serves the container and nothing else.
 */
#ifndef SPLITSOCK_SENTRY_SIDE_AGENT_SERVE_H
#define SPLITSOCK_SENTRY_SIDE_AGENT_SERVE_H

/*
 * Receives the container from the runtime's connection and serves it until no process is left under its filter. `notes`: see container_receive().
 * Returns an exit status.
 */
int serve(int connection, const char *url, const char *notes);

#endif
