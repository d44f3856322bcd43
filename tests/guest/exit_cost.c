/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an exit costs, in ticks of the TSC: CPUID, a port that a device answers, a device's memory, the LAPIC both ways.
 * Under an emulator that counts instructions (QEMU's -icount shift=1) a tick is half of one, and the same each time; then
 * "cpuid-most=N" and its kin on the command line are limits.
 */
#include "lib/guest.h"

#define PORT_SCRATCH 0x3ffU	 /* the serial port's scratch register */
#define IOAPIC_INDEX 0xfec00000U /* read and written without effect */
#define LAPIC_ID     0xfee00020U
#define LAPIC_TPR    0xfee00080U
#define MSR_APIC     0x1bU
#define APIC_X2	     0xc00U
#define MSR_X2_ID    0x802U
#define MSR_X2_TPR   0x808U

static void do_nothing(void)
{
	barrier();
}

static void do_cpuid(void)
{
	uint32_t regs[4];

	cpuid(0x80000000, 0, regs);
}

static void do_out(void)
{
	out8(PORT_SCRATCH, 0x55);
}

static void do_in(void)
{
	(void)in8(PORT_SCRATCH);
}

static void do_mmio_read(void)
{
	(void)read32(IOAPIC_INDEX);
}

static void do_mmio_write(void)
{
	write32(IOAPIC_INDEX, 0);
}

static void do_lapic_read(void)
{
	(void)read32(LAPIC_ID);
}

static void do_lapic_write(void)
{
	write32(LAPIC_TPR, 0);
}

static void do_x2apic_read(void)
{
	(void)msr_read(MSR_X2_ID);
}

static void do_x2apic_write(void)
{
	msr_write(MSR_X2_TPR, 0);
}

static uint64_t measure(void (*fn)(void), unsigned loops)
{
	uint64_t least = UINT64_MAX;

	fn(); /* what is decoded or translated at first is not what an exit costs */
	fn();
	for (unsigned round = 0; round < 2;
	     round++) { /* an interrupt of the host's may fall into one */
		uint64_t start = tsc();
		for (unsigned i = 0; i < loops; i++)
			fn();
		uint64_t ticks = (tsc() - start) / loops;
		least = ticks < least ? ticks : least;
	}
	return least;
}

static void one(const char *name, const char *most, void (*fn)(void), unsigned loops, uint64_t base)
{
	uint64_t ticks = measure(fn, loops);

	ticks = ticks > base ? ticks - base : 0;
	print(name);
	print(": ");
	print_number(ticks);
	print(" ticks\n");
	check(name, ticks > 0 && ticks <= option_number(most, UINT64_MAX));
}

void guest_main(void)
{
	unsigned loops = (unsigned)option_number("loops", 200);
	uint64_t base = measure(do_nothing, loops);

	one("cpuid", "cpuid-most", do_cpuid, loops, base);
	one("port_write", "port-most", do_out, loops, base);
	one("port_read", "port-most", do_in, loops, base);
	one("mmio_read", "mmio-most", do_mmio_read, loops, base);
	one("mmio_write", "mmio-most", do_mmio_write, loops, base);
	one("lapic_read", "lapic-most", do_lapic_read, loops, base);
	one("lapic_write", "lapic-most", do_lapic_write, loops, base);
	msr_write(MSR_APIC, msr_read(MSR_APIC) | APIC_X2);
	one("x2apic_read", "x2apic-most", do_x2apic_read, loops, base);
	one("x2apic_write", "x2apic-most", do_x2apic_write, loops, base);
}
