/* SPDX-License-Identifier: Apache-2.0 */
/* One TLB: what is in use, and how it goes. */
#include "engines/hosted/mmu.h"

#define LARGE_SHIFT 21U
#define FOUR_SHIFT  22U /* 4 MiB: two regions */
#define HUGE_SHIFT  30U

static void entry_clear(struct mmu_tlb *tlb, unsigned at)
{
	struct cpu_tlb_entry *e = &tlb->tlb->entries[at];

	e->read = e->write = e->exec = cpu_tlb_none(at);
}

void mmu_tlb_ready(struct mmu_tlb *tlb)
{
	if (tlb->ready)
		return;
	for (unsigned i = 0; i < CPU_TLB_SIZE; i++)
		entry_clear(tlb, i);
	tlb->ready = true;
}

/* The page that an entry is of, or none. */
static uint64_t entry_page(const struct cpu_tlb_entry *e)
{
	if (!cpu_tlb_is_none(e->read))
		return e->read;
	return !cpu_tlb_is_none(e->write) ? e->write : e->exec;
}

static void large_set(struct mmu_tlb *tlb, uint64_t region)
{
	tlb->large[region % MMU_LARGE_BITS / 64] |= UINT64_C(1) << region % 64;
}

void mmu_tlb_log(struct mmu_tlb *tlb, unsigned at, bool is_global, uint8_t shift, uint64_t gva)
{
	uint8_t *flags = &tlb->flags[at];

	tlb->shift[at] = shift;
	*flags &= (uint8_t)~MMU_GLOBAL;
	if (is_global) {
		if (!(*flags & MMU_LOGGED_GLOBAL))
			tlb->log_global[tlb->n_global++] = (uint16_t)at;
		*flags |= MMU_GLOBAL | MMU_LOGGED_GLOBAL;
	} else {
		if (!(*flags & MMU_LOGGED_LOCAL))
			tlb->log_local[tlb->n_local++] = (uint16_t)at;
		*flags |= MMU_LOGGED_LOCAL;
	}
	if (shift == HUGE_SHIFT)
		tlb->huge |= UINT64_C(1) << (gva >> HUGE_SHIFT) % 64;
	else if (shift >= LARGE_SHIFT)
		large_set(tlb, gva >> LARGE_SHIFT);
	if (shift == FOUR_SHIFT)
		large_set(tlb, gva >> LARGE_SHIFT ^ 1);
}

bool mmu_tlb_flush_local(struct mmu_tlb *tlb)
{
	bool had_exec = false;

	for (unsigned i = 0; i < tlb->n_local; i++) {
		unsigned at = tlb->log_local[i];
		if (!(tlb->flags[at] & MMU_GLOBAL)) {
			had_exec |= !cpu_tlb_is_none(tlb->tlb->entries[at].exec);
			entry_clear(tlb, at);
		}
		tlb->flags[at] &= (uint8_t)~MMU_LOGGED_LOCAL;
	}
	tlb->n_local = 0;
	return had_exec;
}

void mmu_tlb_flush_all(struct mmu_tlb *tlb)
{
	for (unsigned i = 0; i < tlb->n_global; i++) {
		entry_clear(tlb, tlb->log_global[i]);
		tlb->flags[tlb->log_global[i]] = 0;
	}
	for (unsigned i = 0; i < tlb->n_local; i++) {
		entry_clear(tlb, tlb->log_local[i]);
		tlb->flags[tlb->log_local[i]] = 0;
	}
	tlb->n_local = tlb->n_global = 0;
	tlb->huge = 0;
	cpu_zero(tlb->large, sizeof(tlb->large));
}

static bool flush_at(struct mmu_tlb *tlb, unsigned at, uint64_t gva, bool only_global)
{
	const struct cpu_tlb_entry *e = &tlb->tlb->entries[at];
	uint64_t page = entry_page(e);

	if (cpu_tlb_is_none(page) || (page ^ gva) >> tlb->shift[at] ||
	    (only_global && !(tlb->flags[at] & MMU_GLOBAL)))
		return false;
	bool has_exec = !cpu_tlb_is_none(e->exec);
	entry_clear(tlb, at);
	return has_exec;
}

static bool flush_log(struct mmu_tlb *tlb, const uint16_t *log, unsigned n, uint64_t gva,
		      bool only_global)
{
	bool had_exec = false;

	for (unsigned i = 0; i < n; i++)
		had_exec |= flush_at(tlb, log[i], gva, only_global);
	return had_exec;
}

static bool may_be_large(const struct mmu_tlb *tlb, uint64_t gva)
{
	uint64_t region = gva >> LARGE_SHIFT;

	return (tlb->large[region % MMU_LARGE_BITS / 64] >> region % 64 & 1) ||
	       (tlb->huge >> (gva >> HUGE_SHIFT) % 64 & 1);
}

bool mmu_tlb_flush_page(struct mmu_tlb *tlb, uint64_t gva, bool only_global)
{
	if (!tlb->ready)
		return false;
	if (!may_be_large(tlb, gva))
		return flush_at(tlb, cpu_tlb_index(gva), gva, only_global);
	bool had_exec = flush_log(tlb, tlb->log_global, tlb->n_global, gva, only_global);
	return flush_log(tlb, tlb->log_local, tlb->n_local, gva, only_global) || had_exec;
}

static void unwritable_at(struct mmu_tlb *tlb, unsigned at, const uint8_t *hva)
{
	struct cpu_tlb_entry *e = &tlb->tlb->entries[at];

	if (!cpu_tlb_is_none(e->write) && (!hva || e->host == (uintptr_t)hva))
		e->write = cpu_tlb_none(at);
}

void mmu_tlb_unwritable(struct mmu_tlb *tlb, const uint8_t *hva)
{
	for (unsigned i = 0; i < tlb->n_global; i++)
		unwritable_at(tlb, tlb->log_global[i], hva);
	for (unsigned i = 0; i < tlb->n_local; i++)
		unwritable_at(tlb, tlb->log_local[i], hva);
}
