/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The extents of Strata's own partitions (base/core/extents.h) as disks of the server, called strata:NAME. Read once, at start: what
 * a guest that has the whole disk writes over a table later changes nothing until the next start.
 */
#include <stdbool.h>

#include "drivers/host_disk.h"

#define EXTENT_DISKS_MAX    256U
#define EXTENT_DISKS_PREFIX "strata:"

struct extent_disk {
	struct host_part part;
	bool is_double; /* another one has its name: neither is offered, for one may be a guest's forgery */
};

struct extent_disks {
	struct extent_disk *at[EXTENT_DISKS_MAX];
	unsigned n;
};

/*
 * extent_disks_read() - add the extents of a partition, if it is Strata's own; what is wrong with its table is printed, in one line
 * Before guests run. Return: how many were added.
 */
unsigned extent_disks_read(struct extent_disks *all, struct host_part *part);
/* extent_disks_find() - "strata:web"; NULL: there is none, or more than one */
struct disk *extent_disks_find(const struct extent_disks *all, const char *name);
