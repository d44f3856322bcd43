/* SPDX-License-Identifier: Apache-2.0 */
#include "base/core/gpt.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/core/bytes.h"
#include "base/core/crc32.h"

#define TABLE_BYTES_MAX (UINT32_C(128) << 10)
#define HEADER_BYTES	92U
#define ENTRY_BYTES	128U
#define LABEL_UNITS	36U

enum gpt_field {
	GPT_REVISION = 8,
	GPT_HEADER_SIZE = 12,
	GPT_HEADER_CRC = 16,
	GPT_MY_LBA = 24,
	GPT_OTHER_LBA = 32,
	GPT_FIRST_USABLE = 40,
	GPT_LAST_USABLE = 48,
	GPT_DISK_GUID = 56,
	GPT_ENTRIES_LBA = 72,
	GPT_N_ENTRIES = 80,
	GPT_ENTRY_SIZE = 84,
	GPT_ENTRIES_CRC = 88,
};

int gpt_header(const uint8_t *sector, uint32_t sector_bytes, uint64_t lba, uint64_t n_sectors,
	       uint64_t *ret_entries_lba, uint32_t *ret_bytes)
{
	static const uint8_t zero[4];
	uint8_t copy[512];

	if (memcmp(sector, "EFI PART", 8) != 0)
		return -ENODATA;
	uint32_t size = le32_load(sector + GPT_HEADER_SIZE);
	if (size < HEADER_BYTES || size > sizeof(copy) || size > sector_bytes)
		return -EBADMSG;
	memcpy(copy, sector, size);
	memcpy(copy + GPT_HEADER_CRC, zero, sizeof(zero));
	uint32_t n = le32_load(sector + GPT_N_ENTRIES), each = le32_load(sector + GPT_ENTRY_SIZE);
	if (crc32_add(0, copy, size) != le32_load(sector + GPT_HEADER_CRC) ||
	    le64_load(sector + GPT_MY_LBA) != lba || each < ENTRY_BYTES || each % 8 || !n ||
	    n > TABLE_BYTES_MAX / each)
		return -EBADMSG;
	uint64_t at = le64_load(sector + GPT_ENTRIES_LBA);
	uint64_t sectors = ((uint64_t)n * each + sector_bytes - 1) / sector_bytes;
	if (at < 1 || at > n_sectors || sectors > n_sectors - at)
		return -EBADMSG;
	*ret_entries_lba = at;
	*ret_bytes = n * each;
	return 0;
}

static void label_read(const uint8_t *utf16, char ret[LABEL_UNITS + 1])
{
	unsigned i;

	for (i = 0; i < LABEL_UNITS; i++) {
		uint16_t unit = le16_load(utf16 + i * 2);
		if (!unit)
			break;
		ret[i] = unit >= 0x20 && unit < 0x7f ? (char)unit : '?';
	}
	ret[i] = 0;
}

static bool overlaps(const struct gpt_part *parts, unsigned n, uint64_t start, uint64_t len)
{
	for (unsigned i = 0; i < n; i++) {
		if (start < parts[i].start_bytes + parts[i].len_bytes &&
		    parts[i].start_bytes < start + len)
			return true;
	}
	return false;
}

int gpt_table(const uint8_t *sector, const uint8_t *table, uint32_t bytes, uint32_t sector_bytes,
	      uint64_t n_sectors, struct gpt_part ret[GPT_PARTS])
{
	static const uint8_t unused[16];
	uint32_t each = le32_load(sector + GPT_ENTRY_SIZE);
	unsigned n = 0;

	if (crc32_add(0, table, bytes) != le32_load(sector + GPT_ENTRIES_CRC))
		return -EBADMSG;
	for (uint32_t at = 0; at + each <= bytes && n < GPT_PARTS; at += each) {
		const uint8_t *entry = table + at;
		if (memcmp(entry, unused, sizeof(unused)) == 0)
			continue;
		uint64_t first = le64_load(entry + 32), last = le64_load(entry + 40);
		if (first < le64_load(sector + GPT_FIRST_USABLE) || last < first ||
		    last > le64_load(sector + GPT_LAST_USABLE) || last >= n_sectors)
			return -EBADMSG;
		uint64_t start = first * sector_bytes, len = (last - first + 1) * sector_bytes;
		if (overlaps(ret, n, start, len))
			return -EBADMSG;
		struct gpt_part *part = &ret[n++];
		part->number = at / each + 1;
		part->start_bytes = start;
		part->len_bytes = len;
		memcpy(part->type, entry, sizeof(part->type));
		label_read(entry + 56, part->label);
	}
	return (int)n;
}

