/* SPDX-License-Identifier: Apache-2.0 */
/*
 * String instructions. Registers move after each element, so that a fault or a device in the middle leaves what is done behind, and
 * the instruction begins anew with the rest. REP MOVS and STOS forwards in plain memory go a page's rest at a time.
 */
#include "engines/hosted/interp.h"
#include "engines/hosted/io.h"
#include "engines/hosted/system.h"

struct string {
	struct hosted_cpu *cpu;
	const struct x86_insn *insn;
	unsigned bytes; /* of an element */
	uint64_t mask;	/* of addresses and the count */
	int64_t step;
	enum x86_seg seg; /* of the source */
};

static uint64_t string_at(const struct string *s, unsigned reg)
{
	return s->cpu->regs[reg] & s->mask;
}

/* 32-bit addresses clear the register's upper half, 16-bit ones leave the rest. */
static void string_set(const struct string *s, unsigned reg, uint64_t value)
{
	interp_set_reg(s->cpu, reg, s->insn->addr_bytes, value);
}

static void string_advance(const struct string *s, unsigned reg, uint64_t n)
{
	string_set(s, reg, s->cpu->regs[reg] + (uint64_t)s->step * n);
}

/* The flags of a - b. Intel SDM 2, CMPS, SCAS. */
static void string_compare(const struct string *s, uint64_t a, uint64_t b)
{
	unsigned bits = 8 * s->bytes;
	uint64_t mask = interp_mask(s->bytes), diff = (a - b) & mask, flags = 0;

	a &= mask;
	b &= mask;
	if (a < b)
		flags |= X86_CF;
	if (!__builtin_parity((unsigned)diff & 0xff))
		flags |= X86_PF;
	if ((a ^ b ^ diff) & 0x10)
		flags |= X86_AF;
	if (diff == 0)
		flags |= X86_ZF;
	if (diff >> (bits - 1) & 1)
		flags |= X86_SF;
	if (((a ^ b) & (a ^ diff)) >> (bits - 1) & 1)
		flags |= X86_OF;
	s->cpu->rflags = (s->cpu->rflags & ~(uint64_t)X86_FLAGS_ARITH) | flags;
}

static enum cpu_result string_load(const struct string *s, uint64_t *ret)
{
	return interp_load(s->cpu, s->seg, string_at(s, X86_RSI), s->bytes, ret);
}

static enum cpu_result string_load_di(const struct string *s, uint64_t *ret)
{
	return interp_load(s->cpu, X86_ES, string_at(s, X86_RDI), s->bytes, ret);
}

static enum cpu_result string_store(const struct string *s, uint64_t value)
{
	return interp_store(s->cpu, X86_ES, string_at(s, X86_RDI), s->bytes, value);
}

static enum cpu_result string_movs(const struct string *s)
{
	uint64_t value;
	enum cpu_result result = string_load(s, &value);

	if (result == CPU_OK)
		result = string_store(s, value);
	if (result == CPU_OK) {
		string_advance(s, X86_RSI, 1);
		string_advance(s, X86_RDI, 1);
	}
	return result;
}

static enum cpu_result string_cmps(const struct string *s)
{
	uint64_t a, b;
	enum cpu_result result = string_load(s, &a);

	if (result == CPU_OK)
		result = string_load_di(s, &b);
	if (result == CPU_OK) {
		string_compare(s, a, b);
		string_advance(s, X86_RSI, 1);
		string_advance(s, X86_RDI, 1);
	}
	return result;
}

static enum cpu_result string_scas(const struct string *s)
{
	uint64_t b;
	enum cpu_result result = string_load_di(s, &b);

	if (result == CPU_OK) {
		string_compare(s, s->cpu->regs[X86_RAX], b);
		string_advance(s, X86_RDI, 1);
	}
	return result;
}

static enum cpu_result string_lods(const struct string *s)
{
	uint64_t value;
	enum cpu_result result = string_load(s, &value);

