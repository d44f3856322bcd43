/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hw/npt.h"

#define MIB UINT64_C(0x100000)
#define GIB UINT64_C(0x40000000)

/* Tables from the heap; "physical" is where they are. left: how many more there are. */
static unsigned left;

static void *pages_alloc(void *arg)
{
	(void)arg;
	if (!left)
		return NULL;
	left--;
	void *page = aligned_alloc(4096, 4096);
	assert_non_null(page);
	for (unsigned i = 0; i < 512; i++)
		((uint64_t *)page)[i] = 0;
	return page;
}

static void pages_free(void *arg, void *page)
{
	(void)arg;
	free(page);
}

static uint64_t pages_hpa(const void *page)
{
	return (uintptr_t)page;
}

static void *pages_page(uint64_t hpa)
{
	return (void *)(uintptr_t)hpa;
}

static const struct npt_pages pages = {
	.alloc = pages_alloc,
	.free = pages_free,
	.hpa = pages_hpa,
	.page = pages_page,
};

static void begin(struct npt *npt, bool has_1g)
{
	left = 1000;
	assert_int_equal(npt_init(npt, &npt_format_svm, &pages, has_1g), 0);
}

/* As many tables as were made are freed: the sanitizers and this count say so. */
static void end(struct npt *npt)
{
	npt_fini(npt);
	assert_int_equal(npt->n_tables, 0);
}

static uint64_t leaf_size(const struct npt *npt, gpa_t gpa)
{
	uint64_t size = 0;

	(void)npt_translate(npt, gpa, &size);
	return size;
}

static void largest_leaves_are_used(void **state)
{
	struct npt npt;

	(void)state;
	begin(&npt, true);
	assert_int_equal(npt_map(&npt, 0, GIB + 2 * MIB + 4096, 4 * GIB, false), 0);
	assert_int_equal(leaf_size(&npt, 0), GIB);
	assert_int_equal(leaf_size(&npt, GIB), 2 * MIB);
	assert_int_equal(leaf_size(&npt, GIB + 2 * MIB), 4096);
	assert_int_equal(npt_translate(&npt, GIB + 5, NULL), 5 * GIB + 5);
	assert_true(npt_translate(&npt, GIB + 2 * MIB + 4096, NULL) == UINT64_MAX);
	end(&npt);
}

static void a_cpu_without_1_gib_leaves_gets_2_mib(void **state)
{
	struct npt npt;

	(void)state;
	begin(&npt, false);
	assert_int_equal(npt_map(&npt, 0, GIB, 4 * GIB, false), 0);
	assert_int_equal(leaf_size(&npt, 0), 2 * MIB);
	end(&npt);
}

static void memory_that_is_not_aligned_gets_small_leaves(void **state)
{
	struct npt npt;

	(void)state;
	begin(&npt, true);
	assert_int_equal(npt_map(&npt, 0, 4 * MIB, 4096, false), 0);
	assert_int_equal(leaf_size(&npt, 0), 4096);
	assert_int_equal(npt_translate(&npt, 2 * MIB, NULL), 2 * MIB + 4096);
	end(&npt);
}

static void bits_are_those_of_the_vendor(void **state)
{
	struct npt npt;

	(void)state;
	begin(&npt, true);
	assert_int_equal(npt_map(&npt, 0, 4096, 0x5000, true), 0);
	uint64_t *table = npt.root;
	for (unsigned level = 0; level < 3; level++) {
		assert_int_equal(table[0] & 0xfff, 0x27);
		table = (uint64_t *)(uintptr_t)(table[0] & ~UINT64_C(0xfff));
	}
	assert_int_equal(table[0], 0x5065); /* not writable; accessed, dirty */
	npt_fini(&npt);
	left = 10;
	assert_int_equal(npt_init(&npt, &npt_format_ept, &pages, true), 0);
	assert_int_equal(npt_map(&npt, 0, 2 * MIB, 2 * MIB, false), 0);
	table = (uint64_t *)(uintptr_t)(npt.root[0] & ~UINT64_C(0xfff));
	table = (uint64_t *)(uintptr_t)(table[0] & ~UINT64_C(0xfff));
	assert_int_equal(table[0], 0x200000 | 0x80 | 0x37); /* write-back, large, all rights */
	end(&npt);
}

static void what_is_mapped_is_not_mapped_over(void **state)
{
	struct npt npt;

	(void)state;
	begin(&npt, true);
	assert_int_equal(npt_map(&npt, 2 * MIB, 2 * MIB, 0, false), 0);
	assert_int_equal(npt_map(&npt, MIB, 2 * MIB, 8 * MIB, false), -EEXIST);
	/* What was mapped of the second is gone, the first is as it was. */
	assert_true(npt_translate(&npt, MIB, NULL) == UINT64_MAX);
	assert_int_equal(npt_translate(&npt, 2 * MIB, NULL), 0);
	assert_int_equal(npt_map(&npt, 2 * MIB, 2 * MIB, 8 * MIB, false), -EEXIST);
	end(&npt);
}

