/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the software CPU can show of CPUID: of the host's features those that the guest's own instructions use, since they are executed on
 * it; and what is our own doing whatever the host has: paging, privilege, system registers.
 * Sources: Intel SDM 2A, CPUID; AMD APM 3, appendix E.
 */
#include <cpuid.h>
#include <errno.h>

#include "base/core/macros.h"
#include "engines/hosted/run.h"

#define BIT(n) (UINT32_C(1) << (n))
#define EXT    UINT32_C(0x80000000)
#define ALL    UINT32_MAX

/* Leaves as the host has them, with these of their bits, and these besides. Sub-leaves: the first `subs`, ECX counts. */
struct shown {
	uint32_t function, index;
	bool indexed;
	uint32_t keep[4], set[4]; /* EAX, EBX, ECX, EDX */
};

/* SSE3 PCLMULQDQ SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND */
#define ECX_1                                                                                      \
	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) |    \
	 BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
/* PCID, x2APIC and the TSC deadline (the machine's, if it has them), hypervisor */
#define ECX_1_SET (BIT(17) | BIT(21) | BIT(24) | BIT(31))
/* FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2 SS HTT. VME is not shown. */
#define EDX_1	  UINT32_C(0x1f8bfbfd)
#define EDX_1_SET UINT32_C(0x0003fbfc) /* what is not the FPU's or an instruction's */
/* BMI1 AVX2 FDP_EXCPTN_ONLY BMI2 ERMS ZERO_FCS_FDS AVX512 F DQ, RDSEED ADX IFMA CLFLUSHOPT CLWB, AVX512 CD, SHA, AVX512 BW VL */
#define EBX_7                                                                                      \
	(BIT(3) | BIT(5) | BIT(6) | BIT(8) | BIT(9) | BIT(13) | BIT(16) | BIT(17) | BIT(18) |      \
	 BIT(19) | BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30) | BIT(31))
#define EBX_7_SET                                                                                  \
	(BIT(0) | BIT(1) | BIT(7) | BIT(10) | BIT(20)) /* FSGSBASE TSC_ADJUST SMEP INVPCID SMAP */
/* AVX512 VBMI VBMI2, GFNI VAES VPCLMULQDQ, AVX512 VNNI BITALG VPOPCNTDQ */
#define ECX_7	  (BIT(1) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14))
#define ECX_7_SET (BIT(2) | BIT(22))	      /* UMIP RDPID */
#define EDX_7	  (BIT(4) | BIT(8) | BIT(23)) /* FSRM, AVX512 VP2INTERSECT FP16 */
#define EDX_7_SET BIT(29)		      /* IA32_ARCH_CAPABILITIES: Intel's alone */
#define EAX_71	  (BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12) | BIT(23))
#define EDX_71	  (BIT(4) | BIT(5) | BIT(10))
/* LAHF CMP_LEGACY LZCNT SSE4A PREFETCHW TOPOEXT */
#define ECX_EXT1     (BIT(0) | BIT(1) | BIT(5) | BIT(6) | BIT(8) | BIT(22))
#define EDX_EXT1     (UINT32_C(0x0183f3fd) | BIT(22)) /* AMD's copy of leaf 1, MMXEXT */
#define EDX_EXT1_SET (BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29)) /* SYSCALL NX 1G RDTSCP LM */

static const struct shown shown[] = {
	{ 0x0, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x1, 0, false, { ALL, ALL, ECX_1, EDX_1 }, { 0, 0, ECX_1_SET, EDX_1_SET } },
	{ 0x2, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x4, 0, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x4, 1, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x4, 2, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x4, 3, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x6, 0, false, { 0 }, { BIT(2), 0, 0, 0 } }, /* the LAPIC's timer never stops */
	{ 0x7, 0, true, { 0, EBX_7, ECX_7, EDX_7 }, { 1, EBX_7_SET, ECX_7_SET, 0 } },
	{ 0x7, 1, true, { EAX_71, 0, 0, EDX_71 }, { 0 } },
	{ 0xb, 0, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0xd, 0, true, { (uint32_t)XSAVE_KEPT, ALL, ALL, 0 }, { 0 } },
	{ 0xd, 1, true, { 0x7, 0, 0, 0 }, { 0 } }, /* XSAVEOPT, XSAVEC, XGETBV(1) */
	{ 0xd, 2, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0xd, 5, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0xd, 6, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0xd, 7, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x15, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x16, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 1, 0, false, { ALL, 0, ECX_EXT1, EDX_EXT1 }, { 0, 0, BIT(0), EDX_EXT1_SET } },
	{ EXT + 2, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 3, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 4, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 5, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 6, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 7, 0, false, { 0, 0, 0, BIT(8) }, { 0 } }, /* the TSC never changes its pace */
	{ EXT + 8, 0, false, { 0xff, BIT(2), ALL, 0 }, { 48U << 8, 0, 0, 0 } },
	{ EXT + 0x1d, 0, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 0x1d, 1, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 0x1d, 2, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 0x1d, 3, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 0x1e, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 0x21,
	  0,
	  false,
	  { BIT(2), 0, 0, 0 },
	  { 0 } }, /* LFENCE waits for what is before it */
};

/* KVM's clock, old and new, and stable; no delays for ISA; polling is not ours to control, but may be asked. */
#define KVM_FEATURES (BIT(0) | BIT(1) | BIT(3) | BIT(12) | BIT(24))
#define KVM_LEAVES   2U

static bool is_intel(void)
{
	unsigned a, b, c, d;

	__cpuid(0, a, b, c, d);
	return b == signature_INTEL_ebx;
}

static bool leaf_read(const struct shown *s, unsigned max, unsigned max_ext, struct cpuid_leaf *ret)
{
	unsigned a = 0, b = 0, c = 0, d = 0;

	if (s->function <= (s->function & EXT ? max_ext : max))
		__cpuid_count(s->function, s->index, a, b, c, d);
	*ret = (struct cpuid_leaf){
		.function = s->function,
		.index = s->index,
		.indexed = s->indexed,
		.eax = (a & s->keep[0]) | s->set[0],
		.ebx = (b & s->keep[1]) | s->set[1],
		.ecx = (c & s->keep[2]) | s->set[2],
		.edx = (d & s->keep[3]) | s->set[3],
	};
	return ret->eax | ret->ebx | ret->ecx | ret->edx;
}

int hosted_cpuid_supported(struct cpuid_leaf *ret, unsigned *n, struct err *err)
{
	const unsigned max = (unsigned)__get_cpuid_max(0, NULL);
	const unsigned max_ext = (unsigned)__get_cpuid_max(EXT, NULL);
	unsigned room = *n, used = 0;

	*n = (unsigned)ARRAY_SIZE(shown) + KVM_LEAVES;
	if (room < *n)
		return err_say(err, E2BIG,
			       "the software CPU has %u CPUID leaves, there is room for %u", *n,
			       room);
	for (unsigned i = 0; i < ARRAY_SIZE(shown); i++) {
		if (!leaf_read(&shown[i], max, max_ext, &ret[used]))
			continue;
		if (shown[i].function == CPUID_EXTENDED_FEATURES && shown[i].index == 0 &&
		    is_intel())
			ret[used].edx |= EDX_7_SET;
		used++;
	}
	ret[used++] = (struct cpuid_leaf){ .function = CPUID_KVM, .eax = CPUID_KVM_FEATURES };
	ret[used++] = (struct cpuid_leaf){ .function = CPUID_KVM_FEATURES, .eax = KVM_FEATURES };
	*n = used;
	return 0;
}
