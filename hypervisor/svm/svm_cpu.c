/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SVM on one CPU: turned on, its areas, its ASIDs.
 *
 * Theory of operation of ASIDs. A CPU numbers the vcpus that it meets; one that comes back finds its translations still
 * there. When the numbers are used up, all of the CPU's translations are flushed and numbering begins anew: a turn. A
 * vcpu whose turn or CPU is another than the current one gets a new number. To flush one vcpu is to take its number away.
 * Sources: AMD APM 2, Enabling SVM; TLB Control; MSRs C001_0114 VM_CR and C001_0117 VM_HSAVE_PA; CPUID Fn8000_000A.
 */
#include <errno.h>
#include <string.h>

#include "core/io.h"
#include "core/page.h"
#include "core/trap.h"
#include "svm/svm_private.h"
#include "x86/msr.h"

#define MSR_VM_HSAVE_PA 0xc0010117U
#define MSR_TSC_RATE	0xc0000104U
#define EFER_SVME	UINT64_C(0x1000)
#define VM_CR_SVMDIS	UINT64_C(0x10)

#define CPUID_SVM_LEAF	   0x8000000aU
#define SVM_NESTED_PAGING  UINT32_C(0x1)
#define SVM_NEXT_RIP	   UINT32_C(0x8)
#define SVM_TSC_RATE	   UINT32_C(0x10)
#define SVM_DECODE_ASSISTS UINT32_C(0x80)

/* The MSR's factor: 8 binary digits before the point, 32 behind it. */
#define TSC_RATE_INTEGER  8U
#define TSC_RATE_FRACTION 32U
#define TSC_RATE_ONE	  (UINT64_C(1) << TSC_RATE_FRACTION)

#define TURN_CPU_SHIFT 48U

#define IOPM_ORDER     2U /* 12 KiB: AMD APM 2, I/O Permissions Map */
#define MSRPM_ORDER    1U /* 8 KiB: AMD APM 2, MSR Intercepts */
#define MSRPM_BYTES    8192U
#define MSRPM_C0000000 0x800U /* where MSRs from C000_0000 on begin; two bits each */

/* What VMRUN, VMLOAD and VMSAVE switch, and what is harmless to read. */
static const uint32_t msrs_free[] = {
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_STAR,	  MSR_LSTAR,
	MSR_CSTAR,	 MSR_SFMASK,	   MSR_FS_BASE,	     MSR_GS_BASE, MSR_KERNEL_GS_BASE,
};

static bool has_svm(void)
{
	uint32_t regs[4];

	cpuid_read(0x80000000, 0, regs);
	if (regs[0] < CPUID_SVM_LEAF)
		return false;
	cpuid_read(0x80000001, 0, regs);
	return regs[2] >> 2 & 1;
}

int svm_probe(struct hw_caps *ret, struct err *err)
{
	uint32_t svm[4], widths[4], features[4];
	uint64_t vm_cr = 0;

	if (!has_svm())
		return err_say(err, ENODEV, "this CPU has no AMD-V (SVM)");
	if (msr_read_safe(MSR_VM_CR, &vm_cr) && vm_cr & VM_CR_SVMDIS)
		return err_say(err, EPERM,
			       "AMD-V (SVM) is turned off by the firmware: turn it on there");
	cpuid_read(CPUID_SVM_LEAF, 0, svm);
	if (!(svm[3] & SVM_NESTED_PAGING))
		return err_say(err, ENOTSUP, "this CPU's SVM has no nested paging");
	cpuid_read(0x80000008, 0, widths);
	cpuid_read(0x80000001, 0, features);
	*ret = (struct hw_caps){
		.phys_bits = widths[0] & 0xff,
		.has_1g = features[3] >> 26 & 1,
		.has_next_rip = svm[3] & SVM_NEXT_RIP,
		.has_assists = svm[3] & SVM_DECODE_ASSISTS,
	};
	if (svm[3] & SVM_TSC_RATE)
		ret->tsc = (struct tsc_factor_bits){ TSC_RATE_INTEGER, TSC_RATE_FRACTION };
	return 0;
}

