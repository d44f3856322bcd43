/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/pci.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/macros.h"
#include "machine/layout.h"
#include "machine/pci_parts.h"

#define PCI_ADDRESS_ENABLE UINT32_C(0x80000000)
#define PCI_ADDRESS_BITS   UINT32_C(0x80fffffc)
#define PCI_ECAM_FUNCTION  4096U /* bytes; 7.2.2 of PCI Express */

/* ---- devices ---- */

void pci_dev_init(struct pci_dev *dev, const struct pci_dev_ops *ops, const struct pci_ids *ids)
{
	uint8_t *config = dev->config, *writable = dev->writable;

	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	dev->next_cap = PCI_HEADER_BYTES;
	dev->last_cap = PCI_CAPABILITIES - 1;
	le16_store(&config[PCI_VENDOR], ids->vendor);
	le16_store(&config[PCI_DEVICE], ids->device);
	le32_store(&config[PCI_REVISION], ids->class_code << 8 | ids->revision);
	le16_store(&config[PCI_SUBSYSTEM], ids->subsystem_vendor);
	le16_store(&config[PCI_SUBSYSTEM + 2], ids->subsystem);
	config[PCI_INTERRUPT_PIN] = 1;
	le16_store(&writable[PCI_COMMAND], PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
						   PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
						   PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	writable[PCI_CACHE_LINE] = 0xff;
	writable[PCI_INTERRUPT_LINE] = 0xff;
}

int pci_cap_add(struct pci_dev *dev, uint8_t id, unsigned len)
{
	unsigned at = dev->next_cap;

	if (len < 2 || len > PCI_CONFIG_BYTES || at < PCI_HEADER_BYTES ||
	    len > PCI_CONFIG_BYTES - at)
		return -ENOSPC;
	dev->config[at] = id;
	dev->config[dev->last_cap + 1] = (uint8_t)at;
	dev->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
	dev->last_cap = (uint8_t)at;
	dev->next_cap = (uint8_t)((at + len + 3) & ~3U); /* 0 when the space is full */
	return (int)at;
}

/* ---- INTx ---- */

uint32_t pci_intx_gsi(unsigned slot)
{
	return IRQ_GSI_ISA + slot % PCI_INTX_LINES;
}

/* Four slots share a line: it is up while one of them holds it. pci->intx_lock is held. */
static void pci_intx_drive(struct pci_dev *dev)
{
	struct pci_bus *pci = dev->bus;
	uint32_t *holders = &pci->intx[dev->slot % PCI_INTX_LINES];
	uint32_t before = *holders, bit = UINT32_C(1) << dev->slot;

	*holders = dev->intx_level && !dev->intx_disabled ? before | bit : before & ~bit;
	if (!before != !*holders)
		pci->irq->ops->line(pci->irq, pci_intx_gsi(dev->slot), *holders != 0);
}

void pci_intx_set(struct pci_dev *dev, bool level)
{
	lock_acquire(&dev->bus->intx_lock);
	dev->intx_level = level;
	pci_intx_drive(dev);
	lock_release(&dev->bus->intx_lock);
}

void pci_intx_update(struct pci_dev *dev)
{
	unsigned command = le16_load(&dev->config[PCI_COMMAND]);

	lock_acquire(&dev->bus->intx_lock);
	dev->intx_disabled = command & PCI_COMMAND_INTX_DISABLE || pci_msix_enabled(dev);
	pci_intx_drive(dev);
	lock_release(&dev->bus->intx_lock);
}

/* ---- configuration ---- */

static void pci_status_refresh(struct pci_dev *dev)
{
	lock_acquire(&dev->bus->intx_lock);
	uint8_t intx = dev->intx_level ? PCI_STATUS_INTX : 0;
	lock_release(&dev->bus->intx_lock);
	dev->config[PCI_STATUS] = (uint8_t)((dev->config[PCI_STATUS] & ~PCI_STATUS_INTX) | intx);
}

/* offset < 4096, len 1..8: what lies past the 256 bytes reads as zero. */
static uint64_t pci_config_read(struct pci_dev *dev, unsigned offset, unsigned len)
{
	uint64_t value = 0;

	if (offset >= PCI_CONFIG_BYTES)
		return 0;
	if (len > PCI_CONFIG_BYTES - offset)
		len = PCI_CONFIG_BYTES - offset;
	if (pci_config_overlaps(offset, len, PCI_STATUS, 1))
		pci_status_refresh(dev);
	if (dev->ops->config_reads)
		dev->ops->config_reads(dev, offset, len);
	for (unsigned i = 0; i < len; i++)
		value |= (uint64_t)dev->config[offset + i] << (8 * i);
	return value;
}

static void pci_config_write(struct pci_dev *dev, unsigned offset, unsigned len, uint64_t value)
{
	if (offset >= PCI_CONFIG_BYTES)
		return;
	if (len > PCI_CONFIG_BYTES - offset)
		len = PCI_CONFIG_BYTES - offset;
	for (unsigned i = 0; i < len; i++) {
		unsigned mask = dev->writable[offset + i];
		unsigned byte = value >> (8 * i) & 0xff;
		dev->config[offset + i] =
			(uint8_t)((dev->config[offset + i] & ~mask) | (byte & mask));
	}
	bool command = pci_config_overlaps(offset, len, PCI_COMMAND, 2);
	bool msix = dev->msix.vectors && pci_config_overlaps(offset, len, dev->msix.cap + 2U, 2);

	if (command || pci_config_overlaps(offset, len, PCI_BAR0, 4 * PCI_BARS))
		pci_bars_update(dev->bus);
	if (command || msix) {
		pci_msix_update(dev);
		pci_intx_update(dev);
	}
	if (dev->ops->config_wrote)
		dev->ops->config_wrote(dev, offset, len);
}

/* The device that a bus, device and function number names: bits 23..8 of 0xCF8, 27..12 of an ECAM offset. */
static struct pci_dev *pci_find(const struct pci_bus *pci, unsigned bdf)
{
	return bdf >> 8 || bdf & 7 ? NULL : pci->slots[bdf >> 3 & (PCI_SLOTS - 1)];
}

/* ---- ECAM: its region holds pci->lock ---- */

static uint64_t ecam_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct pci_bus *pci = container_of(region, struct pci_bus, ecam);
	struct pci_dev *dev = pci_find(pci, (unsigned)(offset / PCI_ECAM_FUNCTION));

	return dev ? pci_config_read(dev, offset % PCI_ECAM_FUNCTION, len) : UINT64_MAX;
}

