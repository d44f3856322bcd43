/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The two I/O spaces, MMIO and ports: who answers at an address.
 *
 * Thread rule: any vcpu thread reads and writes; regions come and go while the guest runs (PCI BARs). The bus's
 * lock is held only to find the region; then the region's own lock, if it has one, around the call. A region's
 * memory lives as long as the machine, so a call that races with its removal is harmless: it reaches the old owner.
 * Lock order: a device's lock before the bus's (a BAR moves under the device's), and before an interrupt controller's.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/core/lock.h"
#include "machine/types.h"

struct bus_region;

struct bus_ops {
	const char *name; /* for traces: "serial" */
	/*
	 * Mandatory. len is 1, 2, 4 or 8 (ports: 1, 2, 4), offset + len <= size. What a device has no
	 * register for reads as zero or all ones, as the real one; a write there is dropped. value is
	 * zero-extended. Never blocks.
	 */
	uint64_t (*read)(struct bus_region *region, uint64_t offset, unsigned len);
	void (*write)(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value);
};

/* Embedded in a device; zeroed but for what its owner sets. */
struct bus_region {
	const struct bus_ops *ops;
	struct lock *lock; /* held around the calls; NULL: the device takes care */
	uint64_t base, size;
};

#define BUS_REGIONS 128

struct bus {
	struct lock lock;
	struct bus_region *regions[BUS_REGIONS]; /* ascending, not overlapping */
	unsigned n;
	unsigned last; /* the one that was found last: most accesses come in a row */
};

/* bus_add() - Return: 0, -EEXIST on overlap, -ENOSPC, -EINVAL (size 0, wraps, no ops). */
int bus_add(struct bus *bus, struct bus_region *region);
void bus_remove(struct bus *bus, struct bus_region *region); /* one that is not there is a no-op */
/*
 * bus_read(), bus_write() - @len 1, 2, 4 or 8. Nobody there: all ones, and dropped. An access that leaves its
 * region is done byte by byte.
 */
uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned len);
void bus_write(struct bus *bus, uint64_t addr, unsigned len, uint64_t value);
/* bus_region_read(), bus_region_write() - call a region that was found, under its lock; see struct bus_ops. */
uint64_t bus_region_read(struct bus_region *region, uint64_t offset, unsigned len);
void bus_region_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value);
