/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Reads a GUID partition table: bytes from a disk that anybody may have written.
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

/* CRC-32 as the table has it (ISO-HDLC, polynomial 0x04c11db7 reflected). */
uint32_t gpt_crc32(const uint8_t *bytes, uint64_t len);
