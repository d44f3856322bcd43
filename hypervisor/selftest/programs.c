/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TSCs of the CPUs, then the guest programs, one after the other on every CPU.
 *
 * Theory of operation. One entity on the boot CPU takes the steps. For a CPU's TSC it has another one answer there, for some
 * milliseconds. For a program it makes a guest as the server's own are made, and halts until the keeper says that it is over, or
 * an alarm that it takes too long: then it is killed, which some are to be.
 * Lock order: this one's, then those of vm/managed.h.
 */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/hv.h"
#include "core/io.h"
#include "core/page.h"
#include "core/percpu.h"
#include "core/print.h"
#include "core/sched.h"
#include "core/timer.h"
#include "selftest/judge.h"
#include "selftest/selftest.h"
#include "vm/managed.h"

#define MS UINT64_C(1000000)
#define ANSWER_NS                                                                                  \
	(20000 *                                                                                   \
	 MS) /* until a CPU has begun to answer: where it is emulated, its host may let it wait */
#define LOOKS_NS     (100 * MS)
#define LOOK_US_MOST 10 /* what a look is to say at least */
#define WAIT_NS	     (20 * MS)
#define WAITS_MOST   1000U
#define COSTS_BYTES  320U
#define LOOKS_MOST   2000U
#define PROGRAM_NS   (UINT64_C(300000) * MS)
#define ENDLESS_NS   (500 * MS)
#define CONSOLE_ROOM CHANNEL_CONSOLE_KEEPS

struct program {
	const char *name, *file, *append, *append_vmx;
	unsigned memory_mib, vcpus;
	bool is_scaled; /* with a TSC of half the server's rate, which it is told */
	uint16_t how;	/* enum channel_how: how it is to end */
	uint64_t most_ns;
};

#define PROGRAM(prog, mib, n)                                                                      \
	{                                                                                          \
		.name = prog, .file = "strata-guest-" prog, .memory_mib = mib, .vcpus = n,         \
		.how = CHANNEL_HOW_EXIT, .most_ns = PROGRAM_NS                                     \
	}
#define TRESPASS(what, with, ends, ns)                                                             \
	{                                                                                          \
		.name = what, .file = "strata-guest-trespass", .append = with, .append_vmx = with, \
		.memory_mib = 16, .vcpus = 1, .how = ends, .most_ns = ns                           \
	}

static const struct program programs[] = {
	PROGRAM("pio", 16, 1),
	PROGRAM("mmio", 16, 1),
	PROGRAM("interrupts", 16, 1),
	PROGRAM("clocks", 16, 1),
	{ .name = "clocks-scaled",
	  .file = "strata-guest-clocks",
	  .memory_mib = 16,
	  .vcpus = 1,
	  .is_scaled = true,
	  .how = CHANNEL_HOW_EXIT,
	  .most_ns = PROGRAM_NS },
	{ .name = "tasks",
	  .file = "strata-guest-tasks",
	  .append_vmx = "all=1",
	  .memory_mib = 32,
	  .vcpus = 1,
	  .how = CHANNEL_HOW_EXIT,
	  .most_ns = PROGRAM_NS },
	{ .name = "cpu",
	  .file = "strata-guest-cpu",
	  .append_vmx = "vmx=1",
	  .memory_mib = 32,
	  .vcpus = 1,
	  .how = CHANNEL_HOW_EXIT,
	  .most_ns = PROGRAM_NS },
	PROGRAM("smp", 16, 2),
	TRESPASS("trespass", "", CHANNEL_HOW_EXIT, PROGRAM_NS),
	TRESPASS("triple-fault", "end=1", CHANNEL_HOW_CRASHED, PROGRAM_NS),
	TRESPASS("code-nowhere", "end=2", CHANNEL_HOW_FAILED, PROGRAM_NS),
	TRESPASS("tables-nowhere", "end=3", CHANNEL_HOW_FAILED, PROGRAM_NS),
	TRESPASS("endless-loop", "end=4", CHANNEL_HOW_KILLED, ENDLESS_NS),
	{ .name = "exit-cost",
	  .file = "strata-guest-exit_cost",
	  .append = "loops=500",
	  .append_vmx = "loops=500",
	  .memory_mib = 4,
	  .vcpus = 1,
	  .how = CHANNEL_HOW_EXIT,
	  .most_ns = PROGRAM_NS },
};

