/* SPDX-License-Identifier: Apache-2.0 */
#include "apics.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>

/* Intel SDM 3A, Local APIC State After Power-Up or Reset. */
static void power_up_state(void **state)
{
	struct apics s;

	(void)state;
	apics_init(&s);
	lapic_bus_reset(&s.bus);
	assert_int_equal(lapic_base(&s.lapic[0]), 0xfee00900);
	assert_int_equal(lapic_base(&s.lapic[1]), 0xfee00800);
	assert_int_equal(get(&s.lapic[3], ID), 3 << 24);
	assert_int_equal(get(&s.lapic[0], VERSION) & 0xff00ff, 0x050014);
	assert_int_equal(get(&s.lapic[0], SVR), 0xff);
	assert_int_equal(get(&s.lapic[0], DFR), UINT32_MAX);
	assert_int_equal(get(&s.lapic[0], TIMER), 0x10000);
	assert_int_equal(get(&s.lapic[0], LINT0), 0x10000);
	assert_int_equal(lapic_highest(&s.lapic[0]), -1);
	assert_false(lapic_waits(&s.lapic[0]));
	assert_true(lapic_waits(&s.lapic[1]));
	assert_false(lapic_has_work(&s.lapic[0]));
}

static void a_bus_is_full_at_64(void **state)
{
	static struct lapic lapics[LAPIC_MAX + 1];
	struct apics s;

	(void)state;
	apics_init(&s);
	s.bus.n = 0;
	for (unsigned i = 0; i < LAPIC_MAX; i++)
		assert_int_equal(lapic_init(&lapics[i], &s.bus, &s.clock.clock, 40), 0);
	assert_int_equal(lapic_init(&lapics[LAPIC_MAX], &s.bus, &s.clock.clock, 40), -ENOSPC);
}

/* Task and Processor Priorities: below which CR8 an engine is to look again. */
static void what_only_the_task_priority_holds_back(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	assert_int_equal(lapic_held(a), 0);
	lapic_cr8_set(a, 9);
	assert_int_equal(lapic_held(a), 0); /* nothing waits */
	assert_true(lapic_post(a, 0x41, false));
	assert_int_equal(lapic_held(a), 4);
	assert_true(lapic_post(a, 0x93, false)); /* its own class waits, too */
	assert_int_equal(lapic_held(a), 9);
	lapic_cr8_set(a, 8);
	assert_int_equal(lapic_held(a), 0); /* that one is let through */
	assert_true(lapic_accept(a, 0x93));
	assert_int_equal(lapic_held(a),
			 0); /* what is in service holds the other one back as well */
	put(a, EOI, 0);
	assert_int_equal(lapic_held(a), 4);
	lapic_cr8_set(a, 0);
	assert_int_equal(lapic_held(a), 0);
	assert_int_equal(lapic_highest(a), 0x41);
}

/* Interrupt, Task, and Processor Priority. */
static void higher_class_interrupts_lower_and_not_its_own(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	assert_true(lapic_post(a, 0x41, false));
	assert_int_equal(lapic_highest(a), 0x41);
	assert_int_equal(get(a, IRR + 0x20), 1 << 1);
	assert_true(lapic_accept(a, 0x41));
	assert_int_equal(get(a, IRR + 0x20), 0);
	assert_int_equal(get(a, ISR + 0x20), 1 << 1);
	assert_int_equal(get(a, PPR), 0x40);

	assert_true(lapic_post(a, 0x4f, false)); /* the same class waits */
	assert_int_equal(lapic_highest(a), -1);
	assert_false(lapic_accept(a, 0x4f));
	assert_true(lapic_post(a, 0x52, false));
	assert_int_equal(lapic_highest(a), 0x52);
	assert_true(lapic_accept(a, 0x52));
	put(a, EOI, 0);
	assert_int_equal(get(a, PPR), 0x40);
	put(a, EOI, 0);
	assert_int_equal(lapic_highest(a), 0x4f);
	put(a, EOI, 0); /* nothing in service: no effect */
	assert_int_equal(lapic_highest(a), 0x4f);
}

static void task_priority_holds_back_and_is_cr8(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, TPR, 0x53);
	assert_int_equal(lapic_cr8_get(a), 5);
	assert_int_equal(get(a, PPR), 0x53);
	lapic_cr8_set(a, 5); /* the run loop's, as often as it likes */
	assert_int_equal(get(a, TPR), 0x53);
	assert_true(lapic_post(a, 0x5f, false));
	assert_int_equal(lapic_highest(a), -1);
	assert_false(lapic_has_work(a));
	lapic_cr8_set(a, 4);
	assert_int_equal(get(a, TPR), 0x40);
	assert_int_equal(lapic_highest(a), 0x5f);
	assert_true(lapic_has_work(a));
	lapic_cr8_set(a, 0xf); /* nothing but NMI and the like */
	assert_true(lapic_post(a, 0xff, false));
	assert_int_equal(lapic_highest(a), -1);
}

