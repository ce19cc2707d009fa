/*
 * The sentry side's table of links: what is in it, what leaves it, and that nothing is left. With a real gofer.
 */
#include "sentry_side/link.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/library/gofer_process.h"

static struct gofer_process gofer;
static struct ss ss;

static int
borrow(struct ss *of, const struct link *link)
{
	(void)of;
	return link->fd < 0 ? -1 : fcntl(link->fd, F_DUPFD_CLOEXEC, 0);
}

static void
setup(void)
{
	int descriptors;

	gofer_process_start(&gofer, NULL, NULL);
	descriptors = gofer_process_descriptors(&gofer);
	ss = (struct ss){.borrow = borrow};
	cr_assert_eq(ss_init(&ss, gofer.url, NULL), 0);
	gofer_process_await(&gofer, descriptors + 2);
}

static void
teardown(void)
{
	ss_destroy(&ss);
	gofer_process_stop(&gofer);
}

TestSuite(link_table, .init = setup, .fini = teardown, .timeout = 60);

static uint64_t
inode_of(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

/* A socket whose link nobody but the table refers to. */
static int
new_socket(int family, int type, int protocol)
{
	struct link *link = NULL;
	int fd = -1;

	cr_assert_eq(link_socket(&ss, family, type, protocol, &fd, &link), 0);
	cr_assert_geq(fd, 0);
	link->fd = fd;
	link_unref(link);
	return fd;
}

static void
nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* Sweeps until only this many links are left. */
static void
sweep_to(size_t count)
{
	for (int i = 0; i < 1000 && ss.by_handle.count != count; i++) {
		link_sweep(&ss);
		nap();
	}
	cr_assert_eq(ss.by_handle.count, count, "%zu links are left, not %zu", ss.by_handle.count, count);
	cr_assert_eq(ss.by_inode.count, count);
}

/* The gofer is back at what it held before. */
static void
await_descriptors(int count)
{
	for (int i = 0; i < 1000 && gofer_process_descriptors(&gofer) != count; i++)
		nap();
	cr_assert_eq(gofer_process_descriptors(&gofer), count);
}

struct outcome {
	sem_t done;
	int error;
	size_t peer_len;
};

static void
on_done(void *arg, const struct link_result *result)
{
	struct outcome *outcome = arg;

	outcome->error = result->error;
	outcome->peer_len = result->peer.len;
	sem_post(&outcome->done);
}

static int
bind_to_loopback(struct link *link, uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct outcome outcome;
	struct link_name name;

	sem_init(&outcome.done, 0, 0);
	cr_assert_eq(link_bind(link, (struct sockaddr *)&address, sizeof address, on_done, &outcome), 0);
	sem_wait(&outcome.done);
	if (outcome.error)
		return outcome.error;
	cr_assert(link_local_name(link, &name));
	*port = ntohs(name.address.in.sin_port);
	return 0;
}

/* ---- finding ------------------------------------------------------------------------------------- */

Test(link_table, a_socket_is_found_by_its_inode)
{
	int fd = new_socket(AF_INET, SOCK_STREAM, 0), other = new_socket(AF_INET6, SOCK_DGRAM, 0), copy = dup(fd);
	struct link *link = link_by_inode(&ss, inode_of(fd)), *same = link_by_inode(&ss, inode_of(copy));

	cr_assert_not_null(link);
	cr_assert_eq(link, same, "a duplicate is the same socket");
	cr_assert_eq(link->family, AF_INET);
	cr_assert_eq(link->type, SOCK_STREAM);
	link_unref(link);
	link_unref(same);
	link = link_by_inode(&ss, inode_of(other));
	cr_assert_not_null(link);
	cr_assert_eq(link->family, AF_INET6);
	cr_assert_eq(link->type, SOCK_DGRAM);
	link_unref(link);
	cr_assert_null(link_by_inode(&ss, 1));
	cr_assert_null(link_by_inode(&ss, inode_of(STDIN_FILENO)));
	close(fd);
	close(copy);
	close(other);
}

Test(link_table, flags_are_the_descriptors)
{
	struct link *link;
	int fd;

	cr_assert_eq(link_socket(&ss, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, &fd, &link), 0);
	cr_assert_eq(link->type, SOCK_STREAM);
	cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	link_unref(link);
	close(fd);
}

Test(link_table, what_is_no_socket_of_ours_is_refused_and_leaves_nothing)
{
	static const struct {
		int family, type, protocol, error;
	} cases[] = {
		{AF_INET, SOCK_RAW, 0, -EPROTONOSUPPORT}, {AF_INET6, SOCK_RAW, 1000, -EINVAL}, {AF_PACKET, SOCK_RAW, 0, -EPERM},
		{AF_INET, SOCK_STREAM, IPPROTO_UDP, -EPROTONOSUPPORT}, {AF_INET, 77, 0, -EINVAL}, {9999, SOCK_STREAM, 0, -EAFNOSUPPORT},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct link *link = NULL;
		int fd = -1;

		cr_assert_eq(link_socket(&ss, cases[i].family, cases[i].type, cases[i].protocol, &fd, &link), cases[i].error, "case %zu",
		             i);
		cr_assert_eq(fd, -1);
		cr_assert_null(link);
	}
	cr_assert_eq(ss.by_handle.count, 0);
}

/* ---- sweeping ------------------------------------------------------------------------------------ */

Test(link_table, fresh_streams_cost_the_gofer_nothing)
{
	int fds[50], before = gofer_process_descriptors(&gofer);

	for (int i = 0; i < 50; i++)
		fds[i] = new_socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(gofer_process_descriptors(&gofer), before);
	for (int i = 0; i < 50; i++)
		close(fds[i]);
}

Test(link_table, a_sweep_drops_what_is_closed_and_nothing_else)
{
	enum { COUNT = 300 }; /* more than one round of the sweep */
	int fds[COUNT];

	for (int i = 0; i < COUNT; i++)
		fds[i] = new_socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(ss.by_handle.count, COUNT);
	link_sweep(&ss);
	cr_assert_eq(ss.by_handle.count, COUNT, "all are open");
	for (int i = 0; i < COUNT; i += 2)
		close(fds[i]);
	link_sweep(&ss);
	cr_assert_eq(ss.by_handle.count, COUNT / 2);
	for (int i = 1; i < COUNT; i += 2) {
		struct link *link = link_by_inode(&ss, inode_of(fds[i]));

		cr_assert_not_null(link, "socket %d is open and was dropped", i);
		link_unref(link);
		close(fds[i]);
	}
	link_sweep(&ss);
	cr_assert_eq(ss.by_handle.count, 0);
	cr_assert_eq(ss.by_inode.count, 0);
}

Test(link_table, a_duplicate_keeps_it)
{
	int fd = new_socket(AF_INET, SOCK_STREAM, 0), copy = dup(fd);

	close(fd);
	link_sweep(&ss);
	cr_assert_eq(ss.by_handle.count, 1);
	close(copy);
	link_sweep(&ss);
	cr_assert_eq(ss.by_handle.count, 0);
}

Test(link_table, a_reference_outlives_the_sweep)
{
	int fd = new_socket(AF_INET, SOCK_STREAM, 0);
	struct link *link = link_by_inode(&ss, inode_of(fd));

	close(fd);
	link_sweep(&ss);
	cr_assert_eq(ss.by_handle.count, 0);
	cr_assert_eq(link->family, AF_INET, "and may still be looked at");
	link_unref(link);
}

Test(link_table, opening_and_closing_for_ever_does_not_grow)
{
	size_t most = 0;

	for (int i = 0; i < 5000; i++) {
		close(new_socket(AF_INET, SOCK_STREAM, 0));
		if (ss.by_handle.count > most)
			most = ss.by_handle.count;
	}
	cr_assert_leq(most, 1000, "%zu links at once for one open socket at a time", most);
}

/* A port bound by a stream that was closed: nobody tells the gofer, so the sweep must. */
Test(link_table, a_sweep_frees_a_bound_port)
{
	int before = gofer_process_descriptors(&gofer), fd = new_socket(AF_INET, SOCK_STREAM, 0);
	struct link *link = link_by_inode(&ss, inode_of(fd));
	uint16_t port = 0;

	cr_assert_eq(bind_to_loopback(link, &port), 0);
	cr_assert_neq(port, 0);
	cr_assert_eq(gofer_process_descriptors(&gofer), before + 1);
	cr_assert(link_sweep_wanted(&ss), "there is one that holds a host socket");
	cr_assert_not(link_sweep(&ss), "which is open");
	link_unref(link);
	close(fd);
	fd = new_socket(AF_INET, SOCK_STREAM, 0);
	link = link_by_inode(&ss, inode_of(fd));
	/* link_socket() may have swept already. */
	link_sweep(&ss);
	cr_assert_eq(bind_to_loopback(link, &port), 0, "the port is free");
	link_unref(link);
	close(fd);
	link_sweep(&ss);
	await_descriptors(before);
}

/* ---- what the gofer tells ------------------------------------------------------------------------ */

Test(link_table, the_gofer_sees_datagram_sockets_close)
{
	int before = gofer_process_descriptors(&gofer), fds[40];

	for (int i = 0; i < 40; i++)
		fds[i] = new_socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_eq(ss.by_handle.count, 40);
	cr_assert_not(link_sweep(&ss), "their ends are connected from the start");
	for (int i = 0; i < 40; i++)
		close(fds[i]);
	await_descriptors(before); /* without a sweep */
	sweep_to(0);
}

/*
 * A netlink socket is opened without waiting. One that is closed at once may hang up before the gofer reads that request, which
 * then opens a host socket that nobody has: the sweep has to say so.
 */
Test(link_table, netlink_sockets_that_are_closed_at_once_leave_nothing)
{
	int before = gofer_process_descriptors(&gofer);

	for (int i = 0; i < 300; i++)
		close(new_socket(AF_NETLINK, SOCK_RAW, 0));
	sweep_to(0);
	await_descriptors(before);
}

/* What the gofer has let go of may still be asked about, for as long as the program has it. */
Test(link_table, a_link_stays_as_long_as_its_descriptor)
{
	int before = gofer_process_descriptors(&gofer), fd = new_socket(AF_INET, SOCK_DGRAM, 0);
	struct link *link = link_by_inode(&ss, inode_of(fd));

	await_descriptors(before + 1);
	cr_assert_eq(shutdown(fd, SHUT_RDWR), 0); /* the gofer sees a hang-up */
	await_descriptors(before);
	link_sweep(&ss);
	link_unref(link);
	link = link_by_inode(&ss, inode_of(fd));
	cr_assert_not_null(link);
	link_unref(link);
	close(fd);
	sweep_to(0);
}

Test(link_table, an_inode_that_comes_again_is_another_socket)
{
	/* AF_UNIX inode numbers do not come again soon, so say that one did: the table must take the new one. */
	int fd = new_socket(AF_INET, SOCK_STREAM, 0), other;
	struct link *link = link_by_inode(&ss, inode_of(fd)), *found;

	pthread_mutex_lock(&ss.lock);
	table_remove(&ss.by_inode, &link->by_inode);
	link->by_inode.key = 12345;
	table_add(&ss.by_inode, &link->by_inode);
	pthread_mutex_unlock(&ss.lock);
	found = link_by_inode(&ss, 12345);
	cr_assert_eq(found, link);
	link_unref(found);
	/* Its descriptor is open, but under that number nothing is: it is swept. */
	link_sweep(&ss);
	cr_assert_null(link_by_inode(&ss, 12345));
	cr_assert_eq(ss.by_handle.count, 0);
	link_unref(link);
	other = new_socket(AF_INET, SOCK_DGRAM, 0);
	cr_assert_eq(ss.by_handle.count, 1);
	close(fd);
	close(other);
	sweep_to(0);
}

Test(link_table, after_the_gofer_there_are_no_new_sockets)
{
	struct link *link = NULL;
	int fd = -1, result = 0;

	gofer_process_kill(&gofer);
	for (int i = 0; i < 400 && !session_ended(&ss.session); i++)
		nap();
	cr_assert(session_ended(&ss.session));
	result = link_socket(&ss, AF_INET, SOCK_STREAM, 0, &fd, &link);
	cr_assert_eq(result, -ENETDOWN);
	result = link_socket(&ss, AF_INET, SOCK_DGRAM, 0, &fd, &link);
	cr_assert_eq(result, -ENETDOWN);
	cr_assert_eq(fd, -1);
}

enum { THREADS = 6, ROUNDS = 150 };

static void *
open_and_close(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		int fd = new_socket(AF_INET, i % 2 ? SOCK_STREAM : SOCK_DGRAM, 0);
		struct link *link = link_by_inode(&ss, inode_of(fd));

		if (!link || link->fd != fd)
			return "an open socket was not found";
		link_unref(link);
		if (i % 16 == (int)(intptr_t)arg)
			link_sweep(&ss);
		close(fd);
	}
	return NULL;
}

