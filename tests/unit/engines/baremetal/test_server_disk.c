/* SPDX-License-Identifier: Apache-2.0 */
/* Images as servers' disks: what is refused, where extents lie, and that none shows what was there before. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "engines/baremetal/server_disk.h"

#define MIB  EXTENTS_UNIT_BYTES
#define PART MIB /* where the partition begins */

static const char *image(const struct scratch *s, uint64_t bytes, char path[128])
{
	(void)snprintf(path, 128, "%s/disk.img", s->path);
	AUTO(fd_close_p) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return path;
}

static void put(const char *path, uint64_t at, const void *data, size_t len)
{
	AUTO(fd_close_p) int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, data, len, (off_t)at), len);
}

static int get(const char *path, uint64_t at)
{
	AUTO(fd_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
	return byte;
}

static int add(const char *path, const char *name, uint64_t len, const char *from, struct err *err)
{
	AUTO(server_disk_fini) struct server_disk d;

	*err = (struct err){ 0 };
	int r = server_disk_open(path, true, &d, err);
	return r < 0 ? r : server_disk_add(&d, name, len, 0, from, err);
}

static int removed(const char *path, const char *name, struct err *err)
{
	AUTO(server_disk_fini) struct server_disk d;

	int r = server_disk_open(path, true, &d, err);
	return r < 0 ? r : server_disk_remove(&d, name, err);
}

static void an_image_is_formatted_and_gets_extents(void **state)
{
	static const uint32_t sectors[] = { 0, 512, 4096 };
	char path[128];
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(sectors); i++) {
		AUTO(server_disk_fini) struct server_disk d = { .fd = -EBADF };
		image(*state, 16 * MIB + 777, path);
		assert_int_equal(server_disk_format(path, sectors[i], false, &err), 0);
		assert_int_equal(add(path, "a", 3 * MIB, NULL, &err), 0);
		assert_int_equal(add(path, "b", 1, NULL, &err), 0);
		assert_int_equal(removed(path, "a", &err), 0);
		assert_int_equal(removed(path, "a", &err), -ENOENT);
		assert_int_equal(server_disk_open(path, false, &d, &err), 0);
		assert_int_equal(d.note.code, 0);
		assert_int_equal(d.sector_bytes, sectors[i] ? sectors[i] : 512);
		assert_int_equal(d.part_start_bytes, PART);
		assert_int_equal(d.table.part_bytes, 14 * MIB);
		assert_int_equal(d.table.n, 1);
		assert_string_equal(d.table.at[0].name, "b");
		assert_int_equal(d.table.at[0].start_bytes, 4 * MIB);
	}
}

static void what_has_something_is_formatted_by_force_only(void **state)
{
	static const uint64_t places[] = { 0, 1024, 65600, MIB - 1, 15 * MIB, 16 * MIB - 1 };
	char path[128];
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		image(*state, 16 * MIB, path);
		put(path, places[i], "x", 1);
		assert_int_equal(server_disk_format(path, 0, false, &err), -EEXIST);
		assert_int_equal(get(path, 512), 0); /* nothing was written */
		assert_int_equal(server_disk_format(path, 0, true, &err), 0);
		if (places[i] > 17 * 1024 && places[i] < 16 * MIB - 17 * 1024)
			assert_int_equal(get(path, places[i]), 0);
	}
	assert_int_equal(server_disk_format(path, 0, false, &err), -EEXIST);
	assert_non_null(strstr(err.text, "a partition table"));
	image(*state, 4 * MIB - 1, path);
	assert_int_equal(server_disk_format(path, 0, true, &err), -EINVAL);
	image(*state, 4 * MIB, path);
	assert_int_equal(server_disk_format(path, 4096, true, &err), 0);
}

static void by_force_the_extents_of_before_are_gone(void **state)
{
	AUTO(server_disk_fini) struct server_disk d = { .fd = -EBADF };
	char path[128];
	struct err err = { 0 };

	image(*state, 16 * MIB, path);
	assert_int_equal(server_disk_format(path, 0, false, &err), 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(add(path, "a", MIB, NULL, &err), 0);
		assert_int_equal(removed(path, "a", &err), 0);
	}
	assert_int_equal(add(path, "a", MIB, NULL, &err), 0);
	assert_int_equal(server_disk_format(path, 4096, true, &err), 0);
	assert_int_equal(server_disk_open(path, false, &d, &err), 0);
	assert_int_equal(d.table.n, 0);
	assert_int_equal(d.table.generation, 2);
}

static void a_disk_in_use_is_left_alone(void **state)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 201, .l_len = 1 };
	AUTO(server_disk_fini) struct server_disk d = { .fd = -EBADF };
	char path[128];
	struct err err;

	image(*state, 16 * MIB, path);
	assert_int_equal(server_disk_format(path, 0, false, &err), 0);
	AUTO(fd_close_p) int fd = open(path, O_RDWR | O_CLOEXEC); /* as QEMU holds its disks */
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(server_disk_format(path, 0, true, &err), -EBUSY);
	assert_int_equal(add(path, "a", MIB, NULL, &err), -EBUSY);
	assert_int_equal(server_disk_open(path, false, &d, &err), 0); /* to look is harmless */
}

