/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMX on one CPU: turned on, its areas, its VPIDs, which VMCS is current.
 *
 * Theory of operation of VPIDs: as svm_cpu.c's of ASIDs. But what a CPU remembers of EPT is kept by EPT pointer, not by
 * VPID: so whoever gets a VPID (it is new here, comes from another CPU, or was flushed) has the translations of its EPT
 * pointer forgotten here, too.
 * Sources: Intel SDM 3C, Enabling and Entering VMX Operation; Discovering Support for VMX; Software Use of Virtual-Machine
 * Control Structures; Caching Translation Information; MSR-Bitmap Address.
 */
#include <errno.h>
#include <string.h>

#include "core/io.h"
#include "core/page.h"
#include "core/trap.h"
#include "hw/npt.h"
#include "vmx/vmx_private.h"
#include "x86/msr.h"

/* The TSC multiplier's binary digits, before the point and behind it. */
#define TSC_FACTOR_INTEGER  16U
#define TSC_FACTOR_FRACTION 48U

#define TURN_CPU_SHIFT 48U
#define VPID_LAST      UINT32_C(0xffff)

/* Parts of an MSR bitmap: reads of low and high MSRs, then writes. */
#define BITMAP_HIGH  0x400U
#define BITMAP_WRITE 0x800U

/* What the VMCS switches, and what is the guest's own while it is loaded. */
static const uint32_t msrs_free[] = {
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_STAR,	  MSR_LSTAR,
	MSR_CSTAR,	 MSR_SFMASK,	   MSR_FS_BASE,	     MSR_GS_BASE, MSR_KERNEL_GS_BASE,
};

static uint64_t cap_read(uint32_t msr)
{
	uint64_t value = 0; /* one that is not there allows nothing */

	(void)msr_read_safe(msr, &value);
	return value;
}

static int controls_find(struct vmx_controls *ret, struct err *err)
{
	const struct vmx_caps caps = {
		.basic = cap_read(MSR_VMX_BASIC),
		.misc = cap_read(MSR_VMX_MISC),
		.pin = cap_read(MSR_VMX_TRUE_PIN),
		.proc = cap_read(MSR_VMX_TRUE_PROC),
		.proc2 = cap_read(MSR_VMX_PROC2),
		.exit = cap_read(MSR_VMX_TRUE_EXIT),
		.entry = cap_read(MSR_VMX_TRUE_ENTRY),
		.ept_vpid = cap_read(MSR_VMX_EPT_VPID),
	};

	return vmx_controls_choose(&caps, ret, err);
}

static bool has_vmx(void)
{
	uint32_t regs[4];

	cpuid_read(1, 0, regs);
	return regs[2] >> 5 & 1;
}

int vmx_probe(struct hw_caps *ret, struct err *err)
{
	struct vmx_controls controls;
	uint32_t widths[4];

	if (!has_vmx())
		return err_say(err, ENODEV, "this CPU has no VT-x (VMX)");
	int r = vmx_feature_check(cap_read(MSR_FEATURE_CONTROL), err);
	if (r == 0)
		r = controls_find(&controls, err);
	if (r < 0)
		return r;
	cpuid_read(0x80000008, 0, widths);
	*ret = (struct hw_caps){
		.phys_bits = widths[0] & 0xff,
		.has_1g = controls.has_1g,
		.has_next_rip = true,
	};
	if (controls.has_tsc_scaling)
		ret->tsc = (struct tsc_factor_bits){ TSC_FACTOR_INTEGER, TSC_FACTOR_FRACTION };
	return 0;
}

static void bitmap_free(uint8_t *map, uint32_t index)
{
	uint32_t n = index & 0x1fff, at = (index >> 31 ? BITMAP_HIGH : 0) + n / 8;
	uint8_t keep = (uint8_t) ~(1U << n % 8);

	map[at] &= keep;
	map[at + BITMAP_WRITE] &= keep;
}

static int areas_create(struct vmx_cpu *c)
{
	c->vmxon = page_alloc(0);
	c->msr_bitmap = page_alloc(0);
	if (!c->vmxon || !c->msr_bitmap)
		return -ENOMEM;
	memcpy(c->vmxon, &c->revision, sizeof(c->revision));
	memset(c->msr_bitmap, 0xff, PAGE_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(msrs_free); i++)
		bitmap_free(c->msr_bitmap, msrs_free[i]);
	return 0;
}

/* Return: false: the CPU refused. */
static bool vmxon(const void *area)
{
	uint64_t hpa = ptr_to_phys(area);
	bool is_refused;

	__asm__ volatile("vmxon %1" : "=@ccbe"(is_refused) : "m"(hpa) : "memory");
	return !is_refused;
}

static int turn_on(struct vmx_cpu *c, struct err *err)
{
	uint64_t feature = cap_read(MSR_FEATURE_CONTROL);

	c->cr0_fixed = msr_read(MSR_VMX_CR0_FIXED0);
	c->cr4_fixed = msr_read(MSR_VMX_CR4_FIXED0);
	if (!(feature & FEATURE_LOCKED))
		(void)msr_write_safe(MSR_FEATURE_CONTROL, feature | FEATURE_LOCKED | FEATURE_VMX);
	__asm__ volatile("mov %%cr0, %0; mov %%cr4, %1" : "=r"(c->cr0), "=r"(c->cr4));
	c->cr0 |= c->cr0_fixed;
	c->cr4 |= c->cr4_fixed;
	__asm__ volatile("mov %0, %%cr0; mov %1, %%cr4" : : "r"(c->cr0), "r"(c->cr4) : "memory");
	c->cr3 = (uintptr_t)cr3_read();
	c->efer = msr_read(MSR_EFER);
	c->pat = msr_read(MSR_PAT);
	c->cr0_fixed &= ~(X86_CR0_PE | X86_CR0_PG); /* of an unrestricted guest */
	return vmxon(c->vmxon) ? 0 : err_say(err, EPERM, "VMXON is refused by this CPU");
}

