/* SPDX-License-Identifier: Apache-2.0 */
#include "net_store.h"

static void no_instances_no_table(void **state)
{
	struct rules rules = { .table = "strata" };
	AUTO(buf_fini) struct buf text = { 0 };

	(void)state;
	assert_int_equal(rules_text(&rules, &text), 0);
	assert_string_equal(buf_str(&text), "table ip strata\ndelete table ip strata\n");
}

static void text_has_what_is_asked(void **state)
{
	struct rule_network networks[] = {
		{ .bridge = "strata0", .subnet = "10.201.0.0/24", .publishes = true },
		{ .bridge = "strata1", .subnet = "10.201.1.0/24", .internal = true },
	};
	struct rule_port ports[] = {
		{ .ip = "10.201.0.2", .host = 8080, .guest = 80 },
		{ .host_ip = "127.0.0.1",
		  .ip = "10.201.0.3",
		  .host = 53,
		  .guest = 5353,
		  .udp = true },
	};
	struct rules rules = { "strata", networks, 2, ports, 2 };
	AUTO(buf_fini) struct buf text = { 0 };

	(void)state;
	assert_int_equal(rules_text(&rules, &text), 0);
	assert_non_null(strstr(text.data, "elements = { \"strata0\", \"strata1\" }"));
	assert_non_null(
		strstr(text.data, "set internal { type ifname; elements = { \"strata1\" } }"));
	assert_non_null(strstr(text.data, "elements = { tcp . 8080 : 10.201.0.2 . 80 }"));
	assert_non_null(strstr(text.data, "{ 127.0.0.1 . udp . 53 : 10.201.0.3 . 5353 }"));
	assert_non_null(strstr(text.data, "ip saddr 10.201.0.0/24 oifname != @bridges masquerade"));
	assert_null(strstr(text.data, "ip saddr 10.201.1.0/24 oifname != @bridges masquerade"));
}

static void the_database_makes_the_rules(void **state)
{
	struct network_port port = { .host_ip = "127.0.0.1", .guest = 80 };
	struct network_plan one = net_plan("bridge", "a1", "one");
	struct network_plan two = net_plan("bridge", "b1", "two");
	AUTO(rules_fini) struct rules with = { 0 };
	AUTO(rules_fini) struct rules without = { 0 };

	one.ports = &port;
	one.n_ports = 1;
	assert_int_equal(network_plan(*state, &one, NULL), 0);
	assert_int_equal(network_plan(*state, &two, NULL), 0);
	assert_int_equal(rules_load(*state, NULL, &with, NULL), 0);
	assert_int_equal(with.n_networks, 1);
	assert_true(with.networks[0].publishes);
	assert_int_equal(with.n_ports, 1);
	assert_string_equal(with.ports[0].ip, one.ip);
	assert_memory_equal(with.table, "strata_", 7); /* not the usual root */

	assert_int_equal(rules_load(*state, "a1", &without, NULL), 0);
	assert_int_equal(without.n_networks, 1);
	assert_false(without.networks[0].publishes);
	assert_int_equal(without.n_ports, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_instances_no_table),
		cmocka_unit_test(text_has_what_is_asked),
		NET_TEST(the_database_makes_the_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
