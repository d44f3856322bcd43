/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How fast a counter goes, from several looks at it over the same time of another clock.
 *
 * Whatever comes between (an SMI, a host that lets the emulator wait) makes a look too long, never too short. So the shortest is
 * the best, and it is believed as soon as a second one agrees with it. Two may be too long alike, as where a host's scheduler lets
 * both go on with a tick of its own: one of which beginning or end was not watched closely (its gap) agrees with nobody, and counts
 * only where there is no better one.
 */
#include <stdbool.h>
#include <stdint.h>

#define CALIBRATE_MOST 200U /* looks */

struct calibration {
	uint64_t tsc;  /* ticks of the shortest look */
	uint32_t apic; /* the LAPIC timer's during it */
	unsigned n;    /* looks so far */
	bool is_sound; /* its gap is small */
	bool is_agreed;
};

/*
 * calibration_add() - one more look; starts with a zeroed struct
 * @gap: ticks of the TSC's, of @tsc, in which the other clock may have begun or ended
 * Return: whether another one is wanted.
 */
bool calibration_add(struct calibration *c, uint64_t tsc, uint64_t gap, uint32_t apic);
