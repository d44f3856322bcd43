/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/dma_tables.h"

#include <errno.h>
#include <stddef.h>

#define PAGE	UINT64_C(4096)
#define GIB	(UINT64_C(1) << 30)
#define ENTRIES 512U
#define PRESENT UINT64_C(1)

int dma_domain_init(struct dma_domain *domain, const struct dma_memory *memory,
		    const struct npt_format *format, unsigned levels, uint16_t id)
{
	*domain = (struct dma_domain){ .memory = memory, .levels = levels, .id = id };
	int r = npt_init(&domain->npt, format, &memory->pages, false);
	/* A unit of three levels begins at the first table of the root. */
	r = r < 0 ? r : npt_reserve(&domain->npt, 0, GIB);
	if (r < 0)
		dma_domain_fini(domain);
	else
		memory->write_out(domain->npt.root, PAGE);
	return r;
}

void dma_domain_fini(struct dma_domain *domain)
{
	npt_fini(&domain->npt);
}

/* The entries on the way to a page. */
static void path_write_out(const struct dma_domain *domain, uint64_t phys)
{
	const uint64_t *table = domain->npt.root;

	for (unsigned level = 4; table && level--;) {
		const uint64_t *entry = &table[phys >> (12 + 9 * level) & (ENTRIES - 1)];
		domain->memory->write_out(entry, sizeof(*entry));
		table = *entry & PRESENT && level ? domain->memory->pages.page(*entry & DMA_ADDRESS)
						  : NULL;
	}
}

static int range_check(const struct dma_domain *domain, uint64_t phys, uint64_t len_bytes)
{
	uint64_t limit = UINT64_C(1) << (12 + 9 * domain->levels);

	if (phys % PAGE || len_bytes % PAGE || !len_bytes)
		return -EINVAL;
	return phys >= limit || len_bytes > limit - phys ? -ERANGE : 0;
}

int dma_domain_allow(struct dma_domain *domain, uint64_t phys, uint64_t len_bytes, bool read_only)
{
	int r = range_check(domain, phys, len_bytes);
	uint64_t done = 0;

	while (r == 0 && done < len_bytes) {
		r = npt_map(&domain->npt, phys + done, PAGE, phys + done, read_only);
		path_write_out(domain, phys + done);
		if (r == 0)
			done += PAGE;
	}
	domain->n_pages += done / PAGE;
	if (r < 0 && done)
		(void)dma_domain_forbid(domain, phys,
					done); /* leaves of a page: nothing is split */
	return r;
}

int dma_domain_forbid(struct dma_domain *domain, uint64_t phys, uint64_t len_bytes)
{
	int r = range_check(domain, phys, len_bytes);

	for (uint64_t done = 0; r == 0 && done < len_bytes; done += PAGE) {
		domain->n_pages -= npt_translate(&domain->npt, phys + done, NULL) != UINT64_MAX;
		r = npt_unmap(&domain->npt, phys + done, PAGE);
		path_write_out(domain, phys + done);
	}
	return r;
}

uint64_t dma_domain_root(const struct dma_domain *domain)
{
	return domain->levels == 4 ? npt_root_hpa(&domain->npt) : domain->npt.root[0] & DMA_ADDRESS;
}
