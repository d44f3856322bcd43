/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "storage/disk/disk.h"
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
	struct stat st;

	NEEDS_MKE2FS();
	AUTO(fd_close_p) int fd = image(s, 16 << 20, path);
	assert_int_equal(fchmod(fd, 0640), 0);
	/* Zeroes that were written are as empty as a hole. */
	assert_int_equal(pwrite(fd, zero, sizeof(zero), 1 << 20), sizeof(zero));
	if (ext4_ensure(path, false, &err) < 0)
		fail_msg("%s", err.text);
	AUTO(fd_close_p) int made = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(made, first, sizeof(first), 1024 + 0x68),
			 sizeof(first)); /* s_uuid */
	assert_int_equal(ext4_ensure(path, false, &err), 0);
	assert_int_equal(pread(made, again, sizeof(again), 1024 + 0x68), sizeof(again));
	assert_memory_equal(first, again, sizeof(first));
	assert_memory_not_equal(first, zero, sizeof(first));
	assert_int_equal(lseek(made, 0, SEEK_END), 16 << 20);
	assert_int_equal(fstat(made, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
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
	assert_true(fd >= 0);
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
	fd_close(image(s, 16 << 20, path));
	assert_int_equal(ext4_ensure(path, true, &err), 0);
	assert_int_equal(ext4_ensure(path, true, &err), 0);
	AUTO(fd_close_p) int fd = open(path, O_RDWR | O_CLOEXEC);
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

static bool checked(const struct scratch *s, const char *program)
{
	char command[700];

	(void)snprintf(command, sizeof(command), "%s %s/disk.img >/dev/null 2>&1", program,
		       s->path);
	return system(command) == 0;
}

/* In a process of its own that is killed after some time; whether it came to its end. */
static bool killed(int (*fn)(const char *path), const char *path, unsigned us)
{
	const struct timespec pause = { .tv_nsec = us * 1000L };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(path) == 0 ? 0 : 1);
	(void)nanosleep(&pause, NULL); /* a moment that is nobody's: the kill is the event */
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFEXITED(status);
}

static int ensure(const char *path)
{
	return ext4_ensure(path, false, NULL);
}

/* Regression: a command killed within mke2fs left an image that was refused for ever. */
static void a_killed_making_is_begun_anew(void **state)
{
	struct scratch *s = *state;
	struct err err = { 0 };
	char path[512], beside[600];
	unsigned ended = 0;

	NEEDS_MKE2FS();
	for (unsigned i = 0; i < 40; i++) {
		fd_close(image(s, 256 << 20, path));
		ended += killed(ensure, path, i * 500);
		if (ext4_ensure(path, false, &err) < 0)
			fail_msg("after %u us: %s", i * 500, err.text);
		assert_true(checked(s, "e2fsck -fn"));
		(void)snprintf(beside, sizeof(beside), "%s" EXT4_NEW, path);
		assert_int_equal(access(beside, F_OK), -1);
		assert_int_equal(unlink(path), 0);
	}
	assert_true(ended < 40);
}

/* As a machine would that waits for the lock while another command makes the file system. */
static void who_waited_for_the_lock_gets_the_new_image(void **state)
{
	struct scratch *s = *state;
	struct err err = { 0 };
	char path[512], byte = 0;

	NEEDS_MKE2FS();
	fd_close(image(s, 16 << 20, path));
	int old = open(path, O_RDWR | O_CLOEXEC);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	assert_int_equal(fcntl(old, F_OFD_SETLK, &lock), 0);
	pid_t pid = fork();
	if (pid == 0) {
		fd_close(old); /* the parent's copy keeps the lock */
		int fd = disk_hold(path, false, NULL);
		_exit(fd >= 0 && pread(fd, &byte, 1, 1024 + 0x38) == 1 && byte == 0x53 ? 0 : 1);
	}
	char new[600];
	(void)snprintf(new, sizeof(new), "%s.other", path);
	if (ext4_make(new, 16 << 20, 0, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(rename(new, path), 0);
	fd_close(old);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
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
		SCRATCH_TEST(a_killed_making_is_begun_anew),
		SCRATCH_TEST(who_waited_for_the_lock_gets_the_new_image),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
