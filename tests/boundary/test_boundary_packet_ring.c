/*
 * Memory that packet sockets put on the host: whoever holds one, and whichever way the ring is asked for, it has no more than the policy says.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/boundary/packet_client.h"

TestSuite(packet_ring, .timeout = 120);

enum { RING_BYTES = 1024 * 1024 };

#define CLIENTS                                                                               \
	"ring_bytes: 1M\n"                                                                    \
	"clients:\n"                                                                          \
	"  - name: little\n"                                                                  \
	"    users: [65534]\n"                                                                \
	"    packet:\n"                                                                       \
	"      - {interface: gr0, receive: true, send: true, ethertypes: any}\n"

static struct gofer gofer;

static void
start(void)
{
	packet_host_make();
	packet_gofer_start(&gofer, "version: 1\nforeign_rings: unlimited\n" CLIENTS);
}

static void
start_strict(void)
{
	packet_host_make();
	packet_gofer_start(&gofer, "version: 1\n" CLIENTS);
}

static void
stop(void)
{
	gofer_stop(&gofer);
}

static void
clean(void)
{
	gofer_clean(&gofer);
}

static int
ring_of(int fd, int which, unsigned block_size, unsigned block_count)
{
	struct tpacket_req request = {
		.tp_block_size = block_size, .tp_block_nr = block_count, .tp_frame_size = 2048, .tp_frame_nr = block_size / 2048 * block_count};

	return setsockopt(fd, SOL_PACKET, which, &request, sizeof request) < 0 ? errno : 0;
}

static int
try_rings(void)
{
	struct packet_client packet;
	int fd, v3;

	packet_client_open(&packet, &gofer);
	fd = open_packet_socket(&packet);
	if (ring_of(fd, PACKET_RX_RING, 65536, RING_BYTES / 65536 + 1) != EPERM)
		return 1;
	if (ring_of(fd, PACKET_TX_RING, 65536, RING_BYTES / 65536 + 1) != EPERM)
		return 2;
	/* 2^32 and a little: who multiplies in 32 bits sees the little. */
	if (ring_of(fd, PACKET_RX_RING, 1u << 20, 4097) != EPERM)
		return 3;
	if (ring_of(fd, PACKET_RX_RING, 65536, RING_BYTES / 65536) != 0)
		return 4;
	if (ring_of(fd, PACKET_TX_RING, 65536, RING_BYTES / 65536) != 0)
		return 5;
	close(fd);
	fd = open_packet_socket(&packet);
	v3 = TPACKET_V3;
	if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &v3, sizeof v3) < 0)
		return 6;
	for (unsigned blocks = 1; blocks < 4096; blocks *= 2) {
		struct tpacket_req3 request = {.tp_block_size = 1u << 20, .tp_block_nr = blocks + 1, .tp_frame_size = 2048,
		                               .tp_frame_nr = 512 * (blocks + 1)};

		if (setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) == 0 || errno != EPERM)
			return 7;
	}
	/* Nor does somebody else who is passed the socket get more. */
	if (fork() == 0)
		_exit(ring_of(fd, PACKET_TX_RING, 65536, RING_BYTES / 65536 + 1) == EPERM ? 0 : 1);
	wait(&v3);
	if (v3)
		return 8;
	packet_client_close(&packet);
	return 0;
}

