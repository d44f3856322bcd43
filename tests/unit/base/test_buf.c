/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"

static void empty_is_a_string(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };

	(void)state;
	assert_string_equal(buf_str(&buf), "");
	assert_null(buf_steal(&buf));
}

static void grows_and_stays_terminated(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };

	(void)state;
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(buf_adds(&buf, "0123456789"), 0);
		assert_int_equal(buf.data[buf.len], '\0');
	}
	assert_int_equal(buf.len, 100000);
	assert_int_equal(strlen(buf_str(&buf)), 100000);
}

static void holds_nul_bytes(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(buf_add(&buf, "a\0b", 3), 0);
	assert_int_equal(buf_add(&buf, NULL, 0), 0);
	assert_int_equal(buf.len, 3);
	assert_memory_equal(buf.data, "a\0b", 4);
}

static void printf_measures_first(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(buf_printf(&buf, "%0200d|", 7), 0);
	assert_int_equal(buf_printf(&buf, "%s", ""), 0);
	assert_int_equal(buf.len, 201);
	assert_int_equal(buf.data[199], '7');
}

static void impossible_size_fails_and_stays_failed(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(buf_adds(&buf, "kept"), 0);
	assert_int_equal(buf_reserve(&buf, SIZE_MAX - 2), -ENOMEM);
	assert_true(buf.failed);
	assert_int_equal(buf_adds(&buf, "x"), -ENOMEM);
	assert_int_equal(buf_printf(&buf, "x"), -ENOMEM);
	assert_string_equal(buf_str(&buf), "kept");
	assert_null(buf_steal(&buf));
}

static void reserve_of_the_largest_sizes_never_wraps(void **state)
{
	(void)state;
	for (size_t i = 0; i < 8; i++) {
		AUTO(buf_fini) struct buf buf = { 0 };
		assert_int_equal(buf_adds(&buf, "abc"), 0);
		assert_int_equal(buf_reserve(&buf, SIZE_MAX - i), -ENOMEM);
	}
}

static void steal_leaves_a_usable_buffer(void **state)
{
	AUTO(buf_fini) struct buf buf = { 0 };

	(void)state;
	assert_int_equal(buf_adds(&buf, "one"), 0);
	char *one = buf_steal(&buf);
	assert_string_equal(one, "one");
	assert_int_equal(buf_adds(&buf, "two"), 0);
	assert_string_equal(buf_str(&buf), "two");
	free(one);
}

static void a_queue_that_is_never_empty_does_not_grow(void **state)
{
	struct buf buf = { 0 };
	unsigned char in[1000], next = 0, expect = 0;
	size_t at = 0, most = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		for (size_t k = 0; k < sizeof(in); k++)
			in[k] = next++;
		assert_int_equal(buf_add(&buf, in, sizeof(in)), 0);
		while (buf.len - at > 500)
			assert_int_equal((unsigned char)buf.data[at++], expect++);
		buf_shift(&buf, &at);
		most = buf.cap > most ? buf.cap : most;
	}
	assert_true(most < 20000);
	assert_int_equal(buf.data[buf.len], '\0');
	at = buf.len;
	buf_shift(&buf, &at);
	assert_int_equal(at, 0);
	assert_int_equal(buf.len, 0);
	assert_null(buf.data);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_is_a_string),
		cmocka_unit_test(grows_and_stays_terminated),
		cmocka_unit_test(holds_nul_bytes),
		cmocka_unit_test(printf_measures_first),
		cmocka_unit_test(impossible_size_fails_and_stays_failed),
		cmocka_unit_test(reserve_of_the_largest_sizes_never_wraps),
		cmocka_unit_test(steal_leaves_a_usable_buffer),
		cmocka_unit_test(a_queue_that_is_never_empty_does_not_grow),
	};

	return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
