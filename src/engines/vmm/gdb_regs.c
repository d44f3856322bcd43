/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/vmm/gdb_regs.h"

#include <string.h>

#include "base/core/macros.h"

enum reg_kind {
	REG_VALUE,    /* 8 bytes of the state */
	REG_FLAGS,    /* RFLAGS, of which GDB has 4 bytes */
	REG_SELECTOR, /* a segment's */
	REG_BASE,     /* a segment's */
	REG_NONE,     /* unavailable */
};

struct reg {
	uint8_t kind, bytes;
	uint16_t at; /* offset in struct x86_state */
};

#define VALUE(member)                                                                              \
	{                                                                                          \
		REG_VALUE, 8, offsetof(struct x86_state, member)                                   \
	}
#define SELECTOR(which)                                                                            \
	{                                                                                          \
		REG_SELECTOR, 4, offsetof(struct x86_state, segs[which])                           \
	}
#define BASE(which)                                                                                \
	{                                                                                          \
		REG_BASE, 8, offsetof(struct x86_state, segs[which])                               \
	}
#define NONE(bytes)                                                                                \
	{                                                                                          \
		REG_NONE, bytes, 0                                                                 \
	}
#define NONE_8(bytes)                                                                              \
	NONE(bytes), NONE(bytes), NONE(bytes), NONE(bytes), NONE(bytes), NONE(bytes), NONE(bytes), \
		NONE(bytes)

/* clang-format off */
/* In the order of the description below, which counts from 0 on. */
static const struct reg regs[] = {
	VALUE(regs[X86_RAX]), VALUE(regs[X86_RBX]), VALUE(regs[X86_RCX]), VALUE(regs[X86_RDX]),
	VALUE(regs[X86_RSI]), VALUE(regs[X86_RDI]), VALUE(regs[X86_RBP]), VALUE(regs[X86_RSP]),
	VALUE(regs[X86_R8]), VALUE(regs[X86_R9]), VALUE(regs[X86_R10]), VALUE(regs[X86_R11]),
	VALUE(regs[X86_R12]), VALUE(regs[X86_R13]), VALUE(regs[X86_R14]), VALUE(regs[X86_R15]),
	VALUE(rip), { REG_FLAGS, 4, offsetof(struct x86_state, rflags) },
	SELECTOR(X86_CS), SELECTOR(X86_SS), SELECTOR(X86_DS), SELECTOR(X86_ES), SELECTOR(X86_FS),
	SELECTOR(X86_GS),
	NONE_8(10), NONE_8(4), /* st0..7, fctrl..fop */
	NONE_8(16), NONE_8(16), NONE(4), /* xmm0..15, mxcsr */
	BASE(X86_FS), BASE(X86_GS),
	VALUE(cr0), VALUE(cr2), VALUE(cr3), VALUE(cr4), VALUE(cr8), VALUE(efer), VALUE(apic_base),
};

#define REG(name, bits, type) "<reg name=\"" name "\" bitsize=\"" bits "\" type=\"" type "\"/>"
#define WORD(name)	      REG(name, "64", "int64")
#define DWORD(name)	      REG(name, "32", "int32")
#define ST(name)	      REG(name, "80", "i387_ext")
#define FP(name)	      "<reg name=\"" name "\" bitsize=\"32\" type=\"int\" group=\"float\"/>"
#define XMM(name)	      REG(name, "128", "vec128")

