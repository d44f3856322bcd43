/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/macros.h"
#include "base/os/json.h"
#include "manager/openvz.h"

static void shell_syntax_is_read(void **state)
{
	static const char text[] =
		"# comment\n\nA=\"1:2\" # more\nB='x $y `z`'\nC=a\\ b;D=\"q\\\"$E\"\n"
		"E=\nA=3\nF=\"two\nlines\"";
	json_t *conf = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(openvz_parse(text, strlen(text), &conf, &err), 0);
	assert_string_equal(json_str(conf, "A", ""), "3");
	assert_string_equal(json_str(conf, "B", ""), "x $y `z`");
	assert_string_equal(json_str(conf, "C", ""), "a b");
	assert_string_equal(json_str(conf, "D", ""), "q\"$E");
	assert_string_equal(json_str(conf, "E", "?"), "");
	assert_string_equal(json_str(conf, "F", ""), "two lines");
	json_decref(conf);
}

static void nothing_is_executed(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "A=1\nrm -rf /\n", "line 2: not an assignment" },
		{ "A=`id`", "line 1: a command" },
		{ "A=\"$(id)\"", "line 1: a command" },
		{ "A=1|sh", "line 1: a command" },
		{ "A=\"x", "line 1: a quote is not closed" },
		{ "\n\nA='x\n", "a quote is not closed" },
		{ "=x", "line 1: not an assignment" },
		{ "1A=x", "line 1: not an assignment" },
		{ ". /etc/vz/vz.conf", "line 1: not an assignment" },
		{ "A=\x1b[31m", "line 1: a control character" },
		{ "A=\xff", "line 1: the value is not UTF-8" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *conf = NULL;
		struct err err = { 0 };
		assert_int_equal(openvz_parse(cases[i].text, strlen(cases[i].text), &conf, &err),
				 -EINVAL);
		if (!strstr(err.text, cases[i].says))
			fail_msg("'%s': '%s'", cases[i].text, err.text);
		assert_null(conf);
	}
}

static void too_much_is_refused(void **state)
{
	char *text = calloc(1, OPENVZ_CONF_MAX + 2);
	json_t *conf = NULL;
	struct err err = { 0 };

	(void)state;
	assert_non_null(text);
	memset(text, 'A', OPENVZ_CONF_MAX + 1);
	assert_int_equal(openvz_parse(text, OPENVZ_CONF_MAX + 1, &conf, &err), -EFBIG);
	assert_int_equal(openvz_parse(text, 100, &conf, &err), -EINVAL);
	text[1] = '=';
	assert_int_equal(openvz_parse(text, OPENVZ_CONF_MAX, &conf, &err), -EINVAL);
	for (size_t i = 0; i < OPENVZ_CONF_MAX - 8; i += 8)
		(void)snprintf(text + i, 9, "A%05zu=\n", i / 8);
	assert_int_equal(openvz_parse(text, OPENVZ_CONF_MAX - 8, &conf, &err), -E2BIG);
	free(text);
}

static void limits(void **state)
{
	static const struct {
		const char *text;
		int64_t unit, want;
	} cases[] = {
		{ "0:131072", 4096, 131072 * 4096LL },
		{ "256M", 4096, 256 << 20 },
		{ "0:1G", 4096, 1 << 30 },
		{ "0:512mb", 4096, 512 << 20 },
		{ "10P", 1, 40960 },
		{ "7", 1, 7 },
		{ "unlimited", 1, -1 },
		{ "5:unlimited", 1, -1 },
		{ "9223372036854775807", 4096, -1 },
		{ "2147483647", 4096, -1 },
		{ "99999999999999999999", 1, -1 },
	};
	static const char *const bad[] = { "", ":", "x", "1:", "5X", "-1", "1 2", "5MM" };
	int64_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(openvz_limit(cases[i].text, cases[i].unit, &n), 0);
		assert_true(n == cases[i].want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(openvz_limit(bad[i], 1, &n), -EINVAL);
}

static json_t *taken(const char *text, const struct openvz_host *host, size_t *ret_left)
{
	AUTO(json_decref_p) json_t *conf = NULL;
	AUTO(json_decref_p) json_t *report = NULL;
	json_t *config = NULL, *one;
	struct err err = { 0 };
	size_t i;

	assert_int_equal(openvz_parse(text, strlen(text), &conf, &err), 0);
	assert_int_equal(openvz_config(conf, host, &config, &report, &err), 0);
	assert_int_equal(json_array_size(report), json_object_size(conf));
	*ret_left = 0;
	json_array_foreach(report, i, one)
	{
		*ret_left += !json_bool(one, "taken", false);
		assert_true(json_str(one, "note", "")[0]);
	}
	return config;
}

static void what_corresponds_is_taken_over(void **state)
{
	static const struct openvz_host host = { .cpus = 4, .network = "lan" };
	size_t left;
	AUTO(json_decref_p)
	json_t *c = taken(
		"PHYSPAGES=0:65536\nSWAPPAGES=0:16M\nCPULIMIT=150%\nCPUS=2\nCPUUNITS=500\n"
		"NUMPROC=100:120\nHOSTNAME=a.b\nNAME=web\nIP_ADDRESS='10.0.0.9/24 ::1'\n"
		"NAMESERVER='1.1.1.1 ::1'\nSEARCHDOMAIN=x.org\nONBOOT=yes\nCPUMASK=0-1\nDISKSPACE=9:1048576\n",
		&host, &left);
	AUTO(json_decref_p)
	json_t *want = json_loads(
		"{\"system\":true,\"root_bytes\":1073741824,\"limits\":{\"memory_bytes\":268435456,\"memory_swap_bytes\":285212672,"
		"\"cpu_quota_us\":150000,\"cpu_period_us\":100000,\"cpu_shares\":512,\"pids\":120,"
		"\"cpuset\":\"0-1\"},\"hostname\":\"a.b\",\"name\":\"web\",\"network\":{\"mode\":\"bridge\","
		"\"network\":\"lan\",\"ip\":\"10.0.0.9\"},\"dns\":[\"1.1.1.1\",\"::1\"],"
		"\"dns_search\":[\"x.org\"],\"restart\":{\"policy\":\"unless-stopped\"}}",
		0, NULL);

	(void)state;
	assert_int_equal(left, 0);
	if (!json_equal(c, want))
		fail_msg("%s", json_dumps(c, JSON_COMPACT));
}

static void what_does_not_is_listed_with_its_reason(void **state)
{
	static const struct openvz_host host = { .cpus = 1 };
	size_t left;
	AUTO(json_decref_p)
	json_t *c =
		taken("CPUS=8\nPHYSPAGES=x\nSWAPPAGES=5\nHOSTNAME=';rm'\nIP_ADDRESS=10.0.0.1\n"
		      "NAMESERVER='1.1.1.1 nonsense'\nSEARCHDOMAIN='a b;c'\nKMEMSIZE=1:2\nNEW=1\n"
		      "NUMPROC=0\nCPULIMIT=500MHz\nDEVNODES='../../etc/passwd:rw'\n",
		      &host, &left);

	(void)state;
	assert_int_equal(left, 12);
	assert_null(json_object_get(c, "limits"));
	assert_null(json_object_get(c, "dns"));
	assert_null(json_object_get(c, "network"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(shell_syntax_is_read),
		cmocka_unit_test(nothing_is_executed),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(limits),
		cmocka_unit_test(what_corresponds_is_taken_over),
		cmocka_unit_test(what_does_not_is_listed_with_its_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
