/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "machine/fakes.h"
#include "machine/pci_rig.h"
#include "machine/pm.h"

#define STATUS	PORT_PM1_EVENT
#define ENABLE	(PORT_PM1_EVENT + 2)
#define CONTROL PORT_PM1_CONTROL

#define TIMER  0x001U
#define BUTTON 0x100U

#define NS_PER_S UINT64_C(1000000000)

struct scene {
	struct rig rig;
	struct fake_clock clock;
	struct fake_events events;
	struct pm pm;
};

static void scene_init(struct scene *s)
{
	rig_init(&s->rig);
	fake_clock_init(&s->clock);
	fake_events_init(&s->events);
	assert_int_equal(pm_init(&s->pm, &s->rig.pio, &s->rig.pci, &s->clock.clock, &s->rig.irq,
				 &s->events.events, NULL),
			 0);
}

static uint64_t in(struct scene *s, unsigned port, unsigned len)
{
	return bus_read(&s->rig.pio, port, len);
}

static void out(struct scene *s, unsigned port, unsigned len, uint64_t value)
{
	bus_write(&s->rig.pio, port, len, value);
}

static void the_timer_runs_at_3_579545_mhz(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(in(&s, PORT_PM_TIMER, 4), 0);
	fake_clock_advance(&s.clock, NS_PER_S);
	assert_int_equal(in(&s, PORT_PM_TIMER, 4), PM_TIMER_HZ);
	fake_clock_advance(&s.clock, NS_PER_S / 2);
	assert_int_equal(in(&s, PORT_PM_TIMER, 4), PM_TIMER_HZ * 3 / 2);
	assert_int_equal(in(&s, PORT_PM_TIMER + 1, 1), PM_TIMER_HZ * 3 / 2 >> 8 & 0xff);
	/* 20 years: it wraps. */
	fake_clock_advance(&s.clock, UINT64_C(630720000) * NS_PER_S);
	assert_int_equal(in(&s, PORT_PM_TIMER, 4),
			 (PM_TIMER_HZ * 630720001 + PM_TIMER_HZ / 2) & 0xffffffff);
}

static void acpi_is_always_on(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(in(&s, CONTROL, 2), 1);
	out(&s, CONTROL, 2, 0);
	assert_int_equal(in(&s, CONTROL, 2), 1);
	out(&s, CONTROL, 2, 0xdfff); /* all but the bit that sleeps */
	assert_int_equal(in(&s, CONTROL, 2), 0x1c03);
}

static void s5_is_off(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, CONTROL, 2, 5 << 10);
	assert_int_equal(s.events.power_offs, 0);
	out(&s, CONTROL, 2, 5 << 10 | 1 << 13);
	assert_int_equal(s.events.power_offs, 1);
	assert_int_equal(in(&s, CONTROL, 2), 5 << 10 | 1); /* write-only */
	/* Byte by byte. */
	out(&s, CONTROL, 1, 1);
	assert_int_equal(s.events.power_offs, 1);
	out(&s, CONTROL + 1, 1, 0x34);
	assert_int_equal(s.events.power_offs, 2);
}

static void other_sleeps_do_nothing(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	for (unsigned type = 0; type < 8; type++) {
		if (type != 5)
			out(&s, CONTROL, 2, type << 10 | 1 << 13);
	}
	assert_int_equal(s.events.power_offs, 0);
	assert_int_equal(s.events.resets, 0);
}

static void the_power_button_interrupts_who_listens(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_false(pm_power_button(&s.pm));
	assert_false(s.rig.lines[GSI_SCI]);
	out(&s, ENABLE, 2, 0xffff); /* the press still waits */
	assert_int_equal(in(&s, ENABLE, 2),
			 BUTTON | 0x421); /* and the RTC, which never interrupts */
	assert_true(s.rig.lines[GSI_SCI]);
	assert_int_equal(in(&s, STATUS, 2), BUTTON);
	out(&s, STATUS, 2, BUTTON);
	assert_int_equal(in(&s, STATUS, 2), 0);
	assert_false(s.rig.lines[GSI_SCI]);
	assert_true(pm_power_button(&s.pm));
	assert_true(s.rig.lines[GSI_SCI]);
	out(&s, ENABLE, 4, 0);
	assert_false(s.rig.lines[GSI_SCI]);
	assert_int_equal(in(&s, STATUS, 4), BUTTON);
}

