/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "engines/vmm/private.h"
#include "machine/cpuid.h"

struct model {
	struct cpuid_leaf supported[CPUID_LEAVES_MAX];
	struct cpuid_leaf leaves[CPUID_LEAVES_MAX];
};

static int model_set(struct vmm *vmm, struct model *m, struct err *err)
{
	const struct cpuid_config config = {
		.vcpus = vmm->n_vcpus,
		.phys_bits = vmm->caps.phys_bits,
		.kvm = vmm->caps.kvm_clock,
		.own_irqchip = !vmm->chip,
		.x2apic = true,
		.tsc_deadline = vmm_irq_tsc_deadline(vmm),
	};
	unsigned n = CPUID_LEAVES_MAX;
	int r = vmm->cpu->cpuid_supported(m->supported, &n, err);

	for (unsigned i = 0; r == 0 && i < vmm->n_vcpus; i++) {
		unsigned used = 0;
		r = cpuid_model(&config, m->supported, n, i, m->leaves, &used, err);
		if (r == 0)
			r = vmm->cpu->cpuid_set(vmm->vcpus[i].vcpu, m->leaves, used, err);
	}
	return r;
}

int vmm_cpuid_set(struct vmm *vmm, struct err *err)
{
	struct model *m = calloc(1, sizeof(*m));
	int r = m ? model_set(vmm, m, err) : err_set(err, ENOMEM, "CPU model");

	free(m);
	return r;
}
