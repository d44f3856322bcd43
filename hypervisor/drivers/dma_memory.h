/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The memory that the tables of IOMMUs are in: pages of the server's (core/page.h), physical addresses being pointers. */
#include "drivers/dma_tables.h"

extern const struct dma_memory dma_memory;

/* dma_write_out() - out of the CPU's caches into memory, whole lines (SDM 2A, CLFLUSH; APM 3, CLFLUSH) */
void dma_write_out(const void *at, uint64_t len_bytes);
