/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/ivrs.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/core/bytes.h"

#define HEAD_BYTES     48U
#define BLOCK_BYTES    4U /* kind, flags, length: each block begins so */
#define OLD_BYTES      24U
#define NEW_BYTES      40U
#define MEMORY_BYTES   32U
#define NAMED_BYTES    22U /* of an entry with ACPI names: up to the text of the last */
#define PAGE	       UINT64_C(4096)
#define REGS_ALIGN     UINT64_C(16384)
#define UNIT_LIMIT     (UINT64_C(1) << 46)
#define MEMORY_LIMIT   (UINT64_C(1) << 52)
#define ID_LAST	       0xffffU
#define UNITY	       0x01U
#define WRITES	       0x04U
#define EXCLUSION      0x08U
#define SPECIAL_IOAPIC 1U

enum { KIND_OLD = 0x10, KIND_NEW = 0x11, KIND_NAMED = 0x40 };
enum { MEMORY_ALL = 0x20, MEMORY_ONE = 0x21, MEMORY_RANGE = 0x22 };

enum entry_kind {
	ENTRY_ALL = 1,
	ENTRY_ONE = 2,
	ENTRY_START = 3,
	ENTRY_END = 4,
	ENTRY_ALIAS_ONE = 66,
	ENTRY_ALIAS_START = 67,
	ENTRY_EXT_ONE = 70,
	ENTRY_EXT_START = 71,
	ENTRY_SPECIAL = 72,
	ENTRY_NAMED = 240,
};

static bool is_unit(uint8_t kind)
{
	return kind == KIND_OLD || kind == KIND_NEW || kind == KIND_NAMED;
}

/* The block at an offset. Return: its length; 0: it does not fit. */
static uint32_t block_len(const uint8_t *table, uint32_t len, uint32_t at)
{
	uint32_t left = len - at, size = left < BLOCK_BYTES ? 0 : le16_load(table + at + 2);

	return size < BLOCK_BYTES || size > left ? 0 : size;
}

static struct ivrs_unit *unit_with(struct ivrs *ivrs, uint16_t id)
{
	for (unsigned i = 0; i < ivrs->n_units; i++) {
		if (ivrs->units[i].id == id)
			return &ivrs->units[i];
	}
	return NULL;
}

static int unit_read(const uint8_t *at, uint32_t len, struct ivrs *ret)
{
	if (len < (at[0] == KIND_OLD ? OLD_BYTES : NEW_BYTES))
		return -EPROTO;
	if (le16_load(at + 16)) /* segment */
		return 0;
	struct ivrs_unit unit = { .base = le64_load(at + 8),
				  .id = le16_load(at + 4),
				  .cap = le16_load(at + 6),
				  .flags = at[1],
				  .kind = at[0] };
	if (!unit.base || unit.base % REGS_ALIGN || unit.base >= UNIT_LIMIT || unit.cap > 0xfc ||
	    unit.cap % 4)
		return -EPROTO;
	struct ivrs_unit *there = unit_with(ret, unit.id);
	if (there && there->kind == unit.kind)
		return -EPROTO;
	if (there) {
		*there = there->kind < unit.kind ? unit : *there;
		return 0;
	}
	if (ret->n_units == IVRS_UNITS)
		return -E2BIG;
	ret->units[ret->n_units++] = unit;
	return 0;
}

static int memory_read(const uint8_t *at, uint32_t len, struct ivrs *ret)
{
	if (len < MEMORY_BYTES)
		return -EPROTO;
	if (le16_load(at + 8) ||
	    !(at[1] & (UNITY | EXCLUSION))) /* segment; memory that is left alone */
		return 0;
	if (ret->n_reserved == IVRS_RESERVED)
		return -E2BIG;
	struct ivrs_reserved range = { .first = le16_load(at + 4),
				       .last = le16_load(at + 4),
				       .start = le64_load(at + 16),
				       .len = le64_load(at + 24),
				       .read_only = !(at[1] & (WRITES | EXCLUSION)) };
	if (at[0] == MEMORY_ALL) {
		range.first = 0;
		range.last = ID_LAST;
	} else if (at[0] == MEMORY_RANGE) {
		range.last = le16_load(at + 6);
	}
	if (range.first > range.last || (range.start | range.len) % PAGE || !range.len ||
	    range.start >= MEMORY_LIMIT || range.len > MEMORY_LIMIT - range.start)
		return -EPROTO;
	ret->reserved[ret->n_reserved++] = range;
	return 0;
}

