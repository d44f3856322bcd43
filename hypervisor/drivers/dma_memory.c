/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/dma_memory.h"

#include "core/page.h"

#define LINE_BYTES 64U

void dma_write_out(const void *at, uint64_t len_bytes)
{
	uintptr_t end = (uintptr_t)at + len_bytes;

	for (uintptr_t line = (uintptr_t)at & ~(uintptr_t)(LINE_BYTES - 1); line < end;
	     line += LINE_BYTES)
		__asm__ volatile("clflush %0" : : "m"(*(const char *)line));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void *table_alloc(void *arg)
{
	(void)arg;
	void *table = page_alloc(0);
	if (table)
		dma_write_out(table, PAGE_BYTES);
	return table;
}

static void table_free(void *arg, void *table)
{
	(void)arg;
	page_free(table, 0);
}

const struct dma_memory dma_memory = {
	.pages = { .alloc = table_alloc,
		   .free = table_free,
		   .hpa = ptr_to_phys,
		   .page = phys_to_ptr },
	.write_out = dma_write_out,
};
