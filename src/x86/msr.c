/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/macros.h"
#include "x86/msr.h"
#include "x86/state.h"

enum rule {
	RULE_BITS,	/* arg: reserved ones: #GP if set */
	RULE_KEEP,	/* arg: those that a write does not change; all others may be anything */
	RULE_CANONICAL, /* an address */
	RULE_PAT,	/* eight memory types */
	RULE_MTRR_FIXED,
	RULE_MTRR_BASE,
	RULE_MTRR_MASK,
	RULE_MTRR_TYPE, /* IA32_MTRR_DEF_TYPE; arg: reserved ones */
	RULE_READ_ONLY,
	RULE_IGNORE, /* writes do nothing */
};

#define HIGH_HALF      UINT64_C(0xffffffff00000000)
#define MTRR_COUNT     UINT64_C(8)
#define MTRR_WRITEBACK UINT64_C(6)
#define MTRR_ON	       UINT64_C(0xc00)

const struct x86_msr x86_msrs[X86_MSRS] = {
	{ 0x17, RULE_READ_ONLY, 0, 0 }, /* IA32_PLATFORM_ID */
	{ 0x79, RULE_IGNORE, 0, 0 },	/* IA32_BIOS_UPDT_TRIG: there is no microcode */
	{ 0x8b, RULE_IGNORE, 0, UINT64_C(0x100000000) }, /* IA32_BIOS_SIGN_ID */
	{ 0xce, RULE_READ_ONLY, 0, 0 },			 /* MSR_PLATFORM_INFO */
	{ 0xfe, RULE_READ_ONLY, 0, 0x500 | MTRR_COUNT }, /* IA32_MTRRCAP: WC, fixed ranges */
	{ MSR_SYSENTER_CS, RULE_BITS, HIGH_HALF, 0 },
	{ MSR_SYSENTER_ESP, RULE_CANONICAL, 0, 0 },
	{ MSR_SYSENTER_EIP, RULE_CANONICAL, 0, 0 },
	{ 0x179, RULE_READ_ONLY, 0, 0 },       /* IA32_MCG_CAP: no banks */
	{ 0x17a, RULE_BITS, ~UINT64_C(7), 0 }, /* IA32_MCG_STATUS */
	/* IA32_MISC_ENABLE: fast strings; no branch trace, no event-based sampling (read-only), no counters (read-only) */
	{ 0x1a0, RULE_KEEP, 0x1880, 0x1801 },
	{ MSR_DEBUGCTL, RULE_BITS, ~UINT64_C(3), 0 }, /* LBR, BTF */
	{ 0x200, RULE_MTRR_BASE, 0, 0 },	      /* IA32_MTRR_PHYSBASE0, PHYSMASK0 */
	{ 0x201, RULE_MTRR_MASK, 0, 0 },
	{ 0x202, RULE_MTRR_BASE, 0, 0 },
	{ 0x203, RULE_MTRR_MASK, 0, 0 },
	{ 0x204, RULE_MTRR_BASE, 0, 0 },
	{ 0x205, RULE_MTRR_MASK, 0, 0 },
	{ 0x206, RULE_MTRR_BASE, 0, 0 },
	{ 0x207, RULE_MTRR_MASK, 0, 0 },
	{ 0x208, RULE_MTRR_BASE, 0, 0 },
	{ 0x209, RULE_MTRR_MASK, 0, 0 },
	{ 0x20a, RULE_MTRR_BASE, 0, 0 },
	{ 0x20b, RULE_MTRR_MASK, 0, 0 },
	{ 0x20c, RULE_MTRR_BASE, 0, 0 },
	{ 0x20d, RULE_MTRR_MASK, 0, 0 },
	{ 0x20e, RULE_MTRR_BASE, 0, 0 },
	{ 0x20f, RULE_MTRR_MASK, 0, 0 },
	{ 0x250, RULE_MTRR_FIXED, 0, 0 },
	{ 0x258, RULE_MTRR_FIXED, 0, 0 },
	{ 0x259, RULE_MTRR_FIXED, 0, 0 },
	{ 0x268, RULE_MTRR_FIXED, 0, 0 },
	{ 0x269, RULE_MTRR_FIXED, 0, 0 },
	{ 0x26a, RULE_MTRR_FIXED, 0, 0 },
	{ 0x26b, RULE_MTRR_FIXED, 0, 0 },
	{ 0x26c, RULE_MTRR_FIXED, 0, 0 },
	{ 0x26d, RULE_MTRR_FIXED, 0, 0 },
	{ 0x26e, RULE_MTRR_FIXED, 0, 0 },
	{ 0x26f, RULE_MTRR_FIXED, 0, 0 },
	{ MSR_PAT, RULE_PAT, 0, X86_PAT_INITIAL },
	{ 0x2ff, RULE_MTRR_TYPE, ~UINT64_C(0xcff), MTRR_ON | MTRR_WRITEBACK },
	{ MSR_STAR, RULE_BITS, 0, 0 },
	{ MSR_LSTAR, RULE_CANONICAL, 0, 0 },
	{ MSR_CSTAR, RULE_CANONICAL, 0, 0 },
	{ MSR_SFMASK, RULE_BITS, HIGH_HALF, 0 },
	{ MSR_FS_BASE, RULE_CANONICAL, 0, 0 },
	{ MSR_GS_BASE, RULE_CANONICAL, 0, 0 },
	{ MSR_KERNEL_GS_BASE, RULE_CANONICAL, 0, 0 },
	{ MSR_TSC_AUX, RULE_BITS, HIGH_HALF, 0 },
	/* Every AMD CPU has PerfEvtSel0 to 3, PerfCtr0 to 3, whatever CPUID says of others: here they never count. */
	{ 0xc0010000, RULE_IGNORE, 0, 0 },
	{ 0xc0010001, RULE_IGNORE, 0, 0 },
	{ 0xc0010002, RULE_IGNORE, 0, 0 },
	{ 0xc0010003, RULE_IGNORE, 0, 0 },
	{ 0xc0010004, RULE_IGNORE, 0, 0 },
	{ 0xc0010005, RULE_IGNORE, 0, 0 },
	{ 0xc0010006, RULE_IGNORE, 0, 0 },
	{ 0xc0010007, RULE_IGNORE, 0, 0 },
	/* What AMD's kernels look at at boot. HWCR: the TSC counts at P0's pace; what else is written there does nothing here. */
	{ 0xc0010010, RULE_BITS, ~UINT64_C(0x7c0000), 0 },	    /* SYSCFG */
	{ 0xc0010015, RULE_BITS, ~UINT64_C(0x1040158), 0x1000000 }, /* HWCR */
	{ 0xc001001a, RULE_IGNORE, 0, 0 },			    /* TOP_MEM */
	{ 0xc001001d, RULE_IGNORE, 0, 0 },			    /* TOP_MEM2 */
	{ 0xc001001f, RULE_IGNORE, 0, 0 },			    /* NB_CFG */
	{ 0xc0010020, RULE_IGNORE, 0, 0 },			    /* microcode loader */
	{ 0xc0010055, RULE_IGNORE, 0, 0 },			    /* interrupt pending message */
	{ 0xc0010058, RULE_IGNORE, 0, 0 },			    /* MMIO configuration base */
	{ 0xc0010112, RULE_IGNORE, 0, 0 },			    /* SMM_ADDR */
	{ 0xc0010113, RULE_IGNORE, 0, 0 },			    /* SMM_MASK */
	{ MSR_VM_CR, RULE_READ_ONLY, 0, 0x10 },			    /* SVM is turned off */
	{ 0xc0011020, RULE_IGNORE, 0, 0 },			    /* LS_CFG */
	{ 0xc0011021, RULE_IGNORE, 0, 0 },			    /* IC_CFG */
	{ 0xc0011022, RULE_IGNORE, 0, 0 },			    /* DC_CFG */
	{ 0xc0011029, RULE_IGNORE, 0, 2 }, /* DE_CFG: LFENCE waits for what is before it */
};

