/* SPDX-License-Identifier: Apache-2.0 */
/* With a /sys/block of its own; whether the rates then hold is tests/system/system.bats's. */
#include "scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/rootdisk_io.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void loop(const struct scratch *s, const char *name, const char *file)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/loop", name);
	AUTO(fd_close_p) int dir = fd_mkdir_in(s->fd, path, 0755);
	AUTO(fd_close_p) int fd = openat(dir, "backing_file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, file, strlen(file)), 0);
}

static void without_a_loop_they_are_what_was_asked(void **state)
{
	const struct scratch *s = *state;
	struct spec_io io = { .device = "/dev/null", .rates = { 5, 0, -1, 0 } };
	const struct spec_limits limits = { .pids = 7, .io = &io, .n_io = 1 };
	const struct spec_limits none = { .pids = 7 };
	const struct spec spec = { .id = ID, .root_bytes = 1 << 20 }, plain = { .id = ID };
	struct rootdisk_limits ret;

	loop(s, "loop0", "/elsewhere/root.ext4\n");
	loop(s, "loop1", "/x/" ID "/other.ext4\n");
	loop(s, "sda", "/x/" ID "/root.ext4\n");
	loop(s, "loop-with-a-long-name", "/x/" ID "/root.ext4\n");
	loop(s, "loop2", "");
	assert_int_equal(rootdisk_limits(s->path, &spec, &limits, &ret, NULL), 0);
	assert_true(ret.limits.pids == 7 && ret.limits.n_io == 1);
	assert_true(ret.limits.io != &io && !memcmp(ret.limits.io, &io, sizeof(io)));
	rootdisk_limits_fini(&ret);
	assert_int_equal(rootdisk_limits(s->path, &spec, &none, &ret, NULL), 0);
	assert_true(!ret.limits.n_io && !ret.limits.io && ret.limits.pids == 7);
	rootdisk_limits_fini(&ret);
	assert_int_equal(rootdisk_limits("/nowhere/at/all", &plain, &limits, &ret, NULL), 0);
	assert_int_equal(ret.limits.n_io, 1);
	rootdisk_limits_fini(&ret);
}

/* Whatever is under the scratch directory: the device that its file system says, where it is one. */
static void the_loop_of_its_root_has_the_disks_rates(void **state)
{
	const struct scratch *s = *state;
	char file[256], device[64], path[64], real[4096];
	struct stat st;
	const struct spec spec = { .id = ID, .root_bytes = 1 << 20 };
	struct rootdisk_limits ret;

	AUTO(fd_close_p) int dir = fd_mkdir_in(s->fd, "instances/" ID, 0755);
	AUTO(fd_close_p) int fd = openat(dir, "root.ext4", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	(void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", (unsigned)(st.st_dev >> 8),
		       (unsigned)(st.st_dev & 0xff));
	if (!realpath(path, real))
		SKIP("the file system is on no device");
	(void)snprintf(device, sizeof(device), "/dev/%.40s", strrchr(real, '/') + 1);
	if (stat(device, &st) < 0 || !S_ISBLK(st.st_mode))
		SKIP("the file system's device is not in /dev");
	(void)snprintf(file, sizeof(file), "%s/instances/" ID "/root.ext4\n", s->path);
	loop(s, "loop0", file);
	loop(s, "loop12", file);
	loop(s, "loop3", "/other/root.ext4\n");
	struct spec_io io[] = { { .device = "/dev/null", .rates = { 5 } },
				{ .device = device, .rates = { 0, 9, -1, 0 } } };
	const struct spec_limits limits = { .io = io, .n_io = 2 };
	assert_int_equal(rootdisk_limits(s->path, &spec, &limits, &ret, NULL), 0);
	assert_int_equal(ret.limits.n_io, 4);
	assert_string_equal(ret.limits.io[0].device, "/dev/null");
	assert_string_equal(ret.limits.io[1].device, device);
	for (size_t i = 2; i < 4; i++) {
		assert_memory_equal(ret.limits.io[i].rates, io[1].rates, sizeof(io[1].rates));
		assert_true(!strcmp(ret.limits.io[i].device, "/dev/loop0") ||
			    !strcmp(ret.limits.io[i].device, "/dev/loop12"));
	}
	rootdisk_limits_fini(&ret);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(without_a_loop_they_are_what_was_asked),
		SCRATCH_TEST(the_loop_of_its_root_has_the_disks_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
