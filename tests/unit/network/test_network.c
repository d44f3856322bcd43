/* SPDX-License-Identifier: Apache-2.0 */
#include "net_store.h"

#include "base/os/json.h"

static int make(struct store *store, const char *name, const char *subnet, struct err *err)
{
	struct network n = { 0 };
	const struct network_opts opts = { .subnet = subnet };
	int r = network_create(store, name, &opts, &n, err);

	network_fini(&n);
	return r;
}

static void default_is_made_when_asked_for(void **state)
{
	struct network n = { 0 };

	assert_int_equal(network_find(*state, NETWORK_DEFAULT, &n, NULL), 0);
	assert_string_equal(n.name, "bridge");
	assert_true(n.automatic);
	assert_memory_equal(n.bridge, "strata", 6);
	assert_memory_equal(n.subnet, "10.201.", 7);
	network_fini(&n);
	assert_int_equal(network_find(*state, "default", &n, NULL), 0);
	assert_string_equal(n.name, "bridge");
	network_fini(&n);
	assert_int_equal(network_find(*state, "other", &n, NULL), -ENOENT);
}

static void names_are_checked(void **state)
{
	static const char *const bad[] = {
		"", "-x", ".x", "a b", "a\nb", "a/b", "a\"b", "\xc3\xa9"
	};
	struct err err = { 0 };
	char longest[66];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(make(*state, bad[i], NULL, &err), -EINVAL);
	memset(longest, 'x', 65);
	longest[65] = '\0';
	assert_int_equal(make(*state, longest, NULL, &err), -EINVAL);
	longest[64] = '\0';
	assert_int_equal(make(*state, longest, NULL, &err), 0);
	assert_int_equal(make(*state, "none", NULL, &err), -EEXIST);
	assert_int_equal(make(*state, "host", NULL, &err), -EEXIST);
	assert_int_equal(make(*state, "bridge", NULL, &err), -EEXIST);
	assert_int_equal(make(*state, "web", NULL, &err), 0);
	assert_int_equal(make(*state, "web", NULL, &err), -EEXIST);
	assert_non_null(strstr(err.text, "network web exists"));
}

static void subnets_do_not_meet(void **state)
{
	struct err err = { 0 };
	struct network a = { 0 }, b = { 0 };

	assert_int_equal(make(*state, "a", "10.77.0.0/16", &err), 0);
	assert_int_equal(make(*state, "b", "10.77.5.0/24", &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "network a (10.77.0.0/16)"));
	assert_int_equal(make(*state, "c", NULL, &err), 0);
	assert_int_equal(make(*state, "d", NULL, &err), 0);
	assert_int_equal(network_find(*state, "c", &a, NULL), 0);
	assert_int_equal(network_find(*state, "d", &b, NULL), 0);
	assert_string_not_equal(a.subnet, b.subnet);
	assert_string_not_equal(a.bridge, b.bridge);
	network_fini(&a);
	network_fini(&b);
}

static void gateway_is_in_its_subnet(void **state)
{
	struct network n = { 0 };
	struct network_opts opts = { .subnet = "10.77.0.0/24", .gateway = "10.78.0.1" };
	struct err err = { 0 };

	assert_int_equal(network_create(*state, "a", &opts, &n, &err), -EINVAL);
	opts.gateway = "10.77.0.255";
	assert_int_equal(network_create(*state, "a", &opts, &n, &err), -EINVAL);
	opts.gateway = "10.77.0.254";
	assert_int_equal(network_create(*state, "a", &opts, &n, &err), 0);
	assert_string_equal(n.gateway, "10.77.0.254");
	network_fini(&n);
	opts.subnet = NULL;
	assert_int_equal(network_create(*state, "b", &opts, &n, &err), -EINVAL);
}

static void used_ones_stay(void **state)
{
	struct network_plan plan = net_plan("web", "0123456789abcdef", "one");
	AUTO(json_decref_p) json_t *names = NULL;
	struct err err = { 0 };

	assert_int_equal(make(*state, "web", NULL, &err), 0);
	assert_int_equal(make(*state, "idle", NULL, &err), 0);
	assert_int_equal(network_plan(*state, &plan, &err), 0);
	assert_int_equal(network_remove(*state, "web", &err), -EBUSY);
	assert_non_null(strstr(err.text, "instance one"));
	assert_int_equal(network_remove(*state, "bridge", &err), -EPERM);
	assert_int_equal(network_remove(*state, "nope", &err), -ENOENT);
	assert_int_equal(network_prune(*state, &names, &err), 0);
	assert_int_equal(json_array_size(names), 1);
	assert_string_equal(json_string_value(json_array_get(names, 0)), "idle");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(default_is_made_when_asked_for),
		NET_TEST(names_are_checked),
		NET_TEST(subnets_do_not_meet),
		NET_TEST(gateway_is_in_its_subnet),
		NET_TEST(used_ones_stay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
