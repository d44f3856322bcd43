/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/cpuid.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "machine/cpuid_priv.h"

#define EXT UINT32_C(0x80000000)

/* Leaves that may be shown; all others are not. Those of cpuid_topology() are made new. */
static const struct {
	uint32_t first, last;
} cpuid_shown[] = {
	{ 0x0, 0x2 },
	{ 0x4, 0x4 },
	{ 0x6, 0x7 },
	{ 0xb, 0xb },
	{ 0xd, 0xd },
	{ 0x15, 0x16 }, /* TSC and bus frequencies */
	{ 0x1d, 0x1f }, /* tiles of AMX; topology, version 2 */
	{ EXT, EXT + 0x8 },
	{ EXT + 0xa, EXT + 0xa }, /* SVM */
	{ EXT + 0x19, EXT + 0x1a },
	{ EXT + 0x1d, EXT + 0x1e },
	{ EXT + 0x21, EXT + 0x21 },
};

/* Feature bits whose hardware the machine does not have, or that the engine sets itself as the guest runs. */
static const char *const cpuid_absent[] = {
	/* waiting for a store: leaf 5 */
	"monitor", "mwaitx",
	/* performance counters, debug store, last branches, trace: leaves 0xa, 0x14, 0x1c, 0x8000001b, 0x80000022 */
	"dtes64", "ds_cpl", "dts", "pdcm", "arch_lbr", "intel_pt", "ibs", "lwp", "perfctr_core",
	"perfctr_nb", "perfctr_llc", "ptsc",
	/* thermal and power control: leaf 6 */
	"est", "tm2", "tm", "acpi", "pbe",
	/* enclaves, measured launch, memory encryption, resource control, dead extensions */
	"sgx", "sgx_lc", "smx", "skinit", "tme", "pconfig", "keylocker", "cqm", "rdt_a", "mpx",
	/* hardware around the CPU */
	"sdbg", "xtpr", "dca", "extapic", "wdt", "nodeid_msr", "enqcmd", "hybrid_cpu",
	/* names its vector lengths in leaf 0x24, which is not shown; the AVX-512 flags say the same */
	"avx10",
	/* mirrors of CR4, kept by whoever runs the guest */
	"osxsave", "ospke", NULL
};

/* What a 64-bit kernel starts with (Linux arch/x86/include/asm/required-features.h, and the System V ABI). */
static const char *const cpuid_needed[] = { "fpu",  "tsc",  "msr", "pae",  "cx8", "apic",    "pge",
					    "cmov", "fxsr", "sse", "sse2", "lm",  "syscall", NULL };

void list_set(struct cpuid_list *list, struct cpuid_leaf leaf)
{
	struct cpuid_leaf *there = NULL;

	for (unsigned i = 0; i < list->n && !there; i++) {
		struct cpuid_leaf *l = &list->leaves[i];
		if (l->function == leaf.function && (!leaf.indexed || l->index == leaf.index))
			there = l;
	}
	if (there)
		*there = leaf;
	else if (list->n < CPUID_LEAVES_MAX)
		list->leaves[list->n++] = leaf;
	else
		list->full = true;
}

void list_drop(struct cpuid_list *list, uint32_t function)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < list->n; i++) {
		if (list->leaves[i].function != function)
			list->leaves[kept++] = list->leaves[i];
	}
	list->n = kept;
}

static bool is_shown(uint32_t function)
{
	for (size_t i = 0; i < ARRAY_SIZE(cpuid_shown); i++) {
		if (function >= cpuid_shown[i].first && function <= cpuid_shown[i].last)
			return true;
	}
	return false;
}

static void model_copy(const struct cpuid_leaf *supported, unsigned n, struct cpuid_list *list)
{
	for (unsigned i = 0; i < n; i++) {
		if (is_shown(supported[i].function))
			list_set(list, supported[i]);
	}
}

static int model_check(struct cpuid_list *list, struct err *err)
{
	for (const char *const *name = cpuid_needed; *name; name++) {
		if (!cpuid_has(list->leaves, list->n, *name))
			return err_say(
				err, ENOTSUP,
				"CPU model: this engine has no CPU feature \"%s\", which every 64-bit guest needs",
				*name);
	}
	return 0;
}

static void clear_unless(struct cpuid_list *list, bool wanted, const char *name)
{
	if (!wanted)
		cpuid_clear(list->leaves, list->n, (const char *const[]){ name, NULL });
}

