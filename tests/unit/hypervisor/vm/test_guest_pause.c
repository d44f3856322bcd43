/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's vcpus are started, stopped and kept, over a scheduler that notes what it was told. */
#include "scratch.h"

#include <string.h>

#include "core/clock.h"
#include "vm/guest.h"

#define VCPUS 2U

static struct guest guest;
static struct hv_vm vm;
static struct hv_vcpu vcpus[VCPUS];
static uint64_t now_ns, shifted_ns;

uint64_t clock_ns(void)
{
	return now_ns += 1000;
}

void guest_clock_shift(struct guest_clock *c, uint64_t ns)
{
	(void)c;
	shifted_ns += ns;
}

void hv_tsc_shift(struct hv_vcpu *v, uint64_t ticks)
{
	v->tsc_offset -= ticks;
}

void sched_add(struct sched_entity *entity)
{
	entity->state = SCHED_HALTED;
}

void sched_wake(struct sched_entity *entity)
{
	if (entity->state == SCHED_HALTED)
		entity->state = SCHED_RUNNABLE;
}

void sched_stop(struct sched_entity *entity)
{
	entity->state = SCHED_STOPPED;
}

void sched_start(struct sched_entity *entity)
{
	if (entity->state == SCHED_STOPPED)
		entity->state = SCHED_RUNNABLE;
}

static int setup(void **state)
{
	(void)state;
	memset(&guest, 0, sizeof(guest));
	memset(vcpus, 0, sizeof(vcpus));
	shifted_ns = 0;
	guest.vm = &vm.base;
	guest.n_vcpus = VCPUS;
	for (unsigned i = 0; i < VCPUS; i++)
		guest.vcpus[i].vcpu = &vcpus[i];
	return 0;
}

static void all_are(enum sched_state state)
{
	for (unsigned i = 0; i < VCPUS; i++)
		assert_int_equal(guest.vcpus[i].entity.state, state);
}

static void one_that_is_started_runs_and_one_that_is_paused_does_not(void **state)
{
	(void)state;
	guest_start(&guest);
	assert_true(guest.is_started);
	all_are(SCHED_RUNNABLE);
	guest_pause(&guest);
	all_are(SCHED_STOPPED);
	guest_still_begin(&guest);
	guest_still_end(&guest);
	all_are(SCHED_STOPPED);
	guest_resume(&guest);
	all_are(SCHED_RUNNABLE);
	assert_true(shifted_ns);
	assert_true(vcpus[1].tsc_offset);
}

/*
 * Paused by the channel between the moment when it was said to run and the one when its vcpus were started: it ran, and whoever relied on
 * its standing still gave its memory to others under it.
 */
static void one_that_is_paused_before_it_is_started_begins_when_it_is_resumed(void **state)
{
	(void)state;
	guest_pause(&guest);
	guest_start(&guest);
	all_are(SCHED_STOPPED);
	guest_still_begin(&guest);
	all_are(SCHED_STOPPED);
	guest_still_end(&guest);
	guest_resume(&guest);
	all_are(SCHED_RUNNABLE);
}

static void while_it_is_kept_still_nothing_runs_and_one_that_is_over_stays_so(void **state)
{
	(void)state;
	guest_start(&guest);
	guest.vcpus[1].is_over = true;
	guest_still_begin(&guest);
	all_are(SCHED_STOPPED);
	guest_still_end(&guest);
	assert_int_equal(guest.vcpus[0].entity.state, SCHED_RUNNABLE);
	assert_int_equal(guest.vcpus[1].entity.state, SCHED_STOPPED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_that_is_started_runs_and_one_that_is_paused_does_not,
				       setup),
		cmocka_unit_test_setup(
			one_that_is_paused_before_it_is_started_begins_when_it_is_resumed, setup),
		cmocka_unit_test_setup(
			while_it_is_kept_still_nothing_runs_and_one_that_is_over_stays_so, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
