/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/core/bytes.h"
#include "boot/info.h"

#define PVH_MAGIC UINT32_C(0x336ec578)
#define TEXT_MOST 2048U

struct pvh_start {
	struct le32 magic, version, flags, n_modules;
	struct le64 modules, cmdline, rsdp;
	/* version 1 and up */
	struct le64 map;
	struct le32 n_map, reserved;
} __attribute__((packed));

struct pvh_module {
	struct le64 start, len, cmdline, reserved;
} __attribute__((packed));

struct pvh_range {
	struct le64 start, len;
	struct le32 type, reserved;
} __attribute__((packed));

_Static_assert(sizeof(struct pvh_start) == 56, "start_info.h");

static int pvh_modules(const struct boot_view *view, uint64_t at, uint32_t n,
		       struct boot_info *info)
{
	for (uint32_t i = 0; i < n; i++) {
		if (i == BOOT_FILES) {
			info->is_cut = true;
			break;
		}
		const struct pvh_module *module =
			boot_view_at(view, at + i * sizeof(*module), sizeof(*module));
		if (!module)
			return -EFAULT;
		uint64_t text = le64_get(module->cmdline);
		boot_info_add_file(info, le64_get(module->start), le64_get(module->len),
				   text ? boot_info_add_text(info, view, text, TEXT_MOST) : 0);
	}
	return 0;
}

int boot_info_pvh(const struct boot_view *view, uint64_t phys, struct boot_info *ret)
{
	const struct pvh_start *start = boot_view_at(view, phys, sizeof(*start));

	boot_info_init(ret, "PVH");
	if (!start)
		return -EFAULT;
	if (le32_get(start->magic) != PVH_MAGIC || le32_get(start->version) < 1)
		return -EPROTO;
	if (le64_get(start->cmdline))
		ret->cmdline = boot_info_add_text(ret, view, le64_get(start->cmdline), TEXT_MOST);
	ret->rsdp = le64_get(start->rsdp);
	uint64_t at = le64_get(start->map);
	uint32_t n = le32_get(start->n_map);
	for (uint32_t i = 0; i < n && i < BOOT_RANGES; i++) {
		const struct pvh_range *range =
			boot_view_at(view, at + i * sizeof(*range), sizeof(*range));
		if (!range)
			return -EFAULT;
		boot_info_add_range(ret, le64_get(range->start), le64_get(range->len),
				    le32_get(range->type));
	}
	ret->is_cut |= n > BOOT_RANGES;
	int r = pvh_modules(view, le64_get(start->modules), le32_get(start->n_modules), ret);
	if (r)
		return r;
	return ret->n_ranges ? 0 : -ENODATA;
}
