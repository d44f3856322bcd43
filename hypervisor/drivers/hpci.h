/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The server's PCI functions (a guest's are src/machine/pci.h).
 * Sources: PCI Local Bus Specification 3.0: Configuration Space, Message Signaled Interrupts; PCI Express Base
 * Specification: Enhanced Configuration Access Mechanism.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/firmware.h"

#define HPCI_FUNCTIONS 128U

enum hpci_reg {
	HPCI_VENDOR = 0x00,
	HPCI_DEVICE = 0x02,
	HPCI_COMMAND = 0x04,
	HPCI_STATUS = 0x06,
	HPCI_CLASS = 0x08, /* 32 bits: class, subclass, interface, revision */
	HPCI_HEADER = 0x0e,
	HPCI_BAR0 = 0x10,
	HPCI_BUSES = 0x18,
	HPCI_SUBSYSTEM = 0x2e,
	HPCI_CAPABILITIES = 0x34,
};

enum hpci_capability { HPCI_CAP_MSI = 0x05, HPCI_CAP_VENDOR = 0x09, HPCI_CAP_MSIX = 0x11 };

struct hpci_device {
	uint8_t bus, slot, function;
	uint16_t vendor, device;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
};

struct hpci {
	volatile uint8_t *ecam; /* NULL: by ports 0xcf8, 0xcfc */
	uint8_t ecam_first, ecam_last;
	struct hpci_device devices[HPCI_FUNCTIONS];
	unsigned n;
};

/* hpci_scan() - every function behind bus 0, bridges included; once, by the boot CPU */
void hpci_scan(struct hpci *pci, const struct firmware *firmware);

/* hpci_read(), hpci_write() - @size: 1, 2, 4 bytes; aligned */
uint32_t hpci_read(const struct hpci *pci, const struct hpci_device *device, unsigned reg,
		   unsigned size);
void hpci_write(const struct hpci *pci, const struct hpci_device *device, unsigned reg,
		unsigned size, uint32_t value);

/* hpci_capability() - the next one of that kind behind `after` (0: the first). Return: its register, 0: none. */
unsigned hpci_capability(const struct hpci *pci, const struct hpci_device *device, uint8_t kind,
			 unsigned after);

/*
 * hpci_bar() - a memory BAR, mapped
 * @least: bytes of it that will be used
 * Return: NULL: it is none, is not set, or cannot be mapped.
 */
volatile void *hpci_bar(const struct hpci *pci, const struct hpci_device *device, unsigned bar,
			uint64_t least);

/* hpci_enable() - memory decoding and bus mastering on, INTx off */
void hpci_enable(const struct hpci *pci, const struct hpci_device *device);

/* What a function writes, and where, to interrupt. */
struct hpci_message {
	uint64_t address;
	uint32_t data;
};

/* hpci_message() - a vector (core/trap.h) on this CPU, where no IOMMU remaps it: drivers ask iommu_msi() */
struct hpci_message hpci_message(uint8_t vector);
/*
 * hpci_msi() - the function's interrupts are this message: by MSI-X (every entry), or MSI
 * Return: false: it has neither, poll it.
 */
bool hpci_msi(const struct hpci *pci, const struct hpci_device *device,
	      const struct hpci_message *message);
