/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler in simulated time: what runs, runs as long as it may, and wakes of sleepers come between. */
#include "scratch.h"

#include <string.h>

#include "core/sched_queue.h"

#define MS	 UINT64_C(1000000)
#define S	 (1000 * MS)
#define FOREVER	 UINT64_MAX
#define GUESTS	 8U
#define CPUS_MAX 4U

/* What one does: runs for busy, then sleeps for idle; busy FOREVER: spins. */
struct sim_guest {
	struct sched_entity entity;
	uint64_t busy_ns, idle_ns;
	uint64_t left_ns; /* of the present burst */
	uint64_t wake_at_ns, longest_wait_ns, runnable_since_ns;
};

struct sim {
	struct sched_queues queues;
	struct sim_guest guests[GUESTS];
	unsigned n;
	uint64_t now_ns;
	struct {
		struct sim_guest *guest;
		uint64_t until_ns, since_ns;
	} cpus[CPUS_MAX];
};

static struct sim *sim_new(unsigned cpus)
{
	static struct sim sim;

	memset(&sim, 0, sizeof(sim));
	sim.queues.n = cpus;
	return &sim;
}

static struct sim_guest *sim_add(struct sim *s, uint32_t weight, uint64_t busy_ns, uint64_t idle_ns)
{
	struct sim_guest *g = &s->guests[s->n++];

	g->entity.weight = weight;
	g->busy_ns = g->left_ns = busy_ns;
	g->idle_ns = idle_ns;
	g->wake_at_ns = FOREVER;
	sched_queue_add(&s->queues, &g->entity, s->now_ns);
	(void)sched_queue_wake(&s->queues, &g->entity, s->now_ns);
	g->runnable_since_ns = s->now_ns;
	return g;
}

static void sim_pick(struct sim *s, unsigned cpu)
{
	struct sched_entity *e =
		sched_queue_pick(&s->queues, cpu, s->now_ns, &s->cpus[cpu].until_ns);

	s->cpus[cpu].guest = NULL;
	if (!e)
		return;
	struct sim_guest *g = (struct sim_guest *)e;
	s->cpus[cpu].guest = g;
	s->cpus[cpu].since_ns = s->now_ns;
	uint64_t waited = s->now_ns - g->runnable_since_ns;
	if (waited > g->longest_wait_ns)
		g->longest_wait_ns = waited;
	if (g->left_ns != FOREVER && g->left_ns < s->cpus[cpu].until_ns - s->now_ns)
		s->cpus[cpu].until_ns = s->now_ns + g->left_ns;
}

static void sim_put(struct sim *s, unsigned cpu)
{
	struct sim_guest *g = s->cpus[cpu].guest;
	enum sched_reason reason = SCHED_YIELD;

	if (g->left_ns != FOREVER) {
		g->left_ns -= s->now_ns - s->cpus[cpu].since_ns;
		if (!g->left_ns) {
			reason = SCHED_HALT;
			g->left_ns = g->busy_ns;
			g->wake_at_ns = s->now_ns + g->idle_ns;
		}
	}
	g->runnable_since_ns = s->now_ns;
	sched_queue_put(&s->queues, cpu, reason, s->now_ns);
	s->cpus[cpu].guest = NULL;
}

static void sim_wake(struct sim *s, struct sim_guest *g)
{
	g->wake_at_ns = FOREVER;
	g->runnable_since_ns = s->now_ns;
	int cpu = sched_queue_wake(&s->queues, &g->entity, s->now_ns);
	if (cpu < 0)
		return;
	if (s->cpus[cpu].guest && s->queues.at[cpu].must_yield)
		sim_put(s, (unsigned)cpu);
	if (!s->cpus[cpu].guest)
		sim_pick(s, (unsigned)cpu);
}

static uint64_t sim_next(const struct sim *s)
{
	uint64_t next = FOREVER;

	for (unsigned i = 0; i < s->queues.n; i++) {
		if (s->cpus[i].until_ns < next)
			next = s->cpus[i].until_ns;
	}
	for (unsigned i = 0; i < s->n; i++) {
		if (s->guests[i].wake_at_ns < next)
			next = s->guests[i].wake_at_ns;
	}
	return next;
}

static void sim_run(struct sim *s, uint64_t ns)
{
	uint64_t end = s->now_ns + ns;

	for (unsigned i = 0; i < s->queues.n; i++)
		sim_pick(s, i);
	while (sim_next(s) < end) {
		s->now_ns = sim_next(s);
		for (unsigned i = 0; i < s->queues.n; i++) {
			if (s->cpus[i].until_ns > s->now_ns)
				continue;
			if (s->cpus[i].guest)
				sim_put(s, i);
			sim_pick(s, i);
		}
		for (unsigned i = 0; i < s->n; i++) {
			if (s->guests[i].wake_at_ns <= s->now_ns)
				sim_wake(s, &s->guests[i]);
		}
	}
	s->now_ns = end;
	for (unsigned i = 0; i < s->queues.n; i++) {
		if (s->cpus[i].guest)
			sim_put(s, i);
	}
}

