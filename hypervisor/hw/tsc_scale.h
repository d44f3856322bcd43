/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A guest's TSC that counts at another rate than the host's: by a factor that the hardware multiplies what a guest reads with, before
 * the offset is added. What is computed here for the guest is what the hardware computes, to the bit. Pure.
 * Sources: AMD APM 2, TSC Ratio MSR (C000_0104h); Intel SDM 3C, VM-Execution Control Fields: TSC multiplier; Changes to Instruction
 * Behavior in VMX Non-Root Operation: RDTSC.
 */
#include <stdint.h>

#include "base/core/err.h"

/* Binary digits of such a factor; fraction 0: the CPU has none. */
struct tsc_factor_bits {
	uint8_t integer, fraction;
};

struct tsc_scale {
	uint64_t factor; /* 0: the host's own rate */
	uint8_t fraction;
};

static inline uint64_t tsc_scaled(const struct tsc_scale *scale, uint64_t host_tsc)
{
	if (!scale->factor)
		return host_tsc;
	return (uint64_t)((unsigned __int128)host_tsc * scale->factor >> scale->fraction);
}

/*
 * tsc_scale_choose() - the factor for a rate
 * @khz: the guest's, > 0   @host_hz: > 0, < 2^40
 * Return: 0, and the rate in Hz that comes of it, not more than the one that was asked for; with the words: -ENOTSUP: the CPU cannot;
 * -ERANGE: not that far from the host's.
 */
int tsc_scale_choose(struct tsc_factor_bits bits, uint64_t host_hz, uint32_t khz,
		     struct tsc_scale *ret, uint64_t *ret_hz, struct err *err);
