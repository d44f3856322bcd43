/* SPDX-License-Identifier: Apache-2.0 */
/* The walk: rights, reserved bits, accessed and dirty bits, error codes, in every format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mmu_rig.h"

#include "base/core/macros.h"

#define GVA                                                                                        \
	0x40201000ULL /* index 1 in each table of 32-bit and PAE paging; large pages begin at 0x40000000, 0x40200000 */
#define GPA  0x10000ULL
#define BYTE 0x345U

#define P   PTE_P
#define W   PTE_W
#define U   PTE_U
#define PW  (PTE_P | PTE_W)
#define PU  (PTE_P | PTE_U)
#define PWU (PTE_P | PTE_W | PTE_U)
#define NX  PTE_NX

/* What is on. */
#define WP   0x1U
#define SMEP 0x2U
#define SMAP 0x4U
#define NXE  0x8U
#define AC   0x10U
#define USER 0x20U /* CPL 3 */
#define SYS  0x40U /* the CPU's own access */

#define OK (-1)

struct row {
	const char *what;
	uint8_t paging, level;
	uint64_t upper, leaf;
	uint8_t on;
	uint8_t access;
	int error; /* of the page fault, or OK */
};

static const struct row rows[] = {
	/* presence */
	{ "not present, read", RIG_LONG, 1, PWU, 0, 0, CPU_READ, 0 },
	{ "not present, write", RIG_LONG, 1, PWU, 0, 0, CPU_WRITE, 2 },
	{ "not present, user write", RIG_LONG, 1, PWU, 0, USER, CPU_WRITE, 6 },
	{ "not present, fetch, no NXE", RIG_LONG, 1, PWU, 0, 0, CPU_EXEC, 0 },
	{ "not present, fetch, NXE", RIG_LONG, 1, PWU, 0, NXE, CPU_EXEC, 0x10 },
	{ "not present, user fetch, SMEP", RIG_LONG, 1, PWU, 0, SMEP | USER, CPU_EXEC, 0x14 },
	{ "not present above", RIG_LONG, 1, W | U, PWU, USER, CPU_READ, 4 },
	{ "not present, other bits set", RIG_LONG, 1, PWU, W | U | NX, 0, CPU_READ, 0 },
	{ "32-bit, not present", RIG_32, 1, PWU, 0, USER, CPU_READ, 4 },
	{ "PAE, not present", RIG_PAE, 1, PWU, 0, 0, CPU_WRITE, 2 },
	/* supervisor */
	{ "read", RIG_LONG, 1, PW, P, WP, CPU_READ, OK },
	{ "write", RIG_LONG, 1, PW, PW, WP, CPU_WRITE, OK },
	{ "write to read-only, WP", RIG_LONG, 1, PW, P, WP, CPU_WRITE, 3 },
	{ "write to read-only, no WP", RIG_LONG, 1, PW, P, 0, CPU_WRITE, OK },
	{ "write, read-only above, WP", RIG_LONG, 1, P, PW, WP, CPU_WRITE, 3 },
	{ "write to user's read-only, no WP", RIG_LONG, 1, PWU, PU, 0, CPU_WRITE, OK },
	{ "fetch", RIG_LONG, 1, PW, P, NXE, CPU_EXEC, OK },
	{ "fetch of NX", RIG_LONG, 1, PW, P | NX, NXE, CPU_EXEC, 0x11 },
	{ "fetch, NX above", RIG_LONG, 1, PW | NX, P, NXE, CPU_EXEC, 0x11 },
	{ "read of NX", RIG_LONG, 1, PW, P | NX, NXE, CPU_READ, OK },
	{ "NX without NXE is reserved", RIG_LONG, 1, PW, P | NX, 0, CPU_READ, 9 },
	{ "NX above without NXE", RIG_LONG, 1, PW | NX, P, 0, CPU_WRITE, 0xb },
	/* user */
	{ "user read", RIG_LONG, 1, PWU, PU, WP | USER, CPU_READ, OK },
	{ "user read of supervisor's", RIG_LONG, 1, PWU, P, USER, CPU_READ, 5 },
	{ "user read, supervisor's above", RIG_LONG, 1, PW, PU, USER, CPU_READ, 5 },
	{ "user write", RIG_LONG, 1, PWU, PWU, USER, CPU_WRITE, OK },
	{ "user write to read-only, no WP", RIG_LONG, 1, PWU, PU, USER, CPU_WRITE, 7 },
	{ "user fetch", RIG_LONG, 1, PWU, PU, NXE | USER | SMEP, CPU_EXEC, OK },
	{ "user fetch of NX", RIG_LONG, 1, PWU, PU | NX, NXE | USER, CPU_EXEC, 0x15 },
	{ "user fetch of supervisor's, no NXE", RIG_LONG, 1, PWU, P, USER, CPU_EXEC, 5 },
	/* SMEP, SMAP */
	{ "SMEP: supervisor fetch of user's", RIG_LONG, 1, PWU, PU, SMEP, CPU_EXEC, 0x11 },
	{ "no SMEP: supervisor fetch of user's", RIG_LONG, 1, PWU, PU, 0, CPU_EXEC, OK },
	{ "SMEP: supervisor's own", RIG_LONG, 1, PWU, P, SMEP, CPU_EXEC, OK },
	{ "SMAP: supervisor read of user's", RIG_LONG, 1, PWU, PU, SMAP, CPU_READ, 1 },
	{ "SMAP: supervisor write of user's", RIG_LONG, 1, PWU, PWU, SMAP, CPU_WRITE, 3 },
	{ "SMAP with AC", RIG_LONG, 1, PWU, PWU, SMAP | AC, CPU_WRITE, OK },
	{ "SMAP with AC, WP", RIG_LONG, 1, PWU, PU, SMAP | AC | WP, CPU_WRITE, 3 },
	{ "SMAP, no WP: user's all the same", RIG_LONG, 1, PWU, PU, SMAP, CPU_WRITE, 3 },
	{ "SMAP is not for fetches", RIG_LONG, 1, PWU, PU, SMAP, CPU_EXEC, OK },
	{ "SMAP: user's access", RIG_LONG, 1, PWU, PU, SMAP | USER, CPU_READ, OK },
	{ "SMAP: the CPU's own, AC does not help", RIG_LONG, 1, PWU, PU, SMAP | AC | SYS, CPU_READ,
	  1 },
	{ "SMAP: the CPU's own at CPL 3", RIG_LONG, 1, PWU, PU, SMAP | USER | SYS, CPU_READ, 1 },
	{ "the CPU's own at CPL 3, supervisor's page", RIG_LONG, 1, PWU, P, USER | SYS, CPU_READ,
	  OK },
	{ "the CPU's own, not present", RIG_LONG, 1, PWU, 0, USER | SYS, CPU_WRITE, 2 },
	/* reserved bits */
	{ "address bit above the width", RIG_LONG, 1, PW, P | 1ULL << 40, 0, CPU_READ, 9 },
	{ "the same above", RIG_LONG, 1, PW | 1ULL << 51, P, USER, CPU_READ, 0xd },
	{ "bits 52 to 62 are nobody's", RIG_LONG, 1, PW | 0x7ffULL << 52, P | 0x7ffULL << 52, 0,
	  CPU_READ, OK },
	{ "fetch with reserved bit, SMEP", RIG_LONG, 1, PW, P | 1ULL << 45, SMEP, CPU_EXEC, 0x19 },
	{ "2 MiB, bit 13", RIG_LONG, 2, PW, P | 1 << 13, 0, CPU_READ, 9 },
	{ "2 MiB, bit 12 is PAT", RIG_LONG, 2, PW, P | 1 << 12, 0, CPU_READ, OK },
	{ "1 GiB, bit 29", RIG_LONG, 3, PW, P | 1 << 29, 0, CPU_READ, 9 },
	{ "4 KiB, bit 7 is PAT", RIG_LONG, 1, PW, P | 1 << 7, 0, CPU_READ, OK },
	{ "PAE, bit 52", RIG_PAE, 1, PW, P | 1ULL << 52, 0, CPU_READ, 9 },
	{ "PAE, bit 62", RIG_PAE, 1, PW, P | 1ULL << 62, 0, CPU_READ, 9 },
	{ "PAE 2 MiB, bit 20", RIG_PAE, 2, PW, P | 1 << 20, 0, CPU_WRITE, 0xb },
	{ "PAE, NX", RIG_PAE, 1, PW, P | NX, NXE, CPU_EXEC, 0x11 },
	{ "4 MiB, bit 21", RIG_32, 2, PW, P | 1 << 21, 0, CPU_READ, 9 },
	/* large pages */
	{ "2 MiB", RIG_LONG, 2, PW, PW, WP, CPU_WRITE, OK },
	{ "1 GiB", RIG_LONG, 3, PW, PW, WP, CPU_WRITE, OK },
	{ "PAE 2 MiB", RIG_PAE, 2, PWU, PWU, WP | USER, CPU_WRITE, OK },
	{ "PAE 4 KiB", RIG_PAE, 1, PWU, PWU, WP | USER, CPU_WRITE, OK },
	{ "4 MiB", RIG_32, 2, PWU, PWU, USER, CPU_WRITE, OK },
	{ "32-bit 4 KiB", RIG_32, 1, PWU, PU, USER, CPU_READ, OK },
	{ "32-bit, no fetch bit in the code", RIG_32, 1, PW, P, USER, CPU_EXEC, 5 },
	{ "32-bit, SMEP", RIG_32, 1, PWU, PU, SMEP, CPU_EXEC, 0x11 },
};

