/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID: what hardware and hypervisor can keep of the host's leaves, and the exit that shows the model made of them.
 * Sources: Intel SDM 2A, CPUID; AMD APM 3, appendix E.
 */
#include <errno.h>
#include <string.h>

#include "core/io.h"
#include "core/page.h"
#include "hw/hw_fpu.h"
#include "vm/vcpu.h"

#define BIT(n) (UINT32_C(1) << (n))
#define EXT    UINT32_C(0x80000000)
#define ALL    UINT32_MAX

/* The TSC's rate, and the CPU's. */
#define CPUID_TSC	0x15U
#define CPUID_FREQUENCY 0x16U

#define LEAVES_ORDER 1U
_Static_assert(sizeof(struct cpuid_leaf) * CPUID_LEAVES_MAX <= PAGE_BYTES << LEAVES_ORDER,
	       "the leaves of a vcpu are two pages");

/* Bits of the host's that are shown, and those that are ours whatever the host has. */
struct shown {
	uint32_t function, index;
	bool indexed;
	uint32_t keep[4], set[4]; /* EAX, EBX, ECX, EDX */
};

/* All but DTES64, MONITOR, DS-CPL, VMX, SMX, EST, TM2, CNXT-ID, SDBG, xTPR, PDCM, DCA */
#define ECX_1                                                                                      \
	(ALL & ~(BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(10) |          \
		 BIT(11) | BIT(14) | BIT(15) | BIT(18)))
#define ECX_1_SET                                                                                  \
	(BIT(21) | BIT(24) | BIT(31)) /* x2APIC, TSC deadline: the machine's; hypervisor */
/* All but DS, ACPI, TM, IA64, PBE, PSN */
#define EDX_1 (ALL & ~(BIT(18) | BIT(21) | BIT(22) | BIT(29) | BIT(30) | BIT(31)))
/* All but SGX, HLE, RTM, resource monitoring and allocation, MPX, processor trace */
#define EBX_7	  (ALL & ~(BIT(2) | BIT(4) | BIT(11) | BIT(12) | BIT(14) | BIT(15) | BIT(25)))
#define EBX_7_SET BIT(1) /* TSC_ADJUST: vcpu_msr.c */
/* AVX512 VBMI, UMIP, PKU, VBMI2, GFNI VAES VPCLMULQDQ VNNI BITALG, VPOPCNTDQ, LA57, RDPID, MOVDIRI */
#define ECX_7                                                                                      \
	(BIT(1) | BIT(2) | BIT(3) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) |       \
	 BIT(14) | BIT(16) | BIT(22) | BIT(27))
#define EDX_7 (BIT(4) | BIT(8) | BIT(14) | BIT(23)) /* FSRM, VP2INTERSECT, SERIALIZE, FP16 */
#define EAX_71                                                                                     \
	(BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12) | BIT(23)) /* AVX's children, fast strings */
#define EDX_71 (BIT(4) | BIT(5) | BIT(10))
/* LAHF CMP_LEGACY CR8 LZCNT SSE4A misaligned SSE, prefetch, XOP FMA4 TBM, topology; no SVM, IBS, OSVW, counters, TCE */
#define ECX_EXT1                                                                                   \
	(BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) |        \
	 BIT(21) | BIT(22))
#define EDX_EXT1 (ALL & ~BIT(25)) /* no FFXSR */

/* KVM's clock, old and new, and stable; no delays for ISA: vcpu_clock.c */
#define KVM_FEATURES (BIT(0) | BIT(1) | BIT(3) | BIT(24))

