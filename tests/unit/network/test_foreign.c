/* SPDX-License-Identifier: Apache-2.0 */
#include "net_store.h"

static void docker_is_recognised(void **state)
{
	static const char text[] =
		"{\"nftables\": [{\"metainfo\": {\"version\": \"1.0.6\"}}, {\"chain\": {\"family\": "
		"\"ip\", \"table\": \"filter\", \"name\": \"DOCKER-USER\", \"handle\": 1}}, {\"chain\": "
		"{\"family\": \"ip\", \"table\": \"filter\", \"name\": \"FORWARD\", \"hook\": "
		"\"forward\", \"prio\": 0, \"policy\": \"drop\"}}, {\"chain\": {\"family\": \"inet\", "
		"\"table\": \"mine\", \"name\": \"fwd\", \"hook\": \"forward\", \"policy\": \"drop\"}}, "
		"{\"chain\": {\"family\": \"ip6\", \"table\": \"filter\", \"name\": \"FORWARD\", "
		"\"hook\": \"forward\", \"policy\": \"drop\"}}]}";
	struct foreign f = { 0 };

	(void)state;
	assert_int_equal(foreign_parse(text, strlen(text), &f, NULL), 0);
	assert_true(f.forward && f.forward_drop && f.docker_user);
	assert_string_equal(buf_str(&f.others), "inet mine fwd\n");
	buf_fini(&f.others);
}

static void odd_answers_do_no_harm(void **state)
{
	static const char *const odd[] = {
		"{}", "{\"nftables\": 7}", "{\"nftables\": [1, null, {\"chain\": []}]}",
		"{\"nftables\": [{\"chain\": {\"hook\": 3}}, {\"rule\": \"x\"}]}"
	};
	struct foreign_rule *rules = NULL;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		struct foreign f = { 0 };
		assert_int_equal(foreign_parse(odd[i], strlen(odd[i]), &f, NULL), 0);
		assert_false(f.forward || f.docker_user);
		assert_int_equal(foreign_rules_parse(odd[i], strlen(odd[i]), &rules, &n, NULL), 0);
		assert_int_equal(n, 0);
		free(rules);
	}
	assert_int_equal(foreign_rules_parse("nft: oops", 9, &rules, &n, NULL), -EBADMSG);
}

static void only_our_rules_are_ours(void **state)
{
	static const char text[] =
		"{\"nftables\": [{\"rule\": {\"handle\": 4, \"comment\": \"strata:strata0\"}}, "
		"{\"rule\": {\"handle\": 5, \"comment\": \"strata\"}}, {\"rule\": {\"handle\": 6}}, "
		"{\"rule\": {\"handle\": 7, \"comment\": \"strata:much-too-long-for-a-link\"}}]}";
	struct foreign_rule *rules = NULL;
	size_t n = 0;

	(void)state;
	assert_int_equal(foreign_rules_parse(text, strlen(text), &rules, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_string_equal(rules[0].bridge, "strata0");
	assert_int_equal(rules[0].handle, 4);
	free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(docker_is_recognised),
		cmocka_unit_test(odd_answers_do_no_harm),
		cmocka_unit_test(only_our_rules_are_ours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
