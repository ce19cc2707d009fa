/*
 * Packet sockets. Each is a real one, so most calls on it go on in the kernel. What changes what it receives is done here, on a duplicate,
 * and answered when the host does its part: a program may send at once and expect to see what comes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sentry_side/packet.h"
#include "sentry_side/run/supervisor.h"

/* Longer than any value that matters here: a membership with the longest address, or a filter's two words. */
#define VALUE_MAX 64
/* What anybody may give a socket. */
#define PRIORITY_MAX 6

static void
finish_socket(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;
	int type = (int)trap->call.data.args[1], fd = result->passed_fd, number, error = -result->error;

	say_why_refused(trap, result->error);
	if (!error)
		error = link_packet(&trap->supervisor->ss, fd, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), (int)trap->call.data.args[2],
		                    &trap->link);
	if (error) {
		trap_answer(trap, error);
	} else {
		if (type & SOCK_NONBLOCK)
			fcntl(fd, F_SETFL, O_NONBLOCK);
		trap->link->pid = (int)trap->call.pid;
		trap->link->host_drops = result->count;
		number = trap_add_fd(trap, &fd, type & SOCK_CLOEXEC);
		if (number >= 0)
			trap->link->fd = number;
		else if (number != -ENOENT)
			trap_answer(trap, number);
	}
	if (fd >= 0)
		close(fd);
}

void
trap_packet_socket(struct trap *trap)
{
	struct pending *pending = pending_new(trap);

	if (!pending)
		return;
	pending->finish = finish_socket;
	pending_started(pending, packet_open(&pending->trap.supervisor->ss, (int)trap->call.data.args[1],
	                                     (int)trap->call.data.args[2], pending_done, pending));
}

static void
finish_sync(struct pending *pending, const struct link_result *result)
{
	/* A membership that is not granted is given back. */
	if (result->error && pending->level == SOL_PACKET && pending->name == PACKET_ADD_MEMBERSHIP)
		setsockopt(pending->trap.a, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &pending->address, pending->address_len);
	/* What was lost on that interface before was not for this socket. */
	if (pending->trap.call.data.nr == SYS_bind)
		pending->trap.link->host_drops = result->count;
	trap_answer(&pending->trap, result->error);
}

/* What was asked for is done on the mirror's side; the call ends when it is on the host's. */
static void
sync_then_answer(struct trap *trap, int interface, const void *value, socklen_t len)
{
	struct pending *pending = pending_new(trap);

	if (!pending)
		return;
	pending->finish = finish_sync;
	if (value) {
		pending->level = (int)trap->call.data.args[1];
		pending->name = (int)trap->call.data.args[2];
		memcpy(&pending->address, value, len);
		pending->address_len = len;
	}
	pending_started(pending, packet_sync(&pending->trap.supervisor->ss, interface, packet_interface(pending->trap.a), pending_done, pending));
}

static void
finish_statistics(struct pending *pending, const struct link_result *result)
{
	struct trap *trap = &pending->trap;
	char value[sizeof(struct tpacket_stats_v3)];
	socklen_t len = pending->room;
	/* Without the gofer's word, as many as before. */
	int error = packet_statistics(trap->link, trap->a, result->error ? trap->link->host_drops : result->count, value, &len);

	if (!trap_valid(trap))
		return;
	if (error)
		trap_error(trap, -error);
	else
		trap_answer(trap, target_write(trap, trap->call.data.args[4], &len, sizeof len) &&
		                          target_write(trap, trap->call.data.args[3], value, len) ? 0 : EFAULT);
}

static void
get_statistics(struct trap *trap)
{
	struct pending *pending;
	int room;

	if (!target_read(trap, trap->call.data.args[4], &room, sizeof room) || room < 0) {
		trap_continue(trap); /* the kernel says what is wrong with that */
		return;
	}
	pending = pending_new(trap);
	if (!pending)
		return;
	pending->finish = finish_statistics;
	pending->room = (uint32_t)room;
	pending_started(pending, packet_sync(&pending->trap.supervisor->ss, 0, packet_interface(pending->trap.a), pending_done, pending));
}

