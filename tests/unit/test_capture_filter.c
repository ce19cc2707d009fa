/*
 * capture_filter(): programs put together. What they pass is told by an interpreter of our own, which is compared with the kernel, for all
 * pairs of some simple programs and for many random ones.
 */
#include "gofer/capture_filter.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(capture_filter, .timeout = 60);

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- running them ------------------------------------------------------------------------------- */

struct frame {
	uint8_t data[128];
	uint32_t len;
	uint32_t kind, mark; /* PACKET_HOST and so on */
};

static bool
load(const struct frame *frame, uint32_t at, unsigned size, uint32_t *value)
{
	if (at == (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)) {
		*value = frame->mark;
		return true;
	}
	if (at == (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)) {
		*value = frame->kind;
		return true;
	}
	if (at >= frame->len || frame->len - at < size)
		return false;
	*value = 0;
	for (unsigned i = 0; i < size; i++)
		*value = *value << 8 | frame->data[at + i];
	return true;
}

/* Like the kernel: both registers begin as 0, and a load from outside ends the program with 0. */
static uint32_t
run(const struct sock_filter *program, size_t len, const struct frame *frame)
{
	uint32_t a = 0, x = 0, memory[BPF_MEMWORDS] = {0}, operand;

	for (size_t at = 0; at < len; at++) {
		const struct sock_filter *in = &program[at];
		unsigned size = BPF_SIZE(in->code) == BPF_W ? 4 : BPF_SIZE(in->code) == BPF_H ? 2 : 1;

		switch (BPF_CLASS(in->code)) {
		case BPF_LD:
			if (BPF_MODE(in->code) == BPF_IMM)
				a = in->k;
			else if (BPF_MODE(in->code) == BPF_LEN)
				a = frame->len;
			else if (BPF_MODE(in->code) == BPF_MEM)
				a = memory[in->k];
			else if (!load(frame, BPF_MODE(in->code) == BPF_IND ? x + in->k : in->k, size, &a))
				return 0;
			break;
		case BPF_LDX:
			if (BPF_MODE(in->code) == BPF_IMM)
				x = in->k;
			else if (BPF_MODE(in->code) == BPF_LEN)
				x = frame->len;
			else if (BPF_MODE(in->code) == BPF_MEM)
				x = memory[in->k];
			else if (load(frame, in->k, 1, &x)) /* MSH */
				x = (x & 0xf) * 4;
			else
				return 0;
			break;
		case BPF_ST:
			memory[in->k] = a;
			break;
		case BPF_STX:
			memory[in->k] = x;
			break;
		case BPF_ALU:
			operand = BPF_SRC(in->code) == BPF_X ? x : in->k;
			switch (BPF_OP(in->code)) {
			case BPF_ADD: a += operand; break;
			case BPF_SUB: a -= operand; break;
			case BPF_MUL: a *= operand; break;
			case BPF_OR: a |= operand; break;
			case BPF_AND: a &= operand; break;
			case BPF_XOR: a ^= operand; break;
			case BPF_LSH: a <<= operand; break;
			case BPF_RSH: a >>= operand; break;
			case BPF_NEG: a = -a; break;
			case BPF_DIV:
				if (!operand)
					return 0;
				a /= operand;
				break;
			default:
				cr_assert_fail("instruction %#x", in->code);
			}
			break;
		case BPF_JMP:
			operand = BPF_SRC(in->code) == BPF_X ? x : in->k;
			if (BPF_OP(in->code) == BPF_JA)
				at += in->k;
			else if (BPF_OP(in->code) == BPF_JEQ ? a == operand : BPF_OP(in->code) == BPF_JGT ? a > operand
			         : BPF_OP(in->code) == BPF_JGE ? a >= operand : a & operand)
				at += in->jt;
			else
				at += in->jf;
			break;
		case BPF_RET:
			return BPF_RVAL(in->code) == BPF_A ? a : in->k;
		default: /* MISC */
			if (BPF_MISCOP(in->code) == BPF_TAX)
				x = a;
			else
				a = x;
		}
	}
	cr_assert_fail("a program has run out");
	return 0;
}