/* What another CPU answers with. */
struct answerer {
	struct sched_entity entity;
	uint32_t turn; /* atomic: 0: nothing yet; 1: read your TSC; 2: done; 3: no more */
	uint64_t tsc;
};

/* One server is tested once. */
static struct {
	struct sched_entity entity;
	struct hv_timer timer;
	struct spin lock;      /* guest, is_over */
	struct managed *guest; /* the one that runs; NULL: none */
	bool is_over;	       /* it has ended: its verdict is below */
	bool is_late;	       /* atomic: the alarm came */
	uint16_t how;
	char failure[48];
	char console[CONSOLE_ROOM];
	size_t console_len;
	bool is_vmx, can_scale;
	unsigned cpu, program;	 /* the next, or what runs */
	char costs[COSTS_BYTES]; /* of exits, by this program */
	size_t costs_len;
	int64_t free_bytes; /* before all guests */
	unsigned waits;	    /* for their memory */
	uint64_t cpu_silent[CPU_MAX / 64];
	struct answerer answerer;
} test;

/* ---- the TSCs ---- */

static enum sched_reason answer_run(struct sched_entity *entity, uint64_t deadline_ns)
{
	struct answerer *a = container_of(entity, struct answerer, entity);
	uint32_t turn;

	(void)deadline_ns;
	while ((turn = __atomic_load_n(&a->turn, __ATOMIC_ACQUIRE)) != 3) {
		if (turn != 1) {
			cpu_relax();
			continue;
		}
		a->tsc = tsc_read();
		/* not over a 3 that came meanwhile */
		(void)__atomic_compare_exchange_n(&a->turn, &turn, 2, false, __ATOMIC_RELEASE,
						  __ATOMIC_RELAXED);
	}
	return SCHED_STOP;
}

/* Return: false: nobody answers. */
static bool offset_look(struct answerer *a, uint64_t within_ns, struct judge_offset *offset)
{
	uint64_t end = clock_ns() + within_ns, before = tsc_read();

	__atomic_store_n(&a->turn, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&a->turn, __ATOMIC_ACQUIRE) != 2) {
		if (clock_ns() >= end)
			return false;
	}
	judge_offset_add(offset, before, a->tsc, tsc_read());
	return true;
}

static void offset_measure(unsigned cpu, struct judge_offset *offset)
{
	struct answerer *a = &test.answerer;

	*a = (struct answerer){ .entity = { .name = "tsc", .run = answer_run } };
	sched_pin(&a->entity, cpu);
	sched_add(&a->entity);
	sched_wake(&a->entity);
	uint64_t end = clock_ns() + LOOKS_NS;
	bool answers = offset_look(a, ANSWER_NS, offset);
	for (unsigned i = 1; answers && i < LOOKS_MOST && clock_ns() < end; i++)
		answers = offset_look(a, ANSWER_NS, offset);
	__atomic_store_n(&a->turn, 3, __ATOMIC_RELEASE);
	sched_remove(&a->entity);
}

static int64_t ticks_to_ns(int64_t ticks)
{
	int64_t khz = (int64_t)(clock_tsc_hz() / 1000);

	if (ticks > INT64_MAX / 1000000 || ticks < INT64_MIN / 1000000)
		return ticks / (khz ? khz : 1) * 1000000;
	return ticks * 1000000 / (khz ? khz : 1);
}

static void cpu_test(unsigned cpu)
{
	struct judge_offset offset = { 0 };

	if (cpu == test.entity.cpu)
		return;
	offset_measure(cpu, &offset);
	long ns = (long)ticks_to_ns(offset.ticks), error = (long)ticks_to_ns((int64_t)offset.error);
	if (!offset.n) {
		test.cpu_silent[cpu / 64] |= UINT64_C(1) << cpu % 64;
		self_test_fail("CPU %u: runs nothing", cpu);
	} else if (error > LOOK_US_MOST * 1000) {
		self_test_absent("CPU %u: TSC %ld ns from the first one's, but only within %ld ns",
				 cpu, ns, error);
	} else if (judge_offset_is_good(&offset, clock_tsc_hz())) {
		self_test_pass("CPU %u: TSC %ld ns from the first one's, within %ld ns", cpu, ns,
			       error);
	} else {
		self_test_fail("CPU %u: TSC %ld ns from the first one's, within %ld ns", cpu, ns,
			       error);
	}
}

