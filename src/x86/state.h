/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The architectural state of one x86-64 CPU that boot code sets, a debugger shows and a snapshot keeps; MSRs are
 * asked one by one, the FPU as an XSAVE image. Source: Intel SDM 3A, System Architecture Overview.
 */
#include <stdbool.h>
#include <stdint.h>

enum x86_reg {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15,
	X86_REGS,
};

enum x86_seg { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SEGS };

struct x86_segment {
	uint64_t base;
	uint32_t limit; /* bytes, granularity applied */
	uint16_t selector;
	uint8_t type; /* 4 bits of the descriptor */
	bool s, present, avl, l, db, g, unusable;
	uint8_t dpl;
};

struct x86_table {
	uint64_t base;
	uint16_t limit;
};

struct x86_state {
	uint64_t regs[X86_REGS];
	uint64_t rip, rflags;
	struct x86_segment segs[X86_SEGS], tr, ldt;
	struct x86_table gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base;
	uint64_t dr[8];
	bool halted;	/* MP state: waits for an interrupt */
	bool wait_sipi; /* an application processor before its start-up message */
};

#define X86_CR0_PE UINT64_C(0x1)
#define X86_CR0_MP UINT64_C(0x2)
#define X86_CR0_EM UINT64_C(0x4)
#define X86_CR0_TS UINT64_C(0x8)
#define X86_CR0_ET UINT64_C(0x10)
#define X86_CR0_NE UINT64_C(0x20)
#define X86_CR0_WP UINT64_C(0x10000)
#define X86_CR0_AM UINT64_C(0x40000)
#define X86_CR0_NW UINT64_C(0x20000000)
#define X86_CR0_CD UINT64_C(0x40000000)
#define X86_CR0_PG UINT64_C(0x80000000)

#define X86_CR4_VME	   UINT64_C(0x1)
#define X86_CR4_PVI	   UINT64_C(0x2)
#define X86_CR4_TSD	   UINT64_C(0x4)
#define X86_CR4_DE	   UINT64_C(0x8)
#define X86_CR4_PSE	   UINT64_C(0x10)
#define X86_CR4_PAE	   UINT64_C(0x20)
#define X86_CR4_MCE	   UINT64_C(0x40)
#define X86_CR4_PGE	   UINT64_C(0x80)
#define X86_CR4_PCE	   UINT64_C(0x100)
#define X86_CR4_OSFXSR	   UINT64_C(0x200)
#define X86_CR4_OSXMMEXCPT UINT64_C(0x400)
#define X86_CR4_UMIP	   UINT64_C(0x800)
#define X86_CR4_LA57	   UINT64_C(0x1000)
#define X86_CR4_FSGSBASE   UINT64_C(0x10000)
#define X86_CR4_PCIDE	   UINT64_C(0x20000)
#define X86_CR4_OSXSAVE	   UINT64_C(0x40000)
#define X86_CR4_SMEP	   UINT64_C(0x100000)
#define X86_CR4_SMAP	   UINT64_C(0x200000)

#define X86_EFER_SCE UINT64_C(0x1)
#define X86_EFER_LME UINT64_C(0x100)
#define X86_EFER_LMA UINT64_C(0x400)
#define X86_EFER_NX  UINT64_C(0x800)

#define X86_XCR0_X87	UINT64_C(0x1)
#define X86_XCR0_SSE	UINT64_C(0x2)
#define X86_XCR0_AVX	UINT64_C(0x4)
#define X86_XCR0_AVX512 UINT64_C(0xe0)

#define X86_DR6_TRAPS UINT64_C(0xf)    /* B0 to B3 */
#define X86_DR6_STEP  UINT64_C(0x4000) /* BS */
#define X86_DR6_FIXED UINT64_C(0xffff0ff0)
#define X86_DR7_FIXED UINT64_C(0x400)

#define X86_RFLAGS_FIXED UINT64_C(0x2)
#define X86_RFLAGS_TF	 UINT64_C(0x100)
#define X86_RFLAGS_IF	 UINT64_C(0x200)
#define X86_RFLAGS_RF	 UINT64_C(0x10000)

/*
 * x86_state_reset() - as the CPU comes out of reset: real mode at the reset vector; another than the first waits
 * for its start-up message
 * Source: Intel SDM 3A, Processor State After Reset (table of x86 processor states following power-up, reset or INIT).
 */
void x86_state_reset(struct x86_state *state, bool is_bsp);
/*
 * x86_state_sipi() - a waiting processor takes its start-up message and begins in real mode at vector << 12
 * Source: Intel SDM 3A, Multiple-Processor (MP) Initialization; Interrupt Command Register, Start-Up.
 */
void x86_state_sipi(struct x86_state *state, uint8_t vector);
/*
 * x86_xcr0_is_valid() - whether XSETBV takes it: x87 always; AVX needs SSE; AVX-512 all of its three, and AVX
 * @allowed: what CPUID leaf 0xd shows   Source: Intel SDM 1, Enabling the XSAVE Feature Set and XSAVE-Enabled Features.
 */
bool x86_xcr0_is_valid(uint64_t value, uint64_t allowed);
/* x86_is_canonical() - the upper bits are all as bit @bits - 1. @bits: 48; 57 with CR4.LA57 */
static inline bool x86_is_canonical(uint64_t gva, unsigned bits)
{
	unsigned unused = 64 - bits;

	return (uint64_t)((int64_t)(gva << unused) >> unused) == gva;
}
