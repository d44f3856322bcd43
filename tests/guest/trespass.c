/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest has no business with: memory that is not its own, ports that nobody answers, MSRs' reserved bits, instructions
 * of a hypervisor's. Each is answered as on a machine that has none of it, or by a fault. Then, by "end=N" on the command
 * line: 1 a triple fault, 2 code from where no memory is, 3 page tables there, 4 an endless loop, 5 one string instruction that goes on for
 * hours.
 */
#include "lib/irq.h"

#define VECTOR_UD    6
#define VECTOR_GP    13
#define VENDOR_INTEL 0x756e6547U /* "Genu" */
#define RFLAGS_RF    0x10000U
#define SCRATCH	     0x3ff /* the serial port's scratch register */

static volatile uint32_t faults;
static volatile unsigned insn_len;
static bool all_resume = true; /* every fault's frame had RF */

static void skip_fault(struct irq_frame *frame)
{
	faults++;
	all_resume = all_resume && frame->rflags & RFLAGS_RF;
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
}

static int64_t hypercall(uint64_t what, uint64_t low, uint64_t high, uint64_t lowest, uint64_t icr)
{
	int64_t result;
	uint32_t id[4];

	cpuid(0, 0, id);
	if (id[1] == VENDOR_INTEL)
		__asm__ volatile("vmcall"
				 : "=a"(result)
				 : "a"(what), "b"(low), "c"(high), "d"(lowest), "S"(icr)
				 : "memory");
	else
		__asm__ volatile("vmmcall"
				 : "=a"(result)
				 : "a"(what), "b"(low), "c"(high), "d"(lowest), "S"(icr)
				 : "memory");
	return result;
}

/* KVM's: those that are not there say so, and those that are do not reach past the guest's own CPUs. */
static void hypercalls(void)
{
	faults = 0;
	check_equal("unknown_hypercall", (uint64_t)hypercall(4711, 0, 0, 0, 0), (uint64_t)-1000);
	check_equal("ipi_past_all_cpus", (uint64_t)hypercall(10, UINT64_MAX, UINT64_MAX, 2, 0x40),
		    0);
	check_equal("ipi_from_the_last_id_on",
		    (uint64_t)hypercall(10, UINT64_MAX, UINT64_MAX, UINT64_MAX, 0x40), 0);
	check_equal("ipi_by_shorthand", (uint64_t)hypercall(10, 1, 0, 0, 0xc0040), (uint64_t)-22);
	check_equal("hypercalls_do_not_fault", faults, 0);
}

static bool cr4_faults(uint64_t value)
{
	faults = 0;
	insn_len = 3;
	__asm__ volatile("mov %0, %%cr4" : : "a"(value) : "memory");
	return faults == 1;
}

/* What the CPU has and the guest's CPUID does not tell of is not there either; an emulated CPU would just take it. */
static void control(void)
{
	uint64_t cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	check("cr4_reserved", cr4_faults(cr4 | 1U << 15) && cr4_faults(0xffffffff));
	check("cr4_vmxe", cr4_faults(cr4 | 1U << 13));
	check("cr4_high", cr4_faults(cr4 | 1ULL << 40));
	check("cr4_pae_in_long_mode", cr4_faults(cr4 & ~0x20ULL));
	check("cr4_pge", !cr4_faults(cr4 ^ 0x80) && !cr4_faults(cr4));
	uint64_t now;
	__asm__ volatile("mov %%cr4, %0" : "=r"(now));
	check_equal("cr4_is_as_before", now, cr4);
	insn_len = 2;
	faults = 0;
	__asm__ volatile("ud2");
	check_equal("ud2_faults", faults, 1);
	check("faults_have_rf", all_resume);
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

/* 512 GiB of addresses that are all the same 2 MiB of memory, written to a port. */
static void string_without_end(void)
{
	static uint64_t upper[512] __attribute__((aligned(4096)));
	static uint64_t lower[512] __attribute__((aligned(4096)));
	uint64_t *top, from = 1ULL << 39, n = from;

	__asm__ volatile("mov %%cr3, %0" : "=r"(top));
	for (unsigned i = 0; i < 512; i++) {
		lower[i] = 0x83; /* 2 MiB, writable, present */
		upper[i] = (uintptr_t)lower | 3;
	}
	top[1] = (uintptr_t)upper | 3;
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"((uint16_t)SCRATCH) : "memory");
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
	if (how == 5)
		string_without_end();
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
	hypercalls();
	control();
	memory();
	ports();
	end(option_number("end", 0));
}
