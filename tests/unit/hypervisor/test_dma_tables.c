/* SPDX-License-Identifier: Apache-2.0 */
/* What a domain's devices reach, walked as the units do it: by the bits of the specifications, not by the functions that made them. */
#include "dma_rig.h"

#include <errno.h>

#include "base/core/macros.h"
#include "drivers/amdvi_tables.h"
#include "drivers/vtd_tables.h"

/* VT-d, Second-Stage Paging Entries: R is bit 0, W bit 1. */
static uint64_t walk_vtd(uint64_t table, unsigned levels, uint64_t phys, bool is_write)
{
	for (unsigned level = levels; level--;) {
		uint64_t entry = seen(table, phys >> (12 + 9 * level) & 511);
		if (!(entry & (is_write ? 2 : 1)))
			return NOWHERE;
		assert_int_equal(entry & 0x80, 0);
		table = entry & DMA_ADDRESS;
	}
	return table;
}

/* AMD-Vi, I/O Page Tables for Host Translations: PR is bit 0, Next Level bits 9 to 11, IR bit 61, IW bit 62; the rest is 0 or FC. */
static uint64_t walk_amdvi(uint64_t table, unsigned levels, uint64_t phys, bool is_write)
{
	for (unsigned level = levels; level--;) {
		uint64_t entry = seen(table, phys >> (12 + 9 * level) & 511);
		if (!(entry & 1) || !(entry >> (is_write ? 62 : 61) & 1))
			return NOWHERE;
		assert_int_equal(entry >> 9 & 7, level);
		assert_int_equal(entry & 0x1fe, 0);
		assert_int_equal(entry >> 59 & 0x11, 0);
		table = entry & DMA_ADDRESS;
	}
	return table;
}

static const struct kind {
	const struct npt_format *format;
	uint64_t (*walk)(uint64_t table, unsigned levels, uint64_t phys, bool is_write);
	unsigned levels_least;
} kinds[] = { { &vtd_format, walk_vtd, 3 }, { &amdvi_format, walk_amdvi, 4 } };

static void buffers_check(const struct kind *k, unsigned levels)
{
	struct dma_domain d;
	begin(NULL);
	assert_int_equal(dma_domain_init(&d, &memory, k->format, levels, 1), 0);
	assert_int_equal(dma_domain_allow(&d, BUFFER, 2 * PAGE, false), 0);
	assert_int_equal(dma_domain_allow(&d, BUFFER + 3 * PAGE, PAGE, true), 0);
	uint64_t root = dma_domain_root(&d);
	assert_int_equal(k->walk(root, levels, BUFFER, true), BUFFER);
	assert_int_equal(k->walk(root, levels, BUFFER + PAGE, false), BUFFER + PAGE);
	assert_int_equal(k->walk(root, levels, BUFFER - PAGE, false), NOWHERE);
	assert_int_equal(k->walk(root, levels, BUFFER + 2 * PAGE, false), NOWHERE);
	assert_int_equal(k->walk(root, levels, BUFFER + 3 * PAGE, false), BUFFER + 3 * PAGE);
	assert_int_equal(k->walk(root, levels, BUFFER + 3 * PAGE, true), NOWHERE);
	assert_int_equal(k->walk(root, levels, 0, false), NOWHERE);
	assert_int_equal(d.n_pages, 3);
	assert_int_equal(dma_domain_forbid(&d, BUFFER, PAGE), 0);
	assert_int_equal(k->walk(root, levels, BUFFER, false), NOWHERE);
	assert_int_equal(k->walk(root, levels, BUFFER + PAGE, true), BUFFER + PAGE);
	assert_int_equal(d.n_pages, 2);
	dma_domain_fini(&d);
	assert_int_equal(taken, 0);
}

static void a_device_reaches_its_buffers_and_no_byte_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		for (unsigned levels = kinds[i].levels_least; levels <= 4; levels++)
			buffers_check(&kinds[i], levels);
	}
}

/* 2 MiB in one piece are 512 leaves all the same: not every unit has larger ones. */
static void large_buffers_have_small_leaves_of(const struct kind *k)
{
	struct dma_domain d;

	assert_int_equal(dma_domain_init(&d, &memory, k->format, 4, 1), 0);
	assert_int_equal(dma_domain_allow(&d, UINT64_C(1) << 40, UINT64_C(1) << 21, false), 0);
	assert_int_equal(k->walk(dma_domain_root(&d), 4, (UINT64_C(1) << 40) + 511 * PAGE, true),
			 (UINT64_C(1) << 40) + 511 * PAGE);
	dma_domain_fini(&d);
}

static void large_buffers_have_small_leaves(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		begin(NULL);
		large_buffers_have_small_leaves_of(&kinds[i]);
	}
}

static void what_the_levels_do_not_reach_is_refused(void **state)
{
	struct dma_domain d;

	(void)state;
	assert_int_equal(dma_domain_init(&d, &memory, &vtd_format, 3, 1), 0);
	assert_int_equal(dma_domain_allow(&d, UINT64_C(1) << 39, PAGE, false), -ERANGE);
	assert_int_equal(dma_domain_allow(&d, (UINT64_C(1) << 39) - PAGE, 2 * PAGE, false),
			 -ERANGE);
	assert_int_equal(dma_domain_allow(&d, (UINT64_C(1) << 39) - PAGE, PAGE, false), 0);
	assert_int_equal(dma_domain_allow(&d, BUFFER + 8, PAGE, false), -EINVAL);
	assert_int_equal(dma_domain_allow(&d, BUFFER, 0, false), -EINVAL);
	assert_int_equal(dma_domain_allow(&d, BUFFER, UINT64_MAX & ~(PAGE - 1), false), -ERANGE);
	dma_domain_fini(&d);
}

static void without_memory_nothing_stays_allowed_of(const struct kind *k)
{
	struct dma_domain d;

	for (unsigned most = 0; most < 3; most++) {
		left = most;
		assert_int_equal(dma_domain_init(&d, &memory, k->format, 4, 1), -ENOMEM);
		assert_int_equal(taken, 0);
	}
	left = 4; /* three at first, a table of pages; the second one fails */
	assert_int_equal(dma_domain_init(&d, &memory, k->format, 4, 1), 0);
	assert_int_equal(dma_domain_allow(&d, 511 * PAGE, 2 * PAGE, false), -ENOMEM);
	assert_int_equal(k->walk(dma_domain_root(&d), 4, 511 * PAGE, false), NOWHERE);
	assert_int_equal(d.n_pages, 0);
	assert_int_equal(dma_domain_allow(&d, 510 * PAGE, PAGE, false), 0);
	assert_int_equal(dma_domain_allow(&d, 509 * PAGE, 2 * PAGE, false), -EEXIST);
	assert_int_equal(k->walk(dma_domain_root(&d), 4, 509 * PAGE, false), NOWHERE);
	assert_int_equal(k->walk(dma_domain_root(&d), 4, 510 * PAGE, true), 510 * PAGE);
	dma_domain_fini(&d);
}

static void without_memory_nothing_stays_allowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		begin(NULL);
		without_memory_nothing_stays_allowed_of(&kinds[i]);
	}
}

#define T(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_device_reaches_its_buffers_and_no_byte_more),
		T(large_buffers_have_small_leaves),
		T(what_the_levels_do_not_reach_is_refused),
		T(without_memory_nothing_stays_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
