/* SPDX-License-Identifier: Apache-2.0 */
/* Privileged and virtualized instructions that kernels execute all the time, and need no C. 64-bit code. */
#include "engines/hosted/jit_parts.h"

#define RFLAGS_AC      0x40000
#define RFLAGS_RF      0x10000
#define RFLAGS_VM      0x20000
#define OF_SHIFT       11
#define WAITS_INJECTED 0xff0000U /* irq_injected, of the 4 bytes from nmi_pending on */
#define CPU_GS(m)      offsetof(struct hosted_cpu, m)
#define SEG_GS(n, m)                                                                               \
	(CPU_GS(segs) + (n) * sizeof(struct x86_segment) + offsetof(struct x86_segment, m))

static unsigned cpl_of(const struct jit_work *w)
{
	return (w->mode & CPU_MODE_CPL) >> 2;
}

bool jit_can_system(const struct jit_work *w, const struct x86_insn *insn)
{
	bool is_kernel = cpl_of(w) == 0;

	if (!w->long_mode)
		return false;
	switch (insn->op) {
	case X86_OP_PAUSE:
		return w->jit->vm->vm->n_cpus > 1;
	case X86_OP_CLI:
	case X86_OP_STI:
		return w->mode & CPU_MODE_IOPL_OK;
	case X86_OP_SWAPGS:
	case X86_OP_RDTSC:
	case X86_OP_CLAC:
	case X86_OP_STAC:
	case X86_OP_CLD:
		return is_kernel || insn->op == X86_OP_CLD;
	case X86_OP_PUSHF:
		return insn->op_bytes == 8;
	case X86_OP_MOV_FROM_SEG:
		return !insn->has_mem && insn->op_bytes >= 4;
	case X86_OP_MOVS:
	case X86_OP_STOS:
		return jit_can_string(insn);
	default:
		return false;
	}
}

/* ---- parts ---- */

/* Leaves for the interpreter where cr4 has not that bit. Flags are spared. */
static void leave_without(struct jit_work *w, uint32_t cr4)
{
	unsigned site = jit_site(w, 0, CPU_READ);

	emit_gs_test32(&w->e, CPU_GS(cr4), cr4);
	jit_exit(w, emit_jcc(&w->e, EMIT_CC_E, NULL), JIT_THUNK_AGAIN, JIT_ARG_SITE, site);
}

/*
 * No interrupt comes before the next instruction has retired: it is in this block, and what polls does so behind it. HLT, say, is
 * not: then the interpreter does both. So does it where an interrupt waits already.
 */
static void sti(struct jit_work *w)
{
	if (w->i + 1 == w->n) {
		jit_leave(w, w->at[w->i], w->needed[w->i]);
		return;
	}
	unsigned site = jit_site(w, 0, CPU_READ);
	emit_gs_test32(&w->e, CPU_GS(nmi_pending), WAITS_INJECTED);
	jit_exit(w, emit_jcc(&w->e, EMIT_CC_NE, NULL), JIT_THUNK_AGAIN, JIT_ARG_SITE, site);
	emit_gs_test32(&w->e, CPU_GS(irq_window), UINT8_MAX);
	jit_exit(w, emit_jcc(&w->e, EMIT_CC_NE, NULL), JIT_THUNK_AGAIN, JIT_ARG_SITE, site);
	emit_gs_imm32(&w->e, EMIT_IMM_OR, CPU_GS(rflags), X86_IF);
}
_Static_assert(offsetof(struct hosted_cpu, irq_injected) ==
		       offsetof(struct hosted_cpu, nmi_pending) + 2,
	       "WAITS_INJECTED is its byte");

static void swapgs(struct emit *e)
{
	emit_gs(e, true, EMIT_LOAD, JIT_A, SEG_GS(X86_GS, base));
	emit_gs(e, true, EMIT_LOAD, JIT_B, CPU_GS(kernel_gs_base));
	emit_gs(e, true, EMIT_STORE, JIT_A, CPU_GS(kernel_gs_base));
	emit_gs(e, true, EMIT_STORE, JIT_B, SEG_GS(X86_GS, base));
}

static void rdtsc(struct emit *e)
{
	emit_byte(e, 0x0f);
	emit_byte(e, 0x31);
	emit_shift(e, true, EMIT_SHL, X86_RDX, 32);
	emit_rr(e, true, EMIT_OR, X86_RAX, X86_RDX);
	emit_gs(e, true, EMIT_ADD, X86_RAX, CPU_GS(tsc_offset));
	emit_rr(e, true, EMIT_LOAD, X86_RDX, X86_RAX);
	emit_shift(e, true, EMIT_SHR, X86_RDX, 32);
	emit_rr(e, false, EMIT_LOAD, X86_RAX, X86_RAX);
}

