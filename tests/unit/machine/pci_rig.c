/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/pci_rig.h"

#include "scratch.h"

#include <string.h>

#include "base/core/macros.h"

static void rig_line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	struct rig *rig = container_of(sink, struct rig, irq);

	assert_in_range(gsi, 0, 31);
	rig->lines[gsi] = level;
	rig->line_calls++;
}

static void rig_msi(struct irq_sink *sink, uint64_t addr, uint32_t data)
{
	struct rig *rig = container_of(sink, struct rig, irq);

	if (rig->n_msis < RIG_MSIS) {
		rig->msis[rig->n_msis].addr = addr;
		rig->msis[rig->n_msis].data = data;
	}
	rig->n_msis++;
}

static const struct irq_sink_ops rig_irq_ops = { .line = rig_line, .msi = rig_msi };

static uint64_t rig_bar_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	(void)region;
	(void)len;
	return (offset + 0x40) & 0xff;
}

static void rig_bar_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	(void)region;
	(void)offset;
	(void)len;
	(void)value;
}

const struct bus_ops rig_bar_ops = { .name = "rig", .read = rig_bar_read, .write = rig_bar_write };
const struct pci_dev_ops rig_dev_ops = { .name = "rig" };
const struct pci_ids rig_ids = {
	.vendor = 0x1af4,
	.device = 0x1042,
	.subsystem_vendor = 0x1af4,
	.subsystem = 0x1100,
	.class_code = 0x018000,
	.revision = 1,
};

void rig_init(struct rig *rig)
{
	struct err err = { 0 };

	memset(rig, 0, sizeof(*rig));
	rig->irq.ops = &rig_irq_ops;
	assert_int_equal(pci_bus_init(&rig->pci, &rig->mmio, &rig->pio, &rig->irq, &err), 0);
}

static void rig_select(struct rig *rig, unsigned slot, unsigned offset)
{
	bus_write(&rig->pio, PORT_PCI_ADDRESS, 4, 0x80000000U | slot << 11 | (offset & 0xfc));
}

uint32_t rig_in(struct rig *rig, unsigned slot, unsigned offset, unsigned len)
{
	rig_select(rig, slot, offset);
	return (uint32_t)bus_read(&rig->pio, PORT_PCI_DATA + (offset & 3), len);
}

void rig_out(struct rig *rig, unsigned slot, unsigned offset, unsigned len, uint32_t value)
{
	rig_select(rig, slot, offset);
	bus_write(&rig->pio, PORT_PCI_DATA + (offset & 3), len, value);
}

uint64_t rig_ecam(unsigned slot, unsigned offset)
{
	return LAYOUT_ECAM + ((uint64_t)slot << 15) + offset;
}
