/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Nested page tables, of four levels: AMD's, which are ordinary long-mode tables, and Intel's EPT, which has other
 * permission bits at the same places. The IOMMUs' tables (drivers/dma_tables.h) are such, too.
 *
 * Thread rule: map and unmap with the vcpus stopped, or under the caller's lock; walks by the hardware need none. After
 * an unmap every vcpu is flushed before the memory is used for something else.
 * Sources: AMD APM 2, Nested Paging; Intel SDM 3C, EPT Translation Mechanism.
 */
#include <stdbool.h>
#include <stdint.h>

#include "machine/types.h"

/* Where tables come from; a hypervisor has its page allocator, a test the heap. */
struct npt_pages {
	void *(*alloc)(void *arg); /* a page, zeroed; NULL: none left */
	void (*free)(void *arg, void *page);
	uint64_t (*hpa)(const void *page);
	void *(*page)(uint64_t hpa);
	void *arg;
};

/* The bits that differ. */
struct npt_format {
	uint64_t table;	  /* of an entry that points to a table */
	uint64_t leaf;	  /* of a leaf, any size */
	uint64_t write;	  /* taken off where memory is read-only */
	uint64_t present; /* any of these: there is an entry */
	/* Where an entry that points to a table says of which level that is, 1 to 3, from this bit on; 0: nowhere. */
	unsigned level_at;
};

extern const struct npt_format npt_format_svm, npt_format_ept;

struct npt {
	const struct npt_format *format;
	const struct npt_pages *pages;
	uint64_t *root;
	bool has_1g;
	uint64_t n_tables; /* the root too */
};

/* npt_init() - empty. Return: 0, or -ENOMEM. */
int npt_init(struct npt *npt, const struct npt_format *format, const struct npt_pages *pages,
	     bool has_1g);
/* npt_fini() - every table is freed; a zeroed one is a no-op. */
void npt_fini(struct npt *npt);
/*
 * npt_map() - guest memory [gpa, gpa + size_bytes) is at hpa; the largest leaves that alignment allows
 * Return: 0; -EINVAL (not page aligned, size 0, wraps, above 48 bits), -EEXIST: some of it is mapped, -ENOMEM; then
 * what was mapped of it is taken back.
 */
int npt_map(struct npt *npt, gpa_t gpa, uint64_t size_bytes, uint64_t hpa, bool read_only);
/*
 * npt_reserve() - the tables that leaves of 2 MiB in [gpa, gpa + size_bytes) need: mapping these cannot fail for want of memory
 * Return: 0; -EINVAL as npt_map(), -EEXIST: a larger leaf is there, -ENOMEM; the tables made so far stay.
 */
int npt_reserve(struct npt *npt, gpa_t gpa, uint64_t size_bytes);
/*
 * npt_unmap() - what is mapped there is not any more; leaves that stick out are split
 * Return: 0, -EINVAL as npt_map(), -ENOMEM: for a split; what comes before it is unmapped.
 */
int npt_unmap(struct npt *npt, gpa_t gpa, uint64_t size_bytes);
/*
 * npt_translate() - as the hardware does it
 * @ret_size: bytes of the leaf; NULL: not asked   Return: the host physical address, or UINT64_MAX.
 */
uint64_t npt_translate(const struct npt *npt, gpa_t gpa, uint64_t *ret_size);
/* npt_root_hpa() - for nCR3, or the EPT pointer. */
uint64_t npt_root_hpa(const struct npt *npt);
