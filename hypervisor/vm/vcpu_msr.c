/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSRs of a guest: those that are here, with the values that they may take. Every other one is the LAPIC's, or #GP.
 * Sources: AMD APM 2, appendix A, MSR Cross-Reference; Intel SDM 4, Architectural MSRs; SDM 3A, Memory Cache Control
 * (MTRRs, PAT); Extended Control Registers (XCR0).
 */
#include <errno.h>

#include "machine/lapic.h"
#include "vm/vcpu.h"

enum rule {
	RULE_BITS, /* arg: reserved ones, #GP if set */
	RULE_KEEP, /* arg: those that a write leaves as they are */
	RULE_CANONICAL,
	RULE_PAT,
	RULE_FIXED_MTRR,
	RULE_MTRR_BASE,
	RULE_MTRR_MASK,
	RULE_MTRR_TYPE,
	RULE_READ_ONLY,
	RULE_IGNORE, /* writes do nothing */
};

struct row {
	uint32_t index;
	uint8_t rule;
	bool in_hw; /* the hardware switches it: hw_ops.msr_get */
	uint64_t arg, initial;
};

#define MTRRS	    8U
#define HIGH_HALF   UINT64_C(0xffffffff00000000)
#define PAT_INITIAL UINT64_C(0x0007040600070406)

static const struct row rows[] = {
	{ 0x17, RULE_READ_ONLY, false, 0, 0 },
	{ 0x8b, RULE_IGNORE, false, 0, UINT64_C(0x100000000) }, /* microcode's revision */
	{ 0xfe, RULE_READ_ONLY, false, 0, 0x500 | MTRRS },	/* MTRRcap: WC, fixed ranges */
	{ 0x174, RULE_BITS, true, HIGH_HALF, 0 },
	{ 0x175, RULE_CANONICAL, true, 0, 0 },
	{ 0x176, RULE_CANONICAL, true, 0, 0 },
	{ 0x179, RULE_READ_ONLY, false, 0, 0 }, /* MCG_CAP: no banks */
	{ 0x17a, RULE_BITS, false, ~UINT64_C(7), 0 },
	{ 0x1a0, RULE_KEEP, false, 0x1880, 0x1801 }, /* MISC_ENABLE, where a kernel asks */
	{ 0x1d9, RULE_BITS, true, ~UINT64_C(3), 0 }, /* DebugCtl: LBR, BTF */
	{ 0x250, RULE_FIXED_MTRR, false, 0, 0 },
	{ 0x258, RULE_FIXED_MTRR, false, 0, 0 },
	{ 0x259, RULE_FIXED_MTRR, false, 0, 0 },
	{ 0x268, RULE_FIXED_MTRR, false, 0, 0 },
	{ 0x269, RULE_FIXED_MTRR, false, 0, 0 },
	{ 0x26a, RULE_FIXED_MTRR, false, 0, 0 },
	{ 0x26b, RULE_FIXED_MTRR, false, 0, 0 },
	{ 0x26c, RULE_FIXED_MTRR, false, 0, 0 },
	{ 0x26d, RULE_FIXED_MTRR, false, 0, 0 },
	{ 0x26e, RULE_FIXED_MTRR, false, 0, 0 },
	{ 0x26f, RULE_FIXED_MTRR, false, 0, 0 },
	{ 0x277, RULE_PAT, true, 0, PAT_INITIAL },
	{ 0x2ff, RULE_MTRR_TYPE, false, ~UINT64_C(0xcff), 0xc06 }, /* on, write-back */
	{ 0xc0000081, RULE_BITS, true, 0, 0 },
	{ 0xc0000082, RULE_CANONICAL, true, 0, 0 },
	{ 0xc0000083, RULE_CANONICAL, true, 0, 0 },
	{ 0xc0000084, RULE_BITS, true, HIGH_HALF, 0 },
	{ 0xc0000100, RULE_CANONICAL, true, 0, 0 },
	{ 0xc0000101, RULE_CANONICAL, true, 0, 0 },
	{ 0xc0000102, RULE_CANONICAL, true, 0, 0 },
	{ 0xc0000103, RULE_BITS, true, HIGH_HALF, 0 },
	/* Counters that never count: every AMD CPU has the first four. */
	{ 0xc0010000, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010001, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010002, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010003, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010004, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010005, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010006, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010007, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010010, RULE_BITS, false, ~UINT64_C(0x7c0000), 0 },	   /* SYSCFG */
	{ 0xc0010015, RULE_BITS, false, ~UINT64_C(0x1040158), 0x1000000 }, /* HWCR */
	{ 0xc001001a, RULE_IGNORE, false, 0, 0 },			   /* TOP_MEM */
	{ 0xc001001d, RULE_IGNORE, false, 0, 0 },			   /* TOP_MEM2 */
	{ 0xc001001f, RULE_IGNORE, false, 0, 0 },			   /* NB_CFG */
	{ 0xc0010020, RULE_IGNORE, false, 0, 0 },			   /* microcode loader */
	{ 0xc0010055, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010058, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010112, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010113, RULE_IGNORE, false, 0, 0 },
	{ 0xc0010114, RULE_READ_ONLY, false, 0, 0x10 }, /* VM_CR: SVM is turned off */
	{ 0xc0011020, RULE_IGNORE, false, 0, 0 },
	{ 0xc0011021, RULE_IGNORE, false, 0, 0 },
	{ 0xc0011022, RULE_IGNORE, false, 0, 0 },
	{ 0xc0011029, RULE_IGNORE, false, 0, 2 }, /* DE_CFG: LFENCE waits */
};

