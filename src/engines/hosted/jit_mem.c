/* SPDX-License-Identifier: Apache-2.0 */
/* Memory operands: their address, and the look-up of it in the TLB. */
#include "engines/hosted/jit_parts.h"

#define TLB_SHIFT                                                                                  \
	7U /* from a linear address to bytes into the table: 12 - log2(sizeof(struct cpu_tlb_entry)) */
#define TLB_MASK ((CPU_TLB_SIZE - 1) * (uint32_t)sizeof(struct cpu_tlb_entry))
_Static_assert(sizeof(struct cpu_tlb_entry) == 1U << (12 - TLB_SHIFT),
	       "an entry's size is in TLB_SHIFT");

#define PAGE_SHIFT 12U

#define SAHF_OF	    0x7fU /* added to AL, 1 or 0, gives OF */
#define OPCODE_LAHF 0x9fU
#define OPCODE_SAHF 0x9eU

uint32_t jit_operands(const struct x86_insn *insn)
{
	uint32_t set = 0;

	if (insn->reg_field == X86_FIELD_GPR || insn->reg_field == X86_FIELD_GPR8)
		set |= UINT32_C(1) << insn->reg;
	if (insn->rm_field == X86_FIELD_GPR || insn->rm_field == X86_FIELD_GPR8)
		set |= UINT32_C(1) << insn->rm;
	if (insn->vvvv_field == X86_FIELD_GPR)
		set |= UINT32_C(1) << insn->vvvv;
	return set & JIT_SCRATCH;
}

unsigned jit_scratch(uint32_t taken)
{
	if (!(taken & 1U << JIT_A))
		return JIT_A;
	return taken & 1U << JIT_B ? JIT_C : JIT_B;
}

/* ---- flags ---- */

static void setcc_o_al(struct emit *e)
{
	static const uint8_t bytes[] = { 0x0f, 0x90, 0xc0 };

	emit_bytes(e, bytes, sizeof(bytes));
}

void jit_flags_save(struct emit *e, unsigned temp)
{
	emit_rr(e, true, EMIT_LOAD, temp, X86_RAX);
	emit_byte(e, OPCODE_LAHF);
	setcc_o_al(e);
	emit_gs(e, false, EMIT_STORE, X86_RAX, JIT_GS(flags));
	emit_rr(e, true, EMIT_LOAD, X86_RAX, temp);
}

void jit_flags_load(struct emit *e, unsigned temp)
{
	emit_rr(e, true, EMIT_LOAD, temp, X86_RAX);
	emit_gs(e, false, EMIT_LOAD, X86_RAX, JIT_GS(flags));
	emit_byte(e, 0x04); /* add al, imm8 */
	emit_byte(e, SAHF_OF);
	emit_byte(e, OPCODE_SAHF);
	emit_rr(e, true, EMIT_LOAD, X86_RAX, temp);
}

void jit_flags_spare(struct jit_work *w, uint32_t needed, unsigned temp)
{
	if (!needed || w->flags == JIT_FLAGS_SAVED)
		return;
	jit_flags_save(&w->e, temp);
	w->flags = JIT_FLAGS_SAVED;
}

void jit_flags_back(struct jit_work *w, unsigned temp)
{
	if (w->flags == JIT_FLAGS_HOST)
		return;
	jit_flags_load(&w->e, temp);
	w->flags = JIT_FLAGS_HOST;
}

/* ---- addresses ---- */

static bool is_scratch(unsigned reg)
{
	return reg < X86_REGS && (JIT_SCRATCH >> reg & 1);
}

/* An address register that lives in memory comes to its host register. */
static void address_register(struct jit_work *w, unsigned reg)
{
	if (is_scratch(reg))
		emit_gs(&w->e, true, EMIT_LOAD, reg, JIT_REG(reg));
}

