/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/bus.h"

#include <errno.h>
#include <string.h>

/* The first region whose end lies past addr; bus->n where there is none. The bus's lock is held. */
static unsigned bus_search(const struct bus *bus, uint64_t addr)
{
	unsigned low = 0, high = bus->n;

	while (low < high) {
		unsigned mid = (low + high) / 2;
		const struct bus_region *r = bus->regions[mid];
		if (r->base + (r->size - 1) < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int bus_add(struct bus *bus, struct bus_region *region)
{
	int r = 0;

	if (!region->size || region->base + (region->size - 1) < region->base || !region->ops ||
	    !region->ops->read || !region->ops->write)
		return -EINVAL;
	lock_acquire(&bus->lock);
	unsigned at = bus_search(bus, region->base);
	if (at < bus->n && bus->regions[at]->base <= region->base + (region->size - 1)) {
		r = -EEXIST;
	} else if (bus->n == BUS_REGIONS) {
		r = -ENOSPC;
	} else {
		memmove(&bus->regions[at + 1], &bus->regions[at],
			(bus->n - at) * sizeof(bus->regions[0]));
		bus->regions[at] = region;
		bus->n++;
	}
	lock_release(&bus->lock);
	return r;
}

void bus_remove(struct bus *bus, struct bus_region *region)
{
	lock_acquire(&bus->lock);
	for (unsigned i = 0; i < bus->n; i++) {
		if (bus->regions[i] != region)
			continue;
		bus->n--;
		memmove(&bus->regions[i], &bus->regions[i + 1],
			(bus->n - i) * sizeof(bus->regions[0]));
		break;
	}
	lock_release(&bus->lock);
}

/* bus_search(), but for the region that was asked for last. The bus's lock is held. */
static unsigned bus_search_again(struct bus *bus, uint64_t addr)
{
	if (bus->last < bus->n) {
		const struct bus_region *r = bus->regions[bus->last];
		if (addr - r->base < r->size)
			return bus->last;
	}
	bus->last = bus_search(bus, addr);
	return bus->last;
}

/* Who answers for all of [addr, addr + len), and at which offset; *ret_part: somebody does for a part. */
static struct bus_region *bus_find(struct bus *bus, uint64_t addr, unsigned len,
				   uint64_t *ret_offset, bool *ret_part)
{
	struct bus_region *found = NULL;

	*ret_part = false;
	lock_acquire(&bus->lock);
	unsigned at = bus_search_again(bus, addr);
	if (at < bus->n) {
		struct bus_region *r = bus->regions[at];
		*ret_offset = addr - r->base;
		if (addr >= r->base && r->size - *ret_offset >= len)
			found = r;
		else
			*ret_part = len > 1 && r->base <= addr + (len - 1);
	}
	lock_release(&bus->lock);
	return found;
}

static uint64_t bus_mask(unsigned len)
{
	return len >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * len)) - 1;
}

uint64_t bus_region_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	if (region->lock)
		lock_acquire(region->lock);
	uint64_t value = region->ops->read(region, offset, len);
	if (region->lock)
		lock_release(region->lock);
	return value;
}

void bus_region_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	if (region->lock)
		lock_acquire(region->lock);
	region->ops->write(region, offset, len, value);
	if (region->lock)
		lock_release(region->lock);
}

uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned len)
{
	uint64_t offset = 0, value = 0;
	bool part;
	struct bus_region *r = bus_find(bus, addr, len, &offset, &part);

	if (r)
		return bus_region_read(r, offset, len) & bus_mask(len);
	if (!part)
		return bus_mask(len);
	for (unsigned i = 0; i < len; i++)
		value |= bus_read(bus, addr + i, 1) << (8 * i);
	return value;
}

void bus_write(struct bus *bus, uint64_t addr, unsigned len, uint64_t value)
{
	uint64_t offset = 0;
	bool part;
	struct bus_region *r = bus_find(bus, addr, len, &offset, &part);

	if (r) {
		bus_region_write(r, offset, len, value & bus_mask(len));
		return;
	}
	for (unsigned i = 0; part && i < len; i++)
		bus_write(bus, addr + i, 1, value >> (8 * i) & 0xff);
}
