/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/os/json.h"
#include "oci/stats.h"

static void is(json_t *json, const char *want)
{
	AUTO(json_decref_p) json_t *own = json;
	char *text = json_dumps(own, JSON_COMPACT | JSON_SORT_KEYS);

	assert_string_equal(text, want);
	free(text);
}

static void lines_of_keys_and_numbers(void **state)
{
	(void)state;
	is(stats_raw("cache 5\nrss 4096\n"), "{\"cache\":5,\"rss\":4096}");
	is(stats_raw(""), "{}");
	is(stats_raw("nothing\nx 1"), "{\"x\":1}");
	is(stats_numbers("1 2 30 \n"), "[1,2,30]");
	is(stats_numbers("\n"), "[]");
}

static void cpus_are_spelled_out(void **state)
{
	(void)state;
	is(stats_cpus("0-2,5\n"), "[0,1,2,5]");
	is(stats_cpus(""), "[]");
	is(stats_cpus("x\n"), "[]");
}

static void devices_of_version_1(void **state)
{
	(void)state;
	is(stats_block_v1("8:0 Read 4096\n8:0 Write 0\nTotal 4096\n"),
	   "[{\"major\":8,\"minor\":0,\"op\":\"Read\",\"value\":4096},"
	   "{\"major\":8,\"minor\":0,\"op\":\"Write\",\"value\":0}]");
	is(stats_block_v1("Total 0\n"), "[]");
}

static void devices_of_version_2(void **state)
{
	static const char text[] =
		"253:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n7:0 \n";

	(void)state;
	is(stats_block_v2(text, false),
	   "[{\"major\":253,\"minor\":0,\"op\":\"Read\",\"value\":10},"
	   "{\"major\":253,\"minor\":0,\"op\":\"Write\",\"value\":20}]");
	is(stats_block_v2(text, true), "[{\"major\":253,\"minor\":0,\"op\":\"Read\",\"value\":1},"
				       "{\"major\":253,\"minor\":0,\"op\":\"Write\",\"value\":2}]");
	is(stats_block_v2("", true), "[]");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_keys_and_numbers),
		cmocka_unit_test(cpus_are_spelled_out),
		cmocka_unit_test(devices_of_version_1),
		cmocka_unit_test(devices_of_version_2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
