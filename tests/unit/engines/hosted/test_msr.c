/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "engines/hosted/msr.h"
#include "engines/hosted/run.h"
#include "mmu_rig.h"

#define CANONICAL    0x0000123456789abcULL
#define NONCANONICAL 0xaaaaaaaaaaaaaaaaULL
#define FAULTS	     ~0ULL /* in a row's `back`: WRMSR raises #GP */

static void set_phys_bits(struct hosted_cpu *cpu)
{
	cpu->mmu->phys_bits = 40;
}

static void writes_are_kept_or_refused(void **state)
{
	static const struct {
		uint32_t index;
		uint64_t value, back;
	} rows[] = {
		/* kept by the CPU's own fields, by its table, and nowhere */
		{ 0x174, 0x1234, 0x1234 },
		{ 0x174, 1ULL << 32, FAULTS },
		{ 0x175, CANONICAL, CANONICAL },
		{ 0x176, 0xffff800000000000, 0xffff800000000000 },
		{ 0x1a0, 0x400c50809, 0x400c51809 },
		{ 0x277, 0x07070707, 0x07070707 },
		{ 0x200, 0xf000000006, 0xf000000006 },
		{ 0x200, 1ULL << 40, FAULTS }, /* phys_bits */
		{ 0x250, 0x0606060606060606, 0x0606060606060606 },
		{ 0xc0000081, 0xdeadbeef12345678, 0xdeadbeef12345678 },
		{ 0xc0000082, CANONICAL, CANONICAL },
		{ 0xc0000082, NONCANONICAL, FAULTS },
		{ 0xc0000083, CANONICAL, CANONICAL },
		{ 0xc0000084, 0xffffffff, 0xffffffff },
		{ 0xc0000100, CANONICAL, CANONICAL },
		{ 0xc0000101, CANONICAL, CANONICAL },
		{ 0xc0000102, CANONICAL, CANONICAL },
		{ 0xc0000103, 7, 7 },
		{ 0xc001001a, 99, 0 }, /* writes do nothing */
		{ 0xc0010114, 0, FAULTS },
		{ 0x4b564d05, 0, 0 },
		{ 0x4b564d05, 2, FAULTS },
		/* what is not there */
		{ 0x48, 0, FAULTS },
		{ 0x49, 0, FAULTS },
		{ 0x400, 0, FAULTS },
		{ 0x47f, 0, FAULTS },
		{ 0xda0, 0, FAULTS },
		{ 0x4b564d02, 0, FAULTS },
		{ 0x4b564d04, 0, FAULTS },
		{ 0x40000000, 0, FAULTS },
		{ 0xc0010117, 0, FAULTS },
		{ 0xffffffff, 0, FAULTS },
	};
	struct rig *rig = *state;
	struct hosted_cpu *cpu = rig_boot(rig);

	set_phys_bits(cpu);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = 0, back = 0;
		print_message("# %x %llx\n", rows[i].index, (unsigned long long)rows[i].value);
		bool is_there = msr_get(cpu, rows[i].index, &before) == MSR_OK;
		cpu->fault.vector = 0;
		enum cpu_result r = msr_write(cpu, rows[i].index, rows[i].value);
		if (rows[i].back == FAULTS) {
			assert_int_equal(r, CPU_FAULT);
			assert_int_equal(cpu->fault.vector, 13);
			assert_int_equal(cpu->fault.error, 0);
			if (!is_there) {
				assert_int_equal(msr_read(cpu, rows[i].index, &back), CPU_FAULT);
				continue;
			}
			assert_int_equal(msr_read(cpu, rows[i].index, &back), CPU_OK);
			assert_int_equal(back, before);
			continue;
		}
		assert_int_equal(r, CPU_OK);
		assert_int_equal(msr_read(cpu, rows[i].index, &back), CPU_OK);
		assert_int_equal(back, rows[i].back);
	}
	assert_int_equal(cpu->segs[X86_FS].base, CANONICAL);
}

static void reset_values_are_the_manuals(void **state)
{
	struct hosted_cpu *cpu = rig_boot(*state);
	uint64_t value = 0;

	assert_int_equal(msr_get(cpu, 0x277, &value), MSR_OK);
	assert_int_equal(value, 0x0007040600070406);
	assert_int_equal(msr_get(cpu, 0x1b, &value), MSR_OK);
	assert_int_equal(value, 0xfee00900);
	assert_int_equal(msr_get(cpu, 0xfe, &value), MSR_OK);
	assert_int_equal(value, 0x508);
	assert_int_equal(msr_get(cpu, 0x179, &value), MSR_OK);
	assert_int_equal(value & 0xff, 0); /* banks */
	assert_int_equal(msr_get(cpu, 0xc0000080, &value), MSR_OK);
	assert_int_equal(value, 0);
}

