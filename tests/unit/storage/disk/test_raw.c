/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"

#define MIB UINT64_C(0x100000)

static void what_is_written_is_there(void **state)
{
	struct rig *rig = rig_of(state);

	rig_file(rig, "d.img", 4 * MIB);
	struct disk *disk = rig_open(rig, "d.img", DISK_FORMAT_AUTO, false);
	assert_string_equal(disk->ops->name, "raw");
	assert_int_equal(disk->size_bytes, 4 * MIB);
	rig_expect(rig, disk, 0, MIB, 0);
	rig_fill(rig, disk, 512, 1024, 'a');
	rig_fill(rig, disk, 4 * MIB - 512, 512, 'z');
	rig_flush(rig, disk);
	disk_close(disk);
	disk = rig_open(rig, "d.img", DISK_FORMAT_RAW, true);
	rig_expect(rig, disk, 0, 512, 0);
	rig_expect(rig, disk, 512, 1024, 'a');
	rig_expect(rig, disk, 4 * MIB - 512, 512, 'z');
	assert_int_equal(rig_io(rig, disk, DISK_DISCARD, 0, NULL, 512), -EROFS);
	rig_flush(rig, disk);
	disk_close(disk);
}

static void zeroes_and_discards_read_as_zeroes(void **state)
{
	struct rig *rig = rig_of(state);

	rig_file(rig, "d.img", MIB);
	struct disk *disk = rig_open(rig, "d.img", DISK_FORMAT_AUTO, false);
	rig_fill(rig, disk, 0, MIB, 'x');
	assert_int_equal(rig_zeroes(rig, disk, 4096, 1536, false), 0);
	assert_int_equal(rig_zeroes(rig, disk, 65536, 65536, true), 0);
	rig_expect(rig, disk, 0, 4096, 'x');
	rig_expect(rig, disk, 4096, 1536, 0);
	rig_expect(rig, disk, 4096 + 1536, 65536 - 4096 - 1536, 'x');
	rig_expect(rig, disk, 65536, 65536, 0);
	assert_int_equal(rig_io(rig, disk, DISK_DISCARD, 262144, NULL, 131072), 0);
	if (disk->can_discard)
		rig_expect(rig, disk, 262144, 131072, 0);
	rig_expect(rig, disk, 393216, MIB - 393216, 'x');
	disk_close(disk);
}

static void what_is_outside_is_refused(void **state)
{
	struct rig *rig = rig_of(state);
	uint8_t data[512];

	rig_file(rig, "d.img", MIB);
	struct disk *disk = rig_open(rig, "d.img", DISK_FORMAT_AUTO, false);
	assert_int_equal(rig_io(rig, disk, DISK_READ, MIB, data, 512), -EIO);
	assert_int_equal(rig_io(rig, disk, DISK_WRITE, UINT64_MAX - 511, data, 512), -EIO);
	assert_int_equal(rig_io(rig, disk, DISK_READ, 100, data, 512), -EINVAL);
	assert_int_equal(rig_io(rig, disk, DISK_DISCARD, 0, NULL, UINT64_MAX - 511), -EIO);
	disk_close(disk);
}

static void a_file_that_was_cut_is_an_error(void **state)
{
	struct rig *rig = rig_of(state);
	uint8_t data[512];

	rig_file(rig, "d.img", MIB);
	struct disk *disk = rig_open(rig, "d.img", DISK_FORMAT_AUTO, false);
	assert_int_equal(truncate(rig_path(rig, "d.img"), 512), 0);
	assert_int_equal(rig_io(rig, disk, DISK_READ, 4096, data, 512), -EIO);
	disk_close(disk);
}

struct burst {
	struct disk_request req;
	unsigned *left;
};

static void burst_done(struct disk_request *req, int result)
{
	assert_int_equal(result, 0);
	--*container_of(req, struct burst, req)->left;
}

static void burst_run(struct rig *rig, const char *name)
{
	static struct burst bursts[300];
	static uint8_t data[300][512];
	static struct mem_iov iovs[300];
	unsigned left = 300;

	struct disk *disk = rig_open(rig, name, DISK_FORMAT_AUTO, false);
	for (unsigned i = 0; i < 300; i++) {
		memset(data[i], (int)(i % 250 + 1), 512);
		iovs[i] = (struct mem_iov){ data[i], 512 };
		bursts[i] = (struct burst){ { .op = DISK_WRITE,
					      .offset_bytes = i * 512,
					      .len_bytes = 512,
					      .iov = &iovs[i],
					      .n_iov = 1,
					      .done = burst_done },
					    &left };
		disk->ops->submit(disk, &bursts[i].req);
	}
	while (left)
		(void)aio_wait(rig->aio);
	for (unsigned i = 0; i < 300; i++)
		rig_expect(rig, disk, i * 512, 512, (uint8_t)(i % 250 + 1));
	disk_close(disk);
}