const char gdb_target_xml[] =
	"<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target version=\"1.0\">"
	"<architecture>i386:x86-64</architecture>"
	"<feature name=\"org.gnu.gdb.i386.core\">"
	WORD("rax") WORD("rbx") WORD("rcx") WORD("rdx") WORD("rsi") WORD("rdi")
	REG("rbp", "64", "data_ptr") REG("rsp", "64", "data_ptr")
	WORD("r8") WORD("r9") WORD("r10") WORD("r11") WORD("r12") WORD("r13") WORD("r14") WORD("r15")
	REG("rip", "64", "code_ptr") DWORD("eflags")
	DWORD("cs") DWORD("ss") DWORD("ds") DWORD("es") DWORD("fs") DWORD("gs")
	ST("st0") ST("st1") ST("st2") ST("st3") ST("st4") ST("st5") ST("st6") ST("st7")
	FP("fctrl") FP("fstat") FP("ftag") FP("fiseg") FP("fioff") FP("foseg") FP("fooff") FP("fop")
	"</feature>"
	"<feature name=\"org.gnu.gdb.i386.sse\">"
	"<vector id=\"vec128\" type=\"int32\" count=\"4\"/>"
	XMM("xmm0") XMM("xmm1") XMM("xmm2") XMM("xmm3") XMM("xmm4") XMM("xmm5") XMM("xmm6")
	XMM("xmm7") XMM("xmm8") XMM("xmm9") XMM("xmm10") XMM("xmm11") XMM("xmm12") XMM("xmm13")
	XMM("xmm14") XMM("xmm15") "<reg name=\"mxcsr\" bitsize=\"32\" type=\"int\" group=\"vector\"/>"
	"</feature>"
	"<feature name=\"org.gnu.gdb.i386.segments\">" WORD("fs_base") WORD("gs_base") "</feature>"
	"<feature name=\"org.strata.x86.system\">"
	WORD("cr0") WORD("cr2") WORD("cr3") WORD("cr4") WORD("cr8") WORD("efer") WORD("apic_base")
	"</feature></target>";
/* clang-format on */

unsigned gdb_reg_count(void)
{
	return ARRAY_SIZE(regs);
}

unsigned gdb_reg_bytes(unsigned number)
{
	return number < ARRAY_SIZE(regs) ? regs[number].bytes : 0;
}

static uint64_t reg_get(const struct x86_state *state, const struct reg *reg)
{
	const uint8_t *at = (const uint8_t *)state + reg->at;
	uint64_t value;

	if (reg->kind == REG_SELECTOR)
		return ((const struct x86_segment *)(const void *)at)->selector;
	if (reg->kind == REG_BASE)
		return ((const struct x86_segment *)(const void *)at)->base;
	memcpy(&value, at, sizeof(value));
	return value;
}

static void reg_set(struct x86_state *state, const struct reg *reg, uint64_t value)
{
	uint8_t *at = (uint8_t *)state + reg->at;

	if (reg->kind == REG_BASE)
		((struct x86_segment *)(void *)at)->base = value;
	else if (reg->kind != REG_SELECTOR)
		memcpy(at, &value, sizeof(value));
}

void gdb_reg_print(const struct x86_state *state, unsigned number, struct gdb_text *ret)
{
	unsigned bytes = gdb_reg_bytes(number);

	if (!bytes)
		return;
	if (regs[number].kind == REG_NONE) {
		for (unsigned i = 0; i < bytes; i++)
			gdb_text_add(ret, "xx");
		return;
	}
	uint64_t value = reg_get(state, &regs[number]);
	gdb_text_hex(ret, &value, bytes); /* little-endian */
}

static bool reg_skip_unknown(struct gdb_cursor *cursor, unsigned bytes)
{
	const uint8_t *at = cursor->at;

	if ((size_t)(cursor->end - at) / 2 < bytes)
		return false;
	for (unsigned i = 0; i < 2 * bytes; i++) {
		if (at[i] != 'x')
			return false;
	}
	cursor->at += 2 * (size_t)bytes;
	return true;
}

bool gdb_reg_parse(struct x86_state *state, unsigned number, struct gdb_cursor *cursor)
{
	unsigned bytes = gdb_reg_bytes(number);
	uint64_t value[2] = { 0 };

	_Static_assert(sizeof(value) == GDB_REG_BYTES_MAX, "the widest register");
	if (!bytes)
		return false;
	if (reg_skip_unknown(cursor, bytes))
		return true;
	if (!gdb_bytes(cursor, value, bytes))
		return false;
	if (regs[number].kind != REG_NONE)
		reg_set(state, &regs[number], value[0]);
	return true;
}
