/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A PCI device that counts writes, for tests and for measuring what an exit costs, as QEMU's pci-testdev: BAR 0 in
 * memory, BAR 1 in ports; each offers the tests "no-eventfd" (counted here), "wildcard-eventfd" and "datamatch-eventfd"
 * (taken by the engine's doorbell where there is one, else counted here).
 *
 * Thread rule: pci_testdev.lock covers the device, and is held while doorbell is called.
 * Source: QEMU, docs/specs/pci-testdev.rst.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "machine/pci.h"

#define PCI_TESTDEV_SPACES 2U
#define PCI_TESTDEV_TESTS  3U

struct pci_testdev {
	struct pci_dev pci;
	struct lock lock;
	/*
	 * Optional, set before pci_testdev_add(): a write of one byte at addr (value: only that one, where match is set)
	 * shall not exit from now on, or again exit. The engine's doorbell_set (machine/cpu_ops.h).
	 */
	void (*doorbell)(struct pci_testdev *dev, uint64_t addr, bool is_port, bool match,
			 uint8_t value, bool on, void *arg);
	void *doorbell_arg;
	struct {
		uint8_t test; /* that runs; >= PCI_TESTDEV_TESTS: none */
		uint32_t count;
		bool mapped; /* the BAR answers, at base */
		uint64_t base;
		bool armed; /* the doorbell is at armed_addr */
		uint64_t armed_addr;
		uint8_t armed_test;
	} spaces[PCI_TESTDEV_SPACES]; /* BAR 0, BAR 1 */
};

/* pci_testdev_init() - zeroes it. */
void pci_testdev_init(struct pci_testdev *dev);
/* pci_testdev_add() - into the first free slot. Return: 0, or pci_add()'s error. */
int pci_testdev_add(struct pci_testdev *dev, struct pci_bus *pci, struct err *err);
