/* SPDX-License-Identifier: Apache-2.0 */
#include "core/calibrate.h"

#define AGREE 1024U /* within one part of so many */

static bool agrees(uint64_t shorter, uint64_t longer)
{
	return longer - shorter <= shorter / AGREE;
}

bool calibration_add(struct calibration *c, uint64_t tsc, uint32_t apic)
{
	bool is_shorter = !c->n || tsc < c->tsc;

	c->is_agreed = c->n && (is_shorter ? agrees(tsc, c->tsc) : agrees(c->tsc, tsc));
	c->n++;
	if (is_shorter) {
		c->tsc = tsc;
		c->apic = apic;
	}
	return !c->is_agreed && c->n < CALIBRATE_MOST;
}