/* Large pages need a frame that is theirs. */
static uint64_t frame_of(const struct row *row)
{
	if (row->level == 1)
		return GPA;
	if (row->level == 3)
		return 0;
	return row->paging == RIG_32 ? 0x400000 : 0x200000;
}

static unsigned shift_of(const struct row *row)
{
	return row->level == 1 ? 12 : row->level == 3 ? 30 : row->paging == RIG_32 ? 22 : 21;
}

static void row_set(struct rig *rig, const struct row *row)
{
	struct hosted_cpu *cpu = &rig->cpus[0];

	rig_paging(rig, row->paging);
	cpu->cr0 |= row->on & WP ? X86_CR0_WP : 0;
	cpu->cr4 |= (row->on & SMEP ? X86_CR4_SMEP : 0) | (row->on & SMAP ? X86_CR4_SMAP : 0);
	cpu->efer |= row->on & NXE ? X86_EFER_NX : 0;
	cpu->rflags = 2 | (row->on & AC ? FLAG_AC : 0);
	cpu->cpl = row->on & USER ? 3 : 0;
	cpu_mode_update(cpu);
}

static enum cpu_result row_access(struct hosted_cpu *cpu, const struct row *row, uint64_t gva,
				  uint8_t *byte)
{
	uint8_t insn[X86_INSN_MAX];
	unsigned n;

	if (row->access == CPU_EXEC) {
		enum cpu_result r = cpu_fetch(cpu, gva, insn, &n);
		if (r == CPU_OK)
			*byte = insn[0];
		return r;
	}
	if (row->access == CPU_READ)
		return row->on & SYS ? cpu_load_system(cpu, gva, byte, 1)
				     : cpu_load(cpu, gva, byte, 1);
	return row->on & SYS ? cpu_store_system(cpu, gva, byte, 1) : cpu_store(cpu, gva, byte, 1);
}

