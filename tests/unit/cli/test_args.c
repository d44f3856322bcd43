/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/core/macros.h"
#include "cli/suggest.h"

static const struct opt test_opts[] = {
	{ 0, OPT_GROUP, "", NULL, "Heading" },
	{ 'i', OPT_SWITCH, "interactive", NULL, "in" },
	{ 't', OPT_SWITCH, "tty", NULL, "tty" },
	{ 'm', OPT_TEXT, "memory", "SIZE", "memory" },
	{ 'e', OPT_LIST, "env", "K=V", "env" },
	{ 0, OPT_SWITCH, "rm", NULL, "rm" },
	{ 0 },
};

#define PARSE(stop, ret, err, ...)                                                                 \
	({                                                                                         \
		char *argv_[] = { __VA_ARGS__ __VA_OPT__(, ) NULL };                               \
		static char *kept_[ARRAY_SIZE(argv_)];                                             \
		memcpy(kept_, argv_, sizeof(argv_));                                               \
		args_parse(test_opts, stop, (int)ARRAY_SIZE(argv_) - 1, kept_, ret, err);          \
	})

static void every_spelling_of_a_value_is_read(void **state)
{
	static const char *const memories[] = { "1", "2", "3", "4", "5" };
	struct args args[5] = { 0 };

	(void)state;
	assert_int_equal(PARSE(false, &args[0], NULL, "--memory", "1"), 0);
	assert_int_equal(PARSE(false, &args[1], NULL, "--memory=2"), 0);
	assert_int_equal(PARSE(false, &args[2], NULL, "-m", "3"), 0);
	assert_int_equal(PARSE(false, &args[3], NULL, "-m4"), 0);
	assert_int_equal(PARSE(false, &args[4], NULL, "-m9", "-itm=5"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(args); i++) {
		assert_string_equal(args_text(&args[i], "memory", ""), memories[i]);
		assert_int_equal(args[i].argc, 0);
		args_fini(&args[i]);
	}
}

static void switches_are_bundled_and_may_be_false(void **state)
{
	AUTO(args_fini) struct args args = { 0 };

	(void)state;
	assert_int_equal(PARSE(false, &args, NULL, "-it", "--rm=false", "x"), 0);
	assert_true(args_on(&args, "interactive"));
	assert_true(args_on(&args, "tty"));
	assert_false(args_on(&args, "rm"));
	assert_true(args_given(&args, "rm"));
	assert_string_equal(args.argv[0], "x");
}

static void a_list_keeps_its_order(void **state)
{
	AUTO(args_fini) struct args args = { 0 };

	(void)state;
	assert_int_equal(
		PARSE(false, &args, NULL, "-ea", "--env=b", "-e", "c", "--env", "-d", "-e="), 0);
	const struct args_value *env = args_list(&args, "env");
	assert_int_equal(env->count, 5);
	assert_string_equal(env->texts[0], "a");
	assert_string_equal(env->texts[2], "c");
	assert_string_equal(env->texts[3], "-d");
	assert_string_equal(env->texts[4], "");
}

static void the_first_operand_ends_flags_where_asked(void **state)
{
	AUTO(args_fini) struct args stopped = { 0 }, mixed = { 0 }, dashed = { 0 };

	(void)state;
	assert_int_equal(PARSE(true, &stopped, NULL, "-i", "demo", "ls", "-t", "--x"), 0);
	assert_int_equal(stopped.argc, 4);
	assert_string_equal(stopped.argv[2], "-t");
	assert_null(stopped.argv[4]);
	assert_int_equal(PARSE(false, &mixed, NULL, "demo", "-i", "-", "--", "-t"), 0);
	assert_int_equal(mixed.argc, 3);
	assert_string_equal(mixed.argv[1], "-");
	assert_string_equal(mixed.argv[2], "-t");
	assert_true(args_on(&mixed, "interactive"));
	assert_int_equal(PARSE(true, &dashed, NULL, "--", "-t"), 0);
	assert_string_equal(dashed.argv[0], "-t");
}

static void help_stops_reading(void **state)
{
	AUTO(args_fini) struct args args = { 0 };

	(void)state;
	assert_int_equal(PARSE(true, &args, NULL, "-i", "--help", "--nonsense"), 0);
	assert_true(args.help);
}

static void a_bad_flag_is_named(void **state)
{
	AUTO(args_fini) struct args args = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(PARSE(false, &args, &err, "--memroy", "1"), -EINVAL);
	assert_string_equal(err.text, "unknown flag --memroy, did you mean --memory?");
	assert_int_equal(PARSE(false, &args, &err, "--zzz=1"), -EINVAL);
	assert_string_equal(err.text, "unknown flag --zzz");
	assert_int_equal(PARSE(false, &args, &err, "-ix"), -EINVAL);
	assert_string_equal(err.text, "unknown flag -x in '-ix'");
	assert_int_equal(PARSE(false, &args, &err, "--memory"), -EINVAL);
	assert_string_equal(err.text, "--memory needs a value: SIZE");
	assert_int_equal(PARSE(false, &args, &err, "--rm=maybe"), -EINVAL);
	assert_string_equal(err.text, "--rm: 'maybe' is neither true nor false");
	assert_int_equal(PARSE(false, &args, &err, "--="), -EINVAL);
	assert_null(args.values);
}

static void a_swap_of_letters_is_near(void **state)
{
	struct suggest suggest = { 0 };

	(void)state;
	suggest_offer(&suggest, "puase", "resume");
	suggest_offer(&suggest, "puase", "pause");
	suggest_offer(&suggest, "puase", "pull");
	assert_string_equal(suggest.best, "pause");
	suggest = (struct suggest){ 0 };
	suggest_offer(&suggest, "frobnicate", "run");
	assert_null(suggest.best);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_spelling_of_a_value_is_read),
		cmocka_unit_test(switches_are_bundled_and_may_be_false),
		cmocka_unit_test(a_list_keeps_its_order),
		cmocka_unit_test(the_first_operand_ends_flags_where_asked),
		cmocka_unit_test(help_stops_reading),
		cmocka_unit_test(a_bad_flag_is_named),
		cmocka_unit_test(a_swap_of_letters_is_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
