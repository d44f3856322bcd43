/* SPDX-License-Identifier: Apache-2.0 */
/* A new instance's own check: what the command line asks over what the image's HEALTHCHECK says. */
#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/clock.h"
#include "base/os/json.h"
#include "manager/private.h"

static int health_words(json_t *args, const json_t *test, size_t from)
{
	for (size_t i = from; i < json_array_size(test); i++) {
		json_t *word = json_array_get(test, i);
		if (!json_is_string(word) || json_array_append(args, word))
			return -1;
	}
	return 0;
}

/*
 * The image's test as a command; empty: it has none. Docker Image Specification v1.2, "Healthcheck": ["NONE"],
 * ["CMD", ARG...], ["CMD-SHELL", LINE], the last by the image's Shell or /bin/sh -c. Of another form: none.
 */
static json_t *health_image_args(const json_t *image, const json_t *check)
{
	const json_t *test = json_object_get(check, "Test");
	const json_t *shell = json_object_get(image, "Shell");
	const char *kind = json_string_value(json_array_get(test, 0));
	json_t *args = json_array();
	int r = 0;

	if (kind && !strcmp(kind, "CMD"))
		r = health_words(args, test, 1);
	if (kind && !strcmp(kind, "CMD-SHELL")) {
		r = json_array_size(shell) ? health_words(args, shell, 0)
					   : json_array_append_new(args, json_string("/bin/sh")) |
						     json_array_append_new(args, json_string("-c"));
		r |= health_words(args, test, 1);
	}
	if (r)
		(void)json_array_clear(args);
	return args;
}

/* Milliseconds: asked, or the image's nanoseconds, or the default. */
static int64_t health_ms(const json_t *asked, const char *key, const json_t *check,
			 const char *image_key, int64_t dflt)
{
	int64_t ms = json_int(asked, key, -1);
	int64_t ns = json_int(check, image_key, 0);

	if (ms >= 0)
		return ms;
	if (ns <= 0)
		return dflt;
	ms = ns / NS_PER_MS;
	return ms < 1 ? 1 : ms > INT32_MAX ? INT32_MAX : ms;
}

int create_health(json_t *spec, const json_t *asked, const json_t *image, struct err *err)
{
	const json_t *check = json_object_get(image, "Healthcheck");
	int64_t retries = json_int(check, "Retries", 0);

	if (json_bool(asked, "none", false))
		return 0;
	AUTO(json_decref_p)
	json_t *args = json_incref(json_object_get(asked, "args"));
	if (!args)
		args = health_image_args(image, check);
	if (!json_array_size(args) && json_object_size(asked))
		return err_say(
			err, EINVAL,
			"the image has no health check whose times could be set: add --health-cmd");
	if (!json_array_size(args))
		return 0;
	retries = json_int(asked, "retries", retries > 0 && retries <= INT32_MAX ? retries : 3);
	json_t *health = json_pack(
		"{s:O,s:I,s:I,s:I,s:I,s:I}", "args", args, "interval_ms",
		(json_int_t)health_ms(asked, "interval_ms", check, "Interval", 30000), "timeout_ms",
		(json_int_t)health_ms(asked, "timeout_ms", check, "Timeout", 30000),
		"start_period_ms",
		(json_int_t)health_ms(asked, "start_period_ms", check, "StartPeriod", 0),
		"start_interval_ms",
		(json_int_t)health_ms(asked, "start_interval_ms", check, "StartInterval", 5000),
		"retries", (json_int_t)retries);
	return json_object_set_new(spec, "health", health)
		       ? err_set(err, ENOMEM, "the instance's health check")
		       : 0;
}
