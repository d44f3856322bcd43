/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Memory for the tables of an IOMMU, and what a unit that reads memory only sees of it: for tests of one file each. */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

#include "drivers/dma_tables.h"

#define PAGE	UINT64_C(4096)
#define BUFFER	UINT64_C(0x1234000)
#define NOWHERE UINT64_MAX
#define LINES	4096U

static unsigned left, taken; /* pages */
/* What the unit sees: lines that were written out, as they were then. */
static struct {
	const void *at;
	uint64_t word;
} written[LINES];
static unsigned n_written;

static void *memory_alloc(void *arg)
{
	(void)arg;
	if (!left)
		return NULL;
	left--;
	taken++;
	void *page = aligned_alloc(4096, 4096);
	assert_non_null(page);
	return memset(page, 0, 4096);
}

static void memory_free(void *arg, void *page)
{
	(void)arg;
	taken--;
	free(page);
}

static uint64_t memory_hpa(const void *page)
{
	return (uintptr_t)page;
}

static void *memory_page(uint64_t hpa)
{
	return (void *)(uintptr_t)hpa;
}

static inline void memory_write_out(const void *at, uint64_t len_bytes)
{
	const uint64_t *word = at;

	for (uint64_t i = 0; i < len_bytes / 8; i++) {
		unsigned n = 0;
		while (n < n_written && written[n].at != &word[i])
			n++;
		assert_true(n < LINES);
		written[n].at = &word[i];
		written[n].word = word[i];
		n_written = n < n_written ? n_written : n + 1;
	}
}

static const struct dma_memory memory = {
	.pages = { .alloc = memory_alloc,
		   .free = memory_free,
		   .hpa = memory_hpa,
		   .page = memory_page },
	.write_out = memory_write_out,
};

/* 0 where nothing was written out: it was given out as zeroes. */
static inline uint64_t seen(uint64_t table, uint64_t index)
{
	for (unsigned n = 0; n < n_written; n++) {
		if ((uintptr_t)written[n].at == table + index * 8)
			return written[n].word;
	}
	return 0;
}

static inline int begin(void **state)
{
	(void)state;
	left = 1000;
	taken = n_written = 0;
	return 0;
}