GOFER_TEST(packet_ring, is_limited, start)
{
	int status = wait_for(as_nobody(try_rings), PATIENCE_MS * 4);

	cr_assert(WIFEXITED(status), "%#x", status);
	cr_assert_eq(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
}

#ifdef __x86_64__
/* ---- system calls of i386 ----------------------------------------------------------------------- */

enum { I386_SOCKETCALL = 102, I386_SETSOCKOPT = 366, I386_IO_URING_SETUP = 425, SOCKETCALL_SETSOCKOPT = 14, URING_SETSOCKOPT = 3 };

/* Of the kernel's other ABI, from this process as it is. Pointers have to fit 32 bits. Returns what the kernel does. */
static int
i386_call(int number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e)
{
	int result;

	__asm__ volatile("int $0x80"
	                 : "=a"(result)
	                 : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
	                 : "r8", "r9", "r10", "r11", "memory");
	return result;
}

/* A page that those can point to. */
static void *
low_page(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

static bool
has_i386_calls(void)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(i386_call(20 /* getpid */, 0, 0, 0, 0, 0) == getpid() ? 0 : 1);
	waitpid(child, &status, 0);
	return status == 0;
}

/* By a ring of io_uring that is made by a call of i386 and used by those of x86_64: which ABI counts then? Returns 0 or a negative errno. */
static int
uring_ring_of(int fd, int which, const struct tpacket_req *request)
{
	struct io_uring_params *params = low_page();
	int ring = i386_call(I386_IO_URING_SETUP, 4, (uintptr_t)params, 0, 0, 0);
	struct io_uring_sqe *sqe;
	char *queues;

	if (ring < 0)
		return ring;
	queues = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	sqe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (queues == MAP_FAILED || (void *)sqe == MAP_FAILED)
		return -errno;
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->off = URING_SETSOCKOPT;
	/* level and optname, optlen, optval, under the names that headers of any age have */
	sqe->addr = SOL_PACKET | (uint64_t)which << 32;
	sqe->file_index = sizeof *request;
	sqe->addr3 = (uintptr_t)request;
	((uint32_t *)(void *)(queues + params->sq_off.array))[0] = 0;
	__atomic_store_n((uint32_t *)(void *)(queues + params->sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	return ((struct io_uring_cqe *)(void *)(queues + params->cq_off.cqes))->res;
}

/* Every way to ask for a ring of 2 MiB, where there may be one of 1 MiB. Returns 0, or which one got it. */
static int
try_foreign_rings(void)
{
	static const int rings[] = {PACKET_RX_RING, PACKET_TX_RING};
	struct packet_client packet;
	struct tpacket_req *request = low_page();
	uint32_t *arguments = low_page();
	int fd = -1, status;

	packet_client_open(&packet, &gofer);
	status = ask_open(&packet, wire_socket_type(SOCK_RAW), ETH_P_ALL, &fd);
	if (fd < 0) /* none at all is the other way not to have one */
		return status == SPLITSOCK__STATUS__STATUS_HOST_ERRNO ? 100 : 101;
	*request = (struct tpacket_req){.tp_block_size = 65536, .tp_block_nr = 2 * RING_BYTES / 65536, .tp_frame_size = 2048,
	                                .tp_frame_nr = 2 * RING_BYTES / 2048};
	for (int i = 0; i < 2; i++) {
		const uint32_t call[] = {(uint32_t)fd, SOL_PACKET, (uint32_t)rings[i], (uint32_t)(uintptr_t)request, sizeof *request};

		memcpy(arguments, call, sizeof call);
		if (ring_of(fd, rings[i], 65536, 2 * RING_BYTES / 65536) == 0)
			return 1;
		if (i386_call(I386_SETSOCKOPT, (uintptr_t)fd, SOL_PACKET, (uintptr_t)rings[i], (uintptr_t)request, sizeof *request) != -EPERM)
			return 2;
		if (i386_call(I386_SOCKETCALL, SOCKETCALL_SETSOCKOPT, (uintptr_t)arguments, 0, 0, 0) != -EPERM)
			return 3;
		if (uring_ring_of(fd, rings[i], request) >= 0)
			return 4;
	}
	/* Other options are not touched. */
	if (i386_call(I386_SETSOCKOPT, (uintptr_t)fd, SOL_PACKET, PACKET_AUXDATA, (uintptr_t)memcpy(arguments, &(int){1}, sizeof(int)),
	              sizeof(int)) != 0)
		return 5;
	return ring_of(fd, PACKET_RX_RING, 65536, RING_BYTES / 65536) == 0 ? 0 : 6;
}

/* Where the kernel lets nobody refuse them, there is no packet socket, and the log says why. */
GOFER_TEST(packet_ring, is_limited_in_calls_of_i386, start_strict)
{
	static char log[8192];
	int status;

	if (!has_i386_calls())
		return; /* then nobody has them */
	status = wait_for(as_nobody(try_foreign_rings), PATIENCE_MS * 4);
	cr_assert(WIFEXITED(status), "%#x", status);
	if (WEXITSTATUS(status) != 100) {
		cr_assert_eq(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
		return;
	}
	fprintf(stderr, "this kernel can refuse none of them: no packet sockets\n");
	slurp(gofer.log, log, sizeof log);
	cr_expect(strstr(log, "system calls of another ABI cannot be kept from making packet rings"), "%s", log);
	cr_expect(strstr(log, "denied: uid 65534: packet socket with rings"), "%s", log);
}

/* The same on a kernel that has no such programs. */
static void
start_strict_without_programs(void)
{
	/* bpf(BPF_RAW_TRACEPOINT_OPEN), by which programs that change what functions return are attached */
	static struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BPF_RAW_TRACEPOINT_OPEN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof instructions / sizeof *instructions, instructions};

	packet_host_make();
	cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0, "%s", strerror(errno));
	packet_gofer_start(&gofer, "version: 1\n" CLIENTS);
}

GOFER_TEST(packet_ring, there_are_no_sockets_where_it_cannot_be_limited, start_strict_without_programs)
{
	int status;

	if (!has_i386_calls())
		return;
	status = wait_for(as_nobody(try_foreign_rings), PATIENCE_MS * 4);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 100, "%#x", status);
}
#endif
