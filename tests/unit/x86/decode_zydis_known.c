/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The differences from Zydis 4.0 that are meant. "Zen 4": tried on that CPU, in 64-bit and where it matters in 32-bit code.
 */
#include <string.h>

#include "decode_zydis.h"

#define ANY ZYDIS_MNEMONIC_MAX_VALUE

struct excuse {
	const char *what;
	ZydisMnemonic mnemonic;
	const char *why;
};

static const struct excuse excuses[] = {
	{ "valid", ZYDIS_MNEMONIC_NOP, "0F 0D with a register: #UD on Zen 4" },
	{ "gpr_read", ZYDIS_MNEMONIC_NOP, "names a register, reads none" },
	{ "gpr_read", ZYDIS_MNEMONIC_PAUSE, "F3 41 90 is XCHG r8, rAX on Zen 4" },
	{ "gpr_read", ZYDIS_MNEMONIC_BSF, "leaves its destination on 0, so reads it" },
	{ "gpr_read", ZYDIS_MNEMONIC_BSR, "leaves its destination on 0, so reads it" },
	{ "gpr_written", ZYDIS_MNEMONIC_RDSSPD, "a NOP where CET is not shown" },
	{ "gpr_written", ZYDIS_MNEMONIC_RDSSPQ, "a NOP where CET is not shown" },
	{ "rm", ZYDIS_MNEMONIC_RDSSPD, "a NOP where CET is not shown" },
	{ "rm", ZYDIS_MNEMONIC_NOP, "the width of what is not accessed" },
	{ "rm", ZYDIS_MNEMONIC_CALL, "66 makes it 16 bits wide on Zen 4" },
	{ "rm", ZYDIS_MNEMONIC_JMP, "66 makes it 16 bits wide on Zen 4" },
	{ "mem.bytes", ZYDIS_MNEMONIC_CALL, "66 makes it 16 bits wide on Zen 4" },
	{ "mem.bytes", ZYDIS_MNEMONIC_JMP, "66 makes it 16 bits wide on Zen 4" },
	{ "mem.bytes", ZYDIS_MNEMONIC_CLFLUSH, "a byte stands for the line" },
	{ "mem.bytes", ZYDIS_MNEMONIC_CLFLUSHOPT, "a byte stands for the line" },
	{ "mem.bytes", ZYDIS_MNEMONIC_CLWB, "a byte stands for the line" },
	{ "mem.bytes", ZYDIS_MNEMONIC_INVLPG, "names an address, accesses nothing" },
	{ "mem.bytes", ZYDIS_MNEMONIC_NOP, "names an address, accesses nothing" },
	{ "mem.bytes", ZYDIS_MNEMONIC_PREFETCH, "never faults" },
	{ "mem.bytes", ZYDIS_MNEMONIC_PREFETCHNTA, "never faults" },
	{ "mem.bytes", ZYDIS_MNEMONIC_PREFETCHT0, "never faults" },
	{ "mem.bytes", ZYDIS_MNEMONIC_PREFETCHT1, "never faults" },
	{ "mem.bytes", ZYDIS_MNEMONIC_PREFETCHT2, "never faults" },
	{ "mem.bytes", ZYDIS_MNEMONIC_PREFETCHW, "never faults" },
	{ "mem.bytes", ZYDIS_MNEMONIC_PREFETCHWT1, "never faults" },
	{ "mem.bytes", ZYDIS_MNEMONIC_LFS, "AMD ignores REX.W here: 6 bytes on Zen 4" },
	{ "mem.bytes", ZYDIS_MNEMONIC_LGS, "AMD ignores REX.W here: 6 bytes on Zen 4" },
	{ "mem.bytes", ZYDIS_MNEMONIC_LSS, "AMD ignores REX.W here: 6 bytes on Zen 4" },
	{ "reg", ZYDIS_MNEMONIC_LFS, "AMD ignores REX.W here" },
	{ "reg", ZYDIS_MNEMONIC_LGS, "AMD ignores REX.W here" },
	{ "reg", ZYDIS_MNEMONIC_LSS, "AMD ignores REX.W here" },
	{ "flags_written", ZYDIS_MNEMONIC_VMCALL, "a hypercall leaves the flags alone" },
	{ "rm", ZYDIS_MNEMONIC_MOVSXD, "66 63: the source stays 32 bits wide on Zen 4" },
	{ "reg", ZYDIS_MNEMONIC_UD0, "raises #UD whatever it names" },
	{ "reg", ZYDIS_MNEMONIC_UD1, "raises #UD whatever it names" },
	{ "seg", ZYDIS_MNEMONIC_LEA, "a segment, though LEA does not use it" },
	{ "seg", ZYDIS_MNEMONIC_CALL, "3E is DS where CET is not shown" },
	{ "seg", ZYDIS_MNEMONIC_JMP, "3E is DS where CET is not shown" },
	{ "flags_undefined", ZYDIS_MNEMONIC_SBB, "defines AF. SDM 2, SBB" },
	{ "flags_undefined", ZYDIS_MNEMONIC_BEXTR, "clears OF. SDM 2, BEXTR" },
	{ "flags_written", ZYDIS_MNEMONIC_VPTEST, "clears OF, SF, AF, PF. SDM 2, PTEST" },
	{ "flags_written", ZYDIS_MNEMONIC_VTESTPS,
	  "clears OF, SF, AF, PF. SDM 2, VTESTPD/VTESTPS" },
	{ "flags_written", ZYDIS_MNEMONIC_VTESTPD,
	  "clears OF, SF, AF, PF. SDM 2, VTESTPD/VTESTPS" },
};

