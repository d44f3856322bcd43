/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/private.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>

#include "base/os/fd.h"

#define CPUID_NAME UINT32_C(0x80000002) /* three leaves: SDM 2A, CPUID, Processor Brand String */

static void free_p(struct kvm_cpuid2 **p)
{
	free(*p);
}

static struct kvm_cpuid2 *cpuid_alloc(unsigned n)
{
	return calloc(1, sizeof(struct kvm_cpuid2) + n * sizeof(struct kvm_cpuid_entry2));
}

/*
 * What is KVM's to give, but not in its list: the TSC deadline, which depends on the LAPIC (api.rst,
 * KVM_GET_SUPPORTED_CPUID), and the CPU's name, which it leaves empty.
 */
static void leaf_amend(struct cpuid_leaf *leaf, bool tsc_deadline)
{
	if (leaf->function == CPUID_FEATURES && tsc_deadline)
		leaf->ecx |= UINT32_C(1) << 24;
	if (leaf->function >= CPUID_NAME && leaf->function < CPUID_NAME + 3 &&
	    !(leaf->eax | leaf->ebx | leaf->ecx | leaf->edx))
		__cpuid(leaf->function, leaf->eax, leaf->ebx, leaf->ecx, leaf->edx);
}

int kvm_cpuid_supported(struct cpuid_leaf *ret, unsigned *n, struct err *err)
{
	AUTO(fd_close_p) int fd = -EBADF;
	int r = kvm_dev_open(&fd, err);
	if (r < 0)
		return r;
	AUTO(free_p) struct kvm_cpuid2 *list = cpuid_alloc(CPUID_LEAVES_MAX);
	if (!list)
		return err_set(err, ENOMEM, "ask KVM for its CPUID leaves");
	list->nent = CPUID_LEAVES_MAX;
	r = kvm_ioctl(fd, KVM_GET_SUPPORTED_CPUID, list);
	if (r < 0)
		return err_set(err, -r, "ask KVM for its CPUID leaves");
	unsigned room = *n;
	*n = list->nent;
	if (list->nent > room)
		return err_say(err, E2BIG, "KVM has %u CPUID leaves, there is room for %u",
			       list->nent, room);
	bool tsc_deadline = kvm_cap(fd, KVM_CAP_TSC_DEADLINE_TIMER) != 0;
	for (unsigned i = 0; i < list->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &list->entries[i];
		ret[i] = (struct cpuid_leaf){
			.function = e->function,
			.index = e->index,
			.indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			.eax = e->eax,
			.ebx = e->ebx,
			.ecx = e->ecx,
			.edx = e->edx,
		};
		leaf_amend(&ret[i], tsc_deadline);
	}
	return 0;
}

int kvm_cpuid_set(struct vcpu *base, const struct cpuid_leaf *leaves, unsigned n, struct err *err)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);

	if (n > CPUID_LEAVES_MAX)
		return err_say(err, E2BIG, "%u CPUID leaves: %u at most", n, CPUID_LEAVES_MAX);
	AUTO(free_p) struct kvm_cpuid2 *list = cpuid_alloc(n);
	if (!list)
		return err_set(err, ENOMEM, "set the CPUID leaves of vcpu %u", base->index);
	list->nent = n;
	for (unsigned i = 0; i < n; i++) {
		list->entries[i] = (struct kvm_cpuid_entry2){
			.function = leaves[i].function,
			.index = leaves[i].index,
			.flags = leaves[i].indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
			.eax = leaves[i].eax,
			.ebx = leaves[i].ebx,
			.ecx = leaves[i].ecx,
			.edx = leaves[i].edx,
		};
	}
	int r = kvm_ioctl(vcpu->fd, KVM_SET_CPUID2, list);
	return r < 0 ? err_set(err, -r, "set the CPUID leaves of vcpu %u", base->index) : 0;
}
