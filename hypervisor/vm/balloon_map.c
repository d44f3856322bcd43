/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/balloon_map.h"

#include <string.h>

#define WORDS (BALLOON_MAP_PAGES / 64)

uint64_t balloon_map_bytes(gpa_t end)
{
	uint64_t bytes =
		((end + MEM_PIECE_BYTES - 1) >> MEM_PIECE_SHIFT) * sizeof(struct balloon_piece);

	return (bytes + GUEST_PAGE_BYTES - 1) & ~(uint64_t)(GUEST_PAGE_BYTES - 1);
}

void balloon_map_init(struct balloon_map *map, struct balloon_piece *pieces, gpa_t end)
{
	map->pieces = pieces;
	map->n = (end + MEM_PIECE_BYTES - 1) >> MEM_PIECE_SHIFT;
	map->n_wanted = 0;
	map->n_pages = 0;
}

/* The part of the piece at gpa that [gpa, gpa + len) covers. */
static uint64_t part_of(gpa_t gpa, uint64_t len)
{
	uint64_t left = MEM_PIECE_BYTES - gpa % MEM_PIECE_BYTES;

	return left < len ? left : len;
}

static void want(struct balloon_map *map, uint64_t piece)
{
	if (map->pieces[piece].is_wanted || map->n_wanted == BALLOON_MAP_MOST)
		return;
	map->pieces[piece].is_wanted = true;
	map->wanted[map->n_wanted++] = (uint32_t)piece;
}

/* Return: how many of them were not so before. */
static uint64_t pages_set(struct balloon_piece *piece, gpa_t gpa, uint64_t len, bool value)
{
	uint64_t first = gpa % MEM_PIECE_BYTES / GUEST_PAGE_BYTES, n = 0;

	for (uint64_t page = first; page < first + len / GUEST_PAGE_BYTES; page++) {
		uint64_t bit = UINT64_C(1) << page % 64;
		uint64_t *word = &piece->pages[page / 64];
		n += !(*word & bit) == value;
		*word = value ? *word | bit : *word & ~bit;
	}
	return n;
}

uint64_t balloon_map_count(const struct balloon_map *map, gpa_t gpa, uint64_t len)
{
	uint64_t n = 0;

	for (; len && gpa >> MEM_PIECE_SHIFT < map->n;
	     gpa += GUEST_PAGE_BYTES, len -= GUEST_PAGE_BYTES) {
		const struct balloon_piece *piece = &map->pieces[gpa >> MEM_PIECE_SHIFT];
		uint64_t page = gpa % MEM_PIECE_BYTES / GUEST_PAGE_BYTES;
		n += piece->pages[page / 64] >> page % 64 & 1;
	}
	return n;
}

static bool is_whole(const struct balloon_piece *piece)
{
	uint64_t all = UINT64_MAX;

	for (unsigned i = 0; i < WORDS; i++)
		all &= piece->pages[i];
	return all == UINT64_MAX;
}

void balloon_map_inflate(struct balloon_map *map, gpa_t gpa, uint64_t len)
{
	for (uint64_t part; len; gpa += part, len -= part) {
		uint64_t piece = gpa >> MEM_PIECE_SHIFT;
		part = part_of(gpa, len);
		if (piece >= map->n)
			return;
		map->n_pages += pages_set(&map->pieces[piece], gpa, part, true);
		if (is_whole(&map->pieces[piece]))
			want(map, piece);
	}
}

void balloon_map_deflate(struct balloon_map *map, gpa_t gpa, uint64_t len)
{
	for (uint64_t part; len; gpa += part, len -= part) {
		uint64_t piece = gpa >> MEM_PIECE_SHIFT;
		part = part_of(gpa, len);
		if (piece >= map->n)
			return;
		map->n_pages -= pages_set(&map->pieces[piece], gpa, part, false);
		map->pieces[piece].is_wanted = false;
	}
}

void balloon_map_report(struct balloon_map *map, gpa_t gpa, uint64_t len)
{
	uint64_t skip = -gpa % MEM_PIECE_BYTES;

	if (len < skip)
		return;
	for (gpa += skip, len -= skip; len >= MEM_PIECE_BYTES;
	     gpa += MEM_PIECE_BYTES, len -= MEM_PIECE_BYTES) {
		if (gpa >> MEM_PIECE_SHIFT >= map->n)
			return;
		want(map, gpa >> MEM_PIECE_SHIFT);
	}
}

void balloon_map_reset(struct balloon_map *map)
{
	memset(map->pieces, 0, map->n * sizeof(map->pieces[0]));
	map->n_pages = 0;
	map->n_wanted = 0;
}

bool balloon_map_take(struct balloon_map *map, gpa_t *ret_gpa)
{
	while (map->n_wanted) {
		uint32_t piece = map->wanted[--map->n_wanted];
		if (!map->pieces[piece].is_wanted)
			continue;
		map->pieces[piece].is_wanted = false;
		*ret_gpa = (gpa_t)piece << MEM_PIECE_SHIFT;
		return true;
	}
	return false;
}