#define MTRR_FIRST 0x200U
#define MTRR_LAST  (MTRR_FIRST + 2 * MTRRS - 1)
#define MTRR_AT	   (unsigned)ARRAY_SIZE(rows)
/* Variable MTRRs' values come behind the rows'. */
static const struct row variable[2] = {
	{ MTRR_FIRST, RULE_MTRR_BASE, false, 0, 0 },
	{ MTRR_FIRST + 1, RULE_MTRR_MASK, false, 0, 0 },
};
_Static_assert(ARRAY_SIZE(rows) + 2 * MTRRS <= HV_MSR_KEPT, "msrs[] has room for every row");

static const struct row *row_find(uint32_t index, unsigned *ret_at)
{
	if (index >= MTRR_FIRST && index <= MTRR_LAST) {
		*ret_at = MTRR_AT + index - MTRR_FIRST;
		return &variable[index % 2];
	}
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].index == index) {
			*ret_at = i;
			return &rows[i];
		}
	}
	return NULL;
}

static bool is_canonical(const struct hv_vcpu *v, uint64_t value)
{
	unsigned unused = v->paging.cr4 >> 12 & 1 ? 7 : 16; /* LA57 */

	return (uint64_t)((int64_t)(value << unused) >> unused) == value;
}

#define TYPES_MTRR 0x73U /* UC WC WT WP WB */
#define TYPES_PAT  0xf3U /* and UC- */

/* Each of eight bytes a memory type that there is. */
static bool types_are_good(uint64_t value, uint32_t types)
{
	for (unsigned i = 0; i < 8; i++, value >>= 8) {
		if ((value & 0xff) > 7 || !(types >> (value & 7) & 1))
			return false;
	}
	return true;
}

static bool type_is_good(uint64_t value)
{
	return (value & 0xff) <= 7 && TYPES_MTRR >> (value & 7) & 1;
}

static bool may_write(const struct hv_vcpu *v, const struct row *row, uint64_t value)
{
	uint64_t above = ~((UINT64_C(1) << v->vm->phys_bits) - 1);

	switch ((enum rule)row->rule) {
	case RULE_BITS:
		return !(value & row->arg);
	case RULE_CANONICAL:
		return is_canonical(v, value);
	case RULE_PAT:
		return types_are_good(value, TYPES_PAT);
	case RULE_FIXED_MTRR:
		return types_are_good(value, TYPES_MTRR);
	case RULE_MTRR_BASE:
		return !(value & (above | 0xf00)) && type_is_good(value);
	case RULE_MTRR_MASK:
		return !(value & (above | 0x7ff));
	case RULE_MTRR_TYPE:
		return !(value & row->arg) && type_is_good(value);
	case RULE_READ_ONLY:
		return false;
	case RULE_KEEP:
	case RULE_IGNORE:
		return true;
	}
	return false;
}