static void unmapping_part_of_a_leaf_splits_it(void **state)
{
	struct npt npt;

	(void)state;
	begin(&npt, true);
	assert_int_equal(npt_map(&npt, 0, GIB, GIB, false), 0);
	assert_int_equal(npt_unmap(&npt, 2 * MIB + 4096, 4096), 0);
	assert_int_equal(npt_translate(&npt, 2 * MIB, NULL), GIB + 2 * MIB);
	assert_true(npt_translate(&npt, 2 * MIB + 4096, NULL) == UINT64_MAX);
	assert_int_equal(npt_translate(&npt, 2 * MIB + 8192, NULL), GIB + 2 * MIB + 8192);
	assert_int_equal(npt_translate(&npt, GIB - 1, NULL), 2 * GIB - 1);
	/* The hole can be filled again. */
	assert_int_equal(npt_map(&npt, 2 * MIB + 4096, 4096, 0x7000, false), 0);
	assert_int_equal(npt_translate(&npt, 2 * MIB + 4096, NULL), 0x7000);
	end(&npt);
}

static void a_place_that_was_unmapped_may_be_mapped_large(void **state)
{
	struct npt npt;

	(void)state;
	begin(&npt, true);
	assert_int_equal(npt_map(&npt, 0, 4096, 0, false), 0);
	assert_int_equal(npt_unmap(&npt, 0, 4096), 0);
	/* The empty table is there still: leaves go into it. */
	assert_int_equal(npt_map(&npt, 0, 2 * MIB, 2 * MIB, false), 0);
	assert_int_equal(npt_translate(&npt, MIB, NULL), 3 * MIB);
	end(&npt);
}

static void no_memory_leaves_nothing_behind(void **state)
{
	struct npt npt;

	(void)state;
	for (unsigned n = 1; n < 5; n++) {
		begin(&npt, true);
		left = n - 1;
		assert_int_equal(npt_map(&npt, 0, 2 * MIB + 4096, 2 * MIB, false),
				 n < 4 ? -ENOMEM : 0);
		if (n < 4)
			assert_true(npt_translate(&npt, 0, NULL) == UINT64_MAX);
		end(&npt);
	}
	left = 0;
	assert_int_equal(npt_init(&npt, &npt_format_svm, &pages, true), -ENOMEM);
	npt_fini(&npt);
}

static void ranges_that_wrap_or_are_odd_are_refused(void **state)
{
	struct npt npt;

	(void)state;
	begin(&npt, true);
	assert_int_equal(npt_map(&npt, 1, 4096, 0, false), -EINVAL);
	assert_int_equal(npt_map(&npt, 0, 0, 0, false), -EINVAL);
	assert_int_equal(npt_map(&npt, 0, 4097, 0, false), -EINVAL);
	assert_int_equal(npt_map(&npt, 0, 4096, 1, false), -EINVAL);
	assert_int_equal(npt_map(&npt, UINT64_C(1) << 48, 4096, 0, false), -EINVAL);
	assert_int_equal(npt_map(&npt, (UINT64_C(1) << 48) - 4096, 8192, 0, false), -EINVAL);
	assert_int_equal(npt_map(&npt, 4096, UINT64_MAX - 4095, 0, false), -EINVAL);
	assert_int_equal(npt_map(&npt, 0, 8192, UINT64_C(0x000ffffffffff000), false), -EINVAL);
	assert_int_equal(npt_unmap(&npt, 4096, UINT64_MAX - 4095), -EINVAL);
	assert_true(npt_translate(&npt, UINT64_MAX, NULL) == UINT64_MAX);
	end(&npt);
}

static void what_is_reserved_maps_without_memory(void **state)
{
	struct npt npt;

	(void)state;
	begin(&npt, true);
	assert_int_equal(npt_reserve(&npt, GIB - 2 * MIB, 4 * MIB), 0);
	uint64_t tables = npt.n_tables;
	assert_int_equal(npt_translate(&npt, GIB, NULL), UINT64_MAX);
	left = 0;
	assert_int_equal(npt_map(&npt, GIB - 2 * MIB, 2 * MIB, 6 * MIB, false), 0);
	assert_int_equal(npt_map(&npt, GIB, 2 * MIB, 8 * MIB, false), 0);
	assert_int_equal(npt.n_tables, tables);
	assert_int_equal(npt_translate(&npt, GIB + 5, NULL), 8 * MIB + 5);
	assert_int_equal(npt_reserve(&npt, 5 * GIB, MIB), -ENOMEM);
	left = 1000;
	assert_int_equal(npt_map(&npt, 2 * GIB, GIB, 0, false), 0);
	assert_int_equal(npt_reserve(&npt, 2 * GIB, 2 * MIB), -EEXIST);
	assert_int_equal(npt_reserve(&npt, 1, 2 * MIB), -EINVAL);
	end(&npt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(largest_leaves_are_used),
		cmocka_unit_test(what_is_reserved_maps_without_memory),
		cmocka_unit_test(a_cpu_without_1_gib_leaves_gets_2_mib),
		cmocka_unit_test(memory_that_is_not_aligned_gets_small_leaves),
		cmocka_unit_test(bits_are_those_of_the_vendor),
		cmocka_unit_test(what_is_mapped_is_not_mapped_over),
		cmocka_unit_test(unmapping_part_of_a_leaf_splits_it),
		cmocka_unit_test(a_place_that_was_unmapped_may_be_mapped_large),
		cmocka_unit_test(no_memory_leaves_nothing_behind),
		cmocka_unit_test(ranges_that_wrap_or_are_odd_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