static void efer_keeps_lma_and_guards_lme(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = rig_boot(rig);
	uint64_t value = 0;

	assert_int_equal(msr_write(cpu, 0xc0000080, X86_EFER_LME | X86_EFER_LMA), CPU_OK);
	assert_int_equal(cpu->efer, X86_EFER_LME); /* LMA is the CPU's to set */
	cpu->cr0 |= X86_CR0_PG | X86_CR0_PE;
	cpu->cr4 |= X86_CR4_PAE;
	cpu->efer |= X86_EFER_LMA;
	assert_int_equal(msr_write(cpu, 0xc0000080, 0), CPU_FAULT);
	assert_int_equal(msr_write(cpu, 0xc0000080, X86_EFER_LME | X86_EFER_SCE), CPU_OK);
	assert_int_equal(msr_read(cpu, 0xc0000080, &value), CPU_OK);
	assert_int_equal(value, X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE);
	rig->changed = 0;
	assert_int_equal(msr_write(cpu, 0xc0000080, value | X86_EFER_NX), CPU_OK);
	assert_true(rig->changed > 0); /* what was executable may not be any more */
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t known = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NX;
		if (!(known >> bit & 1))
			assert_int_equal(msr_write(cpu, 0xc0000080, cpu->efer | 1ULL << bit),
					 CPU_FAULT);
	}
}

static void apic_base_goes_through_its_states(void **state)
{
	const uint64_t base = 0xfee00000, en = 0x800, extd = 0x400;
	struct hosted_cpu *cpu = rig_boot(*state);
	struct cpuid_leaf leaf = { .function = 1 };

	set_phys_bits(cpu);
	cpu->leaves[0] = leaf;
	cpu->n_leaves = 1;
	assert_int_equal(msr_write(cpu, 0x1b, base | en | extd), CPU_FAULT); /* no x2APIC */
	cpu->leaves[0].ecx = 1U << 21;
	assert_int_equal(msr_write(cpu, 0x1b, base | extd), CPU_FAULT);
	assert_int_equal(msr_write(cpu, 0x1b, base | en | 1), CPU_FAULT);
	assert_int_equal(msr_write(cpu, 0x1b, base | en | 0x200), CPU_FAULT);
	assert_int_equal(msr_write(cpu, 0x1b, 1ULL << 40 | en), CPU_FAULT);
	assert_int_equal(msr_write(cpu, 0x1b, base | en | extd), CPU_OK);
	assert_int_equal(msr_write(cpu, 0x1b, base | en), CPU_FAULT); /* not back at once */
	assert_int_equal(msr_write(cpu, 0x1b, base), CPU_OK);
	assert_int_equal(msr_write(cpu, 0x1b, base | en | extd), CPU_FAULT); /* not at once */
	assert_int_equal(msr_write(cpu, 0x1b, 0xfec10000 | en), CPU_OK);
	assert_int_equal(hosted_apic_base_get(&cpu->vcpu), 0xfec10000 | en);
}

static void the_tsc_can_be_set(void **state)
{
	struct hosted_cpu *cpu = rig_boot(*state);
	uint64_t first = 0, second = 0, adjust = 0;

	assert_int_equal(msr_read(cpu, 0x10, &first), CPU_OK);
	assert_int_equal(msr_read(cpu, 0x10, &second), CPU_OK);
	assert_true(second > first);
	assert_true(first < cpu->vm->clock.tsc_start); /* it began with the machine */
	assert_int_equal(msr_write(cpu, 0x10, 1ULL << 60), CPU_OK);
	assert_int_equal(cpu_tsc(cpu) >> 40, 1ULL << 20);
	assert_int_equal(msr_read(cpu, 0x3b, &adjust), CPU_OK);
	assert_int_equal(msr_write(cpu, 0x3b, 0), CPU_OK);
	assert_true(cpu_tsc(cpu) < 1ULL << 60);
	assert_int_equal(msr_write(cpu, 0x3b, adjust), CPU_OK);
	assert_int_equal(cpu_tsc(cpu) >> 40, 1ULL << 20);
	assert_int_equal(hosted_msr_set(&cpu->vcpu, 0x10, 5), 0);
	assert_true(cpu_tsc(cpu) < 1ULL << 59);
}

static void only_intel_is_told_of_its_flaws(void **state)
{
	struct hosted_cpu *cpu = rig_boot(*state);
	uint64_t value = 0;

	assert_int_equal(msr_read(cpu, 0x10a, &value), CPU_FAULT);
	cpu->leaves[0] = (struct cpuid_leaf){ .function = 7, .edx = 1U << 29 };
	cpu->n_leaves = 1;
	assert_int_equal(msr_read(cpu, 0x10a, &value), CPU_OK);
	assert_int_equal(value & 1, 1);
	assert_int_equal(msr_write(cpu, 0x10a, value), CPU_FAULT);
}

/* ---- the clock ---- */

