/* SPDX-License-Identifier: Apache-2.0 */
/* Which translations stay, and which go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mmu_rig.h"

#define PW	 (PTE_P | PTE_W)
#define PWU	 (PTE_P | PTE_W | PTE_U)
#define NO_FLUSH (1ULL << 63)
#define ROOT	 RIG_TABLES
#define OTHER	 0x20000ULL /* the root of another address space: the same tables */

/* What a page holds, by its frame. */
static uint8_t peek(struct hosted_cpu *cpu, uint64_t gva)
{
	uint8_t byte = 0xee;

	return cpu_load(cpu, gva, &byte, 1) == CPU_OK ? byte : 0xff;
}

/* Frames of 4 KiB, each with its number. */
static void number_frames(struct rig *rig)
{
	for (unsigned i = 0x100; i < 0x200; i++)
		memset(rig->ram + i * 0x1000, (int)(i - 0x100), 0x1000);
}

static void start(struct rig *rig, uint64_t cr4)
{
	rig_paging(rig, RIG_LONG);
	number_frames(rig);
	rig->cpus[0].cr4 |= cr4;
	cpu_mode_update(&rig->cpus[0]);
	mmu_flush_all(&rig->cpus[0]);
	memcpy(rig->ram + OTHER, rig->ram + ROOT, 0x1000);
}

static void map(struct rig *rig, uint64_t gva, unsigned frame, uint64_t bits)
{
	rig_map(rig, 1, gva, 0x100000 + frame * 0x1000, PWU, bits);
	memcpy(rig->ram + OTHER, rig->ram + ROOT, 0x1000);
}

static void global_pages_outlive_cr3(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, X86_CR4_PGE);
	map(rig, 0x1000, 1, PW | PTE_G);
	map(rig, 0x2000, 2, PW);
	assert_int_equal(peek(cpu, 0x1000), 1);
	assert_int_equal(peek(cpu, 0x2000), 2);
	map(rig, 0x1000, 3, PW | PTE_G);
	map(rig, 0x2000, 4, PW);
	assert_int_equal(peek(cpu, 0x1000), 1); /* nothing was flushed yet */
	assert_int_equal(peek(cpu, 0x2000), 2);
	mmu_cr3_write(cpu, ROOT);
	assert_int_equal(peek(cpu, 0x1000), 1);
	assert_int_equal(peek(cpu, 0x2000), 4);
	mmu_flush_all(cpu);
	assert_int_equal(peek(cpu, 0x1000), 3);
}

static void without_pge_nothing_is_global(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, 0);
	map(rig, 0x1000, 1, PW | PTE_G);
	assert_int_equal(peek(cpu, 0x1000), 1);
	map(rig, 0x1000, 3, PW | PTE_G);
	mmu_cr3_write(cpu, ROOT);
	assert_int_equal(peek(cpu, 0x1000), 3);
}

/* A page at the same index of a TLB as 0x1000's: of a large one, since the rig has one table of each level. */
#define SAME 0x805000ULL

static void map_same(struct rig *rig, uint8_t byte, uint64_t bits)
{
	uint64_t gpa = byte == 0x22 ? 0x200000 : 0x400000;

	memset(rig->ram + gpa, byte, 0x200000);
	rig_map(rig, 2, SAME & ~0x1fffffULL, gpa, PWU, PW | bits);
}

/* A table is known until a flush; what it makes a fault is walked from the root. */
static void a_table_that_another_one_replaced(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, 0);
	map(rig, 0x1000, 1, PW);
	map(rig, 0x2000, 2, PW);
	assert_int_equal(peek(cpu, 0x1000), 1);
	uint64_t upper = rig_upper(rig, 1, 0x1000), entry = rig_entry(rig, upper);
	uint64_t table = entry & ~0xfffULL;
	memcpy(rig->ram + 0x30000, rig->ram + table, 0x1000);
	rig_entry_set(rig, 0x30000 + 2 * 8, 0x103000 | PW | PTE_A);
	rig_entry_set(rig, upper, 0x30000 | (entry & 0xfff));
	assert_int_equal(peek(cpu, 0x2000), 2); /* by the table that it has come to before */
	mmu_flush_page(cpu, 0x5000);
	mmu_flush_page(cpu, 0x2000);
	assert_int_equal(peek(cpu, 0x2000), 3);
	rig_entry_set(rig, 0x30000 + 4 * 8, 0);
	assert_int_equal(peek(cpu, 0x4000), 0xff);
	rig_entry_set(rig, table + 4 * 8, 0x104000 | PW);
	rig_entry_set(rig, upper, entry);
	assert_int_equal(peek(cpu, 0x4000), 4); /* no flush was due: nothing was there */
}

