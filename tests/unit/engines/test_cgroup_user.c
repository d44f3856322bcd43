/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/fd.h"
#include "base/os/file.h"
#include "base/os/wait.h"
#include "engines/cgroup/private.h"

#define NOBODY 54321

static void ones_own_group_is_found_among_the_others(void **state)
{
	char own[64];

	(void)state;
	assert_true(
		cgroup_own_parse("9:name=systemd:/x\n0::/user.slice/a.scope\n", own, sizeof(own)));
	assert_string_equal(own, "user.slice/a.scope");
	assert_true(cgroup_own_parse("0::/", own, sizeof(own)));
	assert_string_equal(own, "");
	assert_false(cgroup_own_parse("4:memory:/a\n", own, sizeof(own)));
	assert_false(cgroup_own_parse("", own, sizeof(own)));
	/* One that does not fit is cut: no directory, but no harm. */
	assert_true(cgroup_own_parse("0::/0123456789\n", own, 4));
	assert_string_equal(own, "012");
}

/* Directories of a made-up host: "v1", of root; "v2/mine" with its file, of the user; "v2" of root. */
static void make(const char *dir)
{
	static const char *const names[] = { "v1", "v2", "v2/mine" };
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(mkdir(path, 0755), 0);
		assert_int_equal(chmod(path, 0755), 0);
		if (i == 2)
			assert_int_equal(chown(path, NOBODY, NOBODY), 0);
		(void)snprintf(path, sizeof(path), "%s/%s/cgroup.procs", dir, names[i]);
		FILE *file = fopen(path, "we");
		assert_non_null(file);
		(void)fclose(file);
		assert_int_equal(chmod(path, 0644), 0);
		if (i == 2)
			assert_int_equal(chown(path, NOBODY, NOBODY), 0);
	}
}

static struct cgroup_layout host(const char *dir)
{
	struct cgroup_layout layout = { .n = 2 };

	(void)snprintf(layout.hierarchies[0].mount, 256, "%s/v1", dir);
	layout.hierarchies[0].controllers = CGROUP_BIT(CGROUP_MEMORY);
	(void)snprintf(layout.hierarchies[1].mount, 256, "%s/v2", dir);
	layout.hierarchies[1].controllers = CGROUP_BIT(CGROUP_PIDS);
	layout.hierarchies[1].v2 = true;
	cgroup_layout_finish(&layout);
	return layout;
}

/* Exit status: 0, or which line was not so. */
static int as_user(const char *dir)
{
	const struct spec_limits memory = { .memory_bytes = 1 << 20 }, pids = { .pids = 5 };
	struct cgroup_layout layout = host(dir);
	struct err err = { 0 };

	if (!cgroup_layout_user(&layout, "") || layout.n || layout.v2 != -1)
		return 1;
	if (cgroup_limits_check(&layout, &memory, &err) != -EACCES ||
	    !strstr(err.text, "'memory' is yours"))
		return 2;
	if (cgroup_limits_check(&layout, &pids, NULL) != -EACCES)
		return 3;
	layout = host(dir);
	if (!cgroup_layout_user(&layout, "mine") || layout.n != 1 || layout.v2 != 0)
		return 4;
	if (cgroup_limits_check(&layout, &memory, NULL) != -EACCES ||
	    cgroup_limits_check(&layout, &pids, NULL) != 0)
		return 5;
	layout = host(dir);
	(void)cgroup_layout_user(&layout, "mine/../../v1");
	return layout.n ? 6 : 0;
}

static void only_what_was_given_to_a_user_is_his(void **state)
{
	char dir[] = "/tmp/strata-cgroup.XXXXXX";

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	make(dir);
	struct cgroup_layout roots = host(dir);
	pid_t pid = fork();
	if (pid == 0) {
		if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(99);
		_exit(as_user(dir));
	}
	assert_int_equal(wait_child(pid), 0);
	if (!cgroup_layout_user(&roots, "")) /* else this is no root of the host's */
		assert_int_equal(roots.n, 2);
	assert_int_equal(dir_remove(AT_FDCWD, dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ones_own_group_is_found_among_the_others),
		cmocka_unit_test(only_what_was_given_to_a_user_is_his),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
