/* SPDX-License-Identifier: Apache-2.0 */
#include "deb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bytes.h"
#include "storage/archive/modinfo.h"

static const char info[] =
	"license=GPL\0depends=a,b\0dependsx=no\0softdep=pre: c\0softdep=post: d\0depends=";

static void values_come_one_after_the_other(void **state)
{
	struct buf module = { 0 };
	struct modinfo m;
	size_t at = 0;

	(void)state;
	deb_module(&module, info, sizeof(info));
	assert_int_equal(modinfo_open((uint8_t *)module.data, module.len, &m), 0);
	assert_string_equal(modinfo_next(&m, "depends", &at), "a,b");
	assert_string_equal(modinfo_next(&m, "depends", &at), "");
	assert_null(modinfo_next(&m, "depends", &at));
	at = 0;
	assert_string_equal(modinfo_next(&m, "softdep", &at), "pre: c");
	assert_string_equal(modinfo_next(&m, "softdep", &at), "post: d");
	at = 0;
	assert_null(modinfo_next(&m, "licens", &at));
	buf_fini(&module);
}

static void a_text_without_its_nul_is_not_read(void **state)
{
	struct buf module = { 0 };
	struct modinfo m;
	size_t at = 0;

	(void)state;
	deb_module(&module, "depends=abc", 11);
	assert_int_equal(modinfo_open((uint8_t *)module.data, module.len, &m), 0);
	assert_null(modinfo_next(&m, "depends", &at));
	buf_fini(&module);
}

/* Each in memory of just its length, so that a sanitizer sees a byte too far. */
static int open_exact(const char *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct modinfo m;
	size_t at = 0;

	assert_non_null(copy);
	memcpy(copy, data, len);
	int r = modinfo_open(copy, len, &m);
	while (r == 0 && modinfo_next(&m, "depends", &at))
		;
	free(copy);
	return r;
}

static void every_cut_and_every_broken_offset_is_an_error(void **state)
{
	static const struct {
		unsigned at, len;
		uint64_t value;
	} bad[] = {
		{ 4, 1, 1 },	      { 5, 1, 2 },	   { 0x28, 8, UINT64_MAX },
		{ 0x28, 8, 1 << 20 }, { 0x3a, 2, 40 },	   { 0x3c, 2, 0 },
		{ 0x3e, 2, 9 },	      { 0x3e, 2, 0xffff }, { 0x28, 8, UINT64_MAX - 100 },
	};
	struct buf module = { 0 };

	(void)state;
	deb_module(&module, info, sizeof(info));
	for (size_t len = 0; len < module.len; len++)
		assert_int_equal(open_exact(module.data, len), -EBADMSG);
	assert_int_equal(open_exact(module.data, module.len), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char saved[8], raw[8];
		memcpy(saved, module.data + bad[i].at, 8);
		le64_store(raw, bad[i].value);
		memcpy(module.data + bad[i].at, raw, bad[i].len);
		assert_int_equal(open_exact(module.data, module.len), -EBADMSG);
		memcpy(module.data + bad[i].at, saved, 8);
	}
	buf_fini(&module);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_one_after_the_other),
		cmocka_unit_test(a_text_without_its_nul_is_not_read),
		cmocka_unit_test(every_cut_and_every_broken_offset_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
