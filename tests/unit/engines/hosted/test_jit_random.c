/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile guests: random code on both engines, which have to do the same; and several vcpus that write into each other's code and page
 * tables, which have to come back when they are kicked. RANDOM_SEED, RANDOM_SEEDS, RANDOM_CASES: other walks, more of them, longer ones.
 */
#include "random_replay.h"
#include "random_watch.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define CACHE_BYTES   (UINT64_C(2) << 20)
#define CASES_MACHINE 64U /* before another begins */
#define WILD	      4U  /* every fourth machine's guest reaches its own tables */
#define XSAVE_BYTES   16384U
#define JOIN_SECONDS  120
#define ARITHMETIC    0x8d5U
#define FRAME_BYTES   48U
#define PRINTED_MAX   10U

static uint64_t setting(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : usual;
}

/* ---- one that runs ---- */

struct outcome {
	bool is_kicked; /* it would have gone on: nothing to compare */
	enum vcpu_exit exit;
	unsigned accesses;
	uint64_t last; /* of the device accesses: a sum */
	struct x86_state state;
	uint64_t xcr0;
	uint8_t xsave[XSAVE_BYTES];
};

static uint64_t sum_of(enum vcpu_exit exit, const struct vcpu_io *io, uint64_t sum)
{
	uint64_t data = 0;

	if (exit == VCPU_EXIT_PIO) {
		memcpy(&data, io->pio.data, io->pio.is_write ? io->pio.len : 0);
		data += (uint64_t)io->pio.port << 40 | io->pio.is_write;
	} else if (exit == VCPU_EXIT_MMIO) {
		memcpy(&data, io->mmio.data, io->mmio.is_write ? io->mmio.len : 0);
		data &= ~(uint64_t)ARITHMETIC; /* it may be a frame: below */
		data += io->mmio.gpa << 8 | io->mmio.len;
	} else if (exit == VCPU_EXIT_MSR_READ || exit == VCPU_EXIT_MSR_WRITE) {
		data = io->msr.index;
	}
	return sum * 31 + data + exit;
}

/* What a VMM does before it looks at registers: the access under way is completed, and no more. */
static void settle(struct vcpu *vcpu, struct vcpu_io *io)
{
	enum vcpu_exit exit;

	for (unsigned i = 0; i < RANDOM_ACCESSES; i++) {
		hosted_cpu_ops.kick(vcpu);
		exit = hosted_cpu_ops.run(vcpu, io);
		if (exit != VCPU_EXIT_PIO && exit != VCPU_EXIT_MMIO)
			return;
		(void)random_answer(exit, io);
	}
}

static void run_one(struct random_rig *rig, struct random_watch *watch,
		    const struct x86_state *state, struct outcome *ret)
{
	struct vcpu *vcpu = rig->vcpus[0];
	struct vcpu_io io = { 0 };
	size_t n = sizeof(ret->xsave);

	memset(ret, 0, sizeof(*ret));
	assert_int_equal(hosted_cpu_ops.state_set(vcpu, state), 0);
	random_watch_set(watch, vcpu);
	do {
		ret->exit = hosted_cpu_ops.run(vcpu, &io);
		ret->last = sum_of(ret->exit, &io, ret->last);
	} while (random_answer(ret->exit, &io) && ++ret->accesses < RANDOM_ACCESSES);
	random_watch_set(watch, NULL);
	ret->is_kicked = ret->exit == VCPU_EXIT_KICKED;
	settle(vcpu, &io);
	(void)hosted_cpu_ops.state_get(vcpu, &ret->state);
	assert_int_equal(hosted_cpu_ops.xsave_get(vcpu, &ret->xcr0, ret->xsave, &n), 0);
}

/* ---- both engines ---- */

struct pair {
	struct random_rig interp, jit;
	struct outcome a, b;
};

/* Components in their initial state are so whatever the image has: SDM 1, XSAVE-Managed State. Whether one is told is the CPU's affair. */
static void xsave_normalize(uint8_t image[XSAVE_BYTES])
{
	const uint16_t fcw = 0x37f;
	uint64_t present;

	memcpy(&present, image + 512, 8);
	memset(image + 6, 0, 18); /* where the last x87 instruction was: the host's affair */
	if (!(present & 1)) {
		memset(image, 0, 6);
		memcpy(image, &fcw, 2);
		memset(image + 32, 0, 128);
	}
	if (!(present & 2))
		memset(image + 160, 0, 256);
	if (!(present & 4))
		memset(image + 576, 0, 256);
	memset(image + 512, 0, 8);
}

