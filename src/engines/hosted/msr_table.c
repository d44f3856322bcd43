/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSRs that only keep what was written, or have one value.
 * Sources: Intel SDM 4, Architectural MSRs; AMD APM 2, appendix A, MSR Cross-Reference; SDM 3A, Memory Cache Control (MTRRs, PAT).
 */
#include "base/core/macros.h"
#include "engines/hosted/msr.h"
#include "engines/hosted/mmu.h"
#include "engines/hosted/system.h"

enum check {
	CHECK_BITS,	 /* arg: reserved ones: #GP if set */
	CHECK_KEEP,	 /* arg: those that a write does not change; all others may be anything */
	CHECK_CANONICAL, /* an address */
	CHECK_PAT,	 /* eight memory types */
	CHECK_FIXED_MTRR,
	CHECK_MTRR_BASE,
	CHECK_MTRR_MASK,
	CHECK_MTRR_TYPE, /* IA32_MTRR_DEF_TYPE */
	CHECK_READ_ONLY,
	CHECK_IGNORE, /* writes do nothing */
};

#define OTHER	  0U /* kept in msr_other[], at the row's number; offset 0 is no MSR's */
#define AT(field) (uint16_t) offsetof(struct hosted_cpu, field)

struct row {
	uint32_t index;
	uint16_t offset;
	uint8_t check;
	uint64_t arg, initial;
};

#define MTRR_COUNT     8U
#define MTRR_WRITEBACK UINT64_C(6)
#define PAT_INITIAL    UINT64_C(0x0007040600070406)

