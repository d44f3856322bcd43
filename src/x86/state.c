/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "x86/descriptor.h"
#include "x86/state.h"

#define APIC_BASE_DEFAULT UINT64_C(0xfee00000)
#define APIC_BASE_ENABLE  UINT64_C(0x800)
#define APIC_BASE_BSP	  UINT64_C(0x100)

static struct x86_segment segment_real(uint16_t selector, uint64_t base, uint8_t type)
{
	return (struct x86_segment){
		.base = base,
		.limit = 0xffff,
		.selector = selector,
		.type = type,
		.s = true,
		.present = true,
	};
}

void x86_state_reset(struct x86_state *state, bool is_bsp)
{
	*state = (struct x86_state){
		.rip = 0xfff0,
		.rflags = X86_RFLAGS_FIXED,
		.gdt = { .limit = 0xffff },
		.idt = { .limit = 0xffff },
		.cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_ET,
		.apic_base = APIC_BASE_DEFAULT | APIC_BASE_ENABLE | (is_bsp ? APIC_BASE_BSP : 0),
		.wait_sipi = !is_bsp,
	};
	for (unsigned i = 0; i < X86_SEGS; i++)
		state->segs[i] = segment_real(0, 0, X86_TYPE_DATA_RW);
	state->segs[X86_CS] = segment_real(0xf000, 0xffff0000, X86_TYPE_CODE_XR);
	state->ldt = segment_real(0, 0, X86_TYPE_LDT);
	state->ldt.s = false;
	state->tr = segment_real(0, 0, X86_TYPE_TSS_BUSY);
	state->tr.s = false;
	state->regs[X86_RDX] = 0x600; /* a family and a model; firmware that asks uses CPUID */
	state->dr[6] = X86_DR6_FIXED;
	state->dr[7] = X86_DR7_FIXED;
}

void x86_state_sipi(struct x86_state *state, uint8_t vector)
{
	state->segs[X86_CS] =
		segment_real((uint16_t)(vector << 8), (uint64_t)vector << 12, X86_TYPE_CODE_XR);
	state->rip = 0;
	state->wait_sipi = false;
	state->halted = false;
}

bool x86_xcr0_is_valid(uint64_t value, uint64_t allowed)
{
	uint64_t avx512 = value & X86_XCR0_AVX512;

	if (value & ~allowed || !(value & X86_XCR0_X87))
		return false;
	if ((value & X86_XCR0_AVX) && !(value & X86_XCR0_SSE))
		return false;
	return !avx512 || (avx512 == X86_XCR0_AVX512 && (value & X86_XCR0_AVX));
}

uint64_t x86_descriptor(const struct x86_segment *seg)
{
	uint64_t limit = seg->g ? seg->limit >> 12 : seg->limit;
	uint64_t base = seg->base & 0xffffffff;
	uint64_t flags = (uint64_t)(seg->type & 0xf) | (uint64_t)seg->s << 4 |
			 (uint64_t)(seg->dpl & 3) << 5 | (uint64_t)seg->present << 7 |
			 (uint64_t)seg->avl << 12 | (uint64_t)seg->l << 13 |
			 (uint64_t)seg->db << 14 | (uint64_t)seg->g << 15;

	return (limit & 0xffff) | (base & 0xffffff) << 16 | flags << 40 |
	       (limit >> 16 & 0xf) << 48 | base >> 24 << 56;
}

struct x86_segment x86_descriptor_parse(uint64_t raw, uint16_t selector)
{
	uint32_t limit = (uint32_t)(raw & 0xffff) | (uint32_t)(raw >> 32 & 0xf0000);
	bool g = raw >> 55 & 1;

	return (struct x86_segment){
		.base = (raw >> 16 & 0xffffff) | raw >> 56 << 24,
		.limit = g ? limit << 12 | 0xfff : limit,
		.selector = selector,
		.type = raw >> 40 & 0xf,
		.s = raw >> 44 & 1,
		.dpl = raw >> 45 & 3,
		.present = raw >> 47 & 1,
		.avl = raw >> 52 & 1,
		.l = raw >> 53 & 1,
		.db = raw >> 54 & 1,
		.g = g,
	};
}
