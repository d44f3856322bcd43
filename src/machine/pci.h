/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The PCI bus of the machine: one segment, bus 0, up to 32 single-function devices; configuration space by
 * ports 0xCF8/0xCFC and by ECAM; BARs that the guest may move; INTx and MSI-X.
 *
 * Thread rule: configuration is accessed by vcpu threads under pci_bus.lock (the host bridge's). A device's
 * config_wrote hook runs under it and may take its device's lock: lock order pci_bus -> device -> bus -> irq.
 * The locks of INTx and of MSI-X are taken inside a device's; an irq_sink is called under them.
 *
 * What a hostile guest can do with a BAR: one outside the windows of machine/layout.h, or on top of another, is not
 * decoded until it or the other moves away.
 * Sources: PCI Local Bus 3.0, 6 Configuration Space; PCI Express Base 3.0, 7.2.2 ECAM; 6.8.2 MSI-X.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "machine/bus.h"
#include "machine/irq.h"

#define PCI_CONFIG_BYTES 256U /* of the 4096 that ECAM has for a function; the rest reads as zero */
#define PCI_SLOTS	 32U
#define PCI_BARS	 6U
#define PCI_MSIX_VECTORS 64U
#define PCI_INTX_LINES	 8U

struct pci_dev;

struct pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits: base class, sub-class, programming interface */
	uint8_t revision;
};

struct pci_dev_ops {
	const char *name;
	/* Optional. After the guest changed [offset, offset + len) of the configuration; bus lock held. */
	void (*config_wrote)(struct pci_dev *dev, unsigned offset, unsigned len);
	/*
	 * Optional. Before the guest reads [offset, offset + len): a device may refresh config[] there. Bus lock held.
	 */
	void (*config_reads)(struct pci_dev *dev, unsigned offset, unsigned len);
	/*
	 * Optional. bars[bar] was mapped at its region's base, or is no longer: also when it was
	 * another device's BAR that made room. For doorbells. Bus lock held; also inside pci_add().
	 */
	void (*bar_moved)(struct pci_dev *dev, unsigned bar);
};

struct pci_bar {
	struct bus_region
		region; /* ops, lock and size are the device's; base is the guest's doing */
	bool is_port, is_64bit;
	bool prefetchable; /* set by the device between pci_bar_set() and pci_add() */
	bool mapped;	   /* it answers now */
	struct pci_dev *dev;
};

struct pci_msix_entry {
	uint64_t addr;
	uint32_t data;
	bool masked, pending;
};

struct pci_msix {
	uint16_t vectors; /* 0: the device has none */
	uint8_t cap;	  /* offset of the capability */
	struct lock lock; /* of what follows */
	bool enabled;
	bool masked; /* the whole function: its mask bit, or it is no bus master */
	struct pci_msix_entry entries[PCI_MSIX_VECTORS];
};

struct pci_dev { /* embedded by the device */
	const struct pci_dev_ops *ops;
	struct pci_bus *bus; /* NULL until added */
	unsigned slot;
	uint8_t config[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES]; /* mask of the bits that the guest may write */
	uint8_t next_cap;		    /* where the next capability goes */
	uint8_t last_cap;		    /* the one whose next pointer is still 0 */
	struct pci_bar bars[PCI_BARS];
	struct pci_msix msix;
	bool invalid;	    /* it was declared wrongly: pci_add() refuses it */
	bool intx_level;    /* as the device wants it; pci_bus.intx_lock, as the next */
	bool intx_disabled; /* by the command register, or because MSI-X is on */
};

struct pci_bus {
	struct lock lock;
	struct bus *mmio, *pio;
	struct irq_sink *irq;
	struct pci_dev *slots[PCI_SLOTS];
	struct bus_region ecam, address, data; /* data: 0xCFC..0xCFF */
	struct bus_region *reset;	       /* answers for the byte 0xCF9; NULL: nobody */
	uint32_t selected;		       /* what 0xCF8 holds */
	uint64_t next_mmio32, next_mmio64;     /* where BARs are put when the machine is built */
	uint32_t next_pio;
	struct lock intx_lock;	       /* of the next; inside a device's lock */
	uint32_t intx[PCI_INTX_LINES]; /* who holds each line up, one bit a slot */
	struct pci_dev host_bridge;
};

/*
 * pci_bus_init() - an empty bus with its host bridge in slot 0, its regions added to mmio and pio
 * @irq: where INTx and MSI-X go; borrowed, as are the buses
 */
int pci_bus_init(struct pci_bus *pci, struct bus *mmio, struct bus *pio, struct irq_sink *irq,
		 struct err *err);
/*
 * pci_reset_port() - who answers byte accesses to 0xCF9, which lies inside the bus's 0xCF8..0xCFB
 * @region: borrowed; its base is not used, its offset is 0. Called without the bus lock.
 */
void pci_reset_port(struct pci_bus *pci, struct bus_region *region);
/* pci_dev_init() - identity and defaults, interrupt pin A; no BAR, no capability. */
void pci_dev_init(struct pci_dev *dev, const struct pci_dev_ops *ops, const struct pci_ids *ids);
/*
 * pci_bar_set() - declare a BAR before the device is added
 * @size: a power of two, >= 16 (memory) or 4 (ports); a 64-bit BAR takes two numbers
 * The region's base is given by pci_add(), which acts as the firmware: every BAR is placed and decoded at start.
 * Small guests map only the first 4 GiB: a 64-bit BAR is for what does not fit there.
 */
void pci_bar_set(struct pci_dev *dev, unsigned bar, const struct bus_ops *ops, struct lock *lock,
		 uint64_t size, bool is_port, bool is_64bit);
/* pci_cap_add() - room for a capability of len bytes (its id and next pointer are filled in); offset, or -ENOSPC. */
int pci_cap_add(struct pci_dev *dev, uint8_t id, unsigned len);
/*
 * pci_msix_init() - the capability, and a BAR of its own (4 KiB): the table at 0, the pending bits at 0x800
 * @vectors: 1..PCI_MSIX_VECTORS.   Return: 0, -EINVAL, -ENOSPC.
 */
int pci_msix_init(struct pci_dev *dev, unsigned bar, uint16_t vectors);
/* pci_add() - into the first free slot (or @slot >= 0), BARs placed, decoding on; 0, -ENOSPC, -EEXIST. */
int pci_add(struct pci_bus *pci, struct pci_dev *dev, int slot, struct err *err);

/* pci_msix_enabled() - whether the guest turned MSI-X on: else INTx is to be used. */
bool pci_msix_enabled(const struct pci_dev *dev);
/* pci_msix_fire() - any thread, device lock allowed; a masked vector becomes pending. Out of range: no-op. */
void pci_msix_fire(struct pci_dev *dev, uint16_t vector);
/* pci_intx_set() - level of INTA#, routed by slot to GSI 16 + slot % 8; respects the command register's disable bit. */
void pci_intx_set(struct pci_dev *dev, bool level);
/* pci_intx_gsi() - for _PRT and the interrupt line register. Pin B is the next slot's A, and so on. */
uint32_t pci_intx_gsi(unsigned slot);
