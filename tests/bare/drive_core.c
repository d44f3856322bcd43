/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms stand on: errors and their words, bytes, guest memory. */
#include "bare.h"

#include <errno.h>
#include <string.h>

#include "base/core/bytes.h"

static bool drive_err(void)
{
	struct err err = { 0 };

	EXPECT(err_say(&err, EINVAL, "%s: %u of %d, 0x%02x, %zu", "disk", 3U, -4, 10U, (size_t)5) ==
	       -EINVAL);
	EXPECT(memcmp(err.text, "disk: 3 of -4, 0x0a, 5", 23) == 0);
	EXPECT(err_wrap(&err, "start %.*s", 2, "vm0") == -EINVAL);
	EXPECT(memcmp(err.text, "start vm: disk: 3", 17) == 0);
	EXPECT(err_set(&err, ENOSPC, "%5lu|%s", 12UL, "a\nb") == -ENOSPC);
	EXPECT(memcmp(err.text, "   12|a?b: error 28", 20) == 0);
	return true;
}

bool drive_core(struct board *b)
{
	gpa_t at = board_alloc(b, 64, 16);
	uint8_t *bytes = board_at(b, at);

	for (uint8_t i = 0; i < 64; i++)
		bytes[i] = i;
	memmove(bytes + 8, bytes, 32);
	EXPECT(bytes[8] == 0 && bytes[39] == 31 && bytes[40] == 40);
	memmove(bytes, bytes + 8, 32);
	EXPECT(bytes[0] == 0 && bytes[31] == 31);
	EXPECT(le32_load(bytes) == 0x03020100);
	EXPECT(mem_hva(&b->mem, at, 64) == bytes);
	EXPECT(!mem_hva(&b->mem, BARE_RAM_BYTES - 1, 2));
	EXPECT(mem_write(&b->mem, at, "virtual", 7) == 0 && memcmp(bytes, "virtual", 7) == 0);
	EXPECT(bus_read(&b->mmio, 0x12345000, 4) == UINT32_MAX);
	return drive_err();
}
