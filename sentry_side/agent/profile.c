/*
 * Makes the seccomp profile for container runtimes: splitsock-seccomp-profile BASE LISTENER FLAGS.
 *
 * BASE is a profile without us, the runtime's default. What our rules are about is taken out of it, and they are put in, so that there is one table
 * for both filters. libseccomp, which runtimes use, knows no order of rules: those for one call must not overlap, unless they say the same. So
 * what an earlier case has taken is cut out of the later ones, bit by bit.
 */
#include <errno.h>
#include <jansson.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sentry_side/run/filter_rules.h"

#define ARGS 6
#define REGIONS_MAX 256

/* Arguments whose bits under the masks are those of the values. Of a pointer, bit 0 alone: that it is not NULL. */
struct region {
	uint32_t mask[ARGS], value[ARGS];
};

struct regions {
	struct region at[REGIONS_MAX];
	size_t count;
};

static void __attribute__((noreturn))
fail(const char *what, const char *why)
{
	fprintf(stderr, "splitsock-seccomp-profile: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

/* ---- rules without order ------------------------------------------------------------------------ */

static json_t *
rule(const char *name, const struct filter_case *of)
{
	json_t *made = json_pack("{s:[s], s:s, s:[]}", "names", name, "action",
	                         of->action == FILTER_ALLOW    ? "SCMP_ACT_ALLOW"
	                         : of->action == FILTER_NOTIFY ? "SCMP_ACT_NOTIFY"
	                                                       : "SCMP_ACT_ERRNO",
	                         "args");

	if (of->action == FILTER_REFUSE)
		json_object_set_new(made, "errnoRet", json_integer(of->error));
	return made;
}

static void
add_region(json_t *rules, const struct filter_call *call, const struct region *region, const struct filter_case *of)
{
	json_t *made = rule(call->name, of), *args = json_object_get(made, "args");

	for (int arg = 0; arg < ARGS; arg++) {
		if (!region->mask[arg])
			continue;
		if (arg == call->pointer_arg)
			json_array_append_new(args, json_pack("{s:i, s:i, s:s}", "index", arg, "value", 0, "op",
			                                      region->value[arg] ? "SCMP_CMP_NE" : "SCMP_CMP_EQ"));
		else
			json_array_append_new(args, json_pack("{s:i, s:I, s:I, s:s}", "index", arg, "value", (json_int_t)region->mask[arg],
			                                      "valueTwo", (json_int_t)region->value[arg], "op", "SCMP_CMP_MASKED_EQ"));
	}
	json_array_append_new(rules, made);
}

static struct region
region_of(const struct filter_case *of)
{
	struct region region = {0};

	for (size_t i = 0; i < FILTER_TESTS; i++) {
		region.mask[of->test[i].arg] |= of->test[i].mask;
		region.value[of->test[i].arg] |= of->test[i].value;
	}
	return region;
}

static void
keep(struct regions *regions, const struct region *region)
{
	if (regions->count == REGIONS_MAX)
		fail("the rules", "too many regions");
	regions->at[regions->count++] = *region;
}

/* What of `from` is not in `taken` goes to `left`; what is, is returned in *both. False: nothing is. */
static bool
cut(struct region from, const struct region *taken, struct regions *left, struct region *both)
{
	for (int arg = 0; arg < ARGS; arg++) {
		if ((from.value[arg] ^ taken->value[arg]) & from.mask[arg] & taken->mask[arg]) {
			keep(left, &from);
			return false;
		}
	}
	for (int arg = 0; arg < ARGS; arg++) {
		for (uint32_t bit = UINT32_C(1) << 31; bit; bit >>= 1) {
			struct region other;

			if (!(taken->mask[arg] & ~from.mask[arg] & bit))
				continue;
			from.mask[arg] |= bit;
			from.value[arg] |= taken->value[arg] & bit;
			other = from;
			other.value[arg] ^= bit;
			keep(left, &other);
		}
	}
	*both = from;
	return true;
}

static void
add_call(json_t *rules, const struct filter_call *call)
{
	static struct regions free_now, free_then;

	free_now = (struct regions){.count = 1};
	for (size_t i = 0; i < call->case_count; i++) {
		struct region taken = region_of(&call->cases[i]), both;

		free_then.count = 0;
		for (size_t r = 0; r < free_now.count; r++)
			if (cut(free_now.at[r], &taken, &free_then, &both))
				add_region(rules, call, &both, &call->cases[i]);
		free_now = free_then;
	}
	for (size_t r = 0; r < free_now.count; r++)
		add_region(rules, call, &free_now.at[r], &call->otherwise);
}

/* ---- the profile -------------------------------------------------------------------------------- */

static bool
is_ours(const char *name)
{
	for (size_t i = 0; i < filter_call_count; i++)
		if (strcmp(filter_calls[i].name, name) == 0)
			return true;
	return strcmp(name, "socketcall") == 0; /* the same by another table, which is refused */
}

/* What the base says of our calls goes. */
static void
strip(json_t *rules)
{
	for (size_t i = json_array_size(rules); i-- > 0;) {
		json_t *names = json_object_get(json_array_get(rules, i), "names");

		for (size_t n = json_array_size(names); n-- > 0;)
			if (is_ours(json_string_value(json_array_get(names, n))))
				json_array_remove(names, n);
		if (json_array_size(names) == 0)
			json_array_remove(rules, i);
	}
}

/* Runtimes' own: programs take EINVAL for a kernel without audit, and anything else for an error that they must not ignore. */
static struct filter_call
without_audit(const struct filter_call *call)
{
	struct filter_call made = *call;

	if (made.case_count == FILTER_CASES)
		fail(call->name, "too many cases");
	memmove(made.cases + 1, made.cases, made.case_count * sizeof *made.cases);
	made.cases[0] = (struct filter_case){
		.test = {{0, UINT32_MAX, AF_NETLINK}, {2, UINT32_MAX, NETLINK_AUDIT}}, .action = FILTER_REFUSE, .error = EINVAL};
	made.case_count++;
	return made;
}

/* Other system call tables have other numbers for our calls. Without them among the architectures, libseccomp ends who uses one. */
static json_t *
architectures(void)
{
	return json_pack("[{s:s, s:[]}, {s:s, s:[]}]", "architecture", "SCMP_ARCH_X86_64", "subArchitectures", "architecture",
	                 "SCMP_ARCH_AARCH64", "subArchitectures");
}

int
main(int argc, char **argv)
{
	json_error_t error;
	json_t *profile, *rules;
	bool killable;

	if (argc != 4)
		fail("usage", "splitsock-seccomp-profile BASE LISTENER wait-killable|plain");
	killable = strcmp(argv[3], "wait-killable") == 0;
	profile = json_load_file(argv[1], JSON_REJECT_DUPLICATES, &error);
	if (!profile)
		fail(argv[1], error.text);
	rules = json_object_get(profile, "syscalls");
	strip(rules);
	for (size_t i = 0; i < filter_call_count; i++) {
		struct filter_call call = filter_calls[i].number == SYS_socket ? without_audit(&filter_calls[i]) : filter_calls[i];

		add_call(rules, &call);
	}
	json_object_set_new(profile, "archMap", architectures());
	json_object_set_new(profile, "listenerPath", json_string(argv[2]));
	/* The agent has no other way to know. */
	json_object_set_new(profile, "listenerMetadata", json_sprintf("splitsock %s", argv[3]));
	if (killable)
		json_object_set_new(profile, "flags", json_pack("[s]", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"));
	if (json_dumpf(profile, stdout, JSON_INDENT(1) | JSON_COMPACT) < 0 || fputc('\n', stdout) == EOF || fflush(stdout) != 0)
		fail("standard output", strerror(errno));
	json_decref(profile);
	return EXIT_SUCCESS;
}
