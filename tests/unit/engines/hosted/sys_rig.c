/* SPDX-License-Identifier: Apache-2.0 */
#include "sys_rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "engines/hosted/jit.h"

#define EXT 0x80000000U

/* ---- the translator: there is none; weak, for there is one in the library ---- */

#define WEAK __attribute__((weak))

WEAK enum cpu_result jit_run(struct hosted_cpu *cpu)
{
	(void)cpu;
	return CPU_AGAIN;
}
WEAK void jit_wrote(struct hosted_vm *vm, uint64_t gpa, uint64_t len)
{
	(void)vm;
	(void)gpa;
	(void)len;
}
WEAK bool jit_page_has_code(const struct hosted_vm *vm, uint64_t gpa)
{
	(void)vm;
	(void)gpa;
	return false;
}
WEAK void jit_mapping_changed(struct hosted_cpu *cpu)
{
	(void)cpu;
}

/* ---- memory ---- */

void sys_poke(struct sys_rig *rig, uint64_t at, uint64_t value, unsigned bytes)
{
	memcpy(rig->ram + at, &value, bytes);
}

uint64_t sys_peek(const struct sys_rig *rig, uint64_t at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, rig->ram + at, bytes);
	return value;
}

void sys_set_desc(struct sys_rig *rig, uint16_t selector, uint32_t base, uint32_t limit,
		  unsigned access, unsigned flags)
{
	uint64_t raw = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
		       (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 0xf) << 48 |
		       (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;

	sys_poke(rig, SYS_GDT + (selector & 0xfff8U), raw, 8);
}

void sys_set_gate(struct sys_rig *rig, unsigned vector, uint16_t selector, unsigned type,
		  unsigned ist)
{
	bool is_long = rig->cpu.efer & X86_EFER_LMA;
	uint64_t to = SYS_HANDLERS + vector * 16;
	uint64_t raw = (to & 0xffff) | (uint64_t)selector << 16 | (uint64_t)ist << 32 |
		       (uint64_t)type << 40 | (to >> 16) << 48;

	sys_poke(rig, SYS_IDT + vector * (is_long ? 16 : 8), raw, 8);
	if (is_long)
		sys_poke(rig, SYS_IDT + vector * 16 + 8, 0, 8);
}

static void make_gdt(struct sys_rig *rig, bool is_long)
{
	sys_set_desc(rig, SEL_CODE32, 0, 0xfffff, 0x9a, 0xc);
	sys_set_desc(rig, SEL_DATA, 0, 0xfffff, 0x92, 0xc);
	sys_set_desc(rig, SEL_CODE64, 0, 0xfffff, 0x9a, 0xa);
	sys_set_desc(rig, SEL_USER32, 0, 0xfffff, 0xfa, 0xc);
	sys_set_desc(rig, SEL_USER_DATA, 0, 0xfffff, 0xf2, 0xc);
	sys_set_desc(rig, SEL_USER64, 0, 0xfffff, 0xfa, 0xa);
	sys_set_desc(rig, SEL_TSS, SYS_TSS, 0x2068, 0x89, 0);
	sys_set_desc(rig, SEL_CODE16, SYS_CODE, 0xffff, 0x9a, 0);
	sys_set_desc(rig, SEL_DATA16, 0, 0xffff, 0x92, 0);
	sys_set_desc(rig, SEL_READ_ONLY, 0, 0xfffff, 0x90, 0xc);
	sys_set_desc(rig, SEL_EXEC_ONLY, 0, 0xfffff, 0x98, 0xc);
	sys_set_desc(rig, SEL_DOWN, 0, 0xfff, 0x96, 0x4);
	sys_set_desc(rig, SEL_ABSENT, 0, 0xfffff, 0x12, 0xc);
	sys_set_desc(rig, SEL_CONFORMING, 0, 0xfffff, 0x9e, is_long ? 0xa : 0xc);
	sys_set_desc(rig, SEL_LDT, SYS_LDT, 0xff, 0x82, 0);
	sys_set_desc(rig, SEL_CODE_ABSENT, 0, 0xfffff, 0x1a, is_long ? 0xa : 0xc);
	sys_set_desc(rig, SEL_SMALL, SYS_DATA, 0xfff, 0x92, 0x4);
	sys_set_desc(rig, SEL_CODE1, 0, 0xfffff, 0xba, is_long ? 0xa : 0xc);
	sys_set_desc(rig, SEL_BOTH, 0, 0xfffff, 0x9a, 0xe);
	if (!is_long) {
		sys_set_desc(rig, SEL_TSS2, SYS_TSS2, 0x67, 0x89, 0);
		sys_poke(rig, SYS_GDT + SEL_TASK_GATE, (uint64_t)0xe5 << 40 | SEL_TSS2 << 16, 8);
	}
	/* the call gate: to SYS_HANDLERS, through CODE64 or CODE32, no parameters */
	uint64_t code = is_long ? SEL_CODE64 : SEL_CODE32;
	sys_poke(rig, SYS_GDT + SEL_GATE,
		 (SYS_HANDLERS & 0xffff) | code << 16 | (uint64_t)0xec << 40 |
			 (uint64_t)(SYS_HANDLERS >> 16) << 48,
		 8);
}

/* 2 MiB pages of long mode, and the last of them in 4 KiB ones, so that one can be absent. */
static void make_paging(struct sys_rig *rig)
{
	const uint64_t all = 7, large = 0x87;

	memset(rig->ram + SYS_TABLES, 0, 0x4000);
	sys_poke(rig, SYS_TABLES, (SYS_TABLES + 0x1000) | all, 8);
	sys_poke(rig, SYS_TABLES + 0x1000, (SYS_TABLES + 0x2000) | all, 8);
	sys_poke(rig, SYS_TABLES + 0x2000, large, 8);
	sys_poke(rig, SYS_TABLES + 0x2008, (SYS_TABLES + 0x3000) | all, 8);
	for (uint64_t i = 0; i < 512; i++)
		sys_poke(rig, SYS_TABLES + 0x3000 + i * 8, (0x200000 + i * 0x1000) | all, 8);
	sys_poke(rig, SYS_TABLES + 0x3000 + 511 * 8, 0, 8);
}

/* ---- modes ---- */

static void make_tss(struct sys_rig *rig, bool is_long)
{
	memset(rig->ram + SYS_TSS, 0, 0x1000);
	if (is_long) {
		sys_poke(rig, SYS_TSS + 4, SYS_STACK0, 8);
		sys_poke(rig, SYS_TSS + 36, SYS_STACK1, 8);
	} else {
		sys_poke(rig, SYS_TSS + 4, SYS_STACK0, 4);
		sys_poke(rig, SYS_TSS + 8, SEL_DATA, 2);
	}
	sys_poke(rig, SYS_TSS + 102, 0x68, 2);
}

static void load(struct sys_rig *rig, enum x86_seg seg, uint16_t selector)
{
	struct seg_desc desc;

	assert_int_equal(seg_desc(&rig->cpu, selector, SYS_GP, 0, &desc), CPU_OK);
	desc.seg.type |= 1;
	rig->cpu.segs[seg] = desc.seg;
}

static void load_segments(struct sys_rig *rig, enum sys_mode mode, uint8_t cpl)
{
	static const uint16_t code[][2] = {
		[SYS_P16] = { SEL_CODE16, SEL_CODE16 },
		[SYS_P32] = { SEL_CODE32, SEL_USER32 },
		[SYS_COMPAT] = { SEL_CODE32, SEL_USER32 },
		[SYS_LONG] = { SEL_CODE64, SEL_USER64 },
	};
	const bool user = cpl == 3;
	uint16_t data = mode == SYS_P16 ? SEL_DATA16 : user ? SEL_USER_DATA : SEL_DATA;

	rig->cpu.cpl = cpl;
	for (unsigned i = 0; i < X86_SEGS; i++)
		load(rig, i, (uint16_t)((i == X86_CS ? code[mode][user] : data) | cpl));
}

static void enter_8086(struct sys_rig *rig)
{
	for (unsigned i = 0; i < X86_SEGS; i++) {
		rig->cpu.segs[i] = seg_null(0, 0); /* so that the limit is set */
		seg_8086(&rig->cpu, i, 0);
	}
	seg_8086(&rig->cpu, X86_CS, SYS_CODE >> 4);
	rig->cpu.rip = 0;
}

void sys_mode(struct sys_rig *rig, enum sys_mode mode, uint8_t cpl)
{
	struct hosted_cpu *cpu = &rig->cpu;
	bool is_long = mode >= SYS_COMPAT;

	memset(rig->ram, 0, 0x10000);
	cpu->cr0 = X86_CR0_ET | (mode == SYS_REAL ? 0 : X86_CR0_PE) | (is_long ? X86_CR0_PG : 0);
	cpu->cr4 = is_long ? X86_CR4_PAE | X86_CR4_OSFXSR : 0;
	cpu->efer = is_long ? X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE : 0;
	cpu->rflags = X86_RFLAGS_FIXED | (mode == SYS_VM86 ? SYS_FL_VM : 0);
	cpu->cr3 = SYS_TABLES;
	cpu->cr8 = cpu->cr2 = 0;
	cpu->dr[6] = 0xffff0ff0;
	cpu->dr[7] = 0x400;
	cpu->shadow = 0;
	cpu->halted = false;
	memset(cpu->regs, 0, sizeof(cpu->regs));
	make_gdt(rig, is_long);
	make_tss(rig, is_long);
	make_paging(rig);
	cpu->gdt = (struct x86_table){ SYS_GDT, SEL_BEYOND - 1 };
	cpu->idt = (struct x86_table){ SYS_IDT, is_long ? 0xfff : 0x7ff };
	cpu->ldt = seg_null(0, 0);
	cpu->regs[X86_RSP] = cpl == 3 ? SYS_STACK3 : SYS_STACK0;
	cpu->rip = mode == SYS_P16 ? 0 : SYS_CODE;
	mmu_flush_all(cpu);
	struct seg_desc tss;
	cpu->cpl = 0;
	assert_int_equal(seg_desc(cpu, SEL_TSS, SYS_GP, 0, &tss), CPU_OK);
	tss.seg.type = SYS_TYPE_TSS_BUSY;
	cpu->tr = tss.seg;
	for (unsigned i = 0; i < 256; i++)
		sys_set_gate(rig, i, is_long ? SEL_CODE64 : SEL_CODE32, 0x8e, 0);
	if (mode == SYS_REAL || mode == SYS_VM86)
		enter_8086(rig);
	else
		load_segments(rig, mode, cpl);
	cpu_mode_update(cpu);
}

/* ---- instructions ---- */

static unsigned from_hex(const char *hex, uint8_t ret[X86_INSN_MAX])
{
	unsigned n = 0;

	for (; *hex; hex++) {
		if (*hex == ' ')
			continue;
		const char byte[3] = { hex[0], hex[1], 0 };
		assert_in_range(n, 0, X86_INSN_MAX - 1);
		ret[n++] = (uint8_t)strtoul(byte, NULL, 16);
		hex++;
	}
	return n;
}

struct x86_insn sys_decode(const struct sys_rig *rig, const char *hex)
{
	uint8_t bytes[X86_INSN_MAX];
	unsigned n = from_hex(hex, bytes);
	struct x86_insn insn;

	assert_int_equal(x86_decode(bytes, n, rig->cpu.mode & CPU_MODE_CODE, &insn), n);
	return insn;
}

enum cpu_result sys_exec(struct sys_rig *rig, const char *hex)
{
	uint8_t bytes[X86_INSN_MAX];
	unsigned n = from_hex(hex, bytes);
	struct x86_insn insn;
	int len = x86_decode(bytes, n, rig->cpu.mode & CPU_MODE_CODE, &insn);

	memset(&rig->cpu.fault, 0, sizeof(rig->cpu.fault));
	if (len < 0)
		return fault_raise(&rig->cpu, SYS_UD);
	assert_int_equal(len, n);
	return system_execute(&rig->cpu, &insn);
}

void sys_faults(struct sys_rig *rig, const char *hex, unsigned vector, int error)
{
	uint64_t rip = rig->cpu.rip, rsp = rig->cpu.regs[X86_RSP];

	assert_int_equal(sys_exec(rig, hex), CPU_FAULT);
	assert_int_equal(rig->cpu.fault.vector, vector);
	assert_int_equal(rig->cpu.fault.has_error, error >= 0);
	if (error >= 0)
		assert_int_equal(rig->cpu.fault.error, error);
	assert_int_equal(rig->cpu.rip, rip);
	assert_int_equal(rig->cpu.regs[X86_RSP], rsp);
}

void sys_runs(struct sys_rig *rig, const char *hex)
{
	uint8_t bytes[X86_INSN_MAX];
	uint64_t next = rig->cpu.rip + from_hex(hex, bytes);

	assert_int_equal(sys_exec(rig, hex), CPU_OK);
	assert_int_equal(rig->cpu.rip, next);
}

/* ---- the machine ---- */

static const struct cpuid_leaf sys_leaves[] = {
	{ .function = 0, .eax = 0xd, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65 },
	{ .function = 1, .ecx = 1U << 17 | 1U << 26 | 1U << 28, .edx = 0xffffffff },
	{ .function = 7,
	  .indexed = true,
	  .ebx = 1U | 1U << 7 | 1U << 10 | 1U << 20,
	  .ecx = 1U << 2 | 1U << 22 },
	{ .function = 0xd, .indexed = true, .eax = 7, .ebx = 832, .ecx = 832 },
	{ .function = 0xd, .index = 1, .indexed = true, .eax = 7 },
	{ .function = 0xd, .index = 2, .indexed = true, .eax = 256, .ebx = 576 },
	{ .function = EXT, .eax = EXT + 8 },
	{ .function = EXT + 1, .ecx = 1U << 7, .edx = 1U << 27 | 1U << 29 },
	{ .function = EXT + 8, .eax = 48 },
};

void sys_show(struct sys_rig *rig, uint32_t function, uint32_t index, enum cpuid_reg reg,
	      unsigned bit, bool on)
{
	struct cpuid_leaf *leaf = cpuid_find(rig->cpu.leaves, rig->cpu.n_leaves, function, index);

	assert_non_null(leaf);
	uint32_t *word = cpuid_reg(leaf, reg);
	*word = on ? *word | 1U << bit : *word & ~(1U << bit);
}

int sys_rig_create(void **state)
{
	struct sys_rig *rig = aligned_alloc(64, (sizeof(*rig) + 63) & ~63UL);
	struct err err = { 0 };

	assert_non_null(rig);
	memset(rig, 0, sizeof(*rig));
	rig->ram = aligned_alloc(4096, SYS_RAM);
	assert_non_null(rig->ram);
	memset(rig->ram, 0, SYS_RAM);
	assert_int_equal(mem_add(&rig->mem, 0, SYS_RAM, rig->ram, false), 0);
	rig->vm.mem = &rig->mem;
	rig->vm.n_cpus = 1;
	rig->vm.cpus[0] = &rig->cpu;
	rig->cpu.vm = &rig->vm;
	rig->cpu.interp = &rig->interp;
	rig->cpu.io_out = &rig->io;
	memcpy(rig->cpu.leaves, sys_leaves, sizeof(sys_leaves));
	rig->cpu.n_leaves = ARRAY_SIZE(sys_leaves);
	rig->cpu.apic_base = 0xfee00900;
	rig->cpu.xcr0 = 7;
	rig->cpu.xsave_bytes = 832;
	rig->cpu.xsave_mask = 7;
	rig->cpu.xsave = aligned_alloc(64, 832);
	assert_non_null(rig->cpu.xsave);
	memset(rig->cpu.xsave, 0, 832);
	assert_int_equal(mmu_vcpu_create(&rig->cpu, &err), 0);
	*state = rig;
	return 0;
}

int sys_rig_destroy(void **state)
{
	struct sys_rig *rig = *state;

	mmu_vcpu_destroy(&rig->cpu);
	free(rig->cpu.xsave);
	free(rig->ram);
	free(rig);
	return 0;
}
