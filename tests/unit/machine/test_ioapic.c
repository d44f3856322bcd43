/* SPDX-License-Identifier: Apache-2.0 */
/* Intel 82093AA data sheet, I/O Redirection Table Registers. */
#include "apics.h"

#include "machine/bus.h"
#include "machine/ioapic.h"

struct scene {
	struct apics a;
	struct bus bus;
	struct ioapic ioapic;
};

static void scene_eoi(struct lapic_bus *bus, uint8_t vector)
{
	struct apics *a = container_of(bus, struct apics, bus);

	apics_eoi(bus, vector);
	ioapic_eoi(&container_of(a, struct scene, a)->ioapic, vector);
}

static void scene_init(struct scene *s)
{
	static const struct lapic_bus_ops ops = { .wake = apics_wake, .eoi = scene_eoi };

	memset(s, 0, sizeof(*s));
	apics_init(&s->a);
	s->a.bus.ops = &ops;
	ioapic_init(&s->ioapic, &s->a.bus);
	assert_int_equal(bus_add(&s->bus, &s->ioapic.region), 0);
}

static uint32_t reg(struct scene *s, uint8_t index)
{
	bus_write(&s->bus, LAYOUT_IOAPIC, 4, index);
	assert_int_equal(bus_read(&s->bus, LAYOUT_IOAPIC, 4), index);
	return (uint32_t)bus_read(&s->bus, LAYOUT_IOAPIC + 0x10, 4);
}

static void set(struct scene *s, uint8_t index, uint32_t value)
{
	bus_write(&s->bus, LAYOUT_IOAPIC, 4, index);
	bus_write(&s->bus, LAYOUT_IOAPIC + 0x10, 4, value);
}

static void route(struct scene *s, unsigned pin, uint32_t low, uint8_t dest)
{
	set(s, (uint8_t)(0x10 + 2 * pin), 0x10000);
	set(s, (uint8_t)(0x11 + 2 * pin), (uint32_t)dest << 24);
	set(s, (uint8_t)(0x10 + 2 * pin), low);
}

static bool serve(struct scene *s, unsigned cpu, uint8_t vector)
{
	if (lapic_highest(&s->a.lapic[cpu]) != vector)
		return false;
	assert_true(lapic_accept(&s->a.lapic[cpu], vector));
	put(&s->a.lapic[cpu], EOI, 0);
	return true;
}

static void registers_after_reset(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	assert_int_equal(reg(&s, 0), 0);
	assert_int_equal(reg(&s, 1), 0x170020);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		assert_int_equal(reg(&s, (uint8_t)(0x10 + 2 * pin)), 0x10000);
		assert_int_equal(reg(&s, (uint8_t)(0x11 + 2 * pin)), 0);
	}
	assert_int_equal(reg(&s, 0x40), 0); /* no such entry */
	set(&s, 0xff, 0xffffffff);
	set(&s, 0, 0xffffffff);
	assert_int_equal(reg(&s, 0), 0x0f000000);
	assert_int_equal(reg(&s, 2), 0x0f000000);
	set(&s, 0x12, 0xffffffff); /* delivery status and remote IRR are not the guest's */
	assert_int_equal(reg(&s, 0x12), 0x1afff);
	bus_write(&s.bus, LAYOUT_IOAPIC + 0x10, 1, 0); /* a byte is no register access */
	assert_int_equal(reg(&s, 0x12), 0x1afff);
	assert_int_equal(bus_read(&s.bus, LAYOUT_IOAPIC + 0x20, 4), 0);
}

static void an_edge_comes_once(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	route(&s, 4, 0x34, 2);
	ioapic_line(&s.ioapic, 4, true);
	assert_true(serve(&s, 2, 0x34));
	ioapic_line(&s.ioapic, 4, true);
	assert_false(serve(&s, 2, 0x34));
	ioapic_line(&s.ioapic, 4, false);
	assert_false(serve(&s, 2, 0x34));
	ioapic_line(&s.ioapic, 4, true);
	assert_true(serve(&s, 2, 0x34));
	assert_int_equal(s.a.eois, 0);
}

static void a_masked_edge_is_lost(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	ioapic_line(&s.ioapic, 4, true);
	route(&s, 4, 0x34, 0);
	assert_false(serve(&s, 0, 0x34));
}

