/*
 * The two forms that the filter's rules take: the BPF program of splitsock-run and the profile of container runtimes. Both are interpreted here, and must
 * say the same of every call.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sentry_side/run/filter.h"
#include "sentry_side/run/filter_rules.h"

#if defined(__x86_64__)
#include <linux/audit.h>
#define ARCH AUDIT_ARCH_X86_64
#else
#include <linux/audit.h>
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* What the kernel would return. Fails the test on a program that the kernel would refuse. */
static uint32_t
run_program(const struct filter_program *program, const struct seccomp_data *data)
{
	uint32_t a = 0;

	cr_assert_leq(program->len, FILTER_PROGRAM_MAX);
	for (size_t at = 0; at < program->len; at++) {
		const struct sock_filter *code = &program->code[at];

		switch (code->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)data + code->k, sizeof a);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= code->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += a == code->k ? code->jt : code->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += a >= code->k ? code->jt : code->jf;
			break;
		case BPF_RET | BPF_K:
			return code->k;
		default:
			cr_assert_fail("code %#x", code->code);
		}
	}
	cr_assert_fail("no return");
	return 0;
}

static uint64_t
number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static bool
matches(const json_t *rule, const struct seccomp_data *data)
{
	const json_t *args = json_object_get(rule, "args");

	for (size_t i = 0; i < json_array_size(args); i++) {
		const json_t *test = json_array_get(args, i);
		const char *op = json_string_value(json_object_get(test, "op"));
		uint64_t arg = data->args[number(test, "index")], value = number(test, "value");

		if (strcmp(op, "SCMP_CMP_MASKED_EQ") == 0 ? (arg & value) != number(test, "valueTwo")
		    : strcmp(op, "SCMP_CMP_EQ") == 0      ? arg != value
		    : strcmp(op, "SCMP_CMP_NE") == 0      ? arg == value
		                                          : true)
			return false;
	}
	return true;
}

/* What the profile's rules say; they must agree. SECCOMP_RET_KILL_PROCESS: none applies. */
static uint32_t
run_profile(const json_t *rules, const char *name, const struct seccomp_data *data)
{
	uint32_t said = SECCOMP_RET_KILL_PROCESS;

	for (size_t i = 0; i < json_array_size(rules); i++) {
		const json_t *rule = json_array_get(rules, i);
		const char *action = json_string_value(json_object_get(rule, "action"));
		uint32_t says = strcmp(action, "SCMP_ACT_ALLOW") == 0    ? SECCOMP_RET_ALLOW
		                : strcmp(action, "SCMP_ACT_NOTIFY") == 0 ? SECCOMP_RET_USER_NOTIF
		                                                         : SECCOMP_RET_ERRNO | (uint32_t)number(rule, "errnoRet");

		if (!matches(rule, data))
			continue;
		cr_assert(said == SECCOMP_RET_KILL_PROCESS || said == says, "rules for %s overlap: %#x, %#x", name, said, says);
		said = says;
	}
	return said;
}

/* The profile's rules for a call. */
static json_t *
rules_of(const json_t *profile, const char *name)
{
	const json_t *rules = json_object_get(profile, "syscalls");
	json_t *found = json_array();

	for (size_t i = 0; i < json_array_size(rules); i++) {
		const json_t *names = json_object_get(json_array_get(rules, i), "names");

		for (size_t n = 0; n < json_array_size(names); n++)
			if (strcmp(json_string_value(json_array_get(names, n)), name) == 0)
				json_array_append(found, json_array_get(rules, i));
	}
	return found;
}

/* Values that somebody compares with, their neighbours, and any. */
static uint64_t
some_argument(void)
{
	static const uint64_t values[] = {0, 1, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_ALG, AF_VSOCK, NETLINK_AUDIT, FIONREAD, SIOCOUTQ, 0x8900,
	                                  0x8927, 0x89ff, 0x8a00, 0x5401, MSG_OOB, MSG_TRUNC, MSG_MORE, MSG_ERRQUEUE, MSG_NOSIGNAL, UINT32_MAX,
	                                  UINT64_C(1) << 32, UINT64_MAX};
	uint64_t value = values[(size_t)rand() % (sizeof values / sizeof *values)];

	switch (rand() % 8) {
	case 0:
		return ((uint64_t)rand() << 33) ^ ((uint64_t)rand() << 11) ^ (uint64_t)rand();
	case 1:
		return value + 1;
	case 2:
		return value - 1;
	case 3:
		return value | (uint64_t)rand() << 32;
	case 4:
		return value ^ UINT64_C(1) << (rand() % 64);
	default:
		return value;
	}
}

