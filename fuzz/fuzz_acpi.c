/* SPDX-License-Identifier: Apache-2.0 */
/* Any configuration into any space: it fits and every table's checksum is right, or it is refused and nothing past the end is written. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "machine/acpi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE UINT64_C(0xe0000)

static void check_table(const uint8_t *tables, size_t len, uint64_t gpa)
{
	uint8_t sum = 0;

	if (gpa < BASE || gpa - BASE > len - 36)
		abort();
	const uint8_t *table = &tables[gpa - BASE];
	uint32_t table_len = le32_load(table + 4);
	if (table_len < 36 || table_len > len - (gpa - BASE))
		abort();
	for (uint32_t i = 0; i < table_len; i++)
		sum = (uint8_t)(sum + table[i]);
	if (sum)
		abort();
}

static void check(const uint8_t *tables, size_t len)
{
	uint64_t xsdt = le64_load(tables + 24);

	check_table(tables, len, xsdt);
	check_table(tables, len, le32_load(tables + 16));
	const uint8_t *root = &tables[xsdt - BASE];
	for (uint32_t i = 36; i < le32_load(root + 4); i += 8)
		check_table(tables, len, le64_load(root + i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 8)
		return 0;
	const struct acpi_config config = {
		.vcpus = le16_load(data),
		.serial = data[2] & 1,
		.rtc = data[2] & 2,
		.i8042 = data[2] & 4,
		.fwcfg = data[2] & 8,
	};
	size_t room = le32_load(data + 4) % 0x20001, len = 0;
	uint8_t *tables = malloc(room + 1);
	if (!tables)
		return 0;
	tables[room] = 0xa5;
	struct err err = { 0 };
	int r = acpi_build(&config, tables, room, BASE, &len, &err);
	if (r == 0 ? len > room : (r != -ENOSPC && r != -EINVAL) || !err.text[0])
		abort();
	if (r == 0)
		check(tables, len);
	if (tables[room] != 0xa5)
		abort();
	free(tables);
	return 0;
}
