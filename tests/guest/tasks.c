/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task switches: what 32-bit systems have of them. The program leaves long mode for each case, for code in the assembler's words below
 * whose virtual addresses are physical as well, and looks at what it left when it is back. "all=1" on the command line: also what
 * QEMU's CPU does not do. "end=1": it ends by a triple fault. 32 MiB of memory.
 * Source: Intel SDM 3A, Task Management.
 */
#include "lib/irq.h"

/* Selectors; each TSS's number below is its place among them. */
#define SEL_CODE  0x08
#define SEL_DATA  0x10
#define SEL_LONG  0x18
#define SEL_MAIN  0x20
#define SEL_TASK  0x28
#define SEL_OTHER 0x30
#define SEL_SMALL 0x38 /* 16-bit */
#define SEL_SHORT 0x40 /* its limit is */
#define SEL_GATE  0x48 /* to SEL_TASK */
#define SEL_LOW	  0x50 /* code, from small_body on */
#define SEL_STACK 0x58 /* 16-bit */
#define SELECTORS 12

#define FLAGS_NT UINT32_C(0x4000)
#define FLAGS_VM UINT32_C(0x20000)
#define CR0_TS	 UINT32_C(8)
#define DR6_BT	 UINT32_C(0x8000)

#define TYPE_TSS      0x89
#define TYPE_TSS_BUSY 0x8b

/* Mapped to itself, but for the tasks' directory, where it is the page before. */
#define PROBE  UINT32_C(0xc00000)
#define OTHERS UINT32_C(0x800000)

struct tss {
	uint32_t link, stacks[6], cr3, eip, eflags;
	uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi;
	uint32_t es, cs, ss, ds, fs, gs, ldt, trap;
};
struct tss_small {
	uint16_t link, stacks[6], ip, flags;
	uint16_t ax, cx, dx, bx, sp, bp, si, di;
	uint16_t es, cs, ss, ds, ldt;
};
struct table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* What a task found, and what was there when it was over. */
struct seen {
	uint32_t eax, esp, eflags, cr0, tr, top, probe, count;
	uint32_t main_type, task_type, main_eip, main_eflags, task_eip, link, dr6;
};

struct tss main_tss, task_tss, other_tss;
struct tss_small small_tss;
struct seen seen, after;
uint64_t low_gdt[SELECTORS] __attribute__((aligned(16)));
uint64_t low_idt[256] __attribute__((aligned(16)));
uint32_t dir_main[1024] __attribute__((aligned(4096))),
	dir_task[1024] __attribute__((aligned(4096)));
uint8_t low_stack[4096], task_stack[4096], other_stack[4096], small_stack[256];
struct table low_gdtr, low_idtr, none_idtr, long_gdtr, long_idtr;
uint64_t long_rsp, long_cr0, long_cr3, long_cr4;
uint16_t long_cs, long_ss;
/* How the task ends: 0: IRET; 1: JMP to the main one; 2: as 0, with an error code taken from the stack. */
uint32_t task_end, task_resume, nmis_left;
uint16_t bad_selector = 0xff8;

void low_call(uint64_t code);
extern uint8_t task_body[], small_body[], unexpected[];
extern uint8_t t_call[], t_gate[], t_jmp[], t_int[], t_int3[], t_gp[], t_gp_resume[], t_bad[];
extern uint8_t t_short[], t_short_resume[], t_small[], t_nmi[];