static void
check_calls(const json_t *rules, const struct filter_program *program, const struct filter_call *call)
{
	unsigned said[3] = {0};

	for (int i = 0; i < 4000; i++) {
		struct seccomp_data data = {.nr = call->number, .arch = ARCH};
		uint32_t ours, theirs;

		for (size_t arg = 0; arg < 6; arg++)
			data.args[arg] = some_argument();
		ours = run_program(program, &data);
		theirs = run_profile(rules, call->name, &data);
		/* The one exception, as runtimes have it. */
		if (call->number == SYS_socket && (uint32_t)data.args[0] == AF_NETLINK && (uint32_t)data.args[2] == NETLINK_AUDIT)
			cr_expect_eq(theirs, SECCOMP_RET_ERRNO | EINVAL);
		else
			cr_assert_eq(ours, theirs, "%s(%#llx, %#llx, %#llx, %#llx, %#llx): %#x, the profile %#x", call->name, data.args[0],
			             data.args[1], data.args[2], data.args[3], data.args[4], ours, theirs);
		said[ours == SECCOMP_RET_ALLOW ? 0 : ours == SECCOMP_RET_USER_NOTIF ? 1 : 2]++;
	}
	/* That what there is to tell apart was met. */
	if (call->case_count > 0)
		cr_expect(said[0] && said[1] && (call->number != SYS_socket || said[2]), "%s: %u %u %u", call->name, said[0], said[1], said[2]);
}

static void
check_profile(const char *path)
{
	struct filter_program program;
	json_t *profile = json_load_file(path, 0, NULL);

	cr_assert_not_null(profile, "%s", path);
	filter_compile(&program);
	srand(1);
	for (size_t i = 0; i < filter_call_count; i++) {
		json_t *rules = rules_of(profile, filter_calls[i].name);

		check_calls(rules, &program, &filter_calls[i]);
		json_decref(rules);
	}
	json_decref(profile);
}

Test(filter, the_profile_says_what_the_program_says)
{
	check_profile(PROFILES_DIR "/splitsock-seccomp.json");
	check_profile(PROFILES_DIR "/splitsock-seccomp-before-5.19.json");
}

static uint32_t
said_of(int call, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
	struct filter_program program;
	struct seccomp_data data = {.nr = call, .arch = ARCH, .args = {a0, a1, a2, a3, a4}};

	filter_compile(&program);
	return run_program(&program, &data);
}

Test(filter, calls_that_are_trapped_and_not)
{
	cr_expect_eq(said_of(SYS_socket, AF_INET, 0, 0, 0, 0), SECCOMP_RET_USER_NOTIF);
	cr_expect_eq(said_of(SYS_socket, UINT64_C(7) << 32 | AF_INET6, 0, 0, 0, 0), SECCOMP_RET_USER_NOTIF);
	cr_expect_eq(said_of(SYS_socket, AF_UNIX, 0, 0, 0, 0), SECCOMP_RET_ALLOW);
	cr_expect_eq(said_of(SYS_socket, AF_VSOCK, 0, 0, 0, 0), SECCOMP_RET_ERRNO | EAFNOSUPPORT);
	cr_expect_eq(said_of(SYS_socket, AF_NETLINK, 0, NETLINK_ROUTE, 0, 0), SECCOMP_RET_USER_NOTIF);
	cr_expect_eq(said_of(SYS_socket, AF_NETLINK, 0, NETLINK_KOBJECT_UEVENT, 0, 0), SECCOMP_RET_ALLOW);
	cr_expect_eq(said_of(SYS_sendto, 0, 0, 0, 0, 0), SECCOMP_RET_ALLOW);
	cr_expect_eq(said_of(SYS_sendto, 0, 0, 0, 0, UINT64_C(1) << 32), SECCOMP_RET_USER_NOTIF);
	cr_expect_eq(said_of(SYS_sendto, 0, 0, 0, MSG_OOB, 0), SECCOMP_RET_USER_NOTIF);
	cr_expect_eq(said_of(SYS_recvfrom, 0, 0, 0, MSG_PEEK, 0), SECCOMP_RET_ALLOW);
	cr_expect_eq(said_of(SYS_recvfrom, 0, 0, 0, MSG_PEEK | MSG_TRUNC, 0), SECCOMP_RET_USER_NOTIF);
	cr_expect_eq(said_of(SYS_ioctl, 0, TCGETS, 0, 0, 0), SECCOMP_RET_ALLOW);
	cr_expect_eq(said_of(SYS_ioctl, 0, SIOCGIFCONF, 0, 0, 0), SECCOMP_RET_USER_NOTIF);
	cr_expect_eq(said_of(SYS_io_uring_setup, 0, 0, 0, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
	cr_expect_eq(said_of(SYS_read, 0, 0, 0, 0, 0), SECCOMP_RET_ALLOW);
#ifdef __x86_64__
	cr_expect_eq(said_of(SYS_socket | 0x40000000, AF_INET, 0, 0, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
#endif
}