static void a_pending_vector_wakes_once(void **state)
{
	struct apics s;

	(void)state;
	apics_init(&s);
	assert_true(lapic_post(&s.lapic[2], 0x80, false));
	assert_true(lapic_post(&s.lapic[2], 0x80, false));
	assert_int_equal(s.wakes[2], 1);
	assert_int_equal(s.wakes[0], 0);
}

static void level_interrupts_tell_the_ioapic_of_their_end(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	assert_true(lapic_post(a, 0x61, true));
	assert_int_equal(get(a, TMR + 0x30), 1 << 1);
	assert_true(lapic_accept(a, 0x61));
	put(a, EOI, 0);
	assert_int_equal(s.eois, 1);
	assert_int_equal(s.eoi_vector, 0x61);

	assert_true(lapic_post(a, 0x61, false)); /* the same vector as an edge: no broadcast */
	assert_int_equal(get(a, TMR + 0x30), 0);
	assert_true(lapic_accept(a, 0x61));
	put(a, EOI, 0);
	assert_int_equal(s.eois, 1);

	put(a, SVR, 0x11ff); /* EOI-Broadcast Suppression */
	assert_true(lapic_post(a, 0x61, true));
	assert_true(lapic_accept(a, 0x61));
	put(a, EOI, 0);
	assert_int_equal(s.eois, 1);
}

/* Local APIC State After It Has Been Software Disabled. */
static void software_disable_refuses_vectors_and_masks_sources(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, LINT1, 0x400);
	assert_true(lapic_post(a, 0x30, false));
	put(a, SVR, 0xff);
	assert_int_equal(get(a, LINT1), 0x10400);
	put(a, LINT1, 0x400); /* the mask cannot be taken away now */
	assert_int_equal(get(a, LINT1), 0x10400);
	assert_false(lapic_post(a, 0x31, false));
	assert_int_equal(lapic_highest(a), 0x30); /* what was pending stays */
	assert_int_equal(lapic_bus_send(&s.bus, &(struct lapic_msg){ .delivery = LAPIC_NMI }), 1);
	uint8_t vector;
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NMI);
	put(a, SVR, 0x1ff);
	assert_int_equal(get(a, LINT1), 0x10400); /* and the mask stays until it is */
}

/* Multiple NMIs: one is served, one is latched; more are lost, as with a CPU's pin. */
static void the_second_of_two_nmis_at_once_was_lost(void **state)
{
	const struct lapic_msg nmi = { .delivery = LAPIC_NMI };
	struct apics s;
	struct lapic *a = &s.lapic[0];
	uint8_t vector;

	(void)state;
	apics_init(&s);
	for (unsigned sent = 0; sent < 4; sent++) {
		for (unsigned i = 0; i < sent; i++)
			assert_int_equal(lapic_bus_send(&s.bus, &nmi), 1);
		for (unsigned i = 0; i < sent && i < 2; i++) {
			assert_true(lapic_has_work(a));
			assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NMI);
		}
		assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NONE);
		assert_false(lapic_has_work(a));
	}
}

static void start_up_of_an_application_processor(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[1];
	uint8_t vector = 0;

	(void)state;
	apics_init(&s);
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NONE);
	put(&s.lapic[0], ICR_HIGH, 1 << 24);
	put(&s.lapic[0], ICR,
	    0x4500); /* INIT, then two SIPIs as in Typical BSP Initialization Sequence */
	assert_true(lapic_has_work(a));
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_INIT);
	assert_true(lapic_waits(a));
	assert_int_equal(get(a, SVR), 0xff); /* registers as after INIT */
	put(&s.lapic[0], ICR, 0x4609);
	assert_true(lapic_has_work(a));
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_SIPI);
	assert_int_equal(vector, 9);
	assert_false(lapic_waits(a));
	put(&s.lapic[0], ICR, 0x4609);
	assert_false(lapic_has_work(a));
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NONE);
	assert_false(lapic_waits(a));
}

static void a_vcpu_that_starts_again_keeps_its_apic_base(void **state)
{
	struct apics s;
	struct x86_state vcpu;

	(void)state;
	apics_init(&s);
	s.lapic[1].base = UINT64_C(0xfec10000) | LAPIC_BASE_EN;
	lapic_restart(&s.lapic[1], LAPIC_EVENT_INIT, 0, &vcpu);
	assert_true(vcpu.wait_sipi);
	assert_int_equal(vcpu.apic_base, lapic_base(&s.lapic[1]));
	lapic_restart(&s.lapic[1], LAPIC_EVENT_SIPI, 9, &vcpu);
	assert_false(vcpu.wait_sipi);
	assert_int_equal(vcpu.segs[X86_CS].base, 0x9000);
	assert_int_equal(vcpu.apic_base, lapic_base(&s.lapic[1]));
	lapic_restart(&s.lapic[0], LAPIC_EVENT_INIT, 0, &vcpu);
	assert_false(vcpu.wait_sipi); /* the first one waits for nobody */
}

