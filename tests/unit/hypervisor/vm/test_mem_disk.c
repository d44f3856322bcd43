/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vm/mem_disk.h"

static uint8_t bytes[4096 + 100];
static struct mem_disk disk;
static int result;

static void done(struct disk_request *req, int r)
{
	(void)req;
	result = r;
}

static int submit(enum disk_op op, uint64_t offset, uint64_t len, void *data)
{
	const struct mem_iov iov[] = { { data, 512 },
				       { data ? (uint8_t *)data + 512 : NULL, 512 } };
	struct disk_request req = { .op = op,
				    .offset_bytes = offset,
				    .len_bytes = len,
				    .iov = iov,
				    .n_iov = len > 512 ? 2 : 1,
				    .done = done };

	result = 1;
	disk.disk.ops->submit(&disk.disk, &req);
	return result;
}

static void what_is_written_is_read(void **state)
{
	uint8_t out[1024], in[1024];

	(void)state;
	mem_disk_init(&disk, bytes, sizeof(bytes), false, "a-name-that-is-too-long");
	assert_int_equal(disk.disk.size_bytes, 4096);
	assert_int_equal(strlen(disk.disk.id), 20);
	memset(out, 7, sizeof(out));
	assert_int_equal(submit(DISK_WRITE, 512, 1024, out), 0);
	assert_int_equal(bytes[511] + bytes[1536], 0);
	assert_int_equal(submit(DISK_READ, 512, 1024, in), 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(submit(DISK_DISCARD, 1024, 512, NULL), 0);
	assert_int_equal(submit(DISK_WRITE_ZEROES, 512, 512, NULL), 0);
	for (unsigned i = 0; i < 4096; i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(submit(DISK_FLUSH, 0, 0, NULL), 0);
}

static void nothing_outside_is_touched(void **state)
{
	uint8_t data[1024] = { 0 };

	(void)state;
	mem_disk_init(&disk, bytes, sizeof(bytes), false, "d");
	memset(bytes, 9, sizeof(bytes));
	assert_int_equal(submit(DISK_WRITE, 4096, 512, data), -EINVAL);
	assert_int_equal(submit(DISK_WRITE, 3584, 1024, data), -EINVAL);
	assert_int_equal(submit(DISK_WRITE, UINT64_MAX - 511, 1024, data), -EINVAL);
	assert_int_equal(submit(DISK_READ, UINT64_C(1) << 60, 512, data), -EINVAL);
	assert_int_equal(submit(DISK_WRITE_ZEROES, 4096, 512, NULL), -EINVAL);
	assert_int_equal(submit(DISK_WRITE, 0, 4096, data), -EINVAL); /* more than its pieces */
	for (unsigned i = 4096; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 9);
}

static void one_that_is_read_only_stays_as_it_is(void **state)
{
	uint8_t data[1024] = { 0 };

	(void)state;
	memset(bytes, 9, sizeof(bytes));
	mem_disk_init(&disk, bytes, sizeof(bytes), true, "d");
	assert_int_equal(submit(DISK_WRITE, 0, 512, data), -EROFS);
	assert_int_equal(submit(DISK_DISCARD, 0, 512, NULL), -EROFS);
	assert_false(disk.disk.can_discard);
	assert_int_equal(bytes[0], 9);
	assert_int_equal(submit(DISK_READ, 0, 512, data), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(nothing_outside_is_touched),
		cmocka_unit_test(one_that_is_read_only_stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
