/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The device table, which says for each requester which domain it is in, and the form of a domain's tables (drivers/dma_tables.h).
 * Nothing here touches a unit. One table serves all units of a server: each looks at the entries of what is behind it.
 * Source: AMD I/O Virtualization Technology (IOMMU) Specification 3.05: Device Table Entry Format; I/O Page Tables for Host
 * Translations; Interrupt Remapping Tables.
 */
#include <stdint.h>

#include "drivers/dma_tables.h"

#define AMDVI_ENTRIES  65536U /* one for each bus, slot and function */
#define AMDVI_LEVELS   4U
#define AMDVI_ID_FIRST 2U /* of domains: 0 is not used, 1 is what is blocked */
#define AMDVI_ID_LAST  0xffffU

extern const struct npt_format amdvi_format;

struct amdvi_entry {
	uint64_t words[4];
};

/*
 * amdvi_table_block() - every requester is blocked
 * @table: AMDVI_ENTRIES   @empty: physical, a page of zeroes: the table in which nothing is   @interrupts: these, too
 */
void amdvi_table_block(struct amdvi_entry *table, const struct dma_memory *memory, uint64_t empty,
		       bool interrupts);
/* amdvi_entry_interrupts() - the unit's own: not blocked, not remapped */
void amdvi_entry_interrupts(struct amdvi_entry *table, const struct dma_memory *memory,
			    uint16_t id);
/* amdvi_entry_pass() - an IOAPIC's interrupts without a vector (NMI and such) pass as the firmware says. @settings: of its IVHD entry */
void amdvi_entry_pass(struct amdvi_entry *table, const struct dma_memory *memory, uint16_t id,
		      uint8_t settings);
/*
 * amdvi_interrupt_add() - the requesters in ids, one device, may raise this interrupt
 * Return: what the device writes as data; -ENOMEM; -ENOSPC: there is no more room beside those of devices with the same names.
 */
int amdvi_interrupt_add(struct amdvi_entry *table, const struct dma_memory *memory,
			const uint16_t *ids, unsigned n, uint8_t vector, uint8_t apic_id);
/* amdvi_entry_manage() - what its system management requests do, as the firmware says: SysMgt, two bits */
void amdvi_entry_manage(struct amdvi_entry *table, const struct dma_memory *memory, uint16_t id,
			uint8_t management);
/*
 * amdvi_entry_set() - a requester is in a domain from now on; a unit's caches still say what they said
 * Return: 0; -EBUSY: it is in another.
 */
int amdvi_entry_set(struct amdvi_entry *table, const struct dma_memory *memory, uint16_t id,
		    const struct dma_domain *domain);
/* amdvi_entry_get() - the number of its domain; 0: it is blocked */
uint16_t amdvi_entry_get(const struct amdvi_entry *table, uint16_t id);