static void a_new_extent_has_nothing_of_an_older_one(void **state)
{
	char path[128], from[128];
	struct err err = { 0 };

	image(*state, 16 * MIB, path);
	assert_int_equal(server_disk_format(path, 0, false, &err), 0);
	assert_int_equal(add(path, "a", 2 * MIB, NULL, &err), 0);
	put(path, PART + MIB, "secret", 6);
	put(path, PART + 3 * MIB - 1, "x", 1);
	put(path, PART + 3 * MIB, "behind", 6);
	assert_int_equal(removed(path, "a", &err), 0);
	assert_int_equal(add(path, "b", 2 * MIB - 5, NULL, &err), 0);
	assert_int_equal(get(path, PART + MIB), 0);
	assert_int_equal(get(path, PART + 3 * MIB - 1), 0);
	assert_int_equal(get(path, PART + 3 * MIB), 'b');
	put(path, PART + MIB, "secret", 6);
	assert_int_equal(removed(path, "b", &err), 0);
	(void)snprintf(from, sizeof(from), "%s/from", ((const struct scratch *)*state)->path);
	AUTO(fd_close_p) int fd = open(from, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(fd_write_all(fd, "abc", 3), 0);
	assert_int_equal(add(path, "c", 0, from, &err), 0);
	assert_int_equal(get(path, PART + MIB + 2), 'c');
	assert_int_equal(get(path, PART + MIB + 3), 0);
}

static void contents_that_cannot_be_are_refused_and_nothing_is_changed(void **state)
{
	AUTO(server_disk_fini) struct server_disk d = { .fd = -EBADF };
	const struct scratch *s = *state;
	char path[128], from[128];
	struct err err = { 0 };

	image(s, 16 * MIB, path);
	assert_int_equal(server_disk_format(path, 0, false, &err), 0);
	assert_int_equal(add(path, "a", MIB, "/nonexistent", &err), -ENOENT);
	assert_int_equal(add(path, "a", MIB, s->path, &err), -EINVAL);
	assert_int_equal(add(path, "a", 0, path, &err), -EINVAL);
	(void)snprintf(from, sizeof(from), "%s/from", s->path);
	AUTO(fd_close_p) int fd = open(from, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(add(path, "a", 0, from, &err), -EINVAL);
	assert_int_equal(ftruncate(fd, MIB + 1), 0);
	assert_int_equal(add(path, "a", MIB, from, &err), -EFBIG);
	assert_int_equal(ftruncate(fd, 14 * MIB), 0);
	assert_int_equal(add(path, "a", 0, from, &err), -ENOSPC);
	(void)snprintf(from, sizeof(from), "%s/fifo", s->path);
	assert_int_equal(mkfifo(from, 0600), 0);
	assert_int_equal(add(path, "a", MIB, from, &err), -EINVAL);
	assert_int_equal(add(from, "a", MIB, NULL, &err), -EINVAL);
	assert_int_equal(server_disk_open(path, false, &d, &err), 0);
	assert_int_equal(d.table.n, 0);
	assert_int_equal(d.table.generation, 2);
}

static void broken_disks_are_refused_and_copies_used(void **state)
{
	char path[128];
	struct err err = { 0 };

	image(*state, 16 * MIB, path);
	assert_int_equal(add(path, "a", MIB, NULL, &err), -ENODATA);
	assert_int_equal(server_disk_format(path, 0, false, &err), 0);
	put(path, 512 + 60, "broken", 6);
	assert_int_equal(add(path, "a", MIB, NULL, &err), 0); /* by the copy at the end */
	put(path, 16 * MIB - 512 + 60, "broken", 6);
	assert_int_equal(add(path, "b", MIB, NULL, &err), -EBADMSG);
	assert_int_equal(server_disk_format(path, 0, true, &err), 0);
	put(path, PART + 100, "broken", 6);
	AUTO(server_disk_fini) struct server_disk d;
	assert_int_equal(server_disk_open(path, false, &d, &err), 0);
	assert_int_equal(d.note.code, EBADMSG);
	server_disk_fini(&d);
	put(path, PART + extents_copy_offset(1) + 100, "broken", 6);
	assert_int_equal(add(path, "a", MIB, NULL, &err), -EBADMSG);
	assert_int_equal(server_disk_format(path, 0, true, &err), 0);
	put(path, 1024, "another", 7); /* the partition's type: both sums are wrong */
	put(path, 16 * MIB - 33 * 512, "another", 7);
	assert_int_equal(add(path, "a", MIB, NULL, &err), -EBADMSG);
	assert_int_equal(truncate(path, 8 * MIB), 0);
	assert_int_equal(add(path, "a", MIB, NULL, &err), -EBADMSG);
}

/* The power goes after so many bytes of the table. */
struct cut {
	struct server_disk disk;
	size_t bytes;
};

static int cut_write(const struct extents_io *io, uint64_t offset, const void *data, size_t len)
{
	const struct server_disk *d = container_of(io, struct server_disk, io);
	const struct cut *cut = container_of(d, struct cut, disk);
	size_t n = len < cut->bytes ? len : cut->bytes;

	assert_int_equal(pwrite(d->fd, data, n, (off_t)(d->part_start_bytes + offset)), n);
	return -EIO;
}

static int cut_flush(const struct extents_io *io)
{
	(void)io;
	return 0;
}

/* What is there afterwards: the extents of before, or those of after; and a's bytes. */
static void cut_off(const char *path, size_t bytes, bool is_add)
{
	AUTO(server_disk_fini) struct server_disk back = { .fd = -EBADF };
	struct cut cut = { .bytes = bytes };
	struct err err = { 0 };

	assert_int_equal(server_disk_format(path, 0, true, &err), 0);
	assert_int_equal(add(path, "a", MIB, NULL, &err), 0);
	assert_int_equal(add(path, "c", MIB, NULL, &err), 0);
	put(path, PART + MIB, "mine", 4);
	assert_int_equal(server_disk_open(path, true, &cut.disk, &err), 0);
	cut.disk.io = (struct extents_io){ cut_write, cut_flush };
	if (is_add)
		assert_int_equal(server_disk_add(&cut.disk, "b", MIB, 0, NULL, &err), -EIO);
	else
		assert_int_equal(server_disk_remove(&cut.disk, "c", &err), -EIO);
	server_disk_fini(&cut.disk);
	assert_int_equal(server_disk_open(path, false, &back, &err), 0);
	assert_non_null(extents_find(&back.table, "a"));
	assert_int_equal(get(path, PART + MIB), 'm');
	bool is_after = back.table.n != 2;
	if (is_after)
		assert_int_equal(back.table.n, is_add ? 3 : 1);
	assert_true(bytes || !is_after);
	assert_true(bytes < EXTENTS_COPY_BYTES || is_after);
	server_disk_fini(&back);
	int again = is_add ? add(path, "b", MIB, NULL, &err) : removed(path, "c", &err);
	assert_int_equal(again, !is_after ? 0 : is_add ? -EEXIST : -ENOENT);
}

static void what_is_cut_off_leaves_the_extents_of_before_or_after(void **state)
{
	char path[128];

	image(*state, 8 * MIB, path);
	for (size_t bytes = 0; bytes <= EXTENTS_COPY_BYTES; bytes += bytes < 512 ? 128 : 1536) {
		cut_off(path, bytes, true);
		cut_off(path, bytes, false);
	}
}

static void an_image_under_a_loop_device_is_in_use(void **state)
{
	char path[128];
	struct err err;

	image(*state, 8 * MIB, path);
	AUTO(fd_close_p) int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	AUTO(fd_close_p) int file = open(path, O_RDWR | O_CLOEXEC);
	int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	char name[32];
	(void)snprintf(name, sizeof(name), "/dev/loop%d", number);
	AUTO(fd_close_p) int loop = number < 0 ? -1 : open(name, O_RDWR | O_CLOEXEC);
	if (loop < 0 || ioctl(loop, LOOP_SET_FD, file) < 0)
		SKIP("no loop devices here");
	int of_file = server_disk_format(path, 0, false, &err);
	int of_loop = server_disk_format(name, 0, false, &err);
	int wrong = server_disk_format(name, 4096, true, &err);
	int added = add(name, "a", 0, "/proc/self/exe", &err);
	int small = add(name, "b", MIB, NULL, &err);
	AUTO(fd_close_p) int held = open(name, O_RDWR | O_CLOEXEC | O_EXCL);
	int busy = add(name, "c", MIB, NULL, &err);
	(void)ioctl(loop, LOOP_CLR_FD, 0);
	assert_int_equal(of_file, -EBUSY);
	assert_int_equal(of_loop, 0);
	assert_int_equal(wrong, -EINVAL);
	assert_true(added == 0 || added == -ENOSPC); /* as large as this program is */
	assert_int_equal(small, 0);
	assert_true(held >= 0);
	assert_int_equal(busy, -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(an_image_is_formatted_and_gets_extents),
		SCRATCH_TEST(what_has_something_is_formatted_by_force_only),
		SCRATCH_TEST(by_force_the_extents_of_before_are_gone),
		SCRATCH_TEST(a_disk_in_use_is_left_alone),
		SCRATCH_TEST(a_new_extent_has_nothing_of_an_older_one),
		SCRATCH_TEST(contents_that_cannot_be_are_refused_and_nothing_is_changed),
		SCRATCH_TEST(what_is_cut_off_leaves_the_extents_of_before_or_after),
		SCRATCH_TEST(an_image_under_a_loop_device_is_in_use),
		SCRATCH_TEST(broken_disks_are_refused_and_copies_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
