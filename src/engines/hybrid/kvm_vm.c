/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/private.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>

#include "base/os/fd.h"
#include "engines/hybrid/kvm.h"
#include "machine/layout.h"
#include "x86/cpuid.h"

/* Without these there is no engine. KVM_CAP_NAME as text, for the message. */
static const struct needed {
	unsigned cap;
	const char *name;
} needed[] = {
	{ KVM_CAP_USER_MEMORY, "user memory" },
	{ KVM_CAP_EXT_CPUID, "CPUID" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
	{ KVM_CAP_READONLY_MEM, "read-only memory" },
	{ KVM_CAP_DEBUGREGS, "debug registers" },
	{ KVM_CAP_MP_STATE, "the state of multiprocessing" },
};

static int check_needed(int dev_fd, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (kvm_cap(dev_fd, needed[i].cap) == 0)
			return err_say(err, ENOTSUP, "%s cannot do what is needed: %s",
				       KVM_DEV_PATH, needed[i].name);
	}
	return 0;
}

static unsigned phys_bits(void)
{
	unsigned eax, ebx, ecx, edx;

	if (!__get_cpuid((unsigned)CPUID_EXT_ADDRESS, &eax, &ebx, &ecx, &edx))
		return 36; /* SDM 2A, CPUID: what holds without the leaf */
	return eax & 0xff;
}

int kvm_caps(struct cpu_caps *ret, struct err *err)
{
	AUTO(fd_close_p) int fd = -EBADF;
	int r = kvm_dev_open(&fd, err);
	if (r == 0)
		r = check_needed(fd, err);
	if (r < 0)
		return r;

	unsigned vcpus = kvm_cap(fd, KVM_CAP_MAX_VCPUS);
	*ret = (struct cpu_caps){
		.irqchip = kvm_cap(fd, KVM_CAP_IRQCHIP) && kvm_cap(fd, KVM_CAP_PIT2) &&
			   kvm_cap(fd, KVM_CAP_SIGNAL_MSI),
		.doorbells =
			kvm_cap(fd, KVM_CAP_IOEVENTFD) && kvm_cap(fd, KVM_CAP_IOEVENTFD_ANY_LENGTH),
		.kvm_clock = kvm_cap(fd, KVM_CAP_ADJUST_CLOCK) != 0,
		.vcpus = vcpus ? vcpus : 4, /* api.rst, KVM_CREATE_VCPU: what to assume */
		.phys_bits = phys_bits(),
	};
	return 0;
}

/*
 * Exits for what KVM does not know. Without its LAPIC also for what it refuses, which the x2APIC registers are then
 * (SDM 3A, x2APIC Register Address Space), and for the TSC deadline, which it would drop in silence.
 */
static int msr_exits(struct kvm_vm *vm, struct err *err)
{
	uint8_t none = 0;
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges[0] = { .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			       .nmsrs = 1,
			       .base = 0x6e0, /* IA32_TSC_DEADLINE */
			       .bitmap = &none },
	};
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR,
				      .args[0] = KVM_MSR_EXIT_REASON_UNKNOWN };

	if (kvm_cap(vm->dev_fd, KVM_CAP_X86_USER_SPACE_MSR) == 0)
		return 0; /* before Linux 5.10: KVM answers with #GP by itself */
	if (!vm->own_irqchip)
		cap.args[0] |= KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_FILTER;
	int r = kvm_ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
	if (r == 0 && !vm->own_irqchip)
		r = kvm_ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter);
	return r < 0 ? err_set(err, -r, "have unknown MSRs reported by KVM") : 0;
}

/* Pages that KVM on Intel hardware without unrestricted guests keeps for itself. */
static int reserved_pages(struct kvm_vm *vm, struct err *err)
{
	uint64_t identity = LAYOUT_IDENTITY_MAP;

	int r = kvm_ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (r == 0)
		r = kvm_ioctl_nr(vm->fd, KVM_SET_TSS_ADDR, LAYOUT_TSS);
	return r < 0 ? err_set(err, -r, "set KVM's own pages") : 0;
}

static int vm_open(struct kvm_vm *vm, struct err *err)
{
	int r = kvm_dev_open(&vm->dev_fd, err);
	if (r == 0)
		r = check_needed(vm->dev_fd, err);
	if (r < 0)
		return r;
	vm->fd = kvm_ioctl_nr(vm->dev_fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return err_set(err, -vm->fd, "create a VM on %s", KVM_DEV_PATH);
	int bytes = kvm_ioctl_nr(vm->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (bytes < (int)sizeof(struct kvm_run))
		return err_say(err, EIO, "%s: a vcpu's page of %d bytes", KVM_DEV_PATH, bytes);
	vm->run_bytes = (size_t)bytes;
	r = msr_exits(vm, err);
	return r == 0 ? reserved_pages(vm, err) : r;
}

int kvm_vm_create(const struct vm_config *config, struct vm **ret, struct err *err)
{
	struct kvm_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return err_set(err, ENOMEM, "create a VM");
	vm->base.ops = &kvm_cpu_ops;
	vm->dev_fd = vm->fd = -EBADF;
	vm->own_irqchip = config->own_irqchip;
	vm->vcpus = config->vcpus;
	for (size_t i = 0; i < KVM_DOORBELLS; i++)
		vm->doorbells[i].desc.fd = -1;
	int r = vm_open(vm, err);
	if (r == 0)
		r = kvm_kick_handler(err);
	if (r < 0) {
		kvm_vm_destroy(&vm->base);
		return r;
	}
	*ret = &vm->base;
	return 0;
}

void kvm_vm_destroy(struct vm *base)
{
	if (!base)
		return;
	struct kvm_vm *vm = kvm_vm_of(base);
	fd_close(vm->fd);
	fd_close(vm->dev_fd);
	free(vm);
}

int kvm_slot_set(struct vm *base, const struct mem_slot *slot, struct err *err)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot->index,
		.flags = slot->read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->size_bytes,
		.userspace_addr = (uintptr_t)slot->hva,
	};

	int r = kvm_ioctl(kvm_vm_of(base)->fd, KVM_SET_USER_MEMORY_REGION, &region);
	if (r < 0)
		return err_set(err, -r, "give KVM %llu bytes of guest memory at %#llx",
			       (unsigned long long)slot->size_bytes, (unsigned long long)slot->gpa);
	return 0;
}
