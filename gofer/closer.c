#include "gofer/closer.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct closing {
	struct closing *next; /* closer.first */
	int fd;
	void *map;
	size_t map_size;
};

static void
close_now(const struct closing *closing)
{
	if (closing->map)
		munmap(closing->map, closing->map_size);
	close(closing->fd);
}

static void *
close_all(void *arg)
{
	struct closer *closer = arg;

	pthread_mutex_lock(&closer->lock);
	for (;;) {
		struct closing *closing = closer->first;

		if (!closing && closer->stop)
			break;
		if (!closing) {
			pthread_cond_wait(&closer->changed, &closer->lock);
			continue;
		}
		closer->first = closing->next;
		if (!closer->first)
			closer->last = &closer->first;
		pthread_mutex_unlock(&closer->lock);
		close_now(closing);
		free(closing);
		pthread_mutex_lock(&closer->lock);
		closer->waiting--;
	}
	pthread_mutex_unlock(&closer->lock);
	return NULL;
}

void
closer_init(struct closer *closer)
{
	*closer = (struct closer){.last = &closer->first};
	pthread_mutex_init(&closer->lock, NULL);
	pthread_cond_init(&closer->changed, NULL);
}

void
closer_start(struct closer *closer)
{
	if (!closer->started)
		closer->started = pthread_create(&closer->thread, NULL, close_all, closer) == 0;
}

size_t
closer_waiting(struct closer *closer)
{
	size_t waiting;

	pthread_mutex_lock(&closer->lock);
	waiting = closer->waiting;
	pthread_mutex_unlock(&closer->lock);
	return waiting;
}

void
closer_take(struct closer *closer, int fd, void *map, size_t map_size)
{
	struct closing what = {.fd = fd, .map = map, .map_size = map_size}, *closing;

	if (fd < 0)
		return;
	closing = malloc(sizeof *closing);
	pthread_mutex_lock(&closer->lock);
	if (closing && closer->started) {
		*closing = what;
		closer->waiting++;
		*closer->last = closing;
		closer->last = &closing->next;
		pthread_cond_signal(&closer->changed);
		pthread_mutex_unlock(&closer->lock);
		return;
	}
	pthread_mutex_unlock(&closer->lock);
	free(closing);
	close_now(&what);
}

void
closer_free(struct closer *closer)
{
	pthread_mutex_lock(&closer->lock);
	closer->stop = true;
	pthread_cond_signal(&closer->changed);
	pthread_mutex_unlock(&closer->lock);
	if (closer->started)
		pthread_join(closer->thread, NULL);
	pthread_cond_destroy(&closer->changed);
	pthread_mutex_destroy(&closer->lock);
}
