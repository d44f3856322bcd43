/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/gpt.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/core/bytes.h"

#define TABLE_BYTES_MAX (UINT32_C(128) << 10)
#define HEADER_BYTES	92U
#define ENTRY_BYTES	128U
#define LABEL_UNITS	36U

enum gpt_field {
	GPT_HEADER_SIZE = 12,
	GPT_HEADER_CRC = 16,
	GPT_MY_LBA = 24,
	GPT_FIRST_USABLE = 40,
	GPT_LAST_USABLE = 48,
	GPT_ENTRIES_LBA = 72,
	GPT_N_ENTRIES = 80,
	GPT_ENTRY_SIZE = 84,
	GPT_ENTRIES_CRC = 88,
};

uint32_t gpt_crc32(const uint8_t *bytes, uint64_t len)
{
	uint32_t crc = UINT32_MAX;

	for (uint64_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

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
	if (gpt_crc32(copy, size) != le32_load(sector + GPT_HEADER_CRC) ||
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

	if (gpt_crc32(table, bytes) != le32_load(sector + GPT_ENTRIES_CRC))
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
