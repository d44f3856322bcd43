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

/* Where a region was when it was looked for: another vcpu may move it at any time. */
struct found {
	struct bus_region *region; /* NULL: nobody's */
	uint64_t base, size;
};

/* Who answers at addr, or next after it. */
static inline struct found bus_find(struct bus *bus, uint64_t addr)
{
	struct found found = { 0 };

	lock_acquire(&bus->lock);
	unsigned at = bus_search_again(bus, addr);
	if (at < bus->n) {
		struct bus_region *r = bus->regions[at];
		found = (struct found){ r, r->base, r->size };
	}
	lock_release(&bus->lock);
	return found;
}

/* It answers for all of [addr, addr + len). */
static inline bool is_whole(const struct found *found, uint64_t addr, unsigned len)
{
	uint64_t offset = addr - found->base; /* of what begins behind addr: larger than its size */

	return offset < found->size && found->size - offset >= len;
}

/* It answers for a part of it. */
static inline bool is_part(const struct found *found, uint64_t addr, unsigned len)
{
	return found->region && len > 1 && found->base <= addr + (len - 1);
}

static uint64_t bus_mask(unsigned len)
{
	return UINT64_MAX >> (64 - 8 * len);
}

static inline uint64_t region_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	if (region->lock)
		lock_acquire(region->lock);
	uint64_t value = region->ops->read(region, offset, len);
	if (region->lock)
		lock_release(region->lock);
	return value;
}

static inline void region_write(struct bus_region *region, uint64_t offset, unsigned len,
				uint64_t value)
{
	if (region->lock)
		lock_acquire(region->lock);
	region->ops->write(region, offset, len, value);
	if (region->lock)
		lock_release(region->lock);
}

uint64_t bus_region_read(struct bus_region *region, uint64_t offset, unsigned len)
{
	return region_read(region, offset, len);
}

void bus_region_write(struct bus_region *region, uint64_t offset, unsigned len, uint64_t value)
{
	region_write(region, offset, len, value);
}

/* Byte by byte, where somebody answers for a part. */
static __attribute__((noinline)) uint64_t bus_read_parts(struct bus *bus, uint64_t addr,
							 unsigned len)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < len; i++)
		value |= bus_read(bus, addr + i, 1) << (8 * i);
	return value;
}

static __attribute__((noinline)) void bus_write_parts(struct bus *bus, uint64_t addr, unsigned len,
						      uint64_t value)
{
	for (unsigned i = 0; i < len; i++)
		bus_write(bus, addr + i, 1, value >> (8 * i) & 0xff);
}

uint64_t bus_read(struct bus *bus, uint64_t addr, unsigned len)
{
	const struct found found = bus_find(bus, addr);

	if (is_whole(&found, addr, len)) /* nobody's has no size */
		return region_read(found.region, addr - found.base, len) & bus_mask(len);
	return is_part(&found, addr, len) ? bus_read_parts(bus, addr, len) : bus_mask(len);
}

void bus_write(struct bus *bus, uint64_t addr, unsigned len, uint64_t value)
{
	const struct found found = bus_find(bus, addr);

	if (is_whole(&found, addr, len))
		region_write(found.region, addr - found.base, len, value & bus_mask(len));
	else if (is_part(&found, addr, len))
		bus_write_parts(bus, addr, len, value);
}
