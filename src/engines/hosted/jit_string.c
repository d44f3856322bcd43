/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MOVS and STOS, repeated or not: forwards, source and destination each in one page. The host's own instruction does it, in the
 * guest's memory, with RSI and RDI lent to it. Anything else is interpreted. 64-bit code.
 */
#include "engines/hosted/jit_parts.h"

#define OPSIZE	    0x66U
#define REX_W	    0x48U
#define REP	    0xf3U
#define OPCODE_MOVS 0xa4U
#define OPCODE_STOS 0xaaU
#define OPCODE_WIDE 1U /* not bytes */
#define TEST	    0x85U

bool jit_can_string(const struct x86_insn *insn)
{
	bool is_based =
		insn->op == X86_OP_MOVS && (insn->mem.seg == X86_FS || insn->mem.seg == X86_GS);

	return insn->addr_bytes == 8 && !is_based;
}

static void host_string(struct emit *e, unsigned opcode, unsigned bytes, bool repeats)
{
	if (bytes == 2)
		emit_byte(e, OPSIZE);
	if (repeats)
		emit_byte(e, REP);
	if (bytes == 8)
		emit_byte(e, REX_W);
	emit_byte(e, opcode | (bytes > 1 ? OPCODE_WIDE : 0));
}

/* Where the register is afterwards. */
static struct emit_mem behind(unsigned reg, unsigned bytes, bool repeats)
{
	if (repeats)
		return (struct emit_mem){ (uint8_t)reg, X86_RCX, (uint8_t)bytes, 0 };
	return (struct emit_mem){ (uint8_t)reg, X86_REG_NONE, 1, (int32_t)bytes };
}

static void moved(struct jit_work *w, unsigned bytes, bool repeats)
{
	struct emit_mem source = behind(X86_RSI, bytes, repeats);
	struct emit_mem destination = behind(X86_RDI, bytes, repeats);
	struct emit *e = &w->e;

	emit_rm(e, true, EMIT_LEA, JIT_C, &source);
	emit_rm(e, true, EMIT_LEA, JIT_B, &destination);
	emit_gs(e, true, EMIT_LOAD, X86_RSI, JIT_GS(temp));
	emit_rr(e, true, EMIT_LOAD, X86_RDI, JIT_A);
	host_string(e, OPCODE_MOVS, bytes, repeats);
	emit_rr(e, true, EMIT_LOAD, X86_RSI, JIT_C);
	emit_rr(e, true, EMIT_LOAD, X86_RDI, JIT_B);
}

static void stored(struct jit_work *w, unsigned bytes, bool repeats)
{
	struct emit_mem destination = behind(X86_RDI, bytes, repeats);
	struct emit *e = &w->e;

	emit_rm(e, true, EMIT_LEA, JIT_B, &destination);
	emit_rr(e, true, EMIT_LOAD, X86_RDI, JIT_A);
	host_string(e, OPCODE_STOS, bytes, repeats);
	emit_rr(e, true, EMIT_LOAD, X86_RDI, JIT_B);
}

void jit_string(struct jit_work *w, const struct x86_insn *insn)
{
	bool repeats = insn->has_rep || insn->has_repne, moves = insn->op == X86_OP_MOVS;
	unsigned site = jit_site(w, 0, CPU_READ), bytes = insn->mem.bytes;
	struct emit *e = &w->e;
	uint8_t *none = NULL;

	emit_gs_test32(e, offsetof(struct hosted_cpu, rflags), X86_DF);
	jit_exit(w, emit_jcc(e, EMIT_CC_NE, NULL), JIT_THUNK_AGAIN, JIT_ARG_SITE, site);
	if (repeats) {
		emit_imm(e, true, EMIT_IMM_CMP, X86_RCX, (int32_t)(CPU_PAGE_BYTES / bytes));
		jit_exit(w, emit_jcc(e, EMIT_CC_A, NULL), JIT_THUNK_AGAIN, JIT_ARG_SITE, site);
		emit_rr(e, true, (enum emit_op)TEST, X86_RCX, X86_RCX);
		none = emit_jcc(e, EMIT_CC_E, NULL);
	}
	if (moves) {
		jit_elements(w, X86_RSI, bytes, repeats, CPU_READ, site);
		emit_gs(e, true, EMIT_STORE, JIT_A, JIT_GS(temp));
	}
	jit_elements(w, X86_RDI, bytes, repeats, CPU_WRITE, site);
	if (moves)
		moved(w, bytes, repeats);
	else
		stored(w, bytes, repeats);
	if (none)
		emit_patch(e, none, e->at);
}
