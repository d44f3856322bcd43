/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "machine/boot_priv.h"
#include "machine/layout.h"

/* The stack and the page tables that only a start in long mode needs. */
#define BOOT_LONG	UINT64_C(0x8000)
#define BOOT_LONG_BYTES UINT64_C(0x8000)
#include "x86/descriptor.h"

static struct x86_segment boot_flat(uint16_t selector, uint8_t type)
{
	return (struct x86_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.s = true,
		.present = true,
		.db = true,
		.g = true,
	};
}

/* Flat segments, their GDT, and a task register that holds an empty 32-bit or 64-bit TSS. */
static int boot_segments(struct boot *boot, bool is_long, struct x86_state *state)
{
	struct x86_segment code = boot_flat(BOOT_CODE_SELECTOR, X86_TYPE_CODE_XR);
	struct x86_segment data = boot_flat(BOOT_DATA_SELECTOR, X86_TYPE_DATA_RW);

	code.l = is_long;
	code.db = !is_long;
	for (unsigned i = 0; i < X86_SEGS; i++)
		state->segs[i] = data;
	state->segs[X86_CS] = code;
	state->tr = (struct x86_segment){
		.limit = 0x67, /* SDM 3A, Task-State Segment (TSS): the least */
		.selector = BOOT_TSS_SELECTOR,
		.type = X86_TYPE_TSS_BUSY,
		.present = true,
	};
	state->ldt = (struct x86_segment){ .type = X86_TYPE_LDT, .unusable = true };

	/* A TSS descriptor takes two places in long mode. */
	uint64_t gdt[6] = {
		[BOOT_CODE_SELECTOR / 8] = x86_descriptor(&code),
		[BOOT_DATA_SELECTOR / 8] = x86_descriptor(&data),
		[BOOT_TSS_SELECTOR / 8] = x86_descriptor(&state->tr),
	};
	state->gdt = (struct x86_table){ LAYOUT_BOOT_GDT, sizeof(gdt) - 1 };
	state->idt = (struct x86_table){ 0 };
	return boot_table(boot, LAYOUT_BOOT_GDT, gdt, sizeof(gdt));
}

int boot_state32(struct boot *boot, uint32_t entry, struct x86_state *ret)
{
	x86_state_reset(ret, true);
	ret->regs[X86_RDX] = 0;
	ret->cr0 = X86_CR0_PE | X86_CR0_ET;
	ret->rip = entry;
	return boot_segments(boot, false, ret);
}

/* 4 GiB, mapped to themselves by 2 MiB pages: one PML4, one PDPT, four page directories, one after another. */
static int boot_identity_map(struct boot *boot)
{
	const uint64_t flags = X86_PTE_PRESENT | X86_PTE_WRITE;
	uint64_t table[512] = { (LAYOUT_BOOT_PML4 + 0x1000) | flags };
	int r = boot_table(boot, LAYOUT_BOOT_PML4, table, sizeof(table));

	for (uint64_t i = 0; i < 4; i++)
		table[i] = (LAYOUT_BOOT_PML4 + 0x2000 + i * 0x1000) | flags;
	if (r == 0)
		r = boot_table(boot, LAYOUT_BOOT_PML4 + 0x1000, table, sizeof(table));
	for (uint64_t page = 0; r == 0 && page < 4; page++) {
		for (uint64_t i = 0; i < 512; i++)
			table[i] = (page * 512 + i) * X86_LARGE_PAGE_BYTES | flags | X86_PTE_LARGE;
		r = boot_table(boot, LAYOUT_BOOT_PML4 + 0x2000 + page * 0x1000, table,
			       sizeof(table));
	}
	return r;
}

int boot_long_claim(struct boot *boot)
{
	return boot_claim(boot, BOOT_LONG, BOOT_LONG_BYTES, "boot tables");
}

int boot_state64(struct boot *boot, uint64_t entry, struct x86_state *ret)
{
	x86_state_reset(ret, true);
	ret->regs[X86_RDX] = 0;
	ret->regs[X86_RSP] = LAYOUT_BOOT_STACK;
	ret->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_PG;
	ret->cr3 = LAYOUT_BOOT_PML4;
	ret->cr4 = X86_CR4_PAE;
	ret->efer = X86_EFER_LME | X86_EFER_LMA;
	ret->rip = entry;
	int r = boot_segments(boot, true, ret);
	return r < 0 ? r : boot_identity_map(boot);
}