static int row_write(struct hv_vcpu *v, const struct row *row, unsigned at, uint64_t value)
{
	v->vm->hw_ops->paging(v->hw, &v->paging);
	if (!may_write(v, row, value))
		return -EINVAL;
	if (row->in_hw)
		return v->vm->hw_ops->msr_set(v->hw, row->index, value);
	if (row->rule == RULE_KEEP)
		value = (value & ~row->arg) | (v->msrs[at] & row->arg);
	if (row->rule != RULE_IGNORE)
		v->msrs[at] = value;
	return 0;
}

#define MSR_EFER 0xc0000080U

/* AMD APM 2, Extended Feature Enable Register: what CPUID does not offer is reserved. LMA is the CPU's. */
static int efer_write(struct hv_vcpu *v, uint64_t value)
{
	const struct hw_ops *ops = v->vm->hw_ops;
	uint64_t allowed = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NX;
	uint64_t old = 0;

	ops->paging(v->hw, &v->paging);
	(void)ops->msr_get(v->hw, MSR_EFER, &old); /* every back end has it */
	if (value & ~allowed || ((value ^ old) & X86_EFER_LME && v->paging.cr0 & X86_CR0_PG))
		return -EINVAL;
	return ops->msr_set(v->hw, MSR_EFER, (value & ~X86_EFER_LMA) | (old & X86_EFER_LMA));
}

static bool is_lapic(uint32_t index)
{
	return index == MSR_APIC_BASE || index == MSR_TSC_DEADLINE ||
	       (index >= MSR_X2APIC && index < MSR_X2APIC_END);
}

int hv_msr_read(struct hv_vcpu *v, uint32_t index, uint64_t *ret)
{
	unsigned at = 0;

	if (is_lapic(index))
		return -ENOENT;
	if (hv_clock_msr_read(v, index, ret) == 0)
		return 0;
	if (index == MSR_EFER)
		return v->vm->hw_ops->msr_get(v->hw, index, ret);
	const struct row *row = row_find(index, &at);
	if (!row)
		return -EINVAL;
	if (row->in_hw)
		return v->vm->hw_ops->msr_get(v->hw, index, ret);
	*ret = v->msrs[at];
	return 0;
}

int hv_msr_write(struct hv_vcpu *v, uint32_t index, uint64_t value)
{
	unsigned at = 0;

	if (is_lapic(index))
		return -ENOENT;
	if (index == MSR_EFER)
		return efer_write(v, value);
	if (hv_clock_msr_write(v, index, value) == 0)
		return 0;
	const struct row *row = row_find(index, &at);
	return row ? row_write(v, row, at, value) : -EINVAL;
}

void hv_msr_reset(struct hv_vcpu *v)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		v->msrs[i] = rows[i].initial;
		if (rows[i].in_hw)
			(void)v->vm->hw_ops->msr_set(v->hw, rows[i].index, rows[i].initial);
	}
}

/* SDM 1, Enabling the XSAVE Feature Set and XSAVE-Enabled Features: x87 always; AVX needs SSE; AVX-512 all of its three, and AVX. */
bool hv_xsetbv(struct hv_vcpu *v)
{
	const uint64_t *r = v->hw->regs;
	uint64_t value = (r[X86_RDX] << 32) | (r[X86_RAX] & UINT32_MAX);
	uint64_t avx512 = value & 0xe0;

	v->vm->hw_ops->paging(v->hw, &v->paging);
	if ((uint32_t)r[X86_RCX] || v->paging.cpl || value & ~v->xcr0_allowed || !(value & 1))
		return false;
	if ((value & 4 && !(value & 2)) || (avx512 && (avx512 != 0xe0 || !(value & 4))))
		return false;
	v->vm->hw_ops->xcr0_set(v->hw, value);
	return true;
}
