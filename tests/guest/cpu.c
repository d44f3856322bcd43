/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a CPU does that a hypervisor has to do for it, or keep from it: control registers, instructions of a hypervisor's,
 * events whose delivery meets memory that is not there yet, NMIs, single steps, breakpoints, alignment faults.
 * "vmx=1" on the command line: also what emulators of AMD's CPUs leave out. 32 MiB of memory.
 */
#include "lib/irq.h"

#define VECTOR_DB   1
#define VECTOR_NMI  2
#define VECTOR_UD   6
#define VECTOR_GP   13
#define VECTOR_AC   17
#define VECTOR_OURS 0x41

#define CR0_NE	  UINT64_C(0x20)
#define CR0_AM	  UINT64_C(0x40000)
#define CR0_NW	  UINT64_C(0x20000000)
#define CR0_CD	  UINT64_C(0x40000000)
#define CR4_VMXE  UINT64_C(0x2000)
#define RFLAGS_TF UINT64_C(0x100)
#define RFLAGS_AC UINT64_C(0x40000)

/* Where the handlers go on, 0: where it was; what they saw. */
static volatile uint64_t resume, seen_rip, seen_error, seen_dr6;
static volatile uint32_t faults, nmis, nmi_depth, nmi_deepest;
static volatile uint64_t nmi_rips[2];

static void fault(struct irq_frame *frame)
{
	faults++;
	seen_rip = frame->rip;
	seen_error = frame->error;
	if (resume)
		frame->rip = resume;
	resume = 0;
}

/* Whether the instruction faults: what follows it is executed either way. */
#define FAULTS(...)                                                                                \
	({                                                                                         \
		faults = 0;                                                                        \
		__asm__ volatile("lea 1f(%%rip), %%r8\n\tmov %%r8, %[resume]\n\t" __VA_ARGS__);    \
		resume = 0;                                                                        \
		faults == 1;                                                                       \
	})
#define RESUME [resume] "m"(resume)

static const uint64_t none[2];

static void hypervisors_instructions(void)
{
	bool all = FAULTS("vmlaunch\n1:" : : RESUME : "r8", "cc", "memory");

	all = FAULTS("vmresume\n1:" : : RESUME : "r8", "cc", "memory") && all;
	all = FAULTS("vmxoff\n1:" : : RESUME : "r8", "cc", "memory") && all;
	all = FAULTS("vmxon %[none]\n1:"
		     :
		     : RESUME, [none] "m"(none)
		     : "r8", "cc", "memory") &&
	      all;
	all = FAULTS("vmclear %[none]\n1:"
		     :
		     : RESUME, [none] "m"(none)
		     : "r8", "cc", "memory") &&
	      all;
	all = FAULTS("vmptrld %[none]\n1:"
		     :
		     : RESUME, [none] "m"(none)
		     : "r8", "cc", "memory") &&
	      all;
	all = FAULTS("vmread %%rax, %%rcx\n1:" : : RESUME : "r8", "rcx", "cc", "memory") && all;
	all = FAULTS("vmwrite %%rax, %%rcx\n1:" : : RESUME : "r8", "cc", "memory") && all;
	check("vmx_is_not_there", all);
	all = FAULTS("xor %%eax, %%eax\n\tgetsec\n1:"
		     :
		     : RESUME
		     : "rax", "rbx", "r8", "cc", "memory");
	check("smx_is_not_there", all);
	all = FAULTS("rdmsr\n1:" : : RESUME, "c"(0x3a) : "r8", "rax", "rdx", "memory");
	all = FAULTS("rdmsr\n1:" : : RESUME, "c"(0x480) : "r8", "rax", "rdx", "memory") && all;
	check("nor_its_msrs", all);
}

static void invalidations(void)
{
	bool all = FAULTS("invept %[none], %%rax\n1:"
			  :
			  : RESUME, [none] "m"(none), "a"(2ULL)
			  : "r8", "cc", "memory");

	all = FAULTS("invvpid %[none], %%rax\n1:"
		     :
		     : RESUME, [none] "m"(none), "a"(2ULL)
		     : "r8", "cc", "memory") &&
	      all;
	check("invept_is_not_there", all);
}

