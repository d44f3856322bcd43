/* SPDX-License-Identifier: Apache-2.0 */
#include "hw/tsc_scale.h"

#include <errno.h>

#define HZ_PER_KHZ UINT64_C(1000)

/* a / b with binary digits behind the point, rounded down. No 128-bit division: the image has no library for it. */
static uint64_t divide(uint64_t a, uint64_t b, unsigned fraction)
{
	uint64_t quotient = a / b, rest = a % b;

	for (unsigned i = 0; i < fraction; i++) {
		quotient <<= 1;
		rest <<= 1;
		if (rest >= b) {
			rest -= b;
			quotient |= 1;
		}
	}
	return quotient;
}

int tsc_scale_choose(struct tsc_factor_bits bits, uint64_t host_hz, uint32_t khz,
		     struct tsc_scale *ret, uint64_t *ret_hz, struct err *err)
{
	uint64_t hz = khz * HZ_PER_KHZ;

	if (!bits.fraction)
		return err_say(
			err, ENOTSUP,
			"tsc-khz %lu: this server's CPU cannot scale its TSC: without it, the guest has the server's %lu kHz",
			(unsigned long)khz, (unsigned long)(host_hz / HZ_PER_KHZ));
	struct tsc_scale scale = { divide(hz, host_hz, bits.fraction), bits.fraction };
	if (hz / host_hz >> bits.integer || !scale.factor || !tsc_scaled(&scale, host_hz))
		return err_say(err, ERANGE,
			       "tsc-khz %lu: too far from the server's %lu kHz for its CPU",
			       (unsigned long)khz, (unsigned long)(host_hz / HZ_PER_KHZ));
	*ret = scale;
	*ret_hz = tsc_scaled(&scale, host_hz);
	return 0;
}
