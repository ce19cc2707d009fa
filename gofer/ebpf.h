/*
 * Instructions of BPF programs. <linux/filter.h> of the kernel's own sources has such macros; no package of headers does.
 */
#ifndef SPLITSOCK_GOFER_EBPF_H
#define SPLITSOCK_GOFER_EBPF_H

#include <linux/bpf.h>

#define INSN(op, to, from, offset, immediate) \
	((struct bpf_insn){.code = (op), .dst_reg = (to), .src_reg = (from), .off = (short)(offset), .imm = (immediate)})
#define LOAD16(to, from, offset) INSN(BPF_LDX | BPF_H | BPF_MEM, to, from, offset, 0)
#define LOAD32(to, from, offset) INSN(BPF_LDX | BPF_W | BPF_MEM, to, from, offset, 0)
#define LOAD64(to, from, offset) INSN(BPF_LDX | BPF_DW | BPF_MEM, to, from, offset, 0)
#define MOVE(to, from) INSN(BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0)
#define SET(to, value) INSN(BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value)
#define SET64(to, value) \
	INSN(BPF_LD | BPF_DW | BPF_IMM, to, 0, 0, (int32_t)(uint32_t)(value)), INSN(0, 0, 0, 0, (int32_t)((uint64_t)(value) >> 32))
#define ADD(to, value) INSN(BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value)
#define AND(to, value) INSN(BPF_ALU64 | BPF_AND | BPF_K, to, 0, 0, value)
#define MULTIPLY(to, from) INSN(BPF_ALU64 | BPF_MUL | BPF_X, to, from, 0, 0)
#define CALL(function) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* Jumps over so many instructions. */
#define IF_EQUAL(reg, value, skip) INSN(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, skip, value)
#define UNLESS_EQUAL(reg, value, skip) INSN(BPF_JMP | BPF_JNE | BPF_K, reg, 0, skip, value)
#define IF_ABOVE(reg, other, skip) INSN(BPF_JMP | BPF_JGT | BPF_X, reg, other, skip, 0)
/* The lower half of the register alone. */
#define UNLESS_EQUAL32(reg, value, skip) INSN(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, skip, value)
#define IF_EQUAL32(reg, value, skip) INSN(BPF_JMP32 | BPF_JEQ | BPF_K, reg, 0, skip, value)

#endif
