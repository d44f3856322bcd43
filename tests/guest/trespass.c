/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest has no business with: memory that is not its own, ports that nobody answers, MSRs' reserved bits, instructions
 * of a hypervisor's. Each is answered as on a machine that has none of it, or by a fault. Then, by "end=N" on the command
 * line: 1 a triple fault, 2 code from where no memory is, 3 page tables there, 4 an endless loop.
 */
#include "lib/irq.h"

#define VECTOR_UD 6
#define VECTOR_GP 13

static volatile uint32_t faults;
static volatile unsigned insn_len;

static void skip_fault(struct irq_frame *frame)
{
	faults++;
	frame->rip += insn_len;
}

/* Whether WRMSR of this value is a general protection fault. */
static bool wrmsr_faults(uint32_t index, uint64_t value)
{
	faults = 0;
	insn_len = 2;
	msr_write(index, value);
	return faults == 1;
}

static bool rdmsr_faults(uint32_t index)
{
	faults = 0;
	insn_len = 2;
	(void)msr_read(index);
	return faults == 1;
}

static void msrs(void)
{
	check("efer_reserved", wrmsr_faults(0xc0000080, msr_read(0xc0000080) | 1U << 1));
	check("efer_svme", wrmsr_faults(0xc0000080, msr_read(0xc0000080) | 1U << 12));
	check("apic_base_reserved", wrmsr_faults(0x1b, msr_read(0x1b) | 1));
	check("pat_type", wrmsr_faults(0x277, 2));
	check("vm_hsave", rdmsr_faults(0xc0010117) && wrmsr_faults(0xc0010117, 0x1000));
	check("unknown", rdmsr_faults(0x12345678) && wrmsr_faults(0x12345678, 0));
	check("smm_base_of_intel", rdmsr_faults(0x9e));
}

static void instructions(void)
{
	insn_len = 3;
	faults = 0;
	__asm__ volatile("vmrun %%rax" : : "a"(0x1000ULL) : "memory");
	__asm__ volatile("vmload %%rax" : : "a"(0x1000ULL) : "memory");
	__asm__ volatile("vmsave %%rax" : : "a"(0x1000ULL) : "memory");
	__asm__ volatile("clgi");
	__asm__ volatile("stgi");
	check_equal("svm_is_not_there", faults, 5);
	faults = 0;
	__asm__ volatile("vmmcall" : : "a"(0ULL));
	check_equal("no_hypercalls", faults, 1);
}

/* Past the guest's RAM and below the devices, and above 4 GiB: as a bus where nobody answers. */
static void memory(void)
{
	static const uint64_t places[] = { 0x40000000, 0x80000000, 0xa0000000, 0xd0000000,
					   0xfef00000 };
	bool empty = true;

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		write64(places[i], 0x1234);
		empty = empty && read64(places[i]) == UINT64_MAX && read8(places[i] + 4095) == 0xff;
	}
	check("no_memory_there", empty);
}

/* All but those that this machine has: a device of the server's would answer. */
static void ports(void)
{
	bool empty = true;

	for (unsigned port = 0x100; port < 0x3f8; port++)
		empty = empty && in8((uint16_t)port) == 0xff;
	for (unsigned port = 0x1000; port < 0xc000; port += 0x10) {
		out32((uint16_t)port, 0);
		empty = empty && in32((uint16_t)port) == UINT32_MAX;
	}
	check("nobody_at_those_ports", empty);
}

static void end(uint64_t how)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none;

	print("now\n");
	if (how == 1)
		__asm__ volatile("lidt %0; ud2" : : "m"(none));
	if (how == 2)
		__asm__ volatile("jmp *%0" : : "r"(0xd0000000ULL));
	if (how == 3)
		__asm__ volatile("mov %0, %%cr3; nop" : : "r"(0x40000000ULL) : "memory");
	while (how == 4)
		barrier();
}

void guest_main(void)
{
	irq_init();
	irq_set(VECTOR_UD, skip_fault);
	irq_set(VECTOR_GP, skip_fault);
	msrs();
	instructions();
	memory();
	ports();
	end(option_number("end", 0));
}
