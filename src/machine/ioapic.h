/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The I/O interrupt controller: 24 pins, each with an entry that says where its interrupt goes.
 *
 * Thread rule: any thread; ioapic.lock is a leaf but for the LAPICs' bus, which takes messages without a lock of
 * its own, and wake().
 * Sources: Intel 82093AA I/O Advanced Programmable Interrupt Controller (IOAPIC), Register Descriptions; the EOI
 * register as version 0x20 has it (I/O Controller Hub 9 data sheet, APIC Registers).
 */
#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/lapic.h"

#define IOAPIC_PINS 24U

struct ioapic {
	struct bus_region region;
	struct lapic_bus *bus; /* where messages go; borrowed */
	struct lock lock;
	uint8_t select;	 /* IOREGSEL */
	uint8_t id;	 /* 4 bits */
	uint32_t levels; /* pins that are asserted, whatever their polarity */
	uint64_t entries[IOAPIC_PINS];
};

/* ioapic_init() - every pin masked; the region (ops, lock and size) is ready for bus_add() at LAYOUT_IOAPIC. */
void ioapic_init(struct ioapic *ioapic, struct lapic_bus *bus);
/* ioapic_reset() - the registers; pins stay as asserted as they are. */
void ioapic_reset(struct ioapic *ioapic);
/* ioapic_line() - a pin is asserted or not. Out of range: no-op. */
void ioapic_line(struct ioapic *ioapic, unsigned pin, bool level);
/* ioapic_eoi() - a LAPIC's broadcast, or the EOI register: level-triggered pins with this vector may ask again. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);