static void ecam_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct pci_bus *pci = container_of(region, struct pci_bus, ecam);
	struct pci_dev *dev = pci_find(pci, (unsigned)(offset / PCI_ECAM_FUNCTION));

	if (dev)
		pci_config_write(dev, offset % PCI_ECAM_FUNCTION, len, value);
}

static const struct bus_ops ecam_ops = { .name = "ecam", .read = ecam_read, .write = ecam_write };

/* ---- 0xCFC..0xCFF: the region holds pci->lock ---- */

static struct pci_dev *pci_selected(const struct pci_bus *pci)
{
	return pci->selected & PCI_ADDRESS_ENABLE ? pci_find(pci, pci->selected >> 8 & 0xffff)
						  : NULL;
}

static uint64_t pci_data_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct pci_bus *pci = container_of(region, struct pci_bus, data);
	struct pci_dev *dev = pci_selected(pci);

	return dev ? pci_config_read(dev, (pci->selected & 0xfc) + (unsigned)offset, len)
		   : UINT64_MAX;
}

static void pci_data_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	struct pci_bus *pci = container_of(region, struct pci_bus, data);
	struct pci_dev *dev = pci_selected(pci);

	if (dev)
		pci_config_write(dev, (pci->selected & 0xfc) + (unsigned)offset, len, value);
}

static const struct bus_ops pci_data_ops = {
	.name = "pci-data",
	.read = pci_data_read,
	.write = pci_data_write,
};

/*
 * ---- 0xCF8..0xCFB ----
 * Only a whole dword is the address register (PCI Local Bus 3.0, 3.2.2.3.2 Software Generation of Configuration
 * Transactions); the byte 0xCF9 is the chipset's reset register.
 */

static struct bus_region *pci_reset_at(const struct pci_bus *pci, uint64_t offset, unsigned len)
{
	return offset == PORT_RESET - PORT_PCI_ADDRESS && len == 1 ? pci->reset : NULL;
}

static uint64_t pci_address_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	struct pci_bus *pci = container_of(region, struct pci_bus, address);
	struct bus_region *reset = pci_reset_at(pci, offset, len);
	uint64_t value = UINT64_MAX;

	if (reset) {
		value = bus_region_read(reset, 0, 1);
	} else if (len == 4) {
		lock_acquire(&pci->lock);
		value = pci->selected;
		lock_release(&pci->lock);
	}
	return value;
}