/* RFC 9562, UUIDs of version 4: four bits of version, two of variant. The first three fields are little-endian here. */
static void guid_store(uint8_t *to, const uint8_t *random)
{
	memcpy(to, random, 16);
	to[7] = (uint8_t)((to[7] & 0x0f) | 0x40);
	to[8] = (uint8_t)((to[8] & 0x3f) | 0x80);
}

/* The legacy record that tells older programs that the disk is full. UEFI Specification 2.10, Protective MBR. */
static void mbr_build(uint8_t *sector, uint64_t n_sectors)
{
	static const uint8_t record[8] = { 0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff };

	memcpy(sector + 446, record, sizeof(record));
	le32_store(sector + 454, 1);
	le32_store(sector + 458,
		   n_sectors - 1 > UINT32_MAX ? UINT32_MAX : (uint32_t)(n_sectors - 1));
	sector[510] = 0x55;
	sector[511] = 0xaa;
}

struct place {
	uint64_t mine, other, entries;
};

static void header_build(uint8_t *header, const struct place *at, uint64_t n_sectors,
			 uint32_t table_sectors, const uint8_t *guid, uint32_t table_crc)
{
	memcpy(header, "EFI PART", 8);
	le32_store(header + GPT_REVISION, 0x10000);
	le32_store(header + GPT_HEADER_SIZE, HEADER_BYTES);
	le64_store(header + GPT_MY_LBA, at->mine);
	le64_store(header + GPT_OTHER_LBA, at->other);
	le64_store(header + GPT_FIRST_USABLE, 2 + table_sectors);
	le64_store(header + GPT_LAST_USABLE, n_sectors - 2 - table_sectors);
	guid_store(header + GPT_DISK_GUID, guid);
	le64_store(header + GPT_ENTRIES_LBA, at->entries);
	le32_store(header + GPT_N_ENTRIES, GPT_TABLE_BYTES / ENTRY_BYTES);
	le32_store(header + GPT_ENTRY_SIZE, ENTRY_BYTES);
	le32_store(header + GPT_ENTRIES_CRC, table_crc);
	le32_store(header + GPT_HEADER_CRC, crc32_add(0, header, HEADER_BYTES));
}

static void entry_build(uint8_t *entry, const struct gpt_part *part, uint32_t sector_bytes,
			const uint8_t *guid)
{
	memcpy(entry, part->type, sizeof(part->type));
	guid_store(entry + 16, guid);
	le64_store(entry + 32, part->start_bytes / sector_bytes);
	le64_store(entry + 40, (part->start_bytes + part->len_bytes) / sector_bytes - 1);
	for (unsigned i = 0; i < LABEL_UNITS && part->label[i]; i++)
		le16_store(entry + 56 + (size_t)i * 2, (uint8_t)part->label[i]);
}

void gpt_build(const struct gpt_part *part, uint32_t sector_bytes, uint64_t n_sectors,
	       const uint8_t guids[32], struct gpt_made *ret)
{
	uint32_t table_sectors = GPT_TABLE_BYTES / sector_bytes;
	const struct place first = { 1, n_sectors - 1, 2 },
			   last = { n_sectors - 1, 1, n_sectors - 1 - table_sectors };

	memset(ret, 0, sizeof(*ret));
	ret->primary_bytes = 2 * sector_bytes + GPT_TABLE_BYTES;
	ret->copy_bytes = sector_bytes + GPT_TABLE_BYTES;
	mbr_build(ret->primary, n_sectors);
	uint8_t *table = ret->primary + (size_t)2 * sector_bytes;
	entry_build(table, part, sector_bytes, guids + 16);
	memcpy(ret->copy, table, GPT_TABLE_BYTES);
	uint32_t crc = crc32_add(0, table, GPT_TABLE_BYTES);
	header_build(ret->primary + sector_bytes, &first, n_sectors, table_sectors, guids, crc);
	header_build(ret->copy + GPT_TABLE_BYTES, &last, n_sectors, table_sectors, guids, crc);
}
