/*
 * The kernel does not run a cgroup's setsockopt program for a system call of another ABI (i386, x32, AArch32), whose values may be laid out
 * otherwise. What it calls there, before that, is security_socket_setsockopt(), and BPF may change the result of every such function
 * (BPF_MODIFY_RETURN; no security module is needed). A program there refuses PACKET_RX_RING and PACKET_TX_RING in such a call.
 *
 * io_uring can set options of sockets, too, and there the ABI is the one that its ring was made by, whoever works on it now. So for
 * these sockets that is refused altogether, in security_uring_cmd().
 *
 * Where structures have their members, the kernel itself tells (BTF).
 */
#include "gofer/ring_guard.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "gofer/ebpf.h"

/* In enum io_uring_socket_op of <linux/io_uring.h> since 6.7. */
#define URING_SETSOCKOPT 3

/* thread_info's member and bit that tell a call of 32 bits: in the kernel's sources only, and the same since 4.x. */
#if defined(__x86_64__)
#define TASK_ABI "status"
#define TASK_FOREIGN 0x2 /* TS_COMPAT */
#define X32_CALL 0x40000000
#elif defined(__aarch64__)
#define TASK_ABI "flags"
#define TASK_FOREIGN (1 << 22) /* TIF_32BIT */
#else
#error "no system call ABI known"
#endif

/* Where to jump to, until the program is whole. */
enum { ALLOW = INT16_MAX, REFUSE = INT16_MAX - 1 };

#define PROGRAM_MAX 64

struct program {
	const struct btf *btf;
	struct bpf_insn code[PROGRAM_MAX];
	size_t count;
	bool incomplete; /* the kernel has not got all that it needs */
};

static void
add(struct program *program, struct bpf_insn insn)
{
	if (program->count < PROGRAM_MAX)
		program->code[program->count++] = insn;
	else
		program->incomplete = true;
}

#define ADD_ALL(program, ...)                                                            \
	do {                                                                             \
		const struct bpf_insn insns[] = {__VA_ARGS__};                           \
		for (size_t insn = 0; insn < sizeof insns / sizeof *insns; insn++)       \
			add(program, insns[insn]);                                       \
	} while (0)

/* Of a structure, in bytes. */
static short
offset_of(struct program *program, const char *structure, const char *member)
{
	int id = btf__find_by_name_kind(program->btf, structure, BTF_KIND_STRUCT);
	const struct btf_type *type = id < 0 ? NULL : btf__type_by_id(program->btf, (unsigned)id);

	for (unsigned i = 0; type && i < btf_vlen(type); i++)
		if (strcmp(btf__name_by_offset(program->btf, btf_members(type)[i].name_off), member) == 0 &&
		    btf_member_bit_offset(type, i) / 8 <= INT16_MAX)
			return (short)(btf_member_bit_offset(type, i) / 8);
	program->incomplete = true;
	return 0;
}

/* r1: a socket. Goes on with those that were made in the cgroup. */
static void
allow_others(struct program *program, uint64_t cgroup)
{
	ADD_ALL(program,
		LOAD64(BPF_REG_1, BPF_REG_1, offset_of(program, "socket", "sk")),
		LOAD64(BPF_REG_1, BPF_REG_1,
		       offset_of(program, "sock", "sk_cgrp_data") + offset_of(program, "sock_cgroup_data", "cgroup")),
		LOAD64(BPF_REG_1, BPF_REG_1, offset_of(program, "cgroup", "kn")),
		LOAD64(BPF_REG_1, BPF_REG_1, offset_of(program, "kernfs_node", "id")),
		SET64(BPF_REG_2, cgroup),
		INSN(BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_2, ALLOW, 0));
}

static void
refuse_foreign_calls(struct program *program)
{
	ADD_ALL(program,
		CALL(BPF_FUNC_get_current_task_btf),
		LOAD32(BPF_REG_1, BPF_REG_0, offset_of(program, "task_struct", "thread_info") + offset_of(program, "thread_info", TASK_ABI)),
		AND(BPF_REG_1, TASK_FOREIGN),
		UNLESS_EQUAL(BPF_REG_1, 0, REFUSE));
#ifdef X32_CALL
	ADD_ALL(program,
		MOVE(BPF_REG_1, BPF_REG_0),
		CALL(BPF_FUNC_task_pt_regs),
		LOAD64(BPF_REG_1, BPF_REG_0, offset_of(program, "pt_regs", "orig_ax")),
		AND(BPF_REG_1, X32_CALL),
		UNLESS_EQUAL(BPF_REG_1, 0, REFUSE));
#endif
}

