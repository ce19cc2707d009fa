/*
 * What is trapped: whatever names an address or an option, or makes a socket. What is not: read, write, send and recv
 * without an address, poll and close, which the kernel does on the link itself.
 *
 * What is refused: other families (some are not bound to a network namespace), other system call tables (i386, x32), in
 * which the same calls have other numbers, and io_uring, which makes them without a system call. A further filter of the
 * program's own can only refuse more, and the kernel allows no second listener.
 */
#include "sentry_side/run/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000u
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "no seccomp architecture known"
#endif

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
/* The kernel looks at the low half only of what it takes for an int, so must we. Little-endian. */
#define LOAD_LOW(arg) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[arg]))
#define LOAD_HIGH(arg) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[arg]) + 4)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define IF_EQUAL_RETURN(value, action) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1), RETURN(action)
#define NOTIFY SECCOMP_RET_USER_NOTIF
#define ALLOW SECCOMP_RET_ALLOW
#define REFUSE(error) (SECCOMP_RET_ERRNO | (error))

/* For this system call, the statements that follow (count of them), which must return. */
#define CALL(name, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, (count))

static const struct sock_filter program[] = {
	LOAD(arch),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
	RETURN(REFUSE(ENOSYS)),
	LOAD(nr),
#ifdef X32_BIT
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1),
	RETURN(REFUSE(ENOSYS)),
#endif
	CALL(socket, 17),
		LOAD_LOW(0),
		IF_EQUAL_RETURN(AF_INET, NOTIFY),
		IF_EQUAL_RETURN(AF_INET6, NOTIFY),
		IF_EQUAL_RETURN(AF_PACKET, NOTIFY),
		IF_EQUAL_RETURN(AF_UNIX, ALLOW),
		IF_EQUAL_RETURN(AF_ALG, ALLOW),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 1, 0),
		RETURN(REFUSE(EAFNOSUPPORT)),
		/* Other netlink protocols speak of this network namespace, in which there is nothing. */
		LOAD_LOW(2),
		IF_EQUAL_RETURN(NETLINK_ROUTE, NOTIFY),
		RETURN(ALLOW),
	IF_EQUAL_RETURN(SYS_connect, NOTIFY),
	IF_EQUAL_RETURN(SYS_bind, NOTIFY),
	IF_EQUAL_RETURN(SYS_listen, NOTIFY),
	IF_EQUAL_RETURN(SYS_accept, NOTIFY),
	IF_EQUAL_RETURN(SYS_accept4, NOTIFY),
	IF_EQUAL_RETURN(SYS_getsockname, NOTIFY),
	IF_EQUAL_RETURN(SYS_getpeername, NOTIFY),
	IF_EQUAL_RETURN(SYS_setsockopt, NOTIFY),
	IF_EQUAL_RETURN(SYS_getsockopt, NOTIFY),
	IF_EQUAL_RETURN(SYS_shutdown, NOTIFY),
	IF_EQUAL_RETURN(SYS_sendmsg, NOTIFY),
	IF_EQUAL_RETURN(SYS_recvmsg, NOTIFY),
	IF_EQUAL_RETURN(SYS_sendmmsg, NOTIFY),
	IF_EQUAL_RETURN(SYS_recvmmsg, NOTIFY),
	IF_EQUAL_RETURN(SYS_io_uring_setup, REFUSE(ENOSYS)),
	IF_EQUAL_RETURN(SYS_io_uring_enter, REFUSE(ENOSYS)),
	IF_EQUAL_RETURN(SYS_io_uring_register, REFUSE(ENOSYS)),
	/* With an address. */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendto, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvfrom, 0, 13),
		LOAD_LOW(4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 10),
		LOAD_HIGH(4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 8),
		/* Or with flags that mean something else to a link. */
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvfrom, 3, 0),
		LOAD_LOW(3),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MSG_OOB | MSG_MORE | MSG_ZEROCOPY | MSG_FASTOPEN, 4, 0),
		RETURN(ALLOW),
		LOAD_LOW(3),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MSG_OOB | MSG_ERRQUEUE | MSG_TRUNC, 1, 0),
		RETURN(ALLOW),
		RETURN(NOTIFY),
	/* FIONREAD, SIOCOUTQ, and the socket ioctls 0x89xx. */
	CALL(ioctl, 7),
		LOAD_LOW(1),
		IF_EQUAL_RETURN(FIONREAD, NOTIFY),
		IF_EQUAL_RETURN(SIOCOUTQ, NOTIFY),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffffff00),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x8900, 1, 0),
	RETURN(ALLOW),
	RETURN(NOTIFY),
};

int
filter_install(bool *killable)
{
	struct sock_fprog fprog = {.len = sizeof program / sizeof *program, .filter = (struct sock_filter *)program};
	unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	long fd;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &fprog);
	*killable = fd >= 0;
	if (fd < 0 && errno == EINVAL) /* before 5.19 */
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog);
	return fd < 0 ? -errno : (int)fd;
}
