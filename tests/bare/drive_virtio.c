/* SPDX-License-Identifier: Apache-2.0 */
/* Each virtio device, as its driver uses it. Source: virtio 1.2, 5 Device Types. */
#include "driver.h"

#include <string.h>

#include "base/core/bytes.h"

enum { BLK_IN = 0, BLK_OUT = 1, BLK_FLUSH = 4, BLK_GET_ID = 8, BLK_DISCARD = 11 };
#define BLK_F_FLUSH   (UINT64_C(1) << 9)
#define BLK_F_DISCARD (UINT64_C(1) << 13)

struct blk_driver {
	struct driver d;
	gpa_t header, data, status;
};

/* A request of type for a sector, with len bytes of data; the status byte, or -1: it did not come back. */
static int blk_request(struct blk_driver *blk, uint32_t type, uint64_t sector, uint32_t len)
{
	struct board *b = blk->d.b;
	uint8_t *header = board_at(b, blk->header), *status = board_at(b, blk->status);
	bool device_writes = type == BLK_IN || type == BLK_GET_ID;
	struct piece pieces[3] = { { blk->header, 16, false } };
	unsigned n = 1;
	uint32_t wrote;

	le32_store(header, type);
	le32_store(header + 4, 0);
	le64_store(header + 8, sector);
	*status = 0xff;
	if (len)
		pieces[n++] = (struct piece){ blk->data, len, device_writes };
	pieces[n++] = (struct piece){ blk->status, 1, true };
	driver_put(&blk->d, 0, pieces, n);
	driver_kick(&blk->d, 0);
	if (!driver_take(&blk->d, 0, &wrote))
		return -1;
	if (*status == 0 && wrote != (device_writes ? len : 0) + 1)
		return -1;
	return *status;
}

bool drive_blk(struct board *b)
{
	struct blk_driver blk;

	if (!driver_start(&blk.d, b, 2, BLK_F_FLUSH | BLK_F_DISCARD, 1))
		return false;
	blk.header = board_alloc(b, 16, 16);
	blk.data = board_alloc(b, 4096, 4096);
	blk.status = board_alloc(b, 1, 1);
	uint8_t *data = board_at(b, blk.data);
	EXPECT(driver_config(&blk.d, 0, 8) == RAM_DISK_BYTES / 512);
	EXPECT(blk.d.features & BLK_F_FLUSH && blk.d.features & BLK_F_DISCARD);
	for (unsigned i = 0; i < 4096; i++)
		data[i] = (uint8_t)(i * 7);
	EXPECT(blk_request(&blk, BLK_OUT, 16, 4096) == 0);
	EXPECT(memcmp(b->disk.data + 16 * 512, data, 4096) == 0);
	EXPECT(blk_request(&blk, BLK_FLUSH, 0, 0) == 0 && b->disk.flushes == 1);
	memset(data, 0, 4096);
	EXPECT(blk_request(&blk, BLK_IN, 17, 512) == 0);
	EXPECT(data[0] == 0 && data[1] == 7 && data[511] == (uint8_t)(511 * 7));
	EXPECT(blk_request(&blk, BLK_GET_ID, 0, 20) == 0 && memcmp(data, "bare", 5) == 0);
	EXPECT(blk_request(&blk, BLK_IN, RAM_DISK_BYTES / 512, 512) == 1); /* past the end */
	le64_store(data, 16);
	le32_store(data + 8, 8);
	le32_store(data + 12, 0);
	EXPECT(blk_request(&blk, BLK_DISCARD, 0, 16) == 0 && b->disk.discards == 1);
	EXPECT(b->disk.data[16 * 512 + 1] == 0);
	return driver_reset(&blk.d);
}