static void pci_address_write(struct bus_region *region, uint64_t offset, unsigned len,
			      uint64_t value)
{
	struct pci_bus *pci = container_of(region, struct pci_bus, address);
	struct bus_region *reset = pci_reset_at(pci, offset, len);

	if (reset) {
		bus_region_write(reset, 0, 1, value);
	} else if (len == 4) {
		lock_acquire(&pci->lock);
		pci->selected = (uint32_t)value & PCI_ADDRESS_BITS;
		lock_release(&pci->lock);
	}
}

static const struct bus_ops pci_address_ops = {
	.name = "pci-address",
	.read = pci_address_read,
	.write = pci_address_write,
};

void pci_reset_port(struct pci_bus *pci, struct bus_region *region)
{
	pci->reset = region;
}

/* ---- the bus ---- */

/*
 * A host bridge that no driver wants to treat specially: the generic one that Red Hat's vendor number has for virtual
 * machines (QEMU's docs/specs/pci-ids). An Intel chipset's number would make Linux look for that chipset's parts.
 */
static const struct pci_ids pci_host_bridge_ids = {
	.vendor = 0x1b36,
	.device = 0x0008,
	.class_code = 0x060000,
};

static const struct pci_dev_ops pci_host_bridge_ops = { .name = "host-bridge" };

static int pci_regions_add(struct pci_bus *pci)
{
	int r = bus_add(pci->mmio, &pci->ecam);

	if (r == 0)
		r = bus_add(pci->pio, &pci->address);
	if (r == 0)
		r = bus_add(pci->pio, &pci->data);
	if (r < 0) {
		bus_remove(pci->mmio, &pci->ecam);
		bus_remove(pci->pio, &pci->address);
	}
	return r;
}

int pci_bus_init(struct pci_bus *pci, struct bus *mmio, struct bus *pio, struct irq_sink *irq,
		 struct err *err)
{
	*pci = (struct pci_bus){
		.mmio = mmio,
		.pio = pio,
		.irq = irq,
		.ecam = { &ecam_ops, &pci->lock, LAYOUT_ECAM, LAYOUT_ECAM_BYTES },
		.address = { &pci_address_ops, NULL, PORT_PCI_ADDRESS, 4 },
		.data = { &pci_data_ops, &pci->lock, PORT_PCI_DATA, 4 },
		.next_mmio32 = LAYOUT_PCI32,
		.next_mmio64 = LAYOUT_PCI64,
		.next_pio = PORT_PCI_BARS,
	};
	int r = pci_regions_add(pci);
	if (r < 0)
		return err_say(err, -r, "add the PCI bus: its addresses are taken");
	pci_dev_init(&pci->host_bridge, &pci_host_bridge_ops, &pci_host_bridge_ids);
	pci->host_bridge.config[PCI_INTERRUPT_PIN] = 0;
	return pci_add(pci, &pci->host_bridge, 0, err);
}

static int pci_slot_find(const struct pci_bus *pci, int slot)
{
	if (slot >= (int)PCI_SLOTS)
		return -ENOSPC;
	if (slot >= 0)
		return pci->slots[slot] ? -EEXIST : slot;
	for (slot = 0; slot < (int)PCI_SLOTS; slot++) {
		if (!pci->slots[slot])
			return slot;
	}
	return -ENOSPC;
}

/* As firmware leaves it: decoding, a bus master, its interrupt line written down. */
static void pci_dev_start(struct pci_bus *pci, struct pci_dev *dev, unsigned slot)
{
	dev->bus = pci;
	dev->slot = slot;
	pci->slots[slot] = dev;
	le16_store(&dev->config[PCI_COMMAND],
		   PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (dev->config[PCI_INTERRUPT_PIN])
		dev->config[PCI_INTERRUPT_LINE] = (uint8_t)pci_intx_gsi(slot);
	pci_bars_update(pci);
	pci_msix_update(dev);
	pci_intx_update(dev);
}

int pci_add(struct pci_bus *pci, struct pci_dev *dev, int slot, struct err *err)
{
	lock_acquire(&pci->lock);
	int r = dev->invalid ? -EINVAL : pci_slot_find(pci, slot);
	if (r >= 0) {
		int placed = pci_bars_place(pci, dev);
		if (placed < 0)
			r = placed;
		else
			pci_dev_start(pci, dev, (unsigned)r);
	}
	lock_release(&pci->lock);
	if (r >= 0)
		return 0;
	return err_say(err, -r, "add PCI device %s: %s", dev->ops->name,
		       r == -EINVAL   ? "a BAR of it cannot be"
		       : r == -EEXIST ? "its slot is taken"
				      : "no room is left on the bus");
}