static uint64_t pvclock_ns(const uint8_t *time, uint64_t tsc)
{
	uint64_t ticks = tsc - le64_load(time + 8);
	int8_t shift = (int8_t)time[28];

	ticks = shift < 0 ? ticks >> -shift : ticks << shift;
	return le64_load(time + 16) +
	       (uint64_t)((unsigned __int128)ticks * le32_load(time + 24) >> 32);
}

static void the_guests_clock_runs_with_the_hosts(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = rig_boot(rig);
	const uint8_t *time = rig->ram + 0x5000;

	assert_int_equal(msr_write(cpu, 0x4b564d01, 0x5001), CPU_OK);
	assert_int_equal(le32_load(time) & 1, 0);
	assert_int_not_equal(le32_load(time), 0);
	uint64_t before = clock_ns(CLOCK_MONOTONIC_RAW);
	uint64_t guest = pvclock_ns(time, cpu_tsc(cpu));
	uint64_t after = clock_ns(CLOCK_MONOTONIC_RAW);
	/* It began with the machine. Both clocks ran for some 20 ms: 1 in 1,000 is 20 us. */
	uint64_t low = before - cpu->vm->clock.monotonic_start;
	uint64_t high = after - cpu->vm->clock.monotonic_start;
	assert_in_range(guest, low - low / 1000, high + high / 1000);
	assert_int_equal(hosted_tsc_hz(&cpu->vcpu), cpu->vm->clock.hz);
	assert_in_range(cpu->vm->clock.hz, 100000000, 20000000000ULL);
	/* The TSC is set: the clock does not jump. */
	uint32_t version = le32_load(time);
	assert_int_equal(msr_write(cpu, 0x10, 1ULL << 50), CPU_OK);
	assert_int_not_equal(le32_load(time), version);
	uint64_t later = pvclock_ns(time, cpu_tsc(cpu));
	assert_true(later >= guest);
	assert_true(later - guest < 1000000000000ULL); /* a busy machine's pause is no jump */
	/* Off: it is left alone. */
	assert_int_equal(msr_write(cpu, 0x4b564d01, 0), CPU_OK);
	version = le32_load(time);
	assert_int_equal(msr_write(cpu, 0x10, 0), CPU_OK);
	assert_int_equal(le32_load(time), version);
}

static void the_wall_clock_is_the_hosts(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = rig_boot(rig);
	uint64_t now = clock_ns(CLOCK_REALTIME) / 1000000000;

	assert_int_equal(msr_write(cpu, 0x4b564d00, 0x6000), CPU_OK);
	assert_int_equal(le32_load(rig->ram + 0x6000) & 1, 0);
	assert_in_range(le32_load(rig->ram + 0x6004), now - 120, now + 1);
	assert_in_range(le32_load(rig->ram + 0x6008), 0, 999999999);
}

static void a_clock_outside_of_memory_is_none(void **state)
{
	struct hosted_cpu *cpu = rig_boot(*state);

	assert_int_equal(msr_write(cpu, 0x4b564d01, RIG_NOTHING | 1), CPU_OK);
	assert_int_equal(msr_write(cpu, 0x4b564d01, RIG_ROM | 1), CPU_OK);
	assert_int_equal(msr_write(cpu, 0x4b564d01, (RIG_RAM_BYTES - 8) | 1), CPU_OK); /* its end */
	assert_int_equal(msr_write(cpu, 0x4b564d01, UINT64_MAX), CPU_OK);
	assert_int_equal(msr_write(cpu, 0x4b564d00, UINT64_MAX), CPU_OK);
}

static void the_host_side_sees_the_same_registers(void **state)
{
	struct hosted_cpu *cpu = rig_boot(*state);
	uint64_t value = 0;

	assert_int_equal(hosted_msr_set(&cpu->vcpu, 0xc0000082, CANONICAL), 0);
	assert_int_equal(hosted_msr_get(&cpu->vcpu, 0xc0000082, &value), 0);
	assert_int_equal(value, CANONICAL);
	assert_int_equal(cpu->lstar, CANONICAL);
	assert_int_equal(hosted_msr_get(&cpu->vcpu, 0x6e0, &value), -2); /* the machine's */
	assert_int_equal(hosted_msr_get(&cpu->vcpu, 0x48, &value), -2);
	assert_int_equal(hosted_msr_set(&cpu->vcpu, 0xc0000082, NONCANONICAL), -2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_create, rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(writes_are_kept_or_refused),
		T(reset_values_are_the_manuals),
		T(efer_keeps_lma_and_guards_lme),
		T(apic_base_goes_through_its_states),
		T(the_tsc_can_be_set),
		T(only_intel_is_told_of_its_flaws),
		T(the_guests_clock_runs_with_the_hosts),
		T(the_wall_clock_is_the_hosts),
		T(a_clock_outside_of_memory_is_none),
		T(the_host_side_sees_the_same_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
