/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A PCI bus with an interrupt sink that writes down what it is told. */
#include "machine/layout.h"
#include "machine/pci.h"

#define RIG_MSIS 16U

struct rig {
	struct bus mmio, pio;
	struct irq_sink irq;
	bool lines[32];
	unsigned line_calls;
	struct {
		uint64_t addr;
		uint32_t data;
	} msis[RIG_MSIS];
	unsigned n_msis; /* may be more than were kept */
	struct pci_bus pci;
};

void rig_init(struct rig *rig);
/* Configuration space by ports, and by ECAM. */
uint32_t rig_in(struct rig *rig, unsigned slot, unsigned offset, unsigned len);
void rig_out(struct rig *rig, unsigned slot, unsigned offset, unsigned len, uint32_t value);
uint64_t rig_ecam(unsigned slot, unsigned offset);

extern const struct pci_ids rig_ids;
/* BARs of this answer every read with the low byte of their offset plus 0x40. */
extern const struct bus_ops rig_bar_ops;
extern const struct pci_dev_ops rig_dev_ops;
