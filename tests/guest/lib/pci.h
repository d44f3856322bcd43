/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The PCI bus as a guest finds it: bus 0, configuration by the ports 0xCF8 and 0xCFC, or by ECAM. */
#include "guest.h"

#define PCI_COMMAND	 0x04
#define PCI_STATUS	 0x06
#define PCI_BAR0	 0x10
#define PCI_CAPABILITIES 0x34
#define PCI_LINE	 0x3c

#define PCI_COMMAND_IO	    0x1U
#define PCI_COMMAND_MEMORY  0x2U
#define PCI_COMMAND_MASTER  0x4U
#define PCI_COMMAND_NO_INTX 0x400U

#define PCI_CAP_MSIX   0x11
#define PCI_CAP_VENDOR 0x09

uint32_t pci_read32(unsigned slot, unsigned offset);
uint16_t pci_read16(unsigned slot, unsigned offset);
uint8_t pci_read8(unsigned slot, unsigned offset);
void pci_write32(unsigned slot, unsigned offset, uint32_t value);
void pci_write16(unsigned slot, unsigned offset, uint16_t value);
void pci_write8(unsigned slot, unsigned offset, uint8_t value);

/*
 * pci_ecam() - where the configuration space is in memory: the option "ecam=ADDRESS", else 0xb0000000; 0 where the host
 * bridge is not found there
 */
uint64_t pci_ecam(void);
/* pci_find() - the nth (from 0) device with that vendor and device id, or -1. */
int pci_find(uint16_t vendor, uint16_t device, unsigned nth);
/* pci_cap() - offset of the next capability of that id after `after` (0: the first), or 0. */
unsigned pci_cap(unsigned slot, uint8_t id, unsigned after);
/* pci_bar() - address in a memory BAR, 64 bits where it has them; 0: a port BAR, or none. */
uint64_t pci_bar(unsigned slot, unsigned bar);
/* pci_bar_move() - decoding off, a new address, decoding on. */
void pci_bar_move(unsigned slot, unsigned bar, uint64_t to);
/* pci_bar_size() - by writing ones and putting the address back. */
uint64_t pci_bar_size(unsigned slot, unsigned bar);

/* ---- MSI-X: PCI Local Bus 3.0, 6.8.2 ---- */
struct msix {
	unsigned slot, cap, vectors;
	uint64_t table, pending;
};
/* msix_find() - false: the device has none. */
bool msix_find(unsigned slot, struct msix *ret);
void msix_enable(const struct msix *msix, bool on);
void msix_mask_all(const struct msix *msix, bool masked);
/* msix_set() - entry to a vector of the first LAPIC. msix_mask() - of one entry. */
void msix_set(const struct msix *msix, unsigned entry, uint8_t vector);
void msix_mask(const struct msix *msix, unsigned entry, bool masked);
bool msix_pending(const struct msix *msix, unsigned entry);