/* Bytes of an entry: the kind's two highest bits say it, but for the one kind that says it itself. 0: it does not fit. */
static uint32_t entry_len(const uint8_t *at, uint32_t left)
{
	uint32_t len = 4U << (at[0] >> 6);

	if (at[0] == ENTRY_NAMED)
		len = left < NAMED_BYTES ? UINT32_MAX : NAMED_BYTES + at[21];
	return len > left ? 0 : len;
}

static int entry_add(struct ivrs *ret, const struct ivrs_entry *entry)
{
	if (ret->n_entries == IVRS_ENTRIES)
		return -E2BIG;
	ret->entries[ret->n_entries++] = *entry;
	return 0;
}

static int special_read(const uint8_t *at, struct ivrs *ret)
{
	if (at[7] != SPECIAL_IOAPIC)
		return 0;
	if (ret->n_ioapics == IVRS_IOAPICS)
		return -E2BIG;
	ret->ioapics[ret->n_ioapics++] = (struct ivrs_ioapic){ le16_load(at + 5), at[3] };
	return 0;
}

/* One entry; *range: the one that has begun and has not ended, where *is_open. */
static int entry_read(const uint8_t *at, struct ivrs *ret, struct ivrs_entry *range, bool *is_open)
{
	uint8_t kind = at[0];
	uint16_t id = le16_load(at + 1);
	struct ivrs_entry e = { .first = id, .last = id, .unit = range->unit, .settings = at[3] };

	if (*is_open != (kind == ENTRY_END))
		return kind ? -EPROTO : 0; /* 0 fills up */
	if (kind == ENTRY_ALIAS_ONE || kind == ENTRY_ALIAS_START) {
		e.has_alias = true;
		e.alias = le16_load(at + 5);
	}
	switch (kind) {
	case ENTRY_ALL:
		e.first = 0;
		e.last = ID_LAST;
		return entry_add(ret, &e);
	case ENTRY_ONE:
	case ENTRY_ALIAS_ONE:
	case ENTRY_EXT_ONE:
	case ENTRY_NAMED:
		return entry_add(ret, &e);
	case ENTRY_START:
	case ENTRY_ALIAS_START:
	case ENTRY_EXT_START:
		*range = e;
		*is_open = true;
		return 0;
	case ENTRY_END:
		range->last = id;
		*is_open = false;
		return range->last < range->first ? -EPROTO : entry_add(ret, range);
	case ENTRY_SPECIAL:
		return special_read(at, ret);
	default: /* of a later specification */
		return 0;
	}
}

static int entries_read(const uint8_t *at, uint32_t len, uint8_t unit, struct ivrs *ret)
{
	struct ivrs_entry range = { .unit = unit };
	bool is_open = false;

	while (len) {
		uint32_t size = entry_len(at, len);
		int r = size ? entry_read(at, ret, &range, &is_open) : -EPROTO;
		if (r < 0)
			return r;
		at += size;
		len -= size;
	}
	return is_open ? -EPROTO : 0;
}

/* The entries of a block, if it is the one that its unit was taken from. */
static int unit_entries(const uint8_t *at, uint32_t len, struct ivrs *ret)
{
	const struct ivrs_unit *unit =
		le16_load(at + 16) ? NULL : unit_with(ret, le16_load(at + 4));
	uint32_t head = at[0] == KIND_OLD ? OLD_BYTES : NEW_BYTES;

	if (!unit || unit->kind != at[0])
		return 0;
	return entries_read(at + head, len - head, (uint8_t)(unit - ret->units), ret);
}

int ivrs_read(const uint8_t *table, uint32_t len, struct ivrs *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (len < HEAD_BYTES)
		return -EPROTO;
	int r = 0;
	for (uint32_t at = HEAD_BYTES, size; r == 0 && at < len; at += size) {
		size = block_len(table, len, at);
		if (!size)
			return -EPROTO;
		if (is_unit(table[at]))
			r = unit_read(table + at, size, ret);
		else if (table[at] >= MEMORY_ALL && table[at] <= MEMORY_RANGE)
			r = memory_read(table + at, size, ret);
	}
	for (uint32_t at = HEAD_BYTES; r == 0 && at < len; at += block_len(table, len, at)) {
		if (is_unit(table[at]))
			r = unit_entries(table + at, block_len(table, len, at), ret);
	}
	return r < 0 ? r : ret->n_units ? 0 : -ENODATA;
}

const struct ivrs_entry *ivrs_find(const struct ivrs *ivrs, uint16_t id)
{
	const struct ivrs_entry *found = NULL;

	for (unsigned i = 0; i < ivrs->n_entries; i++) {
		const struct ivrs_entry *e = &ivrs->entries[i];
		if (id >= e->first && id <= e->last &&
		    (!found || e->last - e->first <= found->last - found->first))
			found = e;
	}
	return found;
}
