/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vm/guest.h"

static struct {
	unsigned served, rings; /* another vcpu rings while one serves; so many times */
	unsigned woken;
	unsigned fills; /* turns in which memory is filled for a request */
} rig;

void guest_clock_fire(struct guest_clock *c)
{
	(void)c;
}

void guest_vcpu_wake(struct guest_vcpu *v)
{
	(void)v;
	rig.woken++;
}

bool guest_virtio_serve(struct guest *guest)
{
	rig.served++;
	if (rig.rings) {
		rig.rings--;
		guest_service_ask(guest);
		assert_false(guest_service(guest)); /* one at a time */
	}
	rig.fills -= rig.fills > 0;
	return rig.fills;
}

static int begin(void **state)
{
	memset(&rig, 0, sizeof(rig));
	*state = calloc(1, sizeof(struct guest));
	return *state ? 0 : -1;
}

static int end(void **state)
{
	free(*state);
	return 0;
}

static void what_came_meanwhile_is_served_too(void **state)
{
	struct guest *guest = *state;

	rig.rings = 3;
	guest_service_ask(guest);
	assert_false(guest_service(guest));
	assert_int_equal(rig.served, 4);
	assert_int_equal(rig.woken, 4);
	assert_int_equal(guest->service_wanted, 0);
}

static void who_is_asked_without_end_comes_back_and_forgets_nothing(void **state)
{
	struct guest *guest = *state;

	rig.rings = UINT32_MAX;
	guest_service_ask(guest);
	assert_true(guest_service(guest));
	assert_int_equal(guest->service_wanted, 1);
	assert_int_equal(guest->service, 0);
	rig.rings = 0;
	assert_false(guest_service(guest));
	assert_int_equal(guest->service_wanted, 0);
}

static void while_memory_is_filled_the_cpu_is_looked_after_in_each_turn(void **state)
{
	struct guest *guest = *state;

	rig.fills = 5;
	guest_service_ask(guest);
	for (unsigned i = 1; i < 5; i++) {
		assert_true(guest_service(guest));
		assert_int_equal(rig.served, i);
		assert_int_equal(guest->service_wanted, 1);
		assert_int_equal(guest->service, 0);
	}
	assert_false(guest_service(guest));
	assert_int_equal(guest->service_wanted, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_came_meanwhile_is_served_too, begin, end),
		cmocka_unit_test_setup_teardown(
			who_is_asked_without_end_comes_back_and_forgets_nothing, begin, end),
		cmocka_unit_test_setup_teardown(
			while_memory_is_filled_the_cpu_is_looked_after_in_each_turn, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
