/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "engines/vmm/private.h"

int vmm_cpuid_set(struct vmm *vmm, struct err *err)
{
	struct cpuid_leaf *leaves = calloc(CPUID_LEAVES_MAX, sizeof(*leaves));
	unsigned n = CPUID_LEAVES_MAX;
	int r = leaves ? vmm->cpu->cpuid_supported(leaves, &n, err)
		       : err_set(err, ENOMEM, "CPU model");

	for (unsigned i = 0; r == 0 && i < vmm->n_vcpus; i++)
		r = vmm->cpu->cpuid_set(vmm->vcpus[i].vcpu, leaves, n, err);
	free(leaves);
	return r;
}