/* What the kernel makes of it: how many bytes pass. -1: it refuses the program. Kind and mark are 0 there. */
static int
run_in_kernel(const struct sock_filter *program, size_t len, const struct frame *frame)
{
	struct sock_fprog filter = {(unsigned short)len, (struct sock_filter *)program};
	uint8_t got[sizeof frame->data];
	int two[2], result = -1;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, two), 0);
	if (setsockopt(two[1], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0) {
		/* EPERM: the filter has dropped it. */
		if (send(two[0], frame->data, frame->len, MSG_DONTWAIT) < 0 && errno != EPERM)
			cr_assert_fail("send: %s", strerror(errno));
		result = (int)recv(two[1], got, sizeof got, MSG_DONTWAIT);
		if (result < 0)
			result = 0;
	}
	close(two[0]);
	close(two[1]);
	return result;
}

/* ---- random ones -------------------------------------------------------------------------------- */

static uint64_t state = 0x853c49e6748fea9bull;

static uint32_t
chance(uint32_t below)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((state >> 33) % below);
}

static void
random_frame(struct frame *frame)
{
	static const uint32_t marks[] = {0, 0, 0, CAPTURE_MARK, 1};

	frame->len = 1 + chance(sizeof frame->data);
	frame->kind = chance(PACKET_OUTGOING + 1);
	frame->mark = marks[chance(COUNT(marks))];
	for (uint32_t i = 0; i < frame->len; i++)
		frame->data[i] = (uint8_t)chance(chance(2) ? 4 : 256);
}

static struct sock_filter
random_return(bool may_return_a)
{
	if (may_return_a && chance(8) == 0)
		return (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
	return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, chance(2) ? 0 : 1 + chance(1000));
}

static struct sock_filter
random_instruction(size_t left, bool may_return_a)
{
	static const uint16_t sizes[] = {BPF_W, BPF_H, BPF_B}, jumps[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
	static const uint16_t operations[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR, BPF_DIV};
	uint32_t small = chance(4), source = chance(2) ? BPF_X : BPF_K;
	uint32_t reach = left > 255 ? 255 : (uint32_t)left;

	switch (chance(16)) {
	case 0:
	case 1:
	case 2:
		return (struct sock_filter)BPF_STMT(BPF_LD | BPF_ABS | sizes[chance(3)], chance(20) ? chance(8) : chance(200));
	case 3:
		return (struct sock_filter)BPF_STMT(BPF_LD | BPF_IND | sizes[chance(3)], chance(8));
	case 4:
		return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | (chance(2) ? BPF_LEN : BPF_IMM), small);
	case 5:
		return (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | (chance(2) ? BPF_LEN : BPF_IMM), small);
	case 6:
		return (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, chance(8));
	case 7:
		return (struct sock_filter)BPF_STMT(chance(2) ? BPF_ST : BPF_STX, small);
	case 8:
		return (struct sock_filter)BPF_STMT(chance(2) ? BPF_LD | BPF_MEM : BPF_LDX | BPF_MEM, small);
	case 9:
		return (struct sock_filter)BPF_STMT(BPF_MISC | (chance(2) ? BPF_TAX : BPF_TXA), 0);
	case 10:
	case 11:
		return (struct sock_filter)BPF_STMT(BPF_ALU | operations[chance(COUNT(operations))] | source, source == BPF_K ? small + 1 : 0);
	case 12:
		return chance(2) ? (struct sock_filter)BPF_STMT(BPF_ALU | BPF_NEG, 0)
		                 : (struct sock_filter)BPF_STMT(BPF_ALU | (chance(2) ? BPF_LSH : BPF_RSH) | BPF_K, small);
	case 13:
		return chance(3) ? (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, chance(reach)) : random_return(may_return_a);
	default:
		return (struct sock_filter)BPF_JUMP(BPF_JMP | jumps[chance(COUNT(jumps))] | source, source == BPF_K ? small : 0,
		                                    (uint8_t)chance(reach), (uint8_t)chance(reach));
	}
}