static void status_bits_are_cleared_by_ones_only(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	(void)pm_power_button(&s.pm);
	out(&s, STATUS, 2, 0);
	out(&s, STATUS, 1, 0xff);
	out(&s, STATUS, 2, 0xfeff);
	assert_int_equal(in(&s, STATUS, 2), BUTTON);
	out(&s, STATUS + 1, 1, 1);
	assert_int_equal(in(&s, STATUS, 2), 0);
}

/* Bit 31 changes every 599.93 seconds. */
static void a_carry_of_the_timer_is_seen(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	fake_clock_advance(&s.clock, 599 * NS_PER_S);
	assert_int_equal(in(&s, STATUS, 2), 0);
	fake_clock_advance(&s.clock, NS_PER_S);
	assert_int_equal(in(&s, STATUS, 2), TIMER);
	out(&s, STATUS, 2, TIMER);
	assert_int_equal(in(&s, STATUS, 2), 0);
	assert_int_equal(s.rig.line_calls, 0);
}

static void a_carry_interrupts_who_listens(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, ENABLE, 2, TIMER);
	assert_int_equal(s.pm.timer.deadline_ns,
			 (UINT64_C(0x80000000) * NS_PER_S + PM_TIMER_HZ - 1) / PM_TIMER_HZ);
	fake_clock_advance(&s.clock, 599 * NS_PER_S);
	assert_false(s.rig.lines[GSI_SCI]);
	fake_clock_advance(&s.clock, NS_PER_S);
	assert_true(s.rig.lines[GSI_SCI]);
	out(&s, STATUS, 2, TIMER);
	assert_false(s.rig.lines[GSI_SCI]);
	fake_clock_advance(&s.clock, 600 * NS_PER_S);
	assert_true(s.rig.lines[GSI_SCI]);
	out(&s, ENABLE, 2, 0);
	assert_false(s.rig.lines[GSI_SCI]);
	assert_false(s.pm.timer.armed);
	out(&s, ENABLE, 2, TIMER);
	assert_true(s.pm.timer.armed);
	pm_fini(&s.pm);
	assert_false(s.pm.timer.armed);
}

/* A timer that fired just as the guest turned it off. */
static void a_late_timer_is_not_heard(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	fake_clock_advance(&s.clock, 700 * NS_PER_S);
	s.pm.timer.fired(&s.pm.timer);
	assert_int_equal(s.rig.line_calls, 0);
	assert_false(s.pm.timer.armed);
}

static void cf9_resets(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	out(&s, PORT_RESET, 1, 0x02);
	assert_int_equal(s.events.resets, 0);
	assert_int_equal(in(&s, PORT_RESET, 1), 0x02);
	out(&s, PORT_RESET, 1, 0x06); /* what the FADT says */
	assert_int_equal(s.events.resets, 1);
	assert_int_equal(in(&s, PORT_RESET, 1), 0x02);
	out(&s, PORT_RESET, 1, 0x0e);
	assert_int_equal(s.events.resets, 2);
	/* As part of the dword around it, it is PCI's address. */
	out(&s, PORT_PCI_ADDRESS, 4, 0xffffffff);
	assert_int_equal(s.events.resets, 2);
}

static void ports_that_are_taken_are_an_error(void **state)
{
	struct scene s;
	struct pm second;
	struct err err = { 0 };

	(void)state;
	scene_init(&s);
	assert_int_equal(pm_init(&second, &s.rig.pio, &s.rig.pci, &s.clock.clock, &s.rig.irq,
				 &s.events.events, &err),
			 -EEXIST);
	assert_string_equal(err.text, "add power management: its ports are taken");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_timer_runs_at_3_579545_mhz),
		cmocka_unit_test(acpi_is_always_on),
		cmocka_unit_test(s5_is_off),
		cmocka_unit_test(other_sleeps_do_nothing),
		cmocka_unit_test(the_power_button_interrupts_who_listens),
		cmocka_unit_test(status_bits_are_cleared_by_ones_only),
		cmocka_unit_test(a_carry_of_the_timer_is_seen),
		cmocka_unit_test(a_carry_interrupts_who_listens),
		cmocka_unit_test(a_late_timer_is_not_heard),
		cmocka_unit_test(cf9_resets),
		cmocka_unit_test(ports_that_are_taken_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
