/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "engines/vmm/clock.h"

#define MS UINT64_C(1000000)

struct probe {
	struct timer timer;
	struct vmm_clock *clock;
	unsigned fired;
	unsigned order; /* when among all */
	unsigned *turn;
	uint64_t again_ns;
};

static void probe_fired(struct timer *timer)
{
	struct probe *p = container_of(timer, struct probe, timer);

	p->fired++;
	p->order = ++*p->turn;
	if (p->again_ns) {
		p->again_ns = 0;
		p->clock->clock.ops->arm(&p->clock->clock, timer, 1); /* long past */
	}
}

static struct probe probe_make(struct vmm_clock *clock, unsigned *turn)
{
	return (struct probe){ .timer = { .fired = probe_fired }, .clock = clock, .turn = turn };
}

static uint64_t now(struct vmm_clock *c)
{
	return c->clock.ops->now_ns(&c->clock);
}

static void wait_and_fire(struct vmm_clock *c)
{
	struct pollfd poll_fd = { .fd = c->fd, .events = POLLIN };

	assert_int_equal(poll(&poll_fd, 1, 100000), 1);
	vmm_clock_fire(c);
}

static void timers_fire_in_order_of_their_deadlines(void **state)
{
	struct vmm_clock c;
	unsigned turn = 0;

	(void)state;
	assert_int_equal(vmm_clock_init(&c, NULL), 0);
	struct probe a = probe_make(&c, &turn), b = probe_make(&c, &turn),
		     d = probe_make(&c, &turn);
	uint64_t at = now(&c);
	c.clock.ops->arm(&c.clock, &a.timer, at + 2 * MS);
	c.clock.ops->arm(&c.clock, &b.timer, at + 1 * MS);
	c.clock.ops->arm(&c.clock, &d.timer, at + 3 * MS);
	c.clock.ops->cancel(&c.clock, &d.timer);
	while (!a.fired)
		wait_and_fire(&c);
	assert_int_equal(b.order, 1);
	assert_int_equal(a.order, 2);
	assert_int_equal(d.fired, 0);
	vmm_clock_fini(&c);
}

static void a_deadline_in_the_past_fires_but_not_inside_the_call(void **state)
{
	struct vmm_clock c;
	unsigned turn = 0;

	(void)state;
	assert_int_equal(vmm_clock_init(&c, NULL), 0);
	struct probe a = probe_make(&c, &turn);
	a.again_ns = 1;
	c.clock.ops->arm(&c.clock, &a.timer, 0);
	assert_int_equal(a.fired, 0);
	while (a.fired < 2)
		wait_and_fire(&c);
	assert_false(a.timer.armed);
	vmm_clock_fini(&c);
}

static void moving_a_timer_leaves_one(void **state)
{
	struct vmm_clock c;
	unsigned turn = 0;

	(void)state;
	assert_int_equal(vmm_clock_init(&c, NULL), 0);
	struct probe a = probe_make(&c, &turn);
	c.clock.ops->arm(&c.clock, &a.timer, UINT64_MAX); /* never */
	c.clock.ops->arm(&c.clock, &a.timer, now(&c) + MS);
	while (!a.fired)
		wait_and_fire(&c);
	assert_null(c.timers.first);
	assert_int_equal(a.fired, 1);
	vmm_clock_fini(&c);
}

static void time_stands_still_in_a_pause(void **state)
{
	struct vmm_clock c;
	unsigned turn = 0;

	(void)state;
	assert_int_equal(vmm_clock_init(&c, NULL), 0);
	struct probe a = probe_make(&c, &turn);
	vmm_clock_pause(&c);
	uint64_t before = now(&c);
	c.clock.ops->arm(&c.clock, &a.timer, 0);
	vmm_clock_fire(&c);
	assert_int_equal(a.fired, 0);
	assert_true(now(&c) == before);
	vmm_clock_resume(&c);
	while (!a.fired)
		wait_and_fire(&c);
	vmm_clock_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order_of_their_deadlines),
		cmocka_unit_test(a_deadline_in_the_past_fires_but_not_inside_the_call),
		cmocka_unit_test(moving_a_timer_leaves_one),
		cmocka_unit_test(time_stands_still_in_a_pause),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
