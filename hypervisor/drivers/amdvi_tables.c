/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/amdvi_tables.h"

#include <errno.h>

#define BLOCKED_ID UINT64_C(1)
#define ID_MASK	   UINT64_C(0xffff)

/* The first word: V, TV; Mode, the levels; IR, IW. */
#define VALID	   UINT64_C(0x3)
#define LEVELS_AT  9U
#define READ_WRITE (UINT64_C(3) << 61)
/* The third: IV, IntTabLen, IntCtl, those that pass. */
#define TABLE_MASK UINT64_C(0x000fffffffffffc0)
#define INTERRUPTS UINT64_C(1)
#define REMAP_1024 (UINT64_C(2) << 60 | 10 << 1)
#define PASS_AT	   56U
#define PASS_MASK  0xc7U
#define REMAPS	   1024U /* entries of a page */
/* The second. */
#define MANAGE_AT   40U
#define MANAGE_MASK (UINT64_C(3) << MANAGE_AT)

/* PR, IR, IW; FC in leaves: a device does not say that its accesses pass by the caches. Next Level is beside each table's address. */
const struct npt_format amdvi_format = {
	.table = READ_WRITE | 1,
	.leaf = READ_WRITE | UINT64_C(1) << 60 | 1,
	.write = UINT64_C(1) << 62,
	.present = 1,
	.level_at = 9,
};

/* Neither IR nor IW, and a table in which nothing is: each blocks without the other. */
void amdvi_table_block(struct amdvi_entry *table, const struct dma_memory *memory, uint64_t empty,
		       bool interrupts)
{
	for (unsigned i = 0; i < AMDVI_ENTRIES; i++)
		table[i] = (struct amdvi_entry){
			.words = { empty | (uint64_t)AMDVI_LEVELS << LEVELS_AT | VALID, BLOCKED_ID,
				   interrupts ? INTERRUPTS : 0 }
		};
	memory->write_out(table, AMDVI_ENTRIES * sizeof(*table));
}

void amdvi_entry_manage(struct amdvi_entry *table, const struct dma_memory *memory, uint16_t id,
			uint8_t management)
{
	uint64_t *word = &table[id].words[1];

	*word = (*word & ~MANAGE_MASK) | ((uint64_t)management << MANAGE_AT & MANAGE_MASK);
	memory->write_out(word, sizeof(*word));
}

/* The word with the rights comes last: an entry that is read before it still has neither. */
int amdvi_entry_set(struct amdvi_entry *table, const struct dma_memory *memory, uint16_t id,
		    const struct dma_domain *domain)
{
	struct amdvi_entry *entry = &table[id];
	uint16_t there = amdvi_entry_get(table, id);

	if (there)
		return there == domain->id ? 0 : -EBUSY;
	entry->words[1] = (entry->words[1] & ~ID_MASK) | domain->id;
	memory->write_out(entry, sizeof(*entry));
	__atomic_store_n(&entry->words[0],
			 dma_domain_root(domain) | (uint64_t)domain->levels << LEVELS_AT | VALID |
				 READ_WRITE,
			 __ATOMIC_RELEASE);
	memory->write_out(entry, sizeof(*entry));
	return 0;
}

uint16_t amdvi_entry_get(const struct amdvi_entry *table, uint16_t id)
{
	uint64_t number = table[id].words[1] & ID_MASK;

	return number == BLOCKED_ID ? 0 : (uint16_t)number;
}

void amdvi_entry_interrupts(struct amdvi_entry *table, const struct dma_memory *memory, uint16_t id)
{
	table[id].words[2] = 0;
	memory->write_out(&table[id], sizeof(*table));
}

void amdvi_entry_pass(struct amdvi_entry *table, const struct dma_memory *memory, uint16_t id,
		      uint8_t settings)
{
	table[id].words[2] |= (uint64_t)(settings & PASS_MASK) << PASS_AT;
	memory->write_out(&table[id], sizeof(*table));
}

/* The table of any of its names, or a new one. */
static uint32_t *remaps_of(const struct amdvi_entry *table, const struct dma_memory *memory,
			   const uint16_t *ids, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t at = table[ids[i]].words[2] & TABLE_MASK;
		if (at)
			return memory->pages.page(at);
	}
	return memory->pages.alloc(memory->pages.arg);
}

/* RemapEn; fixed, to a physical APIC ID. */
int amdvi_interrupt_add(struct amdvi_entry *table, const struct dma_memory *memory,
			const uint16_t *ids, unsigned n, uint8_t vector, uint8_t apic_id)
{
	uint32_t *remaps = remaps_of(table, memory, ids, n);
	unsigned index = 0;

	if (!remaps)
		return -ENOMEM;
	while (index < REMAPS && remaps[index])
		index++;
	if (index == REMAPS)
		return -ENOSPC;
	remaps[index] = (uint32_t)vector << 16 | (uint32_t)apic_id << 8 | 1;
	memory->write_out(&remaps[index], sizeof(*remaps));
	for (unsigned i = 0; i < n; i++) {
		uint64_t *word = &table[ids[i]].words[2];
		uint64_t kept = *word & (uint64_t)PASS_MASK << PASS_AT;
		__atomic_store_n(word, kept | memory->pages.hpa(remaps) | REMAP_1024 | INTERRUPTS,
				 __ATOMIC_RELEASE);
		memory->write_out(word, sizeof(*word));
	}
	return (int)index;
}
