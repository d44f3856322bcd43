/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"
#include "boot/info.h"

enum mb2_tag_type {
	TAG_END = 0,
	TAG_CMDLINE = 1,
	TAG_MODULE = 3,
	TAG_MEMORY = 4,
	TAG_MAP = 6,
	TAG_FRAMEBUFFER = 8,
	TAG_RSDP1 = 14,
	TAG_RSDP2 = 15,
};

struct mb2_tag {
	struct le32 type, size; /* size: with this head, without the padding to 8 */
} __attribute__((packed));

struct mb2_module {
	struct mb2_tag tag;
	struct le32 start, end;
	/* text */
} __attribute__((packed));

struct mb2_map {
	struct mb2_tag tag;
	struct le32 entry_bytes, version;
	/* entries */
} __attribute__((packed));

struct mb2_range {
	struct le64 start, len;
	struct le32 type, zero;
} __attribute__((packed));

struct mb2_framebuffer {
	struct mb2_tag tag;
	struct le64 start;
	struct le32 pitch, width, height;
	uint8_t bits, type;
} __attribute__((packed));

static int mb2_module(const struct boot_view *view, uint64_t at, uint32_t size,
		      struct boot_info *info)
{
	const struct mb2_module *module = boot_view_at(view, at, sizeof(*module));

	if (size < sizeof(*module) || !module)
		return -EPROTO;
	uint32_t start = le32_get(module->start), end = le32_get(module->end);
	if (end < start)
		return -EPROTO;
	boot_info_add_file(
		info, start, end - start,
		boot_info_add_text(info, view, at + sizeof(*module), size - sizeof(*module)));
	return 0;
}

static int mb2_map(const struct boot_view *view, uint64_t at, uint32_t size, struct boot_info *info)
{
	const struct mb2_map *map = boot_view_at(view, at, sizeof(*map));

	if (size < sizeof(*map) || !map)
		return -EPROTO;
	uint32_t each = le32_get(map->entry_bytes);
	if (each < sizeof(struct mb2_range))
		return -EPROTO;
	for (uint64_t offset = sizeof(*map); offset + each <= size; offset += each) {
		const struct mb2_range *range = boot_view_at(view, at + offset, sizeof(*range));
		if (!range)
			return -EFAULT;
		boot_info_add_range(info, le64_get(range->start), le64_get(range->len),
				    le32_get(range->type));
	}
	return 0;
}

static void mb2_framebuffer(const struct boot_view *view, uint64_t at, uint32_t size,
			    struct boot_info *info)
{
	const struct mb2_framebuffer *fb = boot_view_at(view, at, sizeof(*fb));

	if (size < offsetof(struct mb2_framebuffer, type) + 1 || !fb)
		return;
	info->framebuffer = (struct boot_framebuffer){
		.start = le64_get(fb->start),
		.pitch = le32_get(fb->pitch),
		.width = le32_get(fb->width),
		.height = le32_get(fb->height),
		.bits = fb->bits,
		.type = fb->type,
	};
}

/* The copy has 20 bytes (ACPI 1.0) or 36. The newer one, which has the XSDT, is kept whatever the order. */
static void mb2_rsdp(const struct boot_view *view, uint64_t at, uint32_t size, bool is_new,
		     struct boot_info *info)
{
	uint32_t len = size - (uint32_t)sizeof(struct mb2_tag);
	const void *copy = boot_view_at(view, at + sizeof(struct mb2_tag), len);

	if (!copy || len < 20 || (!is_new && info->rsdp_copy[15] >= 2))
		return;
	memset(info->rsdp_copy, 0, sizeof(info->rsdp_copy));
	memcpy(info->rsdp_copy, copy,
	       len < sizeof(info->rsdp_copy) ? len : sizeof(info->rsdp_copy));
}

static int mb2_tag(const struct boot_view *view, uint64_t at, uint32_t type, uint32_t size,
		   struct boot_info *info)
{
	switch (type) {
	case TAG_CMDLINE:
		info->cmdline = boot_info_add_text(info, view, at + sizeof(struct mb2_tag),
						   size - sizeof(struct mb2_tag));
		return 0;
	case TAG_MODULE:
		return mb2_module(view, at, size, info);
	case TAG_MAP:
		return mb2_map(view, at, size, info);
	case TAG_FRAMEBUFFER:
		mb2_framebuffer(view, at, size, info);
		return 0;
	case TAG_RSDP1:
	case TAG_RSDP2:
		mb2_rsdp(view, at, size, type == TAG_RSDP2, info);
		return 0;
	default:
		return 0;
	}
}

int boot_info_multiboot2(const struct boot_view *view, uint64_t phys, struct boot_info *ret)
{
	const uint8_t *head = boot_view_at(view, phys, 8); /* total size, reserved */

	boot_info_init(ret, "multiboot2");
	if (!head)
		return -EFAULT;
	uint64_t total = le32_load(head);
	if (!boot_view_at(view, phys, total))
		return -EFAULT;
	for (uint64_t offset = 8; offset + sizeof(struct mb2_tag) <= total;) {
		const struct mb2_tag *tag = boot_view_at(view, phys + offset, sizeof(*tag));
		if (!tag)
			return -EFAULT;
		uint32_t type = le32_get(tag->type), size = le32_get(tag->size);
		if (size < sizeof(*tag) || size > total - offset)
			return -EPROTO;
		if (type == TAG_END)
			break;
		int r = mb2_tag(view, phys + offset, type, size, ret);
		if (r)
			return r;
		offset += ((uint64_t)size + 7) & ~UINT64_C(7);
	}
	return ret->n_ranges ? 0 : -ENODATA;
}
