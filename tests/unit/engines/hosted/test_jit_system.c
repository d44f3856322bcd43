/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translated code of a kernel on a whole machine. STI: the instruction behind it retires before an interrupt comes, whoever executes it.
 * The end of the lower half of the address space: what branches over it faults there.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/core/macros.h"
#include "random_rig.h"

/* Physical pages, mapped at the same addresses; behind them a page of a device's. */
#define GDT	  0x1000U
#define IDT	  0x2000U
#define PML4	  0x4000U
#define PDPT	  0x5000U
#define PD	  0x6000U
#define PT	  0x7000U
#define HANDLERS  0xf000U
#define CODE	  0x20000U
#define TARGET	  0x20800U
#define DATA	  0x30000U
#define STACK	  0x40000U
#define DEVICE	  0x50000U
#define ABSENT	  0x51000U
#define CACHE	  (UINT64_C(2) << 20)
#define HLT	  0xf4
#define VECTOR	  0x40U
#define VECTOR_PF 14U
#define DIV	  9U /* rows[] */

static void put64(struct random_rig *rig, uint64_t at, uint64_t value)
{
	memcpy(rig->ram + at, &value, 8);
}

static uint64_t get64(const struct random_rig *rig, uint64_t at)
{
	uint64_t value;

	memcpy(&value, rig->ram + at, 8);
	return value;
}

static void tables_put(struct random_rig *rig)
{
	put64(rig, GDT + 8, UINT64_C(0x00af9b000000ffff));
	put64(rig, GDT + 16, UINT64_C(0x00cf93000000ffff));
	for (unsigned i = 0; i < 256; i++) {
		const uint64_t handler = HANDLERS + 4 * i;
		/* trap gates: IF stays set */
		put64(rig, IDT + 16 * i, handler | 8U << 16 | UINT64_C(0x8f00) << 32);
		rig->ram[handler] = HLT;
	}
	put64(rig, PML4, PDPT | 0x63);
	put64(rig, PDPT, PD | 0x63);
	put64(rig, PD, PT | 0x63);
	for (unsigned i = 0; i < 256; i++)
		put64(rig, PT + 8 * i, (uint64_t)i << 12 | 0x63);
	put64(rig, PT + (DEVICE >> 12) * 8, UINT64_C(0xfe000063));
	put64(rig, PT + (ABSENT >> 12) * 8, 0);
	/* the last page of the lower half is that of the code again */
	put64(rig, PML4 + 8 * 255, PDPT | 0x63);
	put64(rig, PDPT + 8 * 511, PD | 0x63);
	put64(rig, PD + 8 * 511, PT | 0x63);
	put64(rig, PT + 8 * 511, CODE | 0x63);
}

static struct x86_state kernel_state(uint64_t rip)
{
	struct x86_state s;

	x86_state_reset(&s, true);
	for (unsigned i = 0; i < X86_SEGS; i++)
		s.segs[i] = (struct x86_segment){ .limit = UINT32_MAX,
						  .selector = 16,
						  .type = 3,
						  .s = true,
						  .present = true,
						  .db = true,
						  .g = true };
	s.segs[X86_CS].selector = 8;
	s.segs[X86_CS].type = 11;
	s.segs[X86_CS].db = false;
	s.segs[X86_CS].l = true;
	s.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP;
	s.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR;
	s.cr3 = PML4;
	s.efer = X86_EFER_LME | X86_EFER_LMA;
	s.gdt = (struct x86_table){ GDT, 23 };
	s.idt = (struct x86_table){ IDT, 0xfff };
	s.rflags = X86_RFLAGS_FIXED;
	s.rip = rip;
	s.regs[X86_RSP] = STACK;
	s.regs[X86_RDX] = TARGET;
	s.regs[X86_RSI] = DATA;
	s.regs[X86_RDI] = DEVICE;
	s.regs[X86_RBX] = ABSENT;
	s.regs[X86_RCX] = 2;
	return s;
}

static struct random_rig *scene(void **state)
{
	struct random_rig *rig = *state;

	random_thread();
	tables_put(rig);
	rig->ram[TARGET] = HLT;
	return rig;
}

static int setup(void **state)
{
	static struct random_rig rig;

	*state = &rig;
	random_rig_create(&rig, 1, CACHE);
	return 0;
}

static int teardown(void **state)
{
	random_rig_destroy(*state);
	return 0;
}

/* sti, and what is behind it. */
static void load(struct random_rig *rig, const uint8_t *behind, size_t n)
{
	memset(rig->ram + CODE, 0x90, 64);
	rig->ram[CODE + 1] = 0xfb;
	memcpy(rig->ram + CODE + 2, behind, n);
	mem_wrote(&rig->mem, CODE, 64);
}

