/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID, MSRs, the time stamp counter, hypercalls. Sources: SDM 2A, CPUID; SDM 2B, RDMSR, RDPID, RDPMC, RDTSC, RDTSCP; Linux Documentation/virt/kvm/x86/hypercalls.rst. */
#include "engines/hosted/interp.h"
#include "engines/hosted/system.h"

#define HYPERVISOR_FIRST UINT32_C(0x40000000)
#define EXT_FIRST	 UINT32_C(0x80000000)
#define FEATURES_OSXSAVE (UINT32_C(1) << 27) /* ECX */
#define FEATURES_APIC	 (UINT32_C(1) << 9)  /* EDX */
#define APIC_BASE_ENABLE UINT64_C(0x800)
#define XSAVE_LEGACY	 576U

/* Errors of hypercalls: include/uapi/linux/kvm_para.h. */
#define KVM_ENOSYS	      1000U
#define KVM_EPERM	      1U
#define KVM_HC_VAPIC_POLL_IRQ 1U
#define KVM_HC_SCHED_YIELD    11U

static const struct cpuid_leaf *leaf_find(const struct hosted_cpu *cpu, uint32_t function,
					  uint32_t index)
{
	for (unsigned i = 0; i < cpu->n_leaves; i++) {
		const struct cpuid_leaf *leaf = &cpu->leaves[i];
		if (leaf->function == function && (!leaf->indexed || leaf->index == index))
			return leaf;
	}
	return NULL;
}

static uint32_t leaf_reg(const struct cpuid_leaf *leaf, enum cpuid_reg reg)
{
	switch (reg) {
	case CPUID_EAX:
		return leaf->eax;
	case CPUID_EBX:
		return leaf->ebx;
	case CPUID_ECX:
		return leaf->ecx;
	default:
		return leaf->edx;
	}
}

bool system_has(const struct hosted_cpu *cpu, uint32_t function, uint32_t index, enum cpuid_reg reg,
		unsigned bit)
{
	const struct cpuid_leaf *leaf = leaf_find(cpu, function, index);

	return leaf && (leaf_reg(leaf, reg) >> bit & 1);
}

bool system_is_amd(const struct hosted_cpu *cpu)
{
	const struct cpuid_leaf *leaf = leaf_find(cpu, CPUID_BASIC, 0);

	/* EBX: "Auth"enticAMD, "Hygo"nGenuine */
	return leaf && (leaf->ebx == 0x68747541 || leaf->ebx == 0x6f677948);
}

/* Beyond the last leaf AMD has nothing, and Intel the last basic one; a gap is nothing with both. */
static const struct cpuid_leaf *leaf_shown(const struct hosted_cpu *cpu, uint32_t function,
					   uint32_t index)
{
	uint32_t first = function >= EXT_FIRST		? EXT_FIRST
			 : function >= HYPERVISOR_FIRST ? HYPERVISOR_FIRST
							: 0;
	const struct cpuid_leaf *basic = leaf_find(cpu, CPUID_BASIC, 0);
	const struct cpuid_leaf *head = leaf_find(cpu, first, 0);

	if (head && function <= head->eax)
		return leaf_find(cpu, function, index);
	if (!basic || system_is_amd(cpu))
		return NULL;
	return leaf_find(cpu, basic->eax, index);
}

/* Bytes of an XSAVE area with these components. */
static uint32_t xsave_bytes(const struct hosted_cpu *cpu, uint64_t components, bool compact)
{
	uint32_t bytes = XSAVE_LEGACY;

	for (unsigned i = 2; i < 63; i++) {
		const struct cpuid_leaf *leaf =
			components >> i & 1 ? leaf_find(cpu, CPUID_XSAVE, i) : NULL;
		if (!leaf)
			continue;
		if (!compact)
			bytes = leaf->ebx + leaf->eax > bytes ? leaf->ebx + leaf->eax : bytes;
		else
			bytes = (leaf->ecx & 2 ? (bytes + 63) & ~63U : bytes) + leaf->eax;
	}
	return bytes;
}

void system_cpuid(const struct hosted_cpu *cpu, uint32_t function, uint32_t index, uint32_t ret[4])
{
	const struct cpuid_leaf *leaf = leaf_shown(cpu, function, index);

	for (unsigned i = 0; i < 4; i++)
		ret[i] = leaf ? leaf_reg(leaf, i) : 0;
	if (!leaf)
		return;
	/* What follows control registers. */
	if (leaf->function == CPUID_FEATURES) {
		ret[CPUID_ECX] &= ~FEATURES_OSXSAVE;
		if (cpu->cr4 & X86_CR4_OSXSAVE)
			ret[CPUID_ECX] |= FEATURES_OSXSAVE;
		if (!(cpu->apic_base & APIC_BASE_ENABLE))
			ret[CPUID_EDX] &= ~FEATURES_APIC;
	}
	if (leaf->function == CPUID_XSAVE && leaf->index == 0)
		ret[CPUID_EBX] = xsave_bytes(cpu, cpu->xcr0, false);
	if (leaf->function == CPUID_XSAVE && leaf->index == 1 && (leaf->eax & 0xa))
		ret[CPUID_EBX] = xsave_bytes(cpu, cpu->xcr0, true);
}

