/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Power management as ACPI's fixed hardware has it: the PM1 blocks, the PM timer, soft off, the power button, and the
 * chipset's reset register at 0xCF9.
 *
 * Thread rule: any vcpu thread reads and writes; pm_power_button() by any thread; the timer fires on the clock's owner.
 * pm.lock covers all; the interrupt sink and machine_events are called under it.
 * Source: ACPI 6.3, 4.8.3 PM1 Event Grouping to 4.8.4 PM Timer; the reset register as Intel's I/O controller hubs have
 * it (ICH9 datasheet, 13.7.5 RST_CNT).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "machine/bus.h"
#include "machine/events.h"
#include "machine/irq.h"
#include "machine/ops.h"
#include "machine/pci.h"

#define PM_TIMER_HZ UINT64_C(3579545)

struct pm {
	struct lock lock;
	struct bus_region region; /* event block, control, timer */
	struct bus_region reset;  /* a byte inside the PCI bus's ports */
	struct clock *clock;
	struct irq_sink *irq;
	struct machine_events *events;
	struct timer
		timer; /* the next change of the PM timer's bit 31, while the guest asks to hear of it */
	uint64_t carries; /* changes of bit 31 that the guest was told of */
	uint16_t status, enable, control;
	uint8_t reset_control;
	bool sci;
};

/*
 * pm_init() - registers on pio, the reset register on pci
 * Everything is borrowed.   Return: 0, or the bus's error.
 */
int pm_init(struct pm *pm, struct bus *pio, struct pci_bus *pci, struct clock *clock,
	    struct irq_sink *irq, struct machine_events *events, struct err *err);
/* pm_fini() - no timer fires any more once this returned on the clock's owner thread. */
void pm_fini(struct pm *pm);
/*
 * pm_power_button() - press it: a guest that has a driver for it shuts down
 * Return: whether the guest listens; if not, the press waits until it does.
 */
bool pm_power_button(struct pm *pm);
