/* SPDX-License-Identifier: Apache-2.0 */
#include "core/page.h"

#include <errno.h>
#include <string.h>

#include "core/panic.h"

/* The server has one memory. */
static struct page_pool pages;

static void link_init(struct page_link *head)
{
	head->next = head->previous = head;
}

static void link_remove(struct page_link *link)
{
	link->next->previous = link->previous;
	link->previous->next = link->next;
}

static void link_push(struct page_link *head, struct page_link *link)
{
	link->next = head->next;
	link->previous = head;
	head->next->previous = link;
	head->next = link;
}

static void *pool_ptr(const struct page_pool *pool, uint64_t page)
{
	return (void *)(pool->base + (uintptr_t)(page << PAGE_SHIFT));
}

void page_pool_init(struct page_pool *pool, uintptr_t base, uint64_t n_pages, uint8_t *map)
{
	*pool = (struct page_pool){ .base = base, .n_pages = n_pages, .map = map };
	memset(map, PAGE_MAP_NONE, n_pages);
	for (unsigned i = 0; i < PAGE_ORDERS; i++)
		link_init(&pool->free[i]);
}

/* Puts a block among the free, joined with its buddy as long as that is free too. */
static void pool_put(struct page_pool *pool, uint64_t page, unsigned order)
{
	while (order + 1 < PAGE_ORDERS) {
		uint64_t buddy = page ^ (UINT64_C(1) << order);
		if (buddy >= pool->n_pages || pool->map[buddy] != (PAGE_MAP_FREE | order))
			break;
		link_remove(pool_ptr(pool, buddy));
		pool->map[buddy] = PAGE_MAP_NONE;
		page &= ~(UINT64_C(1) << order);
		order++;
	}
	pool->map[page] = (uint8_t)(PAGE_MAP_FREE | order);
	link_push(&pool->free[order], pool_ptr(pool, page));
}

unsigned page_pool_part(uint64_t page, uint64_t left)
{
	unsigned order = 0;

	while (order + 1 < PAGE_ORDERS && !(page >> order & 1) && UINT64_C(2) << order <= left)
		order++;
	return order;
}

/* Pages in a row, as blocks. */
static void pool_put_run(struct page_pool *pool, uint64_t page, uint64_t n_pages)
{
	for (uint64_t end = page + n_pages; page < end;) {
		unsigned part = page_pool_part(page, end - page);
		pool_put(pool, page, part);
		page += UINT64_C(1) << part;
	}
}

void page_pool_add(struct page_pool *pool, uintptr_t start, uint64_t n_pages)
{
	pool->free_bytes += n_pages << PAGE_SHIFT;
	pool->total_bytes += n_pages << PAGE_SHIFT;
	pool_put_run(pool, (start - pool->base) >> PAGE_SHIFT, n_pages);
}

void *page_pool_take(struct page_pool *pool, unsigned order)
{
	unsigned have = order;

	while (have < PAGE_ORDERS && pool->free[have].next == &pool->free[have])
		have++;
	if (have >= PAGE_ORDERS)
		return NULL;
	struct page_link *block = pool->free[have].next;
	link_remove(block);
	uint64_t page = ((uintptr_t)block - pool->base) >> PAGE_SHIFT;
	while (have > order) {
		have--;
		uint64_t upper = page + (UINT64_C(1) << have);
		pool->map[upper] = (uint8_t)(PAGE_MAP_FREE | have);
		link_push(&pool->free[have], pool_ptr(pool, upper));
	}
	pool->map[page] = (uint8_t)(PAGE_MAP_USED | order);
	pool->free_bytes -= (uint64_t)PAGE_BYTES << order;
	return block;
}

bool page_pool_give(struct page_pool *pool, void *block, unsigned order)
{
	uintptr_t offset = (uintptr_t)block - pool->base;
	uint64_t page = offset >> PAGE_SHIFT;

	if (order >= PAGE_ORDERS || offset % PAGE_BYTES || page >= pool->n_pages ||
	    pool->map[page] != (PAGE_MAP_USED | order))
		return false;
	pool->map[page] = PAGE_MAP_NONE;
	pool->free_bytes += (uint64_t)PAGE_BYTES << order;
	pool_put(pool, page, order);
	return true;
}

bool page_pool_split(struct page_pool *pool, void *block, unsigned order, unsigned part)
{
	uintptr_t offset = (uintptr_t)block - pool->base;
	uint64_t page = offset >> PAGE_SHIFT;

	if (order >= PAGE_ORDERS || part > order || offset % PAGE_BYTES || page >= pool->n_pages ||
	    pool->map[page] != (PAGE_MAP_USED | order))
		return false;
	for (uint64_t at = 0; at < UINT64_C(1) << order; at += UINT64_C(1) << part)
		pool->map[page + at] = (uint8_t)(PAGE_MAP_USED | part);
	return true;
}