/* A valid one: memory is written before it is read, jumps stay inside, the end is a return. */
static void
random_program(struct sock_fprog *program, size_t len, bool may_return_a)
{
	bool reads_memory = len > 4 && chance(2);
	size_t at = 0;

	program->len = (unsigned short)len;
	for (; reads_memory && at < 4; at++)
		program->filter[at] = (struct sock_filter)BPF_STMT(BPF_ST, (uint32_t)at);
	for (; at + 1 < len; at++) {
		struct sock_filter *in = &program->filter[at];

		do
			*in = random_instruction(len - at - 1, may_return_a);
		while (!reads_memory && BPF_CLASS(in->code) <= BPF_LDX && BPF_MODE(in->code) == BPF_MEM);
	}
	program->filter[len - 1] = random_return(may_return_a);
}

static bool
returns_a(const struct sock_fprog *program)
{
	for (unsigned i = 0; i < program->len; i++)
		if (program->filter[i].code == (BPF_RET | BPF_A))
			return true;
	return false;
}

/* ---- the property ------------------------------------------------------------------------------- */

typedef ssize_t combine_fn(struct sock_filter *out, const struct sock_fprog *policy, const struct sock_fprog *client,
                           bool loopback);

static bool
passes(const struct sock_fprog *program, const struct frame *frame)
{
	return program->len == 0 || run(program->filter, program->len, frame) != 0;
}

/* How often a combination is wrong about a frame, of so many of random programs. */
static unsigned
mistakes(combine_fn *combine, unsigned rounds, bool may_return_a, unsigned *passed)
{
	static struct sock_filter out[BPF_MAXINSNS], policy_code[64], client_code[64];
	struct sock_fprog policy = {.filter = policy_code}, client = {.filter = client_code};
	unsigned wrong = 0;
	struct frame frame;

	*passed = 0;
	for (unsigned round = 0; round < rounds; round++) {
		bool loopback = chance(2), left_out;
		ssize_t len;

		policy.len = client.len = 0;
		if (chance(4))
			random_program(&policy, 1 + chance(COUNT(policy_code)), false);
		if (chance(8))
			random_program(&client, 1 + chance(COUNT(client_code)), may_return_a);
		left_out = returns_a(&client);
		len = combine(out, &policy, &client, loopback);
		if (len <= 0 || len > BPF_MAXINSNS) {
			wrong++;
			continue;
		}
		for (int i = 0; i < 8; i++) {
			bool ours, expected;
			uint32_t result;

			random_frame(&frame);
			ours = loopback && (frame.mark == CAPTURE_MARK || frame.kind == PACKET_OUTGOING);
			expected = !ours && passes(&policy, &frame) && (left_out || passes(&client, &frame));
			result = run(out, (size_t)len, &frame);
			/* What passes does so whole. */
			wrong += result != (expected ? 0xffffffffu : 0);
			*passed += expected;
		}
	}
	return wrong;
}

Test(capture_filter, passes_what_both_pass)
{
	unsigned passed;

	cr_assert_eq(mistakes(capture_filter, 50000, false, &passed), 0);
	cr_assert_gt(passed, 50000, "hardly anything passes: %u", passed);
	cr_assert_lt(passed, 350000, "nearly everything passes: %u", passed);
}

Test(capture_filter, client_that_returns_a_is_left_out)
{
	unsigned passed;

	cr_assert_eq(mistakes(capture_filter, 20000, true, &passed), 0);
}

/* Combinations that are wrong, each in its way. */
static ssize_t
without_client(struct sock_filter *out, const struct sock_fprog *policy, const struct sock_fprog *client, bool loopback)
{
	(void)client;
	return capture_filter(out, policy, &(struct sock_fprog){0}, loopback);
}