static void row_check(struct rig *rig, const struct row *row)
{
	struct hosted_cpu *cpu = &rig->cpus[0];
	const uint64_t gva = GVA + BYTE;

	print_message("# %s\n", row->what); /* the last one is it that failed */
	row_set(rig, row);
	uint64_t leaf = rig_map(rig, row->level, GVA & ~((1ULL << shift_of(row)) - 1),
				frame_of(row), row->upper, row->leaf);
	if (row->level == 1) /* the same index */
		leaf = rig_map(rig, 1, GVA, GPA, row->upper, row->leaf);
	bool has_upper = row->level < (row->paging == RIG_32 ? 2 : 3);
	uint64_t upper = has_upper ? rig_upper(rig, row->level, GVA) : leaf;
	uint64_t was = rig_entry(rig, leaf), upper_was = rig_entry(rig, upper);
	uint8_t *at = rig->ram + frame_of(row) + (gva & ((1ULL << shift_of(row)) - 1));
	uint8_t byte = 0xa7;
	*at = row->access == CPU_WRITE ? 0 : 0x3c;

	enum cpu_result r = row_access(cpu, row, gva, &byte);
	if (row->error == OK) {
		assert_int_equal(r, CPU_OK);
		assert_int_equal(byte, row->access == CPU_WRITE ? 0xa7 : 0x3c);
		assert_int_equal(*at, byte);
		assert_int_equal(rig_entry(rig, leaf),
				 was | PTE_A | (row->access == CPU_WRITE ? PTE_D : 0));
		if (upper != leaf && !(row->paging == RIG_PAE && row->level == 2))
			assert_int_equal(rig_entry(rig, upper), upper_was | PTE_A);
		return;
	}
	assert_int_equal(r, CPU_FAULT);
	assert_int_equal(cpu->fault.vector, 14);
	assert_int_equal(cpu->fault.cr2, gva);
	assert_int_equal(cpu->fault.error, row->error);
	assert_int_equal(rig_entry(rig, leaf), was); /* no access, no mark */
	assert_int_equal(rig_entry(rig, upper), upper_was);
	assert_int_equal(*at, row->access == CPU_WRITE ? 0 : 0x3c);
}

