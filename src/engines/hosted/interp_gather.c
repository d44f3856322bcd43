/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathers and scatters: element by element, on the XSAVE image of the vector registers. An element that faults leaves those
 * before it done and their mask bits clear, as the CPU does; a vector mask's elements behind it are as they were (AMD's way: Intel's
 * CPUs leave their signs, in all bits). Intel SDM 2, VGATHERDPS and its kin; layout: SDM 1, XSAVE Area.
 */
#include "engines/hosted/interp.h"

#define XSAVE_XMM	160U
#define XSAVE_HEADER	512U
#define XSAVE_YMM	2U /* components */
#define XSAVE_MASKS	5U
#define XSAVE_ZMM	6U
#define XSAVE_HI16	7U
#define REGISTER_CHUNKS 8U

struct gather {
	struct hosted_cpu *cpu;
	const struct x86_insn *insn;
	uint8_t *image;
	uint32_t ymm, masks, zmm,
		hi16; /* offsets of components in the image; 0: this CPU has none */
	unsigned elem, index_bytes, n; /* bytes of an element and of an index; elements */
	bool is_scatter, by_k;
};

static void gather_xsave(struct hosted_cpu *cpu, uint8_t *image, bool restore)
{
	uint32_t low = (uint32_t)cpu->xsave_mask, high = (uint32_t)(cpu->xsave_mask >> 32);

	if (restore)
		__asm__ volatile("xrstor64 (%0)" : : "r"(image), "a"(low), "d"(high) : "memory");
	else
		__asm__ volatile("xsave64 (%0)" : : "r"(image), "a"(low), "d"(high) : "memory");
}

/* The 8 bytes at @chunk of vector register @number; NULL: not there. */
static uint8_t *gather_chunk(const struct gather *g, unsigned number, unsigned chunk)
{
	if (number >= 16)
		return g->hi16 ? g->image + g->hi16 + (number - 16) * 64 + chunk * 8 : NULL;
	if (chunk < 2)
		return g->image + XSAVE_XMM + number * 16 + chunk * 8;
	if (chunk < 4)
		return g->ymm ? g->image + g->ymm + number * 16 + (chunk - 2) * 8 : NULL;
	return g->zmm ? g->image + g->zmm + number * 32 + (chunk - 4) * 8 : NULL;
}

static uint64_t gather_get(const struct gather *g, unsigned number, unsigned bytes, unsigned i)
{
	const uint8_t *chunk = gather_chunk(g, number, i * bytes / 8);
	uint64_t value = 0;

	if (chunk)
		cpu_copy(&value, chunk + i * bytes % 8, bytes);
	return value;
}

static void gather_set(const struct gather *g, unsigned number, unsigned bytes, unsigned i,
		       uint64_t value)
{
	uint8_t *chunk = gather_chunk(g, number, i * bytes / 8);

	if (chunk)
		cpu_copy(chunk + i * bytes % 8, &value, bytes);
}

static bool gather_wanted(const struct gather *g, unsigned i)
{
	if (g->by_k) {
		uint64_t k;
		cpu_copy(&k, g->image + g->masks + 8 * g->insn->evex_aaa, sizeof(k));
		return k >> i & 1;
	}
	return gather_get(g, g->insn->vvvv, g->elem, i) >> (8 * g->elem - 1) & 1;
}

static void gather_done(const struct gather *g, unsigned i)
{
	if (g->by_k) {
		uint8_t *at = g->image + g->masks + 8 * g->insn->evex_aaa;
		uint64_t k;
		cpu_copy(&k, at, sizeof(k));
		k &= ~(UINT64_C(1) << i);
		cpu_copy(at, &k, sizeof(k));
	} else {
		gather_set(g, g->insn->vvvv, g->elem, i, 0);
	}
}

static uint64_t gather_address(const struct gather *g, unsigned i)
{
	const struct x86_mem *mem = &g->insn->mem;
	uint64_t index = gather_get(g, mem->index, g->index_bytes, i);
	uint64_t ea = (uint64_t)mem->disp;

	if (g->index_bytes == 4)
		index = (uint64_t)(int32_t)index;
	if (mem->base < X86_REGS)
		ea += g->cpu->regs[mem->base];
	return (ea + index * mem->scale) & interp_mask(g->insn->addr_bytes);
}

static enum cpu_result gather_element(const struct gather *g, unsigned i)
{
	const struct x86_insn *insn = g->insn;
	uint64_t value, ea = gather_address(g, i);
	enum cpu_result result;

