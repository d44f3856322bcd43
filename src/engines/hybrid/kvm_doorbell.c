/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/private.h"

#include <errno.h>

static bool same_doorbell(const struct kvm_ioeventfd *a, const struct kvm_ioeventfd *b)
{
	return a->addr == b->addr && a->len == b->len && a->flags == b->flags &&
	       a->datamatch == b->datamatch;
}

/* The entry that is like desc, or a free one; NULL: neither. */
static struct kvm_doorbell *find_locked(struct kvm_vm *vm, const struct kvm_ioeventfd *desc,
					bool wanted_free)
{
	for (size_t i = 0; i < KVM_DOORBELLS; i++) {
		struct kvm_doorbell *d = &vm->doorbells[i];
		if (wanted_free ? d->desc.fd < 0 : d->desc.fd >= 0 && same_doorbell(&d->desc, desc))
			return d;
	}
	return NULL;
}

static int add_locked(struct kvm_vm *vm, const struct kvm_ioeventfd *desc)
{
	struct kvm_doorbell *d = find_locked(vm, desc, true);

	if (find_locked(vm, desc, false))
		return -EEXIST;
	if (!d)
		return -ENOSPC;
	struct kvm_ioeventfd request = *desc;
	int r = kvm_ioctl(vm->fd, KVM_IOEVENTFD, &request);
	if (r == 0)
		d->desc = *desc;
	return r;
}

static int remove_locked(struct kvm_vm *vm, const struct kvm_ioeventfd *desc)
{
	struct kvm_doorbell *d = find_locked(vm, desc, false);

	if (!d)
		return -ENOENT;
	struct kvm_ioeventfd request = d->desc;
	request.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	d->desc.fd = -1;
	return kvm_ioctl(vm->fd, KVM_IOEVENTFD, &request);
}

int kvm_doorbell_set(struct vm *base, uint64_t addr, unsigned len, bool is_port, bool match,
		     uint64_t value, int fd)
{
	struct kvm_vm *vm = kvm_vm_of(base);
	struct kvm_ioeventfd desc = {
		.addr = addr,
		.len = len,
		.fd = fd,
		.datamatch = match ? value : 0,
		.flags = (is_port ? 1U << kvm_ioeventfd_flag_nr_pio : 0) |
			 (match ? 1U << kvm_ioeventfd_flag_nr_datamatch : 0),
	};

	lock_acquire(&vm->lock);
	int r = fd >= 0 ? add_locked(vm, &desc) : remove_locked(vm, &desc);
	lock_release(&vm->lock);
	return r;
}
