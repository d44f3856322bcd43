/* SPDX-License-Identifier: Apache-2.0 */
/* Destinations and IPIs. Intel SDM 3A, Issuing Interprocessor Interrupts; Determining IPI Destination. */
#include "apics.h"

/* Which LAPICs have a vector pending, as a mask; and nothing is pending afterwards. */
static unsigned took(struct apics *s, uint8_t vector)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < APICS; i++) {
		if (lapic_highest(&s->lapic[i]) < 0)
			continue;
		assert_int_equal(lapic_highest(&s->lapic[i]), vector);
		assert_true(lapic_accept(&s->lapic[i], vector));
		lapic_mmio_write(&s->lapic[i], EOI, 4, 0);
		if (lapic_base(&s->lapic[i]) & LAPIC_BASE_X2)
			assert_int_equal(lapic_msr_write(&s->lapic[i], 0x80b, 0), 0);
		mask |= 1U << i;
	}
	return mask;
}

static unsigned send(struct apics *s, uint32_t dest, bool is_logical, bool is_wide)
{
	struct lapic_msg msg = {
		.dest = dest, .vector = 0x90, .is_logical = is_logical, .is_wide = is_wide
	};
	unsigned n = lapic_bus_send(&s->bus, &msg);
	unsigned mask = took(s, 0x90);

	assert_int_equal(n, __builtin_popcount(mask));
	return mask;
}

static void physical_destinations(void **state)
{
	struct apics s;

	(void)state;
	apics_init(&s);
	apics_x2(&s.lapic[3]);
	assert_int_equal(send(&s, 2, false, false), 1 << 2);
	assert_int_equal(send(&s, 3, false, false), 1 << 3);
	assert_int_equal(send(&s, 4, false, false), 0);
	assert_int_equal(send(&s, 0xff, false, false), 0xf);
	assert_int_equal(send(&s, 0xff, false, true), 0); /* 255 is an id there */
	assert_int_equal(send(&s, 0xffffffff, false, true), 0xf);
	assert_int_equal(send(&s, 0x102, false, true), 0);
}

static void logical_flat(void **state)
{
	struct apics s;

	(void)state;
	apics_init(&s);
	for (unsigned i = 0; i < APICS; i++)
		put(&s.lapic[i], LDR, 1U << (24 + i));
	assert_int_equal(send(&s, 0x5, true, false), 0x5);
	assert_int_equal(send(&s, 0xff, true, false), 0xf);
	assert_int_equal(send(&s, 0xf0, true, false), 0);
	assert_int_equal(send(&s, 0x100, true, true), 0);
	put(&s.lapic[1], LDR, 0);
	assert_int_equal(send(&s, 0x7f, true, false), 0xd);
	assert_int_equal(send(&s, 0xff, true, false), 0xf); /* broadcast asks for no bit */
}

static void logical_cluster(void **state)
{
	static const uint32_t ldr[APICS] = { 0x11, 0x12, 0x21, 0x22 };
	struct apics s;

	(void)state;
	apics_init(&s);
	for (unsigned i = 0; i < APICS; i++) {
		put(&s.lapic[i], DFR, 0x0fffffff);
		put(&s.lapic[i], LDR, ldr[i] << 24);
		assert_int_equal(get(&s.lapic[i], DFR), 0x0fffffff);
	}
	assert_int_equal(send(&s, 0x13, true, false), 0x3);
	assert_int_equal(send(&s, 0x22, true, false), 0x8);
	assert_int_equal(send(&s, 0x2c, true, false), 0);
	assert_int_equal(send(&s, 0x3f, true, false), 0);
	assert_int_equal(send(&s, 0xff, true, false), 0xf);
}

/* Deriving Logical x2APIC ID from the Local x2APIC ID. */
static void logical_x2apic(void **state)
{
	static struct lapic more[16];
	struct apics s;
	uint64_t ldr;

	(void)state;
	apics_init(&s);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(lapic_init(&more[i], &s.bus, &s.clock.clock, 40), 0);
	struct lapic *last = &more[15]; /* id 19 */
	apics_x2(last);
	assert_int_equal(lapic_msr_read(last, 0x80d, &ldr), 0);
	assert_int_equal(ldr, 1 << 16 | 1 << 3);
	assert_int_equal(lapic_msr_write(last, 0x80f, 0x1ff), 0);
	struct lapic_msg msg = {
		.dest = 0x1000f, .vector = 0x70, .is_logical = true, .is_wide = true
	};
	assert_int_equal(lapic_bus_send(&s.bus, &msg), 1);
	assert_int_equal(lapic_highest(last), 0x70);
	msg.dest = 0x000f;
	assert_int_equal(lapic_bus_send(&s.bus, &msg), 0);
}

