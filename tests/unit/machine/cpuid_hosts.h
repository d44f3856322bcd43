/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What engines say on some hosts, as cpu_ops.cpuid_supported gives it; and helpers to look at a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "machine/cpuid.h"

#define LEAF(fn, a, b, c, d)                                                                       \
	{                                                                                          \
		.function = fn, .eax = a, .ebx = b, .ecx = c, .edx = d                             \
	}
#define SUB(fn, i, a, b, c, d)                                                                     \
	{                                                                                          \
		.function = fn, .index = i, .indexed = true, .eax = a, .ebx = b, .ecx = c,         \
		.edx = d                                                                           \
	}

/* A Xeon of the Skylake-SP kind that shows everything, also what no KVM would: 24 cores, 48 threads. */
static const struct cpuid_leaf host_intel[] = {
	LEAF(0x0, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69),
	LEAF(0x1, 0x50654, 0x15400800, 0xffffffff, 0xffffffff),
	LEAF(0x2, 0x76036301, 0xf0b5ff, 0, 0xc30000),
	LEAF(0x3, 0x1, 0x2, 0x3, 0x4),
	SUB(0x4, 0, 0x7c004121, 0x1c0003f, 0x3f, 0),
	SUB(0x4, 1, 0x7c004122, 0x1c0003f, 0x3f, 0),
	SUB(0x4, 2, 0x7c004143, 0x3c0003f, 0x3ff, 0),
	SUB(0x4, 3, 0x7c0fc163, 0x280003f, 0xcfff, 0x4),
	SUB(0x4, 4, 0, 0, 0, 0),
	LEAF(0x5, 0x40, 0x40, 0x3, 0x2020),
	LEAF(0x6, 0xef7, 0x2, 0x9, 0),
	SUB(0x7, 0, 0x1, 0xffffffff, 0xffffffff, 0xffffffff),
	SUB(0x7, 1, 0xffffffff, 0, 0, 0xffffffff),
	LEAF(0xa, 0x7300404, 0, 0, 0x603),
	SUB(0xb, 0, 0x1, 0x2, 0x100, 0x15),
	SUB(0xb, 1, 0x6, 0x30, 0x201, 0x15),
	SUB(0xd, 0, 0x2ff, 0x240, 0xa88, 0),
	SUB(0xd, 1, 0xf, 0xa08, 0x100, 0),
	SUB(0xd, 2, 0x100, 0x240, 0, 0),
	SUB(0xd, 3, 0x40, 0x3c0, 0, 0),
	SUB(0xd, 4, 0x40, 0x400, 0, 0),
	SUB(0xd, 5, 0x40, 0x440, 0, 0),
	SUB(0xd, 6, 0x200, 0x480, 0, 0),
	SUB(0xd, 7, 0x400, 0x680, 0, 0),
	SUB(0xd, 8, 0x80, 0, 0x1, 0),
	SUB(0xd, 9, 0x8, 0xa80, 0, 0),
	SUB(0x10, 0, 0, 0x2, 0, 0),
	SUB(0x12, 0, 0x1, 0, 0, 0),
	SUB(0x14, 0, 0x1, 0xf, 0x7, 0),
	LEAF(0x15, 0x2, 0xa8, 0x17d7840, 0),
	SUB(0x20, 0, 0x1, 0x1, 0, 0),
	LEAF(0x40000000, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d),
	LEAF(0x40000001, 0x100fffb, 0, 0, 0),
	LEAF(0x80000000, 0x80000008, 0, 0, 0),
	LEAF(0x80000001, 0, 0, 0x121, 0x2c100800),
	LEAF(0x80000002, 0x65746e49, 0x2952286c, 0x6f655820, 0x2952286e),
	LEAF(0x80000003, 0x6c6f4720, 0x31362064, 0x43203036, 0x40205550),
	LEAF(0x80000004, 0x312e3220, 0x7a484730, 0, 0),
	LEAF(0x80000006, 0, 0, 0x1006040, 0),
	LEAF(0x80000007, 0, 0, 0, 0x100),
	LEAF(0x80000008, 0x302e, 0, 0, 0),
};

