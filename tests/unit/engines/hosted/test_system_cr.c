/* SPDX-License-Identifier: Apache-2.0 */
/* Control registers, tables, and what makes translations go. */
#include <string.h>

#include "base/core/macros.h"
#include "sys_rig.h"

#define GOOD 0xff

static const struct {
	enum sys_mode mode;
	const char *hex;
	uint64_t rax;
	uint8_t vector;
} crs[] = {
	{ SYS_LONG, "0f22c0", 0x80000011, GOOD },
	{ SYS_LONG, "0f22c0", 0x180000011, SYS_GP }, /* upper half */
	{ SYS_LONG, "0f22c0", 0x80000010, SYS_GP },  /* PG without PE */
	{ SYS_LONG, "0f22c0", 0xa0000011, SYS_GP },  /* NW without CD */
	{ SYS_LONG, "0f22c0", 0x00000011, SYS_GP },  /* paging off in 64-bit code */
	{ SYS_COMPAT, "0f22c0", 0x00000011, GOOD },
	{ SYS_LONG, "0f22d8", 0x10000, GOOD },
	{ SYS_LONG, "0f22d8", 1ULL << 48, SYS_GP },
	{ SYS_LONG, "0f22d8", 1ULL << 63, SYS_GP }, /* no CR4.PCIDE */
	{ SYS_LONG, "0f22e0", 0x20, GOOD },
	{ SYS_LONG, "0f22e0", 0, SYS_GP },	/* PAE off */
	{ SYS_LONG, "0f22e0", 0x2020, SYS_GP }, /* VMXE */
	{ SYS_LONG, "0f22e0", 0x20020, GOOD },	/* PCIDE */
	{ SYS_LONG, "0f22e0", 0x1020, SYS_GP }, /* LA57 */
	{ SYS_LONG, "0f22e0", 0x370fef, GOOD },
	{ SYS_P32, "0f22e0", 0x20020, SYS_GP }, /* PCIDE outside of long mode */
	{ SYS_LONG, "440f22c0", 0xf, GOOD },	/* CR8 */
	{ SYS_LONG, "440f22c0", 0x10, SYS_GP },
	{ SYS_LONG, "0f22d0", 0x123456789abcdef0, GOOD }, /* CR2 */
};

static void control_registers_are_checked(void **state)
{
	struct sys_rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(crs); i++) {
		sys_mode(rig, crs[i].mode, 0);
		rig->cpu.regs[X86_RAX] = crs[i].rax;
		if (crs[i].vector == GOOD)
			sys_runs(rig, crs[i].hex);
		else
			sys_faults(rig, crs[i].hex, crs[i].vector, 0);
	}
}

static void the_way_to_long_mode_and_back(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_P32, 0);
	cpu->efer = X86_EFER_LME;
	cpu->regs[X86_RAX] = 0x80000011;
	sys_faults(rig, "0f22c0", SYS_GP, 0); /* without PAE */
	cpu->cr4 = X86_CR4_PAE;
	cpu->segs[X86_CS].l = true;
	sys_faults(rig, "0f22c0", SYS_GP, 0); /* from a segment with L */
	cpu->segs[X86_CS].l = false;
	sys_runs(rig, "0f22c0");
	assert_true(cpu->efer & X86_EFER_LMA);
	assert_int_equal(cpu->mode & CPU_MODE_CODE, X86_CODE_32);
	cpu->regs[X86_RAX] = 0x11;
	sys_runs(rig, "0f22c0");
	assert_false(cpu->efer & X86_EFER_LMA);
	cpu->regs[X86_RAX] = 0x10;
	sys_runs(rig, "0f22c0");
	assert_true(cpu->mode & CPU_MODE_REAL);
}

/* PDPTEs at SYS_TABLES: all good; behind them others. */
static void pae_tables(struct sys_rig *rig, uint64_t bad)
{
	sys_mode(rig, SYS_P32, 0);
	for (unsigned i = 0; i < 8; i++)
		sys_poke(rig, SYS_DATA + 8 * i, (SYS_TABLES + 0x1000) | 1, 8);
	sys_poke(rig, SYS_DATA + 32 + 8 * 3, bad, 8);
	rig->cpu.cr3 = SYS_DATA + 32;
	rig->cpu.cr4 = X86_CR4_PAE;
}

