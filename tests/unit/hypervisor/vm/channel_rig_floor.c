/* SPDX-License-Identifier: Apache-2.0 */
#include "hypervisor/vm/channel_rig_floor.h"

#include <stdlib.h>

#include "core/clock.h"
#include "core/hv.h"
#include "core/page.h"
#include "core/print.h"
#include "core/smp.h"
#include "core/trap.h"
#include "drivers/disks.h"
#include "hypervisor/vm/channel_rig.h"
#include "vm/channel.h"

static size_t taken; /* bytes of memory */

size_t rig_taken(void)
{
	return taken;
}

static void *rig_alloc(size_t bytes)
{
	void *block = bytes <= 64U << 20 ? calloc(1, bytes) : NULL;

	taken += block ? bytes : 0;
	return block;
}

void *page_alloc(unsigned order)
{
	return rig_alloc((size_t)PAGE_BYTES << order);
}

void page_free(void *block, unsigned order)
{
	taken -= block ? (size_t)PAGE_BYTES << order : 0;
	free(block);
}

void *page_run_take(uint64_t bytes, unsigned order)
{
	(void)order;
	return rig_alloc((bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1));
}

void page_run_free(void *run, uint64_t bytes)
{
	taken -= run ? (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1) : 0;
	free(run);
}

uint64_t page_free_bytes(void)
{
	return UINT64_C(1) << 30;
}

uint64_t page_total_bytes(void)
{
	return UINT64_C(1) << 31;
}

uint64_t clock_tsc_hz(void)
{
	return 1000000000;
}

unsigned cpu_count(void)
{
	return 2;
}

void print(const char *fmt, ...)
{
	(void)fmt;
}

/* Of RIG_PRINTED letters the first RIG_PRINTED_LOST are gone. */
size_t print_ring_read(uint64_t *at, char *ret, size_t room)
{
	size_t n = 0;

	if (*at < RIG_PRINTED_LOST)
		*at = RIG_PRINTED_LOST;
	while (n < room && *at < RIG_PRINTED)
		ret[n++] = (char)('a' + (*at)++ % 26);
	return n;
}

bool disks_next(uint32_t after, struct channel_disk *ret)
{
	*ret = (struct channel_disk){ .number = after + 1, .name = "vd0" };
	return after < 100;
}

unsigned disks_count(void)
{
	return 100;
}

const struct hw_ops *hv_back_end(struct hw_caps *ret, struct err *err)
{
	(void)ret;
	(void)err;
	return NULL;
}

/* ---- the line ---- */

static unsigned damage_random(struct rig_damage *d, unsigned below)
{
	d->seed = d->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(d->seed >> 33) % below;
}

size_t rig_damage(struct rig_damage *d, const uint8_t *bytes, size_t len, uint8_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		const bool is_hit = d->one_in && !damage_random(d, d->one_in);
		const unsigned how = is_hit ? damage_random(d, 4) : 4;
		d->cut = how == 3 ? damage_random(d, 100) + 1 : d->cut;
		if (d->is_out || how == 0 || d->cut) {
			d->cut -= d->cut > 0;
			continue;
		}
		ret[n++] = how == 1 ? bytes[i] ^ (uint8_t)(1U << damage_random(d, 8)) : bytes[i];
		if (how == 2)
			ret[n++] = bytes[i];
	}
	return n;
}