static void a_level_asks_until_it_is_gone(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	route(&s, 16, 0xa045, 1); /* level, active low */
	ioapic_line(&s.ioapic, 16, true);
	assert_int_equal(reg(&s, 0x30), 0xe045);
	ioapic_line(&s.ioapic, 16, false);
	ioapic_line(&s.ioapic, 16, true); /* remote IRR: not twice */
	assert_true(serve(&s, 1, 0x45));
	assert_true(serve(&s, 1, 0x45)); /* still asserted */
	ioapic_line(&s.ioapic, 16, false);
	assert_true(serve(&s, 1, 0x45));
	assert_false(serve(&s, 1, 0x45));
	assert_int_equal(reg(&s, 0x30), 0xa045);
}

static void a_level_that_is_unmasked_comes(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	ioapic_line(&s.ioapic, 17, true);
	route(&s, 17, 0x8046, 1);
	assert_true(serve(&s, 1, 0x46));
	set(&s, 0x32, 0x18046);
	assert_true(serve(&s, 1, 0x46)); /* the one that was taken before */
	assert_false(serve(&s, 1, 0x46));
	assert_int_equal(reg(&s, 0x32), 0x18046);
}

static void a_moment_of_edge_mode_clears_remote_irr(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	route(&s, 17, 0x8046, 1);
	ioapic_line(&s.ioapic, 17, true);
	assert_int_equal(reg(&s, 0x32), 0xc046);
	set(&s, 0x32, 0x10046);
	set(&s, 0x32, 0x18046);
	assert_int_equal(reg(&s, 0x32), 0x18046);
}

static void the_eoi_register_is_directed(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	put(&s.a.lapic[1], SVR, 0x11ff); /* no broadcasts */
	route(&s, 17, 0x8046, 1);
	route(&s, 18, 0x8047, 1);
	ioapic_line(&s.ioapic, 17, true);
	assert_true(serve(&s, 1, 0x46));
	assert_false(serve(&s, 1, 0x46));
	bus_write(&s.bus, LAYOUT_IOAPIC + 0x40, 4, 0x47);
	assert_false(serve(&s, 1, 0x46));
	bus_write(&s.bus, LAYOUT_IOAPIC + 0x40, 4, 0x46);
	assert_true(serve(&s, 1, 0x46));
}

static void nobody_there_leaves_the_pin_free(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	route(&s, 17, 0x8046, 9);
	ioapic_line(&s.ioapic, 17, true);
	assert_int_equal(reg(&s, 0x32), 0x8046);
	route(&s, 17, 0x8046, 1);
	assert_true(serve(&s, 1, 0x46));
}

static void modes_beyond_fixed(void **state)
{
	struct scene s;
	uint8_t vector;

	(void)state;
	scene_init(&s);
	put(&s.a.lapic[0], LDR, 0x01000000);
	put(&s.a.lapic[1], LDR, 0x02000000);
	put(&s.a.lapic[0], TPR, 0x10);
	route(&s, 5, 0x951, 3); /* lowest priority, logical */
	ioapic_line(&s.ioapic, 5, true);
	assert_true(serve(&s, 1, 0x51));
	assert_false(serve(&s, 0, 0x51));
	route(&s, 6, 0x8400, 0); /* an NMI is an edge, whatever the entry says */
	ioapic_line(&s.ioapic, 6, true);
	ioapic_line(&s.ioapic, 6, false);
	assert_int_equal(lapic_event_take(&s.a.lapic[0], &vector), LAPIC_EVENT_NMI);
	assert_int_equal(reg(&s, 0x1c), 0x8400);
	route(&s, 0, 0x700, 0); /* ExtINT */
	ioapic_line(&s.ioapic, 0, true);
	assert_true(lapic_extint(&s.a.lapic[0]));
	lapic_extint_taken(&s.a.lapic[0]);
	assert_false(lapic_extint(&s.a.lapic[0]));
}

static void pins_out_of_range_are_nobodys(void **state)
{
	struct scene s;

	(void)state;
	scene_init(&s);
	ioapic_line(&s.ioapic, IOAPIC_PINS, true);
	ioapic_line(&s.ioapic, UINT32_MAX, true);
	assert_int_equal(s.ioapic.levels, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_after_reset),
		cmocka_unit_test(an_edge_comes_once),
		cmocka_unit_test(a_masked_edge_is_lost),
		cmocka_unit_test(a_level_asks_until_it_is_gone),
		cmocka_unit_test(a_level_that_is_unmasked_comes),
		cmocka_unit_test(a_moment_of_edge_mode_clears_remote_irr),
		cmocka_unit_test(the_eoi_register_is_directed),
		cmocka_unit_test(nobody_there_leaves_the_pin_free),
		cmocka_unit_test(modes_beyond_fixed),
		cmocka_unit_test(pins_out_of_range_are_nobodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
