/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/ext4.h"

#define NEEDS_MKE2FS()                                                                             \
	do {                                                                                       \
		if (system("command -v mke2fs >/dev/null") != 0)                                   \
			SKIP("needs mke2fs");                                                      \
	} while (0)

static int image(const struct scratch *s, off_t size, char ret[512])
{
	int fd = openat(s->fd, "disk.img", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	(void)snprintf(ret, 512, "%s/disk.img", s->path);
	return fd;
}

static void an_empty_image_gets_a_file_system_once(void **state)
{
	struct scratch *s = *state;
	struct err err = { 0 };
	char path[512], first[16], again[16];
	static const char zero[65536];

	NEEDS_MKE2FS();
	AUTO(fd_close_p) int fd = image(s, 16 << 20, path);
	/* Zeroes that were written are as empty as a hole. */
	assert_int_equal(pwrite(fd, zero, sizeof(zero), 1 << 20), sizeof(zero));
	if (ext4_ensure(path, false, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(pread(fd, first, sizeof(first), 1024 + 0x68), sizeof(first)); /* s_uuid */
	assert_int_equal(ext4_ensure(path, false, &err), 0);
	assert_int_equal(pread(fd, again, sizeof(again), 1024 + 0x68), sizeof(again));
	assert_memory_equal(first, again, sizeof(first));
	assert_int_equal(lseek(fd, 0, SEEK_END), 16 << 20);
}

/* Debian: an ordinary user's has no sbin. */
static void the_program_is_found_where_his_path_does_not_lead(void **state)
{
	struct scratch *s = *state;
	struct err err = { 0 };
	char path[512];
	char *before = strdup(getenv("PATH") ? getenv("PATH") : "");

	NEEDS_MKE2FS();
	AUTO(fd_close_p) int fd = image(s, 16 << 20, path);
	assert_int_equal(setenv("PATH", "/usr/bin:/bin", 1), 0);
	int r = ext4_ensure(path, false, &err);
	assert_int_equal(setenv("PATH", before, 1), 0);
	free(before);
	if (r < 0)
		fail_msg("%s", err.text);
}

static void what_holds_something_else_is_left_alone(void **state)
{
	struct scratch *s = *state;
	struct err err = { 0 };
	char path[512], byte = 0;

	AUTO(fd_close_p) int fd = image(s, 16 << 20, path);
	assert_int_equal(pwrite(fd, "x", 1, (16 << 20) - 1), 1);
	assert_int_equal(ext4_ensure(path, false, &err), -EINVAL);
	assert_non_null(strstr(err.text, "--disk"));
	assert_int_equal(pread(fd, &byte, 1, (16 << 20) - 1), 1);
	assert_int_equal(byte, 'x');
}

static void an_empty_one_in_use_is_not_touched(void **state)
{
	struct scratch *s = *state;
	struct err err = { 0 };
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[512];

	AUTO(fd_close_p) int fd = image(s, 16 << 20, path);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(ext4_ensure(path, false, &err), -EBUSY);
	assert_int_equal(lseek(fd, 0, SEEK_DATA), -1);
}

/* Regression: the guest's mount said "Read-only file system", which sounds as asked for. */
static void one_to_be_read_only_must_have_been_unmounted(void **state)
{
	struct scratch *s = *state;
	struct err err = { 0 };
	char path[512];
	uint8_t incompat = 0;

	NEEDS_MKE2FS();
	AUTO(fd_close_p) int fd = image(s, 16 << 20, path);
	assert_int_equal(ext4_ensure(path, true, &err), 0);
	assert_int_equal(ext4_ensure(path, true, &err), 0);
	assert_int_equal(pread(fd, &incompat, 1, 1024 + 0x60), 1);
	incompat |= 4;
	assert_int_equal(pwrite(fd, &incompat, 1, 1024 + 0x60), 1);
	assert_int_equal(ext4_ensure(path, true, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "writable"));
	assert_int_equal(ext4_ensure(path, false, &err), 0);
}

static void one_too_small_is_empty_again(void **state)
{
	struct scratch *s = *state;
	struct err err = { 0 };
	char path[512];

	NEEDS_MKE2FS();
	AUTO(fd_close_p) int fd = image(s, 4096, path);
	assert_int_equal(ext4_ensure(path, false, &err), -EIO);
	assert_int_equal(lseek(fd, 0, SEEK_END), 4096);
	assert_int_equal(lseek(fd, 0, SEEK_DATA), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(an_empty_image_gets_a_file_system_once),
		SCRATCH_TEST(the_program_is_found_where_his_path_does_not_lead),
		SCRATCH_TEST(what_holds_something_else_is_left_alone),
		SCRATCH_TEST(an_empty_one_in_use_is_not_touched),
		SCRATCH_TEST(one_to_be_read_only_must_have_been_unmounted),
		SCRATCH_TEST(one_too_small_is_empty_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
