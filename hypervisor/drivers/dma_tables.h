/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A domain: what the devices in it reach. In its tables memory is where it is (DMA address = physical address) or not there at all.
 * Nothing here touches a unit. What was written is pushed out of the caches line by line: a unit may read memory only.
 * The form of the tables is the unit's: vtd_format, amdvi_format.
 */
#include <stdbool.h>
#include <stdint.h>

#include "hw/npt.h"

#define DMA_ADDRESS UINT64_C(0x000ffffffffff000)

struct dma_memory {
	struct npt_pages pages; /* alloc() writes the zeroes out, too */
	void (*write_out)(const void *at, uint64_t len_bytes);
};

struct dma_domain {
	struct npt npt;
	const struct dma_memory *memory;
	unsigned levels; /* 3 or 4 */
	uint16_t id;	 /* of the unit; not 0 */
	uint64_t n_pages;
};

/* dma_domain_init() - empty: every access faults. Return: 0, -ENOMEM. */
int dma_domain_init(struct dma_domain *domain, const struct dma_memory *memory,
		    const struct npt_format *format, unsigned levels, uint16_t id);
void dma_domain_fini(struct dma_domain *domain);
/*
 * dma_domain_allow(), dma_domain_forbid() - whole pages, by leaves of 4 KiB
 * Return: 0; -EINVAL: not whole pages; -ERANGE: above what the levels reach; -EEXIST: some of it is there; -ENOMEM. Then nothing changed.
 */
int dma_domain_allow(struct dma_domain *domain, uint64_t phys, uint64_t len_bytes, bool read_only);
int dma_domain_forbid(struct dma_domain *domain, uint64_t phys, uint64_t len_bytes);
/* dma_domain_root() - physical, of the table with which the unit begins: of its levels */
uint64_t dma_domain_root(const struct dma_domain *domain);