/* Within the segment, of addr_bytes; less shift, where that is not 0. */
static void offset_into(struct jit_work *w, const struct x86_insn *insn, unsigned a, int32_t shift)
{
	const struct x86_mem *mem = &insn->mem;
	bool is64 = insn->addr_bytes == 8;
	uint64_t value = (uint64_t)mem->disp;

	if (mem->is_rip)
		value += w->rip + w->at[w->i] + insn->len;
	if (!is64)
		value &= UINT32_MAX;
	if (insn->op == X86_OP_XLAT) { /* [rBX + AL] */
		struct emit_mem table = { X86_RBX, (uint8_t)a, 1, 0 };
		emit_byte(&w->e, a >= 8 ? 0x44 : 0x40);
		emit_byte(&w->e, 0x0f); /* movzx a, al */
		emit_byte(&w->e, 0xb6);
		emit_byte(&w->e, 0xc0 | (a & 7) << 3);
		emit_rm(&w->e, is64, EMIT_LEA, a, &table);
	} else if (mem->is_rip || mem->is_moffs ||
		   (mem->base == X86_REG_NONE && mem->index == X86_REG_NONE)) {
		emit_mov_imm(&w->e, a, value);
	} else {
		struct emit_mem ea = { mem->base, mem->index, mem->scale,
				       (int32_t)mem->disp - shift };
		address_register(w, mem->base);
		if (mem->index != mem->base)
			address_register(w, mem->index);
		emit_rm(&w->e, is64, EMIT_LEA, a, &ea);
	}
}

static void segment_base(struct jit_work *w, const struct x86_insn *insn, unsigned to)
{
	emit_gs(&w->e, true, EMIT_LOAD, to,
		offsetof(struct hosted_cpu, segs) + insn->mem.seg * sizeof(struct x86_segment) +
			offsetof(struct x86_segment, base));
}

/* A displacement, and a register that is where it should be, from a segment's base on: an addition with no register more. */
static bool is_plain(const struct jit_work *w, const struct x86_insn *insn)
{
	const struct x86_mem *mem = &insn->mem;

	return w->long_mode && insn->addr_bytes == 8 && insn->op != X86_OP_XLAT && !mem->is_rip &&
	       !mem->is_moffs && mem->index == X86_REG_NONE && !is_scratch(mem->base);
}

void jit_address(struct jit_work *w, const struct x86_insn *insn, unsigned a)
{
	const struct x86_mem *mem = &insn->mem;
	unsigned b = jit_entry_reg(a);
	struct emit_mem sum = { (uint8_t)a, (uint8_t)b, 1, 0 };

	if (mem->seg != X86_FS && mem->seg != X86_GS) {
		offset_into(w, insn, a, 0); /* base 0: CPU_MODE_FLAT */
	} else if (is_plain(w, insn)) {
		segment_base(w, insn, a);
		sum.index = mem->base;
		sum.disp = (int32_t)mem->disp;
		if (mem->base == X86_RSP) /* is no index */
			sum = (struct emit_mem){ X86_RSP, (uint8_t)a, 1, sum.disp };
		emit_rm(&w->e, true, EMIT_LEA, a, &sum);
	} else {
		offset_into(w, insn, a, 0);
		segment_base(w, insn, b);
		emit_rm(&w->e, w->long_mode, EMIT_LEA, a, &sum);
	}
}

/* ---- what is known of a group, at hand ---- */

enum hand { HAND_C, HAND_A, HANDS };
static const uint8_t hand_regs[HANDS] = { JIT_C, JIT_A };

/* In that register from now on, if it is one that keeps it. */
static void hand_set(struct jit_work *w, unsigned reg, uint8_t slot)
{
	for (unsigned hand = 0; hand < HANDS; hand++) {
		if (hand_regs[hand] == reg) {
			w->hands[hand] = slot;
			w->e.written &= ~(UINT32_C(1) << reg);
		}
	}
}

static bool is_free(const struct jit_work *w, enum hand hand)
{
	return w->hands[hand] == JIT_NO_SLOT || (w->e.written >> hand_regs[hand] & 1);
}