enum cpu_result system_cpuid_insn(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint32_t regs[4];

	exit_count(cpu->vcpu.counts, EXIT_CPUID);
	system_cpuid(cpu, (uint32_t)cpu->regs[X86_RAX], (uint32_t)cpu->regs[X86_RCX], regs);
	cpu->regs[X86_RAX] = regs[CPUID_EAX];
	cpu->regs[X86_RBX] = regs[CPUID_EBX];
	cpu->regs[X86_RCX] = regs[CPUID_ECX];
	cpu->regs[X86_RDX] = regs[CPUID_EDX];
	return sys_done(cpu, insn);
}

static void set_edx_eax(struct hosted_cpu *cpu, uint64_t value)
{
	cpu->regs[X86_RAX] = (uint32_t)value;
	cpu->regs[X86_RDX] = value >> 32;
}

static uint64_t edx_eax(const struct hosted_cpu *cpu)
{
	return cpu->regs[X86_RDX] << 32 | (uint32_t)cpu->regs[X86_RAX];
}

enum cpu_result system_rdmsr(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	uint64_t value;

	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	enum cpu_result r = msr_read(cpu, (uint32_t)cpu->regs[X86_RCX], &value);
	if (r != CPU_OK)
		return r;
	exit_count(cpu->vcpu.counts, EXIT_MSR);
	set_edx_eax(cpu, value);
	return sys_done(cpu, insn);
}

enum cpu_result system_wrmsr(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	if (cpu->cpl != 0)
		return sys_gp(cpu, 0);
	enum cpu_result r = msr_write(cpu, (uint32_t)cpu->regs[X86_RCX], edx_eax(cpu));
	if (r == CPU_OK)
		exit_count(cpu->vcpu.counts, EXIT_MSR);
	return r == CPU_OK ? sys_done(cpu, insn) : r;
}

enum cpu_result system_rdtsc(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	bool with_aux = insn->op == X86_OP_RDTSCP;

	if (with_aux && !system_has(cpu, (uint32_t)CPUID_EXT_FEATURES, 0, CPUID_EDX, 27))
		return sys_raise(cpu, SYS_UD);
	if ((cpu->cr4 & X86_CR4_TSD) && cpu->cpl != 0)
		return sys_gp(cpu, 0);
	set_edx_eax(cpu, cpu_tsc(cpu));
	if (with_aux)
		cpu->regs[X86_RCX] = (uint32_t)cpu->tsc_aux;
	return sys_done(cpu, insn);
}

/* There are no counters. */
enum cpu_result system_rdpmc(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	(void)insn;
	return sys_gp(cpu, 0);
}

enum cpu_result system_rdpid(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	if (!system_has(cpu, CPUID_EXTENDED_FEATURES, 0, CPUID_ECX, 22))
		return sys_raise(cpu, SYS_UD);
	interp_set_reg(cpu, insn->rm, insn->code == X86_CODE_64 ? 8 : 4, (uint32_t)cpu->tsc_aux);
	return sys_done(cpu, insn);
}

/* ---- hypercalls ---- */

static bool is_kvm(const struct hosted_cpu *cpu)
{
	const struct cpuid_leaf *leaf = leaf_find(cpu, CPUID_KVM, 0);

	/* "KVMKVMKVM" */
	return leaf && leaf->ebx == 0x4b4d564b && leaf->ecx == 0x564b4d56 && leaf->edx == 0x4d;
}

/* Interrupts are the machine's, so that those calls that send or await one are not there. */
static uint64_t hypercall(const struct hosted_cpu *cpu, uint64_t number)
{
	if (cpu->cpl != 0)
		return -(uint64_t)KVM_EPERM;
	switch (number) {
	case KVM_HC_VAPIC_POLL_IRQ:
	case KVM_HC_SCHED_YIELD:
		return 0;
	default:
		return -(uint64_t)KVM_ENOSYS;
	}
}

enum cpu_result system_hypercall(struct hosted_cpu *cpu, const struct x86_insn *insn)
{
	bool is_64 = insn->code == X86_CODE_64;

	/* Each vendor has one of the two; KVM takes both. */
	if (!is_kvm(cpu))
		return sys_raise(cpu, SYS_UD);
	exit_count(cpu->vcpu.counts, EXIT_HYPERCALL);
	uint64_t result = hypercall(cpu, interp_reg(cpu, X86_RAX, is_64 ? 8 : 4));
	interp_set_reg(cpu, X86_RAX, is_64 ? 8 : 4, result);
	return sys_done(cpu, insn);
}
