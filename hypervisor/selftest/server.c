/* SPDX-License-Identifier: Apache-2.0 */
/* What the server is: its CPU and what that has for guests, memory, clocks, disks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "boot/memory.h"
#include "core/clock.h"
#include "core/hv.h"
#include "core/io.h"
#include "core/map.h"
#include "core/page.h"
#include "core/percpu.h"
#include "core/trap.h"
#include "drivers/disks.h"
#include "drivers/iommu.h"
#include "selftest/judge.h"
#include "selftest/selftest.h"
#include "vm/vcpu.h"
#include "vmx/vmx_caps.h"

#define MSR_MICROCODE 0x8bU
#define VENDOR_INTEL  0x756e6547U /* "Genu" */
#define ADDRESS_BITS  46U	  /* what is mapped where it is */
#define LIST_BYTES    320U
#define READ_ORDER    8U /* 1 MiB */
#define READ_PLACES   16U
#define MIB_SHIFT     20U
#define HPET_BYTES    1024U
#define KHZ	      1000U
#define HIGH	      32U /* controls that may be set are a capability's upper half */

struct feature_set {
	const char *name;
	const struct judge_feature *features;
	size_t n;
};

/* AMD APM 3, CPUID Fn8000_000A_EDX, SVM Feature Identification. */
static const struct judge_feature svm_features[] = {
	{ 0, "nested paging" },
	{ 1, "LBR virtualization" },
	{ 3, "next RIP" },
	{ 4, "TSC scaling" },
	{ 5, "VMCB clean bits" },
	{ 6, "flush by ASID" },
	{ 7, "decode assists" },
	{ 10, "pause filter" },
	{ 12, "pause filter threshold" },
	{ 13, "AVIC" },
	{ 15, "virtual VMLOAD and VMSAVE" },
	{ 16, "virtual GIF" },
	{ 17, "guest mode execute trap" },
	{ 18, "x2AVIC" },
	{ 25, "virtual NMIs" },
};
/* Intel SDM 3C, Definitions of Pin-Based, Primary and Secondary Processor-Based VM-Execution Controls. */
static const struct judge_feature vmx_pin[] = {
	{ 5, "virtual NMIs" },
	{ 6, "preemption timer" },
	{ 7, "posted interrupts" },
};
static const struct judge_feature vmx_proc[] = {
	{ 21, "TPR shadow" },
	{ 27, "monitor trap flag" },
	{ 28, "MSR bitmaps" },
};
static const struct judge_feature vmx_proc2[] = {
	{ 1, "EPT" },
	{ 3, "RDTSCP" },
	{ 4, "virtual x2APIC" },
	{ 5, "VPID" },
	{ 7, "unrestricted guest" },
	{ 8, "APIC registers (APICv)" },
	{ 9, "interrupt delivery (APICv)" },
	{ 10, "PAUSE-loop exiting" },
	{ 12, "INVPCID" },
	{ 14, "VMCS shadowing" },
	{ 17, "page-modification log" },
	{ 20, "XSAVES" },
	{ 22, "EPT execute by mode" },
	{ 25, "TSC scaling" },
};
/* Intel SDM 3D, appendix A, VPID and EPT Capabilities. */
static const struct judge_feature vmx_ept[] = {
	{ 7, "EPT of 5 levels" },	  { 16, "EPT 2 MiB" },	   { 17, "EPT 1 GiB" },
	{ 21, "EPT accessed and dirty" }, { 25, "INVEPT of one" }, { 40, "INVVPID of an address" },
	{ 41, "INVVPID of one" },
};
/* Intel SDM 2A, CPUID; AMD APM 3: of leaf 1, ECX; 8000_0007, EDX; 8000_0001, EDX. */
static const struct judge_feature leaf1_features[] = {
	{ 21, "x2APIC" },
	{ 24, "TSC deadline" },
	{ 26, "XSAVE" },
};
static const struct judge_feature power_features[] = { { 8, "invariant TSC" } };
static const struct judge_feature amd_features[] = { { 26, "pages of 1 GiB" }, { 27, "RDTSCP" } };

#define SET(name, list) (&(const struct feature_set){ name, list, ARRAY_SIZE(list) })

/* What it has, a note; what it has not is counted. */
static void features_say(const struct feature_set *set, uint64_t value)
{
	char text[LIST_BYTES];

	if (judge_features(value, set->features, set->n, true, text, sizeof(text)))
		self_test_note("%s: %s", set->name, text);
	unsigned missing = judge_features(value, set->features, set->n, false, text, sizeof(text));
	if (!missing)
		return;
	self_test_absent("%s: %s", set->name, text);
	self_test_add(0, 0, missing - 1);
}