static uint64_t align_up(uint64_t page, unsigned order)
{
	const uint64_t mask = (UINT64_C(1) << order) - 1;

	return (page + mask) & ~mask;
}

/*
 * Free blocks in a row that have n_pages from a page on that is aligned to 2^order. Return: the head of the first of them; UINT64_MAX:
 * there are none.
 */
static uint64_t run_find(const struct page_pool *pool, uint64_t n_pages, unsigned order)
{
	uint64_t head = 0, page = 0;

	while (page < pool->n_pages) {
		uint8_t what = pool->map[page];
		page += what ? UINT64_C(1) << (what & PAGE_MAP_ORDER) : 1;
		if (!(what & PAGE_MAP_FREE))
			head = page;
		else if (page >= align_up(head, order) + n_pages)
			return head;
	}
	return UINT64_MAX;
}

void *page_pool_take_run(struct page_pool *pool, uint64_t n_pages, unsigned order)
{
	uint64_t head = run_find(pool, n_pages, order), end = head;

	if (!n_pages || head == UINT64_MAX)
		return NULL;
	uint64_t first = align_up(head, order);
	while (end < first + n_pages) { /* whole blocks, the first and the last of them too long */
		uint64_t block = UINT64_C(1) << (pool->map[end] & PAGE_MAP_ORDER);
		link_remove(pool_ptr(pool, end));
		pool->map[end] = PAGE_MAP_NONE;
		end += block;
	}
	for (uint64_t at = 0; at < n_pages;) {
		unsigned part = page_pool_part(first + at, n_pages - at);
		pool->map[first + at] = (uint8_t)(PAGE_MAP_USED | part);
		at += UINT64_C(1) << part;
	}
	pool_put_run(pool, head, first - head);
	pool_put_run(pool, first + n_pages, end - first - n_pages);
	pool->free_bytes -= n_pages << PAGE_SHIFT;
	return pool_ptr(pool, first);
}

int page_init(uint64_t start, uint64_t len, uint64_t ram_end)
{
	if (!pages.map) {
		uint64_t n_pages = ram_end >> PAGE_SHIFT;
		uint64_t map_bytes = (n_pages + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
		if (map_bytes > len)
			return -ENOMEM;
		page_pool_init(&pages, 0, n_pages, phys_to_ptr(start + len - map_bytes));
		len -= map_bytes;
	}
	page_pool_add(&pages, (uintptr_t)start, len >> PAGE_SHIFT);
	return 0;
}

void *page_take(unsigned order)
{
	spin_lock(&pages.lock);
	void *block = page_pool_take(&pages, order);
	spin_unlock(&pages.lock);
	return block;
}

void *page_alloc(unsigned order)
{
	void *block = page_take(order);

	if (block)
		memset(block, 0, (size_t)PAGE_BYTES << order);
	return block;
}

void page_free(void *block, unsigned order)
{
	if (!block)
		return;
	spin_lock(&pages.lock);
	bool was_ours = page_pool_give(&pages, block, order);
	spin_unlock(&pages.lock);
	if (!was_ours)
		panic("page_free: %p is no block of order %u that was handed out", block, order);
}

void *page_run_take(uint64_t bytes, unsigned order)
{
	spin_lock(&pages.lock);
	void *run = page_pool_take_run(&pages, (bytes + PAGE_BYTES - 1) >> PAGE_SHIFT, order);
	spin_unlock(&pages.lock);
	return run;
}

void page_run_free(void *run, uint64_t bytes)
{
	uint64_t n_pages = (bytes + PAGE_BYTES - 1) >> PAGE_SHIFT;
	uint64_t first = ((uintptr_t)run - pages.base) >> PAGE_SHIFT;

	for (uint64_t at = 0; run && at < n_pages;) {
		unsigned part = page_pool_part(first + at, n_pages - at);
		page_free((uint8_t *)run + (at << PAGE_SHIFT), part);
		at += UINT64_C(1) << part;
	}
}

void page_run_split(void *run, uint64_t bytes, unsigned part)
{
	uint64_t n_pages = bytes >> PAGE_SHIFT, first = ((uintptr_t)run - pages.base) >> PAGE_SHIFT;

	for (uint64_t at = 0; at < n_pages;) {
		unsigned order = page_pool_part(first + at, n_pages - at);
		void *block = (uint8_t *)run + (at << PAGE_SHIFT);
		spin_lock(&pages.lock);
		bool was_ours = page_pool_split(&pages, block, order, part);
		spin_unlock(&pages.lock);
		if (!was_ours)
			panic("page_run_split: %p is no block of order %u that was handed out",
			      block, order);
		at += UINT64_C(1) << order;
	}
}

uint64_t page_free_bytes(void)
{
	return __atomic_load_n(&pages.free_bytes, __ATOMIC_RELAXED);
}

uint64_t page_total_bytes(void)
{
	return pages.total_bytes;
}