static void model_features(const struct cpuid_config *config, struct cpuid_list *list)
{
	struct cpuid_leaf *leaf = list_find(list, CPUID_FEATURES, 0);

	if (leaf)
		leaf->ecx |= UINT32_C(1) << 31; /* hypervisor present */
	cpuid_clear(list->leaves, list->n, cpuid_absent);
	clear_unless(list, config->x2apic, "x2apic");
	clear_unless(list, config->tsc_deadline, "tsc_deadline_timer");
	clear_unless(list, config->nested, "vmx");
	clear_unless(list, config->nested, "svm");
	if (!cpuid_has(list->leaves, list->n, "svm"))
		list_drop(list, CPUID_SVM);

	leaf = list_find(list, 0x6, 0);
	if (leaf) /* of power and heat, only that the LAPIC's timer never stops (ARAT) */
		*leaf = (struct cpuid_leaf){ .function = 0x6, .eax = leaf->eax & 0x4 };
	leaf = list_find(list, 0x7, 0);
	if (leaf)
		leaf->ecx &= ~(UINT32_C(0x1f) << 17); /* MAWAU: MPX's */
	leaf = list_find(list, EXT + 7, 0);
	if (leaf) /* of power management, only the invariant TSC */
		*leaf = (struct cpuid_leaf){ .function = EXT + 7, .edx = leaf->edx & 0x100 };
}

/* KVM's paravirtual features that need nothing from the VMM, and those that need KVM's own LAPIC. */
enum kvm_feature {
	KVM_PLAIN = 1 << 0 /* clock */ | 1 << 1 /* no I/O delay */ | 1 << 3 /* clock, new MSRs */ |
		    1 << 5 /* steal time */ | 1 << 9 /* TLB flush */ | 1 << 12 /* polling */ |
		    1 << 24 /* clock is stable */,
	KVM_WITH_LAPIC = 1 << 4 /* asynchronous page faults */ | 1 << 6 /* EOI */ |
			 1 << 7 /* unhalt */ | 1 << 11 /* IPIs */ | 1 << 13 /* yield */ |
			 1 << 14 /* asynchronous page faults by interrupt */,
};

static struct cpuid_leaf signature(uint32_t last, const char text[12])
{
	return (struct cpuid_leaf){
		.function = CPUID_KVM,
		.eax = last,
		.ebx = le32_load(text),
		.ecx = le32_load(text + 4),
		.edx = le32_load(text + 8),
	};
}

static void model_hypervisor(const struct cpuid_config *config, const struct cpuid_leaf *supported,
			     unsigned n, struct cpuid_list *list)
{
	uint32_t features = 0;

	for (unsigned i = 0; i < n; i++) {
		if (supported[i].function == CPUID_KVM_FEATURES)
			features = supported[i].eax;
	}
	if (!config->kvm) {
		list_set(list, signature(CPUID_KVM, "StrataStrata"));
		return;
	}
	features &= (uint32_t)KVM_PLAIN | (config->own_irqchip ? (uint32_t)KVM_WITH_LAPIC : 0);
	list_set(list, signature(CPUID_KVM_FEATURES, "KVMKVMKVM\0\0"));
	list_set(list, (struct cpuid_leaf){ .function = CPUID_KVM_FEATURES, .eax = features });
}

static void model_widths(const struct cpuid_config *config, struct cpuid_list *list)
{
	struct cpuid_leaf *leaf = list_find(list, (uint32_t)CPUID_EXT_ADDRESS, 0);
	uint32_t bits = leaf ? leaf->eax & 0xff : 0;

	if (!leaf)
		return;
	if (config->phys_bits && (config->phys_bits < bits || !bits))
		bits = config->phys_bits;
	leaf->eax = (leaf->eax & 0xff00) | bits; /* no guest width of its own */
	leaf->ebx &= ~(UINT32_C(1) << 23 /* PPIN */ | UINT32_C(1) << 27 /* CPPC */);
}

/* Leaves 0 and 0x80000000 name the last leaf of their kind. */
static void model_ends(struct cpuid_list *list)
{
	uint32_t last = 0, last_ext = EXT;

	for (unsigned i = 0; i < list->n; i++) {
		uint32_t function = list->leaves[i].function;
		if (function < CPUID_KVM && function > last)
			last = function;
		if (function > last_ext)
			last_ext = function;
	}
	struct cpuid_leaf *leaf = list_find(list, CPUID_BASIC, 0);
	if (leaf)
		leaf->eax = last;
	leaf = list_find(list, EXT, 0);
	if (leaf)
		leaf->eax = last_ext;
}

int cpuid_model(const struct cpuid_config *config, const struct cpuid_leaf *supported, unsigned n,
		unsigned index, struct cpuid_leaf ret[CPUID_LEAVES_MAX], unsigned *ret_n,
		struct err *err)
{
	struct cpuid_list list = { .leaves = ret };

	if (config->vcpus < 1 || config->vcpus > CPUID_VCPUS_MAX || index >= config->vcpus)
		return err_say(err, EINVAL, "CPU model: %u vcpus, of 1 to %u", config->vcpus,
			       CPUID_VCPUS_MAX);
	model_copy(supported, n, &list);
	int r = model_check(&list, err);
	if (r < 0)
		return r;
	model_features(config, &list);
	cpuid_xsave(&list);
	model_widths(config, &list);
	cpuid_topology(config, index, &list);
	model_ends(&list);
	model_hypervisor(config, supported, n, &list);
	if (list.full)
		return err_say(err, E2BIG, "CPU model: more than %u CPUID leaves",
			       CPUID_LEAVES_MAX);
	*ret_n = list.n;
	return 0;
}
