/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/core/macros.h"
#include "storage/archive/changes.h"
#include "storage/archive/oci.h"
#include "storage/archive/unpack_path.h"
#include "storage/ref.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void good_names_split(void **state)
{
	static const struct {
		const char *text, *name, *tag;
	} cases[] = {
		{ "demo", "demo", "" },
		{ "demo:1.0", "demo", "1.0" },
		{ "a/b/c:x", "a/b/c", "x" },
		{ "localhost:5000/demo", "localhost:5000/demo", "" },
		{ "localhost:5000/demo:2", "localhost:5000/demo", "2" },
		{ "Registry.example.com/a__b/c-d.e", "Registry.example.com/a__b/c-d.e", "" },
		{ "[::1]:80/x", "[::1]:80/x", "" },
		{ "docker.io/library/alpine:3", "docker.io/library/alpine", "3" },
		{ "a---b", "a---b", "" },
		{ "demo:_T", "demo", "_T" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ref ref;
		struct err err = { 0 };
		if (ref_parse(cases[i].text, &ref, &err) < 0)
			fail_msg("%s", err.text);
		assert_string_equal(ref.name, cases[i].name);
		assert_string_equal(ref.tag, cases[i].tag);
	}
	struct ref ref;
	assert_int_equal(ref_parse("demo:1@sha256:" HEX64, &ref, NULL), 0);
	assert_string_equal(ref.digest, HEX64);
	assert_string_equal(ref.tag, "1");
}

static void bad_names_are_refused(void **state)
{
	static const char *const bad[] = {
		"",	      ":",	     "demo:",
		"Demo",	      "a//b",	     "/a",
		"a/",	      "a..b",	     "a___b",
		".a",	      "a-",	     "a b",
		"a:b:c",      "-a",	     "demo:-x",
		"demo@",      "a@sha256:12", "a@md5:x",
		HEX64,	      "../a",	     "a/../b",
		"demo:a/b:",  "\n",	     "a:\xff",
		"host:80x/a", "-host.x/a",   ("@sha256:" HEX64),
	};
	char tag[REF_MAX];
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ref ref;
		struct err err = { 0 };
		if (ref_parse(bad[i], &ref, &err) != -EINVAL)
			fail_msg("\"%s\" passed", bad[i]);
		assert_non_null(strstr(err.text, "image name"));
	}
	assert_int_equal(ref_tag("a@sha256:" HEX64, tag, NULL), -EINVAL);
	assert_int_equal(ref_tag("a", tag, NULL), 0);
	assert_string_equal(tag, "a:latest");
}

static void entry_paths_are_made_plain(void **state)
{
	struct unpack_path path;
	char longest[5000];
	(void)state;

	assert_int_equal(unpack_path_split("./usr//bin/./env/", "", &path), 0);
	assert_string_equal(path.full, "usr/bin/env");
	assert_string_equal(path.dir, "usr/bin");
	assert_string_equal(path.base, "env");
	assert_int_equal(unpack_path_split("/", "", &path), 0);
	assert_string_equal(path.full, "");
	assert_int_equal(unpack_path_split("a", "/x/y/", &path), 0);
	assert_string_equal(path.full, "/x/y/a");
	assert_int_equal(unpack_path_split("a/..", "", &path), -EXDEV);
	assert_int_equal(unpack_path_split("..", "", &path), -EXDEV);
	assert_int_equal(unpack_path_split("..a/b..", "", &path), 0);
	assert_int_equal(unpack_path_split("", "", &path), -EINVAL);
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(unpack_path_split(longest, "", &path), -ENAMETOOLONG);
	for (size_t i = 1; i < sizeof(longest) - 1; i += 2)
		longest[i] = '/';
	assert_int_equal(unpack_path_split(longest, "", &path), -ENAMETOOLONG);
}

static void digests_are_safe_names(void **state)
{
	char hex[DIGEST_HEX + 1];
	(void)state;

	assert_int_equal(oci_digest("sha256:" HEX64, "x", hex, NULL), 0);
	assert_string_equal(hex, HEX64);
	assert_int_equal(oci_digest("sha256:../../etc", "x", hex, NULL), -EBADMSG);
	assert_int_equal(oci_digest(HEX64, "x", hex, NULL), -EBADMSG);
	assert_int_equal(oci_digest(NULL, "x", hex, NULL), -EBADMSG);
	assert_int_equal(oci_digest("sha512:" HEX64, "x", hex, NULL), -ENOTSUP);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_names_split),
		cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(entry_paths_are_made_plain),
		cmocka_unit_test(digests_are_safe_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
