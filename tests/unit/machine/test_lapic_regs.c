/* SPDX-License-Identifier: Apache-2.0 */
#include "apics.h"

#include <errno.h>

static void only_aligned_words_write(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	lapic_mmio_write(a, TPR, 1, 0x50);
	lapic_mmio_write(a, TPR, 8, 0x50);
	lapic_mmio_write(a, TPR + 4, 4, 0x50);
	assert_int_equal(get(a, TPR), 0);
	put(a, TPR, 0xffffff50);
	assert_int_equal(get(a, TPR), 0x50);
	assert_int_equal(lapic_mmio_read(a, SVR + 1, 1), 1);
	assert_int_equal(lapic_mmio_read(a, SVR, 8), 0x1ff);
	assert_int_equal(lapic_mmio_read(a, SVR + 8, 4), 0);
}

static void read_only_registers_stay(void **state)
{
	static const uint32_t regs[] = { ID, VERSION, PPR, ISR, TMR, IRR + 0x70, CURRENT };
	struct apics s;

	(void)state;
	apics_init(&s);
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
		uint32_t before = get(&s.lapic[1], regs[i]);
		put(&s.lapic[1], regs[i], UINT32_MAX);
		assert_int_equal(get(&s.lapic[1], regs[i]), before);
	}
	put(&s.lapic[1], ESR, 0);
	assert_int_equal(get(&s.lapic[1], ESR), 0);
}

static void reserved_bits_of_the_vector_table_stay_zero(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	put(a, TIMER, UINT32_MAX);
	assert_int_equal(get(a, TIMER), 0x700ff);
	put(a, PERF, UINT32_MAX);
	assert_int_equal(get(a, PERF), 0x107ff);
	put(a, LINT0, UINT32_MAX);
	assert_int_equal(get(a, LINT0), 0x1a7ff);
	put(a, ERROR, UINT32_MAX);
	assert_int_equal(get(a, ERROR), 0x100ff);
	put(a, SVR, UINT32_MAX);
	assert_int_equal(get(a, SVR), 0x13ff);
	put(a, DIVIDE, UINT32_MAX);
	assert_int_equal(get(a, DIVIDE), 0xb);
}

/* x2APIC State Transitions. */
static void transitions_of_the_modes(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];
	uint64_t value = 0;

	(void)state;
	apics_init(&s);
	assert_int_equal(lapic_msr_read(a, MSR_APIC_BASE, &value), 0);
	assert_int_equal(value, 0xfee00900);
	assert_int_equal(lapic_msr_write(a, MSR_APIC_BASE, 0xfee00400), -EINVAL); /* invalid */
	assert_int_equal(lapic_msr_write(a, MSR_APIC_BASE, 0xfee00901), -EINVAL); /* reserved */
	assert_int_equal(lapic_msr_write(a, MSR_APIC_BASE, UINT64_C(1) << 40 | 0x900), -EINVAL);
	assert_int_equal(lapic_msr_write(a, MSR_APIC_BASE, 0xfee00d00), 0); /* x2APIC */
	assert_false(lapic_owns(a, 0xfee00000));
	assert_int_equal(lapic_mmio_read(a, SVR, 4), UINT64_MAX);
	assert_int_equal(lapic_msr_write(a, MSR_APIC_BASE, 0xfee00900), -EINVAL); /* not back */
	assert_int_equal(lapic_msr_read(a, 0x80f, &value), 0);
	assert_int_equal(value, 0x1ff);					    /* registers are kept */
	assert_int_equal(lapic_msr_write(a, MSR_APIC_BASE, 0xfee00100), 0); /* off */
	assert_int_equal(lapic_msr_write(a, MSR_APIC_BASE, 0xfee00d00), -EINVAL);
	assert_int_equal(lapic_msr_write(a, MSR_APIC_BASE, 0xfee00800), 0);
	assert_int_equal(lapic_base(a), 0xfee00900); /* the boot CPU stays it */
	assert_int_equal(get(a, SVR), 0xff);	     /* as after reset */
}

