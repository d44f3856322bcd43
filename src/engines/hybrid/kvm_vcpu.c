/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "engines/hybrid/kvm.h"

static int vcpu_open(struct kvm_vcpu *vcpu, struct err *err)
{
	vcpu->fd = kvm_ioctl_nr(vcpu->vm->fd, KVM_CREATE_VCPU, vcpu->base.index);
	if (vcpu->fd < 0)
		return err_set(err, -vcpu->fd, "create vcpu %u", vcpu->base.index);
	void *run =
		mmap(NULL, vcpu->vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		return err_set(err, errno, "map the page of vcpu %u", vcpu->base.index);
	vcpu->run = run;
	kvm_stats_open(vcpu);
	return 0;
}

int kvm_vcpu_create(struct vm *base, unsigned index, struct vcpu **ret, struct err *err)
{
	struct kvm_vm *vm = kvm_vm_of(base);

	if (index >= vm->vcpus)
		return err_say(err, EINVAL, "vcpu %u of a VM of %u", index, vm->vcpus);
	int r = kvm_irqchip_make(vm, err);
	if (r < 0)
		return r;
	struct kvm_vcpu *vcpu = calloc(1, sizeof(*vcpu));
	if (!vcpu)
		return err_set(err, ENOMEM, "create vcpu %u", index);
	vcpu->base = (struct vcpu){ .ops = &kvm_cpu_ops, .index = index };
	vcpu->vm = vm;
	vcpu->fd = vcpu->stats = -EBADF;
	vcpu->pid = getpid();
	vcpu->dr_reset = true;
	r = vcpu_open(vcpu, err);
	if (r < 0) {
		kvm_vcpu_destroy(&vcpu->base);
		return r;
	}
	*ret = &vcpu->base;
	return 0;
}

void kvm_vcpu_destroy(struct vcpu *base)
{
	if (!base)
		return;
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	if (vcpu->run)
		(void)munmap(vcpu->run, vcpu->vm->run_bytes); /* ours and whole: cannot fail */
	fd_close(vcpu->stats);
	fd_close(vcpu->fd);
	free(vcpu);
}
