/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LAPIC's timer. The count is not kept but computed: initial_count at start_ns, one less every divider ns.
 * Source: Intel SDM 3A, APIC Timer; TSC-Deadline Mode.
 */
#include "base/core/macros.h"
#include "machine/lapic_private.h"

/* A periodic timer shorter than this skips beats: else a guest could keep the clock's thread busy. */
#define PERIOD_MIN_NS 100000U

/* Divide Configuration Register: bits 0, 1 and 3; 111 divides by 1. */
static uint32_t timer_divider(uint32_t divide)
{
	return 1U << (((divide & 3) | (divide & 8) >> 1) + 1) % 8;
}

static uint32_t timer_mode(const struct lapic *lapic)
{
	return lapic->lvt[LVT_TIMER] & LVT_TIMER_MODE;
}

static uint64_t timer_now(struct lapic *lapic)
{
	return lapic->clock->ops->now_ns(lapic->clock);
}

static uint64_t timer_period_ns(const struct lapic *lapic)
{
	return (uint64_t)lapic->initial_count * timer_divider(lapic->divide);
}

/* The clock is asked only when somebody would hear of it. */
static void timer_arm(struct lapic *lapic)
{
	bool masked_beat = timer_mode(lapic) == LVT_PERIODIC && lapic->lvt[LVT_TIMER] & LVT_MASKED;

	if (lapic->deadline_ns && !masked_beat)
		lapic->clock->ops->arm(lapic->clock, &lapic->timer, lapic->deadline_ns);
	else
		lapic->clock->ops->cancel(lapic->clock, &lapic->timer);
}

/* Where the count that runs now ends, as the registers are. */
static void timer_program(struct lapic *lapic, uint64_t now)
{
	uint64_t period = timer_period_ns(lapic);
	uint64_t elapsed = now - lapic->start_ns;

	lapic->deadline_ns = 0;
	if (!lapic->counts)
		period = 0;
	if (timer_mode(lapic) == LVT_PERIODIC && period) {
		lapic->deadline_ns = lapic->start_ns + (elapsed / period + 1) * period;
		if (lapic->deadline_ns < now + PERIOD_MIN_NS && period < PERIOD_MIN_NS)
			lapic->deadline_ns = now + PERIOD_MIN_NS;
	} else if (timer_mode(lapic) == LVT_ONE_SHOT && elapsed < period) {
		lapic->deadline_ns = lapic->start_ns + period;
	}
	timer_arm(lapic);
}

void lapic_timer_stop(struct lapic *lapic)
{
	lock_acquire(&lapic->lock);
	lapic->initial_count = 0;
	lapic->tsc_deadline = 0;
	lapic->deadline_ns = 0;
	lapic->clock->ops->cancel(lapic->clock, &lapic->timer);
	lock_release(&lapic->lock);
}

void lapic_timer_fired(struct timer *timer)
{
	struct lapic *lapic = container_of(timer, struct lapic, timer);

	lock_acquire(&lapic->lock);
	uint64_t now = timer_now(lapic);
	bool due = lapic->deadline_ns && now >= lapic->deadline_ns;
	if (!due) {
		timer_arm(lapic); /* moved, or stopped, while it was on its way */
	} else if (timer_mode(lapic) == LVT_PERIODIC) {
		timer_program(lapic, now);
	} else {
		lapic->deadline_ns = 0;
		lapic->tsc_deadline = 0;
	}
	lock_release(&lapic->lock);
	if (due)
		lapic_local(lapic, LVT_TIMER);
}

/* One-shot and periodic share the count that runs; one that is over does not start again. */
static void timer_swap(struct lapic *lapic, uint32_t old_mode, uint64_t now)
{
	uint64_t period = timer_period_ns(lapic), elapsed = now - lapic->start_ns;

	if (!period)
		return;
	if (old_mode == LVT_PERIODIC)
		lapic->start_ns += elapsed / period * period;
	else if (elapsed >= period)
		lapic->counts = false;
	timer_program(lapic, now);
}

/* Crossing into or out of TSC-deadline mode disarms. */
void lapic_timer_mode_set(struct lapic *lapic, uint32_t old_lvt, uint32_t new_lvt)
{
	uint32_t old_mode = old_lvt & LVT_TIMER_MODE, new_mode = new_lvt & LVT_TIMER_MODE;

	if ((old_mode ^ new_mode) & LVT_TSC_DEADLINE) {
		lapic->initial_count = 0;
		lapic->tsc_deadline = 0;
		lapic->deadline_ns = 0;
		timer_arm(lapic);
	} else if (old_mode != new_mode) {
		timer_swap(lapic, old_mode, timer_now(lapic));
	} else if (new_mode == LVT_PERIODIC) {
		timer_program(lapic, timer_now(lapic)); /* no beat is made up for that was masked */
	} else {
		timer_arm(lapic);
	}
}

void lapic_timer_count_set(struct lapic *lapic, uint32_t count)
{
	lock_acquire(&lapic->lock);
	if (!(timer_mode(lapic) & LVT_TSC_DEADLINE)) {
		lapic->initial_count = count;
		lapic->counts = true;
		lapic->start_ns = timer_now(lapic);
		timer_program(lapic, lapic->start_ns);
	}
	lock_release(&lapic->lock);
}

static uint32_t timer_count(const struct lapic *lapic, uint64_t now)
{
	uint64_t period = timer_period_ns(lapic), elapsed = now - lapic->start_ns;

	if (!period || !lapic->counts || timer_mode(lapic) & LVT_TSC_DEADLINE)
		return 0;
	if (timer_mode(lapic) == LVT_PERIODIC)
		elapsed %= period;
	else if (elapsed >= period)
		return 0;
	return lapic->initial_count - (uint32_t)(elapsed / timer_divider(lapic->divide));
}

uint32_t lapic_timer_count(struct lapic *lapic)
{
	lock_acquire(&lapic->lock);
	uint32_t count = timer_count(lapic, timer_now(lapic));
	lock_release(&lapic->lock);
	return count;
}

/* The count goes on from where it is, at the new pace. */
void lapic_timer_divide_set(struct lapic *lapic, uint32_t divide)
{
	lock_acquire(&lapic->lock);
	uint64_t now = timer_now(lapic);
	uint32_t count = timer_count(lapic, now);
	lapic->divide = divide & 0xb;
	if (count) {
		uint64_t done = lapic->initial_count - count;
		uint64_t done_ns = done * timer_divider(lapic->divide);
		lapic->start_ns = now - done_ns;
		timer_program(lapic, now);
	}
	lock_release(&lapic->lock);
}

uint64_t lapic_timer_deadline(struct lapic *lapic)
{
	lock_acquire(&lapic->lock);
	uint64_t tsc = lapic->tsc_deadline;
	lock_release(&lapic->lock);
	return tsc;
}

/* A deadline that has passed fires here: a guest that writes one is to be interrupted by the next instruction. */
void lapic_timer_deadline_set(struct lapic *lapic, uint64_t tsc)
{
	bool due = false;

	lock_acquire(&lapic->lock);
	if (timer_mode(lapic) == LVT_TSC_DEADLINE) {
		uint64_t ns = tsc ? lapic->bus->ops->tsc_to_ns(lapic->bus, lapic->index, tsc) : 0;
		due = tsc && ns <= timer_now(lapic);
		lapic->tsc_deadline = due ? 0 : tsc;
		lapic->deadline_ns = due ? 0 : ns;
		timer_arm(lapic);
	}
	lock_release(&lapic->lock);
	if (due)
		lapic_local(lapic, LVT_TIMER);
}