/* Arrays that malloc() made one after the other, 8 MiB and a page apart, shared half of their indices. */
static void arrays_that_are_walked_at_once_do_not_meet(void **state)
{
	static const uint64_t apart[] = { 0x400000, 0x401000,  0x800000,
					  0x801000, 0x1000000, 0x1001000 };

	(void)state;
	for (size_t i = 0; i < sizeof(apart) / sizeof(apart[0]); i++) {
		for (uint64_t gva = 0x7f0000000000; gva < 0x7f0002000000; gva += 0x1000)
			assert_int_not_equal(cpu_tlb_index(gva), cpu_tlb_index(gva + apart[i]));
	}
}

/* The page before is at the same index: what crosses between them is no hit of the second one's. */
static void an_access_across_pages_of_one_index(void **state)
{
	const uint64_t at = 1ULL << (12 + CPU_TLB_BITS + CPU_TLB_MIX - 1);
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];
	uint8_t bytes[8];

	assert_int_equal(cpu_tlb_index(at), cpu_tlb_index(at - 1));
	start(rig, 0);
	map(rig, at - 0x1000, 8, PW);
	map(rig, at, 1, PW);
	assert_int_equal(peek(cpu, at), 1);
	assert_int_equal(cpu_load(cpu, at - 4, bytes, 8), CPU_OK);
	assert_memory_equal(bytes, "\10\10\10\10\1\1\1\1", 8);
	memset(bytes, 0x77, 8);
	assert_int_equal(cpu_store(cpu, at, bytes, 1), CPU_OK);
	assert_int_equal(cpu_store(cpu, at - 2, bytes, 4), CPU_OK);
	assert_int_equal(peek(cpu, at - 2), 0x77);
	assert_int_equal(peek(cpu, at + 1), 0x77);
	assert_int_equal(rig->ram[0x100000 + 0xfff], 0); /* before the second one's frame */
}

/* An index that was a local page's and is a global one's now, and the other way round. */
static void an_entry_that_changes_sides_is_flushed_rightly(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	assert_int_equal(cpu_tlb_index(SAME), cpu_tlb_index(0x1000));
	start(rig, X86_CR4_PGE);
	map(rig, 0x1000, 1, PW);
	assert_int_equal(peek(cpu, 0x1000), 1);
	map_same(rig, 0x22, PTE_G);
	assert_int_equal(peek(cpu, SAME), 0x22);
	map_same(rig, 0x44, PTE_G);
	mmu_cr3_write(cpu, ROOT);
	assert_int_equal(peek(cpu, SAME), 0x22); /* it stays, though its index was a local page's */
	map(rig, 0x1000, 4, PW);
	assert_int_equal(peek(cpu, 0x1000), 4);
	map(rig, 0x1000, 5, PW);
	mmu_cr3_write(cpu, ROOT);
	assert_int_equal(peek(cpu, 0x1000), 5);
	mmu_flush_all(cpu);
	assert_int_equal(peek(cpu, SAME), 0x44);
}

static void invlpg_is_for_one_page_of_any_kind(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, X86_CR4_PGE);
	for (unsigned i = 1; i < 4; i++) {
		map(rig, i * 0x1000, i, i == 2 ? PW | PTE_G : PW);
		assert_int_equal(peek(cpu, i * 0x1000), i);
		map(rig, i * 0x1000, i + 8, PW);
	}
	mmu_flush_page(cpu, 0x2fff);
	assert_int_equal(peek(cpu, 0x1000), 1);
	assert_int_equal(peek(cpu, 0x2000), 10);
	assert_int_equal(peek(cpu, 0x3000), 3);
}

static void invlpg_of_a_large_page_takes_all_of_it(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, X86_CR4_PGE);
	map_same(rig, 0x22, PTE_G);
	map(rig, 0x1000, 1, PW);
	assert_int_equal(peek(cpu, 0x1000), 1);
	assert_int_equal(peek(cpu, SAME), 0x22); /* takes the place of 0x1000's */
	assert_int_equal(peek(cpu, SAME + 0x1f9000), 0x22);
	map(rig, 0x8000, 8, PW);
	assert_int_equal(peek(cpu, 0x8000), 8);
	map(rig, 0x8000, 9, PW);
	map_same(rig, 0x44, PTE_G);
	mmu_flush_page(cpu, SAME + 0xf0123); /* none of the two: the same mapping */
	assert_int_equal(peek(cpu, SAME), 0x44);
	assert_int_equal(peek(cpu, SAME + 0x1f9000), 0x44);
	assert_int_equal(peek(cpu, 0x8000), 8); /* another's */
}

