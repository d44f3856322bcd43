/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/memory.h"

#define PAGE_MASK UINT64_C(0xfff)

static void free_add(struct boot_free *free, uint64_t start, uint64_t end)
{
	start = (start + PAGE_MASK) & ~PAGE_MASK;
	end &= ~PAGE_MASK;
	if (start >= end)
		return;
	if (free->n < BOOT_FREE_RANGES) {
		free->ranges[free->n++] = (struct boot_range){ start, end - start, BOOT_RAM };
		return;
	}
	free->is_cut = true;
	unsigned least = 0;
	for (unsigned i = 1; i < free->n; i++) {
		if (free->ranges[i].len < free->ranges[least].len)
			least = i;
	}
	if (free->ranges[least].len < end - start)
		free->ranges[least] = (struct boot_range){ start, end - start, BOOT_RAM };
}

/* Cuts [start, end) out of everything that is there. */
static void free_cut(struct boot_free *free, uint64_t start, uint64_t end)
{
	unsigned n = free->n;

	for (unsigned i = 0; i < n;) {
		struct boot_range *range = &free->ranges[i];
		uint64_t first = range->start, last = range->start + range->len;
		if (end <= first || start >= last || start >= end) {
			i++;
			continue;
		}
		*range = free->ranges[--n];
		free->ranges[n] = free->ranges[--free->n];
		if (start > first)
			free_add(free, first, start & ~PAGE_MASK);
		if (end < last)
			free_add(free, end, last);
	}
}

static void free_add_ram(const struct boot_info *info, unsigned which, struct boot_free *ret)
{
	const struct boot_range *ram = &info->ranges[which];
	uint64_t start = ram->start, end = ram->start + ram->len;

	if (start < BOOT_LOW_BYTES)
		start = BOOT_LOW_BYTES;
	if (start >= end)
		return;
	free_cut(ret, start, end); /* said twice is there once */
	free_add(ret, start, end);
}

void boot_free_memory(const struct boot_info *info, const struct boot_range *taken,
		      unsigned n_taken, struct boot_free *ret)
{
	*ret = (struct boot_free){ .n = 0 };
	for (unsigned i = 0; i < info->n_ranges; i++) {
		if (info->ranges[i].type == BOOT_RAM)
			free_add_ram(info, i, ret);
	}
	for (unsigned i = 0; i < info->n_ranges; i++) {
		if (info->ranges[i].type != BOOT_RAM)
			free_cut(ret, info->ranges[i].start,
				 info->ranges[i].start + info->ranges[i].len);
	}
	for (unsigned i = 0; i < info->n_files; i++)
		free_cut(ret, info->files[i].start, info->files[i].start + info->files[i].len);
	for (unsigned i = 0; i < n_taken; i++)
		free_cut(ret, taken[i].start, taken[i].start + taken[i].len);
}

uint64_t boot_ram_end(const struct boot_info *info)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < info->n_ranges; i++) {
		const struct boot_range *range = &info->ranges[i];
		if (range->type != BOOT_RAM && range->type != BOOT_ACPI && range->type != BOOT_NVS)
			continue;
		if (range->start + range->len > end)
			end = range->start + range->len;
	}
	return end;
}

uint64_t boot_ram_bytes(const struct boot_info *info)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < info->n_ranges; i++)
		bytes += info->ranges[i].type == BOOT_RAM ? info->ranges[i].len : 0;
	return bytes;
}

uint64_t boot_file_bytes(const struct boot_info *info)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < info->n_files; i++)
		bytes += (info->files[i].len + PAGE_MASK) & ~PAGE_MASK;
	return bytes;
}

static bool page_is_ram(const struct boot_info *info, uint64_t page)
{
	bool is_ram = false;

	for (unsigned i = 0; i < info->n_ranges; i++) {
		const struct boot_range *range = &info->ranges[i];
		uint64_t end = range->start + range->len;
		if (range->type == BOOT_RAM)
			is_ram |= range->start <= page && page + PAGE_MASK < end;
		else if (range->start <= page + PAGE_MASK && page < end)
			return false;
	}
	return is_ram;
}

bool boot_has_file(const struct boot_info *info, uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < info->n_files; i++) {
		const struct boot_file *file = &info->files[i];
		if (file->start < end && start < file->start + file->len)
			return true;
	}
	return false;
}

uint64_t boot_low_page(const struct boot_info *info)
{
	for (uint64_t page = 0x8000; page >= 0x1000; page -= 0x1000) {
		if (page_is_ram(info, page) && !boot_has_file(info, page, page + PAGE_MASK + 1))
			return page;
	}
	for (uint64_t page = 0x9000; page < 0xa0000; page += 0x1000) {
		if (page_is_ram(info, page) && !boot_has_file(info, page, page + PAGE_MASK + 1))
			return page;
	}
	return 0;
}
