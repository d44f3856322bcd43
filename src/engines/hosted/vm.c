/* SPDX-License-Identifier: Apache-2.0 */
/* A virtual machine and its vcpus: made before the process is sealed. */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include "base/core/macros.h"
#include "engines/hosted/hosted_cpu.h"
#include "engines/hosted/jit.h"
#include "engines/hosted/mmu.h"
#include "engines/hosted/msr.h"
#include "engines/hosted/run.h"

#define CACHE_BYTES	(UINT64_C(64) << 20)
#define HWCAP2_FSGS	2U /* Linux arch/x86/include/uapi/asm/hwcap2.h */
#define PHYS_BITS_LEAST 36U
#define PHYS_BITS_MOST	52U

static const uint32_t vm_arch_codes[] = { ARCH_SET_GS };
const struct seal_call hosted_vcpu_calls[HOSTED_VCPU_CALLS] = { { SYS_arch_prctl, 0, vm_arch_codes,
								  ARRAY_SIZE(vm_arch_codes) } };

const struct cpu_ops hosted_cpu_ops = {
	.name = "the software CPU",
	.caps = hosted_caps,
	.cpuid_supported = hosted_cpuid_supported,
	.vm_create = hosted_vm_create,
	.vm_destroy = hosted_vm_destroy,
	.slot_set = hosted_slot_set,
	.vcpu_create = hosted_vcpu_create,
	.vcpu_destroy = hosted_vcpu_destroy,
	.cpuid_set = hosted_cpuid_set,
	.run = hosted_run,
	.kick = hosted_kick,
	.state_get = hosted_state_get,
	.state_set = hosted_state_set,
	.msr_get = hosted_msr_get,
	.msr_set = hosted_msr_set,
	.translate = hosted_translate,
	.irq_ready = hosted_irq_ready,
	.inject = hosted_inject,
	.inject_nmi = hosted_inject_nmi,
	.irq_window = hosted_irq_window,
	.cr8_get = hosted_cr8_get,
	.cr8_set = hosted_cr8_set,
	.apic_base_get = hosted_apic_base_get,
	.tsc_hz = hosted_tsc_hz,
	.exits_counted = EXIT_BIT(EXIT_ALL) | EXIT_BIT(EXIT_MSR) | EXIT_BIT(EXIT_CPUID) |
			 EXIT_BIT(EXIT_HYPERCALL) | EXIT_BIT(EXIT_INTERRUPT) |
			 EXIT_BIT(EXIT_MEMORY) | EXIT_BIT(EXIT_INSTRUCTION) | EXIT_BIT(EXIT_CODE) |
			 EXIT_BIT(EXIT_EXCEPTION),
	.debug_set = hosted_debug_set,
	.inject_breakpoint = hosted_inject_breakpoint,
	.xsave_get = hosted_xsave_get,
	.xsave_set = hosted_xsave_set,
};

static struct hosted_vm *vm_of(struct vm *vm)
{
	return container_of(vm, struct hosted_vm, vm);
}

static unsigned host_phys_bits(void)
{
	unsigned a = 0, b, c, d;

	if (!__get_cpuid((unsigned)CPUID_EXT_ADDRESS, &a, &b, &c, &d))
		return PHYS_BITS_LEAST;
	unsigned bits = a & 0xff;
	if (bits < PHYS_BITS_LEAST)
		return PHYS_BITS_LEAST;
	return bits > PHYS_BITS_MOST ? PHYS_BITS_MOST : bits;
}

int hosted_caps(struct cpu_caps *ret, struct err *err)
{
	uint64_t mask;
	uint32_t bytes;
	int r = hosted_xsave_layout(&mask, &bytes, err);

	if (r < 0)
		return r;
	*ret = (struct cpu_caps){
		.kvm_clock = true,
		.vcpus = HOSTED_VCPUS_MAX,
		.phys_bits = host_phys_bits(),
	};
	return 0;
}

void hosted_host_find(struct hosted_host *host)
{
	uint64_t mask = 0;
	uint32_t bytes;

	(void)hosted_xsave_layout(&mask, &bytes, NULL); /* caps() said so already */
	host->fsgsbase = getauxval(AT_HWCAP2) & HWCAP2_FSGS;
	host->avx = mask & 4;
}

/* Any thread: a device wrote guest memory. */
static void vm_wrote(struct guest_mem *mem, gpa_t gpa, uint64_t len)
{
	struct hosted_vm *vm = mem->wrote_owner;

	if (vm->jit)
		jit_wrote(vm, gpa, len);
}

int hosted_vm_create(const struct vm_config *config, struct vm **ret, struct err *err)
{
	struct hosted_vm *vm = calloc(1, sizeof(*vm));
	int r = 0;

	if (!vm)
		return err_set(err, ENOMEM, "virtual machine");
	vm->vm.ops = &hosted_cpu_ops;
	vm->mem = config->mem;
	hosted_host_find(&vm->host);
	hosted_clock_start(&vm->clock);
	if (!config->interpret_only) {
		uint64_t bytes = config->code_cache_bytes;
		r = jit_vm_create(vm, config->vcpus, bytes ? bytes : CACHE_BYTES, err);
	}
	if (r < 0) {
		free(vm);
		return r;
	}
	vm->mem->wrote_owner = vm;
	vm->mem->wrote = vm_wrote;
	*ret = &vm->vm;
	return 0;
}