static void
packet_bind(struct trap *trap)
{
	int len = (int)trap->call.data.args[2];
	struct sockaddr_storage address = {0};
	const struct sockaddr_ll *name = (struct sockaddr_ll *)&address;

	if (len < 0 || len > (int)sizeof address)
		trap_error(trap, EINVAL);
	else if (!target_read(trap, trap->call.data.args[1], &address, (size_t)len))
		trap_error(trap, EFAULT);
	else if (bind(trap->a, (struct sockaddr *)&address, (socklen_t)len) == 0)
		sync_then_answer(trap, 0, NULL, 0);
	else if (errno == ENODEV && trap->link->type != SOCK_PACKET) /* whose names have no index */
		sync_then_answer(trap, name->sll_ifindex, NULL, 0);
	else
		trap_error(trap, errno);
}

static void
packet_setsockopt(struct trap *trap)
{
	const __u64 *args = trap->call.data.args;
	static struct sock_filter instructions[BPF_MAXINSNS]; /* only the supervisor's thread is here */
	_Alignas(struct sock_fprog) char value[VALUE_MAX];
	struct sock_fprog *program = (struct sock_fprog *)value;
	int len = (int)args[4];

	if (len < 0) {
		trap_error(trap, EINVAL);
		return;
	}
	if (len > VALUE_MAX)
		len = VALUE_MAX;
	/* What cannot be read is the kernel's to refuse: which of its errors comes first, it knows. */
	if (!target_read(trap, args[3], value, (size_t)len)) {
		trap_continue(trap);
		return;
	}
	if ((int)args[1] == SOL_SOCKET && (int)args[2] == SO_ATTACH_FILTER && len == (int)sizeof *program && program->len &&
	    program->len <= BPF_MAXINSNS) {
		if (!target_read(trap, (uint64_t)(uintptr_t)program->filter, instructions, program->len * sizeof *instructions)) {
			trap_continue(trap);
			return;
		}
		program->filter = instructions;
	}
	if (setsockopt(trap->a, (int)args[1], (int)args[2], value, (socklen_t)len) == 0)
		sync_then_answer(trap, 0, value, (socklen_t)len);
	else
		trap_error(trap, errno);
}

/*
 * Above 6 a priority takes a right that programs inside do not have, while lldpd does without the interface if it cannot have 7. No
 * priority goes beyond the mirror, so that the nearest does as well.
 */
static void
packet_priority(struct trap *trap)
{
	const __u64 *args = trap->call.data.args;
	int priority;

	if ((int)args[4] < (int)sizeof priority)
		trap_error(trap, EINVAL);
	else if (!target_read(trap, args[3], &priority, sizeof priority))
		trap_error(trap, EFAULT);
	else if (setsockopt(trap->a, SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority) == 0 ||
	         (errno == EPERM && setsockopt(trap->a, SOL_SOCKET, SO_PRIORITY, &(int){PRIORITY_MAX}, sizeof(int)) == 0))
		trap_answer(trap, 0);
	else
		trap_error(trap, errno);
}

void
trap_packet(struct trap *trap)
{
	if (trap->call.data.nr == SYS_bind)
		packet_bind(trap);
	else if (trap->call.data.nr == SYS_setsockopt && packet_option_matters((int)trap->call.data.args[1], (int)trap->call.data.args[2]))
		packet_setsockopt(trap);
	else if (trap->call.data.nr == SYS_setsockopt && (int)trap->call.data.args[1] == SOL_SOCKET &&
	         (int)trap->call.data.args[2] == SO_PRIORITY)
		packet_priority(trap);
	else if (trap->call.data.nr == SYS_getsockopt && (int)trap->call.data.args[1] == SOL_PACKET &&
	         (int)trap->call.data.args[2] == PACKET_STATISTICS)
		get_statistics(trap);
	else
		trap_continue(trap);
}
