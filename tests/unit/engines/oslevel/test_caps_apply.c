/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/file.h"
#include "engines/caps.h"
#include "engines/oslevel/caps_apply.h"

#define BIT(cap) (1ULL << (cap))

struct became {
	int r;
	uint64_t inheritable, permitted, effective, bounding, ambient;
	uid_t uid;
	gid_t gid;
	int n_groups;
	gid_t groups[8];
	char text[480];
};

static uint64_t status_caps(const char *status, const char *key)
{
	const char *at = strstr(status, key);
	uint64_t caps = UINT64_MAX;

	return at && sscanf(at + strlen(key), " %" SCNx64, &caps) == 1 ? caps : UINT64_MAX;
}

static struct became become(uint64_t caps, uint32_t uid, uint32_t gid, const uint32_t *groups,
			    unsigned n_groups)
{
	struct became became = { 0 };
	int pipes[2], status;

	assert_int_equal(pipe(pipes), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		AUTO(buf_fini) struct buf text = { 0 };
		struct err err = { 0 };
		became.r = caps_apply(caps, uid, gid, groups, n_groups, &err);
		(void)snprintf(became.text, sizeof(became.text), "%s", err.text);
		if (file_read(-1, "/proc/self/status", 65536, &text) < 0)
			_exit(1);
		became.inheritable = status_caps(text.data, "CapInh:");
		became.permitted = status_caps(text.data, "CapPrm:");
		became.effective = status_caps(text.data, "CapEff:");
		became.bounding = status_caps(text.data, "CapBnd:");
		became.ambient = status_caps(text.data, "CapAmb:");
		became.uid = getuid();
		became.gid = getgid();
		became.n_groups = getgroups(8, became.groups);
		_exit(write(pipes[1], &became, sizeof(became)) == sizeof(became) ? 0 : 1);
	}
	(void)close(pipes[1]);
	assert_int_equal(read(pipes[0], &became, sizeof(became)), sizeof(became));
	(void)close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	return became;
}

static void needs_root(void)
{
	if (getuid() != 0 || !(caps_held() & BIT(CAP_SETPCAP)))
		SKIP("giving up capabilities takes root");
}

static void root_keeps_what_it_was_given(void **state)
{
	const uint32_t groups[] = { 0, 5, 27 };

	(void)state;
	needs_root();
	uint64_t caps = caps_default & caps_held();
	struct became b = become(caps, 0, 0, groups, ARRAY_SIZE(groups));
	assert_int_equal(b.r, 0);
	assert_true(b.permitted == caps && b.effective == caps && b.bounding == caps);
	assert_true(b.inheritable == 0 && b.ambient == 0);
	assert_int_equal(b.n_groups, 3);
	assert_int_equal(b.groups[2], 27);
	b = become(0, 0, 0, NULL, 0);
	assert_int_equal(b.r, 0);
	assert_true(b.permitted == 0 && b.bounding == 0);
	assert_int_equal(b.n_groups, 0);
}

static void others_start_with_nothing(void **state)
{
	(void)state;
	needs_root();
	uint64_t caps = caps_default & caps_held();
	struct became b = become(caps, 1234, 567, NULL, 0);
	assert_int_equal(b.r, 0);
	assert_int_equal(b.uid, 1234);
	assert_int_equal(b.gid, 567);
	assert_true(b.permitted == 0 && b.effective == 0 && b.inheritable == 0 && b.ambient == 0);
	assert_true(b.bounding == caps);
}

static void what_is_not_held_cannot_be_given(void **state)
{
	(void)state;
	needs_root();
	uint64_t all;
	assert_int_equal(caps_from_name("ALL", &all, NULL), 0);
	uint64_t lacking = all & ~caps_held();
	if (!lacking)
		SKIP("this host holds every capability");
	struct became b = become(lacking, 0, 0, NULL, 0);
	assert_int_equal(b.r, -EPERM);
	assert_non_null(strstr(b.text, caps_name((unsigned)__builtin_ctzll(lacking))));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_keeps_what_it_was_given),
		cmocka_unit_test(others_start_with_nothing),
		cmocka_unit_test(what_is_not_held_cannot_be_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
