/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vm/vcpu_task.h"
#include "x86/descriptor.h"

#define RAM (UINT64_C(1) << 20)

/* Where things are; the tables of pages are used by those who turn paging on. */
#define GDT	0x1000U
#define OLD_TSS 0x2000U
#define NEW_TSS 0x3000U
#define LDT	0x4000U
#define STACK	0x6000U
#define DIR	0x8000U
#define TABLE	0x9000U

enum {
	CODE = 0x08,
	DATA = 0x10,
	OLD = 0x18,
	NEW = 0x20,
	USER_CODE = 0x28,
	USER_DATA = 0x30,
	TABLE_OF = 0x38
};

static uint8_t ram[RAM] __attribute__((aligned(4096)));
static struct guest_mem mem;
static struct x86_state cpu;
static struct task_fault fault;

static void put(unsigned at, unsigned bytes, uint64_t value)
{
	memcpy(ram + at, &value, bytes);
}

static uint32_t word(unsigned at, unsigned bytes)
{
	uint32_t value = 0;

	memcpy(&value, ram + at, bytes);
	return value;
}

static void describe(unsigned selector, uint32_t base, uint32_t limit, uint8_t type, uint8_t dpl)
{
	const struct x86_segment s = { .base = base,
				       .limit = limit,
				       .type = type & 0xf,
				       .s = type & 0x10,
				       .dpl = dpl,
				       .present = true,
				       .db = true };

	put(GDT + selector, 8, x86_descriptor(&s));
}

static uint8_t type_of(unsigned selector)
{
	return ram[GDT + selector + 5] & 0xf;
}

static void new_task(void)
{
	put(NEW_TSS + 28, 4, DIR);
	put(NEW_TSS + 32, 4, 0x5000); /* EIP */
	put(NEW_TSS + 36, 4, 0x202);
	put(NEW_TSS + 40, 4, 0xaaaa); /* EAX */
	put(NEW_TSS + 56, 4, STACK);
	put(NEW_TSS + 72, 4, DATA); /* ES, CS, SS, DS */
	put(NEW_TSS + 76, 4, CODE);
	put(NEW_TSS + 80, 4, DATA);
	put(NEW_TSS + 84, 4, DATA);
}

static int setup(void **state)
{
	(void)state;
	memset(ram, 0, sizeof(ram));
	mem = (struct guest_mem){ 0 };
	fault = (struct task_fault){ 0 };
	cpu = (struct x86_state){
		.rip = 0x100,
		.rflags = 2,
		.cr0 = X86_CR0_PE,
		.gdt = { GDT, 0xff },
		.tr = { .base = OLD_TSS,
			.limit = 103,
			.selector = OLD,
			.type = 0xb,
			.present = true },
		.ldt = { .unusable = true },
		.dr = { [7] = 0x7ff },
	};
	cpu.regs[X86_RAX] = 0x1111;
	cpu.segs[X86_CS] = (struct x86_segment){
		.selector = CODE, .type = 0xb, .s = true, .present = true, .limit = 0xfffff
	};
	describe(CODE, 0, 0xfffff, 0x1a, 0);
	describe(DATA, 0, 0xfffff, 0x12, 0);
	describe(OLD, OLD_TSS, 103, 0xb, 0);
	describe(NEW, NEW_TSS, 103, 0x9, 0);
	describe(USER_CODE, 0, 0xfffff, 0x1b, 3);
	describe(USER_DATA, 0, 0xfffff, 0x13, 3);
	describe(TABLE_OF, LDT, 0xff, 0x2, 0);
	new_task();
	return mem_add(&mem, 0, RAM, ram, false);
}

static int go_with(enum hw_task_why why, struct hw_event event, unsigned len)
{
	const struct hw_task task = { .why = (uint8_t)why, .selector = NEW, .event = event };

	return task_switch(&mem, &cpu, &task, len, 40, &fault);
}

static int go(enum hw_task_why why)
{
	return go_with(why, (struct hw_event){ 0 }, 7);
}

static const struct hw_event double_fault = { HW_EVENT_EXCEPTION, 8, true, 0 };

static void assert_fault(int r, uint8_t vector, uint32_t error)
{
	assert_int_equal(r, -EFAULT);
	assert_int_equal(fault.vector, vector);
	assert_int_equal(fault.error, error);
}

/* Tables that map [0, 4 MiB) to itself. */
static void paging_on(void)
{
	put(DIR, 4, TABLE | 7);
	for (unsigned i = 0; i < 1024; i++)
		put(TABLE + 4 * i, 4, i << 12 | 3);
	cpu.cr0 |= X86_CR0_PG | X86_CR0_WP;
	cpu.cr3 = DIR;
}

