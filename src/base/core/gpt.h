/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * GUID partition tables: reading one, whose bytes anybody may have written, and making one with a single partition.
 * Source: UEFI Specification 2.10, GPT Disk Layout.
 */
#include <stdint.h>

#define GPT_PARTS 16U

struct gpt_part {
	unsigned number; /* from 1, its place in the table */
	uint64_t start_bytes, len_bytes;
	uint8_t type[16];
	char label[37]; /* what of it is printable ASCII; else '?' */
};

/*
 * gpt_header() - check the header sector
 * @lba: where it was read; 1, or the disk's last for the copy
 * @ret_entries_lba, ret_bytes: where the table is and how long, at most 128 KiB
 * Return: 0; -ENODATA: there is none; -EBADMSG: broken.
 */
int gpt_header(const uint8_t *sector, uint32_t sector_bytes, uint64_t lba, uint64_t n_sectors,
	       uint64_t *ret_entries_lba, uint32_t *ret_bytes);
/*
 * gpt_table() - the first GPT_PARTS partitions of a table that gpt_header() let through
 * Return: how many; -EBADMSG: its checksum is wrong, or a partition is outside of the disk or over another.
 */
int gpt_table(const uint8_t *sector, const uint8_t *table, uint32_t bytes, uint32_t sector_bytes,
	      uint64_t n_sectors, struct gpt_part ret[GPT_PARTS]);

#define GPT_TABLE_BYTES	  16384U			/* of one that is made here: 128 entries */
#define GPT_PRIMARY_BYTES (2 * 4096U + GPT_TABLE_BYTES) /* at most: two sectors and the table */
#define GPT_COPY_BYTES	  (4096U + GPT_TABLE_BYTES)

struct gpt_made {
	uint8_t primary[GPT_PRIMARY_BYTES], copy[GPT_COPY_BYTES];
	uint32_t primary_bytes; /* from the disk's start */
	uint32_t copy_bytes;	/* to the disk's end */
};
/*
 * gpt_build() - the table of a disk with one partition, with its protective MBR and its copy
 * @part: start_bytes, len_bytes (whole sectors, which leave room for the table and its copy), type, label
 * @guids: 32 random bytes, for the disk's and the partition's own GUID
 */
void gpt_build(const struct gpt_part *part, uint32_t sector_bytes, uint64_t n_sectors,
	       const uint8_t guids[32], struct gpt_made *ret);