static void init_and_sipi_before_the_target_looks(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[1];
	uint8_t vector = 0;

	(void)state;
	apics_init(&s);
	put(&s.lapic[0], ICR_HIGH, 1 << 24);
	put(&s.lapic[0], ICR, 0x4607); /* void: an INIT follows */
	put(&s.lapic[0], ICR, 0x4500);
	put(&s.lapic[0], ICR, 0x46f0);
	put(&s.lapic[0], ICR, 0x4612);
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_INIT);
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_SIPI);
	assert_int_equal(vector, 0x12);
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NONE);
}

static void nmi_waits_for_the_start(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[1];
	uint8_t vector = 0;

	(void)state;
	apics_init(&s);
	put(&s.lapic[0], ICR_HIGH, 1 << 24);
	put(&s.lapic[0], ICR, 0x4400);
	assert_false(lapic_has_work(a));
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NONE);
	put(&s.lapic[0], ICR, 0x4601);
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_SIPI);
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NMI);
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NONE);
}

static void lint0_passes_the_pic_on(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	lapic_bus_reset(&s.bus);
	lapic_lint(a, 0, true);
	assert_false(lapic_extint(a)); /* masked */
	lapic_virtual_wire(a);
	assert_true(lapic_extint(a));
	assert_true(lapic_has_work(a));
	lapic_lint(a, 0, false);
	assert_false(lapic_extint(a));
	lapic_lint(a, 0, true);
	put(a, LINT0, 0x10700);
	assert_false(lapic_extint(a));
	/* Switched off, LINT0 is the INTR pin and LINT1 the NMI pin. */
	assert_int_equal(lapic_msr_write(a, MSR_APIC_BASE, 0xfee00000), 0);
	assert_true(lapic_extint(a));
	lapic_lint(a, 1, true);
	uint8_t vector;
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NMI);
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NONE);
}

static void lint_level_asks_again_after_eoi(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, LINT1, 0x8055);
	lapic_lint(a, 1, true);
	assert_int_equal(get(a, LINT1), 0xc055); /* remote IRR */
	assert_true(lapic_accept(a, 0x55));
	assert_int_equal(lapic_highest(a), -1);
	put(a, EOI, 0);
	assert_int_equal(lapic_highest(a), 0x55);
	assert_true(lapic_accept(a, 0x55));
	lapic_lint(a, 1, false);
	put(a, EOI, 0);
	assert_int_equal(lapic_highest(a), -1);
	assert_int_equal(get(a, LINT1), 0x8055);
	/* Asserted while masked, then unmasked. */
	put(a, LINT1, 0x18055);
	lapic_lint(a, 1, true);
	assert_int_equal(lapic_highest(a), -1);
	put(a, LINT1, 0x8055);
	assert_int_equal(lapic_highest(a), 0x55);
}

static void lint_edges_count_once(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, LINT0, 0x62);
	lapic_lint(a, 0, true);
	assert_true(lapic_accept(a, 0x62));
	lapic_lint(a, 0, true);
	put(a, EOI, 0);
	assert_int_equal(lapic_highest(a), -1);
	lapic_lint(a, 0, false);
	lapic_lint(a, 0, true);
	assert_int_equal(lapic_highest(a), 0x62);
}

static void performance_interrupt_masks_itself(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];
	uint8_t vector;

	(void)state;
	apics_init(&s);
	put(a, PERF, 0x400);
	lapic_local(a, LVT_PERF);
	lapic_local(a, LVT_PERF);
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NMI);
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_NONE);
	assert_int_equal(get(a, PERF), 0x10400);
}

/* Error Handling: what was collected is seen after a write; an illegal error vector does not go in circles. */
static void errors_are_latched_by_a_write(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, ERROR, 0x77);
	assert_false(lapic_post(a, 15, false));
	assert_int_equal(get(a, ESR), 0);
	put(a, ESR, 0);
	assert_int_equal(get(a, ESR), 0x40);
	assert_int_equal(lapic_highest(a), 0x77);
	put(a, ESR, 0);
	assert_int_equal(get(a, ESR), 0);
	(void)get(a, 0x40); /* reserved */
	put(a, ESR, 0);
	assert_int_equal(get(a, ESR), 0x80);
	put(a, ERROR, 0x05);
	put(a, ICR, 0x4003); /* an illegal vector to send */
	put(a, ESR, 0);
	assert_int_equal(get(a, ESR), 0x60);
}