static void more_requests_than_it_has_room_for(void **state)
{
	struct rig *rig = rig_of(state);

	rig_file(rig, "d.img", MIB);
	burst_run(rig, "d.img");
	rig_qcow2(rig, "d.qcow2", MIB, 0, NULL, DISK_FORMAT_AUTO);
	burst_run(rig, "d.qcow2");
	rig_check(rig, "d.qcow2");
}

static void a_disk_is_opened_by_one_writer(void **state)
{
	struct rig *rig = rig_of(state);
	const struct disk_open_opts rw = { 0 }, ro = { .read_only = true };

	rig_file(rig, "d.img", MIB);
	struct disk *disk = rig_open(rig, "d.img", DISK_FORMAT_AUTO, false);
	rig_refuse(rig, "d.img", &rw, -EBUSY, "is in use by another virtual machine");
	rig_refuse(rig, "d.img", &ro, -EBUSY, "is in use by another virtual machine");
	disk_close(disk);
	disk = rig_open(rig, "d.img", DISK_FORMAT_AUTO, true);
	struct disk *too = rig_open(rig, "d.img", DISK_FORMAT_AUTO, true);
	rig_refuse(rig, "d.img", &rw, -EBUSY, "is in use");
	disk_close(disk);
	disk_close(too);
	disk_close(NULL);
	disk_close(rig_open(rig, "d.img", DISK_FORMAT_AUTO, false));
}

static void what_is_no_disk_is_refused(void **state)
{
	struct rig *rig = rig_of(state);
	const struct disk_open_opts o = { 0 }, raw = { .format = DISK_FORMAT_RAW };
	AUTO(fd_close_p) int fd = -EBADF;

	rig_refuse(rig, "none.img", &o, -ENOENT, "none.img: No such file");
	rig_refuse(rig, ".", &o, -EINVAL, "neither a file nor a block device");
	assert_int_equal(mkfifo(rig_path(rig, "fifo"), 0600), 0);
	rig_refuse(rig, "fifo", &o, -EINVAL, "neither a file nor a block device");
	rig_file(rig, "odd.img", 1000);
	rig_refuse(rig, "odd.img", &o, -EINVAL, "multiple of 512");
	rig_file(rig, "empty.img", 0);
	rig_refuse(rig, "empty.img", &o, -EINVAL, "empty");
	rig_file(rig, "not.qcow2", 65536);
	rig_refuse(rig, "not.qcow2", &o, -EINVAL, "not a qcow2 image");

	/* A guest's raw disk that looks like an image naming somebody's file. */
	rig_file(rig, "trap.img", 65536);
	fd = open(rig_path(rig, "trap.img"), O_RDWR | O_CLOEXEC);
	assert_int_equal(write(fd, QCOW2_MAGIC, 4), 4);
	rig_refuse(rig, "trap.img", &o, -EINVAL, "format=qcow2");
	struct disk *disk = rig_open(rig, "trap.img", DISK_FORMAT_RAW, false);
	assert_string_equal(disk->ops->name, "raw");
	rig_refuse(rig, "trap.img", &raw, -EBUSY, "in use");
	disk_close(disk);
}

static void the_serial_number_is_cut(void **state)
{
	struct rig *rig = rig_of(state);
	const struct disk_open_opts o = { .id = "0123456789012345678901234567890" };
	struct disk *disk;

	rig_file(rig, "d.img", MIB);
	assert_int_equal(disk_open(rig_path(rig, "d.img"), &o, rig->aio, &disk, &rig->err), 0);
	assert_string_equal(disk->id, "01234567890123456789");
	disk_close(disk);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RIG_TEST(what_is_written_is_there),
		RIG_TEST(zeroes_and_discards_read_as_zeroes),
		RIG_TEST(what_is_outside_is_refused),
		RIG_TEST(a_file_that_was_cut_is_an_error),
		RIG_TEST(more_requests_than_it_has_room_for),
		RIG_TEST_ONCE(a_disk_is_opened_by_one_writer),
		RIG_TEST_ONCE(what_is_no_disk_is_refused),
		RIG_TEST_ONCE(the_serial_number_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
