/* SPDX-License-Identifier: Apache-2.0 */
#include "machine/boot_priv.h"
#include "machine/layout.h"

/* What is never RAM for the guest's kernel, ascending. */
static const struct boot_map_entry boot_reserved[] = {
	{ LAYOUT_EBDA, UINT64_C(0xa0000) - LAYOUT_EBDA, BOOT_MAP_RESERVED },
	{ LAYOUT_ACPI, LAYOUT_ACPI_BYTES, BOOT_MAP_RESERVED },
	{ LAYOUT_ECAM, LAYOUT_ECAM_BYTES, BOOT_MAP_RESERVED }, /* PCI Firmware 3.0, 4.1.2: MCFG */
	{ LAYOUT_IDENTITY_MAP, UINT64_C(0x4000), BOOT_MAP_RESERVED },
};

struct boot_map_fill {
	struct boot_map_entry *entries;
	unsigned n;
};

static void map_add(struct boot_map_fill *fill, gpa_t gpa, gpa_t end, enum boot_map_type type)
{
	if (gpa < end && fill->n < BOOT_MAP)
		fill->entries[fill->n++] = (struct boot_map_entry){ gpa, end - gpa, type };
}

/* A slot without the range from LAYOUT_EBDA to 1 MiB. */
static void map_slot(struct boot_map_fill *fill, const struct mem_slot *slot)
{
	gpa_t end = slot->gpa + slot->size_bytes;
	enum boot_map_type type = slot->read_only ? BOOT_MAP_RESERVED : BOOT_MAP_RAM;

	map_add(fill, slot->gpa, end < LAYOUT_EBDA ? end : LAYOUT_EBDA, type);
	map_add(fill, slot->gpa > LAYOUT_KERNEL ? slot->gpa : LAYOUT_KERNEL, end, type);
}

static void map_sort(struct boot_map_fill *fill)
{
	for (unsigned i = 1; i < fill->n; i++) {
		struct boot_map_entry e = fill->entries[i];
		unsigned at = i;
		for (; at > 0 && fill->entries[at - 1].gpa > e.gpa; at--)
			fill->entries[at] = fill->entries[at - 1];
		fill->entries[at] = e;
	}
}

unsigned boot_map(const struct guest_mem *mem, struct boot_map_entry ret[BOOT_MAP])
{
	struct boot_map_fill fill = { .entries = ret };

	for (unsigned i = 0; i < ARRAY_SIZE(boot_reserved); i++)
		ret[fill.n++] = boot_reserved[i];
	for (unsigned i = 0; i < mem->n; i++)
		map_slot(&fill, &mem->slots[i]);
	map_sort(&fill);
	return fill.n;
}