static uint32_t named(const struct jit_work *w, bool is_stack)
{
	return is_stack ? 0 : jit_operands(&w->insns[w->i]);
}

/* A register for what is known of a group; a where the instruction needs the others. */
static unsigned hand_for(const struct jit_work *w, bool is_stack, unsigned a)
{
	bool has_c = !(named(w, is_stack) >> JIT_C & 1);
	bool has_a = !(named(w, is_stack) >> JIT_A & 1);

	if (has_c && (is_free(w, HAND_C) || !has_a))
		return JIT_C;
	return has_a ? JIT_A : a;
}

/* The register that holds what is known of the group. */
static unsigned known_of(struct jit_work *w, const struct jit_group *g, bool is_stack, unsigned a)
{
	for (unsigned hand = 0; hand < HANDS; hand++) {
		if (w->hands[hand] == g->slot && !is_free(w, hand) &&
		    !(named(w, is_stack) >> hand_regs[hand] & 1))
			return hand_regs[hand];
	}
	unsigned to = hand_for(w, is_stack, a);
	w->wanted |= (uint8_t)(1U << g->slot);
	emit_gs(&w->e, true, EMIT_LOAD, to, JIT_GS(group) + 8U * g->slot);
	hand_set(w, to, g->slot);
	return to;
}

static void known_store(struct jit_work *w, const struct jit_group *g, unsigned reg)
{
	if (w->stored >> g->slot & 1)
		emit_gs(&w->e, true, EMIT_STORE, reg, JIT_GS(group) + 8U * g->slot);
}

/* ---- look-ups ---- */

static size_t tag_of(enum cpu_access access)
{
	return access == CPU_WRITE ? offsetof(struct cpu_tlb_entry, write)
				   : offsetof(struct cpu_tlb_entry, read);
}

/* to = from >> count, the bits shifted out may come in again above. */
static void shifted(struct jit_work *w, unsigned to, unsigned from, unsigned count)
{
	if (w->jit->has_bmi2) {
		emit_rorx(&w->e, to, from, count);
	} else {
		emit_rr(&w->e, true, EMIT_LOAD, to, from);
		emit_shift(&w->e, true, EMIT_SHR, to, count);
	}
}

/* b becomes the address of the entry, by cpu_tlb_index(). */
static void entry_of(struct jit_work *w, unsigned a, unsigned b)
{
	struct emit *e = &w->e;

	shifted(w, b, a, CPU_TLB_MIX);
	emit_rr(e, true, EMIT_XOR, b, a);
	emit_shift(e, false, EMIT_SHR, b, TLB_SHIFT);
	emit_imm(e, false, EMIT_IMM_AND, b, (int32_t)TLB_MASK);
	emit_gs(e, true, EMIT_ADD, b, offsetof(struct hosted_cpu, tlb));
}

/*
 * a: a linear address, of which the tag leaves the offset in the page, if it is that page; then the place on the host.
 * Return: displacement of the jump for a miss.
 */
static uint8_t *look_up(struct jit_work *w, unsigned a, unsigned bytes, enum cpu_access access)
{
	unsigned b = jit_entry_reg(a);
	struct emit_mem tag = { (uint8_t)b, X86_REG_NONE, 1, (int32_t)tag_of(access) };
	struct emit_mem host = { (uint8_t)b, X86_REG_NONE, 1,
				 offsetof(struct cpu_tlb_entry, host) };

	entry_of(w, a, b);
	emit_rm(&w->e, true, EMIT_XOR, a, &tag);
	emit_imm(&w->e, true, EMIT_IMM_CMP, a, (int32_t)(CPU_PAGE_BYTES - bytes));
	uint8_t *miss = emit_jcc(&w->e, EMIT_CC_A, NULL);
	emit_rm(&w->e, true, EMIT_ADD, a, &host);
	return miss;
}

