#include "gofer/loop.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"

static struct loop loop;

static void
nothing(void *arg)
{
	(void)arg;
}

/* For a test that would otherwise wait for ever: the loop ends at the first tick. */
static void
stop(void *arg)
{
	(void)arg;
	loop.stop = true;
}

/* Runs the loop until nothing is left to do. */
static void
run_once(void)
{
	loop.stop = false;
	loop_run(&loop, 20, stop, NULL);
}

static void
setup(void)
{
	cr_assert_eq(loop_init(&loop), 0);
}

static void
teardown(void)
{
	loop_free(&loop);
}

struct seen {
	struct watch watch;
	int count;
	uint32_t events;
	struct watch *drop; /* is closed by whoever is ready first */
};

static void
on_ready(struct watch *watch, uint32_t events)
{
	struct seen *seen = (struct seen *)((char *)watch - offsetof(struct seen, watch));

	seen->count++;
	seen->events |= events;
	if (seen->drop)
		loop_close(&loop, seen->drop);
	if (seen->count >= 3)
		loop_watch(&loop, watch, 0);
}

/* A watch on one end of a pair; returns the other. */
static int
pair_watch(struct seen *seen)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	*seen = (struct seen){.watch = {.fd = pair[0], .ready = on_ready}};
	return pair[1];
}

TestSuite(loop, .init = setup, .fini = teardown, .timeout = 60);

/* ---- watches ------------------------------------------------------------------------------------- */

Test(loop, a_watch_sees_only_what_it_asked_for)
{
	struct seen seen;
	_cleanup_close_ int other = pair_watch(&seen);

	cr_assert_eq(loop_watch(&loop, &seen.watch, EPOLLIN), 0);
	run_once();
	cr_assert_eq(seen.count, 0);
	cr_assert_eq(write(other, "x", 1), 1);
	run_once();
	cr_assert_eq(seen.count, 3, "level-triggered: told again until it was read");
	cr_assert_eq(seen.events, EPOLLIN);
	cr_assert_eq(seen.watch.events, 0);

	seen.count = 0, seen.events = 0;
	cr_assert_eq(loop_watch(&loop, &seen.watch, EPOLLOUT), 0);
	run_once();
	cr_assert_eq(seen.events, EPOLLOUT);
	seen.count = 0, seen.events = 0;
	cr_assert_eq(loop_watch(&loop, &seen.watch, EPOLLIN | EPOLLOUT), 0);
	cr_assert_eq(loop_watch(&loop, &seen.watch, EPOLLIN), 0, "changed while registered");
	run_once();
	cr_assert_eq(seen.events, EPOLLIN);
	loop_close(&loop, &seen.watch);
}

Test(loop, hang_up_is_told_to_whoever_watches_anything)
{
	struct seen seen;
	int other = pair_watch(&seen);

	cr_assert_eq(loop_watch(&loop, &seen.watch, EPOLLHUP), 0);
	run_once();
	cr_assert_eq(seen.count, 0);
	close(other);
	run_once();
	cr_assert(seen.events & EPOLLHUP);
	loop_close(&loop, &seen.watch);
}

Test(loop, without_a_descriptor_watching_is_nothing)
{
	struct watch watch = {.fd = -1, .ready = on_ready};

	cr_assert_eq(loop_watch(&loop, &watch, EPOLLIN), 0);
	cr_assert_eq(watch.events, 0);
	loop_close(&loop, &watch);
	loop_close(&loop, &watch);
	cr_assert_eq(watch.fd, -1);
}

Test(loop, what_epoll_refuses_is_an_error_and_leaves_no_watch)
{
	struct watch watch = {.fd = open("/dev/null", O_RDONLY | O_CLOEXEC), .ready = on_ready};
	struct watch closed = {.fd = 1000000, .ready = on_ready};

	cr_assert_eq(loop_watch(&loop, &watch, EPOLLIN), -EPERM);
	cr_assert_eq(watch.events, 0);
	cr_assert_eq(loop_watch(&loop, &closed, EPOLLIN), -EBADF);
	cr_assert_eq(closed.events, 0);
	loop_close(&loop, &watch);
}

Test(loop, closing_closes)
{
	struct seen seen;
	_cleanup_close_ int other = pair_watch(&seen);
	int fd = seen.watch.fd;

	cr_assert_eq(loop_watch(&loop, &seen.watch, EPOLLIN), 0);
	loop_close(&loop, &seen.watch);
	cr_assert_eq(seen.watch.fd, -1);
	cr_assert_eq(seen.watch.events, 0);
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
}

/* The case that use after free comes from: two are ready in one batch, and the first to run frees the other. */
Test(loop, an_event_already_fetched_is_forgotten)
{
	struct seen a, b;
	_cleanup_close_ int other_a = pair_watch(&a), other_b = pair_watch(&b);

	a.drop = &b.watch;
	b.drop = &a.watch;
	cr_assert_eq(loop_watch(&loop, &a.watch, EPOLLIN), 0);
	cr_assert_eq(loop_watch(&loop, &b.watch, EPOLLIN), 0);
	cr_assert_eq(write(other_a, "x", 1), 1);
	cr_assert_eq(write(other_b, "x", 1), 1);
	run_once();
	cr_assert((a.count > 0) != (b.count > 0), "only one of them ran: %d, %d", a.count, b.count);
	loop_close(&loop, &a.watch);
	loop_close(&loop, &b.watch);
}

/* ---- posts --------------------------------------------------------------------------------------- */

struct posted {
	struct post post;
	int runs;
	struct post *also; /* posted by the run */
};

static char order[16];

static void
on_post(struct post *post)
{
	struct posted *posted = (struct posted *)((char *)post - offsetof(struct posted, post));

	posted->runs++;
	if (posted->also)
		loop_post(&loop, posted->also);
	posted->also = NULL;
}