/* Bits 2n and 2n + 1 of an MSR: its reads and writes exit. */
static void msrpm_free(uint8_t *map, uint32_t index)
{
	uint32_t n = index >= 0xc0000000 ? index - 0xc0000000 + MSRPM_C0000000 * 4 : index;

	map[n / 4] &= (uint8_t) ~(3U << (n % 4 * 2));
}

static int maps_create(struct svm_cpu *c)
{
	c->iopm = page_alloc(IOPM_ORDER);
	c->msrpm = page_alloc(MSRPM_ORDER);
	if (!c->iopm || !c->msrpm)
		return -ENOMEM;
	memset(c->iopm, 0xff, PAGE_BYTES << IOPM_ORDER);
	memset(c->msrpm, 0xff, MSRPM_BYTES);
	for (size_t i = 0; i < ARRAY_SIZE(msrs_free); i++)
		msrpm_free(c->msrpm, msrs_free[i]);
	return 0;
}

static void vmsave(void *area)
{
	__asm__ volatile("vmsave %%rax" : : "a"(ptr_to_phys(area)) : "memory");
}

static void cpu_fini(struct svm_cpu *c)
{
	page_free(c->hsave, 0);
	page_free(c->host_save, 0);
	page_free(c->iopm, IOPM_ORDER);
	page_free(c->msrpm, MSRPM_ORDER);
	page_free(c, 0);
}

int svm_cpu_init(struct err *err)
{
	struct hw_caps caps;
	uint32_t svm[4];
	int r = svm_probe(&caps, err);

	if (r < 0)
		return r;
	struct svm_cpu *c = page_alloc(0);
	if (!c)
		return err_say(err, ENOMEM, "no memory for SVM");
	c->hsave = page_alloc(0);
	c->host_save = page_alloc(0);
	if (!c->hsave || !c->host_save || maps_create(c) < 0) {
		cpu_fini(c);
		return err_say(err, ENOMEM, "no memory for SVM");
	}
	cpuid_read(CPUID_SVM_LEAF, 0, svm);
	c->last_exit = &cpu_this()->last_exit;
	c->turn = (uint64_t)(cpu_this()->index + 1) << TURN_CPU_SHIFT;
	c->n_asids = svm[1] > 1 ? svm[1] : 2; /* 0 is the host's */
	c->next_asid = c->n_asids;
	msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SVME);
	msr_write(MSR_VM_HSAVE_PA, ptr_to_phys(c->hsave));
	c->tsc_rate = TSC_RATE_ONE;
	if (caps.tsc.fraction)
		msr_write(MSR_TSC_RATE, TSC_RATE_ONE); /* whatever was there before us */
	hw_fpu_enable();
	vmsave(c->host_save);
	cpu_this()->hw = c;
	return 0;
}

const void *svm_iopm(void)
{
	return svm_cpu_of()->iopm;
}

const void *svm_msrpm(void)
{
	return svm_cpu_of()->msrpm;
}

/* What a guest reads is multiplied by it, what the hypervisor reads is not. A CPU without it is asked for no other than 1. */
void svm_tsc_rate_load(const struct svm_vcpu *v)
{
	struct svm_cpu *c = svm_cpu_of();
	uint64_t rate = v->vm->tsc_scale.factor ? v->vm->tsc_scale.factor : TSC_RATE_ONE;

	if (rate != c->tsc_rate)
		msr_write(MSR_TSC_RATE, rate);
	c->tsc_rate = rate;
}

void svm_asid_give(struct svm_vcpu *v)
{
	struct svm_cpu *c = svm_cpu_of();

	if (c->next_asid == c->n_asids) { /* so the first turn begins with a flush, too */
		c->next_asid = 1;
		c->turn++;
		v->vmcb->tlb_control = VMCB_TLB_FLUSH_ALL;
	}
	v->vmcb->asid = c->next_asid++;
	v->asid_turn = c->turn;
}

void svm_asid_lost(struct svm_vcpu *v)
{
	svm_cpu_of()->next_asid = svm_cpu_of()->n_asids;
	v->asid_turn = 0;
}
