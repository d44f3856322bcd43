/* SPDX-License-Identifier: Apache-2.0 */
/* What can be asked of a guest. */
#include <errno.h>

#include "core/clock.h"
#include "vm/guest_balloon.h"
#include "vm/managed.h"

/* The guest stays until ops_end(), without its lock: what is asked may have to wait for its vcpus. */
static struct guest *ops_begin(struct managed *m)
{
	spin_lock(&m->lock);
	struct guest *guest = m->guest;
	(void)__atomic_add_fetch(&m->busy, 1, __ATOMIC_ACQ_REL);
	spin_unlock(&m->lock);
	return guest;
}

static void ops_end(struct managed *m)
{
	(void)__atomic_sub_fetch(&m->busy, 1, __ATOMIC_ACQ_REL);
}

/* Return: false: it was in another state, or is no longer in it. */
static bool state_change(struct managed *m, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&m->state, &from, to, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

/* Its machine goes before its state says so. */
static int ops_refuse(const struct managed *m, const struct guest *guest, struct err *err)
{
	static const char *const words[] = {
		[CHANNEL_CREATED] = "was not started",
		[CHANNEL_RUNS] = "runs",
		[CHANNEL_PAUSED] = "is paused",
		[CHANNEL_ENDED] = "has ended",
	};
	uint32_t state = guest ? __atomic_load_n(&m->state, __ATOMIC_ACQUIRE) : CHANNEL_ENDED;

	return err_say(err, state == CHANNEL_ENDED ? ESRCH : EINVAL, "guest %s %s", m->config.name,
		       words[state % ARRAY_SIZE(words)]);
}

int managed_start(struct managed *m, struct err *err)
{
	struct guest *guest = ops_begin(m);
	int r = 0;

	if (guest && state_change(m, CHANNEL_CREATED, CHANNEL_RUNS)) {
		m->started_ns = clock_ns();
		guest_start(guest);
	} else {
		r = err_say(err, EALREADY, "guest %s was started before", m->config.name);
	}
	ops_end(m);
	return r;
}

int managed_kill(struct managed *m, struct err *err)
{
	struct guest *guest = ops_begin(m);
	int r = 0;

	if (guest && guest->is_started) {
		guest_end(guest, GUEST_DESTROYED, 0);
		if (state_change(m, CHANNEL_PAUSED, CHANNEL_RUNS))
			guest_resume(guest); /* so that it sees its end */
	} else {
		r = ops_refuse(m, guest, err);
	}
	ops_end(m);
	return r;
}

int managed_button(struct managed *m, struct err *err)
{
	struct guest *guest = ops_begin(m);
	int r = 0;

	if (!guest || !guest->is_started)
		r = ops_refuse(m, guest, err);
	else if (!pm_power_button(&guest->pm))
		r = err_say(err, EAGAIN, "guest %s does not listen to its power button",
			    m->config.name);
	ops_end(m);
	return r;
}

int managed_pause(struct managed *m, struct err *err)
{
	struct guest *guest = ops_begin(m);
	int r = 0;

	if (guest && state_change(m, CHANNEL_RUNS, CHANNEL_PAUSED))
		guest_pause(guest);
	else if (m->state != CHANNEL_PAUSED)
		r = ops_refuse(m, guest, err);
	ops_end(m);
	return r;
}

int managed_resume(struct managed *m, struct err *err)
{
	struct guest *guest = ops_begin(m);
	int r = 0;

	if (guest && state_change(m, CHANNEL_PAUSED, CHANNEL_RUNS))
		guest_resume(guest);
	else if (m->state != CHANNEL_RUNS)
		r = ops_refuse(m, guest, err);
	ops_end(m);
	return r;
}

static int update_check(const struct managed *m, const struct channel_update *update,
			struct err *err)
{
	if (update->weight > SCHED_WEIGHT_MAX ||
	    (update->cap_percent != CHANNEL_LEAVE && update->cap_percent > 100 * GUEST_VCPUS))
		return err_say(err, EINVAL, "guest %s: a weight of 1 to %u, a cap of 1 to %u",
			       m->config.name, SCHED_WEIGHT_MAX, 100 * GUEST_VCPUS);
	if (update->memory_mib && !m->config.has_balloon)
		return err_say(err, ENODEV, "guest %s has no balloon", m->config.name);
	if (update->memory_mib % (MEM_PIECE_BYTES >> 20))
		return err_say(err, EINVAL, "guest %s: memory: a multiple of 2 MiB, %u MiB is none",
			       m->config.name, update->memory_mib);
	return 0;
}

static void update_shares(struct managed *m, struct guest *guest,
			  const struct channel_update *update)
{
	if (update->weight)
		m->config.weight = update->weight;
	if (update->cap_percent != CHANNEL_LEAVE)
		m->config.cap_percent = update->cap_percent;
	for (unsigned i = 0; i < guest->n_vcpus; i++)
		sched_weight_set(&guest->vcpus[i].entity, m->config.weight, managed_vcpu_cap(m));
}

static int update_memory(struct managed *m, struct guest *guest, uint64_t bytes, struct err *err)
{
	int r = bytes ? guest_balloon_target(guest, bytes, err) : 0;

	if (r == 0 && bytes)
		m->target_bytes = bytes;
	return r;
}

int managed_update(struct managed *m, const struct channel_update *update, struct err *err)
{
	int r = update_check(m, update, err);

	if (r < 0)
		return r;
	struct guest *guest = ops_begin(m);
	r = guest ? 0 : ops_refuse(m, guest, err);
	if (r == 0)
		r = update_memory(m, guest, (uint64_t)update->memory_mib << 20, err);
	if (r == 0)
		update_shares(m, guest, update);
	ops_end(m);
	return r;
}