static void a_call_saves_the_old_task_and_nests(void **state)
{
	(void)state;
	assert_int_equal(go(HW_TASK_CALL), 0);
	assert_int_equal(word(OLD_TSS + 32, 4), 0x107);
	assert_int_equal(word(OLD_TSS + 40, 4), 0x1111);
	assert_int_equal(word(OLD_TSS + 76, 4), CODE);
	assert_int_equal(word(NEW_TSS, 2), OLD);
	assert_int_equal(type_of(OLD), 0xb);
	assert_int_equal(type_of(NEW), 0xb);
	assert_int_equal(cpu.tr.selector, NEW);
	assert_int_equal(cpu.tr.type, 0xb);
	assert_int_equal(cpu.rip, 0x5000);
	assert_int_equal(cpu.rflags, 0x4202);
	assert_int_equal(cpu.regs[X86_RAX], 0xaaaa);
	assert_true(cpu.cr0 & X86_CR0_TS);
	assert_int_equal(cpu.dr[7], 0x6aa);
	assert_int_equal(cpu.segs[X86_CS].type, 0xb); /* accessed, here and in the table */
	assert_int_equal(type_of(CODE), 0xb);
	assert_true(cpu.segs[X86_FS].unusable);
	assert_int_equal(cpu.cr3, 0); /* no paging, no CR3 */
}

static void a_jump_leaves_the_old_one_free(void **state)
{
	(void)state;
	put(NEW_TSS, 2, 0x77);
	assert_int_equal(go(HW_TASK_JMP), 0);
	assert_int_equal(type_of(OLD), 0x9);
	assert_int_equal(type_of(NEW), 0xb);
	assert_int_equal(word(NEW_TSS, 2), 0x77);
	assert_int_equal(cpu.rflags, 0x202);
}

static void iret_goes_where_the_old_task_says(void **state)
{
	const struct hw_task task = { .why = HW_TASK_IRET };

	(void)state;
	put(OLD_TSS, 2, NEW);
	describe(NEW, NEW_TSS, 103, 0xb, 0);
	cpu.rflags = 0x4002;
	assert_int_equal(task_switch(&mem, &cpu, &task, 1, 40, &fault), 0);
	assert_int_equal(word(OLD_TSS + 36, 4), 2); /* NT is over */
	assert_int_equal(type_of(OLD), 0x9);
	assert_int_equal(type_of(NEW), 0xb);
	assert_int_equal(cpu.tr.selector, NEW);
	put(OLD_TSS, 2, NEW);
	cpu.tr =
		(struct x86_segment){ .base = OLD_TSS, .limit = 103, .selector = OLD, .type = 0xb };
	describe(NEW, NEW_TSS, 103, 0x9, 0); /* nobody called from there */
	assert_fault(task_switch(&mem, &cpu, &task, 1, 40, &fault), 10, NEW);
}

static void an_iret_to_itself_finds_what_it_saved(void **state)
{
	const struct hw_task task = { .why = HW_TASK_IRET };

	(void)state;
	cpu.tr =
		(struct x86_segment){ .base = NEW_TSS, .limit = 103, .selector = NEW, .type = 0xb };
	describe(NEW, NEW_TSS, 103, 0xb, 0);
	put(NEW_TSS, 2, NEW);
	cpu.segs[X86_SS].selector = DATA;
	assert_int_equal(task_switch(&mem, &cpu, &task, 1, 40, &fault), 0);
	assert_int_equal(cpu.rip, 0x101);
	assert_int_equal(cpu.regs[X86_RAX], 0x1111);
}

static void a_double_fault_has_its_error_code_on_the_new_stack(void **state)
{
	(void)state;
	put(STACK - 4, 4, 0x55);
	assert_int_equal(go_with(HW_TASK_GATE, double_fault, 0), 0);
	assert_int_equal(cpu.regs[X86_RSP], STACK - 4);
	assert_int_equal(word(STACK - 4, 4), 0);
	assert_int_equal(word(OLD_TSS + 32, 4), 0x100);
	assert_int_equal(word(NEW_TSS, 2), OLD);
}

static void a_stack_without_room_for_it_is_the_new_tasks_fault(void **state)
{
	(void)state;
	describe(DATA, 0, 0xfff, 0x13, 0); /* STACK is above that */
	assert_fault(go_with(HW_TASK_GATE, (struct hw_event){ HW_EVENT_EXCEPTION, 14, true, 2 }, 0),
		     12, 1);
	assert_int_equal(cpu.tr.selector, NEW);
	assert_int_equal(cpu.regs[X86_RSP], STACK);
}

