/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "base/os/clock.h"

struct value {
	const char *text;
	int64_t want; /* -1: refused */
};

static void check(int (*read)(const char *, const char *, int64_t *, struct err *),
		  const struct value *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct err err = { 0 };
		int64_t got = -2;
		int r = read(values[i].text, "--flag", &got, &err);
		if (r != (values[i].want < 0 ? -EINVAL : 0) ||
		    got != (values[i].want < 0 ? -2 : values[i].want))
			fail_msg("'%s': %d, %lld %s", values[i].text, r, (long long)got, err.text);
		if (r < 0 && strncmp(err.text, "--flag: ", 8) != 0)
			fail_msg("'%s': the error '%s' does not name the flag", values[i].text,
				 err.text);
	}
}

static void sizes(void **state)
{
	static const struct value values[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "512b", 512 },
		{ "1k", 1024 },
		{ "64m", 64 << 20 },
		{ "64MB", 64 << 20 },
		{ "64MiB", 64 << 20 },
		{ "1.5g", 3LL << 29 },
		{ "1T", 1LL << 40 },
		{ "8388607t", 8388607LL << 40 },
		{ "8388608t", -1 },
		{ "9999999999999999999999", -1 },
		{ "", -1 },
		{ "m", -1 },
		{ "-1", -1 },
		{ "1x", -1 },
		{ "1mm", -1 },
		{ " 1", -1 },
		{ ".", -1 },
		{ "1bb", -1 },
	};

	(void)state;
	check(args_size, values, ARRAY_SIZE(values));
}

static void durations(void **state)
{
	static const struct value values[] = {
		{ "10", 10 * NS_PER_S },
		{ "1m30s", 90 * NS_PER_S },
		{ "500ms", 500 * NS_PER_MS },
		{ "0.5s", 500 * NS_PER_MS },
		{ "2h", 7200 * NS_PER_S },
		{ "1d", 86400 * NS_PER_S },
		{ "1m30", -1 },
		{ "", -1 },
		{ "s", -1 },
		{ "1y", -1 },
		{ "99999999999d", -1 },
	};

	(void)state;
	check(args_duration_ns, values, ARRAY_SIZE(values));
}

static int time_at_1000(const char *text, const char *flag, int64_t *ret, struct err *err)
{
	return args_time_ns(text, flag, 1000 * NS_PER_S, ret, err);
}

static void points_in_time(void **state)
{
	static const struct value values[] = {
		{ "1970-01-01T00:00:01Z", NS_PER_S },
		{ "1970-01-01T01:00:01.5+01:00", NS_PER_S * 3 / 2 },
		{ "1970-01-02", 86400 * NS_PER_S },
		{ "12.5", 12500 * NS_PER_MS },
		{ "10m", 400 * NS_PER_S },
		{ "1d", -1 }, /* before 1970 */
		{ "2026-13-01", -1 },
		{ "1970-01-01T00:00:01+1:00", -1 },
		{ "1970-01-01T00:00:01 Z", -1 },
		{ "9999-01-01", -1 },
		{ "yesterday", -1 },
		{ "", -1 },
	};

	(void)state;
	check(time_at_1000, values, ARRAY_SIZE(values));
}

static void cpus(void **state)
{
	static const struct value values[] = {
		{ "1", 100000 },
		{ "0.5", 50000 },
		{ "0.01", 1000 },
		{ "0", 0 },
		{ "1.", 100000 },
		{ "0.001", -1 },
		{ "-1", -1 },
		{ "two", -1 },
		{ "1,5", -1 },
		{ "", -1 },
		{ "999999999999999999", -1 },
	};

	(void)state;
	check(args_cpus_us, values, ARRAY_SIZE(values));
}

static void whole_numbers_have_bounds(void **state)
{
	struct err err = { 0 };
	int64_t n = 7;

	(void)state;
	assert_int_equal(args_int("-1", "--n", -1, 5, &n, &err), 0);
	assert_int_equal(n, -1);
	assert_int_equal(args_int("6", "--n", -1, 5, &n, &err), -EINVAL);
	assert_string_equal(err.text, "--n: 6 is not between -1 and 5");
	assert_int_equal(args_int("5x", "--n", -1, 5, &n, &err), -EINVAL);
	assert_int_equal(args_int(" 5", "--n", -1, 5, &n, &err), -EINVAL);
	assert_int_equal(args_int("", "--n", -1, 5, &n, &err), -EINVAL);
	assert_int_equal(args_int("99999999999999999999", "--n", 0, INT64_MAX, &n, &err), -EINVAL);
	assert_int_equal(n, -1);
}

static void a_signal_has_a_name_or_a_number(void **state)
{
	int got = 0;
	struct err err;

	(void)state;
	assert_int_equal(args_signal("SIGRTMIN+3", "--signal", &got, &err), 0);
	assert_int_equal(got, SIGRTMIN + 3);
	assert_int_equal(args_signal("NOSUCH", "--signal", &got, &err), -EINVAL);
	assert_string_equal(err.text,
			    "--signal: 'NOSUCH' is not a signal; write TERM, SIGTERM or 15");
	assert_int_equal(got, SIGRTMIN + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(points_in_time),
		cmocka_unit_test(cpus),
		cmocka_unit_test(whole_numbers_have_bounds),
		cmocka_unit_test(a_signal_has_a_name_or_a_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
