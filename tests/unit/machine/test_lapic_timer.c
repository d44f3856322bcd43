/* SPDX-License-Identifier: Apache-2.0 */
/* Intel SDM 3A, APIC Timer. One tick of the undivided count is one ns. */
#include "apics.h"

#include <errno.h>
#include <pthread.h>

/* How often the vector came since the last look. */
static bool came(struct lapic *lapic, uint8_t vector)
{
	if (lapic_highest(lapic) != vector)
		return false;
	assert_true(lapic_accept(lapic, vector));
	lapic_mmio_write(lapic, EOI, 4, 0);
	return true;
}

static void one_shot_counts_down_and_fires_once(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, TIMER, 0x40);
	put(a, DIVIDE, 0x3); /* by 16 */
	put(a, INITIAL, 1000);
	assert_int_equal(get(a, CURRENT), 1000);
	fake_clock_advance(&s.clock, 8000);
	assert_int_equal(get(a, CURRENT), 500);
	fake_clock_advance(&s.clock, 7999);
	assert_false(came(a, 0x40));
	assert_int_equal(get(a, CURRENT), 1);
	fake_clock_advance(&s.clock, 1);
	assert_true(came(a, 0x40));
	assert_int_equal(get(a, CURRENT), 0);
	assert_int_equal(get(a, INITIAL), 1000);
	assert_int_equal(fake_clock_advance(&s.clock, 1000000), 0);
	assert_false(came(a, 0x40));
}

/* Divide Configuration Register. */
static void every_divider(void **state)
{
	static const struct {
		uint8_t config;
		unsigned by;
	} dividers[] = { { 0x0, 2 },  { 0x1, 4 },  { 0x2, 8 },	 { 0x3, 16 },
			 { 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 } };
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	for (unsigned i = 0; i < ARRAY_SIZE(dividers); i++) {
		put(a, DIVIDE, dividers[i].config);
		put(a, TIMER, 0x10000);
		put(a, INITIAL, 1000);
		fake_clock_advance(&s.clock, 100 * dividers[i].by);
		assert_int_equal(get(a, CURRENT), 900);
	}
}

static void periodic_goes_on(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, DIVIDE, 0xb);
	put(a, TIMER, 0x20041);
	put(a, INITIAL, 1000000);
	for (unsigned i = 0; i < 5; i++) {
		fake_clock_advance(&s.clock, 999999);
		assert_false(came(a, 0x41));
		assert_int_equal(get(a, CURRENT), 1);
		fake_clock_advance(&s.clock, 1);
		assert_true(came(a, 0x41));
		assert_int_equal(get(a, CURRENT), 1000000);
	}
	put(a, INITIAL, 0); /* stops */
	assert_int_equal(fake_clock_advance(&s.clock, 5000000), 0);
	assert_int_equal(get(a, CURRENT), 0);
}

static void a_mad_period_does_not_flood(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, DIVIDE, 0xb);
	put(a, TIMER, 0x20041);
	put(a, INITIAL, 1);
	assert_in_range(fake_clock_advance(&s.clock, 10000000), 90, 100);
	assert_true(came(a, 0x41));
}

static void masked_beats_are_not_made_up_for(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, DIVIDE, 0xb);
	put(a, TIMER, 0x30041);
	put(a, INITIAL, 1000000);
	assert_int_equal(fake_clock_advance(&s.clock, 3500000), 0);
	assert_int_equal(get(a, CURRENT), 500000);
	put(a, TIMER, 0x20041);
	assert_false(came(a, 0x41));
	fake_clock_advance(&s.clock, 499999);
	assert_false(came(a, 0x41));
	fake_clock_advance(&s.clock, 1);
	assert_true(came(a, 0x41));
}

static void a_masked_one_shot_is_lost(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, TIMER, 0x10041);
	put(a, INITIAL, 1000);
	fake_clock_advance(&s.clock, 100000);
	put(a, TIMER, 0x41);
	fake_clock_advance(&s.clock, 100000);
	assert_false(came(a, 0x41));
}