static ssize_t
without_policy(struct sock_filter *out, const struct sock_fprog *policy, const struct sock_fprog *client, bool loopback)
{
	(void)policy;
	return capture_filter(out, &(struct sock_fprog){0}, client, loopback);
}

static ssize_t
without_loopback(struct sock_filter *out, const struct sock_fprog *policy, const struct sock_fprog *client, bool loopback)
{
	(void)loopback;
	return capture_filter(out, policy, client, false);
}

/* The client begins with what the policy's program has left in the registers. */
static ssize_t
with_used_registers(struct sock_filter *out, const struct sock_fprog *policy, const struct sock_fprog *client, bool loopback)
{
	ssize_t len = capture_filter(out, policy, client, loopback);

	if (policy->len && client->len)
		out[len - client->len - 2] = out[len - client->len - 1] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0);
	return len;
}

/* A policy's return of something goes on a step too early. */
static ssize_t
with_short_jumps(struct sock_filter *out, const struct sock_fprog *policy, const struct sock_fprog *client, bool loopback)
{
	ssize_t len = capture_filter(out, policy, client, loopback);

	for (ssize_t i = 0; i < len; i++)
		if (policy->len && out[i].code == (BPF_JMP | BPF_JA) && out[i].k) {
			out[i].k--;
			break;
		}
	return len;
}

Test(capture_filter, wrong_combinations_are_found)
{
	combine_fn *const wrong[] = {without_client, without_policy, without_loopback, with_used_registers, with_short_jumps};
	unsigned passed;

	for (size_t i = 0; i < COUNT(wrong); i++)
		cr_expect_gt(mistakes(wrong[i], 10000, false, &passed), 0, "number %zu has passed for right", i);
}

/* ---- against the kernel ------------------------------------------------------------------------- */

/* It takes what we make, and runs it as our interpreter does. */
Test(capture_filter, kernel_agrees)
{
	static struct sock_filter out[BPF_MAXINSNS], policy_code[32], client_code[32];
	struct sock_fprog policy = {.filter = policy_code}, client = {.filter = client_code};
	unsigned passed = 0, rounds = 2000;

	for (unsigned round = 0; round < rounds; round++) {
		struct frame frame;
		ssize_t len;
		int kernel;

		random_program(&policy, 1 + chance(COUNT(policy_code)), false);
		random_program(&client, 1 + chance(COUNT(client_code)), false);
		random_frame(&frame);
		frame.kind = frame.mark = 0;
		kernel = run_in_kernel(client.filter, client.len, &frame);
		cr_assert_eq(kernel > 0, passes(&client, &frame), "the kernel and we differ: %d", kernel);
		len = capture_filter(out, &policy, &client, chance(2));
		cr_assert_gt(len, 0);
		kernel = run_in_kernel(out, (size_t)len, &frame);
		cr_assert_neq(kernel, -1, "the kernel refuses it: %s", strerror(errno));
		cr_assert_eq(kernel, passes(&policy, &frame) && passes(&client, &frame) ? (int)frame.len : 0);
		passed += kernel > 0;
	}
	cr_assert(passed > rounds / 20 && passed < rounds * 19 / 20, "%u of %u pass", passed, rounds);
}

/* ---- by hand ------------------------------------------------------------------------------------ */

static struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
static struct sock_filter everything[] = {BPF_STMT(BPF_RET | BPF_K, 1)};
static struct sock_filter first_is_7[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 7, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 96),
	BPF_STMT(BPF_RET | BPF_K, 0),
};
static struct sock_filter second_is_8[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 1),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 8, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, 0),
	BPF_STMT(BPF_RET | BPF_K, 96),
};
/* Right only for who finds nothing in the registers. */
static struct sock_filter registers_empty[] = {
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3),
	BPF_STMT(BPF_MISC | BPF_TXA, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 1),
	BPF_STMT(BPF_RET | BPF_K, 0),
};
static struct sock_filter fills_registers[] = {
	BPF_STMT(BPF_LD | BPF_IMM, 5),
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_RET | BPF_K, 1),
};
static struct sock_filter a_returned[] = {BPF_STMT(BPF_LD | BPF_IMM, 1), BPF_STMT(BPF_RET | BPF_A, 0)};

