/* SPDX-License-Identifier: Apache-2.0 */
#include "core/calibrate.h"

#define AGREE 1024U /* within one part of so many */
#define SOUND                                                                                      \
	128U /* a gap of one part of so many: slow ports have less, a CPU that was taken away more */

static bool agrees(uint64_t shorter, uint64_t longer)
{
	return longer - shorter <= shorter / AGREE;
}

bool calibration_add(struct calibration *c, uint64_t tsc, uint64_t gap, uint32_t apic)
{
	bool is_sound = gap <= tsc / SOUND;
	bool is_first = !c->n || (is_sound && !c->is_sound);
	bool is_shorter = is_first || (is_sound == c->is_sound && tsc < c->tsc);

	if (is_sound)
		c->is_agreed =
			!is_first && (is_shorter ? agrees(tsc, c->tsc) : agrees(c->tsc, tsc));
	c->n++;
	if (is_shorter) {
		c->tsc = tsc;
		c->apic = apic;
		c->is_sound = is_sound;
	}
	return !c->is_agreed && c->n < CALIBRATE_MOST;
}
