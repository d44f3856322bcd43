/* SPDX-License-Identifier: Apache-2.0 */
/* Makes guests, and takes apart what has ended: what takes time, and what a guest's vcpus cannot do to themselves. */
#include <stdio.h>

#include "core/clock.h"
#include "core/print.h"
#include "vm/guest_balloon.h"
#include "vm/managed.h"

/* One server has one. */
static struct {
	struct sched_entity entity;
	struct spin lock;
	struct managed *first, *last;
} keeper;

static void keeper_post(struct managed *m, unsigned work)
{
	spin_lock(&keeper.lock);
	m->work |= work;
	if (!m->is_queued) {
		m->is_queued = true;
		m->next_work = NULL;
		if (keeper.first)
			keeper.last->next_work = m;
		else
			keeper.first = m;
		keeper.last = m;
	}
	spin_unlock(&keeper.lock);
	sched_wake(&keeper.entity);
}

static struct managed *keeper_next(unsigned *ret_work)
{
	spin_lock(&keeper.lock);
	struct managed *m = keeper.first;
	if (m) {
		keeper.first = m->next_work;
		m->is_queued = false;
		*ret_work = m->work;
		m->work = 0;
	}
	spin_unlock(&keeper.lock);
	return m;
}

/* Work that came in meanwhile and is none any more. */
static void keeper_forget(struct managed *m, unsigned work)
{
	struct managed **at = &keeper.first, *last = NULL;

	spin_lock(&keeper.lock);
	m->work &= ~work;
	while (*at && *at != m) {
		last = *at;
		at = &(*at)->next_work;
	}
	if (*at && !m->work) {
		*at = m->next_work;
		if (keeper.last == m)
			keeper.last = last;
		m->is_queued = false;
	}
	spin_unlock(&keeper.lock);
}

static void job_done(struct managed *m, bool is_gone)
{
	m->job.is_gone = is_gone;
	__atomic_store_n(&m->job.state, JOB_DONE, __ATOMIC_RELEASE);
	managed_wake();
}

static void keeper_build(struct managed *m)
{
	int r = managed_make(m, &m->job.err);

	job_done(m, r < 0);
}

/* Once more what it was; false: it cannot be, which was said. */
static bool keeper_again(struct managed *m)
{
	struct err err = { 0 };

	if (!m->is_servers || !m->config.restarts || m->is_going || m->how == CHANNEL_HOW_KILLED)
		return false;
	m->config.restarts--;
	m->how = CHANNEL_HOW_NONE;
	if (managed_make(m, &err) < 0) {
		print("%s\n", err.text);
		return false;
	}
	if (managed_start(m, &err) < 0)
		print("%s\n", err.text);
	return true;
}

static void keeper_over(struct managed *m)
{
	void (*over)(struct managed *) = m->over;

	m->over = NULL;
	if (over)
		over(m);
}

static void keeper_end(struct managed *m)
{
	if (!m->guest)
		return;
	managed_ended(m);
	managed_unmake(m);
	keeper_forget(m, WORK_BALLOON); /* who is told of the end may free it */
	if (keeper_again(m))
		return;
	keeper_over(m);
	__atomic_store_n(&m->is_told, false, __ATOMIC_RELEASE);
	__atomic_store_n(&m->state, CHANNEL_ENDED, __ATOMIC_RELEASE);
	managed_wake();
}

static void keeper_destroy(struct managed *m)
{
	if (m->guest)
		managed_unmake(m);
	keeper_over(m);
	keeper_forget(m, ~0U); /* its vcpus said that it had ended */
	job_done(m, true);
}

/*
 * Before it is taken apart: a request that a disk has is not waited for here, where the CPU's other entities and its alarms would wait, too.
 * Return: true: it comes again.
 */
static bool keeper_waits(struct managed *m, unsigned work)
{
	if (!work || !m->guest || guest_stop(m->guest))
		return false;
	if (!(work & WORK_ENDED))
		keeper_forget(m, WORK_ENDED); /* it is destroyed, which its vcpus saw */
	keeper_post(m, work);
	return true;
}

static enum sched_reason keeper_run(struct sched_entity *entity, uint64_t deadline_ns)
{
	unsigned work = 0;
	struct managed *m = keeper_next(&work);

	(void)entity;
	(void)deadline_ns;
	if (!m)
		return SCHED_HALT;
	if (work & WORK_BALLOON && m->guest)
		guest_balloon_turn(m->guest);
	if (work & WORK_BUILD)
		keeper_build(m);
	if (keeper_waits(m, work & (WORK_ENDED | WORK_DESTROY)))
		return SCHED_YIELD;
	if (work & WORK_ENDED)
		keeper_end(m);
	if (work & WORK_DESTROY)
		keeper_destroy(m);
	return SCHED_YIELD; /* there may be more */
}

void keeper_init(void)
{
	keeper.entity = (struct sched_entity){ .name = "keeper", .run = keeper_run };
	sched_add(&keeper.entity);
}

void keeper_balloon(struct guest *guest, void *arg)
{
	(void)guest;
	keeper_post(arg, WORK_BALLOON);
}

void managed_order(struct managed *m, enum managed_work work, uint32_t request, uint32_t session)
{
	m->job = (struct managed_job){ .state = JOB_UNDER_WAY,
				       .request = request,
				       .session = session };
	m->is_going = work == WORK_DESTROY;
	keeper_post(m, work);
}

/* Exits by reason, those that there were. */
static void exits_print(const struct guest *guest)
{
	uint64_t barriers = 0;
	char line[256];
	size_t n = 0;

	for (unsigned i = 0; i < HW_EXIT_KINDS; i++) {
		uint64_t count = guest_exits(guest, i);
		if (count && n < sizeof(line))
			n += (size_t)snprintf(line + n, sizeof(line) - n, " %s %lu",
					      hv_exit_name(i), (unsigned long)count);
	}
	print("guest %s: exits%s\n", guest->name, n ? line : " none");
	for (unsigned i = 0; i < guest->n_vcpus; i++)
		barriers += guest->vcpus[i].vcpu->barriers;
	if (barriers)
		print("guest %s: its CPU was made to forget %lu times\n", guest->name,
		      (unsigned long)barriers);
}

void keeper_ended(struct guest *guest, void *arg)
{
	struct managed *m = arg;
	enum guest_end how = guest_ended(guest);

	managed_io_last(m, guest);
	if (how == GUEST_FAILED)
		print("guest %s: stopped: %s (0x%lx)\n", guest->name, guest->failure,
		      (unsigned long)guest->failure_code);
	else if (how == GUEST_EXIT)
		print("guest %s: ended its test with %d\n", guest->name, guest->status);
	else
		print("guest %s: %s\n", guest->name, guest_end_words(how));
	exits_print(guest);
	keeper_post(m, WORK_ENDED);
}