/* clang-format off */
__asm__(
	".pushsection .text\n"
	".code64\n"
	"low_call:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; pushfq; cli\n"
	"	mov %rsp, long_rsp; sgdt long_gdtr; sidt long_idtr\n"
	"	mov %cs, long_cs; mov %ss, long_ss\n"
	"	mov %cr0, %rax; mov %rax, long_cr0\n"
	"	mov %cr3, %rax; mov %rax, long_cr3\n"
	"	mov %cr4, %rax; mov %rax, long_cr4\n"
	"	mov %edi, %ebx\n"
	"	lgdt low_gdtr\n"
	"	pushq $0x08; pushq $1f; lretq\n"
	".code32\n"
	"1:	mov $0x10, %eax\n"
	"	mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov %eax, %fs; mov %eax, %gs\n"
	"	mov $low_stack + 4096, %esp\n"
	"	mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n"
	"	mov $0xc0000080, %ecx; rdmsr; and $~0x100, %eax; wrmsr\n"
	"	mov $0x10, %eax; mov %eax, %cr4\n"
	"	mov $dir_main, %eax; mov %eax, %cr3\n"
	"	mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0\n"
	"	lidt low_idtr\n"
	"	mov $0x20, %eax; ltr %ax\n"
	"	call *%ebx\n"
	"	clts\n"
	"	mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n"
	"	mov long_cr4, %eax; mov %eax, %cr4\n"
	"	mov long_cr3, %eax; mov %eax, %cr3\n"
	"	mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr\n"
	"	mov long_cr0, %eax; mov %eax, %cr0\n"
	"	ljmp $0x18, $2f\n"
	".code64\n"
	"2:	mov long_rsp, %rsp; lgdt long_gdtr; lidt long_idtr\n"
	"	movzwl long_ss, %eax; mov %eax, %ss; mov %eax, %ds; mov %eax, %es\n"
	"	movzwl long_cs, %eax; push %rax; pushq $3f; lretq\n"
	"3:	popfq; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n"
	".code32\n"
	/* Any task but the main one; after its IRET it begins again where it is switched to next. */
	"task_body:\n"
	"	mov %eax, seen; mov %esp, seen + 4\n"
	"	mov (%esp), %eax; mov %eax, seen + 20\n"
	"	pushf; pop seen + 8\n"
	"	mov %cr0, %eax; mov %eax, seen + 12\n"
	"	str %eax; mov %eax, seen + 16\n"
	"	mov 0xc00000, %eax; mov %eax, seen + 24\n"
	"	incl seen + 28\n"
	"	movzbl low_gdt + 0x25, %eax; mov %eax, seen + 32\n"
	"	movzbl low_gdt + 0x2d, %eax; mov %eax, seen + 36\n"
	"	mov main_tss + 32, %eax; mov %eax, seen + 40\n"
	"	mov main_tss + 36, %eax; mov %eax, seen + 44\n"
	"	mov task_tss + 32, %eax; mov %eax, seen + 48\n"
	"	mov task_tss, %eax; mov %eax, seen + 52\n"
	"	mov %dr6, %eax; mov %eax, seen + 56\n"
	"	clts\n"
	"	mov task_resume, %eax; test %eax, %eax; jz 1f\n"
	"	mov %eax, main_tss + 32\n"
	"1:	cmpl $0, nmis_left; je 1f\n"
	"	decl nmis_left; call nmi_send\n"
	"1:	cmpl $1, task_end; je 2f; jb 1f\n"
	"	add $4, %esp\n"
	"1:	iret\n"
	"	jmp task_body\n"
	"2:	ljmp $0x20, $0\n"
	"	jmp task_body\n"
	"small_body:\n"
	"	mov %eax, %ds:seen; mov %esp, %ds:seen + 4\n"
	"	str %eax; mov %eax, %ds:seen + 16; incl %ds:seen + 28\n"
	"	iret\n"
	/* What no case expects: the end, and soon. */
	"unexpected:\n"
	"	lidt none_idtr; int3\n"
	"nmi_send:\n"
	"	movl $0x4400, 0xfee00300\n" /* to the id in ICR's upper half: itself */
	"	mov $100000, %ecx\n"
	"1:	testl $0x1000, 0xfee00300; loopnz 1b\n"
	"	ret\n"
	"note:	mov %esi, after; mov %esp, after + 4; pushf; pop after + 8\n"
	"	mov %cr0, %eax; mov %eax, after + 12\n"
	"	str %eax; mov %eax, after + 16\n"
	"	mov 0xc00000, %eax; mov %eax, after + 24\n"
	"	movzbl low_gdt + 0x25, %eax; mov %eax, after + 32\n"
	"	movzbl low_gdt + 0x2d, %eax; mov %eax, after + 36\n"
	"	ret\n"
	"t_call: mov $0x1234abcd, %esi; lcall $0x28, $0xf4f4f4f4; call note; lcall $0x28, $0; ret\n"
	"t_gate: lcall $0x48, $0; call note; ret\n"
	"t_jmp:	mov $0x1234abcd, %esi; ljmp $0x28, $0; call note; ret\n"
	"t_int:	int $0x41; call note; ret\n"
	"t_int3: int3; call note; ret\n"
	"t_gp:	mov bad_selector, %ds\n"
	"t_gp_resume: call note; ret\n"
	"t_bad:	ljmp $0x28, $0; call note; ret\n"
	"t_short: ljmp $0x40, $0\n"
	"t_short_resume: call note; ret\n"
	"t_small: lcall $0x38, $0; call note; ret\n"
	"t_nmi:	call nmi_send; mov $1000000, %ecx\n"
	"1:	cmpl $2, seen + 28; loopne 1b\n"
	"	call note; ret\n"
	".code64\n"
	".popsection\n");
/* clang-format on */

static uint32_t low_of(const void *at)
{
	return (uint32_t)(uintptr_t)at;
}

/* @high: bits 52..55 of a descriptor: G, D, L */
static uint64_t descriptor(uint32_t base, uint32_t limit, uint8_t type, uint8_t high)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)type << 40 |
	       (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)high << 52 |
	       (uint64_t)(base >> 24) << 56;
}

