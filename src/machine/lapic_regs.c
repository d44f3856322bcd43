/* SPDX-License-Identifier: Apache-2.0 */
/* The registers as the guest reaches them: the page of xAPIC, the MSRs of x2APIC, IA32_APIC_BASE. */
#include <errno.h>

#include "machine/lapic_private.h"

#define PAGE_MASK     UINT64_C(0xfff)
#define ICR_BUSY      0x1000U /* delivery status: always idle here */
#define ICR_WRITABLE  0xccfffU
#define ICR_HIGH_DEST 0xff000000U
#define BASE_FLAGS    (LAPIC_BASE_BSP | LAPIC_BASE_X2 | LAPIC_BASE_EN)
/* Reserved in x2APIC's ICR, so that setting them is #GP; bit 12 was once the delivery status and is let pass. */
#define X2_ICR_RESERVED 0xfff32000U

/* ---- both ---- */

static bool reg_is_lvt(unsigned reg)
{
	return reg >= REG_LVT && reg < REG_LVT + LVT_COUNT;
}

/* Which entry: the page's order is timer, thermal, performance, LINT0, LINT1, error. */
static enum lapic_lvt reg_lvt(unsigned reg)
{
	return (enum lapic_lvt)(reg - REG_LVT);
}

static uint32_t ldr_get(const struct lapic *lapic)
{
	if (lapic_is_x2(lapic))
		return (uint32_t)lapic->index >> 4 << 16 | 1U << (lapic->index & 15);
	return word_load(&lapic->ldr);
}

/* Return: false: there is no such register. */
static bool reg_read(struct lapic *lapic, unsigned reg, uint32_t *ret)
{
	switch (reg) {
	case REG_ID:
		*ret = lapic_is_x2(lapic) ? lapic->index : (uint32_t)lapic->index << 24;
		return true;
	case REG_VERSION:
		*ret = VERSION_VALUE;
		return true;
	case REG_TPR:
		*ret = word_load(&lapic->tpr);
		return true;
	case REG_PPR:
		*ret = lapic_ppr(lapic);
		return true;
	case REG_LDR:
		*ret = ldr_get(lapic);
		return true;
	case REG_SVR:
		*ret = word_load(&lapic->svr);
		return true;
	case REG_ESR:
		*ret = lapic->esr;
		return true;
	case REG_ICR:
		*ret = lapic->icr_low;
		return true;
	case REG_INITIAL_COUNT:
		*ret = __atomic_load_n(&lapic->initial_count, __ATOMIC_RELAXED);
		return true;
	case REG_CURRENT_COUNT:
		*ret = lapic_timer_count(lapic);
		return true;
	case REG_DIVIDE:
		*ret = lapic->divide;
		return true;
	default:
		break;
	}
	if (reg >= REG_ISR && reg < REG_ISR + LAPIC_WORDS)
		*ret = word_load(&lapic->isr[reg - REG_ISR]);
	else if (reg >= REG_TMR && reg < REG_TMR + LAPIC_WORDS)
		*ret = word_load(&lapic->tmr[reg - REG_TMR]);
	else if (reg >= REG_IRR && reg < REG_IRR + LAPIC_WORDS)
		*ret = word_load(&lapic->irr[reg - REG_IRR]);
	else if (reg_is_lvt(reg))
		*ret = word_load(&lapic->lvt[reg_lvt(reg)]);
	else
		return false;
	return true;
}

/* Software disable masks every local source: Local APIC State After It Has Been Software Disabled. */
static void svr_set(struct lapic *lapic, uint32_t value)
{
	word_store(&lapic->svr, value & SVR_WRITABLE);
	if (value & SVR_ENABLED)
		return;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		lapic_lvt_set(lapic, (enum lapic_lvt)i, word_load(&lapic->lvt[i]));
}

