/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The tables of a VT-d unit: root and context tables that say which domain a function is in, and the form of a domain's tables
 * (drivers/dma_tables.h). Nothing here touches the unit.
 * Source: Intel VT-d 4.1: Root Entry, Context Entry, Second-Stage Paging Entries; Interrupt Remapping Table Entry (IRTE) for Remapped
 * Interrupts; Interrupt Requests in Remappable Format.
 */
#include <stdbool.h>
#include <stdint.h>

#include "drivers/dma_tables.h"

extern const struct npt_format vtd_format;

/* Entries of root and context tables: two words. */
struct vtd_entry {
	uint64_t low, high;
};

/*
 * vtd_context_set() - a function is in a domain from now on; the unit's caches still say what they said
 * @root: the unit's root table   @id: of the requester: bus << 8 | slot << 3 | function
 * Return: 0, -ENOMEM; -EBUSY: it is in another.
 */
int vtd_context_set(struct vtd_entry *root, const struct dma_memory *memory, uint16_t id,
		    const struct dma_domain *domain);
/* vtd_context_get() - the number of its domain; 0: none, each access faults */
uint16_t vtd_context_get(const struct vtd_entry *root, const struct dma_memory *memory,
			 uint16_t id);

#define VTD_INTERRUPTS 256U /* entries of a page */

/*
 * vtd_interrupt_set() - the requesters in ids, one device, may raise this interrupt
 * @table: VTD_INTERRUPTS entries   @index: of one that is free   @is_x2: APIC IDs are of 32 bits
 * Return: the address to which the device writes; it writes 0.
 */
uint64_t vtd_interrupt_set(struct vtd_entry *table, const struct dma_memory *memory, unsigned index,
			   const uint16_t *ids, unsigned n, uint8_t vector, uint32_t apic_id,
			   bool is_x2);