/* Supervisor's data accesses reach user pages, or no longer do. */
static void access_to_user(struct jit_work *w, bool on)
{
	leave_without(w, (uint32_t)X86_CR4_SMAP);
	if (on)
		emit_gs_imm32(&w->e, EMIT_IMM_OR, CPU_GS(rflags), RFLAGS_AC);
	else
		emit_gs_imm32(&w->e, EMIT_IMM_AND, CPU_GS(rflags), ~(uint32_t)RFLAGS_AC);
	emit_gs(&w->e, true, EMIT_LOAD, JIT_A, CPU_GS(tlb_kernel) + (on ? sizeof(void *) : 0));
	emit_gs(&w->e, true, EMIT_STORE, JIT_A, CPU_GS(tlb));
}

/* RFLAGS with its arithmetic flags, which are in jit_gs.flags, to jit_gs.temp. */
static void rflags_whole(struct emit *e)
{
	emit_gs(e, false, EMIT_LOAD, JIT_C, JIT_GS(flags));
	emit_gs(e, false, EMIT_LOAD, JIT_B, CPU_GS(rflags));
	emit_imm(e, false, EMIT_IMM_AND, JIT_B,
		 ~(int32_t)(X86_FLAGS_ARITH | RFLAGS_RF | RFLAGS_VM));
	emit_rr(e, false, EMIT_LOAD, JIT_A, JIT_C);
	emit_shift(e, false, EMIT_SHR, JIT_A, 8);
	emit_imm(e, false, EMIT_IMM_AND, JIT_A, (int32_t)(X86_FLAGS_ARITH & ~X86_OF));
	emit_rr(e, false, EMIT_OR, JIT_B, JIT_A);
	emit_imm(e, false, EMIT_IMM_AND, JIT_C, 1);
	emit_shift(e, false, EMIT_SHL, JIT_C, OF_SHIFT);
	emit_rr(e, false, EMIT_OR, JIT_B, JIT_C);
	emit_gs(e, true, EMIT_STORE, JIT_B, JIT_GS(temp));
}

static void mov_from_segment(struct jit_work *w, const struct x86_insn *insn)
{
	unsigned to = insn->rm;
	bool kept = JIT_SCRATCH >> to & 1;

	emit_gs_movzx16(&w->e, kept ? JIT_A : to, SEG_GS(insn->reg, selector));
	if (kept)
		emit_gs(&w->e, true, EMIT_STORE, JIT_A, JIT_REG(to));
}

/* A vcpu that waits for another one lets it have the CPU, now and then. */
static void pause(struct jit_work *w)
{
	struct emit *e = &w->e;

	emit_byte(e, 0xf3);
	emit_byte(e, 0x90);
	emit_gs_imm32(e, EMIT_IMM_ADD, JIT_GS(pauses), UINT32_MAX); /* - 1 */
	uint8_t *out = emit_jcc(e, EMIT_CC_E, NULL);
	jit_exit(w, out, JIT_THUNK_PAUSE, JIT_ARG_SITE, jit_site(w, 0, CPU_READ));
}

void jit_system(struct jit_work *w, const struct x86_insn *insn)
{
	struct emit *e = &w->e;

	if (insn->op != X86_OP_SWAPGS && insn->op != X86_OP_MOV_FROM_SEG)
		jit_flags_spare(w, insn->op == X86_OP_PUSHF ? X86_FLAGS_ARITH : w->needed[w->i],
				JIT_A);
	switch (insn->op) {
	case X86_OP_CLI:
		emit_gs_imm32(e, EMIT_IMM_AND, CPU_GS(rflags), ~X86_IF);
		break;
	case X86_OP_MOVS:
	case X86_OP_STOS:
		jit_string(w, insn);
		break;
	case X86_OP_STI:
		sti(w);
		break;
	case X86_OP_PAUSE:
		pause(w);
		break;
	case X86_OP_CLD:
		emit_gs_imm32(e, EMIT_IMM_AND, CPU_GS(rflags), ~X86_DF);
		break;
	case X86_OP_SWAPGS:
		swapgs(e);
		break;
	case X86_OP_RDTSC:
		rdtsc(e);
		break;
	case X86_OP_PUSHF:
		rflags_whole(e);
		jit_push_temp(w);
		break;
	case X86_OP_MOV_FROM_SEG:
		mov_from_segment(w, insn);
		break;
	default:
		access_to_user(w, insn->op == X86_OP_STAC);
		break;
	}
}
