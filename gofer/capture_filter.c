#include "gofer/capture_filter.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stdint.h>
#include <string.h>

#define PASS 0xffffffffu

/*
 * Appends a program whose returns of 0 stay and whose others go on behind its end, or, if it is the last, pass the frame whole: what a
 * client's filter cuts off is for its own socket to cut. -1: it returns what only its run tells, or there is no room.
 */
static ssize_t
append(struct sock_filter *out, size_t len, const struct sock_fprog *program, bool last)
{
	if (len + program->len > BPF_MAXINSNS)
		return -1;
	for (unsigned i = 0; i < program->len; i++) {
		struct sock_filter *at = &out[len + i];

		*at = program->filter[i];
		if (BPF_CLASS(at->code) != BPF_RET)
			continue;
		if (BPF_RVAL(at->code) != BPF_K)
			return -1;
		if (at->k && last)
			at->k = PASS;
		else if (at->k)
			*at = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, program->len - i - 1);
	}
	return (ssize_t)(len + program->len);
}

ssize_t
capture_filter(struct sock_filter *out, const struct sock_fprog *policy, const struct sock_fprog *client, bool loopback)
{
	static const struct sock_filter incoming[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CAPTURE_MARK, 2, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_LD | BPF_IMM, 0),
	};
	/* A program finds both registers empty; above, X still is. */
	static const struct sock_filter between[] = {
		BPF_STMT(BPF_LD | BPF_IMM, 0),
		BPF_STMT(BPF_LDX | BPF_IMM, 0),
	};
	size_t len = 0;
	ssize_t result;

	if (loopback) {
		memcpy(out, incoming, sizeof incoming);
		len = sizeof incoming / sizeof *incoming;
	}
	if (policy->len) {
		result = append(out, len, policy, false);
		if (result < 0)
			return -EINVAL;
		len = (size_t)result;
	}
	if (client->len && len + 2 <= BPF_MAXINSNS) {
		memcpy(out + len, between, sizeof between);
		result = append(out, len + 2, client, true);
		if (result > 0)
			return result;
	}
	if (len == BPF_MAXINSNS)
		return -EINVAL;
	out[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, PASS);
	return (ssize_t)len;
}