/* ---- a program ---- */

/* By the keeper: what is left of it goes with this call. */
static void program_over(struct managed *m)
{
	uint64_t at = 0;

	spin_lock(&test.lock);
	test.how = m->how;
	(void)snprintf(test.failure, sizeof(test.failure), "%s", m->failure);
	test.console_len = managed_console(m, &at, (uint8_t *)test.console, sizeof(test.console));
	test.is_over = true;
	test.guest = NULL;
	spin_unlock(&test.lock);
	sched_wake(&test.entity);
}

static void program_late(struct hv_timer *timer)
{
	(void)timer;
	__atomic_store_n(&test.is_late, true, __ATOMIC_RELEASE);
	sched_wake(&test.entity);
}

static bool program_begin(const struct program *p, unsigned cpu)
{
	struct config_guest config = { .memory_bytes = (uint64_t)p->memory_mib << 20,
				       .vcpus = p->vcpus,
				       .console = CONFIG_CONSOLE_NONE,
				       .is_pinned = true,
				       .first_cpu = cpu };
	const char *append = test.is_vmx ? p->append_vmx : p->append;
	struct managed *m = NULL;
	struct err err = { 0 };

	/* once each: the one before may be listed still */
	(void)snprintf(config.name, sizeof(config.name), "%s-%u", p->name, cpu);
	(void)snprintf(config.kernel, sizeof(config.kernel), "%s", p->file);
	(void)snprintf(config.append, sizeof(config.append), "%s", append ? append : "");
	if (p->is_scaled) {
		config.tsc_khz = (uint32_t)(clock_tsc_hz() / 2000);
		(void)snprintf(config.append, sizeof(config.append), "tsc-khz=%u", config.tsc_khz);
	}
	spin_lock(
		&test.lock); /* the channel may have it destroyed meanwhile: program_over() waits */
	int r = managed_new(&config, true, &m, &err);
	if (r == 0) {
		m->over = program_over;
		r = managed_build(m, &err);
	}
	if (r == 0) {
		test.is_over = false;
		test.is_late = false; /* the alarm of the one before: it is this CPU's */
		test.guest = m;
		timer_arm(&test.timer, clock_ns() + p->most_ns);
		(void)managed_start(m, &err); /* or it is being destroyed */
	}
	spin_unlock(&test.lock);
	if (r < 0)
		self_test_fail("CPU %u, %s: %s", cpu, p->name, err.text);
	return r == 0;
}

static void line_say(void *arg, enum judge_line kind, const char *line, size_t len)
{
	const struct program *p = arg;

	if (kind == JUDGE_FAIL)
		self_test_note("  FAIL: CPU %u, %s: %.*s", test.cpu, p->name, (int)len, line);
	else if (kind == JUDGE_SKIP)
		self_test_note("  not here: CPU %u, %s: %.*s", test.cpu, p->name, (int)len, line);
	else if (test.costs_len < sizeof(test.costs))
		test.costs_len += (size_t)snprintf(
			test.costs + test.costs_len, sizeof(test.costs) - test.costs_len, "%s%.*s",
			test.costs_len ? ", " : "", (int)(len - strlen(" ticks")), line);
}

static const char *how_words(uint16_t how)
{
	static const char *const words[] = {
		[CHANNEL_HOW_NONE] = "was taken away",
		[CHANNEL_HOW_POWER_OFF] = "powered off",
		[CHANNEL_HOW_RESET] = "was reset",
		[CHANNEL_HOW_EXIT] = "ended its test",
		[CHANNEL_HOW_CRASHED] = "triple fault",
		[CHANNEL_HOW_FAILED] = "was stopped",
		[CHANNEL_HOW_KILLED] = "ran on until it was killed",
	};

	return how < ARRAY_SIZE(words) && words[how] ? words[how] : "ended";
}

/* How it ended is a result, and so is each of its own. */
static void program_end(const struct program *p)
{
	struct judge_output output;
	bool is_test = p->how == CHANNEL_HOW_EXIT;

	test.costs_len = 0;
	judge_output(test.console, test.console_len, &output, line_say,
		     (void *)(uintptr_t)p); /* which only reads it */
	self_test_add(output.passed, output.failed, output.skipped);
	if (test.how == p->how && (!is_test || (output.has_end && output.passed)))
		self_test_pass("CPU %u, %s: %s%s%s; %u passed, %u failed", test.cpu, p->name,
			       how_words(test.how), *test.failure ? ": " : "", test.failure,
			       output.passed, output.failed);
	else
		self_test_fail("CPU %u, %s: %s%s%s, where it %s%s", test.cpu, p->name,
			       how_words(test.how), *test.failure ? ": " : "", test.failure,
			       how_words(p->how), is_test ? " and says so" : " on other servers");
	if (test.costs_len)
		self_test_note("CPU %u: TSC ticks of an exit and back: %s", test.cpu, test.costs);
}

