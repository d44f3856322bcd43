/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/os/json.h"
#include "manager/private.h"

/* What comes of these as text; NULL: no check; "error": refused. */
static char *made(const char *asked_text, const char *image_text)
{
	AUTO(json_decref_p) json_t *asked = asked_text ? json_loads(asked_text, 0, NULL) : NULL;
	AUTO(json_decref_p) json_t *image = image_text ? json_loads(image_text, 0, NULL) : NULL;
	AUTO(json_decref_p) json_t *spec = json_object();
	struct err err = { 0 };

	assert_int_equal(!asked, !asked_text);
	assert_int_equal(!image, !image_text);
	if (create_health(spec, asked, image, &err) < 0)
		return strdup("error");
	json_t *health = json_object_get(spec, "health");
	return health ? json_dumps(health, JSON_COMPACT) : NULL;
}

static void expect(const char *asked, const char *image, const char *wanted)
{
	char *got = made(asked, image);

	if (wanted)
		assert_string_equal(got ? got : "none", wanted);
	else
		assert_null(got);
	free(got);
}

#define TIMES(interval, timeout, period, start, retries)                                           \
	"\"interval_ms\":" #interval ",\"timeout_ms\":" #timeout ",\"start_period_ms\":" #period   \
	",\"start_interval_ms\":" #start ",\"retries\":" #retries "}"

static void an_image_s_check_is_taken_as_docker_takes_it(void **state)
{
	(void)state;
	expect(NULL, NULL, NULL);
	expect(NULL, "{\"Healthcheck\":{\"Test\":[\"NONE\"]}}", NULL);
	expect(NULL, "{\"Healthcheck\":{\"Test\":[]}}", NULL);
	expect(NULL, "{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\",\"b\"]}}",
	       "{\"args\":[\"a\",\"b\"]," TIMES(30000, 30000, 0, 5000, 3));
	expect(NULL,
	       "{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"a b\"],\"Interval\":2000000000,\"Timeout\":1,"
	       "\"StartPeriod\":5000000,\"StartInterval\":7000000,\"Retries\":2}}",
	       "{\"args\":[\"/bin/sh\",\"-c\",\"a b\"]," TIMES(2000, 1, 5, 7, 2));
	expect(NULL,
	       "{\"Shell\":[\"/bin/bash\",\"-ec\"],\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"a\"]}}",
	       "{\"args\":[\"/bin/bash\",\"-ec\",\"a\"]," TIMES(30000, 30000, 0, 5000, 3));
}

static void an_image_that_lies_gets_the_defaults_or_no_check(void **state)
{
	static const char *const none[] = { "{\"Healthcheck\":7}",
					    "{\"Healthcheck\":{\"Test\":\"CMD true\"}}",
					    "{\"Healthcheck\":{\"Test\":[\"CMD\",7]}}",
					    "{\"Healthcheck\":{\"Test\":[\"CMD\"]}}",
					    "{\"Healthcheck\":{\"Test\":[7,\"CMD\"]}}",
					    "{\"Healthcheck\":{\"Test\":[\"PING\",\"a\"]}}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		expect(NULL, none[i], NULL);
	expect(NULL,
	       "{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\"],\"Interval\":-1,\"Timeout\":\"x\","
	       "\"StartPeriod\":9223372036854775807,\"Retries\":-4}}",
	       "{\"args\":[\"a\"]," TIMES(30000, 30000, 2147483647, 5000, 3));
}

static void what_is_asked_wins(void **state)
{
	static const char image[] =
		"{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\"],\"Interval\":1000000,\"Retries\":8}}";

	(void)state;
	expect("{\"none\":true}", image, NULL);
	expect("{\"retries\":1}", image, "{\"args\":[\"a\"]," TIMES(1, 30000, 0, 5000, 1));
	expect("{\"args\":[\"b\"],\"start_period_ms\":0}", image,
	       "{\"args\":[\"b\"]," TIMES(1, 30000, 0, 5000, 8));
	expect("{\"args\":[\"b\"]}", NULL, "{\"args\":[\"b\"]," TIMES(30000, 30000, 0, 5000, 3));
	expect("{\"retries\":1}", NULL, "error");
	expect("{\"retries\":1}", "{\"Healthcheck\":{\"Test\":[\"NONE\"]}}", "error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_s_check_is_taken_as_docker_takes_it),
		cmocka_unit_test(an_image_that_lies_gets_the_defaults_or_no_check),
		cmocka_unit_test(what_is_asked_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