static uint64_t cr0_read(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

static uint64_t cr4_read(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static bool cr0_write_faults(uint64_t value)
{
	return FAULTS("mov %[value], %%cr0\n1:" : : RESUME, [value] "r"(value) : "r8", "memory");
}

static bool cr4_write_faults(uint64_t value)
{
	return FAULTS("mov %[value], %%cr4\n1:" : : RESUME, [value] "r"(value) : "r8", "memory");
}

static void control_registers(void)
{
	uint64_t cr0 = cr0_read(), cr4 = cr4_read();

	check("vmxe_is_hidden", !(cr4 & CR4_VMXE) && cr4_write_faults(cr4 | CR4_VMXE));
	check_equal("cr4_is_as_before", cr4_read(), cr4);
	check("caches_off", !cr0_write_faults(cr0 | CR0_CD | CR0_NW));
	check_equal("is_seen", cr0_read(), cr0 | CR0_CD | CR0_NW);
	check("and_on", !cr0_write_faults(cr0));
	check_equal("is_seen_too", cr0_read(), cr0);
	check("ne_off", !cr0_write_faults(cr0 & ~CR0_NE));
	check_equal("reads_so", cr0_read(), cr0 & ~CR0_NE);
	(void)cr0_write_faults(cr0);
}

static void control_registers_of_silicon(void)
{
	uint64_t cr0 = cr0_read();

	check("paging_without_protection", cr0_write_faults(cr0 & ~UINT64_C(1)));
	check_equal("cr0_is_as_before", cr0_read(), cr0);
	check("write_through_without_cache_off", cr0_write_faults((cr0 | CR0_NW) & ~CR0_CD));
	check("upper_half_of_cr0", cr0_write_faults(cr0 | UINT64_C(1) << 40));
	check_equal("cr0_is_the_same", cr0_read(), cr0);
	check("reserved_bits_of_cr4", cr4_write_faults(cr4_read() | UINT64_C(1) << 31));
}

/* An event on a stack in memory that nobody has touched: its delivery meets an exit, and it is delivered again. */
#define UNTOUCHED(n) (UINT64_C(0x1000000) + (n)*UINT64_C(0x200000) + 0x1000)

#define ON_STACK(top, what)                                                                        \
	__asm__ volatile("mov %%rsp, %%rbx\n\tmov %0, %%rsp\n\t" what "\n\tmov %%rbx, %%rsp"       \
			 :                                                                         \
			 : "r"(top)                                                                \
			 : "rbx", "r9", "memory", "cc")

static void delivery(void)
{
	irq_set(VECTOR_OURS, irq_counter);
	ON_STACK(UNTOUCHED(0), "int $0x41");
	check_equal("software_interrupt", irq_counts[VECTOR_OURS], 1);
	lapic_ipi(lapic_id(), VECTOR_OURS);
	ON_STACK(UNTOUCHED(1), "sti; nop; nop; cli");
	check_equal("interrupt", irq_counts[VECTOR_OURS], 2);
	faults = 0;
	resume = 0;
	__asm__ volatile("lea 1f(%%rip), %%r8\n\tmov %%r8, %[resume]\n\t"
			 "mov %%rsp, %%rbx\n\tmov %[top], %%rsp\n\tmov %w[bad], %%es\n1:\n\t"
			 "mov %%rbx, %%rsp"
			 :
			 : [resume] "m"(resume), [top] "r"(UNTOUCHED(2)), [bad] "r"(0xff8)
			 : "rbx", "r8", "memory");
	check("exception", faults == 1);
	check_equal("its_error_code", seen_error, 0xff8);
	nmis = 0;
	lapic_read(LAPIC_ID);
	ON_STACK(
		UNTOUCHED(3),
		"mov $0xfee00300, %%r9d; movl $0x4400, (%%r9)"); /* to all: itself, by the id in ICR's upper half */
	for (unsigned i = 0; i < 1000 && !nmis; i++)
		(void)in8(0x80);
	check_equal("nmi", nmis, 1);
}

static void nmi_once(struct irq_frame *frame)
{
	(void)frame;
	nmis++;
}

/* Another comes while the first is handled: after its IRET, not before. */
static void nmi_nested(struct irq_frame *frame)
{
	if (nmis < 2)
		nmi_rips[nmis] = frame->rip;
	nmi_depth++;
	nmi_deepest = nmi_depth > nmi_deepest ? nmi_depth : nmi_deepest;
	if (++nmis == 1) {
		lapic_ipi(lapic_id(), 0x4400);
		for (unsigned i = 0; i < 20; i++)
			(void)in8(0x80);
	}
	nmi_depth--;
}

static void non_maskable(void)
{
	irq_set(VECTOR_NMI, nmi_nested);
	nmis = 0;
	lapic_ipi(lapic_id(), 0x4400);
	for (unsigned i = 0; i < 1000 && nmis < 2; i++)
		(void)in8(0x80);
	check_equal("nmi_while_one_is_handled", nmis, 2);
	check_equal("comes_afterwards", nmi_deepest, 1);
	check_equal("at_once", nmi_rips[1], nmi_rips[0]);
}

/* An NMI by the instruction after STI or MOV SS comes right behind that one. */
static void nmi_in_a_shadow(void)
{
	uint64_t after;

	irq_set(VECTOR_NMI, nmi_nested);
	lapic_write(LAPIC_ICR_TO, lapic_id() << 24);
	for (unsigned i = 0; i < 2; i++) {
		nmi_rips[1] = 0;
		nmis = 1; /* its handler sends no other one */
		if (i == 0)
			__asm__ volatile(
				"lea 1f(%%rip), %[after]\n\tsti\n\tmovl $0x4400, (%[icr])\n"
				"1:\tnop\n\tcli"
				: [after] "=&r"(after)
				: [icr] "r"(UINT64_C(0xfee00300))
				: "memory", "cc");
		else
			__asm__ volatile(
				"lea 1f(%%rip), %[after]\n\tmov %%ss, %%eax\n\tmov %%eax, %%ss\n\t"
				"movl $0x4400, (%[icr])\n1:\tnop"
				: [after] "=&r"(after)
				: [icr] "r"(UINT64_C(0xfee00300))
				: "rax", "memory", "cc");
		check_equal(i ? "nmi_in_the_shadow_of_mov_ss" : "nmi_in_the_shadow_of_sti",
			    nmi_rips[1], after);
	}
}

static volatile uint64_t irq_rip;

static void irq_where(struct irq_frame *frame)
{
	irq_rip = frame->rip;
	lapic_write(LAPIC_EOI, 0);
}

/* An instruction that exits in the shadow of STI ends it. */
static void shadow(void)
{
	uint64_t after;

	irq_set(VECTOR_OURS, irq_where);
	lapic_ipi(lapic_id(), VECTOR_OURS);
	irq_rip = 0;
	__asm__ volatile(
		"lea 1f(%%rip), %[after]\n\txor %%eax, %%eax\n\tsti\n\tcpuid\n1:\tnop\n\tcli"
		: [after] "=&r"(after)
		:
		: "rax", "rbx", "rcx", "rdx", "memory", "cc");
	check_equal("the_shadow_of_sti_ends_with_its_instruction", irq_rip, after);
}

static void cr8_write(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

/* What the task priority holds back comes with the instruction that lowers it enough, though that one need not exit. */
static void task_priority(void)
{
	uint64_t after, cr8;

	irq_set(VECTOR_OURS, irq_where);
	irq_rip = 0;
	cr8_write(9);
	lapic_ipi(lapic_id(), VECTOR_OURS);
	irq_on();
	cr8_write(12);
	cr8_write(5);
	cr8_write(4);
	(void)lapic_read(LAPIC_ID);
	cr8_write(6);
	cr8_write(4);
	check_equal("held_by_the_task_priority", irq_rip, 0);
	__asm__ volatile("lea 1f(%%rip), %[after]\n\tmov %[low], %%cr8\n1:\tnop\n\tcli"
			 : [after] "=&r"(after)
			 : [low] "r"(3ULL)
			 : "memory", "cc");
	check_equal("comes_as_that_falls", irq_rip, after);
	__asm__ volatile("mov %%cr8, %0" : "=r"(cr8));
	check_equal("which_is_as_written", cr8, 3);
	cr8_write(8);
	lapic_ipi(lapic_id(), VECTOR_OURS);
	check("not_any_value", FAULTS("mov %[value], %%cr8\n1:"
				      :
				      : RESUME, [value] "r"(16ULL)
				      : "r8", "memory"));
	irq_rip = 0;
	cr8_write(0); /* interrupts are off: it waits for those */
	check_equal("waits_for_interrupts_to_be_on", irq_rip, 0);
	__asm__ volatile("lea 1f(%%rip), %[after]\n\tsti\n\tnop\n1:\tnop\n\tcli"
			 : [after] "=&r"(after)
			 :
			 : "memory", "cc");
	check_equal("and_comes_then", irq_rip, after);
}

static volatile uint64_t steps[8];
static volatile uint32_t n_steps, nmis_when_stepped;

static void debug(struct irq_frame *frame)
{
	uint64_t dr6;

	__asm__ volatile("mov %%db6, %0" : "=r"(dr6));
	seen_dr6 |= dr6;
	__asm__ volatile("mov %0, %%db6" : : "r"(0xffff0ff0ULL));
	if (n_steps < 8)
		steps[n_steps] = frame->rip;
	n_steps++;
	nmis_when_stepped = nmis;
}

static void breakpoint(void)
{
	static volatile uint32_t watched;
	uint64_t after;

	n_steps = 0;
	seen_dr6 = 0;
	__asm__ volatile("mov %0, %%db0; mov %1, %%db7"
			 :
			 : "r"(&watched), "r"(0xd0402ULL)); /* 4 bytes, writes */
	__asm__ volatile("lea 1f(%%rip), %0\n\tmovl $1, %1\n1:"
			 : "=&r"(after), "=m"(watched)
			 :
			 : "memory");
	__asm__ volatile("mov %0, %%db7" : : "r"(0x400ULL));
	check_equal("a_watched_write", n_steps, 1);
	check_equal("is_a_trap", steps[0], after);
	check_equal("which_one", seen_dr6 & 0xf, 1);
	check_equal("dr0_is_kept", ({
			    uint64_t dr0;
			    __asm__ volatile("mov %%db0, %0" : "=r"(dr0));
			    dr0;
		    }),
		    (uintptr_t)&watched);
}

/* A step over what the CPU executes, and one over what the hypervisor executes for it. */
static void single_step(void)
{
	uint64_t first, second, third;

	n_steps = 0;
	seen_dr6 = 0;
	__asm__ volatile(
		"lea 1f(%%rip), %[first]\n\tlea 2f(%%rip), %[second]\n\tlea 3f(%%rip), %[third]\n\t"
		"xor %%eax, %%eax\n\tpushf\n\torl $0x100, (%%rsp)\n\tpopf\n\t"
		"nop\n1:\tcpuid\n2:\tnop\n3:\tpushf\n\tandl $0xfffffeff, (%%rsp)\n\tpopf"
		: [first] "=&r"(first), [second] "=&r"(second), [third] "=&r"(third)
		:
		: "rax", "rbx", "rcx", "rdx", "memory", "cc");
	check_equal("a_single_step", steps[0], first);
	check_equal("says_so", seen_dr6 & 0x4000, 0x4000);
	check_equal("over_an_instruction_that_exits", steps[1], second);
	check_equal("and_the_next", steps[2], third);
}

/* A step and an NMI, both by one instruction that the hypervisor executes: neither is lost, and the NMI waits for no other exit. */
static void step_and_nmi(void)
{
	uint64_t after;

	irq_set(VECTOR_NMI, nmi_once);
	lapic_write(LAPIC_ICR_TO, lapic_id() << 24);
	n_steps = 0;
	nmis = 0;
	__asm__ volatile("lea 1f(%%rip), %[after]\n\tpushf\n\torl $0x100, (%%rsp)\n\tpopf\n\t"
			 "movl $0x4400, (%[icr])\n1:\tpushf\n\tandl $0xfffffeff, (%%rsp)\n\tpopf"
			 : [after] "=&r"(after)
			 : [icr] "r"(UINT64_C(0xfee00300))
			 : "memory", "cc");
	check_equal("a_step_that_meets_an_nmi", steps[0], after);
	check_equal("and_the_nmi", nmis, 1);
	check_equal("comes_before_the_steps_are_over", nmis_when_stepped, 1);
}

/* ---- user mode, for the alignment check ---- */

static uint64_t user_gdt[7];
static uint32_t user_tss[26];
static uint64_t user_stack[512], kernel_stack[512];
static volatile uint64_t back_rsp;

/* Every level above this address is the user's, too. */
static void user_may(uint64_t address)
{
	uint64_t *table;

	__asm__ volatile("mov %%cr3, %0" : "=r"(table));
	table = (uint64_t *)((uintptr_t)table & ~UINT64_C(0xfff));
	for (unsigned level = 4; level-- > 0;) {
		uint64_t *entry = &table[address >> (12 + 9 * level) & 511];
		*entry |= 4;
		if (*entry & 0x80)
			break;
		table = (uint64_t *)(uintptr_t)(*entry & UINT64_C(0xffffffffff000));
	}
	__asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
}

static void alignment(struct irq_frame *frame)
{
	faults += frame->vector == VECTOR_AC;
	seen_error = frame->error;
	frame->rip = resume;
	frame->cs = 0x08;
	frame->ss = 0x10;
	frame->rsp = back_rsp;
	frame->rflags &= ~RFLAGS_AC;
}

static void segments_init(void)
{
	uint64_t tss = (uintptr_t)user_tss, stack = (uintptr_t)&kernel_stack[512];
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = { sizeof(user_gdt) - 1, (uintptr_t)user_gdt };

	user_gdt[1] = 0x00af9b000000ffff;
	user_gdt[2] = 0x00cf93000000ffff;
	user_gdt[3] = 0x00affb000000ffff; /* 0x1b: the user's code */
	user_gdt[4] = 0x00cff3000000ffff; /* 0x23 */
	user_gdt[5] =
		103 | (tss & 0xffffff) << 16 | UINT64_C(0x89) << 40 | (tss >> 24 & 0xff) << 56;
	user_gdt[6] = tss >> 32;
	user_tss[1] = (uint32_t)stack;
	user_tss[2] = (uint32_t)(stack >> 32);
	__asm__ volatile("lgdt %0; ltr %w1" : : "m"(table), "r"(0x28));
}

/* Both by the user: a CPU without alignment checks goes on to the second. */
static void alignment_check(bool is_checked)
{
	segments_init();
	user_may((uintptr_t)alignment_check);
	user_may((uintptr_t)user_stack);
	irq_set(VECTOR_AC, alignment);
	irq_set(VECTOR_UD, alignment); /* there was no fault before it */
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0_read() | CR0_AM));
	faults = 0;
	__asm__ volatile("mov %%rsp, %[back]\n\tlea 2f(%%rip), %%rax\n\tmov %%rax, %[resume]\n\t"
			 "pushq $0x23\n\tpushq %[stack]\n\tpushq $0x40002\n\tpushq $0x1b\n\t"
			 "lea 1f(%%rip), %%rax\n\tpushq %%rax\n\tiretq\n"
			 "1:\tmov -9(%%rsp), %%eax\n\tud2\n2:"
			 : [back] "=m"(back_rsp), [resume] "=m"(resume)
			 : [stack] "r"(&user_stack[256])
			 : "rax", "memory", "cc");
	resume = 0;
	check_equal("an_unaligned_access_of_the_users", faults, is_checked);
	check_equal("error_code_of_an_alignment_check", seen_error, 0);
}

void guest_main(void)
{
	bool is_vmx = option_number("vmx", 0);

	irq_init();
	lapic_init();
	irq_set(VECTOR_UD, fault);
	irq_set(VECTOR_GP, fault);
	irq_set(VECTOR_DB, debug);
	irq_set(VECTOR_NMI, nmi_once);
	hypervisors_instructions();
	control_registers();
	if (is_vmx) {
		invalidations();
		control_registers_of_silicon();
	}
	delivery();
	non_maskable();
	nmi_in_a_shadow();
	shadow();
	task_priority();
	breakpoint();
	single_step();
	step_and_nmi();
	alignment_check(is_vmx);
}