static void rights_are_the_manuals(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		row_check(rig, &rows[i]);
	}
}

/* A second access of each row goes by the TLB, and has the same result. */
static void the_tlb_gives_the_same_answer(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct hosted_cpu *cpu = &rig->cpus[0];
		uint8_t byte = 1;
		row_check(rig, row);
		for (unsigned access = CPU_READ; access <= CPU_EXEC; access++) {
			struct row other = *row;
			other.access = (uint8_t)access;
			enum cpu_result by_tlb = row_access(cpu, &other, GVA + BYTE, &byte);
			uint32_t error = cpu->fault.error;
			mmu_flush_all(cpu);
			assert_int_equal(row_access(cpu, &other, GVA + BYTE, &byte), by_tlb);
			if (by_tlb == CPU_FAULT)
				assert_int_equal(cpu->fault.error, error);
		}
	}
}

static void the_root_has_no_large_pages(void **state)
{
	struct rig *rig = *state;
	uint8_t byte;

	rig_paging(rig, RIG_LONG);
	rig_map(rig, 1, GVA, GPA, PW, PW);
	uint64_t root = rig_upper(rig, 3, GVA);
	rig_entry_set(rig, root, rig_entry(rig, root) | PTE_PS);
	assert_int_equal(cpu_load(&rig->cpus[0], GVA, &byte, 1), CPU_FAULT);
	assert_int_equal(rig->cpus[0].fault.error, 9);
}

static void without_pse_bit_7_is_nothing(void **state)
{
	struct rig *rig = *state;
	uint8_t byte = 0;

	rig_paging(rig, RIG_32);
	rig_map(rig, 1, GVA, GPA, PW, PW);
	uint64_t above = rig_upper(rig, 1, GVA);
	rig_entry_set(rig, above, rig_entry(rig, above) | PTE_PS);
	rig->cpus[0].cr4 = 0;
	rig->ram[GPA] = 0x77;
	assert_int_equal(cpu_load(&rig->cpus[0], GVA, &byte, 1), CPU_OK);
	assert_int_equal(byte, 0x77);
}

static void four_mib_pages_reach_40_bits(void **state)
{
	struct rig *rig = *state;
	uint64_t gpa;

	rig_paging(rig, RIG_32);
	rig->cpus[0].mmu->phys_bits = 40;
	rig_map(rig, 2, GVA & ~0x3fffffULL, 0x400000, PW, PW | 0x12ULL << 13);
	assert_int_equal(mmu_translate(&rig->cpus[0], GVA + 5, &gpa), 0);
	assert_int_equal(gpa, 0x1200601005ULL);
	rig->cpus[0].mmu->phys_bits = 36; /* 0x12 has a bit above it */
	assert_int_equal(mmu_translate(&rig->cpus[0], GVA + 5, &gpa), -14);
}

static void pdptes_of_pae_have_reserved_bits(void **state)
{
	static const uint64_t bits[] = { 2, 4, 0x20, 0x80, 0x100, 1ULL << 40, 1ULL << 63 };
	struct rig *rig = *state;
	uint8_t byte;

	rig_paging(rig, RIG_PAE);
	rig->cpus[0].efer |= X86_EFER_NX;
	rig_map(rig, 1, GVA, GPA, PW, PW);
	uint64_t at = rig_upper(rig, 2, GVA);
	uint64_t good = rig_entry(rig, at);
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		rig_entry_set(rig, at, good | bits[i]);
		assert_int_equal(cpu_load(&rig->cpus[0], GVA, &byte, 1), CPU_FAULT);
		assert_int_equal(rig->cpus[0].fault.error, 9);
	}
	rig_entry_set(rig, at, good | 0xe18); /* PWT, PCD, and bits that are software's */
	assert_int_equal(cpu_load(&rig->cpus[0], GVA, &byte, 1), CPU_OK);
	assert_int_equal(rig_entry(rig, at), good | 0xe18); /* it has no accessed bit */
}

