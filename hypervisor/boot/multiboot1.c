/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/core/bytes.h"
#include "boot/info.h"

#define TEXT_MOST 2048U

enum info_flag {
	INFO_MEMORY = 0x1,
	INFO_CMDLINE = 0x4,
	INFO_MODULES = 0x8,
	INFO_MAP = 0x40,
	INFO_FRAMEBUFFER = 0x1000,
};

struct mb1_info {
	struct le32 flags, mem_lower_kib, mem_upper_kib, boot_device, cmdline, n_modules, modules;
	struct le32 symbols[4];
	struct le32 map_bytes, map, drives_bytes, drives, config, loader, apm;
	struct le32 vbe_control, vbe_mode_info;
	uint8_t vbe[8];
	uint8_t framebuffer[8]; /* le64, not aligned */
	struct le32 pitch, width, height;
	uint8_t bits, framebuffer_type;
} __attribute__((packed));

_Static_assert(offsetof(struct mb1_info, framebuffer) == 88, "Boot information format");

struct mb1_module {
	struct le32 start, end, string, reserved;
} __attribute__((packed));

struct mb1_range {
	struct le32 size; /* of what follows */
	uint8_t start[8], len[8];
	struct le32 type;
} __attribute__((packed));

static int mb1_map(const struct boot_view *view, uint64_t at, uint64_t bytes,
		   struct boot_info *info)
{
	uint64_t end = at + bytes;

	while (end - at >= sizeof(struct mb1_range)) {
		const struct mb1_range *range = boot_view_at(view, at, sizeof(*range));
		if (!range)
			return -EFAULT;
		uint32_t size = le32_get(range->size);
		if (size < sizeof(*range) - 4 || size > end - at - 4)
			return -EPROTO;
		boot_info_add_range(info, le64_load(range->start), le64_load(range->len),
				    le32_get(range->type));
		at += (uint64_t)size + 4;
	}
	return 0;
}

static int mb1_modules(const struct boot_view *view, uint64_t at, uint32_t n,
		       struct boot_info *info)
{
	for (uint32_t i = 0; i < n; i++) {
		if (i == BOOT_FILES) {
			info->is_cut = true;
			break;
		}
		const struct mb1_module *module =
			boot_view_at(view, at + i * sizeof(*module), sizeof(*module));
		if (!module)
			return -EFAULT;
		uint32_t start = le32_get(module->start), end = le32_get(module->end);
		if (end < start)
			return -EPROTO;
		boot_info_add_file(
			info, start, end - start,
			boot_info_add_text(info, view, le32_get(module->string), TEXT_MOST));
	}
	return 0;
}

static void mb1_framebuffer(const struct mb1_info *mb, struct boot_info *info)
{
	info->framebuffer = (struct boot_framebuffer){
		.start = le64_load(mb->framebuffer),
		.pitch = le32_get(mb->pitch),
		.width = le32_get(mb->width),
		.height = le32_get(mb->height),
		.bits = mb->bits,
		.type = mb->framebuffer_type,
	};
}

int boot_info_multiboot1(const struct boot_view *view, uint64_t phys, struct boot_info *ret)
{
	const struct mb1_info *mb = boot_view_at(view, phys, 52); /* up to map */
	int r = 0;

	boot_info_init(ret, "multiboot");
	if (!mb)
		return -EFAULT;
	uint32_t flags = le32_get(mb->flags);
	if (flags & INFO_CMDLINE)
		ret->cmdline = boot_info_add_text(ret, view, le32_get(mb->cmdline), TEXT_MOST);
	if (flags & INFO_MODULES)
		r = mb1_modules(view, le32_get(mb->modules), le32_get(mb->n_modules), ret);
	if (r)
		return r;
	if (flags & INFO_MAP) {
		r = mb1_map(view, le32_get(mb->map), le32_get(mb->map_bytes), ret);
	} else if (flags & INFO_MEMORY) {
		boot_info_add_range(ret, 0, le32_get(mb->mem_lower_kib) * UINT64_C(1024), BOOT_RAM);
		boot_info_add_range(ret, BOOT_LOW_BYTES,
				    le32_get(mb->mem_upper_kib) * UINT64_C(1024), BOOT_RAM);
	}
	if (r)
		return r;
	if (flags & INFO_FRAMEBUFFER && boot_view_at(view, phys, sizeof(*mb)))
		mb1_framebuffer(mb, ret);
	return ret->n_ranges ? 0 : -ENODATA;
}
