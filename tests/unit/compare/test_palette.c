/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <string.h>

#include "base/core/macros.h"
#include "compare/palette.h"
#include "scene.h"

static const char *const known[] = { "host",	   "os-level", "hybrid",   "hosted",  "bare-linux",
				     "bare-metal", "crun",     "qemu-kvm", "qemu-tcg" };

static void no_two_architectures_look_alike(void **state)
{
	AUTO(result_fini) struct result r;

	(void)state;
	scene_full(&r);
	for (size_t a = 0; a < r.n_columns; a++) {
		for (size_t b = 0; b < a; b++) {
			const struct look *x = look_of(&r, a), *y = look_of(&r, b);
			assert_string_not_equal(x->name, y->name);
			assert_string_not_equal(x->sign, y->sign);
			/* told apart without colour */
			assert_false(x->marker == y->marker && x->hollow == y->hollow);
		}
	}
}

static void a_look_is_the_architectures_wherever_it_stands(void **state)
{
	AUTO(result_fini) struct result all;

	(void)state;
	scene_full(&all);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		AUTO(result_fini) struct result alone = { 0 };
		const struct result_column column = { .id = (char *)known[i] };
		assert_int_equal(result_column_add(&alone, &column), 0);
		assert_ptr_equal(look_of(&alone, 0),
				 look_of(&all, (size_t)result_find_column(&all, known[i])));
	}
}

static void a_column_we_do_not_know_has_a_look_too(void **state)
{
	AUTO(result_fini) struct result r = { 0 };

	(void)state;
	for (char c = 'a'; c < 'i'; c++) {
		const struct result_column column = { .id = (char[]){ c, '\0' } };
		size_t at = (size_t)result_column_add(&r, &column);
		assert_non_null(look_of(&r, at));
		if (at)
			assert_ptr_not_equal(look_of(&r, at), look_of(&r, at - 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_two_architectures_look_alike),
		cmocka_unit_test(a_look_is_the_architectures_wherever_it_stands),
		cmocka_unit_test(a_column_we_do_not_know_has_a_look_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
