/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * For every unit test: cmocka with what it needs, and a directory of its own.
 *
 *	cmocka_unit_test_setup_teardown(name_of_the_case, scratch_setup, scratch_teardown)
 *
 * gives the case *state: a struct scratch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct scratch {
	char path[64]; /* "/tmp/strata-unit-XXXXXX" */
	int fd;	       /* of path */
};

int scratch_setup(void **state);
int scratch_teardown(void **state);

/* Leaves the case, and tells tools/test why. */
#define SKIP(reason)                                                                               \
	do {                                                                                       \
		print_message("skip: %s\n", reason);                                               \
		skip();                                                                            \
	} while (0)

/* A case that has a scratch directory. */
#define SCRATCH_TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
