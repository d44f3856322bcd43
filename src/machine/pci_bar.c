/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/pci_parts.h"

#include <errno.h>

#include "base/core/bytes.h"
#include "machine/layout.h"

static bool pci_bar_possible(const struct pci_dev *dev, unsigned bar, uint64_t size, bool is_port,
			     bool is_64bit)
{
	uint64_t least = is_port ? 4 : 16;
	uint64_t most = UINT64_C(1) << (is_port ? 8 : is_64bit ? 36 : 31);

	if (bar >= PCI_BARS || (is_64bit && (is_port || bar + 1 >= PCI_BARS)))
		return false;
	if (dev->bars[bar].region.size || (bar && dev->bars[bar - 1].is_64bit) ||
	    (is_64bit && dev->bars[bar + 1].region.size))
		return false;
	return size >= least && size <= most && !(size & (size - 1));
}

/* The mask of writable bits is what a guest sees when it sizes a BAR: 6.2.5.1 Address Maps. */
void pci_bar_set(struct pci_dev *dev, unsigned bar, const struct bus_ops *ops, struct lock *lock,
		 uint64_t size, bool is_port, bool is_64bit)
{
	if (!pci_bar_possible(dev, bar, size, is_port, is_64bit)) {
		dev->invalid = true;
		return;
	}
	dev->bars[bar] = (struct pci_bar){
		.region = { .ops = ops, .lock = lock, .size = size },
		.is_port = is_port,
		.is_64bit = is_64bit,
		.dev = dev,
	};
	uint8_t *mask = &dev->writable[PCI_BAR0 + 4 * bar];
	le32_store(mask, (uint32_t)(~(size - 1) & (is_port ? 0xffff : UINT32_MAX)));
	if (is_64bit)
		le32_store(mask + 4, (uint32_t)(~(size - 1) >> 32));
}

static uint64_t pci_bar_base(const struct pci_dev *dev, unsigned bar)
{
	const struct pci_bar *b = &dev->bars[bar];
	const uint8_t *config = &dev->config[PCI_BAR0 + 4 * bar];
	uint64_t base = le32_load(config);

	if (b->is_64bit)
		base |= (uint64_t)le32_load(config + 4) << 32;
	return base & ~(b->region.size - 1);
}

static bool pci_in_window(uint64_t base, uint64_t size, uint64_t start, uint64_t end)
{
	return base >= start && base < end && size <= end - base;
}

/* Only the host bridge's windows reach the bus: RAM, the interrupt controllers and ECAM are safe from BARs. */
static bool pci_bar_reachable(const struct pci_bar *bar, uint64_t base)
{
	uint64_t size = bar->region.size;

	if (bar->is_port)
		return pci_in_window(base, size, PORT_PCI_BARS, PORT_PCI_END);
	return pci_in_window(base, size, LAYOUT_PCI32, LAYOUT_PCI32_END) ||
	       pci_in_window(base, size, LAYOUT_PCI64, LAYOUT_PCI64 + LAYOUT_PCI64_BYTES);
}

static bool pci_bar_wanted(const struct pci_dev *dev, unsigned bar, uint64_t *ret_base)
{
	const struct pci_bar *b = &dev->bars[bar];
	unsigned command = le16_load(&dev->config[PCI_COMMAND]);

	if (!b->region.size || !(command & (b->is_port ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	*ret_base = pci_bar_base(dev, bar);
	return pci_bar_reachable(b, *ret_base);
}

static void pci_bar_moved(struct pci_dev *dev, unsigned bar, bool mapped)
{
	dev->bars[bar].mapped = mapped;
	if (dev->ops->bar_moved)
		dev->ops->bar_moved(dev, bar);
}

static struct bus *pci_bar_bus(struct pci_bus *pci, const struct pci_bar *bar)
{
	return bar->is_port ? pci->pio : pci->mmio;
}

static void pci_bar_leave(struct pci_bus *pci, struct pci_dev *dev, unsigned bar)
{
	struct pci_bar *b = &dev->bars[bar];
	uint64_t base = 0;

	if (!b->mapped || (pci_bar_wanted(dev, bar, &base) && base == b->region.base))
		return;
	bus_remove(pci_bar_bus(pci, b), &b->region);
	pci_bar_moved(dev, bar, false);
}

static void pci_bar_enter(struct pci_bus *pci, struct pci_dev *dev, unsigned bar)
{
	struct pci_bar *b = &dev->bars[bar];
	uint64_t base = 0;

	if (b->mapped || !pci_bar_wanted(dev, bar, &base))
		return;
	b->region.base = base;
	if (bus_add(pci_bar_bus(pci, b), &b->region) == 0)
		pci_bar_moved(dev, bar, true);
}

static void pci_bars_each(struct pci_bus *pci,
			  void (*step)(struct pci_bus *pci, struct pci_dev *dev, unsigned bar))
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		for (unsigned bar = 0; pci->slots[slot] && bar < PCI_BARS; bar++)
			step(pci, pci->slots[slot], bar);
	}
}

void pci_bars_update(struct pci_bus *pci)
{
	pci_bars_each(pci, pci_bar_leave);
	pci_bars_each(pci, pci_bar_enter);
}

/* Memory BARs get pages of their own, as an IOMMU or a nested page table would want it. */
static int pci_bar_take(uint64_t *next, uint64_t size, uint64_t least, uint64_t end,
			uint64_t *ret_base)
{
	uint64_t align = size > least ? size : least;
	uint64_t base = (*next + align - 1) & ~(align - 1);

	if (base >= end || align > end - base)
		return -ENOSPC;
	*next = base + align;
	*ret_base = base;
	return 0;
}

int pci_bars_place(struct pci_bus *pci, struct pci_dev *dev)
{
	uint64_t mmio32 = pci->next_mmio32, mmio64 = pci->next_mmio64, pio = pci->next_pio;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct pci_bar *bar = &dev->bars[i];
		uint64_t size = bar->region.size, base = 0;
		uint8_t *config = &dev->config[PCI_BAR0 + 4 * i];
		int r;

		if (!size)
			continue;
		if (bar->is_port)
			r = pci_bar_take(&pio, size, 4, PORT_PCI_END, &base);
		else if (bar->is_64bit)
			r = pci_bar_take(&mmio64, size, GUEST_PAGE_BYTES,
					 LAYOUT_PCI64 + LAYOUT_PCI64_BYTES, &base);
		else
			r = pci_bar_take(&mmio32, size, GUEST_PAGE_BYTES, LAYOUT_PCI32_END, &base);
		if (r < 0)
			return r;
		le32_store(config, (uint32_t)base | (bar->is_port ? PCI_BAR_PORT : 0) |
					   (bar->is_64bit ? PCI_BAR_64BIT : 0) |
					   (bar->prefetchable ? PCI_BAR_PREFETCHABLE : 0));
		if (bar->is_64bit)
			le32_store(config + 4, (uint32_t)(base >> 32));
	}
	pci->next_mmio32 = mmio32;
	pci->next_mmio64 = mmio64;
	pci->next_pio = (uint32_t)pio;
	return 0;
}
