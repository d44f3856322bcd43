/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where a device's interrupts go: the engine's own controllers (KVM's) or the machine's (machine/irqchip.h).
 * Any thread may call, also with its device's lock held; an implementation takes no device's lock.
 */
#include <stdbool.h>
#include <stdint.h>

struct irq_sink;

struct irq_sink_ops {
	/* Mandatory. Level of a global system interrupt: 0..15 ISA (the PIC's inputs, and the IOAPIC's pins but for 0, which is pin 2), 16..23 PCI INTx. */
	void (*line)(struct irq_sink *sink, uint32_t gsi, bool level);
	/* Mandatory. A message-signalled interrupt: the write that the device would do (SDM 3A, Message Signalled Interrupts). */
	void (*msi)(struct irq_sink *sink, uint64_t addr, uint32_t data);
};

struct irq_sink {
	const struct irq_sink_ops *ops;
};

#define IRQ_GSI_ISA   16U
#define IRQ_GSI_COUNT 24U
