/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/vtd_tables.h"

#include <errno.h>
#include <stddef.h>

#define PRESENT	     UINT64_C(1)
#define ID_SHIFT     8U
#define SOURCE_EXACT (UINT64_C(1) << 18) /* SVT, beside SID */
#define SOURCE_BUSES (UINT64_C(2) << 18)
#define REMAPPABLE   UINT64_C(0xfee00010)
#define LEVELS_OF    2U /* the address width says the levels less two */

/* Readable, writable; there is no bit of presence beside these. */
const struct npt_format vtd_format = { .table = 0x3, .leaf = 0x3, .write = 0x2, .present = 0x3 };

/* NULL: there is no table for the bus. */
static struct vtd_entry *context_at(const struct vtd_entry *root, const struct dma_memory *memory,
				    uint16_t id)
{
	const struct vtd_entry *bus = &root[id >> 8];

	if (!(bus->low & PRESENT))
		return NULL;
	struct vtd_entry *table = memory->pages.page(bus->low & DMA_ADDRESS);
	return &table[id & 0xff];
}

int vtd_context_set(struct vtd_entry *root, const struct dma_memory *memory, uint16_t id,
		    const struct dma_domain *domain)
{
	struct vtd_entry *entry = context_at(root, memory, id);

	if (!entry) {
		void *table = memory->pages.alloc(memory->pages.arg);
		if (!table)
			return -ENOMEM;
		root[id >> 8].low = memory->pages.hpa(table) | PRESENT;
		memory->write_out(&root[id >> 8], sizeof(*root));
		entry = context_at(root, memory, id);
	}
	if (entry->low & PRESENT)
		return (entry->low & DMA_ADDRESS) == dma_domain_root(domain) ? 0 : -EBUSY;
	/* The half that makes it present comes last. */
	entry->high = (uint64_t)domain->id << ID_SHIFT | (domain->levels - LEVELS_OF);
	memory->write_out(entry, sizeof(*entry));
	__atomic_store_n(&entry->low, dma_domain_root(domain) | PRESENT, __ATOMIC_RELEASE);
	memory->write_out(entry, sizeof(*entry));
	return 0;
}

uint16_t vtd_context_get(const struct vtd_entry *root, const struct dma_memory *memory, uint16_t id)
{
	const struct vtd_entry *entry = context_at(root, memory, id);

	return entry && entry->low & PRESENT ? (uint16_t)(entry->high >> ID_SHIFT) : 0;
}

/* Who may: exactly that one; or, where a bridge speaks for it, whoever is on a bus between its names'. */
static uint64_t source_of(const uint16_t *ids, unsigned n)
{
	unsigned first = ids[0] >> 8, last = first;

	if (n == 1)
		return SOURCE_EXACT | ids[0];
	for (unsigned i = 1; i < n; i++) {
		unsigned bus = ids[i] >> 8;
		first = bus < first ? bus : first;
		last = bus > last ? bus : last;
	}
	return SOURCE_BUSES | first << 8 | last;
}

/* Fixed, edge triggered, to a physical APIC ID. The half that makes it present comes last. */
uint64_t vtd_interrupt_set(struct vtd_entry *table, const struct dma_memory *memory, unsigned index,
			   const uint16_t *ids, unsigned n, uint8_t vector, uint32_t apic_id,
			   bool is_x2)
{
	struct vtd_entry *entry = &table[index];
	uint64_t to = is_x2 ? apic_id : (apic_id & 0xff) << 8;

	entry->high = source_of(ids, n);
	memory->write_out(entry, sizeof(*entry));
	__atomic_store_n(&entry->low, to << 32 | (uint64_t)vector << 16 | PRESENT,
			 __ATOMIC_RELEASE);
	memory->write_out(entry, sizeof(*entry));
	return REMAPPABLE | (uint64_t)(index & 0x7fff) << 5;
}
