/* SPDX-License-Identifier: Apache-2.0 */
/* The device table, read as a unit does it: by the bits of the specification, not by the functions that made them. */
#include "dma_rig.h"

#include <errno.h>

#include "drivers/amdvi_tables.h"

#define EMPTY UINT64_C(0x7654000)
#define BYTES (AMDVI_ENTRIES * sizeof(struct amdvi_entry))

static uint64_t written_bytes;

static void table_write_out(const void *at, uint64_t len_bytes)
{
	(void)at;
	written_bytes += len_bytes;
}

/* The same pages; of the device table it is enough to know that all of it was written out. */
static const struct dma_memory counted = {
	.pages = { .alloc = memory_alloc,
		   .free = memory_free,
		   .hpa = memory_hpa,
		   .page = memory_page },
	.write_out = table_write_out,
};

static struct amdvi_entry *table_make(bool interrupts)
{
	struct amdvi_entry *table = aligned_alloc(4096, BYTES);

	assert_non_null(table);
	memset(table, 0xff, BYTES);
	written_bytes = 0;
	amdvi_table_block(table, &counted, EMPTY, interrupts);
	return table;
}

/* Device Table Entry Format: V bit 0, TV bit 1, Mode bits 9 to 11, the table's address, IR bit 61, IW bit 62; everything else 0. */
static void blocked_check(const struct amdvi_entry *e)
{
	assert_int_equal(e->words[0], EMPTY | 4 << 9 | 3);
	assert_int_equal(e->words[1], 1);
	assert_int_equal(e->words[2], 0);
	assert_int_equal(e->words[3], 0);
}

static void every_requester_is_blocked_at_first(void **state)
{
	struct amdvi_entry *table = table_make(false);

	(void)state;
	for (unsigned id = 0; id < AMDVI_ENTRIES; id++) {
		blocked_check(&table[id]);
		assert_int_equal(amdvi_entry_get(table, (uint16_t)id), 0);
	}
	assert_int_equal(written_bytes, BYTES);
	free(table);
}

static void a_requester_has_its_domain_its_neighbours_stay_blocked(void **state)
{
	struct amdvi_entry *table = table_make(false);
	struct dma_domain a, b;
	const uint16_t id = 0x12a3;

	(void)state;
	assert_int_equal(dma_domain_init(&a, &counted, &amdvi_format, AMDVI_LEVELS, 7), 0);
	assert_int_equal(dma_domain_init(&b, &counted, &amdvi_format, AMDVI_LEVELS, 8), 0);
	amdvi_entry_manage(table, &counted, id, 3);
	assert_int_equal(table[id].words[0], EMPTY | 4 << 9 | 3); /* blocked as before */
	written_bytes = 0;
	assert_int_equal(amdvi_entry_set(table, &counted, id, &a), 0);
	assert_true(written_bytes >= sizeof(*table));
	assert_int_equal(table[id].words[0], dma_domain_root(&a) | UINT64_C(3) << 61 | 4 << 9 | 3);
	assert_int_equal(table[id].words[1], UINT64_C(3) << 40 | 7); /* SysMgt, DomainID */
	blocked_check(&table[id - 1]);
	blocked_check(&table[id + 1]);
	assert_int_equal(amdvi_entry_get(table, id), 7);
	assert_int_equal(amdvi_entry_set(table, &counted, id, &a), 0);
	assert_int_equal(amdvi_entry_set(table, &counted, id, &b), -EBUSY);
	assert_int_equal(amdvi_entry_get(table, id), 7);
	dma_domain_fini(&a);
	dma_domain_fini(&b);
	assert_int_equal(taken, 0);
	free(table);
}

/* IV bit 0, IntTabLen bits 1 to 4, the table's address, IntCtl bits 60 and 61: 0 ends them, 2 remaps. */
static void interrupts_come_as_their_table_says_or_not_at_all(void **state)
{
	struct amdvi_entry *table = table_make(true);
	const uint16_t one[] = { 0x12a3 }, bridged[] = { 0x0509, 0x0308 },
		       other[] = { 0x0510, 0x0308 };

	(void)state;
	for (unsigned id = 0; id < AMDVI_ENTRIES; id++)
		assert_int_equal(table[id].words[2], 1);
	amdvi_entry_interrupts(table, &counted, 0x0002); /* a unit */
	assert_int_equal(table[2].words[2], 0);
	amdvi_entry_pass(table, &counted, 0x00a0,
			 0xd7); /* an IOAPIC's: INIT, ExtInt, NMI, both LINTs */
	assert_int_equal(table[0xa0].words[2], UINT64_C(0xc7) << 56 | 1);
	assert_int_equal(amdvi_interrupt_add(table, &counted, one, 1, 0x41, 2), 0);
	uint64_t word = table[0x12a3].words[2];
	const uint32_t *remaps = memory_page(word & 0xffffffffff000);
	assert_int_equal(word & ~UINT64_C(0xffffffffff000), UINT64_C(2) << 60 | 10 << 1 | 1);
	assert_int_equal(remaps[0], 0x41 << 16 | 2 << 8 | 1);
	for (unsigned i = 1; i < 1024; i++)
		assert_int_equal(remaps[i], 0);
	assert_int_equal(table[0x12a4].words[2], 1);
	assert_int_equal(amdvi_interrupt_add(table, &counted, bridged, 2, 0x42, 0), 0);
	assert_int_equal(amdvi_interrupt_add(table, &counted, other, 2, 0x43, 0), 1);
	assert_int_equal(table[0x0509].words[2], table[0x0308].words[2]);
	assert_int_equal(table[0x0510].words[2], table[0x0308].words[2]);
	assert_int_not_equal(table[0x0308].words[2], word);
	for (unsigned i = 2; i < 1024; i++)
		assert_int_equal(amdvi_interrupt_add(table, &counted, other, 2, 0x44, 0), i);
	assert_int_equal(amdvi_interrupt_add(table, &counted, other, 2, 0x44, 0), -ENOSPC);
	left = 0;
	assert_int_equal(amdvi_interrupt_add(table, &counted, (uint16_t[]){ 7 }, 1, 0x45, 0),
			 -ENOMEM);
	assert_int_equal(table[7].words[2], 1);
	memory_free(NULL, memory_page(table[0x0308].words[2] & 0xffffffffff000));
	memory_free(NULL, memory_page(word & 0xffffffffff000));
	free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(interrupts_come_as_their_table_says_or_not_at_all, begin),
		cmocka_unit_test_setup(every_requester_is_blocked_at_first, begin),
		cmocka_unit_test_setup(a_requester_has_its_domain_its_neighbours_stay_blocked,
				       begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
