/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "manager/system.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static json_t *ask(const char *config_text, const char *image_text)
{
	AUTO(json_decref_p) json_t *config = json_loads(config_text, 0, NULL);
	AUTO(json_decref_p) json_t *image = json_loads(image_text, 0, NULL);
	json_t *spec =
		json_pack("{s:[],s:b,s:i}", "env", "no_new_privileges", 1, "stop_signal", 15);
	struct err err = { 0 };

	assert_true(config && image && spec);
	assert_int_equal(system_ask(spec, config, image, ID, &err), 0);
	return spec;
}

static void an_image_without_a_command_is_looked_through(void **state)
{
	AUTO(json_decref_p) json_t *spec = ask("{}", "{}");
	const json_t *env = json_object_get(spec, "env");

	(void)state;
	assert_string_equal(json_string_value(json_array_get(json_object_get(spec, "args"), 0)),
			    "init");
	assert_string_equal(json_string_value(json_array_get(env, 0)), "container=strata");
	assert_string_equal(json_string_value(json_array_get(env, 1)),
			    "container_uuid=01234567-89ab-cdef-0123-456789abcdef");
	assert_true(json_bool(spec, "tty", false));
	assert_true(json_bool(spec, "stdin_open", false));
	assert_false(json_bool(spec, "no_new_privileges", true));
	assert_int_equal(json_int(spec, "stop_signal", -1), 0);
	assert_string_equal(json_str(spec, "userns", ""), "auto");
}

static void commands_that_are_inits_are_kept(void **state)
{
	static const struct {
		const char *config, *image, *first;
	} cases[] = {
		{ "{}", "{\"Cmd\":[\"/lib/systemd/systemd\"]}", "/lib/systemd/systemd" },
		{ "{}", "{\"Entrypoint\":[\"/sbin/init\"],\"Cmd\":[\"3\"]}", "/sbin/init" },
		{ "{}", "{\"Cmd\":[\"bash\"]}", "init" },
		{ "{}", "{\"Cmd\":[7]}", "init" },
		{ "{\"args\":[\"/my/boot\"]}", "{\"Cmd\":[\"/sbin/init\"]}", "/my/boot" },
		{ "{\"entrypoint\":[\"/e\"],\"args\":[\"x\"]}", "{}", "/e" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(json_decref_p) json_t *spec = ask(cases[i].config, cases[i].image);
		assert_string_equal(
			json_string_value(json_array_get(json_object_get(spec, "args"), 0)),
			cases[i].first);
	}
}

static void what_was_asked_stays(void **state)
{
	AUTO(json_decref_p) json_t *image_says = ask("{}", "{\"StopSignal\":\"SIGTERM\"}");
	AUTO(json_decref_p)
	json_t *mapped = ask("{\"uid_map\":[],\"stop_timeout_ms\":5,\"stop_signal\":9}", "{}");
	AUTO(json_decref_p) json_t *privileged = ask("{\"privileged\":true}", "{}");

	(void)state;
	assert_int_equal(json_int(image_says, "stop_signal", -1), 15);
	assert_int_equal(json_int(mapped, "stop_signal", -1), 15);
	assert_null(json_object_get(mapped, "userns"));
	assert_null(json_object_get(mapped, "stop_timeout_ms"));
	assert_null(json_object_get(privileged, "userns"));
}

static void contradictions_are_refused(void **state)
{
	static const struct {
		const char *config, *says;
	} cases[] = {
		{ "{\"init\":true}", "--init" },
		{ "{\"user\":\"bob\"}", "--user" },
		{ "{\"userns\":\"host\"}", "--privileged" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(json_decref_p) json_t *config = json_loads(cases[i].config, 0, NULL);
		AUTO(json_decref_p) json_t *spec = json_object();
		struct err err = { 0 };
		assert_int_equal(system_ask(spec, config, NULL, ID, &err), -EINVAL);
		assert_non_null(strstr(err.text, cases[i].says));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_without_a_command_is_looked_through),
		cmocka_unit_test(commands_that_are_inits_are_kept),
		cmocka_unit_test(what_was_asked_stays),
		cmocka_unit_test(contradictions_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