static uint64_t msr_or_0(uint32_t msr)
{
	uint64_t value = 0;

	(void)msr_read_safe(msr, &value);
	return value;
}

/* Intel SDM 3A, Microcode Update Facilities: 0 is written, then CPUID, then it is read; AMD's is just read. */
static void microcode_latch(void)
{
	uint32_t regs[4];

	cpuid_read(0, 0, regs);
	if (regs[1] == VENDOR_INTEL)
		(void)msr_write_safe(MSR_MICROCODE, 0);
	cpuid_read(1, 0, regs);
}

static void cpu_name(void)
{
	char brand[CPU_BRAND_BYTES];
	const char *name = brand;
	uint32_t regs[4];

	(void)cpu_brand(brand);
	while (*name == ' ')
		name++;
	cpuid_read(1, 0, regs);
	microcode_latch();
	self_test_note("CPU: %s, signature 0x%x, microcode 0x%lx", *name ? name : "without a name",
		       regs[0], (unsigned long)msr_or_0(MSR_MICROCODE));
}

static void cpu_features(void)
{
	uint32_t regs[4], most[4];

	cpuid_read(1, 0, regs);
	features_say(SET("CPU", leaf1_features), regs[2]);
	if (regs[2] >> 31)
		self_test_note("CPU: it is a virtual one");
	cpuid_read(UINT32_C(0x80000000), 0, most);
	if (most[0] >= UINT32_C(0x80000007)) {
		cpuid_read(UINT32_C(0x80000001), 0, regs);
		features_say(SET("CPU", amd_features), regs[3]);
		cpuid_read(UINT32_C(0x80000007), 0, regs);
		features_say(SET("CPU", power_features), regs[3]);
	}
}

static void svm_say(void)
{
	uint32_t regs[4];

	cpuid_read(UINT32_C(0x8000000a), 0, regs);
	self_test_note("SVM: revision %u, %u ASIDs", regs[0] & 0xff, regs[1]);
	features_say(SET("SVM", svm_features), regs[3]);
}

static void vmx_say(void)
{
	self_test_note("VMX: revision 0x%lx",
		       (unsigned long)(msr_or_0(MSR_VMX_BASIC) & VMX_BASIC_REVISION));
	features_say(SET("VMX", vmx_pin), msr_or_0(MSR_VMX_TRUE_PIN) >> HIGH);
	features_say(SET("VMX", vmx_proc), msr_or_0(MSR_VMX_TRUE_PROC) >> HIGH);
	features_say(SET("VMX", vmx_proc2), msr_or_0(MSR_VMX_PROC2) >> HIGH);
	features_say(SET("VMX", vmx_ept), msr_or_0(MSR_VMX_EPT_VPID));
}

static void virtualization(void)
{
	struct hw_caps caps;
	struct err err = { 0 };
	const struct hw_ops *ops = hv_back_end(&caps, &err);

	if (!ops) {
		self_test_fail("guests: %s", err.text);
		return;
	}
	self_test_pass("guests: %s, addresses of %u bits", ops->name, caps.phys_bits);
	if (strcmp(ops->name, "svm") == 0)
		svm_say();
	else
		vmx_say();
}

static void cpus(const struct firmware *firmware)
{
	unsigned listed = firmware->n_cpus ? firmware->n_cpus : 1;

	if (!firmware->has_acpi)
		self_test_absent("ACPI tables");
	if (cpu_count() == listed)
		self_test_pass("CPUs: %u of %u started", cpu_count(), listed);
	else
		self_test_fail("CPUs: %u of %u started", cpu_count(), listed);
	if (firmware->has_iommu)
		self_test_note("IOMMU: there, %u units on", iommu_units());
	else
		self_test_absent("IOMMU");
}

static void memory(const struct boot_info *info)
{
	self_test_note("memory: %lu MiB, %lu MiB free, %u ranges in the loader's map",
		       (unsigned long)(boot_ram_bytes(info) >> MIB_SHIFT),
		       (unsigned long)(page_free_bytes() >> MIB_SHIFT), info->n_ranges);
	if (info->is_cut)
		self_test_fail("memory: the loader told more than fits");
}