static void cpu_fini(struct vmx_cpu *c)
{
	page_free(c->vmxon, 0);
	page_free(c->msr_bitmap, 0);
	page_free(c, 0);
}

int vmx_cpu_init(struct err *err)
{
	struct hw_caps caps;
	int r = vmx_probe(&caps, err);

	if (r < 0)
		return r;
	struct vmx_cpu *c = page_alloc(0);
	if (!c)
		return err_say(err, ENOMEM, "no memory for VMX");
	c->revision = (uint32_t)(cap_read(MSR_VMX_BASIC) & VMX_BASIC_REVISION);
	c->last_exit = &cpu_this()->last_exit;
	c->turn = (uint64_t)(cpu_this()->index + 1) << TURN_CPU_SHIFT;
	c->next_vpid = VPID_LAST + 1; /* so the first turn begins with a flush, too */
	hw_fpu_enable();
	r = areas_create(c) < 0 ? err_say(err, ENOMEM, "no memory for VMX")
				: controls_find(&c->controls, err);
	if (r == 0)
		r = turn_on(c, err);
	if (r < 0) {
		cpu_fini(c);
		return r;
	}
	cpu_this()->hw = c;
	return 0;
}

/* The page is ours and has the CPU's revision: neither of these can fail. */
void vmx_vmcs_clear(struct vmx_vcpu *v)
{
	uint64_t hpa = ptr_to_phys(v->vmcs);

	__asm__ volatile("vmclear %0" : : "m"(hpa) : "cc", "memory");
	v->launch.launched = 0;
}

void vmx_vmcs_load(struct vmx_vcpu *v)
{
	uint64_t hpa = ptr_to_phys(v->vmcs);

	__asm__ volatile("vmptrld %0" : : "m"(hpa) : "cc", "memory");
	vmx_cpu_of()->current = v;
}

struct vmx_vcpu *vmx_open(const struct vmx_vcpu *v)
{
	struct vmx_vcpu *former = vmx_cpu_of()->current;

	if (former != v)
		vmx_vmcs_load(
			(struct vmx_vcpu *)(uintptr_t)v); /* what is in its VMCS is not in *v */
	return former;
}

void vmx_close(const struct vmx_vcpu *v, struct vmx_vcpu *former)
{
	if (former == v)
		return;
	vmx_vmcs_clear((struct vmx_vcpu *)(uintptr_t)v);
	vmx_cpu_of()->current = NULL;
	if (former)
		vmx_vmcs_load(former);
}

struct vmx_invalidate {
	uint64_t first, second; /* of INVEPT: the EPT pointer; of INVVPID: the VPID, an address */
};

static void invept(const struct vmx_cpu *c, uint64_t eptp)
{
	struct vmx_invalidate what = { c->controls.invept_single ? eptp : 0, 0 };
	uint64_t type = c->controls.invept_single ? VMX_INVEPT_SINGLE : VMX_INVEPT_ALL;

	__asm__ volatile("invept %0, %1" : : "m"(what), "r"(type) : "cc", "memory");
}

static void invvpid_all(void)
{
	struct vmx_invalidate what = { 0, 0 };

	__asm__ volatile("invvpid %0, %1" : : "m"(what), "r"(VMX_INVVPID_ALL) : "cc", "memory");
}

void vmx_vpid_give(struct vmx_vcpu *v)
{
	struct vmx_cpu *c = vmx_cpu_of();

	if (c->next_vpid > VPID_LAST) {
		c->next_vpid = 1; /* 0 is the host's */
		c->turn++;
		invvpid_all();
	}
	vmcs_write(VMCS_VPID, c->next_vpid++);
	v->vpid_turn = c->turn;
	invept(c, npt_root_hpa(v->vm->npt) | VMX_EPTP_WB_4_LEVELS);
}

void vmx_host_write(struct vmx_vcpu *v)
{
	const struct vmx_cpu *c = vmx_cpu_of();
	const struct cpu *cpu = cpu_this();
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	vmcs_write(VMCS_HOST_CR0, c->cr0);
	vmcs_write(VMCS_HOST_CR3, c->cr3);
	vmcs_write(VMCS_HOST_CR4, c->cr4);
	vmcs_write(VMCS_HOST_EFER, c->efer);
	vmcs_write(VMCS_HOST_PAT, c->pat);
	vmcs_write(VMCS_HOST_CS, CPU_CODE_SELECTOR);
	for (unsigned field = VMCS_HOST_SS; field <= VMCS_HOST_DS; field += 2)
		vmcs_write((enum vmcs_field)field, CPU_DATA_SELECTOR);
	vmcs_write(VMCS_HOST_ES, CPU_DATA_SELECTOR);
	vmcs_write(VMCS_HOST_FS, 0);
	vmcs_write(VMCS_HOST_GS, 0);
	vmcs_write(VMCS_HOST_TR, CPU_TSS_SELECTOR);
	vmcs_write(VMCS_HOST_BASE_FS, 0);
	vmcs_write(VMCS_HOST_BASE_GS, (uintptr_t)cpu);
	vmcs_write(VMCS_HOST_BASE_TR, (uintptr_t)&cpu->tss);
	vmcs_write(VMCS_HOST_BASE_GDTR, (uintptr_t)cpu->gdt);
	vmcs_write(VMCS_HOST_BASE_IDTR, idtr.base);
	vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
	vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
	vmcs_write(VMCS_HOST_RIP, (uintptr_t)vmx_exit_point);
	v->host = c;
}
