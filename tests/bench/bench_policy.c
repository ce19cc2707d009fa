/*
 * What a decision costs, in processor time, by the number of rules: the compiled ones, and for comparison a walk over them. Sizes take turns, so that what else the machine
 * does meets all of them alike; a figure is the median of its rounds.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gofer/policy_index.h"
#include "tests/unit/naive.h"

#define ROUNDS 21
#define QUESTIONS 32768u
#define WALK_MAX 10000u

/* What rules are like. */
enum shape {
	MIXED,   /* networks of all sizes, with ports; some names, some for wherever */
	NESTED,  /* networks within networks, as deep as they can be */
	SAME,    /* one network, all ports apart */
	SHAPES
};
static const char *const shape_names[SHAPES] = {"mixed", "nested", "same network"};

static const size_t sizes[] = {10, 100, 1000, 10000, 100000};
enum { SIZES = sizeof sizes / sizeof *sizes };

struct course {
	struct policy_entry entry;
	struct policy_question *questions;
	double compiled[ROUNDS], walk[ROUNDS];
	double make_ms;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void
ip4_network(struct policy_network *network, uint32_t address, unsigned prefix)
{
	address = prefix ? address & ~(uint32_t)0 << (32 - prefix) : 0;
	*network = (struct policy_network){.address = {[10] = 0xff, 0xff, (uint8_t)(address >> 24), (uint8_t)(address >> 16),
	                                               (uint8_t)(address >> 8), (uint8_t)address},
	                                   .prefix = (uint8_t)(96 + prefix)};
}

static void
make_rule(struct naive_random *random, enum shape shape, size_t i, struct policy_rule *rule)
{
	static uint16_t tcp = IPPROTO_TCP;
	uint16_t port = (uint16_t)(1 + naive_number(random, 60000));
	uint64_t kind = naive_number(random, 20);

	*rule = (struct policy_rule){
		.name = "r",
		.allow = naive_number(random, 5) != 0,
		.operations = 1u << POLICY_CONNECT,
		.protocols = {.numbers = &tcp, .count = 1},
		.to = calloc(1, sizeof *rule->to),
		.to_count = 1,
		.ports = calloc(1, sizeof *rule->ports),
		.port_count = 1,
	};
	if (shape == MIXED && kind == 0) {
		rule->to->kind = TARGET_SUFFIX;
		if (asprintf(&rule->to->name, "d%zu.example.com", i) < 0)
			abort();
	} else if (shape == MIXED && kind == 1) {
		rule->to_count = 0;
	} else if (shape == MIXED) {
		ip4_network(&rule->to->network, (uint32_t)naive_number(random, UINT64_C(1) << 32), 8 + (unsigned)naive_number(random, 25));
	} else if (shape == NESTED) {
		ip4_network(&rule->to->network, 0x0a000000u | (uint32_t)(i / 25 * 2654435761u) >> 8, 8 + (unsigned)(i % 25));
	} else {
		ip4_network(&rule->to->network, 0x0a000000, 8);
		port = (uint16_t)(i % 65535 + 1);
	}
	*rule->ports = (struct policy_ports){port, shape == SAME ? port : (uint16_t)(port + naive_number(random, 200))};
}

static void
make_course(struct course *course, enum shape shape, size_t size)
{
	static const char *const names[] = {"www.d7.example.com"};
	struct naive_random random = {.state = size * 31 + shape};
	double start;

	course->entry = (struct policy_entry){.rules = calloc(size, sizeof *course->entry.rules), .rule_count = size};
	for (size_t i = 0; i < size; i++)
		make_rule(&random, shape, i, &course->entry.rules[i]);
	start = now();
	course->entry.index = policy_index_new(course->entry.rules, size);
	course->make_ms = (now() - start) / 1e6;
	course->questions = calloc(QUESTIONS, sizeof *course->questions);
	if (!course->entry.index || !course->questions)
		abort();
	/* Half of them are about an address and a port of some rule. */
	for (size_t i = 0; i < QUESTIONS; i++) {
		struct policy_question *question = &course->questions[i];
		const struct policy_rule *rule = &course->entry.rules[naive_number(&random, size)];
		struct policy_network network;

		ip4_network(&network, (uint32_t)naive_number(&random, UINT64_C(1) << 32), 32);
		*question = (struct policy_question){
			.operation = POLICY_CONNECT, .protocol = IPPROTO_TCP, .port = (uint16_t)naive_number(&random, 65536),
			.names = names, .name_count = shape == MIXED && i % 4 == 0};
		memcpy(question->address, network.address, 16);
		if (i % 2 && rule->to_count && rule->to->kind == TARGET_NETWORK) {
			memcpy(question->address, rule->to->network.address, 16);
			question->port = rule->ports->first;
		}
	}
}

static size_t allowed; /* so that nothing is left out */

static double
time_compiled(const struct course *course)
{
	double start = now();

	for (size_t i = 0; i < QUESTIONS; i++)
		allowed += policy_decide(&course->entry, &course->questions[i]).allowed;
	return (now() - start) / QUESTIONS;
}

static double
time_walk(const struct course *course)
{
	/* Of so many that it does not take for ever. */
	size_t count = 2000000 / course->entry.rule_count < QUESTIONS ? 2000000 / course->entry.rule_count : QUESTIONS;
	double start = now();

	for (size_t i = 0; i < count; i++)
		allowed += naive_decide(&course->entry, &course->questions[i]).allowed;
	return (now() - start) / (double)count;
}

static int
compare(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

int
main(void)
{
	static struct course courses[SHAPES][SIZES];
	double slowest_10000 = 0;

	for (int shape = 0; shape < SHAPES; shape++)
		for (int i = 0; i < SIZES; i++)
			make_course(&courses[shape][i], (enum shape)shape, sizes[i]);
	for (int round = 0; round < ROUNDS; round++)
		for (int shape = 0; shape < SHAPES; shape++)
			for (int i = 0; i < SIZES; i++) {
				struct course *course = &courses[shape][i];

				course->compiled[round] = time_compiled(course);
				course->walk[round] = sizes[i] <= WALK_MAX ? time_walk(course) : 0;
			}
	printf("%-14s %8s %14s %14s %12s\n", "rules", "number", "ns/decision", "ns/walk", "ms to make");
	for (int shape = 0; shape < SHAPES; shape++)
		for (int i = 0; i < SIZES; i++) {
			struct course *course = &courses[shape][i];

			qsort(course->compiled, ROUNDS, sizeof *course->compiled, compare);
			qsort(course->walk, ROUNDS, sizeof *course->walk, compare);
			printf("%-14s %8zu %14.0f ", shape_names[shape], sizes[i], course->compiled[ROUNDS / 2]);
			if (sizes[i] <= WALK_MAX)
				printf("%14.0f ", course->walk[ROUNDS / 2]);
			else
				printf("%14s ", "-");
			printf("%12.2f\n", course->make_ms);
			if (sizes[i] == 10000 && course->compiled[ROUNDS / 2] > slowest_10000)
				slowest_10000 = course->compiled[ROUNDS / 2];
		}
	printf("10,000 rules: at most %.0f ns a decision, of 1,000\n", slowest_10000);
	return slowest_10000 <= 1000 ? EXIT_SUCCESS : EXIT_FAILURE;
}
