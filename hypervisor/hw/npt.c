/* SPDX-License-Identifier: Apache-2.0 */
#include "hw/npt.h"

#include <errno.h>
#include <stddef.h>

#define PAGE	  UINT64_C(4096)
#define ENTRIES	  512U
#define LEVELS	  4U /* 3: the root, whose entries span 512 GiB; 0: entries of 4 KiB */
#define GPA_LIMIT (UINT64_C(1) << 48)
#define ADDRESS	  UINT64_C(0x000ffffffffff000)
#define LARGE	  UINT64_C(0x80)

/* Present, writable, user; accessed and dirty need not be written then. Nested accesses count as the user's. */
const struct npt_format npt_format_svm = {
	.table = 0x27, .leaf = 0x67, .write = 0x2, .present = 0x1
};
/* Read, write, execute; write-back memory in leaves. */
const struct npt_format npt_format_ept = {
	.table = 0x7, .leaf = 0x7 | 6 << 3, .write = 0x2, .present = 0x7
};

static uint64_t span(unsigned level)
{
	return PAGE << (9 * level);
}

static unsigned slot(gpa_t gpa, unsigned level)
{
	return (unsigned)(gpa >> (12 + 9 * level)) % ENTRIES;
}

static bool is_present(const struct npt *npt, uint64_t entry)
{
	return entry & npt->format->present;
}

static bool is_leaf(uint64_t entry, unsigned level)
{
	return level == 0 || entry & LARGE;
}

/* An entry of this level for the table below it. */
static uint64_t table_entry(const struct npt *npt, const uint64_t *table, unsigned level)
{
	uint64_t says = npt->format->level_at ? (uint64_t)level << npt->format->level_at : 0;

	return npt->pages->hpa(table) | npt->format->table | says;
}

static uint64_t *table_of(const struct npt *npt, uint64_t entry)
{
	return npt->pages->page(entry & ADDRESS);
}

static uint64_t *table_new(struct npt *npt)
{
	uint64_t *table = npt->pages->alloc(npt->pages->arg);

	if (table)
		npt->n_tables++;
	return table;
}

static void table_free(struct npt *npt, uint64_t *table)
{
	npt->n_tables--;
	npt->pages->free(npt->pages->arg, table);
}

int npt_init(struct npt *npt, const struct npt_format *format, const struct npt_pages *pages,
	     bool has_1g)
{
	*npt = (struct npt){ .format = format, .pages = pages, .has_1g = has_1g };
	npt->root = table_new(npt);
	return npt->root ? 0 : -ENOMEM;
}

/* Depth is LEVELS at most. */
static void tables_free(struct npt *npt, uint64_t *table, unsigned level)
{
	for (unsigned i = 0; level && i < ENTRIES; i++) {
		if (is_present(npt, table[i]) && !is_leaf(table[i], level))
			tables_free(npt, table_of(npt, table[i]), level - 1);
	}
	table_free(npt, table);
}

void npt_fini(struct npt *npt)
{
	if (npt->root)
		tables_free(npt, npt->root, LEVELS - 1);
	npt->root = NULL;
}

static int range_check(gpa_t gpa, uint64_t size_bytes)
{
	if (gpa % PAGE || size_bytes % PAGE || !size_bytes || gpa >= GPA_LIMIT ||
	    size_bytes > GPA_LIMIT - gpa)
		return -EINVAL;
	return 0;
}

static bool leaf_fits(const struct npt *npt, unsigned level, gpa_t gpa, uint64_t left, uint64_t hpa)
{
	if (level > 2 || (level == 2 && !npt->has_1g))
		return false;
	return left >= span(level) && !((gpa | hpa) % span(level));
}

/* The entry of this level, tables above it made as needed; NULL: no memory, or a leaf is in the way (*ret_busy). */
static uint64_t *entry_at(struct npt *npt, gpa_t gpa, unsigned wanted, bool *ret_busy)
{
	uint64_t *table = npt->root;

	*ret_busy = false;
	for (unsigned level = LEVELS - 1; level > wanted; level--) {
		uint64_t *entry = &table[slot(gpa, level)];
		if (is_present(npt, *entry) && is_leaf(*entry, level)) {
			*ret_busy = true;
			return NULL;
		}
		if (!is_present(npt, *entry)) {
			uint64_t *made = table_new(npt);
			if (!made)
				return NULL;
			*entry = table_entry(npt, made, level);
		}
		table = table_of(npt, *entry);
	}
	return &table[slot(gpa, wanted)];
}

