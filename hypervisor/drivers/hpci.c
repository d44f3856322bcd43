/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/hpci.h"

#include <stddef.h>

#include "core/apic.h"
#include "core/io.h"
#include "core/map.h"

#define PORT_ADDRESS	0xcf8
#define PORT_DATA	0xcfc
#define BUSES		256U
#define COMMAND_WANT	0x406U /* interrupt disable, bus master, memory */
#define CAP_MOST	48U    /* a list longer than the space for it is a loop */
#define MSIX_TABLE_MASK 0x7ffU
#define MSIX_ENABLE	0x8000U

/* Where a register is mapped; NULL: it is reached by the ports, which are set to it then: *ret_port is its data. */
static volatile uint8_t *register_at(const struct hpci *pci, const struct hpci_device *d,
				     unsigned reg, uint16_t *ret_port)
{
	const uint32_t place = (uint32_t)d->slot << 3 | d->function;

	if (pci->ecam && d->bus >= pci->ecam_first && d->bus <= pci->ecam_last)
		return pci->ecam +
		       ((uint64_t)(d->bus - pci->ecam_first) << 20 | (uint64_t)place << 12 | reg);
	port_out32(PORT_ADDRESS,
		   UINT32_C(0x80000000) | (uint32_t)d->bus << 16 | place << 8 | (reg & 0xfcU));
	*ret_port = (uint16_t)(PORT_DATA + (reg & 3));
	return NULL;
}

uint32_t hpci_read(const struct hpci *pci, const struct hpci_device *d, unsigned reg, unsigned size)
{
	uint16_t port = 0;
	volatile uint8_t *at = register_at(pci, d, reg, &port);

	if (at)
		return size == 4   ? *(volatile uint32_t *)at
		       : size == 2 ? *(volatile uint16_t *)at
				   : *at;
	return size == 4 ? port_in32(port) : size == 2 ? port_in16(port) : port_in8(port);
}

void hpci_write(const struct hpci *pci, const struct hpci_device *d, unsigned reg, unsigned size,
		uint32_t value)
{
	uint16_t port = 0;
	volatile uint8_t *at = register_at(pci, d, reg, &port);

	if (at) {
		if (size == 4)
			*(volatile uint32_t *)at = value;
		else if (size == 2)
			*(volatile uint16_t *)at = (uint16_t)value;
		else
			*at = (uint8_t)value;
		return;
	}
	if (size == 4)
		port_out32(port, value);
	else if (size == 2)
		port_out16(port, (uint16_t)value);
	else
		port_out8(port, (uint8_t)value);
}

/* Return: the secondary bus of a bridge, 0: it is none. */
static uint8_t scan_function(struct hpci *pci, struct hpci_device d)
{
	d.device = (uint16_t)hpci_read(pci, &d, HPCI_DEVICE, 2);
	d.class_code = hpci_read(pci, &d, HPCI_CLASS, 4) >> 8;
	if (pci->n < HPCI_FUNCTIONS)
		pci->devices[pci->n++] = d;
	if ((hpci_read(pci, &d, HPCI_HEADER, 1) & 0x7f) != 1)
		return 0;
	return (uint8_t)(hpci_read(pci, &d, HPCI_BUSES, 4) >> 8);
}

static void scan_bus(struct hpci *pci, uint8_t bus, bool wanted[BUSES])
{
	for (uint8_t slot = 0; slot < 32; slot++) {
		for (uint8_t function = 0; function < 8; function++) {
			struct hpci_device d = { .bus = bus, .slot = slot, .function = function };
			d.vendor = (uint16_t)hpci_read(pci, &d, HPCI_VENDOR, 2);
			if (d.vendor == 0xffff && !function)
				break;
			if (d.vendor == 0xffff)
				continue;
			uint8_t behind = scan_function(pci, d);
			if (behind > bus)
				wanted[behind] = true;
			if (!function && !(hpci_read(pci, &d, HPCI_HEADER, 1) & 0x80))
				break; /* one function */
		}
	}
}