static bool reg_write(struct lapic *lapic, unsigned reg, uint32_t value)
{
	switch (reg) {
	case REG_TPR:
		word_store(&lapic->tpr, value & 0xff);
		return true;
	case REG_EOI:
		lapic_eoi(lapic);
		return true;
	case REG_SVR:
		svr_set(lapic, value);
		return true;
	case REG_ESR: /* what was collected is shown from the write on: Error Handling */
		lapic->esr = __atomic_exchange_n(&lapic->errors, 0, __ATOMIC_SEQ_CST);
		return true;
	case REG_INITIAL_COUNT:
		lapic_timer_count_set(lapic, value);
		return true;
	case REG_DIVIDE:
		lapic_timer_divide_set(lapic, value);
		return true;
	default:
		if (!reg_is_lvt(reg))
			return false;
		lapic_lvt_set(lapic, reg_lvt(reg), value);
		return true;
	}
}

/* ---- xAPIC ---- */

bool lapic_owns(const struct lapic *lapic, gpa_t gpa)
{
	uint64_t base = lapic_base_load(lapic);

	return base & LAPIC_BASE_EN && !(base & LAPIC_BASE_X2) &&
	       (gpa & ~PAGE_MASK) == (base & ~PAGE_MASK);
}

uint64_t lapic_mmio_read(struct lapic *lapic, uint32_t offset, unsigned len)
{
	unsigned reg = (offset & 0xfff) >> 4, skip = offset & 0xf;
	uint32_t value = 0;

	if (!lapic_owns(lapic, lapic_base_load(lapic)))
		return UINT64_MAX;
	if (reg == REG_DFR)
		value = word_load(&lapic->dfr);
	else if (reg == REG_ICR_HIGH)
		value = lapic->icr_high;
	else if (reg != REG_APR && reg != REG_RRD && reg != REG_EOI &&
		 !reg_read(lapic, reg, &value))
		lapic_error(lapic, ERROR_ILLEGAL_REGISTER);
	if (skip >= sizeof(value))
		return 0;
	uint64_t shifted = (uint64_t)value >> 8 * skip;
	return len >= 8 ? shifted : shifted & ((UINT64_C(1) << 8 * len) - 1);
}

void lapic_mmio_write(struct lapic *lapic, uint32_t offset, unsigned len, uint64_t value)
{
	unsigned reg = (offset & 0xfff) >> 4;
	uint32_t word = (uint32_t)value;

	if (len != 4 || offset & 0xf || !lapic_owns(lapic, lapic_base_load(lapic)))
		return;
	switch (reg) {
	case REG_LDR:
		word_store(&lapic->ldr, word & 0xff000000);
		break;
	case REG_DFR:
		word_store(&lapic->dfr, word | 0x0fffffff);
		break;
	case REG_ICR_HIGH:
		lapic->icr_high = word & ICR_HIGH_DEST;
		break;
	case REG_ICR:
		lapic->icr_low = word & ICR_WRITABLE & ~ICR_BUSY;
		lapic_icr_send(lapic, lapic->icr_low, lapic->icr_high >> 24);
		break;
	case REG_ID: /* read-only here, as on processors since Nehalem; as are these */
	case REG_VERSION:
	case REG_PPR:
	case REG_APR:
	case REG_RRD:
	case REG_CURRENT_COUNT:
		break;
	default:
		if (!(reg >= REG_ISR && reg < REG_ESR) && !reg_write(lapic, reg, word))
			lapic_error(lapic, ERROR_ILLEGAL_REGISTER);
		break;
	}
}

/* ---- x2APIC: Extended XAPIC (x2APIC) ---- */

static int x2_read(struct lapic *lapic, unsigned reg, uint64_t *ret)
{
	uint32_t value;

	if (!lapic_is_x2(lapic) || reg == REG_ICR_HIGH || !reg_read(lapic, reg, &value))
		return -EINVAL;
	*ret = value;
	if (reg == REG_ICR)
		*ret |= (uint64_t)lapic->icr_high << 32;
	return 0;
}

