/* SPDX-License-Identifier: Apache-2.0 */
/* The unit's tables, read as the unit does it: by the bits of the specification, not by the functions that made them. */
#include "dma_rig.h"

#include <errno.h>

#include "drivers/vtd_tables.h"

/* Root Entry, Context Entry. */
static void a_function_has_its_domain_its_neighbours_have_none(void **state)
{
	struct dma_domain a, b;
	const uint16_t id = 0x12a3;

	(void)state;
	struct vtd_entry *root = memory_alloc(NULL);
	assert_int_equal(dma_domain_init(&a, &memory, &vtd_format, 3, 7), 0);
	assert_int_equal(dma_domain_init(&b, &memory, &vtd_format, 3, 8), 0);
	assert_int_equal(vtd_context_get(root, &memory, id), 0);
	assert_int_equal(vtd_context_set(root, &memory, id, &a), 0);
	uint64_t bus = seen((uintptr_t)root, 0x12 * 2);
	assert_int_equal(bus & 1, 1);
	assert_int_equal(seen((uintptr_t)root, 0x13 * 2), 0);
	uint64_t contexts = bus & DMA_ADDRESS;
	assert_int_equal(seen(contexts, 0xa3 * 2),
			 dma_domain_root(&a) | 1); /* present, not passed through */
	assert_int_equal(seen(contexts, 0xa3 * 2 + 1), 7 << 8 | 1); /* 39 bits */
	assert_int_equal(seen(contexts, 0xa2 * 2), 0);
	assert_int_equal(seen(contexts, 0xa4 * 2), 0);
	assert_int_equal(vtd_context_get(root, &memory, id), 7);
	assert_int_equal(vtd_context_get(root, &memory, id + 1), 0);
	assert_int_equal(vtd_context_set(root, &memory, id, &a), 0);
	assert_int_equal(vtd_context_set(root, &memory, id, &b), -EBUSY);
	assert_int_equal(vtd_context_get(root, &memory, id), 7);
	left = 0;
	assert_int_equal(vtd_context_set(root, &memory, 0x1300, &b), -ENOMEM);
	memory_free(NULL, memory_page(contexts));
	memory_free(NULL, root);
	dma_domain_fini(&a);
	dma_domain_fini(&b);
	assert_int_equal(taken, 0);
}

/* IRTE: P bit 0, DM and RH and TM and DLM 0, vector from bit 16, destination from bit 32; SID, SQ, SVT in the second word. */
static void an_interrupt_is_one_devices_and_goes_to_one_cpu(void **state)
{
	const uint16_t one[] = { 0x12a3 }, bridged[] = { 0x0509, 0x0308, 0x0500 };

	(void)state;
	struct vtd_entry *table = memory_alloc(NULL);
	assert_int_equal(vtd_interrupt_set(table, &memory, 3, one, 1, 0x41, 0x0102, false),
			 0xfee00000 | 3 << 5 | 1 << 4);
	assert_int_equal(seen((uintptr_t)table, 6), UINT64_C(0x02) << 40 | 0x41 << 16 | 1);
	assert_int_equal(seen((uintptr_t)table, 7), 1 << 18 | 0x12a3);
	assert_int_equal(vtd_interrupt_set(table, &memory, 255, bridged, 3, 0x42, 0x0102, true),
			 0xfee00000 | 255 << 5 | 1 << 4);
	assert_int_equal(seen((uintptr_t)table, 510), UINT64_C(0x0102) << 32 | 0x42 << 16 | 1);
	assert_int_equal(seen((uintptr_t)table, 511), 2 << 18 | 0x0305); /* from bus 3 to bus 5 */
	assert_int_equal(seen((uintptr_t)table, 8), 0);
	memory_free(NULL, table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_interrupt_is_one_devices_and_goes_to_one_cpu, begin),
		cmocka_unit_test_setup(a_function_has_its_domain_its_neighbours_have_none, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