	if (g->is_scatter)
		return interp_store(g->cpu, insn->mem.seg, ea, g->elem,
				    gather_get(g, insn->reg, g->elem, i));
	result = interp_load(g->cpu, insn->mem.seg, ea, g->elem, &value);
	if (result == CPU_OK)
		gather_set(g, insn->reg, g->elem, i, value);
	return result;
}

/* From @bytes on a destination, or VEX's mask, is cleared. */
static void gather_clear(const struct gather *g, unsigned number, unsigned bytes)
{
	for (unsigned i = bytes / 4; i < REGISTER_CHUNKS * 2; i++)
		gather_set(g, number, 4, i, 0);
}

static void gather_finish(const struct gather *g)
{
	if (!g->by_k)
		gather_clear(g, g->insn->vvvv, 0);
	if (!g->is_scatter)
		gather_clear(g, g->insn->reg, g->n * g->elem);
	if (g->by_k) {
		uint64_t none = 0;
		cpu_copy(g->image + g->masks + 8 * g->insn->evex_aaa, &none, sizeof(none));
	}
}

/* Registers that were in their initial state are in the image as zeros, and are to be restored from it all the same. */
static void gather_own(const struct gather *g)
{
	uint64_t bits;

	cpu_copy(&bits, g->image + XSAVE_HEADER, sizeof(bits));
	bits |= g->cpu->xsave_mask & 0xe6;
	cpu_copy(g->image + XSAVE_HEADER, &bits, sizeof(bits));
}

static bool gather_plan(struct gather *g)
{
	const struct x86_insn *insn = g->insn;
	const struct interp_vcpu *interp = g->cpu->interp;
	unsigned vector = 16U << insn->vex_l, wider;

	g->by_k = insn->encoding == X86_ENC_EVEX;
	g->is_scatter = g->by_k && insn->opcode >= 0xa0;
	if (g->by_k ? !interp->has_avx512 || insn->opcode >= 0xc0 : !interp->has_avx2)
		return false;
	g->elem = insn->vex_w ? 8 : 4;
	g->index_bytes = insn->opcode & 1 ? 8 : 4;
	wider = g->elem > g->index_bytes ? g->elem : g->index_bytes;
	g->n = vector / wider;
	g->image = interp->xsave;
	g->ymm = interp->xsave_at[XSAVE_YMM];
	g->masks = interp->xsave_at[XSAVE_MASKS];
	g->zmm = interp->xsave_at[XSAVE_ZMM];
	g->hi16 = interp->xsave_at[XSAVE_HI16];
	return g->ymm && (!g->by_k || (g->masks && g->zmm && g->hi16));
}

/* VZEROUPPER and VZEROALL outside of 64-bit code, where there are eight registers: L tells which it is. */
void interp_vzero(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct gather g = { .cpu = cpu, .insn = insn, .image = cpu->interp->xsave };

	g.ymm = cpu->interp->xsave_at[XSAVE_YMM];
	g.zmm = cpu->interp->xsave_at[XSAVE_ZMM];
	gather_xsave(cpu, g.image, false);
	for (unsigned i = 0; i < 8; i++)
		gather_clear(&g, i, insn->vex_l ? 0 : 16);
	gather_own(&g);
	gather_xsave(cpu, g.image, true);
}

/*
 * A device among the elements: nothing is kept, and the journal answers for the elements before it in the next execution. A fault
 * after that keeps them.
 */
enum cpu_result interp_gather(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct gather g = { .cpu = cpu, .insn = insn };
	enum cpu_result result = CPU_OK;
	bool any = false;

	if (!gather_plan(&g))
		return fault_raise(cpu, SYS_UD);
	gather_xsave(cpu, g.image, false);
	for (unsigned i = 0; i < g.n && result == CPU_OK; i++) {
		if (gather_wanted(&g, i)) {
			result = gather_element(&g, i);
			any = any || result == CPU_OK;
		}
		if (result == CPU_OK)
			gather_done(&g, i);
	}
	if (result == CPU_EXIT)
		return result;
	if (result == CPU_OK)
		gather_finish(&g);
	else if (any && g.by_k && !g.is_scatter)
		gather_clear(&g, insn->reg, 16U << insn->vex_l);
	gather_own(&g);
	gather_xsave(cpu, g.image, true);
	return result;
}