static const struct shown shown[] = {
	{ 0x0, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x1, 0, false, { ALL, ALL, ECX_1, EDX_1 }, { 0, 0, ECX_1_SET, 0 } },
	{ 0x2, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x4, 0, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x4, 1, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x4, 2, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x4, 3, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0x6, 0, false, { 0 }, { BIT(2), 0, 0, 0 } }, /* the LAPIC's timer never stops */
	{ 0x7, 0, true, { 0, EBX_7, ECX_7, EDX_7 }, { 1, EBX_7_SET, 0, 0 } },
	{ 0x7, 1, true, { EAX_71, 0, 0, EDX_71 }, { 0 } },
	{ 0xb, 0, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0xd, 0, true, { 0x2e7, ALL, ALL, 0 }, { 0 } }, /* x87 SSE AVX AVX-512 PKRU */
	{ 0xd, 1, true, { 0x7, 0, 0, 0 }, { 0 } },	 /* XSAVEOPT XSAVEC XGETBV(1) */
	{ 0xd, 2, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0xd, 5, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0xd, 6, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0xd, 7, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ 0xd, 9, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ CPUID_TSC, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ CPUID_FREQUENCY, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 1, 0, false, { ALL, ALL, ECX_EXT1, EDX_EXT1 }, { 0 } },
	{ EXT + 2, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 3, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 4, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 5, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 6, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 7, 0, false, { 0, 0, 0, BIT(8) }, { 0 } }, /* the TSC never changes its pace */
	{ EXT + 8, 0, false, { 0xffff, BIT(0) | BIT(2), ALL, 0 }, { 0 } }, /* CLZERO, XSAVEERPTR */
	{ EXT + 0x1d, 0, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 0x1d, 1, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 0x1d, 2, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 0x1d, 3, true, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 0x1e, 0, false, { ALL, ALL, ALL, ALL }, { 0 } },
	{ EXT + 0x21,
	  0,
	  false,
	  { BIT(0) | BIT(2), 0, 0, 0 },
	  { 0 } }, /* what does not serialize, and LFENCE does */
};

static uint32_t host_max(uint32_t base)
{
	uint32_t regs[4];

	cpuid_read(base, 0, regs);
	return regs[0];
}

static bool leaf_read(const struct shown *s, struct cpuid_leaf *ret)
{
	uint32_t regs[4] = { 0 };

	if (s->function <= host_max(s->function & EXT))
		cpuid_read(s->function, s->index, regs);
	*ret = (struct cpuid_leaf){
		.function = s->function,
		.index = s->index,
		.indexed = s->indexed,
		.eax = (regs[0] & s->keep[0]) | s->set[0],
		.ebx = (regs[1] & s->keep[1]) | s->set[1],
		.ecx = (regs[2] & s->keep[2]) | s->set[2],
		.edx = (regs[3] & s->keep[3]) | s->set[3],
	};
	return ret->eax | ret->ebx | ret->ecx | ret->edx;
}

int hv_cpuid_supported(struct cpuid_leaf *ret, unsigned *n, struct err *err)
{
	unsigned room = *n, used = 0;

	*n = (unsigned)ARRAY_SIZE(shown) + 2;
	if (room < *n)
		return err_say(err, E2BIG, "%u CPUID leaves, there is room for %u", *n, room);
	for (unsigned i = 0; i < ARRAY_SIZE(shown); i++)
		used += leaf_read(&shown[i], &ret[used]);
	ret[used++] = (struct cpuid_leaf){ .function = CPUID_KVM, .eax = CPUID_KVM_FEATURES };
	ret[used++] = (struct cpuid_leaf){ .function = CPUID_KVM_FEATURES, .eax = KVM_FEATURES };
	*n = used;
	return 0;
}

unsigned hv_cpuid_without_rates(struct cpuid_leaf *leaves, unsigned n)
{
	unsigned used = 0;

	for (unsigned i = 0; i < n; i++) {
		if (leaves[i].function != CPUID_TSC && leaves[i].function != CPUID_FREQUENCY)
			leaves[used++] = leaves[i];
	}
	return used;
}

/* Where a function's leaves begin; a few share a slot, and are told apart by their number. */
static unsigned slot_of(uint32_t function)
{
	return (function & 0x1f) | (function >> 31) << 5;
}

static bool comes_first(const struct cpuid_leaf *a, const struct cpuid_leaf *b)
{
	unsigned x = slot_of(a->function), y = slot_of(b->function);

	if (x != y)
		return x < y;
	return a->function != b->function ? a->function < b->function : a->index < b->index;
}

static void leaves_sort(struct cpuid_leaf *leaves, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		struct cpuid_leaf leaf = leaves[i];
		unsigned at = i;
		for (; at && comes_first(&leaf, &leaves[at - 1]); at--)
			leaves[at] = leaves[at - 1];
		leaves[at] = leaf;
	}
}

