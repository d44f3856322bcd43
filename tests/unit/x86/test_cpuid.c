/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "x86/cpuid.h"

static void flags_are_found_by_name(void **state)
{
	const struct cpuid_flag *lm = cpuid_flag("lm");

	(void)state;
	assert_int_equal(lm->function, 0x80000001);
	assert_int_equal(lm->reg, CPUID_EDX);
	assert_int_equal(lm->bit, 29);
	assert_string_equal(cpuid_flag("avx512_bf16")->name, "avx512_bf16");
	assert_int_equal(cpuid_flag("avx512_bf16")->index, 1);
	assert_null(cpuid_flag(""));
	assert_null(cpuid_flag("l"));
	assert_null(cpuid_flag("lmm"));
}

static void sub_leaves_are_told_apart(void **state)
{
	struct cpuid_leaf leaves[] = {
		{ .function = 7, .index = 1, .indexed = true, .eax = 0x20 },
		{ .function = 7, .index = 0, .indexed = true, .ebx = 0x20 },
		{ .function = 1, .index = 9, .ecx = 1 },
	};

	(void)state;
	assert_ptr_equal(cpuid_find(leaves, 3, 7, 0), &leaves[1]);
	assert_ptr_equal(cpuid_find(leaves, 3, 7, 1), &leaves[0]);
	assert_null(cpuid_find(leaves, 3, 7, 2));
	assert_ptr_equal(cpuid_find(leaves, 3, 1, 0), &leaves[2]);
	assert_true(cpuid_has(leaves, 3, "avx512_bf16") && cpuid_has(leaves, 3, "avx2"));
	cpuid_clear(leaves, 3, (const char *const[]){ "avx2", "pni", "lm", "nonsense", NULL });
	assert_true(cpuid_has(leaves, 3, "avx512_bf16"));
	assert_false(cpuid_has(leaves, 3, "avx2") || cpuid_has(leaves, 3, "pni") ||
		     cpuid_has(leaves, 3, "lm"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_are_found_by_name),
		cmocka_unit_test(sub_leaves_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
