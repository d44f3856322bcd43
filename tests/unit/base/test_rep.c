/* SPDX-License-Identifier: Apache-2.0 */
#define REP_HERE
#include "base/core/rep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void they_do_what_the_c_librarys_do(void **state)
{
	uint8_t a[80], b[80];

	(void)state;
	for (size_t n = 0; n <= 16; n++) {
		for (size_t to = 0; to < 40; to++) {
			for (size_t i = 0; i < sizeof(a); i++)
				a[i] = b[i] = (uint8_t)i;
			assert_ptr_equal(rep_memmove(a + to, a + 20, n), a + to);
			memmove(b + to, b + 20, n);
			assert_memory_equal(a, b, sizeof(a));
			assert_ptr_equal(rep_memset(a + to, 0x1ff, n), a + to);
			memset(b + to, 0xff, n);
			assert_memory_equal(a, b, sizeof(a));
			assert_ptr_equal(rep_memcpy(a + 60, a + to, n), a + 60);
			memcpy(b + 60, b + to, n);
			assert_memory_equal(a, b, sizeof(a));
		}
	}
}

static void comparing_tells_the_order(void **state)
{
	(void)state;
	assert_int_equal(rep_memcmp("abc", "abd", 2), 0);
	assert_true(rep_memcmp("abc", "abd", 3) < 0);
	assert_true(rep_memcmp("\xff", "\x01", 1) > 0);
	assert_int_equal(rep_memcmp("a", "b", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_do_what_the_c_librarys_do),
		cmocka_unit_test(comparing_tells_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
