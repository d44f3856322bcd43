/* SPDX-License-Identifier: Apache-2.0 */
#include "core/map.h"

#include "core/io.h"
#include "core/page.h"
#include "core/spin.h"
#include "x86/descriptor.h"

#define GIB	     (UINT64_C(1) << 30)
#define TABLE_FLAGS  (X86_PTE_PRESENT | X86_PTE_WRITE)
#define ENTRIES	     512U
#define ADDRESS_MASK UINT64_C(0xffffffffff000)

extern uint64_t boot_pml4[ENTRIES];

static struct spin map_lock;

/* CPUID 80000001H EDX bit 26: 1-GByte pages (SDM 2A, CPUID). */
static bool has_1g_pages(void)
{
	uint32_t id[4];

	cpuid_read(UINT32_C(0x80000001), 0, id);
	return id[3] >> 26 & 1;
}

/* The table that an entry points to; made if there is none. NULL: no memory. */
static uint64_t *map_table(uint64_t *entry)
{
	if (!(*entry & X86_PTE_PRESENT)) {
		uint64_t *table = page_alloc(0);
		if (!table)
			return NULL;
		*entry = ptr_to_phys(table) | TABLE_FLAGS;
	}
	return phys_to_ptr(*entry & ADDRESS_MASK);
}

static bool map_gib(uint64_t phys)
{
	uint64_t *pdpt = map_table(&boot_pml4[phys / GIB / ENTRIES % ENTRIES]);

	if (!pdpt)
		return false;
	uint64_t *entry = &pdpt[phys / GIB % ENTRIES];
	if (*entry & X86_PTE_PRESENT)
		return true;
	if (has_1g_pages()) {
		*entry = phys | TABLE_FLAGS | X86_PTE_LARGE;
		return true;
	}
	uint64_t *pd = page_alloc(0);
	if (!pd)
		return false;
	for (unsigned i = 0; i < ENTRIES; i++)
		pd[i] = (phys + i * X86_LARGE_PAGE_BYTES) | TABLE_FLAGS | X86_PTE_LARGE;
	*entry = ptr_to_phys(pd) | TABLE_FLAGS;
	return true;
}

bool map_range(uint64_t start, uint64_t len)
{
	bool is_done = true;

	spin_lock(&map_lock);
	for (uint64_t at = start & ~(GIB - 1); is_done && at < start + len; at += GIB)
		is_done = map_gib(at);
	spin_unlock(&map_lock);
	return is_done;
}