static void on_post_a(struct post *post) { strcat(order, "a"); on_post(post); }
static void on_post_b(struct post *post) { strcat(order, "b"); on_post(post); }
static void on_post_c(struct post *post) { strcat(order, "c"); on_post(post); }

Test(loop, a_post_runs_once_for_each_time_it_is_queued)
{
	struct posted a = {.post = {.run = on_post_a}};

	loop_post(&loop, &a.post);
	loop_post(&loop, &a.post);
	loop_post(&loop, &a.post);
	run_once();
	cr_assert_eq(a.runs, 1, "at most one of each is queued");
	loop_post(&loop, &a.post);
	run_once();
	cr_assert_eq(a.runs, 2);
	run_once();
	cr_assert_eq(a.runs, 2);
}

Test(loop, posts_run_in_order)
{
	struct posted a = {.post = {.run = on_post_a}}, b = {.post = {.run = on_post_b}}, c = {.post = {.run = on_post_c}};

	b.also = &a.post; /* from inside a run */
	loop_post(&loop, &c.post);
	loop_post(&loop, &b.post);
	run_once();
	cr_assert_str_eq(order, "cba");
}

Test(loop, a_cancelled_post_does_not_run)
{
	/* The first, the middle, the last of the queue, and one that is not in it. */
	for (int which = 0; which < 4; which++) {
		struct posted a = {.post = {.run = on_post_a}}, b = {.post = {.run = on_post_b}}, c = {.post = {.run = on_post_c}};
		struct posted d = {.post = {.run = on_post}}, *all[] = {&a, &b, &c, &d};
		struct posted after = {.post = {.run = on_post}};

		order[0] = 0;
		loop_post(&loop, &a.post);
		loop_post(&loop, &b.post);
		loop_post(&loop, &c.post);
		loop_cancel(&loop, &all[which]->post);
		loop_cancel(&loop, &all[which]->post);
		cr_assert_not(all[which]->post.queued);
		loop_post(&loop, &after.post); /* the queue's end is still its end */
		run_once();
		cr_assert_eq(after.runs, 1);
		cr_assert_str_eq(order, which == 0 ? "bc" : which == 1 ? "ac" : which == 2 ? "ab" : "abc");
		loop_post(&loop, &all[which]->post);
		run_once();
		cr_assert_eq(all[which]->runs, 1, "it may be queued again");
	}
}

Test(loop, cancelling_all_leaves_a_queue_that_works)
{
	struct posted a = {.post = {.run = on_post_a}}, b = {.post = {.run = on_post_b}};

	loop_post(&loop, &a.post);
	loop_post(&loop, &b.post);
	loop_cancel(&loop, &b.post);
	loop_cancel(&loop, &a.post);
	run_once();
	cr_assert_str_eq(order, "");
	loop_post(&loop, &b.post);
	run_once();
	cr_assert_str_eq(order, "b");
}

/* ---- posts from other threads -------------------------------------------------------------------- */

enum { POSTERS = 8, POSTS = 2000 };

struct counted {
	struct post post;
	atomic_int asked;
	int served, last;
};

static struct counted counted[POSTERS];
static atomic_int posters_done;

static void
on_counted(struct post *post)
{
	struct counted *c = (struct counted *)((char *)post - offsetof(struct counted, post));

	c->last = c->asked; /* whoever posts says first what for, as NNG's callbacks do */
	c->served++;
}

static void *
poster(void *arg)
{
	struct counted *c = arg;

	for (int i = 0; i < POSTS; i++) {
		c->asked++;
		loop_post(&loop, &c->post);
		if (i % 64 == 0)
			nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
	}
	posters_done++;
	return NULL;
}

static void
stop_when_done(void *arg)
{
	(void)arg;
	if (posters_done == POSTERS)
		loop.stop = true;
}

Test(loop, no_post_of_any_thread_is_lost)
{
	pthread_t threads[POSTERS];

	for (int i = 0; i < POSTERS; i++) {
		counted[i].post.run = on_counted;
		cr_assert_eq(pthread_create(&threads[i], NULL, poster, &counted[i]), 0);
	}
	loop_run(&loop, 5, stop_when_done, NULL);
	for (int i = 0; i < POSTERS; i++)
		pthread_join(threads[i], NULL);
	run_once();
	for (int i = 0; i < POSTERS; i++) {
		cr_assert_eq(counted[i].last, POSTS, "the last of thread %d was served", i);
		cr_assert(counted[i].served >= 1 && counted[i].served <= POSTS);
	}
}

/* ---- ticks --------------------------------------------------------------------------------------- */

static int ticks;

static void
count_ticks(void *arg)
{
	(void)arg;
	if (++ticks == 5)
		loop.stop = true;
}

Test(loop, ticks_come_also_while_it_is_busy)
{
	struct seen seen;
	_cleanup_close_ int other = pair_watch(&seen);
	int64_t began;

	/* Ready for ever: three events end the watch, so start far below. */
	seen.count = INT32_MIN;
	cr_assert_eq(write(other, "x", 1), 1);
	cr_assert_eq(loop_watch(&loop, &seen.watch, EPOLLIN), 0);
	began = now_ms();
	loop_run(&loop, 20, count_ticks, NULL);
	cr_assert_eq(ticks, 5);
	cr_assert_geq(now_ms() - began, 99, "not sooner than asked");
	cr_assert_lt(now_ms() - began, 5000);
	loop_close(&loop, &seen.watch);
}

Test(loop, a_stopped_loop_does_not_run)
{
	struct posted a = {.post = {.run = on_post_a}};

	loop.stop = true;
	loop_post(&loop, &a.post);
	loop_run(&loop, 10, nothing, NULL);
	cr_assert_eq(a.runs, 0);
}