/* Thousandths of one CPU. */
static unsigned share(const struct sim_guest *g, uint64_t ns)
{
	return (unsigned)(g->entity.ran_ns * 1000 / ns);
}

static void assert_near(unsigned value, unsigned want, unsigned by)
{
	assert_in_range(value, want - by, want + by);
}

static void shares_follow_the_weights(void **state)
{
	struct sim *s = sim_new(1);

	(void)state;
	for (uint32_t weight = 100; weight <= 400; weight *= 2)
		sim_add(s, weight, FOREVER, 0);
	sim_run(s, 60 * S);
	assert_near(share(&s->guests[0], 60 * S), 1000 / 7, 3);
	assert_near(share(&s->guests[1], 60 * S), 2000 / 7, 6);
	assert_near(share(&s->guests[2], 60 * S), 4000 / 7, 12);
}

static void one_that_sleeps_a_lot_is_served_at_once_and_gains_nothing(void **state)
{
	struct sim *s = sim_new(1);

	(void)state;
	sim_add(s, 256, FOREVER, 0);
	struct sim_guest *sleeper = sim_add(s, 256, MS / 2, 10 * MS);
	sim_run(s, 10 * S);
	assert_true(sleeper->longest_wait_ns <= SCHED_SLICE_NS);
	assert_near(share(sleeper, 10 * S), 48, 5); /* half a ms of 10.5 */

	/* After a long sleep it has no claim on what it did not use. */
	struct sim *t = sim_new(1);
	sim_add(t, 256, FOREVER, 0);
	struct sim_guest *late = sim_add(t, 256, MS, 5 * S);
	sim_run(t, 4 * S);
	late->busy_ns = late->left_ns = FOREVER;
	uint64_t before = late->entity.ran_ns;
	sim_run(t, 6 * S);
	assert_true(late->entity.ran_ns - before < 26 * S / 10); /* half of the 5 s since it woke */
}

static void an_urgent_one_goes_first_within_its_share(void **state)
{
	struct sim *s = sim_new(1);

	(void)state;
	for (unsigned i = 1; i < GUESTS; i++)
		sim_add(s, 1000, FOREVER, 0);
	struct sim_guest *urgent = sim_add(s, 0, MS, 20 * MS);
	urgent->entity.urgent_percent = 25;
	sim_run(s, S); /* it was not from the first on */
	urgent->longest_wait_ns = 0;
	sim_run(s, 10 * S);
	assert_int_equal(urgent->longest_wait_ns, 0);

	/* One that never sleeps has its share of each period first, and then that of its weight. */
	struct sim *t = sim_new(1);
	for (unsigned i = 0; i < 4; i++)
		sim_add(t, 256, FOREVER, 0);
	struct sim_guest *greedy = sim_add(t, 256, FOREVER, 0);
	greedy->entity.urgent_percent = 25;
	sim_run(t, 60 * S);
	assert_in_range(share(greedy, 60 * S), 150, 320);
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(share(&t->guests[i], 60 * S), 160, 215);
}

static void the_lightest_of_many_never_starves(void **state)
{
	struct sim *s = sim_new(1);

	(void)state;
	struct sim_guest *light = sim_add(s, 1, FOREVER, 0);
	for (unsigned i = 1; i < GUESTS; i++)
		sim_add(s, 1000, FOREVER, 0);
	sim_run(s, 400 * S);
	assert_true(light->entity.ran_ns > 0);
	assert_near((unsigned)(light->entity.ran_ns / MS), 57, 12); /* 400 s / 7001 */
	for (unsigned i = 1; i < GUESTS; i++)
		assert_true(s->guests[i].longest_wait_ns <= GUESTS * SCHED_SLICE_NS);
}

static void a_cap_holds_even_with_nobody_else(void **state)
{
	struct sim *s = sim_new(1);

	(void)state;
	struct sim_guest *capped = sim_add(s, 256, FOREVER, 0);
	capped->entity.cap_percent = 25;
	sim_run(s, 10 * S);
	assert_near(share(capped, 10 * S), 250, 2);
	assert_null(s->queues.at[0].running);
}

static void what_a_capped_one_leaves_is_the_others(void **state)
{
	struct sim *s = sim_new(1);

	(void)state;
	struct sim_guest *capped = sim_add(s, 256, FOREVER, 0), *free = sim_add(s, 256, FOREVER, 0);
	capped->entity.cap_percent = 10;
	sim_run(s, 10 * S);
	assert_near(share(capped, 10 * S), 100, 2);
	assert_near(share(free, 10 * S), 900, 2);
}

static void an_idle_cpu_takes_what_waits_elsewhere(void **state)
{
	struct sim *s = sim_new(2);

	(void)state;
	sim_add(s, 256, FOREVER, 0);
	sim_add(s, 256, FOREVER, 0);
	sim_run(s, 10 * S);
	assert_near(share(&s->guests[0], 10 * S), 1000, 12);
	assert_near(share(&s->guests[1], 10 * S), 1000, 12);
}