/* Somebody waits already: for each of those the translator, C or the interpreter executes. */
static void the_instruction_behind_sti_retires_first(void **state)
{
	static const struct {
		uint8_t code[8], n;
		uint64_t rip; /* behind it; 0: the next one */
	} rows[] = {
		{ { 0xff, 0xc0 }, 2, 0 },			 /* inc eax */
		{ { 0x8b, 0x06 }, 2, 0 },			 /* mov eax, [rsi] */
		{ { 0x89, 0x05, 0x40, 0, 0, 0 }, 6, 0 },	 /* mov [rip + 64], eax: code */
		{ { 0xff, 0xe2 }, 2, TARGET },			 /* jmp rdx */
		{ { 0xff, 0xd2 }, 2, TARGET },			 /* call rdx */
		{ { 0xeb, 0xfd }, 2, CODE + 1 },		 /* jmp to the STI */
		{ { 0xe2, 0xfc }, 2, CODE },			 /* loop */
		{ { 0x0f, 0xa2 }, 2, 0 },			 /* cpuid */
		{ { 0x0f, 0x01, 0xf8 }, 3, 0 },			 /* swapgs */
		{ { 0xf7, 0xf1 }, 2, 0 },			 /* div ecx */
		{ { 0xf3, 0xa5 }, 2, 0 },			 /* rep movsd, to the device */
		{ { 0xfb }, 1, 0 },				 /* sti */
		{ { 0x8b, 0x03 }, 2, HANDLERS + 4 * VECTOR_PF }, /* mov eax, [rbx] */
		{ { 0x0f, 0x0b }, 2, HANDLERS + 4 * 6 },	 /* ud2 */
	};
	struct random_rig *rig = scene(state);
	struct vcpu *vcpu = rig->vcpus[0];

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		const unsigned row = i / 2; /* the second time it is translated */
		struct x86_state s = kernel_state(CODE);
		struct vcpu_io io = { 0 };
		if (i % 2 == 0)
			load(rig, rows[row].code, rows[row].n);
		s.regs[X86_RDX] = row == DIV ? 0 : TARGET;
		assert_int_equal(hosted_cpu_ops.state_set(vcpu, &s), 0);
		hosted_cpu_ops.irq_window(vcpu, true);
		enum vcpu_exit exit = hosted_cpu_ops.run(vcpu, &io);
		while (random_answer(exit, &io))
			exit = hosted_cpu_ops.run(vcpu, &io);
		assert_int_equal(exit, VCPU_EXIT_IRQ_WINDOW);
		hosted_cpu_ops.irq_window(vcpu, false);
		(void)hosted_cpu_ops.state_get(vcpu, &s);
		uint64_t next = CODE + 2 + rows[row].n;
		assert_int_equal(s.rip, rows[row].rip ? rows[row].rip : next);
	}
}

/* The instruction behind STI goes to a device: what comes due there waits until it has retired. */
static void an_interrupt_that_comes_due_behind_sti(void **state)
{
	static const uint8_t code[] = { 0x8b, 0x07, 0xff, 0xc3, HLT }; /* mov eax, [rdi]; inc ebx */
	struct random_rig *rig = scene(state);
	struct vcpu *vcpu = rig->vcpus[0];

	load(rig, code, sizeof(code));
	for (unsigned i = 0; i < 4; i++) {
		struct x86_state s = kernel_state(CODE);
		struct vcpu_io io = { 0 };
		assert_int_equal(hosted_cpu_ops.state_set(vcpu, &s), 0);
		assert_int_equal(hosted_cpu_ops.run(vcpu, &io), VCPU_EXIT_MMIO);
		memset(io.mmio.data, 0x11, io.mmio.len);
		if (i % 2)
			hosted_cpu_ops.irq_window(vcpu, true);
		else
			assert_int_equal(hosted_cpu_ops.inject(vcpu, VECTOR), 0);
		enum vcpu_exit exit = hosted_cpu_ops.run(vcpu, &io);
		(void)hosted_cpu_ops.state_get(vcpu, &s);
		hosted_cpu_ops.irq_window(vcpu, false);
		assert_int_equal(s.regs[X86_RAX], 0x11111111);
		assert_int_equal(s.regs[X86_RBX], ABSENT);
		if (i % 2) {
			assert_int_equal(exit, VCPU_EXIT_IRQ_WINDOW);
			assert_int_equal(s.rip, CODE + 4);
		} else {
			assert_int_equal(exit, VCPU_EXIT_HLT);
			assert_int_equal(s.rip, HANDLERS + 4 * VECTOR + 1);
			assert_int_equal(get64(rig, s.regs[X86_RSP]), CODE + 4);
		}
	}
}

static void a_direct_branch_to_no_address_faulted_at_its_target(void **state)
{
	static const uint8_t rows[][6] = {
		{ 0xeb, 0x40 },		       /* jmp */
		{ 0xe9, 0x40, 0, 0, 0 },       /* jmp */
		{ 0x74, 0x40 },		       /* je */
		{ 0x0f, 0x84, 0x40, 0, 0, 0 }, /* je */
		{ 0xe8, 0x40, 0, 0, 0 },       /* call */
		{ 0xe2, 0x40 },		       /* loop */
	};
	const uint64_t last = UINT64_C(0x7fffffffffe0);
	struct random_rig *rig = scene(state);
	struct vcpu *vcpu = rig->vcpus[0];

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		struct x86_state s = kernel_state(last);
		struct vcpu_io io = { 0 };
		memset(rig->ram + CODE + 0xfe0, 0x90, 32);
		memcpy(rig->ram + CODE + 0xfe1, rows[i / 2], sizeof(rows[0]));
		if (i % 2 == 0)
			mem_wrote(&rig->mem, CODE + 0xfe0, 32);
		put64(rig, STACK - 8, 0);
		s.rflags |= X86_ZF;
		assert_int_equal(hosted_cpu_ops.state_set(vcpu, &s), 0);
		assert_int_equal(hosted_cpu_ops.run(vcpu, &io), VCPU_EXIT_HLT);
		(void)hosted_cpu_ops.state_get(vcpu, &s);
		assert_int_equal(s.rip, HANDLERS + 4 * 13 + 1);
		assert_int_equal(get64(rig, s.regs[X86_RSP] + 8), last + 1);
		assert_int_equal(get64(rig, s.regs[X86_RSP] + 32), STACK);
		assert_int_equal(s.regs[X86_RCX], 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_instruction_behind_sti_retires_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_interrupt_that_comes_due_behind_sti, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_direct_branch_to_no_address_faulted_at_its_target,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
