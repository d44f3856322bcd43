/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/guest_clock.h"

#include "base/core/macros.h"
#include "core/clock.h"
#include "vm/wall.h"

#define FIRE_MOST 64U
#define NEVER	  UINT64_MAX

static struct guest_clock *clock_of(struct clock *clock)
{
	return container_of(clock, struct guest_clock, clock);
}

static uint64_t now_of(const struct guest_clock *c)
{
	return clock_ns() - c->offset_ns;
}

/* The lock is held: the first deadline as others see it. An alarm that comes too early is a look for nothing. */
static void publish(struct guest_clock *c)
{
	uint64_t at = NEVER;

	if (c->timers.first && c->timers.first->deadline_ns < NEVER / 2)
		at = c->timers.first->deadline_ns + c->offset_ns;
	if (at == c->first_ns)
		return;
	__atomic_store_n(&c->first_ns, at, __ATOMIC_RELEASE);
	if (at != NEVER)
		timer_arm(&c->alarm, at);
}

static uint64_t guest_now_ns(struct clock *clock)
{
	return now_of(clock_of(clock));
}

static void guest_arm(struct clock *clock, struct timer *timer, uint64_t deadline_ns)
{
	struct guest_clock *c = clock_of(clock);

	spin_lock(&c->lock);
	if (timer->armed)
		timer_queue_remove(&c->timers, timer);
	timer->deadline_ns = deadline_ns;
	timer_queue_add(&c->timers, timer);
	publish(c);
	spin_unlock(&c->lock);
}

static void guest_cancel(struct clock *clock, struct timer *timer)
{
	struct guest_clock *c = clock_of(clock);

	spin_lock(&c->lock);
	if (timer->armed)
		timer_queue_remove(&c->timers, timer);
	spin_unlock(&c->lock);
}

static int64_t guest_wall_s(struct clock *clock)
{
	(void)clock;
	return wall_s();
}

static const struct clock_ops guest_clock_ops = {
	.now_ns = guest_now_ns,
	.arm = guest_arm,
	.cancel = guest_cancel,
	.wall_s = guest_wall_s,
};

static void alarm_fired(struct hv_timer *alarm)
{
	struct guest_clock *c = container_of(alarm, struct guest_clock, alarm);

	c->due(c);
}

void guest_clock_init(struct guest_clock *c, void (*due)(struct guest_clock *clock))
{
	*c = (struct guest_clock){
		.clock = { &guest_clock_ops },
		.first_ns = NEVER,
		.offset_ns = clock_ns(),
		.alarm = { .fired = alarm_fired },
		.due = due,
	};
}

void guest_clock_fini(struct guest_clock *c)
{
	if (c->clock.ops)
		timer_finish(&c->alarm);
}

bool guest_clock_is_due(const struct guest_clock *c)
{
	return clock_ns() >= __atomic_load_n(&c->first_ns, __ATOMIC_ACQUIRE);
}

void guest_clock_shift(struct guest_clock *c, uint64_t ns)
{
	spin_lock(&c->lock);
	c->offset_ns += ns;
	c->first_ns = NEVER; /* so that the alarm is set again */
	publish(c);
	spin_unlock(&c->lock);
}

void guest_clock_fire(struct guest_clock *c)
{
	spin_lock(&c->lock);
	/* What a handler arms for the past fires in this loop too, within a bound. */
	for (unsigned i = 0; i < FIRE_MOST; i++) {
		struct timer *timer = c->timers.first;
		if (!timer || timer->deadline_ns > now_of(c))
			break;
		timer_queue_remove(&c->timers, timer);
		spin_unlock(&c->lock);
		timer->fired(timer);
		spin_lock(&c->lock);
	}
	c->first_ns = NEVER; /* so that the alarm is set again */
	publish(c);
	spin_unlock(&c->lock);
}