/* int security_socket_setsockopt(struct socket *sock, int level, int optname) */
static void
write_setsockopt(struct program *program, uint64_t cgroup)
{
	ADD_ALL(program,
		LOAD64(BPF_REG_2, BPF_REG_1, 8),
		UNLESS_EQUAL32(BPF_REG_2, SOL_PACKET, ALLOW),
		LOAD64(BPF_REG_2, BPF_REG_1, 16),
		IF_EQUAL32(BPF_REG_2, PACKET_RX_RING, 1),
		UNLESS_EQUAL32(BPF_REG_2, PACKET_TX_RING, ALLOW),
		LOAD64(BPF_REG_1, BPF_REG_1, 0));
	allow_others(program, cgroup);
	refuse_foreign_calls(program);
}

/* int security_uring_cmd(struct io_uring_cmd *ioucmd) */
static void
write_uring_cmd(struct program *program, uint64_t cgroup)
{
	ADD_ALL(program,
		LOAD64(BPF_REG_1, BPF_REG_1, 0),
		LOAD32(BPF_REG_2, BPF_REG_1, offset_of(program, "io_uring_cmd", "cmd_op")),
		UNLESS_EQUAL32(BPF_REG_2, URING_SETSOCKOPT, ALLOW),
		LOAD64(BPF_REG_1, BPF_REG_1, offset_of(program, "io_uring_cmd", "file")),
		CALL(BPF_FUNC_sock_from_file),
		IF_EQUAL(BPF_REG_0, 0, ALLOW),
		MOVE(BPF_REG_1, BPF_REG_0));
	allow_others(program, cgroup);
	add(program, INSN(BPF_JMP | BPF_JA, 0, 0, REFUSE, 0));
}

/* Returns a descriptor that keeps the program attached, 0 if the kernel has no such function, or a negative errno. */
static int
attach(const struct btf *btf, const char *function, void (*write)(struct program *, uint64_t), uint64_t cgroup)
{
	struct program program = {.btf = btf};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_MODIFY_RETURN);
	int id = btf__find_by_name_kind(btf, function, BTF_KIND_FUNC), link;
	_cleanup_close_ int fd = -1;
	size_t refuse;

	if (id < 0)
		return 0;
	write(&program, cgroup);
	ADD_ALL(&program, SET(BPF_REG_0, 0), EXIT);
	refuse = program.count;
	ADD_ALL(&program, SET(BPF_REG_0, -EPERM), EXIT);
	if (program.incomplete)
		return -EOPNOTSUPP;
	for (size_t i = 0; i < program.count; i++) {
		struct bpf_insn *insn = &program.code[i];

		if ((BPF_CLASS(insn->code) == BPF_JMP || BPF_CLASS(insn->code) == BPF_JMP32) && insn->off >= REFUSE)
			insn->off = (short)((insn->off == REFUSE ? refuse : refuse - 2) - i - 1);
	}
	options.attach_btf_id = (unsigned)id;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "splitsock_guard", "Dual BSD/GPL", program.code, program.count, &options);
	if (fd < 0)
		return -errno;
	link = bpf_raw_tracepoint_open(NULL, fd);
	return link < 0 ? -errno : link;
}

static int
attach_both(struct ring_guard *guard, uint64_t cgroup)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int error = btf ? 0 : -errno;

	if (!error) {
		guard->links[0] = attach(btf, "security_socket_setsockopt", write_setsockopt, cgroup);
		guard->links[1] = attach(btf, "security_uring_cmd", write_uring_cmd, cgroup);
		/* The second is of kernels where io_uring has something for it to refuse. */
		error = guard->links[0] == 0 ? -EOPNOTSUPP : guard->links[0] < 0 ? guard->links[0] : guard->links[1] < 0 ? guard->links[1] : 0;
	}
	btf__free(btf);
	if (error)
		ring_guard_stop(guard);
	return error;
}

#ifdef __x86_64__
/* It dies of a call of i386 where there are none. */
static bool
takes_i386_calls(void)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		int pid = 20; /* getpid */

		signal(SIGSEGV, SIG_DFL);
		__asm__ volatile("int $0x80" : "+a"(pid) : : "r8", "r9", "r10", "r11", "memory");
		_exit(0);
	}
	return child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV;
}

static bool
takes_foreign_calls(void)
{
	return takes_i386_calls() || syscall(X32_CALL | SYS_getpid) >= 0 || errno != ENOSYS;
}
#else
static bool
takes_foreign_calls(void)
{
	return true; /* for all that can be told */
}
#endif

void
ring_guard_start(struct ring_guard *guard, uint64_t cgroup)
{
	int error = attach_both(guard, cgroup);

	guard->holds = !error || !takes_foreign_calls();
	if (!guard->holds)
		log_warning("system calls of another ABI cannot be kept from making packet rings of any size: %s", strerror(-error));
}

void
ring_guard_stop(struct ring_guard *guard)
{
	for (size_t i = 0; i < sizeof guard->links / sizeof *guard->links; i++)
		if (guard->links[i] > 0)
			close(guard->links[i]);
	*guard = (struct ring_guard){.holds = false};
}