static void a_16_bit_task(void **state)
{
	(void)state;
	describe(NEW, NEW_TSS, 43, 0x1, 0);
	memset(ram + NEW_TSS, 0, 104);
	put(NEW_TSS + 14, 2, 0x1234);
	put(NEW_TSS + 16, 2, 2);
	put(NEW_TSS + 26, 2, STACK);
	put(NEW_TSS + 34, 8, (uint64_t)DATA << 48 | (uint64_t)DATA << 32 | CODE << 16 | DATA);
	ram[GDT + DATA + 6] &= 0xbf; /* its stack pointer is SP */
	cpu.cr3 = 0x7000;
	assert_int_equal(go_with(HW_TASK_GATE, double_fault, 0), 0);
	assert_int_equal(cpu.rip, 0x1234);
	assert_int_equal((uint32_t)cpu.regs[X86_RSP], 0xffff0000 | (STACK - 2));
	assert_int_equal(cpu.cr3, 0x7000);
	assert_int_equal(cpu.tr.type, 3);
}

static void what_is_wrong_with_the_tss_is_the_old_tasks_fault(void **state)
{
	const struct hw_task nowhere = { .why = HW_TASK_CALL, .selector = 0x200 };
	const struct hw_task local = { .why = HW_TASK_CALL, .selector = NEW | 4 };
	const struct x86_state before = cpu;

	(void)state;
	assert_fault(task_switch(&mem, &cpu, &nowhere, 7, 40, &fault), 13, 0x200);
	assert_fault(task_switch(&mem, &cpu, &local, 7, 40, &fault), 13, NEW | 4);
	describe(NEW, NEW_TSS, 102, 0x9, 0);
	assert_fault(go(HW_TASK_CALL), 10, NEW);
	describe(NEW, NEW_TSS, 103, 0xb, 0); /* busy */
	assert_fault(go(HW_TASK_JMP), 13, NEW);
	describe(NEW, NEW_TSS, 103, 0x9, 0);
	ram[GDT + NEW + 5] &= 0x7f;
	assert_fault(go_with(HW_TASK_GATE, double_fault, 0), 11, NEW | 1);
	ram[GDT + NEW + 5] |= 0x80;
	cpu.tr.limit = 102;
	assert_fault(go(HW_TASK_CALL), 10, OLD);
	cpu.tr.limit = 103;
	assert_memory_equal(&cpu, &before, sizeof(cpu));
	assert_int_equal(type_of(NEW), 0x9);
}

static void wrong_segments_are_the_new_tasks_fault(void **state)
{
	static const struct {
		unsigned at, selector, vector, error;
	} wrong[] = {
		{ 76, 0, 10, 0 },
		{ 76, DATA, 10, DATA },
		{ 76, USER_CODE, 10, USER_CODE },
		{ 80, 0, 10, 0 },
		{ 80, CODE, 10, CODE },
		{ 80, DATA | 3, 10, DATA },
		{ 80, 0x1f8, 10, 0x1f8 },
		{ 84, OLD, 10, OLD },
		{ 72, 0x13, 10, DATA },
		{ 96, TABLE_OF | 4, 10, TABLE_OF | 4 },
		{ 96, DATA, 10, DATA },
		{ 92, 0x1f8, 10, 0x1f8 },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(setup(state), 0);
		put(NEW_TSS + wrong[i].at, 4, wrong[i].selector);
		assert_fault(go(HW_TASK_JMP), (uint8_t)wrong[i].vector, wrong[i].error);
		assert_int_equal(cpu.tr.selector, NEW);
		assert_int_equal(cpu.rip, 0x5000);
		/* What an entry of any hardware's wants. */
		assert_true(cpu.segs[X86_CS].present && cpu.segs[X86_CS].type & 8);
		assert_true(cpu.segs[X86_SS].present && cpu.segs[X86_SS].type & 2);
		assert_int_equal(cpu.segs[X86_CS].dpl, cpu.segs[X86_SS].dpl);
	}
}

static void segments_that_are_not_present(void **state)
{
	(void)state;
	ram[GDT + CODE + 5] &= 0x7f;
	assert_fault(go(HW_TASK_JMP), 11, CODE);
	assert_int_equal(setup(state), 0);
	ram[GDT + DATA + 5] &= 0x7f;
	assert_fault(go(HW_TASK_JMP), 12, DATA);
	assert_int_equal(setup(state), 0);
	ram[GDT + USER_DATA + 5] &= 0x7f;
	put(NEW_TSS + 88, 4, USER_DATA);
	assert_fault(go(HW_TASK_JMP), 11, USER_DATA);
}

