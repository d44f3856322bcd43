/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"

static void touch(int dirfd, const char *name)
{
	AUTO(fd_close_p) int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
}

static unsigned count(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fdopendir(fd);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2; /* . and .. */
}

static void read_is_bounded_and_appends(void **state)
{
	const struct scratch *s = *state;
	AUTO(buf_fini) struct buf buf = { 0 };

	assert_int_equal(file_replace(s->fd, "f", 0600, "hello", 5, false), 0);
	assert_int_equal(buf_adds(&buf, ">"), 0);
	assert_int_equal(file_read(s->fd, "f", 5, &buf), 0);
	assert_string_equal(buf_str(&buf), ">hello");
	assert_int_equal(file_read(s->fd, "f", 4, &buf), -EFBIG);
	assert_int_equal(file_read(s->fd, "none", 4, &buf), -ENOENT);
}

static void write_needs_an_existing_file(void **state)
{
	const struct scratch *s = *state;

	assert_int_equal(file_write(s->fd, "none", "x"), -ENOENT);
	touch(s->fd, "f");
	assert_int_equal(file_write(s->fd, "f", "x"), 0);
}

static void replace_is_whole_and_leaves_no_debris(void **state)
{
	const struct scratch *s = *state;
	AUTO(buf_fini) struct buf buf = { 0 };

	assert_int_equal(mkdirat(s->fd, "d", 0700), 0);
	assert_int_equal(file_replace(s->fd, "d/f", 0640, "old", 3, true), 0);
	assert_int_equal(file_replace(s->fd, "d/f", 0640, "new", 3, false), 0);
	assert_int_equal(file_read(s->fd, "d/f", 10, &buf), 0);
	assert_string_equal(buf_str(&buf), "new");
	AUTO(fd_close_p) int d = openat(s->fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(count(d), 1);
}

static void replace_fails_without_a_trace(void **state)
{
	const struct scratch *s = *state;

	assert_int_equal(mkdirat(s->fd, "taken", 0700), 0);
	assert_int_equal(file_replace(s->fd, "taken", 0600, "x", 1, true), -EISDIR);
	assert_int_equal(file_replace(s->fd, "none/f", 0600, "x", 1, true), -ENOENT);
	assert_int_equal(count(s->fd), 1);
}

static void replace_does_not_write_through_a_link(void **state)
{
	const struct scratch *s = *state;
	AUTO(buf_fini) struct buf buf = { 0 };

	assert_int_equal(file_replace(s->fd, "victim", 0600, "safe", 4, false), 0);
	assert_int_equal(symlinkat("victim", s->fd, "link"), 0);
	assert_int_equal(file_replace(s->fd, "link", 0600, "x", 1, false), 0);
	assert_int_equal(file_read(s->fd, "victim", 10, &buf), 0);
	assert_string_equal(buf_str(&buf), "safe");
}

static void fifo_is_new_and_never_at_its_end(void **state)
{
	const struct scratch *s = *state;
	char byte;

	assert_int_equal(symlinkat("victim", s->fd, "ask"), 0);
	AUTO(fd_close_p) int fd = file_fifo(s->fd, "ask");
	assert_true(fd >= 0);
	assert_int_equal(faccessat(s->fd, "victim", F_OK, 0), -1);
	int writer = openat(s->fd, "ask", O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	assert_int_equal(write(writer, "?", 1), 1);
	fd_close(writer);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(read(fd, &byte, 1), -1); /* not 0, as without a writer */
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(dir_make(s->fd, "dir", 0700), 0);
	assert_int_equal(file_fifo(s->fd, "dir"), -EISDIR);
}

static void make_creates_every_level(void **state)
{
	const struct scratch *s = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/a/b//c/", s->path);
	assert_int_equal(dir_make(AT_FDCWD, path, 0700), 0);
	assert_int_equal(dir_make(AT_FDCWD, path, 0700), 0);
	assert_int_equal(faccessat(s->fd, "a/b/c", F_OK, 0), 0);
	assert_int_equal(dir_make(s->fd, "x/y", 0700), 0);
	assert_int_equal(faccessat(s->fd, "x/y", F_OK, 0), 0);
}

static void make_does_not_take_a_file_for_a_directory(void **state)
{
	const struct scratch *s = *state;

	touch(s->fd, "f");
	assert_int_equal(dir_make(s->fd, "f/g", 0700), -ENOTDIR);
	assert_int_equal(dir_make(s->fd, "f", 0700), -ENOTDIR);
}

static void remove_takes_files_trees_and_nothing(void **state)
{
	const struct scratch *s = *state;

	touch(s->fd, "f");
	assert_int_equal(dir_remove(s->fd, "f"), 0);
	assert_int_equal(dir_make(s->fd, "t/a/b/c", 0700), 0);
	assert_int_equal(mkfifoat(s->fd, "t/a/fifo", 0600), 0);
	for (int i = 0; i < 500; i++) {
		char name[32];
		snprintf(name, sizeof(name), "t/a/%d", i);
		touch(s->fd, name);
	}
	assert_int_equal(dir_remove(s->fd, "t"), 0);
	assert_int_equal(dir_remove(s->fd, "t"), 0);
	assert_int_equal(dir_remove(s->fd, "none/at/all"), 0);
	assert_int_equal(count(s->fd), 0);
}

static void remove_refuses_dots(void **state)
{
	const struct scratch *s = *state;

	assert_int_equal(mkdirat(s->fd, "t", 0700), 0);
	touch(s->fd, "kept");
	assert_int_equal(dir_remove(s->fd, "."), -EINVAL);
	assert_int_equal(dir_remove(s->fd, ".."), -EINVAL);
	assert_int_equal(dir_remove(s->fd, "t/.."), -EINVAL);
	assert_int_equal(dir_remove(s->fd, "t/"), -EINVAL);
	assert_int_equal(faccessat(s->fd, "kept", F_OK, 0), 0);
}

static void remove_does_not_follow_links(void **state)
{
	const struct scratch *s = *state;

	assert_int_equal(dir_make(s->fd, "victim/sub", 0700), 0);
	touch(s->fd, "victim/file");
	assert_int_equal(mkdirat(s->fd, "t", 0700), 0);
	assert_int_equal(symlinkat("../victim", s->fd, "t/link"), 0);
	assert_int_equal(symlinkat("victim", s->fd, "toplink"), 0);
	assert_int_equal(dir_remove(s->fd, "t"), 0);
	assert_int_equal(dir_remove(s->fd, "toplink"), 0);
	assert_int_equal(faccessat(s->fd, "victim/file", F_OK, 0), 0);
	assert_int_equal(faccessat(s->fd, "victim/sub", F_OK, 0), 0);
}

/* Deeper than any path, any stack and any fd table: 100,000 levels. */
static void remove_survives_a_very_deep_tree(void **state)
{
	struct rlimit old;
	char top[] = "/dev/shm/strata-unit-XXXXXX"; /* a disk would take a minute */

	(void)state;
	if (!mkdtemp(top))
		SKIP("no /dev/shm to make it in");
	int at = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 100000; i++) {
		assert_int_equal(mkdirat(at, "d", 0700), 0);
		int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd_close(at);
		at = next;
	}
	touch(at, "bottom");
	fd_close(at);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	struct rlimit few = { .rlim_cur = 64, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	int r = dir_remove(AT_FDCWD, top);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(r, 0);
	assert_int_equal(access(top, F_OK), -1);
}

static void remove_gets_past_names_made_to_stop_it(void **state)
{
	const struct scratch *s = *state;

	assert_int_equal(mkdirat(s->fd, "t", 0700), 0);
	for (int i = 0; i < 200; i++) {
		char name[64];
		snprintf(name, sizeof(name), "t/.remove.%ld.%x/x", (long)getpid(), i);
		assert_int_equal(dir_make(s->fd, name, 0700), 0);
	}
	char deep[512] = "t";
	for (int i = 0; i < 100; i++)
		memcpy(deep + strlen(deep), "/d", 3);
	assert_int_equal(dir_make(s->fd, deep, 0700), 0);
	assert_int_equal(dir_remove(s->fd, "t"), 0);
	assert_int_equal(count(s->fd), 0);
}

/* In a child with its own mount namespace. Returns 0, or the line that failed. */
static int mounts_child(const struct scratch *s)
{
	char from[128], to[128];

	snprintf(from, sizeof(from), "%s/victim", s->path);
	snprintf(to, sizeof(to), "%s/t/mnt", s->path);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	if (mount(from, to, NULL, MS_BIND, NULL) < 0)
		return __LINE__ % 256;
	int r = dir_remove(s->fd, "t");
	if (r != -EXDEV && r != -EBUSY)
		return __LINE__ % 256;
	if (faccessat(s->fd, "victim/file", F_OK, 0) < 0)
		return __LINE__ % 256;
	if (faccessat(s->fd, "t/other", F_OK, 0) == 0)
		return __LINE__ % 256;
	r = dir_remove(s->fd, "t/mnt");
	if (r >= 0 || faccessat(s->fd, "victim/file", F_OK, 0) < 0)
		return __LINE__ % 256;
	return 0;
}

static void remove_does_not_empty_a_bind_mount(void **state)
{
	const struct scratch *s = *state;
	int status = 0;

	assert_int_equal(mkdirat(s->fd, "victim", 0700), 0);
	touch(s->fd, "victim/file");
	assert_int_equal(dir_make(s->fd, "t/mnt", 0700), 0);
	touch(s->fd, "t/other");
	pid_t pid = fork();
	if (pid == 0)
		_exit(mounts_child(s));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		SKIP("needs root: it makes a mount namespace");
	assert_int_equal(status, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(read_is_bounded_and_appends),
		SCRATCH_TEST(write_needs_an_existing_file),
		SCRATCH_TEST(replace_is_whole_and_leaves_no_debris),
		SCRATCH_TEST(replace_fails_without_a_trace),
		SCRATCH_TEST(replace_does_not_write_through_a_link),
		SCRATCH_TEST(fifo_is_new_and_never_at_its_end),
		SCRATCH_TEST(make_creates_every_level),
		SCRATCH_TEST(make_does_not_take_a_file_for_a_directory),
		SCRATCH_TEST(remove_takes_files_trees_and_nothing),
		SCRATCH_TEST(remove_refuses_dots),
		SCRATCH_TEST(remove_does_not_follow_links),
		cmocka_unit_test(remove_survives_a_very_deep_tree),
		SCRATCH_TEST(remove_gets_past_names_made_to_stop_it),
		SCRATCH_TEST(remove_does_not_empty_a_bind_mount),
	};

	return cmocka_run_group_tests_name("base/file", tests, NULL, NULL);
}
