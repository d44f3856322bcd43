/* SPDX-License-Identifier: Apache-2.0 */
#include "core/trap.h"

#include <errno.h>
#include <stddef.h>

#include "core/apic.h"
#include "core/clock.h"
#include "core/io.h"
#include "core/panic.h"
#include "core/percpu.h"
#include "core/spin.h"

#define STUB_BYTES 16U

/* SDM 3A, 64-Bit IDT Gate Descriptors. */
struct trap_gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};

struct trap_fixup {
	uint64_t rip, landing;
};

extern const uint8_t trap_stubs[];
extern const struct trap_fixup trap_fixups[], trap_fixups_end[];

struct trap_device {
	void (*handler)(void *arg);
	void *arg;
};

/* One table for all CPUs. */
static struct {
	struct trap_gate idt[256];
	struct spin lock;
	struct trap_device devices[TRAP_TIMER - TRAP_DEVICES];
} traps;

void trap_init(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t stub = (uintptr_t)trap_stubs + i * STUB_BYTES;
		traps.idt[i] = (struct trap_gate){
			.offset_low = (uint16_t)stub,
			.offset_middle = (uint16_t)(stub >> 16),
			.offset_high = (uint32_t)(stub >> 32),
			.selector = CPU_CODE_SELECTOR,
			.type = 0x8e, /* present, interrupt gate */
		};
	}
	traps.idt[TRAP_DOUBLE_FAULT].ist = CPU_IST_DOUBLE_FAULT;
	traps.idt[TRAP_NMI].ist = CPU_IST_NMI;
	traps.idt[TRAP_MACHINE_CHECK].ist = CPU_IST_MACHINE_CHECK;
}

void trap_load(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { sizeof(traps.idt) - 1, (uintptr_t)traps.idt };

	__asm__ volatile("lidt %0" : : "m"(idtr));
}

int trap_vector_take(void (*handler)(void *arg), void *arg)
{
	int vector = -ENOSPC;

	spin_lock(&traps.lock);
	for (int i = 0; i < TRAP_TIMER - TRAP_DEVICES; i++) {
		if (traps.devices[i].handler)
			continue;
		traps.devices[i] = (struct trap_device){ handler, arg };
		vector = TRAP_DEVICES + i;
		break;
	}
	spin_unlock(&traps.lock);
	return vector;
}

void trap_vector_give(int vector)
{
	spin_lock(&traps.lock);
	traps.devices[vector - TRAP_DEVICES] = (struct trap_device){ NULL, NULL };
	spin_unlock(&traps.lock);
}

static bool trap_fix(struct trap_frame *frame)
{
	for (const struct trap_fixup *fixup = trap_fixups; fixup < trap_fixups_end; fixup++) {
		if (fixup->rip != frame->rip)
			continue;
		frame->rip = fixup->landing;
		return true;
	}
	return false;
}

static void trap_interrupt(unsigned vector)
{
	cpu_this()->interrupts++;
	if (vector >= TRAP_DEVICES && vector < TRAP_TIMER) {
		struct trap_device device = traps.devices[vector - TRAP_DEVICES];
		if (device.handler)
			device.handler(device.arg);
	}
	if (vector != TRAP_SPURIOUS)
		apic_eoi();
}

void trap_dispatch(struct trap_frame *frame)
{
	if (frame->vector >= TRAP_EXCEPTIONS)
		trap_interrupt((unsigned)frame->vector);
	else if (!trap_fix(frame))
		panic_trap(frame);
}

void cpu_idle(void)
{
	struct cpu *cpu = cpu_this();
	uint64_t since = clock_ns();

	__asm__ volatile("sti; hlt; cli" : : : "memory");
	cpu->idle_ns += clock_ns() - since;
}

bool msr_read_safe(uint32_t msr, uint64_t *ret)
{
	uint32_t low, high;
	bool is_there = false;

	__asm__ volatile("1:\trdmsr\n\t"
			 "movb $1, %[there]\n"
			 "2:\n\t"
			 ".pushsection .fixup, \"a\"\n\t"
			 ".quad 1b, 2b\n\t"
			 ".popsection"
			 : "=a"(low), "=d"(high), [there] "+&b"(is_there)
			 : "c"(msr));
	if (is_there)
		*ret = (uint64_t)high << 32 | low;
	return is_there;
}

bool msr_write_safe(uint32_t msr, uint64_t value)
{
	bool is_done = false;

	__asm__ volatile("1:\twrmsr\n\t"
			 "movb $1, %[done]\n"
			 "2:\n\t"
			 ".pushsection .fixup, \"a\"\n\t"
			 ".quad 1b, 2b\n\t"
			 ".popsection"
			 : [done] "+b"(is_done)
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
	return is_done;
}