/* Lowest Priority Delivery Mode. */
static void lowest_priority_goes_to_the_least_busy_in_turn(void **state)
{
	struct apics s;
	struct lapic_msg msg = { .dest = 0xff, .vector = 0x90, .delivery = LAPIC_LOWEST };
	unsigned seen = 0;

	(void)state;
	apics_init(&s);
	put(&s.lapic[0], TPR, 0x20);
	put(&s.lapic[1], TPR, 0x10);
	put(&s.lapic[2], TPR, 0x10);
	put(&s.lapic[3], TPR, 0x11);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(lapic_bus_send(&s.bus, &msg), 1);
		unsigned who = took(&s, 0x90);
		assert_int_equal(__builtin_popcount(who), 1);
		seen |= who;
	}
	assert_int_equal(seen, 0x6);
	/* A vector in service raises the priority; one that is disabled is never chosen. */
	assert_true(lapic_post(&s.lapic[1], 0xa0, false));
	assert_true(lapic_accept(&s.lapic[1], 0xa0));
	put(&s.lapic[2], SVR, 0xff);
	assert_int_equal(lapic_bus_send(&s.bus, &msg), 1);
	assert_int_equal(took(&s, 0x90), 1 << 3);
}

static void shorthands(void **state)
{
	struct apics s;

	(void)state;
	apics_init(&s);
	put(&s.lapic[1], ICR, 0x440a1); /* self */
	assert_int_equal(took(&s, 0xa1), 1 << 1);
	put(&s.lapic[1], ICR, 0x840a1); /* all */
	assert_int_equal(took(&s, 0xa1), 0xf);
	put(&s.lapic[1], ICR, 0xc40a1); /* all but self */
	assert_int_equal(took(&s, 0xa1), 0xd);
	put(&s.lapic[1], ICR_HIGH, 0x03000000);
	put(&s.lapic[1], ICR, 0x40a1); /* none: by destination */
	assert_int_equal(took(&s, 0xa1), 1 << 3);
	assert_int_equal(get(&s.lapic[1], ICR), 0x40a1);
	assert_int_equal(get(&s.lapic[1], ICR_HIGH), 0x03000000);
	put(&s.lapic[1], ICR, 0xc4500); /* INIT for the others */
	uint8_t vector;
	assert_int_equal(lapic_event_take(&s.lapic[1], &vector), LAPIC_EVENT_NONE);
	assert_int_equal(lapic_event_take(&s.lapic[0], &vector), LAPIC_EVENT_INIT);
	put(&s.lapic[1], ICR, 0x88500); /* INIT level de-assert does nothing */
	assert_int_equal(lapic_event_take(&s.lapic[1], &vector), LAPIC_EVENT_NONE);
}

static void x2apic_sends_with_one_write(void **state)
{
	struct apics s;

	(void)state;
	apics_init(&s);
	apics_x2(&s.lapic[0]);
	assert_int_equal(lapic_msr_write(&s.lapic[0], 0x830, UINT64_C(2) << 32 | 0xb2), 0);
	assert_int_equal(took(&s, 0xb2), 1 << 2);
	assert_int_equal(lapic_msr_write(&s.lapic[0], 0x83f, 0xb3), 0); /* SELF IPI */
	assert_int_equal(took(&s, 0xb3), 1 << 0);
	assert_int_equal(lapic_msr_write(&s.lapic[0], 0x830, UINT64_C(0xffffffff) << 32 | 0xb4), 0);
	assert_int_equal(took(&s, 0xb4), 0xf);
}

static void switched_off_hears_nothing(void **state)
{
	struct apics s;
	uint8_t vector;

	(void)state;
	apics_init(&s);
	assert_int_equal(lapic_msr_write(&s.lapic[2], MSR_APIC_BASE, 0xfee00000), 0);
	assert_int_equal(send(&s, 0xff, false, false), 0xb);
	put(&s.lapic[0], ICR, 0xc4500);
	assert_int_equal(lapic_event_take(&s.lapic[2], &vector), LAPIC_EVENT_NONE);
}

static void reserved_delivery_modes_go_nowhere(void **state)
{
	struct apics s;
	struct lapic_msg msg = { .dest = 0, .vector = 0x40, .delivery = 3 };

	(void)state;
	apics_init(&s);
	assert_int_equal(lapic_bus_send(&s.bus, &msg), 0);
	msg.delivery = 0xff;
	assert_int_equal(lapic_bus_send(&s.bus, &msg), 0);
	assert_int_equal(s.wakes[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(physical_destinations),
		cmocka_unit_test(logical_flat),
		cmocka_unit_test(logical_cluster),
		cmocka_unit_test(logical_x2apic),
		cmocka_unit_test(lowest_priority_goes_to_the_least_busy_in_turn),
		cmocka_unit_test(shorthands),
		cmocka_unit_test(x2apic_sends_with_one_write),
		cmocka_unit_test(switched_off_hears_nothing),
		cmocka_unit_test(reserved_delivery_modes_go_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
