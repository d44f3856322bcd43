/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/os/fd.h"
#include "base/os/file.h"
#include "engines/oslevel/views.h"

static void read_view(const struct scratch *s, const char *name, struct buf *ret)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "views/%s", name);
	buf_fini(ret);
	assert_int_equal(file_read(s->fd, path, 1 << 22, ret), 0);
}

/* In no control group everything is the host's, but for the time since it began. */
static void files_are_written_in_place(void **state)
{
	const struct scratch *s = *state;
	struct cgroup_layout layout = { 0 };
	struct cgroup cgroup;
	struct views views = VIEWS_NONE;
	AUTO(buf_fini) struct buf text = { 0 };
	AUTO(buf_fini) struct buf host = { 0 };
	struct stat before, after;
	unsigned long long here = 0, there = 1;

	cgroup_none(&layout, &cgroup);
	views_write(&views, &cgroup, getpid()); /* there are none: nothing */
	assert_int_equal(views_open(s->path, &views, NULL), 0);
	views_write(&views, &cgroup, getpid());
	assert_int_equal(fstatat(s->fd, "views/uptime", &before, 0), 0);
	assert_int_equal(before.st_mode & 07777, 0444);
	read_view(s, "uptime", &text);
	assert_true(!strncmp(buf_str(&text), "0.", 2));
	read_view(s, "meminfo", &text);
	assert_int_equal(file_read(AT_FDCWD, "/proc/meminfo", 65536, &host), 0);
	assert_int_equal(sscanf(buf_str(&text), "MemTotal: %llu kB", &here), 1);
	assert_int_equal(sscanf(buf_str(&host), "MemTotal: %llu kB", &there), 1);
	assert_true(here == there);
	/* What is longer than the next text goes. */
	assert_int_equal(pwrite(views.fds[VIEW_UPTIME], "999999999.99 999999999.99\nrest\n", 31, 0),
			 31);
	views_write(&views, &cgroup, getpid());
	read_view(s, "uptime", &text);
	assert_null(strstr(buf_str(&text), "rest"));
	assert_int_equal(fstatat(s->fd, "views/uptime", &after, 0), 0);
	assert_true(before.st_ino == after.st_ino);
	read_view(s, "boot_id", &text);
	assert_int_equal(text.len, 37);
	assert_true(buf_str(&text)[14] == '4' && strchr("89ab", buf_str(&text)[19]));
	views_close(&views);
	views_close(&views);
	assert_int_equal(views_open(s->path, &views, NULL), 0); /* a restart */
	views_close(&views);
}

static void no_directory_is_an_error(void **state)
{
	struct views views = VIEWS_NONE;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(views_open("/nowhere/at/all", &views, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/at/all"));
	assert_true(views.fds[0] < 0 && views_mount("/nowhere/at/all", VIEW_STAT, NULL) < 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		SCRATCH_TEST(files_are_written_in_place),
		SCRATCH_TEST(no_directory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
