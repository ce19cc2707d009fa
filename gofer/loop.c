#include "gofer/loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"

static void
run_posted(struct watch *watch, uint32_t events)
{
	struct loop *loop = (struct loop *)((char *)watch - offsetof(struct loop, wake));
	uint64_t count;

	(void)events;
	if (read(watch->fd, &count, sizeof count) < 0 && errno != EAGAIN)
		return;
	for (;;) {
		struct post *post;

		pthread_mutex_lock(&loop->lock);
		post = loop->posted;
		if (post) {
			loop->posted = post->next;
			if (!loop->posted)
				loop->posted_tail = &loop->posted;
			post->queued = false;
		}
		pthread_mutex_unlock(&loop->lock);
		if (!post)
			return;
		post->run(post);
	}
}

int
loop_init(struct loop *loop)
{
	*loop = (struct loop){.wake = {.fd = -1, .ready = run_posted}};
	loop->posted_tail = &loop->posted;
	pthread_mutex_init(&loop->lock, NULL);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->epoll_fd < 0 || loop->wake.fd < 0)
		return -errno;
	return loop_watch(loop, &loop->wake, EPOLLIN);
}

void
loop_free(struct loop *loop)
{
	loop_close(loop, &loop->wake);
	close(loop->epoll_fd);
	pthread_mutex_destroy(&loop->lock);
}

static void
forget_fetched(struct loop *loop, const struct watch *watch)
{
	for (int i = 0; i < loop->batch_len; i++)
		if (loop->batch[i].data.ptr == watch)
			loop->batch[i].data.ptr = NULL;
}

int
loop_watch(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = watch};
	int op;

	if (events == watch->events || watch->fd < 0)
		return 0;
	op = !events ? EPOLL_CTL_DEL : watch->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (!events)
		forget_fetched(loop, watch);
	if (epoll_ctl(loop->epoll_fd, op, watch->fd, &event) < 0)
		return -errno;
	watch->events = events;
	return 0;
}

void
loop_close(struct loop *loop, struct watch *watch)
{
	if (watch->fd < 0)
		return;
	/* Nobody has a duplicate of it, so closing it takes it out of the epoll set. */
	forget_fetched(loop, watch);
	close(watch->fd);
	watch->fd = -1;
	watch->events = 0;
}

int
loop_take(struct loop *loop, struct watch *watch)
{
	int fd = watch->fd;

	loop_watch(loop, watch, 0);
	watch->fd = -1;
	return fd;
}

void
loop_post(struct loop *loop, struct post *post)
{
	bool first = false;

	pthread_mutex_lock(&loop->lock);
	if (!post->queued) {
		first = !loop->posted;
		post->queued = true;
		post->next = NULL;
		*loop->posted_tail = post;
		loop->posted_tail = &post->next;
	}
	pthread_mutex_unlock(&loop->lock);
	if (first)
		eventfd_write(loop->wake.fd, 1);
}

void
loop_cancel(struct loop *loop, struct post *post)
{
	pthread_mutex_lock(&loop->lock);
	for (struct post **at = &loop->posted; post->queued && *at; at = &(*at)->next) {
		if (*at == post) {
			*at = post->next;
			if (loop->posted_tail == &post->next)
				loop->posted_tail = at;
			post->queued = false;
			break;
		}
	}
	pthread_mutex_unlock(&loop->lock);
}

void
loop_run(struct loop *loop, int tick_ms, void (*tick)(void *arg), void *arg)
{
	int64_t next = now_ms() + tick_ms;

	while (!loop->stop) {
		int64_t now = now_ms();

		if (now >= next) {
			tick(arg);
			next = now + tick_ms;
		}
		loop->batch_len = epoll_wait(loop->epoll_fd, loop->batch, LOOP_BATCH, (int)(next - now > 0 ? next - now : 0));
		for (int i = 0; i < loop->batch_len; i++) {
			struct watch *watch = loop->batch[i].data.ptr;

			if (watch)
				watch->ready(watch, loop->batch[i].events);
		}
		loop->batch_len = 0;
	}
}
