/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "storage/disk/qcow2_private.h"

uint64_t qcow2_l1_index(const struct qlayer *layer, uint64_t pos)
{
	return pos >> qcow2_cover_bits(layer->cluster_bits);
}

uint64_t qcow2_l2_at(const struct qlayer *layer, uint64_t pos)
{
	uint64_t table = be64_get(layer->l1[qcow2_l1_index(layer, pos)]) & QCOW2_OFFSET_MASK;
	uint64_t entries = UINT64_C(1) << (layer->cluster_bits - 3);

	return table ? table + ((pos >> layer->cluster_bits) & (entries - 1)) * 8 : 0;
}

bool qcow2_entry(const struct qlayer *layer, uint64_t entry, struct qrun *ret)
{
	uint64_t host = entry & QCOW2_OFFSET_MASK;

	*ret = (struct qrun){ .entry = entry };
	if (entry & QCOW2_PACKED) {
		ret->kind = QMAP_PACKED;
		ret->has_old = true;
		return true;
	}
	ret->has_old = host != 0;
	ret->host = host;
	if (host & ((UINT64_C(1) << layer->cluster_bits) - 1))
		return false;
	if (layer->version >= 3 && (entry & QCOW2_ZERO)) {
		ret->kind = QMAP_ZERO;
	} else if (host) {
		ret->kind = QMAP_DATA;
		ret->owned = entry & QCOW2_COPIED;
	}
	return true;
}

/* Whether b, the next cluster, goes on as a does. */
static bool map_goes_on(const struct qrun *a, const struct qrun *b, uint64_t distance)
{
	if (a->kind != b->kind || a->kind == QMAP_PACKED || a->has_old != b->has_old)
		return false;
	return a->kind != QMAP_DATA || (a->owned == b->owned && b->host == a->host + distance);
}

/* From the cluster of pos, as far as one slice tells. */
static int map_in_slice(const struct qcow2 *q, const struct qlayer *layer,
			const struct slice *slice, uint64_t at, uint64_t pos, uint64_t len,
			struct qrun *ret)
{
	uint64_t cluster = UINT64_C(1) << layer->cluster_bits, inside = pos & (cluster - 1);
	unsigned byte = (unsigned)(at - slice->offset);
	uint64_t have = cluster;
	struct qrun next;

	if (!qcow2_entry(layer, be64_load(slice->data + byte), ret))
		return -EIO;
	for (byte += 8; byte < q->slice_bytes && have - inside < len; byte += 8, have += cluster) {
		if (!qcow2_entry(layer, be64_load(slice->data + byte), &next) ||
		    !map_goes_on(ret, &next, have))
			break;
	}
	ret->len = have - inside < len ? have - inside : len;
	if (ret->kind == QMAP_DATA)
		ret->host += inside;
	return 1;
}

int qcow2_map(struct qcow2 *q, const struct qlayer *layer, uint64_t pos, uint64_t len,
	      struct qtask *task, void (*fn)(struct qtask *task), struct qrun *ret)
{
	uint64_t cover = UINT64_C(1) << qcow2_cover_bits(layer->cluster_bits);
	uint64_t at = qcow2_l2_at(layer, pos);

	if (at == 0) {
		uint64_t left = cover - (pos & (cover - 1));
		*ret = (struct qrun){ .kind = QMAP_NONE, .len = left < len ? left : len };
		return 1;
	}
	if (be64_get(layer->l1[qcow2_l1_index(layer, pos)]) & QCOW2_OFFSET_MASK &
	    ((UINT64_C(1) << layer->cluster_bits) - 1))
		return -EIO;
	struct slice *slice = qcow2_slice(q, layer, at, false, task, fn);
	return slice ? map_in_slice(q, layer, slice, at, pos, len, ret) : 0;
}

static bool map_overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

bool qcow2_host_ok(const struct qcow2 *q, uint64_t host, uint64_t len)
{
	return !map_overlaps(host, len, 0, q->cluster_bytes) &&
	       !map_overlaps(host, len, q->top->l1_offset, q->top->l1_bytes) &&
	       !map_overlaps(host, len, q->rt_offset, q->rt_bytes);
}