static const struct row rows[] = {
	{ 0x17, OTHER, CHECK_READ_ONLY, 0, 0 }, /* IA32_PLATFORM_ID */
	{ 0x79, OTHER, CHECK_IGNORE, 0, 0 },	/* IA32_BIOS_UPDT_TRIG: there is no microcode */
	{ 0x8b, OTHER, CHECK_IGNORE, 0, UINT64_C(0x100000000) }, /* IA32_BIOS_SIGN_ID */
	{ 0xce, OTHER, CHECK_READ_ONLY, 0, 0 },			 /* MSR_PLATFORM_INFO */
	{ 0xfe, OTHER, CHECK_READ_ONLY, 0,
	  0x500 | MTRR_COUNT }, /* IA32_MTRRCAP: WC, fixed ranges */
	{ 0x174, AT(sysenter_cs), CHECK_BITS, UINT64_C(0xffffffff00000000), 0 },
	{ 0x175, AT(sysenter_esp), CHECK_CANONICAL, 0, 0 },
	{ 0x176, AT(sysenter_eip), CHECK_CANONICAL, 0, 0 },
	{ 0x179, OTHER, CHECK_READ_ONLY, 0, 0 },       /* IA32_MCG_CAP: no banks */
	{ 0x17a, OTHER, CHECK_BITS, ~UINT64_C(7), 0 }, /* IA32_MCG_STATUS */
	/* IA32_MISC_ENABLE: fast strings; no branch trace, no event-based sampling (read-only), no counters (read-only) */
	{ 0x1a0, AT(misc_enable), CHECK_KEEP, 0x1880, 0x1801 },
	{ 0x1d9, OTHER, CHECK_BITS, ~UINT64_C(3), 0 }, /* IA32_DEBUGCTL: LBR, BTF */
	{ 0x250, OTHER, CHECK_FIXED_MTRR, 0, 0 },
	{ 0x258, OTHER, CHECK_FIXED_MTRR, 0, 0 },
	{ 0x259, OTHER, CHECK_FIXED_MTRR, 0, 0 },
	{ 0x268, OTHER, CHECK_FIXED_MTRR, 0, 0 },
	{ 0x269, OTHER, CHECK_FIXED_MTRR, 0, 0 },
	{ 0x26a, OTHER, CHECK_FIXED_MTRR, 0, 0 },
	{ 0x26b, OTHER, CHECK_FIXED_MTRR, 0, 0 },
	{ 0x26c, OTHER, CHECK_FIXED_MTRR, 0, 0 },
	{ 0x26d, OTHER, CHECK_FIXED_MTRR, 0, 0 },
	{ 0x26e, OTHER, CHECK_FIXED_MTRR, 0, 0 },
	{ 0x26f, OTHER, CHECK_FIXED_MTRR, 0, 0 },
	{ 0x277, AT(pat), CHECK_PAT, 0, PAT_INITIAL },
	{ 0x2ff, AT(mtrr_def_type), CHECK_MTRR_TYPE, ~UINT64_C(0xcff), 0xc00 | MTRR_WRITEBACK },
	{ 0xc0000081, AT(star), CHECK_BITS, 0, 0 },
	{ 0xc0000082, AT(lstar), CHECK_CANONICAL, 0, 0 },
	{ 0xc0000083, AT(cstar), CHECK_CANONICAL, 0, 0 },
	{ 0xc0000084, AT(sfmask), CHECK_BITS, UINT64_C(0xffffffff00000000), 0 },
	{ 0xc0000100, AT(segs[X86_FS].base), CHECK_CANONICAL, 0, 0 },
	{ 0xc0000101, AT(segs[X86_GS].base), CHECK_CANONICAL, 0, 0 },
	{ 0xc0000102, AT(kernel_gs_base), CHECK_CANONICAL, 0, 0 },
	{ 0xc0000103, AT(tsc_aux), CHECK_BITS, UINT64_C(0xffffffff00000000), 0 },
	/* Every AMD CPU has PerfEvtSel0 to 3, PerfCtr0 to 3, whatever CPUID says of others: here they never count. */
	{ 0xc0010000, OTHER, CHECK_IGNORE, 0, 0 },
	{ 0xc0010001, OTHER, CHECK_IGNORE, 0, 0 },
	{ 0xc0010002, OTHER, CHECK_IGNORE, 0, 0 },
	{ 0xc0010003, OTHER, CHECK_IGNORE, 0, 0 },
	{ 0xc0010004, OTHER, CHECK_IGNORE, 0, 0 },
	{ 0xc0010005, OTHER, CHECK_IGNORE, 0, 0 },
	{ 0xc0010006, OTHER, CHECK_IGNORE, 0, 0 },
	{ 0xc0010007, OTHER, CHECK_IGNORE, 0, 0 },
	/* What AMD's kernels look at at boot. HWCR: the TSC counts at P0's pace; what else is written there does nothing here. */
	{ 0xc0010010, OTHER, CHECK_BITS, ~UINT64_C(0x7c0000), 0 },	    /* SYSCFG */
	{ 0xc0010015, OTHER, CHECK_BITS, ~UINT64_C(0x1040158), 0x1000000 }, /* HWCR */
	{ 0xc001001a, OTHER, CHECK_IGNORE, 0, 0 },			    /* TOP_MEM */
	{ 0xc001001d, OTHER, CHECK_IGNORE, 0, 0 },			    /* TOP_MEM2 */
	{ 0xc001001f, OTHER, CHECK_IGNORE, 0, 0 },			    /* NB_CFG */
	{ 0xc0010020, OTHER, CHECK_IGNORE, 0, 0 },			    /* microcode loader */
	{ 0xc0010055, OTHER, CHECK_IGNORE, 0, 0 }, /* interrupt pending message */
	{ 0xc0010058, OTHER, CHECK_IGNORE, 0, 0 }, /* MMIO configuration base */
	{ 0xc0010112, OTHER, CHECK_IGNORE, 0, 0 }, /* SMM_ADDR */
	{ 0xc0010113, OTHER, CHECK_IGNORE, 0, 0 }, /* SMM_MASK */
	{ 0xc0011020, OTHER, CHECK_IGNORE, 0, 0 }, /* LS_CFG */
	{ 0xc0011021, OTHER, CHECK_IGNORE, 0, 0 }, /* IC_CFG */
	{ 0xc0011022, OTHER, CHECK_IGNORE, 0, 0 }, /* DC_CFG */
	{ 0xc0011029, OTHER, CHECK_IGNORE, 0, 2 }, /* DE_CFG: LFENCE waits for what is before it */
};