static uint64_t task_gate(uint16_t selector)
{
	return (uint64_t)selector << 16 | UINT64_C(0x8500) << 32;
}

static struct tss task_of(uint8_t *stack, const void *code)
{
	return (struct tss){ .cr3 = low_of(dir_task),
			     .eip = low_of(code),
			     .eflags = 2,
			     .eax = 0x11223344,
			     .esp = low_of(stack + sizeof(task_stack) - 16),
			     .es = SEL_DATA,
			     .cs = SEL_CODE,
			     .ss = SEL_DATA,
			     .ds = SEL_DATA };
}

static void tables_init(void)
{
	uint32_t at = low_of(unexpected);

	low_gdt[SEL_CODE / 8] = descriptor(0, 0xfffff, 0x9b, 0xc);
	low_gdt[SEL_DATA / 8] = descriptor(0, 0xfffff, 0x93, 0xc);
	low_gdt[SEL_LONG / 8] = descriptor(0, 0xfffff, 0x9b, 0xa);
	low_gdt[SEL_MAIN / 8] = descriptor(low_of(&main_tss), sizeof(main_tss) - 1, TYPE_TSS, 0);
	low_gdt[SEL_TASK / 8] = descriptor(low_of(&task_tss), sizeof(task_tss) - 1, TYPE_TSS, 0);
	low_gdt[SEL_OTHER / 8] = descriptor(low_of(&other_tss), sizeof(other_tss) - 1, TYPE_TSS, 0);
	low_gdt[SEL_SMALL / 8] = descriptor(low_of(&small_tss), sizeof(small_tss) - 1, 0x81, 0);
	low_gdt[SEL_SHORT / 8] = descriptor(low_of(&task_tss), sizeof(task_tss) - 2, TYPE_TSS, 0);
	low_gdt[SEL_GATE / 8] = task_gate(SEL_TASK);
	low_gdt[SEL_LOW / 8] = descriptor(low_of(small_body), 0xffff, 0x9b, 0x4);
	low_gdt[SEL_STACK / 8] = descriptor(low_of(small_stack), sizeof(small_stack) - 1, 0x93, 0);
	for (unsigned i = 0; i < 256; i++)
		low_idt[i] = (at & 0xffff) | SEL_CODE << 16 | UINT64_C(0x8e00) << 32 |
			     (uint64_t)(at >> 16) << 48;
	for (uint32_t i = 0; i < 1024; i++)
		dir_main[i] = dir_task[i] = i << 22 | 0x87;
	dir_task[PROBE >> 22] = OTHERS | 0x87;
	low_gdtr = (struct table){ sizeof(low_gdt) - 1, (uintptr_t)low_gdt };
	low_idtr = (struct table){ sizeof(low_idt) - 1, (uintptr_t)low_idt };
}

static void begin(void)
{
	tables_init();
	main_tss = (struct tss){ .cr3 = low_of(dir_main) };
	task_tss = task_of(task_stack, task_body);
	other_tss = task_of(other_stack, task_body);
	memset(task_stack, 0, sizeof(task_stack));
	memset(other_stack, 0, sizeof(other_stack));
	memset(&seen, 0, sizeof(seen));
	memset(&after, 0, sizeof(after));
	task_end = task_resume = nmis_left = 0;
	*(volatile uint32_t *)(uintptr_t)PROBE = 1;
	*(volatile uint32_t *)(uintptr_t)OTHERS = 2;
}

static void run(const uint8_t *code)
{
	low_call((uintptr_t)code);
	barrier();
}

static bool is_back(void)
{
	return after.tr == SEL_MAIN && after.probe == 1 && after.main_type == TYPE_TSS_BUSY &&
	       after.task_type == TYPE_TSS && !(after.eflags & FLAGS_NT);
}

static void calls(void)
{
	begin();
	run(t_call);
	check_equal("a_call_and_iret", seen.count, 2);
	check("the_task_has_its_registers", seen.tr == SEL_TASK && seen.esp == task_tss.esp);
	check("its_page_tables", seen.probe == 2);
	check("is_nested", seen.eflags & FLAGS_NT && seen.link == SEL_MAIN);
	check("has_no_fpu_yet", seen.cr0 & CR0_TS);
	check("both_are_busy", seen.main_type == TYPE_TSS_BUSY && seen.task_type == TYPE_TSS_BUSY);
	check("and_back", is_back() && after.eax == 0x1234abcd);
	begin();
	run(t_gate);
	check("a_task_gate", seen.count == 1 && seen.eax == 0x11223344 && is_back());
	begin();
	task_end = 1;
	run(t_jmp);
	check("a_jump_and_back", seen.count == 1 && is_back() && after.eax == 0x1234abcd);
	check("is_not_nested", !(seen.eflags & FLAGS_NT) && seen.main_type == TYPE_TSS &&
				       seen.task_type == TYPE_TSS_BUSY);
}