/*
 * Arithmetic flags that nobody reads before they are written again are not kept by translated code (jit_parts.h, Flags): the frame of a
 * fault in between may show others, and so may the handler's own; and so may who looks at a device's access, where a case is cut off.
 */
static void word_forgive(const struct random_rig *interp, struct random_rig *jit, uint64_t gpa)
{
	uint16_t x, y;

	memcpy(&x, interp->ram + gpa, 2);
	memcpy(&y, jit->ram + gpa, 2);
	if (((x ^ y) & ~ARITHMETIC) == 0)
		memcpy(jit->ram + gpa, &x, 2);
}

static void flags_forgive(const struct random_rig *interp, struct random_rig *jit,
			  const struct outcome *a, struct outcome *b)
{
	const struct x86_segment *ss = &b->state.segs[X86_SS];
	uint64_t sp = ss->base + b->state.regs[X86_RSP];
	gpa_t gpa;

	if (a->exit != b->exit || (a->exit != VCPU_EXIT_PIO && a->exit != VCPU_EXIT_MMIO))
		return;
	b->state.rflags = (b->state.rflags & ~ARITHMETIC) | (a->state.rflags & ARITHMETIC);
	if (a->exit != VCPU_EXIT_PIO)
		return;
	for (unsigned i = 0; i < FRAME_BYTES; i += 2) {
		if (hosted_cpu_ops.translate(jit->vcpus[0], sp + i, &gpa) == 0 &&
		    gpa <= RANDOM_RAM_BYTES - 2)
			word_forgive(interp, jit, gpa);
	}
}

/* The handlers of a guest that reaches its own tables, and their frames, may be anywhere; so may those that led to a triple fault. */
static void frames_forgive(const struct random_rig *interp, struct random_rig *jit)
{
	for (uint64_t gpa = 0; gpa < RANDOM_RAM_BYTES; gpa += 2)
		word_forgive(interp, jit, gpa);
}

static bool is_same_memory(const struct random_rig *interp, const struct random_rig *jit)
{
	return memcmp(jit->ram, interp->ram, RANDOM_RAM_BYTES) == 0;
}

static bool is_same(const struct outcome *a, const struct outcome *b)
{
	if (a->exit != b->exit || a->last != b->last || a->accesses != b->accesses)
		return false;
	if (a->exit == VCPU_EXIT_SHUTDOWN || a->exit == VCPU_EXIT_FAIL)
		return true;
	return memcmp(&a->state, &b->state, sizeof(a->state)) == 0 &&
	       memcmp(a->xsave, b->xsave, sizeof(a->xsave)) == 0;
}

static void print_memory(const char *name, const struct random_rig *a, const struct random_rig *b)
{
	unsigned shown = 0;

	for (uint32_t i = 0; i < RANDOM_RAM_BYTES && shown < 8; i++) {
		if (a->ram[i] != b->ram[i] && ++shown)
			print_message("  %s memory 0x%x: %02x %02x\n", name, i, a->ram[i],
				      b->ram[i]);
	}
}

static void print_difference(uint64_t number, const struct x86_state *start,
			     const struct outcome *a, const struct outcome *b)
{
	const uint64_t *x = (const uint64_t *)&a->state, *y = (const uint64_t *)&b->state;

	print_message(
		"case %llu: from cs base 0x%llx rip 0x%llx cr0 0x%llx efer 0x%llx flags 0x%llx cpl %u\n",
		(unsigned long long)number, (unsigned long long)start->segs[X86_CS].base,
		(unsigned long long)start->rip, (unsigned long long)start->cr0,
		(unsigned long long)start->efer, (unsigned long long)start->rflags,
		start->segs[X86_SS].dpl);
	print_message("  exit %d %d, accesses %u %u, sum %llx %llx\n", a->exit, b->exit,
		      a->accesses, b->accesses, (unsigned long long)a->last,
		      (unsigned long long)b->last);
	for (size_t i = 0; i < sizeof(a->state) / 8; i++) {
		if (x[i] != y[i])
			print_message("  state word %zu: 0x%llx 0x%llx\n", i,
				      (unsigned long long)x[i], (unsigned long long)y[i]);
	}
	for (size_t i = 0; i < sizeof(a->xsave); i++) {
		if (a->xsave[i] != b->xsave[i]) {
			print_message("  xsave byte %zu: %02x %02x\n", i, a->xsave[i], b->xsave[i]);
			break;
		}
	}
}

