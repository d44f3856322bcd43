/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engines/caps.h"
#include "engines/oslevel/rlimits.h"

static void texts(void **state)
{
	static const struct {
		const char *text;
		int resource;
		uint64_t soft, hard;
	} list[] = {
		{ "nofile=1024:2048", RLIMIT_NOFILE, 1024, 2048 },
		{ "nofile=1024", RLIMIT_NOFILE, 1024, 1024 },
		{ "core=0", RLIMIT_CORE, 0, 0 },
		{ "core=-1", RLIMIT_CORE, UINT64_MAX, UINT64_MAX },
		{ "core=0:unlimited", RLIMIT_CORE, 0, UINT64_MAX },
		{ "stack=9223372036854775807", RLIMIT_STACK, INT64_MAX, INT64_MAX },
		{ "nproc=00012:12", RLIMIT_NPROC, 12, 12 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		struct spec_ulimit limit;
		struct err err = { 0 };
		if (rlimits_parse(list[i].text, &limit, &err) < 0)
			fail_msg("%s: %s", list[i].text, err.text);
		assert_int_equal(limit.resource, list[i].resource);
		assert_string_equal(limit.name, rlimits_name(list[i].resource));
		assert_true(limit.soft == list[i].soft && limit.hard == list[i].hard);
	}
	assert_null(rlimits_name(99));
	assert_int_equal(rlimits_find("nope"), -EINVAL);
}

static void broken_texts_say_why(void **state)
{
	static const struct {
		const char *text, *words;
	} list[] = {
		{ "", "write NAME=SOFT" },
		{ "nofile", "write NAME=SOFT" },
		{ "=5", "no such limit" },
		{ "files=5", "no such limit" },
		{ "NOFILE=5", "no such limit" },
		{ "abcdefghijklmnopqrstuvwxyz=5", "write NAME=SOFT" },
		{ "nofile=", "a limit is a number" },
		{ "nofile=1:", "a limit is a number" },
		{ "nofile=:1", "a limit is a number" },
		{ "nofile=1:2:3", "a limit is a number" },
		{ "nofile=-2", "a limit is a number" },
		{ "nofile=1k", "a limit is a number" },
		{ "nofile=9223372036854775808", "a limit is a number" },
		{ "nofile=99999999999999999999999", "a limit is a number" },
		{ "nofile=2:1", "above the hard one" },
		{ "nofile=-1:1", "above the hard one" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		struct spec_ulimit limit = { .resource = 77 };
		struct err err = { 0 };
		assert_int_equal(rlimits_parse(list[i].text, &limit, &err), -EINVAL);
		if (!strstr(err.text, list[i].words))
			fail_msg("%s: %s", list[i].text, err.text);
		assert_int_equal(limit.resource, 77);
	}
}

/* In a child, for what is lowered cannot be raised again: 0, or 1 + the number of the failed check. */
static int lower_and_raise(void)
{
	const struct spec_ulimit low = { RLIMIT_NOFILE, "nofile", 100, 200 };
	const struct spec_ulimit high = { RLIMIT_NOFILE, "nofile", 100, UINT64_MAX };
	struct rlimit now;
	struct err err = { 0 };

	if (rlimits_apply(&low, 1, &err) < 0 || getrlimit(RLIMIT_NOFILE, &now) < 0 ||
	    now.rlim_cur != 100 || now.rlim_max != 200)
		return 1;
	/* Above fs.nr_open nobody may go, with or without CAP_SYS_RESOURCE. */
	if (rlimits_apply(&high, 1, &err) != -EPERM || !strstr(err.text, "nofile: unlimited") ||
	    !strstr(err.text, "which is 200"))
		return 2;
	return 0;
}

static void limits_take_hold(void **state)
{
	int status;

	(void)state;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(lower_and_raise());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(rlimits_apply(NULL, 0, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(broken_texts_say_why),
		cmocka_unit_test(limits_take_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