static struct sock_fprog programs[] = {
	{0, NULL},
	{COUNT(nothing), nothing},
	{COUNT(everything), everything},
	{COUNT(first_is_7), first_is_7},
	{COUNT(second_is_8), second_is_8},
	{COUNT(registers_empty), registers_empty},
	{COUNT(fills_registers), fills_registers},
};

Test(capture_filter, all_pairs)
{
	static const uint32_t marks[] = {0, CAPTURE_MARK, CAPTURE_MARK + 1};
	static struct sock_filter out[BPF_MAXINSNS];
	struct frame frame = {.len = 2};

	for (size_t p = 0; p < COUNT(programs); p++)
		for (size_t c = 0; c < COUNT(programs); c++)
			for (int loopback = 0; loopback < 2; loopback++) {
				ssize_t len = capture_filter(out, &programs[p], &programs[c], loopback);

				cr_assert_gt(len, 0);
				for (int bits = 0; bits < 4; bits++)
					for (frame.kind = 0; frame.kind <= PACKET_OUTGOING; frame.kind++)
						for (size_t m = 0; m < COUNT(marks); m++) {
							bool ours = loopback && (frame.kind == PACKET_OUTGOING || marks[m] == CAPTURE_MARK);

							frame.mark = marks[m];
							frame.data[0] = bits & 1 ? 7 : 6;
							frame.data[1] = bits & 2 ? 8 : 9;
							cr_assert_eq(run(out, (size_t)len, &frame),
							             !ours && passes(&programs[p], &frame) && passes(&programs[c], &frame) ? 0xffffffffu : 0,
							             "policy %zu, client %zu, loopback %d, bytes %d, kind %u, mark %zu", p, c, loopback,
							             bits, frame.kind, m);
						}
			}
}

Test(capture_filter, empty_ones_pass_everything)
{
	struct sock_filter out[BPF_MAXINSNS];
	struct frame frame = {.len = 1};

	cr_assert_eq(capture_filter(out, &programs[0], &programs[0], false), 1);
	cr_assert_eq(run(out, 1, &frame), 0xffffffffu);
}

Test(capture_filter, policy_that_returns_a_is_refused)
{
	struct sock_filter out[BPF_MAXINSNS];
	struct sock_fprog policy = {COUNT(a_returned), a_returned};

	for (size_t c = 0; c < COUNT(programs); c++) {
		cr_assert_eq(capture_filter(out, &policy, &programs[c], false), -EINVAL);
		cr_assert_eq(capture_filter(out, &policy, &programs[c], true), -EINVAL);
	}
}

Test(capture_filter, client_that_returns_a_changes_nothing)
{
	static struct sock_filter with[BPF_MAXINSNS], without[BPF_MAXINSNS];
	struct sock_fprog client = {COUNT(a_returned), a_returned};

	for (size_t p = 0; p < COUNT(programs); p++)
		for (int loopback = 0; loopback < 2; loopback++) {
			ssize_t len = capture_filter(without, &programs[p], &programs[0], loopback);

			cr_assert_eq(capture_filter(with, &programs[p], &client, loopback), len);
			cr_assert_arr_eq(with, without, (size_t)len * sizeof *with);
		}
}

/* ---- long ones ---------------------------------------------------------------------------------- */

/* Of that many instructions; passes or drops at its very end. */
static struct sock_fprog
long_program(struct sock_filter *code, size_t len, uint32_t result)
{
	for (size_t i = 0; i + 1 < len; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, (uint32_t)i);
	if (len > 2) /* from the first to the last */
		code[0] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)len - 2);
	code[len - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, result);
	return (struct sock_fprog){(unsigned short)len, code};
}

