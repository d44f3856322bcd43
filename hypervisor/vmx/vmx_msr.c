/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's MSRs that the hardware has: in the VMCS, or in the CPU while the vcpu is loaded. Source: Intel SDM 4. */
#include <errno.h>

#include "core/io.h"
#include "vmx/vmx_private.h"
#include "x86/msr.h"

static const uint32_t numbers[VMX_MSRS] = {
	[VMX_MSR_STAR] = MSR_STAR,
	[VMX_MSR_LSTAR] = MSR_LSTAR,
	[VMX_MSR_CSTAR] = MSR_CSTAR,
	[VMX_MSR_SFMASK] = MSR_SFMASK,
	[VMX_MSR_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
};

void vmx_msrs_load(const struct vmx_vcpu *v)
{
	for (unsigned i = 0; i < VMX_MSRS; i++)
		msr_write(numbers[i], v->msrs[i]);
}

void vmx_msrs_unload(struct vmx_vcpu *v)
{
	for (unsigned i = 0; i < VMX_MSRS; i++)
		v->msrs[i] = msr_read(numbers[i]);
}

/* Return: false: not one that the VMCS has. */
static bool field_of(uint32_t index, enum vmcs_field *ret)
{
	static const struct {
		uint32_t index;
		enum vmcs_field field;
	} fields[] = {
		{ MSR_SYSENTER_CS, VMCS_GUEST_SYSENTER_CS },
		{ MSR_SYSENTER_ESP, VMCS_GUEST_SYSENTER_ESP },
		{ MSR_SYSENTER_EIP, VMCS_GUEST_SYSENTER_EIP },
		{ MSR_DEBUGCTL, VMCS_GUEST_DEBUGCTL },
		{ MSR_PAT, VMCS_GUEST_PAT },
		{ MSR_EFER, VMCS_GUEST_EFER },
		{ MSR_FS_BASE, VMCS_GUEST_BASE_FS },
		{ MSR_GS_BASE, VMCS_GUEST_BASE_GS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].index == index) {
			*ret = fields[i].field;
			return true;
		}
	}
	return false;
}

/* Where one of vmx_msr is, while its vcpu is not loaded; VMX_MSRS: not one of these. */
static unsigned kept_at(uint32_t index)
{
	unsigned i = 0;

	while (i < VMX_MSRS && numbers[i] != index)
		i++;
	return i;
}

int vmx_msr_get(const struct hw_vcpu *hw, uint32_t index, uint64_t *ret)
{
	const struct vmx_vcpu *v = vmx_vcpu_of_const(hw);
	unsigned at = kept_at(index);
	enum vmcs_field field;

	if (at < VMX_MSRS) {
		*ret = v->is_loaded ? msr_read(index) : v->msrs[at];
	} else if (index == MSR_TSC_AUX) {
		*ret = v->fpu.tsc_aux;
	} else if (field_of(index, &field)) {
		struct vmx_vcpu *former = vmx_open(v);
		*ret = vmcs_read(field);
		vmx_close(v, former);
	} else {
		return -ENOENT;
	}
	return 0;
}

int vmx_msr_set(struct hw_vcpu *hw, uint32_t index, uint64_t value)
{
	struct vmx_vcpu *v = vmx_vcpu_of(hw);
	unsigned at = kept_at(index);
	enum vmcs_field field;

	if (at < VMX_MSRS) {
		v->msrs[at] = value;
		if (v->is_loaded)
			msr_write(index, value);
	} else if (index == MSR_TSC_AUX) {
		v->fpu.tsc_aux = value;
		if (v->is_loaded)
			hw_tsc_aux_write(value);
	} else if (field_of(index, &field)) {
		struct vmx_vcpu *former = vmx_open(v);
		vmcs_write(field, value);
		vmx_close(v, former);
	} else {
		return -ENOENT;
	}
	return 0;
}
