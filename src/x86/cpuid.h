/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* CPUID leaves as the manuals number them. Source: Intel SDM 2A, CPUID; AMD APM 3, appendix E. */
#include <stdbool.h>
#include <stdint.h>

struct cpuid_leaf {
	uint32_t function, index;
	bool indexed; /* index counts: ECX selects a sub-leaf */
	uint32_t eax, ebx, ecx, edx;
};

#define CPUID_LEAVES_MAX 256U

enum {
	CPUID_BASIC = 0x0,
	CPUID_FEATURES = 0x1,
	CPUID_CACHES = 0x4,
	CPUID_EXTENDED_FEATURES = 0x7,
	CPUID_TOPOLOGY = 0xb,
	CPUID_XSAVE = 0xd,
	CPUID_TOPOLOGY_V2 = 0x1f,
	CPUID_KVM = 0x40000000,
	CPUID_KVM_FEATURES = 0x40000001,
	CPUID_EXT = (int)0x80000000,
	CPUID_EXT_FEATURES = (int)0x80000001,
	CPUID_EXT_ADDRESS = (int)0x80000008,
	CPUID_EXT_TOPOLOGY = (int)0x8000001e,
};