static void reserved_bits_of_pdptes_were_found_at_the_access(void **state)
{
	static const struct {
		uint64_t entry;
		bool good;
	} rows[] = { { 1, true },
		     { 0x1e6, true },
		     { 0xe19, true },
		     { 3, false },
		     { 5, false },
		     { 0x21, false },
		     { 0x101, false },
		     { 1 | 1ULL << 63, false },
		     { 1 | 1ULL << 52, false } };
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		pae_tables(rig, rows[i].entry);
		struct x86_insn cr0 = sys_decode(rig, "0f22c0");
		struct x86_insn cr3 = sys_decode(rig, "0f22d8");
		struct x86_insn cr4 = sys_decode(rig, "0f22e0");
		const enum cpu_result expected = rows[i].good ? CPU_OK : CPU_FAULT;
		cpu->regs[X86_RAX] = 0x80000011; /* paging on */
		assert_int_equal(system_execute(cpu, &cr0), expected);
		assert_int_equal(cpu->cr0 & X86_CR0_PG, rows[i].good ? X86_CR0_PG : 0);
		cpu->cr3 = SYS_DATA;
		assert_int_equal(system_execute(cpu, &cr0), CPU_OK);
		cpu->regs[X86_RAX] = SYS_DATA + 32;
		assert_int_equal(system_execute(cpu, &cr3), expected);
		assert_int_equal(cpu->cr3, SYS_DATA + (rows[i].good ? 32 : 0));
		cpu->cr3 = SYS_DATA + 32;
		cpu->regs[X86_RAX] = X86_CR4_PAE | X86_CR4_PGE;
		assert_int_equal(system_execute(cpu, &cr4), expected);
		assert_int_equal(cpu->cr4, X86_CR4_PAE | (rows[i].good ? X86_CR4_PGE : 0));
		cpu->regs[X86_RAX] = cpu->cr4 | X86_CR4_UMIP; /* loads none */
		assert_int_equal(system_execute(cpu, &cr4), CPU_OK);
	}
	/* In long mode they are none. */
	sys_mode(rig, SYS_LONG, 0);
	sys_poke(rig, SYS_DATA, 0x1ff, 8);
	cpu->regs[X86_RAX] = SYS_DATA;
	sys_runs(rig, "0f22d8");
}

static void a_hidden_feature_s_bit_is_reserved(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_LONG, 0);
	rig->cpu.regs[X86_RAX] = 0x20 | X86_CR4_SMEP;
	sys_runs(rig, "0f22e0");
	sys_show(rig, 7, 0, CPUID_EBX, 7, false);
	sys_faults(rig, "0f22e0", SYS_GP, 0);
}

static void pcid_needs_cr3_s_low_bits_clear(void **state)
{
	struct sys_rig *rig = *state;

	sys_mode(rig, SYS_LONG, 0);
	rig->cpu.cr3 |= 5;
	rig->cpu.regs[X86_RAX] = 0x20020;
	sys_faults(rig, "0f22e0", SYS_GP, 0);
	rig->cpu.cr3 &= ~0xfffULL;
	sys_runs(rig, "0f22e0");
	rig->cpu.regs[X86_RAX] = SYS_TABLES | 5 | 1ULL << 63;
	sys_runs(rig, "0f22d8");
	assert_int_equal(rig->cpu.cr3, SYS_TABLES | 5);
	rig->cpu.regs[X86_RAX] = 0x20;
	sys_runs(rig, "0f22e0");
}

static void lmsw_smsw_clts(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->regs[X86_RAX] = 0x8;
	sys_runs(rig, "0f01f0");
	assert_int_equal(cpu->cr0, 0x80000019); /* PE stays, TS is set */
	assert_true(cpu->mode & CPU_MODE_NO_FPU);
	sys_runs(rig, "0f06");
	assert_int_equal(cpu->cr0, 0x80000011);
	assert_false(cpu->mode & CPU_MODE_NO_FPU);
	cpu->regs[X86_RAX] = UINT64_MAX;
	sys_runs(rig, "0f01e0");
	assert_int_equal(cpu->regs[X86_RAX], 0x80000011);
	cpu->regs[X86_RAX] = UINT64_MAX;
	sys_runs(rig, "660f01e0");
	assert_int_equal(cpu->regs[X86_RAX], 0xffffffffffff0011);
}