static void invlpg_of_a_huge_page_takes_all_of_it(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, X86_CR4_PGE);
	rig_map(rig, 3, 0x80000000, 0, PW, PW);
	assert_int_equal(peek(cpu, 0x80101000), 1);
	assert_int_equal(peek(cpu, 0x80102000), 2);
	rig_map(rig, 3, 0x80000000, 0x40000000, PW, PW);
	mmu_flush_page(cpu, 0xbffff000);
	uint8_t byte;
	rig->cpus[0].io_out = &(struct vcpu_io){ 0 };
	assert_int_equal(cpu_load(cpu, 0x80101000, &byte, 1), CPU_EXIT); /* no memory there */
	cpu->io.pending = false;
	assert_int_equal(cpu_load(cpu, 0x80102000, &byte, 1), CPU_EXIT);
}

static void invlpg_of_four_mib_takes_both_halves(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	rig_paging(rig, RIG_32);
	memset(rig->ram + 0x400000, 0x44, 0x400000);
	rig_map(rig, 2, 0x40000000, 0x400000, PW, PW);
	assert_int_equal(peek(cpu, 0x40001000), 0x44);
	assert_int_equal(peek(cpu, 0x40302000), 0x44);
	rig_map(rig, 2, 0x40000000, 0, PW, PW);
	memset(rig->ram + 0x302000, 0x33, 0x1000);
	mmu_flush_page(cpu, 0x40005000);
	assert_int_equal(peek(cpu, 0x40302000), 0x33);
}

/* ---- address spaces ---- */

static void user_pages_are_kept_by_pcid(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, X86_CR4_PCIDE | X86_CR4_PGE);
	cpu->cpl = 3;
	map(rig, 0x1000, 1, PWU);
	mmu_cr3_write(cpu, ROOT | 1);
	assert_int_equal(peek(cpu, 0x1000), 1);
	map(rig, 0x1000, 2, PWU);
	mmu_cr3_write(cpu, OTHER | 2);
	assert_int_equal(peek(cpu, 0x1000), 2);
	map(rig, 0x1000, 3, PWU);
	mmu_cr3_write(cpu, ROOT | 1 | NO_FLUSH);
	assert_int_equal(peek(cpu, 0x1000), 1);
	mmu_cr3_write(cpu, OTHER | 2 | NO_FLUSH);
	assert_int_equal(peek(cpu, 0x1000), 2);
	mmu_cr3_write(cpu, ROOT | 1); /* without: PCID 1's go, PCID 2's stay */
	assert_int_equal(peek(cpu, 0x1000), 3);
	map(rig, 0x1000, 4, PWU);
	mmu_cr3_write(cpu, OTHER | 2 | NO_FLUSH);
	assert_int_equal(peek(cpu, 0x1000), 2);
	assert_int_equal(cpu->cr3, OTHER | 2); /* bit 63 is no part of it */
}

static void more_spaces_than_there_is_room_for(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, X86_CR4_PCIDE);
	cpu->cpl = 3;
	for (unsigned i = 1; i <= CPU_TLB_SPACES + 1; i++) {
		map(rig, 0x1000, i, PWU);
		mmu_cr3_write(cpu, ROOT | i | NO_FLUSH);
		assert_int_equal(peek(cpu, 0x1000), i);
	}
	map(rig, 0x1000, 0x77, PWU);
	for (unsigned i = 3; i <= CPU_TLB_SPACES + 1; i++) {
		mmu_cr3_write(cpu, ROOT | i | NO_FLUSH);
		assert_int_equal(peek(cpu, 0x1000), i);
	}
	mmu_cr3_write(cpu, ROOT | 1 | NO_FLUSH); /* made room: nothing of it is left */
	assert_int_equal(peek(cpu, 0x1000), 0x77);
}

static void a_supervisors_pages_are_not_another_spaces(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, X86_CR4_PCIDE);
	map(rig, 0x1000, 1, PWU); /* copy_to_user() */
	mmu_cr3_write(cpu, ROOT | 1);
	assert_int_equal(peek(cpu, 0x1000), 1);
	map(rig, 0x1000, 2, PWU);
	mmu_cr3_write(cpu, OTHER | 2 | NO_FLUSH);
	assert_int_equal(peek(cpu, 0x1000), 2);
}

