/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a guest gives back, counted per piece of 2 MiB: single pages that are in its balloon, until all of a piece are; and
 * reported ranges, of which only whole pieces count.
 *
 * A page in the balloon stays there until it is deflated, or the device is reset. Reported memory is the guest's again the moment
 * its report is answered, without a word: so a report sets no page, it only makes whole pieces wanted at once.
 *
 * A range costs what it is long, whatever was said before: nothing is searched.
 *
 * Thread rule: one thread at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#include "machine/mem.h"

#define BALLOON_MAP_PAGES (MEM_PIECE_BYTES / GUEST_PAGE_BYTES)
/* Pieces that are wanted at a time; what goes beyond is left to the guest. It bounds what one turn does. */
#define BALLOON_MAP_MOST 1024U

struct balloon_piece {
	uint64_t pages[BALLOON_MAP_PAGES / 64]; /* a bit a page: in the balloon */
	bool is_wanted;
};

struct balloon_map {
	struct balloon_piece *pieces; /* by number */
	uint64_t n;
	uint64_t n_pages; /* in the balloon */
	unsigned n_wanted;
	uint32_t wanted[BALLOON_MAP_MOST]; /* numbers; what is_wanted no more is passed over */
};

/* balloon_map_bytes() - of pieces, for guest memory below end: whole pages */
uint64_t balloon_map_bytes(gpa_t end);
/* balloon_map_init() - @pieces: zeroed, of that size; the caller's */
void balloon_map_init(struct balloon_map *map, struct balloon_piece *pieces, gpa_t end);
/* Ranges of whole pages, below end. Those of deflate() are wanted no more either. */
void balloon_map_inflate(struct balloon_map *map, gpa_t gpa, uint64_t len);
void balloon_map_deflate(struct balloon_map *map, gpa_t gpa, uint64_t len);
void balloon_map_report(struct balloon_map *map, gpa_t gpa, uint64_t len);
/* balloon_map_count() - how many pages of a range are in the balloon */
uint64_t balloon_map_count(const struct balloon_map *map, gpa_t gpa, uint64_t len);
/* balloon_map_reset() - the balloon is empty, and nothing is wanted. */
void balloon_map_reset(struct balloon_map *map);
/* balloon_map_take() - a piece that is to be given back, once. false: there is none. */
bool balloon_map_take(struct balloon_map *map, gpa_t *ret_gpa);