	if (result == CPU_OK) {
		interp_set_reg(s->cpu, X86_RAX, s->bytes, value);
		string_advance(s, X86_RSI, 1);
	}
	return result;
}

static enum cpu_result string_stos(const struct string *s)
{
	enum cpu_result result = string_store(s, s->cpu->regs[X86_RAX]);

	if (result == CPU_OK)
		string_advance(s, X86_RDI, 1);
	return result;
}

/* Memory is probed before the port is read: a page fault must not lose what came of it. */
static enum cpu_result string_ins(const struct string *s)
{
	uint16_t port = (uint16_t)s->cpu->regs[X86_RDX];
	uint64_t gva, value;
	enum cpu_result result = system_io_allowed(s->cpu, port, s->bytes);

	if (result == CPU_OK)
		result = interp_linear(s->cpu, X86_ES, string_at(s, X86_RDI), s->bytes, true, &gva);
	if (result == CPU_OK)
		result = cpu_probe(s->cpu, gva, s->bytes, CPU_WRITE);
	if (result == CPU_OK)
		result = io_access(s->cpu, true, false, port, s->bytes, &value);
	if (result == CPU_OK && (s->cpu->mode & CPU_MODE_TRAP))
		s->cpu->debug_hits |= debug_port(s->cpu, port, s->bytes);
	if (result == CPU_OK)
		result = cpu_store(s->cpu, gva, &value, s->bytes);
	if (result == CPU_OK)
		string_advance(s, X86_RDI, 1);
	return result;
}

static enum cpu_result string_outs(const struct string *s)
{
	uint16_t port = (uint16_t)s->cpu->regs[X86_RDX];
	uint64_t value;
	enum cpu_result result = system_io_allowed(s->cpu, port, s->bytes);

	if (result == CPU_OK)
		result = string_load(s, &value);
	if (result == CPU_OK)
		result = io_access(s->cpu, true, true, port, s->bytes, &value);
	if (result == CPU_OK && (s->cpu->mode & CPU_MODE_TRAP))
		s->cpu->debug_hits |= debug_port(s->cpu, port, s->bytes);
	if (result == CPU_OK)
		string_advance(s, X86_RSI, 1);
	return result;
}

static enum cpu_result string_element(const struct string *s)
{
	switch (s->insn->op) {
	case X86_OP_MOVS:
		return string_movs(s);
	case X86_OP_CMPS:
		return string_cmps(s);
	case X86_OP_SCAS:
		return string_scas(s);
	case X86_OP_LODS:
		return string_lods(s);
	case X86_OP_STOS:
		return string_stos(s);
	case X86_OP_INS:
		return string_ins(s);
	default:
		return string_outs(s);
	}
}

/* The host's own MOVS and STOS of the same width: overlapping strings come out the same. */
static void string_host_movs(unsigned bytes, uint8_t *to, const uint8_t *from, uint64_t n)
{
	switch (bytes) {
	case 1:
		__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
		break;
	case 2:
		__asm__ volatile("rep movsw" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
		break;
	case 4:
		__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
		break;
	default:
		__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
		break;
	}
}

static void string_host_stos(unsigned bytes, uint8_t *to, uint64_t value, uint64_t n)
{
	switch (bytes) {
	case 1:
		__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
		break;
	case 2:
		__asm__ volatile("rep stosw" : "+D"(to), "+c"(n) : "a"(value) : "memory");
		break;
	case 4:
		__asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(value) : "memory");
		break;
	default:
		__asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(value) : "memory");
		break;
	}
}

/*
 * Host pointer to the elements from @ea to the end of their page, at most *n of them, whole and wrapping nowhere; NULL: not
 * like that here. A segment's limit is checked for the last of them: a segment that grows upwards has the others too.
 */
