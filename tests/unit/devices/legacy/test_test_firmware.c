/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/apics.h"

#include <string.h>

#include "devices/legacy/test_firmware.h"

#define MEMORY 8192U

struct scene {
	struct apics apics;
	struct bus pio;
	struct guest_mem mem;
	uint8_t ram[MEMORY] __attribute__((aligned(4096)));
};

static void the_tick_has_a_handler_that_ends_it(void **state)
{
	static struct scene s;

	(void)state;
	apics_init(&s.apics);
	memset(s.ram, 0xff, sizeof(s.ram));
	assert_int_equal(mem_add(&s.mem, 0, MEMORY, s.ram, false), 0);
	test_firmware_leave(&s.mem, &s.pio, &s.apics.lapic[0]);
	uint32_t tick;
	memcpy(&tick, s.ram + 8 * sizeof(tick), sizeof(tick));
	assert_true(tick < MEMORY);
	assert_int_equal(s.ram[tick], 0x50);	 /* push ax */
	assert_int_equal(s.ram[tick + 8], 0xcf); /* iret */
	for (unsigned i = 0; i < 256; i++)
		assert_memory_equal(s.ram + i * sizeof(tick), &tick, sizeof(tick));
	assert_int_equal(get(&s.apics.lapic[0], SVR), 0x1ff);
	assert_int_equal(get(&s.apics.lapic[0], LINT0), 0x700);
}

static void without_memory_at_0_nothing_is_done(void **state)
{
	static struct scene s;

	(void)state;
	apics_init(&s.apics);
	test_firmware_leave(&s.mem, &s.pio, &s.apics.lapic[0]);
	assert_int_not_equal(get(&s.apics.lapic[0], LINT0), 0x700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tick_has_a_handler_that_ends_it),
		cmocka_unit_test(without_memory_at_0_nothing_is_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