void hosted_vm_destroy(struct vm *base)
{
	struct hosted_vm *vm = base ? vm_of(base) : NULL;

	if (!vm)
		return;
	vm->mem->wrote = NULL;
	vm->mem->wrote_owner = NULL;
	if (vm->jit)
		jit_vm_destroy(vm);
	free(vm);
}

/* Memory is found where the machine has it (vm_config.mem); what a slot has to be is looked at here. */
int hosted_slot_set(struct vm *base, const struct mem_slot *slot, struct err *err)
{
	const struct hosted_vm *vm = vm_of(base);

	if ((uintptr_t)slot->hva % CPU_PAGE_BYTES)
		return err_say(err, EINVAL, "memory at guest address 0x%llx: not page aligned here",
			       (unsigned long long)slot->gpa);
	if (mmu_slot(vm, slot->gpa) == NULL)
		return err_say(err, EINVAL, "memory at guest address 0x%llx: not of this machine",
			       (unsigned long long)slot->gpa);
	return 0;
}

uint64_t hosted_tsc_hz(struct vcpu *vcpu)
{
	return clock_hz(&hosted_cpu(vcpu)->vm->clock);
}

static int vcpu_vectors(struct hosted_cpu *cpu, struct err *err)
{
	int r = hosted_xsave_layout(&cpu->xsave_mask, &cpu->xsave_bytes, err);

	if (r < 0)
		return r;
	cpu->xsave = aligned_alloc(64, (cpu->xsave_bytes + 63U) & ~63U);
	if (!cpu->xsave)
		return err_set(err, ENOMEM, "vector state of vcpu %u", cpu->vcpu.index);
	hosted_xsave_init(cpu);
	return 0;
}

static int vcpu_parts(struct hosted_cpu *cpu, struct err *err)
{
	int r = vcpu_vectors(cpu, err);

	if (r == 0)
		r = mmu_vcpu_create(cpu, err);
	if (r == 0)
		r = interp_vcpu_create(cpu, err);
	if (r == 0 && cpu->vm->jit)
		r = jit_vcpu_create(cpu, err);
	return r;
}

int hosted_vcpu_create(struct vm *base, unsigned index, struct vcpu **ret, struct err *err)
{
	struct hosted_vm *vm = vm_of(base);
	struct x86_state state;

	if (index >= ARRAY_SIZE(vm->cpus) || vm->cpus[index])
		return err_say(err, EINVAL, "vcpu %u: of 0 to %u, each once", index,
			       HOSTED_VCPUS_MAX - 1);
	struct hosted_cpu *cpu = calloc(1, sizeof(*cpu));
	if (!cpu)
		return err_set(err, ENOMEM, "vcpu %u", index);
	cpu->vcpu = (struct vcpu){ .ops = &hosted_cpu_ops, .index = index };
	cpu->vm = vm;
	cpu->tsc_offset = -vm->clock.tsc_start;
	vm->cpus[index] = cpu;
	if (index >= vm->n_cpus)
		vm->n_cpus = index + 1;
	int r = vcpu_parts(cpu, err);
	if (r < 0) {
		hosted_vcpu_destroy(&cpu->vcpu);
		return r;
	}
	msr_reset(cpu, index == 0);
	x86_state_reset(&state, index == 0);
	(void)hosted_state_set(&cpu->vcpu, &state); /* never fails */
	*ret = &cpu->vcpu;
	return 0;
}

void hosted_vcpu_destroy(struct vcpu *vcpu)
{
	struct hosted_cpu *cpu = vcpu ? hosted_cpu(vcpu) : NULL;

	if (!cpu)
		return;
	cpu->vm->cpus[vcpu->index] = NULL;
	if (cpu->jit)
		jit_vcpu_destroy(cpu);
	interp_vcpu_destroy(cpu);
	mmu_vcpu_destroy(cpu);
	free(cpu->xsave);
	free(cpu);
}

/* What the guest is told decides which bits of a page table are reserved. */
int hosted_cpuid_set(struct vcpu *vcpu, const struct cpuid_leaf *leaves, unsigned n,
		     struct err *err)
{
	struct hosted_cpu *cpu = hosted_cpu(vcpu);

	if (n > CPUID_LEAVES_MAX)
		return err_say(err, E2BIG, "%u CPUID leaves: %u at most", n, CPUID_LEAVES_MAX);
	memcpy(cpu->leaves, leaves, n * sizeof(*leaves));
	cpu->n_leaves = n;
	const struct cpuid_leaf *widths =
		cpuid_find(cpu->leaves, n, (uint32_t)CPUID_EXT_ADDRESS, 0);
	unsigned bits = widths ? widths->eax & 0xff : PHYS_BITS_LEAST;
	if (bits < 32 || bits > PHYS_BITS_MOST)
		return err_say(err, EINVAL, "guest physical addresses of %u bits: 32 to %u", bits,
			       PHYS_BITS_MOST);
	cpu->mmu->phys_bits = (uint8_t)bits;
	cpu_mode_update(cpu);
	return 0;
}