/* Whole extensions that Zydis knows. No CPU of today's that a guest could be shown has them; their bytes are #UD. */
static const char *const extensions[] = {
	"AMX_TILE",   "AMX_BF16", "AMX_INT8", "AVX512ER", "AVX512EVEX", "KNC", "KNCE", "KNCV",
	"KNC_STREAM", "KNC_JKBR", "KNC_MISC", "PADLOCK",  "XOP",	"TBM", "LWP",
};

static const char *excuse_of_extension(const struct zydis_view *view)
{
	const char *ext = ZydisISAExtGetString(view->insn.meta.isa_ext);
	const char *set = ZydisISASetGetString(view->insn.meta.isa_set);

	for (size_t i = 0; i < sizeof(extensions) / sizeof(*extensions); i++) {
		if (!strcmp(ext, extensions[i]) && strcmp(ext, "AVX512EVEX"))
			return ext;
	}
	if (!strncmp(set, "AVX512ER", 8) || !strncmp(set, "AVX512PF", 8) ||
	    !strncmp(set, "AVX512_4", 8))
		return "Knights Landing and Mill only";
	return NULL;
}

/* A shift's own count: Zydis does not look at it. */
static bool knows_count(const struct x86_insn *insn)
{
	bool group = insn->map == X86_MAP_ONE &&
		     ((insn->opcode & ~1U) == 0xc0 || (insn->opcode & ~1U) == 0xd0);

	return insn->encoding == X86_ENC_LEGACY &&
	       (group || (insn->map == X86_MAP_0F && (insn->opcode & ~8U) == 0xa4));
}

static const char *excuse_of_bytes(const struct difference *difference, const struct x86_insn *insn,
				   enum x86_code code)
{
	bool valid = !strcmp(difference->what, "valid") && difference->ours;

	if (valid && insn->encoding == X86_ENC_EVEX && code != X86_CODE_64 && insn->vex_w)
		return "outside of 64-bit code Zen 4 ignores W where it widens a register";
	if (!strcmp(difference->what, "base") && code == X86_CODE_64 && insn->has_sib &&
	    (insn->sib & 7) == 5 && insn->modrm < 0x40)
		return "67 with REX.B: no base all the same on Zen 4";
	return NULL;
}

const char *zydis_excuse(const struct difference *difference, const struct zydis_view *view,
			 const struct x86_insn *insn, const uint8_t *bytes, enum x86_code code)
{
	const char *why = excuse_of_bytes(difference, insn, code);

	(void)bytes;
	if (why)
		return why;
	if (!view->valid)
		return NULL;
	if (!strcmp(difference->what, "valid"))
		why = excuse_of_extension(view);
	else if (insn->op == X86_OP_VIRT || view->insn.mnemonic == ZYDIS_MNEMONIC_RSM)
		return strcmp(difference->what, "length")
			       ? "raises #UD: no more than its length counts"
			       : NULL;
	if (!strcmp(difference->what, "gpr_written") && insn->class == X86_CLASS_STRING)
		return "strings move their pointers";
	if (!strncmp(difference->what, "flags_", 6) && knows_count(insn))
		return "the count is looked at";
	for (size_t i = 0; !why && i < sizeof(excuses) / sizeof(*excuses); i++) {
		if (!strcmp(excuses[i].what, difference->what) &&
		    excuses[i].mnemonic == view->insn.mnemonic)
			why = excuses[i].why;
	}
	return why;
}