/* The vector written between the end of the count and the clock's call is the one that comes. */
static void rewriting_the_entry_loses_no_beat(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, DIVIDE, 0xb);
	put(a, TIMER, 0x41);
	put(a, INITIAL, 1000);
	s.clock.now_ns += 2000; /* over, and the clock is late */
	put(a, TIMER, 0x42);
	fake_clock_advance(&s.clock, 0);
	assert_true(came(a, 0x42));
}

static void a_clock_that_calls_too_early_is_asked_again(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, DIVIDE, 0xb);
	put(a, TIMER, 0x41);
	put(a, INITIAL, 1000);
	fake_clock_cancel(&s.clock.clock, &a->timer);
	a->timer.fired(&a->timer);
	assert_false(came(a, 0x41));
	fake_clock_advance(&s.clock, 1000);
	assert_true(came(a, 0x41));
}

static void one_shot_and_periodic_share_the_count(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, DIVIDE, 0xb);
	put(a, TIMER, 0x20041);
	put(a, INITIAL, 1000000);
	fake_clock_advance(&s.clock, 2400000);
	assert_true(came(a, 0x41));
	put(a, TIMER, 0x41); /* to one-shot: this count ends, and is the last */
	assert_int_equal(get(a, CURRENT), 600000);
	fake_clock_advance(&s.clock, 600000);
	assert_true(came(a, 0x41));
	assert_int_equal(get(a, CURRENT), 0);
	put(a, TIMER, 0x20041); /* over is over until a count is written */
	assert_int_equal(get(a, CURRENT), 0);
	assert_int_equal(fake_clock_advance(&s.clock, 5000000), 0);
	put(a, INITIAL, 1000000);
	fake_clock_advance(&s.clock, 1000000);
	assert_true(came(a, 0x41));
}

static void a_new_divider_changes_the_pace_not_the_count(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, DIVIDE, 0xb);
	put(a, TIMER, 0x41);
	put(a, INITIAL, 1000);
	fake_clock_advance(&s.clock, 400);
	put(a, DIVIDE, 0x0); /* by 2 */
	assert_int_equal(get(a, CURRENT), 600);
	fake_clock_advance(&s.clock, 1199);
	assert_false(came(a, 0x41));
	fake_clock_advance(&s.clock, 1);
	assert_true(came(a, 0x41));
}

/* TSC-Deadline Mode; apics.h has a TSC of 2 GHz. */
static void tsc_deadline(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];
	uint64_t value = 1;

	(void)state;
	apics_init(&s);
	assert_int_equal(lapic_msr_write(a, MSR_TSC_DEADLINE, 5000), 0);
	assert_int_equal(lapic_msr_read(a, MSR_TSC_DEADLINE, &value), 0);
	assert_int_equal(value, 0); /* ignored in another mode */
	put(a, TIMER, 0x40043);
	assert_int_equal(lapic_msr_write(a, MSR_TSC_DEADLINE, 5000), 0);
	put(a, INITIAL, 10); /* so is this */
	assert_int_equal(get(a, CURRENT), 0);
	fake_clock_advance(&s.clock, 2499);
	assert_false(came(a, 0x43));
	assert_int_equal(lapic_msr_read(a, MSR_TSC_DEADLINE, &value), 0);
	assert_int_equal(value, 5000);
	fake_clock_advance(&s.clock, 1);
	assert_true(came(a, 0x43));
	assert_int_equal(lapic_msr_read(a, MSR_TSC_DEADLINE, &value), 0);
	assert_int_equal(value, 0);

	assert_int_equal(lapic_msr_write(a, MSR_TSC_DEADLINE, 10000), 0);
	assert_int_equal(lapic_msr_write(a, MSR_TSC_DEADLINE, 0), 0); /* taken back */
	assert_int_equal(fake_clock_advance(&s.clock, 100000), 0);
	assert_int_equal(lapic_msr_write(a, MSR_TSC_DEADLINE, 1000000), 0);
	put(a, TIMER, 0x43); /* leaving the mode disarms */
	assert_int_equal(fake_clock_advance(&s.clock, 1000000), 0);
	assert_false(came(a, 0x43));
}