static int map_one(struct npt *npt, gpa_t gpa, unsigned level, uint64_t hpa, uint64_t flags)
{
	bool busy;
	uint64_t *entry = entry_at(npt, gpa, level, &busy);

	if (!entry)
		return busy ? -EEXIST : -ENOMEM;
	if (is_present(npt, *entry))
		return -EEXIST;
	*entry = hpa | flags | (level ? LARGE : 0);
	return 0;
}

int npt_map(struct npt *npt, gpa_t gpa, uint64_t size_bytes, uint64_t hpa, bool read_only)
{
	uint64_t flags = npt->format->leaf & ~(read_only ? npt->format->write : 0);
	uint64_t done = 0;
	int r = range_check(gpa, size_bytes);

	if (r < 0 || hpa % PAGE || hpa > ADDRESS || size_bytes > ADDRESS - hpa)
		return -EINVAL;
	while (r == 0 && done < size_bytes) {
		unsigned level = 2;
		while (level && !leaf_fits(npt, level, gpa + done, size_bytes - done, hpa + done))
			level--;
		r = map_one(npt, gpa + done, level, hpa + done, flags);
		/* A table that is there, though empty by now, has its leaves one level down. */
		while (r == -EEXIST && level && npt_translate(npt, gpa + done, NULL) == UINT64_MAX)
			r = map_one(npt, gpa + done, --level, hpa + done, flags);
		if (r == 0)
			done += span(level);
	}
	if (r < 0 && done)
		(void)npt_unmap(npt, gpa, done); /* whole leaves: nothing is split */
	return r;
}

int npt_reserve(struct npt *npt, gpa_t gpa, uint64_t size_bytes)
{
	int r = range_check(gpa, size_bytes);
	gpa_t end = gpa + size_bytes;

	/* One entry of each table of 1 GiB. */
	for (gpa &= ~(span(2) - 1); r == 0 && gpa < end; gpa += span(2)) {
		bool busy;
		if (!entry_at(npt, gpa, 1, &busy))
			r = busy ? -EEXIST : -ENOMEM;
	}
	return r;
}

/* A leaf becomes a table of leaves with the same meaning. */
static int leaf_split(struct npt *npt, uint64_t *entry, unsigned level)
{
	uint64_t *table = table_new(npt);
	uint64_t flags = *entry & ~ADDRESS & ~(level == 1 ? LARGE : 0);

	if (!table)
		return -ENOMEM;
	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = ((*entry & ADDRESS) + i * span(level - 1)) | flags;
	*entry = table_entry(npt, table, level);
	return 0;
}

/* What one entry covers of [gpa, end): unmapped. *ret_next: where to go on. */
static int unmap_one(struct npt *npt, gpa_t gpa, gpa_t end, gpa_t *ret_next)
{
	uint64_t *table = npt->root;

	for (unsigned level = LEVELS - 1;; level--) {
		uint64_t *entry = &table[slot(gpa, level)];
		gpa_t first = gpa & ~(span(level) - 1);
		*ret_next = first + span(level);
		if (!is_present(npt, *entry))
			return 0;
		if (is_leaf(*entry, level)) {
			if (first == gpa && *ret_next <= end) {
				*entry = 0;
				return 0;
			}
			int r = leaf_split(npt, entry,
					   level); /* level > 0: both ends are aligned */
			if (r < 0)
				return r;
		}
		table = table_of(npt, *entry);
	}
}

int npt_unmap(struct npt *npt, gpa_t gpa, uint64_t size_bytes)
{
	int r = range_check(gpa, size_bytes);
	gpa_t end = gpa + size_bytes;

	while (r == 0 && gpa < end)
		r = unmap_one(npt, gpa, end, &gpa);
	return r;
}

uint64_t npt_translate(const struct npt *npt, gpa_t gpa, uint64_t *ret_size)
{
	const uint64_t *table = npt->root;

	if (gpa >= GPA_LIMIT)
		return UINT64_MAX;
	for (unsigned level = LEVELS - 1;; level--) {
		uint64_t entry = table[slot(gpa, level)];
		if (!is_present(npt, entry))
			return UINT64_MAX;
		if (is_leaf(entry, level)) {
			if (ret_size)
				*ret_size = span(level);
			return (entry & ADDRESS & ~(span(level) - 1)) | (gpa & (span(level) - 1));
		}
		table = table_of(npt, entry);
	}
}

uint64_t npt_root_hpa(const struct npt *npt)
{
	return npt->pages->hpa(npt->root);
}
