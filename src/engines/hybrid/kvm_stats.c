/* SPDX-License-Identifier: Apache-2.0 */
/* What KVM counts of a vcpu. Layout: Linux Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD. */
#include "engines/hybrid/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"

#define STATS_NAME_MAX 128U
#define STATS_MAX      4096U /* some 50 there are */

/* One number that only grows, which says so in its name. */
static void stats_take(struct kvm_vcpu *vcpu, const struct kvm_stats_header *head,
		       const struct kvm_stats_desc *desc)
{
	enum exit_reason reason = exit_reason_of_kvm(desc->name);

	if (reason < EXIT_REASONS && desc->size == 1)
		vcpu->stats_at[reason] = head->data_offset + desc->offset;
}

static void stats_find(struct kvm_vcpu *vcpu, const struct kvm_stats_header *head)
{
	const size_t bytes = sizeof(struct kvm_stats_desc) + head->name_size;
	struct kvm_stats_desc *desc = calloc(1, bytes + 1); /* its name ends */

	for (uint32_t i = 0; desc && i < head->num_desc; i++) {
		off_t at = (off_t)(head->desc_offset + i * bytes);
		if (pread(vcpu->stats, desc, bytes, at) == (ssize_t)bytes)
			stats_take(vcpu, head, desc);
	}
	free(desc);
}

void kvm_stats_open(struct kvm_vcpu *vcpu)
{
	struct kvm_stats_header head;

	vcpu->stats = kvm_ioctl_nr(vcpu->fd, KVM_GET_STATS_FD, 0);
	if (vcpu->stats >= 0 && pread(vcpu->stats, &head, sizeof(head), 0) == sizeof(head) &&
	    head.name_size <= STATS_NAME_MAX && head.num_desc <= STATS_MAX)
		stats_find(vcpu, &head);
}

uint64_t kvm_exits_read(struct vcpu *base, struct exit_counts *ret)
{
	const struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	uint64_t has = 0;

	for (unsigned reason = 0; reason < EXIT_REASONS; reason++) {
		uint32_t at = vcpu->stats_at[reason];
		if (at &&
		    pread(vcpu->stats, &ret->n[reason], sizeof(ret->n[0]), at) == sizeof(ret->n[0]))
			has |= EXIT_BIT(reason);
	}
	return has;
}