static void a_task_of_user_mode_with_a_local_table(void **state)
{
	(void)state;
	put(NEW_TSS + 72, 4, 0);
	put(NEW_TSS + 76, 4, USER_CODE | 3);
	put(NEW_TSS + 80, 4, 0xf | 0); /* the second of its table */
	put(NEW_TSS + 84, 4, USER_DATA | 3);
	put(NEW_TSS + 96, 4, TABLE_OF);
	memcpy(ram + LDT + 8, ram + GDT + USER_DATA, 8);
	assert_int_equal(go(HW_TASK_JMP), 0);
	assert_int_equal(cpu.ldt.base, LDT);
	assert_int_equal(cpu.segs[X86_SS].selector, 0xf);
	assert_int_equal(cpu.segs[X86_SS].dpl, 3);
	assert_true(cpu.segs[X86_ES].unusable);
}

static void virtual_8086_mode_has_its_own_segments(void **state)
{
	(void)state;
	put(NEW_TSS + 36, 4, 0x20202);
	put(NEW_TSS + 76, 4, 0x1234);
	put(NEW_TSS + 80, 4, 0);
	assert_int_equal(go(HW_TASK_JMP), 0);
	assert_int_equal(cpu.segs[X86_CS].base, 0x12340);
	assert_int_equal(cpu.segs[X86_CS].limit, 0xffff);
	assert_int_equal(cpu.segs[X86_CS].type, 3);
	assert_int_equal(cpu.segs[X86_SS].dpl, 3);
}

static void a_trap_comes_before_the_first_instruction(void **state)
{
	(void)state;
	put(NEW_TSS + 100, 2, 1);
	assert_fault(go(HW_TASK_CALL), 1, 0);
	assert_int_equal(cpu.tr.selector, NEW);
	assert_int_equal(cpu.dr[6], 0x8000);
}

static void pages_are_walked_and_marked(void **state)
{
	(void)state;
	paging_on();
	put(NEW_TSS + 28, 4, DIR);
	assert_int_equal(go(HW_TASK_CALL), 0);
	assert_int_equal(cpu.cr3, DIR);
	assert_int_equal(word(TABLE + 4 * (OLD_TSS >> 12), 4), OLD_TSS | 0x63);
	assert_int_equal(word(TABLE + 4 * (GDT >> 12), 4), GDT | 0x63);
	assert_int_equal(word(TABLE + 4 * (NEW_TSS >> 12), 4), NEW_TSS | 0x63); /* the way back */
	assert_int_equal(word(TABLE + 4 * 5, 4), 0x5003);
}

static void a_page_that_is_not_there_is_the_old_tasks_fault(void **state)
{
	struct x86_state before;

	(void)state;
	paging_on();
	put(TABLE + 4 * (NEW_TSS >> 12), 4, 0);
	before = cpu;
	assert_fault(go(HW_TASK_CALL), 14, 0);
	assert_int_equal(fault.gva, NEW_TSS);
	assert_memory_equal(&cpu, &before, sizeof(cpu));
	put(TABLE + 4 * (NEW_TSS >> 12), 4, NEW_TSS | 3);
	put(TABLE + 4 * (OLD_TSS >> 12), 4, OLD_TSS | 1); /* read-only */
	assert_fault(go(HW_TASK_CALL), 14, 3);
	assert_int_equal(fault.gva, OLD_TSS + 32);
	put(TABLE + 4 * (OLD_TSS >> 12), 4, OLD_TSS | 3);
	assert_int_equal(go(HW_TASK_CALL), 0);
}

static void a_tss_is_no_page_of_user_modes(void **state)
{
	(void)state;
	paging_on();
	cpu.cr4 |= 0x200000; /* SMAP */
	put(TABLE + 4 * (NEW_TSS >> 12), 4, NEW_TSS | 7);
	assert_fault(go(HW_TASK_CALL), 14, 1);
	assert_int_equal(fault.gva, NEW_TSS);
	put(TABLE + 4 * (NEW_TSS >> 12), 4, NEW_TSS | 3);
	put(TABLE + 4 * (OLD_TSS >> 12), 4, OLD_TSS | 7);
	assert_fault(go(HW_TASK_CALL), 14, 3);
	put(TABLE + 4 * (OLD_TSS >> 12), 4, OLD_TSS | 3);
	put(TABLE + 4 * ((STACK >> 12) - 1), 4, (STACK - 0x1000) | 7);
	assert_fault(go_with(HW_TASK_GATE, double_fault, 0), 14, 3);
	assert_int_equal(fault.gva, STACK - 4);
	assert_int_equal(cpu.tr.selector, NEW);
}

