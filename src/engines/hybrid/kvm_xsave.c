/* SPDX-License-Identifier: Apache-2.0 */
#include "engines/hybrid/private.h"

#include <errno.h>
#include <string.h>

/* Linux before 5.17 has no KVM_CAP_XSAVE2, and no image that is larger. */
static size_t xsave_bytes(const struct kvm_vcpu *vcpu)
{
	unsigned n = kvm_cap(vcpu->vm->fd, KVM_CAP_XSAVE2);

	return n > sizeof(struct kvm_xsave) ? n : sizeof(struct kvm_xsave);
}

static bool has_xsave2(const struct kvm_vcpu *vcpu)
{
	return kvm_cap(vcpu->vm->fd, KVM_CAP_XSAVE2) != 0;
}

int kvm_xsave_get(struct vcpu *base, uint64_t *ret_xcr0, void *ret, size_t *n)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	struct kvm_xcrs xcrs;
	size_t room = *n;

	*n = xsave_bytes(vcpu);
	if (room < *n)
		return -E2BIG;
	int r = kvm_ioctl(vcpu->fd, KVM_GET_XCRS, &xcrs);
	if (r == 0)
		r = kvm_ioctl(vcpu->fd, has_xsave2(vcpu) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, ret);
	if (r < 0)
		return r;
	*ret_xcr0 = 1; /* the x87 bit, which is always set */
	for (uint32_t i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++) {
		if (xcrs.xcrs[i].xcr == 0)
			*ret_xcr0 = xcrs.xcrs[i].value;
	}
	return 0;
}

int kvm_xsave_set(struct vcpu *base, uint64_t xcr0, const void *image, size_t n)
{
	struct kvm_vcpu *vcpu = kvm_vcpu_of(base);
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0] = { .xcr = 0, .value = xcr0 } };

	if (n < xsave_bytes(vcpu))
		return -EINVAL; /* KVM would read past its end */
	int r = kvm_ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs);
	if (r < 0)
		return r;
	return kvm_ioctl(vcpu->fd, KVM_SET_XSAVE, (void *)(uintptr_t)image);
}