struct totals {
	unsigned cases, kicked, chances, differences;
};

/* What led to a case: its machine's memory, and the cases before it. */
struct group {
	struct diff_rng rng;
	uint64_t first; /* number of the first case */
	bool is_wild;	/* see random_memory() */
};

/* The group again, up to case i, which the interpreter executes step by step. */
static void replay(const struct group *group, struct random_watch *watch, uint64_t i, bool print,
		   struct random_replay *ret)
{
	static struct random_rig rig;
	static struct outcome outcome;
	struct diff_rng rng = group->rng;
	struct x86_state state;

	random_rig_create(&rig, 1, 0);
	random_memory(&rng, &rig, group->is_wild);
	for (uint64_t k = 0; k < i; k++) {
		random_state(&rng, &state);
		run_one(&rig, watch, &state, &outcome);
	}
	random_state(&rng, &state);
	random_replay(&rig, &state, print, ret);
	random_rig_destroy(&rig);
}

/* A case came out differently. */
static void differed(const struct group *group, struct random_watch *watch, uint64_t i,
		     const struct x86_state *start, struct pair *pair, struct totals *totals)
{
	struct random_replay again;

	replay(group, watch, i, false, &again);
	if (again.by_chance) {
		totals->chances++;
		return;
	}
	if (totals->differences++ >= PRINTED_MAX)
		return;
	print_difference(group->first + i, start, &pair->a, &pair->b);
	print_memory("interpreter's, translator's", &pair->interp, &pair->jit);
	replay(group, watch, i, true, &again);
}

/* A pair of machines, until they are no longer alike. */
static void pair_run(const struct group *group, struct random_watch *watch, uint64_t n,
		     struct totals *totals)
{
	static struct pair p;
	struct diff_rng rng = group->rng;

	random_rig_create(&p.interp, 1, 0);
	random_rig_create(&p.jit, 1, CACHE_BYTES);
	random_memory(&rng, &p.interp, group->is_wild);
	memcpy(p.jit.ram, p.interp.ram, RANDOM_RAM_BYTES);
	memcpy(p.jit.rom, p.interp.rom, RANDOM_ROM_BYTES);
	for (uint64_t i = 0; i < n; i++) {
		struct x86_state state;
		random_state(&rng, &state);
		run_one(&p.interp, watch, &state, &p.a);
		run_one(&p.jit, watch, &state, &p.b);
		totals->cases++;
		if (p.a.is_kicked || p.b.is_kicked) {
			totals->kicked++;
			break;
		}
		xsave_normalize(p.a.xsave);
		xsave_normalize(p.b.xsave);
		flags_forgive(&p.interp, &p.jit, &p.a, &p.b);
		if ((group->is_wild || p.a.exit == VCPU_EXIT_SHUTDOWN) &&
		    !is_same_memory(&p.interp, &p.jit))
			frames_forgive(&p.interp, &p.jit);
		if (!is_same(&p.a, &p.b) || !is_same_memory(&p.interp, &p.jit)) {
			differed(group, watch, i, &state, &p, totals);
			break;
		}
	}
	random_rig_destroy(&p.interp);
	random_rig_destroy(&p.jit);
}

static void walk(uint64_t seed, uint64_t cases, struct random_watch *watch)
{
	struct totals totals = { 0 };

	for (uint64_t i = 0; i < cases; i += CASES_MACHINE) {
		const struct group group = {
			.rng = { seed * UINT64_C(0xd1342543de82ef95) + i },
			.first = i,
			.is_wild = i / CASES_MACHINE % WILD == 0,
		};
		pair_run(&group, watch, CASES_MACHINE, &totals);
	}
	print_message("seed %llu: %u cases, %u without an end, %u by chance, %u differences\n",
		      (unsigned long long)seed, totals.cases, totals.kicked, totals.chances,
		      totals.differences);
	assert_int_equal(totals.differences, 0);
	assert_true(totals.kicked + totals.chances < totals.cases / 10);
}