/* ---- other threads ---- */

enum { ROUNDS = 2000, POSTERS = 3 };

struct poster {
	struct apics *s;
	unsigned number;
	uint32_t seen; /* what the owner took of this poster's vector */
};

/* Posts, and waits until the owner took it: none may be lost. */
static void *post_and_wait(void *arg)
{
	struct poster *p = arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct lapic_msg msg = { .dest = 1,
					 .vector = (uint8_t)(0x40 + 0x10 * p->number),
					 .is_level = i % 2 };
		assert(lapic_bus_send(&p->s->bus, &msg) == 1);
		while (__atomic_load_n(&p->seen, __ATOMIC_ACQUIRE) <= i)
			sched_yield();
	}
	return NULL;
}

static void vectors_from_other_threads_are_not_lost(void **state)
{
	struct apics s;
	struct poster posters[POSTERS];
	pthread_t threads[POSTERS];
	unsigned left = POSTERS * ROUNDS;

	(void)state;
	apics_init(&s);
	for (unsigned i = 0; i < POSTERS; i++) {
		posters[i] = (struct poster){ .s = &s, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, post_and_wait, &posters[i]), 0);
	}
	while (left) {
		int vector = lapic_highest(&s.lapic[1]);
		if (vector < 0) {
			sched_yield();
			continue;
		}
		assert_true(lapic_accept(&s.lapic[1], (uint8_t)vector));
		put(&s.lapic[1], EOI, 0);
		__atomic_fetch_add(&posters[vector / 16 - 4].seen, 1, __ATOMIC_RELEASE);
		left--;
	}
	for (unsigned i = 0; i < POSTERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(s.eois, POSTERS * ROUNDS / 2);
	assert_int_equal(lapic_highest(&s.lapic[1]), -1);
}

/* A sender on another thread reads what the owner changes: TPR, SVR, LDR, mode. TSan watches. */
static void *send_all_kinds(void *arg)
{
	struct apics *s = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct lapic_msg msg = { .dest = 0xff,
					 .vector = (uint8_t)(0x20 + i % 200),
					 .delivery = i % 3 ? LAPIC_LOWEST : LAPIC_FIXED,
					 .is_logical = i % 2 };
		(void)lapic_bus_send(&s->bus, &msg);
		lapic_lint(&s->lapic[0], i % 2, i % 4 < 2);
	}
	return NULL;
}

static void owner_changes_registers_while_others_send(void **state)
{
	struct apics s;
	pthread_t thread;
	uint8_t sipi;

	(void)state;
	apics_init(&s);
	assert_int_equal(pthread_create(&thread, NULL, send_all_kinds, &s), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct lapic *a = &s.lapic[0];
		put(a, TPR, i & 0xff);
		put(a, LDR, i << 24);
		put(a, DFR, i % 2 ? 0 : UINT32_MAX);
		put(a, SVR, i % 7 ? 0x1ff : 0xff);
		put(a, LINT0, i % 3 ? 0x700 : 0x8055);
		put(a, TIMER, 0x20040);
		put(a, INITIAL, 1000);
		int vector = lapic_highest(a);
		if (vector >= 0)
			assert_true(lapic_accept(a, (uint8_t)vector));
		put(a, EOI, 0);
		(void)lapic_event_take(a, &sipi);
		(void)lapic_has_work(a);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_up_state),
		cmocka_unit_test(a_bus_is_full_at_64),
		cmocka_unit_test(what_only_the_task_priority_holds_back),
		cmocka_unit_test(higher_class_interrupts_lower_and_not_its_own),
		cmocka_unit_test(task_priority_holds_back_and_is_cr8),
		cmocka_unit_test(a_pending_vector_wakes_once),
		cmocka_unit_test(level_interrupts_tell_the_ioapic_of_their_end),
		cmocka_unit_test(software_disable_refuses_vectors_and_masks_sources),
		cmocka_unit_test(the_second_of_two_nmis_at_once_was_lost),
		cmocka_unit_test(start_up_of_an_application_processor),
		cmocka_unit_test(a_vcpu_that_starts_again_keeps_its_apic_base),
		cmocka_unit_test(init_and_sipi_before_the_target_looks),
		cmocka_unit_test(nmi_waits_for_the_start),
		cmocka_unit_test(lint0_passes_the_pic_on),
		cmocka_unit_test(lint_level_asks_again_after_eoi),
		cmocka_unit_test(lint_edges_count_once),
		cmocka_unit_test(performance_interrupt_masks_itself),
		cmocka_unit_test(errors_are_latched_by_a_write),
		cmocka_unit_test(vectors_from_other_threads_are_not_lost),
		cmocka_unit_test(owner_changes_registers_while_others_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
