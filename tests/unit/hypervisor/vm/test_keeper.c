/* SPDX-License-Identifier: Apache-2.0 */
/* Guests are made and taken apart by the keeper, one of them while a disk has a request of it. */
#include "scratch.h"

#include <string.h>

#include "core/print.h"
#include "vm/guest_balloon.h"
#include "vm/managed.h"

static struct {
	struct sched_entity *keeper;
	struct guest *busy; /* a disk has a request of it */
	unsigned stops, unmade, ended, over, again;
	struct managed *posts_end; /* its vcpus see that it is destroyed */
} rig;

static struct guest guests[2];
static struct managed managed[2];

void sched_add(struct sched_entity *entity)
{
	rig.keeper = entity;
}

void sched_wake(struct sched_entity *entity)
{
	assert_ptr_equal(entity, rig.keeper);
}

void print(const char *fmt, ...)
{
	(void)fmt;
}

const char *hv_exit_name(unsigned kind)
{
	(void)kind;
	return "exit";
}

uint64_t guest_exits(const struct guest *guest, unsigned kind)
{
	(void)guest;
	(void)kind;
	return 0;
}

const char *guest_end_words(enum guest_end how)
{
	(void)how;
	return "ended";
}

void guest_balloon_turn(struct guest *guest)
{
	(void)guest;
}

bool guest_stop(struct guest *guest)
{
	struct managed *m = rig.posts_end;

	rig.stops++;
	rig.posts_end = NULL;
	if (m)
		keeper_ended(guest, m);
	return guest != rig.busy;
}

int managed_make(struct managed *m, struct err *err)
{
	(void)err;
	m->guest = &guests[m - managed];
	return 0;
}

void managed_unmake(struct managed *m)
{
	assert_ptr_not_equal(m->guest, rig.busy); /* it would wait for the disk */
	m->guest = NULL;
	rig.unmade++;
}

int managed_start(struct managed *m, struct err *err)
{
	(void)m;
	(void)err;
	rig.again++;
	return 0;
}

void managed_ended(struct managed *m)
{
	(void)m;
	rig.ended++;
}

void managed_io_last(struct managed *m, struct guest *guest)
{
	(void)m;
	(void)guest;
}

void managed_wake(void)
{
}

static void over(struct managed *m)
{
	(void)m;
	rig.over++;
}

static int setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	memset(guests, 0, sizeof(guests));
	memset(managed, 0, sizeof(managed));
	managed[0].guest = &guests[0];
	managed[0].over = over;
	keeper_init();
	return 0;
}

/* Its turns until there is nothing to do, but no more than so many. */
static void keeper_runs(unsigned turns)
{
	while (turns-- && rig.keeper->run(rig.keeper, 0) != SCHED_HALT)
		;
}

/* The keeper had its CPU to itself until the disk answered, or had been reset. */
static void a_disk_that_does_not_answer_holds_up_only_its_own_guest(void **state)
{
	(void)state;
	rig.busy = &guests[0];
	managed_order(&managed[0], WORK_DESTROY, 1, 1);
	managed_order(&managed[1], WORK_BUILD, 2, 1);
	keeper_runs(10);
	assert_int_equal(managed[1].job.state, JOB_DONE);
	assert_int_equal(managed[0].job.state, JOB_UNDER_WAY);
	assert_true(rig.stops > 1);
	assert_int_equal(rig.over, 0);
	rig.busy = NULL;
	keeper_runs(10);
	assert_int_equal(managed[0].job.state, JOB_DONE);
	assert_true(managed[0].job.is_gone);
	assert_int_equal(rig.unmade, 1);
	assert_int_equal(rig.over, 1);
}

static void one_that_ended_waits_for_its_disk_too_and_is_told_of_once(void **state)
{
	(void)state;
	rig.busy = &guests[0];
	managed[0].is_told = true;
	keeper_ended(&guests[0], &managed[0]);
	keeper_runs(10);
	assert_int_equal(managed[0].state, 0);
	assert_int_equal(rig.ended, 0);
	rig.busy = NULL;
	keeper_runs(10);
	assert_int_equal(managed[0].state, CHANNEL_ENDED);
	assert_false(managed[0].is_told);
	assert_int_equal(rig.ended, 1);
	assert_int_equal(rig.unmade, 1);
}

/* Its vcpus say that it has ended while it is waited for: who destroys it is told that it is gone, and nothing else. */
static void one_that_is_destroyed_does_not_end_besides(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		(void)setup(state);
		rig.busy = i ? &guests[0] : NULL;
		rig.posts_end = &managed[0];
		managed_order(&managed[0], WORK_DESTROY, 1, 1);
		keeper_runs(5);
		rig.busy = NULL;
		keeper_runs(10);
		assert_int_equal(managed[0].job.state, JOB_DONE);
		assert_int_equal(rig.ended, 0);
		assert_int_equal(rig.unmade, 1);
		assert_int_equal(managed[0].work, 0);
		assert_false(managed[0].is_queued);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_disk_that_does_not_answer_holds_up_only_its_own_guest,
				       setup),
		cmocka_unit_test_setup(one_that_ended_waits_for_its_disk_too_and_is_told_of_once,
				       setup),
		cmocka_unit_test_setup(one_that_is_destroyed_does_not_end_besides, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
