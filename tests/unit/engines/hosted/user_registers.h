/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A vcpu as a program of 64-bit user code has it. */
#include "engines/hosted/cpu.h"

/* user_registers_set() - flat segments, CPL 3, interrupts on; @cr3: the page tables. */
static inline void user_registers_set(struct hosted_cpu *cpu, uint64_t cr3)
{
	const struct x86_segment data = { .limit = UINT32_MAX,
					  .type = 3,
					  .s = true,
					  .present = true,
					  .db = true,
					  .g = true,
					  .dpl = 3 };

	for (unsigned i = 0; i < X86_SEGS; i++)
		cpu->segs[i] = data;
	cpu->segs[X86_CS].type = 11;
	cpu->segs[X86_CS].l = true;
	cpu->segs[X86_CS].db = false;
	cpu->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	cpu->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | UINT64_C(0x40000);
	cpu->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NX;
	cpu->cr3 = cr3;
	cpu->xcr0 = cpu->xsave_mask;
	cpu->cpl = 3;
	cpu->rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	cpu_mode_update(cpu);
	mmu_cr3_write(cpu, cpu->cr3);
}
