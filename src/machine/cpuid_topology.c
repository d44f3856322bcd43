/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/cpuid_priv.h"

#define EXT	   UINT32_C(0x80000000)
#define CACHES_AMD (EXT + 0x1d)

/* How many bits hold 0..n-1. */
static uint32_t id_bits(unsigned n)
{
	uint32_t bits = 0;

	while ((1U << bits) < n)
		bits++;
	return bits;
}

static bool is_amd(struct cpuid_list *list)
{
	struct cpuid_leaf *leaf = list_find(list, CPUID_BASIC, 0);

	/* EBX of "AuthenticAMD" and "HygonGenuine" */
	return leaf && (leaf->ebx == 0x68747541 || leaf->ebx == 0x6f677948);
}

/* SDM 2A, CPUID, leaf 1: initial APIC id, and how many ids the package has. */
static void topology_features(const struct cpuid_config *config, unsigned index, bool amd,
			      struct cpuid_list *list)
{
	struct cpuid_leaf *leaf = list_find(list, CPUID_FEATURES, 0);
	struct cpuid_leaf *ext = list_find(list, (uint32_t)CPUID_EXT_FEATURES, 0);

	if (leaf) {
		leaf->ebx = (leaf->ebx & 0xffff) | (uint32_t)index << 24 | config->vcpus << 16;
		leaf->edx &= ~(UINT32_C(1) << 28);
		leaf->edx |= (config->vcpus > 1 ? UINT32_C(1) : 0) << 28; /* ht */
	}
	if (ext) {
		ext->ecx &= ~UINT32_C(2);
		ext->ecx |= amd && config->vcpus > 1 ? 2 : 0; /* cmp_legacy: cores, no threads */
	}
}

/*
 * Who shares each cache: a core has its own levels 1 and 2, the package has level 3. The numbers are of ids, so rounded up to
 * a power of two, less one. SDM 2A, CPUID, leaf 4; APM 3, E.4.18 Function 8000_001Dh (the same fields, without the cores).
 */
static void topology_caches(const struct cpuid_config *config, bool amd, struct cpuid_list *list)
{
	uint32_t ids = (1U << id_bits(config->vcpus)) - 1;

	for (unsigned i = 0; i < list->n; i++) {
		struct cpuid_leaf *leaf = &list->leaves[i];
		bool is_cache = leaf->function == CPUID_CACHES || leaf->function == CACHES_AMD;
		if (!is_cache || !(leaf->eax & 0x1f))
			continue;
		uint32_t level = leaf->eax >> 5 & 7;
		leaf->eax &= 0x3fff;
		leaf->eax |= (level >= 3 ? ids : 0) << 14;
		if (leaf->function == CPUID_CACHES && !amd)
			leaf->eax |= (ids < 63 ? ids : 63) << 26;
	}
}

/* SDM 2A, CPUID, leaves 0xb and 0x1f: threads of a core, cores of the package, the end. */
static void topology_levels(const struct cpuid_config *config, unsigned index, uint32_t function,
			    struct cpuid_list *list)
{
	const struct cpuid_leaf levels[] = {
		{ .eax = 0, .ebx = 1, .ecx = 1 << 8 },
		{ .eax = id_bits(config->vcpus), .ebx = config->vcpus, .ecx = 2 << 8 },
		{ 0 },
	};

	if (!list_find(list, function, 0))
		return;
	list_drop(list, function);
	for (uint32_t i = 0; i < ARRAY_SIZE(levels); i++) {
		struct cpuid_leaf leaf = levels[i];
		leaf.function = function;
		leaf.index = i;
		leaf.indexed = true;
		leaf.ecx |= i;
		leaf.edx = index;
		list_set(list, leaf);
	}
}

/* APM 3, E.4.7 Function 8000_0008h (ECX: size identifiers), E.4.19 Function 8000_001Eh (extended APIC id, core, node). */
static void topology_amd(const struct cpuid_config *config, unsigned index, struct cpuid_list *list)
{
	struct cpuid_leaf *leaf = list_find(list, (uint32_t)CPUID_EXT_ADDRESS, 0);

	if (leaf)
		leaf->ecx = id_bits(config->vcpus) << 12 | (config->vcpus - 1);
	if (!cpuid_has(list->leaves, list->n, "topoext")) {
		list_drop(list, CACHES_AMD);
		list_drop(list, (uint32_t)CPUID_EXT_TOPOLOGY);
		return;
	}
	list_set(list, (struct cpuid_leaf){ .function = (uint32_t)CPUID_EXT_TOPOLOGY,
					    .eax = index,
					    .ebx = index });
}

void cpuid_topology(const struct cpuid_config *config, unsigned index, struct cpuid_list *list)
{
	bool amd = is_amd(list);
	struct cpuid_leaf *basic = list_find(list, CPUID_BASIC, 0);

	topology_features(config, index, amd, list);
	topology_caches(config, amd, list);
	/* Not every engine lists leaf 0xb, which x2APIC needs: it is made where the CPU is new enough. */
	if (basic && basic->eax >= CPUID_TOPOLOGY && !list_find(list, CPUID_TOPOLOGY, 0))
		list_set(list, (struct cpuid_leaf){ .function = CPUID_TOPOLOGY, .indexed = true });
	topology_levels(config, index, CPUID_TOPOLOGY, list);
	topology_levels(config, index, CPUID_TOPOLOGY_V2, list);
	if (amd) {
		topology_amd(config, index, list);
	} else {
		list_drop(list, CACHES_AMD);
		list_drop(list, (uint32_t)CPUID_EXT_TOPOLOGY);
	}
}
