/* SPDX-License-Identifier: Apache-2.0 */
#include "x86/cpuid.h"

#include <stddef.h>
#include <string.h>

#include "base/core/macros.h"

#define EXT UINT32_C(0x80000000)
#define F71(reg, bit, name)                                                                        \
	{                                                                                          \
		0x7, 1, CPUID_##reg, bit, name                                                     \
	}
#define F(fn, reg, bit, name)                                                                      \
	{                                                                                          \
		fn, 0, CPUID_##reg, bit, name                                                      \
	}

/*
 * Sources: Intel SDM 2A, CPUID (Feature Information Returned in the ECX Register, in the EDX Register; Structured Extended Feature Flags);
 * AMD APM 3, appendix E, Obtaining Processor Information Via the CPUID Instruction. Names: Linux
 * arch/x86/include/asm/cpufeatures.h, as cpuinfo prints them; the few that it does not print have the manual's.
 */
static const struct cpuid_flag cpuid_flags[] = {
	F(0x1, ECX, 0, "pni"),
	F(0x1, ECX, 1, "pclmulqdq"),
	F(0x1, ECX, 2, "dtes64"),
	F(0x1, ECX, 3, "monitor"),
	F(0x1, ECX, 4, "ds_cpl"),
	F(0x1, ECX, 5, "vmx"),
	F(0x1, ECX, 6, "smx"),
	F(0x1, ECX, 7, "est"),
	F(0x1, ECX, 8, "tm2"),
	F(0x1, ECX, 9, "ssse3"),
	F(0x1, ECX, 11, "sdbg"),
	F(0x1, ECX, 12, "fma"),
	F(0x1, ECX, 13, "cx16"),
	F(0x1, ECX, 14, "xtpr"),
	F(0x1, ECX, 15, "pdcm"),
	F(0x1, ECX, 17, "pcid"),
	F(0x1, ECX, 18, "dca"),
	F(0x1, ECX, 19, "sse4_1"),
	F(0x1, ECX, 20, "sse4_2"),
	F(0x1, ECX, 21, "x2apic"),
	F(0x1, ECX, 22, "movbe"),
	F(0x1, ECX, 23, "popcnt"),
	F(0x1, ECX, 24, "tsc_deadline_timer"),
	F(0x1, ECX, 25, "aes"),
	F(0x1, ECX, 26, "xsave"),
	F(0x1, ECX, 27, "osxsave"),
	F(0x1, ECX, 28, "avx"),
	F(0x1, ECX, 29, "f16c"),
	F(0x1, ECX, 30, "rdrand"),
	F(0x1, ECX, 31, "hypervisor"),
	F(0x1, EDX, 0, "fpu"),
	F(0x1, EDX, 3, "pse"),
	F(0x1, EDX, 4, "tsc"),
	F(0x1, EDX, 5, "msr"),
	F(0x1, EDX, 6, "pae"),
	F(0x1, EDX, 7, "mce"),
	F(0x1, EDX, 8, "cx8"),
	F(0x1, EDX, 9, "apic"),
	F(0x1, EDX, 11, "sep"),
	F(0x1, EDX, 12, "mtrr"),
	F(0x1, EDX, 13, "pge"),
	F(0x1, EDX, 14, "mca"),
	F(0x1, EDX, 15, "cmov"),
	F(0x1, EDX, 16, "pat"),
	F(0x1, EDX, 19, "clflush"),
	F(0x1, EDX, 21, "dts"),
	F(0x1, EDX, 22, "acpi"),
	F(0x1, EDX, 23, "mmx"),
	F(0x1, EDX, 24, "fxsr"),
	F(0x1, EDX, 25, "sse"),
	F(0x1, EDX, 26, "sse2"),
	F(0x1, EDX, 28, "ht"),
	F(0x1, EDX, 29, "tm"),
	F(0x1, EDX, 31, "pbe"),
	F(0x7, EBX, 0, "fsgsbase"),
	F(0x7, EBX, 2, "sgx"),
	F(0x7, EBX, 3, "bmi1"),
	F(0x7, EBX, 5, "avx2"),
	F(0x7, EBX, 7, "smep"),
	F(0x7, EBX, 8, "bmi2"),
	F(0x7, EBX, 9, "erms"),
	F(0x7, EBX, 10, "invpcid"),
	F(0x7, EBX, 12, "cqm"),
	F(0x7, EBX, 14, "mpx"),
	F(0x7, EBX, 15, "rdt_a"),
	F(0x7, EBX, 16, "avx512f"),
	F(0x7, EBX, 17, "avx512dq"),
	F(0x7, EBX, 18, "rdseed"),
	F(0x7, EBX, 19, "adx"),
	F(0x7, EBX, 20, "smap"),
	F(0x7, EBX, 21, "avx512ifma"),
	F(0x7, EBX, 23, "clflushopt"),
	F(0x7, EBX, 24, "clwb"),
	F(0x7, EBX, 25, "intel_pt"),
	F(0x7, EBX, 26, "avx512pf"),
	F(0x7, EBX, 27, "avx512er"),
	F(0x7, EBX, 28, "avx512cd"),
	F(0x7, EBX, 29, "sha_ni"),
	F(0x7, EBX, 30, "avx512bw"),
	F(0x7, EBX, 31, "avx512vl"),
	F(0x7, ECX, 1, "avx512vbmi"),
	F(0x7, ECX, 2, "umip"),
	F(0x7, ECX, 3, "pku"),
	F(0x7, ECX, 4, "ospke"),
	F(0x7, ECX, 5, "waitpkg"),
	F(0x7, ECX, 6, "avx512_vbmi2"),
	F(0x7, ECX, 7, "shstk"),
	F(0x7, ECX, 8, "gfni"),
	F(0x7, ECX, 9, "vaes"),
	F(0x7, ECX, 10, "vpclmulqdq"),
	F(0x7, ECX, 11, "avx512_vnni"),
	F(0x7, ECX, 12, "avx512_bitalg"),
	F(0x7, ECX, 13, "tme"),
	F(0x7, ECX, 14, "avx512_vpopcntdq"),
	F(0x7, ECX, 16, "la57"),
	F(0x7, ECX, 22, "rdpid"),
	F(0x7, ECX, 23, "keylocker"),
	F(0x7, ECX, 29, "enqcmd"),
	F(0x7, ECX, 30, "sgx_lc"),
	F(0x7, EDX, 2, "avx512_4vnniw"),
	F(0x7, EDX, 3, "avx512_4fmaps"),
	F(0x7, EDX, 8, "avx512_vp2intersect"),
	F(0x7, EDX, 15, "hybrid_cpu"),
	F(0x7, EDX, 18, "pconfig"),
	F(0x7, EDX, 19, "arch_lbr"),
	F(0x7, EDX, 20, "ibt"),
	F(0x7, EDX, 22, "amx_bf16"),
	F(0x7, EDX, 23, "avx512_fp16"),
	F(0x7, EDX, 24, "amx_tile"),
	F(0x7, EDX, 25, "amx_int8"),
	F71(EAX, 4, "avx_vnni"),
	F71(EAX, 5, "avx512_bf16"),
	F71(EAX, 21, "amx_fp16"),
	F71(EAX, 23, "avx_ifma"),
	F71(EDX, 4, "avx_vnni_int8"),
	F71(EDX, 5, "avx_ne_convert"),
	F71(EDX, 8, "amx_complex"),
	F71(EDX, 10, "avx_vnni_int16"),
	F71(EDX, 19, "avx10"),
	F(EXT + 1, ECX, 0, "lahf_lm"),
	F(EXT + 1, ECX, 1, "cmp_legacy"),
	F(EXT + 1, ECX, 2, "svm"),
	F(EXT + 1, ECX, 3, "extapic"),
	F(EXT + 1, ECX, 10, "ibs"),
	F(EXT + 1, ECX, 11, "xop"),
	F(EXT + 1, ECX, 12, "skinit"),
	F(EXT + 1, ECX, 13, "wdt"),
	F(EXT + 1, ECX, 15, "lwp"),
	F(EXT + 1, ECX, 16, "fma4"),
	F(EXT + 1, ECX, 19, "nodeid_msr"),
	F(EXT + 1, ECX, 22, "topoext"),
	F(EXT + 1, ECX, 23, "perfctr_core"),
	F(EXT + 1, ECX, 24, "perfctr_nb"),
	F(EXT + 1, ECX, 26, "bpext"),
	F(EXT + 1, ECX, 27, "ptsc"),
	F(EXT + 1, ECX, 28, "perfctr_llc"),
	F(EXT + 1, ECX, 29, "mwaitx"),
	F(EXT + 1, EDX, 11, "syscall"),
	F(EXT + 1, EDX, 20, "nx"),
	F(EXT + 1, EDX, 26, "pdpe1gb"),
	F(EXT + 1, EDX, 27, "rdtscp"),
	F(EXT + 1, EDX, 29, "lm"),
	F(EXT + 7, EDX, 8, "constant_tsc"),
};