static void umip_hides_tables(void **state)
{
	struct sys_rig *rig = *state;
	static const char *const hex[] = { "0f0100", "0f0108", "0f01e0", "0f00c0", "0f00c8" };

	for (size_t i = 0; i < ARRAY_SIZE(hex); i++) {
		sys_mode(rig, SYS_LONG, 3);
		rig->cpu.regs[X86_RAX] = SYS_DATA;
		sys_runs(rig, hex[i]);
		rig->cpu.regs[X86_RAX] = SYS_DATA;
		rig->cpu.cr4 |= X86_CR4_UMIP;
		sys_faults(rig, hex[i], SYS_GP, 0);
		sys_mode(rig, SYS_LONG, 0);
		rig->cpu.cr4 |= X86_CR4_UMIP;
		rig->cpu.regs[X86_RAX] = SYS_DATA;
		sys_runs(rig, hex[i]);
	}
}

static void descriptor_tables(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;

	sys_mode(rig, SYS_LONG, 0);
	cpu->regs[X86_RAX] = SYS_DATA;
	sys_poke(rig, SYS_DATA, 0x123, 2);
	sys_poke(rig, SYS_DATA + 2, 0xffff800000001000, 8);
	sys_runs(rig, "0f0118");
	assert_int_equal(cpu->idt.base, 0xffff800000001000);
	assert_int_equal(cpu->idt.limit, 0x123);
	sys_runs(rig, "0f0148 10"); /* sidt [rax + 16] */
	assert_memory_equal(rig->ram + SYS_DATA, rig->ram + SYS_DATA + 16, 10);
	sys_poke(rig, SYS_DATA + 2, 0x800000000000, 8);
	sys_faults(rig, "0f0118", SYS_GP, 0);
	sys_mode(rig, SYS_REAL, 0);
	sys_poke(rig, 0x100, 0x3ff, 2);
	sys_poke(rig, 0x102, 0xff123456, 4);
	sys_runs(rig, "0f011e0001"); /* lidt [0x100]: 24 bits of base */
	assert_int_equal(cpu->idt.base, 0x123456);
	sys_runs(rig, "660f011e0001");
	assert_int_equal(cpu->idt.base, 0xff123456);
}

static void translations_go(void **state)
{
	struct sys_rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpu;
	uint64_t pte = SYS_TABLES + 0x3000 + 8, gva = 0x201000, value;

	sys_mode(rig, SYS_LONG, 0);
	assert_int_equal(cpu_load(cpu, gva, &value, 8), CPU_OK);
	sys_poke(rig, pte, 0, 8);
	assert_int_equal(cpu_load(cpu, gva, &value, 8), CPU_OK);
	cpu->regs[X86_RAX] = gva;
	sys_runs(rig, "0f0138");
	assert_int_equal(cpu_load(cpu, gva, &value, 8), CPU_FAULT);
	sys_poke(rig, SYS_DATA, 0, 8);
	sys_poke(rig, SYS_DATA + 8, gva, 8);
	cpu->regs[X86_RAX] = SYS_DATA;
	cpu->regs[X86_RCX] = 0;
	sys_runs(rig, "660f388208");
	cpu->regs[X86_RCX] = 4;
	sys_faults(rig, "660f388208", SYS_GP, 0);
	sys_show(rig, 7, 0, CPUID_EBX, 10, false);
	sys_faults(rig, "660f388208", SYS_UD, -1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, sys_rig_create, sys_rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(control_registers_are_checked),
		CASE(the_way_to_long_mode_and_back),
		CASE(reserved_bits_of_pdptes_were_found_at_the_access),
		CASE(a_hidden_feature_s_bit_is_reserved),
		CASE(pcid_needs_cr3_s_low_bits_clear),
		CASE(lmsw_smsw_clts),
		CASE(umip_hides_tables),
		CASE(descriptor_tables),
		CASE(translations_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