static void small(void)
{
	begin();
	small_tss = (struct tss_small){ .flags = 2,
					.ax = 0x5678,
					.sp = sizeof(small_stack),
					.es = SEL_DATA,
					.cs = SEL_LOW,
					.ss = SEL_STACK,
					.ds = SEL_DATA };
	run(t_small);
	check("a_16_bit_task", seen.count == 1 && seen.tr == SEL_SMALL && is_back());
	check_equal("its_registers", seen.eax & 0xffff, 0x5678);
}

static void events(void)
{
	begin();
	low_idt[0x41] = task_gate(SEL_TASK);
	run(t_int);
	check("a_software_interrupt", seen.count == 1 && seen.tr == SEL_TASK && is_back());
	begin();
	low_idt[3] = task_gate(SEL_TASK);
	run(t_int3);
	check("a_breakpoint", seen.count == 1 && is_back());
	check_equal("is_behind_its_instruction", seen.main_eip, low_of(t_int3) + 1);
	begin();
	low_idt[13] = task_gate(SEL_TASK);
	task_end = 2;
	task_resume = low_of(t_gp_resume);
	run(t_gp);
	check("a_fault", seen.count == 1 && is_back());
	check_equal("its_error_code", seen.top, 0xff8);
	check_equal("its_instruction", seen.main_eip, low_of(t_gp));
	begin();
	low_idt[13] &= ~(UINT64_C(0x8000) << 32); /* the gates are not there */
	low_idt[11] &= ~(UINT64_C(0x8000) << 32);
	low_idt[8] = task_gate(SEL_TASK);
	task_end = 2;
	task_resume = low_of(t_gp_resume);
	run(t_gp);
	check("a_double_fault", seen.count == 1 && seen.tr == SEL_TASK && is_back());
	check("its_error_code_is_0", seen.top == 0 && seen.esp == task_tss.esp - 4);
	check_equal("it_can_be_gone_on_from", seen.main_eip, low_of(t_gp));
}

static void nmis(void)
{
	(void)lapic_read(LAPIC_ID);
	begin();
	low_idt[2] = task_gate(SEL_TASK);
	nmis_left = 1;
	run(t_nmi);
	check("an_nmi_during_an_nmis_task_waits", seen.count == 2 && is_back());
}

static void mistakes(void)
{
	begin();
	low_idt[10] = task_gate(SEL_OTHER);
	task_end = 2;
	task_resume = low_of(t_short_resume);
	run(t_short);
	check("a_tss_that_is_too_short", seen.count == 1 && seen.tr == SEL_OTHER && is_back());
	check_equal("the_old_task_gets_the_fault", seen.top, SEL_SHORT);
	begin();
	low_idt[10] = task_gate(SEL_OTHER);
	task_tss.ss = SEL_CODE;
	task_end = 1;
	run(t_bad);
	check("a_stack_that_is_none",
	      seen.count == 1 && seen.tr == SEL_OTHER && other_tss.link == SEL_TASK);
	if (option_number("all", 0))
		check("the_new_task_gets_the_fault",
		      seen.top == SEL_CODE && seen.task_eip == low_of(task_body));
}

static void traps(void)
{
	begin();
	low_idt[1] = task_gate(SEL_OTHER);
	task_tss.trap = 1;
	task_end = 1;
	run(t_bad);
	check("a_task_that_traps", seen.count == 1 && seen.tr == SEL_OTHER && seen.dr6 & DR6_BT);
	check_equal("before_its_first_instruction", seen.task_eip, low_of(task_body));
	begin();
	*(volatile uint16_t *)(uintptr_t)0x42000 = 0x0b0f; /* UD2 */
	low_idt[6] = task_gate(SEL_OTHER);
	task_tss.eflags |= FLAGS_VM;
	task_tss.cs = 0x4200;
	task_tss.eip = 0;
	task_end = 1;
	run(t_bad);
	check("virtual_8086_mode", seen.count == 1 && seen.tr == SEL_OTHER &&
					   task_tss.eflags & FLAGS_VM && task_tss.cs == 0x4200);
}

/* A double fault's task that cannot begin: a triple fault. It does not come back. */
static void broken(void)
{
	begin();
	low_idt[13] = low_idt[11] = 0;
	low_idt[8] = task_gate(SEL_TASK);
	task_tss.ss = SEL_CODE;
	run(t_gp);
	check("a_triple_fault", false);
}

void guest_main(void)
{
	irq_init();
	calls();
	small();
	events();
	nmis();
	mistakes();
	if (option_number("all", 0))
		traps();
	if (option_number("end", 0))
		broken();
}
