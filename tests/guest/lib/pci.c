/* SPDX-License-Identifier: Apache-2.0 */
#include "pci.h"

#define PORT_ADDRESS 0xcf8
#define PORT_DATA    0xcfc
#define ECAM	     0xb0000000ULL
#define SLOTS	     32U

static void select(unsigned slot, unsigned offset)
{
	out32(PORT_ADDRESS, 0x80000000U | slot << 11 | (offset & 0xfc));
}

uint32_t pci_read32(unsigned slot, unsigned offset)
{
	select(slot, offset);
	return in32(PORT_DATA);
}

uint16_t pci_read16(unsigned slot, unsigned offset)
{
	select(slot, offset);
	return in16((uint16_t)(PORT_DATA + (offset & 2)));
}

uint8_t pci_read8(unsigned slot, unsigned offset)
{
	select(slot, offset);
	return in8((uint16_t)(PORT_DATA + (offset & 3)));
}

void pci_write32(unsigned slot, unsigned offset, uint32_t value)
{
	select(slot, offset);
	out32(PORT_DATA, value);
}

void pci_write16(unsigned slot, unsigned offset, uint16_t value)
{
	select(slot, offset);
	out16((uint16_t)(PORT_DATA + (offset & 2)), value);
}

void pci_write8(unsigned slot, unsigned offset, uint8_t value)
{
	select(slot, offset);
	out8((uint16_t)(PORT_DATA + (offset & 3)), value);
}

uint64_t pci_ecam(void)
{
	uint64_t at = option_number("ecam", ECAM);

	return read32(at) == pci_read32(0, 0) ? at : 0;
}

int pci_find(uint16_t vendor, uint16_t device, unsigned nth)
{
	uint32_t wanted = (uint32_t)device << 16 | vendor;

	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (pci_read32(slot, 0) == wanted && nth-- == 0)
			return (int)slot;
	}
	return -1;
}

unsigned pci_cap(unsigned slot, uint8_t id, unsigned after)
{
	if (!(pci_read16(slot, PCI_STATUS) & 0x10))
		return 0;
	unsigned at = pci_read8(slot, after ? after + 1 : PCI_CAPABILITIES) & 0xfc;
	for (unsigned steps = 0; at && steps < 48; steps++) {
		if (pci_read8(slot, at) == id)
			return at;
		at = pci_read8(slot, at + 1) & 0xfc;
	}
	return 0;
}

static bool is_64bit(uint32_t low)
{
	return (low & 7) == 4;
}

uint64_t pci_bar(unsigned slot, unsigned bar)
{
	uint32_t low = pci_read32(slot, PCI_BAR0 + 4 * bar);

	if (low & 1)
		return 0;
	uint64_t high = is_64bit(low) ? pci_read32(slot, PCI_BAR0 + 4 * bar + 4) : 0;
	return high << 32 | (low & ~15U);
}

static void bar_write(unsigned slot, unsigned bar, uint64_t value, bool wide)
{
	pci_write32(slot, PCI_BAR0 + 4 * bar, (uint32_t)value);
	if (wide)
		pci_write32(slot, PCI_BAR0 + 4 * bar + 4, (uint32_t)(value >> 32));
}

void pci_bar_move(unsigned slot, unsigned bar, uint64_t to)
{
	uint16_t command = pci_read16(slot, PCI_COMMAND);
	bool wide = is_64bit(pci_read32(slot, PCI_BAR0 + 4 * bar));

	pci_write16(slot, PCI_COMMAND, command & (uint16_t)~PCI_COMMAND_MEMORY);
	bar_write(slot, bar, to, wide);
	pci_write16(slot, PCI_COMMAND, command);
}

uint64_t pci_bar_size(unsigned slot, unsigned bar)
{
	uint16_t command = pci_read16(slot, PCI_COMMAND);
	uint64_t old = pci_bar(slot, bar);
	bool wide = is_64bit(pci_read32(slot, PCI_BAR0 + 4 * bar));

	pci_write16(slot, PCI_COMMAND, command & (uint16_t)~PCI_COMMAND_MEMORY);
	bar_write(slot, bar, UINT64_MAX, wide);
	uint64_t mask = pci_bar(slot, bar);
	bar_write(slot, bar, old, wide);
	pci_write16(slot, PCI_COMMAND, command);
	return wide ? ~mask + 1 : (uint32_t)(~(uint32_t)mask + 1);
}

bool msix_find(unsigned slot, struct msix *ret)
{
	unsigned cap = pci_cap(slot, PCI_CAP_MSIX, 0);

	if (!cap)
		return false;
	uint32_t table = pci_read32(slot, cap + 4), pending = pci_read32(slot, cap + 8);
	*ret = (struct msix){
		.slot = slot,
		.cap = cap,
		.vectors = (pci_read16(slot, cap + 2) & 0x7ffU) + 1,
		.table = pci_bar(slot, table & 7) + (table & ~7U),
		.pending = pci_bar(slot, pending & 7) + (pending & ~7U),
	};
	return true;
}

static void msix_control(const struct msix *msix, uint16_t bit, bool on)
{
	uint16_t control = pci_read16(msix->slot, msix->cap + 2);

	control = on ? control | bit : control & (uint16_t)~bit;
	pci_write16(msix->slot, msix->cap + 2, control);
}

void msix_enable(const struct msix *msix, bool on)
{
	msix_control(msix, 0x8000, on);
}

void msix_mask_all(const struct msix *msix, bool masked)
{
	msix_control(msix, 0x4000, masked);
}

void msix_set(const struct msix *msix, unsigned entry, uint8_t vector)
{
	uint64_t at = msix->table + 16 * entry;

	write32(at + 12, 1);
	write32(at, 0xfee00000);
	write32(at + 4, 0);
	write32(at + 8, vector);
	write32(at + 12, 0);
}

void msix_mask(const struct msix *msix, unsigned entry, bool masked)
{
	write32(msix->table + 16 * entry + 12, masked);
}

bool msix_pending(const struct msix *msix, unsigned entry)
{
	return read64(msix->pending + entry / 64 * 8) >> (entry & 63) & 1;
}