void jit_elements(struct jit_work *w, unsigned reg, unsigned bytes, bool repeats,
		  enum cpu_access access, unsigned site)
{
	struct emit_mem last = { JIT_A, X86_REG_NONE, 1, (int32_t)bytes - 1 };
	struct emit_mem tag = { JIT_B, X86_REG_NONE, 1, (int32_t)tag_of(access) };
	struct emit_mem host = { JIT_B, X86_REG_NONE, 1, offsetof(struct cpu_tlb_entry, host) };
	struct emit *e = &w->e;

	if (repeats)
		last = (struct emit_mem){ JIT_A, X86_RCX, (uint8_t)bytes, -1 };
	emit_rr(e, true, EMIT_LOAD, JIT_A, reg);
	entry_of(w, JIT_A, JIT_B);
	emit_rm(e, true, EMIT_LEA, JIT_C, &last);
	emit_rm(e, true, EMIT_XOR, JIT_C, &tag);
	emit_shift(e, true, EMIT_SHR, JIT_C, PAGE_SHIFT);
	jit_exit(w, emit_jcc(e, EMIT_CC_NE, NULL), JIT_THUNK_AGAIN, JIT_ARG_SITE, site);
	emit_imm(e, false, EMIT_IMM_AND, JIT_A, (int32_t)CPU_PAGE_BYTES - 1);
	emit_rm(e, true, EMIT_ADD, JIT_A, &host);
}

static void miss_exit(struct jit_work *w, uint8_t *from, unsigned a, unsigned site)
{
	enum jit_thunk thunk = a == JIT_A   ? JIT_THUNK_MEM_A
			       : a == JIT_B ? JIT_THUNK_MEM_B
					    : JIT_THUNK_MEM_C;

	w->sites[site].retry = !jit_is_tame(&w->insns[w->i]);
	jit_exit(w, from, thunk, JIT_ARG_SITE, site);
}

/* a: linear address in, host address out. */
static void check_alone(struct jit_work *w, unsigned a, unsigned bytes, enum cpu_access access)
{
	uint8_t *miss = look_up(w, a, bytes, access);

	miss_exit(w, miss, a, jit_site(w, bytes, access));
}

/* The first of a group: a is the linear address of the group's first byte, and becomes its place on the host. */
static void check_group(struct jit_work *w, struct jit_group *g, unsigned a, unsigned bytes,
			enum cpu_access access)
{
	unsigned range = (unsigned)(g->max - g->min);

	uint8_t *miss = look_up(w, a, range, g->write ? CPU_WRITE : CPU_READ);
	known_store(w, g, a);
	unsigned site = jit_site(w, bytes, access);
	w->sites[site].slot = g->slot;
	w->sites[site].shift = (uint16_t)(g->first - g->min);
	w->sites[site].range = (uint16_t)range;
	w->sites[site].group_access = g->write ? CPU_WRITE : CPU_READ;
	miss_exit(w, miss, a, site);
	hand_set(w, a, g->slot);
	g->is_open = true;
}

/* a: the linear address less shift (at most JIT_GROUP_BYTES), or what is not canonical either way. */
static void linear(struct jit_work *w, const struct emit_mem *guest, unsigned a, int64_t shift)
{
	struct emit_mem at = { (uint8_t)a, X86_REG_NONE, 1, (int32_t)-shift };
	const struct x86_insn *insn = &w->insns[w->i];

	if (guest) {
		at = *guest;
		at.disp -= (int32_t)shift;
	} else if (shift && insn->mem.disp >= INT32_MIN + JIT_GROUP_BYTES) {
		offset_into(w, insn, a,
			    (int32_t)shift); /* of a group: base and index, no segment */
		return;
	} else {
		jit_address(w, insn, a);
		if (!shift)
			return;
	}
	emit_rm(&w->e, true, EMIT_LEA, a, &at);
}

