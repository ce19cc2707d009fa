/*
 * Options and ioctls.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/sockios.h>

#include "proto/ethtool.h"
#include "sentry_side/run/supervisor.h"

static void
finish_plain(struct pending *pending, const struct link_result *result)
{
	trap_answer(&pending->trap, result->error);
}

/* Sets an option to what has been read of the program's memory. */
static void
set_to(struct trap *trap, const void *value, socklen_t len)
{
	const __u64 *args = trap->call.data.args;
	struct pending *pending = pending_new(trap);
	int error;

	if (!pending)
		return;
	pending->finish = finish_plain;
	error = link_set_option(pending->trap.link, pending->trap.a, (int)args[1], (int)args[2], value, len, pending_done,
	                        pending);
	if (error == 1) {
		trap_return(&pending->trap, 0);
		pending_free(pending);
	} else {
		pending_started(pending, error);
	}
}

/* The value points to the filter's instructions. */
static void
set_filter(struct trap *trap, int len)
{
	struct sock_filter instructions[BPF_MAXINSNS];
	struct sock_fprog program;

	/* The kernel reads an int of every option before it asks which one it is. */
	if (len >= (int)sizeof(int) && !target_read(trap, trap->call.data.args[3], &program, sizeof(int)))
		trap_error(trap, EFAULT);
	else if (len != sizeof program)
		trap_error(trap, EINVAL);
	else if (!target_read(trap, trap->call.data.args[3], &program, sizeof program))
		trap_error(trap, EFAULT);
	else if (!program.filter || program.len == 0 || program.len > BPF_MAXINSNS)
		trap_error(trap, EINVAL);
	else if (!target_read(trap, (uint64_t)(uintptr_t)program.filter, instructions, program.len * sizeof *instructions))
		trap_error(trap, EFAULT);
	else
		set_to(trap, instructions, (socklen_t)(program.len * sizeof *instructions));
}

