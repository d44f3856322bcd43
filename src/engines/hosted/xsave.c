/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's vector state between runs: an image in the standard format of XSAVE. The hosts's components are the guest's: those that it does not
 * show it cannot reach. Source: Intel SDM 1, Managing State Using the XSAVE Feature Set (XSAVE Area; Operation of XRSTOR).
 */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "engines/hosted/run.h"

#define OSXSAVE	      UINT32_C(0x8000000) /* CPUID.1:ECX */
#define XCOMP_BV_AT   520U
#define RESERVED_AT   528U
#define MXCSR_MASK_AT 28U
#define MXCSR_RESET   0x1f80U
#define MXCSR_MASK    0xffbfU /* where the CPU says 0 */

static uint64_t host_xcr0(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

int hosted_xsave_layout(uint64_t *ret_mask, uint32_t *ret_bytes, struct err *err)
{
	unsigned a, b, c = 0, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE))
		return err_say(
			err, ENOTSUP,
			"the software CPU needs a host CPU and kernel with XSAVE (made since 2011)");
	uint64_t mask = host_xcr0() & XSAVE_KEPT;
	uint32_t bytes = XSAVE_LEGACY_BYTES;
	for (unsigned i = 2; i < 64; i++) {
		if (!(mask >> i & 1))
			continue;
		__cpuid_count(CPUID_XSAVE, i, a, b, c, d);
		if (a + b > bytes)
			bytes = a + b;
	}
	*ret_mask = mask;
	*ret_bytes = bytes;
	return 0;
}

void hosted_xsave_init(struct hosted_cpu *cpu)
{
	memset(cpu->xsave, 0, cpu->xsave_bytes);
	le32_store(cpu->xsave + XSAVE_MXCSR_AT, MXCSR_RESET);
	cpu->xcr0 = 1;
}

int hosted_xsave_get(struct vcpu *vcpu, uint64_t *ret_xcr0, void *ret, size_t *n)
{
	const struct hosted_cpu *cpu = hosted_cpu(vcpu);
	size_t room = *n;

	*n = cpu->xsave_bytes;
	if (room < *n)
		return -E2BIG;
	*ret_xcr0 = cpu->xcr0;
	memcpy(ret, cpu->xsave, cpu->xsave_bytes);
	return 0;
}

/* Of the bits of MXCSR, those that this CPU has; loading others is a fault. */
static uint32_t mxcsr_mask(void)
{
	uint8_t image[512] __attribute__((aligned(16)));

	__asm__ volatile("fxsave64 (%0)" : : "r"(image) : "memory");
	uint32_t mask = le32_load(image + MXCSR_MASK_AT);
	return mask ? mask : MXCSR_MASK;
}

/* What XRSTOR would fault on. */
static bool image_is_good(const struct hosted_cpu *cpu, const uint8_t *image)
{
	static const uint8_t zeroes[XSAVE_LEGACY_BYTES - RESERVED_AT];

	return !(le64_load(image + XSAVE_BV_AT) & ~cpu->xsave_mask) &&
	       !le64_load(image + XCOMP_BV_AT) &&
	       memcmp(image + RESERVED_AT, zeroes, sizeof(zeroes)) == 0 &&
	       !(le32_load(image + XSAVE_MXCSR_AT) & ~mxcsr_mask());
}

int hosted_xsave_set(struct vcpu *vcpu, uint64_t xcr0, const void *image, size_t n)
{
	struct hosted_cpu *cpu = hosted_cpu(vcpu);

	if (n < cpu->xsave_bytes || !x86_xcr0_is_valid(xcr0, cpu->xsave_mask | X86_XCR0_X87) ||
	    !image_is_good(cpu, image))
		return -EINVAL;
	memcpy(cpu->xsave, image, cpu->xsave_bytes);
	cpu->xcr0 = xcr0;
	cpu_mode_update(cpu);
	return 0;
}
