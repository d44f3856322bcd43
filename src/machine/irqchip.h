/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The machine's own interrupt controllers and their timer in one piece, as a PC wires them: for engines that bring none.
 *
 *	line(gsi) --+--> PIC (0..15) --> LINT0 of the boot CPU, and IOAPIC pin 0 (ExtINT)
 *	            +--> IOAPIC pin gsi; GSI 0 is pin 2 (the MADT's interrupt source override) --> LAPICs
 *	msi(addr, data) ------------------------------------------------------------------------> LAPICs
 *	PIT channel 0 --> line(0)
 *
 * A vcpu's run loop, on its own thread, before each run():
 *
 *	lapic_cr8_set(lapic, cr8_get(vcpu))		before each look at the LAPIC, at its registers too
 *	while ((event = lapic_event_take(lapic, &vector)) != LAPIC_EVENT_NONE)
 *		reset, start, or inject_nmi() the vcpu
 *	if (lapic_waits(lapic)) sleep until wake()
 *	if (irqchip_pending(chip, index)) {
 *		if (irq_ready(vcpu)) {
 *			vector = irqchip_accept(chip, index)
 *			if (vector >= 0) inject(vcpu, vector)
 *		}
 *		irq_window(vcpu, irqchip_pending(chip, index))
 *	}
 *
 * A halted vcpu sleeps while !irqchip_has_work(). wake() may come at any moment before that is asked again, so the
 * sleeper checks after it has said that it sleeps.
 *
 * Thread rules: those of each part; lock order pit, device -> pic -> ioapic -> lapic (a leaf).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/err.h"
#include "machine/bus.h"
#include "machine/ioapic.h"
#include "machine/irq.h"
#include "machine/lapic.h"
#include "machine/pic.h"
#include "machine/pit.h"

struct irqchip;

struct irqchip_ops {
	/* Mandatory, any thread, controllers' locks held: vcpu `index` has something to take. */
	void (*wake)(struct irqchip *chip, unsigned index);
	/* Optional: lapic_bus_ops.tsc_to_ns. */
	uint64_t (*tsc_to_ns)(struct irqchip *chip, unsigned index, uint64_t tsc);
};

struct irqchip_config {
	const struct irqchip_ops *ops;
	struct clock *clock; /* borrowed */
	struct bus *mmio,
		*pio;	/* borrowed: the IOAPIC's page, the PIC's and the PIT's ports are added */
	unsigned vcpus; /* 1..LAPIC_MAX */
	uint8_t phys_bits; /* guest physical address width */
};

struct irqchip { /* embedded by its owner, who keeps what its ops need around it */
	struct irq_sink sink;
	const struct irqchip_ops *ops;
	struct lapic_bus bus;
	struct pic pic;
	struct ioapic ioapic;
	struct pit pit;
	struct lapic lapics[LAPIC_MAX];
};

/*
 * irqchip_init() - as firmware leaves them: the boot CPU in virtual wire mode, everything else masked
 * Return: 0, or -EINVAL (vcpus), -EEXIST or -ENOSPC from the buses; then nothing is left on them.
 */
int irqchip_init(struct irqchip *chip, const struct irqchip_config *config, struct err *err);
/* irqchip_reset() - the same again; no vcpu runs. */
void irqchip_reset(struct irqchip *chip);
/* irqchip_fini() - timers are cancelled. */
void irqchip_fini(struct irqchip *chip);
/* irqchip_pending() - owner of the vcpu: whether irqchip_accept() would give a vector. */
bool irqchip_pending(struct irqchip *chip, unsigned index);
/* irqchip_accept() - owner: the vector to inject now, or -1. The PIC's come first, as from its own pin. */
int irqchip_accept(struct irqchip *chip, unsigned index);
/* irqchip_has_work() - owner: whether a halted vcpu goes on. */
bool irqchip_has_work(struct irqchip *chip, unsigned index);
/* irqchip_msi_decode() - what a device's write means. Return: false: not an interrupt. */
bool irqchip_msi_decode(uint64_t addr, uint32_t data, struct lapic_msg *ret);
