/*
 * The same calls by other ways: another system call table, io_uring, filters of one's own.
 */
#include "escapes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- i386 and x32 ------------------------------------------------------------------------------- */

#if defined(__x86_64__)
static long
i386(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
}
#else
static long
i386(long number, long a, long b, long c)
{
	(void)number, (void)a, (void)b, (void)c;
	return -ENOSYS;
}
#endif

enum { I386_SOCKETCALL = 102, I386_SOCKET = 359, I386_CONNECT = 362, X32_BIT = 0x40000000 };

/* Memory that a 32-bit pointer reaches. */
static void *
low_memory(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static struct sockaddr_in
loopback(const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(port ? atoi(port) : 0))};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static const char *
i386_socketcall(char **args)
{
	uint32_t *call = low_memory();

	(void)args;
	if (!call)
		return "no memory";
	memcpy(call, (uint32_t[]){AF_INET, SOCK_STREAM, 0}, 12);
	return outcome_of_call(i386(I386_SOCKETCALL, 1 /* SYS_SOCKET */, (long)(uintptr_t)call, 0));
}

static const char *
i386_socket(char **args)
{
	(void)args;
	return outcome_of_call(i386(I386_SOCKET, AF_INET, SOCK_STREAM, 0));
}

/* On a socket that was made the usual way. */
static const char *
i386_connect(char **args)
{
	struct sockaddr_in *address = low_memory();
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (!address || fd < 0)
		return "no socket";
	*address = loopback(args[0]);
	return outcome_of_call(i386(I386_CONNECT, fd, (long)(uintptr_t)address, sizeof *address));
}

static const char *
i386_socketcall_connect(char **args)
{
	struct sockaddr_in *address = low_memory();
	uint32_t *call = low_memory();
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (!address || !call || fd < 0)
		return "no socket";
	*address = loopback(args[0]);
	memcpy(call, (uint32_t[]){(uint32_t)fd, (uint32_t)(uintptr_t)address, sizeof *address}, 12);
	return outcome_of_call(i386(I386_SOCKETCALL, 3 /* SYS_CONNECT */, (long)(uintptr_t)call, 0));
}

static const char *
x32_socket(char **args)
{
	(void)args;
	return outcome(syscall(SYS_socket | X32_BIT, AF_INET, SOCK_STREAM, 0));
}

static const char *
x32_connect(char **args)
{
	struct sockaddr_in address = loopback(args[0]);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		return "no socket";
	return outcome(syscall(SYS_connect | X32_BIT, fd, &address, sizeof address));
}

/* ---- io_uring ----------------------------------------------------------------------------------- */

static const char *
uring_setup(char **args)
{
	struct io_uring_params params = {0};

	(void)args;
	return outcome(syscall(SYS_io_uring_setup, 4, &params));
}

static const char *
uring_enter(char **args)
{
	(void)args;
	return outcome(syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0));
}

static const char *
uring_register(char **args)
{
	(void)args;
	return outcome(syscall(SYS_io_uring_register, -1, IORING_REGISTER_PROBE, NULL, 0));
}

/* ---- filters ------------------------------------------------------------------------------------ */

static long
install(unsigned flags, uint32_t action)
{
	struct sock_filter statement = BPF_STMT(BPF_RET | BPF_K, action);
	struct sock_fprog program = {1, &statement};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static const char *
second_listener(char **args)
{
	(void)args;
	return outcome(install(SECCOMP_FILTER_FLAG_NEW_LISTENER, SECCOMP_RET_ALLOW));
}

static const char *
second_listener_in_child_thread_sync(char **args)
{
	(void)args;
	return outcome(install(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
	                       SECCOMP_RET_ALLOW));
}

/* Many filters that allow everything, and one that traces: none outvotes the first. */
static const char *
own_filters_then_vsock(char **args)
{
	(void)args;
	for (int i = 0; i < 5; i++)
		if (install(0, i == 3 ? SECCOMP_RET_LOG : SECCOMP_RET_ALLOW) < 0)
			return "no filter";
	return outcome(socket(AF_VSOCK, SOCK_STREAM, 0));
}

static const char *
own_filters_then_uring(char **args)
{
	for (int i = 0; i < 5; i++)
		if (install(0, SECCOMP_RET_ALLOW) < 0)
			return "no filter";
	return uring_setup(args);
}

static const char *
own_filters_then_i386(char **args)
{
	for (int i = 0; i < 5; i++)
		if (install(0, SECCOMP_RET_ALLOW) < 0)
			return "no filter";
	return i386_socket(args);
}

const struct attempt call_attempts[] = {
	{"i386-socketcall", i386_socketcall},
	{"i386-socket", i386_socket},
	{"i386-connect", i386_connect},
	{"i386-socketcall-connect", i386_socketcall_connect},
	{"x32-socket", x32_socket},
	{"x32-connect", x32_connect},
	{"uring-setup", uring_setup},
	{"uring-enter", uring_enter},
	{"uring-register", uring_register},
	{"second-listener", second_listener},
	{"second-listener-tsync", second_listener_in_child_thread_sync},
	{"own-filters-then-vsock", own_filters_then_vsock},
	{"own-filters-then-uring", own_filters_then_uring},
	{"own-filters-then-i386", own_filters_then_i386},
	{0},
};
