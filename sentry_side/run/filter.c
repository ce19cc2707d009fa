/*
 * The rules as a BPF program. Besides what they say, it refuses other system call tables (i386, x32), in which the same calls have other numbers.
 * A further filter of the program's own can only refuse more, and the kernel allows no second listener.
 */
#include "sentry_side/run/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sentry_side/run/filter_rules.h"

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

/* A jump whose end is not known yet. None is so long. */
#define MISS 255

static void
emit(struct filter_program *program, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	if (program->len < FILTER_PROGRAM_MAX)
		program->code[program->len] = (struct sock_filter)BPF_JUMP(code, k, yes, no);
	program->len++;
}

static void
emit_load(struct filter_program *program, size_t offset)
{
	emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void
emit_return(struct filter_program *program, const struct filter_case *rule)
{
	emit(program, BPF_RET | BPF_K,
	     rule->action == FILTER_ALLOW    ? SECCOMP_RET_ALLOW
	     : rule->action == FILTER_NOTIFY ? SECCOMP_RET_USER_NOTIF
	                                     : SECCOMP_RET_ERRNO | (uint32_t)rule->error,
	     0, 0);
}

/* Goes on behind it if the test is true. The jumps of those that are not lead to `miss`, which is filled in later. */
static void
emit_test(struct filter_program *program, const struct filter_call *call, const struct filter_test *test)
{
	size_t offset = offsetof(struct seccomp_data, args[test->arg]);

	emit_load(program, offset); /* little-endian: the low half is first */
	if (call->pointer_arg == test->arg) {
		emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, MISS);
		emit_load(program, offset + 4);
	} else if (test->mask != UINT32_MAX) {
		emit(program, BPF_ALU | BPF_AND | BPF_K, test->mask, 0, 0);
	}
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, test->value, 0, MISS);
}

/* What was left open since `from` leads here. */
static void
land_misses(struct filter_program *program, size_t from)
{
	for (size_t i = from; i < program->len && i < FILTER_PROGRAM_MAX; i++)
		if (BPF_CLASS(program->code[i].code) == BPF_JMP && program->code[i].jf == MISS)
			program->code[i].jf = (uint8_t)(program->len - i - 1);
}

static void
emit_call(struct filter_program *program, const struct filter_call *call)
{
	size_t start = program->len;

	/* The number of the call is loaded: whoever is not meant goes on with the next. */
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call->number, 0, 0);
	for (size_t i = 0; i < call->case_count; i++) {
		size_t from = program->len;

		for (size_t t = 0; t < FILTER_TESTS; t++)
			if (call->cases[i].test[t].mask)
				emit_test(program, call, &call->cases[i].test[t]);
		emit_return(program, &call->cases[i]);
		land_misses(program, from);
	}
	emit_return(program, &call->otherwise);
	if (start < FILTER_PROGRAM_MAX)
		program->code[start].jf = (uint8_t)(program->len - start - 1);
}

void
filter_compile(struct filter_program *program)
{
	static const struct filter_case allow = {.action = FILTER_ALLOW}, no_such_call = {.action = FILTER_REFUSE, .error = ENOSYS};

	program->len = 0;
	emit_load(program, offsetof(struct seccomp_data, arch));
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	emit_return(program, &no_such_call);
	emit_load(program, offsetof(struct seccomp_data, nr));
#ifdef X32_BIT
	emit(program, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	emit_return(program, &no_such_call);
#endif
	for (size_t i = 0; i < filter_call_count; i++)
		emit_call(program, &filter_calls[i]);
	emit_return(program, &allow);
}

int
filter_install(bool *killable)
{
	struct filter_program program;
	struct sock_fprog fprog;
	unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	long fd;

	filter_compile(&program);
	if (program.len > FILTER_PROGRAM_MAX)
		return -E2BIG;
	fprog = (struct sock_fprog){.len = (unsigned short)program.len, .filter = program.code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &fprog);
	*killable = fd >= 0;
	if (fd < 0 && errno == EINVAL) /* before 5.19 */
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog);
	return fd < 0 ? -errno : (int)fd;
}
