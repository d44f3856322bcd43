/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>

#include "engines/caps.h"

#define BIT(cap) (1ULL << (cap))
#define LIST(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static void names_in_any_case(void **state)
{
	uint64_t bits;

	(void)state;
	for (unsigned cap = 0; caps_name(cap); cap++) {
		assert_int_equal(caps_from_name(caps_name(cap), &bits, NULL), 0);
		assert_true(bits == BIT(cap));
		assert_int_equal(caps_from_name(caps_name(cap) + 4, &bits, NULL), 0);
		assert_true(bits == BIT(cap));
	}
	assert_int_equal(caps_from_name("cap_net_Admin", &bits, NULL), 0);
	assert_true(bits == BIT(CAP_NET_ADMIN));
	assert_int_equal(caps_from_name("all", &bits, NULL), 0);
	assert_true(bits & BIT(CAP_CHECKPOINT_RESTORE) && !(bits & BIT(63)));
	assert_string_equal(caps_name(0), "CAP_CHOWN");
	assert_null(caps_name(64));
}

static void unknown_names_say_so(void **state)
{
	static const char *const names[] = { "", "CAP_", "CAP_ALL", "NET", "CAP_CAP_KILL", "0" };
	uint64_t bits = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct err err = { 0 };
		assert_int_equal(caps_from_name(names[i], &bits, &err), -EINVAL);
		assert_non_null(strstr(err.text, "is not known"));
	}
	assert_int_equal(caps_from_name(NULL, &bits, NULL), -EINVAL);
	assert_true(bits == 7);
}

static void the_default_is_dockers(void **state)
{
	(void)state;
	assert_int_equal(__builtin_popcountll(caps_default), 14);
	assert_false(caps_default &
		     (BIT(CAP_SYS_ADMIN) | BIT(CAP_NET_ADMIN) | BIT(CAP_SYS_PTRACE)));
	assert_true(caps_default & BIT(CAP_NET_RAW));
}

static void a_system_has_nothing_of_the_whole_machines(void **state)
{
	(void)state;
	assert_true((caps_system & caps_default) == caps_default);
	assert_true(caps_system & BIT(CAP_SYS_ADMIN) && caps_system & BIT(CAP_SYS_BOOT));
	assert_false(caps_system & (BIT(CAP_SYS_MODULE) | BIT(CAP_SYS_RAWIO) | BIT(CAP_SYS_TIME) |
				    BIT(CAP_MAC_ADMIN) | BIT(CAP_BPF) | BIT(CAP_SYSLOG)));
}

static uint64_t parse(const char *const *add, const char *const *drop, uint64_t held)
{
	struct err err = { 0 };
	uint64_t caps;

	if (caps_parse_lists(caps_default, add, drop, held, &caps, &err) < 0)
		fail_msg("%s", err.text);
	return caps;
}

static void lists_follow_docker(void **state)
{
	uint64_t all;

	(void)state;
	assert_int_equal(caps_from_name("ALL", &all, NULL), 0);
	assert_true(parse(NULL, NULL, all) == caps_default);
	assert_true(parse(LIST("NET_ADMIN"), NULL, all) == (caps_default | BIT(CAP_NET_ADMIN)));
	assert_true(parse(NULL, LIST("cap_kill"), all) == (caps_default & ~BIT(CAP_KILL)));
	assert_true(parse(LIST("KILL"), LIST("ALL"), all) == BIT(CAP_KILL));
	assert_true(parse(NULL, LIST("ALL"), all) == 0);
	assert_true(parse(LIST("ALL"), LIST("SYS_ADMIN"), all) == (all & ~BIT(CAP_SYS_ADMIN)));
	assert_true(parse(LIST("ALL"), NULL, all) == all);
	assert_true(parse(LIST("KILL"), LIST("KILL"), all) == caps_default);
}

static void what_the_host_lacks(void **state)
{
	uint64_t all, caps = 7, held;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(caps_from_name("ALL", &all, NULL), 0);
	held = all & ~BIT(CAP_SYS_RESOURCE) & ~BIT(CAP_MKNOD);
	assert_true(parse(LIST("ALL"), NULL, held) == held);
	assert_true(parse(NULL, NULL, held) == (caps_default & ~BIT(CAP_MKNOD)));
	assert_int_equal(
		caps_parse_lists(caps_default, LIST("SYS_RESOURCE"), NULL, held, &caps, &err),
		-EPERM);
	assert_non_null(strstr(err.text, "CAP_SYS_RESOURCE"));
	assert_int_equal(caps_parse_lists(caps_default, NULL, LIST("NOPE"), held, &caps, &err),
			 -EINVAL);
	assert_true(caps == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_in_any_case),
		cmocka_unit_test(unknown_names_say_so),
		cmocka_unit_test(the_default_is_dockers),
		cmocka_unit_test(a_system_has_nothing_of_the_whole_machines),
		cmocka_unit_test(lists_follow_docker),
		cmocka_unit_test(what_the_host_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