/* IA32_MTRR_PHYSBASEn and PHYSMASKn: behind the rows' in msr_other[]. */
#define MTRR_FIRST 0x200U
#define MTRR_LAST  (MTRR_FIRST + 2 * MTRR_COUNT - 1)
#define MTRR_AT	   ARRAY_SIZE(rows)
_Static_assert(MTRR_AT + 2 * MTRR_COUNT <= sizeof(((struct hosted_cpu *)0)->msr_other) / 8,
	       "msr_other has room for every row");

static const struct row variable[2] = {
	{ MTRR_FIRST, OTHER, CHECK_MTRR_BASE, 0, 0 },
	{ MTRR_FIRST + 1, OTHER, CHECK_MTRR_MASK, 0, 0 },
};

static const struct row *row_find(uint32_t index, unsigned *ret_at)
{
	if (index >= MTRR_FIRST && index <= MTRR_LAST) {
		*ret_at = (unsigned)MTRR_AT + index - MTRR_FIRST;
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

static uint64_t *row_value(struct hosted_cpu *cpu, const struct row *row, unsigned at)
{
	return row->offset == OTHER ? &cpu->msr_other[at]
				    : (uint64_t *)(void *)((uint8_t *)cpu + row->offset);
}

/* Each of eight bytes a memory type that there is: bits of `types`. */
static bool types_are_good(uint64_t value, uint32_t types)
{
	for (unsigned i = 0; i < 8; i++, value >>= 8) {
		uint8_t type = (uint8_t)value;
		if (type > 7 || !(types >> type & 1))
			return false;
	}
	return true;
}

#define TYPES_MTRR 0x73U /* UC WC WT WP WB */
#define TYPES_PAT  0xf3U /* and UC- */
#define TYPES_ONE  UINT64_C(0x0101010101010101)

static bool is_allowed(const struct hosted_cpu *cpu, const struct row *row, uint64_t value)
{
	uint64_t above = ~((UINT64_C(1) << cpu->mmu->phys_bits) - 1);

	switch ((enum check)row->check) {
	case CHECK_BITS:
		return !(value & row->arg);
	case CHECK_CANONICAL:
		return sys_is_canonical(value);
	case CHECK_PAT:
		return types_are_good(value, TYPES_PAT);
	case CHECK_FIXED_MTRR:
		return types_are_good(value, TYPES_MTRR);
	case CHECK_MTRR_BASE:
		return !(value & (above | 0xf00)) &&
		       types_are_good((value & 0xff) * TYPES_ONE, TYPES_MTRR);
	case CHECK_MTRR_MASK:
		return !(value & (above | 0x7ff));
	case CHECK_MTRR_TYPE:
		return !(value & row->arg) &&
		       types_are_good((value & 0xff) * TYPES_ONE, TYPES_MTRR);
	case CHECK_READ_ONLY:
		return false;
	case CHECK_KEEP:
	case CHECK_IGNORE:
		return true;
	}
	return false;
}

enum msr_result msr_table_get(const struct hosted_cpu *cpu, uint32_t index, uint64_t *ret)
{
	unsigned at = 0;
	const struct row *row = row_find(index, &at);

	if (!row)
		return MSR_NONE;
	*ret = *row_value((struct hosted_cpu *)(uintptr_t)cpu, row, at);
	return MSR_OK;
}

enum msr_result msr_table_put(struct hosted_cpu *cpu, uint32_t index, uint64_t value)
{
	unsigned at = 0;
	const struct row *row = row_find(index, &at);

	if (!row)
		return MSR_NONE;
	if (!is_allowed(cpu, row, value))
		return MSR_FAULT;
	uint64_t *kept = row_value(cpu, row, at);
	if (row->check == CHECK_KEEP)
		value = (value & ~row->arg) | (*kept & row->arg);
	if (row->check != CHECK_IGNORE)
		*kept = value;
	return MSR_OK;
}

void msr_table_reset(struct hosted_cpu *cpu)
{
	cpu_zero(cpu->msr_other, sizeof(cpu->msr_other));
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		*row_value(cpu, &rows[i], i) = rows[i].initial;
}