/* x2APIC Register Address Space, reserved bits: what may be set at all. */
static uint64_t x2_writable(unsigned reg)
{
	switch (reg) {
	case REG_TPR:
	case REG_SELF_IPI:
		return 0xff;
	case REG_EOI:
	case REG_ESR:
		return 0;
	case REG_SVR:
		return SVR_WRITABLE;
	case REG_ICR:
		return ~(uint64_t)X2_ICR_RESERVED;
	case REG_DIVIDE:
		return 0xb;
	case REG_INITIAL_COUNT:
		return UINT32_MAX;
	default: /* the vector table */
		return 0x7f7ff;
	}
}

static int x2_write(struct lapic *lapic, unsigned reg, uint64_t value)
{
	if (!lapic_is_x2(lapic) || value & ~x2_writable(reg))
		return -EINVAL;
	if (reg == REG_ICR) {
		lapic->icr_low = (uint32_t)value & ICR_WRITABLE & ~ICR_BUSY;
		lapic->icr_high = (uint32_t)(value >> 32);
		lapic_icr_send(lapic, lapic->icr_low, lapic->icr_high);
		return 0;
	}
	if (reg == REG_SELF_IPI) {
		lapic_icr_send(lapic, (uint32_t)value | 0x40000, 0);
		return 0;
	}
	return reg_write(lapic, reg, (uint32_t)value) ? 0 : -EINVAL;
}

uint64_t lapic_base(const struct lapic *lapic)
{
	return lapic_base_load(lapic);
}

/* Which processor boots is not the guest's to change. */
static void base_apply(struct lapic *lapic, uint64_t value)
{
	uint64_t old = lapic_base_load(lapic);

	value &= ~(PAGE_MASK & ~(LAPIC_BASE_EN | LAPIC_BASE_X2));
	if (old & LAPIC_BASE_EN && !(value & LAPIC_BASE_EN))
		lapic_init_registers(lapic);
	if (value & LAPIC_BASE_X2 && !(old & LAPIC_BASE_X2))
		lapic->icr_high = 0;
	__atomic_store_n(&lapic->base, value | (old & LAPIC_BASE_BSP), __ATOMIC_RELAXED);
}

/* x2APIC State Transitions. */
static int base_write(struct lapic *lapic, uint64_t value)
{
	uint64_t old = lapic_base_load(lapic);
	uint64_t addr = value & ~PAGE_MASK;
	bool on = value & LAPIC_BASE_EN, x2 = value & LAPIC_BASE_X2;
	bool was_on = old & LAPIC_BASE_EN, was_x2 = old & LAPIC_BASE_X2;

	if ((value & PAGE_MASK & ~BASE_FLAGS) || addr >> lapic->phys_bits || (x2 && !on) ||
	    (x2 && !was_on) || (was_x2 && on && !x2))
		return -EINVAL;
	base_apply(lapic, value);
	return 0;
}

void lapic_base_follow(struct lapic *lapic, uint64_t value)
{
	if (value != lapic_base_load(lapic))
		base_apply(lapic, value);
}

static bool msr_is_ours(const struct lapic *lapic, uint32_t index)
{
	return index == MSR_APIC_BASE || (index >= MSR_X2APIC && index < MSR_X2APIC_END) ||
	       (index == MSR_TSC_DEADLINE && lapic->bus->ops->tsc_to_ns);
}

int lapic_msr_read(struct lapic *lapic, uint32_t index, uint64_t *ret)
{
	if (!msr_is_ours(lapic, index))
		return -ENOENT;
	if (index == MSR_APIC_BASE)
		*ret = lapic_base_load(lapic);
	else if (index == MSR_TSC_DEADLINE)
		*ret = lapic_timer_deadline(lapic);
	else
		return x2_read(lapic, index - MSR_X2APIC, ret);
	return 0;
}

int lapic_msr_write(struct lapic *lapic, uint32_t index, uint64_t value)
{
	if (!msr_is_ours(lapic, index))
		return -ENOENT;
	if (index == MSR_APIC_BASE)
		return base_write(lapic, value);
	if (index != MSR_TSC_DEADLINE)
		return x2_write(lapic, index - MSR_X2APIC, value);
	lapic_timer_deadline_set(lapic, value);
	return 0;
}
