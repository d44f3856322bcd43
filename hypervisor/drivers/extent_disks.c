/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/extent_disks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/core/extents.h"
#include "core/page.h"
#include "core/print.h"

#define MIB_SHIFT  20U
#define READ_ORDER 3U /* 32 KiB */

struct reading {
	uint8_t copies[EXTENTS_COPIES][EXTENTS_COPY_BYTES];
	struct extents table;
};

_Static_assert(sizeof(struct reading) <= PAGE_BYTES << READ_ORDER, "fits");
_Static_assert(sizeof(EXTENT_DISKS_PREFIX) - 1 + EXTENTS_NAME_BYTES <= HOST_DISK_NAME_BYTES,
	       "a name is not cut");

static struct extent_disk *named(const struct extent_disks *all, const char *name)
{
	for (unsigned i = 0; i < all->n; i++) {
		if (strcmp(all->at[i]->part.name, name) == 0)
			return all->at[i];
	}
	return NULL;
}

static void extent_init(struct extent_disk *d, const struct host_part *part,
			const struct extent *extent)
{
	host_part_init(&d->part, part->parent, 0, part->start_bytes + extent->start_bytes,
		       extent->len_bytes);
	(void)snprintf(d->part.name, sizeof(d->part.name), EXTENT_DISKS_PREFIX "%s", extent->name);
	d->part.disk.read_only |= (extent->flags & EXTENT_READ_ONLY) != 0;
}

static void extent_add(struct extent_disks *all, struct extent_disk *d,
		       const struct host_part *part)
{
	struct extent_disk *other = named(all, d->part.name);

	d->is_double = other != NULL;
	if (other) {
		other->is_double = true;
		print("  %s on %s: another extent has this name: neither is used\n", d->part.name,
		      part->name);
	} else {
		print("  %s: %lu MiB on %s%s\n", d->part.name, d->part.disk.size_bytes >> MIB_SHIFT,
		      part->name, d->part.disk.read_only ? ", read-only" : "");
	}
	all->at[all->n++] = d;
}

static unsigned extents_take(struct extent_disks *all, const struct host_part *part,
			     const struct extents *table)
{
	unsigned n = table->n, room = EXTENT_DISKS_MAX - all->n;

	if (n > room) {
		print("  %s: %u of its %u extents are left out: there are too many\n", part->name,
		      n - room, n);
		n = room;
	}
	struct extent_disk *disks = n ? page_alloc(page_order(n * sizeof(*disks))) : NULL;
	if (n && !disks) {
		print("  %s: no memory for its extents\n", part->name);
		return 0;
	}
	for (unsigned i = 0; i < n; i++) {
		extent_init(&disks[i], part, &table->at[i]);
		extent_add(all, &disks[i], part);
	}
	return n;
}

static int reading_do(struct reading *r, struct host_part *part, struct err *err)
{
	const uint8_t *const copies[] = { r->copies[0], r->copies[1] };

	if (part->disk.size_bytes < EXTENTS_UNIT_BYTES)
		return err_say(err, EBADMSG, "the partition is too small for a table");
	for (unsigned i = 0; i < EXTENTS_COPIES; i++) {
		int e = host_disk_sync(&part->disk, DISK_READ, extents_copy_offset(i), r->copies[i],
				       EXTENTS_COPY_BYTES);
		if (e == -ETIMEDOUT)
			return err_say(err, ETIMEDOUT, "the disk does not answer");
		if (e < 0) /* the other copy may be readable; what is here then is none */
			memset(r->copies[i], 0, EXTENTS_COPY_BYTES);
	}
	return extents_read(copies, part->disk.size_bytes, &r->table, err);
}

unsigned extent_disks_read(struct extent_disks *all, struct host_part *part)
{
	struct err err = { 0 };
	unsigned n = 0;

	if (memcmp(part->type, extents_type, sizeof(extents_type)) != 0)
		return 0;
	struct reading *reading = page_alloc(READ_ORDER);
	if (!reading) {
		print("  %s: no memory to read its extents\n", part->name);
		return 0;
	}
	int r = reading_do(reading, part, &err);
	if (err.code)
		print("  %s: extents: %s\n", part->name, err.text);
	if (r == 0)
		n = extents_take(all, part, &reading->table);
	page_free(reading, READ_ORDER);
	return n;
}

struct disk *extent_disks_find(const struct extent_disks *all, const char *name)
{
	struct extent_disk *d = named(all, name);

	return d && !d->is_double ? &d->part.disk : NULL;
}