/* The clock's thread came too late for a guest that looks at once. */
static void a_deadline_in_the_past_waited_for_the_clock(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];
	uint64_t value = 1;

	(void)state;
	apics_init(&s);
	put(a, TIMER, 0x40043);
	fake_clock_advance(&s.clock, 2500);
	assert_int_equal(lapic_msr_write(a, MSR_TSC_DEADLINE, 5000), 0); /* this moment */
	assert_true(came(a, 0x43));
	assert_int_equal(lapic_msr_read(a, MSR_TSC_DEADLINE, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(lapic_msr_write(a, MSR_TSC_DEADLINE, 1), 0);
	assert_true(came(a, 0x43));
	put(a, TIMER, 0x50043); /* masked: nothing comes, now or when it is unmasked */
	assert_int_equal(lapic_msr_write(a, MSR_TSC_DEADLINE, 1), 0);
	put(a, TIMER, 0x40043);
	assert_false(came(a, 0x43));
	assert_int_equal(fake_clock_advance(&s.clock, 1000000), 0);
}

static void without_a_conversion_there_is_no_deadline_mode(void **state)
{
	static const struct lapic_bus_ops ops = { .wake = apics_wake, .eoi = apics_eoi };
	struct apics s;
	uint64_t value;

	(void)state;
	apics_init(&s);
	s.bus.ops = &ops;
	put(&s.lapic[0], TIMER, 0x40043);
	assert_int_equal(get(&s.lapic[0], TIMER), 0x43);
	assert_int_equal(lapic_msr_read(&s.lapic[0], MSR_TSC_DEADLINE, &value), -ENOENT);
	assert_int_equal(lapic_msr_write(&s.lapic[0], MSR_TSC_DEADLINE, 1), -ENOENT);
}

static void reset_and_fini_stop_it(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, TIMER, 0x20041);
	put(a, INITIAL, 1000);
	lapic_reset(a);
	assert_int_equal(s.clock.n, 0);
	put(a, SVR, 0x1ff);
	put(a, INITIAL, 1000);
	lapic_fini(a);
	assert_int_equal(s.clock.n, 0);
	struct lapic never = { 0 };
	lapic_fini(&never);
}

/* The clock's thread fires while the owner programs: TSan watches, and a beat that is due always comes. */
static void *advance(void *arg)
{
	struct apics *s = arg;

	while (!__atomic_load_n(&s->eois, __ATOMIC_ACQUIRE))
		fake_clock_advance(&s->clock, 1000);
	return NULL;
}

static void fires_on_another_thread(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];
	pthread_t thread;

	(void)state;
	apics_init(&s);
	assert_int_equal(pthread_create(&thread, NULL, advance, &s), 0);
	put(a, DIVIDE, 0xb);
	for (unsigned i = 0; i < 200; i++) {
		put(a, TIMER, i % 2 ? 0x20041 : 0x41);
		put(a, INITIAL, 1000 + i);
		while (!came(a, 0x41))
			sched_yield();
	}
	__atomic_store_n(&s.eois, 1, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_shot_counts_down_and_fires_once),
		cmocka_unit_test(every_divider),
		cmocka_unit_test(periodic_goes_on),
		cmocka_unit_test(a_mad_period_does_not_flood),
		cmocka_unit_test(masked_beats_are_not_made_up_for),
		cmocka_unit_test(a_masked_one_shot_is_lost),
		cmocka_unit_test(rewriting_the_entry_loses_no_beat),
		cmocka_unit_test(a_clock_that_calls_too_early_is_asked_again),
		cmocka_unit_test(one_shot_and_periodic_share_the_count),
		cmocka_unit_test(a_new_divider_changes_the_pace_not_the_count),
		cmocka_unit_test(tsc_deadline),
		cmocka_unit_test(a_deadline_in_the_past_waited_for_the_clock),
		cmocka_unit_test(without_a_conversion_there_is_no_deadline_mode),
		cmocka_unit_test(reset_and_fini_stop_it),
		cmocka_unit_test(fires_on_another_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
