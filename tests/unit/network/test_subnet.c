/* SPDX-License-Identifier: Apache-2.0 */
#include "net_store.h"

#include "network/subnet.h"

static void good_subnets_round_trip(void **state)
{
	static const char *const good[] = { "10.5.0.0/24", "192.168.7.16/30", "10.0.0.0/8" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct subnet s;
		char text[20];
		assert_int_equal(subnet_parse(good[i], &s, NULL), 0);
		subnet_text(&s, text);
		assert_string_equal(text, good[i]);
	}
}

static void bad_subnets_say_why(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "", "write it like" },
		{ "10.5.0.0", "write it like" },
		{ "10.5.0.0/", "write it like" },
		{ "/24", "write it like" },
		{ "10.5.0.0/24x", "write it like" },
		{ "10.5.0.0/-1", "write it like" },
		{ "10.5.0.0/4294967320", "write it like" },
		{ "10.5.0/24", "not an IPv4 address" },
		{ "fd00::/64", "not an IPv4 address" },
		{ "10.5.0.0/31", "from /8 to /30" },
		{ "0.0.0.0/0", "from /8 to /30" },
		{ "10.5.0.9/24", "meant 10.5.0.0/24?" },
		{ "127.0.0.0/24", "reserved" },
		{ "224.0.0.0/24", "reserved" },
		{ "169.254.1.0/24", "reserved" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct subnet s = { 1, 2 };
		struct err err = { 0 };
		assert_int_equal(subnet_parse(bad[i].text, &s, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i].why));
		assert_int_equal(s.base, 1); /* untouched */
	}
}

static void hosts_are_inside_and_not_the_ends(void **state)
{
	struct subnet s;

	(void)state;
	assert_int_equal(subnet_parse("10.5.0.0/30", &s, NULL), 0);
	assert_false(subnet_has_host(&s, s.base));
	assert_true(subnet_has_host(&s, s.base + 1));
	assert_true(subnet_has_host(&s, s.base + 2));
	assert_false(subnet_has_host(&s, s.base + 3));
	assert_false(subnet_has_host(&s, s.base + 4));
}

static void routes_are_met(void **state)
{
	/* 192.0.2.0/24 through eth0, a default route, 10.201.0.0/16 through tun0, and noise. */
	static const char text[] =
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
		"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
		"tun0\t0000C90A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
		"bad line\n\nbad2\tzz\t0\t0\t0\t0\t0\t00FFFFFF\n";
	struct subnet in_eth0 = { 0xc0000200, 25 }, in_tun0 = { 0x0ac90300, 24 };
	struct subnet none = { 0x0ad00000, 24 };
	char name[16] = "";

	(void)state;
	assert_true(routes_overlap(text, &in_eth0, "", name));
	assert_string_equal(name, "eth0");
	assert_true(routes_overlap(text, &in_tun0, "", name));
	assert_string_equal(name, "tun0");
	assert_false(routes_overlap(text, &in_tun0, "tun0", name));
	assert_false(routes_overlap(text, &none, "", name));
	assert_false(routes_overlap("", &none, "", name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_subnets_round_trip),
		cmocka_unit_test(bad_subnets_say_why),
		cmocka_unit_test(hosts_are_inside_and_not_the_ends),
		cmocka_unit_test(routes_are_met),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