Test(capture_filter, lengths_around_the_limit)
{
	static struct sock_filter out[BPF_MAXINSNS + 1], policy_code[BPF_MAXINSNS], client_code[BPF_MAXINSNS];
	enum { MAX = BPF_MAXINSNS };
	static const size_t lengths[] = {0,       1,       2,       1000,    2047,    2048,    MAX - 10, MAX - 9, MAX - 8,
	                                 MAX - 7, MAX - 6, MAX - 5, MAX - 4, MAX - 3, MAX - 2, MAX - 1,  MAX};
	const struct sock_filter canary = BPF_STMT(0x1234, 0x56789abc);
	struct frame frame = {.len = 1};

	out[BPF_MAXINSNS] = canary;
	for (size_t p = 0; p < COUNT(lengths); p++)
		for (size_t c = 0; c < COUNT(lengths); c++)
			for (int bits = 0; bits < 8; bits++) {
				struct sock_fprog policy = {0}, client = {0};
				size_t prefix = bits & 4 ? (size_t)capture_filter(out, &policy, &client, true) - 1 : 0;
				bool left_out = prefix + lengths[p] + 2 + lengths[c] > BPF_MAXINSNS;
				bool too_long = prefix + lengths[p] + (lengths[c] && !left_out ? 2 + lengths[c] : 1) > BPF_MAXINSNS;
				ssize_t len;

				if (lengths[p])
					policy = long_program(policy_code, lengths[p], bits & 1);
				if (lengths[c])
					client = long_program(client_code, lengths[c], bits & 2);
				len = capture_filter(out, &policy, &client, bits & 4);
				cr_assert(memcmp(&out[BPF_MAXINSNS], &canary, sizeof canary) == 0, "it writes beyond the end");
				if (too_long) {
					cr_assert_eq(len, -EINVAL, "%zu and %zu: %zd", lengths[p], lengths[c], len);
					continue;
				}
				cr_assert(len > 0 && len <= BPF_MAXINSNS, "%zu and %zu: %zd", lengths[p], lengths[c], len);
				cr_assert_eq(run(out, (size_t)len, &frame) != 0,
				             (!lengths[p] || bits & 1) && (!lengths[c] || left_out || bits & 2), "%zu and %zu", lengths[p], lengths[c]);
				if (bits == 7 && len > MAX - 3)
					cr_assert_neq(run_in_kernel(out, (size_t)len, &frame), -1, "%zu and %zu: %s", lengths[p], lengths[c],
					              strerror(errno));
			}
}

/* The largest number of returns, each of which becomes a jump as long as there can be. */
Test(capture_filter, all_returns)
{
	static struct sock_filter out[BPF_MAXINSNS], policy_code[BPF_MAXINSNS / 2], client_code[BPF_MAXINSNS / 2 - 2];
	struct sock_fprog policy = {COUNT(policy_code), policy_code}, client = {COUNT(client_code), client_code};
	struct frame frame = {.data = {7, 8}, .len = 2};

	for (size_t i = 0; i < COUNT(policy_code); i++)
		policy_code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 1);
	for (size_t i = 0; i < COUNT(client_code); i++)
		client_code[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 1 + (uint32_t)i);
	cr_assert_eq(capture_filter(out, &policy, &client, false), BPF_MAXINSNS);
	cr_assert_eq(run(out, BPF_MAXINSNS, &frame), 0xffffffffu);
	cr_assert_eq(run_in_kernel(out, BPF_MAXINSNS, &frame), 2);
	client_code[0] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	cr_assert_eq(capture_filter(out, &policy, &client, false), BPF_MAXINSNS);
	cr_assert_eq(run(out, BPF_MAXINSNS, &frame), 0);
	cr_assert_eq(run_in_kernel(out, BPF_MAXINSNS, &frame), 0);
}
