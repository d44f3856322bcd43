/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <string.h>

#include "base/core/macros.h"
#include "manager/userns.h"

#define UNUSED_FIRST 0x70000000u
#define UNUSED_END   0x7ffe0000u

static uint32_t pick(const char *subuid, uint64_t first, uint64_t count)
{
	AUTO(userns_fini) struct userns_ranges ours = { 0 };
	AUTO(userns_fini) struct userns_ranges taken = { 0 };
	char text[256];

	assert_true(strlen(subuid) < sizeof(text));
	memcpy(text, subuid, strlen(subuid) + 1);
	assert_int_equal(userns_parse(text, &ours, &taken), 0);
	assert_int_equal(userns_add(&taken, first, count), 0);
	return userns_pick(&ours, &taken);
}

static void without_a_range_of_ours_it_is_where_nobody_gives_any(void **state)
{
	(void)state;
	assert_int_equal(pick("", 0, 0), UNUSED_FIRST);
	assert_int_equal(pick("user:100000:65536\n# text\n", 0, 0), UNUSED_FIRST);
	assert_int_equal(pick("", UNUSED_FIRST + 1000, 65536), UNUSED_FIRST + 1000 + 65536);
}

static void where_that_is_full_ranges_of_users_are_passed(void **state)
{
	(void)state;
	assert_int_equal(pick("", UNUSED_FIRST, UNUSED_END - UNUSED_FIRST), 1u << 20);
	assert_int_equal(pick("user:1048576:65536\nother:1114112:100\n", UNUSED_FIRST,
			      UNUSED_END - UNUSED_FIRST),
			 1114212);
}

static void a_range_of_ours_is_all_there_is(void **state)
{
	(void)state;
	assert_int_equal(pick("strata:200000:131072\n", 0, 0), 200000);
	assert_int_equal(pick("strata:200000:131072\n", 200000, 65536), 265536);
	assert_int_equal(pick("containers:200000:131072\n", 200000, 65537), 0);
	/* what is somebody else's as well is not ours */
	assert_int_equal(pick("strata:200000:131072\nuser:200000:65536\n", 0, 0), 265536);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_range_of_ours_it_is_where_nobody_gives_any),
		cmocka_unit_test(where_that_is_full_ranges_of_users_are_passed),
		cmocka_unit_test(a_range_of_ours_is_all_there_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