Test(link_table, many_threads_open_find_sweep_and_close)
{
	pthread_t threads[THREADS];

	for (intptr_t i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, open_and_close, (void *)i), 0);
	for (int i = 0; i < THREADS; i++) {
		void *complaint;

		pthread_join(threads[i], &complaint);
		cr_assert_null(complaint, "%s", (char *)complaint);
	}
	sweep_to(0);
}

/* The kernel would look at our privileges: what iptables does must not be had by way of the question. */
Test(link_table, nobody_reaches_the_tables_of_a_namespace_through_us)
{
	static const struct {
		int family, level, name;
	} tables[] = {
		{AF_INET, IPPROTO_IP, 64},         {AF_INET, IPPROTO_IP, 65},    {AF_INET, IPPROTO_IP, 66},  {AF_INET, IPPROTO_IP, 96},
		{AF_INET, IPPROTO_IP, 128},        {AF_INET, IPPROTO_IP, 1152},  {AF_INET6, IPPROTO_IP, 64}, {AF_INET6, IPPROTO_IPV6, 64},
		{AF_INET6, IPPROTO_IPV6, 65},      {AF_INET6, IPPROTO_IPV6, 68},
	};

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		struct link link = {.family = tables[i].family, .type = SOCK_STREAM};
		char value[256] = "filter";
		socklen_t len = 84; /* struct ipt_getinfo; with it the kernel answers 0 */

		cr_expect_eq(link_kernel_on_get(&link, tables[i].level, tables[i].name, value, &len), -ENOPROTOOPT, "%d, %d",
		             tables[i].level, tables[i].name);
		cr_expect_eq(link_kernel_on_set(&link, tables[i].level, tables[i].name, value, 84), -ENOPROTOOPT, "%d, %d",
		             tables[i].level, tables[i].name);
	}
}