static void tables_outside_of_memory_fault(void **state)
{
	struct rig *rig = *state;
	uint8_t byte;

	for (unsigned paging = RIG_32; paging <= RIG_LONG; paging++) {
		rig_paging(rig, paging);
		rig->cpus[0].cr3 = RIG_NOTHING;
		assert_int_equal(cpu_load(&rig->cpus[0], GVA, &byte, 1), CPU_FAULT);
		/* All ones: present, and in 64 bits with reserved ones set; in 32 a table, all ones again. */
		assert_int_equal(rig->cpus[0].fault.error & 1, 1);
	}
}

static void tables_in_rom_are_not_marked(void **state)
{
	struct rig *rig = *state;
	uint8_t byte = 0;

	rig_paging(rig, RIG_LONG);
	rig_map(rig, 1, GVA, GPA, PW, PW);
	memcpy(rig->rom, rig->ram + RIG_TABLES + 0x3000, 0x1000); /* the last table */
	uint64_t above = rig_upper(rig, 1, GVA);
	rig_entry_set(rig, above, RIG_ROM | PW);
	rig->ram[GPA] = 0x21;
	assert_int_equal(cpu_load(&rig->cpus[0], GVA, &byte, 1), CPU_OK);
	assert_int_equal(byte, 0x21);
	assert_memory_equal(rig->rom, rig->ram + RIG_TABLES + 0x3000, 0x1000);
	byte = 0x22;
	assert_int_equal(cpu_store(&rig->cpus[0], GVA, &byte, 1), CPU_OK);
	assert_int_equal(rig->ram[GPA], 0x22);
}

static void marks_in_a_page_with_code_are_told(void **state)
{
	struct rig *rig = *state;
	uint8_t byte;

	rig_paging(rig, RIG_LONG);
	uint64_t leaf = rig_map(rig, 1, GVA, GPA, PW, PW);
	rig->code[leaf >> 12] = 1;
	assert_int_equal(cpu_load(&rig->cpus[0], GVA, &byte, 1), CPU_OK);
	assert_int_equal(rig->wrote, 1);
	assert_int_equal(rig->wrote_gpa, leaf);
	assert_int_equal(rig->wrote_len, 8);
}

static void without_paging_linear_is_physical(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];
	uint32_t word = 0x12345678, back = 0;
	uint64_t gpa;

	for (uint8_t cpl = 0; cpl < 4; cpl += 3) {
		cpu->cpl = cpl;
		cpu_mode_update(cpu);
		assert_int_equal(cpu_store(cpu, 0x12345, &word, 4), CPU_OK);
		assert_int_equal(cpu_load(cpu, 0x12345, &back, 4), CPU_OK);
		assert_int_equal(back, word);
		assert_memory_equal(rig->ram + 0x12345, &word, 4);
		word ^= UINT32_MAX;
	}
	assert_int_equal(mmu_translate(cpu, 0x777, &gpa), 0);
	assert_int_equal(gpa, 0x777);
}

static void the_debugger_looks_without_a_trace(void **state)
{
	struct rig *rig = *state;
	uint64_t gpa = 0;

	rig_paging(rig, RIG_LONG);
	uint64_t leaf = rig_map(rig, 1, GVA, GPA, P, P);
	rig->cpus[0].cpl = 3;
	assert_int_equal(mmu_translate(&rig->cpus[0], GVA + BYTE, &gpa), 0);
	assert_int_equal(gpa, GPA + BYTE);
	assert_int_equal(rig_entry(rig, leaf), GPA | P);
	assert_int_equal(mmu_translate(&rig->cpus[0], GVA + 0x1000, &gpa), -14);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_create, rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(rights_are_the_manuals),
		T(the_tlb_gives_the_same_answer),
		T(the_root_has_no_large_pages),
		T(without_pse_bit_7_is_nothing),
		T(four_mib_pages_reach_40_bits),
		T(pdptes_of_pae_have_reserved_bits),
		T(tables_outside_of_memory_fault),
		T(tables_in_rom_are_not_marked),
		T(marks_in_a_page_with_code_are_told),
		T(without_paging_linear_is_physical),
		T(the_debugger_looks_without_a_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
