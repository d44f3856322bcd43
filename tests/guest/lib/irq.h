/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Interrupts: the table, the PICs, the IOAPIC and the LAPIC (xAPIC, by memory). */
#include "guest.h"

struct irq_frame {
	uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

typedef void irq_handler(struct irq_frame *frame);

/* irq_init() - the table, on this CPU; done for the first one. An exception without a handler ends the program. */
void irq_init(void);
void irq_load(void); /* the same table on another CPU */
/* irq_set() - NULL takes it back. */
void irq_set(uint8_t vector, irq_handler *handler);
/* irq_counter() - a handler that counts, and ends the interrupt in the LAPIC. */
irq_handler irq_counter;
extern volatile uint32_t irq_counts[256];
/* irq_gap() - interrupts on for a while: one that is due comes. */
void irq_gap(void);
/* irq_wait() - until irq_counts[vector] is at least count; false after the seconds. Interrupts are on meanwhile. */
bool irq_wait(uint8_t vector, uint32_t count, unsigned seconds);

/* ---- the two PICs: 8259A data sheet ---- */
/* pic_init() - vectors from base and base + 8 up; all lines masked. */
void pic_init(uint8_t base);
void pic_mask(unsigned line, bool masked);
void pic_eoi(unsigned line);

/* ---- LAPIC: SDM 3A, Advanced Programmable Interrupt Controller ---- */
#define LAPIC_ID      0x20
#define LAPIC_VERSION 0x30
#define LAPIC_TPR     0x80
#define LAPIC_PPR     0xa0
#define LAPIC_EOI     0xb0
#define LAPIC_LDR     0xd0
#define LAPIC_DFR     0xe0
#define LAPIC_SVR     0xf0
#define LAPIC_ISR     0x100
#define LAPIC_IRR     0x200
#define LAPIC_ICR     0x300
#define LAPIC_ICR_TO  0x310
#define LAPIC_TIMER   0x320
#define LAPIC_LINT0   0x350
#define LAPIC_LINT1   0x360
#define LAPIC_INITIAL 0x380
#define LAPIC_CURRENT 0x390
#define LAPIC_DIVIDE  0x3e0

#define LVT_MASKED   0x10000U
#define LVT_PERIODIC 0x20000U
#define LVT_EXTINT   0x700U

uint32_t lapic_read(unsigned reg);
void lapic_write(unsigned reg, uint32_t value);
void lapic_init(void); /* enabled, LINT0 masked, spurious vector 255 */
uint32_t lapic_id(void);
/* lapic_ipi() - command: delivery mode, vector, level (SDM 3A, Interrupt Command Register). */
void lapic_ipi(uint32_t to_id, uint32_t command);

/* ---- IOAPIC: 82093AA data sheet ---- */
#define IOAPIC_LEVEL  0x8000U
#define IOAPIC_LOW    0x2000U
#define IOAPIC_MASKED 0x10000U
uint32_t ioapic_read(unsigned reg);
void ioapic_write(unsigned reg, uint32_t value);
/* ioapic_route() - pin to vector on the LAPIC with that id; flags: IOAPIC_*. */
void ioapic_route(unsigned pin, uint8_t vector, uint32_t flags, uint32_t to_id);
