/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that does what it likes to a PCI bus with three devices. Each step is 12 bytes: what, length, address,
 * value. Whatever it does, no two regions overlap, BARs stay in their windows and the bus's own parts answer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "machine/layout.h"
#include "machine/pci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEVICES	   3U
#define STEP_BYTES 12U

struct scene {
	struct bus mmio, pio;
	struct irq_sink irq;
	struct pci_bus pci;
	struct pci_dev devs[DEVICES];
};

static uint64_t scene_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	if (offset + len > region->size)
		abort();
	return offset;
}

static void scene_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	(void)value;
	if (offset + len > region->size)
		abort();
}

static void scene_line(struct irq_sink *sink, uint32_t gsi, bool level)
{
	(void)sink;
	(void)level;
	if (gsi < IRQ_GSI_ISA || gsi >= IRQ_GSI_COUNT)
		abort();
}

static void scene_msi(struct irq_sink *sink, uint64_t addr, uint32_t data)
{
	(void)sink;
	(void)data;
	if (addr & 3)
		abort();
}

static const struct bus_ops bar_ops = { .name = "bar", .read = scene_read, .write = scene_write };
static const struct irq_sink_ops irq_ops = { .line = scene_line, .msi = scene_msi };
static const struct pci_dev_ops dev_ops = { .name = "fuzz" };
static const struct pci_ids ids = { .vendor = 0x1af4, .device = 0x1042, .class_code = 0x018000 };

static void scene_init(struct scene *s)
{
	memset(s, 0, sizeof(*s));
	s->irq.ops = &irq_ops;
	if (pci_bus_init(&s->pci, &s->mmio, &s->pio, &s->irq, NULL) < 0)
		abort();
	for (unsigned i = 0; i < DEVICES; i++) {
		struct pci_dev *dev = &s->devs[i];
		pci_dev_init(dev, &dev_ops, &ids);
		pci_bar_set(dev, 0, &bar_ops, NULL, 0x4000U << i, false, false);
		pci_bar_set(dev, 2, &bar_ops, NULL, 4U << i, true, false);
		pci_bar_set(dev, 4, &bar_ops, NULL, 0x10000U << i, false, true);
		if (pci_msix_init(dev, 1, (uint16_t)(1 + 31 * i)) < 0 ||
		    pci_add(&s->pci, dev, (int)(1 + 8 * i), NULL) < 0)
			abort();
	}
}

static void scene_step(struct scene *s, const uint8_t *step)
{
	unsigned len = 1U << (step[1] & 3);
	uint64_t at = le32_load(step + 2), value = le32_load(step + 6) * UINT64_C(0x100000001);
	struct pci_dev *dev = &s->devs[step[10] % DEVICES];

	switch (step[0] % 8) {
	case 0: /* ECAM, where the devices are */
		bus_write(&s->mmio, LAYOUT_ECAM + (dev->slot << 15) + (at & 0x1ff), len, value);
		break;
	case 1:
		(void)bus_read(&s->mmio, LAYOUT_ECAM + (dev->slot << 15) + (at & 0xfff), len);
		break;
	case 2: /* ports */
		bus_write(&s->pio, at & 0xffff, len & 7 ? len : 4, value);
		break;
	case 3:
		(void)bus_read(&s->pio, at & 0xffff, len & 7 ? len : 4);
		break;
	case 4: /* the MSI-X table */
		bus_write(&s->mmio, dev->bars[1].region.base + (at & 0xfff), len, value);
		(void)bus_read(&s->mmio, dev->bars[1].region.base + (at & 0xfff), len);
		break;
	case 5:
		pci_msix_fire(dev, (uint16_t)at);
		break;
	case 6:
		pci_intx_set(dev, at & 1);
		break;
	default: /* anywhere */
		bus_write(&s->mmio, at | (uint64_t)step[11] << 32, len, value);
		(void)bus_read(&s->mmio, at | (uint64_t)step[11] << 32, len);
		break;
	}
}

static bool bar_is_in_a_window(const struct pci_bar *bar)
{
	uint64_t first = bar->region.base, last = first + bar->region.size - 1;

	if (bar->is_port)
		return first >= PORT_PCI_BARS && last < PORT_PCI_END;
	return (first >= LAYOUT_PCI32 && last < LAYOUT_PCI32_END) ||
	       (first >= LAYOUT_PCI64 && last < LAYOUT_PCI64 + LAYOUT_PCI64_BYTES);
}

static void scene_check(struct scene *s)
{
	unsigned mapped = 0;

	for (unsigned i = 0; i < DEVICES; i++) {
		for (unsigned b = 0; b < PCI_BARS; b++) {
			const struct pci_bar *bar = &s->devs[i].bars[b];
			mapped += bar->mapped;
			if (bar->mapped && !bar_is_in_a_window(bar))
				abort();
		}
	}
	if (s->mmio.n + s->pio.n != mapped + 3)
		abort();
	for (unsigned i = 1; i < s->mmio.n; i++) {
		const struct bus_region *a = s->mmio.regions[i - 1], *b = s->mmio.regions[i];
		if (a->base + a->size > b->base)
			abort();
	}
	if (bus_read(&s->mmio, LAYOUT_ECAM, 4) != 0x00081b36)
		abort();
	for (unsigned i = 0; i < PCI_INTX_LINES; i++) {
		if (s->pci.intx[i] & ~(UINT32_C(0x20202)))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scene s;

	scene_init(&s);
	for (; size >= STEP_BYTES; data += STEP_BYTES, size -= STEP_BYTES)
		scene_step(&s, data);
	scene_check(&s);
	return 0;
}
