/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "machine/timer_queue.h"

/* The deadlines from the first on; the one behind the last is 0. */
static void expect(const struct timer_queue *queue, const uint64_t *deadlines)
{
	const struct timer *t = queue->first;

	for (; *deadlines; deadlines++, t = t->slot[0]) {
		assert_non_null(t);
		assert_true(t->armed);
		assert_int_equal(t->deadline_ns, *deadlines);
	}
	assert_null(t);
}

static void the_first_to_fire_is_first(void **state)
{
	struct timer timers[] = { { .deadline_ns = 5 },
				  { .deadline_ns = 9 },
				  { .deadline_ns = 1 } };
	struct timer_queue queue = { 0 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(timers); i++)
		timer_queue_add(&queue, &timers[i]);
	expect(&queue, (uint64_t[]){ 1, 5, 9, 0 });
	timer_queue_remove(&queue, &timers[0]); /* between two */
	assert_false(timers[0].armed);
	expect(&queue, (uint64_t[]){ 1, 9, 0 });
	timer_queue_remove(&queue, &timers[1]); /* the last */
	timer_queue_remove(&queue, &timers[2]); /* the only one */
	assert_null(queue.first);
}

static void of_equal_ones_the_first_that_came_is_first(void **state)
{
	struct timer a = { .deadline_ns = 5 }, b = { .deadline_ns = 5 };
	struct timer_queue queue = { 0 };

	(void)state;
	timer_queue_add(&queue, &a);
	timer_queue_add(&queue, &b);
	assert_ptr_equal(queue.first, &a);
	assert_ptr_equal(a.slot[0], &b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_to_fire_is_first),
		cmocka_unit_test(of_equal_ones_the_first_that_came_is_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
