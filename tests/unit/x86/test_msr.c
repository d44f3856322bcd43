/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "x86/msr.h"
#include "x86/state.h"

#define CANONICAL    UINT64_C(0x0000123456789abc)
#define NONCANONICAL UINT64_C(0xaaaaaaaaaaaaaaaa)
#define FAULTS	     UINT64_MAX /* in a row's `back`: #GP */

static void rows_are_found_by_index(void **state)
{
	(void)state;
	for (unsigned i = 0; i < X86_MSRS; i++) {
		assert_true(i == 0 || x86_msrs[i - 1].index < x86_msrs[i].index);
		assert_ptr_equal(x86_msr_find(x86_msrs[i].index), &x86_msrs[i]);
	}
	assert_null(x86_msr_find(0));
	assert_null(x86_msr_find(0x16));
	assert_null(x86_msr_find(0x210));
	assert_null(x86_msr_find(MSR_EFER));
	assert_null(x86_msr_find(0xc001102a));
	assert_null(x86_msr_find(UINT32_MAX));
}

static void writes_are_kept_or_refused(void **state)
{
	static const struct x86_msr_cpu cpu = { .phys_bits = 40, .linear_bits = 48 };
	static const struct {
		uint32_t index;
		uint64_t value, back;
	} rows[] = {
		{ 0x79, 0x1000, 0 },
		{ 0xce, 0, FAULTS },
		{ 0x174, 0x1234, 0x1234 },
		{ 0x174, 1ULL << 32, FAULTS },
		{ 0x175, CANONICAL, CANONICAL },
		{ 0x175, NONCANONICAL, FAULTS },
		{ 0x176, 0xffff800000000000, 0xffff800000000000 },
		{ 0x176, 0x0000800000000000, FAULTS },
		{ 0x1a0, 0x400c50809, 0x400c51809 }, /* bits 7, 11, 12 are read-only */
		{ 0x277, 0x07070707, 0x07070707 },
		{ 0x277, 0x0000000000000002, FAULTS },
		{ 0x277, 0x0300000000000000, FAULTS },
		{ 0x277, 0x0008000000000000, FAULTS },
		{ 0x2ff, 0xc06, 0xc06 },
		{ 0x2ff, 0xc07, FAULTS },
		{ 0x2ff, 0x100, FAULTS },
		{ 0x200, 0xf000000006, 0xf000000006 },
		{ 0x200, 1ULL << 40, FAULTS },
		{ 0x200, 2, FAULTS },
		{ 0x200, 0x100, FAULTS },
		{ 0x20e, 8, FAULTS },
		{ 0x20f, 0xf000000800, 0xf000000800 },
		{ 0x20f, 0x400, FAULTS },
		{ 0x20f, 1ULL << 40, FAULTS },
		{ 0x250, 0x0606060606060606, 0x0606060606060606 },
		{ 0x26f, 0x0706060606060606, FAULTS },
		{ 0xfe, 0, FAULTS },
		{ 0x179, 0, FAULTS },
		{ 0x17a, 4, 4 },
		{ 0x17a, 8, FAULTS },
		{ 0x1d9, 1, 1 },
		{ 0x1d9, 0x40, FAULTS },
		{ 0xc0000081, 0xdeadbeef12345678, 0xdeadbeef12345678 },
		{ 0xc0000082, CANONICAL, CANONICAL },
		{ 0xc0000082, NONCANONICAL, FAULTS },
		{ 0xc0000083, NONCANONICAL, FAULTS },
		{ 0xc0000084, 0xffffffff, 0xffffffff },
		{ 0xc0000084, 1ULL << 32, FAULTS },
		{ 0xc0000100, CANONICAL, CANONICAL },
		{ 0xc0000100, NONCANONICAL, FAULTS },
		{ 0xc0000101, CANONICAL, CANONICAL },
		{ 0xc0000102, CANONICAL, CANONICAL },
		{ 0xc0000103, 7, 7 },
		{ 0xc0000103, 1ULL << 32, FAULTS },
		{ 0xc0010015, 0x1000040, 0x1000040 },
		{ 0xc0010015, 1, FAULTS },
		{ 0xc001001a, 99, 0 }, /* writes do nothing */
		{ 0xc0010114, 0, FAULTS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct x86_msr *msr = x86_msr_find(rows[i].index);
		uint64_t kept = msr->initial;
		print_message("# %x %llx\n", rows[i].index, (unsigned long long)rows[i].value);
		assert_int_equal(x86_msr_written(msr, &cpu, kept, rows[i].value, &kept),
				 rows[i].back != FAULTS);
		assert_int_equal(kept, rows[i].back == FAULTS ? msr->initial : rows[i].back);
	}
}

static void five_levels_make_longer_addresses_canonical(void **state)
{
	static const struct x86_msr_cpu four = { .phys_bits = 40, .linear_bits = 48 };
	static const struct x86_msr_cpu five = { .phys_bits = 40, .linear_bits = 57 };
	const struct x86_msr *lstar = x86_msr_find(MSR_LSTAR);
	const uint64_t gva = UINT64_C(0xff00000000000000);
	uint64_t kept = 0;

	(void)state;
	assert_false(x86_msr_written(lstar, &four, 0, gva, &kept));
	assert_true(x86_msr_written(lstar, &five, 0, gva, &kept));
	assert_int_equal(kept, gva);
	assert_false(x86_msr_written(lstar, &five, 0, gva << 1, &kept));
}

static void what_is_there_after_power_up_is_the_manuals(void **state)
{
	(void)state;
	assert_int_equal(x86_msr_find(MSR_PAT)->initial, 0x0007040600070406);
	assert_int_equal(x86_msr_find(0xfe)->initial, 0x508);
	assert_int_equal(x86_msr_find(0x179)->initial & 0xff, 0); /* banks */
	assert_int_equal(x86_msr_find(MSR_VM_CR)->initial, 0x10); /* SVMDIS */
}

static void efer_keeps_lma_and_guards_lme(void **state)
{
	const uint64_t known = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NX;
	uint64_t efer = 0;

	(void)state;
	assert_true(x86_efer_written(0, 0, X86_EFER_LME | X86_EFER_LMA, &efer));
	assert_int_equal(efer, X86_EFER_LME); /* LMA is the CPU's to set */
	efer |= X86_EFER_LMA;
	assert_false(x86_efer_written(efer, X86_CR0_PG, 0, &efer));
	assert_true(x86_efer_written(efer, X86_CR0_PG, X86_EFER_LME | X86_EFER_SCE, &efer));
	assert_int_equal(efer, X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE);
	for (unsigned bit = 0; bit < 64; bit++)
		assert_int_equal(x86_efer_written(0, 0, UINT64_C(1) << bit, &efer),
				 known >> bit & 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_found_by_index),
		cmocka_unit_test(writes_are_kept_or_refused),
		cmocka_unit_test(five_levels_make_longer_addresses_canonical),
		cmocka_unit_test(what_is_there_after_power_up_is_the_manuals),
		cmocka_unit_test(efer_keeps_lma_and_guards_lme),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
