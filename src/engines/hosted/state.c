/* SPDX-License-Identifier: Apache-2.0 */
/* A vcpu's registers in and out, its events, and what a debugger wants of it: by its own thread, between two runs. */
#include <errno.h>
#include <string.h>

#include "engines/hosted/io.h"
#include "engines/hosted/mmu.h"
#include "engines/hosted/msr.h"
#include "engines/hosted/run.h"

#define RFLAGS_VM UINT64_C(0x20000)
#define DR6_RESET UINT64_C(0xffff0ff0)
#define DR7_RESET UINT64_C(0x400)
#define CR8_MASK  0xfU

int hosted_state_get(struct vcpu *vcpu, struct x86_state *ret)
{
	const struct hosted_cpu *cpu = hosted_cpu(vcpu);

	*ret = (struct x86_state){
		.rip = cpu->rip,
		.rflags = cpu->rflags,
		.tr = cpu->tr,
		.ldt = cpu->ldt,
		.gdt = cpu->gdt,
		.idt = cpu->idt,
		.cr0 = cpu->cr0,
		.cr2 = cpu->cr2,
		.cr3 = cpu->cr3,
		.cr4 = cpu->cr4,
		.cr8 = cpu->cr8,
		.efer = cpu->efer,
		.apic_base = cpu->apic_base,
		.halted = cpu->halted,
		.wait_sipi = cpu->wait_sipi,
	};
	memcpy(ret->regs, cpu->regs, sizeof(ret->regs));
	memcpy(ret->segs, cpu->segs, sizeof(ret->segs));
	memcpy(ret->dr, cpu->dr, sizeof(ret->dr));
	return 0;
}

static uint8_t cpl_of(const struct x86_state *state)
{
	if (!(state->cr0 & X86_CR0_PE))
		return 0;
	return state->rflags & RFLAGS_VM ? 3 : state->segs[X86_SS].dpl & 3;
}

/* What was under way or due belongs to what was before. Back to real mode: that is a reset, or INIT. */
static void events_forget(struct hosted_cpu *cpu, const struct x86_state *state)
{
	bool is_reset = state->wait_sipi || ((cpu->cr0 & X86_CR0_PE) && !(state->cr0 & X86_CR0_PE));

	cpu->io.pending = false;
	io_retire(cpu);
	cpu->under_way = 0;
	cpu->debug_hits = 0;
	if (state->rip != cpu->rip || is_reset)
		cpu->shadow = 0;
	if (is_reset) {
		cpu->nmi_pending = 0;
		cpu->nmi_blocked = false;
		cpu->irq_injected = cpu->irq_window = false;
	}
}

int hosted_state_set(struct vcpu *vcpu, const struct x86_state *state)
{
	struct hosted_cpu *cpu = hosted_cpu(vcpu);

	events_forget(cpu, state);
	memcpy(cpu->regs, state->regs, sizeof(cpu->regs));
	memcpy(cpu->segs, state->segs, sizeof(cpu->segs));
	memcpy(cpu->dr, state->dr, sizeof(cpu->dr));
	cpu->dr[6] = state->dr[6] ? state->dr[6]
				  : DR6_RESET; /* as KVM's side has it: all zero is a reset's */
	cpu->dr[7] = state->dr[7] ? state->dr[7] : DR7_RESET;
	cpu->rip = state->rip;
	cpu->rflags = state->rflags | X86_RFLAGS_FIXED;
	cpu->tr = state->tr;
	cpu->ldt = state->ldt;
	cpu->gdt = state->gdt;
	cpu->idt = state->idt;
	cpu->cr0 = state->cr0;
	cpu->cr2 = state->cr2;
	cpu->cr3 = state->cr3;
	cpu->cr4 = state->cr4;
	cpu->cr8 = state->cr8 & CR8_MASK;
	cpu->efer = state->efer;
	cpu->apic_base = state->apic_base;
	cpu->cpl = cpl_of(state);
	cpu->halted = state->halted;
	cpu->wait_sipi = state->wait_sipi;
	mmu_flush_all(cpu);
	cpu_mode_update(cpu);
	return 0;
}

int hosted_msr_get(struct vcpu *vcpu, uint32_t index, uint64_t *ret)
{
	return msr_get(hosted_cpu(vcpu), index, ret) == MSR_OK ? 0 : -ENOENT;
}

int hosted_msr_set(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	return msr_put(hosted_cpu(vcpu), index, value) == MSR_OK ? 0 : -ENOENT;
}

int hosted_translate(struct vcpu *vcpu, gva_t gva, gpa_t *ret)
{
	return mmu_translate(hosted_cpu(vcpu), gva, ret);
}

int hosted_inject(struct vcpu *vcpu, uint8_t vector)
{
	struct hosted_cpu *cpu = hosted_cpu(vcpu);

	if (cpu->irq_injected)
		return -EBUSY;
	cpu->irq_injected = true;
	cpu->irq_vector = vector;
	return 0;
}

int hosted_inject_nmi(struct vcpu *vcpu)
{
	struct hosted_cpu *cpu = hosted_cpu(vcpu);

	if (cpu->nmi_pending < (cpu->nmi_blocked ? 1 : 2))
		cpu->nmi_pending++;
	return 0;
}

void hosted_irq_window(struct vcpu *vcpu, bool wanted)
{
	hosted_cpu(vcpu)->irq_window = wanted;
}

uint8_t hosted_cr8_get(struct vcpu *vcpu)
{
	return (uint8_t)hosted_cpu(vcpu)->cr8;
}

void hosted_cr8_set(struct vcpu *vcpu, uint8_t cr8)
{
	hosted_cpu(vcpu)->cr8 = cr8 & CR8_MASK;
}

uint64_t hosted_apic_base_get(struct vcpu *vcpu)
{
	return hosted_cpu(vcpu)->apic_base;
}

int hosted_debug_set(struct vcpu *vcpu, bool single_step, bool sw_breakpoints,
		     const struct debug_point points[DEBUG_POINTS])
{
	struct hosted_cpu *cpu = hosted_cpu(vcpu);

	cpu->debug_step = single_step;
	cpu->debug_software = sw_breakpoints;
	cpu->debug_hardware = cpu->debug_watches = false;
	cpu->debug_met = 0;
	for (unsigned i = 0; i < DEBUG_POINTS; i++) {
		const struct debug_point point = points ? points[i] : (struct debug_point){ 0 };
		bool is_data = point.len && point.access != DEBUG_EXECUTE;
		cpu->debug_dr[i] = is_data || !point.len ? 0 : point.gva;
		cpu->debug_watch[i] = is_data ? point : (struct debug_point){ 0 };
		cpu->debug_hardware |= cpu->debug_dr[i] != 0;
		cpu->debug_watches |= is_data;
	}
	cpu_mode_update(cpu);
	return 0;
}

int hosted_inject_breakpoint(struct vcpu *vcpu)
{
	hosted_cpu(vcpu)->debug_pending_bp = true;
	return 0;
}
