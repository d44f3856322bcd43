/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The server's memory: blocks of 2^order pages, naturally aligned, from a buddy allocator.
 *
 * Theory of operation. All physical memory (and the devices' below 4 GiB) is mapped where it is: a physical address is a
 * pointer, phys_to_ptr() and ptr_to_phys() say which is meant. What is free has its list links inside itself; beside it there is
 * one byte a page that says what the page heads. A block is zeroed once, when it is handed out, so that no guest finds what
 * another left, and giving back costs nothing; a guest's own memory is zeroed as it is touched (vm/first_touch.h). Every byte is counted: a test may compare before and after.
 *
 * Any CPU may call, under no lock but those above "pages" in core/spin.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/spin.h"

#define PAGE_BYTES    4096U
#define PAGE_SHIFT    12U
#define PAGE_ORDER_2M 9U
#define PAGE_ORDER_1G 18U
#define PAGE_ORDERS   19U /* 4 KiB .. 1 GiB */

static inline void *phys_to_ptr(uint64_t phys)
{
	return (void *)(uintptr_t)phys;
}
static inline uint64_t ptr_to_phys(const void *ptr)
{
	return (uint64_t)(uintptr_t)ptr;
}

/* page_order() - of the smallest block that holds so many bytes: what page_alloc() and page_free() are told */
static inline unsigned page_order(uint64_t bytes)
{
	unsigned order = 0;

	while ((uint64_t)PAGE_BYTES << order < bytes)
		order++;
	return order;
}

/*
 * page_alloc() - 4096 << order bytes, zeroed, aligned to their size
 * Return: NULL if order >= PAGE_ORDERS or no block of that size is left.
 */
void *page_alloc(unsigned order);
/* page_take() - the same, but not zeroed: whoever asks shows nobody what is in it. */
void *page_take(unsigned order);
/* page_free() - give back what page_alloc(order) gave; NULL is a no-op. A block that was not handed out is a panic. */
void page_free(void *block, unsigned order);

/*
 * page_run_take() - as many whole pages in a row as hold `bytes`, aligned to PAGE_BYTES << order, not zeroed
 * page_run_free() - with the same number; what page_take(order) gave, too
 * Return: NULL: none. The whole map may have to be looked through: for what is large and rare.
 */
void *page_run_take(uint64_t bytes, unsigned order);
void page_run_free(void *run, uint64_t bytes);
/* page_run_split() - one that is aligned to blocks of order `part`, and of these: from now on each of them is given back by itself. */
void page_run_split(void *run, uint64_t bytes, unsigned part);

/* Bytes in blocks that are free, and in all that were ever given to the allocator. */
uint64_t page_free_bytes(void);
uint64_t page_total_bytes(void);

/*
 * page_init() - hand over a range of memory; whole pages. Once for each free range, by the boot CPU; the first call
 * takes what the byte map of all memory up to ram_end needs out of the first range that has the room.
 * Return: 0, or -ENOMEM: the map fits nowhere yet (try the next range).
 */
int page_init(uint64_t start, uint64_t len, uint64_t ram_end);

/* ---- the allocator itself, for one of any memory: tests drive it ---- */

struct page_link {
	struct page_link *next, *previous;
};

struct page_pool {
	struct spin lock;
	uintptr_t base;			    /* address of page 0 of the map */
	uint64_t n_pages;		    /* that the map describes */
	uint8_t *map;			    /* PAGE_MAP_*; a byte a page */
	struct page_link free[PAGE_ORDERS]; /* heads of rings */
	uint64_t free_bytes, total_bytes;
};

enum page_map {
	PAGE_MAP_NONE = 0,    /* not ours, or inside of a block */
	PAGE_MAP_FREE = 0x40, /* | order: heads a free block */
	PAGE_MAP_USED = 0x80, /* | order: heads a block that is handed out */
	PAGE_MAP_ORDER = 0x3f,
};

/* @map: n_pages bytes; zeroed here. base: aligned to the largest block that is to be found. */
void page_pool_init(struct page_pool *pool, uintptr_t base, uint64_t n_pages, uint8_t *map);
/* Gives pages to the pool: whole pages inside of its map, which were not given before. */
void page_pool_add(struct page_pool *pool, uintptr_t start, uint64_t n_pages);
/* As page_alloc(), but not zeroed. */
void *page_pool_take(struct page_pool *pool, unsigned order);
/* Return: false, and nothing is done, if it is no block of that order that was handed out. */
bool page_pool_give(struct page_pool *pool, void *block, unsigned order);
/* A block is from now on blocks of order `part`. Return: false, and nothing is done, if it is no block of that order that was handed out, or part > order. */
bool page_pool_split(struct page_pool *pool, void *block, unsigned order, unsigned part);
/* n_pages in a row, aligned to 2^order pages, not zeroed: handed out as the blocks that page_pool_part() tells. NULL: there are none. */
void *page_pool_take_run(struct page_pool *pool, uint64_t n_pages, unsigned order);
/* The order of the block that begins at page number `page` of the pool when `left` are to be had: as large as its place allows. */
unsigned page_pool_part(uint64_t page, uint64_t left);