static void both_engines_do_the_same(void **state)
{
	const uint64_t cases = setting("RANDOM_CASES", 2048), seed = setting("RANDOM_SEED", 1),
		       seeds = setting("RANDOM_SEEDS", 6);
	struct random_watch watch;

	(void)state;
	random_thread();
	random_watch_start(&watch);
	for (uint64_t i = 0; i < seeds; i++)
		walk(seed + i, cases, &watch);
	random_watch_end(&watch);
}

/* ---- several vcpus at each other ---- */

struct racer {
	struct random_rig *rig;
	unsigned index;
	uint64_t seed;
	uint32_t *over; /* atomic */
	uint64_t runs;
};

static void *racer_main(void *arg)
{
	struct racer *r = arg;
	struct diff_rng rng = { .state = r->seed };
	struct vcpu *vcpu = r->rig->vcpus[r->index];

	random_thread();
	while (!__atomic_load_n(r->over, __ATOMIC_ACQUIRE)) {
		struct vcpu_io io = { 0 };
		struct x86_state state;
		enum vcpu_exit exit;
		random_state(&rng, &state);
		(void)hosted_cpu_ops.state_set(vcpu, &state);
		unsigned accesses = 0;
		do {
			exit = hosted_cpu_ops.run(vcpu, &io);
		} while (random_answer(exit, &io) && ++accesses < RANDOM_ACCESSES);
		(void)__atomic_add_fetch(&r->runs, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* A device that writes into code, and who else has an errand. */
static void disturb(struct diff_rng *rng, struct random_rig *rig, unsigned rounds)
{
	uint8_t bytes[256];

	for (unsigned i = 0; i < rounds; i++) {
		const struct timespec pause = { .tv_nsec = 200000 };
		uint64_t at = diff_random(rng) % (RANDOM_RAM_BYTES - RANDOM_CODE - sizeof(bytes));
		random_code(rng, bytes, sizeof(bytes));
		(void)mem_write(&rig->mem, RANDOM_CODE + at, bytes, sizeof(bytes));
		hosted_cpu_ops.kick(rig->vcpus[diff_random(rng) % rig->n]);
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		if (i % 64 == 63)
			random_memory(rng, rig, true);
	}
}

static void race(unsigned n, uint64_t seed, unsigned rounds, uint64_t cache_bytes)
{
	struct random_rig rig;
	struct diff_rng rng = { .state = seed };
	struct racer racers[RANDOM_VCPUS];
	pthread_t threads[RANDOM_VCPUS];
	uint32_t over = 0;
	struct timespec deadline;

	random_rig_create(&rig, n, cache_bytes);
	random_memory(&rng, &rig, true);
	for (unsigned i = 0; i < n; i++) {
		racers[i] = (struct racer){ &rig, i, seed + i + 1, &over, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, racer_main, &racers[i]), 0);
	}
	disturb(&rng, &rig, rounds);
	for (unsigned i = 0; i < n; i++) { /* a busy host may not have let it begin */
		while (!__atomic_load_n(&racers[i].runs, __ATOMIC_ACQUIRE)) {
			hosted_cpu_ops.kick(rig.vcpus[i]);
			(void)sched_yield();
		}
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < n; i++)
		hosted_cpu_ops.kick(rig.vcpus[i]);
	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += JOIN_SECONDS;
	uint64_t runs = 0;
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(pthread_timedjoin_np(threads[i], NULL, &deadline), 0);
		runs += racers[i].runs;
	}
	print_message("%u vcpus: %llu runs\n", n, (unsigned long long)runs);
	assert_true(runs >= n);
	random_rig_destroy(&rig);
}

static void vcpus_that_rewrite_one_another_come_back(void **state)
{
	const unsigned rounds = (unsigned)setting("RANDOM_ROUNDS", 200);
	const uint64_t seed = setting("RANDOM_SEED", 1);

	(void)state;
	race(1, seed + 1000, rounds, 0);
	race(1, seed + 2000, rounds, CACHE_BYTES);
	race(2, seed + 3000, rounds, 2 * CACHE_BYTES);
	race(4, seed + 4000, rounds, 4 * CACHE_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_engines_do_the_same),
		cmocka_unit_test(vcpus_that_rewrite_one_another_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