static uint8_t *string_run(const struct string *s, enum x86_seg seg, uint64_t ea, bool write,
			   uint64_t *n)
{
	uint64_t first, last, fits = (CPU_PAGE_BYTES - (ea & (CPU_PAGE_BYTES - 1))) / s->bytes;

	if (s->cpu->mode & (CPU_MODE_TRAP | CPU_MODE_ALIGN))
		return NULL;
	if (fits < *n)
		*n = fits;
	if (*n == 0 || ea + *n * s->bytes - 1 > s->mask)
		return NULL;
	uint64_t span = (*n - 1) * s->bytes;
	if (interp_linear(s->cpu, seg, ea, s->bytes, write, &first) != CPU_OK ||
	    interp_linear(s->cpu, seg, ea + span, s->bytes, write, &last) != CPU_OK ||
	    last != first + span)
		return NULL;
	uint8_t *at = interp_direct(s->cpu, first, 1, write);
	return at && interp_direct(s->cpu, last, s->bytes, write) == at + span ? at : NULL;
}

/* Return: how many elements went at once; 0: none, the next is to be done by itself. */
static uint64_t string_chunk(const struct string *s, uint64_t count)
{
	const struct cpu_fault before = s->cpu->fault;
	uint64_t n = count;
	uint8_t *to = string_run(s, X86_ES, string_at(s, X86_RDI), true, &n);
	const uint8_t *from = NULL;

	if (to && s->insn->op == X86_OP_MOVS)
		from = string_run(s, s->seg, string_at(s, X86_RSI), false, &n);
	s->cpu->fault = before;
	if (!to || (s->insn->op == X86_OP_MOVS && !from))
		return 0;
	if (from) {
		string_host_movs(s->bytes, to, from, n);
		string_advance(s, X86_RSI, n);
	} else {
		string_host_stos(s->bytes, to, s->cpu->regs[X86_RAX], n);
	}
	string_advance(s, X86_RDI, n);
	return n;
}

static bool string_is_compare(const struct x86_insn *insn)
{
	return insn->op == X86_OP_CMPS || insn->op == X86_OP_SCAS;
}

/* Whether REPE or REPNE ends with what the last element gave. */
static bool string_ends(const struct string *s)
{
	bool equal = s->cpu->rflags & X86_ZF;

	return string_is_compare(s->insn) && equal != s->insn->has_rep;
}

static enum cpu_result string_repeat(const struct string *s)
{
	struct hosted_cpu *cpu = s->cpu;
	const struct x86_insn *insn = s->insn;
	uint64_t count = string_at(s, X86_RCX);
	bool chunks = (insn->op == X86_OP_MOVS || insn->op == X86_OP_STOS) && s->step > 0;

	while (count > 0) {
		uint64_t n = chunks && count > 1 ? string_chunk(s, count) : 0;
		if (n == 0) {
			enum cpu_result result = string_element(s);
			if (result != CPU_OK)
				return result;
			n = 1;
		}
		count -= n;
		string_set(s, X86_RCX, count);
		io_retire(cpu);
		if (string_ends(s))
			break;
		if (count > 0 &&
		    ((cpu->mode & CPU_MODE_TRAP) || __atomic_load_n(&cpu->poll, __ATOMIC_RELAXED)))
			return CPU_OK; /* the same instruction again */
	}
	cpu->rip = interp_next(cpu, insn);
	return CPU_OK;
}

enum cpu_result interp_string(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	struct string s = {
		.cpu = cpu,
		.insn = insn,
		.bytes = insn->mem.bytes,
		.mask = interp_mask(insn->addr_bytes),
		.seg = insn->mem.seg,
	};

	s.step = cpu->rflags & X86_DF ? -(int64_t)s.bytes : (int64_t)s.bytes;
	if (insn->has_rep || insn->has_repne)
		return string_repeat(&s);
	enum cpu_result result = string_element(&s);
	if (result == CPU_OK)
		cpu->rip = interp_next(cpu, insn);
	return result;
}