const struct x86_msr *x86_msr_find(uint32_t index)
{
	unsigned first = 0, end = X86_MSRS;

	while (first < end) {
		unsigned middle = (first + end) / 2;
		const struct x86_msr *msr = &x86_msrs[middle];
		if (msr->index == index)
			return msr;
		if (msr->index < index)
			first = middle + 1;
		else
			end = middle;
	}
	return NULL;
}

#define TYPES_MTRR 0x73U /* UC WC WT WP WB */
#define TYPES_PAT  0xf3U /* and UC- */

static bool type_is_good(uint8_t type, uint32_t types)
{
	return type <= 7 && types >> type & 1;
}

/* Each of eight bytes a memory type that there is: bits of `types`. */
static bool types_are_good(uint64_t value, uint32_t types)
{
	for (unsigned i = 0; i < 8; i++) {
		if (!type_is_good((uint8_t)(value >> 8 * i), types))
			return false;
	}
	return true;
}

static bool may_hold(const struct x86_msr *msr, const struct x86_msr_cpu *cpu, uint64_t value)
{
	uint64_t above = ~((UINT64_C(1) << cpu->phys_bits) - 1);

	switch ((enum rule)msr->rule) {
	case RULE_BITS:
		return !(value & msr->arg);
	case RULE_CANONICAL:
		return x86_is_canonical(value, cpu->linear_bits);
	case RULE_PAT:
		return types_are_good(value, TYPES_PAT);
	case RULE_MTRR_FIXED:
		return types_are_good(value, TYPES_MTRR);
	case RULE_MTRR_BASE:
		return !(value & (above | 0xf00)) && type_is_good((uint8_t)value, TYPES_MTRR);
	case RULE_MTRR_MASK:
		return !(value & (above | 0x7ff));
	case RULE_MTRR_TYPE:
		return !(value & msr->arg) && type_is_good((uint8_t)value, TYPES_MTRR);
	case RULE_READ_ONLY:
		return false;
	case RULE_KEEP:
	case RULE_IGNORE:
		return true;
	}
	return false;
}

bool x86_msr_written(const struct x86_msr *msr, const struct x86_msr_cpu *cpu, uint64_t old,
		     uint64_t value, uint64_t *ret)
{
	if (!may_hold(msr, cpu, value))
		return false;
	if (msr->rule == RULE_IGNORE)
		*ret = old;
	else if (msr->rule == RULE_KEEP)
		*ret = (value & ~msr->arg) | (old & msr->arg);
	else
		*ret = value;
	return true;
}

bool x86_efer_written(uint64_t old, uint64_t cr0, uint64_t value, uint64_t *ret)
{
	const uint64_t bits = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NX;

	if (value & ~bits || ((value ^ old) & X86_EFER_LME && cr0 & X86_CR0_PG))
		return false;
	*ret = (value & ~X86_EFER_LMA) | (old & X86_EFER_LMA);
	return true;
}
