/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/dmar.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"

#define HEAD_BYTES     48U
#define UNIT_BYTES     16U
#define RESERVED_BYTES 24U
#define SCOPE_BYTES    6U
#define PAGE	       UINT64_C(4096)
#define UNIT_LIMIT     (UINT64_C(1) << 46)
#define MEMORY_LIMIT   (UINT64_C(1) << 52)

enum { KIND_UNIT = 0, KIND_RESERVED = 1 };

static int scope_read(const uint8_t *at, uint8_t len, struct dmar_scope *ret)
{
	unsigned n = (len - SCOPE_BYTES) / 2;

	if (!n || len & 1)
		return -EPROTO;
	if (n > DMAR_PATH)
		return -E2BIG;
	*ret = (struct dmar_scope){ .kind = at[0], .bus = at[5], .n_path = (uint8_t)n };
	for (unsigned i = 0; i < n; i++) {
		ret->path[i].slot = at[SCOPE_BYTES + 2 * i];
		ret->path[i].function = at[SCOPE_BYTES + 2 * i + 1];
		if (ret->path[i].slot > 31 || ret->path[i].function > 7)
			return -EPROTO;
	}
	return 0;
}

static int scopes_read(const uint8_t *at, uint32_t len, struct dmar_scopes *ret)
{
	while (len) {
		if (len < SCOPE_BYTES || at[1] < SCOPE_BYTES || at[1] > len)
			return -EPROTO;
		uint8_t size = at[1];
		if (at[0] == DMAR_ENDPOINT || at[0] == DMAR_BRIDGE) {
			if (ret->n == DMAR_SCOPES)
				return -E2BIG;
			int r = scope_read(at, size, &ret->at[ret->n]);
			if (r < 0)
				return r;
			ret->n++;
		}
		at += size;
		len -= size;
	}
	return 0;
}

static int unit_read(const uint8_t *at, uint32_t len, struct dmar *ret)
{
	if (len < UNIT_BYTES)
		return -EPROTO;
	if (le16_load(at + 6)) /* segment */
		return 0;
	if (ret->n_units == DMAR_UNITS)
		return -E2BIG;
	struct dmar_unit *unit = &ret->units[ret->n_units];
	unit->base = le64_load(at + 8);
	unit->has_rest = at[4] & 1;
	if (!unit->base || unit->base % PAGE || unit->base >= UNIT_LIMIT)
		return -EPROTO;
	ret->n_units++;
	return scopes_read(at + UNIT_BYTES, len - UNIT_BYTES, &unit->scopes);
}

static int reserved_read(const uint8_t *at, uint32_t len, struct dmar *ret)
{
	if (len < RESERVED_BYTES)
		return -EPROTO;
	if (le16_load(at + 6))
		return 0;
	if (ret->n_reserved == DMAR_RESERVED)
		return -E2BIG;
	struct dmar_reserved *range = &ret->reserved[ret->n_reserved];
	uint64_t start = le64_load(at + 8), last = le64_load(at + 16);
	if (start % PAGE || last <= start || last >= MEMORY_LIMIT || (last + 1) % PAGE)
		return -EPROTO;
	range->start = start;
	range->len = last - start + 1;
	ret->n_reserved++;
	return scopes_read(at + RESERVED_BYTES, len - RESERVED_BYTES, &range->scopes);
}

int dmar_read(const uint8_t *table, uint32_t len, struct dmar *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (len < HEAD_BYTES)
		return -EPROTO;
	ret->has_interrupts = table[37] & 1;
	for (uint32_t at = HEAD_BYTES; at < len;) {
		uint32_t left = len - at, size = left < 4 ? 0 : le16_load(table + at + 2);
		int r = 0;
		if (size < 4 || size > left)
			return -EPROTO;
		if (le16_load(table + at) == KIND_UNIT)
			r = unit_read(table + at, size, ret);
		else if (le16_load(table + at) == KIND_RESERVED)
			r = reserved_read(table + at, size, ret);
		if (r < 0)
			return r;
		at += size;
	}
	return ret->n_units ? 0 : -ENODATA;
}