static void without_pcid_each_cr3_write_flushes(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, 0);
	cpu->cpl = 3;
	map(rig, 0x1000, 1, PWU);
	mmu_cr3_write(cpu, ROOT | 0x18);
	assert_int_equal(peek(cpu, 0x1000), 1);
	map(rig, 0x1000, 2, PWU);
	mmu_cr3_write(cpu, ROOT | 0x18);
	assert_int_equal(peek(cpu, 0x1000), 2);
}

static void invlpg_leaves_other_spaces_but_for_global_pages(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, X86_CR4_PCIDE | X86_CR4_PGE);
	cpu->cpl = 3;
	map(rig, 0x1000, 1, PWU);
	map(rig, 0x2000, 2, PWU | PTE_G);
	mmu_cr3_write(cpu, ROOT | 1);
	assert_int_equal(peek(cpu, 0x1000), 1);
	assert_int_equal(peek(cpu, 0x2000), 2);
	mmu_cr3_write(cpu, ROOT | 2);
	map(rig, 0x1000, 3, PWU);
	map(rig, 0x2000, 4, PWU | PTE_G);
	mmu_flush_page(cpu, 0x1000);
	mmu_flush_page(cpu, 0x2000);
	mmu_cr3_write(cpu, ROOT | 1 | NO_FLUSH);
	assert_int_equal(peek(cpu, 0x1000), 1);
	assert_int_equal(peek(cpu, 0x2000), 4);
}

/* PCIDs 1 and 2 with a local and a global page each, all of them stale; PCID 2 is current. */
static void invpcid_scene(struct rig *rig)
{
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, X86_CR4_PCIDE | X86_CR4_PGE);
	cpu->cpl = 3;
	map(rig, 0x1000, 1, PWU);
	map(rig, 0x2000, 2, PWU);
	map(rig, 0x3000, 3, PWU | PTE_G);
	for (unsigned pcid = 1; pcid < 3; pcid++) {
		mmu_cr3_write(cpu, ROOT | pcid);
		for (unsigned page = 1; page < 4; page++)
			assert_int_equal(peek(cpu, page * 0x1000), page);
	}
	map(rig, 0x1000, 0x11, PWU);
	map(rig, 0x2000, 0x12, PWU);
	map(rig, 0x3000, 0x13, PWU | PTE_G);
}

static void expect(struct rig *rig, unsigned pcid, unsigned first, unsigned second, unsigned third)
{
	struct hosted_cpu *cpu = &rig->cpus[0];

	mmu_cr3_write(cpu, ROOT | pcid | NO_FLUSH);
	assert_int_equal(peek(cpu, 0x1000), first);
	assert_int_equal(peek(cpu, 0x2000), second);
	assert_int_equal(peek(cpu, 0x3000), third);
}

static void invpcid_flushes_what_it_says(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	invpcid_scene(rig);
	assert_int_equal(mmu_invpcid(cpu, 0, 1, 0x1000), CPU_OK);
	expect(rig, 1, 0x11, 2, 3);
	expect(rig, 2, 1, 2, 3);
	invpcid_scene(rig);
	assert_int_equal(mmu_invpcid(cpu, 1, 2, 0), CPU_OK);
	expect(rig, 1, 1, 2, 3);
	expect(rig, 2, 0x11, 0x12, 3);
	invpcid_scene(rig);
	assert_int_equal(mmu_invpcid(cpu, 2, 0, 0), CPU_OK);
	expect(rig, 1, 0x11, 0x12, 0x13);
	expect(rig, 2, 0x11, 0x12, 0x13);
	invpcid_scene(rig);
	assert_int_equal(mmu_invpcid(cpu, 3, 0, 0), CPU_OK);
	expect(rig, 1, 0x11, 0x12, 3);
	expect(rig, 2, 0x11, 0x12, 3);
}

