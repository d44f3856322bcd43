/* SPDX-License-Identifier: Apache-2.0 */
/* The ways into translated code and out of it, made once per vcpu at the start of its cache. */
#include "engines/hosted/jit_parts.h"

#define PUSH	  0x50U
#define POP	  0x58U
#define RET	  0xc3U
#define ARG1	  X86_RDI
#define JNE_SHORT 0x75U
#define ARG2	  X86_RSI

/* Callee-saved by the System V ABI, in the order in which they are pushed. */
static const uint8_t saved[] = { X86_RBX, X86_RBP, X86_R12, X86_R13, X86_R14, X86_R15 };

static void push_pop(struct emit *e, unsigned opcode, unsigned reg)
{
	if (reg >= 8)
		emit_byte(e, 0x41);
	emit_byte(e, opcode | (reg & 7));
}

static void registers(struct emit *e, enum emit_op op)
{
	for (unsigned reg = 0; reg < X86_REGS; reg++) {
		if (!(JIT_SCRATCH >> reg & 1))
			emit_gs(e, true, op, reg, JIT_REG(reg));
	}
}

/* All of the guest's general state from the struct, and on to jit_gs.target. */
static void go_on(struct emit *e)
{
	jit_flags_load(e, JIT_A);
	registers(e, EMIT_LOAD);
	emit_jmp_gs(e, JIT_GS(target));
}

static void enter(struct emit *e)
{
	for (unsigned i = 0; i < sizeof(saved); i++)
		push_pop(e, PUSH, saved[i]);
	emit_gs(e, true, EMIT_STORE, X86_RSP, JIT_GS(host_sp));
	go_on(e);
}

static void leave(struct emit *e)
{
	emit_gs(e, true, EMIT_LOAD, X86_RSP, JIT_GS(host_sp));
	for (unsigned i = sizeof(saved); i-- > 0;)
		push_pop(e, POP, saved[i]);
	emit_byte(e, RET);
}

static void take(struct emit *e)
{
	jit_flags_load(e, JIT_A);
	emit_jmp_gs(e, JIT_GS(entry));
}

/* Right before the thunk for what is not in the jump table. */
static void dispatch(struct emit *e)
{
	struct emit_mem slot = { JIT_B, X86_REG_NONE, 1, 0 };
	struct emit_mem host = { JIT_B, X86_REG_NONE, 1, offsetof(struct jit_jump, host) };

	emit_gs_cmp32_zero(e, offsetof(struct hosted_cpu, poll));
	uint8_t *asked = emit_short(e, JNE_SHORT);
	emit_rr(e, false, EMIT_LOAD, JIT_B, JIT_C);
	emit_shift(e, false, EMIT_SHL, JIT_B, JIT_JUMP_SHIFT);
	emit_imm(e, false, EMIT_IMM_AND, JIT_B, (int32_t)((JIT_JUMPS - 1) << JIT_JUMP_SHIFT));
	emit_gs(e, true, EMIT_ADD, JIT_B, JIT_GS(jumps));
	emit_rm(e, true, EMIT_CMP, JIT_C, &slot);
	uint8_t *unknown = emit_short(e, JNE_SHORT);
	emit_jmp_mem(e, &host);
	emit_patch_short(e, asked);
	emit_patch_short(e, unknown);
}
_Static_assert(JIT_THUNK_JUMP == JIT_THUNK_DISPATCH + 1, "dispatch() falls through");

/* What a thunk is made of. */
struct thunk {
	jit_fn *fn;
	bool flags_live;
	uint8_t arg;	 /* register */
	uint8_t address; /* of a memory operand: the register that holds it, X86_REG_NONE: none */
};

/* fn(cpu, arg): where to go on, or NULL: leave. */
static void call(struct jit_vcpu *jit, struct emit *e, const struct thunk *thunk)
{
	struct emit_mem down = { X86_RSP, X86_REG_NONE, 1,
				 -8 }; /* six were pushed, and the return address */

	if (thunk->flags_live)
		jit_flags_save(e, JIT_A);
	if (thunk->address != X86_REG_NONE)
		emit_gs(e, true, EMIT_STORE, thunk->address, JIT_GS(address));
	if (thunk->address != X86_REG_NONE)
		emit_gs(e, true, EMIT_STORE, jit_entry_reg(thunk->address), JIT_GS(looked));
	registers(e, EMIT_STORE);
	emit_gs(e, true, EMIT_LOAD, X86_RSP, JIT_GS(host_sp));
	emit_rm(e, true, EMIT_LEA, X86_RSP, &down);
	emit_rr(e, true, EMIT_LOAD, ARG2, thunk->arg);
	emit_mov_imm(e, ARG1, (uintptr_t)jit->cpu);
	emit_mov_imm(e, X86_RAX, (uintptr_t)thunk->fn);
	emit_byte(e, 0xff); /* call rax */
	emit_byte(e, 0xd0);
	emit_rr(e, true, (enum emit_op)0x85, X86_RAX, X86_RAX); /* test */
	uint8_t *none = emit_jcc(e, EMIT_CC_E, NULL);
	emit_gs(e, true, EMIT_STORE, X86_RAX, JIT_GS(target));
	if (thunk->address != X86_REG_NONE) { /* flags are saved or dead */
		emit_gs(e, true, EMIT_LOAD, thunk->address, JIT_GS(address));
		registers(e, EMIT_LOAD);
		emit_jmp_gs(e, JIT_GS(target));
	} else {
		go_on(e);
	}
	emit_patch(e, none, e->at);
	leave(e);
}

static const struct thunk thunks[JIT_THUNKS] = {
	[JIT_THUNK_MEM_A] = { jit_slow_mem, false, JIT_C, JIT_A },
	[JIT_THUNK_MEM_B] = { jit_slow_mem, false, JIT_C, JIT_B },
	[JIT_THUNK_MEM_C] = { jit_slow_mem, false, JIT_A, JIT_C },
	[JIT_THUNK_AGAIN] = { jit_slow_again, false, JIT_C, X86_REG_NONE },
	[JIT_THUNK_AGAIN_LIVE] = { jit_slow_again, true, JIT_C, X86_REG_NONE },
	[JIT_THUNK_LINK] = { jit_slow_link, true, JIT_C, X86_REG_NONE },
	[JIT_THUNK_LINK_SAVED] = { jit_slow_link, false, JIT_C, X86_REG_NONE },
	[JIT_THUNK_JUMP] = { jit_slow_jump, false, JIT_A, JIT_C },
	[JIT_THUNK_PAUSE] = { jit_slow_pause, false, JIT_C, X86_REG_NONE },
	[JIT_THUNK_DEAD] = { jit_slow_dead, true, JIT_C, X86_REG_NONE },
};

void jit_thunks_make(struct jit_vcpu *jit)
{
	struct emit e = { .at = jit->rw, .end = jit->rw + JIT_THUNK_BYTES, .state = jit->state };

	emit_u64(&e, 0); /* nothing is at reference 0 */
	for (unsigned i = 0; i < JIT_THUNKS; i++) {
		jit->thunks[i] = (jit_ref)(e.at - jit->rw);
		if (i == JIT_THUNK_ENTER)
			enter(&e);
		else if (i == JIT_THUNK_EXIT)
			leave(&e);
		else if (i == JIT_THUNK_TAKE)
			take(&e);
		else if (i == JIT_THUNK_DISPATCH)
			dispatch(&e);
		else
			call(jit, &e, &thunks[i]);
	}
}
