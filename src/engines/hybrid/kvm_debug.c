/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/private.h"

#include <errno.h>

/* SDM 3B, Debug Control Register (DR7) */
#define DR7_GLOBAL(i) (UINT64_C(2) << (2 * (i)))
#define DR7_ACCESS(i) (16 + 4 * (i)) /* 0: execution, 1: writes, 3: reads and writes */
#define DR7_LENGTH(i) (18 + 4 * (i)) /* 0, 1, 3, 2: 1, 2, 4, 8 bytes */
#define DR7_FIXED     UINT64_C(0x400)

/*
 * A step is meant for the code that is looked at, not for the interrupt that waits by now: Linux 5.16 and later can hold
 * interrupts back (Documentation/virt/kvm/api.rst, KVM_SET_GUEST_DEBUG).
 */
static int debug_apply(struct kvm_vcpu *vcpu, struct kvm_guest_debug *debug)
{
	int r = -EINVAL;

	if (debug->control & KVM_GUESTDBG_SINGLESTEP) {
		debug->control |= KVM_GUESTDBG_BLOCKIRQ;
		r = kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, debug);
		if (r == -EINVAL)
			debug->control &= ~(uint32_t)KVM_GUESTDBG_BLOCKIRQ;
	}
	if (r == -EINVAL)
		r = kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, debug);
	if (r == 0)
		vcpu->debug = *debug;
	return r;
}

static uint64_t debug_dr7_point(unsigned i, const struct debug_point *point)
{
	const uint64_t access = point->access == DEBUG_EXECUTE ? 0
				: point->access == DEBUG_WRITE ? 1
							       : 3;
	const uint64_t length = point->len == 8 ? 2 : point->len - 1U;

	return DR7_GLOBAL(i) | access << DR7_ACCESS(i) | length << DR7_LENGTH(i);
}

uint64_t kvm_debug_dr7(const struct debug_point points[DEBUG_POINTS])
{
	uint64_t dr7 = DR7_FIXED;

	for (unsigned i = 0; points && i < DEBUG_POINTS; i++) {
		if (points[i].len)
			dr7 |= debug_dr7_point(i, &points[i]);
	}
	return dr7;
}

int kvm_debug_set(struct vcpu *base, bool single_step, bool sw_breakpoints,
		  const struct debug_point points[DEBUG_POINTS])
{
	struct kvm_guest_debug debug = { 0 };
	uint64_t dr7 = kvm_debug_dr7(points);

	for (unsigned i = 0; points && i < DEBUG_POINTS; i++)
		debug.arch.debugreg[i] = points[i].gva;
	if (dr7 != DR7_FIXED) {
		debug.arch.debugreg[7] = dr7;
		debug.control |= KVM_GUESTDBG_USE_HW_BP;
	}
	if (single_step)
		debug.control |= KVM_GUESTDBG_SINGLESTEP;
	if (sw_breakpoints)
		debug.control |= KVM_GUESTDBG_USE_SW_BP;
	if (debug.control)
		debug.control |= KVM_GUESTDBG_ENABLE;
	return debug_apply(kvm_vcpu_of(base), &debug);
}

int kvm_inject_breakpoint(struct vcpu *base)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	struct kvm_guest_debug debug = vcpu->debug;

	debug.control |= KVM_GUESTDBG_INJECT_BP;
	return kvm_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug);
}

int kvm_translate_gva(struct vcpu *base, gva_t gva, gpa_t *ret)
{
	struct kvm_translation translation = { .linear_address = gva };

	int r = kvm_ioctl(kvm_vcpu_of(base)->fd, KVM_TRANSLATE, &translation);
	if (r < 0)
		return r;
	if (!translation.valid)
		return -EFAULT;
	*ret = translation.physical_address;
	return 0;
}