int hv_cpuid_set(struct vcpu *base, const struct cpuid_leaf *leaves, unsigned n, struct err *err)
{
	struct hv_vcpu *v = hv_vcpu_of(base);

	if (n >= CPUID_LEAVES_MAX)
		return err_say(err, E2BIG, "more than %u CPUID leaves", CPUID_LEAVES_MAX - 1);
	memcpy(v->leaves, leaves, n * sizeof(*leaves));
	leaves_sort(v->leaves, n);
	v->n_leaves = n;
	memset(v->cpuid_first, 0, sizeof(v->cpuid_first));
	for (unsigned i = n; i-- > 0;)
		v->cpuid_first[slot_of(v->leaves[i].function)] = (uint8_t)(i + 1);
	const struct cpuid_leaf *xsave = hv_cpuid_find(v, CPUID_XSAVE, 0);
	v->xcr0_allowed = xsave ? (uint64_t)xsave->edx << 32 | xsave->eax : 0;
	return 0;
}

const struct cpuid_leaf *hv_cpuid_find(const struct hv_vcpu *v, uint32_t function, uint32_t index)
{
	unsigned slot = slot_of(function), i = v->cpuid_first[slot];

	for (; i && i <= v->n_leaves; i++) {
		const struct cpuid_leaf *leaf = &v->leaves[i - 1];
		if (leaf->function == function && (!leaf->indexed || leaf->index == index))
			return leaf;
		if (slot_of(leaf->function) != slot)
			return NULL;
	}
	return NULL;
}

/* The size of an XSAVE area with the components of XCR0: leaf 0xd, EBX. */
static uint32_t xsave_bytes(const struct hv_vcpu *v)
{
	uint64_t xcr0 = hw_xcr0_get();
	uint32_t bytes = 576;

	for (uint32_t i = 2; i < 63; i++) {
		const struct cpuid_leaf *leaf =
			xcr0 >> i & 1 ? hv_cpuid_find(v, CPUID_XSAVE, i) : NULL;
		if (leaf && leaf->ebx + leaf->eax > bytes)
			bytes = leaf->ebx + leaf->eax;
	}
	return bytes;
}

/* What follows the guest's own registers. */
static void leaf_now(struct hv_vcpu *v, uint32_t function, uint32_t index, uint32_t regs[4])
{
	v->vm->hw_ops->paging(v->hw, &v->paging);
	if (function == CPUID_FEATURES) {
		regs[2] = (regs[2] & ~BIT(27)) | (v->paging.cr4 >> 18 & 1 ? BIT(27) : 0);
		if (!(v->apic_base & 0x800))
			regs[3] &= ~BIT(9);
	} else if (function == CPUID_EXTENDED_FEATURES && index == 0) {
		regs[2] = (regs[2] & ~BIT(4)) | (v->paging.cr4 >> 22 & 1 ? BIT(4) : 0);
	} else if (function == CPUID_XSAVE && index <= 1 && regs[0]) {
		regs[1] = xsave_bytes(v);
	}
}

static void regs_put(uint64_t r[X86_REGS], uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	r[X86_RAX] = eax;
	r[X86_RBX] = ebx;
	r[X86_RCX] = ecx;
	r[X86_RDX] = edx;
}

/* Leaves that are searched for, or that change. */
static __attribute__((noinline)) void cpuid_slow(struct hv_vcpu *v)
{
	uint64_t *r = v->hw->regs;
	uint32_t function = (uint32_t)r[X86_RAX], index = (uint32_t)r[X86_RCX];
	const struct cpuid_leaf *leaf = hv_cpuid_find(v, function, index);
	uint32_t regs[4] = { 0 };

	if (leaf) {
		regs[0] = leaf->eax;
		regs[1] = leaf->ebx;
		regs[2] = leaf->ecx;
		regs[3] = leaf->edx;
		leaf_now(v, function, index, regs);
	}
	regs_put(r, regs[0], regs[1], regs[2], regs[3]);
}

void hv_cpuid_exit(struct hv_vcpu *v)
{
	uint32_t function = (uint32_t)v->hw->regs[X86_RAX];
	unsigned first = v->cpuid_first[slot_of(function)];
	const struct cpuid_leaf *leaf = &v->leaves[first - 1];

	if (!first || leaf->function != function || leaf->indexed || function == CPUID_FEATURES)
		cpuid_slow(v);
	else
		regs_put(v->hw->regs, leaf->eax, leaf->ebx, leaf->ecx, leaf->edx);
}
