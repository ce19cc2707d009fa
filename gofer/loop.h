/*
 * The gofer's event loop: one thread, level-triggered epoll. Whoever else has something to say (NNG's callbacks)
 * posts it, and it runs here.
 */
#ifndef SPLITSOCK_GOFER_LOOP_H
#define SPLITSOCK_GOFER_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#define LOOP_BATCH 64

struct watch {
	int fd;          /* -1: nothing to watch */
	uint32_t events; /* what epoll waits for now; 0: not registered */
	void (*ready)(struct watch *watch, uint32_t events);
};

/* Something to run on the loop's thread. At most one of each is queued at a time. */
struct post {
	struct post *next; /* loop.posted */
	bool queued;
	void (*run)(struct post *post);
};

struct loop {
	int epoll_fd;
	struct watch wake;
	pthread_mutex_t lock; /* guards posted */
	struct post *posted, **posted_tail;
	struct epoll_event batch[LOOP_BATCH];
	int batch_len;
	bool stop;
};

int loop_init(struct loop *loop);
void loop_free(struct loop *loop);

/* Makes epoll wait for exactly these events; 0 removes the watch, also from events already fetched. */
int loop_watch(struct loop *loop, struct watch *watch, uint32_t events);
/* Removes the watch and closes its descriptor. */
void loop_close(struct loop *loop, struct watch *watch);

/* Removes the watch; its descriptor is then the caller's. */
int loop_take(struct loop *loop, struct watch *watch);

/* Callable from any thread. */
void loop_post(struct loop *loop, struct post *post);
void loop_cancel(struct loop *loop, struct post *post);

/* Runs until loop.stop; calls tick about every `tick_ms`. */
void loop_run(struct loop *loop, int tick_ms, void (*tick)(void *arg), void *arg);

#endif
