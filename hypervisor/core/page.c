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

void page_pool_add(struct page_pool *pool, uintptr_t start, uint64_t n_pages)
{
	uint64_t page = (start - pool->base) >> PAGE_SHIFT, end = page + n_pages;

	pool->free_bytes += n_pages << PAGE_SHIFT;
	pool->total_bytes += n_pages << PAGE_SHIFT;
	while (page < end) {
		unsigned order = PAGE_ORDERS - 1;
		while (page & ((UINT64_C(1) << order) - 1) || (UINT64_C(1) << order) > end - page)
			order--;
		pool_put(pool, page, order);
		page += UINT64_C(1) << order;
	}
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

void *page_alloc(unsigned order)
{
	spin_lock(&pages.lock);
	void *block = page_pool_take(&pages, order);
	spin_unlock(&pages.lock);
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

uint64_t page_free_bytes(void)
{
	return __atomic_load_n(&pages.free_bytes, __ATOMIC_RELAXED);
}

uint64_t page_total_bytes(void)
{
	return pages.total_bytes;
}