static void invpcid_refuses_what_it_must(void **state)
{
	static const struct {
		uint64_t type, pcid, gva;
	} bad[] = { { 4, 0, 0 },	  { UINT64_MAX, 0, 0 }, { 0, 0x1000, 0 },
		    { 2, 1ULL << 63, 0 }, { 0, 1, 1ULL << 47 }, { 0, 0, 0xffff7fffffffffffULL } };
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];

	start(rig, X86_CR4_PCIDE);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cpu->fault.vector = 0;
		assert_int_equal(mmu_invpcid(cpu, bad[i].type, bad[i].pcid, bad[i].gva), CPU_FAULT);
		assert_int_equal(cpu->fault.vector, 13);
	}
	assert_int_equal(mmu_invpcid(cpu, 0, 1, 0xffff800000000000ULL), CPU_OK);
	assert_int_equal(mmu_invpcid(cpu, 2, 5, 1ULL << 47),
			 CPU_OK); /* type 2 does not look at it */
	start(rig, 0);
	assert_int_equal(mmu_invpcid(cpu, 1, 1, 0), CPU_FAULT); /* no PCIDs */
	assert_int_equal(mmu_invpcid(cpu, 1, 0, 0), CPU_OK);
}

/* ---- what the translator hears ---- */

static void mappings_of_code_are_told_when_flushed(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];
	const uint8_t *hva;
	uint64_t gpa;

	start(rig, X86_CR4_PGE);
	map(rig, 0x1000, 1, PW | PTE_G);
	map_same(rig, 0x22, 0);
	map(rig, 0x3000, 3, PW);
	assert_int_equal(cpu_fetch_page(cpu, 0x1234, &gpa, &hva), CPU_OK);
	assert_int_equal(gpa, 0x101000);
	assert_ptr_equal(hva, rig->ram + 0x101000);
	assert_int_equal(cpu->tlb->entries[1].exec, 0x1000);
	rig_entry_set(rig, ROOT, 0); /* the tag knows: no walk */
	assert_int_equal(cpu_fetch_page(cpu, 0x1fff, &gpa, &hva), CPU_OK);
	assert_int_equal(gpa, 0x101000);
	assert_ptr_equal(hva, rig->ram + 0x101000);
	map(rig, 0x3000, 3, PW);
	(void)peek(cpu, 0x3000);
	rig->changed = 0;
	mmu_flush_page(cpu, 0x3000); /* data */
	assert_int_equal(rig->changed, 0);
	mmu_flush_page(cpu, 0x1000);
	assert_int_equal(rig->changed, 1);
	/* A tag that made room for another page is as good as there. */
	assert_int_equal(cpu_fetch_page(cpu, 0x1000, &gpa, &hva), CPU_OK);
	assert_int_equal(peek(cpu, SAME), 0x22);
	assert_int_equal(rig->changed, 1);
	mmu_flush_page(cpu, 0x1000);
	assert_int_equal(rig->changed, 2);
	mmu_flush_page(cpu, 0x1000);
	assert_int_equal(rig->changed, 2);
	mmu_cr3_write(cpu, OTHER);
	assert_int_equal(rig->changed, 3);
}

static void reading_a_page_of_code_keeps_its_exec_tag(void **state)
{
	struct rig *rig = *state;
	struct hosted_cpu *cpu = &rig->cpus[0];
	const uint8_t *hva;
	uint64_t gpa;

	start(rig, 0);
	map(rig, 0x1000, 1, PW);
	assert_int_equal(cpu_fetch_page(cpu, 0x1000, &gpa, &hva), CPU_OK);
	uint8_t byte = 5;
	assert_int_equal(cpu_store(cpu, 0x1000, &byte, 1), CPU_OK);
	assert_int_equal(cpu->tlb->entries[1].exec, 0x1000);
	assert_int_equal(cpu->tlb->entries[1].write, 0x1000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_create, rig_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(global_pages_outlive_cr3),
		T(without_pge_nothing_is_global),
		T(an_entry_that_changes_sides_is_flushed_rightly),
		T(invlpg_is_for_one_page_of_any_kind),
		T(invlpg_of_a_large_page_takes_all_of_it),
		T(invlpg_of_a_huge_page_takes_all_of_it),
		T(invlpg_of_four_mib_takes_both_halves),
		T(user_pages_are_kept_by_pcid),
		T(more_spaces_than_there_is_room_for),
		T(a_supervisors_pages_are_not_another_spaces),
		T(without_pcid_each_cr3_write_flushes),
		T(a_table_that_another_one_replaced),
		T(arrays_that_are_walked_at_once_do_not_meet),
		T(an_access_across_pages_of_one_index),
		T(invlpg_leaves_other_spaces_but_for_global_pages),
		T(invpcid_flushes_what_it_says),
		T(invpcid_refuses_what_it_must),
		T(mappings_of_code_are_told_when_flushed),
		T(reading_a_page_of_code_keeps_its_exec_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
