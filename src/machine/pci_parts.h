/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What pci.c, pci_bar.c and pci_msix.c share. Offsets and bits: PCI Local Bus 3.0, 6.1 Configuration Space
 * Organization, 6.2 Configuration Space Functions, 6.8.2 MSI-X Capability and Table Structures.
 */
#include "machine/pci.h"

#define PCI_VENDOR	   0x00U
#define PCI_DEVICE	   0x02U
#define PCI_COMMAND	   0x04U
#define PCI_STATUS	   0x06U
#define PCI_REVISION	   0x08U /* the class code follows: 3 bytes */
#define PCI_CACHE_LINE	   0x0cU
#define PCI_BAR0	   0x10U
#define PCI_SUBSYSTEM	   0x2cU
#define PCI_CAPABILITIES   0x34U
#define PCI_INTERRUPT_LINE 0x3cU
#define PCI_INTERRUPT_PIN  0x3dU
#define PCI_HEADER_BYTES   0x40U

#define PCI_COMMAND_IO		 0x0001U
#define PCI_COMMAND_MEMORY	 0x0002U
#define PCI_COMMAND_MASTER	 0x0004U
#define PCI_COMMAND_PARITY	 0x0040U
#define PCI_COMMAND_SERR	 0x0100U
#define PCI_COMMAND_INTX_DISABLE 0x0400U

#define PCI_STATUS_INTX		0x08U
#define PCI_STATUS_CAPABILITIES 0x10U

#define PCI_BAR_PORT	     0x1U
#define PCI_BAR_64BIT	     0x4U
#define PCI_BAR_PREFETCHABLE 0x8U

#define PCI_CAP_MSIX 0x11U

#define PCI_MSIX_CONTROL_ENABLE 0x8000U
#define PCI_MSIX_CONTROL_MASK	0x4000U

/* pci_config_overlaps() - whether [offset, offset + len) touches [at, at + size). */
static inline bool pci_config_overlaps(unsigned offset, unsigned len, unsigned at, unsigned size)
{
	return offset < at + size && at < offset + len;
}

/* pci_bars_place() - addresses for the BARs of a new device; -ENOSPC, and then nothing is taken. */
int pci_bars_place(struct pci_bus *pci, struct pci_dev *dev);
/*
 * pci_bars_update() - map and unmap what the configuration now says, for every device: a BAR that left may have made
 * room for another. Bus lock held.
 */
void pci_bars_update(struct pci_bus *pci);
/* pci_msix_update() - take over the control word and the bus-master bit; send what waited. Bus lock held. */
void pci_msix_update(struct pci_dev *dev);
/* pci_intx_update() - take over the command register's disable bit, and MSI-X. Bus lock held. */
void pci_intx_update(struct pci_dev *dev);
