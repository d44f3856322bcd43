/* SPDX-License-Identifier: Apache-2.0 */
#include "irq.h"

#define LAPIC_BASE  0xfee00000ULL
#define IOAPIC_BASE 0xfec00000ULL
#define EXCEPTIONS  32

/* SDM 3A, 64-Bit Mode IDT. */
struct gate {
	uint16_t low, selector, flags, middle;
	uint32_t high, zero;
};

extern const uint8_t irq_stubs[256][16];
void irq_dispatch(struct irq_frame *frame);

static struct gate gates[256] __attribute__((aligned(16)));
static irq_handler *handlers[256];
volatile uint32_t irq_counts[256];

static void gate_set(unsigned vector)
{
	uintptr_t to = (uintptr_t)irq_stubs[vector];

	gates[vector] = (struct gate){
		.low = (uint16_t)to,
		.selector = 0x08,
		.flags = 0x8e00, /* present, interrupt gate */
		.middle = (uint16_t)(to >> 16),
		.high = (uint32_t)(to >> 32),
	};
}

void irq_load(void)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = { sizeof(gates) - 1, (uintptr_t)gates };

	__asm__ volatile("lidt %0" : : "m"(table));
}

void irq_init(void)
{
	for (unsigned vector = 0; vector < EXCEPTIONS; vector++)
		gate_set(vector);
	gate_set(255); /* the LAPIC's spurious one */
	irq_load();
}

void irq_set(uint8_t vector, irq_handler *handler)
{
	handlers[vector] = handler;
	gate_set(vector);
}

void irq_dispatch(struct irq_frame *frame)
{
	uint8_t vector = (uint8_t)frame->vector;

	if (handlers[vector]) {
		handlers[vector](frame);
		return;
	}
	if (vector >= EXCEPTIONS)
		return;
	uint64_t cr2;
	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	print("exception ");
	print_number(vector);
	print(" error ");
	print_hex(frame->error);
	print(" rip ");
	print_hex(frame->rip);
	print(" cr2 ");
	print_hex(cr2);
	print("\n");
	fatal("an exception that nobody expected");
}

void irq_counter(struct irq_frame *frame)
{
	irq_counts[frame->vector & 255]++;
	lapic_write(LAPIC_EOI, 0);
}

void irq_gap(void)
{
	irq_on();
	for (unsigned i = 0; i < 20; i++)
		(void)in8(
			0x80); /* out to the host and back, where a KVM looks for interrupts in any case */
	irq_off();
}

bool irq_wait(uint8_t vector, uint32_t count, unsigned seconds)
{
	struct within w = { 0 };

	irq_on();
	while (irq_counts[vector] < count && within(&w, seconds))
		pause();
	irq_off();
	return irq_counts[vector] >= count;
}

void pic_init(uint8_t base)
{
	out8(0x20, 0x11); /* ICW1: edge, cascade, ICW4 follows */
	out8(0xa0, 0x11);
	out8(0x21, base);
	out8(0xa1, (uint8_t)(base + 8));
	out8(0x21, 4); /* the slave is at line 2 */
	out8(0xa1, 2);
	out8(0x21, 1); /* 8086 mode, no automatic end of interrupt */
	out8(0xa1, 1);
	out8(0x21, 0xff);
	out8(0xa1, 0xff);
}

void pic_mask(unsigned line, bool masked)
{
	uint16_t port = line < 8 ? 0x21 : 0xa1;
	uint8_t bit = (uint8_t)(1U << (line & 7));

	out8(port, masked ? in8(port) | bit : in8(port) & (uint8_t)~bit);
	if (line >= 8 && !masked)
		pic_mask(2, false);
}

void pic_eoi(unsigned line)
{
	if (line >= 8)
		out8(0xa0, 0x20);
	out8(0x20, 0x20);
}

uint32_t lapic_read(unsigned reg)
{
	return read32(LAPIC_BASE + reg);
}

void lapic_write(unsigned reg, uint32_t value)
{
	write32(LAPIC_BASE + reg, value);
}

void lapic_init(void)
{
	lapic_write(LAPIC_LINT0, LVT_MASKED);
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_SVR, 0x1ff);
}

uint32_t lapic_id(void)
{
	return lapic_read(LAPIC_ID) >> 24;
}

void lapic_ipi(uint32_t to_id, uint32_t command)
{
	struct within w = { 0 };

	lapic_write(LAPIC_ICR_TO, to_id << 24);
	lapic_write(LAPIC_ICR, command);
	while ((lapic_read(LAPIC_ICR) & 0x1000) && within(&w, 5)) /* delivery status */
		pause();
}

uint32_t ioapic_read(unsigned reg)
{
	write32(IOAPIC_BASE, reg);
	return read32(IOAPIC_BASE + 0x10);
}

void ioapic_write(unsigned reg, uint32_t value)
{
	write32(IOAPIC_BASE, reg);
	write32(IOAPIC_BASE + 0x10, value);
}

void ioapic_route(unsigned pin, uint8_t vector, uint32_t flags, uint32_t to_id)
{
	ioapic_write(0x10 + 2 * pin, IOAPIC_MASKED);
	ioapic_write(0x11 + 2 * pin, to_id << 24);
	ioapic_write(0x10 + 2 * pin, vector | flags);
}