static void the_new_tasks_tables_are_used_for_its_segments(void **state)
{
	(void)state;
	paging_on();
	put(NEW_TSS + 28, 4, 0xa000); /* nothing is mapped there */
	assert_fault(go(HW_TASK_JMP), 14, 0);
	assert_int_equal(fault.gva, GDT + CODE);
	assert_int_equal(cpu.cr3, 0xa000);
}

static void reserved_bits_of_pdptes_are_the_old_tasks_fault(void **state)
{
	(void)state;
	put(DIR, 8, 0xa001);
	put(0xa000, 8, 0x83); /* 2 MiB */
	put(NEW_TSS + 28, 4, 0xb000);
	put(0xb000, 8, 0xa001);
	put(0xb018, 8, 0xa041);
	cpu.cr0 |= X86_CR0_PG;
	cpu.cr4 |= X86_CR4_PAE;
	cpu.cr3 = DIR;
	assert_fault(go(HW_TASK_JMP), 13, 0);
	assert_int_equal(cpu.tr.selector, OLD);
	put(0xb018, 8, UINT64_C(1) << 40 | 1);
	assert_fault(go(HW_TASK_JMP), 13, 0);
	put(0xb018, 8, 0x40); /* not present */
	assert_int_equal(go(HW_TASK_JMP), 0);
}

static void what_is_not_in_memory_is_said(void **state)
{
	(void)state;
	describe(NEW, 0x7ffff000, 103, 0x9, 0);
	assert_int_equal(go(HW_TASK_CALL), -EIO);
	describe(NEW, 0xffffffc0, 103, 0x9, 0); /* its end is at the beginning */
	assert_int_equal(go(HW_TASK_CALL), -EIO);
	cpu.gdt.base = 0xf0000000;
	assert_int_equal(go(HW_TASK_CALL), -EIO);
}

static void faults_while_an_event_is_delivered(void **state)
{
	const struct hw_event irq = { HW_EVENT_IRQ, 13, false, 0 }, insn = { 0 };
	struct hw_event e = { HW_EVENT_EXCEPTION, 6, false, 0 };

	(void)state;
	assert_int_equal(task_combine(&double_fault, 10), TASK_TRIPLE_FAULT);
	assert_int_equal(task_combine(&double_fault, 14), TASK_TRIPLE_FAULT);
	assert_int_equal(task_combine(&double_fault, 1), TASK_FAULT);
	assert_int_equal(task_combine(&irq, 10), TASK_FAULT);
	assert_int_equal(task_combine(&insn, 10), TASK_FAULT);
	assert_int_equal(task_combine(&e, 10), TASK_FAULT); /* #UD */
	e.vector = 13;
	assert_int_equal(task_combine(&e, 11), TASK_DOUBLE_FAULT);
	assert_int_equal(task_combine(&e, 14), TASK_FAULT);
	e.vector = 14;
	assert_int_equal(task_combine(&e, 14), TASK_DOUBLE_FAULT);
	assert_int_equal(task_combine(&e, 12), TASK_DOUBLE_FAULT);
	e.vector = 0;
	assert_int_equal(task_combine(&e, 13), TASK_DOUBLE_FAULT);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		CASE(a_call_saves_the_old_task_and_nests),
		CASE(a_jump_leaves_the_old_one_free),
		CASE(iret_goes_where_the_old_task_says),
		CASE(an_iret_to_itself_finds_what_it_saved),
		CASE(a_double_fault_has_its_error_code_on_the_new_stack),
		CASE(a_stack_without_room_for_it_is_the_new_tasks_fault),
		CASE(a_16_bit_task),
		CASE(what_is_wrong_with_the_tss_is_the_old_tasks_fault),
		CASE(wrong_segments_are_the_new_tasks_fault),
		CASE(segments_that_are_not_present),
		CASE(a_task_of_user_mode_with_a_local_table),
		CASE(virtual_8086_mode_has_its_own_segments),
		CASE(a_trap_comes_before_the_first_instruction),
		CASE(pages_are_walked_and_marked),
		CASE(a_page_that_is_not_there_is_the_old_tasks_fault),
		CASE(a_tss_is_no_page_of_user_modes),
		CASE(the_new_tasks_tables_are_used_for_its_segments),
		CASE(reserved_bits_of_pdptes_are_the_old_tasks_fault),
		CASE(what_is_not_in_memory_is_said),
		CASE(faults_while_an_event_is_delivered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