struct cpuid_leaf *cpuid_find(struct cpuid_leaf *leaves, unsigned n, uint32_t function,
			      uint32_t index)
{
	for (unsigned i = 0; i < n; i++) {
		struct cpuid_leaf *leaf = &leaves[i];
		if (leaf->function == function && (!leaf->indexed || leaf->index == index))
			return leaf;
	}
	return NULL;
}

uint32_t *cpuid_reg(struct cpuid_leaf *leaf, enum cpuid_reg reg)
{
	uint32_t *const regs[] = { &leaf->eax, &leaf->ebx, &leaf->ecx, &leaf->edx };

	return regs[reg];
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

const struct cpuid_flag *cpuid_flag(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(cpuid_flags); i++) {
		if (same(cpuid_flags[i].name, name))
			return &cpuid_flags[i];
	}
	return NULL;
}

bool cpuid_has(struct cpuid_leaf *leaves, unsigned n, const char *name)
{
	const struct cpuid_flag *flag = cpuid_flag(name);
	struct cpuid_leaf *leaf = flag ? cpuid_find(leaves, n, flag->function, flag->index) : NULL;

	return leaf && (*cpuid_reg(leaf, flag->reg) >> flag->bit & 1);
}

void cpuid_clear(struct cpuid_leaf *leaves, unsigned n, const char *const *names)
{
	for (; *names; names++) {
		const struct cpuid_flag *flag = cpuid_flag(*names);
		struct cpuid_leaf *leaf =
			flag ? cpuid_find(leaves, n, flag->function, flag->index) : NULL;
		if (leaf)
			*cpuid_reg(leaf, flag->reg) &= ~(UINT32_C(1) << flag->bit);
	}
}
