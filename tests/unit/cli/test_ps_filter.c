/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ps_filter.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/json.h"

/* the manager's, which would bring its database and engines along */
const char *instance_state_name(enum instance_state state)
{
	static const char *const names[] = { "created",	   "running", "paused",
					     "restarting", "exited",  "dead" };

	return names[state];
}

const char *status_health_name(enum status_health health)
{
	static const char *const names[] = { "none", "starting", "healthy", "unhealthy" };

	return names[health];
}

static bool matches(const char *a, const char *b)
{
	const char *texts[] = { a, b };
	struct args_value filters = { .count = b ? 2 : 1, .texts = texts };
	AUTO(json_decref_p)
	json_t *spec = json_pack("{s:s, s:{s:s, s:s}}", "image", "demo:latest", "labels", "env",
				 "test", "tier", "");
	struct instance instance = {
		.name = (char[]){ "web1" },
		.spec = spec,
		.state = INSTANCE_EXITED,
		.exit_code = 3,
	};
	bool all;

	memcpy(instance.id, "abcdef", 7);
	assert_int_equal(ps_filter_check(&filters, &all, NULL), 0);
	return ps_filter_match(&filters, &instance);
}

static void each_key(void **state)
{
	(void)state;
	assert_true(matches("name=eb", NULL));
	assert_false(matches("name=db", NULL));
	assert_true(matches("id=abc", NULL));
	assert_false(matches("id=bcd", NULL));
	assert_true(matches("status=exited", NULL));
	assert_false(matches("status=running", NULL));
	assert_true(matches("exited=3", NULL));
	assert_false(matches("exited=0", NULL));
	assert_true(matches("label=env", NULL));
	assert_true(matches("label=env=test", NULL));
	assert_true(matches("label=tier=", NULL));
	assert_false(matches("label=env=prod", NULL));
	assert_false(matches("label=environment", NULL));
	assert_false(matches("label=en", NULL));
	assert_true(matches("ancestor=demo", NULL));
	assert_true(matches("ancestor=demo:latest", NULL));
	assert_false(matches("ancestor=dem", NULL));
	assert_false(matches("ancestor=demo:2", NULL));
}

static void values_of_one_key_are_alternatives(void **state)
{
	(void)state;
	assert_true(matches("name=db", "name=web"));
	assert_false(matches("name=web", "status=running"));
	assert_false(matches("label=env", "label=absent"));
	assert_true(matches("label=env", "label=tier"));
}

static void an_unknown_key_is_named(void **state)
{
	static const char *const bad[] = { "colour=red", "name", "status=asleep", "" };
	struct err err = { 0 };
	bool all;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *texts[] = { bad[i] };
		struct args_value filters = { .count = 1, .texts = texts };
		assert_int_equal(ps_filter_check(&filters, &all, &err), -EINVAL);
		assert_memory_equal(err.text, "--filter: ", 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_key),
		cmocka_unit_test(values_of_one_key_are_alternatives),
		cmocka_unit_test(an_unknown_key_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