/* The engine has the MSR and has checked it: what it did is done here. */
static void follows_an_engine_that_keeps_the_msr(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];
	uint64_t value = 0;

	(void)state;
	apics_init(&s);
	put(a, ICR_HIGH, 5 << 24);
	put(a, TPR, 0x20);
	lapic_base_follow(a, 0xfee00900);
	assert_int_equal(get(a, TPR), 0x20);
	lapic_base_follow(a, 0xfee00d00);
	assert_int_equal(lapic_msr_read(a, 0x830, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(lapic_msr_read(a, 0x808, &value), 0);
	assert_int_equal(value, 0x20);
	lapic_base_follow(a, 0xfee00900); /* off and on again, seen late */
	assert_true(lapic_owns(a, 0xfee00000));
	lapic_base_follow(a, 0xfee00100);
	assert_false(lapic_owns(a, 0xfee00000));
	lapic_base_follow(a, 0xfee00900);
	assert_int_equal(get(a, TPR), 0);
	lapic_base_follow(&s.lapic[1], 0xfee00900); /* who boots is not the engine's to say */
	assert_int_equal(lapic_base(&s.lapic[1]), 0xfee00800);
}

static void the_page_moves(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[0];

	(void)state;
	apics_init(&s);
	assert_true(lapic_owns(a, 0xfee00ff0));
	assert_false(lapic_owns(a, 0xfee01000));
	assert_int_equal(lapic_msr_write(a, MSR_APIC_BASE, 0x80000900), 0);
	assert_false(lapic_owns(a, 0xfee00000));
	assert_true(lapic_owns(a, 0x800000f0));
	assert_true(lapic_owns(&s.lapic[1], 0xfee00000));
	assert_int_equal(get(a, SVR), 0x1ff);
}

static void x2apic_registers_are_msrs(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[2];
	uint64_t value = 0;

	(void)state;
	apics_init(&s);
	assert_int_equal(lapic_msr_read(a, 0x802, &value), -EINVAL); /* not in this mode */
	assert_int_equal(lapic_msr_write(a, 0x808, 0), -EINVAL);
	assert_int_equal(lapic_msr_read(a, 0x10, &value), -ENOENT);
	assert_int_equal(lapic_msr_write(a, 0x900, 0), -ENOENT);
	apics_x2(a);
	assert_int_equal(lapic_msr_read(a, 0x802, &value), 0);
	assert_int_equal(value, 2);
	assert_int_equal(lapic_msr_read(a, 0x80d, &value), 0);
	assert_int_equal(value, 4);
	assert_int_equal(lapic_msr_write(a, 0x808, 0x45), 0);
	assert_int_equal(lapic_msr_read(a, 0x80a, &value), 0);
	assert_int_equal(value, 0x45);
	assert_int_equal(lapic_cr8_get(a), 4);
	assert_int_equal(lapic_msr_write(a, 0x830, UINT64_C(3) << 32 | 0x40b2), 0);
	assert_int_equal(lapic_msr_read(a, 0x830, &value), 0);
	assert_int_equal(value, UINT64_C(3) << 32 | 0x40b2);
}

/* x2APIC Register Address Space; Reserved Bit Checking. */
static void x2apic_faults_where_the_manual_says(void **state)
{
	static const uint16_t no_read[] = { 0x800, 0x804, 0x809, 0x80b, 0x80c, 0x80e,
					    0x831, 0x83f, 0x840, 0x8ff, 0x82f };
	static const uint16_t no_write[] = { 0x802, 0x803, 0x80a, 0x80d, 0x80e, 0x810,
					     0x818, 0x827, 0x831, 0x839, 0x8ff };
	static const struct {
		uint16_t msr;
		uint64_t value;
	} reserved[] = { { 0x808, 0x100 },   { 0x80b, 1 },	 { 0x80f, 0x2000 },
			 { 0x828, 1 },	     { 0x830, 0x2000 },	 { 0x830, 0x10000 },
			 { 0x830, 1 << 20 }, { 0x832, 0x80000 }, { 0x832, UINT64_C(1) << 32 },
			 { 0x83e, 4 },	     { 0x83f, 0x100 },	 { 0x838, UINT64_C(1) << 32 } };
	struct apics s;
	struct lapic *a = &s.lapic[0];
	uint64_t value;

	(void)state;
	apics_init(&s);
	apics_x2(a);
	for (unsigned i = 0; i < ARRAY_SIZE(no_read); i++)
		assert_int_equal(lapic_msr_read(a, no_read[i], &value), -EINVAL);
	for (unsigned i = 0; i < ARRAY_SIZE(no_write); i++)
		assert_int_equal(lapic_msr_write(a, no_write[i], 0), -EINVAL);
	for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++)
		assert_int_equal(lapic_msr_write(a, reserved[i].msr, reserved[i].value), -EINVAL);
	assert_int_equal(lapic_msr_write(a, 0x80b, 0), 0);
}

static void init_keeps_the_mode(void **state)
{
	struct apics s;
	struct lapic *a = &s.lapic[1];
	uint8_t vector;
	uint64_t value;

	(void)state;
	apics_init(&s);
	apics_x2(a);
	put(&s.lapic[0], ICR_HIGH, 1 << 24);
	put(&s.lapic[0], ICR, 0x4500);
	assert_int_equal(lapic_event_take(a, &vector), LAPIC_EVENT_INIT);
	assert_int_equal(lapic_base(a), 0xfee00c00);
	assert_int_equal(lapic_msr_read(a, 0x802, &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(lapic_msr_read(a, 0x80f, &value), 0);
	assert_int_equal(value, 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_aligned_words_write),
		cmocka_unit_test(read_only_registers_stay),
		cmocka_unit_test(reserved_bits_of_the_vector_table_stay_zero),
		cmocka_unit_test(transitions_of_the_modes),
		cmocka_unit_test(follows_an_engine_that_keeps_the_msr),
		cmocka_unit_test(the_page_moves),
		cmocka_unit_test(x2apic_registers_are_msrs),
		cmocka_unit_test(x2apic_faults_where_the_manual_says),
		cmocka_unit_test(init_keeps_the_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
