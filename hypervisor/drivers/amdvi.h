/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One AMD-Vi unit: its registers, its commands, its event log. Devices and policy are drivers/iommu.c's.
 * Where it remaps interrupts, a write to the interrupt range is one only if its requester's table says so: all others are blocked.
 * Source: AMD I/O Virtualization Technology (IOMMU) Specification 3.05: IOMMU MMIO Registers; Commands; Event Logging.
 */
#include <stdbool.h>
#include <stdint.h>

#include "drivers/amdvi_tables.h"
#include "drivers/iommu_unit.h"

struct amdvi_command {
	uint64_t words[2];
};

/* What all units of a server have in common. */
struct amdvi_shared {
	struct amdvi_entry *table;
	uint16_t n_domains; /* numbers given out */
	bool remaps;	    /* interrupts */
};

struct amdvi_unit {
	struct iommu_unit unit;
	struct amdvi_shared *shared;
	volatile uint8_t *regs;
	uint64_t features, control;
	struct amdvi_command *commands; /* a page */
	volatile uint64_t *events;	/* a page of pairs */
	uint64_t *answer;		/* the unit writes the number of the last wait there */
	unsigned tail, n_pending;	/* of commands; since the last wait */
	unsigned head;			/* of events */
	uint64_t n_waits;
	uint8_t vector; /* of its interrupt; 0: none */
	bool is_on;
};

/* amdvi_shared_start() - a device table in which every requester is blocked; its interrupts, too, if they are remapped. Return: 0, -ENOMEM. */
int amdvi_shared_start(struct amdvi_shared *shared, bool remaps);

/*
 * amdvi_start() - ready, and off: the firmware's own use of it ends
 * @base: of its registers   @flags: IVRS_*   @has_features: it has the register of extended features   @vector: the interrupt that the
 * caller lets its function send; 0: none
 * Return: 0; -ENODEV: nothing is there; -ENOMEM; -ETIMEDOUT: it does not stop.
 */
int amdvi_start(struct amdvi_unit *unit, struct amdvi_shared *shared, uint64_t base, uint8_t flags,
		bool has_features, uint8_t vector);