/* The first access to a page that is known: a becomes its place on the host, without the other two. */
static void check_constant(struct jit_work *w, struct jit_group *g, int32_t gva, unsigned a,
			   unsigned bytes, enum cpu_access access)
{
	enum cpu_access whole = g->write ? CPU_WRITE : CPU_READ;
	int32_t entry =
		(int32_t)(cpu_tlb_index((uint64_t)(int64_t)gva) * sizeof(struct cpu_tlb_entry));
	struct emit_mem tag = { (uint8_t)a, X86_REG_NONE, 1, entry + (int32_t)tag_of(whole) };
	struct emit_mem host = { (uint8_t)a, X86_REG_NONE, 1,
				 entry + (int32_t)offsetof(struct cpu_tlb_entry, host) };
	struct emit *e = &w->e;

	emit_gs(e, true, EMIT_LOAD, a, offsetof(struct hosted_cpu, tlb));
	emit_cmp_imm(e, &tag, gva & -(int32_t)CPU_PAGE_BYTES);
	uint8_t *miss = emit_jcc(e, EMIT_CC_NE, NULL);
	emit_rm(e, true, EMIT_LOAD, a, &host);
	if (g->slot != JIT_NO_SLOT)
		known_store(w, g, a);
	unsigned site = jit_site(w, bytes, access);
	w->sites[site].is_constant = true;
	w->sites[site].gva = gva;
	w->sites[site].slot = g->slot;
	w->sites[site].shift = (uint16_t)(gva - g->min);
	w->sites[site].range = (uint16_t)(g->max - g->min);
	w->sites[site].group_access = (uint8_t)whole;
	miss_exit(w, miss, a, site);
	g->is_open = true;
}

static struct emit_mem constant(struct jit_work *w, struct jit_group *g, unsigned a, unsigned bytes,
				enum cpu_access access, uint32_t needed)
{
	const struct x86_insn *insn = &w->insns[w->i];
	int64_t gva = insn->mem.disp;

	if (insn->mem.is_rip)
		gva += (int64_t)(w->rip + w->at[w->i] + insn->len);
	if (g->is_open && g->slot != JIT_NO_SLOT) {
		a = known_of(w, g, false, a);
	} else {
		if (g->slot != JIT_NO_SLOT)
			a = hand_for(w, false, a);
		jit_flags_spare(w, needed, jit_entry_reg(a));
		check_constant(w, g, (int32_t)gva, a, bytes, access);
		if (g->slot != JIT_NO_SLOT)
			hand_set(w, a, g->slot);
	}
	return (struct emit_mem){ (uint8_t)a, X86_REG_NONE, 1,
				  (int32_t)(gva & (CPU_PAGE_BYTES - 1)) };
}

struct emit_mem jit_operand(struct jit_work *w, const struct emit_mem *guest, unsigned a,
			    unsigned bytes, enum cpu_access access, uint32_t needed)
{
	unsigned at = w->group_at[w->i][guest ? JIT_STACK : JIT_OPERAND];
	struct jit_group *g = at ? &w->groups[at - 1] : NULL;
	struct emit_mem host = { (uint8_t)a, X86_REG_NONE, 1, 0 };
	bool grouped = g && g->slot != JIT_NO_SLOT;

	if (g && g->is_constant)
		return constant(w, g, a, bytes, access, needed);
	if (grouped)
		host.disp = (int32_t)(w->offset_at[w->i][guest ? JIT_STACK : JIT_OPERAND] - g->min);
	if (grouped && g->is_open) {
		host.base = (uint8_t)known_of(w, g, guest != NULL, a);
		return host;
	}
	jit_flags_spare(w, needed, jit_entry_reg(a));
	if (grouped) {
		a = hand_for(w, guest != NULL, a);
		linear(w, guest, a, host.disp);
		check_group(w, g, a, bytes, access);
		host.base = (uint8_t)a;
	} else {
		linear(w, guest, a, 0);
		check_alone(w, a, bytes, access);
	}
	return host;
}
