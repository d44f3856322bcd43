/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/pci_parts.h"

#include <errno.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"

#define MSIX_PENDING_OFFSET 0x800U
#define MSIX_BAR_BYTES	    0x1000U
#define MSIX_ENTRY_BYTES    16U
#define MSIX_ENTRY_MASKED   0x1U

/* The lock of MSI-X is held: a masked vector stays silent from the moment that the guest's write returns. */
static void msix_send(struct pci_dev *dev, struct pci_msix_entry *entry)
{
	struct pci_msix *msix = &dev->msix;

	if (msix->masked || entry->masked) {
		entry->pending = true;
		return;
	}
	entry->pending = false;
	dev->bus->irq->ops->msi(dev->bus->irq, entry->addr, entry->data);
}

static void msix_send_pending(struct pci_dev *dev)
{
	struct pci_msix *msix = &dev->msix;

	for (unsigned i = 0; msix->enabled && i < msix->vectors; i++) {
		if (msix->entries[i].pending)
			msix_send(dev, &msix->entries[i]);
	}
}

static uint32_t msix_table_read(const struct pci_msix *msix, uint64_t offset)
{
	const struct pci_msix_entry *entry = &msix->entries[offset / MSIX_ENTRY_BYTES];

	switch (offset % MSIX_ENTRY_BYTES) {
	case 0:
		return (uint32_t)entry->addr;
	case 4:
		return (uint32_t)(entry->addr >> 32);
	case 8:
		return entry->data;
	default:
		return entry->masked ? MSIX_ENTRY_MASKED : 0;
	}
}

static uint32_t msix_pending_read(const struct pci_msix *msix, uint64_t offset)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < 32; i++) {
		uint64_t vector = offset * 8 + i;
		if (vector < msix->vectors && msix->entries[vector].pending)
			bits |= UINT32_C(1) << i;
	}
	return bits;
}

static uint32_t msix_dword(const struct pci_msix *msix, uint64_t offset)
{
	if (offset / MSIX_ENTRY_BYTES < msix->vectors)
		return msix_table_read(msix, offset);
	if (offset >= MSIX_PENDING_OFFSET && offset - MSIX_PENDING_OFFSET < PCI_MSIX_VECTORS / 8)
		return msix_pending_read(msix, offset - MSIX_PENDING_OFFSET);
	return 0;
}

static struct pci_dev *msix_dev(struct bus_region *region)
{
	return container_of(region, struct pci_bar, region)->dev;
}

static uint64_t msix_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct pci_msix *msix = &msix_dev(region)->msix;
	uint64_t value = 0;

	lock_acquire(&msix->lock);
	for (unsigned i = 0; i < len; i++) {
		uint64_t at = offset + i;
		uint64_t byte = msix_dword(msix, at & ~UINT64_C(3)) >> (8 * (at & 3)) & 0xff;
		value |= byte << (8 * i);
	}
	lock_release(&msix->lock);
	return value;
}

static void msix_table_write(struct pci_dev *dev, uint64_t offset, uint32_t value)
{
	struct pci_msix_entry *entry = &dev->msix.entries[offset / MSIX_ENTRY_BYTES];

	switch (offset % MSIX_ENTRY_BYTES) {
	case 0:
		entry->addr = (entry->addr & ~UINT64_C(0xffffffff)) | (value & ~UINT32_C(3));
		break;
	case 4:
		entry->addr = (uint64_t)value << 32 | (entry->addr & 0xffffffff);
		break;
	case 8:
		entry->data = value;
		break;
	default:
		entry->masked = value & MSIX_ENTRY_MASKED;
		if (dev->msix.enabled && entry->pending)
			msix_send(dev, entry);
		break;
	}
}

/* Dwords and quadwords, aligned, are all that software may write: 6.8.2.6 to 6.8.2.9. */
static void msix_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct pci_dev *dev = msix_dev(region);

	if (len < 4 || offset % len)
		return;
	lock_acquire(&dev->msix.lock);
	for (unsigned i = 0; i < len; i += 4) {
		if ((offset + i) / MSIX_ENTRY_BYTES < dev->msix.vectors)
			msix_table_write(dev, offset + i, (uint32_t)(value >> (8 * i)));
	}
	lock_release(&dev->msix.lock);
}

static const struct bus_ops msix_bus_ops = {
	.name = "msix",
	.read = msix_read,
	.write = msix_write,
};

int pci_msix_init(struct pci_dev *dev, unsigned bar, uint16_t vectors)
{
	if (!vectors || vectors > PCI_MSIX_VECTORS || bar >= PCI_BARS || dev->msix.vectors ||
	    dev->bars[bar].region.size)
		return -EINVAL;

	int cap = pci_cap_add(dev, PCI_CAP_MSIX, 12);
	if (cap < 0)
		return cap;
	pci_bar_set(dev, bar, &msix_bus_ops, NULL, MSIX_BAR_BYTES, false, false);
	le16_store(&dev->config[cap + 2], (uint16_t)(vectors - 1));
	le16_store(&dev->writable[cap + 2], PCI_MSIX_CONTROL_ENABLE | PCI_MSIX_CONTROL_MASK);
	le32_store(&dev->config[cap + 4], bar);
	le32_store(&dev->config[cap + 8], MSIX_PENDING_OFFSET | bar);
	dev->msix.vectors = vectors;
	dev->msix.cap = (uint8_t)cap;
	for (unsigned i = 0; i < vectors; i++)
		dev->msix.entries[i].masked = true;
	return 0;
}

void pci_msix_update(struct pci_dev *dev)
{
	struct pci_msix *msix = &dev->msix;

	if (!msix->vectors)
		return;
	unsigned control = le16_load(&dev->config[msix->cap + 2]);
	unsigned command = le16_load(&dev->config[PCI_COMMAND]);

	lock_acquire(&msix->lock);
	msix->masked = control & PCI_MSIX_CONTROL_MASK || !(command & PCI_COMMAND_MASTER);
	__atomic_store_n(&msix->enabled, (control & PCI_MSIX_CONTROL_ENABLE) != 0,
			 __ATOMIC_RELEASE);
	for (unsigned i = 0; !msix->enabled && i < msix->vectors; i++)
		msix->entries[i].pending = false;
	msix_send_pending(dev);
	lock_release(&msix->lock);
}

bool pci_msix_enabled(const struct pci_dev *dev)
{
	return __atomic_load_n(&dev->msix.enabled, __ATOMIC_ACQUIRE);
}

void pci_msix_fire(struct pci_dev *dev, uint16_t vector)
{
	struct pci_msix *msix = &dev->msix;

	if (vector >= msix->vectors)
		return;
	lock_acquire(&msix->lock);
	if (msix->enabled)
		msix_send(dev, &msix->entries[vector]);
	lock_release(&msix->lock);
}