/* So many bytes, and behind them nothing that could be read or written: for the kernel to find as the program has it. */
static void *
mirror(const void *bytes, size_t len)
{
	static char *end; /* only the supervisor's thread is here */
	size_t guard = (size_t)sysconf(_SC_PAGESIZE), size = guard < 2 * LINK_VALUE_MAX ? 2 * LINK_VALUE_MAX : guard;

	if (!end) {
		char *map = mmap(NULL, size + guard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (map == MAP_FAILED || mprotect(map + size, guard, PROT_NONE) < 0)
			return NULL;
		end = map + size;
	}
	return memcpy(end - len, bytes, len);
}

static bool
asks_for_errors(const struct trap *trap)
{
	const __u64 *args = trap->call.data.args;
	int level = (int)args[1], name = (int)args[2], len = (int)args[4];

	if (link_is_stream(trap->link) || trap->link->family == AF_NETLINK)
		return false;
	return (level == IPPROTO_IP && name == IP_RECVERR) ||
	       (level == IPPROTO_IPV6 && name == IPV6_RECVERR && trap->link->family == AF_INET6 && len >= (int)sizeof(int));
}

/* IPv4's options may be as short as a byte. */
static bool
is_on(const char *value, int len)
{
	int number = 0;

	memcpy(&number, value, len >= (int)sizeof number ? sizeof number : len > 0);
	return number;
}

void
trap_setsockopt(struct trap *trap)
{
	const __u64 *args = trap->call.data.args;
	const struct socket_option *option = option_by_host((int)args[1], (int)args[2]);
	char value[2 * LINK_VALUE_MAX] = {0};
	int len = (int)args[4], error;
	size_t there;

	if (len < 0) {
		trap_error(trap, EINVAL);
		return;
	}
	if (option && option->value == OPTION_FILTER) {
		set_filter(trap, len);
		return;
	}
	/* Nothing that we carry is longer. */
	if (len > (int)sizeof value)
		len = sizeof value;
	there = target_read_some(trap, args[3], value, (size_t)len);
	if (there < (option ? option_reads(option, (size_t)len) : (size_t)len)) {
		const void *copy = args[3] ? mirror(value, there) : NULL; /* IPv6 takes no address for 0 */

		/* What the kernel does not look at need not be there, and it may complain of something else before it looks. */
		error = link_kernel_on_set(trap->link, (int)args[1], (int)args[2], copy, (socklen_t)len);
		if (error || !option) {
			trap_error(trap, error ? -error : ENOPROTOOPT);
			return;
		}
	}
	if (asks_for_errors(trap))
		surrogate_set_told(trap, (int)args[1] == IPPROTO_IPV6, is_on(value, len));
	set_to(trap, value, (socklen_t)len);
}

/* What getsockopt writes: the value, then its length. */
static void
give_value(struct trap *trap, const void *value, size_t bytes, socklen_t len)
{
	int written = (int)len;

	if (!trap_valid(trap))
		return;
	trap_answer(trap, target_write(trap, trap->call.data.args[3], value, bytes) &&
	                          target_write(trap, trap->call.data.args[4], &written, sizeof written)
	                      ? 0 : EFAULT);
}

static void
finish_getsockopt(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;
	const struct socket_option *option = option_by_host((int)trap->call.data.args[1], (int)trap->call.data.args[2]);
	char value[LINK_VALUE_MAX];
	socklen_t len = pending->room;
	int error = link_finish_get_option(trap->link, trap->a, (int)trap->call.data.args[1], (int)trap->call.data.args[2],
	                                   result, value, &len);

	/* A few options say how much room they need when they have not got it. */
	if (error && len != pending->room && trap_valid(trap))
		target_write(trap, trap->call.data.args[4], &len, sizeof len);
	if (error)
		trap_error(trap, error);
	else if (option && option->value == OPTION_FILTER)
		give_value(trap, value, pending->room ? len * sizeof(struct sock_filter) : 0, len);
	else
		give_value(trap, value, len, len);
}

/* An option that asks has the question where the answer goes. False, and the trap is answered: it is not there. */
static bool
read_question(struct trap *trap, void *value, size_t len)
{
	const __u64 *args = trap->call.data.args;
	size_t there = target_read_some(trap, args[3], value, len);
	socklen_t room = (socklen_t)len;

	if (there < len &&
	    link_kernel_on_get(trap->link, (int)args[1], (int)args[2], mirror(value, there), &room) == -EFAULT) {
		trap_error(trap, EFAULT);
		return false;
	}
	return true;
}

void
trap_getsockopt(struct trap *trap)
{
	const __u64 *args = trap->call.data.args;
	const struct socket_option *option = option_by_host((int)args[1], (int)args[2]);
	char value[LINK_VALUE_MAX] = {0};
	struct pending *pending;
	socklen_t len;
	int room, error;

	if (!target_read(trap, args[4], &room, sizeof room)) {
		error = link_kernel_on_get(trap->link, (int)args[1], (int)args[2], value, NULL);
		trap_error(trap, error ? -error : EFAULT);
		return;
	}
	len = room < 0 || room > (int)sizeof value ? sizeof value : (socklen_t)room;
	if (option && option->asks && !read_question(trap, value, len))
		return;
	if (room < 0) {
		socklen_t negative = (socklen_t)-1;

		/* A few levels look at other things first, or take it for a large number. Our socket may be connected. */
		error = link_kernel_on_get(trap->link, (int)args[1], (int)args[2], value, &negative);
		if (error && (!option || error != -ENOTCONN)) {
			trap_error(trap, -error);
			return;
		}
	}
	if (trap->link->surrogate && (int)args[1] == SOL_SOCKET && (int)args[2] == SO_ERROR) {
		int pending_error = surrogate_error(trap->link, trap->a);

		/* One that it does not have yet, the gofer may have. */
		if (pending_error) {
			len = len < sizeof pending_error ? len : sizeof pending_error;
			give_value(trap, &pending_error, len, len);
			return;
		}
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->room = len;
	pending->finish = finish_getsockopt;
	error = link_get_option(pending->trap.link, pending->trap.a, (int)args[1], (int)args[2], value, &len, pending_done,
	                        pending);
	if (error == 1) {
		give_value(&pending->trap, value, len, len);
		pending_free(pending);
	} else {
		pending_started(pending, error);
	}
}

/* ---- ioctl -------------------------------------------------------------------------------------- */

static void
finish_ifreq(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;
	uint64_t at = trap->call.data.args[2];

	if (result->error || !trap_valid(trap)) {
		trap_answer(trap, result->error);
		return;
	}
	trap_answer(trap, target_write(trap, at, result->value, result->value_len) ? 0 : EFAULT);
}

static void
finish_ifconf(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;
	struct ifconf ifconf;
	uint64_t at = trap->call.data.args[2];

	if (result->error || !trap_valid(trap)) {
		trap_answer(trap, result->error);
		return;
	}
	if (!target_read(trap, at, &ifconf, sizeof ifconf)) {
		trap_error(trap, EFAULT);
		return;
	}
	/* Without a buffer: how much room the list needs. With one: whole entries only. */
	if (ifconf.ifc_buf) {
		if (ifconf.ifc_len < 0)
			ifconf.ifc_len = 0;
		if ((size_t)ifconf.ifc_len > result->value_len)
			ifconf.ifc_len = (int)result->value_len;
		ifconf.ifc_len -= ifconf.ifc_len % (int)sizeof(struct ifreq);
		if (!target_write(trap, (uint64_t)(uintptr_t)ifconf.ifc_buf, result->value, (size_t)ifconf.ifc_len)) {
			trap_error(trap, EFAULT);
			return;
		}
	} else {
		ifconf.ifc_len = (int)result->value_len;
	}
	trap_answer(trap, target_write(trap, at, &ifconf, sizeof ifconf) ? 0 : EFAULT);
}

static void
interface_ioctl(struct trap *trap, uint32_t request)
{
	struct pending *pending;
	struct ifreq ifreq;
	size_t len = request == SIOCGIFCONF ? 0 : sizeof ifreq;

	if (!target_read(trap, trap->call.data.args[2], &ifreq, len)) {
		trap_error(trap, EFAULT);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->finish = request == SIOCGIFCONF ? finish_ifconf : finish_ifreq;
	pending_started(pending,
	                link_interface_ioctl(pending->trap.link, request, &ifreq, len, NULL, 0, pending_done, pending));
}

static void
finish_ethtool(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;
	struct ifreq ifreq;

	if (result->error || !trap_valid(trap)) {
		trap_answer(trap, result->error);
		return;
	}
	trap_answer(trap, target_read(trap, trap->call.data.args[2], &ifreq, sizeof ifreq) &&
	                          target_write(trap, (uint64_t)(uintptr_t)ifreq.ifr_data, result->value, result->value_len)
	                      ? 0 : EFAULT);
}

/* Reads alone; the structure goes along, as the gofer cannot follow the pointer to it. */
static void
ethtool_ioctl(struct trap *trap)
{
	struct pending *pending;
	struct ifreq ifreq;
	uint8_t data[ETHTOOL_SIZE_MAX];
	uint64_t at;
	size_t size, head;

	if (!target_read(trap, trap->call.data.args[2], &ifreq, sizeof ifreq)) {
		trap_error(trap, EFAULT);
		return;
	}
	at = (uint64_t)(uintptr_t)ifreq.ifr_data;
	/* The shortest structure is eight bytes long, and may lie at the end of a page. */
	head = target_read(trap, at, data, ETHTOOL_HEAD) ? ETHTOOL_HEAD : target_read(trap, at, data, 8) ? 8 : 0;
	if (!head) {
		trap_error(trap, EFAULT);
		return;
	}
	size = ethtool_size(data, head);
	if (!size) {
		trap_error(trap, EOPNOTSUPP);
		return;
	}
	if (!target_read(trap, at, data, size)) {
		trap_error(trap, EFAULT);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->finish = finish_ethtool;
	pending_started(pending, link_interface_ioctl(pending->trap.link, SIOCETHTOOL, &ifreq, sizeof ifreq, data, size,
	                                              pending_done, pending));
}

static void
finish_unsent(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;
	int unsent = (int)((uint32_t)trap->call.data.args[1] == SIOCOUTQ ? result->count : result->unsent);

	if (link_is_over(trap->link))
		unsent = 0;
	else if (result->error && result->error != EINPROGRESS)
		unsent = -result->error;
	if (unsent < 0)
		trap_error(trap, -unsent);
	else if (trap_valid(trap))
		trap_answer(trap, target_write(trap, trap->call.data.args[2], &unsent, sizeof unsent) ? 0 : EFAULT);
}

/* SIOCOUTQ, SIOCOUTQNSD: what the peer has not acknowledged, or we have not sent; on a fresh socket nothing. */
static void
unsent_ioctl(struct trap *trap)
{
	struct pending *pending;
	int none = 0;

	if (link_is_stream(trap->link) && trap->link->state == LINK_LISTENING) {
		trap_error(trap, EINVAL);
		return;
	}
	if (!trap->link->opened || link_is_over(trap->link)) {
		trap_answer(trap, target_write(trap, trap->call.data.args[2], &none, sizeof none) ? 0 : EFAULT);
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->finish = finish_unsent;
	pending_started(pending, link_query(pending->trap.link, pending_done, pending));
}

bool
is_interface_ioctl(uint32_t request)
{
	switch (request) {
	case SIOCGIFCONF:
	case SIOCGIFNAME:
	case SIOCGIFINDEX:
	case SIOCGIFFLAGS:
	case SIOCGIFADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFHWADDR:
	case SIOCGIFMTU:
	case SIOCGIFMETRIC:
	case SIOCGIFMAP:
	case SIOCGIFTXQLEN:
	case SIOCETHTOOL:
		return true;
	default:
		return false;
	}
}

void
trap_ioctl(struct trap *trap)
{
	uint32_t request = (uint32_t)trap->call.data.args[1];
	int next;

	if (link_is_ping(trap->link) && (request == FIONREAD || request == SIOCOUTQ)) {
		trap_error(trap, ENOTTY);
		return;
	}
	switch (request) {
	case FIONREAD:
		if (link_is_stream(trap->link) && trap->link->state == LINK_LISTENING) {
			trap_error(trap, EINVAL);
			return;
		}
		if (link_is_stream(trap->link) || trap->link->surrogate) {
			trap_continue(trap); /* the kernel's count for A is the count */
			return;
		}
		/* The next datagram's size, not that of all. */
		next = (int)recv(trap->a, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
		if (next < 0)
			next = 0;
		trap_answer(trap, target_write(trap, trap->call.data.args[2], &next, sizeof next) ? 0 : EFAULT);
		return;
	case SIOCOUTQNSD:
		if (!link_is_stream(trap->link)) {
			trap_error(trap, ENOTTY);
			return;
		}
		/* fall through */
	case SIOCOUTQ:
		unsent_ioctl(trap);
		return;
	case SIOCGIFCONF:
	case SIOCGIFNAME:
	case SIOCGIFINDEX:
	case SIOCGIFFLAGS:
	case SIOCGIFADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFHWADDR:
	case SIOCGIFMTU:
	case SIOCGIFMETRIC:
	case SIOCGIFMAP:
	case SIOCGIFTXQLEN:
		interface_ioctl(trap, request);
		return;
	case SIOCATMARK:
		if (link_is_stream(trap->link))
			trap_continue(trap);
		else
			trap_error(trap, ENOTTY);
		return;
	case FIOSETOWN:
	case FIOGETOWN:
	case SIOCSPGRP:
	case SIOCGPGRP:
		trap_continue(trap);
		return;
	case SIOCSIFFLAGS:
	case SIOCSIFADDR:
	case SIOCSIFNETMASK:
	case SIOCSIFMTU:
	case SIOCSIFNAME:
	case SIOCSIFHWADDR:
	case SIOCADDMULTI:
	case SIOCDELMULTI:
	case SIOCADDRT:
	case SIOCDELRT:
	case SIOCGSKNS:
		trap_error(trap, EPERM);
		return;
	case SIOCETHTOOL:
		ethtool_ioctl(trap);
		return;
	default:
		trap_error(trap, ENOTTY);
		return;
	}
}