static void three_on_two_cpus_take_turns(void **state)
{
	struct sim *s = sim_new(2);

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		sim_add(s, 256, FOREVER, 0);
	sim_run(s, 60 * S);
	for (unsigned i = 0; i < 3; i++)
		assert_near(share(&s->guests[i], 60 * S), 667, 34);
}

static void a_pinned_one_stays_where_it_is(void **state)
{
	struct sim *s = sim_new(4);

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		s->guests[i].entity.affinity[0] = 1U << 2;
		sim_add(s, 256, FOREVER, 0);
	}
	sim_run(s, 2 * S);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(s->guests[i].entity.cpu, 2);
		assert_near(share(&s->guests[i], 2 * S), 500, 10);
	}
}

static void what_is_stopped_does_not_run_and_keeps_its_wake(void **state)
{
	struct sim *s = sim_new(1);
	uint64_t deadline;

	(void)state;
	struct sim_guest *g = sim_add(s, 256, FOREVER, 0);
	assert_int_equal(sched_queue_stop(&s->queues, &g->entity, 0), -1);
	assert_int_equal(sched_queue_wake(&s->queues, &g->entity, 0), -1);
	assert_null(sched_queue_pick(&s->queues, 0, 0, &deadline));
	assert_int_equal(deadline, SCHED_NEVER);
	assert_int_equal(sched_queue_start(&s->queues, &g->entity, 0), 0);
	assert_ptr_equal(sched_queue_pick(&s->queues, 0, 0, &deadline), &g->entity);

	/* While it runs it is asked, and stops when it comes back. */
	assert_int_equal(sched_queue_stop(&s->queues, &g->entity, MS), 0);
	assert_true(s->queues.at[0].must_yield);
	sched_queue_put(&s->queues, 0, SCHED_YIELD, 2 * MS);
	assert_int_equal(g->entity.state, SCHED_STOPPED);
	assert_int_equal(s->queues.at[0].weight, 0);
}

static void a_wake_while_it_runs_is_not_lost(void **state)
{
	struct sim *s = sim_new(1);
	uint64_t deadline;

	(void)state;
	struct sim_guest *g = sim_add(s, 256, FOREVER, 0);
	assert_ptr_equal(sched_queue_pick(&s->queues, 0, 0, &deadline), &g->entity);
	assert_int_equal(sched_queue_wake(&s->queues, &g->entity, MS), -1);
	sched_queue_put(&s->queues, 0, SCHED_HALT, 2 * MS);
	assert_int_equal(g->entity.state, SCHED_RUNNABLE);
	assert_ptr_equal(sched_queue_pick(&s->queues, 0, 2 * MS, &deadline), &g->entity);
	sched_queue_put(&s->queues, 0, SCHED_HALT, 3 * MS);
	assert_int_equal(g->entity.state, SCHED_HALTED);
}

static void waiting_is_counted_as_steal_time(void **state)
{
	struct sim *s = sim_new(1);

	(void)state;
	sim_add(s, 256, FOREVER, 0);
	sim_add(s, 256, FOREVER, 0);
	sim_run(s, 10 * S);
	for (unsigned i = 0; i < 2; i++)
		assert_near(
			(unsigned)((s->guests[i].entity.ran_ns + s->guests[i].entity.waited_ns) /
				   MS),
			10000, 11);
}

static void a_new_weight_counts_from_now_on(void **state)
{
	struct sim *s = sim_new(1);

	(void)state;
	sim_add(s, 256, FOREVER, 0);
	sim_add(s, 256, FOREVER, 0);
	sim_run(s, 10 * S);
	uint64_t before = s->guests[0].entity.ran_ns;
	sched_queue_weight(&s->queues, &s->guests[0].entity, 768, 0);
	sim_run(s, 10 * S);
	assert_near((unsigned)((s->guests[0].entity.ran_ns - before) / MS), 7500, 30);
	assert_int_equal(s->queues.at[0].weight, 768 + 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_follow_the_weights),
		cmocka_unit_test(an_urgent_one_goes_first_within_its_share),
		cmocka_unit_test(one_that_sleeps_a_lot_is_served_at_once_and_gains_nothing),
		cmocka_unit_test(the_lightest_of_many_never_starves),
		cmocka_unit_test(a_cap_holds_even_with_nobody_else),
		cmocka_unit_test(what_a_capped_one_leaves_is_the_others),
		cmocka_unit_test(an_idle_cpu_takes_what_waits_elsewhere),
		cmocka_unit_test(three_on_two_cpus_take_turns),
		cmocka_unit_test(a_pinned_one_stays_where_it_is),
		cmocka_unit_test(what_is_stopped_does_not_run_and_keeps_its_wake),
		cmocka_unit_test(a_wake_while_it_runs_is_not_lost),
		cmocka_unit_test(waiting_is_counted_as_steal_time),
		cmocka_unit_test(a_new_weight_counts_from_now_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