/* An EPYC of the first kind, by KVM with nested SVM: 32 cores, 64 threads. */
static const struct cpuid_leaf host_amd[] = {
	LEAF(0x0, 0xd, 0x68747541, 0x444d4163, 0x69746e65),
	LEAF(0x1, 0x800f12, 0x2400800, 0xfed83203, 0x178bfbff),
	SUB(0x7, 0, 0, 0x209c01a9, 0, 0),
	SUB(0xd, 0, 0x7, 0x340, 0x340, 0),
	SUB(0xd, 1, 0xf, 0x340, 0, 0),
	SUB(0xd, 2, 0x100, 0x240, 0, 0),
	LEAF(0x40000000, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d),
	LEAF(0x40000001, 0x100fffb, 0, 0, 0),
	LEAF(0x80000000, 0x8000001f, 0x68747541, 0x444d4163, 0x69746e65),
	LEAF(0x80000001, 0x800f12, 0x40000000, 0x35c237ff, 0x2fd3fbff),
	LEAF(0x80000002, 0x20444d41, 0x43595045, 0x31303720, 0x32332031),
	LEAF(0x80000007, 0, 0x1b, 0, 0x6799),
	LEAF(0x80000008, 0x383030, 0x8801007, 0x603f, 0),
	LEAF(0x8000000a, 0x1, 0x8000, 0, 0x1bcff),
	SUB(0x8000001d, 0, 0x4121, 0x1c0003f, 0x3f, 0),
	SUB(0x8000001d, 1, 0xc163, 0x3c0003f, 0x1fff, 0x1),
	SUB(0x8000001d, 2, 0, 0, 0, 0),
	LEAF(0x8000001b, 0x3ff, 0, 0, 0),
	LEAF(0x8000001e, 0x2, 0x101, 0x300, 0),
	LEAF(0x8000001f, 0xf, 0x16f, 0xf, 0x1),
};

/* The least that an engine without KVM could say: no XSAVE, no topology. */
static const struct cpuid_leaf host_least[] = {
	LEAF(0x0, 0x7, 0x756e6547, 0x6c65746e, 0x49656e69),
	LEAF(0x1, 0x663, 0x800, 0x30002201,
	     0x783fbff), /* says FMA-less AVX bits that XSAVE would need */
	SUB(0x7, 0, 0, 0x20, 0, 0),
	LEAF(0x80000000, 0x80000008, 0, 0, 0),
	LEAF(0x80000001, 0, 0, 0x1, 0x20100800),
	LEAF(0x80000008, 0x3028, 0, 0, 0),
};

struct model {
	struct cpuid_leaf leaves[CPUID_LEAVES_MAX];
	unsigned n;
	struct err err;
};

static inline struct cpuid_config model_config(unsigned vcpus)
{
	return (struct cpuid_config){ .vcpus = vcpus,
				      .kvm = true,
				      .own_irqchip = true,
				      .x2apic = true,
				      .tsc_deadline = true };
}

static inline void model_make(struct model *model, const struct cpuid_config *config,
			      const struct cpuid_leaf *host, size_t n, unsigned index)
{
	int r = cpuid_model(config, host, (unsigned)n, index, model->leaves, &model->n,
			    &model->err);

	if (r < 0)
		fail_msg("%s", model->err.text);
}

static inline struct cpuid_leaf *model_leaf(struct model *model, uint32_t function, uint32_t index)
{
	return cpuid_find(model->leaves, model->n, function, index);
}

#define MAKE(model, config, host, index) model_make(model, config, host, ARRAY_SIZE(host), index)
#define HAS(model, name)		 cpuid_has((model)->leaves, (model)->n, name)
