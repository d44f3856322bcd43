/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RDMSR and WRMSR.
 * Sources: Intel SDM 4, Architectural MSRs; SDM 3A, Local APIC Status and Location, x2APIC State Transitions, IA-32e Mode Operation.
 */
#include "engines/hosted/msr.h"

#include "engines/hosted/io.h"
#include "engines/hosted/mmu.h"
#include "x86/msr.h"

#define APIC_BASE_INITIAL UINT64_C(0xfee00000)
#define APIC_BASE_BSP	  UINT64_C(0x100)
#define APIC_BASE_EXTD	  UINT64_C(0x400)
#define APIC_BASE_EN	  UINT64_C(0x800)

/*
 * What this CPU has no flaw of: a guest's user mode cannot reach its kernel's pages, not even ahead of time, since both are looked up by
 * our own code (RDCL_NO, SKIP_L1DFL_VMENTRY, IF_PSCHANGE_MC_NO), and there are no transactions (TAA_NO).
 */
#define CAPABILITIES UINT64_C(0x149)

static bool has_capabilities(const struct hosted_cpu *cpu)
{
	for (unsigned i = 0; i < cpu->n_leaves; i++) {
		const struct cpuid_leaf *leaf = &cpu->leaves[i];
		if (leaf->function == CPUID_EXTENDED_FEATURES && leaf->index == 0)
			return leaf->edx >> 29 & 1;
	}
	return false;
}

static bool has_x2apic(const struct hosted_cpu *cpu)
{
	for (unsigned i = 0; i < cpu->n_leaves; i++) {
		if (cpu->leaves[i].function == CPUID_FEATURES)
			return cpu->leaves[i].ecx >> 21 & 1;
	}
	return false;
}

static enum msr_result apic_base_put(struct hosted_cpu *cpu, uint64_t value)
{
	uint64_t frame = ((UINT64_C(1) << cpu->mmu->phys_bits) - 1) & ~MMU_PAGE_MASK;
	uint64_t state = value & (APIC_BASE_EN | APIC_BASE_EXTD);
	uint64_t old = cpu->apic_base & (APIC_BASE_EN | APIC_BASE_EXTD);

	if (value & ~(frame | APIC_BASE_BSP | APIC_BASE_EN | APIC_BASE_EXTD))
		return MSR_FAULT;
	if (state == APIC_BASE_EXTD || ((value & APIC_BASE_EXTD) && !has_x2apic(cpu)))
		return MSR_FAULT;
	/* From x2APIC mode only off, to it only from on. */
	if ((old & APIC_BASE_EXTD) ? state == APIC_BASE_EN : (state & APIC_BASE_EXTD) && !old)
		return MSR_FAULT;
	cpu->apic_base = value;
	return MSR_OK;
}

static enum msr_result efer_put(struct hosted_cpu *cpu, uint64_t value)
{
	uint64_t new = 0;

	if (!x86_efer_written(cpu->efer, cpu->cr0, value, &new))
		return MSR_FAULT;
	uint64_t changed = new ^ cpu->efer;
	cpu->efer = new;
	if (changed & X86_EFER_NX)
		mmu_flush_all(cpu);
	if (changed)
		cpu_mode_update(cpu);
	return MSR_OK;
}

static bool is_machines(uint32_t index)
{
	return index == MSR_TSC_DEADLINE || (index >= MSR_X2APIC && index < MSR_X2APIC_END);
}

enum msr_result msr_get(struct hosted_cpu *cpu, uint32_t index, uint64_t *ret)
{
	if (is_machines(index))
		return MSR_MACHINE;
	switch (index) {
	case MSR_APIC_BASE:
		*ret = cpu->apic_base;
		return MSR_OK;
	case MSR_EFER:
		*ret = cpu->efer;
		return MSR_OK;
	case MSR_ARCH_CAPABILITIES:
		*ret = CAPABILITIES;
		return has_capabilities(cpu) ? MSR_OK : MSR_NONE;
	default:
		break;
	}
	enum msr_result r = msr_clock_get(cpu, index, ret);
	return r == MSR_NONE ? msr_table_get(cpu, index, ret) : r;
}

enum msr_result msr_put(struct hosted_cpu *cpu, uint32_t index, uint64_t value)
{
	if (is_machines(index))
		return MSR_MACHINE;
	switch (index) {
	case MSR_APIC_BASE:
		return apic_base_put(cpu, value);
	case MSR_EFER:
		return efer_put(cpu, value);
	case MSR_ARCH_CAPABILITIES:
		return MSR_FAULT;
	default:
		break;
	}
	enum msr_result r = msr_clock_put(cpu, index, value);
	return r == MSR_NONE ? msr_table_put(cpu, index, value) : r;
}

/* The machine's, through the journal: the instruction is executed again when the answer is there. */
static enum cpu_result ask(struct hosted_cpu *cpu, bool is_write, uint32_t index, uint64_t *value)
{
	bool is_fault = false;
	enum cpu_result r = io_msr(cpu, is_write, index, value, &is_fault);

	return r == CPU_OK && is_fault ? fault_error(cpu, SYS_GP, 0) : r;
}

enum cpu_result msr_read(struct hosted_cpu *cpu, uint32_t index, uint64_t *ret)
{
	uint64_t value = 0;

	switch (msr_get(cpu, index, &value)) {
	case MSR_OK:
		*ret = value;
		return CPU_OK;
	case MSR_MACHINE:
		return ask(cpu, false, index, ret);
	default:
		return fault_error(cpu, SYS_GP, 0);
	}
}

enum cpu_result msr_write(struct hosted_cpu *cpu, uint32_t index, uint64_t value)
{
	switch (msr_put(cpu, index, value)) {
	case MSR_OK:
		return CPU_OK;
	case MSR_MACHINE:
		return ask(cpu, true, index, &value);
	default:
		return fault_error(cpu, SYS_GP, 0);
	}
}

void msr_reset(struct hosted_cpu *cpu, bool is_bsp)
{
	msr_table_reset(cpu);
	cpu->apic_base = APIC_BASE_INITIAL | APIC_BASE_EN | (is_bsp ? APIC_BASE_BSP : 0);
}