void hpci_scan(struct hpci *pci, const struct firmware *firmware)
{
	bool wanted[BUSES] = { true };
	uint64_t ecam_bytes = ((uint64_t)firmware->ecam_last - firmware->ecam_first + 1) << 20;

	*pci = (struct hpci){ .n = 0 };
	if (firmware->ecam && firmware->ecam_last >= firmware->ecam_first &&
	    map_range(firmware->ecam, ecam_bytes)) {
		pci->ecam = (volatile uint8_t *)(uintptr_t)firmware->ecam;
		pci->ecam_first = firmware->ecam_first;
		pci->ecam_last = firmware->ecam_last;
	}
	for (unsigned bus = 0; bus < BUSES; bus++) { /* a bridge's bus has a higher number */
		if (wanted[bus])
			scan_bus(pci, (uint8_t)bus, wanted);
	}
}

unsigned hpci_capability(const struct hpci *pci, const struct hpci_device *d, uint8_t kind,
			 unsigned after)
{
	if (!(hpci_read(pci, d, HPCI_STATUS, 2) & 0x10))
		return 0;
	unsigned at = hpci_read(pci, d, after ? after + 1 : HPCI_CAPABILITIES, 1) & 0xfcU;
	for (unsigned i = 0; at >= 0x40 && i < CAP_MOST; i++) {
		if (hpci_read(pci, d, at, 1) == kind)
			return at;
		at = hpci_read(pci, d, at + 1, 1) & 0xfcU;
	}
	return 0;
}

volatile void *hpci_bar(const struct hpci *pci, const struct hpci_device *d, unsigned bar,
			uint64_t least)
{
	if (bar > 5)
		return NULL;
	uint32_t low = hpci_read(pci, d, HPCI_BAR0 + bar * 4, 4);
	uint64_t phys = low & UINT32_C(0xfffffff0);
	if (low & 1 || (low & 6 && (bar == 5 || (low & 6) != 4)))
		return NULL;
	if ((low & 6) == 4)
		phys |= (uint64_t)hpci_read(pci, d, HPCI_BAR0 + bar * 4 + 4, 4) << 32;
	if (!phys || phys >> 46 || !map_range(phys, least))
		return NULL;
	return (volatile void *)(uintptr_t)phys;
}

void hpci_enable(const struct hpci *pci, const struct hpci_device *d)
{
	uint32_t command = hpci_read(pci, d, HPCI_COMMAND, 2);

	hpci_write(pci, d, HPCI_COMMAND, 2, command | COMMAND_WANT);
}

struct hpci_message hpci_message(uint8_t vector)
{
	return (struct hpci_message){ apic_msi_address(apic_id()), vector };
}

static bool msix_set(const struct hpci *pci, const struct hpci_device *d,
		     const struct hpci_message *message)
{
	unsigned cap = hpci_capability(pci, d, HPCI_CAP_MSIX, 0);

	if (!cap)
		return false;
	uint32_t control = hpci_read(pci, d, cap + 2, 2), where = hpci_read(pci, d, cap + 4, 4);
	unsigned n = (control & MSIX_TABLE_MASK) + 1;
	volatile uint32_t *table = hpci_bar(pci, d, where & 7, (where & ~7U) + n * UINT64_C(16));
	if (!table)
		return false;
	table += (where & ~7U) / 4;
	for (unsigned i = 0; i < n; i++) {
		table[i * 4] = (uint32_t)message->address;
		table[i * 4 + 1] = (uint32_t)(message->address >> 32);
		table[i * 4 + 2] = message->data;
		table[i * 4 + 3] = 0; /* not masked */
	}
	hpci_write(pci, d, cap + 2, 2, (control & MSIX_TABLE_MASK) | MSIX_ENABLE);
	return true;
}

bool hpci_msi(const struct hpci *pci, const struct hpci_device *d,
	      const struct hpci_message *message)
{
	if (msix_set(pci, d, message))
		return true;
	unsigned cap = hpci_capability(pci, d, HPCI_CAP_MSI, 0);
	if (!cap)
		return false;
	uint32_t control = hpci_read(pci, d, cap + 2, 2);
	bool is_64 = control & 0x80;
	hpci_write(pci, d, cap + 4, 4, (uint32_t)message->address);
	if (is_64)
		hpci_write(pci, d, cap + 8, 4, (uint32_t)(message->address >> 32));
	hpci_write(pci, d, cap + (is_64 ? 12 : 8), 2, message->data);
	hpci_write(pci, d, cap + 2, 2, (control & 0xff8eU) | 1); /* one vector, enabled */
	return true;
}
