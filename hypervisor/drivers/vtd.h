/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One VT-d unit: its registers, its root table, its caches, what it blocked. Devices and policy are drivers/iommu.c's.
 * Where it remaps interrupts, a write to the interrupt range is one only if its entry says so, and whose: all others are blocked.
 * Source: Intel VT-d 4.1: Register Descriptions; Queued Invalidation Interface; Fault Logging; Interrupt Remapping.
 */
#include <stdbool.h>
#include <stdint.h>

#include "drivers/iommu_unit.h"
#include "drivers/vtd_tables.h"

struct vtd_queue_entry {
	uint64_t low, high;
};

struct vtd_unit {
	struct iommu_unit unit;
	volatile uint8_t *regs;
	uint64_t cap, ecap;
	unsigned levels;
	struct vtd_entry *root;
	struct vtd_entry *interrupts;  /* a page; where it remaps them */
	struct vtd_queue_entry *queue; /* a page */
	uint32_t *answer;	       /* the unit writes the number of the last wait there */
	unsigned tail, n_interrupts;
	uint32_t n_waits;
	uint16_t n_domains; /* ids given out */
};

/*
 * vtd_start() - with an empty root table: from now on no device behind the unit reaches memory, but as its ops say
 * @base: of its registers   @vector: of its interrupt, to this CPU, when it has blocked something; 0: none
 * @may_remap: interrupts, if it can
 * Return: 0; -EOPNOTSUPP: no queued invalidation, or no width that we know; -ENODEV: nothing is there; -ENOMEM; -ETIMEDOUT: it
 * does not do what it is told: what it does now is unknown.
 */
int vtd_start(struct vtd_unit *unit, uint64_t base, uint8_t vector, bool may_remap);
