/* SPDX-License-Identifier: Apache-2.0 */
#include "deb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/os/json.h"
#include "storage/archive/modules.h"

static int add(struct modules *modules, const char *name, const char *depends)
{
	struct buf module = { 0 };
	char info[256];
	int n = snprintf(info, sizeof(info), "depends=%s", depends);

	deb_module(&module, info, (size_t)n + 1);
	int r = modules_add(modules, name, (const uint8_t *)module.data, module.len);
	buf_fini(&module);
	return r;
}

/* The order as "a b c", or the error's words. */
static const char *order(struct modules *modules, const char *const *wanted)
{
	static struct err err;
	static char text[512];
	json_t *names = NULL;

	text[0] = '\0';
	if (modules_order(modules, wanted, &names, &err) < 0)
		return err.text;
	for (size_t i = 0; i < json_array_size(names); i++) {
		size_t len = strlen(text);
		(void)snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "",
			       json_string_value(json_array_get(names, i)));
	}
	json_decref(names);
	return text;
}

#define ORDER(modules, ...) order(modules, (const char *const[]){ __VA_ARGS__, NULL })

static void what_is_needed_comes_first_and_once(void **state)
{
	AUTO(modules_fini) struct modules m = { 0 };

	(void)state;
	assert_int_equal(add(&m, "top", "left,right"), 0);
	assert_int_equal(add(&m, "left", "base"), 0);
	assert_int_equal(add(&m, "right", "base-x,base"), 0);
	assert_int_equal(add(&m, "base", ""), 0);
	assert_int_equal(add(&m, "base-x", ""), 0);
	assert_int_equal(add(&m, "base_x", ""), -EEXIST);
	assert_string_equal(ORDER(&m, "top"), "base left base_x right top");
	assert_string_equal(ORDER(&m, "base", "left", "top"), "base left base_x right top");
	assert_string_equal(ORDER(&m, "base"), "base"); /* asked twice: nothing is remembered */
}

static void what_is_missing_is_named_and_builtin_is_not_missing(void **state)
{
	static const char builtin[] = "kernel/lib/lib-a.ko\nkernel/fs/b.ko.xz\nnonsense\n";
	AUTO(modules_fini) struct modules m = { 0 };

	(void)state;
	assert_int_equal(add(&m, "x", "lib_a,gone"), 0);
	assert_int_equal(modules_builtin(&m, builtin, sizeof(builtin) - 1), 0);
	assert_string_equal(ORDER(&m, "x"), "the kernel has no module gone");
	assert_string_equal(ORDER(&m, "lib_a", "b"), "");
	assert_string_equal(ORDER(&m, "nonsense"), "the kernel has no module nonsense");
}

static void circles_and_long_chains_end(void **state)
{
	AUTO(modules_fini) struct modules m = { 0 };
	char name[16], next[16];

	(void)state;
	assert_int_equal(add(&m, "a", "b"), 0);
	assert_int_equal(add(&m, "b", "a,b"), 0);
	assert_string_equal(ORDER(&m, "a"), "b a");
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "m%u", i);
		(void)snprintf(next, sizeof(next), "m%u", i + 1);
		assert_int_equal(add(&m, name, next), 0);
	}
	assert_non_null(strstr(ORDER(&m, "m0"), "too long a chain"));
}

static void names_are_taken_from_paths(void **state)
{
	static const struct {
		const char *path, *name;
	} good[] = {
		{ "kernel/fs/ext4/ext4.ko", "ext4" },
		{ "virtio-rng.ko.xz", "virtio_rng" },
		{ "a/b.ko.zst", "b" },
	};
	static const char *const bad[] = { "",	  "ko",	   ".ko",    "a.kox",
					   "a.o", "a/.ko", "a b.ko", "a/b.c.ko" };
	char name[MODULE_NAME_MAX], longest[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(module_name(good[i].path, name), 0);
		assert_string_equal(name, good[i].name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(module_name(bad[i], name), -EINVAL);
	(void)snprintf(longest, sizeof(longest), "%0*d.ko", MODULE_NAME_MAX, 1);
	assert_int_equal(module_name(longest, name), -EINVAL);
	assert_int_equal(module_name(longest + 1, name), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_needed_comes_first_and_once),
		cmocka_unit_test(what_is_missing_is_named_and_builtin_is_not_missing),
		cmocka_unit_test(circles_and_long_chains_end),
		cmocka_unit_test(names_are_taken_from_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