static void clock_by(const char *name, enum clock_reference reference, uint64_t at)
{
	uint64_t hz = at || reference == CLOCK_PIT ? clock_measure(reference, at) : 0;

	if (!hz)
		self_test_absent("clock: %s", name);
	else if (judge_rates_agree(clock_tsc_hz(), hz))
		self_test_pass("clock: TSC by the %s: %lu kHz", name, (unsigned long)(hz / KHZ));
	else
		self_test_fail("clock: TSC by the %s: %lu kHz, not %lu", name,
			       (unsigned long)(hz / KHZ), (unsigned long)(clock_tsc_hz() / KHZ));
}

static void clocks(const struct firmware *firmware)
{
	uint64_t hpet = firmware->hpet;

	self_test_note("clock: TSC of %lu kHz, as measured at the start",
		       (unsigned long)(clock_tsc_hz() / KHZ));
	if (hpet && (hpet >> ADDRESS_BITS || !map_range(hpet, HPET_BYTES)))
		hpet = 0;
	clock_by("PIT", CLOCK_PIT, 0);
	clock_by("PM timer", CLOCK_PM_TIMER, firmware->pm_timer);
	clock_by("HPET", CLOCK_HPET, hpet);
}

/* Twice, in transfers of different lengths: what is read is the same. */
static int read_place(struct disk *disk, uint64_t at, uint64_t len, uint8_t *a, uint8_t *b)
{
	uint64_t step = disk->block_bytes > 4096 ? disk->block_bytes : 4096;
	int r = host_disk_sync(disk, DISK_READ, at, a, len);

	for (uint64_t done = 0; r == 0 && done < len; done += step) {
		uint64_t n = len - done < step ? len - done : step;
		r = host_disk_sync(disk, DISK_READ, at + done, b + done, n);
	}
	return r < 0 ? r : memcmp(a, b, len) ? -EILSEQ : 0;
}

/* The first and the last MiB, and more between them. */
static void disk_read(struct disk *disk, const char *name, uint8_t *a, uint8_t *b)
{
	uint64_t most = PAGE_BYTES << READ_ORDER, unit = disk->block_bytes;
	uint64_t len = disk->size_bytes < most ? disk->size_bytes / unit * unit : most;
	uint64_t start = clock_ns(), last = disk->size_bytes - len;
	int r = len ? 0 : -ENODATA;

	for (uint64_t i = 0; r == 0 && i < READ_PLACES; i++) {
		uint64_t at = i + 1 == READ_PLACES ? last : last / (READ_PLACES - 1) * i;
		r = read_place(disk, at / unit * unit, len, a, b);
	}
	uint64_t us = (clock_ns() - start) / 1000;
	if (r < 0)
		self_test_fail("disk %s: reading: error %d", name, -r);
	else
		self_test_pass("disk %s: %u pieces of %lu KiB read twice in %lu us", name,
			       READ_PLACES, (unsigned long)(len >> 10), (unsigned long)us);
}

static void disks_say(void)
{
	uint8_t *a = page_alloc(READ_ORDER), *b = page_alloc(READ_ORDER);
	struct channel_disk d = { .number = 0 };
	unsigned n = 0;

	while (disks_next(d.number, &d)) {
		bool is_part = d.flags & CHANNEL_DISK_PARTITION;
		struct disk *disk = disk_find(d.name);
		self_test_note("%s %s: %lu MiB%s%s", is_part ? "  partition" : "disk", d.name,
			       (unsigned long)(d.size_bytes >> MIB_SHIFT), is_part ? ", " : "",
			       d.label);
		if (!is_part && a && b && disk)
			disk_read(disk, d.name, a, b);
		n++;
	}
	if (!n)
		self_test_absent("disks");
	if (!a || !b)
		self_test_fail("disks: no memory");
	page_free(a, READ_ORDER);
	page_free(b, READ_ORDER);
}

bool hv_self_test_asked(const struct boot_info *info)
{
	char value[8];

	return boot_info_word(info, "self-test", value, sizeof(value));
}

void hv_self_test_server(const struct boot_info *info, const struct firmware *firmware)
{
	char value[8];

	if (boot_info_word(info, "self-test", value, sizeof(value)) && !strcmp(value, "off"))
		self_test_is_off(firmware);
	self_test_note("Strata " STRATA_VERSION ", bare metal, by %s; nothing is written to a disk",
		       info->protocol);
	cpu_name();
	cpu_features();
	virtualization();
	cpus(firmware);
	memory(info);
	clocks(firmware);
	disks_say();
}
