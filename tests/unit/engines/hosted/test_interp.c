/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
static void nothing(void **s)
{
	(void)s;
}
int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(nothing) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
