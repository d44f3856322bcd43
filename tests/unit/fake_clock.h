/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A guest clock that moves when the test says so; timers fire inside fake_clock_advance(), in their order. */
#include <string.h>

#include "base/core/lock.h"
#include "base/core/macros.h"
#include "machine/ops.h"

#define FAKE_CLOCK_TIMERS 80

struct fake_clock {
	struct clock clock;
	struct lock lock;
	uint64_t now_ns;
	int64_t wall_s; /* at now_ns 0 */
	struct timer *armed[FAKE_CLOCK_TIMERS];
	unsigned n;
};

static inline struct fake_clock *fake_clock_of(struct clock *clock)
{
	return container_of(clock, struct fake_clock, clock);
}

static inline uint64_t fake_clock_now_ns(struct clock *clock)
{
	return __atomic_load_n(&fake_clock_of(clock)->now_ns, __ATOMIC_RELAXED);
}

static inline void fake_clock_take(struct fake_clock *fake, struct timer *timer)
{
	for (unsigned i = 0; i < fake->n; i++) {
		if (fake->armed[i] == timer)
			fake->armed[i--] = fake->armed[--fake->n];
	}
	timer->armed = false;
}

static inline void fake_clock_arm(struct clock *clock, struct timer *timer, uint64_t deadline_ns)
{
	struct fake_clock *fake = fake_clock_of(clock);

	lock_acquire(&fake->lock);
	fake_clock_take(fake, timer);
	if (fake->n == FAKE_CLOCK_TIMERS)
		__builtin_trap();
	timer->deadline_ns = deadline_ns;
	timer->armed = true;
	fake->armed[fake->n++] = timer;
	lock_release(&fake->lock);
}

static inline void fake_clock_cancel(struct clock *clock, struct timer *timer)
{
	struct fake_clock *fake = fake_clock_of(clock);

	lock_acquire(&fake->lock);
	fake_clock_take(fake, timer);
	lock_release(&fake->lock);
}

static inline int64_t fake_clock_wall_s(struct clock *clock)
{
	return fake_clock_of(clock)->wall_s + (int64_t)(fake_clock_now_ns(clock) / 1000000000);
}

/* The next timer that is due by `until`, taken off; NULL: none. */
static inline struct timer *fake_clock_due(struct fake_clock *fake, uint64_t until)
{
	struct timer *first = NULL;

	lock_acquire(&fake->lock);
	for (unsigned i = 0; i < fake->n; i++) {
		if (fake->armed[i]->deadline_ns <= until &&
		    (!first || fake->armed[i]->deadline_ns < first->deadline_ns))
			first = fake->armed[i];
	}
	if (first) {
		if (first->deadline_ns > fake->now_ns)
			__atomic_store_n(&fake->now_ns, first->deadline_ns, __ATOMIC_RELAXED);
		fake_clock_take(fake, first);
	}
	lock_release(&fake->lock);
	return first;
}

/* Return: how many timers fired. */
static inline unsigned fake_clock_advance(struct fake_clock *fake, uint64_t ns)
{
	uint64_t until = fake->now_ns + ns;
	struct timer *timer;
	unsigned fired = 0;

	while ((timer = fake_clock_due(fake, until))) {
		timer->fired(timer);
		fired++;
	}
	__atomic_store_n(&fake->now_ns, until, __ATOMIC_RELAXED);
	return fired;
}

static inline void fake_clock_init(struct fake_clock *fake)
{
	static const struct clock_ops ops = { .now_ns = fake_clock_now_ns,
					      .arm = fake_clock_arm,
					      .cancel = fake_clock_cancel,
					      .wall_s = fake_clock_wall_s };

	memset(fake, 0, sizeof(*fake));
	fake->clock.ops = &ops;
}