/* One that ends by itself meanwhile waits in program_over(). */
static void program_kill(void)
{
	struct err err = { 0 };

	spin_lock(&test.lock);
	if (test.guest)
		(void)managed_kill(test.guest, &err); /* or it has ended */
	spin_unlock(&test.lock);
}

static bool is_over(void)
{
	spin_lock(&test.lock);
	bool is = test.is_over;
	spin_unlock(&test.lock);
	return is;
}

/* ---- the steps ---- */

static bool is_silent(unsigned cpu)
{
	return test.cpu_silent[cpu / 64] >> cpu % 64 & 1;
}

/* Whether there is what it needs; else it was said. */
static bool program_is_here(const struct program *p)
{
	struct hv_file *file = hv_file_get(p->file);
	bool is = file;

	hv_file_put(file);
	if (!is)
		self_test_absent("CPU %u, %s: the loader brought no %s", test.cpu, p->name,
				 p->file);
	else if (p->is_scaled && !test.can_scale)
		self_test_absent("CPU %u, %s: the CPU does not scale its TSC", test.cpu, p->name);
	return is && (!p->is_scaled || test.can_scale);
}

/* What can be begun next is; what cannot be is said. Return: false: nothing is left. */
static bool next_begin(void)
{
	for (; test.cpu < cpu_count(); test.cpu++, test.program = 0) {
		for (; !is_silent(test.cpu) && test.program < ARRAY_SIZE(programs);
		     test.program++) {
			const struct program *p = &programs[test.program];
			if (program_is_here(p) && program_begin(p, test.cpu))
				return true;
		}
	}
	return false;
}

static int64_t memory_free(void)
{
	return (int64_t)(page_free_bytes() + hv_files_bytes());
}

/* The last guest's memory comes back after its end. */
static enum sched_reason finish(void)
{
	int64_t missing = test.free_bytes - memory_free();

	if (missing && test.waits++ < WAITS_MOST) {
		timer_arm(&test.timer, clock_ns() + WAIT_NS);
		return SCHED_HALT;
	}
	if (missing)
		self_test_fail("memory: %ld bytes are missing", (long)missing);
	else
		self_test_pass("memory: all of the guests' is back");
	managed_memory_check(false);
	self_test_end();
	return SCHED_STOP;
}

static enum sched_reason programs_run(struct sched_entity *entity, uint64_t deadline_ns)
{
	(void)entity;
	(void)deadline_ns;
	if (test.program == UINT32_MAX) { /* the first time */
		test.program = 0;
		for (unsigned i = 0; i < cpu_count(); i++)
			cpu_test(i);
		return next_begin() ? SCHED_HALT : finish();
	}
	if (test.cpu == cpu_count())
		return finish();
	if (!is_over()) {
		if (__atomic_exchange_n(&test.is_late, false, __ATOMIC_ACQ_REL))
			program_kill();
		return SCHED_HALT;
	}
	timer_cancel(&test.timer);
	program_end(&programs[test.program]);
	test.program++;
	return next_begin() ? SCHED_HALT : finish();
}

void hv_self_test_programs(void)
{
	struct hw_caps caps;
	struct err err = { 0 };
	const struct hw_ops *ops = hv_back_end(&caps, &err);

	test.can_scale = ops && caps.tsc.fraction;
	test.is_vmx = ops && !strcmp(ops->name, "vmx");
	test.program = UINT32_MAX;
	test.free_bytes = memory_free();
	test.timer.fired = program_late;
	test.entity = (struct sched_entity){ .name = "self-test", .run = programs_run };
	sched_pin(&test.entity, 0); /* the boot CPU */
	managed_memory_mark();
	sched_add(&test.entity);
	sched_wake(&test.entity);
}

void hv_self_test_without(void)
{
	self_test_absent("guest programs: they need a CPU that runs guests");
	self_test_end();
}
